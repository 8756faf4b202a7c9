//! How many joins may be on their way, and how many a second. Pure.
//!
//! Servers read a connection at a limited rate (docker-jitsi-meet: 10 kB/s) and say nothing of it; what is sent too
//! early only waits in front of our own pings. So what is unanswered is counted: the window grows while answers come
//! quickly and halves when they come slowly.

use std::time::{Duration, Instant};

use crate::config::PaceKind;

/// Answers quicker than this let the window grow.
const QUICK: Duration = Duration::from_millis(500);
/// Answers slower than this halve it.
const SLOW: Duration = Duration::from_secs(2);
/// Answers slower than this, and ten times slower than before, look like a server that throttles in silence.
const THROTTLED: Duration = Duration::from_secs(8);
const FIRST_WINDOW: f64 = 8.0;
const LAST_WINDOW: f64 = 512.0;

/// The window of one session.
#[derive(Debug)]
pub struct Pace {
    kind: PaceKind,
    window: f64,
    /// Until the first slow answer the window doubles with each round, afterwards it grows by one.
    starting: bool,
    halved_at: Option<Instant>,
    usual: Option<Duration>,
    joins: Bucket,
    questions: Bucket,
}

impl Pace {
    /// A fresh window.
    #[must_use]
    pub fn new(kind: PaceKind, now: Instant) -> Self {
        Pace {
            kind,
            window: FIRST_WINDOW,
            starting: true,
            halved_at: None,
            usual: None,
            // What PROSODY_ENABLE_RATE_LIMITS lets pass, with a margin: presence 4/s and IQs 15/s in bursts of 2 s.
            joins: Bucket::new(2.0, 2.0, now),
            questions: Bucket::new(10.0, 5.0, now),
        }
    }

    /// How it paces now.
    #[must_use]
    pub fn kind(&self) -> PaceKind {
        self.kind
    }

    /// Paces by fixed rates from now on.
    pub fn limit(&mut self) {
        self.kind = PaceKind::RateLimited;
    }

    /// Takes a place for a join or a question; otherwise says when to ask again (`None`: when an answer comes).
    pub fn take(&mut self, now: Instant, in_flight: usize, join: bool) -> Result<(), Option<Instant>> {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
        if in_flight as f64 >= self.window {
            return Err(None);
        }
        if self.kind == PaceKind::RateLimited {
            // Both or none: what is taken for nothing is missing next time.
            if join {
                self.joins.has_one(now).map_err(Some)?;
            }
            self.questions.take(now).map_err(Some)?;
            if join {
                self.joins.take(now).map_err(Some)?;
            }
        }
        Ok(())
    }

    /// A room was answered after `took`; says whether the server began to throttle.
    pub fn answered(&mut self, now: Instant, took: Duration) -> bool {
        let usual = *self.usual.get_or_insert(took);
        if took > THROTTLED && took > usual * 10 && self.kind == PaceKind::Adaptive {
            self.halve(now, took);
            self.kind = PaceKind::RateLimited;
            return true;
        }
        if took < QUICK {
            self.window += if self.starting { 1.0 } else { 1.0 / self.window };
            self.window = self.window.min(LAST_WINDOW);
            self.usual = Some((usual * 7 + took) / 8);
        } else if took > SLOW {
            self.halve(now, took);
        }
        false
    }

    /// The server complained that we ask too much.
    pub fn complained(&mut self, now: Instant) {
        self.halve(now, Duration::ZERO);
    }

    fn halve(&mut self, now: Instant, took: Duration) {
        // What was sent before the last halving says nothing about the window since.
        if self.halved_at.is_some_and(|at| at + took > now) {
            return;
        }
        self.starting = false;
        self.halved_at = Some(now);
        self.window = (self.window / 2.0).max(1.0);
    }
}

