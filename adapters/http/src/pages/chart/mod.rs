//! Charts: SVG drawn here, coloured by the stylesheet, so that they follow the theme.
//!
//! Widths are in per cent, so that a chart fits every screen while its text keeps its size. Every chart has its values
//! as tooltips and as a table. What the period before counted is a line of its own, the ghost.

mod buckets;
mod file;
mod small;

pub(crate) use file::{ChartFile, Theme};
pub(crate) use small::{Share, Sparkline};

use std::fmt;

use askama::Template;
use chrono::NaiveDate;
use staticreg_application::{
    browse::{Daily, Series},
    intervals::Interval,
};

use self::buckets::{Bucket, Cut};
use super::text;

/// The height of the plot, in pixels.
const HEIGHT: f64 = 200.0;

/// The space on each side of a bar, as a part of its day's width.
const GAP: f64 = 0.14;

/// How many series are told apart; the rest is one.
const MAX_SERIES: usize = 5;

/// How many dates stand below a chart.
const DATES: usize = 4;

/// A chart of counts over time.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    /// Unique on the page.
    id: &'static str,
    title: String,
    /// What a screen reader tells instead of the bars.
    description: String,
    /// Whether nothing was counted: then that sentence tells more than empty axes.
    empty: bool,
    /// `Day`, `Week from`, ...
    unit: &'static str,
    /// Whether bars stand on each other.
    stacked: bool,
    height: f64,
    /// The count at the plot's upper edge.
    top: f64,
    legend: Vec<LegendItem>,
    levels: Vec<Level>,
    dates: Vec<DateLabel>,
    bars: Vec<Bar>,
    /// Paths in a box of 100 x [`HEIGHT`]; none for bars.
    lines: Vec<Line>,
    /// The same of the period before: one for all bars, or one for each line.
    ghosts: Vec<Ghost>,
    /// Where the values are to be had as CSV.
    csv: String,
}

/// What was counted in the period before.
struct Ghost {
    class: usize,
    /// As the table calls it.
    name: String,
    total: String,
    path: String,
}

struct LegendItem {
    class: usize,
    name: String,
    total: String,
}

struct Level {
    y: Pixels,
    label: String,
}

struct DateLabel {
    x: Percent,
    anchor: &'static str,
    label: String,
}

struct Bar {
    /// Whether it stands for days that are not over.
    so_far: bool,
    x: Percent,
    width: Percent,
    hit_x: Percent,
    hit_width: Percent,
    title: String,
    label: String,
    values: Vec<String>,
    before: Vec<String>,
    parts: Vec<Segment>,
}

struct Segment {
    class: usize,
    y: Pixels,
    height: Pixels,
}

/// A length of the plot's width.
#[derive(Clone, Copy)]
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}%", self.0)
    }
}

/// A length.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pixels(f64);

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

struct Line {
    class: usize,
    /// Through what is over.
    path: String,
    /// From there to what is not over.
    so_far: Option<String>,
}

/// What a chart is made of.
pub(crate) struct ChartInput<'a> {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) daily: &'a Daily,
    /// The period before: as one series for bars, as the same ones for lines.
    pub(crate) before: Option<&'a Daily>,
    /// What a bar stands for; none for what suits the days.
    pub(crate) interval: Option<Interval>,
    pub(crate) today: NaiveDate,
    pub(crate) csv: String,
}

/// How the series stand to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As parts of a sum.
    Stacked,
    /// Side by side; their sum means nothing.
    Lines,
}

impl Kind {
    /// How high a bar, or the highest of several lines, reaches.
    fn height(self, values: &[u64]) -> u64 {
        match self {
            Self::Stacked => values.iter().sum(),
            Self::Lines => values.iter().copied().max().unwrap_or_default(),
        }
    }
}

impl Chart {
    /// Bars, one on the other by series.
    pub(crate) fn stacked(input: ChartInput<'_>) -> Self {
        let series = with_rest(&input.daily.series);
        let (mut chart, buckets) = Self::frame(input, &series, Kind::Stacked);
        let scale = chart.scale();
        for (bar, bucket) in chart.bars.iter_mut().zip(&buckets) {
            let mut top = HEIGHT;
            for (class, value) in bucket.values.iter().enumerate().filter(|(_, value)| **value > 0) {
                let height = as_f64(*value) * scale;
                top -= height;
                bar.parts.push(Segment { class, y: Pixels(top), height: Pixels(height) });
            }
        }
        chart
    }

