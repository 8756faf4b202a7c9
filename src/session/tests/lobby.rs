//! A room with a lobby, and what a lost session leaves behind.

use super::*;

const LOBBY: &str = "tavern@lobby.meet.jitsi";

/// Knocking at the tavern's lobby.
fn knocking(more: &str) -> Bench {
    let mut bench = Bench::online();
    bench.hold("tavern");
    let request = bench.conference();
    bench.ready(&request);
    bench.refuse(&format!("<lobbyroom xmlns='http://jitsi.org/jitmeet'>{LOBBY}</lobbyroom>{more}"));
    bench
}

impl Bench {
    fn refuse(&mut self, application: &str) {
        let join = self.sent().into_iter().rfind(is_join).expect("a join");
        let id = join.attr("id").expect("an id");
        self.hear(&format!(
            "<presence xmlns='jabber:client' type='error' from='tavern@{MUC}/{NICK}' id='{id}'><error type='auth'>\
             <registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{application}</error></presence>"
        ));
    }

    fn lobby(&mut self, nick: &str, kind: &str, inner: &str) {
        self.hear(&format!(
            "<presence xmlns='jabber:client' {kind} from='{LOBBY}/{nick}'>\
             <x xmlns='http://jabber.org/protocol/muc#user'>{inner}</x></presence>"
        ));
    }

    fn invited_by(&mut self, from: &str) {
        self.hear(&format!(
            "<message xmlns='jabber:client' from='{from}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <invite from='m@guest.meet.jitsi/x'/></x></message>"
        ));
    }

    fn to(&mut self, address: &str) -> Vec<Element> {
        self.stanzas().into_iter().filter(|element| element.attr("to") == Some(address)).collect()
    }
}

#[test]
fn a_lobby_is_knocked_at_by_name_and_the_room_is_entered_when_it_invites_us() {
    let mut bench = knocking("");
    let knocks = bench.to(&format!("{LOBBY}/{NICK}"));
    assert!(is_join(&knocks[0]));
    assert_eq!(knocks[0].get_child("nick", ns::NICK).map(Element::text).as_deref(), Some("Keeper"));
    let shown = bench.snapshot("tavern");
    assert_eq!((shown.state, shown.cause.word), (RoomState::Waiting, Word::Lobby));
    bench.lobby(NICK, "", "<item affiliation='none' role='participant'/><status code='110'/>");
    for stranger in [&format!("tavern@{MUC}/mallory"), LOBBY, &format!("inn@{MUC}"), "m@guest.meet.jitsi/x"] {
        bench.invited_by(stranger);
        assert!(bench.stanzas().is_empty(), "{stranger} opens no door");
    }
    bench.invited_by(&format!("tavern@{MUC}"));
    let request = bench.conference();
    let left = bench.to(&format!("{LOBBY}/{NICK}"));
    assert_eq!(left.iter().map(|one| one.attr("type")).collect::<Vec<_>>(), [Some("unavailable")]);
    bench.ready(&request);
    bench.list("tavern");
    assert_eq!(bench.state("tavern"), RoomState::Held);
    assert!(bench.session.lobbies.is_empty());
}

#[test]
fn who_is_sent_away_from_the_lobby_stays_away_for_long() {
    let mut bench = knocking("");
    bench.lobby(
        NICK,
        "type='unavailable'",
        "<item role='none'><actor nick='host'/></item><status code='110'/><status code='307'/>",
    );
    let shown = bench.snapshot("tavern");
    assert_eq!((shown.state, shown.cause.word), (RoomState::Waiting, Word::LobbyDenied));
    assert!(shown.cause.text.contains("host"));
    assert!(matches!(shown.next, room::Next::Retry(at) if at > bench.now + Duration::from_secs(100)));
    bench.quiet();
    bench.invited_by(&format!("tavern@{MUC}"));
    assert!(bench.stanzas().is_empty(), "it is not in the lobby any more");
}

#[test]
fn a_lobby_that_is_closed_opens_the_room() {
    let mut bench = knocking("");
    bench.quiet();
    let inner = format!("<item role='none'/><destroy jid='tavern@{MUC}'/><status code='110'/>");
    bench.lobby(NICK, "type='unavailable'", &inner);
    bench.conference();
    assert!(bench.session.lobbies.is_empty());
}

/// How often the room is asked for within a minute by a keeper who is sent round in a circle.
fn rounds(turn: impl Fn(&mut Bench)) -> usize {
    let mut bench = knocking("");
    let mut rounds = 0;
    for _ in 0..600 {
        turn(&mut bench);
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.acknowledge();
        bench.pass(Duration::from_millis(100));
        let stanzas = bench.stanzas();
        let asked: Vec<&Element> = stanzas.iter().filter(|one| one.attr("to") == Some(FOCUS)).collect();
        assert!(asked.len() <= 1);
        if let [request] = asked[..] {
            rounds += 1;
            bench.ready(request);
            bench.refuse(&format!("<lobbyroom xmlns='http://jitsi.org/jitmeet'>{LOBBY}</lobbyroom>"));
        }
    }
    rounds
}

