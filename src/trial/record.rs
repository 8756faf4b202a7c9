//! Stored events under rules. Pure.
//!
//! The record holds less than a room shows: texts only where `store_text` says so, no presence that is neither a join
//! nor a change of name, no stanza that could not be read. [`Trial::judged`] says for each rule how much of it that was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{BAN, Hit, bans, tried};
use crate::event::{self, Event, Kind, Machine, What};
use crate::policy::bans::Bans;
use crate::policy::{
    self, Departure, Input, Now, Person, Plans, Policies, Policy, Presence, RoomVerdict, Sanction, Verdict, Verdicts,
};
use crate::room::wished;
use crate::xmpp::muc::{Affiliation, Role};

/// The kinds of events that a trial wants to be handed.
pub const KINDS: [Kind; 10] = [
    Kind::RoomHeld,
    Kind::RoomJoined,
    Kind::RoomLost,
    Kind::RoomRefused,
    Kind::RoomSuspended,
    Kind::RoomReleased,
    Kind::OccupantJoined,
    Kind::OccupantLeft,
    Kind::OccupantRenamed,
    Kind::MessagePosted,
];

/// Rules that say nothing about a message without its text.
const TEXT: [&str; 4] = ["caps_lock", "links", "repeat", "words"];

/// What the record does not hold, by the rules that would look at it.
const GAPS: [(&str, &str); 9] = [
    ("caps_lock", "messages whose text is not stored are not judged"),
    (
        "flood",
        "changes of presence and stanzas that can not be read are not recorded: only messages, joins and renames count",
    ),
    ("idle_close", "what its deadline would bring after the last event is not seen"),
    ("links", "messages whose text is not stored are not judged"),
    ("moderators", "who was made moderator after joining is not recorded"),
    ("owner_gone", "who was made owner after joining is not recorded"),
    ("rejoin", "which browser a guest had is not recorded: they are known again by account, occupant id or name"),
    ("repeat", "messages whose text is not stored are not judged"),
    ("words", "messages whose text is not stored are not judged; names are"),
];

/// How much a rule could look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The rule.
    pub rule: &'static str,
    /// Events that it was shown.
    pub events: usize,
    /// Messages that it could not judge, because their text is not stored.
    pub without_text: usize,
    /// What it says nothing about, because that is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<&'static str>,
}

/// Events of any number of rooms under rules, the oldest first.
#[derive(Debug)]
pub struct Trial<'a> {
    policies: &'a Policies,
    begin: Option<Now>,
    start: Instant,
    /// By service and room; nothing where no policy covers the room.
    rooms: HashMap<(Box<str>, Box<str>), Option<Past>>,
    judged: BTreeMap<&'static str, Judged>,
    uncovered: usize,
    hits: Vec<Hit>,
}

/// A room as it was.
#[derive(Debug)]
struct Past {
    service: Box<str>,
    room: Box<str>,
    plans: Arc<Plans>,
    policy: Policy,
    held: bool,
    /// Its life, as the last event said that says it: that it is held does not.
    life: Box<str>,
    seen: bool,
    /// Who would be out.
    out: HashSet<Box<str>>,
    bans: Bans,
}

impl<'a> Trial<'a> {
    /// Nothing seen yet. `start` is any moment: what happens is told in the events' own time.
    #[must_use]
    pub fn new(policies: &'a Policies, start: Instant) -> Self {
        Trial {
            policies,
            begin: None,
            start,
            rooms: HashMap::new(),
            judged: BTreeMap::new(),
            uncovered: 0,
            hits: Vec::new(),
        }
    }

    /// What rules would have done since this was last asked.
    pub fn hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.hits)
    }

    /// How much each rule could look at, by name.
    pub fn judged(&self) -> impl Iterator<Item = &Judged> {
        self.judged.values()
    }

    /// How many events were of rooms that no policy covers.
    #[must_use]
    pub fn uncovered(&self) -> usize {
        self.uncovered
    }

    /// Looks at one event.
    pub fn event(&mut self, event: &Event) {
        let (Some(room), true) = (&event.room, KINDS.contains(&event.what.kind())) else { return };
        let begin = *self.begin.get_or_insert(Now { at: self.start, clock: event.time });
        // A clock that was set back stands still until then.
        let since = Duration::try_from(event.time.duration_since(begin.clock)).unwrap_or_default();
        let now = Now { at: begin.at + since, clock: event.time };
        let key = (event.service.clone(), room.clone());
        let policies = self.policies;
        let past = self.rooms.entry(key).or_insert_with(|| {
            let plans = policies.plans(&event.service, room)?;
            Some(Past::new(&event.service, room, tried(plans)))
        });
        let Some(past) = past else {
            self.uncovered += 1;
            return;
        };
        let without_text = matches!(event.what, What::MessagePosted { body: None, .. });
        for rule in past.plans.rules.keys().copied() {
            let gap = GAPS.iter().find(|(name, _)| *name == rule).map(|(_, gap)| *gap);
            let judged = self.judged.entry(rule).or_insert(Judged { rule, events: 0, without_text: 0, gap });
            if without_text && TEXT.contains(&rule) {
                judged.without_text += 1;
            } else {
                judged.events += 1;
            }
        }
        past.event(now, event, &mut self.hits);
    }
}

