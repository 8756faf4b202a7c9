//! The facts of one connection. Pure.

use std::collections::{BTreeMap, HashMap};

use super::{Leg, Pings, Refusal, Request, Response, RoleChange, Stay};
use crate::capture::{Connection, Content, Direction, show};
use crate::xml::{Element, FRAMING};
use crate::xmpp::jitsi::conference::{self, Answer};
use crate::xmpp::muc::{self, RoomPresence, Status};
use crate::xmpp::stanza::{self, Kind, StanzaError};
use crate::xmpp::{jid, ns};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const NO_TURN: &str = "no TURN credentials are offered; signalling and holding are unaffected, \
                       users behind strict NAT may have no media";
/// Said of a refusal between two browsers, who both end what they had without a bridge.
const THEIR_MEDIA: &str = "each of the two ends it when a third comes; then the media go by the bridge";

/// Most facts of one kind that are kept.
const MOST: usize = 1000;

/// Reads one connection.
pub(super) fn read(connection: &Connection) -> Leg {
    let mut read = Read::default();
    read.leg.transport = show::carrier(connection.kind).to_owned();
    read.leg.url.clone_from(&connection.url);
    let query = connection.url.as_deref().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    read.leg.token_in_url = query.split('&').any(|pair| pair.starts_with("token="));
    read.leg.opened = connection.opened.map(|opened| format!("{opened:.3}"));
    read.leg.messages = connection.messages.len();
    for message in &connection.messages {
        // Milliseconds are what people read.
        let at = (message.at.as_secs_f64() * 1000.0).round() / 1000.0;
        match (&message.content, message.direction) {
            (Content::Element(element), Direction::Sent) => read.sent(at, element),
            (Content::Element(element), Direction::Received) => read.heard(at, element),
            (Content::Event(event), _) => read.ends.push(format!("{event:?} at {at:.3} s")),
            (Content::Text { .. }, _) => {}
        }
    }
    read.finish()
}

/// A question of ours that waits for its answer.
enum Question {
    Conference(usize),
    Ping(String),
    /// What, of whom, and why it would not matter to be refused.
    Other(String, String, Option<&'static str>),
}

#[derive(Default)]
struct Read {
    leg: Leg,
    questions: HashMap<String, Question>,
    pings: BTreeMap<String, (Vec<f64>, usize)>,
    ends: Vec<String>,
    last: f64,
}

impl Read {
    fn sent(&mut self, at: f64, element: &Element) {
        self.last = at;
        if self.leg.domain.is_none() && ["open", "stream", "body"].contains(&element.name()) {
            self.leg.domain = element.attr("to").map(|to| jid::domain(to).to_owned());
        }
        if element.is("auth", SASL) {
            self.leg.mechanism = element.attr("mechanism").map(str::to_owned);
        }
        if element.is("close", FRAMING) || (element.name() == "body" && element.attr("type") == Some("terminate")) {
            self.ends.push(format!("the client closed it at {at:.3} s"));
        }
        match stanza::kind(element) {
            Some(Kind::Iq) => self.asks(at, element),
            Some(Kind::Presence) => self.sent_presence(at, element),
            _ => {}
        }
    }

    fn asks(&mut self, at: f64, element: &Element) {
        let (Some(id), Some(child)) = (element.attr("id"), element.children().next()) else { return };
        if !matches!(element.attr("type"), Some("get" | "set")) {
            return;
        }
        let to = element.attr("to").unwrap_or("the server").to_owned();
        let namespace = child.ns();
        let harmless = |why: &'static str| Some(why);
        let question = match (child.name(), namespace.as_str()) {
            ("conference", ns::JITSI_FOCUS) if self.leg.requests.len() < MOST => {
                self.leg.requests.push(Request {
                    at,
                    focus: to,
                    room: child.attr("room").unwrap_or_default().to_owned(),
                    session_id: child.attr("session-id").map(str::to_owned),
                    machine_uid: child.attr("machine-uid").map(str::to_owned),
                    answer: None,
                });
                Question::Conference(self.leg.requests.len() - 1)
            }
            (_, ns::PING) if self.pings.len() < MOST || self.pings.contains_key(&to) => {
                self.pings.entry(to.clone()).or_default().0.push(at);
                Question::Ping(to)
            }
            (_, "urn:xmpp:extdisco:1" | "urn:xmpp:extdisco:2") => {
                Question::Other(format!("extdisco ({namespace})"), to, harmless(NO_TURN))
            }
            ("query", ns::DISCO_INFO | ns::DISCO_ITEMS) => {
                let what = namespace.rsplit('/').next().unwrap_or_default().to_owned();
                let node = child.attr("node").map(|node| format!(" of node {node}")).unwrap_or_default();
                Question::Other(what + &node, to, harmless("only what is asked for is unknown then"))
            }
            (_, "urn:ietf:params:xml:ns:xmpp-session") => {
                Question::Other("session".to_owned(), to, harmless("it has had no effect since RFC 6121"))
            }
            (_, ns::JINGLE) if jid::resource(&to).is_some_and(|nick| nick != "focus") => {
                Question::Other("media between two browsers".to_owned(), to, harmless(THEIR_MEDIA))
            }
            (_, ns::VERSION) => Question::Other("version".to_owned(), to, harmless("nothing depends on it")),
            (_, BIND) => Question::Other("bind".to_owned(), to, None),
            (name, _) => Question::Other(format!("{name} ({namespace})"), to, None),
        };
        if self.questions.len() < MOST {
            self.questions.insert(id.to_owned(), question);
        }
    }

