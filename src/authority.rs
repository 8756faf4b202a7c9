//! Asking somebody outside who may be in a room: questions go out, answers come in, and what follows is said. Pure.
//!
//! One [`Authority`] decides about certain rooms of one service. Slow thinking is an output ([`Output::Ask`]) and later
//! an input ([`Input::Answered`]); the time is handed in. Joins of one identity in one room are one question, at most
//! [`IN_FLIGHT`] are asked at a time, and an answer is kept for a while. Where none comes in time, the configuration
//! says what holds ([`Fallback`]).
//!
//! Whoever knocks at a room's lobby is asked about before they are in. Inside they may have another identity, as the
//! server makes their occupant id for each room anew: their real JID tells that it is they.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::RoomKey;
use crate::event::Person;
use crate::policy::OccupantKey;

/// Most questions on their way at a time; further ones wait.
pub const IN_FLIGHT: usize = 8;
/// Most questions that wait; further ones count as failed.
const WAITING: usize = 256;
/// How old the last answer may be that holds when no other comes.
const LAST_ANSWER: Duration = Duration::from_secs(600);
/// How long whoever was let in may take to come in, at least.
const COMING_IN: Duration = Duration::from_secs(60);
/// Most answers that are remembered, over all rooms, and most knocks.
const ANSWERS: usize = 4096;

/// What holds when no answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The last answer about them, where it is younger than ten minutes; else as [`Fallback::Closed`].
    Last,
    /// They may not be there.
    Closed,
    /// They may be there.
    Open,
}

/// What the configuration says of an authority's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may take.
    pub time: Duration,
    /// How long an answer holds that says nothing else.
    pub cache: Duration,
    /// What holds when none comes.
    pub fallback: Fallback,
    /// Whether [`Verdict::Moderator`] is obeyed.
    pub may_grant: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(2),
            cache: Duration::from_secs(60),
            fallback: Fallback::Last,
            may_grant: false,
        }
    }
}

/// What an authority says of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They may be there.
    Allow,
    /// They may not: they are thrown out, or sent away from the lobby.
    Deny,
    /// They may be there, as a moderator.
    Moderator,
    /// They may be there; microphone and camera are muted.
    Mute,
}

/// An answer in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What.
    pub verdict: Verdict,
    /// What those concerned are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds for which it holds; as the configuration says when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u32>,
}

/// What an authority is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Names the question in the answer; counts from 1 with each start.
    #[serde(rename = "ask")]
    pub id: u64,
    /// Who is asked: whoever speaks for several authorities says in the answer for which.
    pub authority: Box<str>,
    /// The service's name in the configuration.
    pub service: Box<str>,
    /// The room's name.
    pub room: Box<str>,
    /// Who: nick, display name, real JID, role and affiliation.
    pub person: Person,
    /// By what they are known again: `account:ann@meet.jitsi`, `occupant-id:…`, `name:ann`.
    pub identity: String,
    /// How long that holds: `survives reconnect`, `until they reload`, `name only`.
    pub strength: &'static str,
    /// They wait in the lobby; left out where they are inside.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub knocks: bool,
}

/// Where somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the room.
    Inside,
    /// In the room's lobby.
    Lobby,
}

