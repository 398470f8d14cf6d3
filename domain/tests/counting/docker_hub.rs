//! The rows of Docker Hub's table of actions (Docker Hub, "Insights and analytics"), from first event to result.

use crate::support::Play;

#[test]
fn head_by_tag_is_a_version_check() {
    Play::new().head("index nginx", "v1").shows(&["version_check v1 nginx not-specified 1"]);
}

#[test]
fn get_by_tag_is_a_pull_by_tag() {
    Play::new().get("image nginx", "v1").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn get_by_tag_then_get_by_another_digest_is_one_pull_by_tag() {
    Play::new().get("index nginx", "v1").get("image amd", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn head_by_tag_then_get_by_its_digest_is_a_pull_by_tag() {
    Play::new().head("image nginx", "v1").get("image nginx", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn head_by_tag_then_get_by_its_digest_and_another_is_one_pull_by_tag() {
    let mut play = Play::new();
    play.head("index nginx", "v1").get("index nginx", "@").get("image amd", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn get_by_digest_is_a_pull_by_digest() {
    Play::new().get("image nginx", "@").shows(&["pull_by_digest - nginx not-specified 1"]);
}

/// Docker Hub counts it as a pull by digest. Nothing was fetched, and a pinned image never changes: containerd asks
/// this of an image it has. So here it is left out.
#[test]
fn head_by_digest_alone_is_nothing() {
    Play::new().head("image nginx", "@").shows(&[]);
}

#[test]
fn get_by_digest_then_get_by_another_is_one_pull_by_digest() {
    Play::new().get("index nginx", "@").get("image amd", "@").shows(&["pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn head_by_digest_then_get_by_the_same_is_a_pull_by_digest() {
    Play::new().head("image nginx", "@").get("image nginx", "@").shows(&["pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn head_by_digest_then_get_by_the_same_and_another_is_one_pull_by_digest() {
    let mut play = Play::new();
    play.head("index nginx", "@").get("index nginx", "@").get("image amd", "@");
    play.shows(&["pull_by_digest - nginx not-specified 1"]);
}
