//! `policy.db`: bans, lists, exempt people, audit, outcasts, and what rules remember, strikes and welcomes among it.
//!
//! Everything here is acknowledged after its commit is on the disk. Bans are the policy's own type, kept as JSON beside
//! what they are searched by.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tracing::error;

use super::schema::Schema;
use super::{Database, DatabaseError};
use crate::config::RoomKey;
use crate::policy;
use crate::policy::bans::Ban;

pub(super) const SCHEMA: Schema = Schema {
    file: "policy.db",
    // Ids of bans and of the audit are never given twice, also when the last one is gone.
    steps: &[
        "
        CREATE TABLE bans (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            until INTEGER, -- milliseconds since 1970
            ban TEXT NOT NULL -- JSON
        );
        CREATE TABLE exempt (
            who TEXT PRIMARY KEY,
            entry TEXT NOT NULL -- JSON
        ) WITHOUT ROWID;
        CREATE TABLE lists (
            source TEXT NOT NULL,
            item TEXT NOT NULL,
            reason TEXT NOT NULL,
            time INTEGER NOT NULL,
            PRIMARY KEY (source, item)
        ) WITHOUT ROWID;
        CREATE TABLE strikes (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            who TEXT NOT NULL,
            until INTEGER NOT NULL,
            strikes TEXT NOT NULL, -- JSON
            PRIMARY KEY (service, room, who)
        ) WITHOUT ROWID;
        CREATE TABLE welcomes (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            life TEXT NOT NULL,
            who TEXT NOT NULL,
            PRIMARY KEY (service, room, life, who)
        ) WITHOUT ROWID;
        CREATE TABLE present (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            life TEXT,
            people TEXT NOT NULL, -- JSON
            PRIMARY KEY (service, room)
        ) WITHOUT ROWID;
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            time INTEGER NOT NULL,
            who TEXT NOT NULL,
            service TEXT,
            room TEXT,
            action TEXT, -- key of the action
            what TEXT NOT NULL,
            target TEXT NOT NULL,
            reason TEXT NOT NULL,
            outcome TEXT NOT NULL
        );
        CREATE INDEX audit_room ON audit (service, room, id);
        CREATE INDEX audit_action ON audit (action) WHERE action IS NOT NULL;
        CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
            BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
        CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
            BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
    ",
        "
        CREATE TABLE policies (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            state TEXT NOT NULL, -- JSON
            PRIMARY KEY (service, room)
        ) WITHOUT ROWID;
        CREATE TABLE outcasts (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            jid TEXT NOT NULL,
            PRIMARY KEY (service, room, jid)
        ) WITHOUT ROWID;
    ",
        // Strikes and welcomes are in what rules remember; who is inside stands beside the events.
        "
        DROP TABLE strikes;
        DROP TABLE welcomes;
        DROP TABLE present;
    ",
        // What was done is taken back, and explained, after a restart too.
        "
        CREATE TABLE deeds (
            id INTEGER PRIMARY KEY,
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            deed TEXT NOT NULL -- JSON
        );
    ",
        super::webhooks::SCHEMA,
    ],
    synchronous: "FULL",
    cache_kib: 256,
    check: true,
    holds: "bans, strikes, the audit and who was welcomed",
};

/// Names a ban; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BanId(pub i64);

/// A ban as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBan {
    /// Its name.
    pub id: BanId,
    /// The ban.
    pub ban: Ban,
}

/// An entry of a list that others keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// What it matches: in a real-time block list the hash of a bare JID.
    pub item: Box<str>,
    /// Why; may be empty.
    pub reason: Box<str>,
    /// Since when we know of it.
    pub time: Timestamp,
}

/// Somebody who is never judged, and what is to be said about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exempted {
    /// As [`AllowList::read`](crate::policy::exempt::AllowList::read) takes it.
    pub who: Box<str>,
    /// By whom, when and why, JSON.
    pub entry: Box<str>,
}

/// Names an entry of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AuditId(pub i64);

/// Who did what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Audit {
    /// When.
    pub time: Timestamp,
    /// Who: `uid 1000`, `rule flood`.
    pub who: Box<str>,
    /// In which service, if in one.
    pub service: Option<Box<str>>,
    /// In which room, if in one.
    pub room: Option<Box<str>>,
    /// The key of the action, where it is one.
    pub action: Option<Box<str>>,
    /// The verb: `kick`, `hold`.
    pub what: Box<str>,
    /// Whom or what it was about; may be empty.
    pub target: Box<str>,
    /// Why, as they said it; may be empty.
    pub reason: Box<str>,
    /// What came of it: `done`, `refused: …`.
    pub outcome: Box<str>,
}

