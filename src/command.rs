//! What may be asked of the running daemon, and what it answers. Pure; the JSON is what the control socket carries.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::action::{Action, Actor, Verb};
use crate::attendance::Attended;
use crate::authority::Verdict;
use crate::booking::Times;
use crate::config::Secret;
use crate::policy::{Measure, OptionHelp, RuleKind};
use crate::rights::{Rights, Scope};

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
        #[serde(with = "bare_token")]
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

/// Which recorded events are asked for; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    /// Of this service.
    pub service: Option<String>,
    /// Of this room: its name, or `SERVICE/NAME`.
    pub room: Option<String>,
    /// Of these kinds, with commas between: `room.held,occupant.*`.
    pub kind: Option<String>,
    /// About whoever had this nick, display name, bare JID or occupant id.
    pub who: Option<String>,
    /// From then on, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Before then, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Later than the event with this id, from the oldest on. Left out: the newest ones.
    pub after: Option<u64>,
    /// At most so many, up to 1,000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
}

/// Whose time in a room is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttendanceQuery {
    /// `NAME`, `SERVICE/NAME` or the room JID; also of a room that is no longer wanted, as `SERVICE/NAME`.
    pub room: String,
    /// In this life of the room, from its beginning to its end.
    #[serde(default)]
    pub life: Option<String>,
    /// Of those who were inside then or came later. Left out, and without a life: a day ago.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// Which events are heard of as they happen; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FollowQuery {
    /// Of this service.
    pub service: Option<String>,
    /// Of rooms whose name fits: `*` stands for any text; with a slash, `service/name`.
    pub room: Option<String>,
    /// Of these kinds, with commas between: `room.held,occupant.*`.
    pub kind: Option<String>,
    /// About whoever has this nick, display name, bare JID or occupant id.
    pub who: Option<String>,
    /// Those later than the event with this id come first, from the record where that is long ago.
    pub after: Option<u64>,
}

/// A room that may be opened: what Jitsi's reservations are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Names it to the server; cannot be guessed.
    pub id: String,
    /// The room's name.
    pub name: String,
    /// Who opened it.
    pub mail_owner: String,
    /// When it begins, RFC 3339 UTC.
    pub start_time: String,
    /// Seconds from then on.
    pub duration: u64,
    /// How many may be inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_occupants: Option<u32>,
    /// Whether newcomers wait in a lobby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<bool>,
    /// The password that the server sets; told to whoever has the scope `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::action::exposed")]
    pub password: Option<Secret>,
}

/// Whom a token is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Player {
    /// By what they are known again; their name when left out.
    #[serde(default)]
    pub id: Option<String>,
    /// What others see.
    pub name: String,
    /// Their e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The address of their picture.
    #[serde(default)]
    pub avatar: Option<String>,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MintedReply {
    /// The room: `service/name`.
    pub room: String,
    /// The token itself.
    #[serde(with = "bare_token")]
    #[schema(value_type = String)]
    pub token: Secret,
    /// When it ends, seconds since 1970.
    pub expires: u64,
    /// What its bearer will be inside: `owner`, `moderator` or `participant`.
    pub effective_role: String,
    /// Why, in one sentence.
    pub why: String,
}

/// What a token says, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenExplanation {
    /// The service of ours whose key it was signed with.
    pub service: Option<String>,
    /// How it is signed: `HS256`, `RS256`, …
    pub algorithm: Option<String>,
    /// With which key, where it names one: `kid`.
    pub key: Option<String>,
    /// Whom it is for: `aud`, with commas between several.
    pub audience: Option<String>,
    /// Who made it, by its own word: `iss`.
    pub issuer: Option<String>,
    /// The domain or tenant: `sub`.
    pub subject: Option<String>,
    /// The room, or `*`.
    pub room: Option<String>,
    /// The player's id.
    pub id: Option<String>,
    /// The player's name.
    pub name: Option<String>,
    /// Whether it says that they are a moderator, in any of the ways there are.
    pub moderator: bool,
    /// From when it is good, RFC 3339 UTC.
    pub not_before: Option<String>,
    /// When it ends, RFC 3339 UTC.
    pub expires: Option<String>,
    /// What its bearer would be inside: `owner`, `participant`, `nobody` where it would be refused, or `unknown`.
    pub effective_role: String,
    /// Why, in one sentence.
    pub why: String,
    /// What is odd about it, in sentences.
    pub remarks: Vec<String>,
}

/// A token on its way to or from whoever has it.
mod bare_token {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::config::Secret;

    pub(super) fn serialize<S: Serializer>(token: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(token.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        Ok(Secret::new(String::deserialize(from)?))
    }
}

/// Who asks, and what they may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Goes to the audit log.
    pub who: Who,
    /// What [`crate::control::auth`] judges by.
    pub rights: Rights,
    /// How many commands they may give in a second, over some seconds.
    pub per_second: u32,
}

