//! A session takes whatever can be parsed, in any order and at any time: stanzas of the dialogues, torn apart and put
//! together again by a seeded generator, between orders, losses and resumptions that make no sense.
//!
//! `ANYTHING_SEED=7 cargo test --test anything` runs one seed.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use innkeeper::cause::{Cause, Word};
use innkeeper::config::{Mechanism, Media, PaceKind, RoomKey, Secret};
use innkeeper::jitsi::focus::Gate;
use innkeeper::room::Settings;
use innkeeper::session::{Bucket, Input, Outbox, Profile, Session};
use innkeeper::stream::{Bound, LastLogin, Management};
use innkeeper::xml::{self, Element, Limits};

/// What a mutation may put in the place of a name, a value or a text.
const WORDS: &[&str] = &[
    "",
    "0",
    "-1",
    "110",
    "201",
    "301",
    "303",
    "307",
    "322",
    "333",
    "4294967296",
    "true",
    "ready",
    "error",
    "result",
    "get",
    "set",
    "unavailable",
    "subscribe",
    "none",
    "owner",
    "moderator",
    "participant",
    "outcast",
    "focus",
    "tavern@muc.meet.jitsi",
    "tavern@muc.meet.jitsi/focus",
    "tavern@muc.meet.jitsi/0keeper",
    "cellar@muc.meet.jitsi/x/y@z",
    "focus.meet.jitsi",
    "muc.meet.jitsi",
    "meet.jitsi",
    "@",
    "/",
    "🍺",
    "a\u{200d}b",
    "iq",
    "presence",
    "message",
    "r",
    "a",
    "x",
    "item",
    "status",
    "destroy",
    "query",
    "conference",
    "ping",
    "conflict",
    "forbidden",
    "jingle",
    "session-initiate",
];
const NAMESPACES: &[&str] = &[
    "jabber:client",
    "",
    "x:y",
    "http://jabber.org/protocol/muc",
    "http://jabber.org/protocol/muc#user",
    "http://jabber.org/protocol/muc#owner",
    "http://jitsi.org/protocol/focus",
    "urn:xmpp:sm:3",
    "urn:xmpp:ping",
    "http://etherx.jabber.org/streams",
    "urn:ietf:params:xml:ns:xmpp-stanzas",
];

fn stanzas() -> Vec<String> {
    let mut stanzas = vec![
        "<r xmlns='urn:xmpp:sm:3'/>".to_owned(),
        "<a xmlns='urn:xmpp:sm:3' h='1'/>".to_owned(),
        "<error xmlns='http://etherx.jabber.org/streams'/>".to_owned(),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the dialogues").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "txt")) {
        for line in std::fs::read_to_string(file).expect("a dialogue").lines() {
            match line.chars().next() {
                Some('<' | '>') => stanzas.push(line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned()),
                Some(' ') => {
                    let last = stanzas.last_mut().expect("a line before");
                    last.push(' ');
                    last.push_str(line.trim());
                }
                _ => {}
            }
        }
    }
    stanzas
}

fn word(rng: &mut Rng) -> &'static str {
    WORDS[rng.usize(..WORDS.len())]
}

/// One change of a tree: attributes, text, children, namespace.
fn mutate(rng: &mut Rng, element: &mut Element, all: &[Element]) {
    let mut place = element;
    for _ in 0..rng.usize(0..4) {
        let children = place.children().count();
        if children == 0 {
            break;
        }
        place = place.children_mut().nth(rng.usize(..children)).expect("just counted");
    }
    match rng.u8(0..6) {
        0 | 1 => {
            let names =
                ["id", "from", "to", "type", "code", "role", "affiliation", "jid", "nick", "ready", "h", "room", "sid"];
            let name = rxml::NcName::try_from(names[rng.usize(..names.len())]).expect("a name");
            place.set_attr(rxml::Namespace::NONE, name, word(rng));
        }
        2 => place.append_text_node(word(rng)),
        3 => {
            let other = &all[rng.usize(..all.len())];
            let part = other.children().next().unwrap_or(other).clone();
            place.append_child(part);
        }
        4 => {
            let namespace = NAMESPACES[rng.usize(..NAMESPACES.len())];
            let name = ["x", "item", "iq", "error", "query", "nick", "destroy", "conference"][rng.usize(..8)];
            place.append_child(Element::bare(name, namespace));
        }
        _ => {
            let mut less = Element::bare(place.name(), place.ns());
            for ((_, name), value) in place.attrs().iter() {
                if rng.bool() {
                    less.set_attr(rxml::Namespace::NONE, name.clone(), value.to_string());
                }
            }
            for child in place.children().filter(|_| rng.bool()) {
                less.append_child(child.clone());
            }
            *place = less;
        }
    }
}