impl Past {
    fn new(service: &str, room: &str, plans: Arc<Plans>) -> Self {
        Past {
            service: service.into(),
            room: room.into(),
            policy: Policy::new(room, plans.clone()),
            plans,
            held: false,
            life: "".into(),
            seen: false,
            out: HashSet::new(),
            bans: Bans::default(),
        }
    }

    fn event(&mut self, now: Now, event: &Event, hits: &mut Vec<Hit>) {
        while let Some(due) = self.policy.deadline().filter(|due| *due <= now.at) {
            let ago = now.at.saturating_duration_since(due);
            self.put(Now { at: due, clock: now.clock - ago }, Input::Timeout, hits);
        }
        // The first event may be of a room that was held long before.
        let inside = matches!(
            event.what.kind(),
            Kind::RoomHeld | Kind::OccupantJoined | Kind::OccupantRenamed | Kind::OccupantLeft | Kind::MessagePosted
        );
        let first = !std::mem::replace(&mut self.seen, true) && inside;
        if let Some(life) = &event.life {
            self.life.clone_from(life);
        }
        if first || matches!(event.what, What::RoomHeld) {
            self.held = true;
            self.hold(now, hits);
        }
        match &event.what {
            What::RoomJoined(_)
            | What::RoomLost(_)
            | What::RoomRefused(_)
            | What::RoomSuspended(_)
            | What::RoomReleased(_) => {
                self.held = false;
                self.put(now, Input::Lost, hits);
            }
            What::OccupantJoined { person, already_inside } => self.joined(now, person, *already_inside, hits),
            What::OccupantLeft { person, how, .. } => self.left(now, person, *how, hits),
            What::OccupantRenamed { person, old_nick, .. } => self.renamed(now, person, old_nick.as_deref(), hits),
            What::MessagePosted { person, body, private, stanza_id, .. } => {
                self.find(now, person, hits);
                if !self.out.contains(&person.nick) {
                    let (nick, id) = (&*person.nick, stanza_id.as_deref());
                    // Without its text it still counts, and no rule finds anything in it.
                    let body = body.as_deref().unwrap_or_default();
                    self.put(now, Input::Message { nick, body, id, private: *private, belated: false }, hits);
                }
            }
            _ => {}
        }
    }

    fn hold(&mut self, now: Now, hits: &mut Vec<Hit>) {
        if self.held {
            let life = self.life.clone();
            self.put(now, Input::Holding { life: &life, since: None }, hits);
        }
    }

    fn joined(&mut self, now: Now, person: &event::Person, already_inside: bool, hits: &mut Vec<Hit>) {
        self.out.remove(&person.nick);
        if already_inside {
            self.find(now, person, hits);
        } else {
            self.present(now, person, hits);
        }
    }

    /// Somebody is inside of whom nothing was recorded in the time that is looked at: they did not come now.
    fn find(&mut self, now: Now, person: &event::Person, hits: &mut Vec<Hit>) {
        if self.out.contains(&person.nick) || self.policy.people().by_nick(&person.nick).is_some() {
            return;
        }
        self.put(now, Input::Lost, hits);
        self.present(now, person, hits);
        self.hold(now, hits);
    }

    fn present(&mut self, now: Now, person: &event::Person, hits: &mut Vec<Hit>) {
        let role = person.role.as_deref().map(Role::read);
        let affiliation = person.affiliation.as_deref().map(Affiliation::read);
        let presence = Presence {
            nick: &person.nick,
            display_name: person.display_name.as_deref(),
            real_jid: person.real_jid.as_deref(),
            occupant_id: person.occupant_id.as_deref(),
            role: role.as_ref(),
            affiliation: affiliation.as_ref(),
            own: person.machine == Some(Machine::Keeper),
            focus: person.machine == Some(Machine::Focus),
            recorder: matches!(person.machine, Some(Machine::Recorder | Machine::Transcriber)),
            ..Presence::default()
        };
        let seen = Person::look(now.at, &presence, &self.plans.exempt, &self.plans.trust);
        if self.bans.find(&seen, now.clock, &self.service, &self.room).is_some() {
            self.out.insert(person.nick.clone());
            hits.push(Hit {
                person: Some(person.clone()),
                note: "came back while banned".into(),
                ..self.hit(now, BAN, "kick")
            });
            return;
        }
        self.put(now, Input::Present(presence), hits);
    }

