//! What happened: one typed [`Event`], whose JSON is public API. Pure.
//!
//! ```json
//! {"id":3674521600000000,"time":"2026-03-01T10:00:00Z","service":"meet","room":"tavern","life":"…","kind":"occupant.left",
//!  "person":{"nick":"ada","real_jid":"ada@meet.example/web"},"how":"kicked","reason":"flood"}
//! ```
//!
//! Logs, the stored record, webhooks and the live feed are folds over it. Kinds and fields are added to, never renamed;
//! what is not known is left out. Times are RFC 3339, UTC, whole milliseconds. Adding a kind: a variant in [`What`], one
//! in [`Kind`] with its name, one sample in the test.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::{Actor, Verb};
use crate::cause::Cause;
use crate::command::RoomState;
use crate::pattern::Pattern;
use crate::xmpp::jid;

/// Names an event for ever: larger is later. The idempotency key of webhooks and the cursor of readers.
///
/// Milliseconds since 1970 in the upper bits and a count in the lower 11, so that it needs no store to be given and is
/// never given twice, and so that programs which read numbers as 64-bit floats read it exactly until the year 2109.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(u64);

impl EventId {
    const COUNT_BITS: u32 = 11;

    /// The id of an event that happened at `time`, when `self` was the last one given.
    ///
    /// A clock that is set back does not set ids back.
    #[must_use]
    pub fn next(self, time: Timestamp) -> EventId {
        let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
        EventId((milliseconds << Self::COUNT_BITS).max(self.0 + 1))
    }

    /// When it was given, at the earliest; to the millisecond.
    #[must_use]
    pub fn time(self) -> Timestamp {
        let milliseconds = i64::try_from(self.0 >> Self::COUNT_BITS).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
    }

    /// Right before this one: whoever goes on from there meets this one next.
    #[must_use]
    pub fn before(self) -> EventId {
        EventId(self.0.saturating_sub(1))
    }

    /// As it is stored and written.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl From<u64> for EventId {
    fn from(number: u64) -> Self {
        EventId(number)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name and place in the order.
    pub id: EventId,
    /// When; whole milliseconds.
    pub time: Timestamp,
    /// The service's name in the configuration.
    pub service: Box<str>,
    /// The room's name; none for what concerns a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Box<str>>,
    /// Changes each time the room was really gone: its meeting id, else the moment we saw it created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Box<str>>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// An event in a room, or of a session where there is no room. `time` is cut to whole milliseconds.
    #[must_use]
    pub fn new(
        id: EventId,
        time: Timestamp,
        service: &str,
        room: Option<&str>,
        life: Option<&str>,
        what: What,
    ) -> Self {
        let time = Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
        Event { id, time, service: service.into(), room: room.map(Into::into), life: life.map(Into::into), what }
    }
}

/// Somebody, or something, in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The nick: the last part of the occupant JID.
    pub nick: Box<str>,
    /// The name they chose to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Box<str>>,
    /// The real JID, where the room shows it; a guest's is new with each connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_jid: Option<Box<str>>,
    /// XEP-0421, where the room gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupant_id: Option<Box<str>>,
    /// As the room wrote it: `moderator`, `participant`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Box<str>>,
    /// As the room wrote it: `owner`, `member`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliation: Option<Box<str>>,
    /// Set for what is no person and is never counted as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl Person {
    /// Whether this is their nick, display name, bare JID or occupant id.
    #[must_use]
    pub fn is_called(&self, who: &str) -> bool {
        *self.nick == *who
            || self.display_name.as_deref() == Some(who)
            || self.account() == Some(who)
            || self.occupant_id.as_deref() == Some(who)
    }

    /// The bare real JID, where the room shows it.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.real_jid.as_deref().map(jid::bare)
    }
}

/// What is in a room and is no person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// Ourselves.
    Keeper,
    /// The conference focus.
    Focus,
    /// Records or streams.
    Recorder,
    /// Writes down what is said.
    Transcriber,
}

/// Why: the word and the sentence of a [`Cause`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The stable word.
    pub cause: Box<str>,
    /// One sentence.
    pub text: Box<str>,
}

impl From<&Cause> for Why {
    fn from(cause: &Cause) -> Self {
        Why { cause: cause.word.as_str().into(), text: cause.text.clone() }
    }
}

/// How somebody left a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// By themselves, or their connection ended.
    Left,
    /// Status 307.
    Kicked,
    /// Status 301.
    Banned,
    /// Statuses 321 and 322: members only, and they are none.
    NotMember,
    /// Status 333: the server lost them.
    Lost,
    /// The room was destroyed, or its service stopped (status 332).
    RoomGone,
    /// They were gone when we came back; of a lobby: we no longer see who waits there.
    Unseen,
}

