//! Acknowledgement counters and the queue of what is not yet acknowledged. Pure.
//!
//! Source: XEP-0198 §4 "Acks", §5 "Resumption".

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Management, Resume};
use crate::cause::{Cause, Word};
use crate::xml::{self, Element, Limits};
use crate::xmpp::{element, ns};

/// Counts stanzas both ways and keeps those that the server has not acknowledged.
///
/// Only stanzas count (`message`, `presence`, `iq`; see [`crate::xmpp::stanza::counts`]), refused ones included: a
/// stanza that is not counted comes again on every resumption.
#[derive(Default)]
pub struct Acks {
    /// What the server said of stream management; `None`: nothing is counted or kept.
    management: Option<Management>,
    /// Stanzas received, modulo 2^32.
    handled: u32,
    /// The server's last count.
    acknowledged: u32,
    /// Stanzas sent and not acknowledged, as text.
    queue: VecDeque<Box<str>>,
    bytes: usize,
    /// Stanzas sent since the last request.
    unasked: usize,
    /// When the first of them was sent.
    unasked_since: Option<Instant>,
    /// When the first request went out that nothing was acknowledged since.
    waiting_since: Option<Instant>,
}

/// What is kept to be sent again holds room passwords and session-ids.
impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acks")
            .field("management", &self.management)
            .field("handled", &self.handled)
            .field("acknowledged", &self.acknowledged)
            .field("queue", &format_args!("[{} stanzas]", self.queue.len()))
            .finish_non_exhaustive()
    }
}

impl Acks {
    /// An acknowledgement is asked for after so many stanzas …
    pub const ASK_AFTER: usize = 50;
    /// … or so long after the first of them.
    pub const ASK_WITHIN: Duration = Duration::from_secs(1);
    /// Above so many unacknowledged stanzas …
    pub const FULL_STANZAS: usize = 1_000;
    /// … or bytes of them, whatever can wait must wait.
    pub const FULL_BYTES: usize = 1024 * 1024;

    /// How long the server may acknowledge nothing. Long: where it reads 10 kB a second a request waits behind what was
    /// sent before it.
    pub const PATIENCE: Duration = Duration::from_secs(300);

    /// How long a server keeps a lost session, where it does not say. Prosody's default is longer.
    pub const KEEPS: Duration = Duration::from_secs(60);

    /// Begins a session at zero; without `management` nothing is counted.
    pub fn start(&mut self, management: Option<&Management>) {
        *self = Acks { management: management.cloned(), ..Acks::default() };
    }

    /// Forgets everything: the session is over.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// What to resume with after a loss; `None` when the session can not be resumed.
    #[must_use]
    pub fn resume_request(&self) -> Option<Resume> {
        let id = self.management.as_ref()?.id.clone()?;
        Some(Resume { id, handled: self.handled })
    }

    /// How long the server keeps the session after a loss; `None` when it can not be resumed.
    #[must_use]
    pub fn keeps(&self) -> Option<Duration> {
        let management = self.management.as_ref().filter(|management| management.id.is_some())?;
        Some(management.max.unwrap_or(Self::KEEPS))
    }

    /// Notes a stanza that goes out now.
    pub fn sent(&mut self, now: Instant, stanza: &Element) {
        if self.management.is_none() {
            return;
        }
        let text = xml::to_string(stanza, Some(ns::CLIENT)).into_boxed_str();
        self.bytes += text.len();
        self.queue.push_back(text);
        self.unasked += 1;
        self.unasked_since.get_or_insert(now);
    }

    /// Notes a stanza that came in, understood or not.
    pub fn received(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// How many stanzas came in; for `<resume h=…/>`.
    #[must_use]
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// `<a/>`, the answer to every `<r/>`.
    #[must_use]
    pub fn answer(&self) -> Element {
        element("a", ns::SM).attr("h", &self.handled.to_string()).into()
    }

    /// Notes that `<r/>` goes out now.
    pub fn requested(&mut self, now: Instant) {
        self.all_asked();
        self.waiting_since.get_or_insert(now);
    }

    fn all_asked(&mut self) {
        self.unasked = 0;
        self.unasked_since = None;
    }

    /// When the server's patience with our requests is over; `None` while none is open.
    #[must_use]
    pub fn give_up_at(&self) -> Option<Instant> {
        Some(self.waiting_since? + Self::PATIENCE)
    }

    /// Goes on without acknowledgements, which the server promised and does not give: nothing is kept any more, and the
    /// session can not be resumed. What comes in is counted as before.
    pub fn give_up(&mut self) {
        *self = Acks { handled: self.handled, ..Acks::default() };
    }

    /// Whether `<r/>` is due.
    #[must_use]
    pub fn wants_request(&self, now: Instant) -> bool {
        self.request_at().is_some_and(|due| due <= now)
    }

    /// When `<r/>` is due; in the past when it is overdue.
    #[must_use]
    pub fn request_at(&self) -> Option<Instant> {
        let since = self.unasked_since?;
        Some(if self.unasked >= Self::ASK_AFTER { since } else { since + Self::ASK_WITHIN })
    }

    /// Drops what the server has handled.
    ///
    /// # Errors
    /// The server counts more than was sent, or goes back: the counters no longer agree and the session can not be
    /// resumed. Source: XEP-0198 §4 (`handled-count-too-high`).
    pub fn acknowledged(&mut self, h: u32) -> Result<(), Cause> {
        if self.management.is_none() {
            return Ok(());
        }
        let new = usize::try_from(h.wrapping_sub(self.acknowledged)).unwrap_or(usize::MAX);
        if new > self.queue.len() {
            let text = format!("the server acknowledges {h} stanzas, {} are unacknowledged", self.queue.len());
            return Err(Cause::new(Word::ProtocolError, text));
        }
        for text in self.queue.drain(..new) {
            self.bytes -= text.len();
        }
        self.acknowledged = h;
        self.waiting_since = None;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
            self.all_asked();
        }
        Ok(())
    }

