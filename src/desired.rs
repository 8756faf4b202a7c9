//! Which rooms are wanted, and by whom. Pure.
//!
//! The configuration, the overrides of people and the lists of authorities are the sources. A room is wanted if one
//! source wants it and none says no. `suspend` beats everything until `hold` or until its end; `release` beats the
//! configuration until `hold` or until the configuration drops the room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::booking::{Booking, Phase, shown};
use crate::command::{self, SourceRow};
use crate::config::{Config, Room, RoomKey, Service, nearest};

mod programs;

/// How long after its end a booked room is released at the latest, where its rule did not get to close it.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// How long after its end a booked room is wanted where people were inside when we last saw it and we are not: once we
/// are back its rule ends the meeting.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// How far the clock of a rule may be behind ours.
const SLACK: SignedDuration = SignedDuration::from_secs(1);
/// How long bookings that ended are remembered, and how many of them.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
const MOST_ENDED: usize = 4096;

/// What a person said about a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Hold it.
    Hold,
    /// Do not hold it, also if the configuration wants it.
    Release,
    /// Leave it for a while and keep its settings.
    Suspend {
        /// When it is held again; `None`: when somebody says `hold`.
        until: Option<Timestamp>,
    },
}

/// One word of a person about a room; lasts over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Which room.
    pub room: RoomKey,
    /// The room's own domain, when a hold named one that is not its service's.
    pub muc: Option<String>,
    /// What.
    pub says: Says,
    /// For which time, when a hold said so.
    pub booking: Option<Booking>,
    /// Who said it: `uid 1000`.
    pub who: String,
    /// When.
    pub when: Timestamp,
    /// Why, for the record.
    pub why: Option<String>,
}

/// The rooms that an authority wants: all that it wants, and replaced as a whole. Lasts over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Counts its lists: an older one than the last is refused.
    pub revision: u64,
    /// Which rooms.
    pub rooms: BTreeSet<RoomKey>,
    /// Who said it: `line game`.
    pub who: String,
    /// When.
    pub when: Timestamp,
}

/// What people said and what still counts: per room at most one `hold` or `release`, and one `suspend` beside it,
/// so that the room is again what it was when the suspension ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    standing: BTreeMap<RoomKey, Override>,
    suspended: BTreeMap<RoomKey, Override>,
    /// Bookings that ended, so that whoever asks for the room is told.
    ended: BTreeMap<RoomKey, Override>,
    /// Bookings whose time is over and whose meeting is still to be ended, each with when it is given up.
    late: BTreeMap<RoomKey, Timestamp>,
    lists: BTreeMap<String, List>,
}

impl Override {
    /// When its booking ends.
    fn ends(&self) -> Option<Timestamp> {
        self.booking.as_ref()?.until
    }
}

impl Overrides {
    /// The list of an authority, by its name.
    #[must_use]
    pub fn list(&self, authority: &str) -> Option<&List> {
        self.lists.get(authority)
    }

