//! Which platforms an index is for: asked of the registry when no event tells, and counted for once it is known.

mod correct;
mod lookups;

pub use correct::CorrectArchitectures;
pub use lookups::{IndexChildren, IndexLookups};
