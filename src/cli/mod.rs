//! The command line: one binary, `run` is the daemon, everything else asks it or works offline.
//!
//! This is the only place that prints for people. Whatever comes from a stranger goes through
//! [`crate::telemetry::text::printable`] before a terminal sees it.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::control::ClientError;
use crate::telemetry::text::printable;

mod act;
mod ask;
mod attendance;
mod bans;
mod capture;
mod change;
mod check;
mod events;
mod explain;
mod input;
mod migrate;
mod pages;
mod print;
mod rooms;
mod rules;
mod run;
mod status;
mod table;
mod token;
mod trial;
mod webhook;

/// What the process says at its end (`sysexits.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused or failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 64,
    /// No daemon answers.
    Unreachable = 69,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Where the configuration lies when nothing else is said.
pub const CONFIG: &str = "/etc/innkeeper/innkeeper.toml";

/// Holds rooms open on Jitsi Meet and other XMPP servers.
#[derive(Debug, Parser)]
#[command(name = "innkeeper", version, about, after_help = AFTER)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER: &str = "\
A ROOM is named NAME where that is unique, else SERVICE/NAME or by its room JID.
Exit codes: 0 done, 1 refused or failed, 64 usage, 69 no daemon answers, 78 wrong configuration.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon
    Run(run::Run),
    /// Check the configuration and print what would be held; works without a daemon
    Check(check::Check),
    /// List all rooms with their state, its cause and what happens next
    Rooms(rooms::Rooms),
    /// Show one room: state, who is inside, who wants it held
    Room(rooms::Room),
    /// Show the daemon: counts, services, sessions
    Status(status::Status),
    /// Hold a room: a new one, or one that was released or suspended
    Hold(change::Hold),
    /// Stop holding a room, also if the configuration wants it
    Release(change::Release),
    /// Leave a room for a while and keep its settings
    Suspend(change::Suspend),
    /// Read the configuration again and join and leave only what changed
    Reload(change::Reload),
    /// Keep somebody out of a room, of several, or of all
    Ban(bans::Ban),
    /// Take a ban back
    Unban(bans::Unban),
    /// List all bans with whom they match and how long that holds
    Bans(bans::Bans),
    /// Say whom no ban and no rule touches
    #[command(subcommand)]
    Exempt(bans::Exempt),
    /// Say why something is as it is
    #[command(subcommand)]
    Why(Why),
    /// List who is inside a room, and who waits in its lobby
    Occupants(rooms::Occupants),
    /// List who was in a room, when and for how long
    Attendance(attendance::AttendanceOf),
    /// List what happened, or go on with what happens
    Events(events::Events),
    /// Put somebody out of a room; they may come back
    Kick(act::Person),
    /// Have the focus mute somebody, or everybody; they may unmute themselves
    Mute(act::Mute),
    /// Say something in a room, or to one who is there
    Say(act::Say),
    /// Lock a room with a password, read from a file or standard input
    Lock(act::Lock),
    /// Take a room's password away
    Unlock(act::Plain),
    /// Set a room's subject, or take it away
    Subject(act::Subject),
    /// Make somebody moderator or member of a room
    Grant(act::Rank),
    /// Take that away again
    Revoke(act::Rank),
    /// Let somebody speak in a moderated room, or no longer
    Voice(act::Voice),
    /// Switch a room's lobby on or off
    Lobby(act::Lobby),
    /// Let somebody in who waits in the lobby
    Admit(act::Person),
    /// Send somebody away who waits in the lobby
    Deny(act::Person),
    /// End the meeting for everybody
    End(act::Plain),
    /// Destroy a room
    Destroy(act::Plain),
    /// Retract somebody's message, where the room offers that
    Retract(act::Retract),
    /// Moderate who may unmute themselves
    Avmod(act::Avmod),
    /// Say whether newcomers begin muted
    StartMuted(act::StartMuted),
    /// Say who could put us out of a room, and through what
    WhoCan(explain::OfRoom),
    /// Say the password of a room, as far as it is known: also one that a rule set
    Password(explain::OfRoom),
    /// Take an action back, where that has a meaning
    Undo(act::Undo),
    /// Get a room back in hand: demote all but a list, password and lobby on, throw out by list
    Recover(act::Recover),
    /// Make a token for a player, or say what one says
    #[command(subcommand)]
    Token(token::Token),
    /// Look into recorded dialogues, a browser's or our own; works without a daemon
    #[command(subcommand)]
    Capture(capture::Capture),
    /// Make our configuration of another program's; works without a daemon
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Print what a shell needs to complete commands and options
    Completions(pages::Completions),
    /// Print the manual page, or write one for each command; works without a daemon
    Man(pages::Man),
    /// See to the programs that are told by HTTP what happens
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// List the rules of order, show one with its options and an example, or try some out on what is past
    Rules(rules::Rules),
}

