//! When the account logs in to fetch session-ids for guests. Pure.
//!
//! These logins share the host's budget and the gentle pace with all others. A password that was refused is tried by one
//! login, not by one for each session of the pool, and is then held back as any other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{CREDENTIALS, Class, GENTLE, LAST, Logins, Output, PROBE_FIRST, PROBE_LOOPBACK, class};
use crate::backoff::{Ladder, jitter};
use crate::cause::{Cause, Word};

/// A session-id that lasted less than this was of little use; the next is fetched later and later.
const USEFUL: Duration = Duration::from_secs(60);

/// The logins of one service.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    wishes: BTreeMap<usize, Wish>,
    /// When each session last got one, and how often that was in vain.
    last: BTreeMap<usize, (Instant, Ladder)>,
    /// No login before this: one failed, for this cause.
    held: Option<(Instant, Cause)>,
    ladder: Ladder,
    /// Whether the last login worked: until then they go out alone.
    proven: bool,
    /// One would go out and may not yet: the end of another login is the next occasion.
    starved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Not before then.
    Open(Instant),
    /// The login is on its way.
    OnItsWay,
}

impl Fetches {
    pub(super) fn want(&mut self, now: Instant, id: usize, rng: &mut fastrand::Rng) {
        let at = match self.last.get_mut(&id) {
            Some((last, ladder)) if *last + USEFUL > now => now + ladder.next(PROBE_FIRST, LAST, rng),
            Some((_, ladder)) => {
                ladder.reset();
                now
            }
            None => now,
        };
        self.wishes.entry(id).or_insert(Wish::Open(at));
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = usize> {
        self.wishes.keys().copied()
    }

    pub(super) fn held(&self) -> Option<&(Instant, Cause)> {
        self.held.as_ref()
    }

    fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|(until, _)| *until)
    }

    /// Whether the account was refused and is held back for it: nothing but time ends that.
    fn refused(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(until, cause)| *until > now && class(cause.word) == Class::Credentials)
    }

    pub(super) fn fetched(
        &mut self,
        now: Instant,
        id: usize,
        outcome: Result<(), &Cause>,
        probe_last: Duration,
        logins: &mut Logins,
        rng: &mut fastrand::Rng,
    ) {
        if self.wishes.get(&id) != Some(&Wish::OnItsWay) {
            return;
        }
        logins.give_back();
        let Err(cause) = outcome else {
            self.wishes.remove(&id);
            self.last.entry(id).or_insert_with(|| (now, Ladder::default())).0 = now;
            self.ladder.reset();
            // A login that was on its way when another was refused proves nothing for the next.
            if !self.refused(now) {
                (self.proven, self.held) = (true, None);
            }
            return;
        };
        self.wishes.insert(id, Wish::Open(now));
        self.proven = false;
        let class = match cause.word {
            // The focus is there and says no, or nothing at all: that is the deployment's set-up.
            Word::NoSessionId | Word::FocusRefused | Word::FocusSilent => Class::Setup,
            word => class(word),
        };
        let wait = match class {
            Class::Network => self.ladder.next(PROBE_FIRST, probe_last, rng).min(probe_last),
            Class::Setup | Class::Evicted => self.ladder.next(PROBE_LOOPBACK, LAST, rng),
            Class::Credentials => jitter(CREDENTIALS, rng),
        };
        // Others that were on their way fail, too; they do not put the next attempt off. A refusal of the account does.
        let held = self.held_until().is_some_and(|until| until > now);
        if !held || class == Class::Credentials && !self.refused(now) {
            self.held = Some((now + wait, cause.clone()));
        }
    }

    pub(super) fn forget(&mut self, id: usize, logins: &mut Logins) {
        self.last.remove(&id);
        if self.wishes.remove(&id) == Some(Wish::OnItsWay) {
            logins.give_back();
        }
    }

    pub(super) fn abandon(&mut self, logins: &mut Logins) {
        for id in self.wishes.keys().copied().collect::<Vec<_>>() {
            self.forget(id, logins);
        }
    }

    pub(super) fn deadline(&self, gentle: Option<Instant>) -> Option<Instant> {
        if self.starved {
            return None;
        }
        let open = self.wishes.values().filter_map(|wish| match wish {
            Wish::Open(at) => Some(*at),
            Wish::OnItsWay => None,
        });
        let earliest = open.min()?;
        Some([self.held_until(), gentle].into_iter().flatten().fold(earliest, Instant::max))
    }

    pub(super) fn poll(
        &mut self,
        now: Instant,
        logins: &mut Logins,
        gentle: &mut Option<Instant>,
        out: &mut Vec<Output>,
    ) {
        self.starved = false;
        if self.held_until().is_some_and(|until| until > now) {
            return;
        }
        let mut alone = !self.proven && self.wishes.values().any(|wish| *wish == Wish::OnItsWay);
        for (&id, wish) in &mut self.wishes {
            if !matches!(wish, Wish::Open(at) if *at <= now) {
                continue;
            }
            if gentle.is_some_and(|at| at > now) {
                return;
            }
            if alone || !logins.take() {
                self.starved = true;
                return;
            }
            alone = !self.proven;
            if let Some(at) = gentle {
                *at = now + GENTLE;
            }
            *wish = Wish::OnItsWay;
            out.push(Output::Fetch(id));
        }
    }
}
