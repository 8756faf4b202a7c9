//! What a session says and hears for the moderation of its rooms. Pure.
//!
//! Components act on the room of a connection's `?room=`, whatever a message to them says. They are therefore spoken to
//! by a connection whose URL names the room that is meant, and by no other: this one where it is for that room alone,
//! else a short one beside it, of the same account and nick.

use super::*;
use crate::action::Verb;
use crate::policy::Person;
use crate::room::Surroundings;
use crate::room::pending::{self, Answer, Bound, Step};
use crate::room::target::{Meant, meant};
use crate::xmpp::disco;
use crate::xmpp::jitsi::{av_moderation, json_message, mute};
use crate::xmpp::message::{self, Said};
use crate::xmpp::moderate::{self, AffiliationItem};
use crate::xmpp::room_form::{self, RoomForm};
use crate::xmpp::room_info::RoomInfo;

/// Most that is kept of what may be components' words.
const UNSORTED: usize = 256;

/// Who somebody in a room is.
#[derive(Debug)]
pub enum Found {
    /// They are here.
    Here(Box<Person>),
    /// Nobody of that name is, or we are not inside.
    Nobody,
    /// Several show that name: their nicks.
    Several(Vec<Box<str>>),
}

impl Session {
    /// What rooms may use of us.
    pub(super) fn around(&self) -> Surroundings {
        let known = self.components.as_ref();
        let has = |address: fn(&Components) -> &Option<Box<str>>| known.is_some_and(|known| address(known).is_some());
        Surroundings {
            components: pending::Components {
                av_moderation: has(|known| &known.av_moderation),
                end_conference: has(|known| &known.end_conference),
                metadata: has(|known| &known.metadata),
                lobby: has(|known| &known.lobby),
            },
            components_known: known.is_some(),
            url_room: self.profile.one_room && self.profile.websocket,
            errands: self.profile.errands,
            media: self.profile.media,
        }
    }

    pub(super) fn act(&mut self, now: Instant, key: &RoomKey, request: Request, out: &mut Outbox) {
        match self.by_key.get(key) {
            Some(&id) => self.room_input(now, id, room::Input::Act(request), out),
            None => {
                let cause = Cause::new(Word::NotInRoom, format!("{key} is not held"));
                let (room, request) = (key.clone(), Box::new(request));
                out.reports.push(Report::Progress { room, request, progress: Progress::Refused(cause), over: true });
            }
        }
    }

    /// What can be done in a room now, by verb, and if not, why.
    pub fn abilities(&mut self, now: Instant, key: &RoomKey) -> Vec<(Verb, Result<(), Cause>)> {
        let id = self.by_key.get(key).copied();
        let asked = id.and_then(|id| self.in_room(now, id, &mut Vec::new(), |room, cx| room.abilities(cx)));
        asked.unwrap_or_else(|| {
            let cause = Cause::new(Word::NotInRoom, format!("{key} is not held"));
            Verb::ALL.into_iter().map(|verb| (verb, Err(cause.clone()))).collect()
        })
    }

    /// Who somebody in a room is: the exact nick, else the only one who shows that name.
    pub fn person(&mut self, now: Instant, key: &RoomKey, name: &str) -> Found {
        let id = self.by_key.get(key).copied();
        let Some((id, held)) = id.and_then(|id| Some((id, self.rooms.get(&id)?))) else { return Found::Nobody };
        let Some((_, here)) = held.room.inside() else { return Found::Nobody };
        let nick: Box<str> = match meant(name, here) {
            Meant::One(nick, _) => nick.into(),
            Meant::Nobody => return Found::Nobody,
            Meant::Several(nicks) => return Found::Several(nicks.into_iter().map(Into::into).collect()),
        };
        let person = self.in_room(now, id, &mut Vec::new(), |room, cx| room.identity(&nick, cx)).flatten();
        person.map_or(Found::Nobody, |person| Found::Here(Box::new(person)))
    }

    // ── saying

