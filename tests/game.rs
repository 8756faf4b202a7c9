//! Game servers and authorities on a real server: the toy game server in Python, and a real HTTP authority.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

mod support;
use support::live::{keeper, put_out, seconds, wait_keeper, walk_in, world};
use support::process::{terminate, wait_for};
use support::prosody::{LOBBY, Options};
use support::xml::Node;
use support::{Client, Daemon, Setup};

const SECRET: &str = "correct-horse-battery";

/// A line and an authority, which decides about rooms `game-*`.
fn configured(setup: Setup, authority: &str) -> Setup {
    let more = format!(
        "[[line]]\nname = \"game\"\nlisten = \"127.0.0.1:0\"\nfile = \"game.secret\"\n\
         scopes = [\"read\", \"rooms\", \"moderate\"]\nrooms = \"game-*\"\n\
         [[authority]]\nname = \"story\"\nservice = \"meet\"\nrooms = \"game-*\"\n{authority}\n"
    );
    Setup { more, ..setup }.with_secret("game.secret", SECRET)
}

/// Where the daemon speaks the line protocol.
fn listening(daemon: &Daemon) -> String {
    support::until("a place to speak the line protocol", seconds(20), || {
        let log = daemon.log();
        let line = log.lines().rfind(|line| line.contains("line protocol open"))?.to_owned();
        Some(line.split("listen=").nth(1)?.split_whitespace().next()?.trim_matches('"').to_owned())
    })
}

fn jid(room: &str) -> String {
    format!("{room}@muc.meet.jitsi")
}

/// Goes into a room; whether that lasts is the authority's matter.
fn enter(prosody: &support::Prosody, room: &str, name: &str) -> Client {
    let mut guest = Client::guest(prosody.c2s());
    walk_in(&mut guest, &jid(room), name, name);
    guest
}

// ── the toy game server

struct Game {
    child: Child,
    typed: ChildStdin,
    told: Receiver<String>,
    log: Vec<String>,
}

impl Game {
    fn start(daemon: &Daemon) -> Game {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/game-server/game.py");
        let mut command = Command::new("python3");
        command
            .arg(script)
            .args(["--connect", &listening(daemon), "--secret-file"])
            .arg(daemon.dir().join("game.secret"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3; `make install-deps` installs it");
        let (typed, out) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Game { child, typed, told, log: Vec::new() }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.typed, "{line}").expect("the game listens");
    }

    /// Waits for a line that the game prints.
    #[track_caller]
    fn tells(&mut self, wanted: &str) {
        self.tells_all(vec![wanted]);
    }

    /// Waits for both: an answer and an event come in no order.
    #[track_caller]
    fn tells_both(&mut self, one: &str, other: &str) {
        self.tells_all(vec![one, other]);
    }

    #[track_caller]
    fn tells_all(&mut self, mut wanted: Vec<&str>) {
        let end = Instant::now() + seconds(20);
        while !wanted.is_empty() {
            let Ok(line) = self.told.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("the game does not say {wanted:?}, but {:#?}", self.log);
            };
            wanted.retain(|wanted| *wanted != line);
            self.log.push(line);
        }
    }
}

impl Drop for Game {
    fn drop(&mut self) {
        terminate(&mut self.child, seconds(2));
    }
}

#[test]
fn a_toy_game_server_opens_rooms_lets_players_in_throws_one_out_and_shows_who_is_where() {
    let (prosody, focus) = world(Options::default());
    let mut daemon = Daemon::start(configured(Setup::websocket(&prosody), "line = \"game\""));
    let mut game = Game::start(&daemon);
    game.types("open hall");
    game.tells("hall is open");
    wait_keeper(&focus, &daemon, &[jid("game-hall")], seconds(20));
    game.types("open crypt Ann");
    game.tells("crypt is open");

    let mut ann = enter(&prosody, "game-crypt", "Ann");
    game.tells("Ann may be in crypt");
    let mut bob = enter(&prosody, "game-crypt", "Bob");
    game.tells("Bob may not be in crypt");
    let statuses = put_out(&mut bob, &jid("game-crypt"), "Bob", seconds(5));
    assert!(statuses.contains(&307), "{statuses:?}");
    game.tells("Bob leaves crypt");
    game.types("let Bob into crypt");
    game.tells("Bob is on the list of crypt");
    let _bob = enter(&prosody, "game-crypt", "Bob");
    game.tells("Bob comes into crypt");
    game.types("who");
    game.tells("crypt: Ann, Bob");
    game.tells("hall: nobody");

    let word = Instant::now();
    game.types("throw Ann out of crypt too loud");
    put_out(&mut ann, &jid("game-crypt"), "Ann", seconds(5));
    assert!(word.elapsed() < seconds(2), "{:?}", word.elapsed());
    game.tells_both("Ann is out of crypt", "Ann leaves crypt");
    game.types("who");
    game.tells("crypt: Bob");

    // Everybody comes back where the daemon restarts, and nothing is said twice.
    let rooms = daemon.json(&["rooms"]);
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(2), "{rooms:#}");
    let word = Instant::now();
    game.types("close hall");
    let gone = || keeper(&focus, &jid("game-hall")).is_none().then_some(());
    assert!(wait_for(seconds(5), gone).is_some() && word.elapsed() < seconds(2), "{:?}", word.elapsed());
    let sources = daemon.json(&["room", "game-crypt"])["sources"].clone();
    assert_eq!((&sources[0]["source"], &sources[0]["who"]), (&json!("authority"), &json!("story")));
    daemon.stop();
    daemon.run();
    daemon.wait_rooms("the list is remembered", seconds(20), |row| row.name == "game-crypt" && row.state == "held");
}

