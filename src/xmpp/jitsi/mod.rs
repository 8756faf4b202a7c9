//! What Jitsi says beside XMPP.

pub mod conference;
