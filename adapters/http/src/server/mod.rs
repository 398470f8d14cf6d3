//! The way from the socket to the routes: HTTP/1.1, and HTTP/2 over TLS, with limits that keep slow or many clients from
//! hurting others.
//!
//! When all places are taken, the connections that have waited longest for their clients make room. What waits for
//! staticreg itself keeps its place; questions take no more than a part of them. Why a loop of our own:
//! `docs/adr/0004-own-serving-loop.md`.

mod http2;
mod routes;
mod streams;
mod tls;

pub use tls::{InvalidTls, Tls, TlsFile, TlsFiles, time_fault};

use std::{error::Error, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{Endpoint, Response, http::uri::Scheme, web::LocalAddr};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use crate::connection::{Connection, Connections, Socket};
use routes::{Ends, Handler, Routes};

/// The pause after a connection could not be accepted, for one because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most bytes of a connection that are held before they are read on; so also the largest head of a request.
const MAX_BUFFER: usize = 64 << 10;

/// How many connections may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// How long a client may keep its connection waiting when others find no place.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);

/// How often to look for connections that can make room.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The part of the connections that make room at once, so that looking for them costs each little.
const ROOM_PART: usize = 64;

/// The part of the connections that no question may take.
const KEPT_PART: usize = 4;

/// The limits of connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The most connections at once; for a further one, one that waits for its client makes room.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, or keep a connection without one.
    pub header_timeout: Duration,
    /// How long a client may take none of an answer; beyond that its connection ends (on Linux).
    pub write_timeout: Duration,
    /// How long a stop may take to finish the requests that were accepted.
    pub stop_timeout: Duration,
}

/// Where connections come from.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

impl Listener {
    /// The same, where clients speak TLS, if there is any.
    #[must_use]
    pub fn with_tls(tcp: TcpListener, tls: Option<Tls>) -> Self {
        Self { tcp, tls }
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.tcp.local_addr()?))
    }
}

/// Listens on the first of an address's places that is free.
///
/// A registry opens a connection for each event, so many may come at once, and more than usual may wait to be accepted.
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
    listener: impl Into<Listener>,
    endpoint: impl Endpoint<Output = Response> + 'static,
    options: &ServerOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<Duration> {
    let Listener { tcp: listener, tls } = listener.into();
    // Each connection takes these over from the listener, which saves a system call for each.
    let socket = SockRef::from(&listener);
    // Answers are small and complete: waiting for more to send would only delay them.
    socket.set_tcp_nodelay(true)?;
    // Who reads nothing of an answer would hold a place for ever.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(options.write_timeout))?;
    let most = options.max_connections;
    let places = Places { free: Arc::new(Semaphore::new(most)), taken: Connections::new(), most };
    let server = Arc::new(Server::new(endpoint, tls, LocalAddr(listener.local_addr()?.into()), options));
    // Every connection holds a receiver, so they have ended when there is none.
    let (stopping, to_stop) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let next = async {
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((places.take().await, stream, peer))
        };
        let (place, stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted");
                    places.make_room();
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (connection, socket) = places.taken.open(stream);
        let (server, place, to_stop) = (Arc::clone(&server), Arc::new(place), to_stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = server.serve(socket, peer, (&connection, &place), to_stop) => if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "A connection ended early");
                },
                () = connection.told_to_go() => tracing::debug!("A connection that waited for its client made room"),
            }
            drop(place);
        });
    }
    drop((listener, to_stop));
    let stopped = Instant::now();
    stopping.send_replace(());
    let finished = timeout(options.stop_timeout, stopping.closed()).await.is_ok();
    Ok(if finished { options.stop_timeout.saturating_sub(stopped.elapsed()) } else { Duration::ZERO })
}

/// The place of a connection, or of a further stream of one: taken until nobody holds it.
type ConnectionPermit = Arc<OwnedSemaphorePermit>;

/// What serves each connection.
struct Server<E> {
    routes: Arc<Routes<E>>,
    tls: Option<Tls>,
    local: LocalAddr,
    options: ServerOptions,
    http1: http1::Builder,
    http2: http2::Builder,
}

/// Why a connection ended early.
type Ended = Result<(), Box<dyn Error + Send + Sync>>;

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    fn new(endpoint: E, tls: Option<Tls>, local: LocalAddr, options: &ServerOptions) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
        // A client that goes while it waits does not end its request, so nobody need look for that: a look is a system
        // call and a buffer for each request.
        http1.half_close(true).max_buf_size(MAX_BUFFER);
        let routes = Arc::new(Routes::new(endpoint, options.max_connections));
        Self { routes, tls, local, options: options.clone(), http1, http2: http2::builder() }
    }

    async fn serve(
        &self,
        socket: Socket<TcpStream>,
        peer: SocketAddr,
        at: (&Connection, &ConnectionPermit),
        stop: watch::Receiver<()>,
    ) -> Ended {
        match &self.tls {
            None => self.serve_http1(socket, self.ends(peer, Scheme::HTTP), stop).await,
            // Boxed, so that the short way does not carry it.
            Some(tls) => Box::pin(self.serve_tls(tls, socket, peer, at, stop)).await,
        }
    }

    async fn serve_tls(
        &self,
        tls: &Tls,
        socket: Socket<TcpStream>,
        peer: SocketAddr,
        at: (&Connection, &ConnectionPermit),
        mut stop: watch::Receiver<()>,
    ) -> Ended {
        let socket = tokio::select! {
            biased;
            _ = stop.changed() => return Ok(()),
            shaken = tls.accept(socket) => shaken?,
        };
        let ends = self.ends(peer, Scheme::HTTPS);
        if socket.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
            let routes = Arc::clone(&self.routes);
            http2::serve(&self.http2, socket, at, (routes, ends), &self.options, stop).await
        } else {
            self.serve_http1(socket, ends, stop).await
        }
    }

    async fn serve_http1(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send,
        ends: Ends,
        mut stop: watch::Receiver<()>,
    ) -> Ended {
        let handler = Handler { routes: Arc::clone(&self.routes), ends };
        let mut served = pin!(self.http1.serve_connection(TokioIo::new(socket), handler));
        tokio::select! {
            biased;
            ended = served.as_mut() => return Ok(ended?),
            _ = stop.changed() => served.as_mut().graceful_shutdown(),
        }
        Ok(served.await?)
    }

    fn ends(&self, peer: SocketAddr, scheme: Scheme) -> Ends {
        Ends { local: self.local.clone(), peer: peer.into(), scheme }
    }
}

/// The places that connections take.
struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Connections>,
    most: usize,
}

impl Places {
    /// A place, as soon as there is one.
    async fn take(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                return place;
            }
            self.make_room();
            if let Ok(Ok(place)) = timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await {
                return place;
            }
        }
    }

    fn make_room(&self) {
        self.taken.make_room((self.most / ROOM_PART).max(1), SHORT_PATIENCE);
    }
}
