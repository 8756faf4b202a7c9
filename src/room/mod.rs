//! One room as its keeper sees it. Pure: time, answers and randomness come in, effects go out.
//!
//! ```text
//!            Go             ready              self-presence
//!  Outside ─────► Asking ─────────► Joining ─────────────► Inside ──► (asks the focus again while it is missing
//!     ▲             │ no              │ refused, silent       │          or has not made us moderator)
//!     └─────────────┴─────────────────┴───────────────────────┘ kicked, destroyed, disconnected, …
//! ```
//! Plain XMPP rooms skip `Asking`. A deadline lives in the state that waits for it, so leaving the state ends it.
//! Source: XEP-0045; Jicofo's life of a conference.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::backoff::{Ladder, jitter};
use crate::cause::{Cause, Word};
use crate::command::RoomState;
use crate::event::Machine;
use crate::policy;
use crate::xmpp::jitsi::conference::{Answer, Granted};
use crate::xmpp::message::{Age, Said};
use crate::xmpp::muc::{Role, RoomPresence, Status};
use crate::xmpp::ping;
use crate::xmpp::stanza::StanzaError;

pub use io::{BanWish, Context, Effect, FocusFacts, Input, Next, Rules, Settings, Snapshot};
pub use moderation::{LobbyOrigin, Moderated, PasswordFrom, Surroundings};
pub use occupant::{Change, Ids, Occupant, Occupants};
pub use watch::wished;

pub mod chat;
mod door;
mod inside;
mod io;
pub mod join;
mod knock;
mod lobby;
mod moderation;
mod occupant;
pub mod pending;
pub mod recent;
pub mod settings;
mod state;
pub mod target;
mod told;
mod unheard;
mod watch;

use inside::{focus_cause, focus_in};
use join::{FIRST, Retry, SLOW};
use moderation::{Happening, Moderation};
use state::{Ask, Form, Inside, Joining, Outside, Ping, State};
use unheard::Unheard;
use watch::Watch;

/// How long a join may stay unanswered. Jitsi queues joins in silence until the focus is in.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the second presence that makes us moderator before asking the focus again.
const GRANT_PATIENCE: Duration = Duration::from_secs(5);

/// How long after a resumption messages of the time before it come, at most.
const SAID_AGAIN: Duration = Duration::from_secs(10);
/// How long a self-ping may stay unanswered (the session keeps the time).
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How much too early a self-ping may go out, so that several of a session's go together: each alone costs a wake-up.
pub const PING_SLACK: Duration = Duration::from_secs(2);
/// How often a refused creation is tried at once before the ladder starts.
const SOON_TRIES: u8 = 3;
/// How many nicks are tried before giving up for a while.
const NICK_TRIES: u8 = 4;

/// A room.
#[derive(Debug)]
pub struct Room {
    settings: Arc<Settings>,
    state: State,
    ladder: Ladder,
    kicks: Ladder,
    soon: u8,
    nick_try: u8,
    /// What is done beyond holding it; nothing in most rooms.
    moderation: Option<Box<Moderation>>,
    /// What lately befell the people inside; nothing in a room where nothing did.
    memory: Option<Box<recent::Memory>>,
    /// The nick of a join whose answer is not known, so that the room may have us inside although we think outside.
    maybe_as: Option<Box<str>>,
    /// What is done about those inside; nothing in most rooms.
    watch: Option<Box<Watch>>,
    /// Who was inside when we lost the room, and in which life of it; people alone.
    behind: Option<Box<(Box<str>, Occupants)>>,
    /// Why and until when to stay out once the room has ended.
    closing: Option<Box<(Cause, Option<Timestamp>)>>,
    /// What is recorded; nothing in most rooms.
    recordings: Option<Box<watch::Recordings>>,
}

