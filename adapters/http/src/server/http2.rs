//! HTTP/2: a connection carries several requests at once, so it has limits of its own. Each stream is answered as a
//! request of HTTP/1 is, and what it waits for is told to [`Streams`].

use std::{
    error::Error,
    io, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use poem::{
    Endpoint, IntoResponse as _, Request, Response,
    http::{
        HeaderValue, Method, StatusCode,
        header::{CONTENT_LENGTH, HOST},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinError,
    time::{sleep, timeout},
};

use super::{
    ConnectionPermit, ServerOptions,
    routes::{AnswerBody, Ends, Routes, busy},
    streams::{Overdue, Stream, Streams},
};
use crate::{connection::Connection, problem::Problem};

/// The most streams of a connection at once: browsers fetch what a page needs in one go.
const MAX_STREAMS: u32 = 16;

/// How much a client may send, of a stream and of all of a connection, before it is read.
const WINDOW: u32 = 64 << 10;

/// How much of an answer is handed on before the client has taken it.
const PIECE: usize = 16 << 10;

/// The largest head of a request.
const MAX_HEAD: u32 = 32 << 10;

/// How long a connection without streams stays when it was told to end, so that its client learns of it.
const FAREWELL: Duration = Duration::from_millis(250);

/// How much of a body that nobody wants is read, so that its client gets to the answer: some take a reset for a failure.
const MAX_REST: usize = 64 << 10;

/// How long that may take.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Builder = http2::Builder<TokioExecutor>;

/// The limits of connections.
pub(super) fn builder() -> Builder {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(PIECE)
        .max_header_list_size(MAX_HEAD);
    http
}

/// Serves a connection to its end.
pub(super) async fn serve<E: Endpoint<Output = Response> + 'static>(
    http: &Builder,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (connection, place): (&Connection, &ConnectionPermit),
    (routes, ends): (Arc<Routes<E>>, Ends),
    options: &ServerOptions,
    mut stop: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let streams = Streams::new(connection);
    let handler = Handler { routes, ends, place: Arc::clone(place), streams: Arc::clone(&streams) };
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), handler));
    let untaken = options.write_timeout;
    let overdue = tokio::select! {
        biased;
        ended = served.as_mut() => return Ok(ended?),
        _ = stop.changed() => Overdue::Idle,
        overdue = streams.overdue(options.header_timeout, untaken) => overdue,
    };
    if overdue == Overdue::Idle {
        served.as_mut().graceful_shutdown();
        let left = async {
            sleep(FAREWELL).await;
            streams.overdue(FAREWELL, untaken).await
        };
        tokio::select! {
            biased;
            ended = served.as_mut() => return Ok(ended?),
            overdue = left => if overdue == Overdue::Idle {
                return Ok(());
            },
        }
    }
    Err("its client does not take an answer".into())
}

/// The routes as hyper calls them for a connection.
struct Handler<E> {
    routes: Arc<Routes<E>>,
    ends: Ends,
    place: ConnectionPermit,
    streams: Arc<Streams>,
}

impl<E: Endpoint<Output = Response> + 'static> hyper::service::Service<hyper::Request<Incoming>> for Handler<E> {
    type Response = hyper::Response<Answer>;
    /// A panic that nobody caught.
    type Error = JoinError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let routes = Arc::clone(&self.routes);
        // The place of the connection is that of its first stream.
        let place = match self.streams.count() {
            0 => Some(Arc::clone(&self.place)),
            _ => Arc::clone(&routes.streams).try_acquire_owned().ok().map(Arc::new),
        };
        let has_place = place.is_some();
        let stream = self.streams.open(place);
        let mut request = self.ends.request(request);
        let is_head = request.method() == Method::HEAD;
        // A client that goes, or gives the request up, does not end it, as on HTTP/1: it keeps its place while there is work.
        let answering = tokio::spawn(async move {
            let rest = watch_body(&mut request, &stream);
            let response = if !has_place {
                busy("requests")
            } else if name_host(&mut request) {
                routes.answer(request).await
            } else {
                let detail = "Send one name of the server: Host differs from :authority.";
                Problem::new(StatusCode::BAD_REQUEST, detail).into_response()
            };
            let rest = rest.lock().take();
            if let Some(rest) = rest {
                read_rest(rest).await;
            }
            (response, stream)
        });
        Box::pin(async move {
            let (response, stream) = answering.await?;
            let mut response: hyper::Response<AnswerBody> = response.into();
            if is_head {
                leave_body_out(&mut response);
            }
            stream.waits_for_taker();
            Ok(response.map(|body| Answer { body, piece: Bytes::new(), stream }))
        })
    }
}

