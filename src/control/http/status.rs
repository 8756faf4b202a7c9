//! `/v1/status`: the daemon as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use super::access::Asker;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Reply, StatusReply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/status", get(status))
}

#[derive(OpenApi)]
#[openapi(paths(status))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// The daemon: counts, services, sessions, memory.
#[utoipa::path(get, path = "/v1/status", tag = "daemon", security(("token" = ["read"])),
    responses((status = 200, body = StatusReply)))]
async fn status(State(shared): Ctx, Asker(asker): Asker) -> Result<Json<StatusReply>, Problem> {
    match shared.ask(asker, Command::Status).await? {
        Reply::Status(reply) => Ok(Json(*reply)),
        _ => Err(Problem::strange()),
    }
}
