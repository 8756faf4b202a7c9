//! What is done in a room beyond holding it: actions, locked settings, a moderator's word in chat. Pure.
//!
//! A room that nobody wants moderated has none of this.

use std::sync::Arc;
use std::time::Duration;

use super::chat::{self, Chat, Line, Outcome};
use super::lobby::{self, Attendance, Move};
use super::pending::{self, Answer, Components, Facts, Pending, Step};
use super::settings::{self, Keeper, Locked, OnDrift, Setting};
use super::target::target;
use super::watch::LockNews;
use super::{BanWish, Context, Effect, Inside, Occupant, Occupants, Retry, Room, State};
use crate::action::{Action, Actor, Progress, Request, Standing, Verb};
use crate::cause::{Cause, Word};
use crate::config::{Media, Secret};
use crate::event;
use crate::policy::bans::{known_as, targets_of};
use crate::policy::{Lock, Person, Trust};
use crate::xmpp::jid;
use crate::xmpp::jitsi::json_message::Push;
use crate::xmpp::message::{Age, Said};
use crate::xmpp::muc::{Affiliation, Role, RoomPresence, clip};
use crate::xmpp::room_form::{self, RoomForm};
use crate::xmpp::room_info::RoomInfo;
use crate::xmpp::stanza::StanzaError;

/// What is wanted of a room beyond being held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moderated {
    /// Settings that are to stay as they are written down.
    pub locked: Locked,
    /// Who may give commands in chat.
    pub chat: chat::Settings,
    /// Whether what people write is kept with the events.
    pub store_text: bool,
}

/// What a room may use of the session that holds it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Which of Jitsi's components the deployment has.
    pub components: Components,
    /// Whether that is known.
    pub components_known: bool,
    /// The connection's URL names this room.
    pub url_room: bool,
    /// A short second connection of the same account can be made, whose URL names this room.
    pub errands: bool,
    /// What is done with media invitations.
    pub media: Media,
}

/// Status 104: the configuration changed. XEP-0045 §10.2.1 "Notification of Configuration Changes".
const CONFIGURATION_CHANGED: u16 = 104;

/// What is going on in one room.
#[derive(Debug, Default)]
pub(super) struct Moderation {
    pending: Pending,
    keeper: Keeper,
    chat: Chat,
    /// What the room said of itself since we came in.
    pub(super) info: Option<RoomInfo>,
    /// The life of the room that its settings were set in: its meeting id, where it has one.
    life: Option<Box<str>>,
    /// Actions of the locked settings, by key.
    ours: Vec<(Box<str>, Setting)>,
    moderator: bool,
    /// What components said before it was known which life of the room it was about.
    heard: Vec<Push>,
    /// The room put us out: what components say while we are not in it we do not hear.
    put_out: bool,
    pub(super) lobby: Attendance,
    /// The life of the room in which somebody was last told to wait in its lobby.
    pub(super) knocked_in: Option<Box<str>>,
    origin: Option<LobbyOrigin>,
    /// The room as we last saw it before we went out.
    left: Option<Left>,
    /// Who was last said to have switched the lobby on, before the room showed it.
    switched_by: Option<Box<str>>,
    /// Requests that wait until it is known what the room and the deployment offer.
    early: Vec<Request>,
    /// What takes back each action that was asked for and is not over.
    undo: Vec<(Box<str>, Action)>,
    /// The room's password as its form last showed it to us.
    password: Option<Secret>,
    /// What rules, bans and the end of a meeting came to naught with, and whom they had kicked, for [`super::watch`].
    pub(super) failed: Vec<Request>,
    /// Domains that are outcasts now, by a ban, for [`super::watch`].
    pub(super) cast_out: Vec<Box<str>>,
    /// What became of the room's password, for [`super::watch`].
    pub(super) locks: Vec<LockNews>,
}

/// Where a room's lobby comes from, as far as we have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LobbyOrigin {
    /// It was on when we came in.
    Before {
        /// Somebody but us and the focus was inside by then, who may have switched it on.
        people: bool,
        /// Whether the life of the room before, where we saw it, had a lobby at its end.
        previous: Option<bool>,
    },
    /// It came on while we were inside, by the word of the occupant with this nick.
    By(Box<str>),
    /// It came on while we were inside, and nobody said who did it.
    Unsaid,
}

/// What is kept of a room's lobby while we are outside.
#[derive(Debug)]
struct Left {
    /// In which life of the room that was, where it has a meeting id.
    life: Option<String>,
    on: bool,
    origin: Option<LobbyOrigin>,
}

/// Where we know a room's password from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFrom {
    /// The room's form showed it.
    Form,
    /// We set it, for a rule or a person.
    Us,
    /// It is written down.
    Configuration,
}

