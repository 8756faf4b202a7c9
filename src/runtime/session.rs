//! Drives one [`Session`]: elements in, elements out, sleep until its deadline.
//!
//! It reads while it writes, so a slow server cannot wedge it, and it takes orders always. Reports go to a bounded
//! channel whose reader never waits for us.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::handshake::close;
use super::transport::{Deadlines, Transport};
use crate::action::Verb;
use crate::cause::{Cause, Word};
use crate::config::{RoomKey, Secret};
use crate::event::Machine;
use crate::policy::Now;
use crate::room::recent::Recent;
use crate::room::{LobbyOrigin, Occupant, PasswordFrom};
use crate::session::{Bucket, Found, Input, Outbox, Report, Session, UrlRoom};
use crate::stream::{Bound, Frame, LastLogin, Resume};
use crate::xmpp::moderate::Listed;
use crate::xmpp::muc::Affiliation;
use crate::xmpp::room_info::RoomInfo;

/// How long the close of a stream that is given up may take; a dead link is not waited for.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long a polite end may take: leaving rooms, closing the stream, the server's own close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long something may wait to be written. A server that reads slowly still reads: the operating system's buffers
/// hold minutes of the slowest rate there is.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// So much unwritten means that the server reads nothing.
const STUCK_BYTES: usize = 8 * 1024 * 1024;
/// Answers are collected up to this before they are written, so that a burst costs few system calls.
const FLUSH_BYTES: usize = 16 * 1024;

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// Who holds the rooms.
    Holder,
    /// The account of a guest, for a short login on the deployment's own domain.
    Account,
}

/// What a connection needs beside the service's own settings.
#[derive(Debug)]
pub struct Request {
    /// Who logs in.
    pub leg: Leg,
    /// The room that the connection is for, where it is for one alone.
    pub room: Option<UrlRoom>,
    /// The login that last worked.
    pub last: Option<LastLogin>,
    /// The session to resume.
    pub resume: Option<Resume>,
}

/// A connection being made: a transport that is ready for stanzas, and what the login brought.
pub type Connecting = BoxFuture<'static, Result<(Box<dyn Transport>, Bound), Cause>>;

/// Connects and logs in.
pub type Connector = Arc<dyn Fn(Request) -> Connecting + Send + Sync>;

/// Makes the connector of each session of a service, by its place in the pool.
pub type Connectors = Arc<dyn Fn(usize) -> Connector + Send + Sync>;

/// What can be done in a room, by verb, and if not, why.
pub type Abilities = Vec<(Verb, Result<(), Cause>)>;

/// Who has an affiliation in a room, or why the room does not say: one of each that was asked for.
pub type Lists = Vec<(Affiliation, Result<Vec<Listed>, String>)>;

/// The affiliations that could put us out.
const HIGH: [Affiliation; 2] = [Affiliation::Owner, Affiliation::Admin];

/// What a session is told.
#[derive(Debug)]
pub enum Order {
    /// An input of its machine.
    Input(Input),
    /// Connect now.
    Connect(Option<LastLogin>),
    /// Say who is in a room.
    Room(RoomKey, oneshot::Sender<Option<RoomView>>),
    /// Say what can be done in a room.
    Abilities(RoomKey, oneshot::Sender<Abilities>),
    /// Say who somebody in a room is, by nick or display name.
    Person(RoomKey, Box<str>, oneshot::Sender<Found>),
    /// Ask a room who its owners and admins are.
    Lists(RoomKey, oneshot::Sender<Lists>),
    /// Say how many people are in each room.
    People(oneshot::Sender<Vec<(RoomKey, usize)>>),
}

/// A room as its session sees it.
#[derive(Debug, Default)]
pub struct RoomView {
    /// The session's full JID while online.
    pub jid: Option<String>,
    /// Our nick.
    pub nick: Option<String>,
    /// Nicks of occupants that a lost session of ours left behind.
    pub ghosts: Vec<String>,
    /// Everybody inside, by nick, and what they are where that is the focus or what records.
    pub occupants: Vec<(String, Occupant, Option<Machine>)>,
    /// Who waits in the lobby, by nick.
    pub waiting: Vec<(String, Occupant)>,
    /// What lately befell people there.
    pub recent: Vec<Recent>,
    /// What the room last said of itself.
    pub info: Option<RoomInfo>,
    /// Where its lobby comes from.
    pub origin: Option<LobbyOrigin>,
    /// Whether its lobby is locked, and how.
    pub locked_lobby: Option<bool>,
    /// The password that we would come in with, and where it is from.
    pub password: Option<(Secret, PasswordFrom)>,
    /// Whether the configuration has one.
    pub locked_password: bool,
    /// Whether the focus authenticates; `None` while it has not said.
    pub authentication: Option<bool>,
    /// What can be done there.
    pub abilities: Abilities,
}

