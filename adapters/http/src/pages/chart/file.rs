//! A chart as a file of its own, for pages of others.

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{Chart, LegendItem};
use crate::pages::text;

/// The colours of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As whoever looks has it.
    Auto,
    Light,
    Dark,
}

const LIGHT: &str = ":root{--card:#fff;--line:#e3e3dd;--text:#1c2024;--muted:#5c656d;--series-0:#0f766e;--series-1:#d07c12;\
    --series-2:#3f63c8;--series-3:#a1468e;--series-4:#6f8a1c;--series-5:#87909a}";
const DARK: &str = ":root{--card:#1a1e22;--line:#2d343a;--text:#e7eaec;--muted:#9aa5ad;--series-0:#4fc3b7;--series-1:#eaa94f;\
    --series-2:#86a5f5;--series-3:#dd8fcb;--series-4:#b3cd5f;--series-5:#78828b}";
const SHAPES: &str = "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--muted)}\
    .title{font-size:16px;font-weight:600;fill:var(--text)}.card,.hatch{fill:var(--card)}.card{stroke:var(--line)}\
    .hatch{opacity:.6}.level{stroke:var(--line)}.series-0{fill:var(--series-0)}.series-1{fill:var(--series-1)}\
    .series-2{fill:var(--series-2)}.series-3{fill:var(--series-3)}.series-4{fill:var(--series-4)}\
    .series-5{fill:var(--series-5)}";

impl Theme {
    fn style(self) -> String {
        match self {
            Self::Auto => format!("{LIGHT}@media(prefers-color-scheme:dark){{{DARK}}}{SHAPES}"),
            Self::Light => format!("{LIGHT}{SHAPES}"),
            Self::Dark => format!("{DARK}{SHAPES}"),
        }
    }
}

/// The items of the legend that one line has room for.
const LEGEND_LINE: usize = 3;

/// The most characters of a name in the legend.
const NAME_MOST: usize = 24;

/// An SVG file of a chart, with its title, its total and a link to the page that it is from.
#[derive(Template)]
#[template(path = "chart.svg", escape = "html")]
pub(crate) struct ChartFile {
    /// None when nothing is known.
    pub(crate) chart: Option<Chart>,
    pub(crate) title: String,
    /// What stands below the title.
    pub(crate) note: String,
    pub(crate) link: String,
    pub(crate) theme: Theme,
}

impl ChartFile {
    fn style(&self) -> String {
        self.theme.style()
    }

    /// The legend, line by line. What is told apart comes from outside, and may be long.
    fn legend(chart: &Chart) -> Vec<Vec<(usize, String)>> {
        let item = |LegendItem { class, name, total }: &LegendItem| {
            (*class, format!("{} {total}", text::shortened(&text::visible(name), NAME_MOST)))
        };
        chart.legend.chunks(LEGEND_LINE).map(|items| items.iter().map(item).collect()).collect()
    }

    /// The style that the file has, as a Content-Security-Policy names it (CSP level 3, 2.3.1).
    pub(crate) fn style_source(&self) -> String {
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(self.style())))
    }
}
