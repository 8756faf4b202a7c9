//! How far each receiver of webhooks was told, and what it would not take.

use jiff::Timestamp;
use rusqlite::params;

use super::{Database, DatabaseError};
use crate::event::EventId;
use crate::sinks::webhook::queue::{Kept, KeptLane, LaneKey};

/// In `policy.db`: what was acknowledged here is not sent again.
pub(super) const SCHEMA: &str = "
    CREATE TABLE webhooks (
        name TEXT PRIMARY KEY,
        read INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE webhook_lanes (
        name TEXT NOT NULL,
        service TEXT NOT NULL,
        room TEXT NOT NULL,
        settled INTEGER NOT NULL,
        parked TEXT,
        under_way INTEGER,
        PRIMARY KEY (name, service, room)
    ) WITHOUT ROWID;
    CREATE TABLE webhook_dead (
        name TEXT NOT NULL,
        event INTEGER NOT NULL,
        service TEXT NOT NULL,
        room TEXT NOT NULL,
        time INTEGER NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (name, event)
    ) WITHOUT ROWID;
";

/// Most dead letters of a receiver; beyond that the oldest go.
const DEAD: u32 = 10_000;

/// An event that a receiver would not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which.
    pub event: EventId,
    /// Of which room.
    pub lane: LaneKey,
    /// When it was given up.
    pub time: Timestamp,
    /// Why.
    pub why: Box<str>,
}

impl Database {
    /// How far a receiver was told; `None`: it is new.
    ///
    /// # Errors
    /// The file can not be read.
    pub async fn webhook(&self, name: &str) -> Result<Option<Kept>, DatabaseError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let mut read = connection.prepare("SELECT read FROM webhooks WHERE name = ?1")?;
            let Some(read) = read.query_map([&name], |row| row.get::<_, u64>(0))?.next().transpose()? else {
                return Ok(None);
            };
            let mut lanes = connection.prepare(
                "SELECT service, room, settled, parked, under_way FROM webhook_lanes WHERE name = ?1 ORDER BY service, room",
            )?;
            let lanes = lanes.query_map([&name], |row| {
                Ok(KeptLane {
                    lane: LaneKey { service: row.get(0)?, room: row.get(1)?, dead: false },
                    settled: row.get::<_, u64>(2)?.into(),
                    parked: row.get(3)?,
                    under_way: row.get::<_, Option<u64>>(4)?.map(EventId::from),
                })
            })?;
            Ok(Some(Kept { read: read.into(), lanes: lanes.collect::<rusqlite::Result<_>>()? }))
        })
        .await
    }

    /// Keeps how far a receiver was told, in place of what was kept before, and what it would not take and did after all.
    ///
    /// # Errors
    /// It is not stored.
    pub async fn keep_webhook(
        &self,
        name: &str,
        kept: Kept,
        dead: Vec<DeadLetter>,
        revived: Vec<EventId>,
    ) -> Result<(), DatabaseError> {
        let name = name.to_owned();
        self.write(move |transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO webhooks (name, read) VALUES (?1, ?2)")?
                .execute(params![name, kept.read.number()])?;
            transaction.prepare_cached("DELETE FROM webhook_lanes WHERE name = ?1")?.execute([&name])?;
            let mut lane = transaction.prepare_cached(
                "INSERT INTO webhook_lanes (name, service, room, settled, parked, under_way)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for KeptLane { lane: key, settled, parked, under_way } in &kept.lanes {
                let under_way = under_way.map(EventId::number);
                lane.execute(params![name, key.service, key.room, settled.number(), parked, under_way])?;
            }
            let mut gone = transaction.prepare_cached("DELETE FROM webhook_dead WHERE name = ?1 AND event = ?2")?;
            for event in &revived {
                gone.execute(params![name, event.number()])?;
            }
            let mut new = transaction.prepare_cached(
                "INSERT OR REPLACE INTO webhook_dead (name, event, service, room, time, why)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for DeadLetter { event, lane, time, why } in &dead {
                new.execute(params![name, event.number(), lane.service, lane.room, time.as_millisecond(), why])?;
            }
            if !dead.is_empty() {
                transaction.execute(
                    "DELETE FROM webhook_dead WHERE name = ?1 AND event NOT IN
                     (SELECT event FROM webhook_dead WHERE name = ?1 ORDER BY event DESC LIMIT ?2)",
                    params![name, DEAD],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// What a receiver would not take, at most so many; first what it did not take for the longest time, so that those
    /// that it never takes hold up no others.
    ///
    /// # Errors
    /// The file can not be read.
    pub async fn dead_letters(&self, name: &str, most: u32) -> Result<Vec<DeadLetter>, DatabaseError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let mut rows = connection.prepare(
                "SELECT event, service, room, time, why FROM webhook_dead WHERE name = ?1 ORDER BY time, event LIMIT ?2",
            )?;
            let rows = rows.query_map(params![name, most], |row| {
                let time = Timestamp::from_millisecond(row.get(3)?).unwrap_or_default();
                let lane = LaneKey { service: row.get(1)?, room: row.get(2)?, dead: false };
                Ok(DeadLetter { event: row.get::<_, u64>(0)?.into(), lane, time, why: row.get(4)? })
            })?;
            rows.collect()
        })
        .await
    }

    /// How many events a receiver would not take.
    ///
    /// # Errors
    /// The file can not be read.
    pub async fn count_dead_letters(&self, name: &str) -> Result<u64, DatabaseError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection.query_row("SELECT count(*) FROM webhook_dead WHERE name = ?1", [&name], |row| row.get(0))
        })
        .await
    }
}
