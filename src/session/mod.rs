//! One account's presence across streams: it owns its rooms. Pure.
//!
//! It routes stanzas to rooms by the bare JID of `from`, keeps the earliest deadline, paces joins, answers what others
//! ask, keeps the connection alive and carries acknowledgements over a resumption.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::action::{Action, Progress, Request};
use crate::cause::{Cause, Word};
use crate::config::{BlockList, Media, PaceKind, RoomKey, Secret};
use crate::event::{Person, Present, What};
use crate::jitsi::focus::{Focus, Gate, Verdict};
use crate::jitsi::{CONFERENCE_TIMEOUT, citizen};
use crate::policy::bans::Bans;
use crate::policy::{self, Now};
use crate::room::{self, BanWish, Effect, FocusFacts, Room, Rules, Settings, Snapshot, settings};
use crate::stream::{Acks, Bound, Resume};
use crate::xml::{Bad, Element};
use crate::xmpp::caps::Capabilities;
use crate::xmpp::jitsi::components::Components;
use crate::xmpp::jitsi::conference;
use crate::xmpp::jitsi::json_message::Push;
use crate::xmpp::moderate::Listed;
use crate::xmpp::muc::{self, Affiliation, RoomPresence};
use crate::xmpp::stanza::{self, Kind, StanzaError};
use crate::xmpp::{element, jid, ns, ping};

pub use discover::AGAIN as SEARCH_AGAIN;
pub use follow::Told;
use iq::Questions;
pub use moderate::Found;
pub use pace::{Bucket, Pace};

mod discover;
mod follow;
mod guest;
mod incoming;
mod iq;
mod link;
mod moderate;
mod pace;
#[cfg(test)]
mod tests;

/// After so long without a byte in either direction the server is pinged, so that nothing on the path sees more than
/// 25 s of silence.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the server may be silent after that before the link counts as dead: 30 s after its last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an IQ to a room or to the server may stay unanswered.
const IQ_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes a second that answers to strangers may have: less than half of what docker-jitsi-meet takes from a session.
const ANSWERS_RATE: f64 = 4_000.0;
/// Bytes of them that may go at once.
const ANSWERS_BURST: f64 = 65_536.0;
/// How long a lost session's occupants may stay in rooms. Servers keep lost sessions for a minute, few for longer.
const GHOST: Duration = Duration::from_secs(900);
/// Most lost sessions that are remembered.
const GHOSTS: usize = 8;
/// How often it is said that questions are not answered.
const FLOOD_SAID: Duration = Duration::from_secs(60);

/// What a session is told of its service.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The deployment's XMPP domain, that of the account: components are found from here.
    pub domain: Box<str>,
    /// The domain that this session logs in on; for guests another one.
    pub stream_domain: Box<str>,
    /// The group chat service; found by the session when absent.
    pub muc: Option<Box<str>>,
    /// The focus's address; `None` for plain XMPP rooms.
    pub focus: Option<Box<str>>,
    /// Stable for this session's place in the pool.
    pub machine_uid: Secret,
    /// Whether its connection is for one room alone, which then stands in a WebSocket's URL.
    pub one_room: bool,
    /// Whether it runs over a WebSocket, whose URL may name a room.
    pub websocket: bool,
    /// Whether a second connection can be made that is the same occupant: its JID is an account's and not made up anew.
    pub errands: bool,
    /// Whether it is a guest, whose session-id the account fetches in a login of its own.
    pub guest: bool,
    /// The session-id that was kept from before a restart.
    pub session_id: Option<Secret>,
    /// What rooms go by.
    pub rules: Rules,
    /// What to do with media invitations.
    pub media: Media,
    /// How joins are paced.
    pub pace: PaceKind,
    /// Seed of all jitter.
    pub seed: u64,
}

