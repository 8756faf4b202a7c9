//! One receiver's task: reads the record, sends what the queue says, and keeps how far it came.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};
use url::Url;

use super::answer::{self, Outcome};
use super::client::{Client, Unanswered};
use super::office::{Facts, Places};
use super::queue::{Job, Kept, LaneKey, PAGE, Queue, Reach, Word};
use super::{Letter, Speech, address, speech};
use crate::config::{OnUnknown, Webhook};
use crate::event::{Event, EventId};
use crate::runtime::bus::Bus;
use crate::store::{Database, DatabaseError, DeadLetter, Filter, Order as Way};

/// How many events are read at once.
const READ: usize = 256;
/// How many events of a room are looked at to know who is inside.
const PAST: usize = 2_000;
/// How many dead letters are tried again at once.
const REVIVED: u32 = 500;
/// So long events gather before they are read.
const GATHER: Duration = Duration::from_millis(10);
/// How long to wait when the record or the state can not be used.
const AGAIN: Duration = Duration::from_secs(2);
/// How often it is said that events are removed which were not taken.
const SAY_LOST_EVERY: Duration = Duration::from_secs(3_600);
/// How long what is under way may take when the daemon ends.
const FINISH: Duration = Duration::from_millis(1_500);

/// What says how late it is.
pub(super) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Go by these settings; who was refused is tried again.
    Configure(Arc<Webhook>),
    /// Send again what was sent since then.
    GoBack(EventId, Option<LaneKey>, oneshot::Sender<String>),
    /// Go on with the rooms that are parked.
    Unpark(Option<LaneKey>, oneshot::Sender<String>),
    /// Try dead letters again.
    Revive(oneshot::Sender<String>),
    /// Give up on what waits.
    Skip(Option<LaneKey>, oneshot::Sender<String>),
    /// Come to an end.
    Stop,
}

/// What came of a job.
struct Sent {
    job: Job,
    /// How many of its letters were accepted.
    done: usize,
    outcome: Outcome,
}

pub(super) struct Worker {
    pub webhook: Arc<Webhook>,
    pub database: Database,
    pub bus: Arc<Bus>,
    pub places: Places,
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub facts: watch::Sender<Facts>,
    pub seed: u64,
    pub clock: Clock,
}

/// What was to be kept, and whether it was.
struct Keeping {
    kept: Kept,
    dead: Vec<DeadLetter>,
    revived: Vec<EventId>,
    result: Result<(), DatabaseError>,
}

struct Running {
    w: Worker,
    client: Client,
    speech: Box<dyn Speech>,
    queue: Queue,
    /// The letters of events under way that were not accepted yet.
    letters: HashMap<LaneKey, (EventId, Vec<Letter>)>,
    sending: JoinSet<Sent>,
    keeping: JoinSet<Keeping>,
    kept: Kept,
    dead: Vec<DeadLetter>,
    revived: Vec<EventId>,
    skipped: u64,
    removals: watch::Receiver<EventId>,
    /// Between these two events were removed from the record that were not read before.
    lost: Option<(EventId, EventId)>,
    /// When that was said.
    lost_said: Option<Instant>,
    buried: u64,
    /// The record or the state did not work: not before then.
    again: Option<Instant>,
}

