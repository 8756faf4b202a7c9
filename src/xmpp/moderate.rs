//! What a moderator asks of a room about its occupants: roles, affiliations, lists. Pure.
//!
//! Source: XEP-0045 §8 "Moderator Use Cases", §9 "Admin Use Cases", §10 "Owner Use Cases".

use minidom::Element;

use super::muc::{Affiliation, Role, clip};
use super::stanza;
use super::{Build, element, ns};

/// One affiliation to be set: of a bare JID, or of a whole domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffiliationItem<'a> {
    /// A bare JID, or a domain.
    pub jid: &'a str,
    /// What it gets.
    pub affiliation: &'a Affiliation,
    /// Why, as those concerned read it; left out when empty.
    pub reason: &'a str,
}

/// Sets a role by nick; `none` is a kick. It has happened when the room sends the occupant's presence.
///
/// Source: XEP-0045 §8.2 "Kicking an Occupant", §8.3 "Granting Voice to a Visitor".
#[must_use]
pub fn set_role(room: &str, id: &str, nick: &str, role: &Role, reason: &str) -> Element {
    let item = element("item", ns::MUC_ADMIN).attr("nick", nick).attr("role", role.as_str());
    admin_set(room, id).child(element("query", ns::MUC_ADMIN).child(with_reason(item, reason))).into()
}

/// Sets affiliations. Only a service with Jitsi's lobby plugin takes more than one at a time; elsewhere send one each.
///
/// Source: XEP-0045 §9.1 "Banning a User", §9.3 "Granting Membership", §10.3 "Granting Owner Status".
#[must_use]
pub fn set_affiliations(room: &str, id: &str, items: &[AffiliationItem<'_>]) -> Element {
    let mut query = element("query", ns::MUC_ADMIN);
    for one in items {
        let item = element("item", ns::MUC_ADMIN).attr("affiliation", one.affiliation.as_str()).attr("jid", one.jid);
        query = query.child(with_reason(item, one.reason));
    }
    admin_set(room, id).child(query).into()
}

/// Asks who has an affiliation. Source: XEP-0045 §9.2 "Modifying the Ban List", §10.5 "Modifying the Owner List".
#[must_use]
pub fn list(room: &str, id: &str, affiliation: &Affiliation) -> Element {
    let item = element("item", ns::MUC_ADMIN).attr("affiliation", affiliation.as_str());
    stanza::iq("get", Some(room), id).child(element("query", ns::MUC_ADMIN).child(item)).into()
}

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// A bare JID, or a domain.
    pub jid: String,
    /// What it has.
    pub affiliation: Affiliation,
    /// Why, where the service says it.
    pub reason: Option<String>,
}

/// Reads the answer to [`list`]; rows without a JID are left out.
#[must_use]
pub fn listed(answer: &Element) -> Vec<Listed> {
    let Some(query) = answer.get_child("query", ns::MUC_ADMIN) else { return Vec::new() };
    let row = |item: &Element| {
        let reason = item.children().find(|child| child.name() == "reason");
        Some(Listed {
            jid: item.attr("jid").map(clip)?.to_owned(),
            affiliation: Affiliation::read(item.attr("affiliation").unwrap_or_default()),
            reason: reason.map(|reason| clip(&reason.text()).to_owned()),
        })
    };
    query.children().filter(|child| child.name() == "item").filter_map(row).collect()
}

fn admin_set(room: &str, id: &str) -> Build {
    stanza::iq("set", Some(room), id)
}

fn with_reason(item: Build, reason: &str) -> Build {
    if reason.is_empty() { item } else { item.child(element("reason", ns::MUC_ADMIN).text(reason)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn a_kick_is_written_as_the_standard_has_it() {
        let kick = set_role("harfleur@chat.shakespeare.lit", "kick1", "pistol", &Role::None, "Avaunt, you cullion!");
        assert_eq!(
            xml::to_string(&kick, Some(ns::CLIENT)),
            "<iq id='kick1' to='harfleur@chat.shakespeare.lit' type='set'>\
             <query xmlns='http://jabber.org/protocol/muc#admin'><item nick='pistol' role='none'>\
             <reason>Avaunt, you cullion!</reason></item></query></iq>"
        );
    }

    #[test]
    fn affiliations_go_together_and_an_empty_reason_is_left_out() {
        let member = Affiliation::Member;
        let item = |jid| AffiliationItem { jid, affiliation: &member, reason: "" };
        let set = set_affiliations("r@c", "1", &[item("a@b"), item("c@d")]);
        assert_eq!(
            xml::to_string(&set, Some(ns::CLIENT)),
            "<iq id='1' to='r@c' type='set'><query xmlns='http://jabber.org/protocol/muc#admin'>\
             <item affiliation='member' jid='a@b'/><item affiliation='member' jid='c@d'/></query></iq>"
        );
    }

    #[test]
    fn a_list_is_read_row_by_row_whatever_stands_between() {
        let answer: Element = "<iq xmlns='jabber:client' type='result'>\
            <query xmlns='http://jabber.org/protocol/muc#admin'><junk/><item affiliation='outcast'/>\
            <item affiliation='outcast' jid='earl@shakespeare.lit'><reason>Treason</reason></item></query></iq>"
            .parse()
            .expect("the test's own text");
        let expected = Listed {
            jid: "earl@shakespeare.lit".to_owned(),
            affiliation: Affiliation::Outcast,
            reason: Some("Treason".to_owned()),
        };
        assert_eq!(listed(&answer), [expected]);
    }
}
