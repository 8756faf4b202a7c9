//! The HTTP interface as its peers see it: the real binary, raw bytes.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use innkeeper::config::{self, Secret};
use innkeeper::control::Gate;
use innkeeper::control::http::{Listener, Shared};
use innkeeper::event::{EventId, What};
use innkeeper::rights::Rights;
use innkeeper::runtime::bus::Bus;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

#[path = "support/process.rs"]
#[allow(dead_code)]
mod process;

const SCOPES: [&str; 4] = ["read", "rooms", "moderate", "admin"];

/// The token called `name`; nobody else's.
fn token(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

fn run(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    command.args(["run", "--config"]).arg(folder.join("innkeeper.toml"));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// Where the daemon of that folder listens.
fn listening(folder: &Path) -> String {
    process::until("an HTTP interface", Duration::from_secs(20), || {
        let log = fs::read_to_string(folder.join("log")).ok()?;
        let line = log.lines().find(|line| line.contains("HTTP interface open"))?;
        Some(line.split("listen=").nth(1)?.split_whitespace().next()?.trim_matches('"').to_owned())
    })
}

/// A daemon with an HTTP interface and a service that can not be reached.
struct Daemon {
    folder: TempDir,
    child: Child,
    listen: String,
}

impl Daemon {
    /// With further lines of `[http]`, and a token for each scope, `all` of them, `games` for rooms
    /// `game-*`, and `taverns`.
    fn start(http: &str) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let listen = if http.contains("listen") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        let mut text = format!(
            "control_socket = {:?}\nstate_dir = {:?}\n[service.meet]\nurl = \"xmpp://127.0.0.1:1\"\n\
             domain = \"meet.jitsi\"\nmuc = \"muc.meet.jitsi\"\naccount = \"a\"\npassword_file = \"all.token\"\n\
             [http]\n{listen}{http}\n",
            path("control.sock"),
            path("state")
        );
        let mut add = |name: &str, scopes: &[&str], rooms: &str| {
            fs::write(path(&format!("{name}.token")), token(name)).unwrap();
            let _ = write!(
                text,
                "[[http.token]]\nname = {name:?}\nfile = \"{name}.token\"\nscopes = {scopes:?}\nrooms = {rooms:?}\n"
            );
        };
        for scope in SCOPES {
            add(scope, &[scope], "*");
        }
        add("all", &SCOPES, "*");
        add("games", &SCOPES, "game-*");
        add("taverns", &SCOPES, "meet/tav*");
        fs::write(path("innkeeper.toml"), text).unwrap();
        let child = run(folder.path());
        let listen = listening(folder.path());
        Daemon { folder, child, listen }
    }

    fn restart(&mut self) {
        process::terminate(&mut self.child, Duration::from_secs(5));
        self.child = run(self.folder.path());
        self.listen = listening(self.folder.path());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.listen).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends these bytes and reads one answer.
    fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The daemon may have answered and closed before all is sent.
        let _ = stream.write_all(request);
        answer(stream)
    }

    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Answer {
        self.raw(&request(method, path, token, body))
    }

    fn rooms(&self) -> Value {
        let answer = self.ask("GET", "/v1/rooms", Some(&token("read")), None);
        assert_eq!(answer.status, 200, "{answer:?}");
        let rooms = answer.json()["rooms"].as_array().cloned().unwrap();
        rooms.iter().map(|room| json!([room["name"], room["state"] == "suspended"])).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        process::terminate(&mut self.child, Duration::from_secs(5));
        if std::thread::panicking() {
            eprintln!("--- log ---\n{}", self.log());
        }
    }
}

