//! Frames over a connection: TCP, TLS, WebSocket, memory.
//!
//! A transport only moves frames; what they mean is [`crate::stream`]'s matter. It keeps no read buffer while idle.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use crate::cause::Cause;
use crate::stream::{Frame, Security};
use crate::xml::Element;

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
