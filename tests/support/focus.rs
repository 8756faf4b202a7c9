//! The test focus: a conference focus after Jicofo's rules (jitsi-protocol.md §3-5, §13).
//!
//! It answers conference requests as the component `focus.meet.jitsi` (XEP-0114) and sits in rooms as
//! `focus@auth.meet.jitsi` with the nick `focus`, on an ordinary client connection without stream management: when
//! it ends, its occupant vanishes from every room at once. It enforces and never assumes:
//!
//! | rule | section |
//! |---|---|
//! | `room` is required; auth sessions by login domain and machine-uid; else `not-authorized` for a new room | §3.2, §4.1 |
//! | a new auth session for each request without session-id; session-id is bound to machine-uid and the last full JID | §4.1 |
//! | `ready='false'` to whoever asks while the room is being made; no answer at all for a wrong MUC domain | §3.1, §3.2 |
//! | start timeout: leaves when no member has answered disco#info in time | §5.7, §13.3 |
//! | asks disco#info of each new member (also with the node of its caps) | §5.2 |
//! | recognises by full JID, grants owner to the bare JID: at the join and when the JID is authenticated later | §4.3 |
//! | invites everybody at two members by Jingle session-initiate | §5.3 |
//! | leaves when nobody is left | §5.7 |
//!
//! The thread that runs it writes down everything it sees; tests ask [`Focus`] and never the program under test.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sasl::common::scram::{ScramProvider, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::client::Wire;
use super::process::wait_for;
use super::prosody::{AUTH, DOMAIN, FOCUS, FOCUS_SECRET, MUC, Prosody};
use super::xml::{Item, Node, Reader, bare, domain, escape, resource};

/// How this focus behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where clients connect.
    pub c2s: SocketAddr,
    /// Where components connect.
    pub component: SocketAddr,
    /// Authentication is on: only sessions of [`Options::login_domain`] open rooms. Off: anyone does, and the first
    /// member becomes owner (§4.3 auto-owner).
    pub auth: bool,
    /// The domain whose accounts get auth sessions.
    pub login_domain: String,
    /// The only domain on which rooms start.
    pub muc: String,
    /// Leave when nobody has come by then.
    pub start_timeout: Duration,
    /// How long answers to IQs are waited for.
    pub reply_timeout: Duration,
    /// How long a crashed focus keeps requests before they bounce.
    pub crash_silence: Duration,
    /// How long after the server's port opens the focus logs in.
    pub reconnect_delay: Duration,
    /// Print what is seen.
    pub verbose: bool,
}

impl Options {
    /// The defaults of Jicofo, on a server of ours.
    pub fn of(prosody: &Prosody) -> Options {
        Options::at(prosody.c2s(), prosody.component())
    }

    /// The defaults of Jicofo.
    pub fn at(c2s: SocketAddr, component: SocketAddr) -> Options {
        Options {
            c2s,
            component,
            auth: true,
            login_domain: DOMAIN.to_owned(),
            muc: MUC.to_owned(),
            start_timeout: Duration::from_secs(15),
            reply_timeout: Duration::from_secs(15),
            crash_silence: Duration::from_secs(16),
            reconnect_delay: Duration::ZERO,
            verbose: false,
        }
    }
}

/// Something that the focus saw or did.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When.
    pub at: Instant,
    /// In which room (bare JID), empty when in none.
    pub room: String,
    /// What.
    pub what: Seen,
}

/// See [`Observation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Both connections to the server are up.
    Connected,
    /// The connections are lost; all conferences are forgotten.
    Disconnected,
    /// A conference request came.
    Requested {
        /// Full JID of the requester.
        from: String,
        /// Whether it carried a session-id.
        with_session: bool,
    },
    /// A conference request was refused.
    Refused {
        /// Full JID of the requester.
        from: String,
        /// The error's condition.
        condition: &'static str,
    },
    /// A conference request gets no answer.
    Silent {
        /// Full JID of the requester.
        from: String,
    },
    /// A conference request was answered.
    Ready {
        /// Full JID of the requester.
        to: String,
        /// `ready`.
        ready: bool,
    },
    /// The focus is in the room.
    Entered,
    /// The focus is out of the room, and the room has said so.
    Left(Why),
    /// A member came.
    Joined {
        /// Its nick.
        nick: String,
        /// Its full real JID.
        jid: String,
    },
    /// A member went.
    Gone {
        /// Its nick.
        nick: String,
        /// The status codes of its leaving.
        status: Vec<u16>,
    },
    /// A member answered disco#info.
    Disco {
        /// Its nick.
        nick: String,
        /// It answered with an error.
        error: bool,
        /// The features it has.
        features: Vec<String>,
    },
    /// A member did not answer disco#info in time.
    NoDisco {
        /// Its nick.
        nick: String,
    },
    /// Owner was granted to a bare JID.
    Granted {
        /// Which.
        jid: String,
    },
    /// The room said that a member is moderator now.
    Moderator {
        /// Its nick.
        nick: String,
        /// Its full real JID.
        jid: String,
    },
    /// A member was invited by Jingle.
    Invited {
        /// Its nick.
        nick: String,
    },
    /// A member answered its invitation.
    Answered {
        /// Its nick.
        nick: String,
        /// `result`, or the error's condition.
        how: String,
    },
    /// A member did not answer its invitation in time.
    NoAnswer {
        /// Its nick.
        nick: String,
    },
    /// A member sent a Jingle action.
    Jingle {
        /// Its nick.
        nick: String,
        /// The action.
        action: String,
    },
}

