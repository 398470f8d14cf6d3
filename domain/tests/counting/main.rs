//! What counts as a pull: Docker Hub's table, the rule row by row, recordings of real clients,
//! small cases, made-up days, and properties.

mod cases;
mod day;
mod days;
mod docker_hub;
mod hosts;
mod posted;
mod properties;
mod recordings;
mod rule;
#[path = "../../src/seed.rs"]
mod seed;
mod small_cases;
mod support;
