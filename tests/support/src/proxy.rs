//! A TCP proxy whose connections can fall silent, as when the machine behind them or the way to it is gone: nothing is
//! heard any more, and nothing says so.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::spawn,
};

/// A proxy on a port of its own; it goes on until the process ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    connections: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Proxy {
    /// Listens at an address, with any port, and passes everything on to `server`.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    #[must_use]
    pub fn start(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::<Mutex<Vec<_>>>::default();
        let server = Arc::new(Mutex::new(server));
        let (made, leads_to) = (Arc::clone(&connections), Arc::clone(&server));
        spawn(move || {
            for client in listener.incoming().flatten() {
                let server = *lock(&leads_to);
                let Ok(server) = TcpStream::connect(server) else { continue };
                let silent = Arc::new(AtomicBool::new(false));
                lock(&made).push(Arc::clone(&silent));
                pass_on(&client, &server, &silent);
            }
        });
        Self { address, server, connections }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections lead to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        *lock(&self.server) = server;
    }

    /// Every connection made so far falls silent. New ones are passed on.
    pub fn silence(&self) {
        for silent in lock(&self.connections).iter() {
            silent.store(true, Ordering::SeqCst);
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(client: &TcpStream, server: &TcpStream, silent: &Arc<AtomicBool>) {
    for (from, to, to_client) in [(client, server, false), (server, client, true)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
        let silent = Arc::clone(silent);
        spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if !silent.load(Ordering::SeqCst) && to.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            // A client that went away is told, a silent server's end is not.
            if !(to_client && silent.load(Ordering::SeqCst)) {
                let _ = to.shutdown(Shutdown::Both);
            }
        });
    }
}
