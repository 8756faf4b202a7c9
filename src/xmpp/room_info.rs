//! What a room says of itself to its occupants. Pure.
//!
//! Source: XEP-0045 §6.4 "Querying for Room Information"; jitsi-meet's `mod_muc_meeting_id`, `mod_conference_duration`
//! and `mod_muc_lobby_rooms` for the fields with other names.

use minidom::Element;

use super::message::Retraction;
use super::muc::clip;
use super::ns;

/// The answer to a disco#info of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomInfo {
    /// Tells one life of the room from the next.
    pub meeting_id: Option<String>,
    /// When the second occupant came, in milliseconds since 1970.
    pub created: Option<i64>,
    /// The JID of the lobby, while there is one.
    pub lobby: Option<String>,
    /// Only members may enter.
    pub members_only: bool,
    /// A password is needed.
    pub password_protected: bool,
    /// How the retraction of others' messages is asked for.
    pub retraction: Option<Retraction>,
}

impl RoomInfo {
    /// Reads it leniently; a room that says nothing is one with nothing.
    #[must_use]
    pub fn read(answer: &Element) -> Self {
        let mut read = RoomInfo::default();
        let Some(query) = answer.get_child("query", ns::DISCO_INFO) else { return read };
        let features =
            || query.children().filter(|child| child.name() == "feature").filter_map(|child| child.attr("var"));
        read.members_only = features().any(|var| matches!(var, "muc_membersonly" | "muc_members_only"));
        read.password_protected = features().any(|var| matches!(var, "muc_passwordprotected" | "muc_password"));
        read.retraction = Retraction::of(features());
        let form = query.get_child("x", ns::DATA);
        for field in form.into_iter().flat_map(Element::children).filter(|child| child.name() == "field") {
            let value = field.children().find(|child| child.name() == "value").map(Element::text);
            let Some(value) = value.filter(|value| !value.is_empty()).map(|value| clip(&value).to_owned()) else {
                continue;
            };
            match field.attr("var") {
                Some("muc#roominfo_meetingId") => read.meeting_id = Some(value),
                Some("muc#roominfo_created_timestamp") => read.created = value.parse().ok(),
                Some("muc#roominfo_lobbyroom") => read.lobby = Some(value),
                _ => {}
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jitsi_room_names_its_life_and_its_lobby() {
        let answer: Element = "<iq xmlns='jabber:client' type='result'>\
            <query xmlns='http://jabber.org/protocol/disco#info'><feature var='muc_membersonly'/>\
            <feature var='urn:xmpp:message-moderate:1'/><x xmlns='jabber:x:data' type='result'>\
            <field var='muc#roominfo_meetingId'><value>6a5b</value></field>\
            <field var='muc#roominfo_lobbyroom'><value>r@lobby.meet.jitsi</value></field>\
            <field var='muc#roominfo_created_timestamp'><value>soon</value></field></x></query></iq>"
            .parse()
            .expect("the test's own text");
        let expected = RoomInfo {
            meeting_id: Some("6a5b".to_owned()),
            created: None,
            lobby: Some("r@lobby.meet.jitsi".to_owned()),
            members_only: true,
            password_protected: false,
            retraction: Some(Retraction::Current),
        };
        assert_eq!(RoomInfo::read(&answer), expected);
    }
}
