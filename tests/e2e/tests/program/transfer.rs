//! Counts that are carried out of a database and into another, by the program.

use std::fs;

use staticreg_e2e::{Staticreg, events};
use staticreg_test_support::postgres::Postgres;

#[test]
fn counts_move_from_sqlite_to_postgresql() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("counts.db").display());
    let postgres = Postgres::shared().new_database();
    let server = Staticreg::start(&[("STATICREG_DB_URL", &sqlite)]);
    for repository in ["app", "app", "library/nginx"] {
        let event = events::access(events::next_number(), "GET", repository, Some("v1"));
        assert_eq!(server.post(&events::notification(&[event])).status, 200);
    }
    let list = "/api/v1/metrics?from=2026-01-01&limit=1000";
    let counted = server.get_json(list);
    assert_eq!(counted["items"].as_array().map(Vec::len), Some(2), "{counted}");
    drop(server);

    for format in ["csv", "jsonl"] {
        let exported = Staticreg::run(&["export", "--db-url", &sqlite, "--format", format], &[]);
        assert!(exported.status.success(), "{exported:?}");
        assert!(exported.stderr.contains("2 rows exported"), "{exported:?}");
        let file = folder.path().join(format);
        fs::write(&file, &exported.stdout).expect("written");
        let file = file.to_str().expect("text");

        let import =
            |arguments: &[&str]| Staticreg::run(&[&["import", "--db-url", &postgres], arguments].concat(), &[]);
        let broken = folder.path().join("broken");
        fs::write(&broken, exported.stdout.replace("library/nginx", "library nginx")).expect("written");
        let refused = import(&[broken.to_str().expect("text"), "--merge"]);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(refused.stderr.contains("nothing was imported: line "), "{refused:?}");
        assert!(refused.stderr.contains(": repository: "), "{refused:?}");

        let imported = import(&[file]);
        if format == "csv" {
            assert!(imported.status.success(), "{imported:?}");
        } else {
            assert!(imported.stderr.contains("give --merge"), "{imported:?}");
        }
    }
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres)]);
    assert_eq!(server.get_json(list), counted);
}

#[test]
fn what_is_left_out_of_an_export_is_told_by_its_exit_status() {
    let postgres = Postgres::shared();
    let url = postgres.new_database();
    assert!(Staticreg::run(&["migrate", "--db-url", &url], &[]).status.success());
    let insert = |name: &str| {
        let row = format!("'2026-11-20', '{name}', 'v1', 'sha256:{}', 'amd64'", "0a".repeat(32));
        let columns = "pull_date, repo_name, tag, digest, architecture";
        postgres.psql(&url, &format!("INSERT INTO container_pull_metrics ({columns}) VALUES ({row})"));
    };
    insert("app");
    assert_eq!(Staticreg::run(&["export", "--db-url", &url], &[]).status.code(), Some(0));
    insert("no name");
    let exported = Staticreg::run(&["export", "--db-url", &url], &[]);
    assert_eq!(exported.status.code(), Some(3), "{exported:?}");
    assert!(
        exported.stderr.contains("1 rows exported") && exported.stderr.contains("1 rows were left out"),
        "{exported:?}"
    );
    assert_eq!(exported.stdout.lines().count(), 2, "{exported:?}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("exported");
    fs::write(&file, &exported.stdout).expect("written");
    let to = postgres.new_database();
    let input = fs::File::open(&file).expect("a file");
    let imported = Staticreg::run_with_input(input, &["import", "-", "--db-url", &to], &[]);
    assert!(imported.status.success(), "{imported:?}");
    assert_eq!(postgres.psql(&to, "SELECT repo_name FROM container_pull_metrics"), "app");
}
