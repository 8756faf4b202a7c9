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
    /// came later. An event that can not be read is left out, and said.
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
    ) -> Result<Vec<Attended>, DatabaseError> {
        let mut attended = self
            .read_events(move |connection| {
                let mut statement = connection.prepare(
                    "SELECT id, time, service, room, life, kind, what FROM events
                     WHERE service = ?1 AND room = ?2 AND (?3 IS NULL OR life = ?3)
                     AND +kind IN ('occupant.joined', 'occupant.left', 'occupant.renamed') ORDER BY time, id",
                )?;
                let mut rows = statement.query(params![&*room.service, &*room.name, life])?;
                let mut attendance = Attendance::default();
                while let Some(row) = rows.next()? {
                    match Record::read(row)?.event() {
                        Ok(event) => attendance.note(&event),
                        Err(error) => error!(%room, %error, "an event of this room can not be read"),
                    }
                }
                Ok(attendance.finish(now))
            })
            .await?;
        attended.retain(|one| since.is_none_or(|since| one.went.is_none_or(|went| went >= since)));
        Ok(attended)
    }
}
