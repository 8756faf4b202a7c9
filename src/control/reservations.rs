//! Jitsi's reservation requests, answered for rooms that we know, so that bookings need no booking system.
//!
//! A listener of its own, since nobody proves who they are: it is open to this machine, and to the networks that the
//! configuration names. `POST …/conference` asks, `GET …/conference/ID` looks again, `DELETE …/conference/ID` says that
//! the meeting has ended. Source: jitsi-meet's `mod_reservations.lua` and Jicofo's `doc/reservation.md`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::seldom::Seldom;
use super::socket::{self, Socket, SocketError};
use super::{Gate, TOO_MANY};
use crate::command::{Command, Reply, Requester, Who};
use crate::config::{Listen, Reservations};
use crate::rights::{Rights, RoomPattern, Scope};
use crate::runtime::transport::Io;

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest request, bytes: a form with three fields.
const REQUEST_BYTES: usize = 16 * 1024;
/// Longest field, bytes: as long as a JID may be (RFC 7622 §3.1). Some thousand reservations are remembered.
const FIELD_BYTES: usize = 3071;
/// Requests in a second, over some seconds, for each service.
const PER_SECOND: u32 = 50;
/// Connections at a time.
const CONNECTIONS: usize = 32;

/// The part of the configuration that is in force, replaced by a reload.
pub type Wanted = watch::Receiver<Arc<[Reservations]>>;

/// All listeners, open.
pub struct Desks(Vec<(Socket, Reservations)>);

impl Desks {
    /// Opens them all.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn open(all: &[Reservations]) -> Result<Desks, SocketError> {
        let mut desks = Vec::new();
        for settings in all {
            desks.push((bind(settings).await?, settings.clone()));
        }
        Ok(Desks(desks))
    }

    /// Answers requests until dropped, which ends all connections. Listeners come and go with a reload; one whose address
    /// stays takes what else changed.
    pub async fn serve(self, gate: Arc<Gate>, mut wanted: Wanted) {
        let mut tasks = JoinSet::new();
        let mut open: Vec<Desk> = Vec::new();
        for (socket, settings) in self.0 {
            open.push(Desk::start(socket, settings, &gate, &mut tasks));
        }
        while wanted.changed().await.is_ok() {
            let mut before = std::mem::take(&mut open);
            let mut new = Vec::new();
            for settings in wanted.borrow_and_update().iter() {
                match before.iter().position(|desk| desk.listen == settings.listen) {
                    Some(at) => {
                        let desk = before.remove(at);
                        desk.settings.send_replace(Arc::new(settings.clone()));
                        open.push(desk);
                    }
                    None => new.push(settings.clone()),
                }
            }
            for desk in &before {
                info!(listen = %desk.listen, "reservations closed");
                desk.task.abort();
            }
            // Their sockets are free again once their tasks are gone; no task ends by itself.
            for _ in before {
                tasks.join_next().await;
            }
            for settings in new {
                match bind(&settings).await {
                    Ok(socket) => open.push(Desk::start(socket, settings, &gate, &mut tasks)),
                    Err(error) => error!("reservations: {:#}; a reload tries it again", anyhow::Error::new(error)),
                }
            }
        }
    }
}

async fn bind(settings: &Reservations) -> Result<Socket, SocketError> {
    let socket = Socket::bind(&settings.listen, 0o666).await?;
    info!(listen = %socket.place(&settings.listen), service = settings.service, "reservations open");
    Ok(socket)
}

/// A listener that answers.
struct Desk {
    listen: Listen,
    settings: watch::Sender<Arc<Reservations>>,
    task: AbortHandle,
}

impl Desk {
    fn start(socket: Socket, settings: Reservations, gate: &Arc<Gate>, tasks: &mut JoinSet<()>) -> Desk {
        let listen = settings.listen.clone();
        let (settings, told) = watch::channel(Arc::new(settings));
        Desk { listen, settings, task: tasks.spawn(listening(socket, told, gate.clone())) }
    }
}

async fn listening(socket: Socket, settings: watch::Receiver<Arc<Reservations>>, gate: Arc<Gate>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut strangers = Seldom::default();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (io, origin) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                socket::not_accepted("connection for reservations", &error).await;
                continue;
            }
        };
        if !may_ask(&settings.borrow(), origin.address()) {
            if let Some(times) = strangers.happened(Instant::now()) {
                warn!(%origin, times, "a stranger asked for a reservation and was closed; allow names who may");
            }
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            debug!("more connections for reservations than are allowed; one was closed");
            continue;
        };
        let (settings, gate) = (settings.clone(), gate.clone());
        connections.spawn(async move {
            requests(io, origin.address(), settings, gate).await;
            drop(place);
        });
    }
}

fn may_ask(settings: &Reservations, address: Option<IpAddr>) -> bool {
    address.is_none_or(|address| {
        address.to_canonical().is_loopback() || settings.allow.iter().any(|network| network.contains(address))
    })
}

