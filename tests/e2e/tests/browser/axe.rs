//! Barriers for people, found by axe-core.

use std::path::Path;

use fantoccini::Client;
use serde_json::Value;

/// The serious and critical barriers of the page that is shown.
pub(crate) async fn barriers(client: &Client) -> Vec<String> {
    found(client, "document").await
}

/// Those of all but an element.
pub(crate) async fn barriers_outside(client: &Client, selector: &str) -> Vec<String> {
    found(client, &format!("{{ exclude: ['{selector}'] }}")).await
}

async fn found(client: &Client, context: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make test-tools` installs it", path.display()));
    client.execute(&axe, Vec::new()).await.expect("axe-core starts");
    let script = format!(
        "const done = arguments[0]; \
         axe.run({context}, {{ resultTypes: ['violations'] }}).then(found => done(found.violations));"
    );
    let violations = client.execute_async(&script, Vec::new()).await.expect("axe-core ends");
    violations
        .as_array()
        .expect("a list of violations")
        .iter()
        .filter(|violation| matches!(violation["impact"].as_str(), Some("serious" | "critical")))
        .map(|violation| {
            let nodes: Vec<&Value> =
                violation["nodes"].as_array().into_iter().flatten().map(|node| &node["html"]).collect();
            format!("{}: {} {nodes:?}", violation["id"], violation["help"])
        })
        .collect()
}
