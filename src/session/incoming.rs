//! What comes in over the stream, and to whom it goes. Pure.

use super::*;

impl Session {
    pub(super) fn heard(&mut self, now: Instant) {
        if let Link::Online { heard, pinged, .. } = &mut self.link {
            *heard = now;
            *pinged = None;
        }
    }

    pub(super) fn element(&mut self, now: Instant, element: &Element, out: &mut Outbox) {
        self.heard(now);
        if stanza::kind(element).is_some() {
            self.acks.received();
        }
        self.dispatch(now, element, out);
    }

    pub(super) fn dispatch(&mut self, now: Instant, element: &Element, out: &mut Outbox) {
        match stanza::kind(element) {
            Some(Kind::Presence) => self.presence(now, element, out),
            Some(Kind::Iq) => self.iq(now, element, out),
            Some(Kind::Message) => self.message(now, element, out),
            None if element.is("r", ns::SM) => {
                out.send.push(self.acks.answer());
            }
            None if element.is("a", ns::SM) => {
                // One without a readable count says nothing.
                if let Some(handled) = element.attr("h").and_then(|h| h.trim().parse().ok())
                    && let Err(cause) = self.acks.acknowledged(handled)
                {
                    out.disconnect = Some(cause);
                }
            }
            None if element.is("error", ns::STREAM) => out.disconnect = Some(crate::stream::stream_error(element)),
            // Unknown nonzas are none of our business (RFC 6120 §8.4 is about stanzas).
            None => {}
        }
    }

    pub(super) fn bad(&mut self, now: Instant, bad: &Bad, out: &mut Outbox) {
        self.heard(now);
        let head = &bad.head;
        if stanza::counts(&head.name) {
            self.acks.received();
        }
        out.reports.push(Report::Bad { from: head.from.clone(), why: bad.why.to_string() });
        match head.name.as_str() {
            "presence" => {
                let read = match &bad.rest {
                    Some(rest) => RoomPresence::read(rest),
                    None => RoomPresence { type_: head.type_.clone(), ..RoomPresence::default() },
                };
                if let Some(from) = head.from.as_deref() {
                    self.room_presence(now, from, &read, out);
                    self.unreadable(now, from, out);
                }
            }
            "message" => {
                if let Some(from) = head.from.as_deref() {
                    self.unreadable(now, from, out);
                }
            }
            "iq" if matches!(head.type_.as_deref(), Some("get" | "set")) => {
                // A longer id is cut, and an answer to half an id is none.
                let from = head.from.as_deref();
                if let Some(id) = head.id.as_deref().filter(|id| id.len() + 4 < citizen::ID_BYTES)
                    && self.may_answer(now, from, out)
                {
                    out.send.push(stanza::error_to(from, id, "modify", "not-acceptable"));
                    self.answered_others(now, from, &out.send[out.send.len() - 1..]);
                }
            }
            "iq" => {
                if let Some(rest) = &bad.rest {
                    self.torn = true;
                    self.iq(now, rest, out);
                    self.torn = false;
                }
            }
            _ => {}
        }
    }

    /// An occupant sent what can not be read: rules count it.
    fn unreadable(&mut self, now: Instant, from: &str, out: &mut Outbox) {
        if let (Some(&id), Some(nick)) = (self.by_jid.get(jid::bare(from)), jid::resource(from)) {
            self.room_input(now, id, room::Input::Unreadable { nick }, out);
        }
    }

    pub(super) fn presence(&mut self, now: Instant, presence: &Element, out: &mut Outbox) {
        let Some(from) = presence.attr("from") else { return };
        if presence.attr("type") == Some("error") {
            self.presence_error(now, from, presence, out);
            return;
        }
        let read = RoomPresence::read(presence);
        self.room_presence(now, from, &read, out);
    }

    pub(super) fn room_presence(&mut self, now: Instant, from: &str, read: &RoomPresence, out: &mut Outbox) {
        if let (Some(&id), Some(nick)) = (self.lobbies.get(jid::bare(from)), jid::resource(from)) {
            self.room_input(now, id, room::Input::Lobby { nick, read }, out);
            return;
        }
        let (Some(&id), Some(nick)) = (self.by_jid.get(jid::bare(from)), jid::resource(from)) else { return };
        let since = self.rooms.get(&id).and_then(|held| held.in_flight_since);
        let was_focus = self.focus_in(id);
        self.room_input(now, id, room::Input::Presence { nick, read }, out);
        self.measure(now, id, since, out);
        if !was_focus && self.focus_in(id) && self.focus.as_ref().is_some_and(|focus| focus.gate() != Gate::Open) {
            out.reports.push(Report::FocusPresent);
        }
    }

    pub(super) fn focus_in(&self, id: u32) -> bool {
        let Some(focus) = &self.focus else { return false };
        self.rooms.get(&id).is_some_and(|held| held.room.focus_present(focus.facts()))
    }

