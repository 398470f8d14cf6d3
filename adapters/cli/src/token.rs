//! The commands for API tokens. What is asked for goes to standard output, and nothing else, so that scripts can take it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Arg, ArgMatches, Command};
use staticreg_domain::{
    Clock as _,
    api_token::{ApiToken, ApiTokenAdmin, Creation, Scopes, TokenName},
    error::describe,
};
use staticreg_http::access::ApiSecret;

use crate::{Failure, print, say, settings::Db, wiring::store, wiring::system_clock::SystemClock};

/// The shortest and the longest time a token may have.
const LIFETIMES: [Duration; 2] = [Duration::from_secs(1), Duration::from_hours(24 * 3650)];

/// What is to be done with tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenTask {
    /// Make one, and print it.
    Create {
        /// What it is called.
        name: TokenName,
        /// For how long it lets in.
        lifetime: Option<Duration>,
        /// What it lets its holder do.
        scopes: Scopes,
    },
    /// Print what there is to know of all.
    List,
    /// Revoke one.
    Revoke(TokenName),
}

/// The command and its own commands, made by `task`, which knows the settings.
pub(crate) fn command(task: impl Fn(&'static str, &[&str]) -> Command) -> Command {
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .value_parser(str::parse::<TokenName>)
            .help("What it is called")
    };
    let expires = Arg::new("expires")
        .long("expires")
        .value_name("DURATION")
        .allow_hyphen_values(true)
        .value_parser(lifetime)
        .help("For how long it lets in, such as 90d; without it until it is revoked");
    let scope = Arg::new("scope")
        .long("scope")
        .value_name("SCOPES")
        .default_value("read")
        .value_parser(str::parse::<Scopes>)
        .help("What it lets its holder do, by comma: read, post, metrics, running");
    let create = task("create", &["db."]).about("Makes a token, and prints it this one time");
    Command::new("token")
        .about("Makes, lists and revokes API tokens, which let programs in")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(create.arg(name()).arg(expires).arg(scope))
        .subcommand(task("list", &["db."]).about("Lists all tokens: scopes, times, state"))
        .subcommand(
            task("revoke", &["db."]).about("Revokes a token; servers let it in no more within seconds").arg(name()),
        )
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let [least, most] = LIFETIMES;
    let lifetime = humantime::parse_duration(text).ok().filter(|lifetime| (least..=most).contains(lifetime));
    lifetime.ok_or_else(|| "a duration is from 1s to 3650d, such as 90d".to_owned())
}

impl TokenTask {
    /// What the command line asks for.
    pub(crate) fn from_matches(matches: &ArgMatches) -> Option<Self> {
        let name = |matches: &ArgMatches| matches.get_one::<TokenName>("name").cloned();
        match matches.subcommand()? {
            ("create", matches) => Some(Self::Create {
                name: name(matches)?,
                lifetime: matches.get_one("expires").copied(),
                scopes: matches.get_one::<Scopes>("scope").cloned()?,
            }),
            ("list", _) => Some(Self::List),
            ("revoke", matches) => name(matches).map(Self::Revoke),
            _ => None,
        }
    }

    /// Does it.
    pub(crate) async fn run(&self, db: &Db) -> Result<(), Failure> {
        // To look at tokens makes no database.
        let tokens = store::api_tokens(db, matches!(self, Self::Create { .. })).await?;
        let now = SystemClock.now();
        match self {
            Self::Create { name, lifetime, scopes } => create(&tokens, name, *lifetime, scopes, now, print).await,
            Self::List => print(&listed(&tokens.list().await.map_err(|error| describe(&error))?, now)),
            Self::Revoke(name) => {
                if !tokens.revoke(name, now).await.map_err(|error| describe(&error))? {
                    return Err(
                        format!("No living token is called {name}. `staticreg token list` tells of all.").into()
                    );
                }
                print(&format!("The token {name} is revoked.\n"))
            }
        }
    }
}