    /// A line for each series.
    pub(crate) fn lines(input: ChartInput<'_>) -> Self {
        let series = with_rest(&input.daily.series);
        let (mut chart, buckets) = Self::frame(input, &series, Kind::Lines);
        chart.lines = (0..series.len())
            .map(|class| {
                let points = chart.points(buckets.iter().map(|bucket| bucket.values[class]));
                match points.as_slice() {
                    [over @ .., last, today] if buckets.last().is_some_and(|bucket| bucket.so_far) => {
                        let over: Vec<_> = over.iter().chain([last]).map(String::as_str).collect();
                        Line { class, path: format!("M{}", over.join("L")), so_far: Some(format!("M{last}L{today}")) }
                    }
                    points => Line { class, path: format!("M{}", points.join("L")), so_far: None },
                }
            })
            .collect();
        chart
    }

    /// The axes, the texts and the empty bars.
    fn frame(input: ChartInput<'_>, series: &[Series], kind: Kind) -> (Self, Vec<Bucket>) {
        let ChartInput { id, title, daily, before, interval, today, csv } = input;
        let cut = Cut::of(daily, interval);
        // Months that are kept as such are not as long as those before.
        let is_by_day = |before: &&Daily| daily.months_before.is_none() && before.months_before.is_none();
        let before = before.filter(is_by_day).map(|before| before.series.as_slice()).unwrap_or_default();
        let buckets = cut.buckets(daily, series, before, today);
        let height = |bucket: &Bucket| kind.height(&bucket.values).max(kind.height(&bucket.before));
        let most = buckets.iter().map(height).max().unwrap_or_default();
        let step = step(most);
        let steps = most.div_ceil(step).max(1);
        let top = as_f64(steps * step);
        let levels = (0..=steps)
            .map(|level| level * step)
            .map(|count| Level { y: Pixels(HEIGHT - as_f64(count) / top * HEIGHT), label: text::short(count) })
            .collect();
        let day = 100.0 / as_f64(buckets.iter().map(Bucket::days).sum());
        let mut days_before = 0;
        let bars: Vec<_> = buckets
            .iter()
            .map(|bucket| {
                // As wide as its days: the first may have fewer.
                let (hit_x, width) = (as_f64(days_before) * day, as_f64(bucket.days()) * day);
                days_before += bucket.days();
                Bar {
                    so_far: bucket.so_far,
                    x: Percent(hit_x + width * GAP),
                    width: Percent(width * (1.0 - 2.0 * GAP)),
                    hit_x: Percent(hit_x),
                    hit_width: Percent(width),
                    title: tooltip(bucket, series, kind),
                    label: if bucket.so_far {
                        format!("{}, so far", text::date(bucket.first))
                    } else {
                        text::date(bucket.first)
                    },
                    values: bucket.values.iter().map(|value| text::number(*value)).collect(),
                    before: bucket.before.iter().map(|value| text::number(*value)).collect(),
                    parts: Vec::new(),
                }
            })
            .collect();
        let legend = series
            .iter()
            .enumerate()
            .map(|(class, series)| LegendItem { class, name: series.name.clone(), total: text::number(series.total()) })
            .collect();
        let mut chart = Self {
            id,
            title,
            description: description(&buckets, series, daily, kind),
            empty: most == 0,
            unit: cut.unit(),
            stacked: kind == Kind::Stacked,
            height: HEIGHT,
            top,
            legend,
            levels,
            dates: dates(&buckets, &bars, today),
            bars,
            lines: Vec::new(),
            ghosts: Vec::new(),
            csv,
        };
        let ghost = |(class, series): (usize, &Series)| Ghost {
            class,
            name: if series.name.is_empty() { "before".to_owned() } else { format!("{}, before", series.name) },
            total: text::number(series.total()),
            path: format!("M{}", chart.points(buckets.iter().map(|bucket| bucket.before[class])).join("L")),
        };
        chart.ghosts = before.iter().enumerate().map(ghost).collect();
        (chart, buckets)
    }

    /// The points of a line through the middles of all bars; through all of it, when there is but one.
    fn points(&self, values: impl Iterator<Item = u64>) -> Vec<String> {
        let scale = self.scale();
        let places = self.bars.iter().zip(values).map(|(bar, value)| (bar, HEIGHT - as_f64(value) * scale));
        if let [bar] = self.bars.as_slice() {
            let ends = [bar.hit_x.0, bar.hit_x.0 + bar.hit_width.0];
            return places.flat_map(|(_, y)| ends.map(|x| format!("{x:.2} {y:.1}"))).collect();
        }
        places.map(|(bar, y)| format!("{:.2} {y:.1}", bar.hit_x.0 + bar.hit_width.0 / 2.0)).collect()
    }

