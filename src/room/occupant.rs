//! Who is in a room, under which nick, since when. Pure.

use std::time::Instant;

use crate::policy;
use crate::xmpp::jid;
use crate::xmpp::muc::{Affiliation, Machine, Role, RoomPresence};

/// One occupant. What could not be read is `None`; they are listed all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// The real JID, where the room shows it.
    pub real_jid: Option<Box<str>>,
    /// The role, as the room said last.
    pub role: Option<Role>,
    /// The affiliation, as the room said last.
    pub affiliation: Option<Affiliation>,
    /// The display name: their own choice.
    pub display_name: Option<Box<str>>,
    /// When we first saw them under any nick.
    pub since: Instant,
    /// What could tell them again, where they or the room say anything of the kind.
    pub ids: Option<Box<Ids>>,
    /// What they say they are, where that is no browser.
    pub machine: Option<Machine>,
}

/// What could tell somebody again; see [`policy::identity::Rung`] for what it is worth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// XEP-0421.
    pub occupant_id: Option<Box<str>>,
    /// `<stats-id/>`.
    pub stats_id: Option<Box<str>>,
    /// The user id in `<identity/>`.
    pub token_user: Option<Box<str>>,
}

/// What a presence changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody is here who was not.
    Entered,
    /// They show another display name; this was the one before.
    Renamed(Option<Box<str>>),
    /// Nothing that they are called by.
    Same,
}

/// Everybody in a room, by nick as the room writes it.
///
/// A sorted list: a thousand rooms with two occupants each are the usual case, and a table of their own costs each of
/// them twice as much.
#[derive(Debug, Default)]
pub struct Occupants {
    by_nick: Vec<(Box<str>, Occupant)>,
}

impl Occupants {
    /// Takes in an available presence; says what it changed.
    pub fn enter(&mut self, now: Instant, nick: &str, presence: &RoomPresence) -> Change {
        match self.find(nick) {
            Ok(at) => {
                let occupant = &mut self.by_nick[at].1;
                if occupant.display_name.as_deref() == presence.display_name.as_deref() {
                    occupant.read(presence);
                    return Change::Same;
                }
                let before = occupant.display_name.take();
                occupant.read(presence);
                Change::Renamed(before)
            }
            Err(at) => {
                let mut occupant = Occupant {
                    real_jid: None,
                    role: None,
                    affiliation: None,
                    display_name: None,
                    since: now,
                    ids: None,
                    machine: None,
                };
                occupant.read(presence);
                self.insert(at, nick, occupant);
                Change::Entered
            }
        }
    }

    /// Takes in an unavailable presence: a change of nick moves the occupant, anything else removes them. Answers who
    /// is gone.
    ///
    /// Source: XEP-0045 §7.6 "Changing Nickname", §7.14 "Exiting a Room".
    pub fn leave(&mut self, nick: &str, renamed_to: Option<&str>) -> Option<Occupant> {
        let (_, occupant) = self.by_nick.remove(self.find(nick).ok()?);
        let mut gone = None;
        match renamed_to {
            Some(new) => match self.find(new) {
                Ok(at) => self.by_nick[at].1 = occupant,
                Err(at) => self.insert(at, new, occupant),
            },
            None => gone = Some(occupant),
        }
        if self.by_nick.len() * 4 < self.by_nick.capacity() {
            self.by_nick.shrink_to_fit();
        }
        gone
    }

    /// The occupant under that nick.
    #[must_use]
    pub fn by_nick(&self, nick: &str) -> Option<&Occupant> {
        self.find(nick).ok().map(|at| &self.by_nick[at].1)
    }

    /// All, by nick.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Occupant)> {
        self.by_nick.iter().map(|(nick, occupant)| (&**nick, occupant))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_nick.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_nick.is_empty()
    }

    fn find(&self, nick: &str) -> Result<usize, usize> {
        self.by_nick.binary_search_by(|(known, _)| (**known).cmp(nick))
    }

    fn insert(&mut self, at: usize, nick: &str, occupant: Occupant) {
        if self.by_nick.len() < 8 {
            self.by_nick.reserve_exact(1);
        }
        self.by_nick.insert(at, (nick.into(), occupant));
    }
}