    pub(super) fn step(&mut self, now: Instant, id: u32, number: u32, step: &Step, reason: &str, out: &mut Outbox) {
        let Some(held) = self.rooms.get(&id) else { return };
        let room = held.room.settings().jid.clone();
        let form = *step == Step::Form;
        let mut ask = |peer: &str| self.questions.ask(peer, About::Step { room: id, number, form }, now, IQ_TIMEOUT);
        let element = match step {
            Step::Role { lobby: false, nick, role } => moderate::set_role(&room, &ask(&room), nick, role, reason),
            Step::Role { lobby: true, nick, role } => {
                let Some(lobby) = held.room.lobby().map(Box::<str>::from) else {
                    return self.unsaid(now, id, number, "item-not-found", out);
                };
                moderate::set_role(&lobby, &ask(&lobby), nick, role, reason)
            }
            Step::Affiliate { jids, to } => {
                let item = |jid| AffiliationItem { jid, affiliation: to, reason };
                let items: Vec<_> = jids.iter().map(|jid| item(&**jid)).collect();
                moderate::set_affiliations(&room, &ask(&room), &items)
            }
            Step::Form => muc::form_request(&room, &ask(&room)),
            Step::Submit { members_only, fields } => {
                let values: Vec<(&str, Vec<&str>)> = fields
                    .iter()
                    .map(|(var, values)| (&**var, values.iter().map(|value| &**value).collect()))
                    .collect();
                let fields: Vec<(&str, &[&str])> = values.iter().map(|(var, values)| (*var, &values[..])).collect();
                room_form::submit(&room, &ask(&room), *members_only, &fields)
            }
            Step::Destroy => room_form::destroy(&room, &ask(&room), None, reason),
            Step::Mute { nick, medium } => mute::request(&room, &ask(&format!("{room}/focus")), nick, *medium),
            Step::Retract { how, stanza_id } => how.request(&room, &ask(&room), stanza_id, reason),
            Step::Subject(text) => message::subject(&room, &self.say(now, id, number, &room), text),
            Step::Groupchat(text) => message::groupchat(&room, &self.say(now, id, number, &room), text),
            Step::Private { nick, text } => {
                let to = format!("{room}/{nick}");
                message::private(&to, &self.say(now, id, number, &to), text)
            }
            Step::Invite(jid) => message::invite(&room, &self.say(now, id, number, &room), &[&**jid]),
            Step::Metadata { .. } | Step::Bound(_) => return self.bound(now, id, number, step, out),
        };
        out.send.push(element);
    }

    /// The id of a message to `peer`, which may refuse it.
    fn say(&mut self, now: Instant, room: u32, number: u32, peer: &str) -> String {
        self.questions.ask(peer, About::Message { room, number }, now, IQ_TIMEOUT)
    }

    /// Says what takes a connection whose URL names the room.
    fn bound(&mut self, now: Instant, id: u32, number: u32, step: &Step, out: &mut Outbox) {
        let Some(held) = self.rooms.get(&id) else { return };
        let component = self.components.as_ref().and_then(|components| match step {
            Step::Bound(Bound::End) => components.end_conference.clone(),
            Step::Bound(_) => components.av_moderation.clone(),
            _ => components.metadata.clone(),
        });
        let (Some(component), Some((nick, _))) = (component, held.room.inside()) else {
            return self.unsaid(now, id, number, "service-unavailable", out);
        };
        let (room, nick) = (held.room.settings().jid.clone(), Box::<str>::from(nick));
        let question = self.say(now, id, number, &component);
        let element = match step {
            Step::Metadata { key, data } => {
                let Ok(data) = serde_json::from_str(data) else {
                    return self.unsaid(now, id, number, "bad-request", out);
                };
                json_message::set_metadata(&component, &question, &room, key, &data)
            }
            Step::Bound(Bound::AvModeration(medium, on)) => av_moderation::switch(&component, &question, *medium, *on),
            Step::Bound(Bound::Approve(medium, occupant, true)) => {
                av_moderation::approve(&component, &question, *medium, occupant)
            }
            Step::Bound(Bound::Approve(medium, occupant, false)) => {
                av_moderation::withdraw(&component, &question, *medium, occupant)
            }
            Step::Bound(Bound::End) => av_moderation::end_conference(&component, &question),
            _ => return,
        };
        if self.around().url_room {
            out.send.push(element);
        } else {
            let Some(held) = self.rooms.get(&id) else { return };
            let key = held.room.settings().key.clone();
            let enter = self.join(held.room.settings(), held.room.password(), &nick, "errand");
            out.reports.push(Report::Errand(Box::new(Errand { key, number, room, nick, enter, say: vec![element] })));
        }
    }

