//! The pages, in process: what they show, to whom, with which headers.

mod awkward;
mod chosen;
mod cleanup;
mod delivery;
mod described;
mod embed;
mod go_staticreg;
mod insights;
mod repositories;
mod repository;
mod site;
mod status;
mod tag;
