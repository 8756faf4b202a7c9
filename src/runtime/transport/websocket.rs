//! XMPP over WebSocket: one element in each text message.
//!
//! Source: RFC 7395; RFC 6455; what the answers to a failed upgrade mean: Prosody's and nginx's behaviour as jitsi-meet
//! installs them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Sink, Stream};
use http::{Request, Response, header};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};
use url::Url;

use super::{Io, QUEUED_BYTES, Target, Transport, dial, ended, lost, overfull, tls};
use crate::cause::{Cause, Word};
use crate::config::HostPort;
use crate::stream::{Frame, Security};
use crate::xml::{self, Element, FRAMING, Limits};
use crate::xmpp::element;

/// Longest message that is taken. Above the limit on stanzas, so that a long one is refused alone: beyond this the
/// connection ends.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Connects, does TLS for `wss:`, and upgrades.
pub(super) async fn connect(url: &Url, target: &Target) -> Result<Box<dyn Transport>, Cause> {
    let secure = url.scheme() == "wss";
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
    let place = Place { at: format!("{host}:{port}"), path: url.path().to_owned(), secure };
    let (stream, loopback) = dial(&HostPort { host: host.clone(), port }, &target.deadlines).await?;
    let (io, security): (Box<dyn Io>, _) = if secure {
        let upgrade =
            tls::Upgrade { tls: target.tls.clone(), name: host, at: place.at.clone(), deadline: target.deadlines.tls };
        upgrade.run(Box::new(stream), tls::Alpn::Http, loopback).await?
    } else if loopback {
        (Box::new(stream), Security { loopback, ..Security::default() })
    } else {
        let text = format!("ws: goes without TLS, and {} is not on this machine; use wss:", place.at);
        return Err(Cause::new(Word::TlsNotOffered, text));
    };
    let request = request(&complete(url, &target.parameters()))
        .map_err(|error| Cause::new(Word::NotWebsocket, format!("the URL can not be asked for: {error}")))?;
    let longest = MESSAGE_BYTES.max(target.limits.stanza_bytes.saturating_mul(2));
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(2 * 1024)
        .max_write_buffer_size(QUEUED_BYTES)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let upgrade = tokio_tungstenite::client_async_with_config(request, io, Some(config));
    match timeout(target.deadlines.upgrade, Box::pin(upgrade)).await {
        Ok(Ok((socket, _))) => Ok(Box::new(WebSocket {
            socket: Box::new(socket),
            limits: target.limits,
            queue: VecDeque::new(),
            bytes: 0,
            handed: 0,
            end: None,
            security,
        })),
        Ok(Err(error)) => Err(place.explain(&error)),
        Err(_) => Err(Cause::new(
            Word::TimedOut,
            format!("{} did not answer the WebSocket upgrade within {:?}", place.at, target.deadlines.upgrade),
        )),
    }
}

/// The URL with what changes from one connection to the next: tokens in the query expire, and `previd` changes.
///
/// A parameter that the URL has already is left as the admin wrote it.
pub(super) fn complete(url: &Url, parameters: &[(&str, Option<&str>)]) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    for (name, value) in parameters {
        if let Some(value) = value
            && !url.query_pairs().any(|(known, _)| known == *name)
        {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url
}

/// The upgrade request, made anew for each attempt.
fn request(url: &Url) -> Result<Request<()>, http::Error> {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Request::builder()
        .uri(url.as_str())
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, "xmpp")
        .body(())
}

/// Where the upgrade was tried, for errors. Without the query, which may hold a token.
struct Place {
    at: String,
    path: String,
    secure: bool,
}

impl Place {
    fn explain(&self, error: &Error) -> Cause {
        let Place { at, path, secure } = self;
        let not_http = || {
            let hint = if *secure { "" } else { "; if it is a TLS port, use wss:" };
            Cause::new(Word::NotWebsocket, format!("{at} does not answer in HTTP{hint}"))
        };
        match error {
            Error::Http(response) => self.explain_status(response),
            Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => Cause::new(
                Word::NotWebsocket,
                format!("{at}{path} is a WebSocket, but not one for XMPP (no subprotocol `xmpp`)"),
            ),
            Error::Protocol(ProtocolError::HttparseError(_)) | Error::HttpFormat(_) | Error::Utf8(_) => not_http(),
            Error::Protocol(ProtocolError::HandshakeIncomplete) => Cause::new(
                Word::NotWebsocket,
                format!("{at} closed the connection instead of answering the WebSocket upgrade"),
            ),
            Error::Io(error) => {
                let lost = lost(error);
                Cause::new(lost.word, format!("during the WebSocket upgrade at {at}: {}", lost.text))
            }
            other => Cause::new(Word::NotWebsocket, format!("{at}{path} is no WebSocket for XMPP: {other}")),
        }
    }

