//! Certificates: the server's, and those of clients.

use rustls::version::{TLS12, TLS13};
use staticreg_http::server::TlsFile;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use super::*;

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_browsers_are_told_to_keep_to_it() {
    let server = Server::start(OPTIONS).await;
    for version in [&TLS12, &TLS13] {
        let mut connection = server.connect_as(HTTP1, &[version], None).await.expect("a connection");
        assert_eq!(connection.get_ref().1.protocol_version(), Some(version.version));
        let answer = ask(&mut connection).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhttps localhost 0"), "{answer}");
        assert!(answer.contains("\r\nstrict-transport-security: max-age=31536000\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn who_never_shakes_hands_keeps_nobody_waiting_and_is_sent_away() {
    let server = Server::start(OPTIONS).await;
    let mut silent = Vec::new();
    for _ in 0..OPTIONS.max_connections {
        silent.push(TcpStream::connect(server.address).await.expect("a connection"));
    }
    ask(&mut server.connect(HTTP1).await).await.expect("an answer");
    for mut silent in silent {
        let mut end = Vec::new();
        // A connection that made room may be reset.
        timeout(SOON, silent.read_to_end(&mut end)).await.expect("an end").ok();
        assert!(end.is_empty(), "{end:?}");
    }
}

#[tokio::test]
async fn who_speaks_without_tls_gets_no_answer() {
    let server = Server::start(OPTIONS).await;
    let mut plain = TcpStream::connect(server.address).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    timeout(SOON, plain.read_to_end(&mut answer)).await.expect("an end").ok();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn another_certificate_is_for_new_connections_and_ends_no_old_one() {
    let server = Server::start(OPTIONS).await;
    let shown = |connection: &TlsStream<TcpStream>| {
        connection.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let mut old = server.connect(HTTP1).await;
    let next = server.authority.sign("next", &["localhost"]);
    assert_eq!(server.tls.replace(&files(&next)), Ok(true));
    assert_eq!(server.tls.replace(&files(&next)), Ok(false), "it is the same");
    // As it is while one file was changed and not yet the other.
    let other = server.authority.sign("other", &["localhost"]);
    let mixed = TlsFiles { key: other.key, ..files(&next) };
    assert_eq!(server.tls.replace(&mixed).expect_err("it does not fit").file, TlsFile::Key);
    let mut new = server.connect(HTTP1).await;
    assert_eq!(shown(&new), certificate(&next.certificate));
    assert_ne!(shown(&new), shown(&old));
    for connection in [&mut old, &mut new] {
        ask(connection).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_client_shows_a_certificate_where_one_is_asked_for() {
    let (authority, clients) = (Authority::new("Tests"), Authority::new("Clients"));
    let client_ca = Some(clients.certificate().to_owned());
    let tls = tls(&TlsFiles { client_ca, ..files(&authority.sign("server", &["localhost"])) }).expect("TLS");
    let (own, strange) = (clients.sign("client", &[]), authority.sign("client", &[]));
    let server = Server::start_with(OPTIONS, authority, tls.clone()).await;
    for version in [&TLS12, &TLS13] {
        for (shown, is_let_in) in [(None, false), (Some(&strange), false), (Some(&own), true)] {
            // In TLS 1.3 a client learns that it is refused when it reads.
            let asked = match server.connect_as(HTTP1, &[version], shown).await {
                Ok(mut connection) => ask(&mut connection).await,
                Err(error) => Err(error),
            };
            assert_eq!(asked.is_ok(), is_let_in, "{version:?}: {asked:?}");
        }
    }
    let authority = server.authority;
    let server = Server::start_with(OPTIONS, authority, tls.without_client_certificates()).await;
    ask(&mut server.connect(HTTP1).await).await.expect("the webhook's listener asks for none");
}

/// As `openssl pkey -aes256` writes it.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH\n-----END ENCRYPTED PRIVATE KEY-----\n";

#[test]
fn what_cannot_be_used_is_told_with_what_to_do_and_never_shown() {
    let (authority, other) = (Authority::new("Tests"), Authority::new("Others"));
    let (own, another) = (authority.sign("server", &["localhost"]), other.sign("server", &["localhost"]));
    let wrong_order = format!("{}{}", authority.certificate(), own.certificate);
    let damaged = own.key.replace("-----END PRIVATE KEY-----", "");
    for (certificate, key, client_ca, file, words) in [
        ("", own.key.as_str(), None, TlsFile::Certificate, "holds no certificate"),
        (&own.key, &own.key, None, TlsFile::Certificate, "holds no certificate"),
        (&wrong_order, &own.key, None, TlsFile::Certificate, "wrong order: the server's own certificate comes first"),
        (&own.certificate, "", None, TlsFile::Key, "holds no private key"),
        (&own.certificate, &own.certificate, None, TlsFile::Key, "holds no private key"),
        (&own.certificate, ENCRYPTED, None, TlsFile::Key, "is encrypted; decrypt it first with `openssl"),
        (&own.certificate, &another.key, None, TlsFile::Key, "does not match the certificate"),
        (&own.certificate, &damaged, None, TlsFile::Key, "is damaged"),
        (&own.certificate, &own.key, Some(""), TlsFile::ClientCa, "holds no certificate"),
    ] {
        let client_ca = client_ca.map(str::to_owned);
        let files = TlsFiles { certificate: certificate.to_owned(), key: key.to_owned(), client_ca };
        let error = tls(&files).expect_err(words);
        assert!(error.file == file && error.reason.contains(words), "{words}: {error:?}");
        let secret = own.key.lines().nth(1).expect("its text");
        assert!(!error.reason.contains(secret), "{error:?}");
    }
    let whole = format!("{}{}", own.certificate, authority.certificate());
    assert!(tls(&TlsFiles { certificate: whole, ..files(&own) }).is_ok());
    assert!(tls(&files(&authority.sign_expired("server", &["localhost"]))).is_ok(), "some clients take it");
}
