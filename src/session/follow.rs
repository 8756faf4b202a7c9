//! Following the block lists of others: subscribed to, read whole, then kept up with. Pure.
//!
//! A notification goes to the full JID that subscribed, since we send no presence but to rooms; so each new stream
//! subscribes anew, and what earlier ones left behind is taken back first. Only what comes from the list's own address
//! counts. Source: XEP-0060 §6 "Subscriber Use Cases"; Prosody's `mod_muc_rtbl`.

use std::collections::BTreeMap;

use super::*;
use crate::config::BlockList;
use crate::xmpp::pubsub::{self, Change, Item, Page};

/// How long after something went wrong the list is asked for again.
const AGAIN: Duration = Duration::from_secs(300);
/// How often a list is read whole although nothing seems wrong: a service that was restored may have forgotten us.
const REFRESH: Duration = Duration::from_secs(3600);
/// Items asked for at a time, where the service knows pages: a few of 200 bytes each must fit `stanza_limit`.
const PAGE: usize = 500;
/// So many entries of a list are enough; that there are more is said.
const MOST: usize = 100_000;

/// What a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These are its entries and the reason of each, and there are no others.
    All(BTreeMap<Box<str>, Box<str>>),
    /// This has changed.
    Changed(Change),
    /// It can not be followed for now, for this reason; what was known of it still counts.
    Lost(String),
}

/// A question about a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Which subscriptions are ours?
    Subscriptions,
    /// Subscribe us.
    Subscribe,
    /// Which items are there?
    Items,
    /// Take this back; nobody waits for it.
    Unsubscribe,
}

/// The lists that this session follows.
#[derive(Debug)]
pub(super) struct Follow {
    lists: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    list: BlockList,
    /// What has come of it so far, while it is being read whole.
    reading: Option<BTreeMap<Box<str>, Box<str>>>,
    /// When it is read again.
    again_at: Option<Instant>,
}

impl Follow {
    /// When a list is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lists.iter().filter_map(|one| one.again_at).min()
    }
}

impl Session {
    /// Follows these lists from now on, and no others.
    pub(super) fn follow(&mut self, now: Instant, lists: &[BlockList], out: &mut Outbox) {
        self.unfollow(now, lists, out);
        let known = self.follow.take().map(|follow| follow.lists).unwrap_or_default();
        let mut all: Vec<Followed> = known.into_iter().filter(|one| lists.contains(&one.list)).collect();
        for list in lists {
            if !all.iter().any(|one| one.list == *list) {
                all.push(Followed { list: list.clone(), reading: None, again_at: Some(now) });
            }
        }
        self.follow = (!all.is_empty()).then(|| Box::new(Follow { lists: all }));
        self.follow_due(now, out);
    }

    /// Takes back subscriptions, but for those to `but`.
    pub(super) fn unfollow(&mut self, now: Instant, but: &[BlockList], out: &mut Outbox) {
        let (Link::Online { jid, .. }, Some(follow)) = (&self.link, &self.follow) else { return };
        for one in follow.lists.iter().filter(|one| !but.contains(&one.list)) {
            let about = About::List { list: Box::new(one.list.clone()), ask: Ask::Unsubscribe };
            let id = self.questions.ask(&one.list.jid, about, now, IQ_TIMEOUT);
            out.send.push(pubsub::unsubscribe(&one.list.jid, &id, &one.list.node, jid));
        }
    }

    /// A stream is ready: one that was not resumed knows of no subscription, and questions on their way were lost with
    /// the last one.
    pub(super) fn follow_online(&mut self, now: Instant, resumed: bool, out: &mut Outbox) {
        let Some(follow) = &mut self.follow else { return };
        for one in &mut follow.lists {
            if !resumed || one.reading.take().is_some() || one.again_at.is_none() {
                (one.reading, one.again_at) = (None, Some(now));
            }
        }
        self.follow_due(now, out);
    }

    /// Begins with the lists whose time has come.
    pub(super) fn follow_due(&mut self, now: Instant, out: &mut Outbox) {
        let (Link::Online { .. }, Some(follow)) = (&self.link, &mut self.follow) else { return };
        for one in &mut follow.lists {
            if one.again_at.take_if(|due| *due <= now).is_some() {
                let about = About::List { list: Box::new(one.list.clone()), ask: Ask::Subscriptions };
                let id = self.questions.ask(&one.list.jid, about, now, IQ_TIMEOUT);
                out.send.push(pubsub::subscriptions_request(&one.list.jid, &id, &one.list.node));
            }
        }
    }

