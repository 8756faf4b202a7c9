//! `who-can`, `password`, `why lobby`, `why moderator`, `why removed`: who could do what, and why things are as they are.

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::print::{Paint, table, when};
use super::{Ask, Outcome};
use crate::command::{Command, Explanation, Reply, WhoCanReply};
use crate::config::Secret;
use crate::telemetry::text::printable;

#[derive(Debug, Args)]
pub(super) struct OfRoom {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct OfPerson {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// A nick, a display name or a bare JID
    #[arg(value_name = "WHO")]
    who: String,
    #[command(flatten)]
    ask: Ask,
}

impl OfRoom {
    pub(super) fn who_can(self) -> Outcome {
        self.ask.show(&Command::WhoCan { room: self.room }, |reply, as_json| match reply {
            Reply::WhoCan(reply) if as_json => Some(json(reply)),
            Reply::WhoCan(reply) => Some(powers(reply, Paint::of_stdout())),
            _ => None,
        })
    }

    pub(super) fn password(self) -> Outcome {
        self.ask.show(&Command::Password { room: self.room }, |reply, as_json| {
            let Reply::Password { room, password, text } = reply else { return None };
            let password = password.as_ref().map(Secret::expose);
            Some(match (as_json, password) {
                (true, _) => json(&serde_json::json!({ "room": room, "password": password, "text": text })),
                (false, Some(password)) => format!("{}  ({text})\n", printable(password)),
                (false, None) => format!("{text}\n"),
            })
        })
    }

    pub(super) fn lobby(self) -> Outcome {
        explained(&self.ask, &Command::WhyLobby { room: self.room })
    }
}

impl OfPerson {
    pub(super) fn moderator(self) -> Outcome {
        explained(&self.ask, &Command::WhyModerator { room: self.room, who: self.who })
    }

    pub(super) fn removed(self) -> Outcome {
        explained(&self.ask, &Command::WhyRemoved { room: self.room, who: self.who })
    }
}

fn explained(ask: &Ask, command: &Command) -> Outcome {
    ask.show(command, |reply, as_json| match reply {
        Reply::Explained(why) if as_json => Some(json(why)),
        Reply::Explained(why) => Some(show(why, Timestamp::now(), Paint::of_stdout())),
        _ => None,
    })
}

fn show(why: &Explanation, now: Timestamp, paint: Paint) -> String {
    let mut text = format!("{}: {}\n", printable(&why.room), printable(&why.text));
    if !why.because.is_empty() {
        let rows: Vec<_> =
            why.because.iter().map(|row| vec![when(&row.time, now), row.kind.clone(), row.text.clone()]).collect();
        text.push('\n');
        text.push_str(&table(&["WHEN", "WHAT", ""], &rows, paint));
    }
    text
}

fn powers(reply: &WhoCanReply, paint: Paint) -> String {
    let mut text = String::new();
    if reply.powers.is_empty() {
        text.push_str("nobody inside could put us out\n");
    } else {
        let rows: Vec<_> = reply
            .powers
            .iter()
            .map(|one| {
                vec![
                    one.nick.clone(),
                    one.display_name.clone().unwrap_or_default(),
                    one.real_jid.clone().unwrap_or_default(),
                    one.can.join(", "),
                    one.through.clone(),
                ]
            })
            .collect();
        text.push_str(&table(&["NICK", "NAME", "REAL JID", "COULD", "THROUGH"], &rows, paint));
    }
    text.push('\n');
    for hint in &reply.hints {
        text.push_str(&format!("- {}\n", printable(hint)));
    }
    text
}
