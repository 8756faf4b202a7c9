//! Keeping order: bans, rules, events, and the lobby's door.

use super::*;
use crate::xmpp::room_form::RoomForm;

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
    bench.bans =
        Bans::new([banned("account:mallory@meet.jitsi"), banned("hint:Ada-xyz")], policy::AllowList::default());
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
        target: Target::read(key).expect("a target"),
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
fn who_came_while_a_domain_was_cast_out_in_vain_is_judged_where_the_ban_ended_meanwhile() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    let own = bench.joining_nick();
    bench.say(&own, &occupant(Role::Moderator, Affiliation::Owner, "keeper@meet.jitsi/k"));
    bench.say("g", &somebody("1@guest.meet.jitsi/1", "x"));
    let effects = bench.ban("accounts:*@guest.meet.jitsi");
    let outcast = Step::Affiliate { jids: vec!["guest.meet.jitsi".into()], to: Affiliation::Outcast };
    assert_eq!(steps(&effects), [&outcast]);
    let joined = bench.say("h", &somebody("2@guest.meet.jitsi/1", "y"));
    assert!(steps(&joined).is_empty(), "they go with the others");
    bench.bans = Bans::default();
    bench.put(Input::Bans);
    assert!(steps(&bench.answer(&effects, Answered::Silence)).is_empty(), "they may stay");
    for nick in ["h", "g"] {
        let effects = bench.says(nick, "buy spam");
        assert_eq!(steps(&effects), [&kick(nick)], "{nick}: {effects:?}");
    }
}

#[test]
fn who_has_another_kicked_in_their_place_is_kicked_themselves() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]\naction = \"kick\"", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    assert_eq!(steps(&bench.says("m", "buy spam")), [&kick("m")]);
    bench.say("m", &RoomPresence { new_nick: Some("n".into()), ..away(303) });
    bench.say("n", &somebody("mallory@meet.jitsi/1", "x"));
    bench.say("m", &somebody("eve@meet.jitsi/1", "y"));
    // The kick arrives.
    let effects = bench.say("m", &away(307));
    assert_eq!(steps(&effects), [&kick("n")], "{effects:?}");
    assert!(steps(&bench.say("n", &away(307))).is_empty(), "and that is that");
}

#[test]
fn nothing_is_said_while_the_stream_is_lost_and_whoever_asks_is_told_so() {
    let mut bench = Bench::held();
    bench.say("a", &somebody("ann@meet.jitsi/1", "x"));
    let kick_ann = |key| asked(key, Actor::CommandLine { uid: 0 }, Action::Kick { nick: "a".into() });
    assert_eq!(steps(&bench.put(kick_ann("one"))), [&kick("a")]);
    bench.put(Input::Offline { cause: &Cause::new(Word::Disconnected, "gone"), resumable: true });
    let outcomes = |effects: &[Effect]| -> Vec<(&'static str, bool)> {
        let outcome = |effect: &Effect| match effect {
            Effect::Progress { progress, over, .. } => Some((progress.as_str(), *over)),
            _ => None,
        };
        effects.iter().filter_map(outcome).collect()
    };
    let effects = bench.put(kick_ann("two"));
    assert_eq!((steps(&effects), outcomes(&effects)), (vec![], vec![("refused", true)]));
    assert_eq!(outcomes(&bench.put(kick_ann("one"))), [("sent", false)], "it may yet be done");
    bench.put(Input::Online { resumed: true });
    assert_eq!(outcomes(&bench.say("a", &away(307))), [("seen", true)]);
}

#[test]
fn strikes_are_kept_before_the_stream_is_waited_for() {
    let mut bench = ruled("[words]\nwords = [\"spam\"]", policy::Mode::Enforce);
    bench.say("m", &somebody("mallory@meet.jitsi/1", "x"));
    let kept = |effects: &[Effect]| {
        let strikes = |effect: &Effect| match effect {
            Effect::Remember(state) => Some(state.strikes.iter().map(|one| one.until.len()).sum::<usize>()),
            _ => None,
        };
        effects.iter().find_map(strikes)
    };
    assert_eq!(kept(&bench.says("m", "buy spam")), Some(1));
    assert_eq!(kept(&bench.says("m", "buy spam")), None, "in a moment");
    let cause = Cause::new(Word::Disconnected, "gone");
    assert_eq!(kept(&bench.put(Input::Offline { cause: &cause, resumable: true })), Some(2));
}

