//! Reads HAR files: the WebSocket messages that Chrome keeps in them, and the bodies of BOSH. Pure.
//!
//! The file is never held as a tree: it is walked once, and only messages are kept. What is not as expected is passed
//! over, and when the JSON breaks off, what was complete before is there.
//! Source: HTTP Archive 1.2 "entries"; Chrome's `_webSocketMessages` (DevTools, HARLog); XEP-0124, XEP-0206.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Connection, ConnectionKind, Content, Dialogue, Direction, HOW, Message, Reader, Remark, Unreadable};
use crate::xml::Element;

/// Namespace of BOSH's `<body/>`. XEP-0124 §4.
const HTTPBIND: &str = "http://jabber.org/protocol/httpbind";

/// Most remarks that are kept: a file may hold a million rows that are none.
const MOST_REMARKS: usize = 50;

/// Reads a HAR, or a list of its messages alone.
///
/// # Errors
/// It is no JSON from the beginning, JSON of another shape, or holds no message.
pub fn read(text: &str) -> Result<Dialogue, Unreadable> {
    let mut found = Found::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let broken = Walk(At::Top, &mut found).deserialize(&mut json).and_then(|()| json.end()).err();
    found.end_entry();
    if let Some(error) = &broken {
        let place = format!("line {}, column {}", error.line(), error.column());
        found.remark(place, format!("the JSON breaks off here ({}); what was complete before is kept", words(error)));
    }
    let empty = found.drafts.iter().all(|draft| draft.messages.is_empty());
    if empty {
        return Err(nothing(&found, broken.as_ref()));
    }
    Ok(found.finish())
}

/// The parser's words without its place.
fn words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or(&words).to_owned()
}

fn nothing(found: &Found, broken: Option<&serde_json::Error>) -> Unreadable {
    if let Some(error) = broken {
        let place = format!("line {}, column {}", error.line(), error.column());
        return Unreadable::Foreign(format!("no JSON at {place}: {}; and no message before that", words(error)));
    }
    if found.har {
        return Unreadable::NoMessage(format!(
            "this HAR holds no XMPP: {} entries, none with WebSocket messages or BOSH bodies; \
             open the network panel before the page, and export with content",
            found.entries
        ));
    }
    Unreadable::Foreign(format!("this is JSON, but no HAR and no list of WebSocket messages; {HOW}"))
}

/// Which value of the file is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Top,
    Log,
    Entries,
    Entry,
    Request,
    PostData,
    Response,
    Body,
    /// The messages of an entry.
    Messages,
    /// A list at the top: messages without an entry.
    Bare,
    Message,
}

/// One HAR entry on its way.
#[derive(Debug, Default)]
struct Draft {
    number: usize,
    url: Option<String>,
    started: Option<Timestamp>,
    /// How long the request took, ms.
    took: f64,
    sent: Option<String>,
    answered: Option<String>,
    base64: bool,
    websocket: bool,
    bosh: Option<Bosh>,
    messages: Vec<Timed>,
}

/// A message with its time as seconds of the epoch, where it has one.
#[derive(Debug)]
struct Timed {
    time: Option<f64>,
    direction: Direction,
    content: Content,
    place: String,
}

/// What tells BOSH sessions apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bosh {
    url: String,
    sid: Option<String>,
}

/// One row of `_webSocketMessages` on its way.
#[derive(Debug, Default)]
struct Row {
    type_: Option<String>,
    time: Option<f64>,
    opcode: Option<f64>,
    data: Option<String>,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    drafts: Vec<Draft>,
    draft: Option<Draft>,
    row: Row,
    /// Rows of this entry so far.
    rows: usize,
    entries: usize,
    har: bool,
    remarks: Vec<Remark>,
    more_remarks: usize,
    reader: Option<Reader>,
}

