//! A private `PgBouncer` before a database: on a free port, gone when dropped.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{ports::free_port, postgres::Postgres};

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Where Debian's package puts it, which is not on everybody's path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// The user it runs as where tests run as root, which it refuses.
const USER: &str = "postgres";

/// A running `PgBouncer`.
#[derive(Debug)]
pub struct PgBouncer {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl PgBouncer {
    /// Starts one before all databases of a cluster, with more settings as `pgbouncer.ini` has them, by line.
    ///
    /// Panics with its own words when it does not start. It ends with the thread that started it.
    #[must_use]
    pub fn start(cluster: &Postgres, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for PgBouncer");
        let port = free_port();
        let file = folder.path().join("pgbouncer.ini");
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={} user={USER}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\n{}\n",
            cluster.port(),
            settings.join("\n")
        );
        fs::write(&file, configuration).expect("its settings");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its folder may be read");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if fs::metadata("/proc/self").is_ok_and(|owner| owner.uid() == 0) {
            command.args(["--reuid", USER, "--clear-groups"]);
        }
        let log = fs::File::create(folder.path().join("log")).expect("its log");
        let process = command
            .args(["--", PROGRAM])
            .arg(&file)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv is part of the system");
        let mut pooler = Self { folder, port, process };
        pooler.wait();
        pooler
    }

    fn wait(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().expect("it is ours");
            assert!(
                ended.is_none() && started.elapsed() < START_LIMIT,
                "PgBouncer does not listen ({ended:?}): run `make test-tools`\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a database of the cluster, by way of this.
    ///
    /// Panics when the URL names no database.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let database = url.rsplit('/').next().expect("a URL has a /");
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// What it logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
