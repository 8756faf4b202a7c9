//! Escalation: how many offences somebody has committed lately, and what comes next. Pure.
//!
//! Strikes outlive the person's stay and ours: they are kept by [`OccupantKey`], each until it is forgotten, and go
//! out and come in as wall-clock times, since a monotonic clock means nothing after a restart.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::OccupantKey;
use super::options::Span;
use super::{Now, Sanction};

/// Most people whose strikes are kept; those forgotten soonest make place.
const MOST: usize = 10_000;

/// `[policy.strikes]`: what the first offence brings, the second, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Steps {
    /// One for each strike that is not forgotten; the last one also for all that follow.
    pub steps: Vec<Sanction>,
    /// After how long a strike is forgotten.
    pub forget: Span,
}

impl Default for Steps {
    fn default() -> Self {
        let ban = Sanction::Ban { lasts: Some(Duration::from_secs(3600)) };
        Steps { steps: vec![Sanction::Warn, Sanction::Mute, Sanction::Kick, ban], forget: Span::seconds(3600) }
    }
}

/// Who has how many strikes.
#[derive(Debug, Default)]
pub struct Strikes {
    /// When each of somebody's strikes is forgotten, in order.
    by_key: HashMap<OccupantKey, Vec<Instant>>,
}

/// One person's strikes as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Whose.
    pub who: OccupantKey,
    /// When each of them is forgotten.
    pub until: Vec<Timestamp>,
}

impl Strikes {
    /// Adds a strike and says what it brings.
    pub fn add(&mut self, now: Instant, who: &OccupantKey, steps: &Steps) -> Sanction {
        if !self.by_key.contains_key(who) && self.by_key.len() >= MOST {
            self.make_place(now);
        }
        let strikes = self.by_key.entry(who.clone()).or_default();
        strikes.retain(|until| *until > now);
        // More than there are steps say nothing more, but each must be forgotten in its own time.
        if strikes.len() >= steps.steps.len().max(1) {
            strikes.remove(0);
        }
        strikes.push(now + steps.forget.0);
        let step = strikes.len().min(steps.steps.len());
        step.checked_sub(1).map_or(Sanction::Note, |step| steps.steps[step])
    }

    /// How many strikes somebody has.
    #[must_use]
    pub fn count(&self, now: Instant, who: &OccupantKey) -> usize {
        self.by_key.get(who).map_or(0, |strikes| strikes.iter().filter(|until| **until > now).count())
    }

    /// Forgets somebody's strikes: a person said that they were not earned.
    pub fn pardon(&mut self, who: &OccupantKey) {
        self.by_key.remove(who);
    }

    fn make_place(&mut self, now: Instant) {
        self.by_key.retain(|_, strikes| strikes.last().is_some_and(|until| *until > now));
        if self.by_key.len() < MOST {
            return;
        }
        // A tenth at once, so that a flood of strangers does not sort the list each time.
        let mut ends: Vec<Instant> = self.by_key.values().filter_map(|strikes| strikes.last().copied()).collect();
        let (_, tenth, _) = ends.select_nth_unstable(MOST / 10);
        let tenth = *tenth;
        self.by_key.retain(|_, strikes| strikes.last().is_some_and(|until| *until > tenth));
    }

    /// What is to be stored, by key.
    #[must_use]
    pub fn export(&self, now: Now) -> Vec<Stored> {
        let mut stored: Vec<_> = self
            .by_key
            .iter()
            .map(|(who, strikes)| {
                let until = strikes.iter().filter(|until| **until > now.at);
                Stored { who: who.clone(), until: until.map(|until| now.clock_at(*until)).collect() }
            })
            .filter(|stored| !stored.until.is_empty())
            .collect();
        stored.sort_by(|a, b| a.who.cmp(&b.who));
        stored
    }

