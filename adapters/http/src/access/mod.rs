//! Who is asking, and whether they may: the one seam that every route is behind.
//!
//! A [`Rule`] says what a route asks of whoever calls it, a [`Gate`] stands before the route and keeps the rule. The
//! routes name their rule in one place, `Parts` of this crate; what names none is [`Rule::Read`], so that a new
//! route is never open by mistake.
//!
//! What decides is a file for each question: `door` who may post, by `network` and `forwarded`, `tokens`, `signature`
//! and `browser`; `reader` who may read, by `users` with their `password`, whose `guesses` are slowed, or by a proxy,
//! and how many `requests`; `api_tokens` what lets programs do either; `host` which names the server answers to. None of them knows a route. `refusals` remembers whom
//! they turned away.

mod api_tokens;
mod browser;
mod door;
mod forwarded;
mod guesses;
mod host;
mod network;
mod password;
mod reader;
mod refusals;
mod requests;
mod scheme;
mod signature;
mod tokens;
mod users;

pub use api_tokens::{ApiSecret, ApiTokens, NoRandomness};
pub use host::Hosts;
pub use network::{InvalidNetwork, Networks};
pub use reader::{InvalidProxyHeader, ProxyHeader, Readers};
pub use refusals::{LastRefusal, RefusalReason, Refused, SignInReason};
pub use signature::{InvalidSecret, Signatures, signature_of_body};
pub use tokens::Tokens;
pub use users::{InvalidUsers, Users};

pub(crate) use scheme::{Proof, SignedIn};

#[cfg(fuzzing)]
pub(crate) use forwarded::sender as sender_of;

use std::{fmt, num::NonZeroU32, sync::Arc};

use poem::{
    Endpoint, IntoResponse as _, Middleware, Request, Response,
    http::{HeaderValue, StatusCode, header},
};
use staticreg_application::aside::aside;

use crate::{
    problem::{self, Problem},
    webhook::{self, Bodies, Received},
};
use door::{Verdict, judge, peer};
use host::HostError;
use reader::Reading;
use refusals::Refusals;
use requests::Requests;
use signature::Claim;

/// The largest body, in bytes, whose signature is checked on the thread that answers: a registry's is smaller.
const SOON_CHECKED: usize = 64 << 10;

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody may: whether the server is well.
    Open,
    /// Who may read: pages, the query API, documents, CSV.
    Read,
    /// Who may read how the server itself does: who may read, and tokens for just that.
    Metrics,
    /// Who may see a badge or a chart: often others than those who may read, for a README shows it to everybody.
    Badge,
    /// Who may post notifications, and so change counts.
    Post,
    /// Who may tell what runs, and so keep it: who may post, and tokens for just that.
    Running,
}

/// Who may do what. By default everybody may do everything, by whatever name they call the server.
#[derive(Clone, Debug, Default)]
pub struct Access {
    shared: Arc<Inner>,
    /// The names of a listener that has others than the options say.
    hosts: Option<Arc<Hosts>>,
}

#[derive(Default)]
struct Inner {
    options: AccessOptions,
    refusals: Refusals<RefusalReason>,
    sign_ins: Refusals<SignInReason>,
    requests: Option<Requests>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, refusals, sign_ins, requests: _ } = self;
        let mut inner = f.debug_struct("Inner");
        inner.field("options", options).field("refusals", refusals).field("sign_ins", sign_ins).finish_non_exhaustive()
    }
}

/// What is asked of those who call the server.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// Tokens that let a sender in. With none in it nobody is, but by a signature.
    pub tokens: Option<Tokens>,
    /// Secrets whose signature lets a sender in.
    pub signatures: Option<Signatures>,
    /// The networks that a sender must be in.
    pub networks: Option<Networks>,
    /// The proxies that are believed where a request comes from.
    pub trusted_proxies: Networks,
    /// The names that the server answers to.
    pub hosts: Hosts,
    /// Who may read.
    pub read: Readers,
    /// Who may see badges and charts.
    pub badges: Readers,
    /// Those who sign in with a password.
    pub users: Option<Users>,
    /// The tokens that let programs in, to read or to post as each may. Who may post without any proof still may.
    pub api_tokens: Option<ApiTokens>,
    /// The header in which a trusted proxy names who has signed in there.
    pub proxy_header: Option<ProxyHeader>,
    /// How many requests of those who read one address may make in a second, on average.
    pub requests_per_second: Option<NonZeroU32>,
}

