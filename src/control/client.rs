//! The command line's end of the control socket. Blocking: a command has nothing else to do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{REPLY_BYTES, read_socket};
use crate::command::{Command, Reply};

/// How long the daemon may take; longer than it gives itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no innkeeper is listening on {}; is it running? `systemctl status innkeeper` tells", .0.display())]
    Absent(PathBuf),
    /// The peer may not connect.
    #[error("you may not use {}: be root, or in group innkeeper-admin (everything) or innkeeper-read (facts)", .0.display())]
    Forbidden(PathBuf),
    /// The connection broke, or took too long.
    #[error("the innkeeper on {} did not answer", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What answered is no innkeeper, or another version.
    #[error("what answers on {} is not understood; is the daemon of another version than this command?", .0.display())]
    Strange(PathBuf),
}

/// Asks the daemon one thing. Who may not use `control.sock` is led to the read socket beside it.
///
/// # Errors
/// See [`ClientError`]; a refusal by the daemon is a [`Reply`].
pub fn ask(path: &Path, command: &Command) -> Result<Reply, ClientError> {
    let stream = connect(path)?;
    let exchange = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        send(&stream, command)?;
        line(&mut BufReader::new(&stream))
    };
    let reply = exchange().map_err(|source| ClientError::Silent { path: path.to_owned(), source })?;
    if reply.is_empty() {
        let source = io::ErrorKind::UnexpectedEof.into();
        return Err(ClientError::Silent { path: path.to_owned(), source });
    }
    serde_json::from_slice(&reply).map_err(|_| ClientError::Strange(path.to_owned()))
}

/// Asks for what goes on ([`Command::Follow`]) and hands each reply to `heard`, until it says that it is enough.
///
/// # Errors
/// See [`ClientError`]: also where the daemon stops.
pub fn follow(path: &Path, command: &Command, mut heard: impl FnMut(Reply) -> bool) -> Result<(), ClientError> {
    let silent = |source| ClientError::Silent { path: path.to_owned(), source };
    let stream = connect(path)?;
    send(&stream, command).map_err(silent)?;
    let mut reader = BufReader::new(&stream);
    loop {
        let reply = line(&mut reader).map_err(silent)?;
        if reply.is_empty() {
            return Err(silent(io::ErrorKind::UnexpectedEof.into()));
        }
        if !heard(serde_json::from_slice(&reply).map_err(|_| ClientError::Strange(path.to_owned()))?) {
            return Ok(());
        }
    }
}

fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            UnixStream::connect(read_socket(path)).map_err(|_| ClientError::Forbidden(path.to_owned()))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Err(ClientError::Absent(path.to_owned()))
        }
        other => other.map_err(|source| ClientError::Silent { path: path.to_owned(), source }),
    }
}

fn send(mut stream: &UnixStream, command: &Command) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(command)?;
    request.push(b'\n');
    match stream.write_all(&request) {
        // A full or refusing daemon closes at once, its reason waits to be read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// One line, of bounded length; none at the end.
fn line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(REPLY_BYTES as u64).read_until(b'\n', &mut line)?;
    Ok(line)
}
