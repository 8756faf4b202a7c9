//! Cuts the bytes of a stream into frames. Pure; never recurses; what comes out does not depend on how the bytes
//! arrive in pieces.
//!
//! A frame over the limit is dropped while it passes, its depth still counted, so that the stream goes on behind it.
//! What says who is in a room survives even that, see [`Bad::rest`].
//! Source: RFC 6120 §4.2 "Opening a Stream", §4.6.1 (whitespace keepalives), §11.1 "XML Restrictions".

use std::fmt;

use super::parse::{self, MUC_USER};
use super::{Bad, Head, Limits, Why};

/// What a stream is made of.
#[derive(Debug)]
pub enum Piece<'a> {
    /// The stream was opened.
    Open,
    /// The bytes of one complete element.
    Stanza(&'a [u8]),
    /// An element longer than [`Limits::stanza_bytes`] has passed.
    TooLong(Box<Bad>),
    /// The stream was closed; nothing follows.
    Close,
}

/// Bytes that are no XML stream; there is no going on behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Text where only elements may stand, and how it begins.
    Text(String),
    /// A document type declaration, or another `<!`.
    Dtd,
    /// The first tag is not `stream`, but this.
    NotAStream(String),
    /// The stream header is longer than a stanza may be.
    HeaderTooLong,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Text(begin) => write!(f, "text between stanzas: {begin:?}"),
            Broken::Dtd => f.write_str("a document type declaration"),
            Broken::NotAStream(name) => write!(f, "it begins with <{name}>, not with a stream header"),
            Broken::HeaderTooLong => f.write_str("the stream header is too long"),
        }
    }
}

impl std::error::Error for Broken {}

/// Cuts a stream into [`Piece`]s; holds nothing between two of them.
#[derive(Debug)]
pub struct Splitter {
    limits: Limits,
    lexer: Lexer,
    /// Whether the stream header has passed.
    open: bool,
    /// Open elements inside the stream.
    depth: usize,
    /// Whether a frame (or the header) is under way.
    framing: bool,
    /// The frame's bytes from earlier pushes.
    held: Vec<u8>,
    /// Takes the bytes of a frame that is already too long.
    sieve: Option<Box<Sieve>>,
    broken: Option<Broken>,
    closed: bool,
}