async fn create(
    tokens: &impl ApiTokenAdmin,
    name: &TokenName,
    lifetime: Option<Duration>,
    scopes: &Scopes,
    now: DateTime<Utc>,
    show: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let secret = ApiSecret::random()?;
    let token = ApiToken {
        name: name.clone(),
        hash: secret.hash(),
        scopes: scopes.clone(),
        created_at: now,
        expires_at: lifetime.map(|lifetime| now + lifetime),
        ended_at: None,
        last_used_at: None,
    };
    match tokens.create(&token).await.map_err(|error| describe(&error))? {
        Creation::Created => {}
        Creation::NameTaken => {
            return Err(
                format!("A living token is called {name} already. Revoke it first, or choose another name.").into()
            );
        }
    }
    let end = token.expires_at.map_or_else(|| "it is revoked".to_owned(), time);
    say(&format!("the token lets in until {end}. It is not shown again."));
    if show(&format!("{}\n", secret.expose())).is_err() {
        // Nobody has it.
        let revoked = tokens.revoke(name, now).await;
        let what = if revoked.is_ok() { "It is revoked." } else { "Revoke it." };
        return Err(format!("The token {name} could not be printed. {what}").into());
    }
    Ok(())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A table, whose columns are as wide as they must be.
fn listed(tokens: &[ApiToken], now: DateTime<Utc>) -> String {
    const HEAD: [&str; 6] = ["NAME", "SCOPES", "STATE", "CREATED", "EXPIRES", "LAST USE"];
    let time_or = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), time);
    let row = |token: &ApiToken| {
        [
            token.name.to_string(),
            token.scopes.to_string(),
            token.state(now).as_str().to_owned(),
            time(token.created_at),
            time_or(token.expires_at),
            time_or(token.last_used_at),
        ]
    };
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(tokens.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let line = |row: &[String; HEAD.len()]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use staticreg_domain::api_token::{MockApiTokenAdmin, Scope, TokenHash};

    use super::*;

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-11-21T{time}Z").parse().expect("a time")
    }

    fn token(name: &str) -> ApiToken {
        ApiToken {
            name: name.parse().expect("a name"),
            hash: TokenHash([0; 32]),
            scopes: Scope::Read.into(),
            created_at: at("09:00:00"),
            expires_at: None,
            ended_at: None,
            last_used_at: None,
        }
    }

    #[test]
    fn the_list_is_a_table() {
        let tokens = [
            ApiToken {
                scopes: "read,post".parse().expect("scopes"),
                last_used_at: Some(at("10:00:00.5")),
                ..token("a-b")
            },
            ApiToken { expires_at: Some(at("11:00:00")), ..token("ci") },
            ApiToken { ended_at: Some(at("10:00:00")), ..token("x") },
        ];
        let expected = "\
NAME  SCOPES     STATE    CREATED               EXPIRES               LAST USE
a-b   read,post  living   2026-11-21T09:00:00Z  never                 2026-11-21T10:00:00Z
ci    read       expired  2026-11-21T09:00:00Z  2026-11-21T11:00:00Z  never
x     read       revoked  2026-11-21T09:00:00Z  never                 never
";
        assert_eq!(listed(&tokens, at("12:00:00")), expected);
    }

    #[tokio::test]
    async fn a_name_that_is_taken_is_told() {
        let mut tokens = MockApiTokenAdmin::new();
        tokens.expect_create().returning(|_| Ok(Creation::NameTaken));
        let told = refusal(&tokens, |_| Ok(())).await;
        assert!(told.starts_with("A living token is called ci already."), "{told}");
    }

    #[tokio::test]
    async fn a_token_that_could_not_be_printed_is_revoked() {
        let mut tokens = MockApiTokenAdmin::new();
        tokens.expect_create().returning(|_| Ok(Creation::Created));
        tokens.expect_revoke().once().withf(|name, _| name.as_str() == "ci").returning(|_, _| Ok(true));
        let told = refusal(&tokens, |_| Err("the disk is full".into())).await;
        assert_eq!(told, "The token ci could not be printed. It is revoked.");
    }

    async fn refusal(tokens: &MockApiTokenAdmin, show: impl FnOnce(&str) -> Result<(), Failure>) -> String {
        match create(tokens, &token("ci").name, None, &Scope::Read.into(), at("12:00:00"), show).await {
            Err(Failure::Other(told)) => told,
            _ => panic!("it was created"),
        }
    }

    #[test]
    fn a_lifetime_has_a_unit_and_an_end() {
        assert_eq!(lifetime("90d"), Ok(Duration::from_hours(24 * 90)));
        for text in ["", "90", "0s", "3651d", "-1d", "soon"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
