//! Dialogues as lines that people can write by hand. Pure.
//!
//! ```text
//! # a comment, or an empty line: ignored
//! == websocket wss://meet.example/xmpp-websocket 2026-01-01T12:00:00Z    a connection begins; not needed for one alone
//! > 0.0 <iq type='get' to='meet.example' id='1'>                         the client says this, 0.0 s after the beginning
//!         <ping xmlns='urn:xmpp:ping'/></iq>                             what is indented goes on the line before
//! < 0.1 <iq type='result' from='meet.example' id='1'/>                   the server says this
//! ! 9.0 lost                                                             something happens to the connection
//! ```
//!
//! Elements are in `jabber:client` where they name no other namespace.

use std::time::Duration;

use jiff::Timestamp;

use super::{Connection, ConnectionKind, Content, Dialogue, Direction, Message, Reader, Remark, Unreadable};
use crate::xml;
use crate::xmpp::ns;

/// Whether a text is written in lines of this format: its first line that says something begins as one.
#[must_use]
pub fn is_one(text: &str) -> bool {
    let first = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
    first.is_some_and(|line| {
        let mut words = line.split(' ');
        match words.next() {
            Some("==") => true,
            Some(">" | "<" | "!") => words.next().is_some_and(|at| time(at).is_some()),
            _ => false,
        }
    })
}

/// Reads a text. A line that is none of the format is a [`Remark`], and what is no element is carried along.
///
/// # Errors
/// There is no message in it.
pub fn read(text: &str) -> Result<Dialogue, Unreadable> {
    let mut read = Lines { reader: Reader::new(), dialogue: Dialogue::default(), last: Duration::ZERO };
    let mut line: Option<(usize, String)> = None;
    for (number, next) in text.lines().enumerate() {
        if next.starts_with('#') || next.trim().is_empty() {
            continue;
        }
        match &mut line {
            Some((_, begun)) if next.starts_with([' ', '\t']) => {
                begun.push(' ');
                begun.push_str(next.trim());
            }
            _ => {
                if let Some((number, whole)) = line.replace((number + 1, next.to_owned())) {
                    read.line(number, &whole);
                }
            }
        }
    }
    if let Some((number, whole)) = line {
        read.line(number, &whole);
    }
    let Lines { reader, mut dialogue, .. } = read;
    if dialogue.connections.iter().all(|connection| connection.messages.is_empty()) {
        let first = dialogue.remarks.first();
        let why = first.map(|remark| format!(": {}: {}", remark.place, remark.text)).unwrap_or_default();
        return Err(Unreadable::NoMessage(format!("there is no message in these lines{why}")));
    }
    dialogue.connections.iter_mut().for_each(Connection::guess_kind);
    dialogue.remarks.extend(reader.remark());
    Ok(dialogue)
}

fn time(word: &str) -> Option<Duration> {
    word.parse().ok().and_then(super::since_beginning)
}

/// A dialogue on its way out of its lines.
struct Lines {
    reader: Reader,
    dialogue: Dialogue,
    last: Duration,
}

impl Lines {
    fn line(&mut self, number: usize, line: &str) {
        let place = format!("line {number}");
        if let Err(what) = self.words(&place, line) {
            self.dialogue.remarks.push(Remark { place, text: what });
        }
    }

