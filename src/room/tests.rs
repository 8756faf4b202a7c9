#![expect(clippy::disallowed_methods)]

use super::*;
use crate::action::Standing;
use crate::xmpp::muc::{Affiliation, Recording as Shown};

const NICK: &str = "00000000_innkeeper";

/// A room, and what it is handed.
struct Bench {
    room: Room,
    now: Instant,
    rng: fastrand::Rng,
    rules: Rules,
    focus: FocusFacts,
    around: Surroundings,
    bans: Bans,
    /// Events, which most tests do not look at.
    told: Vec<Effect>,
    effects: Vec<Effect>,
}

fn settings(focus: bool) -> Settings {
    Settings {
        key: RoomKey { service: "s".into(), name: "tavern".into() },
        jid: "tavern@muc.meet.jitsi".into(),
        nick: NICK.into(),
        display_name: "Innkeeper".into(),
        password: None,
        focus,
        moderated: None,
        plans: None,
    }
}

impl Bench {
    fn new(focus: bool) -> Self {
        let mut effects = Vec::new();
        Bench {
            room: Room::new(Arc::new(settings(focus)), &mut effects),
            now: Instant::now(),
            rng: fastrand::Rng::with_seed(7),
            rules: Rules { self_ping: Duration::from_secs(300), after_kick: Duration::from_secs(120) },
            focus: FocusFacts {
                held_up: None,
                jid: Some("focus@auth.meet.jitsi".into()),
                authentication: Some(true),
                has_session: true,
            },
            around: Surroundings::default(),
            bans: Bans::default(),
            told: Vec::new(),
            effects,
        }
    }

    /// A Jitsi room, held.
    fn held() -> Self {
        let mut bench = Bench::new(true);
        bench.enter();
        bench
    }

    fn put(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut cx = Context {
            now: self.now,
            clock: Timestamp::UNIX_EPOCH,
            bans: &self.bans,
            rng: &mut self.rng,
            rules: &self.rules,
            focus: &self.focus,
            around: self.around,
            effects: &mut self.effects,
        };
        self.room.handle(input, &mut cx);
        let mut effects = std::mem::take(&mut self.effects);
        let told = |effect: &Effect| matches!(effect, Effect::Happened { .. });
        self.told.extend(effects.extract_if(.., |effect| told(effect)));
        effects
    }

    fn say(&mut self, nick: &str, read: &RoomPresence) -> Vec<Effect> {
        self.put(Input::Presence { nick, read })
    }

    /// From wherever it waits for a place to `held`.
    fn enter(&mut self) {
        self.effects.clear();
        self.ask();
        assert!(matches!(self.put(Input::Conference(&ready()))[..], [Effect::Join { .. }]));
        self.list();
        assert_eq!(self.state(), RoomState::Held);
    }

    /// Takes the place it waits for.
    fn ask(&mut self) {
        assert!(self.room.wants_place());
        assert_eq!(self.put(Input::Go), [Effect::AskFocus]);
    }

    /// The focus, and ourselves as moderator.
    fn list(&mut self) {
        self.say("focus", &focus_presence());
        let own = self.joining_nick();
        self.say(&own, &own_presence(Role::Moderator));
    }

    fn joining_nick(&self) -> String {
        match &self.room.state {
            State::Joining(joining) => joining.nick.to_string(),
            State::Inside(inside) => inside.nick.to_string(),
            other => panic!("neither joining nor inside: {other:?}"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.room.snapshot(self.now, &self.rules, &self.focus)
    }

    fn state(&self) -> RoomState {
        self.snapshot().state
    }

    fn word(&self) -> Word {
        self.snapshot().cause.word
    }

    /// How long until the next try.
    fn wait(&self) -> Duration {
        match self.snapshot().next {
            Next::Retry(at) | Next::AskFocus(at) => at - self.now,
            other => panic!("no time is set: {other:?}"),
        }
    }

    /// Lets time pass until the next deadline.
    fn elapse(&mut self) -> Vec<Effect> {
        self.now = self.room.deadline().expect("something is due");
        self.put(Input::Timeout)
    }

    fn thrown_out(&mut self, statuses: &[u16]) -> Vec<Effect> {
        let nick = self.joining_nick();
        self.say(&nick, &gone(statuses))
    }

    fn refuse(&mut self, condition: &str, text: &str) -> Vec<Effect> {
        self.put(Input::Refused(&error(condition, text)))
    }
}

fn ready() -> Answer {
    Answer::Ready(Granted::default())
}

fn error(condition: &str, text: &str) -> StanzaError {
    StanzaError { condition: condition.to_owned(), text: Some(text.to_owned()), ..StanzaError::default() }
}

fn occupant(role: Role, affiliation: Affiliation, real: &str) -> RoomPresence {
    RoomPresence {
        role: Some(role),
        affiliation: Some(affiliation),
        real_jid: Some(real.to_owned()),
        ..RoomPresence::default()
    }
}

fn focus_presence() -> RoomPresence {
    occupant(Role::Moderator, Affiliation::Owner, "focus@auth.meet.jitsi/focus")
}

fn own_presence(role: Role) -> RoomPresence {
    let affiliation = if role == Role::Moderator { Affiliation::Owner } else { Affiliation::None };
    RoomPresence { statuses: vec![Status::SELF], ..occupant(role, affiliation, "keeper@meet.jitsi/x") }
}

fn gone(statuses: &[u16]) -> RoomPresence {
    RoomPresence {
        type_: Some("unavailable".to_owned()),
        role: Some(Role::None),
        statuses: [110].iter().chain(statuses).map(|code| Status(*code)).collect(),
        ..RoomPresence::default()
    }
}

fn left() -> RoomPresence {
    RoomPresence { type_: Some("unavailable".to_owned()), role: Some(Role::None), ..RoomPresence::default() }
}

fn lost() -> Cause {
    Cause::new(Word::Disconnected, "the connection was reset")
}

/// Whether `wait` is `plain` within the jitter.
fn about(wait: Duration, plain: u64) -> bool {
    let plain = Duration::from_secs(plain);
    plain.mul_f64(0.79) <= wait && wait <= plain.mul_f64(1.21)
}

// ── getting in

#[test]
fn a_jitsi_room_is_asked_for_then_joined_then_held_at_the_second_presence() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.effects, [Effect::Enqueue]);
    bench.effects.clear();
    assert_eq!(bench.state(), RoomState::Waiting);
    bench.ask();
    assert_eq!((bench.state(), bench.word()), (RoomState::Joining, Word::AskingFocus));
    assert!(bench.room.in_flight());
    assert_eq!(bench.put(Input::Conference(&ready())), [Effect::Join { nick: NICK.into() }]);
    assert_eq!(bench.word(), Word::JoinSent);
    bench.say("focus", &focus_presence());
    assert_eq!(bench.word(), Word::JoinSent);
    assert_eq!(bench.say(NICK, &own_presence(Role::Participant)), []);
    assert_eq!((bench.state(), bench.word()), (RoomState::Joined, Word::AwaitingGrant));
    assert!(!bench.room.in_flight());
    assert_eq!(bench.say(NICK, &own_presence(Role::Moderator)), []);
    assert_eq!((bench.state(), bench.word()), (RoomState::Held, Word::Holding));
    assert_eq!(bench.room.people(&bench.focus), 0);
}

#[test]
fn a_grant_that_is_five_seconds_late_makes_us_ask_the_focus_again_and_wait_longer_each_time() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.say("focus", &focus_presence());
    bench.say(NICK, &own_presence(Role::Participant));
    for plain in [5, 10, 20] {
        assert!(about(bench.wait(), plain), "{:?}", bench.wait());
        assert_eq!(bench.elapse(), [Effect::Enqueue]);
        assert!(!bench.room.wants_join());
        bench.ask();
        assert!(bench.room.in_flight());
        bench.put(Input::Conference(&ready()));
        assert!(!bench.room.in_flight());
    }
    bench.say(NICK, &own_presence(Role::Moderator));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn without_a_grant_the_cause_tells_the_three_reasons_apart() {
    for (authentication, has_session, word) in [
        (Some(false), false, Word::AuthOffOtherOwner),
        (Some(true), false, Word::NoSessionId),
        (Some(true), true, Word::AwaitingGrant),
        (None, false, Word::AwaitingGrant),
    ] {
        let mut bench = Bench::held();
        bench.focus.authentication = authentication;
        bench.focus.has_session = has_session;
        bench.say(NICK, &own_presence(Role::Participant));
        assert_eq!((bench.state(), bench.word()), (RoomState::Joined, word));
    }
}

#[test]
fn a_demoted_keeper_asks_the_focus_after_a_moment() {
    let mut bench = Bench::held();
    bench.say(NICK, &own_presence(Role::Participant));
    assert_eq!(bench.state(), RoomState::Joined);
    assert!(about(bench.wait(), 5));
    assert_eq!(bench.elapse(), [Effect::Enqueue]);
}

#[test]
fn an_old_refusal_is_not_shown_once_the_room_was_held_again() {
    let mut bench = Bench::held();
    bench.say(NICK, &own_presence(Role::Participant));
    bench.elapse();
    bench.ask();
    bench.put(Input::Conference(&Answer::NotAuthorized(error("not-authorized", ""))));
    assert_eq!(bench.word(), Word::NotAuthorized);
    bench.say(NICK, &own_presence(Role::Moderator));
    bench.say(NICK, &own_presence(Role::Participant));
    assert_eq!(bench.word(), Word::AwaitingGrant);
}

// ── the focus says no