    /// Pixels per count.
    fn scale(&self) -> f64 {
        HEIGHT / self.top
    }
}

/// The first series, and the sum of all others as one.
fn with_rest(series: &[Series]) -> Vec<Series> {
    if series.len() <= MAX_SERIES + 1 {
        return series.to_vec();
    }
    let (shown, others) = series.split_at(MAX_SERIES);
    let mut rest = Series { name: format!("{} others", others.len()), days: vec![0; others[0].days.len()] };
    for other in others {
        for (sum, count) in rest.days.iter_mut().zip(&other.days) {
            *sum += count;
        }
    }
    shown.iter().cloned().chain([rest]).collect()
}

/// The distance of the levels: 1, 2 or 5 times a power of ten, so that there are about four.
fn step(most: u64) -> u64 {
    const LEVELS: u64 = 4;
    let wanted = most.div_ceil(LEVELS).max(1);
    let power = 10_u64.pow(wanted.ilog10());
    [1, 2, 5, 10].into_iter().map(|factor| factor * power).find(|step| *step >= wanted).unwrap_or(wanted)
}

/// `21 Nov 2026: 12 (amd64 10, arm64 2), before 9`, or `21 Nov 2026: pulls 12, version checks 7`.
fn tooltip(bucket: &Bucket, series: &[Series], kind: Kind) -> String {
    let days = if bucket.first == bucket.last {
        text::day(bucket.first)
    } else {
        format!("{} to {}", text::date(bucket.first), text::date(bucket.last))
    };
    let days = if bucket.so_far { format!("{days}, so far") } else { days };
    let parts: Vec<String> = bucket
        .values
        .iter()
        .zip(series)
        .filter(|(value, _)| **value > 0)
        .map(|(value, series)| format!("{} {}", series.name, text::number(*value)))
        .collect();
    let before = match (kind, bucket.before.as_slice()) {
        (Kind::Stacked, [before]) => format!(", before {}", text::number(*before)),
        _ => String::new(),
    };
    match parts.as_slice() {
        [] => format!("{days}: 0{before}"),
        [_, _, ..] if kind == Kind::Stacked => {
            format!("{days}: {} ({}){before}", text::number(kind.height(&bucket.values)), parts.join(", "))
        }
        _ => format!("{days}: {}{before}", parts.join(", ")),
    }
}

/// What the chart shows, in two sentences.
fn description(buckets: &[Bucket], series: &[Series], daily: &Daily, kind: Kind) -> String {
    let range = format!("{} to {}", text::date(daily.range.from()), text::date(daily.range.to()));
    let height = |bucket: &Bucket| kind.height(&bucket.values);
    let most = buckets.iter().max_by_key(|bucket| (height(bucket), bucket.first)).filter(|bucket| height(bucket) > 0);
    let Some(most) = most else {
        return format!("Nothing was counted from {range}.");
    };
    let totals: Vec<String> =
        series.iter().map(|series| format!("{} {}", series.name, text::number(series.total()))).collect();
    let most = tooltip(most, series, kind);
    format!("From {range}: {}. Most on {most}. The table below holds all values.", totals.join(", "))
}

fn dates(buckets: &[Bucket], bars: &[Bar], today: NaiveDate) -> Vec<DateLabel> {
    let last = buckets.len().saturating_sub(1);
    let labels = DATES.min(buckets.len());
    let mut shown: Vec<usize> = (0..labels).map(|label| label * last / labels.saturating_sub(1).max(1)).collect();
    shown.dedup();
    shown
        .into_iter()
        .map(|index| {
            let (anchor, part) = match index {
                0 if last > 0 => ("start", 0.0),
                _ if index == last && last > 0 => ("end", 1.0),
                _ => ("middle", 0.5),
            };
            let x = Percent(bars[index].hit_x.0 + part * bars[index].hit_width.0);
            DateLabel { x, anchor, label: text::short_date(buckets[index].first, today) }
        })
        .collect()
}