impl Splitter {
    /// A splitter that waits for a stream header.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Splitter {
            limits,
            lexer: Lexer::Text,
            open: false,
            depth: 0,
            framing: false,
            held: Vec::new(),
            sieve: None,
            broken: None,
            closed: false,
        }
    }

    /// Forgets everything and waits for a new stream header (RFC 6120 §4.3.3 "Restarts").
    pub fn restart(&mut self) {
        *self = Splitter::new(self.limits);
    }

    /// Whether no frame is half read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.framing && self.depth == 0 && self.lexer == Lexer::Text
    }

    /// Takes the next bytes and hands on every piece that they complete.
    ///
    /// # Errors
    /// The bytes are no XML stream; every further call says the same.
    pub fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Piece<'_>)) -> Result<(), Broken> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        match self.advance(bytes, &mut emit) {
            Err(broken) => {
                self.held = Vec::new();
                self.sieve = None;
                self.broken = Some(broken.clone());
                Err(broken)
            }
            Ok(()) => Ok(()),
        }
    }

    fn advance(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Piece<'_>)) -> Result<(), Broken> {
        // Where the current frame begins in `bytes`; 0 when it began in an earlier push.
        let mut start = 0;
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            if self.closed {
                return Ok(());
            }
            if self.depth == 0 && !self.framing && self.lexer == Lexer::Text {
                match byte {
                    b'<' => {
                        self.framing = true;
                        start = i;
                    }
                    b' ' | b'\t' | b'\r' | b'\n' => {}
                    _ => {
                        let end = bytes.len().min(i + 40);
                        return Err(Broken::Text(String::from_utf8_lossy(&bytes[i..end]).into_owned()));
                    }
                }
            }
            let mark = self.lexer.step(byte)?;
            i += 1;
            if self.depth == 0 && self.framing && !self.lexer.is_element() {
                // A comment, a processing instruction or the end of the stream: nothing to keep.
                self.framing = false;
                self.held = Vec::new();
                if matches!(self.lexer, Lexer::Cdata(_)) {
                    return Err(Broken::Text("<![CDATA[".to_owned()));
                }
            }
            match mark {
                // Between stanzas every byte is looked at: text there ends the stream.
                Mark::None if self.depth > 0 || self.framing => i += self.lexer.skip(&bytes[i..]),
                Mark::None => {}
                Mark::Opened | Mark::Empty if !self.open => {
                    let header = self.take(&bytes[start..i]);
                    if header.len() > self.limits.stanza_bytes {
                        return Err(Broken::HeaderTooLong);
                    }
                    let name = Head::read(&header).name;
                    if name != "stream" {
                        return Err(Broken::NotAStream(name));
                    }
                    self.open = true;
                    emit(Piece::Open);
                    if mark == Mark::Empty {
                        self.closed = true;
                        emit(Piece::Close);
                    }
                }
                Mark::Opened => self.depth += 1,
                Mark::Empty if self.depth == 0 => self.complete(&bytes[start..i], emit),
                Mark::Empty => {}
                Mark::Closed if self.depth == 0 => {
                    self.closed = true;
                    emit(Piece::Close);
                }
                Mark::Closed => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.complete(&bytes[start..i], emit);
                    }
                }
            }
        }
        if self.framing {
            self.keep(&bytes[start..])?;
        }
        Ok(())
    }

    /// Keeps the unfinished part of a frame for the next push.
    fn keep(&mut self, part: &[u8]) -> Result<(), Broken> {
        if let Some(sieve) = &mut self.sieve {
            sieve.feed(part);
        } else if self.held.len() + part.len() <= self.limits.stanza_bytes {
            self.held.extend_from_slice(part);
        } else if self.open {
            let mut sieve = Box::new(Sieve::new(self.limits));
            sieve.feed(&std::mem::take(&mut self.held));
            sieve.feed(part);
            self.sieve = Some(sieve);
        } else {
            return Err(Broken::HeaderTooLong);
        }
        Ok(())
    }

    /// The whole frame, of which `part` is the end.
    fn take(&mut self, part: &[u8]) -> Vec<u8> {
        self.framing = false;
        let mut whole = std::mem::take(&mut self.held);
        whole.extend_from_slice(part);
        whole
    }

    fn complete(&mut self, part: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        if let Some(mut sieve) = self.sieve.take() {
            self.framing = false;
            sieve.feed(part);
            emit(Piece::TooLong(sieve.finish()));
        } else if self.held.len() + part.len() > self.limits.stanza_bytes {
            emit(Piece::TooLong(too_long(&self.take(part), self.limits)));
        } else if self.held.is_empty() {
            self.framing = false;
            emit(Piece::Stanza(part));
        } else {
            emit(Piece::Stanza(&self.take(part)));
        }
    }
}

/// What can be saved of a whole element that is longer than [`Limits::stanza_bytes`].
pub(super) fn too_long(bytes: &[u8], limits: Limits) -> Box<Bad> {
    let mut sieve = Sieve::new(limits);
    sieve.feed(bytes);
    sieve.finish()
}

/// What one byte means for the nesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Nothing yet.
    None,
    /// A start tag is complete.
    Opened,
    /// A tag that is start and end is complete.
    Empty,
    /// An end tag is complete.
    Closed,
}

/// Where in the markup the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexer {
    Text,
    /// After `<`.
    Lt,
    /// In a start tag; `true`: just after a `/`.
    Tag(bool),
    /// In an attribute value that ends with this byte.
    Value(u8),
    EndTag,
    /// After `<!`.
    Bang,
    /// After `<!-`.
    BangDash,
    /// After `<!` and this many bytes of `[CDATA[`.
    CdataOpen(u8),
    /// In a comment, after so many dashes (two at most).
    Comment(u8),
    /// In a CDATA section, after so many brackets (two at most).
    Cdata(u8),
    /// In a processing instruction; `true`: just after a `?`.
    Instruction(bool),
}

impl Lexer {
    /// Whether an element may be under way: not a comment, a processing instruction or an end tag.
    fn is_element(self) -> bool {
        matches!(
            self,
            Lexer::Text
                | Lexer::Lt
                | Lexer::Tag(_)
                | Lexer::Value(_)
                | Lexer::Bang
                | Lexer::BangDash
                | Lexer::CdataOpen(_)
        )
    }

