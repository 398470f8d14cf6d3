//! Browse the registry: a picture of it, read in the background, that pages show without waiting.

mod snapshot;

pub use snapshot::{
    CatalogSnapshot, CatalogTotals, CatalogView, ImageSummary, ReadFault, ReadProgress, ReadStatus, RepositoryEntry,
    TagEntry, TagTarget,
};
