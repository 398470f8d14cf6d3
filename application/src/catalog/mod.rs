//! Browse the registry: a snapshot of it, read in the background, that pages show without waiting.

mod fault;
mod held;
mod images;
pub mod read_image;
pub mod refresh;
mod snapshot;
mod snapshot_builder;
#[cfg(test)]
pub(crate) mod testing;

pub use held::{HeldFilter, HeldTag, ImagesOfRepository};
pub use read_image::{Attached, ImageDetails, ReadImage, ReadImageError};
pub use refresh::{CatalogChanges, RefreshCatalog, RefreshOptions};
pub use snapshot::{
    Blob, CatalogSnapshot, CatalogSnapshots, CatalogTotals, ImageSummary, ReadFault, ReadProgress, ReadStatus,
    RepositoryEntry, RepositorySummary, TagEntry, TagTarget,
};
