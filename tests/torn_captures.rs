//! Captures that are torn apart and put together again by a seeded generator: whatever comes of it is read, shown,
//! explained and compared, and never a panic. The fuzz target `captures` does the same with coverage to guide it.
//!
//! `TORN_CASES=100000 cargo test --test torn_captures` tries more.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

use fastrand::Rng;
use innkeeper::capture::{self, Content, Dialogue, Direction, equiv, explain, show, text};
use innkeeper::xml::{self, Element};
use serde_json::{Value, json};

const WORDS: &[&str] = &[
    "\n",
    " ",
    "\"",
    "'",
    "<",
    "/>",
    "{",
    "}]",
    "\\u0000",
    "\u{202e}",
    "&#10;",
    "> 1.0 ",
    "< 0.0 ",
    "! 2.0 lost\n",
    "== tcp x\n",
    "== websocket wss://a/b?token=c 2026-01-01T00:00:00Z\n",
    "1e308",
    "-1",
    "null",
    "\"type\":\"error\"",
    "\"opcode\":2",
    "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>",
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>",
    "type='error'",
    "type='unavailable'",
    "<status code='110'/>",
    "role='moderator'",
    "session-id='s'",
    "urn:xmpp:extdisco:2",
    "tavern@muc.meet.jitsi/0keeper",
];

/// The dialogues of `packet_captures/` as lines, as a list of messages and as a HAR with WebSocket and BOSH.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures");
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of dialogues") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a file");
        let Ok(dialogue) = capture::read(&bytes) else { continue };
        let rows: Vec<Value> = dialogue.connections[0].elements().take(20).map(row).collect();
        let body = |inner: &str| format!("<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>{inner}</body>");
        let polls = dialogue.connections[0].elements().take(6).map(|(message, element)| {
            let text = body(&xml::to_string(element, None));
            let (sent, heard) = if message.direction == Direction::Sent { (text, body("")) } else { (body(""), text) };
            json!({ "startedDateTime": "2026-01-01T00:00:00Z", "time": 5, "request": {
                "url": "https://meet.example/http-bind", "postData": { "text": sent } },
                "response": { "content": { "text": heard } } })
        });
        let mut entries: Vec<Value> = polls.collect();
        entries.push(json!({ "_webSocketMessages": rows, "request": { "url": "wss://meet.example/x?room=a" } }));
        seeds.push(Value::from(rows).to_string().into_bytes());
        seeds.push(json!({ "log": { "entries": entries } }).to_string().into_bytes());
        seeds.push(bytes);
    }
    assert!(seeds.len() >= 21, "{} seeds", seeds.len());
    seeds
}

fn row((message, element): (&capture::Message, &Element)) -> Value {
    let kind = if message.direction == Direction::Sent { "send" } else { "receive" };
    let time = 1_767_225_600.0 + message.at.as_secs_f64();
    json!({ "type": kind, "time": time, "opcode": 1, "data": xml::to_string(element, None) })
}

fn tear(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.choice(seeds).expect("a seed").clone();
    for _ in 0..rng.usize(..8) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..200)).min(bytes.len());
        match rng.u8(..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            3 | 4 => {
                let word = rng.choice(WORDS).expect("a word");
                bytes.splice(at..at, word.bytes());
            }
            5 if at < bytes.len() => bytes[at] = rng.u8(..),
            6 => {
                let other = rng.choice(seeds).expect("a seed");
                let from = rng.usize(..other.len());
                bytes.extend_from_slice(&other[from..(from + 2000).min(other.len())]);
            }
            _ => {
                // Whole lines change places, so that stanzas stay and their order does not.
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (one, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
                lines.swap(one, other);
                bytes = lines.join(&b'\n');
            }
        }
    }
    bytes
}

fn elements(dialogue: &Dialogue) -> Vec<Element> {
    dialogue.connections.iter().flat_map(|one| one.elements().map(|(_, element)| element.clone())).collect()
}

/// Everything that is done with a capture; says whether it was one.
fn take(bytes: &[u8]) -> bool {
    let Ok(dialogue) = capture::read(bytes) else {
        if let Some(told) = explain::log_line(&String::from_utf8_lossy(bytes)) {
            assert!(!told.sentences().is_empty());
        }
        return false;
    };
    let told = explain::explain(&dialogue);
    assert!(!told.sentences().is_empty());
    if let Some(service) = &told.service {
        assert!(service.parse::<toml::Table>().is_ok(), "{service}");
    }
    assert!(!show::blocks(&show::redacted(&dialogue, false)).is_empty());
    for report in equiv::diff(&dialogue, &dialogue) {
        assert!(!report.differs(), "not what it is itself: {report:#?}");
    }
    let written = text::write(&dialogue);
    let again = text::read(&written).expect("what was written");
    // Line ends in what is no element are written as spaces, and it may be one then.
    let mut all = dialogue.connections.iter().flat_map(|one| &one.messages);
    if !all.any(|message| matches!(&message.content, Content::Text { text, .. } if text.contains(['\n', '\r']))) {
        assert_eq!(elements(&dialogue), elements(&again), "{written}");
    }
    let count = |dialogue: &Dialogue| dialogue.connections.iter().map(|one| one.messages.len()).sum::<usize>();
    assert_eq!(count(&dialogue), count(&again), "{written}");
    let text = |dialogue: &Dialogue| {
        let all = dialogue.connections.iter().flat_map(|one| &one.messages);
        all.filter(|message| matches!(message.content, Content::Event(_))).count()
    };
    assert_eq!(text(&dialogue), text(&again), "{written}");
    true
}

#[test]
fn torn_captures_are_read_shown_explained_and_compared() {
    let cases: u64 = std::env::var("TORN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let start: u64 = std::env::var("TORN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let seeds = seeds();
    let mut captures = 0;
    for seed in start..start + cases {
        let bytes = tear(&mut Rng::with_seed(seed), &seeds);
        let taken = std::panic::catch_unwind(|| take(&bytes));
        captures +=
            u64::from(taken.unwrap_or_else(|_| panic!("TORN_SEED={seed}:\n{}", String::from_utf8_lossy(&bytes))));
    }
    // Most of what is torn still holds something.
    assert!(captures * 2 > cases, "{captures} of {cases}");
}
