//! Asks the running server whether it is alive: the health check of containers, whose image holds no other program.

use std::{
    io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use crate::Failure;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A status line is shorter than this.
const MOST_BYTES: u64 = 256;

/// Asks the server that listens there.
pub(crate) fn check(bind_addr: &str) -> std::result::Result<(), Failure> {
    let status = ask(bind_addr).map_err(|error| format!("no answer from {bind_addr}: {error}."))?;
    if status.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(Failure(format!("{bind_addr} is not well, it answered: {}", status.trim().escape_debug())))
}

fn ask(bind_addr: &str) -> Result<String> {
    let address = bind_addr.to_socket_addrs()?.next().map(reachable).ok_or_else(|| Error::other("no such address"))?;
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut status = String::new();
    BufReader::new(connection.take(MOST_BYTES)).read_line(&mut status)?;
    Ok(status)
}

/// A server that listens everywhere is reached over loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            // All of the request: a connection closed on unread data is reset.
            let request: Vec<_> = BufReader::new(connection.try_clone().unwrap())
                .lines()
                .map(|line| line.unwrap())
                .take_while(|line| !line.is_empty())
                .collect();
            assert_eq!(request[0], "GET /healthz HTTP/1.1");
            connection.write_all(answer.as_bytes()).unwrap();
        });
        format!("0.0.0.0:{}", address.port())
    }

    #[test]
    fn a_server_that_answers_ok_is_well() {
        assert!(check(&server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).is_ok());
    }

    #[test]
    fn any_other_answer_is_told() {
        let address = server("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        let Failure(sentence) = check(&address).unwrap_err();
        assert_eq!(sentence, format!("{address} is not well, it answered: HTTP/1.1 503 Service Unavailable"));
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        // Taken, so that nobody else listens there.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let Failure(sentence) = check(&address).unwrap_err();
        assert!(sentence.starts_with(&format!("no answer from {address}: ")), "{sentence}");
    }
}
