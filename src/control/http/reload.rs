//! `/v1/reload`: the configuration, read again.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::Body;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Plan, Reply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/reload", post(reload))
}

#[derive(OpenApi)]
#[openapi(paths(reload))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// How the configuration is read again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reload {
    /// Only say what would be held, changed and released. It takes the scope `read`; a real reload takes `admin`.
    #[serde(default)]
    plan: bool,
}

/// Reads the configuration again and joins and leaves only what changed. For tokens of all rooms.
#[utoipa::path(post, path = "/v1/reload", tag = "daemon", security(("token" = ["admin"])),
    request_body(content = Option<Reload>),
    responses((status = 200, body = Plan)))]
async fn reload(
    State(shared): Ctx,
    Asker(asker): Asker,
    Body(Reload { plan }): Body<Reload>,
) -> Result<Json<Plan>, Problem> {
    match shared.ask(asker, Command::Reload { plan }).await? {
        Reply::Reload(plan) => Ok(Json(plan)),
        _ => Err(Problem::strange()),
    }
}
