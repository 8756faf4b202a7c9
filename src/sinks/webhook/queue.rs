//! What a receiver is sent next, and when: its rooms side by side, each in order. Pure: time and seed come in.
//!
//! A *lane* is one room's way to the receiver. It has one event under way at a time, and stands still alone when the
//! receiver likes neither the event nor the room. When the receiver itself is out of reach, nothing is sent but one try
//! at a time. Events wait in the record; only a few of each lane are here.
//!
//! | what came of it | what happens |
//! |---|---|
//! | accepted | the lane goes on |
//! | not sent | the same again, by the receiver's own ladder: 0.5 s to 5 min |
//! | not known | the same again, or the next one where that is the receiver's choice |
//! | 429, or 503 with Retry-After | nothing to this receiver before then |
//! | 5xx, a redirect | the same again, by the lane's ladder; after 8 tries in 10 min while others were accepted, or a day, a dead letter |
//! | 401, 403 | nothing to this receiver before a person says so |
//! | 404, 410 | the lane is parked until a person says so |
//! | other 4xx | the same again, 5 tries over 10 min, then a dead letter, and the lane goes on |

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Outcome;
use crate::backoff::{Ladder, jitter};
use crate::config::OnUnknown;
use crate::event::{Event, EventId};

/// Most events under way to one receiver.
const UNDER_WAY: usize = 8;
/// Most events of all lanes that are kept here.
const KEPT: usize = 512;
/// Most events of one lane that are kept, and read again at once: a room where much happens leaves place for the others.
pub const PAGE: usize = 64;
/// First wait for a receiver that is out of reach.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait.
const LAST: Duration = Duration::from_secs(300);
/// So many failures with nothing accepted between them mean that it is the receiver and not the event.
const FAILURES: u32 = 3;
/// Tries of an event that the receiver rejects, with the waits between them.
const REJECTED: [u64; 4] = [30, 90, 180, 300];
/// Tries of an event that fails while others are accepted.
const FAILED: u32 = 8;
/// How long it is tried at least.
const FAILED_FOR: Duration = Duration::from_secs(600);
/// How long an event is tried that fails while nothing else is accepted.
const HOPELESS: Duration = Duration::from_secs(86_400);

/// A room of a service; of the service itself where the room is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    /// The service.
    pub service: Box<str>,
    /// The room.
    pub room: Box<str>,
    /// Dead letters that are tried again have a lane of their own.
    pub dead: bool,
}

impl LaneKey {
    /// The lane of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let room = event.room.clone().unwrap_or_default();
        LaneKey { service: event.service.clone(), room, dead: false }
    }
}

impl std::fmt::Display for LaneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.room.is_empty() { f.write_str(&self.service) } else { write!(f, "{}/{}", self.service, self.room) }
    }
}

/// One room's way to the receiver.
#[derive(Debug)]
struct Lane {
    /// Nothing up to this one is due any more.
    settled: EventId,
    events: VecDeque<Arc<Event>>,
    /// The record has later ones that are not in `events`.
    more: bool,
    state: LaneState,
    ladder: Ladder,
    /// Of the first event: how often it was tried, since when, and how many the receiver had accepted then.
    tries: u32,
    since: Option<(Instant, u64)>,
    /// Of the first event: how often it was rejected.
    rejected: usize,
    /// Of the first event: why it was not taken when it was last tried.
    trouble: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LaneState {
    Open,
    UnderWay,
    Waiting(Instant),
    Parked(String),
}

impl Lane {
    fn new(settled: EventId) -> Self {
        Lane {
            settled,
            events: VecDeque::new(),
            more: false,
            state: LaneState::Open,
            ladder: Ladder::default(),
            tries: 0,
            since: None,
            rejected: 0,
            trouble: None,
        }
    }

    fn is_done(&self) -> bool {
        self.events.is_empty() && !self.more && self.state == LaneState::Open
    }

    /// Nothing can be sent of it, now or later, before more is read or a person says so.
    fn has_nothing(&self) -> bool {
        match self.state {
            LaneState::Parked(_) => true,
            LaneState::Open => self.events.is_empty() && !self.more,
            LaneState::UnderWay | LaneState::Waiting(_) => false,
        }
    }

    /// The first event is done with.
    fn advance(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.settled = self.settled.max(event.id);
        }
        self.state = LaneState::Open;
        self.ladder.reset();
        (self.tries, self.since, self.rejected) = (0, None, 0);
        self.trouble = None;
    }

    /// Behind which event the next one is, as exactly as is known.
    fn due(&self) -> EventId {
        self.events.front().map_or(self.settled, |first| self.settled.max(first.id.before()))
    }

    /// Keeps the first event only; the others are in the record.
    fn forget(&mut self, keep: usize) {
        self.settled = self.due();
        if self.events.len() > keep {
            self.events.truncate(keep);
            self.more = true;
        }
    }
}

/// Whether the receiver takes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// As far as is known.
    Up,
    /// Not before then; one try at a time.
    Down {
        /// When to try.
        until: Instant,
        /// Why.
        why: String,
        /// It asked for that time, so that nothing which it takes meanwhile shortens it.
        asked: bool,
    },
    /// Not before a person says so.
    Stopped(String),
}

