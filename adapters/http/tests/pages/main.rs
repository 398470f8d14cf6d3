//! The pages, in process: what they show, to whom, with which headers.

mod awkward;
mod cleanup;
mod delivery;
mod go_staticreg;
mod insights;
mod repositories;
mod repository;
mod site;
mod status;
mod tag;