    /// All lists, by the names of their authorities.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &List)> {
        self.lists.iter().map(|(name, list)| (name.as_str(), list))
    }

    /// Replaces the list of an authority.
    pub fn set_list(&mut self, authority: &str, list: List) {
        self.lists.insert(authority.to_owned(), list);
    }

    /// The authorities whose lists count and have this room.
    fn listed<'o>(&'o self, config: &'o Config, room: &'o RoomKey) -> impl Iterator<Item = (&'o str, &'o List)> {
        self.lists().filter(move |(name, list)| list.rooms.contains(room) && rules(config, name, room))
    }

    /// Whether somebody but people wants the room.
    fn is_wanted_anyhow(&self, config: &Config, room: &RoomKey) -> bool {
        config.rooms.contains_key(room) || self.listed(config, room).next().is_some()
    }

    /// Who but people wants the room, in words; such a room can not be booked.
    #[must_use]
    pub fn wanted_by(&self, config: &Config, room: &RoomKey) -> Option<String> {
        let configured = config.rooms.get(room).map(|room| format!("the configuration ({})", room.origin));
        configured.or_else(|| self.listed(config, room).next().map(|(name, _)| format!("authority {name}")))
    }

    /// The booking of a room, up to its end and a moment longer.
    #[must_use]
    pub fn booking(&self, config: &Config, room: &RoomKey) -> Option<&Booking> {
        let booking = self.standing.get(room)?.booking.as_ref()?;
        (!self.is_wanted_anyhow(config, room)).then_some(booking)
    }

    /// All bookings with an end, by room.
    pub fn bookings<'o>(&'o self, config: &'o Config) -> impl Iterator<Item = (&'o RoomKey, Timestamp)> {
        let ends = self.standing.iter().filter_map(|(room, said)| Some((room, said.ends()?)));
        ends.filter(|(room, _)| !self.is_wanted_anyhow(config, room))
    }

    /// When the booking of a room ended that nobody wants since.
    #[must_use]
    pub fn ended(&self, config: &Config, room: &RoomKey) -> Option<Timestamp> {
        let ended = self.ended.get(room)?.ends();
        ended.filter(|_| !self.is_wanted_anyhow(config, room))
    }

    /// The rule has closed a booked room: it is wanted no more, if its time is over. Says whether that changed anything.
    pub fn end_booking(&mut self, room: &RoomKey, now: Timestamp) -> bool {
        let ends = self.standing.get(room).and_then(Override::ends);
        let over = ends.is_some_and(|ends| ends.duration_since(now) <= SLACK);
        if over {
            self.end(room);
        }
        over
    }

    /// We are outside a booked room, and people were inside when we last saw it: if its time is over it is wanted for a
    /// while longer, so that its meeting is ended once we are back. Says whether that is news.
    pub fn end_late(&mut self, room: &RoomKey, now: Timestamp) -> bool {
        let ends = self.standing.get(room).and_then(Override::ends).filter(|ends| *ends <= now);
        let Some(until) = ends.and_then(|ends| ends.checked_add(LATE).ok()).filter(|until| *until > now) else {
            return false;
        };
        let new = !self.suspended.contains_key(room) && !self.late.contains_key(room);
        if new {
            self.late.insert(room.clone(), until);
        }
        new
    }

    /// We are back in a room: where its booking is over, its rule has a moment to end the meeting.
    pub fn back_inside(&mut self, room: &RoomKey, now: Timestamp) {
        if let Some(until) = self.late.get_mut(room) {
            *until = (*until).min(now.checked_add(GRACE).unwrap_or(Timestamp::MAX));
        }
    }

    /// When a booked room is released at the latest.
    fn released_at(&self, said: &Override) -> Option<Timestamp> {
        let ends = said.ends()?;
        Some(self.late.get(&said.room).copied().unwrap_or_else(|| ends.checked_add(GRACE).unwrap_or(Timestamp::MAX)))
    }

    fn end(&mut self, room: &RoomKey) {
        self.suspended.remove(room);
        self.late.remove(room);
        let Some(said) = self.standing.remove(room) else { return };
        if self.ended.len() >= MOST_ENDED {
            let oldest = self.ended.iter().min_by_key(|(_, said)| said.ends()).map(|(room, _)| room.clone());
            oldest.and_then(|room| self.ended.remove(&room));
        }
        self.ended.insert(room.clone(), said);
    }

    /// Notes what a person said. A `hold` ends a suspension, and of a room that is booked and suspended nothing else; a
    /// `release` of a room that nobody else wants leaves nothing to remember.
    pub fn apply(&mut self, config: &Config, said: Override) {
        let room = said.room.clone();
        self.ended.remove(&room);
        self.late.remove(&room);
        match said.says {
            Says::Hold => {
                let suspended = self.suspended.remove(&room).is_some();
                let booked = self.standing.get(&room).is_some_and(|standing| standing.booking.is_some());
                if !(suspended && booked && said.booking.is_none()) {
                    self.standing.insert(room, said);
                }
            }
            Says::Release if self.is_wanted_anyhow(config, &room) => {
                self.standing.insert(room, said);
            }
            Says::Release => {
                self.suspended.remove(&room);
                self.standing.remove(&room);
            }
            Says::Suspend { .. } => {
                self.suspended.insert(room, said);
            }
        }
    }

    /// Forgets what no longer counts: releases of rooms that nobody else wants any more, and suspensions and bookings that
    /// ended. Answers whether anything was. To be called after a start, a reload and at [`Overrides::next_change`].
    pub fn prune(&mut self, config: &Config, now: Timestamp) -> bool {
        let count = |all: &Self| (all.standing.len(), all.suspended.len(), all.ended.len());
        let before = count(self);
        let moot =
            |(room, said): &(&RoomKey, &Override)| said.says == Says::Release && !self.is_wanted_anyhow(config, room);
        let moot: Vec<RoomKey> = self.standing.iter().filter(moot).map(|(room, _)| room.clone()).collect();
        for room in moot {
            self.standing.remove(&room);
        }
        self.suspended.retain(|_, said| is_suspended(said, now));
        let is_over = |said: &Override| self.released_at(said).is_some_and(|at| at <= now);
        let over: Vec<RoomKey> =
            self.standing.iter().filter(|(_, said)| is_over(said)).map(|(room, _)| room.clone()).collect();
        for room in over {
            self.end(&room);
        }
        self.ended.retain(|_, said| said.ends().is_some_and(|ended| now.duration_since(ended) < REMEMBERED));
        before != count(self)
    }

    /// When something changes by itself next, later than `after`: a suspension ends, a booked room opens or is released.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let suspensions = self.suspended.values().filter_map(|said| match said.says {
            Says::Suspend { until } => until,
            _ => None,
        });
        let opens = self.standing.values().filter_map(|said| said.booking.as_ref()?.opens());
        let released = self.standing.values().filter_map(|said| self.released_at(said));
        suspensions.chain(opens).chain(released).filter(|at| *at > after).min()
    }

    /// All that outlives a restart; what ended is told from what stands by its time.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Override> {
        self.iter().chain(self.ended.values())
    }

    /// All of them, by room, a suspension after what it covers.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        let rooms: BTreeSet<_> = self.standing.keys().chain(self.suspended.keys()).collect();
        rooms.into_iter().flat_map(|room| self.of(room))
    }

    /// Those about one room.
    pub fn of(&self, room: &RoomKey) -> impl Iterator<Item = &Override> {
        self.standing.get(room).into_iter().chain(self.suspended.get(room))
    }

    /// As they were kept: without looking at the configuration.
    pub(crate) fn restore(&mut self, said: Override) {
        let place = if let Says::Suspend { .. } = said.says { &mut self.suspended } else { &mut self.standing };
        place.insert(said.room.clone(), said);
    }
}

