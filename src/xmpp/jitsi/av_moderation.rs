//! AV moderation: who may switch on a microphone, a camera or a shared screen. Pure.
//!
//! The component acts on the room of the connection's `?room=`, whatever the message says: send these only on a
//! connection whose URL names the room that is meant.
//! Source: jitsi-meet's `mod_av_moderation_component`, lib-jitsi-meet's `AVModeration`.

use minidom::Element;

use super::mute::Medium;
use crate::xmpp::{element, ns};

/// Switches it on or off for one medium.
#[must_use]
pub fn switch(component: &str, id: &str, medium: Medium, on: bool) -> Element {
    let enable = if on { "true" } else { "false" };
    message(component, id, &[("enable", enable), ("mediaType", medium.as_str())])
}

/// Lets an occupant JID switch the medium on; while moderation is off, asks them to.
#[must_use]
pub fn approve(component: &str, id: &str, medium: Medium, occupant: &str) -> Element {
    message(component, id, &[("mediaType", medium.as_str()), ("jidToWhitelist", occupant)])
}

/// Takes that back.
#[must_use]
pub fn withdraw(component: &str, id: &str, medium: Medium, occupant: &str) -> Element {
    message(component, id, &[("mediaType", medium.as_str()), ("jidToBlacklist", occupant)])
}

fn message(component: &str, id: &str, attributes: &[(&str, &str)]) -> Element {
    // Without a namespace of its own: a namespaced child is answered with service-unavailable.
    let mut command = element("av_moderation", ns::CLIENT);
    for (name, value) in attributes {
        command = command.attr(name, value);
    }
    element("message", ns::CLIENT).attr("to", component).attr("id", id).child(command).into()
}

/// Ends the meeting of the connection's `?room=`. Source: jitsi-meet's `mod_end_conference`.
#[must_use]
pub fn end_conference(component: &str, id: &str) -> Element {
    let command = element("end_conference", ns::CLIENT);
    element("message", ns::CLIENT).attr("to", component).attr("id", id).child(command).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn commands_are_children_without_a_namespace_of_their_own() {
        assert_eq!(
            xml::to_string(&switch("avmoderation.x", "1", Medium::Audio, true), Some(ns::CLIENT)),
            "<message id='1' to='avmoderation.x'><av_moderation enable='true' mediaType='audio'/></message>"
        );
        assert_eq!(
            xml::to_string(&approve("avmoderation.x", "1", Medium::Video, "r@c/n"), Some(ns::CLIENT)),
            "<message id='1' to='avmoderation.x'><av_moderation jidToWhitelist='r@c/n' mediaType='video'/></message>"
        );
        assert_eq!(
            xml::to_string(&end_conference("end.x", "1"), Some(ns::CLIENT)),
            "<message id='1' to='end.x'><end_conference/></message>"
        );
    }
}
