//! Folds the counts of days into those of their months.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use staticreg_domain::{
    Digest,
    metrics::{CountKey, Folded, PullEvent, first_of_month, last_of_month},
};

use super::{Counts, Day, MAX_COUNT, Row, RowKey};

impl Counts {
    /// The next day, behind another, of which counts are to be folded.
    pub(crate) fn day_to_fold(&self, folded: Folded, after: Option<NaiveDate>) -> Option<NaiveDate> {
        let later = self.days.range(after.map_or(NaiveDate::MIN, |after| after.succ_opt().unwrap_or(after))..);
        let mut kept_by_month = later.take_while(|(date, _)| **date < folded.days_before);
        // The rows of a month are many: they are looked at only where they may have digests.
        let is_to_fold = |date: NaiveDate, day: &Day| {
            date != folded.date(date)
                || date < folded.digests_before && day.rows.iter().any(|row| self.moves(folded, date, &row.key))
        };
        kept_by_month.find(|(date, day)| is_to_fold(**date, day)).map(|(date, _)| *date)
    }

    /// Folds at most so many rows of a day; answers how many.
    pub(crate) fn fold_day(&mut self, folded: Folded, date: NaiveDate, at_most: usize) -> u64 {
        self.fold(folded, date, at_most, |_| true)
    }

    /// Folds what some events take from, so that it is all in one place.
    pub(crate) fn fold_lowered<'a>(&mut self, folded: Folded, events: impl Iterator<Item = &'a PullEvent>) {
        for change in events.flat_map(|event| &event.changes).filter(|change| change.delta < 0) {
            let CountKey { kind, date, repository, tag, digest: _, architecture } = &*change.key;
            if *date >= folded.days_before {
                continue;
            }
            let names = &self.names;
            let (repository, architecture) =
                (names.repositories.find(repository), names.architectures.find(architecture));
            let tag = tag.as_ref().map(|tag| names.tags.find(tag));
            let is_of_it = |key: &RowKey| {
                key.kind == *kind
                    && Some(key.repository) == repository
                    && Some(key.architecture) == architecture
                    && key.tag == tag.flatten()
                    && tag != Some(None)
            };
            let days = first_of_month(*date)..=last_of_month(*date);
            let days: Vec<NaiveDate> = self.days.range(days).map(|(day, _)| *day).collect();
            for day in days {
                self.fold(folded, day, usize::MAX, is_of_it);
            }
        }
    }

    /// Forgets at most so many rows of the days before one; answers how many.
    pub(crate) fn forget(&mut self, before: NaiveDate, at_most: usize) -> u64 {
        let mut forgotten = 0;
        while forgotten < at_most
            && let Some((&date, day)) = self.days.first_key_value()
            && date < before
        {
            let going: Vec<RowKey> = day.rows.iter().take(at_most - forgotten).map(|row| row.key).collect();
            forgotten += going.len();
            for key in going {
                self.remove(date, &key);
            }
        }
        forgotten as u64
    }

    fn moves(&self, folded: Folded, date: NaiveDate, key: &RowKey) -> bool {
        folded.moves(date, self.names.digests.name(key.digest))
    }

    fn fold(&mut self, folded: Folded, date: NaiveDate, at_most: usize, is_wanted: impl Fn(&RowKey) -> bool) -> u64 {
        let Some(day) = self.days.get(&date) else { return 0 };
        let going = day.rows.iter().filter(|row| is_wanted(&row.key) && self.moves(folded, date, &row.key));
        let going: Vec<Row> = going.take(at_most).copied().collect();
        going.into_iter().map(|row| u64::from(self.fold_row(folded, date, row))).sum()
    }

    /// Folds a row, when the month's count has room for it.
    fn fold_row(&mut self, folded: Folded, date: NaiveDate, row: Row) -> bool {
        let month = folded.date(date);
        let digest = (date < folded.digests_before).then(Digest::unknown);
        let known = digest.as_ref().map_or(Some(row.key.digest), |digest| self.names.digests.find(digest));
        let kept = known.and_then(|digest| self.days.get(&month)?.row(&RowKey { digest, ..row.key }).copied());
        let value = row.value.get() + kept.map_or(0, |kept| kept.value.get());
        let Some(value) = NonZeroU32::new(value).filter(|value| value.get() <= MAX_COUNT) else { return false };
        if let Some(kept) = kept {
            let day = self.days.entry(month).or_default();
            if let Some(kept) = day.row_mut(&kept.key) {
                kept.value = value;
                kept.created_at = kept.created_at.min(row.created_at);
                kept.updated_at = kept.updated_at.max(row.updated_at);
            }
        } else {
            let names = &mut self.names;
            let key = RowKey {
                repository: names.repositories.hold_again(row.key.repository),
                tag: row.key.tag.map(|tag| names.tags.hold_again(tag)),
                digest: match &digest {
                    Some(digest) => names.digests.hold(digest),
                    None => names.digests.hold_again(row.key.digest),
                },
                architecture: names.architectures.hold_again(row.key.architecture),
                ..row.key
            };
            self.days.entry(month).or_default().insert(Row { key, ..row });
            self.rows += 1;
        }
        self.remove(date, &row.key);
        true
    }
}
