//! `login = "guest"`: the browser's way in.

use super::*;

#[test]
fn a_guest_holds_rooms_by_the_session_id_of_the_account_and_keeps_it_over_its_own_restart() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::guest(&prosody).rooms(["tavern", "market"]).with("rooms_per_session = 10");
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    let first = wait_keeper(&focus, &daemon, &jids, seconds(15));
    assert_eq!(domain(&first.jid), GUESTS);
    let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[1], "observer");
    let there = observer.wait("the guest is a moderator", seconds(10), |there| {
        there.get(NICK).is_some_and(|keeper| keeper.role == "moderator" && keeper.affiliation == "owner")
    });
    assert_eq!(domain(&there[NICK].jid), GUESTS);
    daemon.wait_all_held(seconds(5));
    // one session for both rooms: one login of the account, which entered no room
    assert_eq!((logins(&prosody, BARE), focus.auth_sessions()), (1, 1));
    let entered = |seen: &Seen| matches!(seen, Seen::Joined { jid, .. } if bare(jid) == BARE);
    assert!(!focus.log().iter().any(|seen| entered(&seen.what)), "the account entered a room");

    drop(observer);
    assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0));
    until("both rooms are left", seconds(5), || jids.iter().all(|room| gone(&focus, room, 0)).then_some(()));
    daemon.run();
    let second = wait_keeper(&focus, &daemon, &jids, seconds(15));
    assert_ne!(second.jid, first.jid);
    assert_eq!((logins(&prosody, BARE), focus.auth_sessions()), (1, 1), "the session-id was not kept");
}

#[test]
fn a_restarted_focus_costs_a_guest_no_room() {
    let (prosody, mut focus) = world(Options::default());
    let setup = Setup::guest(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[0], "observer");
    observer.wait("the keeper", seconds(10), |there| there.contains_key(NICK));
    focus.stop();
    observer.wait("the focus left", seconds(10), |there| !there.contains_key("focus"));
    daemon.wait_rooms("inside without the focus", seconds(10), |row| row.cause == "focus-absent");
    let (mark, had) = (focus.mark(), logins(&prosody, BARE));
    focus.spawn();
    focus.wait_connected(seconds(10));
    let after = wait_keeper(&focus, &daemon, &jids, seconds(20));
    assert_eq!(after.jid, before.jid);
    assert!(jids.iter().all(|room| !gone(&focus, room, mark)), "somebody left");
    assert!(observer.occupants().get(NICK).is_some_and(|keeper| keeper.role == "moderator"));
    // the focus forgot the session-id, so that the account had to log in again, once for the one session
    assert_eq!(logins(&prosody, BARE), had + 1);
    daemon.wait_all_held(seconds(5));
}

#[test]
fn a_restarted_server_sees_the_guest_again() {
    let (mut prosody, focus) = world(Options::default());
    let setup = Setup::guest(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    prosody.kill9();
    daemon.wait_rooms("all lost", seconds(10), |row| row.state != "held");
    prosody.spawn();
    let open = prosody.wait_until_listening();
    let after = wait_keeper(&focus, &daemon, &jids, seconds(20));
    assert_ne!(after.jid, before.jid);
    assert!(open.elapsed() < seconds(20), "{:?}", open.elapsed());
    daemon.wait_all_held(seconds(5));
    // the focus lived on and knows the session-id still: nobody has to log in for another
    assert_eq!((logins(&prosody, BARE), focus.auth_sessions()), (1, 1));
}

#[test]
fn an_expired_session_is_replaced_and_no_room_is_left_for_it() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::guest(&prosody).rooms(["tavern"]).with("rooms_per_session = 10");
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    focus.expire_sessions();
    let mark = focus.mark();
    assert_eq!(daemon.cli(["hold", "cellar"]).code, Some(0));
    let both = [jids[0].clone(), format!("cellar@{MUC}")];
    let after = wait_keeper(&focus, &daemon, &both, seconds(20));
    assert_eq!(after.jid, before.jid);
    assert!(!gone(&focus, &jids[0], mark), "the tavern was left");
    let invalid = |seen: &Seen| matches!(seen, Seen::Refused { condition: "not-acceptable", .. });
    assert!(focus.since(mark).iter().any(|seen| invalid(&seen.what)), "{:#?}", focus.since(mark));
    assert_eq!((logins(&prosody, BARE), focus.auth_sessions()), (2, 1));
}