fn request(method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    if let Some(token) = token {
        let _ = write!(text, "Authorization: Bearer {token}\r\n");
    }
    if let Some(body) = body {
        let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    (text + "\r\n" + body.unwrap_or_default()).into_bytes()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A refusal of RFC 9457 with this status and cause.
    #[track_caller]
    fn refuses(&self, status: u16, cause: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["cause"]), (&json!(status), &json!(cause)));
        assert_eq!(problem["type"], format!("urn:innkeeper:{cause}"));
        assert!(problem["title"].is_string() && problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

/// Reads until the end of the connection; status 0 when nothing came.
fn answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    // A connection that was closed with unread bytes is reset after the answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// One route, as the description has it, with values in its path, its query and its body.
#[derive(Debug)]
struct Route {
    method: String,
    /// As it is described: `/v1/rooms/{room}`.
    path: String,
    /// As it is asked, about the room `tavern`.
    asked: String,
    body: Option<(String, String)>,
    /// `None`: everybody may ask.
    scope: Option<String>,
    /// Whether it is about all rooms at once, as its description says.
    of_all: bool,
}

impl Route {
    fn about_a_room(&self) -> bool {
        self.path.contains("{room}")
    }

    fn ask(&self, daemon: &Daemon, token: Option<&str>) -> Answer {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", self.method, self.asked);
        if let Some(token) = token {
            let _ = write!(text, "Authorization: Bearer {token}\r\n");
        }
        let body = self.body.as_ref().map(|(kind, body)| {
            let _ = write!(text, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
            body.as_str()
        });
        daemon.raw((text + "\r\n" + body.unwrap_or_default()).as_bytes())
    }
}

/// Something that fits a schema: no more than it must have.
fn sample(schema: &Value, document: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return sample(&document["components"]["schemas"][name], document);
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        // The first of those of an optional body is null.
        let real = schema[several].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"));
        if let Some(real) = real {
            return sample(real, document);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or_else(|| panic!("no type: {schema}")) {
        "object" => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let name = |name: &Value| name.as_str().unwrap_or_default().to_owned();
            required.iter().map(|key| (name(key), sample(&schema["properties"][name(key)], document))).collect()
        }
        "string" => "ann@example.org".into(),
        "integer" | "number" => schema["minimum"].as_u64().unwrap_or(1).into(),
        "boolean" => true.into(),
        "array" => json!([]),
        other => panic!("{other}: {schema}"),
    }
}

/// Every route of the running daemon's own description.
fn routes(daemon: &Daemon) -> Vec<Route> {
    let document = daemon.ask("GET", "/v1/openapi.json", None, None).json();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut asked = path.replace("{room}", "tavern");
            let mut query = String::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                match parameter["in"].as_str().unwrap() {
                    "path" => asked = asked.replace(&format!("{{{name}}}"), "ann@example.org"),
                    "query" if parameter["required"] == true => {
                        let _ = write!(query, "{}{name}=x", if query.is_empty() { "?" } else { "&" });
                    }
                    _ => {}
                }
            }
            let content = operation["requestBody"]["content"].as_object();
            let body = content.and_then(|content| content.iter().next()).map(|(kind, content)| {
                let body = sample(&content["schema"], &document);
                (kind.clone(), if kind == "application/json" { body.to_string() } else { "\n".to_owned() })
            });
            let scopes = &operation["security"][0]["token"];
            let scope = scopes.as_array().map(|scopes| {
                assert_eq!(scopes.len(), 1, "{method} {path}");
                scopes[0].as_str().unwrap().to_owned()
            });
            let said = format!("{} {}", operation["summary"], operation["description"]);
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.clone(),
                asked: asked + &query,
                body,
                scope,
                of_all: said.contains("or tokens of all rooms"),
            });
        }
    }
    routes
}

#[test]
fn every_route_takes_its_scope_and_neither_another_nor_no_token() {
    let daemon = Daemon::start("");
    let all = token("all");
    let facts = || {
        let bans = daemon.ask("GET", "/v1/bans", Some(&all), None).json();
        (daemon.rooms(), bans, fs::read_to_string(daemon.path("state/state.json")).unwrap_or_default())
    };
    assert_eq!(daemon.ask("PUT", "/v1/rooms/tavern", Some(&token("rooms")), None).status, 200);
    let (before, routes) = (facts(), routes(&daemon));
    let open = ["/v1/health", "/v1/openapi.json"];
    for route in &routes {
        let Some(scope) = &route.scope else {
            assert!(open.contains(&route.path.as_str()) && route.method == "GET", "{route:?} is open to everybody");
            continue;
        };
        assert!(
            route.method == "GET" || scope != "read" || route.path.ends_with("/explain"),
            "{route:?} changes something, and takes no more than reading"
        );
        route.ask(&daemon, None).refuses(401, "no-token");
        // After twenty wrong ones it is told to wait.
        assert!(matches!(route.ask(&daemon, Some("wrong")).status, 401 | 429));
        for other in SCOPES.iter().filter(|other| *other != scope) {
            route.ask(&daemon, Some(&token(other))).refuses(403, "forbidden");
        }
        // Of other rooms: neither this one, nor what concerns all.
        if route.about_a_room() || route.of_all {
            route.ask(&daemon, Some(&token("games"))).refuses(403, "forbidden");
        }
        assert_eq!(facts(), before, "{route:?}");
    }
    assert!(routes.len() > 25 && routes.iter().filter(|route| route.of_all).count() > 5, "{routes:#?}");
    // Those that take a room away come last.
    let (gone, stays): (Vec<_>, Vec<_>) =
        routes.iter().filter(|route| !route.path.ends_with("/live")).partition(|route| route.method == "DELETE");
    for route in stays.into_iter().chain(gone) {
        let mut names: Vec<&str> = route.scope.as_deref().into_iter().collect();
        if route.about_a_room() && !route.of_all {
            names.push("taverns");
        } else if !route.of_all {
            names.push("games");
        }
        if route.method == "DELETE" {
            names.truncate(1);
        }
        for name in names {
            // What can not be done, as nothing is held here, is refused for that and not for who asks.
            let answer = route.ask(&daemon, Some(&token(name)));
            assert!(matches!(answer.status, 200 | 404 | 409 | 503), "{name}: {route:?}: {answer:?}");
            assert!(answer.status != 404 || answer.body.contains("urn:innkeeper:unknown-"), "{route:?}: {answer:?}");
        }
    }
    assert_eq!(daemon.rooms(), json!([]), "released at the end");
    assert_eq!(daemon.ask("POST", "/v1/reload", Some(&token("read")), Some("{\"plan\":true}")).status, 200);
    let log = daemon.log();
    assert!(log.contains("token rooms") && log.contains("command carried out"), "the audit names the token");
    assert!(!SCOPES.iter().any(|scope| log.contains(&token(scope))), "and never shows it");
}

