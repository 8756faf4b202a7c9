//! The listening end: an address or a Unix socket, TLS where it is asked for, bounded connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{debug, error, info};

use super::access::Peer;
use super::patient::Patient;
use super::{Shared, router};
use crate::config::Http;
use crate::control::socket::{self, Socket, SocketError};
use crate::control::tls::{self, TlsError};
use crate::runtime::transport::Io;

/// How long a request's head may take, an idle connection's next one included; and a TLS handshake.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of a request, bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Most header fields of a request.
const FIELDS: usize = 64;

/// Why the HTTP interface can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can not be had.
    #[error("the HTTP interface can not be opened")]
    Socket(#[from] SocketError),
    /// The certificate or key does not work.
    #[error("the HTTP interface's TLS can not be set up")]
    Tls(#[from] TlsError),
}

/// The HTTP interface's socket, open.
pub struct Listener {
    socket: Socket,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Opens the socket, and reads certificate and key.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(http: &Http) -> Result<Listener, ListenError> {
        let tls = acceptor(http)?;
        // For everybody on this machine, as a port on loopback is: the tokens guard it.
        let socket = Socket::bind(&http.listen, 0o666).await?;
        let listener = Listener { socket, tls };
        let place = listener.socket.place(&http.listen);
        info!(listen = %place, tls = http.tls.is_some(), tokens = http.tokens.len(), "HTTP interface open");
        Ok(listener)
    }

    /// Answers requests until dropped, which ends all connections.
    pub async fn serve(mut self, shared: Arc<Shared>) {
        let mut settings = shared.settings.clone();
        let mut now = settings.borrow_and_update().clone();
        let places = Arc::new(Semaphore::new(now.connections));
        let router = router(shared);
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                changed = settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    now = settings.borrow_and_update().clone();
                    // A certificate is renewed under the same name, so it is read again although no key changed.
                    match acceptor(&now) {
                        Ok(tls) => self.tls = tls.or(self.tls),
                        Err(error) => error!("{:#}; the certificate before stays", anyhow::Error::new(error)),
                    }
                    continue;
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    socket::not_accepted("HTTP connection", &error).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                debug!("more HTTP connections than are allowed; one was closed");
                continue;
            };
            // Behind a proxy all have its address.
            let peer = Peer(peer.address().filter(|_| !now.behind_proxy));
            let (router, tls) = (router.clone(), self.tls.clone());
            connections.spawn(async move {
                converse(Patient::new(stream), tls, peer, router).await;
                drop(place);
            });
        }
    }
}

async fn converse(stream: Patient<Box<dyn Io>>, tls: Option<TlsAcceptor>, peer: Peer, router: Router) {
    let Some(tls) = tls else { return requests(stream, peer, router).await };
    match timeout(HEAD_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, peer, router).await,
        Ok(Err(error)) => debug!(%error, "no TLS with an HTTP peer"),
        Err(_) => debug!("an HTTP peer's TLS handshake took too long"),
    }
}

async fn requests(stream: impl Io + 'static, peer: Peer, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "HTTP connection ended");
    }
}

/// TLS with the configured certificate; `None` where there is none.
fn acceptor(http: &Http) -> Result<Option<TlsAcceptor>, ListenError> {
    Ok(http.tls.as_ref().map(|(cert, key)| tls::acceptor(cert, key, &[b"http/1.1"])).transpose()?)
}