impl Found {
    fn remark(&mut self, place: String, text: impl Into<String>) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(Remark { place, text: text.into() });
        } else {
            self.more_remarks += 1;
        }
    }

    fn content(&mut self, text: &str) -> Option<Content> {
        self.reader.get_or_insert_with(Reader::new).content(text)
    }

    fn begin_entry(&mut self) {
        self.end_entry();
        self.entries += 1;
        self.rows = 0;
        self.draft = Some(Draft { number: self.entries, ..Draft::default() });
    }

    fn end_entry(&mut self) {
        let Some(mut draft) = self.draft.take() else { return };
        if draft.messages.is_empty() {
            self.bosh(&mut draft);
        }
        if draft.messages.is_empty() && draft.websocket {
            self.remark(format!("entry {}", draft.number), "a WebSocket without messages");
        }
        // What a page loads beside is nobody's business here.
        if !draft.messages.is_empty() {
            self.drafts.push(draft);
        }
    }

    /// Takes the elements out of a BOSH request and its answer.
    fn bosh(&mut self, draft: &mut Draft) {
        let sent = draft.sent.take();
        let answered = draft.answered.take().map(|text| match draft.base64 {
            true => STANDARD.decode(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(text),
            false => text,
        });
        let begun = draft.started.map(seconds);
        let ended = begun.map(|begun| begun + draft.took.max(0.0) / 1000.0);
        let mut sid = None;
        for (text, time, direction, what) in
            [(sent, begun, Direction::Sent, "request"), (answered, ended, Direction::Received, "answer")]
        {
            let Some(text) = text.filter(|text| text.contains(HTTPBIND)) else { continue };
            let place = format!("entry {}, {what}", draft.number);
            let Some(content) = self.content(&text) else { continue };
            let Content::Element(body) = content else {
                draft.messages.push(Timed { time, direction, content, place });
                continue;
            };
            sid = sid.or_else(|| body.attr("sid").map(str::to_owned));
            for content in open_body(body) {
                let content = Content::Element(content);
                draft.messages.push(Timed { time, direction, content, place: place.clone() });
            }
            // An empty poll belongs to the session as well, without a message.
            draft.bosh = Some(Bosh { url: without_query(draft.url.as_deref().unwrap_or_default()), sid: None });
        }
        if let Some(bosh) = &mut draft.bosh {
            bosh.sid = sid;
        }
    }

    fn end_row(&mut self, in_entry: bool) {
        let row = std::mem::take(&mut self.row);
        self.rows += 1;
        if self.draft.is_none() {
            self.draft = Some(Draft { websocket: true, ..Draft::default() });
        }
        let number = self.rows;
        let place = match &self.draft {
            Some(draft) if in_entry && draft.number > 0 => format!("entry {}, message {number}", draft.number),
            _ => format!("message {number}"),
        };
        let Row { type_, time, opcode, data } = row;
        let text = data.unwrap_or_default();
        let direction = match type_.as_deref() {
            Some("send") => Direction::Sent,
            Some("receive") => Direction::Received,
            Some("error") => {
                let content = Content::Event(if text.is_empty() { "error".to_owned() } else { text });
                self.push(Timed { time, direction: Direction::Received, content, place });
                return;
            }
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                self.remark(place, format!("its type is {other:?}, none of send, receive, error"));
                return;
            }
            None => {
                self.remark(place, "no message: it has no type");
                return;
            }
        };
        // RFC 6455 §5.2 "Base Framing Protocol". Chrome writes a binary message in base64.
        let content = match opcode.unwrap_or(1.0) {
            2.0 if STANDARD.decode(&text).is_ok() => Content::Text { text, why: "a binary message".to_owned() },
            // What is no base64 was not binary, whatever its row says: it is read as what it is.
            1.0 | 2.0 => match self.content(&text) {
                Some(content) => content,
                None => return,
            },
            8.0 => Content::Event("closed".to_owned()),
            9.0 => Content::Event("WebSocket ping".to_owned()),
            10.0 => Content::Event("WebSocket pong".to_owned()),
            code => Content::Event(format!("opcode {code}: {text}")),
        };
        self.push(Timed { time, direction, content, place });
    }

    fn push(&mut self, message: Timed) {
        if let Some(draft) = &mut self.draft {
            draft.messages.push(message);
        }
    }

    fn finish(mut self) -> Dialogue {
        let drafts = self.merge_bosh();
        let times = drafts.iter().flat_map(|draft| draft.messages.iter().filter_map(|message| message.time));
        let origin = times.fold(f64::INFINITY, f64::min);
        let connections = drafts.into_iter().map(|draft| draft.connection(origin)).collect();
        if self.more_remarks > 0 {
            let text = format!("{} rows more were passed over", self.more_remarks);
            self.remarks.push(Remark { place: "end of the file".to_owned(), text });
        }
        self.remarks.extend(self.reader.as_ref().and_then(Reader::remark));
        Dialogue { connections, remarks: self.remarks }
    }

    /// Joins the requests of each BOSH session into one connection, in the order of time.
    fn merge_bosh(&mut self) -> Vec<Draft> {
        let mut merged: Vec<Draft> = Vec::new();
        let mut sessions: HashMap<Bosh, usize> = HashMap::new();
        for draft in std::mem::take(&mut self.drafts) {
            let known = draft.bosh.clone().and_then(|bosh| sessions.get(&bosh).copied());
            match (known, &draft.bosh) {
                (Some(at), _) => merged[at].messages.extend(draft.messages),
                (None, Some(bosh)) => {
                    sessions.insert(bosh.clone(), merged.len());
                    merged.push(draft);
                }
                (None, None) => merged.push(draft),
            }
        }
        for draft in merged.iter_mut().filter(|draft| draft.bosh.is_some()) {
            // Long polls are answered after later requests were sent.
            draft.messages.sort_by(|one, other| one.time.unwrap_or(0.0).total_cmp(&other.time.unwrap_or(0.0)));
        }
        merged
    }
}

