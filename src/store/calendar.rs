//! What time it is, for whoever removes what is old. Pure: both clocks are inputs.
//!
//! A wall clock may be set wrong by months, and who removes on its word empties the record. So one that is a day or more
//! from where it should be is believed when it has gone on from there for a day; until then it is as late as it would
//! have been, and no later than it shows. Time that we were not running for looks the same: what became too old
//! meanwhile goes a day after the start.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// So far a clock is let be from where it should be, and so long it has to go on from there to be believed.
const DAY: Duration = Duration::from_secs(86_400);

/// What a wall clock showed at a moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    wall: Timestamp,
    at: Instant,
}

impl Mark {
    /// What it shows then, if nobody sets it.
    fn then(self, at: Instant) -> Timestamp {
        let gone = SignedDuration::try_from(at.saturating_duration_since(self.at)).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(gone).unwrap_or(self.wall)
    }

    /// Whether nobody set it by much.
    fn fits(self, now: Mark) -> bool {
        now.wall.duration_since(self.then(now.at)).unsigned_abs() < DAY
    }
}

/// A wall clock that is not believed everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    believed: Mark,
    /// What it showed first when it was not believed.
    doubted: Option<Mark>,
}

/// What came of a look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Today {
    /// What may be taken for the time.
    pub time: Timestamp,
    /// Whether that is what the clock shows.
    pub believed: bool,
    /// It is so far ahead of where it should be, seen for the first time.
    pub jumped: Option<Duration>,
}

impl Calendar {
    /// The clock was at `left` when it was looked at last, perhaps long ago.
    pub(super) fn new(left: Timestamp, at: Instant) -> Self {
        Calendar { believed: Mark { wall: left, at }, doubted: None }
    }

    /// Looks at the clock, which shows `wall`.
    pub(super) fn look(&mut self, wall: Timestamp, at: Instant) -> Today {
        let now = Mark { wall, at };
        let doubted = self.doubted.filter(|doubted| doubted.fits(now));
        let lasted = doubted.is_some_and(|doubted| at.saturating_duration_since(doubted.at) >= DAY);
        if lasted || self.believed.fits(now) {
            *self = Calendar { believed: now, doubted: None };
            return Today { time: wall, believed: true, jumped: None };
        }
        let should = self.believed.then(at);
        let ahead = Duration::try_from(wall.duration_since(should)).ok();
        let jumped = if doubted.is_some() { None } else { ahead };
        self.doubted = doubted.or(Some(now));
        Today { time: wall.min(should), believed: false, jumped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    struct Bench {
        calendar: Calendar,
        wall: Timestamp,
        at: Instant,
    }

    impl Bench {
        /// It was looked at so long ago, by its own word.
        #[allow(clippy::disallowed_methods)] // a beginning; from there time is the test's
        fn left(ago: Duration) -> Self {
            let (wall, at) = ("2026-06-01T10:00:00Z".parse::<Timestamp>().expect("a time"), Instant::now());
            Bench { calendar: Calendar::new(wall - ago, at), wall, at }
        }

        fn pass(&mut self, time: Duration) -> Today {
            (self.wall, self.at) = (self.wall + time, self.at + time);
            self.calendar.look(self.wall, self.at)
        }
    }

    #[test]
    fn a_clock_that_runs_or_is_set_a_little_is_believed() {
        let mut bench = Bench::left(HOUR * 20);
        for set in [0, 3_600, 80_000, 0] {
            bench.wall += Duration::from_secs(set);
            assert_eq!(bench.pass(HOUR * 30), Today { time: bench.wall, believed: true, jumped: None }, "{set}");
        }
        bench.wall -= HOUR * 5;
        assert!(bench.pass(HOUR).believed);
    }

    #[test]
    fn a_clock_that_jumps_by_months_is_not_believed_for_a_day_and_its_going_back_ends_that() {
        let mut bench = Bench::left(Duration::ZERO);
        let right = bench.wall;
        bench.wall += HOUR * 24 * 150;
        let today = bench.pass(HOUR);
        assert_eq!(today, Today { time: right + HOUR, believed: false, jumped: Some(HOUR * 24 * 150) });
        let today = bench.pass(HOUR * 22);
        assert_eq!(today, Today { time: right + HOUR * 23, believed: false, jumped: None }, "said once");
        bench.wall -= HOUR * 24 * 150;
        assert_eq!(bench.pass(HOUR), Today { time: right + HOUR * 24, believed: true, jumped: None });
    }

    #[test]
    fn what_became_too_old_while_nothing_ran_is_so_a_day_after_the_start() {
        let mut bench = Bench::left(HOUR * 24 * 100);
        let start = bench.wall;
        assert_eq!(bench.pass(Duration::ZERO).time, start - HOUR * 24 * 100);
        assert_eq!(bench.pass(HOUR * 23).time, start - HOUR * (24 * 100 - 23));
        assert_eq!(bench.pass(HOUR), Today { time: start + HOUR * 24, believed: true, jumped: None });
    }

    #[test]
    fn a_clock_that_is_set_back_is_as_late_as_it_shows_and_a_clock_that_never_rests_is_never_believed() {
        let mut bench = Bench::left(Duration::ZERO);
        bench.wall -= HOUR * 24 * 9;
        let today = bench.pass(HOUR);
        assert_eq!(today, Today { time: bench.wall, believed: false, jumped: None });
        for _ in 0..9 {
            bench.wall += HOUR * 24 * 30;
            assert!(!bench.pass(HOUR * 23).believed);
        }
    }
}
