//! TLS and HTTP/2: who is let in how, and what clients may do to each other.

#![cfg(target_os = "linux")]

mod certificates;
mod http2;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use poem::{EndpointExt as _, IntoResponse as _, Request, Response, endpoint::make};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use staticreg_domain::clock::MockClock;
use staticreg_http::server::{self, InvalidTls, Listener, ServerOptions, Tls, TlsFiles};
use staticreg_test_support::authority::{Authority, Pair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

const OPTIONS: ServerOptions = ServerOptions {
    max_connections: 2,
    header_timeout: Duration::from_mins(30),
    write_timeout: Duration::from_mins(30),
    stop_timeout: Duration::ZERO,
};

const LARGE: usize = 1 << 20;

const HTTP1: &[&[u8]] = &[b"http/1.1"];
const HTTP2: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A server that ends with the runtime of its test.
struct Server {
    address: SocketAddr,
    tls: Tls,
    authority: Authority,
    /// Requests that were begun.
    begun: Arc<Semaphore>,
    /// Lets requests end whose path ends with `/wait`.
    go: Arc<Semaphore>,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<Duration>,
}

impl Server {
    async fn start(options: ServerOptions) -> Self {
        let authority = Authority::new("Tests");
        let tls = tls(&files(&authority.sign("server", &["localhost"]))).expect("TLS");
        Self::start_with(options, authority, tls).await
    }

    /// Answers `/large` with much, `/refused` without reading its body, and all else with what it was called and how.
    async fn start_with(options: ServerOptions, authority: Authority, tls: Tls) -> Self {
        let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, wait) = (Arc::clone(&begun), Arc::clone(&go));
        let endpoint = make(move |request: Request| {
            let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
            async move {
                told.add_permits(1);
                let (host, scheme) = (request.header("host").unwrap_or_default().to_owned(), request.scheme().clone());
                match request.uri().path() {
                    "/refused" => return Ok(poem::http::StatusCode::FORBIDDEN.into_response()),
                    "/large" => return Ok(vec![b'x'; LARGE].into_response()),
                    path if path.ends_with("/wait") => wait.acquire().await.expect("it stays open").forget(),
                    _ => {}
                }
                let length = request.into_body().into_bytes().await.map_or(0, |body| body.len());
                Ok::<Response, poem::Error>(format!("{scheme} {host} {length}").into_response())
            }
        })
        .map_to_response();
        let listener = server::listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let listener = Listener::with_tls(listener, Some(tls.clone()));
        let (stop, to_stop) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let left = server::serve(listener, endpoint, &options, async { drop(to_stop.await) }).await;
            ended.send(left.expect("serves")).ok();
        });
        Self { address, tls, authority, begun, go, stop, stopped }
    }

    /// Waits until so many requests were begun since this was last asked.
    async fn until_begun(&self, requests: u32) {
        timeout(SOON, self.begun.acquire_many(requests)).await.expect("they begin").expect("it stays open").forget();
    }

    /// A connection of a client that knows the authority.
    async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.connect_as(protocols, rustls::ALL_VERSIONS, None).await.expect("a connection")
    }

    async fn connect_as(
        &self,
        protocols: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&Pair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(self.authority.certificate())).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => config.with_no_client_auth(),
            Some(Pair { certificate: text, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![certificate(text)], key).expect("a certificate")
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        timeout(SOON, TlsConnector::from(Arc::new(config)).connect(name, socket)).await.expect("a handshake")
    }
}

fn certificate(text: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(text.as_bytes()).expect("a certificate")
}

fn files(pair: &Pair) -> TlsFiles {
    TlsFiles { certificate: pair.certificate.clone(), key: pair.key.clone(), client_ca: None }
}

fn tls(files: &TlsFiles) -> Result<Tls, InvalidTls> {
    let mut clock = MockClock::new();
    clock.expect_now().returning(|| "2026-11-21T20:00:00Z".parse().expect("a time"));
    Tls::new(files, Arc::new(clock))
}

/// Asks for `/` and gives the answer; the connection may be used again.
async fn ask(connection: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = String::new();
    while !answer.ends_with(" localhost 0") {
        let mut part = [0; 1024];
        let length = timeout(SOON, connection.read(&mut part)).await.expect("an answer")?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer += &String::from_utf8_lossy(&part[..length]);
    }
    Ok(answer)
}