/// What is written of a time is read again, unless somebody else wrote it.
fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(at)?).map_err(|error| unreadable(at, error))
}

fn json(data: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(data).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unreadable(at: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
}

fn room(row: &Row<'_>, at: usize) -> rusqlite::Result<RoomKey> {
    let (service, name): (Box<str>, Box<str>) = (row.get(at)?, row.get(at + 1)?);
    Ok(RoomKey::new(&*service, &name))
}

fn rows<T>(
    connection: &Connection,
    question: &str,
    values: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(question)?.query_map(values, read)?.collect()
}

/// A ban and its id; what can not be read comes with them as text.
fn ban(row: &Row<'_>) -> rusqlite::Result<(BanId, Result<Ban, String>)> {
    let text: Box<str> = row.get(1)?;
    Ok((BanId(row.get(0)?), serde_json::from_str(&text).map_err(|error| error.to_string())))
}

/// A ban that somebody else wrote into the file holds for nobody and takes no other with it.
fn readable((id, ban): (BanId, Result<Ban, String>)) -> Option<StoredBan> {
    match ban {
        Ok(ban) => Some(StoredBan { id, ban }),
        Err(error) => {
            error!(ban = id.0, error, "a stored ban can not be read and keeps nobody out; lift it and ban again");
            None
        }
    }
}

/// Bans and lists. An error of each is [`DatabaseError::Sqlite`], the disk's, or [`DatabaseError::Closed`]; what was
/// stored before is then still there.
#[allow(clippy::missing_errors_doc)]
impl Database {
    /// Stores bans and takes others away, all or none; their ids in the same order. One with an id stands in place of
    /// what had it, others get new ones.
    pub async fn keep_bans(
        &self,
        bans: Vec<(Option<BanId>, Ban)>,
        gone: Vec<BanId>,
    ) -> Result<Vec<BanId>, DatabaseError> {
        self.write(move |transaction| {
            let mut lift = transaction.prepare_cached("DELETE FROM bans WHERE id = ?1")?;
            gone.iter().try_for_each(|id| lift.execute([id.0]).map(drop))?;
            let keep = "INSERT OR REPLACE INTO bans (id, until, ban) VALUES (?1, ?2, ?3)";
            let mut keep = transaction.prepare_cached(keep)?;
            let id = |(id, ban): &(Option<BanId>, Ban)| {
                let until = ban.until.map(Timestamp::as_millisecond);
                keep.insert(params![id.map(|id| id.0), until, json(ban)?]).map(BanId)
            };
            bans.iter().map(id).collect()
        })
        .await
    }

    /// One ban, also if its time is over and it was not yet forgotten.
    pub async fn ban(&self, id: BanId) -> Result<Option<StoredBan>, DatabaseError> {
        let found = self.read(move |connection| {
            connection.query_row("SELECT id, ban FROM bans WHERE id = ?1", [id.0], ban).optional()
        });
        Ok(found.await?.and_then(readable))
    }

    /// All bans that are in force at `now`, by id.
    pub async fn bans(&self, now: Timestamp) -> Result<Vec<StoredBan>, DatabaseError> {
        let found = self.read(move |connection| {
            let question = "SELECT id, ban FROM bans WHERE until IS NULL OR until > ?1 ORDER BY id";
            rows(connection, question, [now.as_millisecond()], ban)
        });
        Ok(found.await?.into_iter().filter_map(readable).collect())
    }

    /// Forgets bans whose time is over; how many.
    pub async fn forget_ended(&self, now: Timestamp) -> Result<usize, DatabaseError> {
        self.write(move |transaction| {
            let now = now.as_millisecond();
            transaction.execute("DELETE FROM bans WHERE until <= ?1", [now])
        })
        .await
    }

    /// Notes that somebody is never judged, in place of what was noted of them before.
    pub async fn exempt(&self, exempted: Exempted) -> Result<(), DatabaseError> {
        self.write(move |transaction| {
            let Exempted { who, entry } = &exempted;
            transaction.execute("INSERT OR REPLACE INTO exempt (who, entry) VALUES (?1, ?2)", [who, entry]).map(drop)
        })
        .await
    }

    /// Takes somebody off the exempt list; whether they were on it.
    pub async fn judge_again(&self, who: &str) -> Result<bool, DatabaseError> {
        let who = Box::<str>::from(who);
        self.write(move |transaction| Ok(transaction.execute("DELETE FROM exempt WHERE who = ?1", [&who])? > 0)).await
    }

    /// Who is exempt.
    pub async fn exempted(&self) -> Result<Vec<Exempted>, DatabaseError> {
        self.read(|connection| {
            let question = "SELECT who, entry FROM exempt ORDER BY who";
            rows(connection, question, [], |row| Ok(Exempted { who: row.get(0)?, entry: row.get(1)? }))
        })
        .await
    }

    /// Replaces everything that is from `source`, all at once.
    pub async fn replace_list(&self, source: &str, entries: Vec<ListEntry>) -> Result<(), DatabaseError> {
        let source = Box::<str>::from(source);
        self.write(move |transaction| {
            transaction.execute("DELETE FROM lists WHERE source = ?1", [&source])?;
            entries.iter().try_for_each(|entry| list(transaction, &source, entry))
        })
        .await
    }

    /// Adds or replaces one entry of a source.
    pub async fn list(&self, source: &str, entry: ListEntry) -> Result<(), DatabaseError> {
        let source = Box::<str>::from(source);
        self.write(move |transaction| list(transaction, &source, &entry)).await
    }

    /// Takes one entry of a source away; whether it was there.
    pub async fn unlist(&self, source: &str, item: &str) -> Result<bool, DatabaseError> {
        let names = [Box::<str>::from(source), Box::<str>::from(item)];
        self.write(move |transaction| {
            Ok(transaction.execute("DELETE FROM lists WHERE source = ?1 AND item = ?2", names.each_ref())? > 0)
        })
        .await
    }

    /// All entries of all sources, each after its source.
    pub async fn lists(&self) -> Result<Vec<(Box<str>, ListEntry)>, DatabaseError> {
        self.read(|connection| {
            let question = "SELECT source, item, reason, time FROM lists ORDER BY source, item";
            rows(connection, question, [], |row| {
                Ok((row.get(0)?, ListEntry { item: row.get(1)?, reason: row.get(2)?, time: time(row, 3)? }))
            })
        })
        .await
    }
}

fn list(transaction: &Transaction<'_>, source: &str, entry: &ListEntry) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare_cached("INSERT OR REPLACE INTO lists (source, item, reason, time) VALUES (?1, ?2, ?3, ?4)")?;
    let ListEntry { item, reason, time } = entry;
    insert.execute(params![source, item, reason, time.as_millisecond()]).map(drop)
}

/// What must not be repeated or forgotten over a restart. Errors as above.
#[allow(clippy::missing_errors_doc)]
impl Database {
    /// Keeps what the rules of a room remember, in place of what was kept before.
    pub async fn keep_policy(&self, room: &RoomKey, state: policy::State) -> Result<(), DatabaseError> {
        let room = room.clone();
        self.write(move |transaction| {
            let keep = "INSERT OR REPLACE INTO policies (service, room, state) VALUES (?1, ?2, ?3)";
            transaction.execute(keep, params![&*room.service, &*room.name, json(&state)?]).map(drop)
        })
        .await
    }

    /// What the rules of each room remember. What can not be read is forgotten, and said.
    pub async fn policies(&self) -> Result<Vec<(RoomKey, policy::State)>, DatabaseError> {
        let found = self.read(|connection| {
            rows(connection, "SELECT service, room, state FROM policies ORDER BY service, room", [], |row| {
                Ok((room(row, 0)?, row.get::<_, Box<str>>(2)?))
            })
        });
        let read = |(room, text): (RoomKey, Box<str>)| match serde_json::from_str(&text) {
            Ok(state) => Some((room, state)),
            Err(error) => {
                error!(%room, %error, "what the rules of a room remember can not be read and is forgotten");
                None
            }
        };
        Ok(found.await?.into_iter().filter_map(read).collect())
    }

    /// Notes that we made somebody an outcast of a room, on account of a ban.
    pub async fn keep_outcast(&self, room: &RoomKey, jid: &str) -> Result<(), DatabaseError> {
        let (room, jid) = (room.clone(), Box::<str>::from(jid));
        self.write(move |transaction| {
            let keep = "INSERT OR IGNORE INTO outcasts (service, room, jid) VALUES (?1, ?2, ?3)";
            transaction.execute(keep, params![&*room.service, &*room.name, jid]).map(drop)
        })
        .await
    }

    /// Notes that they are none any more.
    pub async fn forget_outcast(&self, room: &RoomKey, jid: &str) -> Result<(), DatabaseError> {
        let (room, jid) = (room.clone(), Box::<str>::from(jid));
        self.write(move |transaction| {
            let forget = "DELETE FROM outcasts WHERE service = ?1 AND room = ?2 AND jid = ?3";
            transaction.execute(forget, params![&*room.service, &*room.name, jid]).map(drop)
        })
        .await
    }

    /// Whom we made outcasts, and where.
    pub async fn outcasts(&self) -> Result<Vec<(RoomKey, Box<str>)>, DatabaseError> {
        self.read(|connection| {
            let question = "SELECT service, room, jid FROM outcasts ORDER BY service, room, jid";
            rows(connection, question, [], |row| Ok((room(row, 0)?, row.get(2)?)))
        })
        .await
    }
}

/// What was lately done in rooms, and what takes it back. Errors as above.
#[allow(clippy::missing_errors_doc)]
impl Database {
    /// Keeps an action, as JSON; of all rooms the last `most` are kept.
    pub async fn keep_deed(&self, room: &RoomKey, deed: String, most: usize) -> Result<(), DatabaseError> {
        let room = room.clone();
        self.write(move |transaction| {
            let keep = "INSERT INTO deeds (service, room, deed) VALUES (?1, ?2, ?3)";
            transaction.execute(keep, params![&*room.service, &*room.name, deed])?;
            let forget = "DELETE FROM deeds WHERE id <= last_insert_rowid() - ?1";
            transaction.execute(forget, [most]).map(drop)
        })
        .await
    }

    /// All that is kept, oldest first.
    pub async fn deeds(&self) -> Result<Vec<(RoomKey, Box<str>)>, DatabaseError> {
        self.read(|connection| {
            let question = "SELECT service, room, deed FROM deeds ORDER BY id";
            rows(connection, question, [], |row| Ok((room(row, 0)?, row.get(2)?)))
        })
        .await
    }
}

fn audit(row: &Row<'_>) -> rusqlite::Result<(AuditId, Audit)> {
    let audit = Audit {
        time: time(row, 1)?,
        who: row.get(2)?,
        service: row.get(3)?,
        room: row.get(4)?,
        action: row.get(5)?,
        what: row.get(6)?,
        target: row.get(7)?,
        reason: row.get(8)?,
        outcome: row.get(9)?,
    };
    Ok((AuditId(row.get(0)?), audit))
}

const AUDIT: &str = "SELECT id, time, who, service, room, action, what, target, reason, outcome FROM audit";

/// The audit: only added to. Errors as above.
#[allow(clippy::missing_errors_doc)]
impl Database {
    /// Adds an entry.
    pub async fn audit(&self, entry: Audit) -> Result<AuditId, DatabaseError> {
        self.write(move |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO audit (time, who, service, room, action, what, target, reason, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            let Audit { time, who, service, room, action, what, target, reason, outcome } = &entry;
            let time = time.as_millisecond();
            insert.insert(params![time, who, service, room, action, what, target, reason, outcome]).map(AuditId)
        })
        .await
    }

    /// The last `limit` entries, the newest first: of one room, or of all.
    pub async fn audit_of(&self, room: Option<&RoomKey>, limit: usize) -> Result<Vec<(AuditId, Audit)>, DatabaseError> {
        let room = room.cloned();
        self.read(move |connection| match room {
            Some(room) => rows(
                connection,
                &format!("{AUDIT} WHERE service = ?1 AND room = ?2 ORDER BY id DESC LIMIT ?3"),
                params![&*room.service, &*room.name, limit],
                audit,
            ),
            None => rows(connection, &format!("{AUDIT} ORDER BY id DESC LIMIT ?1"), [limit], audit),
        })
        .await
    }

    /// Everything about one action, the oldest first.
    pub async fn audit_of_action(&self, action: &str) -> Result<Vec<(AuditId, Audit)>, DatabaseError> {
        let action = Box::<str>::from(action);
        self.read(move |connection| {
            rows(connection, &format!("{AUDIT} WHERE action = ?1 ORDER BY id"), [action], audit)
        })
        .await
    }
}
