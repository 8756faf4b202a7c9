//! One XML stream being set up, over elements. Pure.
//!
//! [`Negotiation`] logs in; [`Acks`] counts stanzas from then on; [`stream_error`] says why a stream ended.
//! Source: RFC 6120, RFC 7395, XEP-0198.

use crate::cause::{Cause, Word};
use crate::xml::{Bad, Element, STREAMS};

pub use negotiation::{Input, Negotiation, Output};
pub use plan::{Bound, LastLogin, Management, Plan, Resume, TokenLogin};
pub use resume::Acks;
pub use sasl::{Derive, Hash, MAX_ITERATIONS};

mod negotiation;
mod plan;
mod resume;
mod sasl;

/// What a peer sends.
#[derive(Debug)]
pub enum Frame {
    /// The stream was opened: `<stream:stream>` (RFC 6120 §4.2) or `<open/>` (RFC 7395 §3.3).
    Open,
    /// One complete element: a stanza, stream features, a nonza, or `<stream:error/>`.
    Element(Element),
    /// An element that was refused; the stream goes on behind it.
    Bad(Box<Bad>),
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

/// Namespace of stream error conditions (RFC 6120 §4.9.2).
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// Why the server ends the stream, from its `<stream:error/>`.
///
/// Source: RFC 6120 §4.9.3 "Defined Stream Error Conditions".
#[must_use]
pub fn stream_error(error: &Element) -> Cause {
    debug_assert!(error.is("error", STREAMS));
    let condition = error.children().find(|child| child.has_ns(STREAM_ERRORS) && child.name() != "text");
    let name = condition.map_or("undefined-condition", Element::name);
    let (word, what) = match name {
        "conflict" => (Word::Conflict, "another session took this session's place"),
        "host-gone" => (Word::WrongDomain, "the server no longer serves this domain"),
        "host-unknown" => (Word::WrongDomain, "the server does not serve this domain"),
        "policy-violation" => (Word::PolicyViolation, "the server closed the stream because of a policy"),
        "system-shutdown" => (Word::SystemShutdown, "the server is shutting down or restarting"),
        "connection-timeout" => (Word::StreamError, "the server heard nothing from us for too long"),
        "not-authorized" => (Word::StreamError, "the server wants a login first"),
        "resource-constraint" => (Word::StreamError, "the server lacks the resources to go on"),
        "see-other-host" => (Word::StreamError, "the server sends us to another address, which is not followed"),
        _ => (Word::StreamError, "the server ended the stream with an error"),
    };
    let said = negotiation::quoted(error.get_child("text", STREAM_ERRORS));
    Cause::new(word, format!("{what} ({name}){said}"))
}
