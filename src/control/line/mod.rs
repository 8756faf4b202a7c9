//! The line protocol, for game servers: one JSON object, or words as people type them, on each line.
//!
//! Over TCP or a Unix socket; the game server comes to us, or we go to it. Whoever is there shows its secret first, and
//! may then ask what everybody may ask, and follow events. `docs/line-protocol.md` describes it for those who speak it.
//!
//! `words` reads a line, `talk` is one connection, `ends` opens them. Source: RFC 8259 "The JavaScript Object Notation
//! (JSON) Data Interchange Format".

use std::sync::Arc;

use tokio::sync::watch;

pub use ends::{Ends, EndsError};

use super::Gate;
use super::guesses::Guesses;
use crate::config::Line;
use crate::runtime::bus::Bus;
use crate::runtime::questions::Questions;

mod ends;
mod talk;
mod words;

/// The part of the configuration that is in force, replaced by a reload.
pub type Lines = watch::Receiver<Arc<[Line]>>;

/// How many wrong secrets one address may show in a minute.
const WRONG_SECRETS: u32 = 5;

/// What all connections share.
pub struct Shared {
    gate: Arc<Gate>,
    bus: Arc<Bus>,
    questions: Arc<Questions>,
    lines: Lines,
    guesses: Guesses<Box<str>>,
}

impl Shared {
    /// Commands go to `gate`, events come from `bus`, and what we ask from `questions`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, bus: Arc<Bus>, questions: Arc<Questions>, lines: Lines) -> Arc<Self> {
        Arc::new(Shared { gate, bus, questions, lines, guesses: Guesses::new(WRONG_SECRETS) })
    }
}