fn is_suspended(said: &Override, now: Timestamp) -> bool {
    matches!(said.says, Says::Suspend { until } if until.is_none_or(|until| now < until))
}

/// What is to be done with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Hold it.
    Hold,
    /// Stay out, keep the settings.
    Suspend {
        /// Until then; `None`: until somebody says `hold`.
        until: Option<Timestamp>,
    },
    /// Stay out for now: the room is booked, and opens later.
    Booked {
        /// When the meeting begins.
        from: Timestamp,
        /// When the room opens.
        opens: Timestamp,
    },
    /// Stay out: the configuration wants the room and a person does not.
    Release,
}

/// A room that at least one source wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How it is held.
    pub room: Arc<Room>,
    /// Whether it is.
    pub intent: Intent,
}

/// Every room that a source wants, and what comes of all sources together.
///
/// A hold of a room whose service the configuration no longer has counts for nothing; it is kept for the day the service
/// comes back.
#[must_use]
pub fn desired(config: &Config, overrides: &Overrides, now: Timestamp) -> BTreeMap<RoomKey, Wanted> {
    let mut wanted: BTreeMap<RoomKey, Wanted> = BTreeMap::new();
    for (key, room) in &config.rooms {
        wanted.insert(key.clone(), Wanted { room: room.clone(), intent: Intent::Hold });
    }
    for (name, list) in overrides.lists() {
        for key in list.rooms.iter().filter(|key| rules(config, name, key)) {
            let origin = format!("authority {name}, revision {}", list.revision);
            wanted.entry(key.clone()).or_insert_with(|| Wanted {
                room: Arc::new(by_default(config, key, None, None, origin)),
                intent: Intent::Hold,
            });
        }
    }
    for said in overrides.standing.values() {
        match said.says {
            Says::Release => {
                if let Some(wanted) = wanted.get_mut(&said.room) {
                    wanted.intent = Intent::Release;
                }
            }
            Says::Hold if config.services.contains_key(&*said.room.service) => {
                wanted.entry(said.room.clone()).or_insert_with(|| {
                    let origin = format!("command line, {}", said.who);
                    let title = said.booking.as_ref().and_then(|booking| booking.title.clone());
                    let intent = match said.booking.as_ref().map(|booking| booking.phase(now)) {
                        Some(Phase::Before { from, opens }) => Intent::Booked { from, opens },
                        _ => Intent::Hold,
                    };
                    Wanted { room: Arc::new(by_default(config, &said.room, said.muc.clone(), title, origin)), intent }
                });
            }
            _ => {}
        }
    }
    for said in overrides.suspended.values().filter(|said| is_suspended(said, now)) {
        if let (Some(wanted), Says::Suspend { until }) = (wanted.get_mut(&said.room), said.says) {
            wanted.intent = Intent::Suspend { until };
        }
    }
    wanted
}

