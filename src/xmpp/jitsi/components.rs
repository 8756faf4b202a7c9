//! Which of Jitsi's components a deployment has, and where. Pure.
//!
//! The main domain names them in its disco#info, one identity each; they are asked for there also by guests, who are
//! logged in on another domain.
//! Source: jitsi-meet's `mod_features_identity` and the `jitsi-add-identity` event; lib-jitsi-meet's
//! `_processDiscoInfoIdentities`.

use minidom::Element;

use crate::xmpp::muc::clip;
use crate::xmpp::ns;

/// The components' addresses, each where the deployment has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Components {
    /// AV moderation.
    pub av_moderation: Option<Box<str>>,
    /// "End meeting for all".
    pub end_conference: Option<Box<str>>,
    /// The group chat service of lobby rooms.
    pub lobby: Option<Box<str>>,
    /// Room metadata.
    pub metadata: Option<Box<str>>,
    /// The group chat service of breakout rooms.
    pub breakout: Option<Box<str>>,
}

impl Components {
    /// Reads the answer to a disco#info of the main domain; of two identities of one type the first counts.
    #[must_use]
    pub fn read(answer: &Element) -> Self {
        let mut read = Components::default();
        let Some(query) = answer.get_child("query", ns::DISCO_INFO) else { return read };
        for identity in query.children().filter(|child| child.name() == "identity") {
            let (Some("component"), Some(kind), Some(name)) =
                (identity.attr("category"), identity.attr("type"), identity.attr("name"))
            else {
                continue;
            };
            let place = match kind {
                "av_moderation" => &mut read.av_moderation,
                "end_conference" => &mut read.end_conference,
                "lobbyrooms" => &mut read.lobby,
                "room_metadata" => &mut read.metadata,
                "breakout_rooms" => &mut read.breakout,
                _ => continue,
            };
            // An address and nothing longer: no part of a message may stand in a name.
            if !name.is_empty() && clip(name) == name && !name.contains(['@', '/', ' ']) {
                place.get_or_insert_with(|| name.into());
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_by_type_and_odd_names_are_left_out() {
        let answer: Element = "<iq xmlns='jabber:client' type='result'>\
            <query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity category='component' type='av_moderation' name='avmoderation.meet.jitsi'/>\
            <identity category='component' type='av_moderation' name='other.meet.jitsi'/>\
            <identity category='component' type='lobbyrooms' name='a@lobby.meet.jitsi'/>\
            <identity category='server' type='im' name='Prosody'/>\
            <identity category='component' type='polls' name='polls.meet.jitsi'/></query></iq>"
            .parse()
            .expect("the test's own text");
        let expected = Components { av_moderation: Some("avmoderation.meet.jitsi".into()), ..Components::default() };
        assert_eq!(Components::read(&answer), expected);
    }
}
