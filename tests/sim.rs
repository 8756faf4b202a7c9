//! A seeded model of a server with rooms and a focus, in simulated time, against the pure core: any order of joins,
//! leaves, renames, kicks, bans, resets, resumptions, lost and late answers, and in the end our list equals the
//! server's. No clock, no sockets, no tasks.
//!
//! The model is XEP-0045 and XEP-0198 as Prosody does them, and Jicofo's rules for who gets a room and who its owner.
//! Some worlds are guests': their sessions have made-up JIDs, and the account fetches their session-ids.
//! It carries the real [`Service`] with its sessions, so that gates, probes and reconnects are those of the daemon.
//!
//! `SIM_SEED=7 cargo test --test sim -- --nocapture` replays one seed and prints what happens.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use innkeeper::cause::{Cause, Word};
use innkeeper::command::RoomState;
use innkeeper::config::{Mechanism, Media, PaceKind, RoomKey};
use innkeeper::room::{Rules, Settings};
use innkeeper::service::{FocusState, Logins, Output, Service};
use innkeeper::session::{Bucket, Input, Outbox, Profile, Report, Session};
use innkeeper::stream::{Bound, LastLogin, Management, Resume};
use innkeeper::xml::{self, Element, Limits};
use innkeeper::xmpp::{element, jid, ns};

#[path = "sim/authority.rs"]
mod authority;
#[path = "sim/guest.rs"]
mod guest;

use authority::{Authority, Verdict};

const DOMAIN: &str = "meet.jitsi";
/// Where guests log in.
const GUESTS: &str = "guest.meet.jitsi";
const MUC: &str = "muc.meet.jitsi";
const FOCUS: &str = "focus.meet.jitsi";
const FOCUS_JID: &str = "focus@auth.meet.jitsi/f";
/// How long the server keeps a lost session.
const KEEPS: Duration = Duration::from_secs(60);
const RULES: Rules = Rules { self_ping: Duration::from_secs(300), after_kick: Duration::from_secs(120) };
/// How long everything may take to be well again once nothing more goes wrong: the slow end of every ladder, twice.
const PATIENCE: Duration = Duration::from_secs(1_800);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// ── the server

/// What goes to a client: an element, or text that is none.
#[derive(Debug, Clone)]
enum Wire {
    Element(Element),
    Text(String),
}

/// A session as the server keeps it, over connections.
struct Kept {
    full: String,
    slot: usize,
    handled: u32,
    acknowledged: u32,
    queue: VecDeque<Wire>,
    conn: Option<u64>,
    unasked: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Occupant {
    real: String,
    role: &'static str,
    affiliation: &'static str,
    /// Whose session gets what is said in the room; `None`: a guest or the focus.
    session: Option<u64>,
}

#[derive(Debug, Default)]
struct Room {
    occupants: BTreeMap<String, Occupant>,
    owners: BTreeSet<String>,
    outcasts: BTreeSet<String>,
}

struct Conn {
    slot: usize,
    session: u64,
    broken: bool,
    /// When the last thing on its way arrives, in each direction.
    up: Instant,
    down: Instant,
}

/// What will happen.
enum Event {
    ToServer(u64, Element),
    ToClient(u64, Wire),
    Connected {
        slot: usize,
        resume: Option<Resume>,
    },
    /// The server notices that a connection is dead.
    Detach(u64),
    /// A session was lost for too long.
    Expire(u64, u64),
    Grant {
        room: String,
        session: u64,
    },
    /// A conference without members ends.
    StartTimeout(String),
    Answer {
        session: u64,
        element: Element,
    },
    /// The account's login for a slot goes on.
    Account {
        slot: usize,
        number: u64,
        step: guest::Step,
    },
    ServerUp,
    FocusUp,
    Chaos,
}

/// How the world lets us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Rooms without a focus.
    Plain,
    /// The account itself is in the rooms.
    Direct,
    /// The account logs in for guests.
    Guest,
}

enum Link {
    Down,
    Connecting,
    Up(u64),
}

struct Client {
    session: Session,
    link: Link,
}

struct World {
    seed: u64,
    loud: bool,
    rng: fastrand::Rng,
    now: Instant,
    start: Instant,
    seq: u64,
    agenda: BTreeMap<(Instant, u64), Event>,
    // the server
    up: bool,
    sessions: BTreeMap<u64, Kept>,
    conns: BTreeMap<u64, Conn>,
    rooms: BTreeMap<String, Room>,
    focus_up: bool,
    focus_silent: bool,
    authority: Authority,
    /// How many joins there were.
    joined: u64,
    /// How often each question of ours was answered.
    asked: BTreeMap<String, u32>,
    // how the world is
    plain: bool,
    /// Sessions are guests whose session-id the account fetches.
    guests: bool,
    /// The account has one bare JID; else each login gets another, as guests do.
    stable: bool,
    renames: bool,
    calm: bool,
    // innkeeper
    service: Service,
    logins: Logins,
    joins: Bucket,
    clients: BTreeMap<usize, Client>,
    wanted: BTreeMap<RoomKey, Arc<Settings>>,
    leaving: BTreeSet<RoomKey>,
    pace: PaceKind,
    account: guest::Account,
    /// How often in a row a deadline was in the past.
    still: u32,
}

fn key(name: &str) -> RoomKey {
    RoomKey { service: "s".into(), name: name.into() }
}

fn settings(name: &str, plain: bool) -> Settings {
    Settings {
        key: key(name),
        jid: format!("{name}@{MUC}").into(),
        nick: "0keeper".into(),
        display_name: "Keeper".into(),
        password: None,
        focus: !plain,
        moderated: None,
        plans: None,
    }
}