/// So many a second, with a burst.
#[derive(Debug)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Bucket { rate, burst, tokens: burst, at: now }
    }

    /// The cap on joins of a whole service: a tenth of a second's worth may go at once.
    #[must_use]
    pub fn per_second(joins: u32, now: Instant) -> Self {
        Bucket::new(f64::from(joins), (f64::from(joins) / 10.0).max(1.0), now)
    }

    /// Whether there is anything left.
    pub fn has_any(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens > 0.0
    }

    /// Takes as many as were needed, even if that is more than there are: what comes next waits the longer.
    pub fn spend(&mut self, now: Instant, many: usize) {
        self.refill(now);
        #[expect(clippy::cast_precision_loss, reason = "the bytes of a stanza")]
        let many = many as f64;
        self.tokens -= many;
    }

    fn refill(&mut self, now: Instant) {
        self.tokens = (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = self.at.max(now);
    }

    /// Takes one, or says when there is one.
    ///
    /// # Errors
    /// When the next one is there.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.has_one(now)?;
        self.tokens -= 1.0;
        Ok(())
    }

    /// Whether there is one to take.
    ///
    /// # Errors
    /// When the next one is there.
    pub fn has_one(&mut self, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        if self.tokens >= 1.0 {
            return Ok(());
        }
        // At least a little: the last billionth of a token is rounded away, and would be waited for in a circle.
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.rate.max(0.001));
        Err(now + wait.max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods)]

    use super::*;

    const QUICKLY: Duration = Duration::from_millis(5);

    #[test]
    fn quick_answers_open_the_window_and_slow_ones_halve_it_once_a_round() {
        let mut now = Instant::now();
        let mut pace = Pace::new(PaceKind::Adaptive, now);
        for _ in 0..100 {
            assert!(!pace.answered(now, QUICKLY));
        }
        assert!(pace.take(now, 107, true).is_ok());
        assert_eq!(pace.take(now, 108, true), Err(None));
        now += Duration::from_secs(3);
        for _ in 0..50 {
            pace.answered(now, Duration::from_secs(3));
        }
        assert!(pace.take(now, 53, true).is_ok());
        assert_eq!(pace.take(now, 54, true), Err(None));
    }

    #[test]
    fn a_server_that_falls_silent_for_long_is_obeyed() {
        let now = Instant::now();
        let mut pace = Pace::new(PaceKind::Adaptive, now);
        for _ in 0..20 {
            pace.answered(now, QUICKLY);
        }
        assert!(pace.answered(now + Duration::from_secs(9), Duration::from_secs(9)));
        assert_eq!(pace.kind(), PaceKind::RateLimited);
    }

    #[test]
    fn a_rate_limited_session_sends_two_joins_a_second() {
        let mut now = Instant::now();
        let mut pace = Pace::new(PaceKind::RateLimited, now);
        let mut joined = 0;
        let end = now + Duration::from_secs(10);
        while now < end {
            match pace.take(now, 0, true) {
                Ok(()) => joined += 1,
                Err(at) => now = at.expect("a time").max(now + Duration::from_millis(1)),
            }
        }
        assert!((19..=23).contains(&joined), "{joined}");
    }

    #[test]
    fn a_join_that_has_to_wait_takes_no_place_of_a_question() {
        let now = Instant::now();
        let mut pace = Pace::new(PaceKind::RateLimited, now);
        while pace.take(now, 0, true).is_ok() {}
        for _ in 0..100 {
            assert!(pace.take(now, 0, true).is_err());
        }
        let questions = (0..100).filter(|_| pace.take(now, 0, false).is_ok()).count();
        assert_eq!(questions, 3, "of five, two went with the joins");
    }

    #[test]
    fn a_bucket_gives_its_rate_and_not_more() {
        let start = Instant::now();
        let mut bucket = Bucket::per_second(200, start);
        let (mut now, mut given) = (start, 0);
        while now < start + Duration::from_secs(5) {
            match bucket.take(now) {
                Ok(()) => given += 1,
                Err(at) => now = at,
            }
        }
        assert!((990..=1030).contains(&given), "{given}");
    }
}
