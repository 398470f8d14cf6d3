//! How many new names a day may bring, so that who may post cannot fill a database.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroUsize,
};

use chrono::{DateTime, NaiveDate, Utc};

use crate::ManifestAccess;

/// On the day of a start and the next, all names are new: a day may bring so many times more. So many times more, too,
/// are remembered at least.
const LENIENCE: usize = 4;

/// Bounds the new names of a day. A name is what a row of the counts has besides its date: repository, tag, digest and
/// architecture. It is new when it is not among the names that were met last.
///
/// A name is kept as a hash of 64 bits, of a key drawn at random. Two names that share one are taken for one, with a
/// chance of one in ten million for a million names: then one more is let in.
#[derive(Debug)]
pub struct NewNames {
    most: usize,
    hashes: RandomState,
    first_day: Option<NaiveDate>,
    today: Option<NaiveDate>,
    /// New names of today that were let in.
    new: usize,
    is_reached: bool,
    /// The names met last. When they are enough they become `earlier`, and those go.
    latest: HashSet<u64>,
    earlier: HashSet<u64>,
}

/// A name is one too many for its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNames {
    /// How many new names the day has had.
    pub new: usize,
    /// Whether it is the first such name of the day.
    pub is_first: bool,
}

impl NewNames {
    /// At most so many new names a day.
    #[must_use]
    pub fn at_most(most: NonZeroUsize) -> Self {
        Self {
            most: most.get(),
            hashes: RandomState::new(),
            first_day: None,
            today: None,
            new: 0,
            is_reached: false,
            latest: HashSet::new(),
            earlier: HashSet::new(),
        }
    }

    /// Lets an access in when its name is known, or the UTC day of `now` has had few enough new ones.
    pub fn admit(&mut self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<(), TooManyNames> {
        self.begin(now.date_naive());
        let ManifestAccess { repository, tag, digest, architecture, .. } = access;
        let name = self.hashes.hash_one((repository, tag, digest, architecture));
        if self.latest.contains(&name) {
            return Ok(());
        }
        if !self.earlier.contains(&name) {
            if self.new >= self.most_today() {
                let is_first = !std::mem::replace(&mut self.is_reached, true);
                return Err(TooManyNames { new: self.new, is_first });
            }
            self.new += 1;
        }
        self.remember(name);
        Ok(())
    }

    fn begin(&mut self, day: NaiveDate) {
        self.first_day.get_or_insert(day);
        if self.today != Some(day) {
            self.today = Some(day);
            self.new = 0;
            self.is_reached = false;
        }
    }

    fn most_today(&self) -> usize {
        let starts = self.first_day.is_some_and(|first| self.today == Some(first) || self.today == first.succ_opt());
        if starts { self.most.saturating_mul(LENIENCE) } else { self.most }
    }

    fn remember(&mut self, name: u64) {
        if self.latest.len() >= self.most.saturating_mul(LENIENCE) {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RegistryEvent,
        rules::{Rules, Scope},
    };

    fn day(day: u32) -> DateTime<Utc> {
        format!("2026-11-{day:02}T20:00:00Z").parse().expect("a time")
    }

    fn access(tag: u32) -> ManifestAccess {
        let event = RegistryEvent {
            timestamp: Some("2026-11-21T20:00:00Z".into()),
            action: Some("pull".into()),
            media_type: Some("application/vnd.oci.image.manifest.v1+json".into()),
            repository: Some("demo/app".into()),
            tag: Some(format!("v{tag}")),
            digest: Some(format!("sha256:{:064x}", 1)),
            ..RegistryEvent::default()
        };
        Rules::new(Scope::AllAccesses, Vec::new()).admit(&event, day(21)).expect("admitted")
    }

    /// At most ten new names a day, started on the 1st.
    fn names() -> NewNames {
        let mut names = NewNames::at_most(NonZeroUsize::new(10).expect("ten"));
        names.admit(&access(0), day(1)).expect("the first");
        names
    }

    /// How many of these names are let in.
    fn admitted(names: &mut NewNames, tags: std::ops::Range<u32>, now: DateTime<Utc>) -> usize {
        tags.filter(|tag| names.admit(&access(*tag), now).is_ok()).count()
    }

    #[test]
    fn a_day_brings_so_many_new_names_and_known_ones_still_pass() {
        let mut names = names();
        assert_eq!(admitted(&mut names, 100..120, day(3)), 10);
        assert_eq!(names.admit(&access(0), day(3)), Ok(()));
        assert_eq!(admitted(&mut names, 100..120, day(3)), 10, "the same ten");
        assert_eq!(admitted(&mut names, 110..125, day(4)), 10, "another day");
        assert_eq!(admitted(&mut names, 100..125, day(4)), 20);
    }

    #[test]
    fn the_first_of_a_day_that_is_one_too_many_is_told_apart() {
        let mut names = names();
        for now in [day(3), day(4)] {
            let tags = u32::from(now == day(4)) * 100..;
            let refused: Vec<_> = tags.take(14).filter_map(|tag| names.admit(&access(tag + 1), now).err()).collect();
            let told = |is_first| TooManyNames { new: 10, is_first };
            assert_eq!(refused, [told(true), told(false), told(false), told(false)], "{now}");
        }
    }

    #[test]
    fn each_part_of_a_name_makes_another() {
        let repository = ManifestAccess { repository: "demo/other".parse().expect("a name"), ..access(0) };
        let untagged = ManifestAccess { tag: None, ..access(0) };
        let digest = ManifestAccess { digest: format!("sha256:{:064x}", 2).parse().expect("a digest"), ..access(0) };
        let architecture = ManifestAccess { architecture: "arm64".parse().expect("an architecture"), ..access(0) };
        let mut names = names();
        assert_eq!(admitted(&mut names, 1..11, day(3)), 10);
        for other in [repository, untagged, digest, architecture] {
            assert!(names.admit(&other, day(3)).is_err(), "{other:?}");
        }
        let later = ManifestAccess { at: day(2), ..access(0) };
        assert_eq!(names.admit(&later, day(3)), Ok(()), "a date is no part of it");
    }

    #[test]
    fn the_days_of_a_start_bring_four_times_as_many() {
        let mut names = names();
        assert_eq!(admitted(&mut names, 0..100, day(1)), 40);
        assert_eq!(admitted(&mut names, 100..200, day(2)), 40);
        assert_eq!(admitted(&mut names, 200..300, day(3)), 10);
    }

    #[test]
    fn names_met_last_are_remembered_and_their_number_is_bounded() {
        let mut names = names();
        for number in 3..28 {
            assert_eq!(admitted(&mut names, number * 10..number * 10 + 20, day(number)), 10);
            assert_eq!(names.admit(&access(0), day(number)), Ok(()), "met every day");
        }
        assert!(names.latest.len() + names.earlier.len() <= 2 * LENIENCE * 10);
        assert_eq!(admitted(&mut names, 260..290, day(28)), 30, "of the last days, and ten new ones");
        assert_eq!(admitted(&mut names, 30..40, day(28)), 0, "of long ago");
    }

    #[test]
    fn a_clock_that_was_set_back_begins_another_day() {
        let mut names = names();
        assert_eq!(admitted(&mut names, 100..120, day(20)), 10);
        assert_eq!(admitted(&mut names, 200..220, day(10)), 10);
    }
}