    /// There is nobody any more to say a step to: that is its answer.
    fn unsaid(&mut self, now: Instant, id: u32, number: u32, condition: &str, out: &mut Outbox) {
        let error = StanzaError { condition: condition.to_owned(), ..StanzaError::default() };
        self.room_input(now, id, room::Input::Stepped { number, answer: Answer::Refused(&error) }, out);
    }

    pub(super) fn errand_done(
        &mut self,
        now: Instant,
        key: &RoomKey,
        number: u32,
        result: Result<(), Cause>,
        out: &mut Outbox,
    ) {
        let Some(&id) = self.by_key.get(key) else { return };
        let error = result.err().map(|cause| StanzaError {
            condition: cause.word.as_str(),
            text: Some(cause.text.into()),
            ..StanzaError::default()
        });
        let answer = error.as_ref().map_or(Answer::Done, Answer::Refused);
        self.room_input(now, id, room::Input::Stepped { number, answer }, out);
    }

    pub(super) fn ask_info(&mut self, now: Instant, id: u32, out: &mut Outbox) {
        let Some(held) = self.rooms.get(&id) else { return };
        let room = held.room.settings().jid.clone();
        if self.components.is_none() && !self.components_asked && self.profile.focus.is_some() {
            self.components_asked = true;
            let question = self.questions.ask(&self.profile.domain, About::Components, now, IQ_TIMEOUT);
            out.send.push(disco::info_request(&self.profile.domain, &question));
        }
        let question = self.questions.ask(&room, About::Info { room: id }, now, IQ_TIMEOUT);
        out.send.push(disco::info_request(&room, &question));
    }

    /// Asks a room that we are in who has an affiliation there; [`Report::Listed`] is the answer.
    pub fn ask_list(&mut self, now: Instant, key: &RoomKey, affiliation: &Affiliation, out: &mut Outbox) {
        let Some((&room, held)) = self.by_key.get(key).and_then(|id| self.rooms.get_key_value(id)) else { return };
        if held.room.inside().is_none() {
            return;
        }
        let to = held.room.settings().jid.clone();
        let about = About::Affiliations { room, affiliation: affiliation.clone() };
        let question = self.questions.ask(&to, about, now, IQ_TIMEOUT);
        let from = out.send.len();
        out.send.push(moderate::list(&to, &question, affiliation));
        self.account(now, from, out);
    }

    // ── hearing

    pub(super) fn listed(&self, room: u32, affiliation: Affiliation, answer: Option<&Element>, out: &mut Outbox) {
        let Some(held) = self.rooms.get(&room) else { return };
        let listed = match answer {
            Some(iq) if iq.attr("type") == Some("result") => Ok(moderate::listed(iq)),
            Some(iq) => Err(StanzaError::of(iq).describe()),
            None => Err("no answer".to_owned()),
        };
        out.reports.push(Report::Listed(held.room.settings().key.clone(), affiliation, listed));
    }

    pub(super) fn stepped(
        &mut self,
        now: Instant,
        room: u32,
        number: u32,
        form: bool,
        answer: Option<&Element>,
        out: &mut Outbox,
    ) {
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        let error = answer.map(StanzaError::of);
        let read = result.filter(|_| form).map(RoomForm::read);
        let answer = match (&read, result, &error) {
            (Some(form), ..) => Answer::Form(form),
            (None, Some(_), _) => Answer::Done,
            (None, None, Some(error)) => Answer::Refused(error),
            (None, None, None) => Answer::Silence,
        };
        self.room_input(now, room, room::Input::Stepped { number, answer }, out);
    }

