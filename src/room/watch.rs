//! What a room does of itself about those inside: bans, rules, and word of what happened. Pure.
//!
//! Bans come first: whoever is banned is put out before a rule looks at them. What rules say becomes actions in the same
//! pass, each under a key of its own, and goes the way of all actions. Events begin once the life of the room is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::inside::focus_in;
use super::join::SLOW;
use super::moderation::{Happening, has_lobby};
use super::told::{by_whom, departure, machinery, moment, person, presence};
use super::unheard::Message;
use super::{BanWish, Change, Context, Effect, Inside, LobbyOrigin, Occupant, Occupants, Room, State};
use crate::action::{Action, Actor, Request, Standing};
use crate::backoff::Ladder;
use crate::cause::{Cause, Word};
use crate::config::Secret;
use crate::event::{self, Present, What};
use crate::policy::bans::{Ban, known_as, targets_of};
use crate::policy::rules::DOOR;
use crate::policy::{
    self, Closing, Lock, Mode, Now, Person, Plans, Policy, RoomVerdict, Sanction, Trust, Verdict, Verdicts, Wish,
};
use crate::xmpp::jid;
use crate::xmpp::jitsi::mute::Medium;
use crate::xmpp::message::{Age, Said};
use crate::xmpp::muc::{self, Affiliation, Role, RoomPresence};

/// How long what rules remember may be newer than what is kept of it.
const REMEMBERED_WITHIN: Duration = Duration::from_secs(1);
/// What led to a step against somebody is kept at once, but not more often than this: there may be many who offend.
const STRIKES_EVERY: Duration = Duration::from_millis(100);

/// How long somebody banned is let be whom the room did not put out, or a door that it did not open, the first time; then
/// longer and longer.
const AGAIN: Duration = Duration::from_secs(10);

/// How long the room may take to say which life it is in before it is named as if it had none: nothing is judged until
/// then, and a server that still keeps a session of ours may answer that one.
const LIFE_WITHIN: Duration = Duration::from_secs(5);

/// What is done about those inside one room.
#[derive(Debug, Default)]
pub(super) struct Watch {
    policy: Option<Policy>,
    /// The life that the policy was told it is in.
    holding: Option<Box<str>>,
    /// What was remembered before a restart, for a policy that is still to be made.
    recalled: Option<policy::State>,
    /// Who is just being put out, by a ban or a rule: until that has happened or failed nobody looks at them again.
    ousting: Vec<Ousted>,
    /// Domains that we asked the room to cast out as a whole, and whether it has answered.
    domains: Vec<(Box<str>, bool)>,
    /// When those are looked at again whom a ban could not put out, and how long that was waited for.
    again_at: Option<Instant>,
    again: Ladder,
    /// When what the rules remember is to be kept.
    remember_at: Option<Instant>,
    /// When it was kept last.
    remembered_at: Option<Instant>,
    /// The password that we set on somebody's word.
    pub(super) lock: Lock,
    /// A rule switched the lobby on, which was off.
    lobby_by_rule: bool,
    /// When a door is looked at again that stayed as it was against a rule's word, and how long that was waited for.
    door_at: Option<Instant>,
    door: Ladder,
}

/// What is recorded of a room, as its focus shows it.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// What the focus shows now.
    shown: Vec<muc::Recording>,
    /// Those that were said to be on, by the life of the room and their ids.
    on: Vec<(Box<str>, Box<str>)>,
}

/// What is known of the room's password, and of its lobby.
#[derive(Debug)]
pub(super) enum LockNews {
    /// We set it, or took it away.
    Set { actor: Actor, password: Option<Secret>, before: Option<Secret> },
    /// The room's form shows it.
    Seen(Option<Secret>),
    /// We switched the lobby.
    Lobby { actor: Actor, on: bool },
}

/// What a presence did to the list of occupants.
#[derive(Debug)]
pub(super) enum Sight {
    /// They are here.
    Here(Change),
    /// They are gone; nobody where they only changed their nick.
    Away(Option<Occupant>),
}

/// Somebody who is just being put out.
#[derive(Debug)]
struct Ousted {
    /// Their nick.
    nick: Box<str>,
    /// The nick that the room was asked about: whoever changes it in time is missed.
    asked: Box<str>,
    /// The account or the domain, where the room was asked about that.
    account: Option<Box<str>>,
}

impl Watch {
    fn ousts(&self, nick: &str) -> bool {
        self.ousting.iter().any(|one| *one.nick == *nick)
    }

    /// The room is asked to put somebody out who has this nick, by it or by their account.
    fn oust(&mut self, nick: &str, account: Option<&str>) {
        self.ousting.retain(|one| *one.nick != *nick);
        self.ousting.push(Ousted { nick: nick.into(), asked: nick.into(), account: account.map(Into::into) });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let policy = self.policy.as_ref().and_then(Policy::deadline);
        policy.into_iter().chain(self.remember_at).chain(self.again_at).chain(self.door_at).min()
    }

    /// What has to outlive a restart.
    fn remembered(&self, now: Now) -> Box<policy::State> {
        let state = self.policy.as_ref().map(|policy| policy.export(now)).or_else(|| self.recalled.clone());
        let (lock, lobby_by_rule) = (self.lock.clone(), self.lobby_by_rule);
        Box::new(policy::State { lock, lobby_by_rule, ..state.unwrap_or_default() })
    }
}

/// How many of those are told of who went before the life of the room was known.
const UNTOLD: usize = 64;

impl Inside {
    /// An occupant as rules and bans see them.
    fn seen<'a>(&'a self, nick: &'a str, one: &'a Occupant, focus: bool, cx: &Context<'_>) -> policy::Presence<'a> {
        let focus = focus && nick == "focus" && focus_in(&self.occupants, cx.focus);
        one.presence(nick, self.is_own(nick, one), focus)
    }

    fn look(&self, nick: &str, focus: bool, trust: Option<&Trust>, cx: &Context<'_>) -> Option<Person> {
        let one = self.occupants.by_nick(nick)?;
        let seen = self.seen(nick, one, focus, cx);
        Some(Person::look(cx.now, &seen, &policy::AllowList::default(), trust.unwrap_or(&cx.bans.trust)))
    }

