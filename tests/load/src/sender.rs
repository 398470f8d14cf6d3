//! Sends events over many connections and measures the answers.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::events::{Client, Events};

/// How a load is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Who pulls.
    pub(crate) client: Client,
    pub(crate) connections: usize,
    /// One connection for all events, or one for each event as the registry does.
    pub(crate) keep_alive: bool,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Events answered with 200.
    pub(crate) stored: u64,
    /// Other answers and broken connections.
    pub(crate) failed: u64,
    pub(crate) elapsed: Duration,
    /// How long each answer took, in microseconds, ascending.
    latencies: Vec<u32>,
}

impl Measured {
    /// The longest that an answer took.
    pub(crate) fn longest(&self) -> Duration {
        self.percentile(100)
    }

    /// Adds what came of the same load at another time.
    pub(crate) fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.failed += other.failed;
        self.elapsed += other.elapsed;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }

    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of events is far below 2^52")]
        let stored = self.stored as f64;
        stored / self.elapsed.as_secs_f64()
    }

    /// The latency that a share of the answers did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        Duration::from_micros(self.latencies.get(index).copied().unwrap_or_default().into())
    }
}

/// Every connection sends its next event when the answer to the last one has come.
pub(crate) async fn send(server: SocketAddr, load: Load, timestamp: &str, seed: u64) -> Measured {
    send_to_any(&[server], load, timestamp, seed).await
}

/// The same, each event to the next of several servers.
pub(crate) async fn send_to_any(servers: &[SocketAddr], load: Load, timestamp: &str, seed: u64) -> Measured {
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for number in 0..load.connections {
        let events = Events::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64), timestamp, load.client);
        let servers: Vec<_> =
            servers.iter().cycle().skip(number % servers.len()).take(servers.len()).copied().collect();
        connections.spawn(drive(servers, load, events, start + load.duration));
    }
    let mut total = Measured::default();
    while let Some(measured) = connections.join_next().await {
        let measured = measured.expect("a connection's task does not panic");
        total.stored += measured.stored;
        total.failed += measured.failed;
        total.latencies.extend(measured.latencies);
    }
    total.elapsed = start.elapsed();
    total.latencies.sort_unstable();
    total
}

async fn drive(servers: Vec<SocketAddr>, load: Load, mut events: Events, end: Instant) -> Measured {
    let mut measured = Measured::default();
    let mut request = Vec::new();
    let mut connection = None;
    for server in servers.into_iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        events.write_request(load.keep_alive, &mut request);
        // The registry repeats an event until it is accepted.
        loop {
            let start = Instant::now();
            match exchange(server, &mut connection, &request).await {
                Ok(200) => {
                    measured.stored += 1;
                    measured.latencies.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
                    break;
                }
                Ok(_) => measured.failed += 1,
                Err(_) => {
                    measured.failed += 1;
                    connection = None;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !load.keep_alive {
            connection = None;
        }
    }
    measured
}

/// Sends a request and gives the status of its answer.
pub(crate) async fn exchange(
    server: SocketAddr,
    connection: &mut Option<TcpStream>,
    request: &[u8],
) -> io::Result<u16> {
    let stream = if let Some(stream) = connection {
        stream
    } else {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        connection.insert(stream)
    };
    stream.write_all(request).await?;
    let mut buffer = [0; 2_048];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        if let Some(status) = complete_answer(&buffer[..filled]) {
            return Ok(status);
        }
    }
}

/// The status of an answer when all of it is there.
fn complete_answer(answer: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() >= length).then(|| head.split(' ').nth(1)?.parse().ok())?
}
