//! One deployment: which session holds which room, when sessions connect, and whether the focus is there. Pure.
//!
//! That the server cannot be reached, or that the focus is absent, is a state of the service and not of each room: one
//! session finds out when it is over, and then all go at once, paced.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::backoff::{Ladder, jitter};
use crate::cause::{Cause, Word};
use crate::config::RoomKey;
use crate::jitsi::focus::Gate;

mod fetch;
#[cfg(test)]
mod tests;

use fetch::Fetches;

/// First wait between two attempts to reach a server or a focus.
const PROBE_FIRST: Duration = Duration::from_millis(500);
/// Last wait, where the server is on this machine.
const PROBE_LOOPBACK: Duration = Duration::from_secs(5);
/// Last wait, elsewhere.
const PROBE_REMOTE: Duration = Duration::from_secs(15);
/// A refused password or a changed mechanism is not tried more often than this: accounts get locked.
const CREDENTIALS: Duration = Duration::from_secs(300);
/// Somebody took our place, or a policy threw us out: first wait.
const EVICTED: Duration = Duration::from_secs(30);
/// Longest wait of all.
const LAST: Duration = Duration::from_secs(300);
/// How long a stream must have held before a loss counts as the first again.
const STEADY: Duration = Duration::from_secs(60);
/// Between two logins where the server limits them: Jitsi's rate limits let 3 a second pass.
const GENTLE: Duration = Duration::from_millis(500);
/// How long a probe of the focus may take: the request's own time and a little.
const PROBE_PATIENCE: Duration = Duration::from_secs(25);

/// How many logins a host may see at once, over all services on it.
#[derive(Debug)]
pub struct Logins {
    free: usize,
}

impl Logins {
    /// So many at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Logins { free: at_once }
    }

    fn take(&mut self) -> bool {
        let some = self.free > 0;
        self.free -= usize::from(some);
        some
    }

    fn give_back(&mut self) {
        self.free += 1;
    }
}

/// What the shell is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Make this session.
    Start(usize),
    /// Close this session; it has no rooms.
    Stop(usize),
    /// Connect this session and log in.
    Connect(usize),
    /// Tell this session whether it may ask the focus.
    Gate(usize, Gate),
    /// Log the account in for a session-id of this session; [`Service::fetched`] is the answer.
    Fetch(usize),
}

/// Whether the server can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// As far as is known.
    Up,
    /// It cannot; one session tries again.
    Down {
        /// Why.
        cause: Cause,
        /// When the next attempt is due.
        next_at: Instant,
    },
}

/// Whether the focus answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FocusState {
    /// As far as is known.
    Present,
    /// It does not; one session asks again.
    Absent {
        /// Why.
        cause: Cause,
        /// When the next question is due.
        next_at: Instant,
    },
}

/// A deployment.
#[derive(Debug)]
pub struct Service {
    rng: fastrand::Rng,
    probe_last: Duration,
    per_session: usize,
    sessions: BTreeMap<usize, Session>,
    rooms: HashMap<RoomKey, usize>,
    reach: Reach,
    reach_ladder: Ladder,
    focus: FocusState,
    focus_ladder: Ladder,
    /// Which session asks for the others, and since when it has been asked to.
    prober: usize,
    probing: Option<Instant>,
    idle_probers: usize,
    /// Logins go out one after the other, not before this.
    gentle: Option<Instant>,
    /// Whether a login worked since the last one that was refused for its credentials. Until then they go out alone, so
    /// that a wrong password is not tried by a whole pool at once.
    proven: bool,
    /// A session would connect and may not yet: the end of another's login is the next occasion.
    starved: bool,
    /// The logins of the account that fetch session-ids for guests.
    fetches: Fetches,
}

#[derive(Debug, Default)]
struct Session {
    link: Link,
    rooms: usize,
    ladder: Ladder,
    not_before: Option<Instant>,
    /// Kept although it has no rooms: it searches the group chat service.
    scout: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Idle,
    Connecting,
    Online {
        since: Instant,
    },
}

/// What kind of trouble a cause is, by what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The server or the path to it: probe the service.
    Network,
    /// Certificate, domain, URL: a person mends it; probe slowly.
    Setup,
    /// Account and mechanism: hold back.
    Credentials,
    /// This one session was thrown out.
    Evicted,
}

fn class(word: Word) -> Class {
    match word {
        Word::BadCredentials
        | Word::TokenRefused
        | Word::AccountDisabled
        | Word::WeakerMechanism
        | Word::NoCommonMechanism
        | Word::ServerNotAuthentic => Class::Credentials,
        Word::Conflict | Word::PolicyViolation | Word::BindRefused => Class::Evicted,
        word if word.needs_person() => Class::Setup,
        _ => Class::Network,
    }
}

