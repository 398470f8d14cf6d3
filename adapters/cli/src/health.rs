//! Asks the running server whether it is alive.

use std::io::Error;

use rustls::AlertDescription;

use crate::{
    Failure,
    own_server::{OwnServer, Request},
    settings::Settings,
};

/// Asks the server as it is configured, on each of its listeners.
pub(crate) fn check_all(settings: &Settings) -> Result<(), Failure> {
    check(&OwnServer::of_pages(settings))?;
    if settings.webhook.bind_addr.is_some() { check(&OwnServer::of_webhook(settings)) } else { Ok(()) }
}

fn check(server: &OwnServer<'_>) -> Result<(), Failure> {
    let address = server.address;
    let answer = match server.ask(&Request::get("/healthz")) {
        // It speaks TLS well, and serves others who show a certificate.
        Err(error) if asks_for_certificate(&error) => return Ok(()),
        asked => asked.map_err(|error| format!("no answer from {address}: {error}."))?,
    };
    if answer.status == 200 {
        return Ok(());
    }
    let said = answer.status_line.trim().escape_debug();
    Err(Failure::Other(format!("{address} is not well, it answered: {said}")))
}

/// Whether a server ended the connection for want of a client's certificate.
pub(crate) fn asks_for_certificate(error: &Error) -> bool {
    let refused = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(refused, Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
        time::Duration,
    };

    use super::*;
    use crate::settings::{ListenAddress, Sources};

    /// However busy the machine is.
    const LONG: Duration = Duration::from_mins(2);

    fn listen_address(text: &str) -> ListenAddress {
        let sources = Sources { flags: vec![("http.bind_addr", text.to_owned())], ..Sources::default() };
        sources.read().unwrap().settings().unwrap().http.bind_addr
    }

    fn checked(address: &str) -> Result<(), Failure> {
        check(&OwnServer { address: &listen_address(address), is_tls: false, patience: LONG })
    }

    /// What is said of a server that is not well.
    fn told(address: &str) -> String {
        match checked(address) {
            Err(Failure::Other(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    fn server(answer: &'static str) -> u16 {
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
        address.port()
    }

    #[test]
    fn a_server_that_answers_ok_is_well_wherever_it_listens() {
        for everywhere in ["0.0.0.0", ""] {
            let port = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            assert!(checked(&format!("{everywhere}:{port}")).is_ok());
        }
    }

    #[test]
    fn any_other_answer_is_told() {
        let address = format!("0.0.0.0:{}", server("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert_eq!(told(&address), format!("{address} is not well, it answered: HTTP/1.1 503 Service Unavailable"));
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        // Taken, so that nobody else listens there.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let sentence = told(&address);
        assert!(sentence.starts_with(&format!("no answer from {address}: ")), "{sentence}");
    }
}
