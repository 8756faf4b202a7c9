#![expect(clippy::disallowed_methods)]

use super::*;
use crate::command::RoomState;
use crate::stream::{LastLogin, Management};

const MUC: &str = "muc.meet.jitsi";
const FOCUS: &str = "focus.meet.jitsi";
const OWN: &str = "keeper@meet.jitsi/x";
const NICK: &str = "0keeper";

/// A session, and the little that is needed to lead it somewhere.
struct Bench {
    session: Session,
    now: Instant,
    joins: Bucket,
    out: Outbox,
    /// Stanzas sent on this session.
    counted: usize,
}

fn profile() -> Profile {
    Profile { muc: Some(MUC.into()), focus: Some(FOCUS.into()), ..Profile::plain("meet.jitsi", "uid", 7) }
}

fn key(name: &str) -> RoomKey {
    RoomKey { service: "s".into(), name: name.into() }
}

fn settings(name: &str, focus: bool) -> Settings {
    Settings {
        key: key(name),
        jid: format!("{name}@{MUC}").into(),
        nick: NICK.into(),
        display_name: "Keeper".into(),
        password: None,
        focus,
        moderated: None,
        plans: None,
    }
}

fn bound(management: bool) -> Bound {
    Bound {
        jid: OWN.to_owned(),
        login: LastLogin { mechanism: crate::config::Mechanism::ScramSha1, key_hash: None },
        management: management.then(|| Management { id: Some("sm-1".to_owned()), max: Some(Duration::from_secs(60)) }),
        resumed: None,
        early: Vec::new(),
    }
}

fn xml(text: &str) -> Element {
    text.parse().expect("the test's own text")
}

impl Bench {
    fn with(profile: Profile) -> Self {
        let now = Instant::now();
        Bench {
            session: Session::new(profile, now),
            now,
            joins: Bucket::per_second(1000, now),
            out: Outbox::default(),
            counted: 0,
        }
    }

    /// Online, the group chat service verified, nothing said since.
    fn online() -> Self {
        let mut bench = Bench::with(profile());
        bench.put(Input::Online(bound(true)));
        bench.answer_disco(MUC, "conference", "text");
        bench.acknowledge();
        bench.quiet();
        bench
    }

    /// The same with this room held.
    fn holding(name: &str) -> Self {
        let mut bench = Bench::online();
        bench.hold(name);
        bench.enter(name);
        bench.acknowledge();
        bench.quiet();
        bench
    }

    fn put(&mut self, input: Input) {
        match &input {
            Input::Online(Bound { resumed: Some(handled), .. }) => self.counted = *handled as usize,
            Input::Online(_) => self.counted = 0,
            _ => {}
        }
        let before = self.out.send.len();
        self.session.handle(self.now, input, &mut self.joins, &mut self.out);
        self.counted += self.out.send[before..].iter().filter(|element| stanza::kind(element).is_some()).count();
    }

    fn hear(&mut self, text: &str) {
        self.put(Input::Element(xml(text)));
    }

    fn hold(&mut self, name: &str) {
        self.put(Input::Hold(Arc::new(settings(name, true))));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.put(Input::Timeout);
    }

    fn quiet(&mut self) {
        self.out = Outbox::default();
    }

    /// What went out since the last look.
    fn sent(&mut self) -> Vec<Element> {
        std::mem::take(&mut self.out.send)
    }

    /// The stanzas of it: neither `<r/>` nor `<a/>`.
    fn stanzas(&mut self) -> Vec<Element> {
        self.sent().into_iter().filter(|element| stanza::kind(element).is_some()).collect()
    }

    fn acknowledge(&mut self) {
        let count = self.counted();
        self.hear(&format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>"));
    }

    /// How many stanzas the server must have counted.
    fn counted(&self) -> usize {
        self.counted
    }

    fn answer_disco(&mut self, from: &str, category: &str, kind: &str) {
        let asked = self.asked(from, "query");
        let id = asked.attr("id").expect("an id").to_owned();
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{from}' id='{id}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'><identity category='{category}' type='{kind}'/></query></iq>"
        ));
    }

    /// The IQ to `to` with that payload among what went out and was not looked at.
    fn asked(&mut self, to: &str, payload: &str) -> Element {
        let found = self.out.send.iter().position(|element| {
            element.name() == "iq"
                && element.attr("to") == Some(to)
                && element.children().next().is_some_and(|child| child.name() == payload)
        });
        let at = found.unwrap_or_else(|| panic!("no {payload} to {to} in {:?}", self.out.send));
        self.out.send.remove(at)
    }

    fn conference(&mut self) -> Element {
        self.asked(FOCUS, "conference")
    }

    fn ready(&mut self, request: &Element) {
        let room = request.children().next().and_then(|child| child.attr("room")).expect("a room").to_owned();
        let id = request.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{FOCUS}' id='{id}'>\
             <conference xmlns='http://jitsi.org/protocol/focus' room='{room}' ready='true' \
             focusjid='focus@auth.meet.jitsi' session-id='sid'><property name='authentication' value='true'/></conference></iq>"
        ));
    }

    fn focus_says(&mut self, request: &Element, condition: &str) {
        let id = request.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='error' from='{FOCUS}' id='{id}'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ));
    }

    fn present(&mut self, name: &str, nick: &str, item: &str, statuses: &str) {
        self.hear(&format!(
            "<presence xmlns='jabber:client' from='{name}@{MUC}/{nick}'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item {item}/>{statuses}</x></presence>"
        ));
    }

    fn list(&mut self, name: &str) {
        self.present(name, "focus", "affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'", "");
        self.present(name, NICK, "affiliation='owner' role='moderator'", "<status code='110'/>");
    }

    fn enter(&mut self, name: &str) {
        let request = self.conference();
        self.ready(&request);
        self.list(name);
        assert_eq!(self.state(name), RoomState::Held);
    }

    fn state(&self, name: &str) -> RoomState {
        self.snapshot(name).state
    }

    fn snapshot(&self, name: &str) -> Snapshot {
        let room = self.session.room(&key(name)).expect("the room is held");
        room.snapshot(self.now, &self.session.profile.rules, &self.session.focus_facts())
    }

    fn lose(&mut self) {
        self.put(Input::Offline(Cause::new(Word::Disconnected, "reset")));
    }

    fn resume(&mut self, handled: u32) {
        let bound = Bound { jid: String::new(), management: None, resumed: Some(handled), ..bound(false) };
        self.put(Input::Online(bound));
    }
}

