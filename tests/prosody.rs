//! The daemon against a real Prosody and a focus that keeps Jicofo's rules.
//!
//! What is asserted is what the focus or an independent client saw, never innkeeper's own word alone.
#![allow(clippy::disallowed_methods)]

mod support;

use std::time::Instant;

use rustix::process::Signal;
use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::{Focus, Options as FocusOptions, Seen};
use support::live::{BARE, NICK, alice, gone, row, seconds, wait_state, world};
use support::observer::Observer;
use support::process::until;
use support::prosody::{MUC, Options, Prosody, ROOMS};
use support::proxy::Proxy;

// ── getting in

#[test]
fn rooms_are_held_over_every_transport_and_an_independent_client_sees_the_moderator() {
    let (prosody, focus) = world(Options::default());
    for (name, setup) in [
        ("websocket", Setup::websocket(&prosody)),
        ("tcp", Setup::tcp(&prosody)),
        ("direct-tls", Setup::tls(&prosody)),
        ("wss", Setup { url: prosody.wss_url(), ca_file: Some(prosody.ca_file()), ..Setup::websocket(&prosody) }),
    ] {
        let setup = setup.rooms([format!("tavern-{name}"), format!("market-{name}")]);
        let jids = setup.jids();
        let mut daemon = Daemon::start(setup);
        focus.wait_held(&jids, BARE, seconds(15));
        daemon.wait_all_held(seconds(5));
        let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[0], "observer");
        let there = observer.wait("the keeper is a moderator", seconds(10), |there| {
            there.get(NICK).is_some_and(|keeper| keeper.role == "moderator" && keeper.affiliation == "owner")
        });
        assert!(there[NICK].jid.starts_with(BARE), "{there:#?}");
        drop(observer);
        assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0));
        // the focus hears of it a moment after the process has ended
        let left = || jids.iter().all(|room| gone(&focus, room, 0)).then_some(());
        until(&format!("{name}: every room is left"), seconds(5), left);
    }
}

#[test]
fn starttls_is_used_when_the_server_requires_it() {
    let (prosody, focus) = world(Options { require_tls: true, ..Options::default() });
    let setup = Setup { ca_file: Some(prosody.ca_file()), ..Setup::tcp(&prosody) }.rooms(["tavern"]);
    let jids = setup.jids();
    let _daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
}

