//! What a client says and hears, without what is free. Pure.

use std::collections::{HashMap, HashSet};

use crate::xml::{Element, FRAMING};
use crate::xmpp::jitsi::conference::{self, Answer};
use crate::xmpp::muc::{Role, RoomPresence, Status};
use crate::xmpp::stanza::{self, Kind, StanzaError};
use crate::xmpp::{jid, ns};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
const EXTDISCO: [&str; 2] = ["urn:xmpp:extdisco:1", "urn:xmpp:extdisco:2"];
/// What a stanza of a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// `<open/>`, or what opens a stream otherwise.
    Open,
    /// STARTTLS.
    Starttls,
    /// The choice of a SASL mechanism.
    Auth,
    /// A further step of SASL.
    Response,
    /// Resource binding.
    Bind,
    /// The session of RFC 3921.
    Session,
    /// `<enable/>` of XEP-0198.
    Enable,
    /// `<resume/>` of XEP-0198.
    Resume,
    /// `<r/>` or `<a/>` of XEP-0198.
    Ack,
    /// A question for STUN and TURN servers.
    Extdisco,
    /// `disco#info`.
    DiscoInfo,
    /// `disco#items`.
    DiscoItems,
    /// `disco#info` of the breakout component.
    BreakoutDisco,
    /// `disco#info` of the lobby component.
    LobbyDisco,
    /// A ping of the server.
    Ping,
    /// A ping of our own occupant JID.
    SelfPing,
    /// The conference request.
    Conference,
    /// A conference request that says what one said before that the focus answered with `ready`.
    Doubled,
    /// A question for the address of a login page.
    LoginUrl,
    /// The join presence.
    Join,
    /// A presence to a room we are in.
    MediaState,
    /// The presence that leaves a room.
    Leave,
    /// A leave, an unavailable presence or `<close/>` after which nothing else comes.
    End,
    /// A room's configuration form, asked for or submitted.
    RoomForm,
    /// Jingle.
    Jingle,
    /// A message.
    Talk,
    /// The answer to somebody's get or set.
    Answer,
    /// Everything else.
    Other,
}

impl What {
    /// Whether the order of such stanzas counts.
    pub(super) fn ordered(self) -> bool {
        use What::{Auth, Bind, Conference, Doubled, Enable, Join, Leave, Open, Response, Resume};
        matches!(self, Open | Auth | Response | Bind | Enable | Resume | Conference | Doubled | Join | Leave)
    }
}

/// A stanza without what is free.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) what: What,
    pub(super) target: String,
    pub(super) parts: Vec<(String, String)>,
}

impl Said {
    pub(super) fn describe(&self) -> String {
        let name = match self.what {
            What::Open => "stream",
            What::Starttls => "starttls",
            What::Auth => "login",
            What::Response => "login response",
            What::Bind => "bind",
            What::Session => "session",
            What::Enable => "stream management",
            What::Resume => "resumption",
            What::Ack => "acknowledgement",
            What::Extdisco => "extdisco",
            What::DiscoInfo => "disco#info",
            What::DiscoItems => "disco#items",
            What::BreakoutDisco => "breakout disco",
            What::LobbyDisco => "lobby disco",
            What::Ping => "ping",
            What::SelfPing => "self-ping",
            What::Conference | What::Doubled => "conference request",
            What::LoginUrl => "login-url",
            What::Join => "join",
            What::MediaState => "presence",
            What::Leave => "leave",
            What::End => "end",
            What::RoomForm => "room configuration",
            What::Jingle => "Jingle",
            What::Talk => "message",
            What::Answer => "answer",
            What::Other => "stanza",
        };
        let detail = match self.what {
            What::Auth | What::Resume => self.part("@mechanism"),
            What::Conference | What::Doubled => self.part("conference@room"),
            What::Other => self.parts.first().map(|(path, _)| path.as_str()),
            _ => None,
        };
        let mut text = name.to_owned();
        if !self.target.is_empty() {
            text.push_str(&format!(" to {}", self.target));
        }
        if let Some(detail) = detail {
            text.push_str(&format!(" ({detail})"));
        }
        text
    }

    fn part(&self, path: &str) -> Option<&str> {
        self.parts.iter().find(|(one, _)| one == path).map(|(_, value)| value.as_str())
    }
}

/// Something that a client must wait for.
#[derive(Debug)]
pub(super) struct Heard {
    /// What.
    pub(super) words: String,
    /// With what the wait may be left out.
    pub(super) optional: Option<What>,
}

impl Heard {
    fn must(words: impl Into<String>) -> Self {
        Heard { words: words.into(), optional: None }
    }
}

