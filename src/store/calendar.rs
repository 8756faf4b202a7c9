//! What time it is, for whoever removes what is old. Pure: both clocks are inputs.
//!
//! A wall clock may be set wrong by months, and who removes on its word empties the record. So one that is a day or more
//! from where it should be is believed when it has gone on from there for a day; until then it is as late as it would
//! have been, and no later than it shows. Time that we were not running for looks the same: what became too old
//! meanwhile goes when we have run for a day, at once or in several starts: a machine that is switched off every evening
//! must not keep everything for ever.

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

/// A clock that is not believed.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// What it showed when it was looked at last: a machine that sleeps at night goes on from there.
    last: Mark,
    /// For how long it had run on until then.
    before: Duration,
}

impl Doubt {
    fn lasted(self, at: Instant) -> Duration {
        self.before.saturating_add(at.saturating_duration_since(self.last.at))
    }
}

/// What outlives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// What the clock showed when it was believed last.
    pub believed: Timestamp,
    /// What it shows where it is not believed, and for how long it ran on so.
    pub doubted: Option<(Timestamp, Duration)>,
}

impl From<Timestamp> for Kept {
    fn from(believed: Timestamp) -> Self {
        Kept { believed, doubted: None }
    }
}

/// A wall clock that is not believed everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    believed: Mark,
    doubted: Option<Doubt>,
    /// What it showed before the start, and for how long it had run on so, until it is looked at.
    earlier: Option<(Timestamp, Duration)>,
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
    /// Goes on from what was kept, perhaps long ago.
    pub(super) fn new(kept: Kept, at: Instant) -> Self {
        Calendar { believed: Mark { wall: kept.believed, at }, doubted: None, earlier: kept.doubted }
    }

    /// What is to be kept.
    pub(super) fn keep(&self, at: Instant) -> Kept {
        let doubted = self.doubted.map(|doubted| (doubted.last.then(at), doubted.lasted(at)));
        Kept { believed: self.believed.wall, doubted }
    }

    /// Looks at the clock, which shows `wall`.
    pub(super) fn look(&mut self, wall: Timestamp, at: Instant) -> Today {
        let now = Mark { wall, at };
        let lasted = self.doubted.filter(|doubted| doubted.last.fits(now)).map(|doubted| doubted.lasted(at));
        if lasted.is_some_and(|lasted| lasted >= DAY) || self.believed.fits(now) {
            *self = Calendar { believed: now, doubted: None, earlier: None };
            return Today { time: wall, believed: true, jumped: None };
        }
        let should = self.believed.then(at);
        let ahead = Duration::try_from(wall.duration_since(should)).ok();
        let jumped = if lasted.is_some() { None } else { ahead };
        // A clock that was set right meanwhile shows less than before.
        let day = SignedDuration::from_hours(24);
        let earlier = self.earlier.take().filter(|(shown, _)| wall.duration_since(*shown) > -day);
        let before = lasted.or(earlier.map(|(_, lasted)| lasted)).unwrap_or_default();
        self.doubted = Some(Doubt { last: now, before });
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
            Bench { calendar: Calendar::new((wall - ago).into(), at), wall, at }
        }

        /// The machine is off for 15 hours.
        fn night(&mut self) {
            let kept = self.calendar.keep(self.at);
            self.wall += HOUR * 15;
            self.calendar = Calendar::new(kept, self.at);
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
    fn what_became_too_old_goes_also_on_a_machine_that_is_switched_off_every_evening() {
        let mut bench = Bench::left(HOUR * 63);
        let left = bench.calendar.keep(bench.at).believed;
        for _ in 0..2 {
            assert!(!bench.pass(Duration::ZERO).believed);
            let today = bench.pass(HOUR * 9);
            assert_eq!((today.believed, today.time), (false, left + HOUR * 9));
            bench.night();
        }
        bench.pass(Duration::ZERO);
        assert_eq!(bench.pass(HOUR * 7), Today { time: bench.wall, believed: true, jumped: None });
        bench.night();
        assert!(bench.pass(Duration::ZERO).believed, "and is believed on");
    }

    #[test]
    fn what_became_too_old_goes_also_on_a_machine_that_sleeps_at_night() {
        let mut bench = Bench::left(HOUR * 63);
        for day in 0..3 {
            let looks: Vec<bool> = (0..9).map(|_| bench.pass(HOUR).believed).collect();
            assert_eq!(looks.last(), Some(&(day == 2)));
            // No other clock than that on the wall goes on meanwhile.
            bench.wall += HOUR * 15;
        }
    }

    #[test]
    fn a_clock_that_was_set_right_between_two_starts_is_doubted_anew() {
        let mut bench = Bench::left(Duration::ZERO);
        bench.wall += HOUR * 24 * 150;
        bench.pass(Duration::ZERO);
        bench.pass(HOUR * 23);
        bench.wall -= HOUR * 24 * 100;
        bench.night();
        bench.pass(Duration::ZERO);
        assert!(!bench.pass(HOUR * 23).believed);
        assert!(bench.pass(HOUR).believed);
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
