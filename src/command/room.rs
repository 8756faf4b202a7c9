//! Rooms, as they are listed and shown. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AbilityRow;

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
    /// How many people are inside: without ourselves, the focus and what records.
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
    /// What this is, where it is no person: `ourselves`, `a lost session of ours`, the `focus`, a `recorder` or a
    /// `transcriber`.
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
