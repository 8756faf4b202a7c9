//! A guest that is made moderator by its account's session-id.

use super::*;

const GUEST: &str = "0a1b@guest.meet.jitsi/x";

fn guest(kept: Option<&str>) -> Bench {
    let session_id = kept.map(Secret::new);
    let profile = Profile { stream_domain: "guest.meet.jitsi".into(), guest: true, session_id, ..profile() };
    let mut bench = Bench::with(profile);
    bench.log_in();
    bench
}

fn session_id_of(request: &Element) -> Option<&str> {
    request.children().next().and_then(|conference| conference.attr("session-id"))
}

impl Bench {
    fn log_in(&mut self) {
        self.put(Input::Online(Bound { jid: GUEST.to_owned(), ..bound(true) }));
        self.answer_disco(MUC, "conference", "text");
        self.acknowledge();
        self.quiet();
    }

    fn wishes(&mut self) -> Vec<String> {
        let reports = std::mem::take(&mut self.out.reports);
        reports
            .into_iter()
            .filter_map(|report| match report {
                Report::WantsSessionId { room } => Some(room.into()),
                _ => None,
            })
            .collect()
    }

    /// The focus answers a request that came without a session-id in a room that somebody else opened.
    fn ready_for_nobody(&mut self, request: &Element, authentication: bool) {
        let id = request.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{FOCUS}' id='{id}'>\
             <conference xmlns='http://jitsi.org/protocol/focus' ready='true' focusjid='focus@auth.meet.jitsi'>\
             <property name='authentication' value='{authentication}'/></conference></iq>"
        ));
    }

    fn invalid(&mut self, request: &Element) {
        let id = request.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='error' from='{FOCUS}' id='{id}'><error type='modify'>\
             <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <session-invalid xmlns='http://jitsi.org/protocol/focus'/></error></iq>"
        ));
    }

    fn joins(&mut self) -> usize {
        self.sent().iter().filter(|element| is_join(element)).count()
    }
}

#[test]
fn a_guest_is_refused_gets_its_accounts_session_id_asks_again_and_only_then_joins() {
    let mut bench = guest(None);
    bench.hold("tavern");
    bench.hold("inn");
    let request = bench.conference();
    assert_eq!(session_id_of(&request), None);
    bench.focus_says(&request, "not-authorized");
    assert_eq!(bench.wishes(), ["tavern@muc.meet.jitsi"]);
    for room in ["tavern", "inn"] {
        let shown = bench.snapshot(room);
        assert_eq!((shown.state, shown.cause.word), (RoomState::Joining, Word::AwaitingSession), "{room}");
    }
    bench.pass(Duration::from_secs(10));
    assert!(bench.stanzas().is_empty(), "nothing is asked meanwhile");
    bench.put(Input::SessionId(Ok(Secret::new("sid"))));
    let requests = [bench.conference(), bench.conference()];
    assert_eq!(requests.each_ref().map(session_id_of), [Some("sid"), Some("sid")]);
    assert_eq!(bench.joins(), 0, "no join before the focus is ready");
    for (request, room) in requests.iter().zip(["inn", "tavern"]) {
        bench.ready(request);
        assert_eq!(bench.joins(), 1, "{room}");
    }
    bench.list("tavern");
    assert_eq!(bench.state("tavern"), RoomState::Held);
    assert!(bench.wishes().is_empty());
}

#[test]
fn a_room_that_somebody_else_opened_is_not_joined_as_nobody() {
    let mut bench = guest(None);
    bench.hold("tavern");
    let request = bench.conference();
    bench.ready_for_nobody(&request, true);
    assert_eq!(bench.wishes(), ["tavern@muc.meet.jitsi"]);
    assert_eq!(bench.joins(), 0);
    // Without authentication nobody has a session, and a guest is as good as anybody.
    let mut bench = guest(None);
    bench.hold("tavern");
    let request = bench.conference();
    bench.ready_for_nobody(&request, false);
    assert!(bench.wishes().is_empty());
    assert_eq!(bench.joins(), 1);
}

#[test]
fn a_session_id_from_before_a_restart_saves_the_accounts_login() {
    let mut bench = guest(Some("kept"));
    bench.hold("tavern");
    let request = bench.conference();
    assert_eq!(session_id_of(&request), Some("kept"));
    bench.ready(&request);
    assert!(bench.wishes().is_empty());
}