#[test]
fn what_is_no_good_request_gets_4xx_and_changes_nothing() {
    let daemon = Daemon::start("");
    let all = token("all");
    let before = daemon.rooms();
    let put = |headers: &str, body: &[u8]| {
        let head = format!("PUT /v1/rooms/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {all}\r\n{headers}\r\n\r\n");
        daemon.raw(&[head.as_bytes(), body].concat())
    };
    let json_type = "Connection: close\r\nContent-Type: application/json";
    put(&format!("{json_type}\r\nContent-Length: 70000"), &[b' '; 70_000]).refuses(413, "too-large");
    put(&format!("{json_type}\r\nTransfer-Encoding: chunked"), b"2\r\n{}\r\n0\r\n\r\n").refuses(411, "bad-request");
    for order in ["Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 2"]
    {
        let smuggled = b"{}GET /v1/rooms HTTP/1.1\r\nHost: x\r\n\r\n";
        put(&format!("{json_type}\r\n{order}"), smuggled).refuses(411, "bad-request");
    }
    for headers in ["Content-Length: 2\r\nContent-Length: 3", "Content-Length: +2", "Transfer-Encoding: chunked, gzip"]
    {
        assert_eq!(put(&format!("{json_type}\r\n{headers}"), b"{}").status / 100, 4, "{headers}");
    }
    put("Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 2", b"{}").refuses(415, "wrong-content-type");
    put("Connection: close\r\nContent-Length: 2", b"{}").refuses(415, "wrong-content-type");
    for body in
        [&b"{\"reason\":\"\xff\"}"[..], b"{\"reason\":", b"[null]", b"{\"reasons\":\"x\"}", b"{\"reason\":1}", b"0"]
    {
        put(&format!("{json_type}\r\nContent-Length: {}", body.len()), body).refuses(400, "bad-request");
    }
    for path in ["/v1/rooms/%ff", "/v1/rooms/a%20b", "/v1/rooms/@", "/v1/rooms/%00"] {
        daemon.ask("PUT", path, Some(&all), None).refuses(400, "bad-request");
    }
    daemon.ask("POST", "/v1/rooms/x/suspend", Some(&all), Some("{\"for_seconds\":-1}")).refuses(400, "bad-request");
    daemon.ask("POST", "/v1/rooms/x/suspend", Some(&all), Some("{\"for_seconds\":0}")).refuses(400, "bad-request");
    for body in ["{\"action\":\"mute\",\"nik\":\"tom\",\"medium\":\"audio\"}", "{\"action\":\"eat\"}", "{}"] {
        daemon.ask("POST", "/v1/rooms/x/actions", Some(&all), Some(body)).refuses(400, "bad-request");
    }
    for body in ["[null, null]", "{\"for_seconds\":3155760000}"] {
        daemon.ask("POST", "/v1/rooms/x/suspend", Some(&all), Some(body)).refuses(400, "bad-request");
    }
    for query in ["limit=0", "limit=1001", "after=9223372036854775808", "after=-1"] {
        daemon.ask("GET", &format!("/v1/events?{query}"), Some(&all), None).refuses(400, "bad-request");
    }
    daemon.ask("POST", "/v1/bans/import", Some(&all), None).refuses(400, "bad-request");
    daemon.ask("POST", "/v1/rooms/x/bans", Some(&all), None).refuses(400, "bad-request");
    daemon.ask("POST", "/v1/bans/import", Some(&all), Some("{}")).refuses(415, "wrong-content-type");
    daemon.ask("GET", "/v1/rooms?state=lost", Some(&all), None).refuses(400, "bad-request");
    daemon.ask("GET", "/v1/rooms/nowhere", Some(&all), None).refuses(404, "unknown-room");
    daemon.ask("PUT", "/v1/rooms/else%2Fx", Some(&all), None).refuses(404, "unknown-service");
    daemon.ask("GET", "/", None, None).refuses(404, "unknown-path");
    daemon.ask("PATCH", "/v1/rooms", Some(&all), None).refuses(405, "unknown-method");
    daemon.ask("GET", "/v1/events/live?kind=room.eaten", Some(&all), None).refuses(400, "bad-request");
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("Cookie: {}", "a".repeat(40_000));
    for headers in [many.trim_end(), &long] {
        assert_eq!(put(&format!("{json_type}\r\n{headers}"), b"").status, 431);
    }
    for request in ["GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "GET /v1/rooms HTTP/7.0\r\n\r\n"] {
        assert!(matches!(daemon.raw(request.as_bytes()).status, 0 | 400..=499), "{request:?}");
    }
    assert_eq!(daemon.rooms(), before);
}

#[test]
fn who_is_slow_is_cut_off_and_others_do_not_wait() {
    let daemon = Daemon::start("");
    let start = Instant::now();
    let (mut head, mut body, silent) = (daemon.connect(), daemon.connect(), daemon.connect());
    head.write_all(b"GET /v1/rooms HTTP/1.1\r\nHost:").unwrap();
    let all = token("all");
    let text = format!(
        "PUT /v1/rooms/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {all}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"
    );
    body.write_all(text.as_bytes()).unwrap();
    assert_eq!(daemon.rooms(), json!([]));
    assert!(start.elapsed() < Duration::from_secs(5));
    answer(body).refuses(408, "timed-out");
    assert!(matches!(answer(head).status, 0 | 408));
    assert_eq!(answer(silent).status, 0);
    let took = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(16)).contains(&took), "{took:?}");
    assert_eq!(daemon.rooms(), json!([]));
}