fn is_join(element: &Element) -> bool {
    element.name() == "presence" && element.has_child("x", ns::MUC)
}

// ── the link

#[test]
fn after_twenty_seconds_of_silence_the_server_is_pinged_and_after_ten_more_the_link_is_dead() {
    let mut bench = Bench::online();
    bench.pass(Duration::from_millis(19_900));
    assert!(bench.stanzas().is_empty());
    bench.pass(Duration::from_millis(200));
    let ping = bench.asked("meet.jitsi", "ping");
    assert!(bench.session.deadline().is_some_and(|at| at <= bench.now + PATIENCE));
    bench.pass(Duration::from_millis(9_800));
    assert_eq!(bench.out.disconnect, None);
    // Any byte of the server's is a sign of life; the pong need not be the first.
    bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
    bench.pass(Duration::from_millis(300));
    assert_eq!(bench.out.disconnect, None);
    bench.hear(&format!("<iq xmlns='jabber:client' type='result' id='{}'/>", ping.attr("id").expect("an id")));
    bench.quiet();
    bench.pass(Duration::from_secs(21));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.out.disconnect.as_ref().map(|cause| cause.word), Some(Word::Disconnected));
}

#[test]
fn a_link_that_only_we_keep_busy_is_found_dead_too() {
    let mut bench = Bench::online();
    let begin = bench.now;
    while bench.out.disconnect.is_none() {
        assert!(bench.now - begin < Duration::from_secs(35), "35 s without a byte from the server");
        bench.pass(Duration::from_secs(1));
        bench.put(Input::Hold(Arc::new(settings("tavern", true))));
    }
    assert!(bench.now - begin >= Duration::from_secs(29));
}

#[test]
fn a_busy_server_to_which_we_say_nothing_still_sees_a_ping_every_twenty_seconds() {
    let mut bench = Bench::online();
    let mut pings = 0;
    for _ in 0..100 {
        bench.pass(Duration::from_secs(1));
        bench.hear("<message xmlns='jabber:client' from='a@b'/>");
        pings += bench.stanzas().iter().filter(|element| element.has_child("ping", ns::PING)).count();
    }
    assert!((4..=5).contains(&pings), "{pings}");
}

#[test]
fn a_request_for_acknowledgement_is_answered_at_once_with_everything_that_came() {
    let mut bench = Bench::online();
    bench.hear("<message xmlns='jabber:client' from='a@b'><body>hi</body></message>");
    bench.hear("<unknown xmlns='x:y'/>");
    let bad = Bad {
        why: crate::xml::Why::TooDeep,
        head: crate::xml::Head { name: "message".into(), ..Default::default() },
        rest: None,
    };
    bench.put(Input::Bad(Box::new(bad)));
    bench.quiet();
    bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
    let sent = bench.sent();
    // The answer to disco#info, the message, the bad message.
    assert_eq!((sent.len(), sent[0].name(), sent[0].attr("h")), (1, "a", Some("3")));
}

#[test]
fn what_we_send_is_followed_by_a_request_within_a_second() {
    let mut bench = Bench::online();
    bench.hold("tavern");
    assert_eq!(bench.stanzas().len(), 1);
    assert!(bench.session.deadline().is_some_and(|at| at <= bench.now + Duration::from_secs(1)));
    bench.pass(Duration::from_secs(1));
    assert!(bench.sent().iter().any(|element| element.is("r", ns::SM)));
}

