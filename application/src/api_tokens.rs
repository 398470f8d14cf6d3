//! Which API tokens let in, kept in memory, so that no request waits for the database.
//!
//! [`FollowTokens`] reads them anew all the time; so what is created and revoked holds within seconds. While it cannot,
//! those read last stay in force. [`NoteUses`] writes down which were used.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, RwLock};
use staticreg_domain::{
    Clock,
    api_token::{ApiToken, ApiTokens, Scope, TokenHash, TokenState},
    error::describe,
    metrics::MetricsError,
};
use tokio::time::sleep;

/// How often they are read anew.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long a token that has ended is known still, so that whoever shows it is told apart from who guesses.
const ENDED_KNOWN: TimeDelta = TimeDelta::days(30);

/// How often uses are written down.
const NOTE_INTERVAL: Duration = Duration::from_secs(5);

/// How much newer a use must be than the one that is noted, to be noted too.
const NOTED_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// Why a token does not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedToken {
    /// It lets its holder do something else.
    OtherScope,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
    /// There is no such token.
    Unknown,
    /// None could be read yet.
    Unread,
}

/// The tokens as they were read last. All clones are the same.
#[derive(Clone)]
pub struct KnownTokens(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    /// None until they could be read.
    tokens: RwLock<Option<HashMap<TokenHash, ApiToken>>>,
    /// When each last let somebody in.
    uses: Mutex<HashMap<TokenHash, DateTime<Utc>>>,
}

