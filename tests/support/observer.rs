//! An independent client, built on tokio-xmpp: joins a room and says who is there with which role.
//!
//! It runs on a single-threaded runtime of its own: with several threads tokio-xmpp 6.0 loses a wakeup and stops
//! receiving for good.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio_xmpp::connect::DnsConfig;
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Client, Event, Stanza};
use xmpp_parsers::muc::Muc;
use xmpp_parsers::presence::{Presence, Type};

use super::prosody::DOMAIN;

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// An occupant as the room shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupant {
    /// The role's word.
    pub role: String,
    /// The affiliation's word.
    pub affiliation: String,
    /// The real JID, where it is shown.
    pub jid: String,
}

/// Occupants by nick.
pub type Occupants = BTreeMap<String, Occupant>;

/// A client in a room that looks and does nothing. Leaves when dropped.
pub struct Observer {
    seen: Arc<Mutex<Occupants>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Logs in an account of the main domain and joins `room` as `nick`.
    pub fn join(to: SocketAddr, user: &str, password: &str, room: &str, nick: &str) -> Observer {
        let seen: Arc<Mutex<Occupants>> = Arc::default();
        let (end, ended) = oneshot::channel();
        let jid = BareJid::new(&format!("{user}@{DOMAIN}")).expect("a JID");
        let own = Jid::new(&format!("{room}/{nick}")).expect("an occupant's JID");
        let (notes, password) = (Arc::clone(&seen), password.to_owned());
        let thread = std::thread::Builder::new().name("observer".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let dns = DnsConfig::addr(&to.to_string());
                let client = Client::new_plaintext(jid, password, dns, Timeouts::default());
                look(client, own, notes, ended).await;
            });
        });
        Observer { seen, end: Some(end), thread: Some(thread.expect("a thread")) }
    }

    /// Who is there now.
    pub fn occupants(&self) -> Occupants {
        self.seen.lock().expect("the observer panicked").clone()
    }

    /// Waits until the occupants are as `wanted`.
    ///
    /// # Panics
    /// Not within `limit`; says who was there.
    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, wanted: impl Fn(&Occupants) -> bool) -> Occupants {
        let limit = super::process::patience(limit);
        let found = super::process::wait_for(limit, || Some(self.occupants()).filter(&wanted));
        found.unwrap_or_else(|| panic!("not within {limit:?}: {what}; there are {:#?}", self.occupants()))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn look(mut client: Client, own: Jid, seen: Arc<Mutex<Occupants>>, mut ended: oneshot::Receiver<()>) {
    loop {
        let event = tokio::select! {
            event = client.next() => event,
            _ = &mut ended => break,
        };
        match event {
            Some(Event::Online { .. }) => {
                let join = Presence::new(Type::None).with_to(own.clone()).with_payload(Muc::new());
                let _ = client.send_stanza(join.into()).await;
            }
            Some(Event::Stanza(Stanza::Presence(presence))) => note(&presence, &seen),
            Some(_) => (),
            None => return,
        }
    }
    // the server would keep a session that only vanishes, and its occupant with it
    let leave = Presence::new(Type::Unavailable).with_to(own);
    let _ = client.send_stanza(leave.into()).await;
    let _ = tokio::time::timeout(Duration::from_secs(2), client.send_end()).await;
}

fn note(presence: &Presence, seen: &Mutex<Occupants>) {
    let Some(nick) = presence.from.as_ref().and_then(|from| from.resource()).map(ToString::to_string) else { return };
    let mut seen = seen.lock().expect("no panic");
    if presence.type_ == Type::Unavailable {
        seen.remove(&nick);
        return;
    }
    let item = presence.payloads.iter().find_map(|x| x.get_child("item", MUC_USER).filter(|_| x.is("x", MUC_USER)));
    let of = |name| item.and_then(|item| item.attr(name)).unwrap_or_default().to_owned();
    seen.insert(nick, Occupant { role: of("role"), affiliation: of("affiliation"), jid: of("jid") });
}