    fn left(&mut self, now: Now, person: &event::Person, how: event::Departure, hits: &mut Vec<Hit>) {
        if self.out.remove(&person.nick) {
            return;
        }
        let how = match how {
            event::Departure::Kicked => Departure::Kicked { by_us: false },
            event::Departure::Banned => Departure::Banned,
            _ => Departure::Left,
        };
        self.put(now, Input::Left { nick: &person.nick, how }, hits);
    }

    fn renamed(&mut self, now: Now, person: &event::Person, old_nick: Option<&str>, hits: &mut Vec<Hit>) {
        if let Some(from) = old_nick {
            if self.out.remove(from) {
                self.out.insert(person.nick.clone());
            }
            self.put(now, Input::Renamed { from, to: &person.nick }, hits);
        }
        if !self.out.contains(&person.nick) {
            self.present(now, person, hits);
        }
    }

    /// Hands something to the rules, and does to people what they say.
    fn put(&mut self, now: Now, input: Input<'_>, hits: &mut Vec<Hit>) {
        let mut out = Verdicts::default();
        self.policy.handle(now, input, &mut out);
        for RoomVerdict { rule, wish, note, .. } in out.room {
            hits.push(Hit { note: note.into(), ..self.hit(now, rule, wished(&wish)) });
        }
        for Verdict { rule, nick, sanction, reason, note, .. } in out.people {
            let Some(one) = self.policy.people().by_nick(&nick) else { continue };
            let (person, identity) = (told(one), one.identity.clone());
            hits.push(Hit {
                person: Some(person),
                reason: reason.into(),
                note: note.into(),
                ..self.hit(now, rule, &sanction.to_string())
            });
            if sanction.removes() {
                self.put_out(now, &nick, sanction, &identity, hits);
            }
        }
    }

    fn put_out(&mut self, now: Now, nick: &str, sanction: Sanction, identity: &policy::Identity, hits: &mut Vec<Hit>) {
        let more = bans(sanction, identity, &self.service, &self.room, now.clock);
        more.into_iter().for_each(|ban| self.bans.add(ban));
        self.out.insert(nick.into());
        self.put(now, Input::Left { nick, how: Departure::Kicked { by_us: true } }, hits);
    }

    fn hit(&self, now: Now, rule: &str, verdict: &str) -> Hit {
        Hit {
            time: now.clock,
            room: format!("{}/{}", self.service, self.room).into(),
            rule: rule.into(),
            person: None,
            verdict: verdict.into(),
            reason: "".into(),
            note: "".into(),
        }
    }
}