impl Draft {
    fn connection(self, origin: f64) -> Connection {
        let scheme = self.url.as_deref().and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
        let kind = match scheme {
            _ if self.bosh.is_some() => ConnectionKind::Bosh,
            Some("xmpp" | "xmpps") => ConnectionKind::Tcp,
            Some("ws" | "wss" | "http" | "https") => ConnectionKind::WebSocket,
            _ => ConnectionKind::Unknown,
        };
        let first = self.messages.iter().find_map(|message| message.time);
        let mut last = Duration::ZERO;
        let messages = self.messages.into_iter().map(|message| {
            // A row without a time stands where the one before stood.
            // Seconds of the epoch in a float are good for microseconds.
            let micros = message.time.map(|time| ((time - origin) * 1e6).round());
            last = micros.and_then(|micros| super::since_beginning(micros / 1e6)).unwrap_or(last);
            Message { at: last, direction: message.direction, content: message.content, place: message.place }
        });
        let messages = messages.collect();
        let opened = first.and_then(timestamp).or(self.started);
        let mut connection = Connection { kind, url: self.url, opened, messages };
        connection.guess_kind();
        connection
    }
}

/// The children of a BOSH body; before them the body itself, emptied, where it opens, restarts or ends something.
fn open_body(mut body: Element) -> Vec<Element> {
    let names = ["to", "type", "restart"];
    let says = body.attrs().iter().any(|((_, name), _)| names.contains(&name.as_str()));
    let children: Vec<Element> = body.take_contents_as_children().collect();
    let body = says.then_some(body);
    body.into_iter().chain(children).collect()
}

fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn seconds(time: Timestamp) -> f64 {
    // Microseconds of this millennium fit into 53 bits.
    #[allow(clippy::cast_precision_loss)]
    let micros = time.as_microsecond() as f64;
    micros / 1e6
}

fn timestamp(seconds: f64) -> Option<Timestamp> {
    // A float that is no number or out of range becomes a time that `jiff` refuses, or the beginning of time.
    #[allow(clippy::cast_possible_truncation)]
    let micros = (seconds * 1e6).round() as i64;
    Timestamp::from_microsecond(micros).ok()
}

// ── the walk

/// A number or a text; everything else is nothing.
#[derive(Debug, Default)]
struct Scalar {
    text: Option<String>,
    number: Option<f64>,
}

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar { text: None, number: Some(number as f64) })
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar { text: None, number: Some(number as f64) })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar { text: None, number: Some(number) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar { text: Some(text.to_owned()), number: None })
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar { text: Some(text), number: None })
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }
}

/// Reads one value of the file into what was found; a value of an unexpected kind is passed over.
struct Walk<'f>(At, &'f mut Found);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a HAR")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Walk(at, found) = self;
        let inside = match at {
            // A list at the top holds messages.
            At::Top => At::Bare,
            At::Entries => At::Entry,
            At::Messages => At::Message,
            _ => return ScalarVisitor.visit_seq(list).map(|_| ()),
        };
        while list.next_element_seed(Walk(inside, found))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk(at, found) = self;
        match at {
            At::Entry => found.begin_entry(),
            At::Message | At::Bare => found.row = Row::default(),
            At::Entries | At::Messages => return ScalarVisitor.visit_map(map).map(|_| ()),
            _ => {}
        }
        while let Some(key) = map.next_key::<String>()? {
            let inside = match (at, key.as_str()) {
                (At::Top, "log") => Some(At::Log),
                (At::Top | At::Log, "entries") => {
                    found.har = true;
                    Some(At::Entries)
                }
                (At::Top | At::Entry, "_webSocketMessages") => Some(At::Messages),
                (At::Entry, "request") => Some(At::Request),
                (At::Entry, "response") => Some(At::Response),
                (At::Request, "postData") => Some(At::PostData),
                (At::Response, "content") => Some(At::Body),
                _ => None,
            };
            match inside {
                Some(inside) => map.next_value_seed(Walk(inside, found))?,
                None => value(at, &key, &mut map, found)?,
            }
        }
        match at {
            At::Entry => found.end_entry(),
            At::Message | At::Bare => found.end_row(at == At::Message),
            _ => {}
        }
        Ok(())
    }
}

