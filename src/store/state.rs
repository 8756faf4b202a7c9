//! One small file, written whole, and the lock that lets one daemon own the folder.
//!
//! `state.json` is replaced by write, fsync, rename, fsync of the folder: a crash at any moment leaves the old state or
//! the new one. A file that can not be read is kept aside under another name, and the daemon goes on without it.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::booking::Booking;
use crate::config::RoomKey;
use crate::desired::{List, Override, Overrides, Says};
use crate::stream::LastLogin;

/// The version that this program writes.
const VERSION: u32 = 1;
/// Larger than any state we write; what is larger is not ours.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
const STATE: &str = "state.json";
const TEMPORARY: &str = "state.json.new";
const LOCK: &str = "lock";

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What people said about rooms.
    pub overrides: Overrides,
    /// What each service needs again, by name.
    pub services: BTreeMap<String, ServiceState>,
}

/// What a service needs again after a restart.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The login that last worked, to notice a weaker one.
    pub last_login: Option<LastLogin>,
    /// The same for the account's short logins, where guests hold the rooms.
    #[serde(default)]
    pub last_account_login: Option<LastLogin>,
    /// The session-id of each session slot of guests, as a browser keeps it: while the focus knows it, the account need
    /// not log in again. Not for logs. Never one of `login = "token"`: those live for a minute.
    #[serde(default)]
    pub session_ids: BTreeMap<usize, String>,
    /// For which account, on which host, at which focus those session-ids are; with another they are dropped.
    #[serde(default)]
    pub session_owner: Option<String>,
    /// Jitsi's machine-uid of each session slot: the focus knows a session again by it. Not for logs.
    #[serde(default)]
    pub machine_uids: BTreeMap<usize, String>,
}

impl fmt::Debug for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceState")
            .field("last_login", &self.last_login)
            .field("last_account_login", &self.last_account_login)
            .field("session_ids", &format_args!("[{} secrets]", self.session_ids.len()))
            .field("session_owner", &self.session_owner)
            .field("machine_uids", &format_args!("[{} secrets]", self.machine_uids.len()))
            .finish()
    }
}

/// Why the state folder can not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon owns the folder.
    #[error("another innkeeper{} already works with {}; stop it first", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other one's process id, as it wrote it.
        pid: Option<u32>,
    },
    /// The folder can not be made, read or written.
    #[error("{}: {what}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it did not work.
        source: io::Error,
    },
}

/// The state folder, owned by this process alone while it lives.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// That the folder is ours.
    lock: Arc<FolderLock>,
}

