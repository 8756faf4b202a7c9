//! What acts on the room in the connection's URL, and the limits of rooms and sessions.

use super::support::prosody::{AV_MODERATION, DOMAIN, END_CONFERENCE, GUESTS, METADATA};
use super::*;

/// A moderator of `rooms` on one connection, whose URL is `query`.
fn keeper(prosody: &Prosody, query: &str, rooms: &[&str]) -> Client {
    let mut keeper = Client::web_account(prosody.http(), query, ACCOUNT, DOMAIN, PASSWORD);
    for room in rooms {
        keeper.conference(FOCUS, room, "machine-1", "");
        keeper.join(room, "keeper");
        keeper.answer_disco(room);
        assert!(keeper.becomes_moderator(room, "keeper", SOON));
    }
    keeper
}

/// Sends a message and says how it was answered: the error's condition, or nothing within a moment.
fn refused(client: &mut Client, to: &str, payload: &str) -> String {
    client.send(&format!("<message to='{to}' id='cmd'>{payload}</message>"));
    let answer = client.find(Duration::from_millis(300), |node| node.name == "message" && node.attr("type") == "error");
    answer.expect("a live stream").map(|node| node.condition().to_owned()).unwrap_or_default()
}

/// The next JSON message of a component that has `word` in it.
#[track_caller]
fn heard(client: &mut Client, from: &str, word: &str) -> serde_json::Value {
    let said = |node: &Node| {
        node.attr("from") == from && node.child("json-message").is_some_and(|json| json.text.contains(word))
    };
    let node = client.expect(&format!("{word} of {from}"), SOON, said);
    serde_json::from_str(&node.child("json-message").expect("looked for").text).expect("JSON")
}

#[test]
fn a_conference_is_ended_in_the_room_of_the_url_and_in_no_other() {
    let (prosody, _focus) = world(Options { components: true, ..Options::default() });
    let (tavern, cellar) = (room("tavern"), room("cellar"));
    let command = "<end_conference/>";
    let mut nowhere = keeper(&prosody, "", &[&tavern]);
    assert_eq!(refused(&mut nowhere, END_CONFERENCE, command), "service-unavailable");
    let mut guest = Client::anonymous(prosody.http(), "?room=tavern", GUESTS).expect("a login");
    assert_eq!(guest.join(&tavern, "guest").attr("type"), "");
    assert_eq!(refused(&mut guest, END_CONFERENCE, command), "", "silence for who is no moderator");
    let mut both = keeper(&prosody, "?room=tavern", &[&cellar]);
    assert_eq!(refused(&mut both, END_CONFERENCE, command), "", "silence for who is not in the URL's room");
    assert_eq!(refused(&mut both, END_CONFERENCE, "<end_conference xmlns='x:y'/>"), "service-unavailable");
    both.join(&tavern, "keeper");
    // meant for the cellar, whatever was meant
    both.send(&format!("<message to='{END_CONFERENCE}'>{command}</message>"));
    let end = guest.expect("the end", SOON, |node| node.muc().is_some_and(|muc| muc.destroyed));
    assert_eq!(end.attr("from"), format!("{tavern}/guest"));
    let reason = end.child("x").and_then(|x| x.child("destroy")).and_then(|end| end.child("reason"));
    assert_eq!(reason.map(|reason| reason.text.as_str()), Some("The meeting has been terminated"));
    assert_eq!(both.iq("get", &format!("{cellar}/keeper"), "<ping xmlns='urn:xmpp:ping'/>").attr("type"), "result");
}

#[test]
fn audio_is_moderated_in_the_room_of_the_url() {
    let (prosody, focus) = world(Options { components: true, ..Options::default() });
    let tavern = room("tavern");
    let mut keeper = keeper(&prosody, "?room=tavern", &[&tavern]);
    let mut guest = Client::anonymous(prosody.http(), "?room=tavern", GUESTS).expect("a login");
    guest.join(&tavern, "guest");
    guest.answer_disco(&tavern);
    for (client, nick) in [(&mut keeper, "keeper"), (&mut guest, "guest")] {
        let offer = client.expect("session-initiate", SOON, |node| node.child("jingle").is_some());
        client.send(&format!("<iq type='result' to='{tavern}/focus' id='{}'/>", offer.attr("id")));
        let answered = Seen::Answered { nick: nick.into(), how: "result".into() };
        focus.wait_seen("the answer", 0, SOON, |seen| seen.what == answered);
    }
    let enable = "<av_moderation enable='true' mediaType='audio'/>";
    assert_eq!(refused(&mut guest, AV_MODERATION, enable), "");
    assert_eq!(refused(&mut keeper, AV_MODERATION, "<av_moderation xmlns='x:y'/>"), "service-unavailable");
    // with moderation off, an approval asks to unmute
    let to_guest = format!("<av_moderation mediaType='audio' jidToWhitelist='{tavern}/guest'/>");
    assert_eq!(refused(&mut keeper, AV_MODERATION, &to_guest), "");
    assert_eq!(heard(&mut guest, AV_MODERATION, "approved")["from"], format!("{tavern}/keeper"));
    assert_eq!(refused(&mut keeper, AV_MODERATION, enable), "");
    let on = heard(&mut guest, AV_MODERATION, "enabled");
    assert_eq!((&on["enabled"], &on["mediaType"]), (&true.into(), &"audio".into()));
    assert_eq!(on["actor"], format!("{tavern}/keeper"));
    assert_eq!(heard(&mut guest, METADATA, "startMuted")["metadata"]["startMuted"]["audio"], true);
    assert_eq!(heard(&mut keeper, AV_MODERATION, "whitelists")["whitelists"]["audio"][0], format!("{tavern}/keeper"));
    // the focus mutes everybody but the actor
    let mute = guest.expect("a mute", SOON, |node| node.child("mute").is_some());
    assert_eq!(mute.attr("from"), format!("{tavern}/focus"));
    assert!(keeper.find(Duration::from_millis(300), |node| node.child("mute").is_some()).expect("a stream").is_none());
    assert_eq!(refused(&mut keeper, AV_MODERATION, &to_guest), "");
    assert!(heard(&mut guest, AV_MODERATION, "approved").get("from").is_none());
    let withdraw = format!("<av_moderation mediaType='audio' jidToBlacklist='{tavern}/guest'/>");
    assert_eq!(refused(&mut keeper, AV_MODERATION, &withdraw), "");
    assert_eq!(heard(&mut guest, AV_MODERATION, "removed")["removed"], true);
    let mut late = Client::anonymous(prosody.http(), "?room=tavern", GUESTS).expect("a login");
    late.join(&tavern, "late");
    assert_eq!(heard(&mut late, AV_MODERATION, "enabled")["mediaType"], "audio");
}

