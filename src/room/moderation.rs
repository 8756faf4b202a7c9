//! What is done in a room beyond holding it: actions, locked settings, a moderator's word in chat. Pure.
//!
//! A room that nobody wants moderated has none of this.

use std::sync::Arc;

use super::chat::{self, Chat, Line, Outcome};
use super::pending::{self, Answer, Components, Facts, Pending, Step};
use super::settings::{self, Keeper, Locked, OnDrift, Setting};
use super::{Context, Effect, Inside, Room, State};
use crate::action::{Action, Actor, Progress, Request, Verb};
use crate::cause::{Cause, Word};
use crate::config::Media;
use crate::xmpp::jitsi::json_message::Push;
use crate::xmpp::message::Said;
use crate::xmpp::muc::RoomPresence;
use crate::xmpp::room_form::RoomForm;
use crate::xmpp::room_info::RoomInfo;
use crate::xmpp::stanza::StanzaError;

/// What is wanted of a room beyond being held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moderated {
    /// Settings that are to stay as they are written down.
    pub locked: Locked,
    /// Who may give commands in chat.
    pub chat: chat::Settings,
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
    info: Option<RoomInfo>,
    /// The life of the room that its settings were set in: its meeting id, where it has one.
    life: Option<Box<str>>,
    /// Actions of the locked settings, by key.
    ours: Vec<(Box<str>, Setting)>,
    next_key: u64,
    moderator: bool,
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
        self.pending.deadline().into_iter().chain(self.keeper.deadline()).min()
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
        let facts = facts(&self.settings.jid, self.settings.focus, inside, info, cx);
        Verb::ALL.into_iter().map(|verb| (verb, pending::possible(verb, &facts))).collect()
    }

    fn not_inside(&self) -> Cause {
        let room = &self.settings.jid;
        Cause::new(Word::NotInRoom, format!("we are not inside {room}: see `innkeeper why room` for why"))
    }

    /// Tells moderation what happened, and carries out what comes of it.
    pub(super) fn moderate(&mut self, happening: Happening<'_>, cx: &mut Context<'_>) {
        if self.moderation.is_none() {
            let wanted = self.settings.moderated.is_some() || matches!(happening, Happening::Act(_));
            if !wanted {
                return;
            }
            self.moderation = Some(Box::default());
            if matches!(self.state, State::Inside(_)) {
                cx.effects.push(Effect::AskInfo);
            }
        }
        let nothing = Moderated::default();
        let settings = self.settings.clone();
        let moderated: &Moderated = settings.moderated.as_deref().unwrap_or(&nothing);
        let not_inside = self.not_inside();
        let (Some(moderation), state) = (self.moderation.as_deref_mut(), &self.state) else { return };
        let State::Inside(inside) = state else {
            moderation.outside(happening, &not_inside, moderated, cx);
            return;
        };
        let mut desk = Desk { moderated, room: &settings.jid, focus: settings.focus, inside, moderation, cx };
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
                self.pending.outside(destroyed, cause, &mut out);
                self.ours.clear();
                self.info = None;
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
    inside: &'d Inside,
    moderation: &'d mut Moderation,
    cx: &'d mut Context<'c>,
}