/// Somebody who asks. Shown as it is kept beside what they said: `uid 1000`, `token games`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A process at a Unix socket.
    Unix {
        /// Its user id, as the kernel says.
        uid: u32,
        /// Its process id, as the kernel says.
        pid: Option<u32>,
    },
    /// The bearer of a token.
    Token {
        /// The token's name in the configuration.
        name: Box<str>,
    },
    /// Somebody who speaks the line protocol, such as a game server.
    Line {
        /// Its name in the configuration.
        name: Box<str>,
    },
    /// A game that asks for tokens as SkotOS does.
    AvChat {
        /// Its name in the configuration.
        name: Box<str>,
    },
    /// A server that asks for reservations.
    Server {
        /// The service's name in the configuration.
        service: Box<str>,
    },
    /// Somebody who showed nothing.
    Nobody,
}

impl Who {
    /// Who they are in the record of actions.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Who::Unix { uid, .. } => Actor::CommandLine { uid: *uid },
            Who::Token { name } => Actor::Token { name: name.to_string() },
            Who::Line { name } | Who::AvChat { name } | Who::Server { service: name } => {
                Actor::Line { name: name.to_string() }
            }
            Who::Nobody => Actor::Token { name: String::new() },
        }
    }

    /// What to tell them when they lack a scope.
    #[must_use]
    pub fn lacks(&self, scope: Scope) -> String {
        match self {
            Who::Unix { uid, .. } => {
                format!("user {uid} may ask for facts only; to change something be in group innkeeper-admin")
            }
            Who::Token { name } => format!("token \"{name}\" does not have the scope \"{scope}\""),
            Who::Line { name } => format!("line \"{name}\" does not have the scope \"{scope}\""),
            Who::AvChat { name } => format!("avchat \"{name}\" may not have this: it takes the scope \"{scope}\""),
            Who::Server { service } => format!("the server of {service} may ask for reservations only"),
            Who::Nobody => "this takes a token".to_owned(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Unix { uid, .. } => write!(f, "uid {uid}"),
            Who::Token { name } => write!(f, "token {name}"),
            Who::Line { name } => write!(f, "line {name}"),
            Who::AvChat { name } => write!(f, "avchat {name}"),
            Who::Server { service } => write!(f, "server of {service}"),
            Who::Nobody => f.write_str("nobody"),
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

/// One rule of order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleRow {
    /// Its name, the table's in a `[[policy]]`.
    pub name: String,
    /// What it is for.
    pub help: String,
    /// What is done about offenders when nothing else is said; none where nobody offends.
    pub action: Option<String>,
    /// What can be said of it.
    pub options: Vec<OptionRow>,
    /// As it stands in a configuration.
    pub example: String,
}

impl From<&RuleKind> for RuleRow {
    fn from(kind: &RuleKind) -> Self {
        let action = kind.measure.map(|measure| match measure {
            Measure::Strike => "strike".to_owned(),
            Measure::At(sanction) => sanction.to_string(),
        });
        let option = |option: &OptionHelp| OptionRow {
            name: option.name.to_owned(),
            default: option.default.map(str::to_owned),
            help: option.help.to_owned(),
        };
        RuleRow {
            name: kind.name.to_owned(),
            help: kind.help.to_owned(),
            action,
            options: kind.options.iter().map(option).collect(),
            example: kind.example.to_owned(),
        }
    }
}

/// One option of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OptionRow {
    /// Its name.
    pub name: String,
    /// What holds when it is left out, as TOML; none where it must be given or nothing then holds.
    pub default: Option<String>,
    /// What it takes.
    pub help: String,
}

/// One ban in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanRow {
    /// Its number, which `unban` takes; none of an entry of somebody else's list.
    pub id: Option<i64>,
    /// Whom it matches: `account:ann@meet.jitsi`, `accounts:*@spam.example`, `sha256:…`.
    pub who: String,
    /// How long that holds: `survives reconnect`, `until they reload`, `name only`.
    pub strength: String,
    /// The ban itself, as `bans export` writes it.
    #[schema(value_type = Object)]
    pub ban: crate::policy::bans::Ban,
}

impl BanRow {
    /// Our own of these bans, one JSON object a line.
    #[must_use]
    pub fn export(bans: &[BanRow]) -> String {
        let own = bans.iter().filter(|row| row.id.is_some());
        own.filter_map(|row| serde_json::to_string(&row.ban).ok()).map(|line| line + "\n").collect()
    }
}

/// Whether all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` when every desired room is held, else `degraded`.
    pub status: String,
    /// The program's version.
    pub version: String,
    /// How many rooms.
    pub rooms: HealthRooms,
    /// Who is told what happens.
    #[serde(default)]
    pub targets: Vec<HealthTarget>,
}

