//! The part of the home page that is about one folder.

use askama::Template;
use staticreg_application::browse::{FolderPulls, FolderTotals, Overview};

use super::{
    chart::{Chart, ChartInput},
    layout::Figure,
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, daily},
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
    pub(super) fn new(folder: &str, totals: &FolderTotals) -> Self {
        let FolderTotals { repositories, held, pulls } = totals;
        let figure = |label, value: Option<u64>, note: String| Figure {
            label,
            value: value.map_or_else(|| "–".to_owned(), text::number),
            note,
        };
        let sums = pulls.as_ref().map(FolderPulls::totals);
        let note = if held.is_some() { String::new() } else { "pulled from".to_owned() };
        let mut figures = vec![figure("Repositories", Some(*repositories as u64), note)];
        if let Some(held) = held {
            let images = text::count(held.images as u64, "image", "images");
            figures.push(figure("Tags", Some(held.tags as u64), format!("{images}, {}", text::size(held.size))));
        }
        figures.push(figure("Pulls today", sums.map(|sums| sums.today), String::new()));
        figures.push(figure("In 7 days", sums.map(|sums| sums.last_7_days), String::new()));
        let all = sums.map_or_else(String::new, |sums| format!("{} in all", text::number(sums.all)));
        figures.push(figure("In 30 days", sums.map(|sums| sums.last_30_days), all));
        if let Some(FolderPulls { rank: (place, of), .. }) = pulls {
            let beside = match folder.rsplit_once('/') {
                Some((parent, _)) => format!("of {of} in {parent}, by pulls in 30 days"),
                None => format!("of {of}, by pulls in 30 days"),
            };
            let (value, label) = (format!("#{}", text::number(*place as u64)), "Rank among folders");
            figures.push(Figure { label, value, note: beside });
        }
        let chart = pulls.as_ref().map(|pulls| {
            Chart::stacked(ChartInput {
                id: "pulls",
                title: "Pulls".to_owned(),
                daily: &pulls.daily("pulls"),
                today: pulls.today,
                csv: text::address("/export/daily.csv", &[("folder", folder)]),
            })
        });
        Self { figures, chart }
    }
}

/// The pulls of a folder by day as CSV.
pub(super) async fn daily_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let folder = parameters.get("folder").unwrap_or_default().trim_matches('/');
    let overview: Overview = site.browse.overview().await;
    let pulls = overview.folder(folder).ok_or(NoTable::Unknown)?.pulls.ok_or(NoTable::StoreAway)?;
    Ok(daily(&pulls.daily(folder), "folder", "pulls"))
}
