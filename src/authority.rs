//! Asking somebody outside who may be in a room: questions go out, answers come in, and what follows is said. Pure.
//!
//! One [`Authority`] decides about certain rooms of one service. Slow thinking is an output ([`Output::Ask`]) and later
//! an input ([`Input::Answered`]); the time is handed in. Joins of one identity in one room are one question, at most
//! [`IN_FLIGHT`] are asked at a time, and an answer is kept for a while. Where none comes in time, the configuration
//! says what holds ([`Fallback`]).

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
/// Most answers that are remembered, over all rooms.
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
    /// They may not: they are thrown out.
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
}

/// What an authority hears of.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody is in a room.
    Joined {
        /// Where.
        room: RoomKey,
        /// Who.
        person: Person,
        /// By what they are known again.
        identity: OccupantKey,
    },
    /// Somebody is no longer there; put out by somebody, so that what was said of them before no longer holds.
    Left {
        /// Where.
        room: RoomKey,
        /// Their nick.
        nick: Box<str>,
        /// By what they were known.
        identity: OccupantKey,
        /// Whether they were kicked or banned.
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
    people: Vec<Person>,
    /// Until when the answer may come; `None`: it was not asked yet.
    until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Known {
    verdict: Verdict,
    reason: Box<str>,
    at: Instant,
    until: Instant,
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
}

impl Authority {
    /// An authority that was never asked.
    #[must_use]
    pub fn new(name: &str, limits: Limits) -> Self {
        let (open, waiting, known) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Authority { name: name.into(), limits, last_id: 0, open, waiting, known }
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
            Input::Joined { room, person, identity } => self.joined(now, (room, identity), person, out),
            Input::Left { room, nick, identity, put_out } => {
                let subject = (room, identity);
                for open in self.open.values_mut().filter(|open| open.subject == subject) {
                    open.people.retain(|person| person.nick != nick);
                }
                if put_out {
                    self.known.remove(&subject);
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

    fn joined(&mut self, now: Instant, subject: Subject, person: Person, out: &mut Vec<Output>) {
        if let Some(known) = self.known.get(&subject).filter(|known| now < known.until) {
            out.extend(done(&self.limits, &subject.0, person, known.verdict, &known.reason));
            return;
        }
        if let Some(open) = self.open.values_mut().find(|open| open.subject == subject) {
            open.people.retain(|known| known.nick != person.nick);
            open.people.push(person);
            return;
        }
        self.last_id += 1;
        self.open.insert(self.last_id, Open { subject, people: vec![person], until: None });
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
            let Some(person) = open.people.last().cloned() else {
                self.open.remove(&id);
                continue;
            };
            open.until = Some(now + self.limits.time);
            let (room, identity) = &open.subject;
            out.push(Output::Ask(Box::new(Question {
                id,
                authority: self.name.clone(),
                service: (&*room.service).into(),
                room: (&*room.name).into(),
                person,
                identity: identity.to_string(),
                strength: identity.rung.strength().as_str(),
            })));
        }
    }

    fn answered(&mut self, now: Instant, id: u64, answer: Answer, out: &mut Vec<Output>) {
        let Some(Open { subject, people, .. }) = self.open.remove(&id) else { return };
        let lasts = answer.for_seconds.map_or(self.limits.cache, |seconds| Duration::from_secs(seconds.into()));
        let reason: Box<str> = answer.reason.unwrap_or_default().into();
        for person in people {
            out.extend(done(&self.limits, &subject.0, person, answer.verdict, &reason));
        }
        if self.known.len() >= ANSWERS {
            self.known.retain(|_, known| now < known.at + LAST_ANSWER || now < known.until);
        }
        if self.known.len() >= ANSWERS {
            self.known.clear();
        }
        let known = Known { verdict: answer.verdict, reason, at: now, until: now + lasts };
        self.known.insert(subject, known);
    }

    fn failed(&mut self, now: Instant, id: u64, why: &str, out: &mut Vec<Output>) {
        let Some(Open { subject, people, .. }) = self.open.remove(&id) else { return };
        let unsure = "nobody can be asked whether you may be here; try again in a moment";
        let last = self.known.get(&subject).filter(|known| now < known.at + LAST_ANSWER);
        let (verdict, reason) = match (self.limits.fallback, last) {
            (Fallback::Last, Some(known)) => (known.verdict, &*known.reason),
            (Fallback::Last | Fallback::Closed, _) => (Verdict::Deny, unsure),
            (Fallback::Open, _) => (Verdict::Allow, ""),
        };
        for person in people {
            out.extend(done(&self.limits, &subject.0, person, verdict, reason));
        }
        let (room, identity) = subject;
        out.push(Output::Missed { room, identity, why: why.into(), verdict });
    }
}

/// What a verdict brings; nothing where they may simply be there.
fn done(limits: &Limits, room: &RoomKey, person: Person, verdict: Verdict, reason: &str) -> Option<Output> {
    match verdict {
        Verdict::Allow => return None,
        Verdict::Moderator if !limits.may_grant || person.role.as_deref() == Some("moderator") => return None,
        _ => {}
    }
    Some(Output::Do { room: room.clone(), person: Box::new(person), verdict, reason: reason.into() })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::policy::Rung;

    fn key(name: &str) -> OccupantKey {
        OccupantKey::new(Rung::Account, &format!("{name}@meet.jitsi"))
    }

    fn person(nick: &str) -> Person {
        Person { nick: nick.into(), role: Some("participant".into()), ..Person::default() }
    }

    fn joins(room: &str, nick: &str, name: &str) -> Input {
        Input::Joined { room: RoomKey::new("meet", room), person: person(nick), identity: key(name) }
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
        let left =
            Input::Left { room: RoomKey::new("meet", "hall"), nick: "9".into(), identity: key("9"), put_out: false };
        assert_eq!(give(&mut authority, now, left), []);
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
        let room = RoomKey::new("meet", "hall");
        give(&mut authority, now, Input::Left { room, nick: "a".into(), identity: key("ann"), put_out: true });
        assert_eq!(asked(&give(&mut authority, now, joins("hall", "a", "ann"))), [2]);
    }
}