/// The lock on the folder, held until this is dropped; the kernel takes it back when the process ends, however it ends.
///
/// Closing the file is not enough to give it back: a process that is being started has its own copy of every open file
/// until it runs its program, and the lock stays for as long as one copy is open.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // If it can not be given back now, closing the file does it.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Store {
    /// Takes the folder for this process and reads what it holds. The texts are warnings to be said loudly.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another daemon has it; [`StoreError::Io`] if it can not be used.
    pub fn open(folder: &Path) -> Result<(Store, State, Vec<String>), StoreError> {
        let fail = |path: &Path, what| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, what, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail(folder, "no state folder"))?;
        let path = folder.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail(&path, "no lock file"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&lock).take(32).read_to_string(&mut text);
                return Err(StoreError::Locked { folder: folder.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(errno) => return Err(fail(&path, "no lock")(errno.into())),
        }
        let write_pid = |lock: &mut File| -> io::Result<()> {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write_pid(&mut lock).map_err(fail(&path, "not writable"))?;

        let store = Store { folder: folder.to_owned(), lock: Arc::new(FolderLock(lock)) };
        let mut warnings = Vec::new();
        // Left behind by a crash in the middle of writing; the state beside it is whole.
        let _ = fs::remove_file(folder.join(TEMPORARY));
        let path = folder.join(STATE);
        let state = match read(&path) {
            Ok(None) => State::default(),
            Ok(Some(Ok(state))) => state,
            Ok(Some(Err(what))) => {
                let aside = folder.join(format!("{STATE}.broken-{}", Timestamp::now().as_millisecond()));
                fs::rename(&path, &aside).map_err(fail(&path, "broken, and it can not be kept aside"))?;
                warnings.push(format!(
                    "{} is broken ({what}): holds, releases and suspensions said on the command line are lost, and so is which login mechanism last worked; it is kept as {}",
                    path.display(),
                    aside.display()
                ));
                State::default()
            }
            Err(error) => return Err(fail(&path, "unreadable")(error)),
        };
        Ok((store, state, warnings))
    }

    /// Keeps a state; on return it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was kept before is still there.
    pub fn save(&self, state: &State) -> Result<(), StoreError> {
        let temporary = self.folder.join(TEMPORARY);
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec_pretty(&Kept::from(state))?;
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&temporary, self.folder.join(STATE))?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| StoreError::Io { path: self.folder.join(STATE), what: "not saved", source })
    }

    /// The lock on the folder, for whoever works in it longer than this lives.
    pub(super) fn lock(&self) -> Arc<FolderLock> {
        self.lock.clone()
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Nothing there; or what the file holds; or why that is not a state.
fn read(path: &Path) -> io::Result<Option<Result<State, String>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MOST_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The parser's words may quote the text, which holds machine-uids; line and column say enough.
    let parsed = serde_json::from_slice::<Kept>(&bytes)
        .map_err(|error| format!("line {}, column {}", error.line(), error.column()));
    Ok(Some(match parsed {
        Ok(kept) if kept.version == VERSION => Ok(kept.into()),
        Ok(kept) => Err(format!("it is of version {}, this program knows version {VERSION}", kept.version)),
        Err(what) => Err(what),
    }))
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    #[serde(default)]
    overrides: Vec<KeptOverride>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, KeptList>,
    #[serde(default)]
    services: BTreeMap<String, ServiceState>,
}