#[test]
fn an_impossible_count_ends_the_stream_for_good_and_an_unreadable_one_does_not() {
    let mut bench = Bench::holding("tavern");
    bench.hear("<a xmlns='urn:xmpp:sm:3' h='bogus'/>");
    bench.hear("<a xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(bench.out.disconnect, None);
    bench.hear("<a xmlns='urn:xmpp:sm:3' h='999'/>");
    let cause = bench.out.disconnect.take().expect("a disconnect");
    assert_eq!(cause.word, Word::ProtocolError);
    bench.put(Input::Offline(cause));
    assert_eq!(bench.session.resumable(bench.now), None);
}

#[test]
fn what_the_server_ends_on_purpose_is_not_resumed() {
    for (condition, word) in [
        ("conflict", Word::Conflict),
        ("policy-violation", Word::PolicyViolation),
        ("system-shutdown", Word::SystemShutdown),
    ] {
        let mut bench = Bench::holding("tavern");
        bench.hear(&format!(
            "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"
        ));
        let cause = bench.out.disconnect.take().expect("a disconnect");
        assert_eq!(cause.word, word);
        bench.put(Input::Offline(cause));
        assert_eq!(bench.session.resumable(bench.now), None);
        assert_eq!((bench.state("tavern"), bench.snapshot("tavern").cause.word), (RoomState::Waiting, word));
    }
}

// ── resumption

#[test]
fn a_resumed_session_keeps_its_rooms_and_sends_again_what_was_not_acknowledged() {
    let mut bench = Bench::holding("tavern");
    bench.hold("cellar");
    let request = bench.conference();
    let handled = u32::try_from(bench.counted()).expect("few") - 1;
    bench.lose();
    bench.quiet();
    assert!(bench.session.resumable(bench.now).is_some());
    assert_eq!((bench.state("tavern"), bench.state("cellar")), (RoomState::Joined, RoomState::Waiting));
    bench.now += Duration::from_secs(5);
    bench.resume(handled);
    assert_eq!(bench.session.jid(), Some(OWN));
    let sent = bench.stanzas();
    assert_eq!(sent[0], request, "the lost stanza comes first");
    assert_eq!(bench.state("tavern"), RoomState::Held);
    // The question is asked anew; an answer to the first counts no more.
    bench.ready(&request);
    let again = sent.iter().find(|element| element.has_child("conference", ns::JITSI_FOCUS) && **element != request);
    bench.ready(again.expect("asked anew"));
    assert!(bench.stanzas().iter().any(is_join));
    bench.list("cellar");
    assert_eq!(bench.state("cellar"), RoomState::Held);
    // What was sent again is not counted twice.
    bench.acknowledge();
    assert_eq!(bench.out.disconnect, None);
    assert_eq!(bench.session.in_flight, 0);
}

#[test]
fn silence_while_the_stream_is_lost_says_nothing_about_the_focus() {
    let mut bench = Bench::holding("tavern");
    bench.hold("cellar");
    bench.lose();
    bench.quiet();
    for _ in 0..50 {
        bench.pass(Duration::from_secs(1));
    }
    assert!(
        !bench.out.reports.iter().any(|report| matches!(report, Report::FocusAbsent(_))),
        "{:?}",
        bench.out.reports
    );
    bench.resume(u32::try_from(0).expect("zero"));
    let request = bench.out.send.iter().rev().find(|element| element.has_child("conference", ns::JITSI_FOCUS)).cloned();
    bench.quiet();
    bench.ready(&request.expect("asked anew"));
    bench.list("cellar");
    assert_eq!(bench.state("cellar"), RoomState::Held);
}

#[test]
fn a_session_that_could_not_be_resumed_joins_everything_again() {
    let mut bench = Bench::holding("tavern");
    bench.lose();
    bench.quiet();
    bench.put(Input::Online(bound(true)));
    assert_eq!(bench.state("tavern"), RoomState::Joining);
    assert!(bench.sent().iter().filter(|e| e.name() == "presence").count() == 0);
}

#[test]
fn a_session_that_was_lost_for_longer_than_the_server_keeps_it_is_given_up() {
    let mut bench = Bench::holding("tavern");
    bench.lose();
    bench.pass(Duration::from_secs(61));
    assert_eq!(bench.session.resumable(bench.now), None);
    assert_eq!(bench.state("tavern"), RoomState::Waiting);
    bench.quiet();
    // The server resumes it all the same: an attempt that was on its way.
    bench.resume(3);
    assert!(bench.out.disconnect.is_some() && bench.session.jid().is_none());
}

#[test]
fn what_another_stream_ended_by_does_not_forget_the_lost_one() {
    let mut bench = Bench::holding("tavern");
    bench.lose();
    bench.put(Input::Offline(Cause::new(Word::PolicyViolation, "another session logged in too often")));
    assert!(bench.session.resumable(bench.now).is_some());
    bench.resume(3);
    assert_eq!(bench.state("tavern"), RoomState::Held);
}

#[test]
fn a_room_released_while_the_stream_is_lost_is_left_on_resumption_and_only_then() {
    let mut bench = Bench::holding("tavern");
    bench.lose();
    bench.quiet();
    bench.put(Input::Release(key("tavern")));
    assert!(bench.sent().is_empty());
    assert!(bench.out.reports.contains(&Report::Released(key("tavern"))));
    let handled = u32::try_from(bench.counted()).expect("few");
    bench.resume(handled);
    let sent = bench.stanzas();
    assert_eq!(
        (sent.len(), sent[0].attr("type"), sent[0].attr("to")),
        (1, Some("unavailable"), Some("tavern@muc.meet.jitsi/0keeper"))
    );
    // A new login has nothing to leave.
    let mut bench = Bench::holding("tavern");
    bench.lose();
    bench.put(Input::Release(key("tavern")));
    bench.quiet();
    bench.put(Input::Online(bound(true)));
    assert!(bench.sent().iter().all(|element| element.name() != "presence"));
}

#[test]
fn a_stream_that_begins_before_the_last_one_ended_starts_anew() {
    let mut bench = searching();
    bench.sent();
    bench.put(Input::Online(bound(true)));
    bench.answer_disco(MUC, "conference", "text");
    for _ in 0..25 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    assert!(bench.out.reports.contains(&Report::MucFound(MUC.to_owned())));
    assert!(!bench.out.reports.iter().any(|report| matches!(report, Report::MucNotFound(_))));
    bench.hold("tavern");
    bench.conference();
    bench.put(Input::Online(bound(true)));
    bench.enter("tavern");
    assert_eq!(bench.session.in_flight(), 0);
}

// ── questions and answers

#[test]
fn an_answer_counts_only_from_the_one_who_was_asked_and_only_once() {
    let mut bench = Bench::online();
    bench.hold("tavern");
    let request = bench.conference();
    let id = request.attr("id").expect("an id").to_owned();
    for from in ["mallory@meet.jitsi/x", "tavern@muc.meet.jitsi/focus", "meet.jitsi"] {
        bench.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{from}' id='{id}'>\
             <conference xmlns='http://jitsi.org/protocol/focus' room='tavern@{MUC}' ready='true'/></iq>"
        ));
        assert!(bench.sent().is_empty(), "{from}");
    }
    bench.ready(&request);
    bench.ready(&request);
    assert_eq!(bench.stanzas().iter().filter(|element| is_join(element)).count(), 1);
}

