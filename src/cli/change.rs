//! `hold`, `release`, `suspend`, `reload`: what changes something.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::{Ask, Outcome};
use crate::booking::Times;
use crate::command::{Command, Plan, Reply};
use crate::telemetry::text::printable;

/// What the three verbs have in common.
#[derive(Debug, Args)]
struct About {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Hold {
    #[command(flatten)]
    about: About,
    /// Book it: the meeting begins then, a time of RFC 3339 such as 2026-03-01T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Book it: then the meeting is ended for everybody and the room released
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Open it so much earlier than it begins; 10m when left out
    #[arg(long, value_name = "DURATION", value_parser = early)]
    early: Option<Duration>,
    /// Its subject while it is booked
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Release {
    #[command(flatten)]
    about: About,
}

#[derive(Debug, Args)]
pub(super) struct Suspend {
    #[command(flatten)]
    about: About,
    /// Hold it again after this long, `30m` or `2h`; else when somebody says `hold`
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Reload {
    /// Only print what would be held, changed and released
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    ask: Ask,
}

/// A time of RFC 3339.
fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "a time of RFC 3339 such as 2026-03-01T18:00:00Z is expected".to_owned())
}

/// A duration, which may be none at all.
fn early(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a duration such as 10m or 1h is expected".to_owned())
}

/// A duration of at least a second.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        Ok(_) => Err("less than a second".to_owned()),
        Err(_) => Err("a duration such as 30m or 2h is expected".to_owned()),
    }
}

impl Hold {
    pub(super) fn go(self) -> Outcome {
        let Hold { about: About { room, reason, ask }, from, until, early, title } = self;
        let times = Times { from, until, early_seconds: early.map(|early| early.as_secs()), title };
        done(&ask, &Command::Hold { room, reason, times })
    }
}

impl Release {
    pub(super) fn go(self) -> Outcome {
        let About { room, reason, ask } = self.about;
        done(&ask, &Command::Release { room, reason })
    }
}

impl Suspend {
    pub(super) fn go(self) -> Outcome {
        let About { room, reason, ask } = self.about;
        done(&ask, &Command::Suspend { room, for_seconds: self.time.map(|time| time.as_secs()), reason })
    }
}

fn done(ask: &Ask, command: &Command) -> Outcome {
    ask.show(command, |reply, as_json| match reply {
        Reply::Done { text, room } if as_json => Some(json(&serde_json::json!({ "text": text, "room": room }))),
        Reply::Done { text, .. } => Some(format!("{}\n", printable(text))),
        _ => None,
    })
}

impl Reload {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::Reload { plan: self.plan }, |reply, as_json| match reply {
            Reply::Reload(plan) if as_json => Some(json(plan)),
            Reply::Reload(plan) => Some(show(plan)),
            _ => None,
        })
    }
}

fn show(plan: &Plan) -> String {
    let mut text = String::new();
    let verbs = if plan.applied {
        ["held", "changed", "released", "connected again"]
    } else {
        ["would hold", "would change", "would release", "would connect again"]
    };
    for (verb, items) in verbs.iter().zip([&plan.hold, &plan.change, &plan.release, &plan.reconnect]) {
        for item in items {
            text.push_str(&format!("{verb}: {}\n", printable(item)));
        }
    }
    if text.is_empty() {
        text.push_str("nothing changes\n");
    }
    if plan.unchanged > 0 {
        let rooms = if plan.unchanged == 1 { "room stays" } else { "rooms stay" };
        text.push_str(&format!("{} {rooms} untouched\n", plan.unchanged));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("warning: {}\n", printable(warning)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_line_by_line() {
        let plan =
            Plan { hold: vec!["meet/a".into()], release: vec!["meet/b".into()], unchanged: 3, ..Plan::default() };
        assert_eq!(show(&plan), "would hold: meet/a\nwould release: meet/b\n3 rooms stay untouched\n");
        assert_eq!(show(&Plan::default()), "nothing changes\n");
    }
}