/// Why the focus is out of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody came, or nobody answered disco#info, before the start timeout.
    StartTimeout,
    /// The last member left.
    Empty,
    /// The room was destroyed.
    Destroyed,
    /// It could not enter, or was thrown out.
    Removed,
}

/// What is seen of a room now.
#[derive(Debug, Clone, Default)]
pub struct RoomSeen {
    /// Members but the focus, by nick.
    pub members: BTreeMap<String, MemberSeen>,
}

/// What is seen of a member now.
#[derive(Debug, Clone)]
pub struct MemberSeen {
    /// Full real JID.
    pub jid: String,
    /// Role in the room.
    pub role: String,
    /// Affiliation in the room.
    pub affiliation: String,
    /// It answered disco#info.
    pub answered: bool,
    /// Since when it has been moderator and answered, with the focus inside: since when it holds the room.
    pub holds_since: Option<Instant>,
}

#[derive(Default)]
struct Notes {
    log: Vec<Observation>,
    rooms: HashMap<String, RoomSeen>,
    auth_sessions: usize,
    connected: bool,
}

/// A running focus. Dropping it ends it as a killed process ends.
pub struct Focus {
    options: Options,
    notes: Arc<Mutex<Notes>>,
    running: Option<(mpsc::UnboundedSender<Command>, JoinHandle<()>)>,
}

enum Command {
    Crash,
}

impl Focus {
    /// Starts a focus and waits until it is connected.
    ///
    /// # Panics
    /// It does not get in within ten seconds.
    #[track_caller]
    pub fn start(options: Options) -> Focus {
        let mut focus = Focus { options, notes: Arc::default(), running: None };
        focus.spawn();
        assert!(
            wait_for(Duration::from_secs(10), || focus.connected().then_some(())).is_some(),
            "the focus does not get into the server at {}",
            focus.options.component
        );
        focus
    }

    /// Starts a focus that was stopped; it remembers nothing of what it was. Does not wait.
    pub fn spawn(&mut self) {
        if self.running.is_some() {
            return;
        }
        let (commands, inbox) = mpsc::unbounded_channel();
        let (options, notes) = (self.options.clone(), Arc::clone(&self.notes));
        let thread = std::thread::Builder::new().name("focus".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(options, notes, inbox));
        });
        self.running = Some((commands, thread.expect("a thread")));
    }

    /// Ends the focus as a killed process ends: both connections close, its occupants vanish, all is forgotten.
    pub fn stop(&mut self) {
        if let Some((commands, thread)) = self.running.take() {
            drop(commands);
            thread.join().expect("the focus panicked");
        }
        self.notes().connected = false;
    }

    /// Stops, and starts again with other options.
    pub fn restart(&mut self, change: impl FnOnce(&mut Options)) {
        self.stop();
        change(&mut self.options);
        self.spawn();
    }

    /// Crashes as Jicofo does under stream management (§13.5): requests meet silence for
    /// [`Options::crash_silence`], then `recipient-unavailable`; its occupants stay for 15 s. Only [`Focus::stop`]
    /// and [`Focus::spawn`] mend it.
    pub fn crash(&self) {
        if let Some((commands, _)) = &self.running {
            let _ = commands.send(Command::Crash);
            super::until("the focus to crash", Duration::from_secs(5), || (!self.connected()).then_some(()));
        }
    }

    /// Whether both connections are up.
    pub fn connected(&self) -> bool {
        self.notes().connected
    }

    /// Waits until both connections are up; returns since when, as last logged.
    #[track_caller]
    pub fn wait_connected(&self, limit: Duration) -> Instant {
        super::until("the focus to be connected", limit, || {
            let notes = self.notes();
            let last = notes.log.iter().rev().find(|seen| seen.what == Seen::Connected);
            last.filter(|_| notes.connected).map(|seen| seen.at)
        })
    }

    /// Everything seen so far, in order.
    pub fn log(&self) -> Vec<Observation> {
        self.notes().log.clone()
    }

    /// How many observations there are; a mark for [`Focus::since`].
    pub fn mark(&self) -> usize {
        self.notes().log.len()
    }

    /// What was seen since a mark, in order.
    pub fn since(&self, mark: usize) -> Vec<Observation> {
        self.notes().log.iter().skip(mark).cloned().collect()
    }

    /// What was seen of one room since a mark, in order.
    pub fn seen_in(&self, room: &str, mark: usize) -> Vec<Seen> {
        let notes = self.notes();
        notes.log.iter().skip(mark).filter(|seen| seen.room == room).map(|seen| seen.what.clone()).collect()
    }

    /// Waits until something is seen after a mark; returns the first of it.
    ///
    /// # Panics
    /// It is not seen within `limit`; says what was seen.
    #[track_caller]
    pub fn wait_seen(
        &self,
        what: &str,
        mark: usize,
        limit: Duration,
        wanted: impl Fn(&Observation) -> bool,
    ) -> Observation {
        let found = wait_for(limit, || self.notes().log.iter().skip(mark).find(|seen| wanted(seen)).cloned());
        found.unwrap_or_else(|| {
            let seen: Vec<_> = self.since(mark).into_iter().map(|seen| (seen.room, seen.what)).collect();
            panic!("the focus did not see within {limit:?}: {what}; it saw {seen:#?}")
        })
    }

    /// The rooms that the focus is in, now.
    pub fn rooms(&self) -> HashMap<String, RoomSeen> {
        self.notes().rooms.clone()
    }

    /// How many auth sessions there are (§4.1: one more for each request without session-id).
    pub fn auth_sessions(&self) -> usize {
        self.notes().auth_sessions
    }

    /// Whether the account `jid` (bare) holds `room` now: focus and account inside, the account moderator, its
    /// disco#info answered; and since when.
    pub fn held_since(&self, room: &str, jid: &str) -> Option<Instant> {
        holder(&self.notes(), room, jid)
    }

    /// How many of `rooms` the account holds now.
    pub fn count_held(&self, rooms: &[impl AsRef<str>], jid: &str) -> usize {
        let notes = self.notes();
        rooms.iter().filter(|room| holder(&notes, room.as_ref(), jid).is_some()).count()
    }

    /// Waits until the account `jid` (bare) holds all `rooms` at one moment; returns when the last of them was held.
    ///
    /// # Panics
    /// Not within `limit`; says which rooms are missing.
    #[track_caller]
    pub fn wait_held(&self, rooms: &[impl AsRef<str>], jid: &str, limit: Duration) -> Instant {
        let all = || {
            let notes = self.notes();
            rooms.iter().map(|room| holder(&notes, room.as_ref(), jid)).try_fold(
                None,
                |last: Option<Instant>, since| {
                    let since = since?;
                    Some(Some(last.map_or(since, |last| last.max(since))))
                },
            )
        };
        match wait_for(limit, all) {
            Some(last) => last.unwrap_or_else(Instant::now),
            None => {
                let notes = self.notes();
                let missing: Vec<&str> =
                    rooms.iter().map(AsRef::as_ref).filter(|room| holder(&notes, room, jid).is_none()).collect();
                let sample: Vec<_> = missing.iter().take(3).map(|room| (room, notes.rooms.get(*room))).collect();
                let last: Vec<_> = notes.log.iter().rev().take(10).map(|seen| (&seen.room, &seen.what)).collect();
                panic!(
                    "{jid} holds {} of {} rooms after {limit:?}; missing, among others: {sample:#?}; last seen: {last:#?}",
                    rooms.len() - missing.len(),
                    rooms.len()
                )
            }
        }
    }

    /// Forgets the log, for long runs.
    pub fn clear_log(&self) {
        self.notes().log.clear();
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("the focus panicked")
    }
}

