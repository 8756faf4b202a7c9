//! `/v1/rooms/{room}/occupants`: who is inside.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::Segment;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, OccupantRow, Reply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/rooms/{room}/occupants", get(list))
}

#[derive(OpenApi)]
#[openapi(paths(list))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Who is inside a room.
#[derive(Debug, Serialize, ToSchema)]
struct Occupants {
    /// Ourselves and the focus included, by nick.
    occupants: Vec<OccupantRow>,
}

/// Who is inside a room.
#[utoipa::path(get, path = "/v1/rooms/{room}/occupants", tag = "rooms", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = Occupants)))]
async fn list(State(shared): Ctx, Asker(asker): Asker, Segment(room): Segment) -> Result<Json<Occupants>, Problem> {
    match shared.ask(asker, Command::Room { room }).await? {
        Reply::Room(reply) => Ok(Json(Occupants { occupants: reply.occupants })),
        _ => Err(Problem::strange()),
    }
}
