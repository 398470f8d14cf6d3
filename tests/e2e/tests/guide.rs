//! The guide of the Go staticreg, to the letter: its Compose file with the image made of `compose/Dockerfile`. There is no
//! Docker here; the processes run in a network of their own, where the names of the services lead to it.

use std::time::Duration;

use staticreg_e2e::{
    Staticreg,
    client::WEBHOOK,
    eventually,
    network::{self, run_apart},
};
use staticreg_test_support::{
    postgres::{Durability, Postgres, Release},
    registry::{Image, Registry, RegistryOptions},
};

const DOCKERFILE: &str = include_str!("../../../compose/Dockerfile");

/// The environment of the service `staticreg`, beside that of its image.
const COMPOSE: [(&str, &str); 2] = [
    ("STATICREG_DB_URL", "postgresql://staticreg:password@postgres:5432/staticreg"),
    ("STATICREG_REGISTRY_HOSTNAME", "oci-registry:5000"),
];

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// What an instruction of the Dockerfile says about the image, not about what builds it.
fn instruction(name: &str) -> &'static str {
    let (_, image) = DOCKERFILE.rsplit_once("\nFROM ").expect("an image");
    let said = image.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    said.unwrap_or_else(|| panic!("no {name}"))
}

/// The one variable that the image sets, and its value.
fn variable() -> (&'static str, &'static str) {
    instruction("ENV").split_once('=').expect("a value")
}

#[test]
fn the_image_listens_where_its_ports_are_published_and_tells_its_health() {
    assert_eq!(variable(), ("PORT", "8093"));
    assert_eq!(instruction("EXPOSE"), "8093");
    assert_eq!(instruction("ENTRYPOINT"), r#"["/usr/bin/staticreg"]"#);
    // There is no shell in the image.
    let (_, check) = instruction("HEALTHCHECK").split_once("CMD ").expect("a command");
    assert_eq!(check, r#"["/usr/bin/staticreg", "health"]"#);
}

#[test]
fn its_compose_file_counts_pulls_though_the_database_comes_last() {
    run_apart("in_a_network_of_its_own");
}

#[test]
#[ignore = "the test above runs it, where nobody else has these ports and names"]
fn in_a_network_of_its_own() {
    network::make(&["postgres", "oci-registry"]);

    // The registry depends on staticreg, staticreg on the database, but only on their having been started.
    let server = Staticreg::start_at("", &[&[variable()][..], &COMPOSE].concat());
    let options = RegistryOptions { address: "127.0.0.1:5000".to_owned(), ..Default::default() };
    let registry = Registry::start(&format!("http://127.0.0.1:8093{WEBHOOK}"), &options);
    registry.push(&Image::single("one"), "library/app:v1");
    registry.pull("library/app:v1");
    let healthy = || Staticreg::run(&["health"], &[variable()]).status.success();
    let is_healthy = || healthy().then_some(());
    eventually("a database that is not there yet is no reason to start staticreg anew", LIMIT, is_healthy);

    // PostgreSQL may be there before its user and database are.
    let postgres = Postgres::start_at(5432, Release::Eighteen, Durability::Volatile);
    eventually("staticreg was turned away", LIMIT, || postgres.log().contains("staticreg").then_some(()));
    postgres.psql("postgres", "CREATE ROLE staticreg LOGIN PASSWORD 'password'");
    postgres.psql("postgres", "CREATE DATABASE staticreg OWNER staticreg");

    server.wait_for_store();
    registry.pull("library/app:v1");
    let database = "postgresql://staticreg:password@127.0.0.1:5432/staticreg";
    eventually("two pulls are counted", LIMIT, || {
        let sums = "SELECT repo_name, tag, sum(pull_count) FROM container_pull_metrics GROUP BY repo_name, tag";
        let rows = postgres.psql(database, sums);
        (rows == "library/app|v1|2").then_some(())
    });
    eventually("it is well", LIMIT, is_healthy);
    // It found the registry by its name, and plain HTTP without being told.
    let shown = || server.get("/repo/library/app?tag=v1").body.contains("linux/amd64");
    eventually("a page shows what only the registry tells", LIMIT, || shown().then_some(()));
}
