//! `events.db`: the record of what happened. Nobody waits for it.
//!
//! A sender counts what is queued and leaves what would be too much; one thread writes what has queued in one
//! transaction. What is lost, to a full queue or a full disk, is counted and said in the log at most once a minute.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::calendar::{Calendar, Kept};
use super::schema::{self, Schema};
use super::{DatabaseError, Limits, Retention, retention};
use crate::event::{Event, EventId, Kind, Stay};

/// Most events in one transaction.
const BATCH: usize = 1_000;
/// What an event takes beside its texts, bytes.
const EVENT_BYTES: usize = 256;
/// How often it is looked whether events have become too old or too many.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Between two steps of removing them, for whoever writes.
const STEP_EVERY: Duration = Duration::from_millis(20);
/// How often what the clock shows is kept.
const NOTE_EVERY: Duration = Duration::from_secs(600);

pub(super) const SCHEMA: Schema = Schema {
    file: "events.db",
    // `events_room` is "one room's last day"; the id in each index is the row's own and costs nothing.
    // A person is written once for each set of names, and found by any of them.
    steps: &[
        "
        CREATE TABLE people (
            id INTEGER PRIMARY KEY,
            nick TEXT NOT NULL,
            display_name TEXT NOT NULL,
            account TEXT NOT NULL,
            occupant_id TEXT NOT NULL,
            UNIQUE (nick, display_name, account, occupant_id)
        );
        CREATE INDEX people_display_name ON people (display_name) WHERE display_name <> '';
        CREATE INDEX people_account ON people (account) WHERE account <> '';
        CREATE INDEX people_occupant_id ON people (occupant_id) WHERE occupant_id <> '';
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            time INTEGER NOT NULL, -- milliseconds since 1970
            service TEXT NOT NULL,
            room TEXT,
            life TEXT,
            kind TEXT NOT NULL,
            person INTEGER REFERENCES people,
            what TEXT NOT NULL -- JSON
        );
        CREATE INDEX events_room ON events (service, room, time);
        CREATE INDEX events_kind ON events (kind, time);
        CREATE INDEX events_person ON events (person, time) WHERE person IS NOT NULL;
    ",
        // Who is inside as far as the record goes: written with the event that says so, and lost with it.
        "
        CREATE TABLE present (
            service TEXT NOT NULL,
            room TEXT NOT NULL,
            nick TEXT NOT NULL,
            life TEXT NOT NULL,
            person TEXT NOT NULL, -- JSON
            PRIMARY KEY (service, room, nick)
        ) WITHOUT ROWID;
    ",
        // What another record had: part of this one, and news to nobody.
        "ALTER TABLE events ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;",
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
    ],
    synchronous: "NORMAL",
    cache_kib: 1_024,
    // It may be gigabytes; what is broken shows when it is touched.
    check: false,
    holds: "the events recorded so far",
};

/// What could not be recorded since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many events.
    pub count: u64,
    /// When the last one was lost, and why.
    pub last: Option<(Timestamp, Box<str>)>,
}

/// What became of events of another record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// They are in this one.
    Taken {
        /// How many are new here.
        new: usize,
        /// How many were here already.
        known: usize,
    },
    /// None was taken: this one is later than all that is recorded here.
    Later(EventId),
}

/// The newest event that is or was in the record.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<EventId> {
    let last: Option<u64> = connection.query_row("SELECT max(id) FROM events", [], |row| row.get(0))?;
    Ok(EventId::from(last.unwrap_or(0)).max(retention::removed(connection)?))
}

/// Lets the file not become larger.
pub(super) fn limit(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    connection.query_row(&format!("PRAGMA max_page_count={}", bytes / page), [], |_| Ok(()))
}

/// An event as it is written.
struct Entry {
    id: EventId,
    time: i64,
    service: Box<str>,
    room: Option<Box<str>>,
    life: Option<Box<str>>,
    kind: Kind,
    person: Option<[Box<str>; 4]>,
    what: String,
    stay: Option<Stayed>,
}

/// What it changes about who is inside.
enum Stayed {
    Here { nick: Box<str>, old_nick: Option<Box<str>>, person: String },
    Gone(Box<str>),
}