    /// How many of `bytes` change nothing.
    fn skip(self, bytes: &[u8]) -> usize {
        let end = match self {
            Lexer::Text => b'<',
            Lexer::Value(quote) => quote,
            _ => return 0,
        };
        bytes.iter().position(|&b| b == end).unwrap_or(bytes.len())
    }

    fn step(&mut self, byte: u8) -> Result<Mark, Broken> {
        let (next, mark) = match (*self, byte) {
            (Lexer::Text, b'<') => (Lexer::Lt, Mark::None),
            (Lexer::Text, _) => (Lexer::Text, Mark::None),
            (Lexer::Lt, b'/') => (Lexer::EndTag, Mark::None),
            (Lexer::Lt, b'!') => (Lexer::Bang, Mark::None),
            (Lexer::Lt, b'?') => (Lexer::Instruction(false), Mark::None),
            (Lexer::Lt | Lexer::Tag(false), b'>') => (Lexer::Text, Mark::Opened),
            (Lexer::Tag(true), b'>') => (Lexer::Text, Mark::Empty),
            (Lexer::Tag(_), b'/') => (Lexer::Tag(true), Mark::None),
            (Lexer::Tag(_), b'"' | b'\'') => (Lexer::Value(byte), Mark::None),
            (Lexer::Lt | Lexer::Tag(_), _) => (Lexer::Tag(false), Mark::None),
            (Lexer::Value(quote), _) => (if byte == quote { Lexer::Tag(false) } else { *self }, Mark::None),
            (Lexer::EndTag, b'>') => (Lexer::Text, Mark::Closed),
            (Lexer::EndTag, _) => (Lexer::EndTag, Mark::None),
            (Lexer::Bang, b'-') => (Lexer::BangDash, Mark::None),
            (Lexer::Bang, b'[') => (Lexer::CdataOpen(1), Mark::None),
            (Lexer::BangDash, b'-') => (Lexer::Comment(0), Mark::None),
            (Lexer::CdataOpen(n), _) if b"[CDATA["[usize::from(n)] == byte => {
                (if n == 6 { Lexer::Cdata(0) } else { Lexer::CdataOpen(n + 1) }, Mark::None)
            }
            (Lexer::Bang | Lexer::BangDash | Lexer::CdataOpen(_), _) => return Err(Broken::Dtd),
            (Lexer::Comment(2), b'>') | (Lexer::Cdata(2), b'>') | (Lexer::Instruction(true), b'>') => {
                (Lexer::Text, Mark::None)
            }
            (Lexer::Comment(n), _) => (Lexer::Comment(if byte == b'-' { (n + 1).min(2) } else { 0 }), Mark::None),
            (Lexer::Cdata(n), _) => (Lexer::Cdata(if byte == b']' { (n + 1).min(2) } else { 0 }), Mark::None),
            (Lexer::Instruction(_), _) => (Lexer::Instruction(byte == b'?'), Mark::None),
        };
        *self = next;
        Ok(mark)
    }
}

/// Lets an element of any length pass and keeps its first tag and those children that say who is in a room.
///
/// A server escapes what a client sent (`'` becomes `&apos;`), so a stanza within the server's limit may come out
/// six times as long. Without this an occupant could hide behind a long presence.
#[derive(Debug)]
struct Sieve {
    limits: Limits,
    lexer: Lexer,
    depth: usize,
    /// The first tag, without attributes that are long or too many.
    tag: Vec<u8>,
    /// Where in `tag` the attribute under way begins, the white space before it included.
    attribute: Option<usize>,
    /// Whether the first tag is complete.
    tag_done: bool,
    /// Whether the first tag was too long all the same.
    tag_cut: bool,
    /// The child under way, while it is small; `None` between children and in a long one.
    child: Option<Vec<u8>>,
    /// The children kept.
    kept: Vec<u8>,
}

impl Sieve {
    /// Most bytes of one child that is kept.
    fn child_bytes(&self) -> usize {
        (self.limits.stanza_bytes / 4).min(16 * 1024)
    }

    /// Most bytes of all children that are kept.
    fn kept_bytes(&self) -> usize {
        (self.limits.stanza_bytes / 2).min(64 * 1024)
    }

    /// Most bytes of one attribute that is kept; a JID has at most 3,071, six times as many when escaped.
    fn attribute_bytes(&self) -> usize {
        (self.limits.stanza_bytes / 4).min(20 * 1024)
    }

    /// Most bytes of attributes, beside those that a [`Head`] is made of.
    fn attributes_bytes(&self) -> usize {
        (self.limits.stanza_bytes / 4).min(64 * 1024)
    }

