//! HTTP/2: several requests on one connection, under limits.

use h2::{
    Ping, RecvStream,
    client::{Builder, Connection, SendRequest},
};
use poem::http::{self, StatusCode};
use tokio::time::sleep;

use super::*;

type Bytes = hyper::body::Bytes;

/// A client that is driven beside its test.
async fn client(server: &Server) -> SendRequest<Bytes> {
    let (client, connection) = open(server, &Builder::new()).await;
    tokio::spawn(connection);
    client
}

async fn open(server: &Server, builder: &Builder) -> (SendRequest<Bytes>, Connection<TlsStream<TcpStream>, Bytes>) {
    let socket = server.connect(HTTP2).await;
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    builder.handshake(socket).await.expect("HTTP/2")
}

fn request(path: &str) -> http::Request<()> {
    http::Request::builder().uri(format!("https://localhost{path}")).body(()).expect("a request")
}

async fn send(client: &SendRequest<Bytes>, request: http::Request<()>) -> h2::client::ResponseFuture {
    let mut client = client.clone().ready().await.expect("it takes requests");
    client.send_request(request, true).expect("sent").0
}

/// The status and the body of an answer.
async fn answer(response: h2::client::ResponseFuture) -> (StatusCode, String) {
    let response = timeout(SOON, response).await.expect("soon").expect("an answer");
    let status = response.status();
    (status, String::from_utf8(read(response.into_body()).await).expect("text"))
}

async fn read(mut body: RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = timeout(SOON, body.data()).await.expect("soon") {
        let part = part.expect("no reset");
        body.flow_control().release_capacity(part.len()).expect("it was taken");
        bytes.extend_from_slice(&part);
    }
    bytes
}

#[tokio::test]
async fn requests_are_answered_on_one_connection_whole() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    let both = [send(&client, request("/")).await, send(&client, request("/large")).await];
    let [small, large] = both;
    let response = timeout(SOON, small).await.expect("soon").expect("an answer");
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    assert_eq!(read(response.into_body()).await, b"https localhost 0");
    let response = timeout(SOON, large).await.expect("soon").expect("an answer");
    assert_eq!(response.headers()["content-length"], LARGE.to_string());
    assert_eq!(read(response.into_body()).await.len(), LARGE);
}

