//! Who a request comes from, and whether they guess tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{StatusCode, header};
use subtle::ConstantTimeEq;
use tracing::warn;

use super::Shared;
use super::problem::Problem;
use crate::command::{Requester, Who};
use crate::config::HttpToken;
use crate::rights::Rights;

/// How many wrong tokens one peer may show in a minute.
pub(super) const WRONG_TOKENS: u32 = 20;
/// How many requests without a token are answered in a second, over all peers.
const OPEN_PER_SECOND: u32 = 20;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// Finds the token that was shown. Every token is compared in full, so that time tells nothing.
fn find<'t>(tokens: &'t [HttpToken], shown: &[u8]) -> Option<&'t HttpToken> {
    let mut found = None;
    for token in tokens {
        let secret = token.secret.expose().as_bytes();
        if !secret.is_empty() && bool::from(secret.ct_eq(shown)) {
            found = Some(token);
        }
    }
    found
}

/// Who asks: the bearer of a token.
#[derive(Debug)]
pub(super) struct Asker(pub(super) Requester);

impl FromRequestParts<Arc<Shared>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let refuse = |cause, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, cause, detail);
        let now = Instant::now();
        let peer = parts.extensions.get::<Peer>().copied().unwrap_or(Peer(None));
        let Some(shown) = parts.headers.get(header::AUTHORIZATION) else {
            shared.pace(&nobody())?;
            return Err(refuse("no-token", "send Authorization: Bearer and a token of the configuration"));
        };
        // An address that many share, such as a proxy's, must not shut out those who have a token.
        let shared_address = peer.0.is_none_or(|address| address.is_loopback());
        let too_many = || Problem::too_many("too many wrong tokens; try again in a minute", 60);
        if !shared_address && shared.guesses.are_many(now, &peer) {
            return Err(too_many());
        }
        let settings = shared.settings.borrow().clone();
        let bearer = shown.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some(token) = bearer.and_then(|(_, token)| find(&settings.tokens, token.trim_ascii())) else {
            let address = peer.0.map(|address| address.to_string());
            match shared.guesses.count(now, peer) {
                count if count < WRONG_TOKENS => warn!(address, "a request with a wrong token was refused"),
                WRONG_TOKENS => warn!(address, "many wrong tokens; no more is said of them for a minute"),
                _ => return Err(too_many()),
            }
            return Err(refuse("wrong-token", "no token of the configuration is like this one"));
        };
        let who = Who::Token { name: token.name.as_str().into() };
        Ok(Asker(Requester { who, rights: token.rights.clone(), per_second: settings.requests_per_second }))
    }
}

/// Somebody who need not show a token.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Requester);

impl FromRequestParts<Arc<Shared>> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &Arc<Shared>) -> Result<Self, Problem> {
        Ok(Anybody(nobody()))
    }
}

fn nobody() -> Requester {
    Requester { who: Who::Nobody, rights: Rights::none(), per_second: OPEN_PER_SECOND }
}
