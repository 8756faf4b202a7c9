//! Events of a room: who is meant, as everybody outside is told of them. Pure.

use jiff::Timestamp;

use super::{FocusFacts, Inside, Occupant};
use crate::event::{Departure, Machine, Person};
use crate::policy::Trust;
use crate::xmpp::jid;
use crate::xmpp::muc::{self, Affiliation, Role, RoomPresence, Status};

/// An occupant as events tell of them.
pub(super) fn person(nick: &str, one: &Occupant, machine: Option<Machine>) -> Person {
    Person {
        nick: nick.into(),
        display_name: one.display_name.clone(),
        real_jid: one.real_jid.clone(),
        occupant_id: one.ids.as_ref().and_then(|ids| ids.occupant_id.clone()),
        role: one.role.as_ref().map(|role| role.as_str().into()),
        affiliation: one.affiliation.as_ref().map(|affiliation| affiliation.as_str().into()),
        machine,
    }
}

/// An occupant who was told of, as a presence would show them.
pub(super) fn presence(person: &Person) -> RoomPresence {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    RoomPresence {
        display_name: text(&person.display_name),
        real_jid: text(&person.real_jid),
        occupant_id: text(&person.occupant_id),
        role: person.role.as_deref().map(Role::read),
        affiliation: person.affiliation.as_deref().map(Affiliation::read),
        machine: match person.machine {
            Some(Machine::Recorder) => Some(muc::Machine::Recorder),
            Some(Machine::Transcriber) => Some(muc::Machine::Transcriber),
            Some(Machine::Keeper | Machine::Focus) | None => None,
        },
        ..RoomPresence::default()
    }
}

/// Who sent somebody out, and why, where the room says so.
pub(super) fn by_whom(read: &RoomPresence) -> (Option<Box<str>>, Option<Box<str>>) {
    let filled = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Into::into);
    (filled(read.actor.as_deref()), filled(read.reason.as_deref()))
}

/// How somebody went, by what the room says of it.
pub(super) fn departure(read: &RoomPresence) -> Departure {
    // Prosody says 307, too, of whom it lost.
    let codes = [
        (Status::ERROR, Departure::Lost),
        (Status::BANNED, Departure::Banned),
        (Status::AFFILIATION_LOST, Departure::NotMember),
        (Status::MEMBERS_ONLY, Departure::NotMember),
        (Status::SHUTDOWN, Departure::RoomGone),
        (Status::KICKED, Departure::Kicked),
    ];
    codes.into_iter().find(|(status, _)| read.has(*status)).map_or(Departure::Left, |(_, how)| how)
}

/// A moment as the name of a room's life.
pub(super) fn moment(clock: Timestamp) -> Box<str> {
    let clock = Timestamp::from_millisecond(clock.as_millisecond()).unwrap_or(clock);
    clock.to_string().into()
}

impl Inside {
    /// Whether that is we, or another session of our account.
    pub(super) fn is_own(&self, nick: &str, one: &Occupant) -> bool {
        if *self.nick == *nick {
            return true;
        }
        let own = self.occupants.by_nick(&self.nick).and_then(|own| own.real_jid.as_deref());
        own.zip(one.real_jid.as_deref()).is_some_and(|(own, real)| jid::bare(own) == jid::bare(real))
    }

    /// What is no person, by what the server says of it: a recorder's word counts only on a domain that is the
    /// machinery's, declared as such or the focus's own.
    pub(super) fn machine(
        &self,
        nick: &str,
        one: &Occupant,
        focus: bool,
        facts: &FocusFacts,
        trust: Option<&Trust>,
    ) -> Option<Machine> {
        if self.is_own(nick, one) {
            return Some(Machine::Keeper);
        }
        machine(nick, one, focus, facts, trust)
    }
}

/// What somebody other than ourselves is by what is said of them, where that is no person: whoever just left is among the
/// occupants no longer. `focus` is whether rooms of the service have one.
pub(super) fn machine(
    nick: &str,
    one: &Occupant,
    focus: bool,
    facts: &FocusFacts,
    trust: Option<&Trust>,
) -> Option<Machine> {
    if focus && nick == "focus" && one.is_focus(facts.jid.as_deref()) {
        return Some(Machine::Focus);
    }
    machinery(one, facts, trust)
}

/// Whether that records, or writes down what is said.
pub(super) fn machinery(one: &Occupant, facts: &FocusFacts, trust: Option<&Trust>) -> Option<Machine> {
    let domain = jid::domain(one.real_jid.as_deref()?);
    let declared = trust.is_some_and(|trust| trust.recorder_domains.iter().any(|known| **known == *domain));
    if !declared && facts.jid.as_deref().map(jid::domain) != Some(domain) {
        return None;
    }
    match one.machine? {
        muc::Machine::Recorder => Some(Machine::Recorder),
        muc::Machine::Transcriber => Some(Machine::Transcriber),
        // Somebody speaks through it.
        muc::Machine::Gateway => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_the_server_lost_was_not_kicked() {
        let read = |codes: &[u16]| RoomPresence {
            statuses: codes.iter().map(|code| Status(*code)).collect(),
            ..RoomPresence::default()
        };
        assert_eq!(departure(&read(&[307, 333])), Departure::Lost);
        assert_eq!(departure(&read(&[307])), Departure::Kicked);
        assert_eq!(departure(&read(&[301, 307])), Departure::Banned);
        assert_eq!(departure(&read(&[])), Departure::Left);
    }
}
