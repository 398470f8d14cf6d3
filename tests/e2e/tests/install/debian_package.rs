//! The Debian package, as it is installed into a folder.

use std::{fs, path::Path, process::Command, sync::LazyLock};

use staticreg_e2e::Staticreg;

use super::{built, repository, run};

/// The package of the program that was built beside this test. Made once: two at work would write the same files of
/// `target`, and one could pack what the other is halfway through.
static PACKAGE: LazyLock<String> = LazyLock::new(|| {
    let built = built();
    let profile = built.file_name().and_then(|name| name.to_str()).expect("a name");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
    let _none_before = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    run(Command::new(repository().join("scripts/debian-package"))
        .arg(if profile == "debug" { "dev" } else { profile })
        .arg(&folder)
        .env("CARGO_TARGET_DIR", built.parent().expect("a folder")));
    let made = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).next();
    made.expect("a package").to_str().expect("text").to_owned()
});

/// Installs the package, as root, into a folder; no service of this machine is touched.
fn install(package: &str, root: &Path) {
    let script = "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && exec dpkg \"$@\"";
    run(Command::new("unshare").args(["--mount", "sh", "-c", script, "dpkg", "--root"]).arg(root).args([
        "--force-depends",
        "--force-script-chrootless",
        "--log=/dev/null",
        "--install",
        package,
    ]));
}

#[test]
fn the_package_installs_a_service_with_its_settings_and_leaves_changed_ones_alone() {
    let package = PACKAGE.as_str();

    let listed = run(Command::new("dpkg-deb").args(["--contents", package]));
    for (mode, path) in [
        ("-rwxr-xr-x", "./usr/bin/staticreg"),
        ("-rw-r--r--", "./etc/staticreg/staticreg.toml"),
        ("-rw-r--r--", "./usr/lib/systemd/system/staticreg.service"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/copyright"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/CHANGELOG.md"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/docs/running.md"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/prometheus/rules.yml"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/grafana/server.json"),
        ("-rw-r--r--", "./usr/share/doc/staticreg/event_schema.sql"),
    ] {
        let is_there = |line: &str| line.starts_with(&format!("{mode} 0/0 ")) && line.ends_with(&format!(" {path}"));
        assert!(listed.lines().any(is_there), "no {path}, {mode}:\n{listed}");
    }
    let known = ["./", "./usr/", "./etc/"];
    let place = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    assert!(listed.lines().all(|line| known.iter().any(|known| place(line).starts_with(known))), "{listed}");
    let field = |name: &str| run(Command::new("dpkg-deb").args(["--field", package, name])).trim().to_owned();
    assert_eq!(field("Package"), "staticreg");
    assert!(field("Version").starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")), "{}", field("Version"));
    assert!(field("Depends").contains("libc6 (>= "), "{}", field("Depends"));
    let conffiles = run(Command::new("dpkg-deb").args(["--info", package, "conffiles"]));
    assert_eq!(conffiles.trim(), "/etc/staticreg/staticreg.toml");

    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    fs::create_dir_all(root.join("var/lib/dpkg/info")).expect("a folder");
    fs::write(root.join("var/lib/dpkg/status"), "").expect("a file");
    install(package, root);
    let wanted = root.join("etc/systemd/system/multi-user.target.wants/staticreg.service");
    let unit = fs::read_link(&wanted).expect("it starts with the machine");
    assert_eq!(unit, Path::new("/usr/lib/systemd/system/staticreg.service"));
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/staticreg.service")).expect("the unit");
    assert!(unit.contains("\nExecStart=/usr/bin/staticreg serve\n"), "{unit}");
    assert!(unit.contains("\nEnvironment=STATICREG_CONFIG=/etc/staticreg/staticreg.toml\n"), "{unit}");

    // The settings are in force; where the counts are kept is not for this machine.
    let settings = root.join("etc/staticreg/staticreg.toml");
    let told = fs::read_to_string(&settings).expect("the settings");
    let in_force: Vec<_> =
        told.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase())).collect();
    assert_eq!(in_force, [r#"url = "sqlite:///var/lib/staticreg/counts.db""#]);
    let counts = format!("sqlite://{}", root.join("counts.db").display());
    let settings_file = settings.to_str().expect("text");
    let server = Staticreg::start(&[("STATICREG_CONFIG", settings_file), ("STATICREG_DB_URL", &counts)]);
    server.wait_for_store();
    assert_eq!(server.pulls(), 0);

    fs::write(&settings, format!("{told}\n# ours\n")).expect("a change");
    install(package, root);
    assert!(fs::read_to_string(&settings).expect("the settings").ends_with("# ours\n"), "a change was lost");
}

#[test]
fn a_machine_with_systemd_runs_it_as_a_user_without_rights_and_starts_it_anew_when_it_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(PACKAGE.as_str(), folder.path().join("staticreg.deb")).expect("a copy");
    fs::write(folder.path().join("script"), include_str!("machine.sh")).expect("a script");
    let mut boot = Command::new("timeout");
    boot.args(["--kill-after=10s", "5m"]).arg(repository().join("tests/install/boot")).arg(folder.path());
    let ended = boot.output().expect("timeout runs");
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
    let said = String::from_utf8_lossy(&read("said")).into_owned();
    let told = || {
        let console = read("console");
        let [own, console] = [&ended.stderr, &console].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        format!("it needs root:\n{said}{own}{console}")
    };
    assert!(ended.status.success(), "{}", told());
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    for (key, expected) in [
        ("enabled", "enabled"),
        ("active", "active"),
        ("health", "well"),
        ("user", "staticreg"),
        ("rights", "0000000000000000"),
        ("reloaded", "active same"),
        ("anew", "well"),
        ("removed", "inactive"),
        ("counts", "counts.db"),
    ] {
        assert_eq!(value(key), Some(expected), "{key}: {}", told());
    }
    assert!(said.contains("Failed with result 'watchdog'"), "{}", told());
    assert!(said.contains("INFO Stopped; everything accepted was finished"), "{}", told());
}
