//! What the API, the page and the scripts say alike of tags that may go.

mod script;

pub(crate) use script::{Tool, script};

use std::{fmt::Display, time::Duration};

use chrono::{DateTime, Utc};
use staticreg_application::clean_up::{Cleanup, Keeper, Listed, SILENT_AFTER, TagPattern, Verdict};

/// How long a program waits for a list that is being worked out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// Why a tag may go or stays, as programs read it.
pub(crate) fn reason(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::NeverPulled => "never_pulled",
        Verdict::NotPulledSince => "not_pulled_since",
        Verdict::Kept(keeper) => match keeper {
            Keeper::Pulled(_) => "pulled",
            Keeper::Running(_) => "running",
            Keeper::Pushed(_) => "pushed",
            Keeper::Made(_) => "made",
            Keeper::PulledByDigest(_) => "pulled_by_digest",
            Keeper::PulledByAnotherTag(_) => "pulled_by_another_tag",
            Keeper::VersionChecks(_) => "version_checks",
            Keeper::KeepTags => "keep_tags",
            Keeper::KeepLatest => "keep_latest",
            Keeper::Signed(_) => "signed",
            Keeper::SameImage(_) => "same_image",
            Keeper::Index(_) => "index",
            Keeper::Unread => "unread",
            Keeper::NotWatched => "not_watched",
        },
    }
}

/// By what a tag is kept: a tag, a digest, a source, a number; none where the reason says it all.
pub(crate) fn kept_by(verdict: &Verdict) -> Option<String> {
    let Verdict::Kept(keeper) = verdict else { return None };
    match keeper {
        Keeper::Running(source) => Some(source.to_string()),
        Keeper::PulledByDigest(digest) | Keeper::PulledByAnotherTag(digest) => Some(digest.to_string()),
        Keeper::VersionChecks(count) => Some(count.to_string()),
        Keeper::Signed(tag) | Keeper::SameImage(tag) | Keeper::Index(tag) => Some(tag.to_string()),
        Keeper::Pulled(_)
        | Keeper::Pushed(_)
        | Keeper::Made(_)
        | Keeper::KeepTags
        | Keeper::KeepLatest
        | Keeper::Unread
        | Keeper::NotWatched => None,
    }
}

/// Why a tag may go or stays, for people. What keeps it is named by [`kept_by`].
pub(crate) fn words(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::NeverPulled => "never pulled",
        Verdict::NotPulledSince => "not pulled since",
        Verdict::Kept(keeper) => match keeper {
            Keeper::Pulled(_) => "pulled",
            Keeper::Running(_) => "runs, as was told by",
            Keeper::Pushed(_) => "pushed",
            Keeper::Made(_) => "made",
            Keeper::PulledByDigest(_) => "pulled by the digest",
            Keeper::PulledByAnotherTag(_) => "pulled by another tag, as",
            Keeper::VersionChecks(_) => "looked up, so often:",
            Keeper::KeepTags => "fits the pattern of tags to keep",
            Keeper::KeepLatest => "among the newest images",
            Keeper::Signed(_) => "signed, or with attachments:",
            Keeper::SameImage(_) => "is the same image as",
            Keeper::Index(_) => "is part of",
            Keeper::Unread => "could not be read, or not all of it",
            Keeper::NotWatched => "not watched long enough",
        },
    }
}

/// What stands in the way of a good list: a word for programs, a sentence for people, and whether something is wrong.
pub(crate) struct Note {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// What there is to know before anything is deleted.
pub(crate) fn notes(cleanup: &Cleanup, now: DateTime<Utc>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |code, text: String| notes.push(Note { code, text });
    if !cleanup.has_registry {
        note("no_registry", "No registry is configured, so it is not known what there is.".to_owned());
    }
    let days = cleanup.question.unused_days;
    match cleanup.watched_since {
        None => note("not_watched", "Nothing was counted yet, so nothing can be said to be unused.".to_owned()),
        Some(since) if since > cleanup.window.from() => {
            let text = format!("Watched since {since} only: nothing can be said to be unused for {days} days.");
            note("not_watched", text);
        }
        Some(_) => {}
    }
    if cleanup.unread_repositories > 0 {
        let count = cleanup.unread_repositories;
        note("unread_repositories", format!("Left out, as not all of them could be read: {count} repositories."));
    }
    if cleanup.sources.is_empty() {
        let text = "Nothing was ever heard of what runs: POST /api/v1/running. What runs and was pulled before these days \
                    may be on this list.";
        note("nothing_heard", text.to_owned());
    }
    for silent in cleanup.silent_sources(now) {
        let hours = (now - silent.heard_at).num_hours();
        let text = format!(
            "{} has told nothing of what runs for {hours} hours, more than {}: something else may run there by now.",
            silent.source,
            SILENT_AFTER.num_hours()
        );
        note("source_silent", text);
    }
    notes
}

/// Which tags are listed, as they are asked for.
pub(crate) fn listed(kept: bool) -> Listed {
    if kept { Listed::Kept } else { Listed::Candidates }
}

/// The tags to keep, as people write them.
pub(crate) fn keep_tags(text: &str) -> Result<TagPattern, impl Display + use<>> {
    TagPattern::parse(text)
}
