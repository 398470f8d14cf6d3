//! What a connection waits for, so that those whose clients keep it waiting longest can make room.
//!
//! A client that sends or takes a byte now and then keeps it waiting too: what comes makes up for no more waiting than
//! it would take at the slowest rate. A notification of the registry is there at once, or nearly.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

/// A connection that waits for nothing its client does.
const NOT_WAITING: u64 = u64::MAX;

/// The slowest rate at which a client does not keep its connection waiting, in bytes a second. It is high, as it holds
/// only where places are short.
const MIN_RATE: u64 = 16 << 10;

/// What is known of a connection.
#[derive(Debug)]
struct State {
    /// Since when it waits for its client, to send or to take something, in microseconds. Earlier by what its client
    /// was behind before.
    waiting_since: AtomicU64,
    /// Whether its streams tell what it waits for, and not its socket.
    by_streams: AtomicBool,
    /// Tells it to go.
    go: Notify,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Connections {
    open: Mutex<Vec<Arc<State>>>,
    /// When time began.
    start: Instant,
}

/// One connection, as long as it is open.
#[derive(Debug)]
pub(crate) struct Connection {
    connections: Arc<Connections>,
    state: Arc<State>,
}

/// The socket of a connection: sees what is waited for.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    inner: S,
    connections: Arc<Connections>,
    state: Arc<State>,
    /// What the client did last.
    turn: Turn,
    /// By how much it is behind the slowest rate in that, in microseconds.
    behind: u64,
}

/// What the streams of a connection tell of it, in the place of its socket.
#[derive(Debug)]
pub(crate) struct Patience {
    connections: Arc<Connections>,
    state: Arc<State>,
    /// By how much its client is behind the slowest rate, in microseconds.
    behind: u64,
}

/// What a connection waits for. Before a client has sent the beginning of a request, it is idle, and takes its turn
/// when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Sends,
    Takes,
}

impl Connections {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), start: Instant::now() })
    }

    /// Another connection. It does not count as waiting before its client was found to have sent nothing.
    pub(crate) fn open<S>(self: &Arc<Self>, inner: S) -> (Connection, Socket<S>) {
        let (waiting_since, by_streams) = (AtomicU64::new(NOT_WAITING), AtomicBool::new(false));
        let state = Arc::new(State { waiting_since, by_streams, go: Notify::new() });
        self.list().push(Arc::clone(&state));
        let connection = Connection { connections: Arc::clone(self), state: Arc::clone(&state) };
        (connection, Socket { inner, connections: Arc::clone(self), state, turn: Turn::Takes, behind: 0 })
    }

    /// Tells connections to go that wait for their clients, at most so many, those that wait longest first; none that
    /// waits no longer than `patience`.
    pub(crate) fn make_room(&self, at_most: usize, patience: Duration) {
        let Some(before) = self.start.elapsed().checked_sub(patience).map(micros) else { return };
        let mut waiting: Vec<_> = self
            .list()
            .iter()
            .map(|state| (state.waiting_since.load(Ordering::Relaxed), Arc::clone(state)))
            .filter(|(since, _)| *since <= before)
            .collect();
        if waiting.len() > at_most {
            waiting.select_nth_unstable_by_key(at_most, |(since, _)| *since);
            waiting.truncate(at_most);
        }
        for (_, state) in waiting {
            state.go.notify_one();
        }
    }

    /// The time, in microseconds.
    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.open.lock()
    }
}

impl Connection {
    /// From now on streams tell what it waits for; it waits for its client.
    pub(crate) fn by_streams(&self) -> Patience {
        self.state.by_streams.store(true, Ordering::Relaxed);
        let (connections, state) = (Arc::clone(&self.connections), Arc::clone(&self.state));
        let mut patience = Patience { connections, state, behind: 0 };
        patience.note(true, usize::MAX);
        patience
    }

    /// Ends when it is to make room, and still waits for its client.
    pub(crate) async fn told_to_go(&self) {
        loop {
            self.state.go.notified().await;
            if self.state.waiting_since.load(Ordering::Relaxed) != NOT_WAITING {
                return;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.list();
        if let Some(place) = open.iter().position(|state| Arc::ptr_eq(state, &self.state)) {
            open.swap_remove(place);
        }
    }
}

impl Patience {
    /// Notes whether the connection waits for its client now, and how many bytes moved.
    pub(crate) fn note(&mut self, waits: bool, moved: usize) {
        let now = self.connections.now();
        let since = self.state.waiting_since.load(Ordering::Relaxed);
        if since != NOT_WAITING {
            self.behind = now.saturating_sub(since);
        }
        self.behind = self.behind.saturating_sub(time_for(moved));
        let since = if waits { now.saturating_sub(self.behind) } else { NOT_WAITING };
        self.state.waiting_since.store(since, Ordering::Relaxed);
    }
}

impl<S> Socket<S> {
    /// Notes what came of an attempt to read or to write, and how many bytes it moved.
    fn note<T>(&mut self, turn: Turn, attempt: Poll<T>, moved: impl FnOnce(&T) -> usize) -> Poll<T> {
        if self.state.by_streams.load(Ordering::Relaxed) {
            return attempt;
        }
        let since = self.state.waiting_since.load(Ordering::Relaxed);
        if let Poll::Ready(done) = &attempt {
            let behind = match since {
                _ if turn != self.turn => 0,
                NOT_WAITING => self.behind,
                since => self.connections.now().saturating_sub(since),
            };
            self.turn = turn;
            self.behind = behind.saturating_sub(time_for(moved(done)));
            self.state.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
        } else if since == NOT_WAITING {
            let behind = if turn == self.turn { self.behind } else { 0 };
            self.state.waiting_since.store(self.connections.now().saturating_sub(behind), Ordering::Relaxed);
        }
        attempt
    }
}

/// How long bytes may take at the slowest rate, in microseconds.
fn time_for(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / MIN_RATE
}

/// Whole microseconds; the end of time comes later than any server's.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NOT_WAITING - 1)
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let attempt = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.note(Turn::Sends, attempt, |_| buffer.filled().len() - before)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(Turn::Takes, attempt, |written| *written.as_ref().unwrap_or(&0))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.note(Turn::Takes, attempt, |written| *written.as_ref().unwrap_or(&0))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
