//! What the daemon knows from its record after it was killed, on a real Prosody.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::Value;

use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{BARE, browser, seconds, world};
use support::process::until;
use support::prosody::{Options, Prosody};

/// A world with a held room `tavern`.
fn tavern() -> (Prosody, Focus, Daemon, String) {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    let room = jids[0].clone();
    (prosody, focus, daemon, room)
}

/// Kills the daemon, and starts it again after `between`.
fn killed(daemon: &mut Daemon, focus: &Focus, room: &str, between: impl FnOnce()) {
    daemon.kill9();
    between();
    daemon.run();
    focus.wait_held(&[room], BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
}

/// Everything recorded of a person in the room, as `kind how`, the oldest first.
fn recorded_of(daemon: &Daemon, who: &str) -> Vec<String> {
    let reply = daemon.json(&["events", "tavern", "--who", who]);
    let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = reply["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| format!("{} {}", word(event, "kind"), word(event, "how")).trim().to_owned()).collect()
}

#[test]
fn whoever_stays_while_the_daemon_is_killed_joins_once_and_whoever_goes_leaves_once() {
    let (prosody, focus, mut daemon, room) = tavern();
    let _ann = browser(&prosody, &room, "ann00001", "Ann-1");
    let bob = browser(&prosody, &room, "bob00001", "Bob-1");
    for who in ["ann00001", "bob00001"] {
        until("they are recorded", seconds(5), || (recorded_of(&daemon, who).len() == 1).then_some(()));
    }
    let mut carol = None;
    killed(&mut daemon, &focus, &room, || {
        bob.close();
        carol = Some(browser(&prosody, &room, "car00001", "Car-1"));
    });
    until("carol is recorded", seconds(5), || (recorded_of(&daemon, "car00001").len() == 1).then_some(()));
    assert_eq!(recorded_of(&daemon, "ann00001"), ["occupant.joined"]);
    assert_eq!(recorded_of(&daemon, "bob00001"), ["occupant.joined", "occupant.left unseen"]);
    // Left and held again by a person's word, within one process.
    assert_eq!(daemon.cli(["suspend", "tavern"]).code, Some(0));
    daemon.wait_rooms("left", seconds(5), |row| row.state == "suspended");
    assert_eq!(daemon.cli(["hold", "tavern"]).code, Some(0));
    daemon.wait_all_held(seconds(15));
    let mut dave = browser(&prosody, &room, "dav00001", "Dav-1");
    until("dave is recorded", seconds(5), || (recorded_of(&daemon, "dav00001").len() == 1).then_some(()));
    assert_eq!(recorded_of(&daemon, "ann00001"), ["occupant.joined"]);
    assert_eq!(recorded_of(&daemon, "car00001"), ["occupant.joined"]);
    dave.leave(&room, "dav00001");
}
