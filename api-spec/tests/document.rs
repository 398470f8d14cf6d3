//! The committed document is what the program says, and a good document.

use std::{path::Path, process::Command};

use staticreg_api_spec::DOCUMENT;

#[test]
fn the_committed_document_is_current() {
    let current = staticreg::openapi_document();
    let first_difference = DOCUMENT.lines().zip(current.lines()).find(|(committed, current)| committed != current);
    assert!(
        DOCUMENT.trim_end() == current.trim_end(),
        "api-spec/openapi.json is stale: run `make openapi` and commit it.\n{}",
        first_difference
            .map(|(committed, current)| format!("committed: {committed}\nnow:       {current}"))
            .unwrap_or_default(),
    );
}

#[test]
fn the_linter_finds_nothing_to_complain_about() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let clients = root.join("tests/clients");
    let linter = clients.join("node_modules/.bin/redocly");
    let output = Command::new(&linter)
        .args(["lint", "--config"])
        .arg(clients.join("redocly.yaml"))
        .arg(root.join("api-spec/openapi.json"))
        .envs([("REDOCLY_TELEMETRY", "off"), ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")])
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be started ({error}): run `make test-tools`", linter.display()));
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !words.contains("warning"), "{words}");
}
