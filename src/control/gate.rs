//! The way of all commands to the supervisor, whatever surface they come over: judged, paced, and asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use super::{Asked, PATIENCE, auth};
use crate::command::{Command, Reply, Requester, refused};

/// So many times what is allowed in a second may come at once.
const BURST: u32 = 10;

/// How long what is done in a room may take: it is answered when it is seen to have happened, or is given up after half
/// a minute.
const ACTION_PATIENCE: Duration = Duration::from_secs(45);

/// The error of a [`Reply::Refused`] to somebody who asks too often.
pub const TOO_MANY: &str = "too-many-requests";

/// Where commands are let in.
#[derive(Debug)]
pub struct Gate {
    asked: mpsc::Sender<Asked>,
    /// For each who asked, the time at which nothing of what they may is used any more. As many as there are names in the
    /// configuration and users on the machine.
    paces: Mutex<HashMap<Box<str>, Instant>>,
}

impl Gate {
    /// Commands that may be carried out go to `asked`.
    #[must_use]
    pub fn new(asked: mpsc::Sender<Asked>) -> Self {
        Gate { asked, paces: Mutex::default() }
    }

    /// Asks the supervisor, if the requester may ask that, and does not ask too often. Refusals and silence are replies
    /// too.
    pub async fn ask(&self, requester: Requester, command: Command) -> Reply {
        if let Err(refusal) = self.admit(&requester, &command) {
            return *refusal;
        }
        let patience = match command {
            Command::Act { .. } | Command::Undo { .. } | Command::Recover { .. } => ACTION_PATIENCE,
            _ => PATIENCE,
        };
        let (reply, answered) = oneshot::channel();
        let wait = async {
            self.asked.send((command, requester, reply)).await.map_err(|_| ())?;
            answered.await.map_err(|_| ())
        };
        match timeout(patience, wait).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(())) => refused("busy", "the daemon is stopping"),
            Err(_) => refused("busy", format!("the daemon did not answer within {} seconds", patience.as_secs())),
        }
    }

    /// Whether they may ask that now, as far as can be told before a room was looked up; it counts as asked.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit(&self, requester: &Requester, command: &Command) -> Result<(), Box<Reply>> {
        self.pace(Instant::now(), requester)?;
        auth::may(requester, command).map_err(|text| {
            if auth::changes(command) {
                let asked = command.record();
                warn!(who = %requester.who, %asked, error = "forbidden", why = %text, "command refused");
            }
            Box::new(refused("forbidden", text))
        })
    }

    /// Takes one of what they may ask: [`Requester::per_second`] over some seconds, and `BURST` times that at once.
    ///
    /// # Errors
    /// The refusal, where they asked for too much.
    pub fn pace(&self, now: Instant, requester: &Requester) -> Result<(), Box<Reply>> {
        let Requester { who, per_second, .. } = requester;
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(who.to_string().into()).or_insert(now);
        let free = (*pace).max(now) + Duration::from_secs(1) / (*per_second).max(1);
        if free > now + Duration::from_secs(u64::from(BURST)) {
            let text = format!("{who} asks more than {per_second} times a second, for some time; slow down");
            return Err(Box::new(refused(TOO_MANY, text)));
        }
        *pace = free;
        Ok(())
    }

    /// Whether nobody carries out commands any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.asked.is_closed()
    }

    /// Until nobody carries out commands any more.
    pub async fn closed(&self) {
        self.asked.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Who;
    use crate::rights::Rights;

    #[test]
    fn a_pace_allows_a_burst_and_then_so_many_a_second() {
        let (asked, _commands) = mpsc::channel(1);
        let (gate, start) = (Gate::new(asked), Instant::now());
        let named =
            |name: &str| Requester { who: Who::Line { name: name.into() }, rights: Rights::all(), per_second: 5 };
        for _ in 0..50 {
            assert_eq!(gate.pace(start, &named("a")), Ok(()));
        }
        let refusal = gate.pace(start, &named("a")).map_err(|refusal| *refusal);
        assert!(matches!(refusal, Err(Reply::Refused { ref error, .. }) if error == TOO_MANY), "{refusal:?}");
        assert_eq!(gate.pace(start, &named("b")), Ok(()), "each for itself");
        let later = start + Duration::from_secs(1);
        let passed = (0..20).filter(|_| gate.pace(later, &named("a")).is_ok()).count();
        assert_eq!(passed, 5);
    }

    #[tokio::test]
    async fn whoever_asks_too_often_is_not_carried_out_over_any_surface() {
        let (asked, mut commands) = mpsc::channel(64);
        let gate = Gate::new(asked);
        let requester = Requester { who: Who::Unix { uid: 7, pid: None }, rights: Rights::all(), per_second: 1 };
        let carried = tokio::spawn(async move {
            let mut carried = 0;
            while let Some((_, _, reply)) = commands.recv().await {
                carried += 1;
                let _ = reply.send(refused("busy", "a test"));
            }
            carried
        });
        for _ in 0..30 {
            gate.ask(requester.clone(), Command::Rooms).await;
        }
        drop(gate);
        assert_eq!(carried.await.ok(), Some(BURST));
    }
}
