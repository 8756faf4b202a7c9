//! The daemon's end of the control socket.
//!
//! Who may connect is the kernel's judgement, made when a peer connects and from the peer's own credentials, supplementary
//! groups included: a Unix socket needs write permission, and both sockets have mode 0660. `control.sock` belongs to
//! group `innkeeper-admin` and takes every command; `control-read.sock` belongs to `innkeeper-read` and answers facts.
//! So a group needs no second look (which would race with the peer's end), and what is left for `SO_PEERCRED` is to
//! name the peer for the record, and to refuse everybody but root and the daemon's own user where a socket could not be
//! given its group and so has that of the daemon.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Gid, Mode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::socket::not_accepted;
use super::watch::{Told, Watch};
use super::{Gate, PATIENCE, REQUEST_BYTES, read_socket};
use crate::command::{Command, FollowQuery, Reply, Requester, Who, refused};
use crate::rights::Rights;
use crate::runtime::bus::Bus;
use crate::store::Store;

/// Connections at a time, over both sockets.
const CONNECTIONS: usize = 32;
/// Commands of one user in a second, over some seconds: a script that goes through all rooms.
const PER_SECOND: u32 = 200;
/// So many of them may follow events, so that questions still come through.
const FOLLOWERS: usize = CONNECTIONS / 2;

/// The groups that may connect, by number; `None` where the machine does not have the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Groups {
    /// May do everything: `innkeeper-admin`.
    pub admin: Option<u32>,
    /// May ask for facts: `innkeeper-read`.
    pub read: Option<u32>,
}

impl Groups {
    /// As this machine has them. They are static groups (`sysusers.d`), so `/etc/group` knows them.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let text = fs::read_to_string("/etc/group").unwrap_or_default();
        Groups { admin: group(&text, "innkeeper-admin"), read: group(&text, "innkeeper-read") }
    }
}

fn group(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}

/// Why the control socket can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else is there.
    #[error("{}: there is something that is not a socket; move it away or set control_socket", .0.display())]
    NotASocket(PathBuf),
    /// Another daemon answers there.
    #[error("{}: somebody already listens there; stop it or set control_socket", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("{}: the control socket can not be opened", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket's file; removed again when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

/// One socket.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    _file: SocketFile,
    /// What its peers may do.
    rights: Rights,
    /// Whether the socket has its group, so that whoever could connect is a member (or root, or ourselves).
    grouped: bool,
}

impl SocketFile {
    /// Listens on `path`, in the place of a socket on which nobody listens any more. Nobody but ourselves may connect
    /// before the file has its mode.
    ///
    /// # Errors
    /// See [`BindError`].
    pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindError> {
        let (listener, file) = SocketFile::bind_closed(path)?;
        let fail = |source| BindError::Io { path: path.to_owned(), source };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)?;
        Ok((listener, file))
    }

    fn bind_closed(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
        let fail = |source| BindError::Io { path: path.to_owned(), source };
        clear(path)?;
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(fail)?;
        let found = fs::symlink_metadata(path).map_err(fail)?;
        Ok((listener, SocketFile { path: path.to_owned(), inode: (found.dev(), found.ino()) }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Only ours: a later daemon may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Both sockets.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    own: u32,
}

impl Listener {
    /// Opens the sockets. What an earlier daemon left is removed, which is safe because `_lock` says that we are alone.
    /// The texts are warnings.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(path: &Path, groups: Groups, _lock: &Store) -> Result<(Listener, Vec<String>), BindError> {
        let mut warnings = Vec::new();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| BindError::Io { path: path.to_owned(), source })?;
        }
        let mut sockets = vec![open(path, groups.admin, Rights::all(), &mut warnings)?];
        let read = read_socket(path);
        if groups.read.is_some() {
            sockets.push(open(&read, groups.read, Rights::facts(), &mut warnings)?);
        } else {
            clear(&read)?;
        }
        Ok((Listener { sockets, own: rustix::process::geteuid().as_raw() }, warnings))
    }
}

fn open(path: &Path, group: Option<u32>, rights: Rights, warnings: &mut Vec<String>) -> Result<Socket, BindError> {
    let fail = |source| BindError::Io { path: path.to_owned(), source };
    let (listener, file) = SocketFile::bind_closed(path)?;
    let mut grouped = false;
    if let Some(group) = group {
        match rustix::fs::chown(path, None, Some(Gid::from_raw(group))) {
            Ok(()) => grouped = true,
            Err(errno) => warnings.push(format!(
                "{}: not given to group {group} ({errno}), so only root and this user may use it; is the group in SupplementaryGroups=?",
                path.display()
            )),
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(fail)?;
    Ok(Socket { listener, _file: file, rights, grouped })
}

/// Removes a socket on which nobody listens any more.
fn clear(path: &Path) -> Result<(), BindError> {
    let fail = |source| BindError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(error)),
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        // A daemon with another state folder may share the path.
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(fail),
            Err(error) => Err(fail(error)),
        },
    }
}

