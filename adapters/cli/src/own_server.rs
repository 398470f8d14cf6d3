//! The server that runs with these settings, asked over its own listeners: by the health check of containers, whose image
//! holds no other program, and by the doctor.

use std::{
    fmt,
    io::{Error, Read, Result, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::Value;

use crate::settings::{ListenAddress, Settings};

/// How long the server may take for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers are shorter than this.
const MAX_BYTES: u64 = 1 << 20;

/// A listener of the server.
#[derive(Clone, Copy)]
pub(crate) struct OwnServer<'a> {
    pub(crate) address: &'a ListenAddress,
    pub(crate) is_tls: bool,
    pub(crate) patience: Duration,
}

/// What is asked.
pub(crate) struct Request<'a> {
    method: &'static str,
    path: &'static str,
    /// What lets the request in: a header and its value.
    credentials: Option<(&'static str, String)>,
    body: &'a str,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The first line.
    pub(crate) status_line: String,
    body: String,
}

impl<'a> OwnServer<'a> {
    /// The listener of pages and API.
    pub(crate) fn of_pages(settings: &'a Settings) -> Self {
        let is_tls = settings.http.tls_cert.is_some();
        Self { address: &settings.http.bind_addr, is_tls, patience: PATIENCE }
    }

    /// The listener of the webhook, often the same.
    pub(crate) fn of_webhook(settings: &'a Settings) -> Self {
        let pages = Self::of_pages(settings);
        Self { address: settings.webhook.bind_addr.as_ref().unwrap_or(pages.address), ..pages }
    }

    /// The listener of those who watch, when it is one of its own.
    pub(crate) fn of_telemetry(settings: &'a Settings) -> Option<Self> {
        settings.telemetry.bind_addr.as_ref().map(|address| Self { address, ..Self::of_pages(settings) })
    }

    /// Sends a request, and reads the answer.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<Answer> {
        let connection = connect(self.address.resolve()?, self.patience)?;
        connection.set_read_timeout(Some(self.patience))?;
        connection.set_write_timeout(Some(self.patience))?;
        let host = connection.peer_addr()?;
        if self.is_tls { ask_over(over_tls(connection)?, host, request) } else { ask_over(connection, host, request) }
    }
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'static str) -> Self {
        Self { method: "GET", path, credentials: None, body: "" }
    }

    /// A POST of JSON.
    pub(crate) fn post(path: &'static str, credentials: Option<(&'static str, String)>, body: &'a str) -> Self {
        Self { method: "POST", path, credentials, body }
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, credentials, body } = self;
        write!(f, "{method} {path} HTTP/1.1\r\nConnection: close\r\n")?;
        if let Some((header, value)) = credentials {
            write!(f, "{header}: {value}\r\n")?;
        }
        if !body.is_empty() {
            write!(f, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())?;
        }
        Ok(())
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status_line = head.lines().next().unwrap_or_default().to_owned();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        // What is no HTTP has a status that nobody expects.
        Self { status: status.unwrap_or_default(), status_line, body: body.to_owned() }
    }

    /// The body; null when it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn ask_over(mut connection: impl Read + Write, host: SocketAddr, request: &Request<'_>) -> Result<Answer> {
    connection.write_all(format!("{request}Host: {host}\r\n\r\n{}", request.body).as_bytes())?;
    connection.flush()?;
    let mut bytes = Vec::new();
    let read = connection.take(MAX_BYTES).read_to_end(&mut bytes);
    // Some peers end a connection without a word.
    if bytes.is_empty() {
        Err(read.err().unwrap_or_else(|| Error::other("it says nothing")))
    } else {
        Ok(Answer::read(&bytes))
    }
}

fn over_tls(connection: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(connection.peer_addr()?.ip().into());
    let session = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    Ok(StreamOwned::new(session, connection))
}

/// Takes any certificate: it is this machine's own server that is asked, by an address that no certificate names, and
/// what is told it, it knows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Connects to the first place that takes connections.
fn connect(places: Vec<SocketAddr>, patience: Duration) -> Result<TcpStream> {
    let mut failed = Error::other("no such address");
    for place in places.into_iter().map(reachable) {
        match TcpStream::connect_timeout(&place, patience) {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A server that listens everywhere is reached over loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
