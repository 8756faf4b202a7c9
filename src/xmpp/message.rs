//! Messages in rooms: what we say there, and what others said, read leniently. Pure.
//!
//! Source: XEP-0045 §7.4 "Sending a Message to All Occupants", §7.5 "Sending a Private Message", §8.1 "Modifying the
//! Room Subject", XEP-0203 "Delayed Delivery", XEP-0421 "Occupant identifiers for semi-anonymous MUCs".

use minidom::Element;

use super::stanza;
use super::{element, ns};

/// Says something to everybody in the room.
#[must_use]
pub fn groupchat(room: &str, id: &str, body: &str) -> Element {
    let body = element("body", ns::CLIENT).text(body);
    element("message", ns::CLIENT).attr("type", "groupchat").attr("to", room).attr("id", id).child(body).into()
}

/// Says something to one occupant. Source: XEP-0045 §7.5 "Sending a Private Message".
#[must_use]
pub fn private(occupant: &str, id: &str, body: &str) -> Element {
    element("message", ns::CLIENT)
        .attr("type", "chat")
        .attr("to", occupant)
        .attr("id", id)
        .child(element("body", ns::CLIENT).text(body))
        .child(element("x", ns::MUC_USER))
        .into()
}

/// Sets the room's subject; an empty one takes it away. Source: XEP-0045 §8.1 "Modifying the Room Subject".
#[must_use]
pub fn subject(room: &str, id: &str, text: &str) -> Element {
    let subject = element("subject", ns::CLIENT).text(text);
    element("message", ns::CLIENT).attr("type", "groupchat").attr("to", room).attr("id", id).child(subject).into()
}

/// Invites real JIDs through the room, which makes them members where only members may enter; so a Jitsi lobby lets
/// them in. Several at once are understood by services with Jitsi's lobby plugin only.
///
/// Source: XEP-0045 §7.8.2 "Mediated Invitation"; jitsi-meet's `mod_muc_lobby_rooms`.
#[must_use]
pub fn invite(room: &str, id: &str, jids: &[&str]) -> Element {
    let mut x = element("x", ns::MUC_USER);
    for jid in jids {
        x = x.child(element("invite", ns::MUC_USER).attr("to", jid));
    }
    element("message", ns::CLIENT).attr("to", room).attr("id", id).child(x).into()
}

/// How a room takes the retraction of somebody's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retraction {
    /// `urn:xmpp:message-moderate:1`.
    Current,
    /// `urn:xmpp:message-moderate:0`, inside `<apply-to/>`.
    Older,
}

impl Retraction {
    /// By the features that the room names in its disco#info.
    #[must_use]
    pub fn of<'a>(features: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut older = None;
        for feature in features {
            match feature {
                ns::MODERATE => return Some(Retraction::Current),
                ns::MODERATE_0 => older = Some(Retraction::Older),
                _ => {}
            }
        }
        older
    }

    /// Asks the room to retract the message that it gave `stanza_id`.
    ///
    /// Source: XEP-0425 §4 "Message Moderation" (`:1`), and its version 0.2 for `:0`.
    #[must_use]
    pub fn request(self, room: &str, id: &str, stanza_id: &str, reason: &str) -> Element {
        let (moderation, retraction) = match self {
            Retraction::Current => (ns::MODERATE, ns::RETRACT),
            Retraction::Older => (ns::MODERATE_0, ns::RETRACT_0),
        };
        let mut moderate = element("moderate", moderation).child(element("retract", retraction));
        if !reason.is_empty() {
            moderate = moderate.child(element("reason", moderation).text(reason));
        }
        let asked = match self {
            Retraction::Current => moderate.attr("id", stanza_id),
            Retraction::Older => element("apply-to", ns::FASTEN).attr("id", stanza_id).child(moderate),
        };
        stanza::iq("set", Some(room), id).child(asked).into()
    }
}

/// When something was said, as far as `<delay/>` and what came before it tell (XEP-0203).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Age {
    /// Just now.
    #[default]
    Live,
    /// While the stream was lost: the server says it again when the stream is resumed, all of it at once (XEP-0198).
    Belated,
    /// Before we were inside, as a room says at a join: never judged, never obeyed. [`Said::read`] answers it for whatever
    /// has a `<delay/>`, which anybody can add to what they write and rooms pass on.
    History,
}

/// What a message from a room says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The id that its sender gave it.
    pub id: Option<String>,
    /// The id that the room gave it; [`Retraction::request`] takes it. Only one by the room itself counts.
    pub stanza_id: Option<String>,
    /// `groupchat`, or another: `chat` and none are private.
    pub groupchat: bool,
    /// `type='error'`.
    pub error: bool,
    /// The text, uncut: rules bound what they read.
    pub body: Option<String>,
    /// The subject, where there is one and no body: only that changes it (XEP-0045 §8.1).
    pub subject: Option<String>,
    /// Whether it is said just now.
    pub age: Age,
    /// The sender's occupant id, as the room appended it (XEP-0421).
    pub occupant_id: Option<String>,
    /// The status codes of the room's own messages: 104 is a change of configuration (XEP-0045 §10.2.1).
    pub statuses: Vec<u16>,
    /// The lobby was switched on or off, as the service says in the name of who did it; anybody can say the same.
    pub lobby: Option<bool>,
}

