//! What Prosody's module `event_sync` posts: four paths behind the address, each with its own body. Pure.
//!
//! The module sees the server and we see rooms, so: `created_at` is when we first knew of the room's life; a room is
//! destroyed when we saw it go, or find another life in its place; `occupant_jid` is the real JID, and the occupant JID
//! where the room hides that; `name` is the display name, and `id` and `email` are left out, since only the server sees
//! a token. Machines are neither told of nor counted. Times are seconds since 1970. The module signs nothing; a secret
//! goes into a bearer header. Source: jitsi-contrib/prosody-plugins, `event_sync`.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;

use super::queue::LaneKey;
use super::{Letter, Speech, header};
use crate::config::Secret;
use crate::event::{Event, Person, What};

/// Most of those who left that a room's end tells of.
const LEFT: usize = 1_000;
/// Why a room is lost that is not there any more, as causes' words have it.
const ENDS: [&str; 4] = ["destroyed", "ended-by-us", "closed-by-schedule", "closed-idle"];

/// Says who comes and goes, and knows who is inside.
#[derive(Debug, Default)]
pub(super) struct EventSync {
    rooms: HashMap<LaneKey, Roster>,
}

/// One life of a room.
#[derive(Debug, Default)]
struct Roster {
    life: Option<Box<str>>,
    created_at: i64,
    /// By nick.
    here: Vec<(Box<str>, Occupant)>,
    gone: Vec<Occupant>,
    ended: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Occupant {
    occupant_jid: Box<str>,
    joined_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
}

#[derive(Debug, Serialize)]
struct Room<'a> {
    event_name: &'static str,
    is_breakout: bool,
    room_name: &'a str,
    room_jid: &'a str,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_occupants: Option<&'a [Occupant]>,
}

#[derive(Debug, Serialize)]
struct Person1<'a> {
    event_name: &'static str,
    is_breakout: bool,
    room_name: &'a str,
    room_jid: &'a str,
    occupant: &'a Occupant,
    active_occupants_count: usize,
}

/// What is said of one event.
struct Saying<'a> {
    event: &'a Event,
    name: &'a str,
    jid: &'a str,
    letters: Vec<Letter>,
}

impl Saying<'_> {
    fn say(&mut self, path: &'static str, name: &'static str, body: &impl Serialize) {
        let id = self.event.id;
        // One event may be several letters, each with a key of its own.
        let key = if self.letters.is_empty() { id.to_string() } else { format!("{id}-{}", self.letters.len()) };
        // Our own types are always JSON.
        self.letters.push(Letter { key, path, name, body: serde_json::to_vec(body).unwrap_or_default() });
    }

    fn room(&mut self, path: &'static str, name: &'static str, roster: &Roster, destroyed_at: Option<i64>) {
        let (room_name, room_jid) = (self.name, self.jid);
        let body = Room {
            event_name: name,
            is_breakout: false,
            room_name,
            room_jid,
            created_at: roster.created_at,
            destroyed_at,
            all_occupants: destroyed_at.map(|_| &*roster.gone),
        };
        self.say(path, name, &body);
    }

    fn occupant(&mut self, path: &'static str, name: &'static str, occupant: &Occupant, count: usize) {
        let (room_name, room_jid) = (self.name, self.jid);
        let body = Person1 {
            event_name: name,
            is_breakout: false,
            room_name,
            room_jid,
            occupant,
            active_occupants_count: count,
        };
        self.say(path, name, &body);
    }
}

impl Roster {
    fn leave(&mut self, nick: &str, at: i64, saying: &mut Saying<'_>) {
        let Some(place) = self.here.iter().position(|(known, _)| **known == *nick) else { return };
        let (_, mut occupant) = self.here.remove(place);
        occupant.left_at = Some(at);
        saying.occupant("/events/occupant/left", "muc-occupant-left", &occupant, self.here.len());
        if self.gone.len() < LEFT {
            self.gone.push(occupant);
        }
    }

    fn end(&mut self, at: i64, saying: &mut Saying<'_>) {
        if self.life.is_none() || self.ended {
            return;
        }
        while let Some((nick, _)) = self.here.first() {
            let nick = nick.clone();
            self.leave(&nick, at, saying);
        }
        saying.room("/events/room/destroyed", "muc-room-destroyed", self, Some(at));
        self.ended = true;
    }
}

fn occupant(person: &Person, jid: &str, joined_at: i64) -> Occupant {
    let occupant_jid = person.real_jid.clone().unwrap_or_else(|| format!("{jid}/{}", person.nick).into());
    Occupant { occupant_jid, joined_at, left_at: None, name: person.display_name.clone() }
}

impl Speech for EventSync {
    fn letters(&mut self, event: &Event, jid: &str) -> Vec<Letter> {
        let Some(name) = event.room.as_deref() else { return Vec::new() };
        let mut saying = Saying { event, name, jid, letters: Vec::new() };
        let roster = self.rooms.entry(LaneKey::of(event)).or_default();
        let at = event.time.as_second();
        if let What::RoomLost(why) = &event.what
            && ENDS.contains(&&*why.cause)
        {
            roster.end(at, &mut saying);
        }
        // Who leaves says nothing of a life that is over already.
        let leaving = matches!(event.what, What::OccupantLeft { .. });
        if let Some(life) = event.life.as_deref()
            && roster.life.as_deref() != Some(life)
            && !leaving
        {
            roster.end(at, &mut saying);
            *roster = Roster { life: Some(life.into()), created_at: at, ..Roster::default() };
            saying.room("/events/room/created", "muc-room-created", roster, None);
        }
        match &event.what {
            What::OccupantJoined { person, .. } if person.machine.is_none() => {
                let occupant = occupant(person, jid, at);
                roster.here.retain(|(nick, _)| *nick != person.nick);
                roster.here.push((person.nick.clone(), occupant.clone()));
                let count = roster.here.len();
                saying.occupant("/events/occupant/joined", "muc-occupant-joined", &occupant, count);
            }
            What::OccupantRenamed { person, old_nick, .. } => {
                let from = old_nick.as_ref().unwrap_or(&person.nick);
                if let Some((nick, occupant)) = roster.here.iter_mut().find(|(nick, _)| nick == from) {
                    nick.clone_from(&person.nick);
                    occupant.name.clone_from(&person.display_name);
                }
            }
            What::OccupantLeft { person, .. } => roster.leave(&person.nick, at, &mut saying),
            _ => {}
        }
        saying.letters
    }