#[test]
fn metadata_is_set_by_a_moderator_and_pushed_with_the_turn_password_at_the_join() {
    let (prosody, _focus) = world(Options { components: true, ..Options::default() });
    let (tavern, cellar) = (room("tavern"), room("cellar"));
    let mut keeper = keeper(&prosody, "?room=tavern", &[&tavern, &cellar]);
    let first = heard(&mut keeper, METADATA, "services");
    assert_eq!(first["metadata"]["services"][0]["password"], "turn-secret");
    let set =
        |json: &str| format!("<room_metadata xmlns='http://jitsi.org/jitmeet' room='{cellar}'>{json}</room_metadata>");
    // any room that one moderates, as long as the URL names one
    assert_eq!(refused(&mut keeper, METADATA, &set("{\"key\":\"myPolicy\",\"data\":{\"a\":1}}")), "");
    assert_eq!(heard(&mut keeper, METADATA, "myPolicy")["metadata"]["myPolicy"]["a"], 1);
    assert_eq!(refused(&mut keeper, METADATA, &set("{\"key\":\"services\",\"data\":[]}")), "");
    let mut guest = Client::anonymous(prosody.http(), "?room=cellar", GUESTS).expect("a login");
    guest.join(&cellar, "guest");
    assert_eq!(heard(&mut guest, METADATA, "services")["metadata"]["services"][0]["type"], "turn");
    assert_eq!(refused(&mut guest, METADATA, &set("{\"key\":\"other\",\"data\":1}")), "");
    let mut nowhere = Client::web_account(prosody.http(), "", "moderator", DOMAIN, PASSWORD);
    assert_eq!(refused(&mut nowhere, METADATA, &set("{\"key\":\"k\",\"data\":1}")), "service-unavailable");
    let unset = |node: &Node| node.child("json-message").is_some_and(|json| json.text.contains("other"));
    assert!(guest.find(Duration::ZERO, unset).expect("a stream").is_none());
}

#[test]
fn a_full_room_refuses_and_a_room_says_which_life_it_is_in() {
    let (prosody, _focus) = world(Options { max_occupants: Some(2), ..Options::default() });
    let tavern = room("tavern");
    let mut keeper = keeper(&prosody, "", &[&tavern]);
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let field = |node: &Node, var: &str| {
        let form = node.child("query").and_then(|query| query.child_ns("x", "jabber:x:data")).expect("a form");
        let field = form.children.iter().find(|field| field.attr("var") == var);
        field.and_then(|field| field.child("value")).map(|value| value.text.clone())
    };
    let before = keeper.iq("get", &tavern, info);
    assert!(field(&before, "muc#roominfo_meetingId").is_some_and(|id| id.len() == 36), "{before:?}");
    assert_eq!(field(&before, "muc#roominfo_created_timestamp"), None);
    let mut second = Client::guest(prosody.c2s());
    assert_eq!(second.join(&tavern, "b0b").attr("type"), "");
    let after = keeper.iq("get", &tavern, info);
    assert!(field(&after, "muc#roominfo_created_timestamp").is_some_and(|at| at.len() == 13), "{after:?}");
    assert_eq!(field(&after, "muc#roominfo_meetingId"), field(&before, "muc#roominfo_meetingId"));
    assert_eq!(Client::guest(prosody.c2s()).join(&tavern, "late").condition(), "service-unavailable");
}

#[test]
fn a_session_that_sends_too_much_is_read_slowly_and_not_told() {
    let (prosody, _focus) = world(Options { rate_limit: Some(2), ..Options::default() });
    let mut flood = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let pings = |client: &mut Client| {
        let asked = Instant::now();
        for _ in 0..4 {
            client.iq("get", DOMAIN, "<ping xmlns='urn:xmpp:ping'/>");
        }
        asked.elapsed()
    };
    assert!(pings(&mut flood) < Duration::from_millis(500));
    for _ in 0..10 {
        flood.send("<presence/>");
    }
    let slow = pings(&mut flood);
    assert!(slow > Duration::from_secs(1), "{slow:?}");
    assert!(prosody.log().contains("rate limit exceeded"));
}
