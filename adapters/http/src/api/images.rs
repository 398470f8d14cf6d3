//! `GET /api/v1/images`.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{ImagePulls, Listed};

use super::{count, example_time, list::Item, operation::list_operation, optional_tag};

pub(crate) struct ImagesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per repository and tag, most first.
    ///
    /// Images with equal counts follow each other by repository and tag.
    GET "/api/v1/images" as "list_images" on ImagesApi(
        /// Only this repository.
        repository: Option<String>,
        /// Only this tag.
        tag: Option<String>,
    ) -> Image, |ask, filter, page| (ask.images(filter, page).await?, Image::from)
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct Image {
    /// The repository.
    pub(crate) repository: String,
    /// The tag; null for accesses that named none.
    #[oai(nullable)]
    pub(crate) tag: Option<String>,
    /// The count.
    pub(crate) pulls: u64,
    /// The latest access.
    pub(crate) last_pulled_at: DateTime<Utc>,
}

impl Example for Image {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            pulls: 96,
            last_pulled_at: example_time(),
        }
    }
}

impl From<ImagePulls> for Image {
    fn from(item: ImagePulls) -> Self {
        let ImagePulls { repository, tag, pulls, last_pulled_at } = item;
        Self { repository: repository.to_string(), tag: tag.map(|tag| tag.to_string()), pulls, last_pulled_at }
    }
}

impl Item for Image {
    type Source = ImagePulls;
    type Wire = (u64, String, Option<String>);

    const COLUMNS: &'static [&'static str] = &["repository", "tag", "pulls", "last_pulled_at"];

    fn to_wire((pulls, repository, tag): <ImagePulls as Listed>::Position) -> Self::Wire {
        (pulls, repository.to_string(), tag.map(|tag| tag.to_string()))
    }

    fn from_wire((pulls, repository, tag): Self::Wire) -> Option<<ImagePulls as Listed>::Position> {
        Some((count(pulls)?, repository.parse().ok()?, optional_tag(tag).ok()?))
    }
}
