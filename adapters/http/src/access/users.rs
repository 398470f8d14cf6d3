//! The users who may read: names with the hashes of their passwords, as htpasswd writes them.
//!
//! A check of a password takes long by design, so it is done beside the threads that answer, few at once, and a pair of
//! name and password that was right is remembered for a while: not as it is, but as a hash under a key of this process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::{Mutex, RwLock};
use poem::http::{HeaderMap, header::AUTHORIZATION};
use sha2::Sha256;
use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{guesses::Guesses, password::PasswordHash, tokens::BASE64};

/// How long a pair that was right is let in without a further check.
const REMEMBERED: Duration = Duration::from_mins(5);

/// The most pairs that are remembered, with those that are being checked.
const MAX_PAIRS: usize = 10_000;

/// The most checks at once. They take a processor each, and some of them much memory.
const CHECKS_AT_ONCE: usize = 2;

/// How long a check may wait for others.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most checks that are done and wait: more would wait in vain, and hold places of other clients.
const MAX_CHECKS: usize = 64;

/// The users who may read. They may change while the server runs; all clones do.
#[derive(Clone)]
pub struct Users(Arc<Shared>);

struct Shared {
    known: RwLock<Arc<Known>>,
    guesses: Guesses,
    checks: Arc<Semaphore>,
    places: Semaphore,
}

/// The users of a time, and who of them was right in it.
struct Known {
    hashes: BTreeMap<String, PasswordHash>,
    key: Key,
    pairs: Mutex<HashMap<Digest, Pair>>,
}

type Digest = [u8; 32];

/// A name and a password that somebody showed.
struct Pair {
    fits: Arc<OnceCell<bool>>,
    since: Instant,
}

/// The key under which pairs are remembered.
struct Key([u8; 32]);

/// What is wrong with a list of users. It tells none of it.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidUsers {
    /// A line is.
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The system gave no random bytes for a key.
    NoRandomness,
}

impl fmt::Display for InvalidUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { number, reason } => write!(f, "line {number}: {reason}"),
            Self::NoRandomness => f.write_str("the system gives no random bytes"),
        }
    }
}

impl std::error::Error for InvalidUsers {}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Users(***)")
    }
}

/// What came of a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Right,
    Wrong,
    /// It was not looked at: too many were wrong before it.
    Slowed(Duration),
    /// It was not looked at: too many others wait.
    Busy,
}

impl Users {
    /// Reads users, one a line: `NAME:HASH`. Empty lines, and those that begin with `#`, say nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidUsers> {
        Ok(Self(Arc::new(Shared {
            known: RwLock::new(Arc::new(Known::new(hashes(text)?)?)),
            guesses: Guesses::default(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
            places: Semaphore::new(MAX_CHECKS),
        })))
    }

    /// Lets these users in from now on, and nobody else. Whether they are others than before.
    pub fn replace(&self, text: &str) -> Result<bool, InvalidUsers> {
        let hashes = hashes(text)?;
        if self.0.known.read().hashes == hashes {
            return Ok(false);
        }
        *self.0.known.write() = Arc::new(Known::new(hashes)?);
        Ok(true)
    }

    /// How many users there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.known.read().hashes.len()
    }

    /// Checks what somebody at an address shows. It takes as long for a name that is nobody's.
    pub(super) async fn check(&self, shown: &Credentials, address: Option<IpAddr>) -> Checked {
        let Shared { known, guesses, checks, places } = &*self.0;
        let guesser = guesses.guesser(address, &shown.name);
        // Before what is remembered, which would answer guesses as fast as they come.
        if let Some(wait) = guesses.wait(guesser) {
            return Checked::Slowed(wait);
        }
        let known = Arc::clone(&known.read());
        let digest = known.key.digest(&shown.name, &shown.password);
        let fits = known.pair(digest);
        let checked = fits.get_or_try_init(async || {
            let _place = places.try_acquire().map_err(|_| Checked::Busy)?;
            guesses.charge(guesser).map_err(Checked::Slowed)?;
            let turn = timeout(PATIENCE, Arc::clone(checks).acquire_owned()).await;
            let turn = turn.map_err(|_| Checked::Busy)?.map_err(|_| Checked::Busy)?;
            let (hash, is_user) = known.hash_of(&shown.name);
            let password = shown.password.clone();
            let check = spawn_blocking(move || {
                // Kept to the end, also when nobody waits for it any more.
                let _turn = turn;
                hash.is_some_and(|hash| hash.fits(&password))
            });
            let fits = check.await.map_err(|_| Checked::Busy)? && is_user;
            if fits {
                guesses.forgive(guesser);
            }
            Ok(fits)
        });
        let checked = checked.await.copied();
        if checked != Ok(true) {
            known.forget(&digest, &fits);
        }
        match checked {
            Ok(true) => Checked::Right,
            Ok(false) => Checked::Wrong,
            Err(checked) => checked,
        }
    }
}

