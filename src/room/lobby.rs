//! Being in the lobby of a room that we moderate: seeing who waits, and having a place to refuse them from. Pure.
//!
//! Whoever is seen to wait, and to wait no longer, is [`News`].
//!
//! Affiliations in a lobby are those of its room, so its moderators are ours. Whoever waits sees moderators alone.
//! Source: jitsi-meet's `mod_muc_lobby_rooms`; lib-jitsi-meet's `Lobby`.

use std::time::{Duration, Instant};

use super::told::{by_whom, departure};
use super::{Occupant, Occupants};
use crate::event::Departure;
use crate::xmpp::jid::{bare, domain, local};
use crate::xmpp::muc::{Role, RoomPresence, Status};

/// After that a lobby that refused us, or put us out, is entered again.
const AGAIN: Duration = Duration::from_secs(20);

/// The lobby that a room names, where it can be this room's: the same local part on another domain.
pub(super) fn of_room<'l>(lobby: &'l str, room: &str) -> Option<&'l str> {
    let lobby = lobby.trim();
    let same = lobby == bare(lobby)
        && local(lobby).zip(local(room)).is_some_and(|(lobby, room)| lobby.to_lowercase() == room.to_lowercase())
        && domain(lobby) != domain(room);
    same.then_some(lobby)
}

/// What is to be done about the lobby.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Enter it under this nick.
    Enter { lobby: Box<str>, nick: Box<str> },
    /// Leave it.
    Leave { lobby: Box<str>, nick: Box<str> },
    /// We are no longer in it.
    Left { lobby: Box<str> },
}

/// What happened among those who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Somebody waits from now on, under this nick, or was found waiting when we came in.
    Knocked(Box<str>),
    /// Somebody does not wait any more.
    Left {
        /// Under which nick they did.
        nick: Box<str>,
        /// Who.
        one: Box<Occupant>,
        /// How they went.
        how: Departure,
        /// Who sent them away, and why, where the lobby says so.
        by: Option<Box<str>>,
        reason: Option<Box<str>>,
    },
}

/// Our place in a lobby.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    place: Option<Place>,
    /// What nobody has been told yet.
    news: Vec<News>,
    /// How often our nick was taken there.
    taken: u8,
    again_at: Option<Instant>,
}

#[derive(Debug)]
struct Place {
    lobby: Box<str>,
    nick: Box<str>,
    occupants: Occupants,
    inside: bool,
}

impl Place {
    fn waiting(&self) -> impl Iterator<Item = (&str, &Occupant)> {
        self.occupants.iter().filter(|(nick, one)| self.inside && self.keeps_waiting(nick, one))
    }

    fn waits(&self, nick: &str) -> Option<&Occupant> {
        self.occupants.by_nick(nick).filter(|one| self.inside && self.keeps_waiting(nick, one))
    }

    fn keeps_waiting(&self, nick: &str, one: &Occupant) -> bool {
        *nick != *self.nick && one.role != Some(Role::Moderator)
    }
}