/// What an authority hears of.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody is in a room, or knocks at its lobby.
    Came {
        /// Where.
        room: RoomKey,
        /// Inside, or in its lobby.
        place: Place,
        /// Who.
        person: Person,
        /// By what they are known again.
        identity: OccupantKey,
    },
    /// Somebody is no longer there; put out by somebody, so that what was said of them before no longer holds.
    Left {
        /// Where.
        room: RoomKey,
        /// Inside, or in its lobby.
        place: Place,
        /// Who.
        person: Person,
        /// By what they were known.
        identity: OccupantKey,
        /// Whether they were kicked or banned, or sent away from the lobby.
        put_out: bool,
    },
    /// The authority said something.
    Answered {
        /// To which question.
        id: u64,
        /// What.
        answer: Answer,
    },
    /// The authority could not be asked, or said nothing that can be read.
    Failed {
        /// Which question.
        id: u64,
        /// Why.
        why: Box<str>,
    },
    /// [`Authority::deadline`] has come.
    Timeout,
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// This is to be asked.
    Ask(Box<Question>),
    /// This is to be done about somebody.
    Do {
        /// Where.
        room: RoomKey,
        /// Inside, or in its lobby: there everything but [`Verdict::Deny`] lets them in.
        place: Place,
        /// Who.
        person: Box<Person>,
        /// What.
        verdict: Verdict,
        /// What they are told.
        reason: Box<str>,
    },
    /// No answer came, and this is what holds instead.
    Missed {
        /// Where.
        room: RoomKey,
        /// About whom.
        identity: OccupantKey,
        /// Why there is none.
        why: Box<str>,
        /// What holds.
        verdict: Verdict,
    },
}

/// Somebody about whom we ask.
type Subject = (RoomKey, OccupantKey);

#[derive(Debug)]
struct Open {
    subject: Subject,
    /// Everybody whom the answer is about: joins of one identity.
    people: Vec<(Place, Person)>,
    /// Until when the answer may come; `None`: it was not asked yet.
    until: Option<Instant>,
    /// The nick of whom the question shows.
    shown: Box<str>,
}

#[derive(Debug, Clone)]
struct Known {
    verdict: Verdict,
    reason: Box<str>,
    at: Instant,
    until: Instant,
}

/// What was decided about somebody, and until when that is to be carried out.
#[derive(Debug)]
struct Decision {
    verdict: Verdict,
    reason: Box<str>,
    until: Instant,
}

/// Somebody who knocked.
#[derive(Debug)]
struct Knock {
    identity: OccupantKey,
    at: Instant,
    /// What is to hold for them inside, without asking once more.
    let_in: Option<Decision>,
}

/// One authority.
#[derive(Debug)]
pub struct Authority {
    name: Box<str>,
    limits: Limits,
    last_id: u64,
    open: HashMap<u64, Open>,
    waiting: VecDeque<u64>,
    known: HashMap<Subject, Known>,
    /// Who knocked, by room and full real JID.
    knocks: HashMap<(RoomKey, Box<str>), Knock>,
}

impl Authority {
    /// An authority that was never asked.
    #[must_use]
    pub fn new(name: &str, limits: Limits) -> Self {
        let (open, waiting, known, knocks) = (HashMap::new(), VecDeque::new(), HashMap::new(), HashMap::new());
        Authority { name: name.into(), limits, last_id: 0, open, waiting, known, knocks }
    }

