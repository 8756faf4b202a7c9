//! `/v1/rooms/{room}/why`: why a room is in its state.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use super::access::Asker;
use super::input::Room;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Reply, WhyReply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/rooms/{room}/why", get(room))
}

#[derive(OpenApi)]
#[openapi(paths(room))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Why a room is in its state, and the last things that happened to it.
#[utoipa::path(get, path = "/v1/rooms/{room}/why", tag = "rooms", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = WhyReply)))]
async fn room(State(shared): Ctx, Asker(asker): Asker, Room(room): Room) -> Result<Json<WhyReply>, Problem> {
    match shared.ask(asker, Command::WhyRoom { room }).await? {
        Reply::Why(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}
