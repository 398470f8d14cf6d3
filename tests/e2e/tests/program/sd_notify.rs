//! What runs the program hears how it does: `sd_notify(3)`.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::mpsc,
    thread,
};

use staticreg_e2e::Staticreg;

use crate::{SOON, one_pull};

/// Runs a server under a watchdog that listens at a socket. It takes each word at once, as systemd does.
fn supervise(ear: UnixDatagram, name: &str) {
    let (telling, told) = mpsc::channel();
    thread::spawn(move || {
        let mut words = [0; 64];
        while let Ok(length) = ear.recv(&mut words) {
            if telling.send(String::from_utf8_lossy(&words[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    let hear = || told.recv_timeout(SOON).expect("a word");
    let mut server = Staticreg::start(&[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "200000")]);
    assert_eq!(hear(), "READY=1");
    // At the first try: it listened before it said so.
    assert_eq!(server.post(&one_pull()).status, 200);
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(server.terminate().success());
    while hear() != "STOPPING=1" {}
    assert!(!server.log().contains("could not be told"), "{}", server.log());
}

#[test]
fn systemd_hears_that_it_is_ready_lives_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let ear = UnixDatagram::bind(&path).expect("a socket");
    supervise(ear, path.to_str().expect("text"));
}

#[test]
fn a_container_manager_hears_it_at_an_abstract_address() {
    let name = format!("staticreg-test-{}", process::id());
    let ear = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
    supervise(ear, &format!("@{name}"));
}

#[test]
fn nobody_who_does_not_listen_holds_it_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    // Its queue is full after some words.
    let _deaf = UnixDatagram::bind(&path).expect("a socket");
    let socket = path.to_str().expect("text");
    let mut server = Staticreg::start(&[("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "2000")]);
    server.wait_for_line("could not be told WATCHDOG=1", SOON);
    assert_eq!(server.post(&one_pull()).status, 200);
    assert!(server.terminate().success());
}