/// What a person should hear of.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// It is out of reach, for this reason.
    Down(String),
    /// It takes events again.
    Up,
    /// It does not know us: nothing is sent any more.
    Stopped(String),
    /// It does not know this room.
    Parked(LaneKey, String),
    /// It will never take this event.
    Dead(LaneKey, Arc<Event>, String),
    /// A dead letter was taken after all.
    Revived(EventId),
    /// Nobody knows whether it took this event, and it is not sent again.
    Skipped(LaneKey, EventId, String),
}

/// An event that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// On this lane.
    pub lane: LaneKey,
    /// This one.
    pub event: Arc<Event>,
}

/// A lane as it is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLane {
    /// Which.
    pub lane: LaneKey,
    /// Nothing up to this event is due any more.
    pub settled: EventId,
    /// Why it is parked, if it is.
    pub parked: Option<String>,
    /// The event that is under way.
    pub under_way: Option<EventId>,
}

/// Everything that is kept of a receiver over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// How far the record was read.
    pub read: EventId,
    /// The lanes that are behind that.
    pub lanes: Vec<KeptLane>,
}

/// The queue to one receiver.
#[derive(Debug)]
pub struct Queue {
    on_unknown: OnUnknown,
    read: EventId,
    /// Up to this one the record has no events any more.
    removed: EventId,
    lanes: BTreeMap<LaneKey, Lane>,
    reach: Reach,
    ladder: Ladder,
    /// Failures since the last event that was accepted.
    failures: u32,
    accepted: u64,
    rng: fastrand::Rng,
    words: Vec<Word>,
}

impl Queue {
    /// Goes on where `kept` ended.
    #[must_use]
    pub fn new(on_unknown: OnUnknown, kept: Kept, seed: u64) -> Self {
        let mut queue = Queue {
            on_unknown,
            read: kept.read,
            removed: EventId::default(),
            lanes: BTreeMap::new(),
            reach: Reach::Up,
            ladder: Ladder::default(),
            failures: 0,
            accepted: 0,
            rng: fastrand::Rng::with_seed(seed),
            words: Vec::new(),
        };
        for KeptLane { lane: key, settled, parked, under_way } in kept.lanes {
            let mut lane = Lane::new(settled);
            lane.more = true;
            if let Some(why) = parked {
                lane.state = LaneState::Parked(why);
            }
            if let (OnUnknown::Skip, Some(id)) = (on_unknown, under_way) {
                lane.settled = id;
                queue.words.push(Word::Skipped(key.clone(), id, "we were ended while it was under way".to_owned()));
            }
            queue.lanes.insert(key, lane);
        }
        queue
    }

    // ── events come in

    /// How far the record was read.
    #[must_use]
    pub fn read(&self) -> EventId {
        self.read
    }

    /// Behind which event the record is still needed.
    #[must_use]
    pub fn needs(&self) -> EventId {
        let lanes = self.lanes.iter().filter(|(key, lane)| !key.dead && lane.more);
        let lanes = lanes.map(|(_, lane)| lane.events.back().map_or(lane.settled, |last| last.id));
        lanes.chain([self.read]).min().unwrap_or(self.read).max(self.removed)
    }

    /// The record has no events up to this one any more: what was not read before is not sent.
    pub fn lose(&mut self, removed: EventId) {
        self.removed = self.removed.max(removed);
        self.read = self.read.max(removed);
    }

    /// Whether more of the record may be read.
    pub fn has_place(&mut self) -> bool {
        match self.reach {
            Reach::Up => {}
            // Something has to be there for the next try; what it was tried with may have been given up.
            Reach::Down { .. } => return self.lanes.values().all(Lane::has_nothing),
            Reach::Stopped(_) => return false,
        }
        if self.kept() < KEPT {
            return true;
        }
        // Dead letters are not found again where the others are.
        for (_, lane) in self.lanes.iter_mut().filter(|(key, _)| !key.dead) {
            if matches!(lane.state, LaneState::Waiting(_)) {
                lane.forget(1);
            }
        }
        self.kept() < KEPT
    }

    fn kept(&self) -> usize {
        self.lanes.values().map(|lane| lane.events.len()).sum()
    }

    /// Takes the next event that the receiver is to hear of. Events come in their order.
    pub fn take(&mut self, event: Arc<Event>) {
        if event.id <= self.read {
            return;
        }
        let before = self.read;
        self.read = event.id;
        let lane = self.lanes.entry(LaneKey::of(&event)).or_insert_with(|| Lane::new(before));
        if lane.more || lane.events.len() >= PAGE || matches!(lane.state, LaneState::Parked(_)) {
            lane.more = true;
        } else {
            lane.events.push_back(event);
        }
    }

    /// The record was read up to this event.
    pub fn pass(&mut self, read: EventId) {
        self.read = self.read.max(read);
    }

