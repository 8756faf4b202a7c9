//! Carries out what people ask of the daemon.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::board::{Clock, rfc3339};
use super::recover::Wish;
use super::session::RoomView;
use super::supervisor::{Seat, Supervisor};
use crate::authority::Answer;
use crate::booking::Booking;
use crate::command::{
    Command, EventsQuery, EventsReply, Health, HealthRooms, OccupantRow, Plan, Reply, Requester, RoomReply, RoomRow,
    RoomState, RuleRow, ServiceRow, StatusReply, Who, WhyReply, refused,
};
use crate::config::{Config, Http, PaceKind, RoomKey};
use crate::control::auth;
use crate::desired::{Address, AddressError, Intent, Override, Says, reconcile, resolve, sources};
use crate::event::{EventId, Kind, Machine, Present};
use crate::policy::rules::KINDS;
use crate::rights::Rights;
use crate::room::Occupant;
use crate::service::{FocusState, Reach};
use crate::store::{Filter, Order};
use crate::telemetry::health;

/// How long a session may take to say who is in its rooms.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Answers one command. Whoever asked may be gone; then nobody misses the answer.
    pub(super) async fn command(&mut self, command: Command, requester: &Requester, mut reply: oneshot::Sender<Reply>) {
        let asked = auth::changes(&command).then(|| command.record());
        let (if_done, if_refused) = (auth::is_audited(&command, false), auth::is_audited(&command, true));
        let answer = match command {
            Command::Health => Reply::Health(self.health_reply()),
            Command::Status => Reply::Status(Box::new(self.status_reply(&requester.rights))),
            Command::Rooms => return self.rooms_reply(&requester.rights, reply),
            Command::Room { room } => match self.resolve(&room, false, requester) {
                Ok(address) => return self.room_reply(&address.key, reply),
                Err(refusal) => *refusal,
            },
            Command::Events(query) => return self.events_reply(query, &requester.rights, reply),
            Command::Attendance(query) => return self.attendance(query, requester, reply),
            Command::ImportEvents { lines } => return self.import_events(&lines, requester, reply),
            // Each surface follows by itself; see `control::watch`.
            Command::Follow(_) => refused("bad-request", "events are not followed here"),
            Command::WhyRoom { room } => match self.resolve(&room, false, requester) {
                Ok(address) => return self.why_reply(&address.key, reply),
                Err(refusal) => *refusal,
            },
            Command::Hold { room, reason, times } => match times.booking(Timestamp::now()) {
                Ok(booking) => self.say(&room, Says::Hold, booking, reason, requester).await,
                Err(what) => refused("bad-request", what),
            },
            Command::Release { room, reason } => self.say(&room, Says::Release, None, reason, requester).await,
            Command::Suspend { room, for_seconds, reason } => {
                let until = for_seconds.map(|seconds| {
                    let span = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                    Timestamp::now().saturating_add(span).unwrap_or(Timestamp::MAX)
                });
                self.say(&room, Says::Suspend { until }, None, reason, requester).await
            }
            Command::Act { room, action, reason, key } => match self.resolve(&room, false, requester) {
                Ok(address) => return self.act(&address.key, action, reason, key, requester, reply),
                Err(refusal) => *refusal,
            },
            Command::Abilities { room } => match self.resolve(&room, false, requester) {
                Ok(address) => return self.abilities(&address.key, reply),
                Err(refusal) => *refusal,
            },
            Command::WhoCan { ref room }
            | Command::WhyLobby { ref room }
            | Command::WhyModerator { ref room, .. }
            | Command::WhyRemoved { ref room, .. } => match self.resolve(room, false, requester) {
                Ok(address) => return self.explain(&address.key, command, reply),
                Err(refusal) => *refusal,
            },
            Command::Password { room } => match self.resolve(&room, false, requester) {
                Ok(address) => return self.password(&address.key, requester, reply),
                Err(refusal) => *refusal,
            },
            Command::Undo { id, reason } => return self.undo(&id, reason, requester, reply),
            Command::Ban { .. } => return self.ban(command, requester, reply),
            Command::Unban { who } => return self.unban(&who, requester, reply),
            Command::Bans => self.bans(),
            Command::Rules => Reply::Rules { rules: KINDS.iter().map(|kind| RuleRow::from(*kind)).collect() },
            Command::ImportBans { lines } => return self.import_bans(&lines, requester, reply),
            Command::Exempt { who, on } => return self.exempt(&who, on, requester, reply),
            Command::WhyBan { ref room, ref who } => match self.resolve(room, false, requester) {
                Ok(address) => return self.why_ban(&address.key, who, requester, reply),
                Err(refusal) => *refusal,
            },
            Command::Recover { room, keep, out, password, reason } => match self.resolve(&room, false, requester) {
                Ok(address) => {
                    let wish = Wish { keep, out, password, reason };
                    return self.recover(&address.key, wish, requester, reply);
                }
                Err(refusal) => *refusal,
            },
            Command::Reserve { room, start, owner } => self.reserve(&room, start, &owner, requester),
            Command::Reservation { service, id } => self.reservation(&service, &id, requester),
            Command::EndReservation { service, id } => self.end_reservation(&service, &id, requester),
            Command::Mint { room, player, moderator, for_seconds, accept_owner } => {
                self.mint(&room, player, moderator, for_seconds, accept_owner, requester)
            }
            Command::ExplainToken { token } => self.explain_token(&token),
            Command::Answer { authority, ask, verdict, reason, for_seconds } => {
                let answer = Answer { verdict, reason, for_seconds };
                self.answer(authority.as_deref(), ask, answer, requester)
            }
            Command::Desire { authority, revision, rooms, really_empty } => {
                self.desire(authority.as_deref(), revision, &rooms, really_empty, requester).await
            }
            Command::Webhooks => Reply::Webhooks { webhooks: self.webhooks.rows() },
            Command::WebhookTest { ref target } => match self.webhooks.test(target, reply) {
                Ok(()) => {
                    let (who, asked) = (&requester.who, command.record());
                    let done = Reply::WebhookDone { text: "samples are sent".to_owned() };
                    self.audit_command(&asked, who, &done);
                    return info!(%who, %asked, "command carried out");
                }
                Err((refusal, back)) => {
                    reply = back;
                    *refusal
                }
            },
            Command::WebhookReplay { ref target, ref room, since, dead } => {
                let room = self.of_webhook(room.as_deref(), requester);
                match room.and_then(|room| self.webhooks.replay(target, room.as_ref(), since, dead)) {
                    Ok(answer) => return self.ordered(&command, answer, requester, reply),
                    Err(refusal) => *refusal,
                }
            }
            Command::WebhookSkip { ref target, ref room } => {
                let room = self.of_webhook(room.as_deref(), requester);
                match room.and_then(|room| self.webhooks.skip(target, room.as_ref())) {
                    Ok(answer) => return self.ordered(&command, answer, requester, reply),
                    Err(refusal) => *refusal,
                }
            }
            Command::Reload { plan } => self.reload(plan).await,
        };
        if let Some(asked) = asked {
            let audited = if matches!(answer, Reply::Refused { .. }) { if_refused } else { if_done };
            if audited {
                self.audit_command(&asked, &requester.who, &answer);
            }
            let who = &requester.who;
            let pid = if let Who::Unix { pid, .. } = who { *pid } else { None };
            match &answer {
                Reply::Refused { error, text } => warn!(%who, pid, %asked, %error, why = %text, "command refused"),
                _ => info!(%who, pid, %asked, "command carried out"),
            }
        }
        let _ = reply.send(answer);
    }

    /// A receiver's worker was ordered something: who asked waits for its word, and nobody else does.
    fn ordered(
        &self,
        command: &Command,
        answer: oneshot::Receiver<String>,
        requester: &Requester,
        reply: oneshot::Sender<Reply>,
    ) {
        let (who, asked) = (&requester.who, command.record());
        self.audit_command(&asked, who, &Reply::WebhookDone { text: String::new() });
        info!(%who, %asked, "command carried out");
        tokio::spawn(async move {
            let text = match tokio::time::timeout(VIEW_TIMEOUT, answer).await {
                Ok(Ok(text)) => text,
                // It is busy, and obeys when it is not.
                _ => "it is done as soon as what is under way comes to its end".to_owned(),
            };
            // Whoever asked may be gone; then nobody misses the answer.
            let _ = reply.send(Reply::WebhookDone { text });
        });
    }

    /// The room that is meant, where one is.
    fn of_webhook(&self, room: Option<&str>, requester: &Requester) -> Result<Option<RoomKey>, Box<Reply>> {
        room.map(|room| self.resolve(room, true, requester).map(|address| address.key)).transpose()
    }

    /// The room that is meant, if the requester may ask about it. Who has only some rooms is not told of others.
    pub(super) fn resolve(&self, text: &str, new: bool, requester: &Requester) -> Result<Address, Box<Reply>> {
        let resolved = self.look_up(text, new);
        let Requester { who, rights, .. } = requester;
        if rights.rooms.is_all() {
            return resolved.map_err(|error| Box::new(refused(error.word(), error.to_string())));
        }
        let not_theirs = || {
            let text =
                format!("{text:?} is no room that {who} may ask about; its rooms are {}", rights.rooms.explained());
            Box::new(refused("forbidden", text))
        };
        match resolved {
            Ok(address) if auth::room(rights, &address.key) => Ok(address),
            Err(AddressError::Ended { ref room, .. }) if !auth::room(rights, room) => Err(not_theirs()),
            Err(error @ (AddressError::Malformed(_) | AddressError::Ended { .. })) => {
                Err(Box::new(refused(error.word(), error.to_string())))
            }
            Err(error @ AddressError::UnknownRoom { .. }) if self.could_be_theirs(text, rights) => {
                Err(Box::new(refused(error.word(), format!("no room is called {text:?}"))))
            }
            // The answer is the same whether there is such a room or not, and a hint could name one.
            _ => Err(not_theirs()),
        }
    }

    fn look_up(&self, text: &str, new: bool) -> Result<Address, AddressError> {
        let found: BTreeMap<String, String> =
            self.services.iter().filter_map(|(name, running)| Some((name.to_string(), running.muc.clone()?))).collect();
        resolve(&self.config, &self.state.overrides, &found, text, new)
    }

    /// The room that is meant, if the requester may ask about it; also one whose booking has ended, and as `SERVICE/NAME`
    /// one of long ago.
    pub(super) fn resolve_past(&self, text: &str, requester: &Requester) -> Result<RoomKey, Box<Reply>> {
        let may = |key: &RoomKey| auth::room(&requester.rights, key);
        match self.look_up(text, false) {
            Err(AddressError::Ended { room, .. }) if may(&room) => return Ok(room),
            _ => {}
        }
        self.resolve(text, false, requester).map(|address| address.key).or_else(|refusal| {
            let named = text.split_once('/').map(|(service, name)| RoomKey::new(service, &name.to_lowercase()));
            named.filter(may).ok_or(refusal)
        })
    }

    /// Whether a room of that name, if there were one, would be among those that somebody may ask about.
    fn could_be_theirs(&self, text: &str, rights: &Rights) -> bool {
        let name = text.rsplit('/').next().and_then(|name| name.split('@').next()).unwrap_or(text);
        let named = text.split_once('/').map(|(service, _)| service);
        let mut services = self.config.services.keys().map(String::as_str);
        services.any(|service| named.is_none_or(|named| named == service) && rights.rooms.matches(service, name))
    }

    async fn say(
        &mut self,
        room: &str,
        says: Says,
        booking: Option<Booking>,
        reason: Option<String>,
        requester: &Requester,
    ) -> Reply {
        let address = match self.resolve(room, says == Says::Hold, requester) {
            Ok(address) => address,
            Err(refusal) => return *refusal,
        };
        if booking.is_some()
            && let Some(who) = self.state.overrides.wanted_by(&self.config, &address.key)
        {
            let text = format!("{} can not be booked, for {who} wants it held at all times", address.key);
            return refused("not-bookable", text);
        }
        let before = self.state.clone();
        let key = address.key.clone();
        let said = Override {
            room: address.key,
            muc: address.muc,
            says,
            booking,
            who: requester.who.to_string(),
            when: Timestamp::now(),
            why: reason,
        };
        self.state.overrides.apply(&self.config, said);
        if !self.save().await {
            self.state.overrides = before.overrides;
            return refused("not-saved", "the state folder cannot be written, so nothing was changed; see the log");
        }
        self.apply();
        if says == Says::Hold {
            self.open(&key);
        }
        let text = match says {
            Says::Hold => match self.state.overrides.booking(&self.config, &key) {
                Some(booking) => format!("{key} is booked {booking}"),
                None => format!("{key} is wanted from now on, also after a restart"),
            },
            Says::Release => format!("{key} is left, and stays so until `innkeeper hold {key}`"),
            Says::Suspend { until: Some(until) } => format!("{key} is left until {}", rfc3339(until)),
            Says::Suspend { until: None } => format!("{key} is left until `innkeeper hold {key}`"),
        };
        let clock = Clock::read();
        let row = match self.row(&key, clock) {
            Some(mut row) => {
                // Sessions are not waited for here; what was told knows it as well.
                let inside = self.rooms.get(&key).is_some_and(|seat| seat.entry.is_inside());
                let present = self.herald.present(&key).filter(|_| inside);
                let people = |present: &Present| present.people.values().filter(|one| one.machine.is_none()).count();
                row.people = present.map_or(0, people);
                row
            }
            None => RoomRow {
                service: key.service.to_string(),
                name: key.name.to_string(),
                jid: String::new(),
                state: RoomState::Released,
                since: rfc3339(clock.now()),
                cause: "released".to_owned(),
                text: "nobody wants the room any more".to_owned(),
                next: String::new(),
                next_at: None,
                last_trouble: None,
                people: 0,
            },
        };
        Reply::Done { text, room: row }
    }

    fn row(&self, key: &RoomKey, clock: Clock) -> Option<RoomRow> {
        let seat = self.rooms.get(key)?;
        let running = self.services.get(&key.service);
        let muc = seat.wanted.as_ref().and_then(|wanted| wanted.room.muc.as_deref());
        let jid = running.and_then(|running| running.jid(key, muc)).unwrap_or_default();
        let turn = running.map_or((String::new(), None), |running| running.turn(key, clock));
        Some(seat.entry.row(key, jid, clock, &turn))
    }

    fn rooms_reply(&self, rights: &Rights, reply: oneshot::Sender<Reply>) {
        let clock = Clock::read();
        let mut rooms: Vec<RoomRow> =
            self.rooms.keys().filter(|key| auth::room(rights, key)).filter_map(|key| self.row(key, clock)).collect();
        let asked: Vec<_> = self.services.values().flat_map(super::running::Running::ask_people).collect();
        tokio::spawn(async move {
            let deadline = Instant::now() + VIEW_TIMEOUT;
            let mut people: HashMap<RoomKey, usize> = HashMap::new();
            for answer in asked {
                // A session that does not answer in time leaves its rooms without a count.
                if let Ok(Ok(counts)) = tokio::time::timeout_at(deadline.into(), answer).await {
                    people.extend(counts);
                }
            }
            for row in &mut rooms {
                row.people = people.get(&RoomKey::new(row.service.as_str(), &row.name)).copied().unwrap_or_default();
            }
            let _ = reply.send(Reply::Rooms { rooms });
        });
    }

    fn room_reply(&self, key: &RoomKey, reply: oneshot::Sender<Reply>) {
        let clock = Clock::read();
        let Some(row) = self.row(key, clock) else {
            let _ = reply.send(refused("unknown-room", format!("{key} is not wanted by anybody")));
            return;
        };
        let sources = sources(&self.config, &self.state.overrides, clock.now(), key);
        let asked = self.services.get(&key.service).and_then(|running| running.ask_room(key));
        tokio::spawn(async move {
            let view = view(asked).await;
            let mut answer = RoomReply {
                row,
                session: None,
                nick: None,
                occupants: Vec::new(),
                waiting: Vec::new(),
                abilities: Vec::new(),
                sources,
            };
            if let Some(mut view) = view {
                answer.row.people = people(&view);
                answer.occupants = occupants(&view, clock);
                answer.waiting = view.waiting.iter().map(|(nick, one)| occupant(nick, one, None, clock)).collect();
                answer.abilities = super::acting::rows(std::mem::take(&mut view.abilities));
                answer.session = view.jid;
                answer.nick = view.nick;
            }
            let _ = reply.send(Reply::Room(Box::new(answer)));
        });
    }

    fn why_reply(&self, key: &RoomKey, reply: oneshot::Sender<Reply>) {
        let clock = Clock::read();
        let (Some(mut row), Some(seat)) = (self.row(key, clock), self.rooms.get(key)) else {
            let _ = reply.send(refused("unknown-room", format!("{key} is not wanted by anybody")));
            return;
        };
        let history = seat.entry.history();
        let sources = sources(&self.config, &self.state.overrides, clock.now(), key);
        let asked = self.services.get(&key.service).and_then(|running| running.ask_room(key));
        tokio::spawn(async move {
            row.people = view(asked).await.as_ref().map_or(0, people);
            let _ = reply.send(Reply::Why(Box::new(WhyReply { row, history, sources })));
        });
    }

    fn events_reply(&self, query: EventsQuery, rights: &Rights, mut reply: oneshot::Sender<Reply>) {
        let mut filter = match filter(&query) {
            Ok(filter) => filter,
            Err(text) => {
                let _ = reply.send(refused("bad-request", text));
                return;
            }
        };
        let limit = filter.limit.unwrap_or(usize::MAX);
        if !rights.rooms.is_all() && filter.room.is_none() {
            // Much of it may be about rooms of others.
            filter.limit = None;
        }
        let (database, rights) = (self.database.clone(), rights.clone());
        tokio::spawn(async move {
            let _turn = tokio::select! {
                turn = database.turn() => turn,
                // Nobody waits for it any more.
                () = reply.closed() => return,
            };
            let answer = match database.events(filter).await {
                Ok(mut records) => {
                    records.sort_by_key(|record| record.id);
                    let mut next = records.last().map(|record| record.id.number()).or(query.after);
                    records.retain(|record| auth::event(&rights, &record.service, record.room.as_deref()));
                    if query.after.is_none() {
                        records.drain(..records.len().saturating_sub(limit));
                    } else if records.len() > limit {
                        records.truncate(limit);
                        next = records.last().map(|record| record.id.number());
                    }
                    Reply::Events(EventsReply {
                        events: records.iter().filter_map(|record| record.json().ok()).collect(),
                        next,
                    })
                }
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::new(error));
                    warn!(error = %text, "recorded events could not be read");
                    refused("not-readable", text)
                }
            };
            let _ = reply.send(answer);
        });
    }

    fn health_reply(&self) -> Health {
        let held = |seat: &&Seat| {
            let wanted = seat.wanted.as_ref().is_some_and(|wanted| wanted.intent == Intent::Hold);
            wanted && seat.entry.state() == RoomState::Held
        };
        let held = self.rooms.values().map(AsRef::as_ref).filter(held).count();
        let desired = self.wanted();
        let status = if held == desired { "ok" } else { "degraded" };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let targets = self.webhooks.health();
        Health { status: status.to_owned(), version, rooms: HealthRooms { desired, held }, targets }
    }

    fn status_reply(&self, rights: &Rights) -> StatusReply {
        let clock = Clock::read();
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        let mut wanted = 0;
        for (_, seat) in self.rooms.iter().filter(|(key, _)| auth::room(rights, key)) {
            wanted += usize::from(seat.wanted.as_ref().is_some_and(|wanted| wanted.intent == Intent::Hold));
            *states.entry(seat.entry.state().to_string()).or_default() += 1;
        }
        let losses = self.database.losses();
        StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: rfc3339(self.started),
            wanted,
            states,
            services: self.config.services.keys().map(|name| self.service_row(name, clock)).collect(),
            configuration: self.configuration.clone(),
            rss_bytes: resident_bytes(),
            bad_stanzas: self.bad_stanzas,
            events_lost: losses.count,
            events_lost_why: losses.last.map(|(time, why)| format!("at {}: {why}", rfc3339(time))),
        }
    }

    fn service_row(&self, name: &str, clock: Clock) -> ServiceRow {
        let mut row = ServiceRow { name: name.to_owned(), ..ServiceRow::default() };
        let Some(running) = self.services.get(name) else {
            "not-connectable".clone_into(&mut row.state);
            "its settings do not work; see the log".clone_into(&mut row.text);
            return row;
        };
        (row.sessions, row.sessions_online) = running.machine.sessions();
        let mut trouble = None;
        row.state = match running.machine.reach() {
            Reach::Down { cause, next_at } => {
                trouble = Some(cause);
                row.next_at = Some(rfc3339(clock.wall(*next_at)));
                if cause.word.needs_person() { "held-back" } else { "unreachable" }
            }
            Reach::Up if row.sessions == 0 => "idle",
            Reach::Up if row.sessions_online == 0 => "connecting",
            Reach::Up => "online",
        }
        .to_owned();
        row.focus = match (&running.config.focus, running.machine.focus()) {
            (None, _) => "none",
            (Some(_), FocusState::Present) if row.sessions_online == 0 => "unknown",
            (Some(_), FocusState::Present) => "present",
            (Some(_), FocusState::Absent { cause, next_at }) => {
                if trouble.is_none() {
                    trouble = Some(cause);
                    row.next_at = Some(rfc3339(clock.wall(*next_at)));
                }
                "absent"
            }
        }
        .to_owned();
        if let Some(cause) = trouble.or(running.muc_trouble.as_ref()) {
            row.cause = cause.word.as_str();
            row.text = cause.text.to_string();
        }
        if let Some(login) = &running.login {
            row.mechanism = match serde_json::to_value(login.mechanism) {
                Ok(serde_json::Value::String(name)) => name,
                _ => String::new(),
            };
        }
        row.pace = match running.pace {
            PaceKind::Adaptive => "adaptive",
            PaceKind::RateLimited => "rate-limited",
        }
        .to_owned();
        row
    }

    // ── reload

    async fn reload(&mut self, plan: bool) -> Reply {
        // Before the start is finished there is nothing to tell systemd of a reload.
        let tell = !plan && self.ready;
        if tell {
            health::reloading();
        }
        let answer = self.reload_inner(plan).await;
        if tell {
            health::ready();
        }
        answer
    }

    async fn reload_inner(&mut self, plan: bool) -> Reply {
        // Files may lie on something slow, and sessions must not wait for it.
        let load = self.load.clone();
        let loaded = tokio::task::spawn_blocking(move || load()).await;
        let config: Config = match loaded.unwrap_or_else(|error| Err(vec![error.to_string()])) {
            Ok(config) => config,
            Err(problems) => {
                let text = problems.join("\n");
                if !plan {
                    error!(%text, "the new configuration is wrong; the running one stays");
                    let at = rfc3339(Timestamp::now());
                    self.configuration = format!("refused at {at}, the one before stays: {}", in_short(&problems));
                }
                return refused("bad-configuration", format!("{text}\nthe running configuration stays as it is"));
            }
        };
        let changes = reconcile(&self.config, &config, &self.state.overrides, Timestamp::now());
        let mut warnings = config.warnings.clone();
        for (what, differs) in [
            ("control_socket", self.config.control_socket != config.control_socket),
            ("state_dir", self.config.state_dir != config.state_dir),
            (
                "[http], but for its tokens and certificates,",
                http_moves(self.config.http.as_ref(), config.http.as_ref()),
            ),
        ] {
            if differs {
                warnings.push(format!("{what} takes effect with the next start"));
            }
        }
        let answer: Plan = changes.reply(!plan, &warnings);
        if !plan {
            for warning in &answer.warnings {
                warn!("{warning}");
            }
            info!(
                hold = answer.hold.len(),
                change = answer.change.len(),
                release = answer.release.len(),
                reconnect = answer.reconnect.len(),
                unchanged = answer.unchanged,
                "configuration read again"
            );
            self.take(config);
            self.save().await;
        }
        Reply::Reload(answer)
    }

    /// The same by SIGHUP: the answer goes to the log alone.
    pub(super) async fn reload_on_signal(&mut self) {
        let _ = self.reload(false).await;
    }
}

