//! Jitsi's reservations, answered by the real binary: by plain requests, and on a real server that asks for each room.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

mod support;
use support::live::{alice, refused, row, seconds, sets_subject, wait_state, world};
use support::prosody::{ACCOUNT, DOMAIN, FOCUS, Options};
use support::{Client, Daemon, Setup};

const KEEPER: &str = "skotosadmin@meet.jitsi";

/// Where the daemon answers, one place for each `[[reservations]]`.
fn desks(daemon: &Daemon, count: usize) -> Vec<String> {
    support::until("a place to ask for reservations", seconds(20), || {
        let log = daemon.log();
        let open = log.lines().filter(|line| line.contains("reservations open"));
        let places = open.filter_map(|line| line.split("listen=").nth(1)?.split_whitespace().next());
        let places: Vec<String> = places.map(|place| place.trim_matches('"').to_owned()).collect();
        (places.len() == count).then_some(places)
    })
}

/// One request; the answer's status and its JSON.
fn request(desk: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(desk).expect("it listens");
    stream.set_read_timeout(Some(seconds(20))).expect("a timeout");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {desk}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // What is refused early may be closed before all is sent.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn in_seconds(seconds: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Asks to open a room, as Prosody does.
fn asks(desk: &str, room: &str, owner: &str) -> (u16, Value) {
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("name", room)
        .append_pair("start_time", &now())
        .append_pair("mail_owner", owner)
        .finish();
    request(desk, "POST", "/api/conference", &form)
}

/// A day of the week on which it is not now anywhere.
fn another_day() -> &'static str {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset();
    days[usize::try_from(today + 3).expect("positive") % 7]
}