impl Drop for Focus {
    fn drop(&mut self) {
        if let Some((commands, thread)) = self.running.take() {
            drop(commands);
            let _ = thread.join();
        }
    }
}

fn holder(notes: &Notes, room: &str, jid: &str) -> Option<Instant> {
    let members = &notes.rooms.get(room)?.members;
    members.values().filter(|member| bare(&member.jid) == jid).find_map(|member| member.holds_since)
}

// ---------------------------------------------------------------------------------------------------------------

/// Connects again and again until the handle is dropped.
async fn run(options: Options, notes: Arc<Mutex<Notes>>, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let mut auth = Auth::default();
    let mut wait = Duration::ZERO;
    notes.lock().expect("no panic").rooms.clear();
    loop {
        let command = tokio::time::timeout(wait, inbox.recv()).await;
        if let Ok(None) = command {
            return;
        }
        wait = Duration::from_millis(20);
        // the port first, so that the delay counts from when it opens
        if std::net::TcpStream::connect(options.c2s).is_err() {
            continue;
        }
        if !options.reconnect_delay.is_zero()
            && let Ok(None) = tokio::time::timeout(options.reconnect_delay, inbox.recv()).await
        {
            return;
        }
        let Ok(links) = Links::open(&options) else { continue };
        let mut brain = Brain::new(options.clone(), Arc::clone(&notes), auth);
        brain.note("", Seen::Connected);
        brain.notes().connected = true;
        let ended = drive(&mut brain, links, &mut inbox).await;
        brain.disconnected();
        auth = brain.auth;
        if ended {
            return;
        }
    }
}

struct Links {
    component: (tokio::net::TcpStream, Reader),
    client: (tokio::net::TcpStream, Reader),
    jid: String,
}

impl Links {
    fn open(options: &Options) -> Result<Links, String> {
        let mut component = Wire::connect(options.component)?;
        let header = component.open(FOCUS, "jabber:component:accept")?;
        let digest = Sha1::hash(format!("{}{FOCUS_SECRET}", header.attr("id")).as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        component.send(&format!("<handshake>{hex}</handshake>"))?;
        let answer = component.element()?;
        if answer.name != "handshake" {
            return Err(format!("the component was refused: {answer:?}"));
        }
        let mut client = Wire::connect(options.c2s)?;
        let jid = client.plain("focus", AUTH, FOCUS_SECRET, "focus")?;
        let asynchronous = |wire: Wire| {
            let (tcp, reader) = wire.into_socket();
            tcp.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(tcp)).map(|tcp| (tcp, reader))
        };
        let component = asynchronous(component).map_err(|error| error.to_string())?;
        let client = asynchronous(client).map_err(|error| error.to_string())?;
        Ok(Links { component, client, jid })
    }
}