async fn requests(
    io: Box<dyn Io>,
    address: Option<IpAddr>,
    settings: watch::Receiver<Arc<Reservations>>,
    gate: Arc<Gate>,
) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (settings, gate) = (settings.borrow().clone(), gate.clone());
        async move {
            // A connection may outlast what it was let in by.
            let answer = match may_ask(&settings, address) {
                true => answer(request.map(Body::new), &settings, &gate).await,
                false => message(StatusCode::FORBIDDEN, "you may not ask here any more"),
            };
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(REQUEST_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "connection for reservations ended");
    }
}

async fn answer(request: Request<Body>, settings: &Reservations, gate: &Gate) -> Response {
    let path = request.uri().path().to_owned();
    // Before it may stand whatever the server was told to put there.
    let Some((_, id)) = path.rsplit_once("/conference") else {
        return message(StatusCode::NOT_FOUND, "nothing is here");
    };
    let command = match (request.method(), id.strip_prefix('/').unwrap_or(id)) {
        (&Method::POST, "") => match read(request, settings).await {
            Ok(command) => command,
            Err(text) => return message(StatusCode::BAD_REQUEST, &text),
        },
        (&Method::GET, id) if !id.is_empty() => {
            Command::Reservation { service: settings.service.clone(), id: id.to_owned() }
        }
        (&Method::DELETE, id) if !id.is_empty() => {
            Command::EndReservation { service: settings.service.clone(), id: id.to_owned() }
        }
        _ => return message(StatusCode::METHOD_NOT_ALLOWED, "POST …/conference, GET or DELETE …/conference/ID"),
    };
    let rooms = RoomPattern::new(&format!("{}/*", settings.service));
    let who = Who::Server { service: settings.service.as_str().into() };
    let mut scopes = vec![Scope::Read, Scope::Rooms];
    if settings.reveal_password {
        scopes.push(Scope::Admin);
    }
    let requester = Requester { who, rights: Rights { scopes, rooms }, per_second: PER_SECOND };
    match gate.ask(requester, command).await {
        Reply::Reservation(reservation) => axum::Json(*reservation).into_response(),
        Reply::Taken { .. } => StatusCode::OK.into_response(),
        Reply::Refused { error, text } => {
            let status = match error.as_str() {
                "unknown-reservation" => StatusCode::NOT_FOUND,
                "bad-request" => StatusCode::BAD_REQUEST,
                // Asked again, unlike a refusal.
                "busy" | TOO_MANY => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::FORBIDDEN,
            };
            message(status, &text)
        }
        _ => message(StatusCode::INTERNAL_SERVER_ERROR, "an answer to something else"),
    }
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(json!({ "message": text }))).into_response()
}

async fn read(request: Request<Body>, settings: &Reservations) -> Result<Command, String> {
    let body = match timeout(PATIENCE, Limited::new(request.into_body(), REQUEST_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return Err("the form did not come, or is too long".to_owned()),
    };
    let field = |name: &str| {
        let found = url::form_urlencoded::parse(&body).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    let need = |name: &str| match field(name) {
        Some(value) if value.len() > FIELD_BYTES => Err(format!("{name} has more than {FIELD_BYTES} bytes")),
        Some(value) => Ok(value),
        None => Err(format!("{name} is missing")),
    };
    let (room, owner, start) = (need("name")?, need("mail_owner")?, need("start_time")?);
    if room.contains(['/', '@']) {
        return Err("name is the room's name".to_owned());
    }
    let start: Timestamp = start.parse().map_err(|_| "start_time is no time of RFC 3339".to_owned())?;
    let room = format!("{}/{room}", settings.service);
    Ok(Command::Reserve { room, start, owner })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, Network};

    #[test]
    fn this_machine_may_ask_and_whom_the_configuration_allows_and_nobody_else() {
        let settings = Reservations {
            service: "meet".into(),
            listen: Listen::Tcp(([0, 0, 0, 0], 8320).into()),
            allow: ["192.0.2.0/24", "fd00::1"].into_iter().filter_map(Network::read).collect(),
            reveal_password: false,
        };
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.9", true),
            ("192.0.2.77", true),
            ("fd00::1", true),
            ("192.0.3.1", false),
            ("fd00::2", false),
        ] {
            assert_eq!(may_ask(&settings, address.parse().ok()), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn a_field_that_is_longer_than_any_address_is_not_remembered() {
        let settings = Reservations {
            service: "meet".into(),
            listen: Listen::Tcp(([127, 0, 0, 1], 8320).into()),
            allow: Vec::new(),
            reveal_password: false,
        };
        for (length, fits) in [(FIELD_BYTES, true), (FIELD_BYTES + 1, false)] {
            let form = format!("name=tavern&start_time=2026-03-01T10:00:00Z&mail_owner={}", "x".repeat(length));
            let read = read(Request::new(Body::from(form)), &settings).await;
            assert_eq!(read.is_ok(), fits, "{read:?}");
        }
    }
}