/// What a side has heard and said so far, as far as later stanzas depend on it.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Our full JID, once bound.
    us: Option<String>,
    /// Our nick by room.
    nicks: HashMap<String, String>,
    /// Others' questions by asker and id, in words.
    questions: HashMap<(String, String), String>,
    /// Ids of our conference requests, with what they said.
    requests: HashMap<String, (What, String)>,
    /// Requests that were answered with `ready`.
    ready: HashSet<String>,
    /// Rooms whose self-presence came, with whether we are moderator.
    inside: HashMap<String, bool>,
}

impl Side {
    pub(super) fn said(&mut self, element: &Element) -> Said {
        let what = self.what(element);
        let to = element.attr("to").unwrap_or_default();
        let target = match what {
            What::Join => jid::bare(to).to_owned(),
            What::Answer => {
                let key = (to.to_owned(), element.attr("id").unwrap_or_default().to_owned());
                self.questions.remove(&key).unwrap_or_else(|| format!("{to}, who had not asked"))
            }
            _ => self.name(to),
        };
        let mut said = Said { what, target, parts: Vec::new() };
        match what {
            // What SASL carries is free; of an acknowledgement everything is.
            What::Auth => said.parts.extend(element.attr("mechanism").map(|name| ("@mechanism".into(), name.into()))),
            What::Response | What::Ack | What::Bind | What::Open | What::Talk => {}
            _ => parts(element, self, &mut said.parts),
        }
        said.parts.sort();
        match what {
            What::Join => {
                if let Some(nick) = jid::resource(to) {
                    self.nicks.insert(said.target.clone(), nick.to_owned());
                }
                self.inside.remove(&said.target);
            }
            What::Leave => {
                self.inside.remove(jid::bare(to));
                self.ready.clear();
            }
            What::Open => self.ready.clear(),
            What::Conference => {
                let words = format!("{} {:?}", said.target, said.parts);
                if self.ready.contains(&words) {
                    said.what = What::Doubled;
                }
                if let Some(id) = element.attr("id") {
                    self.requests.insert(id.to_owned(), (said.what, words));
                }
            }
            _ => {}
        }
        said
    }

    /// An address without what is free.
    fn name(&self, address: &str) -> String {
        let bare = jid::bare(address);
        if self.us.as_deref().is_some_and(|us| jid::bare(us) == bare) {
            return "us".to_owned();
        }
        match self.nicks.get(bare) {
            Some(nick) if jid::resource(address) == Some(nick) => format!("{bare}/us"),
            _ => address.to_owned(),
        }
    }

    fn what(&self, element: &Element) -> What {
        let namespace = element.ns();
        match (element.name(), namespace.as_str()) {
            ("open", FRAMING) | ("stream", ns::STREAM) => return What::Open,
            ("close", FRAMING) => return What::End,
            ("body", _) if element.attr("to").is_some() => return What::Open,
            ("body", _) => return What::End,
            (_, TLS) => return What::Starttls,
            ("auth", SASL) => return What::Auth,
            (_, SASL) => return What::Response,
            ("enable", ns::SM) => return What::Enable,
            ("resume", ns::SM) => return What::Resume,
            (_, ns::SM) => return What::Ack,
            _ => {}
        }
        match stanza::kind(element) {
            Some(Kind::Message) => What::Talk,
            Some(Kind::Presence) => self.presence(element),
            Some(Kind::Iq) => self.iq(element),
            None => What::Other,
        }
    }

    fn presence(&self, element: &Element) -> What {
        let room = element.attr("to").map(jid::bare);
        match (element.attr("type"), room) {
            (Some("unavailable"), None) => What::End,
            (Some("unavailable"), Some(_)) => What::Leave,
            (None, Some(_)) if element.has_child("x", ns::MUC) => What::Join,
            (None, Some(room)) if self.nicks.contains_key(room) => What::MediaState,
            _ => What::Other,
        }
    }

    fn iq(&self, element: &Element) -> What {
        if matches!(element.attr("type"), Some("result" | "error")) {
            return What::Answer;
        }
        let Some(child) = element.children().next() else { return What::Other };
        let namespace = child.ns();
        match (child.name(), namespace.as_str()) {
            (_, BIND) => What::Bind,
            (_, SESSION) => What::Session,
            (_, namespace) if EXTDISCO.contains(&namespace) => What::Extdisco,
            (_, ns::DISCO_INFO) => match child.attr("node") {
                Some("breakout_rooms") => What::BreakoutDisco,
                Some("lobbyrooms") => What::LobbyDisco,
                _ => What::DiscoInfo,
            },
            (_, ns::DISCO_ITEMS) => What::DiscoItems,
            (_, ns::PING) => {
                let own = element.attr("to").is_some_and(|to| self.name(to).ends_with("/us"));
                if own { What::SelfPing } else { What::Ping }
            }
            (_, ns::JINGLE) => What::Jingle,
            (_, ns::MUC_OWNER) => What::RoomForm,
            ("conference", ns::JITSI_FOCUS) => What::Conference,
            ("login-url", ns::JITSI_FOCUS) => What::LoginUrl,
            _ => What::Other,
        }
    }