impl AccessOptions {
    /// Whether whoever reaches the server may post.
    #[must_use]
    pub fn let_everybody_post(&self) -> bool {
        self.tokens.is_none() && self.signatures.is_none() && self.networks.is_none()
    }

    /// Whether a token lets a sender in that would not be without.
    fn are_tokens_asked_for(&self) -> bool {
        self.tokens.is_some() || self.signatures.is_some() && self.api_tokens.is_some()
    }

    /// Whether somebody may sign in here, and not at a proxy alone.
    fn lets_sign_in(&self) -> bool {
        self.users.is_some() || self.api_tokens.is_some()
    }
}

impl Access {
    /// Access as the options have it.
    #[must_use]
    pub fn new(options: AccessOptions) -> Self {
        let requests = options.requests_per_second.map(Requests::new);
        Self { shared: Arc::new(Inner { options, requests, ..Inner::default() }), hosts: None }
    }

    /// The same for a listener that answers to other names.
    #[must_use]
    pub fn under(&self, hosts: Hosts) -> Self {
        Self { shared: Arc::clone(&self.shared), hosts: Some(Arc::new(hosts)) }
    }

    fn hosts(&self) -> &Hosts {
        self.hosts.as_deref().unwrap_or(&self.shared.options.hosts)
    }

    /// The POSTs that were refused so far.
    #[must_use]
    pub fn refused(&self) -> Refused<RefusalReason> {
        self.shared.refusals.read()
    }

    /// The sign-ins that were refused so far. Who shows nothing has not tried.
    #[must_use]
    pub fn refused_sign_ins(&self) -> Refused<SignInReason> {
        self.shared.sign_ins.read()
    }

    /// Which token a registry shows to be let in, in words, when one is asked for.
    pub(crate) fn words_for_token(&self) -> Option<String> {
        let options = &self.shared.options;
        let names = options.api_tokens.as_ref().map_or_else(Vec::new, ApiTokens::names_for_posting);
        let own = options.tokens.is_some().then(|| "one of STATICREG_WEBHOOK_TOKENS".to_owned());
        let of_programs = (!names.is_empty()).then(|| format!("the API token {}", names.join(" or ")));
        let words = own.into_iter().chain(of_programs).collect::<Vec<_>>().join(", or ");
        options
            .are_tokens_asked_for()
            .then(|| if words.is_empty() { "an API token with the scope post".to_owned() } else { words })
    }

    /// Turns a POST away. The answer does not tell why: that is for the operator.
    fn refuse(&self, reason: RefusalReason, request: &Request) -> Response {
        self.shared.refusals.add(reason, peer(request), reader::sender(&self.shared.options, request));
        match reason.status() {
            // A token is all that can be asked for (RFC 9110, 15.5.2).
            StatusCode::UNAUTHORIZED if self.shared.options.are_tokens_asked_for() => webhook::unauthorized(),
            StatusCode::SERVICE_UNAVAILABLE => webhook::unavailable(),
            _ => webhook::forbidden(),
        }
    }

    /// Counts a request of those who read; the answer to it when its address made too many.
    fn count(&self, request: &Request) -> Option<Response> {
        let requests = self.shared.requests.as_ref()?;
        requests.count(reader::sender(&self.shared.options, request)).err().map(problem::too_many_requests)
    }

    /// Lets a request on that may read; else the answer to it.
    async fn admit(&self, request: &Request, rule: Rule) -> Result<(), Response> {
        let options = &self.shared.options;
        let note = |reason| self.shared.sign_ins.add(reason, peer(request), reader::sender(options, request));
        Err(match reader::judge(options, request, rule).await {
            Reading::Admitted => return Ok(()),
            Reading::Unknown(reason) => {
                reason.into_iter().for_each(note);
                // Where people sign in at a proxy a browser must not ask them for a password.
                if options.users.is_none() && (options.proxy_header.is_some() || options.api_tokens.is_none()) {
                    problem::not_signed_in()
                } else {
                    problem::unauthorized(options.api_tokens.is_some())
                }
            }
            Reading::OtherScope => {
                note(SignInReason::TokenScope);
                problem::other_scope()
            }
            Reading::Slowed(wait) => {
                note(SignInReason::TooManyGuesses);
                problem::too_many_guesses(wait)
            }
            Reading::Busy => unavailable("Too many passwords are being checked; try again."),
            Reading::Unread => unavailable("The API tokens could not be read from the database yet; try again."),
        })
    }

