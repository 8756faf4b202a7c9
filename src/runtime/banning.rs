//! The list of bans: kept, given to every session, ended in time; and what rules remember.
//!
//! A ban is acknowledged when it is on the disk and every session was told. Nobody in the supervisor waits for the disk:
//! what was stored comes back as [`Stored`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::banned::Wanted;
use super::following::{self, Entries};
use super::session::News;
use super::supervisor::Supervisor;
use crate::action::{Action, Actor, Request, Standing};
use crate::command::Reply;
use crate::config::{Config, RoomKey};
use crate::pattern::Pattern;
use crate::policy::bans::{Ban, Bans};
use crate::policy::rules::booking::booked;
use crate::policy::{self, AllowList, Now, Plans};
use crate::room::BanWish;
use crate::session::{Found, Input, Report};
use crate::store::{BanId, Database, DatabaseError, StoredBan};

/// What is known of bans, in memory as in the store.
#[derive(Debug, Default)]
pub struct Kept {
    /// What sessions were given.
    pub bans: Arc<Bans>,
    /// Every ban by its name.
    pub by_id: BTreeMap<BanId, Ban>,
    /// Whom no ban and no rule touches, by command.
    pub exempt: Vec<Box<str>>,
    /// Entries of others' lists, by list.
    pub lists: BTreeMap<Box<str>, Entries>,
    /// Whom we made an outcast, and where.
    pub outcasts: Vec<(RoomKey, Box<str>)>,
    /// How many times bans are on their way to the disk.
    pub storing: usize,
    /// What rules remember, by room.
    pub policies: HashMap<RoomKey, policy::State>,
}

/// What was stored.
pub enum Stored {
    /// Bans, or why they could not be; then whoever waits is told.
    Bans {
        /// Bans in place of which they stand, that are gone now.
        gone: Vec<BanId>,
        /// The bans.
        result: Result<Vec<StoredBan>, DatabaseError>,
        /// Who waits.
        then: Then,
    },
    /// Whom a ban means is known now, or nobody says; nothing is stored yet.
    Ban(Box<Wanted>, Option<Found>, oneshot::Sender<Reply>),
    /// Somebody is exempt, or no more.
    Exempt(Result<Vec<Box<str>>, DatabaseError>, Then),
}

/// Who waits for something to be stored.
pub enum Then {
    /// Somebody who asked, with the answer they get.
    Reply(oneshot::Sender<Reply>, Box<Reply>),
    /// Somebody in a room, with what they are told in private.
    Whisper(RoomKey, Box<str>, Box<str>),
    /// Nobody.
    Nobody,
}

impl Kept {
    /// What the store holds. What can not be read is said, and the daemon goes on without it.
    pub async fn load(database: &Database, config: &Config, now: Timestamp) -> Kept {
        fn or_nothing<T: Default>(what: &str, read: Result<T, DatabaseError>) -> T {
            read.unwrap_or_else(|error| {
                error!("{what} can not be read and count for nothing: {:#}", anyhow::Error::new(error));
                T::default()
            })
        }
        let mut kept = Kept {
            by_id: or_nothing("the bans", database.bans(now).await).into_iter().map(|one| (one.id, one.ban)).collect(),
            exempt: or_nothing("the exempt people", database.exempted().await).into_iter().map(|one| one.who).collect(),
            outcasts: or_nothing("the outcasts", database.outcasts().await),
            policies: or_nothing("what rules remember", database.policies().await).into_iter().collect(),
            ..Kept::default()
        };
        for (source, entry) in or_nothing("the block lists", database.lists().await) {
            let list = config.rtbl.iter().find(|list| *list.to_string() == *source);
            if let Some(ban) = list.and_then(|list| following::ban(list, &entry)) {
                kept.lists.entry(source).or_default().insert(entry.item, ban);
            }
        }
        kept.gather(config);
        kept
    }

