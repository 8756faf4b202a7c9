//! What a session knows of the focus: its authentication session, and whether it may be asked. Pure.
//!
//! Jicofo makes a new authentication session for each request without a session-id and keeps it for a day, so the
//! first request of a session goes alone and the others carry what it brought.

use std::time::Instant;

use crate::room::FocusFacts;
use crate::xmpp::jitsi::conference::{Answer, Granted};

/// The focus as one session sees it.
#[derive(Debug)]
pub struct Focus {
    /// Its address: `focus.meet.jitsi`.
    pub address: Box<str>,
    /// Stable for this session's place in the pool, over reconnects and restarts; a secret of a kind.
    machine_uid: Box<str>,
    session_id: Option<Box<str>>,
    facts: FocusFacts,
    gate: Gate,
    first_pending: bool,
    /// Counts session-ids, so that a late refusal of an old one does not drop its successor.
    generation: u32,
    last_answer: Option<Instant>,
}

/// Whether questions may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They may.
    Open,
    /// The focus is absent; one session of the service probes it.
    Closed,
    /// It is absent, and this session may ask once.
    Probe,
}

impl Focus {
    /// Nothing known yet.
    #[must_use]
    pub fn new(address: &str, machine_uid: &str) -> Self {
        Focus {
            address: address.into(),
            machine_uid: machine_uid.into(),
            session_id: None,
            facts: FocusFacts::default(),
            gate: Gate::Open,
            first_pending: false,
            generation: 0,
            last_answer: None,
        }
    }

    /// What rooms need to know.
    #[must_use]
    pub fn facts(&self) -> &FocusFacts {
        &self.facts
    }

    /// machine-uid and session-id for the next request.
    #[must_use]
    pub fn credentials(&self) -> (&str, Option<&str>) {
        (&self.machine_uid, self.session_id.as_deref())
    }

    /// Sets the gate.
    pub fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Whether a request may go out now.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.gate != Gate::Closed && !self.first_pending
    }

    /// A request goes out; the number belongs to its answer.
    pub fn asked(&mut self) -> u32 {
        if self.session_id.is_none() && self.facts.authentication != Some(false) {
            self.first_pending = true;
        }
        if self.gate == Gate::Probe {
            self.gate = Gate::Closed;
        }
        self.generation
    }

    /// The request that [`Focus::asked`] numbered was answered.
    pub fn answered(&mut self, now: Instant, generation: u32, answer: &Answer) {
        self.done(generation);
        self.last_answer = Some(now);
        match answer {
            Answer::Ready(granted) | Answer::NotReady(granted) => self.learn(granted),
            Answer::SessionInvalid if generation == self.generation => {
                self.generation += 1;
                self.session_id = None;
                self.facts.has_session = false;
            }
            _ => {}
        }
    }

    fn learn(&mut self, granted: &Granted) {
        if let Some(jid) = &granted.focus_jid {
            self.facts.jid = Some(jid.clone());
        }
        if granted.authentication.is_some() {
            self.facts.authentication = granted.authentication;
        }
        if let Some(id) = &granted.session_id {
            self.session_id = Some(id.as_str().into());
        }
        self.facts.has_session = self.session_id.is_some();
    }

    /// A request timed out; says whether the focus answered nobody of this session since it went out.
    pub fn silent(&mut self, asked_at: Instant, generation: u32) -> bool {
        self.done(generation);
        self.last_answer.is_none_or(|at| at < asked_at)
    }

    /// A request of that generation is over. A late one of an earlier generation says nothing of the first that goes
    /// without a session-id: were another let go for it, the focus would make a session for each.
    fn done(&mut self, generation: u32) {
        if generation == self.generation {
            self.first_pending = false;
        }
    }

    /// The stream is lost, and what was on its way with it.
    pub fn lost(&mut self) {
        self.first_pending = false;
    }

    /// The stream is new.
    pub fn reset(&mut self) {
        self.lost();
        // Whether it authenticates may have changed with its restart; it says so again.
        self.facts.authentication = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(session_id: Option<&str>, authentication: bool) -> Answer {
        Answer::Ready(Granted {
            session_id: session_id.map(str::to_owned),
            authentication: Some(authentication),
            ..Granted::default()
        })
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn the_first_request_goes_alone_and_the_rest_carry_its_session() {
        let now = Instant::now();
        let mut focus = Focus::new("focus.example", "uid");
        assert!(focus.may_ask());
        let number = focus.asked();
        assert!(!focus.may_ask());
        focus.answered(now, number, &granted(Some("s"), true));
        assert!(focus.may_ask());
        assert_eq!(focus.credentials(), ("uid", Some("s")));
        focus.asked();
        assert!(focus.may_ask());
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn a_forgotten_session_is_dropped_and_the_next_request_goes_alone_again() {
        let now = Instant::now();
        let mut focus = Focus::new("focus.example", "uid");
        let number = focus.asked();
        focus.answered(now, number, &granted(Some("s"), true));
        let (number, late) = (focus.asked(), focus.asked());
        focus.answered(now, number, &Answer::SessionInvalid);
        assert_eq!(focus.credentials(), ("uid", None));
        let number = focus.asked();
        assert!(!focus.may_ask());
        focus.answered(now, late, &Answer::SessionInvalid);
        assert!(!focus.may_ask(), "the late refusal of the old session-id lets a second request go without one");
        focus.answered(now, number, &granted(Some("t"), true));
        focus.answered(now, late, &Answer::SessionInvalid);
        assert_eq!(focus.credentials(), ("uid", Some("t")));
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn without_authentication_requests_need_not_wait_for_each_other() {
        let now = Instant::now();
        let mut focus = Focus::new("focus.example", "uid");
        let number = focus.asked();
        focus.answered(now, number, &granted(None, false));
        focus.asked();
        assert!(focus.may_ask());
    }

    #[test]
    fn a_probe_is_one_question() {
        let mut focus = Focus::new("focus.example", "uid");
        focus.set_gate(Gate::Closed);
        assert!(!focus.may_ask());
        focus.set_gate(Gate::Probe);
        assert!(focus.may_ask());
        focus.asked();
        assert_eq!(focus.gate(), Gate::Closed);
    }
}
