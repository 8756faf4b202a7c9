//! Who asks. Pure.

use std::fmt;

use crate::action::Actor;
use crate::rights::{Rights, Scope};

/// Who asks, and what they may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Goes to the audit log.
    pub who: Who,
    /// What [`crate::control::auth`] judges by.
    pub rights: Rights,
    /// How many commands they may give in a second, over some seconds.
    pub per_second: u32,
}

/// Somebody who asks. Shown as it is kept beside what they said: `uid 1000`, `token games`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A process at a Unix socket.
    Unix {
        /// Its user id, as the kernel says.
        uid: u32,
        /// Its process id, as the kernel says.
        pid: Option<u32>,
    },
    /// The bearer of a token.
    Token {
        /// The token's name in the configuration.
        name: Box<str>,
    },
    /// Somebody who speaks the line protocol, such as a game server.
    Line {
        /// Its name in the configuration.
        name: Box<str>,
    },
    /// A game that asks for tokens as SkotOS does.
    AvChat {
        /// Its name in the configuration.
        name: Box<str>,
    },
    /// A server that asks for reservations.
    Server {
        /// The service's name in the configuration.
        service: Box<str>,
    },
    /// Somebody who showed nothing.
    Nobody,
}

impl Who {
    /// Who they are in the record of actions.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Who::Unix { uid, .. } => Actor::CommandLine { uid: *uid },
            Who::Token { name } => Actor::Token { name: name.to_string() },
            Who::Line { name } | Who::AvChat { name } | Who::Server { service: name } => {
                Actor::Line { name: name.to_string() }
            }
            Who::Nobody => Actor::Token { name: String::new() },
        }
    }

    /// What to tell them when they lack a scope.
    #[must_use]
    pub fn lacks(&self, scope: Scope) -> String {
        match self {
            Who::Unix { uid, .. } => {
                format!("user {uid} may ask for facts only; to change something be in group innkeeper-admin")
            }
            Who::Token { name } => format!("token \"{name}\" does not have the scope \"{scope}\""),
            Who::Line { name } => format!("line \"{name}\" does not have the scope \"{scope}\""),
            // All that a game can ask for beyond its rights.
            Who::AvChat { name } => {
                format!(
                    "avchat \"{name}\" may not have tokens for moderators: `may_grant = true` in its [[avchat]] allows it"
                )
            }
            Who::Server { service } => format!("the server of {service} may ask for reservations only"),
            Who::Nobody => "this takes a token".to_owned(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Unix { uid, .. } => write!(f, "uid {uid}"),
            Who::Token { name } => write!(f, "token {name}"),
            Who::Line { name } => write!(f, "line {name}"),
            Who::AvChat { name } => write!(f, "avchat {name}"),
            Who::Server { service } => write!(f, "server of {service}"),
            Who::Nobody => f.write_str("nobody"),
        }
    }
}