    /// Whether a body is signed so.
    async fn is_signed(&self, claim: Claim, received: &Received<'_>) -> bool {
        let Some(signatures) = self.shared.options.signatures.clone() else { return false };
        let body = received.bytes.clone();
        if body.len() > SOON_CHECKED {
            aside(move || signatures.fit(&claim, &body)).await
        } else {
            signatures.fit(&claim, &body)
        }
    }

    /// The answer to a request that calls the server by a name that it does not answer to.
    fn misnamed(&self, request: &Request) -> Option<Response> {
        let error = self.hosts().check(request.uri(), request.version(), request.headers()).err()?;
        Some(match error {
            HostError::Malformed => no_name().into_response(),
            HostError::Unknown(name) => problem::unknown_name(&name),
        })
    }
}

/// What is told to who calls the server by no name, or by several.
pub(crate) fn no_name() -> Problem {
    let detail = "Send one Host header, with the name or the address that this server is reached by.";
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn unavailable(detail: &str) -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

/// Keeps the rule of the routes behind it.
#[derive(Clone)]
pub(crate) struct Gate {
    rule: Rule,
    access: Access,
    bodies: Arc<Bodies>,
}

impl Gate {
    pub(crate) fn new(rule: Rule, access: &Access, bodies: &Arc<Bodies>) -> Self {
        Self { rule, access: access.clone(), bodies: Arc::clone(bodies) }
    }
}

impl<E: Endpoint<Output = Response>> Middleware<E> for Gate {
    type Output = Guarded<E>;

    fn transform(&self, endpoint: E) -> Guarded<E> {
        Guarded { gate: self.clone(), endpoint }
    }
}

/// Routes behind a gate.
pub(crate) struct Guarded<E> {
    gate: Gate,
    endpoint: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Guarded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let access = &self.gate.access;
        match self.gate.rule {
            rule @ (Rule::Open | Rule::Read | Rule::Metrics | Rule::Badge) => {
                if let Some(answer) = access.misnamed(&request) {
                    return Ok(answer);
                }
                // Whoever asks whether the server is well is told.
                if rule != Rule::Open
                    && let Some(answer) = access.count(&request)
                {
                    return Ok(answer);
                }
                if !reader::must_sign_in(&access.shared.options, rule) {
                    return self.endpoint.call(request).await;
                }
                // Boxed, so that the usual way does not carry it.
                if let Err(answer) = Box::pin(access.admit(&request, rule)).await {
                    return Ok(answer);
                }
                let mut response = self.endpoint.call(request).await?;
                make_private(&mut response);
                Ok(response)
            }
            // The registry calls the server by any name.
            rule @ (Rule::Post | Rule::Running) => {
                match judge(&access.shared.options, access.hosts(), &request, rule) {
                    Verdict::Admitted => self.endpoint.call(request).await,
                    Verdict::Refused(reason) => Ok(access.refuse(reason, &request)),
                    // Boxed, so that the usual way does not carry it.
                    Verdict::IfSigned(claim) => Box::pin(self.call_if_signed(request, claim)).await,
                }
            }
        }
    }
}

impl<E: Endpoint<Output = Response>> Guarded<E> {
    async fn call_if_signed(&self, mut request: Request, claim: Claim) -> poem::Result<Response> {
        let Gate { access, bodies, .. } = &self.gate;
        let received = match bodies.receive(&mut request).await {
            Ok(received) => received,
            Err(error) => return Ok(error),
        };
        if !access.is_signed(claim, &received).await {
            return Ok(access.refuse(RefusalReason::WrongSignature, &request));
        }
        // The body keeps its room until the answer is there.
        received.hand_on(&mut request);
        self.endpoint.call(request).await
    }
}

/// Keeps those on the way from keeping an answer for others than the one who signed in.
fn make_private(response: &mut Response) {
    let headers = response.headers_mut();
    let told = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let others = told.split(',').map(str::trim).filter(|word| !["", "public", "private"].contains(word));
    let kept: Vec<_> = std::iter::once("private").chain(others).collect();
    if let Ok(kept) = HeaderValue::try_from(kept.join(", ")) {
        headers.insert(header::CACHE_CONTROL, kept);
    }
    // Nor may a page of another site read it.
    headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
}
