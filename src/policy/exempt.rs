//! Who is never judged: ourselves, the focus, recorders, owners, and whom the admin lists. Pure.
//!
//! Only what the server says counts here. A recorder's features are its own words, so they count only with a real JID
//! of a domain that the admin declared to be the recorders'.

use super::Presence;
use super::identity::{OccupantKey, Rung, Trust};
use super::person::Person;
use crate::pattern::Pattern;
use crate::xmpp::jid;
use crate::xmpp::muc::Affiliation;

/// Why somebody is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exempt {
    /// Ourselves, or another session of our account.
    Keeper,
    /// The conference focus.
    Focus,
    /// A recorder, a telephone gateway or a transcriber, of a declared domain.
    Recorder,
    /// An owner or admin of the room. Rule `moderators` alone looks at them: where a deployment makes everybody an
    /// owner, it says who may be one.
    Owner,
    /// On the admin's list.
    Listed,
}

impl Exempt {
    /// Whether this is no person but part of the machinery, and counts nowhere.
    #[must_use]
    pub fn is_machinery(self) -> bool {
        matches!(self, Exempt::Keeper | Exempt::Focus | Exempt::Recorder)
    }
}

/// Whom the admin lists: patterns of bare JIDs, or keys such as `token:u-17`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Patterns of real bare JIDs of accounts.
    pub accounts: Vec<Pattern>,
    /// User ids of verified tokens.
    pub tokens: Vec<Box<str>>,
}

impl AllowList {
    /// Reads entries: `alice@meet.jitsi`, `*@staff.example`, `token:u-17`.
    ///
    /// # Errors
    /// The entry that can not be read, and why.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut list = AllowList::default();
        for entry in entries {
            match entry.split_once(':') {
                Some(("token", user)) if !user.is_empty() => list.tokens.push(user.into()),
                None if entry.contains('@') && !entry.contains('/') => list.accounts.push(Pattern::new(entry)),
                _ => return Err(format!("{entry:?} is no account")),
            }
        }
        Ok(list)
    }

    /// Adds another list's entries.
    pub fn extend(&mut self, other: &AllowList) {
        self.accounts.extend(other.accounts.iter().cloned());
        self.tokens.extend(other.tokens.iter().cloned());
    }

    /// Whether somebody of a domain may be on it. Whose token it is tells nothing of the domain.
    #[must_use]
    pub fn spares_some_of(&self, domain: &str) -> bool {
        let fits = |pattern: &Pattern| {
            let of = pattern.as_str().rsplit_once('@').map_or(pattern.as_str(), |(_, domain)| domain);
            Pattern::new(of).matches(domain)
        };
        !self.tokens.is_empty() || self.accounts.iter().any(fits)
    }

    /// Whether an occupant is on it, by what the server says of them.
    #[must_use]
    pub fn holds(&self, person: &Person) -> bool {
        let account = person.real_jid.as_deref().map(jid::bare);
        let token = || person.identity.keys().iter().find(|key| key.rung == Rung::Token);
        account.is_some_and(|account| self.has_account(account))
            || (!self.tokens.is_empty() && token().is_some_and(|key| self.tokens.contains(&key.value)))
    }

    /// Whether an account or a token's user is on it that is not here to be seen.
    #[must_use]
    pub fn names(&self, key: &OccupantKey) -> bool {
        match key.rung {
            Rung::Account => self.has_account(&key.value),
            Rung::Token => self.tokens.contains(&key.value),
            _ => false,
        }
    }

    fn has_account(&self, account: &str) -> bool {
        self.accounts.iter().any(|pattern| pattern.matches(account))
    }
}

/// What the entries of an allow list look like, for the `expected` of an error.
pub const ENTRIES: &str =
    "a bare JID such as \"alice@meet.jitsi\", a pattern such as \"*@staff.example\", or \"token:USER\"";

/// Judges whether somebody is to be judged.
pub(super) fn exempt(person: &Person, presence: &Presence<'_>, list: &AllowList, trust: &Trust) -> Option<Exempt> {
    let domain = person.real_jid.as_deref().map(jid::domain);
    let recorders = |domain: &str| trust.recorder_domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
    if presence.own {
        Some(Exempt::Keeper)
    } else if presence.focus {
        Some(Exempt::Focus)
    } else if presence.recorder && domain.is_some_and(recorders) {
        Some(Exempt::Recorder)
    } else if list.holds(person) {
        Some(Exempt::Listed)
    } else if matches!(person.affiliation, Some(Affiliation::Owner | Affiliation::Admin)) {
        Some(Exempt::Owner)
    } else {
        None
    }
}
