//! All receivers: their workers, started and ended as the configuration says, and what people ask of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use super::queue::LaneKey;
use super::trial;
use super::worker::{Order, Worker};
use crate::command::{HealthTarget, Reply, WebhookRow, refused};
use crate::config::{Config, RoomKey, Webhook};
use crate::event::EventId;
use crate::runtime::bus::Bus;
use crate::store::Database;

/// How long all workers may take to come to their end.
const STOP: Duration = Duration::from_secs(3);

/// Where rooms are: their domains, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<RwLock<Domains>>);

#[derive(Debug, Default)]
struct Domains {
    services: HashMap<Box<str>, Box<str>>,
    rooms: HashMap<RoomKey, Box<str>>,
}

impl Places {
    /// The room's JID; its name alone while the domain is not known.
    #[must_use]
    pub fn jid(&self, service: &str, room: &str) -> String {
        let domains = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let own = domains.rooms.get(&RoomKey::new(service, room));
        match own.or_else(|| domains.services.get(service)) {
            Some(domain) => format!("{room}@{domain}"),
            None => room.to_owned(),
        }
    }

    /// A service's rooms are on this domain.
    pub fn found(&self, service: &str, domain: &str) {
        let mut domains = self.0.write().unwrap_or_else(PoisonError::into_inner);
        domains.services.insert(service.into(), domain.into());
    }

    fn configure(&self, config: &Config) {
        let mut domains = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (name, service) in &config.services {
            if let Some(muc) = &service.muc {
                domains.services.insert(name.as_str().into(), muc.as_str().into());
            }
        }
        let own = config.rooms.iter().filter_map(|(key, room)| Some((key.clone(), room.muc.as_deref()?.into())));
        domains.rooms = own.collect();
    }
}

/// How it is with a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub state: &'static str,
    pub why: String,
    pub next: Option<Instant>,
    pub accepted: u64,
    pub skipped: u64,
    /// Events between these two were removed from the record before all of them were read.
    pub lost: Option<(EventId, EventId)>,
    pub dead: u64,
    pub parked: Vec<(String, String)>,
    /// The event behind which the oldest is that waits among those that were read.
    pub oldest: Option<EventId>,
    pub read: EventId,
}

#[derive(Debug)]
struct Desk {
    webhook: Arc<Webhook>,
    orders: mpsc::UnboundedSender<Order>,
    facts: watch::Receiver<Facts>,
    task: JoinHandle<()>,
}

/// All receivers.
#[derive(Debug)]
pub struct Office {
    database: Database,
    bus: Arc<Bus>,
    /// Where rooms are.
    pub places: Places,
    desks: BTreeMap<String, Desk>,
    /// Workers of receivers that the configuration does not name any more, until they have come to their end.
    leaving: Vec<(String, JoinHandle<()>)>,
}

impl Office {
    /// Nobody is told yet.
    #[must_use]
    pub fn new(database: Database, bus: Arc<Bus>) -> Self {
        Office { database, bus, places: Places::default(), desks: BTreeMap::new(), leaving: Vec::new() }
    }

    /// Tells whom the configuration names, from where each was left. `seed` makes their waits differ.
    pub fn configure(&mut self, config: &Config, mut seed: impl FnMut() -> u64) {
        self.places.configure(config);
        self.leaving.retain(|(_, task)| !task.is_finished());
        let goes: Vec<String> =
            self.desks.keys().filter(|name| !config.webhooks.contains_key(*name)).cloned().collect();
        for name in goes {
            let Some(desk) = self.desks.remove(&name) else { continue };
            // A worker that ended already has nothing to be told.
            let _ = desk.orders.send(Order::Stop);
            self.leaving.push((name, desk.task));
        }
        for (name, webhook) in &config.webhooks {
            let webhook = Arc::new(webhook.clone());
            if let Some(desk) = self.desks.get_mut(name).filter(|desk| !desk.task.is_finished()) {
                desk.webhook = webhook.clone();
                let _ = desk.orders.send(Order::Configure(webhook));
                continue;
            }
            let (orders, taken) = mpsc::unbounded_channel();
            let (told, facts) = watch::channel(Facts { state: "up", ..Facts::default() });
            let worker = Worker {
                webhook: webhook.clone(),
                database: self.database.clone(),
                bus: self.bus.clone(),
                places: self.places.clone(),
                orders: taken,
                facts: told,
                seed: seed(),
                clock: Box::new(Instant::now),
            };
            let (before, others) = std::mem::take(&mut self.leaving).into_iter().partition(|(known, _)| known == name);
            self.leaving = others;
            let task = tokio::spawn(after(before, worker));
            self.desks.insert(name.clone(), Desk { webhook, orders, facts, task });
        }
    }

