//! Webhooks: what happens, told to other programs by HTTP.
//!
//! ```text
//!  bus ─ wakes ─▶ worker ◀─ reads ─ record        one worker for each receiver
//!                 │  ▲
//!     what next ──┤  └── queue (pure): lanes, ladders, parking        store: how far, and dead letters
//!      in words ──┤      dialect (pure): events → letters, signed
//!                 └────▶ client ─▶ the receiver
//! ```
//!
//! The record is the queue: what a receiver was told is a place in it for each room, kept where bans are, so that
//! neither our restart nor a receiver's outage loses anything that the record has. A new receiver begins with what
//! happens from then on. Adding a dialect: a file that implements [`Speech`], a variant of
//! [`config::Dialect`](crate::config::Dialect), a line in `speech` below.
//!
//! Sources: Standard Webhooks 1.0.0, <https://www.standardwebhooks.com>; RFC 9110.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use url::Url;

use self::queue::LaneKey;
use crate::config::{Dialect, Secret, Webhook};
use crate::event::Event;

pub mod address;
pub mod answer;
pub mod client;
mod event_sync;
mod innkeeper;
pub mod office;
pub mod queue;
mod reflector;
mod sample;
pub mod sign;
mod trial;
mod worker;

/// One request's worth of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The same at each try, and given to no other.
    pub key: String,
    /// What stands behind the receiver's address.
    pub path: &'static str,
    /// What the dialect calls it.
    pub name: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// A way to say what happened. One for each receiver; events of a room come in their order, each once.
pub trait Speech: Send + Sync {
    /// What is said of an event; nothing, of most in most dialects. `jid` is the room's.
    fn letters(&mut self, event: &Event, jid: &str) -> Vec<Letter>;

    /// What goes before the body: who we are, and that it is from us.
    fn headers(&self, secret: Option<&Secret>, letter: &Letter, now: Timestamp) -> HeaderMap;

    /// The bytes that are signed.
    fn signed(&self, letter: &Letter, _now: Timestamp) -> String {
        String::from_utf8_lossy(&letter.body).into_owned()
    }

    /// Whether it knows of a room what it has to; else it is told with [`Speech::recall`].
    fn knows(&self, _lane: &LaneKey) -> bool {
        true
    }

    /// What happened in a room before the event that is to be said next.
    fn recall(&mut self, _lane: &LaneKey, _past: &[Arc<Event>], _jid: &str) {}

    /// Events come again that were said before.
    fn forget(&mut self) {}
}

/// The speech of a dialect.
fn speech(dialect: Dialect) -> Box<dyn Speech> {
    match dialect {
        Dialect::Innkeeper => Box::new(innkeeper::Innkeeper),
        Dialect::Reflector => Box::new(reflector::Reflector),
        Dialect::EventSync => Box::<event_sync::EventSync>::default(),
    }
}

/// Where a letter goes.
fn address(webhook: &Webhook, letter: &Letter) -> Url {
    let mut url = webhook.url.clone();
    // Reflector has one place to listen; whoever gives a path means that one.
    let given = webhook.dialect == Dialect::Reflector && !matches!(url.path(), "" | "/");
    if !letter.path.is_empty() && !given {
        let path = format!("{}{}", url.path().trim_end_matches('/'), letter.path);
        url.set_path(&path);
    }
    url
}

/// Adds a header field. What can not stand in one, as a line end in a secret, is left out: the configuration refuses it.
fn header(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(name == "authorization");
        headers.insert(HeaderName::from_static(name), value);
    }
}
