//! The API tokens that let in, read again and again.

use std::{sync::Arc, time::Duration};

use staticreg_application::api_tokens::{FollowTokens, KnownTokens, NoteUses};
use staticreg_domain::{Clock, api_token::ApiTokens};
use tokio::time::timeout;

use crate::lifecycle::Lifecycle;

/// How long a start waits for them before it serves without.
const HEAD_START: Duration = Duration::from_secs(1);

/// The tokens of a database as it has them, mostly from the first request on.
pub(super) async fn follow(
    kept: Arc<dyn ApiTokens>,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> staticreg_http::access::ApiTokens {
    let known = KnownTokens::new(Arc::clone(clock));
    let mut follow = FollowTokens::new(Arc::clone(&kept), known.clone());
    let _ = timeout(HEAD_START, follow.read()).await;
    lifecycle.spawn_background("reads the API tokens", follow.run());
    lifecycle.spawn_background("notes uses of API tokens", NoteUses::new(kept, known.clone()).run());
    staticreg_http::access::ApiTokens::new(known)
}
