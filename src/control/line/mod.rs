//! The line protocol, for game servers: one JSON object, or words as people type them, on each line.
//!
//! Over TCP or a Unix socket; the game server comes to us, or we go to it. Whoever is there shows its secret first, and
//! may then ask what everybody may ask, and follow events. `docs/line-protocol.md` describes it for those who speak it.
//!
//! `words` reads a line, `talk` is one connection, `ends` opens them. Source: RFC 8259 "The JavaScript Object Notation
//! (JSON) Data Interchange Format".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use ends::{Ends, EndsError};

use super::Gate;
use crate::config::Line;
use crate::runtime::bus::Bus;
use crate::runtime::questions::Questions;

mod ends;
mod talk;
mod words;

/// The part of the configuration that is in force, replaced by a reload.
pub type Lines = watch::Receiver<Arc<[Line]>>;

/// So many times somebody may show a wrong secret.
const WRONG_SECRETS: u32 = 5;
/// So long they are not listened to then.
const BLOCKED: Duration = Duration::from_secs(60);
/// How many addresses are remembered; the machine's memory must not depend on their number.
const ADDRESSES: usize = 1024;

/// What all connections share.
pub struct Shared {
    gate: Arc<Gate>,
    bus: Arc<Bus>,
    questions: Arc<Questions>,
    lines: Lines,
    wrong: Mutex<HashMap<Box<str>, Wrong>>,
}

/// The wrong secrets of an address.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Shared {
    /// Commands go to `gate`, events come from `bus`, and what we ask from `questions`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, bus: Arc<Bus>, questions: Arc<Questions>, lines: Lines) -> Arc<Self> {
        Arc::new(Shared { gate, bus, questions, lines, wrong: Mutex::default() })
    }

    /// Whether that address is not listened to now.
    fn is_blocked(&self, now: Instant, address: &str) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get(address).is_some_and(|wrong| wrong.count >= WRONG_SECRETS && now < wrong.last + BLOCKED)
    }

    /// A wrong secret came from that address.
    fn count_wrong(&self, now: Instant, address: &str) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= ADDRESSES {
            wrong.retain(|_, wrong| now < wrong.last + BLOCKED);
        }
        if wrong.len() >= ADDRESSES {
            wrong.clear();
        }
        let counted = wrong.entry(address.into()).or_insert(Wrong { count: 0, last: now });
        if now >= counted.last + BLOCKED {
            counted.count = 0;
        }
        *counted = Wrong { count: counted.count.saturating_add(1), last: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    #[test]
    fn five_wrong_secrets_shut_an_address_out_for_a_minute_and_no_other() {
        let (asked, _commands) = tokio::sync::mpsc::channel(1);
        let lines = watch::channel(Arc::from([])).1;
        let (shared, start) = (
            Shared::new(Arc::new(Gate::new(asked)), Bus::new(EventId::default(), None), Arc::default(), lines),
            Instant::now(),
        );
        for _ in 0..WRONG_SECRETS {
            assert!(!shared.is_blocked(start, "a"));
            shared.count_wrong(start, "a");
        }
        assert!(shared.is_blocked(start, "a") && !shared.is_blocked(start, "b"));
        assert!(!shared.is_blocked(start + BLOCKED, "a"));
        shared.count_wrong(start + BLOCKED, "a");
        assert!(!shared.is_blocked(start + BLOCKED, "a"), "the count begins anew");
        for n in 0..3 * ADDRESSES {
            shared.count_wrong(start, &n.to_string());
        }
        assert!(shared.wrong.lock().is_ok_and(|wrong| wrong.len() <= ADDRESSES));
    }
}
