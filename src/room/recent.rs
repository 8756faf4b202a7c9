//! What lately befell the people in a room: who was removed by whom, who was given or lost rights. Pure.
//!
//! It is what the room itself said; it answers `why removed` and `why moderator` for as long as we remember.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Occupant, Occupants};
use crate::xmpp::jid;
use crate::xmpp::muc::{RoomPresence, Status, clip};

/// So many things are remembered of a room.
const MOST: usize = 32;

/// One thing that befell somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// When.
    pub at: Instant,
    /// Their nick.
    pub nick: Box<str>,
    /// Their display name.
    pub name: Option<Box<str>>,
    /// Their bare JID, where the room shows it.
    pub jid: Option<Box<str>>,
    /// What.
    pub what: Befell,
    /// The nick, or the JID, of who did it, where the room says so.
    pub by: Option<Box<str>>,
    /// The reason given.
    pub reason: Option<Box<str>>,
}

/// What befell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Befell {
    /// They were put out, or left in another way than by themselves.
    Removed(Removal),
    /// They left.
    Left,
    /// Their role and affiliation changed: before and after, as the room wrote them.
    Changed {
        /// `participant/none`.
        from: Box<str>,
        /// `moderator/owner`.
        to: Box<str>,
    },
}

/// How somebody was put out. XEP-0045 §9, §10.9 and §15.6.2 "Status Codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Status 307.
    Kicked,
    /// Status 301.
    Banned,
    /// Status 321: their affiliation changed in a room for members.
    AffiliationLost,
    /// Status 322: the room became one for members.
    MembersOnly,
    /// Status 332 or 333: the service, or their connection, failed.
    Failure,
}

impl Removal {
    /// A sentence's part: `was kicked`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Removal::Kicked => "was kicked",
            Removal::Banned => "was banned",
            Removal::AffiliationLost => "lost the membership that the room takes",
            Removal::MembersOnly => "was no member when the room became members-only",
            Removal::Failure => "was lost by the server: an error, or a broken connection",
        }
    }

    fn of(read: &RoomPresence) -> Option<Self> {
        [
            (301, Removal::Banned),
            (321, Removal::AffiliationLost),
            (322, Removal::MembersOnly),
            (332, Removal::Failure),
            (333, Removal::Failure),
            (307, Removal::Kicked),
        ]
        .into_iter()
        .find(|(status, _)| read.has(Status(*status)))
        .map(|(_, removal)| removal)
    }
}

/// What is remembered of one room.
#[derive(Debug, Default)]
pub struct Memory(VecDeque<Recent>);

impl Memory {
    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Recent> {
        self.0.iter()
    }

    /// Takes in a presence, before the list of occupants does.
    pub fn presence(&mut self, at: Instant, nick: &str, read: &RoomPresence, available: bool, before: &Occupants) {
        // Whoever comes has no history, and a change of nick is none.
        let (Some(known), false) = (before.by_nick(nick), read.has(Status::RENAMED)) else { return };
        let what = if available {
            let (from, to) = (rights(known), after(known, read));
            if from == to {
                return;
            }
            Befell::Changed { from, to }
        } else {
            Removal::of(read).map_or(Befell::Left, Befell::Removed)
        };
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Recent {
            at,
            nick: nick.into(),
            name: known.display_name.clone(),
            jid: known.real_jid.as_deref().map(|real| jid::bare(real).into()),
            what,
            by: read.actor.as_deref().filter(|by| !by.is_empty()).map(|by| clip(by).into()),
            reason: read.reason.as_deref().filter(|why| !why.is_empty()).map(|why| clip(why).into()),
        });
    }
}

fn rights(known: &Occupant) -> Box<str> {
    let role = known.role.as_ref().map_or("unknown", |role| role.as_str());
    let affiliation = known.affiliation.as_ref().map_or("unknown", |affiliation| affiliation.as_str());
    format!("{role}/{affiliation}").into()
}

fn after(known: &Occupant, read: &RoomPresence) -> Box<str> {
    let role = read.role.as_ref().or(known.role.as_ref()).map_or("unknown", |role| role.as_str());
    let affiliation = read.affiliation.as_ref().or(known.affiliation.as_ref());
    format!("{role}/{}", affiliation.map_or("unknown", |affiliation| affiliation.as_str())).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;
    use crate::xmpp::muc::{Affiliation, Role};

    #[test]
    fn who_removed_somebody_and_who_was_raised_is_remembered_and_a_mere_presence_is_not() {
        let now = Instant::now();
        let (mut here, mut memory) = (Occupants::default(), Memory::default());
        let mut read = RoomPresence {
            role: Some(Role::Participant),
            affiliation: Some(Affiliation::None),
            real_jid: Some("ann@example/1".to_owned()),
            ..RoomPresence::default()
        };
        memory.presence(now, "ann", &read, true, &here);
        here.enter(now, "ann", &read);
        memory.presence(now, "ann", &read, true, &here);
        assert_eq!(memory.iter().count(), 0);
        (read.role, read.affiliation) = (Some(Role::Moderator), Some(Affiliation::Owner));
        memory.presence(now, "ann", &read, true, &here);
        here.enter(now, "ann", &read);
        let kicked = RoomPresence {
            statuses: vec![Status::KICKED],
            actor: Some("boss".to_owned()),
            reason: Some("spam".to_owned()),
            ..RoomPresence::default()
        };
        memory.presence(now, "ann", &kicked, false, &here);
        let seen: Vec<_> =
            memory.iter().map(|one| (one.what.clone(), one.by.as_deref(), one.reason.as_deref())).collect();
        let raised = Befell::Changed { from: "participant/none".into(), to: "moderator/owner".into() };
        assert_eq!(seen, [(raised, None, None), (Befell::Removed(Removal::Kicked), Some("boss"), Some("spam"))]);
        assert_eq!(memory.iter().last().and_then(|one| one.jid.as_deref()), Some("ann@example"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let (mut here, mut memory) = (Occupants::default(), Memory::default());
        here.enter(now, "ann", &RoomPresence::default());
        for _ in 0..100 {
            memory.presence(now, "ann", &RoomPresence::default(), false, &here);
        }
        assert_eq!(memory.iter().count(), MOST);
    }
}
