//! Jitsi's reservations: which room may be opened, until when, and with what.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use super::supervisor::Supervisor;
use crate::booking::Phase;
use crate::command::{Reply, Requester, Reservation, refused};
use crate::config::{Login, RoomKey};
use crate::control::auth;
use crate::desired::Intent;
use crate::hex::hex;
use crate::rights::{Rights, Scope};

/// How long a room is open that always is: ten years.
const ALWAYS: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// A start that is further from now than this is none of now's.
const NEAR: SignedDuration = SignedDuration::from_hours(24);
/// Most reservations that are remembered.
const MOST: usize = 4096;

/// What was granted.
pub struct Reserving {
    /// Makes ids that nobody can guess, and the same one for the same room and start.
    key: hmac::Key,
    granted: VecDeque<(RoomKey, Reservation)>,
}

impl Default for Reserving {
    fn default() -> Self {
        let mut seed = [0; 32];
        super::random(&mut seed);
        Reserving { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), granted: VecDeque::new() }
    }
}

impl Reserving {
    fn id(&self, room: &RoomKey, start: Timestamp) -> String {
        let tag = hmac::sign(&self.key, format!("{room} {}", start.as_millisecond()).as_bytes());
        hex(&tag.as_ref()[..16])
    }

    fn position(&self, service: &str, id: &str, rights: &Rights) -> Option<usize> {
        let theirs = |room: &RoomKey| *room.service == *service && auth::room(rights, room);
        self.granted.iter().position(|(room, known)| known.id == id && theirs(room))
    }
}

impl Supervisor {
    /// Whether a room may be opened.
    pub(super) fn reserve(&mut self, room: &str, start: Timestamp, owner: &str, requester: &Requester) -> Reply {
        if start.duration_since(Timestamp::now()).abs() > NEAR {
            return refused("bad-request", "the meeting does not begin now");
        }
        let key = match self.resolve(room, true, requester) {
            Ok(address) => address.key,
            Err(refusal) => return *refusal,
        };
        let wanted = self.rooms.get(&key).and_then(|seat| seat.wanted.as_ref());
        let plans = self.plans.get(&key);
        let keeper = self.is_keeper(&key, owner);
        let shown = &key.name;
        if !keeper {
            let time = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC");
            let overrides = &self.state.overrides;
            let just_ended = match overrides.booking(&self.config, &key).map(|booking| booking.phase(start)) {
                Some(Phase::Over { ended }) => Some(ended),
                _ => None,
            };
            if let Some(ended) = just_ended.or_else(|| overrides.ended(&self.config, &key)) {
                return refused("not-reserved", format!("the booking of {shown} ended at {}", time(ended)));
            }
            match wanted.map(|wanted| wanted.intent) {
                Some(Intent::Hold) => {}
                Some(Intent::Booked { from, opens }) => {
                    let text = format!("{shown} is booked from {}; it opens at {}", time(from), time(opens));
                    return refused("not-reserved", text);
                }
                Some(_) => return refused("not-reserved", format!("{shown} is closed for now")),
                None => return refused("not-reserved", format!("there is no room {shown} here")),
            }
            if let Some(until) = plans.and_then(|plans| plans.closed_until(start)) {
                return refused("not-reserved", format!("{shown} is closed until {}", time(until)));
            }
        }
        let ends = plans.and_then(|plans| plans.open_until(start)).filter(|_| !keeper);
        let lasts = ends.map_or(ALWAYS, |ends| ends.duration_since(start)).max(SignedDuration::from_secs(1));
        let moderated = wanted.and_then(|wanted| wanted.room.moderated.as_ref());
        let locked = moderated.map(|moderated| &moderated.locked);
        let reservation = Reservation {
            id: self.reserving.id(&key, start),
            // The server looks whether it is what it asked about, letter for letter.
            name: room.strip_prefix(&format!("{}/", key.service)).unwrap_or(room).to_owned(),
            mail_owner: owner.to_owned(),
            start_time: start.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
            duration: u64::try_from(lasts.as_secs()).unwrap_or(1),
            max_occupants: locked.and_then(|locked| locked.max_occupants),
            // The keeper would have to knock, with nobody inside to let it in; it opens the lobby once it is inside.
            lobby: locked.and_then(|locked| locked.lobby).filter(|_| !keeper),
            password: wanted.and_then(|wanted| wanted.room.password.clone()),
        };
        let known = &mut self.reserving.granted;
        known.retain(|(_, old)| old.id != reservation.id);
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back((key, reservation.clone()));
        shown_to(requester, reservation)
    }

    /// Whether that is the account with which we hold the room: it may always open it.
    fn is_keeper(&self, room: &RoomKey, owner: &str) -> bool {
        let Some(service) = self.config.services.get(&*room.service) else { return false };
        match &service.login {
            Login::Direct { account, .. } | Login::Guest { account, .. } => {
                owner.to_lowercase() == format!("{account}@{}", service.domain).to_lowercase()
            }
            Login::Token(_) | Login::Anonymous => {
                let running = self.services.get(&room.service);
                running.is_some_and(|running| running.jids.values().any(|jid| crate::xmpp::jid::bare(jid) == owner))
            }
        }
    }

    /// What was granted under that id.
    pub(super) fn reservation(&self, service: &str, id: &str, requester: &Requester) -> Reply {
        match self.reserving.position(service, id, &requester.rights).and_then(|at| self.reserving.granted.get(at)) {
            Some((_, reservation)) => shown_to(requester, reservation.clone()),
            None => refused("unknown-reservation", "there is no such reservation"),
        }
    }

    /// The meeting of a reservation has ended. That says nothing about whether the room is held.
    pub(super) fn end_reservation(&mut self, service: &str, id: &str, requester: &Requester) -> Reply {
        match self.reserving.position(service, id, &requester.rights).and_then(|at| self.reserving.granted.remove(at)) {
            Some((room, _)) => Reply::Taken { text: format!("the meeting in {room} has ended") },
            None => refused("unknown-reservation", "there is no such reservation"),
        }
    }
}

/// A password is for those who may ask for it otherwise, too.
fn shown_to(requester: &Requester, mut reservation: Reservation) -> Reply {
    if !requester.rights.scopes.contains(&Scope::Admin) {
        reservation.password = None;
    }
    Reply::Reservation(Box::new(reservation))
}
