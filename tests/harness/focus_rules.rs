//! What the focus does to a client that omits something, and what it can be told to do.

use super::support::prosody::DOMAIN;
use super::*;

/// A moderator of `room`, invited or not.
fn moderator(prosody: &Prosody, room: &str, user: &str, nick: &str) -> Client {
    let mut client = Client::account(prosody.c2s(), user, PASSWORD);
    client.conference(FOCUS, room, &format!("machine-of-{user}"), "");
    client.join(room, nick);
    client.answer_disco(room);
    assert!(client.becomes_moderator(room, nick, SOON));
    client
}

/// Answers the next invitation by `payload` of an IQ of this `kind`.
fn answer_offer(client: &mut Client, kind: &str, payload: &str) {
    let offer = client.expect("session-initiate", SOON, |node| node.child("jingle").is_some());
    client.send(&format!("<iq type='{kind}' to='{}' id='{}'>{payload}</iq>", offer.attr("from"), offer.attr("id")));
}

fn mute(room: &str, nick: &str) -> String {
    format!("<mute xmlns='http://jitsi.org/jitmeet/audio' jid='{room}/{nick}'>true</mute>")
}

const NOT_IMPLEMENTED: &str =
    "<error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";

#[test]
fn who_refuses_the_invitation_with_an_error_cannot_mute_and_cannot_be_muted() {
    for (kind, payload, wanted) in [("result", "", ""), ("error", NOT_IMPLEMENTED, "internal-server-error")] {
        let (prosody, focus) = world(Options::default());
        let room = room("tavern");
        let focus_jid = format!("{room}/focus");
        let mut keeper = moderator(&prosody, &room, ACCOUNT, "keeper");
        assert_eq!(keeper.iq("set", &focus_jid, &mute(&room, "keeper")).condition(), "internal-server-error", "alone");
        let mut human = moderator(&prosody, &room, "moderator", "human");
        answer_offer(&mut keeper, kind, payload);
        answer_offer(&mut human, "result", "");
        for nick in ["keeper", "human"] {
            let answered =
                |seen: &focus::Observation| matches!(&seen.what, Seen::Answered { nick: who, .. } if who == nick);
            focus.wait_seen("an answer", 0, SOON, answered);
        }
        assert_eq!(keeper.iq("set", &focus_jid, &mute(&room, "human")).condition(), wanted);
        assert_eq!(human.iq("set", &focus_jid, &mute(&room, "keeper")).condition(), wanted);
        if kind == "result" {
            let muted = human.expect("the mute", SOON, |node| node.child("mute").is_some());
            assert_eq!(muted.child("mute").map(|mute| mute.attr("actor")), Some(format!("{room}/keeper").as_str()));
            assert_eq!(muted.attr("from"), focus_jid);
        }
        let mut guest = Client::guest(prosody.c2s());
        guest.join(&room, "guest");
        assert_eq!(guest.iq("set", &focus_jid, &mute(&room, "human")).condition(), "not-allowed");
    }
}

#[test]
fn sessions_from_tokens_are_short_and_end_with_their_conference() {
    let prosody = Prosody::start(Options::default());
    let lifetime = Some(SHORT);
    let focus = Focus::start(focus::Options { jwt: true, session_lifetime: lifetime, ..focus::Options::of(&prosody) });
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = keeper.conference(FOCUS, &room, "machine-1", "");
    assert!(format!("{answer:?}").contains("externalAuth"), "{answer:?}");
    let session = conference(&answer).attr("session-id").to_owned();
    let late = Instant::now() + SHORT + Duration::from_millis(100);
    support::until("more than the lifetime", SOON, || (Instant::now() > late).then_some(()));
    let refused = keeper.conference(FOCUS, &room, "machine-1", &session);
    assert!(refused.child("error").is_some_and(|error| error.child("session-invalid").is_some()), "{refused:?}");
    let again = keeper.conference(FOCUS, &room, "machine-1", "");
    let session = conference(&again).attr("session-id").to_owned();
    keeper.join(&room, "keeper");
    keeper.answer_disco(&room);
    assert!(keeper.becomes_moderator(&room, "keeper", SOON));
    keeper.leave(&room, "keeper");
    focus.wait_seen("the end", 0, SOON, |seen| seen.what == Seen::Left(Why::Empty));
    assert_eq!(keeper.conference(FOCUS, &room, "machine-1", &session).condition(), "not-acceptable");
}

#[test]
fn a_forgotten_session_costs_no_role_but_the_next_request() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let session = conference(&keeper.conference(FOCUS, &room, "machine-1", "")).attr("session-id").to_owned();
    keeper.join(&room, "keeper");
    keeper.answer_disco(&room);
    focus.wait_held(&[&room], keeper.bare(), SOON);
    focus.expire_sessions();
    assert!(focus.held_since(&room, keeper.bare()).is_some());
    assert_eq!(keeper.conference(FOCUS, &room, "machine-1", &session).condition(), "not-acceptable");
    assert_eq!(focus.auth_sessions(), 0);
}

#[test]
fn a_focus_comes_back_as_late_as_it_is_told_to() {
    let (mut prosody, mut focus) = world(Options::default());
    // Longer than a login takes on a busy machine.
    let late = Duration::from_secs(5);
    focus.restart(|options| options.reconnect_delay = late);
    focus.wait_connected(late + SOON);
    prosody.kill9();
    // On a busy machine the focus may see the port open before we do.
    let spawned = Instant::now();
    prosody.spawn();
    prosody.wait_until_listening();
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    assert_eq!(keeper.conference(FOCUS, &room("tavern"), "machine-1", "").condition(), "service-unavailable");
    assert!(focus.wait_connected(late + SOON) - spawned >= late);
}

#[test]
fn a_recording_is_told_in_the_presence_of_the_focus() {
    let (prosody, focus) = world(Options::default());
    let room = room("tavern");
    let mut keeper = moderator(&prosody, &room, ACCOUNT, "keeper");
    focus.recording(&room, "on");
    let told = keeper.expect("the recording", SOON, |node| node.child("jibri-recording-status").is_some());
    assert_eq!(told.attr("from"), format!("{room}/focus"));
    assert_eq!(told.child("jibri-recording-status").map(|status| status.attr("status")), Some("on"));
    assert_eq!(keeper.iq("get", DOMAIN, "<ping xmlns='urn:xmpp:ping'/>").attr("type"), "result");
}
