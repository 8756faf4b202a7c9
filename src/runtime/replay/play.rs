//! One connection of a replay, seen by the server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rxml::{Namespace, xml_ncname};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::scram::Scram;
use super::{Stage, never};
use crate::capture::equiv::{Comparison, Verdict};
use crate::capture::{Connection, ConnectionKind, Content, Direction, Message};
use crate::xml::{self, Element, FRAMING, Limits};
use crate::xmpp::stanza::{Kind, kind};
use crate::xmpp::{element, ns};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// How long the client may take for what it must say next.
const PATIENCE: Duration = Duration::from_secs(15);
/// A pause in the recording is kept up to this, so that the client can say first what it said first then.
const PAUSE: Duration = Duration::from_millis(30);
/// How long is listened at the end for what is too much.
const SETTLE: Duration = Duration::from_millis(400);

/// The part of a connection that is played: from the stream's opening inside of TLS to where the recorded person left.
pub(super) fn script(recorded: &Connection) -> Connection {
    let mut messages = recorded.messages.clone();
    let proceeds =
        |message: &Message| matches!(&message.content, Content::Element(element) if element.is("proceed", TLS));
    if let Some(at) = messages.iter().position(proceeds) {
        messages.drain(..=at);
    }
    let mut end = messages.len();
    for (at, message) in messages.iter().enumerate().rev() {
        let Content::Element(element) = &message.content else { continue };
        if message.direction == Direction::Sent {
            let leaves = element.name() == "presence" && element.attr("type") == Some("unavailable");
            if leaves || element.is("close", FRAMING) {
                end = at;
            } else if !element.has_ns(ns::SM) {
                break;
            }
        }
    }
    // What an account's short login says at its end it says here, too; what is heard behind that is of no use.
    let said = |message: &Message| message.direction == Direction::Sent;
    let mut tail: Vec<Message> = messages.split_off(end).into_iter().filter(said).collect();
    messages.append(&mut tail);
    for message in &mut messages {
        if let Content::Element(element) = &mut message.content
            && let Some(plain) =
                element.attr("mechanism").and_then(|name| name.strip_suffix("-PLUS")).map(str::to_owned)
        {
            // Channel binding needs TLS, which loopback has not.
            element.set_attr(Namespace::NONE, xml_ncname!("mechanism").to_owned(), plain);
        }
    }
    let kind = ConnectionKind::WebSocket;
    Connection { kind, url: recorded.url.clone(), opened: recorded.opened, messages }
}

/// Takes the client's connections until it is aborted.
pub(super) async fn serve(listener: TcpListener, stage: Arc<Stage>) {
    let mut plays = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let stage = stage.clone();
        plays.spawn(async move {
            // The signature is the library's.
            #[allow(clippy::result_large_err)]
            let accept = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                let xmpp = http::HeaderValue::from_static("xmpp");
                response.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, xmpp);
                Ok(response)
            };
            if let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, accept).await {
                play(socket, &stage).await;
            }
        });
    }
}

async fn play(mut socket: WebSocketStream<TcpStream>, stage: &Stage) {
    let Some(open) = next(&mut socket).await else { return };
    let domain = open.attr("to").unwrap_or_default().to_owned();
    let Some((number, connection)) = stage.take(&domain) else {
        let report = never(&format!("connection to {domain}"), "the recording has no further one");
        stage.report(usize::MAX, report);
        return;
    };
    let mut player = Player {
        socket,
        comparison: Comparison::new(&connection),
        connection,
        domain,
        scram: None,
        proof: None,
        unasked: HashMap::new(),
        handled: 0,
        counting: false,
        resumes: false,
        opened: 0,
        closed: false,
        stage,
    };
    player.said(&open).await;
    player.script().await;
    let Player { socket, comparison, closed, counting, handled, .. } = player;
    stage.report(number, comparison.finish());
    if !closed {
        linger(socket, counting, handled).await;
    }
}

