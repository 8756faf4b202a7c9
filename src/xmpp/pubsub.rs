//! Following a node of a publish-subscribe service: what we ask, and what it tells, read leniently. Pure.
//!
//! Source: XEP-0060 §5.6 "Retrieve Subscriptions", §6.1 "Subscribe to a Node", §6.5 "Retrieve Items from a Node", §7.1.2
//! "Success Case" and §7.2.2 for notifications; XEP-0059 "Result Set Management" where a service has it; XEP-0377 "Spam
//! Reporting" for the payload of block lists.

use minidom::Element;

use super::muc::clip;
use super::{Build, element, ns, stanza};

/// One item of a node, as far as block lists need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id, shortened.
    pub id: Box<str>,
    /// What a report (XEP-0377) gives as the reason: its text, else the last part of its reason; empty where none is.
    pub reason: Box<str>,
}

impl Item {
    fn read(item: &Element) -> Option<Self> {
        let id = clip(item.attr("id").filter(|id| !id.is_empty())?).into();
        let report = item.children().find(|child| child.name() == "report");
        let reason = report.map(|report| {
            let text = report.children().find(|child| child.name() == "text").map(Element::text);
            let urn = report.attr("reason").unwrap_or_default();
            text.unwrap_or_else(|| urn.rsplit(':').next().unwrap_or(urn).to_owned())
        });
        Some(Item { id, reason: clip(reason.unwrap_or_default().trim()).into() })
    }
}

/// Asks which subscriptions to a node we have.
#[must_use]
pub fn subscriptions_request(service: &str, id: &str, node: &str) -> Element {
    ask("get", service, id, element("subscriptions", ns::PUBSUB).attr("node", node))
}

/// Subscribes `jid`, which is ours, to a node. Doing it again changes nothing.
#[must_use]
pub fn subscribe(service: &str, id: &str, node: &str, jid: &str) -> Element {
    ask("set", service, id, element("subscribe", ns::PUBSUB).attr("node", node).attr("jid", jid))
}

/// Ends the subscription of `jid`.
#[must_use]
pub fn unsubscribe(service: &str, id: &str, node: &str, jid: &str) -> Element {
    ask("set", service, id, element("unsubscribe", ns::PUBSUB).attr("node", node).attr("jid", jid))
}

/// Asks for a node's items: `most` of them behind the one called `after`, where the service knows pages; else it gives
/// what it gives.
#[must_use]
pub fn items_request(service: &str, id: &str, node: &str, after: Option<&str>, most: usize) -> Element {
    let set = element("set", ns::RSM)
        .child(element("max", ns::RSM).text(&most.to_string()))
        .maybe_child(after.map(|after| element("after", ns::RSM).text(after).into()));
    let query = element("pubsub", ns::PUBSUB).child(element("items", ns::PUBSUB).attr("node", node)).child(set);
    stanza::iq("get", Some(service), id).child(query).into()
}

fn ask(kind: &str, service: &str, id: &str, what: Build) -> Element {
    stanza::iq(kind, Some(service), id).child(element("pubsub", ns::PUBSUB).child(what)).into()
}

/// The JIDs that an answer to [`subscriptions_request`] names.
#[must_use]
pub fn subscribed<'a>(result: &'a Element, node: &'a str) -> Vec<&'a str> {
    let list = result.get_child("pubsub", ns::PUBSUB).and_then(|all| all.get_child("subscriptions", ns::PUBSUB));
    let of_node = |one: &&Element| one.attr("node").is_none_or(|named| named == node);
    list.into_iter().flat_map(Element::children).filter(of_node).filter_map(|one| one.attr("jid")).collect()
}

/// What an answer to [`items_request`] brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// The id to go on after, where the service gives pages.
    pub last: Option<Box<str>>,
    /// How many there are in all, where it says so.
    pub count: Option<usize>,
}

impl Page {
    /// Reads it; empty where nothing is there.
    #[must_use]
    pub fn read(result: &Element) -> Self {
        let Some(pubsub) = result.get_child("pubsub", ns::PUBSUB) else { return Page::default() };
        let items = pubsub.get_child("items", ns::PUBSUB);
        let set = pubsub.get_child("set", ns::RSM);
        let of = |name: &str| set.and_then(|set| set.get_child(name, ns::RSM)).map(Element::text);
        Page {
            items: items.into_iter().flat_map(Element::children).filter_map(Item::read).collect(),
            last: of("last").map(Into::into),
            count: of("count").and_then(|count| count.trim().parse().ok()),
        }
    }
}

