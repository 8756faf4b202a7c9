//! Who somebody is, by the strongest thing that is known of them. Pure.
//!
//! A display name is free text, a client hint can be copied, and a guest's JID and occupant id are new with each
//! connection. So everything that remembers a person asks this ladder and says how long its memory holds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text;
use crate::xmpp::jid;

/// One rung of the ladder, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The user id out of a token, where the deployment is declared to verify it.
    Token,
    /// The bare JID of an account, not of an anonymous domain.
    Account,
    /// XEP-0421: made by the server out of the bare JID, so a guest's lasts one connection.
    OccupantId,
    /// `stats-id`: kept by the browser, and copied by whoever wants to.
    Hint,
    /// The network address, where an admin's module gives it.
    Address,
    /// The display name, normalised and with confusable letters folded.
    Name,
}

/// How long what is remembered by a rung holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Strength {
    /// Whoever takes another name is somebody else.
    #[serde(rename = "name only")]
    NameOnly,
    /// A reload of the page, or a cleared browser, makes them somebody else.
    #[serde(rename = "until they reload")]
    UntilTheyReload,
    /// They stay who they are over any number of connections.
    #[serde(rename = "survives reconnect")]
    SurvivesReconnect,
}

impl Strength {
    /// In words that stand on every surface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Strength::SurvivesReconnect => "survives reconnect",
            Strength::UntilTheyReload => "until they reload",
            Strength::NameOnly => "name only",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rung {
    /// All, the strongest first.
    pub const ALL: [Rung; 6] = [Rung::Token, Rung::Account, Rung::OccupantId, Rung::Hint, Rung::Address, Rung::Name];

    /// What may be promised of a memory on this rung.
    ///
    /// A hint outlives a reload in an honest browser; nothing more than that is promised of it.
    #[must_use]
    pub fn strength(self) -> Strength {
        match self {
            Rung::Token | Rung::Account | Rung::Address => Strength::SurvivesReconnect,
            Rung::OccupantId | Rung::Hint => Strength::UntilTheyReload,
            Rung::Name => Strength::NameOnly,
        }
    }

    /// Whether another client can make it up.
    #[must_use]
    pub fn forgeable(self) -> bool {
        matches!(self, Rung::Hint | Rung::Name)
    }

    /// Its name in keys, configuration and exports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Token => "token",
            Rung::Account => "account",
            Rung::OccupantId => "occupant-id",
            Rung::Hint => "hint",
            Rung::Address => "address",
            Rung::Name => "name",
        }
    }
}

/// A person as memory knows them: a rung and what stands on it. Written `account:alice@meet.jitsi`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OccupantKey {
    /// What it was taken from.
    pub rung: Rung,
    /// The value, as it is compared.
    pub value: Box<str>,
}

impl OccupantKey {
    /// A key; addresses lose their case and names are normalised here.
    #[must_use]
    pub fn new(rung: Rung, value: &str) -> Self {
        let value = match rung {
            Rung::Account => jid::bare(value).to_lowercase(),
            Rung::Name => text::name(value),
            Rung::Token | Rung::OccupantId | Rung::Hint | Rung::Address => value.to_owned(),
        };
        OccupantKey { rung, value: value.into() }
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (rung, value) = text.split_once(':')?;
        let rung = Rung::ALL.into_iter().find(|known| known.as_str() == rung)?;
        (!value.is_empty()).then(|| OccupantKey::new(rung, value))
    }
}

impl fmt::Display for OccupantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rung.as_str(), self.value)
    }
}

impl Serialize for OccupantKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OccupantKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OccupantKey::read(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} names nobody: expected RUNG:VALUE such as account:alice@a.example"
            ))
        })
    }
}

/// What an admin declared about a deployment: what of an occupant's own words may be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The deployment verifies the user id that stands in presence (`mod_presence_identity`).
    pub verified_tokens: bool,
    /// Domains whose accounts are new with each connection.
    pub guest_domains: Vec<Box<str>>,
    /// Domains whose accounts are recorders and transcribers when they say so.
    pub recorder_domains: Vec<Box<str>>,
}

impl Trust {
    /// Adds what another table declares.
    pub fn extend(&mut self, other: &Trust) {
        self.verified_tokens |= other.verified_tokens;
        self.guest_domains.extend(other.guest_domains.iter().cloned());
        self.recorder_domains.extend(other.recorder_domains.iter().cloned());
    }

