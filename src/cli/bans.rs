//! `ban`, `unban`, `bans`, `exempt`, `why ban`: who is kept out, and who never is.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ask::json;
use super::change::duration;
use super::print::{self, Paint, table};
use super::{Ask, Exit, Outcome, input};
use crate::command::{BanRow, Command, Reply};
use crate::telemetry::text::printable;

#[derive(Debug, Args)]
pub(super) struct Ban {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// A nick or display name, a bare JID, a domain, or a key such as name:NAME
    #[arg(value_name = "WHO")]
    who: String,
    /// For this long, `30m` or `2h`; else for good
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
    /// What they are told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What only admins read
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// From all rooms of all services
    #[arg(long, conflicts_with = "rooms")]
    everywhere: bool,
    /// From the rooms of the service that fit this pattern
    #[arg(long, value_name = "PATTERN")]
    rooms: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Unban {
    /// A ban's number, or whom it matches as `bans` writes it
    #[arg(value_name = "ID|WHO")]
    who: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Bans {
    #[command(subcommand)]
    verb: Option<BansVerb>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Subcommand)]
enum BansVerb {
    /// Write all bans, one JSON object a line
    Export {
        #[command(flatten)]
        ask: Ask,
    },
    /// Add the bans of a file that `export` wrote
    Import {
        /// The file; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        ask: Ask,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Exempt {
    /// Never ban or judge an account
    Add(ExemptWho),
    /// Judge it again
    Remove(ExemptWho),
    /// List who is exempt by command
    List {
        #[command(flatten)]
        ask: Ask,
    },
}

#[derive(Debug, Args)]
pub(super) struct ExemptWho {
    /// A bare JID, a pattern such as *@staff.example, or token:USER
    #[arg(value_name = "WHO")]
    who: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct WhyBan {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// A nick or display name, or a bare JID
    #[arg(value_name = "WHO")]
    who: String,
    #[command(flatten)]
    ask: Ask,
}

impl Ban {
    pub(super) fn go(self) -> Outcome {
        let Ban { room, who, time, reason, note, everywhere, rooms, ask } = self;
        let for_seconds = time.map(|time| time.as_secs());
        banned(&ask, &Command::Ban { room, who, for_seconds, reason, note, everywhere, rooms })
    }
}

impl Unban {
    pub(super) fn go(self) -> Outcome {
        banned(&self.ask, &Command::Unban { who: self.who })
    }
}

impl Bans {
    pub(super) fn go(self) -> Outcome {
        match self.verb {
            None => self.ask.show(&Command::Bans, |reply, as_json| match reply {
                Reply::Bans { bans, exempt } if as_json => {
                    Some(json(&serde_json::json!({ "bans": bans, "exempt": exempt })))
                }
                Reply::Bans { bans, .. } => Some(list(bans, Paint::of_stdout())),
                _ => None,
            }),
            Some(BansVerb::Export { ask }) => ask.show(&Command::Bans, |reply, _| match reply {
                Reply::Bans { bans, .. } => Some(BanRow::export(bans)),
                _ => None,
            }),
            Some(BansVerb::Import { file, ask }) => match input::text(Some(&file), u64::MAX) {
                Ok(lines) => banned(&ask, &Command::ImportBans { lines }),
                Err(what) => {
                    print::err(&format!("innkeeper: {}", printable(&what)));
                    Ok(Exit::Failed)
                }
            },
        }
    }
}

impl Exempt {
    pub(super) fn go(self) -> Outcome {
        match self {
            Exempt::Add(ExemptWho { who, ask }) => banned(&ask, &Command::Exempt { who, on: true }),
            Exempt::Remove(ExemptWho { who, ask }) => banned(&ask, &Command::Exempt { who, on: false }),
            Exempt::List { ask } => ask.show(&Command::Bans, |reply, as_json| match reply {
                Reply::Bans { exempt, .. } if as_json => Some(json(exempt)),
                Reply::Bans { exempt, .. } => {
                    Some(exempt.iter().map(|who| printable(who).to_string() + "\n").collect())
                }
                _ => None,
            }),
        }
    }
}

impl WhyBan {
    pub(super) fn go(self) -> Outcome {
        let WhyBan { room, who, ask } = self;
        ask.show(&Command::WhyBan { room, who }, |reply, as_json| match reply {
            Reply::WhyBan { text, ban } if as_json => Some(json(&serde_json::json!({ "text": text, "ban": ban }))),
            Reply::WhyBan { text, .. } => Some(format!("{}\n", printable(text))),
            _ => None,
        })
    }
}

fn banned(ask: &Ask, command: &Command) -> Outcome {
    ask.show(command, |reply, as_json| match reply {
        Reply::Banned { text, bans } if as_json => Some(json(&serde_json::json!({ "text": text, "bans": bans }))),
        Reply::Banned { text, .. } => Some(format!("{}\n", printable(text))),
        _ => None,
    })
}

fn list(bans: &[BanRow], paint: Paint) -> String {
    let time = |time: Option<jiff::Timestamp>| {
        time.map_or_else(|| "for good".to_owned(), |time| time.round(jiff::Unit::Second).unwrap_or(time).to_string())
    };
    let rows: Vec<Vec<String>> = bans
        .iter()
        .map(|row| {
            let ban = &row.ban;
            let rooms = match (&ban.service, &ban.rooms) {
                (None, None) => "everywhere".to_owned(),
                (service, rooms) => {
                    let rooms = rooms.as_ref().map_or("*", |rooms| rooms.as_str());
                    format!("{}/{rooms}", service.as_deref().unwrap_or("*"))
                }
            };
            vec![
                row.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                printable(&row.who).to_string(),
                printable(&ban.known_as).to_string(),
                row.strength.clone(),
                printable(&rooms).to_string(),
                time(ban.until),
                printable(&ban.by).to_string(),
                printable(&ban.reason).to_string(),
            ]
        })
        .collect();
    table(&["ID", "WHO", "KNOWN AS", "HOLDS", "ROOMS", "UNTIL", "BY", "REASON"], &rows, paint)
}
