//! Hashes of passwords: bcrypt and argon2id (RFC 9106), as htpasswd and other tools write them.

use std::fmt;

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version, password_hash::phc};
use bcrypt::HashParts;
use subtle::ConstantTimeEq as _;

/// bcrypt looks at no more bytes of a password, so that longer ones would be as good as their beginning.
const MAX_BCRYPT_PASSWORD: usize = 72;

/// The least cost that there is, and the greatest that is bearable: a check takes some seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// The most memory that a check may take, in KiB.
const MAX_ARGON2_MEMORY: u32 = 256 << 10;

/// The most passes over that memory.
const MAX_ARGON2_PASSES: u32 = 64;

/// The most lanes.
const MAX_ARGON2_LANES: u32 = 64;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PasswordHash {
    Bcrypt(String),
    Argon2id(Box<Argon2id>),
}

/// An argon2id hash, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Argon2id {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl PasswordHash {
    /// Reads a hash; else what is wrong with it, without telling any of it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "its hash is neither bcrypt nor argon2id; `htpasswd -B` makes the former";
        match text.split('$').nth(1) {
            Some("2a" | "2b" | "2y") => Self::bcrypt(text),
            Some("argon2id") => Self::argon2id(text),
            _ => Err(UNKNOWN),
        }
    }

    fn bcrypt(text: &str) -> Result<Self, &'static str> {
        let parts: HashParts = text.parse().map_err(|_| "its bcrypt hash is malformed")?;
        if !BCRYPT_COSTS.contains(&parts.get_cost()) {
            return Err("the cost of its bcrypt hash is not from 4 to 16");
        }
        Ok(Self::Bcrypt(text.to_owned()))
    }

    fn argon2id(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "its argon2id hash is malformed";
        let parsed = phc::PasswordHash::new(text).map_err(|_| MALFORMED)?;
        let (Some(salt), Some(hash)) = (&parsed.salt, &parsed.hash) else { return Err(MALFORMED) };
        if parsed.algorithm != ARGON2ID_IDENT || parsed.version != Some(Version::V0x13.into()) {
            return Err("its argon2id hash is not of version 19");
        }
        // Before the crate looks at them: it multiplies first.
        let is_at_most = |name, most| parsed.params.get_decimal(name).is_none_or(|value| value <= most);
        if !is_at_most("m", MAX_ARGON2_MEMORY)
            || !is_at_most("t", MAX_ARGON2_PASSES)
            || !is_at_most("p", MAX_ARGON2_LANES)
        {
            return Err("its argon2id hash takes more than 256 MiB, 64 passes or 64 lanes");
        }
        let params = Params::try_from(&parsed).map_err(|_| MALFORMED)?;
        Ok(Self::Argon2id(Box::new(Argon2id { params, salt: salt.to_vec(), hash: hash.as_bytes().to_vec() })))
    }

    /// Whether it is the hash of a password. This takes long, so it is not for a thread that answers.
    pub(super) fn fits(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => {
                password.len() <= MAX_BCRYPT_PASSWORD && bcrypt::verify(password, hash).is_ok_and(|fits| fits)
            }
            Self::Argon2id(hash) => {
                let mut made = vec![0; hash.hash.len()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, hash.params.clone());
                argon2.hash_password_into(password, &hash.salt, &mut made).is_ok() && made.ct_eq(&hash.hash).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `r1ght`, made by Python's bcrypt and argon2-cffi.
    const BCRYPT: &str = "$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";
    const ARGON2ID: &str =
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$niwTJtTx6nO2MjSCZAyGwJSnEzmg8ECquGm/cryhDz8";
    /// Of four lanes, and no longer than 16 bytes.
    const SHORT_ARGON2ID: &str = "$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$V7IRNw3iTgsEZQRzQy3XWg";

    #[test]
    fn hashes_that_others_made_fit_their_password_and_no_other() {
        for hash in [BCRYPT, &BCRYPT.replace("2b", "2y"), &BCRYPT.replace("2b", "2a"), ARGON2ID, SHORT_ARGON2ID] {
            let parsed = PasswordHash::parse(hash).expect(hash);
            assert!(parsed.fits(b"r1ght"), "{hash}");
            for wrong in ["", "r1gh", "r1ght ", "R1ght", "r1ght\0"] {
                assert!(!parsed.fits(wrong.as_bytes()), "{hash} {wrong:?}");
            }
            assert_eq!(format!("{parsed:?}"), "PasswordHash(***)");
        }
        let umlaut = PasswordHash::parse("$2b$04$abcdefghijklmnopqrstuuQYEk91mE9jD3s0Fa6l8hqSxfClgS2VO").unwrap();
        assert!(umlaut.fits("grün".as_bytes()) && !umlaut.fits(b"gr\xfcn"));
    }

    #[test]
    fn a_password_that_bcrypt_would_cut_fits_nothing() {
        let hash = PasswordHash::parse("$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i").unwrap();
        assert!(hash.fits(&[b'x'; 72]) && !hash.fits(&[b'x'; 73]) && !hash.fits(&[b'x'; 71]));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_telling_it() {
        let of_version_16 = ARGON2ID.replace("v=19", "v=16");
        for (hash, reason) in [
            ("", "neither bcrypt nor argon2id"),
            ("r1ght", "neither bcrypt nor argon2id"),
            ("$apr1$abc$0123456789012345678901", "neither bcrypt nor argon2id"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "neither bcrypt nor argon2id"),
            ("$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$Z7A6dRj7j2cCz4hVtET9MI", "neither bcrypt nor argon2id"),
            (&BCRYPT.replace("2b", "2x"), "neither bcrypt nor argon2id"),
            ("$2b$04$short", "bcrypt hash is malformed"),
            (&BCRYPT.replace("KbQ", "Kü"), "bcrypt hash is malformed"),
            (&BCRYPT.replace("$04$", "$17$"), "not from 4 to 16"),
            (&BCRYPT.replace("$04$", "$03$"), "not from 4 to 16"),
            ("$argon2id$", "argon2id hash is malformed"),
            ("$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA", "argon2id hash is malformed"),
            (&ARGON2ID.replace("p=1", "p=9"), "argon2id hash is malformed"),
            (&ARGON2ID.replace("t=2", "t=0"), "argon2id hash is malformed"),
            (&of_version_16, "not of version 19"),
            (&ARGON2ID.replace("m=64", "m=262145"), "takes more than 256 MiB"),
            (&ARGON2ID.replace("t=2", "t=65"), "takes more than 256 MiB"),
            (&ARGON2ID.replace("p=1", "p=4294967295"), "takes more than 256 MiB"),
        ] {
            let error = PasswordHash::parse(hash).expect_err(hash);
            assert!(error.contains(reason), "{hash}: {error}");
        }
    }
}
