//! A time on the wall clock at which a room closes, and warnings before it. Pure.

use std::time::Duration;

use super::*;

/// How often the wall clock is looked at while a countdown runs: it may have been set.
const LOOK: Duration = Duration::from_secs(600);

/// Runs towards the end of a room's time.
#[derive(Debug)]
pub(super) struct Countdown {
    ends: Timestamp,
    /// Warnings that are still to come, the last first.
    warnings: Vec<Timestamp>,
}

/// What a look at the clock finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tick {
    Nothing,
    /// It is time to say that so much time is left.
    Warn(Duration),
    /// It is over.
    Ended,
}

impl Countdown {
    /// Counts towards a time. Warnings that are past are not made up for.
    pub(super) fn new(clock: Timestamp, ends: Timestamp, warn: &[Span]) -> Self {
        let mut warnings: Vec<Timestamp> =
            warn.iter().filter_map(|before| ends.checked_sub(before.0).ok()).filter(|at| *at > clock).collect();
        warnings.sort_unstable();
        warnings.reverse();
        Countdown { ends, warnings }
    }

    pub(super) fn ends(&self) -> Timestamp {
        self.ends
    }

    pub(super) fn tick(&mut self, clock: Timestamp) -> Tick {
        if clock >= self.ends {
            return Tick::Ended;
        }
        let mut due = false;
        while self.warnings.last().is_some_and(|at| *at <= clock) {
            self.warnings.pop();
            due = true;
        }
        let left = Duration::try_from(self.ends.duration_since(clock)).unwrap_or_default();
        if due { Tick::Warn(left) } else { Tick::Nothing }
    }

    /// When to look again.
    pub(super) fn next(&self, now: Now) -> Instant {
        let next = self.warnings.last().copied().unwrap_or(self.ends);
        now.instant_of(next).unwrap_or(now.at).min(now.at + LOOK)
    }
}

/// What is said before a room closes.
pub(super) fn closes_in(left: Duration) -> Wish {
    let rounded = Duration::from_secs(left.as_secs_f64().round().max(1.0) as u64);
    Wish::Say(format!("This room closes in {}.", humantime::format_duration(rounded)))
}
