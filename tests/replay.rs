//! Dialogues of `packet_captures/` against the pure core: what the server says goes in at its time, and innkeeper must
//! say what the dialogue says it does, in that order. `packet_captures/README.md` gives the format.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use innkeeper::capture::equiv::{self, Comparison, Verdict};
use innkeeper::capture::{self, Connection, Content, Dialogue, Direction, Message, Remark};
use innkeeper::cause::{Cause, Word};
use innkeeper::command::RoomState;
use innkeeper::config::{Mechanism, Media, PaceKind, RoomKey};
use innkeeper::jitsi::login::{AccountLogin, Wish};
use innkeeper::room::{Rules, Settings};
use innkeeper::service::{Logins, Output, Service};
use innkeeper::session::{Bucket, Input, Outbox, Profile, Report, Session};
use innkeeper::stream::{Bound, LastLogin, Management};
use innkeeper::xml::{self, Element};
use innkeeper::xmpp::{jid, ns};

const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const RULES: Rules = Rules { self_ping: Duration::from_secs(300), after_kick: Duration::from_secs(120) };

// ── the reader

/// The lines of a dialogue; what a capture may hold and a dialogue written by hand may not is refused.
fn read(text: &str) -> Result<Vec<Message>, String> {
    let Dialogue { connections, remarks } = capture::text::read(text).map_err(|error| error.to_string())?;
    if let Some(Remark { place, text }) = remarks.first() {
        return Err(format!("{place}: {text}"));
    }
    let [connection] = <[_; 1]>::try_from(connections).map_err(|_| "more than one connection")?;
    for message in &connection.messages {
        if let Content::Text { text, why } = &message.content {
            return Err(format!("{}: {why}: {text}", message.place));
        }
    }
    Ok(connection.messages)
}

// ── the comparison

/// Ids of the dialogue, and ours.
type Ids = BTreeMap<String, String>;

/// Why `ours` is not what the dialogue says.
fn differs(theirs: &Element, ours: &Element, ids: &mut Ids, top: bool) -> Option<String> {
    if theirs.name() != ours.name() || theirs.ns() != ours.ns() {
        return Some(format!("{} in {} instead of {} in {}", ours.name(), ours.ns(), theirs.name(), theirs.ns()));
    }
    let attributes = |element: &Element| -> BTreeMap<String, String> {
        element.attrs().iter().map(|((_, name), value)| (name.to_string(), value.to_string())).collect()
    };
    let (mut expected, mut found) = (attributes(theirs), attributes(ours));
    // The id of an answer is that of the question.
    if top && !matches!(theirs.attr("type"), Some("result" | "error")) {
        match (expected.remove("id"), found.remove("id")) {
            (Some(id), Some(ours)) => {
                let known = ids.entry(id.clone()).or_insert_with(|| ours.clone());
                if *known != ours {
                    return Some(format!("the id {ours} instead of {known} for {id}"));
                }
            }
            (Some(_), None) => return Some("no id".to_owned()),
            (None, _) => {}
        }
    }
    let mut free = vec!["machine-uid"];
    if theirs.is("c", ns::CAPS) {
        free.push("ver");
    }
    for free in free {
        if expected.remove(free).is_some() != found.remove(free).is_some() {
            return Some(format!("{free} is there only once"));
        }
    }
    if expected != found {
        return Some(format!("the attributes {found:?} instead of {expected:?}"));
    }
    if theirs.text().trim() != ours.text().trim() {
        return Some(format!("the text {:?} instead of {:?}", ours.text(), theirs.text()));
    }
    let mut left: Vec<&Element> = ours.children().collect();
    for child in theirs.children() {
        match left.iter().position(|ours| differs(child, ours, ids, false).is_none()) {
            Some(at) => {
                left.remove(at);
            }
            None => {
                let like = left.iter().find(|ours| ours.name() == child.name());
                let why = like.and_then(|ours| differs(child, ours, ids, false));
                return Some(format!("<{}>: {}", child.name(), why.unwrap_or_else(|| "missing".to_owned())));
            }
        }
    }
    left.first().map(|more| format!("<{}> too much", more.name()))
}

// ── the replay

struct Replay {
    session: Session,
    service: Service,
    logins: Logins,
    joins: Bucket,
    start: Instant,
    now: Instant,
    /// Sent and not yet found in the dialogue, with the time.
    sent: VecDeque<(Instant, Element)>,
    ids: Ids,
    key: RoomKey,
    states: Vec<RoomState>,
}

