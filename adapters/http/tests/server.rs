//! The way from the socket to the routes: what clients may do to each other.

#![cfg(target_os = "linux")]

use std::{net::SocketAddr, time::Duration};

use poem::{IntoResponse as _, endpoint::make_sync};
use staticreg_http::server::{self, ServerOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// More than the system's buffers of a connection hold.
const LARGE: usize = 64 << 20;

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

const OPTIONS: ServerOptions = ServerOptions {
    max_connections: 2,
    header_timeout: Duration::from_mins(1),
    write_timeout: Duration::from_secs(1),
    stop_timeout: Duration::ZERO,
};

/// Answers `/large` with much and all else with little, until the runtime of the test ends.
async fn serve() -> SocketAddr {
    let endpoint = make_sync(|request| {
        if request.uri().path() == "/large" { vec![b'x'; LARGE] } else { Vec::new() }.into_response()
    });
    let listener = server::listen("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { server::serve(listener, endpoint, &OPTIONS, std::future::pending()).await });
    address
}

async fn ask(address: SocketAddr, requests: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(requests.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn who_reads_no_answer_loses_its_place() {
    let address = serve().await;
    let large = "GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut silent = Vec::new();
    for _ in 0..OPTIONS.max_connections {
        let stream = ask(address, &large.repeat(3)).await;
        timeout(SOON, stream.readable()).await.expect("an answer begins").expect("an answer");
        silent.push(stream);
    }
    let mut other = ask(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut answer = String::new();
    timeout(SOON, other.read_to_string(&mut answer)).await.expect("a place becomes free").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