    /// Whether a bare JID tells nothing beyond one connection: of a declared domain, or with a random local part as
    /// anonymous and token logins get it.
    #[must_use]
    pub fn is_guest(&self, real_jid: &str) -> bool {
        let domain = jid::domain(real_jid);
        self.guest_domains.iter().any(|guests| guests.eq_ignore_ascii_case(domain))
            || jid::local(real_jid).is_none_or(is_uuid)
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// What is known of an occupant that could tell them again. Not all of it is true: see [`Rung`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The user id in `<identity/>`; anybody may write one where no module takes it away.
    pub token_user: Option<&'a str>,
    /// The real JID, full or bare.
    pub real_jid: Option<&'a str>,
    /// XEP-0421.
    pub occupant_id: Option<&'a str>,
    /// `<stats-id/>`.
    pub stats_id: Option<&'a str>,
    /// The network address.
    pub address: Option<&'a str>,
    /// The display name, or the nick where there is none.
    pub name: &'a str,
}

/// All rungs that an occupant stands on, the strongest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    keys: Vec<OccupantKey>,
}

/// Longest value that is remembered, bytes: what strangers choose must not fill the memory.
const VALUE_BYTES: usize = 256;

impl Identity {
    /// Reads the ladder off what is known.
    #[must_use]
    pub fn new(facts: &Facts<'_>, trust: &Trust) -> Self {
        let account = facts.real_jid.filter(|real| !trust.is_guest(real));
        let candidates = [
            (Rung::Token, facts.token_user.filter(|_| trust.verified_tokens)),
            (Rung::Account, account),
            (Rung::OccupantId, facts.occupant_id),
            (Rung::Hint, facts.stats_id),
            (Rung::Address, facts.address),
        ];
        let known =
            |value: &Option<&str>| value.is_some_and(|value| !value.is_empty() && value.len() <= VALUE_BYTES * 4);
        let mut keys: Vec<OccupantKey> = candidates
            .into_iter()
            .filter(|(_, value)| known(value))
            .filter_map(|(rung, value)| Some(OccupantKey::new(rung, value?)))
            .collect();
        keys.push(OccupantKey::new(Rung::Name, facts.name));
        Identity { keys }
    }

    /// By what they are remembered: the strongest rung.
    #[must_use]
    pub fn key(&self) -> &OccupantKey {
        &self.keys[0]
    }

    /// All rungs, the strongest first.
    #[must_use]
    pub fn keys(&self) -> &[OccupantKey] {
        &self.keys
    }

    /// The same without a rung; the name always stays.
    #[must_use]
    pub fn without(&self, rung: Rung) -> Self {
        let keys = self.keys.iter().filter(|key| key.rung != rung || rung == Rung::Name);
        Identity { keys: keys.cloned().collect() }
    }

    /// Whether the account is theirs over connections: a token's user or an account.
    #[must_use]
    pub fn is_account(&self) -> bool {
        matches!(self.key().rung, Rung::Token | Rung::Account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>() -> Facts<'a> {
        Facts {
            token_user: Some("u-17"),
            real_jid: Some("Alice@meet.jitsi/browser"),
            occupant_id: Some("oid"),
            stats_id: Some("Ada-xyz"),
            address: Some("192.0.2.7"),
            name: "Alice",
        }
    }

    #[test]
    fn a_token_counts_only_where_it_is_declared_verified() {
        let trusted = Trust { verified_tokens: true, ..Trust::default() };
        assert_eq!(Identity::new(&facts(), &trusted).key().to_string(), "token:u-17");
        assert_eq!(Identity::new(&facts(), &Trust::default()).key().to_string(), "account:alice@meet.jitsi");
    }

    #[test]
    fn a_guest_has_no_account() {
        let uuid =
            Facts { token_user: None, real_jid: Some("8a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi/x"), ..facts() };
        assert_eq!(Identity::new(&uuid, &Trust::default()).key().rung, Rung::OccupantId);
        let guests = Trust { guest_domains: vec!["guest.meet.jitsi".into()], ..Trust::default() };
        let guest = Facts { token_user: None, real_jid: Some("x@guest.meet.jitsi/y"), ..facts() };
        let identity = Identity::new(&guest, &guests);
        assert!(!identity.is_account());
        let rungs: Vec<_> = identity.keys().iter().map(|key| key.rung).collect();
        assert_eq!(rungs, [Rung::OccupantId, Rung::Hint, Rung::Address, Rung::Name]);
    }

    #[test]
    fn somebody_of_whom_nothing_is_known_still_has_a_name() {
        let identity = Identity::new(&Facts { name: "Bob", ..Facts::default() }, &Trust::default());
        assert_eq!(identity.key().to_string(), "name:bob");
        assert_eq!(identity.key().rung.strength().to_string(), "name only");
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for key in Identity::new(&facts(), &Trust { verified_tokens: true, ..Trust::default() }).keys() {
            assert_eq!(OccupantKey::read(&key.to_string()).as_ref(), Some(key));
        }
        assert_eq!(OccupantKey::read("shoe:42"), None);
        assert_eq!(OccupantKey::read("account:"), None);
    }
}
