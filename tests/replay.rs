//! Dialogues of `packet_captures/` against the pure core: what the server says goes in at its time, and innkeeper must
//! say what the dialogue says it does, in that order. `packet_captures/README.md` gives the format.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use innkeeper::capture::{self, Content, Dialogue, Direction, Message, Remark};
use innkeeper::cause::{Cause, Word};
use innkeeper::command::RoomState;
use innkeeper::config::{Mechanism, Media, PaceKind, RoomKey};
use innkeeper::room::{Rules, Settings};
use innkeeper::service::{Logins, Output, Service};
use innkeeper::session::{Bucket, Input, Outbox, Profile, Report, Session};
use innkeeper::stream::{Bound, LastLogin, Management};
use innkeeper::xml::{self, Element};
use innkeeper::xmpp::{jid, ns};

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

impl Replay {
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
    let profile = Profile {
        domain: muc.split_once('.').map_or(muc, |(_, domain)| domain).into(),
        stream_domain: muc.split_once('.').map_or(muc, |(_, domain)| domain).into(),
        muc: Some(muc.into()),
        focus: focus.as_deref().map(Into::into),
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
    };
    let settings = Settings {
        key: key.clone(),
        jid: room.into(),
        nick: nick.into(),
        display_name: join.get_child("nick", ns::NICK).map(Element::text).unwrap_or_default().into(),
        password: None,
        focus: focus.is_some(),
        moderated: None,
    };
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
    replay.service.place(&key, &mut Vec::new());
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
