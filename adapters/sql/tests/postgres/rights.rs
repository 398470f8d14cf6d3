//! What a user may and may not do.

use std::time::Duration;

use chrono::TimeDelta;
use staticreg_contract::events::{date, digest, expected, now, pull, pulls_of, record};
use staticreg_domain::{
    api_token::{ApiToken, ApiTokenAdmin as _, ApiTokens as _, Creation, Scope, TokenHash},
    journal::{Appended, JournalBatch, JournalPosition, TakeTurn, Turn},
    metrics::{AccessKind, MetricsError, MetricsReader, MetricsRepository, Recording},
    running::{Running, RunningImages as _},
};
use staticreg_sql::SqlMetrics;
use staticreg_test_support::postgres::Postgres;
use uuid::Uuid;

use crate::{events, open, options, sum};

/// The block of SQL in README.md that makes a role.
fn readme_sql(role: &str) -> &'static str {
    let mut blocks =
        include_str!("../../../../README.md").split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(&format!("create role {role} "))).expect("README.md tells")
}

/// Takes its turn, and only learns where the journal ends.
struct Nothing(Option<JournalPosition>);

impl TakeTurn for Nothing {
    fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch> {
        self.0 = Some(turn.end);
        None
    }
}

async fn may_use_api_tokens_and_make_none(owner: &SqlMetrics, server: &SqlMetrics) {
    let token = |name: &str, number: u8| ApiToken {
        name: name.parse().expect("a name"),
        hash: TokenHash([number; 32]),
        scopes: Scope::Read.into(),
        created_at: now(),
        expires_at: None,
        ended_at: None,
        last_used_at: None,
    };
    assert_eq!(owner.create(&token("ci", 1)).await.expect("creates"), Creation::Created);
    server.note_use(&TokenHash([1; 32]), now()).await.expect("notes");
    let used = ApiToken { last_used_at: Some(now()), ..token("ci", 1) };
    assert_eq!(server.list().await.expect("lists"), [used]);
    assert!(matches!(server.create(&token("mine", 2)).await, Err(MetricsError::Unavailable(_))));
    assert!(matches!(server.revoke(&token("ci", 1).name, now()).await, Err(MetricsError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_readme_tells_suffice_to_run() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    open(&url).await;
    cluster.psql(&url, readme_sql("staticreg_server"));
    cluster.psql(&url, readme_sql("reader"));
    let store = open(&url.replace("postgres@", "staticreg_server@")).await;
    store.check().await.expect("can be written");
    let access = pull("app:v1", "2026-11-20T10:00:00Z");
    let check = access.clone().of_kind(AccessKind::VersionCheck);
    record(&store, &[access.clone(), check.clone()]).await;
    record(&store, &[access.clone().times(-1), check.times(-1)]).await;
    record(&store, std::slice::from_ref(&access)).await;
    let event = access.event();
    for recorded in [Recording::Counted, Recording::Duplicate] {
        assert_eq!(store.record(std::slice::from_ref(&event), now()).await.expect("records"), [recorded]);
    }
    let mut turn = Nothing(None);
    store.append_in_turn(None, &[], &mut turn, now()).await.expect("takes its turn");
    let behind = turn.0.expect("a journal has an end");
    let batch = JournalBatch { behind, id: Uuid::new_v4(), entries: vec![], events: vec![] };
    assert_eq!(store.append(&batch, now()).await.expect("appends"), Appended::Stored);
    assert_eq!(store.forget_journal(TimeDelta::seconds(-1), 10, now()).await.expect("forgets"), 1);
    assert_eq!(store.forget_ids(now() + Duration::from_secs(1), 10).await.expect("forgets"), 6);
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers").totals(AccessKind::PullByTag).today, 2);
    assert_eq!((pulls_of(&store).await, sum(&store).await), (expected(&[("2026-11-20 app:v1", 2)]), 2));

    may_use_api_tokens_and_make_none(&open(&url).await, &store).await;

    let running = Running { source: "a".parse().expect("a name"), heard_at: now(), images: [].into() };
    for _ in 0..2 {
        store.replace(&running).await.expect("keeps");
    }
    assert_eq!(store.all().await.expect("reads"), [running]);

    let reader = url.replace("postgres@", "reader@");
    let rows = "SELECT count(*) FROM container_pull_metrics CROSS JOIN container_access_metrics";
    assert_eq!(cluster.psql(&reader, rows), "0");

    cluster.psql(&url, "REVOKE INSERT ON recorded_event FROM staticreg_server");
    assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
    assert!(matches!(store.record(&events(1), now()).await, Err(MetricsError::Unavailable(_))));

    cluster.psql(&url, "REVOKE SELECT ON seaql_migrations FROM staticreg_server");
    let refused = SqlMetrics::open(&options(&url.replace("postgres@", "staticreg_server@"))).await;
    let told = refused.expect_err("what it may not read").to_string();
    assert!(told.contains("seaql_migrations; grant SELECT on it"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_change_counts_cannot_put_a_table_in_the_place_of_the_versions() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    open(&url).await;
    cluster.psql(
        &url,
        "CREATE ROLE guest LOGIN; GRANT SELECT, INSERT ON container_pull_metrics TO guest; \
         GRANT SELECT ON day_change TO guest; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO guest",
    );
    let insert = format!(
        "CREATE TEMPORARY TABLE day_change (LIKE public.day_change INCLUDING ALL); \
         INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
         VALUES ('2026-11-20', 'app', 'v1', '{}', 'amd64'); \
         SELECT count(*) FROM pg_temp.day_change",
        digest(1)
    );
    let guest = url.replace("postgres@", "guest@");
    let told = cluster.psql(&guest, &insert);
    assert!(told.ends_with('0'), "{told}");
    assert_eq!(cluster.psql(&url, "SELECT kind, day, version > 0 FROM day_change"), "pull_by_tag|2026-11-20|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_be_written_is_unavailable_and_answers_questions() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open(&url).await, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(
        &url,
        "ALTER ROLE postgres IN DATABASE CURRENT_DATABASE SET default_transaction_read_only = on"
            .replace("CURRENT_DATABASE", url.rsplit('/').next().expect("a name"))
            .as_str(),
    );
    let store = open(&url).await;
    assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
    assert!(matches!(store.record(&events(1), now()).await, Err(MetricsError::Unavailable(_))));
    assert_eq!(sum(&store).await, 1);
}
