//! The short login in which the account fetches a session-id for a guest. Pure.
//!
//! One conference request with the guest's machine-uid, its answer, and away again: what a browser does on its second
//! connection. Source: lib-jitsi-meet's `authenticateAndUpgradeRole`; Jicofo's `XMPPDomainAuthAuthority`.

use std::time::{Duration, Instant};

use crate::cause::{Cause, Word};
use crate::config::Secret;
use crate::xml::Element;
use crate::xmpp::jitsi::conference::{self, Answer};
use crate::xmpp::{element, ns};

/// How long the focus may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Id of the one request that is made.
const ID: &str = "session-id";

/// What the account asks the focus for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The focus's address.
    pub focus: Box<str>,
    /// A room that the guest wants to open.
    pub room: Box<str>,
    /// The guest's machine-uid, which the session-id is bound to.
    pub machine_uid: Secret,
}

/// A login in progress, from the moment its stream is ready.
#[derive(Debug)]
pub struct AccountLogin {
    wish: Wish,
    give_up_at: Instant,
}

impl AccountLogin {
    /// Begins, with the request to send. Without a session-id: the focus makes a new one for the account.
    #[must_use]
    pub fn new(wish: Wish, now: Instant) -> (Self, Element) {
        let request = conference::request(&wish.focus, ID, &wish.room, wish.machine_uid.expose(), None);
        (AccountLogin { wish, give_up_at: now + PATIENCE }, request)
    }

    /// When [`AccountLogin::timed_out`] is due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.give_up_at
    }

    /// What an element that came means; `None` while the answer is still awaited.
    #[must_use]
    pub fn handle(&self, heard: &Element) -> Option<Result<Secret, Cause>> {
        if heard.is("error", ns::STREAM) {
            return Some(Err(crate::stream::stream_error(heard)));
        }
        let answers = heard.name() == "iq"
            && heard.attr("id") == Some(ID)
            && heard.attr("from") == Some(&*self.wish.focus)
            && matches!(heard.attr("type"), Some("result" | "error"));
        answers.then(|| self.outcome(conference::answer(heard)))
    }

    fn outcome(&self, answer: Answer) -> Result<Secret, Cause> {
        let focus = &self.wish.focus;
        let (word, text) = match answer {
            Answer::Ready(granted) | Answer::NotReady(granted) => match granted.session_id {
                Some(id) => return Ok(id),
                None => (
                    Word::NoSessionId,
                    format!(
                        "{focus} gave our account no session-id: is `domain` the deployment's login domain, and is \
                         authentication on?"
                    ),
                ),
            },
            Answer::NotAuthorized(error) => (
                Word::NotAuthorized,
                format!(
                    "{focus} does not know our account as a host ({}): `domain` must be the deployment's login domain",
                    error.describe()
                ),
            ),
            Answer::SessionInvalid => {
                (Word::FocusRefused, format!("{focus} refuses our account a session-id (not-acceptable)"))
            }
            Answer::Absent(error) => {
                (Word::FocusAbsent, format!("nobody is behind {focus} ({}) to ask for a session-id", error.describe()))
            }
            Answer::Reservation(error) => (
                Word::ReservationRefused,
                format!("the reservation system refuses {}: {}", self.wish.room, error.describe()),
            ),
            Answer::Refused(error) => {
                (Word::FocusRefused, format!("{focus} refuses our account a session-id: {}", error.describe()))
            }
        };
        Err(Cause::new(word, text))
    }

    /// The focus has not answered.
    #[must_use]
    pub fn timed_out(&self) -> Cause {
        let (focus, room) = (&self.wish.focus, &self.wish.room);
        let domain = crate::xmpp::jid::domain(room);
        Cause::new(
            Word::FocusSilent,
            format!(
                "{focus} did not answer our account within {} s for {room}: is {domain} the deployment's MUC domain?",
                PATIENCE.as_secs()
            ),
        )
    }
}

/// The presence that says goodbye, as the browser sends it before it closes.
#[must_use]
pub fn goodbye() -> Element {
    element("presence", ns::CLIENT).attr("type", "unavailable").into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods)]

    use super::*;

    fn login() -> (AccountLogin, Element) {
        let wish = Wish {
            focus: "focus.meet.jitsi".into(),
            room: "tavern@muc.meet.jitsi".into(),
            machine_uid: Secret::new("uid"),
        };
        AccountLogin::new(wish, Instant::now())
    }

    fn answer(from: &str, kind: &str, inner: &str) -> Element {
        let text = format!("<iq xmlns='jabber:client' type='{kind}' from='{from}' id='session-id'>{inner}</iq>");
        text.parse().expect("the test's own text")
    }

    #[test]
    fn the_account_asks_with_the_guests_machine_uid_and_without_a_session_id() {
        let (login, request) = login();
        let conference = request.get_child("conference", ns::JITSI_FOCUS).expect("a conference request");
        assert_eq!((request.attr("to"), conference.attr("machine-uid")), (Some("focus.meet.jitsi"), Some("uid")));
        assert_eq!(conference.attr("session-id"), None);
        assert!(!format!("{login:?}").contains("uid\""), "a machine-uid is a secret");
    }

    #[test]
    fn the_session_id_of_the_focus_alone_counts() {
        let (login, _) = login();
        let granted = "<conference xmlns='http://jitsi.org/protocol/focus' ready='true' session-id='sid'/>";
        assert!(login.handle(&answer("mallory@meet.jitsi/x", "result", granted)).is_none());
        let outcome = login.handle(&answer("focus.meet.jitsi", "result", granted));
        assert_eq!(outcome, Some(Ok(Secret::new("sid"))));
        // A conference that somebody else is just opening has its session all the same.
        let granted = granted.replace("true", "false");
        assert!(matches!(login.handle(&answer("focus.meet.jitsi", "result", &granted)), Some(Ok(_))));
    }

    #[test]
    fn each_refusal_has_its_word() {
        let (login, _) = login();
        let nothing = "<conference xmlns='http://jitsi.org/protocol/focus' ready='true'/>";
        let word = |kind: &str, inner: &str| match login.handle(&answer("focus.meet.jitsi", kind, inner)) {
            Some(Err(cause)) => cause.word,
            other => panic!("{other:?}"),
        };
        assert_eq!(word("result", nothing), Word::NoSessionId);
        for (condition, expected) in [
            ("not-authorized", Word::NotAuthorized),
            ("not-acceptable", Word::FocusRefused),
            ("service-unavailable", Word::FocusAbsent),
            ("internal-server-error", Word::FocusRefused),
        ] {
            let error =
                format!("<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
            assert_eq!(word("error", &error), expected, "{condition}");
        }
        assert_eq!(login.timed_out().word, Word::FocusSilent);
    }
}
