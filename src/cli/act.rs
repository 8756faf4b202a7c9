//! What is done in a room: `kick`, `mute`, `say`, `lock` and the others, and `undo` and `recover`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::ask::json;
use super::print::{self, Paint, table};
use super::{Ask, Exit, Outcome, input};
use crate::action::{Action, Standing};
use crate::command::{Command, Reply, StepRow};
use crate::config::Secret;
use crate::telemetry::text::printable;
use crate::xmpp::jitsi::mute::Medium;

/// Longest password that is read from a file.
const PASSWORD_BYTES: u64 = 4096;

/// What all of them have in common.
#[derive(Debug, Args)]
struct About {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    #[command(flatten)]
    more: More,
}

#[derive(Debug, Args)]
struct More {
    /// Why: shown to those concerned, and kept
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Asking twice with one key does it once; it is the action's id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// A person.
#[derive(Debug, Args)]
struct Who {
    /// A nick, or the only display name of that kind
    #[arg(value_name = "WHO")]
    who: String,
}

/// Which medium; the microphone when nothing is said.
#[derive(Debug, Args)]
struct Which {
    /// The camera instead of the microphone
    #[arg(long, conflicts_with = "desktop")]
    video: bool,
    /// The shared screen instead of the microphone
    #[arg(long)]
    desktop: bool,
}

impl Which {
    fn medium(&self) -> Medium {
        match (self.video, self.desktop) {
            (true, _) => Medium::Video,
            (_, true) => Medium::Desktop,
            _ => Medium::Audio,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Owner: on Jitsi, a moderator
    Moderator,
    /// Passes the lobby
    Member,
}

/// Somebody, and nothing more.
#[derive(Debug, Args)]
pub(super) struct Person {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    who: Who,
}

/// A room, and nothing more.
#[derive(Debug, Args)]
pub(super) struct Plain {
    #[command(flatten)]
    about: About,
}

#[derive(Debug, Args)]
pub(super) struct Mute {
    #[command(flatten)]
    about: About,
    /// A nick, or the only display name of that kind
    #[arg(value_name = "WHO", required_unless_present = "all")]
    who: Option<String>,
    /// Everybody
    #[arg(long, conflicts_with = "who")]
    all: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub(super) struct Say {
    #[command(flatten)]
    about: About,
    /// What
    #[arg(value_name = "TEXT")]
    text: String,
    /// Say it to this nick, or only display name of that kind, alone
    #[arg(long, value_name = "WHO")]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Lock {
    #[command(flatten)]
    about: About,
    /// Read the password from this file; else from standard input. Its last newline does not count
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Subject {
    #[command(flatten)]
    about: About,
    /// The subject; none takes it away
    #[arg(value_name = "TEXT", default_value = "")]
    text: String,
}

#[derive(Debug, Args)]
pub(super) struct Rank {
    #[command(flatten)]
    about: About,
    /// A bare JID, a nick, or the only display name of that kind
    #[arg(value_name = "WHO")]
    who: String,
    /// What they get, or what is taken from them
    #[arg(value_enum, value_name = "LEVEL", default_value = "moderator")]
    level: Level,
}

#[derive(Debug, Args)]
pub(super) struct Voice {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    who: Who,
    /// Take it away
    #[arg(long)]
    off: bool,
}

#[derive(Debug, Args)]
pub(super) struct Lobby {
    #[command(flatten)]
    about: About,
    /// Whether newcomers wait for admission
    #[arg(value_enum, value_name = "on|off")]
    on: OnOff,
}

#[derive(Debug, Args)]
pub(super) struct Retract {
    #[command(flatten)]
    about: About,
    /// The id that the room gave the message
    #[arg(value_name = "STANZA_ID")]
    stanza_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Moderating {
    /// Nobody but moderators and approved people may unmute themselves
    On,
    /// Everybody may again
    Off,
    /// WHO may unmute themselves
    Approve,
    /// WHO may no longer
    Withdraw,
}

#[derive(Debug, Args)]
pub(super) struct Avmod {
    #[command(flatten)]
    about: About,
    /// What to do
    #[arg(value_enum, value_name = "WHAT")]
    what: Moderating,
    /// Whom, for approve and withdraw: a nick, or the only display name of that kind
    #[arg(value_name = "WHO", required_if_eq_any = [("what", "approve"), ("what", "withdraw")])]
    who: Option<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub(super) struct StartMuted {
    #[command(flatten)]
    about: About,
    /// Their microphones
    #[arg(long)]
    audio: bool,
    /// Their cameras
    #[arg(long)]
    video: bool,
}

#[derive(Debug, Args)]
pub(super) struct Undo {
    /// The action's id: it is printed when the action is done, logged, and shown by `why`
    #[arg(value_name = "ACTION_ID")]
    id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Recover {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    /// Who stays moderator: a bare JID, a nick, or the only display name of that kind; may be repeated
    #[arg(long, value_name = "WHO")]
    keep: Vec<String>,
    /// Who is thrown out; may be repeated
    #[arg(long, value_name = "WHO")]
    out: Vec<String>,
    /// Lock the room with the password in this file, - is standard input; left out, one is made up and shown, unless the
    /// configuration has one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why: shown to those concerned, and kept
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

impl Person {
    pub(super) fn kick(self) -> Outcome {
        self.about.act(Action::Kick { nick: self.who.who.into() })
    }

    pub(super) fn admit(self) -> Outcome {
        self.about.act(Action::Admit { nick: self.who.who.into() })
    }

    pub(super) fn deny(self) -> Outcome {
        self.about.act(Action::Deny { nick: self.who.who.into() })
    }
}

impl Plain {
    pub(super) fn unlock(self) -> Outcome {
        self.about.act(Action::Lock { password: None })
    }

    pub(super) fn end(self) -> Outcome {
        self.about.act(Action::End)
    }

    pub(super) fn destroy(self) -> Outcome {
        self.about.act(Action::Destroy)
    }
}

impl Mute {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Mute { nick: self.who.map(Into::into), medium: self.which.medium() })
    }
}

impl Say {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Say { nick: self.to.map(Into::into), text: self.text.into() })
    }
}

impl Lock {
    pub(super) fn go(self) -> Outcome {
        match password(self.file.as_deref()) {
            Ok(password) => self.about.act(Action::Lock { password: Some(password) }),
            Err(text) => Ok(usage(&text)),
        }
    }
}

impl Subject {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Subject { text: self.text.into() })
    }
}

impl Rank {
    pub(super) fn grant(self) -> Outcome {
        let to = if self.level == Level::Moderator { Standing::Owner } else { Standing::Member };
        self.about.act(Action::Affiliate { jid: self.who.into(), to })
    }

    pub(super) fn revoke(self) -> Outcome {
        // Whoever was moderator may stay in a room with a lobby.
        let to = if self.level == Level::Moderator { Standing::Member } else { Standing::None };
        self.about.act(Action::Affiliate { jid: self.who.into(), to })
    }
}

impl Voice {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Voice { nick: self.who.who.into(), on: !self.off })
    }
}

impl Lobby {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Lobby { on: self.on == OnOff::On })
    }
}

