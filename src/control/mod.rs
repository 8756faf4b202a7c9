//! How the daemon is asked: the control socket (one line of JSON in, one line of JSON out) and HTTP. Commands are
//! carried out by the supervisor; who may ask, and how often, is judged here, at the [`Gate`].
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use crate::command::{Command, Reply, Requester};

pub use client::{ClientError, ask, follow};
pub use gate::{Gate, TOO_MANY};
pub use socket::SocketError;
pub use tls::TlsError;
pub use unix::{BindError, Groups, Listener, serve};

pub mod auth;
pub mod avchat;
mod client;
mod dial;
mod gate;
mod guesses;
pub mod http;
pub mod line;
pub mod reservations;
mod seldom;
mod socket;
mod tls;
mod unix;
pub mod watch;

/// A command, who asks, and where the answer goes. Sent by [`Gate::ask`] alone.
pub type Asked = (Command, Requester, oneshot::Sender<Reply>);

/// Longest request, and what a client accepts as one line of a request, bytes.
pub const REQUEST_BYTES: usize = 64 * 1024;

/// Longest answer that a client reads, bytes: a room list of thousands.
pub const REPLY_BYTES: usize = 64 * 1024 * 1024;

/// How long each step of a request may take.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The socket for those who may only read, beside the one for those who may do all: `control-read.sock`.
#[must_use]
pub fn read_socket(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = match name.strip_suffix(".sock") {
        Some(stem) => format!("{stem}-read.sock"),
        None => format!("{name}-read"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_socket_lies_beside_the_other() {
        assert_eq!(read_socket(Path::new("/run/i/control.sock")), Path::new("/run/i/control-read.sock"));
        assert_eq!(read_socket(Path::new("/run/i/ctl")), Path::new("/run/i/ctl-read"));
    }
}
