//! The stylesheet, the scripts and the icon. Their addresses tell their content, so browsers keep them for ever.

use std::fmt::Write;

use poem::{Response, http::header};
use sha2::{Digest as _, Sha256};

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A file of the pages.
#[derive(Clone, Debug)]
pub(crate) struct Asset {
    /// Its address.
    pub(crate) path: String,
    content_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = hex(content.as_bytes());
        Self { path: format!("/assets/{name}.{hash}.{extension}"), content_type, content }
    }
}

/// The files of the pages.
#[derive(Clone, Debug)]
pub(crate) struct Assets {
    pub(crate) style: Asset,
    pub(crate) script: Asset,
    pub(crate) chart: Asset,
    pub(crate) icon: Asset,
}

impl Assets {
    pub(crate) fn new() -> Self {
        let script = |name, content| Asset::new(name, "js", "text/javascript; charset=utf-8", content);
        Self {
            style: Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
            script: script("script", include_str!("../../assets/script.js")),
            chart: script("chart", include_str!("../../assets/chart.js")),
            icon: Asset::new("icon", "svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
        }
    }

    /// The file at an address.
    pub(crate) fn get(&self, path: &str) -> Option<Response> {
        let asset =
            [&self.style, &self.script, &self.chart, &self.icon].into_iter().find(|asset| asset.path == path)?;
        let response = Response::builder().content_type(asset.content_type).header(header::CACHE_CONTROL, FOR_EVER);
        Some(response.body(asset.content))
    }
}

/// The beginning of a content's SHA-256: enough to tell it from any other version.
pub(crate) fn hex(content: &[u8]) -> String {
    const BYTES: usize = 8;
    Sha256::digest(content).iter().take(BYTES).fold(String::new(), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
