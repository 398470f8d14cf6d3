//! What operators ask: whether the server is well, and the OpenAPI document.

pub(crate) mod document;
pub(crate) mod go_staticreg;
pub(crate) mod health;
pub(crate) mod metrics;