impl Profile {
    /// An account's session on a plain XMPP server, for several rooms, with what holds where a configuration says no
    /// more: the group chat service is found by it.
    #[must_use]
    pub fn plain(domain: &str, machine_uid: &str, seed: u64) -> Self {
        Profile {
            domain: domain.into(),
            stream_domain: domain.into(),
            muc: None,
            focus: None,
            machine_uid: Secret::new(machine_uid),
            one_room: false,
            websocket: false,
            errands: false,
            guest: false,
            session_id: None,
            rules: Rules { self_ping: Duration::from_secs(300), after_kick: Duration::from_secs(120) },
            media: Media::Pending,
            pace: PaceKind::Adaptive,
            seed,
        }
    }
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A stream is ready.
    Online(Bound),
    /// The stream is lost, or could not be had.
    Offline(Cause),
    /// An element came.
    Element(Element),
    /// An element came that could not (wholly) be read.
    Bad(Box<Bad>),
    /// Hold this room, or hold it with other settings.
    Hold(Arc<Settings>),
    /// Leave this room for good.
    Release(RoomKey),
    /// Ask the focus or do not.
    Focus(Gate),
    /// The account's login brought the session-id that was wanted, or it did not, for this cause.
    SessionId(Result<Secret, Cause>),
    /// Do something in a room.
    Act(RoomKey, Request),
    /// What came of steps that a connection of their own had to say.
    Errand(RoomKey, u32, Result<(), Cause>),
    /// Pace joins by fixed rates from now on.
    Limit,
    /// The time of day is this now: said once, and again when the clock was set.
    Clock(Timestamp),
    /// Keep these people out.
    Bans(Arc<Bans>),
    /// Follow these block lists, and no others.
    Follow(Vec<BlockList>),
    /// What rules remembered of a room before a restart.
    Recall(RoomKey, Box<policy::State>),
    /// Who was inside a room by what was told of it before.
    Behind(RoomKey, Box<Present>),
    /// Say who waits in a room's lobby; [`Report::Waiting`] is the answer where somebody does.
    Waiting(RoomKey),
    /// Come into a room although it is closed: a person says so.
    Open(RoomKey),
    /// Go by these settings from now on.
    Adjust(Rules, Media, PaceKind),
    /// Leave all rooms and close.
    Close,
    /// A deadline passed.
    Timeout,
}

/// What goes out.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Elements to send, in order.
    pub send: Vec<Element>,
    /// What the supervisor should know.
    pub reports: Vec<Report>,
    /// The link is dead or useless: drop it for this cause.
    pub disconnect: Option<Cause>,
    /// Everything is said; close the stream.
    pub close: bool,
}

/// What the supervisor should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A room shows something else.
    Room(RoomKey, Snapshot),
    /// A room is left for good.
    Released(RoomKey),
    /// Nobody is behind the focus address.
    FocusAbsent(Cause),
    /// The focus answers.
    FocusPresent,
    /// It was told to ask the focus for the others and has nothing to ask.
    NothingToAsk,
    /// The account must log in for a session-id, by a conference request for this room.
    WantsSessionId {
        /// The room's JID.
        room: Box<str>,
    },
    /// The session-id to keep over a restart is another one, or none any more.
    SessionId(Option<Secret>),
    /// The group chat service was found.
    MucFound(String),
    /// It was not.
    MucNotFound(Cause),
    /// A stanza could not (wholly) be read.
    Bad {
        /// Who sent it.
        from: Option<String>,
        /// What was wrong.
        why: String,
    },
    /// The server began to throttle in silence; joins are paced by fixed rates from now on.
    Throttled,
    /// An action came this far.
    Progress {
        /// In which room.
        room: RoomKey,
        /// Which.
        request: Box<Request>,
        /// How far.
        progress: Progress,
        /// Whether nothing more will come of it.
        over: bool,
    },
    /// An action that was done is taken back by another one.
    Undo {
        /// In which room.
        room: RoomKey,
        /// The key of the one.
        key: Box<str>,
        /// The other.
        action: Box<Action>,
    },
    /// Something is to be known about a locked setting.
    Setting(RoomKey, settings::Output),
    /// Somebody is to be banned, on a rule's word or a moderator's in chat.
    Ban(RoomKey, Box<BanWish>),
    /// A block list says something.
    List(BlockList, Told),
    /// Something happened in a room.
    Happened {
        /// In which.
        room: RoomKey,
        /// In which life of it.
        life: Box<str>,
        /// What.
        what: Box<What>,
    },
    /// Who waits in a room's lobby, whether that was told before or not.
    Waiting(RoomKey, Vec<Person>),
    /// Who has an affiliation in a room, or why the room does not say; answers [`Session::ask_list`].
    Listed(RoomKey, Affiliation, Result<Vec<Listed>, String>),
    /// This is to outlive a restart; [`Input::Recall`] brings it back.
    Remember(RoomKey, Box<policy::State>),
    /// Something has to be said by a connection whose URL names the room; [`Input::Errand`] is the answer.
    Errand(Box<Errand>),
    /// Something odd that was coped with, for the log.
    Odd(String),
}