impl Room {
    /// A room that is wanted and was not tried yet; it asks for a place at once.
    #[must_use]
    pub fn new(settings: Arc<Settings>, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::Enqueue);
        let cause = Cause::new(Word::Starting, "it waits for its turn");
        Room {
            settings,
            state: State::Outside(Outside { cause, retry_at: None }),
            ladder: Ladder::default(),
            kicks: Ladder::default(),
            soon: 0,
            nick_try: 0,
            maybe_as: None,
            moderation: None,
            memory: None,
            watch: None,
            behind: None,
            closing: None,
            recordings: None,
        }
    }

    /// What is wanted.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Whether we have this nick, or asked for it.
    #[must_use]
    pub fn goes_by(&self, nick: &str) -> bool {
        match &self.state {
            State::Joining(joining) => *joining.nick == *nick,
            State::Inside(inside) => *inside.nick == *nick || *inside.said.nick == *nick,
            _ => false,
        }
    }

    /// Who is inside, when we are, with our own nick.
    #[must_use]
    pub fn inside(&self) -> Option<(&str, &Occupants)> {
        match &self.state {
            State::Inside(inside) => Some((&inside.nick, &inside.occupants)),
            _ => None,
        }
    }

    /// What lately befell the people inside, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &recent::Recent> {
        self.memory.iter().flat_map(|memory| memory.iter())
    }

    /// Whether a place of the paced queue is in use.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        match &self.state {
            State::Asking { .. } | State::Joining { .. } => true,
            State::Inside(inside) => matches!(inside.ask, Ask::Sent(_)),
            _ => false,
        }
    }

    /// Whether the room still wants the place it asked for.
    #[must_use]
    pub fn wants_place(&self) -> bool {
        match &self.state {
            State::Outside(outside) => outside.retry_at.is_none(),
            State::Inside(inside) => inside.ask == Ask::Queued,
            _ => false,
        }
    }

    /// Whether the place is wanted for a join, not merely for a question to the focus.
    #[must_use]
    pub fn wants_join(&self) -> bool {
        matches!(self.state, State::Outside(_))
    }

    /// Whether the focus is inside, as far as can be known.
    #[must_use]
    pub fn focus_present(&self, focus: &FocusFacts) -> bool {
        self.inside().is_some_and(|(_, occupants)| focus_in(occupants, focus))
    }

    /// How many people are inside: neither ourselves, nor the focus, nor what records.
    #[must_use]
    pub fn people(&self, focus: &FocusFacts) -> usize {
        let Some((own, occupants)) = self.inside() else { return 0 };
        let person = |nick: &str, one: &Occupant| nick != own && self.machine(nick, one, focus).is_none();
        occupants.iter().filter(|(nick, one)| person(nick, one)).count()
    }

    /// What an occupant other than ourselves is, where that is no person: the focus, or what records.
    #[must_use]
    pub fn machine(&self, nick: &str, one: &Occupant, focus: &FocusFacts) -> Option<Machine> {
        told::machine(nick, one, self.settings.focus, focus, self.trust())
    }

    /// When [`Input::Timeout`] is next due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Outside(outside) => outside.retry_at,
            // The session keeps the time of its questions.
            State::Asking { .. } | State::Gone => None,
            State::Closed { until, .. } => *until,
            State::Joining(joining) => Some(joining.give_up_at),
            State::Knocking(knocking) => Some(knocking.again_at),
            State::Leaving { give_up_at } => Some(*give_up_at),
            State::Inside(inside) if inside.lost.is_some() => None,
            State::Inside(inside) => {
                let ask = match inside.ask {
                    Ask::Due(at) => Some(at),
                    _ => None,
                };
                let ping = match inside.ping {
                    Ping::Due(at) => Some(at),
                    Ping::Sent(_) => None,
                };
                let form = match inside.form {
                    Form::Failed { retry_at, .. } => Some(retry_at),
                    _ => None,
                };
                let moderation = self.moderation.as_deref().and_then(Moderation::deadline);
                let watch = self.watch.as_deref().and_then(Watch::deadline);
                let life = self.life_by(inside);
                ask.into_iter().chain(ping).chain(form).chain(moderation).chain(watch).chain(life).min()
            }
        }
    }

    /// Whether a self-ping is due by `then` and nothing else is due before it.
    #[must_use]
    pub fn pings_by(&self, then: Instant) -> bool {
        match &self.state {
            State::Inside(inside) => {
                matches!(inside.ping, Ping::Due(at) if at <= then && self.deadline() == Some(at))
            }
            _ => false,
        }
    }

    /// What the room shows now.
    #[must_use]
    pub fn snapshot(&self, now: Instant, rules: &Rules, focus: &FocusFacts) -> Snapshot {
        match &self.state {
            State::Outside(Outside { cause, retry_at }) => {
                let held_up = focus.held_up.as_ref().filter(|_| retry_at.is_none() && self.settings.focus);
                let cause = held_up.unwrap_or(cause);
                Snapshot {
                    state: match cause.word {
                        // A step of the way in, like the question to the focus.
                        Word::AwaitingSession => RoomState::Joining,
                        word if word.needs_person() => RoomState::Blocked,
                        _ => RoomState::Waiting,
                    },
                    cause: cause.clone(),
                    next: retry_at.map_or(Next::Turn, Next::Retry),
                }
            }
            State::Closed { cause, until } => Snapshot {
                state: RoomState::Waiting,
                cause: cause.clone(),
                next: until.map_or(Next::Nothing, Next::Retry),
            },
            State::Asking { give_up_at } => Snapshot {
                state: RoomState::Joining,
                cause: Cause::new(Word::AskingFocus, "the focus was asked to open the conference"),
                next: Next::Answer(*give_up_at),
            },
            State::Joining(joining) => Snapshot {
                state: RoomState::Joining,
                cause: Cause::new(Word::JoinSent, "the join is sent and not answered yet"),
                next: Next::Answer(joining.give_up_at),
            },
            State::Knocking(knocking) => {
                Snapshot { state: RoomState::Waiting, cause: knocking.shown(), next: Next::Retry(knocking.again_at) }
            }
            State::Inside(inside) => inside.snapshot(now, &self.settings, rules, focus),
            State::Leaving { .. } | State::Gone => Snapshot {
                state: RoomState::Released,
                cause: Cause::new(Word::Released, "nobody wants the room any more"),
                next: Next::Nothing,
            },
        }
    }

    /// Advances the room by one input.
    pub fn handle(&mut self, input: Input<'_>, cx: &mut Context<'_>) {
        let was_inside = matches!(self.state, State::Inside(_));
        self.advance(input, cx);
        match (was_inside, &self.state) {
            (false, State::Inside(_)) => {
                self.moderate(Happening::Entered, cx);
                self.watch_entered(cx);
                self.watch_made(cx);
            }
            (true, State::Inside(_)) | (false, _) => {}
            (true, state) => {
                let cause = match state {
                    State::Outside(outside) => outside.cause.clone(),
                    _ => Cause::new(Word::Released, "the room was left"),
                };
                let destroyed = cause.word == Word::Destroyed;
                self.moderate(Happening::Outside { destroyed, cause: &cause }, cx);
                self.watch_left(destroyed, cx);
            }
        }
        self.attend(cx);
    }

    fn advance(&mut self, input: Input<'_>, cx: &mut Context<'_>) {
        match input {
            Input::Go => self.go(cx),
            Input::Presence { nick, read } => self.presence(nick, read, cx),
            Input::Lobby { nick, read } if matches!(self.state, State::Inside(_)) => {
                self.moderate(Happening::Lobby { nick, read }, cx);
            }
            Input::Lobby { nick, read } => self.lobby_presence(nick, read, cx),
            Input::LobbyRefused(error) if matches!(self.state, State::Inside(_)) => {
                self.moderate(Happening::LobbyRefused(error), cx);
            }
            Input::LobbyRefused(error) => self.lobby_refused(error, cx),
            Input::Invited => self.invited(cx),
            Input::Act(request) => self.act(request, cx),
            Input::Message { nick, said } => {
                let said = &*self.dated(said, cx.now);
                self.watch_message(nick, said, cx);
                self.moderate(Happening::Message { nick, said }, cx);
            }
            Input::Unreadable { nick } if self.ousts(nick) => {}
            Input::Unreadable { nick } => self.judge(policy::Input::Unreadable { nick }, cx),
            Input::Bans => self.other_bans(),
            Input::Recall(state) => self.recall(*state, cx),
            Input::Behind(present) => self.left_behind(cx.now, present),
            Input::Waiting => self.say_who_waits(cx),
            Input::Open => {
                if let State::Closed { .. } = self.state {
                    self.in_turn(Cause::new(Word::Starting, "it is wanted again and waits for its turn"), cx);
                }
            }
            Input::Stepped { number, answer } => self.moderate(Happening::Stepped { number, answer }, cx),
            Input::Form(form) => {
                self.moderate(Happening::Form(form), cx);
                if let Ok(form) = form {
                    self.shown_outside(form, cx);
                }
            }
            Input::Info(info) => self.moderate(Happening::Info(info), cx),
            Input::Push(push) => self.moderate(Happening::Push(push), cx),
            Input::Components => self.moderate(Happening::Components, cx),
            Input::Refused(error) => self.refused(error, cx),
            Input::Conference(answer) => self.conference(answer, cx),
            Input::AskAgain => match &mut self.state {
                State::Asking { .. } => {
                    self.in_turn(Cause::new(Word::AwaitingSession, "the focus is asked again as our account"), cx);
                }
                State::Inside(inside) => inside.ask_now(cx),
                _ => {}
            },
            Input::Known => {
                if let State::Inside(inside) = &mut self.state
                    && matches!(inside.ask, Ask::Due(_))
                {
                    inside.ask_now(cx);
                }
            }
            Input::FocusSilent { alone } => self.focus_silent(alone, cx),
            Input::NoSuchService(cause) => match &self.state {
                State::Asking { .. } => self.outside(cause.clone(), Retry::Slow, cx),
                State::Joining(_) => {
                    self.maybe_as = None;
                    self.outside(cause.clone(), Retry::Slow, cx);
                }
                // We are in a room that cannot be: the server said wrong, and the focus is silent for this room.
                _ => self.focus_silent(false, cx),
            },
            Input::Pinged(answer) => self.pinged(&answer, cx),
            Input::Configured(result) => {
                if let State::Inside(inside) = &mut self.state
                    && inside.form == Form::Sent
                {
                    inside.form = match result {
                        Ok(()) => Form::NotNeeded,
                        Err(error) => {
                            let wait = inside.ask_ladder.next(FIRST, SLOW, cx.rng);
                            Form::Failed { why: error.describe().into(), retry_at: cx.now + wait }
                        }
                    };
                }
            }
            Input::Online { resumed } => self.online(resumed, cx),
            Input::Offline { cause, resumable } => self.offline(cause, resumable, cx),
            Input::Settings(settings) => self.change(settings, cx),
            Input::Release => self.release(cx),
            Input::Timeout => self.timeout(cx),
        }
    }

    fn go(&mut self, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Outside(Outside { retry_at: None, .. }) => {
                if self.closed_by_hours(cx) {
                    return;
                }
                if self.settings.focus {
                    self.state = State::Asking { give_up_at: cx.now + crate::jitsi::CONFERENCE_TIMEOUT };
                    cx.effects.push(Effect::AskFocus);
                } else {
                    self.join(cx);
                }
            }
            State::Inside(inside) if inside.ask == Ask::Queued => {
                inside.ask = Ask::Sent(cx.now + crate::jitsi::CONFERENCE_TIMEOUT);
                cx.effects.push(Effect::AskFocus);
            }
            _ => {}
        }
    }

    fn join(&mut self, cx: &mut Context<'_>) {
        let nick: Box<str> = match self.nick_try {
            0 => (*self.settings.nick).into(),
            tries => format!("{}_{}", self.settings.nick, tries + 1).into(),
        };
        cx.effects.push(Effect::Join { nick: nick.clone() });
        self.maybe_as = Some(nick.clone());
        self.state = State::Joining(Box::new(Joining {
            give_up_at: cx.now + JOIN_TIMEOUT,
            nick,
            said: self.settings.clone(),
            occupants: Occupants::default(),
        }));
    }

    fn presence(&mut self, nick: &str, read: &RoomPresence, cx: &mut Context<'_>) {
        // An unknown type is no leave (RFC 6121 §4.7.1): whoever has a role in the item is inside.
        let available = match read.type_.as_deref() {
            None => true,
            Some("unavailable") => false,
            Some("error") => return,
            Some(_) => match &read.role {
                Some(role) => *role != Role::None,
                None => return,
            },
        };
        if nick == "focus" && self.settings.focus {
            self.show_recordings(read);
        }
        match &mut self.state {
            State::Joining(joining) => {
                let own = read.has(Status::SELF) || nick == &*joining.nick;
                if available {
                    joining.occupants.enter(cx.now, nick, read);
                    if own {
                        self.entered(nick, read, cx);
                    }
                } else if own && !read.has(Status::RENAMED) {
                    self.thrown_out(read, cx);
                } else {
                    joining.occupants.leave(nick, renamed(read));
                }
            }
            State::Inside(inside) => {
                let own = read.has(Status::SELF) || nick == &*inside.nick;
                // Every room makes us moderator once, and the focus, and nobody asks why.
                if !own && nick != "focus" && inside.occupants.by_nick(nick).is_some() {
                    let memory = self.memory.get_or_insert_default();
                    memory.presence(cx.now, nick, read, available, &inside.occupants);
                }
                let sight = if available {
                    let change = inside.occupants.enter(cx.now, nick, read);
                    if own {
                        inside.nick = nick.into();
                        inside.confirmed = inside.confirmed.max(cx.now);
                    }
                    watch::Sight::Here(change)
                } else if own && !read.has(Status::RENAMED) {
                    self.thrown_out(read, cx);
                    return;
                } else {
                    let gone = inside.occupants.leave(nick, renamed(read));
                    if let (true, Some(new)) = (own, renamed(read)) {
                        inside.nick = new.into();
                    }
                    watch::Sight::Away(gone)
                };
                let (settings, kicks) = (self.settings.clone(), &mut self.kicks);
                if let State::Inside(inside) = &mut self.state {
                    inside.judge(&settings, cx);
                    if inside.moderator && inside.entered + Duration::from_secs(600) < cx.now {
                        kicks.reset();
                    }
                }
                self.watch_presence(nick, read, sight, cx);
                self.moderate(Happening::Presence { nick, read, left: !available }, cx);
            }
            State::Leaving { .. } if !available && (read.has(Status::SELF) || nick == &*self.settings.nick) => {
                self.gone(cx);
            }
            _ => {}
        }
    }

    /// Our own presence ended the join. Source: XEP-0045 §7.2.2 "Presence Broadcast".
    fn entered(&mut self, nick: &str, read: &RoomPresence, cx: &mut Context<'_>) {
        let State::Joining(joining) = &mut self.state else { return };
        let (occupants, said) = (std::mem::take(&mut joining.occupants), joining.said.clone());
        self.soon = 0;
        self.maybe_as = None;
        let form = if !self.settings.focus && read.has(Status::CREATED) {
            cx.effects.push(Effect::Configure);
            Form::Sent
        } else {
            Form::NotNeeded
        };
        // Spread over a whole interval, so that a thousand rooms joined at once do not ping at once.
        let first_ping = cx.now + cx.rules.self_ping.mul_f64(0.1 + 0.9 * cx.rng.f64());
        let mut inside = Box::new(Inside {
            occupants,
            nick: nick.into(),
            said,
            moderator: false,
            entered: cx.now,
            confirmed: cx.now,
            ping: Ping::Due(first_ping),
            ask: Ask::Idle,
            ask_ladder: Ladder::default(),
            form,
            refusal: None,
            lost: None,
            resumed: None,
            history_over: false,
            came: cx.clock,
            created: read.has(Status::CREATED),
            life: None,
            unheard: Unheard::default(),
            untold: Vec::new(),
            checked: false,
            door_seen: false,
        });
        inside.judge(&self.settings, cx);
        inside.introduce(&self.settings, cx);
        self.state = State::Inside(inside);
    }

    /// Takes a `<delay/>` for what it is: only what the room says between our own presence and its subject is history,
    /// and after that, what a resumed stream says again. Anybody else's is their own word.
    ///
    /// Source: XEP-0045 §7.1 "Order of Events", §7.2.15 "Discussion History".
    fn dated<'a>(&mut self, said: &'a Said, now: Instant) -> Cow<'a, Said> {
        let State::Inside(inside) = &mut self.state else { return Cow::Borrowed(said) };
        let over = inside.history_over;
        inside.history_over |= said.subject.is_some();
        if !over || said.age != Age::History {
            return Cow::Borrowed(said);
        }
        let again = inside.resumed.is_some_and(|at| now < at + SAID_AGAIN);
        Cow::Owned(Said { age: if again { Age::Belated } else { Age::Live }, ..said.clone() })
    }

    fn thrown_out(&mut self, read: &RoomPresence, cx: &mut Context<'_>) {
        if let State::Inside(inside) = &self.state
            && inside.entered + Duration::from_secs(60) <= cx.now
        {
            self.ladder.reset();
        }
        self.maybe_as = None;
        let (cause, retry) = join::removed(read, &self.settings.jid);
        self.outside(cause, retry, cx);
    }

    fn refused(&mut self, error: &StanzaError, cx: &mut Context<'_>) {
        // Refused once inside, a change of nick or name leaves what the room had.
        let State::Joining(joining) = &self.state else { return };
        self.maybe_as = None;
        let (cause, retry) = join::refused(error, &self.settings.jid, &joining.nick);
        let seen = self.password() != self.settings.password.as_ref();
        if cause.word == Word::WrongPassword && seen {
            // The written one may be right again.
            self.forget_password();
            return self.outside(cause, Retry::Soon, cx);
        }
        let State::Joining(joining) = &self.state else { return };
        if joining.said == self.settings {
            if !self.knock(error, &cause, cx) {
                if cause.word == Word::WrongPassword && self.settings.focus {
                    cx.effects.push(Effect::LockForm);
                }
                self.outside(cause, retry, cx);
            }
        } else {
            // What was refused is no longer what is wanted.
            self.in_turn(cause, cx);
        }
    }

    /// Goes outside for `cause`, and plans the next try.
    fn outside(&mut self, cause: Cause, retry: Retry, cx: &mut Context<'_>) {
        if retry != Retry::OtherNick {
            self.nick_try = 0;
        }
        let wait = match retry {
            Retry::OtherNick if self.nick_try < NICK_TRIES => {
                self.nick_try += 1;
                None
            }
            Retry::OtherNick => {
                self.nick_try = 0;
                Some(self.ladder.next(FIRST, SLOW, cx.rng))
            }
            Retry::Soon if self.soon < SOON_TRIES => {
                self.soon += 1;
                Some(jitter(Duration::from_millis(500), cx.rng))
            }
            Retry::Soon | Retry::Ladder => Some(self.ladder.next(FIRST, SLOW, cx.rng)),
            Retry::AfterKick => Some(self.kicks.next(cx.rules.after_kick, SLOW.max(cx.rules.after_kick), cx.rng)),
            Retry::Slow => Some(jitter(SLOW, cx.rng)),
        };
        let retry_at = wait.map(|wait| cx.now + wait);
        if retry_at.is_none() {
            cx.effects.push(Effect::Enqueue);
        }
        self.pass_to(State::Outside(Outside { cause, retry_at }));
    }

    /// Like [`Room::in_turn`] the first time since we were last inside; then with longer and longer waits, so that
    /// nobody who sends us round in a circle decides how often we come.
    fn in_turn_once(&mut self, cause: Cause, cx: &mut Context<'_>) {
        if self.soon == 0 {
            self.soon = 1;
            self.in_turn(cause, cx);
        } else {
            self.outside(cause, Retry::Soon, cx);
        }
    }

    /// Goes outside for `cause` and wants a place as soon as there is one.
    fn in_turn(&mut self, cause: Cause, cx: &mut Context<'_>) {
        self.nick_try = 0;
        cx.effects.push(Effect::Enqueue);
        self.pass_to(State::Outside(Outside { cause, retry_at: None }));
    }

    fn conference(&mut self, answer: &Answer, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Asking { .. } => match answer {
                Answer::Ready(_) => self.join(cx),
                _ => self.not_ready(answer, cx),
            },
            State::Inside(inside) => {
                inside.asked(answer, &self.settings, cx);
            }
            _ => {}
        }
    }

    /// The focus did not open the conference.
    fn not_ready(&mut self, answer: &Answer, cx: &mut Context<'_>) {
        let room = self.settings.jid.clone();
        let cause = focus_cause(answer, &room);
        match answer {
            Answer::Ready(_) => {}
            // The session dropped its session-id; asking again at once cures it, unless it happens again and again.
            Answer::SessionInvalid => self.outside(cause, Retry::Soon, cx),
            Answer::NotReady(granted) if granted.visitor => self.outside(cause, Retry::Slow, cx),
            Answer::NotReady(_) | Answer::Refused(_) => self.outside(cause, Retry::Ladder, cx),
            Answer::NotAuthorized(_) | Answer::Reservation(_) => self.outside(cause, Retry::Slow, cx),
            Answer::Absent(_) => self.in_turn(cause, cx),
        }
    }

    fn focus_silent(&mut self, alone: bool, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Asking { .. } if alone => {
                let cause =
                    Cause::new(Word::FocusAbsent, "the focus does not answer: is Jicofo running and connected?");
                self.in_turn(cause, cx);
            }
            State::Asking { .. } => {
                let room = &self.settings.jid;
                let cause = Cause::new(
                    Word::FocusSilent,
                    format!(
                        "the focus answers others but not for {room}: it could not open that room; \
                         check that {} is the deployment's MUC domain",
                        crate::xmpp::jid::domain(room)
                    ),
                );
                self.outside(cause, Retry::Ladder, cx);
            }
            State::Inside(inside) => {
                if alone {
                    inside.ask = Ask::Queued;
                    cx.effects.push(Effect::Enqueue);
                } else {
                    inside.ask_later(FIRST, cx);
                }
            }
            _ => {}
        }
    }

    fn pinged(&mut self, answer: &ping::Presence, cx: &mut Context<'_>) {
        let State::Inside(inside) = &mut self.state else { return };
        // An answer from before we were thrown out and came back says nothing about now.
        let Ping::Sent(_) = inside.ping else { return };
        match answer {
            ping::Presence::Inside => {
                inside.confirmed = cx.now;
                inside.ping = Ping::Due(cx.now + jitter(cx.rules.self_ping, cx.rng));
                if inside.entered + Duration::from_secs(60) <= cx.now {
                    self.ladder.reset();
                }
            }
            ping::Presence::Unknown => {
                inside.ping = Ping::Due(cx.now + jitter(Duration::from_secs(30), cx.rng));
            }
            ping::Presence::Outside => {
                let cause = Cause::new(
                    Word::NotInRoom,
                    format!("a self-ping says that we are no longer in {}; we join again", self.settings.jid),
                );
                self.outside(cause, Retry::Ladder, cx);
            }
        }
    }

    fn online(&mut self, resumed: bool, cx: &mut Context<'_>) {
        if !resumed {
            self.maybe_as = None;
        }
        match &mut self.state {
            State::Inside(inside) if resumed => {
                inside.lost = None;
                inside.resumed = Some(cx.now);
                // Questions on their way when the stream was lost are asked again, and places in the queue are lost.
                match inside.ask {
                    Ask::Sent(_) => inside.ask = Ask::Due(cx.now),
                    Ask::Queued => cx.effects.push(Effect::Enqueue),
                    Ask::Idle | Ask::Due(_) => {}
                }
                if let Ping::Sent(_) = inside.ping {
                    inside.ping = Ping::Due(cx.now + jitter(Duration::from_secs(10), cx.rng));
                }
                if inside.form == Form::Sent {
                    cx.effects.push(Effect::Configure);
                }
                inside.judge(&self.settings, cx);
                inside.introduce(&self.settings, cx);
                self.moderate(Happening::Resumed, cx);
                // Whoever was to be let in while the stream was lost may wait still.
                self.say_who_waits(cx);
            }
            State::Inside(_) => {
                let cause =
                    Cause::new(Word::Disconnected, "the session could not be resumed; the room is joined again");
                self.in_turn(cause, cx);
            }
            State::Outside(Outside { retry_at: None, .. }) => cx.effects.push(Effect::Enqueue),
            State::Knocking(_) if resumed => self.knock_resumed(),
            State::Knocking(_) => {
                let cause =
                    Cause::new(Word::Disconnected, "the session could not be resumed; the room is joined again");
                self.knock_offline(&cause, false, cx);
            }
            State::Leaving { .. } => self.gone(cx),
            _ => {}
        }
    }

    fn offline(&mut self, cause: &Cause, resumable: bool, cx: &mut Context<'_>) {
        if !resumable {
            self.maybe_as = None;
        }
        match &mut self.state {
            State::Knocking(_) => self.knock_offline(cause, resumable, cx),
            State::Inside(inside) if resumable => {
                inside.lost = Some(cause.clone());
                self.moderate(Happening::Interrupted(cause), cx);
                self.watch_interrupted(cx);
            }
            State::Leaving { .. } => self.gone(cx),
            State::Gone | State::Closed { .. } => {}
            // Who waits for a reason of the room's own goes on waiting for that.
            State::Outside(Outside { retry_at: Some(_), .. }) => {}
            _ => self.in_turn(cause.clone(), cx),
        }
    }

    fn change(&mut self, settings: Arc<Settings>, cx: &mut Context<'_>) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before.moderated != self.settings.moderated {
            self.moderate(Happening::Settings, cx);
        }
        if before.plans != self.settings.plans {
            self.replan(cx);
        }
        let new = &self.settings;
        match &mut self.state {
            State::Inside(inside) if inside.lost.is_none() => inside.introduce(new, cx),
            State::Knocking(_) if *before != **new => {
                self.leave_lobby(cx);
                self.in_turn(Cause::new(Word::Lobby, "its settings changed; the room itself is tried again"), cx);
            }
            // What kept us out may be what was just changed.
            State::Outside(Outside { retry_at: at @ Some(_), .. }) if *before != **new => {
                *at = None;
                cx.effects.push(Effect::Enqueue);
            }
            _ => {}
        }
    }

    fn release(&mut self, cx: &mut Context<'_>) {
        let give_up_at = cx.now + Duration::from_secs(5);
        match &self.state {
            State::Inside(inside) => {
                cx.effects.push(Effect::Leave { nick: inside.nick.clone() });
                // Nobody confirms while the stream is lost; the session says it when it is back.
                if inside.lost.is_some() {
                    return self.gone(cx);
                }
                self.state = State::Leaving { give_up_at };
            }
            State::Joining(joining) => {
                cx.effects.push(Effect::Leave { nick: joining.nick.clone() });
                self.state = State::Leaving { give_up_at };
            }
            State::Leaving { .. } => {}
            State::Knocking(_) => {
                self.leave_lobby(cx);
                self.gone(cx);
            }
            State::Outside(_) | State::Asking { .. } | State::Closed { .. } | State::Gone => {
                if let Some(nick) = self.maybe_as.take() {
                    cx.effects.push(Effect::Leave { nick });
                }
                self.gone(cx);
            }
        }
    }

    fn gone(&mut self, cx: &mut Context<'_>) {
        self.state = State::Gone;
        cx.effects.push(Effect::Gone);
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        match &mut self.state {
            State::Outside(outside) if outside.retry_at.is_some_and(|at| at <= now) => {
                outside.retry_at = None;
                cx.effects.push(Effect::Enqueue);
            }
            State::Joining(joining) if joining.give_up_at <= now => {
                let cause = Cause::new(
                    Word::NoAnswer,
                    format!(
                        "the room {} did not answer the join within {} s; on Jitsi it waits for the focus",
                        self.settings.jid,
                        JOIN_TIMEOUT.as_secs()
                    ),
                );
                self.outside(cause, Retry::Ladder, cx);
            }
            State::Knocking(knocking) if knocking.again_at <= now => self.unheard(cx),
            State::Leaving { give_up_at } if *give_up_at <= now => self.gone(cx),
            State::Inside(inside) if inside.lost.is_none() => {
                if let Ask::Due(at) = inside.ask
                    && at <= now
                {
                    inside.ask = Ask::Queued;
                    cx.effects.push(Effect::Enqueue);
                }
                if let Form::Failed { retry_at, .. } = inside.form
                    && retry_at <= now
                {
                    inside.form = Form::Sent;
                    cx.effects.push(Effect::Configure);
                }
                if let Ping::Due(at) = inside.ping
                    && at <= now + PING_SLACK
                {
                    inside.ping = Ping::Sent(now);
                    cx.effects.push(Effect::SelfPing { nick: inside.nick.clone() });
                }
                self.moderate(Happening::Timeout, cx);
                self.watch_timeout(cx);
            }
            State::Closed { until: Some(until), .. } if *until <= now => {
                self.in_turn(Cause::new(Word::Starting, "it opens again and waits for its turn"), cx);
            }
            _ => {}
        }
    }
}

fn renamed(read: &RoomPresence) -> Option<&str> {
    if read.has(Status::RENAMED) { read.new_nick.as_deref() } else { None }
}

#[cfg(test)]
mod tests;
