//! Listens to a transport: every element that goes through it is put on a tape and, redacted, into the trace log.

use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{Level, enabled, trace};

use super::{Label, Tape};
use crate::capture::Direction;
use crate::capture::redact::{self, Redactor};
use crate::cause::Cause;
use crate::runtime::transport::Transport;
use crate::stream::{Frame, Security};
use crate::xml::{self, Element, FRAMING, STREAMS};
use crate::xmpp::element;

/// Puts a tap on the transport if anybody listens: a tape, or the trace log.
#[must_use]
pub fn tap(transport: Box<dyn Transport>, label: &Label, framing: Framing, tape: Option<Tape>) -> Box<dyn Transport> {
    let log = enabled!(Level::TRACE).then(|| Log { label: label.clone(), redactor: Redactor::recording(false) });
    if tape.is_none() && log.is_none() {
        return transport;
    }
    Box::new(Tap { inner: transport, ear: Ear { framing, tape, log, lost: false } })
}

/// How the opening and the close of a stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `<open/>` and `<close/>` (RFC 7395 §3.3).
    Elements,
    /// One long `<stream:stream>` (RFC 6120 §4.2).
    Stream,
}

struct Tap {
    inner: Box<dyn Transport>,
    ear: Ear,
}

struct Ear {
    framing: Framing,
    tape: Option<Tape>,
    log: Option<Log>,
    /// Whether the end of the connection was heard.
    lost: bool,
}

struct Log {
    label: Label,
    redactor: Redactor,
}

impl Ear {
    fn element(&mut self, direction: Direction, element: &Element) {
        if let Some(tape) = &mut self.tape {
            tape.said(direction, xml::to_string(element, None));
        }
        if let Some(Log { label, redactor }) = &mut self.log {
            let text = redact::to_string(redactor, element);
            let Label { service, slot, account } = label;
            match direction {
                Direction::Sent => trace!(%service, session = slot, account, "> {text}"),
                Direction::Received => trace!(%service, session = slot, account, "< {text}"),
            }
        }
    }

    fn open(&mut self, direction: Direction, domain: Option<&str>) {
        let opening: Element = match self.framing {
            Framing::Elements => element("open", FRAMING).maybe_attr("to", domain).attr("version", "1.0").into(),
            Framing::Stream => element("stream", STREAMS).maybe_attr("to", domain).attr("version", "1.0").into(),
        };
        self.element(direction, &opening);
    }

    fn close(&mut self, direction: Direction) {
        match self.framing {
            Framing::Elements => self.element(direction, &element("close", FRAMING).into()),
            Framing::Stream => {
                let who = if direction == Direction::Sent { "we" } else { "the server" };
                self.event(&format!("{who} closed the stream"));
            }
        }
    }

    fn event(&mut self, what: &str) {
        if let Some(tape) = &mut self.tape {
            tape.event(what.to_owned());
        }
        if let Some(Log { label, redactor }) = &mut self.log {
            let text = redactor.text(what);
            trace!(service = %label.service, session = label.slot, account = label.account, "! {text}");
        }
    }

    fn frame(&mut self, frame: &Result<Frame, Cause>) {
        match frame {
            Ok(Frame::Open) => self.open(Direction::Received, None),
            Ok(Frame::Close) => self.close(Direction::Received),
            Ok(Frame::Element(element)) => self.element(Direction::Received, element),
            Ok(Frame::Bad(bad)) => {
                let rest = if bad.rest.is_some() { "; what is left of it follows" } else { "" };
                self.event(&format!("refused a <{}/>: {}{rest}", bad.head.name, bad.why));
                if let Some(rest) = &bad.rest {
                    self.element(Direction::Received, rest);
                }
            }
            Err(cause) => self.lost(cause),
        }
    }

    fn lost(&mut self, cause: &Cause) {
        if !self.lost {
            self.lost = true;
            self.event(&format!("lost: {}", cause.text));
        }
    }
}

impl Transport for Tap {
    fn open(&mut self, domain: &str) {
        self.ear.open(Direction::Sent, Some(domain));
        self.inner.open(domain);
    }

    fn send(&mut self, element: &Element) {
        self.ear.element(Direction::Sent, element);
        self.inner.send(element);
    }

    fn close(&mut self) {
        self.ear.close(Direction::Sent);
        self.inner.close();
    }

    fn queued(&self) -> usize {
        self.inner.queued()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let flushed = self.inner.poll_flush(cx);
        if let Poll::Ready(Err(cause)) = &flushed {
            self.ear.lost(cause);
        }
        flushed
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>> {
        let next = self.inner.poll_next(cx);
        if let Poll::Ready(frame) = &next {
            self.ear.frame(frame);
        }
        next
    }

    fn security(&self) -> Security {
        self.inner.security()
    }

    fn needs_starttls(&self) -> bool {
        self.inner.needs_starttls()
    }

    fn starttls(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn Transport>, Cause>> {
        let Tap { inner, mut ear } = *self;
        async move {
            match inner.starttls().await {
                Ok(inner) => {
                    let secured: Box<dyn Transport> = Box::new(Tap { inner, ear });
                    Ok(secured)
                }
                Err(cause) => {
                    ear.lost(&cause);
                    Err(cause)
                }
            }
        }
        .boxed()
    }
}
