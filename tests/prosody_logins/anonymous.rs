//! `login = "anonymous"`: authentication is off, and who comes first is owner.

use super::*;

fn open_world() -> (Prosody, Focus) {
    let prosody = Prosody::start(Options { login: Login::Anonymous, ..Options::default() });
    let focus = Focus::start(FocusOptions { auth: false, ..FocusOptions::of(&prosody) });
    (prosody, focus)
}

#[test]
fn who_comes_first_is_owner_and_who_is_not_says_so() {
    let (prosody, focus) = open_world();
    let setup = Setup::anonymous(&prosody).rooms(["tavern", "market"]);
    let jids = setup.jids();
    let mut first = Client::anonymous(prosody.http(), "?room=market", DOMAIN).expect("a login");
    first.conference("focus.meet.jitsi", &jids[1], "their-machine", "");
    first.join(&jids[1], "f1r57000");
    first.answer_disco(&jids[1]);
    assert!(first.becomes_moderator(&jids[1], "f1r57000", seconds(30)));
    let daemon = Daemon::start(setup);
    let keeper = wait_keeper(&focus, &daemon, &jids[..1], seconds(15));
    assert_eq!(domain(&keeper.jid), DOMAIN);
    let shown = wait_state(&daemon, "market", "joined", "auth-off-other-owner", seconds(15));
    let text = shown["text"].as_str().unwrap_or_default();
    assert!(text.contains("authentication off and somebody else was first in market@"), "{text}");
    assert!(text.contains("make us moderator"), "what to do: {text}");
    let there = focus.rooms()[&jids[1]].members[NICK].clone();
    assert_eq!((there.role.as_str(), there.affiliation.as_str()), ("participant", "none"));
    // the owner leaves, and the focus elects the keeper
    first.leave(&jids[1], "f1r57000");
    wait_keeper(&focus, &daemon, &jids, seconds(10));
    wait_state(&daemon, "market", "held", "", seconds(5));
}

#[test]
fn an_anonymous_sessions_lost_connection_is_resumed() {
    let (prosody, focus) = open_world();
    let proxy = Proxy::to(prosody.http());
    let url = format!("ws://{}/xmpp-websocket", proxy.address());
    let setup = Setup { url, ..Setup::anonymous(&prosody) }.rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    let mark = focus.mark();
    let connections = proxy.accepted();
    proxy.cut();
    until("a new connection", seconds(15), || (proxy.accepted() > connections).then_some(()));
    wait_state(&daemon, "tavern", "held", "", seconds(15));
    let mut guest = Client::anonymous(prosody.http(), "", GUESTS).expect("a login");
    guest.join(&jids[0], "b0b00000");
    let pong = guest.iq("get", &format!("{}/{NICK}", jids[0]), "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(pong.attr("type"), "result");
    assert!(!gone(&focus, &jids[0], mark), "the keeper left for a moment");
    assert_eq!(keeper(&focus, &jids[0]).map(|keeper| keeper.jid), Some(before.jid));
}
