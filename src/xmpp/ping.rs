//! Pings: of the server, and of ourselves in a room. Pure.
//!
//! Source: XEP-0199 "XMPP Ping", XEP-0410 "MUC Self-Ping (Schrödinger's Chat)".

use minidom::Element;

use super::build::element;
use super::ns;
use super::stanza::{self, StanzaError};

/// A ping of `to`; of our own server when `None`.
#[must_use]
pub fn request(to: Option<&str>, id: &str) -> Element {
    stanza::iq("get", to, id).child(element("ping", ns::PING)).into()
}

/// What a self-ping's answer says. Source: XEP-0410 §3.2 "Performing a Self-Ping".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// We are in the room.
    Inside,
    /// We are not.
    Outside,
    /// The answer says nothing about it; ask again later.
    Unknown,
}

/// Reads the answer to a self-ping.
#[must_use]
pub fn self_ping(answer: &Element) -> Presence {
    if answer.attr("type") == Some("result") {
        return Presence::Inside;
    }
    match StanzaError::of(answer).condition.as_str() {
        // The room relayed the ping to us, and a client of ours does not know pings: we are there.
        "service-unavailable" | "feature-not-implemented" => Presence::Inside,
        // Somebody renamed us while we asked; XEP-0410 says "joined", Prosody says it when the room is gone.
        "item-not-found" | "not-acceptable" | "not-allowed" | "bad-request" => Presence::Outside,
        _ => Presence::Unknown,
    }
}
