//! What Jitsi adds around rooms: the focus, and how a member without media behaves. Pure.

use std::time::Duration;

pub mod citizen;
pub mod focus;
pub mod login;

/// How long the focus may take to answer a conference request. Jicofo's own steps time out after 15 s, and where it
/// cannot open a room it never answers.
pub const CONFERENCE_TIMEOUT: Duration = Duration::from_secs(20);
