//! Who may do what: the settings of it, and the files that may change while the server runs.

use std::{
    fs, mem,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use staticreg_domain::Clock;
use staticreg_http::access::{Access, AccessOptions, Hosts, InvalidSecret, Signatures, Tokens};
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{SecretList, Settings, Unusable, Webhook},
};

/// How often a file of secrets is looked at. Its content counts, not its time: Kubernetes changes a link above it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The system's own list of names.
const HOSTS_FILE: &str = "/etc/hosts";

/// Access as it is configured, for a server at an address. The secrets leave the settings, so that no more of them is
/// kept than is needed.
pub(super) fn open(
    settings: &mut Settings,
    address: SocketAddr,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> Result<Access, Failure> {
    let Webhook { tokens, signature_secrets, allowed_networks, max_body: _ } = &mut settings.webhook;
    let options = AccessOptions {
        tokens: tokens.take().map(|list| token_list(list, lifecycle)),
        signatures: signature_secrets.take().map(|list| signatures(list, clock, lifecycle)).transpose()?,
        networks: mem::take(allowed_networks),
        trusted_proxies: mem::take(&mut settings.http.trusted_proxies),
        hosts: hosts(mem::take(&mut settings.http.allowed_hosts.0), address),
    };
    if options.let_everybody_post() && !is_loopback(address) {
        tracing::warn!(
            "Whoever reaches {address} can post notifications, and so make up pulls, and read every name. Set \
             STATICREG_WEBHOOK_TOKENS or STATICREG_WEBHOOK_ALLOWED_NETWORKS, or keep the port where only the registry \
             reaches it."
        );
    }
    Ok(Access::new(options))
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn token_list(list: SecretList, lifecycle: &mut Lifecycle) -> Tokens {
    let tokens = Tokens::new(list.expose());
    if let Some(file) = list.file {
        let tokens = tokens.clone();
        let watch = Watch::new(file, move |list: &SecretList| Ok(tokens.replace(list.expose())));
        lifecycle.spawn_background("looks at the file of tokens", watch.run());
    }
    tokens
}

fn signatures(list: SecretList, clock: &Arc<dyn Clock>, lifecycle: &mut Lifecycle) -> Result<Signatures, Unusable> {
    let signatures = Signatures::new(list.expose(), Arc::clone(clock))
        .map_err(|error| Unusable::new("webhook.signature_secrets", error))?;
    if let Some(file) = list.file {
        let signatures = signatures.clone();
        let watch = Watch::new(file, move |list: &SecretList| signatures.replace(list.expose()));
        lifecycle.spawn_background("looks at the file of signature secrets", watch.run());
    }
    Ok(signatures)
}

/// Looks at a file of secrets, and puts them in place of the old ones when they are others.
struct Watch<R> {
    file: PathBuf,
    /// Whether the secrets are others; an error when they cannot be used.
    replace: R,
    is_failing: bool,
}

impl<R: FnMut(&SecretList) -> Result<bool, InvalidSecret>> Watch<R> {
    fn new(file: PathBuf, replace: R) -> Self {
        Self { file, replace, is_failing: false }
    }

    async fn run(mut self) {
        loop {
            sleep(LOOK_AGAIN).await;
            let file = self.file.clone();
            if let Ok(read) = spawn_blocking(move || SecretList::in_file(&file)).await {
                self.take(read);
            }
        }
    }

    /// Takes what the file holds. While it cannot be used, the old secrets stay, which is told once.
    fn take(&mut self, read: std::io::Result<SecretList>) {
        let taken = read.map_err(|error| error.to_string()).and_then(|list| {
            let replaced = (self.replace)(&list).map_err(|error| error.to_string())?;
            Ok(replaced.then(|| list.expose().count()))
        });
        let file = self.file.display();
        match &taken {
            Err(error) if !self.is_failing => {
                tracing::warn!("The file {file} cannot be used: {error}. What it held before stays in force.");
            }
            Ok(Some(secrets)) => tracing::info!(secrets, "The file {file} has changed and is in force."),
            Ok(None) if self.is_failing => tracing::info!("The file {file} can be used again."),
            _ => {}
        }
        self.is_failing = taken.is_err();
    }
}

/// The names that the server answers to: on loopback, where pages of other sites could reach it through a browser, its own
/// only; elsewhere every one, unless some are given.
fn hosts(allowed: Vec<String>, address: SocketAddr) -> Hosts {
    let is_open = allowed.is_empty() && !is_loopback(address);
    let names = allowed.into_iter().chain(own_names());
    if is_open { Hosts::any(names) } else { Hosts::only(names) }
}

/// The machine's names: what it calls itself, in this network too (RFC 6762), and what its list says of loopback.
fn own_names() -> impl Iterator<Item = String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    let first = name.split('.').next().unwrap_or_default().to_owned();
    let listed = fs::read_to_string(Path::new(HOSTS_FILE)).map(|list| loopback_names(&list)).unwrap_or_default();
    let local = format!("{first}.local");
    [name, first, local].into_iter().chain(listed).filter(|name| Hosts::is_name(name))
}

/// The names that a list of hosts gives to loopback addresses (hosts(5)).
fn loopback_names(list: &str) -> Vec<String> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.flat_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        words.filter(move |_| address.is_some_and(|address| address.is_loopback()))
    });
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};

    use super::*;

    #[test]
    fn the_names_of_loopback_are_the_machines_own() {
        let list = "127.0.0.1 localhost\n127.0.1.1\tbox.example.org box # mine\n\n# 127.0.0.1 no\n::1 ip6-localhost\n\
                    192.0.2.1 other.example\nnonsense 127.0.0.1\n";
        assert_eq!(loopback_names(list), ["localhost", "box.example.org", "box", "ip6-localhost"]);
        assert!(own_names().count() > 0);
    }

    /// What becomes of a file, step by step.
    #[test]
    fn a_file_that_changes_is_taken_and_one_that_cannot_be_used_changes_nothing() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let tokens = Tokens::new(["old"]);
        let same = tokens.clone();
        let path = file.path().to_owned();
        let mut watch = Watch::new(path.clone(), move |list: &SecretList| Ok(same.replace(list.expose())));
        let is = |expected: &str| !tokens.replace(expected.split_whitespace());

        writeln!(file, "one\ntwo").expect("written");
        watch.take(SecretList::in_file(&path));
        assert!(is("one two") && !watch.is_failing);
        for _ in 0..2 {
            watch.take(Err(io::Error::other("gone")));
            assert!(is("one two") && watch.is_failing);
        }
        watch.take(SecretList::in_file(&path));
        assert!(is("one two") && !watch.is_failing);
        file.as_file().set_len(0).expect("emptied");
        watch.take(SecretList::in_file(&path));
        assert!(is(""), "nobody, not everybody");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_looked_at_every_two_seconds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        fs::write(&path, "old\n").expect("written");
        let tokens = Tokens::new(["old"]);
        let same = tokens.clone();
        let watch = Watch::new(path.clone(), move |list: &SecretList| Ok(same.replace(list.expose())));
        let watching = tokio::spawn(watch.run());
        // As Kubernetes does: another file in its place, of the same length.
        fs::write(folder.path().join("next"), "new\n").expect("written");
        fs::rename(folder.path().join("next"), &path).expect("moved");
        sleep(LOOK_AGAIN * 2).await;
        assert!(!tokens.replace(["new"]), "it is in force already");
        watching.abort();
    }
}
