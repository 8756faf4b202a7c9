//! What happened in a dialogue: facts, the authentication model they show, and the configuration that does the same. Pure.
//!
//! [`explain`] takes the secrets out first, so that none can be among the facts; a session-id is a pseudonym, `sid-1`.
//! [`Explanation::sentences`] says the facts in words.

use serde::Serialize;

use super::{Dialogue, Remark, show};

pub use log::{LogLine, log_line};

mod leg;
mod log;
mod model;
mod words;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Connection by connection.
    pub connections: Vec<Leg>,
    /// How they belong together, one sentence each.
    pub relations: Vec<String>,
    /// How the deployment lets people in, as far as it shows.
    pub model: Model,
    /// What follows from it, a sentence or two.
    pub verdict: String,
    /// `[service.NAME]` and `[[room]]` in TOML that make innkeeper do the same.
    pub service: Option<String>,
    /// What the file holds that is no message.
    pub remarks: Vec<(String, String)>,
}

/// How a deployment lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// An anonymous guest whom an account's session-id makes somebody.
    GuestAndAccount,
    /// The account itself holds the room.
    DirectAccount,
    /// A JSON web token in the URL.
    Token,
    /// Nobody logs in, anybody may open a room.
    Open,
    /// A guest who may not open a room, and does not log in.
    GuestRefused,
    /// A guest in a room that somebody else had opened.
    GuestInOpenRoom,
    /// Rooms without a conference focus.
    PlainXmpp,
    /// The login itself was refused.
    LoginRefused,
    /// The dialogue does not show it.
    Unknown,
}

/// One connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Leg {
    /// `WebSocket`, `BOSH`, `TCP` or `stream`.
    pub transport: String,
    /// Without secrets.
    pub url: Option<String>,
    /// Whether a token stood in the URL.
    pub token_in_url: bool,
    /// When the first message went.
    pub opened: Option<String>,
    /// How many messages there are.
    pub messages: usize,
    /// Where the client logged in.
    pub domain: Option<String>,
    /// Mechanisms that the server offered.
    pub offered: Vec<String>,
    /// The mechanism that was used.
    pub mechanism: Option<String>,
    /// The condition with which the login was refused.
    pub login_refused: Option<String>,
    /// The JID that the server gave.
    pub jid: Option<String>,
    /// Whether a user is behind it whom nobody knows; `None` where the login does not show.
    pub anonymous: Option<bool>,
    /// Whether stream management was switched on, and resumption with it.
    pub resumable: Option<bool>,
    /// What the domain said it has: kind and address.
    pub components: Vec<(String, String)>,
    /// Conference requests.
    pub requests: Vec<Request>,
    /// Rooms that were joined, or should have been.
    pub stays: Vec<Stay>,
    /// Pings, by whom they went to.
    pub pings: Vec<Pings>,
    /// Refusals in their order.
    pub refusals: Vec<Refusal>,
    /// How it ended.
    pub end: String,
}

/// A conference request. Times are seconds since the first message of the dialogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// When it was sent.
    pub at: f64,
    /// The address of the focus.
    pub focus: String,
    /// The room.
    pub room: String,
    /// The session-id that it carried, as a pseudonym.
    pub session_id: Option<String>,
    /// The machine-uid that it carried, as a pseudonym.
    pub machine_uid: Option<String>,
    /// The answer; `None` when none came.
    pub answer: Option<Response>,
}

/// The answer to a conference request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    /// When it came.
    pub at: f64,
    /// `ready`, `not ready`, `session-invalid`, or the condition of a refusal.
    pub outcome: String,
    /// The account that the focus takes the requester for.
    pub identity: Option<String>,
    /// The session-id that it carried, as a pseudonym.
    pub session_id: Option<String>,
    /// The focus's own account.
    pub focus_jid: Option<String>,
    /// Whether authentication is on at the focus.
    pub authentication: Option<bool>,
}

/// What became of a join.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stay {
    /// The room.
    pub room: String,
    /// Our nick, the last one.
    pub nick: String,
    /// When the join was sent.
    pub asked: f64,
    /// When our own presence came.
    pub joined: Option<f64>,
    /// The condition with which the join was refused.
    pub refused: Option<String>,
    /// Our roles one after the other.
    pub roles: Vec<RoleChange>,
    /// Nick changes: when, and to what.
    pub nicks: Vec<(f64, String)>,
    /// When we were out again, and how.
    pub left: Option<(f64, String)>,
}

/// A role of ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleChange {
    /// Since when.
    pub at: f64,
    /// `moderator`, `participant`, `visitor`.
    pub role: String,
    /// `owner`, `none`.
    pub affiliation: String,
    /// Who gave it, where the room says so.
    pub by: Option<String>,
}

/// Pings to one address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pings {
    /// To whom.
    pub to: String,
    /// How many.
    pub count: usize,
    /// How many were answered, errors included.
    pub answered: usize,
    /// Seconds between two, the middle one of all.
    pub every: Option<f64>,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// When.
    pub at: f64,
    /// What was asked: `extdisco (urn:xmpp:extdisco:2)`.
    pub what: String,
    /// Of whom.
    pub of: String,
    /// The condition, with the text where there is one.
    pub condition: String,
    /// Why it does not matter; `None` where it does.
    pub harmless: Option<String>,
}

/// Says what happened.
#[must_use]
pub fn explain(dialogue: &Dialogue) -> Explanation {
    let dialogue = show::redacted(dialogue, false);
    let mut connections: Vec<Leg> = dialogue.connections.iter().map(leg::read).collect();
    let model = model::of(&connections);
    model::excuse(model, &mut connections);
    let remarks = dialogue.remarks.into_iter().map(|Remark { place, text }| (place, text)).collect();
    Explanation {
        relations: model::relations(&connections),
        verdict: model::verdict(model, &connections),
        service: model::service(model, &connections),
        model,
        connections,
        remarks,
    }
}

#[cfg(test)]
mod tests;
