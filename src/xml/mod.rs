//! Bytes to elements and back, bounded at every step. Pure.
//!
//! Parsing is a security boundary: whoever is moderated writes what is parsed here. Bytes are cut into frames by
//! [`Splitter`], which never recurses and survives a frame of any size; [`parse()`] makes an [`Element`] of a frame
//! within [`Limits`], or a [`Bad`] that says what is wrong, who sent it and what could be saved of it.
//! Source: RFC 6120 §4 "XML Streams", §11 "XML Usage".

use std::fmt;

/// The tree of a stanza while it passes. Never kept in state: 23 KiB for one Jitsi presence.
pub use minidom::Element;

pub use limits::Limits;
pub use parse::{CLIENT, FRAMING, Message, STREAMS, parse, parse_message};
pub use splitter::{Broken, Piece, Splitter};
pub use write::{to_string, write};

mod limits;
mod parse;
mod splitter;
mod write;

/// Why a stanza was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// More bytes than [`Limits::stanza_bytes`].
    TooLong,
    /// Nested deeper than [`Limits::depth`].
    TooDeep,
    /// More nodes than [`Limits::nodes`].
    TooManyNodes,
    /// A name, attribute or text longer than [`Limits::token_bytes`].
    TokenTooLong,
    /// Not well-formed; the parser's words.
    Malformed(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::TooLong => f.write_str("too long"),
            Why::TooDeep => f.write_str("nested too deep"),
            Why::TooManyNodes => f.write_str("too many elements"),
            Why::TokenTooLong => f.write_str("a name or value is too long"),
            Why::Malformed(what) => write!(f, "not well-formed: {what}"),
        }
    }
}

/// What the first tag of a stanza says, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Name of the element without prefix: `message`, `presence`, `iq`, or another.
    pub name: String,
    /// `from` as written, unescaped.
    pub from: Option<String>,
    /// `type` as written, unescaped.
    pub type_: Option<String>,
    /// `id` as written, unescaped.
    pub id: Option<String>,
}

/// A stanza that is not (wholly) understood. An event and a count, never the end of a session.
#[derive(Debug)]
pub struct Bad {
    /// What is wrong with it.
    pub why: Why,
    /// Its first tag.
    pub head: Head,
    /// The stanza without what is over the limits: its own attributes and those children that fit. A child in
    /// `http://jabber.org/protocol/muc#user` is always there while it is small itself, whatever stands around it, so
    /// that nobody hides behind junk. `None` when the stanza is not well-formed, or its first tag alone is too long.
    /// Good enough to see who is in a room; never to judge what was said.
    pub rest: Option<Element>,
}