#[test]
fn each_answer_of_the_focus_but_ready_has_its_word_and_its_wait() {
    let visitor = Granted { visitor: true, ..Granted::default() };
    for (answer, word, state, plain) in [
        (Answer::NotReady(Granted::default()), Word::FocusNotReady, RoomState::Waiting, 1),
        (Answer::NotReady(visitor), Word::Visitor, RoomState::Waiting, 300),
        (Answer::Refused(error("undefined-condition", "")), Word::FocusRefused, RoomState::Waiting, 1),
        (Answer::NotAuthorized(error("not-authorized", "")), Word::NotAuthorized, RoomState::Blocked, 300),
        (Answer::Reservation(error("service-unavailable", "")), Word::ReservationRefused, RoomState::Blocked, 300),
    ] {
        let mut bench = Bench::new(true);
        bench.effects.clear();
        bench.ask();
        bench.put(Input::Conference(&answer));
        assert_eq!((bench.word(), bench.state()), (word, state));
        assert!(about(bench.wait(), plain), "{answer:?}: {:?}", bench.wait());
        assert_eq!(bench.elapse(), [Effect::Enqueue]);
        bench.enter();
    }
}

#[test]
fn a_forgotten_session_is_asked_again_at_once_three_times_and_then_by_the_ladder() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    for _ in 0..3 {
        bench.ask();
        bench.put(Input::Conference(&Answer::SessionInvalid));
        assert!(bench.wait() < Duration::from_secs(1));
        bench.elapse();
    }
    for plain in [1, 2, 4] {
        bench.ask();
        bench.put(Input::Conference(&Answer::SessionInvalid));
        assert!(about(bench.wait(), plain));
        bench.elapse();
    }
}

#[test]
fn an_absent_focus_is_waited_for_without_a_time_of_the_rooms_own() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    for input in
        [Input::Conference(&Answer::Absent(error("service-unavailable", ""))), Input::FocusSilent { alone: true }]
    {
        bench.ask();
        assert_eq!(bench.put(input), [Effect::Enqueue]);
        assert_eq!((bench.word(), bench.snapshot().next), (Word::FocusAbsent, Next::Turn));
    }
}

#[test]
fn silence_for_one_room_alone_names_the_domain_and_climbs_the_ladder() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    for plain in [1, 2, 4, 8] {
        bench.ask();
        bench.put(Input::FocusSilent { alone: false });
        let snapshot = bench.snapshot();
        assert_eq!(snapshot.cause.word, Word::FocusSilent);
        assert!(snapshot.cause.text.contains("muc.meet.jitsi"));
        assert!(about(bench.wait(), plain));
        bench.elapse();
    }
}

#[test]
fn a_room_on_a_domain_that_is_no_group_chat_service_is_blocked() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::NoSuchService(&Cause::new(Word::WrongMucDomain, "x")));
    assert_eq!((bench.word(), bench.state()), (Word::WrongMucDomain, RoomState::Blocked));
    assert!(about(bench.wait(), 300));
}

#[test]
fn a_room_that_we_are_in_although_its_domain_is_none_asks_a_silent_focus_again() {
    let mut bench = Bench::held();
    bench.say("focus", &left());
    bench.ask();
    bench.put(Input::NoSuchService(&Cause::new(Word::WrongMucDomain, "x")));
    assert!(!bench.room.in_flight());
    assert!(about(bench.wait(), 1));
    bench.elapse();
    bench.ask();
}

// ── the room says no

#[test]
fn a_refused_join_starts_again_from_the_focus_at_the_slow_end_where_a_person_must_act() {
    for (condition, text, word, state, plain) in [
        ("not-authorized", "", Word::WrongPassword, RoomState::Blocked, 300),
        ("registration-required", "", Word::MembersOnly, RoomState::Blocked, 300),
        ("forbidden", "", Word::Banned, RoomState::Blocked, 300),
        ("service-unavailable", "", Word::RoomFull, RoomState::Waiting, 1),
        ("not-allowed", "Invalid resource", Word::NickRefused, RoomState::Blocked, 300),
        ("internal-server-error", "", Word::JoinRefused, RoomState::Waiting, 1),
    ] {
        let mut bench = Bench::new(true);
        bench.effects.clear();
        bench.ask();
        bench.put(Input::Conference(&ready()));
        bench.refuse(condition, text);
        assert_eq!((bench.word(), bench.state()), (word, state));
        assert!(about(bench.wait(), plain), "{condition}: {:?}", bench.wait());
        assert!(!bench.room.in_flight());
        bench.elapse();
        bench.enter();
    }
}

#[test]
fn a_lobby_that_is_not_ours_is_not_knocked_at_and_the_room_tried_again_by_the_ladder() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    let refusal = StanzaError { lobby: Some("other@lobby".into()), ..error("registration-required", "") };
    for plain in [1, 2, 4] {
        bench.ask();
        bench.put(Input::Conference(&ready()));
        bench.put(Input::Refused(&refusal));
        assert_eq!((bench.word(), bench.state()), (Word::Lobby, RoomState::Waiting));
        assert!(about(bench.wait(), plain));
        bench.elapse();
    }
}

#[test]
fn a_restricted_creation_is_tried_three_times_at_once_and_then_by_the_ladder() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    let refusal = |bench: &mut Bench| {
        bench.ask();
        bench.put(Input::Conference(&ready()));
        bench.refuse("not-allowed", "Room creation is restricted");
        assert_eq!(bench.word(), Word::CreationRestricted);
    };
    for _ in 0..3 {
        refusal(&mut bench);
        assert!(bench.wait() < Duration::from_secs(1));
        bench.elapse();
    }
    for plain in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        refusal(&mut bench);
        assert!(about(bench.wait(), plain), "{plain}: {:?}", bench.wait());
        bench.elapse();
    }
    // Once inside, the quick tries are there again.
    bench.enter();
    bench.thrown_out(&[]);
    bench.elapse();
    refusal(&mut bench);
    assert!(bench.wait() < Duration::from_secs(1));
}

#[test]
fn a_join_that_nobody_answers_is_given_up_after_thirty_seconds() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    let since = bench.now;
    assert_eq!(bench.elapse(), []);
    assert_eq!(bench.now - since, JOIN_TIMEOUT);
    assert_eq!(bench.word(), Word::NoAnswer);
    assert!(about(bench.wait(), 1));
    // The answer to the first join comes late; it is not taken for that of the second.
    bench.say(NICK, &own_presence(Role::Moderator));
    assert_eq!(bench.word(), Word::NoAnswer);
    bench.elapse();
    bench.enter();
}

#[test]
fn a_nick_in_use_makes_room_for_another_at_once_and_the_own_one_is_tried_again_on_the_next_way_in() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    for wanted in [NICK, "00000000_innkeeper_2", "00000000_innkeeper_3", "00000000_innkeeper_4", "00000000_innkeeper_5"]
    {
        assert_eq!(bench.put(Input::Go), [Effect::Join { nick: wanted.into() }]);
        let effects = bench.refuse("conflict", "");
        assert_eq!(bench.word(), Word::NickConflict);
        if wanted.ends_with('5') {
            assert_eq!(effects, []);
            assert!(about(bench.wait(), 1));
            bench.elapse();
        } else {
            assert_eq!(effects, [Effect::Enqueue]);
        }
    }
    assert_eq!(bench.put(Input::Go), [Effect::Join { nick: NICK.into() }]);
    bench.refuse("conflict", "");
    bench.put(Input::Go);
    bench.say("00000000_innkeeper_2", &own_presence(Role::Moderator));
    assert_eq!(bench.state(), RoomState::Held);
    assert_eq!(bench.room.inside().map(|(nick, _)| nick), Some("00000000_innkeeper_2"));
    bench.thrown_out(&[307]);
    bench.elapse();
    assert_eq!(bench.put(Input::Go), [Effect::Join { nick: NICK.into() }]);
}

#[test]
fn after_a_new_login_the_ghost_is_gone_and_the_own_nick_is_tried_first() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    bench.put(Input::Go);
    bench.refuse("conflict", "");
    bench.put(Input::Go);
    bench.say("00000000_innkeeper_2", &own_presence(Role::Moderator));
    bench.put(Input::Offline { cause: &lost(), resumable: false });
    bench.put(Input::Online { resumed: false });
    assert_eq!(bench.put(Input::Go), [Effect::Join { nick: NICK.into() }]);
}

#[test]
fn the_room_may_give_us_another_nick_than_we_asked_for() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    bench.put(Input::Go);
    bench.say("somebody", &own_presence(Role::Moderator));
    assert_eq!(bench.room.inside().map(|(nick, _)| nick), Some("somebody"));
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: "somebody".into() }]);
}

// ── thrown out

#[test]
fn kicked_room_stays_out_for_the_configured_time_first_and_then_doubles_to_five_minutes() {
    let mut bench = Bench::held();
    for plain in [120, 240, 300, 300] {
        bench.thrown_out(&[307]);
        assert_eq!((bench.word(), bench.state()), (Word::Kicked, RoomState::Waiting));
        assert!(about(bench.wait(), plain), "{plain}: {:?}", bench.wait());
        assert_eq!(bench.elapse(), [Effect::Enqueue]);
        bench.enter();
    }
    // After ten quiet minutes a kick is the first again.
    bench.now += Duration::from_secs(601);
    bench.say("guest", &occupant(Role::Participant, Affiliation::None, "a@guest/x"));
    bench.thrown_out(&[307]);
    assert!(about(bench.wait(), 120));
}

#[test]
fn a_longer_first_wait_after_a_kick_is_not_cut_to_five_minutes() {
    let mut bench = Bench::held();
    bench.rules.after_kick = Duration::from_secs(1800);
    bench.thrown_out(&[307]);
    assert!(about(bench.wait(), 1800));
}

