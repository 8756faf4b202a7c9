//! Webhooks as their receivers see them: the real binary, a real Prosody, real HTTP servers.
#![allow(clippy::disallowed_methods)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{BARE, alice, browser, seconds, world};
use support::process::until;
use support::prosody::{Options, Prosody};
use support::receiver::{Answer, Receiver, Request};

const SECRET: &str = "correct-horse-battery";

/// A `[[webhook]]` with further lines.
fn webhook(name: &str, url: &str, lines: &str) -> String {
    format!("[[webhook]]\nname = {name:?}\nurl = {url:?}\nfile = \"hook.secret\"\nallow_private = true\n{lines}\n\n")
}

/// A world with these rooms held, whose events go to these receivers.
fn held(rooms: &[&str], webhooks: &str) -> (Prosody, Focus, Daemon, Vec<String>) {
    let (prosody, focus) = world(Options::default());
    let mut setup =
        Setup::websocket(&prosody).rooms(rooms.iter().copied()).with_secret("hook.secret", format!("{SECRET}\n"));
    setup.more = webhooks.to_owned();
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(30));
    daemon.wait_all_held(seconds(20));
    (prosody, focus, daemon, jids)
}

/// What `docs/webhooks.md` tells a receiver to run, by its number there; its output.
fn documented(number: usize, request: &Request) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhooks.md")).expect("the page");
    let command = page.split("```sh\n").nth(number).and_then(|rest| rest.split("```").next()).expect("a command");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("body.json"), &request.body).expect("the body");
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder.path()).env("SECRET", SECRET);
    shell.env("webhook_id", request.key()).env("webhook_timestamp", request.header("webhook-timestamp"));
    let output = shell.output().expect("sh");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Whether the signature is the one that openssl makes of the bytes that came.
#[track_caller]
fn is_signed(request: &Request) {
    match request.header("x-jitsi-signature") {
        "" => assert_eq!(request.header("webhook-signature"), format!("v1,{}", documented(1, request))),
        // Some versions of openssl say what it is first.
        signature => assert_eq!(Some(signature), documented(2, request).rsplit(' ').next()),
    }
}

/// What is told of somebody, as `kind`, or as the dialect calls it, the same key once.
fn told_of(seen: &[Request], nick: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let of = seen.iter().filter(|request| {
        let body = request.json();
        [&body["person"]["nick"], &body["data"]["nick"], &body["occupant"]["name"]].contains(&&json!(nick))
    });
    of.filter(|request| {
        let new = !keys.contains(&request.key());
        keys.push(request.key());
        new
    })
    .map(|request| {
        let body = request.json();
        [&body["kind"], &body["event"], &body["event_name"]].iter().find_map(|name| name.as_str()).unwrap().to_owned()
    })
    .collect()
}

