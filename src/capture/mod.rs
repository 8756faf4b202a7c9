//! A recorded or written exchange: what went over one or more connections, when, and in which direction. Pure.
//!
//! A [`Dialogue`] comes from a browser's HAR file, from innkeeper's own recorder, or from a text that somebody wrote by
//! hand; what is done with it (shown, explained, compared, replayed) does not depend on where it came from. [`read`]
//! tells the formats apart by what the file holds, never by its name.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

use crate::xml::{self, Element, FRAMING, Limits};

pub mod equiv;
pub mod explain;
pub mod har;
pub mod har_writer;
pub mod show;
pub mod text;

/// Largest file that is read, in bytes.
pub const MOST_BYTES: usize = 128 * 1024 * 1024;

/// What the messages of one dialogue may cost, in bytes of memory, roughly. What is behind that is counted only.
const MOST_COST: usize = 256 * 1024 * 1024;

pub mod redact;

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

/// Why a file is no dialogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it.
    #[error("the file is empty: it holds 0 bytes")]
    Empty,
    /// More than [`MOST_BYTES`].
    #[error(
        "the file has {0} bytes, and at most {MOST_BYTES} are read; \
         filter the network panel for \"ws\" before saving it"
    )]
    TooLarge(u64),
    /// Something else than a capture.
    #[error("{0}")]
    Foreign(String),
    /// A capture, without a single message.
    #[error("{0}")]
    NoMessage(String),
}

/// Reads a file of any format: a HAR, a list of messages in JSON, or lines of text.
///
/// What can be read is read, and the rest is carried along as [`Content::Text`], [`Content::Event`] or [`Remark`].
///
/// # Errors
/// The file is empty, too large, of another kind, or holds not a single message.
pub fn read(bytes: &[u8]) -> Result<Dialogue, Unreadable> {
    if bytes.len() > MOST_BYTES {
        return Err(Unreadable::TooLarge(bytes.len() as u64));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(what) = binary(bytes) {
        return Err(Unreadable::Foreign(format!("this is {what}, no capture that can be read; {HOW}")));
    }
    let (text, remark) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            let place = format!("line {line}, byte {}", error.valid_up_to());
            let text = "not UTF-8 from here on; what is wrong is read as U+FFFD".to_owned();
            (String::from_utf8_lossy(bytes), Some(Remark { place, text }))
        }
    };
    let start = text.trim_start();
    let mut dialogue = if start.is_empty() {
        return Err(if text.is_empty() {
            Unreadable::Empty
        } else {
            Unreadable::Foreign(format!("the file holds nothing but white space; {HOW}"))
        });
    } else if start.starts_with(['{', '[']) {
        har::read(&text)?
    } else if text::is_one(&text) {
        text::read(&text)?
    } else {
        return Err(Unreadable::Foreign(foreign(start)));
    };
    dialogue.remarks.splice(0..0, remark);
    Ok(dialogue)
}

/// The longest that a message may stand behind its dialogue's beginning: a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A time in a dialogue, in seconds; none where no recording lasts that long: clocks can not count what anybody may write.
fn since_beginning(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|since| *since <= LONGEST)
}

/// What to do instead.
const HOW: &str = "a capture is a HAR as Chrome's network panel exports it, its list of WebSocket messages, \
                   or lines that begin with < or >";

/// Names files that are no text.
fn binary(bytes: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    if begins(b"\xd4\xc3\xb2\xa1") || begins(b"\xa1\xb2\xc3\xd4") || begins(b"\x0a\x0d\x0d\x0a") {
        // What a packet capture holds of an XMPP session is encrypted.
        Some("a packet capture (pcap)")
    } else if begins(b"\x1f\x8b") {
        Some("a gzip file (unpack it first)")
    } else if begins(b"PK\x03\x04") {
        Some("a zip file (unpack it first)")
    } else if begins(b"\xff\xfe") || begins(b"\xfe\xff") {
        Some("text in UTF-16 (save it as UTF-8)")
    } else if bytes.iter().take(4096).any(|byte| *byte == 0) {
        Some("a binary file")
    } else {
        None
    }
}

