//! Browse the registry: a picture of it, read in the background, that pages show without waiting.

mod fault;
mod images;
mod picture;
pub mod read_image;
pub mod refresh;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;

pub use read_image::{ImageDetails, ReadImage, ReadImageError};
pub use refresh::{CatalogChanges, RefreshCatalog, RefreshOptions};
pub use snapshot::{
    CatalogSnapshot, CatalogTotals, CatalogView, ImageSummary, ReadFault, ReadProgress, ReadStatus, RepositoryEntry,
    TagEntry, TagTarget,
};
