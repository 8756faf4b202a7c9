//! What may be kept: elements and attributes whose values say what happened and nothing else. Everything that is not
//! here is masked.

use super::Kind;
use super::Value::{self, Content, Json, Keep, Mask, Payload, Secret};
use crate::xmpp::ns;

/// What is known of one element.
pub(super) struct Known {
    namespace: &'static str,
    /// Empty: every name of the namespace.
    name: &'static str,
    /// Attributes in no namespace that are not masked.
    pub(super) attributes: &'static [(&'static str, Value)],
    /// What its text is.
    pub(super) text: Value,
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const LIMITS: &str = "urn:xmpp:stream-limits:0";
const BOSH: &str = "http://jabber.org/protocol/httpbind";
const EXTDISCO_1: &str = "urn:xmpp:extdisco:1";
const EXTDISCO_2: &str = "urn:xmpp:extdisco:2";
const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";

const fn row(
    namespace: &'static str,
    name: &'static str,
    attributes: &'static [(&'static str, Value)],
    text: Value,
) -> Known {
    Known { namespace, name, attributes, text }
}

const STANZA: &[(&str, Value)] = &[("from", Keep), ("to", Keep), ("id", Keep), ("type", Keep)];
const STREAM: &[(&str, Value)] = &[("from", Keep), ("to", Keep), ("id", Keep), ("version", Keep)];
const ITEM: &[(&str, Value)] = &[("affiliation", Keep), ("jid", Keep), ("nick", Keep), ("role", Keep)];
const SERVICE: &[(&str, Value)] = &[
    ("action", Keep),
    ("expires", Keep),
    ("host", Keep),
    ("password", Secret(Kind::Turn)),
    ("port", Keep),
    ("restricted", Keep),
    ("transport", Keep),
    ("type", Keep),
    ("username", Secret(Kind::Turn)),
];