    /// How many stanzas are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes they have.
    #[must_use]
    pub fn unacknowledged_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether what can wait, joins above all, must wait for acknowledgements.
    #[must_use]
    pub fn full(&self) -> bool {
        self.queue.len() > Self::FULL_STANZAS || self.bytes > Self::FULL_BYTES
    }

    /// After `<resumed h=…/>`: what to send again, in order. It stays queued and must not be noted as sent again.
    ///
    /// A server whose count does not agree with ours is believed: then nothing is sent again.
    pub fn resumed(&mut self, h: u32) -> Vec<Element> {
        if self.acknowledged(h).is_err() {
            self.queue = VecDeque::new();
            self.bytes = 0;
            self.acknowledged = h;
        }
        self.all_asked();
        self.waiting_since = None;
        // We wrote them, so none is over a limit.
        let limits = Limits { stanza_bytes: usize::MAX, depth: usize::MAX, nodes: usize::MAX, token_bytes: usize::MAX };
        self.queue.iter().filter_map(|text| xml::parse(text.as_bytes(), &limits).ok()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn message(id: usize) -> Element {
        element("message", ns::CLIENT).attr("id", &id.to_string()).into()
    }

    fn filled(count: usize) -> (Acks, Instant) {
        let now = Instant::now();
        let mut acks = Acks::default();
        acks.start(Some(&Management { id: Some("id".into()), max: None }));
        for id in 0..count {
            acks.sent(now, &message(id));
        }
        (acks, now)
    }

    #[test]
    fn what_is_acknowledged_is_forgotten_and_the_rest_is_sent_again_in_order() {
        let (mut acks, _) = filled(5);
        acks.acknowledged(2).unwrap();
        let again = acks.resumed(3);
        assert_eq!(again, [message(3), message(4)]);
        assert_eq!(acks.unacknowledged(), 2);
        acks.acknowledged(5).unwrap();
        assert_eq!((acks.unacknowledged(), acks.unacknowledged_bytes(), acks.queue.capacity()), (0, 0, 0));
    }

    #[test]
    fn counters_wrap() {
        let (mut acks, _) = filled(3);
        acks.acknowledged = u32::MAX - 1;
        acks.handled = u32::MAX;
        acks.acknowledged(1).unwrap();
        acks.received();
        assert_eq!((acks.unacknowledged(), acks.handled()), (0, 0));
    }

    #[test]
    fn a_count_beyond_what_was_sent_or_going_back_is_an_error_and_no_end() {
        let (mut acks, _) = filled(3);
        acks.acknowledged(2).unwrap();
        assert!(acks.acknowledged(4).is_err());
        assert!(acks.acknowledged(1).is_err());
        assert_eq!(acks.unacknowledged(), 1);
        assert_eq!(acks.resumed(9), []);
        acks.sent(Instant::now(), &message(9));
        acks.acknowledged(10).unwrap();
    }

    #[test]
    fn an_acknowledgement_is_asked_for_after_fifty_stanzas_or_a_second() {
        let (acks, now) = filled(0);
        assert!(!acks.wants_request(now + Duration::from_secs(9)));
        let (mut acks, now) = filled(1);
        assert!(!acks.wants_request(now));
        assert!(acks.wants_request(now + Acks::ASK_WITHIN));
        acks.requested(now + Acks::ASK_WITHIN);
        assert!(!acks.wants_request(now + Acks::ASK_WITHIN));
        let (acks, now) = filled(50);
        assert!(acks.wants_request(now));
    }

    #[test]
    fn it_is_full_above_a_thousand_stanzas_or_a_mebibyte() {
        let (mut acks, now) = filled(1_000);
        assert!(!acks.full());
        acks.sent(now, &message(0));
        assert!(acks.full());
        acks.start(Some(&Management { id: None, max: None }));
        acks.sent(now, &element("message", ns::CLIENT).text(&"x".repeat(Acks::FULL_BYTES)).into());
        assert!(acks.full());
    }

    #[test]
    fn without_stream_management_nothing_is_kept() {
        let mut acks = Acks::default();
        acks.sent(Instant::now(), &message(1));
        assert_eq!((acks.unacknowledged(), acks.request_at(), acks.resume_request()), (0, None, None));
        acks.start(Some(&Management { id: None, max: None }));
        assert_eq!((acks.keeps(), acks.resume_request()), (None, None));
        acks.start(Some(&Management { id: Some("x".into()), max: Some(Duration::from_secs(5)) }));
        acks.received();
        assert_eq!(acks.keeps(), Some(Duration::from_secs(5)));
        assert_eq!(acks.resume_request(), Some(Resume { id: "x".into(), handled: 1 }));
    }

    #[test]
    fn a_server_that_never_acknowledges_is_not_waited_for_without_end() {
        let (mut acks, now) = filled(2_000);
        acks.received();
        acks.requested(now);
        acks.requested(now + Duration::from_secs(100));
        assert_eq!(acks.give_up_at(), Some(now + Acks::PATIENCE));
        acks.acknowledged(1).unwrap();
        assert_eq!(acks.give_up_at(), None);
        acks.requested(now);
        acks.give_up();
        acks.sent(now, &message(1));
        assert_eq!((acks.full(), acks.unacknowledged(), acks.resume_request()), (false, 0, None));
        assert_eq!((acks.handled(), acks.give_up_at(), acks.request_at()), (1, None, None));
        acks.acknowledged(2_000).unwrap();
    }
}
