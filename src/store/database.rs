//! The handle on both databases.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

use super::events::{self, EventWriter, Imported, Losses};
use super::state::FolderLock;
use super::writer::{self, Work, Write};
use super::{Retention, Store, policy, retention, schema};
use crate::event::{Event, EventId};

/// How many read at once; each has a connection of its own while it reads.
const READERS: usize = 2;

/// How many of them search for people who ask, so that a long search holds up nothing but other searches.
const SEARCHES: usize = READERS - 1;

/// Why something can not be stored or read. Cheap to clone: everybody in a batch hears it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// A newer program wrote the file.
    #[error("{} was written by a newer innkeeper (schema {version}, this one knows {known}); start that one again, or move the file away to begin anew", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: usize,
        /// The newest version that we know.
        known: usize,
    },
    /// The file can not be made or moved.
    #[error("{}: {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it did not work.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The file can not be opened, read or written.
    #[error("{}: {what}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it did not work.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// A file just made is already broken: the disk is.
    #[error("{}: a file just made is broken ({what}); look at the disk", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is broken.
        what: String,
    },
    /// The databases were closed meanwhile: the daemon ends.
    #[error("the databases are closed already, the daemon is ending")]
    Closed,
}

/// Bounds that the daemon does not exceed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most events that wait to be written.
    pub queued_events: usize,
    /// Most bytes of them.
    pub queued_bytes: usize,
    /// The largest `events.db` may become, bytes; beyond it is as a full disk.
    pub events_bytes: Option<u64>,
    /// How much of what happened is kept; all, when nothing else is said.
    pub keep: Retention,
    /// How often lost events are said.
    pub say_losses_every: Duration,
    /// How long a question to the stored record may take.
    pub read_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queued_events: 16_384,
            queued_bytes: 8 * 1024 * 1024,
            events_bytes: None,
            keep: Retention::default(),
            say_losses_every: Duration::from_secs(60),
            read_for: Duration::from_secs(10),
        }
    }
}

/// Both databases, open. Clones are handles on the same.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    events: EventWriter,
    policy: mpsc::Sender<Box<dyn Work>>,
    events_path: PathBuf,
    policy_path: PathBuf,
    read_for: Duration,
    readers: Semaphore,
    searches: Semaphore,
    last_event: EventId,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The folder is ours while the files are open.
    _lock: Arc<FolderLock>,
}

impl std::fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Database {
    /// Opens both files in the state folder, makes them where there are none, and starts a writer for each. The texts
    /// are warnings to be said loudly.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`] if a newer program wrote one of them; others if one can not be made or read.
    pub fn open(store: &Store, limits: Limits) -> Result<(Database, Vec<String>), DatabaseError> {
        let folder = store.folder();
        let (policy, mut warnings) = schema::open(folder, policy::SCHEMA)?;
        let (events, more) = schema::open(folder, events::SCHEMA)?;
        warnings.extend(more);
        let (policy_path, events_path) = (folder.join(policy::SCHEMA.file), folder.join(events::SCHEMA.file));
        let fail = |source: rusqlite::Error| DatabaseError::Sqlite {
            path: events_path.clone(),
            what: "can not be read",
            source: source.into(),
        };
        let last_event = events::last(&events).map_err(fail)?;
        let last_look = retention::last_look(&events).map_err(fail)?;
        if let Some(bytes) = limits.events_bytes {
            events::limit(&events, bytes).map_err(fail)?;
        }
        let (sender, queue) = mpsc::channel(writer::QUEUE);
        let path = policy_path.clone();
        let writes = spawn("policy-db", &policy_path, move || writer::run(policy, path, queue))?;
        let (events, work) = EventWriter::new(events, folder, limits, last_look);
        let records = spawn("events-db", &events_path, work)?;
        let inner = Inner {
            events,
            policy: sender,
            events_path,
            policy_path,
            read_for: limits.read_for,
            readers: Semaphore::new(READERS),
            searches: Semaphore::new(SEARCHES),
            last_event,
            threads: Mutex::new(vec![writes, records]),
            _lock: store.lock(),
        };
        Ok((Database { inner: Arc::new(inner) }, warnings))
    }

    /// Records an event; never waits. What finds no place, or can not be written, is counted in
    /// [`Database::losses`] and said in the log.
    pub fn record(&self, event: &Event) {
        self.inner.events.record(event);
    }

