//! `/v1/rooms`: which there are, and holding, releasing and suspending them.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::access::Asker;
use super::input::{Body, LONGEST, Params, Segment, seconds};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::booking::Times;
use crate::command::{Command, Reply, RoomReply, RoomRow, RoomState};
use crate::rights::RoomPattern;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/rooms", get(list))
        .route("/v1/rooms/{room}", get(one).put(hold).delete(release))
        .route("/v1/rooms/{room}/suspend", post(suspend))
}

#[derive(OpenApi)]
#[openapi(paths(list, one, hold, release, suspend))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Which rooms are listed; all that is said must be true of a room.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Rooms in this state.
    state: Option<RoomState>,
    /// Rooms of this service.
    service: Option<String>,
    /// Rooms whose name fits: `*` stands for any text; with a slash, `service/name`.
    room: Option<String>,
}

/// A list of rooms.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rooms {
    /// One row each, by service and name.
    rooms: Vec<RoomRow>,
}

/// What was done, and what the room is afterwards.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// What was done, in one sentence.
    text: String,
    /// The room afterwards.
    room: RoomRow,
}

/// Why, for the record.
#[derive(Debug, Default, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// Why, for the record.
    reason: Option<String>,
}

/// For which time, under which title, and why; where no time is said, for good.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Hold {
    /// Why, for the record.
    reason: Option<String>,
    /// When the meeting begins, RFC 3339; now when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// When it is ended for everybody and the room released, RFC 3339; never when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How many seconds before `from` the room opens; ten minutes when left out.
    #[schema(maximum = 86_400)]
    early_seconds: Option<u64>,
    /// The room's subject, locked while it is booked.
    #[schema(min_length = 1, max_length = 256)]
    title: Option<String>,
}

/// For how long and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Suspend {
    /// Seconds after which the room is held again; until somebody says so when left out.
    #[schema(minimum = 1, maximum = 3_155_759_999_u64)]
    for_seconds: Option<u64>,
    /// Why, for the record.
    reason: Option<String>,
}

/// All rooms that the token may see, with their state, its cause and what happens next.
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms", params(Narrow), security(("token" = ["read"])),
    responses((status = 200, body = Rooms)))]
async fn list(State(shared): Ctx, Asker(asker): Asker, Params(narrow): Params<Narrow>) -> Result<Json<Rooms>, Problem> {
    let Reply::Rooms { mut rooms } = shared.ask(asker, Command::Rooms).await? else { return Err(Problem::strange()) };
    let pattern = narrow.room.as_deref().map(RoomPattern::new);
    rooms.retain(|row| {
        narrow.state.is_none_or(|state| row.state == state)
            && narrow.service.as_ref().is_none_or(|service| row.service == *service)
            && pattern.as_ref().is_none_or(|pattern| pattern.matches(&row.service, &row.name))
    });
    Ok(Json(Rooms { rooms }))
}

/// One room: state, who is inside, who wants it held.
///
/// For a day after its booking has ended the answer is 410, cause `ended`.
#[utoipa::path(get, path = "/v1/rooms/{room}", tag = "rooms", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = RoomReply)))]
async fn one(State(shared): Ctx, Asker(asker): Asker, Segment(room): Segment) -> Result<Json<RoomReply>, Problem> {
    match shared.ask(asker, Command::Room { room }).await? {
        Reply::Room(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}

/// Holds a room from now on, also after a restart: a new one, or one that was released or suspended.
///
/// With `from` or `until` it is booked: opened in time, and at the end its meeting is ended and the room released.
#[utoipa::path(put, path = "/v1/rooms/{room}", tag = "rooms", security(("token" = ["rooms"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    request_body(content = Option<Hold>),
    responses((status = 200, body = Done)))]
async fn hold(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Body(Hold { reason, from, until, early_seconds, title }): Body<Hold>,
) -> Result<Json<Done>, Problem> {
    let times = Times { from, until, early_seconds, title };
    done(shared.ask(asker, Command::Hold { room, reason, times }).await?)
}

/// Stops holding a room, also if the configuration wants it.
#[utoipa::path(delete, path = "/v1/rooms/{room}", tag = "rooms", security(("token" = ["rooms"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"), Reason),
    responses((status = 200, body = Done)))]
async fn release(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Params(Reason { reason }): Params<Reason>,
) -> Result<Json<Done>, Problem> {
    done(shared.ask(asker, Command::Release { room, reason }).await?)
}

/// Leaves a room for a while and keeps its settings.
#[utoipa::path(post, path = "/v1/rooms/{room}/suspend", tag = "rooms", security(("token" = ["rooms"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    request_body(content = Option<Suspend>),
    responses((status = 200, body = Done)))]
async fn suspend(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Body(Suspend { for_seconds, reason }): Body<Suspend>,
) -> Result<Json<Done>, Problem> {
    let for_seconds = seconds(for_seconds, LONGEST)?;
    done(shared.ask(asker, Command::Suspend { room, for_seconds, reason }).await?)
}

fn done(reply: Reply) -> Result<Json<Done>, Problem> {
    match reply {
        Reply::Done { text, room } => Ok(Json(Done { text, room })),
        _ => Err(Problem::strange()),
    }
}