/// What is recorded or streamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The recorder's id of this recording, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// As the focus wrote it: `file`, `stream`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Box<str>>,
    /// Who asked for it, or ended it: a nick or a JID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<str>>,
}

/// A setting and what was done about it. Passwords never stand here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name in the configuration: `subject`.
    pub setting: Box<str>,
    /// What it should be; left out for a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Box<str>>,
    /// What it was found to be; left out for a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Box<str>>,
    /// Who changed it, where the room says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
}

/// An action and who is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// The request's key: `undo` takes it.
    pub key: Box<str>,
    /// What is to be done, or was.
    pub action: Verb,
    /// Who asked.
    pub actor: Actor,
    /// Whom or what it is about; empty when it is the room itself.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub target: Box<str>,
    /// Whom it is about, where they are inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// Why, as the actor said it; may be empty.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
}

/// What happened, by kind. The names of the variants' fields are public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[allow(missing_docs)] // each variant is described at its namesake in [`Kind`]
pub enum What {
    #[serde(rename = "room.held")]
    RoomHeld,
    #[serde(rename = "room.joined")]
    RoomJoined(Why),
    #[serde(rename = "room.lost")]
    RoomLost(Why),
    #[serde(rename = "room.refused")]
    RoomRefused(Why),
    #[serde(rename = "room.suspended")]
    RoomSuspended(Why),
    #[serde(rename = "room.released")]
    RoomReleased(Why),
    #[serde(rename = "occupant.joined")]
    OccupantJoined {
        person: Person,
        /// They were inside when we came: when they came is not known.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        already_inside: bool,
    },
    #[serde(rename = "occupant.left")]
    OccupantLeft {
        person: Person,
        how: Departure,
        /// Who sent them out, where the room says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Box<str>>,
        /// The reason given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Box<str>>,
    },
    #[serde(rename = "occupant.renamed")]
    OccupantRenamed {
        /// Under the new name.
        person: Person,
        /// The nick before, if it changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_nick: Option<Box<str>>,
        /// The display name before, if it changed and there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_display_name: Option<Box<str>>,
    },
    #[serde(rename = "lobby.knocked")]
    LobbyKnocked {
        person: Person,
        /// A ban holds, so that they are sent away and nobody is asked about them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        banned: bool,
    },
    #[serde(rename = "lobby.left")]
    LobbyLeft {
        person: Person,
        how: Departure,
        /// Who sent them away, where the lobby says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Box<str>>,
        /// The reason given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Box<str>>,
    },
    #[serde(rename = "message.posted")]
    MessagePosted {
        person: Person,
        /// The id that the room gave it (XEP-0359).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stanza_id: Option<Box<str>>,
        /// To us alone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        private: bool,
        /// Length of the text.
        bytes: usize,
        /// The text, only where the room's configuration stores it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Box<str>>,
    },
    #[serde(rename = "recording.started")]
    RecordingStarted(Recording),
    #[serde(rename = "recording.stopped")]
    RecordingStopped(Recording),
    #[serde(rename = "settings.drifted")]
    SettingsDrifted(Setting),
    #[serde(rename = "settings.restored")]
    SettingsRestored(Setting),
    #[serde(rename = "action.requested")]
    ActionRequested(Deed),
    #[serde(rename = "action.taken")]
    ActionTaken(Deed),
    #[serde(rename = "action.refused")]
    ActionRefused {
        #[serde(flatten)]
        deed: Deed,
        #[serde(flatten)]
        why: Why,
    },
    #[serde(rename = "rule.matched")]
    RuleMatched {
        /// The rule's name: `flood`.
        rule: Box<str>,
        /// Whom, unless the rule is about the room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<Person>,
        /// Nothing was done: the rule is only being tried.
        dry_run: bool,
        /// What the rule wants: `warn`, `mute`, `kick`, `ban 1h`, …
        verdict: Box<str>,
        /// What the person is told.
        reason: Box<str>,
        /// What the admin is told beside that.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        note: Box<str>,
    },
    #[serde(rename = "session.ready")]
    SessionReady {
        /// The full JID.
        session: Box<str>,
    },
    #[serde(rename = "session.lost")]
    SessionLost {
        session: Box<str>,
        #[serde(flatten)]
        why: Why,
    },
    #[serde(rename = "session.resumed")]
    SessionResumed { session: Box<str> },
}

