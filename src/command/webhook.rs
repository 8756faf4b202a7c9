//! Receivers of webhooks, as they are listed and tried. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
