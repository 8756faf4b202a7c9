//! A listening socket: an address, or a Unix socket's file.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use super::unix::{BindError, SocketFile};
use crate::config::Listen;
use crate::runtime::transport::Io;

/// Why a socket can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The address can not be had.
    #[error("nothing can listen on {listen}; is the port in use, or the address not ours?")]
    Address {
        /// Where.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket can not be made.
    #[error("the Unix socket can not be made")]
    Unix(#[from] BindError),
}

/// Where a peer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// An address.
    Address(IpAddr),
    /// A user of this machine, over a Unix socket.
    User(u32),
}

impl Origin {
    /// The address, where it has one.
    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Origin::Address(address) => Some(address),
            Origin::User(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Address(address) => address.fmt(f),
            Origin::User(uid) => write!(f, "user {uid}"),
        }
    }
}

/// After a connection could not be accepted: says so, and waits, for when the process is out of file descriptors, which is
/// most likely, the next try would fail at once too.
pub(super) async fn not_accepted(what: &str, error: &io::Error) {
    warn!(%error, "{what} not accepted");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// A socket, open.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file when dropped")] SocketFile),
}

impl Socket {
    /// Opens it; `mode` is the file's where it is a Unix socket.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub(super) async fn bind(listen: &Listen, mode: u32) -> Result<Self, SocketError> {
        let fail = |source| SocketError::Address { listen: listen.to_string(), source };
        Ok(match listen {
            Listen::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await.map_err(fail)?),
            Listen::Unix(path) => {
                let (listener, file) = SocketFile::bind(path, mode)?;
                Socket::Unix(listener, file)
            }
        })
    }

    /// Where it is open: with the port that was given where the configuration says 0.
    pub(super) fn place(&self, listen: &Listen) -> String {
        match self {
            Socket::Tcp(listener) => listener.local_addr().map_or_else(|_| listen.to_string(), |at| at.to_string()),
            Socket::Unix(..) => listen.to_string(),
        }
    }

    /// The next peer, and where it comes from.
    ///
    /// # Errors
    /// The system gives no connection; the next try may do better.
    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Io>, Origin)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Origin::Address(address.ip())))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Origin::User(uid)))
            }
        }
    }
}