    fn explain_status(&self, response: &Response<Option<Vec<u8>>>) -> Cause {
        let Place { at, path, .. } = self;
        let status = response.status();
        let body = response.body().as_deref().unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        let mut word = Word::NotWebsocket;
        let text = match status.as_u16() {
            200 if body.contains("It works!") => format!(
                "{at}{path} is the right place and answers a plain request: something on the way drops the header \
                 `Upgrade` (in nginx: proxy_http_version 1.1 and proxy_set_header Upgrade)"
            ),
            200..300 => format!(
                "{at}{path} answers with a web page ({status}), not with a WebSocket; is the path right? Jitsi's is \
                 /xmpp-websocket"
            ),
            300..400 => match redirect(response) {
                Some(there) => format!("{at}{path} redirects to {there} ({status}); put that into the url"),
                None => format!("{at}{path} redirects elsewhere ({status})"),
            },
            400 if body.contains("HTTPS port") => format!("{at} is a TLS port ({status}); use wss: instead of ws:"),
            401 | 403 => format!("{at}{path} is not open to us ({status}); a proxy or firewall rule forbids it"),
            404 => format!(
                "{at} has nothing at {path} ({status}); is the path right, and is Prosody's websocket module on?"
            ),
            405 => {
                format!("{at}{path} is served by a web server that knows no WebSocket ({status}); it is not Prosody")
            }
            501 => format!("{at}{path} refuses the WebSocket subprotocol `xmpp` ({status})"),
            502..=504 => {
                // Prosody is restarting behind its proxy: this passes.
                word = Word::Unreachable;
                format!("the proxy at {at} can not reach the XMPP server behind it ({status})")
            }
            _ => format!("{at}{path} refuses the WebSocket upgrade ({status})"),
        };
        Cause::new(word, text)
    }
}

/// Where a redirect leads, without its query.
fn redirect(response: &Response<Option<Vec<u8>>>) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let end = location.find(['?', '#']).unwrap_or(location.len());
    Some(location[..end].chars().take(200).collect())
}

/// Frames over a WebSocket.
struct WebSocket {
    socket: Box<WebSocketStream<Box<dyn Io>>>,
    limits: Limits,
    /// Messages not yet handed to the socket: it takes one at a time when it is not blocked.
    queue: VecDeque<Message>,
    bytes: usize,
    /// Bytes that the socket took and may still hold.
    handed: usize,
    /// Why no frame follows.
    end: Option<Cause>,
    security: Security,
}

impl WebSocket {
    fn queue(&mut self, message: Message) {
        self.bytes += message.len();
        self.queue.push_back(message);
    }

    fn read(&self, text: &str) -> Frame {
        match xml::parse_message(text, &self.limits) {
            Ok(xml::Message::Open) => Frame::Open,
            Ok(xml::Message::Close) => Frame::Close,
            Ok(xml::Message::Element(element)) => Frame::Element(element),
            Err(bad) => Frame::Bad(bad),
        }
    }
}

fn broken(error: &Error) -> Cause {
    match error {
        Error::Io(error) => lost(error),
        Error::ConnectionClosed | Error::AlreadyClosed => ended(),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Cause::new(Word::Disconnected, "the connection ended without a goodbye")
        }
        Error::WriteBufferFull(_) => overfull(),
        Error::Capacity(_) => Cause::new(Word::ProtocolError, "the server sent a message of several megabytes"),
        other => Cause::new(Word::ProtocolError, format!("the WebSocket broke: {other}")),
    }
}

impl Transport for WebSocket {
    fn open(&mut self, domain: &str) {
        let open: Element = element("open", FRAMING).attr("to", domain).attr("version", "1.0").into();
        self.send(&open);
    }

    fn send(&mut self, element: &Element) {
        self.queue(Message::text(xml::to_string(element, None)));
    }

    fn close(&mut self) {
        let close: Element = element("close", FRAMING).into();
        self.send(&close);
        self.queue(Message::Close(None));
    }

