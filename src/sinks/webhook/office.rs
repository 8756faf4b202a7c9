//! All receivers: their workers, started and ended as the configuration says, and what people ask of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

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
}

impl Office {
    /// Nobody is told yet.
    #[must_use]
    pub fn new(database: Database, bus: Arc<Bus>) -> Self {
        Office { database, bus, places: Places::default(), desks: BTreeMap::new() }
    }

    /// Tells whom the configuration names, from where each was left. `seed` makes their waits differ.
    pub fn configure(&mut self, config: &Config, mut seed: impl FnMut() -> u64) {
        self.places.configure(config);
        self.desks.retain(|name, desk| {
            let stays = config.webhooks.contains_key(name);
            if !stays {
                // A worker that ended already has nothing to be told.
                let _ = desk.orders.send(Order::Stop);
            }
            stays
        });
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
            };
            let task = tokio::spawn(worker.run());
            self.desks.insert(name.clone(), Desk { webhook, orders, facts, task });
        }
    }

    /// Ends all workers; what is under way comes to its end if it is quick.
    pub async fn stop(&mut self) {
        let desks = std::mem::take(&mut self.desks);
        for desk in desks.values() {
            let _ = desk.orders.send(Order::Stop);
        }
        let ended = async {
            for (name, desk) in desks {
                if let Err(error) = desk.task.await {
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
                    url: shown(&desk.webhook),
                    dialect: desk.webhook.dialect.as_str().to_owned(),
                    state: facts.state.to_owned(),
                    why: facts.why.clone(),
                    next_at: next,
                    behind_seconds: self.behind(&facts, clock),
                    accepted: facts.accepted,
                    skipped: facts.skipped,
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

    /// For how long the oldest event waits that is due.
    fn behind(&self, facts: &Facts, clock: Timestamp) -> u64 {
        let newest = self.bus.last();
        let unread = (facts.read < newest).then_some(facts.read);
        let Some(oldest) = facts.oldest.into_iter().chain(unread).min() else { return 0 };
        // Before its first event there is no time.
        let oldest = if oldest == EventId::default() { newest } else { oldest };
        u64::try_from(clock.duration_since(oldest.time()).as_secs()).unwrap_or(0)
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
                (false, Some(since)) => {
                    Order::GoBack(EventId::from(EventId::default().next(since).number() - 1), lane, told)
                }
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

fn lane(room: &RoomKey) -> LaneKey {
    LaneKey { service: (*room.service).into(), room: (*room.name).into(), dead: false }
}

/// The address without what may be a secret in it.
fn shown(webhook: &Webhook) -> String {
    let mut url = webhook.url.clone();
    let hidden = if url.query().is_some() { "?…" } else { "" };
    url.set_query(None);
    format!("{url}{hidden}")
}