    /// A lane whose next events have to be read again, and behind which event they are.
    #[must_use]
    pub fn wants(&self) -> Option<(LaneKey, EventId)> {
        if !matches!(self.reach, Reach::Up | Reach::Down { .. }) {
            return None;
        }
        let wants = |lane: &Lane| lane.more && lane.events.is_empty() && lane.state == LaneState::Open;
        self.lanes.iter().find(|(_, lane)| wants(lane)).map(|(key, lane)| (key.clone(), lane.settled.max(self.removed)))
    }

    /// Takes what the record has of a lane behind the event that it is settled up to; `seen` is the last event that was
    /// looked at, `None`: the end of the record.
    pub fn refill(&mut self, key: &LaneKey, events: Vec<Arc<Event>>, seen: Option<EventId>) {
        let read = self.read;
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.events = events.into_iter().filter(|event| event.id <= read).collect();
        if let Some(seen) = seen.filter(|seen| *seen < read) {
            if lane.events.is_empty() {
                lane.settled = lane.settled.max(seen);
            }
        } else {
            lane.more = false;
        }
        self.tidy(key);
    }

    /// Tries dead letters again.
    pub fn revive(&mut self, events: Vec<Arc<Event>>) {
        for event in events {
            let key = LaneKey { dead: true, ..LaneKey::of(&event) };
            let lane = self.lanes.entry(key).or_insert_with(|| Lane::new(EventId::default()));
            if lane.events.iter().all(|known| known.id != event.id) {
                lane.events.push_back(event);
            }
        }
        self.start();
    }

    // ── events go out

    /// The next event that is to be sent now, if one is.
    pub fn next(&mut self, now: Instant) -> Option<Job> {
        let under_way = self.under_way();
        match &self.reach {
            Reach::Up if under_way < UNDER_WAY => {}
            Reach::Down { until, .. } if *until <= now && under_way == 0 => {}
            _ => return None,
        }
        let one_at_a_time = matches!(self.reach, Reach::Down { .. });
        let due = |lane: &Lane| {
            let first = lane.events.front()?;
            let due = match lane.state {
                LaneState::Open => true,
                LaneState::Waiting(until) => until <= now,
                LaneState::UnderWay | LaneState::Parked(_) => false,
            };
            // Where there is but one try, an event that failed often does not have all of them.
            due.then_some((if one_at_a_time { lane.tries } else { 0 }, first.id))
        };
        let (_, key) =
            self.lanes.iter().filter_map(|(key, lane)| Some((due(lane)?, key))).min_by_key(|(due, _)| *due)?;
        let key = key.clone();
        let lane = self.lanes.get_mut(&key)?;
        lane.state = LaneState::UnderWay;
        let event = lane.events.front()?.clone();
        Some(Job { lane: key, event })
    }

    fn under_way(&self) -> usize {
        self.lanes.values().filter(|lane| lane.state == LaneState::UnderWay).count()
    }

