//! Owns the sessions' tasks, carries out commands, and knows the state of every room.
//!
//! It never waits for a session: orders go through unbounded channels that only people's commands and our own machines
//! fill, so a session may wait for the supervisor without a circle.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::acting::Asking;
use super::banning::{Kept, Stored};
use super::board::{Clock, Entry};
use super::bus::Bus;
use super::deciding::Deciding;
use super::herald::Herald;
use super::ledger::Ledger;
use super::questions::Questions;
use super::recorder::Recorder;
use super::reserving::Reserving;
use super::running::{Ground, Name, NewsSender, Running};
use super::session::{Connectors, News};
use super::writes::Writes;
use crate::booking::shown;
use crate::cause::{Cause, Word};
use crate::command::RoomState;
use crate::config::{self, Config, RoomKey};
use crate::control::Asked;
use crate::desired::{Intent, Wanted, desired};
use crate::event::{Kind, What, Why};
use crate::policy::Plans;
use crate::room::{Next, Snapshot};
use crate::service::Logins;
use crate::session::{Input, Report, SEARCH_AGAIN};
use crate::sinks::webhook::office::Office;
use crate::store::{Database, Retention, State, Store};
use crate::telemetry::health;

/// At the latest so long after the start the daemon is ready: it never depends on a server being up.
const READY_AFTER: Duration = Duration::from_secs(20);
/// How long sessions may take to end politely.
const STOP_TIMEOUT: Duration = Duration::from_millis(4_500);
/// How often the wall clock is looked at while something is to change at a certain time: it may have been set.
const LOOK: Duration = Duration::from_secs(600);
/// How often `STATUS=` may change.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Makes the connectors of a service, and says which host it is on and whether that is this machine.
pub type Connect = dyn Fn(&config::Service, &Recorder) -> (Connectors, (String, bool));
/// Reads the configuration again.
pub type Load = dyn Fn() -> Result<Config, Vec<String>> + Send + Sync;

/// Everything that a supervisor is made of.
pub struct Setup {
    /// The configuration in force.
    pub config: Config,
    /// The state folder.
    pub store: Store,
    /// What it held.
    pub state: State,
    /// Its databases; whoever opened them closes them.
    pub database: Database,
    /// Reads the configuration again.
    pub load: Arc<Load>,
    /// Connects services.
    pub connect: Box<Connect>,
    /// Records connections.
    pub recorder: Recorder,
    /// Takes what happens.
    pub bus: Arc<Bus>,
    /// Who is told by HTTP what happens.
    pub webhooks: Office,
    /// Told of the HTTP interface's settings when they are read again; `None`: it is off until the next start.
    pub http: Option<watch::Sender<Arc<config::Http>>>,
    /// Told who speaks the line protocol when that is read again.
    pub lines: watch::Sender<Arc<[config::Line]>>,
    /// Told which games ask for tokens when that is read again.
    pub avchats: watch::Sender<Arc<[config::AvChat]>>,
    /// Told where reservations are answered when that is read again.
    pub reservations: watch::Sender<Arc<[config::Reservations]>>,
    /// Where questions for those who speak lines go.
    pub questions: Arc<Questions>,
}

/// What comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Read the configuration again.
    Reload,
    /// Leave all rooms and end.
    Stop,
}