/// The room of a connection that is for one alone, as Jitsi's components look for it in the URL of its WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRoom {
    /// The room's name without its tenant (`room`).
    pub name: Box<str>,
    /// Whose room it is (`prefix`), where it is a tenant's.
    pub tenant: Option<Box<str>>,
}

impl UrlRoom {
    /// The room with that JID; its name tells whether it is a tenant's (`[tenant]tavern`).
    #[must_use]
    pub fn of(key: &RoomKey, room: &str) -> Option<Self> {
        let tenant = jid::tenant_room(&key.name).map(|(tenant, _)| tenant.into());
        Some(UrlRoom { name: jid::local(room)?.into(), tenant })
    }

    /// The room with that JID, on the group chat service `muc` or on a tenant's part of it.
    #[must_use]
    pub fn of_jid(room: &str, muc: Option<&str>) -> Option<Self> {
        let tenant = muc.and_then(|muc| jid::tenant(muc, jid::domain(room)));
        Some(UrlRoom { name: jid::local(room)?.into(), tenant: tenant.map(Into::into) })
    }
}

/// What a short connection of its own says in a room, as us.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// The room.
    pub key: RoomKey,
    /// The step that it is for.
    pub number: u32,
    /// The room's JID.
    pub room: Box<str>,
    /// Our nick there: sessions of one account share an occupant, so nobody sees anybody come or go.
    pub nick: Box<str>,
    /// The join, the same as ours.
    pub enter: Element,
    /// What is said, in order.
    pub say: Vec<Element>,
}

impl Eq for Errand {}

/// A session.
#[derive(Debug)]
pub struct Session {
    profile: Profile,
    rng: fastrand::Rng,
    capabilities: Capabilities,
    link: Link,
    acks: Acks,
    questions: Questions<About>,
    focus: Option<Focus>,
    pace: Pace,
    /// Boxed: the table is up to half empty.
    rooms: HashMap<u32, Box<Held>>,
    by_jid: HashMap<Box<str>, u32>,
    by_key: HashMap<RoomKey, u32>,
    /// The lobbies that we wait in, or are in as moderator, by their JID.
    lobbies: HashMap<Box<str>, u32>,
    next_room: u32,
    queue: VecDeque<u32>,
    timers: BTreeSet<(Instant, u32)>,
    in_flight: usize,
    /// How many of the elements going out now are sent again.
    resent: usize,
    /// Occupant JIDs of ours to leave with when the lost stream is resumed.
    farewells: Vec<String>,
    /// When to look at the queue again although no answer came.
    pump_at: Option<Instant>,
    /// Our full JID on the last stream.
    last_jid: Option<Box<str>>,
    /// Full JIDs of ours whose sessions the server may still keep, until then: their occupants are nobody.
    ghosts: Vec<(Box<str>, Instant)>,
    /// Why the group chat service is not one, where the server said so.
    muc_trouble: Option<Cause>,
    discovery: discover::Discovery,
    /// The deployment's components; asked for once a stream, and only where a room needs to know.
    components: Option<Components>,
    components_asked: bool,
    /// What services said of our rooms before it was known which of them are components.
    unsorted: Vec<(Box<str>, Push)>,
    /// What answers to strangers may cost.
    answers: Bucket,
    /// When it was last said that they ask too much.
    flooded: Option<Instant>,
    /// A moment on both clocks.
    clock: Now,
    /// Who is to be kept out of rooms.
    bans: Arc<Bans>,
    /// The block lists that this session follows for its service; boxed, since few do.
    follow: Option<Box<follow::Follow>>,
    /// What is being heard is only what was left of a stanza that is over the limits.
    torn: bool,
}

