//! Finding recorded events again.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};
use tracing::error;

use super::{Database, DatabaseError, retention};
use crate::config::RoomKey;
use crate::event::{Event, EventId, Kind, Present, Stay, What};

/// Most events that one question brings.
const MOST: usize = 10_000;

/// An event as it was recorded, perhaps by another version of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: EventId,
    /// When.
    pub time: Timestamp,
    /// The service.
    pub service: Box<str>,
    /// The room, if it was in one.
    pub room: Option<Box<str>>,
    /// The room's life.
    pub life: Option<Box<str>>,
    /// The kind's public name.
    pub kind: Box<str>,
    /// The rest, JSON: an object with `kind`.
    pub what: Box<str>,
}

impl Record {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (id, time): (u64, i64) = (row.get(0)?, row.get(1)?);
        let time = Timestamp::from_millisecond(time).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Integer, error.into())
        })?;
        Ok(Record {
            id: id.into(),
            time,
            service: row.get(2)?,
            room: row.get(3)?,
            life: row.get(4)?,
            kind: row.get(5)?,
            what: row.get(6)?,
        })
    }

    /// As it was.
    ///
    /// # Errors
    /// A kind or a field that this version does not know: [`Record::json`] shows it all the same.
    pub fn event(&self) -> serde_json::Result<Event> {
        let what: What = serde_json::from_str(&self.what)?;
        Ok(Event::new(self.id, self.time, &self.service, self.room.as_deref(), self.life.as_deref(), what))
    }

    /// The public JSON, also of what this version does not know.
    ///
    /// # Errors
    /// It is not JSON: somebody else wrote it.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        let mut whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&self.what)?;
        whole.insert("id".to_owned(), self.id.number().into());
        whole.insert("time".to_owned(), serde_json::to_value(self.time)?);
        whole.insert("service".to_owned(), (*self.service).into());
        for (name, value) in [("room", &self.room), ("life", &self.life)] {
            if let Some(value) = value {
                whole.insert(name.to_owned(), (**value).into());
            }
        }
        Ok(whole.into())
    }
}

/// In which order events come, and which ones when there are more than asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// From the first on.
    #[default]
    OldestFirst,
    /// From the last back.
    NewestFirst,
}

/// Which events are asked for; what is not said does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this service.
    pub service: Option<Box<str>>,
    /// Of this room; fast together with the service.
    pub room: Option<Box<str>>,
    /// Of this life of the room.
    pub life: Option<Box<str>>,
    /// Of one of these kinds; all when empty.
    pub kinds: Vec<Kind>,
    /// About whoever had this nick, display name, bare JID or occupant id.
    pub who: Option<Box<str>>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    /// Later than this one: where the last answer ended, with [`Order::OldestFirst`].
    pub after: Option<EventId>,
    /// Only what happened here: nothing that was taken in from another record.
    pub own: bool,
    /// Which come, and how.
    pub order: Order,
    /// At most so many; never more than 10,000.
    pub limit: Option<usize>,
}

impl Filter {
    /// The question and its values.
    ///
    /// Without statistics `SQLite` can not know that a room narrows more than a kind, and the record changes too fast to
    /// keep them; so one index is chosen here, and a `+` keeps the other columns from being offered.
    fn question(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::<Box<dyn ToSql>>::new());
        let in_room = self.service.is_some() && self.room.is_some() && self.after.is_none();
        let of_person = !in_room && self.who.is_some() && self.after.is_none();
        let of_kind = !in_room && !of_person && self.kinds.len() == 1 && self.after.is_none();
        let by_time = in_room || of_person || of_kind;
        let plus = |offered: bool| if offered { "" } else { "+" };
        let mut add = |condition: String, value: Box<dyn ToSql>| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("?{}", values.len())));
        };
        for (column, value) in [("service", &self.service), ("room", &self.room)] {
            if let Some(value) = value {
                add(format!("{}{column} = ?", plus(in_room)), Box::new(value.clone()));
            }
        }
        if let Some(life) = &self.life {
            add("life = ?".to_owned(), Box::new(life.clone()));
        }
        if let Some(who) = &self.who {
            let names = ["nick", "display_name", "account", "occupant_id"];
            let of = names.map(|name| {
                let there = if name == "nick" { String::new() } else { format!(" AND {name} <> ''") };
                format!("SELECT id FROM people WHERE {name} = ?{there}")
            });
            add(format!("{}person IN ({})", plus(of_person), of.join(" UNION ")), Box::new(who.clone()));
        }
        if let Some(since) = self.since {
            add(format!("{}time >= ?", plus(by_time)), Box::new(since.as_millisecond()));
            if !by_time {
                // An id is never before its event's time, so this loses nothing and skips what is older.
                add("id >= ?".to_owned(), Box::new(EventId::default().next(since).number()));
            }
        }
        if let Some(until) = self.until {
            add(format!("{}time < ?", plus(by_time)), Box::new(until.as_millisecond()));
        }
        if let Some(after) = self.after {
            add("id > ?".to_owned(), Box::new(after.number()));
        }
        if self.own {
            conditions.push("NOT imported".to_owned());
        }
        let mut kinds = Vec::new();
        for kind in &self.kinds {
            values.push(Box::new(kind.as_str()));
            kinds.push(format!("?{}", values.len()));
        }
        if !kinds.is_empty() {
            conditions.push(format!("{}kind IN ({})", plus(of_kind), kinds.join(", ")));
        }
        let conditions =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let way = if self.order == Order::NewestFirst { "DESC" } else { "ASC" };
        let order = if by_time { format!("time {way}, id {way}") } else { format!("id {way}") };
        let limit = self.limit.unwrap_or(MOST).min(MOST);
        let question = format!(
            "SELECT id, time, service, room, life, kind, what FROM events {conditions} ORDER BY {order} LIMIT {limit}"
        );
        (question, values)
    }
}

