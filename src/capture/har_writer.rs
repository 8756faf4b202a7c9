//! Writes HAR files that Chrome's network panel opens, one row at a time. Pure.
//!
//! A file is a [`head`] for each connection, its [`row`]s, and a [`TAIL`]. The messages stand last, so that a row is
//! appended by writing it and the tail over the tail that was there: the file is whole after every row.
//! Source: HTTP Archive 1.2 "log", "entries"; Chrome's `_webSocketMessages` (DevTools, HARLog).

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::json;
use url::Url;

use super::{Content, Dialogue, Direction};
use crate::xml;

/// What closes the messages, their entry, the entries, and the log.
pub const TAIL: &str = "]}]}}\n";
/// What closes the messages and their entry when another one follows.
const NEXT: &str = "]},\n";

/// The beginning of a file up to its first row. `url` and `comment` must hold no secret.
#[must_use]
pub fn head(url: &str, started: Timestamp, comment: &str) -> String {
    let creator = json!({"name": "innkeeper", "version": env!("CARGO_PKG_VERSION")});
    // Written by hand: what is to stand last would not in a map that sorts its keys.
    format!(
        "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"pages\":[],\"entries\":[\n{}",
        entry(url, started, comment)
    )
}

/// One connection up to its first row. TCP is written as a WebSocket: the URL's scheme tells.
fn entry(url: &str, started: Timestamp, comment: &str) -> String {
    let query: Vec<_> = Url::parse(url).map_or_else(
        |_| Vec::new(),
        |url| url.query_pairs().map(|(name, value)| json!({"name": name, "value": value})).collect(),
    );
    let request = json!({
        "method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [], "queryString": query, "cookies": [],
        "headersSize": -1, "bodySize": 0,
    });
    let response = json!({
        "status": 101, "statusText": "Switching Protocols", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
        "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
        "_transferSize": 0, "_error": null,
    });
    let timings = json!({
        "blocked": -1, "dns": -1, "ssl": -1, "connect": -1, "send": 0, "wait": 0, "receive": 0, "_blocked_queueing": -1,
    });
    let started = started.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    format!(
        "{{\"_priority\":\"High\",\"_resourceType\":\"websocket\",\"startedDateTime\":{},\"time\":0,\"request\":{request},\
         \"response\":{response},\"cache\":{{}},\"timings\":{timings},\"serverIPAddress\":\"\",\"comment\":{},\
         \"_webSocketMessages\":[",
        json!(started),
        json!(comment)
    )
}

/// What a row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// A message.
    Message(Direction, &'a str),
    /// Something that happened to the connection, as a browser notes an error.
    Event(&'a str),
}

/// One row. `first`: no row stands before it.
#[must_use]
pub fn row(row: Row<'_>, at: Timestamp, first: bool) -> String {
    let (kind, opcode, data) = match row {
        Row::Message(Direction::Sent, data) => ("send", 1, data),
        Row::Message(Direction::Received, data) => ("receive", 1, data),
        Row::Event(what) => ("error", -1, what),
    };
    let comma = if first { "" } else { "," };
    let micros = at.as_microsecond();
    let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    // As digits: a float in between would lose some.
    format!(
        "{comma}\n{{\"type\":\"{kind}\",\"time\":{seconds}.{rest:06},\"opcode\":{opcode},\"data\":{}}}",
        json!(data)
    )
}

/// A whole dialogue. What its reader was told in remarks is left out; nothing is redacted.
#[must_use]
pub fn write(dialogue: &Dialogue) -> String {
    let mut text = String::new();
    let begun = dialogue.connections.iter().filter_map(|connection| {
        let first = connection.messages.first()?;
        connection.opened?.checked_sub(jiff::SignedDuration::try_from(first.at).ok()?).ok()
    });
    let begun = begun.min().unwrap_or(Timestamp::UNIX_EPOCH);
    for connection in &dialogue.connections {
        let url = connection.url.as_deref().unwrap_or("unknown:");
        let opened = connection.opened.unwrap_or(begun);
        if text.is_empty() {
            text.push_str(&head(url, opened, ""));
        } else {
            text.push_str(NEXT);
            text.push_str(&entry(url, opened, ""));
        }
        for (n, message) in connection.messages.iter().enumerate() {
            let said;
            let what = match &message.content {
                Content::Element(element) => {
                    said = xml::to_string(element, None);
                    Row::Message(message.direction, &said)
                }
                Content::Text { text, .. } => Row::Message(message.direction, text),
                Content::Event(what) => Row::Event(what),
            };
            let after = jiff::SignedDuration::try_from(message.at).unwrap_or_default();
            // Beyond the end of time nothing is recorded.
            let at = begun.checked_add(after).unwrap_or(begun);
            // Writing to a string can not fail.
            let _ = write!(text, "{}", row(what, at, n == 0));
        }
    }
    if text.is_empty() {
        let _ = write!(text, "{}", head("unknown:", begun, "an empty dialogue"));
    }
    text.push_str(TAIL);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_is_whole_after_every_row_and_says_what_it_was_given() {
        let mut text = head("wss://h/x?room=r&token=token-1", at("2026-11-21T09:15:00.123456Z"), "meet, session 0");
        let rows = [
            Row::Message(Direction::Sent, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='h'/>"),
            Row::Message(Direction::Received, "<iq xmlns='jabber:client' id='\"\\\u{1F37A}'/>"),
            Row::Event("lost: the connection was reset"),
        ];
        for (n, what) in rows.into_iter().enumerate() {
            text.push_str(&row(what, at("2026-11-21T09:15:00.123456Z"), n == 0));
            let whole = format!("{text}{TAIL}");
            let json: serde_json::Value = serde_json::from_str(&whole).unwrap();
            let entry = &json["log"]["entries"][0];
            assert_eq!(entry["_webSocketMessages"].as_array().unwrap().len(), n + 1);
            assert_eq!(entry["request"]["queryString"][1]["value"], "token-1");
            assert_eq!(entry["startedDateTime"], "2026-11-21T09:15:00.123Z");
            let read = capture::read(whole.as_bytes()).unwrap();
            assert_eq!(read.connections[0].messages.len(), n + 1);
            assert!(read.remarks.is_empty(), "{:?}", read.remarks);
        }
        assert!(text.contains("\"time\":1795252500.123456,"), "{text}");
    }

    #[test]
    fn a_file_that_was_torn_anywhere_is_read_as_far_as_it_goes() {
        let begun = at("2026-11-21T09:15:00Z");
        let mut text = head("wss://h/x", begun, "");
        for n in 0..3 {
            text.push_str(&row(Row::Message(Direction::Sent, &format!("<iq id='{n}'/>")), begun, n == 0));
        }
        let third = text.rfind("\n{").unwrap();
        for cut in third..text.len() {
            let read = capture::read(&text.as_bytes()[..cut]).unwrap();
            assert_eq!(read.connections[0].messages.len(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_dialogue_with_several_connections_comes_back_as_it_was() {
        let lines = "== websocket wss://h/x 2026-01-01T12:00:00Z\n> 0.0 <a/>\n< 2.5 <b/>\n! 9 lost\n\
                     == tcp xmpp://h 2026-01-01T12:00:01Z\n> 1.0 <c/>\n";
        let dialogue = capture::read(lines.as_bytes()).unwrap();
        let again = capture::read(write(&dialogue).as_bytes()).unwrap();
        assert_eq!(capture::text::write(&again), capture::text::write(&dialogue));
        assert_eq!(again.connections.len(), 2);
        assert!(capture::read(write(&Dialogue::default()).as_bytes()).is_err(), "it says that it is empty");
    }
}