    /// A room that was on its way has been answered: that tells how quick the server is.
    pub(super) fn measure(&mut self, now: Instant, id: u32, since: Option<Instant>, out: &mut Outbox) {
        let Some(since) = since else { return };
        if self.rooms.get(&id).is_some_and(|held| held.in_flight_since.is_some()) {
            return;
        }
        if self.pace.answered(now, now - since) {
            out.reports.push(Report::Throttled);
        }
    }

    pub(super) fn presence_error(&mut self, now: Instant, from: &str, presence: &Element, out: &mut Outbox) {
        let error = StanzaError::of(presence);
        if let Some(&id) = self.lobbies.get(jid::bare(from)) {
            // Only what answers our knock: occupants do not send errors for the lobby.
            if self.rooms.get(&id).is_some_and(|held| presence.attr("id") == Some(&join_id(id, held.join))) {
                self.room_input(now, id, room::Input::LobbyRefused(&error), out);
            }
            return;
        }
        let Some(&id) = self.by_jid.get(jid::bare(from)) else { return };
        let Some(held) = self.rooms.get(&id) else { return };
        // It comes from the room or from the address that we asked for, never from somebody inside.
        if jid::resource(from).is_some_and(|nick| !held.room.goes_by(nick)) {
            return;
        }
        if let Some(answered) = presence.attr("id")
            && answered != join_id(id, held.join)
            && answered.starts_with(JOIN_PREFIX)
        {
            return; // the refusal of an older join
        }
        if held.room.inside().is_some() {
            let room = &held.room.settings().jid;
            out.reports.push(Report::Odd(format!("{room} did not take our presence: {}", error.describe())));
        }
        if error.condition == "resource-constraint" {
            self.pace.complained(now);
        }
        let since = held.in_flight_since;
        let elsewhere = error.condition == "remote-server-not-found"
            || error.text.as_deref().is_some_and(|text| text.contains("remote domains"));
        match self.trouble_with(id, false).filter(|_| elsewhere) {
            Some(trouble) => self.room_input(now, id, room::Input::NoSuchService(&trouble), out),
            None => self.room_input(now, id, room::Input::Refused(&error), out),
        }
        self.measure(now, id, since, out);
    }

    pub(super) fn iq(&mut self, now: Instant, iq: &Element, out: &mut Outbox) {
        match iq.attr("type") {
            Some("result" | "error") => {
                let Some(id) = iq.attr("id") else { return };
                let own = match &self.link {
                    Link::Online { jid, .. } => jid.clone(),
                    _ => return,
                };
                let domain = &self.profile.stream_domain;
                let from_server =
                    |from: &str| from.is_empty() || from == &**domain || from == jid::bare(&own) || from == &*own;
                if let Some(about) = self.questions.answer(iq.attr("from"), id, from_server) {
                    self.answered(now, about, iq, out);
                }
            }
            _ => {
                let from = iq.attr("from");
                if !self.may_answer(now, from, out) {
                    return;
                }
                let before = out.send.len();
                let questions = &mut self.questions;
                citizen::answer(iq, &self.capabilities, self.profile.media, || questions.id(), &mut out.send);
                self.answered_others(now, from, &out.send[before..]);
            }
        }
    }

    /// Whether a question of others is answered: not one of a stranger's who asks more than the server takes from us,
    /// since what is queued for them delays our own joins and pings, and at last ends the stream.
    pub(super) fn may_answer(&mut self, now: Instant, from: Option<&str>, out: &mut Outbox) -> bool {
        if self.trusts(from) || self.answers.has_any(now) {
            return true;
        }
        if self.flooded.is_none_or(|at| at + FLOOD_SAID <= now) {
            self.flooded = Some(now);
            let who = muc::clip(from.unwrap_or_default());
            out.reports.push(Report::Odd(format!("too many questions, lately from {who}: some are not answered")));
        }
        false
    }

    pub(super) fn answered_others(&mut self, now: Instant, from: Option<&str>, answers: &[Element]) {
        if !self.trusts(from) {
            let bytes = answers.iter().map(|answer| crate::xml::to_string(answer, Some(ns::CLIENT)).len()).sum();
            self.answers.spend(now, bytes);
        }
    }

    /// Whether that is our server, the focus, or ourselves: a self-ping comes back as a question.
    pub(super) fn trusts(&self, from: Option<&str>) -> bool {
        let Some(from) = from else { return true };
        if from == &*self.profile.domain
            || from == &*self.profile.stream_domain
            || self.profile.focus.as_deref() == Some(from)
        {
            return true;
        }
        let (Some(&id), Some(nick)) = (self.by_jid.get(jid::bare(from)), jid::resource(from)) else { return false };
        let own = self.rooms.get(&id).and_then(|held| held.room.inside()).is_some_and(|(own, _)| own == nick);
        own || nick == "focus" && self.focus_in(id)
    }

