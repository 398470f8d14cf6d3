//! A made-up day: what its hosts do, and the right counts, known by construction.

use crate::hosts::{Client, Day, Host, Operation, Work};

pub(crate) const HOSTS: usize = 12;

/// How many operations a host does at most.
pub(crate) const OPERATIONS: usize = 28;

/// How long a host waits before an operation, in milliseconds.
pub(crate) const PAUSES: [i64; 6] = [2_500, 5_000, 20_000, 59_000, 62_000, 200_000];

/// An operation, which repository, which of its tags, for which platform, after so many milliseconds; and a number for
/// what else is to be chosen.
pub(crate) type Deed = (Operation, usize, usize, usize, i64, usize);

/// The accesses of a day, in order, and the right counts. It begins with somebody who pushes all.
pub(crate) fn day(hosts: &[(Client, Vec<Deed>)]) -> Day {
    let mut day = Day::default();
    let pushes = [(0, 0), (0, 2), (1, 0), (1, 2)].map(|(repository, tag)| (Operation::Push, repository, tag, 0, 0, 0));
    let first = (Client::Podman, pushes.to_vec());
    for (number, (client, deeds)) in hosts.iter().chain([&first]).enumerate() {
        let mut at = 0;
        let mut repositories: [Host; 2] = Default::default();
        for deed in deeds {
            let (operation, repository, tag, platform, pause, choice) = *deed;
            at += pause;
            let mut work = Work {
                day: &mut day,
                host: &mut repositories[repository],
                client: *client,
                address: format!("10.0.0.{number}"),
                repository: format!("team/{repository}"),
                at,
            };
            work.work(operation, tag, platform, choice);
            at = work.at;
        }
    }
    day.accesses.sort_by_key(|access| access.at);
    day
}
