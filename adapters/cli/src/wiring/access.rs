//! Who may do what: the settings of it, and the files that may change while the server runs.

use std::{
    fs, mem,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use staticreg_domain::Clock;
use staticreg_http::{
    WebhookListener,
    access::{Access, AccessOptions, ApiTokens, Hosts, Readers, Signatures, Tokens, Users},
};

use super::watch::Watch;
use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{self, SecretList, Settings, Unusable, Webhook, text_of_file},
};

/// The longest file of users, in KiB: thousands of them.
const MAX_USERS_KIB: u64 = 1024;

/// The system's own list of names.
const HOSTS_FILE: &str = "/etc/hosts";

/// Where the server listens.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) main: SocketAddr,
    /// Of the webhook, when it has a listener of its own.
    pub(super) webhook: Option<SocketAddr>,
    /// Of telemetry, when it has one.
    pub(super) telemetry: Option<SocketAddr>,
}

/// What the server is called at each of them.
pub(super) struct Names {
    pub(super) webhook: Option<WebhookListener>,
    pub(super) telemetry: Option<Hosts>,
}

/// Access as it is configured, for a server at these addresses, and its names at the listeners that are there beside the
/// main one. The secrets leave the settings, so that no more of them is kept than is needed.
pub(super) fn open(
    settings: &mut Settings,
    addresses: Addresses,
    api_tokens: Option<ApiTokens>,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> Result<(Access, Names), Failure> {
    let Webhook { tokens, signature_secrets, allowed_networks, bind_addr: _, max_body: _ } = &mut settings.webhook;
    let allowed_hosts = mem::take(&mut settings.http.allowed_hosts.0);
    let webhook = addresses
        .webhook
        .map(|address| WebhookListener { port: address.port(), hosts: hosts(allowed_hosts.clone(), address) });
    let telemetry = addresses.telemetry.map(|address| hosts(allowed_hosts.clone(), address));
    let users = users(&settings.access, lifecycle)?;
    let options = AccessOptions {
        requests_per_second: Some(settings.access.requests_per_second),
        read: settings.access.read,
        badges: settings.access.badge_readers(),
        users,
        api_tokens,
        proxy_header: settings.access.proxy_header.take(),
        tokens: tokens.take().map(|list| token_list(list, lifecycle)),
        signatures: signature_secrets.take().map(|list| signatures(list, clock, lifecycle)).transpose()?,
        networks: mem::take(allowed_networks),
        trusted_proxies: mem::take(&mut settings.http.trusted_proxies),
        hosts: hosts(allowed_hosts, addresses.main),
    };
    let address = addresses.webhook.unwrap_or(addresses.main);
    let asks_certificate = settings.http.tls_client_ca.is_some() && addresses.webhook.is_none();
    if options.let_everybody_post() && !is_loopback(address) && !asks_certificate {
        let reads = options.read == Readers::Anyone && addresses.webhook.is_none();
        let read = if reads { ", and read every name" } else { "" };
        tracing::warn!(
            "Whoever reaches {address} can post notifications, and so make up pulls{read}. Set \
             STATICREG_WEBHOOK_TOKENS or STATICREG_WEBHOOK_ALLOWED_NETWORKS, or keep the port where only the registry \
             reaches it."
        );
    }
    let is_asked = [options.read, options.badges].contains(&Readers::SignedIn);
    if !is_asked && (options.users.is_some() || options.proxy_header.is_some()) {
        tracing::warn!("Nobody is asked to sign in, for anyone may read. Set STATICREG_ACCESS_READ to signed_in.");
    }
    Ok((Access::new(options), Names { webhook, telemetry }))
}

fn users(settings: &settings::Access, lifecycle: &mut Lifecycle) -> Result<Option<Users>, Unusable> {
    let Some(file) = settings.users_file.clone() else { return Ok(None) };
    let unusable = |reason| Unusable::new("access.users_file", format!("the file {} {reason}", file.display()));
    let text = text_of_file(&file, MAX_USERS_KIB).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let users = Users::parse(&text).map_err(|error| unusable(format!("cannot be used: {error}")))?;
    if users.count() == 0 && settings.proxy_header.is_none() {
        return Err(unusable("holds no user; `htpasswd -B` adds one".to_owned()));
    }
    let same = users.clone();
    let watch = Watch::of_entries(file, move |file| {
        let text = text_of_file(file, MAX_USERS_KIB).map_err(|error| error.to_string())?;
        let replaced = same.replace(&text).map_err(|error| error.to_string())?;
        Ok(replaced.then(|| same.count()))
    });
    lifecycle.spawn_background("looks at the file of users", watch.run());
    Ok(Some(users))
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn token_list(list: SecretList, lifecycle: &mut Lifecycle) -> Tokens {
    let tokens = Tokens::new(list.expose());
    if let Some(file) = list.file {
        let tokens = tokens.clone();
        let watch = Watch::of_secrets(file, move |list| Ok(tokens.replace(list.expose())));
        lifecycle.spawn_background("looks at the file of tokens", watch.run());
    }
    tokens
}

fn signatures(list: SecretList, clock: &Arc<dyn Clock>, lifecycle: &mut Lifecycle) -> Result<Signatures, Unusable> {
    let signatures = Signatures::new(list.expose(), Arc::clone(clock))
        .map_err(|error| Unusable::new("webhook.signature_secrets", error))?;
    if let Some(file) = list.file {
        let signatures = signatures.clone();
        let watch =
            Watch::of_secrets(file, move |list| signatures.replace(list.expose()).map_err(|error| error.to_string()));
        lifecycle.spawn_background("looks at the file of signature secrets", watch.run());
    }
    Ok(signatures)
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
    use super::*;

    #[test]
    fn the_names_of_loopback_are_the_machines_own() {
        let list = "127.0.0.1 localhost\n127.0.1.1\tbox.example.org box # mine\n\n# 127.0.0.1 no\n::1 ip6-localhost\n\
                    192.0.2.1 other.example\nnonsense 127.0.0.1\n";
        assert_eq!(loopback_names(list), ["localhost", "box.example.org", "box", "ip6-localhost"]);
        assert!(own_names().count() > 0);
    }
}
