//! Every setting: its key, type, default, range and help.
//!
//! A new one is a line here; flag, variable, template and the README's table follow (`UPDATE_README=1 cargo test -p
//! staticreg readme` writes the latter).

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use staticreg_http::access::{Networks, ProxyHeader, Readers};
use staticreg_sql::SchemaName;

use super::{
    address::ListenAddress,
    declare::settings,
    log_filter::LogFilter,
    secret::{Secret, SecretList},
    value::{CountingMode, HostNames, LogFormat, Size, TlsMode},
};

settings! {
    http: Http "HTTP" {
        /// Where to listen.
        /// `:8093` is every interface, `8093` this machine only.
        bind_addr: ListenAddress = "127.0.0.1:8093";
        /// The most connections at once; for further ones, those that wait for their clients make room.
        max_connections: NonZeroUsize = "4096", from "1" to "1000000";
        /// How long a client may take to send the head of a request.
        header_timeout: Duration = "10s", from "1ms" to "24h";
        /// How long a client may take to send a body.
        body_timeout: Duration = "30s", from "1ms" to "24h";
        /// How long a stop may take to finish what was accepted.
        stop_timeout: Duration = "10s", from "0s" to "24h";
        /// Networks of proxies, by comma, that are believed where a request comes from.
        /// By `X-Forwarded-For` or `Forwarded`; from all others these say nothing.
        trusted_proxies: Networks = "", such as "10.0.0.0/8";
        /// Names, by comma, that the server is reached by; to others it does not answer.
        /// Addresses, `localhost` and the machine's own names are always among them. Without it a server on loopback
        /// answers to these only, and any other to every name. The webhook answers to every name.
        allowed_hosts: HostNames = "", such as "counts.example.com";
        /// A file with the TLS certificate, in PEM: with it staticreg speaks HTTPS only.
        /// The server's own certificate first, then those that signed it. TLS files may change while staticreg runs: they
        /// are looked at every 2 seconds, and on SIGHUP.
        tls_cert: Option<PathBuf>, such as "/etc/staticreg/tls.crt";
        /// A file with the certificate's private key, in PEM.
        tls_key: Option<PathBuf>, such as "/etc/staticreg/tls.key";
        /// A file with authorities, in PEM: clients must show a certificate of one.
        /// On a listener of the webhook's own they need none, as registries have none to show.
        tls_client_ca: Option<PathBuf>, such as "/etc/staticreg/clients.crt";
    }
    webhook: Webhook "Webhook" {
        /// Where to listen for notifications, and for nothing else but whether all is well.
        /// With limits of its own, so that no crowd at the pages reaches it. Without it the webhook is where all else is.
        bind_addr: Option<ListenAddress>, such as "0.0.0.0:8094";
        /// The largest body of a notification.
        max_body: Size = "16MiB", from "1KiB" to "1GiB";
        /// Tokens, by comma: who posts must show one, or sign.
        /// As `Authorization: Bearer TOKEN`, or as the password of Basic. Without tokens and signature secrets nobody must;
        /// a list that is given and empty, by flag or file, lets nobody in. An empty variable is none.
        tokens: Option<SecretList> as "TOKENS", such as "TOKEN";
        /// Networks, by comma: who posts must be in one of them.
        /// The address of the connection decides, unless it is that of a proxy of `STATICREG_HTTP_TRUSTED_PROXIES`.
        /// Without it anybody may be anywhere.
        allowed_networks: Option<Networks>, such as "10.0.0.0/8";
        /// Secrets, by comma: who posts must sign with one, or show a token.
        /// As Standard Webhooks has it, where `whsec_` begins base64, or by `X-Hub-Signature-256` or
        /// `X-Registry-Signature-256`.
        signature_secrets: Option<SecretList> as "SECRETS", such as "SECRET";
    }
    access: Access "Access" {
        /// The most requests for pages and API a second from one address, on average.
        /// Those of 10 seconds may come at once, and what comes from this machine is not counted. The webhook has no such
        /// limit.
        requests_per_second: NonZeroU32 = "100", from "1" to "1000000";
        /// Who may read pages, API, CSV and documents: `anyone`, or `signed_in`.
        /// Whether the server is well, everybody may ask.
        read: Readers = "anyone";
        /// Who may see badges and charts.
        /// Without it as `STATICREG_ACCESS_READ` says.
        badges: Option<Readers>, such as "anyone";
        /// A file of users who sign in with a password, one a line: `NAME:HASH`.
        /// As `htpasswd -B` writes it; hashes are bcrypt or argon2id. It may change while staticreg runs: it is looked at every 2 seconds.
        users_file: Option<PathBuf>, such as "/etc/staticreg/users";
        /// A header in which a trusted proxy names who has signed in there.
        /// One of `STATICREG_HTTP_TRUSTED_PROXIES`; from all others it says nothing. The proxy must remove it from what clients send.
        proxy_header: Option<ProxyHeader>, such as "Remote-User";
    }
    db: Db "Database" {
        /// Where counts are kept; in memory without it.
        /// `postgres://...` or `sqlite://FILE`.
        url: Option<Secret> as "URL", such as "postgres://staticreg:PASSWORD@localhost/staticreg";
        /// The PostgreSQL schema; made if missing.
        /// Without it, what the database says: `public`.
        schema: Option<SchemaName>, such as "public";
        /// The most connections to the database.
        max_conns: NonZeroU32 = "10", from "1" to "10000";
        /// The memory for sums of the counts; `0B` keeps none.
        /// From them questions about all repositories are answered; what does not fit, the database answers.
        rollup_memory: Size = "256MiB", from "0B" to "64GiB";
    }
    metrics: Metrics "Counting" {
        /// `classified`, or `tagged`: every manifest access by tag is a pull.
        counting: CountingMode = "classified";
        /// How many of the latest accesses are remembered.
        /// By them pulls are told from look-ups.
        correlation_entries: NonZeroUsize = "100000", from "1" to "100000000";
        /// How old an event may be when it arrives; older ones are skipped.
        /// By the time at which it counts. Without it none is too old.
        max_age: Option<Duration>, from "1s" to "3650d", such as "30d";
        /// How many new names a day (UTC) may bring; events of further ones are skipped until the next.
        /// So who may post cannot fill the database. A name is a repository with tag, digest and architecture, and new when
        /// it is not among the last ones that this server met. The day of a start and the next may bring four times as many.
        max_new_names_per_day: NonZeroUsize = "100000", from "1" to "100000000";
        /// Words, by comma: clients whose user agent holds one are left out.
        ignored_user_agents: Vec<String> = "", such as "trivy,renovate";
        /// The most events stored in one transaction.
        batch_size: NonZeroUsize = "2000", from "1" to "100000";
        /// The most events that may wait to be stored; past that the answer is 503.
        buffer_size: NonZeroUsize = "10000", from "1" to "10000000";
        /// How long to gather events before they are stored.
        flush_interval: Duration = "0s", from "0s" to "1h", such as "100ms";
        /// How long a notification waits to be stored before the answer is 503.
        patience: Duration = "3s", from "1ms" to "1h";
        /// How long event ids are remembered.
        /// An event that comes again in this time counts once.
        dedupe_window: Duration = "7d", from "1s" to "3650d";
        /// The most rows in memory without a database; the oldest dates go first.
        memory_rows: NonZeroUsize = "1000000", from "1" to "1000000000";
    }
    retention: Retention "Retention" {
        /// How long counts are kept by day; later they are kept by month. Without it for good.
        /// At least 62d. Days are folded by whole months, into the month's first day, and stay so. Not needed below some
        /// ten million rows: docs/retention.md.
        daily: Option<Duration>, such as "400d";
        /// How long counts are kept at all. Without it for good.
        /// At least 62d, and no less than `STATICREG_RETENTION_DAILY`. Whole months go, and cannot be brought back.
        total: Option<Duration>, such as "3650d";
        /// Whether counts that are kept by month keep their digests.
        digests: bool = "true";
    }
    spool: Spool "Spool" {
        /// Where events wait while the database is away.
        /// Without it the registry keeps them.
        file: Option<PathBuf>, such as "/var/lib/staticreg/spool.db";
        /// The most events that may wait there.
        max_events: NonZeroU64 = "1000000", from "1" to "1000000000000";
    }
    registry: Registry "Registry" {
        /// The registry to browse.
        /// `HOST` or `HOST:PORT`; pages show statistics only without it.
        hostname: Option<String> as "HOST[:PORT]", such as "registry.example:5000";
        /// The name by which its users reach it, for the commands to copy.
        /// Without it `STATICREG_REGISTRY_HOSTNAME`.
        public_name: Option<String> as "HOST[:PORT]", such as "localhost:5000";
        /// The user to browse it as.
        user: Option<String> as "NAME", such as "reader";
        /// The user's password.
        password: Option<Secret> as "PASSWORD", such as "PASSWORD";
        /// `on`, `off`, or `auto`: plain HTTP for loopback and private names only.
        tls: TlsMode = "auto";
        /// Accept any certificate.
        skip_tls_verify: bool = "false";
        /// How many requests are sent to it at once.
        concurrency: NonZeroUsize = "8", from "1" to "1000";
        /// The most requests sent to it in a second; without it as many as it answers.
        requests_per_second: Option<NonZeroU32>, from "1" to "1000000", such as "10";
        /// How often it is read again.
        refresh_interval: Duration = "15m", from "1s" to "365d";
    }
    telemetry: Telemetry "Telemetry" {
        /// Where to listen for those who ask for `/metrics`, and for nothing else but whether all is well.
        /// Whoever reaches it may read it, without signing in. Without it `/metrics` is where all else is.
        bind_addr: Option<ListenAddress>, such as "127.0.0.1:9464";
        /// How many repositories have a series of their own in `/metrics`: those that are pulled most.
        /// With 0 none has, and no name is told there.
        repositories: usize = "0", from "0" to "1000";
    }
    log: Log "Log" {
        /// `text` or `json`.
        format: LogFormat = "text";
        /// A level, or directives such as `info,staticreg_sql=debug`.
        /// The levels are off, error, warn, info, debug and trace.
        level: LogFilter = "info", such as "info,staticreg_sql=debug";
    }
}