    fn sent_presence(&mut self, at: f64, element: &Element) {
        match (element.attr("type"), element.attr("to")) {
            (None, Some(to)) if element.has_child("x", ns::MUC) && self.leg.stays.len() < MOST => {
                self.leg.stays.push(Stay {
                    room: jid::bare(to).to_owned(),
                    nick: jid::resource(to).unwrap_or_default().to_owned(),
                    asked: at,
                    joined: None,
                    refused: None,
                    roles: Vec::new(),
                    nicks: Vec::new(),
                    left: None,
                });
            }
            (Some("unavailable"), Some(to)) => {
                if let Some(stay) = self.stay(jid::bare(to)) {
                    stay.left.get_or_insert((at, "of its own accord".to_owned()));
                }
            }
            (Some("unavailable"), None) => self.ends.push(format!("the client said unavailable at {at:.3} s")),
            _ => {}
        }
    }

    /// The last stay in a room.
    fn stay(&mut self, room: &str) -> Option<&mut Stay> {
        self.leg.stays.iter_mut().rev().find(|stay| stay.room == room)
    }

    fn heard(&mut self, at: f64, element: &Element) {
        self.last = at;
        if let Some(mechanisms) = element.get_child("mechanisms", SASL) {
            self.leg.offered = mechanisms.children().take(32).map(Element::text).collect();
        }
        match (element.name(), element.ns().as_str()) {
            ("failure", SASL) => {
                let condition = element.children().find(|child| child.name() != "text").map(Element::name);
                let condition = condition.unwrap_or("no condition").to_owned();
                let mechanism = self.leg.mechanism.clone().unwrap_or_else(|| "login".to_owned());
                let of = self.leg.domain.clone().unwrap_or_else(|| "the server".to_owned());
                self.leg.login_refused = Some(condition.clone());
                self.refused(Refusal { at, what: format!("login ({mechanism})"), of, condition, harmless: None });
            }
            ("success", SASL) => self.leg.login_refused = None,
            ("enabled", ns::SM) => {
                self.leg.resumable = Some(matches!(element.attr("resume"), Some("true" | "1")));
            }
            ("error", ns::STREAM) => {
                let condition = element.children().find(|child| child.has_ns(STREAM_ERRORS)).map(Element::name);
                let condition = condition.unwrap_or("no condition");
                self.ends.push(format!("the server ended it with {condition} at {at:.3} s"));
            }
            ("close", FRAMING) => self.ends.push(format!("the server closed it at {at:.3} s")),
            ("body", _) if element.attr("type") == Some("terminate") => {
                let why = element.attr("condition").map(|why| format!(" with {why}")).unwrap_or_default();
                self.ends.push(format!("the server closed it{why} at {at:.3} s"));
            }
            _ => {}
        }
        if self.leg.jid.is_none() && stanza::kind(element).is_some() {
            // A recording that begins behind the login still says to whom the server speaks.
            self.leg.jid = element.attr("to").filter(|to| to.contains('@')).map(str::to_owned);
        }
        match stanza::kind(element) {
            Some(Kind::Iq) if matches!(element.attr("type"), Some("result" | "error")) => self.answered(at, element),
            Some(Kind::Presence) => self.heard_presence(at, element),
            _ => {}
        }
    }

    fn refused(&mut self, refusal: Refusal) {
        if self.leg.refusals.len() < MOST {
            self.leg.refusals.push(refusal);
        }
    }

