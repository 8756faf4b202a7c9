//! Questions awaiting answers, by peer and id, each with a deadline. Pure.
//!
//! An answer counts only from the one who was asked. Source: RFC 6120 §8.2.3 "IQ Semantics".

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Questions of kind `T`.
#[derive(Debug)]
pub struct Questions<T> {
    prefix: Box<str>,
    next: u64,
    open: HashMap<u64, Open<T>>,
    deadlines: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Open<T> {
    peer: Box<str>,
    give_up_at: Instant,
    about: T,
}

impl<T> Questions<T> {
    /// None yet. `prefix` makes ids that others cannot guess.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Questions { prefix: prefix.into(), next: 0, open: HashMap::new(), deadlines: BTreeSet::new() }
    }

    /// A fresh id that awaits no answer.
    pub fn id(&mut self) -> String {
        self.next += 1;
        format!("{}{}", self.prefix, self.next)
    }

    /// Notes a question to `peer` and makes its id. An empty `peer` is our own server.
    pub fn ask(&mut self, peer: &str, about: T, now: Instant, patience: Duration) -> String {
        let id = self.id();
        let give_up_at = now + patience;
        self.open.insert(self.next, Open { peer: peer.into(), give_up_at, about });
        self.deadlines.insert((give_up_at, self.next));
        id
    }

    /// Takes the question that this answer belongs to. `from_server` says whether a sender is our own server, whose
    /// answers may come without `from`, from our bare JID or from the domain.
    pub fn answer(&mut self, from: Option<&str>, id: &str, from_server: impl Fn(&str) -> bool) -> Option<T> {
        let number: u64 = id.strip_prefix(&*self.prefix)?.parse().ok()?;
        let peer = &self.open.get(&number)?.peer;
        let matches = match from {
            Some(from) => from == &**peer || (peer.is_empty() && from_server(from)),
            None => peer.is_empty() || from_server(peer),
        };
        if matches { self.take(number) } else { None }
    }

    /// Takes a question whose deadline passed.
    pub fn expired(&mut self, now: Instant) -> Option<T> {
        let &(at, number) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.take(number)
    }

    /// When the next deadline passes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.open = HashMap::new();
        self.deadlines.clear();
    }

    /// Forgets those that are not to be kept; the others may be answered until `give_up_at`.
    pub fn keep(&mut self, keeps: impl Fn(&T) -> bool, give_up_at: Instant) {
        self.open.retain(|_, open| keeps(&open.about));
        self.deadlines.clear();
        for (number, open) in &mut self.open {
            open.give_up_at = give_up_at;
            self.deadlines.insert((give_up_at, *number));
        }
    }

    fn take(&mut self, number: u64) -> Option<T> {
        let open = self.open.remove(&number)?;
        self.deadlines.remove(&(open.give_up_at, number));
        if self.open.is_empty() {
            // A burst of joins leaves a large table behind.
            self.open = HashMap::new();
        }
        Some(open.about)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods)]

    use super::*;

    #[test]
    fn an_answer_counts_only_from_the_one_who_was_asked() {
        let now = Instant::now();
        let mut questions = Questions::new("x");
        let id = questions.ask("focus.example", 1, now, Duration::from_secs(1));
        assert_eq!(questions.answer(Some("mallory.example"), &id, |_| false), None);
        assert_eq!(questions.answer(None, &id, |_| false), None);
        assert_eq!(questions.answer(Some("focus.example"), "y1", |_| false), None);
        assert_eq!(questions.answer(Some("focus.example"), &id, |_| false), Some(1));
        assert_eq!(questions.answer(Some("focus.example"), &id, |_| false), None);
    }

    #[test]
    fn our_own_server_may_answer_without_a_name() {
        let now = Instant::now();
        let mut questions = Questions::new("x");
        let own = |from: &str| from == "example" || from == "a@example";
        let id = questions.ask("", 1, now, Duration::from_secs(1));
        assert_eq!(questions.answer(Some("b@example"), &id, own), None);
        assert_eq!(questions.answer(Some("a@example"), &id, own), Some(1));
        let id = questions.ask("example", 2, now, Duration::from_secs(1));
        assert_eq!(questions.answer(None, &id, own), Some(2));
    }

    #[test]
    fn what_is_kept_may_be_answered_for_longer_and_the_rest_no_more() {
        let now = Instant::now();
        let (soon, later) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let mut questions = Questions::new("x");
        let kept = questions.ask("a", 'a', now, Duration::from_secs(1));
        let forgotten = questions.ask("b", 'b', now, Duration::from_secs(2));
        questions.keep(|about| *about == 'a', later);
        assert_eq!((questions.expired(soon), questions.deadline()), (None, Some(later)));
        assert_eq!(questions.answer(Some("b"), &forgotten, |_| false), None);
        assert_eq!(questions.answer(Some("a"), &kept, |_| false), Some('a'));
        assert_eq!(questions.deadline(), None);
    }

    #[test]
    fn every_question_ends_at_its_deadline() {
        let now = Instant::now();
        let mut questions = Questions::new("x");
        questions.ask("a", 'a', now, Duration::from_secs(2));
        questions.ask("b", 'b', now, Duration::from_secs(1));
        assert_eq!(questions.deadline(), Some(now + Duration::from_secs(1)));
        assert_eq!(questions.expired(now), None);
        assert_eq!(questions.expired(now + Duration::from_secs(3)), Some('b'));
        assert_eq!(questions.expired(now + Duration::from_secs(3)), Some('a'));
        assert_eq!(questions.deadline(), None);
    }
}
