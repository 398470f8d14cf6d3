//! A script deletes what somebody chose of what may go, with a real tool in a real registry, and nothing else.

use std::{fs, process::Command, time::Duration};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
    eventually,
};
use staticreg_test_support::registry::{Image, Registry, RegistryOptions};

/// How long anything may take on a machine that is busy with much else.
const LIMIT: Duration = Duration::from_mins(3);

const ASKED: &str = "unused_days=30&keep_latest=0";

fn candidates(server: &Staticreg) -> Vec<String> {
    let list = server.get_json(&format!("/api/v1/cleanup?{ASKED}"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| format!("{}:{}", text(&item["repository"]), text(&item["tag"]))).collect()
}

#[test]
fn a_chosen_tag_is_deleted_with_skopeo_and_no_other_tag_of_its_image() {
    // Nobody is told of pushes, so nothing was pushed today.
    let registry = Registry::start("http://127.0.0.1:9/nobody", &RegistryOptions::default());
    let image = Image::multi("old", &["linux/amd64", "linux/arm64/v8"]);
    for name in ["demo/app:1.0", "demo/app:1.1", "demo/app:stable"] {
        registry.push(&image, name);
    }
    registry.push(&Image::single("runs"), "demo/app:runs");
    let host = registry.address();
    let server = Staticreg::start(&[("STATICREG_REGISTRY_HOSTNAME", host)]);
    // It was watched since that event.
    assert_eq!(server.post(&notification(&[pull(next_number())])).status, 200);
    let told = server
        .connect()
        .request(
            "POST",
            "/api/v1/running?source=here",
            &[("content-type", "text/plain")],
            format!("{host}/demo/app:runs").as_bytes(),
        )
        .expect("an answer");
    assert_eq!(told.status, 200);
    let all = ["demo/app:1.0", "demo/app:1.1", "demo/app:stable"];
    eventually("the registry is read", LIMIT, || (candidates(&server) == all).then_some(()));

    let script = server.get(&format!("/api/v1/cleanup.sh?{ASKED}&tool=skopeo")).body;
    let chosen = format!("# delete '{host}/demo/app' '1.1' ");
    assert!(script.contains(&chosen), "{script}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join(".config/containers")).expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let run = |script: &str| {
        // It speaks no TLS.
        file(".config/containers/registries.conf", &format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"));
        let done =
            Command::new("sh").arg(file("cleanup.sh", script)).env("HOME", folder.path()).output().expect("a shell");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr),
        )
    };
    let (is_done, words) = run(&script);
    assert!(is_done && words.is_empty(), "as it stands it does nothing: {words}");
    let (is_done, words) = run(&script.replace(&chosen, &chosen[2..]));
    assert!(is_done && words.contains("/demo/app:1.1 is deleted"), "{words}");
    for name in ["demo/app:1.0", "demo/app:stable", "demo/app:runs"] {
        registry.pull(name);
    }
    let gone = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &registry.reference("demo/app:1.1")])
        .output()
        .expect("skopeo");
    assert!(!gone.status.success(), "the tag is gone");
}
