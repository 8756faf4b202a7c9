//! Who was in a room, when and for how long: a fold over recorded events. Pure.

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

/// Everybody's time in one room, from its events in their order.
#[derive(Debug)]
pub struct Attendance {
    since: Option<Timestamp>,
    most: usize,
    over: Vec<Attended>,
    inside: Vec<Attended>,
}

impl Attendance {
    /// Of those who were inside at `since` or came later; no more than the last `most`, however many came.
    #[must_use]
    pub fn new(since: Option<Timestamp>, most: usize) -> Self {
        Attendance { since, most, over: Vec::new(), inside: Vec::new() }
    }

    /// Takes the next event of the room. Machines are nobody.
    pub fn note(&mut self, event: &Event) {
        let Some(person) = event.what.person().filter(|person| person.machine.is_none()) else { return };
        let life = event.life.as_deref().unwrap_or_default();
        let time = event.time;
        match &event.what {
            What::OccupantJoined { already_inside, .. } => {
                self.another(life, time);
                self.end(&person.nick, time, Departure::Unseen);
                self.inside.push(begun(life, person, time, *already_inside));
            }
            What::OccupantRenamed { old_nick, .. } => {
                self.another(life, time);
                let nick = old_nick.as_deref().unwrap_or(&person.nick);
                match self.inside.iter_mut().find(|one| *one.person.nick == *nick) {
                    Some(known) => known.person = person.clone(),
                    None => self.inside.push(begun(life, person, time, true)),
                }
            }
            What::OccupantLeft { how, .. } => {
                if !self.inside.iter().any(|one| *one.life == *life && one.person.nick == person.nick) {
                    self.inside.push(begun(life, person, time, true));
                }
                self.end(&person.nick, time, *how);
            }
            _ => {}
        }
    }

    /// All of them by when they came; whoever is inside was so until `now`.
    #[must_use]
    pub fn finish(self, now: Timestamp) -> Vec<Attended> {
        let Attendance { mut over, inside, most, .. } = self;
        over.extend(inside);
        latest(&mut over, most);
        for one in &mut over {
            let end = one.went.unwrap_or(now);
            one.seconds = end.duration_since(one.came).as_secs().max(0);
        }
        over
    }

    /// Nobody of an earlier life is inside any more.
    fn another(&mut self, life: &str, time: Timestamp) {
        let gone: Vec<Attended> = self.inside.extract_if(.., |one| *one.life != *life).collect();
        gone.into_iter().for_each(|one| self.went(one, time, Departure::Unseen));
    }

    fn end(&mut self, nick: &str, time: Timestamp, how: Departure) {
        let Some(at) = self.inside.iter().position(|one| *one.person.nick == *nick) else { return };
        let one = self.inside.swap_remove(at);
        self.went(one, time, how);
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

/// Those who came last, in that order.
fn latest(over: &mut Vec<Attended>, most: usize) {
    over.sort_by_key(|one| one.came);
    over.drain(..over.len().saturating_sub(most));
}

fn begun(life: &str, person: &Person, came: Timestamp, came_earlier: bool) -> Attended {
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
            attendance.note(&Event::new(number.into(), at(minute), "meet", Some("tavern"), Some(life), what));
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
            attendance.note(&Event::new(7.into(), at(minute), "meet", Some("tavern"), Some(life), what));
            assert!(attendance.over.len() < 6, "{}", attendance.over.len());
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
