//! The HTTP interface, `/v1`: the same commands and words as the control socket, for programs on other machines.
//!
//! One file for each resource with its routes and their description; `RESOURCES` is the table. Adding one: the file,
//! and a line there. Source: RFC 9110 "HTTP Semantics", RFC 9112 "HTTP/1.1", RFC 6750 "Bearer Token Usage".

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tokio::sync::{Semaphore, watch};

pub use listen::{ListenError, Listener};
pub use openapi::document;

use self::access::{Peer, WRONG_TOKENS};
use self::problem::Problem;
use super::guesses::Guesses;
use super::{Gate, REQUEST_BYTES};
use crate::command::{Command, Reply, Requester};
use crate::config;
use crate::runtime::bus::Bus;

mod access;
mod actions;
mod attendance;
mod authorities;
mod bans;
mod events;
mod health;
mod input;
mod listen;
mod occupants;
mod openapi;
mod patient;
mod problem;
mod reload;
mod rooms;
mod rules;
mod status;
mod tokens;
mod webhooks;
mod why;

/// The part of the configuration that is in force, replaced by a reload.
pub type Settings = watch::Receiver<Arc<config::Http>>;

/// What all requests share.
pub struct Shared {
    gate: Arc<Gate>,
    bus: Arc<Bus>,
    settings: Settings,
    guesses: Guesses<Peer>,
    /// Places for those who listen to events: half of all connections, so that questions still come through.
    live: Arc<Semaphore>,
}

impl Shared {
    /// Commands go to `gate`, events come from `bus`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, bus: Arc<Bus>, settings: Settings) -> Arc<Self> {
        let live = Arc::new(Semaphore::new(settings.borrow().connections.div_ceil(2)));
        Arc::new(Shared { gate, bus, settings, guesses: Guesses::new(WRONG_TOKENS), live })
    }

    /// Counts what is answered here, without the supervisor.
    fn pace(&self, requester: &Requester) -> Result<(), Problem> {
        self.gate.pace(Instant::now(), requester).map_err(|refusal| Problem::of_reply(*refusal))
    }

    /// Asks the supervisor; a refusal is a problem.
    async fn ask(&self, requester: Requester, command: Command) -> Result<Reply, Problem> {
        match self.gate.ask(requester, command).await {
            refusal @ Reply::Refused { .. } => Err(Problem::of_reply(refusal)),
            reply => Ok(reply),
        }
    }
}

/// One resource.
struct Resource {
    /// Its routes.
    routes: fn() -> Router<Arc<Shared>>,
    /// What is said of them.
    describe: fn() -> utoipa::openapi::OpenApi,
}

/// All of them, by name.
const RESOURCES: &[Resource] = &[
    Resource { routes: actions::routes, describe: actions::describe },
    Resource { routes: attendance::routes, describe: attendance::describe },
    Resource { routes: authorities::routes, describe: authorities::describe },
    Resource { routes: bans::routes, describe: bans::describe },
    Resource { routes: events::routes, describe: events::describe },
    Resource { routes: health::routes, describe: health::describe },
    Resource { routes: occupants::routes, describe: occupants::describe },
    Resource { routes: openapi::routes, describe: openapi::describe },
    Resource { routes: reload::routes, describe: reload::describe },
    Resource { routes: rooms::routes, describe: rooms::describe },
    Resource { routes: rules::routes, describe: rules::describe },
    Resource { routes: status::routes, describe: status::describe },
    Resource { routes: tokens::routes, describe: tokens::describe },
    Resource { routes: webhooks::routes, describe: webhooks::describe },
    Resource { routes: why::routes, describe: why::describe },
];

fn router(shared: Arc<Shared>) -> Router {
    let all = RESOURCES.iter().fold(Router::new(), |router, resource| router.merge((resource.routes)()));
    all.fallback(async || {
        Problem::new(StatusCode::NOT_FOUND, "unknown-path", "there is nothing here; see /v1/openapi.json")
    })
    .method_not_allowed_fallback(async || {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "unknown-method",
            "this can not be done here; see /v1/openapi.json",
        )
    })
    .layer(from_fn(gate))
    .with_state(shared)
}

/// Refuses what need not be looked at, and says of every answer that it is not to be kept.
async fn gate(request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .map(|length| length.to_str().unwrap_or_default().parse::<usize>());
    let refusal = match length {
        // Chunks, and both at once, are how requests are smuggled past a proxy: RFC 9112 §11.2 "Request Smuggling".
        _ if request.headers().contains_key(header::TRANSFER_ENCODING) => Some(Problem::new(
            StatusCode::LENGTH_REQUIRED,
            "bad-request",
            "a request's body is sent with Content-Length, not in chunks",
        )),
        Some(Err(_)) => Some(Problem::bad_request("Content-Length is no number")),
        Some(Ok(length)) if length > REQUEST_BYTES => Some(Problem::too_large()),
        _ => None,
    };
    let mut response = match refusal {
        Some(problem) => {
            let mut response = problem.into_response();
            // What follows on this connection may be the body.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What handlers are given of [`Shared`].
type Ctx = State<Arc<Shared>>;
