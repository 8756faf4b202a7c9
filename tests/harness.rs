//! The test world tests itself: a focus that forgave would make every other test worthless.

#![allow(clippy::disallowed_methods)]

mod support;

#[path = "harness/components.rs"]
mod components;
#[path = "harness/focus_rules.rs"]
mod focus_rules;
#[path = "harness/lobby.rs"]
mod lobby;
#[path = "harness/logins.rs"]
mod logins;
#[path = "harness/reservations.rs"]
mod reservations;

use std::time::{Duration, Instant};

use support::client::{Client, disco_answer};
use support::focus::{self, Focus, Seen, Why};
use support::observer::{self, Observer};
use support::prosody::{ACCOUNT, FOCUS, MUC, Options, PASSWORD, Prosody, ROOMS};
use support::xml::Node;

/// What stands for Jicofo's 15 s in these tests.
const SHORT: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(30);

fn world(options: Options) -> (Prosody, Focus) {
    let prosody = Prosody::start(options);
    let focus = Focus::start(focus::Options {
        start_timeout: SHORT,
        reply_timeout: SHORT,
        crash_silence: SHORT,
        ..focus::Options::of(&prosody)
    });
    (prosody, focus)
}

fn room(name: &str) -> String {
    format!("{name}@{MUC}")
}

fn conference(answer: &Node) -> &Node {
    answer.child("conference").unwrap_or_else(|| panic!("no conference in {answer:#?}"))
}

#[test]
fn a_client_that_does_everything_right_becomes_owner_and_holds() {
    for jitsi_modules in [true, false] {
        let (prosody, focus) = world(Options { jitsi_modules, ..Options::default() });
        let room = room("tavern");
        let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
        let answer = keeper.conference(FOCUS, &room, "machine-1", "");
        assert_eq!(conference(&answer).attr("ready"), "true");
        assert_eq!(conference(&answer).attr("identity"), format!("{ACCOUNT}@meet.jitsi"));
        assert!(!conference(&answer).attr("session-id").is_empty());
        let own = keeper.join(&room, "00000000_keeper").muc().expect("our own presence");
        assert_eq!((own.role.as_str(), own.affiliation.as_str()), ("participant", "none"));
        keeper.answer_disco(&room);
        assert!(keeper.becomes_moderator(&room, "00000000_keeper", SOON));
        focus.wait_held(&[&room], keeper.bare(), SOON);
        // it stays beyond the start timeout
        let later = Instant::now() + SHORT * 2;
        assert!(focus.wait_held(&[&room], keeper.bare(), SOON) < later);
        assert!(keeper.find(SHORT * 2, |node| node.attr("type") == "unavailable").expect("a live stream").is_none());
        // two of the three are needed for the conference to end: the last one leaves
        keeper.leave(&room, "00000000_keeper");
        let left = |seen: &focus::Observation| seen.what == Seen::Left(Why::Empty);
        focus.wait_seen("the empty room left", 0, SOON, left);
    }
}

#[test]
fn a_client_without_machine_uid_is_refused() {
    let (prosody, _focus) = world(Options::default());
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = keeper.conference(FOCUS, &room("tavern"), "", "");
    assert_eq!(answer.condition(), "not-acceptable");
    assert_eq!(keeper.conference(FOCUS, "", "machine-1", "").condition(), "bad-request");
}

#[test]
fn a_client_that_does_not_answer_disco_info_loses_the_focus() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    keeper.conference(FOCUS, &room, "machine-1", "");
    keeper.join(&room, "keeper");
    assert!(keeper.becomes_moderator(&room, "keeper", SOON), "owner comes before the features");
    let from = format!("{room}/focus");
    keeper.expect("the focus to leave", SOON, |node| node.attr("from") == from && node.attr("type") == "unavailable");
    focus.wait_seen("the start timeout", 0, SOON, |seen| seen.what == Seen::Left(Why::StartTimeout));
    assert_eq!(focus.held_since(&room, keeper.bare()), None);
}

