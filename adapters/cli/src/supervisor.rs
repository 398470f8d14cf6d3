//! What runs the program, when it wants to hear how the program does: systemd, with `Type=notify`.
//!
//! The protocol is that of `sd_notify(3)`. It is short, and a send that never waits is worth having: nobody who is slow
//! to listen holds the server up.

use std::{
    env,
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};

/// Where to tell how the program does, if anyone wants to know.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    ear: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the process's environment names.
    pub(crate) fn of_process() -> Self {
        Self::of(|name| env::var_os(name)).unwrap_or_else(|error| {
            tracing::warn!(%error, "NOTIFY_SOCKET cannot be used: what runs staticreg does not hear how it does");
            Self::default()
        })
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // Set for another process, it was inherited.
        let is_meant = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|limit| is_meant && *limit > 0).map(Duration::from_micros);
        Ok(Self { ear: Some((socket, address)), watchdog })
    }

    /// One that listens at a path, with a watchdog.
    #[cfg(test)]
    pub(crate) fn at(path: &std::path::Path, watchdog: Duration) -> io::Result<Self> {
        Self::of(|name| match name {
            "NOTIFY_SOCKET" => Some(path.into()),
            "WATCHDOG_USEC" => Some(watchdog.as_micros().to_string().into()),
            _ => None,
        })
    }

    /// The program answers.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The program is about to end.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The program is as it should be.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// How often it wants to hear that the program is alive: twice in the time after which it takes it for dead.
    pub(crate) fn pace(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    fn tell(&self, state: &str) {
        let Some((socket, address)) = &self.ear else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            tracing::warn!(%error, "What runs staticreg could not be told {state}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> io::Result<Supervisor> {
        Supervisor::of(|name| variables.iter().find(|variable| variable.0 == name).map(|variable| variable.1.into()))
    }

    #[test]
    fn nobody_is_told_when_nobody_asks() {
        for nobody in [&[][..], &[("NOTIFY_SOCKET", "")], &[("WATCHDOG_USEC", "1000000")]] {
            let supervisor = given(nobody).unwrap();
            assert!(supervisor.ear.is_none() && supervisor.pace().is_none());
            supervisor.ready();
        }
    }

    #[test]
    fn the_watchdog_hears_twice_in_its_time_if_it_is_this_process_that_it_watches() {
        let socket = ("NOTIFY_SOCKET", "@nobody");
        let pace = |variables: &[(&str, &str)]| given(variables).unwrap().pace();
        assert_eq!(pace(&[socket, ("WATCHDOG_USEC", "30000000")]), Some(Duration::from_secs(15)));
        assert_eq!(pace(&[socket, ("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(pace(&[socket, ("WATCHDOG_USEC", "0")]), None);
        assert_eq!(pace(&[socket, ("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(pace(&[socket]), None);
    }

    #[test]
    fn a_socket_that_cannot_be_is_an_error_and_one_that_is_gone_is_none() {
        assert!(Supervisor::of(|name| (name == "NOTIFY_SOCKET").then(|| "a".repeat(200).into())).is_err());
        given(&[("NOTIFY_SOCKET", "/nowhere/notify")]).unwrap().ready();
    }
}