#[test]
fn each_removal_has_its_word_and_its_wait_and_leads_back_inside() {
    for (statuses, word, state, plain) in [
        (&[307, 333][..], Word::RemovedForError, RoomState::Waiting, 1),
        (&[333][..], Word::RemovedForError, RoomState::Waiting, 1),
        (&[301][..], Word::Banned, RoomState::Blocked, 300),
        (&[301, 307][..], Word::Banned, RoomState::Blocked, 300),
        (&[321][..], Word::MembershipLost, RoomState::Waiting, 1),
        (&[322][..], Word::MembershipLost, RoomState::Waiting, 1),
        (&[332][..], Word::SystemShutdown, RoomState::Waiting, 1),
        (&[][..], Word::NotInRoom, RoomState::Waiting, 1),
    ] {
        let mut bench = Bench::held();
        bench.thrown_out(statuses);
        assert_eq!((bench.word(), bench.state()), (word, state), "{statuses:?}");
        assert!(about(bench.wait(), plain), "{statuses:?}: {:?}", bench.wait());
        assert!(bench.room.inside().is_none());
        bench.elapse();
        bench.enter();
    }
}

#[test]
fn a_destroyed_room_is_opened_again_after_a_second() {
    let mut bench = Bench::held();
    let destroyed = RoomPresence { destroyed: Some("closing time".to_owned()), ..gone(&[]) };
    bench.say(NICK, &destroyed);
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.cause.word, Word::Destroyed);
    assert!(snapshot.cause.text.contains("closing time"));
    assert!(about(bench.wait(), 1));
    bench.elapse();
    bench.enter();
}

#[test]
fn a_room_that_throws_us_out_again_and_again_is_tried_less_and_less_until_a_minute_inside() {
    let mut bench = Bench::held();
    for plain in [1, 2, 4, 8] {
        bench.thrown_out(&[333]);
        assert!(about(bench.wait(), plain));
        bench.elapse();
        bench.enter();
    }
    bench.now += Duration::from_secs(61);
    bench.thrown_out(&[333]);
    assert!(about(bench.wait(), 1));
}

#[test]
fn being_thrown_out_while_joining_is_no_hang() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.thrown_out(&[307]);
    assert_eq!(bench.word(), Word::Kicked);
    assert!(about(bench.wait(), 120));
}

#[test]
fn a_leave_without_status_110_under_our_nick_counts_as_ours() {
    let mut bench = Bench::held();
    bench.say(NICK, &left());
    assert_eq!(bench.word(), Word::NotInRoom);
}

// ── the focus goes

#[test]
fn when_the_focus_leaves_we_stay_and_ask_it_again_at_once_until_it_is_back() {
    let mut bench = Bench::held();
    assert_eq!(bench.say("focus", &left()), [Effect::Enqueue]);
    assert_eq!((bench.state(), bench.word()), (RoomState::Joined, Word::FocusAbsent));
    bench.ask();
    // Nobody is there: it waits for its turn, which the session gives when the focus answers again.
    assert_eq!(bench.put(Input::Conference(&Answer::Absent(error("service-unavailable", "")))), [Effect::Enqueue]);
    bench.ask();
    bench.put(Input::Conference(&Answer::SessionInvalid));
    assert!(bench.wait() < Duration::from_secs(1));
    assert_eq!(bench.elapse(), [Effect::Enqueue]);
    bench.ask();
    bench.put(Input::Conference(&Answer::NotReady(Granted::default())));
    bench.elapse();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    assert_eq!(bench.say("focus", &focus_presence()), []);
    assert_eq!(bench.state(), RoomState::Held);
    assert!(bench.room.inside().is_some());
}

#[test]
fn a_guest_under_the_focus_nick_is_not_taken_for_it() {
    let mut bench = Bench::held();
    bench.say("focus", &left());
    bench.say("focus", &occupant(Role::Participant, Affiliation::None, "mallory@guest/x"));
    assert_eq!(bench.word(), Word::FocusAbsent);
    bench.say("focus", &occupant(Role::Moderator, Affiliation::Owner, "mallory@guest/x"));
    assert_eq!(bench.word(), Word::FocusAbsent);
}

#[test]
fn a_focus_that_is_silent_while_we_are_inside_is_asked_again_later() {
    let mut bench = Bench::held();
    bench.say("focus", &left());
    bench.ask();
    assert_eq!(bench.put(Input::FocusSilent { alone: false }), []);
    assert!(about(bench.wait(), 1));
    bench.elapse();
    bench.ask();
    assert_eq!(bench.put(Input::FocusSilent { alone: true }), [Effect::Enqueue]);
    assert_eq!(bench.snapshot().next, Next::Turn);
}

#[test]
fn the_focus_may_come_and_go_while_it_is_being_asked() {
    let mut bench = Bench::held();
    bench.say("focus", &left());
    bench.ask();
    bench.say("focus", &focus_presence());
    assert_eq!(bench.state(), RoomState::Held);
    assert!(!bench.room.in_flight());
    assert_eq!(bench.say("focus", &left()), [Effect::Enqueue]);
    bench.ask();
    assert!(bench.room.in_flight());
}

// ── the stream goes

#[test]
fn a_lost_stream_that_may_be_resumed_keeps_the_room_and_its_people() {
    let mut bench = Bench::held();
    bench.say("guest", &occupant(Role::Participant, Affiliation::None, "a@guest/x"));
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!((bench.state(), bench.word()), (RoomState::Joined, Word::Disconnected));
    assert_eq!(bench.room.deadline(), None);
    assert_eq!(bench.put(Input::Online { resumed: true }), []);
    assert_eq!(bench.state(), RoomState::Held);
    assert_eq!(bench.room.people(&bench.focus), 1);
}

#[test]
fn questions_on_their_way_when_the_stream_was_lost_are_asked_again_on_resumption() {
    let mut bench = Bench::held();
    let ping = bench.elapse();
    assert_eq!(ping, [Effect::SelfPing { nick: NICK.into() }]);
    bench.say("focus", &left());
    bench.ask();
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    bench.put(Input::Online { resumed: true });
    bench.put(Input::Timeout);
    assert!(bench.room.wants_place());
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.say("focus", &focus_presence());
    assert!(bench.room.deadline().is_some_and(|at| at <= bench.now + Duration::from_secs(12)));
    assert_eq!(bench.elapse(), [Effect::SelfPing { nick: NICK.into() }]);
}

#[test]
fn a_question_that_waited_for_its_turn_when_the_stream_was_lost_waits_again() {
    let mut bench = Bench::held();
    assert_eq!(bench.say("focus", &left()), [Effect::Enqueue]);
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!(bench.put(Input::Online { resumed: true }), [Effect::Enqueue]);
    bench.ask();
}

#[test]
fn a_form_on_its_way_when_the_stream_was_lost_is_asked_for_again() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    bench.put(Input::Go);
    let created = RoomPresence { statuses: vec![Status::SELF, Status::CREATED], ..own_presence(Role::Moderator) };
    assert_eq!(bench.say(NICK, &created), [Effect::Configure]);
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!(bench.put(Input::Online { resumed: true }), [Effect::Configure]);
    bench.put(Input::Configured(Ok(())));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn a_failed_resumption_or_a_restarted_server_starts_over() {
    for resumable in [true, false] {
        let mut bench = Bench::held();
        bench.put(Input::Offline { cause: &lost(), resumable });
        bench.put(Input::Online { resumed: false });
        assert_eq!(bench.state(), RoomState::Waiting);
        assert!(bench.room.inside().is_none());
        bench.enter();
    }
}

#[test]
fn whoever_waits_for_a_reason_of_the_rooms_own_does_not_forget_it_over_a_lost_stream() {
    let mut bench = Bench::held();
    bench.thrown_out(&[307]);
    let due = bench.room.deadline();
    bench.put(Input::Offline { cause: &lost(), resumable: false });
    assert_eq!(bench.put(Input::Online { resumed: false }), []);
    assert_eq!((bench.word(), bench.room.deadline()), (Word::Kicked, due));
    // It comes due while there is no stream.
    bench.put(Input::Offline { cause: &lost(), resumable: false });
    assert_eq!(bench.elapse(), [Effect::Enqueue]);
    assert_eq!(bench.put(Input::Online { resumed: false }), [Effect::Enqueue]);
    bench.enter();
}

#[test]
fn a_join_on_its_way_when_the_stream_was_lost_is_sent_anew() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    assert_eq!(bench.put(Input::Offline { cause: &lost(), resumable: true }), [Effect::Enqueue]);
    bench.put(Input::Online { resumed: true });
    bench.enter();
}

// ── self-pings

#[test]
fn a_self_ping_that_finds_us_outside_joins_again() {
    let mut bench = Bench::held();
    assert_eq!(bench.elapse(), [Effect::SelfPing { nick: NICK.into() }]);
    bench.put(Input::Pinged(ping::Presence::Outside));
    assert_eq!(bench.word(), Word::NotInRoom);
    assert!(about(bench.wait(), 1));
}