    /// When [`Queue::next`] may have something that it has not now.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let under_way = self.under_way();
        // The answer of what is under way comes first.
        if under_way >= UNDER_WAY || (under_way > 0 && matches!(self.reach, Reach::Down { .. })) {
            return None;
        }
        let lanes = self.lanes.values().filter(|lane| !lane.events.is_empty());
        let waits = lanes.filter_map(|lane| match lane.state {
            LaneState::Waiting(until) => Some(Some(until)),
            LaneState::Open => Some(None),
            _ => None,
        });
        // `None` is at once, and comes first.
        let earliest = waits.min()?;
        match &self.reach {
            Reach::Up => earliest,
            Reach::Down { until, .. } => Some(earliest.map_or(*until, |at| at.max(*until))),
            Reach::Stopped(_) => None,
        }
    }

    /// An event needs no sending: the receiver's dialect has nothing to say of it.
    pub fn settle(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.advance();
            self.tidy(key);
        }
    }

    /// What came of an event that was sent.
    pub fn answered(&mut self, now: Instant, key: &LaneKey, outcome: Outcome) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.state == LaneState::UnderWay) else { return };
        match outcome {
            Outcome::Accepted => {
                if let (true, Some(event)) = (key.dead, lane.events.front()) {
                    self.words.push(Word::Revived(event.id));
                }
                lane.advance();
                self.accepted += 1;
                self.failures = 0;
                self.up(now);
            }
            Outcome::Unsent(why) => {
                lane.state = LaneState::Open;
                let wait = self.ladder.next(FIRST, LAST, &mut self.rng);
                self.down(now + wait, why, false);
            }
            Outcome::Busy(wait, why) => {
                lane.state = LaneState::Open;
                let own = self.ladder.next(FIRST * 2, LAST, &mut self.rng);
                // A little later than asked for, and not all at once.
                let wait = wait.map_or(own, |wait| wait + jitter(FIRST, &mut self.rng));
                self.down(now + wait, why, true);
            }
            Outcome::Unknown(why) if self.on_unknown == OnUnknown::Skip && !key.dead => {
                if let Some(event) = lane.events.front() {
                    self.words.push(Word::Skipped(key.clone(), event.id, why.clone()));
                }
                lane.advance();
                self.fail(now, why);
            }
            Outcome::Unknown(why) | Outcome::Failed(why) => {
                let (since, accepted) = *lane.since.get_or_insert((now, self.accepted));
                lane.tries += 1;
                lane.trouble = Some(why.as_str().into());
                let tried = now.saturating_duration_since(since);
                let others = self.accepted > accepted;
                if (others && lane.tries >= FAILED && tried >= FAILED_FOR) || tried >= HOPELESS {
                    self.bury(key, why.clone());
                } else {
                    lane.state = LaneState::Waiting(now + lane.ladder.next(FIRST * 2, LAST, &mut self.rng));
                }
                self.fail(now, why);
            }
            Outcome::Rejected(why) => {
                // It is there, and well.
                self.failures = 0;
                let wait = REJECTED.get(lane.rejected).map(|wait| Duration::from_secs(*wait));
                lane.tries += 1;
                lane.rejected += 1;
                lane.trouble = Some(why.as_str().into());
                match wait {
                    Some(wait) => lane.state = LaneState::Waiting(now + jitter(wait, &mut self.rng)),
                    None => self.bury(key, why),
                }
                self.up(now);
            }
            Outcome::Gone(why) => {
                self.failures = 0;
                if key.dead {
                    self.bury(key, why);
                } else {
                    lane.state = LaneState::Parked(why.clone());
                    lane.forget(0);
                    self.words.push(Word::Parked(key.clone(), why));
                }
                self.up(now);
            }
            Outcome::Forbidden(why) => {
                lane.state = LaneState::Open;
                if !matches!(self.reach, Reach::Stopped(_)) {
                    self.words.push(Word::Stopped(why.clone()));
                }
                self.reach = Reach::Stopped(why);
            }
        }
        self.tidy(key);
    }

    fn bury(&mut self, key: &LaneKey, why: String) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(event) = lane.events.front() {
            self.words.push(Word::Dead(key.clone(), event.clone(), why));
        }
        lane.advance();
    }

    fn fail(&mut self, now: Instant, why: String) {
        self.failures += 1;
        if self.failures >= FAILURES || matches!(self.reach, Reach::Down { .. }) {
            let wait = self.ladder.next(FIRST, LAST, &mut self.rng);
            self.down(now + wait, why, false);
        }
    }

    fn down(&mut self, until: Instant, why: String, asked: bool) {
        match &self.reach {
            // Others that were under way fail, too; they do not bring the next try forward, and do not put it off.
            Reach::Down { until: known, .. } if *known >= until => {}
            Reach::Stopped(_) => {}
            before => {
                if matches!(before, Reach::Up) {
                    self.words.push(Word::Down(why.clone()));
                }
                let asked = asked || matches!(before, Reach::Down { asked: true, .. });
                self.reach = Reach::Down { until, why, asked };
            }
        }
    }

    fn up(&mut self, now: Instant) {
        if let Reach::Down { until, asked, .. } = self.reach {
            if asked && now < until {
                return;
            }
            self.reach = Reach::Up;
            self.ladder.reset();
            self.words.push(Word::Up);
            // What failed because of the receiver need not wait as if it were at fault itself.
            for lane in self.lanes.values_mut() {
                if let LaneState::Waiting(until) = lane.state
                    && lane.since.is_some()
                {
                    lane.state = LaneState::Waiting(until.min(now + FIRST));
                }
            }
        } else if matches!(self.reach, Reach::Up) {
            self.ladder.reset();
        }
    }

    fn tidy(&mut self, key: &LaneKey) {
        if self.lanes.get(key).is_some_and(Lane::is_done) {
            self.lanes.remove(key);
        }
    }

    // ── a person's word

    /// Takes back what [`Queue::next`] gave, and was not sent.
    pub fn put_back(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.state == LaneState::UnderWay) {
            lane.state = LaneState::Open;
        }
    }

    /// What is under way is answered to nobody any more.
    pub fn interrupt(&mut self) {
        for lane in self.lanes.values_mut().filter(|lane| lane.state == LaneState::UnderWay) {
            lane.state = LaneState::Open;
        }
    }

    /// What to do when nobody knows whether the receiver took something.
    pub fn configure(&mut self, on_unknown: OnUnknown) {
        self.on_unknown = on_unknown;
    }

    /// Sends again although the receiver did not know us.
    pub fn start(&mut self) {
        if !matches!(self.reach, Reach::Up) {
            self.reach = Reach::Up;
            self.ladder.reset();
            self.failures = 0;
        }
    }

    /// Goes on with the rooms that are parked: all, or one.
    pub fn unpark(&mut self, only: Option<&LaneKey>) -> usize {
        let parked = |(key, lane): &(&LaneKey, &mut Lane)| {
            only.is_none_or(|only| only == *key) && matches!(lane.state, LaneState::Parked(_))
        };
        let lanes = self.lanes.iter_mut().filter(parked);
        let count = lanes.map(|(_, lane)| lane.state = LaneState::Open).count();
        self.start();
        count
    }

    /// Goes back to behind that event: in all rooms, or in one. What is under way is answered to nobody.
    pub fn go_back(&mut self, to: EventId, only: Option<&LaneKey>) {
        // What is still to come is not behind us.
        let to = to.min(self.read);
        match only {
            Some(key) => {
                let lane = self.lanes.entry(key.clone()).or_insert_with(|| Lane::new(to));
                *lane = Lane { more: true, ..Lane::new(lane.settled.min(to)) };
            }
            None => {
                // Rooms that are further behind stay so.
                self.lanes.retain(|key, lane| !key.dead && lane.settled < to);
                for lane in self.lanes.values_mut() {
                    *lane = Lane { more: true, ..Lane::new(lane.settled) };
                }
                self.read = self.read.min(to);
            }
        }
        self.start();
    }

    /// Gives up on what waits: in all rooms up to the newest event there is, or in one up to where the record was read.
    pub fn skip(&mut self, newest: EventId, only: Option<&LaneKey>) {
        match only {
            Some(key) => drop(self.lanes.remove(key)),
            None => {
                self.lanes.clear();
                self.read = self.read.max(newest);
            }
        }
        self.start();
    }

    // ── facts

    /// Whether the receiver takes anything.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// How many events were accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The rooms that the receiver does not know, and why.
    pub fn parked(&self) -> impl Iterator<Item = (&LaneKey, &str)> {
        self.lanes.iter().filter_map(|(key, lane)| match &lane.state {
            LaneState::Parked(why) => Some((key, why.as_str())),
            _ => None,
        })
    }

    /// The room whose next event is tried again first, why it was not taken, and when it is tried.
    #[must_use]
    pub fn tries(&self) -> Option<(&LaneKey, &str, Instant)> {
        let tries = self.lanes.iter().filter_map(|(key, lane)| match (&lane.state, &lane.trouble) {
            (LaneState::Waiting(until), Some(why)) => Some((key, &**why, *until)),
            _ => None,
        });
        tries.min_by_key(|(.., until)| *until)
    }

    /// The event behind which the oldest one is that waits, if one does; parked rooms do not count.
    #[must_use]
    pub fn oldest(&self, newest: EventId) -> Option<EventId> {
        let waits = |lane: &&Lane| !lane.is_done() && !matches!(lane.state, LaneState::Parked(_));
        let lanes = self.lanes.values().filter(waits).map(Lane::due);
        lanes.chain((self.read < newest).then_some(self.read)).min()
    }

    /// What people should hear of, since it was last asked.
    pub fn words(&mut self) -> Vec<Word> {
        std::mem::take(&mut self.words)
    }

    /// What is to be kept over a restart.
    #[must_use]
    pub fn keep(&self) -> Kept {
        let lanes = self.lanes.iter().filter(|(key, _)| !key.dead).map(|(key, lane)| KeptLane {
            lane: key.clone(),
            settled: if lane.events.is_empty() { lane.settled.max(self.removed) } else { lane.due() },
            parked: if let LaneState::Parked(why) = &lane.state { Some(why.clone()) } else { None },
            under_way: match (&lane.state, lane.events.front()) {
                (LaneState::UnderWay, Some(event)) => Some(event.id),
                _ => None,
            },
        });
        Kept { read: self.read, lanes: lanes.collect() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::What;

    struct Bench {
        queue: Queue,
        now: Instant,
    }

    fn event(id: u64, room: &str) -> Arc<Event> {
        Arc::new(Event::new(id.into(), Timestamp::UNIX_EPOCH, "meet", Some(room), None, What::RoomHeld))
    }

    fn lane(room: &str) -> LaneKey {
        LaneKey::of(&event(1, room))
    }

    impl Bench {
        #[allow(clippy::disallowed_methods)] // a beginning; from there time is the test's
        fn new(on_unknown: OnUnknown) -> Self {
            Bench { queue: Queue::new(on_unknown, Kept::default(), 7), now: Instant::now() }
        }

        fn with(events: &[(u64, &str)]) -> Self {
            let mut bench = Bench::new(OnUnknown::Retry);
            events.iter().for_each(|(id, room)| bench.queue.take(event(*id, room)));
            bench
        }

        /// What goes out now, by room and id.
        fn out(&mut self) -> Vec<(String, u64)> {
            std::iter::from_fn(|| self.queue.next(self.now))
                .map(|job| (job.lane.room.to_string(), job.event.id.number()))
                .collect()
        }

        fn answer(&mut self, room: &str, outcome: Outcome) {
            self.queue.answered(self.now, &lane(room), outcome);
        }

        /// Goes to the next deadline.
        fn wait(&mut self) -> Duration {
            let due = self.queue.deadline().expect("something is due");
            let wait = due.saturating_duration_since(self.now);
            self.now = self.now.max(due);
            wait
        }

        fn says(&mut self) -> Vec<&'static str> {
            let name = |word: Word| match word {
                Word::Down(_) => "down",
                Word::Up => "up",
                Word::Stopped(_) => "stopped",
                Word::Parked(..) => "parked",
                Word::Dead(..) => "dead",
                Word::Revived(_) => "revived",
                Word::Skipped(..) => "skipped",
            };
            self.queue.words().into_iter().map(name).collect()
        }
    }

    fn at(room: &str, id: u64) -> (String, u64) {
        (room.to_owned(), id)
    }

    fn why() -> String {
        "because".to_owned()
    }

    #[test]
    fn rooms_go_side_by_side_and_each_in_order() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b"), (3, "a")]);
        assert_eq!(bench.out(), [at("a", 1), at("b", 2)]);
        bench.answer("a", Outcome::Accepted);
        assert_eq!(bench.out(), [at("a", 3)]);
        assert_eq!(bench.queue.oldest(3.into()), Some(1.into()), "the record is settled up to there");
        bench.answer("a", Outcome::Accepted);
        bench.answer("b", Outcome::Accepted);
        assert_eq!((bench.queue.oldest(3.into()), bench.queue.accepted()), (None, 3));
        assert_eq!(bench.queue.keep(), Kept { read: 3.into(), lanes: Vec::new() });
    }

    #[test]
    fn what_is_tried_again_says_why_and_waits_since_it_happened() {
        let mut bench = Bench::with(&[(1, "a"), (900_000, "a")]);
        bench.out();
        bench.answer("a", Outcome::Accepted);
        bench.out();
        assert_eq!(bench.queue.tries(), None);
        bench.answer("a", Outcome::Failed(why()));
        assert_eq!(bench.queue.oldest(900_000.into()), Some(899_999.into()), "not since the one before");
        let (lane, why, until) = bench.queue.tries().expect("it is tried again");
        assert_eq!((&*lane.room, why), ("a", "because"));
        assert!(until > bench.now);
        bench.wait();
        bench.out();
        bench.answer("a", Outcome::Accepted);
        assert_eq!(bench.queue.tries(), None);
    }

    #[test]
    fn a_receiver_that_is_away_is_tried_with_one_event_at_a_time_later_and_later() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b")]);
        assert_eq!(bench.out().len(), 2);
        bench.answer("a", Outcome::Unsent(why()));
        bench.answer("b", Outcome::Unsent(why()));
        assert!(!bench.queue.has_place(), "the record keeps the rest");
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            assert_eq!(bench.out(), []);
            last = bench.wait();
            assert_eq!(bench.out(), [at("a", 1)]);
            bench.answer("a", Outcome::Unsent(why()));
        }
        assert!((240..=360).contains(&last.as_secs()), "{last:?}");
        bench.wait();
        assert_eq!(bench.out(), [at("a", 1)]);
        bench.answer("a", Outcome::Accepted);
        assert_eq!(bench.out(), [at("b", 2)]);
        assert_eq!(bench.says(), ["down", "up"]);
    }

    #[test]
    fn while_an_answer_is_awaited_nothing_else_is_due() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b")]);
        bench.out();
        bench.answer("a", Outcome::Unsent(why()));
        assert_eq!(bench.queue.deadline(), None, "room b's is under way");
        bench.answer("b", Outcome::Unsent(why()));
        assert!(bench.queue.deadline().is_some());
    }

    #[test]
    fn a_receiver_that_took_nothing_and_has_nothing_waiting_is_tried_with_what_happens_next() {
        let mut bench = Bench::new(OnUnknown::Skip);
        for id in 1..=3 {
            bench.queue.take(event(id, "a"));
            assert_eq!(bench.out(), [at("a", id)]);
            bench.answer("a", Outcome::Unknown(why()));
        }
        assert!(matches!(bench.queue.reach(), Reach::Down { .. }));
        assert!(bench.queue.has_place(), "else nothing would ever find out that it is back");
        bench.queue.take(event(4, "a"));
        assert!(!bench.queue.has_place());
        bench.wait();
        assert_eq!(bench.out(), [at("a", 4)]);
    }

    #[test]
    fn who_asks_for_time_gets_it() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b")]);
        bench.out();
        bench.answer("a", Outcome::Busy(Some(Duration::from_secs(60)), why()));
        // It was under way already, and takes nothing back.
        bench.answer("b", Outcome::Accepted);
        assert_eq!(bench.out(), []);
        let wait = bench.wait();
        assert!((60..62).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(bench.out(), [at("a", 1)]);
    }

    #[test]
    fn an_event_that_always_fails_holds_up_no_other_room_and_its_own_not_for_ever() {
        let mut bench = Bench::with(&[(1, "poison"), (2, "poison")]);
        let (mut id, mut rounds) = (10, 0);
        while !bench.says().contains(&"dead") {
            rounds += 1;
            assert!(rounds < 100, "never");
            bench.queue.take(event(id, "other"));
            for (room, _) in bench.out() {
                let outcome = if room == "poison" { Outcome::Failed(why()) } else { Outcome::Accepted };
                bench.answer(&room, outcome);
            }
            id += 1;
            bench.now += Duration::from_secs(20);
        }
        assert!(bench.queue.accepted() > 5);
        assert!((30..60).contains(&rounds), "ten minutes and a little: {rounds}");
        assert!(bench.out().contains(&at("poison", 2)));
    }

    #[test]
    fn a_receiver_that_fails_is_not_taken_for_an_event_that_does() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b"), (3, "c")]);
        for _ in 0..200 {
            for (room, _) in bench.out() {
                bench.answer(&room, Outcome::Failed(why()));
            }
            bench.wait();
        }
        assert_eq!(bench.says(), ["down"]);
    }

    #[test]
    fn what_is_rejected_is_a_dead_letter_after_five_tries_in_ten_minutes() {
        let mut bench = Bench::with(&[(1, "a"), (2, "a")]);
        let begin = bench.now;
        for _ in 0..4 {
            assert_eq!(bench.out(), [at("a", 1)]);
            bench.answer("a", Outcome::Rejected(why()));
            bench.wait();
        }
        assert_eq!(bench.out(), [at("a", 1)]);
        let took = bench.now.duration_since(begin).as_secs();
        assert!((480..=720).contains(&took), "{took}");
        bench.answer("a", Outcome::Rejected(why()));
        assert_eq!((bench.says(), bench.out()), (vec!["dead"], vec![at("a", 2)]));
        bench.queue.revive(vec![event(1, "a")]);
        assert_eq!(bench.out(), [at("a", 1)], "beside the room's own");
        bench.queue.answered(bench.now, &LaneKey { dead: true, ..lane("a") }, Outcome::Accepted);
        assert_eq!(bench.says(), ["revived"]);
    }

    #[test]
    fn who_does_not_know_us_is_told_nothing_and_who_does_not_know_a_room_nothing_of_that() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b"), (3, "a")]);
        bench.out();
        bench.answer("a", Outcome::Gone(why()));
        bench.answer("b", Outcome::Accepted);
        bench.queue.take(event(4, "b"));
        bench.queue.take(event(5, "a"));
        assert_eq!(bench.out(), [at("b", 4)]);
        bench.answer("b", Outcome::Forbidden(why()));
        assert_eq!((bench.out(), bench.queue.deadline()), (Vec::new(), None));
        assert_eq!(bench.says(), ["parked", "stopped"]);
        let kept = bench.queue.keep();
        let lanes: Vec<_> = kept.lanes.iter().map(|kept| (&*kept.lane.room, kept.settled.number())).collect();
        assert_eq!((kept.read.number(), lanes), (5, vec![("a", 0), ("b", 3)]));

        bench.queue = Queue::new(OnUnknown::Retry, kept, 7);
        assert_eq!(bench.queue.wants(), Some((lane("b"), 3.into())), "the parked one waits for a person");
        bench.queue.refill(&lane("b"), vec![event(4, "b")], None);
        assert_eq!(bench.out(), [at("b", 4)]);
        assert_eq!(bench.queue.unpark(Some(&lane("a"))), 1);
        assert_eq!(bench.queue.wants(), Some((lane("a"), 0.into())));
        bench.queue.refill(&lane("a"), vec![event(1, "a"), event(3, "a"), event(5, "a")], None);
        assert_eq!(bench.out(), [at("a", 1)]);
    }

    #[test]
    fn what_may_have_arrived_is_sent_again_or_not_as_the_receiver_wants_it() {
        for (on_unknown, next) in [(OnUnknown::Retry, 1), (OnUnknown::Skip, 2)] {
            let mut bench = Bench::new(on_unknown);
            bench.queue.take(event(1, "a"));
            bench.queue.take(event(2, "a"));
            bench.out();
            let kept = bench.queue.keep();
            bench.answer("a", Outcome::Unknown(why()));
            bench.now += Duration::from_secs(2);
            assert_eq!(bench.out(), [at("a", next)], "{on_unknown:?}");

            // And so when we ended while it was under way.
            let mut queue = Queue::new(on_unknown, kept, 7);
            assert_eq!(queue.wants(), Some((lane("a"), (next - 1).into())), "{on_unknown:?}");
            assert_eq!(queue.words().len(), usize::from(on_unknown == OnUnknown::Skip));
        }
    }

    #[test]
    fn lanes_that_wait_keep_little_and_read_it_again() {
        let mut bench = Bench::with(&[(1, "slow")]);
        bench.out();
        bench.answer("slow", Outcome::Rejected(why()));
        for id in 2..=64 {
            bench.queue.take(event(id, "slow"));
        }
        for id in 65..=512 {
            bench.queue.take(event(id, &format!("other-{id}")));
        }
        assert!(bench.queue.has_place(), "but for what waits there would be none");
        bench.queue.take(event(601, "slow"));
        while bench.queue.lanes.len() > 1 {
            for (room, _) in bench.out() {
                bench.answer(&room, Outcome::Accepted);
            }
        }
        bench.wait();
        assert_eq!(bench.out(), [at("slow", 1)]);
        bench.answer("slow", Outcome::Accepted);
        assert_eq!(bench.queue.wants(), Some((lane("slow"), 1.into())));
        let page: Vec<_> = (2..66).map(|id| event(id, "slow")).collect();
        bench.queue.refill(&lane("slow"), page, Some(65.into()));
        for id in 2..66 {
            assert_eq!(bench.out(), [at("slow", id)]);
            bench.answer("slow", Outcome::Accepted);
        }
        assert_eq!(bench.queue.wants(), Some((lane("slow"), 65.into())));
        bench.queue.refill(&lane("slow"), Vec::new(), Some(600.into()));
        assert_eq!(bench.queue.wants(), Some((lane("slow"), 600.into())));
        bench.queue.refill(&lane("slow"), vec![event(601, "slow")], None);
        assert_eq!(bench.out(), [at("slow", 601)]);
    }

    #[test]
    fn a_room_where_much_happens_leaves_place_for_the_others() {
        let mut bench = Bench::new(OnUnknown::Retry);
        for id in 1..=5000 {
            assert!(bench.queue.has_place(), "{id}");
            bench.queue.take(event(id, "loud"));
        }
        bench.queue.take(event(5001, "quiet"));
        assert_eq!(bench.out(), [at("loud", 1), at("quiet", 5001)]);
        for id in 1..=64 {
            bench.answer("loud", Outcome::Accepted);
            assert_eq!(bench.out(), if id < 64 { vec![at("loud", id + 1)] } else { Vec::new() });
        }
        assert_eq!(bench.queue.wants(), Some((lane("loud"), 64.into())), "the rest is in the record");
    }

    #[test]
    fn an_event_that_failed_often_is_not_a_dead_letter_when_it_is_first_rejected() {
        let mut bench = Bench::with(&[(1, "a")]);
        for _ in 0..6 {
            assert_eq!(bench.out(), [at("a", 1)]);
            bench.answer("a", Outcome::Failed(why()));
            bench.wait();
        }
        for tried in 1..=5 {
            assert_eq!(bench.out(), [at("a", 1)], "{tried}");
            bench.answer("a", Outcome::Rejected(why()));
            assert_eq!(bench.says().contains(&"dead"), tried == 5, "{tried}");
            bench.now += Duration::from_secs(600);
        }
    }

    #[test]
    fn what_the_record_lost_is_needed_no_more_and_what_is_here_already_is_sent_all_the_same() {
        let mut bench = Bench::new(OnUnknown::Retry);
        for id in 1..=66 {
            bench.queue.take(event(id, "loud"));
        }
        bench.queue.take(event(70, "gone"));
        bench.queue.take(event(72, "quiet"));
        assert_eq!(bench.out(), [at("loud", 1), at("gone", 70), at("quiet", 72)]);
        bench.answer("gone", Outcome::Gone(why()));
        // 65 and 66 of the loud one, and the one of the parked room, are in the record only.
        assert_eq!(bench.queue.needs(), 64.into());
        bench.queue.lose(65.into());
        assert_eq!(bench.queue.needs(), 65.into());
        let kept: Vec<_> = bench.queue.keep().lanes.into_iter().map(|kept| kept.settled.number()).collect();
        assert_eq!(kept, [69, 0, 71], "the parked room's is not lost");
        for id in 1..=64 {
            bench.answer("loud", Outcome::Accepted);
            assert_eq!(bench.out(), if id < 64 { vec![at("loud", id + 1)] } else { Vec::new() });
        }
        assert_eq!(bench.queue.wants(), Some((lane("loud"), 65.into())));
        bench.queue.refill(&lane("loud"), vec![event(66, "loud")], None);
        assert_eq!((bench.out(), bench.queue.needs()), (vec![at("loud", 66)], 69.into()));
        bench.queue.lose(80.into());
        assert_eq!((bench.queue.needs(), bench.queue.read()), (80.into(), 80.into()));
        assert_eq!(bench.queue.unpark(None), 1);
        assert_eq!(bench.queue.wants(), Some((lane("gone"), 80.into())));
    }

    #[test]
    fn who_goes_back_to_a_time_to_come_misses_nothing_until_then() {
        let mut bench = Bench::with(&[(1, "a")]);
        bench.out();
        bench.answer("a", Outcome::Accepted);
        bench.queue.go_back(1000.into(), Some(&lane("a")));
        bench.queue.take(event(2, "a"));
        assert_eq!(bench.queue.wants(), Some((lane("a"), 1.into())));
    }

    #[test]
    fn going_back_and_skipping_move_all_rooms_or_one() {
        let mut bench = Bench::with(&[(1, "a"), (2, "b")]);
        bench.out();
        bench.answer("a", Outcome::Accepted);
        bench.answer("b", Outcome::Gone(why()));
        bench.queue.go_back(0.into(), Some(&lane("a")));
        assert_eq!(bench.queue.wants(), Some((lane("a"), 0.into())));
        bench.queue.go_back(1.into(), None);
        assert_eq!(bench.queue.read(), 1.into());
        bench.queue.skip(9.into(), Some(&lane("a")));
        assert_eq!(bench.queue.wants(), None);
        bench.queue.skip(9.into(), None);
        assert_eq!(bench.queue.keep(), Kept { read: 9.into(), lanes: Vec::new() });
    }
}