#[test]
fn questions_of_others_are_answered_exactly_once_and_nothing_else_is() {
    let mut bench = Bench::holding("tavern");
    let from = "tavern@muc.meet.jitsi/focus";
    for payload in [
        "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<whatever xmlns='x:y'/>",
        "",
    ] {
        bench.hear(&format!("<iq xmlns='jabber:client' type='get' from='{from}' to='{OWN}' id='q1'>{payload}</iq>"));
        let sent = bench.stanzas();
        assert_eq!((sent.len(), sent[0].attr("id"), sent[0].attr("to")), (1, Some("q1"), Some(from)), "{payload}");
    }
    for text in [
        "<message xmlns='jabber:client' from='a@b/c' type='groupchat'><body>hi</body></message>",
        "<message xmlns='jabber:client' from='a@b/c' type='error'/>",
        "<message xmlns='jabber:client' from='a@b/c' type='bogus'/>",
        "<presence xmlns='jabber:client' from='a@b/c'/>",
        "<presence xmlns='jabber:client' from='a@b/c' type='subscribe'/>",
        "<presence xmlns='jabber:client' from='tavern@muc.meet.jitsi/n' type='probe'/>",
        "<presence xmlns='jabber:client' from='a@b/c' type='error'/>",
        "<presence xmlns='jabber:client'/>",
        "<iq xmlns='jabber:client' from='a@b/c' type='result' id='1'/>",
        "<iq xmlns='jabber:client' from='a@b/c' type='error' id='1'/>",
        "<iq xmlns='jabber:client' from='a@b/c' id='1'/>",
        "<iq xmlns='other' from='a@b/c' type='get' id='1'/>",
    ] {
        bench.hear(text);
        assert!(bench.stanzas().is_empty(), "{text}");
    }
}

#[test]
fn a_browser_that_offers_a_direct_connection_is_declined_at_once_on_whichever_side_of_us_it_sorts() {
    let mut bench = Bench::holding("tavern");
    for nick in ["00000000", "ffffffff"] {
        let from = format!("tavern@{MUC}/{nick}");
        bench.hear(&format!(
            "<iq xmlns='jabber:client' type='set' from='{from}' to='{OWN}' id='offer'>\
             <jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='p2p'/></iq>"
        ));
        let sent = bench.stanzas();
        let [result, decline] = &sent[..] else { panic!("{nick}: {sent:?}") };
        assert_eq!((result.attr("type"), result.attr("id")), (Some("result"), Some("offer")), "{nick}");
        assert_eq!(decline.attr("to"), Some(&*from));
        let jingle = decline.get_child("jingle", ns::JINGLE).expect("a Jingle action");
        assert_eq!((jingle.attr("action"), jingle.attr("sid")), (Some("session-terminate"), Some("p2p")));
        assert!(jingle.children().any(|reason| reason.children().any(|why| why.name() == "decline")), "{jingle:?}");
        bench.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{from}' id='{}'/>",
            decline.attr("id").unwrap()
        ));
    }
}

#[test]
fn a_stranger_who_asks_without_end_is_not_answered_without_end_and_the_focus_is() {
    let mut bench = Bench::holding("tavern");
    let question = |who: &str| {
        format!(
            "<iq xmlns='jabber:client' type='get' from='tavern@{MUC}/{who}' id='{}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            "1".repeat(2_000)
        )
    };
    for _ in 0..1_000 {
        bench.hear(&question("mallory"));
    }
    let answers = bench.stanzas().len();
    assert!((20..60).contains(&answers), "{answers}");
    let said = bench.out.reports.iter().filter(|report| matches!(report, Report::Odd(_))).count();
    assert_eq!(said, 1);
    for trusted in ["focus", NICK] {
        bench.hear(&question(trusted));
        assert_eq!(bench.stanzas().len(), 1);
    }
    bench.pass(Duration::from_secs(5));
    bench.quiet();
    bench.hear(&question("alice"));
    assert_eq!(bench.stanzas().len(), 1);
}

fn bad(head: &str, rest: Option<&str>) -> Input {
    let Err(bad) = crate::xml::parse(head.as_bytes(), &crate::xml::Limits::default()) else { panic!("it is good") };
    Input::Bad(Box::new(Bad { rest: rest.map(xml), ..*bad }))
}

#[test]
fn a_question_that_can_not_be_read_is_answered_once_and_an_answer_is_not() {
    let mut bench = Bench::online();
    bench.put(bad("<iq type='set' from='r@c/m' id='q1'><a></iq>", None));
    let sent = bench.stanzas();
    assert_eq!((sent.len(), sent[0].attr("type"), sent[0].attr("id")), (1, Some("error"), Some("q1")));
    bench.put(bad("<iq type='result' from='r@c/m' id='q1'><a></iq>", None));
    bench.put(bad("<iq from='r@c/m' id='q1'><a></iq>", None));
    bench.put(bad("<message from='r@c/m' id='q1'><a></message>", None));
    bench.put(bad("<presence from='r@c/m' id='q1'><a></presence>", None));
    bench.put(bad(&format!("<iq type='get' from='r@c/m' id='{}'><a></iq>", "x".repeat(100_000)), None));
    assert!(bench.stanzas().is_empty());
    assert_eq!(bench.out.reports.iter().filter(|report| matches!(report, Report::Bad { .. })).count(), 6);
}

