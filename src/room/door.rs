//! What a room does of itself about those who knock at its lobby: word of them, and the bans. Pure.
//!
//! Who is banned is sent away before anybody is asked about them, and nobody who is asked can lift that.

use super::lobby::News;
use super::told;
use super::{Context, Effect, Occupant, Room, State};
use crate::action::{Action, Actor, Progress, Request};
use crate::cause::{Cause, Word};
use crate::event::{Person, What};
use crate::policy::{self, AllowList};

impl Room {
    /// Tells who knocks and who waits no longer, once it is known in which life of the room that is.
    pub(super) fn attend_door(&mut self, cx: &mut Context<'_>) {
        let inside = match &self.state {
            State::Inside(inside) if inside.life.is_none() => return,
            State::Inside(inside) => inside.life.clone(),
            _ => None,
        };
        let Some(moderation) = &mut self.moderation else { return };
        let news = moderation.lobby.take_news();
        if let (false, Some(life)) = (news.is_empty(), inside) {
            moderation.knocked_in = Some(life);
        }
        for one in news {
            match one {
                News::Knocked(nick) => self.knocked(&nick, cx),
                News::Left { nick, one, how, by, reason } => {
                    let person = self.at_the_door(&nick, &one, cx);
                    self.tell_of_door(What::LobbyLeft { person, how, by, reason }, cx);
                }
            }
        }
    }

    fn knocked(&mut self, nick: &str, cx: &mut Context<'_>) {
        let Some(one) = self.moderation.as_ref().and_then(|moderation| moderation.lobby.waits(nick)) else { return };
        let (person, banned) = (self.at_the_door(nick, one, cx), self.banned_at_door(nick, cx).is_some());
        self.tell_of_door(What::LobbyKnocked { person, banned }, cx);
        self.hold_door_against_bans(nick, cx);
    }

    /// Says who waits, but for those whom a ban sends away.
    pub(super) fn say_who_waits(&mut self, cx: &mut Context<'_>) {
        let may_wait = self.waiting().filter(|(nick, _)| self.banned_at_door(nick, cx).is_none());
        let waiting: Vec<Person> = may_wait.map(|(nick, one)| self.at_the_door(nick, one, cx)).collect();
        if !waiting.is_empty() {
            cx.effects.push(Effect::Waiting(waiting));
        }
    }

    fn at_the_door(&self, nick: &str, one: &Occupant, cx: &Context<'_>) -> Person {
        told::person(nick, one, told::machinery(one, cx.focus, self.trust()))
    }

    fn tell_of_door(&self, what: What, cx: &mut Context<'_>) {
        let life = self.moderation.as_ref().and_then(|moderation| moderation.knocked_in.clone());
        if let Some(life) = life {
            cx.effects.push(Effect::Happened { life, what: Box::new(what) });
        }
    }

    /// Sends everybody away who waits and is banned by now.
    pub(super) fn hold_all_at_door_against_bans(&mut self, cx: &mut Context<'_>) {
        let waiting: Vec<Box<str>> = self.waiting().map(|(nick, _)| nick.into()).collect();
        for nick in waiting {
            self.hold_door_against_bans(&nick, cx);
        }
    }

    fn hold_door_against_bans(&mut self, nick: &str, cx: &mut Context<'_>) {
        let Some(reason) = self.banned_at_door(nick, cx) else { return };
        let one = self.moderation.as_ref().and_then(|moderation| moderation.lobby.waits(nick));
        let real_jid = one.and_then(|one| one.real_jid.clone());
        self.ask(Actor::Bans, Action::Deny { nick: nick.into() }, real_jid, reason, cx);
    }

    /// The reason of the ban that somebody is under who waits.
    fn banned_at_door(&self, nick: &str, cx: &Context<'_>) -> Option<Box<str>> {
        if cx.bans.is_empty() {
            return None;
        }
        let one = self.moderation.as_ref()?.lobby.waits(nick)?;
        let trust = self.trust().unwrap_or(&cx.bans.trust);
        let seen = one.presence(nick, false, false);
        let person = policy::Person::look(cx.now, &seen, &AllowList::default(), trust);
        Some(self.ban_on(&person, cx)?.reason.as_str().into())
    }

    /// Whether an authority lets somebody in who is banned; then it hears why that is not done.
    pub(super) fn lifts_a_ban(&self, request: &Request, cx: &mut Context<'_>) -> bool {
        let (Action::Admit { nick }, Actor::Authority { name }) = (&request.action, &request.actor) else {
            return false;
        };
        if self.banned_at_door(nick, cx).is_none() {
            return false;
        }
        let room = &self.settings.jid;
        let text = format!("{nick} in the lobby of {room} is banned, and authority {name} cannot lift that");
        let progress = Progress::Refused(Cause::new(Word::ActionRefused, text));
        cx.effects.push(Effect::Progress { request: Box::new(request.clone()), progress, over: true });
        true
    }
}
