//! One service while it runs: its machine, its sessions' tasks, and what it needs to connect.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use super::board::Clock;
use super::session::{Abilities, Connectors, Driver, Lists, News, Order, RoomView};
use crate::action::Request;
use crate::cause::Cause;
use crate::config::{self, BlockList, Endpoint, Login, PaceKind, Room, RoomKey, Secret};
use crate::jitsi::login::Wish;
use crate::policy::Plans;
use crate::policy::bans::Bans;
use crate::room::{Rules, Settings};
use crate::service::{FocusState, Logins, Output, Service};
use crate::session::{Bucket, Errand, Found, Input, Profile, Session, UrlRoom};
use crate::store::ServiceState;
use crate::stream::LastLogin;

/// Which session news come from. `instance` tells a session from its predecessor in the same slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The service's name.
    pub service: Arc<str>,
    /// The session's place in the pool.
    pub slot: usize,
    /// Counts sessions.
    pub instance: u64,
}

/// News with their sender.
pub type NewsSender = mpsc::Sender<(Name, News)>;

/// A service that runs.
pub struct Running {
    /// Its configuration.
    pub config: config::Service,
    /// Its machine.
    pub machine: Service,
    /// The group chat domain: configured, or found.
    pub muc: Option<String>,
    /// Why it was not found.
    pub muc_trouble: Option<Cause>,
    /// How it was last logged in, in this run or the one before.
    pub login: Option<LastLogin>,
    /// The same for the account's short logins, where guests hold the rooms.
    pub account_login: Option<LastLogin>,
    /// How it paces; it may have found that it must go slowly.
    pub pace: PaceKind,
    /// The host whose logins are limited.
    pub host: String,
    name: Arc<str>,
    sessions: BTreeMap<usize, Handle>,
    /// The full JIDs of those that are online.
    pub jids: BTreeMap<usize, String>,
    connectors: Connectors,
    joins: Arc<Mutex<Bucket>>,
    /// What sessions want said by connections of their own; the first is on its way.
    errands: VecDeque<(Name, Errand)>,
    errand_task: Option<tokio::task::Id>,
    given: HashMap<RoomKey, Arc<Settings>>,
    /// Rooms that were told to go and are not gone yet.
    leaving: HashSet<RoomKey>,
    /// For which room each session that wants a session-id asked.
    wishes: BTreeMap<usize, Box<str>>,
    /// Logins of the account that are on their way.
    fetches: BTreeMap<usize, AbortHandle>,
    /// The block lists of the service, and the session that follows them.
    lists: Vec<BlockList>,
    follower: Option<(usize, u64)>,
}

struct Handle {
    instance: u64,
    orders: mpsc::UnboundedSender<Order>,
    task: tokio::task::Id,
}

/// What starting sessions needs.
pub struct Ground<'a> {
    /// Where session tasks run.
    pub tasks: &'a mut JoinSet<()>,
    /// Where their news go.
    pub news: &'a NewsSender,
    /// Counts sessions.
    pub instances: &'a mut u64,
    /// Logins on their way, by host.
    pub logins: &'a mut HashMap<String, Logins>,
    /// What the service needs again after a restart; machine-uids are added here.
    pub kept: &'a mut ServiceState,
    /// Whether `kept` changed.
    pub keep: &'a mut bool,
}

/// Most logins that a host sees at once.
const LOGINS_AT_ONCE: usize = 8;

impl Running {
    /// A service without sessions.
    #[must_use]
    pub fn new(config: config::Service, connectors: Connectors, host: (String, bool), kept: &ServiceState) -> Self {
        let (host, loopback) = host;
        let mut machine = Service::new(loopback, config.rooms_per_session, super::random_u64());
        if config.pace == PaceKind::RateLimited {
            machine.be_gentle(Instant::now());
        }
        Running {
            machine,
            muc: config.muc.clone(),
            muc_trouble: None,
            login: kept.last_login.clone(),
            account_login: kept.last_account_login.clone(),
            pace: config.pace,
            host,
            name: config.name.as_str().into(),
            sessions: BTreeMap::new(),
            jids: BTreeMap::new(),
            connectors,
            joins: Arc::new(Mutex::new(Bucket::per_second(config.joins_per_second, Instant::now()))),
            errands: VecDeque::new(),
            errand_task: None,
            given: HashMap::new(),
            leaving: HashSet::new(),
            wishes: BTreeMap::new(),
            fetches: BTreeMap::new(),
            lists: Vec::new(),
            follower: None,
            config,
        }
    }