/// What a node's service tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An item is there now, new or in place of one with that id.
    Published(Item),
    /// The item with that id is gone.
    Retracted(Box<str>),
    /// All items are gone, perhaps with the node.
    Emptied,
}

/// Reads a notification: the node, and what changed in it, in order. Whether to believe it is the caller's business.
#[must_use]
pub fn notified(message: &Element) -> Option<(&str, Vec<Change>)> {
    let event = message.get_child("event", ns::PUBSUB_EVENT)?;
    let about = event.children().find(|child| child.attr("node").is_some())?;
    let node = about.attr("node")?;
    let changes = match about.name() {
        "items" => {
            let change = |child: &Element| match child.name() {
                "item" => Item::read(child).map(Change::Published),
                "retract" => child.attr("id").map(|id| Change::Retracted(clip(id).into())),
                _ => None,
            };
            about.children().filter_map(change).collect()
        }
        "purge" | "delete" => vec![Change::Emptied],
        _ => Vec::new(),
    };
    Some((node, changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    fn parsed(text: &str) -> Element {
        text.parse().expect("the test's own text")
    }

    fn text(element: &Element) -> String {
        xml::to_string(element, Some(ns::CLIENT))
    }

    fn item(id: &str, reason: &str) -> Item {
        Item { id: id.into(), reason: reason.into() }
    }

    #[test]
    fn questions_are_written_as_the_standard_shows_them() {
        assert_eq!(
            text(&subscribe("l.example", "1", "bans", "a@b/c")),
            "<iq id='1' to='l.example' type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <subscribe jid='a@b/c' node='bans'/></pubsub></iq>"
        );
        assert_eq!(
            text(&items_request("l.example", "1", "bans", Some("x"), 5)),
            "<iq id='1' to='l.example' type='get'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <items node='bans'/><set xmlns='http://jabber.org/protocol/rsm'><max>5</max><after>x</after></set>\
             </pubsub></iq>"
        );
        assert!(
            text(&unsubscribe("l.example", "1", "bans", "a@b/c")).contains("<unsubscribe jid='a@b/c' node='bans'/>")
        );
        assert!(text(&subscriptions_request("l.example", "1", "bans")).contains("<subscriptions node='bans'/>"));
    }

    #[test]
    fn a_page_is_read_with_its_reasons_and_where_to_go_on() {
        let page = Page::read(&parsed(
            "<iq xmlns='jabber:client' type='result'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>\
             <item id='a'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></item>\
             <item id='b'><report xmlns='urn:xmpp:reporting:1' reason='urn:x'><text>was loud</text></report></item>\
             <item id='c'/><item/></items>\
             <set xmlns='http://jabber.org/protocol/rsm'><last>c</last><count>9</count></set></pubsub></iq>",
        ));
        let items = vec![item("a", "spam"), item("b", "was loud"), item("c", "")];
        assert_eq!(page, Page { items, last: Some("c".into()), count: Some(9) });
        assert_eq!(Page::read(&parsed("<iq xmlns='jabber:client' type='result'/>")), Page::default());
    }

    #[test]
    fn a_notification_tells_what_came_and_what_went_in_order() {
        let said = |inner: &str| {
            let message = parsed(&format!(
                "<message xmlns='jabber:client'><event xmlns='http://jabber.org/protocol/pubsub#event'>{inner}</event>\
                 </message>"
            ));
            notified(&message).map(|(node, changes)| (node.to_owned(), changes))
        };
        let changes = vec![Change::Published(item("a", "")), Change::Retracted("b".into())];
        assert_eq!(said("<items node='n'><item id='a'/><retract id='b'/></items>"), Some(("n".to_owned(), changes)));
        assert_eq!(said("<purge node='n'/>"), Some(("n".to_owned(), vec![Change::Emptied])));
        assert_eq!(said("<configuration node='n'/>"), Some(("n".to_owned(), vec![])));
        assert_eq!(said(""), None);
    }

    #[test]
    fn subscriptions_to_other_nodes_are_left_alone() {
        let answer = parsed(
            "<iq xmlns='jabber:client' type='result'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscriptions>\
             <subscription node='n' jid='a@b/1' subscription='subscribed'/><subscription node='m' jid='a@b/2'/>\
             <subscription jid='a@b/3'/></subscriptions></pubsub></iq>",
        );
        assert_eq!(subscribed(&answer, "n"), ["a@b/1", "a@b/3"]);
    }
}
