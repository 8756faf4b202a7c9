//! `/v1/events`: what happened; `/v1/events/live`: what happens, as it happens, as server-sent events.
//!
//! Source: HTML Living Standard, §9.2 "Server-sent events".

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, OpenApi};

use super::access::Asker;
use super::input::Params;
use super::problem::Problem;
use super::{Ctx, Settings, Shared};
use crate::command::{Command, EventsQuery, EventsReply, FollowQuery, Reply, Requester, Who};
use crate::config::{self, HttpToken};
use crate::control::watch::{Told, Watch};
use crate::event::Event;

/// How often a silent connection gets a comment, so that proxies keep it and a dead one is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/events", get(list)).route("/v1/events/live", get(live))
}

#[derive(OpenApi)]
#[openapi(paths(list, live))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Which events are sent; all that is said must be true of one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Of rooms whose name fits: `*` stands for any text; with a slash, `service/name`.
    room: Option<String>,
    /// Of this service.
    service: Option<String>,
    /// Of these kinds, with commas between: `room.held,occupant.*`.
    kind: Option<String>,
    /// About whoever has this nick, display name, bare JID or occupant id.
    who: Option<String>,
    /// Instead of the header `Last-Event-ID`, for programs that can not send it.
    last_event_id: Option<u64>,
}

/// What happened: the newest events, or those after one.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventsQuery), security(("token" = ["read"])),
    responses((status = 200, body = EventsReply)))]
async fn list(
    State(shared): Ctx,
    Asker(asker): Asker,
    Params(query): Params<EventsQuery>,
) -> Result<Json<EventsReply>, Problem> {
    match shared.ask(asker, Command::Events(query)).await? {
        Reply::Events(reply) => Ok(Json(reply)),
        _ => Err(Problem::strange()),
    }
}

/// What happens, as server-sent events: `id` is the event's, `event` its kind, `data` its JSON.
///
/// With `Last-Event-ID` it goes on after that event, from the record; `event: gap` says that some before the next
/// are not there any more, or could not be read. A reader who is too slow gets `event: dropped` and the end.
#[utoipa::path(get, path = "/v1/events/live", tag = "events",
    params(Asked, ("Last-Event-ID" = Option<u64>, Header, description = "the last event that was seen")),
    security(("token" = ["read"])),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn live(
    State(shared): Ctx,
    Asker(asker): Asker,
    headers: HeaderMap,
    Params(asked): Params<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let after = match headers.get("last-event-id") {
        None => asked.last_event_id,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            Some(id.ok_or_else(|| Problem::bad_request("Last-Event-ID is the id of an event, a number"))?)
        }
    };
    let Asked { room, service, kind, who, .. } = asked;
    let query = FollowQuery { service, room, kind, who, after };
    let watch =
        Watch::begin(&shared.gate, &shared.bus, &asker, &query).map_err(|refusal| Problem::of_reply(*refusal))?;
    let Ok(place) = shared.live.clone().try_acquire_owned() else {
        let text = "as many follow events as may; try again later, or raise [http] connections";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text));
    };
    let settings = shared.settings.clone();
    let began = settings.borrow().clone();
    let reader = Reader { settings, began, asker, watch, _place: place };
    Ok(Sse::new(reader.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Somebody who follows.
struct Reader {
    settings: Settings,
    /// The settings that its token was found in.
    began: Arc<config::Http>,
    asker: Requester,
    watch: Watch,
    _place: OwnedSemaphorePermit,
}

type Sent = axum::response::sse::Event;

impl Reader {
    fn stream(self) -> impl Stream<Item = Result<Sent, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move { Some((Ok(reader.next().await?), reader)) })
    }

    /// What is sent next; `None` is the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            let told = tokio::select! {
                told = self.watch.next() => told?,
                changed = self.settings.changed() => {
                    if changed.is_ok() && self.still_may() {
                        continue;
                    }
                    self.watch.end();
                    return changed.is_ok().then(|| word("dropped", "the token, or what it may do, was changed"));
                }
            };
            return Some(match told {
                Told::Event(event) => sent(&event),
                Told::Gap => word("gap", Told::GAP),
                Told::TooSlow => word("dropped", Told::TOO_SLOW),
            });
        }
    }

    /// Whether the token still says what it said at the beginning.
    fn still_may(&self) -> bool {
        let Who::Token { name } = &self.asker.who else { return true };
        let named = |token: &&HttpToken| *token.name == **name;
        let token = self.began.tokens.iter().find(named);
        token.is_some() && token == self.settings.borrow().tokens.iter().find(named)
    }
}

fn sent(event: &Event) -> Sent {
    let data = serde_json::to_string(event).unwrap_or_default();
    Sent::default().id(event.id.to_string()).event(event.what.kind().as_str()).data(data)
}

fn word(cause: &str, text: &str) -> Sent {
    Sent::default().event(cause).data(serde_json::json!({ "cause": cause, "text": text }).to_string())
}
