//! Who was in a room, by what is recorded.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Statement, params};
use tracing::error;

use super::search::Record;
use super::{Database, DatabaseError};
use crate::attendance::{Attendance, Attended, Came, called_before};
use crate::config::RoomKey;
use crate::event::{Person, What};

/// So many names of somebody are gone through to find when they came.
const NAMES: usize = 100;

impl Database {
    /// Everybody's time in a room, by when they came: in one life of it, and of those who were inside at `since` or
    /// came later; no more than the last `most`. An event that can not be read is left out, and said.
    ///
    /// Nothing is read of before `since` but when those came who were inside then: they went later, or are inside now.
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
            // All as of one moment.
            let _moment = connection.unchecked_transaction()?;
            let from = since.map_or(i64::MIN, Timestamp::as_millisecond);
            let mut statement = connection.prepare(
                "SELECT id, time, service, room, life, kind, what FROM events
                     WHERE service = ?1 AND room = ?2 AND time >= ?3 AND (?4 IS NULL OR life = ?4)
                     AND +kind IN ('occupant.joined', 'occupant.left', 'occupant.renamed') ORDER BY time, id",
            )?;
            let mut before = Before::new(connection, &room)?;
            let mut rows = statement.query(params![&*room.service, &*room.name, from, life])?;
            let mut attendance = Attendance::new(since, most);
            while let Some(row) = rows.next()? {
                let record = Record::read(row)?;
                let (id, time) = (record.id.number(), record.time);
                let event = match record.event() {
                    Ok(event) => event,
                    Err(error) => {
                        error!(%room, %error, "an event of this room can not be read");
                        continue;
                    }
                };
                let mut failed = None;
                attendance.note(&event, &mut |life, person| {
                    since?;
                    before.came(life, person, id, time).unwrap_or_else(|error| {
                        failed = Some(error);
                        None
                    })
                });
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            if let Some(since) = since {
                for (life, person) in present(connection, &room, life.as_deref())? {
                    if !attendance.has(&person.nick) {
                        let came = before.came(&life, &person, i64::MAX.unsigned_abs(), now)?;
                        attendance.stays(&life, person, came.unwrap_or(Came { at: since, earlier: true }));
                    }
                }
            }
            Ok(attendance.finish(now))
        })
        .await
    }
}

/// Finds when somebody came who was inside.
struct Before<'c> {
    last: Statement<'c>,
    room: &'c RoomKey,
}

impl<'c> Before<'c> {
    fn new(connection: &'c Connection, room: &'c RoomKey) -> rusqlite::Result<Self> {
        let last = connection.prepare(
            "SELECT id, time, service, room, life, kind, what FROM events
                 WHERE person = (SELECT id FROM people
                     WHERE nick = ?1 AND display_name = ?2 AND account = ?3 AND occupant_id = ?4)
                 AND time <= ?5 AND +id < ?6 AND +service = ?7 AND +room = ?8
                 AND +kind IN ('occupant.joined', 'occupant.left', 'occupant.renamed')
                 ORDER BY time DESC, id DESC LIMIT 1",
        )?;
        Ok(Before { last, room })
    }

    /// When somebody came who was inside in this life of the room, by that name, before that event; `None` where the
    /// record does not say.
    fn came(&mut self, life: &str, person: &Person, id: u64, time: Timestamp) -> rusqlite::Result<Option<Came>> {
        let (mut person, mut id, mut time) = (person.clone(), id, time);
        for _ in 0..NAMES {
            let names = [person.display_name.as_deref(), person.account(), person.occupant_id.as_deref()];
            let [name, account, occupant_id] = names.map(Option::unwrap_or_default);
            let (service, room) = (&*self.room.service, &*self.room.name);
            let of = params![&*person.nick, name, account, occupant_id, time.as_millisecond(), id, service, room];
            let Some(record) = self.last.query_row(of, Record::read).optional()? else { return Ok(None) };
            (id, time) = (record.id.number(), record.time);
            // What can not be read says nothing.
            let Some(event) = record.event().ok().filter(|event| event.life.as_deref() == Some(life)) else {
                return Ok(None);
            };
            match &event.what {
                What::OccupantJoined { already_inside, .. } => {
                    return Ok(Some(Came { at: time, earlier: *already_inside }));
                }
                what => match called_before(what) {
                    Some(known) => person = known,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }
}

/// Who is inside, and in which life of the room, as far as the record goes.
fn present(connection: &Connection, room: &RoomKey, life: Option<&str>) -> rusqlite::Result<Vec<(Box<str>, Person)>> {
    let mut statement = connection.prepare(
        "SELECT life, person FROM present WHERE service = ?1 AND room = ?2 AND (?3 IS NULL OR life = ?3) ORDER BY nick",
    )?;
    let mut rows = statement.query(params![&*room.service, &*room.name, life])?;
    let mut people = Vec::new();
    while let Some(row) = rows.next()? {
        match serde_json::from_str::<Person>(&row.get::<_, Box<str>>(1)?) {
            Ok(person) if person.machine.is_none() => people.push((row.get(0)?, person)),
            Ok(_) => {}
            Err(error) => error!(%room, %error, "somebody who is inside can not be read"),
        }
    }
    Ok(people)
}