    /// Takes other limits; what is known stays.
    pub fn adjust(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether that question waits for its answer.
    #[must_use]
    pub fn awaits(&self, id: u64) -> bool {
        self.open.get(&id).is_some_and(|open| open.until.is_some())
    }

    /// When [`Input::Timeout`] is next due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.until).min()
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            // Machines are no question to anybody. What records comes past the lobby on most deployments, and on the
            // others there may be nobody else who lets it in.
            Input::Came { room, place, person, .. } if person.machine.is_some() => {
                if place == Place::Lobby {
                    out.extend(done(&self.limits, &room, place, person, Verdict::Allow, ""));
                }
            }
            Input::Came { room, place, person, identity } => {
                if place == Place::Lobby {
                    self.knocked(now, &room, &person, &identity);
                }
                self.came(now, room, place, person, identity, out);
            }
            Input::Left { room, place, person, identity, put_out } => {
                let subject = self.subject(room, place, &person, identity);
                for open in self.open.values_mut().filter(|open| open.subject == subject) {
                    open.people.retain(|(at, known)| *at != place || known.nick != person.nick);
                }
                if put_out {
                    self.known.remove(&subject);
                    self.knocks.retain(|(room, _), knock| *room != subject.0 || knock.identity != subject.1);
                }
            }
            Input::Answered { id, answer } => self.answered(now, id, answer, out),
            Input::Failed { id, why } => self.failed(now, id, &why, out),
            Input::Timeout => {
                let late: Vec<u64> = self
                    .open
                    .iter()
                    .filter(|(_, open)| open.until.is_some_and(|until| until <= now))
                    .map(|(id, _)| *id)
                    .collect();
                let why = format!("it did not answer within {}", humantime::format_duration(self.limits.time));
                for id in late {
                    self.failed(now, id, &why, out);
                }
            }
        }
        self.ask(now, out);
    }

    /// Whom that is about: whoever knocked is inside who they were at the door.
    fn subject(&self, room: RoomKey, place: Place, person: &Person, identity: OccupantKey) -> Subject {
        match (place, &person.real_jid) {
            (Place::Inside, Some(real)) => {
                let place = (room, real.clone());
                let identity = self.knocks.get(&place).map_or(identity, |knock| knock.identity.clone());
                (place.0, identity)
            }
            _ => (room, identity),
        }
    }

    fn knocked(&mut self, now: Instant, room: &RoomKey, person: &Person, identity: &OccupantKey) {
        let Some(real) = &person.real_jid else { return };
        if self.knocks.len() >= ANSWERS {
            self.knocks.retain(|_, knock| now < knock.at + LAST_ANSWER);
        }
        if self.knocks.len() >= ANSWERS {
            self.knocks.clear();
        }
        let knock = Knock { identity: identity.clone(), at: now, let_in: None };
        self.knocks.insert((room.clone(), real.clone()), knock);
    }

    /// What was said of somebody at the door, once they are inside.
    fn let_in(&mut self, now: Instant, room: &RoomKey, person: &Person) -> Option<Decision> {
        let knock = self.knocks.get_mut(&(room.clone(), person.real_jid.clone()?))?;
        knock.let_in.take().filter(|let_in| now < let_in.until)
    }

    fn came(
        &mut self,
        now: Instant,
        room: RoomKey,
        place: Place,
        person: Person,
        identity: OccupantKey,
        out: &mut Vec<Output>,
    ) {
        let subject = self.subject(room, place, &person, identity);
        if place == Place::Inside
            && let Some(Decision { verdict, reason, .. }) = self.let_in(now, &subject.0, &person)
        {
            out.extend(done(&self.limits, &subject.0, place, person, verdict, &reason));
            return;
        }
        let holds = |known: &&Known| now < known.until && !is_for_one(&subject.1, known.verdict);
        if let Some(known) = self.known.get(&subject).filter(holds) {
            let decision = Decision { verdict: known.verdict, reason: known.reason.clone(), until: known.until };
            self.decided(now, &subject.0, (place, person), decision, out);
            return;
        }
        if let Some(open) = self.open.values_mut().find(|open| open.subject == subject) {
            open.people.retain(|(at, known)| *at != place || known.nick != person.nick);
            open.people.push((place, person));
            return;
        }
        self.last_id += 1;
        self.open.insert(self.last_id, Open { subject, people: vec![(place, person)], until: None, shown: "".into() });
        if self.waiting.len() < WAITING {
            self.waiting.push_back(self.last_id);
        } else {
            self.failed(now, self.last_id, "too many people wait for its answers", out);
        }
    }

    /// Sends questions that wait, as far as they may go.
    fn ask(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.open.values().filter(|open| open.until.is_some()).count() < IN_FLIGHT {
            let Some(id) = self.waiting.pop_front() else { return };
            let Some(open) = self.open.get_mut(&id) else { continue };
            // Whoever waited may be gone by now.
            let Some((place, person)) = open.people.last().cloned() else {
                self.open.remove(&id);
                continue;
            };
            open.until = Some(now + self.limits.time);
            open.shown.clone_from(&person.nick);
            let (room, identity) = &open.subject;
            out.push(Output::Ask(Box::new(Question {
                id,
                authority: self.name.clone(),
                service: (&*room.service).into(),
                room: (&*room.name).into(),
                person,
                identity: identity.to_string(),
                strength: identity.rung.strength().as_str(),
                knocks: place == Place::Lobby,
            })));
        }
    }

    /// Has it carried out about somebody, and remembered for whoever is let in by it.
    fn decided(
        &mut self,
        now: Instant,
        room: &RoomKey,
        (place, person): (Place, Person),
        decision: Decision,
        out: &mut Vec<Output>,
    ) {
        let Decision { verdict, reason, until } = decision;
        out.extend(done(&self.limits, room, place, person.clone(), verdict, &reason));
        if let (Place::Lobby, Some(real), true) = (place, person.real_jid, verdict != Verdict::Deny)
            && let Some(knock) = self.knocks.get_mut(&(room.clone(), real))
        {
            let until = until.max(now + COMING_IN);
            knock.let_in = Some(Decision { verdict, reason, until });
        }
    }

    fn answered(&mut self, now: Instant, id: u64, answer: Answer, out: &mut Vec<Output>) {
        let Some(Open { subject, people, shown, .. }) = self.open.remove(&id) else { return };
        let for_one = is_for_one(&subject.1, answer.verdict);
        let (people, others): (Vec<_>, Vec<_>) =
            people.into_iter().partition(|(_, person)| !for_one || person.nick == shown);
        let lasts = answer.for_seconds.map_or(self.limits.cache, |seconds| Duration::from_secs(seconds.into()));
        let reason: Box<str> = answer.reason.unwrap_or_default().into();
        for somebody in people {
            let decision = Decision { verdict: answer.verdict, reason: reason.clone(), until: now + lasts };
            self.decided(now, &subject.0, somebody, decision, out);
        }
        if self.known.len() >= ANSWERS {
            self.known.retain(|_, known| now < known.at + LAST_ANSWER || now < known.until);
        }
        if self.known.len() >= ANSWERS {
            self.known.clear();
        }
        let known = Known { verdict: answer.verdict, reason, at: now, until: now + lasts };
        self.known.insert(subject.clone(), known);
        for (place, person) in others {
            self.came(now, subject.0.clone(), place, person, subject.1.clone(), out);
        }
    }

    fn failed(&mut self, now: Instant, id: u64, why: &str, out: &mut Vec<Output>) {
        let Some(Open { subject, people, .. }) = self.open.remove(&id) else { return };
        let unsure = "nobody can be asked whether you may be here; try again in a moment";
        let last = self.known.get(&subject).filter(|known| now < known.at + LAST_ANSWER);
        let (verdict, reason) = match (self.limits.fallback, last) {
            (Fallback::Last, Some(known)) if is_for_one(&subject.1, known.verdict) => (Verdict::Allow, "".into()),
            (Fallback::Last, Some(known)) => (known.verdict, known.reason.clone()),
            (Fallback::Last | Fallback::Closed, _) => (Verdict::Deny, unsure.into()),
            (Fallback::Open, _) => (Verdict::Allow, "".into()),
        };
        for somebody in people {
            let decision = Decision { verdict, reason: reason.clone(), until: now };
            self.decided(now, &subject.0, somebody, decision, out);
        }
        let (room, identity) = subject;
        out.push(Output::Missed { room, identity, why: why.into(), verdict });
    }
}

