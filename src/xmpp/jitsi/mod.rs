//! What Jitsi says beside XMPP.

pub mod av_moderation;
pub mod components;
pub mod conference;
pub mod json_message;
pub mod mute;