/// What a session tells.
#[derive(Debug)]
pub enum News {
    /// The account's login for this session's session-id is over; with how it logged in.
    Fetched(Result<(Secret, LastLogin), Cause>),
    /// It is logged in.
    Online {
        /// Our full JID.
        jid: String,
        /// How we logged in.
        login: LastLogin,
        /// Whether the session was resumed.
        resumed: bool,
    },
    /// It could not connect or log in.
    Failed(Cause),
    /// Its stream is lost.
    Lost(Cause),
    /// An errand that it asked for is done, or not.
    Errand {
        /// In which room.
        room: RoomKey,
        /// For which step.
        number: u32,
        /// What came of it.
        result: Result<(), Cause>,
    },
    /// Its machine reports.
    Report(Report),
}

/// Everything a session needs to run.
pub struct Driver<S> {
    /// The machine.
    pub session: Session,
    /// How it connects.
    pub connector: Connector,
    /// What it is told; the end of the channel closes it.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Where its news go, with what tells them from other sessions' news.
    pub news: mpsc::Sender<(S, News)>,
    /// Who it is.
    pub name: S,
    /// The service's cap on joins a second.
    pub joins: Arc<Mutex<Bucket>>,
    /// Who waits for lists of a room, with those that have come.
    pub listing: Vec<(RoomKey, oneshot::Sender<Lists>, Lists)>,
}

enum Link {
    Down,
    Connecting(Connecting),
    Up(Box<dyn Transport>),
}

enum Event {
    Order(Option<Order>),
    Connected(Result<(Box<dyn Transport>, Bound), Cause>),
    Frame(Result<Frame, Cause>),
    Timeout,
}