/// How it is with a receiver of webhooks, for monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthTarget {
    /// Its name in the configuration.
    pub name: String,
    /// `up`, `down`, or `stopped` until a person says otherwise.
    pub state: String,
    /// For how many seconds the oldest event waits that is due; 0 when none does.
    pub lag_seconds: u64,
    /// Whether what it gets is signed.
    pub secret_configured: bool,
}

/// A receiver of webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookRow {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, without a query.
    pub url: String,
    /// What it is told: `innkeeper`, `reflector`, `event_sync`.
    pub dialect: String,
    /// `up`, `down`, or `stopped` until a person says otherwise.
    pub state: String,
    /// Why, in one sentence; empty when it is up.
    pub why: String,
    /// When it is tried again, RFC 3339 UTC.
    pub next_at: Option<String>,
    /// For how many seconds the oldest event waits that is due; 0 when none does.
    pub behind_seconds: u64,
    /// Events that it took since our start.
    pub accepted: u64,
    /// Events since our start of which nobody knows whether it took them, and which are not sent again.
    pub skipped: u64,
    /// What happened from then on was removed from the record, since our start, before all of it was read for this
    /// receiver; RFC 3339 UTC.
    pub lost_from: Option<String>,
    /// Until then.
    pub lost_until: Option<String>,
    /// Events that it would not take.
    pub dead: u64,
    /// Rooms that it does not know, each with why; their events wait.
    pub parked: Vec<String>,
    /// Whether what it gets is signed.
    pub secret_configured: bool,
}

/// What came of trying a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTrial {
    /// Its name in the configuration.
    pub target: String,
    /// One row for each sample.
    pub rows: Vec<WebhookTrialRow>,
    /// What else there is to say, in sentences.
    pub remarks: Vec<String>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTrialRow {
    /// What the dialect calls it.
    pub kind: String,
    /// Where it was posted.
    pub url: String,
    /// The header fields that are ours, secrets left out.
    pub headers: Vec<String>,
    /// What was posted.
    pub body: String,
    /// The bytes that were signed; empty where nothing is.
    pub signed: String,
    /// The status of the answer; none where there was no answer.
    pub status: Option<u16>,
    /// The beginning of the answer, or why there is none.
    pub answer: String,
}

/// How many rooms there are and should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthRooms {
    /// Wanted by somebody, and not suspended.
    pub desired: usize,
    /// Held of these.
    pub held: usize,
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

/// Whether something can be done in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AbilityRow {
    /// What.
    pub verb: Verb,
    /// Whether it can.
    pub possible: bool,
    /// The cause's word where it cannot.
    pub cause: String,
    /// Why not, in one sentence.
    pub text: String,
}

/// Everybody who could put us out of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoCanReply {
    /// The room: `service/name`.
    pub room: String,
    /// Those who are inside.
    pub powers: Vec<PowerRow>,
    /// Who else could come to it, in sentences.
    pub hints: Vec<String>,
}

/// Somebody who could put us out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PowerRow {
    /// Their nick; empty while they are outside.
    pub nick: String,
    /// Their display name, chosen by themselves.
    pub display_name: Option<String>,
    /// Their real JID, where the room shows it; a domain stands for all its accounts.
    pub real_jid: Option<String>,
    /// What they could do to us: `kick`, `ban`, `demote`, `destroy`.
    pub can: Vec<String>,
    /// Through what.
    pub through: String,
}

/// Why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The room: `service/name`.
    pub room: String,
    /// The answer, in one sentence.
    pub text: String,
    /// What it rests on, each with a stable word.
    pub because: Vec<HistoryRow>,
}

/// One step of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepRow {
    /// What.
    pub what: String,
    /// Whether it was done.
    pub done: bool,
    /// What came of it, in one sentence.
    pub text: String,
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

/// The state of a room, the same word on every surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomState {
    /// Inside, moderator, focus present where there is one, lately confirmed.
    Held,
    /// Inside, but not (yet) holding.
    Joined,
    /// Conference asked for, or join presence sent.
    Joining,
    /// Outside, will try again at a stated time.
    Waiting,
    /// Outside, and a person should act; still retried slowly.
    Blocked,
    /// An admin said so; settings are kept.
    Suspended,
    /// No longer wanted; left politely.
    Released,
}

impl std::fmt::Display for RoomState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            RoomState::Held => "held",
            RoomState::Joined => "joined",
            RoomState::Joining => "joining",
            RoomState::Waiting => "waiting",
            RoomState::Blocked => "blocked",
            RoomState::Suspended => "suspended",
            RoomState::Released => "released",
        })
    }
}

