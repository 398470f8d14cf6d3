//! What a registry holds is untrusted text.

use std::sync::Arc;

use staticreg_domain::{
    Platform,
    metrics::{AccessKind, CountKey, MetricsRepository},
};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site;

const SCRIPT: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";

#[tokio::test(start_paused = true)]
async fn labels_commands_and_variables_are_shown_and_never_run() {
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("evil", sample::now(), Platform::new("<b>linux", "amd64", Some("<i>")));
    registry.configure("evil", |configuration| {
        configuration.labels.insert(SCRIPT.to_owned(), SCRIPT.to_owned());
        configuration.entry_point = vec![SCRIPT.to_owned()];
        configuration.command = vec!["\u{202e}gnimraherorp".to_owned(), "\0\u{7}".to_owned()];
        configuration.environment = vec![SCRIPT.to_owned(), format!("A={SCRIPT}"), "=".to_owned(), String::new()];
        configuration.user = Some(SCRIPT.to_owned());
        configuration.working_directory = Some("/\n/".to_owned());
        configuration.exposed_ports = vec![SCRIPT.to_owned(); 3];
    });
    registry.point("evil", "1", image);
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    let body = site.page("/repo/evil?tag=1").await.body;
    // Its own scripts are the two in the head.
    assert_eq!(body.matches("<script").count(), 2, "{body}");
    assert!(!body.contains("<img src=x") && !body.contains("<b>linux"), "{body}");
    assert!(body.contains("&#60;script&#62;alert(1)"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn no_spreadsheet_takes_a_label_or_a_variable_for_a_formula() {
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("evil", sample::now(), None);
    let formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"];
    registry.configure("evil", |configuration| {
        configuration.labels = formulas.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect();
        configuration.environment =
            formulas.iter().map(|text| format!("{}={text}", text.trim_start_matches('='))).collect();
        configuration.user = Some("=cmd|' /C calc'!A0".to_owned());
        configuration.working_directory = Some("/=1\",=2".to_owned());
    });
    registry.point("evil", "1", image);
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    for (table, rows) in [("image", 5), ("labels", formulas.len()), ("environment", formulas.len())] {
        let body = site.get(&format!("/export/{table}.csv?repository=evil&tag=1")).await.body;
        let mut reader = csv::Reader::from_reader(body.as_bytes());
        let records: Vec<_> = reader.records().map(|record| record.expect("a row")).collect();
        assert!(records.len() >= rows, "{table}: {body}");
        for cell in records.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{table}: {cell:?}");
        }
    }
    let labels = site.get("/export/labels.csv?repository=evil&tag=1").await.body;
    assert!(labels.contains("'=1+1,'=1+1\r\n"), "{labels}");
}

#[tokio::test(start_paused = true)]
async fn names_at_the_limits_of_the_grammar_have_their_pages() {
    let long = format!("{}/{}", "a".repeat(127), "b".repeat(127));
    let deep = vec!["d"; 128].join("/");
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000));
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("one", sample::now(), None);
    let tag = "T".repeat(128);
    for name in [&long, &deep, "x.svg", "a.csv", "a__b/c---d", "export/tags"] {
        registry.point(name, &tag, image.clone());
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date: sample::now().date_naive(),
            repository: name.parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
            digest: image.clone(),
            architecture: "amd64".parse().unwrap_or_else(|never| match never {}),
        };
        store.record(&[sample::event(sample::now(), key, 7)], sample::now()).await.unwrap();
    }
    let site = site::with(store, Some(registry)).await;
    for name in [&long, &deep, "x.svg", "a.csv", "a__b/c---d", "export/tags"] {
        let page = site.page(&format!("/repo/{name}")).await;
        assert!(page.text().contains("Pulls 7 in 30 days"), "{name}: {}", page.text());
        site.page(&format!("/repo/{name}?tag={tag}")).await;
        assert!(site.get(&format!("/badge/{name}.svg")).await.body.contains("pulls: 7"), "{name}");
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        assert!(site.page(&format!("/?folder={folder}")).await.body.contains(&format!("/repo/{name}")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_inside_an_index_and_a_manifest_that_is_lost_are_told() {
    let mut registry = SampleRegistry::default();
    registry.add_index("nested", "inner", sample::now(), &[("linux", "amd64", None)]);
    registry.point("lost", "1", sample::digest("nobody has this"));
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    assert!(site.page("/repo/nested?tag=inner").await.text().contains("Entry point"));
    assert!(site.page("/repo/lost").await.text().contains("1 tag"));
    let text = site.page("/repo/lost?tag=1").await.text();
    assert!(text.contains("The registry does not hold this image"), "{text}");
}
