//! The image of `compose/Dockerfile`, built and run without Docker, with the settings of `compose/compose.yaml`.
//!
//! Images of others cannot be had here. In the place of the one with the toolchain comes a folder whose `cargo` hands out
//! the program that is built already, in the place of the one below staticreg's a folder with the program's libraries.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use staticreg_e2e::{
    client::{Connection, WEBHOOK},
    events::{next_number, notification, pull},
    eventually,
    network::{self, run_apart},
};
use staticreg_test_support::postgres::{Durability, Postgres, Release};
use tempfile::TempDir;

use super::{built, repository, run};

const DOCKERFILE: &str = include_str!("../../../../compose/Dockerfile");
const COMPOSE: &str = include_str!("../../../../compose/compose.yaml");

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// What stands in `.env`.
const CHOSEN: [(&str, &str); 2] = [("STATICREG_PASSWORD", "password"), ("WEBHOOK_TOKEN", "token")];

/// The environment of the service `staticreg` of the compose file.
fn settings() -> Vec<String> {
    let (_, service) = COMPOSE.split_once("\n  staticreg: &staticreg\n").expect("the service");
    let (_, environment) = service.split_once("\n    environment:\n").expect("its environment");
    let lines = environment.lines().take_while(|line| line.starts_with("      "));
    let settings = lines.filter_map(|line| line.trim().split_once(": ")).filter(|(name, _)| !name.starts_with('#'));
    let settings = settings.map(|(name, value)| format!("{name}={}", chosen(value.trim_matches('"'))));
    settings.collect()
}

/// A value with what was chosen in the place of `${NAME:?what to do}`.
fn chosen(value: &str) -> String {
    let Some((before, rest)) = value.split_once("${") else { return value.to_owned() };
    let (variable, after) = rest.split_once('}').expect("an end");
    let (name, _) = variable.split_once(":?").expect("it must be chosen");
    let (_, choice) = CHOSEN.iter().find(|(chosen, _)| *chosen == name).expect("a choice");
    format!("{before}{choice}{}", chosen(after))
}

/// The libraries of a program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = run(Command::new("ldd").arg(program));
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Copies files of this machine to the same place in a folder.
fn copy(files: impl IntoIterator<Item = PathBuf>, folder: &Path) {
    for file in files {
        let place = folder.join(file.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, &place).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// buildah with images of its own.
struct Buildah(TempDir);

impl Buildah {
    fn command(&self, arguments: &[&str]) -> Command {
        let folder = self.0.path();
        let mut command = Command::new("buildah");
        command.env("TMPDIR", folder).args(["--storage-driver", "vfs", "--root"]).arg(folder.join("root"));
        command.arg("--runroot").arg(folder.join("runroot")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments)).trim().to_owned()
    }

    /// Makes an image of a folder.
    fn image_of(&self, folder: &Path, name: &str) {
        let container = self.run(&["from", "scratch"]);
        self.run(&["copy", "--quiet", &container, folder.to_str().expect("text"), "/"]);
        self.run(&["config", "--env", "PATH=/usr/local/cargo/bin:/usr/bin", &container]);
        self.run(&["commit", "--quiet", "--rm", &container, name]);
    }

    /// The folder of a file system to make an image of.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        folder
    }

    /// What compiles: a shell, what the Dockerfile calls, and a `cargo` that has compiled before.
    fn toolchain(&self, program: &Path) -> PathBuf {
        let folder = self.folder("toolchain");
        for tool in ["sh", "install", "ln", "mkdir", "cp"] {
            let tool_itself = fs::canonicalize(Path::new("/bin").join(tool)).expect("a program");
            copy(libraries(&tool_itself), &folder);
            fs::create_dir_all(folder.join("usr/bin")).expect("a folder");
            fs::copy(&tool_itself, folder.join("usr/bin").join(tool)).expect("a copy");
        }
        symlink("usr/bin", folder.join("bin")).expect("a link");
        fs::copy(program, folder.join("compiled")).expect("a copy");
        let cargo = folder.join("usr/local/cargo/bin/cargo");
        fs::create_dir_all(cargo.parent().expect("a folder")).expect("a folder");
        let script = "#!/bin/sh\nset -e\n[ \"$*\" = 'build --release --locked' ]\n[ -f Cargo.lock ]\nmkdir -p target/release\n\
                      cp /compiled target/release/staticreg\n";
        fs::write(&cargo, script).expect("a file");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("a program");
        folder
    }

    /// What the program stands on: libraries and a user.
    fn base(&self, program: &Path) -> PathBuf {
        let folder = self.folder("base");
        copy(libraries(program), &folder);
        fs::create_dir_all(folder.join("etc")).expect("a folder");
        fs::create_dir_all(folder.join("tmp")).expect("a folder");
        fs::write(folder.join("etc/passwd"), "nonroot:x:65532:65532::/:/sbin/nologin\n").expect("a file");
        folder
    }

    /// Builds the image as the Dockerfile says.
    fn build(&self) {
        let program = built().join("staticreg");
        let images: Vec<_> = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
        let [toolchain, base] = images[..] else { panic!("two images: {images:?}") };
        let toolchain = toolchain.strip_suffix(" AS build").expect("what builds comes first");
        self.image_of(&self.toolchain(&program), &format!("docker.io/library/{toolchain}"));
        self.image_of(&self.base(&program), base);
        let dockerfile = repository().join("compose/Dockerfile");
        let build = ["build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", "staticreg"];
        run(self.command(&build).arg("--file").arg(dockerfile).arg(repository()));
    }
}

