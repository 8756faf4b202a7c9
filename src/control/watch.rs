//! Events as somebody follows them: what was missed, then what happens, each once and in its order.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use super::{Gate, auth};
use crate::command::{Command, FollowQuery, Reply, Requester, refused};
use crate::event::{Event, EventId, Kind};
use crate::rights::{Rights, RoomPattern};
use crate::runtime::bus::{Bus, Narrow, Older};

/// What a follower is told next.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something happened.
    Event(Arc<Event>),
    /// Some events before the next are not in the record any more, or could not be read.
    Gap,
    /// The follower reads too slowly; nothing more comes.
    TooSlow,
}

impl Told {
    /// [`Told::Gap`] in words.
    pub const GAP: &str = "some events before the next are missing: they are too old for the record, or it could not be read and the log says why";
    /// [`Told::TooSlow`] in words.
    pub const TOO_SLOW: &str = "you read too slowly; come back with the last id that you saw";
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
    /// Follows as it was asked, if the requester may.
    ///
    /// # Errors
    /// The refusal: they may not, not now, or there is no such kind.
    pub fn begin(gate: &Gate, bus: &Arc<Bus>, requester: &Requester, query: &FollowQuery) -> Result<Watch, Box<Reply>> {
        gate.admit(requester, &Command::Follow(query.clone()))?;
        let narrow = narrow(query).map_err(|text| Box::new(refused("bad-request", text)))?;
        Ok(Watch::new(bus.clone(), requester.rights.clone(), narrow, query.after.map(EventId::from)))
    }

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
                    Ok(Older { events, gone }) => {
                        self.older = events.last().map(|event| (event.id, last));
                        self.page = events.into_iter();
                        if gone {
                            return Some(Told::Gap);
                        }
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

fn narrow(query: &FollowQuery) -> Result<Narrow, String> {
    Ok(Narrow {
        room: query.room.as_deref().map(RoomPattern::new),
        service: query.service.as_deref().map(Into::into),
        kinds: query.kind.as_deref().map_or_else(|| Ok(Vec::new()), Kind::matching)?,
        who: query.who.as_deref().map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use tokio::time::timeout;

    use super::*;
    use crate::command::Who;
    use crate::event::What;
    use crate::store::{Database, Retention};

    fn publish(bus: &Bus, room: &str) -> Arc<Event> {
        let time = "2026-03-01T10:00:00Z".parse().expect("a time");
        bus.publish(time, "meet", Some(room), None, What::RoomHeld)
    }

    fn gate() -> Gate {
        Gate::new(tokio::sync::mpsc::channel(1).0)
    }

    fn requester(rights: Rights) -> Requester {
        Requester { who: Who::Token { name: "t".into() }, rights, per_second: 50 }
    }

    #[tokio::test]
    async fn a_follower_of_some_rooms_hears_of_those_and_is_told_when_too_slow() {
        let bus = Bus::new(EventId::default(), None);
        let games = Rights { rooms: RoomPattern::new("game-*"), ..Rights::all() };
        let mut watch = Watch::begin(&gate(), &bus, &requester(games), &FollowQuery::default()).expect("may");
        publish(&bus, "tavern");
        let game = publish(&bus, "game-1");
        assert_eq!(watch.next().await, Some(Told::Event(game)));
        for _ in 0..2000 {
            publish(&bus, "game-1");
        }
        assert_eq!((watch.next().await, watch.next().await), (Some(Told::TooSlow), None));
    }

    #[tokio::test]
    async fn who_comes_back_after_what_was_too_old_for_the_record_is_told_so_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_test(folder.path());
        let bus = Bus::new(EventId::default(), Some(database.clone()));
        let now = Timestamp::now();
        let long_ago = now.checked_sub(SignedDuration::from_hours(9)).expect("near");
        let happens = |time| bus.publish(time, "meet", Some("tavern"), None, What::RoomHeld);
        let [seen, _missed] = [happens(long_ago), happens(long_ago)];
        // More than are kept in memory.
        let young: Vec<_> = (0..600).map(|_| happens(now)).collect();
        let mut removals = database.removals();
        database.keep(Retention { age: Some(Duration::from_secs(3_600)), bytes: None });
        let removed = timeout(Duration::from_secs(30), removals.changed()).await;
        assert!(removed.is_ok_and(|changed| changed.is_ok()), "two events are too old");
        let mut watch = Watch::new(bus.clone(), Rights::all(), Narrow::default(), Some(seen.id));
        assert_eq!(watch.next().await, Some(Told::Gap));
        for event in young {
            assert_eq!(watch.next().await, Some(Told::Event(event)));
        }
        database.close().await;
    }

    #[test]
    fn who_may_not_read_does_not_follow_and_an_unknown_kind_is_refused() {
        let bus = Bus::new(EventId::default(), None);
        let word = |rights: Rights, kind: &str| {
            let query = FollowQuery { kind: Some(kind.to_owned()), ..FollowQuery::default() };
            match Watch::begin(&gate(), &bus, &requester(rights), &query).map_err(|refusal| *refusal) {
                Err(Reply::Refused { error, .. }) => error,
                _ => String::new(),
            }
        };
        assert_eq!(word(Rights::none(), "room.*"), "forbidden");
        assert_eq!(word(Rights::facts(), "room.eaten"), "bad-request");
        assert_eq!(word(Rights::facts(), "room.*, session.lost"), "");
    }
}
