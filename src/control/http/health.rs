//! `/v1/health`: for load balancers and monitoring, without a token.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use utoipa::OpenApi;

use super::access::Anybody;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Health, Reply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/health", get(health))
}

#[derive(OpenApi)]
#[openapi(paths(health))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Whether all is well; needs no token.
#[utoipa::path(get, path = "/v1/health", tag = "daemon", security(()),
    responses(
        (status = 200, body = Health, description = "every desired room is held"),
        (status = 503, body = Health, description = "some are not"),
    ))]
async fn health(State(shared): Ctx, Anybody(asker): Anybody) -> Result<(StatusCode, Json<Health>), Problem> {
    match shared.ask(asker, Command::Health).await? {
        Reply::Health(health) => {
            let well = health.rooms.held >= health.rooms.desired;
            Ok((if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health)))
        }
        _ => Err(Problem::strange()),
    }
}
