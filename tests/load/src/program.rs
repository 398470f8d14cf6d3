//! The server under load: the real program, with the logging it has by default.

use std::{
    env, fs,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

const START_LIMIT: Duration = Duration::from_mins(1);
const LISTENING: &str = "Listening on http://";

/// A running server; killed when dropped.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    process: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Program {
    /// Starts a program that was built beside this one.
    pub(crate) async fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let program = env::current_exe().expect("this program's file").with_file_name(name);
        assert!(program.is_file(), "{} is missing: run `make bench`, which builds it", program.display());
        Self::start_file(&program, settings).await
    }

    /// Starts a program of this file.
    pub(crate) async fn start_file(program: &Path, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let log = folder.path().join("log");
        let output = File::create(&log).expect("the log");
        let process = Command::new(program)
            .env_clear()
            .env("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle of the log"))
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let line = wait_for(&log, LISTENING, START_LIMIT).await;
        let address = line.trim().parse().expect("an address");
        Self { address, process, log, _folder: folder }
    }

    /// Waits until the program has logged something.
    pub(crate) async fn wait_for_log(&self, text: &str, limit: Duration) {
        wait_for(&self.log, text, limit).await;
    }

    /// The most memory it has used, in MiB.
    pub(crate) fn peak_memory(&self) -> f64 {
        const KIB_PER_MIB: f64 = 1024.0;
        let id = self.process.id().expect("the program runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the program runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
        peak.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / KIB_PER_MIB
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Waits for a text in a log; answers the rest of its line.
async fn wait_for(log: &Path, text: &str, limit: Duration) -> String {
    let start = Instant::now();
    loop {
        let logged = fs::read_to_string(log).unwrap_or_default();
        if let Some((_, rest)) = logged.split_once(text)
            && let Some((line, _)) = rest.split_once('\n')
        {
            return line.to_owned();
        }
        assert!(start.elapsed() < limit, "no `{text}` in the log:\n{logged}");
        sleep(Duration::from_millis(20)).await;
    }
}