impl Worker {
    pub(super) async fn run(self) {
        let name = self.webhook.name.clone();
        let mut live = self.bus.follow(None).live;
        let (kept, buried) = loop {
            match self.load().await {
                Ok(loaded) => break loaded,
                Err(DatabaseError::Closed) => return,
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    error!(webhook = %name, "how far it was told can not be read; nothing is sent yet: {error:#}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        Running::new(self, kept, buried).go(&mut live).await;
    }

    /// How far it was told, and how many dead letters there are. A new receiver begins now, and that is kept at once.
    async fn load(&self) -> Result<(Kept, u64), DatabaseError> {
        let name = &self.webhook.name;
        let kept = match self.database.webhook(name).await? {
            Some(kept) => kept,
            None => {
                let kept = Kept { read: self.bus.last(), lanes: Vec::new() };
                self.database.keep_webhook(name, kept.clone(), Vec::new(), Vec::new()).await?;
                kept
            }
        };
        Ok((kept, self.database.count_dead_letters(name).await?))
    }
}

fn client(webhook: &Webhook) -> Client {
    Client::new(webhook.ca_file.clone(), webhook.allow_private, webhook.timeout)
}

impl Running {
    fn new(w: Worker, kept: Kept, buried: u64) -> Self {
        let webhook = &w.webhook;
        Running {
            client: client(webhook),
            speech: speech(webhook.dialect),
            queue: Queue::new(webhook.on_unknown, kept.clone(), w.seed),
            removals: w.database.removals(),
            w,
            letters: HashMap::new(),
            sending: JoinSet::new(),
            keeping: JoinSet::new(),
            kept,
            dead: Vec::new(),
            revived: Vec::new(),
            skipped: 0,
            lost: None,
            lost_said: None,
            buried,
            again: None,
        }
    }

    fn now(&self) -> Instant {
        (self.w.clock)()
    }

    async fn go(&mut self, live: &mut broadcast::Receiver<Arc<Event>>) {
        let mut unread = true;
        loop {
            if self.again.is_some_and(|at| at <= self.now()) {
                self.again = None;
            }
            if self.again.is_none() {
                if unread && self.queue.has_place() {
                    unread = self.read().await;
                }
                self.refill().await;
                self.send().await;
            }
            self.speak();
            self.keep();
            self.tell();
            let more = self.again.is_none() && (unread && self.queue.has_place() || self.queue.wants().is_some());
            let deadline = self.again.or_else(|| self.queue.deadline());
            let wait = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                order = self.w.orders.recv() => match order {
                    None | Some(Order::Stop) => break,
                    Some(order) => {
                        self.obey(order).await;
                        unread = true;
                    }
                },
                Some(sent) = self.sending.join_next() => self.sent(sent),
                Some(kept) = self.keeping.join_next() => self.was_kept(kept),
                Ok(()) = self.removals.changed() => self.look().await,
                () = std::future::ready(()), if more => {}
                event = live.recv(), if !unread => {
                    // The event comes out of the record; here it only wakes. So does having missed some.
                    if event == Err(RecvError::Closed) {
                        break;
                    }
                    tokio::time::sleep(GATHER).await;
                    while !matches!(live.try_recv(), Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)) {}
                    unread = true;
                }
                () = wait => {}
            }
        }
        self.finish().await;
    }

    // ── events come in

    /// Reads on in the record; says whether there is more.
    async fn read(&mut self) -> bool {
        let filter = Filter { after: Some(self.queue.read()), limit: Some(READ), own: true, ..Filter::default() };
        let read = async {
            self.w.database.flush().await?;
            self.w.database.events_left(filter).await
        };
        let (records, removed) = match read.await {
            Ok(read) => read,
            Err(error) => {
                self.trouble("the record can not be read", error);
                return true;
            }
        };
        self.lose(removed, self.queue.read());
        let more = records.len() == READ;
        for record in records {
            // A kind of a newer program's is none that could be said.
            match record.event() {
                Ok(event) if self.w.webhook.takes(&event) => self.queue.take(Arc::new(event)),
                _ => self.queue.pass(record.id),
            }
        }
        more
    }

    /// Reads again what lanes did not keep.
    async fn refill(&mut self) {
        while let Some((lane, settled)) = self.queue.wants() {
            let room = (!lane.room.is_empty()).then(|| lane.room.clone());
            let filter = Filter {
                service: Some(lane.service.clone()),
                room,
                after: Some(settled),
                limit: Some(PAGE),
                own: true,
                ..Filter::default()
            };
            match self.w.database.events_left(filter).await {
                Ok((records, removed)) => {
                    self.lose(removed, settled);
                    let seen = (records.len() == PAGE).then(|| records.last().map(|last| last.id)).flatten();
                    let events = records.iter().filter_map(|record| record.event().ok());
                    let events = events.filter(|event| LaneKey::of(event) == lane && self.w.webhook.takes(event));
                    let events = events.map(Arc::new).collect();
                    self.queue.refill(&lane, events, seen);
                }
                Err(error) => return self.trouble("the record can not be read", error),
            }
        }
    }

    /// Looks whether something was removed from the record that is still needed of it.
    async fn look(&mut self) {
        match self.w.database.removed().await {
            Ok(removed) => self.lose(removed, self.queue.needs()),
            Err(error) => self.trouble("the record can not be read", error),
        }
    }

    /// Up to `removed` the record has no events any more; those behind `needs` were needed.
    fn lose(&mut self, removed: EventId, needs: EventId) {
        if removed <= needs {
            return;
        }
        self.queue.lose(removed);
        let from = self.lost.map_or(needs, |(from, _)| from.min(needs));
        self.lost = Some((from, removed));
        let now = self.now();
        if self.lost_said.is_none_or(|said| now.duration_since(said) >= SAY_LOST_EVERY) {
            self.lost_said = Some(now);
            let (from, until) = (from.time(), removed.time());
            error!(webhook = %self.w.webhook.name, %from, %until, "what was left for the receiver of what happened then was removed from the record before it took it, and no replay can bring it back; raise keep_events or keep_events_size");
        }
    }

    fn trouble(&mut self, what: &str, error: DatabaseError) {
        if !matches!(error, DatabaseError::Closed) {
            let error = anyhow::Error::new(error);
            warn!(webhook = %self.w.webhook.name, "{what}; events wait: {error:#}");
        }
        self.again = Some(self.now() + AGAIN);
    }

    // ── events go out

    async fn send(&mut self) {
        let mut jobs: Vec<Job> = Vec::new();
        while let Some(job) = self.queue.next(self.now()) {
            let known = self.letters.get(&job.lane).is_some_and(|(id, _)| *id == job.event.id);
            if !known {
                match self.write(&job).await {
                    Ok(letters) => drop(self.letters.insert(job.lane.clone(), (job.event.id, letters))),
                    Err(error) => {
                        jobs.iter().chain([&job]).for_each(|job| self.queue.put_back(&job.lane));
                        return self.trouble("the record can not be read", error);
                    }
                }
            }
            if self.letters.get(&job.lane).is_some_and(|(_, letters)| letters.is_empty()) {
                self.letters.remove(&job.lane);
                self.queue.settle(&job.lane);
            } else {
                jobs.push(job);
            }
        }
        if jobs.is_empty() {
            return;
        }
        if self.w.webhook.on_unknown == OnUnknown::Skip {
            // What is being kept just now is older, and must not come after this.
            while let Some(kept) = self.keeping.join_next().await {
                self.was_kept(kept);
            }
            // Should we be ended now, what is under way is known, and not sent twice.
            self.kept = self.queue.keep();
            let name = &self.w.webhook.name;
            if let Err(error) = self.w.database.keep_webhook(name, self.kept.clone(), Vec::new(), Vec::new()).await {
                let why = format!("nothing is sent before that can be kept: {:#}", anyhow::Error::new(error));
                for job in jobs {
                    self.queue.answered(self.now(), &job.lane, Outcome::Unsent(why.clone()));
                }
                return;
            }
        }
        for job in jobs {
            let Some((_, letters)) = self.letters.get(&job.lane) else { continue };
            let now = Timestamp::now();
            let secret = self.w.webhook.secret.as_ref();
            let posts = letters.iter().map(|letter| {
                let headers = self.speech.headers(secret, letter, now);
                (address(&self.w.webhook, letter), headers, letter.body.clone())
            });
            let (posts, client): (Vec<_>, _) = (posts.collect(), self.client.clone());
            self.sending.spawn(async move {
                let (done, outcome) = post(&client, posts).await;
                Sent { job, done, outcome }
            });
        }
    }

    /// What is to be said of an event.
    async fn write(&mut self, job: &Job) -> Result<Vec<Letter>, DatabaseError> {
        let room = job.event.room.as_deref().unwrap_or_default();
        let jid = self.w.places.jid(&job.event.service, room);
        if job.lane.dead {
            // Out of its order: what was inside then is looked up for it alone.
            let mut speech = speech(self.w.webhook.dialect);
            if !speech.knows(&job.lane) {
                speech.recall(&job.lane, &self.past(&job.event).await?, &jid);
            }
            return Ok(speech.letters(&job.event, &jid));
        }
        if !self.speech.knows(&job.lane) {
            let past = self.past(&job.event).await?;
            self.speech.recall(&job.lane, &past, &jid);
        }
        Ok(self.speech.letters(&job.event, &jid))
    }

    /// What happened in the event's room before it, oldest first.
    async fn past(&self, event: &Event) -> Result<Vec<Arc<Event>>, DatabaseError> {
        let filter = Filter {
            service: Some(event.service.clone()),
            room: event.room.clone(),
            until: event.time.checked_add(jiff::SignedDuration::from_millis(1)).ok(),
            own: true,
            order: Way::NewestFirst,
            limit: Some(PAST),
            ..Filter::default()
        };
        let records = self.w.database.events(filter).await?;
        let mut past: Vec<_> = records
            .iter()
            .filter(|record| record.id < event.id)
            .filter_map(|record| record.event().ok().map(Arc::new))
            .collect();
        past.sort_by_key(|event| event.id);
        Ok(past)
    }

    fn sent(&mut self, sent: Result<Sent, tokio::task::JoinError>) {
        let Sent { job, done, outcome } = match sent {
            Ok(sent) => sent,
            Err(error) => {
                if !error.is_cancelled() {
                    error!(webhook = %self.w.webhook.name, %error, "sending broke; please report this. It is tried again");
                    self.queue.interrupt();
                }
                return;
            }
        };
        debug!(webhook = %self.w.webhook.name, room = %job.lane, event = %job.event.id, ?outcome, "sent");
        if let Some((_, letters)) = self.letters.get_mut(&job.lane) {
            letters.drain(..done.min(letters.len()));
        }
        if outcome == Outcome::Accepted {
            self.letters.remove(&job.lane);
        }
        self.queue.answered(self.now(), &job.lane, outcome);
    }

    // ── what is kept, and told

    /// Says what people should hear of.
    fn speak(&mut self) {
        let webhook = &self.w.webhook.name;
        for word in self.queue.words() {
            match word {
                Word::Down(why) => warn!(%webhook, why, "the receiver takes nothing; events are kept for it"),
                Word::Up => info!(%webhook, "the receiver takes events again"),
                Word::Stopped(why) => {
                    error!(%webhook, why, "the receiver refuses us; events are kept until a reload, or `innkeeper webhook replay`");
                }
                Word::Parked(room, why) => {
                    error!(%webhook, %room, why, "the receiver does not know the room; its events are kept until `innkeeper webhook replay`");
                }
                Word::Dead(lane, event, why) => {
                    let kind = event.what.kind();
                    error!(%webhook, room = %lane, event = %event.id, %kind, why, "the receiver will not take an event; `innkeeper webhook replay --dead` tries again");
                    self.letters.remove(&lane);
                    self.buried += u64::from(!lane.dead);
                    let lane = LaneKey { dead: false, ..lane };
                    self.dead.push(DeadLetter { event: event.id, lane, time: Timestamp::now(), why: why.into() });
                }
                Word::Revived(id) => {
                    self.buried = self.buried.saturating_sub(1);
                    self.revived.push(id);
                }
                Word::Skipped(room, event, why) => {
                    error!(%webhook, %room, %event, why, "nobody knows whether the receiver took an event, and it is not sent again");
                    self.letters.remove(&room);
                    self.skipped += 1;
                }
            }
        }
    }

    /// Keeps how far the receiver was told, if that changed and is not being kept just now.
    fn keep(&mut self) {
        if !self.keeping.is_empty() || self.again.is_some() {
            return;
        }
        let kept = self.queue.keep();
        if kept == self.kept && self.dead.is_empty() && self.revived.is_empty() {
            return;
        }
        let (database, name) = (self.w.database.clone(), self.w.webhook.name.clone());
        let (dead, revived) = (std::mem::take(&mut self.dead), std::mem::take(&mut self.revived));
        self.keeping.spawn(async move {
            let result = database.keep_webhook(&name, kept.clone(), dead.clone(), revived.clone()).await;
            Keeping { kept, dead, revived, result }
        });
    }

    fn was_kept(&mut self, kept: Result<Keeping, tokio::task::JoinError>) {
        match kept {
            Ok(Keeping { kept, result: Ok(()), .. }) => self.kept = kept,
            Ok(Keeping { dead, revived, result: Err(error), .. }) => {
                // They are nowhere else: the place in the record that is kept next is behind them.
                self.dead.splice(0..0, dead);
                self.revived.splice(0..0, revived);
                self.trouble("how far it was told can not be kept", error);
            }
            Err(error) => error!(webhook = %self.w.webhook.name, %error, "how far it was told was not kept"),
        }
    }

    fn tell(&self) {
        let (state, why, next) = match self.queue.reach() {
            // It takes something, but perhaps not everything.
            Reach::Up => match self.queue.tries() {
                Some((lane, why, until)) => ("up", format!("tries {lane} again: {why}"), Some(until)),
                None => ("up", String::new(), None),
            },
            Reach::Down { until, why, .. } => ("down", why.clone(), Some(*until)),
            Reach::Stopped(why) => ("stopped", why.clone(), None),
        };
        let parked = self.queue.parked().map(|(lane, why)| (lane.to_string(), why.to_owned())).collect();
        let facts = Facts {
            state,
            why,
            next,
            accepted: self.queue.accepted(),
            skipped: self.skipped,
            lost: self.lost,
            dead: self.buried,
            parked,
            oldest: self.queue.oldest(EventId::default()),
            read: self.queue.read(),
        };
        self.w.facts.send_if_modified(|known| {
            let changed = *known != facts;
            *known = facts;
            changed
        });
    }

    // ── orders

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Configure(webhook) => {
                if webhook.dialect != self.w.webhook.dialect {
                    self.interrupt().await;
                    self.speech = speech(webhook.dialect);
                }
                self.client = client(&webhook);
                self.queue.configure(webhook.on_unknown);
                self.w.webhook = webhook;
                self.queue.start();
            }
            Order::GoBack(to, lane, reply) => {
                let text = match self.w.database.removed().await {
                    Ok(removed) => {
                        let from = to.max(removed);
                        self.interrupt().await;
                        self.queue.go_back(from, lane.as_ref());
                        let older = if from > to { "; the record has nothing older any more" } else { "" };
                        format!("what happened since {} is sent again, under the same keys{older}", from.time())
                    }
                    Err(error) => format!("the record can not be read: {:#}", anyhow::Error::new(error)),
                };
                let _ = reply.send(text);
            }
            Order::Unpark(lane, reply) => {
                let count = self.queue.unpark(lane.as_ref());
                let _ = reply.send(format!("{count} parked rooms are tried again"));
            }
            Order::Revive(reply) => {
                let text = match self.dead_events().await {
                    Ok((events, gone)) => {
                        let (count, lost) = (events.len(), gone.len());
                        self.queue.revive(events);
                        self.buried = self.buried.saturating_sub(lost as u64);
                        self.revived.extend(gone);
                        match lost {
                            0 => format!("{count} dead letters are tried again"),
                            _ => format!(
                                "{count} dead letters are tried again; {lost} are not in the record any more and given up"
                            ),
                        }
                    }
                    Err(error) => format!("the dead letters can not be read: {:#}", anyhow::Error::new(error)),
                };
                let _ = reply.send(text);
            }
            Order::Skip(lane, reply) => {
                self.interrupt().await;
                self.queue.skip(self.w.bus.last(), lane.as_ref());
                let of = lane.map_or_else(|| "all rooms".to_owned(), |lane| lane.to_string());
                let _ = reply.send(format!("what waited of {of} is not sent any more"));
            }
            Order::Stop => {}
        }
    }

    /// The dead letters that are tried next, and those whose events are not in the record any more.
    async fn dead_events(&self) -> Result<(Vec<Arc<Event>>, Vec<EventId>), DatabaseError> {
        let (mut events, mut gone) = (Vec::new(), Vec::new());
        for letter in self.w.database.dead_letters(&self.w.webhook.name, REVIVED).await? {
            let filter = Filter { after: Some(letter.event.before()), limit: Some(1), ..Filter::default() };
            let found = self.w.database.events(filter).await?;
            match found.first().filter(|record| record.id == letter.event) {
                // What this version can not read may be read by another.
                Some(record) => events.extend(record.event().ok().map(Arc::new)),
                None => gone.push(letter.event),
            }
        }
        Ok((events, gone))
    }

    /// Lets go of what is under way.
    async fn interrupt(&mut self) {
        self.sending.shutdown().await;
        self.queue.interrupt();
        self.letters.clear();
        self.speech.forget();
    }

    async fn finish(&mut self) {
        let under_way = async {
            while let Some(sent) = self.sending.join_next().await {
                self.sent(sent);
            }
        };
        // What does not come to its end in time is sent again after the start, or skipped: it is kept as under way.
        let _ = tokio::time::timeout(FINISH, under_way).await;
        self.speak();
        while let Some(kept) = self.keeping.join_next().await {
            self.was_kept(kept);
        }
        self.again = None;
        self.keep();
        while let Some(kept) = self.keeping.join_next().await {
            self.was_kept(kept);
        }
    }
}

