//! Signatures: a sender shows that it knows a secret without showing it.
//!
//! Standard Webhooks 1.0 signs the time too, so that what was overheard is of no use later. The `-256` headers sign the
//! body alone: what is sent again changes nothing only as long as the ids of its events are remembered.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::RwLock;
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use staticreg_domain::Clock;
use subtle::{Choice, ConstantTimeEq as _};

use super::tokens::BASE64;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The headers that carry `sha256=HEX` of the body.
const OF_BODY: [HeaderName; 2] =
    [HeaderName::from_static("x-hub-signature-256"), HeaderName::from_static("x-registry-signature-256")];

/// How far a signature's time may be from ours, in seconds.
const REPLAY_WINDOW: u64 = 5 * 60;

/// What a secret of Standard Webhooks begins with; base64 follows.
const BASE64_PREFIX: &str = "whsec_";

/// The secrets by which a signature is checked. They may change while the server runs; all clones do.
#[derive(Clone)]
pub struct Signatures {
    keys: Arc<RwLock<Arc<[Key]>>>,
    clock: Arc<dyn Clock>,
}

/// A secret, ready to sign with.
struct Key {
    signing: Hmac<Sha256>,
    /// What it makes of nothing, to tell it from others.
    check: Code,
}

type Code = [u8; 32];

impl Key {
    fn new(secret: &[u8]) -> Self {
        let signing = Hmac::new_from_slice(secret).expect("a key may have any length");
        let mut key = Self { signing, check: [0; 32] };
        key.check = key.sign(b"", b"");
        key
    }

    fn sign(&self, before: &[u8], body: &[u8]) -> Code {
        self.signing.clone().chain_update(before).chain_update(body).finalize().into_bytes().into()
    }
}

/// A secret that begins with `whsec_`, and no base64 follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSecret;

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one begins with {BASE64_PREFIX}, and what follows is no base64")
    }
}

impl std::error::Error for InvalidSecret {}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signatures(***)")
    }
}

/// The header, with its value, by which a sender that knows a secret signs a body.
#[must_use]
pub fn signature_of_body(secret: &str, body: &[u8]) -> (&'static str, String) {
    let mut value = "sha256=".to_owned();
    for byte in Key::new(secret.as_bytes()).sign(b"", body) {
        // Writing to a String never fails.
        let _ = write!(value, "{byte:02x}");
    }
    ("X-Registry-Signature-256", value)
}

/// What a request says of its signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    Nothing,
    /// A signature whose time is not now.
    OutOfTime,
    Signed(Claim),
}

/// A signature that is to be checked when the body is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claim {
    /// What is signed before the body, and the codes that may be its.
    with_time: Option<(Vec<u8>, Vec<Code>)>,
    /// The codes that may be the body's.
    of_body: Vec<Code>,
}

impl Signatures {
    /// Signatures by these secrets; when there are none, no signature fits.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>, clock: Arc<dyn Clock>) -> Result<Self, InvalidSecret> {
        Ok(Self { keys: Arc::new(RwLock::new(keys(secrets)?)), clock })
    }

    /// Checks by these secrets from now on; whether they are others than before. When one is invalid, the old ones stay.
    pub fn replace<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Result<bool, InvalidSecret> {
        let keys = keys(secrets)?;
        let mut known = self.keys.write();
        let is_new = !known.iter().map(|key| key.check).eq(keys.iter().map(|key| key.check));
        *known = keys;
        Ok(is_new)
    }

    pub(super) fn claimed(&self, headers: &HeaderMap) -> Claimed {
        let of_body = OF_BODY.iter().filter_map(|name| code_of_body(only(headers, name)?)).collect();
        let mut claim = Claim { with_time: None, of_body };
        let mut in_time = true;
        if let Some((id, timestamp, codes)) = standard(headers) {
            let now = self.clock.now().timestamp();
            in_time = seconds(timestamp).is_some_and(|signed| signed.abs_diff(now) <= REPLAY_WINDOW);
            if in_time {
                let before = [id.as_bytes(), timestamp.as_bytes(), b""].join(&b'.');
                claim.with_time = Some((before, codes));
            }
        }
        match (claim, in_time) {
            (claim, true) if claim == Claim::default() => Claimed::Nothing,
            (claim, false) if claim == Claim::default() => Claimed::OutOfTime,
            (claim, _) => Claimed::Signed(claim),
        }
    }

    /// Whether one of the secrets has signed this body so.
    pub(super) fn fit(&self, claim: &Claim, body: &[u8]) -> bool {
        let keys = Arc::clone(&self.keys.read());
        let fits = |key: &Key, before: &[u8], codes: &[Code]| {
            let code = key.sign(before, body);
            codes.iter().fold(Choice::from(0), |found, claimed| found | claimed.ct_eq(&code))
        };
        let mut found = Choice::from(0);
        for key in &*keys {
            if let Some((before, codes)) = &claim.with_time {
                found |= fits(key, before, codes);
            }
            if !claim.of_body.is_empty() {
                found |= fits(key, b"", &claim.of_body);
            }
        }
        found.into()
    }
}