impl Known {
    fn new(hashes: BTreeMap<String, PasswordHash>) -> Result<Self, InvalidUsers> {
        Ok(Self { hashes, key: Key::random()?, pairs: Mutex::default() })
    }

    /// The hash of a user's password; for a name that is nobody's always the same one of another, so that a check of it
    /// takes as long.
    fn hash_of(&self, name: &str) -> (Option<PasswordHash>, bool) {
        if let Some(hash) = self.hashes.get(name) {
            return (Some(hash.clone()), true);
        }
        let digest = self.key.digest(name, b"");
        let number = digest.iter().fold(0_usize, |number, byte| number.wrapping_mul(31).wrapping_add((*byte).into()));
        let place = number.checked_rem(self.hashes.len()).unwrap_or_default();
        (self.hashes.values().nth(place).cloned(), false)
    }

    /// The pair of a digest, which is checked once by all who show it.
    fn pair(&self, digest: Digest) -> Arc<OnceCell<bool>> {
        let (now, mut pairs) = (Instant::now(), self.pairs.lock());
        let is_fresh = |pair: &Pair| now - pair.since < REMEMBERED;
        if let Some(pair) = pairs.get(&digest)
            && is_fresh(pair)
        {
            return Arc::clone(&pair.fits);
        }
        if pairs.len() >= MAX_PAIRS {
            pairs.retain(|_, pair| is_fresh(pair));
        }
        if pairs.len() >= MAX_PAIRS
            && let Some(oldest) = pairs.iter().min_by_key(|(_, pair)| pair.since).map(|(digest, _)| *digest)
        {
            pairs.remove(&oldest);
        }
        let fits = Arc::<OnceCell<bool>>::default();
        pairs.insert(digest, Pair { fits: Arc::clone(&fits), since: now });
        fits
    }

    /// Forgets a pair that was not right, unless somebody shows it anew already.
    fn forget(&self, digest: &Digest, fits: &Arc<OnceCell<bool>>) {
        let mut pairs = self.pairs.lock();
        if pairs.get(digest).is_some_and(|pair| Arc::ptr_eq(&pair.fits, fits)) {
            pairs.remove(digest);
        }
    }
}

impl Key {
    fn random() -> Result<Self, InvalidUsers> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| InvalidUsers::NoRandomness)?;
        Ok(Self(key))
    }

    fn digest(&self, name: &str, password: &[u8]) -> Digest {
        let code = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        // The length before the name: where it ends must not be a matter of taste.
        let code = code.chain_update((name.len() as u64).to_le_bytes()).chain_update(name).chain_update(password);
        code.finalize().into_bytes().into()
    }
}

fn hashes(text: &str) -> Result<BTreeMap<String, PasswordHash>, InvalidUsers> {
    let mut hashes = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason| InvalidUsers::Line { number, reason };
        let (name, hash) = line.split_once(':').ok_or_else(|| wrong("a user is NAME:HASH"))?;
        if name.is_empty() || name.contains(char::is_control) {
            return Err(wrong("the name is empty or holds control characters"));
        }
        let hash = PasswordHash::parse(hash).map_err(wrong)?;
        if hashes.insert(name.to_owned(), hash).is_some() {
            return Err(wrong("the name stands twice"));
        }
    }
    Ok(hashes)
}

