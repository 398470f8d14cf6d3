//! What a PostgreSQL URL says, as libpq reads it. Read here and not by the driver, which logs values of parameters that
//! it does not know, and takes a password with an unencoded delimiter apart without a word.

use std::{
    env, fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::settings::{self, Settings};

/// Where a PostgreSQL is and how to be let in. Holds the password.
#[derive(Clone)]
pub(crate) struct ServerLocation {
    /// The ways to connect, in the order in which they are tried: an `sslmode` may have two.
    pub(super) ways: Vec<PgConnectOptions>,
    /// What the URL sets for every session.
    pub(super) settings: Settings,
    /// The files that TLS needs, by the parameters that name them.
    pub(super) files: Vec<(&'static str, PathBuf)>,
    /// The names of the parameters that change nothing.
    pub(crate) unknown: Vec<String>,
}

/// What is wrong with a URL. Repeats nothing of it but the names of parameters that PostgreSQL knows: anything else
/// may be part of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlFault(&'static str);

impl UrlFault {
    pub(super) const fn new(text: &'static str) -> Self {
        Self(text)
    }
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const AT_SIGN: UrlFault =
    UrlFault("there is an @ too many, or one of /, ?, # and @ stands in a user or password as it is");
const HASH: UrlFault = UrlFault("it has a # as it is");
const CONTROL: UrlFault = UrlFault("it has a line break or another control character");
const ENCODING: UrlFault = UrlFault("it has a % that encodes no character");
const PAIR: UrlFault = UrlFault("what follows the ? is not NAME=VALUE, joined by &");
const BESIDE_PASSWORD: UrlFault =
    UrlFault("a parameter beside `password` is not known, or the password has an & as it is");
const PORT: UrlFault = UrlFault("the port is no number from 1 to 65535");
const BRACKETS: UrlFault = UrlFault("an IPv6 address stands in brackets, and a port is a number");
const HOSTS: UrlFault = UrlFault("it names several hosts, and staticreg connects to one");
const HOST_ADDRESS: UrlFault = UrlFault("`hostaddr` is no IP address");
const HOST_TWICE: UrlFault =
    UrlFault("with sslmode=verify-full give `host` or `hostaddr`, not both: the one connected to is the one verified");
const SSL_MODE: UrlFault = UrlFault("`sslmode` is disable, allow, prefer, require, verify-ca or verify-full");
const SSL_MODE_VARIABLE: UrlFault = UrlFault(
    "it has no `sslmode`, and PGSSLMODE is none of disable, allow, prefer, require, verify-ca and verify-full",
);
const SSL: UrlFault = UrlFault("`ssl` is true; other modes are set with `sslmode`");
const SYSTEM_ROOTS: UrlFault = UrlFault("sslrootcert=system needs sslmode=verify-full");
const CLIENT_CERTIFICATE: UrlFault = UrlFault("`sslcert` and `sslkey` belong together");
const CACHE: UrlFault = UrlFault("`statement-cache-capacity` is no number");

/// The value of `sslrootcert` that names the well-known authorities instead of a file.
const SYSTEM: &str = "system";

/// Parameters of libpq that change nothing here. The name of one is no part of a password.
const WITHOUT_EFFECT: [&str; 26] = [
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// What the URL gives, decoded.
#[derive(Default)]
pub(super) struct Parts {
    host: Option<String>,
    host_address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    ssl_mode: Option<String>,
    root_certificate: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    application: Option<String>,
    statement_cache: Option<u16>,
    options: Vec<String>,
    settings: Settings,
    unknown: Vec<String>,
}

/// Reads what follows `postgres://`.
pub(crate) fn parse(rest: &str) -> Result<ServerLocation, UrlFault> {
    check_characters(rest)?;
    if rest.contains('#') {
        return Err(HASH);
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (login, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    // The last @ ends user and password. One elsewhere tells that these were cut in two, so that the rest of the
    // password would be taken for a name that may be told.
    if login.contains('@') || database.contains('@') || query.contains('@') {
        return Err(AT_SIGN);
    }
    let mut parts = Parts::default();
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    parts.user = given(user)?;
    parts.password = password.map(decoded).transpose()?;
    parts.server(server)?;
    parts.database = given(database)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(PAIR)?;
        let name = decoded(name)?;
        if !is_name(&name) {
            return Err(PAIR);
        }
        parts.parameter(&name, decoded(value)?)?;
    }
    // Beside a password it may be the rest of it, cut off by an unencoded &.
    if password_in(query) && parts.has_other_than_known() {
        return Err(BESIDE_PASSWORD);
    }
    parts.place()
}

pub(super) fn check_characters(text: &str) -> Result<(), UrlFault> {
    if text.chars().any(char::is_control) { Err(CONTROL) } else { Ok(()) }
}

impl Parts {
    /// Whether there is a parameter that libpq does not know either.
    pub(super) fn has_other_than_known(&self) -> bool {
        self.unknown.iter().any(|name| !WITHOUT_EFFECT.contains(&name.as_str()))
    }

    fn server(&mut self, server: &str) -> Result<(), UrlFault> {
        if server.contains(',') {
            return Err(HOSTS);
        }
        let (host, port) = if let Some(rest) = server.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(BRACKETS)?;
            let address = decoded(address)?;
            // Behind a % is the interface of a link-local address.
            let number = address.split('%').next().unwrap_or_default();
            number.parse::<Ipv6Addr>().map_err(|_| BRACKETS)?;
            let port = if port.is_empty() { "" } else { port.strip_prefix(':').ok_or(BRACKETS)? };
            (Some(address), port)
        } else {
            let (host, port) = server.split_once(':').unwrap_or((server, ""));
            if port.contains(':') {
                return Err(BRACKETS);
            }
            (given(host)?, port)
        };
        self.host = host;
        self.port = if port.is_empty() { None } else { Some(port_of(&decoded(port)?)?) };
        Ok(())
    }

    pub(super) fn parameter(&mut self, name: &str, value: String) -> Result<(), UrlFault> {
        match name {
            // An empty value is libpq's way to leave the default.
            "host" if value.is_empty() => {}
            "host" if value.contains(',') => return Err(HOSTS),
            "host" => self.host = Some(value.trim_start_matches('[').trim_end_matches(']').to_owned()),
            "hostaddr" => {
                value.parse::<IpAddr>().map_err(|_| HOST_ADDRESS)?;
                self.host_address = Some(value);
            }
            "port" => self.port = Some(port_of(&value)?),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "sslmode" | "ssl-mode" => self.ssl_mode = Some(value),
            "ssl" if value == "true" => self.ssl_mode = Some("require".to_owned()),
            "ssl" => return Err(SSL),
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => self.root_certificate = Some(value),
            "sslcert" | "ssl-cert" => self.certificate = Some(value),
            "sslkey" | "ssl-key" => self.key = Some(value),
            "application_name" => self.application = Some(value),
            "statement-cache-capacity" => self.statement_cache = Some(value.parse().map_err(|_| CACHE)?),
            // A setting, as drivers of other languages take it.
            "search_path" => drop(self.settings.insert(name.to_owned(), value)),
            "options" => match settings::of_options(&value) {
                Some(settings) => self.settings.extend(settings),
                None => self.options.push(value),
            },
            _ => match name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')) {
                Some(name) => drop(self.settings.insert(name.to_ascii_lowercase(), value)),
                None => self.unknown.push(name.to_owned()),
            },
        }
        Ok(())
    }

    pub(super) fn place(mut self) -> Result<ServerLocation, UrlFault> {
        if self.root_certificate.as_deref() == Some(SYSTEM) {
            self.root_certificate = None;
            if self.ssl_mode.get_or_insert_with(|| "verify-full".to_owned()) != "verify-full" {
                return Err(SYSTEM_ROOTS);
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(CLIENT_CERTIFICATE);
        }
        let options = self.options()?;
        let mode = self.mode(&options)?;
        if matches!(mode, PgSslMode::VerifyFull) && self.host.is_some() && self.host_address.is_some() {
            return Err(HOST_TWICE);
        }
        // An empty variable is none, one may hold what others have in a file, and without TLS none matters.
        let is_file = |value: &String| !value.is_empty() && !value.starts_with("-----BEGIN");
        let variable = |name| env::var(name).ok().filter(is_file);
        let of_environment = |name| if matches!(mode, PgSslMode::Disable) { None } else { variable(name) };
        let files = [
            ("sslrootcert", self.root_certificate.or_else(|| of_environment("PGSSLROOTCERT"))),
            ("sslcert", self.certificate.or_else(|| of_environment("PGSSLCERT"))),
            ("sslkey", self.key.or_else(|| of_environment("PGSSLKEY"))),
        ];
        Ok(ServerLocation {
            ways: ways(&options, mode),
            settings: self.settings,
            files: files.into_iter().filter_map(|(name, file)| Some((name, file?.into()))).collect(),
            unknown: self.unknown,
        })
    }

    /// The driver's options. It is given a URL of its own, every byte of which is encoded: only so does it look into
    /// `.pgpass` for the password that belongs to host and user.
    fn options(&self) -> Result<PgConnectOptions, UrlFault> {
        let port = self.port.map(|port| port.to_string());
        let cache = self.statement_cache.map(|capacity| capacity.to_string());
        let pairs = [
            ("host", self.host_address.as_ref().or(self.host.as_ref())),
            ("port", port.as_ref()),
            ("user", self.user.as_ref()),
            ("password", self.password.as_ref()),
            ("dbname", self.database.as_ref()),
            ("sslrootcert", self.root_certificate.as_ref()),
            ("sslcert", self.certificate.as_ref()),
            ("sslkey", self.key.as_ref()),
            ("application_name", self.application.as_ref()),
            ("statement-cache-capacity", cache.as_ref()),
        ];
        let startup = self.options.iter().map(|options| ("options", Some(options)));
        let query: Vec<_> = pairs
            .into_iter()
            .chain(startup)
            .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))))
            .collect();
        // Nothing is left that the driver could refuse.
        format!("postgres:///?{}", query.join("&")).parse().map_err(|_| ENCODING)
    }

    /// The `sslmode`, the environment's where the URL has none. As libpq has it: a socket needs no TLS, and who names an
    /// authority wants it asked.
    fn mode(&self, options: &PgConnectOptions) -> Result<PgSslMode, UrlFault> {
        let given = self.ssl_mode.as_ref().map(|mode| mode.parse().map_err(|_| SSL_MODE)).transpose()?;
        // The driver takes a word that is no mode for the default.
        let of_environment = || env::var("PGSSLMODE").map_or(Ok(()), |mode| mode.parse::<PgSslMode>().map(drop));
        if given.is_none() && of_environment().is_err() {
            return Err(SSL_MODE_VARIABLE);
        }
        let mode = given.unwrap_or_else(|| options.get_ssl_mode());
        let socket = options.get_socket().is_some() || options.get_host().starts_with('/');
        Ok(match mode {
            _ if socket => PgSslMode::Disable,
            PgSslMode::Require if self.root_certificate.is_some() => PgSslMode::VerifyCa,
            mode => mode,
        })
    }
}

