//! Bodies as they are read: none too large, none too slow, and not too much of them all at once.

use std::{io, pin::pin, time::Duration};

use futures_util::StreamExt as _;
use hyper::body::Bytes;
use poem::{
    Request, RequestBody,
    http::{StatusCode, header::CONTENT_LENGTH},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::problem::Problem;

/// How many bytes of bodies may be held at once; one body of the largest size finds room in any case.
const ROOM: usize = 64 << 20;

/// What each body may hold without taking room: a registry's event is smaller, so it is read whatever others send.
const FREE: usize = 32 << 10;

/// How large a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub size: usize,
    /// How long a client may take to send it.
    pub time: Duration,
}

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge,
    TimedOut,
    /// The bodies that are being read leave no room for this one.
    NoRoom,
    Failed(io::Error),
}

impl ReadError {
    /// What the sender is told.
    pub(crate) fn problem(&self, BodyLimits { size, time }: BodyLimits) -> Problem {
        let (status, detail) = match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {size} bytes.")),
            Self::TimedOut => (StatusCode::REQUEST_TIMEOUT, format!("The body did not arrive within {time:?}.")),
            Self::NoRoom => {
                let detail = "Other large bodies are being received; send this again.";
                (StatusCode::SERVICE_UNAVAILABLE, detail.to_owned())
            }
            Self::Failed(error) => (StatusCode::BAD_REQUEST, format!("The body could not be read: {error}.")),
        };
        Problem::new(status, detail)
    }
}

/// A body that is not parsed.
pub(crate) enum Unparsed {
    /// It was read to look at its signature.
    Read(Received<'static>),
    /// Not yet read; with its length, when that is told.
    Unread(poem::Body, Option<usize>),
}

impl Unparsed {
    /// The body of a request.
    pub(crate) fn of_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(match Received::before(request) {
            Some(received) => Self::Read(received),
            None => Self::Unread(body.take()?, told_length(request)),
        })
    }

    /// Reads it, unless it was read before.
    pub(crate) async fn read(self, bodies: &Bodies) -> Result<Received<'_>, ReadError> {
        match self {
            Self::Read(received) => Ok(received),
            Self::Unread(body, length) => bodies.read(body, length).await,
        }
    }
}

/// Reads bodies.
pub(crate) struct Bodies {
    pub(crate) limits: BodyLimits,
    room: Semaphore,
}

/// A body, with the room that it takes.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

/// The body of a request that was read before its handler, which does not read it again.
#[derive(Clone)]
struct ReadBefore(Bytes);

impl Received<'_> {
    /// Hands the body on to the handler. The room that it takes stays taken.
    pub(crate) fn hand_on(&self, request: &mut Request) {
        request.extensions_mut().insert(ReadBefore(self.bytes.clone()));
    }

    /// The body of a request, when it was read before.
    fn before(request: &Request) -> Option<Self> {
        request.extensions().get().map(|ReadBefore(bytes)| Self { bytes: bytes.clone(), _room: None })
    }
}

/// The length of a request's body, when it is told.
pub(super) fn told_length(request: &Request) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Bodies {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self { limits, room: Semaphore::new(ROOM.max(limits.size).min(Semaphore::MAX_PERMITS)) }
    }

    /// Reads a body, of the length that was told, if any was.
    pub(super) async fn read(&self, body: poem::Body, length: Option<usize>) -> Result<Received<'_>, ReadError> {
        if length.is_some_and(|length| length > self.limits.size) {
            return Err(ReadError::TooLarge);
        }
        timeout(self.limits.time, self.read_on(body)).await.map_err(|_| ReadError::TimedOut)?
    }

    async fn read_on(&self, body: poem::Body) -> Result<Received<'_>, ReadError> {
        let mut chunks = pin!(body.into_bytes_stream());
        let (mut bytes, mut room) = (Vec::new(), None);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(ReadError::Failed)?;
            let size = bytes.len() + chunk.len();
            if size > self.limits.size {
                return Err(ReadError::TooLarge);
            }
            self.make_room(&mut room, size)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(Received { bytes: bytes.into(), _room: room })
    }

    fn make_room<'a>(&'a self, room: &mut Option<SemaphorePermit<'a>>, size: usize) -> Result<(), ReadError> {
        let taken = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = size.saturating_sub(FREE + taken);
        if more > 0 {
            let more = u32::try_from(more).map_err(|_| ReadError::NoRoom)?;
            let more = self.room.try_acquire_many(more).map_err(|_| ReadError::NoRoom)?;
            match room {
                Some(room) => room.merge(more),
                none => *none = Some(more),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits { size: 1 << 20, time: Duration::from_mins(2) };

    /// A body that comes in chunks of some length.
    fn chunks(length: usize, count: usize) -> poem::Body {
        let chunks = std::iter::repeat_with(move || Ok::<_, io::Error>(vec![b' '; length])).take(count);
        poem::Body::from_bytes_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_takes_room_until_it_is_dropped() {
        let bodies = Bodies { limits: LIMITS, room: Semaphore::new(100_000) };
        let first = bodies.read(chunks(10_000, 10), None).await.expect("room");
        assert_eq!(first.bytes.len(), 100_000);
        assert_eq!(bodies.room.available_permits(), FREE);
        let error = bodies.read(chunks(10_000, 10), None).await.expect_err("no room");
        assert!(matches!(error, ReadError::NoRoom), "{error:?}");
        assert_eq!(bodies.room.available_permits(), FREE, "what was read in vain takes no room");
        drop(first);
        assert_eq!(bodies.room.available_permits(), 100_000);
        bodies.read(chunks(100_000, 1), None).await.expect("room again");
    }

    #[tokio::test]
    async fn a_small_body_needs_no_room() {
        let bodies = Bodies { limits: LIMITS, room: Semaphore::new(0) };
        assert_eq!(bodies.read(chunks(FREE / 4, 4), None).await.expect("no room needed").bytes.len(), FREE);
        assert!(bodies.read(chunks(FREE + 1, 1), None).await.is_err());
    }

    #[tokio::test]
    async fn the_largest_body_finds_room() {
        let size = ROOM + FREE + 1;
        let bodies = Bodies::new(BodyLimits { size, ..LIMITS });
        assert_eq!(bodies.read(chunks(size, 1), None).await.expect("room").bytes.len(), size);
        let error = bodies.read(chunks(size + 1, 1), None).await.expect_err("too large");
        assert!(matches!(error, ReadError::TooLarge), "{error:?}");
        Bodies::new(BodyLimits { size: usize::MAX, ..LIMITS });
    }
}
