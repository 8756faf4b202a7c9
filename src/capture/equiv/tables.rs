//! What one client may say and another may not, each with its reason. Pure.

use super::What;

/// Something that may be missing or more without consequence.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// What: `extdisco`, `codec list`.
    pub name: &'static str,
    /// Why that is right.
    pub reason: &'static str,
}

const fn row(name: &'static str, reason: &'static str) -> Row {
    Row { name, reason }
}

/// What a browser says and innkeeper leaves out.
pub const OMITTED: &[(What, Row)] = &[
    (What::Session, row("session", "servers mark it optional; RFC 6121 took it out of XMPP")),
    (What::Extdisco, row("extdisco", "it asks for STUN and TURN servers, and a keeper has no media")),
    (What::DiscoInfo, row("disco#info", "innkeeper asks only what its configuration leaves open")),
    (What::DiscoItems, row("disco#items", "innkeeper asks only what its configuration leaves open")),
    (What::BreakoutDisco, row("breakout disco", "a keeper opens no breakout rooms")),
    (What::LobbyDisco, row("lobby disco", "an owner passes the lobby; its address comes with a refusal")),
    (
        What::Doubled,
        row("doubled conference request", "the browser asks once to log in and once to join; one is enough"),
    ),
    (What::Ping, row("ping", "each client pings in its own rhythm")),
    (What::Ack, row("acknowledgement", "each client counts in its own rhythm (XEP-0198)")),
    (What::Starttls, row("starttls", "how the connection is encrypted is the transport's business")),
    (What::MediaState, row("media state", "a member without media has none to tell of")),
    (What::Jingle, row("Jingle", "a member without media declines or leaves pending what is offered")),
    (What::Talk, row("message", "what a person says or votes is not the client's doing")),
    (What::LoginUrl, row("login-url", "the address of a login page is of no use to a program")),
    (What::End, row("leaving", "the recorded person went; how long to stay is each client's own business")),
];

/// What innkeeper says and a browser does not.
pub const ADDED: &[(What, Row)] = &[
    (What::SelfPing, row("self-ping", "shows that we are still inside (XEP-0410)")),
    (What::Enable, row("stream management", "a broken connection is resumed with it (XEP-0198)")),
    (
        What::RoomForm,
        row("room configuration", "a new room on a plain server is locked until it is configured (XEP-0045 §10.1)"),
    ),
];

/// Parts of a stanza, by the beginning of their path, that may be missing or more.
pub const PARTS: &[(What, &str, Row)] = &[
    (
        What::Conference,
        "conference/property[visitors-version]",
        row("visitors-version", "with it the focus may send us to a visitor node"),
    ),
    (What::Conference, "conference/property[visitor]", row("visitor", "a keeper is no visitor")),
    (
        What::Conference,
        "conference/property[rtcstatsEnabled]",
        row("rtcstatsEnabled", "a member without media has no statistics"),
    ),
    (
        What::Conference,
        "conference/property[startAudioMuted]",
        row("startAudioMuted", "whether others start muted is not for the keeper to ask"),
    ),
    (
        What::Conference,
        "conference/property[startVideoMuted]",
        row("startVideoMuted", "whether others start muted is not for the keeper to ask"),
    ),
    (What::Conference, "conference/property[disableRtx]", row("media preferences", "a member without media has none")),
    (What::Conference, "conference/property[stereo]", row("media preferences", "a member without media has none")),
    (
        What::Conference,
        "conference/property[",
        row("property", "the focus reads none but the start-muted and visitor ones"),
    ),
    (What::Join, "stats-id", row("stats-id", "a name for statistics")),
    (What::Join, "SourceInfo", row("SourceInfo", "a member without media has no sources")),
    (
        What::Join,
        "jitsi_participant_",
        row("codec list and properties", "a member without media has no codecs and no keys"),
    ),
    (What::Join, "videomuted", row("media state", "a member without media has none to tell of")),
    (What::Join, "audiomuted", row("media state", "a member without media has none to tell of")),
    (What::Join, "videoType", row("media state", "a member without media has none to tell of")),
    (What::Join, "features", row("features", "they speak of media and end-to-end encryption")),
    (What::Join, "region", row("region", "only the choice of a bridge depends on it")),
    (What::Join, "email", row("e-mail", "a keeper has none")),
    (What::Join, "avatar-", row("avatar", "a keeper has none")),
    (What::Join, "userId", row("userId", "a keeper has none")),
    (What::Join, "c", row("capabilities", "each client has its own")),
    (What::Join, "nick", row("display name", "each client has its own")),
    (What::Join, "x/history", row("history", "a keeper wants no old messages (XEP-0045 §7.2.13)")),
    (What::Enable, "@max", row("max", "how long the server keeps a lost session is its own decision")),
    (
        What::Answer,
        "",
        row("contents of an answer", "each client answers for itself: a member without media has other features"),
    ),
];

impl What {
    /// Why such a stanza may be left out.
    pub(super) fn omitted(self) -> Option<&'static Row> {
        OMITTED.iter().find(|(what, _)| *what == self).map(|(_, row)| row)
    }

    /// Why such a stanza may be more.
    pub(super) fn added(self) -> Option<&'static Row> {
        ADDED.iter().find(|(what, _)| *what == self).map(|(_, row)| row).or_else(|| self.omitted())
    }

    /// Why that part of such a stanza may be missing or more.
    pub(super) fn part(self, path: &str) -> Option<&'static Row> {
        let what = if self == What::Doubled { What::Conference } else { self };
        PARTS.iter().find(|(one, start, _)| *one == what && begins(path, start)).map(|(_, _, row)| row)
    }
}

/// Whether a path is, or lies below, what `start` names. A `start` that ends in punctuation is the beginning of a name.
fn begins(path: &str, start: &str) -> bool {
    let Some(rest) = path.strip_prefix(start) else { return false };
    if start.is_empty() {
        // All but the stanza's own attributes, of which its type is one.
        return !path.starts_with('@');
    }
    start.ends_with(['[', '_', '-']) || rest.is_empty() || rest.starts_with(['/', '@', '['])
}