    pub(super) fn lock_form(&mut self, now: Instant, room: u32, answer: Option<&Element>, out: &mut Outbox) {
        match answer {
            Some(iq) if iq.attr("type") == Some("result") => {
                self.room_input(now, room, room::Input::Form(Ok(&RoomForm::read(iq))), out);
            }
            _ => {
                let error = answer.map(StanzaError::of).unwrap_or_default();
                self.room_input(now, room, room::Input::Form(Err(&error)), out);
            }
        }
    }

    pub(super) fn info(&mut self, now: Instant, room: u32, answer: Option<&Element>, out: &mut Outbox) {
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        let info = result.map(RoomInfo::read).unwrap_or_default();
        self.room_input(now, room, room::Input::Info(&info), out);
    }

    pub(super) fn learn_components(&mut self, now: Instant, answer: Option<&Element>, out: &mut Outbox) {
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        self.components = Some(result.map(Components::read).unwrap_or_default());
        for (from, push) in std::mem::take(&mut self.unsorted) {
            if self.is_component(&from) {
                self.pushed(now, &push, out);
            }
        }
        for id in self.ids() {
            self.room_input(now, id, room::Input::Components, out);
        }
    }

    pub(super) fn message(&mut self, now: Instant, message: &Element, out: &mut Outbox) {
        let Some(from) = message.attr("from") else { return };
        if message.attr("type") == Some("error")
            && let Some(id) = message.attr("id")
            && let Some(About::Message { room, number }) = self.questions.answer(Some(from), id, |_| false)
        {
            let said = StanzaError::of(message).describe();
            out.reports.push(Report::Odd(format!("{from} did not take a message of ours: {said}")));
            return self.stepped(now, room, number, false, Some(message), out);
        }
        if self.list_notified(now, from, message, out) {
            return;
        }
        if self.is_component(from) {
            if let Some(push) = json_message::read(message) {
                self.pushed(now, &push, out);
            }
            return;
        }
        // Only a service of the server's own has an address like this one.
        if self.components.is_none() && self.profile.focus.is_some() && !from.contains(['@', '/']) {
            if let Some(push) = json_message::read(message) {
                self.sort_later(from, push);
            }
            return;
        }
        let Some(&id) = self.by_jid.get(jid::bare(from)) else { return };
        // A room that invites us from its own bare JID opens its door: an occupant's invitation comes from elsewhere.
        let invites = jid::resource(from).is_none()
            && message.attr("type").is_none_or(|kind| kind == "normal")
            && message.get_child("x", ns::MUC_USER).is_some_and(|x| x.has_child("invite", ns::MUC_USER));
        if invites {
            self.room_input(now, id, room::Input::Invited, out);
            return;
        }
        let said = Said::read(message, jid::bare(from));
        self.room_input(now, id, room::Input::Message { nick: jid::resource(from), said: &said }, out);
    }

    fn pushed(&mut self, now: Instant, push: &Push, out: &mut Outbox) {
        if let Some(&id) = self.by_jid.get(jid::bare(push.room())) {
            self.room_input(now, id, room::Input::Push(push), out);
        }
    }

    /// Keeps what a service says of our rooms until it is known whether it is one of Jitsi's components: they speak as
    /// soon as a room is entered.
    fn sort_later(&mut self, from: &str, push: Push) {
        if !self.by_jid.contains_key(jid::bare(push.room())) {
            return;
        }
        self.unsorted.retain(|(known, before)| **known != *from || !before.replaced_by(&push));
        if push.says_something() && self.unsorted.len() < UNSORTED {
            self.unsorted.push((from.into(), push));
        }
    }

    /// Whether that is exactly the address of a component that the main domain named.
    fn is_component(&self, address_of_sender: &str) -> bool {
        let Some(known) = &self.components else { return false };
        [&known.av_moderation, &known.metadata].into_iter().flatten().any(|address| **address == *address_of_sender)
    }
}