#[test]
fn a_token_of_some_rooms_neither_sees_nor_touches_others() {
    let daemon = Daemon::start("");
    let (all, games) = (token("all"), token("games"));
    for room in ["tavern", "game-1"] {
        assert_eq!(daemon.ask("PUT", &format!("/v1/rooms/{room}"), Some(&all), None).status, 200);
    }
    let seen = daemon.ask("GET", "/v1/rooms", Some(&games), None).json();
    assert_eq!((seen["rooms"].as_array().map(Vec::len), &seen["rooms"][0]["name"]), (Some(1), &json!("game-1")));
    let status = |token: &str| daemon.ask("GET", "/v1/status", Some(token), None).json()["wanted"].clone();
    assert_eq!((status(&games), status(&all)), (json!(1), json!(2)));
    let (mut there, mut not_there) = (Vec::new(), Vec::new());
    for (method, end, body) in [
        ("GET", "", None),
        ("GET", "/occupants", None),
        ("GET", "/attendance", None),
        ("GET", "/why", None),
        ("PUT", "", None),
        ("DELETE", "", None),
        ("POST", "/suspend", Some("{}")),
    ] {
        let ask = |room: &str| daemon.ask(method, &format!("/v1/rooms/{room}{end}"), Some(&games), body);
        let answer = ask("tavern");
        answer.refuses(403, "forbidden");
        there.push(answer.body.replace("tavern", "ROOM"));
        not_there.push(ask("nowhere").body.replace("nowhere", "ROOM"));
        ask("meet%2Ftavern").refuses(403, "forbidden");
    }
    assert_eq!(there, not_there, "nothing tells whether there is such a room");
    daemon.ask("GET", "/v1/rooms/game-2", Some(&games), None).refuses(404, "unknown-room");
    daemon.ask("POST", "/v1/reload", Some(&games), None).refuses(403, "forbidden");
    assert_eq!(daemon.ask("PUT", "/v1/rooms/game-2", Some(&games), None).status, 200);
    assert_eq!(daemon.ask("DELETE", "/v1/rooms/game-1", Some(&games), None).status, 200);
    assert_eq!(daemon.rooms(), json!([["game-2", false], ["tavern", false]]));
    let room = daemon.ask("GET", "/v1/rooms/game-2", Some(&all), None).json();
    assert_eq!((&room["sources"][0]["source"], &room["sources"][0]["who"]), (&json!("http"), &json!("token games")));
}