#[test]
fn a_forgotten_session_id_is_dropped_from_the_disk_too_and_a_new_one_is_fetched() {
    let mut bench = guest(Some("kept"));
    bench.hold("tavern");
    let request = bench.conference();
    bench.invalid(&request);
    assert!(bench.out.reports.contains(&Report::SessionId(None)));
    bench.pass(Duration::from_secs(1));
    let request = bench.conference();
    assert_eq!(session_id_of(&request), None);
    bench.focus_says(&request, "not-authorized");
    assert_eq!(bench.wishes(), ["tavern@muc.meet.jitsi"]);
}

#[test]
fn a_session_that_ended_after_a_day_costs_no_room() {
    let mut bench = guest(Some("kept"));
    bench.hold("tavern");
    bench.enter("tavern");
    bench.quiet();
    // A day later the focus comes back and knows nobody any more.
    bench.hear(&format!(
        "<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/focus'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='none'/></x></presence>"
    ));
    let request = bench.conference();
    bench.invalid(&request);
    bench.pass(Duration::from_secs(1));
    let request = bench.conference();
    bench.focus_says(&request, "not-authorized");
    assert_eq!(bench.wishes(), ["tavern@muc.meet.jitsi"]);
    bench.put(Input::SessionId(Err(Cause::new(Word::BadCredentials, "refused"))));
    let shown = bench.snapshot("tavern");
    assert_eq!(shown.state, RoomState::Joined, "it stays inside whatever becomes of the login");
    assert_eq!(shown.cause.word, Word::BadCredentials, "the focus is not what is missing: {}", shown.cause);
    bench.put(Input::SessionId(Ok(Secret::new("new"))));
    let request = bench.conference();
    assert_eq!(session_id_of(&request), Some("new"));
    bench.ready(&request);
    assert_eq!(bench.joins(), 0);
    bench.list("tavern");
    assert_eq!(bench.state("tavern"), RoomState::Held);
}

#[test]
fn why_the_account_gets_no_session_id_is_shown_by_every_room_that_waits_for_it() {
    let mut bench = guest(None);
    bench.hold("tavern");
    bench.hold("inn");
    let request = bench.conference();
    bench.focus_says(&request, "not-authorized");
    bench.put(Input::SessionId(Err(Cause::new(Word::BadCredentials, "refused"))));
    for room in ["tavern", "inn"] {
        let shown = bench.snapshot(room);
        assert_eq!((shown.state, shown.cause.word), (RoomState::Blocked, Word::BadCredentials), "{room}");
    }
    // While the stream is lost, that is what keeps it out.
    bench.lose();
    assert_eq!(bench.snapshot("inn").cause.word, Word::Disconnected);
    bench.resume(bench.counted().try_into().expect("a few"));
    assert_eq!(bench.snapshot("inn").cause.word, Word::BadCredentials);
}

#[test]
fn a_probe_of_the_focus_goes_to_another_session_while_a_session_id_is_awaited() {
    let mut bench = guest(None);
    bench.hold("tavern");
    let request = bench.conference();
    bench.focus_says(&request, "not-authorized");
    bench.put(Input::Focus(Gate::Closed));
    bench.quiet();
    bench.put(Input::Focus(Gate::Probe));
    assert!(bench.out.reports.contains(&Report::NothingToAsk));
}

#[test]
fn a_guest_pings_the_server_it_is_on() {
    let mut bench = guest(None);
    bench.pass(Duration::from_secs(21));
    bench.asked("guest.meet.jitsi", "ping");
}

#[test]
fn no_report_shows_a_session_id() {
    let mut bench = guest(Some("secret-sid"));
    bench.hold("tavern");
    let request = bench.conference();
    bench.ready(&request);
    let told =
        format!("{:?}{:?}{:?}", bench.out.reports, bench.session, Input::SessionId(Ok(Secret::new("secret-sid"))));
    assert!(!told.contains("secret-sid") && !told.contains("sm-1"), "{told}");
}

#[test]
fn a_session_id_that_is_none_by_its_length_is_not_taken() {
    let mut bench = guest(None);
    bench.hold("tavern");
    let request = bench.conference();
    let (id, long) = (request.attr("id").expect("an id"), "x".repeat(5_000));
    bench.hear(&format!(
        "<iq xmlns='jabber:client' type='result' from='{FOCUS}' id='{id}'>\
         <conference xmlns='http://jitsi.org/protocol/focus' ready='true' session-id='{long}' focusjid='{long}'>\
         <property name='authentication' value='true'/></conference></iq>"
    ));
    assert!(!bench.out.reports.iter().any(|report| matches!(report, Report::SessionId(Some(_)))), "nor kept");
    assert_eq!(bench.session.focus_facts().jid, None);
    assert_eq!(bench.wishes(), ["tavern@muc.meet.jitsi"], "it is as good as none");
}
