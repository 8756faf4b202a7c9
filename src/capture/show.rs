//! A dialogue for people: one stanza after the other, indented, with its time. Pure.

use super::redact::Redactor;
use super::{Connection, ConnectionKind, Content, Dialogue, Direction, Message, Remark};
use crate::xml::{self, Element};
use crate::xmpp::ns;

/// Columns of one line, as far as what is on it can be broken.
const WIDTH: usize = 112;

/// Lines that belong together. They may hold anything that a stranger wrote, control characters included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What they are.
    pub kind: BlockKind,
    /// The lines, without line ends.
    pub lines: Vec<String>,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A connection begins.
    Connection,
    /// The client said it.
    Sent,
    /// The server said it.
    Received,
    /// It happened to the connection, or is no element.
    Event,
    /// Something to know of the file.
    Remark,
}

/// The dialogue without secrets. `content`: what people say and are called stays.
#[must_use]
pub fn redacted(dialogue: &Dialogue, content: bool) -> Dialogue {
    let mut redactor = Redactor::showing(content);
    let mut redacted = dialogue.clone();
    for connection in &mut redacted.connections {
        connection.url = connection.url.as_deref().map(|url| redactor.url(url));
        for message in &mut connection.messages {
            match &mut message.content {
                Content::Element(element) => *element = redactor.element(element),
                // The parser's words may quote what it read.
                Content::Text { text, why } => {
                    *text = redactor.broken(text);
                    *why = redactor.text(why);
                }
                Content::Event(event) => *event = redactor.text(event),
            }
        }
    }
    for remark in &mut redacted.remarks {
        remark.text = redactor.text(&remark.text);
    }
    redacted
}

/// The dialogue as blocks of lines; what is a secret is shown as it is.
#[must_use]
pub fn blocks(dialogue: &Dialogue) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (number, connection) in dialogue.connections.iter().enumerate() {
        blocks.push(Block { kind: BlockKind::Connection, lines: vec![heading(number + 1, connection)] });
        blocks.extend(connection.messages.iter().map(block));
    }
    blocks.extend(dialogue.remarks.iter().map(|Remark { place, text }| {
        // Where there is no connection, what is remarked is all there is.
        Block { kind: BlockKind::Remark, lines: vec![format!("{place}: {text}")] }
    }));
    blocks
}

/// `connection 1: WebSocket wss://meet.example/xmpp-websocket, 2026-01-01T12:00:00Z, 73 messages`.
#[must_use]
pub fn heading(number: usize, connection: &Connection) -> String {
    let mut text = format!("connection {number}: {}", carrier(connection.kind));
    if let Some(url) = &connection.url {
        text.push_str(&format!(" {url}"));
    }
    if let Some(opened) = connection.opened {
        text.push_str(&format!(", {opened:.3}"));
    }
    let count = connection.messages.len();
    text.push_str(&format!(", {count} message{}", if count == 1 { "" } else { "s" }));
    text
}

/// How a connection carries elements, in a word.
#[must_use]
pub fn carrier(kind: ConnectionKind) -> &'static str {
    match kind {
        ConnectionKind::WebSocket => "WebSocket",
        ConnectionKind::Bosh => "BOSH",
        ConnectionKind::Tcp => "TCP",
        ConnectionKind::Unknown => "stream",
    }
}

fn block(message: &Message) -> Block {
    let (kind, arrow) = match (&message.content, message.direction) {
        (Content::Event(_), _) => (BlockKind::Event, '!'),
        (Content::Text { .. }, Direction::Sent) => (BlockKind::Event, '→'),
        (Content::Text { .. }, Direction::Received) => (BlockKind::Event, '←'),
        (_, Direction::Sent) => (BlockKind::Sent, '→'),
        (_, Direction::Received) => (BlockKind::Received, '←'),
    };
    let head = format!("{arrow} {:>9.3}  ", message.at.as_secs_f64());
    let indent = head.chars().count();
    let body = match &message.content {
        Content::Element(element) => layout(element, WIDTH - indent),
        Content::Text { text, why } => vec![format!("no element ({why}): {text}")],
        Content::Event(event) => vec![event.clone()],
    };
    let lines = body.into_iter().enumerate();
    let lines = lines.map(|(n, line)| if n == 0 { format!("{head}{line}") } else { " ".repeat(indent) + &line });
    Block { kind, lines: lines.collect() }
}

