//! Breakdowns, answered from the sums that are kept.

use chrono::NaiveDate;
use staticreg_domain::metrics::{
    AccessKind, Breakdown, BreakdownRow, DateRange, DayKey, Dimension, KeyRef, Measures, MetricsError, Order,
    OrderedBy, Place, Slice,
};

use crate::{
    day::{Day, Detail, Sum},
    day_sums::DaySums,
    keys::{Apart, Entries, Groups, KeyTable, Parts},
};

/// Whether sums can answer: what is about one repository or digest a database's indexes find soon enough, and digests
/// the sums do not know.
pub(crate) fn can_answer(breakdown: &Breakdown) -> bool {
    let Measures { distinct, first, last: _, previous_from: _ } = breakdown.measures;
    let is_of_names = |dimension| {
        matches!(dimension, Dimension::Folder | Dimension::Repository | Dimension::Tag | Dimension::Architecture)
    };
    breakdown.filter.repository.single().is_none()
        && breakdown.filter.digest.is_every()
        && !breakdown.tells(Dimension::Digest)
        && !first
        && distinct.is_none_or(is_of_names)
}

/// How much of the days a breakdown needs.
pub(crate) fn detail(breakdown: &Breakdown) -> Detail {
    let is_of_day = |dimension: Dimension| matches!(dimension, Dimension::Date | Dimension::Kind);
    let needs_total = breakdown.filter.is_of_every_name()
        && breakdown.measures.distinct.is_none()
        && breakdown.dimensions().all(is_of_day);
    if needs_total { Detail::Total } else { Detail::Sums }
}

/// What is told of a row beside its key.
#[derive(Clone, Copy)]
struct Told {
    /// Of all dates, those before too.
    sum: Sum,
    /// How much of it is of the dates before.
    previous: u64,
    distinct: u64,
}

impl Told {
    const NOTHING: Self = Self { sum: Sum::NONE, previous: 0, distinct: 0 };

    fn count(&self) -> u64 {
        self.sum.count - self.previous
    }
}

/// A row with its place in the list.
type Placed<'a> = (Place<'a>, Told);

impl DaySums {
    /// The page that a breakdown asks for. The days of its dates are kept.
    pub(crate) fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        let Breakdown { filter, order, page, .. } = breakdown;
        let after = page.after.as_ref().map(|position| position.place(*order));
        let is_by_day = breakdown.tells(Dimension::Date);
        let rows_come_in_order = is_by_day && *order == Order::Key;
        let mut dates = breakdown.dates();
        if let (true, Some(date)) = (rows_come_in_order, after.and_then(|(_, key)| key.key().date)) {
            // The days before the page are none of it.
            let Ok(rest) = DateRange::new(dates.from().max(date), dates.to()) else {
                return Ok(Slice::new(Vec::new(), page.limit));
            };
            dates = rest;
        }
        let kinds = breakdown.kinds();
        let days: Vec<(DayKey, &Day)> = self.within(dates).filter(|((_, kind), _)| kinds.contains(kind)).collect();
        let tells_entries =
            breakdown.tells(Dimension::Folder) || breakdown.measures.distinct == Some(Dimension::Folder);
        let entries = if tells_entries { Entries::new(&self.keys, filter.folder.as_ref()) } else { Entries::default() };
        let mut fold = Fold::new(&self.keys, &entries, breakdown);
        let needed = page.limit as usize + 1;
        let mut rows: Vec<Placed<'_>> = Vec::new();
        if is_by_day {
            for day in days.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
                let first = rows.len();
                fold.rows(day, &mut rows)?;
                if rows_come_in_order {
                    rows[first..].sort_unstable_by_key(|(place, _)| *place);
                    if rows.iter().filter(|(place, _)| after.is_none_or(|after| *place > after)).count() >= needed {
                        break;
                    }
                }
            }
        } else {
            fold.rows(&days, &mut rows)?;
        }
        let dimensions: Vec<Dimension> = breakdown.dimensions().collect();
        let Measures { distinct, first: _, last, previous_from } = breakdown.measures;
        Slice::from_all(rows, after.as_ref(), page.limit).try_map(|((_, key), told)| {
            Ok(BreakdownRow {
                key: key.key().to_key(dimensions.iter().copied()).map_err(MetricsError::Corrupt)?,
                count: told.count(),
                previous: previous_from.map(|_| told.previous),
                distinct: distinct.map(|_| told.distinct),
                first_on: None,
                last_at: if last { Some(told.sum.last_known()?) } else { None },
            })
        })
    }
}

impl Sum {
    fn last_known(&self) -> Result<chrono::DateTime<chrono::Utc>, MetricsError> {
        self.last().ok_or_else(|| MetricsError::Corrupt("a time is beyond every calendar".into()))
    }
}

/// Sums the counts of days by what is asked for.
struct Fold<'a> {
    keys: &'a KeyTable,
    breakdown: &'a Breakdown,
    /// What lies right in the folder, when that is asked for.
    entries: &'a Entries,
    /// Groups by what rows are told apart by and what different values are counted of.
    fine: Groups,
    /// Rows, when they are not the fine groups.
    coarse: Option<Groups>,
    /// By a key's number, the number of its fine group.
    of_keys: Vec<Option<u32>>,
    /// By the number of the fine group.
    sums: Vec<Sum>,
    /// How much of these is of the dates before; empty when that is not told.
    previous: Vec<u64>,
}