#[test]
fn each_dialect_says_in_its_own_bytes_what_happens_on_a_real_server_and_openssl_verifies_them() {
    let (ours, reflector, sync) = (Receiver::willing(), Receiver::willing(), Receiver::willing());
    let webhooks = webhook("ours", &format!("{}/hooks?all=yes", ours.url()), "")
        + &webhook("reflector", &reflector.url(), "dialect = \"reflector\"")
        + &webhook("sync", &format!("{}/sync/", sync.url()), "dialect = \"event_sync\"");
    let (prosody, focus, mut daemon, jids) = held(&["tavern"], &webhooks);
    let room = &*jids[0];

    let ann = browser(&prosody, room, "ann00001", "Ann-1");
    let ann_jid = ann.jid.clone();
    reflector.wait("ann comes", |seen| (seen.len() == 1).then_some(()));
    focus.recording(room, "on");
    reflector.wait("a recording begins", |seen| (seen.len() == 2).then_some(()));
    focus.recording(room, "off");
    reflector.wait("and ends", |seen| (seen.len() == 3).then_some(()));
    let bob = browser(&prosody, room, "bob00001", "Bob-1");
    reflector.wait("bob comes", |seen| (seen.len() == 4).then_some(()));

    // Killed: ann goes meanwhile, bob stays.
    daemon.kill9();
    ann.close();
    daemon.run();
    focus.wait_held(&jids, BARE, seconds(30));
    daemon.wait_all_held(seconds(20));
    reflector.wait("ann goes", |seen| (told_of(seen, "ann00001").len() == 2).then_some(()));
    bob.close();
    reflector.wait("bob goes", |seen| (told_of(seen, "bob00001").len() == 2).then_some(()));
    let mut owner = alice(&prosody, room);
    reflector.wait("alice comes", |seen| (told_of(seen, "a11ce000").len() == 1).then_some(()));
    assert_eq!(owner.destroy(room, "over").attr("type"), "result");
    reflector.wait("alice is gone with the room", |seen| (told_of(seen, "a11ce000").len() == 2).then_some(()));
    sync.wait("and so is the room", |seen| seen.iter().any(|one| one.path.ends_with("destroyed")).then_some(()));
    ours.wait("alice is gone", |seen| (told_of(seen, "a11ce000").len() == 2).then_some(()));

    // Ours: the events as they are recorded, all of them.
    let record = daemon.json(&["events", "--limit", "1000"]);
    let record: HashMap<String, Value> = record["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| (event["id"].to_string(), event.clone()))
        .collect();
    let seen = ours.seen();
    let mut last = HashMap::new();
    for request in &seen {
        assert_eq!((&*request.path, request.header("content-type")), ("/hooks?all=yes", "application/json"));
        assert_eq!(Some(&request.json()), record.get(request.key()), "{request:?}");
        let id: u64 = request.key().parse().expect("a number");
        let before = last.insert(request.json()["room"].to_string(), id);
        // What was under way when it was killed came twice, under its key.
        assert!(before.is_none_or(|before| before <= id), "out of order in a room: {request:?}");
    }
    let of = |nick: &str| told_of(&seen, nick);
    assert_eq!(of("ann00001"), ["occupant.joined", "occupant.left"]);
    assert_eq!(of("bob00001"), ["occupant.joined", "occupant.left"], "nobody comes twice");
    let ann_came = seen.iter().find(|one| one.json()["person"]["nick"] == "ann00001").expect("ann");
    is_signed(ann_came);

    // Reflector: people and recordings, byte for byte; keeper and focus are nobody.
    let told = reflector.seen();
    let ids = |request: &Request| record[request.key()].clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    assert!(told.iter().all(|request| request.path == "/v1/jitsi/events"), "{told:?}");
    told.iter().for_each(is_signed);
    let person = &ids(&told[0])["person"];
    assert_eq!(person["real_jid"], json!(ann_jid));
    assert_eq!(
        String::from_utf8_lossy(&told[0].body),
        format!(
            "{{\"event\":\"muc-occupant-joined\",\"room\":\"tavern\",\"timestamp\":{},\"data\":{{\"occupant_id\":{},\
             \"nick\":\"ann00001\",\"role\":\"participant\",\"affiliation\":\"none\",\"user_id\":{},\
             \"display_name\":\"ann00001\"}}}}",
            ids(&told[0])["time"],
            person["occupant_id"],
            json!(ann_jid.split('/').next()),
        )
    );
    assert_eq!(
        String::from_utf8_lossy(&told[1].body),
        format!(
            "{{\"event\":\"jibri-recording-on\",\"room\":\"tavern\",\"timestamp\":{},\"data\":{{\"session_id\":\
             \"recording-1\",\"recording_mode\":\"file\",\"initiator\":\"{room}/focus\"}}}}",
            ids(&told[1])["time"],
        )
    );
    let names: Vec<String> = told.iter().map(|request| text(&request.json()["event"])).collect();
    let expected = "joined recording-on recording-off joined left left joined left";
    let expected: Vec<&str> = expected.split(' ').collect();
    assert!(names.iter().zip(&expected).all(|(name, end)| name.ends_with(end)), "{names:?}");
    assert_eq!(names.len(), expected.len(), "{names:?}");
    assert!(text(&told[0].json()["timestamp"]).ends_with('Z'), "UTC");

    // event_sync: four paths, the counts of people, and a bearer token.
    let told = sync.seen();
    assert!(told.iter().all(|request| request.header("authorization") == format!("Bearer {SECRET}")));
    let said = |request: &Request| {
        let path = request.path.strip_prefix("/sync/events/").expect("the path").to_owned();
        (path, request.json()["active_occupants_count"].as_u64())
    };
    let mut said: Vec<_> = told.iter().map(|request| (request.key().to_owned(), said(request))).collect();
    said.dedup();
    let said: Vec<_> = said.into_iter().map(|(_, said)| said).collect();
    let expected = [
        ("room/created", None),
        ("occupant/joined", Some(1)),
        ("occupant/joined", Some(2)),
        ("occupant/left", Some(1)),
        ("occupant/left", Some(0)),
        ("occupant/joined", Some(1)),
        ("occupant/left", Some(0)),
        ("room/destroyed", None),
    ];
    let expected: Vec<_> = expected.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
    assert_eq!(said[..expected.len()], expected);
    let of = |path: &str| told.iter().find(|one| one.path.ends_with(path)).expect("told").json();
    let joined = of("occupant/joined");
    let second = |value: &Value| value.as_i64().expect("a second");
    let at = second(&joined["occupant"]["joined_at"]);
    let occupant = json!({"occupant_jid": ann_jid, "joined_at": at, "name": "ann00001"});
    assert_eq!(
        joined,
        json!({"event_name": "muc-occupant-joined", "is_breakout": false, "room_name": "tavern", "room_jid": room,
               "active_occupants_count": 1, "occupant": occupant})
    );
    let left = of("occupant/left");
    assert_eq!((second(&left["occupant"]["joined_at"]), &left["event_name"]), (at, &json!("muc-occupant-left")));
    assert!(second(&left["occupant"]["left_at"]) >= at);
    let destroyed = of("room/destroyed");
    assert_eq!(destroyed["all_occupants"].as_array().map(Vec::len), Some(3), "{destroyed}");
    assert!(second(&destroyed["destroyed_at"]) >= second(&destroyed["created_at"]));

    // Tried: the bytes that are said to be signed are the bytes that came.
    let before = reflector.seen().len();
    let trial = daemon.json(&["webhook", "test", "reflector"]);
    let rows = trial["rows"].as_array().expect("rows");
    let kinds: Vec<String> = rows.iter().map(|row| text(&row["kind"])).collect();
    assert_eq!(kinds, ["muc-occupant-joined", "muc-occupant-left", "jibri-recording-on", "jibri-recording-off"]);
    let came = reflector.seen();
    // The first asks how the receiver is.
    let came: Vec<_> = came[before..].iter().filter(|request| !request.body.is_empty()).collect();
    for (row, request) in rows.iter().zip(&came) {
        assert_eq!((&row["signed"], &row["status"]), (&json!(String::from_utf8_lossy(&request.body)), &json!(204)));
        is_signed(request);
        assert!(request.key().starts_with("test-"), "no key of a real event's: {}", request.key());
    }
    assert_eq!(came.len(), 4);
    assert!(!daemon.log().contains(SECRET), "the secret is in the log");
}

/// A switch that a receiver's answers hang on.
fn switch() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let switch = Arc::<AtomicBool>::default();
    (switch.clone(), switch)
}