    fn queued(&self) -> usize {
        self.bytes + self.handed + self.queue.len()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if self.bytes > QUEUED_BYTES {
            return Poll::Ready(Err(overfull()));
        }
        while !self.queue.is_empty() {
            ready!(Pin::new(&mut *self.socket).poll_ready(cx)).map_err(|error| broken(&error))?;
            let Some(message) = self.queue.pop_front() else { break };
            self.bytes -= message.len();
            self.handed += message.len().max(1);
            Pin::new(&mut *self.socket).start_send(message).map_err(|error| broken(&error))?;
            if self.queue.is_empty() {
                self.queue = VecDeque::new();
            }
        }
        if self.handed > 0 {
            ready!(Pin::new(&mut *self.socket).poll_flush(cx)).map_err(|error| broken(&error))?;
            self.handed = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>> {
        loop {
            if let Some(cause) = &self.end {
                return Poll::Ready(Err(cause.clone()));
            }
            match ready!(Pin::new(&mut *self.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Ok(self.read(&text))),
                // RFC 7395 §3.2 allows text only; what it says is clear all the same.
                Some(Ok(Message::Binary(bytes))) => {
                    return Poll::Ready(Ok(self.read(&String::from_utf8_lossy(&bytes))));
                }
                Some(Ok(Message::Close(close))) => {
                    let said = close.filter(|close| !close.reason.is_empty());
                    self.end = Some(match said {
                        Some(close) => Cause::new(
                            Word::Disconnected,
                            format!("the server closed the WebSocket ({}): \"{}\"", close.code, close.reason),
                        ),
                        None => ended(),
                    });
                    return Poll::Ready(Ok(Frame::Close));
                }
                // The answer to a ping goes out with the next read, which follows at once.
                Some(Ok(_)) => {}
                Some(Err(error)) => self.end = Some(broken(&error)),
                None => self.end = Some(ended()),
            }
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn needs_starttls(&self) -> bool {
        false
    }

    fn starttls(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn Transport>, Cause>> {
        // RFC 7395 §3.9: TLS is the WebSocket's own matter.
        async { Err(Cause::new(Word::TlsFailed, "a WebSocket can not be upgraded by STARTTLS")) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_kept_and_previd_is_added() {
        let url: Url = "wss://meet.example/xmpp-websocket?room=tavern&token=a.b%2Bc#x".parse().unwrap();
        let parameters = [("room", Some("other")), ("previd", Some("a&b=c"))];
        let request = request(&complete(&url, &parameters)).unwrap();
        assert_eq!(
            request.uri().path_and_query().unwrap().as_str(),
            "/xmpp-websocket?room=tavern&token=a.b%2Bc&previd=a%26b%3Dc"
        );
        assert_eq!(request.headers()[header::HOST], "meet.example");
    }

    #[test]
    fn a_tenants_room_is_named_by_its_name_and_its_tenant_unless_the_admin_wrote_one() {
        let parameters = [("room", Some("tavern")), ("prefix", Some("acme"))];
        for (url, query) in [
            ("wss://meet.example/xmpp-websocket", "room=tavern&prefix=acme"),
            ("wss://meet.example/acme/xmpp-websocket?prefix=other", "prefix=other&room=tavern"),
        ] {
            assert_eq!(complete(&url.parse().unwrap(), &parameters).query(), Some(query));
        }
    }

    #[test]
    fn each_answer_to_the_upgrade_has_its_own_sentence() {
        let place = Place { at: "h:443".into(), path: "/p".into(), secure: true };
        let says = |status: u16, body: &str| {
            let response = Response::builder()
                .status(status)
                .header(header::LOCATION, "https://there.example/x?token=secret")
                .body(Some(body.as_bytes().to_vec()))
                .unwrap();
            place.explain_status(&response)
        };
        let mut seen = std::collections::BTreeSet::new();
        for (status, body, part, word) in [
            (200, "<p>It works! Now point your WebSocket client", "drops the header", Word::NotWebsocket),
            (200, "<html>Jitsi", "web page", Word::NotWebsocket),
            (301, "", "https://there.example/x (301", Word::NotWebsocket),
            (400, "The plain HTTP request was sent to HTTPS port", "use wss:", Word::NotWebsocket),
            (400, "", "refuses the WebSocket upgrade", Word::NotWebsocket),
            (403, "", "not open to us", Word::NotWebsocket),
            (404, "", "nothing at /p", Word::NotWebsocket),
            (405, "", "not Prosody", Word::NotWebsocket),
            (501, "", "subprotocol", Word::NotWebsocket),
            (502, "", "behind it", Word::Unreachable),
        ] {
            let cause = says(status, body);
            assert_eq!(cause.word, word);
            assert!(cause.text.contains(part), "{cause}");
            assert!(!cause.text.contains("secret"));
            assert!(seen.insert(cause.text), "{status} is not its own");
        }
    }
}