    /// Most bytes of the first tag.
    fn tag_bytes(&self) -> usize {
        self.limits.stanza_bytes.min(192 * 1024)
    }

    fn new(limits: Limits) -> Self {
        Sieve {
            limits,
            lexer: Lexer::Text,
            depth: 0,
            tag: Vec::new(),
            attribute: None,
            tag_done: false,
            tag_cut: false,
            child: None,
            kept: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let was = self.lexer;
            // The splitter has stepped over the same bytes without an error.
            let mark = self.lexer.step(byte).unwrap_or(Mark::None);
            if self.depth == 0 {
                if self.tag_done {
                    continue;
                }
                self.feed_tag(was, byte);
                self.tag_done = matches!(mark, Mark::Opened | Mark::Empty);
                if mark == Mark::Opened {
                    self.depth = 1;
                }
                continue;
            }
            if self.depth == 1 && was == Lexer::Text && byte == b'<' {
                self.child = Some(Vec::new());
            }
            let child_bytes = self.child_bytes();
            if let Some(child) = &mut self.child {
                if child.len() < child_bytes {
                    child.push(byte);
                } else {
                    self.child = None;
                }
            }
            match mark {
                Mark::None => continue,
                Mark::Opened => self.depth += 1,
                Mark::Closed => self.depth -= 1,
                Mark::Empty => {}
            }
            if self.depth == 1
                && mark != Mark::Opened
                && let Some(child) = self.child.take()
                && self.kept.len() + child.len() <= self.kept_bytes()
                && self.says_who(&child)
            {
                self.kept.extend_from_slice(&child);
            }
        }
    }

    /// Takes a byte of the first tag.
    fn feed_tag(&mut self, was: Lexer, byte: u8) {
        let attribute = self.attribute.map(|start| self.tag.len() - start);
        if self.tag.len() >= self.tag_bytes() {
            self.tag_cut = true;
            return;
        }
        // One byte more than is kept, so that the length tells at its end.
        if attribute.is_none_or(|length| length <= self.attribute_bytes()) || !matches!(was, Lexer::Value(_)) {
            if self.attribute.is_none() && byte.is_ascii_whitespace() {
                self.attribute = Some(self.tag.len());
            }
            self.tag.push(byte);
        }
        if !matches!((was, self.lexer), (Lexer::Value(_), Lexer::Tag(_))) {
            return;
        }
        // An attribute ends here.
        let Some(start) = self.attribute.replace(self.tag.len()) else { return };
        let text = self.tag[start..].trim_ascii_start();
        let name = text.split(|&b| b == b'=' || b.is_ascii_whitespace()).next().unwrap_or_default();
        let in_head = [&b"from"[..], b"to", b"type", b"id"].contains(&name);
        if self.tag.len() - start > self.attribute_bytes() || !in_head && self.tag.len() > self.attributes_bytes() {
            self.tag.truncate(start);
        }
        self.attribute = Some(self.tag.len());
    }

    /// Whether a child is what a room says of an occupant, and not one that only mentions it.
    fn says_who(&self, child: &[u8]) -> bool {
        let namespace = MUC_USER.as_bytes();
        if !child.windows(namespace.len()).any(|part| part == namespace) {
            return false;
        }
        let read = match parse::parse_any_length(child, &self.limits) {
            Ok(child) => Some(child),
            Err(bad) => bad.rest,
        };
        read.is_some_and(|child| child.has_ns(MUC_USER))
    }

    fn finish(&self) -> Box<Bad> {
        let head = Head::read(&self.tag);
        let rest = if self.tag_cut || !self.tag_done { None } else { self.rest() };
        Box::new(Bad { why: Why::TooLong, head, rest })
    }

