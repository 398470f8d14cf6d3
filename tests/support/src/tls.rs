//! A PostgreSQL cluster with certificates of an authority of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    authority::{Authority, Pair},
    postgres::{Durability, Postgres},
};

/// Who may connect how: the last field is the user's name, `cert` wants the client's certificate to bear it.
const RULES: &str = "\
local     all all                   trust
hostssl   all tls_only    127.0.0.1/32 trust
hostnossl all plain_only  127.0.0.1/32 trust
hostssl   all certificate 127.0.0.1/32 cert
host      all postgres    127.0.0.1/32 trust
";

/// The users that the rules name.
const USERS: [&str; 3] = ["tls_only", "plain_only", "certificate"];

/// A cluster that speaks TLS as `localhost`. Its superusers `tls_only`, `plain_only` and `certificate` are let in
/// without a password: with TLS only, without only, and with the certificate that bears this name.
#[derive(Debug)]
pub struct TlsPostgres {
    /// The cluster; its user `postgres` connects either way.
    pub cluster: Postgres,
    folder: TempDir,
}

impl TlsPostgres {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[must_use]
    pub fn start() -> Self {
        let cluster = Postgres::start(Durability::Volatile);
        let folder = tempfile::tempdir().expect("a folder for certificates");
        let (authority, other) = (Authority::new("Tests"), Authority::new("Other tests"));
        let Pair { certificate, key } = authority.sign("server", &["localhost"]);
        // Written by the server itself, which takes no key that others may read.
        for (file, text) in [
            ("server.crt", certificate.as_str()),
            ("server.key", key.as_str()),
            ("clients.crt", authority.certificate()),
        ] {
            let write =
                format!("COPY (SELECT regexp_split_to_table('{text}', '\\n')) TO PROGRAM 'umask 077; cat > {file}'");
            cluster.psql("postgres", &write);
        }
        for user in USERS {
            cluster.psql("postgres", &format!("CREATE ROLE {user} SUPERUSER LOGIN"));
        }
        fs::write(cluster.psql("postgres", "SHOW hba_file"), RULES).expect("the rules");
        for setting in ["ssl = on", "ssl_ca_file = 'clients.crt'"] {
            cluster.psql("postgres", &format!("ALTER SYSTEM SET {setting}"));
        }
        cluster.psql("postgres", "SELECT pg_reload_conf()");
        while cluster.psql("postgres", "SHOW ssl") != "on" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }

        let Pair { certificate, key } = authority.sign("certificate", &[]);
        for (file, text) in [
            ("authority.crt", authority.certificate()),
            ("other.crt", other.certificate()),
            ("client.crt", certificate.as_str()),
            ("client.key", key.as_str()),
        ] {
            fs::write(folder.path().join(file), text).expect("a certificate");
        }
        Self { cluster, folder }
    }

    /// The certificate of the authority that signed the server's.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.file("authority.crt")
    }

    /// The certificate of an authority that signed nothing here.
    #[must_use]
    pub fn other_authority(&self) -> PathBuf {
        self.file("other.crt")
    }

    /// The certificate of the user `certificate`, and its key.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.crt"), self.file("client.key"))
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}
