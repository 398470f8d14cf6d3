//! `staticreg doctor` beside a server.

use staticreg_e2e::{
    Staticreg,
    client::{NOTIFICATION, WEBHOOK},
    events::notification,
    eventually,
};
use staticreg_test_support::{
    ports::free_port,
    postgres::{Postgres, Release},
    registry::{Registry, RegistryOptions},
    tls::TlsPostgres,
};

use crate::{SOON, one_pull};

/// What the doctor says, and whether all was well.
fn doctor(environment: &[(&str, &str)]) -> (String, bool) {
    let ended = Staticreg::run(&["doctor"], environment);
    (ended.stdout, ended.status.success())
}

#[test]
fn where_all_is_well_it_says_so_and_counts_nothing() {
    let postgres = Postgres::shared_of(Release::Eighteen);
    let url = postgres.new_database();
    let [address, watched] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let environment = [
        ("STATICREG_DB_URL", &*url),
        ("STATICREG_REGISTRY_HOSTNAME", &address),
        ("STATICREG_WEBHOOK_TOKENS", "t0p-secret"),
        ("STATICREG_TELEMETRY_BIND_ADDR", &watched),
    ];
    let server = Staticreg::start(&environment);
    server.wait_for_store();
    let authorization = Some("Bearer t0p-secret".to_owned());
    let options = RegistryOptions { address: address.clone(), authorization, ..RegistryOptions::default() };
    let _registry = Registry::start(&server.url(WEBHOOK), &options);
    let bind = server.address().to_string();
    let environment = [&environment[..], &[("STATICREG_HTTP_BIND_ADDR", &*bind)]].concat();
    let (said, is_well) = doctor(&environment);
    for words in [
        "STATICREG_DB_URL = (not shown)\n",
        "ok     PostgreSQL 18",
        "ok     its schema is up to date, with its triggers",
        "ok     it takes events",
        "ok     its clock is as this machine's",
        "ok     its list of repositories can be read",
        "look   it has counted no pull by tag yet; is the registry told to post notifications to it?",
        "ok     it takes notifications: one was posted that counts nothing",
        &format!("ok     it tells metrics at {watched}"),
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(is_well && !said.contains("secret") && !said.contains("WRONG"), "{said}");
    assert_eq!(server.pulls(), 0);
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("counts.db").display());
    let registry = format!("127.0.0.1:{}", free_port());
    let bind = format!("127.0.0.1:{}", free_port());
    let environment = [
        ("STATICREG_DB_URL", &*url),
        ("STATICREG_REGISTRY_HOSTNAME", &registry),
        ("STATICREG_HTTP_BIND_ADDR", &bind),
        ("STATICREG_WEBHOOK_TOKENS", "right"),
    ];
    let (said, is_well) = doctor(&environment);
    assert!(!is_well && said.matches("  WRONG  ").count() == 3, "database, registry and server:\n{said}");
    assert!(said.contains("; is it running?"), "{said}");

    let server = Staticreg::start_at(&bind, &environment);
    let headers = [("content-type", NOTIFICATION), ("authorization", "Bearer wrong")];
    let body = notification(&[one_pull()]).to_string();
    let refused = server.connect().request("POST", WEBHOOK, &headers, body.as_bytes()).expect("an answer");
    assert_eq!(refused.status, 401);
    let told = server.get_json("/api/v1/summary")["refused_posts"].clone();
    assert_eq!((&told["total"], &told["last_reason"]), (&1.into(), &"wrong_token".into()), "{told}");
    eventually("the registry's absence is all else that is wrong", SOON, || {
        let (said, is_well) = doctor(&environment);
        let refused = "WRONG  it refused 1 POSTs since its start, the last at 20";
        let why = "its token is none of STATICREG_WEBHOOK_TOKENS, and no API token";
        (!is_well && said.contains(refused) && said.contains(why) && said.matches("  WRONG  ").count() == 2)
            .then_some(())
    });
}

#[test]
fn it_signs_its_notification_where_posting_asks_for_that() {
    let bind = format!("127.0.0.1:{}", free_port());
    let with = |secrets| [("STATICREG_HTTP_BIND_ADDR", &*bind), ("STATICREG_WEBHOOK_SIGNATURE_SECRETS", secrets)];
    let _server = Staticreg::start_at(&bind, &with("one,whsec_b3RoZXI="));
    for secrets in ["one", "whsec_b3RoZXI="] {
        let (said, is_well) = doctor(&with(secrets));
        assert!(is_well && said.contains("ok     it takes notifications: one was posted"), "{secrets}: {said}");
    }
    let (said, is_well) = doctor(&with("another"));
    assert!(!is_well && said.contains("WRONG  it does not take a notification: 403"), "{said}");
}

#[test]
fn each_setting_is_told_with_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("staticreg.toml");
    std::fs::write(&file, "[spool]\nmax_events = 5\n").expect("a file");
    let file = file.to_str().expect("text");
    let arguments = ["doctor", "--config", file, "--http-max-connections", "77"];
    let said = Staticreg::run(&arguments, &[("STATICREG_LOG_LEVEL", "debug")]).stdout;
    for words in [
        "  --http-max-connections = 77\n",
        "  STATICREG_LOG_LEVEL = debug\n",
        &format!("  {file}: spool.max_events = 5\n"),
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
}

#[test]
fn rights_that_are_missing_are_told() {
    let postgres = Postgres::shared_of(Release::Packaged);
    let url = postgres.new_database();
    assert!(Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url)]).status.success());
    // A role is the cluster's, which other tests share.
    postgres
        .psql(&url, "CREATE ROLE doctor_reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctor_reader;");
    let of_reader = url.replace("postgres@", "doctor_reader@");
    let (said, _) = doctor(&[("STATICREG_DB_URL", &of_reader)]);
    assert!(said.contains("WRONG  it takes no events: ") && !said.contains("tokens cannot be read"), "{said}");
    postgres.psql(&url, "REVOKE SELECT ON api_token FROM doctor_reader");
    let (said, is_well) = doctor(&[("STATICREG_DB_URL", &of_reader)]);
    assert!(!is_well && said.contains("WRONG  its API tokens cannot be read: "), "{said}");
}

#[test]
fn a_database_that_speaks_tls_is_told() {
    let tls = TlsPostgres::start();
    let url = tls.cluster.new_database();
    assert!(Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url)]).status.success());
    let url = url.replace("postgres@127.0.0.1", "tls_only@localhost");
    let (said, _) = doctor(&[("STATICREG_DB_URL", &format!("{url}?sslmode=require"))]);
    assert!(said.contains("ok     what goes to it is encrypted, by TLSv1."), "{said}");
}
