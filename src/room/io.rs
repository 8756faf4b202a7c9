//! What goes into a room and what comes out of it. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::moderation::{Moderated, Surroundings};
use super::pending::{Answer as Answered, Step};
use super::settings;
use crate::action::{Action, Actor, Progress, Request};
use crate::cause::Cause;
use crate::command::RoomState;
use crate::config::{RoomKey, Secret};
use crate::event::{Person, Present, What};
use crate::policy::bans::{Bans, Target};
use crate::policy::{self, Plans};
use crate::xmpp::jitsi::conference::Answer;
use crate::xmpp::jitsi::json_message::Push;
use crate::xmpp::message::Said;
use crate::xmpp::muc::RoomPresence;
use crate::xmpp::ping;
use crate::xmpp::room_form::RoomForm;
use crate::xmpp::room_info::RoomInfo;
use crate::xmpp::stanza::StanzaError;

/// What is wanted of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub key: RoomKey,
    /// Its JID.
    pub jid: Box<str>,
    /// Our nick.
    pub nick: Arc<str>,
    /// Our display name.
    pub display_name: Arc<str>,
    /// Its password.
    pub password: Option<Secret>,
    /// Whether a conference focus must be asked first.
    pub focus: bool,
    /// What is wanted beyond holding it, if anything is.
    pub moderated: Option<Arc<Moderated>>,
    /// The rules that hold in it, if any do.
    pub plans: Option<Arc<Plans>>,
}

/// What all rooms of a service go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Between two self-pings.
    pub self_ping: Duration,
    /// The first wait after a person's kick.
    pub after_kick: Duration,
}

/// What the session knows of the focus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FocusFacts {
    /// The focus's own account, where it told us.
    pub jid: Option<String>,
    /// Whether it authenticates; `None` while it has not said.
    pub authentication: Option<bool>,
    /// Whether we have a session-id.
    pub has_session: bool,
    /// Why nobody is asked for now, where a session-id must be fetched first.
    pub held_up: Option<Cause>,
}

/// What a room is handed with each input.
#[derive(Debug)]
pub struct Context<'a> {
    /// Monotonic time.
    pub now: Instant,
    /// The time of day at that moment.
    pub clock: Timestamp,
    /// Who is to be kept out.
    pub bans: &'a Bans,
    /// Randomness for jitter.
    pub rng: &'a mut fastrand::Rng,
    /// The service's rules.
    pub rules: &'a Rules,
    /// What is known of the focus.
    pub focus: &'a FocusFacts,
    /// What the session has to offer.
    pub around: Surroundings,
    /// Where effects go.
    pub effects: &'a mut Vec<Effect>,
}

/// What the room wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give us a place in the paced queue; [`Input::Go`] is the answer.
    Enqueue,
    /// Send the conference request; [`Input::Conference`] or [`Input::FocusSilent`] is the answer.
    AskFocus,
    /// Send the join under this nick.
    Join {
        /// The nick to ask for.
        nick: Box<str>,
    },
    /// Send our presence again under this nick: a change of nick or of display name.
    Update {
        /// The nick to ask for.
        nick: Box<str>,
    },
    /// Send the presence that leaves; while the stream is lost, as soon as it is resumed.
    Leave {
        /// The nick we have.
        nick: Box<str>,
    },
    /// Ask for the configuration form, submit it; [`Input::Configured`] is the answer.
    Configure,
    /// Ping ourselves through the room; [`Input::Pinged`] is the answer.
    SelfPing {
        /// The nick we have.
        nick: Box<str>,
    },
    /// Knock at this lobby, or enter it as moderator; what it says comes as [`Input::Lobby`] and [`Input::LobbyRefused`].
    Knock {
        /// The lobby's room JID.
        lobby: Box<str>,
        /// The nick to wait under.
        nick: Box<str>,
    },
    /// Leave the lobby, of which nothing more is to be heard.
    LeaveLobby {
        /// The lobby's room JID.
        lobby: Box<str>,
        /// The nick we waited under.
        nick: Box<str>,
    },
    /// The lobby has put us out; nothing more is to be heard of it.
    LobbyLeft {
        /// The lobby's room JID.
        lobby: Box<str>,
    },
    /// The room is left for good; drop it.
    Gone,
    /// Say a step of an action; [`Input::Stepped`] with that number is the answer.
    Step {
        /// Which action; that of an answer in chat is nobody's.
        number: u32,
        /// What.
        step: Step,
        /// Why, for those concerned.
        reason: Box<str>,
    },
    /// Ask for the configuration form for the locked settings, or for the password; [`Input::Form`] is the answer.
    LockForm,
    /// Ask the room what it is; [`Input::Info`] is the answer.
    AskInfo,
    /// Something odd that was coped with, for the log.
    Odd(Box<str>),
    /// An action that was done is taken back by another one.
    Undo {
        /// The key of the one.
        key: Box<str>,
        /// The other.
        action: Box<Action>,
    },
    /// An action came this far.
    Progress {
        /// Which.
        request: Box<Request>,
        /// How far.
        progress: Progress,
        /// Whether nothing more will come of it.
        over: bool,
    },
    /// Something is to be known about a locked setting.
    Setting(settings::Output),
    /// Somebody is to be banned.
    Ban(Box<BanWish>),
    /// Something happened in the room.
    Happened {
        /// In which life of the room.
        life: Box<str>,
        /// What.
        what: Box<What>,
    },
    /// Who waits in the room's lobby; answers [`Input::Waiting`], and is said where word of them may have been lost.
    Waiting(Vec<Person>),
    /// This is to outlive a restart; [`Input::Recall`] brings it back.
    Remember(Box<policy::State>),
}

