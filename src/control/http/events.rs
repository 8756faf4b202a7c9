//! `/v1/events/live`: what happens, as it happens, as server-sent events.
//!
//! Source: HTML Living Standard, §9.2 "Server-sent events".

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use axum::routing::get;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use utoipa::{IntoParams, OpenApi};

use super::access::Asker;
use super::input::Params;
use super::problem::Problem;
use super::{Ctx, Settings, Shared};
use crate::command::{Command, Requester, Who};
use crate::config::{self, HttpToken};
use crate::control::auth;
use crate::event::{Event, EventId, Kind};
use crate::pattern::Pattern;
use crate::rights::RoomPattern;
use crate::runtime::bus::{Followed, Narrow};

/// How often a silent connection gets a comment, so that proxies keep it and a dead one is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/events/live", get(live))
}

#[derive(OpenApi)]
#[openapi(paths(live))]
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
    /// Instead of the header `Last-Event-ID`, for programs that can not send it.
    last_event_id: Option<u64>,
}

/// What happens, as server-sent events: `id` is the event's, `event` its kind, `data` its JSON.
///
/// With `Last-Event-ID` it goes on after that event; `event: gap` says that some before are not kept any more. A reader
/// who is too slow gets `event: dropped` and the end.
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
    let kinds: Vec<Pattern> =
        asked.kind.iter().flat_map(|kinds| kinds.split(',')).map(|k| Pattern::new(k.trim())).collect();
    if let Some(odd) = kinds.iter().find(|kind| !Kind::ALL.iter().any(|known| kind.matches(known.as_str()))) {
        return Err(Problem::bad_request(format!("no event is of kind {:?}", odd.as_str())));
    }
    auth::may(&asker, &Command::Follow).map_err(|text| Problem::of_refusal("forbidden", text))?;
    let Ok(place) = shared.live.clone().try_acquire_owned() else {
        let text = "as many follow events as may; try again later, or raise [http] connections";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text));
    };
    let narrow =
        Narrow { room: asked.room.as_deref().map(RoomPattern::new), service: asked.service.map(Into::into), kinds };
    let followed = shared.bus.follow(after.map(EventId::from));
    let settings = shared.settings.clone();
    let began = settings.borrow().clone();
    let reader = Reader { settings, began, asker, narrow, stage: Stage::of(followed), _place: place };
    Ok(Sse::new(reader.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Somebody who follows.
struct Reader {
    settings: Settings,
    /// The settings that its token was found in.
    began: Arc<config::Http>,
    asker: Requester,
    narrow: Narrow,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

/// How far a reader is.
struct Stage {
    /// Something between the event it named and these is not kept any more, and it has not been told.
    gap: bool,
    past: std::vec::IntoIter<Arc<Event>>,
    /// `None` after the last word.
    live: Option<tokio::sync::broadcast::Receiver<Arc<Event>>>,
}

impl Stage {
    fn of(followed: Followed) -> Self {
        Stage { gap: !followed.complete, past: followed.past.into_iter(), live: Some(followed.live) }
    }
}

type Sent = axum::response::sse::Event;

impl Reader {
    fn stream(self) -> impl Stream<Item = Result<Sent, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move { Some((Ok(reader.next().await?), reader)) })
    }

    /// What is sent next; `None` is the end.
    async fn next(&mut self) -> Option<Sent> {
        if std::mem::take(&mut self.stage.gap) {
            return Some(word("gap", "some events between the one you named and the next are not kept any more"));
        }
        loop {
            if let Some(event) = self.stage.past.next() {
                if self.takes(&event) {
                    return Some(sent(&event));
                }
                continue;
            }
            let live = self.stage.live.as_mut()?;
            let heard = tokio::select! {
                heard = live.recv() => heard,
                changed = self.settings.changed() => {
                    if changed.is_ok() && self.still_may() {
                        continue;
                    }
                    self.stage.live = None;
                    return changed.is_ok().then(|| word("dropped", "the token, or what it may do, was changed"));
                }
            };
            match heard {
                Ok(event) if self.takes(&event) => return Some(sent(&event)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.stage.live = None;
                    return Some(word("dropped", "you read too slowly; come back with the last id that you saw"));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn takes(&self, event: &Event) -> bool {
        self.narrow.takes(event) && auth::event(&self.asker.rights, event)
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
