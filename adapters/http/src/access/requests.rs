//! How many requests an address may make, so that one that asks without end leaves room for the others.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use super::guesses::site;

/// Of how many seconds all requests may come at once.
const BURST_SECONDS: u32 = 10;

/// Addresses are told apart by so much of a hash, so that what is remembered of them has an end however many come. Two
/// that share it share their pace too.
type Slot = u16;

/// The requests of late.
pub(super) struct Requests<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Slot, HashMapStateStore<Slot>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    hasher: RandomState,
}

impl Requests {
    /// So many a second, on average, from each address.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self::with_clock(per_second, MonotonicClock)
    }
}

impl<C: Clock + Clone> Requests<C> {
    fn with_clock(per_second: NonZeroU32, clock: C) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { limiter, clock, hasher: RandomState::new() }
    }

    /// Counts a request; else how long the address has to wait. This machine never has to. All whose address is not known
    /// are one.
    pub(super) fn count(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let address = address.map(site);
        if address.is_some_and(|address| address.is_loopback()) {
            return Ok(());
        }
        let [low, high, ..] = self.hasher.hash_one(address).to_le_bytes();
        let slot = Slot::from_le_bytes([low, high]);
        self.limiter.check_key(&slot).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn an_address_may_ask_ten_seconds_worth_at_once_and_then_at_its_pace() {
        let clock = FakeRelativeClock::default();
        let requests = Requests::with_clock(NonZeroU32::new(2).unwrap(), clock.clone());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for number in 0..20 {
            assert_eq!(requests.count(Some(address)), Ok(()), "{number}");
        }
        assert_eq!(requests.count(Some(address)), Err(Duration::from_millis(500)));
        clock.advance(Duration::from_millis(500));
        assert_eq!(requests.count(Some(address)), Ok(()));
        assert_eq!(requests.count(Some(address)), Err(Duration::from_millis(500)));
        // Another shares its slot once in 65,536 times.
        let others = (1..=9).map(|number| IpAddr::from([198, 51, 100, number]));
        assert!(others.into_iter().filter(|other| requests.count(Some(*other)).is_ok()).count() >= 8);
        for this_machine in ["127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1"] {
            let address: IpAddr = this_machine.parse().unwrap();
            assert!((0..100).all(|_| requests.count(Some(address)).is_ok()), "{this_machine}");
        }
    }

    #[test]
    fn one_customers_network_is_one_address() {
        let requests = Requests::with_clock(NonZeroU32::MIN, FakeRelativeClock::default());
        let address = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number]);
        assert_eq!((0..20).filter(|number| requests.count(Some(address(*number))).is_ok()).count(), 10);
    }

    #[test]
    fn all_whose_address_is_not_known_are_one() {
        let requests = Requests::with_clock(NonZeroU32::MIN, FakeRelativeClock::default());
        assert_eq!((0..20).filter(|_| requests.count(None).is_ok()).count(), 10);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let requests = Requests::with_clock(NonZeroU32::MIN, FakeRelativeClock::default());
        for number in 0..200_000_u32 {
            // Whether it may ask does not matter.
            let _ = requests.count(Some(IpAddr::V4((0x0b00_0000 + number).into())));
        }
        assert!(requests.limiter.len() <= 1 << 16);
    }
}