#[test]
fn an_occupant_whose_presence_can_not_be_read_stays_listed_and_leaves_when_they_leave() {
    let mut bench = Bench::holding("tavern");
    let from = format!("tavern@{MUC}/mallory");
    bench.present("tavern", "mallory", "affiliation='none' role='participant' jid='m@guest/1'", "");
    bench.put(bad(&format!("<presence from='{from}'><a></presence>"), None));
    bench.put(bad(&format!("<presence from='tavern@{MUC}/eve'><a></presence>"), None));
    let people = |bench: &Bench| {
        let room = bench.session.room(&key("tavern")).expect("held");
        let mut nicks: Vec<String> = room.inside().expect("inside").1.iter().map(|(nick, _)| nick.to_owned()).collect();
        nicks.sort();
        nicks
    };
    assert_eq!(people(&bench), [NICK, "eve", "focus", "mallory"]);
    let room = bench.session.room(&key("tavern")).expect("held");
    let mallory = room.inside().expect("inside").1.by_nick("mallory").expect("listed");
    assert_eq!(mallory.real_jid.as_deref(), Some("m@guest/1"));
    bench.put(bad(&format!("<presence type='unavailable' from='{from}'><a></presence>"), None));
    assert_eq!(people(&bench), [NICK, "eve", "focus"]);
    assert!(bench.stanzas().is_empty());
}

// ── the focus

#[test]
fn the_first_request_goes_alone_and_the_others_carry_its_session() {
    let mut bench = Bench::online();
    for name in ["a", "b", "c"] {
        bench.hold(name);
    }
    let first = bench.conference();
    let conference =
        |request: &Element| request.get_child("conference", ns::JITSI_FOCUS).expect("a conference").clone();
    assert_eq!(conference(&first).attr("session-id"), None);
    assert_eq!(conference(&first).attr("machine-uid"), Some("uid"));
    assert!(bench.stanzas().is_empty());
    bench.ready(&first);
    for _ in 0..2 {
        let next = bench.conference();
        assert_eq!(conference(&next).attr("session-id"), Some("sid"));
    }
}

#[test]
fn a_first_request_that_is_never_answered_does_not_hold_up_the_others_for_ever() {
    let mut bench = Bench::online();
    bench.hold("a");
    bench.hold("b");
    bench.conference();
    bench.pass(CONFERENCE_TIMEOUT);
    let absent = bench.out.reports.iter().any(|report| matches!(report, Report::FocusAbsent(_)));
    assert!(absent, "{:?}", bench.out.reports);
    assert_eq!(bench.session.in_flight, 0);
    bench.sent();
    bench.put(Input::Focus(Gate::Probe));
    let probe = bench.conference();
    bench.ready(&probe);
    assert!(bench.out.reports.contains(&Report::FocusPresent));
    assert!(bench.out.send.iter().all(|element| !element.has_child("conference", ns::JITSI_FOCUS)));
    bench.put(Input::Focus(Gate::Open));
    bench.conference();
}

#[test]
fn while_the_focus_is_absent_nobody_asks_and_a_probe_is_one_question() {
    let mut bench = Bench::online();
    for name in ["a", "b", "c"] {
        bench.hold(name);
    }
    let first = bench.conference();
    bench.focus_says(&first, "service-unavailable");
    assert!(bench.out.reports.iter().any(|report| matches!(report, Report::FocusAbsent(_))));
    assert!(bench.stanzas().is_empty());
    for name in ["a", "b", "c"] {
        assert_eq!(bench.snapshot(name).next, room::Next::Turn);
    }
    bench.put(Input::Focus(Gate::Probe));
    let probe = bench.conference();
    bench.focus_says(&probe, "service-unavailable");
    assert!(bench.stanzas().is_empty());
    bench.put(Input::Focus(Gate::Open));
    let first = bench.conference();
    bench.ready(&first);
    bench.conference();
    bench.conference();
}

#[test]
fn a_session_with_nothing_to_ask_says_so_when_told_to_probe() {
    let mut bench = Bench::holding("tavern");
    bench.put(Input::Focus(Gate::Closed));
    bench.put(Input::Focus(Gate::Probe));
    assert!(bench.out.reports.contains(&Report::NothingToAsk));
}

#[test]
fn a_focus_that_comes_back_by_itself_is_noticed_without_a_probe() {
    let mut bench = Bench::holding("tavern");
    bench.put(Input::Focus(Gate::Closed));
    bench.hear(&format!("<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/focus'/>"));
    assert_eq!(bench.snapshot("tavern").cause.word, Word::FocusAbsent);
    bench.quiet();
    bench.present("tavern", "focus", "affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'", "");
    assert!(bench.out.reports.contains(&Report::FocusPresent));
    assert_eq!(bench.state("tavern"), RoomState::Held);
}

#[test]
fn a_focus_that_comes_and_goes_while_nobody_may_ask_fills_no_queue() {
    let mut bench = Bench::holding("tavern");
    bench.put(Input::Focus(Gate::Closed));
    for _ in 0..1000 {
        bench.hear(&format!("<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/focus'/>"));
        bench.present("tavern", "focus", "affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'", "");
    }
    assert!(bench.session.queue.len() <= 1, "{}", bench.session.queue.len());
}

// ── pace