/// Whether an authority of the configuration has that room among those that it decides about.
fn rules(config: &Config, authority: &str, room: &RoomKey) -> bool {
    let named = config.authorities.iter().find(|known| known.name == authority);
    named.is_some_and(|authority| authority.rules(&room.service, &room.name))
}

/// A room that the configuration does not know: it gets the defaults, and its title for a subject.
fn by_default(config: &Config, key: &RoomKey, muc: Option<String>, title: Option<Box<str>>, origin: String) -> Room {
    Room {
        key: key.clone(),
        muc,
        nick: config.defaults.nick.clone(),
        display_name: config.defaults.display_name.clone(),
        password: config.defaults.password.clone(),
        moderated: config.moderated(key, config.defaults.moderated(title)),
        origin: origin.into(),
    }
}

/// Who wants a room and who does not.
#[must_use]
pub fn sources(config: &Config, overrides: &Overrides, now: Timestamp, room: &RoomKey) -> Vec<SourceRow> {
    let mut rows = Vec::new();
    if let Some(room) = config.rooms.get(room) {
        rows.push(SourceRow {
            source: "configuration".to_owned(),
            says: "hold".to_owned(),
            who: room.origin.to_string(),
            when: String::new(),
            from: None,
            until: None,
            reason: None,
        });
    }
    for (name, list) in overrides.listed(config, room) {
        rows.push(SourceRow {
            source: "authority".to_owned(),
            says: "hold".to_owned(),
            who: name.to_owned(),
            when: list.when.to_string(),
            from: None,
            until: None,
            reason: Some(format!("revision {}", list.revision)),
        });
    }
    for said in overrides.of(room) {
        let (says, until) = match said.says {
            Says::Hold => ("hold", said.ends()),
            Says::Release => ("release", None),
            Says::Suspend { .. } if !is_suspended(said, now) => continue,
            Says::Suspend { until } => ("suspend", until),
        };
        rows.push(SourceRow {
            source: match said.who.split(' ').next() {
                Some("token") => "http",
                Some("line") => "line",
                _ => "command line",
            }
            .to_owned(),
            says: says.to_owned(),
            who: said.who.clone(),
            when: said.when.to_string(),
            from: said.booking.as_ref().and_then(|booking| booking.from).map(|from| from.to_string()),
            until: until.map(|until| until.to_string()),
            reason: said.why.clone(),
        });
    }
    rows
}