impl KnownTokens {
    /// None are known yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { clock, tokens: RwLock::default(), uses: Mutex::default() }))
    }

    /// Lets the holder of a token in, now and for one thing.
    pub fn admit(&self, hash: &TokenHash, scope: Scope) -> Result<(), RefusedToken> {
        let now = self.0.clock.now();
        {
            let tokens = self.0.tokens.read();
            let tokens = tokens.as_ref().ok_or(RefusedToken::Unread)?;
            // How long it takes may tell how a hash begins. From that nobody can make a token.
            let token = tokens.get(hash).ok_or(RefusedToken::Unknown)?;
            match token.state(now) {
                TokenState::Living if token.scopes.include(scope) => {}
                TokenState::Living => return Err(RefusedToken::OtherScope),
                TokenState::Expired => return Err(RefusedToken::Expired),
                TokenState::Revoked => return Err(RefusedToken::Revoked),
            }
        }
        self.0.uses.lock().insert(*hash, now);
        Ok(())
    }

    /// The names of the tokens that let their holders do a thing now, in order.
    #[must_use]
    pub fn names(&self, scope: Scope) -> Vec<String> {
        let now = self.0.clock.now();
        let tokens = self.0.tokens.read();
        let living = |token: &&ApiToken| token.state(now) == TokenState::Living && token.scopes.include(scope);
        let mut names: Vec<_> =
            tokens.iter().flat_map(HashMap::values).filter(living).map(|token| token.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    fn replace(&self, tokens: Vec<ApiToken>) {
        let tokens: HashMap<_, _> = tokens.into_iter().map(|token| (token.hash, token)).collect();
        self.0.uses.lock().retain(|hash, _| tokens.contains_key(hash));
        *self.0.tokens.write() = Some(tokens);
    }

    /// The uses that are not noted, of tokens whose noted use is a while ago.
    fn unnoted_uses(&self) -> Vec<(TokenHash, DateTime<Utc>)> {
        let (tokens, uses) = (self.0.tokens.read(), self.0.uses.lock());
        let Some(tokens) = tokens.as_ref() else { return Vec::new() };
        let is_unnoted = |hash: &TokenHash, at: DateTime<Utc>| {
            let noted = tokens.get(hash).map(|token| token.last_used_at);
            noted.is_some_and(|noted| noted.is_none_or(|noted| at - noted >= NOTED_AGAIN))
        };
        uses.iter().map(|(hash, at)| (*hash, *at)).filter(|(hash, at)| is_unnoted(hash, *at)).collect()
    }
}

/// Keeps what is known as the store has it.
pub struct FollowTokens {
    store: Arc<dyn ApiTokens>,
    known: KnownTokens,
    is_failing: bool,
}

impl FollowTokens {
    /// Those of a store.
    #[must_use]
    pub fn new(store: Arc<dyn ApiTokens>, known: KnownTokens) -> Self {
        Self { store, known, is_failing: false }
    }

    /// Never ends.
    pub async fn run(mut self) {
        loop {
            sleep(INTERVAL).await;
            self.read().await;
        }
    }

    /// Reads the tokens. A failure is told once.
    pub async fn read(&mut self) {
        let read = self.store.not_ended_by(self.known.0.clock.now() - ENDED_KNOWN).await;
        match &read {
            Err(error) if !self.is_failing => {
                let reason = describe(error);
                tracing::warn!("The API tokens cannot be read: {reason}. Those read last stay in force.");
            }
            Ok(_) if self.is_failing => tracing::info!("The API tokens can be read again."),
            _ => {}
        }
        self.is_failing = read.is_err();
        if let Ok(tokens) = read {
            self.known.replace(tokens);
        }
    }
}

/// Writes down which tokens were used. Not where they are read: a revocation does not wait for it.
pub struct NoteUses {
    store: Arc<dyn ApiTokens>,
    known: KnownTokens,
}

impl NoteUses {
    /// In a store.
    #[must_use]
    pub fn new(store: Arc<dyn ApiTokens>, known: KnownTokens) -> Self {
        Self { store, known }
    }

    /// Never ends.
    pub async fn run(self) {
        loop {
            sleep(NOTE_INTERVAL).await;
            self.note().await;
        }
    }

    /// A use that cannot be noted is tried again with the next one.
    async fn note(&self) {
        for (hash, at) in self.known.unnoted_uses() {
            let noted: Result<(), MetricsError> = self.store.note_use(&hash, at).await;
            if let Err(error) = noted {
                tracing::debug!("The use of an API token cannot be noted: {}", describe(&error));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{api_token::MockApiTokens, clock::MockClock};

    use super::*;

    const HASH: TokenHash = TokenHash([1; 32]);

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-11-21T{time}Z").parse().expect("a time")
    }

    fn token() -> ApiToken {
        ApiToken {
            name: "ci".parse().expect("a name"),
            hash: HASH,
            scopes: Scope::Read.into(),
            created_at: at("09:00:00"),
            expires_at: Some(at("11:00:00")),
            ended_at: None,
            last_used_at: None,
        }
    }

    /// What is known at a time that can be set.
    fn known() -> (KnownTokens, Arc<Mutex<DateTime<Utc>>>) {
        let now = Arc::new(Mutex::new(at("10:00:00")));
        let mut clock = MockClock::new();
        let told = Arc::clone(&now);
        clock.expect_now().returning(move || *told.lock());
        (KnownTokens::new(Arc::new(clock)), now)
    }

    #[test]
    fn a_token_is_looked_at_anew_with_every_use() {
        let (known, now) = known();
        assert_eq!(known.admit(&HASH, Scope::Read), Err(RefusedToken::Unread));
        known.replace(vec![token()]);
        assert_eq!(known.admit(&TokenHash([2; 32]), Scope::Read), Err(RefusedToken::Unknown));
        assert_eq!(known.admit(&HASH, Scope::Read), Ok(()));
        assert_eq!(known.admit(&HASH, Scope::Post), Err(RefusedToken::OtherScope));
        *now.lock() = at("11:00:00");
        assert_eq!(known.admit(&HASH, Scope::Read), Err(RefusedToken::Expired));
        known.replace(vec![ApiToken { ended_at: Some(at("10:30:00")), ..token() }]);
        assert_eq!(known.admit(&HASH, Scope::Read), Err(RefusedToken::Revoked));
        known.replace(vec![]);
        assert_eq!(known.admit(&HASH, Scope::Read), Err(RefusedToken::Unknown));
        assert!(known.0.uses.lock().is_empty(), "nothing is kept of what is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn while_they_cannot_be_read_those_read_last_stay_in_force() {
        let (known, _) = known();
        let mut store = MockApiTokens::new();
        let mut answers = [Ok(vec![token()]), Err(()), Err(()), Ok(vec![])].into_iter();
        store.expect_not_ended_by().returning(move |_| {
            answers.next().unwrap_or(Err(())).map_err(|()| MetricsError::Unavailable("it is away".into()))
        });
        let mut follow = FollowTokens::new(Arc::new(store), known.clone());
        for (expected, is_failing) in
            [(Ok(()), false), (Ok(()), true), (Ok(()), true), (Err(RefusedToken::Unknown), false)]
        {
            follow.read().await;
            assert_eq!((known.admit(&HASH, Scope::Read), follow.is_failing), (expected, is_failing));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_use_is_noted_once_a_minute_and_again_when_that_failed() {
        let (known, now) = known();
        let kept = Arc::new(Mutex::new(token()));
        let noted = Arc::new(Mutex::new(Vec::new()));
        let mut store = MockApiTokens::new();
        let listed = Arc::clone(&kept);
        store.expect_not_ended_by().returning(move |_| Ok(vec![listed.lock().clone()]));
        let (kept_by_store, calls) = (Arc::clone(&kept), Arc::clone(&noted));
        store.expect_note_use().returning(move |_, at| {
            calls.lock().push(at);
            if calls.lock().len() == 1 {
                return Err(MetricsError::Unavailable("it is away".into()));
            }
            kept_by_store.lock().last_used_at = Some(at);
            Ok(())
        });
        let store: Arc<dyn ApiTokens> = Arc::new(store);
        let mut follow = FollowTokens::new(Arc::clone(&store), known.clone());
        let uses = NoteUses::new(store, known.clone());
        for time in ["10:00:01", "10:00:01", "10:00:30", "10:01:00", "10:01:01"] {
            *now.lock() = at(time);
            follow.read().await;
            assert_eq!(known.admit(&HASH, Scope::Read), Ok(()));
            uses.note().await;
        }
        assert_eq!(*noted.lock(), [at("10:00:01"), at("10:00:01"), at("10:01:01")]);
    }
}