/// Reads and writes until a connection ends (`false`) or the handle is dropped (`true`).
async fn drive(brain: &mut Brain, links: Links, inbox: &mut mpsc::UnboundedReceiver<Command>) -> bool {
    let (mut component, mut component_reader) = links.component;
    let (mut client, mut client_reader) = links.client;
    brain.own_jid = links.jid;
    let mut from_component = vec![0; 64 * 1024];
    let mut from_client = vec![0; 64 * 1024];
    let mut items: Vec<Item> = Vec::new();
    loop {
        let due = brain.timers.peek().map(|timer| timer.at);
        let sleep = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Crash) => brain.crash(),
                None => {
                    // the component first, and seen to be gone: who hears that the occupant vanished and asks at once
                    // must not be answered by silence
                    let _ = component.shutdown().await;
                    let gone = async { while let Ok(1..) = component.read(&mut from_component).await {} };
                    let _ = tokio::time::timeout(Duration::from_secs(1), gone).await;
                    return true;
                }
            },
            read = component.read(&mut from_component) => {
                let Ok(length @ 1..) = read else { return false };
                if component_reader.push(&from_component[..length], &mut items).is_err() { return false }
                for item in items.drain(..) {
                    let Item::Element(node) = item else { return false };
                    brain.on_component(&node);
                }
            }
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return false };
                if client_reader.push(&from_client[..length], &mut items).is_err() { return false }
                for item in items.drain(..) {
                    let Item::Element(node) = item else { return false };
                    brain.on_client(&node);
                }
            }
            () = sleep => brain.on_time(),
        }
        if brain.crashed.is_some_and(|at| at.elapsed() >= OCCUPANTS_STAY) && !brain.vanished {
            brain.vanished = true;
            let _ = client.shutdown().await;
        }
        let (to_component, to_client) = (std::mem::take(&mut brain.to_component), std::mem::take(&mut brain.to_client));
        if component.write_all(to_component.as_bytes()).await.is_err()
            || (!brain.vanished && client.write_all(to_client.as_bytes()).await.is_err())
        {
            return false;
        }
    }
}

/// How long the server keeps the occupants of a crashed focus (§2.7, hibernation on the auth domain).
const OCCUPANTS_STAY: Duration = Duration::from_secs(15);

/// Auth sessions; they outlive a lost connection, not the process.
#[derive(Default)]
struct Auth {
    sessions: HashMap<String, Session>,
    /// Which session a full JID has last authenticated with.
    by_jid: HashMap<String, String>,
    made: u64,
}

struct Session {
    machine_uid: String,
    identity: String,
    user_jid: String,
}

#[derive(Default)]
struct Conference {
    joined: bool,
    /// Who asked first, and the id of the request, while the room is being made.
    asker: Option<(String, String)>,
    /// When the start timeout fires; `None` once a member has answered.
    start_due: Option<Instant>,
    started: bool,
    members: BTreeMap<String, Member>,
}

#[derive(Default)]
struct Member {
    jid: String,
    affiliation: String,
    role: String,
    caps: Option<String>,
    /// Owner was granted and the room has not yet said so. Each request authenticates its sender anew, and granting
    /// anew each time would make the room say so to everybody once for every request under way.
    granting: bool,
    /// Its features are known or assumed.
    known: bool,
    /// It is in Jicofo's `participants`.
    participant: bool,
    /// The session that it was invited to.
    sid: String,
}

#[derive(PartialEq, Eq)]
struct Timer {
    at: Instant,
    what: Due,
}

#[derive(PartialEq, Eq)]
enum Due {
    Start(String),
    Iq(String),
    Bounce { to: String, id: String },
    Vanish,
    Single(String),
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at) // the heap's greatest is the earliest
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

enum Question {
    Disco { room: String, nick: String },
    Invite { room: String, nick: String },
    Grant { room: String, jid: String },
    Other,
}

struct Brain {
    options: Options,
    notes: Arc<Mutex<Notes>>,
    own_jid: String,
    auth: Auth,
    conferences: HashMap<String, Conference>,
    /// In which rooms a full JID is.
    present: HashMap<String, HashSet<String>>,
    /// Rooms that we left, why, and whose last word has not come.
    leaving: HashMap<String, VecDeque<Why>>,
    questions: HashMap<String, Question>,
    timers: BinaryHeap<Timer>,
    to_component: String,
    to_client: String,
    ids: u64,
    crashed: Option<Instant>,
    vanished: bool,
}