impl World {
    /// Where nothing goes wrong.
    fn quiet(seed: u64, way: Way) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let now = Instant::now();
        World {
            seed,
            loud: std::env::var_os("SIM_SEED").is_some(),
            now,
            start: now,
            seq: 0,
            agenda: BTreeMap::new(),
            up: true,
            sessions: BTreeMap::new(),
            conns: BTreeMap::new(),
            rooms: BTreeMap::new(),
            focus_up: true,
            focus_silent: false,
            authority: Authority::default(),
            joined: 0,
            asked: BTreeMap::new(),
            plain: way == Way::Plain,
            guests: way == Way::Guest,
            stable: way != Way::Guest,
            renames: true,
            calm: true,
            service: Service::new(true, 3, rng.u64(..)),
            logins: Logins::new(3),
            joins: Bucket::per_second(200, now),
            clients: BTreeMap::new(),
            wanted: BTreeMap::new(),
            leaving: BTreeSet::new(),
            pace: PaceKind::Adaptive,
            account: guest::Account::default(),
            still: 0,
            rng,
        }
    }

    /// Where anything does.
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let way = [Way::Plain, Way::Direct, Way::Direct, Way::Guest][rng.usize(0..4)];
        let world = World::quiet(seed, way);
        let mut world = World {
            up: rng.u8(0..8) != 0,
            focus_up: rng.u8(0..8) != 0,
            focus_silent: rng.bool(),
            stable: way == Way::Plain || way == Way::Direct && rng.bool(),
            renames: rng.bool(),
            calm: false,
            service: Service::new(rng.bool(), rng.usize(1..4), rng.u64(..)),
            logins: Logins::new(rng.usize(1..4)),
            pace: if rng.u8(0..8) == 0 { PaceKind::RateLimited } else { PaceKind::Adaptive },
            rng,
            ..world
        };
        if world.pace == PaceKind::RateLimited {
            world.service.be_gentle(world.now);
        }
        for n in 0..world.rng.usize(1..6) {
            world.want(&format!("room{n}"));
        }
        world.later(ms(1), Event::Chaos);
        if !world.up {
            world.later(secs(20), Event::ServerUp);
        }
        world
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{:9.3} {}", (self.now - self.start).as_secs_f64(), what());
        }
    }

    fn later(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.seq += 1;
        self.agenda.insert((at, self.seq), event);
    }

    fn serial(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn chance(&mut self, percent: u8) -> bool {
        !self.calm && self.rng.u8(0..100) < percent
    }

    // ── innkeeper's own shell, as the supervisor and the driver do it

    fn want(&mut self, name: &str) {
        let settings = Arc::new(settings(name, self.plain));
        self.wanted.insert(settings.key.clone(), settings.clone());
        self.hold(&settings);
    }

    fn hold(&mut self, settings: &Arc<Settings>) {
        if self.leaving.contains(&settings.key) {
            return;
        }
        let mut out = Vec::new();
        let slot = self.service.place(&settings.key, &mut out);
        self.carry_out(out);
        self.put(slot, Input::Hold(settings.clone()));
    }

    fn unwant(&mut self, key: &RoomKey) {
        self.wanted.remove(key);
        if let Some(slot) = self.service.session_of(key)
            && self.leaving.insert(key.clone())
        {
            self.put(slot, Input::Release(key.clone()));
        }
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Start(slot) => {
                    let profile = Profile {
                        domain: DOMAIN.into(),
                        stream_domain: if self.guests { GUESTS } else { DOMAIN }.into(),
                        muc: Some(MUC.into()),
                        focus: (!self.plain).then(|| FOCUS.into()),
                        machine_uid: innkeeper::config::Secret::new(format!("uid-{slot}")),
                        one_room: false,
                        websocket: false,
                        errands: false,
                        guest: self.guests,
                        session_id: self.kept_session_id(slot),
                        rules: RULES,
                        media: Media::Pending,
                        pace: self.pace,
                        seed: self.rng.u64(..),
                    };
                    let session = Session::new(profile, self.now);
                    self.clients.insert(slot, Client { session, link: Link::Down });
                }
                Output::Stop(slot) => {
                    self.put(slot, Input::Close);
                    self.stopped(slot);
                    if let Some(client) = self.clients.remove(&slot)
                        && let Link::Up(conn) = client.link
                        && let Some(conn) = self.conns.remove(&conn)
                    {
                        // The leaves that were just sent, and the close of the stream, arrive.
                        self.end_session(conn.session);
                    }
                }
                Output::Connect(slot) => {
                    let Some(client) = self.clients.get_mut(&slot) else { continue };
                    if matches!(client.link, Link::Down) {
                        client.link = Link::Connecting;
                        let resume = client.session.resumable(self.now);
                        let wait = ms(self.rng.u64(1..2_000));
                        self.later(wait, Event::Connected { slot, resume });
                    }
                }
                Output::Fetch(slot) => self.fetch(slot),
                Output::Gate(slot, gate) => self.put(slot, Input::Focus(gate)),
            }
        }
    }

    /// Gives a session an input and carries out what follows.
    fn put(&mut self, slot: usize, input: Input) {
        let released = self.leaving.clone();
        let resumes = matches!(input, Input::Online(_));
        let before = self.before(slot, &input);
        let Some(client) = self.clients.get_mut(&slot) else { return };
        let mut out = Outbox::default();
        client.session.handle(self.now, input, &mut self.joins, &mut out);
        let link = match client.link {
            Link::Up(conn) => Some(conn),
            _ => None,
        };
        self.check(slot);
        self.after(slot, &before, &out.send, resumes, &released);
        for element in out.send {
            if !resumes {
                self.allowed(&element, &released);
            }
            if let Some(conn) = link {
                self.up_wire(conn, element);
            }
        }
        for report in out.reports {
            self.report(slot, report);
        }
        if let Some(cause) = out.disconnect {
            self.say(|| format!("session {slot} drops its link: {cause}"));
            self.drop_link(slot, cause);
        }
    }

    /// A room that we were told to release hears nothing more but that we leave, and answers.
    fn allowed(&self, element: &Element, released: &BTreeSet<RoomKey>) {
        let Some(to) = element.attr("to") else { return };
        let of = |key: &RoomKey| jid::bare(to) == format!("{}@{MUC}", key.name);
        if released.iter().any(of) {
            let kind = element.attr("type");
            let fine =
                kind == Some("unavailable") || (element.name() == "iq" && matches!(kind, Some("result" | "error")));
            assert!(fine, "seed {}: a released room is sent {element:?}", self.seed);
        }
    }

    /// What must be true of a session at any time.
    fn check(&self, slot: usize) {
        let Some(client) = self.clients.get(&slot) else { return };
        let session = &client.session;
        let on_their_way = session.rooms().filter(|room| room.in_flight()).count();
        assert_eq!(session.in_flight(), on_their_way, "seed {}: places in use", self.seed);
        if !matches!(client.link, Link::Up(_)) || session.jid().is_none() {
            return;
        }
        let deadline = session.deadline();
        assert!(deadline.is_some(), "seed {}: session {slot} is online and waits for nothing", self.seed);
        let mut waiting = 0;
        for room in session.rooms() {
            waiting += usize::from(room.wants_place());
            assert!(
                room.inside().is_some() || room.wants_place() || room.in_flight() || room.deadline().is_some(),
                "seed {}: {} is stuck: {room:?}",
                self.seed,
                room.settings().jid
            );
        }
        let held_up = session.focus_facts().held_up.is_some();
        let open = self.plain || self.service.focus() == &FocusState::Present && !held_up;
        if waiting > 0 && session.in_flight() == 0 && open {
            let soon = deadline.is_some_and(|at| at <= self.now + secs(20));
            assert!(soon, "seed {}: {waiting} rooms wait for a place and nothing is on its way", self.seed);
        }
    }

    fn report(&mut self, slot: usize, report: Report) {
        let mut out = Vec::new();
        match report {
            Report::FocusAbsent(cause) => self.service.focus_absent(self.now, slot, cause, &mut out),
            Report::FocusPresent => self.service.focus_present(&mut out),
            Report::NothingToAsk => self.service.nothing_to_ask(self.now, slot, &mut out),
            Report::Released(key) => {
                self.say(|| format!("{key} is released"));
                self.leaving.remove(&key);
                self.service.left(&key, &mut self.logins, &mut out);
                self.carry_out(std::mem::take(&mut out));
                if let Some(settings) = self.wanted.get(&key).cloned() {
                    self.hold(&settings);
                }
            }
            Report::Throttled => {
                self.service.be_gentle(self.now);
                for slot in self.clients.keys().copied().collect::<Vec<_>>() {
                    self.put(slot, Input::Limit);
                }
            }
            Report::Room(key, shown) => self.say(|| format!("{key} {:?} {}", shown.state, shown.cause)),
            Report::WantsSessionId { room } => self.wants_session_id(slot, room),
            Report::SessionId(id) => self.keep_session_id(slot, id),
            Report::Progress { .. }
            | Report::Listed(..)
            | Report::Undo { .. }
            | Report::Setting(..)
            | Report::Ban(..)
            | Report::Errand(_) => {
                unreachable!("nobody moderates here")
            }
            Report::MucFound(_)
            | Report::MucNotFound(_)
            | Report::Bad { .. }
            | Report::Odd(_)
            | Report::Happened { .. }
            | Report::List(..)
            | Report::Waiting(..)
            | Report::Remember(..) => {}
        }
        self.carry_out(out);
    }

    fn drop_link(&mut self, slot: usize, cause: Cause) {
        let Some(client) = self.clients.get_mut(&slot) else { return };
        if let Link::Up(id) = std::mem::replace(&mut client.link, Link::Down)
            && let Some(conn) = self.conns.get_mut(&id)
            && !std::mem::replace(&mut conn.broken, true)
        {
            let wait = ms(self.rng.u64(0..30_000));
            self.later(wait, Event::Detach(id));
        }
        self.put(slot, Input::Offline(cause.clone()));
        self.service.lost(self.now, slot, &cause);
    }

    fn connected(&mut self, slot: usize, resume: Option<Resume>) {
        if !matches!(self.clients.get(&slot), Some(Client { link: Link::Connecting, .. })) {
            return;
        }
        if !self.up || self.chance(10) {
            let word = if self.chance(10) { Word::PolicyViolation } else { Word::Unreachable };
            let cause = Cause::new(word, "no luck");
            self.say(|| format!("session {slot} can not connect: {cause}"));
            self.clients.get_mut(&slot).expect("just there").link = Link::Down;
            self.put(slot, Input::Offline(cause.clone()));
            self.service.failed(self.now, slot, &cause, &mut self.logins);
            return;
        }
        let conn = self.serial();
        let known = resume.as_ref().and_then(|resume| resume.id.strip_prefix("sm-")?.parse::<u64>().ok());
        let login = LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None };
        // A guest's previous session is not always found again, and then its ghost stays for a while.
        let forgotten = self.guests && self.chance(30);
        let (id, bound) = match (known.filter(|id| self.sessions.contains_key(id) && !forgotten), resume) {
            (Some(id), Some(resume)) => {
                let kept = self.sessions.get_mut(&id).expect("just looked up");
                if let Some(old) = kept.conn.replace(conn)
                    && let Some(old) = self.conns.get_mut(&old)
                {
                    old.broken = true;
                }
                let new = resume.handled.wrapping_sub(kept.acknowledged) as usize;
                assert!(new <= kept.queue.len(), "seed {}: we handled more than was sent", self.seed);
                kept.queue.drain(..new);
                kept.acknowledged = resume.handled;
                let resumed = Some(kept.handled);
                (id, Bound { jid: String::new(), login, management: None, resumed, early: Vec::new() })
            }
            _ => {
                let id = self.serial();
                let local = if self.stable { "keeper".to_owned() } else { format!("guest{id}") };
                let domain = if self.guests { GUESTS } else { DOMAIN };
                let full = format!("{local}@{domain}/r{id}");
                let kept = Kept {
                    full: full.clone(),
                    slot,
                    handled: 0,
                    acknowledged: 0,
                    queue: VecDeque::new(),
                    conn: Some(conn),
                    unasked: 0,
                };
                self.sessions.insert(id, kept);
                let management = Some(Management { id: Some(format!("sm-{id}")), max: Some(KEEPS) });
                (id, Bound { jid: full, login, management, resumed: None, early: Vec::new() })
            }
        };
        self.say(|| format!("session {slot} is online as {}, resumed: {:?}", self.sessions[&id].full, bound.resumed));
        self.conns.insert(conn, Conn { slot, session: id, broken: false, up: self.now, down: self.now });
        for wire in self.sessions[&id].queue.clone() {
            self.down_wire(conn, wire);
        }
        self.clients.get_mut(&slot).expect("just there").link = Link::Up(conn);
        let mut out = Vec::new();
        self.service.online(self.now, slot, &mut self.logins, &mut out);
        self.put(slot, Input::Online(bound));
        self.carry_out(out);
    }

    // ── what is on its way

    fn up_wire(&mut self, conn: u64, element: Element) {
        let latency = ms(self.rng.u64(1..40));
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.up = link.up.max(self.now + latency);
        let at = link.up;
        self.at(at, Event::ToServer(conn, element));
    }

    fn down_wire(&mut self, conn: u64, wire: Wire) {
        let latency = ms(self.rng.u64(1..40));
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.down = link.down.max(self.now + latency);
        let at = link.down;
        self.at(at, Event::ToClient(conn, wire));
    }

    /// A stanza to a session, kept until it is acknowledged.
    fn send(&mut self, session: u64, wire: Wire) {
        let Some(kept) = self.sessions.get_mut(&session) else { return };
        kept.queue.push_back(wire.clone());
        kept.unasked += 1;
        let Some(conn) = kept.conn else { return };
        let asks = kept.unasked >= 3;
        if asks {
            kept.unasked = 0;
        }
        self.down_wire(conn, wire);
        if asks {
            self.down_wire(conn, Wire::Element(element("r", ns::SM).into()));
        }
    }

    fn send_element(&mut self, session: u64, element: impl Into<Element>) {
        self.send(session, Wire::Element(element.into()));
    }

    fn client_hears(&mut self, conn: u64, wire: Wire) {
        let Some(slot) = self.conns.get(&conn).filter(|conn| !conn.broken).map(|conn| conn.slot) else { return };
        if !matches!(self.clients.get(&slot), Some(Client { link: Link::Up(up), .. }) if *up == conn) {
            return;
        }
        let input = match wire {
            Wire::Element(element) => Input::Element(element),
            Wire::Text(text) => match xml::parse(text.as_bytes(), &Limits { depth: 8, ..Limits::default() }) {
                Ok(element) => Input::Element(element),
                Err(bad) => Input::Bad(bad),
            },
        };
        self.put(slot, input);
    }

    fn server_hears(&mut self, conn: u64, stanza: &Element) {
        let Some(id) = self.conns.get(&conn).filter(|conn| !conn.broken).map(|conn| conn.session) else { return };
        let Some(kept) = self.sessions.get_mut(&id) else { return };
        if stanza.is("r", ns::SM) {
            let answer = element("a", ns::SM).attr("h", &kept.handled.to_string());
            self.down_wire(conn, Wire::Element(answer.into()));
            return;
        }
        if stanza.is("a", ns::SM) {
            let h: u32 = stanza.attr("h").and_then(|h| h.parse().ok()).expect("a count");
            let new = h.wrapping_sub(kept.acknowledged) as usize;
            assert!(new <= kept.queue.len(), "seed {}: {h} acknowledged, that is {new} too many", self.seed);
            kept.queue.drain(..new);
            kept.acknowledged = h;
            return;
        }
        kept.handled += 1;
        match stanza.name() {
            "iq" => self.iq(id, stanza),
            "presence" => self.presence(id, stanza),
            other => panic!("seed {}: we sent a {other}", self.seed),
        }
    }

    // ── IQs

    fn result(&mut self, session: u64, iq: &Element, payload: Option<Element>) {
        let answer: Element = element("iq", ns::CLIENT)
            .attr("type", "result")
            .attr("id", iq.attr("id").expect("an id"))
            .maybe_attr("from", iq.attr("to"))
            .maybe_child(payload)
            .into();
        self.send_element(session, answer);
    }

    fn error(&mut self, session: u64, stanza: &Element, condition: &str, text: &str) {
        let error = element("error", ns::CLIENT)
            .attr("type", "cancel")
            .child(element(condition, ns::STANZAS))
            .child(element("text", ns::STANZAS).text(text));
        let answer: Element = element(stanza.name(), ns::CLIENT)
            .attr("type", "error")
            .maybe_attr("id", stanza.attr("id"))
            .maybe_attr("from", stanza.attr("to"))
            .child(error)
            .into();
        self.send_element(session, answer);
    }

    fn iq(&mut self, session: u64, iq: &Element) {
        let id = iq.attr("id").expect("an id").to_owned();
        if matches!(iq.attr("type"), Some("result" | "error")) {
            let count = self.asked.get_mut(&id).unwrap_or_else(|| panic!("seed {}: nobody asked {id}", self.seed));
            *count += 1;
            assert_eq!(*count, 1, "seed {}: {id} is answered twice", self.seed);
            return;
        }
        let to = iq.attr("to").expect("our questions have an address").to_owned();
        let payload = iq.children().next().expect("a payload").clone();
        if to == FOCUS {
            return self.conference(session, iq);
        }
        if to == DOMAIN || to == GUESTS {
            return self.result(session, iq, None);
        }
        if to == MUC {
            let identity = element("identity", ns::DISCO_INFO).attr("category", "conference").attr("type", "text");
            let query = element("query", ns::DISCO_INFO).child(identity);
            return self.result(session, iq, Some(query.into()));
        }
        if self.chance(5) {
            return; // lost in the room
        }
        let Some(room) = self.rooms.get(jid::bare(&to)) else {
            return self.error(session, iq, "item-not-found", "");
        };
        let own = room.occupants.iter().find(|(_, occupant)| occupant.session == Some(session)).map(|(nick, _)| nick);
        match (payload.name(), own) {
            ("ping", Some(nick)) if jid::resource(&to) == Some(nick) => self.result(session, iq, None),
            ("ping", Some(_)) => self.error(session, iq, "item-not-found", ""),
            ("query", Some(_)) => self.result(session, iq, None),
            _ => self.error(session, iq, "not-acceptable", ""),
        }
    }

    fn conference(&mut self, session: u64, iq: &Element) {
        let full = self.sessions[&session].full.clone();
        if let Some((wait, element)) = self.focus_answers(&full, iq) {
            self.later(wait, Event::Answer { session, element });
        }
    }

    /// What the focus says to somebody, and how long it takes.
    fn focus_answers(&mut self, full: &str, iq: &Element) -> Option<(Duration, Element)> {
        let answer_in = if self.chance(5) { ms(self.rng.u64(1_000..40_000)) } else { ms(5) };
        let answer = |kind: &str, payload: Element| {
            let answer = element("iq", ns::CLIENT).attr("type", kind).attr("from", FOCUS);
            answer.maybe_attr("id", iq.attr("id")).child(payload).into()
        };
        let error = |kind: &str, condition: &str, own: Option<&str>| {
            let condition = element(condition, ns::STANZAS);
            let own: Option<Element> = own.map(|own| element(own, ns::JITSI_FOCUS).into());
            let error = element("error", ns::CLIENT).attr("type", kind).child(condition).maybe_child(own);
            answer("error", error.into())
        };
        if !self.focus_up {
            return (!self.focus_silent).then(|| (ms(0), error("cancel", "service-unavailable", None)));
        }
        if self.chance(5) {
            return None;
        }
        let conference = iq.get_child("conference", ns::JITSI_FOCUS).expect("a conference request");
        let room = conference.attr("room").expect("a room").to_owned();
        let uid = conference.attr("machine-uid").expect("a machine-uid");
        let logs_in = jid::domain(full) == DOMAIN;
        let sid = match self.authority.judge(self.now, full, uid, conference.attr("session-id"), logs_in) {
            Verdict::Somebody(sid) => Some(sid),
            Verdict::Invalid => return Some((answer_in, error("modify", "not-acceptable", Some("session-invalid")))),
            Verdict::Nobody if !self.rooms.get(&room).is_some_and(|here| here.occupants.contains_key("focus")) => {
                return Some((answer_in, error("auth", "not-authorized", None)));
            }
            Verdict::Nobody => None,
        };
        let ready = !self.chance(5);
        if ready {
            self.rooms.entry(room.clone()).or_default();
            if !self.rooms[&room].occupants.contains_key("focus") {
                let focus = Occupant { real: FOCUS_JID.into(), role: "moderator", affiliation: "owner", session: None };
                self.rooms.get_mut(&room).expect("just made").occupants.insert("focus".into(), focus);
                self.tell(&room, "focus", &[]);
            }
            self.later(secs(15), Event::StartTimeout(room.clone()));
            if let Some(session) = self.sessions.iter().find(|(_, kept)| kept.full == full).map(|(id, _)| *id) {
                self.grants(&room, session);
            }
        }
        let authentication = element("property", ns::JITSI_FOCUS).attr("name", "authentication").attr("value", "true");
        let granted = element("conference", ns::JITSI_FOCUS)
            .attr("room", &room)
            .attr("ready", if ready { "true" } else { "false" })
            .attr("focusjid", FOCUS_JID)
            .maybe_attr("session-id", sid.as_deref())
            .child(authentication);
        Some((answer_in, answer("result", granted.into())))
    }

    /// The focus makes an authenticated member owner, a moment later.
    fn grants(&mut self, room: &str, session: u64) {
        if !self.chance(10) {
            self.later(ms(40), Event::Grant { room: room.to_owned(), session });
        }
    }

    fn grant(&mut self, room: &str, session: u64) {
        let Some(kept) = self.sessions.get(&session) else { return };
        if !self.focus_up || !self.authority.knows(&kept.full) {
            return;
        }
        let bare = jid::bare(&kept.full).to_owned();
        let Some(here) = self.rooms.get_mut(room).filter(|here| here.occupants.contains_key("focus")) else { return };
        let Some((nick, own)) = here.occupants.iter_mut().find(|(_, one)| one.session == Some(session)) else { return };
        here.owners.insert(bare);
        if own.role != "moderator" {
            (own.role, own.affiliation) = ("moderator", "owner");
            let nick = nick.clone();
            self.tell(room, &nick, &[]);
        }
    }

    // ── rooms

    fn present(room: &str, nick: &str, one: &Occupant, own: bool, statuses: &[u16]) -> Element {
        let mut x = element("x", ns::MUC_USER).child(
            element("item", ns::MUC_USER)
                .attr("affiliation", one.affiliation)
                .attr("role", one.role)
                .attr("jid", &one.real),
        );
        for status in own.then_some(&110).into_iter().chain(statuses) {
            x = x.child(element("status", ns::MUC_USER).attr("code", &status.to_string()));
        }
        element("presence", ns::CLIENT).attr("from", &format!("{room}/{nick}")).child(x).into()
    }

    /// Tells everybody in the room about one of them.
    fn tell(&mut self, room: &str, nick: &str, statuses: &[u16]) {
        let Some(here) = self.rooms.get(room) else { return };
        let Some(about) = here.occupants.get(nick).cloned() else { return };
        let hearers: Vec<u64> = here.occupants.values().filter_map(|one| one.session).collect();
        for session in hearers {
            let presence = Self::present(room, nick, &about, about.session == Some(session), statuses);
            if self.chance(5) {
                self.send_element(session, presence.clone());
            }
            self.send_element(session, presence);
        }
    }

    /// Removes somebody and tells everybody, themselves included.
    fn remove(&mut self, room: &str, nick: &str, statuses: &[u16], extra: Option<Element>) {
        let Some(here) = self.rooms.get_mut(room) else { return };
        let Some(one) = here.occupants.remove(nick) else { return };
        let hearers: Vec<u64> = here.occupants.values().chain([&one]).filter_map(|one| one.session).collect();
        let gone = Occupant { role: "none", ..one.clone() };
        for session in hearers {
            let mut presence = Self::present(room, nick, &gone, one.session == Some(session), statuses);
            set_type(&mut presence, "unavailable");
            if let Some(extra) = &extra {
                presence.children_mut().next().expect("the x").append_child(extra.clone());
            }
            self.send_element(session, presence);
        }
        self.tidy(room);
    }

    /// A room without people ends, and with it what was known of it.
    fn tidy(&mut self, room: &str) {
        let Some(here) = self.rooms.get(room) else { return };
        if here.occupants.keys().all(|nick| nick == "focus") {
            self.rooms.remove(room);
        }
    }

    fn presence(&mut self, session: u64, presence: &Element) {
        let to = presence.attr("to").expect("a room").to_owned();
        let (room, nick) = (jid::bare(&to).to_owned(), jid::resource(&to).expect("a nick").to_owned());
        let full = self.sessions[&session].full.clone();
        let bare = jid::bare(&full).to_owned();
        let inside = self.rooms.get(&room).and_then(|here| {
            here.occupants.iter().find(|(_, one)| one.session == Some(session)).map(|(nick, _)| nick.clone())
        });
        assert_ne!(presence.attr("type"), Some("error"), "seed {}: we sent an error", self.seed);
        if presence.attr("type") == Some("unavailable") {
            if let Some(nick) = inside {
                self.remove(&room, &nick, &[], None);
            }
            return;
        }
        let joins = presence.has_child("x", ns::MUC);
        if let Some(old) = inside {
            if old != nick {
                let taken = self.rooms[&room].occupants.contains_key(&nick);
                if !self.renames {
                    return self.error(session, presence, "not-allowed", "Invalid resource");
                }
                if taken {
                    return self.error(session, presence, "conflict", "");
                }
                self.rename(&room, &old, &nick);
            } else if joins {
                self.list(&room, session, false);
            } else {
                self.tell(&room, &nick, &[]);
            }
            return;
        }
        if !joins {
            return self.error(session, presence, "item-not-found", "");
        }
        if self.chance(5) {
            return; // a queued join that is never let in
        }
        if !self.rooms.contains_key(&room) && !self.plain {
            return self.error(session, presence, "not-allowed", "Room creation is restricted");
        }
        let created = !self.rooms.contains_key(&room);
        let here = self.rooms.entry(room.clone()).or_default();
        if here.outcasts.contains(&bare) {
            return self.error(session, presence, "forbidden", "");
        }
        if created {
            here.owners.insert(bare.clone());
        }
        if let Some(taken) = here.occupants.get(&nick)
            && jid::bare(&taken.real) != bare
        {
            return self.error(session, presence, "conflict", "");
        }
        let (affiliation, role) =
            if here.owners.contains(&bare) { ("owner", "moderator") } else { ("none", "participant") };
        let one = Occupant { real: full, role, affiliation, session: Some(session) };
        here.occupants.insert(nick.clone(), one);
        let others: Vec<u64> =
            here.occupants.values().filter_map(|one| one.session).filter(|s| *s != session).collect();
        for other in others {
            let shown = Self::present(&room, &nick, &self.rooms[&room].occupants[&nick], false, &[]);
            self.send_element(other, shown);
        }
        self.joined += 1;
        self.list(&room, session, created);
        if self.rooms[&room].occupants.contains_key("focus") {
            self.grants(&room, session);
        }
        let id = format!("ask-{}", self.serial());
        self.asked.insert(id.clone(), 0);
        let ask = element("iq", ns::CLIENT)
            .attr("type", "get")
            .attr("from", &format!("{room}/focus"))
            .attr("id", &id)
            .child(element("query", ns::DISCO_INFO));
        self.send_element(session, ask);
    }

    /// The whole list, ourselves last.
    fn list(&mut self, room: &str, session: u64, created: bool) {
        let mut all: Vec<(String, Occupant)> = self.rooms[room].occupants.clone().into_iter().collect();
        all.sort_by_key(|(_, one)| one.session == Some(session));
        for (nick, one) in all {
            let own = one.session == Some(session);
            let statuses: &[u16] = if own && created { &[201] } else { &[] };
            self.send_element(session, Self::present(room, &nick, &one, own, statuses));
        }
    }

    fn rename(&mut self, room: &str, old: &str, new: &str) {
        let Some(here) = self.rooms.get_mut(room) else { return };
        if here.occupants.contains_key(new) {
            return;
        }
        let Some(one) = here.occupants.remove(old) else { return };
        here.occupants.insert(new.to_owned(), one.clone());
        let hearers: Vec<u64> = here.occupants.values().filter_map(|one| one.session).collect();
        for session in hearers {
            let mut presence = Self::present(room, old, &one, one.session == Some(session), &[303]);
            set_type(&mut presence, "unavailable");
            let item = presence.children_mut().next().and_then(|x| x.children_mut().next()).expect("an item");
            *item = element("item", ns::MUC_USER)
                .attr("affiliation", one.affiliation)
                .attr("role", one.role)
                .attr("nick", new)
                .into();
            self.send_element(session, presence);
        }
        self.tell(room, new, &[]);
    }

    fn end_session(&mut self, session: u64) {
        if let Some(kept) = self.sessions.remove(&session) {
            self.say(|| format!("the server ends session {session} of slot {}", kept.slot));
            let places: Vec<(String, String)> = self
                .rooms
                .iter()
                .flat_map(|(room, here)| here.occupants.iter().map(move |(nick, one)| (room, nick, one)))
                .filter(|(_, _, one)| one.session == Some(session))
                .map(|(room, nick, _)| (room.clone(), nick.clone()))
                .collect();
            for (room, nick) in places {
                self.remove(&room, &nick, &[], None);
            }
        }
    }

    // ── what goes wrong

    fn some_room(&mut self) -> Option<String> {
        let rooms: Vec<&String> = self.rooms.keys().collect();
        if rooms.is_empty() { None } else { Some(rooms[self.rng.usize(..rooms.len())].clone()) }
    }

    fn some_occupant(&mut self, ours: bool) -> Option<(String, String)> {
        let room = self.some_room()?;
        let here: Vec<String> = self.rooms[&room]
            .occupants
            .iter()
            .filter(|(nick, one)| one.session.is_some() == ours && *nick != "focus")
            .map(|(nick, _)| nick.clone())
            .collect();
        if here.is_empty() { None } else { Some((room, here[self.rng.usize(..here.len())].clone())) }
    }

    /// Whether it is what a session left behind whose slot has another since.
    fn is_ghost(&self, room: &str, nick: &str) -> bool {
        let session = self.rooms[room].occupants[nick].session;
        let slot = session.and_then(|session| self.sessions.get(&session)).map(|kept| kept.slot);
        self.sessions.iter().any(|(id, kept)| Some(*id) > session && Some(kept.slot) == slot)
    }

    fn some_slot(&mut self) -> Option<usize> {
        let slots: Vec<usize> = self.clients.keys().copied().collect();
        if slots.is_empty() { None } else { Some(slots[self.rng.usize(..slots.len())]) }
    }

    fn chaos(&mut self) {
        match self.rng.u8(0..30) {
            0..=4 => self.guest(),
            5 | 6 => self.guest_goes(),
            7 | 8 => self.put_out(),
            9 => {
                if let Some(room) = self.some_room() {
                    self.say(|| format!("{room} is destroyed"));
                    let nicks: Vec<String> = self.rooms[&room].occupants.keys().cloned().collect();
                    for nick in nicks {
                        self.remove(&room, &nick, &[], Some(element("destroy", ns::MUC_USER).into()));
                    }
                    self.rooms.remove(&room);
                }
            }
            10 | 11 => self.role(),
            12 => {
                // The room forgets us and does not say so. Of a ghost that others see nobody could ever find out.
                if let Some((room, nick)) = self.some_occupant(true).filter(|(room, nick)| !self.is_ghost(room, nick)) {
                    self.say(|| format!("{room} silently drops {nick}"));
                    self.rooms.get_mut(&room).expect("just there").occupants.remove(&nick);
                    self.tidy(&room);
                }
            }
            13 => {
                if let Some(room) = self.some_room() {
                    self.say(|| format!("the focus leaves {room}"));
                    self.remove(&room, "focus", &[], None);
                }
            }
            14 => self.focus_down(),
            15..=18 => self.reset(),
            19 => self.restart(),
            20 | 21 => self.junk(),
            22..=24 => self.order(),
            25..=27 if self.guests => self.guest_chaos(),
            _ => {}
        }
        if self.now < self.start + secs(120) {
            let wait = ms(self.rng.u64(1..4_000));
            self.later(wait, Event::Chaos);
        } else {
            self.quieten();
        }
    }

    fn guest(&mut self) {
        let Some(room) = self.some_room() else { return };
        let nick = ["ann", "bob", "eve", "0keeper_2", "0landlord"][self.rng.usize(..5)];
        if self.rooms[&room].occupants.contains_key(nick) {
            return self.tell(&room, nick, &[]);
        }
        let one = Occupant { real: format!("{nick}@guest/x"), role: "participant", affiliation: "none", session: None };
        self.rooms.get_mut(&room).expect("just there").occupants.insert(nick.into(), one);
        self.tell(&room, nick, &[]);
    }

    fn guest_goes(&mut self) {
        let Some((room, nick)) = self.some_occupant(false) else { return };
        if self.rng.bool() {
            let new = format!("{nick}x");
            self.rename(&room, &nick, &new);
        } else {
            let statuses: &[u16] = [&[][..], &[307], &[301], &[322]][self.rng.usize(..4)];
            self.remove(&room, &nick, statuses, None);
        }
    }

    fn put_out(&mut self) {
        let Some((room, nick)) = self.some_occupant(true) else { return };
        let statuses: &[u16] = [&[307][..], &[301], &[322], &[333, 307], &[321], &[]][self.rng.usize(..6)];
        self.say(|| format!("{nick} is put out of {room}: {statuses:?}"));
        if statuses == [301] && self.stable {
            let bare = format!("keeper@{DOMAIN}");
            self.rooms.get_mut(&room).expect("just there").outcasts.insert(bare);
        }
        self.remove(&room, &nick, statuses, None);
    }

    fn role(&mut self) {
        let ours = self.rng.bool();
        let Some((room, nick)) = self.some_occupant(ours) else { return };
        let here = self.rooms.get_mut(&room).expect("just there");
        let one = here.occupants.get_mut(&nick).expect("just there");
        (one.role, one.affiliation) = match self.rng.u8(0..3) {
            0 => ("visitor", "none"),
            1 => ("participant", "member"),
            _ => ("moderator", "admin"),
        };
        let bare = jid::bare(&one.real).to_owned();
        here.owners.remove(&bare);
        self.tell(&room, &nick, &[]);
    }

    fn focus_down(&mut self) {
        self.say(|| "the focus is gone".to_owned());
        self.focus_up = false;
        self.focus_silent = self.rng.bool();
        self.authority.forget_all();
        for room in self.rooms.keys().cloned().collect::<Vec<_>>() {
            self.remove(&room, "focus", &[], None);
        }
        let wait = ms(self.rng.u64(100..30_000));
        self.later(wait, Event::FocusUp);
    }

    fn reset(&mut self) {
        let Some(slot) = self.some_slot() else { return };
        let Link::Up(id) = self.clients[&slot].link else { return };
        let how = self.rng.u8(0..4);
        self.say(|| format!("session {slot} loses its stream in way {how}"));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        match how {
            // The path is cut; nobody notices until silence tells.
            0 => {
                conn.broken = true;
                let wait = ms(self.rng.u64(0..60_000));
                self.later(wait, Event::Detach(id));
            }
            // Another session takes our place.
            1 => {
                conn.broken = true;
                let session = conn.session;
                self.end_session(session);
                self.drop_link(slot, Cause::new(Word::Conflict, "replaced"));
            }
            _ => {
                conn.broken = true;
                self.detach(id);
                self.drop_link(slot, Cause::new(Word::Disconnected, "reset"));
            }
        }
    }

    fn detach(&mut self, conn: u64) {
        let Some(conn_state) = self.conns.get_mut(&conn) else { return };
        conn_state.broken = true;
        let session = conn_state.session;
        let Some(kept) = self.sessions.get_mut(&session).filter(|kept| kept.conn == Some(conn)) else { return };
        kept.conn = None;
        self.later(KEEPS, Event::Expire(session, conn));
    }

    fn restart(&mut self) {
        self.say(|| "the server restarts".to_owned());
        self.up = false;
        self.sessions.clear();
        self.rooms.clear();
        self.focus_up = false;
        self.focus_silent = false;
        self.authority.forget_all();
        self.conns.clear();
        self.cut_account();
        for slot in self.clients.keys().copied().collect::<Vec<_>>() {
            if matches!(self.clients[&slot].link, Link::Up(_)) {
                let word = if self.rng.bool() { Word::SystemShutdown } else { Word::Disconnected };
                self.drop_link(slot, Cause::new(word, "restart"));
            }
        }
        let wait = ms(self.rng.u64(10..20_000));
        self.later(wait, Event::ServerUp);
        let wait = wait + ms(self.rng.u64(1..6_000));
        self.later(wait, Event::FocusUp);
    }

    fn junk(&mut self) {
        let Some((room, nick)) = self.some_occupant(true) else { return };
        let session = self.rooms[&room].occupants[&nick].session.expect("one of ours");
        let guest = self.some_occupant(false).filter(|(where_, _)| *where_ == room).map(|(_, guest)| guest);
        let other = guest.unwrap_or_else(|| "nobody".to_owned());
        let deep = format!("{}{}", "<a>".repeat(20), "</a>".repeat(20));
        let text = match self.rng.u8(0..12) {
            0 => format!("<message from='{room}/{other}' type='groupchat'><body>hi</body>{deep}</message>"),
            1 => format!("<message from='{room}/{other}'><a></message>"),
            2 => format!("<presence from='{room}/{other}' type='error'/>"),
            3 => format!("<presence from='{room}/{other}' type='subscribe'>&bogus;</presence>"),
            4 => "<iq type='result' id='nobody-asked'/>".to_owned(),
            5 => format!("<iq type='error' from='{FOCUS}' id='x-1'>{deep}</iq>"),
            6 => "<message/>".to_owned(),
            7 => format!("<presence from='{room}'/>"),
            8 => format!("<presence from='nowhere@{MUC}/x'><show>bogus</show></presence>"),
            9 => "<iq/>".to_owned(),
            10 => format!("<message from='{room}/{other}' type='error'><error/></message>"),
            _ => {
                let id = format!("junk-{}", self.serial());
                self.asked.insert(id.clone(), 0);
                format!("<iq type='set' from='{room}/{other}' id='{id}'>{deep}</iq>")
            }
        };
        self.send(session, Wire::Text(text));
    }

    /// An admin changes their mind.
    fn order(&mut self) {
        let name = format!("room{}", self.rng.usize(0..6));
        match (self.wanted.get(&key(&name)).cloned(), self.rng.u8(0..3)) {
            (None, _) => {
                self.say(|| format!("{name} is wanted"));
                self.want(&name);
            }
            (Some(_), 0) => {
                self.say(|| format!("{name} is no longer wanted"));
                self.unwant(&key(&name));
            }
            (Some(settings), 1) => {
                let nick = if &*settings.nick == "0keeper" { "0landlord" } else { "0keeper" };
                self.say(|| format!("{name} wants the nick {nick}"));
                let new = Arc::new(Settings { nick: nick.into(), ..(*settings).clone() });
                self.wanted.insert(key(&name), new.clone());
                self.hold(&new);
            }
            (Some(settings), _) => {
                let display_name = format!("Keeper {}", self.serial());
                let new = Arc::new(Settings { display_name: display_name.into(), ..(*settings).clone() });
                self.wanted.insert(key(&name), new.clone());
                self.hold(&new);
            }
        }
    }

    /// From now on nothing goes wrong any more, and bans are lifted.
    fn quieten(&mut self) {
        self.say(|| "from now on all is well".to_owned());
        self.calm = true;
        self.settle_account();
        if !self.up {
            self.later(ms(1), Event::ServerUp);
        }
        self.later(ms(2), Event::FocusUp);
        for room in self.rooms.values_mut() {
            room.outcasts.clear();
            if self.plain {
                // Nobody but an owner could make us owner again.
                room.owners.insert(format!("keeper@{DOMAIN}"));
            }
        }
        if self.plain {
            let ours: Vec<(String, String)> = self
                .rooms
                .iter()
                .flat_map(|(room, here)| here.occupants.iter().map(move |(nick, one)| (room, nick, one)))
                .filter(|(_, _, one)| one.session.is_some())
                .map(|(room, nick, _)| (room.clone(), nick.clone()))
                .collect();
            for (room, nick) in ours {
                let here = self.rooms.get_mut(&room).expect("just there");
                let one = here.occupants.get_mut(&nick).expect("just there");
                (one.role, one.affiliation) = ("moderator", "owner");
                self.tell(&room, &nick, &[]);
            }
        }
    }

    // ── the run

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToServer(conn, element) => self.server_hears(conn, &element),
            Event::ToClient(conn, wire) => self.client_hears(conn, wire),
            Event::Connected { slot, resume } => self.connected(slot, resume),
            Event::Detach(conn) => self.detach(conn),
            Event::Expire(session, conn) => {
                // Resumed meanwhile and lost again, it has a later end.
                let again = self.agenda.values().any(|event| matches!(event, Event::Expire(s, _) if *s == session));
                if !again && self.sessions.get(&session).is_some_and(|kept| kept.conn.is_none()) {
                    self.say(|| format!("connection {conn} was the last of session {session}"));
                    self.end_session(session);
                }
            }
            Event::Grant { room, session } => self.grant(&room, session),
            Event::StartTimeout(room) => self.tidy(&room),
            Event::Answer { session, element } => self.send_element(session, element),
            Event::Account { slot, number, step } => self.account(slot, number, step),
            Event::ServerUp => self.up = true,
            Event::FocusUp => self.focus_up = true,
            Event::Chaos => self.chaos(),
        }
    }

    /// Does what is next due; nothing when that is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let mut out = Vec::new();
        self.service.poll(self.now, &mut self.logins, &mut out);
        self.carry_out(out);
        self.check_account();
        let event = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let client = self.clients.iter().filter_map(|(slot, client)| Some((client.session.deadline()?, *slot))).min();
        let service = self.service.deadline();
        let next = event.into_iter().chain(client.map(|(at, _)| at)).chain(service).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.still = if next <= self.now { self.still + 1 } else { 0 };
        self.now = self.now.max(next);
        assert!(
            self.still < 10_000,
            "seed {}: a deadline that passed moves nothing: session {client:?}, service {service:?}, now {:?}: {:?}",
            self.seed,
            self.now,
            self.service
        );
        if event.is_some_and(|at| at <= self.now) {
            let (_, event) = self.agenda.pop_first().expect("just looked up");
            self.happen(event);
        } else if let Some((at, slot)) = client
            && at <= self.now
        {
            self.put(slot, Input::Timeout);
        }
        true
    }

    /// What is not as it should be once nothing goes wrong any more.
    fn trouble(&self) -> Option<String> {
        for (key, settings) in &self.wanted {
            let Some(slot) = self.service.session_of(key) else { return Some(format!("{key} has no session")) };
            let session = &self.clients[&slot].session;
            let Some(room) = session.room(key) else { return Some(format!("{key} is not held by its session")) };
            let shown = room.snapshot(self.now, &RULES, &session.focus_facts());
            if shown.state != RoomState::Held && self.names_the_password(&shown.cause) {
                continue;
            }
            if shown.state != RoomState::Held {
                return Some(format!("{key} is {shown:?}"));
            }
            let (own, occupants) = room.inside().expect("held is inside");
            let nicks = [&*settings.nick, "0keeper", "0landlord"];
            if !nicks.iter().any(|nick| own.starts_with(nick)) {
                return Some(format!("{key} has us as {own}"));
            }
            let ours: BTreeMap<&str, (&str, &str, &str)> = occupants
                .iter()
                .map(|(nick, one)| {
                    let role = one.role.as_ref().map_or("", |role| role.as_str());
                    let affiliation = one.affiliation.as_ref().map_or("", |affiliation| affiliation.as_str());
                    (nick, (one.real_jid.as_deref().unwrap_or_default(), role, affiliation))
                })
                .collect();
            let theirs: BTreeMap<&str, (&str, &str, &str)> = match self.rooms.get(&*settings.jid) {
                Some(here) => here
                    .occupants
                    .iter()
                    .map(|(nick, one)| (&**nick, (&*one.real, one.role, one.affiliation)))
                    .collect(),
                None => BTreeMap::new(),
            };
            if ours != theirs {
                return Some(format!("{key}: our list {ours:?}\n is not the room's {theirs:?}"));
            }
            let there = self.rooms.get(&*settings.jid).and_then(|here| here.occupants.get(own));
            if there.is_none_or(|one| one.session.is_none()) {
                return Some(format!("{key}: we are not {own}"));
            }
        }
        for (room, here) in &self.rooms {
            let wanted = self.wanted.values().any(|settings| *settings.jid == **room);
            if !wanted && let Some((nick, _)) = here.occupants.iter().find(|(_, one)| one.session.is_some()) {
                return Some(format!("{room} is not wanted and has us inside as {nick}"));
            }
        }
        for (slot, client) in &self.clients {
            if client.session.in_flight() > 0 {
                return Some(format!("session {slot} has something on its way"));
            }
        }
        None
    }

    fn run(mut self) {
        let mut steps = 0;
        while !self.calm {
            assert!(self.step(self.now + secs(10)), "seed {}: nothing happens any more", self.seed);
            steps += 1;
            assert!(steps < 200_000, "seed {}: it runs in circles", self.seed);
        }
        let end = self.now + PATIENCE;
        let mut well_since: Option<Instant> = None;
        loop {
            assert!(self.now < end, "seed {}: after {PATIENCE:?}: {}", self.seed, self.trouble().unwrap_or_default());
            let before = self.now;
            if !self.step(end + secs(1)) {
                let trouble = self.trouble();
                assert_eq!(trouble, None, "seed {}: nothing happens any more", self.seed);
                break;
            }
            steps += 1;
            assert!(steps < 400_000, "seed {}: it runs in circles", self.seed);
            if before + ms(500) < self.now || steps % 64 == 0 {
                match (self.trouble(), well_since) {
                    (Some(trouble), _) => {
                        self.say(|| format!("not yet: {trouble}"));
                        well_since = None;
                    }
                    (None, None) => well_since = Some(self.now),
                    (None, Some(since)) if since + secs(40) < self.now => break,
                    (None, Some(_)) => {}
                }
            }
        }
    }
}

fn set_type(element: &mut Element, kind: &str) {
    element.set_attr(rxml::Namespace::NONE, rxml::NcName::try_from("type").expect("a name"), kind);
}

#[test]
fn whatever_happens_in_the_end_every_wanted_room_is_held_and_our_list_is_the_rooms_own() {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return World::new(seed).run();
    }
    let seeds: u64 = std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8) as u64;
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            std::thread::spawn(move || {
                for seed in (thread..seeds).step_by(threads as usize) {
                    let run = std::panic::catch_unwind(|| World::new(seed).run());
                    if run.is_err() {
                        panic!("seed {seed} fails: SIM_SEED={seed} cargo test --test sim -- --nocapture");
                    }
                }
            })
        })
        .collect();
    let failed = workers.into_iter().filter_map(|worker| worker.join().err()).count();
    assert_eq!(failed, 0, "some seeds fail, see above");
}
