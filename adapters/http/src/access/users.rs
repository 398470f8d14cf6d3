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

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::{Mutex, RwLock};
use base64::Engine as _;
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

/// The users who may read. They may change while the server runs; all clones do.
#[derive(Clone)]
pub struct Users(Arc<Shared>);

struct Shared {
    known: RwLock<Arc<Known>>,
    guesses: Guesses,
    checks: Arc<Semaphore>,
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
        let Shared { known, guesses, checks } = &*self.0;
        let guesser = guesses.guesser(address, &shown.name);
        // Before what is remembered, which would answer guesses as fast as they come.
        if let Some(wait) = guesses.wait(guesser) {
            return Checked::Slowed(wait);
        }
        let known = Arc::clone(&known.read());
        let digest = known.key.digest(&shown.name, &shown.password);
        let fits = known.pair(digest);
        let checked = fits.get_or_try_init(async || {
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
        let [first, ..] = self.key.digest(name, b"").as_chunks().0 else { return (None, false) };
        let place = u64::from_le_bytes(*first) % (self.hashes.len() as u64).max(1);
        let other = self.hashes.values().nth(usize::try_from(place).unwrap_or_default());
        (other.cloned(), false)
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
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
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