#[test]
fn the_window_opens_with_quick_answers() {
    let mut bench = Bench::online();
    for n in 0..200 {
        bench.hold(&format!("r{n}"));
    }
    let first = bench.conference();
    bench.ready(&first);
    let mut rounds = Vec::new();
    loop {
        let requests: Vec<Element> =
            bench.sent().into_iter().filter(|e| e.has_child("conference", ns::JITSI_FOCUS)).collect();
        if requests.is_empty() {
            break;
        }
        rounds.push(requests.len());
        for request in requests {
            let jid = request.children().next().and_then(|c| c.attr("room")).expect("a room").to_owned();
            bench.ready(&request);
            bench.list(jid::local(&jid).expect("a local part"));
        }
    }
    assert!(rounds[0] <= 8 && rounds.iter().max() > Some(&30), "{rounds:?}");
    assert!(rounds.len() < 12, "{rounds:?}");
}

#[test]
fn a_service_that_complains_gets_fewer_joins_at_once() {
    let mut bench = Bench::with(Profile { focus: None, ..profile() });
    bench.put(Input::Online(bound(false)));
    for n in 0..20 {
        bench.put(Input::Hold(Arc::new(settings(&format!("r{n}"), false))));
    }
    let joins: Vec<Element> = bench.stanzas().into_iter().filter(is_join).collect();
    assert_eq!((joins.len(), bench.session.in_flight), (8, 8));
    for join in &joins {
        let (to, id) = (join.attr("to").expect("to"), join.attr("id").expect("id"));
        bench.hear(&format!(
            "<presence xmlns='jabber:client' type='error' from='{to}' id='{id}'><error type='wait'>\
             <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        ));
    }
    let more = bench.stanzas().into_iter().filter(is_join).count();
    assert!(more <= 8, "{more}");
    assert!(bench.session.in_flight <= 8);
}

#[test]
fn the_cap_on_joins_of_the_whole_service_is_waited_for_by_the_clock() {
    let mut bench = Bench::with(Profile { focus: None, ..profile() });
    bench.joins = Bucket::per_second(10, bench.now);
    bench.put(Input::Online(bound(false)));
    for n in 0..3 {
        bench.put(Input::Hold(Arc::new(settings(&format!("r{n}"), false))));
    }
    assert_eq!(bench.stanzas().into_iter().filter(is_join).count(), 1);
    for _ in 0..2 {
        let at = bench.session.deadline().expect("a time");
        assert!(at - bench.now <= Duration::from_millis(101));
        bench.now = at;
        bench.put(Input::Timeout);
        assert_eq!(bench.stanzas().into_iter().filter(is_join).count(), 1);
    }
}

#[test]
fn joins_wait_while_too_much_is_unacknowledged() {
    let mut bench = Bench::online();
    for n in 0..=crate::stream::Acks::FULL_STANZAS {
        bench.hear(&format!(
            "<iq xmlns='jabber:client' type='get' from='a@b/c' id='{n}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
    }
    bench.quiet();
    bench.hold("tavern");
    assert!(bench.stanzas().is_empty());
    bench.acknowledge();
    bench.conference();
}

#[test]
fn a_question_for_a_rooms_lists_is_counted_as_sent() {
    let mut bench = Bench::holding("tavern");
    let before = bench.session.acks.unacknowledged();
    bench.session.ask_list(bench.now, &key("tavern"), &Affiliation::Owner, &mut bench.out);
    assert_eq!(bench.stanzas().len(), 1);
    assert_eq!(bench.session.acks.unacknowledged(), before + 1);
}

#[test]
fn joins_do_not_wait_for_ever_for_a_server_that_acknowledges_nothing() {
    let mut bench = Bench::holding("tavern");
    while !bench.session.acks.full() {
        bench.hear("<iq xmlns='jabber:client' type='get' from='meet.jitsi' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
    }
    bench.quiet();
    bench.hold("cellar");
    assert!(bench.stanzas().is_empty());
    for _ in 0..310 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    bench.conference();
}

#[test]
fn the_refusal_of_an_older_join_is_not_taken_for_that_of_the_last() {
    let mut bench = Bench::online();
    bench.hold("tavern");
    let request = bench.conference();
    bench.ready(&request);
    let old = bench.stanzas().remove(0);
    bench.pass(Duration::from_secs(15));
    bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
    bench.pass(Duration::from_secs(15));
    bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
    bench.quiet();
    bench.pass(Duration::from_secs(2));
    let request = bench.conference();
    bench.ready(&request);
    let new = bench.stanzas().remove(0);
    assert_ne!(old.attr("id"), new.attr("id"));
    let refusal = |join: &Element| {
        let (to, id) = (join.attr("to").expect("to"), join.attr("id").expect("id"));
        format!(
            "<presence xmlns='jabber:client' type='error' from='{to}' id='{id}'><error type='auth'>\
             <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        )
    };
    bench.hear(&refusal(&old));
    assert_eq!(bench.state("tavern"), RoomState::Joining);
    bench.hear(&refusal(&new));
    assert_eq!(bench.snapshot("tavern").cause.word, Word::Banned);
}

// ── finding the group chat service

fn searching() -> Bench {
    let mut bench = Bench::with(Profile { muc: None, ..profile() });
    bench.put(Input::Online(bound(true)));
    bench
}

#[test]
fn the_group_chat_service_is_found_by_its_usual_names() {
    let mut bench = searching();
    bench.hold("tavern");
    assert!(bench.out.send.iter().all(|element| !element.has_child("conference", ns::JITSI_FOCUS)));
    bench.answer_disco(MUC, "conference", "text");
    assert!(bench.out.reports.contains(&Report::MucFound(MUC.to_owned())));
    bench.conference();
}

#[test]
fn the_group_chat_service_is_found_among_the_servers_items() {
    let mut bench = searching();
    let items = bench
        .out
        .send
        .iter()
        .find(|element| element.has_child("query", ns::DISCO_ITEMS))
        .and_then(|element| element.attr("id"))
        .expect("items are asked for")
        .to_owned();
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='result' from='meet.jitsi' id='{items}'>\
         <query xmlns='http://jabber.org/protocol/disco#items'><item jid='upload.meet.jitsi'/>\
         <item jid='rooms.meet.jitsi'/><item jid='{MUC}'/></query></iq>"
    ));
    bench.answer_disco("upload.meet.jitsi", "store", "file");
    bench.answer_disco("rooms.meet.jitsi", "conference", "text");
    assert!(bench.out.reports.contains(&Report::MucFound("rooms.meet.jitsi".to_owned())));
}

#[test]
fn no_group_chat_service_is_said_once_when_all_have_answered_or_kept_silent() {
    let mut bench = searching();
    bench.answer_disco(MUC, "pubsub", "service");
    for _ in 0..25 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    let missing = bench.out.reports.iter().filter(|report| matches!(report, Report::MucNotFound(_))).count();
    assert_eq!(missing, 1);
}

#[test]
fn a_wrong_group_chat_domain_is_named_together_with_the_right_one() {
    let mut bench = Bench::with(Profile { muc: Some("conference.meet.jitsi".into()), ..profile() });
    bench.put(Input::Online(bound(true)));
    let at_wrong_domain = Settings { jid: "tavern@conference.meet.jitsi".into(), ..settings("tavern", true) };
    bench.put(Input::Hold(Arc::new(at_wrong_domain)));
    let asked = bench.asked("conference.meet.jitsi", "query");
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='error' from='conference.meet.jitsi' id='{}'><error type='cancel'>\
         <remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        asked.attr("id").expect("an id")
    ));
    bench.answer_disco(MUC, "conference", "text");
    for _ in 0..25 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    let shown = bench.snapshot("tavern");
    assert_eq!((shown.state, shown.cause.word), (RoomState::Blocked, Word::WrongMucDomain));
    assert!(shown.cause.text.contains("conference.meet.jitsi does not look like"), "{}", shown.cause.text);
    assert!(shown.cause.text.contains("muc.meet.jitsi is one"), "{}", shown.cause.text);
}

#[test]
fn a_room_on_another_domain_than_the_services_is_blocked_where_the_focus_is_silent_for_it_alone() {
    let mut bench = Bench::online();
    for (name, jid) in [("elsewhere", "elsewhere@rooms.meet.jitsi"), ("tenant", "tenant@muc.acme.meet.jitsi")] {
        bench.put(Input::Hold(Arc::new(Settings { jid: jid.into(), ..settings(name, true) })));
        if name == "elsewhere" {
            // The first request goes alone; another room has the focus answer meanwhile.
            let request = bench.conference();
            let id = request.attr("id").expect("an id").to_owned();
            bench.hear(&format!(
                "<iq xmlns='jabber:client' type='result' from='{FOCUS}' id='{id}'>\
                 <conference xmlns='http://jitsi.org/protocol/focus' ready='false' session-id='sid'>\
                 <property name='authentication' value='true'/></conference></iq>"
            ));
            bench.pass(Duration::from_secs(2));
        }
    }
    bench.hold("tavern");
    let requests: Vec<Element> = (0..3).map(|_| bench.conference()).collect();
    let of = |room: &str| {
        let wanted = |one: &&Element| one.children().next().and_then(|c| c.attr("room")) == Some(room);
        requests.iter().find(wanted).expect("a request").clone()
    };
    bench.pass(Duration::from_secs(1));
    bench.ready(&of("tavern@muc.meet.jitsi"));
    bench.list("tavern");
    for _ in 0..19 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    let shown = bench.snapshot("elsewhere");
    assert_eq!((shown.state, shown.cause.word), (RoomState::Blocked, Word::WrongMucDomain));
    assert!(shown.cause.text.contains("muc.meet.jitsi is"), "{}", shown.cause.text);
    assert_eq!(bench.snapshot("tenant").cause.word, Word::FocusSilent, "a tenant's domain is the server's to know");
}

#[test]
fn a_room_with_a_domain_of_its_own_does_not_wait_for_a_service_that_is_not_there() {
    let mut bench = searching();
    bench.hold("tavern");
    bench.answer_disco(MUC, "pubsub", "service");
    for _ in 0..25 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
    }
    bench.conference();
}

#[test]
fn a_search_that_was_on_its_way_when_the_stream_was_lost_goes_on_when_it_is_resumed() {
    let mut bench = searching();
    bench.lose();
    bench.quiet();
    for _ in 0..30 {
        bench.pass(Duration::from_secs(1));
    }
    assert!(!bench.out.reports.iter().any(|report| matches!(report, Report::MucNotFound(_))));
    bench.resume(3);
    bench.answer_disco("conference.meet.jitsi", "conference", "text");
    assert!(bench.out.reports.contains(&Report::MucFound("conference.meet.jitsi".to_owned())));
}

#[test]
fn a_configured_domain_that_is_no_group_chat_service_explains_the_silence_of_the_focus() {
    let mut bench = Bench::with(profile());
    bench.put(Input::Online(bound(true)));
    bench.answer_disco(MUC, "pubsub", "service");
    assert!(bench.out.reports.iter().any(|report| matches!(report, Report::Odd(text) if text.contains(MUC))));
    bench.hold("tavern");
    bench.conference();
    bench.pass(CONFERENCE_TIMEOUT);
    assert_eq!(
        (bench.state("tavern"), bench.snapshot("tavern").cause.word),
        (RoomState::Blocked, Word::WrongMucDomain)
    );
}

// ── plain rooms, settings, the end

#[test]
fn a_new_plain_room_is_configured_by_its_form() {
    let mut bench = Bench::with(Profile { focus: None, ..profile() });
    bench.put(Input::Online(bound(false)));
    bench.put(Input::Hold(Arc::new(settings("tavern", false))));
    assert_eq!(bench.stanzas().into_iter().filter(is_join).count(), 1);
    bench.present("tavern", NICK, "affiliation='owner' role='moderator'", "<status code='110'/><status code='201'/>");
    let form = bench.asked("tavern@muc.meet.jitsi", "query");
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='result' from='tavern@{MUC}' id='{}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'>\
         <field var='muc#roomconfig_whois'><value>anyone</value></field></x></query></iq>",
        form.attr("id").expect("an id")
    ));
    let submit = bench.asked("tavern@muc.meet.jitsi", "query");
    assert_eq!(submit.attr("type"), Some("set"));
    assert_eq!(bench.state("tavern"), RoomState::Joined);
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='result' from='tavern@{MUC}' id='{}'/>",
        submit.attr("id").expect("an id")
    ));
    assert_eq!(bench.state("tavern"), RoomState::Held);
}

