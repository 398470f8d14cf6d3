//! Generators make clients of the OpenAPI document, and these get answers from the running program; schemathesis makes
//! requests of it, right and wrong ones, and compares the answers with it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The program, with counts in memory; stopped when dropped.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_staticreg"))
            .env("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")
            .env("STATICREG_DB_URL", "")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let address = lines
            .by_ref()
            .map(|line| line.expect("a line of text"))
            .find_map(|line| line.split_once("Listening on http://").map(|(_, address)| address.to_owned()))
            .expect("the line that says where it listens");
        // Read on, so that it never waits for its lines to be taken.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).expect("a connection");
        write!(connection, "GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address).expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a head and a body").1.to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the clients are, in the folder of the checkout.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// An empty folder for what a generator makes.
fn generated(language: &str) -> PathBuf {
    let folder = clients().join("generated").join(language);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the old client goes");
    }
    fs::create_dir_all(&folder).expect("a folder for the client");
    folder
}

/// A tool that `make test-tools` installed beside the clients.
fn tool(path: &str) -> Command {
    let path = clients().join(path);
    assert!(path.exists(), "{} is not installed: run `make test-tools`", path.display());
    let mut command = Command::new(&path);
    command.current_dir(clients());
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{printed}{words}");
    printed
}

const DOCUMENT: &str = "../../api-spec/openapi.json";

#[test]
fn the_program_serves_the_committed_document() {
    let committed = fs::read_to_string(clients().join(DOCUMENT)).expect("the document");
    assert!(Program::start().get("/openapi.json").trim() == committed.trim(), "run `make openapi`");
}

#[test]
fn a_typescript_client_asks() {
    let folder = generated("typescript");
    run(tool("node_modules/.bin/openapi-typescript").arg(DOCUMENT).arg("--output").arg(folder.join("schema.d.ts")));
    run(tool("node_modules/.bin/tsc").args(["--project", "."]));
    let program = Program::start();
    let answer = run(Command::new("node").arg(folder.join("ask.js")).arg(program.url()));
    assert_eq!(
        answer,
        "{\"processed\":1,\"image\":[\"demo/typescript\",\"v1\",1],\"cursor\":null,\"refused\":400,\
         \"compared\":[1,0,null],\"registry\":\"no_registry\",\"badge\":\"1\"}\n"
    );
}

#[test]
fn a_python_client_asks() {
    let folder = generated("python");
    let bin = clients().join(".venv/bin");
    let words = run(tool(".venv/bin/openapi-python-client")
        .args([
            "generate",
            "--path",
            DOCUMENT,
            "--config",
            "openapi-python-client.yaml",
            "--meta",
            "none",
            "--overwrite",
            "--output-path",
        ])
        .arg(folder.join("staticreg"))
        .env("PATH", &bin));
    assert!(!words.contains("Warning"), "{words}");
    let program = Program::start();
    let answer = run(tool(".venv/bin/python").arg("ask.py").arg(program.url()).env("PYTHONPATH", &folder));
    assert_eq!(
        answer,
        "{\"processed\": 1, \"image\": [\"demo/python\", \"v1\", 1], \"cursor\": null, \"refused\": 400, \
         \"compared\": [1, 0, null], \"registry\": \"no_registry\", \"badge\": \"1\"}\n"
    );
}

/// Requests that schemathesis makes of the document, the same in every run.
fn examine(program: &Program, operations: usize, arguments: &[&str]) {
    let folder = clients().join("../schemathesis");
    let words = run(tool("../schemathesis/.venv/bin/schemathesis")
        .current_dir(&folder)
        .arg("run")
        .arg(format!("{}/openapi.json", program.url()))
        .args(["--phases", "coverage,fuzzing", "--seed", "1", "--max-examples", "25", "--no-color"])
        .args(arguments));
    // A run that tries nothing finds nothing.
    let tried =
        words.lines().find_map(|line| line.trim().strip_suffix(" passed")?.split_once(" generated, ")?.0.parse().ok());
    assert!(tried.is_some_and(|tried: u32| tried > 200) && words.contains(&format!("Tested: {operations}")), "{words}");
}

#[test]
fn what_the_document_says_is_what_schemathesis_gets() {
    let program = Program::start();
    examine(&program, 35, &[]);
}

#[test]
fn what_the_document_says_is_what_schemathesis_gets_signed_in() {
    // htpasswd -nbB -C 4 alice r1ght
    const USERS: &str = "alice:$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";
    let users = tempfile::NamedTempFile::new().expect("a file");
    fs::write(users.path(), USERS).expect("written");
    let users = users.path().to_str().expect("text");
    let program =
        Program::start_with(&[("STATICREG_ACCESS_READ", "signed_in"), ("STATICREG_ACCESS_USERS_FILE", users)]);
    // Lists as CSV ask for a sign-in as lists do.
    examine(&program, 22, &["--auth", "alice:r1ght", "--exclude-path-regex", r"\.csv$"]);
}