    /// Makes the list that sessions are given.
    pub fn gather(&mut self, config: &Config) {
        let all = self.by_id.values().chain(self.lists.values().flat_map(BTreeMap::values)).cloned();
        let mut bans = Bans::new(all, self.allow_list());
        bans.trust.guest_domains.clone_from(&config.policies.guest_domains);
        self.bans = Arc::new(bans);
    }

    /// Who is exempt by command.
    pub fn allow_list(&self) -> AllowList {
        // What was taken in was read before.
        AllowList::read(self.exempt.iter().map(|who| &**who)).unwrap_or_default()
    }
}

impl Supervisor {
    /// The rules of rooms; those for which the same hold share them.
    pub(super) fn plans_of<'a>(&self, rooms: impl Iterator<Item = &'a RoomKey>) -> HashMap<RoomKey, Arc<Plans>> {
        let shared = self.config.policies.share(rooms.map(|key| (key, &*key.service, &*key.name)));
        let exempt = self.kept.allow_list();
        let mut known: HashMap<*const Plans, Arc<Plans>> = HashMap::new();
        let with_exempt = |plans: Arc<Plans>| {
            if exempt == AllowList::default() {
                return plans;
            }
            let at = Arc::as_ptr(&plans);
            let extended = known.entry(at).or_insert_with(|| {
                let mut extended = (*plans).clone();
                extended.exempt.extend(&exempt);
                Arc::new(extended)
            });
            extended.clone()
        };
        let (keys, plans): (Vec<&RoomKey>, Vec<Arc<Plans>>) = shared.into_iter().unzip();
        let mut all: HashMap<RoomKey, Arc<Plans>> =
            keys.into_iter().cloned().zip(plans.into_iter().map(with_exempt)).collect();
        for (key, until) in self.state.overrides.bookings(&self.config) {
            let plans = all.entry(key.clone()).or_insert_with(|| {
                let mut plans = Plans { exempt: exempt.clone(), ..Plans::default() };
                plans.trust.guest_domains.clone_from(&self.config.policies.guest_domains);
                Arc::new(plans)
            });
            let rule = booked(until);
            Arc::make_mut(plans).rules.insert(rule.kind.name, rule);
        }
        all
    }

    /// What the rules of a room remember.
    pub(super) fn remember(&mut self, room: RoomKey, state: policy::State) {
        let (database, key, stored) = (self.database.clone(), room.clone(), state.clone());
        self.writes.write("what rules remember", async move { database.keep_policy(&key, stored).await });
        self.kept.policies.insert(room, state);
    }

    /// What a session says that does not count any more: it was closed, or another stands in its place. What happened
    /// until then has happened all the same, and whoever waits for an action is told how it ended.
    pub(super) fn last_words(&mut self, news: News) {
        let News::Report(report) = news else { return };
        match report {
            Report::Remember(room, state) => {
                // Whoever holds the room by now began with what was remembered before.
                if let Some(running) = self.services.get(&room.service) {
                    running.tell(&room, Input::Recall(room.clone(), state.clone()));
                }
                self.remember(room, *state);
            }
            Report::Happened { room, life, what } => {
                self.herald.room(Timestamp::now(), &room, Some(&life), *what);
            }
            Report::Progress { room, request, progress, over } => self.progressed(&room, &request, &progress, over),
            Report::Undo { room, key, action } => self.ledger.can_undo(room, key, *action),
            Report::Ban(room, wish) => self.ban_asked(&room, *wish),
            _ => {}
        }
    }

    /// Gives every session the list as it is now, and takes back what stood for bans that are gone.
    pub(super) fn publish_bans(&mut self) {
        self.kept.gather(&self.config);
        for running in self.services.values() {
            running.publish_bans(&self.kept.bans);
        }
        self.lift_outcasts(None);
    }

    /// A rule, or a moderator in chat, wants somebody banned from a room.
    pub(super) fn ban_asked(&mut self, room: &RoomKey, wish: BanWish) {
        let BanWish { nick, known_as, targets, period, reason, note, actor } = wish;
        let now = Timestamp::now();
        let until = period.map(|period| later(now, period));
        let ban = |target| Ban {
            target,
            service: Some((&*room.service).into()),
            rooms: Some(Pattern::new(&room.name)),
            until,
            reason: reason.to_string(),
            note: note.to_string(),
            by: actor.to_string(),
            known_as: known_as.to_string(),
            at: now,
        };
        let bans: Vec<Ban> = targets.into_iter().map(ban).collect();
        let then = match &actor {
            Actor::Chat { nick: asker, .. } if bans.is_empty() => {
                let text = format!("not done: {nick} is not here, or is no person");
                return self.whisper(room, asker, &text);
            }
            Actor::Chat { nick: asker, .. } => {
                let text = format!("{nick} is banned: {}", strongest(&bans));
                Then::Whisper(room.clone(), asker.as_str().into(), text.into())
            }
            _ => Then::Nobody,
        };
        warn!(service = %room.service, room = %room.name, nick, %actor, reason, "ban");
        self.store_bans(bans, then);
    }

    /// Stores bans; one on the same target and rooms as another takes its place, and its number: people wrote that down.
    pub(super) fn store_bans(&mut self, bans: Vec<Ban>, then: Then) {
        let same = |one: &Ban, other: &Ban| {
            (&one.target, &one.service, &one.rooms) == (&other.target, &other.service, &other.rooms)
        };
        let (mut kept, mut gone): (Vec<(Option<BanId>, Ban)>, Vec<BanId>) = (Vec::new(), Vec::new());
        for ban in bans {
            if let Some((_, before)) = kept.iter_mut().find(|(_, before)| same(before, &ban)) {
                *before = ban;
                continue;
            }
            let mut known = self.kept.by_id.iter().filter(|(_, known)| same(known, &ban)).map(|(id, _)| *id);
            let id = known.next();
            gone.extend(known);
            kept.push((id, ban));
        }
        let (database, told) = (self.database.clone(), self.told.clone());
        self.kept.storing += 1;
        self.writes.run(async move {
            let stored = database.keep_bans(kept.clone(), gone.clone()).await;
            let result =
                stored.map(|ids| ids.into_iter().zip(kept).map(|(id, (_, ban))| StoredBan { id, ban }).collect());
            // The supervisor ends after us, or nobody waits any more.
            let _ = told.send(Stored::Bans { gone, result, then });
        });
    }

    /// Something is on the disk now: it counts, and whoever waits is told.
    pub(super) fn stored(&mut self, stored: Stored) {
        if let Stored::Bans { .. } = stored {
            self.kept.storing = self.kept.storing.saturating_sub(1);
        }
        let (result, then) = match stored {
            Stored::Ban(wanted, found, reply) => return self.ban_found(*wanted, found, reply),
            Stored::Bans { gone, result: Ok(bans), then } => {
                for id in gone {
                    self.kept.by_id.remove(&id);
                }
                self.kept.by_id.extend(bans.into_iter().map(|one| (one.id, one.ban)));
                self.publish_bans();
                (Ok(()), then)
            }
            Stored::Exempt(Ok(exempt), then) => {
                self.kept.exempt = exempt;
                self.publish_bans();
                self.apply();
                (Ok(()), then)
            }
            Stored::Bans { result: Err(error), then, .. } | Stored::Exempt(Err(error), then) => (Err(error), then),
        };
        match (result, then) {
            (Ok(()), Then::Reply(reply, answer)) => {
                let _ = reply.send(*answer);
            }
            (Ok(()), Then::Whisper(room, nick, text)) => self.whisper(&room, &nick, &text),
            (Ok(()), Then::Nobody) => {}
            (Err(error), then) => {
                let text = format!("not stored, so nothing was changed: {:#}", anyhow::Error::new(error));
                error!("{text}");
                match then {
                    Then::Reply(reply, _) => {
                        let _ = reply.send(crate::command::refused("not-saved", text));
                    }
                    Then::Whisper(room, nick, _) => self.whisper(&room, &nick, "not done: the disk is full or broken"),
                    Then::Nobody => {}
                }
            }
        }
    }

    fn whisper(&self, room: &RoomKey, nick: &str, text: &str) {
        let action = Action::Say { nick: Some(nick.into()), text: text.into() };
        self.ask_of(room, Actor::Bans, action, "");
    }

    fn ask_of(&self, room: &RoomKey, actor: Actor, action: Action, reason: &str) {
        let key = format!("bans-{}", super::random_hex(8)).into();
        let request = Request { key, actor, action, real_jid: None, reason: reason.into() };
        if let Some(running) = self.services.get(&room.service) {
            // Where the room is not held it is done when it is.
            let _ = running.act(room, request);
        }
    }

    // ── the end of bans

    /// When the next ban ends.
    pub(super) fn ban_deadline(&self) -> Option<Instant> {
        let end = self.kept.by_id.values().filter_map(|ban| ban.until).min()?;
        let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
        Some(Instant::now() + left)
    }

    /// Ends the bans whose time is over.
    pub(super) fn end_bans(&mut self) {
        let now = Timestamp::now();
        let over = |ban: &Ban| ban.until.is_some_and(|until| until <= now);
        if !self.kept.by_id.values().any(over) {
            return;
        }
        self.kept.by_id.retain(|id, ban| {
            if over(ban) {
                info!(ban = id.0, "a ban has ended");
            }
            !over(ban)
        });
        let database = self.database.clone();
        self.writes.write("the end of bans", async move { database.forget_ended(now).await.map(drop) });
        self.publish_bans();
    }

    /// Takes outcasts back on whom no ban is left: of one room, or of all.
    pub(super) fn lift_outcasts(&mut self, room: Option<&RoomKey>) {
        if self.kept.outcasts.is_empty() {
            return;
        }
        let now = Now { at: Instant::now(), clock: Timestamp::now() };
        let free: Vec<(RoomKey, Box<str>)> = self
            .kept
            .outcasts
            .iter()
            .filter(|(key, _)| room.is_none_or(|room| room == key))
            .filter(|(key, jid)| !self.kept.bans.casts_out(jid, now, &key.service, &key.name))
            .cloned()
            .collect();
        for (key, jid) in free {
            self.ask_of(&key, Actor::Bans, Action::Affiliate { jid, to: Standing::None }, "the ban has ended");
        }
    }

    /// An affiliation was set on account of a ban.
    pub(super) fn outcast_set(&mut self, room: &RoomKey, jid: &str, to: Standing) {
        let (database, key, jid) = (self.database.clone(), room.clone(), Box::<str>::from(jid));
        let entry = (key.clone(), jid.clone());
        match to {
            Standing::Outcast if !self.kept.outcasts.contains(&entry) => {
                self.kept.outcasts.push(entry);
                self.writes.write("an outcast", async move { database.keep_outcast(&key, &jid).await });
                // The ban may have been lifted while the room was asked; one that is on its way to the disk is looked
                // at when it is there.
                if self.kept.storing == 0 {
                    self.lift_outcasts(Some(room));
                }
            }
            Standing::None => {
                self.kept.outcasts.retain(|known| *known != entry);
                self.writes.write("the end of an outcast", async move { database.forget_outcast(&key, &jid).await });
            }
            _ => {}
        }
    }

    /// A person wants a room in although a rule closed it.
    pub(super) fn open(&self, room: &RoomKey) {
        if let Some(running) = self.services.get(&room.service) {
            running.tell(room, Input::Open(room.clone()));
        }
    }
}

/// A time so much later.
pub(super) fn later(now: Timestamp, period: Duration) -> Timestamp {
    let period = SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX);
    now.saturating_add(period).unwrap_or(Timestamp::MAX)
}

/// How long the strongest of some bans holds, in words.
pub(super) fn strongest(bans: &[Ban]) -> &'static str {
    bans.iter().map(|ban| ban.target.strength()).max().map_or("name only", policy::Strength::as_str)
}