    fn words(&mut self, place: &str, line: &str) -> Result<(), String> {
        let mut words = line.splitn(3, ' ');
        let (mark, at, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
        let direction = match mark {
            "==" => return self.header(line),
            ">" => Direction::Sent,
            "<" | "!" => Direction::Received,
            _ => return Err("it begins with none of < > ! # ==".to_owned()),
        };
        let at = at.and_then(time).ok_or("no time")?;
        let rest = rest.map(str::trim).filter(|rest| !rest.is_empty()).ok_or("nothing behind the time")?;
        if at < self.last {
            let text = "time goes back".to_owned();
            self.dialogue.remarks.push(Remark { place: place.to_owned(), text });
        }
        self.last = at;
        let content = if mark == "!" {
            Content::Event(rest.to_owned())
        } else {
            match self.reader.content(rest) {
                Some(content) => content,
                None => return Ok(()),
            }
        };
        if self.dialogue.connections.is_empty() {
            self.open(ConnectionKind::Unknown, None, None);
        }
        if let Some(connection) = self.dialogue.connections.last_mut() {
            connection.messages.push(Message { at, direction, content, place: place.to_owned() });
        }
        Ok(())
    }

    fn header(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_ascii_whitespace().skip(1).peekable();
        let kind = match words.next() {
            Some("websocket") => ConnectionKind::WebSocket,
            Some("bosh") => ConnectionKind::Bosh,
            Some("tcp") => ConnectionKind::Tcp,
            Some("unknown") => ConnectionKind::Unknown,
            _ => return Err("== is followed by none of websocket, bosh, tcp, unknown".to_owned()),
        };
        let url = words.next_if(|word| word.parse::<Timestamp>().is_err()).map(str::to_owned);
        let opened = words.next().map(str::parse).transpose().map_err(|_| "the time of the connection is none")?;
        self.open(kind, url, opened);
        // Connections overlap, so that each has an order of its own.
        self.last = Duration::ZERO;
        Ok(())
    }

    fn open(&mut self, kind: ConnectionKind, url: Option<String>, opened: Option<Timestamp>) {
        self.dialogue.connections.push(Connection { kind, url, opened, messages: Vec::new() });
    }
}

/// Writes a dialogue as [`read`] reads it; remarks become comments. Secrets are written as they are.
///
/// The lines of a text that is no element come back joined by a space, and may be one then.
#[must_use]
pub fn write(dialogue: &Dialogue) -> String {
    let mut out = String::new();
    for remark in &dialogue.remarks {
        out.push_str(&format!("# {}: {}\n", one_line(&remark.place), one_line(&remark.text)));
    }
    for connection in &dialogue.connections {
        header(connection, dialogue.connections.len() > 1, &mut out);
        for message in &connection.messages {
            line(message, &mut out);
        }
    }
    out
}

fn header(connection: &Connection, needed: bool, out: &mut String) {
    let kind = match connection.kind {
        ConnectionKind::WebSocket => "websocket",
        ConnectionKind::Bosh => "bosh",
        ConnectionKind::Tcp => "tcp",
        ConnectionKind::Unknown => "unknown",
    };
    // A URL has no white space; what has some is none, and would come back in pieces.
    let url = connection.url.as_deref().filter(|url| !url.is_empty() && !url.contains(char::is_whitespace));
    if !needed && url.is_none() && connection.opened.is_none() {
        return;
    }
    out.push_str("== ");
    out.push_str(kind);
    if let Some(url) = url {
        out.push_str(&format!(" {url}"));
    }
    if let Some(opened) = connection.opened {
        out.push_str(&format!(" {opened}"));
    }
    out.push('\n');
}

fn line(message: &Message, out: &mut String) {
    let (mark, text) = match (&message.content, message.direction) {
        (Content::Event(event), _) => ("!", one_line(event)),
        // A line end inside an element is written as a reference, for it may only stand between lines here.
        (Content::Element(element), Direction::Sent) => (">", on_one_line(element)),
        (Content::Element(element), Direction::Received) => ("<", on_one_line(element)),
        (Content::Text { text, .. }, Direction::Sent) => (">", one_line(text)),
        (Content::Text { text, .. }, Direction::Received) => ("<", one_line(text)),
    };
    let micros = message.at.subsec_micros();
    let at = format!("{}.{micros:06}", message.at.as_secs());
    // At least one digit behind the point.
    let at = at.trim_end_matches('0');
    let zero = if at.ends_with('.') { "0" } else { "" };
    out.push_str(&format!("{mark} {at}{zero} {text}\n"));
}

fn on_one_line(element: &xml::Element) -> String {
    xml::to_string(element, Some(ns::CLIENT)).replace('\n', "&#10;")
}

/// Text without line ends; what is nothing then is written as `-`, for a line must hold something.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A comment.

> 0.00 <iq type='get' to='meet.example' id='1'>
         <ping xmlns='urn:xmpp:ping'/></iq>
< 0.125 <iq type='result' from='meet.example' id='1'/>
! 9.0 lost
";

    #[test]
    fn lines_are_messages_and_what_is_indented_goes_on() {
        let dialogue = read(TEXT).expect("a dialogue");
        assert_eq!(dialogue.remarks, []);
        let [connection] = &dialogue.connections[..] else { panic!("one connection") };
        let places: Vec<&str> = connection.messages.iter().map(|message| message.place.as_str()).collect();
        assert_eq!(places, ["line 3", "line 5", "line 6"]);
        let [ping, answer, lost] = &connection.messages[..] else { panic!("three messages") };
        let Content::Element(element) = &ping.content else { panic!("{ping:?}") };
        assert!(element.is("iq", ns::CLIENT) && element.has_child("ping", ns::PING));
        assert_eq!((ping.direction, answer.direction), (Direction::Sent, Direction::Received));
        assert_eq!(answer.at, Duration::from_millis(125));
        assert!(matches!(&lost.content, Content::Event(event) if event == "lost"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "== websocket wss://meet.example/xmpp-websocket?room=a 2026-01-01T12:00:00Z\n\
                    > 0.0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example'/>\n\
                    < 0.5 <message><body>a&#10;b</body></message>\n\
                    < 0.75 no element\n\
                    == tcp\n\
                    ! 1.000001 lost\n";
        let written = write(&read(text).expect("a dialogue"));
        assert_eq!(written, text);
    }

    #[test]
    fn a_line_that_is_none_is_named_and_the_others_are_read() {
        let dialogue = read("> 0 <a/>\n? 1 <b/>\n> x <b/>\n> 2\n> 3 <a>\n< 2 <c/>\n== carrier\n").expect("a dialogue");
        let remarks: Vec<String> = dialogue.remarks.iter().map(|one| format!("{}: {}", one.place, one.text)).collect();
        assert_eq!(
            remarks,
            [
                "line 2: it begins with none of < > ! # ==",
                "line 3: no time",
                "line 4: nothing behind the time",
                "line 6: time goes back",
                "line 7: == is followed by none of websocket, bosh, tcp, unknown",
            ]
        );
        assert_eq!(dialogue.connections[0].messages.len(), 3);
        assert!(
            matches!(&dialogue.connections[0].messages[1].content, Content::Text { why, .. } if why.contains("well-formed"))
        );
    }

    #[test]
    fn html_and_prose_are_not_taken_for_lines() {
        for text in ["<!DOCTYPE html>", "<html>", "< p", "> quoted mail", "hello", ""] {
            assert!(!is_one(text), "{text}");
        }
        assert!(is_one("# x\n\n< 1.0 <a/>"));
    }
}