#[test]
fn scram_sha_256_is_used_where_the_server_has_it() {
    let (prosody, focus) = world(Options { password_hash: "SHA-256", ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    assert_eq!(daemon.json(&["status"])["services"][0]["mechanism"], "SCRAM-SHA-256");
}

#[test]
fn a_login_is_bound_to_its_channel_where_the_server_binds_it() {
    let options = Options { password_hash: "SHA-256", require_tls: true, ..Options::default() };
    let (prosody, focus) = world(options);
    // 0.12 knows only the binding of TLS 1.2
    let bound = if prosody.major() >= 13 { "SCRAM-SHA-256-PLUS" } else { "SCRAM-SHA-256" };
    let tls = |url: String| Setup { url, ca_file: Some(prosody.ca_file()), ..Setup::websocket(&prosody) };
    let starttls = format!("xmpp://localhost:{}", prosody.ports.c2s);
    for (name, url, mechanism) in [
        ("direct-tls", prosody.tls_url(), bound),
        ("starttls", starttls, bound),
        ("wss", prosody.wss_url(), bound),
        // behind a web server that ends TLS, there is nothing to bind to
        ("ws", prosody.ws_url(), "SCRAM-SHA-256"),
    ] {
        let setup = tls(url).rooms([format!("tavern-{name}")]);
        let jids = setup.jids();
        let daemon = Daemon::start(setup);
        focus.wait_held(&jids, BARE, seconds(15));
        assert_eq!(daemon.json(&["status"])["services"][0]["mechanism"], mechanism, "{name}");
    }
}

#[test]
fn a_plain_room_is_created_configured_and_owned() {
    let prosody = Prosody::start(Options::default());
    let setup = Setup::plain_rooms(&prosody).rooms(["library"]);
    let room = format!("library@{ROOMS}");
    let daemon = Daemon::start(setup);
    wait_state(&daemon, "library", "held", "holding", seconds(15));
    // A room whose form was not submitted is locked: nobody else could enter.
    let mut guest = Client::guest(prosody.c2s());
    let own = guest.join(&room, "reader");
    assert_ne!(own.attr("type"), "error", "{own:#?}");
    // The room tells the newcomer and us in an order of its own.
    let inside = |keeper: &serde_json::Value| {
        let occupants = keeper["occupants"].as_array().expect("occupants");
        occupants.iter().any(|one| one["nick"] == "reader" && one["role"] == "participant")
    };
    let keeper = until("the reader to be seen", seconds(5), || Some(row(&daemon, "library")).filter(inside));
    let occupants = keeper["occupants"].as_array().expect("occupants").clone();
    assert!(occupants.iter().any(|one| one["nick"] == NICK && one["affiliation"] == "owner"), "{keeper:#}");
}

#[test]
fn the_group_chat_domain_is_found_where_it_is_not_configured() {
    let (prosody, focus) = world(Options::default());
    let mut setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    setup.muc = String::new();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    assert_eq!(row(&daemon, "tavern")["jid"], format!("tavern@{MUC}"));
}

#[test]
fn a_wrong_group_chat_domain_is_named() {
    let (prosody, _focus) = world(Options::default());
    let mut setup = Setup::websocket(&prosody).rooms(["tavern"]);
    setup.muc = "conference.meet.jitsi".to_owned();
    let daemon = Daemon::start(setup);
    wait_state(&daemon, "tavern", "blocked", "wrong-muc-domain", seconds(40));
    let both = |row: &serde_json::Value| {
        let text = row["text"].as_str().unwrap_or_default();
        text.contains("conference.meet.jitsi") && text.contains(MUC)
    };
    until("both domains are named", seconds(20), || daemon.try_json(&["room", "tavern"]).filter(both));
}

#[test]
fn a_wrong_password_blocks_with_a_sentence_and_is_not_hammered() {
    let (prosody, _focus) = world(Options::default());
    let mut setup = Setup::websocket(&prosody).many(120);
    setup.password = "wrong".to_owned();
    let daemon = Daemon::start(setup);
    daemon.wait_rooms("blocked", seconds(15), |row| row.state == "blocked" && row.cause == "bad-credentials");
    let refused =
        prosody.log().matches("not-authorized").count() + daemon.log().matches("could not connect or log in").count();
    assert!((1..=8).contains(&daemon.log().matches("could not connect or log in").count()), "{refused}");
}

// ── losing rooms and getting them back

#[test]
fn two_hundred_rooms_under_the_byte_limit_and_back_after_a_killed_server() {
    let (mut prosody, focus) = world(Options { limit: true, ..Options::default() });
    let setup = Setup::websocket(&prosody).many(200);
    let jids = setup.jids();
    let started = Instant::now();
    let daemon = Daemon::start(setup);
    let pid = daemon.pid();
    let held = focus.wait_held(&jids, BARE, seconds(30)) - started;
    println!("200 rooms held after {held:?}");
    assert!(held < seconds(16), "{held:?}");
    prosody.kill9();
    daemon.wait_rooms("all lost", seconds(10), |row| row.state != "held");
    focus.clear_log();
    prosody.spawn();
    let open = prosody.wait_until_listening();
    let back = focus.wait_held(&jids, BARE, seconds(40));
    println!("200 rooms held again {:?} after the port opened", back - open);
    assert!(back - open < seconds(20), "{:?}", back - open);
    assert_eq!(daemon.pid(), pid);
    daemon.wait_all_held(seconds(5));
}

#[test]
fn a_server_that_comes_up_late_finds_the_same_process_waiting() {
    let mut prosody = Prosody::start(Options::default());
    let focus = Focus::start(FocusOptions::of(&prosody));
    prosody.kill9();
    let setup = Setup::websocket(&prosody).many(60);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let pid = daemon.pid();
    daemon.wait_rooms("waiting", seconds(10), |row| row.state == "waiting" && row.cause == "unreachable");
    prosody.spawn();
    let open = prosody.wait_until_listening();
    let back = focus.wait_held(&jids, BARE, seconds(30));
    assert!(back - open < seconds(20), "{:?}", back - open);
    assert_eq!(daemon.pid(), pid);
}

#[test]
fn a_restarted_focus_costs_no_room() {
    let (prosody, mut focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).many(60);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[7], "observer");
    observer.wait("the keeper", seconds(10), |there| there.contains_key(NICK));
    focus.stop();
    observer.wait("the focus left", seconds(10), |there| !there.contains_key("focus"));
    daemon.wait_rooms("inside without the focus", seconds(10), |row| {
        row.state == "joined" && row.cause == "focus-absent"
    });
    assert!(observer.occupants().contains_key(NICK));
    let mark = focus.mark();
    focus.spawn();
    focus.wait_connected(seconds(10));
    focus.wait_held(&jids, BARE, seconds(20));
    daemon.wait_all_held(seconds(5));
    assert!(observer.occupants().get(NICK).is_some_and(|keeper| keeper.role == "moderator"));
    assert!(jids.iter().all(|room| !gone(&focus, room, mark)), "somebody left");
    let sessions = focus.auth_sessions();
    assert!(sessions <= 4, "{sessions} authentication sessions for two streams");
}

#[test]
fn a_crashed_focus_is_noticed_and_found_again() {
    let (prosody, mut focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    focus.crash();
    daemon.wait_rooms("no focus", seconds(60), |row| row.cause == "focus-absent");
    focus.restart(|_| ());
    focus.wait_held(&jids, BARE, seconds(30));
    daemon.wait_all_held(seconds(10));
}

#[test]
fn a_killed_innkeeper_comes_back_and_remembers_what_was_held_by_command() {
    let (prosody, focus) = world(Options { hibernation: 5, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]);
    let mut jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    assert_eq!(daemon.cli(["hold", "cellar", "--reason", "the feast"]).code, Some(0));
    jids.push(format!("cellar@{MUC}"));
    focus.wait_held(&jids, BARE, seconds(10));
    assert_eq!(daemon.cli(["release", "market"]).code, Some(0));
    until("the market is left", seconds(5), || gone(&focus, &jids[1], 0).then_some(()));
    jids.remove(1);
    let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[0], "observer");
    observer.wait("the keeper", seconds(10), |there| there.contains_key(NICK));
    daemon.kill9();
    let mark = focus.mark();
    let again = Instant::now();
    daemon.run();
    daemon.wait_rooms("held again", seconds(10), |row| row.state == "held" || row.name == "market");
    assert!(again.elapsed() < seconds(10));
    assert_eq!(row(&daemon, "market")["state"], "released");
    assert_eq!(row(&daemon, "cellar")["sources"][0]["reason"], "the feast");
    // The room lived on: the server kept the old session until the new one was there.
    assert!(!gone(&focus, &jids[0], mark) && observer.occupants().contains_key(NICK));
    // While the server keeps both sessions it shows, and asks, either of them; when the old one's time is over everybody
    // sees the new one, and the room lived through that, too.
    let session = row(&daemon, "tavern")["session"].as_str().expect("a session").to_owned();
    until("the focus sees the new session as moderator in both rooms", seconds(30), || {
        let seen = focus.rooms();
        let ours = |room: &String| seen.get(room).and_then(|room| room.members.get(NICK)).cloned();
        let new = |room: &String| ours(room).is_some_and(|keeper| keeper.jid == session && keeper.role == "moderator");
        jids.iter().all(new).then_some(())
    });
    assert!(!gone(&focus, &jids[0], mark), "the keeper left for a moment");
}

#[test]
fn a_lost_connection_is_resumed_and_nobody_sees_the_keeper_leave() {
    let (prosody, focus) = world(Options::default());
    for tcp in [false, true] {
        let target = if tcp { prosody.c2s() } else { ([127, 0, 0, 1], prosody.ports.http).into() };
        let proxy = Proxy::to(target);
        let address = proxy.address();
        let url = if tcp { format!("xmpp://{address}") } else { format!("ws://{address}/xmpp-websocket") };
        let room = format!("tavern-{tcp}");
        let setup = Setup { url, ..Setup::websocket(&prosody) }.rooms([room.clone()]);
        let jids = setup.jids();
        let daemon = Daemon::start(setup);
        focus.wait_held(&jids, BARE, seconds(20));
        daemon.wait_all_held(seconds(5));
        let session = row(&daemon, &room)["session"].clone();
        let mark = focus.mark();
        for _ in 0..3 {
            let before = proxy.accepted();
            proxy.cut();
            until("a new connection", seconds(15), || (proxy.accepted() > before).then_some(()));
            wait_state(&daemon, &room, "held", "", seconds(15));
        }
        assert_eq!(row(&daemon, &room)["session"], session, "another session instead of a resumption");
        assert!(!gone(&focus, &jids[0], mark), "the keeper left for a moment");
        assert!(daemon.log().matches("resumed=true").count() >= 3, "{}", daemon.log_tail());
    }
}

#[test]
fn a_link_that_swallows_everything_is_noticed_within_35_seconds() {
    let (prosody, focus) = world(Options::default());
    let proxy = Proxy::to(([127, 0, 0, 1], prosody.ports.http).into());
    let setup = Setup { url: format!("ws://{}/xmpp-websocket", proxy.address()), ..Setup::websocket(&prosody) };
    let setup = setup.rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    proxy.silence(true);
    let silent = Instant::now();
    until("the loss is noticed", seconds(36), || daemon.log().contains("connection lost").then_some(()));
    assert!(silent.elapsed() < seconds(35), "{:?}", silent.elapsed());
    proxy.silence(false);
    wait_state(&daemon, "tavern", "held", "", seconds(40));
}

#[test]
fn a_kick_keeps_us_out_for_a_while_and_a_destroyed_room_is_opened_again_at_once() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]).with("after_kick = \"12s\"");
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let mut human = alice(&prosody, &jids[0]);
    human.kick(&jids[0], NICK, "no ghosts please");
    let kicked = Instant::now();
    let shown = wait_state(&daemon, "tavern", "waiting", "kicked", seconds(5));
    let text = shown["text"].as_str().unwrap_or_default();
    assert!(text.contains("a11ce000") && text.contains("no ghosts please"), "{text}");
    let mark = focus.mark();
    focus.wait_held(&jids[..1], BARE, seconds(15));
    assert!(kicked.elapsed() > seconds(8), "back after {:?}", kicked.elapsed());
    assert!(!focus.seen_in(&jids[0], mark).is_empty());
    let why = daemon.json(&["why", "room", "tavern"]);
    let kinds: Vec<_> = why["history"].as_array().expect("a history").iter().map(|row| row["kind"].clone()).collect();
    assert!(kinds.ends_with(&["room.lost".into(), "room.held".into()]), "{why:#}");
    assert_eq!(why["last_trouble"]["cause"], "kicked", "{why:#}");
    assert_eq!(why["people"], 1, "{why:#}");
    let held = daemon.json(&["hold", "tavern"]);
    assert_eq!(held["room"]["people"], 1, "{held:#}");

    let mut human = alice(&prosody, &jids[1]);
    let destroyed = Instant::now();
    human.destroy(&jids[1], "The meeting has been terminated");
    let told = || daemon.json(&["why", "room", "market"])["last_trouble"]["cause"] == "destroyed";
    until("the end is noticed", seconds(5), || told().then_some(()));
    focus.wait_held(&jids[1..], BARE, seconds(10));
    assert!(destroyed.elapsed() < seconds(5), "{:?}", destroyed.elapsed());
}

