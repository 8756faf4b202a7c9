//! Saying what strangers can bring about at will seldom enough that it fills no log.

use std::time::{Duration, Instant};

/// How long nothing is said after something was.
const QUIET: Duration = Duration::from_secs(60);

/// One thing that may be said again and again.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// It happened: how often it did since it was last said, if it is to be said now.
    pub(super) fn happened(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now < said + QUIET) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_a_thousand_times_in_a_minute_is_said_once_and_then_how_often() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.happened(start), Some(1));
        assert!((0..1000).all(|_| seldom.happened(start + Duration::from_secs(59)).is_none()));
        assert_eq!(seldom.happened(start + QUIET), Some(1001));
        assert_eq!(seldom.happened(start + QUIET), None);
    }
}