// ── addresses

/// A room that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Which.
    pub key: RoomKey,
    /// Its own domain, when a room JID named one that is not (known to be) the service's.
    pub muc: Option<String>,
}

/// Why a name leads to no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nobody wants such a room.
    #[error("no room is called {room:?}{}", hint(.near))]
    UnknownRoom {
        /// What was asked for.
        room: String,
        /// What may have been meant.
        near: Option<String>,
    },
    /// It was booked, and its time is over.
    #[error("the booking of {room} ended at {}; hold it again to open it anew", shown(*.ended))]
    Ended {
        /// Which.
        room: RoomKey,
        /// When.
        ended: Timestamp,
    },
    /// Several rooms have the name.
    #[error("{room:?} is the name of several rooms: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        room: String,
        /// All of them, `service/name`.
        candidates: Vec<String>,
    },
    /// No such service.
    #[error("no service is called {service:?}; there is {}", or_none(.services))]
    UnknownService {
        /// What was asked for.
        service: String,
        /// All of them.
        services: Vec<String>,
    },
    /// A new room, and several services could have it.
    #[error("{room:?} is a new room; say on which service: {}", services.join(", "))]
    WhichService {
        /// What was asked for.
        room: String,
        /// All of them, `service/name`.
        services: Vec<String>,
    },
    /// No name at all, or one that no room can have.
    #[error("{0:?} is no room name: NAME, SERVICE/NAME or the room's JID is expected")]
    Malformed(String),
}

impl AddressError {
    /// The stable word for [`command::Reply::Refused`].
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            AddressError::UnknownRoom { .. } => "unknown-room",
            AddressError::Ended { .. } => "ended",
            AddressError::Ambiguous { .. } | AddressError::WhichService { .. } => "ambiguous-room",
            AddressError::UnknownService { .. } => "unknown-service",
            AddressError::Malformed(_) => "bad-request",
        }
    }
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

fn or_none(services: &[String]) -> String {
    if services.is_empty() { "none".to_owned() } else { services.join(", ") }
}

/// Finds the room that `text` names: `NAME` where that is unique, `SERVICE/NAME`, or the room's JID.
///
/// `found` are group chat domains that were found for services without `muc`. With `new`, as for `hold`, a room nobody
/// wants yet is an answer too, if its service is clear.
///
/// # Errors
/// See [`AddressError`].
pub fn resolve(
    config: &Config,
    overrides: &Overrides,
    found: &BTreeMap<String, String>,
    text: &str,
    new: bool,
) -> Result<Address, AddressError> {
    let known: BTreeMap<RoomKey, Option<&str>> = config
        .rooms
        .iter()
        .map(|(key, room)| (key.clone(), room.muc.as_deref()))
        .chain(overrides.iter().filter(|said| config.services.contains_key(&*said.room.service)).map(|said| {
            let muc = config.rooms.get(&said.room).map_or(said.muc.as_deref(), |room| room.muc.as_deref());
            (said.room.clone(), muc)
        }))
        .chain(overrides.lists().flat_map(|(name, list)| {
            let theirs = list.rooms.iter().filter(move |key| rules(config, name, key));
            theirs.map(|key| (key.clone(), config.rooms.get(key).and_then(|room| room.muc.as_deref())))
        }))
        .collect();
    let resolved = resolve_among(config, &known, found, text, new);
    if let Err(AddressError::UnknownRoom { .. }) = resolved {
        let ended = overrides.ended.iter().map(|(key, said)| (key.clone(), said.muc.as_deref())).collect();
        if let Ok(Address { key, .. }) = resolve_among(config, &ended, found, text, false)
            && let Some(ended) = overrides.ended(config, &key)
        {
            return Err(AddressError::Ended { room: key, ended });
        }
    }
    resolved
}

