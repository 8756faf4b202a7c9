//! Who was in a room, when and for how long: a fold over recorded events. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{Departure, Event, Person, What};

/// Somebody's time in a room, under whatever nicks they had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attended {
    /// The room's life.
    #[schema(value_type = String)]
    pub life: Box<str>,
    /// Who, as they were last, and as events tell of them.
    #[schema(value_type = Object)]
    pub person: Person,
    /// When they came, or the first that is known of them.
    #[schema(value_type = String, format = DateTime)]
    pub came: Timestamp,
    /// Whether they were inside before that.
    pub came_earlier: bool,
    /// When they went, or the first that is known of their absence; left out while they are inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub went: Option<Timestamp>,
    /// How they went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub how: Option<Departure>,
    /// For how long, seconds; until now while they are inside.
    pub seconds: i64,
}

/// As comma-separated values, with a line of names.
///
/// Source: RFC 4180 §2 "Definition of the CSV Format".
#[must_use]
pub fn csv(attended: &[Attended]) -> String {
    let mut text = "life,nick,display_name,account,came,came_earlier,went,seconds,how\r\n".to_owned();
    for one in attended {
        let person = &one.person;
        let fields = [
            one.life.to_string(),
            person.nick.to_string(),
            person.display_name.as_deref().unwrap_or_default().to_owned(),
            person.account().unwrap_or_default().to_owned(),
            one.came.to_string(),
            one.came_earlier.to_string(),
            one.went.map(|went| went.to_string()).unwrap_or_default(),
            one.seconds.to_string(),
            how(one),
        ];
        text += &fields.map(|field| value(&field)).join(",");
        text += "\r\n";
    }
    text
}

