//! The part of the home page that is about one folder.

use askama::Template;
use chrono::NaiveDate;
use staticreg_application::browse::{Compared, FolderDays, FolderTotals};

use super::{
    chart::{Chart, ChartInput},
    chosen::Chosen,
    layout::Figure,
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, daily, known},
    text,
};

/// What a folder comes to.
#[derive(Template)]
#[template(path = "folder.html")]
pub(super) struct FolderSection {
    figures: Vec<Figure>,
    chart: Option<Chart>,
}

impl FolderSection {
    pub(super) fn new(
        folder: &str,
        totals: &FolderTotals,
        days: Option<&FolderDays>,
        chosen: &Chosen,
        today: NaiveDate,
    ) -> Self {
        let FolderTotals { repositories, held, counted, rank: (place, of), all } = totals;
        let figure = |label, count: u64, note| Figure::of_count(label, Some(Compared { count, before: None }), note);
        let note = if held.is_some() { "" } else { "pulled from" };
        let mut figures = vec![figure("Repositories", *repositories as u64, note.to_owned())];
        if let Some(held) = held {
            let images = text::count(held.images as u64, "image", "images");
            figures.push(figure("Tags", held.tags as u64, format!("{images}, {}", text::size(held.size))));
        }
        figures.push(Figure::of_count(chosen.noun(), *counted, chosen.words()));
        if let Some(all) = all.filter(|_| chosen.question.is_of_all_pulls()) {
            figures.push(figure("Pulls in all", all, String::new()));
        }
        if counted.is_some() {
            let by = format!("by {} {}", chosen.what().to_lowercase(), chosen.words());
            let beside = match folder.rsplit_once('/') {
                Some((parent, _)) => format!("of {of} in {parent}, {by}"),
                None => format!("of {of}, {by}"),
            };
            figures.push(Figure::new("Rank among folders", format!("#{}", text::number(*place as u64)), beside));
        }
        let parameters = chosen.parameters();
        let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let csv: Vec<(&str, &str)> = [("folder", folder)].into_iter().chain(parameters).collect();
        let chart = days.map(|days| {
            Chart::stacked(ChartInput {
                id: "pulls",
                title: chosen.what(),
                daily: &days.named(chosen.noun()),
                before: days.before.as_ref(),
                interval: chosen.interval,
                today,
                csv: text::address("/export/daily.csv", &csv),
            })
        });
        Self { figures, chart }
    }
}

/// What was counted of a folder by day as CSV.
pub(super) async fn daily_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let path = parameters.get("folder").unwrap_or_default().trim_matches('/');
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    let folder = path.parse().map_err(|_| NoTable::Unknown)?;
    if site.browse.overview().await.folder(path).is_none() {
        return Err(NoTable::Unknown);
    }
    let days = known(site.browse.folder(&folder, &chosen.question).await)?;
    Ok(daily(&days.named(path), "folder", chosen.measure()))
}