fn resolve_among(
    config: &Config,
    known: &BTreeMap<RoomKey, Option<&str>>,
    found: &BTreeMap<String, String>,
    text: &str,
    new: bool,
) -> Result<Address, AddressError> {
    let malformed = || AddressError::Malformed(text.to_owned());
    let domain_of = |service: &Service| service.muc.as_ref().or_else(|| found.get(&service.name)).cloned();

    if text.contains('@') {
        return by_jid(config, known, &domain_of, text, new);
    }
    if let Some((service, name)) = text.split_once('/') {
        if !config.services.contains_key(service) {
            let services = config.services.keys().cloned().collect();
            return Err(AddressError::UnknownService { service: service.to_owned(), services });
        }
        let (name, _) = crate::config::room_name(name).map_err(|_| malformed())?;
        let key = RoomKey::new(service, &name);
        if let Some(muc) = known.get(&key) {
            let muc = muc.map(str::to_owned);
            return Ok(Address { key, muc });
        }
        return if new { Ok(Address { key, muc: None }) } else { Err(unknown(known, text)) };
    }
    let (name, _) = crate::config::room_name(text).map_err(|_| malformed())?;
    let mut candidates: Vec<_> = known.iter().filter(|(key, _)| *key.name == *name).collect();
    match candidates.len() {
        1 => {
            let (key, muc) = candidates.remove(0);
            Ok(Address { key: key.clone(), muc: muc.map(str::to_owned) })
        }
        0 if new => match config.services.len() {
            1 => Ok(Address {
                key: RoomKey::new(config.services.keys().next().map_or("", String::as_str), &name),
                muc: None,
            }),
            0 => Err(AddressError::UnknownService { service: String::new(), services: Vec::new() }),
            _ => {
                let services = config.services.keys().map(|service| format!("{service}/{name}")).collect();
                Err(AddressError::WhichService { room: text.to_owned(), services })
            }
        },
        0 => Err(unknown(known, text)),
        _ => Err(AddressError::Ambiguous {
            room: text.to_owned(),
            candidates: candidates.into_iter().map(|(key, _)| key.to_string()).collect(),
        }),
    }
}

fn by_jid(
    config: &Config,
    known: &BTreeMap<RoomKey, Option<&str>>,
    domain_of: &dyn Fn(&Service) -> Option<String>,
    text: &str,
    new: bool,
) -> Result<Address, AddressError> {
    let Ok((name, Some(domain))) = crate::config::room_name(text) else {
        return Err(AddressError::Malformed(text.to_owned()));
    };
    // A tenant's room goes by one name, whichever way it is said.
    let as_tenants = config.services.values().find_map(|service| {
        let muc = domain_of(service)?;
        let tenant = crate::xmpp::jid::tenant(&muc, &domain)?;
        Some((format!("[{tenant}]{name}"), muc))
    });
    let (name, domain) = as_tenants.unwrap_or((name, domain));
    let is_there = |key: &RoomKey, muc: Option<&str>| match muc {
        Some(muc) => muc == domain,
        None => {
            let service = config.services.get(&*key.service).and_then(domain_of);
            service.is_none_or(|known| known == domain)
        }
    };
    let mut there = known.iter().filter(|(key, muc)| *key.name == *name && is_there(key, **muc));
    if let Some((key, muc)) = there.next() {
        let others: Vec<_> = there.map(|(key, _)| key.to_string()).collect();
        if others.is_empty() {
            return Ok(Address { key: key.clone(), muc: muc.map(str::to_owned) });
        }
        let candidates = [vec![key.to_string()], others].concat();
        return Err(AddressError::Ambiguous { room: text.to_owned(), candidates });
    }
    if !new {
        return Err(unknown(known, text));
    }
    let serves = |service: &&Service| domain_of(service).as_deref() == Some(&domain);
    let services: Vec<_> = config.services.values().filter(serves).collect();
    // A single service may have several group chat domains; with more of them, nobody can tell whose this is.
    let (service, own) = match (services.as_slice(), config.services.len()) {
        ([service], _) => (&service.name, true),
        ([], 1) => match config.services.keys().next() {
            Some(service) => (service, false),
            None => return Err(unknown(known, text)),
        },
        _ => {
            let services = config.services.keys().map(|service| format!("{service}/{name}")).collect();
            return Err(AddressError::WhichService { room: text.to_owned(), services });
        }
    };
    let key = RoomKey::new(service.as_str(), &name);
    if known.contains_key(&key) {
        // The name is taken by a room of another domain, and names are what rooms are told apart by.
        return Err(AddressError::Ambiguous { room: text.to_owned(), candidates: vec![key.to_string()] });
    }
    Ok(Address { key, muc: (!own).then_some(domain) })
}

