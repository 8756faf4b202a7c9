//! What is asked of the focus's component: conference requests (§3).

use std::fmt::Write as _;
use std::time::Instant;

use super::brain::{Brain, Conference, Due, Timer};
use super::seen::Seen;
use crate::support::prosody::{AUTH, FOCUS};
use crate::support::xml::{Node, domain, escape};

impl Brain {
    pub(super) fn on_component(&mut self, node: &Node) {
        if node.name != "iq" || !matches!(node.attr("type"), "get" | "set") {
            return;
        }
        let (from, id) = (node.attr("from").to_owned(), node.attr("id").to_owned());
        if self.crashed.is_some() {
            let at = Instant::now() + self.options.crash_silence;
            self.timers.push(Timer { at, what: Due::Bounce { to: from, id } });
            return;
        }
        match node.child_ns("conference", "http://jitsi.org/protocol/focus") {
            Some(request) if node.attr("type") == "set" => self.on_request(&from, &id, request),
            _ if node.child("logout").is_some() => {
                let session = node.child("logout").map(|logout| logout.attr("session-id").to_owned());
                if let Some(gone) = session.and_then(|id| self.auth.sessions.remove(&id)) {
                    self.auth.by_jid.remove(&gone.user_jid);
                }
                self.answer(&from, &id, "result", "");
            }
            _ => self.refuse("", &from, &id, "feature-not-implemented", "", ""),
        }
    }

    pub(super) fn on_request(&mut self, from: &str, id: &str, request: &Node) {
        let room = request.attr("room").to_lowercase();
        let (machine_uid, session_id) = (request.attr("machine-uid"), request.attr("session-id"));
        self.note(&room, Seen::Requested { from: from.to_owned(), with_session: !session_id.is_empty() });
        if room.is_empty() {
            return self.refuse(&room, from, id, "bad-request", "No 'room' specified.", "");
        }
        let session = match self.authenticate(from, &room, machine_uid, session_id) {
            Ok(session) => session,
            Err((text, child)) => return self.refuse(&room, from, id, "not-acceptable", text, child),
        };
        if self.options.auth && session.is_none() && !self.conferences.contains_key(&room) {
            return self.refuse(&room, from, id, "not-authorized", "not authorized user domain", "");
        }
        if domain(&room) != self.options.muc || !room.contains('@') {
            return self.note(&room, Seen::Silent { from: from.to_owned() });
        }
        match self.conferences.get_mut(&room) {
            Some(conference) if conference.joined => {
                if conference.start_due.is_some() {
                    self.arm_start(&room);
                }
                self.ready(&room, from, id, true);
            }
            Some(_) => self.ready(&room, from, id, false),
            None => {
                let asker = Some((from.to_owned(), id.to_owned()));
                self.conferences.insert(room.clone(), Conference { asker, ..Conference::default() });
                let _ = write!(
                    self.to_client,
                    "<presence to='{}/focus'><x xmlns='http://jabber.org/protocol/muc'/>\
                     <nick xmlns='http://jabber.org/protocol/nick'>focus</nick></presence>",
                    escape(&room)
                );
            }
        }
        // last, as its listeners look at the rooms that there are
        if session.is_some() {
            self.recognise(from);
        }
    }

    pub(super) fn ready(&mut self, room: &str, to: &str, id: &str, ready: bool) {
        self.note(room, Seen::Ready { to: to.to_owned(), ready });
        let session = self.auth.by_jid.get(to).and_then(|id| self.auth.sessions.get(id).map(|session| (id, session)));
        let session = session
            .map(|(id, session)| format!(" session-id='{id}' identity='{}'", escape(&session.identity)))
            .unwrap_or_default();
        let payload = format!(
            "<conference xmlns='http://jitsi.org/protocol/focus' room='{}' ready='{ready}' \
             focusjid='focus@{AUTH}'{session}><property name='authentication' value='{}'/>\
             <property name='externalAuth' value='{}'/><property name='visitors-supported' value='false'/>\
             </conference>",
            escape(room),
            self.options.auth,
            self.options.jwt
        );
        self.answer(to, id, "result", &payload);
    }

    pub(super) fn refuse(&mut self, room: &str, to: &str, id: &str, condition: &'static str, text: &str, child: &str) {
        self.note(room, Seen::Refused { from: to.to_owned(), condition });
        let text = match text {
            "" => String::new(),
            text => format!("<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{}</text>", escape(text)),
        };
        let payload = format!(
            "<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{text}{child}</error>"
        );
        self.answer(to, id, "error", &payload);
    }

    pub(super) fn answer(&mut self, to: &str, id: &str, kind: &str, payload: &str) {
        let _ = write!(
            self.to_component,
            "<iq from='{FOCUS}' to='{}' id='{}' type='{kind}'>{payload}</iq>",
            escape(to),
            escape(id)
        );
    }
}
