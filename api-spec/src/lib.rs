//! The OpenAPI document of the query API and the webhook, as committed in `openapi.json`.
//!
//! It is generated: `make openapi` writes it anew. The tests hold it to what the program says and to a linter's rules.

/// The document, as JSON.
pub const DOCUMENT: &str = include_str!("../openapi.json");
