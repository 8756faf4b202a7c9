#![expect(clippy::disallowed_methods)]

use super::pending::{Answer as Answered, Step};
use super::*;
use crate::action::{Action, Actor, Progress, Request, Standing};
use crate::config::{RoomKey, Secret};
use crate::event::What;
use crate::policy::bans::{Bans, Target};
use crate::xmpp::muc::{Affiliation, Recording as Shown};
use crate::xmpp::room_form::RoomForm;
use crate::xmpp::room_info::RoomInfo;

mod order;

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
fn what_records_is_no_person_where_the_server_says_whose_it_is() {
    let mut bench = Bench::held();
    let jibri = |jid: &str| RoomPresence {
        machine: Some(crate::xmpp::muc::Machine::Recorder),
        ..occupant(Role::Participant, Affiliation::None, jid)
    };
    bench.say("jibri", &jibri("jibri@auth.meet.jitsi/x"));
    assert_eq!(bench.room.people(&bench.focus), 0);
    // Whoever says so of themselves is counted all the same.
    bench.say("mallory", &jibri("m@g/x"));
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

/// A room's form that shows this password.
fn locked_with(password: &str) -> RoomForm {
    let form = format!(
        "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='form'><field var='muc#roomconfig_roomsecret' type='text-private'>\
         <value>{password}</value></field></x></query></iq>"
    );
    RoomForm::read(&form.parse().expect("the test's own text"))
}

#[test]
fn a_password_that_a_person_sets_is_learnt_from_the_form_and_lets_us_in_again() {
    let mut bench = Bench::held();
    bench.around.components_known = true;
    let configured = Said { groupchat: true, statuses: vec![104], ..Said::default() };
    let locked = RoomInfo { password_protected: true, ..RoomInfo::default() };
    assert!(bench.put(Input::Message { nick: None, said: &configured }).contains(&Effect::AskInfo));
    let asked = bench.put(Input::Info(&locked));
    assert_eq!(asked.iter().filter(|one| **one == Effect::LockForm).count(), 1, "{asked:?}");
    bench.put(Input::Form(Ok(&locked_with("sesame"))));
    assert_eq!(bench.room.password().map(Secret::expose), Some("sesame"));
    // A change of it is seen, too.
    bench.put(Input::Message { nick: None, said: &configured });
    assert!(bench.put(Input::Info(&locked)).contains(&Effect::LockForm));
    bench.put(Input::Form(Ok(&locked_with("barley"))));
    bench.thrown_out(&[307, 110]);
    assert_eq!(bench.room.password().map(Secret::expose), Some("barley"));
    bench.elapse();
    bench.enter();
    bench.put(Input::Info(&RoomInfo::default()));
    assert_eq!(bench.room.password(), None, "it is open again");
}

#[test]
fn an_owner_who_lacks_the_password_asks_for_the_form_from_outside() {
    let mut bench = Bench::new(true);
    bench.effects.clear();
    bench.ask();
    bench.put(Input::Conference(&ready()));
    assert!(bench.refuse("not-authorized", "").contains(&Effect::LockForm));
    assert!(bench.wait() > Duration::from_secs(60));
    let forbidden = error("forbidden", "");
    bench.put(Input::Form(Err(&forbidden)));
    assert!(bench.wait() > Duration::from_secs(60), "we are no owner");
    bench.put(Input::Form(Ok(&locked_with("sesame"))));
    assert!(bench.wait() < Duration::from_secs(2));
    bench.elapse();
    bench.enter();
    assert_eq!(bench.room.password().map(Secret::expose), Some("sesame"));
}

#[test]
fn a_form_whose_password_does_not_let_us_in_sends_nobody_round_in_a_quick_circle() {
    let mut bench = Bench::new(true);
    let mut tries = 0;
    let end = bench.now + Duration::from_secs(600);
    bench.effects.clear();
    while bench.now < end {
        bench.ask();
        bench.put(Input::Conference(&ready()));
        if bench.refuse("not-authorized", "").contains(&Effect::LockForm) {
            bench.put(Input::Form(Ok(&locked_with("stale"))));
        }
        bench.elapse();
        tries += 1;
    }
    assert!(tries < 40, "{tries} tries in ten minutes");
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