/// Each secret as it stands; of one that holds base64 also what that says.
fn keys<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Arc<[Key]>, InvalidSecret> {
    let mut keys = Vec::new();
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        if let Some(encoded) = secret.strip_prefix(BASE64_PREFIX) {
            let decoded = BASE64.decode(encoded).map_err(|_| InvalidSecret)?;
            if decoded.is_empty() {
                return Err(InvalidSecret);
            }
            keys.push(Key::new(&decoded));
        }
        keys.push(Key::new(secret.as_bytes()));
    }
    Ok(keys.into())
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Id, time and codes of Standard Webhooks.
fn standard(headers: &HeaderMap) -> Option<(&HeaderValue, &HeaderValue, Vec<Code>)> {
    let (id, timestamp) = (only(headers, &ID)?, only(headers, &TIMESTAMP)?);
    let signatures = only(headers, &SIGNATURE)?.to_str().ok()?;
    // Of other versions, for one `v1a`, which is asymmetric, we know nothing.
    let codes = signatures.split_ascii_whitespace().filter_map(|signature| signature.strip_prefix("v1,"));
    let codes: Vec<_> = codes.filter_map(|code| BASE64.decode(code).ok()?.try_into().ok()).collect();
    (!codes.is_empty()).then_some((id, timestamp, codes))
}

