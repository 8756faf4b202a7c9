//! `token mint`, `token explain`: what lets a player into one room, and what a token says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::ask::json;
use super::change::duration;
use super::print::{self, facts, when};
use super::{Ask, Exit, Outcome, input};
use crate::command::{Command, MintedReply, Player, Reply, TokenExplanation};
use crate::config::Secret;
use crate::telemetry::text::printable;

/// Longest token that is read from a file, bytes.
const TOKEN_BYTES: u64 = 16 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token with which a player gets into one room
    Mint(Mint),
    /// Say what a token claims, whether a key of ours signed it, and what its bearer would be
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(super) struct Mint {
    /// NAME, SERVICE/NAME or the room's JID; it need not be held
    #[arg(value_name = "ROOM")]
    room: String,
    /// What others see
    #[arg(value_name = "NAME")]
    name: String,
    /// By what they are known again; their name when left out
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Their e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The address of their picture
    #[arg(long, value_name = "URL")]
    avatar: Option<String>,
    /// Say that they are a moderator
    #[arg(long)]
    moderator: bool,
    /// Good for this long, `30m` or `2h`, at most 8h; five minutes when left out
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
    /// Make it although the deployment may make its bearer an owner of the room
    #[arg(long)]
    accept_owner: bool,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Read the token from this file; else from standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ask: Ask,
}

impl Token {
    pub(super) fn go(self) -> Outcome {
        match self {
            Token::Mint(verb) => verb.go(),
            Token::Explain(verb) => verb.go(),
        }
    }
}

impl Mint {
    fn go(self) -> Outcome {
        let Mint { room, name, id, email, avatar, moderator, time, accept_owner, ask } = self;
        let player = Player { id, name, email, avatar };
        let for_seconds = time.map(|time| time.as_secs());
        ask.show(&Command::Mint { room, player, moderator, for_seconds, accept_owner }, |reply, as_json| match reply {
            Reply::Minted(reply) if as_json => Some(json(reply)),
            Reply::Minted(reply) => Some(minted(reply, Timestamp::now())),
            _ => None,
        })
    }
}

impl Explain {
    fn go(self) -> Outcome {
        let token = match token(self.file.as_deref()) {
            Ok(token) => token,
            Err(text) => {
                print::err(&format!("innkeeper: {}", printable(&text)));
                return Ok(Exit::Failed);
            }
        };
        self.ask.show(&Command::ExplainToken { token }, |reply, as_json| match reply {
            Reply::TokenExplained(reply) if as_json => Some(json(reply)),
            Reply::TokenExplained(reply) => Some(explained(reply, Timestamp::now())),
            _ => None,
        })
    }
}

/// The token in a file, or on standard input: never an argument, which others on the machine can read.
fn token(file: Option<&Path>) -> Result<Secret, String> {
    let text = input::text(file, TOKEN_BYTES)?;
    // What `token mint` prints behind a token is left out.
    Ok(Secret::new(text.split_whitespace().next().unwrap_or_default()))
}

/// The token in the first line, so that it is easily taken; then what is said of it.
fn minted(reply: &MintedReply, now: Timestamp) -> String {
    let ends = i64::try_from(reply.expires).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let rows = [
        ("room", reply.room.clone()),
        ("ends", ends.map_or_else(String::new, |time| when(&time.to_string(), now))),
        ("role inside", format!("{}: {}", reply.effective_role, reply.why)),
    ];
    format!("{}\n\n{}", printable(reply.token.expose()), facts(&rows))
}

fn explained(reply: &TokenExplanation, now: Timestamp) -> String {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |time: &Option<String>| time.as_deref().map_or_else(String::new, |time| when(time, now));
    let signed = match (&reply.algorithm, &reply.key) {
        (Some(algorithm), Some(key)) => format!("{algorithm}, key {key}"),
        (algorithm, _) => said(algorithm),
    };
    let key_of =
        reply.service.as_ref().map_or_else(|| "no service of ours".to_owned(), |service| format!("service {service}"));
    let text = facts(&[
        ("room", said(&reply.room)),
        ("name", said(&reply.name)),
        ("id", said(&reply.id)),
        ("says moderator", if reply.moderator { "yes" } else { "no" }.to_owned()),
        ("good from", time(&reply.not_before)),
        ("ends", time(&reply.expires)),
        ("made by (iss)", said(&reply.issuer)),
        ("for (aud)", said(&reply.audience)),
        ("domain (sub)", said(&reply.subject)),
        ("signed", signed),
        ("with the key of", key_of),
        ("role inside", format!("{}: {}", reply.effective_role, reply.why)),
    ]);
    reply.remarks.iter().fold(text + "\n", |text, remark| text + &format!("- {}\n", printable(remark)))
}