/// A direct login with one session.
fn profile(domain: &str, muc: &str, focus: Option<&str>) -> Profile {
    Profile {
        domain: domain.into(),
        stream_domain: domain.into(),
        muc: Some(muc.into()),
        focus: focus.map(Into::into),
        machine_uid: innkeeper::config::Secret::new("0123"),
        one_room: false,
        websocket: false,
        errands: false,
        guest: false,
        session_id: None,
        rules: RULES,
        media: Media::Pending,
        pace: PaceKind::Adaptive,
        seed: 11,
    }
}

impl Replay {
    fn new(profile: Profile, key: &RoomKey) -> Self {
        let now = Instant::now();
        let mut replay = Replay {
            session: Session::new(profile, now),
            service: Service::new(true, 50, 11),
            logins: Logins::new(8),
            joins: Bucket::per_second(200, now),
            start: now,
            now,
            sent: VecDeque::new(),
            ids: Ids::new(),
            key: key.clone(),
            states: Vec::new(),
        };
        replay.service.place(key, &mut Vec::new());
        replay
    }

    fn put(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.session.handle(self.now, input, &mut self.joins, &mut out);
        self.sent.extend(out.send.into_iter().filter(|element| !element.is("r", ns::SM)).map(|one| (self.now, one)));
        for report in out.reports {
            let mut outputs = Vec::new();
            match report {
                Report::FocusAbsent(cause) => self.service.focus_absent(self.now, 0, cause, &mut outputs),
                Report::FocusPresent => self.service.focus_present(&mut outputs),
                Report::NothingToAsk => self.service.nothing_to_ask(self.now, 0, &mut outputs),
                Report::Room(_, shown) => self.states.push(shown.state),
                // What the account's login brings is never looked into.
                Report::WantsSessionId { .. } => {
                    self.put(Input::SessionId(Ok(innkeeper::config::Secret::new("5a1f"))));
                }
                _ => {}
            }
            self.carry_out(outputs);
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Gate(_, gate) = output {
                self.put(Input::Focus(gate));
            }
        }
    }

    fn poll(&mut self) {
        let mut outputs = Vec::new();
        self.service.poll(self.now, &mut self.logins, &mut outputs);
        self.carry_out(outputs);
    }

    /// Lets time pass until `end`, or until something is said.
    fn wait(&mut self, end: Instant, for_words: bool) {
        while !for_words || self.sent.is_empty() {
            let due = self.session.deadline().into_iter().chain(self.service.deadline()).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(due);
            self.poll();
            if self.session.deadline().is_some_and(|due| due <= self.now) {
                self.put(Input::Timeout);
            }
        }
    }

    fn happens(&mut self, what: &str) -> Result<(), String> {
        let bound = |resumed: Option<u32>| Bound {
            jid: "keeper@meet.jitsi/x".to_owned(),
            login: LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None },
            management: Some(Management { id: Some("sm-1".to_owned()), max: None }),
            resumed,
            early: Vec::new(),
        };
        let mut outputs = Vec::new();
        match what.split_once(' ').unwrap_or((what, "")) {
            ("online", "") => {
                self.service.online(self.now, 0, &mut self.logins, &mut outputs);
                self.put(Input::Online(bound(None)));
            }
            ("resumed", count) => {
                let count = count.parse().map_err(|_| "resumed without a count".to_owned())?;
                self.service.online(self.now, 0, &mut self.logins, &mut outputs);
                self.put(Input::Online(bound(Some(count))));
            }
            ("lost", "") => {
                let cause = Cause::new(Word::Disconnected, "reset");
                self.put(Input::Offline(cause.clone()));
                self.service.lost(self.now, 0, &cause);
            }
            ("release", "") => self.put(Input::Release(self.key.clone())),
            _ => return Err(format!("nobody knows what {what} is")),
        }
        self.carry_out(outputs);
        Ok(())
    }

    fn line(&mut self, line: &Message, before: Duration, shift: &mut Duration) -> Result<(), String> {
        let due = self.start + line.at + *shift;
        match (&line.content, line.direction) {
            (Content::Element(theirs), Direction::Sent) => {
                let slack = Duration::from_secs(1) + (line.at - before) / 4;
                self.wait(due + slack, true);
                let (at, ours) = self.sent.pop_front().ok_or("nothing is sent")?;
                if let Some(why) = differs(theirs, &ours, &mut self.ids, true) {
                    return Err(format!("{why}\n  in {}", xml::to_string(&ours, Some(ns::CLIENT))));
                }
                if at + slack < due {
                    return Err(format!("it is sent {:?} too early", due - at));
                }
                *shift += at.saturating_duration_since(due);
            }
            (Content::Element(element), Direction::Received) => {
                self.wait(due, false);
                let mut element = element.clone();
                let answers = matches!(element.attr("type"), Some("result" | "error"));
                if let Some(ours) = element.attr("id").and_then(|id| self.ids.get(id)).filter(|_| answers).cloned() {
                    element.set_attr(rxml::Namespace::NONE, rxml::NcName::try_from("id").expect("a name"), ours);
                }
                self.put(Input::Element(element));
            }
            (Content::Event(what), _) => {
                self.wait(due, false);
                self.happens(what)?;
            }
            (Content::Text { why, .. }, _) => return Err(why.clone()),
        }
        Ok(())
    }
}

