//! Frames over a connection: TCP, TLS, WebSocket, memory.
//!
//! A transport only moves frames; what they mean is [`crate::stream`]'s matter. It keeps no read buffer while idle.
//! [`connect`] makes one, and says in one sentence why not.
//! Source: RFC 6120 §3 "TCP Binding", RFC 7395, XEP-0368.
#![allow(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cause::{Cause, Word};
use crate::config::{Endpoint, HostPort, Secret};
use crate::session::UrlRoom;
use crate::stream::{Frame, Security};
use crate::xml::{Element, Limits};

pub use memory::memory;
pub use tls::Tls;
pub(crate) use tls::secure;

mod dns;
mod memory;
mod tcp;
mod tls;
mod websocket;

/// A connection that carries frames.
///
/// `poll_next` and `poll_flush` may be polled in turn from one task, so that reading never waits for writing.
pub trait Transport: Send {
    /// Queues the opening of a stream towards `domain`; again after SASL (RFC 6120 §6.4.6).
    fn open(&mut self, domain: &str);
    /// Queues one element.
    fn send(&mut self, element: &Element);
    /// Queues the close of the stream.
    fn close(&mut self);
    /// Bytes queued and not yet taken by the operating system; while there are any, `poll_flush` has work to do.
    fn queued(&self) -> usize;
    /// Writes what is queued; ready when nothing is left.
    ///
    /// # Errors
    /// The connection is lost.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>>;
    /// The next frame.
    ///
    /// # Errors
    /// The connection is lost, or what came can not be framed.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>>;
    /// How the connection is protected.
    fn security(&self) -> Security;
    /// Whether the connection must be upgraded by STARTTLS before anything else is said.
    fn needs_starttls(&self) -> bool;
    /// Upgrades to TLS after `<proceed/>` (RFC 6120 §5.4.3).
    fn starttls(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn Transport>, Cause>>;
}

/// What may lie below a transport.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Most bytes that wait for a server that does not read; beyond them it is given up.
const QUEUED_BYTES: usize = 16 * 1024 * 1024;

/// How long each wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// One DNS look-up.
    pub dns: Duration,
    /// A TCP connection, over all addresses of one host.
    pub connect: Duration,
    /// A TLS handshake.
    pub tls: Duration,
    /// The HTTP upgrade to WebSocket.
    pub upgrade: Duration,
    /// One step of the login.
    pub step: Duration,
    /// The whole login.
    pub login: Duration,
    /// Saying goodbye.
    pub close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Deadlines {
            dns: seconds(5),
            connect: seconds(10),
            tls: seconds(10),
            upgrade: seconds(10),
            step: seconds(10),
            login: seconds(30),
            close: seconds(1),
        }
    }
}

/// Where to connect to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service's address.
    pub endpoint: Endpoint,
    /// The XMPP domain; what a certificate must be for, except behind `wss:`.
    pub domain: String,
    /// Whom to trust; shared by all sessions of a service.
    pub tls: Arc<Tls>,
    /// DNS server for SRV look-ups; the system's when absent.
    pub nameserver: Option<SocketAddr>,
    /// Bounds on what is read.
    pub limits: Limits,
    /// The room that the connection is for, which Jitsi wants in the URL (`room`, and `prefix` for a tenant's).
    pub room: Option<UrlRoom>,
    /// The id of a session to resume, which Jitsi wants in the URL (`previd`).
    pub previd: Option<Secret>,
    /// The token that is the login, which goes into the URL (`token`).
    pub token: Option<Secret>,
    /// Randomness for the order of SRV records of equal priority (RFC 2782 "Usage rules").
    pub seed: u64,
    /// How long each wait may last.
    pub deadlines: Deadlines,
}

impl Target {
    /// What Jitsi wants in the query of a WebSocket's URL.
    fn parameters(&self) -> [(&'static str, Option<&str>); 4] {
        let room = self.room.as_ref();
        [
            ("room", room.map(|room| &*room.name)),
            // The proxy that Jitsi brings writes one of its own, made of the path, before this one; the last counts.
            ("prefix", room.and_then(|room| room.tenant.as_deref())),
            ("token", self.token.as_ref().map(Secret::expose)),
            ("previd", self.previd.as_ref().map(Secret::expose)),
        ]
    }

    /// The URL that is asked for, with its secrets.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.endpoint {
            Endpoint::WebSocket(url) => websocket::complete(url, &self.parameters()).into(),
            Endpoint::DirectTls(Some(HostPort { host, port })) => format!("xmpps://{host}:{port}"),
            Endpoint::StartTls(Some(HostPort { host, port })) => format!("xmpp://{host}:{port}"),
            Endpoint::DirectTls(None) => format!("xmpps://{}", self.domain),
            Endpoint::StartTls(None) | Endpoint::Srv => format!("xmpp://{}", self.domain),
        }
    }
}

/// What can be tried: an address and how to speak there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    at: HostPort,
    direct_tls: bool,
}

/// Connects. TLS, and the upgrade to WebSocket, are done then; STARTTLS and the login are not.
///
/// # Errors
/// One word and sentence for each way it can fail, naming host and port and never the URL's query.
pub async fn connect(target: &Target) -> Result<Box<dyn Transport>, Cause> {
    // Freed once connected: what lives as long as the session should be small.
    Box::pin(connect_any(target)).await
}

