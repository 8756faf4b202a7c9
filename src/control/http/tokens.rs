//! `/v1/rooms/{room}/tokens` and `/v1/tokens/explain`: what lets a player into one room, and what a token says.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::{Segment, Whole, seconds};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, MintedReply, Player, Reply, TokenExplanation};
use crate::config::Secret;
use crate::token::LONGEST;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/rooms/{room}/tokens", post(mint)).route("/v1/tokens/explain", post(explain))
}

#[derive(OpenApi)]
#[openapi(paths(mint, explain))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// For whom a token is, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Mint {
    /// For whom.
    player: Player,
    /// Whether it says that they are a moderator; that takes the scope `admin` and not `moderate`.
    #[serde(default)]
    moderator: bool,
    /// Seconds for which it is good; five minutes when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 28_800)]
    for_seconds: Option<u64>,
    /// Make it although the deployment may make its bearer an owner of the room.
    #[serde(default)]
    accept_owner: bool,
}

/// A token that somebody has.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Explain {
    /// The token itself.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoidGF2ZXJuIn0.c2lnbmF0dXJl")]
    token: String,
}

/// Makes a token with which a player gets into one room, which need not be held.
#[utoipa::path(post, path = "/v1/rooms/{room}/tokens", tag = "tokens", security(("token" = ["moderate"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    request_body(content = Mint),
    responses((status = 200, body = MintedReply)))]
async fn mint(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Whole(Mint { player, moderator, for_seconds, accept_owner }): Whole<Mint>,
) -> Result<Json<MintedReply>, Problem> {
    let for_seconds = seconds(for_seconds, LONGEST.as_secs())?;
    match shared.ask(asker, Command::Mint { room, player, moderator, for_seconds, accept_owner }).await? {
        Reply::Minted(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}

/// Says what a token claims, whether a key of ours signed it, and what its bearer would be. For tokens of all rooms.
#[utoipa::path(post, path = "/v1/tokens/explain", tag = "tokens", security(("token" = ["read"])),
    request_body(content = Explain),
    responses((status = 200, body = TokenExplanation)))]
async fn explain(
    State(shared): Ctx,
    Asker(asker): Asker,
    Whole(Explain { token }): Whole<Explain>,
) -> Result<Json<TokenExplanation>, Problem> {
    match shared.ask(asker, Command::ExplainToken { token: Secret::new(token) }).await? {
        Reply::TokenExplained(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}
