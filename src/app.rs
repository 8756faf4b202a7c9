//! Composition: reads the files, opens the state and the control socket, and starts what holds the rooms.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::cli::Exit;
use crate::config::{self, Config, File, Files, Input, Problem, Rulebook};
use crate::control::reservations::Desks;
use crate::control::{self, Gate, Groups, Listener, avchat, http, line};
use crate::runtime::bus::Bus;
use crate::runtime::connect::connectors;
use crate::runtime::files::Disk;
use crate::runtime::questions::Questions;
use crate::runtime::recorder::{self, Recorder};
use crate::runtime::supervisor::{self, Setup, Signal};
use crate::sinks::webhook::office::Office;
use crate::store::{Database, Limits, Retention, Store};

/// How long the end waits for the last recordings to be written.
const RECORDED: Duration = Duration::from_millis(500);

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems {
    /// The folder of the main file.
    pub folder: PathBuf,
    /// What is wrong, by file and line.
    pub problems: Vec<Problem>,
}

/// Reads and checks the configuration: the main file, `rooms.d/*.toml` beside it, the environment.
///
/// # Errors
/// All problems at once, unreadable files included.
pub fn load(path: &Path, offline: bool) -> Result<Config, Problems> {
    let folder = folder_of(path);
    let (files, mut problems) = read_files(path, &folder);
    if files.is_empty() {
        return Err(Problems { folder, problems });
    }
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let input = Input { files, env: env.collect(), base: folder.clone(), offline, secrets: &Disk };
    match config::check(&input) {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(Problems { folder, problems }),
        Err(more) => {
            problems.extend(more);
            Err(Problems { folder, problems })
        }
    }
}

/// Reads the rules in one file, which may be a whole configuration or nothing but rules.
///
/// # Errors
/// All problems at once; or that the file can not be read.
pub fn rulebook(path: &Path) -> Result<Rulebook, Problems> {
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = match read_text(path) {
        Ok(text) => text,
        Err(what) => return Err(Problems { folder, problems: vec![Problem::of_file(&name, what)] }),
    };
    let files = vec![File { name, text }];
    let input = Input { files, env: Vec::new(), base: folder.clone(), offline: true, secrets: &Disk };
    config::rulebook(&input).map_err(|problems| Problems { folder, problems })
}

/// The folder of a file, so that what is relative stays right, and problems name a folder that can be found.
fn folder_of(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::canonicalize(&folder).unwrap_or(folder)
}

/// The texts in their order. No text at all means that the main file can not be read.
fn read_files(path: &Path, folder: &Path) -> (Vec<File>, Vec<Problem>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match read_text(path) {
        Ok(text) => files.push(File { name, text }),
        Err(what) => {
            problems.push(Problem::of_file(&path.display().to_string(), format!("{what}; --config names another")));
            return (files, problems);
        }
    }
    let drop_ins = folder.join("rooms.d");
    let mut names = Vec::new();
    match fs::read_dir(&drop_ins) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => names.push(entry.file_name()),
                    Err(error) => problems.push(Problem::of_file("rooms.d", error.to_string())),
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(Problem::of_file("rooms.d", error.to_string())),
    }
    names.sort();
    for name in names {
        let shown = name.to_string_lossy();
        if !shown.ends_with(".toml") || shown.starts_with('.') {
            continue;
        }
        let shown = format!("rooms.d/{shown}");
        match read_text(&drop_ins.join(&name)) {
            Ok(text) => files.push(File { name: shown, text }),
            Err(what) => problems.push(Problem::of_file(&shown, what)),
        }
    }
    (files, problems)
}