#[test]
fn a_client_that_joins_too_late_finds_no_room() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    keeper.conference(FOCUS, &room, "machine-1", "");
    focus.wait_seen("the start timeout", 0, SOON, |seen| seen.what == Seen::Left(Why::StartTimeout));
    let refused = keeper.join(&room, "keeper");
    assert_eq!((refused.attr("type"), refused.condition()), ("error", "not-allowed"));
}

#[test]
fn a_join_without_asking_the_focus_is_refused() {
    let (prosody, _focus) = world(Options::default());
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let refused = keeper.join(&room("tavern"), "keeper");
    let text = refused.child("error").and_then(|error| error.child("text")).map(|text| text.text.clone());
    assert_eq!(text.as_deref(), Some("Room creation is restricted"));
}

#[test]
fn a_session_id_is_bound_to_machine_uid_and_to_the_last_full_jid() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut first = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = first.conference(FOCUS, &room, "machine-1", "");
    let session = conference(&answer).attr("session-id").to_owned();

    let mut guest = Client::guest(prosody.c2s());
    let unknown = guest.conference(FOCUS, &room, "machine-1", "no-such-session");
    assert_eq!(unknown.condition(), "not-acceptable");
    assert!(unknown.child("error").is_some_and(|error| error.child("session-invalid").is_some()));
    let foreign = guest.conference(FOCUS, &room, "machine-2", &session);
    assert_eq!(foreign.condition(), "not-acceptable");
    assert!(foreign.child("error").is_some_and(|error| error.child("session-invalid").is_none()));

    // the guest takes the session: from now on it is the authenticated one, and the account is not
    let taken = guest.conference(FOCUS, &room, "machine-1", &session);
    assert_eq!(conference(&taken).attr("identity"), first.bare());
    first.join(&room, "keeper");
    first.answer_disco(&room);
    assert!(!first.becomes_moderator(&room, "keeper", SHORT), "its session belongs to another full JID now");
    // recognised later, while inside
    first.conference(FOCUS, &room, "machine-1", &session);
    assert!(first.becomes_moderator(&room, "keeper", SOON));
    assert_eq!(focus.auth_sessions(), 1);
    first.conference(FOCUS, &room, "machine-1", "");
    assert_eq!(focus.auth_sessions(), 2, "a request without session-id makes another session");
}

#[test]
fn guests_open_no_rooms_and_own_none() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut guest = Client::guest(prosody.c2s());
    assert_eq!(guest.conference(FOCUS, &room, "machine-9", "").condition(), "not-authorized");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    keeper.conference(FOCUS, &room, "machine-1", "");
    keeper.join(&room, "keeper");
    keeper.answer_disco(&room);
    assert_eq!(conference(&guest.conference(FOCUS, &room, "machine-9", "")).attr("ready"), "true");
    guest.join(&room, "guest");
    guest.answer_disco(&room);
    // two members: both are invited
    for nick in ["keeper", "guest"] {
        focus.wait_seen("an invitation", 0, SOON, |seen| seen.what == Seen::Invited { nick: nick.into() });
    }
    let offer = keeper.expect("session-initiate", SOON, |node| node.child("jingle").is_some());
    assert_eq!(offer.attr("from"), format!("{room}/focus"));
    keeper.send(&format!("<iq type='result' to='{room}/focus' id='{}'/>", offer.attr("id")));
    let answered = Seen::Answered { nick: "keeper".into(), how: "result".into() };
    focus.wait_seen("the keeper's answer", 0, SOON, |seen| seen.what == answered);
    focus.wait_seen("the guest's silence", 0, SOON, |seen| seen.what == Seen::NoAnswer { nick: "guest".into() });
    assert!(!guest.becomes_moderator(&room, "guest", Duration::ZERO));
}

#[test]
fn a_wrong_muc_domain_meets_silence() {
    let (prosody, focus) = world(Options::default());
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let request = support::client::conference_request("tavern@conference.meet.jitsi", "machine-1", "");
    let id = keeper.ask("set", FOCUS, &request);
    let answer = keeper.find(SHORT, |node| node.attr("id") == id).expect("a live stream");
    assert!(answer.is_none(), "{answer:?}");
    assert!(focus.log().iter().any(|seen| matches!(seen.what, Seen::Silent { .. })));
}

