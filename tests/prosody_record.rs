//! What the daemon knows from its record after it was killed, on a real Prosody.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::Value;

use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{BARE, browser, done, put_out, refused, seconds, sets_subject, wait_stored, walk_in, world};
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
    wait_stored(&daemon, "SELECT count(*) FROM deeds", 4);
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

#[test]
fn attendance_tells_who_was_there_and_a_record_moves_to_another_daemon() {
    let (prosody, focus, mut daemon, room) = tavern();
    let _ann = browser(&prosody, &room, "ann00001", "Ann-1");
    let mut eve = browser(&prosody, &room, "eve00001", "Eve-1");
    for who in ["ann00001", "eve00001"] {
        until("they are recorded", seconds(20), || (recorded_of(&daemon, who).len() == 1).then_some(()));
    }
    done(&daemon, &["kick", "tavern", "eve00001"]);
    put_out(&mut eve, &room, "eve00001", seconds(20));
    until("it is recorded", seconds(20), || (recorded_of(&daemon, "eve00001").len() == 2).then_some(()));
    let attended = |daemon: &Daemon, more: &[&str]| {
        let reply = daemon.json(&[&["attendance", "tavern"], more].concat());
        let word = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let row = |one: &Value| (word(&one["person"], "nick"), word(one, "how"), word(one, "life"));
        let mut rows: Vec<_> = reply.as_array().expect("a list").iter().map(row).collect();
        rows.sort();
        rows
    };
    let rows = attended(&daemon, &[]);
    let life = rows[0].2.clone();
    assert!(!life.is_empty());
    let row = |nick: &str, how: &str| (nick.to_owned(), how.to_owned(), life.clone());
    assert_eq!(rows, [row("ann00001", ""), row("eve00001", "kicked")]);
    assert_eq!(attended(&daemon, &["--life", &life]), rows);
    assert!(attended(&daemon, &["--life", "another"]).is_empty());
    let csv = daemon.cli(["attendance", "tavern", "--csv"]).stdout;
    assert!(csv.starts_with("life,nick,") && csv.contains(",kicked\r\n") && csv.lines().count() == 3, "{csv}");
    let exported = daemon.cli(["events", "export", "tavern"]).stdout;
    let file = daemon.dir().join("events.jsonl");
    std::fs::write(&file, &exported).expect("written");
    let file = file.display().to_string();
    assert!(exported.lines().count() >= 4, "{exported}");
    let taken = daemon.json(&["events", "import", &file]);
    assert_eq!((&taken["new"], &taken["known"]), (&0.into(), &exported.lines().count().into()));
    // A daemon that knows nothing of it.
    killed(&mut daemon, &focus, &room, || ());
    daemon.stop();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(daemon.dir().join(format!("state/events.db{end}")));
    }
    daemon.run();
    daemon.wait_all_held(seconds(30));
    assert!(recorded_of(&daemon, "eve00001").is_empty());
    let taken = daemon.json(&["events", "import", &file]);
    assert_eq!((&taken["new"], &taken["known"]), (&exported.lines().count().into(), &0.into()));
    assert_eq!(recorded_of(&daemon, "eve00001"), ["occupant.joined", "occupant.left kicked"]);
    let line = exported.lines().next().expect("an event").replacen("\"id\":", "\"id\":9", 1);
    std::fs::write(&file, line).expect("written");
    assert!(refused(&daemon, &["events", "import", &file]).contains("later than all that is recorded"));
}

#[test]
fn on_a_full_disk_people_are_put_out_all_the_same_and_the_loss_is_said() {
    let (prosody, _focus, daemon, room) = tavern();
    let mut ann = browser(&prosody, &room, "ann00001", "Ann-1");
    let mut eve = browser(&prosody, &room, "eve00001", "Eve-1");
    until("eve is recorded", seconds(20), || (recorded_of(&daemon, "eve00001").len() == 1).then_some(()));
    let limit = |bytes| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.pid()).expect("a process id"));
        let resource = rustix::process::Resource::Fsize;
        let now = rustix::process::getrlimit(resource);
        rustix::process::prlimit(pid, resource, rustix::process::Rlimit { current: bytes, ..now }).expect("a limit");
    };
    let size = |file: &str| std::fs::metadata(daemon.dir().join(file)).map_or(0, |file| file.len());
    // The log has place left, so that the loss can be said.
    limit(Some(size("state/events.db-wal").max(daemon.log().len() as u64 + 65_536)));
    let lost = || daemon.json(&["status"])["events_lost"].as_u64().unwrap_or_default();
    until("the disk is full", seconds(60), || {
        ann.say(&room, "one more");
        (lost() > 0).then_some(())
    });
    done(&daemon, &["kick", "tavern", "eve00001"]);
    put_out(&mut eve, &room, "eve00001", seconds(20));
    until("the loss is said", seconds(20), || daemon.log().contains("events are not recorded").then_some(()));
    daemon.wait_all_held(seconds(20));
    limit(None);
    let _bob = browser(&prosody, &room, "bob00001", "Bob-1");
    until("bob is recorded", seconds(20), || (recorded_of(&daemon, "bob00001").len() == 1).then_some(()));
}