#[test]
fn who_was_inside_is_told_as_json_or_csv_to_whoever_may_see_the_room() {
    let daemon = Daemon::start("");
    let (all, games) = (token("all"), token("games"));
    assert_eq!(daemon.ask("PUT", "/v1/rooms/game-1", Some(&all), None).status, 200);
    let event = |id: u64, room: &str, minute: u64, kind: &str, more: Value| {
        let mut event = json!({
            "id": id, "time": format!("2026-03-01T10:{minute:02}:00Z"), "service": "meet", "room": room, "life": "a",
            "kind": kind, "person": { "nick": "ann", "display_name": "Ann, or so" },
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{event}\n")
    };
    let lines: String = ["game-1", "game-gone", "tavern"]
        .iter()
        .zip([10, 20, 30])
        .map(|(room, id)| {
            event(id, room, 0, "occupant.joined", json!({}))
                + &event(id + 1, room, 7, "occupant.left", json!({ "how": "kicked" }))
        })
        .collect();
    fs::write(daemon.path("events.jsonl"), lines).unwrap();
    let mut import = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    import.args(["events", "import"]).arg(daemon.path("events.jsonl"));
    let imported = import.env("INNKEEPER_SOCKET", daemon.path("control.sock")).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");

    let path = |room: &str, more: &str| format!("/v1/rooms/{room}/attendance{more}");
    let since = "?since=2026-01-01T00:00:00Z";
    // Also of a room that is wanted no more, as long as it is among the token's.
    for (room, who) in [("game-1", &games), ("meet%2Fgame-gone", &games), ("meet%2Ftavern", &all)] {
        let told = daemon.ask("GET", &path(room, since), Some(who), None);
        assert_eq!(told.status, 200, "{room}: {told:?}");
        let told = told.json();
        assert_eq!(told["room"], room.replace("%2F", "/").replace("game-1", "meet/game-1"));
        let one = &told["attended"][0];
        assert_eq!(
            (&one["person"]["nick"], &one["seconds"], &one["how"]),
            (&json!("ann"), &json!(420), &json!("kicked"))
        );
    }
    assert_eq!(daemon.ask("GET", &path("game-1", ""), Some(&games), None).json()["attended"], json!([]), "a day");
    let life = daemon.ask("GET", &path("game-1", "?life=a"), Some(&games), None).json();
    assert_eq!(life["attended"].as_array().map(Vec::len), Some(1), "{life}");

    let accepts =
        format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/csv\r\n", path("game-1", since));
    let accepts = format!("{accepts}Authorization: Bearer {games}\r\n\r\n");
    let asked = daemon.ask("GET", &path("game-1", &format!("{since}&format=csv")), Some(&games), None);
    for csv in [daemon.raw(accepts.as_bytes()), asked] {
        assert!(csv.head.to_lowercase().contains("content-type: text/csv"), "{csv:?}");
        let row = "a,ann,\"Ann, or so\",,2026-03-01T10:00:00Z,false,2026-03-01T10:07:00Z,420,kicked\r\n";
        assert!(csv.body.ends_with(row), "{csv:?}");
    }
    for (path, status, cause) in [
        (path("meet%2Ftavern", since), 403, "forbidden"),
        (path("game-2", since), 404, "unknown-room"),
        (path("game-1", "?format=xml"), 400, "bad-request"),
        (path("game-1", "?since=yesterday"), 400, "bad-request"),
    ] {
        daemon.ask("GET", &path, Some(&games), None).refuses(status, cause);
    }
}

#[test]
fn health_needs_no_token_and_fails_when_a_room_is_not_held() {
    let hook = "[[webhook]]\nname = \"crm\"\nurl = \"https://crm.invalid/\"\nfile = \"all.token\"";
    let daemon = Daemon::start(hook);
    let targets = json!([{"name": "crm", "state": "up", "lag_seconds": 0, "secret_configured": true}]);
    let well = daemon.ask("GET", "/v1/health", None, None);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        well.json(),
        json!({"status": "ok", "version": version, "rooms": {"desired": 0, "held": 0}, "targets": targets})
    );
    assert_eq!(well.status, 200);
    assert_eq!(daemon.ask("PUT", "/v1/rooms/tavern", Some(&token("all")), None).status, 200);
    let ill = daemon.ask("GET", "/v1/health", None, None);
    assert_eq!(
        ill.json(),
        json!({"status": "degraded", "version": version, "rooms": {"desired": 1, "held": 0}, "targets": targets})
    );
    assert_eq!(ill.status, 503);
}

#[test]
fn who_asks_too_often_or_guesses_is_told_to_wait() {
    let daemon = Daemon::start("requests_per_second = 1\nconnections = 4");
    let read = token("read");
    let answers: Vec<Answer> = (0..15).map(|_| daemon.ask("GET", "/v1/status", Some(&read), None)).collect();
    assert!(answers[..10].iter().all(|answer| answer.status == 200), "{answers:?}");
    answers[14].refuses(429, "too-many-requests");
    assert!(answers[14].head.contains("retry-after: 1"));
    assert_eq!(daemon.ask("GET", "/v1/status", Some(&read.replace("read", "all")), None).status, 200, "another's time");
    for n in 0..20 {
        daemon.ask("GET", "/v1/status", Some(&format!("guess-{n}")), None).refuses(401, "wrong-token");
    }
    daemon.ask("GET", "/v1/status", Some("guess-21"), None).refuses(429, "too-many-requests");
    assert_eq!(daemon.ask("GET", "/v1/status", Some(&token("all")), None).status, 200, "loopback is shared by many");
    let log = daemon.log();
    assert!(log.matches("wrong token").count() == 20 && !log.contains("guess-"), "{log}");

    let idle: Vec<TcpStream> = (0..4).map(|_| daemon.connect()).collect();
    let refused = || (answer(daemon.connect()).status == 0).then_some(());
    process::until("a fifth connection is closed", Duration::from_secs(5), refused);
    drop(idle);
    process::until("a place comes back", Duration::from_secs(5), || {
        (daemon.ask("GET", "/v1/health", None, None).status == 200).then_some(())
    });
}

/// Somebody who follows events.
struct Follower(BufReader<Box<dyn Read>>);

impl Follower {
    fn start(daemon: &Daemon, query: &str, last: Option<&str>) -> Follower {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let name = if query.contains("games") { "games" } else { "all" };
        Follower::over(daemon.connect(), query, &token(name), &last)
    }

    fn over(mut stream: impl Read + Write + 'static, query: &str, token: &str, more: &str) -> Follower {
        let head =
            format!("GET /v1/events/live{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(Box::new(stream) as Box<dyn Read>);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            assert!(!line.starts_with("HTTP/1.1 ") || line.contains(" 200 "), "{line}");
        }
        Follower(reader)
    }

    /// The next event: its id, its kind, its data.
    #[track_caller]
    fn next(&mut self) -> Option<(String, String, Value)> {
        let (mut id, mut kind) = (String::new(), String::new());
        let start = Instant::now();
        loop {
            // Comments keep the connection alive, not the test.
            assert!(start.elapsed() < Duration::from_secs(30), "no event came");
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("data", value)) => return Some((id, kind, serde_json::from_str(value).unwrap())),
                _ => {}
            }
        }
    }
}

