//! The way from the socket to the routes: HTTP/1.1, with limits that keep slow or many clients from hurting others.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, ToSocketAddrs},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

/// The pause after a connection could not be accepted, for one because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most bytes of a connection that are held before they are read on; so also the largest head of a request.
const MAX_BUFFER: usize = 64 << 10;

/// How many connections may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// The limits of connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The most connections at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, or keep a connection without one.
    pub header_timeout: Duration,
    /// How long a client may take none of an answer; beyond that its connection ends (on Linux).
    pub write_timeout: Duration,
    /// How long a stop may take to finish the requests that were accepted.
    pub stop_timeout: Duration,
}

/// Listens on the first of an address's places that is free.
///
/// A registry opens a connection for each event, so many may come at once: more than the usual 128 may wait to be
/// accepted, as one that finds no room tries again only after a second.
pub async fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the address has no place");
    for place in tokio::net::lookup_host(address).await? {
        match listen_on(place) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_on(place: SocketAddr) -> io::Result<TcpListener> {
    let socket = if place.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(place)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then finishes the requests that were accepted. Answers how much of the time for that is left:
/// nothing when some were not finished.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint<Output = Response> + 'static,
    options: &ServerOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<Duration> {
    // Each connection takes these over from the listener, which saves a system call for each.
    let socket = SockRef::from(&listener);
    // Answers are small and complete: waiting for more to send would only delay them.
    socket.set_tcp_nodelay(true)?;
    // Who reads nothing of an answer would hold a place for ever.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(options.write_timeout))?;
    let local_addr = LocalAddr(listener.local_addr()?.into());
    let endpoint = Arc::new(endpoint);
    let room = Arc::new(Semaphore::new(options.max_connections));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
    // A client that goes while it waits does not end its request, so nobody need look for that: a look is a system call
    // and a buffer for each request.
    http.half_close(true).max_buf_size(MAX_BUFFER);
    tokio::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (place, stream, peer))
        };
        let (place, stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let handler = Handler { endpoint: Arc::clone(&endpoint), local_addr: local_addr.clone(), peer: peer.into() };
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), handler));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "A connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    let stopped = Instant::now();
    let finished = timeout(options.stop_timeout, connections.shutdown()).await.is_ok();
    Ok(if finished { options.stop_timeout.saturating_sub(stopped.elapsed()) } else { Duration::ZERO })
}

/// The routes as hyper calls them.
struct Handler<E> {
    endpoint: Arc<E>,
    local_addr: LocalAddr,
    peer: poem::Addr,
}

impl<E: Endpoint<Output = Response> + 'static> hyper::service::Service<hyper::Request<hyper::body::Incoming>>
    for Handler<E>
{
    type Response = hyper::Response<http_body_util::combinators::BoxBody<hyper::body::Bytes, io::Error>>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        let endpoint = Arc::clone(&self.endpoint);
        let request = Request::from((request, self.local_addr.clone(), RemoteAddr(self.peer.clone()), Scheme::HTTP));
        Box::pin(async move { Ok(endpoint.get_response(request).await.into()) })
    }
}
