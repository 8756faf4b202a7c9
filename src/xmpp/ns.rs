//! Every namespace we read or write, beside its source.

/// Stanzas between client and server. RFC 6120 §11.2.
pub const CLIENT: &str = "jabber:client";
/// Stream-level elements. RFC 6120 §4.8.1.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Conditions in stanza errors. RFC 6120 §8.3.
pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Joining a room. XEP-0045 §7.2.
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// What a room says of its occupants. XEP-0045 §7.2.2.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Room configuration. XEP-0045 §10.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Data forms. XEP-0004.
pub const DATA: &str = "jabber:x:data";
/// Form type of the room configuration. XEP-0045 §15.5.
pub const MUC_ROOMCONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// Service discovery, information. XEP-0030 §3.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items. XEP-0030 §4.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Entity capabilities. XEP-0115.
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Ping. XEP-0199.
pub const PING: &str = "urn:xmpp:ping";
/// Software version. XEP-0092.
pub const VERSION: &str = "jabber:iq:version";
/// Display name. XEP-0172.
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// Stream management. XEP-0198.
pub const SM: &str = "urn:xmpp:sm:3";
/// Jingle. XEP-0166.
pub const JINGLE: &str = "urn:xmpp:jingle:1";
/// The conference focus: conference request, session-invalid, reservation errors. Jicofo.
pub const JITSI_FOCUS: &str = "http://jitsi.org/protocol/focus";
/// Jitsi's own children in errors and presence: lobby, permissions. jitsi-meet's Prosody plugins.
pub const JITMEET: &str = "http://jitsi.org/jitmeet";
/// Asking the focus to mute a microphone. Jicofo.
pub const JITMEET_AUDIO: &str = "http://jitsi.org/jitmeet/audio";
/// Asking the focus to mute a camera. Jicofo.
pub const JITMEET_VIDEO: &str = "http://jitsi.org/jitmeet/video";
/// Asking the focus to mute a shared screen. Jicofo.
pub const JITMEET_DESKTOP: &str = "http://jitsi.org/jitmeet/desktop";
/// Roles and affiliations. XEP-0045 §8, §9.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Delayed delivery. XEP-0203.
pub const DELAY: &str = "urn:xmpp:delay";
/// Occupant identifiers. XEP-0421.
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Ids that a room gives to messages. XEP-0359.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Retraction by a moderator. XEP-0425.
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// Retraction by a moderator, older. XEP-0425 version 0.2.
pub const MODERATE_0: &str = "urn:xmpp:message-moderate:0";
/// Retraction. XEP-0424.
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// Retraction, older. XEP-0424 version 0.3.
pub const RETRACT_0: &str = "urn:xmpp:message-retract:0";
/// Fastening, around the older retraction. XEP-0422.
pub const FASTEN: &str = "urn:xmpp:fasten:0";
/// Publish-subscribe, questions. XEP-0060.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish-subscribe, notifications. XEP-0060 §7.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Answers in pages. XEP-0059.
pub const RSM: &str = "http://jabber.org/protocol/rsm";
