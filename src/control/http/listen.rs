//! The listening end: an address or a Unix socket, TLS where it is asked for, bounded connections.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{debug, error, info, warn};

use super::access::Peer;
use super::patient::Patient;
use super::{Shared, router};
use crate::config::{Http, Listen};
use crate::control::unix::{BindError, SocketFile};

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
    #[error("the HTTP interface can not listen on {listen}; is the port in use, or the address not ours?")]
    Address {
        /// Where.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket can not be made.
    #[error("the HTTP interface can not listen on its Unix socket")]
    Socket(#[from] BindError),
    /// The certificate or key does not work.
    #[error("the HTTP interface's TLS: {}: {what}", path.display())]
    Tls {
        /// The file that is wrong.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file when dropped")] SocketFile),
}

/// The HTTP interface's socket, open.
pub struct Listener {
    socket: Socket,
    tls: Option<TlsAcceptor>,
}

/// What the connection is made of, whatever that is.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    /// Opens the socket, and reads certificate and key.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(http: &Http) -> Result<Listener, ListenError> {
        let tls = acceptor(http)?;
        let fail = |source| ListenError::Address { listen: http.listen.to_string(), source };
        let socket = match &http.listen {
            Listen::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await.map_err(fail)?),
            Listen::Unix(path) => {
                // For everybody on this machine, as a port on loopback is: the tokens guard it.
                let (listener, file) = SocketFile::bind(path, 0o666)?;
                Socket::Unix(listener, file)
            }
        };
        let listener = Listener { socket, tls };
        let place = listener.address().map_or_else(|| http.listen.to_string(), |address| address.to_string());
        info!(listen = %place, tls = http.tls.is_some(), tokens = http.tokens.len(), "HTTP interface open");
        Ok(listener)
    }

    /// Where it listens: the port that was given where the configuration says 0.
    fn address(&self) -> Option<std::net::SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer(Some(address.ip()))))
            }
            Socket::Unix(listener, _) => Ok((Box::new(listener.accept().await?.0), Peer(None))),
        }
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
                accepted = self.accept() => accepted,
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
                    // Out of file descriptors, most likely: the next try would fail at once too.
                    warn!(%error, "HTTP connection not accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                debug!("more HTTP connections than are allowed; one was closed");
                continue;
            };
            // Behind a proxy all have its address.
            let peer = if now.behind_proxy { Peer(None) } else { peer };
            let (router, tls) = (router.clone(), self.tls.clone());
            connections.spawn(async move {
                converse(Patient::new(stream), tls, peer, router).await;
                drop(place);
            });
        }
    }
}

async fn converse(stream: Patient<Box<dyn Stream>>, tls: Option<TlsAcceptor>, peer: Peer, router: Router) {
    let Some(tls) = tls else { return requests(stream, peer, router).await };
    match timeout(HEAD_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, peer, router).await,
        Ok(Err(error)) => debug!(%error, "no TLS with an HTTP peer"),
        Err(_) => debug!("an HTTP peer's TLS handshake took too long"),
    }
}

async fn requests(stream: impl Stream + 'static, peer: Peer, router: Router) {
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

/// TLS 1.2 and 1.3 with the configured certificate; `None` where there is none.
fn acceptor(http: &Http) -> Result<Option<TlsAcceptor>, ListenError> {
    let Some((cert, key)) = &http.tls else { return Ok(None) };
    let wrong = |path: &Path, what: String| ListenError::Tls { path: path.to_owned(), what };
    let text = std::fs::read(cert).map_err(|error| wrong(cert, error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(cert, error.to_string()))?;
    let text = std::fs::read(key).map_err(|error| wrong(key, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(cert, format!("it and {} do not work together: {error}", key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