/// Posts one after another; says how many were accepted, and what came of the last.
async fn post(client: &Client, posts: Vec<(Url, HeaderMap, Vec<u8>)>) -> (usize, Outcome) {
    let mut done = 0;
    for (url, headers, body) in posts {
        let outcome = outcome(client.post(&url, headers, body).await);
        if outcome != Outcome::Accepted {
            return (done, outcome);
        }
        done += 1;
    }
    (done, Outcome::Accepted)
}

/// What an answer, or none, means.
pub(super) fn outcome(answered: Result<super::client::Answer, Unanswered>) -> Outcome {
    match answered {
        Ok(answer) => {
            let retry_after = answer.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            answer::read(answer.status, retry_after, Timestamp::now())
        }
        Err(Unanswered::Unsent(why)) => Outcome::Unsent(why),
        Err(Unanswered::Unknown(why)) => Outcome::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{Dialect, Secret};
    use crate::event::What;
    use crate::rights::RoomPattern;
    use crate::sinks::webhook::queue::KeptLane;
    use crate::store::{Imported, Retention};

    fn worker(folder: &std::path::Path) -> Worker {
        let database = Database::of_test(folder);
        let bus = Bus::new(EventId::default(), Some(database.clone()));
        worker_of(&database, &bus)
    }

    fn worker_of(database: &Database, bus: &Arc<Bus>) -> Worker {
        let webhook = Webhook {
            name: "story".into(),
            url: "http://127.0.0.1:9/".parse().expect("a URL"),
            dialect: Dialect::Innkeeper,
            secret: Some(Secret::new("sesame")),
            rooms: RoomPattern::all(),
            kinds: Vec::new(),
            allow_private: true,
            on_unknown: OnUnknown::Retry,
            timeout: Duration::from_secs(1),
            ca_file: None,
        };
        Worker {
            webhook: Arc::new(webhook),
            database: database.clone(),
            bus: bus.clone(),
            places: Places::default(),
            orders: mpsc::unbounded_channel().1,
            facts: watch::channel(Facts::default()).0,
            seed: 7,
            clock: Box::new(Instant::now),
        }
    }

    fn letter(event: EventId, second: i64) -> DeadLetter {
        let lane = LaneKey { service: "meet".into(), room: "hall".into(), dead: false };
        DeadLetter { event, lane, time: Timestamp::from_second(second).expect("near"), why: "because".into() }
    }

    #[tokio::test]
    async fn a_dead_letter_that_can_not_be_stored_is_not_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = worker(folder.path());
        worker.database.close().await;
        let mut running = Running::new(worker, Kept::default(), 0);
        running.dead.push(letter(7.into(), 1));
        running.revived.push(8.into());
        running.keep();
        while let Some(kept) = running.keeping.join_next().await {
            running.was_kept(kept);
        }
        assert_eq!((running.dead, running.revived), (vec![letter(7.into(), 1)], vec![8.into()]));
    }

    #[tokio::test]
    async fn what_was_taken_in_from_another_record_is_sent_to_nobody_who_is_behind_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = worker(folder.path());
        let (database, bus) = (worker.database.clone(), worker.bus.clone());
        let at = |second: i64| Timestamp::from_second(1_772_000_000 + second).expect("near");
        let own = [0, 20].map(|second| bus.publish(at(second), "meet", Some("hall"), None, What::RoomHeld).id);
        database.flush().await.expect("open");
        let foreign = Event::new(own[0].next(at(10)), at(10), "meet", Some("hall"), None, What::RoomHeld);
        let taken = database.import(std::slice::from_ref(&foreign)).await.expect("open");
        assert_eq!(taken, Imported::Taken { new: 1, known: 0 });
        let lane =
            KeptLane { lane: letter(own[0], 1).lane, settled: EventId::default(), parked: None, under_way: None };
        // One reads on, the other one again what it has not kept.
        for kept in [Kept::default(), Kept { read: own[1], lanes: vec![lane] }] {
            let mut running = Running::new(worker_of(&database, &bus), kept.clone(), 0);
            running.read().await;
            running.refill().await;
            let mut sent = Vec::new();
            while let Some(job) = running.queue.next(Instant::now()) {
                sent.push(job.event.id);
                running.queue.settle(&job.lane);
            }
            assert_eq!(sent, own, "{kept:?}");
        }
        assert_eq!(
            database.events(Filter::default()).await.expect("open").len(),
            3,
            "it is in the record all the same"
        );
        database.close().await;
    }

    #[tokio::test]
    async fn what_is_removed_before_a_receiver_took_it_is_a_loss_for_that_one_and_for_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = worker(folder.path());
        let (database, bus) = (worker.database.clone(), worker.bus.clone());
        let long_ago = Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(9)).expect("near");
        let publish = |time| bus.publish(time, "meet", Some("hall"), None, What::RoomHeld).id;
        let old = [(); 3].map(|()| publish(long_ago));
        let young = publish(Timestamp::now());
        database.flush().await.expect("open");
        let kept = |read| Kept { read, lanes: Vec::new() };
        let mut behind = Running::new(worker, kept(old[0]), 0);
        let mut stopped = Running::new(worker_of(&database, &bus), kept(old[1]), 0);
        let mut up_to_date = Running::new(worker_of(&database, &bus), kept(old[2]), 0);
        database.keep(Retention { age: Some(Duration::from_secs(3_600)), bytes: None });
        let removed = tokio::time::timeout(Duration::from_secs(30), stopped.removals.changed()).await;
        assert!(removed.is_ok_and(|changed| changed.is_ok()), "three events are too old");
        // One hears of it before it reads, and one when it does.
        stopped.look().await;
        assert_eq!((stopped.lost, stopped.queue.read()), (Some((old[1], old[2])), old[2]));
        for (running, lost) in
            [(&mut behind, Some((old[0], old[2]))), (&mut up_to_date, None), (&mut stopped, Some((old[1], old[2])))]
        {
            running.read().await;
            assert_eq!(running.lost, lost);
            assert_eq!(running.queue.next(Instant::now()).map(|job| job.event.id), Some(young));
        }
        let (told, answer) = oneshot::channel();
        up_to_date.obey(Order::GoBack(EventId::default(), None, told)).await;
        assert!(answer.await.is_ok_and(|text| text.contains("nothing older any more")));
        up_to_date.read().await;
        assert_eq!(up_to_date.lost, None, "nobody was promised what is older");
        assert_eq!(database.removed().await.expect("open"), old[2]);
        database.close().await;
    }

    /// Takes requests, one a connection, and rejects those under the key of `bad`; their keys.
    async fn refuses(listener: TcpListener, bad: String, keys: Arc<Mutex<Vec<String>>>) {
        loop {
            let mut stream = BufReader::new(listener.accept().await.expect("a connection").0);
            let (mut key, mut length) = (String::new(), 0);
            let mut line = String::new();
            while stream.read_line(&mut line).await.expect("a head") > 2 {
                let (name, value) = line.split_once(':').unwrap_or_default();
                match &*name.to_lowercase() {
                    "webhook-id" => key = value.trim().to_owned(),
                    "content-length" => length = value.trim().parse().expect("a number"),
                    _ => {}
                }
                line.clear();
            }
            stream.read_exact(&mut vec![0; length]).await.expect("a body");
            let status = if key == bad { "400 Bad Request" } else { "204 No Content" };
            keys.lock().expect("no panic").push(key);
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        }
    }

    #[tokio::test]
    async fn what_a_receiver_rejects_five_times_in_ten_minutes_is_stored_as_a_dead_letter_and_the_room_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut worker = worker(folder.path());
        let (database, bus) = (worker.database.clone(), worker.bus.clone());
        let publish = || bus.publish(Timestamp::now(), "meet", Some("hall"), None, What::RoomHeld).id;
        let (bad, good) = (publish(), publish());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URL");
        worker.webhook = Arc::new(Webhook { url, timeout: Duration::from_secs(30), ..(*worker.webhook).clone() });
        let begun = Instant::now();
        let (now, keys) = (Arc::new(Mutex::new(begun)), Arc::<Mutex<Vec<String>>>::default());
        let clock = now.clone();
        worker.clock = Box::new(move || *clock.lock().expect("no panic"));
        let receiver = tokio::spawn(refuses(listener, bad.to_string(), keys.clone()));
        let mut running = Running::new(worker, Kept::default(), 0);
        running.read().await;
        for round in 0.. {
            assert!(round < 50, "it never ends: {keys:?}");
            running.send().await;
            if let Some(sent) = running.sending.join_next().await {
                running.sent(sent);
                running.speak();
            } else if let Some(due) = running.queue.deadline() {
                let mut now = now.lock().expect("no panic");
                *now = due.max(*now);
            } else {
                break;
            }
        }
        let tried: Vec<_> = [bad; 5].into_iter().chain([good]).map(|id| id.to_string()).collect();
        assert_eq!(*keys.lock().expect("no panic"), tried);
        let took = now.lock().expect("no panic").duration_since(begun).as_secs();
        assert!((480..=720).contains(&took), "{took}");
        running.finish().await;
        let dead = database.dead_letters("story", 9).await.expect("open");
        assert_eq!(dead.iter().map(|letter| letter.event).collect::<Vec<_>>(), [bad]);
        assert!(dead[0].why.contains("400"), "{dead:?}");
        let kept = database.webhook("story").await.expect("open");
        assert_eq!((kept, running.buried), (Some(Kept { read: good, lanes: Vec::new() }), 1));
        receiver.abort();
        database.close().await;
    }

    #[tokio::test]
    async fn dead_letters_are_tried_in_turn_and_those_that_the_record_lost_are_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = worker(folder.path());
        let (database, bus) = (worker.database.clone(), worker.bus.clone());
        let event = bus.publish(Timestamp::now(), "meet", Some("hall"), None, What::RoomHeld);
        database.flush().await.expect("open");
        let lost: Vec<EventId> = (1..=u64::from(REVIVED)).map(EventId::from).collect();
        let dead = lost.iter().map(|id| letter(*id, 1)).chain([letter(event.id, 2)]).collect();
        database.keep_webhook("story", Kept::default(), dead, Vec::new()).await.expect("open");
        let mut running = Running::new(worker, Kept::default(), 501);
        let (told, answer) = oneshot::channel();
        running.obey(Order::Revive(told)).await;
        assert!(answer.await.is_ok_and(|text| text.contains("500 are not in the record any more")));
        assert_eq!((running.buried, &running.revived), (1, &lost));
        running.keep();
        while let Some(kept) = running.keeping.join_next().await {
            running.was_kept(kept);
        }
        // Rejected again now, it comes behind one that was rejected before.
        let dead = vec![letter(event.id, 9), letter(EventId::from(event.id.number() + 1), 3)];
        database.keep_webhook("story", Kept::default(), dead, Vec::new()).await.expect("open");
        let first = database.dead_letters("story", 1).await.expect("open");
        assert_eq!(first.first().map(|letter| letter.event.number()), Some(event.id.number() + 1));
        database.close().await;
    }
}
