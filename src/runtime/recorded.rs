//! What people ask about the record of events, beside the events themselves.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tracing::warn;

use super::board::rfc3339;
use super::supervisor::Supervisor;
use crate::command::{AttendanceQuery, Command, Reply, Requester, refused};
use crate::event::Event;
use crate::store::{DatabaseError, Imported};

/// Most stays that are answered.
const STAYS: usize = 10_000;

impl Supervisor {
    /// Who was in a room, when and for how long.
    pub(super) fn attendance(&self, query: AttendanceQuery, requester: &Requester, mut reply: oneshot::Sender<Reply>) {
        let room = match self.resolve_past(&query.room, requester) {
            Ok(room) => room,
            Err(refusal) => {
                // Whoever asked may be gone; then nobody misses the answer.
                let _ = reply.send(*refusal);
                return;
            }
        };
        let now = Timestamp::now();
        let day = || now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let since = query.since.or_else(|| query.life.is_none().then(day));
        let (database, life) = (self.database.clone(), query.life.map(Into::into));
        tokio::spawn(async move {
            let _turn = tokio::select! {
                turn = database.turn() => turn,
                // Nobody waits for it any more.
                () = reply.closed() => return,
            };
            let answer = match database.attendance(room.clone(), life, since, now, STAYS).await {
                Ok(attended) => Reply::Attendance { room: room.to_string(), attended },
                Err(error) => not_readable(error),
            };
            // Whoever asked may be gone; then nobody misses the answer.
            let _ = reply.send(answer);
        });
    }

    /// Adds events of another record.
    pub(super) fn import_events(&self, lines: &str, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let read = |(at, line): (usize, &str)| {
            serde_json::from_str::<Event>(line).map_err(|error| format!("line {}: {error}", at + 1))
        };
        let lines: Vec<&str> = lines.lines().filter(|line| !line.trim().is_empty()).collect();
        let events: Vec<Event> = match lines.iter().copied().enumerate().map(read).collect() {
            Ok(events) => events,
            Err(what) => {
                let _ = reply.send(refused("bad-request", what));
                return;
            }
        };
        let asked = Command::ImportEvents { lines: lines.join("\n") }.record();
        self.audit_command(&asked, &requester.who, &Reply::Imported { new: events.len(), known: 0 });
        let database = self.database.clone();
        tokio::spawn(async move {
            let answer = match database.import(&events).await {
                Ok(Imported::Taken { new, known }) => Reply::Imported { new, known },
                Ok(Imported::Later(id)) => {
                    let time = events.iter().find(|event| event.id == id).map(|event| rfc3339(event.time));
                    let text = format!(
                        "event {id} of {} is later than all that is recorded here; only what is older is taken in",
                        time.unwrap_or_default()
                    );
                    refused("too-new", text)
                }
                Err(error) => not_readable(error),
            };
            let _ = reply.send(answer);
        });
    }
}

fn not_readable(error: DatabaseError) -> Reply {
    let text = format!("{:#}", anyhow::Error::new(error));
    warn!(error = %text, "recorded events could not be read or written");
    refused("not-readable", text)
}
