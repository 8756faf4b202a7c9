//! One XML stream being set up, over elements. Pure.

use crate::xml::{Bad, Element};

pub use plan::{Bound, LastLogin, Management, Plan, Resume};

mod plan;

/// What a peer sends.
#[derive(Debug)]
pub enum Frame {
    /// The stream was opened: `<stream:stream>` (RFC 6120 §4.2) or `<open/>` (RFC 7395 §3.3).
    Open,
    /// One complete element: a stanza, stream features, a nonza, or `<stream:error/>`.
    Element(Element),
    /// An element that was refused; the stream goes on behind it.
    Bad(Bad),
    /// The peer closed the stream: `</stream:stream>` or `<close/>`.
    Close,
}

/// How a connection is protected; decides which login mechanisms are allowed.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether TLS protects the connection.
    pub tls: bool,
    /// Whether the peer is on this machine's loopback, where no wire can be tapped.
    pub loopback: bool,
    /// The `tls-exporter` channel binding (RFC 9266), on TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// SHA-256 of the server certificate's public key (SPKI), to tell whether the server is still the same.
    pub key_hash: Option<[u8; 32]>,
}