impl Occupant {
    fn read(&mut self, presence: &RoomPresence) {
        if let Some(real) = &presence.real_jid {
            self.real_jid = Some(real.as_str().into());
        }
        if let Some(role) = &presence.role {
            self.role = Some(role.clone());
        }
        if let Some(affiliation) = &presence.affiliation {
            self.affiliation = Some(affiliation.clone());
        }
        // A presence replaces the one before (RFC 6121 §4.4.1), so a name that is gone is gone.
        self.display_name = presence.display_name.as_deref().map(Into::into);
        self.machine = presence.machine;
        let RoomPresence { occupant_id, stats_id, token_user, .. } = presence;
        if self.ids.is_none() && occupant_id.is_none() && stats_id.is_none() && token_user.is_none() {
            return;
        }
        let ids = self.ids.get_or_insert_default();
        // What the room makes stays when a presence could only partly be read.
        let occupant_id = occupant_id.as_deref().or(ids.occupant_id.as_deref()).map(Box::<str>::from);
        **ids = Ids {
            occupant_id,
            stats_id: stats_id.as_deref().map(Into::into),
            token_user: token_user.as_deref().map(Into::into),
        };
    }

    /// As rules and bans look at them.
    #[must_use]
    pub fn presence<'a>(&'a self, nick: &'a str, own: bool, focus: bool) -> policy::Presence<'a> {
        let ids = self.ids.as_deref();
        policy::Presence {
            nick,
            display_name: self.display_name.as_deref(),
            real_jid: self.real_jid.as_deref(),
            occupant_id: ids.and_then(|ids| ids.occupant_id.as_deref()),
            stats_id: ids.and_then(|ids| ids.stats_id.as_deref()),
            token_user: ids.and_then(|ids| ids.token_user.as_deref()),
            address: None,
            role: self.role.as_ref(),
            affiliation: self.affiliation.as_ref(),
            own,
            focus,
            recorder: self.machine.is_some(),
        }
    }

    /// Whether this is the focus: an owner, and the account that the focus named as its own, where both are known.
    ///
    /// The nick alone proves nothing: when the focus is gone anybody may take it.
    #[must_use]
    pub fn is_focus(&self, focus_jid: Option<&str>) -> bool {
        let owner = matches!(self.affiliation, Some(Affiliation::Owner | Affiliation::Admin));
        match (focus_jid, self.real_jid.as_deref()) {
            (Some(focus), Some(real)) => owner && jid::bare(real) == jid::bare(focus),
            _ => owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(role: Role, affiliation: Affiliation, real: &str) -> RoomPresence {
        RoomPresence {
            role: Some(role),
            affiliation: Some(affiliation),
            real_jid: Some(real.to_owned()),
            ..RoomPresence::default()
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn somebody_else_under_the_focus_nick_is_not_the_focus() {
        let now = Instant::now();
        let mut here = Occupants::default();
        here.enter(now, "focus", &presence(Role::Moderator, Affiliation::Owner, "mallory@guest.meet.jitsi/x"));
        let occupant = here.by_nick("focus").expect("just entered");
        assert!(!occupant.is_focus(Some("focus@auth.meet.jitsi/f")));
        here.enter(now, "focus", &presence(Role::Participant, Affiliation::None, "focus@auth.meet.jitsi/f"));
        assert!(!here.by_nick("focus").expect("still there").is_focus(Some("focus@auth.meet.jitsi")));
        here.enter(now, "focus", &presence(Role::Moderator, Affiliation::Owner, "focus@auth.meet.jitsi/f"));
        assert!(here.by_nick("focus").expect("still there").is_focus(Some("focus@auth.meet.jitsi")));
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn a_change_of_nick_keeps_since_when_we_know_them() {
        let (then, now) = (Instant::now(), Instant::now());
        let mut here = Occupants::default();
        here.enter(then, "a", &RoomPresence::default());
        here.leave("a", Some("b"));
        assert_eq!(here.enter(now, "b", &RoomPresence::default()), Change::Same);
        assert_eq!(here.by_nick("b").map(|occupant| occupant.since), Some(then));
        assert_eq!(here.len(), 1);
    }
}