    /// What a client must wait for.
    pub(super) fn heard(&mut self, element: &Element) -> Option<Heard> {
        if element.has_ns(SASL) {
            return match element.name() {
                "success" => Some(Heard::must("the login is accepted".to_owned())),
                "failure" => {
                    let condition = element.children().find(|child| child.name() != "text").map(Element::name);
                    Some(Heard::must(format!("the login is refused: {}", condition.unwrap_or("no condition"))))
                }
                _ => None,
            };
        }
        match stanza::kind(element)? {
            Kind::Iq => self.heard_iq(element),
            Kind::Presence => self.heard_presence(element),
            Kind::Message => None,
        }
    }

    fn heard_iq(&mut self, element: &Element) -> Option<Heard> {
        let id = element.attr("id").unwrap_or_default();
        if !matches!(element.attr("type"), Some("result" | "error")) {
            let from = element.attr("from").unwrap_or_default();
            let child = element.children().next();
            let what = child.map(|child| format!("{} {}", child.name(), child.ns())).unwrap_or_default();
            self.questions.insert((from.to_owned(), id.to_owned()), format!("{}, who asks {what}", self.name(from)));
            return None;
        }
        if let Some(bound) = element.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)) {
            self.us = Some(bound.text());
            return None;
        }
        let (what, words) = self.requests.remove(id)?;
        let outcome = match conference::answer(element) {
            Answer::Ready(_) => {
                self.ready.insert(words);
                "ready".to_owned()
            }
            Answer::NotReady(_) => "not ready".to_owned(),
            Answer::SessionInvalid => "session-invalid".to_owned(),
            Answer::NotAuthorized(error)
            | Answer::Absent(error)
            | Answer::Reservation(error)
            | Answer::Refused(error) => format!("refused with {}", error.condition),
        };
        let words = format!("the conference request is answered: {outcome}");
        Some(Heard { words, optional: (what == What::Doubled).then_some(what) })
    }

    fn heard_presence(&mut self, element: &Element) -> Option<Heard> {
        let from = element.attr("from")?;
        let room = jid::bare(from);
        let nick = self.nicks.get(room)?;
        if element.attr("type") == Some("error") {
            return Some(Heard::must(format!("the join of {room} is refused: {}", StanzaError::of(element).condition)));
        }
        let presence = RoomPresence::read(element);
        if !presence.has(Status::SELF) && jid::resource(from) != Some(nick) {
            return None;
        }
        if element.attr("type") == Some("unavailable") {
            return self.inside.remove(room).map(|_| Heard::must(format!("we are out of {room}")));
        }
        let moderator = presence.role == Some(Role::Moderator);
        match self.inside.insert(room.to_owned(), moderator) {
            // In one step where the affiliation was there before.
            None if moderator => Some(Heard::must(format!("we are in {room} and moderator"))),
            None => Some(Heard::must(format!("we are in {room}"))),
            Some(false) if moderator => Some(Heard::must(format!("we are moderator in {room}"))),
            Some(true) if !moderator => Some(Heard::must(format!("we are no moderator in {room} any more"))),
            Some(_) => None,
        }
    }
}

/// Attributes of a stanza whose values say nothing.
const FREE: &[&str] = &["id", "from", "to"];
/// Attributes of which only their presence counts.
const PRESENT: &[&str] = &["machine-uid", "session-id", "token", "previd", "h", "sid", "ver"];

/// Takes a stanza apart into paths and values.
fn parts(element: &Element, side: &Side, out: &mut Vec<(String, String)>) {
    attributes(element, "", side, out);
    let mut open: Vec<(String, &Element)> = element.children().map(|child| (String::new(), child)).collect();
    while let Some((above, element)) = open.pop() {
        let mut path = if above.is_empty() { element.name().to_owned() } else { format!("{above}/{}", element.name()) };
        // Forms and properties are lists of named values.
        if let Some(name) = element.attr("name").or_else(|| element.attr("var")) {
            path.push_str(&format!("[{name}]"));
        }
        let text = if element.name() == "password" { "given".to_owned() } else { element.text().trim().to_owned() };
        out.push((path.clone(), format!("{{{}}}{text}", element.ns())));
        attributes(element, &path, side, out);
        open.extend(element.children().map(|child| (path.clone(), child)));
    }
}

fn attributes(element: &Element, path: &str, side: &Side, out: &mut Vec<(String, String)>) {
    for ((namespace, name), value) in element.attrs().iter() {
        let top = path.is_empty();
        if namespace.is_some() || (top && FREE.contains(&name.as_str())) {
            continue;
        }
        let value = if PRESENT.contains(&name.as_str()) { "given".to_owned() } else { side.name(value) };
        out.push((format!("{path}@{name}"), value));
    }
}