impl Database {
    /// Finds recorded events; those still queued are not among them.
    ///
    /// # Errors
    /// The file can not be read, or the search took too long.
    pub async fn events(&self, filter: Filter) -> Result<Vec<Record>, DatabaseError> {
        self.read_events(move |connection| find(connection, &filter)).await
    }

    /// Finds recorded events for whoever reads on, and the last one that was removed from the record before: what is
    /// missing up to there can not be read any more.
    ///
    /// # Errors
    /// The file can not be read, or the search took too long.
    pub async fn events_left(&self, filter: Filter) -> Result<(Vec<Record>, EventId), DatabaseError> {
        self.read_events(move |connection| {
            // Both as of one moment: what goes between two looks would be missed by nobody.
            let _moment = connection.unchecked_transaction()?;
            Ok((find(connection, &filter)?, retention::removed(connection)?))
        })
        .await
    }

    /// The last event that was removed from the record.
    ///
    /// # Errors
    /// The file can not be read.
    pub async fn removed(&self) -> Result<EventId, DatabaseError> {
        self.read_events(retention::removed).await
    }

    /// Who is inside each room, by what is recorded. A person who can not be read is nobody, and said.
    ///
    /// # Errors
    /// The file can not be read.
    pub async fn present(&self) -> Result<HashMap<RoomKey, Present>, DatabaseError> {
        let rows = self.read_events(|connection| {
            let mut statement = connection.prepare("SELECT service, room, life, person FROM present")?;
            let rows = statement.query_map([], |row| {
                let (service, room): (Box<str>, Box<str>) = (row.get(0)?, row.get(1)?);
                Ok((RoomKey::new(&*service, &room), row.get::<_, Box<str>>(2)?, row.get::<_, Box<str>>(3)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut rooms = HashMap::new();
        for (room, life, person) in rows.await? {
            match serde_json::from_str(&person) {
                Ok(person) => {
                    let present = rooms.entry(room).or_insert_with(|| Present::new(&life));
                    present.note(&life, Stay::Here { person: &person, old_nick: None });
                }
                Err(error) => error!(%room, %error, "somebody who was inside can not be read and is told of again"),
            }
        }
        Ok(rooms)
    }
}

fn find(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Record>> {
    let (question, values) = filter.question();
    let mut statement = connection.prepare(&question)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let rows = statement.query_map(values.as_slice(), Record::read)?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::events::SCHEMA;

    fn plan(filter: &Filter) -> String {
        let connection = rusqlite::Connection::open_in_memory().expect("memory");
        connection.execute_batch(&SCHEMA.steps.concat()).expect("the schema");
        let (question, values) = filter.question();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {question}")).expect("a question");
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        let rows = statement.query_map(values.as_slice(), |row| row.get::<_, String>(3)).expect("a plan");
        rows.map(|row| row.expect("text")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_usual_question_has_an_index_and_is_never_sorted() {
        let when = Some(Timestamp::UNIX_EPOCH);
        let text = |text: &str| Some(Box::<str>::from(text));
        let room = Filter { service: text("s"), room: text("r"), ..Filter::default() };
        let last_day = Filter { since: when, until: when, kinds: vec![Kind::RoomHeld], ..room.clone() };
        let newest = Filter { order: Order::NewestFirst, who: text("ada"), ..room.clone() };
        // The names of people may be sorted, they are few.
        const SORTED: &str = "events; USE TEMP B-TREE";
        for (filter, index) in [
            (room, "USING INDEX events_room (service=? AND room=?)"),
            (last_day, "USING INDEX events_room (service=? AND room=? AND time>? AND time<?)"),
            (newest, "USING INDEX events_room (service=? AND room=?)"),
            (
                Filter { kinds: vec![Kind::RoomHeld], since: when, ..Filter::default() },
                "USING INDEX events_kind (kind=? AND time>?)",
            ),
            (Filter { service: text("s"), since: when, ..Filter::default() }, "USING INTEGER PRIMARY KEY (rowid>?)"),
            (
                Filter { after: Some(7.into()), service: text("s"), room: text("r"), own: true, ..Filter::default() },
                "USING INTEGER PRIMARY KEY (rowid>?)",
            ),
        ] {
            let plan = plan(&filter);
            assert!(plan.contains(index) && !plan.contains(SORTED), "{filter:?}: {plan}");
        }
        // Several names may be meant, so their events are merged; but each is found.
        let person = plan(&Filter { who: text("ada"), since: when, ..Filter::default() });
        assert!(person.contains("USING INDEX events_person (person=? AND time>?)"), "{person}");
        for index in
            ["people_display_name", "people_account", "people_occupant_id", "sqlite_autoindex_people_1 (nick=?)"]
        {
            assert!(person.contains(index), "{index}: {person}");
        }
    }
}