impl<S: Clone + Send> Driver<S> {
    /// Runs until the session is closed.
    pub async fn run(mut self) {
        let mut link = Link::Down;
        let mut closing: Option<Instant> = None;
        // A server that always has something to say must not keep deadlines from passing.
        let mut timers_first = false;
        // Since when something has been waiting to be written.
        let mut unwritten: Option<Instant> = None;
        let mut clock = Clock::new();
        loop {
            let stuck = unwritten.map(|since| since + WRITE_TIMEOUT);
            let deadline = self.session.deadline().into_iter().chain(closing).chain(stuck).min();
            let event = {
                let orders = &mut self.orders;
                let closed = closing.is_some();
                tokio::select! {
                    biased;
                    order = orders.recv(), if !closed => Event::Order(order),
                    () = sleep_until(deadline), if timers_first => Event::Timeout,
                    event = link_event(&mut link) => event,
                    () = sleep_until(deadline) => Event::Timeout,
                }
            };
            // The clock that also wakes us.
            let now = tokio::time::Instant::now().into_std();
            let mut out = Outbox::default();
            if let Some(time) = clock.look(now) {
                self.handle(now, Input::Clock(time), &mut out);
            }
            timers_first = !matches!(event, Event::Timeout);
            match event {
                Event::Order(None) => self.handle(now, Input::Close, &mut out),
                Event::Order(Some(order)) => self.order(now, order, &mut link, &mut out),
                Event::Connected(Ok((transport, bound))) => {
                    link = Link::Up(transport);
                    let (login, resumed) = (bound.login.clone(), bound.resumed.is_some());
                    self.handle(now, Input::Online(bound), &mut out);
                    let jid = self.session.jid().unwrap_or_default().to_owned();
                    self.tell(News::Online { jid, login, resumed }).await;
                }
                Event::Connected(Err(cause)) => {
                    link = Link::Down;
                    self.handle(now, Input::Offline(cause.clone()), &mut out);
                    self.tell(News::Failed(cause)).await;
                }
                Event::Frame(Ok(Frame::Element(element))) => self.handle(now, Input::Element(element), &mut out),
                Event::Frame(Ok(Frame::Bad(bad))) => self.handle(now, Input::Bad(bad), &mut out),
                Event::Frame(Ok(Frame::Open)) => {}
                Event::Frame(Ok(Frame::Close)) => {
                    out.disconnect = Some(Cause::new(Word::Disconnected, "the server closed the stream"));
                }
                Event::Frame(Err(cause)) => out.disconnect = Some(cause),
                Event::Timeout => {
                    if closing.is_some_and(|at| at <= now) {
                        break;
                    }
                    self.handle(now, Input::Timeout, &mut out);
                }
            }
            unwritten = match &link {
                Link::Up(transport) if transport.queued() > 0 => unwritten.or(Some(now)),
                _ => None,
            };
            if unwritten.is_some_and(|since| since + WRITE_TIMEOUT <= now) && out.disconnect.is_none() {
                let text = format!("the server has not read what we send for {} s", WRITE_TIMEOUT.as_secs());
                out.disconnect = Some(Cause::new(Word::Disconnected, text));
            }
            if self.settle(now, &mut link, out, &mut closing).await {
                break;
            }
        }
    }

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) {
        let mut joins = self.joins.lock().unwrap_or_else(PoisonError::into_inner);
        self.session.handle(now, input, &mut joins, out);
    }

    fn order(&mut self, now: Instant, order: Order, link: &mut Link, out: &mut Outbox) {
        match order {
            // Meant for a session that waits for the server; this one has just come through.
            Order::Input(Input::Offline(_)) if matches!(link, Link::Up(_)) => {}
            Order::Input(input) => self.handle(now, input, out),
            Order::Connect(last) => {
                if matches!(link, Link::Down) {
                    let resume = self.session.resumable(now);
                    let room = self.session.url_room();
                    let request = Request { leg: Leg::Holder, room, last, resume };
                    *link = Link::Connecting((self.connector)(request));
                }
            }
            // Whoever asked may be gone; then nobody misses the answer.
            Order::Room(key, reply) => {
                let _ = reply.send(self.view(now, &key));
            }
            Order::Abilities(key, reply) => {
                let _ = reply.send(self.session.abilities(now, &key));
            }
            Order::Person(key, name, reply) => {
                let _ = reply.send(self.session.person(now, &key, &name));
            }
            Order::Lists(key, reply) => {
                self.listing.retain(|(_, reply, _)| !reply.is_closed());
                for affiliation in &HIGH {
                    self.session.ask_list(now, &key, affiliation, out);
                }
                self.listing.push((key, reply, Lists::new()));
            }
            Order::People(reply) => {
                let _ = reply.send(self.session.people());
            }
        }
    }

    /// Takes in one list; whoever asked gets them when all are there.
    fn listed(&mut self, room: &RoomKey, affiliation: &Affiliation, listed: &Result<Vec<Listed>, String>) {
        let mut waiting = Vec::new();
        for (key, reply, mut lists) in std::mem::take(&mut self.listing) {
            if key == *room {
                lists.push((affiliation.clone(), listed.clone()));
            }
            if lists.len() < HIGH.len() {
                waiting.push((key, reply, lists));
            } else {
                // Whoever asked may be gone; then nobody misses the answer.
                let _ = reply.send(lists);
            }
        }
        self.listing = waiting;
    }

    fn view(&mut self, now: Instant, key: &RoomKey) -> Option<RoomView> {
        let abilities = self.session.abilities(now, key);
        let room = self.session.room(key)?;
        let facts = self.session.focus_facts();
        let mut view = RoomView {
            jid: self.session.jid().map(str::to_owned),
            nick: None,
            ghosts: Vec::new(),
            occupants: Vec::new(),
            waiting: room.waiting().map(|(nick, one)| (nick.to_owned(), one.clone())).collect(),
            recent: room.recent().cloned().collect(),
            info: room.info().cloned(),
            origin: room.lobby_origin().cloned(),
            locked_lobby: room.settings().moderated.as_ref().and_then(|moderated| moderated.locked.lobby),
            password: room.known_password().map(|(password, from)| (password.clone(), from)),
            locked_password: room.settings().password.is_some(),
            authentication: facts.authentication,
            abilities,
        };
        if let Some((nick, occupants)) = room.inside() {
            view.nick = Some(nick.to_owned());
            let ghosts = occupants.iter().filter(|(known, one)| *known != nick && self.session.is_ghost(one));
            view.ghosts = ghosts.map(|(nick, _)| nick.to_owned()).collect();
            let shown =
                |(nick, one): (&str, &Occupant)| (nick.to_owned(), one.clone(), room.machine(nick, one, &facts));
            view.occupants = occupants.iter().map(shown).collect();
            view.occupants.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Some(view)
    }

    /// Sends what goes out and ends the link where that is due; says whether the session is over.
    async fn settle(&mut self, now: Instant, link: &mut Link, mut out: Outbox, closing: &mut Option<Instant>) -> bool {
        // Behind its end nothing more is sent on a stream (RFC 6120 §4.4).
        if closing.is_some() {
            out.send.clear();
        }
        if let Link::Up(transport) = link {
            for element in out.send.drain(..) {
                transport.send(&element);
            }
            if transport.queued() > STUCK_BYTES && out.disconnect.is_none() {
                out.disconnect = Some(Cause::new(Word::Disconnected, "the server does not read what we send"));
            }
        }
        for report in out.reports.drain(..) {
            match report {
                Report::Listed(room, affiliation, listed) => self.listed(&room, &affiliation, &listed),
                report => self.tell(News::Report(report)).await,
            }
        }
        if let Some(cause) = out.disconnect.take() {
            let lost = std::mem::replace(link, Link::Down);
            if closing.is_some() {
                return true;
            }
            let mut after = Outbox::default();
            self.handle(now, Input::Offline(cause.clone()), &mut after);
            // A stream that may be resumed is not closed: the close would end the session on the server, too.
            if let Link::Up(transport) = lost
                && self.session.resumable(now).is_none()
            {
                close(transport, &Deadlines { close: FAREWELL, ..Deadlines::default() }).await;
            }
            for report in after.reports {
                self.tell(News::Report(report)).await;
            }
            self.tell(News::Lost(cause)).await;
        }
        if out.close {
            let Link::Up(transport) = link else { return true };
            transport.close();
            closing.get_or_insert(now + CLOSE_TIMEOUT);
        }
        false
    }

    async fn tell(&self, news: News) {
        // The supervisor ends after its sessions; without it nobody is left to be told.
        let _ = self.news.send((self.name.clone(), news)).await;
    }
}