#[test]
fn events_are_followed_filtered_and_taken_up_again() {
    let mut daemon = Daemon::start("");
    let all = token("all");
    let put = |room: &str, end: &str| {
        let method = if end.is_empty() { "PUT" } else { "POST" };
        let answer = daemon.ask(method, &format!("/v1/rooms/{room}{end}"), Some(&all), None);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let mut every = Follower::start(&daemon, "", None);
    let mut suspended = Follower::start(&daemon, "?kind=room.suspended&room=tav*&service=meet", None);
    let mut games = Follower::start(&daemon, "?x=games", None);
    for room in ["tavern", "game-1"] {
        put(room, "");
        put(room, "/suspend");
    }
    let (id, kind, data) = suspended.next().unwrap();
    assert_eq!((kind.as_str(), &data["room"], &data["service"]), ("room.suspended", &json!("tavern"), &json!("meet")));
    assert_eq!(
        (data["id"].to_string(), &data["kind"], &data["cause"]),
        (id.clone(), &json!(kind), &json!("suspended"))
    );
    while let Some((_, _, data)) = games.next() {
        assert_eq!(data["room"], "game-1", "its rooms and no other");
        if data["kind"] == "room.suspended" {
            break;
        }
    }
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|(_, kind, data): &(_, String, Value)| kind != "room.suspended" || data["room"] != "game-1")
    {
        seen.push(every.next().unwrap());
    }
    // Comes back, and misses nothing.
    let mut again = Follower::start(&daemon, "", Some(&seen[0].0));
    for expected in &seen[1..] {
        assert_eq!(again.next().as_ref(), Some(expected));
    }
    // From the record: by id, and by questions.
    let list = |query: &str, token: &str| {
        let listed = daemon.ask("GET", &format!("/v1/events{query}"), Some(token), None).json();
        listed["events"].as_array().cloned().unwrap()
    };
    let recorded = process::until("all events in the record", Duration::from_secs(5), || {
        let recorded = list("", &all);
        (recorded.last() == seen.last().map(|(_, _, data)| data)).then_some(recorded)
    });
    assert!(seen.iter().all(|(_, _, data)| recorded.contains(data)), "{recorded:?}");
    let after = list(&format!("?after={}&limit=1", seen[0].0), &all);
    assert_eq!(after, [seen[1].2.clone()]);
    assert!(list("?room=meet/tavern&kind=room.suspended", &all).iter().all(|event| event["room"] == "tavern"));
    assert!(list("", &token("games")).iter().all(|event| event["room"] == "game-1"));
    let first = seen[0].0.parse::<u64>().unwrap() - 1;
    let theirs = list(&format!("?after={first}&limit=1"), &token("games"));
    assert_eq!(theirs.len(), 1, "events of others' rooms do not use up the page");
    daemon.ask("GET", "/v1/events?kind=room.eaten", Some(&all), None).refuses(400, "bad-request");
    let cli = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        let output =
            command.arg("events").args(more).arg("--socket").arg(daemon.path("control.sock")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let printed: Value = serde_json::from_str(&cli(&["--json"])).unwrap();
    assert_eq!(printed["events"].as_array(), Some(&recorded));
    let kinds = list("?kind=room.*&room=game-1", &all);
    assert!(!kinds.is_empty() && kinds.iter().all(|event| event["kind"].as_str().unwrap().starts_with("room.")));
    assert!(cli(&["game-1", "--kind", "room.suspended"]).contains("meet/game-1  room.suspended"));
    // A later process goes on from what an earlier one recorded.
    daemon.restart();
    let mut old = Follower::start(&daemon, "?kind=room.suspended", Some(&first.to_string()));
    assert_eq!(old.next().map(|(_, _, data)| data["room"].clone()), Some(json!("tavern")));
    assert_eq!(old.next().map(|(_, _, data)| data["room"].clone()), Some(json!("game-1")));
    daemon.ask("GET", "/v1/events/live", None, None).refuses(401, "no-token");
    daemon.ask("GET", "/v1/events/live", Some(&token("rooms")), None).refuses(403, "forbidden");
}

#[test]
fn who_follows_and_does_not_read_is_dropped_with_a_last_word_while_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let secret = Secret::new(token("all"));
    let http = config::Http {
        listen: config::Listen::Unix(path.clone()),
        tls: None,
        behind_proxy: false,
        requests_per_second: 10,
        connections: 8,
        tokens: vec![config::HttpToken { name: "all".to_owned(), secret, rights: Rights::all() }],
    };
    let bus = Bus::new(EventId::default(), None);
    let (asked, _commands) = mpsc::channel(1);
    let (_settings, settings) = watch::channel(Arc::new(http.clone()));
    let shared = Shared::new(Arc::new(Gate::new(asked)), bus.clone(), settings);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(Listener::bind(&http)).unwrap();
    runtime.spawn(listener.serve(shared));
    let follow = || Follower::over(UnixStream::connect(&path).unwrap(), "", &token("all"), "");
    let (mut slow, mut quick) = (follow(), follow());
    let long = "x".repeat(1000);
    for _ in 0..3000 {
        let event = bus.publish(jiff::Timestamp::now(), "meet", Some(&long), None, What::RoomHeld);
        assert_eq!(quick.next().map(|(id, ..)| id), Some(event.id.to_string()));
    }
    let mut told = std::iter::from_fn(|| slow.next());
    let (id, _, word) = told.find(|(_, kind, _)| kind == "dropped").expect("a last word");
    assert_eq!((id.as_str(), &word["cause"]), ("", &json!("dropped")), "nothing that a reader would take for an event");
    assert!(word["text"].as_str().is_some_and(|text| text.contains("too slowly")), "{word}");
    assert!(told.next().is_none(), "and the end");
}

