//! Guesses of passwords, slowed: each address may be wrong now and then, for one name and in all.
//!
//! A guess is charged before it is looked at, so that many at once are slowed as well, and what was right is given back.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The most addresses, and names at an address, that are remembered; past that, those go first that are free again first.
const MAX_REMEMBERED: usize = 10_000;

/// The bits of an IPv6 address that tell one customer of a network from another.
const IPV6_SITE_BITS: u32 = 64;

/// How fast guesses may follow one another.
struct Pace {
    /// How many may come at once.
    burst: u32,
    /// The time in which one more may.
    interval: Duration,
}

/// For one name from one address.
const OF_NAME: Pace = Pace { burst: 5, interval: Duration::from_secs(10) };

/// For all names from one address.
const OF_ADDRESS: Pace = Pace { burst: 30, interval: Duration::from_secs(2) };

/// Who guesses. An address that is not known is one as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guesser {
    address: Option<IpAddr>,
    /// A hash: names may be long, and a few that share one share their pace too.
    name: u64,
}

/// What has a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Paced {
    Address(Option<IpAddr>),
    Name(Option<IpAddr>, u64),
}

/// The guesses of late.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// When all guesses would have come if they had come at their interval.
    due: Mutex<HashMap<Paced, Instant>>,
    hasher: RandomState,
}

impl Pace {
    /// How long the next guess has to wait.
    fn wait(&self, due: Instant, now: Instant) -> Duration {
        due.saturating_duration_since(now).saturating_sub(self.interval * (self.burst - 1))
    }
}

impl Guesses {
    /// Who guesses the password of a name from an address.
    pub(super) fn guesser(&self, address: Option<IpAddr>, name: &str) -> Guesser {
        Guesser { address: address.map(site), name: self.hasher.hash_one(name) }
    }

    /// How long a guesser has to wait before a password of this name is looked at.
    pub(super) fn wait(&self, guesser: Guesser) -> Option<Duration> {
        let due = self.due.lock().get(&guesser.for_name()).copied()?;
        Some(OF_NAME.wait(due, Instant::now())).filter(|wait| !wait.is_zero())
    }

    /// Charges a guess; else how long the guesser has to wait.
    pub(super) fn charge(&self, guesser: Guesser) -> Result<(), Duration> {
        let (now, mut due) = (Instant::now(), self.due.lock());
        let paced = [(guesser.for_name(), OF_NAME), (Paced::Address(guesser.address), OF_ADDRESS)];
        let waits = paced.iter().filter_map(|(paced, pace)| Some(pace.wait(*due.get(paced)?, now)));
        let wait = waits.max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for (paced, pace) in paced {
            if due.len() >= MAX_REMEMBERED && !due.contains_key(&paced) {
                make_room(&mut due, now);
            }
            let due = due.entry(paced).or_insert(now);
            *due = (*due).max(now) + pace.interval;
        }
        Ok(())
    }

    /// Takes back what a guess was charged that was right, and all wrong ones before it.
    pub(super) fn forgive(&self, guesser: Guesser) {
        let mut due = self.due.lock();
        due.remove(&guesser.for_name());
        if let Some(due) = due.get_mut(&Paced::Address(guesser.address)) {
            *due = due.checked_sub(OF_ADDRESS.interval).unwrap_or(*due);
        }
    }
}

impl Guesser {
    fn for_name(self) -> Paced {
        Paced::Name(self.address, self.name)
    }
}

/// Forgets a quarter, so that it is not done for every guess: first those that are free again.
fn make_room(due: &mut HashMap<Paced, Instant>, now: Instant) {
    let mut order: Vec<_> = due.values().copied().collect();
    let (_, last, _) = order.select_nth_unstable(MAX_REMEMBERED / 4);
    let last = (*last).max(now);
    due.retain(|_, due| *due > last);
}

/// An address, as far as it tells one guesser from another.
pub(super) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - IPV6_SITE_BITS))).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_from_one_address_may_be_guessed_five_times_and_then_every_ten_seconds() {
        let guesses = Guesses::default();
        let alice = guesses.guesser(address("192.0.2.1"), "alice");
        for _ in 0..5 {
            assert_eq!((guesses.wait(alice), guesses.charge(alice)), (None, Ok(())));
        }
        let wait = Duration::from_secs(10);
        assert_eq!((guesses.wait(alice), guesses.charge(alice)), (Some(wait), Err(wait)));
        for other in [(address("192.0.2.1"), "bob"), (address("192.0.2.2"), "alice"), (None, "alice")] {
            assert_eq!(guesses.charge(guesses.guesser(other.0, other.1)), Ok(()), "{other:?}");
        }
        advance(wait).await;
        assert_eq!((guesses.charge(alice), guesses.charge(alice)), (Ok(()), Err(wait)));
        advance(wait * 10).await;
        for _ in 0..5 {
            assert_eq!(guesses.charge(alice), Ok(()));
        }
        guesses.forgive(alice);
        assert_eq!((guesses.wait(alice), guesses.charge(alice)), (None, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_guess_thirty_times_whatever_the_name() {
        let guesses = Guesses::default();
        // All of one customer's network are one.
        let visitor = |number: u32| guesses.guesser(address(&format!("2001:db8::{number:x}")), &number.to_string());
        for number in 0..30 {
            assert_eq!(guesses.charge(visitor(number)), Ok(()), "{number}");
        }
        assert_eq!(guesses.charge(visitor(30)), Err(OF_ADDRESS.interval));
        // What was right costs nothing.
        guesses.forgive(visitor(0));
        assert_eq!(guesses.charge(visitor(30)), Ok(()));
        assert_eq!(guesses.charge(guesses.guesser(address("2001:db8:0:1::1"), "0")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_has_an_end() {
        let guesses = Guesses::default();
        for number in (0_u32..).take(MAX_REMEMBERED) {
            let address = Some(IpAddr::V4(number.into()));
            guesses.charge(guesses.guesser(address, "alice")).expect("the first of its address");
        }
        assert!(guesses.due.lock().len() <= MAX_REMEMBERED);
        let slowed = guesses.guesser(Some(IpAddr::V4(7.into())), "bob");
        for _ in 0..5 {
            guesses.charge(slowed).expect("few");
        }
        for number in 0..10_000 {
            let address = Some(IpAddr::V4((1_000_000 + number).into()));
            guesses.charge(guesses.guesser(address, "alice")).expect("the first of its address");
        }
        assert!(guesses.due.lock().len() <= MAX_REMEMBERED);
        assert!(guesses.charge(slowed).is_err(), "those who guess most are remembered longest");
    }
}
