//! Asking the daemon and showing what it refuses.

use serde::Serialize;

use super::{Ask, Exit, Outcome, print};
use crate::command::{Command, Reply};
use crate::control::{self, ClientError};
use crate::telemetry::text::printable;

impl Ask {
    /// Asks; `show` is given the reply and answers `None` when it is not one to this command.
    pub(super) fn show(&self, command: &Command, show: impl FnOnce(&Reply, bool) -> Option<String>) -> Outcome {
        let reply = match control::ask(&self.socket, command) {
            Err(error @ ClientError::Forbidden(_)) => {
                self.refused("forbidden", &error.to_string());
                return Ok(Exit::Failed);
            }
            other => other?,
        };
        if let Reply::Refused { error, text } = &reply {
            self.refused(error, text);
            return Ok(Exit::Failed);
        }
        match show(&reply, self.json) {
            Some(text) => {
                print::out(&text);
                Ok(Exit::Done)
            }
            None => Err(ClientError::Strange(self.socket.clone())),
        }
    }

    /// Says what the daemon refused, and why.
    pub(super) fn refused(&self, error: &str, text: &str) {
        if self.json {
            print::out(&json(&serde_json::json!({ "error": error, "text": text })));
        } else {
            // A wrong configuration is many lines; what is in them is made harmless one by one.
            let lines: Vec<_> = text.lines().map(printable).collect();
            eprintln!("innkeeper: {}", lines.join("\n"));
        }
    }
}

/// JSON for programs, on several lines so that a person can read it too.
pub(super) fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