/// What happened, as far as moderation is concerned.
#[derive(Debug)]
pub(super) enum Happening<'a> {
    /// We have come in.
    Entered,
    /// A presence was taken in.
    Presence { nick: &'a str, read: &'a RoomPresence, left: bool },
    /// We are outside.
    Outside { destroyed: bool, cause: &'a Cause },
    /// An action is asked for.
    Act(Request),
    /// A message came; from the room itself where there is no nick.
    Message { nick: Option<&'a str>, said: &'a Said },
    /// A step of an action was answered.
    Stepped { number: u32, answer: Answer<'a> },
    /// The form that the locked settings wanted came, or not.
    Form(Result<&'a RoomForm, &'a StanzaError>),
    /// A presence came from the room's lobby.
    Lobby { nick: &'a str, read: &'a RoomPresence },
    /// The room's lobby did not let us in.
    LobbyRefused(&'a StanzaError),
    /// The room said what it is.
    Info(&'a RoomInfo),
    /// A component said something about the room.
    Push(&'a Push),
    /// Which components there are is known now.
    Components,
    /// The stream is lost and may be resumed.
    Interrupted(&'a Cause),
    /// It is.
    Resumed,
    /// Other settings are wanted.
    Settings,
    /// A deadline passed.
    Timeout,
}

impl Moderation {
    pub(super) fn deadline(&self) -> Option<std::time::Instant> {
        self.pending.deadline().into_iter().chain(self.keeper.deadline()).chain(self.lobby.deadline()).min()
    }

    /// Keeps what a component said until the settings are looked at; of each kind the last.
    fn note(&mut self, push: &Push) {
        self.heard.retain(|known| !known.replaced_by(push));
        self.heard.push(push.clone());
    }
}

impl Room {
    /// Whether an action can be done here now, by verb, and if not, why.
    pub fn abilities(&self, cx: &Context<'_>) -> Vec<(Verb, Result<(), Cause>)> {
        let State::Inside(inside) = &self.state else {
            let cause = self.not_inside();
            return Verb::ALL.into_iter().map(|verb| (verb, Err(cause.clone()))).collect();
        };
        let info = self.moderation.as_ref().and_then(|moderation| moderation.info.as_ref());
        let waiting = self.moderation.as_ref().and_then(|moderation| moderation.lobby.occupants());
        let nothing = Keeper::default();
        let shown = self.moderation.as_ref().map_or(&nothing, |moderation| &moderation.keeper);
        let facts = facts(&self.settings.jid, self.settings.focus, inside, info, waiting, shown, cx);
        Verb::ALL.into_iter().map(|verb| (verb, pending::possible(verb, &facts))).collect()
    }

    /// The lobby that we are in as a moderator of the room, or on the way into.
    #[must_use]
    pub fn lobby(&self) -> Option<&str> {
        self.moderation.as_ref().and_then(|moderation| moderation.lobby.address())
    }

    /// Who waits in the room's lobby, as far as we see it.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &Occupant)> {
        self.moderation.iter().flat_map(|moderation| moderation.lobby.waiting())
    }

    /// What the room last said of itself, where it was asked.
    #[must_use]
    pub fn info(&self) -> Option<&RoomInfo> {
        self.moderation.as_ref().and_then(|moderation| moderation.info.as_ref())
    }

    /// Whether a rule just has the door opened or shut.
    pub(super) fn switches_door(&self) -> bool {
        let of_door = |request: &Request| {
            matches!(request.action, Action::Lobby { .. } | Action::Lock { .. })
                && matches!(request.actor, Actor::Rule { .. })
        };
        self.moderation.as_ref().is_some_and(|known| known.pending.requests().chain(&known.early).any(of_door))
    }

    /// Where the room's lobby comes from, while it has one.
    #[must_use]
    pub fn lobby_origin(&self) -> Option<&LobbyOrigin> {
        self.moderation.as_ref().and_then(|moderation| moderation.origin.as_ref())
    }

    /// The password to come in with.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.known_password().map(|(password, _)| password)
    }

    /// The room's password as far as we know it: the last that we saw the room have, else the one that we set, else the
    /// one that is written down.
    #[must_use]
    pub fn known_password(&self) -> Option<(&Secret, PasswordFrom)> {
        let seen = self.moderation.as_ref().and_then(|moderation| moderation.password.as_ref());
        let set = self.watch.as_ref().and_then(|watch| watch.lock.password.as_ref());
        let written = self.settings.password.as_ref();
        let from = |from| move |password| (password, from);
        let seen = seen.map(from(PasswordFrom::Form)).or_else(|| set.map(from(PasswordFrom::Us)));
        seen.or_else(|| written.map(from(PasswordFrom::Configuration)))
    }

    /// The form of a room that did not let us in for want of its password, whose owner we may be all the same.
    pub(super) fn shown_outside(&mut self, form: &RoomForm, cx: &mut Context<'_>) {
        let State::Outside(outside) = &self.state else { return };
        let (Some(password), Word::WrongPassword) = (secret(form), outside.cause.word) else { return };
        let cause = outside.cause.clone();
        self.moderation.get_or_insert_default().password = Some(password);
        self.outside(cause, Retry::Soon, cx);
    }

    /// The password that we last saw is wrong by now.
    pub(super) fn forget_password(&mut self) {
        if let Some(moderation) = &mut self.moderation {
            moderation.password = None;
        }
        if let Some(watch) = &mut self.watch {
            watch.lock = Lock::default();
        }
    }

    fn not_inside(&self) -> Cause {
        let room = &self.settings.jid;
        Cause::new(Word::NotInRoom, format!("we are not inside {room}: see `innkeeper why room` for why"))
    }

    /// Tells moderation what happened, and carries out what comes of it.
    pub(super) fn moderate(&mut self, happening: Happening<'_>, cx: &mut Context<'_>) {
        if self.moderation.is_none() {
            // A room whose configuration changes may have a lobby from now on.
            let changed = matches!(&happening, Happening::Message { nick: None, said } if said.statuses.contains(&CONFIGURATION_CHANGED));
            let wanted = changed || self.settings.moderated.is_some() || self.settings.plans.is_some();
            let wanted = wanted || matches!(happening, Happening::Act(_));
            if !wanted {
                return;
            }
            self.moderation = Some(Box::default());
            if matches!(self.state, State::Inside(_)) && !changed && !matches!(happening, Happening::Entered) {
                cx.effects.push(Effect::AskInfo);
            }
        }
        let nothing = Moderated::default();
        let settings = self.settings.clone();
        let moderated: &Moderated = settings.moderated.as_deref().unwrap_or(&nothing);
        let not_inside = self.not_inside();
        let (Some(moderation), state) = (self.moderation.as_deref_mut(), &self.state) else { return };
        let State::Inside(inside) = state else {
            match happening {
                // Jitsi tells the metadata before it shows us our own presence, and no second time.
                Happening::Push(push) if matches!(state, State::Joining(_)) => moderation.note(push),
                happening => moderation.outside(happening, &not_inside, moderated, cx),
            }
            return;
        };
        let trust = settings.plans.as_deref().map(|plans| &plans.trust);
        let guards_password = self.watch.as_ref().is_some_and(|watch| !watch.lock.is_none());
        let (room, focus) = (&*settings.jid, settings.focus);
        let mut desk = Desk { moderated, room, focus, trust, guards_password, inside, moderation, cx };
        desk.handle(happening);
    }
}

impl Moderation {
    /// What can happen while we are not inside.
    fn outside(&mut self, happening: Happening<'_>, not_inside: &Cause, moderated: &Moderated, cx: &mut Context<'_>) {
        let mut out = Vec::new();
        match happening {
            Happening::Outside { destroyed, cause } => {
                self.moderator = false;
                self.heard.clear();
                self.put_out |= matches!(
                    cause.word,
                    Word::Kicked | Word::Banned | Word::MembershipLost | Word::RemovedForError | Word::NotInRoom
                );
                self.pending.outside(destroyed, cause, &mut out);
                self.ours.clear();
                self.undo.clear();
                for request in self.early.drain(..) {
                    let progress = Progress::Refused(cause.clone());
                    out.push(pending::Output::Progress { request: Box::new(request), progress, over: true });
                }
                if let Some(info) = self.info.take() {
                    let life = info.meeting_id.clone();
                    self.left = Some(Left { life, on: has_lobby(&info), origin: self.origin.take() });
                }
                (self.origin, self.switched_by) = (None, None);
                if destroyed {
                    self.password = None;
                }
                let mut moves = Vec::new();
                self.lobby.leave(&mut moves);
                carry_out(moves, cx);
                let mut said = Vec::new();
                self.keeper.handle(cx.now, settings::Input::Outside, &moderated.locked, &mut said);
            }
            Happening::Act(request) => {
                let progress = Progress::Refused(not_inside.clone());
                out.push(pending::Output::Progress { request: Box::new(request), progress, over: true });
            }
            _ => {}
        }
        for one in out {
            if let pending::Output::Progress { request, progress, over } = one {
                cx.effects.push(Effect::Progress { request, progress, over });
            }
        }
    }
}

/// Everything at hand while we are inside.
struct Desk<'d, 'c> {
    moderated: &'d Moderated,
    room: &'d str,
    focus: bool,
    trust: Option<&'d Trust>,
    /// We set a password: that somebody changes it must be seen.
    guards_password: bool,
    inside: &'d Inside,
    moderation: &'d mut Moderation,
    cx: &'d mut Context<'c>,
}

fn carry_out(moves: Vec<Move>, cx: &mut Context<'_>) {
    cx.effects.extend(moves.into_iter().map(|one| match one {
        Move::Enter { lobby, nick } => Effect::Knock { lobby, nick },
        Move::Leave { lobby, nick } => Effect::LeaveLobby { lobby, nick },
        Move::Left { lobby } => Effect::LobbyLeft { lobby },
    }));
}

fn facts<'a>(
    room: &'a str,
    focus: bool,
    inside: &'a Inside,
    info: Option<&RoomInfo>,
    lobby: Option<&'a Occupants>,
    shown: &'a Keeper,
    cx: &Context<'_>,
) -> Facts<'a> {
    let around = cx.around;
    Facts {
        room,
        occupants: &inside.occupants,
        own: &inside.nick,
        lobby,
        shown,
        focus: focus && super::inside::focus_in(&inside.occupants, cx.focus),
        media_refused: around.media == Media::Refuse,
        components: around.components,
        retraction: info.and_then(|info| info.retraction),
        bound: around.url_room || around.errands,
        has_url_room: around.url_room,
        many_affiliations: around.components.lobby,
    }
}

impl Desk<'_, '_> {
    fn handle(&mut self, happening: Happening<'_>) {
        let now = self.cx.now;
        match happening {
            Happening::Entered => self.cx.effects.push(Effect::AskInfo),
            Happening::Presence { nick, read, left } => {
                self.pending(|pending, _, out| pending.presence(nick, read, left, out));
                self.judged();
                self.attend();
            }
            Happening::Outside { .. } => {}
            Happening::Act(request) => self.act(request),
            Happening::Message { nick, said } => self.message(nick, said),
            Happening::Stepped { number, answer } => {
                if let Answer::Form(form) = answer {
                    self.remember(number, form);
                    self.keep(settings::Input::Form(form));
                }
                self.pending(|pending, facts, out| pending.answered(now, number, answer, facts, out));
            }
            Happening::Form(Ok(form)) => {
                self.moderation.password = secret(form);
                self.moderation.locks.push(LockNews::Seen(secret(form)));
                self.keep(settings::Input::Form(form));
                self.pending(|pending, _, out| pending.form(form, out));
            }
            Happening::Form(Err(_)) => self.keep(settings::Input::NoForm),
            Happening::Lobby { nick, read } => self.lobby(nick, read),
            Happening::LobbyRefused(error) => {
                let mut moves = Vec::new();
                self.moderation.lobby.refused(now, error.condition == "conflict", &mut moves);
                carry_out(moves, self.cx);
                self.attend();
            }
            Happening::Info(info) => {
                self.story(info);
                self.moderation.info = Some(info.clone());
                if self.moderation.moderator {
                    self.learn_password();
                }
                self.judged();
                self.attend();
                self.early();
            }
            Happening::Push(push) => {
                if !self.moderation.moderator {
                    self.moderation.note(push);
                }
                self.pushed(push);
            }
            Happening::Components => {
                self.judged();
                self.early();
            }
            Happening::Interrupted(cause) => self.pending(|pending, _, out| pending.interrupted(cause, out)),
            Happening::Resumed => {
                self.moderation.pending.resumed(now);
                // Those questions were lost with the stream, and requests may wait for what they bring.
                if !self.informed() {
                    self.cx.effects.push(Effect::AskInfo);
                }
                self.keep(settings::Input::Resumed);
            }
            Happening::Settings => self.keep(settings::Input::Lock),
            Happening::Timeout => {
                self.pending(|pending, facts, out| pending.timeout(now, facts, out));
                self.keep(settings::Input::Timeout);
                self.attend();
            }
        }
    }

    /// The settings know what is before they hear that an action of theirs is over.
    fn pushed(&mut self, push: &Push) {
        match push {
            Push::AvModeration { medium, on, .. } => {
                self.keep(settings::Input::AvModeration(*medium, *on));
                self.pending(|pending, _, out| pending.av_moderation(*medium, *on, out));
            }
            Push::Metadata(metadata) => {
                let on = |medium: &str| metadata.start_muted.get(medium).copied().unwrap_or_default();
                let (audio, video) = (on("audio"), on("video"));
                self.keep(settings::Input::StartMuted(audio, video));
                self.pending(|pending, _, out| pending.start_muted(audio, video, out));
            }
        }
    }

    /// What we are may have changed. The settings of a room are looked at once it has said which life it is in.
    fn judged(&mut self) {
        let moderator = self.inside.moderator;
        if !moderator || self.moderation.moderator {
            self.moderation.moderator = moderator;
            return;
        }
        // What is not known yet must not be taken for missing.
        let known = self.cx.around.components_known || !self.focus;
        let Some(info) = self.moderation.info.as_ref().filter(|_| known) else { return };
        let life = info.meeting_id.as_deref().map(Box::from);
        // A room without a meeting id is new where our own join made it.
        let new =
            if life.is_some() { life != self.moderation.life } else { self.inside.form != super::Form::NotNeeded };
        self.moderation.life = life;
        self.moderation.moderator = true;
        if self.guards_password {
            self.cx.effects.push(Effect::LockForm);
        }
        self.learn_password();
        // Components greet whoever comes in and is not inside by another session: then what they do not say is off.
        let greeted = self.moderation.heard.iter().any(|push| matches!(push, Push::Metadata(_)));
        if std::mem::take(&mut self.moderation.put_out) || new || greeted {
            self.keep(settings::Input::Unheard);
        }
        for push in std::mem::take(&mut self.moderation.heard) {
            self.pushed(&push);
        }
        self.keep(settings::Input::Moderator { new });
    }

    /// Whoever is put out of a room that a person has locked comes back with their password only. Where there is no
    /// focus the next join may make the room anew, and would lock it.
    fn learn_password(&mut self) {
        let Some(info) = self.moderation.info.as_ref().filter(|_| self.focus) else { return };
        if !info.password_protected {
            self.moderation.password = None;
        } else if !self.guards_password && self.moderated.locked.password.is_none() {
            self.cx.effects.push(Effect::LockForm);
        }
    }

    /// Is in the lobby exactly while the room has one and we moderate it.
    fn attend(&mut self) {
        let mut moves = Vec::new();
        let Moderation { info, lobby, .. } = &mut *self.moderation;
        let named = info.as_ref().and_then(|info| info.lobby.as_deref()).filter(|_| self.inside.moderator);
        let named = named.and_then(|named| lobby::of_room(named, self.room));
        lobby.follow(self.cx.now, named, &self.inside.nick, &mut moves);
        carry_out(moves, self.cx);
    }

    fn lobby(&mut self, nick: &str, read: &RoomPresence) {
        let mut moves = Vec::new();
        let left = self.moderation.lobby.presence(self.cx.now, nick, read, &mut moves);
        if !moves.is_empty() {
            // Whether there is a lobby now only the room knows.
            if let (true, Some(info)) = (read.destroyed.is_some(), &mut self.moderation.info) {
                info.lobby = None;
                if !has_lobby(info) {
                    self.no_lobby();
                }
            }
            self.cx.effects.push(Effect::AskInfo);
        }
        carry_out(moves, self.cx);
        if let Some(nick) = left {
            self.pending(|pending, _, out| pending.left_lobby(&nick, out));
        }
    }

    /// There is no lobby any more: the next one is whoever's switches that on.
    fn no_lobby(&mut self) {
        if self.moderation.origin.take().is_some() {
            self.moderation.locks.push(LockNews::Lobby { actor: Actor::Settings, on: false });
        }
    }

    /// Keeps where the lobby comes from.
    fn story(&mut self, info: &RoomInfo) {
        let people = self.inside.occupants.iter().any(|(nick, one)| {
            let machine = self.inside.machine(nick, one, self.focus, self.cx.focus, self.trust);
            !matches!(machine, Some(event::Machine::Keeper | event::Machine::Focus))
        });
        if !has_lobby(info) {
            return self.no_lobby();
        }
        let moderation = &mut *self.moderation;
        match moderation.info.as_ref().map(has_lobby) {
            None => {
                let left = moderation.left.take();
                let same = left.as_ref().is_some_and(|left| left.life.is_some() && left.life == info.meeting_id);
                let before = match left {
                    Some(Left { on: true, origin: Some(origin), .. }) if same => origin,
                    Some(Left { on: false, .. }) if same => LobbyOrigin::Unsaid,
                    left => LobbyOrigin::Before { people, previous: left.map(|left| left.on) },
                };
                moderation.origin = Some(moderation.switched_by.take().map_or(before, LobbyOrigin::By));
            }
            Some(false) => {
                moderation.origin = Some(moderation.switched_by.take().map_or(LobbyOrigin::Unsaid, LobbyOrigin::By));
            }
            Some(true) => {}
        }
    }

    /// What the form shows before an action changes it, so that the action can be taken back.
    fn remember(&mut self, number: u32, form: &RoomForm) {
        self.moderation.password = secret(form);
        let Some(request) = self.moderation.pending.preparing(number) else { return };
        let undo = match &request.action {
            Action::Lock { .. } => Some(Action::Lock { password: secret(form) }),
            Action::Lobby { .. } => form.members_only().map(|on| Action::Lobby { on }),
            Action::Configure { fields } => {
                let was = |var: &str| {
                    form.field(var).map(|field| field.values.iter().map(|value| value.as_str().into()).collect())
                };
                fields
                    .iter()
                    .map(|(var, _)| Some((var.clone(), was(var)?)))
                    .collect::<Option<_>>()
                    .map(|fields| Action::Configure { fields })
            }
            _ => None,
        };
        let key = request.key.clone();
        self.moderation.undo.extend(undo.map(|undo| (key, undo)));
    }

    /// What takes an action back, as far as that is known before it is sent.
    fn reverse(&self, action: &Action) -> Option<Action> {
        let keeper = &self.moderation.keeper;
        Some(match action {
            Action::Subject { .. } => Action::Subject { text: keeper.subject().unwrap_or_default().into() },
            Action::Voice { nick, .. } => {
                let role = self.inside.occupants.by_nick(nick)?.role.as_ref()?;
                Action::Voice { nick: nick.clone(), on: *role != Role::Visitor }
            }
            Action::Affiliate { jid, .. } => {
                let has = |one: &Occupant| one.real_jid.as_deref().map(jid::bare) == Some(jid);
                let known = self
                    .inside
                    .occupants
                    .iter()
                    .find(|(_, one)| has(one))
                    .and_then(|(_, one)| one.affiliation.as_ref());
                let to = match known {
                    Some(Affiliation::Owner) => Standing::Owner,
                    Some(Affiliation::Admin) => Standing::Admin,
                    Some(Affiliation::Member) => Standing::Member,
                    _ => Standing::None,
                };
                Action::Affiliate { jid: jid.clone(), to }
            }
            Action::AvModeration { medium, .. } => {
                Action::AvModeration { medium: *medium, on: keeper.av_moderation(*medium) }
            }
            Action::Approve { nick, medium, on } => Action::Approve { nick: nick.clone(), medium: *medium, on: !on },
            Action::StartMuted { .. } => {
                let (audio, video) = keeper.start_muted();
                Action::StartMuted { audio, video }
            }
            _ => return None,
        })
    }

    /// Whether an action would put ourselves out, or take from us what keeps the room.
    fn is_about_us(&self, action: &Action) -> bool {
        let own = || self.inside.occupants.by_nick(&self.inside.nick)?.real_jid.as_deref().map(jid::bare);
        match action {
            Action::Kick { nick } | Action::Voice { nick, .. } => **nick == *self.inside.nick,
            Action::Affiliate { jid, to } => *to != Standing::Owner && own().is_some_and(|own| **jid == *own),
            _ => false,
        }
    }

    /// Finds whom a person means who may have written a display name.
    fn aim(&self, request: &mut Request) -> Result<(), Cause> {
        let cause = |text: String| Cause::new(Word::OccupantGone, format!("{}: {text}", self.room));
        if let Action::Affiliate { jid, to } = &mut request.action {
            // What is written like an address is one, whatever somebody inside calls themselves.
            if jid.contains('@') {
                return Ok(());
            }
            match target(jid, &self.inside.occupants, "inside") {
                Ok((_, one)) => {
                    let real = one.real_jid.as_deref().map(jid::bare);
                    *jid = real
                        .ok_or_else(|| cause(format!("the room does not show the account of {}", clip(jid))))?
                        .into();
                    return Ok(());
                }
                // A domain stands for all its accounts.
                Err(_) if *to == Standing::Outcast && jid.contains('.') => return Ok(()),
                Err(text) => return Err(cause(text)),
            }
        }
        let waits = matches!(request.action, Action::Admit { .. } | Action::Deny { .. });
        let (here, place) = match (waits, self.moderation.lobby.occupants()) {
            // That there is no lobby is said with what would have to change.
            (true, None) => return Ok(()),
            (true, Some(lobby)) => (lobby, "waiting"),
            (false, _) => (&self.inside.occupants, "inside"),
        };
        let Some(name) = request.action.nick_mut() else { return Ok(()) };
        let (nick, one) = target(name, here, place).map_err(cause)?;
        *name = nick.into();
        if request.real_jid.is_none() {
            request.real_jid.clone_from(&one.real_jid);
        }
        Ok(())
    }

    /// Whether it is known what the room and the deployment offer.
    fn informed(&self) -> bool {
        self.moderation.info.is_some() && (self.cx.around.components_known || !self.focus)
    }

    /// Carries out what was asked for too early.
    fn early(&mut self) {
        if self.informed() {
            for request in std::mem::take(&mut self.moderation.early) {
                self.act(request);
            }
        }
    }

    fn refuse(&mut self, request: Request, cause: Cause) {
        self.progress(Box::new(request), Progress::Refused(cause), true);
    }

    fn act(&mut self, mut request: Request) {
        if let Some(lost) = self.inside.lost.as_ref().filter(|_| !self.moderation.pending.knows(&request.key)) {
            let text = format!(
                "the connection is lost ({}) and nothing was said in {}: ask again when it is back",
                lost.text, self.room
            );
            return self.refuse(request, Cause::new(lost.word, text));
        }
        // What is not known yet must not be taken for missing.
        if asks_what_is_offered(request.action.verb()) && !self.informed() && self.moderation.early.len() < MOST_EARLY {
            self.moderation.early.push(request);
            return;
        }
        if let Actor::CommandLine { .. } | Actor::Token { .. } | Actor::Line { .. } | Actor::Chat { .. } = request.actor
            && let Err(cause) = self.aim(&mut request)
        {
            return self.refuse(request, cause);
        }
        if self.is_about_us(&request.action) {
            let text = format!(
                "that is the keeper of {} itself: `innkeeper suspend` or `innkeeper release` lets it go",
                self.room
            );
            return self.refuse(request, Cause::new(Word::ActionRefused, text));
        }
        if let (Actor::Bans, Action::Affiliate { jid, to: Standing::None }) = (&request.actor, &request.action)
            && !self.inside.nicks_of(jid).is_empty()
        {
            // Whoever is inside is no outcast any more: what they are by now, somebody else made them.
            return self.progress(Box::new(request), Progress::Seen, true);
        }
        if let Action::Lock { .. } | Action::Lobby { .. } | Action::Configure { .. } | Action::Subject { .. } =
            request.action
            && request.actor != Actor::Settings
            && let Some(setting) = locks(&self.moderated.locked, &request.action)
        {
            let text = format!(
                "{setting} of {} is locked by the configuration and would be restored at once: change it there",
                self.room
            );
            return self.refuse(request, Cause::new(Word::ActionRefused, text));
        }
        if request.key.is_empty() {
            request.key = self.key();
        }
        let known = self.moderation.undo.iter().any(|(key, _)| *key == request.key);
        if let Some(undo) = self.reverse(&request.action).filter(|_| !known) {
            self.moderation.undo.push((request.key.clone(), undo));
        }
        let now = self.cx.now;
        self.moderation.pending.direct = self.cx.around.url_room;
        self.pending(|pending, facts, out| pending.request(now, request, facts, out));
    }

    fn message(&mut self, nick: Option<&str>, said: &Said) {
        if nick.is_none() && said.statuses.contains(&CONFIGURATION_CHANGED) {
            self.moderation.pending.configured();
            self.cx.effects.push(Effect::AskInfo);
            if !self.moderation.pending.is_idle() || self.moderation.moderator {
                self.keep(settings::Input::Changed);
            }
            if self.guards_password {
                self.cx.effects.push(Effect::LockForm);
            }
        }
        if let Some(text) = &said.subject {
            // The subject as it was at our join names whoever set it, which is no change.
            let by = nick.filter(|_| said.age != Age::History);
            self.keep(settings::Input::Subject { text, by });
            self.pending(|pending, _, out| pending.subject(text, out));
        }
        if let (Some(nick), Some(true)) = (nick, said.lobby) {
            let moderator = |one: &Occupant| one.role == Some(Role::Moderator);
            if self.inside.occupants.by_nick(nick).is_some_and(moderator) {
                match &mut self.moderation.origin {
                    Some(origin @ LobbyOrigin::Unsaid) => *origin = LobbyOrigin::By(nick.into()),
                    _ => self.moderation.switched_by = Some(nick.into()),
                }
            }
        }
        let (Some(nick), Some(body), false) = (nick, &said.body, said.age == Age::History || said.error) else {
            return;
        };
        if *nick == *self.inside.nick {
            self.pending(|pending, _, out| pending.said(body, out));
            return;
        }
        if said.age != Age::Live {
            // Nobody expects any more that a command of minutes ago is obeyed.
            return;
        }
        let line = Line { nick, text: body, private: !said.groupchat };
        let heard = self.moderation.chat.hear(self.cx.now, line, &self.inside.occupants, &self.moderated.chat);
        let Some(outcome) = heard else { return };
        let real_jid = self.inside.occupants.by_nick(nick).and_then(|one| one.real_jid.clone());
        let actor = Actor::Chat {
            nick: nick.to_owned(),
            jid: real_jid.as_deref().map(|jid| crate::xmpp::jid::bare(jid).to_owned()),
        };
        match outcome {
            Outcome::Do { action, real_jid, reason } => {
                if let Action::Kick { nick: meant } | Action::Voice { nick: meant, .. } = &action
                    && let Err(text) = self.may_touch(nick, meant)
                {
                    return self.whisper(nick, text);
                }
                let key = self.key();
                self.act(Request { key, actor, action, real_jid, reason });
            }
            Outcome::Ban { nick: meant, period, reason } => match self.may_touch(nick, &meant) {
                Ok(()) => self.ban(actor, meant, period, reason),
                Err(text) => self.whisper(nick, text),
            },
            Outcome::Answer(text) => self.whisper(nick, text),
        }
    }

    /// Bans somebody on a moderator's word.
    fn ban(&mut self, actor: Actor, nick: Box<str>, period: Duration, reason: Box<str>) {
        let person = self.inside.look_closely(&nick, self.focus, self.trust, self.cx).filter(Person::is_person);
        let targets = person.as_ref().map(|person| targets_of(&person.identity_alone())).unwrap_or_default();
        let known_as = person.as_ref().map(known_as).unwrap_or_default().into();
        let (period, note) = (Some(period), "".into());
        let wish = BanWish { nick, known_as, targets, period, reason, note, actor };
        self.cx.effects.push(Effect::Ban(Box::new(wish)));
    }

    /// Whether somebody may have another put out or silenced by us: we are higher than most moderators, and must not be
    /// the hand that reaches further than theirs.
    fn may_touch(&self, sender: &str, meant: &str) -> Result<(), Box<str>> {
        let here = &self.inside.occupants;
        let (Some(from), Some(to)) = (here.by_nick(sender), here.by_nick(meant)) else { return Ok(()) };
        let machine = self.inside.machine(meant, to, self.focus, self.cx.focus, self.trust);
        let what = match machine {
            Some(event::Machine::Keeper) => "is the keeper",
            Some(event::Machine::Focus) => "is the conference focus",
            _ if height(to) > height(from) && !chat::listed(from, &self.moderated.chat) => {
                "is higher in this room than you are"
            }
            _ => return Ok(()),
        };
        Err(format!("not done: {} {what}", clip(meant)).into())
    }

    /// A key for a request of our own, which people may name to take it back.
    fn key(&mut self) -> Box<str> {
        format!("own-{:012x}", self.cx.rng.u64(..1 << 48)).into()
    }

    fn whisper(&mut self, nick: &str, text: Box<str>) {
        let step = Step::Private { nick: nick.into(), text };
        self.cx.effects.push(Effect::Step { number: u32::MAX, step, reason: "".into() });
    }

    fn pending(&mut self, act: impl FnOnce(&mut Pending, &Facts<'_>, &mut Vec<pending::Output>)) {
        let mut out = Vec::new();
        let info = self.moderation.info.clone();
        let Moderation { pending, lobby, keeper, .. } = &mut *self.moderation;
        let facts = facts(self.room, self.focus, self.inside, info.as_ref(), lobby.occupants(), keeper, self.cx);
        act(pending, &facts, &mut out);
        pending.advance(self.cx.now, &facts, &mut out);
        for one in out {
            match one {
                pending::Output::Send { number, step, reason } => {
                    self.cx.effects.push(Effect::Step { number, step, reason });
                }
                pending::Output::Progress { request, progress, over } => self.progress(request, progress, over),
                pending::Output::Partly(text) => self.cx.effects.push(Effect::Odd(text)),
            }
        }
    }

    fn progress(&mut self, request: Box<Request>, progress: Progress, over: bool) {
        if let (Actor::Chat { nick, .. }, Some(cause)) = (&request.actor, progress.cause()) {
            self.whisper(nick, format!("not done: {}", cause.text).into());
        }
        let watched = matches!(request.actor, Actor::Rule { .. } | Actor::Bans)
            || matches!(request.action, Action::End | Action::Destroy);
        // Who was seen to go may be another, who took the nick of the one that was meant.
        if watched && over && (progress.cause().is_some() || matches!(request.action, Action::Kick { .. })) {
            self.moderation.failed.push((*request).clone());
        }
        if let (Action::Affiliate { jid, to: Standing::Outcast }, Actor::Bans, true, None) =
            (&request.action, &request.actor, over, progress.cause())
            && !jid.contains('@')
        {
            self.moderation.cast_out.push(jid.clone());
        }
        let ours = self.moderation.ours.iter().position(|(key, _)| over && *key == request.key);
        let unsupported =
            progress.cause().filter(|cause| cause.word == Word::Unsupported).map(|cause| cause.text.clone());
        let undo = self.moderation.undo.iter().position(|(key, _)| over && *key == request.key);
        let undo = undo.map(|at| self.moderation.undo.remove(at));
        if let (Action::Lock { password }, true, None) = (&request.action, over, progress.cause()) {
            let before = match &undo {
                Some((_, Action::Lock { password })) => password.clone(),
                _ => None,
            };
            let (actor, password) = (request.actor.clone(), password.clone());
            self.moderation.locks.push(LockNews::Set { actor, password, before });
        }
        // Whoever wants what is so already has not switched it.
        let switched = undo.as_ref().is_none_or(|(_, undo)| *undo != request.action);
        if let (Action::Lobby { on }, true, None, true) = (&request.action, over, progress.cause(), switched) {
            self.moderation.locks.push(LockNews::Lobby { actor: request.actor.clone(), on: *on });
        }
        if let Some((key, undo)) = undo.filter(|(_, undo)| progress.cause().is_none() && *undo != request.action) {
            self.cx.effects.push(Effect::Undo { key, action: Box::new(undo) });
        }
        self.cx.effects.push(Effect::Progress { request, progress, over });
        if let Some(at) = ours {
            let (_, setting) = self.moderation.ours.remove(at);
            self.keep(settings::Input::Acted { setting: &setting, unsupported: unsupported.as_deref() });
        }
    }

    fn keep(&mut self, input: settings::Input<'_>) {
        let mut out = Vec::new();
        self.moderation.keeper.handle(self.cx.now, input, &self.moderated.locked, &mut out);
        for one in out {
            match one {
                settings::Output::AskForm => self.cx.effects.push(Effect::LockForm),
                settings::Output::Do(setting, action) => {
                    let key = self.key();
                    self.moderation.ours.push((key.clone(), setting));
                    self.act(Request { key, actor: Actor::Settings, action, real_jid: None, reason: "".into() });
                }
                told => self.cx.effects.push(Effect::Setting(told)),
            }
        }
    }
}

/// How high somebody is, among those whom a mere moderator can not touch.
///
/// Source: XEP-0045 §5.2.1 "Privileges Associated with Affiliations".
fn height(one: &Occupant) -> u8 {
    match one.affiliation {
        Some(Affiliation::Owner) => 2,
        Some(Affiliation::Admin) => 1,
        _ => 0,
    }
}

/// So many requests wait until it is known what the room offers; the answers come within one round trip.
const MOST_EARLY: usize = 64;

/// Whether it depends on more than the room itself whether an action can be done.
fn asks_what_is_offered(verb: Verb) -> bool {
    matches!(verb, Verb::Avmod | Verb::StartMuted | Verb::End | Verb::Retract | Verb::Lobby | Verb::Admit | Verb::Deny)
}

/// Whether not everybody may come in who knows the password.
pub(super) fn has_lobby(info: &RoomInfo) -> bool {
    info.lobby.is_some() || info.members_only
}

/// The password that a form shows.
fn secret(form: &RoomForm) -> Option<Secret> {
    let field = form.field(room_form::ROOM_SECRET)?;
    (!field.value().is_empty()).then(|| Secret::new(field.value()))
}

/// The locked setting that an action would change, where it would change one.
fn locks(locked: &Locked, action: &Action) -> Option<Setting> {
    if locked.on_drift != OnDrift::Restore {
        return None;
    }
    let field = |var: &str| Setting::Field(var.into());
    match action {
        Action::Subject { text } => {
            locked.subject.as_ref().filter(|locked| **locked != *text).map(|_| Setting::Subject)
        }
        Action::Lobby { on } => locked.lobby.filter(|locked| locked != on).map(|_| Setting::Lobby),
        Action::Lock { password } => {
            let other = locked.password.is_some() && locked.password != *password;
            other.then(|| field(room_form::ROOM_SECRET))
        }
        Action::Configure { fields } => {
            let locked_field = |var: &str| locked.fields.contains_key(var);
            fields.iter().find(|(var, _)| locked_field(var)).map(|(var, _)| field(var))
        }
        _ => None,
    }
}

/// Whether anything is wanted of the room beyond being held.
impl Moderated {
    /// For the settings of a room: `None` where nothing is.
    #[must_use]
    pub fn shared(self) -> Option<Arc<Self>> {
        let nothing =
            self.locked.is_empty() && !self.chat.moderators && self.chat.accounts.is_empty() && !self.store_text;
        (!nothing).then(|| Arc::new(self))
    }
}