/// One room in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomRow {
    /// The service's name in the configuration.
    pub service: String,
    /// The room's name, the local part of its JID.
    pub name: String,
    /// The room's JID, empty while its domain is not found.
    pub jid: String,
    /// The state's word.
    pub state: RoomState,
    /// Since when, RFC 3339 UTC.
    pub since: String,
    /// The cause's word.
    pub cause: String,
    /// The cause's sentence.
    pub text: String,
    /// What happens next, in a few words; empty when nothing is due.
    pub next: String,
    /// When it happens, RFC 3339 UTC.
    pub next_at: Option<String>,
    /// The last trouble if it was less than ten minutes ago, although the state is better now.
    pub last_trouble: Option<Trouble>,
    /// How many people are inside: without ourselves and the focus.
    pub people: usize,
}

/// What was lately wrong with a room that is held again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// When it began, RFC 3339 UTC.
    pub time: String,
    /// The cause's word.
    pub cause: String,
    /// The cause's sentence.
    pub text: String,
}

/// One room in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomReply {
    /// As in the list.
    #[serde(flatten)]
    pub row: RoomRow,
    /// The session that holds the room: its full JID while online.
    pub session: Option<String>,
    /// Our nick inside.
    pub nick: Option<String>,
    /// Who is inside, ourselves and the focus included, by nick.
    pub occupants: Vec<OccupantRow>,
    /// Who waits in the room's lobby, where we see that.
    #[serde(default)]
    pub waiting: Vec<OccupantRow>,
    /// What can be done in the room now, and what not.
    #[serde(default)]
    pub abilities: Vec<AbilityRow>,
    /// Who wants the room and who does not: configuration, command line.
    pub sources: Vec<SourceRow>,
}

/// One occupant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OccupantRow {
    /// The nick: the resource of the occupant JID.
    pub nick: String,
    /// The real JID, where the room shows it.
    pub real_jid: Option<String>,
    /// The role as the room said it; `unknown` when it could not be read.
    pub role: String,
    /// The affiliation as the room said it; `unknown` when it could not be read.
    pub affiliation: String,
    /// The display name, chosen by the occupant.
    pub display_name: Option<String>,
    /// Whether this is `ourselves` or the `focus`.
    pub kind: Option<String>,
    /// Since when we know them, RFC 3339 UTC.
    pub since: String,
}

/// One voice for or against holding a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceRow {
    /// `configuration`, `command line`, `http` or `line`.
    pub source: String,
    /// `hold`, `release` or `suspend`.
    pub says: String,
    /// Where or who: file and line, the user id, or the name of the token or line.
    pub who: String,
    /// When, RFC 3339 UTC; empty for the configuration.
    pub when: String,
    /// From when, for a booking that says so, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when, for a suspension or a booking with an end, RFC 3339 UTC.
    pub until: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
}

/// Why a room is in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyReply {
    /// As in the list.
    #[serde(flatten)]
    pub row: RoomRow,
    /// The last things that happened, oldest first, at most ten.
    pub history: Vec<HistoryRow>,
    /// Who wants the room and who does not.
    pub sources: Vec<SourceRow>,
}

/// One thing that happened to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryRow {
    /// When, RFC 3339 UTC.
    pub time: String,
    /// The event's kind: `room.held`, `room.lost`, …
    pub kind: String,
    /// What happened, in one sentence.
    pub text: String,
}

/// The daemon as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusReply {
    /// The program's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Start, RFC 3339 UTC.
    pub started: String,
    /// How many rooms are wanted.
    pub wanted: usize,
    /// How many rooms are in each state.
    pub states: std::collections::BTreeMap<String, usize>,
    /// One row for each service.
    pub services: Vec<ServiceRow>,
    /// When the configuration was last read, and what came of it.
    pub configuration: String,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Stanzas that were refused or only partly read since the start.
    pub bad_stanzas: u64,
    /// Events that could not be recorded since the start.
    #[serde(default)]
    pub events_lost: u64,
    /// When the last one was lost, and why.
    #[serde(default)]
    pub events_lost_why: Option<String>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceRow {
    /// Its name in the configuration.
    pub name: String,
    /// `online`, `unreachable`, `connecting`, `held-back`, `idle`.
    pub state: String,
    /// Cause word, empty when all is well.
    pub cause: String,
    /// One sentence.
    pub text: String,
    /// When the next attempt is due, RFC 3339 UTC.
    pub next_at: Option<String>,
    /// Sessions online.
    pub sessions_online: usize,
    /// Sessions wanted.
    pub sessions: usize,
    /// `present`, `absent`, `unknown` while no session is online, or `none` for plain XMPP.
    pub focus: String,
    /// Mechanism of the last login.
    pub mechanism: String,
    /// `adaptive` or `rate-limited`.
    pub pace: String,
}

/// Makes a [`Reply::Refused`].
#[must_use]
pub fn refused(error: &str, text: impl Into<String>) -> Reply {
    Reply::Refused { error: error.to_owned(), text: text.into() }
}
