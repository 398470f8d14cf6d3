//! Who is asking, and whether they may: the one seam that every route is behind.
//!
//! A [`Rule`] says what a route asks of whoever calls it, a [`Gate`] stands before the route and keeps the rule. The
//! routes name their rule in one place, `endpoint` of this crate; what names none is [`Rule::Read`], so that a new
//! route is never open by mistake.

use poem::{Endpoint, Middleware, Request, Response};

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody may: whether the server is well.
    Open,
    /// Who may read: pages, the query API, documents, CSV.
    Read,
    /// Who may post notifications, and so change counts.
    Post,
}

/// Keeps the rule of the routes behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    rule: Rule,
}

impl Gate {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule }
    }
}

impl<E: Endpoint<Output = Response>> Middleware<E> for Gate {
    type Output = Guarded<E>;

    fn transform(&self, endpoint: E) -> Guarded<E> {
        Guarded { gate: *self, endpoint }
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
        match self.gate.rule {
            // Whoever reaches the port may, so far.
            Rule::Open | Rule::Read | Rule::Post => self.endpoint.call(request).await,
        }
    }
}
