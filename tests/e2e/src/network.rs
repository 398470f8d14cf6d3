//! A network, mounts and processes of a test's own, where nobody else has its ports and names.

use std::{env, fs, process::Command};

/// Runs an ignored test of the same binary in a network and with mounts of its own. Panics with its words when it fails.
pub fn run_apart(test: &str) {
    let binary = env::current_exe().expect("the test knows its own place");
    let output = Command::new("unshare")
        // What it leaves running ends with it.
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(binary)
        .args(["--exact", "--ignored", "--nocapture", test])
        .output()
        .expect("unshare runs: it comes with every Linux");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // When no test has that name, none fails.
    assert!(output.status.success() && said.contains("1 passed"), "it needs root:\n{said}");
}

/// Brings the loopback device up, and makes names lead to it; only this process and those it starts see them.
pub fn make(names: &[&str]) {
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}: run `make test-tools`, as root");
    };
    run("ip", &["link", "set", "lo", "up"]);
    let hosts = tempfile::NamedTempFile::new().expect("a file");
    fs::write(hosts.path(), format!("127.0.0.1 localhost {}\n", names.join(" "))).expect("names");
    run("mount", &["--bind", hosts.path().to_str().expect("text"), "/etc/hosts"]);
}