/// Reads one value that is no part of the way.
fn value<'de, A: MapAccess<'de>>(at: At, key: &str, map: &mut A, found: &mut Found) -> Result<(), A::Error> {
    let wanted = matches!(
        (at, key),
        (At::Message | At::Bare, "type" | "time" | "opcode" | "data")
            | (At::Entry, "startedDateTime" | "time" | "_resourceType")
            | (At::Request, "url")
            | (At::PostData, "text")
            | (At::Body, "text" | "encoding")
    );
    if !wanted {
        return map.next_value::<IgnoredAny>().map(|_| ());
    }
    let Scalar { text, number } = map.next_value()?;
    let row = &mut found.row;
    match (at, key) {
        (At::Message | At::Bare, "type") => row.type_ = text,
        (At::Message | At::Bare, "time") => row.time = number.filter(|time| time.is_finite()),
        (At::Message | At::Bare, "opcode") => row.opcode = number,
        (At::Message | At::Bare, _) => row.data = text,
        _ => {
            let Some(draft) = &mut found.draft else { return Ok(()) };
            match (at, key) {
                (At::Entry, "startedDateTime") => draft.started = text.and_then(|text| text.parse().ok()),
                (At::Entry, "time") => draft.took = number.filter(|time| time.is_finite()).unwrap_or(0.0),
                (At::Entry, _) => draft.websocket = text.as_deref() == Some("websocket"),
                (At::Request, _) => draft.url = text,
                (At::PostData, _) => draft.sent = text,
                (At::Body, "encoding") => draft.base64 = text.as_deref() == Some("base64"),
                _ => draft.answered = text,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(dialogue: &Dialogue) -> Vec<String> {
        let all = dialogue.connections.iter().flat_map(|connection| &connection.messages);
        all.map(|message| {
            let content = match &message.content {
                Content::Element(element) => format!("<{}>", element.name()),
                Content::Text { text, why } => format!("{text:?} ({why})"),
                Content::Event(event) => format!("! {event}"),
            };
            format!("{} {:?} {:?} {content}", message.place, message.at, message.direction)
        })
        .collect()
    }

    const HAR: &str = r#"{"log":{"version":"1.2","entries":[
        {"request":{"url":"https://meet.example/"},"response":{"status":200,"content":{"text":"<html/>"}}},
        {"_webSocketMessages":[
            {"type":"send","time":100.5,"opcode":1,"data":"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a'/>"},
            {"type":"receive","time":100.75,"opcode":1,"data":"<iq/>"},
            {"type":"receive","time":101,"opcode":1,"data":"<iq>"},
            {"type":"receive","time":101,"opcode":2,"data":"AAE="},
            {"type":"shout","time":101,"opcode":1,"data":"<iq/>"},
            {"type":"error","time":102,"opcode":-1,"data":"Data frame received after close"}],
         "_resourceType":"websocket",
         "startedDateTime":"1970-01-01T00:01:40Z",
         "request":{"url":"wss://meet.example/xmpp-websocket?room=a"}}]}}"#;

    #[test]
    fn messages_of_a_web_socket_are_read_and_odd_rows_are_carried_along() {
        let dialogue = read(HAR).expect("a dialogue");
        assert_eq!(
            messages(&dialogue),
            [
                "entry 2, message 1 0ns Sent <open>",
                "entry 2, message 2 250ms Received <iq>",
                "entry 2, message 3 500ms Received \"<iq>\" (not well-formed: invalid eof in text node)",
                "entry 2, message 4 500ms Received \"AAE=\" (a binary message)",
                "entry 2, message 6 1.5s Received ! Data frame received after close",
            ]
        );
        let [connection] = &dialogue.connections[..] else { panic!("one connection") };
        assert_eq!(connection.kind, ConnectionKind::WebSocket);
        assert_eq!(connection.url.as_deref(), Some("wss://meet.example/xmpp-websocket?room=a"));
        assert_eq!(connection.opened.map(|at| at.to_string()).as_deref(), Some("1970-01-01T00:01:40.5Z"));
        assert_eq!(dialogue.remarks[0].place, "entry 2, message 5");
    }

    #[test]
    fn a_binary_message_that_is_no_base64_is_read_as_text() {
        let dialogue = read(&HAR.replacen("\"opcode\":1", "\"opcode\":2", 1)).expect("a dialogue");
        assert_eq!(messages(&dialogue)[0], "entry 2, message 1 0ns Sent <open>");
    }

    #[test]
    fn messages_may_stand_alone() {
        let row = r#"{"type":"send","time":5,"opcode":1,"data":"<iq/>"}"#;
        for text in [format!("[{row}]"), format!("{{\"_webSocketMessages\":[{row}]}}"), format!("[1,{row},[],null]")] {
            assert_eq!(messages(&read(&text).expect("a dialogue")), ["message 1 0ns Sent <iq>"], "{text}");
        }
    }

    #[test]
    fn what_was_complete_before_the_json_breaks_off_is_kept() {
        let at = HAR.find("<iq>").expect("the third message");
        let dialogue = read(&HAR[..at]).expect("a dialogue");
        assert_eq!(messages(&dialogue).len(), 2);
        let remark = dialogue.remarks.last().expect("a remark");
        assert_eq!(remark.place, "line 6, column 60");
        assert!(remark.text.contains("breaks off"), "{}", remark.text);
    }

    #[test]
    fn bosh_is_one_connection_in_the_order_of_time() {
        let body = |inner: &str| format!("<body xmlns='http://jabber.org/protocol/httpbind' {inner}");
        let entry = |started: &str, took: u32, sent: String, answered: String| {
            serde_json::json!({
                "startedDateTime": format!("2026-01-01T00:00:{started}Z"),
                "time": took,
                "request": { "url": format!("https://meet.example/http-bind?room=a&n={started}"),
                             "postData": { "text": sent } },
                "response": { "content": { "text": STANDARD.encode(answered), "encoding": "base64" } },
            })
        };
        let client = "xmlns='jabber:client'";
        let har = serde_json::json!({ "log": { "entries": [
            entry("01", 10, body("to='meet.example' rid='1'/>"), body("sid='s'><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></body>")),
            entry("02", 9000, body(&format!("sid='s'><iq {client}/></body>")), body(&format!("sid='s'><message {client}/></body>"))),
            entry("03", 10, body(&format!("sid='s'><presence {client}/></body>")), body("sid='s'/>")),
            entry("12", 10, body("sid='s' type='terminate'/>"), body("type='terminate'/>")),
        ]}});
        let dialogue = read(&har.to_string()).expect("a dialogue");
        let [connection] = &dialogue.connections[..] else { panic!("one connection: {:?}", messages(&dialogue)) };
        assert_eq!(connection.kind, ConnectionKind::Bosh);
        assert_eq!(
            messages(&dialogue),
            [
                "entry 1, request 0ns Sent <body>",
                "entry 1, answer 10ms Received <success>",
                "entry 2, request 1s Sent <iq>",
                "entry 3, request 2s Sent <presence>",
                "entry 2, answer 10s Received <message>",
                "entry 4, request 11s Sent <body>",
                "entry 4, answer 11.01s Received <body>",
            ]
        );
    }

    #[test]
    fn json_of_another_shape_is_named() {
        for (text, says) in [
            ("{}", "no HAR and no list"),
            ("[]", "no HAR and no list"),
            (r#"{"log":{"entries":[]}}"#, "holds no XMPP: 0 entries"),
            (r#"{"log":{"entries":{"a":1}}}"#, "holds no XMPP"),
            (r#"{"log":[1,2],"name":"x"}"#, "no HAR"),
            ("{\n \"log\": {x", "no JSON at line 2, column 10"),
            ("{} {}", "no JSON at line 1, column 4"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn times_of_any_kind_are_survived() {
        let text = r#"[{"type":"send","time":1e308,"data":"<a/>"},{"type":"send","time":-1e308,"data":"<a/>"},
            {"type":"send","time":null,"data":"<a/>"},{"type":"send","data":"<a/>"},{"type":"send","time":"x","data":7}]"#;
        assert_eq!(messages(&read(text).expect("a dialogue")).len(), 5);
    }
}