const KNOWN: &[Known] = &[
    // The stream (RFC 6120, RFC 7395, XEP-0124, XEP-0198).
    row(FRAMING, "open", STREAM, Mask),
    row(FRAMING, "close", STREAM, Mask),
    row(ns::STREAM, "", STREAM, Mask),
    row(STREAM_ERRORS, "", &[], Keep),
    row(TLS, "", &[], Mask),
    row(SASL, "mechanisms", &[], Mask),
    row(SASL, "mechanism", &[], Keep),
    row(SASL, "auth", &[("mechanism", Keep)], Payload),
    row(SASL, "challenge", &[], Payload),
    row(SASL, "response", &[], Payload),
    row(SASL, "success", &[], Payload),
    row(SASL, "failure", &[], Mask),
    row(SASL, "abort", &[], Mask),
    // What the server says of a refused login; conditions have no text.
    row(SASL, "", &[], Keep),
    row("urn:xmpp:sasl-cb:0", "", &[("type", Keep)], Mask),
    row(BIND, "", &[], Keep),
    row("urn:ietf:params:xml:ns:xmpp-session", "", &[], Mask),
    row("urn:xmpp:features:rosterver", "", &[], Mask),
    row("urn:xmpp:features:pre-approval", "", &[], Mask),
    row("http://jabber.org/features/iq-register", "", &[], Mask),
    row("http://jabber.org/features/iq-auth", "", &[], Mask),
    row("http://jabber.org/features/compress", "", &[], Keep),
    row("urn:xmpp:csi:0", "", &[], Mask),
    row(LIMITS, "", &[], Keep),
    row("urn:xmpp:sm:2", "", &[("h", Keep)], Mask),
    row(
        ns::SM,
        "",
        &[("h", Keep), ("id", Secret(Kind::Stream)), ("max", Keep), ("previd", Secret(Kind::Stream)), ("resume", Keep)],
        Mask,
    ),
    row(
        BOSH,
        "body",
        &[
            ("condition", Keep),
            ("from", Keep),
            ("hold", Keep),
            ("inactivity", Keep),
            ("polling", Keep),
            ("requests", Keep),
            ("sid", Secret(Kind::Stream)),
            ("to", Keep),
            ("type", Keep),
            ("ver", Keep),
            ("wait", Keep),
        ],
        Mask,
    ),
    // Stanzas (RFC 6120 §8, RFC 6121).
    row(ns::CLIENT, "iq", STANZA, Mask),
    row(ns::CLIENT, "message", STANZA, Mask),
    row(ns::CLIENT, "presence", STANZA, Mask),
    row(ns::CLIENT, "error", &[("by", Keep), ("code", Keep), ("type", Keep)], Mask),
    // Its text is looked at apart: whose it is decides.
    row(ns::STANZAS, "", &[], Mask),
    row(ns::CLIENT, "body", &[], Content),
    row(ns::CLIENT, "subject", &[], Content),
    row(ns::CLIENT, "thread", &[], Content),
    row(ns::CLIENT, "status", &[], Content),
    row(ns::CLIENT, "show", &[], Keep),
    row(ns::CLIENT, "priority", &[], Keep),
    row("urn:xmpp:delay", "delay", &[("from", Keep), ("stamp", Keep)], Mask),
    row("jabber:x:delay", "x", &[("from", Keep), ("stamp", Keep)], Mask),
    row("urn:xmpp:sid:0", "", &[("by", Keep), ("id", Keep)], Mask),
    row("urn:xmpp:occupant-id:0", "occupant-id", &[("id", Keep)], Mask),
    row(ns::PING, "ping", &[], Mask),
    row(ns::VERSION, "", &[], Keep),
    row(ns::CAPS, "c", &[("ext", Keep), ("hash", Keep), ("node", Keep), ("ver", Keep)], Mask),
    row(ns::DISCO_INFO, "query", &[("node", Keep)], Mask),
    row(ns::DISCO_INFO, "identity", &[("category", Keep), ("name", Keep), ("type", Keep)], Mask),
    row(ns::DISCO_INFO, "feature", &[("var", Keep)], Mask),
    row(ns::DISCO_ITEMS, "query", &[("node", Keep)], Mask),
    row(ns::DISCO_ITEMS, "item", &[("jid", Keep), ("name", Content), ("node", Keep)], Mask),
    row(EXTDISCO_1, "services", &[("type", Keep)], Mask),
    row(EXTDISCO_2, "services", &[("type", Keep)], Mask),
    row(EXTDISCO_1, "credentials", &[], Mask),
    row(EXTDISCO_2, "credentials", &[], Mask),
    row(EXTDISCO_1, "service", SERVICE, Mask),
    row(EXTDISCO_2, "service", SERVICE, Mask),
    // Group chat (XEP-0045, XEP-0249) and forms (XEP-0004); the values of fields are looked at apart.
    row(ns::MUC, "x", &[], Mask),
    row(ns::MUC, "history", &[("maxchars", Keep), ("maxstanzas", Keep), ("seconds", Keep), ("since", Keep)], Mask),
    row(ns::MUC_USER, "x", &[], Mask),
    row(ns::MUC_USER, "item", ITEM, Mask),
    row(ns::MUC_USER, "status", &[("code", Keep)], Mask),
    row(ns::MUC_USER, "actor", &[("jid", Keep), ("nick", Keep)], Mask),
    row(ns::MUC_USER, "destroy", &[("jid", Keep)], Mask),
    row(ns::MUC_USER, "invite", &[("from", Keep), ("to", Keep)], Mask),
    row(ns::MUC_USER, "decline", &[("from", Keep), ("to", Keep)], Mask),
    row(ns::MUC_USER, "reason", &[], Content),
    row(MUC_ADMIN, "query", &[], Mask),
    row(MUC_ADMIN, "item", ITEM, Mask),
    row(MUC_ADMIN, "actor", &[("jid", Keep), ("nick", Keep)], Mask),
    row(MUC_ADMIN, "reason", &[], Content),
    row(ns::MUC_OWNER, "query", &[], Mask),
    row(ns::MUC_OWNER, "destroy", &[("jid", Keep)], Mask),
    row(ns::MUC_OWNER, "reason", &[], Content),
    row("jabber:x:conference", "x", &[("jid", Keep), ("reason", Content)], Mask),
    row(ns::DATA, "x", &[("type", Keep)], Mask),
    row(ns::DATA, "field", &[("type", Keep), ("var", Keep)], Mask),
    row(ns::DATA, "title", &[], Content),
    row(ns::DATA, "instructions", &[], Content),
    row(ns::DATA, "", &[], Mask),
    // Jitsi: the conference focus.
    row(
        ns::JITSI_FOCUS,
        "conference",
        &[
            ("focusjid", Keep),
            ("identity", Keep),
            ("machine-uid", Secret(Kind::MachineUid)),
            ("ready", Keep),
            ("room", Keep),
            ("session-id", Secret(Kind::SessionId)),
            ("token", Secret(Kind::Token)),
            ("vnode", Keep),
        ],
        Mask,
    ),
    // The value is looked at apart: the name decides.
    row(ns::JITSI_FOCUS, "property", &[("key", Keep), ("name", Keep)], Mask),
    row(ns::JITSI_FOCUS, "reservation-error", &[("error-code", Keep)], Mask),
    row(ns::JITSI_FOCUS, "", &[], Mask),
    // Jitsi: refusals at a room's door, and what components push.
    row(ns::JITMEET, "lobbyroom", &[], Keep),
    row(ns::JITMEET, "displayname-required", &[("lobby", Keep)], Mask),
    row(ns::JITMEET, "component", &[("name", Keep)], Keep),
    row(ns::JITMEET, "versions", &[], Mask),
    row(ns::JITMEET, "json-message", &[("room", Keep)], Json),
    row(ns::JITMEET, "room_metadata", &[("room", Keep)], Json),
    row("http://jitsi.org/jitmeet/audio", "", &[("actor", Keep), ("block", Keep), ("jid", Keep)], Keep),
    row("http://jitsi.org/jitmeet/video", "", &[("actor", Keep), ("block", Keep), ("jid", Keep)], Keep),
    row("http://jitsi.org/jitmeet/start-muted", "startmuted", &[("audio", Keep), ("video", Keep)], Mask),
    row(ns::JITMEET, "", &[], Mask),
    // Jitsi: what clients put into their presence, in the stanza's own namespace.
    row(ns::CLIENT, "features", &[], Mask),
    row(ns::CLIENT, "feature", &[("var", Keep)], Mask),
    row(ns::CLIENT, "audiomuted", &[], Keep),
    row(ns::CLIENT, "videomuted", &[], Keep),
    row(ns::CLIENT, "jitsi_participant_codecType", &[], Keep),
    row(ns::CLIENT, "jitsi_participant_codecList", &[], Keep),
    row(ns::CLIENT, "bot", &[("type", Keep)], Mask),
    row(ns::CLIENT, "stats-id", &[], Content),
    row(ns::CLIENT, "stats", &[], Content),
    row(ns::CLIENT, "stat", &[("name", Content), ("value", Content)], Mask),
    row(ns::CLIENT, "email", &[], Content),
    row(ns::CLIENT, "avatar-url", &[], Content),
    row(ns::CLIENT, "avatar-id", &[], Content),
    row(ns::NICK, "nick", &[], Content),
    // Jingle (XEP-0166): what is negotiated is nobody's business, that it is.
    row(ns::JINGLE, "jingle", &[("action", Keep), ("initiator", Keep), ("responder", Keep), ("sid", Keep)], Mask),
    row(ns::JINGLE, "content", &[("creator", Keep), ("name", Keep), ("senders", Keep)], Mask),
    row(ns::JINGLE, "text", &[], Content),
    row(ns::JINGLE, "", &[], Mask),
];

