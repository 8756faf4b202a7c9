//! `/v1/bans`, `/v1/rooms/{room}/bans` and `/v1/exempt`: who is kept out, and who never is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::access::Asker;
use super::input::{LONGEST, Lines, Segment, Whole, seconds};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::command::{BanRow, Command, Reply};

/// One JSON object a line, as `innkeeper bans export` writes them.
const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/bans", get(list))
        .route("/v1/bans/export", get(export))
        .route("/v1/bans/import", post(import))
        .route("/v1/bans/{who}", delete(unban))
        .route("/v1/rooms/{room}/bans", post(ban))
        .route("/v1/exempt/{who}", put(exempt).delete(judge_again))
}

#[derive(OpenApi)]
#[openapi(paths(list, export, import, unban, ban, exempt, judge_again))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// All bans, and who is exempt.
#[derive(Debug, Serialize, ToSchema)]
struct Bans {
    /// One row each, by number.
    bans: Vec<BanRow>,
    /// Who is exempt by command.
    exempt: Vec<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct Banned {
    /// What was done, in one sentence.
    text: String,
    /// The bans that it is about.
    bans: Vec<BanRow>,
}

/// Whom to keep out, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ban {
    /// The nick or the only equal display name of who is inside; else a bare JID, a domain, or a key as `name:somebody`.
    who: String,
    /// Seconds after which they may come back; never when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_155_759_999_u64)]
    for_seconds: Option<u64>,
    /// What they are told.
    #[serde(default)]
    reason: Option<String>,
    /// What only those who may list bans read.
    #[serde(default)]
    note: Option<String>,
    /// From all rooms of all services; for tokens of all rooms.
    #[serde(default)]
    everywhere: bool,
    /// From the rooms of the service that fit this pattern; for tokens of all rooms.
    #[serde(default)]
    rooms: Option<String>,
}

/// All bans with whom they match and how long that holds, and who is exempt. For tokens of all rooms.
#[utoipa::path(get, path = "/v1/bans", tag = "bans", security(("token" = ["read"])),
    responses((status = 200, body = Bans)))]
async fn list(State(shared): Ctx, Asker(asker): Asker) -> Result<Json<Bans>, Problem> {
    match shared.ask(asker, Command::Bans).await? {
        Reply::Bans { bans, exempt } => Ok(Json(Bans { bans, exempt })),
        _ => Err(Problem::strange()),
    }
}

/// Our own bans, one JSON object a line, as import takes them. For tokens of all rooms.
#[utoipa::path(get, path = "/v1/bans/export", tag = "bans", security(("token" = ["read"])),
    responses((status = 200, body = String, content_type = "application/x-ndjson")))]
async fn export(State(shared): Ctx, Asker(asker): Asker) -> Result<impl IntoResponse, Problem> {
    match shared.ask(asker, Command::Bans).await? {
        Reply::Bans { bans, .. } => Ok(([(header::CONTENT_TYPE, LINES)], BanRow::export(&bans))),
        _ => Err(Problem::strange()),
    }
}

/// Adds bans, all or none. For tokens of all rooms; as every request it has at most 64 KiB: send more in several.
#[utoipa::path(post, path = "/v1/bans/import", tag = "bans", security(("token" = ["moderate"])),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Banned)))]
async fn import(State(shared): Ctx, Asker(asker): Asker, Lines(lines): Lines) -> Result<Json<Banned>, Problem> {
    banned(shared.ask(asker, Command::ImportBans { lines }).await?)
}

/// Takes bans back. For tokens of all rooms.
#[utoipa::path(delete, path = "/v1/bans/{who}", tag = "bans", security(("token" = ["moderate"])),
    params(("who" = String, Path, description = "a ban's number, or whom it matches as the list writes it")),
    responses((status = 200, body = Banned)))]
async fn unban(State(shared): Ctx, Asker(asker): Asker, Segment(who): Segment) -> Result<Json<Banned>, Problem> {
    banned(shared.ask(asker, Command::Unban { who }).await?)
}

/// Keeps somebody out of a room, of several, or of all.
#[utoipa::path(post, path = "/v1/rooms/{room}/bans", tag = "bans", security(("token" = ["moderate"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    request_body(content = Ban),
    responses((status = 200, body = Banned)))]
async fn ban(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Whole(Ban { who, for_seconds, reason, note, everywhere, rooms }): Whole<Ban>,
) -> Result<Json<Banned>, Problem> {
    let for_seconds = seconds(for_seconds, LONGEST)?;
    banned(shared.ask(asker, Command::Ban { room, who, for_seconds, reason, note, everywhere, rooms }).await?)
}

/// Never bans or judges an account. For tokens of all rooms.
#[utoipa::path(put, path = "/v1/exempt/{who}", tag = "bans", security(("token" = ["moderate"])),
    params(("who" = String, Path, description = "a bare JID, a pattern such as *@staff.example, or token:USER")),
    responses((status = 200, body = Banned)))]
async fn exempt(State(shared): Ctx, Asker(asker): Asker, Segment(who): Segment) -> Result<Json<Banned>, Problem> {
    banned(shared.ask(asker, Command::Exempt { who, on: true }).await?)
}

/// Bans and judges an account again. For tokens of all rooms.
#[utoipa::path(delete, path = "/v1/exempt/{who}", tag = "bans", security(("token" = ["moderate"])),
    params(("who" = String, Path, description = "as it was exempt")),
    responses((status = 200, body = Banned)))]
async fn judge_again(State(shared): Ctx, Asker(asker): Asker, Segment(who): Segment) -> Result<Json<Banned>, Problem> {
    banned(shared.ask(asker, Command::Exempt { who, on: false }).await?)
}

fn banned(reply: Reply) -> Result<Json<Banned>, Problem> {
    match reply {
        Reply::Banned { text, bans } => Ok(Json(Banned { text, bans })),
        _ => Err(Problem::strange()),
    }
}
