//! Plays the server's side of a capture to innkeeper's real client.
//!
//! ```text
//! capture ─ facts ─ configuration ─ supervisor ⇄ session ⇄ WebSocket ⇄ play ─ comparison ─ report
//! ```
//!
//! The server says what it said in the recording as soon as the client has said what the recorded one had said before
//! that. Logins by SCRAM are real, with a password made up for the replay; ids are translated. Pauses are not kept.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::connect::connectors;
use super::recorder::Recorder;
use super::supervisor::{self, Setup, Signal};
use crate::capture::equiv::{Line, Report, Verdict};
use crate::capture::{Connection, Dialogue};
use crate::config::Secret;
use crate::event::EventId;
use crate::runtime::bus::Bus;
use crate::sinks::webhook::office::Office;
use crate::store::{Database, DatabaseError, Limits, Store, StoreError};
use facts::Run;

mod facts;
mod play;
mod scram;

/// How long one run may take altogether.
const RUN: Duration = Duration::from_secs(180);
/// How long a connection that must come may take to come.
const CONNECT: Duration = Duration::from_secs(20);
/// How long the client may take to end.
const END: Duration = Duration::from_secs(6);

/// Why a capture can not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It has no connection on which a client opened a stream.
    #[error("the capture shows no client that opens a stream")]
    NoClient,
    /// What it says makes no service.
    #[error("{0}")]
    NoService(String),
    /// No port, no thread, no folder.
    #[error("the replay can not be set up")]
    Io(#[from] std::io::Error),
    /// The folder of the replayed client.
    #[error("the replay can not be set up")]
    Store(#[from] StoreError),
    /// The client's databases can not be made.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Plays a dialogue; one report for each of its connections on which a client said something, in their order, and one
/// for each connection that the client made beyond them.
///
/// # Errors
/// The dialogue has no client, or nothing can be set up.
pub async fn replay(dialogue: &Dialogue) -> Result<Vec<Report>, ReplayError> {
    let runs = facts::runs(dialogue);
    if runs.is_empty() {
        return Err(ReplayError::NoClient);
    }
    let mut reports: Vec<(usize, Report)> = Vec::new();
    for run in &runs {
        reports.extend(play_run(dialogue, run).await?);
    }
    reports.sort_by_key(|(number, _)| *number);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

/// What the connections of a run share.
struct Stage {
    /// Connections that the client has not made yet.
    waiting: Mutex<VecDeque<(usize, String, Connection)>>,
    reports: Mutex<Vec<(usize, Report)>>,
    /// Something above changed.
    changed: Notify,
    password: Secret,
}

impl Stage {
    /// The recorded connection that a stream to that domain belongs to.
    fn take(&self, domain: &str) -> Option<(usize, Connection)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().position(|(_, recorded, _)| recorded == domain)?;
        waiting.remove(at).map(|(number, _, connection)| (number, connection))
    }

    fn report(&self, number: usize, report: Report) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push((number, report));
        self.changed.notify_one();
    }

    fn reported(&self) -> usize {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter().filter(|(number, _)| *number != usize::MAX).count()
    }
}

async fn play_run(dialogue: &Dialogue, run: &Run) -> Result<Vec<(usize, Report)>, ReplayError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let folder = Folder::make()?;
    // A token is read anew for each connection.
    std::fs::write(folder.0.join("token"), facts::TOKEN)?;
    let password = super::random_hex(16);
    let config = run.config(listener.local_addr()?.port(), &folder.0, &password).map_err(ReplayError::NoService)?;
    let (store, mut state, _) = Store::open(&folder.0)?;
    let (database, _) = Database::open(&store, Limits::default())?;
    state.services.insert(facts::SERVICE.to_owned(), run.kept());
    let waiting = run
        .connections
        .iter()
        .zip(&run.facts)
        .map(|(number, facts)| (*number, facts.domain.clone(), play::script(&dialogue.connections[*number])));
    let stage = Arc::new(Stage {
        waiting: Mutex::new(waiting.collect()),
        reports: Mutex::default(),
        changed: Notify::new(),
        password: Secret::new(password),
    });
    let server = tokio::spawn(play::serve(listener, stage.clone()));
    let (_asked, commands) = mpsc::channel(1);
    let (told, signals) = mpsc::channel(1);
    let bus = Bus::new(EventId::default(), None);
    let setup = Setup {
        config,
        store,
        state,
        database: database.clone(),
        load: Arc::new(|| Err(vec!["a replay has no configuration to read again".to_owned()])),
        connect: Box::new(connectors),
        recorder: Recorder::start(None)?,
        webhooks: Office::new(database.clone(), bus.clone()),
        bus,
        questions: Arc::default(),
        avchats: tokio::sync::watch::Sender::new(Arc::from([])),
        reservations: tokio::sync::watch::Sender::new(Arc::from([])),
        lines: tokio::sync::watch::Sender::new(Arc::from([])),
        http: None,
    };
    // The supervisor's future is not to be sent to another thread, so it is polled here beside the wait.
    let client = supervisor::run(setup, commands, signals);
    tokio::pin!(client);
    let wanted = run.connections.len();
    let over = async {
        while stage.reported() < wanted {
            // A connection that is being played reports in bounded time; one that does not come is not waited for.
            if timeout(CONNECT, stage.changed.notified()).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = &mut client => {}
        _ = timeout(RUN, over) => {
            // It is running: there is room for the one signal.
            let _ = told.send(Signal::Stop).await;
            let _ = timeout(END, &mut client).await;
        }
    }
    server.abort();
    database.close().await;
    let mut reports = std::mem::take(&mut *stage.reports.lock().unwrap_or_else(PoisonError::into_inner));
    let left = std::mem::take(&mut *stage.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    for (number, domain, _) in left {
        reports.push((number, never(&format!("connection to {domain}"), "innkeeper does not make it")));
    }
    Ok(reports)
}

/// A report of one thing that is different.
fn never(what: &str, why: &str) -> Report {
    let verdict = Verdict::Different(why.to_owned());
    Report { lines: vec![Line { place: None, what: what.to_owned(), verdict }] }
}

/// The client's state, for as long as it runs.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("innkeeper-replay-{}", super::random_hex(8)));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is an empty state in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
