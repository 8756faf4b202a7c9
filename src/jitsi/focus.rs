//! What a session knows of the focus: its authentication session, and whether it may be asked. Pure.
//!
//! Jicofo makes a new authentication session for each request without a session-id and keeps it for a day, so the
//! first request of a session goes alone and the others carry what it brought.

use std::time::Instant;

use crate::cause::Cause;
use crate::config::Secret;
use crate::room::FocusFacts;
use crate::xmpp::jitsi::conference::{Answer, Granted};

/// The focus as one session sees it.
#[derive(Debug)]
pub struct Focus {
    /// Its address: `focus.meet.jitsi`.
    pub address: Box<str>,
    /// Stable for this session's place in the pool, over reconnects and restarts; a secret of a kind.
    machine_uid: Secret,
    session_id: Option<Secret>,
    /// Whether the account must fetch the session-id in a login of its own: we are a guest.
    guest: bool,
    /// Why no request goes out: the account fetches a session-id.
    awaiting: Option<Cause>,
    facts: FocusFacts,
    gate: Gate,
    first_pending: bool,
    /// Counts session-ids, so that a late refusal of an old one does not drop its successor.
    generation: u32,
    last_answer: Option<Instant>,
}

/// What an answer is worth to the room it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What it says.
    Valid,
    /// Nothing: the request is to be repeated.
    AskAgain,
    /// Nothing: the request is to be repeated as soon as the account has a session-id.
    NeedsSessionId,
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
    /// Nothing known yet. `guest`: our own logins get no session-id, the account's do.
    #[must_use]
    pub fn new(address: &str, machine_uid: Secret, guest: bool) -> Self {
        Focus {
            address: address.into(),
            machine_uid,
            session_id: None,
            guest,
            awaiting: None,
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
        (self.machine_uid.expose(), self.session_id.as_ref().map(Secret::expose))
    }

    /// The session-id, to be kept over a restart. Only a guest's is worth it: an account gets a new one with its first
    /// request, and where tokens are the login they live for a minute and must never be kept.
    #[must_use]
    pub fn kept_session_id(&self) -> Option<&Secret> {
        self.session_id.as_ref().filter(|_| self.guest)
    }

    /// The account's login brought a session-id, or one was kept from before a restart.
    pub fn take_session_id(&mut self, id: Secret) {
        self.generation += 1;
        self.session_id = Some(id);
        self.first_pending = false;
        self.facts.has_session = true;
        self.awaiting = None;
        self.facts.held_up = None;
    }

    /// Whether a session-id is being waited for.
    #[must_use]
    pub fn awaits_session_id(&self) -> bool {
        self.awaiting.is_some()
    }

    /// No request goes out until the account has a session-id, for this cause.
    pub fn await_session_id(&mut self, cause: Cause) {
        self.awaiting = Some(cause.clone());
        self.facts.held_up = Some(cause);
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
        self.gate != Gate::Closed && !self.first_pending && self.awaiting.is_none()
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
    pub fn answered(&mut self, now: Instant, generation: u32, answer: &Answer) -> Verdict {
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
        let as_nobody = match answer {
            Answer::NotAuthorized(_) => true,
            Answer::Ready(granted) => granted.session_id.is_none() && granted.authentication == Some(true),
            _ => false,
        };
        match &self.session_id {
            _ if !self.guest || !as_nobody => Verdict::Valid,
            // It was asked before the session-id came, so the answer was to nobody.
            Some(_) if generation != self.generation => Verdict::AskAgain,
            Some(_) => Verdict::Valid,
            None => Verdict::NeedsSessionId,
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
            self.session_id = Some(id.clone());
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
        self.facts.held_up = None;
    }

    /// There is a stream again.
    pub fn regained(&mut self) {
        self.facts.held_up = self.awaiting.clone();
    }

    /// The stream is new.
    pub fn reset(&mut self) {
        self.lost();
        self.regained();
        // Whether it authenticates may have changed with its restart; it says so again.
        self.facts.authentication = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Word;
    use crate::xmpp::stanza::StanzaError;

    fn granted(session_id: Option<&str>, authentication: bool) -> Answer {
        Answer::Ready(Granted {
            session_id: session_id.map(Secret::new),
            authentication: Some(authentication),
            ..Granted::default()
        })
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn the_first_request_goes_alone_and_the_rest_carry_its_session() {
        let now = Instant::now();
        let mut focus = Focus::new("focus.example", Secret::new("uid"), false);
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
        let mut focus = Focus::new("focus.example", Secret::new("uid"), false);
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
        let mut focus = Focus::new("focus.example", Secret::new("uid"), false);
        let number = focus.asked();
        focus.answered(now, number, &granted(None, false));
        focus.asked();
        assert!(focus.may_ask());
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn a_guest_that_is_nobody_to_the_focus_needs_a_session_id_and_asks_nothing_meanwhile() {
        let now = Instant::now();
        let refused = Answer::NotAuthorized(StanzaError::default());
        for nobody in [&refused, &granted(None, true)] {
            let mut focus = Focus::new("focus.example", Secret::new("uid"), true);
            let number = focus.asked();
            assert_eq!(focus.answered(now, number, nobody), Verdict::NeedsSessionId);
            focus.await_session_id(Cause::new(Word::AwaitingSession, "x"));
            assert!(!focus.may_ask());
            focus.take_session_id(Secret::new("sid"));
            assert!(focus.may_ask());
            assert_eq!(focus.credentials(), ("uid", Some("sid")));
            assert_eq!(focus.answered(now, number, nobody), Verdict::AskAgain, "asked before the session-id came");
            let number = focus.asked();
            assert_eq!(focus.answered(now, number, &refused), Verdict::Valid, "refused with a session-id is refused");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn a_guest_needs_no_session_id_where_authentication_is_off() {
        let mut focus = Focus::new("focus.example", Secret::new("uid"), true);
        let number = focus.asked();
        assert_eq!(focus.answered(Instant::now(), number, &granted(None, false)), Verdict::Valid);
        assert!(focus.kept_session_id().is_none());
    }

    #[test]
    fn a_probe_is_one_question() {
        let mut focus = Focus::new("focus.example", Secret::new("uid"), false);
        focus.set_gate(Gate::Closed);
        assert!(!focus.may_ask());
        focus.set_gate(Gate::Probe);
        assert!(focus.may_ask());
        focus.asked();
        assert_eq!(focus.gate(), Gate::Closed);
    }
}