fn read_text(path: &Path) -> Result<String, String> {
    let content = Disk.read(path)?;
    String::from_utf8(content.bytes).map_err(|_| "not UTF-8 text".to_owned())
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// `record`: a folder for recordings of all services that name none.
pub async fn run(path: &Path, record: Option<PathBuf>) -> ExitCode {
    let config = match load(path, false) {
        Ok(config) => config,
        Err(problems) => {
            say(&problems);
            return Exit::Configuration.into();
        }
    };
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // The lock comes first: it is what makes it safe to take over the socket.
    let (store, state, warnings) = match Store::open(&config.state_dir) {
        Ok(opened) => opened,
        Err(error) => {
            error!("{:#}", anyhow::Error::new(error));
            return Exit::Failed.into();
        }
    };
    let (database, more) = match Database::open(&store, Limits { keep: Retention::of(&config), ..Limits::default() }) {
        Ok(opened) => opened,
        Err(error) => {
            error!("{:#}", anyhow::Error::new(error));
            return Exit::Failed.into();
        }
    };
    for warning in warnings.into_iter().chain(more) {
        error!("{warning}");
    }
    let listener = match Listener::bind(&config.control_socket, Groups::of_this_machine(), &store) {
        Ok((listener, warnings)) => {
            for warning in warnings {
                warn!("{warning}");
            }
            listener
        }
        Err(error) => {
            error!("{:#}", anyhow::Error::new(error));
            return Exit::Failed.into();
        }
    };
    let web = match &config.http {
        None => None,
        Some(http) => match http::Listener::bind(http).await {
            Ok(listener) => Some((listener, watch::Sender::new(Arc::new(http.clone())))),
            Err(error) => {
                error!("{:#}", anyhow::Error::new(error));
                return Exit::Failed.into();
            }
        },
    };
    let ends = match line::Ends::open(&config.lines).await {
        Ok(ends) => ends,
        Err(error) => {
            error!("{:#}", anyhow::Error::new(error));
            return Exit::Failed.into();
        }
    };
    let desks = match Desks::open(&config.reservations).await {
        Ok(desks) => desks,
        Err(error) => {
            error!("reservations: {:#}", anyhow::Error::new(error));
            return Exit::Failed.into();
        }
    };
    let recorder = match recorder(&config, record) {
        Ok(recorder) => recorder,
        Err(error) => {
            error!("no thread for recordings: {error}");
            return Exit::Failed.into();
        }
    };
    let (Ok(term), Ok(int), Ok(hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        error!("the kernel gives no signals");
        return Exit::Failed.into();
    };
    let (asked, commands) = mpsc::channel(32);
    let gate = Arc::new(Gate::new(asked));
    let (told, signals) = mpsc::channel(4);
    let again = path.to_owned();
    let bus = Bus::new(database.last_event().next(Timestamp::now()), Some(database.clone()));
    let (web, told_http) = match web {
        None => (None, None),
        Some((listener, told)) => {
            let shared = http::Shared::new(gate.clone(), bus.clone(), told.subscribe());
            (Some(tokio::spawn(listener.serve(shared))), Some(told))
        }
    };
    let lines = watch::Sender::new(config.lines.as_slice().into());
    let questions = Arc::new(Questions::default());
    let shared = line::Shared::new(gate.clone(), bus.clone(), questions.clone(), lines.subscribe());
    let avchats = watch::Sender::new(config.avchats.as_slice().into());
    let games = tokio::spawn(avchat::serve(avchats.subscribe(), gate.clone()));
    let reservations = watch::Sender::new(config.reservations.as_slice().into());
    let desks = tokio::spawn(desks.serve(gate.clone(), reservations.subscribe()));
    let lined = tokio::spawn(ends.serve(shared));
    let setup = Setup {
        config,
        store,
        state,
        database: database.clone(),
        load: Arc::new(move || load(&again, false).map_err(|problems| sentences(&problems))),
        connect: Box::new(connectors),
        recorder: recorder.clone(),
        webhooks: Office::new(database.clone(), bus.clone()),
        bus: bus.clone(),
        http: told_http,
        lines,
        avchats,
        reservations,
        questions,
    };
    tokio::spawn(pass_signals(term, int, hup, told));
    let control = tokio::spawn(control::serve(listener, gate, bus));
    supervisor::run(setup, commands, signals).await;
    database.close().await;
    // The sockets go with their task.
    for task in [Some(control), Some(lined), Some(games), Some(desks), web].into_iter().flatten() {
        task.abort();
        let _ = task.await;
    }
    recorder.finish(RECORDED);
    Exit::Done.into()
}

/// Starts what records, and says where.
fn recorder(config: &Config, everything: Option<PathBuf>) -> std::io::Result<Recorder> {
    let recorder = Recorder::start(everything)?;
    recorder.configure(config);
    for service in config.services.keys() {
        let Some(folder) = recorder.folder(service) else { continue };
        let shown = folder.display();
        match recorder::look_at(&folder) {
            Ok(odd) => {
                info!(%service, folder = %shown, "recording what goes over its connections, redacted");
                if let Some(odd) = odd {
                    warn!(%service, "{odd}");
                }
            }
            Err(error) => warn!(%service, folder = %shown, error, "not recording; rooms are held all the same"),
        }
    }
    Ok(recorder)
}

/// SIGHUP reads the configuration again; SIGTERM and SIGINT end the daemon.
async fn pass_signals(mut term: Signals, mut int: Signals, mut hup: Signals, told: mpsc::Sender<Signal>) {
    loop {
        let signal = tokio::select! {
            _ = term.recv() => Signal::Stop,
            _ = int.recv() => Signal::Stop,
            _ = hup.recv() => Signal::Reload,
        };
        if told.send(signal).await.is_err() {
            return;
        }
    }
}

/// Every problem as one sentence with its place.
fn sentences(problems: &Problems) -> Vec<String> {
    problems.problems.iter().map(ToString::to_string).collect()
}

/// Says every problem in the log, one line each.
pub fn say(problems: &Problems) {
    for problem in &problems.problems {
        error!(folder = %problems.folder.display(), "{problem}");
    }
}