#[derive(Debug)]
struct Held {
    room: Room,
    /// What was last reported.
    shown: Option<Snapshot>,
    timer: Option<Instant>,
    /// Whether it stands in the queue.
    queued: bool,
    in_flight_since: Option<Instant>,
    /// Number in the id of the last join, so that the refusal of an older one is not taken for it.
    join: u32,
}

#[derive(Debug)]
enum Link {
    Offline,
    Online {
        /// Our full JID.
        jid: Box<str>,
        /// When something last came.
        heard: Instant,
        /// When something last went out.
        spoke: Instant,
        /// A ping went out and nothing came since.
        pinged: Option<Instant>,
    },
    /// The stream is lost; rooms may still know us until then.
    Lost {
        jid: Box<str>,
        until: Instant,
    },
}

/// What a question was about.
#[derive(Debug)]
enum About {
    Conference {
        room: u32,
        asked_at: Instant,
        number: u32,
    },
    SelfPing {
        room: u32,
    },
    Form {
        room: u32,
    },
    FormSubmit {
        room: u32,
    },
    Step {
        room: u32,
        number: u32,
        form: bool,
    },
    /// A message for an action: only a refusal comes back (XEP-0045 §7.4 "Sending a Message to All Occupants").
    Message {
        room: u32,
        number: u32,
    },
    LockForm {
        room: u32,
    },
    Info {
        room: u32,
    },
    Affiliations {
        room: u32,
        affiliation: Affiliation,
    },
    Components,
    ServerPing,
    Discovery(discover::Step),
    List {
        list: Box<BlockList>,
        ask: follow::Ask,
    },
}

impl Session {
    /// A session without rooms, offline.
    #[must_use]
    pub fn new(profile: Profile, now: Instant) -> Self {
        let mut rng = fastrand::Rng::with_seed(profile.seed);
        let prefix: String = std::iter::repeat_with(|| rng.alphanumeric()).take(6).collect();
        Session {
            focus: profile.focus.as_deref().map(|address| {
                let mut focus = Focus::new(address, profile.machine_uid.clone(), profile.guest);
                if let Some(id) = profile.session_id.clone().filter(|_| profile.guest) {
                    focus.take_session_id(id);
                }
                focus
            }),
            pace: Pace::new(profile.pace, now),
            rng,
            capabilities: Capabilities::new(),
            link: Link::Offline,
            acks: Acks::default(),
            questions: Questions::new(&format!("{prefix}-")),
            rooms: HashMap::new(),
            by_jid: HashMap::new(),
            by_key: HashMap::new(),
            lobbies: HashMap::new(),
            next_room: 0,
            queue: VecDeque::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            resent: 0,
            farewells: Vec::new(),
            pump_at: None,
            last_jid: None,
            ghosts: Vec::new(),
            muc_trouble: None,
            discovery: discover::Discovery::default(),
            components: None,
            components_asked: false,
            unsorted: Vec::new(),
            answers: Bucket::new(ANSWERS_RATE, ANSWERS_BURST, now),
            flooded: None,
            clock: Now { at: now, clock: Timestamp::UNIX_EPOCH },
            bans: Arc::default(),
            follow: None,
            torn: false,
            profile,
        }
    }

    /// What to resume when connecting again, if the server may still know us.
    #[must_use]
    pub fn resumable(&self, now: Instant) -> Option<Resume> {
        match &self.link {
            Link::Lost { until, .. } if *until > now => self.acks.resume_request(),
            _ => None,
        }
    }

    /// Our full JID while online.
    #[must_use]
    pub fn jid(&self) -> Option<&str> {
        match &self.link {
            Link::Online { jid, .. } => Some(jid),
            _ => None,
        }
    }