    /// Everybody who is here by that account.
    pub(super) fn nicks_of(&self, account: &str) -> Vec<Box<str>> {
        let of = |one: &Occupant| account_of(one) == Some(account);
        self.occupants.iter().filter(|(_, one)| of(one)).map(|(nick, _)| nick.into()).collect()
    }

    /// As [`Inside::look`], for what is to be remembered of them: whether others say that they are of the same browser.
    pub(super) fn look_closely(
        &self,
        nick: &str,
        focus: bool,
        trust: Option<&Trust>,
        cx: &Context<'_>,
    ) -> Option<Person> {
        let mut person = self.look(nick, focus, trust, cx)?;
        let known = self.occupants.by_nick(nick);
        let (own, account) = (known.and_then(hint), known.and_then(account_of));
        let theirs = |one: &Occupant| hint(one) == own && (account.is_none() || account_of(one) != account);
        person.shares_hint = own.is_some() && self.occupants.iter().any(|(other, one)| other != nick && theirs(one));
        Some(person)
    }
}

impl Room {
    /// By what an occupant is to be known again, and whether a ban would touch them at all.
    #[must_use]
    pub fn identity(&self, nick: &str, cx: &Context<'_>) -> Option<Person> {
        let State::Inside(inside) = &self.state else { return None };
        inside.look_closely(nick, self.settings.focus, self.trust(), cx)
    }

    pub(super) fn trust(&self) -> Option<&Trust> {
        self.settings.plans.as_deref().map(|plans| &plans.trust)
    }

