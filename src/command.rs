//! What may be asked of the running daemon, and what it answers. Pure; the JSON is what the control socket carries.
//!
//! Here stand the commands and the replies; what they hold is beneath, sorted by what it is about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use asking::{AttendanceQuery, EventsQuery, FollowQuery};
pub use health::{Health, HealthRooms, HealthTarget, ServiceRow, StatusReply};
pub use order::{BanRow, OptionRow, RuleRow};
pub use room::{OccupantRow, RoomReply, RoomRow, RoomState, SourceRow, Trouble};
pub use token::{MintedReply, Player, Reservation, TokenExplanation};
pub use webhook::{WebhookRow, WebhookTrial, WebhookTrialRow};
pub use who::{Requester, Who};
pub use why::{AbilityRow, Explanation, HistoryRow, PowerRow, StepRow, WhoCanReply, WhyReply};

use crate::action::Action;
use crate::attendance::Attended;
use crate::authority::Verdict;
use crate::booking::Times;
use crate::config::Secret;

mod asking;
mod health;
mod order;
mod room;
mod token;
mod webhook;
mod who;
mod why;

/// A request on the control socket: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Whether all is well, in a few numbers; open to everybody who reaches us.
    Health,
    /// Counts, sessions and services.
    Status,
    /// All rooms, one row each.
    Rooms,
    /// One room with its occupants and its sources.
    Room {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// Why a room is in its state, and the last things that happened to it.
    WhyRoom {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// Hold a room: a new one, or one that was released or suspended.
    Hold {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Why, for the record.
        reason: Option<String>,
        /// For a time only, and under a title.
        #[serde(flatten)]
        times: Times,
    },
    /// Stop holding a room, also if the configuration wants it.
    Release {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Why, for the record.
        reason: Option<String>,
    },
    /// Leave a room for a while and keep its settings.
    Suspend {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Seconds after which the room is held again; for ever when absent.
        for_seconds: Option<u64>,
        /// Why, for the record.
        reason: Option<String>,
    },
    /// Do something in a room, and wait for what comes of it.
    Act {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// What.
        #[serde(flatten)]
        action: Action,
        /// Why: shown to those concerned, and kept.
        reason: Option<String>,
        /// Asking twice with one key does it once.
        key: Option<String>,
    },
    /// What can be done in a room now, and what not.
    Abilities {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// What happened.
    Events(EventsQuery),
    /// Who was in a room, when and for how long.
    Attendance(AttendanceQuery),
    /// Add events of another record, one JSON object a line, as `events export` writes them.
    ImportEvents {
        /// The lines.
        lines: String,
    },
    /// Keep somebody out.
    Ban {
        /// `NAME`, `SERVICE/NAME` or the room JID: where they are, and from where they are kept out unless more is said.
        room: String,
        /// Their nick or the only equal display name, else a bare JID, a domain, or a key as `name:somebody`.
        who: String,
        /// Seconds after which they may come back; never when absent.
        for_seconds: Option<u64>,
        /// What they are told.
        reason: Option<String>,
        /// What only admins read.
        note: Option<String>,
        /// From all rooms of all services.
        #[serde(default)]
        everywhere: bool,
        /// From the rooms of the service that fit this pattern.
        rooms: Option<String>,
    },
    /// Take bans back.
    Unban {
        /// A ban's number, or whom it matches as the list writes it: `account:ann@meet.jitsi`.
        who: String,
    },
    /// All bans, and who is exempt.
    Bans,
    /// Add bans, one JSON object a line.
    ImportBans {
        /// The lines.
        lines: String,
    },
    /// Never ban or judge an account, or do so again.
    Exempt {
        /// A bare JID, a pattern such as `*@staff.example`, or `token:USER`.
        who: String,
        /// Whether they are exempt.
        on: bool,
    },
    /// Why somebody is banned from a room, or is not.
    WhyBan {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// As for [`Command::Ban`].
        who: String,
    },
    /// Hear of events as they happen. What streams is answered by the surface that was asked, not by one reply.
    Follow(FollowQuery),
    /// Who could put us out of a room, and through what.
    WhoCan {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// Why newcomers of a room have to wait.
    WhyLobby {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// Why somebody is moderator of a room, or is not.
    WhyModerator {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Their nick, display name or JID.
        who: String,
    },
    /// Why somebody is no longer in a room.
    WhyRemoved {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Their nick, display name or JID.
        who: String,
    },
    /// Take back an action.
    Undo {
        /// Its id.
        id: String,
        /// Why, for the record.
        reason: Option<String>,
    },
    /// Get a room back in hand: everybody but a list is demoted, password and lobby come on, a list is thrown out.
    Recover {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
        /// Who stays moderator: nicks, display names or JIDs.
        keep: Vec<String>,
        /// Who is thrown out: nicks or display names.
        out: Vec<String>,
        /// The password that is set; one is made up where there is none, unless the configuration has one.
        #[serde(default, with = "crate::action::exposed")]
        password: Option<Secret>,
        /// Why: shown to those concerned, and kept.
        reason: Option<String>,
    },
    /// Say the password of a room, as far as we know it.
    Password {
        /// `NAME`, `SERVICE/NAME` or the room JID.
        room: String,
    },
    /// Make a token with which a player gets into one room.
    Mint {
        /// `NAME`, `SERVICE/NAME` or the room JID; it need not be held.
        room: String,
        /// For whom.
        player: Player,
        /// Whether it says that they are a moderator.
        #[serde(default)]
        moderator: bool,
        /// Seconds for which it is good; five minutes when left out, at most what the service's `token_life` allows
        /// a player, eight hours.
        for_seconds: Option<u64>,
        /// Make it although the deployment may make its bearer an owner of the room.
        #[serde(default)]
        accept_owner: bool,
    },
    /// Whether a room may be opened now, as Jitsi's reservations ask.
    Reserve {
        /// `SERVICE/NAME`.
        room: String,
        /// When the meeting begins, as the server says.
        start: Timestamp,
        /// The bare JID of whoever opens it.
        owner: String,
    },
    /// What [`Command::Reserve`] answered.
    Reservation {
        /// The service's name.
        service: String,
        /// The reservation's id.
        id: String,
    },
    /// The meeting of a reservation has ended.
    EndReservation {
        /// The service's name.
        service: String,
        /// The reservation's id.
        id: String,
    },
    /// What a token claims, and what comes of it.
    ExplainToken {
        /// The token itself.
        #[serde(with = "token::bare_token")]
        token: Secret,
    },
    /// What an authority says to a question of ours.
    Answer {
        /// Which authority; left out where whoever answers speaks for one alone.
        authority: Option<String>,
        /// The question's number.
        ask: u64,
        /// What.
        verdict: Verdict,
        /// What those concerned are told.
        reason: Option<String>,
        /// Seconds for which it holds; as the configuration says when left out.
        for_seconds: Option<u32>,
    },
    /// All rooms that an authority wants; its list before counts no more.
    Desire {
        /// Which authority; left out where whoever asks speaks for one alone.
        authority: Option<String>,
        /// Counts its lists: an older one than the last is refused, the same one again does nothing.
        revision: u64,
        /// The rooms' names.
        rooms: Vec<String>,
        /// Said with an empty list, which releases all of its rooms.
        #[serde(default)]
        really_empty: bool,
    },
    /// Which rules of order there are.
    Rules,
    /// How it is with the receivers of webhooks.
    Webhooks,
    /// Try a receiver with a signed sample of each kind.
    WebhookTest {
        /// Its name in the configuration.
        target: String,
    },
    /// Send events again: what happened since then, dead letters, or else those of rooms that are parked.
    WebhookReplay {
        /// Its name in the configuration.
        target: String,
        /// Of this room only: `NAME`, `SERVICE/NAME` or the room JID.
        room: Option<String>,
        /// What happened since then, RFC 3339.
        since: Option<Timestamp>,
        /// What it would not take.
        #[serde(default)]
        dead: bool,
    },
    /// Give up on events that wait.
    WebhookSkip {
        /// Its name in the configuration.
        target: String,
        /// Of this room only: `NAME`, `SERVICE/NAME` or the room JID.
        room: Option<String>,
    },
    /// Read the configuration again.
    Reload {
        /// Only say what would change.
        plan: bool,
    },
}

impl Command {
    /// The command as the record may keep it: without passwords and without what was said.
    #[must_use]
    pub fn record(&self) -> String {
        match self {
            Command::Act { room, action, reason, .. } => {
                let mut record = format!("{} {room}", action.verb());
                for more in [Some(action.target()), reason.as_deref()].into_iter().flatten() {
                    if !more.is_empty() {
                        record = format!("{record} {more:?}");
                    }
                }
                record
            }
            Command::Recover { room, keep, out, reason, .. } => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("recover {room} keep {keep:?} out {out:?} {reason:?}")
            }
            Command::Mint { room, player, moderator, for_seconds, .. } => {
                let seconds = for_seconds.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
                let rank = if *moderator { " as moderator" } else { "" };
                format!("mint {room} {:?}{rank}{seconds}", player.name)
            }
            Command::Desire { revision, rooms, .. } => format!("desire revision {revision}, {} rooms", rooms.len()),
            Command::ExplainToken { .. } => "explain a token".to_owned(),
            Command::ImportBans { lines } => format!("import {} lines of bans", lines.lines().count()),
            Command::ImportEvents { lines } => format!("import {} lines of events", lines.lines().count()),
            command => serde_json::to_string(command).unwrap_or_default(),
        }
    }
}

/// The daemon's answer: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Command::Health`].
    Health(Health),
    /// To [`Command::Status`].
    Status(Box<StatusReply>),
    /// To [`Command::Rooms`].
    Rooms {
        /// One row each, by service and name.
        rooms: Vec<RoomRow>,
    },
    /// To [`Command::Room`].
    Room(Box<RoomReply>),
    /// To [`Command::WhyRoom`].
    Why(Box<WhyReply>),
    /// To [`Command::Hold`], [`Command::Release`] and [`Command::Suspend`].
    Done {
        /// What was done, in one sentence.
        text: String,
        /// The room afterwards.
        room: RoomRow,
    },
    /// To [`Command::Act`]: it was done, as far as the room lets us see.
    Acted {
        /// The room: `service/name`.
        room: String,
        /// The request's key.
        key: String,
        /// `sent`, `answered` or `seen`.
        progress: String,
        /// What was done, in one sentence.
        text: String,
        /// Whether [`Command::Undo`] with that key takes it back.
        #[serde(default)]
        undoable: bool,
    },
    /// To [`Command::WhoCan`].
    WhoCan(Box<WhoCanReply>),
    /// To [`Command::WhyLobby`], [`Command::WhyModerator`] and [`Command::WhyRemoved`].
    Explained(Box<Explanation>),
    /// To [`Command::Recover`].
    Recovered {
        /// The room: `service/name`.
        room: String,
        /// What was done, and what was not, one by one.
        steps: Vec<StepRow>,
        /// The password that was made up for the room.
        #[serde(default, with = "crate::action::exposed", skip_serializing_if = "Option::is_none")]
        password: Option<Secret>,
    },
    /// To [`Command::Password`].
    Password {
        /// The room: `service/name`.
        room: String,
        /// The password; `None`: it has none that we know of.
        #[serde(default, with = "crate::action::exposed")]
        password: Option<Secret>,
        /// Where we know it from, in one sentence.
        text: String,
    },
    /// To [`Command::Abilities`].
    Abilities {
        /// One row for each verb.
        abilities: Vec<AbilityRow>,
    },
    /// To [`Command::Events`].
    Events(EventsReply),
    /// To [`Command::Attendance`].
    Attendance {
        /// The room: `service/name`.
        room: String,
        /// Everybody's time, by when they came; no more than the last 10,000.
        attended: Vec<Attended>,
    },
    /// To [`Command::ImportEvents`].
    Imported {
        /// How many are new here.
        new: usize,
        /// How many were here already.
        known: usize,
    },
    /// To [`Command::Follow`], again and again.
    Event {
        /// As it is public.
        event: serde_json::Value,
    },
    /// To [`Command::Follow`]: what happened before the next event could not be read.
    Gap {
        /// One sentence.
        text: String,
    },
    /// To [`Command::Ban`], [`Command::Unban`], [`Command::ImportBans`] and [`Command::Exempt`].
    Banned {
        /// What was done, in one sentence.
        text: String,
        /// The bans that it is about.
        bans: Vec<BanRow>,
    },
    /// To [`Command::Bans`].
    Bans {
        /// One row each, by number.
        bans: Vec<BanRow>,
        /// Who is exempt by command.
        exempt: Vec<String>,
    },
    /// To [`Command::WhyBan`].
    WhyBan {
        /// One sentence.
        text: String,
        /// The ban, if there is one.
        ban: Option<BanRow>,
    },
    /// To [`Command::Mint`].
    Minted(Box<MintedReply>),
    /// To [`Command::ExplainToken`].
    TokenExplained(Box<TokenExplanation>),
    /// To [`Command::Reserve`] and [`Command::Reservation`].
    Reservation(Box<Reservation>),
    /// To [`Command::Answer`], [`Command::Desire`] and [`Command::EndReservation`].
    Taken {
        /// What was done, in one sentence.
        text: String,
    },
    /// To [`Command::Rules`].
    Rules {
        /// One each, by name.
        rules: Vec<RuleRow>,
    },
    /// To [`Command::Webhooks`].
    Webhooks {
        /// One row each, by name.
        webhooks: Vec<WebhookRow>,
    },
    /// To [`Command::WebhookTest`].
    WebhookTested(Box<WebhookTrial>),
    /// To [`Command::WebhookReplay`] and [`Command::WebhookSkip`].
    WebhookDone {
        /// What was done, in one sentence.
        text: String,
    },
    /// To [`Command::Reload`].
    Reload(Plan),
    /// The command was refused.
    Refused {
        /// A stable word: `unknown-room`, `ambiguous-room`, `unknown-service`, `bad-request`, `forbidden`,
        /// `bad-configuration`, `not-saved`, `not-readable`, `busy`, `dropped`; of an action the cause's own word.
        error: String,
        /// What is wrong and what to do, in one sentence.
        text: String,
    },
}

/// Recorded events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsReply {
    /// Oldest first, each as it is public.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<serde_json::Value>,
    /// What `after` is to be for those that follow; as it was when there are none yet.
    pub next: Option<u64>,
}

/// What a reload changes, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Whether this was carried out.
    pub applied: bool,
    /// Rooms (`service/name`) newly held.
    pub hold: Vec<String>,
    /// Rooms that stay, services and programs whose settings change, each with what changes.
    pub change: Vec<String>,
    /// Rooms that are left.
    pub release: Vec<String>,
    /// Services that connect again, each with why.
    pub reconnect: Vec<String>,
    /// Rooms that stay untouched.
    pub unchanged: usize,
    /// Things worth knowing that are no error.
    pub warnings: Vec<String>,
}

/// Makes a [`Reply::Refused`].
#[must_use]
pub fn refused(error: &str, text: impl Into<String>) -> Reply {
    Reply::Refused { error: error.to_owned(), text: text.into() }
}