/// Whether an answer is for nobody but whom the question showed: anybody can take a name, and would be moderator by it.
fn is_for_one(identity: &OccupantKey, verdict: Verdict) -> bool {
    verdict == Verdict::Moderator && identity.rung.forgeable()
}

/// What a verdict brings; nothing where they may simply be there, inside.
fn done(
    limits: &Limits,
    room: &RoomKey,
    place: Place,
    person: Person,
    verdict: Verdict,
    reason: &str,
) -> Option<Output> {
    match verdict {
        _ if place == Place::Lobby => {}
        Verdict::Allow => return None,
        Verdict::Moderator if !limits.may_grant || person.role.as_deref() == Some("moderator") => return None,
        _ => {}
    }
    Some(Output::Do { room: room.clone(), place, person: Box::new(person), verdict, reason: reason.into() })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::event::Machine;
    use crate::policy::Rung;

    fn key(name: &str) -> OccupantKey {
        OccupantKey::new(Rung::Account, &format!("{name}@meet.jitsi"))
    }

    fn person(nick: &str) -> Person {
        Person { nick: nick.into(), role: Some("participant".into()), ..Person::default() }
    }

    #[test]
    fn whoever_takes_a_moderators_name_is_asked_about_and_not_made_one() {
        let limits = Limits { may_grant: true, ..Limits::default() };
        let (mut authority, start) = (Authority::new("story", limits), Instant::now());
        let joins = |nick: &str| Input::Came {
            room: RoomKey::new("meet", "hall"),
            place: Place::Inside,
            person: person(nick),
            identity: OccupantKey::new(Rung::Name, "Ann"),
        };
        assert_eq!(asked(&give(&mut authority, start, joins("ann"))), [1]);
        assert_eq!(give(&mut authority, start, joins("eve")), []);
        // The question shows Ann, who came first.
        let out = give(&mut authority, start, says(1, Verdict::Moderator));
        assert_eq!((deeds(&out), asked(&out)), (vec![("ann", Verdict::Moderator)], vec![2]));
        assert_eq!(deeds(&give(&mut authority, start, says(2, Verdict::Deny))), [("eve", Verdict::Deny)]);
        assert_eq!(deeds(&give(&mut authority, start, joins("eve2"))), [("eve2", Verdict::Deny)], "it is known");
        let later = start + Duration::from_secs(61);
        assert_eq!(asked(&give(&mut authority, later, joins("ann"))), [3]);
        give(&mut authority, later, says(3, Verdict::Moderator));
        assert_eq!(asked(&give(&mut authority, later, joins("eve3"))), [4]);
        let out = give(&mut authority, later, Input::Failed { id: 4, why: "away".into() });
        assert_eq!(deeds(&out), [], "they may be there, as Ann may, and no more");
    }

    fn joins(room: &str, nick: &str, name: &str) -> Input {
        let room = RoomKey::new("meet", room);
        Input::Came { room, place: Place::Inside, person: person(nick), identity: key(name) }
    }

    /// A guest, whose occupant id in the lobby is not the one inside.
    fn guest(nick: &str) -> Person {
        Person { real_jid: Some(format!("{nick}@guest.meet.jitsi/x").into()), ..person(nick) }
    }

    fn comes(place: Place, nick: &str) -> Input {
        let identity = OccupantKey::new(Rung::OccupantId, &format!("{nick}-{place:?}"));
        Input::Came { room: RoomKey::new("meet", "hall"), place, person: guest(nick), identity }
    }

    fn goes(place: Place, nick: &str, put_out: bool) -> Input {
        let identity = OccupantKey::new(Rung::OccupantId, &format!("{nick}-{place:?}"));
        Input::Left { room: RoomKey::new("meet", "hall"), place, person: guest(nick), identity, put_out }
    }

    fn leaves(place: Place, nick: &str, name: &str, put_out: bool) -> Input {
        let room = RoomKey::new("meet", "hall");
        Input::Left { room, place, person: person(nick), identity: key(name), put_out }
    }

    fn says(id: u64, verdict: Verdict) -> Input {
        Input::Answered { id, answer: Answer { verdict, reason: Some("so it says".into()), for_seconds: None } }
    }

    fn give(authority: &mut Authority, now: Instant, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        authority.handle(now, input, &mut out);
        out
    }

    fn asked(out: &[Output]) -> Vec<u64> {
        out.iter()
            .filter_map(|output| if let Output::Ask(question) = output { Some(question.id) } else { None })
            .collect()
    }

    fn deeds(out: &[Output]) -> Vec<(&str, Verdict)> {
        let deed = |output: &'_ Output| match output {
            Output::Do { verdict, .. } => Some(*verdict),
            _ => None,
        };
        out.iter()
            .filter_map(|output| {
                let Output::Do { person, .. } = output else { return None };
                Some((&*person.nick, deed(output)?))
            })
            .collect()
    }

    #[test]
    fn joins_of_one_identity_are_one_question_and_the_answer_is_for_all_and_for_a_while() {
        let (mut authority, start) = (Authority::new("story", Limits::default()), Instant::now());
        assert_eq!(asked(&give(&mut authority, start, joins("hall", "a1", "ann"))), [1]);
        assert_eq!(give(&mut authority, start, joins("hall", "a2", "ann")), []);
        assert_eq!(
            asked(&give(&mut authority, start, joins("crypt", "a1", "ann"))),
            [2],
            "another room is another question"
        );
        let out = give(&mut authority, start, says(1, Verdict::Deny));
        assert_eq!(deeds(&out), [("a1", Verdict::Deny), ("a2", Verdict::Deny)]);
        let out = give(&mut authority, start + Duration::from_secs(59), joins("hall", "a3", "ann"));
        assert_eq!(deeds(&out), [("a3", Verdict::Deny)], "it is known");
        assert_eq!(asked(&give(&mut authority, start + Duration::from_secs(60), joins("hall", "a4", "ann"))), [3]);
        assert!(authority.awaits(3) && !authority.awaits(1) && !authority.awaits(9));
        assert_eq!(give(&mut authority, start, says(1, Verdict::Deny)), [], "an answer counts once");
    }

    #[test]
    fn an_answer_holds_as_long_as_it_says() {
        let (mut authority, start) = (Authority::new("story", Limits::default()), Instant::now());
        give(&mut authority, start, joins("hall", "a", "ann"));
        let answer = Answer { verdict: Verdict::Allow, reason: None, for_seconds: Some(0) };
        assert_eq!(give(&mut authority, start, Input::Answered { id: 1, answer }), []);
        assert_eq!(asked(&give(&mut authority, start, joins("hall", "a", "ann"))), [2]);
    }

    #[test]
    fn eight_are_asked_at_a_time_and_whoever_left_meanwhile_is_not_asked_about() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        for n in 1..=10_u64 {
            let out = give(&mut authority, now, joins("hall", &n.to_string(), &n.to_string()));
            assert_eq!(asked(&out).len(), usize::from(n <= 8));
        }
        assert_eq!(give(&mut authority, now, leaves(Place::Inside, "9", "9", false)), []);
        let out = give(&mut authority, now, says(3, Verdict::Mute));
        assert_eq!((deeds(&out), asked(&out)), (vec![("3", Verdict::Mute)], vec![10]));
    }

    #[test]
    fn without_an_answer_the_last_one_holds_for_ten_minutes_and_then_the_door_is_shut() {
        let limits = Limits { cache: Duration::ZERO, ..Limits::default() };
        let (mut authority, start) = (Authority::new("story", limits), Instant::now());
        let missed = |out: &[Output]| match out {
            [.., Output::Missed { verdict, .. }] => *verdict,
            other => panic!("{other:?}"),
        };
        give(&mut authority, start, joins("hall", "a", "ann"));
        give(&mut authority, start, says(1, Verdict::Mute));
        give(&mut authority, start, joins("hall", "a", "ann"));
        assert_eq!(authority.deadline(), Some(start + Duration::from_secs(2)));
        let out = give(&mut authority, start + Duration::from_secs(2), Input::Timeout);
        assert_eq!((deeds(&out), missed(&out)), (vec![("a", Verdict::Mute)], Verdict::Mute));
        give(&mut authority, start, joins("hall", "b", "bob"));
        let out = give(&mut authority, start, Input::Failed { id: 3, why: "refused".into() });
        assert_eq!((deeds(&out), missed(&out)), (vec![("b", Verdict::Deny)], Verdict::Deny));
        let late = start + LAST_ANSWER;
        give(&mut authority, late, joins("hall", "a", "ann"));
        let out = give(&mut authority, late, Input::Failed { id: 4, why: "refused".into() });
        assert_eq!(missed(&out), Verdict::Deny);
        authority.adjust(Limits { fallback: Fallback::Open, ..Limits::default() });
        give(&mut authority, start, joins("hall", "c", "cat"));
        let out = give(&mut authority, start, Input::Failed { id: 5, why: "refused".into() });
        assert_eq!((deeds(&out), missed(&out)), (vec![], Verdict::Allow));
    }

    #[test]
    fn moderators_are_made_only_where_the_configuration_agrees() {
        for (may_grant, expected) in [(false, vec![]), (true, vec![("a", Verdict::Moderator)])] {
            let (mut authority, now) =
                (Authority::new("story", Limits { may_grant, ..Limits::default() }), Instant::now());
            give(&mut authority, now, joins("hall", "a", "ann"));
            assert_eq!(deeds(&give(&mut authority, now, says(1, Verdict::Moderator))), expected);
        }
    }

    #[test]
    fn who_was_put_out_is_asked_about_again() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        give(&mut authority, now, joins("hall", "a", "ann"));
        give(&mut authority, now, says(1, Verdict::Allow));
        give(&mut authority, now, leaves(Place::Inside, "a", "ann", true));
        assert_eq!(asked(&give(&mut authority, now, joins("hall", "a", "ann"))), [2]);
    }

    #[test]
    fn who_knocks_is_asked_about_once_and_is_inside_what_they_were_let_in_as() {
        let limits = Limits { cache: Duration::ZERO, may_grant: true, ..Limits::default() };
        for verdict in [Verdict::Allow, Verdict::Mute, Verdict::Moderator] {
            let (mut authority, now) = (Authority::new("story", limits.clone()), Instant::now());
            let out = give(&mut authority, now, comes(Place::Lobby, "ann"));
            assert!(matches!(&out[..], [Output::Ask(question)] if question.knocks), "{out:?}");
            assert_eq!(give(&mut authority, now, comes(Place::Lobby, "ann")), [], "one knock, seen twice");
            let out = give(&mut authority, now, says(1, verdict));
            assert!(matches!(&out[..], [Output::Do { place: Place::Lobby, .. }]), "{out:?}");
            assert_eq!(give(&mut authority, now, goes(Place::Lobby, "ann", false)), []);
            let out = give(&mut authority, now + Duration::from_secs(9), comes(Place::Inside, "ann"));
            let expected = if verdict == Verdict::Allow { vec![] } else { vec![("ann", verdict)] };
            assert_eq!((deeds(&out), asked(&out)), (expected, vec![]), "{verdict:?}");
            give(&mut authority, now, goes(Place::Inside, "ann", false));
            let out = give(&mut authority, now + Duration::from_secs(99), comes(Place::Inside, "ann"));
            assert_eq!(asked(&out), [2], "let in once is not let in for ever");
        }
    }

    #[test]
    fn who_was_let_in_is_known_inside_for_as_long_as_the_answer_holds_until_they_are_put_out() {
        let (mut authority, start) = (Authority::new("story", Limits::default()), Instant::now());
        give(&mut authority, start, comes(Place::Lobby, "ann"));
        give(&mut authority, start, says(1, Verdict::Allow));
        for seconds in [1, 30, 59] {
            let out = give(&mut authority, start + Duration::from_secs(seconds), comes(Place::Inside, "ann"));
            assert_eq!(out, [], "{seconds} s");
        }
        give(&mut authority, start, goes(Place::Inside, "ann", true));
        assert_eq!(asked(&give(&mut authority, start, comes(Place::Inside, "ann"))), [2]);
    }

    #[test]
    fn nobody_who_left_the_lobby_is_let_in_and_who_was_sent_away_is_asked_about_at_the_next_knock() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        give(&mut authority, now, comes(Place::Lobby, "ann"));
        give(&mut authority, now, goes(Place::Lobby, "ann", false));
        assert_eq!(give(&mut authority, now, says(1, Verdict::Allow)), []);
        let out = give(&mut authority, now, comes(Place::Lobby, "ann"));
        assert_eq!((deeds(&out), asked(&out)), (vec![("ann", Verdict::Allow)], vec![]), "it is known by then");
        give(&mut authority, now, comes(Place::Lobby, "bob"));
        let out = give(&mut authority, now, says(2, Verdict::Deny));
        assert_eq!(deeds(&out), [("bob", Verdict::Deny)]);
        give(&mut authority, now, goes(Place::Lobby, "bob", true));
        assert_eq!(asked(&give(&mut authority, now, comes(Place::Lobby, "bob"))), [3]);
    }

    #[test]
    fn whom_a_person_lets_in_meanwhile_the_same_answer_is_about() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        give(&mut authority, now, comes(Place::Lobby, "ann"));
        give(&mut authority, now, goes(Place::Lobby, "ann", false));
        assert_eq!(give(&mut authority, now, comes(Place::Inside, "ann")), []);
        let out = give(&mut authority, now, says(1, Verdict::Deny));
        assert!(matches!(&out[..], [Output::Do { place: Place::Inside, verdict: Verdict::Deny, .. }]), "{out:?}");
    }

    #[test]
    fn a_knock_without_an_answer_opens_or_not_as_the_configuration_says_and_is_not_asked_about_again() {
        for (fallback, verdict) in [(Fallback::Closed, Verdict::Deny), (Fallback::Open, Verdict::Allow)] {
            let (mut authority, start) =
                (Authority::new("story", Limits { fallback, ..Limits::default() }), Instant::now());
            give(&mut authority, start, comes(Place::Lobby, "ann"));
            let out = give(&mut authority, start + Duration::from_secs(2), Input::Timeout);
            assert_eq!(deeds(&out), [("ann", verdict)]);
            if fallback == Fallback::Open {
                assert_eq!(give(&mut authority, start + Duration::from_secs(3), comes(Place::Inside, "ann")), []);
            }
        }
    }

    #[test]
    fn what_records_is_let_in_from_the_lobby_and_nobody_is_asked_about_it() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        let machine = |place: Place, machine: Machine| {
            let person = Person { machine: Some(machine), ..guest("jibri") };
            Input::Came { room: RoomKey::new("meet", "hall"), place, person, identity: key("jibri") }
        };
        let out = give(&mut authority, now, machine(Place::Lobby, Machine::Recorder));
        assert!(matches!(&out[..], [Output::Do { place: Place::Lobby, verdict: Verdict::Allow, .. }]), "{out:?}");
        for inside in [Machine::Recorder, Machine::Focus, Machine::Keeper] {
            assert_eq!(give(&mut authority, now, machine(Place::Inside, inside)), []);
        }
    }

    #[test]
    fn who_is_said_to_wait_once_more_is_no_second_question_and_what_was_decided_is_done_again() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        assert_eq!(asked(&give(&mut authority, now, comes(Place::Lobby, "ann"))), [1]);
        assert_eq!(give(&mut authority, now, comes(Place::Lobby, "ann")), []);
        assert_eq!(deeds(&give(&mut authority, now, says(1, Verdict::Allow))), [("ann", Verdict::Allow)]);
        let out = give(&mut authority, now, comes(Place::Lobby, "ann"));
        assert_eq!((deeds(&out), asked(&out)), (vec![("ann", Verdict::Allow)], vec![]), "she waits still");
        assert_eq!(give(&mut authority, now, comes(Place::Inside, "ann")), [], "and is in as she was let in");
    }

    #[test]
    fn who_comes_in_without_a_knock_is_asked_about_inside() {
        let (mut authority, now) = (Authority::new("story", Limits::default()), Instant::now());
        let out = give(&mut authority, now, comes(Place::Inside, "ann"));
        assert!(matches!(&out[..], [Output::Ask(question)] if !question.knocks), "{out:?}");
    }
}
