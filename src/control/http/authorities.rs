//! `/v1/authorities/{authority}/rooms`: the rooms that an authority wants.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::put;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::{Segment, Whole};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Reply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/authorities/{authority}/rooms", put(desire))
}

#[derive(OpenApi)]
#[openapi(paths(desire))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// All rooms that an authority wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Desired {
    /// Counts the authority's lists: an older one than the last is refused, the same one again does nothing.
    revision: u64,
    /// The rooms' names.
    rooms: Vec<String>,
    /// Said with an empty list, which releases all of its rooms.
    #[serde(default)]
    really_empty: bool,
}

/// What became of the list.
#[derive(Debug, Serialize, ToSchema)]
struct Taken {
    /// In one sentence.
    text: String,
}

/// Says which rooms an authority wants, in the place of its list before. For the token that the authority names.
#[utoipa::path(put, path = "/v1/authorities/{authority}/rooms", tag = "rooms", security(("token" = ["rooms"])),
    params(("authority" = String, Path, description = "its name in the configuration")),
    request_body(content = Desired),
    responses((status = 200, body = Taken)))]
async fn desire(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(authority): Segment,
    Whole(Desired { revision, rooms, really_empty }): Whole<Desired>,
) -> Result<Json<Taken>, Problem> {
    let command = Command::Desire { authority: Some(authority), revision, rooms, really_empty };
    match shared.ask(asker, command).await? {
        Reply::Taken { text } => Ok(Json(Taken { text })),
        _ => Err(Problem::strange()),
    }
}