impl Brain {
    fn new(options: Options, notes: Arc<Mutex<Notes>>, auth: Auth) -> Brain {
        Brain {
            options,
            notes,
            own_jid: String::new(),
            auth,
            conferences: HashMap::new(),
            present: HashMap::new(),
            leaving: HashMap::new(),
            questions: HashMap::new(),
            timers: BinaryHeap::new(),
            to_component: String::new(),
            to_client: String::new(),
            ids: 0,
            crashed: None,
            vanished: false,
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic")
    }

    fn note(&self, room: &str, what: Seen) {
        if self.options.verbose {
            println!("focus: {room} {what:?}");
        }
        self.notes().log.push(Observation { at: Instant::now(), room: room.to_owned(), what });
    }

    /// Copies what is seen of a room to where tests look.
    fn show(&self, room: &str) {
        let mut notes = self.notes();
        let Some(conference) = self.conferences.get(room).filter(|conference| conference.joined) else {
            notes.rooms.remove(room);
            return;
        };
        let seen = notes.rooms.entry(room.to_owned()).or_default();
        seen.members.retain(|nick, _| conference.members.contains_key(nick));
        for (nick, member) in &conference.members {
            let before = seen.members.get(nick).filter(|before| before.jid == member.jid);
            let holds = member.role == "moderator" && member.known;
            let holds_since = holds.then(|| before.and_then(|before| before.holds_since).unwrap_or_else(Instant::now));
            let now = MemberSeen {
                jid: member.jid.clone(),
                role: member.role.clone(),
                affiliation: member.affiliation.clone(),
                answered: member.known,
                holds_since,
            };
            seen.members.insert(nick.clone(), now);
        }
    }

    fn disconnected(&mut self) {
        self.note("", Seen::Disconnected);
        let mut notes = self.notes();
        notes.connected = false;
        notes.rooms.clear();
    }

    fn crash(&mut self) {
        let now = Instant::now();
        self.crashed = Some(now);
        self.timers.push(Timer { at: now + OCCUPANTS_STAY, what: Due::Vanish });
        self.notes().connected = false;
    }

    // --- conference requests -----------------------------------------------------------------------------------

    fn on_component(&mut self, node: &Node) {
        if node.name != "iq" || !matches!(node.attr("type"), "get" | "set") {
            return;
        }
        let (from, id) = (node.attr("from").to_owned(), node.attr("id").to_owned());
        if self.crashed.is_some() {
            let at = Instant::now() + self.options.crash_silence;
            self.timers.push(Timer { at, what: Due::Bounce { to: from, id } });
            return;
        }
        match node.child_ns("conference", "http://jitsi.org/protocol/focus") {
            Some(request) if node.attr("type") == "set" => self.on_request(&from, &id, request),
            _ if node.child("logout").is_some() => {
                let session = node.child("logout").map(|logout| logout.attr("session-id").to_owned());
                if let Some(gone) = session.and_then(|id| self.auth.sessions.remove(&id)) {
                    self.auth.by_jid.remove(&gone.user_jid);
                }
                self.answer(&from, &id, "result", "");
            }
            _ => self.refuse("", &from, &id, "feature-not-implemented", "", ""),
        }
    }

    fn on_request(&mut self, from: &str, id: &str, request: &Node) {
        let room = request.attr("room").to_lowercase();
        let (machine_uid, session_id) = (request.attr("machine-uid"), request.attr("session-id"));
        self.note(&room, Seen::Requested { from: from.to_owned(), with_session: !session_id.is_empty() });
        if room.is_empty() {
            return self.refuse(&room, from, id, "bad-request", "No 'room' specified.", "");
        }
        let session = match self.authenticate(from, machine_uid, session_id) {
            Ok(session) => session,
            Err((text, child)) => return self.refuse(&room, from, id, "not-acceptable", text, child),
        };
        if self.options.auth && session.is_none() && !self.conferences.contains_key(&room) {
            return self.refuse(&room, from, id, "not-authorized", "not authorized user domain", "");
        }
        if domain(&room) != self.options.muc || !room.contains('@') {
            return self.note(&room, Seen::Silent { from: from.to_owned() });
        }
        match self.conferences.get_mut(&room) {
            Some(conference) if conference.joined => {
                if conference.start_due.is_some() {
                    self.arm_start(&room);
                }
                self.ready(&room, from, id, true);
            }
            Some(_) => self.ready(&room, from, id, false),
            None => {
                let asker = Some((from.to_owned(), id.to_owned()));
                self.conferences.insert(room.clone(), Conference { asker, ..Conference::default() });
                let _ = write!(
                    self.to_client,
                    "<presence to='{}/focus'><x xmlns='http://jabber.org/protocol/muc'/>\
                     <nick xmlns='http://jabber.org/protocol/nick'>focus</nick></presence>",
                    escape(&room)
                );
            }
        }
        // last, as its listeners look at the rooms that there are
        if session.is_some() {
            self.recognise(from);
        }
    }

    /// §4.1, in its order. Returns the session's id, if there is one, or text and child of `not-acceptable`.
    fn authenticate(
        &mut self,
        from: &str,
        machine_uid: &str,
        session_id: &str,
    ) -> Result<Option<String>, (&'static str, &'static str)> {
        if !self.options.auth {
            return Ok(None);
        }
        let id = if !session_id.is_empty() {
            let Some(session) = self.auth.sessions.get(session_id) else {
                return Err(("session invalid", "<session-invalid xmlns='http://jitsi.org/protocol/focus'/>"));
            };
            if session.machine_uid != machine_uid {
                return Err(("machine UID mismatch or empty", ""));
            }
            session_id.to_owned()
        } else if domain(from) == self.options.login_domain {
            if machine_uid.is_empty() {
                return Err(("Missing mandatory attribute 'machine-uid'", ""));
            }
            self.auth.made += 1;
            let id = format!("auth-{}-{:08x}", self.auth.made, from.len() as u64 * 2_654_435_761 % 0xffff_ffff);
            let session = Session {
                machine_uid: machine_uid.to_owned(),
                identity: bare(from).to_owned(),
                user_jid: String::new(),
            };
            self.auth.sessions.insert(id.clone(), session);
            self.notes().auth_sessions = self.auth.sessions.len();
            id
        } else {
            return Ok(None);
        };
        let session = self.auth.sessions.get_mut(&id).expect("found or made above");
        // one session authenticates one full JID: the last
        let before = std::mem::replace(&mut session.user_jid, from.to_owned());
        if before != from && self.auth.by_jid.get(&before) == Some(&id) {
            self.auth.by_jid.remove(&before);
        }
        self.auth.by_jid.insert(from.to_owned(), id.clone());
        Ok(Some(id))
    }

    fn ready(&mut self, room: &str, to: &str, id: &str, ready: bool) {
        self.note(room, Seen::Ready { to: to.to_owned(), ready });
        let session = self.auth.by_jid.get(to).and_then(|id| self.auth.sessions.get(id).map(|session| (id, session)));
        let session = session
            .map(|(id, session)| format!(" session-id='{id}' identity='{}'", escape(&session.identity)))
            .unwrap_or_default();
        let payload = format!(
            "<conference xmlns='http://jitsi.org/protocol/focus' room='{}' ready='{ready}' \
             focusjid='focus@{AUTH}'{session}><property name='authentication' value='{}'/>\
             <property name='externalAuth' value='false'/><property name='visitors-supported' value='false'/>\
             </conference>",
            escape(room),
            self.options.auth
        );
        self.answer(to, id, "result", &payload);
    }

    fn refuse(&mut self, room: &str, to: &str, id: &str, condition: &'static str, text: &str, child: &str) {
        self.note(room, Seen::Refused { from: to.to_owned(), condition });
        let text = match text {
            "" => String::new(),
            text => format!("<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{}</text>", escape(text)),
        };
        let payload = format!(
            "<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{text}{child}</error>"
        );
        self.answer(to, id, "error", &payload);
    }

    fn answer(&mut self, to: &str, id: &str, kind: &str, payload: &str) {
        let _ = write!(
            self.to_component,
            "<iq from='{FOCUS}' to='{}' id='{}' type='{kind}'>{payload}</iq>",
            escape(to),
            escape(id)
        );
    }

    fn arm_start(&mut self, room: &str) {
        let at = Instant::now() + self.options.start_timeout;
        if let Some(conference) = self.conferences.get_mut(room) {
            conference.start_due = Some(at);
        }
        self.timers.push(Timer { at, what: Due::Start(room.to_owned()) });
    }

    // --- rooms -------------------------------------------------------------------------------------------------

    fn on_client(&mut self, node: &Node) {
        if self.crashed.is_some() {
            return;
        }
        let from = node.attr("from");
        let (room, nick) = (bare(from).to_owned(), resource(from).to_owned());
        match node.name.as_str() {
            "presence" => self.on_presence(&room, &nick, node),
            "iq" if matches!(node.attr("type"), "result" | "error") => {
                if let Some(question) = self.questions.remove(node.attr("id")) {
                    self.on_answer(question, Some(node));
                }
            }
            "iq" => self.on_iq(&room, &nick, node),
            _ => (),
        }
    }

    fn on_presence(&mut self, room: &str, nick: &str, node: &Node) {
        let muc = node.muc().unwrap_or_default();
        let gone = node.attr("type") == "unavailable";
        let own = nick == "focus";
        if let Some(left) = self.leaving.get_mut(room) {
            // of an earlier life of the room
            if own && gone {
                let why = left.pop_front();
                if left.is_empty() {
                    self.leaving.remove(room);
                }
                self.note(room, Seen::Left(why.unwrap_or(Why::Removed)));
            }
            return;
        }
        if !self.conferences.contains_key(room) {
            return;
        }
        if own && (gone || node.attr("type") == "error") {
            if let Some(Conference { asker: Some((from, _)), .. }) = self.conferences.get(room) {
                self.note(room, Seen::Silent { from: from.clone() });
            }
            self.forget(room);
            self.note(room, Seen::Left(if muc.destroyed { Why::Destroyed } else { Why::Removed }));
        } else if own {
            self.on_entered(room);
        } else if gone {
            self.on_left(room, nick, muc.status);
        } else if node.attr("type").is_empty() {
            let caps = node.child_ns("c", "http://jabber.org/protocol/caps");
            let caps = caps.map(|caps| format!("{}#{}", caps.attr("node"), caps.attr("ver")));
            self.on_member(room, nick, muc, caps);
        }
    }

    fn on_entered(&mut self, room: &str) {
        let Some(conference) = self.conferences.get_mut(room).filter(|conference| !conference.joined) else { return };
        conference.joined = true;
        let asker = conference.asker.take();
        let nicks: Vec<String> = conference.members.keys().cloned().collect();
        self.note(room, Seen::Entered);
        self.arm_start(room);
        if let Some((from, id)) = asker {
            self.ready(room, &from, &id, true);
        }
        for nick in nicks {
            self.welcome(room, &nick);
        }
        self.show(room);
    }

    fn on_member(&mut self, room: &str, nick: &str, muc: super::xml::Muc, caps: Option<String>) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let joined = conference.joined;
        let new = conference.members.get(nick).is_none_or(|member| member.jid != muc.jid);
        let member = conference.members.entry(nick.to_owned()).or_default();
        if new {
            *member = Member { caps, ..Member::default() };
        }
        let promoted = muc.role == "moderator" && member.role != "moderator";
        (member.jid, member.role, member.affiliation) = (muc.jid.clone(), muc.role, muc.affiliation);
        if new {
            self.present.entry(muc.jid.clone()).or_default().insert(room.to_owned());
            self.note(room, Seen::Joined { nick: nick.to_owned(), jid: muc.jid.clone() });
            if joined {
                self.welcome(room, nick);
            }
        }
        if promoted {
            self.note(room, Seen::Moderator { nick: nick.to_owned(), jid: muc.jid });
        }
        self.show(room);
    }

