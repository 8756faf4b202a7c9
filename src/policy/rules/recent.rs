//! How often something happened lately, by person or by text. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most keys that are kept before old ones are looked for.
const MANY: usize = 1024;
/// Most keys that are kept at all; those that were quiet for longest make place.
const MOST: usize = 16_384;

/// Counts within a sliding window.
#[derive(Debug)]
pub(super) struct Recent<K> {
    limit: usize,
    per: Duration,
    by_key: HashMap<K, VecDeque<Instant>>,
    /// When there are as many keys as this, those without a recent hit go.
    sweep_at: usize,
}

impl<K: Hash + Eq> Recent<K> {
    /// Allows `limit` hits within `per`.
    pub(super) fn new(limit: u32, per: Duration) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Recent { limit, per, by_key: HashMap::new(), sweep_at: MANY }
    }

    /// Counts a hit; says whether it is one too many. Counting then begins anew.
    pub(super) fn hit(&mut self, now: Instant, key: K) -> bool {
        if self.by_key.len() >= self.sweep_at {
            let per = self.per;
            self.by_key.retain(|_, hits| hits.back().is_some_and(|last| now.duration_since(*last) < per));
            if self.by_key.len() >= MOST {
                // A half at once, so that a flood of strangers does not sort the list each time.
                let mut lasts: Vec<Instant> = self.by_key.values().filter_map(|hits| hits.back().copied()).collect();
                let (_, half, _) = lasts.select_nth_unstable(MOST / 2);
                let half = *half;
                self.by_key.retain(|_, hits| hits.back().is_some_and(|last| *last > half));
            }
            self.sweep_at = (self.by_key.len() * 2).clamp(MANY, MOST);
        }
        let hits = self.by_key.entry(key).or_default();
        while hits.front().is_some_and(|first| now.duration_since(*first) >= self.per) {
            hits.pop_front();
        }
        if hits.len() >= self.limit {
            hits.clear();
            return true;
        }
        hits.push_back(now);
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;

    #[test]
    fn strangers_without_end_take_no_memory_without_end() {
        let mut recent = Recent::new(2, Duration::from_secs(86_400));
        let start = Instant::now();
        for n in 0..100_000_u32 {
            recent.hit(start + Duration::from_millis(n.into()), n);
            assert!(recent.by_key.len() <= MOST);
        }
        assert!(!recent.hit(start + Duration::from_secs(100), 99_999));
        assert!(recent.hit(start + Duration::from_secs(100), 99_999), "who was last is remembered");
    }
}
