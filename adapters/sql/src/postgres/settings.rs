//! What is set for a session. It is set once the connection is made, and not while it is: a pooler between drops what a
//! client asks for when it connects, some of them without a word.

use std::collections::BTreeMap;

use sea_orm::sqlx::{self, PgConnection};

/// Settings of a session by their names.
pub(crate) type Settings = BTreeMap<String, String>;

/// A setting that older servers do not know.
const NEW: &str = "transaction_timeout";

/// What staticreg sets on every connection, so that nothing set for the database or the user spoils what it does. Each
/// use has a limit of its own.
pub(super) const COMMON: [(&str, &str); 8] = [
    ("client_min_messages", "warning"),
    ("default_transaction_isolation", "read committed"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("jit", "off"),
    ("lock_timeout", "0"),
    ("statement_timeout", "0"),
    (NEW, "0"),
];

/// Sets them for as long as the connection is there.
pub(super) async fn apply(connection: &mut PgConnection, settings: &Settings) -> sqlx::Result<()> {
    const SET: &str = "SELECT set_config(name, value, false) FROM unnest($1, $2) AS given (name, value) \
                       WHERE name <> $3 OR current_setting(name, true) IS NOT NULL";
    let (names, values): (Vec<&str>, Vec<&str>) =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
    // First, as the limit that the database has may be shorter than what follows takes. A pooler may leave what the
    // client before prepared.
    sqlx::raw_sql("SET statement_timeout = 0; DEALLOCATE ALL").execute(&mut *connection).await?;
    sqlx::query(SET).bind(names).bind(values).bind(NEW).persistent(false).execute(connection).await.map(drop)
}

/// The settings that a text such as `-c search_path=pulls --work_mem=8MB` asks for; none when it asks for anything
/// else, which only the server can do.
pub(super) fn of_options(text: &str) -> Option<Settings> {
    let mut settings = Settings::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--") {
            Some(setting) => setting.to_owned(),
            None => match word.strip_prefix("-c")? {
                "" => words.next()?,
                setting => setting.to_owned(),
            },
        };
        let (name, value) = setting.split_once('=')?;
        // As the server has it: a dash is another way to write the other.
        settings.insert(name.replace('-', "_").to_ascii_lowercase(), value.to_owned());
    }
    Some(settings)
}

/// Words between spaces; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        let read = |text| {
            let settings = of_options(text)?;
            Some(settings.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";"))
        };
        assert_eq!(read("-c search_path=pulls").as_deref(), Some("search_path=pulls"));
        assert_eq!(read(" -cwork_mem=8MB  --Lock-Timeout=1s ").as_deref(), Some("lock_timeout=1s;work_mem=8MB"));
        assert_eq!(read(r"-c search_path=a\ b,\\c").as_deref(), Some(r"search_path=a b,\c"));
        assert_eq!(read("").as_deref(), Some(""));
        for other in ["-F", "-c", "-c search_path", "search_path=pulls", "-N 5 -c a=b"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