impl Entry {
    fn new(event: &Event) -> serde_json::Result<Self> {
        let person = event.what.person().map(|person| {
            let text = |text: Option<&str>| Box::<str>::from(text.unwrap_or_default());
            let (name, id) = (person.display_name.as_deref(), person.occupant_id.as_deref());
            [person.nick.clone(), text(name), text(person.account()), text(id)]
        });
        let stay = match event.what.stay() {
            Some(Stay::Here { person, old_nick }) => Some(Stayed::Here {
                nick: person.nick.clone(),
                old_nick: old_nick.map(Into::into),
                person: serde_json::to_string(person)?,
            }),
            Some(Stay::Gone(nick)) => Some(Stayed::Gone(nick.into())),
            None => None,
        };
        Ok(Entry {
            stay,
            id: event.id,
            time: event.time.as_millisecond(),
            service: event.service.clone(),
            room: event.room.clone(),
            life: event.life.clone(),
            kind: event.what.kind(),
            person,
            what: serde_json::to_string(&event.what)?,
        })
    }

    fn bytes(&self) -> usize {
        let person = self.person.as_ref().map_or(0, |names| names.iter().map(|name| name.len()).sum());
        EVENT_BYTES + self.what.len() + person
    }
}

/// To the thread that writes.
enum Job {
    Record(Box<Entry>),
    Flush(oneshot::Sender<()>),
    Synchronous(oneshot::Sender<i64>),
    Keep(Retention),
    Import(Vec<Entry>, oneshot::Sender<rusqlite::Result<Imported>>),
    Close,
}

/// The sending end.
#[derive(Debug)]
pub(super) struct EventWriter {
    queue: Sender<Job>,
    shared: Arc<Shared>,
    removals: watch::Receiver<EventId>,
}

/// What both ends know.
#[derive(Debug)]
struct Shared {
    limits: Limits,
    queued_events: AtomicUsize,
    queued_bytes: AtomicUsize,
    book: Mutex<Book>,
}

/// The book of losses.
#[derive(Debug, Default)]
struct Book {
    losses: Losses,
    unsaid: u64,
    said: Option<Instant>,
    /// The last loss, until it is said that it is over.
    lost: Option<Instant>,
}