    /// Whether somebody is just being put out.
    pub(super) fn ousts(&self, nick: &str) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.ousts(nick))
    }

    // ── the list of occupants

    /// Goes into another state; whoever is left behind in the room is remembered.
    pub(super) fn pass_to(&mut self, state: State) {
        let State::Inside(inside) = std::mem::replace(&mut self.state, state) else { return };
        let Inside { mut occupants, nick, life: Some(life), .. } = *inside else { return };
        occupants.leave(&nick, None);
        if self.settings.focus {
            occupants.leave("focus", None);
        }
        if !occupants.is_empty() {
            self.behind = Some(Box::new((life, occupants)));
        }
    }

    /// Takes over whom somebody before us told of, who has not been inside here yet.
    pub(super) fn left_behind(&mut self, now: Instant, present: &Present) {
        if self.behind.is_some() || matches!(self.state, State::Inside(_)) {
            return;
        }
        let mut occupants = Occupants::default();
        for (nick, person) in &present.people {
            occupants.enter(now, nick, &presence(person));
        }
        self.behind = Some(Box::new((present.life.clone(), occupants)));
    }

    /// The stream is lost, and no time passes here until it is resumed.
    pub(super) fn watch_interrupted(&mut self, cx: &Context<'_>) {
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.remember_at = watch.remember_at.map(|at| at.min(cx.now));
        }
    }

    /// We have come in, and the list of occupants is complete.
    pub(super) fn watch_entered(&mut self, cx: &mut Context<'_>) {
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.ousting.clear();
            watch.domains.clear();
            watch.again_at = None;
            watch.again.reset();
            watch.door_at = None;
            watch.door.reset();
        }
        self.begin_policy(cx);
    }

    /// Shows the rules who is here; they judge once the room is held. Who is just being put out stays so.
    fn begin_policy(&mut self, cx: &mut Context<'_>) {
        let plans = self.settings.plans.clone();
        if let Some(plans) = plans {
            self.plan(&plans, cx);
        }
        let State::Inside(inside) = &self.state else { return };
        let Some(watch) = self.watch.as_deref_mut() else { return };
        watch.holding = None;
        let Some(policy) = &mut watch.policy else { return };
        let now = Now { at: cx.now, clock: cx.clock };
        // Nothing is judged before the room is held.
        let mut nothing = Verdicts::default();
        policy.handle(now, policy::Input::Entering, &mut nothing);
        for (nick, one) in inside.occupants.iter() {
            let seen = inside.seen(nick, one, self.settings.focus, cx);
            policy.handle(now, policy::Input::Present(seen), &mut nothing);
        }
    }

    /// Our join made the room, and so gave it the password that we came with: a rule's was for the life before.
    pub(super) fn watch_made(&mut self, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        if inside.created && self.watch.as_ref().is_some_and(|watch| watch.lock.by_rule) {
            let action = Action::Lock { password: self.settings.password.clone() };
            self.ask(Actor::Settings, action, None, "".into(), cx);
        }
    }

    /// We are outside.
    pub(super) fn watch_left(&mut self, destroyed: bool, cx: &mut Context<'_>) {
        if destroyed && let Some(behind) = self.behind.take() {
            let (life, occupants) = *behind;
            for (nick, one) in occupants.iter() {
                let (how, machine) = (event::Departure::RoomGone, machinery(one, cx.focus, self.trust()));
                tell(cx, &life, What::OccupantLeft { person: person(nick, one, machine), how, by: None, reason: None });
            }
        }
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.holding = None;
            watch.ousting.clear();
            let now = Now { at: cx.now, clock: cx.clock };
            let locked = destroyed && !std::mem::take(&mut watch.lock).is_none();
            let locked = destroyed && std::mem::take(&mut watch.lobby_by_rule) || locked;
            if let Some(policy) = &mut watch.policy {
                policy.handle(now, policy::Input::Lost, &mut Verdicts::default());
            }
            if watch.policy.is_some() || locked {
                cx.effects.push(Effect::Remember(watch.remembered(now)));
                watch.remember_at = None;
            }
        }
        if let Some(closing) = self.closing.take()
            && destroyed
        {
            let (cause, until) = *closing;
            self.close(cause, until, cx);
        }
    }

    /// Stays out on purpose.
    fn close(&mut self, cause: Cause, until: Option<Timestamp>, cx: &Context<'_>) {
        let now = Now { at: cx.now, clock: cx.clock };
        let until = until.map(|until| now.instant_of(until).unwrap_or(cx.now));
        self.pass_to(State::Closed { cause, until });
    }

    /// Whether a rule keeps the room closed just now; then it is.
    pub(super) fn closed_by_hours(&mut self, cx: &Context<'_>) -> bool {
        let until = self.settings.plans.as_ref().and_then(|plans| plans.closed_until(cx.clock));
        let Some(until) = until else { return false };
        self.close(closed(Closing::Schedule, &self.settings.jid), Some(until), cx);
        true
    }

    /// A presence was taken in.
    pub(super) fn watch_presence(&mut self, nick: &str, read: &RoomPresence, sight: Sight, cx: &mut Context<'_>) {
        match sight {
            Sight::Here(change) => {
                self.watch_here(nick, change, cx);
                if nick == "focus" && self.settings.focus {
                    self.watch_recordings(cx);
                }
            }
            Sight::Away(Some(gone)) => self.watch_gone(nick, read, &gone, cx),
            Sight::Away(None) => {
                if let Some(new) = read.new_nick.as_deref() {
                    self.watch_renamed(nick, new, cx);
                }
            }
        }
    }

    fn watch_here(&mut self, nick: &str, change: Change, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        let Some(one) = inside.occupants.by_nick(nick) else { return };
        if let Some(life) = &inside.life
            && change != Change::Same
            && !inside.is_own(nick, one)
        {
            let machine = inside.machine(nick, one, self.settings.focus, cx.focus, self.trust());
            let person = person(nick, one, machine);
            let what = match &change {
                Change::Renamed(before) => {
                    What::OccupantRenamed { person, old_nick: None, old_display_name: before.clone() }
                }
                _ => What::OccupantJoined { person, already_inside: false },
            };
            tell(cx, life, what);
        }
        if change != Change::Same {
            self.hold_against_bans(nick, cx);
        }
        if self.watch.is_none() {
            return;
        }
        self.judge_presence(nick, cx);
    }

    /// Has the rules look at somebody, unless they are being put out.
    fn judge_presence(&mut self, nick: &str, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        if let Some(one) = inside.occupants.by_nick(nick).filter(|_| !self.ousts(nick)) {
            let seen = inside.seen(nick, one, self.settings.focus, cx);
            let verdicts = judged(self.watch.as_deref_mut(), policy::Input::Present(seen), cx);
            self.carry(verdicts, cx);
        }
    }

    fn watch_renamed(&mut self, from: &str, to: &str, cx: &mut Context<'_>) {
        if let State::Inside(inside) = &mut self.state {
            inside.unheard.rename(from, to);
        }
        let State::Inside(inside) = &self.state else { return };
        let Some(one) = inside.occupants.by_nick(to) else { return };
        if let Some(life) = &inside.life
            && !inside.is_own(to, one)
        {
            let machine = inside.machine(to, one, self.settings.focus, cx.focus, self.trust());
            let person = person(to, one, machine);
            tell(cx, life, What::OccupantRenamed { person, old_nick: Some(from.into()), old_display_name: None });
        }
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.ousting.iter_mut().filter(|one| *one.nick == *from).for_each(|one| one.nick = to.into());
        }
        self.hold_against_bans(to, cx);
        self.judge(policy::Input::Renamed { from, to }, cx);
    }

    fn watch_gone(&mut self, nick: &str, read: &RoomPresence, gone: &Occupant, cx: &mut Context<'_>) {
        if let State::Inside(inside) = &mut self.state {
            inside.unheard.forget(nick);
        }
        let State::Inside(inside) = &self.state else { return };
        let how = departure(read);
        let machine = inside.machine(nick, gone, self.settings.focus, cx.focus, self.trust());
        let by_us = read.actor.as_deref() == Some(&*inside.nick);
        if machine != Some(event::Machine::Keeper) {
            let (by, reason) = by_whom(read);
            let person = person(nick, gone, machine);
            let left = What::OccupantLeft { person, how, by, reason };
            if let Some(life) = &inside.life {
                tell(cx, life, left);
            } else if let State::Inside(inside) = &mut self.state
                && inside.untold.len() < UNTOLD
            {
                inside.untold.push(left);
            }
        }
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.ousting.retain(|one| *one.nick != *nick);
        }
        let how = match how {
            event::Departure::Kicked => policy::Departure::Kicked { by_us },
            event::Departure::Banned => policy::Departure::Banned,
            _ => policy::Departure::Left,
        };
        self.judge(policy::Input::Left { nick, how }, cx);
    }

    /// The focus shows what is recorded, perhaps before we are inside.
    pub(super) fn show_recordings(&mut self, read: &RoomPresence) {
        if self.recordings.is_some() || !read.recordings.is_empty() {
            self.recordings.get_or_insert_default().shown.clone_from(&read.recordings);
        }
    }

    /// Source: lib-jitsi-meet's `RecordingManager`, Jicofo's `JibriRecorder`, which shows of several sessions the one that
    /// changed last; only the focus's word counts.
    fn watch_recordings(&mut self, cx: &mut Context<'_>) {
        let (State::Inside(inside), Some(recordings)) = (&self.state, &mut self.recordings) else { return };
        let Some(life) = inside.life.clone().filter(|_| focus_in(&inside.occupants, cx.focus)) else { return };
        recordings.on.retain(|(of, _)| *of == life);
        for said in &recordings.shown {
            let id: Box<str> = said.session.as_deref().unwrap_or_default().into();
            let known = recordings.on.iter().position(|(_, known)| *known == id);
            let recording = event::Recording {
                session: said.session.as_deref().map(Into::into),
                mode: said.mode.as_deref().map(Into::into),
                by: said.initiator.as_deref().map(Into::into),
                failure: said.failure.as_deref().map(Into::into),
            };
            match (said.status.as_str(), known) {
                ("on", None) => {
                    recordings.on.push((life.clone(), id));
                    tell(cx, &life, What::RecordingStarted(recording));
                }
                ("off", Some(at)) => {
                    recordings.on.remove(at);
                    tell(cx, &life, What::RecordingStopped(recording));
                }
                _ => {}
            }
        }
    }

    /// A message came.
    pub(super) fn watch_message(&mut self, nick: Option<&str>, said: &Said, cx: &mut Context<'_>) {
        let (Some(nick), false, false) = (nick, said.error, said.age == Age::History) else { return };
        let counts = said.age == Age::Live && !self.ousts(nick);
        let State::Inside(inside) = &mut self.state else { return };
        match (&inside.life, said.body.is_some()) {
            (Some(_), true) => self.hear(nick, said, true, cx),
            (Some(_), false) if counts => self.judge(policy::Input::Wordless { nick }, cx),
            (None, true) => inside.unheard.push(nick, said, inside.moderator && inside.lost.is_none()),
            _ => {}
        }
    }

    fn hear(&mut self, nick: &str, said: &Said, judged: bool, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        let Some(body) = said.body.as_deref() else { return };
        let Some(one) = inside.occupants.by_nick(nick) else { return };
        if let Some(life) = &inside.life {
            let machine = inside.machine(nick, one, self.settings.focus, cx.focus, self.trust());
            let keep = self.settings.moderated.as_ref().is_some_and(|moderated| moderated.store_text);
            let what = What::MessagePosted {
                person: person(nick, one, machine),
                stanza_id: said.stanza_id.as_deref().map(Into::into),
                private: !said.groupchat,
                bytes: body.len(),
                body: keep.then(|| body.into()),
            };
            tell(cx, life, what);
        }
        if judged && !self.ousts(nick) {
            let (id, private) = (said.stanza_id.as_deref(), !said.groupchat);
            let belated = said.age == Age::Belated;
            self.judge(policy::Input::Message { nick, body, id, private, belated }, cx);
        }
    }

    /// Looks at what is due after each input: the life of the room, whether it is held, everybody against the bans, and
    /// what came to naught.
    pub(super) fn attend(&mut self, cx: &mut Context<'_>) {
        self.announce(cx);
        self.watch_everybody(cx);
        self.attend_door(cx);
        self.remember(cx);
    }

    fn watch_everybody(&mut self, cx: &mut Context<'_>) {
        let State::Inside(inside) = &mut self.state else { return };
        let moderator = inside.moderator && inside.lost.is_none();
        let check = moderator && !std::mem::replace(&mut inside.checked, moderator) && !cx.bans.is_empty();
        let everybody: Vec<Box<str>> =
            if check { inside.occupants.iter().map(|(nick, _)| nick.into()).collect() } else { Vec::new() };
        for nick in everybody {
            self.hold_against_bans(&nick, cx);
        }
        if check {
            self.hold_all_at_door_against_bans(cx);
        }
        let State::Inside(inside) = &self.state else { return };
        if let Some(watch) = self.watch.as_deref_mut()
            && let Some(policy) = &watch.policy
        {
            let life = inside.life.clone().filter(|_| moderator);
            if watch.holding != life {
                if life.is_some() && policy.life().is_some_and(|before| Some(before) != life.as_deref()) {
                    // Whose lobby another life has a rule does not know.
                    watch.lobby_by_rule = false;
                }
                watch.holding.clone_from(&life);
                let info = self.moderation.as_ref().and_then(|moderation| moderation.info.as_ref());
                let since = info.and_then(|info| Timestamp::from_millisecond(info.created?).ok());
                match &life {
                    Some(life) => self.judge(policy::Input::Holding { life, since }, cx),
                    None => self.judge(policy::Input::Lost, cx),
                }
            }
        }
        if let State::Inside(inside) = &mut self.state
            && inside.life.is_some()
        {
            if moderator && !std::mem::replace(&mut inside.door_seen, true) {
                self.open_door(cx);
            }
            let State::Inside(inside) = &mut self.state else { return };
            for Message { nick, said, judged } in inside.unheard.take() {
                self.hear(&nick, &said, judged, cx);
            }
        }
        let Some(moderation) = &mut self.moderation else { return };
        let (failed, locks) = (std::mem::take(&mut moderation.failed), std::mem::take(&mut moderation.locks));
        for domain in std::mem::take(&mut moderation.cast_out) {
            self.domain_tried(&domain, cx);
        }
        for news in locks {
            self.lock_news(news, cx);
        }
        for request in failed {
            self.failed(request, cx);
        }
    }

    /// Until when the room may say in which life it is.
    pub(super) fn life_by(&self, inside: &Inside) -> Option<Instant> {
        (inside.life.is_none() && self.moderation.is_some()).then(|| inside.entered + LIFE_WITHIN)
    }

    /// Keeps the password that we set, for as long as it is the room's.
    fn lock_news(&mut self, news: LockNews, cx: &mut Context<'_>) {
        let known = self.watch.as_ref().map(|watch| watch.lock.clone()).unwrap_or_default();
        let lock = match news {
            LockNews::Lobby { actor, on } => {
                let by_rule = on && matches!(actor, Actor::Rule { .. });
                if !by_rule && self.watch.is_none() {
                    return;
                }
                let watch = self.watch.get_or_insert_default();
                if std::mem::replace(&mut watch.lobby_by_rule, by_rule) != by_rule {
                    watch.remember_at = Some(cx.now);
                    watch.door.reset();
                }
                return;
            }
            LockNews::Seen(password) if known.is_none() || password == known.password => return,
            LockNews::Seen(_) | LockNews::Set { actor: Actor::Settings, .. } => Lock::default(),
            LockNews::Set { password, .. } if password == self.settings.password => Lock::default(),
            LockNews::Set { actor, password, before } => {
                let by_rule = matches!(actor, Actor::Rule { .. }) && password != known.before;
                let before = if known.by_rule && before == known.password { known.before.clone() } else { before };
                Lock { password, before: before.filter(|_| by_rule), by_rule }
            }
        };
        if lock == known {
            return;
        }
        let watch = self.watch.get_or_insert_default();
        watch.lock = lock;
        watch.remember_at = None;
        // At once: whoever forgets it is locked out.
        cx.effects.push(Effect::Remember(watch.remembered(Now { at: cx.now, clock: cx.clock })));
    }

    /// Tells who is inside as soon as the life of the room is known.
    fn announce(&mut self, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        if inside.life.is_some() {
            return;
        }
        let told = self.moderation.as_ref().and_then(|moderation| moderation.info.as_ref());
        if told.is_none() && self.life_by(inside).is_some_and(|at| cx.now < at) {
            return;
        }
        let info = told.and_then(|info| info.meeting_id.as_deref());
        let State::Inside(inside) = &mut self.state else { return };
        let policy = self.watch.as_ref().and_then(|watch| watch.policy.as_ref());
        let told = self.behind.as_ref().map(|behind| &*behind.0);
        let before = policy.and_then(Policy::life).or(told).filter(|_| !inside.created);
        let life: Box<str> = info.or(before).map_or_else(|| moment(inside.came), Into::into);
        inside.life = Some(life.clone());
        let untold = std::mem::take(&mut inside.untold);
        let inside = &*inside;
        let trust = self.settings.plans.as_deref().map(|plans| &plans.trust);
        let mut before = None;
        if let Some(behind) = self.behind.take() {
            let (old, occupants) = *behind;
            let same = old == life || info.is_none();
            for (nick, one) in occupants.iter() {
                let here = inside.occupants.by_nick(nick).is_some_and(|now| now.real_jid == one.real_jid);
                if !same || !here {
                    let how = if same { event::Departure::Unseen } else { event::Departure::RoomGone };
                    let machine = inside.machine(nick, one, self.settings.focus, cx.focus, trust);
                    let person = person(nick, one, machine);
                    tell(cx, &old, What::OccupantLeft { person, how, by: None, reason: None });
                }
            }
            before = Some(occupants).filter(|_| same);
        }
        let known = |nick: &str, real_jid: Option<&str>| {
            let before = before.as_ref().and_then(|before| before.by_nick(nick));
            before.is_some_and(|known| known.real_jid.as_deref() == real_jid)
        };
        for left in untold {
            let gone = left.person().filter(|person| !known(&person.nick, person.real_jid.as_deref())).cloned();
            if let Some(person) = gone {
                tell(cx, &life, What::OccupantJoined { person, already_inside: true });
                tell(cx, &life, left);
            }
        }
        for (nick, one) in inside.occupants.iter().filter(|(nick, one)| !inside.is_own(nick, one)) {
            if known(nick, one.real_jid.as_deref()) {
                continue;
            }
            let machine = inside.machine(nick, one, self.settings.focus, cx.focus, trust);
            tell(cx, &life, What::OccupantJoined { person: person(nick, one, machine), already_inside: true });
        }
        self.watch_recordings(cx);
    }

    // ── bans

    /// Puts somebody out who is banned, where that is not on its way yet.
    fn hold_against_bans(&mut self, nick: &str, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        if !inside.moderator || self.ousts(nick) {
            return;
        }
        let Some((person, ban)) = self.banned(nick, cx) else { return };
        let reason: Box<str> = ban.reason.as_str().into();
        let domain = ban.target.domain().filter(|domain| self.may_cast_out(domain, cx)).map(Box::<str>::from);
        let now = Now { at: cx.now, clock: cx.clock };
        let key = &self.settings.key;
        // A ban on a name or a browser is none on the account: that would be free again at the next look.
        let account = person.real_jid.as_deref().map(jid::bare);
        let lasts = account.is_some_and(|account| cx.bans.casts_out(account, now, &key.service, &key.name));
        let watch = self.watch.get_or_insert_default();
        if let Some(domain) = &domain {
            watch.oust(nick, Some(domain));
        }
        let tried = domain.map(|domain| {
            let known = watch.domains.iter().find(|(known, _)| *known == domain);
            (known.map(|(_, answered)| *answered), domain)
        });
        match tried {
            Some((None, domain)) => {
                watch.domains.push((domain.clone(), false));
                self.ask(Actor::Bans, Action::Affiliate { jid: domain, to: Standing::Outcast }, None, reason, cx);
            }
            // They go with the others of their domain.
            Some((Some(false), _)) => {}
            Some((Some(true), _)) | None if lasts => self.oust(&person, Actor::Bans, reason, cx),
            Some((Some(true), _)) | None => self.kick(&person, Actor::Bans, reason, cx),
        }
    }

    /// Who is here under that nick, and the ban that is to keep them out.
    fn banned<'b>(&self, nick: &str, cx: &Context<'b>) -> Option<(Person, &'b Ban)> {
        let State::Inside(inside) = &self.state else { return None };
        if cx.bans.is_empty() {
            return None;
        }
        let person = inside.look(nick, self.settings.focus, self.trust(), cx)?;
        let ban = self.ban_on(&person, cx)?;
        Some((person, ban))
    }

    /// The ban that is to keep somebody out, unless the rules of the room exempt them.
    pub(super) fn ban_on<'b>(&self, person: &Person, cx: &Context<'b>) -> Option<&'b Ban> {
        if self.settings.plans.as_ref().is_some_and(|plans| plans.exempt.holds(person)) {
            return None;
        }
        let key = &self.settings.key;
        Some(cx.bans.find(person, cx.clock, &key.service, &key.name)?.ban)
    }

    /// The list of bans is another one: everybody is held against it.
    pub(super) fn other_bans(&mut self) {
        if let State::Inside(inside) = &mut self.state {
            inside.checked = false;
        }
        if let Some(watch) = self.watch.as_deref_mut() {
            // One that is being asked for is not asked for again.
            watch.domains.retain(|(_, answered)| !answered);
        }
    }

    /// Whether a whole domain can be made an outcast of the room: by us, and without casting out anybody of it whom no
    /// ban touches, ourselves and the machinery first of all.
    fn may_cast_out(&self, domain: &str, cx: &Context<'_>) -> bool {
        let State::Inside(inside) = &self.state else { return false };
        let now = Now { at: cx.now, clock: cx.clock };
        let (key, plans) = (&self.settings.key, self.settings.plans.as_deref());
        let of = |jid: Option<&str>| jid.is_some_and(|jid| jid::domain(jid) == domain);
        let own = inside.occupants.by_nick(&inside.nick);
        let machinery = of(cx.focus.jid.as_deref())
            || of(own.and_then(|own| own.real_jid.as_deref()))
            || self.trust().unwrap_or(&cx.bans.trust).recorder_domains.iter().any(|known| **known == *domain);
        let touched = |nick: &str| {
            let person = inside.look(nick, self.settings.focus, self.trust(), cx);
            person.is_none_or(|person| person.exempt.is_none())
        };
        let mut theirs = inside.occupants.iter().filter(|(_, one)| of(one.real_jid.as_deref()));
        may_set_affiliations(inside)
            && !machinery
            && cx.bans.casts_out(domain, now, &key.service, &key.name)
            && !plans.is_some_and(|plans| plans.exempt.spares_some_of(domain))
            && theirs.all(|(nick, _)| touched(nick))
    }

    /// The room was asked to cast a domain out; whoever of it is still here is put out alone.
    fn domain_tried(&mut self, domain: &str, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        let of = |one: &Occupant| one.real_jid.as_deref().is_some_and(|real| jid::domain(real) == domain);
        let here: Vec<Box<str>> =
            inside.occupants.iter().filter(|(_, one)| of(one)).map(|(nick, _)| nick.into()).collect();
        let mut spared = Vec::new();
        if let Some(watch) = self.watch.as_deref_mut() {
            let theirs = |one: &mut Ousted| one.account.as_deref() == Some(domain);
            spared.extend(watch.ousting.extract_if(.., theirs).map(|one| one.nick));
            watch.domains.iter_mut().filter(|(known, _)| **known == *domain).for_each(|(_, answered)| *answered = true);
        }
        for nick in here {
            self.hold_against_bans(&nick, cx);
            // Lifted, or ended, meanwhile.
            if spared.contains(&nick) && !self.ousts(&nick) {
                self.let_be(&nick, cx);
            }
        }
    }

    /// Puts somebody out for as long as the room will have it: by affiliation where an account is one over connections
    /// and we may set it, else by a kick.
    fn oust(&mut self, person: &Person, actor: Actor, reason: Box<str>, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        let trust = self.trust().unwrap_or(&cx.bans.trust);
        let may = may_set_affiliations(inside);
        let account = person.real_jid.as_deref().filter(|real| may && !trust.is_guest(real)).map(jid::bare);
        let Some(account) = account else { return self.kick(person, actor, reason, cx) };
        let watch = self.watch.get_or_insert_default();
        // Whoever comes while the room is asked about their account goes with the others.
        let asked = watch.ousting.iter().any(|one| one.account.as_deref() == Some(account));
        inside.nicks_of(account).iter().for_each(|nick| watch.oust(nick, Some(account)));
        if !asked {
            let action = Action::Affiliate { jid: account.into(), to: Standing::Outcast };
            self.ask(actor, action, person.real_jid.clone(), reason, cx);
        }
    }

    /// Puts somebody out who may come back.
    fn kick(&mut self, person: &Person, actor: Actor, reason: Box<str>, cx: &mut Context<'_>) {
        self.watch.get_or_insert_default().oust(&person.nick, None);
        self.ask(actor, Action::Kick { nick: person.nick.clone() }, person.real_jid.clone(), reason, cx);
    }

    // ── rules

    /// Makes the policy, or makes it anew with what it remembers.
    fn plan(&mut self, plans: &Arc<Plans>, cx: &Context<'_>) {
        let now = Now { at: cx.now, clock: cx.clock };
        let watch = self.watch.get_or_insert_default();
        if watch.policy.is_some() {
            return;
        }
        let mut policy = Policy::new(&self.settings.key.name, plans.clone());
        if let Some(state) = watch.recalled.take() {
            policy.import(now, state);
        }
        watch.policy = Some(policy);
    }

    /// Takes other rules; what the old ones remember goes over to the new ones.
    pub(super) fn replan(&mut self, cx: &mut Context<'_>) {
        if let Some(watch) = self.watch.as_deref_mut()
            && let Some(policy) = watch.policy.take()
        {
            watch.recalled = Some(policy.export(Now { at: cx.now, clock: cx.clock }));
            watch.holding = None;
        }
        if let State::Inside(inside) = &mut self.state {
            // Who is exempt may be another, and a rule that shut the door may be gone.
            (inside.checked, inside.door_seen) = (false, false);
            if self.settings.plans.is_some() {
                // A room without rules may not have been asked what it is.
                self.moderate(Happening::Settings, cx);
            }
            self.begin_policy(cx);
        }
        if let State::Closed { cause, .. } = &self.state
            && cause.word == Word::ClosedBySchedule
        {
            self.in_turn(Cause::new(Word::Starting, "its rules changed and it waits for its turn"), cx);
        }
    }

    /// Takes what rules remembered before a restart.
    pub(super) fn recall(&mut self, state: policy::State, cx: &mut Context<'_>) {
        let watch = self.watch.get_or_insert_default();
        watch.lock = state.lock.clone();
        watch.lobby_by_rule = state.lobby_by_rule;
        match &mut watch.policy {
            Some(policy) => policy.import(Now { at: cx.now, clock: cx.clock }, state),
            None => watch.recalled = Some(state),
        }
    }

    /// Has the rules look at something, and does what they say.
    pub(super) fn judge(&mut self, input: policy::Input<'_>, cx: &mut Context<'_>) {
        let verdicts = judged(self.watch.as_deref_mut(), input, cx);
        self.carry(verdicts, cx);
    }

    /// A deadline passed.
    pub(super) fn watch_timeout(&mut self, cx: &mut Context<'_>) {
        let Some(watch) = self.watch.as_deref_mut() else { return };
        if watch.again_at.take_if(|at| *at <= cx.now).is_some()
            && let State::Inside(inside) = &mut self.state
        {
            inside.checked = false;
        }
        if watch.door_at.take_if(|at| *at <= cx.now).is_some()
            && let State::Inside(inside) = &mut self.state
        {
            inside.door_seen = false;
        }
        let due = watch.policy.as_ref().and_then(Policy::deadline).is_some_and(|at| at <= cx.now);
        if due {
            self.judge(policy::Input::Timeout, cx);
        }
    }

    /// Keeps what the rules remember where that is due.
    fn remember(&mut self, cx: &mut Context<'_>) {
        let Some(watch) = self.watch.as_deref_mut() else { return };
        if watch.remember_at.take_if(|at| *at <= cx.now).is_some() {
            watch.remembered_at = Some(cx.now);
            cx.effects.push(Effect::Remember(watch.remembered(Now { at: cx.now, clock: cx.clock })));
        }
    }

    fn carry(&mut self, verdicts: Verdicts, cx: &mut Context<'_>) {
        for verdict in verdicts.people {
            self.sanction(verdict, cx);
        }
        for verdict in verdicts.room {
            self.fulfil(verdict, cx);
        }
    }

    fn sanction(&mut self, verdict: Verdict, cx: &mut Context<'_>) {
        let Verdict { rule, mode, nick, sanction, reason, note, .. } = verdict;
        let State::Inside(inside) = &self.state else { return };
        let Some(one) = inside.occupants.by_nick(&nick).filter(|_| !self.ousts(&nick)) else { return };
        if let Some(life) = &inside.life {
            let what = What::RuleMatched {
                rule: rule.into(),
                person: Some(person(&nick, one, None)),
                dry_run: mode == Mode::DryRun,
                verdict: sanction.to_string().into(),
                reason: reason.as_str().into(),
                note: note.as_str().into(),
            };
            tell(cx, life, what);
        }
        if mode == Mode::DryRun {
            return;
        }
        let (real_jid, role, affiliation) = (one.real_jid.clone(), one.role.clone(), one.affiliation.clone());
        let actor = Actor::Rule { name: rule.to_owned() };
        let reason: Box<str> = reason.into();
        let action = match sanction {
            Sanction::Note => return,
            Sanction::Warn => Action::Say { nick: Some(nick), text: reason.clone() },
            Sanction::Mute => Action::Mute { nick: Some(nick), medium: Medium::Audio },
            Sanction::Demote => match (affiliation, real_jid.as_deref().map(jid::bare)) {
                (Some(Affiliation::Owner | Affiliation::Admin), Some(account)) => {
                    let info = self.moderation.as_ref().and_then(|moderation| moderation.info.as_ref());
                    // Whoever is nobody in a members-only room is put out.
                    let closed = info.is_some_and(|info| info.members_only);
                    let to = if closed { Standing::Member } else { Standing::None };
                    Action::Affiliate { jid: account.into(), to }
                }
                // The role alone: a moderator by role becomes a participant.
                _ if role == Some(Role::Moderator) => Action::Voice { nick, on: true },
                _ => return,
            },
            Sanction::Kick => {
                self.watch.get_or_insert_default().oust(&nick, None);
                Action::Kick { nick }
            }
            Sanction::Ban { lasts } => {
                let Some(person) = inside.look_closely(&nick, self.settings.focus, self.trust(), cx) else { return };
                let (targets, known_as) = (targets_of(&person.identity_alone()), known_as(&person).into());
                self.oust(&person, actor.clone(), reason.clone(), cx);
                let wish = BanWish { nick, known_as, targets, period: lasts, reason, note: note.into(), actor };
                cx.effects.push(Effect::Ban(Box::new(wish)));
                return;
            }
        };
        self.ask(actor, action, real_jid, reason, cx);
    }

    fn fulfil(&mut self, verdict: RoomVerdict, cx: &mut Context<'_>) {
        let RoomVerdict { rule, mode, wish, note } = verdict;
        let State::Inside(inside) = &self.state else { return };
        if let Some(life) = &inside.life {
            let what = What::RuleMatched {
                rule: rule.into(),
                person: None,
                dry_run: mode == Mode::DryRun,
                verdict: wished(&wish).into(),
                reason: "".into(),
                note: note.as_str().into(),
            };
            tell(cx, life, what);
        }
        if mode == Mode::DryRun {
            return;
        }
        let action = match wish {
            Wish::Lobby(true) => {
                // What a person switched on is theirs, and stays when the rule lets go.
                let on = self.info().is_some_and(has_lobby);
                if on && !self.switches_door() {
                    return;
                }
                Action::Lobby { on: true }
            }
            Wish::Lobby(false) => {
                if !self.lobby_is_rules() {
                    return;
                }
                Action::Lobby { on: false }
            }
            Wish::Lock(true) => {
                let locked = self.watch.as_ref().is_some_and(|watch| watch.lock.by_rule);
                if locked && !self.switches_door() {
                    return;
                }
                let secret: String = std::iter::repeat_with(|| cx.rng.alphanumeric()).take(12).collect();
                Action::Lock { password: Some(Secret::new(secret)) }
            }
            Wish::Lock(false) => {
                // What a person set since is theirs.
                let lock = self.watch.as_ref().map(|watch| &watch.lock).filter(|lock| lock.by_rule);
                let Some(lock) = lock else { return };
                Action::Lock { password: lock.before.clone() }
            }
            Wish::Close { why, until } => {
                self.closing = Some(Box::new((closed(why, &self.settings.jid), until)));
                Action::End
            }
            Wish::Say(text) => Action::Say { nick: None, text: text.into() },
            Wish::Whisper { nick, text } => Action::Say { nick: Some(nick), text: text.into() },
        };
        self.ask(Actor::Rule { name: rule.to_owned() }, action, None, note.into(), cx);
    }

    /// Whether the lobby is on, and by a rule's word alone.
    fn lobby_is_rules(&self) -> bool {
        let by_other = match self.lobby_origin() {
            Some(LobbyOrigin::By(nick)) => self.inside().is_some_and(|(own, _)| *own != **nick),
            _ => false,
        };
        self.watch.as_ref().is_some_and(|watch| watch.lobby_by_rule) && !by_other
    }

    /// Opens what a rule shut that keeps it so no longer: it is no longer enforced, or what it said came to naught.
    fn open_door(&mut self, cx: &mut Context<'_>) {
        let policy = self.watch.as_ref().and_then(|watch| watch.policy.as_ref());
        if policy.is_some_and(Policy::keeps_door_shut) || self.switches_door() {
            return;
        }
        let locked = self.watch.as_ref().is_some_and(|watch| watch.lock.by_rule);
        let wishes = [(self.lobby_is_rules(), Wish::Lobby(false)), (locked, Wish::Lock(false))];
        for (_, wish) in wishes.into_iter().filter(|(due, _)| *due) {
            let note = "no rule keeps the door shut any more that a rule shut".to_owned();
            self.fulfil(RoomVerdict { rule: DOOR, mode: Mode::Enforce, wish, note }, cx);
        }
    }

    /// Asks for an action of our own under a key that no other has.
    pub(super) fn ask(
        &mut self,
        actor: Actor,
        action: Action,
        real_jid: Option<Box<str>>,
        reason: Box<str>,
        cx: &mut Context<'_>,
    ) {
        self.moderate(Happening::Act(Request { key: "".into(), actor, action, real_jid, reason }), cx);
    }

    /// Somebody asks for an action. Whoever ends the meeting wants it to stay so.
    pub(super) fn act(&mut self, request: Request, cx: &mut Context<'_>) {
        if self.lifts_a_ban(&request, cx) {
            return;
        }
        if let (Action::End | Action::Destroy, State::Inside(_)) = (&request.action, &self.state) {
            let text =
                format!("{} was ended on the word of {}; `innkeeper hold` opens it", self.settings.jid, request.actor);
            self.closing = Some(Box::new((Cause::new(Word::EndedByUs, text), None)));
        }
        self.moderate(Happening::Act(request), cx);
    }

    /// Something that we asked for came to naught.
    fn failed(&mut self, request: Request, cx: &mut Context<'_>) {
        let State::Inside(inside) = &self.state else { return };
        match (&request.action, &request.actor) {
            (Action::End | Action::Destroy, Actor::Rule { .. }) => {
                // Not ours to end: at least it is not held open.
                if let Some(closing) = self.closing.take() {
                    cx.effects.push(Effect::Leave { nick: inside.nick.clone() });
                    let (cause, until) = *closing;
                    self.close(cause, until, cx);
                }
            }
            (Action::End | Action::Destroy, _) => self.closing = None,
            (Action::Affiliate { jid: domain, to: Standing::Outcast }, _) if !domain.contains('@') => {
                self.domain_tried(domain, cx);
            }
            (Action::Affiliate { jid: account, to: Standing::Outcast }, _) => {
                // Who can not be made an outcast can perhaps be kicked.
                for nick in inside.nicks_of(account) {
                    self.kick_after_all(nick, &request, cx);
                }
            }
            (Action::Kick { nick }, Actor::Rule { .. } | Actor::Bans) => self.missed(nick, &request, cx),
            (Action::Lobby { .. } | Action::Lock { .. }, Actor::Rule { .. }) => {
                let watch = self.watch.get_or_insert_default();
                watch.door_at = Some(cx.now + watch.door.next(AGAIN, SLOW, cx.rng));
            }
            (action, Actor::Rule { .. }) => {
                if let Some(nick) = action.occupant() {
                    self.judge(policy::Input::Refused { nick }, cx);
                }
            }
            _ => {}
        }
    }

    /// Somebody is no longer being put out: nobody looked at them meanwhile.
    fn let_be(&mut self, nick: &str, cx: &mut Context<'_>) {
        if let Some(watch) = self.watch.as_deref_mut() {
            watch.ousting.retain(|one| *one.nick != *nick);
        }
        self.judge(policy::Input::Refused { nick }, cx);
        self.judge_presence(nick, cx);
    }

    /// Nobody was put out under that nick: who changed it meanwhile is asked for under the new one, anybody else is let
    /// be for a while.
    fn missed(&mut self, asked: &str, request: &Request, cx: &mut Context<'_>) {
        let Some(watch) = self.watch.as_deref_mut() else { return };
        let Some(at) = watch.ousting.iter().position(|one| *one.asked == *asked) else { return };
        if watch.ousting[at].account.is_some() {
            // The room was asked about their account since.
            return;
        }
        let nick = watch.ousting[at].nick.clone();
        if *nick == *asked {
            if request.actor == Actor::Bans {
                watch.again_at = Some(cx.now + watch.again.next(AGAIN, SLOW, cx.rng));
            }
            return self.let_be(&nick, cx);
        }
        self.kick_after_all(nick, request, cx);
    }

    /// Kicks somebody whom the room did not put out otherwise, but nobody whose ban was lifted meanwhile.
    fn kick_after_all(&mut self, nick: Box<str>, request: &Request, cx: &mut Context<'_>) {
        if request.actor == Actor::Bans && self.banned(&nick, cx).is_none() {
            return self.let_be(&nick, cx);
        }
        self.watch.get_or_insert_default().oust(&nick, None);
        let Request { actor, real_jid, reason, .. } = request.clone();
        self.ask(actor, Action::Kick { nick }, real_jid, reason, cx);
    }
}