// ── the conversation in docs/line-protocol.md

/// Keys whose values are others each time.
const VARYING: &[&str] = &["id", "key", "life", "occupant_id", "since", "time", "version"];

/// What is the same each time: without [`VARYING`] keys and a guest's resource.
fn lasting(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !VARYING.contains(&key.as_str()));
            if let Some(Value::String(jid)) = object.get_mut("real_jid") {
                jid.truncate(jid.find('/').unwrap_or(jid.len()));
            }
            object.values_mut().for_each(lasting);
        }
        Value::Array(values) => values.iter_mut().for_each(lasting),
        _ => {}
    }
}

#[test]
fn the_conversation_in_the_documentation_is_a_real_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/line-protocol.md");
    let text = std::fs::read_to_string(&page).expect("the page");
    let (before, rest) = text.split_once("```transcript\n").expect("a conversation");
    let (kept, after) = rest.split_once("```").expect("its end");
    let writes = std::env::var_os("INNKEEPER_WRITE_TRANSCRIPT").is_some();

    let (prosody, _focus) = world(Options::default());
    let daemon = Daemon::start(
        configured(Setup::websocket(&prosody), "line = \"game\"\ntime_limit = \"20s\"").rooms(["game-hall"]),
    );
    daemon.wait_all_held(seconds(20));
    let mut typed = TcpStream::connect(listening(&daemon)).expect("it listens");
    let heard = BufReader::new(typed.try_clone().expect("a second handle"));
    let (tell, told) = channel();
    std::thread::spawn(move || heard.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));

    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    let mut written = String::new();
    let mut lines = kept.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('{') && writes {
            continue;
        }
        match line.split_once(' ') {
            Some((">", said)) => writeln!(typed, "{said}").expect("it listens"),
            Some(("#", "Alice comes into the hall")) => walk_in(&mut alice, &jid("game-hall"), "Alice", "alice"),
            _ => panic!("neither said nor heard, and nothing that happens: {line:?}"),
        }
        written += &format!("{line}\n");
        // Whatever follows from it, in any order: answers and events come from different sides.
        let mut expected: Vec<Value> = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('{')) {
            let mut value = serde_json::from_str(line).expect("JSON");
            lasting(&mut value);
            expected.push(value);
        }
        if writes {
            // Nobody knows what comes, so that silence has to do.
            while let Ok(line) = told.recv_timeout(seconds(1)) {
                written += &format!("{line}\n");
            }
            continue;
        }
        while !expected.is_empty() {
            let line = told.recv_timeout(seconds(20)).unwrap_or_else(|_| panic!("not heard: {expected:#?}"));
            let mut value: Value = serde_json::from_str(&line).expect("JSON");
            lasting(&mut value);
            let place = expected.iter().position(|expected| *expected == value);
            expected.remove(place.unwrap_or_else(|| panic!("heard {line}\nand not one of {expected:#?}")));
        }
    }
    if writes {
        std::fs::write(&page, format!("{before}```transcript\n{written}```{after}")).expect("the page");
    }
}

// ── a real HTTP authority

