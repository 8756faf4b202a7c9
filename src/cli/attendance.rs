//! `attendance`: who was in a room, when and for how long.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::events::time;
use super::print::{Paint, table};
use super::{Ask, Outcome};
use crate::attendance::{Attended, csv, how};
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
        let AttendanceOf { room, life, since, csv: as_csv, ask } = self;
        ask.show(&Command::Attendance(AttendanceQuery { room, life, since }), |reply, as_json| {
            let Reply::Attendance { attended, .. } = reply else { return None };
            Some(match (as_json, as_csv) {
                (true, _) => json(attended),
                (false, true) => csv(attended),
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
                one.person.display_name.as_deref().unwrap_or(&one.person.nick).to_owned(),
                one.person.account().unwrap_or_default().to_owned(),
                format!("{}{earlier}", second(one.came)),
                one.went.map_or_else(|| "inside".to_owned(), second),
                humantime::format_duration(Duration::from_secs(seconds)).to_string(),
                how(one),
                one.life.to_string(),
            ]
        })
        .collect();
    table(&["WHO", "ACCOUNT", "CAME", "WENT", "FOR", "HOW", "LIFE"], &rows, Paint::of_stdout())
}

fn second(time: Timestamp) -> String {
    time.round(jiff::Unit::Second).unwrap_or(time).to_string()
}