/// Counts as lengths; what a double cannot hold exactly no eye can see.
#[expect(clippy::cast_precision_loss, reason = "lengths on a screen need no more than 52 bits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::DateRange;

    use super::*;

    fn daily(to: &str, series: &[(&str, &[u64])]) -> Daily {
        let days = u32::try_from(series.first().map_or(1, |(_, days)| days.len())).unwrap();
        let series =
            series.iter().map(|(name, days)| Series { name: (*name).to_owned(), days: days.to_vec() }).collect();
        Daily { range: DateRange::days_until(to.parse().unwrap(), days), months_before: None, series }
    }

    fn input(daily: &Daily) -> ChartInput<'_> {
        let today = daily.range.to();
        ChartInput {
            id: "pulls",
            title: "Pulls".to_owned(),
            daily,
            before: None,
            interval: None,
            today,
            csv: "/export/daily.csv".to_owned(),
        }
    }

    #[test]
    fn levels_are_round_numbers_and_reach_over_the_highest_bar() {
        for (most, expected) in [(0, 1), (1, 1), (4, 1), (5, 2), (17, 5), (40, 10), (41, 20), (123_456, 50_000)] {
            assert_eq!(step(most), expected, "{most}");
        }
        let chart = Chart::stacked(input(&daily("2026-11-21", &[("amd64", &[3, 41]), ("arm64", &[1, 1])])));
        let labels: Vec<&str> = chart.levels.iter().map(|level| level.label.as_str()).collect();
        assert_eq!(labels, ["0", "20", "40", "60"]);
    }

    #[test]
    fn bars_stand_on_each_other_and_tell_their_values() {
        let chart = Chart::stacked(input(&daily("2026-11-21", &[("amd64", &[2, 3]), ("arm64", &[0, 1])])));
        assert_eq!(chart.bars[1].title, "Sat 21 Nov 2026, so far: 4 (amd64 3, arm64 1)");
        assert_eq!(chart.bars[0].title, "Fri 20 Nov 2026: amd64 2");
        let parts: Vec<(Pixels, Pixels)> = chart.bars[1].parts.iter().map(|part| (part.y, part.height)).collect();
        assert_eq!(parts, [(Pixels(50.0), Pixels(150.0)), (Pixels(0.0), Pixels(50.0))]);
    }

    #[test]
    fn a_long_range_is_shown_in_steps_that_lose_nothing() {
        let chart = Chart::stacked(input(&daily("2026-11-21", &[("amd64", &[1; 300])])));
        assert_eq!(chart.unit, "7 days from");
        assert_eq!(chart.bars.len(), 43);
        let sum: u64 = chart.bars.iter().map(|bar| bar.values[0].parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 300);
    }

    #[test]
    fn the_latest_bar_has_as_many_days_as_others_and_the_first_is_as_wide_as_its_own() {
        let chart = Chart::stacked(input(&daily("2026-11-21", &[("amd64", &[1; 365])])));
        let values: Vec<_> = chart.bars.iter().map(|bar| bar.values[0].as_str()).collect();
        assert_eq!((values.len(), values[0], values[1], values[52]), (53, "1", "7", "7"));
        assert!((chart.bars[1].hit_width.0 / chart.bars[0].hit_width.0 - 7.0).abs() < 1e-9);
        assert_eq!(chart.bars[52].title, "15 Nov 2026 to 21 Nov 2026, so far: amd64 7");
        assert_eq!(chart.bars[51].title, "8 Nov 2026 to 14 Nov 2026: amd64 7");
    }

    #[test]
    fn what_is_not_over_is_hatched_or_dashed() {
        let daily = daily("2026-11-21", &[("amd64", &[1, 2, 3])]);
        let bars = Chart::stacked(input(&daily)).render().unwrap();
        assert_eq!(bars.matches("url(#pulls-so-far)").count(), 1, "{bars}");
        let lines = Chart::lines(input(&daily)).render().unwrap();
        assert_eq!(lines.matches("so-far series-0").count(), 1, "{lines}");
        let over = ChartInput { today: "2026-11-23".parse().unwrap(), ..input(&daily) };
        let bars = Chart::stacked(over).render().unwrap();
        assert!(!bars.contains("url(#") && !bars.contains("so far"), "{bars}");
    }

    #[test]
    fn where_counts_are_kept_by_month_they_are_shown_so() {
        let mut kept = daily("2026-03-10", &[("amd64", &[0; 69])]);
        (kept.series[0].days[0], kept.series[0].days[31], kept.series[0].days[68]) = (310, 280, 7);
        kept.months_before = "2026-03-01".parse().ok();
        let chart = Chart::stacked(input(&kept));
        let bars: Vec<_> = chart.bars.iter().map(|bar| (bar.label.as_str(), bar.values[0].as_str())).collect();
        assert_eq!(
            (chart.unit, bars.as_slice()),
            ("Month from", &[("1 Jan 2026", "310"), ("1 Feb 2026", "280"), ("1 Mar 2026, so far", "7")][..])
        );
    }

    #[test]
    fn who_chooses_an_interval_sees_it() {
        let year = daily("2026-11-21", &[("amd64", &[1; 365])]);
        for (interval, unit, bars, first, last) in [
            (Interval::Day, "Day", 365, "22 Nov 2025", "21 Nov 2026, so far"),
            (Interval::Week, "7 days from", 53, "22 Nov 2025", "15 Nov 2026, so far"),
            (Interval::Month, "Month from", 13, "22 Nov 2025", "1 Nov 2026, so far"),
        ] {
            let chart = Chart::stacked(ChartInput { interval: Some(interval), ..input(&year) });
            let labels = (chart.bars[0].label.as_str(), chart.bars[bars - 1].label.as_str());
            assert_eq!((chart.unit, chart.bars.len(), labels), (unit, bars, (first, last)));
        }
        // No page holds the days of ten years.
        let years = daily("2026-11-21", &[("amd64", &vec![1; 3_650])]);
        let chart = Chart::stacked(ChartInput { interval: Some(Interval::Day), ..input(&years) });
        assert_eq!(chart.unit, "13 weeks from");
    }

    #[test]
    fn the_period_before_is_a_line_over_the_bars_and_a_column_of_the_table() {
        let now = daily("2026-11-21", &[("amd64", &[2, 3]), ("arm64", &[0, 1])]);
        let before = daily("2026-11-19", &[("", &[8, 1])]);
        let chart = Chart::stacked(ChartInput { before: Some(&before), ..input(&now) });
        assert_eq!(chart.bars[0].title, "Fri 20 Nov 2026: amd64 2, before 8");
        assert_eq!((chart.top, chart.ghosts.len()), (8.0, 1));
        assert_eq!((chart.ghosts[0].path.as_str(), chart.ghosts[0].total.as_str()), ("M25.00 0.0L75.00 175.0", "9"));
        let html = chart.render().unwrap();
        assert!(html.contains(r#"<th scope="col" class="number">before</th>"#), "{html}");
        assert!(
            html.contains(r#"<td class="number">2</td><td class="number">0</td><td class="number">8</td>"#),
            "{html}"
        );
        // Of weeks those that as many days lie in.
        let now = daily("2026-11-21", &[("amd64", &[1; 110])]);
        let before = daily("2026-08-03", &[("", &[2; 110])]);
        let chart = Chart::stacked(ChartInput { before: Some(&before), ..input(&now) });
        let values: Vec<_> = chart.bars.iter().map(|bar| bar.before[0].as_str()).collect();
        assert_eq!((values.len(), values[0], values[1]), (16, "10", "14"));
    }

    #[test]
    fn each_line_has_its_own_line_before() {
        let now = daily("2026-11-21", &[("pulls", &[2, 3]), ("checks", &[4, 1])]);
        let before = daily("2026-11-19", &[("pulls", &[1, 1]), ("checks", &[4, 4])]);
        let chart = Chart::lines(ChartInput { before: Some(&before), ..input(&now) });
        let ghosts: Vec<_> = chart.ghosts.iter().map(|ghost| (ghost.class, ghost.name.as_str())).collect();
        assert_eq!(ghosts, [(0, "pulls, before"), (1, "checks, before")]);
        assert_eq!(chart.bars[1].before, ["1", "4"]);
    }

    #[test]
    fn a_single_bar_is_crossed_by_its_line() {
        let chart = Chart::lines(input(&daily("2026-11-21", &[("pulls", &[3])])));
        assert_eq!(chart.lines[0].so_far.as_deref().or(Some(&chart.lines[0].path)), Some("M0.00 0.0L100.00 0.0"));
    }

    #[test]
    fn many_series_are_shown_as_some_and_the_rest() {
        let names: Vec<String> = (0..9).map(|index| format!("arch{index}")).collect();
        let series: Vec<(&str, &[u64])> = names.iter().map(|name| (name.as_str(), &[1][..])).collect();
        let chart = Chart::stacked(input(&daily("2026-11-21", &series)));
        let last = chart.legend.last().unwrap();
        assert_eq!((chart.legend.len(), last.name.as_str(), last.total.as_str()), (6, "4 others", "4"));
    }

    #[test]
    fn the_values_are_there_as_text() {
        let awkward = r#"</title><script>alert("1")</script>"#;
        let html = Chart::stacked(input(&daily("2026-11-21", &[(awkward, &[1, 2])]))).render().unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("<td>20 Nov 2026</td>") || html.contains(">20 Nov 2026</th>"), "{html}");
    }

    #[test]
    fn nothing_counted_is_an_empty_chart_not_a_broken_one() {
        for days in [&[0_u64][..], &[0; 30]] {
            let html = Chart::lines(input(&daily("2026-11-21", &[("pulls", days)]))).render().unwrap();
            assert!(html.contains("Nothing was counted") && !html.contains("NaN"), "{html}");
        }
    }
}
