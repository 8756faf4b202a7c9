//! `status`: the daemon as a whole.

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::print::{Paint, facts, next, span, table};
use super::{Ask, Outcome};
use crate::command::{Command, Reply, StatusReply};

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    ask: Ask,
}

impl Status {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::Status, |reply, as_json| match reply {
            Reply::Status(status) if as_json => Some(json(status)),
            Reply::Status(status) => Some(show(status, Timestamp::now(), Paint::of_stdout())),
            _ => None,
        })
    }
}

fn show(status: &StatusReply, now: Timestamp, paint: Paint) -> String {
    let states: Vec<String> = status.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut text = facts(&[
        ("innkeeper", format!("{}, process {}, up {}", status.version, status.pid, span(&status.started, now))),
        (
            "rooms",
            format!("{} wanted; {}", status.wanted, if states.is_empty() { "none".into() } else { states.join(", ") }),
        ),
        ("configuration", status.configuration.clone()),
        ("memory", format!("{:.1} MiB", status.rss_bytes as f64 / 1_048_576.0)),
        ("bad stanzas", if status.bad_stanzas == 0 { String::new() } else { status.bad_stanzas.to_string() }),
        (
            "not recorded",
            status.events_lost_why.as_ref().map_or_else(String::new, |why| {
                format!("{} events since the start, the last one {why}", status.events_lost)
            }),
        ),
    ]);
    let rows: Vec<Vec<String>> = status
        .services
        .iter()
        .map(|service| {
            let cause =
                if service.cause.is_empty() { String::new() } else { format!("{}: {}", service.cause, service.text) };
            vec![
                service.name.clone(),
                service.state.clone(),
                format!("{}/{}", service.sessions_online, service.sessions),
                service.focus.clone(),
                service.mechanism.clone(),
                service.pace.clone(),
                cause,
                next("", service.next_at.as_deref(), now),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        let head = ["SERVICE", "STATE", "SESSIONS", "FOCUS", "LOGIN", "PACE", "CAUSE", "NEXT"];
        text.push_str(&table(&head, &rows, paint));
    }
    text
}