/// The supervisor.
pub struct Supervisor {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) database: Database,
    pub(super) services: BTreeMap<Arc<str>, Running>,
    /// Boxed: a tree that grows in order is half empty.
    pub(super) rooms: BTreeMap<RoomKey, Box<Seat>>,
    pub(super) started: Timestamp,
    /// When what is wanted was last looked at.
    applied: Timestamp,
    pub(super) configuration: String,
    pub(super) bad_stanzas: u64,
    pub(super) load: Arc<Load>,
    store: Arc<Store>,
    connect: Box<Connect>,
    recorder: Recorder,
    pub(super) herald: Herald,
    pub(super) webhooks: Office,
    http: Option<watch::Sender<Arc<config::Http>>>,
    lines: watch::Sender<Arc<[config::Line]>>,
    avchats: watch::Sender<Arc<[config::AvChat]>>,
    reservations: watch::Sender<Arc<[config::Reservations]>>,
    tasks: JoinSet<()>,
    news: NewsSender,
    instances: u64,
    logins: HashMap<String, Logins>,
    keep: bool,
    pub(super) ready: bool,
    status: String,
    status_due: Option<Instant>,
    /// Commands that carry out a greater one.
    pub(super) own: mpsc::UnboundedSender<Asked>,
    /// What was lately done in rooms.
    pub(super) ledger: Ledger,
    /// Bans, who is exempt, and what rules remember.
    pub(super) kept: Kept,
    /// A block list changed, and sessions are still to be told.
    pub(super) bans_changed: bool,
    /// What is written without being waited for.
    pub(super) writes: Writes,
    /// The rules of each room that has any.
    pub(super) plans: HashMap<RoomKey, Arc<Plans>>,
    /// Who decides about people in rooms.
    pub(super) deciding: Deciding,
    /// What was granted to servers that ask for reservations.
    pub(super) reserving: Reserving,
    /// What was stored comes back here.
    pub(super) told: mpsc::UnboundedSender<Stored>,
    /// Who waits for the outcome of an action, by its key.
    pub(super) asking: HashMap<(RoomKey, Box<str>), Asking>,
}

/// A room that somebody wants, or that is just being left.
pub struct Seat {
    /// What is wanted; `None`: nothing any more.
    pub wanted: Option<Wanted>,
    /// What it shows.
    pub entry: Entry,
}

/// Runs until told to stop.
pub async fn run(setup: Setup, mut commands: mpsc::Receiver<Asked>, mut signals: mpsc::Receiver<Signal>) {
    let (news, mut heard) = mpsc::channel(256);
    let (own, mut own_commands) = mpsc::unbounded_channel();
    let clock = Clock::read();
    let kept = Kept::load(&setup.database, &setup.config, clock.now()).await;
    let (told, mut stored) = mpsc::unbounded_channel();
    let present = setup.database.present().await.unwrap_or_else(|error| {
        error!("who was inside can not be read, so everybody is told of again: {:#}", anyhow::Error::new(error));
        HashMap::new()
    });
    let herald = Herald::new(setup.bus, present);
    let ledger = Ledger::load(&setup.database).await;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let questions = setup.questions.clone();
    let deciding = Deciding::new(&setup.config.authorities, setup.questions, answers);
    let mut supervisor = Supervisor {
        configuration: format!("read at {}", super::board::rfc3339(clock.now())),
        config: setup.config,
        state: setup.state,
        database: setup.database,
        services: BTreeMap::new(),
        rooms: BTreeMap::new(),
        started: clock.now(),
        applied: clock.now(),
        bad_stanzas: 0,
        load: setup.load,
        store: Arc::new(setup.store),
        connect: setup.connect,
        recorder: setup.recorder,
        herald,
        webhooks: setup.webhooks,
        kept,
        bans_changed: false,
        writes: Writes::start(),
        plans: HashMap::new(),
        deciding,
        reserving: Reserving::default(),
        told,
        http: setup.http,
        lines: setup.lines,
        avchats: setup.avchats,
        reservations: setup.reservations,
        tasks: JoinSet::new(),
        news,
        instances: 0,
        logins: HashMap::new(),
        keep: false,
        ready: false,
        status: String::new(),
        status_due: None,
        own,
        ledger,
        asking: HashMap::new(),
    };
    let started = Instant::now();
    let watchdog = health::watchdog_interval();
    let mut watchdog_due = watchdog.map(|every| started + every);
    supervisor.webhooks.configure(&supervisor.config, super::random_u64);
    supervisor.apply();
    supervisor.follow_configured();
    supervisor.save().await;
    info!(rooms = supervisor.wanted(), services = supervisor.services.len(), "holding rooms");
    loop {
        supervisor.poll();
        if supervisor.keep {
            supervisor.save().await;
        }
        let ready_due = if supervisor.ready { None } else { Some(started + READY_AFTER) };
        let deadline = supervisor.deadline().into_iter().chain(ready_due).chain(watchdog_due).min();
        let wait = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((name, news)) = heard.recv() => {
                supervisor.hear(&name, news);
                // A burst of reports is one pass of the loop.
                while let Ok((name, news)) = heard.try_recv() {
                    supervisor.hear(&name, news);
                }
                if supervisor.keep {
                    supervisor.save().await;
                }
            }
            Some(stored) = stored.recv() => supervisor.stored(stored),
            Some(answer) = answered.recv() => supervisor.answered(answer),
            () = questions.came() => supervisor.line_came(),
            Some((command, requester, reply)) = commands.recv() => {
                supervisor.command(command, &requester, reply).await;
            }
            Some((command, requester, reply)) = own_commands.recv() => {
                supervisor.command(command, &requester, reply).await;
            }
            Some(signal) = signals.recv() => match signal {
                Signal::Reload => supervisor.reload_on_signal().await,
                Signal::Stop => break,
            },
            Some(ended) = supervisor.tasks.join_next_with_id() => supervisor.ended(ended),
            () = wait => {}
        }
        let now = Instant::now();
        supervisor.tell_ready(now >= started + READY_AFTER);
        if let (Some(every), Some(due)) = (watchdog, watchdog_due)
            && due <= now
        {
            health::watchdog();
            watchdog_due = Some(now + every);
        }
    }
    supervisor.stop(heard).await;
}