impl EventWriter {
    /// The sending end, and the work of the thread. `last_look` was kept of the clock when it was looked at last, if it was.
    pub(super) fn new(
        connection: Connection,
        folder: &Path,
        limits: Limits,
        last_look: Option<Kept>,
    ) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, queue) = mpsc::channel();
        let (removed, removals) = watch::channel(EventId::default());
        let shared = Arc::new(Shared {
            limits,
            queued_events: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            book: Mutex::default(),
        });
        let scribe = Scribe {
            connection,
            folder: folder.to_owned(),
            shared: shared.clone(),
            keep: limits.keep,
            calendar: Calendar::new(last_look.unwrap_or_else(|| Timestamp::now().into()), Instant::now()),
            noted: None,
            tidy_at: Instant::now(),
            removed,
        };
        (EventWriter { queue: sender, shared, removals }, move || scribe.run(&queue))
    }

    pub(super) fn removals(&self) -> watch::Receiver<EventId> {
        self.removals.clone()
    }

    pub(super) fn record(&self, event: &Event) {
        let entry = match Entry::new(event) {
            Ok(entry) => entry,
            Err(error) => return self.shared.lose(1, &error.to_string()),
        };
        let (bytes, limits) = (entry.bytes(), &self.shared.limits);
        // A little more than the limit gets in when several send at once; that does no harm.
        let full = self.shared.queued_events.load(Ordering::Relaxed) >= limits.queued_events
            || self.shared.queued_bytes.load(Ordering::Relaxed) + bytes > limits.queued_bytes;
        if full {
            return self.shared.lose(1, "the disk is too slow: too many wait to be written");
        }
        self.shared.queued_events.fetch_add(1, Ordering::Relaxed);
        self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.send(Job::Record(Box::new(entry))).is_err() {
            self.shared.lose(1, "the record is closed");
        }
    }

    pub(super) fn losses(&self) -> Losses {
        self.shared.book().losses.clone()
    }

    pub(super) fn flush(&self) -> Result<oneshot::Receiver<()>, DatabaseError> {
        let (done, flushed) = oneshot::channel();
        self.queue.send(Job::Flush(done)).map_err(|_| DatabaseError::Closed)?;
        Ok(flushed)
    }

    pub(super) fn synchronous(&self) -> Result<oneshot::Receiver<i64>, DatabaseError> {
        let (answer, asked) = oneshot::channel();
        self.queue.send(Job::Synchronous(answer)).map_err(|_| DatabaseError::Closed)?;
        Ok(asked)
    }

    pub(super) fn import(
        &self,
        events: &[Event],
    ) -> Result<oneshot::Receiver<rusqlite::Result<Imported>>, DatabaseError> {
        let entries = events
            .iter()
            .map(Entry::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()));
        let (done, imported) = oneshot::channel();
        match entries {
            Ok(entries) => self.queue.send(Job::Import(entries, done)).map_err(|_| DatabaseError::Closed)?,
            Err(error) => drop(done.send(Err(error))),
        }
        Ok(imported)
    }

    /// After the end nothing is removed: fine.
    pub(super) fn keep(&self, keep: Retention) {
        let _ = self.queue.send(Job::Keep(keep));
    }

    /// Closed already is as good.
    pub(super) fn close(&self) {
        let _ = self.queue.send(Job::Close);
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Counting can not panic halfway, so what is behind a poisoned lock is whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, count: u64, why: &str) {
        let mut book = self.book();
        book.losses.count += count;
        book.losses.last = Some((Timestamp::now(), why.into()));
        book.unsaid += count;
        book.lost = Some(Instant::now());
    }

    /// Says what was lost and not said yet, and that it is over when nothing was lost for as long; neither more often than
    /// it should. How long until something is due, if anything is.
    fn say(&self, at_the_end: bool) -> Option<Duration> {
        // The log may be slow, and whoever loses an event meanwhile does not wait for it.
        let turn = self.book().turn(Instant::now(), self.limits.say_losses_every, at_the_end);
        if let Some((lost, Losses { count: since_start, last })) = turn.lost {
            let why = last.as_ref().map_or("", |(_, why)| why);
            error!(lost, since_start, why, "events are not recorded; rooms are held all the same");
        }
        if turn.over {
            info!("events are recorded again");
        }
        turn.wait
    }
}

/// What is to be said of losses.
#[derive(Debug, Default)]
struct Turn {
    /// So many that were not said before, and all.
    lost: Option<(u64, Losses)>,
    /// Nothing is lost any more.
    over: bool,
    /// How long until something is due, if anything is.
    wait: Option<Duration>,
}

impl Book {
    fn turn(&mut self, now: Instant, every: Duration, at_the_end: bool) -> Turn {
        let mut turn = Turn::default();
        if self.unsaid > 0 {
            let due = self.said.map_or(now, |said| said + every);
            if due > now && !at_the_end {
                turn.wait = Some(due - now);
                return turn;
            }
            turn.lost = Some((std::mem::take(&mut self.unsaid), self.losses.clone()));
            self.said = Some(now);
        }
        let Some(over) = self.lost.map(|lost| lost + every) else { return turn };
        if over > now {
            turn.wait = Some(over - now);
        } else {
            self.lost = None;
            turn.over = true;
        }
        turn
    }
}

/// The writing end.
struct Scribe {
    connection: Connection,
    folder: PathBuf,
    shared: Arc<Shared>,
    keep: Retention,
    /// By which events become too old.
    calendar: Calendar,
    /// When it was kept what the clock shows.
    noted: Option<Instant>,
    /// When it is looked for events that are too old or too many.
    tidy_at: Instant,
    /// The last event that was removed, said when there is nothing more to remove.
    removed: watch::Sender<EventId>,
}

