//! The program as a process.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, PipeReader, PipeWriter, pipe},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use staticreg_test_support::ports::free_port;
use tempfile::TempDir;

use crate::{
    client::{Answer, Connection},
    eventually,
};

/// How long the program may take to listen, and to end, on a machine that is busy with much else.
const LIMIT: Duration = Duration::from_mins(3);

/// How long a notification waits to be stored unless a test says otherwise: no busy machine makes that too short.
const PATIENCE: (&str, &str) = ("STATICREG_METRICS_PATIENCE", "90s");

/// The line that tells the address, with or without TLS.
const LISTENING: [&str; 2] = ["Listening on http://", "Listening on https://"];

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Staticreg {
    process: Child,
    address: SocketAddr,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    output: Output,
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Staticreg {
    /// Starts a server on a free port, with no other environment than the given one. Panics with its words when it
    /// does not listen.
    #[must_use]
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", environment)
    }

    /// Starts a server that may be restarted while others try to connect.
    #[must_use]
    pub fn start_restartable(environment: &[(&str, &str)]) -> Self {
        Self::start_at(&format!("127.0.0.1:{}", free_port()), environment)
    }

    /// Starts a server at an address.
    #[must_use]
    pub fn start_at(address: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch(address, &[], environment)
    }

    /// Starts a server on a free port with arguments.
    #[must_use]
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::launch("127.0.0.1:0", arguments, environment)
    }

    fn launch(address: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let output = Output::new();
        let (process, address) = launch(address, &arguments, &environment, &output);
        Self { process, address, arguments, environment, output }
    }

    /// Starts a server whose standard output and error are the one pipe that is given along, read no further than to
    /// where it tells its address.
    #[must_use]
    pub fn start_into_pipe(environment: &[(&str, &str)]) -> (Self, BufReader<PipeReader>) {
        let (reader, writer) = pipe().expect("a pipe");
        let mut command = command();
        let process = command
            .env("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("another end"))
            .stderr(writer)
            .spawn()
            .expect("the program can be started");
        // It holds the writing end too.
        drop(command);
        let mut reader = BufReader::new(reader);
        let mut said = String::new();
        let address = loop {
            assert!(reader.read_line(&mut said).expect("a line") > 0, "it does not listen:\n{said}");
            if let Some(address) = listening_address(&said) {
                break address;
            }
        };
        (Self { process, address, arguments: Vec::new(), environment: Vec::new(), output: Output::new() }, reader)
    }

    /// Runs the program with arguments until it ends by itself.
    #[must_use]
    pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        Self::run_reading(Stdio::null(), arguments, environment)
    }

    /// Runs the program with a file as its standard input until it ends by itself.
    #[must_use]
    pub fn run_with_input(input: File, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        Self::run_reading(input.into(), arguments, environment)
    }

    fn run_reading(input: Stdio, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let output = Output::new();
        let mut process = output
            .of(command().args(arguments).envs(environment.iter().copied()))
            .stdin(input)
            .spawn()
            .expect("the program can be started");
        let status = end_of(&mut process, LIMIT).unwrap_or_else(|| {
            // It is still running, so this ends it.
            let _ = process.kill();
            let _ = process.wait();
            panic!("staticreg {} did not end:\n{}", arguments.join(" "), output.both())
        });
        Ended { status, stdout: output.stdout(), stderr: output.stderr() }
    }

    /// Starts the program in a terminal; what that shows is in a file.
    #[must_use]
    pub fn start_in_terminal(shown: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        let program = format!("{} {}", binary().display(), arguments.join(" "));
        Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &program])
            .arg(shown)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("script runs: it comes with every Debian")
    }

    /// Runs the program until it ends by itself, with everything it says into the end of a pipe.
    #[must_use]
    pub fn run_into(output: PipeWriter, environment: &[(&str, &str)]) -> ExitStatus {
        let mut process = command()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("another end"))
            .stderr(output)
            .spawn()
            .expect("the program can be started");
        end_of(&mut process, LIMIT).unwrap_or_else(|| {
            // It is still running, so this ends it.
            let _ = process.kill();
            let _ = process.wait();
            panic!("it did not end")
        })
    }

    /// Its number among the processes.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, such as `/api/webhook/registry`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection to it. Panics when there is none.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap_or_else(|error| panic!("no connection ({error}):\n{}", self.log()))
    }

    /// Gets a path. Panics when no answer comes.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        let answer = self.connect().request("GET", path, &[], b"");
        answer.unwrap_or_else(|error| panic!("GET {path}: no answer ({error}):\n{}", self.log()))
    }

    /// Gets a JSON document. Panics when it is not there. On a busy machine a database may take longer than a question
    /// may, so it is asked again.
    #[must_use]
    pub fn get_json(&self, path: &str) -> Value {
        let answer = eventually(format_args!("an answer to {path}"), LIMIT, || {
            Some(self.get(path)).filter(|answer| answer.status != 503)
        });
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}\n{}", self.log());
        answer.json()
    }

    /// Posts a notification. Panics when no answer comes.
    #[must_use]
    pub fn post(&self, notification: &Value) -> Answer {
        let answer = self.connect().post(notification);
        answer.unwrap_or_else(|error| panic!("POST: no answer ({error}):\n{}", self.log()))
    }

    /// All pulls by tag, ever.
    #[must_use]
    pub fn pulls(&self) -> u64 {
        let summary = self.get_json("/api/v1/summary");
        summary["by_kind"]["pull_by_tag"]["total"].as_u64().unwrap_or_else(|| panic!("no total: {summary}"))
    }

    /// Waits until its store is there: a server does not wait long for one before it listens.
    pub fn wait_for_store(&self) {
        eventually("the store takes events", LIMIT, || (self.get("/healthz/db").status == 200).then_some(()));
    }

    /// What it logged, also before a restart.
    #[must_use]
    pub fn log(&self) -> String {
        self.output.both()
    }

    /// Waits for a line of the log that holds the words, and gives it.
    #[must_use]
    pub fn line(&self, words: &str, limit: Duration) -> String {
        eventually(format_args!("the line `{words}`"), limit, || {
            self.log().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// Waits for a line of the log that holds the words.
    pub fn wait_for_line(&self, words: &str, limit: Duration) {
        // Only that it comes matters.
        let _ = self.line(words, limit);
    }

    /// Ends it at once, as a crash would.
    pub fn kill9(&mut self) {
        self.process.kill().expect("it was not waited for before");
        self.process.wait().expect("it ends when killed");
    }

    /// Starts it again, where it was, after it ended.
    pub fn restart(&mut self) {
        let Self { address, arguments, environment, output, .. } = self;
        (self.process, self.address) = launch(&address.to_string(), arguments, environment, output);
    }

    /// Sends a signal, such as `Signal::TERM`.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it was not waited for before");
    }

    /// Asks it to stop and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end. Panics with its words when it goes on.
    pub fn wait(&mut self) -> ExitStatus {
        end_of(&mut self.process, LIMIT).unwrap_or_else(|| panic!("it did not end:\n{}", self.log()))
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("its state").is_none()
    }
}

impl Drop for Staticreg {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("The last lines of the server's log:\n{}", last_lines(&self.log()));
        }
    }
}

