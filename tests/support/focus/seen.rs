//! What a focus has seen, for tests to ask.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// Something that the focus saw or did.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When.
    pub at: Instant,
    /// In which room (bare JID), empty when in none.
    pub room: String,
    /// What.
    pub what: Seen,
}

/// See [`Observation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Both connections to the server are up.
    Connected,
    /// The connections are lost; all conferences are forgotten.
    Disconnected,
    /// A conference request came.
    Requested {
        /// Full JID of the requester.
        from: String,
        /// Whether it carried a session-id.
        with_session: bool,
    },
    /// A conference request was refused.
    Refused {
        /// Full JID of the requester.
        from: String,
        /// The error's condition.
        condition: &'static str,
    },
    /// A conference request gets no answer.
    Silent {
        /// Full JID of the requester.
        from: String,
    },
    /// A conference request was answered.
    Ready {
        /// Full JID of the requester.
        to: String,
        /// `ready`.
        ready: bool,
    },
    /// The focus is in the room.
    Entered,
    /// The focus is out of the room, and the room has said so.
    Left(Why),
    /// A member came.
    Joined {
        /// Its nick.
        nick: String,
        /// Its full real JID.
        jid: String,
    },
    /// A member went.
    Gone {
        /// Its nick.
        nick: String,
        /// The status codes of its leaving.
        status: Vec<u16>,
    },
    /// A member answered disco#info.
    Disco {
        /// Its nick.
        nick: String,
        /// It answered with an error.
        error: bool,
        /// The features it has.
        features: Vec<String>,
    },
    /// A member did not answer disco#info in time.
    NoDisco {
        /// Its nick.
        nick: String,
    },
    /// Owner was granted to a bare JID.
    Granted {
        /// Which.
        jid: String,
    },
    /// The room said that a member is moderator now.
    Moderator {
        /// Its nick.
        nick: String,
        /// Its full real JID.
        jid: String,
    },
    /// A member was invited by Jingle.
    Invited {
        /// Its nick.
        nick: String,
    },
    /// A member answered its invitation.
    Answered {
        /// Its nick.
        nick: String,
        /// `result`, or the error's condition.
        how: String,
    },
    /// A member did not answer its invitation in time.
    NoAnswer {
        /// Its nick.
        nick: String,
    },
    /// A member sent a Jingle action.
    Jingle {
        /// Its nick.
        nick: String,
        /// The action.
        action: String,
    },
}

/// Why the focus is out of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody came, or nobody answered disco#info, before the start timeout.
    StartTimeout,
    /// The last member left.
    Empty,
    /// The room was destroyed.
    Destroyed,
    /// It could not enter, or was thrown out.
    Removed,
}

/// What is seen of a room now.
#[derive(Debug, Clone, Default)]
pub struct RoomSeen {
    /// Members but the focus, by nick.
    pub members: BTreeMap<String, MemberSeen>,
}

/// What is seen of a member now.
#[derive(Debug, Clone)]
pub struct MemberSeen {
    /// Full real JID.
    pub jid: String,
    /// Role in the room.
    pub role: String,
    /// Affiliation in the room.
    pub affiliation: String,
    /// It answered disco#info.
    pub answered: bool,
    /// Since when it has been moderator and answered, with the focus inside: since when it holds the room.
    pub holds_since: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Notes {
    pub(super) log: Vec<Observation>,
    pub(super) rooms: HashMap<String, RoomSeen>,
    pub(super) auth_sessions: usize,
    pub(super) connected: bool,
}