#[test]
fn what_was_asked_for_too_early_is_not_forgotten_with_a_lost_stream() {
    let mut bench = Bench::held();
    bench.around.components_known = false;
    bench.put(asked("end", Actor::CommandLine { uid: 0 }, Action::End));
    bench.put(Input::Info(&RoomInfo::default()));
    bench.put(Input::Offline { cause: &Cause::new(Word::Disconnected, "gone"), resumable: true });
    let effects = bench.put(Input::Online { resumed: true });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::AskInfo)), "{effects:?}");
    bench.around.components_known = true;
    let effects = bench.put(Input::Components);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Progress { .. })), "{effects:?}");
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
            Effect::Ban(wish) => Some((wish.targets.clone(), wish.known_as.to_string())),
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
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ban(_))), "{effects:?}");
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

/// The wave is over, and the lobby is just switched off again.
fn after_a_wave() -> (Bench, Vec<Effect>) {
    let mut bench = ruled(WAVE, policy::Mode::Enforce);
    bench.own();
    bench.put(Input::Info(&lobby_info(false)));
    wave(&mut bench);
    bench.now += Duration::from_secs(61);
    let effects = bench.put(Input::Timeout);
    assert_eq!(switches(&effects, false), 1, "{effects:?}");
    (bench, effects)
}

impl Bench {
    /// What comes of each deadline within that time.
    fn within(&mut self, time: Duration) -> Vec<Effect> {
        let (end, mut effects) = (self.now + time, Vec::new());
        while let Some(due) = self.room.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            effects.extend(self.put(Input::Timeout));
        }
        self.now = end;
        effects
    }
}

#[test]
fn a_door_that_the_room_does_not_open_is_tried_again_later_and_later_until_it_does() {
    let (mut bench, mut effects) = after_a_wave();
    let refusal = error("not-allowed", "");
    for least in [8, 16, 32] {
        assert_eq!(switches(&bench.answer(&effects, Answered::Refused(&refusal)), false), 0, "not at once");
        assert_eq!(switches(&bench.within(Duration::from_secs(least - 1)), false), 0);
        effects = bench.within(Duration::from_secs(least));
        assert_eq!(switches(&effects, false), 1, "after {least} s: {effects:?}");
    }
    bench.obeys(&effects);
    assert_eq!(switches(&bench.within(Duration::from_secs(3600)), false), 0, "it is open");
}

#[test]
fn a_door_that_was_to_be_opened_as_the_stream_was_lost_is_opened_by_the_next() {
    for resumable in [false, true] {
        let (mut bench, _) = after_a_wave();
        bench.put(Input::Offline { cause: &Cause::new(Word::Disconnected, "gone"), resumable });
        let mut effects = bench.put(Input::Online { resumed: resumable });
        if !resumable {
            bench.effects.clear();
            bench.ask();
            bench.put(Input::Conference(&ready()));
            bench.list();
            effects = bench.own();
            effects.extend(bench.put(Input::Info(&lobby_info(true))));
        }
        effects.extend(bench.within(Duration::from_secs(30)));
        assert_eq!(switches(&effects, false), 1, "resumable {resumable}: {effects:?}");
    }
}

#[test]
fn a_lobby_that_a_person_switched_off_and_on_again_is_theirs_and_so_is_one_of_another_life() {
    for another_life in [false, true] {
        let (mut bench, effects) = after_a_wave();
        bench.answer(&effects, Answered::Refused(&error("not-allowed", "")));
        if another_life {
            bench.put(Input::Offline { cause: &Cause::new(Word::Disconnected, "gone"), resumable: false });
            bench.put(Input::Online { resumed: false });
            bench.effects.clear();
            bench.ask();
            bench.put(Input::Conference(&ready()));
            bench.list();
            bench.own();
            let info = RoomInfo { meeting_id: Some("life-2".into()), ..lobby_info(true) };
            assert_eq!(switches(&bench.put(Input::Info(&info)), false), 0);
        } else {
            bench.put(Input::Info(&lobby_info(false)));
            bench.put(Input::Info(&lobby_info(true)));
        }
        assert_eq!(switches(&bench.within(Duration::from_secs(3600)), false), 0, "another life {another_life}");
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
