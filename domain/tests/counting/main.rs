//! What counts as a pull: Docker Hub's table, the rule row by row, recordings of real clients, and properties.

mod docker_hub;
mod properties;
mod recordings;
mod rule;
mod support;
