//! A stream of bytes: TCP, TLS over it, or anything alike.
//!
//! Source: RFC 6120 §4 "XML Streams".

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::{Alpn, Upgrade};
use super::{Io, QUEUED_BYTES, Transport, ended, lost, overfull};
use crate::cause::{Cause, Word};
use crate::stream::{Frame, Security};
use crate::xml::{self, CLIENT, Element, Limits, Piece, STREAMS, Splitter};

/// How much is read at a time. On the stack: a thousand idle sessions hold a thousand of these nowhere.
const READ_BYTES: usize = 8 * 1024;

/// Frames over a stream of bytes.
pub(super) struct Tcp {
    io: Box<dyn Io>,
    splitter: Splitter,
    limits: Limits,
    frames: VecDeque<Frame>,
    /// Why no frame follows those that are read already.
    end: Option<Cause>,
    out: String,
    /// How much of `out` is written.
    written: usize,
    /// Bytes that the layers below took and may still hold.
    handed: usize,
    security: Security,
    upgrade: Option<Upgrade>,
}

impl Tcp {
    /// `upgrade`: how to upgrade by STARTTLS, where the connection is not protected.
    pub(super) fn new(io: Box<dyn Io>, security: Security, limits: Limits, upgrade: Option<Upgrade>) -> Self {
        Tcp {
            io,
            splitter: Splitter::new(limits),
            limits,
            frames: VecDeque::new(),
            end: None,
            out: String::new(),
            written: 0,
            handed: 0,
            security,
            upgrade,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Tcp { splitter, frames, limits, .. } = self;
        let split = splitter.push(bytes, |piece| {
            frames.push_back(match piece {
                Piece::Open => Frame::Open,
                Piece::Close => Frame::Close,
                Piece::TooLong(bad) => Frame::Bad(bad),
                Piece::Stanza(bytes) => match xml::parse(bytes, limits) {
                    Ok(element) => Frame::Element(element),
                    Err(bad) => Frame::Bad(bad),
                },
            });
        });
        if let Err(broken) = split {
            self.end =
                Some(Cause::new(Word::ProtocolError, format!("what the server sends is no XML stream: {broken}")));
        }
    }
}

impl Transport for Tcp {
    fn open(&mut self, domain: &str) {
        self.splitter.restart();
        self.out.push_str("<?xml version='1.0'?><stream:stream to='");
        // The one attribute that is not ours; a domain that needs more escaping than this is none.
        self.out.extend(domain.chars().filter(|c| !"<>&'\"".contains(*c) && !c.is_control()));
        self.out.push_str(&format!("' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>"));
    }

    fn send(&mut self, element: &Element) {
        xml::write(element, Some(CLIENT), &mut self.out);
    }

    fn close(&mut self) {
        self.out.push_str("</stream:stream>");
    }

    fn queued(&self) -> usize {
        self.out.len() - self.written + self.handed
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if self.queued() > QUEUED_BYTES {
            return Poll::Ready(Err(overfull()));
        }
        while self.written < self.out.len() {
            let rest = &self.out.as_bytes()[self.written..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ended())),
                Ok(n) => {
                    self.written += n;
                    self.handed += n;
                }
                Err(error) => return Poll::Ready(Err(lost(&error))),
            }
        }
        if !self.out.is_empty() {
            self.out = String::new();
            self.written = 0;
        }
        if self.handed > 0 {
            ready!(Pin::new(&mut self.io).poll_flush(cx)).map_err(|error| lost(&error))?;
            self.handed = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                if self.frames.is_empty() {
                    self.frames = VecDeque::new();
                }
                return Poll::Ready(Ok(frame));
            }
            if let Some(cause) = &self.end {
                return Poll::Ready(Err(cause.clone()));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Err(error) => self.end = Some(lost(&error)),
                Ok(()) if buffer.filled().is_empty() => self.end = Some(ended()),
                Ok(()) => self.take(buffer.filled()),
            }
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn needs_starttls(&self) -> bool {
        self.upgrade.is_some()
    }

    fn starttls(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn Transport>, Cause>> {
        async move {
            let Some(upgrade) = self.upgrade else {
                return Err(Cause::new(Word::TlsFailed, "the connection can not be upgraded to TLS"));
            };
            // Anything that came behind <proceed/> came in the clear and must not be taken for protected.
            if !self.frames.is_empty() || !self.splitter.is_idle() {
                return Err(Cause::new(Word::TlsFailed, "the server sends text behind its agreement to STARTTLS"));
            }
            let (io, security) = upgrade.run(self.io, Alpn::None, self.security.loopback).await?;
            let secured: Box<dyn Transport> = Box::new(Tcp::new(io, security, self.limits, None));
            Ok(secured)
        }
        .boxed()
    }
}