    fn headers(&self, secret: Option<&Secret>, letter: &Letter, _: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        header(&mut headers, "webhook-id", &letter.key);
        if let Some(secret) = secret {
            header(&mut headers, "authorization", &format!("Bearer {}", secret.expose()));
        }
        headers
    }

    fn signed(&self, _: &Letter, _: Timestamp) -> String {
        String::new()
    }

    fn knows(&self, lane: &LaneKey) -> bool {
        lane.room.is_empty() || self.rooms.contains_key(&LaneKey { dead: false, ..lane.clone() })
    }

    fn recall(&mut self, lane: &LaneKey, past: &[Arc<Event>], jid: &str) {
        self.rooms.insert(LaneKey { dead: false, ..lane.clone() }, Roster::default());
        for event in past {
            self.letters(event, jid);
        }
    }

    fn forget(&mut self) {
        self.rooms.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::{Departure, EventId, Machine, Why};

    fn tell(speech: &mut EventSync, second: i64, life: &str, what: What) -> Vec<(&'static str, Value)> {
        let time = Timestamp::from_second(second).expect("near");
        let id = EventId::from(u64::try_from(second).expect("after 1970"));
        let event = Event::new(id, time, "meet", Some("r"), (!life.is_empty()).then_some(life), what);
        let letters = speech.letters(&event, "r@muc.meet.jitsi");
        letters.iter().map(|letter| (letter.path, serde_json::from_slice(&letter.body).expect("JSON"))).collect()
    }

    fn ann() -> Person {
        Person {
            nick: "n1".into(),
            display_name: Some("Ann".into()),
            real_jid: Some("uuid@guest.meet.jitsi/abc".into()),
            ..Person::default()
        }
    }

    fn focus() -> Person {
        Person { nick: "focus".into(), machine: Some(Machine::Focus), ..Person::default() }
    }

    #[test]
    fn the_bodies_are_those_of_the_module() {
        let mut speech = EventSync::default();
        let joined = |person| What::OccupantJoined { person, already_inside: false };
        assert_eq!(
            tell(&mut speech, 1_724_000_000, "life", joined(focus())),
            [(
                "/events/room/created",
                json!({"event_name": "muc-room-created", "is_breakout": false, "room_name": "r",
                       "room_jid": "r@muc.meet.jitsi", "created_at": 1_724_000_000})
            )]
        );
        assert_eq!(
            tell(&mut speech, 1_724_000_001, "life", joined(ann())),
            [(
                "/events/occupant/joined",
                json!({"event_name": "muc-occupant-joined", "is_breakout": false, "room_name": "r",
                       "room_jid": "r@muc.meet.jitsi", "active_occupants_count": 1,
                       "occupant": {"occupant_jid": "uuid@guest.meet.jitsi/abc", "joined_at": 1_724_000_001,
                                    "name": "Ann"}})
            )]
        );
        let gone = What::RoomLost(Why { cause: "destroyed".into(), text: "it is gone".into() });
        let told = tell(&mut speech, 1_724_003_600, "", gone);
        let occupant = json!({"occupant_jid": "uuid@guest.meet.jitsi/abc", "joined_at": 1_724_000_001,
                              "left_at": 1_724_003_600, "name": "Ann"});
        assert_eq!(
            told,
            [
                (
                    "/events/occupant/left",
                    json!({"event_name": "muc-occupant-left", "is_breakout": false, "room_name": "r",
                           "room_jid": "r@muc.meet.jitsi", "active_occupants_count": 0, "occupant": occupant})
                ),
                (
                    "/events/room/destroyed",
                    json!({"event_name": "muc-room-destroyed", "is_breakout": false, "room_name": "r",
                           "room_jid": "r@muc.meet.jitsi", "created_at": 1_724_000_000,
                           "destroyed_at": 1_724_003_600, "all_occupants": [occupant]})
                ),
            ]
        );
        let left = What::OccupantLeft { person: ann(), how: Departure::RoomGone, by: None, reason: None };
        assert_eq!(tell(&mut speech, 1_724_003_601, "life", left), [], "was told already");
        assert_eq!(tell(&mut speech, 1_724_003_602, "other", joined(focus())).len(), 1, "created, and no second end");
    }

    #[test]
    fn another_life_in_a_rooms_place_ends_the_one_before() {
        let mut speech = EventSync::default();
        let joined = || What::OccupantJoined { person: ann(), already_inside: true };
        tell(&mut speech, 1, "a", joined());
        let paths: Vec<_> = tell(&mut speech, 2, "b", joined()).into_iter().map(|(path, _)| path).collect();
        let expected =
            ["/events/occupant/left", "/events/room/destroyed", "/events/room/created", "/events/occupant/joined"];
        assert_eq!(paths, expected);
    }
}
