//! What is asked of the record, and of what happens. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Which recorded events are asked for; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    /// Of this service.
    pub service: Option<String>,
    /// Of this room: its name, or `SERVICE/NAME`.
    pub room: Option<String>,
    /// Of these kinds, with commas between: `room.held,occupant.*`.
    pub kind: Option<String>,
    /// About whoever had this nick, display name, bare JID or occupant id.
    pub who: Option<String>,
    /// From then on, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Before then, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Later than the event with this id, from the oldest on. Left out: the newest ones.
    pub after: Option<u64>,
    /// At most so many, up to 1,000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
}

/// Whose time in a room is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttendanceQuery {
    /// `NAME`, `SERVICE/NAME` or the room JID; also of a room that is no longer wanted, as `SERVICE/NAME`.
    pub room: String,
    /// In this life of the room, from its beginning to its end.
    #[serde(default)]
    pub life: Option<String>,
    /// Of those who were inside then or came later. Left out, and without a life: a day ago.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// Which events are heard of as they happen; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FollowQuery {
    /// Of this service.
    pub service: Option<String>,
    /// Of rooms whose name fits: `*` stands for any text; with a slash, `service/name`.
    pub room: Option<String>,
    /// Of these kinds, with commas between: `room.held,occupant.*`.
    pub kind: Option<String>,
    /// About whoever has this nick, display name, bare JID or occupant id.
    pub who: Option<String>,
    /// Those later than the event with this id come first, from the record where that is long ago.
    pub after: Option<u64>,
}