/// Replays a dialogue; says what the room showed.
fn replay(text: &str) -> Result<Vec<RoomState>, String> {
    let lines = read(text)?;
    let sent = |wanted: &dyn Fn(&Element) -> bool| {
        lines.iter().find_map(|line| match &line.content {
            Content::Element(element) if line.direction == Direction::Sent && wanted(element) => Some(element.clone()),
            _ => None,
        })
    };
    let join = sent(&|element| element.has_child("x", ns::MUC)).ok_or("no join in it")?;
    let to = join.attr("to").ok_or("a join to nowhere")?;
    let (room, nick) = (jid::bare(to), jid::resource(to).ok_or("a join without a nick")?);
    let focus = sent(&|element| element.has_child("conference", ns::JITSI_FOCUS))
        .and_then(|request| request.attr("to").map(str::to_owned));
    let muc = jid::domain(room);
    let key = RoomKey { service: "s".into(), name: jid::local(room).ok_or("a room without a name")?.into() };
    let domain = muc.split_once('.').map_or(muc, |(_, domain)| domain);
    let profile = profile(domain, muc, focus.as_deref());
    let settings = Settings {
        key: key.clone(),
        jid: room.into(),
        nick: nick.into(),
        display_name: join.get_child("nick", ns::NICK).map(Element::text).unwrap_or_default().into(),
        password: None,
        focus: focus.is_some(),
        moderated: None,
        plans: None,
    };
    let mut replay = Replay::new(profile, &key);
    replay.put(Input::Hold(Arc::new(settings)));
    replay.happens("online")?;
    let (mut before, mut shift) = (Duration::ZERO, Duration::ZERO);
    for line in &lines {
        if line.direction == Direction::Received {
            // What is due before this is looked for in the dialogue before this.
            replay.wait(replay.start + line.at + shift, false);
            if let Some((_, more)) = replay.sent.front() {
                let more = xml::to_string(more, Some(ns::CLIENT));
                return Err(format!("before {}: we also send {more}", line.place));
            }
        }
        replay.line(line, before, &mut shift).map_err(|why| format!("{}: {why}", line.place))?;
        before = line.at;
    }
    if let Some((_, more)) = replay.sent.front() {
        return Err(format!("at the end we also send {}", xml::to_string(more, Some(ns::CLIENT))));
    }
    Ok(replay.states)
}

// ── recordings