#[test]
fn a_form_that_comes_after_the_room_was_released_is_not_submitted() {
    let mut bench = Bench::with(Profile { focus: None, ..profile() });
    bench.put(Input::Online(bound(false)));
    bench.put(Input::Hold(Arc::new(settings("tavern", false))));
    bench.present("tavern", NICK, "affiliation='owner' role='moderator'", "<status code='110'/><status code='201'/>");
    let form = bench.asked("tavern@muc.meet.jitsi", "query");
    bench.put(Input::Release(key("tavern")));
    bench.quiet();
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='result' from='tavern@{MUC}' id='{}'/>",
        form.attr("id").expect("an id")
    ));
    assert!(bench.stanzas().is_empty());
}

#[test]
fn a_form_that_nobody_answers_is_given_up_and_the_room_kept() {
    let mut bench = Bench::with(Profile { focus: None, ..profile() });
    bench.put(Input::Online(bound(false)));
    bench.put(Input::Hold(Arc::new(settings("tavern", false))));
    bench.present("tavern", NICK, "affiliation='owner' role='moderator'", "<status code='110'/><status code='201'/>");
    bench.pass(IQ_TIMEOUT);
    assert_eq!((bench.state("tavern"), bench.snapshot("tavern").cause.word), (RoomState::Joined, Word::Configuring));
    assert!(bench.session.room(&key("tavern")).is_some_and(|room| room.inside().is_some()));
}