/// What is known of an element.
pub(super) fn element(namespace: &str, name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.namespace == namespace && (known.name == name || known.name.is_empty()))
}

/// The kind of secret that an attribute, an element, a JSON key or a query parameter of this name holds wherever it
/// stands.
pub(super) fn secret(name: &str) -> Option<Kind> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "token" | "jwt" | "accesstoken" | "idtoken" | "refreshtoken" | "authtoken" => Some(Kind::Token),
        "previd" | "smid" | "resumptiontoken" => Some(Kind::Stream),
        "sessionid" => Some(Kind::SessionId),
        "machineuid" | "machineid" => Some(Kind::MachineUid),
        "password" | "passwd" | "passphrase" | "pwd" | "roomsecret" | "lockpassword" => Some(Kind::Password),
        "secret" | "authorization" | "proxyauthorization" | "cookie" | "setcookie" | "apikey" | "credential" => {
            Some(Kind::Secret)
        }
        _ => None,
    }
}

/// What the values of a form field are (XEP-0004 §3.2). `boolean`: the form says that they are.
pub(super) fn field(var: &str, boolean: bool) -> Value {
    let last = var.rsplit(['_', '#', '/']).next().unwrap_or(var);
    match var {
        "FORM_TYPE" => Keep,
        _ if secret(var).is_some() || secret(last).is_some() => Secret(Kind::Password),
        "muc#roomconfig_roomname"
        | "muc#roomconfig_roomdesc"
        | "muc#roominfo_description"
        | "muc#roominfo_subject"
        | "muc#roominfo_name" => Content,
        _ if boolean || var.starts_with("muc#") => Keep,
        _ => Mask,
    }
}

/// What the value of a focus's `<property/>` is: most say how a conference is set up.
pub(super) fn property(name: &str) -> Value {
    match name {
        _ if secret(name).is_some() => Secret(Kind::Secret),
        "authentication"
        | "externalAuth"
        | "sipGatewayEnabled"
        | "visitors-supported"
        | "visitors-version"
        | "visitor"
        | "live"
        | "startAudioMuted"
        | "startVideoMuted"
        | "rtcstatsEnabled"
        | "disableRtx"
        | "stereo"
        | "openSctp"
        | "support-terminate-restart"
        | "created-ms"
        | "octo-enabled"
        | "bridge-count" => Keep,
        _ => Mask,
    }
}

/// Whether a text or number under this key of a JSON object may be kept. Truth values are always.
pub(super) fn json_key(key: &str) -> bool {
    const KEPT: &[&str] = &[
        "type",
        "event",
        "room",
        "roomJid",
        "key",
        "created_timestamp",
        "mediaType",
        "kind",
        "host",
        "port",
        "transport",
        "expires",
        "breakout_rooms_enabled",
        "lobbyroom",
    ];
    KEPT.contains(&key)
}