    fn answered(&mut self, at: f64, element: &Element) {
        if let Some(bound) = element.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)) {
            self.leg.jid = Some(bound.text());
        }
        if let Some(query) = element.get_child("query", ns::DISCO_INFO) {
            self.components(query);
        }
        let Some(question) = element.attr("id").and_then(|id| self.questions.remove(id)) else { return };
        let error = StanzaError::of(element);
        let is_error = element.attr("type") == Some("error");
        match question {
            Question::Ping(to) => {
                if let Some((_, answered)) = self.pings.get_mut(&to) {
                    *answered += 1;
                }
            }
            Question::Conference(number) => {
                let response = response(at, element);
                let Some(request) = self.leg.requests.get_mut(number) else { return };
                if is_error {
                    let (what, of) = (format!("conference request for {}", request.room), request.focus.clone());
                    request.answer = Some(response);
                    let condition = match error.has("session-invalid") {
                        true => "session-invalid".to_owned(),
                        false => error.describe(),
                    };
                    self.refused(Refusal { at, what, of, condition, harmless: None });
                } else {
                    request.answer = Some(response);
                }
            }
            Question::Other(what, of, harmless) if is_error => {
                let harmless = harmless.map(str::to_owned);
                self.refused(Refusal { at, what, of, condition: error.describe(), harmless });
            }
            Question::Other(..) => {}
        }
    }

    /// What a domain has, as Jitsi's components announce it. Source: jitsi-meet's Prosody plugins, `add_identity`.
    fn components(&mut self, query: &Element) {
        for child in query.children().filter(|child| child.name() == "identity") {
            let (Some("component"), Some(kind), Some(name)) =
                (child.attr("category"), child.attr("type"), child.attr("name"))
            else {
                continue;
            };
            let component = (kind.to_owned(), name.to_owned());
            if !self.leg.components.contains(&component) && self.leg.components.len() < 100 {
                self.leg.components.push(component);
            }
        }
    }

    fn heard_presence(&mut self, at: f64, element: &Element) {
        let Some(from) = element.attr("from") else { return };
        let (room, nick) = (jid::bare(from), jid::resource(from));
        let presence = RoomPresence::read(element);
        let Some(stay) = self.stay(room) else { return };
        if element.attr("type") == Some("error") {
            if stay.joined.is_none() {
                let error = StanzaError::of(element);
                stay.refused = Some(error.describe());
                let (what, of) = ("join".to_owned(), room.to_owned());
                self.refused(Refusal { at, what, of, condition: error.describe(), harmless: None });
            }
            return;
        }
        if !presence.has(Status::SELF) && nick != Some(stay.nick.as_str()) {
            return;
        }
        if element.attr("type") == Some("unavailable") {
            if let Some(new) = presence.new_nick.as_deref().filter(|_| presence.has(Status::RENAMED)) {
                let new = muc::clip(new).to_owned();
                stay.nick.clone_from(&new);
                if stay.nicks.len() < MOST {
                    stay.nicks.push((at, new));
                }
            } else {
                stay.left.get_or_insert_with(|| (at, out(&presence)));
            }
            return;
        }
        stay.joined.get_or_insert(at);
        let role = presence.role.as_ref().map_or("none", muc::Role::as_str).to_owned();
        let affiliation = presence.affiliation.as_ref().map_or("none", muc::Affiliation::as_str).to_owned();
        let last = stay.roles.last();
        let same = last.is_some_and(|last| (&last.role, &last.affiliation) == (&role, &affiliation));
        if !same && stay.roles.len() < MOST {
            stay.roles.push(RoleChange { at, role, affiliation, by: presence.actor.clone() });
        }
    }

    fn finish(mut self) -> Leg {
        let pings = std::mem::take(&mut self.pings).into_iter();
        self.leg.pings = pings
            .map(|(to, (times, answered))| {
                let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
                gaps.sort_by(f64::total_cmp);
                let every = gaps.get(gaps.len() / 2).map(|gap| (gap * 1000.0).round() / 1000.0);
                Pings { to, count: times.len(), answered, every }
            })
            .collect();
        self.leg.anonymous = match self.leg.mechanism.as_deref() {
            Some("ANONYMOUS") => Some(true),
            Some(_) => Some(false),
            None => None,
        };
        // What a stay was ended by is said there.
        let ends: Vec<String> = self.ends.iter().take(6).cloned().collect();
        self.leg.end = if ends.is_empty() {
            format!("the recording stops at {:.3} s with the connection open", self.last)
        } else {
            ends.join(", ")
        };
        self.leg
    }
}

/// How somebody was put out, or went.
fn out(presence: &RoomPresence) -> String {
    let by = presence.actor.as_deref().filter(|actor| !actor.is_empty()).map(|by| format!(" by {by}"));
    let how = if presence.destroyed.is_some() {
        "the room was destroyed"
    } else if presence.has(Status::BANNED) {
        "banned"
    } else if presence.has(Status::KICKED) {
        "kicked"
    } else if presence.has(Status::AFFILIATION_LOST) || presence.has(Status::MEMBERS_ONLY) {
        "not a member any more"
    } else if presence.has(Status::SHUTDOWN) {
        "the service shut down"
    } else {
        "of its own accord, or lost"
    };
    format!("{how}{}", by.unwrap_or_default())
}

fn response(at: f64, element: &Element) -> Response {
    let (outcome, granted) = match conference::answer(element) {
        Answer::Ready(granted) => ("ready".to_owned(), granted),
        Answer::NotReady(granted) => ("not ready".to_owned(), granted),
        Answer::SessionInvalid => ("session-invalid".to_owned(), conference::Granted::default()),
        Answer::NotAuthorized(error) | Answer::Absent(error) | Answer::Reservation(error) | Answer::Refused(error) => {
            (error.describe(), conference::Granted::default())
        }
    };
    let conference = element.get_child("conference", ns::JITSI_FOCUS);
    Response {
        at,
        outcome,
        identity: conference.and_then(|conference| conference.attr("identity")).map(str::to_owned),
        session_id: conference.and_then(|conference| conference.attr("session-id")).map(str::to_owned),
        focus_jid: granted.focus_jid,
        authentication: granted.authentication,
    }
}
