//! Auth sessions, and who becomes owner by them (§4.1, §4.3).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::brain::{Brain, Question};
use super::seen::Seen;
use crate::support::xml::{bare, domain, escape};

/// Auth sessions; they outlive a lost connection, not the process.
#[derive(Default)]
pub(super) struct Auth {
    pub(super) sessions: HashMap<String, Session>,
    /// Which session a full JID has last authenticated with.
    pub(super) by_jid: HashMap<String, String>,
    pub(super) made: u64,
}

pub(super) struct Session {
    pub(super) machine_uid: String,
    pub(super) identity: String,
    pub(super) user_jid: String,
    /// The room that it was made for.
    pub(super) room: String,
    /// When it was last used in a conference request.
    pub(super) used: Instant,
}

impl Brain {
    fn session_lifetime(&self) -> Duration {
        let usual = if self.options.jwt { Duration::from_secs(60) } else { Duration::from_secs(24 * 60 * 60) };
        self.options.session_lifetime.unwrap_or(usual)
    }

    /// Forgets the auth sessions that are `over`.
    pub(super) fn expire_sessions(&mut self, over: impl Fn(&Session) -> bool) {
        let sessions = &mut self.auth.sessions;
        sessions.retain(|_, session| !over(session));
        self.auth.by_jid.retain(|_, id| sessions.contains_key(id));
        let left = sessions.len();
        self.notes().auth_sessions = left;
    }

    /// §4.1, in its order. Returns the session's id, if there is one, or text and child of `not-acceptable`.
    pub(super) fn authenticate(
        &mut self,
        from: &str,
        room: &str,
        machine_uid: &str,
        session_id: &str,
    ) -> Result<Option<String>, (&'static str, &'static str)> {
        if !self.options.auth {
            return Ok(None);
        }
        let lifetime = self.session_lifetime();
        self.expire_sessions(|session| session.used.elapsed() > lifetime);
        let id = if !session_id.is_empty() {
            let Some(session) = self.auth.sessions.get(session_id) else {
                return Err(("session invalid", "<session-invalid xmlns='http://jitsi.org/protocol/focus'/>"));
            };
            if session.machine_uid != machine_uid {
                return Err(("machine UID mismatch or empty", ""));
            }
            session_id.to_owned()
        } else if domain(from) == self.options.login_domain {
            if machine_uid.is_empty() {
                return Err(("Missing mandatory attribute 'machine-uid'", ""));
            }
            self.auth.made += 1;
            let id = format!("auth-{}-{:08x}", self.auth.made, from.len() as u64 * 2_654_435_761 % 0xffff_ffff);
            let session = Session {
                machine_uid: machine_uid.to_owned(),
                identity: bare(from).to_owned(),
                user_jid: String::new(),
                room: room.to_owned(),
                used: Instant::now(),
            };
            self.auth.sessions.insert(id.clone(), session);
            self.notes().auth_sessions = self.auth.sessions.len();
            id
        } else {
            return Ok(None);
        };
        let session = self.auth.sessions.get_mut(&id).expect("found or made above");
        // one session authenticates one full JID: the last
        session.used = Instant::now();
        let before = std::mem::replace(&mut session.user_jid, from.to_owned());
        if before != from && self.auth.by_jid.get(&before) == Some(&id) {
            self.auth.by_jid.remove(&before);
        }
        self.auth.by_jid.insert(from.to_owned(), id.clone());
        Ok(Some(id))
    }

    /// §4.3 (a): a JID was authenticated; wherever it is already inside, it becomes owner.
    pub(super) fn recognise(&mut self, jid: &str) {
        let rooms: Vec<String> = self.present.get(jid).into_iter().flatten().cloned().collect();
        for room in rooms {
            let owner = self.conferences.get(&room).is_none_or(|conference| {
                !conference.joined
                    || conference.members.values().any(|member| member.jid == jid && member.affiliation == "owner")
            });
            if !owner {
                self.grant(&room, jid);
            }
        }
    }

    pub(super) fn grant(&mut self, room: &str, jid: &str) {
        let jid = bare(jid).to_owned();
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut pending = false;
        for member in conference.members.values_mut().filter(|member| bare(&member.jid) == jid) {
            pending |= std::mem::replace(&mut member.granting, true);
        }
        if pending {
            return;
        }
        self.note(room, Seen::Granted { jid: jid.clone() });
        let payload = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner' jid='{}'/></query>",
            escape(&jid)
        );
        self.ask(room, "set", &payload, Question::Grant { room: room.to_owned(), jid });
    }
}
