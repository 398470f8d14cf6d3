//! What counts as a pull: Docker Hub's table, the rule row by row, recordings of real clients,
//! small cases, and properties.

mod cases;
mod docker_hub;
mod posted;
mod properties;
mod recordings;
mod rule;
mod support;