#[test]
fn rooms_that_are_wanted_may_be_opened_at_their_hours_and_others_may_not() {
    let more = format!(
        "[[policy]]\nrooms = \"shop\"\nmode = \"enforce\"\n[policy.hours]\nopen = [\"{} 10:00-12:00\"]\n\
         [[policy]]\nrooms = \"class\"\nmode = \"enforce\"\n[policy.max_duration]\nlasts = \"90m\"\n\
         [[reservations]]\nservice = \"meet\"\nlisten = \"127.0.0.1:0\"\n\
         [[reservations]]\nservice = \"meet\"\nlisten = \"127.0.0.1:0\"\nreveal_password = true\n",
        another_day()
    );
    let setup = Setup {
        url: "ws://127.0.0.1:1/xmpp-websocket".into(),
        muc: "muc.meet.jitsi".into(),
        focus: Some(FOCUS.into()),
        login: "direct",
        account: ACCOUNT.into(),
        password: "wrong".into(),
        secrets: vec![("room-password", "sesame".into())],
        ca_file: None,
        rooms: vec!["tavern".into(), "class".into(), "shop".into(), "[bree]pony".into()],
        service: String::new(),
        room: "max_occupants = 20\nlobby = true\npassword_file = \"room-password\"".into(),
        more,
        args: Vec::new(),
        env: Vec::new(),
    };
    let daemon = Daemon::start(setup);
    let desks = desks(&daemon, 2);
    let (desk, open_desk) = (&*desks[0], &*desks[1]);
    let ann = "ann@meet.jitsi";

    let before = now();
    let (status, tavern) = asks(desk, "tavern", ann);
    assert_eq!(status, 200, "{tavern}");
    assert_eq!((&tavern["name"], &tavern["mail_owner"]), (&json!("tavern"), &json!(ann)));
    assert!(tavern["start_time"].as_str() >= Some(&*before), "{tavern}");
    assert_eq!(tavern["duration"], 10 * 365 * 24 * 3600, "always open");
    assert_eq!((&tavern["max_occupants"], &tavern["lobby"]), (&json!(20), &json!(true)));
    assert_eq!(tavern.get("password"), None, "{tavern}");
    assert_eq!(asks(open_desk, "tavern", ann).1["password"], "sesame");
    let class = asks(desk, "class", ann).1;
    assert_eq!(class["duration"], 90 * 60);
    assert_eq!(asks(desk, "[bree]pony", ann).1["name"], "[bree]pony");
    let (status, keeper) = asks(desk, "shop", KEEPER);
    assert_eq!((status, &keeper["duration"], keeper.get("lobby")), (200, &json!(10 * 365 * 24 * 3600), None));

    let text = |(status, answer): (u16, Value)| (status, answer["message"].as_str().unwrap_or_default().to_owned());
    assert_eq!(text(asks(desk, "cellar", ann)), (403, "there is no room cellar here".into()));
    let (status, closed) = text(asks(desk, "shop", ann));
    assert!(status == 403 && closed.starts_with("shop is closed until "), "{closed}");
    support::live::done(&daemon, &["suspend", "tavern"]);
    assert_eq!(text(asks(desk, "tavern", ann)), (403, "tavern is closed for now".into()));
    assert_eq!(asks(desk, "tavern", KEEPER).0, 200, "whoever holds rooms is never kept out");
    support::live::done(&daemon, &["hold", "tavern"]);
    let (from, until) = (in_seconds(3600), in_seconds(7200));
    support::live::done(&daemon, &["hold", "council", "--from", &from, "--until", &until, "--early", "5m"]);
    let (status, later) = text(asks(desk, "council", ann));
    assert!(status == 403 && later.starts_with("council is booked from "), "{later}");
    support::live::done(&daemon, &["hold", "council", "--until", &until]);
    let (status, council) = asks(desk, "council", ann);
    assert_eq!(status, 200, "{council}");
    assert!((7000..=7200).contains(&council["duration"].as_i64().expect("a number")), "{council}");

    // An id is of a room and a start, and nobody's to guess.
    let id = class["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 32 && !id.contains("class"), "{id}");
    assert_ne!(class["id"], tavern["id"]);
    let path = format!("/api/conference/{id}");
    assert_eq!(request(desk, "GET", &path, ""), (200, class));
    assert_eq!(request(desk, "DELETE", &path, "").0, 200);
    assert_eq!(request(desk, "DELETE", &path, "").0, 404);
    assert_eq!(request(desk, "GET", &path, "").0, 404);
    assert_eq!(row(&daemon, "class")["sources"][0]["says"], "hold", "the end of a meeting releases nothing");

    for (method, path, body, expected) in [
        ("POST", "/api/conference", "name=tavern", 400),
        ("POST", "/api/conference", "name=tavern&start_time=noon&mail_owner=a", 400),
        ("POST", "/api/conference", "name=tavern&start_time=2020-01-01T10:00:00Z&mail_owner=a", 400),
        ("POST", "/api/conference", &format!("name=meet%2Ftavern&start_time={}&mail_owner=a", now()), 400),
        ("POST", "/api/conference", &"x".repeat(20_000), 400),
        ("PUT", "/api/conference", "", 405),
        ("GET", "/api/conference", "", 405),
        ("GET", "/v1/rooms", "", 404),
    ] {
        let (status, answer) = request(desk, method, path, body);
        assert_eq!(status, expected, "{method} {path} {}: {answer}", body.get(..60).unwrap_or(body));
        assert!(answer["message"].is_string(), "{answer}");
    }
    assert!(!daemon.log().contains("sesame"), "a password in the log");

    // A reload takes what changed: at the same address, at a further one, and none at all.
    let file = daemon.config_file();
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let reload = |text: &str| {
        std::fs::write(&file, text).expect("written");
        assert_eq!(daemon.cli(["reload"]).code, Some(0), "{}", daemon.log_tail());
    };
    let further = "[[reservations]]\nservice = \"meet\"\nlisten = \"127.0.0.2:0\"\nreveal_password = true\n";
    reload(&(text.replace("reveal_password = true", "reveal_password = false") + further));
    let places = self::desks(&daemon, 3);
    assert_eq!(asks(&places[2], "tavern", ann).1["password"], "sesame");
    let (status, tavern) = asks(open_desk, "tavern", ann);
    assert_eq!((status, tavern.get("password")), (200, None), "as it is told now, where it was told before");
    let (without, _) = text.split_once("[[reservations]]").expect("there are some");
    reload(without);
    for place in &places {
        let closed = || TcpStream::connect(place).is_err().then_some(());
        support::until("nobody answers any more", seconds(20), closed);
    }
}

#[test]
fn a_server_that_asks_for_reservations_opens_the_keepers_rooms_and_nobody_elses() {
    let url = "http://127.0.0.1:SPARE/api".to_owned();
    let (prosody, _focus) = world(Options { reservations: Some(url), lobby: true, ..Options::default() });
    let desk = format!(
        "[[reservations]]\nservice = \"meet\"\nlisten = \"127.0.0.1:{}\"\nreveal_password = true\n",
        prosody.ports.spare
    );
    let setup = Setup { more: desk, ..Setup::websocket(&prosody) };
    let setup = setup.rooms(["tavern"]).each("lobby = true").with_secret("room-password", "sesame");
    let mut daemon = Daemon::start(setup.each("password_file = \"room-password\""));
    daemon.wait_all_held(seconds(30));

    let mut ann = Client::account(prosody.c2s(), "alice", "wonderland");
    let mut condition = |room: &str| {
        let answer = ann.conference(FOCUS, &format!("{room}@muc.meet.jitsi"), "anns-machine", "");
        let text = answer.child("error").and_then(|error| error.child("text")).map(|text| text.text.clone());
        (answer.condition().to_owned(), text.unwrap_or_default())
    };
    assert_eq!(condition("cellar"), ("service-unavailable".into(), "there is no room cellar here".into()));
    // What is held may be gone to, and what is held by hand from now on is a room like any other.
    assert_eq!(condition("tavern"), (String::new(), String::new()));
    support::live::done(&daemon, &["hold", "annex"]);
    wait_state(&daemon, "annex", "held", "", seconds(30));
    // A booked room opens by itself, may be gone to then, and ends for everybody.
    let (title, from) = ("Council of Elrond", in_seconds(4));
    let args = ["hold", "council", "--from", &from, "--until", &in_seconds(3600), "--early", "0s", "--title", title];
    let booked = support::live::done(&daemon, &args);
    assert_eq!((&booked["room"]["state"], &booked["room"]["cause"]), (&json!("suspended"), &json!("booked")));
    wait_state(&daemon, "council", "held", "", seconds(30));
    assert_eq!(condition("council"), (String::new(), String::new()));
    let council = "council@muc.meet.jitsi";
    ann.enter(council, "a11ce000");
    ann.answer_disco(council);
    ann.expect("its title", seconds(20), |node| sets_subject(node, title));
    support::live::done(&daemon, &["hold", "council", "--until", &in_seconds(3), "--title", title]);
    ann.expect("the end", seconds(30), |node| node.muc().is_some_and(|muc| muc.destroyed));
    support::until("the room is released", seconds(30), || {
        daemon.cli(["room", "council"]).stderr.contains("the booking of meet/council ended at ").then_some(())
    });
    let (status, ended) = asks(&format!("127.0.0.1:{}", prosody.ports.spare), "council", "ann@meet.jitsi");
    assert_eq!(status, 403, "{ended}");
    assert!(ended["message"].as_str().is_some_and(|text| text.starts_with("the booking of council ended")), "{ended}");
    assert!(daemon.log().contains("server of meet"), "who asked is in the record");
    assert!(refused(&daemon, &["suspend", "cellar"]).contains("cellar"), "asking makes no room");
    // What comes to its end while innkeeper is not there is ended when it is back, with whoever is inside.
    let end = in_seconds(3600);
    support::live::done(&daemon, &["hold", "moot", "--until", &end]);
    wait_state(&daemon, "moot", "held", "", seconds(30));
    let moot = "moot@muc.meet.jitsi";
    ann.enter(moot, "a11ce000");
    ann.answer_disco(moot);
    support::until("she is recorded", seconds(20), || {
        (support::live::recorded(&daemon, "occupant.joined", "\"room\":\"moot\"") > 0).then_some(())
    });
    daemon.stop();
    // As if an hour went by.
    let state = daemon.dir().join("state/state.json");
    let kept = std::fs::read_to_string(&state).expect("the state");
    assert!(kept.contains(&end), "{kept}");
    std::fs::write(&state, kept.replace(&end, &in_seconds(-60))).expect("written");
    daemon.run();
    ann.expect("the end", seconds(30), |node| node.muc().is_some_and(|muc| muc.destroyed));
    for room in ["moot", "council"] {
        support::until("the room is released", seconds(30), || {
            daemon.cli(["room", room]).stderr.contains(&format!("the booking of meet/{room} ended at ")).then_some(())
        });
    }
    daemon.stop();
    daemon.run();
    daemon.wait_all_held(seconds(30));
    assert!(daemon.cli(["room", "moot"]).stderr.contains("the booking of meet/moot ended at "), "it is over and done");
    let _ = (alice, DOMAIN);
}