    pub(super) fn answered(&mut self, now: Instant, about: About, iq: &Element, out: &mut Outbox) {
        match about {
            About::Conference { room, number, .. } => {
                let answer = conference::answer(iq);
                let mut verdict = Verdict::Valid;
                if let Some(focus) = &mut self.focus {
                    let before = focus.kept_session_id().cloned();
                    verdict = focus.answered(now, number, &answer);
                    if before.as_ref() != focus.kept_session_id() {
                        out.reports.push(Report::SessionId(focus.kept_session_id().cloned()));
                    }
                    match &answer {
                        conference::Answer::Absent(error) => {
                            focus.set_gate(Gate::Closed);
                            let text = format!("nobody is behind {} ({})", focus.address, error.describe());
                            out.reports.push(Report::FocusAbsent(Cause::new(Word::FocusAbsent, text)));
                        }
                        _ if focus.gate() != Gate::Open => out.reports.push(Report::FocusPresent),
                        _ => {}
                    }
                }
                match verdict {
                    Verdict::Valid => self.room_input(now, room, room::Input::Conference(&answer), out),
                    Verdict::AskAgain => self.room_input(now, room, room::Input::AskAgain, out),
                    Verdict::NeedsSessionId => self.wants_session_id(now, room, out),
                }
            }
            About::SelfPing { room } => {
                self.room_input(now, room, room::Input::Pinged(ping::self_ping(iq)), out);
            }
            About::Form { room } => {
                // A room that was left meanwhile is not configured any more.
                let Some(held) = self.rooms.get(&room).filter(|held| held.room.inside().is_some()) else { return };
                if iq.attr("type") == Some("result") {
                    let to = held.room.settings().jid.clone();
                    let id = self.questions.ask(&to, About::FormSubmit { room }, now, IQ_TIMEOUT);
                    out.send.push(muc::form_submit(&to, &id, iq));
                } else {
                    let error = StanzaError::of(iq);
                    self.room_input(now, room, room::Input::Configured(Err(error)), out);
                }
            }
            About::FormSubmit { room } => {
                let result = if iq.attr("type") == Some("result") { Ok(()) } else { Err(StanzaError::of(iq)) };
                self.room_input(now, room, room::Input::Configured(result), out);
            }
            About::Step { room, number, form } => self.stepped(now, room, number, form, Some(iq), out),
            // An IQ by that id answers no message.
            About::Message { .. } => {}
            About::LockForm { room } => self.lock_form(now, room, Some(iq), out),
            About::Info { room } => self.info(now, room, Some(iq), out),
            About::Affiliations { room, affiliation } => self.listed(room, affiliation, Some(iq), out),
            About::Components => self.learn_components(now, Some(iq), out),
            About::ServerPing => {}
            About::Discovery(step) => self.discovered(now, step, Some(iq), out),
            About::List { list, ask } => self.list_answered(now, &list, ask, Some(iq), out),
        }
    }

    pub(super) fn unanswered(&mut self, now: Instant, about: About, out: &mut Outbox) {
        match about {
            About::Conference { room, asked_at, number } => {
                let Some(focus) = &mut self.focus else { return };
                let alone = focus.silent(asked_at, number);
                // The focus cannot join a room on a service that is none, and then never answers.
                if let Some(trouble) = self.trouble_with(room, alone) {
                    self.room_input(now, room, room::Input::NoSuchService(&trouble), out);
                    return;
                }
                let Some(focus) = &mut self.focus else { return };
                if alone {
                    focus.set_gate(Gate::Closed);
                    let text = format!("{} does not answer", focus.address);
                    out.reports.push(Report::FocusAbsent(Cause::new(Word::FocusAbsent, text)));
                }
                self.room_input(now, room, room::Input::FocusSilent { alone }, out);
            }
            About::SelfPing { room } => {
                self.room_input(now, room, room::Input::Pinged(ping::Presence::Unknown), out);
            }
            About::Form { room } | About::FormSubmit { room } => {
                let error = StanzaError { condition: "no answer".to_owned(), ..StanzaError::default() };
                self.room_input(now, room, room::Input::Configured(Err(error)), out);
            }
            // The link has its own, shorter patience.
            About::Step { room, number, form } => self.stepped(now, room, number, form, None, out),
            About::Message { .. } => {}
            About::LockForm { room } => self.lock_form(now, room, None, out),
            About::Info { room } => self.info(now, room, None, out),
            About::Affiliations { room, affiliation } => self.listed(room, affiliation, None, out),
            About::Components => self.learn_components(now, None, out),
            About::ServerPing => {}
            About::Discovery(step) => self.discovered(now, step, None, out),
            About::List { list, ask } => self.list_answered(now, &list, ask, None, out),
        }
    }
}