fn facts<'a>(room: &'a str, focus: bool, inside: &'a Inside, info: Option<&RoomInfo>, cx: &Context<'_>) -> Facts<'a> {
    let around = cx.around;
    Facts {
        room,
        occupants: &inside.occupants,
        own: &inside.nick,
        lobby: None,
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
            }
            Happening::Outside { .. } => {}
            Happening::Act(request) => self.act(request),
            Happening::Message { nick, said } => self.message(nick, said),
            Happening::Stepped { number, answer } => {
                if let Answer::Form(form) = answer {
                    self.keep(settings::Input::Form(form));
                }
                self.pending(|pending, facts, out| pending.answered(now, number, answer, facts, out));
            }
            Happening::Form(Ok(form)) => {
                self.pending(|pending, _, out| pending.form(form, out));
                self.keep(settings::Input::Form(form));
            }
            Happening::Form(Err(_)) => self.keep(settings::Input::NoForm),
            Happening::Info(info) => {
                self.moderation.info = Some(info.clone());
                self.judged();
            }
            Happening::Push(Push::AvModeration { medium, on, .. }) => {
                self.pending(|pending, _, out| pending.av_moderation(*medium, *on, out));
                self.keep(settings::Input::AvModeration(*medium, *on));
            }
            Happening::Push(Push::Metadata(metadata)) => {
                let on = |medium: &str| metadata.start_muted.get(medium).copied().unwrap_or_default();
                let (audio, video) = (on("audio"), on("video"));
                self.pending(|pending, _, out| pending.start_muted(audio, video, out));
                self.keep(settings::Input::StartMuted(audio, video));
            }
            Happening::Components => self.judged(),
            Happening::Interrupted(cause) => self.pending(|pending, _, out| pending.interrupted(now, cause, out)),
            Happening::Resumed => {
                if self.moderation.info.is_none() {
                    self.cx.effects.push(Effect::AskInfo);
                }
                self.keep(settings::Input::Resumed);
            }
            Happening::Settings => self.keep(settings::Input::Lock),
            Happening::Timeout => {
                let room = self.room;
                self.pending(|pending, _, out| pending.timeout(now, room, out));
                self.keep(settings::Input::Timeout);
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
        self.keep(settings::Input::Moderator { new });
    }

    fn act(&mut self, mut request: Request) {
        if let Action::Lock { .. } | Action::Lobby { .. } | Action::Configure { .. } | Action::Subject { .. } =
            request.action
            && request.actor != Actor::Settings
            && let Some(setting) = locks(&self.moderated.locked, &request.action)
        {
            let text = format!(
                "{setting} of {} is locked by the configuration and would be restored at once: change it there",
                self.room
            );
            let progress = Progress::Refused(Cause::new(Word::ActionRefused, text));
            self.cx.effects.push(Effect::Progress { request: Box::new(request), progress, over: true });
            return;
        }
        if request.key.is_empty() {
            request.key = self.moderation.key().into();
        }
        let now = self.cx.now;
        self.pending(|pending, facts, out| pending.request(now, request, facts, out));
    }

    fn message(&mut self, nick: Option<&str>, said: &Said) {
        if nick.is_none() && said.statuses.contains(&CONFIGURATION_CHANGED) {
            self.cx.effects.push(Effect::AskInfo);
            if !self.moderation.pending.is_idle() || self.moderation.moderator {
                self.keep(settings::Input::Changed);
            }
        }
        if let Some(text) = &said.subject {
            // The subject as it was at our join names whoever set it, which is no change.
            let by = nick.filter(|_| !said.delayed);
            self.pending(|pending, _, out| pending.subject(text, out));
            self.keep(settings::Input::Subject { text, by });
        }
        let (Some(nick), Some(body), false) = (nick, &said.body, said.delayed || said.error) else { return };
        if *nick == *self.inside.nick {
            self.pending(|pending, _, out| pending.said(body, out));
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
                let key = self.moderation.key().into();
                self.act(Request { key, actor, action, real_jid, reason });
            }
            Outcome::Ban { nick, period, reason } => {
                self.cx.effects.push(Effect::Ban { nick, period, reason, actor });
            }
            Outcome::Answer(text) => self.whisper(nick, text),
        }
    }

    fn whisper(&mut self, nick: &str, text: Box<str>) {
        let step = Step::Private { nick: nick.into(), text };
        self.cx.effects.push(Effect::Step { number: u32::MAX, step, reason: "".into() });
    }

    fn pending(&mut self, act: impl FnOnce(&mut Pending, &Facts<'_>, &mut Vec<pending::Output>)) {
        let mut out = Vec::new();
        let info = self.moderation.info.clone();
        let facts = facts(self.room, self.focus, self.inside, info.as_ref(), self.cx);
        act(&mut self.moderation.pending, &facts, &mut out);
        for one in out {
            match one {
                pending::Output::Send { number, step, reason } => {
                    self.cx.effects.push(Effect::Step { number, step, reason });
                }
                pending::Output::Progress { request, progress, over } => self.progress(request, progress, over),
            }
        }
    }

    fn progress(&mut self, request: Box<Request>, progress: Progress, over: bool) {
        if let (Actor::Chat { nick, .. }, Some(cause)) = (&request.actor, progress.cause()) {
            self.whisper(nick, format!("not done: {}", cause.text).into());
        }
        let ours = self.moderation.ours.iter().position(|(key, _)| over && *key == request.key);
        let unsupported =
            progress.cause().filter(|cause| cause.word == Word::Unsupported).map(|cause| cause.text.clone());
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
                    let key: Box<str> = self.moderation.key().into();
                    self.moderation.ours.push((key.clone(), setting));
                    self.act(Request { key, actor: Actor::Settings, action, real_jid: None, reason: "".into() });
                }
                told => self.cx.effects.push(Effect::Setting(told)),
            }
        }
    }
}

impl Moderation {
    /// A key for a request of our own.
    fn key(&mut self) -> String {
        self.next_key += 1;
        format!("own-{}", self.next_key)
    }
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
            other.then(|| field(crate::xmpp::room_form::ROOM_SECRET))
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
        let nothing = self.locked.is_empty() && !self.chat.moderators && self.chat.accounts.is_empty();
        (!nothing).then(|| Arc::new(self))
    }
}
