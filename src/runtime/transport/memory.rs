//! A transport to the other end of a pipe in memory, for tests.

use tokio::io::DuplexStream;

use super::Transport;
use super::tcp::Tcp;
use crate::stream::Security;
use crate::xml::Limits;

/// A transport that counts as loopback without TLS, and the server's end of it: bytes as over TCP.
#[must_use]
pub fn memory(limits: Limits) -> (Box<dyn Transport>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let security = Security { loopback: true, ..Security::default() };
    (Box::new(Tcp::new(Box::new(ours), security, limits, None)), theirs)
}
