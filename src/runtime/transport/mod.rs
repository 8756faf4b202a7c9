//! Frames over a connection: TCP, TLS, WebSocket, memory.
//!
//! A transport only moves frames; what they mean is [`crate::stream`]'s matter. It keeps no read buffer while idle.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use crate::cause::Cause;
use crate::xml::{Bad, Element};

/// What a peer sends.
#[derive(Debug)]
pub enum Frame {
    /// The stream was opened: `<stream:stream>` (RFC 6120 §4.2) or `<open/>` (RFC 7395 §3.3).
    Open,
    /// One complete element: a stanza, stream features, a nonza, or `<stream:error/>`.
    Element(Element),
    /// An element that was refused; the stream goes on behind it.
    Bad(Bad),
    /// The peer closed the stream: `</stream:stream>` or `<close/>`.
    Close,
}

/// How a connection is protected; decides which login mechanisms are allowed.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether TLS protects the connection.
    pub tls: bool,
    /// Whether the peer is on this machine's loopback, where no wire can be tapped.
    pub loopback: bool,
    /// The `tls-exporter` channel binding (RFC 9266), on TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// SHA-256 of the server certificate's public key (SPKI), to tell whether the server is still the same.
    pub key_hash: Option<[u8; 32]>,
}

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
    /// Bytes queued and not yet taken by the operating system.
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