impl Scribe {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let due = self.shared.say(false);
            let wait = self.tidy();
            let mut next = match queue.recv_timeout(due.map_or(wait, |due| due.min(wait))) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batch = Vec::new();
            let mut after = None;
            while let Some(job) = next {
                match job {
                    Job::Record(entry) => batch.push(*entry),
                    other => {
                        after = Some(other);
                        break;
                    }
                }
                next = if batch.len() < BATCH { queue.try_recv().ok() } else { None };
            }
            self.write(&batch);
            match after {
                // Nobody waits any more: fine.
                Some(Job::Flush(done)) => {
                    let _ = done.send(());
                }
                Some(Job::Synchronous(answer)) => {
                    if let Ok(value) = self.connection.pragma_query_value(None, "synchronous", |row| row.get(0)) {
                        let _ = answer.send(value);
                    }
                }
                Some(Job::Keep(keep)) => {
                    self.keep = keep;
                    self.tidy_at = Instant::now();
                }
                // The events stand, whether anybody waits or not.
                Some(Job::Import(entries, done)) => drop(done.send(import(&mut self.connection, &entries))),
                Some(Job::Close) => break,
                Some(Job::Record(_)) | None => {}
            }
        }
        self.shared.say(true);
    }

    /// Removes a few events that are too old or too many, when it is time; answers how long until it is again.
    fn tidy(&mut self) -> Duration {
        let left = self.tidy_at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return left;
        }
        let wait = match self.step() {
            Ok(true) => STEP_EVERY,
            Ok(false) => LOOK_EVERY,
            Err(error) => {
                let path = self.folder.join(SCHEMA.file);
                warn!(%error, "old events can not be removed from {}; tried again in a minute", path.display());
                LOOK_EVERY
            }
        };
        self.tidy_at = Instant::now() + wait;
        wait
    }

    /// Whether there may be more to do.
    fn step(&mut self) -> rusqlite::Result<bool> {
        let now = Instant::now();
        let today = self.calendar.look(Timestamp::now(), now);
        if let Some(ahead) = today.jumped {
            let days = ahead.as_secs() / 86_400;
            warn!(
                days,
                "the clock is so far ahead of where it was last; no event is removed for that before it has run on for a day: if this machine was not off for so long, set the clock right"
            );
        }
        if self.noted.is_none_or(|noted| now.duration_since(noted) >= NOTE_EVERY) {
            self.noted = Some(now);
            // Where the disk is full, removing is what helps.
            if let Err(error) = retention::note_look(&mut self.connection, self.calendar.keep(now)) {
                let path = self.folder.join(SCHEMA.file);
                warn!(%error, "what the clock shows can not be kept in {}; tried again in ten minutes", path.display());
            }
        }
        let more = self.keep.step(&mut self.connection, today.time)?;
        if !more {
            let last = retention::removed(&self.connection)?;
            self.removed.send_if_modified(|known| std::mem::replace(known, last) != last);
        }
        Ok(more)
    }

    fn write(&mut self, batch: &[Entry]) {
        if batch.is_empty() {
            return;
        }
        let mut written = write(&mut self.connection, batch);
        if let Err(error) = &written
            && schema::is_broken(error)
            && self.begin_anew()
        {
            written = write(&mut self.connection, batch);
        }
        self.shared.queued_events.fetch_sub(batch.len(), Ordering::Relaxed);
        self.shared.queued_bytes.fetch_sub(batch.iter().map(Entry::bytes).sum(), Ordering::Relaxed);
        if let Err(error) = written {
            let path = self.folder.join(SCHEMA.file);
            self.shared.lose(batch.len() as u64, &format!("{}: {error}", path.display()));
        }
    }

    /// Keeps a file aside that broke while it was in use, and goes on in a new one.
    fn begin_anew(&mut self) -> bool {
        let closed = Connection::open_in_memory().map(|nothing| drop(std::mem::replace(&mut self.connection, nothing)));
        let opened = closed.map_err(|error| error.to_string()).and_then(|()| {
            let (connection, warnings) = schema::begin_anew(&self.folder, SCHEMA).map_err(|error| error.to_string())?;
            let bytes = self.shared.limits.events_bytes;
            bytes.map_or(Ok(()), |bytes| limit(&connection, bytes)).map_err(|error| error.to_string())?;
            Ok((connection, warnings))
        });
        match opened {
            Ok((connection, warnings)) => {
                self.connection = connection;
                self.noted = None;
                warnings.iter().for_each(|warning| error!("{warning}"));
                true
            }
            Err(why) => {
                error!(why, "the record of events broke and no new one can be made; no events are recorded");
                false
            }
        }
    }
}

