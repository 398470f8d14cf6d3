//! The floor: a bare hyper server that reads and parses what staticreg does, and answers at once.

use std::{convert::Infallible, io};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpSocket;

/// How many connections may wait to be accepted; as many as staticreg's.
const BACKLOG: u32 = 4096;

/// Of a receipt's length.
const RECEIPT: &str = r#"{"events_received":1,"events_processed":1,"events_skipped":0,"events_duplicate":0}"#;

/// What counting needs of a notification.
#[derive(Deserialize)]
struct Notification {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only reading it matters")]
struct Event {
    id: String,
    timestamp: String,
    action: String,
    target: Target,
    request: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "as above")]
struct Target {
    media_type: String,
    digest: String,
    repository: String,
    tag: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Client {
    id: String,
    addr: String,
    method: String,
    useragent: String,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("Listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let is_read = serde_json::from_slice(&body).is_ok_and(|Notification { events }| !events.is_empty());
    let mut response = Response::new(Full::from(RECEIPT));
    if !is_read {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
