//! Where a room is, and what is known of it only there: leaving a state ends its deadlines. Pure.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::io::Settings;
use super::knock::Knocking;
use super::occupant::Occupants;
use super::unheard::Unheard;
use crate::backoff::Ladder;
use crate::cause::Cause;
use crate::event::What;

#[derive(Debug)]
pub(super) enum State {
    Outside(Outside),
    Asking {
        give_up_at: Instant,
    },
    Joining(Box<Joining>),
    Knocking(Box<Knocking>),
    Inside(Box<Inside>),
    /// Outside on purpose, until then or until somebody asks for it.
    Closed {
        cause: Cause,
        until: Option<Instant>,
    },
    Leaving {
        give_up_at: Instant,
    },
    Gone,
}

#[derive(Debug)]
pub(super) struct Outside {
    pub(super) cause: Cause,
    /// When to want a place; `None`: we are in the queue.
    pub(super) retry_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Joining {
    pub(super) give_up_at: Instant,
    pub(super) nick: Box<str>,
    /// What the join was made from.
    pub(super) said: Arc<Settings>,
    pub(super) occupants: Occupants,
}

#[derive(Debug)]
pub(super) struct Inside {
    pub(super) occupants: Occupants,
    pub(super) nick: Box<str>,
    /// What our presence was last made from.
    pub(super) said: Arc<Settings>,
    pub(super) moderator: bool,
    pub(super) entered: Instant,
    /// When the room last confirmed that we are inside.
    pub(super) confirmed: Instant,
    pub(super) ping: Ping,
    pub(super) ask: Ask,
    /// Of questions to the focus; where there is none, of the configuration form.
    pub(super) ask_ladder: Ladder,
    pub(super) form: Form,
    /// What the focus last said against us while we were inside.
    pub(super) refusal: Option<Cause>,
    /// The stream is lost and may be resumed.
    pub(super) lost: Option<Cause>,
    /// When it was last resumed.
    pub(super) resumed: Option<Instant>,
    /// The room said its subject, which ends what it says again at a join.
    pub(super) history_over: bool,
    /// When we came in, for the name of this life where the room gives none.
    pub(super) came: Timestamp,
    /// Our own join made the room.
    pub(super) created: bool,
    /// The life of the room, once it is known; from then on there are events.
    pub(super) life: Option<Box<str>>,
    /// What was said before that.
    pub(super) unheard: Unheard,
    /// Who went before that.
    pub(super) untold: Vec<What>,
    /// Whether everybody was held against the bans since we could throw out.
    pub(super) checked: bool,
    /// Whether what rules shut that are not enforced any more was looked for since.
    pub(super) door_seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ping {
    Due(Instant),
    Sent(Instant),
}

/// Asking the focus while inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Idle,
    Due(Instant),
    Queued,
    Sent(Instant),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    NotNeeded,
    Sent,
    Failed { why: Box<str>, retry_at: Instant },
}