    fn rest(&self) -> Option<super::Element> {
        let name_end = self.tag.get(1..)?.iter().position(|b| b" \t\r\n/>".contains(b))?;
        let mut whole = self.tag.clone();
        if !whole.ends_with(b"/>") {
            whole.extend_from_slice(&self.kept);
            whole.extend_from_slice(b"</");
            whole.extend_from_slice(&self.tag[1..=name_end]);
            whole.push(b'>');
        }
        match parse::parse_any_length(&whole, &self.limits) {
            Ok(element) => Some(element),
            Err(bad) => bad.rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client'>";

    /// What comes out, in words; the text of [`Broken`] depends on the chunk and is left out.
    fn split(limits: Limits, chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::new(limits);
        let mut out = Vec::new();
        for chunk in chunks {
            let pushed = splitter.push(chunk, |piece| {
                out.push(match piece {
                    Piece::Stanza(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    other => format!("{other:?}"),
                });
            });
            if let Err(broken) = pushed {
                out.push(format!("{broken:?}").chars().take_while(char::is_ascii_alphanumeric).collect());
                break;
            }
            if !splitter.framing {
                assert_eq!(splitter.held.capacity(), 0, "held between stanzas");
            }
        }
        out
    }

    fn words(text: &str) -> Vec<String> {
        split(Limits::default(), &[text.as_bytes()])
    }

    #[test]
    fn a_stream_is_cut_at_its_stanzas() {
        let text =
            format!("{OPEN} <a b='>' c=\"/>\"/>\n<!-- <x> --><?pi <?><d><e/><![CDATA[</d>]]></d></stream:stream> x");
        assert_eq!(words(&text), ["Open", "<a b='>' c=\"/>\"/>", "<d><e/><![CDATA[</d>]]></d>", "Close"]);
    }

    #[test]
    fn text_and_doctypes_end_the_stream() {
        assert_eq!(words("HTTP/1.1 400 Bad Request"), ["Text"]);
        assert_eq!(words(&format!("{OPEN}<a/>x<b/>")), ["Open", "<a/>", "Text"]);
        assert_eq!(words(&format!("{OPEN}  x")), ["Open", "Text"]);
        assert_eq!(words(&format!("{OPEN}<![CDATA[x]]>")), ["Open", "Text"]);
        assert_eq!(words("<!DOCTYPE html><html>"), ["Dtd"]);
        assert_eq!(words("<html>"), ["NotAStream"]);
    }

    #[test]
    fn a_monster_passes_and_the_stream_goes_on() {
        let monster = format!("<message from='r@s/n' id='1'>{}</message>", "<a/>".repeat(1_250_000));
        let text = format!("{OPEN}{monster}<b/>");
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(8192).collect();
        let mut splitter = Splitter::new(Limits::default());
        let mut seen = Vec::new();
        for chunk in chunks {
            splitter
                .push(chunk, |piece| match piece {
                    Piece::TooLong(bad) => seen.push(format!("{:?} {:?}", bad.head.from, bad.head.id)),
                    Piece::Stanza(bytes) => seen.push(String::from_utf8_lossy(bytes).into_owned()),
                    _ => {}
                })
                .unwrap();
            let held =
                splitter.held.capacity() + splitter.sieve.as_ref().map_or(0, |s| s.tag.capacity() + s.kept.capacity());
            assert!(held <= 2 * Limits::default().stanza_bytes, "{held}");
        }
        assert_eq!(seen, [r#"Some("r@s/n") Some("1")"#, "<b/>"]);
        assert_eq!(splitter.held.capacity(), 0);
        assert!(splitter.sieve.is_none());
    }

    /// Splits one stanza of more than a stanza may be, and gives what was saved of it.
    fn saved(stanza: &str) -> Bad {
        let mut bad = None;
        for chunk in [1_000_000, 4_096] {
            let mut splitter = Splitter::new(Limits::default());
            let text = format!("{OPEN}{stanza}");
            for chunk in text.as_bytes().chunks(chunk) {
                splitter
                    .push(chunk, |piece| {
                        if let Piece::TooLong(saved) = piece {
                            bad = Some(*saved);
                        }
                    })
                    .unwrap();
            }
        }
        bad.expect("it was not too long")
    }

    #[test]
    fn attributes_of_any_size_and_number_do_not_hide_an_occupant() {
        let who = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>";
        let long = format!("junk='{}'", "&apos;".repeat(100_000));
        let many: String = (0..60_000).map(|n| format!("a{n}='' ")).collect();
        for junk in [long, many] {
            let bad = saved(&format!("<presence {junk} from='r@s/n' id=\"1\">{who}</presence>"));
            assert_eq!(bad.head.from.as_deref(), Some("r@s/n"));
            assert_eq!(bad.head.id.as_deref(), Some("1"));
            let rest = bad.rest.unwrap();
            assert_eq!(rest.attr("from"), Some("r@s/n"));
            assert!(rest.has_child("x", MUC_USER));
        }
    }

    #[test]
    fn a_monstrous_first_tag_of_any_shape_is_survived() {
        let filler = "x".repeat(300_000);
        for tag in [
            "<a'F'/>",
            "<a 'F'/>",
            "<F/>",
            "<a F/>",
            "<a b='F' c='F'/>",
            "<a b = 'F'>F</a>",
            "<a>F</a>",
            "<a/b='F'>F</a>",
        ] {
            assert_eq!(saved(&tag.replace('F', &filler)).why, Why::TooLong);
        }
    }

    #[test]
    fn children_that_only_mention_the_namespace_do_not_take_its_place() {
        let who = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>";
        let mentions = format!("<a b='{MUC_USER}'>{}</a><b>{MUC_USER}</b>", "x".repeat(15_000)).repeat(30);
        let bad = saved(&format!("<presence from='r@s/n'>{mentions}{who}</presence>"));
        let rest = bad.rest.unwrap();
        assert_eq!(rest.children().count(), 1);
        assert!(rest.has_child("x", MUC_USER));
    }

    #[test]
    fn two_hundred_thousand_levels_fit_on_a_small_stack() {
        let run = || {
            for close in [true, false] {
                let levels = 200_000;
                let deep =
                    format!("{}{}", "<a>".repeat(levels), if close { "</a>".repeat(levels) } else { String::new() });
                let who = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>";
                let text = format!("{OPEN}<presence from='r@s/n'>{deep}{who}</presence><b/>");
                let mut rest = None;
                let mut splitter = Splitter::new(Limits::default());
                splitter
                    .push(text.as_bytes(), |piece| {
                        if let Piece::TooLong(bad) = piece {
                            rest = bad.rest;
                        }
                    })
                    .unwrap();
                assert_eq!(rest.is_some_and(|rest| rest.has_child("x", MUC_USER)), close);
                // The same without the splitter's limit in the way.
                let wide = Limits { stanza_bytes: usize::MAX, ..Limits::default() };
                let frame = text.strip_prefix(OPEN).unwrap().strip_suffix("<b/>").unwrap();
                let bad = parse::parse(frame.as_bytes(), &wide).unwrap_err();
                assert_eq!(bad.rest.is_some_and(|rest| rest.has_child("x", MUC_USER)), close);
            }
        };
        std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
    }

    #[test]
    fn a_restart_waits_for_a_new_header() {
        let mut splitter = Splitter::new(Limits::default());
        splitter.push(format!("{OPEN}<a/>").as_bytes(), |_| {}).unwrap();
        splitter.restart();
        let mut opened = 0;
        splitter.push(OPEN.as_bytes(), |piece| opened += usize::from(matches!(piece, Piece::Open))).unwrap();
        assert_eq!(opened, 1);
    }

    #[test]
    fn a_header_without_end_is_given_up() {
        let endless = format!("<stream:stream a='{}", "x".repeat(300_000));
        assert_eq!(words(&endless), ["HeaderTooLong"]);
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let part = prop::sample::select(vec![
            "<",
            ">",
            "/",
            "</",
            "/>",
            "<a>",
            "</a>",
            "<a/>",
            "<b c='",
            "'",
            "\"",
            "<!--",
            "-->",
            "-",
            "<![CDATA[",
            "]]>",
            "]",
            "<?",
            "?>",
            " ",
            "x",
            "=",
            "<message from='r@s/n' id='&lt;'>",
            "</message>",
            "é",
            "<!",
            "<x xmlns='http://jabber.org/protocol/muc#user'><item/></x>",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ]);
        prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn splitting_does_not_depend_on_chunks(soup in soup(), cuts in prop::collection::vec(1usize..9, 1..8), opened in any::<bool>(), limit in 60usize..400) {
            let limits = Limits { stanza_bytes: limit, ..Limits::default() };
            let mut text = if opened { OPEN.as_bytes().to_vec() } else { Vec::new() };
            text.extend_from_slice(&soup);
            let whole = split(limits, &[&text]);
            let mut chunks = Vec::new();
            let mut rest = &text[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(whole, split(limits, &chunks));
        }

        #[test]
        fn a_frame_is_parsed_or_refused_and_never_more(soup in soup()) {
            let _ = parse::parse(&soup, &Limits { depth: 4, nodes: 20, token_bytes: 30, stanza_bytes: 300 });
            let _ = Head::read(&soup);
        }
    }
}