    /// Whether news with that name come from a session that still counts.
    #[must_use]
    pub fn knows(&self, name: &Name) -> bool {
        self.sessions.get(&name.slot).is_some_and(|handle| handle.instance == name.instance)
    }

    /// The room's JID, once the group chat domain is known.
    #[must_use]
    pub fn jid(&self, key: &RoomKey, room_muc: Option<&str>) -> Option<String> {
        let muc = room_muc.or(self.muc.as_deref())?;
        Some(match room_muc {
            Some(muc) => format!("{}@{muc}", key.name),
            None => crate::xmpp::jid::of_room(&key.name, muc),
        })
    }

    /// Holds a room, or holds it with other settings; the same settings again send nothing.
    pub fn hold(&mut self, room: &Room, plans: Option<Arc<Plans>>, ground: &mut Ground<'_>) {
        if self.leaving.contains(&room.key) {
            return; // held again when it is gone
        }
        let mut out = Vec::new();
        let Some(jid) = self.jid(&room.key, room.muc.as_deref()) else {
            self.machine.scout(&mut out);
            self.carry_out(out, ground);
            return;
        };
        let settings = Arc::new(Settings {
            key: room.key.clone(),
            jid: jid.into(),
            nick: room.nick.clone(),
            display_name: room.display_name.clone(),
            password: room.password.clone(),
            focus: self.config.focus.is_some(),
            moderated: room.moderated.clone(),
            plans,
        });
        if let Some(given) = self.given.get(&room.key) {
            if **given == *settings {
                return;
            }
            if given.jid != settings.jid {
                // Another room under the same name: leave the old one first.
                self.release(&room.key);
                return;
            }
        }
        let slot = self.machine.place(&room.key, &mut out);
        self.carry_out(out, ground);
        self.given.insert(room.key.clone(), settings.clone());
        self.order(slot, Order::Input(Input::Hold(settings)));
    }

    /// Leaves a room; says whether there was one to leave. It is gone when its session reports so.
    pub fn release(&mut self, key: &RoomKey) -> bool {
        self.given.remove(key);
        match self.machine.session_of(key) {
            Some(slot) => {
                if self.leaving.insert(key.clone()) {
                    self.order(slot, Order::Input(Input::Release(key.clone())));
                }
                true
            }
            None => false,
        }
    }

    /// The room is left.
    pub fn left(&mut self, key: &RoomKey, ground: &mut Ground<'_>) {
        self.leaving.remove(key);
        let mut out = Vec::new();
        self.machine.left(key, logins(ground.logins, &self.host), &mut out);
        self.carry_out(out, ground);
    }

    /// The machine's part of news, and what follows.
    pub fn with_machine(
        &mut self,
        ground: &mut Ground<'_>,
        change: impl FnOnce(&mut Service, &mut Logins, &mut Vec<Output>),
    ) {
        let mut out = Vec::new();
        change(&mut self.machine, logins(ground.logins, &self.host), &mut out);
        self.carry_out(out, ground);
    }

    /// Tells all sessions that are not online why.
    pub fn tell_offline(&self, but: usize, cause: &Cause) {
        for (&slot, _) in self.sessions.iter().filter(|(slot, _)| **slot != but) {
            if !self.machine.is_online(slot) {
                self.order(slot, Order::Input(Input::Offline(cause.clone())));
            }
        }
    }

    /// Paces all sessions by fixed rates.
    pub fn limit(&mut self) {
        self.pace = PaceKind::RateLimited;
        self.machine.be_gentle(Instant::now());
        for &slot in self.sessions.keys() {
            self.order(slot, Order::Input(Input::Limit));
        }
    }

    /// Closes all sessions; their rooms are left.
    pub fn close(&mut self, all: &mut HashMap<String, Logins>) {
        self.machine.abandon(logins(all, &self.host));
        for (_, fetch) in std::mem::take(&mut self.fetches) {
            fetch.abort();
        }
        for (_, handle) in std::mem::take(&mut self.sessions) {
            let _ = handle.orders.send(Order::Input(Input::Close));
        }
    }