#[test]
fn a_guests_lost_connection_is_resumed_and_nobody_sees_it() {
    let (prosody, focus) = world(Options::default());
    let proxy = Proxy::to(prosody.http());
    let url = format!("ws://{}/xmpp-websocket", proxy.address());
    let setup = Setup { url, ..Setup::guest(&prosody) }.rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    let observer = Observer::join(prosody.c2s(), "alice", "wonderland", &jids[0], "observer");
    observer.wait("the keeper", seconds(10), |there| there.contains_key(NICK));
    let mark = focus.mark();
    for _ in 0..3 {
        let connections = proxy.accepted();
        proxy.cut();
        until("a new connection", seconds(15), || (proxy.accepted() > connections).then_some(()));
        wait_state(&daemon, "tavern", "held", "", seconds(15));
    }
    // its own self-ping is what holds it, and is answered through the resumed stream
    let mut human = alice(&prosody, &jids[0]);
    let pong = human.iq("get", &format!("{}/{NICK}", jids[0]), "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(pong.attr("type"), "result");
    let after = keeper(&focus, &jids[0]).expect("still there");
    assert_eq!(after.jid, before.jid);
    assert!(!gone(&focus, &jids[0], mark), "the keeper left for a moment");
    assert_eq!(logins(&prosody, BARE), 1, "the account logged in for nothing");
    assert!(observer.occupants().contains_key(NICK));
}

#[test]
fn where_the_server_cannot_resume_guests_the_ghost_keeps_its_nick_and_the_room_is_held_all_the_same() {
    let (prosody, focus) = world(Options { guests_resume: false, hibernation: 8, ..Options::default() });
    let proxy = Proxy::to(prosody.http());
    let url = format!("ws://{}/xmpp-websocket", proxy.address());
    let setup = Setup { url, ..Setup::guest(&prosody) }.rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    proxy.cut();
    let new = until("another session as moderator", seconds(20), || {
        let seen = focus.rooms().remove(&jids[0])?;
        seen.members.into_iter().find(|(_, member)| member.jid != before.jid && member.holds_since.is_some())
    });
    assert_ne!(new.0, NICK, "the ghost has the nick");
    assert_eq!(domain(&new.1.jid), GUESTS);
    assert_eq!(logins(&prosody, BARE), 1, "the session-id moved to the new full JID");
    daemon.wait_all_held(seconds(10));
    assert_eq!(row(&daemon, "tavern")["people"], 0, "a ghost of ours is no person");
    let vanished = |seen: &Seen| matches!(seen, Seen::Gone { nick, .. } if nick == NICK);
    focus.wait_seen("the ghost's end", 0, seconds(30), |seen| vanished(&seen.what));
    assert!(focus.rooms()[&jids[0]].members.contains_key(&new.0), "the room is held on");
}

#[test]
fn a_wrong_password_of_the_account_is_tried_once_by_all_sessions_together() {
    let (prosody, focus) = world(Options { log: "debug", ..Options::default() });
    let mut setup = Setup::guest(&prosody).many(4).with("rooms_per_session = 1");
    setup.password = "wrong".to_owned();
    let daemon = Daemon::start(setup);
    daemon.wait_rooms("the cause", seconds(15), |row| row.cause == "bad-credentials");
    let tried = || prosody.log().matches("mechanism='SCRAM-SHA-1'").count();
    assert!(focus.auth_sessions() == 0 && logins(&prosody, BARE) == 0);
    let guests = prosody.log().matches(&format!("@{GUESTS}\n")).count();
    assert!(guests >= 4, "{guests} guests");
    let again = wait_for(seconds(3), || (tried() != 1).then(tried));
    assert_eq!(again, None, "that many logins of the account");
}

#[test]
fn an_account_of_the_hidden_domain_holds_a_room_with_a_session_id_of_the_main_domain() {
    let (prosody, focus) = world(Options::default());
    prosody.add_account("recorder", HIDDEN, "behind the curtain");
    let setup = Setup { login: "guest", ..Setup::websocket(&prosody) }
        .with(&format!("guest_domain = \"{HIDDEN}\"\nguest_account = \"recorder\"\nguest_password_file = \"hidden\""))
        .with_secret("hidden", "behind the curtain")
        .rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let hidden = wait_keeper(&focus, &daemon, &jids, seconds(15));
    assert_eq!(bare(&hidden.jid), format!("recorder@{HIDDEN}"));
    assert_eq!(logins(&prosody, BARE), 1);
}