impl Service {
    /// A service without rooms. `loopback`: the server is on this machine.
    #[must_use]
    pub fn new(loopback: bool, per_session: usize, seed: u64) -> Self {
        Service {
            rng: fastrand::Rng::with_seed(seed),
            probe_last: if loopback { PROBE_LOOPBACK } else { PROBE_REMOTE },
            per_session: per_session.max(1),
            sessions: BTreeMap::new(),
            rooms: HashMap::new(),
            reach: Reach::Up,
            reach_ladder: Ladder::default(),
            focus: FocusState::Present,
            focus_ladder: Ladder::default(),
            prober: 0,
            probing: None,
            idle_probers: 0,
            gentle: None,
            starved: false,
            proven: false,
            fetches: Fetches::default(),
        }
    }

    /// Logs sessions in one after the other from now on.
    pub fn be_gentle(&mut self, now: Instant) {
        self.gentle.get_or_insert(now);
    }

    /// Whether the server can be reached.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether the focus answers.
    #[must_use]
    pub fn focus(&self) -> &FocusState {
        &self.focus
    }

    /// How many sessions there are, and how many of them are online.
    #[must_use]
    pub fn sessions(&self) -> (usize, usize) {
        let online = self.sessions.values().filter(|session| matches!(session.link, Link::Online { .. })).count();
        (self.sessions.len(), online)
    }

    /// Whether the session is logged in, as far as is known.
    #[must_use]
    pub fn is_online(&self, session: usize) -> bool {
        self.sessions.get(&session).is_some_and(|session| matches!(session.link, Link::Online { .. }))
    }

    /// What a session that is not logged in waits for: its next attempt (`Some`), or the one that is on its way.
    #[must_use]
    pub fn waits(&self, session: usize) -> Option<Option<Instant>> {
        match self.sessions.get(&session)?.link {
            Link::Online { .. } => None,
            Link::Connecting => Some(None),
            Link::Idle => match &self.reach {
                Reach::Down { next_at, .. } => Some(Some(*next_at)),
                Reach::Up => Some(self.sessions.get(&session)?.not_before),
            },
        }
    }

    /// Which session holds the room.
    #[must_use]
    pub fn session_of(&self, room: &RoomKey) -> Option<usize> {
        self.rooms.get(room).copied()
    }

    /// Gives the room to a session: the one that has it, the first with a free place, or a new one.
    pub fn place(&mut self, room: &RoomKey, out: &mut Vec<Output>) -> usize {
        if let Some(&session) = self.rooms.get(room) {
            return session;
        }
        let free = self.sessions.iter().find(|(_, session)| session.rooms < self.per_session).map(|(&id, _)| id);
        let id = free.unwrap_or_else(|| self.start(out));
        self.rooms.insert(room.clone(), id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.rooms += 1;
        }
        id
    }

    /// Makes sure that there is a session although no room can be placed yet.
    pub fn scout(&mut self, out: &mut Vec<Output>) {
        let id = self.sessions.keys().next().copied().unwrap_or_else(|| self.start(out));
        if let Some(session) = self.sessions.get_mut(&id) {
            session.scout = true;
        }
    }

    /// The search is over.
    pub fn scouted(&mut self) {
        for session in self.sessions.values_mut() {
            session.scout = false;
        }
    }

    fn start(&mut self, out: &mut Vec<Output>) -> usize {
        let id = (0..).find(|id| !self.sessions.contains_key(id)).unwrap_or_default();
        self.sessions.insert(id, Session::default());
        out.push(Output::Start(id));
        id
    }

    /// The room is left; its session closes with its last room.
    pub fn left(&mut self, room: &RoomKey, logins: &mut Logins, out: &mut Vec<Output>) {
        let Some(id) = self.rooms.remove(room) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.rooms -= 1;
        if session.rooms == 0 && !session.scout {
            if session.link == Link::Connecting {
                logins.give_back();
            }
            self.fetches.forget(id, logins);
            self.sessions.remove(&id);
            out.push(Output::Stop(id));
            // With the session that could not connect goes what it knew; nobody is left to find out when it is over.
            if self.sessions.values().all(|session| matches!(session.link, Link::Online { .. })) {
                self.reach = Reach::Up;
                self.reach_ladder.reset();
            }
        }
    }

    /// All sessions are closed; logins on their way are free for others.
    pub fn abandon(&mut self, logins: &mut Logins) {
        for session in std::mem::take(&mut self.sessions).into_values() {
            if session.link == Link::Connecting {
                logins.give_back();
            }
        }
        self.fetches.abandon(logins);
        self.rooms.clear();
    }

