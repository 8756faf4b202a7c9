//! Why something is as it is, and what could be done about it. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RoomRow, SourceRow};
use crate::action::Verb;

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