/// What ours says to a server that says what it said in the recording, as far as that is the session's: from the moment
/// the stream is ready. Connections of an account that only fetches a session-id are those of [`AccountLogin`].
fn replay_recording(connection: &Connection) -> equiv::Report {
    let bind = |element: &Element| element.get_child("bind", BIND)?.get_child("jid", BIND).map(Element::text);
    let position = |wanted: &dyn Fn(&Element) -> bool| {
        connection.messages.iter().position(|message| {
            matches!(&message.content, Content::Element(element) if message.direction == Direction::Received && wanted(element))
        })
    };
    let bound = position(&|element| bind(element).is_some()).expect("a bound resource");
    let enabled = position(&|element| element.is("enabled", ns::SM));
    let mut recorded = connection.clone();
    // Who we are, and what was said once the stream was ready.
    recorded.messages.drain(bound + 1..=enabled.unwrap_or(bound));
    recorded.messages.drain(..bound);
    let Content::Element(first) = &recorded.messages[0].content else { unreachable!("it was looked for") };
    let us = bind(first).expect("it was looked for");
    let stream_domain = jid::domain(&us).to_owned();
    let said = |wanted: &dyn Fn(&Element) -> bool| {
        let mut all = recorded.elements().filter(|(message, _)| message.direction == Direction::Sent);
        all.find(|(_, element)| wanted(element)).map(|(_, element)| element.clone())
    };
    let mut comparison = Comparison::new(&recorded);
    comparison.heard(first);
    let asked = said(&|element| element.has_child("conference", ns::JITSI_FOCUS));
    let Some(join) = said(&|element| element.has_child("x", ns::MUC)) else {
        let asked = asked.expect("a login that asks the focus");
        let conference = asked.get_child("conference", ns::JITSI_FOCUS).expect("it was looked for");
        let wish = Wish {
            focus: asked.attr("to").expect("a target").into(),
            room: conference.attr("room").expect("a room").into(),
            machine_uid: innkeeper::config::Secret::new("0123"),
        };
        let (login, request) = AccountLogin::new(wish, Instant::now());
        comparison.sent(&request);
        let mut outcome = None;
        for (_, element) in recorded.elements().filter(|(message, _)| message.direction == Direction::Received) {
            let element = translated(element, &comparison);
            comparison.heard(&element);
            outcome = outcome.or(login.handle(&element));
        }
        assert!(matches!(outcome, Some(Ok(_))), "the account gets no session-id");
        return comparison.finish();
    };
    let to = join.attr("to").expect("a target");
    let (room, nick) = (jid::bare(to), jid::resource(to).expect("a nick"));
    let domain = jid::domain(room).split_once('.').expect("a domain below another").1;
    let focus = asked.as_ref().and_then(|asked| asked.attr("to"));
    let key = RoomKey { service: "s".into(), name: jid::local(room).expect("a name").into() };
    let profile = Profile {
        stream_domain: stream_domain.as_str().into(),
        one_room: true,
        websocket: true,
        guest: stream_domain != domain,
        rules: Rules { after_kick: Duration::from_secs(2), ..RULES },
        ..profile(domain, jid::domain(room), focus)
    };
    let mut ours = Replay::new(profile, &key);
    ours.put(Input::Hold(Arc::new(Settings {
        key: key.clone(),
        jid: room.into(),
        nick: nick.into(),
        display_name: "Innkeeper".into(),
        password: None,
        focus: focus.is_some(),
        moderated: None,
        plans: None,
    })));
    let management = enabled.map(|_| Management { id: Some("sm-1".to_owned()), max: None });
    let login = LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None };
    let mut outputs = Vec::new();
    ours.service.online(ours.now, 0, &mut ours.logins, &mut outputs);
    ours.put(Input::Online(Bound { jid: us, login, management, resumed: None, early: Vec::new() }));
    ours.carry_out(outputs);
    let leaves = |message: &Message| {
        message.direction == Direction::Sent
            && matches!(&message.content, Content::Element(element) if element.attr("type") == Some("unavailable"))
    };
    let end = recorded.messages.iter().rposition(leaves).expect("innkeeper leaves its room");
    let begun = recorded.messages[0].at;
    let mut shift = Duration::ZERO;
    for (number, message) in recorded.messages.iter().enumerate().skip(1) {
        let due = ours.start + (message.at - begun) + shift;
        if number == end {
            ours.put(Input::Close);
            ours.compare(&mut comparison);
        }
        let Content::Element(element) = &message.content else { continue };
        if message.direction == Direction::Sent || element.is("a", ns::SM) || !element.ns().starts_with("jabber:client")
        {
            continue;
        }
        ours.wait_and_compare(due, &mut comparison);
        let give_up = ours.now + Duration::from_secs(60);
        while !comparison.expected(number).is_empty() && ours.now < give_up {
            // In steps, so that what comes of one thing is said before the next.
            let next = ours.now + Duration::from_millis(50);
            ours.wait_and_compare(next, &mut comparison);
        }
        shift += ours.now.saturating_duration_since(due);
        let element = translated(element, &comparison);
        comparison.heard(&element);
        ours.put(Input::Element(element));
        ours.compare(&mut comparison);
    }
    let mut report = comparison.finish();
    if !ours.states.contains(&RoomState::Held) {
        let verdict = Verdict::Different(format!("the core never holds the room: {:?}", ours.states));
        report.lines.push(equiv::Line { place: None, what: "the room".to_owned(), verdict });
    }
    report
}

/// What the server said, with our ids in its answers.
fn translated(element: &Element, comparison: &Comparison) -> Element {
    let mut element = element.clone();
    let answers = matches!(element.attr("type"), Some("result" | "error"));
    if let Some(ours) = element.attr("id").filter(|_| answers).and_then(|id| comparison.id(id)).map(str::to_owned) {
        element.set_attr(rxml::Namespace::NONE, rxml::NcName::try_from("id").expect("a name"), ours);
    }
    element
}