#[test]
fn a_player_gets_a_token_for_one_room_that_is_told_from_others() {
    let service = "[service.game]\nurl = \"ws://127.0.0.1:1/xmpp-websocket\"\ndomain = \"game.example\"\n\
                   muc = \"muc.game.example\"\nlogin = \"token\"\napp_id = \"my-app\"\nsecret_file = \"all.token\"\n\
                   [[policy]]\nrooms = \"guarded\"\nmode = \"enforce\"\n[policy.moderators]\nallow = []\n";
    let daemon = Daemon::start(&format!("requests_per_second = 50\n{service}"));
    let mint = |name: &str, room: &str, body: Value| {
        daemon.ask("POST", &format!("/v1/rooms/{room}/tokens"), Some(&token(name)), Some(&body.to_string()))
    };
    let ann = || json!({ "player": { "name": "Ann" } });
    mint("moderate", "game%2Fx", ann()).refuses(409, "would-be-owner");
    mint("moderate", "game%2F*", ann()).refuses(400, "bad-request");
    mint("moderate", "meet%2Fx", ann()).refuses(409, "cannot-sign");
    mint("moderate", "game%2Fguarded", json!({ "player": { "name": "Ann" }, "for_seconds": 28_801 }))
        .refuses(400, "bad-request");
    mint("moderate", "game%2Fx", json!({ "player": { "name": "Ann" }, "moderator": true })).refuses(403, "forbidden");
    let boss = json!({ "player": { "name": "Ann" }, "moderator": true, "accept_owner": true });
    assert_eq!(mint("admin", "game%2Fx", boss).json()["effective_role"], "owner");
    let minted = mint("moderate", "game%2Fguarded", ann());
    assert_eq!((minted.status, &minted.json()["effective_role"]), (200, &json!("participant")), "{minted:?}");
    let made = minted.json()["token"].as_str().unwrap().to_owned();

    let explain = |made: &str| {
        let body = json!({ "token": made }).to_string();
        daemon.ask("POST", "/v1/tokens/explain", Some(&token("read")), Some(&body))
    };
    let told = explain(&made).json();
    for (key, value) in [
        ("service", json!("game")),
        ("room", json!("guarded")),
        ("name", json!("Ann")),
        ("issuer", json!("my-app")),
        ("moderator", json!(false)),
        ("effective_role", json!("participant")),
        ("remarks", json!([])),
    ] {
        assert_eq!(told[key], value, "{key}: {told}");
    }
    let (body, _) = made.rsplit_once('.').unwrap();
    let forged = explain(&format!("{body}.c2lnbmVk")).json();
    assert_eq!((&forged["service"], &forged["effective_role"]), (&Value::Null, &json!("unknown")));
    explain("hunter2").refuses(400, "bad-request");

    let cli = |args: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        command.arg("token").args(args).arg("--socket").arg(daemon.path("control.sock"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, _) = cli(&["mint", "game/guarded", "Ann", "--for", "2h"], "");
    assert_eq!(code, Some(0));
    let (first, rest) = printed.split_once('\n').unwrap();
    assert!(rest.contains("ends:         in 2 h\n") || rest.contains("ends:         in 119 min\n"), "{rest}");
    let (code, printed, _) = cli(&["explain"], first);
    assert_eq!(code, Some(0));
    assert!(printed.contains("with the key of:  service game\n"), "{printed}");
    assert!(printed.contains("role inside:      participant: rule moderators"), "{printed}");
    let (_, printed, _) = cli(&["explain", "--json"], first);
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["room"], "guarded");
    let (code, _, error) = cli(&["mint", "game/x", "Ann"], "");
    assert_eq!(code, Some(1));
    assert!(error.contains("enforce rule moderators in game/x, or say accept_owner"), "{error}");
    let log = daemon.log();
    assert!(log.contains("mint game/guarded \"Ann\" for 7200 s") && !log.contains("eyJ"), "{log}");
}

