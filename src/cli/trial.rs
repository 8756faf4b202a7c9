//! `rules test` and `rules simulate`: what rules would have done, in a capture and in the record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::json as pretty;
use super::check::complain;
use super::print::{self, Paint, table};
use super::{Ask, CONFIG, Exit, Outcome, capture, events};
use crate::app::{self, Problems};
use crate::command::{Command, EventsQuery, Reply};
use crate::event::{Event, EventId};
use crate::policy::Policies;
use crate::telemetry::text::printable;
use crate::trial::capture as replayed;
use crate::trial::{Hit, record};

#[derive(Debug, Subcommand)]
pub(super) enum Trial {
    /// Replay a capture under rules and say whom they would have hit, when and why; works without a daemon
    Test(Test),
    /// Go through the events that are stored and say whom rules would have hit
    Simulate(Simulate),
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// A HAR file, a list of its messages, or lines; - for standard input
    #[arg(long, value_name = "FILE")]
    capture: PathBuf,
    /// A configuration, or any part of one with a policy; each rule is taken as enforced
    #[arg(long, value_name = "FILE")]
    room_config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// From then on: a time of RFC 3339, or so long ago, as 7d
    #[arg(long, value_name = "TIME", value_parser = events::time)]
    since: Timestamp,
    /// A configuration, or any part of one with a policy, instead of the daemon's own; each rule is taken as enforced
    #[arg(long, value_name = "FILE")]
    room_config: Option<PathBuf>,
    /// The daemon's configuration, whose rules are taken when no other file is named
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    #[command(flatten)]
    ask: Ask,
}

impl Trial {
    pub(super) fn go(self) -> Outcome {
        match self {
            Trial::Test(verb) => Ok(verb.go()),
            Trial::Simulate(verb) => verb.go(),
        }
    }
}

/// Says what is wrong with a file of rules.
fn wrong(problems: &Problems, as_json: bool) -> Exit {
    if as_json {
        print::out(&pretty(&json!({ "ok": false, "problems": problems.problems })));
    } else {
        eprint!("{}", complain(problems, Paint::of_stdout()));
    }
    Exit::Configuration
}

impl Test {
    fn go(self) -> Exit {
        let book = match app::rulebook(&self.room_config) {
            Ok(book) => book,
            Err(problems) => return wrong(&problems, self.json),
        };
        let dialogue = match capture::read(&self.capture) {
            Ok(dialogue) => dialogue,
            Err(complaint) => {
                print::err(&format!("innkeeper: {}", printable(&complaint)));
                return Exit::Failed;
            }
        };
        let trial = replayed::run(&dialogue, &book, Instant::now());
        print::out(&if self.json { pretty(&tested_json(&trial)) } else { tested(&trial, Paint::of_stdout()) });
        Exit::Done
    }
}

impl Simulate {
    fn go(self) -> Outcome {
        let policies = match &self.room_config {
            Some(path) => app::rulebook(path).map(|book| book.policies),
            None => app::load(&self.config, true).map(|config| config.policies),
        };
        let policies: Policies = match policies {
            Ok(policies) => policies,
            Err(problems) => return Ok(wrong(&problems, self.ask.json)),
        };
        let mut trial = record::Trial::new(&policies, Instant::now());
        let (mut hits, mut read, mut strange) = (Vec::new(), 0, 0);
        let kinds: Vec<&str> = record::KINDS.iter().map(|kind| kind.as_str()).collect();
        let mut after = EventId::default().next(self.since).number().saturating_sub(1);
        loop {
            let kind = Some(kinds.join(","));
            let query = EventsQuery { kind, after: Some(after), limit: Some(1_000), ..EventsQuery::default() };
            let mut page = None;
            let exit = self.ask.show(&Command::Events(query), |reply, _| {
                let Reply::Events(reply) = reply else { return None };
                page = Some((reply.events.clone(), reply.next));
                Some(String::new())
            })?;
            let Some((events, next)) = page else { return Ok(exit) };
            for event in events {
                read += 1;
                match serde_json::from_value::<Event>(event) {
                    Ok(event) => trial.event(&event),
                    // Another version's: it is not judged, and said so.
                    Err(_) => strange += 1,
                }
            }
            hits.append(&mut trial.hits());
            match next {
                Some(next) if next > after => after = next,
                _ => break,
            }
        }
        let past = Past { hits, read, strange, trial: &trial };
        print::out(&if self.ask.json { pretty(&past.as_json()) } else { past.show(Paint::of_stdout()) });
        Ok(Exit::Done)
    }
}

/// Whom a hit was about.
fn who(hit: &Hit) -> String {
    let Some(person) = &hit.person else { return "the room".to_owned() };
    match &person.display_name {
        Some(name) => format!("{name} ({})", person.nick),
        None => person.nick.to_string(),
    }
}

/// What was seen, and what they would have been told.
fn why(hit: &Hit) -> String {
    let parts = [&hit.note, &hit.reason].into_iter().filter(|part| !part.is_empty());
    parts.map(|part| &**part).collect::<Vec<_>>().join("; told: ")
}

fn hits(hits: &[Hit], when: impl Fn(&Hit) -> String, paint: Paint) -> String {
    if hits.is_empty() {
        return "no rule would have done anything\n".to_owned();
    }
    let row = |hit: &Hit| {
        vec![when(hit), hit.room.to_string(), who(hit), hit.rule.to_string(), hit.verdict.to_string(), why(hit)]
    };
    let rows: Vec<Vec<String>> = hits.iter().map(row).collect();
    table(&["WHEN", "ROOM", "WHO", "RULE", "STEP", "WHY"], &rows, paint)
}