/// One field. What a spreadsheet would take for a formula is made a text: names are chosen by strangers.
fn value(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if field.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// How they went, by the word of events; nothing while they are inside.
#[must_use]
pub fn how(one: &Attended) -> String {
    let word = one.how.and_then(|how| serde_json::to_value(how).ok());
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// When somebody came who was inside before the first that is told of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// When, or the first that is known of them.
    pub at: Timestamp,
    /// Whether they were inside before that.
    pub earlier: bool,
}

/// Says of somebody who was inside in a life of the room, under this name, when they came; `None`: that is not known.
pub type Earlier<'e> = dyn FnMut(&str, &Person) -> Option<Came> + 'e;

/// Everybody's time in one room, from its events in their order.
#[derive(Debug)]
pub struct Attendance {
    since: Option<Timestamp>,
    most: usize,
    over: Vec<Attended>,
    /// The life of the room that those inside are in.
    life: Box<str>,
    /// By nick.
    inside: BTreeMap<Box<str>, Attended>,
}

impl Attendance {
    /// Of those who were inside at `since` or came later; no more than the last `most`, however many came.
    #[must_use]
    pub fn new(since: Option<Timestamp>, most: usize) -> Self {
        Attendance { since, most, over: Vec::new(), life: "".into(), inside: BTreeMap::new() }
    }

    /// Takes the next event of the room; of whom nothing was told before, `earlier` is asked. Machines are nobody.
    pub fn note(&mut self, event: &Event, earlier: &mut Earlier<'_>) {
        let Some(person) = event.what.person().filter(|person| person.machine.is_none()) else { return };
        let life = event.life.as_deref().unwrap_or_default();
        let time = event.time;
        let mut unseen = |person: &Person, before: &Person| {
            let came = earlier(life, before).unwrap_or(Came { at: time, earlier: true });
            begun(life, person, came)
        };
        match &event.what {
            What::OccupantJoined { already_inside, .. } => {
                self.another(life, time);
                self.end(&person.nick, time, Departure::Unseen);
                let came = Came { at: time, earlier: *already_inside };
                self.inside.insert(person.nick.clone(), begun(life, person, came));
            }
            what @ What::OccupantRenamed { .. } => {
                self.another(life, time);
                let Some(before) = called_before(what) else { return };
                let one = match self.inside.remove(&before.nick) {
                    Some(known) => Attended { person: person.clone(), ..known },
                    None => unseen(person, &before),
                };
                self.end(&person.nick, time, Departure::Unseen);
                self.inside.insert(person.nick.clone(), one);
            }
            What::OccupantLeft { how, .. } => {
                let known = if *self.life == *life { self.inside.remove(&person.nick) } else { None };
                let one = known.unwrap_or_else(|| unseen(person, person));
                self.went(one, time, *how);
            }
            _ => {}
        }
    }

    /// Whether somebody is inside under that nick, by the events so far.
    #[must_use]
    pub fn has(&self, nick: &str) -> bool {
        self.inside.contains_key(nick)
    }

    /// Takes somebody who is inside and of whom no event told.
    pub fn stays(&mut self, life: &str, person: Person, came: Came) {
        self.inside.insert(person.nick.clone(), begun(life, &person, came));
    }

    /// All of them by when they came; whoever is inside was so until `now`.
    #[must_use]
    pub fn finish(self, now: Timestamp) -> Vec<Attended> {
        let Attendance { mut over, inside, most, .. } = self;
        over.extend(inside.into_values());
        latest(&mut over, most);
        for one in &mut over {
            let end = one.went.unwrap_or(now);
            one.seconds = end.duration_since(one.came).as_secs().max(0);
        }
        over
    }

    /// Nobody of an earlier life is inside any more.
    fn another(&mut self, life: &str, time: Timestamp) {
        if *self.life == *life {
            return;
        }
        self.life = life.into();
        for one in std::mem::take(&mut self.inside).into_values() {
            self.went(one, time, Departure::Unseen);
        }
    }

    fn end(&mut self, nick: &str, time: Timestamp, how: Departure) {
        if let Some(one) = self.inside.remove(nick) {
            self.went(one, time, how);
        }
    }

    /// What nobody asked for is not kept: a room may have had millions.
    fn went(&mut self, one: Attended, time: Timestamp, how: Departure) {
        if self.since.is_some_and(|since| time < since) {
            return;
        }
        self.over.push(Attended { went: Some(time), how: Some(how), ..one });
        if self.over.len() >= self.most.saturating_mul(2) {
            latest(&mut self.over, self.most);
        }
    }
}

/// Who somebody was before they took another name; `None`: that is not what happened.
#[must_use]
pub fn called_before(what: &What) -> Option<Person> {
    let What::OccupantRenamed { person, old_nick, old_display_name } = what else { return None };
    Some(match old_nick {
        Some(nick) => Person { nick: nick.clone(), ..person.clone() },
        None => Person { display_name: old_display_name.clone(), ..person.clone() },
    })
}

/// Those who came last, in that order.
fn latest(over: &mut Vec<Attended>, most: usize) {
    over.sort_by_key(|one| one.came);
    over.drain(..over.len().saturating_sub(most));
}

fn begun(life: &str, person: &Person, came: Came) -> Attended {
    let Came { at: came, earlier: came_earlier } = came;
    Attended { life: life.into(), person: person.clone(), came, came_earlier, went: None, how: None, seconds: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).expect("near 1970")
    }

    fn attended(events: Vec<(i64, &str, What)>) -> Vec<String> {
        attended_since(None, usize::MAX, events)
    }

    fn attended_since(since: Option<i64>, most: usize, events: Vec<(i64, &str, What)>) -> Vec<String> {
        let mut attendance = Attendance::new(since.map(at), most);
        for (minute, life, what) in events {
            let number = u64::try_from(minute).expect("after 1970");
            let event = Event::new(number.into(), at(minute), "meet", Some("tavern"), Some(life), what);
            attendance.note(&event, &mut |_, _| None);
        }
        let row = |one: &Attended| {
            let earlier = if one.came_earlier { "<" } else { "" };
            let (from, minutes) = (one.came.as_second() / 60, one.seconds / 60);
            format!("{} {} {earlier}{from} {minutes} {:?}", one.life, one.person.nick, one.how)
        };
        attendance.finish(at(100)).iter().map(row).collect()
    }

    fn person(nick: &str) -> Person {
        Person { nick: nick.into(), ..Person::default() }
    }

    fn joined(nick: &str) -> What {
        What::OccupantJoined { person: person(nick), already_inside: false }
    }

    fn left(nick: &str) -> What {
        What::OccupantLeft { person: person(nick), how: Departure::Left, by: None, reason: None }
    }

    #[test]
    fn whoever_comes_goes_and_comes_again_is_there_twice_under_the_last_name_of_each_time() {
        let renamed =
            What::OccupantRenamed { person: person("ann2"), old_nick: Some("ann".into()), old_display_name: None };
        let events = vec![
            (1, "a", joined("ann")),
            (3, "a", renamed),
            (9, "a", left("ann2")),
            (20, "a", joined("ann")),
            (21, "a", joined("bob")),
        ];
        assert_eq!(attended(events), ["a ann2 1 8 Some(Left)", "a ann 20 80 None", "a bob 21 79 None"]);
    }

    #[test]
    fn what_was_not_seen_is_said_and_machines_are_nobody() {
        let focus = Person { machine: Some(crate::event::Machine::Focus), ..person("focus") };
        let events = vec![
            (1, "a", What::OccupantJoined { person: focus, already_inside: false }),
            (2, "a", What::OccupantJoined { person: person("ann"), already_inside: true }),
            (5, "a", left("eve")),
            // Nobody told us that ann went, but the room was gone meanwhile.
            (9, "b", joined("bob")),
            (12, "b", joined("bob")),
        ];
        let expected =
            ["a ann <2 7 Some(Unseen)", "a eve <5 0 Some(Left)", "b bob 9 3 Some(Unseen)", "b bob 12 88 None"];
        assert_eq!(attended(events), expected);
    }

    #[test]
    fn of_millions_only_the_last_who_were_asked_for_are_kept() {
        let nicks: Vec<String> = (0..90).map(|n| format!("n{n}")).collect();
        let mut events = vec![(0, "a", joined("ann"))];
        for (n, nick) in (1..).zip(&nicks) {
            events.extend([(n, "a", joined(nick)), (n, "a", left(nick))]);
        }
        let last = ["a n87 88 0 Some(Left)", "a n88 89 0 Some(Left)", "a n89 90 0 Some(Left)"];
        assert_eq!(attended_since(None, 3, events.clone()), last);
        let inside = ["a ann 0 100 None", last[1], last[2]];
        assert_eq!(attended_since(Some(89), 9, events.clone()), inside, "ann is inside still");
        let mut attendance = Attendance::new(None, 3);
        for (minute, life, what) in events {
            let event = Event::new(7.into(), at(minute), "meet", Some("tavern"), Some(life), what);
            attendance.note(&event, &mut |_, _| None);
            assert!(attendance.over.len() < 6, "{}", attendance.over.len());
        }
    }

    #[test]
    fn who_went_under_another_name_than_they_came_is_asked_after_by_the_one_before() {
        let renamed = |old_nick: Option<&str>, old_name: Option<&str>| What::OccupantRenamed {
            person: Person { display_name: Some("Ann".into()), ..person("ann2") },
            old_nick: old_nick.map(Into::into),
            old_display_name: old_name.map(Into::into),
        };
        let (nick, name) = (renamed(Some("ann"), None), renamed(None, Some("An")));
        for (what, asked) in [(nick, ("ann", Some("Ann"))), (name, ("ann2", Some("An"))), (left("eve"), ("eve", None))]
        {
            let mut attendance = Attendance::new(Some(at(5)), 9);
            let event = Event::new(7.into(), at(7), "meet", Some("tavern"), Some("a"), what);
            let mut found = false;
            attendance.note(&event, &mut |life, before| {
                found = (life, &*before.nick, before.display_name.as_deref()) == ("a", asked.0, asked.1);
                Some(Came { at: at(1), earlier: false })
            });
            assert!(found, "{asked:?}");
            let all = attendance.finish(at(9));
            assert_eq!((all[0].came, all[0].came_earlier), (at(1), false));
        }
    }

    #[test]
    fn a_name_is_one_field_whatever_is_in_it() {
        let person = Person { nick: "a\"b,c".into(), display_name: Some("=1+1".into()), ..Person::default() };
        let came = Timestamp::from_second(60).expect("near 1970");
        let went = Some(Timestamp::from_second(90).expect("near 1970"));
        let (life, how) = ("x".into(), Some(Departure::NotMember));
        let one = Attended { life, person, came, came_earlier: false, went, how, seconds: 30 };
        let text = csv(&[one]);
        let row = "x,\"a\"\"b,c\",'=1+1,,1970-01-01T00:01:00Z,false,1970-01-01T00:01:30Z,30,not-member\r\n";
        assert_eq!(text.split_once("\r\n").map(|(_, rows)| rows), Some(row));
    }
}
