//! The life of a conference in its room (§5.7): entering, members, features, leaving.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::brain::{Brain, Conference, Due, Member, Question, Timer};
use super::seen::{Seen, Why};
use crate::support::xml::{Muc, Node, bare, escape, resource};

impl Brain {
    pub(super) fn on_client(&mut self, node: &Node) {
        if self.crashed.is_some() {
            return;
        }
        let from = node.attr("from");
        let (room, nick) = (bare(from).to_owned(), resource(from).to_owned());
        match node.name.as_str() {
            "presence" => self.on_presence(&room, &nick, node),
            "iq" if matches!(node.attr("type"), "result" | "error") => {
                if let Some(question) = self.questions.remove(node.attr("id")) {
                    self.on_answer(question, Some(node));
                }
            }
            "iq" => self.on_iq(&room, &nick, node),
            "message" => self.on_message(node),
            _ => (),
        }
    }

    pub(super) fn on_presence(&mut self, room: &str, nick: &str, node: &Node) {
        let muc = node.muc().unwrap_or_default();
        let gone = node.attr("type") == "unavailable";
        let own = nick == "focus";
        if let Some(left) = self.leaving.get_mut(room) {
            // of an earlier life of the room
            if own && gone {
                let why = left.pop_front();
                if left.is_empty() {
                    self.leaving.remove(room);
                }
                self.note(room, Seen::Left(why.unwrap_or(Why::Removed)));
            }
            return;
        }
        if !self.conferences.contains_key(room) {
            return;
        }
        if own && (gone || node.attr("type") == "error") {
            if let Some(Conference { asker: Some((from, _)), .. }) = self.conferences.get(room) {
                self.note(room, Seen::Silent { from: from.clone() });
            }
            self.forget(room);
            self.note(room, Seen::Left(if muc.destroyed { Why::Destroyed } else { Why::Removed }));
        } else if own {
            self.on_entered(room);
        } else if gone {
            self.on_left(room, nick, muc.status);
        } else if node.attr("type").is_empty() {
            let caps = node.child_ns("c", "http://jabber.org/protocol/caps");
            let caps = caps.map(|caps| format!("{}#{}", caps.attr("node"), caps.attr("ver")));
            self.on_member(room, nick, muc, caps);
        }
    }

    pub(super) fn on_entered(&mut self, room: &str) {
        let Some(conference) = self.conferences.get_mut(room).filter(|conference| !conference.joined) else { return };
        conference.joined = true;
        let asker = conference.asker.take();
        let nicks: Vec<String> = conference.members.keys().cloned().collect();
        self.note(room, Seen::Entered);
        self.arm_start(room);
        if let Some((from, id)) = asker {
            self.ready(room, &from, &id, true);
        }
        for nick in nicks {
            self.welcome(room, &nick);
        }
        self.show(room);
    }

    pub(super) fn on_member(&mut self, room: &str, nick: &str, muc: Muc, caps: Option<String>) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let joined = conference.joined;
        let new = conference.members.get(nick).is_none_or(|member| member.jid != muc.jid);
        let member = conference.members.entry(nick.to_owned()).or_default();
        if new {
            *member = Member { caps, ..Member::default() };
        }
        let promoted = muc.role == "moderator" && member.role != "moderator";
        (member.jid, member.role, member.affiliation) = (muc.jid.clone(), muc.role, muc.affiliation);
        if new {
            self.present.entry(muc.jid.clone()).or_default().insert(room.to_owned());
            self.note(room, Seen::Joined { nick: nick.to_owned(), jid: muc.jid.clone() });
            if joined {
                self.welcome(room, nick);
            }
        }
        if promoted {
            self.note(room, Seen::Moderator { nick: nick.to_owned(), jid: muc.jid });
        }
        self.show(room);
    }

    /// What is done for a new member: grant, then disco#info, whose answer leads to the invitation.
    pub(super) fn welcome(&mut self, room: &str, nick: &str) {
        let Some(conference) = self.conferences.get(room) else { return };
        let Some(member) = conference.members.get(nick) else { return };
        let node = member.caps.as_ref().map(|caps| format!(" node='{}'", escape(caps))).unwrap_or_default();
        let jid = member.jid.clone();
        let owners = conference.members.values().any(|member| member.affiliation == "owner");
        if member.affiliation != "owner"
            && (self.auth.by_jid.contains_key(&jid) && self.options.auth || !self.options.auth && !owners)
        {
            self.grant(room, &jid);
        }
        let payload = format!("<query xmlns='http://jabber.org/protocol/disco#info'{node}/>");
        let question = Question::Disco { room: room.to_owned(), nick: nick.to_owned() };
        self.ask(&format!("{room}/{nick}"), "get", &payload, question);
    }

    pub(super) fn arm_start(&mut self, room: &str) {
        let at = Instant::now() + self.options.start_timeout;
        if let Some(conference) = self.conferences.get_mut(room) {
            conference.start_due = Some(at);
        }
        self.timers.push(Timer { at, what: Due::Start(room.to_owned()) });
    }

    pub(super) fn on_left(&mut self, room: &str, nick: &str, status: Vec<u16>) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let Some(member) = conference.members.remove(nick) else { return };
        let (empty, joined) = (conference.members.is_empty(), conference.joined);
        let participants = conference.members.values().filter(|member| member.participant).count();
        let owners = conference.members.values().any(|member| member.affiliation == "owner");
        let heir = conference.members.values().next().map(|member| member.jid.clone());
        if let Some(rooms) = self.present.get_mut(&member.jid) {
            rooms.remove(room);
        }
        self.note(room, Seen::Gone { nick: nick.to_owned(), status });
        if empty && joined {
            return self.leave(room, Why::Empty);
        }
        if let (false, false, Some(heir)) = (self.options.auth, owners, heir) {
            self.grant(room, &heir);
        }
        if participants == 1 {
            let at = Instant::now() + Duration::from_secs(20);
            self.timers.push(Timer { at, what: Due::Single(room.to_owned()) });
        }
        self.show(room);
    }

    pub(super) fn leave(&mut self, room: &str, why: Why) {
        let _ = write!(self.to_client, "<presence type='unavailable' to='{}/focus'/>", escape(room));
        self.leaving.entry(room.to_owned()).or_default().push_back(why);
        self.forget(room);
    }

    pub(super) fn forget(&mut self, room: &str) {
        let Some(conference) = self.conferences.remove(room) else { return };
        for member in conference.members.values() {
            if let Some(rooms) = self.present.get_mut(&member.jid) {
                rooms.remove(room);
            }
        }
        if self.options.jwt {
            self.expire_sessions(|session| session.room == room);
        }
        self.show(room);
    }
}
