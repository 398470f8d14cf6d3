//! The way from the socket to the routes: HTTP/1.1, with limits that keep slow or many clients from hurting others.
//!
//! When all places are taken, the connections that have waited longest for their clients make room. What waits for
//! staticreg itself keeps its place; questions take no more than a part of them. Why a loop of our own:
//! `docs/adr/0004-own-serving-loop.md`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Endpoint, IntoResponse as _, Request, Response,
    http::{
        StatusCode,
        header::{HeaderValue, RETRY_AFTER},
        uri::Scheme,
    },
    web::{LocalAddr, RemoteAddr},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, ToSocketAddrs},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use crate::{
    connection::Connections,
    operations::health,
    problem::{Problem, RETRY_AFTER_SECONDS},
    webhook,
};

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
    let most = options.max_connections;
    let routes = Arc::new(Routes { endpoint, questions: Semaphore::new(most - most / KEPT_PART) });
    let places = Places { free: Arc::new(Semaphore::new(most)), taken: Connections::new(), most };
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
    // A client that goes while it waits does not end its request, so nobody need look for that: a look is a system call
    // and a buffer for each request.
    http.half_close(true).max_buf_size(MAX_BUFFER);
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
        let handler = Handler { routes: Arc::clone(&routes), local_addr: local_addr.clone(), peer: peer.into() };
        let served = connections.watch(http.serve_connection(TokioIo::new(socket), handler));
        tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = served => if let Err(error) = ended {
                    tracing::debug!(%error, "A connection ended early");
                },
                () = connection.told_to_go() => tracing::debug!("A connection that waited for its client made room"),
            }
            drop(place);
        });
    }
    drop(listener);
    let stopped = Instant::now();
    let finished = timeout(options.stop_timeout, connections.shutdown()).await.is_ok();
    Ok(if finished { options.stop_timeout.saturating_sub(stopped.elapsed()) } else { Duration::ZERO })
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

/// The routes, and how many questions may be asked of them at once.
struct Routes<E> {
    endpoint: E,
    questions: Semaphore,
}

impl<E: Endpoint<Output = Response>> Routes<E> {
    /// Answers a request. Notifications, and whether all is well, are no questions.
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path();
        let is_question = !path.starts_with(webhook::PATH) && !path.starts_with(health::PATH);
        let Ok(_turn) = is_question.then(|| self.questions.try_acquire()).transpose() else {
            let detail = "Too many questions are being answered; ask again.";
            let mut busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
            busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            return busy;
        };
        self.endpoint.get_response(request).await
    }
}

/// The routes as hyper calls them.
struct Handler<E> {
    routes: Arc<Routes<E>>,
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
        let routes = Arc::clone(&self.routes);
        let request = Request::from((request, self.local_addr.clone(), RemoteAddr(self.peer.clone()), Scheme::HTTP));
        Box::pin(async move { Ok(routes.answer(request).await.into()) })
    }
}
