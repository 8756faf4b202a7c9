//! Asking the focus to mute an occupant. Pure.
//!
//! Source: Jicofo's `MuteIqHandler` and lib-jitsi-meet's `ChatRoom.muteParticipant`.

use minidom::Element;

use crate::xmpp::{element, ns, stanza};

/// What can be muted or moderated.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// The microphone.
    Audio,
    /// The camera.
    Video,
    /// The shared screen.
    Desktop,
}

impl Medium {
    /// All of them.
    pub const ALL: [Medium; 3] = [Medium::Audio, Medium::Video, Medium::Desktop];

    /// As the wire writes it: `audio`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Medium::Audio => "audio",
            Medium::Video => "video",
            Medium::Desktop => "desktop",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Medium::Audio => ns::JITMEET_AUDIO,
            Medium::Video => ns::JITMEET_VIDEO,
            Medium::Desktop => ns::JITMEET_DESKTOP,
        }
    }
}

/// Asks the focus of `room` to mute `nick`. Nobody can be unmuted this way; they may unmute themselves.
#[must_use]
pub fn request(room: &str, id: &str, nick: &str, medium: Medium) -> Element {
    let mute = element("mute", medium.namespace()).attr("jid", &format!("{room}/{nick}")).text("true");
    stanza::iq("set", Some(&format!("{room}/focus")), id).child(mute).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn a_mute_goes_to_the_focus_and_names_the_occupant() {
        assert_eq!(
            xml::to_string(&request("r@c", "1", "n", Medium::Desktop), Some(ns::CLIENT)),
            "<iq id='1' to='r@c/focus' type='set'>\
             <mute xmlns='http://jitsi.org/jitmeet/desktop' jid='r@c/n'>true</mute></iq>"
        );
    }
}