/// A time in whole seconds, as it is written in decimal digits.
fn seconds(timestamp: &HeaderValue) -> Option<i64> {
    let digits = timestamp.to_str().ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// `sha256=HEX`.
fn code_of_body(value: &HeaderValue) -> Option<Code> {
    let digits = value.to_str().ok()?.trim().strip_prefix("sha256=")?.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use staticreg_domain::clock::MockClock;

    use super::*;

    /// The example of Standard Webhooks' own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED_AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const CODE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// GitHub's example, in "Validating webhook deliveries".
    const HUB_SECRET: &str = "It's a Secret to Everybody";
    const HUB_BODY: &[u8] = b"Hello, World!";
    const HUB_CODE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn signatures(secrets: &[&str], now: i64) -> Signatures {
        let mut clock = MockClock::new();
        clock.expect_now().returning(move || DateTime::from_timestamp(now, 0).expect("a time"));
        Signatures::new(secrets.iter().copied(), Arc::new(clock)).expect("secrets")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect(value));
        }
        headers
    }

    fn standard_headers(signature: &str) -> HeaderMap {
        let signed_at = SIGNED_AT.to_string();
        headers(&[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", &signed_at),
            ("webhook-signature", signature),
        ])
    }

    /// What becomes of a request.
    fn check(signatures: &Signatures, headers: &HeaderMap, body: &[u8]) -> &'static str {
        match signatures.claimed(headers) {
            Claimed::Nothing => "nothing",
            Claimed::OutOfTime => "out of time",
            Claimed::Signed(claim) if signatures.fit(&claim, body) => "fits",
            Claimed::Signed(_) => "does not fit",
        }
    }

    #[test]
    fn the_published_example_of_standard_webhooks_fits() {
        let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
        for (signature, expected) in [
            (CODE, "fits"),
            (&format!("{other} {CODE}"), "fits"),
            (&format!("{CODE}  {other}"), "fits"),
            (&format!("v1a,AAAA v2,AAAA {CODE}"), "fits"),
            (CODE.trim_end_matches('='), "fits"),
            (other, "does not fit"),
            (&CODE.replace("v1,", "v2,"), "nothing"),
            (&CODE.replace("v1,", ""), "nothing"),
            ("v1,", "nothing"),
            ("v1,!", "nothing"),
            ("", "nothing"),
        ] {
            let headers = standard_headers(signature);
            assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), expected, "{signature}");
        }
        let headers = standard_headers(CODE);
        assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, br#"{"test": 2432232315}"#), "does not fit");
        assert_eq!(check(&signatures(&["other", SECRET], SIGNED_AT), &headers, BODY), "fits");
        assert_eq!(check(&signatures(&["other"], SIGNED_AT), &headers, BODY), "does not fit");
        assert_eq!(check(&signatures(&[], SIGNED_AT), &headers, BODY), "does not fit");
    }

    #[test]
    fn a_signature_is_of_its_time() {
        for (now, expected) in [
            (SIGNED_AT - 300, "fits"),
            (SIGNED_AT + 300, "fits"),
            (SIGNED_AT - 301, "out of time"),
            (SIGNED_AT + 301, "out of time"),
        ] {
            assert_eq!(check(&signatures(&[SECRET], now), &standard_headers(CODE), BODY), expected, "{now}");
        }
        for timestamp in ["", "now", "-1", "+1614265330", "1614265330.0", "99999999999999999999"] {
            let headers = headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", CODE),
            ]);
            assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), "out of time", "{timestamp}");
        }
    }

    #[test]
    fn id_and_time_are_signed_too() {
        for name in ["webhook-id", "webhook-timestamp"] {
            let mut headers = standard_headers(CODE);
            headers.insert(name, HeaderValue::from_static("1614265331"));
            assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), "does not fit", "{name}");
        }
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = standard_headers(CODE);
            let value = headers.remove(name).expect(name);
            assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), "nothing", "{name}");
            headers.append(name, value.clone());
            headers.append(name, value);
            assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), "nothing", "two of {name}");
        }
    }

    #[test]
    fn the_published_example_of_a_signed_body_fits() {
        for name in ["x-hub-signature-256", "x-registry-signature-256"] {
            for (code, expected) in [
                (HUB_CODE, "fits"),
                (&HUB_CODE.to_uppercase().replace("SHA256", "sha256"), "fits"),
                (&HUB_CODE.replace('7', "8"), "does not fit"),
                (HUB_CODE.trim_start_matches("sha256="), "nothing"),
                (&HUB_CODE.replace("sha256", "sha1"), "nothing"),
                (&HUB_CODE[..HUB_CODE.len() - 1], "nothing"),
                (&HUB_CODE[..HUB_CODE.len() - 2], "nothing"),
                (&HUB_CODE.replace("17", "1x"), "nothing"),
                ("", "nothing"),
            ] {
                let headers = headers(&[(name, code)]);
                assert_eq!(check(&signatures(&[HUB_SECRET], 0), &headers, HUB_BODY), expected, "{name}: {code}");
            }
            let headers = headers(&[(name, HUB_CODE), (name, HUB_CODE)]);
            assert_eq!(check(&signatures(&[HUB_SECRET], 0), &headers, HUB_BODY), "nothing", "two of {name}");
        }
    }

    #[test]
    fn one_signature_of_several_suffices() {
        let mut headers = standard_headers(CODE);
        headers.append("x-hub-signature-256", HeaderValue::from_static(HUB_CODE));
        assert_eq!(check(&signatures(&[SECRET], SIGNED_AT), &headers, BODY), "fits");
        assert_eq!(check(&signatures(&[HUB_SECRET], SIGNED_AT), &headers, HUB_BODY), "fits");
        // Out of time, but the other knows no time.
        assert_eq!(check(&signatures(&[HUB_SECRET], 0), &headers, HUB_BODY), "fits");
        assert_eq!(check(&signatures(&[SECRET], 0), &headers, BODY), "does not fit");
    }

    #[test]
    fn a_secret_is_taken_as_it_stands() {
        // printf 'Hello, World!' | openssl dgst -sha256 -hmac "$SECRET"
        let headers = headers(&[(
            "x-hub-signature-256",
            "sha256=7ad4fd21c74c164320d9ac01f24d0797c8be594bf356ab332fdd61a03b78cec0",
        )]);
        assert_eq!(check(&signatures(&[SECRET], 0), &headers, HUB_BODY), "fits");
    }

    #[test]
    fn secrets_may_change_and_never_show() {
        let signatures = signatures(&["old"], SIGNED_AT);
        signatures.clone().replace([SECRET]).expect("a secret");
        assert_eq!(check(&signatures, &standard_headers(CODE), BODY), "fits");
        for invalid in ["whsec_!", "whsec_"] {
            assert_eq!(signatures.replace(["new", invalid]), Err(InvalidSecret));
        }
        assert_eq!(check(&signatures, &standard_headers(CODE), BODY), "fits");
        assert_eq!(format!("{signatures:?}"), "Signatures(***)");
    }
}
