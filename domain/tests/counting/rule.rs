//! The rule, row by row, and what follows from it.

use chrono::TimeDelta;
use staticreg_domain::{
    Action, Client,
    counting::{Classified, Counting as _, CountingMemory as _, Tagged},
    rules::SkipReason,
};

use crate::support::{Play, children, digest, start};

const DOCKER: &str = "docker/28.2.2 os/linux arch/amd64";
const PLATFORMS: [(&str, &str); 3] = [("amd", "linux/amd64"), ("arm", "linux/arm64"), ("att", "unknown/unknown")];

#[test]
fn signatures_and_attachments_are_skipped() {
    let hex = "ab".repeat(32);
    for action in [Action::Head, Action::Get, Action::Push] {
        for tag in ["", ".sig", ".att", ".sbom"].map(|suffix| format!("sha256-{hex}{suffix}")) {
            assert_eq!(Play::new().skipped(action, "image signature", &tag), Some(SkipReason::Referrer), "{tag}");
        }
    }
}

#[test]
fn a_look_up_by_digest_is_skipped() {
    assert_eq!(Play::new().skipped(Action::Head, "image nginx", "@"), Some(SkipReason::DigestCheck));
}

#[test]
fn a_repeated_look_up_by_digest_is_not_there_to_be_used_again() {
    let mut play = Play::new();
    play.head("image nginx", "v1");
    let head = play.next(Action::Head, "image nginx", "@");
    let get = play.next(Action::Get, "image nginx", "@");
    for access in [&head, &get, &head] {
        if let Ok(event) = play.counting.count(access, access.at) {
            play.store.record(&[event]);
        }
    }
    play.get("image nginx", "@");
    play.shows(&["pull_by_digest - nginx not-specified 1", "pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn a_late_look_up_by_digest_takes_a_pull_by_tag_back() {
    let mut play = Play::new();
    play.head("index nginx", "v1");
    let head = play.next(Action::Head, "index nginx", "@");
    play.get("index nginx", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
    let late = play.counting.count(&head, play.access.at).expect("it changes what was counted");
    play.store.record(&[late]);
    play.shows(&["version_check v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn a_get_by_tag_uses_the_look_up_of_its_tag_though_the_tag_has_moved() {
    let mut play = Play::new();
    play.head("image old", "v1").get("image new", "v1").shows(&["pull_by_tag v1 new not-specified 1"]);
}

#[test]
fn a_get_by_tag_uses_no_look_up_of_long_before() {
    let mut play = Play::new();
    play.head("image nginx", "v1").wait(2).get("image nginx", "v1");
    play.shows(&["version_check v1 nginx not-specified 1", "pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn a_look_up_is_used_once() {
    let mut play = Play::new();
    play.head("image nginx", "v1").get("image nginx", "@").get("image nginx", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn each_look_up_serves_one_of_many_hosts_behind_an_address() {
    let mut play = Play::new();
    for _ in 0..3 {
        play.head("index nginx", "v1");
    }
    for _ in 0..3 {
        play.get("index nginx", "@");
    }
    play.shows(&["pull_by_tag v1 nginx not-specified 3"]);
}

#[test]
fn the_latest_look_up_of_a_digest_tells_the_tag() {
    let mut play = Play::new();
    play.head("image nginx", "v1").head("image nginx", "latest").get("image nginx", "@");
    play.shows(&["version_check v1 nginx not-specified 1", "pull_by_tag latest nginx not-specified 1"]);
}

#[test]
fn a_platform_fetched_with_a_cached_index_is_a_pull_of_the_index() {
    let mut play = Play::new();
    play.head("index nginx", "v1").get("image arm", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
    play.get("image amd", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn a_listed_child_is_part_of_the_pull_for_the_whole_window() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "v1").wait(50).get("image amd", "@");
    play.shows(&["pull_by_tag v1 nginx amd64 1"]);
}

#[test]
fn what_a_known_index_does_not_list_is_no_child() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "v1").get("image other", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - other not-specified 1"]);
}

#[test]
fn the_host_s_architecture_is_not_taken_for_an_index_that_lacks_it() {
    let mut play = Play::new();
    play.user_agent(DOCKER).head("index nginx", "v1").get("index nginx", "@");
    play.shows(&["pull_by_tag v1 nginx amd64 1"]).knows("nginx", &[("arm", "linux/arm64"), ("att", "unknown/unknown")]);
    play.shows(&["pull_by_tag v1 nginx not-specified 1"]);
    play.knows("other", &[("untold", "unknown/unknown")]).get("index other", "v1");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_tag v1 other amd64 1"]);
}

#[test]
fn a_second_platform_of_an_unknown_index_is_told_by_its_digest() {
    let mut play = Play::new();
    play.head("index nginx", "v1").get("index nginx", "@").get("image amd", "@").wait(8);
    play.head("index nginx", "v1").get("image arm", "@").shows(&["pull_by_tag v1 nginx not-specified 2"]);
    play.head("index nginx", "v1").get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 2", "version_check v1 nginx not-specified 1"]);
}

#[test]
fn a_child_of_an_unknown_index_is_guessed_for_ten_seconds() {
    let mut play = Play::new();
    play.get("index nginx", "v1").wait(9).get("image amd", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
    play.wait(2).get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - arm not-specified 1"]);
}

#[test]
fn an_index_is_never_guessed_to_be_a_child() {
    let mut play = Play::new();
    play.get("index nginx", "v1").get("index other", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - other not-specified 1"]);
}

#[test]
fn a_listed_index_is_a_child() {
    let mut play = Play::new();
    play.knows("nginx", &[("inner", "unknown/unknown")]).get("index nginx", "v1").get("index inner", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn accesses_belong_together_within_a_minute_of_their_own_timestamps() {
    for (seconds, expected) in [
        (59, vec!["pull_by_tag v1 nginx not-specified 1"]),
        (61, vec!["version_check v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]),
    ] {
        Play::new().head("image nginx", "v1").wait(seconds).get("image nginx", "@").shows(&expected);
    }
}

#[test]
fn a_backlog_that_arrives_all_at_once_is_counted_by_its_timestamps() {
    let mut play = Play::new();
    let mut backlog = Vec::new();
    for _ in 0..5 {
        backlog.push(play.next(Action::Head, "index nginx", "v1"));
        play.wait(300);
    }
    backlog.push(play.next(Action::Head, "index nginx", "v1"));
    backlog.push(play.next(Action::Get, "index nginx", "@"));
    let now = play.access.at + TimeDelta::hours(3);
    for access in backlog {
        let event = play.counting.count(&access, now).expect("it counts");
        play.store.record(&[event]);
    }
    play.shows(&["version_check v1 nginx not-specified 5", "pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn accesses_of_another_client_or_repository_do_not_belong() {
    let other: [fn(&mut Play); 3] = [
        |play| play.access.client = Client::new("10.0.0.8", "containerd/2.3.4"),
        |play| play.access.client = Client::new("10.0.0.7", "containerd/1.6.20"),
        |play| play.access.repository = "library/other".parse().expect("a name"),
    ];
    for other in other {
        let mut play = Play::new();
        play.head("image nginx", "v1");
        other(&mut play);
        play.get("image nginx", "@");
        play.shows(&["version_check v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]);
    }
}

#[test]
fn a_version_check_is_taken_back_on_its_own_date() {
    let mut play = Play::new();
    play.access.at = "2026-11-21T23:59:59.998Z".parse().expect("a time");
    play.head("index nginx", "v1").knows("nginx", &PLATFORMS);
    let get = play.next(Action::Get, "index nginx", "@");
    let child = play.next(Action::Get, "image arm", "@");
    let deltas = |play: &mut Play, access| -> Vec<_> {
        let event = play.counting.count(access, access.at).expect("it counts");
        event.changes.iter().map(|change| (change.delta, change.key.date.to_string())).collect()
    };
    assert_eq!(deltas(&mut play, &get), [(-1, "2026-11-21".to_owned()), (1, "2026-11-22".to_owned())]);
    assert_eq!(deltas(&mut play, &child), [(-1, "2026-11-22".to_owned()), (1, "2026-11-22".to_owned())]);
}

#[test]
fn a_pull_moves_to_the_platform_of_its_child() {
    let mut play = Play::new();
    play.user_agent(DOCKER).knows("nginx", &PLATFORMS).get("index nginx", "v1");
    play.shows(&["pull_by_tag v1 nginx amd64 1"]);
    play.get("image arm", "@").shows(&["pull_by_tag v1 nginx arm64 1"]);
}

#[test]
fn a_pull_of_several_platforms_is_of_none() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "v1").get("image arm", "@").get("image amd", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1"]);
    play.get("image arm", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn an_attestation_is_no_platform() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "v1").get("image att", "@").get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx arm64 1"]);
}

#[test]
fn a_pull_by_digest_moves_to_the_platform_of_its_child_too() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "@").get("image arm", "@");
    play.shows(&["pull_by_digest - nginx arm64 1"]);
}

#[test]
fn a_platform_fetched_with_a_cached_index_is_told_at_once() {
    let mut play = Play::new();
    play.user_agent(DOCKER).knows("nginx", &PLATFORMS).head("index nginx", "v1").get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx arm64 1"]);
    play.get("image amd", "@").shows(&["pull_by_tag v1 nginx amd64 1"]);
}

#[test]
fn the_known_platform_of_a_single_manifest_wins_over_the_user_agent() {
    let mut play = Play::new();
    play.user_agent(DOCKER).get("image arm", "v1-arm64").shows(&["pull_by_tag v1-arm64 arm amd64 1"]);
    let mut play = Play::new();
    play.user_agent(DOCKER).knows("nginx", &PLATFORMS);
    play.head("image arm", "v1-arm64").get("image arm", "@").shows(&["pull_by_tag v1-arm64 arm arm64 1"]);
}

#[test]
fn hosts_behind_an_address_that_pull_at_once_each_have_their_platform() {
    for method in [Action::Head, Action::Get] {
        let mut play = Play::new();
        play.knows("nginx", &PLATFORMS);
        for _ in 0..200 {
            if method == Action::Head {
                play.head("index nginx", "v1").get("index nginx", "@");
            } else {
                play.get("index nginx", "v1");
            }
        }
        for n in 0..200 {
            play.get(if n % 4 == 0 { "image arm" } else { "image amd" }, "@");
        }
        play.shows(&["pull_by_tag v1 nginx arm64 50", "pull_by_tag v1 nginx amd64 150"]);
    }
}

#[test]
fn the_oldest_of_equal_pulls_takes_a_child() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS).get("index nginx", "v1").get("index nginx", "v2").get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx arm64 1", "pull_by_tag v2 nginx not-specified 1"]);
}

#[test]
fn references_in_an_event_tell_the_children() {
    let mut play = Play::new();
    let mut head = play.next(Action::Head, "index nginx", "v1");
    head.children = children(&PLATFORMS);
    let event = play.counting.count(&head, head.at).expect("it counts");
    play.store.record(&[event]);
    assert_eq!(play.counting.wanted(), [], "nothing is left to ask");
    play.get("index nginx", "@");
    play.get("image arm", "@").shows(&["pull_by_tag v1 nginx arm64 1"]);
}

#[test]
fn pushes_count_by_tag_or_without() {
    let mut play = Play::new();
    play.push("image arm", "@").push("index nginx", "v1");
    play.shows(&["push - arm not-specified 1", "push v1 nginx not-specified 1"]);
}

#[test]
fn a_push_tells_the_platforms_of_children() {
    let mut play = Play::new();
    let mut push = play.next(Action::Push, "index nginx", "v1");
    push.children = children(&PLATFORMS);
    let event = play.counting.count(&push, push.at).expect("it counts");
    play.store.record(&[event]);
    play.wait(3_600).get("index nginx", "@").get("image arm", "@");
    play.shows(&["push v1 nginx not-specified 1", "pull_by_digest - nginx arm64 1"]);
}

#[test]
fn a_repeated_event_changes_nothing_whatever_came_between() {
    let mut play = Play::new();
    play.knows("nginx", &PLATFORMS);
    let accesses = [
        play.next(Action::Head, "index nginx", "v1"),
        play.next(Action::Get, "index nginx", "@"),
        play.next(Action::Get, "image arm", "@"),
        play.next(Action::Head, "index nginx", "v1"),
        play.next(Action::Get, "image amd", "@"),
        play.next(Action::Push, "image amd", "v1"),
    ];
    let mut count = |access| play.counting.count(access, start()).expect("it counts");
    assert!(accesses.iter().map(&mut count).all(|first| !first.changes.is_empty()));
    assert!(accesses.iter().rev().map(&mut count).all(|again| again.changes.is_empty()));
}

#[test]
fn a_repeated_look_up_is_not_there_to_be_used_again() {
    let mut play = Play::new();
    let head = play.next(Action::Head, "image nginx", "v1");
    let get = play.next(Action::Get, "image nginx", "@");
    for access in [&head, &get, &head] {
        let event = play.counting.count(access, access.at).expect("it counts");
        play.store.record(&[event]);
    }
    play.get("image nginx", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn an_event_that_is_part_of_a_counted_pull_is_recorded_without_changes() {
    let mut play = Play::new();
    play.get("index nginx", "v1");
    let child = play.next(Action::Get, "image amd", "@");
    let event = play.counting.count(&child, child.at).expect("it counts");
    assert_eq!((event.id, event.changes), (child.id, vec![]));
}

#[test]
fn learning_late_corrects_what_is_remembered() {
    let mut play = Play::new();
    play.get("index nginx", "v1").get("image arm", "@").get("index nginx", "v1").get("image att", "@");
    play.wait(61).get("index nginx", "@").get("image amd", "@").get("image arm", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 2", "pull_by_digest - nginx not-specified 1"]);
    play.knows("nginx", &PLATFORMS);
    play.shows(&[
        "pull_by_tag v1 nginx arm64 1",
        "pull_by_tag v1 nginx not-specified 1",
        "pull_by_digest - nginx not-specified 1",
    ]);
}

#[test]
fn learning_corrects_once() {
    let mut play = Play::new();
    play.get("index nginx", "v1").get("image arm", "@");
    let learn = |play: &mut Play| play.counting.learn(&digest("nginx"), &children(&PLATFORMS), play.access.at);
    let first = learn(&mut play);
    assert_eq!(first.len(), 1);
    assert_eq!(learn(&mut play), []);
    let child = play.next(Action::Get, "image amd", "@");
    let later = play.counting.count(&child, child.at).expect("it counts");
    play.store.record(&first);
    play.store.record(&[later]);
    play.shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn what_is_learnt_of_two_indexes_corrects_twice() {
    let mut play = Play::new();
    play.get("index nginx", "v1").get("image arm", "@").wait(20).get("index other", "v2").get("image s390x", "@");
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_tag v2 other not-specified 1"]);
    play.knows("nginx", &PLATFORMS).knows("other", &[("s390x", "linux/s390x")]);
    play.shows(&["pull_by_tag v1 nginx arm64 1", "pull_by_tag v2 other s390x 1"]);
}

#[test]
fn what_was_taken_for_a_child_is_none_once_the_children_are_known() {
    let mut play = Play::new();
    play.get("index nginx", "v1").get("image other", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
    play.knows("nginx", &PLATFORMS);
    play.shows(&["pull_by_tag v1 nginx not-specified 1", "pull_by_digest - other not-specified 1"]);
}

#[test]
fn learning_of_what_nobody_pulled_corrects_nothing() {
    let mut play = Play::new();
    play.get("index other", "v1").get("image single", "@");
    assert_eq!(play.counting.learn(&digest("nginx"), &children(&PLATFORMS), play.access.at), []);
}

#[test]
fn a_pull_with_a_cached_index_is_corrected_too() {
    let mut play = Play::new();
    play.head("index nginx", "v1").get("image arm", "@").knows("nginx", &PLATFORMS);
    play.shows(&["pull_by_tag v1 nginx arm64 1"]);
}

#[test]
fn an_unknown_index_is_wanted_once() {
    let mut play = Play::new();
    play.head("index nginx", "v1").get("index nginx", "@").get("image amd", "@").get("image single", "v1");
    assert_eq!(play.counting.wanted(), [(play.access.repository.clone(), digest("nginx"))]);
    play.get("index nginx", "v1");
    assert_eq!(play.counting.wanted(), []);
}

#[test]
fn an_index_nobody_told_of_is_wanted_again_after_a_while() {
    let mut play = Play::new();
    play.get("index nginx", "v1");
    assert_eq!(play.counting.wanted().len(), 1);
    play.wait(300).get("index nginx", "v1");
    assert_eq!(play.counting.wanted().len(), 0);
    play.wait(301).get("index nginx", "v1");
    assert_eq!(play.counting.wanted().len(), 1);
    play.knows("nginx", &[]).wait(3_600).get("index nginx", "v1");
    assert_eq!(play.counting.wanted().len(), 0, "the registry knows of no children");
}

#[test]
fn an_index_is_wanted_whose_references_tell_no_platform() {
    let mut play = Play::new();
    let mut get = play.next(Action::Get, "index nginx", "v1");
    get.children = children(&[("amd", "unknown/unknown"), ("arm", "unknown/unknown")]);
    play.counting.count(&get, get.at).expect("it counts");
    assert_eq!(play.counting.wanted().len(), 1);
    play.get("image other", "@").shows(&["pull_by_digest - other not-specified 1"]);
}

#[test]
fn only_so_many_indexes_are_wanted_at_once() {
    let mut play = Play::new();
    for n in 0..2_000 {
        play.get(&format!("index {n}"), "v1");
    }
    assert_eq!(play.counting.wanted().len(), 1_024);
    play.get("index 1999", "v1");
    assert_eq!(play.counting.wanted().len(), 1, "what found no room is wanted the next time");
}

#[test]
fn an_event_of_another_day_does_not_disturb() {
    let mut play = Play::new();
    play.head("image nginx", "v1");
    let now = play.access.at;
    for days in [1, -3_000] {
        let mut odd = play.next(Action::Head, "image nginx", "v1");
        odd.at += TimeDelta::days(days);
        play.counting.count(&odd, now).expect("it counts");
    }
    play.get("image nginx", "@").shows(&["pull_by_tag v1 nginx not-specified 1"]);
}

#[test]
fn a_fetch_whose_look_up_is_not_known_is_a_pull_by_digest() {
    let mut play = Play::new();
    play.head("image nginx", "v1");
    play.counting = Classified::default();
    play.get("image nginx", "@");
    play.shows(&["version_check v1 nginx not-specified 1", "pull_by_digest - nginx not-specified 1"]);
}

#[test]
fn counting_by_tag_only_asks_for_nothing() {
    let mut play = Play::new();
    let get = play.next(Action::Get, "index nginx", "v1");
    assert_eq!(Tagged.count(&get, get.at).expect("it counts").changes.len(), 1);
    assert!(Tagged.memory().is_none());
}