    /// A question about a list was answered, or not.
    pub(super) fn list_answered(
        &mut self,
        now: Instant,
        list: &BlockList,
        ask: Ask,
        answer: Option<&Element>,
        out: &mut Outbox,
    ) {
        let (Link::Online { jid, .. }, Some(follow)) = (&self.link, &mut self.follow) else { return };
        let Some(one) = follow.lists.iter_mut().find(|one| one.list == *list) else { return };
        let (service, node) = (&*list.jid, &*list.node);
        let questions = &mut self.questions;
        let about = |ask| About::List { list: Box::new(list.clone()), ask };
        let mut question = |ask| questions.ask(service, about(ask), now, IQ_TIMEOUT);
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        match (ask, result) {
            (Ask::Unsubscribe, _) => {}
            (Ask::Subscriptions, result) => {
                // Of a service that does not say there is nothing to take back.
                let ours = result.map(|result| pubsub::subscribed(result, node)).unwrap_or_default();
                let left = |one: &&str| jid::bare(one) == jid::bare(jid) && **one != **jid;
                for old in ours.into_iter().filter(left) {
                    out.send.push(pubsub::unsubscribe(service, &question(Ask::Unsubscribe), node, old));
                }
                out.send.push(pubsub::subscribe(service, &question(Ask::Subscribe), node, jid));
            }
            (Ask::Subscribe, Some(_)) => {
                one.reading = Some(BTreeMap::new());
                out.send.push(pubsub::items_request(service, &question(Ask::Items), node, None, PAGE));
            }
            (Ask::Items, Some(_)) if self.torn => {
                let text = "its entries are too many for one stanza and it gives no pages: raise stanza_limit";
                one.lose(now, text.to_owned(), out);
            }
            (Ask::Items, Some(result)) => {
                let Page { items, last, count } = Page::read(result);
                let Some(reading) = &mut one.reading else { return };
                let came = !items.is_empty();
                reading.extend(items.into_iter().map(|Item { id, reason }| (id, reason)));
                if let (Some(last), true) = (&last, came && count.is_none_or(|count| reading.len() < count))
                    && reading.len() < MOST
                {
                    out.send.push(pubsub::items_request(service, &question(Ask::Items), node, Some(last), PAGE));
                    return;
                }
                let all = one.reading.take().unwrap_or_default();
                if all.len() >= MOST {
                    let text = format!("{} has {MOST} entries or more: not all of them are followed", one.list);
                    out.reports.push(Report::Odd(text));
                }
                one.again_at = Some(now + REFRESH);
                out.reports.push(Report::List(one.list.clone(), Told::All(all)));
            }
            (Ask::Subscribe | Ask::Items, None) => {
                let said = answer.map_or_else(|| "no answer".to_owned(), |iq| StanzaError::of(iq).describe());
                let what =
                    if ask == Ask::Subscribe { "it does not take our subscription" } else { "it can not be read" };
                one.lose(now, format!("{what} ({said})"), out);
            }
        }
    }

    /// Takes a message for a notification of a list that we follow; says whether it is from there.
    pub(super) fn list_notified(&mut self, now: Instant, from: &str, message: &Element, out: &mut Outbox) -> bool {
        let Some(follow) = &mut self.follow else { return false };
        if !follow.lists.iter().any(|one| *one.list.jid == *from) {
            return false;
        }
        let Some((node, changes)) = pubsub::notified(message) else { return false };
        let found = follow.lists.iter_mut().find(|one| *one.list.jid == *from && *one.list.node == *node);
        let Some(one) = found else { return true };
        for change in changes {
            if let Some(reading) = &mut one.reading {
                match &change {
                    Change::Published(Item { id, reason }) => drop(reading.insert(id.clone(), reason.clone())),
                    Change::Retracted(id) => drop(reading.remove(id)),
                    Change::Emptied => reading.clear(),
                }
            }
            if change == Change::Emptied {
                // Perhaps the node is gone, and the subscription with it.
                one.again_at = Some(now + AGAIN);
            }
            out.reports.push(Report::List(one.list.clone(), Told::Changed(change)));
        }
        true
    }
}

impl Followed {
    fn lose(&mut self, now: Instant, why: String, out: &mut Outbox) {
        self.reading = None;
        self.again_at = Some(now + AGAIN);
        out.reports.push(Report::List(self.list.clone(), Told::Lost(why)));
    }
}