/// Requests that tell of somebody in a room.
fn of<'a>(seen: &'a [Request], nick: &str, room: &str) -> Vec<&'a Request> {
    let is = |one: &&Request| {
        let body = one.json();
        body["room"] == room && [&body["person"]["nick"], &body["data"]["nick"]].contains(&&json!(nick))
    };
    seen.iter().filter(is).collect()
}

/// `webhook status` of one receiver.
fn status(daemon: &Daemon, name: &str) -> Value {
    let rows = daemon.json(&["webhook", "status"]);
    let rows = rows.as_array().expect("rows").clone();
    rows.into_iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn each_answer_has_its_consequence_and_none_for_other_rooms_or_receivers() {
    let yes = || Answer::status(204);
    let about_ann = |request: &Request| String::from_utf8_lossy(&request.body).contains("ann00001");
    let in_a = |request: &Request| request.json()["room"] == "a";
    let busy = Receiver::start(move |_, before| match before {
        0 => Answer::status(429).with("retry-after", "2"),
        _ => yes(),
    });
    let (known, judge) = switch();
    let gone = Receiver::start(move |request, _| match in_a(request) && !judge.load(Ordering::SeqCst) {
        true => Answer::status(410),
        false => yes(),
    });
    let (trusted, judge) = switch();
    let stranger = Receiver::start(move |_, _| match judge.load(Ordering::SeqCst) {
        true => yes(),
        false => Answer::status(401),
    });
    let slow = Receiver::start(move |_, before| match before {
        0 => yes().after(seconds(8)),
        _ => yes(),
    });
    let (slept, judge) = switch();
    let counting = Receiver::start(move |request, _| {
        match about_ann(request) && request.json()["room"] == "a" && !judge.swap(true, Ordering::SeqCst) {
            true => yes().after(seconds(8)),
            false => yes(),
        }
    });
    let elsewhere = Receiver::willing();
    let target: &'static str = Box::leak(elsewhere.url().into_boxed_str());
    let moved = Receiver::start(move |_, before| match before {
        0 => Answer::status(307).with("location", target),
        _ => yes(),
    });
    let poisoned = Receiver::start(move |request, _| match in_a(request) && about_ann(request) {
        true => Answer::status(400),
        false => yes(),
    });
    // A port where nobody listens yet; on an address from which nobody else connects.
    let later = Receiver::at(([127, 0, 0, 78], 0).into(), |_, _| Answer::status(500)).address;
    let each = "kinds = [\"occupant.*\"]\ntimeout = \"2s\"";
    let webhooks: String = [
        ("busy", busy.url(), ""),
        ("gone", gone.url(), ""),
        ("stranger", stranger.url(), ""),
        ("slow", slow.url(), ""),
        ("counting", counting.url(), "dialect = \"reflector\""),
        ("moved", moved.url(), ""),
        ("poisoned", poisoned.url(), ""),
        ("away", format!("http://{later}"), ""),
    ]
    .iter()
    .map(|(name, url, lines)| webhook(name, url, &format!("{each}\n{lines}")))
    .collect();
    let (prosody, _focus, daemon, jids) = held(&["a", "b"], &webhooks);
    // Everybody has heard of the focus in both rooms; the first requests of all went wrong.
    let mut in_rooms = Vec::new();
    for room in &jids {
        in_rooms.push(browser(&prosody, room, "ann00001", "Ann-1"));
    }
    let both = |seen: &[Request]| !of(seen, "ann00001", "a").is_empty() && !of(seen, "ann00001", "b").is_empty();
    let everything = |receiver: &Receiver| receiver.wait("ann in both rooms", |seen| both(seen).then_some(()));

    // Poisoned: the other room goes on, and a person may give up on the one.
    poisoned.wait("ann in b", |seen| (!of(seen, "ann00001", "b").is_empty()).then_some(()));
    poisoned.wait("ann in a was tried", |seen| (!of(seen, "ann00001", "a").is_empty()).then_some(()));
    daemon.json(&["webhook", "skip", "poisoned", "a"]);
    let _bob = browser(&prosody, &jids[0], "bob00001", "Bob-1");
    poisoned.wait("bob in a", |seen| (!of(seen, "bob00001", "a").is_empty()).then_some(()));
    assert_eq!(of(&poisoned.seen(), "ann00001", "a").len(), 1);

    // 429: nothing before it was asked for, then the same under the same key.
    everything(&busy);
    let came = busy.seen();
    let again = came.iter().skip(1).find(|one| one.key() == came[0].key()).expect("again");
    let pause = again.at - came[0].at;
    assert!(pause >= seconds(2), "{pause:?}");
    assert_eq!(again.body, came[0].body);

    // Slow: nobody knows whether it took it, so it hears it again. One that counts does not.
    everything(&slow);
    let came = slow.seen();
    assert!(came[1..].iter().any(|one| one.key() == came[0].key()), "{came:?}");
    counting.wait("ann in b", |seen| (!of(seen, "ann00001", "b").is_empty()).then_some(()));
    until("ann in a was not waited for", seconds(20), || (status(&daemon, "counting")["skipped"] == 1).then_some(()));
    assert!(slept.load(Ordering::SeqCst));
    assert_eq!(of(&counting.seen(), "ann00001", "a").len(), 1, "it may have been counted");

    // Moved: what is signed for one is carried to nobody else.
    everything(&moved);
    assert_eq!(elsewhere.seen().len(), 0);

    // Gone: only that room stands still, until a person says so.
    gone.wait("ann in b", |seen| (!of(seen, "ann00001", "b").is_empty()).then_some(()));
    until("it is parked", seconds(20), || {
        let parked = status(&daemon, "gone")["parked"][0].as_str()?.to_owned();
        parked.starts_with("meet/a: it answers 410").then_some(())
    });
    let keys: Vec<_> = gone.seen().iter().filter(|one| in_a(one)).map(|one| one.key().to_owned()).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    known.store(true, Ordering::SeqCst);
    assert_eq!(daemon.json(&["webhook", "replay", "gone", "a"])["text"], "1 parked rooms are tried again");
    everything(&gone);
    let ids = |seen: &[Request]| -> Vec<u64> {
        seen.iter().filter(|one| in_a(one)).map(|one| one.key().parse().expect("a number")).collect()
    };
    assert!(ids(&gone.seen()).is_sorted(), "in order");

    // A stranger: nothing more until a person says so, and the log says so loudly.
    until("it stopped", seconds(20), || (status(&daemon, "stranger")["state"] == "stopped").then_some(()));
    let refused = stranger.seen().len();
    let said = daemon.log();
    let said = said.lines().find(|line| line.contains("the receiver refuses us")).expect("a line in the log");
    assert!(said.contains("ERROR") && said.contains("webhook=stranger"), "{said}");
    trusted.store(true, Ordering::SeqCst);
    assert_eq!(stranger.seen().len(), refused);
    daemon.json(&["webhook", "replay", "stranger"]);
    everything(&stranger);

    // Away: kept until it is there.
    let row = status(&daemon, "away");
    assert_eq!((&row["state"], &row["accepted"]), (&json!("down"), &json!(0)), "{row}");
    let away = Receiver::at(later, |_, _| Answer::status(204));
    daemon.json(&["webhook", "replay", "away"]);
    everything(&away);
    away.wait("bob in a", |seen| (!of(seen, "bob00001", "a").is_empty()).then_some(()));
    assert!(ids(&away.seen()).is_sorted(), "in order");

    // Again, by a person's word: the same keys.
    let before = away.seen();
    daemon.json(&["webhook", "replay", "away", "--since", "1h"]);
    away.wait("all once more", |seen| (seen.len() == 2 * before.len()).then_some(()));
    let keys = |seen: &[Request], room: &str| -> Vec<String> {
        seen.iter().filter(|one| one.json()["room"] == room).map(|one| one.key().to_owned()).collect()
    };
    let after = away.seen();
    for room in ["a", "b"] {
        assert_eq!(keys(&after[before.len()..], room), keys(&before, room));
    }
}
