//! What happened: kinds of events, whose names are public. Pure.

use serde::Serialize;

use crate::command::RoomState;

/// The kind of an event, in the past tense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Kind {
    /// We are inside and moderator.
    #[serde(rename = "room.held")]
    RoomHeld,
    /// We are inside and do not hold the room (any more).
    #[serde(rename = "room.joined")]
    RoomJoined,
    /// We were inside and are not.
    #[serde(rename = "room.lost")]
    RoomLost,
    /// A try to get in failed.
    #[serde(rename = "room.refused")]
    RoomRefused,
    /// A person said that the room is to be left for a while.
    #[serde(rename = "room.suspended")]
    RoomSuspended,
    /// Nobody wants the room any more, and it is left.
    #[serde(rename = "room.released")]
    RoomReleased,
}

impl Kind {
    /// The public name: `room.held`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::RoomHeld => "room.held",
            Kind::RoomJoined => "room.joined",
            Kind::RoomLost => "room.lost",
            Kind::RoomRefused => "room.refused",
            Kind::RoomSuspended => "room.suspended",
            Kind::RoomReleased => "room.released",
        }
    }

    /// What a change of a room's state amounts to; nothing while it is only on its way.
    #[must_use]
    pub fn of(before: RoomState, after: RoomState) -> Option<Kind> {
        match after {
            RoomState::Held => Some(Kind::RoomHeld),
            RoomState::Joined => Some(Kind::RoomJoined),
            RoomState::Joining => None,
            RoomState::Waiting | RoomState::Blocked => {
                let inside = matches!(before, RoomState::Held | RoomState::Joined);
                Some(if inside { Kind::RoomLost } else { Kind::RoomRefused })
            }
            RoomState::Suspended => Some(Kind::RoomSuspended),
            RoomState::Released => Some(Kind::RoomReleased),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_json_and_in_text() {
        for kind in [
            Kind::RoomHeld,
            Kind::RoomJoined,
            Kind::RoomLost,
            Kind::RoomRefused,
            Kind::RoomSuspended,
            Kind::RoomReleased,
        ] {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()));
        }
    }
}