    /// Takes in what was stored. Where the clock was set meanwhile, none lasts longer than one that is given now.
    pub fn import(&mut self, now: Now, stored: &[Stored], steps: &Steps) {
        let longest = now.at + steps.forget.0;
        for Stored { who, until } in stored.iter().take(MOST) {
            let until = until.iter().filter_map(|until| now.instant_of(*until));
            let mut strikes: Vec<Instant> = until.map(|until| until.min(longest)).collect();
            strikes.sort_unstable();
            if !strikes.is_empty() {
                self.by_key.insert(who.clone(), strikes);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::policy::identity::Rung;

    fn key(name: &str) -> OccupantKey {
        OccupantKey::new(Rung::Account, name)
    }

    #[test]
    fn each_strike_is_a_step_and_the_last_step_stays() {
        let (steps, now) = (Steps::default(), Instant::now());
        let mut strikes = Strikes::default();
        let words: Vec<_> = (0..6).map(|_| strikes.add(now, &key("a@b"), &steps).to_string()).collect();
        assert_eq!(words, ["warn", "mute", "kick", "ban 1h", "ban 1h", "ban 1h"]);
        assert_eq!(strikes.add(now, &key("c@b"), &steps), Sanction::Warn);
    }

    #[test]
    fn each_strike_is_forgotten_in_its_own_time() {
        let (steps, start) = (Steps::default(), Instant::now());
        let minutes = |minutes: u64| start + Duration::from_secs(minutes * 60);
        let mut strikes = Strikes::default();
        strikes.add(start, &key("a@b"), &steps);
        assert_eq!(strikes.add(minutes(30), &key("a@b"), &steps), Sanction::Mute);
        assert_eq!(strikes.count(minutes(61), &key("a@b")), 1);
        assert_eq!(strikes.add(minutes(61), &key("a@b"), &steps), Sanction::Mute);
        assert_eq!(strikes.add(minutes(200), &key("a@b"), &steps), Sanction::Warn);
    }

    #[test]
    fn a_restart_forgets_nothing_and_an_outage_counts() {
        let (steps, start) = (Steps::default(), Instant::now());
        let clock: Timestamp = "2026-03-01T10:00:00Z".parse().expect("a time");
        let before = Now { at: start, clock };
        let mut strikes = Strikes::default();
        strikes.add(start, &key("a@b"), &steps);
        strikes.add(start + Duration::from_secs(1800), &key("a@b"), &steps);
        let text = serde_json::to_string(&strikes.export(before)).expect("plain data");
        let stored: Vec<Stored> = serde_json::from_str(&text).expect("what was just written");

        // The monotonic clock starts elsewhere, the wall clock went on for 70 minutes: one strike is gone.
        let later = Instant::now() + Duration::from_secs(99);
        let mut again = Strikes::default();
        again.import(Now { at: later, clock: clock + Duration::from_secs(70 * 60) }, &stored, &steps);
        assert_eq!(again.count(later, &key("a@b")), 1);
        assert_eq!(again.add(later, &key("a@b"), &steps), Sanction::Mute);
    }

    #[test]
    fn any_number_of_strangers_fits_into_bounded_memory() {
        let (steps, start) = (Steps::default(), Instant::now());
        let mut strikes = Strikes::default();
        for n in 0..(MOST as u64 * 2) {
            strikes.add(start + Duration::from_millis(n), &key(&format!("{n}@b")), &steps);
        }
        assert!(strikes.by_key.len() <= MOST);
        let last = format!("{}@b", MOST * 2 - 1);
        assert_eq!(strikes.count(start, &key(&last)), 1);
    }

    #[test]
    fn a_clock_that_was_wrong_makes_no_strike_last_for_years() {
        let steps = Steps::default();
        let now = Instant::now();
        let clock: Timestamp = "2026-03-02T12:00:00Z".parse().expect("a time");
        let mut strikes = Strikes::default();
        let who = key("eve@a.example");
        strikes.add(now, &who, &steps);
        let stored = strikes.export(Now { at: now, clock });
        // A machine without a battery begins in 1970.
        let mut again = Strikes::default();
        again.import(Now { at: now, clock: Timestamp::UNIX_EPOCH }, &stored, &steps);
        assert_eq!(again.count(now, &who), 1);
        assert_eq!(again.count(now + steps.forget.0, &who), 0);
    }
}
