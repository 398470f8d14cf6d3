//! Thousands of histories; `make simulate SEED=...` plays more from a seed on.

use std::env;

use staticreg_simulation::{Kills, Pace, Setting, play};

/// How many histories of each setting are played when nothing else is said.
const HISTORIES: u64 = 400;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect(variable))
}

fn play_some(setting: Setting) {
    let first = number("SIMULATE_SEED").unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let count = number("SIMULATE_HISTORIES").unwrap_or(HISTORIES);
    println!("seed {first}, {count} histories of {setting:?}");
    for seed in first..first + count {
        if let Err(wrong) = play(seed, setting) {
            panic!("SIMULATE_SEED={seed} SIMULATE_HISTORIES=1, {setting:?}:\n{wrong}");
        }
    }
}

const ONE: Setting = Setting {
    servers: 1,
    faults: 0,
    kills: Kills::Never,
    fail_over: false,
    asks: false,
    remembered: 10_000,
    pace: Pace::Busy,
};

#[test]
fn one_server_counts_any_order_as_in_order() {
    play_some(ONE);
}

#[test]
fn one_server_that_is_killed_and_a_store_that_fails_count_the_same() {
    play_some(Setting { faults: 20, kills: Kills::AtRandom, ..ONE });
}

#[test]
fn two_servers_count_together_as_one() {
    play_some(Setting { servers: 2, ..ONE });
}

#[test]
fn three_servers_that_are_killed_and_a_store_that_fails_count_as_one() {
    play_some(Setting { servers: 3, faults: 20, kills: Kills::AtRandom, ..ONE });
}

#[test]
fn servers_that_ask_the_registry_count_as_one_that_knew() {
    play_some(Setting { servers: 2, faults: 10, kills: Kills::AtRandom, asks: true, ..ONE });
}

#[test]
fn after_a_fail_over_what_follows_is_right() {
    play_some(Setting { servers: 2, faults: 10, kills: Kills::AtRandom, fail_over: true, asks: true, ..ONE });
}

#[test]
fn servers_that_remember_little_forget_the_same() {
    play_some(Setting { servers: 3, faults: 10, kills: Kills::AtRandom, asks: true, remembered: 12, ..ONE });
}

#[test]
fn servers_forget_the_same_in_quiet_hours() {
    play_some(Setting { servers: 2, faults: 10, asks: true, pace: Pace::Quiet, ..ONE });
}

#[test]
fn servers_that_are_killed_forget_the_same_in_quiet_hours() {
    play_some(Setting { servers: 3, faults: 10, kills: Kills::AtRandom, asks: true, pace: Pace::Quiet, ..ONE });
}

#[test]
fn servers_that_are_killed_count_the_same_what_comes_late() {
    play_some(Setting { servers: 3, faults: 10, kills: Kills::AtRandom, asks: true, pace: Pace::Late, ..ONE });
}