    /// Ends all workers; what is under way comes to its end if it is quick.
    pub async fn stop(&mut self) {
        let desks = std::mem::take(&mut self.desks);
        for desk in desks.values() {
            let _ = desk.orders.send(Order::Stop);
        }
        let leaving = std::mem::take(&mut self.leaving);
        let ended = async {
            for (name, task) in desks.into_iter().map(|(name, desk)| (name, desk.task)).chain(leaving) {
                if let Err(error) = task.await {
                    warn!(webhook = %name, %error, "its sending broke; please report this");
                }
            }
        };
        if tokio::time::timeout(STOP, ended).await.is_err() {
            warn!("some receivers of webhooks could not be taken leave of in time; they hear again what was under way");
        }
    }

    // ── facts

    /// A row for each receiver.
    #[must_use]
    pub fn rows(&self) -> Vec<WebhookRow> {
        let (now, clock) = (Instant::now(), Timestamp::now());
        self.desks
            .iter()
            .map(|(name, desk)| {
                let facts = desk.facts.borrow();
                let next = facts.next.map(|at| {
                    let wait = jiff::SignedDuration::try_from(at.saturating_duration_since(now)).unwrap_or_default();
                    clock.saturating_add(wait).unwrap_or(clock).to_string()
                });
                WebhookRow {
                    name: name.clone(),
                    url: shown(&desk.webhook.url),
                    dialect: desk.webhook.dialect.as_str().to_owned(),
                    state: facts.state.to_owned(),
                    why: facts.why.clone(),
                    next_at: next,
                    behind_seconds: self.behind(&facts, clock),
                    accepted: facts.accepted,
                    skipped: facts.skipped,
                    lost_from: facts.lost.map(|(from, _)| from.time().to_string()),
                    lost_until: facts.lost.map(|(_, until)| until.time().to_string()),
                    dead: facts.dead,
                    parked: facts.parked.iter().map(|(room, why)| format!("{room}: {why}")).collect(),
                    secret_configured: desk.webhook.secret.is_some(),
                }
            })
            .collect()
    }

    /// In a few words for whoever asks for our health.
    #[must_use]
    pub fn health(&self) -> Vec<HealthTarget> {
        let clock = Timestamp::now();
        self.desks
            .iter()
            .map(|(name, desk)| {
                let facts = desk.facts.borrow();
                HealthTarget {
                    name: name.clone(),
                    state: facts.state.to_owned(),
                    lag_seconds: self.behind(&facts, clock),
                    secret_configured: desk.webhook.secret.is_some(),
                }
            })
            .collect()
    }

    /// For how many seconds the oldest event waits that is due, at least one where any was read.
    fn behind(&self, facts: &Facts, clock: Timestamp) -> u64 {
        let newest = self.bus.last();
        let since = |event: EventId| u64::try_from(clock.duration_since(event.time()).as_secs()).unwrap_or(0);
        let waits = facts.oldest.map(|oldest| since(oldest).max(1));
        // Before its first event there is no time.
        let read = if facts.read == EventId::default() { newest } else { facts.read };
        let unread = (facts.read < newest).then(|| since(read));
        waits.into_iter().chain(unread).max().unwrap_or(0)
    }

    // ── what people ask

    fn desk(&self, target: &str) -> Result<&Desk, Box<Reply>> {
        self.desks.get(target).ok_or_else(|| {
            let names: Vec<_> = self.desks.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none is configured".to_owned() } else { names.join(", ") };
            Box::new(refused("unknown-webhook", format!("no webhook is called {target:?}; there are: {known}")))
        })
    }

