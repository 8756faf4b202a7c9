//! When to try again: doubling with jitter, from a seed given at construction. Pure.

use std::time::Duration;

/// Counts failed tries and says how long to wait before the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ladder {
    tries: u8,
}

impl Ladder {
    /// The next wait: `first`, doubled for each try since the last [`Ladder::reset`], at most `most`, and then 20 %
    /// shorter to 20 % longer so that many do not come at once.
    pub fn next(&mut self, first: Duration, most: Duration, rng: &mut fastrand::Rng) -> Duration {
        let doubled = first.saturating_mul(1u32 << self.tries.min(20)).min(most.max(first));
        self.tries = self.tries.saturating_add(1);
        jitter(doubled, rng)
    }

    /// Starts again at the first wait.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many waits were asked for since the last reset.
    #[must_use]
    pub fn tries(self) -> u8 {
        self.tries
    }
}

/// `wait`, 20 % shorter to 20 % longer.
pub fn jitter(wait: Duration, rng: &mut fastrand::Rng) -> Duration {
    wait.mul_f64(0.8 + 0.4 * rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_cap_within_their_jitter() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut ladder = Ladder::default();
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(300));
        for plain in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0] {
            let wait = ladder.next(first, most, &mut rng).as_secs_f64();
            assert!((plain * 0.8..=plain * 1.2).contains(&wait), "{plain}: {wait}");
        }
        ladder.reset();
        assert!(ladder.next(first, most, &mut rng) <= Duration::from_millis(1200));
    }

    #[test]
    fn a_thousand_tries_do_not_overflow() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut ladder = Ladder::default();
        for _ in 0..1000 {
            let wait = ladder.next(Duration::from_secs(120), Duration::from_secs(60), &mut rng);
            assert!(wait <= Duration::from_secs(144));
        }
    }
}
