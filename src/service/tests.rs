#![expect(clippy::disallowed_methods)]

use super::*;

fn key(name: &str) -> RoomKey {
    RoomKey { service: "s".into(), name: name.into() }
}

fn unreachable() -> Cause {
    Cause::new(Word::Unreachable, "refused")
}

/// A service with `rooms` rooms, two a session, whose sessions want to connect.
fn service(rooms: usize) -> (Service, Logins, Vec<Output>) {
    let mut service = Service::new(true, 2, 1);
    service.proven = true;
    let mut out = Vec::new();
    for n in 0..rooms {
        service.place(&key(&n.to_string()), &mut out);
    }
    (service, Logins::new(8), out)
}

fn connects(out: &[Output]) -> Vec<usize> {
    out.iter().filter_map(|output| if let Output::Connect(id) = output { Some(*id) } else { None }).collect()
}

#[test]
fn rooms_fill_sessions_and_the_last_room_closes_its_session() {
    let (mut service, mut logins, mut out) = service(5);
    assert_eq!(out, [Output::Start(0), Output::Start(1), Output::Start(2)]);
    out.clear();
    service.left(&key("4"), &mut logins, &mut out);
    assert_eq!(out, [Output::Stop(2)]);
    service.left(&key("0"), &mut logins, &mut out);
    assert_eq!(service.place(&key("new"), &mut out), 0);
}

#[test]
fn a_server_that_is_down_is_probed_by_one_session_and_all_follow_when_it_is_back() {
    let (mut service, mut logins, _) = service(10);
    let mut now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out).len(), 5);
    for id in 0..5 {
        service.failed(now, id, &unreachable(), &mut logins);
    }
    let mut attempts = 0;
    for _ in 0..600 {
        now += Duration::from_millis(100);
        out.clear();
        service.poll(now, &mut logins, &mut out);
        for id in connects(&out) {
            attempts += 1;
            service.failed(now, id, &unreachable(), &mut logins);
        }
    }
    assert!((12..=18).contains(&attempts), "{attempts} attempts in a minute");
    now = service.deadline().expect("an attempt is due");
    out.clear();
    service.poll(now, &mut logins, &mut out);
    let prober = connects(&out);
    assert_eq!(prober.len(), 1);
    service.online(now, prober[0], &mut logins, &mut out);
    out.clear();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out).len(), 4);
}

#[test]
fn no_more_logins_than_the_host_allows_are_on_their_way() {
    let (mut service, _, _) = service(100);
    let mut logins = Logins::new(8);
    let now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out).len(), 8);
    assert_eq!(service.deadline(), None, "waiting for a login to end is no reason to look at the clock");
    service.online(now, 0, &mut logins, &mut out);
    out.clear();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out), [8]);
}

#[test]
fn a_pool_tries_a_password_once_before_all_of_it_logs_in() {
    let mut service = Service::new(true, 2, 1);
    let (mut logins, mut out, mut now) = (Logins::new(8), Vec::new(), Instant::now());
    for n in 0..10 {
        service.place(&key(&n.to_string()), &mut out);
    }
    service.be_gentle(now);
    for _ in 0..3 {
        out.clear();
        service.poll(now, &mut logins, &mut out);
        service.poll(now + Duration::from_secs(1), &mut logins, &mut out);
        assert_eq!((connects(&out), service.deadline()), (vec![0], None));
        service.failed(now, 0, &Cause::new(Word::BadCredentials, "x"), &mut logins);
        service.poll(now, &mut logins, &mut out);
        now = service.deadline().expect("it is tried again");
    }
    out.clear();
    service.poll(now, &mut logins, &mut out);
    service.online(now, 0, &mut logins, &mut out);
    for _ in 0..4 {
        now += GENTLE;
        service.poll(now, &mut logins, &mut out);
    }
    assert_eq!(connects(&out), [0, 1, 2, 3, 4]);
    // The password is changed on a server that restarts.
    service.failed(now, 1, &Cause::new(Word::BadCredentials, "x"), &mut logins);
    for id in [0, 2, 3, 4] {
        service.lost(now, id, &unreachable());
    }
    now += Duration::from_secs(400);
    out.clear();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out).len(), 1);
}