/// Answers every question with what `answer` makes of it, after its head and body were read.
struct Authority {
    url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Authority {
    fn start(answer: impl Fn(&Value) -> Option<(u16, String)> + Send + Sync + 'static) -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/who?x=1", listener.local_addr().expect("bound"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (heard.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Authority { url, heard }
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().expect("not poisoned").clone()
    }
}

fn serve(mut stream: TcpStream, heard: &Mutex<Vec<(String, Value)>>, answer: &dyn Fn(&Value) -> Option<(u16, String)>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let question: Value = serde_json::from_slice(&body).expect("JSON");
    let signed = verify(&head, &body);
    heard.lock().expect("not poisoned").push((format!("{head}signed: {signed}"), question.clone()));
    // Without an answer the connection stays open until the asker gives up.
    let Some((status, text)) = answer(&question) else {
        let _ = reader.read(&mut [0]);
        return;
    };
    let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let _ = stream.write_all(reply.as_bytes());
}

/// Whether the signature of Standard Webhooks over these bytes is right.
fn verify(head: &str, body: &[u8]) -> bool {
    use base64::Engine as _;
    let header = |name: &str| {
        let line =
            head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        line.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let signed = [header("webhook-id").as_bytes(), b".", header("webhook-timestamp").as_bytes(), b".", body].concat();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = header("webhook-signature");
    let given =
        signature.strip_prefix("v1,").and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    given.is_some_and(|given| ring::hmac::verify(&key, &signed, &given).is_ok())
}

#[test]
fn an_http_authority_is_asked_once_for_a_while_and_its_word_is_carried_out() {
    let (prosody, focus) = world(Options::default());
    let authority = Authority::start(|question| {
        let verdict = match question["person"]["nick"].as_str() {
            Some("mallory") => json!({ "verdict": "deny", "reason": "not in this story" }),
            _ => json!({ "verdict": "allow", "for_seconds": 600 }),
        };
        Some((200, verdict.to_string()))
    });
    let http = "[http]\nlisten = \"127.0.0.1:0\"\n[[http.token]]\nname = \"story\"\nfile = \"game.secret\"\n\
                scopes = [\"rooms\", \"moderate\"]\nrooms = \"game-*\"";
    let lines =
        format!("url = {:?}\nfile = \"game.secret\"\ntime_limit = \"10s\"\ntoken = \"story\"\n{http}", authority.url);
    let setup = configured(Setup::websocket(&prosody), &lines);
    let daemon = Daemon::start(setup.rooms(["game-hall", "tavern"]));
    daemon.wait_all_held(seconds(20));

    let mut mallory = enter(&prosody, "game-hall", "mallory");
    put_out(&mut mallory, &jid("game-hall"), "mallory", seconds(5));
    let mut ann = enter(&prosody, "game-hall", "ann");
    let _tavern = enter(&prosody, "tavern", "mallory");
    let asked = || (authority.heard().len() == 2).then_some(());
    assert!(wait_for(seconds(5), asked).is_some(), "{:#?}", authority.heard());
    let (head, question) = authority.heard().remove(0);
    assert!(head.starts_with("POST /who?x=1 HTTP/1.1") && head.ends_with("signed: true"), "{head}");
    assert_eq!((&question["service"], &question["room"]), (&json!("meet"), &json!("game-hall")));
    assert_eq!((&question["person"]["nick"], &question["person"]["role"]), (&json!("mallory"), &json!("participant")));
    assert!(question["identity"].as_str().is_some_and(|who| who.contains(':')), "{question:#}");
    let rooms: Vec<Value> = authority.heard().iter().map(|(_, question)| question["room"].clone()).collect();
    assert_eq!(rooms, ["game-hall", "game-hall"], "nobody is asked about the tavern");
    let refused = support::live::recorded(&daemon, "action.taken", "\"name\":\"story\"");
    assert_eq!(refused, 1, "who threw mallory out is in the record");

    // What it said holds for a while: who comes back is not asked about, and whoever comes next is.
    ann.leave(&jid("game-hall"), "ann");
    ann.expect("ann is outside", seconds(10), |node| node.attr("type") == "unavailable");
    walk_in(&mut ann, &jid("game-hall"), "ann", "ann");
    let _bob = enter(&prosody, "game-hall", "bob");
    let bob_is = || authority.heard().iter().any(|(_, question)| question["person"]["nick"] == "bob").then_some(());
    assert!(wait_for(seconds(10), bob_is).is_some(), "{:#?}", authority.heard());
    let nicks: Vec<Value> = authority.heard().iter().map(|(_, question)| question["person"]["nick"].clone()).collect();
    assert_eq!(nicks, ["mallory", "ann", "bob"]);

    // Later words, as the bearer of its token: somebody out, another room, and all of them closed.
    let word = Instant::now();
    let kick = json!({ "action": "kick", "nick": "ann", "reason": "the story goes on without you" });
    assert_eq!(ask(&daemon, "POST", "/v1/rooms/game-hall/actions", &kick).0, 200);
    put_out(&mut ann, &jid("game-hall"), "ann", seconds(5));
    assert!(word.elapsed() < seconds(4), "{:?}", word.elapsed());
    let list = json!({ "revision": 1, "rooms": ["game-hall", "game-crypt"] });
    let (status, taken) = ask(&daemon, "PUT", "/v1/authorities/story/rooms", &list);
    assert_eq!(status, 200, "{taken}");
    daemon.wait_rooms("the new room", seconds(20), |row| row.name != "game-crypt" || row.state == "held");
    assert_eq!(ask(&daemon, "PUT", "/v1/authorities/other/rooms", &list).0, 404);
    let wide = json!({ "revision": 2, "rooms": ["tavern"] });
    assert_eq!(ask(&daemon, "PUT", "/v1/authorities/story/rooms", &wide).0, 403);
    let word = Instant::now();
    let none = json!({ "revision": 2, "rooms": [], "really_empty": true });
    assert_eq!(ask(&daemon, "PUT", "/v1/authorities/story/rooms", &none).0, 200);
    let gone = || keeper(&focus, &jid("game-crypt")).is_none().then_some(());
    assert!(wait_for(seconds(5), gone).is_some() && word.elapsed() < seconds(4), "{:?}", word.elapsed());
}

/// Waits until the keeper is in the lobby of `room`.
#[track_caller]
fn wait_lobby(daemon: &Daemon, room: &str) {
    let on = || {
        let why = daemon.try_json(&["why", "lobby", room])?;
        why["text"].as_str()?.contains("waits in").then_some(())
    };
    assert!(wait_for(seconds(30), on).is_some(), "no lobby; {}", daemon.log_tail());
}

/// Knocks at the lobby of `room`, as a browser that was refused there does.
#[track_caller]
fn knock(prosody: &support::Prosody, room: &str, nick: &str) -> Client {
    let mut guest = Client::guest(prosody.c2s());
    assert_eq!(guest.join(&jid(room), nick).condition(), "registration-required", "{nick} is inside without a word");
    assert_eq!(guest.join(&format!("{room}@{LOBBY}"), nick).attr("type"), "");
    guest
}

/// Waits until the room lets somebody in who knocks, and goes in.
#[track_caller]
fn let_in(guest: &mut Client, room: &str, nick: &str) {
    let invites = |node: &Node| node.child("x").is_some_and(|x| x.child("invite").is_some());
    guest.expect("an invitation", seconds(30), |node| node.attr("from") == jid(room) && invites(node));
    guest.leave(&format!("{room}@{LOBBY}"), nick);
    assert_eq!(guest.join(&jid(room), nick).attr("type"), "");
}

/// Waits until somebody who knocks is sent away; answers what they are told.
#[track_caller]
fn sent_away(guest: &mut Client, room: &str, nick: &str) -> String {
    let own = format!("{room}@{LOBBY}/{nick}");
    let gone = guest.expect(&format!("{nick} is sent away"), seconds(30), |node| {
        node.name == "presence" && node.attr("from") == own && node.attr("type") == "unavailable"
    });
    let muc = gone.muc().expect("an item");
    assert!(muc.status.contains(&307), "{gone:#?}");
    let item =
        gone.child_ns("x", "http://jabber.org/protocol/muc#user").and_then(|x| x.child("item")).expect("an item");
    item.child("reason").map(|reason| reason.text.clone()).unwrap_or_default()
}

#[test]
fn an_authority_at_the_lobby_is_asked_about_a_knock_once_and_nobody_is_in_before_its_word() {
    let (prosody, _focus) = world(Options { lobby: true, ..Options::default() });
    let authority = Authority::start(|question| match question["person"]["nick"].as_str() {
        Some("mallory") => Some((200, json!({ "verdict": "deny", "reason": "not in this story" }).to_string())),
        Some("ghost") => None,
        Some("maud") => Some((200, json!({ "verdict": "mute" }).to_string())),
        _ => Some((200, json!({ "verdict": "allow" }).to_string())),
    });
    let lines = format!(
        "url = {:?}\nfile = \"game.secret\"\ntime_limit = \"5s\"\non_failure = \"closed\"\ngate = \"lobby\"",
        authority.url
    );
    let daemon = Daemon::start(configured(Setup::websocket(&prosody), &lines).rooms(["game-hall", "tavern"]));
    daemon.wait_all_held(seconds(30));
    wait_lobby(&daemon, "game-hall");

    let mut ghost = knock(&prosody, "game-hall", "ghost");
    let mut ann = knock(&prosody, "game-hall", "ann");
    let_in(&mut ann, "game-hall", "ann");
    support::live::take_part(&mut ann, &jid("game-hall"));
    let mut mallory = knock(&prosody, "game-hall", "mallory");
    assert_eq!(sent_away(&mut mallory, "game-hall", "mallory"), "not in this story");
    assert_eq!(mallory.join(&jid("game-hall"), "mallory").condition(), "registration-required");
    let mut maud = knock(&prosody, "game-hall", "maud");
    let_in(&mut maud, "game-hall", "maud");
    support::live::take_part(&mut maud, &jid("game-hall"));
    let mutes = |node: &Node| node.child_ns("mute", "http://jitsi.org/jitmeet/audio").is_some();
    maud.expect("maud is muted", seconds(30), mutes);
    let told = sent_away(&mut ghost, "game-hall", "ghost");
    assert!(told.contains("nobody can be asked"), "{told}");

    let seen = || (support::live::recorded(&daemon, "occupant.joined", "maud") == 1).then_some(());
    assert!(wait_for(seconds(20), seen).is_some(), "{}", daemon.log_tail());
    let who = |question: &Value| format!("{} {}", question["person"]["nick"], question["knocks"]);
    let mut asked: Vec<String> = authority.heard().iter().map(|(_, question)| who(question)).collect();
    asked.sort();
    let knocks = ["ann", "ghost", "mallory", "maud"].map(|nick| format!("{nick:?} true"));
    assert_eq!(asked, knocks, "everybody at their knock, and nobody once more inside");
    let left = |how: &str| support::live::recorded(&daemon, "lobby.left", &format!("\"how\":\"{how}\""));
    let ends = || ((left("left"), left("kicked")) == (2, 2)).then_some(());
    assert!(wait_for(seconds(20), ends).is_some(), "{} {}", left("left"), left("kicked"));

    // Who waits already when the authority comes to rule a room is asked about at once.
    support::live::done(&daemon, &["lobby", "tavern", "on"]);
    wait_lobby(&daemon, "tavern");
    let mut zoe = knock(&prosody, "tavern", "zoe");
    support::until("zoe waits", seconds(20), || {
        let waiting = daemon.json(&["room", "tavern"])["waiting"].clone();
        waiting.as_array().is_some_and(|waiting| !waiting.is_empty()).then_some(())
    });
    let text = std::fs::read_to_string(daemon.config_file()).expect("the configuration");
    let wider = text.replace("service = \"meet\"\nrooms = \"game-*\"", "service = \"meet\"\nrooms = \"*\"");
    assert_ne!(text, wider);
    std::fs::write(daemon.config_file(), wider).expect("written");
    assert_eq!(daemon.cli(["reload"]).code, Some(0), "{}", daemon.log_tail());
    let_in(&mut zoe, "tavern", "zoe");
}

/// One request to the HTTP interface as the bearer of the secret; the answer's status and JSON.
fn ask(daemon: &Daemon, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let log = daemon.log();
    let open = log.lines().find(|line| line.contains("HTTP interface open")).expect("it is open");
    let place = open.split("listen=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a place");
    let mut stream = TcpStream::connect(place.trim_matches('"')).expect("it listens");
    stream.set_read_timeout(Some(seconds(20))).expect("a timeout");
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn an_authority_that_fails_shuts_the_door_or_leaves_it_open_as_the_configuration_says() {
    let (prosody, _focus) = world(Options::default());
    for (fallback, answer, stays) in [
        ("closed", None, false),
        ("closed", Some((500, "oops")), false),
        ("closed", Some((200, "{\"verdict\":\"perhaps\"}")), false),
        ("open", None, true),
        ("open", Some((302, "{\"verdict\":\"deny\"}")), true),
    ] {
        let authority = Authority::start(move |_| answer.map(|(status, text)| (status, text.to_owned())));
        let lines = format!(
            "url = {:?}\nfile = \"game.secret\"\ntime_limit = \"300ms\"\non_failure = {fallback:?}",
            authority.url
        );
        let daemon = Daemon::start(configured(Setup::websocket(&prosody), &lines).rooms(["game-hall"]));
        daemon.wait_all_held(seconds(20));
        let mut ann = enter(&prosody, "game-hall", "ann");
        if stays {
            let missed = || daemon.log().contains("no answer of an authority").then_some(());
            assert!(wait_for(seconds(5), missed).is_some(), "{}", daemon.log_tail());
            let inside = daemon.json(&["room", "game-hall"])["people"].clone();
            assert_eq!(inside, 1, "{fallback} {answer:?}");
        } else {
            put_out(&mut ann, &jid("game-hall"), "ann", seconds(5));
        }
    }
}
