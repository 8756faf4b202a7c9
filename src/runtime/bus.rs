//! Events on their way to whoever follows them: bounded, and never waited for.
//!
//! One ring is shared by all readers; who falls a whole ring behind is told so and is no reader any more. The last
//! events are kept, so that a reader who comes back misses nothing that happened in between; older ones are in the
//! record.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::event::{Event, EventId, Kind, What};
use crate::rights::RoomPattern;
use crate::store::{Database, DatabaseError, Filter};

/// How many events a reader may be behind.
const RING: usize = 1024;
/// How many events are kept for readers who come back.
const RECENT: usize = 512;

/// How many recorded events are read at once.
const PAGE: usize = 256;

/// Where events come from for readers, and go to from the supervisor.
#[derive(Debug)]
pub struct Bus {
    live: broadcast::Sender<Arc<Event>>,
    recent: Mutex<Recent>,
    record: Option<Database>,
}

#[derive(Debug)]
struct Recent {
    /// The id that was given last.
    last: EventId,
    /// Later than this one all events are in `events`.
    since: EventId,
    events: VecDeque<Arc<Event>>,
}

/// A reader's beginning.
#[derive(Debug)]
pub struct Followed {
    /// What happened after the event that was named, oldest first.
    pub past: Vec<Arc<Event>>,
    /// Where `past` begins, if that is not right behind the event that was named: those up to this one are only in the
    /// record ([`Bus::older`]).
    pub gap: Option<EventId>,
    /// What happens from then on, without a gap. `Lagged`: this reader was too slow and is to be dropped.
    pub live: broadcast::Receiver<Arc<Event>>,
}

impl Bus {
    /// A bus whose ids go on after `last`, the last one that was ever given, and whose events go to `record`.
    #[must_use]
    pub fn new(last: EventId, record: Option<Database>) -> Arc<Self> {
        let recent = Recent { last, since: last, events: VecDeque::new() };
        Arc::new(Bus { live: broadcast::Sender::new(RING), recent: Mutex::new(recent), record })
    }

    /// Gives what happened its id and tells all readers.
    pub fn publish(
        &self,
        time: Timestamp,
        service: &str,
        room: Option<&str>,
        life: Option<&str>,
        what: What,
    ) -> Arc<Event> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.last = recent.last.next(time);
        let event = Arc::new(Event::new(recent.last, time, service, room, life, what));
        if recent.events.len() == RECENT
            && let Some(forgotten) = recent.events.pop_front()
        {
            recent.since = forgotten.id;
        }
        recent.events.push_back(event.clone());
        if let Some(record) = &self.record {
            record.record(&event);
        }
        // Nobody may be reading. Under the lock, so that readers see one order.
        let _ = self.live.send(event.clone());
        event
    }

    /// The id that was given last.
    #[must_use]
    pub fn last(&self) -> EventId {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Reads on after the event `after`; from now on where none is named.
    #[must_use]
    pub fn follow(&self, after: Option<EventId>) -> Followed {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let Some(after) = after else { return Followed { past: Vec::new(), gap: None, live } };
        let past = recent.events.iter().filter(|event| event.id > after).cloned().collect();
        Followed { past, gap: (after < recent.since).then_some(recent.since), live }
    }

    /// Recorded events after `after` and up to `last`, oldest first, some hundred at a time: none is the end. Those that
    /// were taken in from another record are not among them.
    ///
    /// # Errors
    /// The record can not be read, or there is none.
    pub async fn older(&self, after: EventId, last: EventId) -> Result<Older, DatabaseError> {
        let record = self.record.as_ref().ok_or(DatabaseError::Closed)?;
        // What is not on the disk yet would be taken for the end.
        record.flush().await?;
        let filter = Filter { after: Some(after), limit: Some(PAGE), own: true, ..Filter::default() };
        let (found, removed) = record.events_left(filter).await?;
        let known = found.iter().take_while(|record| record.id <= last).filter_map(|record| record.event().ok());
        Ok(Older { events: known.map(Arc::new).collect(), gone: removed > after })
    }
}

/// Recorded events for whoever comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Older {
    /// Oldest first.
    pub events: Vec<Arc<Event>>,
    /// Others before them are not in the record any more.
    pub gone: bool,
}

/// Which events a reader wants; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrow {
    /// Of rooms that fit.
    pub room: Option<RoomPattern>,
    /// Of this service.
    pub service: Option<Box<str>>,
    /// Of one of these kinds; all when empty.
    pub kinds: Vec<Kind>,
    /// About whoever has this nick, display name, bare JID or occupant id.
    pub who: Option<Box<str>>,
}

