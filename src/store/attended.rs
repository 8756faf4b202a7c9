//! Who was in a room, by what is recorded.

use jiff::Timestamp;
use rusqlite::params;
use tracing::error;

use super::search::Record;
use super::{Database, DatabaseError};
use crate::attendance::{Attendance, Attended};
use crate::config::RoomKey;

impl Database {
    /// Everybody's time in a room, by when they came: in one life of it, and of those who were inside at `since` or
    /// came later; no more than the last `most`. An event that can not be read is left out, and said.
    ///
    /// The room's whole record is read, since who was inside at a time may have come long before.
    ///
    /// # Errors
    /// The file can not be read, or the search took too long.
    pub async fn attendance(
        &self,
        room: RoomKey,
        life: Option<Box<str>>,
        since: Option<Timestamp>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<Attended>, DatabaseError> {
        self.read_events(move |connection| {
            let mut statement = connection.prepare(
                "SELECT id, time, service, room, life, kind, what FROM events
                     WHERE service = ?1 AND room = ?2 AND (?3 IS NULL OR life = ?3)
                     AND +kind IN ('occupant.joined', 'occupant.left', 'occupant.renamed') ORDER BY time, id",
            )?;
            let mut rows = statement.query(params![&*room.service, &*room.name, life])?;
            let mut attendance = Attendance::new(since, most);
            while let Some(row) = rows.next()? {
                match Record::read(row)?.event() {
                    Ok(event) => attendance.note(&event),
                    Err(error) => error!(%room, %error, "an event of this room can not be read"),
                }
            }
            Ok(attendance.finish(now))
        })
        .await
    }
}
