//! Questions on their way to whoever speaks a line, from the supervisor: bounded, and never waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::authority::Question;

/// How many questions may wait for one connection.
const WAITING: usize = 64;

type Senders = Vec<mpsc::Sender<Box<Question>>>;

/// Who can be asked, by the line's name.
#[derive(Debug, Default)]
pub struct Questions {
    open: Mutex<HashMap<Box<str>, Senders>>,
}

impl Questions {
    /// Somebody who speaks this line hears its questions from now on, until they drop what they get.
    pub fn hear(&self, line: &str) -> mpsc::Receiver<Box<Question>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        open.entry(line.into()).or_default().push(sender);
        receiver
    }

    /// Asks whoever came last of those who speak this line.
    ///
    /// # Errors
    /// Nobody does, or they do not read: why, in one sentence.
    pub fn ask(&self, line: &str, question: Box<Question>) -> Result<(), String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = open.get(line).into_iter().flatten().rev().filter(|sender| !sender.is_closed());
        let mut question = question;
        let mut why = format!("nobody speaks line {line} now");
        for sender in senders {
            match sender.try_send(question) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    why = format!("whoever speaks line {line} does not read");
                    question = error.into_inner();
                }
            }
        }
        Err(why)
    }
}
