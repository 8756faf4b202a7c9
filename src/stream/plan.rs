//! What a login needs to know, and what comes of it.

use std::time::Duration;

use crate::config::{Mechanism, Secret};
use crate::xml::Element;

/// How to log in on a stream.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The XMPP domain to log in on.
    pub domain: String,
    /// Account and password; `None` means ANONYMOUS, which is never a fallback for an account.
    pub account: Option<(String, Secret)>,
    /// Where a token in the URL is the login: what is known of it.
    pub token: Option<TokenLogin>,
    /// Mechanisms the admin agreed to; `None`: every one but PLAIN.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// The login that last worked on this service; a weaker one is refused unless `mechanisms` names it.
    pub last: Option<LastLogin>,
    /// The resource to ask for.
    pub resource: String,
    /// The session to resume, if any (XEP-0198 §5 "Resumption").
    pub resume: Option<Resume>,
    /// Random text for SCRAM's client nonce (RFC 5802 §5.1), at least 18 bytes of entropy, no comma.
    pub client_nonce: String,
}

/// A login by a token in the URL, for the words of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLogin {
    /// How long it lives from now on, where we made it.
    pub life: Option<Duration>,
}

/// What the last login used, to notice a downgrade. Kept in the state folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastLogin {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// [`super::Security::key_hash`] in hex: losing `-PLUS` counts as a downgrade only while the key is the same.
    pub key_hash: Option<String>,
}

/// A session that may be resumed.
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    /// The id from `<enabled id=…/>`; a secret.
    pub id: String,
    /// How many stanzas we handled.
    pub handled: u32,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resume").field("id", &"[secret]").field("handled", &self.handled).finish()
    }
}

/// A stream that is ready for stanzas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Our full JID as the server gave it; on resumption the caller knows it already and this is empty.
    pub jid: String,
    /// How we logged in.
    pub login: LastLogin,
    /// Stream management, where the server offers it.
    pub management: Option<Management>,
    /// On resumption: how many of our stanzas the server handled.
    pub resumed: Option<u32>,
    /// Stanzas that came before the login was finished; they do not count for stream management.
    pub early: Vec<Element>,
}

/// What `<enabled/>` said.
#[derive(Clone, PartialEq, Eq)]
pub struct Management {
    /// The id to resume with, a secret; `None`: acknowledgements only.
    pub id: Option<String>,
    /// How long the server keeps the session after a loss.
    pub max: Option<Duration>,
}

impl std::fmt::Debug for Management {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.id.as_ref().map(|_| "[secret]");
        f.debug_struct("Management").field("id", &id).field("max", &self.max).finish()
    }
}
