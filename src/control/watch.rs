//! Events as somebody follows them: what was missed, then what happens, each once and in its order.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use super::auth;
use crate::event::{Event, EventId, Kind};
use crate::pattern::Pattern;
use crate::rights::{Rights, RoomPattern};
use crate::runtime::bus::{Bus, Narrow};

/// What a follower wants to hear of; kinds have commas between.
///
/// # Errors
/// No event is of such a kind: the sentence to answer.
pub fn narrow(rooms: Option<&str>, service: Option<String>, kinds: Option<&str>) -> Result<Narrow, String> {
    let kinds: Vec<Pattern> =
        kinds.into_iter().flat_map(|kinds| kinds.split(',')).map(|kind| Pattern::new(kind.trim())).collect();
    match kinds.iter().find(|kind| !Kind::ALL.iter().any(|known| kind.matches(known.as_str()))) {
        Some(odd) => Err(format!("no event is of kind {:?}", odd.as_str())),
        None => Ok(Narrow { room: rooms.map(RoomPattern::new), service: service.map(Into::into), kinds }),
    }
}

/// What a follower is told next.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something happened.
    Event(Arc<Event>),
    /// Some events before the next could not be read.
    Gap,
    /// The follower reads too slowly; nothing more comes.
    TooSlow,
}

/// Somebody who follows events.
#[derive(Debug)]
pub struct Watch {
    bus: Arc<Bus>,
    rights: Rights,
    narrow: Narrow,
    /// Those after the first and up to the second are to be read from the record.
    older: Option<(EventId, EventId)>,
    /// Of the record.
    page: std::vec::IntoIter<Arc<Event>>,
    past: std::vec::IntoIter<Arc<Event>>,
    /// `None` after the last word.
    live: Option<broadcast::Receiver<Arc<Event>>>,
}

impl Watch {
    /// Follows what these rights let one hear of and `narrow` takes, on after the event `after`; from now on where none
    /// is named.
    #[must_use]
    pub fn new(bus: Arc<Bus>, rights: Rights, narrow: Narrow, after: Option<EventId>) -> Self {
        let followed = bus.follow(after);
        Watch {
            bus,
            rights,
            narrow,
            older: after.zip(followed.gap),
            page: Vec::new().into_iter(),
            past: followed.past.into_iter(),
            live: Some(followed.live),
        }
    }

    /// What is told next; `None` is the end. Nothing is lost when it is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(event) = self.page.next() {
                if self.takes(&event) {
                    return Some(Told::Event(event));
                }
                continue;
            }
            if let Some((after, last)) = self.older {
                match self.bus.older(after, last).await {
                    Ok(page) => {
                        self.older = page.last().map(|event| (event.id, last));
                        self.page = page.into_iter();
                    }
                    Err(error) => {
                        self.older = None;
                        warn!(error = %format!("{:#}", anyhow::Error::new(error)), "recorded events could not be read");
                        return Some(Told::Gap);
                    }
                }
                continue;
            }
            if let Some(event) = self.past.next() {
                if self.takes(&event) {
                    return Some(Told::Event(event));
                }
                continue;
            }
            match self.live.as_mut()?.recv().await {
                Ok(event) if self.takes(&event) => return Some(Told::Event(event)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.end();
                    return Some(Told::TooSlow);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Tells nothing more.
    pub fn end(&mut self) {
        self.older = None;
        self.page = Vec::new().into_iter();
        self.past = Vec::new().into_iter();
        self.live = None;
    }

    fn takes(&self, event: &Event) -> bool {
        self.narrow.takes(event) && auth::event(&self.rights, &event.service, event.room.as_deref())
    }
}
