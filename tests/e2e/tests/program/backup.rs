//! Backup and restore, as docs/running.md has it.

use std::{path::Path, process::Command};

use serde_json::Value;
use staticreg_e2e::Staticreg;
use staticreg_test_support::postgres::{Postgres, binary};

use crate::one_pull;

fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `make test-tools`"));
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Counts two pulls, has a running server backed up, counts a third; in what is restored, the first two count, and of all
/// that is sent again only the third.
fn survives(url: &str, back_up: impl FnOnce(), restored: &str) {
    let pulls: [Value; 3] = [one_pull(), one_pull(), one_pull()];
    let mut server = Staticreg::start(&[("STATICREG_DB_URL", url)]);
    server.wait_for_store();
    let post = |server: &Staticreg, pulls: &[Value]| {
        for pull in pulls {
            assert_eq!(server.post(pull).status, 200, "{}", server.log());
        }
    };
    post(&server, &pulls[..2]);
    back_up();
    post(&server, &pulls[2..]);
    assert_eq!(server.pulls(), 3);
    assert!(server.terminate().success());

    let server = Staticreg::start(&[("STATICREG_DB_URL", restored)]);
    server.wait_for_store();
    assert_eq!(server.pulls(), 2);
    post(&server, &pulls);
    assert_eq!(server.pulls(), 3);
    assert!(!server.log().contains("cannot be noticed"), "its triggers are there too: {}", server.log());
}

#[test]
fn a_dump_of_postgresql_restores_counts_and_which_events_are_counted() {
    let postgres = Postgres::shared();
    let (url, restored) = (postgres.new_database(), postgres.new_database());
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("staticreg.dump");
    let back_up = || {
        run(Command::new(binary("pg_dump")).args(["--format=custom", "--file"]).arg(&dump).arg(&url));
        let how = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", &restored];
        run(Command::new(binary("pg_restore")).args(how).arg(&dump));
    };
    survives(&url, back_up, &restored);
}

/// Has sqlite3 make the copy.
fn sqlite_is_restored_by(commands: impl Fn(&Path) -> Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let [counts, copy] = ["counts.db", "copy.db"].map(|name| folder.path().join(name));
    let back_up = || run(Command::new("sqlite3").arg(&counts).args(commands(&copy)));
    let url = |file: &Path| format!("sqlite://{}", file.display());
    survives(&url(&counts), back_up, &url(&copy));
}

#[test]
fn a_backup_of_sqlite_restores_the_same() {
    sqlite_is_restored_by(|copy| vec![".timeout 10000".to_owned(), format!(".backup {}", copy.display())]);
}

#[test]
fn a_vacuum_of_sqlite_into_a_file_restores_the_same() {
    sqlite_is_restored_by(|copy| vec![format!("VACUUM INTO '{}'", copy.display())]);
}