impl What {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            What::RoomHeld => Kind::RoomHeld,
            What::RoomJoined(_) => Kind::RoomJoined,
            What::RoomLost(_) => Kind::RoomLost,
            What::RoomRefused(_) => Kind::RoomRefused,
            What::RoomSuspended(_) => Kind::RoomSuspended,
            What::RoomReleased(_) => Kind::RoomReleased,
            What::OccupantJoined { .. } => Kind::OccupantJoined,
            What::OccupantLeft { .. } => Kind::OccupantLeft,
            What::OccupantRenamed { .. } => Kind::OccupantRenamed,
            What::LobbyKnocked { .. } => Kind::LobbyKnocked,
            What::LobbyLeft { .. } => Kind::LobbyLeft,
            What::MessagePosted { .. } => Kind::MessagePosted,
            What::RecordingStarted(_) => Kind::RecordingStarted,
            What::RecordingStopped(_) => Kind::RecordingStopped,
            What::SettingsDrifted(_) => Kind::SettingsDrifted,
            What::SettingsRestored(_) => Kind::SettingsRestored,
            What::ActionRequested(_) => Kind::ActionRequested,
            What::ActionTaken(_) => Kind::ActionTaken,
            What::ActionRefused { .. } => Kind::ActionRefused,
            What::RuleMatched { .. } => Kind::RuleMatched,
            What::SessionReady { .. } => Kind::SessionReady,
            What::SessionLost { .. } => Kind::SessionLost,
            What::SessionResumed { .. } => Kind::SessionResumed,
        }
    }

    /// What it changes about who is inside, ourselves and the focus not counted.
    #[must_use]
    pub fn stay(&self) -> Option<Stay<'_>> {
        let (stay, person) = match self {
            What::OccupantJoined { person, .. } => (Stay::Here { person, old_nick: None }, person),
            What::OccupantRenamed { person, old_nick, .. } => {
                (Stay::Here { person, old_nick: old_nick.as_deref() }, person)
            }
            What::OccupantLeft { person, .. } => (Stay::Gone(&person.nick), person),
            _ => return None,
        };
        (!matches!(person.machine, Some(Machine::Keeper | Machine::Focus))).then_some(stay)
    }

    /// Whom it is about, if anybody.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            What::OccupantJoined { person, .. }
            | What::OccupantLeft { person, .. }
            | What::OccupantRenamed { person, .. }
            | What::LobbyKnocked { person, .. }
            | What::LobbyLeft { person, .. }
            | What::MessagePosted { person, .. } => Some(person),
            What::ActionRequested(deed) | What::ActionTaken(deed) | What::ActionRefused { deed, .. } => {
                deed.person.as_ref()
            }
            What::RuleMatched { person, .. } => person.as_ref(),
            _ => None,
        }
    }
}

/// Whether somebody is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay<'a> {
    /// They are, as they are now.
    Here {
        /// Who.
        person: &'a Person,
        /// Their nick before, if that was another one.
        old_nick: Option<&'a str>,
    },
    /// Whoever had this nick is not.
    Gone(&'a str),
}

/// Who is inside a room, in which life of it: a fold over [`What::stay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The room's life.
    pub life: Box<str>,
    /// Everybody but ourselves and the focus, by nick.
    pub people: BTreeMap<Box<str>, Person>,
}

impl Present {
    /// Nobody, in this life of the room.
    #[must_use]
    pub fn new(life: &str) -> Self {
        Present { life: life.into(), people: BTreeMap::new() }
    }

    /// Takes in what happened in a life of the room; another life begins without anybody.
    pub fn note(&mut self, life: &str, stay: Stay<'_>) {
        match stay {
            // Of an earlier life nobody is known any more.
            Stay::Gone(_) if *self.life != *life => return,
            Stay::Here { .. } if *self.life != *life => *self = Present::new(life),
            _ => {}
        }
        match stay {
            Stay::Here { person, old_nick } => {
                if let Some(old) = old_nick {
                    self.people.remove(old);
                }
                self.people.insert(person.nick.clone(), person.clone());
            }
            Stay::Gone(nick) => drop(self.people.remove(nick)),
        }
    }
}

