//! The stream of a session: coming, going, being resumed, kept alive. Pure.

use super::*;

impl Session {
    pub(super) fn online(&mut self, now: Instant, bound: Bound, out: &mut Outbox) {
        // One stream ends before the next begins, also where nobody said so.
        if let Link::Online { .. } = self.link {
            self.offline(now, &Cause::new(Word::Disconnected, "another stream took its place"), out);
        }
        let before = std::mem::replace(&mut self.link, Link::Offline);
        let mut resumed = false;
        self.ghosts.retain(|(_, until)| *until > now);
        if let (None, Some(jid)) = (bound.resumed, self.last_jid.take()) {
            self.ghosts.truncate(GHOSTS - 1);
            self.ghosts.insert(0, (jid, now + GHOST));
        }
        let jid = match (bound.resumed, before) {
            (Some(handled), Link::Lost { jid, .. }) => {
                let again = self.acks.resumed(handled);
                resumed = true;
                self.resent = again.len();
                out.send.extend(again);
                jid
            }
            (Some(_), _) => {
                // It took so long that we gave the session up, and our counters with it.
                let text = "the server resumed a session that was given up meanwhile";
                out.disconnect = Some(Cause::new(Word::Disconnected, text));
                return;
            }
            _ => bound.jid.as_str().into(),
        };
        self.last_jid = Some(jid.clone());
        self.link = Link::Online { jid, heard: now, spoke: now, pinged: None };
        let farewells = std::mem::take(&mut self.farewells);
        if resumed {
            // What the server had not taken goes again now.
            self.questions.keep(is_for_action, now + IQ_TIMEOUT);
            if let Some(focus) = &mut self.focus {
                focus.regained();
            }
            out.send.extend(farewells.iter().map(|occupant| muc::leave(occupant)));
            // A search that was on its way lost its questions with the stream.
            if self.discovery.unknown(self.profile.muc.is_some()) {
                self.discover(now, out);
            }
        } else {
            self.acks.start(bound.management.as_ref());
            self.components = None;
            self.unsorted = Vec::new();
            if let Some(focus) = &mut self.focus {
                focus.reset();
            }
            self.discover(now, out);
        }
        self.pace = Pace::new(self.pace.kind(), now);
        for id in self.ids() {
            self.room_input(now, id, room::Input::Online { resumed }, out);
        }
        self.follow_online(now, resumed, out);
        for element in &bound.early {
            self.dispatch(now, element, out);
        }
    }

    pub(super) fn offline(&mut self, now: Instant, cause: &Cause, out: &mut Outbox) {
        let link = std::mem::replace(&mut self.link, Link::Offline);
        let ours = matches!(link, Link::Online { .. });
        self.link = match link {
            Link::Online { jid, .. } => match self.acks.keeps() {
                Some(keeps) => Link::Lost { jid, until: now + keeps },
                None => Link::Offline,
            },
            lost @ Link::Lost { .. } => lost,
            Link::Offline => Link::Offline,
        };
        // A stream that the server ended on purpose is not kept for us, and what we could not read would come again. Why
        // another session, or the next stream, could not be had says nothing about one that was lost before.
        let for_good = [Word::Conflict, Word::PolicyViolation, Word::SystemShutdown, Word::ProtocolError];
        if ours && for_good.contains(&cause.word) {
            self.link = Link::Offline;
        }
        let resumable = matches!(self.link, Link::Lost { .. });
        if !resumable {
            self.acks.reset();
            self.farewells.clear();
        }
        // Silence says nothing while nobody can be heard; who still wants an answer asks again. What was said for an action
        // is not said again: its answer is waited for as long as it can come with a resumption.
        match self.link {
            Link::Lost { until, .. } => self.questions.keep(is_for_action, until + IQ_TIMEOUT),
            _ => self.questions.clear(),
        }
        self.components_asked = false;
        if let Some(focus) = &mut self.focus {
            focus.lost();
        }
        for id in std::mem::take(&mut self.queue) {
            if let Some(held) = self.rooms.get_mut(&id) {
                held.queued = false;
            }
        }
        for id in self.ids() {
            self.room_input(now, id, room::Input::Offline { cause, resumable }, out);
        }
    }

    pub(super) fn close(&mut self, now: Instant, out: &mut Outbox) {
        self.unfollow(now, &[], out);
        for id in self.ids() {
            self.room_input(now, id, room::Input::Release, out);
        }
        out.close = true;
    }

    pub(super) fn timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(about) = self.questions.expired(now) {
            self.unanswered(now, about, out);
        }
        for id in self.due(now) {
            if let Some(held) = self.rooms.get_mut(&id)
                && let Some(at) = held.timer.take()
            {
                self.timers.remove(&(at, id));
            }
            self.room_input(now, id, room::Input::Timeout, out);
        }
        let online = matches!(self.link, Link::Online { .. });
        if online && self.discovery.again_at.is_some_and(|at| at <= now) {
            self.discover(now, out);
        }
        self.follow_due(now, out);
        if online && self.acks.give_up_at().is_some_and(|at| at <= now) {
            self.acks.give_up();
            let text = "the server acknowledges nothing of what we send; a lost connection cannot be resumed";
            out.reports.push(Report::Odd(text.to_owned()));
        }
        self.keep_alive(now, out);
    }

    /// The rooms whose time has come. With the first of them go self-pings that are due soon.
    pub(super) fn due(&self, now: Instant) -> Vec<u32> {
        if self.timers.first().is_none_or(|(at, _)| *at > now) {
            return Vec::new();
        }
        let soon = now + room::PING_SLACK;
        let pings = |id: &u32| self.rooms.get(id).is_some_and(|held| held.room.pings_by(soon));
        let until_soon = self.timers.iter().take_while(|(at, _)| *at <= soon);
        until_soon.filter(|(at, id)| *at <= now || pings(id)).map(|(_, id)| *id).collect()
    }

    pub(super) fn keep_alive(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.link {
            Link::Online { pinged: Some(at), .. } if *at + PATIENCE <= now => {
                let silent = (SILENCE + PATIENCE).as_secs();
                let text = format!("the server has been silent for {silent} s");
                out.disconnect = Some(Cause::new(Word::Disconnected, text));
            }
            Link::Online { heard, spoke, pinged, .. } if pinged.is_none() => {
                let silent_since = (*heard).min(*spoke);
                if silent_since + SILENCE <= now {
                    *pinged = Some(now);
                    let id = self.questions.ask(&self.profile.stream_domain, About::ServerPing, now, IQ_TIMEOUT);
                    out.send.push(ping::request(Some(&self.profile.stream_domain), &id));
                }
            }
            Link::Lost { until, .. } if *until <= now => {
                self.link = Link::Offline;
                let text = "the connection was lost for longer than the server keeps a session";
                self.offline(now, &Cause::new(Word::Disconnected, text), out);
            }
            _ => {}
        }
    }
}

fn is_for_action(about: &About) -> bool {
    matches!(about, About::Step { .. } | About::Message { .. })
}
