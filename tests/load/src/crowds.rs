//! How long the registry waits for an answer while others crowd the server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use staticreg_test_support::postgres::{Durability, Postgres};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    events::{Client, Events},
    program::Program,
    questions,
    sender::{Load, exchange, send},
};

/// Of so many days there are rows to ask about: 820,000 of them.
const DAYS: u32 = 30;

/// The longest that the registry should wait, of a hundred answers.
const WANTED: Duration = Duration::from_secs(1);

/// Files that may be open at once: a connection is one here and one in the server.
const FILES: u64 = 8_192;

/// The pause before one of a crowd who lost its connection makes another, and between the bytes of a slow body.
const PAUSE: Duration = Duration::from_secs(1);

/// Events in a large notification.
const LARGE: usize = 2_000;

/// Questions that take long and answers that are large.
const HEAVY: [(&str, &str); 6] = [
    ("/", "text/html"),
    ("/insights?days=365", "text/html"),
    ("/repo/team-7/service-7?days=365", "text/html"),
    ("/export/repositories.csv", "text/csv"),
    ("/api/v1/repositories?days=365&limit=1000", "text/csv"),
    ("/api/v1/metrics?days=365&limit=1000", "text/csv"),
];

/// What a member of a crowd does.
#[derive(Clone, Copy, Debug)]
enum Member {
    /// Sends a notification a byte a second.
    SlowBody,
    /// Makes a connection and sends nothing.
    Idle,
    /// Sends as many large notifications as are taken.
    LargeNotifications,
    /// Asks one question after the other.
    Questions,
}

/// What is told of a crowd, how many they are, and what each does.
const CROWDS: [(&str, usize, Member); 5] = [
    ("nobody", 0, Member::Idle),
    ("slow bodies", 4_200, Member::SlowBody),
    ("idle connections", 5_000, Member::Idle),
    ("senders of 2,000 events each time", 6, Member::LargeNotifications),
    ("who ask for pages and CSV", 16, Member::Questions),
];

/// How many answers a crowd got: the wanted ones, and others.
#[derive(Debug, Default)]
struct Answered {
    ok: AtomicU64,
    other: AtomicU64,
}

impl Answered {
    fn add(&self, ok: bool) {
        let count = if ok { &self.ok } else { &self.other };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Measures the registry's POST beside each crowd, and prints the table.
pub(crate) async fn measure(duration: Duration, timestamp: &str) {
    let files = rlimit::increase_nofile_limit(2 * FILES).expect("the limit of open files");
    assert!(files >= FILES, "{FILES} files must be allowed to be open, not {files}");
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let server = Program::start("staticreg", &[("STATICREG_DB_URL", &database)]).await;
    questions::fill(&postgres, &database, DAYS);

    println!("## The registry's POST beside a crowd, {} s each, a connection per event\n", duration.as_secs());
    println!("| beside | stored | turned away | p50 | p99 | longest | the crowd's answers | others |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut too_late = Vec::new();
    for (seed, (name, members, member)) in (0..).zip(CROWDS) {
        let answered = Arc::new(Answered::default());
        let mut crowd = JoinSet::new();
        for number in 0..members {
            let events = Events::new((seed + 1) * 1_000_000 + number as u64, timestamp, Client::Podman);
            crowd.spawn(belong(member, server.address, events, number, Arc::clone(&answered)));
        }
        // Until all are there.
        sleep(2 * PAUSE).await;
        let load = Load { client: Client::Podman, connections: 1, keep_alive: false, duration };
        let posted = send(server.address, load, timestamp, seed).await;
        crowd.shutdown().await;
        println!(
            "| {members} {name} | {} | {} | {:.1} ms | {:.1} ms | {:.0} ms | {} | {} |",
            posted.stored,
            posted.failed,
            posted.percentile(50).as_secs_f64() * 1e3,
            posted.percentile(99).as_secs_f64() * 1e3,
            posted.longest().as_secs_f64() * 1e3,
            answered.ok.load(Ordering::Relaxed),
            answered.other.load(Ordering::Relaxed),
        );
        if posted.percentile(99) > WANTED {
            too_late.push(name);
        }
    }
    println!("\nPeak memory of the server: {:.0} MiB\n", server.peak_memory());
    assert!(too_late.is_empty(), "the registry waits for more than {WANTED:?} beside {too_late:?}");
}

/// Belongs to a crowd, again and again.
async fn belong(member: Member, server: SocketAddr, mut events: Events, number: usize, answered: Arc<Answered>) {
    let mut request = Vec::new();
    let mut round = number;
    loop {
        round += 1;
        let ok = match member {
            Member::Idle => idle(server).await.is_ok(),
            Member::SlowBody => {
                events.write_request(false, &mut request);
                slow_body(server, &request).await.is_ok()
            }
            Member::LargeNotifications => {
                events.write_large_request(LARGE, false, &mut request);
                matches!(exchange(server, &mut None, &request).await, Ok(200))
            }
            Member::Questions => {
                let (path, accept) = HEAVY[round % HEAVY.len()];
                ask(server, path, accept).await.is_ok_and(|status| status == 200)
            }
        };
        answered.add(ok);
        if !ok {
            sleep(PAUSE).await;
        }
    }
}

/// Holds a connection until the server closes it, which is always an error.
async fn idle(server: SocketAddr) -> io::Result<()> {
    TcpStream::connect(server).await?.read_u8().await.map(drop)
}

/// Sends the head and then a byte a second until the server answers or closes the connection, which is an error.
async fn slow_body(server: SocketAddr, request: &[u8]) -> io::Result<()> {
    let head_end = request.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |end| end + 4);
    let (head, body) = request.split_at(head_end);
    let mut connection = TcpStream::connect(server).await?;
    connection.write_all(head).await?;
    for byte in body {
        connection.write_all(&[*byte]).await?;
        if timeout(PAUSE, connection.read_u8()).await.is_ok() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}

/// Asks a question and reads the whole answer; gives its status.
async fn ask(server: SocketAddr, path: &str, accept: &str) -> io::Result<u16> {
    let mut connection = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let status = answer.get(9..12).and_then(|status| str::from_utf8(status).ok()?.parse().ok());
    status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