#[test]
fn a_refused_password_is_not_tried_again_for_minutes() {
    let (mut service, mut logins, _) = service(4);
    let now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    for id in connects(&out) {
        service.failed(now, id, &Cause::new(Word::BadCredentials, "x"), &mut logins);
    }
    out.clear();
    service.poll(now + Duration::from_secs(200), &mut logins, &mut out);
    assert_eq!(out, []);
    service.poll(now + Duration::from_secs(361), &mut logins, &mut out);
    assert_eq!(connects(&out).len(), 1);
}

#[test]
fn a_conflict_holds_only_the_session_that_had_it() {
    let (mut service, mut logins, _) = service(4);
    let now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    service.online(now, 0, &mut logins, &mut out);
    service.online(now, 1, &mut logins, &mut out);
    service.lost(now, 0, &Cause::new(Word::Conflict, "x"));
    out.clear();
    service.poll(now + Duration::from_secs(20), &mut logins, &mut out);
    assert_eq!(out, []);
    assert_eq!(*service.reach(), Reach::Up);
    service.poll(now + Duration::from_secs(40), &mut logins, &mut out);
    assert_eq!(connects(&out), [0]);
}

#[test]
fn the_focus_is_probed_by_one_session_until_it_is_back() {
    let (mut service, mut logins, _) = service(6);
    let mut now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    for id in 0..3 {
        service.online(now, id, &mut logins, &mut out);
    }
    out.clear();
    let absent = || Cause::new(Word::FocusAbsent, "x");
    service.focus_absent(now, 1, absent(), &mut out);
    assert_eq!(out, [0, 1, 2].map(|id| Output::Gate(id, Gate::Closed)));
    service.focus_absent(now, 0, absent(), &mut out);
    for _ in 0..3 {
        now = service.deadline().expect("a probe is due");
        out.clear();
        service.poll(now, &mut logins, &mut out);
        assert_eq!(out, [Output::Gate(1, Gate::Probe)]);
        service.focus_absent(now, 1, absent(), &mut out);
    }
    out.clear();
    service.focus_present(&mut out);
    assert_eq!(out, [0, 1, 2].map(|id| Output::Gate(id, Gate::Open)));
}

#[test]
fn a_prober_with_nothing_to_ask_hands_on() {
    let (mut service, mut logins, _) = service(4);
    let mut now = Instant::now();
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    service.online(now, 0, &mut logins, &mut out);
    service.online(now, 1, &mut logins, &mut out);
    service.focus_absent(now, 0, Cause::new(Word::FocusAbsent, "x"), &mut out);
    now = service.deadline().expect("a probe is due");
    out.clear();
    service.poll(now, &mut logins, &mut out);
    service.nothing_to_ask(now, 0, &mut out);
    service.poll(now, &mut logins, &mut out);
    assert_eq!(out, [Output::Gate(0, Gate::Probe), Output::Gate(1, Gate::Probe)]);
}

#[test]
fn whoever_is_thrown_out_at_the_first_login_after_an_outage_waits_all_the_same() {
    let (mut service, mut logins, mut out) = service(2);
    let mut now = Instant::now();
    service.poll(now, &mut logins, &mut out);
    service.failed(now, 0, &unreachable(), &mut logins);
    let mut attempts = 0;
    for _ in 0..100 {
        now += Duration::from_millis(100);
        out.clear();
        service.poll(now, &mut logins, &mut out);
        for id in connects(&out) {
            attempts += 1;
            service.failed(now, id, &Cause::new(Word::PolicyViolation, "too many logins"), &mut logins);
        }
    }
    assert_eq!(attempts, 1);
    assert_eq!(service.reach(), &Reach::Up);
}

#[test]
fn whoever_was_thrown_out_does_not_probe_for_the_others() {
    let (mut service, mut logins, mut out) = service(6);
    let mut now = Instant::now();
    service.poll(now, &mut logins, &mut out);
    for id in 0..3 {
        service.online(now, id, &mut logins, &mut out);
    }
    service.lost(now, 0, &Cause::new(Word::Conflict, "x"));
    service.lost(now, 1, &unreachable());
    for _ in 0..5 {
        now += Duration::from_secs(6);
        out.clear();
        service.poll(now, &mut logins, &mut out);
        assert_eq!(connects(&out), [1]);
        service.failed(now, 1, &unreachable(), &mut logins);
    }
}