/// Where the words of a process go; files never make it wait.
#[derive(Debug)]
struct Output(TempDir);

impl Output {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the log"))
    }

    fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.stdin(Stdio::null()).stdout(self.file("stdout")).stderr(self.file("stderr"))
    }

    fn file(&self, name: &str) -> File {
        let path = self.0.path().join(name);
        OpenOptions::new().create(true).append(true).open(path).expect("a file for the log")
    }

    fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn both(&self) -> String {
        self.stdout() + &self.stderr()
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.0.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Starts a server and learns where it listens.
fn launch(
    address: &str,
    arguments: &[String],
    environment: &[(String, String)],
    output: &Output,
) -> (Child, SocketAddr) {
    let said_before = output.stdout().len();
    let mut process = output
        .of(command()
            .args(arguments)
            .env("STATICREG_HTTP_BIND_ADDR", address)
            .env(PATIENCE.0, PATIENCE.1)
            .envs(environment.iter().map(|(name, value)| (name, value))))
        .spawn()
        .expect("the program can be started");
    let began = Instant::now();
    loop {
        if let Some(address) = listening_address(&output.stdout()[said_before..]) {
            return (process, address);
        }
        let ended = process.try_wait().expect("its state");
        if ended.is_some() || began.elapsed() > LIMIT {
            // It may have ended by itself; then there is nothing to stop.
            let _ = process.kill();
            let _ = process.wait();
            panic!("staticreg does not listen ({ended:?}):\n{}", last_lines(&output.both()));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn listening_address(said: &str) -> Option<SocketAddr> {
    let (_, rest) = LISTENING.iter().find_map(|words| said.split_once(words))?;
    let (address, _) = rest.split_once(['\n', '"'])?;
    Some(address.parse().unwrap_or_else(|error| panic!("{address}: {error}")))
}

fn command() -> Command {
    let mut command = Command::new(binary());
    command.env_clear();
    command
}

/// The program that was built beside this test: `target/PROFILE/staticreg`.
fn binary() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own place");
    let folder = test.parent().and_then(Path::parent).expect("the test is in target/PROFILE/deps");
    let binary = folder.join("staticreg");
    assert!(binary.exists(), "{} is missing: run `cargo build` first", binary.display());
    binary
}

fn end_of(process: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("its state") {
            return Some(status);
        }
        if began.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
