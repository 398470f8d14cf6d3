//! Challenges as servers send them in `WWW-Authenticate` (RFC 9110, 11.6.1), read leniently: values without quotes,
//! several challenges in one header, odd spaces and separators.

/// A challenge and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Such as `Bearer`.
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(crate) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// A parameter; none when it is empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }
}

/// The challenges of one header.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || is_separator(c));
        if rest.is_empty() {
            return challenges;
        }
        let (word, after) = split(rest, |c| c.is_whitespace() || is_separator(c) || c == '=');
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = read_value(value.trim_start());
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word.to_owned(), value));
            }
            rest = after;
        } else {
            // Else it is the rest of a value without quotes, such as `push` of `repository:a:pull,push`.
            if begins_challenge(word, after) {
                challenges.push(Challenge { scheme: word.to_owned(), parameters: Vec::new() });
            }
            rest = after;
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';')
}

fn split(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

fn begins_challenge(word: &str, after: &str) -> bool {
    let parameters = after.trim_start();
    let has_parameters =
        parameters.len() < after.len() && !parameters.is_empty() && !parameters.starts_with(is_separator);
    has_parameters || ["basic", "bearer"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// A value, in quotes or not, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let (value, after) = split(text, |c| c.is_whitespace() || is_separator(c));
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut characters = text[1..].char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c if c == quote => return (value, &text[at + 2..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(String, Vec<(String, String)>)> {
        parse(header).into_iter().map(|Challenge { scheme, parameters }| (scheme, parameters)).collect()
    }

    fn expected(challenges: &[(&str, &[(&str, &str)])]) -> Vec<(String, Vec<(String, String)>)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let challenge = |(scheme, parameters): &(&str, &[(&str, &str)])| {
            ((*scheme).to_owned(), parameters.iter().map(owned).collect())
        };
        challenges.iter().map(challenge).collect()
    }

    #[test]
    fn challenges_are_read_in_every_form() {
        const REALM: (&str, &str) = ("realm", "https://a/token");
        let bearer: &[(&str, &[_])] = &[("Bearer", &[REALM, ("service", "a, b"), ("scope", "repository:x:pull,push")])];
        for (header, challenges) in [
            (r#"Bearer realm="https://a/token",service="a, b",scope="repository:x:pull,push""#, bearer),
            (r#"  Bearer   realm = "https://a/token" ,  service="a, b" , scope="repository:x:pull,push" ,"#, bearer),
            (r#"Bearer realm="https://a/token"; service="a, b"; scope="repository:x:pull,push""#, bearer),
            (r#"Bearer realm="https://a/token" service="a, b" scope="repository:x:pull,push""#, bearer),
            ("Bearer realm='https://a/token',service='a, b',scope='repository:x:pull,push'", bearer),
            (r#"Bearer realm="https://a/token",service="a\, b",scope="repository:x:pull,push"#, bearer),
            (
                "Bearer realm=https://a/token,scope=repository:x:pull,push,service=a",
                &[("Bearer", &[REALM, ("scope", "repository:x:pull"), ("service", "a")])],
            ),
            (
                "Bearer realm=https://a/token?x=1,scope=",
                &[("Bearer", &[("realm", "https://a/token?x=1"), ("scope", "")])],
            ),
            (
                r#"Negotiate, Basic realm="x", Digest realm="y", nonce=z==, BEARER Realm="https://a/token""#,
                &[
                    ("Basic", &[("realm", "x")]),
                    ("Digest", &[("realm", "y"), ("nonce", "z==")]),
                    ("BEARER", &[("Realm", "https://a/token")]),
                ],
            ),
            ("Basic", &[("Basic", &[])]),
            ("Negotiate", &[]),
            ("realm=x, =, \"", &[]),
            ("", &[]),
        ] {
            assert_eq!(read(header), expected(challenges), "{header}");
        }
    }

    #[test]
    fn an_empty_parameter_is_none() {
        let challenges = parse(r#"Bearer REALM="https://a/token",service=" ",scope="""#);
        let [bearer] = &challenges[..] else { panic!("one challenge: {challenges:?}") };
        assert!(bearer.is("bearer"));
        let parameters = ["realm", "service", "scope", "error"].map(|name| bearer.parameter(name));
        assert_eq!(parameters, [Some("https://a/token"), None, None, None]);
    }
}