/// Bytes to and from `at`, for what is no XMPP; inside TLS where `tls` says whom to trust.
///
/// # Errors
/// As for [`connect`].
pub(crate) async fn bytes(at: &HostPort, tls: Option<&Arc<Tls>>) -> Result<Box<dyn Io>, Cause> {
    let deadlines = Deadlines::default();
    let (stream, loopback) = dial(at, &deadlines).await?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = at.host.clone();
    let upgrade =
        tls::Upgrade { tls: tls.clone(), name, at: format!("{}:{}", at.host, at.port), deadline: deadlines.tls };
    Ok(upgrade.run(Box::new(stream), tls::Alpn::None, loopback).await?.0)
}

async fn connect_any(target: &Target) -> Result<Box<dyn Transport>, Cause> {
    if let Endpoint::WebSocket(url) = &target.endpoint {
        return websocket::connect(url, target).await;
    }
    let mut first = None;
    for candidate in candidates(target).await? {
        match connect_one(&candidate, target).await {
            Ok(transport) => return Ok(transport),
            Err(cause) => {
                first.get_or_insert(cause);
            }
        }
    }
    Err(first.unwrap_or_else(|| Cause::new(Word::UnknownHost, format!("DNS names no server for {}", target.domain))))
}

async fn candidates(target: &Target) -> Result<Vec<Candidate>, Cause> {
    let given = |at: &HostPort, direct_tls| Ok(vec![Candidate { at: at.clone(), direct_tls }]);
    let (direct, starttls) = match &target.endpoint {
        Endpoint::DirectTls(Some(at)) => return given(at, true),
        Endpoint::StartTls(Some(at)) => return given(at, false),
        Endpoint::WebSocket(_) => return Ok(Vec::new()),
        Endpoint::DirectTls(None) => (true, false),
        Endpoint::StartTls(None) => (false, true),
        Endpoint::Srv => (true, true),
    };
    dns::candidates(target, direct, starttls).await
}

async fn connect_one(candidate: &Candidate, target: &Target) -> Result<Box<dyn Transport>, Cause> {
    let (stream, loopback) = dial(&candidate.at, &target.deadlines).await?;
    let security = Security { loopback, ..Security::default() };
    let name = target.domain.clone();
    let upgrade = tls::Upgrade {
        tls: target.tls.clone(),
        name,
        at: format!("{}:{}", candidate.at.host, candidate.at.port),
        deadline: target.deadlines.tls,
    };
    if candidate.direct_tls {
        let (io, security) = upgrade.run(Box::new(stream), tls::Alpn::XmppClient, loopback).await?;
        Ok(Box::new(tcp::Tcp::new(io, security, target.limits, None)))
    } else {
        Ok(Box::new(tcp::Tcp::new(Box::new(stream), security, target.limits, Some(upgrade))))
    }
}

/// Opens a TCP connection to the first address that takes it, and says whether it is this machine's.
async fn dial(at: &HostPort, deadlines: &Deadlines) -> Result<(TcpStream, bool), Cause> {
    let place = format!("{}:{}", at.host, at.port);
    let host = at.host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(deadlines.dns, tokio::net::lookup_host((host, at.port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Err(_) => {
            let text = format!("no DNS server answered for {} within {:?}", at.host, deadlines.dns);
            return Err(Cause::new(Word::TimedOut, text));
        }
        Ok(Err(error)) => return Err(Cause::new(Word::UnknownHost, format!("{} does not resolve: {error}", at.host))),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let end = Instant::now() + deadlines.connect;
    let mut first = None;
    for (n, address) in addresses.iter().enumerate() {
        // Each address gets its share of what is left, so that one that swallows packets does not hide the next.
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX).max(1);
        let cause = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Stanzas are small and answers are awaited: waiting to fill packets only delays them.
                let _ = stream.set_nodelay(true);
                return Ok((stream, address.ip().to_canonical().is_loopback()));
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Cause::new(Word::Unreachable, format!("nothing listens at {place} (connection refused)"))
            }
            Ok(Err(error)) => Cause::new(Word::Unreachable, format!("{place} can not be reached: {error}")),
            Err(_) => Cause::new(
                Word::TimedOut,
                format!("{place} did not take the connection within {:?}", deadlines.connect),
            ),
        };
        first.get_or_insert(cause);
    }
    Err(first.unwrap_or_else(|| Cause::new(Word::UnknownHost, format!("{} has no address", at.host))))
}

/// A connection that broke.
fn lost(error: &std::io::Error) -> Cause {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let text = match error.kind() {
        ConnectionReset | BrokenPipe => "the connection was reset".to_owned(),
        UnexpectedEof => "the connection ended without a goodbye".to_owned(),
        _ => format!("the connection was lost: {error}"),
    };
    Cause::new(Word::Disconnected, text)
}

/// The server closed the connection.
fn ended() -> Cause {
    Cause::new(Word::Disconnected, "the server closed the connection")
}

/// The server takes nothing.
fn overfull() -> Cause {
    Cause::new(Word::Disconnected, "the server does not read what we send")
}
