//! The repositories that are pulled most, for those who watch the server: each number is exact, and few are kept.

use std::{collections::HashMap, time::Duration};

use staticreg_domain::RepositoryName;
use tokio::time::Instant;

/// How long a repository is known that nobody pulls.
const KEPT: Duration = Duration::from_hours(24);

/// The most repositories that are known at once: a few megabytes, whatever is made up.
const MAX_KNOWN: usize = 10_000;

/// Counts pulls by repository. One that nobody pulled for a day is forgotten, and counts from 0 when it is pulled again; so
/// is the one whose last pull is longest ago when there are too many.
#[derive(Debug)]
pub(super) struct Busiest {
    told: usize,
    known: HashMap<RepositoryName, Pulled>,
}

#[derive(Debug)]
struct Pulled {
    times: u64,
    last: Instant,
}

impl Busiest {
    /// Tells so many of them.
    pub(super) fn new(told: usize) -> Self {
        Self { told, known: HashMap::new() }
    }

    pub(super) fn pulled(&mut self, repository: &RepositoryName) {
        let now = Instant::now();
        if let Some(pulled) = self.known.get_mut(repository).filter(|pulled| !pulled.is_over(now)) {
            pulled.times += 1;
            pulled.last = now;
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            self.make_room(now);
        }
        self.known.insert(repository.clone(), Pulled { times: 1, last: now });
    }

    fn make_room(&mut self, now: Instant) {
        self.known.retain(|_, pulled| !pulled.is_over(now));
        if self.known.len() >= MAX_KNOWN {
            let oldest =
                self.known.iter().min_by_key(|(_, pulled)| pulled.last).map(|(repository, _)| repository.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
    }

    /// The most pulled ones, and how often each was, the most pulled first.
    pub(super) fn read(&self) -> Vec<(RepositoryName, u64)> {
        let now = Instant::now();
        let living = self.known.iter().filter(|(_, pulled)| !pulled.is_over(now));
        let mut living: Vec<_> = living.map(|(repository, pulled)| (repository, pulled.times)).collect();
        // Among equals always the same ones.
        let most_first = |(name, times): &(&RepositoryName, u64), (other, other_times): &(&RepositoryName, u64)| {
            other_times.cmp(times).then_with(|| name.cmp(other))
        };
        // Whoever records waits meanwhile: only those that are told are put in order.
        if living.len() > self.told {
            living.select_nth_unstable_by(self.told, most_first);
            living.truncate(self.told);
        }
        living.sort_unstable_by(most_first);
        living.into_iter().map(|(repository, times)| (repository.clone(), times)).collect()
    }
}

impl Pulled {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= KEPT
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn name(name: &str) -> RepositoryName {
        name.parse().expect("a name")
    }

    fn told(busiest: &Busiest) -> Vec<(String, u64)> {
        busiest.read().into_iter().map(|(repository, times)| (repository.to_string(), times)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_pulled_are_told_with_all_their_pulls() {
        let mut busiest = Busiest::new(2);
        for (repository, times) in [("a", 1), ("b", 3), ("c", 2), ("d", 3)] {
            (0..times).for_each(|_| busiest.pulled(&name(repository)));
        }
        assert_eq!(told(&busiest), [("b".to_owned(), 3), ("d".to_owned(), 3)]);
        (0..2).for_each(|_| busiest.pulled(&name("c")));
        assert_eq!(
            told(&busiest),
            [("c".to_owned(), 4), ("b".to_owned(), 3)],
            "what was before it was told counts too"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_pulled_for_a_day_is_gone_and_counts_from_zero_again() {
        let mut busiest = Busiest::new(2);
        (0..5).for_each(|_| busiest.pulled(&name("old")));
        advance(KEPT / 2).await;
        busiest.pulled(&name("new"));
        advance(KEPT / 2).await;
        assert_eq!(told(&busiest), [("new".to_owned(), 1)]);
        busiest.pulled(&name("old"));
        assert_eq!(told(&busiest), [("new".to_owned(), 1), ("old".to_owned(), 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_names_there_are_no_more_are_known_than_may_be() {
        let mut busiest = Busiest::new(1);
        for number in 0..MAX_KNOWN + 10 {
            busiest.pulled(&name(&format!("app{number}")));
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(busiest.known.len(), MAX_KNOWN);
        assert!(!busiest.known.contains_key(&name("app9")) && busiest.known.contains_key(&name("app10")));
    }
}