impl Supervisor {
    /// How many rooms are wanted.
    pub(super) fn wanted(&self) -> usize {
        let holds = |seat: &&Seat| seat.wanted.as_ref().is_some_and(|wanted| wanted.intent == Intent::Hold);
        self.rooms.values().map(AsRef::as_ref).filter(holds).count()
    }

    /// Brings sessions and rooms in line with what is wanted. Does nothing for what is in line already.
    pub(super) fn apply(&mut self) {
        let clock = Clock::read();
        self.applied = clock.now();
        self.end_late(clock.now());
        self.state.overrides.prune(&self.config, clock.now());
        self.apply_services();
        let wanted = desired(&self.config, &self.state.overrides, clock.now());
        for (key, seat) in &mut self.rooms {
            if !wanted.contains_key(key) {
                seat.wanted = None;
            }
        }
        for (key, wanted) in wanted {
            let seat = self
                .rooms
                .entry(key)
                .or_insert_with(|| Box::new(Seat { wanted: None, entry: Entry::new(clock.now()) }));
            seat.wanted = Some(wanted);
        }
        self.plans = self.plans_of(self.rooms.keys());
        let keys: Vec<RoomKey> = self.rooms.keys().cloned().collect();
        for key in keys {
            self.apply_room(&key, clock);
        }
    }

    /// Bookings that came to their end while we were outside, with people inside: their meetings are still to be ended.
    fn end_late(&mut self, now: Timestamp) {
        let over = self.state.overrides.bookings(&self.config).filter(|(_, until)| *until <= now);
        let over: Vec<RoomKey> = over.map(|(room, _)| room.clone()).collect();
        for room in over {
            let people = self
                .herald
                .present(&room)
                .is_some_and(|present| present.people.values().any(|person| person.machine.is_none()));
            let inside = self.rooms.get(&room).is_some_and(|seat| seat.entry.is_inside());
            if people && !inside && self.state.overrides.end_late(&room, now) {
                let (service, name) = (&room.service, &room.name);
                info!(%service, room = %name, "a booking is over and people may still be inside; its meeting is ended when we are back");
            }
        }
    }

