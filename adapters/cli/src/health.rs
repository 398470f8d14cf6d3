//! Asks the running server whether it is alive: the health check of containers, whose image holds no other program.

use std::{
    io::{BufRead as _, BufReader, Error, Read, Result, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    Failure,
    settings::{ListenAddress, Settings},
};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A status line is shorter than this.
const MOST_BYTES: u64 = 256;

/// Asks the server as it is configured, on each of its listeners.
pub(crate) fn check_all(settings: &Settings) -> std::result::Result<(), Failure> {
    let addresses = [Some(&settings.http.bind_addr), settings.webhook.bind_addr.as_ref()];
    let is_tls = settings.http.tls_cert.is_some();
    addresses.into_iter().flatten().try_for_each(|address| check(address, is_tls, PATIENCE))
}

/// Asks the server that listens there, and waits so long for each part of the answer.
fn check(bind_addr: &ListenAddress, is_tls: bool, patience: Duration) -> std::result::Result<(), Failure> {
    let status = match ask(bind_addr, is_tls, patience) {
        // It speaks TLS well, and serves others who show a certificate.
        Err(error) if asks_for_certificate(&error) => return Ok(()),
        asked => asked.map_err(|error| format!("no answer from {bind_addr}: {error}."))?,
    };
    if status.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(Failure::Other(format!("{bind_addr} is not well, it answered: {}", status.trim().escape_debug())))
}

fn ask(bind_addr: &ListenAddress, is_tls: bool, patience: Duration) -> Result<String> {
    let connection = connect(bind_addr.resolve()?, patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    let host = connection.peer_addr()?;
    if is_tls { ask_over(over_tls(connection)?, host) } else { ask_over(connection, host) }
}

fn ask_over(mut connection: impl Read + Write, host: SocketAddr) -> Result<String> {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    connection.flush()?;
    let mut status = String::new();
    BufReader::new(connection.take(MOST_BYTES)).read_line(&mut status)?;
    Ok(status)
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

fn asks_for_certificate(error: &Error) -> bool {
    let refused = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(refused, Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)))
}

/// Takes any certificate: it is this machine's own server that is asked, by an address that no certificate names, and
/// nothing secret is told.
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;
    use crate::settings::Sources;

    /// However busy the machine is.
    const LONG: Duration = Duration::from_mins(2);

    fn listen_address(text: &str) -> ListenAddress {
        let sources = Sources { flags: vec![("http.bind_addr", text.to_owned())], ..Sources::default() };
        sources.read().unwrap().settings().unwrap().http.bind_addr
    }

    /// What is said of a server that is not well.
    fn told(address: &str) -> String {
        match check(&listen_address(address), false, LONG) {
            Err(Failure::Other(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    fn server(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            // All of the request: a connection closed on unread data is reset.
            let request: Vec<_> = BufReader::new(connection.try_clone().unwrap())
                .lines()
                .map(|line| line.unwrap())
                .take_while(|line| !line.is_empty())
                .collect();
            assert_eq!(request[0], "GET /healthz HTTP/1.1");
            connection.write_all(answer.as_bytes()).unwrap();
        });
        address.port()
    }

    #[test]
    fn a_server_that_answers_ok_is_well_wherever_it_listens() {
        for everywhere in ["0.0.0.0", ""] {
            let port = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            assert!(check(&listen_address(&format!("{everywhere}:{port}")), false, LONG).is_ok());
        }
    }

    #[test]
    fn any_other_answer_is_told() {
        let address = format!("0.0.0.0:{}", server("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert_eq!(told(&address), format!("{address} is not well, it answered: HTTP/1.1 503 Service Unavailable"));
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        // Taken, so that nobody else listens there.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let sentence = told(&address);
        assert!(sentence.starts_with(&format!("no answer from {address}: ")), "{sentence}");
    }
}
