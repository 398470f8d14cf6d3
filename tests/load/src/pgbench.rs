//! What the database does by itself: `pgbench` upserting row by row.

use std::{fs, time::Duration};

use staticreg_test_support::postgres::{Postgres, binary};
use tokio::process::Command;

/// A table like that of the pull metrics, beside it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS row_by_row (LIKE container_pull_metrics INCLUDING ALL)";

/// The same images with the same popularity as the events of the load; one commit for each.
const SCRIPT: &str = "\
\\set image random_zipfian(1, 2000, 1.001)
INSERT INTO row_by_row AS kept (pull_date, repo_name, tag, digest, architecture)
VALUES (current_date, 'team-' || (:image::int / 10 % 20) || '/service-' || (:image::int / 10), 'v' || (:image::int % 10),
    'sha256:' || lpad(to_hex(:image::int), 64, '0'), 'not-specified')
ON CONFLICT (pull_date, repo_name, tag, digest, architecture)
DO UPDATE SET pull_count = kept.pull_count + 1, updated_at = now();
";

/// Transactions per second with so many clients.
pub(crate) async fn run(postgres: &Postgres, database: &str, clients: usize, duration: Duration) -> f64 {
    postgres.psql(database, TABLE);
    let folder = tempfile::tempdir().expect("a folder for the script");
    let script = folder.path().join("upsert.sql");
    fs::write(&script, SCRIPT).expect("the script");
    let output = Command::new(binary("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--file"])
        .arg(&script)
        .args([format!("--client={clients}"), format!("--time={}", duration.as_secs().max(1))])
        .arg(database)
        .output()
        .await
        .expect("pgbench runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    told.unwrap_or_else(|| panic!("pgbench told no rate:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}