/// The first problem and how many more there are, for one line.
fn in_short(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first}; and {} more, all of which `innkeeper check` tells", more.len()),
    }
}

/// The question as the record takes it.
fn filter(query: &EventsQuery) -> Result<Filter, String> {
    let kinds = query.kind.as_deref().map_or_else(|| Ok(Vec::new()), Kind::matching)?;
    if query.limit.is_some_and(|limit| !(1..=1000).contains(&limit)) {
        return Err("limit is a number from 1 to 1000".to_owned());
    }
    // The record counts in signed numbers.
    if query.after.is_some_and(|after| i64::try_from(after).is_err()) {
        return Err("after is the id of an event, and none has one so high".to_owned());
    }
    let (service, room) = match query.room.as_deref().map(|room| (room.split_once('/'), room)) {
        Some((Some((service, room)), _)) => (Some(service), Some(room)),
        Some((None, room)) => (query.service.as_deref(), Some(room)),
        None => (query.service.as_deref(), None),
    };
    Ok(Filter {
        service: service.map(Into::into),
        room: room.map(|room| room.to_lowercase().into()),
        kinds,
        who: query.who.as_deref().map(Into::into),
        since: query.since,
        until: query.until,
        after: query.after.map(EventId::from),
        order: if query.after.is_some() { Order::OldestFirst } else { Order::NewestFirst },
        limit: Some(usize::from(query.limit.unwrap_or(100))),
        ..Filter::default()
    })
}