    /// What is done for a new member: grant, then disco#info, whose answer leads to the invitation.
    fn welcome(&mut self, room: &str, nick: &str) {
        let Some(conference) = self.conferences.get(room) else { return };
        let Some(member) = conference.members.get(nick) else { return };
        let node = member.caps.as_ref().map(|caps| format!(" node='{}'", escape(caps))).unwrap_or_default();
        let jid = member.jid.clone();
        let owners = conference.members.values().any(|member| member.affiliation == "owner");
        if member.affiliation != "owner"
            && (self.auth.by_jid.contains_key(&jid) && self.options.auth || !self.options.auth && !owners)
        {
            self.grant(room, &jid);
        }
        let payload = format!("<query xmlns='http://jabber.org/protocol/disco#info'{node}/>");
        let question = Question::Disco { room: room.to_owned(), nick: nick.to_owned() };
        self.ask(&format!("{room}/{nick}"), "get", &payload, question);
    }

    /// §4.3 (a): a JID was authenticated; wherever it is already inside, it becomes owner.
    fn recognise(&mut self, jid: &str) {
        let rooms: Vec<String> = self.present.get(jid).into_iter().flatten().cloned().collect();
        for room in rooms {
            let owner = self.conferences.get(&room).is_none_or(|conference| {
                !conference.joined
                    || conference.members.values().any(|member| member.jid == jid && member.affiliation == "owner")
            });
            if !owner {
                self.grant(&room, jid);
            }
        }
    }

