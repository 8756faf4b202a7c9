//! A recorded or written exchange: what went over one or more connections, when, and in which direction. Pure.
//!
//! A [`Dialogue`] comes from a browser's HAR file, from innkeeper's own recorder, or from a text that somebody wrote by
//! hand; what is done with it (shown, explained, compared, replayed) does not depend on where it came from.

use std::time::Duration;

use jiff::Timestamp;

use crate::xml::Element;

/// An exchange over one or more connections.
#[derive(Debug, Clone, Default)]
pub struct Dialogue {
    /// The connections in the order in which they were opened.
    pub connections: Vec<Connection>,
    /// What the file holds that is no message and that a reader of the dialogue should know.
    pub remarks: Vec<Remark>,
}

/// Something that was carried along, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where: `line 7`, `entry 3, message 12`.
    pub place: String,
    /// What, in one sentence.
    pub text: String,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// How the elements were carried.
    pub kind: ConnectionKind,
    /// The URL as it was recorded, secrets included.
    pub url: Option<String>,
    /// When the first message went, on the recorder's clock.
    pub opened: Option<Timestamp>,
    /// The messages in the order of the file.
    pub messages: Vec<Message>,
}

/// How a connection carries elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// RFC 7395: one element in each message.
    WebSocket,
    /// XEP-0124: several elements in the `<body/>` of an HTTP request or answer.
    Bosh,
    /// RFC 6120: elements on a stream.
    Tcp,
    /// The file does not say.
    Unknown,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// When, since the first message of the dialogue.
    pub at: Duration,
    /// From whom.
    pub direction: Direction,
    /// What it holds.
    pub content: Content,
    /// Where it stood in the file: `line 7`, `entry 3, message 12`.
    pub place: String,
}

/// From whom a message was, seen by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The client said it.
    Sent,
    /// The server said it.
    Received,
}

/// What a message holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// An element.
    Element(Element),
    /// Text that is none, and why.
    Text {
        /// The text as it was recorded.
        text: String,
        /// Why it could not be read as an element.
        why: String,
    },
    /// Something that happened to the connection: an error that a browser noted, `lost`, `resumed 5`.
    Event(String),
}