/// How often the time of day is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// How far it may be off.
const DRIFT: Duration = Duration::from_millis(500);

/// The time of day, and whether somebody set it.
struct Clock {
    known: Option<(Instant, Timestamp)>,
    looked: Option<Instant>,
}

impl Clock {
    fn new() -> Self {
        Clock { known: None, looked: None }
    }

    /// The time of day, where it was never said or is another one than follows from what was said.
    fn look(&mut self, now: Instant) -> Option<Timestamp> {
        if self.looked.is_some_and(|looked| now < looked + CLOCK_EVERY) {
            return None;
        }
        self.looked = Some(now);
        let time = Timestamp::now();
        if let Some((at, then)) = self.known {
            let expected = Now { at, clock: then }.clock_at(now);
            if time.duration_since(expected).unsigned_abs() < DRIFT {
                return None;
            }
        }
        self.known = Some((now, time));
        Some(time)
    }
}

async fn link_event(link: &mut Link) -> Event {
    match link {
        Link::Down => std::future::pending().await,
        Link::Connecting(connecting) => Event::Connected(connecting.await),
        Link::Up(transport) => Event::Frame(poll_fn(|cx| poll_frame(transport.as_mut(), cx)).await),
    }
}

/// The next frame; what is queued is written when nothing more is there to be read, or when much has gathered.
fn poll_frame(transport: &mut dyn Transport, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>> {
    if transport.queued() > FLUSH_BYTES
        && let Poll::Ready(Err(cause)) = transport.poll_flush(cx)
    {
        return Poll::Ready(Err(cause));
    }
    let next = transport.poll_next(cx);
    if next.is_pending()
        && transport.queued() > 0
        && let Poll::Ready(Err(cause)) = transport.poll_flush(cx)
    {
        return Poll::Ready(Err(cause));
    }
    next
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A driver's future, boxed once for its life.
pub fn run<S: Clone + Send + Sync + 'static>(driver: Driver<S>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(driver.run())
}