    fn grant(&mut self, room: &str, jid: &str) {
        let jid = bare(jid).to_owned();
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut pending = false;
        for member in conference.members.values_mut().filter(|member| bare(&member.jid) == jid) {
            pending |= std::mem::replace(&mut member.granting, true);
        }
        if pending {
            return;
        }
        self.note(room, Seen::Granted { jid: jid.clone() });
        let payload = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner' jid='{}'/></query>",
            escape(&jid)
        );
        self.ask(room, "set", &payload, Question::Grant { room: room.to_owned(), jid });
    }

    fn ask(&mut self, to: &str, kind: &str, payload: &str, question: Question) {
        self.ids += 1;
        let id = format!("f{}", self.ids);
        let _ = write!(self.to_client, "<iq to='{}' id='{id}' type='{kind}'>{payload}</iq>", escape(to));
        self.timers.push(Timer { at: Instant::now() + self.options.reply_timeout, what: Due::Iq(id.clone()) });
        self.questions.insert(id, question);
    }

    /// `None`: the answer did not come in time.
    fn on_answer(&mut self, question: Question, answer: Option<&Node>) {
        let error = answer.is_some_and(|answer| answer.attr("type") == "error");
        match question {
            Question::Disco { room, nick } => {
                let query = answer.and_then(|answer| answer.child("query"));
                let features = query.into_iter().flat_map(|query| &query.children);
                let features = features.filter(|child| child.name == "feature");
                let features = features.map(|feature| feature.attr("var").to_owned()).collect();
                let Some(conference) = self.conferences.get_mut(&room) else { return };
                let Some(member) = conference.members.get_mut(&nick) else { return };
                member.known = true;
                // the thread that waited for the features is what cancels the start timeout (§13.3)
                conference.start_due = None;
                conference.started = true;
                self.note(
                    &room,
                    match answer {
                        Some(_) => Seen::Disco { nick: nick.clone(), error, features },
                        None => Seen::NoDisco { nick: nick.clone() },
                    },
                );
                self.invite(&room, &nick);
                self.show(&room);
            }
            Question::Invite { room, nick } => {
                let how = match answer {
                    Some(answer) if error => answer.condition().to_owned(),
                    Some(_) => "result".to_owned(),
                    None => return self.note(&room, Seen::NoAnswer { nick }),
                };
                if error && let Some(conference) = self.conferences.get_mut(&room) {
                    // §5.4: no participant any more, and no retry
                    if let Some(member) = conference.members.get_mut(&nick) {
                        member.participant = false;
                    }
                }
                self.note(&room, Seen::Answered { nick, how });
            }
            Question::Grant { room, jid } => {
                let members = self.conferences.get_mut(&room).into_iter().flat_map(|found| found.members.values_mut());
                for member in members.filter(|member| bare(&member.jid) == jid) {
                    member.granting = false;
                }
                if error && self.options.verbose {
                    println!("focus: {room}: owner for {jid} refused");
                }
            }
            Question::Other => (),
        }
    }

    /// §5.3: at two members everybody is invited, later each newcomer.
    fn invite(&mut self, room: &str, newcomer: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.members.len() < 2 {
            return;
        }
        let none = !conference.members.values().any(|member| member.participant);
        let invited: Vec<String> = conference
            .members
            .iter_mut()
            .filter(|(nick, member)| member.known && !member.participant && (none || *nick == newcomer))
            .map(|(nick, member)| {
                member.participant = true;
                nick.clone()
            })
            .collect();
        for nick in invited {
            let sid = format!("sid{}", self.ids);
            let jingle = format!(
                "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' initiator='{}' sid='{sid}'>\
                 <bridge-session xmlns='http://jitsi.org/protocol/focus' id='{sid}'/></jingle>",
                escape(&format!("{room}/focus"))
            );
            if let Some(member) = self.conferences.get_mut(room).and_then(|found| found.members.get_mut(&nick)) {
                member.sid = sid;
            }
            self.note(room, Seen::Invited { nick: nick.clone() });
            let question = Question::Invite { room: room.to_owned(), nick: nick.clone() };
            self.ask(&format!("{room}/{nick}"), "set", &jingle, question);
        }
    }

    fn on_left(&mut self, room: &str, nick: &str, status: Vec<u16>) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let Some(member) = conference.members.remove(nick) else { return };
        let (empty, joined) = (conference.members.is_empty(), conference.joined);
        let participants = conference.members.values().filter(|member| member.participant).count();
        let owners = conference.members.values().any(|member| member.affiliation == "owner");
        let heir = conference.members.values().next().map(|member| member.jid.clone());
        if let Some(rooms) = self.present.get_mut(&member.jid) {
            rooms.remove(room);
        }
        self.note(room, Seen::Gone { nick: nick.to_owned(), status });
        if empty && joined {
            return self.leave(room, Why::Empty);
        }
        if let (false, false, Some(heir)) = (self.options.auth, owners, heir) {
            self.grant(room, &heir);
        }
        if participants == 1 {
            let at = Instant::now() + Duration::from_secs(20);
            self.timers.push(Timer { at, what: Due::Single(room.to_owned()) });
        }
        self.show(room);
    }

    fn leave(&mut self, room: &str, why: Why) {
        let _ = write!(self.to_client, "<presence type='unavailable' to='{}/focus'/>", escape(room));
        self.leaving.entry(room.to_owned()).or_default().push_back(why);
        self.forget(room);
    }

    fn forget(&mut self, room: &str) {
        let Some(conference) = self.conferences.remove(room) else { return };
        for member in conference.members.values() {
            if let Some(rooms) = self.present.get_mut(&member.jid) {
                rooms.remove(room);
            }
        }
        self.show(room);
    }

    /// A member asks us something.
    fn on_iq(&mut self, room: &str, nick: &str, node: &Node) {
        let (to, id) = (escape(node.attr("from")), escape(node.attr("id")));
        let reply = |kind: &str, payload: &str| format!("<iq to='{to}' id='{id}' type='{kind}'>{payload}</iq>");
        let error = |condition: &str| {
            let ns = "urn:ietf:params:xml:ns:xmpp-stanzas";
            reply("error", &format!("<error type='cancel'><{condition} xmlns='{ns}'/></error>"))
        };
        let conference = self.conferences.get(room);
        let participant =
            |nick: &str| conference.and_then(|found| found.members.get(nick)).is_some_and(|member| member.participant);
        let text = match node.children.first() {
            Some(jingle) if jingle.name == "jingle" => {
                self.note(room, Seen::Jingle { nick: nick.to_owned(), action: jingle.attr("action").to_owned() });
                reply("result", "")
            }
            Some(mute) if mute.name == "mute" => {
                let moderator = conference
                    .and_then(|found| found.members.get(nick))
                    .is_some_and(|member| member.role == "moderator");
                match (moderator, participant(nick) && participant(resource(mute.attr("jid")))) {
                    (false, _) => error("not-allowed"),
                    (true, false) => error("internal-server-error"),
                    (true, true) => {
                        let forward =
                            format!("<mute xmlns='{}' actor='{to}'>{}</mute>", escape(&mute.ns), escape(&mute.text));
                        let target = mute.attr("jid").to_owned();
                        self.ask(&target, "set", &forward, Question::Other);
                        reply("result", "")
                    }
                }
            }
            Some(query) if query.ns == "http://jabber.org/protocol/disco#info" => {
                let node = query.maybe("node").map(|node| format!(" node='{}'", escape(node))).unwrap_or_default();
                reply(
                    "result",
                    &format!(
                        "<query xmlns='http://jabber.org/protocol/disco#info'{node}>\
                         <identity category='component' type='focus' name='test focus'/></query>"
                    ),
                )
            }
            Some(ping) if ping.ns == "urn:xmpp:ping" => reply("result", ""),
            _ => error("service-unavailable"),
        };
        self.to_client.push_str(&text);
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.timers.peek()
            && timer.at <= now
        {
            let Some(Timer { at, what }) = self.timers.pop() else { return };
            match what {
                Due::Bounce { to, id } => self.refuse("", &to, &id, "recipient-unavailable", "", ""),
                Due::Vanish => (),
                _ if self.crashed.is_some() => (),
                Due::Start(room) => {
                    if self.conferences.get(&room).is_some_and(|conference| conference.start_due == Some(at)) {
                        self.leave(&room, Why::StartTimeout);
                    }
                }
                Due::Iq(id) => {
                    if let Some(question) = self.questions.remove(&id) {
                        self.on_answer(question, None);
                    }
                }
                Due::Single(room) => self.expire_single(&room),
            }
        }
    }

    /// §5.7: the last participant's media session ends; the member stays.
    fn expire_single(&mut self, room: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut left = conference.members.iter_mut().filter(|(_, member)| member.participant);
        let (Some((nick, member)), None) = (left.next(), left.next()) else { return };
        member.participant = false;
        let (to, sid) = (format!("{room}/{nick}"), member.sid.clone());
        let jingle = format!(
            "<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='{sid}'><reason><expired/></reason></jingle>"
        );
        self.ask(&to, "set", &jingle, Question::Other);
    }
}