/// Somebody as events tell of them.
fn told(one: &Person) -> event::Person {
    event::Person {
        nick: one.nick.clone(),
        display_name: one.display_name.clone(),
        real_jid: one.real_jid.clone(),
        occupant_id: None,
        role: one.role.as_ref().map(|role| role.as_str().into()),
        affiliation: one.affiliation.as_ref().map(|affiliation| affiliation.as_str().into()),
        machine: None,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::policy::rules::{self, KINDS as RULES};

    use crate::config::{self, Content, File, Files, Rulebook};
    use crate::event::{EventId, Why};

    struct NoFiles;

    impl Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> Result<Content, String> {
            Err("not there".to_owned())
        }
    }

    fn book(rules: &str) -> Rulebook {
        let text = format!("[[policy]]\nservice = \"meet\"\nrooms = \"tavern\"\n{rules}");
        let files = vec![File { name: "rules.toml".to_owned(), text }];
        let input = config::Input { files, env: Vec::new(), base: "/".into(), offline: true, secrets: &NoFiles };
        config::rulebook(&input).expect("rules")
    }

    /// What rules would have done to events a second apart, and how much each could judge.
    fn tried(rules: &str, events: Vec<What>) -> (Vec<String>, Vec<Judged>) {
        let book = book(rules);
        let mut trial = Trial::new(&book.policies, Instant::now());
        let mut id = EventId::default();
        for (at, what) in events.into_iter().enumerate() {
            let time = jiff::Timestamp::from_second(1_000_000 + i64::try_from(at).expect("few")).expect("a time");
            id = id.next(time);
            trial.event(&Event::new(id, time, "meet", Some("tavern"), Some("l1"), what));
        }
        let who = |hit: &Hit| hit.person.as_ref().map_or_else(String::new, |person| person.nick.to_string());
        let line =
            |hit: &Hit| format!("{} {} {} {}", hit.time.as_second() - 1_000_000, hit.rule, hit.verdict, who(hit));
        (trial.hits().iter().map(line).collect(), trial.judged().cloned().collect())
    }

    fn person(nick: &str) -> event::Person {
        let real_jid = Some(format!("{nick}@meet.example/1").into());
        event::Person { nick: nick.into(), real_jid, role: Some("participant".into()), ..event::Person::default() }
    }

    fn joins(nick: &str) -> What {
        What::OccupantJoined { person: person(nick), already_inside: false }
    }

    fn leaves(nick: &str) -> What {
        What::OccupantLeft { person: person(nick), how: event::Departure::Left, by: None, reason: None }
    }

    fn says(nick: &str, body: Option<&str>) -> What {
        let body = body.map(Into::into);
        What::MessagePosted { person: person(nick), stanza_id: None, private: false, bytes: 5, body }
    }

    #[test]
    fn a_message_without_its_text_counts_and_is_not_read() {
        let rules =
            "[policy.flood]\nmessages = 2\naction = \"kick\"\n[policy.words]\nwords = [\"spam\"]\naction = \"warn\"\n";
        let events = vec![
            What::RoomHeld,
            joins("eve"),
            says("eve", Some("spam")),
            says("eve", None),
            says("eve", None),
            says("eve", None),
            leaves("eve"),
            joins("eve"),
        ];
        let (hits, judged) = tried(rules, events);
        assert_eq!(hits, ["2 words warn eve", "4 flood kick eve"]);
        let counts: Vec<_> = judged.iter().map(|one| (one.rule, one.events, one.without_text)).collect();
        assert_eq!(counts, [("flood", 8, 0), ("words", 5, 3)]);
        assert!(judged.iter().all(|one| one.gap.is_some()));
    }

    #[test]
    fn a_record_that_begins_in_the_middle_takes_nobody_for_a_newcomer() {
        let rules = "[policy.join_wave]\njoins = 2\nper = \"1m\"\n";
        let events = ["a", "b", "c", "d"].into_iter().map(|nick| says(nick, None)).collect();
        assert_eq!(tried(rules, events).0, Vec::<String>::new());
        let events = ["a", "b", "c", "d"].into_iter().map(joins).collect();
        assert!(!tried(rules, events).0.is_empty());
    }

    #[test]
    fn who_is_banned_is_put_out_again_and_nothing_is_judged_while_the_room_is_lost() {
        let rules = "[policy.words]\nwords = [\"spam\"]\naction = \"ban 1h\"\n";
        let why = || Why { cause: "disconnected".into(), text: "x".into() };
        let events = vec![
            What::RoomHeld,
            joins("eve"),
            What::RoomLost(why()),
            says("eve", Some("spam")),
            What::RoomHeld,
            says("eve", Some("spam")),
            leaves("eve"),
            joins("eve"),
            says("eve", Some("spam")),
        ];
        assert_eq!(tried(rules, events).0, ["5 words ban 1h eve", "7 ban kick eve"]);
    }

    #[test]
    fn deadlines_that_passed_between_two_events_are_kept() {
        let rules = "[policy.max_duration]\nlasts = \"5s\"\nwarn = [\"2s\"]\n";
        let mut events = vec![What::RoomHeld];
        events.extend((0..8).map(|_| says("ann", None)));
        let (hits, _) = tried(rules, events);
        assert!(hits.iter().any(|hit| hit.starts_with("5 max_duration close")), "{hits:?}");
    }

    #[test]
    fn what_is_said_of_rules_is_said_of_rules_that_there_are() {
        for name in TEXT.iter().chain(GAPS.iter().map(|(name, _)| name)) {
            assert!(rules::kind(name).is_some(), "{name}");
        }
        assert!(TEXT.iter().all(|name| rules::kind(name).is_some_and(|kind| kind.reads_text)));
        let silent = |kind: &&policy::RuleKind| !kind.reads_text || kind.name == "flood" || TEXT.contains(&kind.name);
        assert!(RULES.iter().all(silent), "a rule that reads text and is not said to miss it");
    }
}
