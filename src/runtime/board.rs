//! What is known of each room: its state since when, its last trouble, the last things that happened.
//!
//! The supervisor keeps one entry for each room; `rooms`, `room` and `why` are read from it.

use std::time::Instant;

use jiff::Timestamp;

use crate::cause::{Cause, Word};
use crate::command::{HistoryRow, RoomRow, RoomState, Trouble};
use crate::config::RoomKey;
use crate::event::Kind;
use crate::room::{Next, Snapshot};

/// How many things that happened are kept for each room.
const HISTORY: usize = 10;
/// How long the last trouble stays visible after it is over, in seconds.
const TROUBLE_SECONDS: i64 = 600;

/// Turns monotonic time into the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Clock { now: Instant::now(), wall: Timestamp::now() }
    }

    /// The time of day of `at`.
    #[must_use]
    pub fn wall(&self, at: Instant) -> Timestamp {
        let shifted = if at >= self.now {
            self.wall.checked_add(jiff::SignedDuration::try_from(at - self.now).unwrap_or_default())
        } else {
            self.wall.checked_sub(jiff::SignedDuration::try_from(self.now - at).unwrap_or_default())
        };
        shifted.unwrap_or(self.wall)
    }

    /// The monotonic clock's time.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        self.now
    }

    /// The time of day now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall
    }
}

/// `time` as every surface writes it: RFC 3339, UTC, whole milliseconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    time.round(jiff::Unit::Millisecond).unwrap_or(time).to_string()
}

/// One room.
#[derive(Debug)]
pub struct Entry {
    snapshot: Snapshot,
    since: Timestamp,
    trouble: Option<(Timestamp, Cause)>,
    /// Oldest first; a `Vec` because most rooms have one entry, and ten are moved quickly.
    history: Vec<(Timestamp, Kind, Box<str>)>,
    had_outcome: bool,
}

