//! `events`: what happened, and what happens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::ask::json;
use super::print::{self, Paint, table};
use super::{Ask, Exit, Outcome, input};
use crate::action::Actor;
use crate::command::{Command, EventsQuery, FollowQuery, Reply};
use crate::control;
use crate::event::{Event, EventId};
use crate::telemetry::text::printable;

/// How long an event takes to its place in the record, at most.
const LATELY: Duration = Duration::from_secs(10);

/// The longest name of a kind that people read often: `action.requested`.
const KIND_WIDTH: usize = 16;

/// Most of the lines of an import in one request, bytes: what the socket takes, escaped as JSON, is twice as much.
const IMPORT_BYTES: usize = 24 * 1024;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Events {
    #[command(subcommand)]
    verb: Option<EventsVerb>,
    /// Of this room only: its name, or SERVICE/NAME
    #[arg(value_name = "ROOM")]
    room: Option<String>,
    /// Of these kinds only, as room.lost,occupant.*
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// About whoever had this nick, display name, account or occupant id
    #[arg(long, value_name = "PERSON")]
    who: Option<String>,
    /// From then on: a time of RFC 3339, or so long ago, as 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// At most so many of the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on with what happens, until interrupted; with --json one event a line
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Subcommand)]
enum EventsVerb {
    /// Write all that is recorded, one JSON object a line, oldest first
    Export {
        /// Of this room only: its name, or SERVICE/NAME
        #[arg(value_name = "ROOM")]
        room: Option<String>,
        /// From then on
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Timestamp>,
        /// Before then
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Add the events of a file that `export` wrote, older than what is recorded here
    Import {
        /// The file; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        ask: Ask,
    },
}

impl EventsVerb {
    fn go(self) -> Outcome {
        match self {
            EventsVerb::Export { room, since, until, ask } => {
                let query = EventsQuery { room, since, until, limit: Some(1_000), ..EventsQuery::default() };
                export(query, &ask)
            }
            EventsVerb::Import { file, ask } => match read(&file) {
                Ok(lines) => import(&lines, &ask),
                Err(what) => {
                    print::err(&format!("innkeeper: {}", printable(&what)));
                    Ok(Exit::Failed)
                }
            },
        }
    }
}

/// Page after page, until one is empty.
fn export(mut query: EventsQuery, ask: &Ask) -> Outcome {
    query.after = Some(0);
    loop {
        let mut page = None;
        let exit = ask.show(&Command::Events(query.clone()), |reply, _| {
            let Reply::Events(reply) = reply else { return None };
            page = reply.next;
            Some(lines(&reply.events))
        })?;
        if exit != Exit::Done || page == query.after {
            return Ok(exit);
        }
        query.after = page;
    }
}

/// The lines of a file, all of which are events.
fn read(file: &Path) -> Result<Vec<String>, String> {
    let text = input::text(Some(file), u64::MAX)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(at, line)| {
        let event = serde_json::from_str::<Event>(line);
        event
            .map(|_| line.to_owned())
            .map_err(|error| format!("{}: line {}: {error}", input::place(Some(file)), at + 1))
    });
    lines.collect()
}

/// As many lines at a time as one request takes.
fn import(lines: &[String], ask: &Ask) -> Outcome {
    let (mut new, mut known, mut exit, mut rest) = (0, 0, Exit::Done, lines);
    while !rest.is_empty() && exit == Exit::Done {
        let mut bytes = 0;
        let fit = rest.iter().take_while(|line| {
            bytes += line.len() + 1;
            bytes <= IMPORT_BYTES
        });
        let (now, later) = rest.split_at(fit.count().max(1));
        exit = ask.show(&Command::ImportEvents { lines: now.join("\n") }, |reply, _| {
            let Reply::Imported { new: more, known: before } = reply else { return None };
            (new, known) = (new + more, known + before);
            Some(String::new())
        })?;
        rest = later;
    }
    if ask.json {
        print::out(&json(&serde_json::json!({ "new": new, "known": known })));
    } else {
        print::out(&format!("{new} events taken in, {known} were here already\n"));
    }
    Ok(exit)
}

/// To the millisecond, each as wide as the others.
fn moment(time: String) -> String {
    time.parse::<Timestamp>().map_or(time, |time| format!("{time:.3}"))
}

/// A time of RFC 3339, or so long ago.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).map_err(|_| "a time of RFC 3339 or a duration such as 2h is expected")?;
    let ago = jiff::SignedDuration::try_from(ago).map_err(|error| error.to_string())?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