/// A program in a container; ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // With it ends what it runs.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_image_counts_pulls_with_the_settings_of_the_compose_file() {
    run_apart("image::in_a_network_of_its_own");
}

#[test]
#[ignore = "the test above runs it, where nobody else has these ports and names"]
fn in_a_network_of_its_own() {
    network::make(&["postgres", "registry"]);
    let postgres = Postgres::start_at(5432, Release::Eighteen, Durability::Volatile);
    postgres.psql("postgres", "CREATE ROLE staticreg LOGIN PASSWORD 'password'");
    postgres.psql("postgres", "CREATE DATABASE staticreg OWNER staticreg");

    let buildah = Buildah(tempfile::tempdir().expect("a folder"));
    buildah.build();
    let image: Value = serde_json::from_str(&buildah.run(&["inspect", "--type", "image", "staticreg"])).expect("JSON");
    let config = &image["Docker"]["config"];
    let words = |list: &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|word| word.as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8093/tcp": {}}));
    assert_eq!(config["Volumes"], serde_json::json!({"/var/lib/staticreg": {}}));
    let health = words(&config["Healthcheck"]["Test"]);
    assert_eq!(health[0], "CMD", "there is no shell in the image");

    let container = buildah.run(&["from", "--pull-never", "staticreg"]);
    let root = PathBuf::from(buildah.run(&["mount", &container]));
    let programs: Vec<_> = fs::read_dir(root.join("usr/bin")).expect("programs").collect();
    assert_eq!(programs.len(), 1, "{programs:?}");
    let settings = settings();
    assert!(settings.iter().any(|setting| setting == "STATICREG_WEBHOOK_TOKENS=token"), "{settings:?}");
    let start = |command: &[String]| {
        let mut run = buildah.command(&["run", "--isolation", "chroot"]);
        for setting in &settings {
            run.args(["--env", setting]);
        }
        run.args([&container, "--"]).args(command);
        run
    };
    let log = buildah.0.path().join("log");
    let file = fs::File::create(&log).expect("a file");
    let mut serve = start(&words(&config["Entrypoint"]));
    serve.stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file);
    let _running = Running(serve.spawn().expect("buildah is missing: run `make test-tools`"));
    let said = || fs::read_to_string(&log).expect("the log");

    eventually("it listens", LIMIT, || said().contains("Listening on http://[::]:8093").then_some(()));
    let is_healthy = || start(&health[1..]).output().is_ok_and(|ended| ended.status.success()).then_some(());
    eventually("it is healthy", LIMIT, is_healthy);
    let address = SocketAddr::from(([127, 0, 0, 1], 8093));
    let event = notification(&[pull(next_number())]).to_string();
    let post = |headers: &[(&str, &str)]| {
        let answer =
            Connection::open(address).and_then(|mut it| it.request("POST", WEBHOOK, headers, event.as_bytes()));
        answer.unwrap_or_else(|error| panic!("no answer ({error}):\n{}", said())).status
    };
    let json = ("content-type", "application/json");
    assert_eq!(post(&[json]), 401);
    // What waits in the spool is answered 200 too.
    eventually("it takes the event", LIMIT, || (post(&[json, ("authorization", "Bearer token")]) == 200).then_some(()));
    let database = "postgresql://staticreg:password@127.0.0.1:5432/staticreg";
    eventually("the pull is counted", LIMIT, || {
        let rows = postgres.psql(database, "SELECT sum(pull_count) FROM container_pull_metrics");
        (rows == "1").then_some(())
    });
    assert!(!said().contains(" ERROR "), "{}", said());
}