/// What a mode tries, one after the other.
fn ways(options: &PgConnectOptions, mode: PgSslMode) -> Vec<PgConnectOptions> {
    let modes = match mode {
        PgSslMode::Allow => vec![PgSslMode::Disable, PgSslMode::Require],
        PgSslMode::Prefer => vec![PgSslMode::Prefer, PgSslMode::Disable],
        mode => vec![mode],
    };
    modes.into_iter().map(|mode| options.clone().ssl_mode(mode)).collect()
}

/// Decoded, when there is anything.
fn given(text: &str) -> Result<Option<String>, UrlFault> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

fn decoded(text: &str) -> Result<String, UrlFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = others;
            continue;
        }
        let [high, low, others @ ..] = others else { return Err(ENCODING) };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ENCODING);
        let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).expect("two digits are a byte");
        // Ends the text in PostgreSQL's protocol.
        if byte == 0 {
            return Err(ENCODING);
        }
        bytes.push(byte);
        rest = others;
    }
    String::from_utf8(bytes).map_err(|_| ENCODING)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

fn port_of(text: &str) -> Result<u16, UrlFault> {
    text.parse().ok().filter(|port| *port != 0).ok_or(PORT)
}

fn password_in(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("password="))
}

/// Whether a text can be the name of a parameter and nothing else.
fn is_name(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> ServerLocation {
        parse(rest).unwrap_or_else(|fault| panic!("{rest}: {fault}"))
    }

    #[test]
    fn every_part_is_read_as_libpq_reads_it() {
        let place = read("st%C3%A4tic:p%40ss%2Fw%23rd%3F%25+&@db.example:6432/pulls%20of%202026?application_name=a+b");
        let options = &place.ways[0];
        assert_eq!(options.get_username(), "st\u{e4}tic");
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
        assert_eq!(options.get_database(), Some("pulls of 2026"));
        assert_eq!(options.get_application_name(), Some("a+b"));
        assert!(format!("{options:?}").contains("p@ss/w#rd?%+&"));
        let by_query = read("?host=db.example&port=6432&user=u&password=a%26b&dbname=pulls");
        assert_eq!(by_query.ways[0].get_host(), "db.example");
        assert_eq!(by_query.ways[0].get_database(), Some("pulls"));
        assert!(format!("{:?}", by_query.ways[0]).contains("a&b"));
    }

    #[test]
    fn addresses_stand_in_brackets_and_folders_anywhere() {
        for (rest, host, port) in [
            ("u@[::1]/d", "::1", 5432),
            ("u@[fe80::1%25eth0]:6432/d", "fe80::1%eth0", 6432),
            ("u@/d?host=::1", "::1", 5432),
            ("u@/d?host=[::1]", "::1", 5432),
            ("u@db/d?hostaddr=10.0.0.1", "10.0.0.1", 5432),
            ("[2001:db8::1]", "2001:db8::1", 5432),
        ] {
            let place = read(rest);
            let options = &place.ways[0];
            assert_eq!((options.get_host(), options.get_port()), (host, port), "{rest}");
        }
        for rest in [
            "u@/d?host=/run/postgresql",
            "u@%2Frun%2Fpostgresql/d",
            "u@:5432/d?host=%2Frun%2Fpostgresql&sslmode=require",
        ] {
            let place = read(rest);
            assert_eq!(
                place.ways[0].get_socket().and_then(|folder| folder.to_str()),
                Some("/run/postgresql"),
                "{rest}"
            );
            assert!(
                matches!(place.ways[..], [ref only] if matches!(only.get_ssl_mode(), PgSslMode::Disable)),
                "{rest}"
            );
        }
    }

    #[test]
    fn a_delimiter_in_a_password_is_refused_and_nothing_of_it_told() {
        for rest in [
            "u:ge?heim@db/d",
            "u:1?geheim@db/d",
            "u:1?geheim=x@db/d",
            "u:1?a&geheim=@db/d",
            "u:1#geheim@db/d",
            "u:ge#heim@db/d",
            "u:1/geheim@db/d",
            "u:ge/heim@db/d",
            "u:ge@heim@db/d",
            "u:ge%heim@db/d",
            "u:geheim%@db/d",
            "u:geheim%4@db/d",
            "u:geheim%ff@db/d",
            "u:geheim%00@db/d",
            "u:geheim\n@db/d",
            "db/d?password=ge&heim",
            "db/d?password=ge&heim=x",
            "db/d?password=ge#heim",
            "db/d?password=ge%heim",
            "u:geheim@db:port/d",
            "u:geheim@db:0/d",
            "u:geheim@db:65536/d",
            "u:geheim@::1/d",
            "u:geheim@[::1/d",
            "u:geheim@[db]/d",
            "u:geheim@[::1]5432/d",
            "u:geheim@one,two/d",
            "u:geheim@/d?host=one,two",
            "u:geheim@db/d?sslmode=geheim",
            "u:geheim@db/d?port=geheim",
            "u:geheim@db/d?ssl=geheim",
            "u:geheim@db/d?hostaddr=geheim",
            "u:geheim@db/d?sslcert=geheim",
            "u:geheim@db/d?sslmode=verify-ca&sslrootcert=system",
            "u:geheim@db/d?geheim",
            "u:geheim@db/d?ge heim=x",
        ] {
            let fault = parse(rest).map(|_| ()).expect_err(rest);
            let told = format!("{fault} {fault:?} {}", crate::InvalidDatabaseUrl::Postgres(fault));
            assert!(!told.contains("heim") && told.contains("percent-encoded"), "{rest}: {told}");
        }
    }

    #[test]
    fn unknown_parameters_are_named_without_their_values() {
        let place = read("u:geheim@db/d?connect_timeout=5&sslmode=require&pool_max_conns=geheim");
        assert_eq!(place.unknown, ["connect_timeout", "pool_max_conns"]);
        let place = read("?host=db&user=u&password=geheim&connect_timeout=5&target_session_attrs=read-write");
        assert_eq!(place.unknown, ["connect_timeout", "target_session_attrs"], "they are no part of a password");
    }

    #[test]
    fn modes_of_tls_are_tried_in_their_order() {
        for (parameters, ways) in [
            ("sslmode=disable", "Disable"),
            ("sslmode=allow", "Disable Require"),
            ("sslmode=prefer", "Prefer Disable"),
            ("sslmode=require", "Require"),
            ("ssl=true", "Require"),
            ("sslmode=require&sslrootcert=a.crt", "VerifyCa"),
            ("sslmode=verify-ca&sslrootcert=a.crt", "VerifyCa"),
            ("sslmode=verify-full", "VerifyFull"),
            ("sslrootcert=system", "VerifyFull"),
        ] {
            let place = read(&format!("u@db/d?{parameters}"));
            let tried: Vec<_> = place.ways.iter().map(|way| format!("{:?}", way.get_ssl_mode())).collect();
            assert_eq!(tried.join(" "), ways, "{parameters}");
        }
    }
}