/// What somebody says of the browser that they come with.
fn hint(one: &Occupant) -> Option<&str> {
    one.ids.as_deref()?.stats_id.as_deref()
}

fn account_of(one: &Occupant) -> Option<&str> {
    one.real_jid.as_deref().map(jid::bare)
}

/// Source: XEP-0045 §5.2.1 "Privileges Associated with Affiliations".
fn may_set_affiliations(inside: &Inside) -> bool {
    let own = inside.occupants.by_nick(&inside.nick).and_then(|own| own.affiliation.as_ref());
    matches!(own, Some(Affiliation::Owner | Affiliation::Admin))
}

/// What the rules of a room, where it has any, say to something.
fn judged(watch: Option<&mut Watch>, input: policy::Input<'_>, cx: &Context<'_>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let Some(watch) = watch else { return verdicts };
    let Some(policy) = &mut watch.policy else { return verdicts };
    let changes = matches!(input, policy::Input::Left { .. } | policy::Input::Holding { .. });
    policy.handle(Now { at: cx.now, clock: cx.clock }, input, &mut verdicts);
    let within = match (verdicts.people.is_empty() && !verdicts.struck, verdicts.room.is_empty() && !changes) {
        (false, _) => watch.remembered_at.map_or(cx.now, |at| cx.now.max(at + STRIKES_EVERY)),
        (true, false) => cx.now + REMEMBERED_WITHIN,
        (true, true) => return verdicts,
    };
    watch.remember_at = Some(watch.remember_at.map_or(within, |at| at.min(within)));
    verdicts
}

fn tell(cx: &mut Context<'_>, life: &str, what: What) {
    cx.effects.push(Effect::Happened { life: life.into(), what: Box::new(what) });
}

fn closed(why: Closing, room: &str) -> Cause {
    match why {
        Closing::Schedule => Cause::new(Word::ClosedBySchedule, format!("a rule keeps {room} closed at this time")),
        Closing::Idle => Cause::new(
            Word::ClosedIdle,
            format!("nobody used {room}, so that a rule closed it; `innkeeper hold` opens it"),
        ),
    }
}

/// What a rule wants for the room, in the words of the record.
#[must_use]
pub fn wished(wish: &Wish) -> &'static str {
    match wish {
        Wish::Lobby(true) => "lobby on",
        Wish::Lobby(false) => "lobby off",
        Wish::Lock(true) => "lock",
        Wish::Lock(false) => "unlock",
        Wish::Close { .. } => "close",
        Wish::Say(_) => "say",
        Wish::Whisper { .. } => "whisper",
    }
}
