//! How long events are kept: the oldest go first, a few at a time, between the writes of new ones.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::calendar::Kept;
use crate::config::Config;
use crate::event::EventId;

/// Most events that go in one step: some milliseconds, for which new events wait in their queue.
const STEP: usize = 500;
/// Most pages that the file becomes shorter by in one step.
const PAGES: u64 = 256;
/// So many free pages are left in the file for what comes next.
const SPARE: u64 = 1_024;

/// The name under which the record has what the clock showed when it was believed last, milliseconds since 1970.
const CLOCK: &str = "clock";
/// The names under which it has what the clock shows where it is not believed, and for how long it ran on so, milliseconds.
const DOUBTED: [&str; 2] = ["doubted", "doubted_for"];

/// The name under which the record has the last event that was removed.
const REMOVED: &str = "removed";

/// The last event that was removed for its age or for its place; those of other records do not count.
pub(super) fn removed(connection: &Connection) -> rusqlite::Result<EventId> {
    let mut mark = connection.prepare_cached("SELECT value FROM marks WHERE name = ?1")?;
    let removed: Option<u64> = mark.query_row([REMOVED], |row| row.get(0)).optional()?;
    Ok(EventId::from(removed.unwrap_or(0)))
}

/// What was kept of the clock when it was looked at last; where nobody knows, it was believed when the newest event happened.
pub(super) fn last_look(connection: &Connection) -> rusqlite::Result<Option<Kept>> {
    let mut noted = connection.prepare("SELECT value FROM marks WHERE name = ?1")?;
    let mut noted = |name: &str| noted.query_row([name], |row| row.get::<_, i64>(0)).optional();
    let time = |milliseconds: i64| Timestamp::from_millisecond(milliseconds).ok();
    let newest = "SELECT time FROM events WHERE NOT imported ORDER BY id DESC LIMIT 1";
    let believed = match noted(CLOCK)? {
        None => connection.query_row(newest, [], |row| row.get(0)).optional()?,
        noted => noted,
    };
    let doubted = match (noted(DOUBTED[0])?.and_then(time), noted(DOUBTED[1])?.map(u64::try_from)) {
        (Some(shown), Some(Ok(lasted))) => Some((shown, Duration::from_millis(lasted))),
        _ => None,
    };
    Ok(believed.and_then(time).map(|believed| Kept { believed, doubted }))
}

/// Keeps what the clock shows, and whether that is believed.
pub(super) fn note_look(connection: &mut Connection, kept: Kept) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut note = transaction.prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES (?1, ?2)")?;
        note.execute(params![CLOCK, kept.believed.as_millisecond()])?;
        if let Some((shown, lasted)) = kept.doubted {
            note.execute(params![DOUBTED[0], shown.as_millisecond()])?;
            note.execute(params![DOUBTED[1], i64::try_from(lasted.as_millis()).unwrap_or(i64::MAX)])?;
        } else {
            transaction.execute("DELETE FROM marks WHERE name IN (?1, ?2)", DOUBTED)?;
        }
    }
    transaction.commit()
}

/// How much of what happened is kept; by default all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// No event for longer than this; `None`: for ever.
    pub age: Option<Duration>,
    /// No more than these bytes in `events.db`, indexes included; `None`: as much as the disk holds.
    pub bytes: Option<u64>,
}

impl Retention {
    /// As the configuration says it.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Retention { age: Some(config.keep_events), bytes: Some(config.keep_events_size) }
    }

    /// Removes some of what is too old or too much, and gives free space back. Whether there may be more to do.
    pub(super) fn step(&self, connection: &mut Connection, now: Timestamp) -> rusqlite::Result<bool> {
        let before = self.before(connection, now)?;
        let any = "SELECT EXISTS (SELECT 1 FROM events WHERE id < ?1)";
        let any: bool = connection.query_row(any, [before], |row| row.get(0))?;
        let removed = if any { remove(connection, before)? } else { 0 };
        Ok(shorten(connection)? || removed > 0)
    }

    /// Before which id events go.
    fn before(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<u64> {
        if let Some(bytes) = self.bytes
            && used(connection)? > bytes
        {
            return Ok(i64::MAX.unsigned_abs());
        }
        let age = self.age.and_then(|age| SignedDuration::try_from(age).ok());
        let oldest = age.and_then(|age| now.checked_sub(age).ok());
        // An id is never before its event's time, so nothing goes too early.
        Ok(oldest.map_or(0, |oldest| EventId::default().next(oldest).number()))
    }
}

/// What the file holds, without free pages; bytes.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let [pages, free, size] = ["page_count", "freelist_count", "page_size"]
        .map(|name| connection.pragma_query_value::<u64, _>(None, name, |row| row.get(0)));
    Ok(pages?.saturating_sub(free?) * size?)
}

/// Removes the oldest events, and people of whom no event is left; keeps how far that went with them.
fn remove(connection: &mut Connection, before: u64) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let removed = {
        let mut remove = transaction.prepare_cached(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2)
             RETURNING person, iif(imported, NULL, id)",
        )?;
        let rows = remove.query_map(params![before, STEP], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<u64>>(1)?))
        })?;
        let (people, own): (Vec<_>, Vec<_>) = rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
        if let Some(last) = own.into_iter().flatten().max() {
            let mut mark = transaction.prepare_cached(
                "INSERT INTO marks (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
            )?;
            mark.execute(params![REMOVED, last])?;
        }
        let mut forget = transaction.prepare_cached(
            "DELETE FROM people WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM events WHERE person = ?1)",
        )?;
        for person in people.iter().flatten().collect::<BTreeSet<_>>() {
            forget.execute([person])?;
        }
        people.len()
    };
    transaction.commit()?;
    Ok(removed)
}

/// Makes the file a little shorter where much of it is free. Whether it did.
fn shorten(connection: &Connection) -> rusqlite::Result<bool> {
    let free: u64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let much = free > SPARE;
    if much {
        let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({})", PAGES.min(free - SPARE)))?;
        // It goes on by one page with each row that is taken.
        let mut pages = vacuum.raw_query();
        while pages.next()?.is_some() {}
    }
    Ok(much)
}