#[test]
fn a_ban_is_shown_as_blocked_and_a_demotion_is_undone_by_the_focus() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let mut human = alice(&prosody, &jids[0]);
    human.affiliate(&jids[0], BARE, "outcast");
    let shown = wait_state(&daemon, "tavern", "blocked", "banned", seconds(5));
    assert!(shown["next"].as_str().is_some_and(|next| next.contains("again")), "{shown:#}");

    let mut human = alice(&prosody, &jids[1]);
    human.affiliate(&jids[1], BARE, "none");
    let demoted = |shown: &serde_json::Value| shown["state"] == "joined" && shown["cause"] == "awaiting-grant";
    until("demoted", seconds(5), || daemon.try_json(&["room", "market"]).filter(demoted));
    wait_state(&daemon, "market", "held", "", seconds(20));
}

// ── occupants

#[test]
fn hostile_occupants_neither_end_the_session_nor_hide() {
    let (prosody, focus) = world(Options { jitsi_modules: false, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let room = &jids[0];
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    daemon.wait_all_held(seconds(5));
    let session = row(&daemon, "tavern")["session"].clone();
    let join = "<x xmlns='http://jabber.org/protocol/muc'/>";
    let deep = |levels: usize| format!("{}{}", "<a xmlns='x:y'>".repeat(levels), "</a>".repeat(levels));
    let junk = format!("<junk xmlns='x:y'>{}</junk>", "<a/>".repeat(50_000));
    let spoof = "<z xmlns='x:y'><x xmlns='http://jabber.org/protocol/muc#user'>\
                 <item affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/focus'/></x></z>";
    let cases: Vec<(&str, String)> = vec![
        ("bogus", "<show>bogus</show>".to_owned()),
        ("priority", "<priority>300</priority>".to_owned()),
        ("twice", "<show>away</show><show>dnd</show><priority>x</priority>".to_owned()),
        ("children", junk),
        ("deep", deep(3_000)),
        ("attribute", format!("<a xmlns='x:y' b='{}'/>", "c".repeat(9_000))),
        ("spoof", spoof.to_owned()),
    ];
    let mut clients = Vec::new();
    for (nick, extra) in &cases {
        let mut client = Client::guest(prosody.c2s());
        client.send(&format!("<presence to='{room}/{nick}'>{join}{extra}</presence>"));
        clients.push((*nick, client));
    }
    for (nick, client) in &clients {
        let listed = || {
            let shown = daemon.try_json(&["room", "tavern"])?;
            shown["occupants"].as_array()?.iter().find(|one| one["nick"] == *nick).cloned()
        };
        // The server copies 50,000 elements to each of them first.
        let one = until(&format!("{nick} is listed"), seconds(60), listed);
        assert_eq!((&one["role"], &one["affiliation"]), (&"participant".into(), &"none".into()), "{nick}: {one:#}");
        assert_eq!(one["real_jid"], client.jid, "{nick}");
    }
    let controls: String = (0x7f_u32..=0x9f).chain([9, 0xfffd, 0x202e, 0x200d]).filter_map(char::from_u32).collect();
    let (_, human) = &mut clients[0];
    for body in [
        format!("<body>{}</body>", controls),
        format!("<body>x</body>{}", deep(5_000)),
        format!("<body>x</body><a xmlns='x:y' b='{}'/>", "c".repeat(9_000)),
        "<thread>1</thread><thread>2</thread><body>x</body>".to_owned(),
    ] {
        human.send(&format!("<message type='groupchat' to='{room}'>{body}</message>"));
    }
    // Everything before has arrived when the keeper answers a ping that was sent after it.
    let pong = human.iq("get", &format!("{room}/{NICK}"), "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(pong.attr("type"), "result");
    assert_eq!(row(&daemon, "tavern")["session"], session, "the session was lost");
    assert_eq!(row(&daemon, "market")["state"], "held");
    assert!(daemon.json(&["status"])["bad_stanzas"].as_u64() >= Some(2));
    drop(clients);
    until("all of them left the list", seconds(20), || (row(&daemon, "tavern")["people"] == 0).then_some(()));
}

#[test]
fn a_member_without_media_answers_what_it_is_asked_and_declines_a_browsers_offer() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let (room, keeper) = (&jids[0], format!("{}/{NICK}", jids[0]));
    let _daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let mut guest = Client::guest(prosody.c2s());
    guest.join(room, "b0b00000");
    guest.answer_disco(room);
    let answered = Seen::Answered { nick: NICK.to_owned(), how: "result".to_owned() };
    until("the invitation is acknowledged", seconds(10), || focus.seen_in(room, 0).contains(&answered).then_some(()));
    let offer = guest.iq(
        "set",
        &keeper,
        "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='peer' initiator='x'/>",
    );
    assert_eq!(offer.attr("type"), "result");
    guest.expect("the offer is declined", seconds(5), |node| {
        node.name == "iq" && node.attr("type") == "set" && format!("{node:?}").contains("session-terminate")
    });
    for (payload, wanted) in [
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "result"),
        ("<query xmlns='http://jabber.org/protocol/disco#items'/>", "result"),
        ("<query xmlns='jabber:iq:version'/>", "result"),
        ("<query xmlns='jabber:iq:last'/>", "error"),
    ] {
        assert_eq!(guest.iq("get", &keeper, payload).attr("type"), wanted, "{payload}");
    }
}

// ── what people say

#[test]
fn a_reload_touches_only_what_changed_and_a_wrong_one_nothing() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    daemon.wait_all_held(seconds(5));

    let mark = focus.mark();
    assert_eq!(daemon.cli(["reload"]).code, Some(0));
    let drop_in = daemon.dir().join("rooms.d/rooms.toml");
    std::fs::write(&drop_in, "[[room]]\nservice = \"meet\"\nname = \"tavern\"\nnikc = \"x\"\n").expect("written");
    let refused = daemon.cli(["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("rooms.d/rooms.toml:4") && refused.stderr.contains("nikc"), "{refused:?}");
    assert!(refused.stderr.contains("the running configuration stays as it is"), "{refused:?}");
    daemon.wait_all_held(seconds(2));
    assert!(focus.since(mark).is_empty(), "{:#?}", focus.since(mark));

    let rooms = "[[room]]\nservice = \"meet\"\nname = \"tavern\"\n[[room]]\nservice = \"meet\"\nname = \"cellar\"\n";
    std::fs::write(&drop_in, rooms).expect("written");
    let plan = daemon.json(&["reload", "--plan"]);
    assert_eq!((&plan["hold"][0], &plan["release"][0]), (&"meet/cellar".into(), &"meet/market".into()), "{plan:#}");
    assert!(focus.since(mark).is_empty(), "a plan did something");
    daemon.signal(Signal::HUP);
    focus.wait_held(&[format!("cellar@{MUC}")], BARE, seconds(10));
    until("the market is left", seconds(5), || gone(&focus, &jids[1], mark).then_some(()));
    assert!(focus.seen_in(&jids[0], mark).is_empty(), "{:#?}", focus.seen_in(&jids[0], mark));
}

#[test]
fn a_suspended_room_is_left_for_a_while_and_held_again_by_itself() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let suspended = daemon.cli(["suspend", "tavern", "--for", "3s"]);
    assert_eq!(suspended.code, Some(0), "{suspended:?}");
    until("left", seconds(5), || gone(&focus, &jids[0], 0).then_some(()));
    assert_eq!(row(&daemon, "tavern")["state"], "suspended");
    focus.wait_held(&jids, BARE, seconds(10));
    daemon.cli(["suspend", "tavern", "--for", "2h"]);
    let shown = wait_state(&daemon, "tavern", "suspended", "suspended", seconds(5));
    assert!(shown["next"] == "opens" && shown["next_at"].is_string(), "{shown:#}");
    daemon.cli(["suspend", "tavern"]);
    wait_state(&daemon, "tavern", "suspended", "suspended", seconds(5));
    assert_eq!(daemon.cli(["hold", "tavern"]).code, Some(0));
    wait_state(&daemon, "tavern", "held", "", seconds(10));
    let unknown = daemon.cli(["release", "tavren"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("tavern"), "{unknown:?}");
}

// ── secrets

#[test]
fn no_secret_is_in_the_command_line_or_in_a_log_at_trace() {
    let (mut prosody, mut focus) = world(Options::default());
    let mut setup = Setup::websocket(&prosody).rooms(["tavern"]);
    setup.env.push(("INNKEEPER_LOG".to_owned(), "trace".to_owned()));
    setup.url = format!("{}?token=sesame", setup.url);
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(20));
    let pid = daemon.pid();
    let read = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let shown: String = ["cmdline", "environ"].map(|what| String::from_utf8_lossy(&read(what)).into_owned()).concat();
    let status = daemon.cli(["status", "--json"]).stdout + &daemon.cli(["room", "tavern", "--json"]).stdout;
    prosody.restart();
    focus.wait_held(&jids, BARE, seconds(30));
    focus.restart(|_| ());
    focus.wait_held(&jids, BARE, seconds(30));
    let state = std::fs::read_to_string(daemon.dir().join("state/state.json")).unwrap_or_default();
    let uids: serde_json::Value = serde_json::from_str(&state).expect("the state file");
    let uid = uids["services"]["meet"]["machine_uids"]["0"].as_str().expect("a machine-uid").to_owned();
    daemon.stop();
    let mut bad = Daemon::prepare(Setup { password: "open barley".to_owned(), ..Setup::tcp(&prosody).rooms(["x"]) });
    bad.run();
    bad.wait_rooms("blocked", seconds(10), |row| row.state == "blocked");
    let everything = shown + &status + &daemon.log() + &bad.log();
    assert!(everything.len() > 2_000, "a log at trace says more than this");
    for secret in ["correct horse", "sesame", "open barley", uid.as_str()] {
        assert!(!everything.contains(secret), "{secret} is in:\n{everything}");
    }
}