/// Writes all, or nothing. `IMMEDIATE`, since a transaction that begins by reading is not let wait for a lock later.
fn write(connection: &mut Connection, batch: &[Entry]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        // An event that comes twice is one event.
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO events (id, time, service, room, life, kind, person, what)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for entry in batch {
            let Entry { id, time, service, room, life, kind, person, what, stay } = entry;
            let person = person.as_ref().map(|names| somebody(&transaction, names)).transpose()?;
            let new = insert.execute(params![id.number(), time, service, room, life, kind.as_str(), person, what])? > 0;
            if let (true, Some(stay), Some(room), Some(life)) = (new, stay, room, life) {
                present(&transaction, service, room, life, stay)?;
            }
        }
    }
    transaction.commit()
}

/// Whoever has these names.
fn somebody(transaction: &Transaction<'_>, names: &[Box<str>; 4]) -> rusqlite::Result<i64> {
    let mut known = transaction.prepare_cached(
        "SELECT id FROM people WHERE nick = ?1 AND display_name = ?2 AND account = ?3 AND occupant_id = ?4",
    )?;
    if let Some(id) = known.query_row(names.each_ref(), |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let mut new = transaction.prepare_cached(
        "INSERT INTO people (nick, display_name, account, occupant_id) VALUES (?1, ?2, ?3, ?4) RETURNING id",
    )?;
    new.query_row(names.each_ref(), |row| row.get(0))
}

/// Adds what another record has; nobody is inside by it, and it is marked, so that nobody is told of it as if it happened
/// now. All, or nothing where one is later than all that is here: ids go on from the newest.
fn import(connection: &mut Connection, entries: &[Entry]) -> rusqlite::Result<Imported> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest = last(&transaction)?;
    if let Some(later) = entries.iter().find(|entry| entry.id > newest) {
        return Ok(Imported::Later(later.id));
    }
    let (mut new, mut known) = (0, 0);
    {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO events (id, time, service, room, life, kind, person, what, imported)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)",
        )?;
        let mut same = transaction.prepare_cached(
            "SELECT time = ?2 AND service = ?3 AND room IS ?4 AND what = ?5 FROM events WHERE id = ?1",
        )?;
        for Entry { id, time, service, room, life, kind, person, what, .. } in entries {
            let mut number = id.number();
            // Another daemon may have given this id to something else.
            let here = loop {
                match same.query_row(params![number, time, service, room, what], |row| row.get(0)).optional()? {
                    // Beyond is the place of what happens next.
                    Some(false) if number >= newest.number() => return Ok(Imported::Later(*id)),
                    Some(false) => number += 1,
                    Some(true) => break true,
                    None => break false,
                }
            };
            if here {
                known += 1;
                continue;
            }
            let person = person.as_ref().map(|names| somebody(&transaction, names)).transpose()?;
            insert.execute(params![number, time, service, room, life, kind.as_str(), person, what])?;
            new += 1;
        }
    }
    transaction.commit()?;
    Ok(Imported::Taken { new, known })
}

/// As [`crate::event::Present::note`] does it.
fn present(
    transaction: &Transaction<'_>,
    service: &str,
    room: &str,
    life: &str,
    stay: &Stayed,
) -> rusqlite::Result<()> {
    match stay {
        Stayed::Here { nick, old_nick, person } => {
            let mut clear = transaction
                .prepare_cached("DELETE FROM present WHERE service = ?1 AND room = ?2 AND (life <> ?3 OR nick = ?4)")?;
            clear.execute(params![service, room, life, old_nick])?;
            let mut here = transaction.prepare_cached(
                "INSERT OR REPLACE INTO present (service, room, nick, life, person) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            here.execute(params![service, room, nick, life, person]).map(drop)
        }
        Stayed::Gone(nick) => {
            let mut gone = transaction
                .prepare_cached("DELETE FROM present WHERE service = ?1 AND room = ?2 AND life = ?3 AND nick = ?4")?;
            gone.execute(params![service, room, life, nick]).map(drop)
        }
    }
}
