//! What the page of a repository and that of a tag have in common.

use chrono::{DateTime, Utc};
use staticreg_application::{
    browse::{RepositoryStatistics, Shown},
    catalog::RepositoryEntry,
};
use staticreg_domain::metrics::AccessKind;

use crate::pages::{
    addresses::folder_address,
    layout::{Figure, Layout, Notice, Section},
    parameters::Parameters,
    range::ChosenRange,
    site::Site,
    table::{NoTable, Table, asked_repository, asked_tag, daily, known},
    text::{self, Moment},
};

/// The frame of a repository's or tag's page, with what people should know about it.
pub(super) fn layout<'a>(
    site: &'a Site,
    title: &str,
    entry: Option<&RepositoryEntry>,
    shown: &Shown<RepositoryStatistics>,
    chosen: &ChosenRange,
    now: DateTime<Utc>,
) -> Layout<'a> {
    let mut layout = Layout::new(site, Section::Repositories, title);
    layout.about_counts(shown, now);
    match entry {
        None => layout.about_registry(site, site.browse.snapshot().as_deref(), now),
        Some(entry) => {
            if let Some(fault) = &entry.fault {
                let at = Moment::new(fault.at, now).ago;
                layout.notices.push(Notice::warning(format!("{} This was seen {at}; older things stay.", fault.text)));
            }
        }
    }
    if let Some(notice) = &chosen.notice {
        layout.notices.push(notice.clone());
    }
    layout
}

/// Whether a repository's tags were read, all of them: only then can a page tell which it does not hold.
pub(super) fn is_read(site: &Site, entry: Option<&RepositoryEntry>) -> bool {
    entry.map_or_else(|| site.is_registry_read(), |entry| entry.read_at.is_some() && !entry.truncated)
}

/// Whether nothing was ever counted.
pub(super) fn never_seen(statistics: &RepositoryStatistics) -> bool {
    statistics.all == 0 && statistics.others.values().all(|count| *count == 0)
}

/// The folders above a name, with their addresses, and its last part.
pub(super) fn path(name: &str) -> (Vec<(String, String)>, String) {
    let folders = name
        .match_indices('/')
        .map(|(end, _)| &name[..end])
        .map(|path| (path.rsplit('/').next().unwrap_or(path).to_owned(), folder_address(path)))
        .collect();
    (folders, name.rsplit('/').next().unwrap_or(name).to_owned())
}

/// The numbers at the head of a page.
pub(super) fn figures(
    statistics: Option<&RepositoryStatistics>,
    chosen: &ChosenRange,
    tags: Option<usize>,
    now: DateTime<Utc>,
) -> Vec<Figure> {
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), text::number);
    let last_pull = statistics
        .map(|statistics| statistics.last_pulled_at.map_or_else(|| "never".to_owned(), |at| Moment::new(at, now).ago));
    let mut figures = Vec::new();
    if let Some(tags) = tags {
        figures.push(Figure { label: "Tags", value: text::number(tags as u64), note: String::new() });
    }
    figures.push(Figure {
        label: "Pulls",
        value: number(statistics.map(|statistics| statistics.daily.total())),
        note: chosen.words(),
    });
    figures.push(Figure {
        label: "Version checks",
        value: number(statistics.map(|statistics| statistics.in_range(AccessKind::VersionCheck))),
        note: chosen.words(),
    });
    figures.push(Figure {
        label: "Pulls in all",
        value: number(statistics.map(|statistics| statistics.all)),
        note: String::new(),
    });
    figures.push(Figure {
        label: "Last pull",
        value: last_pull.unwrap_or_else(|| "–".to_owned()),
        note: String::new(),
    });
    figures
}

/// The pulls by day and architecture as CSV.
pub(crate) async fn daily_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (name, tag) = (asked_repository(parameters)?, asked_tag(parameters)?);
    let range = ChosenRange::from_parameters(parameters, site.browse.ask()).await.range;
    let statistics = known(site.browse.repository(&name, tag.as_ref(), range).await)?;
    Ok(daily(&statistics.daily, "architecture", "pulls"))
}
