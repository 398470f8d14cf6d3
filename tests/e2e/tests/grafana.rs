//! The dashboard of pulls asks a real database, as Grafana would.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use staticreg_e2e::{Release, Staticreg, on_each_release};
use staticreg_test_support::postgres::Postgres;

/// Who reads for Grafana, with the rights that the README gives.
const READER: &str = "CREATE ROLE grafana_reader LOGIN;
    ALTER ROLE grafana_reader SET timezone TO 'UTC';
    GRANT SELECT ON container_pull_metrics, container_access_metrics TO grafana_reader;";

/// Ten days of two repositories and two architectures, one pull more each day; a repository of long ago; and one whose name
/// is no good news to those who quote badly.
const COUNTS: &str = "
    INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, updated_at)
    SELECT '2026-11-01'::date + day, repo_name, 'v1', 'sha256:1', architecture, day + 1, '2026-11-01T12:00:00Z'
    FROM generate_series(0, 9) AS day, unnest(ARRAY['demo/app', 'demo/web']) AS repo_name,
        unnest(ARRAY['amd64', 'arm64']) AS architecture;
    INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) VALUES
        ('2026-01-01', 'old/app', 'v1', 'sha256:1', 'amd64', 7), ('2026-11-02', 'o''dd', 'v1', 'sha256:1', 'amd64', 1);
    INSERT INTO container_access_metrics (event_date, repo_name, tag, digest, architecture, kind, event_count)
    SELECT '2026-11-01'::date + day, 'demo/app', '', 'sha256:1', 'amd64', kind, 2
    FROM generate_series(0, 9) AS day, unnest(ARRAY['pull_by_digest', 'version_check', 'push']) AS kind;";

/// In the afternoon of the first day to the morning of the tenth: both are shown whole.
const RANGE: [&str; 2] = ["'2026-11-01T15:00:00Z'", "'2026-11-10T09:00:00Z'"];

/// Replaces what Grafana does before it asks: `$__timeFilter(COLUMN)`, `$__timeFrom()`, `$__timeTo()`, and
/// `${repository:sqlstring}`, which is a list of quoted names or, of all, the dashboard's own word for that.
fn as_grafana_asks(sql: &str, repositories: &str) -> String {
    let [from, to] = RANGE;
    let mut asked = sql.to_owned();
    while let Some((before, rest)) = asked.clone().split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').expect("its end");
        asked = format!("{before}{column} BETWEEN {from} AND {to}{after}");
    }
    for (name, value) in [("$__timeFrom()", from), ("$__timeTo()", to), ("${repository:sqlstring}", repositories)] {
        asked = asked.replace(name, value);
    }
    assert!(!asked.contains('$'), "nobody replaces what is left: {asked}");
    asked
}

fn dashboard() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/grafana/pulls.json");
    serde_json::from_str(&fs::read_to_string(file).expect("the dashboard")).expect("JSON")
}

/// What each panel asks, by its title.
fn questions(dashboard: &Value) -> Vec<(&str, &Value)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let of_panel = |panel: &'_ Value| panel["targets"].as_array().expect("targets").len();
    assert!(panels.iter().all(|panel| of_panel(panel) == 1), "one question for each panel");
    panels.iter().map(|panel| (panel["title"].as_str().expect("a title"), &panel["targets"][0])).collect()
}

#[test]
fn every_panel_asks_the_chosen_data_source_and_none_lies_over_another() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let asked_of = |part: &Value| part["datasource"]["uid"] == "${datasource}";
    assert!(variables.iter().skip(1).all(asked_of));
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(asked_of(panel) && asked_of(&panel["targets"][0]), "{panel}");
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(x + width <= 24, "{panel}");
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{panel}");
        }
    }
}

on_each_release![every_question_of_the_dashboard_is_answered_as_it_should];

fn every_question_of_the_dashboard_is_answered_as_it_should(release: Release) {
    let postgres = Postgres::shared_of(release);
    let url = postgres.new_database();
    let ended = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url)]);
    assert!(ended.status.success(), "{}", ended.stderr);
    postgres.psql(&url, COUNTS);
    postgres.psql(&url, READER);
    let reader = url.replace("postgres@", "grafana_reader@");
    let dashboard = dashboard();
    let variable = &dashboard["templating"]["list"][1];
    let all = variable["allValue"].as_str().expect("a word for all");
    let choices = variable["query"].as_str().expect("SQL");
    assert_eq!(postgres.psql(&reader, &as_grafana_asks(choices, "")).trim(), "demo/app\ndemo/web\no'dd");
    let ask = |sql: &Value, repositories| {
        postgres.psql(&reader, &as_grafana_asks(sql.as_str().expect("SQL"), repositories)).trim().to_owned()
    };
    let mut answered = Vec::new();
    for (title, target) in questions(&dashboard) {
        let of_all = ask(&target["rawSql"], all);
        assert!(!of_all.is_empty(), "nothing to show: {title}");
        if target["format"] == "time_series" {
            let times: Vec<_> = of_all.lines().map(|row| row.split('|').next().expect("a time")).collect();
            assert!(times.is_sorted() && times[0].starts_with("2026-11-01 00:00:00"), "{title}: {of_all}");
        }
        let of_some = ask(&target["rawSql"], "'demo/web','o''dd'");
        assert!(!of_some.contains("demo/app"), "{title}: {of_some}");
        answered.push((title, of_all, of_some));
    }
    // 1 + 2 + ... + 10 for each of two repositories on two architectures.
    for (title, of_all, of_some) in [
        ("Pulls by tag", "221", "111"),
        ("Pulls by digest", "20", "0"),
        ("Repositories pulled", "3", "2"),
        ("Most pulled repositories", "demo/app|110|1|2026-11-01 12:00:00+00", "demo/web|110|1|2026-11-01 12:00:00+00"),
        ("Most pulled images", "demo/app:v1|110|2026-11-01 12:00:00+00", "demo/web:v1|110|2026-11-01 12:00:00+00"),
        ("Architectures", "amd64|111\narm64|110", "amd64|56\narm64|55"),
        ("Pulled before, not in the range", "old/app|2026-01-01", ""),
        (
            "Pulls a day",
            "2026-11-01 00:00:00+00|by digest|2\n2026-11-01 00:00:00+00|by tag|4\n",
            "2026-11-01 00:00:00+00|by tag|2\n",
        ),
        (
            "Pulls a day by architecture",
            "2026-11-01 00:00:00+00|amd64|2\n2026-11-01 00:00:00+00|arm64|2\n",
            "2026-11-01 00:00:00+00|amd64|1\n",
        ),
        (
            "Version checks and pushes a day",
            "2026-11-01 00:00:00+00|push|2\n2026-11-01 00:00:00+00|version check|2\n",
            "",
        ),
    ] {
        let (_, told, told_of_some) =
            answered.iter().find(|(asked, ..)| *asked == title).unwrap_or_else(|| panic!("no panel `{title}`"));
        assert!(told.starts_with(of_all), "{title}: {told}");
        assert!(told_of_some.starts_with(of_some), "{title} of some: {told_of_some}");
    }
}