#[test]
fn a_server_that_limits_logins_sees_two_a_second() {
    let (mut service, mut logins, _) = service(40);
    let start = Instant::now();
    let mut now = start;
    service.be_gentle(now);
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    while connects(&out).len() < 20 {
        for id in connects(&out) {
            service.online(now, id, &mut logins, &mut Vec::new());
        }
        now = service.deadline().expect("a login is due");
        service.poll(now, &mut logins, &mut out);
    }
    assert!(now - start >= Duration::from_millis(9_500), "{:?}", now - start);
}

#[test]
fn a_session_without_a_free_login_waits_for_one_and_not_in_a_circle() {
    let (mut service, _, mut out) = service(4);
    let mut logins = Logins::new(1);
    let mut now = Instant::now();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out), [0]);
    service.online(now, 0, &mut logins, &mut out);
    service.lost(now, 0, &unreachable());
    service.poll(now, &mut logins, &mut out);
    now += Duration::from_secs(5);
    service.poll(now, &mut logins, &mut out);
    assert!(service.deadline().is_none_or(|at| at > now), "{:?} behind {now:?}", service.deadline());
    out.clear();
    service.online(now, 1, &mut logins, &mut out);
    service.poll(now, &mut logins, &mut out);
    assert_eq!(connects(&out), [0]);
}

#[test]
fn when_the_one_session_that_could_not_connect_is_stopped_nothing_is_due_any_more() {
    let (mut service, mut logins, mut out) = service(3);
    let mut now = Instant::now();
    service.poll(now, &mut logins, &mut out);
    service.online(now, 0, &mut logins, &mut out);
    service.failed(now, 1, &unreachable(), &mut logins);
    service.left(&key("2"), &mut logins, &mut out);
    now += Duration::from_secs(60);
    service.poll(now, &mut logins, &mut out);
    assert_eq!((service.deadline(), service.reach()), (None, &Reach::Up));
}

#[test]
fn a_service_that_is_given_up_while_it_connects_gives_its_logins_back() {
    let mut logins = Logins::new(2);
    for _ in 0..5 {
        let (mut service, _, mut out) = service(4);
        out.clear();
        service.poll(Instant::now(), &mut logins, &mut out);
        assert_eq!(connects(&out), [0, 1]);
        service.abandon(&mut logins);
    }
}

// ── session-ids for guests

fn fetches(out: &[Output]) -> Vec<usize> {
    out.iter().filter_map(|output| if let Output::Fetch(id) = output { Some(*id) } else { None }).collect()
}

/// Five sessions that are online and want a session-id each.
fn guests() -> (Service, Logins, Instant) {
    let (mut service, mut logins, mut out) = service(10);
    let now = Instant::now();
    service.poll(now, &mut logins, &mut out);
    for id in 0..5 {
        service.online(now, id, &mut logins, &mut out);
        service.wants_session_id(now, id);
    }
    (service, logins, now)
}

#[test]
fn a_password_is_tried_by_one_guests_login_and_a_wrong_one_is_held_back() {
    let (mut service, mut logins, mut now) = guests();
    for _ in 0..3 {
        let mut out = Vec::new();
        service.poll(now, &mut logins, &mut out);
        service.poll(now + Duration::from_secs(1), &mut logins, &mut out);
        assert_eq!((fetches(&out), service.deadline()), (vec![0], None));
        service.fetched(now, 0, Err(&Cause::new(Word::BadCredentials, "x")), &mut logins, &mut out);
        service.poll(now, &mut logins, &mut out);
        let next = service.deadline().expect("it is tried again");
        assert!(next >= now + CREDENTIALS / 2, "held back");
        assert_eq!(service.waiting_for_session_id().count(), 5);
        now = next;
    }
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    service.fetched(now, 0, Ok(()), &mut logins, &mut out);
    service.poll(now, &mut logins, &mut out);
    assert_eq!(fetches(&out), [0, 1, 2, 3, 4], "once it is right, all go");
}