    /// The session is logged in.
    pub fn online(&mut self, now: Instant, id: usize, logins: &mut Logins, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.link == Link::Connecting {
            logins.give_back();
        }
        session.link = Link::Online { since: now };
        self.proven = true;
        session.not_before = None;
        if self.reach != Reach::Up {
            self.reach = Reach::Up;
            self.reach_ladder.reset();
        }
        let gate = if self.focus == FocusState::Present { Gate::Open } else { Gate::Closed };
        out.push(Output::Gate(id, gate));
    }

    /// The session could not connect or log in.
    pub fn failed(&mut self, now: Instant, id: usize, cause: &Cause, logins: &mut Logins) {
        let refused = self.refused(now);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.link == Link::Connecting {
            logins.give_back();
        }
        session.link = Link::Idle;
        let class = class(cause.word);
        // What the others on their way come to does not end the hold-back of a refused password.
        let wait = match class {
            Class::Network | Class::Setup | Class::Credentials if refused => return,
            Class::Evicted => {
                session.not_before = Some(now + session.ladder.next(EVICTED, LAST, &mut self.rng));
                // Whoever throws us out can be reached; the others need not wait, and this one must.
                if refused {
                    return;
                }
                self.reach = Reach::Up;
                self.reach_ladder.reset();
                return;
            }
            Class::Network => self.reach_ladder.next(PROBE_FIRST, self.probe_last, &mut self.rng).min(self.probe_last),
            Class::Setup => self.reach_ladder.next(PROBE_LOOPBACK, LAST, &mut self.rng),
            Class::Credentials => {
                self.proven = false;
                jitter(CREDENTIALS, &mut self.rng)
            }
        };
        let next_at = match &self.reach {
            // Others that were on their way fail, too; they do not put the next attempt off.
            Reach::Down { next_at, .. } if *next_at > now && class != Class::Credentials => *next_at,
            _ => now + wait,
        };
        self.reach = Reach::Down { cause: cause.clone(), next_at };
    }

    /// Whether the account was refused and is held back for it.
    fn refused(&self, now: Instant) -> bool {
        let refused = |next_at: Instant, cause: &Cause| next_at > now && class(cause.word) == Class::Credentials;
        matches!(&self.reach, Reach::Down { cause, next_at } if refused(*next_at, cause))
    }

