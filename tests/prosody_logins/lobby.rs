//! Lobbies, and waiting for a host.

use super::*;

const LOBBY: &str = "lobby.meet.jitsi";

/// Turns the lobby of `room` on and waits inside it for the keeper; returns the keeper's real JID.
fn knocked(host: &mut Client, room: &str, lobby: &str) -> String {
    let knock = format!("{lobby}/{NICK}");
    let node = host.expect("the keeper knocks", seconds(20), |node| {
        node.name == "presence" && node.attr("from") == knock && node.attr("type").is_empty()
    });
    let nick = node.child_ns("nick", "http://jabber.org/protocol/nick").map(|nick| nick.text.clone());
    assert_eq!(nick.as_deref(), Some("Innkeeper"), "{room}: a knock shows a display name");
    node.muc().expect("an item").jid
}

/// A host inside `room` with its lobby on, and inside the lobby.
fn with_lobby(prosody: &Prosody, room: &str, lobby: &str) -> Client {
    let mut host = alice(prosody, room);
    assert_eq!(host.configure(room, &[("muc#roomconfig_membersonly", "true")]).attr("type"), "result");
    assert_eq!(host.join(lobby, "a11ce000").attr("type"), "");
    host
}

#[test]
fn a_keeper_outside_a_lobby_knocks_and_enters_when_it_is_let_in() {
    let (prosody, focus) = world(Options { lobby: true, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let (room, lobby) = (&jids[0], format!("tavern@{LOBBY}"));
    let mut host = with_lobby(&prosody, room, &lobby);
    let daemon = Daemon::start(setup);
    let jid = knocked(&mut host, room, &lobby);
    assert_eq!(bare(&jid), BARE);
    wait_state(&daemon, "tavern", "waiting", "lobby", seconds(5));
    // an invitation in the room's name from somebody else is none
    let mut stranger = Client::guest(prosody.c2s());
    let invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='tavern@muc.meet.jitsi'/></x>";
    stranger.send(&format!("<message to='{jid}'>{invite}</message>"));
    let entered = |seen: &Seen| matches!(seen, Seen::Joined { nick, .. } if nick == NICK);
    let lured = wait_for(seconds(1), || focus.seen_in(room, 0).iter().any(entered).then_some(()));
    assert!(lured.is_none(), "it followed a stranger's invitation");
    host.send(&format!(
        "<message to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{jid}'/></x></message>"
    ));
    focus.wait_held(&[room], BARE, seconds(10));
    daemon.wait_all_held(seconds(5));
    host.expect("it leaves the lobby", seconds(10), |node| {
        node.attr("from") == format!("{lobby}/{NICK}") && node.attr("type") == "unavailable"
    });
}

#[test]
fn a_keeper_enters_when_the_lobby_ends_and_passes_it_as_owner_afterwards() {
    let (prosody, focus) = world(Options { lobby: true, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let (room, lobby) = (&jids[0], format!("tavern@{LOBBY}"));
    let mut host = with_lobby(&prosody, room, &lobby);
    let mut daemon = Daemon::start(setup);
    knocked(&mut host, room, &lobby);
    assert_eq!(host.configure(room, &[("muc#roomconfig_membersonly", "false")]).attr("type"), "result");
    focus.wait_held(&[room], BARE, seconds(10));
    // its bare JID is owner now: no lobby keeps it out any more
    assert_eq!(host.configure(room, &[("muc#roomconfig_membersonly", "true")]).attr("type"), "result");
    host.join(&lobby, "a11ce000");
    assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0));
    until("it left", seconds(5), || gone(&focus, room, 0).then_some(()));
    daemon.run();
    focus.wait_held(&[room], BARE, seconds(15));
    let knock = |node: &support::xml::Node| node.attr("from") == format!("{lobby}/{NICK}");
    assert!(host.find(seconds(0), knock).expect("a live stream").is_none(), "an owner knocked");
}

#[test]
fn a_keeper_that_is_turned_away_at_a_lobby_says_so_and_does_not_hammer() {
    let (prosody, focus) = world(Options { lobby: true, ..Options::default() });
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let (room, lobby) = (&jids[0], format!("tavern@{LOBBY}"));
    let mut host = with_lobby(&prosody, room, &lobby);
    let daemon = Daemon::start(setup);
    knocked(&mut host, room, &lobby);
    assert_eq!(host.kick(&lobby, NICK, "members only").attr("type"), "result");
    let shown = wait_state(&daemon, "tavern", "waiting", "lobby-denied", seconds(5));
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("members only")), "{shown:#}");
    let again = host.find(seconds(4), |node| {
        node.name == "presence" && node.attr("from") == format!("{lobby}/{NICK}") && node.attr("type").is_empty()
    });
    assert!(again.expect("a live stream").is_none(), "it knocked again at once");
    assert!(!focus.seen_in(room, 0).iter().any(|seen| matches!(seen, Seen::Joined { nick, .. } if nick == NICK)));
}

#[test]
fn a_guest_keeper_waits_for_the_host_and_names_why_it_is_none() {
    let (prosody, focus) = world(Options { lobby: true, wait_for_host: true, ..Options::default() });
    let setup = Setup::guest(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let shown = wait_state(&daemon, "tavern", "waiting", "waiting-for-host", seconds(15));
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("host")), "{shown:#}");
    let _host = alice(&prosody, &jids[0]);
    let keeper = wait_keeper(&focus, &daemon, &jids, seconds(20));
    assert_eq!(domain(&keeper.jid), GUESTS);
}
