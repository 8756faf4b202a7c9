//! A foreign client over plain TCP or a WebSocket on loopback: guests, human moderators, hostile occupants.
//!
//! Blocking, and it answers nothing by itself: what a test does not say is not sent. Raw bytes go out as they are.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::prosody::{DOMAIN, GUESTS};
use super::websocket::Frames;
use super::xml::{Item, Node, Reader, escape};

/// For one step of a login, and for an answer that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that speaks XML, before anyone is logged in.
pub struct Wire {
    tcp: TcpStream,
    /// Of a WebSocket.
    frames: Option<Frames>,
    reader: Reader,
    items: VecDeque<Item>,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// The port does not answer.
    pub fn connect(to: SocketAddr) -> Result<Wire, String> {
        let tcp = TcpStream::connect_timeout(&to, PATIENCE).map_err(|error| format!("connect: {error}"))?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        tcp.set_write_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        Ok(Wire { tcp, frames: None, reader: Reader::new(), items: VecDeque::new() })
    }

    /// Connects by WebSocket; `query` is empty or begins with `?`.
    ///
    /// # Errors
    /// The port does not answer, or does not upgrade.
    pub fn websocket(to: SocketAddr, query: &str) -> Result<Wire, String> {
        let mut wire = Wire::connect(to)?;
        wire.frames = Some(Frames::upgrade(&mut wire.tcp, query)?);
        Ok(wire)
    }

    /// Opens a stream (again) and returns the server's header.
    ///
    /// # Errors
    /// The server closed, sent no XML, or kept silent.
    pub fn open(&mut self, to: &str, ns: &str) -> Result<Node, String> {
        self.reader = Reader::new();
        if self.frames.is_some() {
            // there is no stream around the messages; the reader wants one (RFC 7395 §3.3)
            self.reader.push(b"<stream xmlns='jabber:client'>", &mut self.items)?;
            self.items.clear();
            self.send(&format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{to}' version='1.0'/>"))?;
            return self.element();
        }
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='{ns}' xmlns:stream='http://etherx.jabber.org/streams' \
             to='{to}' version='1.0'>"
        ))?;
        match self.item(Instant::now() + PATIENCE)? {
            Some(Item::Open(header)) => Ok(header),
            other => Err(format!("no stream header but {other:?}")),
        }
    }

    /// Writes raw text; over a WebSocket as one message.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, text: &str) -> Result<(), String> {
        let framed = self.frames.as_ref().map(|_| Frames::text(text));
        let bytes = framed.as_deref().unwrap_or(text.as_bytes());
        self.tcp.write_all(bytes).map_err(|error| format!("write: {error}"))
    }

    /// The next piece of the stream, or `None` when `until` passes first.
    ///
    /// # Errors
    /// The connection is gone or carries no XML.
    pub fn item(&mut self, until: Instant) -> Result<Option<Item>, String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.tcp.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
            match self.tcp.read(&mut buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(length) => self.read(&buffer[..length])?,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(format!("read: {error}")),
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some(frames) = &mut self.frames else { return self.reader.push(bytes, &mut self.items) };
        let (messages, answers) = frames.push(bytes)?;
        for message in messages {
            self.reader.push(&message, &mut self.items)?;
        }
        self.tcp.write_all(&answers).map_err(|error| format!("write: {error}"))
    }

    /// The next element, which must come.
    ///
    /// # Errors
    /// The stream ended, or nothing came.
    pub fn element(&mut self) -> Result<Node, String> {
        match self.item(Instant::now() + PATIENCE)? {
            Some(Item::Element(node)) => Ok(node),
            Some(other) => Err(format!("no element but {other:?}")),
            None => Err(format!("silence for {PATIENCE:?}")),
        }
    }

    /// Logs in with SASL `mechanism` and binds; returns the full JID.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub fn login(&mut self, domain: &str, mechanism: &str, initial: &str, resource: &str) -> Result<String, String> {
        self.open(domain, "jabber:client")?;
        self.element()?; // features
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{initial}</auth>");
        self.send(&auth)?;
        let answer = self.element()?;
        if answer.name != "success" {
            return Err(format!("login refused: {answer:?}"));
        }
        self.open(domain, "jabber:client")?;
        self.element()?; // features
        let resource = match resource {
            "" => String::new(),
            given => format!("<resource>{}</resource>", escape(given)),
        };
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resource}</bind></iq>"
        ))?;
        let bound = self.element()?;
        let jid = bound.child("bind").and_then(|bind| bind.child("jid")).map(|jid| jid.text.clone());
        jid.ok_or_else(|| format!("not bound: {bound:?}"))
    }

    /// Logs in as an account by PLAIN.
    ///
    /// # Errors
    /// As [`Wire::login`].
    pub fn plain(&mut self, user: &str, domain: &str, password: &str, resource: &str) -> Result<String, String> {
        let initial = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        self.login(domain, "PLAIN", &initial, resource)
    }

    /// Gives up the socket, for an event loop of one's own, with what was read beyond the login: a server may speak first.
    pub fn into_socket(self) -> (TcpStream, Reader, Vec<Item>) {
        (self.tcp, self.reader, self.items.into())
    }
}