impl Events {
    pub(super) fn go(self) -> Outcome {
        let Events { verb, room, kind, who, since, until, limit, follow, ask } = self;
        if let Some(verb) = verb {
            return verb.go();
        }
        let query = EventsQuery { room, kind, who, since, until, limit: Some(limit), ..EventsQuery::default() };
        let mut next = None;
        let exit = ask.show(&Command::Events(query.clone()), |reply, as_json| {
            let Reply::Events(reply) = reply else { return None };
            next = reply.next;
            Some(match (as_json, follow) {
                (true, false) => json(reply),
                (true, true) => lines(&reply.events),
                (false, _) => show(&reply.events, true),
            })
        })?;
        if !follow || exit != Exit::Done {
            return Ok(exit);
        }
        let EventsQuery { service, room, kind, who, .. } = query;
        // Where nothing was recorded yet, what happened in the meantime may be on its way to the record.
        let lately = || EventId::default().next(Timestamp::now().saturating_sub(LATELY).unwrap_or_default()).number();
        let after = Some(next.unwrap_or_else(lately));
        let mut exit = Exit::Done;
        control::follow(&ask.socket, &Command::Follow(FollowQuery { service, room, kind, who, after }), |reply| {
            match reply {
                Reply::Event { event } if ask.json => print::out(&lines(&[event])),
                Reply::Event { event } => print::out(&show(&[event], false)),
                Reply::Gap { text } => print::err(&format!("innkeeper: {}", printable(&text))),
                Reply::Refused { error, text } => {
                    ask.refused(&error, &text);
                    exit = Exit::Failed;
                }
                _ => exit = Exit::Failed,
            }
            exit == Exit::Done
        })?;
        Ok(exit)
    }
}

/// One event a line.
fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// A table; with its head, and aligned, only where `head` says so.
fn show(events: &[Value], head: bool) -> String {
    let word = |event: &Value, key: &str| printable(event[key].as_str().unwrap_or_default()).into_owned();
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let room = match (word(event, "service"), word(event, "room")) {
                (service, room) if room.is_empty() => service,
                (service, room) => format!("{service}/{room}"),
            };
            vec![moment(word(event, "time")), room, word(event, "kind"), about(event)]
        })
        .collect();
    if head {
        return table(&["TIME", "ROOM", "KIND", "WHAT"], &rows, Paint::of_stdout());
    }
    // Whatever comes later stands in one column as well, where rooms' names allow.
    let line = |row: &Vec<String>| format!("{}  {}  {:KIND_WIDTH$}  {}", row[0], row[1], row[2], row[3]);
    rows.iter().map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

/// Whom it is about and why, in a few words.
fn about(event: &Value) -> String {
    let person = &event["person"];
    let word = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let name = word(&person["display_name"]).filter(|name| event["action"].is_null() && person["nick"] != **name);
    let nick = word(&person["nick"]).filter(|_| event["action"].is_null());
    let rest = [&event["rule"], &event["setting"], &event["text"], &event["reason"]].map(word);
    let said: Vec<_> = [name, nick, deed(event)].into_iter().chain(rest).flatten().collect();
    printable(&said.join(", ")).into_owned()
}

/// An action, of whom, and for whom.
fn deed(event: &Value) -> Option<String> {
    let mut text = event["action"].as_str()?.to_owned();
    if let Some(target) = event["target"].as_str() {
        text = format!("{text} of {target}");
    }
    match Actor::deserialize(&event["actor"]) {
        Ok(actor) => Some(format!("{text} for {actor}")),
        // Of a later version.
        Err(_) => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_harm() {
        let event = serde_json::json!({
            "time": "T", "service": "meet", "room": "a", "kind": "room.lost", "text": "gone\u{1b}",
        });
        assert_eq!(show(&[event], false), "T  meet/a  room.lost         gone\\u{1b}\n");
    }

    #[test]
    fn an_action_is_told_with_whom_it_is_about_and_for_whom_it_is() {
        let event = serde_json::json!({
            "kind": "action.refused", "action": "kick", "target": "tom", "actor": { "kind": "command-line", "uid": 0 },
            "person": { "nick": "tom" }, "text": "he left",
        });
        assert_eq!(about(&event), "kick of tom for uid 0, he left");
        let joined = |name: &str| about(&serde_json::json!({ "person": { "display_name": name, "nick": "b0b" } }));
        assert_eq!((joined("Bob"), joined("b0b")), ("Bob, b0b".to_owned(), "b0b".to_owned()));
    }

    #[test]
    fn moments_are_equally_wide() {
        assert_eq!(moment("2026-03-01T10:00:00.19Z".to_owned()), "2026-03-01T10:00:00.190Z");
        assert_eq!(moment("T".to_owned()), "T");
    }

    #[test]
    fn a_time_is_a_time_or_so_long_ago() {
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(Timestamp::from_second(60).expect("near")));
        assert!(time("2h").is_ok_and(|time| time < Timestamp::now()) && time("yesterday").is_err());
    }
}