#[test]
fn a_self_ping_is_due_every_interval_and_sooner_after_one_without_an_answer() {
    let mut bench = Bench::held();
    bench.elapse();
    bench.put(Input::Pinged(ping::Presence::Inside));
    assert!(about(bench.room.deadline().expect("the next ping") - bench.now, 300));
    bench.elapse();
    bench.put(Input::Pinged(ping::Presence::Unknown));
    assert!(about(bench.room.deadline().expect("the next ping") - bench.now, 30));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn a_room_that_answers_no_self_ping_for_two_intervals_is_shown_as_unconfirmed() {
    let mut bench = Bench::held();
    while bench.state() == RoomState::Held {
        bench.elapse();
        bench.now += PING_TIMEOUT;
        bench.put(Input::Pinged(ping::Presence::Unknown));
        assert!(bench.room.inside().is_some());
    }
    assert_eq!(bench.word(), Word::Unconfirmed);
    bench.elapse();
    bench.put(Input::Pinged(ping::Presence::Inside));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn the_late_answer_to_a_ping_of_an_earlier_stay_does_not_end_this_one() {
    let mut bench = Bench::held();
    bench.elapse();
    bench.thrown_out(&[333]);
    bench.elapse();
    bench.enter();
    bench.put(Input::Pinged(ping::Presence::Outside));
    assert_eq!(bench.state(), RoomState::Held);
}

// ── plain rooms

#[test]
fn a_new_plain_room_is_configured_and_then_held() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    assert_eq!(bench.put(Input::Go), [Effect::Join { nick: NICK.into() }]);
    let created = RoomPresence { statuses: vec![Status::SELF, Status::CREATED], ..own_presence(Role::Moderator) };
    assert_eq!(bench.say(NICK, &created), [Effect::Configure]);
    assert_eq!((bench.state(), bench.word()), (RoomState::Joined, Word::Configuring));
    bench.put(Input::Configured(Ok(())));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn a_refused_form_is_said_and_asked_for_again_by_the_ladder_while_the_room_is_kept() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    bench.put(Input::Go);
    let created = RoomPresence { statuses: vec![Status::SELF, Status::CREATED], ..own_presence(Role::Moderator) };
    bench.say(NICK, &created);
    bench.put(Input::Configured(Err(error("forbidden", "owners only"))));
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.state, snapshot.cause.word), (RoomState::Joined, Word::Configuring));
    assert!(snapshot.cause.text.contains("owners only"));
    assert!(about(bench.wait(), 1));
    assert_eq!(bench.elapse(), [Effect::Configure]);
    bench.put(Input::Configured(Err(error("forbidden", "owners only"))));
    assert!(about(bench.wait(), 2));
    bench.elapse();
    bench.put(Input::Configured(Ok(())));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn a_plain_room_that_somebody_else_owns_is_joined_and_not_held() {
    let mut bench = Bench::new(false);
    bench.effects.clear();
    bench.put(Input::Go);
    bench.say(NICK, &own_presence(Role::Participant));
    assert_eq!((bench.state(), bench.word()), (RoomState::Joined, Word::NotOwner));
    bench.say(NICK, &own_presence(Role::Moderator));
    assert_eq!(bench.state(), RoomState::Held);
}

// ── reload

fn changed(change: impl FnOnce(&mut Settings)) -> Input<'static> {
    let mut new = settings(true);
    change(&mut new);
    Input::Settings(Arc::new(new))
}

#[test]
fn a_new_nick_or_display_name_is_shown_without_leaving_and_the_same_settings_send_nothing() {
    let mut bench = Bench::held();
    assert_eq!(bench.put(changed(|_| {})), []);
    assert_eq!(bench.put(changed(|new| new.display_name = "Landlord".into())), [Effect::Update { nick: NICK.into() }]);
    let effects = bench.put(changed(|new| {
        new.display_name = "Landlord".into();
        new.nick = "0landlord".into();
    }));
    assert_eq!(effects, [Effect::Update { nick: "0landlord".into() }]);
    let renamed = RoomPresence { new_nick: Some("0landlord".to_owned()), ..gone(&[303]) };
    bench.say(NICK, &renamed);
    bench.say("0landlord", &own_presence(Role::Moderator));
    assert_eq!(bench.room.inside().map(|(nick, here)| (nick.to_owned(), here.len())), Some(("0landlord".into(), 2)));
    assert_eq!(bench.state(), RoomState::Held);
}

#[test]
fn a_refused_change_of_nick_leaves_us_inside_under_the_old_one() {
    let mut bench = Bench::held();
    bench.put(changed(|new| new.nick = "bad-nick".into()));
    bench.refuse("not-allowed", "Invalid resource");
    assert_eq!(bench.state(), RoomState::Held);
    assert_eq!(bench.room.inside().map(|(nick, _)| nick), Some(NICK));
}

#[test]
fn what_changes_while_the_join_is_on_its_way_is_shown_once_inside() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    assert_eq!(bench.put(changed(|new| new.nick = "0landlord".into())), []);
    bench.say("focus", &focus_presence());
    assert_eq!(bench.say(NICK, &own_presence(Role::Moderator)), [Effect::Update { nick: "0landlord".into() }]);
}

#[test]
fn what_changes_while_the_stream_is_lost_is_shown_once_it_is_resumed() {
    let mut bench = Bench::held();
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!(bench.put(changed(|new| new.display_name = "Landlord".into())), []);
    assert_eq!(bench.put(Input::Online { resumed: true }), [Effect::Update { nick: NICK.into() }]);
}

#[test]
fn what_was_refused_with_the_old_settings_is_tried_at_once_with_the_new() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.put(changed(|new| new.password = Some(Secret::new("right"))));
    assert_eq!(bench.refuse("not-authorized", ""), [Effect::Enqueue]);
    // The same for who waits already.
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.refuse("not-authorized", "");
    assert_eq!(bench.state(), RoomState::Blocked);
    assert_eq!(bench.put(changed(|new| new.password = Some(Secret::new("other")))), [Effect::Enqueue]);
    assert!(bench.room.wants_place());
}

// ── release

#[test]
fn a_released_room_is_left_and_gone_when_the_room_confirms_or_after_five_seconds() {
    let mut bench = Bench::held();
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: NICK.into() }]);
    assert_eq!(bench.state(), RoomState::Released);
    assert_eq!(bench.put(Input::Release), []);
    assert_eq!(bench.say("guest", &left()), []);
    assert_eq!(bench.thrown_out_by_leaving(), [Effect::Gone]);
    let mut bench = Bench::held();
    bench.put(Input::Release);
    let since = bench.now;
    assert_eq!(bench.elapse(), [Effect::Gone]);
    assert_eq!(bench.now - since, Duration::from_secs(5));
}

impl Bench {
    fn thrown_out_by_leaving(&mut self) -> Vec<Effect> {
        self.say(NICK, &gone(&[]))
    }
}

#[test]
fn a_room_is_released_at_once_where_nothing_was_sent_to_it() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    assert_eq!(bench.put(Input::Release), [Effect::Gone]);
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    assert_eq!(bench.put(Input::Release), [Effect::Gone]);
    assert!(!bench.room.in_flight());
    let mut bench = Bench::held();
    bench.thrown_out(&[307]);
    assert_eq!(bench.put(Input::Release), [Effect::Gone]);
}

#[test]
fn a_room_released_while_joining_is_left() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: NICK.into() }]);
    assert_eq!(bench.thrown_out_by_leaving(), [Effect::Gone]);
}

#[test]
fn a_room_whose_join_may_yet_take_effect_is_left_all_the_same() {
    // The join was not answered in time.
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.elapse();
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: NICK.into() }, Effect::Gone]);
    // The stream was lost behind it and is resumed.
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: NICK.into() }, Effect::Gone]);
}

#[test]
fn a_room_released_while_the_stream_is_lost_is_left_when_it_is_resumed() {
    let mut bench = Bench::held();
    bench.put(Input::Offline { cause: &lost(), resumable: true });
    assert_eq!(bench.put(Input::Release), [Effect::Leave { nick: NICK.into() }, Effect::Gone]);
    let mut bench = Bench::held();
    bench.put(Input::Release);
    assert_eq!(bench.put(Input::Offline { cause: &lost(), resumable: false }), [Effect::Gone]);
}

// ── whoever else is there

#[test]
fn a_hostile_presence_keeps_its_sender_on_the_list() {
    let mut bench = Bench::held();
    let odd = RoomPresence { type_: Some("chat".to_owned()), ..occupant(Role::Visitor, Affiliation::None, "m@g/x") };
    bench.say("mallory", &odd);
    assert_eq!(bench.room.people(&bench.focus), 1);
    // One of which only the first tag could be read.
    bench.say("eve", &RoomPresence::default());
    assert_eq!(bench.room.people(&bench.focus), 2);
    // An error, or an unknown type without a role, is no leave and no entry.
    for type_ in ["error", "subscribe"] {
        bench.say("eve", &RoomPresence { type_: Some(type_.to_owned()), ..RoomPresence::default() });
        bench.say("oscar", &RoomPresence { type_: Some(type_.to_owned()), ..RoomPresence::default() });
    }
    assert_eq!(bench.room.people(&bench.focus), 2);
    bench.say("eve", &left());
    assert_eq!(bench.room.people(&bench.focus), 1);
}

#[test]
fn a_room_costs_little_while_it_waits() {
    assert!(size_of::<Room>() <= 128, "{} bytes", size_of::<Room>());
}

#[test]
fn a_room_with_a_locked_subject_gets_it_and_gets_it_back() {
    let mut bench = Bench::new(true);
    let locked = settings::Locked { subject: Some("Pony".into()), ..settings::Locked::default() };
    let moderated = Some(Arc::new(Moderated { locked, ..Moderated::default() }));
    bench.room = Room::new(Arc::new(Settings { moderated, ..settings(true) }), &mut Vec::new());
    bench.enter();
    let said = |text: &str| Said { groupchat: true, subject: Some(text.to_owned()), ..Said::default() };
    let subject = |effects: &[Effect]| {
        effects.iter().any(|one| matches!(one, Effect::Step { step: Step::Subject(text), .. } if &**text == "Pony"))
    };
    assert!(bench.put(Input::Message { nick: None, said: &said("") }).is_empty(), "the room was not looked at yet");
    bench.around.components_known = true;
    assert!(subject(&bench.put(Input::Info(&RoomInfo::default()))));
    let own = bench.joining_nick();
    bench.put(Input::Message { nick: Some(&own), said: &said("Pony") });
    let drifted = bench.put(Input::Message { nick: Some("mallory"), said: &said("mine") });
    assert!(subject(&drifted), "{drifted:?}");
    assert!(drifted.iter().any(|one| matches!(one, Effect::Setting(settings::Output::Drifted { .. }))));
}

