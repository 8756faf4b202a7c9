//! One event of each kind, made up, for a receiver to be tried with. Pure.

use jiff::Timestamp;

use crate::action::{Actor, Verb};
use crate::event::{Deed, Departure, Event, EventId, Kind, Person, Recording, Setting, What, Why};

/// The service and room that samples are of: no real ones.
pub(super) const SERVICE: &str = "innkeeper-test";
pub(super) const ROOM: &str = "innkeeper-test";
const LIFE: &str = "innkeeper-test-life";

/// One event of each kind that happened just now.
pub(super) fn events(now: Timestamp) -> Vec<Event> {
    let mut id = EventId::default();
    Kind::ALL
        .iter()
        .map(|kind| {
            id = id.next(now);
            let what = what(*kind);
            let in_room =
                !matches!(what, What::SessionReady { .. } | What::SessionLost { .. } | What::SessionResumed { .. });
            Event::new(id, now, SERVICE, in_room.then_some(ROOM), in_room.then_some(LIFE), what)
        })
        .collect()
}

fn what(kind: Kind) -> What {
    let person = || Person {
        nick: "5a5a5a5a".into(),
        display_name: Some("Test".into()),
        real_jid: Some("test@innkeeper.invalid/test".into()),
        occupant_id: Some("innkeeper-test-occupant".into()),
        role: Some("participant".into()),
        affiliation: Some("none".into()),
        machine: None,
    };
    let why = || Why { cause: "test".into(), text: "this is a test".into() };
    let recording = || Recording { session: Some("test".into()), mode: Some("file".into()), by: None, failure: None };
    let setting =
        || Setting { setting: "subject".into(), wanted: Some("Test".into()), found: Some("Tset".into()), by: None };
    let deed = || Deed {
        key: "test".into(),
        action: Verb::Kick,
        actor: Actor::Token { name: "test".to_owned() },
        target: "5a5a5a5a".into(),
        person: Some(person()),
        reason: "test".into(),
    };
    let session = || Box::<str>::from("innkeeper@innkeeper.invalid/test");
    match kind {
        Kind::RoomHeld => What::RoomHeld,
        Kind::RoomJoined => What::RoomJoined(why()),
        Kind::RoomLost => What::RoomLost(why()),
        Kind::RoomRefused => What::RoomRefused(why()),
        Kind::RoomSuspended => What::RoomSuspended(why()),
        Kind::RoomReleased => What::RoomReleased(why()),
        Kind::OccupantJoined => What::OccupantJoined { person: person(), already_inside: false },
        Kind::OccupantLeft => What::OccupantLeft { person: person(), how: Departure::Left, by: None, reason: None },
        Kind::OccupantRenamed => {
            What::OccupantRenamed { person: person(), old_nick: None, old_display_name: Some("Tset".into()) }
        }
        Kind::MessagePosted => {
            What::MessagePosted { person: person(), stanza_id: None, private: false, bytes: 4, body: None }
        }
        Kind::LobbyKnocked => What::LobbyKnocked { person: person(), banned: false },
        Kind::LobbyLeft => What::LobbyLeft { person: person(), how: Departure::Left, by: None, reason: None },
        Kind::RecordingStarted => What::RecordingStarted(recording()),
        Kind::RecordingStopped => What::RecordingStopped(recording()),
        Kind::SettingsDrifted => What::SettingsDrifted(setting()),
        Kind::SettingsRestored => What::SettingsRestored(setting()),
        Kind::ActionRequested => What::ActionRequested(deed()),
        Kind::ActionTaken => What::ActionTaken(deed()),
        Kind::ActionRefused => What::ActionRefused { deed: deed(), why: why() },
        Kind::RuleMatched => What::RuleMatched {
            rule: "flood".into(),
            person: Some(person()),
            dry_run: true,
            verdict: "kick".into(),
            reason: "test".into(),
            note: "".into(),
        },
        Kind::SessionReady => What::SessionReady { session: session() },
        Kind::SessionLost => What::SessionLost { session: session(), why: why() },
        Kind::SessionResumed => What::SessionResumed { session: session() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_sample_of_each_kind_and_no_id_twice() {
        let samples = events(Timestamp::UNIX_EPOCH);
        assert!(samples.iter().map(|event| event.what.kind()).eq(Kind::ALL));
        assert!(samples.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