/// One change of a text: bytes lost, doubled, swapped.
fn tear(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match rng.u8(0..4) {
            0 => drop(bytes.drain(at..(at + rng.usize(0..20)).min(bytes.len()))),
            1 => bytes.insert(at, rng.u8(..)),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = b"<>&'\"/= \0x"[rng.usize(..10)];
                }
            }
            _ => {
                let part = bytes[at..(at + 30).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn settings(rng: &mut Rng) -> Settings {
    let name = ["tavern", "cellar"][rng.usize(..2)];
    Settings {
        key: RoomKey { service: "s".into(), name: name.into() },
        jid: format!("{name}@muc.meet.jitsi").into(),
        nick: ["0keeper", "00000000_innkeeper", "focus"][rng.usize(..3)].into(),
        display_name: word(rng).into(),
        password: rng.bool().then(|| Secret::new("secret")),
        focus: true,
        moderated: None,
        plans: None,
    }
}

fn input(rng: &mut Rng, texts: &[String], all: &[Element], sent: &[Element]) -> Input {
    let settings = settings(rng);
    match rng.u8(0..40) {
        0 | 1 => Input::Hold(Arc::new(settings)),
        2 => Input::Release(settings.key),
        3 => {
            let words = [Word::Disconnected, Word::Conflict, Word::ProtocolError, Word::BadCredentials];
            Input::Offline(Cause::new(words[rng.usize(..4)], "no reason"))
        }
        4..=6 => Input::Online(Bound {
            jid: ["keeper@meet.jitsi/x", ""][rng.usize(..2)].to_owned(),
            login: LastLogin { mechanism: Mechanism::Plain, key_hash: None },
            management: rng.bool().then(|| Management { id: rng.bool().then(|| "sm".to_owned()), max: None }),
            resumed: rng.bool().then(|| rng.u32(0..20)),
            early: all[..rng.usize(0..3)].to_vec(),
        }),
        7 => Input::Focus([Gate::Open, Gate::Closed, Gate::Probe][rng.usize(..3)]),
        8 => Input::Limit,
        9..=14 => Input::Timeout,
        15 if rng.u8(0..20) == 0 => Input::Close,
        // An answer to something that was asked.
        16..=24 if !sent.is_empty() => {
            let question = &sent[rng.usize(..sent.len())];
            let mut answer = all[rng.usize(..all.len())].clone();
            for (ours, theirs) in [("id", "id"), ("to", "from")] {
                if let Some(value) = question.attr(ours) {
                    let name = rxml::NcName::try_from(theirs).expect("a name");
                    answer.set_attr(rxml::Namespace::NONE, name, value);
                }
            }
            if rng.bool() {
                mutate(rng, &mut answer, all);
            }
            Input::Element(answer)
        }
        25..=30 => {
            let text = &texts[rng.usize(..texts.len())];
            match xml::parse(&tear(rng, text), &Limits { depth: 5, nodes: 30, ..Limits::default() }) {
                Ok(element) => Input::Element(element),
                Err(bad) => Input::Bad(bad),
            }
        }
        _ => {
            let mut element = all[rng.usize(..all.len())].clone();
            for _ in 0..rng.usize(0..4) {
                mutate(rng, &mut element, all);
            }
            Input::Element(element)
        }
    }
}

fn run(seed: u64, texts: &[String], all: &[Element]) {
    let mut rng = Rng::with_seed(seed);
    let mut now = Instant::now();
    let profile = Profile {
        muc: rng.bool().then(|| "muc.meet.jitsi".into()),
        focus: (rng.u8(0..4) > 0).then(|| "focus.meet.jitsi".into()),
        media: [Media::Pending, Media::Refuse][rng.usize(..2)],
        pace: [PaceKind::Adaptive, PaceKind::RateLimited][rng.usize(..2)],
        ..Profile::plain("meet.jitsi", "uid", seed)
    };
    let plain = profile.focus.is_none();
    let mut session = Session::new(profile, now);
    let mut joins = Bucket::per_second(10, now);
    let mut sent: Vec<Element> = Vec::new();
    for _ in 0..150 {
        let mut input = input(&mut rng, texts, all, &sent);
        if let Input::Hold(settings) = &mut input {
            Arc::make_mut(settings).focus = !plain;
        }
        match rng.u8(0..4) {
            0 => now += Duration::from_millis(rng.u64(0..60_000)),
            1 => now = session.deadline().map_or(now, |at| at.max(now)),
            _ => {}
        }
        let question =
            matches!(&input, Input::Element(element) if element.name() == "iq") || matches!(&input, Input::Bad(_));
        let chatter = matches!(&input, Input::Element(element) if matches!(element.name(), "message" | "presence"));
        let mut out = Outbox::default();
        session.handle(now, input, &mut joins, &mut out);
        for element in &out.send {
            let error = element.attr("type") == Some("error");
            assert!(!error || element.name() == "iq", "seed {seed}: we sent {element:?}");
            assert!(!(error && chatter) || question, "seed {seed}: an error to a message or presence: {element:?}");
            let text = xml::to_string(element, None);
            assert!(xml::parse(text.as_bytes(), &Limits::default()).is_ok(), "seed {seed}: {text}");
        }
        assert_eq!(session.in_flight(), session.rooms().filter(|room| room.in_flight()).count(), "seed {seed}");
        sent.append(&mut out.send);
        if let Some(cause) = out.disconnect {
            session.handle(now, Input::Offline(cause), &mut joins, &mut Outbox::default());
        }
        // A deadline that has passed is over after a timeout.
        let mut turns = 0;
        while session.deadline().is_some_and(|at| at <= now) {
            let mut out = Outbox::default();
            session.handle(now, Input::Timeout, &mut joins, &mut out);
            if let Some(cause) = out.disconnect {
                session.handle(now, Input::Offline(cause), &mut joins, &mut Outbox::default());
            }
            turns += 1;
            assert!(turns < 50, "seed {seed}: it runs in a circle at one moment");
        }
    }
}

#[test]
fn a_session_takes_anything_in_any_order() {
    let texts = stanzas();
    let all: Vec<Element> =
        texts.iter().filter_map(|text| xml::parse(text.as_bytes(), &Limits::default()).ok()).collect();
    assert!(all.len() > 100, "{} stanzas", all.len());
    if let Some(seed) = std::env::var("ANYTHING_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed, &texts, &all);
    }
    let seeds = std::env::var("ANYTHING_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_500);
    for seed in 0..seeds {
        if std::panic::catch_unwind(|| run(seed, &texts, &all)).is_err() {
            panic!("seed {seed} fails: ANYTHING_SEED={seed} cargo test --test anything");
        }
    }
}
