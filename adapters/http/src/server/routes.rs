//! The routes as connections call them.

use std::{convert::Infallible, io, pin::Pin, sync::Arc};

use hyper::body::{Bytes, Incoming};
use poem::{
    Addr, Endpoint, IntoResponse as _, Request, Response,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, STRICT_TRANSPORT_SECURITY},
        uri::Scheme,
    },
    web::{LocalAddr, RemoteAddr},
};
use tokio::sync::Semaphore;

use super::KEPT_PART;
use crate::{
    operations::health,
    problem::{Problem, RETRY_AFTER_SECONDS},
    webhook,
};

/// For a year a browser asks for pages of this name by TLS only (RFC 6797).
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The body of an answer, as poem has it.
pub(super) type AnswerBody = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// The routes, and how many requests may be answered at once beside the one that each connection has a place for.
pub(super) struct Routes<E> {
    endpoint: E,
    questions: Semaphore,
    /// Places of further streams of HTTP/2 connections.
    pub(super) streams: Arc<Semaphore>,
}

impl<E: Endpoint<Output = Response>> Routes<E> {
    pub(super) fn new(endpoint: E, max_connections: usize) -> Self {
        let questions = Semaphore::new(max_connections - max_connections / KEPT_PART);
        Self { endpoint, questions, streams: Arc::new(Semaphore::new(max_connections)) }
    }

    /// Answers a request. Notifications, and whether all is well, are no questions.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let (path, is_secure) = (request.uri().path(), *request.scheme() == Scheme::HTTPS);
        let is_question = !path.starts_with(webhook::PATH) && !path.starts_with(health::PATH);
        let mut response = match is_question.then(|| self.questions.try_acquire()).transpose() {
            Ok(_turn) => self.endpoint.get_response(request).await,
            Err(_) => busy("questions"),
        };
        if is_secure {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, ONLY_TLS);
        }
        response
    }
}

/// The answer to a request for which there is no place.
pub(super) fn busy(what: &str) -> Response {
    let detail = format!("Too many {what} are being answered; ask again.");
    let mut busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    busy
}

/// The two ends of a connection, and how it is spoken over.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) local: LocalAddr,
    pub(super) peer: Addr,
    pub(super) scheme: Scheme,
}

impl Ends {
    /// A request that came over it.
    pub(super) fn request(&self, request: hyper::Request<Incoming>) -> Request {
        Request::from((request, self.local.clone(), RemoteAddr(self.peer.clone()), self.scheme.clone()))
    }
}

/// The routes as hyper calls them for a connection of HTTP/1.
pub(super) struct Handler<E> {
    pub(super) routes: Arc<Routes<E>>,
    pub(super) ends: Ends,
}

impl<E: Endpoint<Output = Response> + 'static> hyper::service::Service<hyper::Request<Incoming>> for Handler<E> {
    type Response = hyper::Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (routes, request) = (Arc::clone(&self.routes), self.ends.request(request));
        Box::pin(async move { Ok(routes.answer(request).await.into()) })
    }
}
