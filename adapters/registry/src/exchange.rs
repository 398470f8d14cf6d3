//! One request and its answer: tried again where the server asks for patience, bounded in size, and told by its server.

use std::{
    error::Error,
    io::{self, Read},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use flate2::read::MultiGzDecoder;
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_ENCODING, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER},
};
use staticreg_domain::{
    catalog::{CatalogError, ServerFailure},
    metrics::BoxError,
};
use tokio::time::sleep;

/// How often a request is sent to a server that says when to come back.
const MAX_TRIES: u32 = 3;
/// The pause before a second try when the server does not say when.
const PAUSE: Duration = Duration::from_secs(1);
/// Who is to wait longer than this does not.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Sends a request, and again, a few times at most, to a server that asks for patience or fails.
pub(crate) async fn send(url: &Url, request: RequestBuilder) -> Result<Response, CatalogError> {
    let mut tries = 1;
    loop {
        let request = request.try_clone().expect("a request without a body can be sent twice");
        let response = request.send().await.map_err(|error| unavailable(url, error))?;
        let is_passing = match response.status() {
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
            StatusCode::TOO_MANY_REQUESTS => true,
            status => status.is_server_error(),
        };
        let (pause, most_tries) = retry_after(response.headers()).map_or((PAUSE, 2), |pause| (pause, MAX_TRIES));
        if !is_passing || tries >= most_tries || pause > LONGEST_PAUSE {
            return Ok(response);
        }
        sleep(pause).await;
        tries += 1;
    }
}

/// The pause a server asks for, in seconds or until a date of its own clock (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc));
    let told = text(RETRY_AFTER)?;
    if let Some(date_told) = date(told) {
        let until = text(DATE).and_then(date).map(|now| (date_told - now).max(TimeDelta::zero()));
        return Some(until.and_then(|until| until.to_std().ok()).unwrap_or(PAUSE));
    }
    let seconds: f64 = told.parse().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Where an answer says that the content is.
pub(crate) fn redirect(response: &Response) -> Option<Url> {
    const REDIRECTS: [StatusCode; 5] = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(LOCATION).filter(|_| REDIRECTS.contains(&response.status()))?;
    let target = response.url().join(location.to_str().ok()?).ok()?;
    matches!(target.scheme(), "http" | "https").then_some(target)
}

/// A failure and the server it is of. A query may hold secrets, such as the signature of an object store.
pub(crate) fn of_server(url: &Url, source: impl Into<BoxError>) -> BoxError {
    let server = url.origin().ascii_serialization();
    ServerFailure { server, path: url.path().to_owned(), source: source.into() }.into()
}

/// What became of a request that had no answer.
fn unavailable(url: &Url, error: reqwest::Error) -> CatalogError {
    const WITHOUT_TLS: &str = "it speaks no TLS; where that is meant, set STATICREG_REGISTRY_TLS=off";
    let cause: BoxError = if speaks_no_tls(&error) { WITHOUT_TLS.into() } else { error.without_url().into() };
    CatalogError::Unavailable(of_server(url, cause))
}

/// Whether what came in place of a TLS handshake was something else, such as an answer in plain HTTP.
fn speaks_no_tls(error: &reqwest::Error) -> bool {
    use rustls::{Error::InvalidMessage, InvalidMessage::InvalidContentType};
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(InvalidMessage(InvalidContentType))) {
            return true;
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // The source of an I/O error leaves this one out.
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

/// The answer when it is a good one.
pub(crate) fn checked(response: Response) -> Result<Response, CatalogError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let elsewhere = redirect(&response).map(|target| {
        let target = target.origin().ascii_serialization();
        format!(", a redirect to {target}, and only those of blobs are followed")
    });
    let cause = || of_server(response.url(), format!("the answer is {status}{}", elsewhere.unwrap_or_default()));
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CatalogError::Denied(cause()),
        StatusCode::NOT_FOUND => CatalogError::NotFound(cause()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => CatalogError::Unavailable(cause()),
        status if status.is_server_error() => CatalogError::Unavailable(cause()),
        _ => CatalogError::Malformed(cause()),
    })
}

/// The body of an answer, refused when it is longer than it may be, compressed or not.
pub(crate) async fn body(mut response: Response, most_bytes: usize) -> Result<Vec<u8>, CatalogError> {
    let url = response.url().clone();
    let malformed = |cause: String| CatalogError::Malformed(of_server(&url, cause));
    let too_long = || malformed(format!("an answer of more than {most_bytes} bytes"));
    let told = response.content_length().unwrap_or_default();
    if told > most_bytes as u64 {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(usize::try_from(told).unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&url, error))? {
        if body.len() + chunk.len() > most_bytes {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    let codings = response.headers().get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let codings: Vec<&str> = codings.flat_map(|value| value.split(',')).map(str::trim).collect();
    for coding in codings.into_iter().rev() {
        match coding.to_ascii_lowercase().as_str() {
            "" | "identity" | "utf-8" => {}
            "gzip" | "x-gzip" => body = decompressed(body, most_bytes).map_err(|error| malformed(error.to_string()))?,
            _ => return Err(malformed(format!("an answer in the encoding {coding:?}, and gzip was asked for"))),
        }
        if body.len() > most_bytes {
            return Err(too_long());
        }
    }
    Ok(body)
}

/// What is compressed in some bytes, at most one byte more than so many; the bytes themselves when they are not
/// compressed: some servers only say so.
fn decompressed(bytes: Vec<u8>, most_bytes: usize) -> io::Result<Vec<u8>> {
    const MAGIC: [u8; 2] = [0x1f, 0x8b];
    if !bytes.starts_with(&MAGIC) {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).take(most_bytes as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_back_in_seconds_or_by_its_own_clock() {
        let now = "Wed, 25 Nov 2026 15:09:56 GMT";
        for (told, date, expected) in [
            ("0", None, Some(Duration::ZERO)),
            ("3", None, Some(Duration::from_secs(3))),
            (" 2 ", None, Some(Duration::from_secs(2))),
            ("1.5", None, Some(Duration::from_millis(1_500))),
            ("99999999999999999999999", None, Some(Duration::MAX)),
            ("Wed, 25 Nov 2026 15:10:00 GMT", Some(now), Some(Duration::from_secs(4))),
            ("Wed, 25 Nov 2026 15:09:00 GMT", Some(now), Some(Duration::ZERO)),
            ("Wed, 25 Nov 2026 15:10:00 GMT", None, Some(PAUSE)),
            ("-1", None, None),
            ("soon", Some(now), None),
            ("", None, None),
        ] {
            let headers = [(RETRY_AFTER, Some(told)), (DATE, date)];
            let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?.parse().unwrap())));
            assert_eq!(retry_after(&headers.collect()), expected, "{told}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
