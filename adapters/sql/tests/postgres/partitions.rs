//! The recipe for partitions by month.

use staticreg_contract::events::{date, digest, expected, pull, pulls_of, record};
use staticreg_domain::metrics::{Folded, MetricsRepository};
use staticreg_test_support::postgres::{Postgres, Release};

use crate::{open, sum};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/partitions.sql");

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_the_same_when_their_table_gets_partitions() {
    for (release, of_go) in [(Release::Packaged, false), (Release::Packaged, true), (Release::Eighteen, false)] {
        let cluster = Postgres::shared_of(release);
        let url = cluster.new_database();
        if of_go {
            cluster.psql(&url, include_str!("../go_schema.sql"));
        }
        let store = open(&url).await;
        let at = |day: &str| pull("app:v1", &format!("{day}T10:00:00Z"));
        record(&store, &["2026-05-30", "2026-07-01", "2026-07-02", "2026-11-20"].map(at)).await;
        drop(store);
        cluster.psql_file(&url, RECIPE.as_ref());
        let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'container_pull_metrics'::regclass";
        assert!(cluster.psql(&url, partitions).parse::<u32>().expect("a number") > 13);
        assert_eq!(cluster.psql(&url, "SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0"), "0");

        // As every start does.
        let store = open(&url).await;
        assert_eq!(sum(&store).await, 4);
        // A month between, one before all, one that has counts already.
        record(&store, &["2026-06-15", "2020-01-01", "2026-07-02"].map(at)).await;
        // What falls to zero goes, and others' words for no architecture are added up.
        record(&store, &[at("2026-05-30").times(-1), at("2026-11-20").on("not-specified")]).await;
        let insert = format!(
            "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) \
             VALUES ('2026-11-20', 'app', 'v1', '{}', 'unknown', 3), ('2026-11-20', 'app', 'v1', '', 'amd64', 1)",
            digest(1)
        );
        cluster.psql(&url, &insert);
        let rows = "SELECT pull_date, digest = 'unknown:0', architecture, pull_count FROM container_pull_metrics \
                    ORDER BY 1, 2, 3";
        assert_eq!(
            cluster.psql(&url, rows),
            "2020-01-01|f|amd64|1\n2026-06-15|f|amd64|1\n2026-07-01|f|amd64|1\n2026-07-02|f|amd64|2\n\
             2026-11-20|f|amd64|1\n2026-11-20|f|not-specified|4\n2026-11-20|t|amd64|1",
            "{release:?}"
        );

        store.keep_by_month(Folded { days_before: date("2026-08-01"), ..Folded::NOTHING }).await.expect("keeps");
        while let Some(day) = store.day_to_fold(None).await.expect("answers") {
            store.fold_day(day, 10).await.expect("folds");
        }
        record(&store, &[at("2026-07-20")]).await;
        assert_eq!(store.forget_counts(date("2021-01-01"), 10).await.expect("forgets"), 1);
        // A month that nobody wants any more goes at once.
        cluster.psql(&url, "DROP TABLE container_pull_metrics_2026_06");
        cluster.psql(&url, "DELETE FROM container_pull_metrics WHERE pull_date >= '2026-11-01'");
        assert_eq!(pulls_of(&store).await, expected(&[("2026-07-01 app:v1", 4)]));
    }
}