#[test]
fn of_two_who_ask_at_once_the_second_hears_not_ready() {
    let (prosody, focus) = world(Options::default());
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let request = support::client::conference_request(&room("tavern"), "machine-1", "");
    let both: String =
        ["a", "b"].iter().map(|id| format!("<iq type='set' to='{FOCUS}' id='{id}'>{request}</iq>")).collect();
    keeper.send(&both);
    let second = keeper.expect("the second answer", SOON, |node| node.attr("id") == "b");
    assert_eq!(conference(&second).attr("ready"), "false");
    let first = keeper.expect("the first answer", SOON, |node| node.attr("id") == "a");
    assert_eq!(conference(&first).attr("ready"), "true");
    assert_eq!(conference(&keeper.conference(FOCUS, &room("tavern"), "machine-1", "")).attr("ready"), "true");
    assert_eq!(focus.rooms().len(), 1);
}

#[test]
fn an_absent_focus_a_crashed_focus_and_a_restarted_focus_look_as_they_do() {
    for (jitsi_modules, absent) in [(true, "service-unavailable"), (false, "remote-server-timeout")] {
        let (prosody, mut focus) = world(Options { jitsi_modules, ..Options::default() });
        let room = room("tavern");
        let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
        let answer = keeper.conference(FOCUS, &room, "machine-1", "");
        let session = conference(&answer).attr("session-id").to_owned();
        keeper.join(&room, "keeper");
        keeper.answer_disco(&room);
        focus.wait_held(&[&room], keeper.bare(), SOON);

        focus.stop();
        let from = format!("{room}/focus");
        let gone = |node: &Node| node.attr("from") == from && node.attr("type") == "unavailable";
        keeper.expect("the focus to vanish", SOON, gone);
        assert_eq!(keeper.conference(FOCUS, &room, "machine-1", &session).condition(), absent);

        focus.spawn();
        focus.wait_connected(SOON);
        let forgotten = keeper.conference(FOCUS, &room, "machine-1", &session);
        assert!(forgotten.child("error").is_some_and(|error| error.child("session-invalid").is_some()));
        assert_eq!(conference(&keeper.conference(FOCUS, &room, "machine-1", "")).attr("ready"), "true");
        keeper.answer_disco(&room);
        focus.wait_held(&[&room], keeper.bare(), SOON);

        focus.crash();
        let asked = Instant::now();
        assert_eq!(keeper.conference(FOCUS, &room, "machine-1", "").condition(), "recipient-unavailable");
        assert!(asked.elapsed() >= SHORT);
    }
}

#[test]
fn a_kicked_moderator_comes_back_as_nobody_and_is_granted_again() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    keeper.conference(FOCUS, &room, "machine-1", "");
    keeper.join(&room, "keeper");
    keeper.answer_disco(&room);
    assert!(keeper.becomes_moderator(&room, "keeper", SOON));
    let mut human = Client::account(prosody.c2s(), "moderator", PASSWORD);
    human.conference(FOCUS, &room, "machine-2", "");
    human.join(&room, "human");
    human.answer_disco(&room);
    assert!(human.becomes_moderator(&room, "human", SOON));
    assert_eq!(human.kick(&room, "focus", "").condition(), "not-allowed");
    assert_eq!(human.kick(&room, "keeper", "out").attr("type"), "result");
    let kicked = keeper.own_presence(&room, "keeper").muc().expect("a reason");
    assert!(kicked.status.contains(&307));
    let own = keeper.join(&room, "keeper").muc().expect("our own presence");
    assert_eq!(own.affiliation, "none");
    keeper.answer_disco(&room);
    assert!(keeper.becomes_moderator(&room, "keeper", SOON));
    // nicks are letters, digits and underscores
    assert_eq!(Client::guest(prosody.c2s()).join(&room, "a-b").condition(), "not-allowed");
    let _ = focus;
}