#[test]
fn an_action_is_refused_while_we_are_outside_and_ends_when_we_are_thrown_out() {
    let mut bench = Bench::held();
    let request = |key: &str| Request {
        key: key.into(),
        actor: Actor::CommandLine { uid: 0 },
        action: crate::action::Action::Subject { text: "s".into() },
        real_jid: None,
        reason: "".into(),
    };
    let refused = |effects: &[Effect]| {
        effects.iter().any(|one| matches!(one, Effect::Progress { progress: Progress::Refused(_), over: true, .. }))
    };
    let sent = bench.put(Input::Act(request("1")));
    assert!(sent.iter().any(|one| matches!(one, Effect::Step { .. })) && !refused(&sent), "{sent:?}");
    assert!(refused(&bench.thrown_out(&[307, 110])));
    assert!(refused(&bench.put(Input::Act(request("2")))));
}

#[test]
fn an_action_whose_answer_was_lost_with_the_stream_has_an_end() {
    let mut bench = Bench::held();
    let action = crate::action::Action::Lock { password: None };
    let actor = Actor::CommandLine { uid: 0 };
    bench.put(Input::Act(Request { key: "1".into(), actor, action, real_jid: None, reason: "".into() }));
    let cause = Cause::new(Word::Disconnected, "gone");
    let effects = bench.put(Input::Offline { cause: &cause, resumable: true });
    assert_eq!(bench.snapshot().cause.word, Word::Disconnected);
    let over = |one: &Effect| matches!(one, Effect::Progress { over: true, .. });
    assert!(effects.iter().any(over), "the form that was asked for will not come: {effects:?}");
}

// ── bans, rules and events

fn told(bench: &mut Bench) -> Vec<&'static str> {
    let kind = |effect: Effect| match effect {
        Effect::Happened { what, .. } => what.kind().as_str(),
        other => panic!("{other:?}"),
    };
    std::mem::take(&mut bench.told).into_iter().map(kind).collect()
}

fn somebody(real: &str, stats_id: &str) -> RoomPresence {
    RoomPresence { stats_id: Some(stats_id.into()), ..occupant(Role::Participant, Affiliation::None, real) }
}

fn steps(effects: &[Effect]) -> Vec<&Step> {
    effects.iter().filter_map(|effect| if let Effect::Step { step, .. } = effect { Some(step) } else { None }).collect()
}

/// A room under these rules, held.
fn ruled(rules: &str, mode: policy::Mode) -> Bench {
    let mut bench = entered(rules, mode);
    bench.put(Input::Info(&RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() }));
    bench
}

/// A held room with rules that did not say yet which life it is in.
fn entered(rules: &str, mode: policy::Mode) -> Bench {
    let mut bench = Bench::new(true);
    let plans = Some(Arc::new(policy::bench::plans(rules, mode)));
    bench.room = Room::new(Arc::new(Settings { plans, ..settings(true) }), &mut Vec::new());
    bench.around.components_known = true;
    bench.enter();
    bench
}

fn message(body: &str) -> Said {
    Said { groupchat: true, body: Some(body.into()), ..Said::default() }
}

#[test]
fn whoever_is_banned_is_put_out_at_the_door_once_and_by_what_holds() {
    let mut bench = Bench::held();
    let ban = |key: &str| crate::policy::bans::Ban {
        target: Target::Key(policy::OccupantKey::read(key).expect("a key")),
        service: None,
        rooms: None,
        until: None,
        reason: "spam".into(),
        note: String::new(),
        by: "admin".into(),
        known_as: String::new(),
        at: Timestamp::UNIX_EPOCH,
    };
    bench.bans = Bans::new([ban("account:mallory@meet.jitsi"), ban("hint:Ada-xyz")], policy::AllowList::default());
    bench.put(Input::Bans);
    let effects = bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    let outcast = Step::Affiliate { jids: vec!["mallory@meet.jitsi".into()], to: Affiliation::Outcast };
    assert_eq!(steps(&effects), [&outcast], "{effects:?}");
    assert!(steps(&bench.say("m", &somebody("mallory@meet.jitsi/1", "x"))).is_empty(), "it is on its way");
    let effects = bench.say("g", &somebody("8a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi/1", "Ada-xyz"));
    assert_eq!(steps(&effects), [&Step::Role { lobby: false, nick: "g".into(), role: Role::None }], "{effects:?}");
    assert!(steps(&bench.say("b", &somebody("bob@meet.jitsi/1", "Bob-abc"))).is_empty());
}

#[test]
fn who_is_inside_is_held_against_a_new_list_of_bans() {
    let mut bench = Bench::held();
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.bans = Bans::new(
        crate::policy::bans::from_block_list(
            &crate::policy::bans::sha256("mallory@meet.jitsi"),
            "s",
            "list",
            "",
            Timestamp::UNIX_EPOCH,
        ),
        policy::AllowList::default(),
    );
    assert_eq!(steps(&bench.put(Input::Bans)).len(), 1);
}

#[test]
fn a_rule_is_carried_out_in_the_same_pass_and_a_dry_run_is_only_told() {
    let words = "[words]\nwords = [\"spam\"]\naction = \"kick\"";
    let mut bench = ruled(words, policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.told.clear();
    let said = message("buy spam");
    let effects = bench.put(Input::Message { nick: Some("m"), said: &said });
    assert_eq!(steps(&effects), [&Step::Role { lobby: false, nick: "m".into(), role: Role::None }], "{effects:?}");
    assert_eq!(told(&mut bench), ["message.posted", "rule.matched"]);

    let mut bench = ruled(words, policy::Mode::DryRun);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.told.clear();
    let effects = bench.put(Input::Message { nick: Some("m"), said: &said });
    assert!(steps(&effects).is_empty(), "{effects:?}");
    assert_eq!(told(&mut bench), ["message.posted", "rule.matched"]);
}

#[test]
fn what_is_said_before_the_room_told_of_its_life_is_judged_when_it_did() {
    let words = "[words]\nwords = [\"spam\"]\naction = \"kick\"";
    let mut bench = entered(words, policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.say("a", &somebody("ann@meet.jitsi/1", "y"));
    let said = message("buy spam");
    for nick in ["m", "a"] {
        assert!(steps(&bench.put(Input::Message { nick: Some(nick), said: &said })).is_empty());
    }
    // A new nick is no way out; and who comes by the nick of somebody gone did not say it.
    let left =
        |statuses: &[u16]| RoomPresence { statuses: statuses.iter().map(|code| Status(*code)).collect(), ..gone(&[]) };
    bench.say("m", &RoomPresence { new_nick: Some("n".into()), ..left(&[303]) });
    bench.say("n", &somebody("mallory@meet.jitsi/1", "x"));
    bench.say("a", &left(&[]));
    bench.say("a", &somebody("bob@meet.jitsi/1", "z"));
    bench.told.clear();
    let info = RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() };
    let effects = bench.put(Input::Info(&info));
    assert_eq!(steps(&effects), [&Step::Role { lobby: false, nick: "n".into(), role: Role::None }], "{effects:?}");
    assert!(told(&mut bench).ends_with(&["message.posted", "rule.matched"]));
    assert!(steps(&bench.put(Input::Info(&info))).is_empty(), "once");
}

#[test]
fn a_room_that_does_not_say_which_life_it_is_in_is_kept_order_in_all_the_same() {
    let mut bench = entered("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.put(Input::Message { nick: Some("m"), said: &message("buy spam") });
    let due = bench.room.deadline().expect("of the life");
    assert!(due <= bench.now + Duration::from_secs(5), "{:?}", due - bench.now);
    bench.now = due;
    assert_eq!(steps(&bench.put(Input::Timeout)).len(), 1);
}

#[test]
fn history_is_neither_told_nor_judged() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.told.clear();
    let said = Said { age: Age::History, ..message("buy spam") };
    assert!(steps(&bench.put(Input::Message { nick: Some("m"), said: &said })).is_empty());
    assert!(told(&mut bench).is_empty());
}

#[test]
fn a_delay_that_somebody_adds_to_what_they_write_keeps_nothing_from_the_rules() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    bench.told.clear();
    let read = |text: &str| Said::read(&text.parse().expect("the test's own text"), "pony@muc.meet.jitsi");
    let subject = read(
        "<message xmlns='jabber:client' type='groupchat' from='pony@muc.meet.jitsi'><subject/>\
         <delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z' from='pony@muc.meet.jitsi'/></message>",
    );
    bench.put(Input::Message { nick: None, said: &subject });
    let forged = read(
        "<message xmlns='jabber:client' type='groupchat' id='1' from='pony@muc.meet.jitsi/m'><body>buy spam</body>\
         <delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z' from='pony@muc.meet.jitsi'/></message>",
    );
    let effects = bench.put(Input::Message { nick: Some("m"), said: &forged });
    assert_eq!(steps(&effects), [&Step::Role { lobby: false, nick: "m".into(), role: Role::None }], "{effects:?}");
    assert_eq!(told(&mut bench), ["message.posted", "rule.matched"]);
}