    /// Tries a receiver with samples.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn test(
        &self,
        target: &str,
        reply: oneshot::Sender<Reply>,
    ) -> Result<(), (Box<Reply>, oneshot::Sender<Reply>)> {
        let webhook = match self.desk(target) {
            Ok(desk) => desk.webhook.clone(),
            Err(refusal) => return Err((refusal, reply)),
        };
        tokio::spawn(async move {
            // Whoever asked may be gone.
            let _ = reply.send(Reply::WebhookTested(Box::new(trial::run(&webhook).await)));
        });
        Ok(())
    }

    /// Sends again: what happened since then, dead letters, or else what is parked.
    pub fn replay(
        &self,
        target: &str,
        room: Option<&RoomKey>,
        since: Option<Timestamp>,
        dead: bool,
    ) -> Result<oneshot::Receiver<String>, Box<Reply>> {
        let (told, answer) = oneshot::channel();
        let lane = room.map(lane);
        self.order(
            target,
            match (dead, since) {
                (true, _) => Order::Revive(told),
                (false, Some(since)) => Order::GoBack(EventId::default().next(since).before(), lane, told),
                (false, None) => Order::Unpark(lane, told),
            },
        )?;
        Ok(answer)
    }

    /// Gives up on what waits.
    pub fn skip(&self, target: &str, room: Option<&RoomKey>) -> Result<oneshot::Receiver<String>, Box<Reply>> {
        let (told, answer) = oneshot::channel();
        self.order(target, Order::Skip(room.map(lane), told))?;
        Ok(answer)
    }

    fn order(&self, target: &str, order: Order) -> Result<(), Box<Reply>> {
        let busy = |_| Box::new(refused("busy", format!("webhook {target} has come to its end; see the log")));
        self.desk(target)?.orders.send(order).map_err(busy)
    }
}

/// Two at a time would send the same, and each keep how far it came itself: the one before comes to its end first.
async fn after(before: Vec<(String, JoinHandle<()>)>, worker: Worker) {
    for (name, task) in before {
        if let Err(error) = task.await {
            warn!(webhook = %name, %error, "its sending broke; please report this");
        }
    }
    worker.run().await;
}

fn lane(room: &RoomKey) -> LaneKey {
    LaneKey { service: (*room.service).into(), room: (*room.name).into(), dead: false }
}

/// An address without what may be a secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let hidden = if url.query().is_some() { "?…" } else { "" };
    url.set_query(None);
    format!("{url}{hidden}")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::config::{Content, File, Files, Input, check};
    use crate::event::What;
    use crate::sinks::webhook::queue::Kept;

    struct NoFiles;
    impl Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> Result<Content, String> {
            Err("there are none".to_owned())
        }
    }

    const SOON: Duration = Duration::from_secs(10);

    /// A request, as far as it came.
    async fn request(listener: &TcpListener) -> (TcpStream, String) {
        let (mut stream, _) = timeout(SOON, listener.accept()).await.expect("soon").expect("a connection");
        let mut bytes = vec![0; 4096];
        let read = timeout(SOON, stream.read(&mut bytes)).await.expect("soon").expect("a request");
        (stream, String::from_utf8_lossy(&bytes[..read]).into_owned())
    }

    async fn accept(mut stream: TcpStream) {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("it listens");
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods)] // nobody else decides when a listener is asked
    async fn a_receiver_that_goes_and_comes_back_at_once_is_told_nothing_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_test(folder.path());
        let bus = Bus::new(EventId::default(), Some(database.clone()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let config = |webhooks: &str| {
            let text = format!("[service.meet]\ndomain = \"meet.example\"\nlogin = \"anonymous\"\n{webhooks}");
            let files = vec![File { name: "innkeeper.toml".into(), text }];
            let input = Input { files, env: Vec::new(), base: "/".into(), offline: true, secrets: &NoFiles };
            check(&input).expect("a configuration")
        };
        let with = config(&format!(
            "[[webhook]]\nname = \"story\"\nurl = \"http://127.0.0.1:{port}/\"\ndialect = \"event_sync\"\nallow_private = true\n"
        ));
        database.keep_webhook("story", Kept::default(), Vec::new(), Vec::new()).await.expect("open");
        let publish = |room| bus.publish(Timestamp::now(), "meet", Some(room), Some("life"), What::RoomHeld);
        publish("hall");
        let mut office = Office::new(database.clone(), bus.clone());
        office.configure(&with, || 7);
        let (under_way, _) = request(&listener).await;
        office.configure(&config(""), || 7);
        office.configure(&with, || 7);
        // What would come twice comes now.
        let twice = timeout(Duration::from_millis(300), listener.accept()).await;
        assert!(twice.is_err(), "two told it the same");
        accept(under_way).await;
        let second = publish("crypt");
        let (stream, said) = request(&listener).await;
        assert!(said.contains(&format!("webhook-id: {}", second.id)), "{said}");
        accept(stream).await;
        office.stop().await;
        database.close().await;
    }
}