impl Retract {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::Retract { stanza_id: self.stanza_id.into() })
    }
}

impl Avmod {
    pub(super) fn go(self) -> Outcome {
        let medium = self.which.medium();
        let action = match (self.what, self.who) {
            (Moderating::On | Moderating::Off, Some(_)) => {
                return Ok(usage("on and off concern everybody; approve and withdraw take WHO"));
            }
            (Moderating::Approve | Moderating::Withdraw, Some(who)) => {
                Action::Approve { nick: who.into(), medium, on: self.what == Moderating::Approve }
            }
            (what, _) => Action::AvModeration { medium, on: what == Moderating::On },
        };
        self.about.act(action)
    }
}

impl StartMuted {
    pub(super) fn go(self) -> Outcome {
        self.about.act(Action::StartMuted { audio: self.audio, video: self.video })
    }
}

impl Undo {
    pub(super) fn go(self) -> Outcome {
        acted(&self.ask, &Command::Undo { id: self.id, reason: self.reason })
    }
}

impl Recover {
    pub(super) fn go(self) -> Outcome {
        let password = match &self.file {
            Some(_) => match password(self.file.as_deref()) {
                Ok(password) => Some(password),
                Err(text) => return Ok(usage(&text)),
            },
            None => None,
        };
        let Recover { room, keep, out, reason, ask, .. } = self;
        let mut all_done = true;
        let told = ask.show(&Command::Recover { room, keep, out, password, reason }, |reply, as_json| {
            let Reply::Recovered { room, steps, password } = reply else { return None };
            all_done = steps.iter().all(|step| step.done);
            let password = password.as_ref().map(Secret::expose);
            let value = serde_json::json!({ "room": room, "steps": steps, "password": password });
            let told = password.map(|password| format!("\nthe room's password is {password}\n")).unwrap_or_default();
            Some(if as_json { json(&value) } else { recovered(steps, Paint::of_stdout()) + &told })
        })?;
        Ok(if all_done { told } else { Exit::Failed })
    }
}

fn recovered(steps: &[StepRow], paint: Paint) -> String {
    let row =
        |step: &StepRow| vec![step.what.clone(), if step.done { "yes" } else { "no" }.to_owned(), step.text.clone()];
    table(&["STEP", "DONE", "WHAT CAME OF IT"], &steps.iter().map(row).collect::<Vec<_>>(), paint)
}

impl About {
    fn act(self, action: Action) -> Outcome {
        let More { reason, key, ask } = self.more;
        acted(&ask, &Command::Act { room: self.room, action, reason, key })
    }
}

fn acted(ask: &Ask, command: &Command) -> Outcome {
    ask.show(command, |reply, as_json| match reply {
        Reply::Acted { room, key, progress, text, undoable } if as_json => Some(json(&serde_json::json!({
            "room": room, "id": key, "progress": progress, "text": text, "undoable": undoable
        }))),
        Reply::Acted { key, text, undoable, .. } => {
            let undo =
                if *undoable { format!("`innkeeper undo {}` takes it back\n", printable(key)) } else { String::new() };
            Some(format!("{}\n{undo}", printable(text)))
        }
        _ => None,
    })
}

/// The password in a file, or on standard input: never an argument, which others on the machine can read.
fn password(file: Option<&Path>) -> Result<Secret, String> {
    let text = input::text(file, PASSWORD_BYTES)?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() || password.contains('\n') {
        return Err(format!("{}: a password of one line is expected", input::place(file)));
    }
    Ok(Secret::new(password))
}

fn usage(text: &str) -> Exit {
    print::err(&format!("innkeeper: {}", printable(text)));
    Exit::Usage
}
