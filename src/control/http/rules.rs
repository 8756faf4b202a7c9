//! `/v1/rules`: which rules of order there are.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Reply, RuleRow};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/rules", get(list))
}

#[derive(OpenApi)]
#[openapi(paths(list))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// A list of rules.
#[derive(Debug, Serialize, ToSchema)]
struct Rules {
    /// One each, by name.
    rules: Vec<RuleRow>,
}

/// The rules of order that a policy can name, with their options and an example of each.
#[utoipa::path(get, path = "/v1/rules", tag = "moderation", security(("token" = ["read"])),
    responses((status = 200, body = Rules)))]
async fn list(State(shared): Ctx, Asker(asker): Asker) -> Result<Json<Rules>, Problem> {
    match shared.ask(asker, Command::Rules).await? {
        Reply::Rules { rules } => Ok(Json(Rules { rules })),
        _ => Err(Problem::strange()),
    }
}
