//! Records what goes over connections as redacted HAR files.
//!
//! ```text
//! Transport ⇄ Tap ⇄ session
//!              └─ Tape ─ bounded queue ─ one thread: redact, append to a file
//! ```
//!
//! A session never waits for it: what does not fit into the queue is left out, counted, and named in the file. Whatever
//! goes wrong with the disk is said once in the log and hurts nothing else.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::capture::Direction;
use crate::config::Config;

pub use tap::{Framing, tap};

mod files;
mod tap;
mod writer;

/// Most rows that wait for the disk, and most bytes in them.
const QUEUED_ROWS: usize = 8 * 1024;
const QUEUED_BYTES: usize = 16 * 1024 * 1024;

/// Where and what is recorded of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    folder: PathBuf,
    content: bool,
}

/// One connection's name for people and for its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The service.
    pub service: Arc<str>,
    /// The session's place in the pool.
    pub slot: usize,
    /// Whether this is the short login of a guest's account.
    pub account: bool,
}

/// Begins recordings; shared by all connections.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    /// By service, what is recorded.
    services: Mutex<BTreeMap<String, Settings>>,
    /// A folder for all services that name none.
    everything: Option<PathBuf>,
    queue: SyncSender<Item>,
    /// Bytes in the queue.
    bytes: Arc<AtomicUsize>,
    tapes: AtomicU64,
}

/// What the writing thread is told.
struct Item {
    tape: u64,
    at: Timestamp,
    /// How many rows before this one were left out.
    missed: u64,
    what: What,
}

enum What {
    /// A connection begins; its URL with its secrets.
    Begin { label: Label, settings: Settings, url: String },
    /// An element or what stands for one, with its secrets.
    Said(Direction, String),
    /// Something happened to the connection.
    Event(String),
    /// The connection is over.
    End,
    /// Everything before this is written; say so.
    Flush(SyncSender<()>),
}

impl What {
    fn bytes(&self) -> usize {
        match self {
            What::Said(_, text) | What::Event(text) => text.len(),
            What::Begin { url, .. } => url.len(),
            What::End | What::Flush(_) => 0,
        }
    }
}

impl Recorder {
    /// Starts the writing thread. `everything`: a folder for all services whose configuration names none.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(everything: Option<PathBuf>) -> std::io::Result<Recorder> {
        let (queue, items) = mpsc::sync_channel(QUEUED_ROWS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let written = bytes.clone();
        std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer::run(&items, &written))?;
        let shared = Shared { services: Mutex::default(), everything, queue, bytes, tapes: AtomicU64::new(0) };
        Ok(Recorder { shared: Arc::new(shared) })
    }

    /// Takes what a configuration says; connections that are made from now on heed it.
    pub fn configure(&self, config: &Config) {
        let settings = |service: &crate::config::Service| {
            let folder = service.record.clone().or_else(|| self.shared.everything.clone())?;
            Some((service.name.clone(), Settings { folder, content: service.record_content }))
        };
        let services = config.services.values().filter_map(settings).collect();
        *self.shared.services.lock().unwrap_or_else(PoisonError::into_inner) = services;
    }

    /// Begins the recording of a connection, if its service is recorded. Nothing is written before it says something.
    #[must_use]
    pub fn tape(&self, label: Label, url: String) -> Option<Tape> {
        let settings = {
            let services = self.shared.services.lock().unwrap_or_else(PoisonError::into_inner);
            services.get(&*label.service)?.clone()
        };
        let number = self.shared.tapes.fetch_add(1, Ordering::Relaxed);
        let begin = Some((Timestamp::now(), What::Begin { label, settings, url }));
        Some(Tape { shared: self.shared.clone(), number, begin, missed: 0 })
    }

    /// Waits until what was recorded so far is written, at most so long.
    pub fn finish(&self, wait: Duration) {
        let (done, written) = mpsc::sync_channel(1);
        let flush = Item { tape: u64::MAX, at: Timestamp::now(), missed: 0, what: What::Flush(done) };
        // A queue that is full now is as slow as a disk that does not answer: nobody waits for either.
        if self.shared.queue.try_send(flush).is_ok() {
            let _ = written.recv_timeout(wait);
        }
    }

    /// The folder of a service's recordings.
    #[must_use]
    pub fn folder(&self, service: &str) -> Option<PathBuf> {
        let services = self.shared.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(service).map(|settings| settings.folder.clone())
    }
}

/// The recording of one connection. Its end is the connection's.
pub struct Tape {
    shared: Arc<Shared>,
    number: u64,
    /// What the thread must hear before anything else.
    begin: Option<(Timestamp, What)>,
    missed: u64,
}

impl Tape {
    fn said(&mut self, direction: Direction, text: String) {
        self.put(What::Said(direction, text));
    }

    fn event(&mut self, what: String) {
        self.put(What::Event(what));
    }

    fn put(&mut self, what: What) {
        let now = Timestamp::now();
        if let Some((at, begin)) = self.begin.take()
            && let Err(begin) = self.queue(at, begin)
        {
            self.begin = Some((at, begin));
            self.missed += 1;
            return;
        }
        if self.queue(now, what).is_ok() {
            self.missed = 0;
        } else {
            self.missed += 1;
        }
    }

    fn queue(&self, at: Timestamp, what: What) -> Result<(), What> {
        let bytes = what.bytes();
        if self.shared.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUED_BYTES {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(what);
        }
        let item = Item { tape: self.number, at, missed: self.missed, what };
        self.shared.queue.try_send(item).map_err(|error| {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            let (TrySendError::Full(item) | TrySendError::Disconnected(item)) = error;
            item.what
        })
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if self.begin.is_none() {
            self.put(What::End);
        }
    }
}

/// Says what is odd about a folder that is there already; `None` where nothing is.
///
/// # Errors
/// It can not be used: no folder, or others may put files there.
pub fn look_at(folder: &Path) -> Result<Option<String>, String> {
    files::Folder::look_at(folder)
}

#[cfg(test)]
mod tests;