    /// The slot of a session whose task ended by a panic.
    #[must_use]
    pub fn slot_of_task(&self, task: tokio::task::Id) -> Option<usize> {
        self.sessions.iter().find(|(_, handle)| handle.task == task).map(|(&slot, _)| slot)
    }

    /// The rooms that were given to a session.
    #[must_use]
    pub fn rooms_of(&self, slot: usize) -> Vec<RoomKey> {
        self.given.keys().filter(|key| self.machine.session_of(key) == Some(slot)).cloned().collect()
    }

    /// Puts a new session in the place of one whose task ended by a panic, with the same rooms. Returns the rooms that
    /// it was just leaving.
    pub fn replace(&mut self, slot: usize, cause: &Cause, ground: &mut Ground<'_>) -> Vec<RoomKey> {
        self.forget_fetch(slot);
        self.start(slot, ground);
        let now = Instant::now();
        self.with_machine(ground, |machine, logins, _| {
            machine.replaced(slot, logins);
            if machine.is_online(slot) {
                machine.lost(now, slot, cause)
            } else {
                machine.failed(now, slot, cause, logins)
            }
        });
        for key in self.rooms_of(slot) {
            if let Some(room) = self.given.get(&key).cloned() {
                self.order(slot, Order::Input(Input::Hold(room)));
            }
        }
        self.leaving.iter().filter(|key| self.machine.session_of(key) == Some(slot)).cloned().collect()
    }

    /// A guest's session wants a session-id, for a request for `room`.
    pub fn wants_session_id(&mut self, slot: usize, room: Box<str>) {
        self.wishes.insert(slot, room);
        let now = Instant::now();
        self.machine.wants_session_id(now, slot);
        // What held the last login up holds this one up, too.
        if let Some((until, cause)) = self.machine.fetches_again()
            && *until > now
        {
            self.order(slot, Order::Input(Input::SessionId(Err(cause.clone()))));
        }
    }

    /// The account's login for a session is over; every session that waits for one hears why there is none.
    pub fn fetched(&mut self, slot: usize, outcome: Result<Secret, Cause>, ground: &mut Ground<'_>) {
        self.fetches.remove(&slot);
        let now = Instant::now();
        let result = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        self.with_machine(ground, |machine, logins, out| {
            machine.fetched(now, slot, result.as_ref().copied(), logins, out);
        });
        match outcome {
            Ok(id) => self.order(slot, Order::Input(Input::SessionId(Ok(id)))),
            Err(cause) => {
                // The one that the next login waits for.
                let cause = self.machine.fetches_again().map_or(cause, |(_, held)| held.clone());
                for slot in self.machine.waiting_for_session_id() {
                    self.order(slot, Order::Input(Input::SessionId(Err(cause.clone()))));
                }
            }
        }
    }

    /// Hands an action to the session that holds the room; says whether there is one.
    #[must_use]
    pub fn act(&self, room: &RoomKey, request: Request) -> bool {
        let slot = self.machine.session_of(room).filter(|_| !self.leaving.contains(room));
        slot.inspect(|slot| self.order(*slot, Order::Input(Input::Act(room.clone(), request)))).is_some()
    }

    /// Hands something to the session that holds the room.
    pub fn tell(&self, room: &RoomKey, input: Input) {
        if let Some(slot) = self.machine.session_of(room) {
            self.order(slot, Order::Input(input));
        }
    }

    /// Gives a session the list of bans; it need not be given one that is empty.
    pub fn give_bans(&self, slot: usize, bans: &Arc<Bans>) {
        if !bans.is_empty() {
            self.order(slot, Order::Input(Input::Bans(bans.clone())));
        }
    }

    /// Gives all sessions another list of bans.
    pub fn publish_bans(&self, bans: &Arc<Bans>) {
        for &slot in self.sessions.keys() {
            self.order(slot, Order::Input(Input::Bans(bans.clone())));
        }
    }