    /// The session's stream is lost.
    pub fn lost(&mut self, now: Instant, id: usize, cause: &Cause) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let steady = matches!(session.link, Link::Online { since } if since + STEADY <= now);
        if steady {
            session.ladder.reset();
        }
        session.link = Link::Idle;
        let wait = match class(cause.word) {
            Class::Evicted => session.ladder.next(EVICTED, LAST, &mut self.rng),
            // The first attempt comes soon, but not all of a pool's at once.
            _ if session.ladder.tries() == 0 => {
                session.ladder.next(PROBE_FIRST, self.probe_last, &mut self.rng).mul_f64(self.rng.f64())
            }
            _ => session.ladder.next(PROBE_FIRST, self.probe_last, &mut self.rng),
        };
        session.not_before = Some(now + wait);
    }

    /// A guest's session wants a session-id.
    pub fn wants_session_id(&mut self, now: Instant, id: usize) {
        if self.sessions.contains_key(&id) {
            self.fetches.want(now, id, &mut self.rng);
        }
    }

    /// The login of [`Output::Fetch`] is over.
    pub fn fetched(
        &mut self,
        now: Instant,
        id: usize,
        outcome: Result<(), &Cause>,
        logins: &mut Logins,
        out: &mut Vec<Output>,
    ) {
        self.fetches.fetched(now, id, outcome, self.probe_last, logins, &mut self.rng);
        if outcome.is_ok() {
            // It was the focus that gave it.
            self.focus_present(out);
        }
    }

    /// The session was put in the place of another, and knows nothing of what that one wanted.
    pub fn replaced(&mut self, id: usize, logins: &mut Logins) {
        self.fetches.forget(id, logins);
    }

    /// The sessions that wait for a session-id.
    pub fn waiting_for_session_id(&self) -> impl Iterator<Item = usize> {
        self.fetches.wanted()
    }

    /// When the account logs in again for a session-id and why not before, where a failed login was the last.
    #[must_use]
    pub fn fetches_again(&self) -> Option<&(Instant, Cause)> {
        self.fetches.held()
    }

    /// A session heard that nobody is behind the focus address.
    pub fn focus_absent(&mut self, now: Instant, id: usize, cause: Cause, out: &mut Vec<Output>) {
        match &mut self.focus {
            FocusState::Present => {
                self.focus_ladder.reset();
                let wait = self.focus_ladder.next(PROBE_FIRST, self.probe_last, &mut self.rng);
                self.focus = FocusState::Absent { cause, next_at: now + wait };
                self.prober = id;
                self.gates(Gate::Closed, out);
            }
            FocusState::Absent { cause: known, next_at } if self.probing.is_some() && self.prober == id => {
                let wait = self.focus_ladder.next(PROBE_FIRST, self.probe_last, &mut self.rng).min(self.probe_last);
                *known = cause;
                *next_at = now + wait;
            }
            // Questions that were on their way before the first answer.
            FocusState::Absent { .. } => return,
        }
        self.probing = None;
        self.idle_probers = 0;
    }

    /// A session heard from the focus.
    pub fn focus_present(&mut self, out: &mut Vec<Output>) {
        if self.focus != FocusState::Present {
            self.focus = FocusState::Present;
            self.probing = None;
            self.gates(Gate::Open, out);
        }
    }

    /// The session that should ask the focus has nothing to ask: another takes its place.
    pub fn nothing_to_ask(&mut self, now: Instant, id: usize, out: &mut Vec<Output>) {
        if self.prober != id || self.probing.is_none() {
            return;
        }
        self.probing = None;
        self.idle_probers += 1;
        if self.idle_probers > self.sessions.len() {
            // Nobody needs the focus; the first who does finds out again.
            self.focus_present(out);
            return;
        }
        self.next_prober();
        if let FocusState::Absent { next_at, .. } = &mut self.focus {
            *next_at = now;
        }
    }

    fn next_prober(&mut self) {
        let online = |session: &Session| matches!(session.link, Link::Online { .. });
        let after = self.sessions.range(self.prober + 1..).find(|(_, session)| online(session));
        let next = after.or_else(|| self.sessions.iter().find(|(_, session)| online(session)));
        self.prober = next.map_or(self.prober, |(&id, _)| id);
    }

    fn gates(&self, gate: Gate, out: &mut Vec<Output>) {
        out.extend(self.sessions.keys().map(|&id| Output::Gate(id, gate)));
    }

    /// When [`Service::poll`] is next due; also whenever a login was given back.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let connect = match &self.reach {
            _ if self.starved => None,
            Reach::Down { next_at, .. } => {
                let probing = self.sessions.values().any(|session| session.link == Link::Connecting);
                let idle = self.sessions.values().any(|session| session.link == Link::Idle);
                if probing || !idle { None } else { Some(*next_at) }
            }
            Reach::Up => self
                .sessions
                .values()
                .filter(|session| session.link == Link::Idle)
                .filter_map(|session| session.not_before.max(self.gentle))
                .min(),
        };
        let focus = match (&self.focus, self.probing) {
            (FocusState::Absent { .. }, Some(since)) => Some(since + PROBE_PATIENCE),
            (FocusState::Absent { next_at, .. }, None) if self.sessions().1 > 0 => Some(*next_at),
            _ => None,
        };
        connect.into_iter().chain(focus).chain(self.fetches.deadline(self.gentle)).min()
    }

    /// Starts what is due.
    pub fn poll(&mut self, now: Instant, logins: &mut Logins, out: &mut Vec<Output>) {
        self.connect(now, logins, out);
        self.fetches.poll(now, logins, &mut self.gentle, out);
        let FocusState::Absent { next_at, .. } = &self.focus else { return };
        match self.probing {
            Some(since) if since + PROBE_PATIENCE > now => {}
            Some(_) => {
                self.probing = None;
                self.next_prober();
            }
            None if *next_at <= now => {
                if !self.is_online(self.prober) {
                    self.next_prober();
                }
                if self.is_online(self.prober) {
                    self.probing = Some(now);
                    out.push(Output::Gate(self.prober, Gate::Probe));
                }
            }
            None => {}
        }
    }

    fn connect(&mut self, now: Instant, logins: &mut Logins, out: &mut Vec<Output>) {
        self.starved = false;
        if let Reach::Down { next_at, .. } = &self.reach {
            let probing = self.sessions.values().any(|session| session.link == Link::Connecting);
            if probing || *next_at > now {
                return;
            }
            // Not the one that was thrown out and must wait, where there is another.
            let idle = self.sessions.iter_mut().filter(|(_, session)| session.link == Link::Idle);
            let idle = idle.min_by_key(|(_, session)| session.not_before);
            if let Some((&id, session)) = idle {
                if logins.take() {
                    session.link = Link::Connecting;
                    out.push(Output::Connect(id));
                } else {
                    self.starved = true;
                }
            }
            return;
        }
        let mut alone = !self.proven && self.sessions.values().any(|session| session.link == Link::Connecting);
        for (&id, session) in &mut self.sessions {
            if session.link == Link::Idle && session.not_before.is_none_or(|at| at <= now) {
                if self.gentle.is_some_and(|at| at > now) {
                    return;
                }
                if alone || !logins.take() {
                    self.starved = true;
                    return;
                }
                alone = !self.proven;
                if let Some(at) = &mut self.gentle {
                    *at = now + GENTLE;
                }
                session.link = Link::Connecting;
                out.push(Output::Connect(id));
            }
        }
    }
}
