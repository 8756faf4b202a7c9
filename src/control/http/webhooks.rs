//! `/v1/webhooks`: who is told by HTTP what happens, and how it is with them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::Body;
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{Command, Reply, WebhookRow, WebhookTrial};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/webhooks", get(list))
        .route("/v1/webhooks/{target}/test", post(test))
        .route("/v1/webhooks/{target}/replay", post(replay))
        .route("/v1/webhooks/{target}/skip", post(skip))
}

#[derive(OpenApi)]
#[openapi(paths(list, test, replay, skip))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// All receivers.
#[derive(Debug, Serialize, ToSchema)]
struct Webhooks {
    /// By name.
    webhooks: Vec<WebhookRow>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookDone {
    /// In one sentence.
    text: String,
}

/// What is sent again: what happened since then, dead letters, or else the events of rooms that are parked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Of this room only: `NAME`, `SERVICE/NAME` or the room JID.
    room: Option<String>,
    /// What happened since then.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// What it would not take.
    #[serde(default)]
    dead: bool,
}

/// What is given up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Skip {
    /// Of this room only: `NAME`, `SERVICE/NAME` or the room JID.
    room: Option<String>,
}

/// Lists who is told by HTTP what happens. For tokens of all rooms.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", security(("token" = ["read"])),
    responses((status = 200, body = Webhooks)))]
async fn list(State(shared): Ctx, Asker(asker): Asker) -> Result<Json<Webhooks>, Problem> {
    match shared.ask(asker, Command::Webhooks).await? {
        Reply::Webhooks { webhooks } => Ok(Json(Webhooks { webhooks })),
        _ => Err(Problem::strange()),
    }
}

/// Sends a receiver a signed sample of each kind, and says what it answers. For tokens of all rooms.
#[utoipa::path(post, path = "/v1/webhooks/{target}/test", tag = "webhooks", security(("token" = ["admin"])),
    params(("target" = String, Path, description = "the receiver's name in the configuration")),
    responses((status = 200, body = WebhookTrial)))]
async fn test(
    State(shared): Ctx,
    Asker(asker): Asker,
    Path(target): Path<String>,
) -> Result<Json<WebhookTrial>, Problem> {
    match shared.ask(asker, Command::WebhookTest { target }).await? {
        Reply::WebhookTested(trial) => Ok(Json(*trial)),
        _ => Err(Problem::strange()),
    }
}

/// Sends events again, under the keys that they had. For tokens of all rooms.
#[utoipa::path(post, path = "/v1/webhooks/{target}/replay", tag = "webhooks", security(("token" = ["admin"])),
    params(("target" = String, Path, description = "the receiver's name in the configuration")),
    request_body(content = Option<Replay>),
    responses((status = 200, body = WebhookDone)))]
async fn replay(
    State(shared): Ctx,
    Asker(asker): Asker,
    Path(target): Path<String>,
    Body(Replay { room, since, dead }): Body<Replay>,
) -> Result<Json<WebhookDone>, Problem> {
    done(shared.ask(asker, Command::WebhookReplay { target, room, since, dead }).await?)
}

/// Gives up on events that wait for a receiver. For tokens of all rooms.
#[utoipa::path(post, path = "/v1/webhooks/{target}/skip", tag = "webhooks", security(("token" = ["admin"])),
    params(("target" = String, Path, description = "the receiver's name in the configuration")),
    request_body(content = Option<Skip>),
    responses((status = 200, body = WebhookDone)))]
async fn skip(
    State(shared): Ctx,
    Asker(asker): Asker,
    Path(target): Path<String>,
    Body(Skip { room }): Body<Skip>,
) -> Result<Json<WebhookDone>, Problem> {
    done(shared.ask(asker, Command::WebhookSkip { target, room }).await?)
}

fn done(reply: Reply) -> Result<Json<WebhookDone>, Problem> {
    match reply {
        Reply::WebhookDone { text } => Ok(Json(WebhookDone { text })),
        _ => Err(Problem::strange()),
    }
}