    /// Has one session follow these block lists: the one that did while it is online, else the first that is.
    pub fn follow(&mut self, lists: Vec<BlockList>) {
        let instance = |slot: usize| self.sessions.get(&slot).map(|handle| handle.instance);
        let follows = self.follower.filter(|(slot, number)| instance(*slot) == Some(*number));
        let online = follows.filter(|(slot, _)| self.machine.is_online(*slot));
        let first = || {
            let mut slots = self.sessions.iter().filter(|(slot, _)| self.machine.is_online(**slot));
            slots.next().map(|(slot, handle)| (*slot, handle.instance))
        };
        // While none is online, whoever followed goes on when it is back.
        let next = online.or_else(first).or(follows);
        if next == self.follower && lists == self.lists {
            return;
        }
        if let Some((slot, _)) = follows.filter(|_| follows != next) {
            self.order(slot, Order::Input(Input::Follow(Vec::new())));
        }
        if let Some((slot, _)) = next {
            self.order(slot, Order::Input(Input::Follow(lists.clone())));
        }
        (self.follower, self.lists) = (next, lists);
    }

    /// Asks the session of a room who somebody inside is.
    #[must_use]
    pub fn ask_person(&self, room: &RoomKey, name: &str) -> Option<oneshot::Receiver<Found>> {
        let slot = self.machine.session_of(room)?;
        let (reply, answer) = oneshot::channel();
        self.order(slot, Order::Person(room.clone(), name.into(), reply));
        Some(answer)
    }

    /// Asks the session of a room what can be done there.
    #[must_use]
    pub fn ask_abilities(&self, room: &RoomKey) -> Option<oneshot::Receiver<Abilities>> {
        let slot = self.machine.session_of(room)?;
        let (reply, answer) = oneshot::channel();
        self.order(slot, Order::Abilities(room.clone(), reply));
        Some(answer)
    }

    /// Runs an errand of a session, or keeps it until the one before is done: each is a login.
    pub fn errand(&mut self, slot: usize, errand: Errand, ground: &mut Ground<'_>) {
        let Some(handle) = self.sessions.get(&slot) else { return };
        self.errands.push_back((Name { service: self.name.clone(), slot, instance: handle.instance }, errand));
        if self.errands.len() == 1 {
            self.next_errand(ground);
        }
    }

    /// The errand that ran for that session is over. Of a session of the service as it was before nothing runs here.
    pub fn errand_done(
        &mut self,
        asker: &Name,
        room: RoomKey,
        number: u32,
        result: Result<(), Cause>,
        ground: &mut Ground<'_>,
    ) {
        if self.errands.front().is_none_or(|(name, _)| name != asker) {
            return;
        }
        self.errands.pop_front();
        // Whoever stands in its place counts actions anew.
        if self.knows(asker) {
            self.order(asker.slot, Order::Input(Input::Errand(room, number, result)));
        }
        self.next_errand(ground);
    }

    fn next_errand(&mut self, ground: &mut Ground<'_>) {
        // Sessions that ended meanwhile have nobody left who waits.
        while let Some((name, _)) = self.errands.front()
            && !self.knows(name)
        {
            self.errands.pop_front();
        }
        let Some((name, errand)) = self.errands.front().cloned() else { return };
        let (connector, last) = ((self.connectors)(name.slot), self.login.clone());
        let news = ground.news.clone();
        let task = ground.tasks.spawn(async move {
            let result = super::errand::run(connector, last, &errand).await;
            // Without the supervisor nobody waits for it any more.
            let _ = news.send((name, News::Errand { room: errand.key, number: errand.number, result })).await;
        });
        self.errand_task = Some(task.id());
    }

    /// If the errand on its way ran in that task, which broke: it is over, and the next one goes.
    pub fn errand_broke(&mut self, task: tokio::task::Id, cause: &Cause, ground: &mut Ground<'_>) -> bool {
        let (Some((name, errand)), true) = (self.errands.front(), self.errand_task == Some(task)) else { return false };
        let (name, room, number) = (name.clone(), errand.key.clone(), errand.number);
        self.errand_done(&name, room, number, Err(cause.clone()), ground);
        true
    }

    /// The slot whose account login ran in that task.
    #[must_use]
    pub fn slot_of_fetch(&self, task: tokio::task::Id) -> Option<usize> {
        self.fetches.iter().find(|(_, fetch)| fetch.id() == task).map(|(&slot, _)| slot)
    }

