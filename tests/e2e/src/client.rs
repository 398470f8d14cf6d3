//! A plain HTTP/1.1 client, near enough to the socket to do what clients should not.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::eventually;

/// How long an answer may take before the request counts as hung, on a machine that is busy with much else.
pub const HUNG: Duration = Duration::from_mins(2);

/// The media type of the registry's notifications.
pub const NOTIFICATION: &str = "application/vnd.docker.distribution.events.v1+json";

/// The webhook's path.
pub const WEBHOOK: &str = "/api/webhook/registry";

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON. Panics with the answer when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The detail of a problem. Panics with the answer when it is no problem of its own status.
    #[must_use]
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["detail"].as_str().unwrap_or_else(|| panic!("no detail: {self:?}")).to_owned()
    }
}

/// One connection to a server.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HUNG))?;
        stream.set_write_timeout(Some(HUNG))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer; the connection may be used again.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        self.write(&request(method, path, headers, body))?;
        self.answer()
    }

    /// Posts a notification.
    pub fn post(&mut self, notification: &Value) -> io::Result<Answer> {
        self.write(&post(notification))?;
        self.answer()
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "no status"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let body = match length {
            Some(length) => self.exactly(length)?,
            None if answer.header("transfer-encoding").is_some() => self.chunks()?,
            None => Vec::new(),
        };
        answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(answer)
    }

    /// Waits until the server, on this machine, has accepted the connection and read all that was written.
    pub fn wait_until_read(&self) {
        let stream = self.0.get_ref();
        let here = in_table(stream.local_addr().expect("an address"));
        let there = in_table(stream.peer_addr().expect("an address"));
        let (sent, received) = (format!(" {here} {there} 01 "), format!(" {there} {here} 01 "));
        eventually("the server has read all", HUNG, || {
            // Each line has two addresses, the state, and how many bytes wait to be sent and to be read.
            let table = fs::read_to_string("/proc/net/tcp").expect("the table of connections");
            let nothing_waits = |ends: &str| {
                let (_, rest) = table.split_once(ends)?;
                rest.starts_with("00000000:00000000").then_some(())
            };
            nothing_waits(&sent).and(nothing_waits(&received))
        });
    }

    /// Waits for the first byte of an answer and reads no further.
    pub fn peek(&mut self) -> io::Result<()> {
        self.0.get_ref().peek(&mut [0]).map(drop)
    }

    /// Whether the server has closed the connection; waits for it until the time is over.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(time)).expect("a time limit");
        match stream.read(&mut [0; 1024]) {
            Ok(length) => length == 0,
            Err(error) => !is_timeout(&error),
        }
    }

    /// Whether the server has closed the connection by now; for one on which no answer is to come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).expect("a mode");
        let closed = stream.peek(&mut [0]).map_or_else(|error| !is_timeout(&error), |length| length == 0);
        stream.set_nonblocking(false).expect("a mode");
        closed
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line.ends_with('\n') {
            Ok(line.trim_end().to_owned())
        } else {
            Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended"))
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// An address as the system's table of connections has it.
fn in_table(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is in another table") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

/// Whether nothing came in time.
#[must_use]
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A whole request as it is sent.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A notification as the registry sends it.
#[must_use]
pub fn post(notification: &Value) -> Vec<u8> {
    request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], notification.to_string().as_bytes())
}