/// Takes requests until nobody carries out commands any more. Dropping it ends all connections and removes the sockets.
pub async fn serve(listener: Listener, gate: Arc<Gate>, bus: Arc<Bus>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let shared = Arc::new(Shared { gate, bus, followers: Semaphore::new(FOLLOWERS) });
    let gate = &shared.gate;
    let mut connections = JoinSet::new();
    while !gate.is_closed() {
        let (accepted, socket) = tokio::select! {
            accepted = accept(&listener.sockets) => accepted,
            () = gate.closed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                not_accepted("control connection", &error).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let text = format!("{CONNECTIONS} connections are open already; try again in a few seconds");
            let _ = stream.try_write(&line(&refused("busy", text)));
            continue;
        };
        let access = access(&stream, socket, listener.own);
        let shared = shared.clone();
        connections.spawn(async move {
            if let Err(error) = converse(stream, access, &shared).await {
                debug!(%error, "control connection ended");
            }
            drop(place);
        });
    }
}

async fn accept(sockets: &[Socket]) -> (io::Result<UnixStream>, &Socket) {
    std::future::poll_fn(|cx| {
        for socket in sockets {
            if let std::task::Poll::Ready(accepted) = socket.listener.poll_accept(cx) {
                return std::task::Poll::Ready((accepted.map(|(stream, _)| stream), socket));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Who the peer is and what it may do; or what to tell a peer that may do nothing.
fn access(stream: &UnixStream, socket: &Socket, own: u32) -> Result<Requester, String> {
    let peer = stream.peer_cred().map_err(|error| format!("the kernel does not say who asks: {error}"))?;
    let who = Who::Unix { uid: peer.uid(), pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()) };
    if peer.uid() == 0 || peer.uid() == own {
        return Ok(Requester { who, rights: Rights::all(), per_second: PER_SECOND });
    }
    if socket.grouped {
        return Ok(Requester { who, rights: socket.rights.clone(), per_second: PER_SECOND });
    }
    Err(format!("user {} may not ask here: be root, the daemon's user, or in group innkeeper-admin", peer.uid()))
}

/// What all connections share.
struct Shared {
    gate: Arc<Gate>,
    bus: Arc<Bus>,
    followers: Semaphore,
}

async fn converse(stream: UnixStream, access: Result<Requester, String>, shared: &Shared) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(4096, reader);
    let mut request = Vec::new();
    loop {
        request.clear();
        let most = REQUEST_BYTES as u64 + 1;
        let read = timeout(PATIENCE, (&mut reader).take(most).read_until(b'\n', &mut request)).await;
        let whole = request.ends_with(b"\n");
        let (reply, last) = match read {
            Ok(Ok(0)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) if request.is_empty() => return Ok(()),
            Err(_) => (refused("bad-request", "no whole line came within 10 seconds"), true),
            Ok(Ok(_)) if !whole && request.len() > REQUEST_BYTES => {
                (refused("bad-request", format!("a request has at most {REQUEST_BYTES} bytes")), true)
            }
            Ok(Ok(_)) => match read_command(&request, &access) {
                Ok((requester, Command::Follow(query))) => {
                    return follow(reader, writer, &requester, &query, shared).await;
                }
                Ok((requester, command)) => (shared.gate.ask(requester, command).await, false),
                Err(refusal) => (*refusal, access.is_err()),
            },
        };
        write(&mut writer, &reply).await?;
        if last {
            return Ok(());
        }
    }
}

fn read_command(request: &[u8], access: &Result<Requester, String>) -> Result<(Requester, Command), Box<Reply>> {
    let refuse = |error: &str, text: String| Box::new(refused(error, text));
    let requester = access.clone().map_err(|text| refuse("forbidden", text))?;
    match serde_json::from_slice(request) {
        Ok(command) => Ok((requester, command)),
        Err(error) => Err(refuse("bad-request", format!("not a command: {error}"))),
    }
}

/// One reply for each event until the peer says anything more or goes, or is too slow.
async fn follow(
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    requester: &Requester,
    query: &FollowQuery,
    shared: &Shared,
) -> io::Result<()> {
    let Ok(_place) = shared.followers.try_acquire() else {
        let text = format!("{FOLLOWERS} follow events already; try again later");
        return write(&mut writer, &refused("busy", text)).await;
    };
    let mut watch = match Watch::begin(&shared.gate, &shared.bus, requester, query) {
        Ok(watch) => watch,
        Err(refusal) => return write(&mut writer, &refusal).await,
    };
    loop {
        let told = tokio::select! {
            told = watch.next() => told,
            _ = reader.fill_buf() => None,
        };
        match told {
            None => return Ok(()),
            Some(Told::Event(event)) => {
                let event = serde_json::to_value(&*event).map_err(io::Error::other)?;
                write(&mut writer, &Reply::Event { event }).await?;
            }
            Some(Told::Gap) => write(&mut writer, &Reply::Gap { text: Told::GAP.to_owned() }).await?,
            Some(Told::TooSlow) => return write(&mut writer, &refused("dropped", Told::TOO_SLOW)).await,
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(&line(reply))).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn line(reply: &Reply) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(reply).unwrap_or_else(|_| b"{\"reply\":\"refused\"}".to_vec());
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let text = "root:x:0:\ninnkeeper-admins:x:7:\ninnkeeper-admin:x:990:alice,bob\n";
        assert_eq!(group(text, "innkeeper-admin"), Some(990));
        assert_eq!(group(text, "innkeeper-read"), None);
    }
}
