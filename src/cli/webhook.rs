//! `webhook`: who is told by HTTP what happens, and how it is with them.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::ask::json;
use super::events::time;
use super::print::{Paint, facts, next, table};
use super::{Ask, Exit, Outcome};
use crate::command::{Command, Reply, WebhookRow, WebhookTrial, WebhookTrialRow};
use crate::telemetry::text::printable;

#[derive(Debug, Subcommand)]
pub(super) enum Webhook {
    /// Show each receiver: whether it takes events, how far it is behind, what it would not take
    Status(Status),
    /// Send a receiver a signed sample of each kind; print what was signed and what it answers
    Test(Test),
    /// Send again: what happened since a time, dead letters, or else the events of rooms that are parked
    Replay(Replay),
    /// Give up on events that wait
    Skip(Skip),
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The receiver's name in the configuration
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The receiver's name in the configuration
    #[arg(value_name = "TARGET")]
    target: String,
    /// Of this room only
    #[arg(value_name = "ROOM")]
    room: Option<String>,
    /// What happened since then: a time of RFC 3339, or so long ago, as 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// What it would not take
    #[arg(long, conflicts_with_all = ["since", "room"])]
    dead: bool,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Skip {
    /// The receiver's name in the configuration
    #[arg(value_name = "TARGET")]
    target: String,
    /// Of this room only
    #[arg(value_name = "ROOM")]
    room: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

impl Webhook {
    pub(super) fn go(self) -> Outcome {
        match self {
            Webhook::Status(Status { ask }) => ask.show(&Command::Webhooks, |reply, as_json| match reply {
                Reply::Webhooks { webhooks } if as_json => Some(json(webhooks)),
                Reply::Webhooks { webhooks } => Some(show(webhooks, Timestamp::now(), Paint::of_stdout())),
                _ => None,
            }),
            Webhook::Test(Test { target, ask }) => {
                let mut all = true;
                let exit = ask.show(&Command::WebhookTest { target }, |reply, as_json| {
                    let Reply::WebhookTested(trial) = reply else { return None };
                    all = trial.rows.iter().all(well);
                    Some(if as_json { json(trial) } else { tried(trial) })
                })?;
                Ok(if all { exit } else { Exit::Failed })
            }
            Webhook::Replay(Replay { target, room, since, dead, ask }) => {
                done(&ask, &Command::WebhookReplay { target, room, since, dead })
            }
            Webhook::Skip(Skip { target, room, ask }) => done(&ask, &Command::WebhookSkip { target, room }),
        }
    }
}

fn done(ask: &Ask, command: &Command) -> Outcome {
    ask.show(command, |reply, as_json| match reply {
        Reply::WebhookDone { text } if as_json => Some(json(&serde_json::json!({ "text": text }))),
        Reply::WebhookDone { text } => Some(format!("{}\n", printable(text))),
        _ => None,
    })
}

fn show(webhooks: &[WebhookRow], now: Timestamp, paint: Paint) -> String {
    let rows: Vec<Vec<String>> = webhooks
        .iter()
        .map(|row| {
            let behind = match row.behind_seconds {
                0 => String::new(),
                seconds => humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string(),
            };
            let parked = row.parked.iter().map(|room| format!("parked {room}"));
            let lost = row.lost_from.iter().zip(&row.lost_until).map(|(from, until)| {
                format!("lost to keep_events or keep_events_size: what was left of {from} to {until}")
            });
            let why = Some(row.why.clone()).filter(|why| !why.is_empty()).into_iter();
            let why: Vec<_> = why.chain(lost).chain(parked).collect();
            let count = |count: u64| if count == 0 { String::new() } else { count.to_string() };
            vec![
                row.name.clone(),
                row.state.clone(),
                row.dialect.clone(),
                row.accepted.to_string(),
                behind,
                count(row.dead),
                count(row.skipped),
                printable(&why.join("; ")).into_owned(),
                next("", row.next_at.as_deref(), now),
            ]
        })
        .collect();
    let head = ["WEBHOOK", "STATE", "DIALECT", "ACCEPTED", "BEHIND", "DEAD", "SKIPPED", "WHY", "NEXT"];
    table(&head, &rows, paint)
}

fn tried(trial: &WebhookTrial) -> String {
    let mut text = String::new();
    for remark in &trial.remarks {
        text.push_str(&format!("{}: {}\n\n", trial.target, printable(remark)));
    }
    // One refusal of all is said once, at the end, where it is read.
    let refused = match trial.rows.as_slice() {
        [first, rest @ ..] if !rest.is_empty() && !well(first) => {
            let same = |row: &WebhookTrialRow| (row.status, &row.answer) == (first.status, &first.answer);
            rest.iter().all(same).then(|| answer(first))
        }
        _ => None,
    };
    for row in &trial.rows {
        text.push_str(&facts(&[
            ("kind", row.kind.clone()),
            ("to", row.url.clone()),
            ("headers", row.headers.join("; ")),
            ("body", printable(&row.body).into_owned()),
            (
                "signed",
                if row.signed == row.body { "the body".to_owned() } else { printable(&row.signed).into_owned() },
            ),
            ("answer", if refused.is_some() { String::new() } else { answer(row) }),
        ]));
        text.push('\n');
    }
    if let Some(answer) = refused {
        text.push_str(&format!("the answer to each of these {}: {answer}\n", trial.rows.len()));
    }
    text
}

/// What the receiver answered, or why nothing came.
fn answer(row: &WebhookTrialRow) -> String {
    match row.status {
        Some(status) => format!("{status} {}", printable(&row.answer)).trim_end().to_owned(),
        None => format!("none: {}", printable(&row.answer)),
    }
}

fn well(row: &WebhookTrialRow) -> bool {
    row.status.is_some_and(|status| (200..300).contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_of_all_samples_is_said_once() {
        let row = |kind: &str, status: Option<u16>, answer: &str| WebhookTrialRow {
            kind: kind.to_owned(),
            url: "https://crm.example/".to_owned(),
            headers: Vec::new(),
            body: "{}".to_owned(),
            signed: "{}".to_owned(),
            status,
            answer: answer.to_owned(),
        };
        let shown =
            |rows: Vec<WebhookTrialRow>| tried(&WebhookTrial { target: "crm".to_owned(), rows, remarks: Vec::new() });
        let refused = |kind| row(kind, None, "connection refused");
        let text = shown(vec![refused("room.held"), refused("room.lost"), refused("room.joined")]);
        assert!(text.ends_with("\nthe answer to each of these 3: none: connection refused\n"), "{text}");
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
        assert!(text.contains("room.held") && text.contains("room.lost"), "{text}");
        // Different answers, good ones, and that of the only sample stand with what was answered.
        let text = shown(vec![refused("room.held"), row("room.lost", Some(401), "who are you")]);
        assert!(text.contains("connection refused") && text.contains("401 who are you"), "{text}");
        assert_eq!(shown(vec![row("a", Some(200), "ok"), row("b", Some(200), "ok")]).matches("200 ok").count(), 2);
        assert!(!shown(vec![refused("room.held")]).contains("each"));
    }

    #[test]
    fn what_was_lost_is_shown_of_a_receiver_that_takes_events_again() {
        let row = |lost: Option<&str>| WebhookRow {
            name: "crm".to_owned(),
            url: "https://crm.example/".to_owned(),
            dialect: "innkeeper".to_owned(),
            state: "up".to_owned(),
            why: String::new(),
            next_at: None,
            behind_seconds: 0,
            accepted: 7,
            skipped: 0,
            lost_from: lost.map(|_| "2026-01-01T00:00:00Z".to_owned()),
            lost_until: lost.map(str::to_owned),
            dead: 0,
            parked: Vec::new(),
            secret_configured: true,
        };
        let shown = |row| show(&[row], Timestamp::UNIX_EPOCH, Paint::off());
        assert!(!shown(row(None)).contains("lost"));
        let text = shown(row(Some("2026-02-02T00:00:00Z")));
        assert!(
            text.contains("keep_events") && text.contains("2026-01-01T00:00:00Z to 2026-02-02T00:00:00Z"),
            "{text}"
        );
        let told: serde_json::Value = serde_json::from_str(&json(&row(Some("2026-02-02T00:00:00Z")))).expect("JSON");
        assert_eq!(told["lost_until"], "2026-02-02T00:00:00Z");
    }
}