    fn forget_fetch(&mut self, slot: usize) {
        self.wishes.remove(&slot);
        if let Some(fetch) = self.fetches.remove(&slot) {
            fetch.abort();
        }
    }

    fn fetch(&mut self, slot: usize, ground: &mut Ground<'_>) {
        let (Some(handle), Some(room), Some(focus), Some(machine_uid)) =
            (self.sessions.get(&slot), self.wishes.get(&slot), &self.config.focus, ground.kept.machine_uids.get(&slot))
        else {
            return;
        };
        let wish =
            Wish { focus: focus.as_str().into(), room: room.clone(), machine_uid: Secret::new(machine_uid.as_str()) };
        // As a browser does, whose page is for one room.
        let url_room = UrlRoom::of_jid(room, self.muc.as_deref());
        let (connector, last) = ((self.connectors)(slot), self.account_login.clone());
        let name = Name { service: self.name.clone(), slot, instance: handle.instance };
        let news = ground.news.clone();
        let task = ground.tasks.spawn(async move {
            let outcome = super::account::fetch(connector, last, url_room, wish).await;
            // Without the supervisor nobody wants it any more.
            let _ = news.send((name, News::Fetched(outcome))).await;
        });
        self.fetches.insert(slot, task);
    }

    /// Takes settings that need no new connection.
    pub fn adjust(&mut self, config: config::Service) {
        if self.config == config {
            return;
        }
        if self.config.joins_per_second != config.joins_per_second {
            let mut joins = self.joins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *joins = Bucket::per_second(config.joins_per_second, Instant::now());
        }
        self.pace = config.pace;
        self.config = config;
        for &slot in self.sessions.keys() {
            self.order(slot, Order::Input(Input::Adjust(self.rules(), self.config.media, self.pace)));
        }
    }

    fn rules(&self) -> Rules {
        Rules { self_ping: self.config.self_ping, after_kick: self.config.after_kick }
    }

    /// Whose session-ids these are; nobody's where no guest needs one.
    fn session_owner(&self) -> Option<String> {
        let Login::Guest { account, .. } = &self.config.login else { return None };
        let focus = self.config.focus.as_deref().unwrap_or_default();
        Some(format!("{account}@{} at {focus} on {}", self.config.domain, self.host))
    }

    fn start(&mut self, slot: usize, ground: &mut Ground<'_>) {
        *ground.instances += 1;
        let instance = *ground.instances;
        *ground.keep |= own_session_ids(ground.kept, self.session_owner());
        let machine_uid = ground.kept.machine_uids.entry(slot).or_insert_with(|| {
            *ground.keep = true;
            super::random_hex(16)
        });
        let guest = matches!(self.config.login, Login::Guest { .. });
        let profile = Profile {
            domain: self.config.domain.as_str().into(),
            stream_domain: self.config.stream_domain().into(),
            muc: self.muc.as_deref().map(Into::into),
            focus: self.config.focus.as_deref().map(Into::into),
            machine_uid: Secret::new(machine_uid.as_str()),
            one_room: self.config.rooms_per_session == 1,
            websocket: matches!(self.config.endpoint, Endpoint::WebSocket(_)),
            errands: matches!(
                (&self.config.endpoint, &self.config.login),
                (Endpoint::WebSocket(_), Login::Direct { .. })
            ),
            guest,
            session_id: ground.kept.session_ids.get(&slot).map(|id| Secret::new(id.as_str())),
            rules: self.rules(),
            media: self.config.media,
            pace: self.pace,
            seed: super::random_u64(),
        };
        let (orders, receiver) = mpsc::unbounded_channel();
        let driver = Driver {
            session: Session::new(profile, Instant::now()),
            connector: (self.connectors)(slot),
            orders: receiver,
            news: ground.news.clone(),
            name: Name { service: self.name.clone(), slot, instance },
            joins: self.joins.clone(),
            listing: Vec::new(),
        };
        let task = ground.tasks.spawn(super::session::run(driver)).id();
        self.sessions.insert(slot, Handle { instance, orders, task });
    }

