//! How a member without media answers what others ask of it. Pure.
//!
//! Never an error to a message or presence: rooms remove who sends certain ones. Exactly one answer to each get or
//! set. Source: RFC 6120 §8.2.3 "IQ Semantics"; XEP-0030, XEP-0092, XEP-0166 §6 "Session Initiation", XEP-0199.

use minidom::Element;

use crate::config::Media;
use crate::xmpp::caps::Capabilities;
use crate::xmpp::{element, jid, ns, stanza};

/// Longest id of another's IQ that we echo, in bytes; rooms make them long, nobody makes them this long.
pub const ID_BYTES: usize = 4096;

/// Longest node or session id of another's that we echo, in bytes. Longer ones only make our answers longer than a
/// server takes, which ends a stream.
const ECHO_BYTES: usize = 1024;

/// Answers a get or set; nothing for a result or an error, which are somebody else's answers.
///
/// `own_sid` makes the id of the one further request that a refused peer-to-peer offer needs.
pub fn answer(
    iq: &Element,
    capabilities: &Capabilities,
    media: Media,
    mut next_id: impl FnMut() -> String,
    out: &mut Vec<Element>,
) {
    let kind = iq.attr("type").unwrap_or_default();
    if kind != "get" && kind != "set" {
        return;
    }
    let id = iq.attr("id").unwrap_or_default();
    if id.len() > ID_BYTES {
        return;
    }
    let from = iq.attr("from");
    let Some(payload) = iq.children().next() else {
        out.push(stanza::error_to(from, id, "modify", "bad-request"));
        return;
    };
    let namespace = payload.ns();
    if ["node", "sid"].iter().any(|name| payload.attr(*name).is_some_and(|value| value.len() > ECHO_BYTES)) {
        out.push(stanza::error_to(from, id, "modify", "not-acceptable"));
        return;
    }
    match (kind, payload.name(), namespace.as_str()) {
        ("get", "query", ns::DISCO_INFO) => {
            out.push(stanza::result_to(iq).child(capabilities.query(payload.attr("node"))).into());
        }
        ("get", "query", ns::DISCO_ITEMS) => {
            let query = element("query", ns::DISCO_ITEMS).maybe_attr("node", payload.attr("node"));
            out.push(stanza::result_to(iq).child(query).into());
        }
        ("get", "ping", ns::PING) => out.push(stanza::result_to(iq).into()),
        ("get", "query", ns::VERSION) => {
            let query = element("query", ns::VERSION)
                .child(element("name", ns::VERSION).text("innkeeper"))
                .child(element("version", ns::VERSION).text(env!("CARGO_PKG_VERSION")));
            out.push(stanza::result_to(iq).child(query).into());
        }
        ("set", "jingle", ns::JINGLE) => jingle(iq, payload, media, &mut next_id, out),
        _ => out.push(stanza::error_to(from, id, "cancel", "service-unavailable")),
    }
}

fn jingle(iq: &Element, jingle: &Element, media: Media, next_id: &mut dyn FnMut() -> String, out: &mut Vec<Element>) {
    let from = iq.attr("from");
    let by_focus = from.and_then(jid::resource) == Some("focus");
    let initiate = jingle.attr("action") == Some("session-initiate");
    if initiate && by_focus && media == Media::Refuse {
        let id = iq.attr("id").unwrap_or_default();
        out.push(stanza::error_to(from, id, "cancel", "feature-not-implemented"));
        return;
    }
    // Acknowledged and left pending: the focus keeps us as a participant, so that it obeys our mutes.
    out.push(stanza::result_to(iq).into());
    if initiate && !by_focus {
        // A browser's peer-to-peer offer; lib-jitsi-meet itself refuses one in the same way.
        let reason = element("reason", ns::JINGLE).child(element("decline", ns::JINGLE));
        let terminate = element("jingle", ns::JINGLE)
            .attr("action", "session-terminate")
            .maybe_attr("sid", jingle.attr("sid"))
            .child(reason);
        out.push(stanza::iq("set", from, &next_id()).child(terminate).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &str, media: Media) -> Vec<Element> {
        let iq = crate::xml::parse(text.as_bytes(), &crate::xml::Limits::default()).expect("the test's own text");
        let mut out = Vec::new();
        answer(&iq, &Capabilities::new(), media, || "t1".to_owned(), &mut out);
        out
    }

    #[test]
    fn disco_info_is_answered_with_its_node_and_no_media() {
        let out = answers(
            "<iq xmlns='jabber:client' type='get' from='r@c/focus' id='a/b=='>\
             <query xmlns='http://jabber.org/protocol/disco#info' node='x#y'/></iq>",
            Media::Pending,
        );
        let query = out[0].get_child("query", ns::DISCO_INFO).expect("a query");
        assert_eq!((out[0].attr("to"), out[0].attr("id")), (Some("r@c/focus"), Some("a/b==")));
        assert_eq!(query.attr("node"), Some("x#y"));
        assert!(!query.children().any(|child| child.attr("var").is_some_and(|var| var.contains("jingle"))));
    }

    #[test]
    fn an_invitation_of_the_focus_is_left_pending_or_refused() {
        let text = "<iq xmlns='jabber:client' type='set' from='r@c/focus' id='1'>\
            <jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'/></iq>";
        let pending = answers(text, Media::Pending);
        assert_eq!((pending.len(), pending[0].attr("type")), (1, Some("result")));
        let refused = answers(text, Media::Refuse);
        assert_eq!((refused.len(), refused[0].attr("type")), (1, Some("error")));
    }

    #[test]
    fn a_browsers_offer_is_acknowledged_and_declined() {
        let out = answers(
            "<iq xmlns='jabber:client' type='set' from='r@c/abcd1234' id='1'>\
             <jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'/></iq>",
            Media::Pending,
        );
        assert_eq!(out.len(), 2);
        assert_eq!(out[0].attr("type"), Some("result"));
        let jingle = out[1].get_child("jingle", ns::JINGLE).expect("a jingle");
        assert_eq!((jingle.attr("action"), jingle.attr("sid")), (Some("session-terminate"), Some("s")));
        assert!(jingle.get_child("reason", ns::JINGLE).is_some_and(|r| r.has_child("decline", ns::JINGLE)));
    }

    #[test]
    fn what_would_make_our_answer_too_long_for_the_server_is_not_echoed() {
        let long = "&quot;".repeat(40_000);
        for payload in [
            format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{long}'/>"),
            format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{long}'/>"),
            format!("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='{long}'/>"),
        ] {
            let question = format!("<iq xmlns='jabber:client' type='set' from='r@c/n' id='1'>{payload}</iq>");
            for kind in ["get", "set"] {
                let out = answers(&question.replace("type='set'", &format!("type='{kind}'")), Media::Pending);
                assert_eq!((out.len(), out[0].attr("type")), (1, Some("error")));
                assert!(String::from(&out[0]).len() < 1024);
            }
        }
    }

    #[test]
    fn every_other_question_gets_exactly_one_error_and_an_answer_gets_none() {
        let out = answers("<iq xmlns='jabber:client' type='get' from='a' id='1'><q xmlns='x'/></iq>", Media::Pending);
        assert_eq!((out.len(), out[0].attr("type")), (1, Some("error")));
        let out = answers("<iq xmlns='jabber:client' type='get' id='1'/>", Media::Pending);
        assert_eq!((out.len(), out[0].attr("type")), (1, Some("error")));
        assert!(answers("<iq xmlns='jabber:client' type='error' id='1'/>", Media::Pending).is_empty());
        assert!(answers("<iq xmlns='jabber:client' type='bogus' id='1'/>", Media::Pending).is_empty());
    }
}