impl Said {
    /// Reads a message that came from `room`, a bare JID.
    #[must_use]
    pub fn read(message: &Element, room: &str) -> Self {
        let kind = message.attr("type").unwrap_or_default();
        let mut said = Said {
            id: message.attr("id").map(|id| super::muc::clip(id).to_owned()),
            groupchat: kind == "groupchat",
            error: kind == "error",
            ..Said::default()
        };
        let mut subject = None;
        for child in message.children() {
            match (child.name(), child.ns().as_str()) {
                // Whoever sends two says both.
                ("body", ns::CLIENT) => match &mut said.body {
                    Some(body) => {
                        body.push('\n');
                        body.push_str(&child.text());
                    }
                    None => said.body = Some(child.text()),
                },
                ("subject", ns::CLIENT) => subject = Some(child.text()),
                ("thread", ns::CLIENT) => {}
                ("delay", ns::DELAY) => said.age = Age::History,
                ("occupant-id", ns::OCCUPANT_ID) => {
                    said.occupant_id = child.attr("id").map(|id| super::muc::clip(id).to_owned());
                }
                ("stanza-id", ns::STANZA_ID) if child.attr("by") == Some(room) => {
                    said.stanza_id = child.attr("id").map(|id| super::muc::clip(id).to_owned());
                }
                ("json-message", ns::JITMEET) if said.groupchat => {
                    said.lobby = super::jitsi::json_message::lobby_switched(&child.text());
                }
                ("x", ns::MUC_USER) => {
                    let codes = child.children().filter(|status| status.name() == "status");
                    said.statuses.extend(codes.filter_map(|status| status.attr("code")?.parse::<u16>().ok()).take(16));
                }
                _ => {}
            }
        }
        if said.body.is_none() && said.groupchat {
            said.subject = subject;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    fn said(text: &str) -> Said {
        Said::read(&text.parse().expect("the test's own text"), "r@c")
    }

    #[test]
    fn a_moderators_retraction_and_what_it_leaves_in_the_history_are_nobodys_words() {
        // both by Prosody 13.0.1 with mod_muc_moderation and mod_muc_mam
        let announced = said(
            "<message xmlns='jabber:client' from='r@c' id='LL6y' type='groupchat' to='keeper@x/i'>\
             <apply-to xmlns='urn:xmpp:fasten:0' id='06b0-88c3'><moderated by='r@c/n' xmlns='urn:xmpp:message-moderate:0'>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='71Pt='/><retract xmlns='urn:xmpp:message-retract:0'/>\
             <reason>spam</reason></moderated></apply-to><occupant-id id='EoFD=' xmlns='urn:xmpp:occupant-id:0'/>\
             <retract xmlns='urn:xmpp:message-retract:1' id='06b0-88c3'><moderated xmlns='urn:xmpp:message-moderate:1'>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='71Pt='/></moderated><reason>spam</reason></retract>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='r@c' id='06b0-94a8'/></message>",
        );
        assert_eq!((announced.body, announced.subject, announced.statuses), (None, None, vec![]));
        let left = said(
            "<message xmlns='jabber:client' from='r@c/alice' id='m1' type='groupchat' to='keeper@x/i'>\
             <moderated by='r@c/n' xmlns='urn:xmpp:message-moderate:0'>\
             <retracted stamp='2026-11-21T21:53:13Z' xmlns='urn:xmpp:message-retract:0'/><reason>spam</reason></moderated>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='EoFD='/>\
             <delay from='r@c' xmlns='urn:xmpp:delay' stamp='2026-11-21T21:53:12.547710Z'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='r@c' id='06b0-88c3'/></message>",
        );
        assert_eq!((left.body, left.subject, left.age), (None, None, Age::History));
    }

    #[test]
    fn a_subject_beside_a_body_changes_nothing() {
        let read = said(
            "<message xmlns='jabber:client' type='groupchat' from='r@c/n'><subject>s</subject><body>b</body></message>",
        );
        assert_eq!((read.subject.as_deref(), read.body.as_deref()), (None, Some("b")));
        let read = said("<message xmlns='jabber:client' type='groupchat' from='r@c/n'><subject/></message>");
        assert_eq!(read.subject.as_deref(), Some(""));
        let read = said("<message xmlns='jabber:client' type='chat' from='r@c/n'><subject>s</subject></message>");
        assert_eq!(read.subject, None);
    }

    #[test]
    fn what_hides_behind_a_second_body_is_read() {
        let read = said("<message xmlns='jabber:client' type='groupchat'><body>good</body><body>bad</body></message>");
        assert_eq!(read.body.as_deref(), Some("good\nbad"));
    }

    #[test]
    fn only_the_rooms_own_stanza_id_counts() {
        let read = said(
            "<message xmlns='jabber:client' type='groupchat'><stanza-id xmlns='urn:xmpp:sid:0' by='evil@c' id='1'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='r@c' id='2'/><delay xmlns='urn:xmpp:delay' stamp='x'/></message>",
        );
        assert_eq!((read.stanza_id.as_deref(), read.age), (Some("2"), Age::History));
    }

    #[test]
    fn a_retraction_is_asked_for_in_the_form_that_the_room_knows() {
        assert_eq!(Retraction::of(["x", ns::MODERATE_0, ns::MODERATE]), Some(Retraction::Current));
        assert_eq!(Retraction::of(["x"]), None);
        assert_eq!(
            xml::to_string(&Retraction::Current.request("r@c", "1", "s", "spam"), Some(ns::CLIENT)),
            "<iq id='1' to='r@c' type='set'><moderate xmlns='urn:xmpp:message-moderate:1' id='s'>\
             <retract xmlns='urn:xmpp:message-retract:1'/><reason>spam</reason></moderate></iq>"
        );
        assert_eq!(
            xml::to_string(&Retraction::Older.request("r@c", "1", "s", ""), Some(ns::CLIENT)),
            "<iq id='1' to='r@c' type='set'><apply-to xmlns='urn:xmpp:fasten:0' id='s'>\
             <moderate xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/></moderate>\
             </apply-to></iq>"
        );
    }
}
