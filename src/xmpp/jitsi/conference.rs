//! The conference request to the focus, and its answer. Pure.
//!
//! Source: Jicofo's `ConferenceIqHandler` and lib-jitsi-meet's `moderator.js`.

use minidom::Element;

use crate::config::Secret;
use crate::xmpp::muc::clip;
use crate::xmpp::stanza::{self, StanzaError};
use crate::xmpp::{element, ns};

/// Asks the focus to open a conference in `room`; it must precede the join.
///
/// `visitors-version` is left out on purpose: with it the focus may send us elsewhere.
#[must_use]
pub fn request(focus: &str, id: &str, room: &str, machine_uid: &str, session_id: Option<&str>) -> Element {
    let conference = element("conference", ns::JITSI_FOCUS)
        .attr("room", room)
        .attr("machine-uid", machine_uid)
        .maybe_attr("session-id", session_id);
    stanza::iq("set", Some(focus), id).child(conference).into()
}

/// What the focus answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The focus is in the room: join within 15 s.
    Ready(Granted),
    /// Somebody else is just opening the room; ask again.
    NotReady(Granted),
    /// The session-id is unknown or belongs to another machine-uid: drop it and ask again.
    SessionInvalid,
    /// The account may not open the room.
    NotAuthorized(StanzaError),
    /// Nobody is behind the focus address.
    Absent(StanzaError),
    /// A reservation system says no.
    Reservation(StanzaError),
    /// Another refusal.
    Refused(StanzaError),
}

/// Longest session-id that is taken, in bytes; Jicofo's have 36. It goes out with each request and is kept over restarts,
/// so that one longer than a server takes would end every stream.
const SESSION_ID_BYTES: usize = 1024;
/// Longest JID (RFC 7622 §3.1 "Fundamentals").
const JID_BYTES: usize = 3071;

/// What an answer carries beside `ready`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    /// The focus's own account, `focus@auth.meet.jitsi`.
    pub focus_jid: Option<String>,
    /// The authentication session.
    pub session_id: Option<Secret>,
    /// Whom the focus takes us for, where it knows: `keeper@meet.jitsi`.
    pub identity: Option<String>,
    /// Whether the focus has authentication on; `None` when it does not say.
    pub authentication: Option<bool>,
    /// We were redirected to a visitor node or queued as a visitor.
    pub visitor: bool,
}

/// Reads the answer to [`request`].
#[must_use]
pub fn answer(iq: &Element) -> Answer {
    if iq.attr("type") != Some("result") {
        let error = StanzaError::of(iq);
        if error.has("session-invalid") {
            return Answer::SessionInvalid;
        }
        if error.reservation.is_some() {
            return Answer::Reservation(error);
        }
        return match error.condition.as_str() {
            // "machine UID mismatch or empty" comes without <session-invalid/> and is cured the same way.
            "not-acceptable" => Answer::SessionInvalid,
            "not-authorized" | "forbidden" => Answer::NotAuthorized(error),
            "service-unavailable"
            | "remote-server-timeout"
            | "recipient-unavailable"
            | "remote-server-not-found"
            | "item-not-found" => Answer::Absent(error),
            _ => Answer::Refused(error),
        };
    }
    let Some(conference) = iq.get_child("conference", ns::JITSI_FOCUS) else {
        return Answer::NotReady(Granted::default());
    };
    let property = |name: &str| {
        conference
            .children()
            .find(|child| child.name() == "property" && child.attr("name") == Some(name))
            .and_then(|child| child.attr("value"))
    };
    let granted = Granted {
        focus_jid: conference.attr("focusjid").filter(|jid| jid.len() <= JID_BYTES).map(str::to_owned),
        session_id: conference
            .attr("session-id")
            .filter(|id| (1..=SESSION_ID_BYTES).contains(&id.len()))
            .map(Secret::new),
        identity: conference.attr("identity").map(|identity| clip(identity).to_owned()),
        authentication: property("authentication").map(|value| value == "true"),
        visitor: conference.attr("vnode").is_some_and(|node| !node.is_empty()) || property("live") == Some("false"),
    };
    match conference.attr("ready") {
        Some("true" | "1") => Answer::Ready(granted),
        _ => Answer::NotReady(granted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Answer {
        answer(&text.parse().expect("the test's own text"))
    }

    #[test]
    fn a_ready_answer_carries_the_session_and_the_focus() {
        let read = read(
            "<iq xmlns='jabber:client' type='result' from='focus.meet.jitsi' id='c1'>\
             <conference xmlns='http://jitsi.org/protocol/focus' room='r@muc.meet.jitsi' ready='true' \
             focusjid='focus@auth.meet.jitsi' session-id='s' identity='bot@meet.jitsi'>\
             <property name='authentication' value='true'/></conference></iq>",
        );
        let Answer::Ready(granted) = read else { panic!("not ready: {read:?}") };
        assert_eq!(granted.session_id, Some(Secret::new("s")));
        assert_eq!(granted.identity.as_deref(), Some("bot@meet.jitsi"));
        assert!(!format!("{granted:?}").contains("\"s\""), "a session-id is a secret");
        assert_eq!(granted.authentication, Some(true));
        assert!(!granted.visitor);
    }

    #[test]
    fn a_visitor_node_or_a_room_that_is_not_live_makes_us_a_visitor() {
        for (attributes, live) in [("vnode='v1'", ""), ("", "<property name='live' value='false'/>")] {
            let read = read(&format!(
                "<iq xmlns='jabber:client' type='result' from='focus.meet.jitsi' id='c1'>\
                 <conference xmlns='http://jitsi.org/protocol/focus' ready='false' {attributes}>{live}</conference></iq>"
            ));
            assert!(matches!(&read, Answer::NotReady(granted) if granted.visitor), "{attributes}{live}: {read:?}");
        }
    }

    #[test]
    fn each_way_of_not_being_there_means_the_focus_is_absent() {
        for condition in ["service-unavailable", "remote-server-timeout", "recipient-unavailable"] {
            let text = format!(
                "<iq xmlns='jabber:client' type='error'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            );
            assert!(matches!(read(&text), Answer::Absent(_)), "{condition}");
        }
    }

    #[test]
    fn an_unknown_session_is_told_from_a_refused_account() {
        let invalid = "<iq xmlns='jabber:client' type='error'><error type='modify'>\
            <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
            <session-invalid xmlns='http://jitsi.org/protocol/focus'/></error></iq>";
        assert_eq!(read(invalid), Answer::SessionInvalid);
        let refused = "<iq xmlns='jabber:client' type='error'><error type='auth'>\
            <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
        assert!(matches!(read(refused), Answer::NotAuthorized(_)));
    }

    #[test]
    fn the_request_never_offers_to_be_a_visitor() {
        let iq = request("focus.meet.jitsi", "c1", "r@muc.meet.jitsi", "uid", Some("sid"));
        let conference = iq.get_child("conference", ns::JITSI_FOCUS).expect("a conference");
        assert_eq!(conference.attr("machine-uid"), Some("uid"));
        assert_eq!(conference.attr("session-id"), Some("sid"));
        assert_eq!(conference.children().count(), 0);
    }
}