/// The next element; `None` at the connection's end.
async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Element> {
    loop {
        match socket.next().await? {
            Ok(Frame::Text(text)) => match xml::parse(text.as_bytes(), &Limits::default()) {
                Ok(element) => return Some(element),
                Err(_) => return None,
            },
            Ok(Frame::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, element: &Element) -> bool {
    socket.send(Frame::text(xml::to_string(element, None))).await.is_ok()
}

/// Keeps a connection that was played to its end alive until the client ends it, so that the client is not disturbed
/// while another one is played.
async fn linger(mut socket: WebSocketStream<TcpStream>, counting: bool, mut handled: u32) {
    while let Some(said) = next(&mut socket).await {
        if kind(&said).is_some() {
            handled = handled.wrapping_add(1);
        }
        let answer: Option<Element> = if said.is("close", FRAMING) {
            Some(element("close", FRAMING).into())
        } else if said.is("r", ns::SM) && counting {
            Some(element("a", ns::SM).attr("h", &handled.to_string()).into())
        } else {
            answer(&said)
        };
        if let Some(answer) = answer
            && !say(&mut socket, &answer).await
        {
            return;
        }
    }
}

/// What a server says to a question that the recording has no answer to.
fn answer(said: &Element) -> Option<Element> {
    if kind(said) != Some(Kind::Iq) || !matches!(said.attr("type"), Some("get" | "set")) {
        return None;
    }
    let ping = said.has_child("ping", ns::PING);
    let answer = element("iq", ns::CLIENT)
        .attr("type", if ping { "result" } else { "error" })
        .maybe_attr("id", said.attr("id"))
        .maybe_attr("from", said.attr("to"));
    let error = element("error", ns::CLIENT).attr("type", "cancel").child(element("service-unavailable", ns::STANZAS));
    Some(if ping { answer.into() } else { answer.child(error).into() })
}

struct Player<'s> {
    socket: WebSocketStream<TcpStream>,
    connection: Connection,
    comparison: Comparison,
    domain: String,
    scram: Option<Scram>,
    /// The server's proof, once the client has given its own.
    proof: Option<String>,
    /// Recorded answers to what the client has not asked, by their recorded id.
    unasked: HashMap<String, Element>,
    /// Stanzas from the client, and whether they are counted (XEP-0198).
    handled: u32,
    counting: bool,
    resumes: bool,
    /// How often the stream was opened.
    opened: u32,
    closed: bool,
    stage: &'s Stage,
}

impl Player<'_> {
    async fn script(&mut self) {
        let mut last = Duration::ZERO;
        let count = self.connection.messages.len();
        for number in 0..count {
            let (at, direction) = (self.connection.messages[number].at, self.connection.messages[number].direction);
            let content = self.connection.messages[number].content.clone();
            match (content, direction) {
                (Content::Element(element), Direction::Received) => {
                    let pause = at.saturating_sub(last).min(PAUSE);
                    last = at;
                    if !self.listen_for(pause).await || !self.wait(number).await {
                        return;
                    }
                    self.heard(element).await;
                }
                (Content::Event(what), _) if what.starts_with("lost") => {
                    if self.wait(number).await {
                        self.closed = true;
                    }
                    return;
                }
                _ => {}
            }
            if self.closed {
                return;
            }
        }
        if self.wait(count).await {
            self.listen_for(SETTLE).await;
        }
    }

    /// Waits until everything is said that was said before the message of that number.
    async fn wait(&mut self, number: usize) -> bool {
        while !self.comparison.expected(number).is_empty() {
            match timeout(PATIENCE, next(&mut self.socket)).await {
                Ok(Some(element)) => self.said(&element).await,
                Ok(None) => self.closed = true,
                Err(_) => return false,
            }
            if self.closed {
                return false;
            }
        }
        true
    }

    /// Takes what the client says for so long; whether it is still there.
    async fn listen_for(&mut self, time: Duration) -> bool {
        let end = tokio::time::Instant::now() + time;
        while !self.closed {
            match tokio::time::timeout_at(end, next(&mut self.socket)).await {
                Ok(Some(element)) => self.said(&element).await,
                Ok(None) => self.closed = true,
                Err(_) => return true,
            }
        }
        false
    }

    async fn say(&mut self, element: &Element) {
        if !say(&mut self.socket, element).await {
            self.closed = true;
        }
    }

    /// The client says something.
    async fn said(&mut self, element: &Element) {
        let verdict = self.comparison.sent(element);
        if kind(element).is_some() {
            self.handled = self.handled.wrapping_add(1);
            self.question(element, &verdict).await;
            return;
        }
        if element.is("auth", SASL) {
            let mechanism = element.attr("mechanism").unwrap_or_default();
            let nonce = super::super::random_hex(8);
            self.scram = Scram::begin(mechanism, &element.text(), &self.stage.password, &nonce);
            if let Some(scram) = &self.scram {
                let challenge = Element::from(crate::xmpp::element("challenge", SASL).text(&scram.challenge()));
                self.say(&challenge).await;
            }
        } else if element.is("response", SASL) {
            self.proof = self.scram.as_ref().and_then(|scram| scram.finish(&element.text()));
            if self.proof.is_none() {
                let refused = crate::xmpp::element("not-authorized", SASL);
                let failure = Element::from(crate::xmpp::element("failure", SASL).child(refused));
                self.say(&failure).await;
                self.closed = true;
            }
        } else if element.is("enable", ns::SM) {
            self.counting = true;
            self.handled = 0;
        } else if element.is("resume", ns::SM) {
            self.resumes = true;
        } else if element.is("r", ns::SM) {
            let handled = crate::xmpp::element("a", ns::SM).attr("h", &self.handled.to_string());
            self.say(&handled.into()).await;
        } else if element.is("close", FRAMING) {
            self.say(&crate::xmpp::element("close", FRAMING).into()).await;
            self.closed = true;
        }
    }

    /// Sees to it that a question of the client is answered: by the recording, at its time or late, or else at once.
    async fn question(&mut self, element: &Element, verdict: &Verdict) {
        let Some(id) = element.attr("id") else { return };
        let ours = |recorded: &str| self.comparison.id(recorded) == Some(id);
        if let Some(late) = self.unasked.keys().find(|recorded| ours(recorded)).cloned()
            && let Some(mut answer) = self.unasked.remove(&late)
        {
            answer.set_attr(Namespace::NONE, xml_ncname!("id").to_owned(), id);
            self.comparison.heard(&answer);
            self.say(&answer).await;
            return;
        }
        let recorded = self.connection.elements().any(|(message, answer)| {
            message.direction == Direction::Received && is_answer(answer) && answer.attr("id").is_some_and(ours)
        });
        if (!recorded || matches!(verdict, Verdict::Added(_)))
            && let Some(answer) = answer(element)
        {
            self.say(&answer).await;
        }
    }

    /// The recorded client heard something: so does ours, where it fits.
    async fn heard(&mut self, mut heard: Element) {
        if heard.is("open", FRAMING) || heard.is("stream", ns::STREAM) {
            self.opened += 1;
            let id = format!("replay-{}", self.opened);
            heard = element("open", FRAMING).attr("from", &self.domain).attr("id", &id).attr("version", "1.0").into();
        } else if heard.is("features", ns::STREAM) {
            heard = features(&heard);
        } else if heard.is("challenge", SASL) {
            return;
        } else if heard.is("success", SASL) {
            let text = self.proof.take().unwrap_or_default();
            heard = element("success", SASL).text(&text).into();
        } else if heard.has_ns(ns::SM) {
            // Counting is done for real; the rest answers what ours may not have said.
            let fits = match heard.name() {
                "enabled" => self.counting,
                "resumed" => self.resumes,
                "failed" => self.resumes || self.counting,
                _ => false,
            };
            if !fits {
                return;
            }
            if heard.name() == "resumed" {
                self.counting = true;
            }
        } else if heard.is("close", FRAMING) {
            self.say(&heard).await;
            self.closed = true;
            return;
        } else if is_answer(&heard) {
            let recorded = heard.attr("id").unwrap_or_default().to_owned();
            let Some(ours) = self.comparison.id(&recorded).map(str::to_owned) else {
                self.unasked.insert(recorded, heard);
                return;
            };
            heard.set_attr(Namespace::NONE, xml_ncname!("id").to_owned(), ours);
        }
        self.comparison.heard(&heard);
        self.say(&heard).await;
    }
}

fn is_answer(element: &Element) -> bool {
    kind(element) == Some(Kind::Iq) && matches!(element.attr("type"), Some("result" | "error"))
}

/// Stream features without what loopback can not offer: TLS, and logins bound to it.
fn features(recorded: &Element) -> Element {
    let mut features = Element::bare(recorded.name(), recorded.ns());
    for child in recorded.children().filter(|child| !child.has_ns(TLS)) {
        let mut child = child.clone();
        if child.is("mechanisms", SASL) {
            let mut names: Vec<String> = Vec::new();
            for mechanism in child.children() {
                let name = mechanism.text().trim_end_matches("-PLUS").to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            child = Element::bare("mechanisms", SASL);
            for name in &names {
                child.append_child(element("mechanism", SASL).text(name).into());
            }
        }
        features.append_child(child);
    }
    features
}