#[test]
fn what_was_said_while_the_stream_was_lost_is_told_and_judged_when_it_is_resumed() {
    let rules = "[words]\nwords = [\"spam\"]\naction = \"kick\"\n[flood]\nmessages = 1\naction = \"kick\"";
    let mut bench = ruled(rules, policy::Mode::Enforce);
    bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
    bench.say("m", &somebody("mallory@meet.jitsi/1", "y"));
    bench.put(Input::Message { nick: None, said: &Said { body: None, subject: Some("".into()), ..message("") } });
    let cause = Cause::new(Word::Disconnected, "gone");
    bench.put(Input::Offline { cause: &cause, resumable: true });
    bench.now += Duration::from_secs(40);
    bench.put(Input::Online { resumed: true });
    bench.told.clear();
    let again = |body| Said { age: Age::History, ..message(body) };
    for body in ["one", "two", "three"] {
        assert!(steps(&bench.put(Input::Message { nick: Some("a"), said: &again(body) })).is_empty());
    }
    assert_eq!(steps(&bench.put(Input::Message { nick: Some("m"), said: &again("buy spam") })).len(), 1);
    let posted = "message.posted";
    assert_eq!(told(&mut bench), [posted, posted, posted, posted, "rule.matched"]);
    bench.now += Duration::from_secs(60);
    bench.put(Input::Message { nick: Some("a"), said: &again("one") });
    let flooded = bench.put(Input::Message { nick: Some("a"), said: &again("two") });
    assert_eq!(steps(&flooded).len(), 1, "{flooded:?}");
}

#[test]
fn people_are_told_of_once_and_those_gone_while_we_were_away_as_unseen() {
    let mut bench = ruled("[flood]", policy::Mode::DryRun);
    bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
    bench.say("b", &somebody("bob@meet.jitsi/1", "y"));
    bench.told.clear();
    let cause = Cause::new(Word::Disconnected, "gone");
    bench.put(Input::Offline { cause: &cause, resumable: false });
    assert!(told(&mut bench).is_empty(), "nothing is known of them");
    bench.put(Input::Online { resumed: false });
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
    bench.list();
    bench.put(Input::Info(&RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() }));
    assert_eq!(told(&mut bench), ["occupant.left", "occupant.joined"], "bob, and the focus, of which nothing is kept");
}

#[test]
fn a_room_that_a_rule_closes_stays_closed_until_a_person_opens_it() {
    let mut bench = ruled("[idle_close]\nempty = \"1m\"", policy::Mode::Enforce);
    bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
    bench.say("a", &RoomPresence { type_: Some("unavailable".into()), ..somebody("ann@meet.jitsi/1", "x") });
    let due = bench.room.deadline().expect("the rule's");
    bench.now = due.max(bench.now + Duration::from_secs(61));
    let effects = bench.put(Input::Timeout);
    assert_eq!(steps(&effects), [&Step::Destroy], "{effects:?}");
    bench.say("00000000_innkeeper", &RoomPresence { destroyed: Some(String::new()), ..gone(&[110]) });
    let shown = bench.room.snapshot(bench.now, &bench.rules, &bench.focus);
    assert_eq!((shown.state, shown.cause.word, shown.next), (RoomState::Waiting, Word::ClosedIdle, Next::Nothing));
    bench.put(Input::Online { resumed: false });
    assert!(!bench.room.wants_place());
    bench.put(Input::Open);
    assert!(bench.room.wants_place());
}

#[test]
fn where_a_lobby_comes_from_is_told_as_exactly_as_what_was_seen_allows() {
    let info = |life: &str, on: bool| RoomInfo {
        meeting_id: Some(life.into()),
        members_only: on,
        lobby: on.then(|| "tavern@lobby.meet.jitsi".into()),
        ..RoomInfo::default()
    };
    let again = |bench: &mut Bench, people: bool| {
        let cause = Cause::new(Word::Disconnected, "gone");
        bench.put(Input::Offline { cause: &cause, resumable: false });
        bench.put(Input::Online { resumed: false });
        bench.effects.clear();
        bench.ask();
        bench.put(Input::Conference(&ready()));
        if people {
            bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
        }
        bench.list();
    };
    let mut bench = entered("[idle_close]", policy::Mode::DryRun);
    let before = |people, previous| Some(LobbyOrigin::Before { people, previous });
    let seen = |bench: &mut Bench, life, on| {
        bench.put(Input::Info(&info(life, on)));
        bench.room.lobby_origin().cloned()
    };
    assert_eq!(seen(&mut bench, "one", true), before(false, None));
    again(&mut bench, true);
    assert_eq!(seen(&mut bench, "one", true), before(false, None), "it is the same life, and the same lobby");
    again(&mut bench, false);
    assert_eq!(seen(&mut bench, "two", true), before(false, Some(true)));
    assert_eq!(seen(&mut bench, "two", false), None);
    again(&mut bench, false);
    assert_eq!(seen(&mut bench, "three", true), before(false, Some(false)), "the deployment begins with one");
    assert_eq!(seen(&mut bench, "three", false), None);
    again(&mut bench, true);
    assert_eq!(seen(&mut bench, "three", true), Some(LobbyOrigin::Unsaid), "while we were away");
    again(&mut bench, true);
    assert_eq!(seen(&mut bench, "four", true), before(true, Some(true)));
}

