//! What the daemon knows from its record after it was killed, on a real Prosody.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::Value;

use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{BARE, browser, done, put_out, refused, seconds, sets_subject, walk_in, world};
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

#[test]
fn what_was_done_before_the_daemon_was_killed_is_explained_and_taken_back() {
    let (prosody, focus, mut daemon, room) = tavern();
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    walk_in(&mut alice, &room, "a11ce000", "Ali-1");
    let _ann = browser(&prosody, &room, "ann00001", "Ann-1");
    let mut eve = browser(&prosody, &room, "eve00001", "Eve-1");
    for who in ["a11ce000", "ann00001", "eve00001"] {
        until("they are recorded", seconds(5), || (recorded_of(&daemon, who).len() == 1).then_some(()));
    }
    let key = |reply: &Value| reply["id"].as_str().expect("an id").to_owned();
    let granted = key(&done(&daemon, &["grant", "tavern", "a11ce000"]));
    let said = key(&done(&daemon, &["subject", "tavern", "Tea at five"]));
    let locked = key(&done(&daemon, &["unlock", "tavern"]));
    done(&daemon, &["kick", "tavern", "eve00001", "--reason", "sang too loud"]);
    put_out(&mut eve, &room, "eve00001", seconds(5));
    until("it is recorded", seconds(5), || (recorded_of(&daemon, "eve00001").len() == 2).then_some(()));
    killed(&mut daemon, &focus, &room, || ());
    let why = daemon.cli(["why", "removed", "tavern", "eve00001"]);
    assert!(why.stdout.contains("was kicked by 00000000_innkeeper"), "{why:?}");
    assert!(why.stdout.contains("sang too loud") && why.stdout.contains("(action "), "{why:?}");
    let why = daemon.cli(["why", "moderator", "tavern", "a11ce000"]);
    assert!(why.stdout.contains(&granted), "{why:?}");
    done(&daemon, &["undo", &granted]);
    let own = format!("{room}/a11ce000");
    alice.expect("the grant is taken back", seconds(5), |node| {
        node.name == "presence" && node.attr("from") == own && node.muc().is_some_and(|muc| muc.affiliation == "none")
    });
    done(&daemon, &["undo", &said]);
    alice.expect("the subject is taken back", seconds(5), |node| sets_subject(node, ""));
    let why = refused(&daemon, &["undo", &locked]);
    assert!(why.contains("cannot be taken back"), "{why}");
    assert!(refused(&daemon, &["undo", "own-nothing"]).contains("no action"));
}