#[test]
fn a_lobby_that_closes_again_and_again_is_not_knocked_at_without_a_pause() {
    let inner = format!("<item role='none'/><destroy jid='tavern@{MUC}'/><status code='110'/>");
    let rounds = rounds(|bench| bench.lobby(NICK, "type='unavailable'", &inner));
    assert!((4..=12).contains(&rounds), "{rounds}");
}

#[test]
fn invitations_that_open_no_door_are_not_followed_without_a_pause() {
    let rounds = rounds(|bench| bench.invited_by(&format!("tavern@{MUC}")));
    assert!((4..=12).contains(&rounds), "{rounds}");
}

#[test]
fn a_refusal_sends_us_to_no_room_but_our_own_lobby() {
    for lobby in
        ["other@lobby.meet.jitsi", "tavern@muc.meet.jitsi", "lobby.meet.jitsi", "tavern@lobby.meet.jitsi/x", ""]
    {
        let mut bench = Bench::online();
        bench.hold("tavern");
        let request = bench.conference();
        bench.ready(&request);
        bench.refuse(&format!("<lobbyroom xmlns='http://jitsi.org/jitmeet'>{lobby}</lobbyroom>"));
        assert!(bench.stanzas().is_empty(), "{lobby:?}");
        assert_eq!(bench.snapshot("tavern").cause.word, Word::Lobby);
    }
}

#[test]
fn a_room_that_waits_for_a_host_says_that_we_are_none_to_it() {
    let bench = knocking("<waiting-for-host xmlns='http://jitsi.org/jitmeet'/>");
    let shown = bench.snapshot("tavern");
    assert_eq!((shown.state, shown.cause.word), (RoomState::Waiting, Word::WaitingForHost));
    assert!(shown.cause.text.contains("admins"));
}

#[test]
fn a_knock_outlives_a_resumption_and_nothing_else() {
    let mut bench = knocking("");
    bench.acknowledge();
    bench.quiet();
    bench.lose();
    assert_eq!(bench.snapshot("tavern").cause.word, Word::Disconnected);
    bench.resume(bench.counted().try_into().expect("a few"));
    assert_eq!(bench.snapshot("tavern").cause.word, Word::Lobby);
    assert!(bench.stanzas().is_empty(), "the lobby still knows us");
    bench.lose();
    bench.put(Input::Online(bound(true)));
    bench.answer_disco(MUC, "conference", "text");
    bench.conference();
    assert!(bench.session.lobbies.is_empty());
}

#[test]
fn who_no_longer_wants_the_room_leaves_its_lobby() {
    let mut bench = knocking("");
    bench.quiet();
    bench.put(Input::Release(key("tavern")));
    let left = bench.to(&format!("{LOBBY}/{NICK}"));
    assert_eq!((left.len(), left[0].attr("type")), (1, Some("unavailable")));
    assert!(bench.session.is_empty() && bench.session.lobbies.is_empty() && bench.session.timers.is_empty());
}

#[test]
fn a_knock_that_nobody_hears_is_followed_by_the_room_itself() {
    let mut bench = knocking("");
    let answered = |bench: &mut Bench| bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
    let mut asked = false;
    for _ in 0..1000 {
        answered(&mut bench);
        bench.pass(Duration::from_secs(1));
        asked |= bench.stanzas().iter().any(|element| element.attr("to") == Some(FOCUS));
    }
    assert!(asked);
}

// ── random JIDs

#[test]
fn what_our_lost_session_left_in_the_room_is_nobody_and_not_fought_over() {
    let mut bench = Bench::holding("tavern");
    bench.present("tavern", "ab12cd34", "affiliation='none' role='participant' jid='p@guest.meet.jitsi/1'", "");
    assert_eq!(bench.session.people(), [(key("tavern"), 1)]);
    bench.lose();
    bench.put(Input::Online(Bound { jid: "other@meet.jitsi/y".to_owned(), ..bound(true) }));
    bench.answer_disco(MUC, "conference", "text");
    let request = bench.conference();
    bench.ready(&request);
    let join = bench.sent().into_iter().rfind(is_join).expect("a join");
    bench.hear(&format!(
        "<presence xmlns='jabber:client' type='error' from='tavern@{MUC}/{NICK}' id='{}'><error type='cancel'>\
         <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
        join.attr("id").expect("an id")
    ));
    let request = bench.conference();
    bench.ready(&request);
    let second = format!("{NICK}_2");
    bench.present("tavern", NICK, &format!("affiliation='owner' role='moderator' jid='{OWN}'"), "");
    bench.present("tavern", "ab12cd34", "affiliation='none' role='participant' jid='p@guest.meet.jitsi/1'", "");
    bench.present("tavern", "focus", "affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'", "");
    bench.present("tavern", &second, "affiliation='owner' role='moderator'", "<status code='110'/>");
    assert_eq!(bench.state("tavern"), RoomState::Held);
    assert_eq!(bench.session.people(), [(key("tavern"), 1)], "a person, no ghost");
    bench.quiet();
    bench.hear(&format!(
        "<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/{NICK}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/></x></presence>"
    ));
    bench.pass(Duration::from_secs(2));
    assert!(!bench.sent().iter().any(|element| element.name() == "presence"), "the nick is not changed back");
}