#[test]
fn after_a_restart_only_those_are_told_of_who_came_or_went_meanwhile_be_it_for_a_moment() {
    let mut bench = Bench::new(true);
    let plans =
        Some(Arc::new(policy::bench::plans("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce)));
    bench.room = Room::new(Arc::new(Settings { plans, ..settings(true) }), &mut Vec::new());
    bench.around.components_known = true;
    let mut present = crate::event::Present::new("life-1");
    for (nick, real) in [("stayed", "s@g/1"), ("went", "w@g/1"), ("again", "a@g/1"), ("leaver", "l@g/1")] {
        let person =
            crate::event::Person { nick: nick.into(), real_jid: Some(real.into()), ..crate::event::Person::default() };
        present.people.insert(nick.into(), person);
    }
    bench.put(Input::Behind(&present));
    bench.enter();
    for (nick, real) in
        [("stayed", "s@g/1"), ("again", "a@g/2"), ("new", "n@g/1"), ("hasty", "h@g/1"), ("leaver", "l@g/1")]
    {
        bench.say(nick, &somebody(real, "x"));
    }
    for nick in ["hasty", "leaver"] {
        bench.say(nick, &RoomPresence { statuses: Vec::new(), ..gone(&[]) });
    }
    assert!(bench.told.is_empty(), "{:?}", bench.told);
    bench.put(Input::Info(&RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() }));
    let told = bench.told.iter().filter_map(|effect| {
        let Effect::Happened { what, .. } = effect else { return None };
        let nick = &*what.person()?.nick;
        (nick != "focus").then(|| format!("{} {nick}", what.kind().as_str()))
    });
    let expected = [
        "occupant.left again",
        "occupant.left leaver",
        "occupant.left went",
        "occupant.joined hasty",
        "occupant.left hasty",
        "occupant.joined again",
        "occupant.joined new",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn the_focus_is_no_person_when_it_goes_either() {
    let mut bench = entered("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    bench.put(Input::Info(&RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() }));
    bench.told.clear();
    bench.say("focus", &RoomPresence { statuses: Vec::new(), ..gone(&[]) });
    let left = bench.told.iter().find_map(|effect| {
        let Effect::Happened { what, .. } = effect else { return None };
        let What::OccupantLeft { person, .. } = &**what else { return None };
        Some(person.machine)
    });
    assert_eq!(left, Some(Some(crate::event::Machine::Focus)));
}

// ── the lobby's door

/// A held room whose lobby we are in.
fn with_lobby() -> Bench {
    let mut bench = ruled("[idle_close]", policy::Mode::DryRun);
    let lobby = Some("tavern@lobby.meet.jitsi".into());
    let info = RoomInfo { meeting_id: Some("life-1".into()), members_only: true, lobby, ..RoomInfo::default() };
    let effects = bench.put(Input::Info(&info));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Knock { .. })), "{effects:?}");
    bench.put(Input::Lobby { nick: NICK, read: &own_presence(Role::Moderator) });
    bench.told.clear();
    bench
}

impl Bench {
    fn knock(&mut self, nick: &str, real: &str) -> Vec<Effect> {
        self.put(Input::Lobby { nick, read: &somebody(real, "x") })
    }
}

fn banned(key: &str) -> crate::policy::bans::Ban {
    crate::policy::bans::Ban {
        target: Target::Key(policy::OccupantKey::read(key).expect("a key")),
        service: None,
        rooms: None,
        until: None,
        reason: "spam".into(),
        note: String::new(),
        by: "admin".into(),
        known_as: String::new(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_knock_is_told_once_and_so_is_its_end_also_when_we_lose_sight_of_it() {
    let mut bench = with_lobby();
    bench.knock("a", "ann@meet.jitsi/1");
    bench.knock("a", "ann@meet.jitsi/1");
    assert_eq!(told(&mut bench), ["lobby.knocked"]);
    let cause = Cause::new(Word::Disconnected, "gone");
    bench.put(Input::Offline { cause: &cause, resumable: false });
    assert_eq!(told(&mut bench), ["lobby.left"]);
}

#[test]
fn who_waits_is_said_again_when_it_is_asked_for_and_after_a_lost_stream_and_nobody_who_is_banned() {
    let mut bench = with_lobby();
    let waiting = |effects: &[Effect]| -> Vec<String> {
        let people = effects.iter().find_map(|effect| match effect {
            Effect::Waiting(people) => Some(people),
            _ => None,
        });
        people.into_iter().flatten().map(|person| person.nick.to_string()).collect()
    };
    assert_eq!(bench.put(Input::Waiting).len(), 0, "nobody does");
    bench.knock("a", "ann@meet.jitsi/1");
    bench.knock("m", "mallory@meet.jitsi/1");
    assert_eq!(waiting(&bench.put(Input::Waiting)), ["a", "m"]);
    bench.bans = Bans::new([banned("account:mallory@meet.jitsi")], policy::AllowList::default());
    assert_eq!(waiting(&bench.put(Input::Waiting)), ["a"]);
    let cause = Cause::new(Word::Disconnected, "gone");
    bench.put(Input::Offline { cause: &cause, resumable: true });
    let effects = bench.put(Input::Online { resumed: true });
    assert_eq!(waiting(&effects), ["a"], "{effects:?}");
    bench.put(Input::Offline { cause: &cause, resumable: false });
    assert_eq!(waiting(&bench.put(Input::Waiting)), [""; 0], "we see nobody from outside");
}

#[test]
fn who_is_banned_is_sent_away_from_the_lobby_and_no_authority_lets_them_in() {
    let mut bench = with_lobby();
    bench.bans = Bans::new([banned("account:mallory@meet.jitsi")], policy::AllowList::default());
    bench.put(Input::Bans);
    let away = |nick: &str| Step::Role { lobby: true, nick: nick.into(), role: Role::None };
    let effects = bench.knock("m", "mallory@meet.jitsi/1");
    assert_eq!(steps(&effects), [&away("m")], "{effects:?}");
    let says = |effect: &Effect| matches!(effect, Effect::Happened { what, .. } if matches!(**what, What::LobbyKnocked { banned: true, .. }));
    assert!(bench.told.iter().any(says), "{:?}", bench.told);
    let effects = bench.knock("e", "eve@meet.jitsi/1");
    assert!(steps(&effects).is_empty(), "{effects:?}");
    let admit = |nick: &str| Request {
        key: nick.into(),
        actor: Actor::Authority { name: "story".into() },
        action: Action::Admit { nick: nick.into() },
        real_jid: None,
        reason: "".into(),
    };
    let effects = bench.put(Input::Act(admit("m")));
    assert!(steps(&effects).is_empty(), "{effects:?}");
    assert!(
        matches!(&effects[..], [Effect::Progress { progress: Progress::Refused(_), over: true, .. }]),
        "{effects:?}"
    );
    // A ban that is made while somebody waits.
    bench.bans = Bans::new([banned("account:eve@meet.jitsi")], policy::AllowList::default());
    assert_eq!(steps(&bench.put(Input::Bans)), [&away("e")]);
}

#[test]
fn a_recording_is_told_once_in_a_life_although_we_come_in_twice_and_its_end_is_heard_whenever_it_was() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    let shows = |status: &str| RoomPresence {
        recordings: vec![Shown { status: status.to_owned(), session: Some("rec-1".to_owned()), ..Shown::default() }],
        ..focus_presence()
    };
    let told = |bench: &mut Bench| -> Vec<&'static str> {
        let kind = |effect: &Effect| match effect {
            Effect::Happened { what, .. } => match **what {
                What::RecordingStarted(_) => Some("started"),
                What::RecordingStopped(_) => Some("stopped"),
                _ => None,
            },
            _ => None,
        };
        std::mem::take(&mut bench.told).iter().filter_map(kind).collect()
    };
    // It is on when we come in: the focus shows that before we are inside.
    let come_in = |bench: &mut Bench, status: &str| {
        bench.ask();
        bench.put(Input::Conference(&ready()));
        bench.say("focus", &shows(status));
        let own = bench.joining_nick();
        bench.say(&own, &own_presence(Role::Moderator));
        bench.put(Input::Info(&RoomInfo { meeting_id: Some("life-1".into()), ..RoomInfo::default() }));
    };
    bench.thrown_out(&[110]);
    told(&mut bench);
    bench.elapse();
    come_in(&mut bench, "on");
    assert_eq!(told(&mut bench), ["started"]);
    bench.say("focus", &shows("on"));
    bench.thrown_out(&[110]);
    bench.elapse();
    come_in(&mut bench, "off");
    assert_eq!(told(&mut bench), ["stopped"], "and not started a second time");
    bench.say("focus", &shows("off"));
    assert_eq!(told(&mut bench), [""; 0]);
}

// ── who works against the keeper, or while it works

impl Bench {
    /// The answer to the only step among these effects.
    fn answer(&mut self, effects: &[Effect], answer: Answered<'_>) -> Vec<Effect> {
        let number = |effect: &Effect| if let Effect::Step { number, .. } = effect { Some(*number) } else { None };
        let numbers: Vec<u32> = effects.iter().filter_map(number).collect();
        assert_eq!(numbers.len(), 1, "{effects:?}");
        self.put(Input::Stepped { number: numbers[0], answer })
    }

    /// Other rules, as after a reload.
    fn other_rules(&mut self, rules: &str, mode: policy::Mode) -> Vec<Effect> {
        let plans = Some(Arc::new(policy::bench::plans(rules, mode)));
        self.put(Input::Settings(Arc::new(Settings { plans, ..settings(true) })))
    }

    fn says(&mut self, nick: &str, body: &str) -> Vec<Effect> {
        self.put(Input::Message { nick: Some(nick), said: &message(body) })
    }

    fn ban(&mut self, key: &str) -> Vec<Effect> {
        self.bans = Bans::new([banned(key)], policy::AllowList::default());
        self.put(Input::Bans)
    }
}

fn kick(nick: &str) -> Step {
    Step::Role { lobby: false, nick: nick.into(), role: Role::None }
}

/// Somebody else than we is no longer there under a nick.
fn away(status: u16) -> RoomPresence {
    let statuses = vec![Status(status)];
    RoomPresence { type_: Some("unavailable".into()), statuses, ..RoomPresence::default() }
}

const GUEST: &str = "8a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi/1";

#[test]
fn whoever_is_banned_and_was_not_put_out_is_tried_again_later_and_later() {
    let mut bench = Bench::held();
    bench.ban("hint:Ada-xyz");
    let mut effects = bench.say("g", &somebody(GUEST, "Ada-xyz"));
    assert_eq!(steps(&effects), [&kick("g")]);
    for least in [8, 16, 32] {
        let quiet = bench.answer(&effects, Answered::Silence);
        assert!(steps(&quiet).is_empty(), "not at once: {quiet:?}");
        let before = bench.now;
        let mut passed = 0;
        loop {
            effects = bench.elapse();
            passed += 1;
            if steps(&effects) == [&kick("g")] {
                break;
            }
            assert!(passed < 20, "nobody tried again");
        }
        assert!(bench.now - before >= Duration::from_secs(least), "{:?}", bench.now - before);
    }
    bench.say("g", &away(307));
    for _ in 0..20 {
        assert!(bench.room.deadline().is_none() || steps(&bench.elapse()).is_empty(), "they are gone");
    }
}

#[test]
fn a_ban_that_was_lifted_while_the_room_was_asked_puts_nobody_out_any_more() {
    let mut bench = Bench::held();
    let own = bench.joining_nick();
    bench.say(&own, &occupant(Role::Moderator, Affiliation::Owner, "keeper@meet.jitsi/k"));
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    let effects = bench.ban("account:mallory@meet.jitsi");
    let outcast = Step::Affiliate { jids: vec!["mallory@meet.jitsi".into()], to: Affiliation::Outcast };
    assert_eq!(steps(&effects), [&outcast]);
    bench.bans = Bans::default();
    bench.put(Input::Bans);
    assert!(steps(&bench.answer(&effects, Answered::Silence)).is_empty(), "they may stay");

    bench.say("g", &somebody(GUEST, "Ada-xyz"));
    let effects = bench.ban("hint:Ada-xyz");
    let renamed = RoomPresence { new_nick: Some("h".into()), ..away(303) };
    bench.say("g", &renamed);
    bench.say("h", &somebody(GUEST, "Ada-xyz"));
    bench.bans = Bans::default();
    bench.put(Input::Bans);
    let item_not_found = error("item-not-found", "");
    assert!(steps(&bench.answer(&effects, Answered::Refused(&item_not_found))).is_empty(), "nor under a new nick");
    let effects = bench.ban("hint:Ada-xyz");
    assert_eq!(steps(&effects), [&kick("h")], "a new ban is another matter: {effects:?}");
}

#[test]
fn a_ban_on_a_name_makes_no_account_an_outcast() {
    let mut bench = Bench::held();
    bench.ban("name:eve");
    let eve = RoomPresence { display_name: Some("Eve".into()), ..somebody("ann@meet.jitsi/1", "x") };
    assert_eq!(steps(&bench.say("e", &eve)), [&kick("e")]);
}

#[test]
fn other_rules_kick_nobody_twice_who_is_on_the_way_out() {
    let rules = "[name_pattern]\nmust_not = [\"mallory\"]";
    let mut bench = ruled(rules, policy::Mode::Enforce);
    let mallory = RoomPresence { display_name: Some("Mallory".into()), ..somebody("m@meet.jitsi/1", "x") };
    assert_eq!(steps(&bench.say("m", &mallory)), [&kick("m")]);
    let again = bench.other_rules(&format!("{rules}\n[caps_lock]"), policy::Mode::Enforce);
    assert!(steps(&again).is_empty(), "{again:?}");
}

#[test]
fn a_hint_that_was_copied_from_somebody_inside_bans_nobody() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"ban\"", policy::Mode::Enforce);
    let guest = |number: u8, stats_id: &str| RoomPresence {
        occupant_id: Some(format!("oid-{number}")),
        display_name: Some("Mallory".into()),
        ..somebody(&format!("{number}a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi/1"), stats_id)
    };
    bench.say("a", &guest(1, "Ann-xyz"));
    bench.say("m", &guest(2, "Ann-xyz"));
    bench.say("n", &guest(3, "Nob-xyz"));
    let mut bans = |nick: &str| {
        let effects = bench.says(nick, "spam");
        let ban = effects.iter().find_map(|effect| match effect {
            Effect::Ban { targets, known_as, .. } => Some((targets.clone(), known_as.to_string())),
            _ => None,
        });
        let (targets, known_as) = ban.unwrap_or_else(|| panic!("{effects:?}"));
        (targets.iter().map(ToString::to_string).collect::<Vec<_>>(), known_as)
    };
    let (targets, known_as) = bans("m");
    assert_eq!(targets, ["occupant-id:oid-2"]);
    assert_eq!(known_as, "Mallory (2a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi)");
    assert_eq!(bans("n").0, ["occupant-id:oid-3", "hint:Nob-xyz"]);
}

#[test]
fn a_moderator_reaches_no_further_by_our_hand_than_by_their_own() {
    let mut bench = Bench::held();
    let moderated = Moderated {
        chat: chat::Settings { moderators: true, accounts: vec!["ann@meet.jitsi".into()], ..chat::Settings::default() },
        ..Moderated::default()
    };
    bench.put(Input::Settings(Arc::new(Settings { moderated: Some(Arc::new(moderated)), ..settings(true) })));
    bench.say("m", &occupant(Role::Moderator, Affiliation::None, "mod@meet.jitsi/1"));
    bench.say("o", &occupant(Role::Moderator, Affiliation::Owner, "owner@meet.jitsi/1"));
    bench.say("a", &occupant(Role::Participant, Affiliation::None, "ann@meet.jitsi/1"));
    let said = |effects: &[Effect]| match steps(effects)[..] {
        [Step::Private { text, .. }] => text.to_string(),
        _ => panic!("{effects:?}"),
    };
    for (command, part) in [
        ("!kick o", "higher in this room"),
        ("!ban o", "higher in this room"),
        ("!unvoice o", "higher in this room"),
        ("!kick focus", "conference focus"),
        ("!ban 00000000_innkeeper", "the keeper"),
    ] {
        let effects = bench.says("m", command);
        assert!(said(&effects).contains(part), "{command}: {effects:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ban { .. })), "{effects:?}");
    }
    assert!(said(&bench.says("a", "!kick focus")).contains("conference focus"));
    let kicks = |effects: &[Effect], nick: &str| steps(effects).contains(&&kick(nick));
    assert!(kicks(&bench.says("o", "!kick m"), "m"));
    assert!(kicks(&bench.says("a", "!kick o"), "o"), "whom the admin lists may");
}

#[test]
fn a_command_that_was_said_while_the_stream_was_lost_is_not_obeyed() {
    let mut bench = Bench::held();
    let chat = chat::Settings { moderators: true, ..chat::Settings::default() };
    let moderated = Some(Arc::new(Moderated { chat, ..Moderated::default() }));
    bench.put(Input::Settings(Arc::new(Settings { moderated, ..settings(true) })));
    bench.say("m", &occupant(Role::Moderator, Affiliation::None, "mod@meet.jitsi/1"));
    bench.say("a", &occupant(Role::Participant, Affiliation::None, "ann@meet.jitsi/1"));
    bench.put(Input::Message { nick: None, said: &Said { body: None, subject: Some("".into()), ..message("") } });
    bench.put(Input::Offline { cause: &Cause::new(Word::Disconnected, "gone"), resumable: true });
    bench.put(Input::Online { resumed: true });
    let again = Said { age: Age::History, ..message("!kick a") };
    assert!(!steps(&bench.put(Input::Message { nick: Some("m"), said: &again })).contains(&&kick("a")));
    assert!(steps(&bench.says("m", "!kick a")).contains(&&kick("a")));
}

fn lobby_info(on: bool) -> RoomInfo {
    RoomInfo {
        meeting_id: Some("life-1".into()),
        lobby: on.then(|| "tavern@lobby.meet.jitsi".into()),
        ..RoomInfo::default()
    }
}

/// Four people at once, under a rule that takes three for well; then the room shows that it did as it was told.
fn wave(bench: &mut Bench) -> Vec<Effect> {
    let come = |n: u8| bench.say(&format!("g{n}"), &somebody(&format!("g{n}@meet.jitsi/1"), "x"));
    let effects: Vec<Effect> = (0..4).flat_map(come).collect();
    if switches(&effects, true) > 0 {
        bench.obeys(&effects);
    }
    effects
}

/// How many times it is asked for the lobby to be on, or off.
fn switches(effects: &[Effect], on: bool) -> usize {
    let asked = |effect: &&Effect| {
        matches!(effect, Effect::Progress { request, progress: Progress::Requested, .. }
            if request.action == Action::Lobby { on })
    };
    effects.iter().filter(asked).count()
}

impl Bench {
    fn own(&mut self) -> Vec<Effect> {
        let nick = self.joining_nick();
        self.say(&nick, &occupant(Role::Moderator, Affiliation::Owner, "keeper@meet.jitsi/k"))
    }

    /// The room does whatever it is asked for, and shows its lobby as it is then.
    fn obeys(&mut self, effects: &[Effect]) {
        let form = |on: bool| {
            let value = if on { "1" } else { "0" };
            let xml = format!(
                "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
                 <x xmlns='jabber:x:data' type='form'><field var='muc#roomconfig_membersonly' type='boolean'>\
                 <value>{value}</value></field></x></query></iq>"
            );
            RoomForm::read(&xml.parse().expect("a form"))
        };
        let mut on = false;
        let mut steps: Vec<(u32, Step)> = Vec::new();
        let taken = |effects: &[Effect], steps: &mut Vec<(u32, Step)>| {
            let step = |effect: &Effect| match effect {
                Effect::Step { number, step, .. } => Some((*number, step.clone())),
                _ => None,
            };
            steps.extend(effects.iter().filter_map(step));
        };
        taken(effects, &mut steps);
        while let Some((number, step)) = steps.pop() {
            let shown = form(on);
            let answer = match step {
                Step::Form => Answered::Form(&shown),
                Step::Submit { members_only, .. } => {
                    on = members_only;
                    Answered::Done
                }
                _ => Answered::Done,
            };
            let effects = self.put(Input::Stepped { number, answer });
            taken(&effects, &mut steps);
        }
        self.put(Input::Info(&lobby_info(on)));
    }
}

const WAVE: &str = "[join_wave]\njoins = 3\nwith = \"lobby\"\ncalm = \"1m\"";

#[test]
fn a_lobby_that_a_person_switched_on_stays_when_the_wave_is_over() {
    for by_a_person in [true, false] {
        let mut bench = ruled(WAVE, policy::Mode::Enforce);
        bench.own();
        bench.put(Input::Info(&lobby_info(by_a_person)));
        assert_eq!(switches(&wave(&mut bench), true), usize::from(!by_a_person));
        bench.now += Duration::from_secs(61);
        let effects = bench.put(Input::Timeout);
        assert_eq!(switches(&effects, false), usize::from(!by_a_person), "{effects:?}");
    }
}
#[test]
fn a_door_that_a_rule_shut_is_opened_when_the_rule_is_gone() {
    for restarted in [false, true] {
        let mut bench = ruled(WAVE, policy::Mode::Enforce);
        bench.own();
        bench.put(Input::Info(&lobby_info(false)));
        assert_eq!(switches(&wave(&mut bench), true), 1);
        let effects = if restarted {
            let left = bench.put(Input::Release);
            let left = left.into_iter().find_map(|effect| match effect {
                Effect::Remember(state) => Some(state),
                _ => None,
            });
            bench = Bench::new(true);
            bench.around.components_known = true;
            bench.put(Input::Recall(left.expect("what is remembered is kept")));
            bench.enter();
            let mut effects = bench.own();
            effects.extend(bench.put(Input::Info(&lobby_info(true))));
            effects
        } else {
            bench.other_rules(WAVE, policy::Mode::DryRun)
        };
        assert_eq!(switches(&effects, false), 1, "restarted {restarted}: {effects:?}");
        assert_eq!(switches(&bench.put(Input::Bans), false), 0, "once");
    }
}

#[test]
fn a_flood_without_words_is_a_flood() {
    let mut bench = ruled("[flood]\npresences = 5\naction = \"kick\"", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    let wordless = Said { groupchat: true, ..Said::default() };
    let effects: Vec<Effect> =
        (0..20).flat_map(|_| bench.put(Input::Message { nick: Some("m"), said: &wordless })).collect();
    assert_eq!(steps(&effects), [&kick("m")], "{effects:?}");
}

fn asked(key: &str, actor: Actor, action: Action) -> Input<'static> {
    Input::Act(Request { key: key.into(), actor, action, real_jid: None, reason: "".into() })
}

#[test]
fn the_keeper_puts_nobody_out_who_is_itself_and_takes_nothing_from_itself() {
    let mut bench = Bench::held();
    let own = bench.joining_nick();
    let affiliate = |to| Action::Affiliate { jid: "keeper@meet.jitsi".into(), to };
    let actions = [Action::Kick { nick: own.as_str().into() }, affiliate(Standing::None), affiliate(Standing::Outcast)];
    for (key, action) in ["a", "b", "c"].into_iter().zip(actions) {
        let effects = bench.put(asked(key, Actor::CommandLine { uid: 0 }, action));
        assert!(steps(&effects).is_empty(), "{effects:?}");
        let refused = |effect: &Effect| {
            matches!(effect, Effect::Progress { progress: Progress::Refused(cause), over: true, .. }
                if cause.text.contains("innkeeper release"))
        };
        assert!(effects.iter().any(refused), "{effects:?}");
    }
}

#[test]
fn the_end_of_a_ban_takes_nothing_from_somebody_who_is_inside_by_then() {
    let mut bench = Bench::held();
    bench.say("a", &occupant(Role::Moderator, Affiliation::Owner, "ann@meet.jitsi/1"));
    let lift = |jid: &str| Action::Affiliate { jid: jid.into(), to: Standing::None };
    let effects = bench.put(asked("a", Actor::Bans, lift("ann@meet.jitsi")));
    assert!(steps(&effects).is_empty(), "{effects:?}");
    let over = |effect: &Effect| matches!(effect, Effect::Progress { progress: Progress::Seen, over: true, .. });
    assert!(effects.iter().any(over), "{effects:?}");
    assert_eq!(steps(&bench.put(asked("b", Actor::Bans, lift("eve@meet.jitsi")))).len(), 1);
}
