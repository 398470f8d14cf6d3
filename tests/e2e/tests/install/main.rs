//! What staticreg is installed by: its image and its Debian package.

mod debian_package;
mod image;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// The folder of what is built, `target/PROFILE`, where the program is.
fn built() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own place");
    test.parent().and_then(Path::parent).expect("the test is in target/PROFILE/deps").to_owned()
}

/// Runs a program to its end, and gives what it wrote. Panics with that when it fails.
fn run(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `make test-tools`"));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{command:?}:\n{said}{}", String::from_utf8_lossy(&ended.stderr));
    said
}