    /// What could not be recorded since the start.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.inner.events.losses()
    }

    /// Waits for the turn of a search that people ask for: it may be long, and there may be many. The turn ends when it
    /// is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed; whoever searches closed files is told so.
        self.inner.searches.acquire().await.ok()
    }

    /// Adds events of another record, all or none. Whoever is inside is not changed by them.
    ///
    /// # Errors
    /// They can not be written.
    pub async fn import(&self, events: &[Event]) -> Result<Imported, DatabaseError> {
        let imported = self.inner.events.import(events)?.await.map_err(|_| DatabaseError::Closed)?;
        imported.map_err(|source| DatabaseError::Sqlite {
            path: self.inner.events_path.clone(),
            what: "not stored",
            source: source.into(),
        })
    }

    /// Keeps so much of what happened from now on. What is too old or too much goes step by step.
    pub fn keep(&self, keep: Retention) {
        self.inner.events.keep(keep);
    }

    /// The last event that was removed from the record, as it changes.
    #[must_use]
    pub fn removals(&self) -> watch::Receiver<EventId> {
        self.inner.events.removals()
    }

    /// The newest event that was ever in the record when it was opened: ids go on from it.
    #[must_use]
    pub fn last_event(&self) -> EventId {
        self.inner.last_event
    }

    /// Returns when every event recorded so far is written, or lost and counted.
    ///
    /// # Errors
    /// [`DatabaseError::Closed`]
    pub async fn flush(&self) -> Result<(), DatabaseError> {
        self.inner.events.flush()?.await.map_err(|_| DatabaseError::Closed)
    }

    /// Writes what has queued and closes both files; other handles find them closed.
    pub async fn close(&self) {
        self.inner.events.close();
        // The channel ends when a writer sees this; what was asked before is written first.
        let (done, closed) = oneshot::channel();
        if self.inner.policy.send(Box::new(writer::Last(done))).await.is_ok() {
            let _ = closed.await;
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let join = || threads.into_iter().for_each(|thread| drop(thread.join()));
        // A panic in a writer was said by the panic hook.
        let _ = tokio::task::spawn_blocking(join).await;
    }

    /// How much each live connection that writes waits for the disk, as its pragma `synchronous` says: events, then
    /// policy. 1 is `NORMAL`, 2 is `FULL`.
    ///
    /// # Errors
    /// [`DatabaseError::Closed`], or the file can not be read.
    pub async fn synchronous(&self) -> Result<(i64, i64), DatabaseError> {
        let policy = self.write(|connection| connection.pragma_query_value(None, "synchronous", |row| row.get(0)));
        let events = self.inner.events.synchronous()?;
        Ok((events.await.map_err(|_| DatabaseError::Closed)?, policy.await?))
    }

    /// Runs `write` in a transaction on `policy.db` and returns when that is on the disk. It may run twice: the first
    /// run was then rolled back. Who stops waiting does not stop it.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        self.inner.policy.send(Box::new(Write::new(write, done))).await.map_err(|_| DatabaseError::Closed)?;
        answer.await.map_err(|_| DatabaseError::Closed)?
    }

    /// Asks `policy.db`, with everything in it that was acknowledged.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask(&self.inner.policy_path, read).await
    }

    /// Asks `events.db`.
    pub(super) async fn read_events<T, F>(&self, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask(&self.inner.events_path, read).await
    }

    /// On a thread for blocking work and a connection of its own, so that nothing is kept while nobody reads.
    async fn ask<T, F>(&self, path: &Path, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let _turn = self.inner.readers.acquire().await.map_err(|_| DatabaseError::Closed)?;
        let (file, until) = (path.to_owned(), Instant::now() + self.inner.read_for);
        let answer = tokio::task::spawn_blocking(move || {
            let mut connection = schema::read(&file)?;
            connection.progress_handler(10_000, Some(move || Instant::now() > until))?;
            read(&connection)
        });
        let answer = answer.await.map_err(|_| DatabaseError::Closed)?;
        answer.map_err(|source| {
            let late = source.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted);
            let what = if late { "took too long to search; ask for less" } else { "can not be read" };
            DatabaseError::Sqlite { path: path.to_owned(), what, source: source.into() }
        })
    }
}

fn spawn(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DatabaseError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|source| DatabaseError::Io {
        path: path.to_owned(),
        what: "no thread to write it",
        source: source.into(),
    })
}

#[cfg(test)]
impl Database {
    /// Databases of a test, in a folder that nobody else has.
    pub(crate) fn of_test(folder: &Path) -> Database {
        let store = Store::open(folder).expect("a folder of our own").0;
        Database::open(&store, Limits::default()).expect("databases").0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    #[tokio::test]
    async fn searches_of_people_leave_a_reader_to_everything_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_test(folder.path());
        let turn = database.turn().await;
        let mut next = Box::pin(database.turn());
        assert!(futures_util::poll!(&mut next).is_pending());
        assert!(
            database.inner.readers.try_acquire_many(1).is_ok_and(|_| database.inner.readers.available_permits() > 0)
        );
        assert!(database.events(Filter::default()).await.is_ok());
        drop(turn);
        assert!(next.await.is_some());
        database.close().await;
    }
}
