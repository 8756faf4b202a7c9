//! Jitsi's JSON in messages: what components push, and what is said to them. Pure.
//!
//! Any occupant can send a message that looks like a component's: only one whose `from` is exactly the component's own
//! address counts, and the reader of [`Push`] is handed nothing else.
//! Source: jitsi-meet's `mod_room_metadata_component`, `mod_av_moderation_component`.

use std::collections::BTreeMap;

use minidom::Element;
use serde::Deserialize;
use serde_json::Value;

use super::mute::Medium;
use crate::xmpp::muc::clip;
use crate::xmpp::{element, ns};

/// Longest JSON that is read, in bytes.
const JSON_BYTES: usize = 128 * 1024;

/// What a component said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The metadata of a room, whole.
    Metadata(Box<Metadata>),
    /// AV moderation was switched on or off.
    AvModeration {
        /// The room's JID as the component writes it.
        room: String,
        /// For what.
        medium: Medium,
        /// Whether it is on.
        on: bool,
        /// The occupant JID of whoever did it.
        actor: Option<String>,
    },
}

impl Push {
    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> &str {
        match self {
            Push::AvModeration { room, .. } => room,
            Push::Metadata(metadata) => &metadata.room,
        }
    }

    /// Whether it says anything beyond what holds of a room where nobody said anything.
    #[must_use]
    pub fn says_something(&self) -> bool {
        match self {
            Push::AvModeration { on, .. } => *on,
            Push::Metadata(metadata) => metadata.start_muted.values().any(|on| *on),
        }
    }

    /// Whether a later one says the same thing anew.
    #[must_use]
    pub fn replaced_by(&self, later: &Push) -> bool {
        let same = match (self, later) {
            (Push::Metadata(_), Push::Metadata(_)) => true,
            (Push::AvModeration { medium, .. }, Push::AvModeration { medium: other, .. }) => medium == other,
            _ => false,
        };
        same && self.room() == later.room()
    }
}

/// The metadata that we know a use for. TURN credentials are among the rest and are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The room's JID.
    pub room: String,
    /// Whether newcomers begin muted, by medium.
    pub start_muted: BTreeMap<String, bool>,
    /// Whether the room has a lobby, where it is said.
    pub lobby: Option<bool>,
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "type")]
    kind: String,
    room: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
    enabled: Option<bool>,
    actor: Option<String>,
    #[serde(rename = "mediaType")]
    medium: Option<String>,
}

/// Whether a `lobby-notify` says that the lobby was switched, and how. Source: `mod_muc_lobby_rooms`.
#[must_use]
pub fn lobby_switched(text: &str) -> Option<bool> {
    #[derive(Deserialize)]
    struct Notice {
        #[serde(rename = "type")]
        kind: String,
        event: String,
        value: Value,
    }
    if text.len() > 4096 {
        return None;
    }
    let notice: Notice = serde_json::from_str(text).ok()?;
    let about = notice.kind == "lobby-notify" && notice.event == "LOBBY-ENABLED";
    notice.value.as_bool().filter(|_| about)
}

/// Reads a message of a component; the caller has checked that `from` is the component's address.
#[must_use]
pub fn read(message: &Element) -> Option<Push> {
    let child = message.get_child("json-message", ns::JITMEET)?;
    let text = child.text();
    if text.len() > JSON_BYTES {
        return None;
    }
    let json: Json = serde_json::from_str(&text).ok()?;
    let room = child.attr("room").map(str::to_owned).or(json.room).unwrap_or_default();
    match json.kind.as_str() {
        "room_metadata" => {
            let metadata = json.metadata?;
            let start_muted = metadata.get("startMuted").and_then(Value::as_object);
            let start_muted = start_muted.into_iter().flatten();
            Some(Push::Metadata(Box::new(Metadata {
                room,
                start_muted: start_muted
                    .filter_map(|(medium, on)| Some((clip(medium).to_owned(), on.as_bool()?)))
                    .take(8)
                    .collect(),
                lobby: metadata.get("lobbyEnabled").and_then(Value::as_bool),
            })))
        }
        "av_moderation" => {
            let medium = Medium::ALL.into_iter().find(|medium| Some(medium.as_str()) == json.medium.as_deref())?;
            Some(Push::AvModeration { room, medium, on: json.enabled?, actor: json.actor })
        }
        _ => None,
    }
}

/// Sets one key of a room's metadata. Any room may be named, but the connection's URL must name one, too.
///
/// Refused in silence for keys that the server owns and for who is no moderator.
#[must_use]
pub fn set_metadata(component: &str, id: &str, room: &str, key: &str, data: &Value) -> Element {
    let json = serde_json::json!({ "key": key, "data": data }).to_string();
    let command = element("room_metadata", ns::JITMEET).attr("room", room).text(&json);
    element("message", ns::CLIENT).attr("to", component).attr("id", id).child(command).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(json: &str) -> Option<Push> {
        let child = element("json-message", ns::JITMEET).attr("room", "r@c").text(json);
        read(&element("message", ns::CLIENT).child(child).into())
    }

    #[test]
    fn metadata_keeps_what_is_known_and_no_credentials() {
        let read = push(
            r#"{"type":"room_metadata","metadata":{"services":[{"username":"u","password":"turn-secret"}],
                "startMuted":{"audio":true,"video":"x"},"lobbyEnabled":false}}"#,
        );
        let Some(Push::Metadata(metadata)) = &read else { panic!("no metadata: {read:?}") };
        assert_eq!(metadata.start_muted, BTreeMap::from([("audio".to_owned(), true)]));
        assert_eq!((metadata.room.as_str(), metadata.lobby), ("r@c", Some(false)));
        assert!(!format!("{read:?}").contains("turn-secret"));
    }

    #[test]
    fn the_switching_of_av_moderation_is_read() {
        let read = push(r#"{"type":"av_moderation","enabled":true,"room":"x","actor":"r@c/n","mediaType":"desktop"}"#);
        let expected = Push::AvModeration {
            room: "r@c".to_owned(),
            medium: Medium::Desktop,
            on: true,
            actor: Some("r@c/n".to_owned()),
        };
        assert_eq!(read, Some(expected));
    }

    #[test]
    fn json_of_another_shape_says_nothing() {
        for text in ["", "[]", "{}", "{\"type\":7}", "{\"type\":\"room_metadata\"}", "\u{0}"] {
            assert_eq!(push(text), None, "{text}");
        }
        assert_eq!(push(&format!("{{\"type\":\"{}\"}}", "x".repeat(JSON_BYTES))), None);
    }
}