    fn carry_out(&mut self, out: Vec<Output>, ground: &mut Ground<'_>) {
        for output in out {
            match output {
                Output::Start(slot) => self.start(slot, ground),
                Output::Stop(slot) => {
                    self.forget_fetch(slot);
                    if let Some(handle) = self.sessions.remove(&slot) {
                        let _ = handle.orders.send(Order::Input(Input::Close));
                    }
                }
                Output::Connect(slot) => self.order(slot, Order::Connect(self.login.clone())),
                Output::Fetch(slot) => self.fetch(slot, ground),
                Output::Gate(slot, gate) => self.order(slot, Order::Input(Input::Focus(gate))),
            }
        }
    }

    fn order(&self, slot: usize, order: Order) {
        if let Some(handle) = self.sessions.get(&slot)
            && handle.orders.send(order).is_err()
        {
            // Its task is ending; the supervisor hears of that and puts another in its place.
            debug!(service = %self.name, slot, "the session is gone");
        }
    }

    /// Asks the session of a room who is inside.
    #[must_use]
    pub fn ask_room(&self, key: &RoomKey) -> Option<oneshot::Receiver<Option<RoomView>>> {
        let slot = self.machine.session_of(key)?;
        let (reply, answer) = oneshot::channel();
        self.order(slot, Order::Room(key.clone(), reply));
        Some(answer)
    }

    /// Asks a room's session for the lists of who could put us out.
    pub fn ask_lists(&self, key: &RoomKey) -> Option<oneshot::Receiver<Lists>> {
        let slot = self.machine.session_of(key)?;
        let (reply, answer) = oneshot::channel();
        self.order(slot, Order::Lists(key.clone(), reply));
        Some(answer)
    }

    /// Asks all sessions how many people are in their rooms.
    #[must_use]
    pub fn ask_people(&self) -> Vec<oneshot::Receiver<Vec<(RoomKey, usize)>>> {
        let ask = |&slot: &usize| {
            let (reply, answer) = oneshot::channel();
            self.order(slot, Order::People(reply));
            answer
        };
        self.sessions.keys().map(ask).collect()
    }

    /// What a room that waits for its turn waits for.
    #[must_use]
    pub fn turn(&self, key: &RoomKey, clock: Clock) -> (String, Option<Timestamp>) {
        let waits = self.machine.session_of(key).and_then(|session| self.machine.waits(session));
        match (waits, self.machine.focus()) {
            (Some(Some(at)), _) => ("connects again".to_owned(), Some(clock.wall(at))),
            (Some(None), _) => ("is being connected".to_owned(), None),
            (None, _) if self.machine.fetches_again().is_some_and(|(at, _)| *at > clock.monotonic()) => {
                let at = self.machine.fetches_again().map(|(at, _)| clock.wall(*at));
                ("logs the account in again".to_owned(), at)
            }
            (None, FocusState::Absent { next_at, .. }) => {
                ("asks whether the focus is back".to_owned(), Some(clock.wall(*next_at)))
            }
            _ => ("goes on when it is its turn".to_owned(), None),
        }
    }
}

/// Drops kept session-ids that are another's: an id is as good as a login, and is shown to no other server, nor used for
/// another account. Says whether anything changed.
fn own_session_ids(kept: &mut ServiceState, owner: Option<String>) -> bool {
    if kept.session_owner == owner {
        return false;
    }
    // One that was kept before owners were written down is taken for ours.
    if owner.is_none() || kept.session_owner.is_some() {
        kept.session_ids.clear();
    }
    kept.session_owner = owner;
    true
}

fn logins<'a>(all: &'a mut HashMap<String, Logins>, host: &str) -> &'a mut Logins {
    all.entry(host.to_owned()).or_insert_with(|| Logins::new(LOGINS_AT_ONCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_kept_for_its_own_account_and_focus_alone() {
        let kept = || ServiceState {
            session_ids: BTreeMap::from([(0, "sid".to_owned())]),
            session_owner: Some("a@d at f on h".to_owned()),
            ..ServiceState::default()
        };
        let mut same = kept();
        assert!(!own_session_ids(&mut same, Some("a@d at f on h".to_owned())));
        assert_eq!(same, kept());
        for other in [Some("b@d at f on h".to_owned()), None] {
            let mut state = kept();
            assert!(own_session_ids(&mut state, other.clone()));
            assert_eq!((state.session_ids.len(), state.session_owner), (0, other));
        }
    }
}