#[tokio::test]
async fn a_request_names_the_server_once() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    let with = |host: &'static str| {
        let mut request = request("/");
        request.headers_mut().insert("host", host.parse().expect(host));
        request
    };
    let (status, text) = answer(send(&client, with("LOCALHOST")).await).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "https localhost 0"));
    assert_eq!(answer(send(&client, with("evil.example")).await).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_is_read_and_one_that_is_refused_does_not_keep_the_answer_back() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    for (path, length, expected) in [("/", 300_000, StatusCode::OK), ("/refused", 40_000, StatusCode::FORBIDDEN)] {
        let mut request = request(path);
        *request.method_mut() = http::Method::POST;
        let mut client = client.clone().ready().await.expect("it takes requests");
        let (response, mut body) = client.send_request(request, false).expect("sent");
        body.send_data(vec![b'x'; length].into(), true).expect("sent");
        let (status, text) = answer(response).await;
        assert_eq!(status, expected);
        assert!(status != StatusCode::OK || text.ends_with(" 300000"), "{text}");
        // Neither was it reset, which some clients take for a failure.
        let reset = std::future::poll_fn(|cx| match body.poll_reset(cx) {
            std::task::Poll::Ready(reset) => std::task::Poll::Ready(reset.ok()),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        });
        assert_eq!(reset.await, None, "{path}");
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    let mut request = request("/large");
    *request.method_mut() = http::Method::HEAD;
    let response = timeout(SOON, send(&client, request).await).await.expect("soon").expect("an answer");
    assert_eq!(response.headers()["content-length"], LARGE.to_string());
    assert!(response.body().is_end_stream() && read(response.into_body()).await.is_empty());
}

#[tokio::test]
async fn a_request_that_its_client_gives_up_is_finished_and_keeps_its_place_until_then() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    for _ in 0..=OPTIONS.max_connections {
        let given_up = send(&client, request("/api/webhook/registry/wait")).await;
        server.until_begun(1).await;
        drop(given_up);
    }
    let status = answer(send(&client, request("/api/webhook/registry")).await).await.0;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    server.go.add_permits(3);
    // Each takes its permit when it ends.
    timeout(SOON, async {
        while server.go.available_permits() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("they end");
    let waiting = async { while answer(send(&client, request("/")).await).await.0 != StatusCode::OK {} };
    timeout(SOON, waiting).await.expect("their places are free");
}

/// Pings as soon as the last one is answered, until the connection ends.
async fn ping_on(mut connection: Connection<TlsStream<TcpStream>, Bytes>) {
    let mut pings = connection.ping_pong().expect("pings");
    tokio::spawn(async move { while pings.ping(Ping::opaque()).await.is_ok() {} });
    // An error is an end too.
    connection.await.ok();
}

#[tokio::test]
async fn a_connection_without_requests_ends_whatever_pings_come() {
    let header_timeout = Duration::from_millis(300);
    let server = Server::start(ServerOptions { header_timeout, ..OPTIONS }).await;
    let (client, connection) = open(&server, &Builder::new()).await;
    let connection = tokio::spawn(ping_on(connection));
    timeout(SOON, connection).await.expect("it ends").expect("no panic");
    drop(client);
}

#[tokio::test]
async fn a_connection_with_a_request_that_is_being_answered_is_not_idle() {
    let header_timeout = Duration::from_millis(100);
    let server = Server::start(ServerOptions { header_timeout, write_timeout: header_timeout, ..OPTIONS }).await;
    let client = client(&server).await;
    let waiting = send(&client, request("/wait")).await;
    server.until_begun(1).await;
    sleep(header_timeout * 5).await;
    server.go.add_permits(1);
    assert_eq!(answer(waiting).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_takes_no_answer_is_cut_off() {
    let write_timeout = Duration::from_millis(300);
    let server = Server::start(ServerOptions { write_timeout, ..OPTIONS }).await;
    for window in [0, 20_000] {
        let (client, connection) = open(&server, Builder::new().initial_window_size(window)).await;
        let connection = tokio::spawn(ping_on(connection));
        let untaken = timeout(SOON, send(&client, request("/large")).await).await.expect("soon").expect("an answer");
        timeout(SOON, connection).await.expect("it ends").expect("no panic");
        drop(untaken);
    }
}

#[tokio::test]
async fn who_only_pings_makes_room_and_what_waits_for_the_server_keeps_its_place() {
    let server = Server::start(OPTIONS).await;
    let working = client(&server).await;
    let waiting = send(&working, request("/wait")).await;
    server.until_begun(1).await;
    let (_client, connection) = open(&server, &Builder::new()).await;
    let idle = tokio::spawn(ping_on(connection));
    for _ in 0..3 {
        ask(&mut server.connect(HTTP1).await).await.expect("an answer");
    }
    timeout(SOON, idle).await.expect("it made room").expect("no panic");
    server.go.add_permits(1);
    assert_eq!(answer(waiting).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_sends_a_body_a_byte_at_a_time_makes_room() {
    let server = Server::start(OPTIONS).await;
    let mut slow = Vec::new();
    for _ in 0..OPTIONS.max_connections {
        let mut client = client(&server).await.ready().await.expect("it takes requests");
        let mut request = request("/");
        *request.method_mut() = http::Method::POST;
        let (_, mut body) = client.send_request(request, false).expect("sent");
        server.until_begun(1).await;
        slow.push(tokio::spawn(async move {
            while body.send_data(Bytes::from_static(b"x"), false).is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    for _ in 0..3 {
        ask(&mut server.connect(HTTP1).await).await.expect("an answer");
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn many_requests_at_once_take_places_as_connections_do() {
    let server = Server::start(OPTIONS).await;
    let client = client(&server).await;
    let mut waiting = Vec::new();
    // Questions have a limit of their own besides.
    for _ in 0..=OPTIONS.max_connections {
        waiting.push(send(&client, request("/api/webhook/registry/wait")).await);
    }
    server.until_begun(3).await;
    let status = answer(send(&client, request("/api/webhook/registry")).await).await.0;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    server.go.add_permits(3);
    for waiting in waiting {
        assert_eq!(answer(waiting).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once_and_finishes_requests() {
    let server = Server::start(ServerOptions { stop_timeout: SOON, ..OPTIONS }).await;
    let working = client(&server).await;
    let waiting = send(&working, request("/wait")).await;
    server.until_begun(1).await;
    // It answers nothing, not even a ping.
    let idle = open(&server, &Builder::new()).await;
    server.stop.send(()).expect("it serves");
    sleep(Duration::from_millis(500)).await;
    server.go.add_permits(1);
    assert_eq!(answer(waiting).await.0, StatusCode::OK);
    let left = timeout(SOON, server.stopped).await.expect("it ends").expect("its time");
    assert!(left > Duration::ZERO);
    drop(idle);
}
