//! What rules would have done: the real ones, over something that is past. Pure.
//!
//! [`capture`] replays a recorded dialogue to a real session with real rooms; [`record`] goes through stored events.
//! In both, every rule is looked at as though it were enforced: whoever would have been thrown out is not seen any more
//! until they come in again, and a ban keeps them out. What rules want done with the room itself (a lobby, a password,
//! an end) is told, and the room goes on as it did.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::event;
use crate::pattern::Pattern;
use crate::policy::bans::{Ban, targets_of};
use crate::policy::{Identity, Mode, Plans, Sanction};

pub mod capture;
pub mod record;

/// One thing that a rule would have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// When.
    pub time: Timestamp,
    /// In which room: its JID in a capture, `SERVICE/NAME` in the record.
    pub room: Box<str>,
    /// The rule; `ban` where somebody comes back whom a rule had banned.
    pub rule: Box<str>,
    /// To whom; nobody where it is about the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<event::Person>,
    /// What: `warn`, `mute`, `kick`, `ban 1h`, `lobby on`, …
    pub verdict: Box<str>,
    /// What the person would have been told.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
    /// What was seen.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub note: Box<str>,
}

/// The name under which somebody is put out again whom a rule had banned.
const BAN: &str = "ban";

/// Rules that say what they would do, and do nothing; all in one mode, so that strikes add up as they would.
fn tried(mut plans: Plans) -> Arc<Plans> {
    plans.rules.values_mut().for_each(|rule| rule.mode = Mode::DryRun);
    Arc::new(plans)
}

/// Bans that a verdict brings, by everything that somebody is known by.
fn bans(verdict: Sanction, identity: &Identity, service: &str, room: &str, at: Timestamp) -> Vec<Ban> {
    let Sanction::Ban { lasts } = verdict else { return Vec::new() };
    let until = lasts.and_then(|lasts| at.checked_add(SignedDuration::try_from(lasts).ok()?).ok());
    let ban = |target| Ban {
        target,
        service: Some(service.into()),
        rooms: Some(Pattern::new(room)),
        until,
        reason: String::new(),
        note: String::new(),
        by: String::new(),
        known_as: String::new(),
        at,
    };
    targets_of(identity).into_iter().map(ban).collect()
}
