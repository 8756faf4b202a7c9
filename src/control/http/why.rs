//! `/v1/rooms/{room}/why…` and `…/who-can`: why things are as they are, and who could do what.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::access::Asker;
use super::input::{Params, Segment};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{BanRow, Command, Explanation, Reply, WhoCanReply, WhyReply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/rooms/{room}/why", get(room))
        .route("/v1/rooms/{room}/why/ban", get(ban))
        .route("/v1/rooms/{room}/why/lobby", get(lobby))
        .route("/v1/rooms/{room}/why/moderator", get(moderator))
        .route("/v1/rooms/{room}/why/removed", get(removed))
        .route("/v1/rooms/{room}/who-can", get(who_can))
}

#[derive(OpenApi)]
#[openapi(paths(room, ban, lobby, moderator, removed, who_can))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// About whom.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Person {
    /// Their nick, display name or bare JID.
    who: String,
}

/// Why somebody is banned, or that they are not.
#[derive(Debug, Serialize, ToSchema)]
struct WhyBan {
    /// One sentence.
    text: String,
    /// The ban, if there is one.
    ban: Option<BanRow>,
}

/// Why a room is in its state, and the last things that happened to it.
#[utoipa::path(get, path = "/v1/rooms/{room}/why", tag = "rooms", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = WhyReply)))]
async fn room(State(shared): Ctx, Asker(asker): Asker, Segment(room): Segment) -> Result<Json<WhyReply>, Problem> {
    match shared.ask(asker, Command::WhyRoom { room }).await? {
        Reply::Why(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}

/// Why somebody is banned from a room, or is not.
#[utoipa::path(get, path = "/v1/rooms/{room}/why/ban", tag = "bans", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"), Person),
    responses((status = 200, body = WhyBan)))]
async fn ban(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Params(Person { who }): Params<Person>,
) -> Result<Json<WhyBan>, Problem> {
    match shared.ask(asker, Command::WhyBan { room, who }).await? {
        Reply::WhyBan { text, ban } => Ok(Json(WhyBan { text, ban })),
        _ => Err(Problem::strange()),
    }
}

/// Why newcomers of a room have to wait.
#[utoipa::path(get, path = "/v1/rooms/{room}/why/lobby", tag = "moderation", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = Explanation)))]
async fn lobby(State(shared): Ctx, Asker(asker): Asker, Segment(room): Segment) -> Result<Json<Explanation>, Problem> {
    explained(shared.ask(asker, Command::WhyLobby { room }).await?)
}

/// Why somebody is moderator of a room, or is not.
#[utoipa::path(get, path = "/v1/rooms/{room}/why/moderator", tag = "moderation", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"), Person),
    responses((status = 200, body = Explanation)))]
async fn moderator(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Params(Person { who }): Params<Person>,
) -> Result<Json<Explanation>, Problem> {
    explained(shared.ask(asker, Command::WhyModerator { room, who }).await?)
}

/// Why somebody is no longer in a room: who put them out, and for what.
#[utoipa::path(get, path = "/v1/rooms/{room}/why/removed", tag = "moderation", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"), Person),
    responses((status = 200, body = Explanation)))]
async fn removed(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Params(Person { who }): Params<Person>,
) -> Result<Json<Explanation>, Problem> {
    explained(shared.ask(asker, Command::WhyRemoved { room, who }).await?)
}

/// Who could put us out of a room, and through what.
#[utoipa::path(get, path = "/v1/rooms/{room}/who-can", tag = "moderation", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = WhoCanReply)))]
async fn who_can(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
) -> Result<Json<WhoCanReply>, Problem> {
    match shared.ask(asker, Command::WhoCan { room }).await? {
        Reply::WhoCan(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}

fn explained(reply: Reply) -> Result<Json<Explanation>, Problem> {
    match reply {
        Reply::Explained(why) => Ok(Json(*why)),
        _ => Err(Problem::strange()),
    }
}