/// What the session of a room says of it; nothing where there is none, or it does not answer in time.
async fn view(asked: Option<oneshot::Receiver<Option<RoomView>>>) -> Option<RoomView> {
    tokio::time::timeout(VIEW_TIMEOUT, asked?).await.ok().and_then(Result::ok).flatten()
}

fn people(view: &RoomView) -> usize {
    let ours = |nick: &String| view.nick.as_deref() == Some(nick) || view.ghosts.contains(nick);
    view.occupants.iter().filter(|(nick, _, machine)| machine.is_none() && !ours(nick)).count()
}

fn occupants(view: &RoomView, clock: Clock) -> Vec<OccupantRow> {
    let row = |(nick, one, machine): &(String, Occupant, Option<Machine>)| {
        let kind = match machine {
            _ if view.nick.as_deref() == Some(nick) => Some("ourselves"),
            Some(Machine::Focus) => Some("focus"),
            _ if view.ghosts.contains(nick) => Some("a lost session of ours"),
            Some(Machine::Keeper) => Some("ourselves"),
            Some(Machine::Recorder) => Some("recorder"),
            Some(Machine::Transcriber) => Some("transcriber"),
            None => None,
        };
        occupant(nick, one, kind, clock)
    };
    view.occupants.iter().map(row).collect()
}