impl Entry {
    /// A room that was not tried yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let cause = Cause::new(Word::Starting, "it waits for its turn");
        Entry {
            snapshot: Snapshot { state: RoomState::Waiting, cause, next: Next::Turn },
            since: now,
            trouble: None,
            history: Vec::new(),
            had_outcome: false,
        }
    }

    /// The state's word.
    #[must_use]
    pub fn state(&self) -> RoomState {
        self.snapshot.state
    }

    /// Whether we are in the room.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self.state(), RoomState::Held | RoomState::Joined)
    }

    /// What it shows.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether anything has come of the room yet, good or bad.
    #[must_use]
    pub fn had_outcome(&self) -> bool {
        self.had_outcome
    }

    /// Takes what the room shows now; says what happened, if anything that people should hear of.
    pub fn show(&mut self, now: Timestamp, snapshot: Snapshot) -> Option<Kind> {
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let Snapshot { state, cause, .. } = &self.snapshot;
        let on_its_way = matches!(cause.word, Word::Starting | Word::Queued | Word::Connecting | Word::AwaitingGrant);
        if *state != RoomState::Joining && !on_its_way {
            self.had_outcome = true;
        }
        if *state != before.state {
            self.since = now;
        }
        if (*state, cause.word) == (before.state, before.cause.word) || on_its_way {
            return None;
        }
        let kind = Kind::of(before.state, *state)?;
        if matches!(state, RoomState::Waiting | RoomState::Blocked | RoomState::Joined) {
            self.trouble = Some((now, cause.clone()));
        }
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.reserve_exact(1);
        self.history.push((now, kind, format!("{}: {}", cause.word, cause.text).into()));
        Some(kind)
    }

    /// The row of a list; `turn` says what a room that waits for its turn waits for.
    #[must_use]
    pub fn row(&self, key: &RoomKey, jid: String, clock: Clock, turn: &(String, Option<Timestamp>)) -> RoomRow {
        let (next, at) = match self.snapshot.next {
            // It was closed, and no hour is known at which that ends.
            Next::Nothing if self.snapshot.state == RoomState::Waiting => {
                ("opens when it is asked for".to_owned(), None)
            }
            Next::Nothing => (String::new(), None),
            Next::Answer(at) => ("gives up waiting for an answer".to_owned(), Some(clock.wall(at))),
            Next::Retry(at) => ("tries again".to_owned(), Some(clock.wall(at))),
            Next::AskFocus(at) => ("asks the focus again".to_owned(), Some(clock.wall(at))),
            Next::SelfPing(at) => ("checks that it is inside".to_owned(), Some(clock.wall(at))),
            Next::Opens(at) => ("opens".to_owned(), Some(clock.wall(at))),
            Next::Turn => turn.clone(),
        };
        let fresh = |since: Timestamp| clock.now().as_second() - since.as_second() < TROUBLE_SECONDS;
        let better = self.snapshot.state == RoomState::Held;
        let trouble = self.trouble.as_ref().filter(|(since, _)| better && fresh(*since));
        RoomRow {
            service: key.service.to_string(),
            name: key.name.to_string(),
            jid,
            state: self.snapshot.state,
            since: rfc3339(self.since),
            cause: self.snapshot.cause.word.as_str(),
            text: self.snapshot.cause.text.to_string(),
            next,
            next_at: at.map(rfc3339),
            last_trouble: trouble.map(|(since, cause)| Trouble {
                time: rfc3339(*since),
                cause: cause.word.as_str(),
                text: cause.text.to_string(),
            }),
            people: 0,
        }
    }

    /// The last things that happened, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryRow> {
        let row = |(time, kind, text): &(Timestamp, Kind, Box<str>)| HistoryRow {
            time: rfc3339(*time),
            kind: kind.as_str().to_owned(),
            text: text.to_string(),
        };
        self.history.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(state: RoomState, word: Word) -> Snapshot {
        Snapshot { state, cause: Cause::new(word, "x"), next: Next::Nothing }
    }

    #[test]
    fn the_last_trouble_stays_visible_for_ten_minutes() {
        let clock = Clock::read();
        let key = RoomKey::new("s", "r");
        let row = |entry: &Entry, clock| entry.row(&key, String::new(), clock, &(String::new(), None));
        let mut entry = Entry::new(clock.now());
        entry.show(clock.now(), shows(RoomState::Waiting, Word::Kicked));
        assert_eq!(row(&entry, clock).last_trouble, None);
        entry.show(clock.now(), shows(RoomState::Held, Word::Holding));
        assert!(
            row(&entry, clock)
                .last_trouble
                .is_some_and(|trouble| (trouble.cause, trouble.text) == ("kicked".to_owned(), "x".to_owned()))
        );
        let later = Clock { wall: clock.wall.checked_add(jiff::SignedDuration::from_mins(11)).expect("near"), ..clock };
        assert_eq!(row(&entry, later).last_trouble, None);
    }

    #[test]
    fn a_room_that_was_closed_says_what_opens_it() {
        let clock = Clock::read();
        let mut entry = Entry::new(clock.now());
        let next =
            |entry: &Entry| entry.row(&RoomKey::new("s", "r"), String::new(), clock, &(String::new(), None)).next;
        entry.show(clock.now(), shows(RoomState::Waiting, Word::EndedByUs));
        assert_eq!(next(&entry), "opens when it is asked for");
        entry.show(clock.now(), shows(RoomState::Suspended, Word::Suspended));
        assert_eq!(next(&entry), "");
    }

    #[test]
    fn only_ten_things_are_kept_and_being_on_the_way_is_none() {
        let clock = Clock::read();
        let mut entry = Entry::new(clock.now());
        assert!(!entry.had_outcome());
        assert_eq!(entry.show(clock.now(), shows(RoomState::Joining, Word::JoinSent)), None);
        assert!(!entry.had_outcome());
        for _ in 0..8 {
            assert_eq!(entry.show(clock.now(), shows(RoomState::Held, Word::Holding)), Some(Kind::RoomHeld));
            assert_eq!(entry.show(clock.now(), shows(RoomState::Waiting, Word::Kicked)), Some(Kind::RoomLost));
        }
        assert!(entry.had_outcome());
        assert_eq!(entry.history().len(), HISTORY);
    }
}
