//! What becomes of API tokens.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::{any::Any, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::api_token::{ApiToken, ApiTokenAdmin, ApiTokens, Creation, Scope, TokenHash, TokenState};

use crate::events::now;

/// Both sides of the place where tokens are kept.
pub trait TokenStore: ApiTokens + ApiTokenAdmin {}

impl<T: ApiTokens + ApiTokenAdmin> TokenStore for T {}

/// Nothing but tokens, and none yet.
pub struct Subject {
    /// Where they are kept.
    pub tokens: Arc<dyn TokenStore>,
    /// The same, as another server has it.
    pub second: Arc<dyn TokenStore>,
    /// What they are kept in; dropped after it.
    pub home: Box<dyn Any + Send>,
}

/// A token that expires an hour after `now()`.
fn token(name: &str, number: u8) -> ApiToken {
    ApiToken {
        name: name.parse().expect(name),
        hash: TokenHash([number; 32]),
        scopes: Scope::Read.into(),
        created_at: now(),
        expires_at: Some(in_an_hour()),
        ended_at: None,
        last_used_at: None,
    }
}

fn in_an_hour() -> DateTime<Utc> {
    now() + TimeDelta::hours(1)
}

async fn states(tokens: &dyn TokenStore, now: DateTime<Utc>) -> Vec<(String, TokenState)> {
    let listed = tokens.list().await.expect("lists");
    listed.iter().map(|token| (token.name.to_string(), token.state(now))).collect()
}

pub async fn a_token_is_listed_as_it_was_made(Subject { tokens, second, home: _home }: Subject) {
    assert_eq!(tokens.list().await.expect("lists"), []);
    let first = ApiToken { scopes: "read,post,metrics".parse().expect("scopes"), ..token("b", 1) };
    let same_time = ApiToken { expires_at: None, ..token("a", 2) };
    let later = ApiToken { created_at: now() + TimeDelta::microseconds(1), ..token("c", 255) };
    for token in [&first, &same_time, &later] {
        assert_eq!(tokens.create(token).await.expect("creates"), Creation::Created);
    }
    let expected = [later, same_time, first];
    assert_eq!(tokens.list().await.expect("lists"), expected);
    assert_eq!(second.list().await.expect("lists"), expected);
}

pub async fn of_those_made_at_once_under_one_name_one_is_kept(Subject { tokens, second, home: _home }: Subject) {
    let (one, other) = (token("ci", 1), token("ci", 2));
    let (one, other) = tokio::join!(tokens.create(&one), second.create(&other));
    let creations = [one.expect("creates"), other.expect("creates")];
    assert!(creations.contains(&Creation::Created) && creations.contains(&Creation::NameTaken), "{creations:?}");
    assert_eq!(tokens.list().await.expect("lists").len(), 1);
    // A name is what it is, capitals and all.
    assert_eq!(tokens.create(&token("CI", 3)).await.expect("creates"), Creation::Created);
}

pub async fn a_name_is_free_again_once_its_token_is_revoked_or_has_expired(
    Subject { tokens, second, home: _home }: Subject,
) {
    tokens.create(&token("ci", 1)).await.expect("creates");
    assert!(second.revoke(&token("ci", 1).name, now()).await.expect("revokes"));
    let second_of_it = ApiToken { created_at: now() + TimeDelta::seconds(1), ..token("ci", 2) };
    assert_eq!(tokens.create(&second_of_it).await.expect("creates"), Creation::Created);
    let third = |created_at| ApiToken { created_at, expires_at: None, ..token("ci", 3) };
    let before = in_an_hour() - TimeDelta::microseconds(1);
    assert_eq!(tokens.create(&third(before)).await.expect("creates"), Creation::NameTaken);
    assert_eq!(states(&*tokens, now()).await[0], ("ci".to_owned(), TokenState::Living));
    assert_eq!(tokens.create(&third(in_an_hour())).await.expect("creates"), Creation::Created);
    let ci = |state| ("ci".to_owned(), state);
    let mut listed = states(&*second, in_an_hour()).await;
    assert_eq!(listed.remove(0), ci(TokenState::Living));
    listed.sort_by_key(|(_, state)| state.as_str());
    assert_eq!(listed, [ci(TokenState::Expired), ci(TokenState::Revoked)]);
}

pub async fn only_a_living_token_can_be_revoked(Subject { tokens, second, home: _home }: Subject) {
    tokens.create(&token("ci", 1)).await.expect("creates");
    tokens.create(&ApiToken { expires_at: None, ..token("other", 2) }).await.expect("creates");
    let revoke = async |name: &str, at| tokens.revoke(&token(name, 0).name, at).await.expect("revokes");
    assert!(!revoke("nobody", now()).await);
    assert!(!revoke("ci", in_an_hour()).await, "it has expired");
    assert!(revoke("ci", now()).await);
    assert!(!revoke("ci", now()).await, "it is revoked");
    let listed = second.list().await.expect("lists");
    let ended: Vec<_> = listed.iter().map(|token| (token.name.as_str(), token.ended_at)).collect();
    assert_eq!(ended, [("ci", Some(now())), ("other", None)]);
}

pub async fn those_that_ended_long_ago_are_not_read_again_and_again(Subject { tokens, second, home: _home }: Subject) {
    tokens.create(&token("expires", 1)).await.expect("creates");
    tokens.create(&ApiToken { expires_at: None, ..token("revoked", 2) }).await.expect("creates");
    tokens.create(&ApiToken { expires_at: None, ..token("living", 3) }).await.expect("creates");
    let half_an_hour = now() + TimeDelta::minutes(30);
    assert!(tokens.revoke(&token("revoked", 2).name, half_an_hour).await.expect("revokes"));
    for (moment, expected) in [
        (now(), &["expires", "living", "revoked"][..]),
        (half_an_hour, &["expires", "living"]),
        (in_an_hour(), &["living"]),
    ] {
        let mut read = second.not_ended_by(moment).await.expect("reads");
        read.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(read.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), expected, "{moment}");
    }
}

pub async fn the_latest_use_is_noted(Subject { tokens, second, home: _home }: Subject) {
    tokens.create(&token("ci", 1)).await.expect("creates");
    tokens.create(&token("other", 2)).await.expect("creates");
    let hash = token("ci", 1).hash;
    for (seconds, expected) in [(1, 1), (60, 60), (30, 60)] {
        second.note_use(&hash, now() + TimeDelta::seconds(seconds)).await.expect("notes");
        let listed = tokens.list().await.expect("lists");
        let used: Vec<_> = listed.iter().map(|token| token.last_used_at).collect();
        assert_eq!(used, [Some(now() + TimeDelta::seconds(expected)), None]);
    }
    tokens.note_use(&TokenHash([9; 32]), now()).await.expect("notes nothing");
}
