//! Who may do what, over real connections: the address of whoever sends matters.

#![cfg(target_os = "linux")]

mod api_tokens;
mod listeners;
mod matrix;
mod posting;
mod reading;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../support/mod.rs"]
mod support;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use poem::{Endpoint, Response};
use sha2::Sha256;
use staticreg_domain::clock::MockClock;
use staticreg_http::{
    access::{Access, AccessOptions, Networks, Readers, RefusalReason, SignInReason, Signatures, Tokens, Users},
    server::{self, ServerOptions},
};
use staticreg_memory::MemoryMetrics;
use support::{event, notification};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    time::timeout,
};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

const WEBHOOK: &str = "/api/webhook/registry";

const RUNNING: &str = "/api/v1/running";

/// Where those are who may post.
const INSIDE: &str = "127.0.0.1:0";

/// All of 127.0.0.0/8 is this machine.
const OUTSIDE: &str = "127.9.9.9:0";

const TOKEN: &str = "r1ght";
const SECRET: &str = "It's a Secret to Everybody";

/// A server that ends with the runtime of its test.
struct Server {
    address: SocketAddr,
    access: Access,
}

/// What was answered.
struct Answer {
    status: u16,
    text: String,
}

impl Server {
    async fn start(options: AccessOptions) -> Self {
        let access = Access::new(options);
        let endpoint = support::endpoint(MemoryMetrics::new(100), access.clone());
        Self::serve(server::listen("127.0.0.1:0").await.expect("a free port"), endpoint, access)
    }

    fn serve(listener: TcpListener, endpoint: impl Endpoint<Output = Response> + 'static, access: Access) -> Self {
        let address = listener.local_addr().expect("its address");
        let options = ServerOptions {
            max_connections: 100,
            header_timeout: SOON,
            write_timeout: SOON,
            stop_timeout: Duration::ZERO,
        };
        tokio::spawn(async move { server::serve(listener, endpoint, &options, std::future::pending()).await });
        Self { address, access }
    }

    /// Sends a request as it stands, from an address, and reads all that comes.
    async fn send(&self, from: &str, request: &str) -> Answer {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(from.parse().expect(from)).expect(from);
        let mut stream = socket.connect(self.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        // What was not read is cut off with the connection, after the answer.
        timeout(SOON, stream.read_to_string(&mut text)).await.expect("an end").ok();
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"));
        Answer { status, text }
    }

    /// Posts a notification of one pull.
    async fn post(&self, from: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(from, &post(headers, &body())).await
    }

    /// Tells what runs.
    async fn tell(&self, from: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("content-type", "text/plain"), ("host", "staticreg:8093")], headers].concat();
        self.send(from, &request("POST", RUNNING, &headers, "demo/app:v1\n")).await
    }

    /// The status of a GET.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(INSIDE, &request("GET", path, headers, "")).await
    }

    fn refused(&self, reason: RefusalReason) -> u64 {
        self.access.refused().by_reason.iter().find(|(known, _)| *known == reason).expect("a reason").1
    }

    /// The sign-ins that were refused, by reason.
    fn refused_sign_ins(&self) -> Vec<(SignInReason, u64)> {
        self.access.refused_sign_ins().by_reason.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn body() -> String {
    notification(&[event(1)]).to_string()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("memory takes all");
    }
    format!("{request}content-length: {}\r\n\r\n{body}", body.len())
}

fn post(headers: &[(&str, &str)], body: &str) -> String {
    let headers = [&[("content-type", "application/json"), ("host", "staticreg:8093")], headers].concat();
    request("POST", WEBHOOK, &headers, body)
}

fn sign(body: &str) -> String {
    let code = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key").chain_update(body).finalize();
    code.into_bytes().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn signatures() -> Signatures {
    Signatures::new([SECRET], Arc::new(MockClock::new())).expect("a secret")
}

fn networks(text: &str) -> Networks {
    Networks::parse([text]).expect(text)
}

/// What a reader shows: `alice:r1ght` and `alice:wrong`, by `base64`.
const RIGHT: (&str, &str) = ("authorization", "Basic YWxpY2U6cjFnaHQ=");
const WRONG: (&str, &str) = ("authorization", "Basic YWxpY2U6d3Jvbmc=");

/// Alice, whose password is `r1ght`; made by Python's bcrypt.
const USERS: &str = "alice:$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";

/// Who may post; no reader.
const TOKEN_SHOWN: (&str, &str) = ("authorization", "Bearer p0ster");

fn signed_in() -> AccessOptions {
    AccessOptions {
        tokens: Some(Tokens::new(["p0ster"])),
        read: Readers::SignedIn,
        badges: Readers::SignedIn,
        users: Some(Users::parse(USERS).expect("a user")),
        ..AccessOptions::default()
    }
}
