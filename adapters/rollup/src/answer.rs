//! Breakdowns, answered from the sums that are kept.

use chrono::NaiveDate;
use staticreg_domain::metrics::{
    AccessKind, Breakdown, BreakdownRow, DateRange, DayKey, Dimension, Filter, KeyRef, Measures, MetricsError, Order,
    Rank, Slice,
};

use crate::{
    day::{Day, Detail, Sum},
    day_sums::DaySums,
    keys::{Groups, KeyTable, Parts},
};

/// Whether sums can answer: what is about one repository or digest a database's indexes find soon enough, and digests
/// the sums do not know.
pub(crate) fn can_answer(breakdown: &Breakdown) -> bool {
    let Measures { distinct, first, last: _ } = breakdown.measures;
    let is_of_names = |dimension| matches!(dimension, Dimension::Repository | Dimension::Tag | Dimension::Architecture);
    breakdown.filter.repository.is_none()
        && breakdown.filter.digest.is_none()
        && !breakdown.tells(Dimension::Digest)
        && !first
        && distinct.is_none_or(is_of_names)
}

/// How much of the days a breakdown needs.
pub(crate) fn detail(breakdown: &Breakdown) -> Detail {
    use Dimension::{Architecture, Repository, Tag};
    let is_told = [Repository, Tag, Architecture].into_iter().any(|name| breakdown.tells(name));
    let Filter { tag, architecture, .. } = &breakdown.filter;
    let needs_sums = is_told || breakdown.measures.distinct.is_some() || tag.is_some() || architecture.is_some();
    if needs_sums { Detail::Sums } else { Detail::Total }
}

/// What is told of a row beside its key.
#[derive(Clone, Copy)]
struct Told {
    sum: Sum,
    distinct: u64,
}

/// A row with its place in the list.
type Placed<'a> = ((Rank, KeyRef<'a>), Told);

impl DaySums {
    /// The page that a breakdown asks for. The days of its dates are kept.
    pub(crate) fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        let Breakdown { filter, order, page, .. } = breakdown;
        let after = page.after.as_ref().map(|position| position.place(*order));
        let is_by_day = breakdown.tells(Dimension::Date);
        let rows_come_in_order = is_by_day && *order == Order::Key;
        let mut dates = filter.dates;
        if let (true, Some(date)) = (rows_come_in_order, after.and_then(|(_, key)| key.date)) {
            // The days before the page are none of it.
            let Ok(rest) = DateRange::new(dates.from().max(date), dates.to()) else {
                return Ok(Slice::new(Vec::new(), page.limit));
            };
            dates = rest;
        }
        let kinds = breakdown.kinds();
        let days: Vec<(DayKey, &Day)> = self.within(dates).filter(|((_, kind), _)| kinds.contains(kind)).collect();
        let mut fold = Fold::new(&self.keys, breakdown);
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
        let Measures { distinct, first: _, last } = breakdown.measures;
        Slice::from_all(rows, after.as_ref(), page.limit).try_map(|((_, key), told)| {
            Ok(BreakdownRow {
                key: key.to_key(dimensions.iter().copied()).map_err(MetricsError::Corrupt)?,
                count: told.sum.count,
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
    /// Groups by what rows are told apart by and what different values are counted of.
    fine: Groups,
    /// Rows, when they are not the fine groups.
    coarse: Option<Groups>,
    /// By a key's number, the number of its fine group.
    of_keys: Vec<Option<u32>>,
    /// By the number of the fine group.
    sums: Vec<Sum>,
}

impl<'a> Fold<'a> {
    fn new(keys: &'a KeyTable, breakdown: &'a Breakdown) -> Self {
        use Dimension::{Architecture, Repository, Tag};
        let distinct = breakdown.measures.distinct;
        let [repository, tag, architecture] = [Repository, Tag, Architecture].map(|name| breakdown.tells(name));
        let [or_repository, or_tag, or_architecture] =
            [Repository, Tag, Architecture].map(|name| breakdown.tells(name) || distinct == Some(name));
        let mut fine = Groups::of_keys(or_repository, or_tag, or_architecture);
        let of_keys = keys.groups(&breakdown.filter, &mut fine);
        let count = of_keys.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        Self {
            keys,
            breakdown,
            fine,
            coarse: distinct.map(|_| Groups::of_groups(repository, tag, architecture)),
            of_keys,
            sums: vec![Sum::NONE; count],
        }
    }

    /// Adds the rows of some days to others: of one day when days are told apart.
    fn rows(&mut self, days: &[(DayKey, &Day)], rows: &mut Vec<Placed<'a>>) -> Result<(), MetricsError> {
        let date = days.first().map(|((date, _), _)| *date).filter(|_| self.breakdown.tells(Dimension::Date));
        for kind in self.breakdown.kinds() {
            let of_kind = days.iter().filter(|((_, of), _)| of == kind).map(|(_, day)| *day);
            self.sum(of_kind);
            self.add_rows(date, *kind, rows)?;
        }
        Ok(())
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
        kind: AccessKind,
        rows: &mut Vec<Placed<'a>>,
    ) -> Result<(), MetricsError> {
        let counted = (0..).zip(&self.sums).filter(|(_, sum)| sum.count > 0);
        let Some(coarse) = &mut self.coarse else {
            rows.reserve(if rows.is_empty() { self.sums.len() } else { 0 });
            for (group, sum) in counted {
                let parts = self.fine.parts(self.keys, group);
                rows.push(placed(self.keys, self.breakdown, date, kind, parts, Told { sum: *sum, distinct: 0 })?);
            }
            return Ok(());
        };
        let mut all: Vec<Told> = Vec::new();
        for (group, sum) in counted {
            let parts = self.fine.parts(self.keys, group);
            let row = coarse.number(parts, None) as usize;
            if all.len() <= row {
                all.resize(row + 1, Told { sum: Sum::NONE, distinct: 0 });
            }
            all[row].sum.add(*sum);
            let is_no_tag = self.breakdown.measures.distinct == Some(Dimension::Tag)
                && parts.tag.is_some_and(|tag| self.keys.tags.name(tag).is_empty());
            all[row].distinct += u64::from(!is_no_tag);
        }
        for (group, told) in (0..).zip(all).filter(|(_, told)| told.sum.count > 0) {
            let parts = coarse.parts(self.keys, group);
            rows.push(placed(self.keys, self.breakdown, date, kind, parts, told)?);
        }
        Ok(())
    }
}

fn placed<'a>(
    keys: &'a KeyTable,
    breakdown: &Breakdown,
    date: Option<NaiveDate>,
    kind: AccessKind,
    parts: Parts,
    told: Told,
) -> Result<Placed<'a>, MetricsError> {
    let key = KeyRef {
        date,
        repository: parts.repository.map(|number| keys.repositories.name(number)),
        tag: parts.tag.map(|number| keys.tags.name(number)).filter(|name| !name.is_empty()),
        digest: None,
        architecture: parts.architecture.map(|number| keys.architectures.name(number)),
        kind: breakdown.tells(Dimension::Kind).then(|| kind.as_str()),
    };
    let last = match breakdown.order {
        Order::LatestFirst => Some(told.sum.last_known()?),
        Order::Key | Order::MostFirst => None,
    };
    Ok(((breakdown.order.rank(told.sum.count, last), key), told))
}