fn occupant(nick: &str, one: &Occupant, kind: Option<&str>, clock: Clock) -> OccupantRow {
    let unknown = || "unknown".to_owned();
    OccupantRow {
        nick: nick.to_owned(),
        real_jid: one.real_jid.as_deref().map(str::to_owned),
        role: one.role.as_ref().map_or_else(unknown, |role| role.as_str().to_owned()),
        affiliation: one.affiliation.as_ref().map_or_else(unknown, |known| known.as_str().to_owned()),
        display_name: one.display_name.as_deref().map(str::to_owned),
        kind: kind.map(str::to_owned),
        since: rfc3339(clock.wall(one.since)),
    }
}

/// Whether something of the HTTP interface changes that only a start can change.
fn http_moves(old: Option<&Http>, new: Option<&Http>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            old.listen != new.listen || old.tls.is_some() != new.tls.is_some() || old.connections != new.connections
        }
        (old, new) => old.is_some() != new.is_some(),
    }
}

/// Resident memory, from `/proc/self/statm`; 0 where there is none.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_problems_are_one_line_and_a_hint() {
        let problems = ["a.toml:1: x: unknown key", "a.toml:2: y: missing", "a.toml:3: z: missing"].map(str::to_owned);
        assert_eq!(in_short(&problems[..1]), "a.toml:1: x: unknown key");
        assert_eq!(in_short(&problems), "a.toml:1: x: unknown key; and 2 more, all of which `innkeeper check` tells");
    }
}