/// `flood 3, words 1`, by rule.
fn counts(hits: &[Hit]) -> String {
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for hit in hits {
        *by_rule.entry(&hit.rule).or_default() += 1;
    }
    by_rule.iter().map(|(rule, times)| format!("{rule} {times}")).collect::<Vec<_>>().join(", ")
}

fn number(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn since(trial: &replayed::Trial, hit: &Hit) -> f64 {
    hit.time.duration_since(trial.begins.unwrap_or(Timestamp::UNIX_EPOCH)).as_secs_f64()
}

/// What a reader of the result must know.
fn remarks(trial: &replayed::Trial) -> Vec<String> {
    let mut remarks = Vec::new();
    let entered = |seen: &&replayed::Seen| !seen.keeper.is_empty();
    if !trial.rooms.values().any(|seen| entered(&seen)) {
        let text =
            "the capture shows nobody who gets into a room that a policy covers: no rule had anything to look at";
        remarks.push(text.to_owned());
    }
    for (room, _) in trial.rooms.iter().filter(|(_, seen)| seen.rules.is_none()) {
        remarks.push(format!("{room}: no [[policy]] covers it"));
    }
    let uses = |rule: &str| trial.rooms.values().any(|seen| seen.rules.iter().flatten().any(|used| *used == rule));
    if trial.begins.is_none() && uses("hours") {
        remarks
            .push("the capture does not say when it was taken: hours are judged as of 1970-01-01T00:00:00Z".to_owned());
    }
    if trial.masked > 0 {
        let messages = number(trial.masked, "message", "messages");
        let text = format!("the text of {messages} is masked: rules that read text found nothing in them");
        remarks.push(text);
    }
    remarks
}

fn tested(trial: &replayed::Trial, paint: Paint) -> String {
    let mut text = String::new();
    for (room, seen) in trial.rooms.iter().filter(|(_, seen)| !seen.keeper.is_empty()) {
        let Some(rules) = &seen.rules else { continue };
        let line = format!(
            "{room}: {}, {}, judged by {}; {} recorded it and is taken for the keeper",
            number(seen.people, "person", "people"),
            number(seen.messages, "message", "messages"),
            rules.join(", "),
            seen.keeper,
        );
        text.push_str(&printable(&line));
        text.push('\n');
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let when = |hit: &Hit| match trial.begins {
        Some(_) => hit.time.to_string(),
        None => format!("{:.1} s", since(trial, hit)),
    };
    text.push_str(&hits(&trial.hits, when, paint));
    if !trial.hits.is_empty() {
        text.push_str(&format!("\n{}\n", counts(&trial.hits)));
    }
    for remark in remarks(trial) {
        text.push_str(&format!("note: {}\n", printable(&remark)));
    }
    text
}

fn tested_json(trial: &replayed::Trial) -> Value {
    let hits = trial.hits.iter().map(|hit| {
        let mut value = serde_json::to_value(hit).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.insert("at".to_owned(), json!(since(trial, hit)));
            if trial.begins.is_none() {
                fields.remove("time");
            }
        }
        value
    });
    let rooms = trial.rooms.iter().map(|(room, seen)| {
        json!({
            "room": room,
            "keeper": seen.keeper,
            "rules": seen.rules,
            "people": seen.people,
            "messages": seen.messages,
        })
    });
    json!({
        "ok": true,
        "begins": trial.begins.map(|begins| begins.to_string()),
        "rooms": rooms.collect::<Vec<_>>(),
        "hits": hits.collect::<Vec<_>>(),
        "masked": trial.masked,
        "notes": remarks(trial),
    })
}

/// What came of the record.
struct Past<'a> {
    hits: Vec<Hit>,
    read: usize,
    strange: usize,
    trial: &'a record::Trial<'a>,
}

impl Past<'_> {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let messages = self.trial.judged().map(|judged| judged.without_text).max().unwrap_or(0);
        if messages > 0 {
            let text = "and store_text = true in a room lets rules that read it be simulated from then on";
            let messages = number(messages, "message", "messages");
            notes.push(format!("the text of {messages} is not stored, so that no rule could read it; {text}"));
        }
        if self.trial.uncovered() > 0 {
            let events = number(self.trial.uncovered(), "event is", "events are");
            notes.push(format!("{events} of rooms that no [[policy]] covers"));
        }
        if self.strange > 0 {
            let events = number(self.strange, "event is", "events are");
            notes.push(format!("{events} of another version and could not be read"));
        }
        notes
    }

    fn show(&self, paint: Paint) -> String {
        let mut text = hits(&self.hits, |hit| hit.time.to_string(), paint);
        let rows: Vec<Vec<String>> = self
            .trial
            .judged()
            .map(|judged| {
                let hits = self.hits.iter().filter(|hit| *hit.rule == *judged.rule).count();
                let skipped = judged.without_text;
                let gap = judged.gap.unwrap_or_default().to_owned();
                vec![judged.rule.to_owned(), hits.to_string(), judged.events.to_string(), skipped.to_string(), gap]
            })
            .collect();
        text.push_str(&format!("\n{} read\n", number(self.read, "event", "events")));
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&table(&["RULE", "HITS", "JUDGED", "WITHOUT TEXT", "WHAT THE RECORD LACKS"], &rows, paint));
        }
        for note in self.notes() {
            text.push_str(&format!("note: {}\n", printable(&note)));
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "ok": true,
            "events": self.read,
            "unreadable": self.strange,
            "uncovered": self.trial.uncovered(),
            "hits": self.hits,
            "rules": self.trial.judged().collect::<Vec<_>>(),
            "notes": self.notes(),
        })
    }
}
