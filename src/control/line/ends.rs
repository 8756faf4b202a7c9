//! Where the line protocol is spoken: sockets that listen, and places that are dialled again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info};

use super::Shared;
use super::talk::talk;
use crate::config::{Dial, Line, Place};
use crate::control::dial::Dialler;
use crate::control::socket::{self, Socket, SocketError};
use crate::control::tls::{self, TlsError};
use crate::runtime::transport::Io;

/// Connections at a time, at each place that listens.
const CONNECTIONS: usize = 32;
/// How long a TLS handshake may take.
const TLS_PATIENCE: Duration = Duration::from_secs(10);
/// Why a place can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndsError {
    /// The socket can not be opened.
    #[error("the line protocol can not be spoken there")]
    Socket(#[from] SocketError),
    /// Its certificate does not work.
    #[error("the line protocol's TLS can not be set up")]
    Tls(#[from] TlsError),
}

/// A place that is open.
struct End {
    place: Place,
    /// `None`: it is dialled.
    socket: Option<(Socket, Option<TlsAcceptor>)>,
}

impl End {
    async fn open(place: &Place) -> Result<End, EndsError> {
        let socket = match place {
            Place::Dial(_) => None,
            Place::Listen { listen, tls } => {
                let acceptor = acceptor(tls.as_ref())?;
                // For everybody on this machine, as a port on loopback is: the secrets guard it.
                let socket = Socket::bind(listen, 0o666).await?;
                info!(listen = %socket.place(listen), tls = acceptor.is_some(), "line protocol open");
                Some((socket, acceptor))
            }
        };
        Ok(End { place: place.clone(), socket })
    }

    async fn serve(self, shared: Arc<Shared>) {
        match (self.place, self.socket) {
            (Place::Listen { listen, tls }, Some((socket, acceptor))) => {
                listening(Place::Listen { listen, tls }, socket, acceptor, shared).await;
            }
            (Place::Dial(dial), _) => dialling(dial, shared).await,
            // What listens has its socket.
            (Place::Listen { .. }, None) => {}
        }
    }
}

fn acceptor(tls: Option<&(std::path::PathBuf, std::path::PathBuf)>) -> Result<Option<TlsAcceptor>, TlsError> {
    tls.map(|(cert, key)| tls::acceptor(cert, key, &[])).transpose()
}

/// All places, open.
pub struct Ends(Vec<End>);

impl Ends {
    /// Opens the places of these lines.
    ///
    /// # Errors
    /// See [`EndsError`].
    pub async fn open(lines: &[Line]) -> Result<Ends, EndsError> {
        let mut ends = Vec::new();
        for place in places(lines) {
            ends.push(End::open(&place).await?);
        }
        Ok(Ends(ends))
    }

    /// Talks with all peers until dropped, which ends all connections. Places come and go with a reload.
    pub async fn serve(self, shared: Arc<Shared>) {
        let mut lines = shared.lines.clone();
        let mut tasks = JoinSet::new();
        let mut open: Vec<(Place, AbortHandle)> = Vec::new();
        for end in self.0 {
            open.push((end.place.clone(), tasks.spawn(end.serve(shared.clone()))));
        }
        while lines.changed().await.is_ok() {
            let wanted = places(&lines.borrow_and_update().clone());
            let (stay, go): (Vec<_>, Vec<_>) = open.into_iter().partition(|(place, _)| wanted.contains(place));
            open = stay;
            for (_, task) in &go {
                task.abort();
            }
            // Their sockets are free again once their tasks are gone; no task ends by itself.
            for _ in go {
                tasks.join_next().await;
            }
            for place in wanted {
                if open.iter().any(|(known, _)| *known == place) {
                    continue;
                }
                match End::open(&place).await {
                    Ok(end) => open.push((place, tasks.spawn(end.serve(shared.clone())))),
                    Err(error) => error!("{:#}; a reload tries it again", anyhow::Error::new(error)),
                }
            }
        }
    }
}

/// Each place once.
fn places(lines: &[Line]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for line in lines {
        if !places.contains(&line.place) {
            places.push(line.place.clone());
        }
    }
    places
}

async fn listening(place: Place, socket: Socket, mut acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut lines = shared.lines.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            changed = lines.changed() => {
                if changed.is_err() {
                    return;
                }
                lines.borrow_and_update();
                // A certificate is renewed under the same name.
                if let Place::Listen { tls, .. } = &place {
                    match self::acceptor(tls.as_ref()) {
                        Ok(renewed) => acceptor = renewed,
                        Err(error) => error!("{:#}; the certificate before stays", anyhow::Error::new(error)),
                    }
                }
                continue;
            }
        };
        let (io, origin) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                socket::not_accepted("line", &error).await;
                continue;
            }
        };
        let Ok(permit) = free.clone().try_acquire_owned() else {
            debug!("more lines than are allowed; one was closed");
            continue;
        };
        // One user of this machine does not shut the others out.
        let address = origin.to_string();
        let (place, acceptor, shared) = (place.clone(), acceptor.clone(), shared.clone());
        connections.spawn(async move {
            let io: Box<dyn Io> = match acceptor {
                None => io,
                Some(acceptor) => match timeout(TLS_PATIENCE, acceptor.accept(io)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    _ => return debug!(address, "no TLS with a peer of the line protocol"),
                },
            };
            talk(io, &place, &address, &shared).await;
            drop(permit);
        });
    }
}

async fn dialling(dial: Dial, shared: Arc<Shared>) {
    let (mut dialler, place, address) = (Dialler::new(dial.clone()), Place::Dial(dial.clone()), dial.to_string());
    loop {
        let io = dialler.next().await;
        if talk(io, &place, &address, &shared).await {
            dialler.worked();
        }
    }
}