#[test]
fn a_self_ping_goes_to_our_own_nick_and_its_silence_is_no_end() {
    let mut bench = Bench::holding("tavern");
    let mut pinged = false;
    for _ in 0..400 {
        bench.hear("<r xmlns='urn:xmpp:sm:3'/>");
        bench.pass(Duration::from_secs(1));
        pinged |= bench.sent().iter().any(|element| element.attr("to") == Some("tavern@muc.meet.jitsi/0keeper"));
    }
    assert!(pinged);
    assert_eq!(bench.state("tavern"), RoomState::Held);
}

#[test]
fn closing_leaves_every_room_and_then_the_stream() {
    let mut bench = Bench::holding("tavern");
    bench.put(Input::Close);
    let sent = bench.stanzas();
    assert_eq!((sent.len(), sent[0].attr("type")), (1, Some("unavailable")));
    assert!(bench.out.close);
    bench.hear(&format!(
        "<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/{NICK}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/><status code='110'/></x></presence>"
    ));
    assert!(bench.session.is_empty());
    assert!(bench.session.timers.is_empty());
}

#[test]
fn a_room_reports_what_it_shows_once_for_each_change() {
    let mut bench = Bench::online();
    bench.hold("tavern");
    bench.enter("tavern");
    let states: Vec<RoomState> = bench
        .out
        .reports
        .iter()
        .filter_map(|report| if let Report::Room(_, shown) = report { Some(shown.state) } else { None })
        .collect();
    assert_eq!(states, [RoomState::Waiting, RoomState::Joining, RoomState::Joining, RoomState::Held]);
    bench.quiet();
    bench.present("tavern", "guest", "affiliation='none' role='participant'", "");
    bench.list("tavern");
    let shows = |report: &&Report| !matches!(report, Report::Happened { .. });
    assert_eq!(bench.out.reports.iter().find(shows), None);
}

#[test]
fn when_the_next_self_ping_is_due_is_told_after_each() {
    let mut bench = Bench::holding("tavern");
    let due = |bench: &Bench| match bench.snapshot("tavern").next {
        room::Next::SelfPing(at) => at,
        other => panic!("{other:?}"),
    };
    let first = due(&bench);
    bench.now = first;
    bench.put(Input::Timeout);
    let told = |bench: &Bench| bench.out.reports.iter().filter(|report| matches!(report, Report::Room(..))).count();
    assert_eq!(told(&bench), 0, "that it is on its way is nothing to tell");
    let ping = bench.asked(&format!("tavern@{MUC}/{NICK}"), "ping");
    let id = ping.attr("id").expect("an id");
    bench.hear(&format!("<iq xmlns='jabber:client' type='result' from='tavern@{MUC}/{NICK}' id='{id}'/>"));
    assert!(due(&bench) > first);
    assert_eq!(told(&bench), 1);
}

mod actions;
mod follow;
mod guest;
mod lobby;
mod order;
