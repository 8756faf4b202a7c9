//! Questions on their way to whoever speaks a line, from the supervisor: bounded, and never waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::authority::Question;

/// How many questions may wait for one connection.
const WAITING: usize = 64;

type Senders = Vec<mpsc::Sender<Box<Question>>>;

/// Who can be asked, by the line's name.
#[derive(Debug, Default)]
pub struct Questions {
    open: Mutex<HashMap<Box<str>, Senders>>,
    came: Notify,
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
        self.came.notify_one();
        receiver
    }

    /// Until somebody who speaks a line has come since this was awaited last. For one who waits.
    pub async fn came(&self) {
        self.came.notified().await;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn that_somebody_came_is_heard_once_also_by_one_who_was_busy_meanwhile() {
        let questions = Questions::default();
        let _game = questions.hear("game");
        assert!(timeout(Duration::from_secs(1), questions.came()).await.is_ok());
        assert!(timeout(Duration::from_secs(1), questions.came()).await.is_err());
    }
}