/// A piece of written XML.
#[derive(Debug)]
enum Token<'a> {
    Text(&'a str),
    Empty(&'a str),
    End(&'a str),
    /// A start tag, and where its element ends in the text.
    Start(&'a str, usize),
}

/// An element on lines of at most `width` columns, where it can be broken between tags and attributes.
///
/// Works on the written text, so that it never recurses.
fn layout(element: &Element, width: usize) -> Vec<String> {
    let text = xml::to_string(element, Some(ns::CLIENT));
    let mut lines: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    for (start, token) in tokens(&text) {
        if start < at {
            // Written already, with the element around it.
            continue;
        }
        let indent = 2 * depth;
        match token {
            Token::Start(tag, end) => {
                let whole = &text[start..end];
                let alone = lines.is_empty() && end == text.len();
                if indent + columns(whole) <= width.max(if alone { 0 } else { 40 }) {
                    lines.push(" ".repeat(indent) + whole);
                    at = end;
                } else {
                    lines.extend(tag_lines(tag, indent, width));
                    depth += 1;
                }
            }
            Token::Empty(tag) => lines.extend(tag_lines(tag, indent, width)),
            Token::Text(text) => lines.push(" ".repeat(indent) + text),
            Token::End(tag) => {
                depth = depth.saturating_sub(1);
                lines.push(" ".repeat(2 * depth) + tag);
            }
        }
    }
    lines
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A tag, broken between attributes where it is too long.
fn tag_lines(tag: &str, indent: usize, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut quoted = false;
    // The writer quotes with ' alone and escapes it inside.
    for word in tag.split_inclusive(|c| {
        quoted ^= c == '\'';
        c == ' ' && !quoted
    }) {
        if columns(&line) + columns(word.trim_end()) > width && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent + 4);
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The tags and texts of what [`xml::write`] wrote, with where each begins.
fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens: Vec<(usize, Token<'_>)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        // The writer escapes < and > everywhere else.
        let end = if rest.starts_with('<') { rest.find('>').map(|end| end + 1) } else { rest.find('<') };
        let end = end.unwrap_or(rest.len());
        let piece = &rest[..end];
        let token = if !piece.starts_with('<') {
            Token::Text(piece)
        } else if piece.starts_with("</") {
            if let Some((_, Token::Start(_, ends))) = open.pop().and_then(|start| tokens.get_mut(start)) {
                *ends = at + end;
            }
            Token::End(piece)
        } else if piece.ends_with("/>") {
            Token::Empty(piece)
        } else {
            open.push(tokens.len());
            Token::Start(piece, text.len())
        };
        tokens.push((at, token));
        at += end;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::text;

    fn show(text: &str, content: bool) -> String {
        let dialogue = redacted(&text::read(text).expect("a dialogue"), content);
        let lines = blocks(&dialogue).into_iter().flat_map(|block| block.lines);
        lines.map(|line| line + "\n").collect()
    }

    #[test]
    fn short_stanzas_take_one_line_and_long_ones_are_indented() {
        let text = "\
== websocket wss://meet.example/xmpp-websocket?room=a&token=hunter2 2026-01-01T12:00:00Z
> 0.0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>
< 61.1234 <presence from='tavern@muc.meet.example/00000000_innkeeper' to='keeper@meet.example/a-resource-of-some-length'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/><status code='110'/></x></presence>
! 62.0 lost
";
        assert_eq!(
            show(text, false),
            "\
connection 1: WebSocket wss://meet.example/xmpp-websocket?room=a&token=token-1, 2026-01-01T12:00:00.000Z, 3 messages
→     0.000  <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>
←    61.123  <presence from='tavern@muc.meet.example/00000000_innkeeper'
                 to='keeper@meet.example/a-resource-of-some-length'>
               <x xmlns='http://jabber.org/protocol/muc#user'>
                 <item affiliation='owner' role='moderator'/>
                 <status code='110'/>
               </x>
             </presence>
!    62.000  lost
"
        );
    }

    #[test]
    fn secrets_are_not_shown_and_what_people_say_only_on_request() {
        let text = "\
> 0 <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGh1bnRlcjIAaHVudGVyMg==</auth>
> 1 <auth mechanism='PLAIN'>AGh1bnRlcjIAaHVudGVyMg==
> 2 <message to='a@b' type='groupchat'><body>good evening</body></message>
";
        for content in [false, true] {
            let shown = show(text, content);
            assert!(!shown.contains("AGh1bnRlcjI"), "{shown}");
            assert_eq!(shown.contains("good evening"), content, "{shown}");
            assert!(shown.contains("no element (not well-formed"), "{shown}");
        }
    }

    #[test]
    fn no_line_of_tags_is_longer_than_the_width() {
        let deep = format!("> 0 {}{}", "<query xmlns='jabber:iq:some'>".repeat(30), "</query>".repeat(30));
        let shown = show(&deep, false);
        assert!(shown.lines().all(|line| columns(line) <= WIDTH + 40), "{shown}");
    }
}
