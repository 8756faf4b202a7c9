//! How the daemon is. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// How many rooms there are and should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthRooms {
    /// Wanted by somebody, and not suspended.
    pub desired: usize,
    /// Held of these.
    pub held: usize,
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