    /// The room that stands in the URL of its WebSocket: Jitsi's components act only on that one.
    #[must_use]
    pub fn url_room(&self) -> Option<UrlRoom> {
        let room = self.rooms().next().filter(|_| self.profile.one_room)?;
        UrlRoom::of(&room.settings().key, &room.settings().jid)
    }

    /// How many rooms it has, left ones included until the room confirmed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether it has no rooms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many rooms are on their way: asked for or joined, and not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A room of ours.
    #[must_use]
    pub fn room(&self, key: &RoomKey) -> Option<&Room> {
        self.by_key.get(key).and_then(|id| self.rooms.get(id)).map(|held| &held.room)
    }

    /// All rooms of ours.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values().map(|held| &held.room)
    }

    /// How many people are in each room: neither ourselves, nor what a lost session of ours left behind, nor the focus.
    #[must_use]
    pub fn people(&self) -> Vec<(RoomKey, usize)> {
        let facts = self.focus_facts();
        let count = |room: &Room| {
            let ghosts = room.inside().map_or(0, |(own, occupants)| {
                occupants.iter().filter(|(nick, one)| *nick != own && self.is_ghost(one)).count()
            });
            (room.settings().key.clone(), room.people(&facts).saturating_sub(ghosts))
        };
        self.rooms().map(count).collect()
    }

    /// Whether the occupant is a session of ours that was lost: the server shows it until it gives it up.
    #[must_use]
    pub fn is_ghost(&self, occupant: &room::Occupant) -> bool {
        let real = occupant.real_jid.as_deref();
        real.is_some_and(|real| self.ghosts.iter().any(|(ghost, _)| **ghost == *real))
    }

    /// What is known of the focus.
    #[must_use]
    pub fn focus_facts(&self) -> FocusFacts {
        self.focus.as_ref().map(|focus| focus.facts().clone()).unwrap_or_default()
    }

    /// When [`Input::Timeout`] is next due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let keepalive = match &self.link {
            Link::Online { pinged: Some(at), .. } => Some(*at + PATIENCE),
            Link::Online { heard, spoke, .. } => Some((*heard).min(*spoke) + SILENCE),
            Link::Lost { until, .. } => Some(*until),
            Link::Offline => None,
        };
        let online = matches!(self.link, Link::Online { .. });
        [
            keepalive,
            self.timers.first().map(|(at, _)| *at),
            self.questions.deadline(),
            self.pump_at,
            if online { self.discovery.again_at } else { None },
            if online { self.follow.as_ref().and_then(|follow| follow.deadline()) } else { None },
            if online { self.acks.request_at() } else { None },
            if online { self.acks.give_up_at() } else { None },
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Advances the session by one input. `joins` is the service's cap on joins a second, shared by its sessions.
    pub fn handle(&mut self, now: Instant, input: Input, joins: &mut Bucket, out: &mut Outbox) {
        let sent_before = out.send.len();
        match input {
            Input::Online(bound) => self.online(now, bound, out),
            Input::Offline(cause) => self.offline(now, &cause, out),
            Input::Element(element) => self.element(now, &element, out),
            Input::Bad(bad) => self.bad(now, &bad, out),
            Input::Hold(settings) => self.hold(now, settings, out),
            Input::Release(key) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.room_input(now, id, room::Input::Release, out);
                }
            }
            Input::Focus(gate) => {
                if let Some(focus) = &mut self.focus {
                    focus.set_gate(gate);
                }
                let rooms = &self.rooms;
                let asks = |id: &u32| rooms.get(id).is_some_and(|held| held.room.wants_place());
                let may_ask = self.focus.as_ref().is_some_and(Focus::may_ask);
                if gate == Gate::Probe && !(may_ask && self.queue.iter().any(asks)) {
                    out.reports.push(Report::NothingToAsk);
                }
            }
            Input::SessionId(result) => self.session_id(now, result, out),
            Input::Act(key, request) => self.act(now, &key, request, out),
            Input::Errand(key, number, result) => self.errand_done(now, &key, number, result, out),
            Input::Limit => self.pace.limit(),
            Input::Clock(clock) => self.clock = Now { at: now, clock },
            Input::Bans(bans) => {
                self.bans = bans;
                for id in self.ids() {
                    self.room_input(now, id, room::Input::Bans, out);
                }
            }
            Input::Follow(lists) => self.follow(now, &lists, out),
            Input::Recall(key, state) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.room_input(now, id, room::Input::Recall(state), out);
                }
            }
            Input::Behind(key, present) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.room_input(now, id, room::Input::Behind(&present), out);
                }
            }
            Input::Waiting(key) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.room_input(now, id, room::Input::Waiting, out);
                }
            }
            Input::Open(key) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.room_input(now, id, room::Input::Open, out);
                }
            }
            Input::Adjust(rules, media, pace) => {
                self.profile.rules = rules;
                self.profile.media = media;
                if self.pace.kind() != pace {
                    self.pace = Pace::new(pace, now);
                }
            }
            Input::Close => self.close(now, out),
            Input::Timeout => self.timeout(now, out),
        }
        self.pump(now, joins, out);
        self.account(now, sent_before, out);
    }

    /// Counts what goes out for XEP-0198 and asks for an acknowledgement where one is due.
    fn account(&mut self, now: Instant, from: usize, out: &mut Outbox) {
        let Link::Online { spoke, .. } = &mut self.link else {
            out.send.truncate(from);
            return;
        };
        // What a resumption sends again is counted already.
        for element in &out.send[from + std::mem::take(&mut self.resent)..] {
            if stanza::kind(element).is_some() {
                self.acks.sent(now, element);
            }
        }
        if self.acks.wants_request(now) {
            self.acks.requested(now);
            out.send.push(element("r", ns::SM).into());
        }
        if out.send.len() > from {
            *spoke = now;
        }
    }

    // ── rooms

    fn hold(&mut self, now: Instant, settings: Arc<Settings>, out: &mut Outbox) {
        if let Some(&id) = self.by_key.get(&settings.key) {
            self.room_input(now, id, room::Input::Settings(settings), out);
            return;
        }
        let id = self.next_room;
        self.next_room += 1;
        let mut effects = Vec::new();
        self.by_jid.insert(settings.jid.clone(), id);
        self.by_key.insert(settings.key.clone(), id);
        let room = Room::new(settings, &mut effects);
        let held = Held { room, shown: None, timer: None, queued: false, in_flight_since: None, join: 0 };
        self.rooms.insert(id, Box::new(held));
        self.after_room(now, id, effects, out);
    }

    fn room_input(&mut self, now: Instant, id: u32, input: room::Input<'_>, out: &mut Outbox) {
        let mut effects = Vec::new();
        if self.in_room(now, id, &mut effects, |room, cx| room.handle(input, cx)).is_some() {
            self.after_room(now, id, effects, out);
        }
    }

    /// Lends a room, if it is one of ours, what rooms are lent.
    fn in_room<T>(
        &mut self,
        now: Instant,
        id: u32,
        effects: &mut Vec<room::Effect>,
        look: impl FnOnce(&mut Room, &mut room::Context<'_>) -> T,
    ) -> Option<T> {
        let around = self.around();
        let held = self.rooms.get_mut(&id)?;
        let nothing = FocusFacts::default();
        let mut cx = room::Context {
            now,
            clock: self.clock.clock_at(now),
            bans: &self.bans,
            rng: &mut self.rng,
            rules: &self.profile.rules,
            focus: self.focus.as_ref().map_or(&nothing, Focus::facts),
            around,
            effects,
        };
        Some(look(&mut held.room, &mut cx))
    }

    /// Carries out what a room wants, and keeps its timer, its place and what it shows.
    fn after_room(&mut self, now: Instant, id: u32, effects: Vec<Effect>, out: &mut Outbox) {
        for effect in effects {
            self.carry_out(now, id, effect, out);
        }
        let Some(held) = self.rooms.get_mut(&id) else { return };
        let timer = held.room.deadline();
        if timer != held.timer {
            if let Some(old) = held.timer.take() {
                self.timers.remove(&(old, id));
            }
            if let Some(at) = timer {
                self.timers.insert((at, id));
            }
            held.timer = timer;
        }
        match (held.in_flight_since, held.room.in_flight()) {
            (None, true) => {
                held.in_flight_since = Some(now);
                self.in_flight += 1;
            }
            (Some(_), false) => {
                held.in_flight_since = None;
                self.in_flight -= 1;
            }
            _ => {}
        }
        let nothing = FocusFacts::default();
        let facts = self.focus.as_ref().map_or(&nothing, Focus::facts);
        let snapshot = held.room.snapshot(now, &self.profile.rules, facts);
        if held.shown.as_ref().is_none_or(|shown| differs(shown, &snapshot)) {
            out.reports.push(Report::Room(held.room.settings().key.clone(), snapshot.clone()));
            held.shown = Some(snapshot);
        }
    }

    fn carry_out(&mut self, now: Instant, id: u32, effect: Effect, out: &mut Outbox) {
        let Some(held) = self.rooms.get_mut(&id) else { return };
        let settings = held.room.settings().clone();
        let room = &settings.jid;
        match effect {
            Effect::Enqueue => {
                if !std::mem::replace(&mut held.queued, true) {
                    self.queue.push_back(id);
                }
            }
            Effect::AskFocus => {
                let Some(focus) = &mut self.focus else { return };
                let number = focus.asked();
                let about = About::Conference { room: id, asked_at: now, number };
                let question = self.questions.ask(&focus.address, about, now, CONFERENCE_TIMEOUT);
                let (uid, session) = focus.credentials();
                out.send.push(conference::request(&focus.address, &question, room, uid, session));
            }
            Effect::Join { nick } => {
                held.join += 1;
                let join = held.join;
                let password = held.room.password().cloned();
                out.send.push(self.join(&settings, password.as_ref(), &nick, &join_id(id, join)));
            }
            Effect::Update { nick } => {
                let to = format!("{room}/{nick}");
                out.send.push(muc::update(&to, &settings.display_name, self.capabilities.presence_child()));
            }
            Effect::Leave { nick } => {
                let occupant = format!("{room}/{nick}");
                match self.link {
                    Link::Lost { .. } => self.farewells.push(occupant),
                    _ => out.send.push(muc::leave(&occupant)),
                }
            }
            Effect::Configure => {
                let question = self.questions.ask(room, About::Form { room: id }, now, IQ_TIMEOUT);
                out.send.push(muc::form_request(room, &question));
            }
            Effect::SelfPing { nick } => {
                let to = format!("{room}/{nick}");
                let question = self.questions.ask(&to, About::SelfPing { room: id }, now, room::PING_TIMEOUT);
                out.send.push(ping::request(Some(&to), &question));
            }
            Effect::Knock { lobby, nick } => {
                held.join += 1;
                let to = format!("{lobby}/{nick}");
                let join = muc::Join {
                    to: &to,
                    id: &join_id(id, held.join),
                    password: None,
                    display_name: &settings.display_name,
                    caps: self.capabilities.presence_child(),
                };
                out.send.push(muc::join(join));
                self.lobbies.insert(lobby, id);
            }
            Effect::LeaveLobby { lobby, nick } => {
                self.lobbies.remove(&lobby);
                let occupant = format!("{lobby}/{nick}");
                match self.link {
                    Link::Lost { .. } => self.farewells.push(occupant),
                    _ => out.send.push(muc::leave(&occupant)),
                }
            }
            Effect::LobbyLeft { lobby } => {
                self.lobbies.remove(&lobby);
            }
            Effect::Step { number, step, reason } => self.step(now, id, number, &step, &reason, out),
            Effect::LockForm => {
                let question = self.questions.ask(room, About::LockForm { room: id }, now, IQ_TIMEOUT);
                out.send.push(muc::form_request(room, &question));
            }
            Effect::AskInfo => self.ask_info(now, id, out),
            Effect::Odd(text) => out.reports.push(Report::Odd(text.into())),
            Effect::Progress { request, progress, over } => {
                out.reports.push(Report::Progress { room: settings.key.clone(), request, progress, over });
            }
            Effect::Undo { key, action } => {
                out.reports.push(Report::Undo { room: settings.key.clone(), key, action });
            }
            Effect::Setting(told) => out.reports.push(Report::Setting(settings.key.clone(), told)),
            Effect::Ban(wish) => out.reports.push(Report::Ban(settings.key.clone(), wish)),
            Effect::Happened { life, what } => {
                out.reports.push(Report::Happened { room: settings.key.clone(), life, what });
            }
            Effect::Waiting(people) => out.reports.push(Report::Waiting(settings.key.clone(), people)),
            Effect::Remember(state) => out.reports.push(Report::Remember(settings.key.clone(), state)),
            Effect::Gone => {
                if let Some(held) = self.rooms.remove(&id) {
                    if let Some(at) = held.timer {
                        self.timers.remove(&(at, id));
                    }
                    if held.in_flight_since.is_some() {
                        self.in_flight -= 1;
                    }
                    self.by_jid.remove(room);
                    self.by_key.remove(&settings.key);
                    out.reports.push(Report::Released(settings.key.clone()));
                }
            }
        }
    }

    /// The presence that joins a room.
    fn join(&self, settings: &Settings, password: Option<&Secret>, nick: &str, id: &str) -> Element {
        muc::join(muc::Join {
            to: &format!("{}/{nick}", settings.jid),
            id,
            password: password.map(Secret::expose),
            display_name: &settings.display_name,
            caps: self.capabilities.presence_child(),
        })
    }

    /// Gives places to rooms that wait for one, as far as the pace allows.
    fn pump(&mut self, now: Instant, joins: &mut Bucket, out: &mut Outbox) {
        self.pump_at = None;
        if !matches!(self.link, Link::Online { .. }) || self.discovery.unknown(self.profile.muc.is_some()) {
            return;
        }
        while let Some(&id) = self.queue.front() {
            let wants = self.rooms.get(&id).filter(|held| held.room.wants_place()).map(|held| held.room.wants_join());
            let Some(wants_join) = wants else {
                self.unqueue();
                continue;
            };
            if self.acks.full() || self.focus.as_ref().is_some_and(|focus| !focus.may_ask()) {
                return;
            }
            if wants_join && let Err(at) = joins.has_one(now) {
                self.pump_at = Some(at);
                return;
            }
            if let Err(at) = self.pace.take(now, self.in_flight, wants_join) {
                self.pump_at = at;
                return;
            }
            if wants_join && let Err(at) = joins.take(now) {
                self.pump_at = Some(at);
                return;
            }
            self.unqueue();
            self.room_input(now, id, room::Input::Go, out);
        }
        if self.queue.capacity() > 64 {
            self.queue.shrink_to_fit();
        }
    }

    fn unqueue(&mut self) {
        if let Some(held) = self.queue.pop_front().and_then(|id| self.rooms.get_mut(&id)) {
            held.queued = false;
        }
    }

    /// All rooms in the order they were held, so that one seed always gives one course of things.
    fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.rooms.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

const JOIN_PREFIX: &str = "join-";

fn join_id(room: u32, number: u32) -> String {
    format!("{JOIN_PREFIX}{room}-{number}")
}

/// Whether a person would see a difference. That a self-ping is on its way is none: only when the next one is due.
fn differs(a: &Snapshot, b: &Snapshot) -> bool {
    use room::Next::{AskFocus, Retry, SelfPing};
    let timed = |next| match next {
        Retry(at) => Some((0, at)),
        AskFocus(at) => Some((1, at)),
        SelfPing(at) => Some((2, at)),
        _ => None,
    };
    let on_its_way = matches!(b.next, room::Next::Answer(_));
    a.state != b.state || a.cause != b.cause || !on_its_way && timed(a.next) != timed(b.next)
}
