//! The way from the socket to the routes: what clients may do to each other.

#![cfg(target_os = "linux")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use poem::{IntoResponse as _, Request, Response, endpoint::make};
use staticreg_http::server::{self, ServerOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// More than the system's buffers of a connection hold.
const LARGE: usize = 64 << 20;

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

const OPTIONS: ServerOptions = ServerOptions {
    max_connections: 2,
    header_timeout: Duration::from_mins(30),
    write_timeout: Duration::from_mins(30),
    stop_timeout: Duration::ZERO,
};

const NOTIFY: &str = "POST /api/webhook/registry HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n";
const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\n";
const LAST: &str = "connection: close\r\n";
const END: &str = "\r\n";

/// A server that ends with the runtime of its test.
struct Server {
    address: SocketAddr,
    /// Requests that were begun.
    begun: Arc<Semaphore>,
    /// Lets requests with a header `wait` end.
    go: Arc<Semaphore>,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<Duration>,
}

impl Server {
    /// Reads what it is sent, and answers `/large` with much and all else with little.
    async fn start(options: ServerOptions) -> Self {
        let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, wait) = (Arc::clone(&begun), Arc::clone(&go));
        let endpoint = make(move |request: Request| {
            let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
            async move {
                told.add_permits(1);
                if request.header("wait").is_some() {
                    wait.acquire().await.expect("it stays open").forget();
                }
                let length = if request.uri().path() == "/large" { LARGE } else { 0 };
                request.into_body().into_bytes().await.ok();
                Ok::<Response, poem::Error>(vec![b'x'; length].into_response())
            }
        });
        let listener = server::listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (stop, to_stop) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let endpoint = poem::EndpointExt::map_to_response(endpoint);
            let left = server::serve(listener, endpoint, &options, async { drop(to_stop.await) }).await;
            ended.send(left.expect("serves")).ok();
        });
        // A connection takes its limits over from the listener, which has them once it serves.
        tokio::task::yield_now().await;
        Self { address, begun, go, stop, stopped }
    }

    async fn send(&self, requests: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(requests.as_bytes()).await.expect("sent");
        stream
    }

    /// Waits until so many requests were begun since this was last asked.
    async fn until_begun(&self, requests: u32) {
        timeout(SOON, self.begun.acquire_many(requests)).await.expect("they begin").expect("it stays open").forget();
    }
}

/// All that comes on a connection until its end.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // A connection that was cut off gives what came before.
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an end").ok();
    answer
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 OK\r\n")
}

#[tokio::test]
async fn who_sends_nothing_makes_room_and_of_those_who_wait_longest() {
    let server = Server::start(OPTIONS).await;
    let silent = server.send("").await;
    let kept = server.send(&[ASK, END].concat()).await;
    timeout(SOON, kept.readable()).await.expect("an answer").expect("an answer");
    for _ in 0..5 {
        let other = answer(server.send(&[NOTIFY, LAST, END].concat()).await).await;
        assert!(is_ok(&other), "{other}");
    }
    assert_eq!(answer(silent).await, "");
}

#[tokio::test]
async fn who_sends_a_byte_at_a_time_makes_room() {
    // Each byte comes sooner than a connection that waits for its client makes room.
    const PAUSE: Duration = Duration::from_millis(20);
    let body = NOTIFY.replace("content-length: 0", "content-length: 1000000");
    for beginning in ["POST /api/webhook/registry HTTP/1.1\r\nx: ", &[&body, END].concat()] {
        let server = Server::start(OPTIONS).await;
        let mut slow = Vec::new();
        for _ in 0..OPTIONS.max_connections {
            let mut stream = server.send(beginning).await;
            slow.push(tokio::spawn(async move {
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        for _ in 0..3 {
            let other = answer(server.send(&[NOTIFY, LAST, END].concat()).await).await;
            assert!(is_ok(&other), "{beginning}: {other}");
        }
        slow.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn who_reads_no_answer_makes_room() {
    let server = Server::start(OPTIONS).await;
    let mut silent = Vec::new();
    for _ in 0..OPTIONS.max_connections {
        let stream = server.send(&"GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3)).await;
        timeout(SOON, stream.readable()).await.expect("an answer begins").expect("an answer");
        silent.push(stream);
    }
    let other = answer(server.send(&[ASK, LAST, END].concat()).await).await;
    assert!(is_ok(&other), "{other}");
}

#[tokio::test]
async fn who_reads_no_answer_is_cut_off_when_nobody_else_comes_too() {
    let write_timeout = Duration::from_secs(1);
    let server = Server::start(ServerOptions { write_timeout, stop_timeout: SOON, ..OPTIONS }).await;
    let silent = server.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    timeout(SOON, silent.readable()).await.expect("an answer begins").expect("an answer");
    server.stop.send(()).expect("it serves");
    // Time is left, so it did not wait for the answer to be taken.
    assert!(server.stopped.await.expect("it ends") > Duration::ZERO);
}

#[tokio::test]
async fn what_waits_for_the_server_keeps_its_place() {
    let server = Server::start(OPTIONS).await;
    let waiting = [NOTIFY, LAST, "wait: x\r\n", END].concat();
    let first = [server.send(&waiting).await, server.send(&waiting).await];
    server.until_begun(2).await;
    let third = server.send(&waiting).await;
    // Longer than a client may keep its connection waiting when places are short.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.go.add_permits(3);
    for stream in first.into_iter().chain([third]) {
        let answer = answer(stream).await;
        assert!(is_ok(&answer), "{answer}");
    }
}

#[tokio::test]
async fn questions_leave_places_for_notifications() {
    let server = Server::start(ServerOptions { max_connections: 8, ..OPTIONS }).await;
    let waiting = [ASK, LAST, "wait: x\r\n", END].concat();
    let mut questions = Vec::new();
    for _ in 0..6 {
        questions.push(server.send(&waiting).await);
    }
    server.until_begun(6).await;
    let busy = answer(server.send(&waiting).await).await;
    assert!(busy.starts_with("HTTP/1.1 503 ") && busy.contains("\r\nretry-after: 1\r\n"), "{busy}");
    assert!(busy.contains("Too many questions"), "{busy}");
    let health = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    for request in [NOTIFY, health] {
        let answer = answer(server.send(&[request, LAST, END].concat()).await).await;
        assert!(is_ok(&answer), "{answer}");
    }
    server.go.add_permits(6);
    for question in questions {
        assert!(is_ok(&answer(question).await));
    }
}
