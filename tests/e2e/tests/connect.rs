//! What the program says and does when its database cannot be used, or not as it was told.

use std::{thread, time::Duration};

use staticreg_e2e::{Staticreg, eventually};
use staticreg_test_support::{
    pgbouncer::PgBouncer,
    postgres::{Durability, Postgres},
    tls::TlsPostgres,
};

/// How long what happens at once may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

/// What the guide says when no pool can be made.
const UNABLE: &str = "Unable to create connection pool: ";

fn has_line(server: &Staticreg, expected: &str) {
    server.wait_for_line(expected, SOON);
    let line = server.line(expected, SOON);
    assert!(line.ends_with(expected), "{line}");
}

/// Starts on a database that cannot be used, and waits until it was tried a few times more.
fn start_and_try(url: &str, more: &[(&str, &str)]) -> Staticreg {
    let environment = [&[("STATICREG_DB_URL", url), ("STATICREG_LOG_LEVEL", "debug")], more].concat();
    let server = Staticreg::start(&environment);
    eventually("it is tried again", SOON, || {
        (server.log().matches("The database still cannot be used").count() >= 3).then_some(())
    });
    server
}

/// The lines from WARN on.
fn warnings(server: &Staticreg) -> Vec<String> {
    let log = server.log();
    log.lines().filter_map(|line| line.split_once(" WARN ")).map(|(_, words)| words.to_owned()).collect()
}

#[test]
fn counts_in_memory_are_a_warning_of_their_own() {
    let server = Staticreg::start(&[]);
    assert_eq!(
        warnings(&server),
        [
            "STATICREG_DB_URL environment variable is not set. Database functions will be disabled.",
            "Counting in memory: the counts are gone when the program ends. Set STATICREG_DB_URL to keep them.",
        ]
    );
}

#[test]
fn what_stays_until_somebody_does_something_is_told_once_and_with_what_to_do() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(
        &url,
        "CREATE ROLE clerk LOGIN; REVOKE ALL ON SCHEMA public FROM public; CREATE ROLE limited LOGIN CONNECTION LIMIT 0",
    );
    let clerk = url.replace("postgres@", "clerk@");
    let cases = [
        (cluster.url("nowhere"), &[][..], r#"database "nowhere" does not exist; create it with CREATE DATABASE"#),
        (url.replace("postgres@", "nobody@"), &[], r#"role "nobody" does not exist; create it with CREATE ROLE"#),
        (clerk.clone(), &[], "; name a schema that is there, or grant the user the right to make one"),
        (clerk, &[("STATICREG_DB_SCHEMA", "pulls")], "permission denied for database"),
        (url.replace("postgres@", "limited@"), &[], r#"too many connections for role "limited""#),
    ];
    thread::scope(|scope| {
        for (url, more, said) in cases {
            scope.spawn(move || {
                let server = start_and_try(&url, more);
                let warnings = warnings(&server);
                assert_eq!(warnings.iter().filter(|line| line.contains(said)).count(), 1, "{said}: {warnings:#?}");
                assert!(warnings.len() <= 2 && warnings.concat().contains("Trying again"), "{warnings:#?}");
                assert!(!server.log().contains("at line"), "{}", server.log());
            });
        }
    });
}

#[test]
fn a_database_that_is_made_meanwhile_is_used_and_another_reason_is_told_too() {
    let cluster = Postgres::shared();
    let server = start_and_try(&cluster.url("later").replace("postgres@", "beginner@"), &[]);
    cluster.psql("postgres", "CREATE ROLE beginner LOGIN");
    server.wait_for_line("database \"later\" does not exist", SOON);
    assert_eq!(server.log().matches(UNABLE).count(), 2, "{}", server.log());
    cluster.psql("postgres", "CREATE DATABASE later OWNER beginner");
    has_line(&server, "INFO PostgreSQL connection pool successfully initialized.");
    server.wait_for_store();
}

#[test]
fn the_role_of_compose_is_enough() {
    let sql = include_str!("../../../compose/database.sql");
    let cluster = Postgres::start(Durability::Volatile);
    for statement in sql.lines().filter(|line| line.ends_with(';')) {
        // psql takes it from the environment of the container.
        cluster.psql("postgres", &statement.replace(":'password'", "'any'"));
    }
    let rights = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'staticreg'";
    assert_eq!(cluster.psql("postgres", rights), "f|f|f");
    let url = cluster.url("staticreg").replace("postgres@", "staticreg@");
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url)]);
    eventually("it stores", SOON, || (server.get("/healthz/db").status == 200).then_some(()));
    assert_eq!(warnings(&server), [""; 0]);
}

