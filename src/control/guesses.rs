//! Who shows wrong secrets, and has to wait: nobody is to try them all.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong secrets are counted over this time, and so long nobody is listened to who showed too many.
const WINDOW: Duration = Duration::from_secs(60);
/// How many strangers are remembered; the machine's memory must not depend on their number.
const STRANGERS: usize = 1024;

/// The wrong secrets of lately, by whoever showed them.
#[derive(Debug)]
pub(super) struct Guesses<K> {
    most: u32,
    wrong: Mutex<HashMap<K, Wrong>>,
}

/// How many wrong secrets there were since the first of them, or since the one that was too much.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    since: Instant,
}

impl<K: Eq + Hash> Guesses<K> {
    /// So many in a minute are too many.
    pub(super) fn new(most: u32) -> Self {
        Guesses { most, wrong: Mutex::default() }
    }

    /// Whether they showed so many that they are not listened to now.
    pub(super) fn are_many<Q: Eq + Hash + ?Sized>(&self, now: Instant, who: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get(who).is_some_and(|wrong| wrong.count >= self.most && now < wrong.since + WINDOW)
    }

    /// Counts a wrong secret; answers how many there were lately.
    pub(super) fn count(&self, now: Instant, who: K) -> u32 {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= STRANGERS {
            wrong.retain(|_, wrong| now < wrong.since + WINDOW);
        }
        if wrong.len() >= STRANGERS {
            wrong.clear();
        }
        let fresh = Wrong { count: 0, since: now };
        let counted = wrong.entry(who).or_insert(fresh);
        if now >= counted.since + WINDOW {
            *counted = fresh;
        }
        counted.count = counted.count.saturating_add(1);
        if counted.count == self.most {
            counted.since = now;
        }
        counted.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_too_many_wrong_secrets_in_a_minute_waits_for_a_whole_one_and_nobody_else_does() {
        let (guesses, start) = (Guesses::<&str>::new(3), Instant::now());
        let later = start + WINDOW / 2;
        assert_eq!([start, start, later].map(|now| guesses.count(now, "a")), [1, 2, 3]);
        assert!(guesses.are_many(later, "a") && !guesses.are_many(later, "b"));
        assert!(guesses.are_many(start + WINDOW, "a"), "the minute begins with the last one");
        assert_eq!(guesses.count(start + WINDOW, "a"), 4);
        assert!(!guesses.are_many(later + WINDOW, "a"), "and what came meanwhile does not make it longer");
        assert_eq!(guesses.count(later + WINDOW, "a"), 1);
    }

    #[test]
    fn wrong_secrets_that_are_far_apart_shut_nobody_out() {
        let (guesses, start) = (Guesses::<&str>::new(3), Instant::now());
        assert!((0..10).all(|minute| guesses.count(start + WINDOW * minute, "a") == 1));
    }

    #[test]
    fn strangers_are_bounded() {
        let (guesses, now) = (Guesses::new(3), Instant::now());
        assert!((0..3 * STRANGERS).all(|stranger| guesses.count(now, stranger) == 1));
        assert!(guesses.wrong.lock().is_ok_and(|wrong| wrong.len() <= STRANGERS));
    }
}
