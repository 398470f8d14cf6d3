//! What the page of a repository and that of a tag have in common.

use chrono::{DateTime, Utc};
use staticreg_application::{
    browse::{CountQuestion, RepositoryStatistics, Shown, SplitBy},
    catalog::RepositoryEntry,
};
use staticreg_domain::{RepositoryName, Tag, metrics::AccessKind};

use crate::pages::{
    addresses::{csv_address, folder_address_in},
    chart::{Chart, ChartInput},
    chosen::{Chosen, noun},
    layout::{Figure, Layout, Notice, Section},
    parameters::Parameters,
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
    chosen: &Chosen,
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
    layout.about(chosen);
    layout
}

/// Whether a repository's tags were read, all of them: only then can a page tell which it does not hold.
pub(super) fn is_read(site: &Site, entry: Option<&RepositoryEntry>) -> bool {
    entry.map_or_else(|| site.is_registry_read(), |entry| entry.read_at.is_some() && !entry.truncated)
}

/// Whether nothing was ever counted of a name; not as long as nobody can tell.
pub(super) async fn is_unknown(
    site: &Site,
    name: &RepositoryName,
    tag: Option<&Tag>,
    chosen: &Chosen,
    shown: &Shown<RepositoryStatistics>,
) -> bool {
    let is_nothing = |shown: &Shown<RepositoryStatistics>| {
        shown.value.as_deref().is_some_and(|statistics| {
            statistics.all == 0 && statistics.by_kind.values().all(|counted| counted.count == 0)
        })
    };
    // What nothing of one kind or architecture was counted of may be known otherwise.
    is_nothing(shown)
        && (chosen.question.is_of_all_pulls() || {
            let all = CountQuestion::of_dates(chosen.dates());
            is_nothing(&site.browse.repository(name, tag, &all, SplitBy::default()).await)
        })
}

/// The folders above a name, with their addresses, and its last part.
pub(super) fn path(name: &str, chosen: &Chosen) -> (Vec<(String, String)>, String) {
    let folders = name
        .match_indices('/')
        .map(|(end, _)| &name[..end])
        .map(|path| (path.rsplit('/').next().unwrap_or(path).to_owned(), folder_address_in(path, chosen)))
        .collect();
    (folders, name.rsplit('/').next().unwrap_or(name).to_owned())
}

/// The numbers at the head of a page.
pub(super) fn figures(
    statistics: Option<&RepositoryStatistics>,
    chosen: &Chosen,
    tags: Option<usize>,
    now: DateTime<Utc>,
) -> Vec<Figure> {
    let last = statistics
        .map(|statistics| statistics.last_pulled_at.map_or_else(|| "never".to_owned(), |at| Moment::new(at, now).ago));
    let all = statistics.map_or_else(|| "–".to_owned(), |statistics| text::number(statistics.all));
    let counted = |kind| {
        let counted = statistics.map(|statistics| statistics.in_range(kind));
        Figure::of_count(noun(kind), counted, chosen.words())
    };
    let kind = chosen.question.kind;
    // What was asked for, beside what it is best looked at with.
    let other = if kind == AccessKind::PullByTag { AccessKind::VersionCheck } else { AccessKind::PullByTag };
    let all_label = match kind {
        AccessKind::PullByTag => "Pulls in all",
        _ => "In all",
    };
    let tags = tags.map(|tags| Figure::new("Tags", text::number(tags as u64), ""));
    let counts = [
        counted(kind),
        counted(other),
        Figure::new(all_label, all, ""),
        Figure::new(chosen.last(), last.unwrap_or_else(|| "–".to_owned()), ""),
    ];
    tags.into_iter().chain(counts).collect()
}

/// The chart of a page.
pub(super) fn chart(
    statistics: &RepositoryStatistics,
    name: &RepositoryName,
    tag: Option<&Tag>,
    chosen: &Chosen,
    now: DateTime<Utc>,
) -> Chart {
    let title = match (split_by(tag, chosen), &chosen.question.architecture) {
        (SplitBy::Tag, _) => format!("{} by tag", chosen.what()),
        (SplitBy::Architecture, None) => format!("{} by architecture", chosen.noun()),
        (SplitBy::Architecture, Some(_)) => chosen.what(),
    };
    Chart::stacked(ChartInput {
        id: "pulls",
        title,
        daily: &statistics.daily,
        before: statistics.before.as_ref(),
        interval: chosen.interval,
        today: now.date_naive(),
        csv: csv_address("daily", Some(name), tag, chosen),
    })
}

/// What was counted of a repository or of one of its tags, which has none to be split by.
pub(super) async fn statistics(
    site: &Site,
    name: &RepositoryName,
    tag: Option<&Tag>,
    chosen: &Chosen,
) -> Shown<RepositoryStatistics> {
    site.browse.repository(name, tag, &chosen.question, split_by(tag, chosen)).await
}

fn split_by(tag: Option<&Tag>, chosen: &Chosen) -> SplitBy {
    if tag.is_some() { SplitBy::Architecture } else { chosen.split_by }
}

/// The counts by day as CSV.
pub(crate) async fn daily_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (name, tag) = (asked_repository(parameters)?, asked_tag(parameters)?);
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    let statistics = known(statistics(site, &name, tag.as_ref(), &chosen).await)?;
    let split_by = match split_by(tag.as_ref(), &chosen) {
        SplitBy::Architecture => "architecture",
        SplitBy::Tag => "tag",
    };
    Ok(daily(&statistics.daily, split_by, chosen.measure()))
}