/// A moderator, or a rule, wants an occupant banned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanWish {
    /// Their nick.
    pub nick: Box<str>,
    /// As whom people knew them; empty where it is nobody who can be banned.
    pub known_as: Box<str>,
    /// By what they are to be known again.
    pub targets: Vec<Target>,
    /// For how long; `None`: for good.
    pub period: Option<Duration>,
    /// Why, as they are told.
    pub reason: Box<str>,
    /// What only admins read.
    pub note: Box<str>,
    /// Who says so.
    pub actor: Actor,
}

/// What happens to a room.
#[derive(Debug)]
pub enum Input<'a> {
    /// The session has a place for us.
    Go,
    /// A presence from an occupant of the room. `read` is `None` when only its first tag could be read.
    Presence {
        /// The occupant's nick.
        nick: &'a str,
        /// The presence, as far as it could be read.
        read: &'a RoomPresence,
    },
    /// The same from the lobby that we knocked at, or are in as moderator.
    Lobby {
        /// The occupant's nick there.
        nick: &'a str,
        /// The presence, as far as it could be read.
        read: &'a RoomPresence,
    },
    /// The lobby does not take us.
    LobbyRefused(&'a StanzaError),
    /// The room itself invited us: a moderator let us in.
    Invited,
    /// The join was refused.
    Refused(&'a StanzaError),
    /// The focus answered.
    Conference(&'a Answer),
    /// The focus answered somebody it did not know; it is asked again as soon as questions may go out.
    AskAgain,
    /// We are somebody to the focus now: a room that has not made us moderator asks at once.
    Known,
    /// The focus did not answer in time; `alone` when it answers nobody else either.
    FocusSilent {
        /// Whether no other request was answered meanwhile.
        alone: bool,
    },
    /// The focus did not answer, or the join was refused, and the room's domain is no group chat service.
    NoSuchService(&'a Cause),
    /// The self-ping was answered, or timed out (`Unknown`).
    Pinged(ping::Presence),
    /// The configuration form was accepted (`Ok`) or not.
    Configured(Result<(), StanzaError>),
    /// A stream is ready; `resumed` when the room still knows us.
    Online {
        /// Whether the session was resumed.
        resumed: bool,
    },
    /// The stream is lost; `resumable` while the server may still keep us in the room.
    Offline {
        /// Why.
        cause: &'a Cause,
        /// Whether the session may yet be resumed.
        resumable: bool,
    },
    /// An action is asked for.
    Act(Request),
    /// A message came; from the room itself where there is no nick.
    Message {
        /// Who said it.
        nick: Option<&'a str>,
        /// What.
        said: &'a Said,
    },
    /// A step of an action was answered.
    Stepped {
        /// Which action.
        number: u32,
        /// What came of it.
        answer: Answered<'a>,
    },
    /// The form that the locked settings wanted came, or did not.
    Form(Result<&'a RoomForm, &'a StanzaError>),
    /// The room said what it is; nothing where it did not answer.
    Info(&'a RoomInfo),
    /// One of Jitsi's components said something about the room.
    Push(&'a Push),
    /// Which components there are is known now.
    Components,
    /// An occupant sent something that can not be read.
    Unreadable {
        /// Their nick.
        nick: &'a str,
    },
    /// The list of bans is another one.
    Bans,
    /// What rules remembered before a restart.
    Recall(Box<policy::State>),
    /// Who was inside by what was told before.
    Behind(&'a Present),
    /// Say who waits in the lobby; [`Effect::Waiting`] is the answer where somebody does.
    Waiting,
    /// Come in although the room is closed: a person says so.
    Open,
    /// Other settings are wanted.
    Settings(Arc<Settings>),
    /// Leave for good.
    Release,
    /// A deadline passed.
    Timeout,
}

/// What a room shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state's word.
    pub state: RoomState,
    /// Why.
    pub cause: Cause,
    /// What happens next.
    pub next: Next,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing is due.
    Nothing,
    /// It waits for an answer, at most until then.
    Answer(Instant),
    /// It tries again at that time.
    Retry(Instant),
    /// It goes on as soon as the session has a place, is connected, or the focus is back.
    Turn,
    /// It asks the focus again at that time.
    AskFocus(Instant),
    /// It pings itself at that time.
    SelfPing(Instant),
    /// It is opened at that time.
    Opens(Instant),
}