impl Replay {
    /// Compares what was sent since, and answers what the recording has no answer to.
    fn compare(&mut self, comparison: &mut Comparison) {
        while let Some((_, sent)) = self.sent.pop_front() {
            let verdict = comparison.sent(&sent);
            let asks = sent.name() == "iq" && matches!(sent.attr("type"), Some("get" | "set"));
            if asks && matches!(verdict, Verdict::Added(_)) {
                let mut answer = Element::bare("iq", ns::CLIENT);
                let attributes = [("type", Some("result")), ("id", sent.attr("id")), ("from", sent.attr("to"))];
                for (name, value) in attributes.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    let name = rxml::NcName::try_from(name).expect("a name");
                    answer.set_attr(rxml::Namespace::NONE, name, value.to_owned());
                }
                self.put(Input::Element(answer));
            }
        }
    }

    fn wait_and_compare(&mut self, end: Instant, comparison: &mut Comparison) {
        loop {
            self.wait(end, true);
            if self.sent.is_empty() {
                return;
            }
            self.compare(comparison);
        }
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures")
}

fn dialogue(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_dialogue_is_what_we_would_say() {
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder of dialogues") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(&path).expect("a dialogue");
            match replay(&text) {
                Ok(states) => assert!(states.contains(&RoomState::Held), "{}: never held", path.display()),
                Err(why) => panic!("{}: {why}", path.display()),
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 7, "{replayed} dialogues");
}

#[test]
fn every_recording_is_what_the_core_would_say() {
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder of recordings") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "har") {
            continue;
        }
        let dialogue = capture::read(&std::fs::read(&path).expect("a recording")).expect("a dialogue");
        for connection in &dialogue.connections {
            let report = replay_recording(connection);
            let different = |line: &&equiv::Line| matches!(line.verdict, Verdict::Different(_));
            let found: Vec<_> = report.lines.iter().filter(different).collect();
            assert!(found.is_empty(), "{}: {found:#?}", path.display());
        }
        replayed += 1;
    }
    assert!(replayed >= 8, "{replayed} recordings");
}

#[test]
fn a_recording_of_another_target_payload_or_order_is_told_from_what_the_core_says() {
    let text = dialogue("direct.har");
    for (from, to) in [
        ("to='focus.meet.jitsi' type='set'", "to='focus.other.jitsi' type='set'"),
        (
            "<presence xmlns='jabber:client' id='join-0-1'",
            "<presence xmlns='jabber:client' type='subscribe' id='join-0-1'",
        ),
        ("machine-uid='uid-1' room='tavern@", "machine-uid='uid-1' room='other@"),
    ] {
        assert!(text.contains(from), "{from} is not in the recording");
        let dialogue = capture::read(text.replacen(from, to, 1).as_bytes()).expect("a dialogue");
        assert!(replay_recording(&dialogue.connections[0]).differs(), "{from} → {to}: nobody noticed");
    }
}

#[test]
fn every_dialogue_is_in_the_readme() {
    let readme = dialogue("README.md");
    for entry in std::fs::read_dir(folder()).expect("the folder of dialogues") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || readme.contains(&name), "{name} is not in the README");
    }
}

#[test]
fn another_target_payload_or_order_is_told_from_what_we_say() {
    let text = dialogue("jitsi-direct-login.txt");
    for (from, to) in [
        (
            "> 0.00 <iq type='set' to='focus.meet.jitsi' id='c1'>",
            "> 0.00 <iq type='get' to='focus.meet.jitsi' id='c1'>",
        ),
        ("<history maxstanzas='0'/>", "<history maxstanzas='9'/>"),
        ("<history maxstanzas='0'/>", ""),
        (">Innkeeper</nick></presence>", ">Innkeeper</nick><show>away</show></presence>"),
        ("> 6.00 <iq type='result' to='tavern@muc.meet.jitsi/abcd1234' id='YWI'/>", ""),
        (
            "> 0.14 <iq type='result' to='tavern@muc.meet.jitsi/focus' id='Zm9jdXM='>",
            "> 0.14 <iq type='result' to='tavern@muc.meet.jitsi/focus' id='Zm9='>",
        ),
        ("> 26.0", "> 46.0"),
    ] {
        assert!(text.contains(from), "{from} is not in the dialogue");
        let changed = text.replacen(from, to, 1);
        assert!(replay(&changed).is_err(), "{from} → {to}: nobody noticed");
    }
}

#[test]
fn a_line_that_is_none_is_named() {
    for text in ["? 0 <a/>", "> x <a/>", "> 0", "> 0 <a>", "> 5 <a/>\n< 4 <b/>"] {
        let error = read(text).expect_err(text);
        assert!(error.contains("line "), "{error}");
    }
}
