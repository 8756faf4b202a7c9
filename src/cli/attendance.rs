//! `attendance`: who was in a room, when and for how long.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::events::time;
use super::print::{Paint, table};
use super::{Ask, Outcome};
use crate::attendance::Attended;
use crate::command::{AttendanceQuery, Command, Reply};

#[derive(Debug, Args)]
pub(super) struct AttendanceOf {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// In this life of the room, as events name it
    #[arg(long, value_name = "ID")]
    life: Option<String>,
    /// Of those inside then or later: a time of RFC 3339, or so long ago, as 2h; a day, when no life is named
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Print comma-separated values (RFC 4180)
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    ask: Ask,
}

impl AttendanceOf {
    pub(super) fn go(self) -> Outcome {
        let AttendanceOf { room, life, since, csv, ask } = self;
        ask.show(&Command::Attendance(AttendanceQuery { room, life, since }), |reply, as_json| {
            let Reply::Attendance { attended, .. } = reply else { return None };
            Some(match (as_json, csv) {
                (true, _) => json(attended),
                (false, true) => values(attended),
                (false, false) => show(attended),
            })
        })
    }
}

fn show(attended: &[Attended]) -> String {
    let rows: Vec<Vec<String>> = attended
        .iter()
        .map(|one| {
            let earlier = if one.came_earlier { " or before" } else { "" };
            let seconds = u64::try_from(one.seconds).unwrap_or(0);
            vec![
                one.life.to_string(),
                one.person.display_name.as_deref().unwrap_or(&one.person.nick).to_owned(),
                one.person.account().unwrap_or_default().to_owned(),
                format!("{}{earlier}", second(one.came)),
                one.went.map_or_else(|| "inside".to_owned(), second),
                humantime::format_duration(Duration::from_secs(seconds)).to_string(),
                how(one),
            ]
        })
        .collect();
    table(&["LIFE", "WHO", "ACCOUNT", "CAME", "WENT", "FOR", "HOW"], &rows, Paint::of_stdout())
}

/// Source: RFC 4180 §2 "Definition of the CSV Format".
fn values(attended: &[Attended]) -> String {
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

/// The word of events.
fn how(one: &Attended) -> String {
    let word = one.how.and_then(|how| serde_json::to_value(how).ok());
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

fn second(time: Timestamp) -> String {
    time.round(jiff::Unit::Second).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Departure, Person};

    #[test]
    fn a_name_is_one_field_whatever_is_in_it() {
        let person = Person { nick: "a\"b,c".into(), display_name: Some("=1+1".into()), ..Person::default() };
        let came = Timestamp::from_second(60).expect("near 1970");
        let went = Some(Timestamp::from_second(90).expect("near 1970"));
        let (life, how) = ("x".into(), Some(Departure::NotMember));
        let one = Attended { life, person, came, came_earlier: false, went, how, seconds: 30 };
        let text = values(&[one]);
        let row = "x,\"a\"\"b,c\",'=1+1,,1970-01-01T00:01:00Z,false,1970-01-01T00:01:30Z,30,not-member\r\n";
        assert_eq!(text.split_once("\r\n").map(|(_, rows)| rows), Some(row));
    }
}