    fn apply_services(&mut self) {
        let gone: Vec<Arc<str>> = self
            .services
            .iter()
            .filter(|(name, running)| match self.config.services.get(&***name) {
                Some(new) => !crate::desired::same_connection(&running.config, new),
                None => true,
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(mut running) = self.services.remove(&name) {
                let why = if self.config.services.contains_key(&*name) {
                    "the service's connection settings changed"
                } else {
                    "the service is no longer in the configuration"
                };
                info!(service = %name, "{why}; its sessions close");
                running.close(&mut self.logins);
                self.give_up_actions(why, |room| room.service == name);
            }
        }
        for (name, config) in &self.config.services {
            if self.services.contains_key(name.as_str()) {
                continue;
            }
            let (connectors, host) = (self.connect)(config, &self.recorder);
            let kept = self.state.services.entry(name.clone()).or_default();
            self.services.insert(name.as_str().into(), Running::new(config.clone(), connectors, host, kept));
        }
    }

    fn apply_room(&mut self, key: &RoomKey, clock: Clock) {
        let Some(seat) = self.rooms.get_mut(key) else { return };
        let Some(running) = self.services.get_mut(&key.service) else {
            if seat.wanted.is_none() {
                self.rooms.remove(key);
            }
            return;
        };
        let mut ground = Ground {
            tasks: &mut self.tasks,
            news: &self.news,
            instances: &mut self.instances,
            logins: &mut self.logins,
            kept: self.state.services.entry(key.service.to_string()).or_default(),
            keep: &mut self.keep,
        };
        let staying_out =
            |word, state, text: &str| Snapshot { state, cause: Cause::new(word, text), next: Next::Nothing };
        match seat.wanted.as_ref().map(|wanted| wanted.intent) {
            Some(Intent::Hold) => {
                if let Some(wanted) = &seat.wanted {
                    if matches!(seat.entry.state(), RoomState::Suspended | RoomState::Released) {
                        let cause = Cause::new(Word::Starting, "it is wanted again and waits for its turn");
                        seat.entry.show(clock.now(), Snapshot { state: RoomState::Waiting, cause, next: Next::Turn });
                    }
                    let new = running.machine.session_of(key).is_none();
                    running.hold(&wanted.room, self.plans.get(key).cloned(), &mut ground);
                    if let Some(state) = self.kept.policies.get(key).filter(|_| new) {
                        running.tell(key, Input::Recall(key.clone(), Box::new(state.clone())));
                    }
                    if let Some(present) = self.herald.present(key).filter(|_| new) {
                        running.tell(key, Input::Behind(key.clone(), Box::new(present.clone())));
                    }
                    // What a session that was closed said of it is no longer true.
                    let placed = running.machine.session_of(key).is_some();
                    if !placed && !matches!(seat.entry.state(), RoomState::Waiting | RoomState::Blocked) {
                        let cause = Cause::new(Word::Starting, "its group chat service is being looked for");
                        seat.entry.show(clock.now(), Snapshot { state: RoomState::Waiting, cause, next: Next::Turn });
                    }
                }
            }
            Some(Intent::Suspend { until }) => {
                running.release(key);
                let text = match until {
                    Some(until) => format!("an admin suspended it until {}", super::board::rfc3339(until)),
                    None => "an admin suspended it; `innkeeper hold` ends that".to_owned(),
                };
                let left = |until: Timestamp| Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
                let next = until.map_or(Next::Nothing, |until| Next::Opens(clock.monotonic() + left(until)));
                let snapshot = Snapshot { next, ..staying_out(Word::Suspended, RoomState::Suspended, &text) };
                note(&mut self.herald, key, &mut seat.entry, clock, snapshot);
            }
            Some(Intent::Booked { from, opens }) => {
                running.release(key);
                let text = format!("it is booked from {} and opens at {}", shown(from), shown(opens));
                let left = Duration::try_from(opens.duration_since(clock.now())).unwrap_or_default();
                let next = Next::Opens(clock.monotonic() + left);
                let cause = Cause::new(Word::Booked, text);
                let snapshot = Snapshot { state: RoomState::Suspended, cause, next };
                note(&mut self.herald, key, &mut seat.entry, clock, snapshot);
            }
            Some(Intent::Release) => {
                running.release(key);
                let text = "an admin released it although the configuration wants it; `innkeeper hold` ends that";
                note(
                    &mut self.herald,
                    key,
                    &mut seat.entry,
                    clock,
                    staying_out(Word::Released, RoomState::Released, text),
                );
            }
            None => {
                if running.release(key) {
                    let (word, text) = match self.state.overrides.ended(&self.config, key) {
                        Some(ended) => (Word::Ended, format!("its booking ended at {}", shown(ended))),
                        None => (Word::Released, "nobody wants the room any more".to_owned()),
                    };
                    let snapshot = staying_out(word, RoomState::Released, &text);
                    note(&mut self.herald, key, &mut seat.entry, clock, snapshot);
                } else {
                    self.rooms.remove(key);
                }
            }
        }
    }

    fn ground(&mut self, name: &str) -> Option<(&mut Running, Ground<'_>)> {
        let running = self.services.get_mut(name)?;
        let ground = Ground {
            tasks: &mut self.tasks,
            news: &self.news,
            instances: &mut self.instances,
            logins: &mut self.logins,
            kept: self.state.services.entry(name.to_owned()).or_default(),
            keep: &mut self.keep,
        };
        Some((running, ground))
    }

    fn hear(&mut self, name: &Name, news: News) {
        let now = Instant::now();
        let slot = name.slot;
        let service = name.service.clone();
        let bans = self.kept.bans.clone();
        let Some((running, mut ground)) = self.ground(&service) else { return self.last_words(news) };
        // An errand's turn ends whoever asked for it.
        if !running.knows(name) && !matches!(news, News::Errand { .. }) {
            return self.last_words(news);
        }
        match news {
            News::Online { jid, login, resumed } => {
                info!(%service, session = slot, account = %jid, resumed, mechanism = login.mechanism.name(), "logged in");
                let session = jid.as_str().into();
                let what = if resumed { What::SessionResumed { session } } else { What::SessionReady { session } };
                running.jids.insert(slot, jid);
                running.with_machine(&mut ground, |machine, logins, out| machine.online(now, slot, logins, out));
                running.give_bans(slot, &bans);
                running.login = Some(login.clone());
                // Who is anonymous proves nothing about the mechanisms of an account.
                if login.mechanism != config::Mechanism::Anonymous && ground.kept.last_login.as_ref() != Some(&login) {
                    ground.kept.last_login = Some(login);
                    *ground.keep = true;
                }
                self.herald.session(Timestamp::now(), &service, what);
                self.follow_lists(&service);
            }
            News::Fetched(outcome) => {
                match &outcome {
                    Ok((_, login)) => {
                        info!(%service, session = slot, mechanism = login.mechanism.name(), "the account fetched a session-id");
                        running.account_login = Some(login.clone());
                        ground.kept.last_account_login = Some(login.clone());
                    }
                    Err(cause) => warn!(%service, session = slot, %cause, "the account could not fetch a session-id"),
                }
                let outcome = outcome.map(|(id, _)| id);
                if let Ok(id) = &outcome {
                    id.expose().clone_into(ground.kept.session_ids.entry(slot).or_default());
                    *ground.keep = true;
                }
                running.fetched(slot, outcome, &mut ground);
            }
            News::Failed(cause) => {
                running.with_machine(&mut ground, |machine, logins, _| machine.failed(now, slot, &cause, logins));
                let wait = running.machine.deadline().map(|at| at.saturating_duration_since(now)).unwrap_or_default();
                let retry_in = humantime::format_duration(Duration::from_millis(
                    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                ));
                warn!(%service, session = slot, %cause, %retry_in, "could not connect or log in");
                running.tell_offline(slot, &cause);
                self.show_unplaced(&service, &cause, Next::Turn);
            }
            News::Lost(cause) => {
                warn!(%service, session = slot, %cause, "connection lost");
                let session = running.jids.remove(&slot).unwrap_or_default().into();
                self.herald.session(Timestamp::now(), &service, What::SessionLost { session, why: Why::from(&cause) });
                let Some((running, mut ground)) = self.ground(&service) else { return };
                running.with_machine(&mut ground, |machine, _, _| machine.lost(now, slot, &cause));
                self.follow_lists(&service);
                self.show_unplaced(&service, &cause, Next::Turn);
            }
            News::Errand { room, number, result } => running.errand_done(name, room, number, result, &mut ground),
            News::Report(report) => self.report(now, &service, slot, report),
        }
    }

    /// Shows what keeps rooms from a session: their group chat service is not known yet, for this cause.
    fn show_unplaced(&mut self, service: &Arc<str>, cause: &Cause, next: Next) {
        let clock = Clock::read();
        let Some(running) = self.services.get(service) else { return };
        for (key, seat) in self.rooms.iter_mut().filter(|(key, _)| key.service == *service) {
            let wanted = seat.wanted.as_ref().is_some_and(|wanted| wanted.intent == Intent::Hold);
            if wanted && running.machine.session_of(key).is_none() {
                let state = if cause.word.needs_person() { RoomState::Blocked } else { RoomState::Waiting };
                note(&mut self.herald, key, &mut seat.entry, clock, Snapshot { state, cause: cause.clone(), next });
                self.status_due.get_or_insert(Instant::now() + STATUS_EVERY);
            }
        }
    }

    fn report(&mut self, now: Instant, service: &Arc<str>, slot: usize, report: Report) {
        let clock = Clock::read();
        let places = self.webhooks.places.clone();
        let Some((running, mut ground)) = self.ground(service) else { return };
        match report {
            Report::Room(key, snapshot) => {
                let Some(seat) = self.rooms.get_mut(&key) else { return };
                let held = snapshot.state == RoomState::Held;
                let closed = snapshot.cause.word == Word::ClosedBySchedule;
                // A room that is being left for a person's word shows that word, not its way out.
                if seat.wanted.as_ref().is_some_and(|wanted| wanted.intent == Intent::Hold) {
                    note(&mut self.herald, &key, &mut seat.entry, clock, snapshot);
                    self.status_due.get_or_insert(now + STATUS_EVERY);
                }
                if seat.entry.is_inside() {
                    self.state.overrides.back_inside(&key, clock.now());
                }
                if held {
                    self.lift_outcasts(Some(&key));
                }
                if closed && self.state.overrides.end_booking(&key, clock.now()) {
                    self.keep = true;
                    self.apply();
                }
            }
            Report::Released(key) => {
                running.left(&key, &mut ground);
                self.follow_lists(service);
                match self.rooms.get(&key).map(|seat| seat.wanted.as_ref().map(|wanted| wanted.intent)) {
                    // Wanted again while it was being left.
                    Some(Some(Intent::Hold)) => self.apply_room(&key, clock),
                    Some(None) => {
                        self.rooms.remove(&key);
                    }
                    _ => {}
                }
            }
            Report::FocusAbsent(cause) => {
                debug!(%service, session = slot, %cause, "no focus");
                let known = matches!(running.machine.focus(), crate::service::FocusState::Absent { .. });
                if !known {
                    warn!(%service, %cause, "the focus is absent; it is asked for until it is back");
                }
                running.with_machine(&mut ground, |machine, _, out| machine.focus_absent(now, slot, cause, out));
            }
            Report::FocusPresent => {
                if matches!(running.machine.focus(), crate::service::FocusState::Absent { .. }) {
                    info!(%service, "the focus is back");
                }
                running.with_machine(&mut ground, |machine, _, out| machine.focus_present(out));
            }
            Report::NothingToAsk => {
                running.with_machine(&mut ground, |machine, _, out| machine.nothing_to_ask(now, slot, out));
            }
            Report::WantsSessionId { room } => {
                debug!(%service, session = slot, %room, "the focus wants a session-id");
                running.wants_session_id(slot, room);
            }
            Report::SessionId(id) => {
                match id {
                    Some(id) => drop(ground.kept.session_ids.insert(slot, id.expose().to_owned())),
                    None => drop(ground.kept.session_ids.remove(&slot)),
                }
                *ground.keep = true;
            }
            Report::MucFound(domain) => {
                if running.muc.is_none() {
                    info!(%service, muc = %domain, "group chat service found");
                    places.found(service, &domain);
                    running.muc = Some(domain);
                    running.muc_trouble = None;
                    running.machine.scouted();
                    self.apply();
                }
            }
            Report::MucNotFound(cause) => {
                warn!(%service, %cause, "no group chat service");
                running.muc_trouble = Some(cause.clone());
                self.show_unplaced(service, &cause, Next::Retry(now + SEARCH_AGAIN));
            }
            Report::Bad { from, why } => {
                self.bad_stanzas += 1;
                let from = from.as_deref().map(|from| crate::xmpp::muc::clip(from).to_owned());
                debug!(%service, session = slot, ?from, %why, "a stanza could not wholly be read");
            }
            Report::Throttled => {
                warn!(%service, "answers take over ten times longer than before: joins are paced slowly from now on");
                running.limit();
            }
            Report::Progress { room, request, progress, over } => self.progressed(&room, &request, &progress, over),
            Report::Undo { room, key, action } => self.ledger.can_undo(room, key, *action),
            Report::Setting(room, told) => self.setting(&room, &told),
            Report::Errand(errand) => running.errand(slot, *errand, &mut ground),
            Report::Ban(room, wish) => self.ban_asked(&room, *wish),
            Report::Happened { room, life, what } => {
                self.tell_authorities(&room, &what);
                self.herald.room(clock.now(), &room, Some(&life), *what);
            }
            Report::Waiting(room, people) => self.wait_at_door(&room, people),
            Report::List(list, told) => self.list_told(&list, told),
            Report::Remember(room, state) => self.remember(room, *state),
            // Whoever drives the session answers it.
            Report::Listed(..) => {}
            Report::Odd(text) => warn!(%service, session = slot, %text, "odd"),
        }
    }

    fn poll(&mut self) {
        let now = Instant::now();
        let names: Vec<Arc<str>> = self.services.keys().cloned().collect();
        for name in names {
            if let Some((running, mut ground)) = self.ground(&name) {
                running.with_machine(&mut ground, |machine, logins, out| machine.poll(now, logins, out));
            }
        }
        if let Some(change) = self.state.overrides.next_change(self.applied)
            && change <= Timestamp::now()
        {
            self.keep = true;
            self.apply();
        }
        self.end_bans();
        self.poll_authorities(now);
        // A burst of entries is one list for the sessions.
        if std::mem::take(&mut self.bans_changed) {
            self.publish_bans();
        }
        if self.status_due.is_some_and(|due| due <= now) {
            self.status_due = None;
            self.tell_status();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let change = self.state.overrides.next_change(self.applied).map(|at| {
            let left = at.duration_since(Timestamp::now());
            Instant::now() + Duration::try_from(left).unwrap_or_default().min(LOOK)
        });
        let services = self.services.values().filter_map(|running| running.machine.deadline());
        services.chain(change).chain(self.status_due).chain(self.ban_deadline()).chain(self.deciding.deadline()).min()
    }

    /// A session's task ended: as it should, or by a panic, which must not cost its rooms.
    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let Err(error) = ended else { return };
        let names: Vec<Arc<str>> = self.services.keys().cloned().collect();
        for name in names {
            let Some((running, mut ground)) = self.ground(&name) else { continue };
            if let Some(slot) = running.slot_of_fetch(error.id()) {
                error!(service = %name, session = slot, %error, "a login broke; please report this. It is tried again");
                let text = "the login of the account broke inside innkeeper and is tried again";
                running.fetched(slot, Err(Cause::new(Word::Disconnected, text)), &mut ground);
                return;
            }
            let text = "a second connection broke inside innkeeper; please report this";
            if running.errand_broke(error.id(), &Cause::new(Word::Disconnected, text), &mut ground) {
                error!(service = %name, %error, "an errand broke; please report this");
                return;
            }
            let Some(slot) = running.slot_of_task(error.id()) else { continue };
            error!(service = %name, session = slot, %error, "a session broke; please report this. It is started again");
            let cause = Cause::new(Word::Disconnected, "the session broke inside innkeeper and is started again");
            let held: Vec<RoomKey> = running.rooms_of(slot);
            for key in running.replace(slot, &cause, &mut ground) {
                self.report(Instant::now(), &name, slot, Report::Released(key));
            }
            self.give_up_actions("the session broke inside innkeeper", |room| held.contains(room));
            return;
        }
    }

    fn tell_ready(&mut self, late: bool) {
        let outcome = |seat: &Seat| match &seat.wanted {
            Some(wanted) if wanted.intent == Intent::Hold => seat.entry.had_outcome(),
            _ => true,
        };
        if !self.ready && (late || self.rooms.values().map(AsRef::as_ref).all(outcome)) {
            self.ready = true;
            self.tell_status();
            health::ready();
            info!(status = %self.status, "ready");
        }
    }

    fn tell_status(&mut self) {
        let mut counts: BTreeMap<RoomState, usize> = BTreeMap::new();
        for seat in self.rooms.values() {
            *counts.entry(seat.entry.state()).or_default() += 1;
        }
        let held = counts.remove(&RoomState::Held).unwrap_or_default();
        let others: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let mut status = format!("{held} of {} rooms held", self.wanted());
        if !others.is_empty() {
            status = format!("{status}; {}", others.join(", "));
        }
        if status != self.status {
            health::status(&status);
            self.status = status;
        }
    }

    /// Keeps the state; says whether it is on the disk.
    pub(super) async fn save(&mut self) -> bool {
        let (store, state) = (self.store.clone(), self.state.clone());
        let saved = tokio::task::spawn_blocking(move || store.save(&state)).await;
        match saved {
            Ok(Ok(())) => {
                self.keep = false;
                true
            }
            Ok(Err(error)) => {
                let error = anyhow::Error::new(error);
                error!("the state is not saved and would be lost by a restart: {error:#}");
                // Tried again with the next change, not at once: a full disk stays full for a while.
                self.keep = false;
                false
            }
            Err(error) => {
                error!(%error, "the state is not saved");
                false
            }
        }
    }

    /// Takes a configuration that was read again.
    pub(super) fn take(&mut self, config: Config) {
        for (name, new) in &config.services {
            if let Some(running) = self.services.get_mut(name.as_str())
                && crate::desired::same_connection(&running.config, new)
            {
                running.adjust(new.clone());
            }
        }
        if let (Some(told), Some(http)) = (&self.http, &config.http) {
            told.send_replace(Arc::new(http.clone()));
        }
        let newly = super::deciding::newly_at_the_door(&self.config, &config);
        self.lines.send_replace(config.lines.as_slice().into());
        self.avchats.send_replace(config.avchats.as_slice().into());
        self.reservations.send_replace(config.reservations.as_slice().into());
        self.configuration = format!("read again at {}", super::board::rfc3339(Timestamp::now()));
        self.recorder.configure(&config);
        self.database.keep(Retention::of(&config));
        self.config = config;
        self.take_authorities();
        self.follow_configured();
        self.webhooks.configure(&self.config, super::random_u64);
        self.publish_bans();
        self.apply();
        self.ask_who_waits(|authority| newly.contains(&authority.name));
    }

    async fn stop(mut self, mut heard: mpsc::Receiver<(Name, News)>) {
        health::stopping();
        info!("leaving all rooms");
        for running in self.services.values_mut() {
            running.close(&mut self.logins);
        }
        let mut last = Vec::new();
        let ended = async {
            loop {
                tokio::select! {
                    ended = self.tasks.join_next() => if ended.is_none() { break },
                    // Sessions must not wait for a reader while they leave.
                    Some((_, news)) = heard.recv() => last.push(news),
                }
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            warn!("some sessions did not end in time; their rooms hear of it from the server");
        }
        for news in last {
            self.last_words(news);
        }
        while let Ok((_, news)) = heard.try_recv() {
            self.last_words(news);
        }
        if self.keep {
            self.save().await;
        }
        self.writes.finish().await;
        self.webhooks.stop().await;
        info!("stopped");
    }
}

/// Shows what a room shows now, and tells what people should hear of.
fn note(herald: &mut Herald, key: &RoomKey, entry: &mut Entry, clock: Clock, snapshot: Snapshot) {
    let Some(kind) = entry.show(clock.now(), snapshot) else { return };
    let cause = &entry.snapshot().cause;
    let (service, room) = (&key.service, &key.name);
    match kind {
        Kind::RoomHeld => info!(%service, %room, "room held"),
        Kind::RoomSuspended | Kind::RoomReleased => info!(%service, %room, why = %cause.text, "{}", kind.as_str()),
        // What befalls the whole service is said once, for the service.
        _ if cause.word.concerns_service() => debug!(%service, %room, %cause, "{}", kind.as_str()),
        _ => warn!(%service, %room, %cause, "{}", kind.as_str()),
    }
    let why = Why::from(cause);
    let what = match kind {
        Kind::RoomHeld => What::RoomHeld,
        Kind::RoomJoined => What::RoomJoined(why),
        Kind::RoomLost => What::RoomLost(why),
        Kind::RoomRefused => What::RoomRefused(why),
        Kind::RoomSuspended => What::RoomSuspended(why),
        Kind::RoomReleased => What::RoomReleased(why),
        // No state of a room amounts to another kind.
        _ => return,
    };
    herald.room(clock.now(), key, None, what);
}