#[test]
fn fetches_share_the_budget_and_the_gentle_pace_of_all_logins() {
    let (mut service, _, now) = guests();
    let mut logins = Logins::new(1);
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(fetches(&out), [0]);
    assert!(!logins.take(), "the budget is the host's");
    service.fetched(now, 0, Ok(()), &mut logins, &mut out);
    service.be_gentle(now);
    out.clear();
    let mut logins = Logins::new(8);
    service.poll(now, &mut logins, &mut out);
    assert_eq!((fetches(&out), service.deadline()), (vec![1], Some(now + GENTLE)));
}

#[test]
fn a_focus_that_forgets_at_once_is_not_asked_in_a_circle() {
    let (mut service, mut logins, mut now) = guests();
    let mut fetched = 0;
    let end = now + Duration::from_secs(300);
    while now < end {
        let mut out = Vec::new();
        service.poll(now, &mut logins, &mut out);
        for id in fetches(&out).into_iter().filter(|id| *id == 0) {
            fetched += 1;
            service.fetched(now, id, Ok(()), &mut logins, &mut out);
            service.wants_session_id(now, id);
        }
        now += Duration::from_millis(100);
    }
    assert!((4..=20).contains(&fetched), "{fetched} logins in five minutes");
}

#[test]
fn a_session_that_is_stopped_or_replaced_gives_its_fetch_back() {
    let (mut service, _, now) = guests();
    let mut logins = Logins::new(1);
    let mut out = Vec::new();
    service.poll(now, &mut logins, &mut out);
    service.replaced(0, &mut logins);
    assert!(logins.take(), "given back");
    logins.give_back();
    out.clear();
    service.poll(now, &mut logins, &mut out);
    assert_eq!(fetches(&out), [1]);
    service.left(&key("2"), &mut logins, &mut out);
    service.left(&key("3"), &mut logins, &mut out);
    assert!(logins.take(), "given back");
    // What comes late counts for nothing.
    service.fetched(now, 1, Ok(()), &mut logins, &mut out);
    assert!(!logins.take());
}

#[test]
fn a_refused_guests_login_is_held_back_whatever_the_others_on_their_way_come_to() {
    let unreachable = Cause::new(Word::Unreachable, "x");
    let refused = Cause::new(Word::BadCredentials, "x");
    for (others_first, other) in [(true, Err(&unreachable)), (false, Err(&unreachable)), (false, Ok(()))] {
        let (mut service, mut logins, now) = guests();
        let mut out = Vec::new();
        service.poll(now, &mut logins, &mut out);
        service.fetched(now, 0, Ok(()), &mut logins, &mut out);
        service.poll(now, &mut logins, &mut out);
        let mut outcomes = [(1, other), (2, Err(&refused))];
        if !others_first {
            outcomes.reverse();
        }
        for (id, outcome) in outcomes {
            service.fetched(now, id, outcome, &mut logins, &mut out);
        }
        let (until, cause) = service.fetches_again().expect("held back");
        assert!(*until >= now + CREDENTIALS / 2, "held back for long after {other:?}");
        assert_eq!(cause.word, Word::BadCredentials, "{other:?}");
        out.clear();
        service.poll(now + CREDENTIALS / 2, &mut logins, &mut out);
        assert!(fetches(&out).is_empty(), "{other:?}");
    }
}

#[test]
fn a_refused_login_is_held_back_whatever_the_others_on_their_way_come_to() {
    let refused = Cause::new(Word::BadCredentials, "x");
    for (others_first, word) in [(true, Word::Unreachable), (false, Word::Unreachable), (false, Word::PolicyViolation)]
    {
        let (mut service, mut logins, mut out) = service(10);
        let now = Instant::now();
        service.online(now, 0, &mut logins, &mut out);
        service.poll(now, &mut logins, &mut out);
        let other = Cause::new(word, "x");
        let mut failures = [(1, &other), (2, &refused)];
        if !others_first {
            failures.reverse();
        }
        for (id, cause) in failures {
            service.failed(now, id, cause, &mut logins);
        }
        let Reach::Down { cause, next_at } = service.reach() else { panic!("held back") };
        assert!(*next_at >= now + CREDENTIALS / 2, "held back for long after {word:?}");
        assert_eq!(cause.word, Word::BadCredentials, "{word:?}");
    }
}