fn in_seconds(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn a_room_is_booked_for_a_time_and_gone_after_it() {
    let service = "[service.game]\nurl = \"ws://127.0.0.1:1/xmpp-websocket\"\ndomain = \"game.example\"\n\
                   muc = \"muc.game.example\"\nlogin = \"token\"\napp_id = \"my-app\"\nsecret_file = \"all.token\"\n\
                   [[room]]\nservice = \"game\"\nname = \"market\"\n";
    let mut daemon = Daemon::start(service);
    let all = token("all");
    let book = |daemon: &Daemon, room: &str, body: Value| {
        daemon.ask("PUT", &format!("/v1/rooms/game%2F{room}"), Some(&all), Some(&body.to_string()))
    };
    let look = |daemon: &Daemon, room: &str| daemon.ask("GET", &format!("/v1/rooms/game%2F{room}"), Some(&all), None);
    let mint = |daemon: &Daemon, room: &str| {
        let body = json!({ "player": { "name": "Ann" }, "for_seconds": 7200, "accept_owner": true }).to_string();
        daemon.ask("POST", &format!("/v1/rooms/game%2F{room}/tokens"), Some(&all), Some(&body))
    };

    for (body, part) in [
        (json!({ "until": "2020-01-01T00:00:00Z" }), "until is in the past"),
        (json!({ "from": in_seconds(7200), "until": in_seconds(3600) }), "is not later than from"),
        (json!({ "from": in_seconds(7200), "title": "x".repeat(257) }), "title is too long"),
        (json!({ "title": "Council" }), "title is for a booking"),
        (json!({ "from": "at noon" }), "the body"),
    ] {
        let answer = book(&daemon, "hall", body);
        answer.refuses(400, "bad-request");
        assert!(answer.body.contains(part), "{answer:?}");
    }
    let configured = book(&daemon, "market", json!({ "until": in_seconds(3600) }));
    configured.refuses(409, "not-bookable");
    assert!(configured.body.contains("the configuration"), "{configured:?}");
    look(&daemon, "hall").refuses(404, "unknown-room");

    let (from, until) = (in_seconds(7200), in_seconds(10_800));
    let booked =
        book(&daemon, "hall", json!({ "from": from, "until": until, "early_seconds": 60, "title": "Council" }));
    assert_eq!((booked.status, &booked.json()["room"]["state"]), (200, &json!("suspended")), "{booked:?}");
    assert_eq!(book(&daemon, "yard", json!({ "until": in_seconds(3600) })).status, 200);
    let minted = mint(&daemon, "yard").json();
    let left = minted["expires"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
    assert!((3500..=3600).contains(&left), "it ends with the booking: {minted}");

    daemon.restart();
    let row = look(&daemon, "hall").json();
    assert_eq!((&row["state"], &row["cause"], &row["next"]), (&json!("suspended"), &json!("booked"), &json!("opens")));
    assert!(row["text"].as_str().is_some_and(|text| text.contains(&format!("booked from {from}"))), "{row}");
    assert_eq!((&row["sources"][0]["from"], &row["sources"][0]["until"]), (&json!(from), &json!(until)));
    let opens: jiff::Timestamp = row["next_at"].as_str().unwrap().parse().unwrap();
    let early = opens.duration_since(from.parse().unwrap()).as_secs_f64();
    assert!((-61.0..=-59.0).contains(&early), "a minute before it begins: {row}");

    // Nothing closes it, for the service is away; it is released all the same.
    assert_eq!(book(&daemon, "yard", json!({ "until": in_seconds(2) })).status, 200);
    let over = "room=yard why=its booking ended at ";
    process::until("the booking ends", Duration::from_secs(40), || daemon.log().contains(over).then_some(()));
    look(&daemon, "yard").refuses(410, "ended");
    mint(&daemon, "yard").refuses(410, "ended");
    let attended = daemon.ask("GET", "/v1/rooms/yard/attendance", Some(&all), None);
    assert_eq!((attended.status, &attended.json()["room"]), (200, &json!("game/yard")), "who was there is told on");
    daemon.restart();
    look(&daemon, "yard").refuses(410, "ended");
    assert_eq!(book(&daemon, "yard", json!({ "until": in_seconds(3600) })).status, 200);
    assert_eq!((look(&daemon, "yard").status, mint(&daemon, "yard").status), (200, 200));
}

#[test]
fn a_reload_takes_tokens_away_at_once_and_brings_new_ones() {
    let mut daemon = Daemon::start("");
    let mut follower = Follower::start(&daemon, "", None);
    assert_eq!(daemon.ask("GET", "/v1/status", Some(&token("all")), None).status, 200);
    let text = fs::read_to_string(daemon.path("innkeeper.toml")).unwrap();
    fs::write(
        daemon.path("innkeeper.toml"),
        text.replace("name = \"all\"\nfile = \"all.token\"", "name = \"all\"\nfile = \"new\""),
    )
    .unwrap();
    fs::write(daemon.path("new"), "a-new-token-0123456789").unwrap();
    process::signal(&daemon.child, Signal::HUP);
    let refused = || (daemon.ask("GET", "/v1/status", Some(&token("all")), None).status == 401).then_some(());
    process::until("the old token is refused", Duration::from_secs(5), refused);
    assert_eq!(daemon.ask("GET", "/v1/status", Some("a-new-token-0123456789"), None).status, 200);
    assert_eq!(follower.next().map(|(_, kind, _)| kind).as_deref(), Some("dropped"));
    assert_eq!(follower.next(), None);
    assert_eq!(process::terminate(&mut daemon.child, Duration::from_secs(5)).and_then(|status| status.code()), Some(0));
}

#[test]
fn it_listens_on_a_unix_socket_and_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let daemon = Daemon::start(&format!("listen = \"unix:{}\"", path.display()));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&request("GET", "/v1/status", Some(&token("read")), None)).unwrap();
    let answer = answer(stream);
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(daemon);
    assert!(!path.exists());
}

#[test]
fn it_speaks_tls_with_its_certificate_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let daemon = Daemon::start(&format!("tls_cert = {cert:?}\ntls_key = {key:?}"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut session = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = daemon.connect();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    tls.write_all(&request("GET", "/v1/status", Some(&token("read")), None)).unwrap();
    let answered = answer(tls);
    assert_eq!(answered.status, 200, "{answered:?}");
    let plain = daemon.ask("GET", "/v1/health", None, None);
    assert_eq!(plain.status, 0, "{plain:?}");
}

#[test]
fn the_description_in_the_tree_is_the_one_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = innkeeper::control::http::document();
    if std::env::var_os("INNKEEPER_WRITE_OPENAPI").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == document, "openapi.json is of another version; INNKEEPER_WRITE_OPENAPI=1 writes it again");
    let parsed: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(parsed["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
}