impl Attendance {
    /// When [`Attendance::follow`] is next due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.again_at
    }

    /// Who is in the lobby, while we are.
    pub(super) fn occupants(&self) -> Option<&Occupants> {
        self.place.as_ref().filter(|place| place.inside).map(|place| &place.occupants)
    }

    /// Who waits there: all but moderators and ourselves.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&str, &Occupant)> {
        self.place.iter().flat_map(Place::waiting)
    }

    /// Who waits there under that nick.
    pub(super) fn waits(&self, nick: &str) -> Option<&Occupant> {
        self.place.as_ref()?.waits(nick)
    }

    /// What happened since this was asked last.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// The lobby's JID, where we are in one or on the way.
    pub(super) fn address(&self) -> Option<&str> {
        self.place.as_ref().map(|place| &*place.lobby)
    }

    /// The room has this lobby now, or none.
    pub(super) fn follow(&mut self, now: Instant, lobby: Option<&str>, own: &str, out: &mut Vec<Move>) {
        if self.address() == lobby && lobby.is_some() {
            return;
        }
        self.leave(out);
        let Some(lobby) = lobby else {
            self.again_at = None;
            return;
        };
        if self.again_at.is_some_and(|at| now < at) {
            return;
        }
        self.again_at = None;
        let nick: Box<str> = match self.taken {
            0 => own.into(),
            times => format!("{own}_{}", u16::from(times) + 1).into(),
        };
        out.push(Move::Enter { lobby: lobby.into(), nick: nick.clone() });
        self.place = Some(Place { lobby: lobby.into(), nick, occupants: Occupants::default(), inside: false });
    }

    /// Leaves the lobby, if we are in one.
    pub(super) fn leave(&mut self, out: &mut Vec<Move>) {
        if let Some(Place { lobby, nick, .. }) = self.end(Departure::Unseen) {
            out.push(Move::Leave { lobby, nick });
        }
    }

    /// We no longer see who waits.
    fn end(&mut self, how: Departure) -> Option<Place> {
        let place = self.place.take()?;
        let gone = |(nick, one): (&str, &Occupant)| News::Left {
            nick: nick.into(),
            one: Box::new(one.clone()),
            how,
            by: None,
            reason: None,
        };
        self.news.extend(place.waiting().map(gone));
        Some(place)
    }

    /// A presence out of the lobby. Answers who is no longer there.
    pub(super) fn presence(
        &mut self,
        now: Instant,
        nick: &str,
        read: &RoomPresence,
        out: &mut Vec<Move>,
    ) -> Option<Box<str>> {
        let place = self.place.as_mut()?;
        let own = read.has(Status::SELF) || *nick == *place.nick;
        match read.type_.as_deref() {
            Some("unavailable") if own && !read.has(Status::RENAMED) => {
                // A destroyed lobby is not entered again; whether there is another one the room says.
                self.again_at = read.destroyed.is_none().then_some(now + AGAIN);
                let how = if read.destroyed.is_some() { Departure::RoomGone } else { Departure::Unseen };
                let Place { lobby, .. } = self.end(how)?;
                out.push(Move::Left { lobby });
                None
            }
            Some("unavailable") => {
                let waited = place.waits(nick).cloned();
                let new = if read.has(Status::RENAMED) { read.new_nick.as_deref() } else { None };
                place.occupants.leave(nick, new);
                if let Some(one) = waited {
                    let (by, reason) = by_whom(read);
                    let (nick, one, how) = (nick.into(), Box::new(one), departure(read));
                    self.news.push(News::Left { nick, one, how, by, reason });
                    // Under the new nick they knock anew.
                    let new = new.filter(|new| place.waits(new).is_some());
                    self.news.extend(new.map(|new| News::Knocked(new.into())));
                }
                new.is_none().then(|| nick.into())
            }
            None => {
                let before = place.waits(nick).cloned();
                place.occupants.enter(now, nick, read);
                if own {
                    if !std::mem::replace(&mut place.inside, true) {
                        self.news.extend(place.waiting().map(|(nick, _)| News::Knocked(nick.into())));
                    }
                    self.taken = 0;
                    return None;
                }
                match (before, place.waits(nick).is_some()) {
                    (None, true) => self.news.push(News::Knocked(nick.into())),
                    // A moderator waits for nothing.
                    (Some(one), false) => {
                        let (nick, one, how) = (nick.into(), Box::new(one), Departure::Left);
                        self.news.push(News::Left { nick, one, how, by: None, reason: None });
                    }
                    _ => {}
                }
                None
            }
            Some(_) => None,
        }
    }

    /// The lobby does not take us.
    pub(super) fn refused(&mut self, now: Instant, conflict: bool, out: &mut Vec<Move>) {
        let Some(place) = self.end(Departure::Unseen) else { return };
        out.push(Move::Left { lobby: place.lobby });
        if conflict && self.taken < 4 {
            self.taken += 1;
            self.again_at = Some(now);
        } else {
            self.again_at = Some(now + AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;
    use crate::xmpp::muc::Affiliation;

    const LOBBY: &str = "r@lobby.example";

    fn presence(role: Role, real: &str) -> RoomPresence {
        let affiliation = if role == Role::Moderator { Affiliation::Owner } else { Affiliation::None };
        let (role, affiliation) = (Some(role), Some(affiliation));
        RoomPresence { role, affiliation, real_jid: Some(real.to_owned()), ..RoomPresence::default() }
    }

    fn gone() -> RoomPresence {
        RoomPresence { type_: Some("unavailable".to_owned()), ..RoomPresence::default() }
    }

    #[test]
    fn a_lobby_is_entered_once_and_who_waits_is_listed_without_moderators() {
        let (now, mut at, mut out) = (Instant::now(), Attendance::default(), Vec::new());
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        assert_eq!(out, [Move::Enter { lobby: LOBBY.into(), nick: "keeper".into() }]);
        at.presence(now, "ann", &presence(Role::Participant, "ann@guest/1"), &mut out);
        assert!(at.occupants().is_none(), "the list is not complete before our own presence");
        at.presence(now, "boss", &presence(Role::Moderator, "boss@example/1"), &mut out);
        at.presence(now, "keeper", &presence(Role::Moderator, "bot@example/1"), &mut out);
        assert_eq!(at.waiting().map(|(nick, _)| nick).collect::<Vec<_>>(), ["ann"]);
        assert_eq!(at.presence(now, "ann", &gone(), &mut out).as_deref(), Some("ann"));
        assert_eq!(at.waiting().count(), 0);
    }

    #[test]
    fn who_waits_is_told_once_and_so_is_that_they_wait_no_longer() {
        let (now, mut at, mut out) = (Instant::now(), Attendance::default(), Vec::new());
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        let ann = presence(Role::Participant, "ann@guest/1");
        at.presence(now, "ann", &ann, &mut out);
        assert_eq!(at.take_news(), [], "the list is not complete");
        at.presence(now, "keeper", &presence(Role::Moderator, "bot@example/1"), &mut out);
        at.presence(now, "ann", &ann, &mut out);
        at.presence(now, "boss", &presence(Role::Moderator, "boss@example/1"), &mut out);
        at.presence(now, "bob", &presence(Role::Participant, "bob@guest/1"), &mut out);
        assert_eq!(at.take_news(), [News::Knocked("ann".into()), News::Knocked("bob".into())]);
        let kicked = RoomPresence { statuses: vec![Status::KICKED], reason: Some("full".to_owned()), ..gone() };
        at.presence(now, "ann", &kicked, &mut out);
        let news = at.take_news();
        let [News::Left { nick, how, reason, .. }] = &news[..] else { panic!("{news:?}") };
        assert_eq!((&**nick, *how, reason.as_deref()), ("ann", Departure::Kicked, Some("full")));
        let renamed = RoomPresence { statuses: vec![Status::RENAMED], new_nick: Some("bobby".to_owned()), ..gone() };
        at.presence(now, "bob", &renamed, &mut out);
        let news = at.take_news();
        assert!(matches!(&news[..], [News::Left { .. }, News::Knocked(nick)] if **nick == *"bobby"), "{news:?}");
        at.leave(&mut out);
        let news = at.take_news();
        assert!(matches!(&news[..], [News::Left { how: Departure::Unseen, .. }]), "{news:?}");
    }

    #[test]
    fn a_destroyed_lobby_is_left_alone_and_one_that_put_us_out_is_entered_again_later() {
        let (now, mut at, mut out) = (Instant::now(), Attendance::default(), Vec::new());
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        let destroyed = RoomPresence { destroyed: Some(String::new()), ..gone() };
        at.presence(now, "keeper", &destroyed, &mut out);
        assert_eq!((at.address(), at.deadline()), (None, None));
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        at.presence(now, "keeper", &gone(), &mut out);
        out.clear();
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        assert_eq!(out, []);
        let due = at.deadline().expect("it is tried again");
        at.follow(due, Some(LOBBY), "keeper", &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn whoever_takes_our_nick_there_does_not_keep_us_out() {
        let (now, mut at, mut out) = (Instant::now(), Attendance::default(), Vec::new());
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        at.refused(now, true, &mut out);
        out.clear();
        at.follow(now, Some(LOBBY), "keeper", &mut out);
        assert_eq!(out, [Move::Enter { lobby: LOBBY.into(), nick: "keeper_2".into() }]);
    }

    #[test]
    fn only_the_rooms_own_lobby_is_one() {
        assert_eq!(of_room("R@lobby.example", "r@muc.example"), Some("R@lobby.example"));
        for other in ["r@muc.example", "x@lobby.example", "lobby.example", "r@lobby.example/x"] {
            assert_eq!(of_room(other, "r@muc.example"), None, "{other}");
        }
    }
}