/// The kind of an event, in the past tense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// We are inside and moderator.
    RoomHeld,
    /// We are inside and do not hold the room (any more).
    RoomJoined,
    /// We were inside and are not.
    RoomLost,
    /// A try to get in failed.
    RoomRefused,
    /// A person said that the room is to be left for a while.
    RoomSuspended,
    /// Nobody wants the room any more, and it is left.
    RoomReleased,
    /// Somebody came in, or was found inside.
    OccupantJoined,
    /// Somebody went, or was sent.
    OccupantLeft,
    /// Somebody took another nick or display name.
    OccupantRenamed,
    /// Somebody waits in the lobby, or was found waiting there.
    LobbyKnocked,
    /// Somebody no longer waits in the lobby: let in, sent away, or gone.
    LobbyLeft,
    /// Something was written.
    MessagePosted,
    /// A recording or a stream began.
    RecordingStarted,
    /// A recording or a stream ended.
    RecordingStopped,
    /// A locked setting was found changed.
    SettingsDrifted,
    /// A locked setting is again what it should be.
    SettingsRestored,
    /// An action was asked for.
    ActionRequested,
    /// An action was seen to have happened.
    ActionTaken,
    /// An action was refused, or nothing came of it in time.
    ActionRefused,
    /// A rule had something to say.
    RuleMatched,
    /// A session is logged in.
    SessionReady,
    /// A session lost its connection.
    SessionLost,
    /// A session was resumed: nobody saw it gone.
    SessionResumed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 23] = [
        Kind::RoomHeld,
        Kind::RoomJoined,
        Kind::RoomLost,
        Kind::RoomRefused,
        Kind::RoomSuspended,
        Kind::RoomReleased,
        Kind::OccupantJoined,
        Kind::OccupantLeft,
        Kind::OccupantRenamed,
        Kind::LobbyKnocked,
        Kind::LobbyLeft,
        Kind::MessagePosted,
        Kind::RecordingStarted,
        Kind::RecordingStopped,
        Kind::SettingsDrifted,
        Kind::SettingsRestored,
        Kind::ActionRequested,
        Kind::ActionTaken,
        Kind::ActionRefused,
        Kind::RuleMatched,
        Kind::SessionReady,
        Kind::SessionLost,
        Kind::SessionResumed,
    ];

    /// The public name: `room.held`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::RoomHeld => "room.held",
            Kind::RoomJoined => "room.joined",
            Kind::RoomLost => "room.lost",
            Kind::RoomRefused => "room.refused",
            Kind::RoomSuspended => "room.suspended",
            Kind::RoomReleased => "room.released",
            Kind::OccupantJoined => "occupant.joined",
            Kind::OccupantLeft => "occupant.left",
            Kind::OccupantRenamed => "occupant.renamed",
            Kind::LobbyKnocked => "lobby.knocked",
            Kind::LobbyLeft => "lobby.left",
            Kind::MessagePosted => "message.posted",
            Kind::RecordingStarted => "recording.started",
            Kind::RecordingStopped => "recording.stopped",
            Kind::SettingsDrifted => "settings.drifted",
            Kind::SettingsRestored => "settings.restored",
            Kind::ActionRequested => "action.requested",
            Kind::ActionTaken => "action.taken",
            Kind::ActionRefused => "action.refused",
            Kind::RuleMatched => "rule.matched",
            Kind::SessionReady => "session.ready",
            Kind::SessionLost => "session.lost",
            Kind::SessionResumed => "session.resumed",
        }
    }

    /// Reads the public name.
    #[must_use]
    pub fn read(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kinds that fit one of these patterns, which have commas between: `room.*, session.lost`.
    ///
    /// # Errors
    /// The sentence for whoever wrote it: a pattern that fits no kind.
    pub fn matching(patterns: &str) -> Result<Vec<Kind>, String> {
        let mut kinds = Vec::new();
        for name in patterns.split(',').map(str::trim) {
            let pattern = Pattern::new(name);
            let before = kinds.len();
            kinds.extend(Kind::ALL.into_iter().filter(|kind| pattern.matches(kind.as_str())));
            if kinds.len() == before {
                return Err(format!("no event is of kind {name:?}"));
            }
        }
        Ok(kinds)
    }

    /// What a change of a room's state amounts to; nothing while it is only on its way.
    #[must_use]
    pub fn of(before: RoomState, after: RoomState) -> Option<Kind> {
        match after {
            RoomState::Held => Some(Kind::RoomHeld),
            RoomState::Joined => Some(Kind::RoomJoined),
            RoomState::Joining => None,
            RoomState::Waiting | RoomState::Blocked => {
                let inside = matches!(before, RoomState::Held | RoomState::Joined);
                Some(if inside { Kind::RoomLost } else { Kind::RoomRefused })
            }
            RoomState::Suspended => Some(Kind::RoomSuspended),
            RoomState::Released => Some(Kind::RoomReleased),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Box::<str>::deserialize(deserializer)?;
        Kind::read(&name).ok_or_else(|| serde::de::Error::custom(format!("{name:?} is no kind of event")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind, with everything that can be left out there.
    fn samples() -> Vec<What> {
        let text = |text: &str| Some(Box::<str>::from(text));
        let person = Person {
            nick: "ada".into(),
            display_name: text("Ada"),
            real_jid: text("ada@meet.example/web"),
            occupant_id: text("oid"),
            role: text("participant"),
            affiliation: text("none"),
            machine: Some(Machine::Transcriber),
        };
        let why = Why { cause: "kicked".into(), text: "somebody kicked us".into() };
        let recording = Recording { session: text("r1"), mode: text("file"), by: text("ada"), failure: text("busy") };
        let setting = Setting { setting: "subject".into(), wanted: text("a"), found: text("b"), by: text("eve") };
        let deed = Deed {
            key: "k1".into(),
            action: Verb::Kick,
            actor: Actor::Rule { name: "flood".into() },
            target: "ada".into(),
            person: Some(person.clone()),
            reason: "too fast".into(),
        };
        vec![
            What::RoomHeld,
            What::RoomJoined(why.clone()),
            What::RoomLost(why.clone()),
            What::RoomRefused(why.clone()),
            What::RoomSuspended(why.clone()),
            What::RoomReleased(why.clone()),
            What::OccupantJoined { person: person.clone(), already_inside: true },
            What::OccupantLeft {
                person: person.clone(),
                how: Departure::Kicked,
                by: text("us"),
                reason: text("flood"),
            },
            What::OccupantRenamed { person: person.clone(), old_nick: text("bob"), old_display_name: text("Bob") },
            What::LobbyKnocked { person: person.clone(), banned: true },
            What::LobbyLeft { person: person.clone(), how: Departure::Kicked, by: text("us"), reason: text("full") },
            What::MessagePosted {
                person: person.clone(),
                stanza_id: text("s1"),
                private: true,
                bytes: 5,
                body: text("hello"),
            },
            What::RecordingStarted(recording.clone()),
            What::RecordingStopped(recording),
            What::SettingsDrifted(setting.clone()),
            What::SettingsRestored(setting),
            What::ActionRequested(deed.clone()),
            What::ActionTaken(deed.clone()),
            What::ActionRefused { deed, why: why.clone() },
            What::RuleMatched {
                rule: "flood".into(),
                person: Some(person),
                dry_run: true,
                verdict: "kick".into(),
                reason: "too fast".into(),
                note: "20 in 2 s".into(),
            },
            What::SessionReady { session: "k@meet.example/1".into() },
            What::SessionLost { session: "k@meet.example/1".into(), why },
            What::SessionResumed { session: "k@meet.example/1".into() },
        ]
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn every_kind_has_one_name_in_json_and_in_text_and_comes_back_from_json() {
        let kinds: Vec<Kind> = samples().iter().map(What::kind).collect();
        assert_eq!(kinds, Kind::ALL);
        for what in samples() {
            let event = Event::new(EventId(7), at("2026-03-01T10:00:00.5Z"), "meet", Some("tavern"), Some("l1"), what);
            let json = serde_json::to_value(&event).expect("plain data");
            assert_eq!(json["kind"], event.what.kind().as_str());
            assert_eq!(serde_json::to_value(event.what.kind()).ok(), Some(json["kind"].clone()));
            assert_eq!(serde_json::from_value::<Event>(json.clone()).ok(), Some(event), "{json}");
        }
    }

    #[test]
    fn the_json_is_flat_and_leaves_out_what_is_not_known() {
        let what =
            What::OccupantJoined { person: Person { nick: "ada".into(), ..Person::default() }, already_inside: false };
        let event = Event::new(EventId(7), at("2026-03-01T10:00:00.1239Z"), "meet", Some("tavern"), None, what);
        let text = serde_json::to_string(&event).expect("plain data");
        let expected = r#"{"id":7,"time":"2026-03-01T10:00:00.123Z","service":"meet","room":"tavern","kind":"occupant.joined","person":{"nick":"ada"}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn ids_only_grow_also_when_the_clock_is_set_back() {
        let (early, late) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
        let first = EventId::default().next(late);
        let second = first.next(late);
        let third = second.next(early);
        assert!(first < second && second < third);
        assert!(third < third.next(at("2026-03-01T11:00:00.001Z")));
        let last_exact = at("2109-01-01T00:00:00Z");
        assert!(EventId::default().next(last_exact).number() < 1 << 53);
    }
}
