//! Values that never show, and the files that hold them.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use figment::value;

use super::value::{Hint, Toml, Value, text};

/// The longest file of secrets, in KiB: nobody has so many.
const MAX_KIB: u64 = 64;

/// A text that never shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Value for Secret {
    const NAME: &'static str = "TEXT";
    const WHAT: &'static str = "a text";
    const TOML: Toml = Toml::Quoted;
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Hint> {
        if text.is_empty() { Err(None) } else { Ok(Self(text.to_owned())) }
    }

    /// As it stands: spaces may belong to a password.
    fn read(given: &value::Value) -> Result<Self, Hint> {
        Self::parse(&text(given).ok_or(None)?)
    }
}

/// Texts that never show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretList {
    secrets: Vec<Secret>,
    /// The file that holds them.
    pub(crate) file: Option<PathBuf>,
}

impl SecretList {
    pub(crate) fn expose(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(Secret::expose)
    }

    /// The secrets that a file holds, one a line.
    pub(crate) fn in_file(path: &Path) -> io::Result<Self> {
        Ok(Self { secrets: lines_of_file(path)?.into_iter().map(Secret).collect(), file: Some(path.to_owned()) })
    }
}

impl Value for SecretList {
    const NAME: &'static str = "TEXTS";
    const WHAT: &'static str = "a list of texts";
    const TOML: Toml = Toml::List;
    const SECRET: bool = true;
    const MANY: bool = true;

    fn parse(text: &str) -> Result<Self, Hint> {
        Ok(Self { secrets: Vec::parse(text)?.into_iter().map(Secret).collect(), file: None })
    }

    fn read(given: &value::Value) -> Result<Self, Hint> {
        Ok(Self { secrets: Vec::read(given)?.into_iter().map(Secret).collect(), file: None })
    }

    fn held_in(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }
}

/// What a file with secrets holds, when it is no longer than that many KiB; a device could be endless.
pub(crate) fn text_of_file(path: &Path, max_kib: u64) -> io::Result<String> {
    let (mut text, max_bytes) = (String::new(), max_kib << 10);
    File::open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it is longer than {max_kib} KiB")));
    }
    Ok(text)
}

/// The lines of a file, without empty ones, comments and the spaces around them.
pub(super) fn lines_of_file(path: &Path) -> io::Result<Vec<String>> {
    let text = text_of_file(path, MAX_KIB)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// The secret that a file holds, without the newline at its end, which editors and `echo` add.
pub(super) fn from_file(path: &Path) -> io::Result<String> {
    let mut text = text_of_file(path, MAX_KIB)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(text)
}

/// Whether a secret that a flag tells is one: a URL may well hold no password.
pub(super) fn is_secret(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return true };
    // A password may hold any character, so all that can be one is taken for it.
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || rest.to_ascii_lowercase().contains("password=")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_newline_at_the_end_of_a_file_is_no_part_of_the_secret() {
        for (held, secret) in
            [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" s3 cret ", " s3 cret "), ("a\nb", "a\nb")]
        {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            write!(file, "{held}").expect("written");
            assert_eq!(from_file(file.path()).expect("a secret"), secret);
        }
    }

    #[test]
    fn a_file_that_holds_no_secret_is_told() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file).expect("written");
        assert_eq!(from_file(file.path()).expect_err("empty").to_string(), "it is empty");
        file.write_all(&[0xff]).expect("written");
        assert!(from_file(file.path()).expect_err("no text").to_string().contains("UTF-8"));
        assert_eq!(from_file(Path::new("/dev/zero")).expect_err("endless").to_string(), "it is longer than 64 KiB");
    }

    #[test]
    fn a_file_of_many_holds_one_a_line() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(lines_of_file(file.path()).expect("none"), [""; 0]);
        write!(file, "a,b\r\n\n  # c d \n c#d \nlast").expect("written");
        assert_eq!(lines_of_file(file.path()).expect("some"), ["a,b", "c#d", "last"]);
        let list = SecretList::in_file(file.path()).expect("some");
        assert_eq!(list.expose().count(), 3);
        assert!(!format!("{list:?}").contains("last"));
    }

    #[test]
    fn a_url_without_a_password_is_no_secret() {
        for text in ["s3cret", "postgres://u:p@h/d", "postgres://h/d?user=u&password=p", "postgres://u:p@x@h/d"] {
            assert!(is_secret(text), "{text}");
        }
        for text in ["sqlite:///var/counts.db", "postgres://u@h:5432/d", "postgres://h:5432/d"] {
            assert!(!is_secret(text), "{text}");
        }
    }

    #[test]
    fn a_secret_never_shows() {
        assert_eq!(format!("{:?}", Secret::parse("s3cret")), "Ok(***)");
    }
}