fn unknown(known: &BTreeMap<RoomKey, Option<&str>>, text: &str) -> AddressError {
    let names: BTreeSet<String> = known.keys().flat_map(|key| [key.name.to_string(), key.to_string()]).collect();
    let near = nearest(text, names.iter().map(String::as_str)).map(str::to_owned);
    AddressError::UnknownRoom { room: text.to_owned(), near }
}

// ── changes

/// What a new configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Rooms newly held.
    pub hold: Vec<RoomKey>,
    /// Rooms that stay and whose settings change, with the keys that change.
    pub change: Vec<(RoomKey, Vec<&'static str>)>,
    /// Rooms that are left.
    pub release: Vec<RoomKey>,
    /// Services that connect again, with the keys that change.
    pub reconnect: Vec<(String, Vec<&'static str>)>,
    /// Services that stay connected and work otherwise, with the keys that change.
    pub adjust: Vec<(String, Vec<&'static str>)>,
    /// Services that are new.
    pub added: Vec<String>,
    /// Services that are gone.
    pub removed: Vec<String>,
    /// Programs that ask, decide or are told, each with what becomes of it.
    pub programs: Vec<String>,
    /// Rooms that stay untouched.
    pub unchanged: usize,
}

impl Plan {
    /// Whether nothing changes, so that no stanza is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Plan { hold, change, release, reconnect, adjust, added, removed, programs, unchanged: _ } = self;
        hold.is_empty()
            && change.is_empty()
            && release.is_empty()
            && reconnect.is_empty()
            && adjust.is_empty()
            && added.is_empty()
            && removed.is_empty()
            && programs.is_empty()
    }

    /// As it is answered to people.
    #[must_use]
    pub fn reply(&self, applied: bool, warnings: &[String]) -> command::Plan {
        let with = |name: &dyn std::fmt::Display, keys: &[&str]| format!("{name}: {}", keys.join(", "));
        let rooms = |rooms: &[RoomKey]| rooms.iter().map(ToString::to_string).collect();
        let mut change: Vec<String> = self.change.iter().map(|(room, keys)| with(room, keys)).collect();
        change.extend(self.adjust.iter().map(|(service, keys)| with(&format!("service {service}"), keys)));
        change.extend_from_slice(&self.programs);
        let mut reconnect: Vec<String> = self.reconnect.iter().map(|(service, keys)| with(service, keys)).collect();
        reconnect.extend(self.added.iter().map(|service| format!("{service}: new")));
        reconnect.extend(self.removed.iter().map(|service| format!("{service}: gone, logs out")));
        command::Plan {
            applied,
            hold: rooms(&self.hold),
            change,
            release: rooms(&self.release),
            reconnect,
            unchanged: self.unchanged,
            warnings: warnings.to_vec(),
        }
    }
}

/// Compares two configurations under the same overrides. The same content gives an empty plan, wherever it is written.
#[must_use]
pub fn reconcile(before: &Config, after: &Config, overrides: &Overrides, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for (name, old) in &before.services {
        let Some(new) = after.services.get(name) else {
            plan.removed.push(name.clone());
            continue;
        };
        let (hard, soft) = service_changes(old, new);
        if !hard.is_empty() {
            plan.reconnect.push((name.clone(), [hard, soft].concat()));
        } else if !soft.is_empty() {
            plan.adjust.push((name.clone(), soft));
        }
    }
    plan.programs = programs::changes(before, after);
    plan.added = after.services.keys().filter(|name| !before.services.contains_key(*name)).cloned().collect();

    // A reload also drops the releases of rooms that the configuration drops.
    let mut pruned = overrides.clone();
    pruned.prune(after, now);
    let held = |wanted: BTreeMap<RoomKey, Wanted>| -> BTreeMap<RoomKey, Arc<Room>> {
        let held = wanted.into_iter().filter(|(_, wanted)| wanted.intent == Intent::Hold);
        held.map(|(key, wanted)| (key, wanted.room)).collect()
    };
    let old = held(desired(before, overrides, now));
    let new = held(desired(after, &pruned, now));
    plan.release = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
    let rules = |config: &Config, key: &RoomKey| config.policies.plans(&key.service, &key.name);
    let same_rules = before.policies == after.policies;
    for (key, room) in &new {
        match old.get(key) {
            None => plan.hold.push(key.clone()),
            Some(old) => {
                let mut keys = room_changes(old, room);
                if !same_rules && rules(before, key) != rules(after, key) {
                    keys.push("rules");
                }
                if keys.is_empty() { plan.unchanged += 1 } else { plan.change.push((key.clone(), keys)) }
            }
        }
    }
    plan
}

fn room_changes(old: &Room, new: &Room) -> Vec<&'static str> {
    // Where it is written says nothing about the room.
    let Room { key: _, muc, nick, display_name, password, moderated, origin: _ } = old;
    let mut keys = Vec::new();
    let mut note = |key, differs: bool| keys.extend(differs.then_some(key));
    note("name", *muc != new.muc);
    note("nick", *nick != new.nick);
    note("display_name", *display_name != new.display_name);
    note("password", *password != new.password);
    note("settings", *moderated != new.moderated);
    keys
}

