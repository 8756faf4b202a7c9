//! Service discovery: reading what a service is. Pure. Source: XEP-0030 "Service Discovery".

use minidom::Element;

use super::build::element;
use super::{ns, stanza};

/// Asks what an entity is.
#[must_use]
pub fn info_request(to: &str, id: &str) -> Element {
    stanza::iq("get", Some(to), id).child(element("query", ns::DISCO_INFO)).into()
}

/// Asks what lies below an entity.
#[must_use]
pub fn items_request(to: &str, id: &str) -> Element {
    stanza::iq("get", Some(to), id).child(element("query", ns::DISCO_ITEMS)).into()
}

/// Whether a `disco#info` result describes a group chat service: identity `conference/text`, or the MUC feature.
/// Source: XEP-0045 §6.1 "Discovering a MUC Service".
#[must_use]
pub fn is_group_chat(result: &Element) -> bool {
    let Some(query) = result.get_child("query", ns::DISCO_INFO) else { return false };
    query.children().any(|child| match child.name() {
        "identity" => child.attr("category") == Some("conference") && child.attr("type") == Some("text"),
        "feature" => child.attr("var") == Some(ns::MUC),
        _ => false,
    })
}

/// The addresses in a `disco#items` result, as written; at most `most`.
#[must_use]
pub fn items(result: &Element, most: usize) -> Vec<String> {
    let Some(query) = result.get_child("query", ns::DISCO_ITEMS) else { return Vec::new() };
    query
        .children()
        .filter(|child| child.name() == "item" && child.attr("node").is_none())
        .filter_map(|child| child.attr("jid").map(str::to_owned))
        .take(most)
        .collect()
}