/// A client that is logged in.
pub struct Client {
    /// Its full JID.
    pub jid: String,
    wire: Wire,
    /// Stanzas that came while something else was waited for.
    seen: VecDeque<Node>,
    ids: u32,
}

impl Client {
    /// Logs in an account of the main domain.
    ///
    /// # Panics
    /// The login fails.
    #[track_caller]
    pub fn account(to: SocketAddr, user: &str, password: &str) -> Client {
        let mut wire = Wire::connect(to).expect("the server's port");
        let jid = wire.plain(user, DOMAIN, password, "").expect("a login");
        Client { jid, wire, seen: VecDeque::new(), ids: 0 }
    }

    /// Logs in as a guest, anonymously.
    ///
    /// # Panics
    /// The login fails.
    #[track_caller]
    pub fn guest(to: SocketAddr) -> Client {
        let mut wire = Wire::connect(to).expect("the server's port");
        let jid = wire.login(GUESTS, "ANONYMOUS", "", "").expect("an anonymous login");
        Client { jid, wire, seen: VecDeque::new(), ids: 0 }
    }

    /// Logs in anonymously on `domain` by WebSocket, with `query` (`?room=…`) in the URL.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub fn anonymous(to: SocketAddr, query: &str, domain: &str) -> Result<Client, String> {
        let mut wire = Wire::websocket(to, query)?;
        let jid = wire.login(domain, "ANONYMOUS", "", "")?;
        Ok(Client { jid, wire, seen: VecDeque::new(), ids: 0 })
    }

    /// Logs in an account of `domain` by WebSocket, with `query` (`?room=…`) in the URL.
    ///
    /// # Panics
    /// The login fails.
    #[track_caller]
    pub fn web_account(to: SocketAddr, query: &str, user: &str, domain: &str, password: &str) -> Client {
        let mut wire = Wire::websocket(to, query).expect("a WebSocket");
        let jid = wire.plain(user, domain, password, "").expect("a login");
        Client { jid, wire, seen: VecDeque::new(), ids: 0 }
    }

    /// The JID without its resource.
    pub fn bare(&self) -> &str {
        super::xml::bare(&self.jid)
    }

    /// Sends raw bytes, well-formed or not.
    ///
    /// # Panics
    /// The connection is gone.
    #[track_caller]
    pub fn send(&mut self, raw: &str) {
        self.wire.send(raw).expect("a live connection");
    }

    /// Sends raw bytes to a server that may have closed.
    pub fn try_send(&mut self, raw: &str) -> bool {
        self.wire.send(raw).is_ok()
    }

    /// The next stanza within `limit`, in the order in which they came.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn try_next(&mut self, limit: Duration) -> Result<Option<Node>, String> {
        if let Some(node) = self.seen.pop_front() {
            return Ok(Some(node));
        }
        self.read(Instant::now() + limit)
    }

    fn read(&mut self, until: Instant) -> Result<Option<Node>, String> {
        match self.wire.item(until)? {
            Some(Item::Element(node)) => Ok(Some(node)),
            Some(other) => Err(format!("the stream ended: {other:?}")),
            None => Ok(None),
        }
    }

    /// The first stanza, of those that came and those that will, for which `wanted` holds; others are kept.
    ///
    /// # Panics
    /// It does not come within the patience for `limit`, or the connection ends.
    #[track_caller]
    pub fn expect(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Node) -> bool) -> Node {
        let limit = super::process::patience(limit);
        match self.find(limit, wanted) {
            Ok(Some(node)) => node,
            Ok(None) => panic!("not within {limit:?}: {what}; came: {:#?}", self.seen),
            Err(error) => panic!("{what}: {error}; came: {:#?}", self.seen),
        }
    }

    /// As [`Client::expect`], without failing.
    ///
    /// # Errors
    /// The connection ends.
    pub fn find(&mut self, limit: Duration, wanted: impl Fn(&Node) -> bool) -> Result<Option<Node>, String> {
        if let Some(at) = self.seen.iter().position(&wanted) {
            return Ok(self.seen.remove(at));
        }
        let until = Instant::now() + limit;
        while let Some(node) = self.read(until)? {
            if wanted(&node) {
                return Ok(Some(node));
            }
            self.seen.push_back(node);
        }
        Ok(None)
    }

    /// Sends an IQ and returns its answer, result or error.
    ///
    /// # Panics
    /// No answer comes within [`PATIENCE`].
    #[track_caller]
    pub fn iq(&mut self, kind: &str, to: &str, payload: &str) -> Node {
        let id = self.next_id();
        self.send(&format!("<iq type='{kind}' to='{}' id='{id}'>{payload}</iq>", escape(to)));
        self.expect(&format!("an answer of {to}"), PATIENCE, |node| node.name == "iq" && node.attr("id") == id)
    }

    /// Sends an IQ and returns its id without waiting.
    #[track_caller]
    pub fn ask(&mut self, kind: &str, to: &str, payload: &str) -> String {
        let id = self.next_id();
        self.send(&format!("<iq type='{kind}' to='{}' id='{id}'>{payload}</iq>", escape(to)));
        id
    }

    fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("t{}", self.ids)
    }

    /// Sends the presence that joins a room, without waiting.
    #[track_caller]
    pub fn enter(&mut self, room: &str, nick: &str) {
        self.send(&format!(
            "<presence to='{}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>\
             <nick xmlns='http://jabber.org/protocol/nick'>{1}</nick></presence>",
            escape(&format!("{room}/{nick}")),
            escape(nick)
        ));
    }

    /// Joins a room and returns the presence that ends the join: our own, or an error.
    ///
    /// # Panics
    /// Nothing comes within [`PATIENCE`].
    #[track_caller]
    pub fn join(&mut self, room: &str, nick: &str) -> Node {
        self.enter(room, nick);
        self.own_presence(room, nick)
    }

    /// Waits for the next own presence, or an error, from a room.
    ///
    /// # Panics
    /// Nothing comes within [`PATIENCE`].
    #[track_caller]
    pub fn own_presence(&mut self, room: &str, nick: &str) -> Node {
        let own = format!("{room}/{nick}");
        self.expect(&format!("own presence in {room}"), PATIENCE, |node| {
            node.name == "presence"
                && (node.attr("from") == own || node.attr("from") == room)
                && (node.attr("type") == "error" || node.muc().is_some_and(|muc| muc.status.contains(&110)))
        })
    }

    /// Waits until the room says that we are moderator; returns whether it did within `limit`.
    pub fn becomes_moderator(&mut self, room: &str, nick: &str, limit: Duration) -> bool {
        let own = format!("{room}/{nick}");
        let moderator = |node: &Node| {
            node.name == "presence"
                && node.attr("from") == own
                && node.muc().is_some_and(|muc| muc.role == "moderator" && muc.status.contains(&110))
        };
        matches!(self.find(limit, moderator), Ok(Some(_)))
    }

    /// Leaves a room.
    #[track_caller]
    pub fn leave(&mut self, room: &str, nick: &str) {
        self.send(&format!("<presence type='unavailable' to='{}'/>", escape(&format!("{room}/{nick}"))));
    }

    /// Says something to the room.
    #[track_caller]
    pub fn say(&mut self, room: &str, text: &str) {
        let (room, text) = (escape(room), escape(text));
        self.send(&format!("<message type='groupchat' to='{room}'><body>{text}</body></message>"));
    }

    /// Asks the focus for a conference as Jitsi's clients do; returns its answer.
    ///
    /// # Panics
    /// No answer comes within [`PATIENCE`].
    #[track_caller]
    pub fn conference(&mut self, focus: &str, room: &str, machine_uid: &str, session_id: &str) -> Node {
        let payload = conference_request(room, machine_uid, session_id);
        self.iq("set", focus, &payload)
    }

    /// Answers the next disco#info of the focus in a room as a member without media does.
    ///
    /// # Panics
    /// It is not asked within [`PATIENCE`].
    #[track_caller]
    pub fn answer_disco(&mut self, room: &str) {
        let asked = self.expect("the focus's disco#info", PATIENCE, |node| {
            node.name == "iq"
                && node.attr("from") == format!("{room}/focus")
                && node.child("query").is_some_and(|query| query.ns == "http://jabber.org/protocol/disco#info")
        });
        self.send(&disco_answer(&asked));
    }

    /// Kicks an occupant.
    #[track_caller]
    pub fn kick(&mut self, room: &str, nick: &str, reason: &str) -> Node {
        let (nick, reason) = (escape(nick), escape(reason));
        self.admin(room, &format!("<item nick='{nick}' role='none'><reason>{reason}</reason></item>"))
    }

    /// Gives somebody an affiliation by bare JID: `outcast` bans, `none` revokes, `owner` grants.
    #[track_caller]
    pub fn affiliate(&mut self, room: &str, jid: &str, affiliation: &str) -> Node {
        self.admin(room, &format!("<item jid='{}' affiliation='{affiliation}'/>", escape(jid)))
    }

    /// Sends `<item/>`s of muc#admin.
    #[track_caller]
    pub fn admin(&mut self, room: &str, items: &str) -> Node {
        self.iq("set", room, &format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query>"))
    }

    /// Ends the room for all.
    #[track_caller]
    pub fn destroy(&mut self, room: &str, reason: &str) -> Node {
        let reason = escape(reason);
        let payload = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy><reason>{reason}</reason></destroy></query>"
        );
        self.iq("set", room, &payload)
    }

    /// Submits room settings, `var` and value each.
    #[track_caller]
    pub fn configure(&mut self, room: &str, fields: &[(&str, &str)]) -> Node {
        let fields: String = fields
            .iter()
            .map(|(var, value)| format!("<field var='{}'><value>{}</value></field>", escape(var), escape(value)))
            .collect();
        let payload = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x></query>"
        );
        self.iq("set", room, &payload)
    }

    /// Ends the stream and the connection.
    pub fn close(mut self) {
        let _ = self.wire.send("</stream:stream>");
    }
}

/// The child of a conference request; empty attributes are left out.
pub fn conference_request(room: &str, machine_uid: &str, session_id: &str) -> String {
    let attr = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!(" {name}='{}'", escape(value)),
    };
    format!(
        "<conference xmlns='http://jitsi.org/protocol/focus'{}{}{}/>",
        attr("room", room),
        attr("machine-uid", machine_uid),
        attr("session-id", session_id)
    )
}

/// What a member without media answers to disco#info.
pub fn disco_answer(asked: &Node) -> String {
    let node = asked.child("query").and_then(|query| query.maybe("node"));
    let node = node.map(|node| format!(" node='{}'", escape(node))).unwrap_or_default();
    format!(
        "<iq type='result' to='{}' id='{}'><query xmlns='http://jabber.org/protocol/disco#info'{node}>\
         <identity category='client' type='bot' name='test'/><feature var='http://jabber.org/protocol/disco#info'/>\
         </query></iq>",
        escape(asked.attr("from")),
        escape(asked.attr("id"))
    )
}