#[test]
fn what_the_environment_says_of_tls_is_looked_at() {
    let url = Postgres::shared().new_database();
    let migrate = |name: &str, value: &str| {
        let ended = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url), (name, value)]);
        (ended.status.success(), ended.stderr)
    };
    let (migrated, told) = migrate("PGSSLMODE", "verifyfull");
    assert!(!migrated && told.contains("PGSSLMODE is none of"), "{told}");
    let (migrated, told) = migrate("PGSSLROOTCERT", "/nowhere/authority.crt");
    assert!(!migrated && told.contains("`sslrootcert`, /nowhere/authority.crt: No such file"), "{told}");
    // An empty variable is how container tools say "not set".
    let (migrated, told) = migrate("PGSSLROOTCERT", "");
    assert!(migrated, "{told}");
}

#[test]
fn nothing_of_a_password_is_told_when_the_url_is_malformed() {
    for url in [
        "postgres://u:1?geheim@db/d",
        "postgres://u:1?geheim=x@db/d",
        "postgres://u:1#geheim@db/d",
        "postgres://u:1/geheim@db/d",
        "postgres://u:1@geheim@db/d",
        "postgres://u:1%geheim@db/d",
        "postgresql://db/d?password=1&geheim=2",
    ] {
        for task in ["serve", "migrate"] {
            let ended = Staticreg::run(&[task], &[("STATICREG_DB_URL", url), ("STATICREG_LOG_LEVEL", "trace")]);
            assert!(!ended.status.success(), "{url}");
            assert!(ended.stderr.contains("percent-encoded"), "{url}: {}", ended.stderr);
            assert!(!format!("{ended:?}").contains("geheim"), "{url}: {ended:?}");
        }
    }
}

#[test]
fn parameters_of_the_url_that_change_nothing_are_named_without_values() {
    let cluster = Postgres::shared();
    let url = format!("{}?pool_max_conns=geheim&connect_timeout=5", cluster.new_database());
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), ("STATICREG_LOG_LEVEL", "trace")]);
    for name in ["pool_max_conns", "connect_timeout"] {
        let line = format!("WARN The parameter `{name}` of the database's URL is not known and changes nothing.");
        has_line(&server, &line);
    }
    server.wait_for_store();
    assert!(!server.log().contains("geheim"), "{}", server.log());
}

#[test]
fn certificates_are_checked_as_the_url_says() {
    let tls = TlsPostgres::start();
    let database = tls.cluster.new_database().rsplit('/').next().expect("a name").to_owned();
    let (port, (certificate, key)) = (tls.cluster.port(), tls.client());
    let (certificate, key) = (certificate.display(), key.display());
    for mode in ["verify-ca", "verify-full"] {
        let url = |authority: &std::path::Path| {
            let files = format!("sslrootcert={}&sslcert={certificate}&sslkey={key}", authority.display());
            format!("postgres://certificate@localhost:{port}/{database}?sslmode={mode}&{files}")
        };
        let migrate = |url: &str| Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", url)]);
        let ended = migrate(&url(&tls.authority()));
        assert!(ended.status.success(), "{ended:?}");
        let ended = migrate(&url(&tls.other_authority()));
        assert!(!ended.status.success() && ended.stderr.contains("cannot connect: "), "{ended:?}");
        assert!(!format!("{ended:?}").contains("panicked"), "{ended:?}");
    }
}

#[test]
fn a_pooler_of_transactions_is_told_with_what_to_set() {
    let cluster = Postgres::shared();
    let pooler = PgBouncer::start(cluster, &["pool_mode = transaction"]);
    let url = pooler.url(&cluster.new_database());
    let ended = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url)]);
    assert!(!ended.status.success() && ended.stderr.contains("set pool_mode = session"), "{ended:?}");
    let server = start_and_try(&url, &[("STATICREG_DB_SCHEMA", "pulls")]);
    let warnings = warnings(&server);
    assert!(warnings[0].starts_with(UNABLE) && warnings[0].contains("set pool_mode = session"), "{warnings:#?}");
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
}
