//! How often something happened lately, by person or by text. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most keys that are kept before old ones are looked for.
const MANY: usize = 1024;

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
            self.sweep_at = (self.by_key.len() * 2).max(MANY);
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