/// A name and a password.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    name: String,
    password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// What a request shows, by Basic with UTF-8 (RFC 7617). Of several headers, those on the way may look at another than
    /// we do, so they show nothing.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let (scheme, encoded) = value.to_str().ok()?.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let shown = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = shown.split_once(':')?;
        let is_plain = !shown.contains(char::is_control);
        is_plain.then(|| Self { name: name.to_owned(), password: password.as_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;
    use tokio::time::advance;

    use super::*;

    /// Of `r1ght`, made by Python's bcrypt.
    const HASH: &str = "$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";

    fn users() -> Users {
        Users::parse(&format!("# those who read\n\nalice:{HASH}\n bob:{HASH} \r\n")).expect("two users")
    }

    fn shown(name: &str, password: &str) -> Credentials {
        Credentials { name: name.to_owned(), password: password.as_bytes().to_vec() }
    }

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[tokio::test]
    async fn a_user_is_let_in_by_the_right_password() {
        let users = users();
        assert_eq!(users.count(), 2);
        for (number, (name, password, expected)) in (0..).zip([
            ("alice", "r1ght", Checked::Right),
            ("bob", "r1ght", Checked::Right),
            ("alice", "wrong", Checked::Wrong),
            ("alice", "", Checked::Wrong),
            ("Alice", "r1ght", Checked::Wrong),
            ("nobody", "r1ght", Checked::Wrong),
            ("", "r1ght", Checked::Wrong),
            ("#", "r1ght", Checked::Wrong),
        ]) {
            assert_eq!(users.check(&shown(name, password), Some(ip(number))).await, expected, "{name} {password}");
        }
        let nobody = Users::parse("").expect("nobody");
        assert_eq!(nobody.check(&shown("", ""), None).await, Checked::Wrong);
        assert_eq!(format!("{users:?} {:?}", shown("alice", "r1ght")), "Users(***) Credentials(***)");
    }

    #[tokio::test]
    async fn a_right_pair_is_checked_once_also_when_many_show_it_at_once() {
        let users = users();
        let alice = shown("alice", "r1ght");
        // More than may guess at once.
        let all = (0..50).map(|_| users.check(&alice, Some(ip(1))));
        assert!(futures_util::future::join_all(all).await.iter().all(|checked| *checked == Checked::Right));
        // With no turn to be had, only what is remembered is answered.
        let _turns = users.0.checks.acquire_many(2).await.expect("all turns");
        assert_eq!(users.check(&alice, Some(ip(2))).await, Checked::Right);
        tokio::time::pause();
        assert_eq!(users.check(&shown("bob", "r1ght"), Some(ip(2))).await, Checked::Busy);
        advance(REMEMBERED).await;
        assert_eq!(users.check(&alice, Some(ip(2))).await, Checked::Busy, "not for ever");
    }

    #[tokio::test]
    async fn wrong_passwords_are_slowed_for_a_name_at_an_address_also_once_one_is_right() {
        let users = users();
        for _ in 0..5 {
            assert_eq!(users.check(&shown("alice", "wrong"), Some(ip(1))).await, Checked::Wrong);
        }
        assert_eq!(users.check(&shown("alice", "r1ght"), Some(ip(2))).await, Checked::Right);
        // Remembered, and still not told to who guesses.
        for password in ["wrong", "r1ght"] {
            let checked = users.check(&shown("alice", password), Some(ip(1))).await;
            assert!(matches!(checked, Checked::Slowed(wait) if wait > Duration::from_secs(5)), "{checked:?}");
        }
        assert_eq!(users.check(&shown("bob", "r1ght"), Some(ip(1))).await, Checked::Right);
        assert_eq!(users.check(&shown("alice", "r1ght"), Some(ip(2))).await, Checked::Right);
    }

    #[tokio::test]
    async fn many_wrong_passwords_at_once_are_slowed_too() {
        let users = users();
        let shown: Vec<_> = (0..20).map(|number| shown("alice", &number.to_string())).collect();
        let all = shown.iter().map(|shown| users.check(shown, Some(ip(1))));
        let checked = futures_util::future::join_all(all).await;
        assert_eq!(checked.iter().filter(|checked| **checked == Checked::Wrong).count(), 5, "{checked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_checks_wait_than_have_hope() {
        let users = users();
        let _turns = users.0.checks.acquire_many(2).await.expect("all turns");
        let shown: Vec<_> = (0..=MAX_CHECKS).map(|number| shown("alice", &number.to_string())).collect();
        let started = Instant::now();
        let all = (0..).zip(&shown).map(|(number, shown)| {
            let users = &users;
            async move { (users.check(shown, Some(ip(number))).await, started.elapsed()) }
        });
        let checked = futures_util::future::join_all(all).await;
        let at_once = checked.iter().filter(|(_, after)| after.is_zero()).count();
        assert!(checked.iter().all(|(checked, _)| *checked == Checked::Busy), "{checked:?}");
        assert_eq!(at_once, 1, "{checked:?}");
    }

    #[tokio::test]
    async fn users_that_change_are_in_force_at_once() {
        let users = users();
        let same = users.clone();
        assert_eq!(users.check(&shown("alice", "r1ght"), None).await, Checked::Right);
        assert_eq!(same.replace(&format!("alice:{HASH}\nbob:{HASH}")), Ok(false));
        assert!(same.replace("alice:r1ght").is_err());
        assert_eq!(users.check(&shown("alice", "r1ght"), None).await, Checked::Right);
        assert_eq!(same.replace(&format!("bob:{HASH}")), Ok(true));
        assert_eq!(users.check(&shown("alice", "r1ght"), None).await, Checked::Wrong, "no longer remembered");
        assert_eq!(same.replace(""), Ok(true));
        assert_eq!((users.count(), users.check(&shown("bob", "r1ght"), None).await), (0, Checked::Wrong));
    }

    #[test]
    fn a_name_that_is_nobodys_is_checked_against_a_hash_too() {
        let users = users();
        let known = users.0.known.read();
        for name in ["", "nobody", "carol"] {
            let (hash, is_user) = known.hash_of(name);
            assert!(hash.is_some() && !is_user, "{name}");
        }
        assert!(known.hash_of("alice").1);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let known = Known::new(BTreeMap::new()).expect("randomness");
        for number in 0..MAX_PAIRS + 10 {
            known.pair(known.key.digest(&number.to_string(), b""));
        }
        assert_eq!(known.pairs.lock().len(), MAX_PAIRS);
        assert_ne!(known.key.digest("a", b"bc"), known.key.digest("ab", b"c"));
    }

    #[test]
    fn a_line_that_is_no_user_is_told_by_its_number_alone() {
        for (line, reason) in [
            ("alice", "a user is NAME:HASH"),
            (&*format!(":{HASH}"), "the name is empty"),
            (&format!("al\tice:{HASH}"), "control characters"),
            ("alice:g3heim", "neither bcrypt nor argon2id"),
            (&format!("bob:{HASH}"), "the name stands twice"),
        ] {
            let error = Users::parse(&format!("bob:{HASH}\n# more\n{line}\n")).expect_err(line).to_string();
            assert!(error.starts_with("line 3: ") && error.contains(reason), "{line}: {error}");
            assert!(!error.contains("g3heim") && !error.contains("alice"), "{error}");
        }
    }

    #[test]
    fn credentials_are_those_of_one_basic_header() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect(value));
            }
            Credentials::from_headers(&headers)
        };
        let basic = |text: &[u8]| format!("Basic {}", BASE64.encode(text));
        for (text, name, password) in
            [("alice:r1ght", "alice", "r1ght"), ("alice:a:b", "alice", "a:b"), (":", "", ""), ("grün:ö", "grün", "ö")]
        {
            assert!(of(&[&basic(text.as_bytes())]) == Some(shown(name, password)), "{text}");
        }
        assert!(of(&["basic   YWxpY2U6cjFnaHQ="]) == Some(shown("alice", "r1ght")));
        let right = basic(b"alice:r1ght");
        for values in [
            &[][..],
            &[&*right, &right],
            &["Basic"],
            &["Basic alice:r1ght"],
            &["Bearer YWxpY2U6cjFnaHQ="],
            &[&basic(b"alice")],
            &[&basic(b"alice:r1g\0ht")],
            &[&basic(b"alice:\xff")],
        ] {
            assert!(of(values).is_none(), "{values:?}");
        }
    }
}