#[test]
fn with_authentication_off_the_first_member_is_owner() {
    let prosody = Prosody::start(Options::default());
    let focus = Focus::start(focus::Options { auth: false, ..focus::Options::of(&prosody) });
    let room = room("tavern");
    let mut first = Client::guest(prosody.c2s());
    let mut second = Client::guest(prosody.c2s());
    assert_eq!(conference(&first.conference(FOCUS, &room, "m", "")).attr("ready"), "true");
    first.join(&room, "first");
    first.answer_disco(&room);
    assert!(first.becomes_moderator(&room, "first", SOON));
    second.join(&room, "second");
    second.answer_disco(&room);
    assert!(!second.becomes_moderator(&room, "second", SHORT));
    first.leave(&room, "first");
    assert!(second.becomes_moderator(&room, "second", SOON), "the heir");
    let _ = focus;
}

#[test]
fn the_server_comes_back_after_sigkill_and_the_focus_with_it() {
    let (mut prosody, focus) = world(Options { limit: true, ..Options::default() });
    let mark = focus.mark();
    prosody.kill9();
    focus.wait_seen("the loss", mark, SOON, |seen| seen.what == Seen::Disconnected);
    prosody.run();
    focus.wait_connected(SOON);
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = keeper.conference(FOCUS, &room("tavern"), "machine-1", "");
    assert_eq!(conference(&answer).attr("ready"), "true");
}

#[test]
fn plain_rooms_are_locked_until_configured() {
    let prosody = Prosody::start(Options::default());
    let room = format!("tavern@{ROOMS}");
    let mut owner = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let own = owner.join(&room, "keeper").muc().expect("our own presence");
    assert!(own.status.contains(&201) && own.affiliation == "owner", "{own:?}");
    let mut guest = Client::guest(prosody.c2s());
    assert_eq!(guest.join(&room, "guest").condition(), "item-not-found");
    assert_eq!(owner.configure(&room, &[("muc#roomconfig_whois", "anyone")]).attr("type"), "result");
    assert_eq!(guest.join(&room, "guest").attr("type"), "");
}

#[test]
fn each_member_is_granted_once_however_many_requests_are_under_way() {
    let (prosody, focus) = world(Options::default());
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = keeper.conference(FOCUS, &room("first"), "machine-1", "");
    let session = conference(&answer).attr("session-id").to_owned();
    let rooms: Vec<String> = (0..30).map(|number| room(&format!("r{number}"))).collect();
    for _ in 0..2 {
        let requests = rooms.iter().map(|room| support::client::conference_request(room, "machine-1", &session));
        for request in requests.collect::<Vec<_>>() {
            keeper.ask("set", FOCUS, &request);
        }
        for room in &rooms {
            let ready = |node: &Node| {
                node.child("conference")
                    .is_some_and(|found| found.attr("room") == room && found.attr("ready") == "true")
            };
            keeper.expect("ready", SOON, ready);
            keeper.enter(room, "keeper");
        }
    }
    for room in &rooms {
        keeper.answer_disco(room);
    }
    focus.wait_held(&rooms, keeper.bare(), SOON);
    let granted = focus.log().iter().filter(|seen| matches!(seen.what, Seen::Granted { .. })).count();
    assert_eq!(granted, rooms.len());
}

#[test]
fn an_independent_client_says_who_is_moderator() {
    let (prosody, _focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    keeper.conference(FOCUS, &room, "machine-1", "");
    keeper.join(&room, "keeper");
    keeper.answer_disco(&room);
    let observer = Observer::join(prosody.c2s(), "moderator", PASSWORD, &room, "observer");
    let is = |occupants: &observer::Occupants, nick: &str, role: &str| {
        occupants.get(nick).is_some_and(|occupant| occupant.role == role)
    };
    let seen = observer.wait("the keeper as moderator", SOON, |seen| {
        is(seen, "keeper", "moderator") && is(seen, "focus", "moderator") && is(seen, "observer", "participant")
    });
    assert_eq!(seen["keeper"].jid, keeper.jid);
    keeper.leave(&room, "keeper");
    observer.wait("the keeper gone", SOON, |seen| !seen.contains_key("keeper"));
}

#[test]
fn disco_answers_echo_the_node() {
    let asked = Node {
        attrs: vec![("from".into(), "r@m/focus".into()), ("id".into(), "x".into())],
        children: vec![Node { name: "query".into(), attrs: vec![("node".into(), "a#b".into())], ..Node::default() }],
        ..Node::default()
    };
    assert!(disco_answer(&asked).contains("node='a#b'"));
}