/// HEAD is answered as GET, without the body; on HTTP/1 hyper sees to that.
fn leave_body_out(response: &mut hyper::Response<AnswerBody>) {
    let body = mem::take(response.body_mut());
    if let Some(length) = body.size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
}

/// HTTP/2 names the server in `:authority`, where HTTP/1 has `Host` (RFC 9113, 8.3.1). Whoever looks for the name finds it
/// there. Whether the two are the same, when there are both.
fn name_host(request: &mut Request) -> bool {
    let Some(authority) = request.uri().authority() else { return true };
    let is_same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    if !request.headers().get_all(HOST).iter().all(is_same) {
        return false;
    }
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(HOST, host);
    }
    true
}

/// What is left of a body, when whoever was to read it has let go of it.
type Rest = Arc<Mutex<Option<Sent>>>;

/// Has a request's body tell the stream what it waits for.
fn watch_body(request: &mut Request, stream: &Stream) -> Rest {
    let rest = Rest::default();
    let is_small = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let is_small = is_small.is_none_or(|length: usize| length <= MAX_REST);
    let body: AnswerBody = request.take_body().into();
    if body.is_end_stream() {
        return rest;
    }
    let left = is_small.then(|| Arc::clone(&rest));
    let sent = Sent { body, stream: stream.clone() };
    request.set_body(AnswerBody::new(Lent { sent: Some(sent), left }));
    rest
}

/// Reads what is left of a body, when that is little and comes soon.
async fn read_rest(mut rest: Sent) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MAX_REST {
                return;
            }
        }
    };
    // Then its client has to live with a reset.
    let _: Result<(), _> = timeout(REST_TIMEOUT, reading).await;
}

/// A body that a client sends.
struct Sent {
    body: AnswerBody,
    stream: Stream,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => self.stream.waits_for_body(),
            Poll::Ready(Some(Ok(frame))) => self.stream.waits_for_server(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.stream.waits_for_server(0),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that a handler reads; what it leaves comes back.
struct Lent {
    sent: Option<Sent>,
    left: Option<Rest>,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(sent) = &mut self.sent else { return Poll::Ready(None) };
        Pin::new(sent).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.sent.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.sent.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(sent) = self.sent.take().filter(|sent| !sent.is_end_stream()) else { return };
        // It no longer waits for its client, but for whoever let go of the body.
        sent.stream.waits_for_server(0);
        if let Some(left) = self.left.take() {
            *left.lock() = Some(sent);
        }
    }
}

/// A body that is sent in small pieces, each of which tells when its client has taken it.
struct Answer {
    body: AnswerBody,
    /// What is not yet handed on of a piece.
    piece: Bytes,
    stream: Stream,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while self.piece.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            if polled.is_pending() {
                self.stream.waits_for_server(0);
                return Poll::Pending;
            }
            match polled.map_ok(Frame::into_data) {
                Poll::Ready(Some(Ok(Ok(data)))) => self.piece = data,
                Poll::Ready(Some(Ok(Err(frame)))) => return Poll::Ready(Some(Ok(frame))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(None),
            }
        }
        // Whoever is asked for more has taken what was before.
        self.stream.waits_for_taker();
        let length = self.piece.len().min(PIECE);
        let piece = Piece { bytes: self.piece.split_to(length), stream: self.stream.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, told) = (self.piece.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(told.lower() + left);
        if let Some(upper) = told.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

/// A piece of an answer, until it has gone out.
struct Piece {
    bytes: Bytes,
    stream: Stream,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.took(self.bytes.len());
    }
}