#[derive(Debug, Subcommand)]
enum Why {
    /// Why a room is in its state, and the last things that happened to it
    Room(rooms::WhyRoom),
    /// Why newcomers of a room have to wait
    Lobby(explain::OfRoom),
    /// Why somebody is moderator, or is not
    Moderator(explain::OfPerson),
    /// Why somebody is no longer inside
    Removed(explain::OfPerson),
    /// Why somebody is banned from a room, or is not
    Ban(bans::WhyBan),
}

/// How the daemon is asked.
#[derive(Debug, Clone, Args)]
struct Ask {
    /// The daemon's control socket
    #[arg(long, env = "INNKEEPER_SOCKET", value_name = "PATH", default_value_os_t = default_socket())]
    socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// As the daemon chooses it when the configuration does not: systemd's runtime folder for commands of the unit itself.
fn default_socket() -> PathBuf {
    let folder = std::env::var("RUNTIME_DIRECTORY").ok();
    let folder = folder.as_deref().and_then(|folders| folders.split(':').next()).filter(|path| path.starts_with('/'));
    PathBuf::from(folder.unwrap_or("/run/innkeeper")).join("control.sock")
}

/// Runs the command line of this process.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no errors.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return exit.into();
        }
    };
    let done = match cli.verb {
        Verb::Run(verb) => return verb.go(),
        Verb::Check(verb) => return verb.go().into(),
        Verb::Capture(verb) => return verb.go().into(),
        Verb::Migrate(verb) => return verb.go().into(),
        Verb::Completions(verb) => return verb.go().into(),
        Verb::Man(verb) => return verb.go().into(),
        Verb::Rooms(verb) => verb.go(),
        Verb::Room(verb) => verb.go(),
        Verb::Status(verb) => verb.go(),
        Verb::Hold(verb) => verb.go(),
        Verb::Release(verb) => verb.go(),
        Verb::Suspend(verb) => verb.go(),
        Verb::Reload(verb) => verb.go(),
        Verb::Ban(verb) => verb.go(),
        Verb::Unban(verb) => verb.go(),
        Verb::Bans(verb) => verb.go(),
        Verb::Exempt(verb) => verb.go(),
        Verb::Why(Why::Room(verb)) => verb.go(),
        Verb::Why(Why::Lobby(verb)) => verb.lobby(),
        Verb::Why(Why::Moderator(verb)) => verb.moderator(),
        Verb::Why(Why::Removed(verb)) => verb.removed(),
        Verb::Why(Why::Ban(verb)) => verb.go(),
        Verb::Occupants(verb) => verb.go(),
        Verb::Attendance(verb) => verb.go(),
        Verb::Events(verb) => verb.go(),
        Verb::Rules(verb) => verb.go(),
        Verb::Kick(verb) => verb.kick(),
        Verb::Mute(verb) => verb.go(),
        Verb::Say(verb) => verb.go(),
        Verb::Lock(verb) => verb.go(),
        Verb::Unlock(verb) => verb.unlock(),
        Verb::Subject(verb) => verb.go(),
        Verb::Grant(verb) => verb.grant(),
        Verb::Revoke(verb) => verb.revoke(),
        Verb::Voice(verb) => verb.go(),
        Verb::Lobby(verb) => verb.go(),
        Verb::Admit(verb) => verb.admit(),
        Verb::Deny(verb) => verb.deny(),
        Verb::End(verb) => verb.end(),
        Verb::Destroy(verb) => verb.destroy(),
        Verb::Retract(verb) => verb.go(),
        Verb::Avmod(verb) => verb.go(),
        Verb::StartMuted(verb) => verb.go(),
        Verb::WhoCan(verb) => verb.who_can(),
        Verb::Password(verb) => verb.password(),
        Verb::Undo(verb) => verb.go(),
        Verb::Webhook(verb) => verb.go(),
        Verb::Recover(verb) => verb.go(),
        Verb::Token(verb) => verb.go(),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            // With its causes, in one line.
            eprintln!("innkeeper: {}", printable(&format!("{:#}", anyhow::Error::new(error))));
            Exit::Unreachable.into()
        }
    }
}

/// What a verb that asks the daemon comes to.
type Outcome = Result<Exit, ClientError>;

/// All verbs, for the test that compares them with the README.
#[must_use]
pub fn verbs() -> Vec<String> {
    Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_password_can_not_be_given_as_an_argument() {
        for verb in Cli::command().get_subcommands() {
            for argument in verb.get_arguments() {
                assert!(!argument.get_id().as_str().contains("pass"), "{} {argument}", verb.get_name());
            }
        }
    }
}