#[derive(Serialize, Deserialize)]
struct KeptList {
    revision: u64,
    /// Service and name.
    rooms: BTreeSet<(String, String)>,
    who: String,
    when: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct KeptOverride {
    service: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    muc: Option<String>,
    says: Says,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    booking: Option<Booking>,
    who: String,
    when: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl From<&State> for Kept {
    fn from(state: &State) -> Self {
        let overrides = state.overrides.kept().map(|said| KeptOverride {
            service: said.room.service.to_string(),
            name: said.room.name.to_string(),
            muc: said.muc.clone(),
            says: said.says,
            booking: said.booking.clone(),
            who: said.who.clone(),
            when: said.when,
            why: said.why.clone(),
        });
        let list = |list: &List| KeptList {
            revision: list.revision,
            rooms: list.rooms.iter().map(|key| (key.service.to_string(), key.name.to_string())).collect(),
            who: list.who.clone(),
            when: list.when,
        };
        let lists = state.overrides.lists().map(|(name, kept)| (name.to_owned(), list(kept))).collect();
        Kept { version: VERSION, overrides: overrides.collect(), lists, services: state.services.clone() }
    }
}

impl From<Kept> for State {
    fn from(kept: Kept) -> Self {
        let mut overrides = Overrides::default();
        for said in kept.overrides {
            let KeptOverride { service, name, muc, says, booking, who, when, why } = said;
            let room = RoomKey::new(service.as_str(), &name);
            overrides.restore(Override { room, muc, says, booking, who, when, why });
        }
        for (name, KeptList { revision, rooms, who, when }) in kept.lists {
            let rooms = rooms.iter().map(|(service, name)| RoomKey::new(service.as_str(), name)).collect();
            overrides.set_list(&name, List { revision, rooms, who, when });
        }
        State { overrides, services: kept.services }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mechanism;

    fn sample() -> State {
        let mut state = State::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let said = |name: &str, says| Override {
            room: RoomKey::new("meet", name),
            muc: None,
            says,
            booking: None,
            who: "uid 1000".into(),
            when: at(1),
            why: Some("party".into()),
        };
        state.overrides.restore(said("cellar", Says::Hold));
        state.overrides.restore(said("cellar", Says::Suspend { until: Some(at(100)) }));
        state.overrides.restore(said("tavern", Says::Release));
        let title = Some("Council".into());
        let booking = Booking { from: Some(at(9)), until: Some(at(99)), early_seconds: 60, title };
        state.overrides.restore(Override { booking: Some(booking), ..said("hall", Says::Hold) });
        let rooms = ["hall", "crypt"].map(|name| RoomKey::new("meet", name)).into();
        state.overrides.set_list("game", List { revision: 7, rooms, who: "line game".into(), when: at(5) });
        let login = LastLogin { mechanism: Mechanism::ScramSha256, key_hash: Some("ab".into()) };
        let machine_uids = [(0, "uid-zero".to_owned())].into();
        state
            .services
            .insert("meet".into(), ServiceState { last_login: Some(login), machine_uids, ..ServiceState::default() });
        state
    }

    #[test]
    fn what_is_saved_is_read_again_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (store, state, warnings) = Store::open(folder.path()).unwrap();
        assert_eq!((state, warnings.len()), (State::default(), 0));
        store.save(&sample()).unwrap();
        store.save(&sample()).unwrap();
        let mode = fs::metadata(folder.path().join(STATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(store);
        assert_eq!(Store::open(folder.path()).unwrap().1, sample());
    }

    #[test]
    fn what_was_kept_before_there_were_bookings_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"overrides":[{"service":"meet","name":"cellar","says":"hold","who":"uid 1000",
            "when":"1970-01-01T00:00:01Z","why":"party"}],"services":{}}"#;
        fs::write(folder.path().join(STATE), text).unwrap();
        let (_store, state, warnings) = Store::open(folder.path()).unwrap();
        assert_eq!(warnings.len(), 0, "{warnings:?}");
        let kept: Vec<_> = state.overrides.kept().map(|said| (said.says, said.booking.clone())).collect();
        assert_eq!(kept, [(Says::Hold, None)]);
    }

    #[test]
    fn a_second_daemon_is_refused_and_told_the_first_ones_process() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Store::open(folder.path()).unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    }

    #[test]
    fn the_folder_is_given_back_although_a_process_being_started_still_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(folder.path()).unwrap();
        // What a fork leaves in the child until it runs its program: a copy with the same lock.
        let _copy = store.lock.0.try_clone().unwrap();
        drop(store);
        assert!(Store::open(folder.path()).is_ok());
    }

    #[test]
    fn a_crash_in_the_middle_of_writing_leaves_the_old_state() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(folder.path()).unwrap();
        store.save(&sample()).unwrap();
        drop(store);
        fs::write(folder.path().join(TEMPORARY), "{\"version\":1,\"overr").unwrap();
        let (store, state, warnings) = Store::open(folder.path()).unwrap();
        assert_eq!((state, warnings.len()), (sample(), 0));
        assert!(!folder.path().join(TEMPORARY).exists());
        store.save(&State::default()).unwrap();
    }

    #[test]
    fn a_broken_file_is_kept_aside_and_the_start_goes_on() {
        for text in ["", "{\"version\":1,", "{\"version\":7}", "[]"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(STATE), text).unwrap();
            let (_store, state, warnings) = Store::open(folder.path()).unwrap();
            assert_eq!((state, warnings.len()), (State::default(), 1), "{text}");
            let kept: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(kept.iter().any(|name| name.to_string_lossy().starts_with("state.json.broken-")), "{kept:?}");
        }
    }

    #[test]
    fn machine_uids_do_not_show_themselves() {
        assert!(!format!("{:?}", sample()).contains("uid-zero"));
    }
}
