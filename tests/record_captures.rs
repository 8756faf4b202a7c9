//! Makes the recordings in `packet_captures/` (`make captures`): the real daemon with its own recorder, on a real server.
//!
//! Ignored, since it writes into the tree. What it writes is redacted on the way, and played again by
//! `tests/capture_replay.rs`.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fs;
use std::path::Path;

use innkeeper::capture::{self, Dialogue, har_writer};
use jiff::Timestamp;
use support::focus::Options as FocusOptions;
use support::live::{NICK, alice, browser, recorded as counted, seconds, wait_keeper, wait_state, world};
use support::process::until;
use support::prosody::{Login, MUC, Options, PASSWORD, Tokens};
use support::{Daemon, Focus, Prosody, Setup};

/// A daemon that is recorded.
fn recorded(setup: Setup) -> Daemon {
    let mut daemon = Daemon::prepare(setup);
    let folder = daemon.dir().join("recordings");
    daemon.setup.args.extend(["--record".to_owned(), folder.display().to_string()]);
    daemon.run();
    daemon
}

/// Ends the daemon and writes all its connections into one file.
fn keep(mut daemon: Daemon, name: &str) {
    assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0), "{}", daemon.log_tail());
    let mut connections = Vec::new();
    for entry in fs::read_dir(daemon.dir().join("recordings")).expect("recordings") {
        let text = fs::read(entry.expect("an entry").path()).expect("a recording");
        connections.extend(capture::read(&text).expect("our own recording").connections);
    }
    connections.sort_by_key(|connection| connection.opened);
    let begun = connections.first().and_then(|connection| connection.opened).expect("a connection");
    for connection in &mut connections {
        let later: Timestamp = connection.opened.expect("a recording has times");
        let later = later.duration_since(begun).unsigned_abs();
        for message in &mut connection.messages {
            message.at += later;
        }
    }
    let text = har_writer::write(&Dialogue { connections, remarks: Vec::new() });
    assert!(!text.contains(PASSWORD) && !text.contains("eyJ"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures").join(name);
    fs::write(path, text).expect("the capture is written");
}

#[test]
#[ignore = "writes packet_captures/direct.har"]
fn direct() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]).with("rooms_per_session = 1");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "direct.har");
}

#[test]
#[ignore = "writes packet_captures/direct-tls.har"]
fn direct_over_tcp_with_tls() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::tls(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "direct-tls.har");
}

#[test]
#[ignore = "writes packet_captures/guest.har"]
fn guest() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::guest(&prosody).rooms(["tavern"]).with("rooms_per_session = 1");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "guest.har");
}

#[test]
#[ignore = "writes packet_captures/token.har"]
fn token() {
    let prosody = Prosody::start(Options { login: Login::Token(Tokens::default()), ..Options::default() });
    let focus = Focus::start(FocusOptions { jwt: true, ..FocusOptions::of(&prosody) });
    focus.wait_connected(seconds(10));
    let setup = Setup::token(&prosody).rooms(["tavern"]).with("rooms_per_session = 1");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "token.har");
}

#[test]
#[ignore = "writes packet_captures/plain-room.har"]
fn plain_room() {
    let (prosody, _focus) = world(Options::default());
    let daemon = recorded(Setup::plain_rooms(&prosody).rooms(["library"]));
    wait_state(&daemon, "library", "held", "holding", seconds(15));
    keep(daemon, "plain-room.har");
}

#[test]
#[ignore = "writes packet_captures/kicked.har"]
fn kicked() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]).with("rooms_per_session = 1\nafter_kick = \"2s\"");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    let room = format!("tavern@{MUC}");
    let mut human = alice(&prosody, &room);
    human.kick(&room, NICK, "out");
    wait_state(&daemon, "tavern", "waiting", "", seconds(5));
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "kicked.har");
}

#[test]
#[ignore = "writes packet_captures/lobby.har"]
fn lobby() {
    let (prosody, focus) = world(Options { lobby: true, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern"]).with("rooms_per_session = 1");
    let jids = setup.jids();
    let (room, lobby) = (&jids[0], "tavern@lobby.meet.jitsi");
    let mut host = alice(&prosody, room);
    assert_eq!(host.configure(room, &[("muc#roomconfig_membersonly", "true")]).attr("type"), "result");
    assert_eq!(host.join(lobby, "a11ce000").attr("type"), "");
    let daemon = recorded(setup);
    let knock = host.expect("the keeper knocks", seconds(20), |node| {
        node.name == "presence" && node.attr("from") == format!("{lobby}/{NICK}") && node.attr("type").is_empty()
    });
    let jid = knock.muc().expect("an item").jid;
    wait_state(&daemon, "tavern", "waiting", "lobby", seconds(5));
    let invite = format!("<x xmlns='http://jabber.org/protocol/muc#user'><invite to='{jid}'/></x>");
    host.send(&format!("<message to='{room}'>{invite}</message>"));
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "lobby.har");
}

#[test]
#[ignore = "writes packet_captures/focus-restart.har"]
fn focus_restart() {
    let (prosody, mut focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]).with("rooms_per_session = 1");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    focus.stop();
    daemon.wait_rooms("inside without the focus", seconds(10), |row| row.cause == "focus-absent");
    focus.spawn();
    focus.wait_connected(seconds(10));
    wait_keeper(&focus, &daemon, &jids, seconds(20));
    daemon.wait_all_held(seconds(10));
    keep(daemon, "focus-restart.har");
}

/// Messages that the flood is made of.
const FLOOD: usize = 12;

#[test]
#[ignore = "writes packet_captures/flood.har"]
fn flood() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]).with("rooms_per_session = 1\nrecord_content = true");
    let jids = setup.jids();
    let daemon = recorded(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    let room = &jids[0];
    let written = |messages: usize| {
        until("the messages have come", seconds(10), || {
            (counted(&daemon, "message.posted", "") == messages).then_some(())
        });
    };
    let mut ann = browser(&prosody, room, "ann00001", "Ann-1");
    let mut mallory = browser(&prosody, room, "mallory1", "Mal-1");
    ann.say(room, "good evening");
    written(1);
    for number in 0..FLOOD {
        mallory.say(room, &format!("flood number {number}"));
    }
    written(1 + FLOOD);
    ann.say(room, "please stop");
    written(2 + FLOOD);
    keep(daemon, "flood.har");
}