/// Whether a service stays connected when its settings change from `old` to `new`.
#[must_use]
pub fn same_connection(old: &Service, new: &Service) -> bool {
    service_changes(old, new).0.is_empty()
}

/// What needs a new connection, and what does not.
fn service_changes(old: &Service, new: &Service) -> (Vec<&'static str>, Vec<&'static str>) {
    use crate::config::Login;
    let Service {
        name: _,
        endpoint,
        domain,
        muc,
        focus,
        login,
        mechanisms,
        ca_file,
        nameserver,
        rooms_per_session,
        joins_per_second,
        pace,
        self_ping,
        after_kick,
        media,
        stanza_bytes,
        // Connections that are made from now on heed these; none is closed for them.
        record,
        record_content,
    } = old;
    let (mut hard, mut soft) = (Vec::new(), Vec::new());
    {
        let mut note = |key, differs: bool| hard.extend(differs.then_some(key));
        note("url", *endpoint != new.endpoint);
        note("domain", *domain != new.domain);
        note("muc", *muc != new.muc);
        note("focus", *focus != new.focus);
        match (login, &new.login) {
            (Login::Direct { account, password }, Login::Direct { account: a, password: p }) => {
                note("account", account != a);
                note("password", password != p);
            }
            (old, new) => note("login", old != new),
        }
        note("mechanisms", *mechanisms != new.mechanisms);
        note("ca_file", *ca_file != new.ca_file);
        note("nameserver", *nameserver != new.nameserver);
        note("rooms_per_session", *rooms_per_session != new.rooms_per_session);
        note("stanza_limit", *stanza_bytes != new.stanza_bytes);
    }
    let mut note = |key, differs: bool| soft.extend(differs.then_some(key));
    note("joins_per_second", *joins_per_second != new.joins_per_second);
    note("pace", *pace != new.pace);
    note("self_ping", *self_ping != new.self_ping);
    note("after_kick", *after_kick != new.after_kick);
    note("media", *media != new.media);
    note("record", *record != new.record);
    note("record_content", *record_content != new.record_content);
    (hard, soft)
}

#[cfg(test)]
mod tests;