/// Says what a text is that is no capture.
fn foreign(start: &str) -> String {
    let head: String = start.chars().take(64).collect::<String>().to_ascii_lowercase();
    let first: String = start.lines().next().unwrap_or_default().chars().take(40).collect();
    let what = if head.starts_with("<!doctype html") || head.starts_with("<html") {
        "this is an HTML page".to_owned()
    } else if head.starts_with('<') {
        "this is XML or HTML".to_owned()
    } else {
        format!("the file begins with {first:?}")
    };
    format!("{what}, no capture; {HOW}")
}

/// Reads the messages of one file, within [`MOST_COST`].
#[derive(Debug)]
struct Reader {
    limits: Limits,
    left: usize,
    /// Messages that were not kept.
    dropped: usize,
}

impl Reader {
    fn new() -> Self {
        Reader { limits: Limits::default(), left: MOST_COST, dropped: 0 }
    }

    /// What a message's text is; `None` when there is no more room for it.
    fn content(&mut self, text: &str) -> Option<Content> {
        // A node of a tree takes some 300 bytes, a name or value its own on top.
        let nodes = text.bytes().filter(|byte| matches!(byte, b'<' | b'=')).count();
        let cost = text.len() + 300 * (nodes + 1);
        let Some(left) = self.left.checked_sub(cost) else {
            self.dropped += 1;
            return None;
        };
        self.left = left;
        Some(match xml::parse(text.trim_ascii().as_bytes(), &self.limits) {
            Ok(element) => Content::Element(element),
            Err(bad) => Content::Text { text: text.to_owned(), why: bad.why.to_string() },
        })
    }

    /// What a reader of the dialogue must know of what was not kept.
    fn remark(&self) -> Option<Remark> {
        (self.dropped > 0).then(|| Remark {
            place: "end of the file".to_owned(),
            text: format!("{} messages more were not kept: the file holds too many for the memory", self.dropped),
        })
    }
}

impl Connection {
    /// The elements with their messages, events and other text left out.
    pub fn elements(&self) -> impl Iterator<Item = (&Message, &Element)> {
        self.messages.iter().filter_map(|message| match &message.content {
            Content::Element(element) => Some((message, element)),
            _ => None,
        })
    }

    /// Finds out what the file does not say: frames of RFC 7395 travel in WebSocket messages.
    fn guess_kind(&mut self) {
        if self.kind == ConnectionKind::Unknown && self.elements().any(|(_, element)| element.is("open", FRAMING)) {
            self.kind = ConnectionKind::WebSocket;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        read(bytes).expect_err("no capture").to_string()
    }

    #[test]
    fn what_is_no_capture_gets_a_clear_sentence() {
        for (bytes, says) in [
            (&b""[..], "the file is empty: it holds 0 bytes"),
            (b"\xef\xbb\xbf", "empty"),
            (b" \n\n", "nothing but white space"),
            (b"<!DOCTYPE html><html>", "this is an HTML page, no capture"),
            (b"<html><body/></html>", "HTML page"),
            (b"<iq/>", "XML or HTML"),
            (b"hello\nworld", "begins with \"hello\""),
            (b"\xd4\xc3\xb2\xa1\x02\x00", "packet capture"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"{\0}", "binary"),
            (b"{", "no JSON at line 1"),
            (b"# nothing\n! x\n", "begins with \"# nothing\""),
            (b"! 1.0 \n", "no message in these lines: line 1: nothing behind the time"),
        ] {
            assert!(error(bytes).contains(says), "{}: {}", String::from_utf8_lossy(bytes), error(bytes));
        }
    }

    #[test]
    fn bad_utf_8_is_placed_and_the_rest_is_read() {
        let dialogue = read(b"> 0 <a/>\n< 1 <b>\xff</b>\n").expect("a dialogue");
        assert_eq!(dialogue.remarks[0].place, "line 2, byte 16");
        assert_eq!(dialogue.connections[0].elements().count(), 2);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_looked_into() {
        let bytes = vec![b'{'; MOST_BYTES + 1];
        assert!(error(&bytes).contains("the file has 134217729 bytes"), "{}", error(&bytes));
    }

    #[test]
    fn a_file_of_very_many_messages_is_read_as_far_as_memory_allows() {
        let row = format!("> 0 <a>{}</a>\n", "<b/>".repeat(19_000));
        let dialogue = read(row.repeat(60).as_bytes()).expect("a dialogue");
        assert!((10..60).contains(&dialogue.connections[0].messages.len()));
        let remark = dialogue.remarks.last().expect("a remark");
        assert!(remark.text.ends_with("messages more were not kept: the file holds too many for the memory"));
    }
}