impl Narrow {
    /// Whether the reader wants it.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let room = self
            .room
            .as_ref()
            .is_none_or(|pattern| event.room.as_deref().is_some_and(|room| pattern.matches(&event.service, room)));
        let service = self.service.as_ref().is_none_or(|service| *service == event.service);
        let who = self.who.as_ref().is_none_or(|who| event.what.person().is_some_and(|person| person.is_called(who)));
        room && service && who && (self.kinds.is_empty() || self.kinds.contains(&event.what.kind()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn publish(bus: &Bus, room: &str) -> Arc<Event> {
        let time = "2026-03-01T10:00:00Z".parse().expect("a time");
        bus.publish(time, "meet", Some(room), None, What::RoomHeld)
    }

    #[test]
    fn a_reader_who_comes_back_misses_nothing_and_sees_nothing_twice() {
        let bus = Bus::new(EventId::default(), None);
        let first = publish(&bus, "a");
        let second = publish(&bus, "b");
        let mut followed = bus.follow(Some(first.id));
        let third = publish(&bus, "c");
        assert_eq!((followed.past, followed.gap), (vec![second], None));
        assert_eq!(followed.live.try_recv().ok(), Some(third));
        assert!(bus.follow(None).past.is_empty());
    }

    #[tokio::test]
    async fn what_is_still_on_its_way_to_the_disk_is_read_there_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_test(folder.path());
        let bus = Bus::new(EventId::default(), Some(database.clone()));
        let first = publish(&bus, "a");
        database.flush().await.expect("open");
        let other = rusqlite::Connection::open(folder.path().join("events.db")).expect("a file");
        other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
        let later: Vec<EventId> = (0..1000).map(|_| publish(&bus, "a").id).collect();
        let followed = bus.follow(Some(first.id));
        let (mut after, last) = (first.id, followed.gap.expect("more than are kept"));
        let mut seen = Vec::new();
        // Nothing can be written yet.
        let early = timeout(Duration::from_millis(200), bus.older(after, last)).await;
        assert!(early.is_err(), "{early:?}");
        other.execute_batch("ROLLBACK").expect("ours");
        loop {
            let page = bus.older(after, last).await.expect("open").events;
            let Some(newest) = page.last() else { break };
            after = newest.id;
            seen.extend(page.iter().map(|event| event.id));
        }
        seen.extend(followed.past.iter().map(|event| event.id));
        assert!(seen == later, "{} of {}", seen.len(), later.len());
        database.close().await;
    }

    #[tokio::test]
    async fn what_was_taken_in_from_another_record_is_no_news() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_test(folder.path());
        let bus = Bus::new(EventId::default(), Some(database.clone()));
        let first = publish(&bus, "a");
        let later = first.time + Duration::from_secs(3_600);
        let second = bus.publish(later, "meet", Some("a"), None, What::RoomHeld);
        database.flush().await.expect("open");
        let foreign = Event::new(first.id.next(first.time), first.time, "meet", Some("b"), None, What::RoomHeld);
        database.import(&[foreign]).await.expect("open");
        let older = bus.older(first.id, second.id).await.expect("open");
        assert_eq!(older, Older { events: vec![second], gone: false });
        database.close().await;
    }

    #[test]
    fn who_was_away_too_long_is_told_that_something_is_missing() {
        let bus = Bus::new(EventId::default(), None);
        let first = publish(&bus, "a");
        for _ in 0..RECENT {
            publish(&bus, "b");
        }
        let followed = bus.follow(Some(first.id));
        assert_eq!((followed.past.len(), followed.gap), (RECENT, None));
        publish(&bus, "b");
        assert!(bus.follow(Some(first.id)).gap > Some(first.id));
        assert_eq!(Bus::new(first.id, None).follow(Some(EventId::from(1))).gap, Some(first.id), "before this process");
    }

    #[test]
    fn a_reader_that_is_a_ring_behind_loses_its_place_and_no_other_does() {
        let bus = Bus::new(EventId::default(), None);
        let (mut slow, mut quick) = (bus.follow(None).live, bus.follow(None).live);
        for _ in 0..=RING {
            publish(&bus, "a");
            assert!(quick.try_recv().is_ok());
        }
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
    }

    #[test]
    fn a_reader_gets_what_it_asked_for() {
        let bus = Bus::new(EventId::default(), None);
        let event = publish(&bus, "game-1");
        let narrow = |room: Option<&str>, service: Option<&str>, kinds: &[&str]| Narrow {
            room: room.map(RoomPattern::new),
            service: service.map(Into::into),
            kinds: kinds.iter().flat_map(|kinds| Kind::matching(kinds).expect("known")).collect(),
            who: None,
        };
        assert!(narrow(None, None, &[]).takes(&event));
        assert!(narrow(Some("game-*"), Some("meet"), &["occupant.*", "room.held"]).takes(&event));
        assert!(!narrow(Some("tavern"), None, &[]).takes(&event));
        assert!(!narrow(None, Some("other"), &[]).takes(&event));
        assert!(!narrow(None, None, &["occupant.*"]).takes(&event));
    }
}
