//! Connection strings of keywords, `host=db.example user=staticreg dbname=counts`, as libpq reads them: another way to say
//! what a URL's parameters say.

use super::url::{self, Parts, ServerLocation, UrlFault};

const PAIR: UrlFault = UrlFault::new("what stands there is not KEYWORD=VALUE, with spaces between");
const QUOTE: UrlFault = UrlFault::new("a value in single quotes does not end, or something follows it at once");
const NAME: UrlFault = UrlFault::new("a keyword is not known, or a value with spaces stands without single quotes");

/// Whether a text is meant as keywords: it begins with one.
pub(crate) fn are_keywords(text: &str) -> bool {
    let name = text.split('=').next().unwrap_or_default().trim();
    text.contains('=') && !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// Reads keywords and their values.
pub(crate) fn parse(text: &str) -> Result<ServerLocation, UrlFault> {
    url::check_characters(text)?;
    let mut parts = Parts::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(PAIR)?;
        let (value, after) = value(after.trim_start())?;
        let name = name.trim_end();
        // What is no keyword may be the rest of a password.
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(PAIR);
        }
        parts.parameter(name, value)?;
        rest = after.trim_start();
    }
    if parts.has_other_than_known() {
        return Err(NAME);
    }
    parts.place()
}

/// The value at the start of a text, and what follows it. A backslash keeps the next character as it is.
fn value(text: &str) -> Result<(String, &str), UrlFault> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |text| (true, text));
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, kept)| kept)),
            '\'' if quoted => {
                let rest = &text[at + 1..];
                let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
                return if ends { Ok((value, rest)) } else { Err(QUOTE) };
            }
            space if space.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err(QUOTE) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_say_what_a_url_says() {
        let place =
            parse("host=db.example  port = 6432 user=u dbname='pulls of 2026' password='it\\'s a \\\\ @/?#'").unwrap();
        let options = &place.ways[0];
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
        assert_eq!((options.get_username(), options.get_database()), ("u", Some("pulls of 2026")));
        assert!(format!("{options:?}").contains(r"it's a \\ @/?#"), "{options:?}");
        let socket = parse("host=/run/postgresql user=u password='' connect_timeout=5 sslmode=disable").unwrap();
        assert_eq!(socket.ways[0].get_socket().and_then(|folder| folder.to_str()), Some("/run/postgresql"));
        assert_eq!(socket.unknown, ["connect_timeout"]);
        assert!(are_keywords("host=db") && are_keywords(" host = db") && !are_keywords("mysql://u@db?a=b"));
    }

    #[test]
    fn what_is_malformed_is_refused_and_nothing_of_it_told() {
        for text in [
            "host=db password=ge heim",
            "host=db password=ge heim=x",
            "host=db password='geheim",
            "host=db password='ge'heim",
            "host=db password=geheim =x",
            "host=db password=geheim port=heim",
            "host=db password=geheim sslmode=heim",
            "host=db password=ge\0heim",
            "host=one,two password=geheim",
        ] {
            let told = parse(text).map(|_| ()).expect_err(text);
            assert!(!format!("{told} {told:?}").contains("heim"), "{text}: {told}");
        }
    }
}