impl<'a> Fold<'a> {
    fn new(keys: &'a KeyTable, entries: &'a Entries, breakdown: &'a Breakdown) -> Self {
        let distinct = breakdown.measures.distinct;
        let apart = |is_apart: &dyn Fn(Dimension) -> bool| Apart {
            entry: is_apart(Dimension::Folder),
            repository: is_apart(Dimension::Repository),
            tag: is_apart(Dimension::Tag),
            architecture: is_apart(Dimension::Architecture),
        };
        let mut fine = Groups::of_keys(apart(&|part| breakdown.tells(part) || distinct == Some(part)));
        let of_keys = keys.groups(&breakdown.filter, entries, &mut fine);
        let count = of_keys.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        Self {
            keys,
            breakdown,
            entries,
            fine,
            coarse: distinct.map(|_| Groups::of_groups(apart(&|part| breakdown.tells(part)))),
            of_keys,
            sums: vec![Sum::NONE; count],
            previous: Vec::new(),
        }
    }

    /// Adds the rows of some days to others: of one day when days are told apart.
    fn rows(&mut self, days: &[(DayKey, &Day)], rows: &mut Vec<Placed<'a>>) -> Result<(), MetricsError> {
        let date = days.first().map(|((date, _), _)| *date).filter(|_| self.breakdown.tells(Dimension::Date));
        if !self.breakdown.tells(Dimension::Kind) {
            self.sum_all(days.iter().copied());
            return self.add_rows(date, None, rows);
        }
        for kind in self.breakdown.kinds() {
            self.sum_all(days.iter().copied().filter(|((_, of), _)| of == kind));
            self.add_rows(date, Some(*kind), rows)?;
        }
        Ok(())
    }

    /// Sums days, and those before the filter's dates by themselves too when that is told.
    fn sum_all<'d>(&mut self, days: impl Iterator<Item = (DayKey, &'d Day)> + Clone) {
        if self.breakdown.measures.previous_from.is_some() {
            let from = self.breakdown.filter.dates.from();
            self.sum(days.clone().filter(|((date, _), _)| *date < from).map(|(_, day)| day));
            self.previous = self.sums.iter().map(|sum| sum.count).collect();
        }
        self.sum(days.map(|(_, day)| day));
    }

    fn sum<'d>(&mut self, days: impl Iterator<Item = &'d Day>) {
        self.sums.fill(Sum::NONE);
        if detail(self.breakdown) == Detail::Total {
            self.sums = vec![days.fold(Sum::NONE, |mut sum, day| {
                sum.add(day.total);
                sum
            })];
            return;
        }
        for day in days {
            day.for_each(|key, sum| {
                if let Some(group) = self.of_keys[key as usize] {
                    self.sums[group as usize].add(sum);
                }
            });
        }
    }

    fn add_rows(
        &mut self,
        date: Option<NaiveDate>,
        kind: Option<AccessKind>,
        rows: &mut Vec<Placed<'a>>,
    ) -> Result<(), MetricsError> {
        let (keys, entries, breakdown) = (self.keys, self.entries, self.breakdown);
        let row = |parts, told| placed(keys, entries, breakdown, date, kind, parts, told);
        let previous = self.previous.iter().copied().chain(std::iter::repeat(0));
        let counted = (0..).zip(self.sums.iter().zip(previous)).filter(|(_, (sum, _))| sum.count > 0);
        let counted = counted.map(|(group, (sum, previous))| (group, Told { sum: *sum, previous, distinct: 0 }));
        let Some(coarse) = &mut self.coarse else {
            rows.reserve(if rows.is_empty() { self.sums.len() } else { 0 });
            for (group, told) in counted {
                rows.push(row(self.fine.parts(self.keys, group), told)?);
            }
            return Ok(());
        };
        let mut all: Vec<Told> = Vec::new();
        for (group, told) in counted {
            let parts = self.fine.parts(self.keys, group);
            let group = coarse.number(parts, None) as usize;
            if all.len() <= group {
                all.resize(group + 1, Told::NOTHING);
            }
            all[group].sum.add(told.sum);
            all[group].previous += told.previous;
            let is_no_tag = self.breakdown.measures.distinct == Some(Dimension::Tag)
                && parts.tag.is_some_and(|tag| self.keys.tags.name(tag).is_empty());
            all[group].distinct += u64::from(!is_no_tag && told.count() > 0);
        }
        for (group, told) in (0..).zip(all).filter(|(_, told)| told.sum.count > 0) {
            let parts = coarse.parts(self.keys, group);
            rows.push(row(parts, told)?);
        }
        Ok(())
    }
}

fn placed<'a>(
    keys: &'a KeyTable,
    entries: &'a Entries,
    breakdown: &Breakdown,
    date: Option<NaiveDate>,
    kind: Option<AccessKind>,
    parts: Parts,
    told: Told,
) -> Result<Placed<'a>, MetricsError> {
    let key = KeyRef {
        date,
        folder: parts.entry.map(|number| entries.name(number)),
        repository: parts.repository.map(|number| keys.repositories.name(number)),
        tag: parts.tag.map(|number| keys.tags.name(number)).filter(|name| !name.is_empty()),
        digest: None,
        architecture: parts.architecture.map(|number| keys.architectures.name(number)),
        kind: kind.map(AccessKind::as_str),
    };
    let last = match breakdown.order.by() {
        OrderedBy::Last => Some(told.sum.last_known()?),
        OrderedBy::Key | OrderedBy::Count | OrderedBy::Growth => None,
    };
    Ok((breakdown.order.place(told.count(), told.previous, last, key), told))
}
