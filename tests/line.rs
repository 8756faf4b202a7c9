//! The line protocol as game servers see it: the real binary, raw lines.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "support/process.rs"]
#[allow(dead_code)]
mod process;

const SECRET: &str = "correct-horse-battery";
const SOON: Duration = Duration::from_secs(20);

/// A daemon with a service that can not be reached, and these lines.
struct Daemon {
    folder: TempDir,
    child: Child,
}

impl Daemon {
    /// Each line with its name, its place, its scopes and its rooms; its secret is [`SECRET`] and the name.
    fn start(lines: &[(&str, &str, &[&str], &str)]) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), lines);
        let child = run(folder.path());
        Daemon { folder, child }
    }

    /// Ends it and starts it again; the log begins anew.
    fn restart(&mut self) {
        process::terminate(&mut self.child, SOON);
        self.child = run(self.folder.path());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The last place that was opened.
    fn listening(&self) -> String {
        process::until("a place to speak the line protocol", SOON, || {
            let log = self.log();
            let line = log.lines().rfind(|line| line.contains("line protocol open"))?.to_owned();
            Some(line.split("listen=").nth(1)?.split_whitespace().next()?.trim_matches('"').to_owned())
        })
    }

    fn connect(&self) -> Peer {
        Peer::of(TcpStream::connect(self.listening()).unwrap())
    }

    /// Somebody who has shown the secret of `name`.
    fn enter(&self, name: &str) -> Peer {
        let mut peer = self.connect();
        peer.say(&format!("auth {SECRET}-{name}"));
        assert_eq!(peer.hear()["reply"], "welcome");
        peer
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

fn run(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    command.args(["run", "--config"]).arg(folder.join("innkeeper.toml"));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn write(folder: &Path, lines: &[(&str, &str, &[&str], &str)]) {
    let path = |name: &str| folder.join(name);
    fs::write(path("password"), "wrong").unwrap();
    let mut text = format!(
        "control_socket = {:?}\nstate_dir = {:?}\n[service.meet]\nurl = \"xmpp://127.0.0.1:1\"\n\
         domain = \"meet.jitsi\"\nmuc = \"muc.meet.jitsi\"\naccount = \"a\"\npassword_file = \"password\"\n",
        path("control.sock"),
        path("state")
    );
    for (name, place, scopes, rooms) in lines {
        fs::write(path(&format!("{name}.secret")), format!("{SECRET}-{name}")).unwrap();
        text += &format!(
            "[[line]]\nname = {name:?}\nfile = \"{name}.secret\"\nscopes = {scopes:?}\nrooms = {rooms:?}\n{place}\n"
        );
    }
    fs::write(path("innkeeper.toml"), text).unwrap();
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The other end of a line.
struct Peer(BufReader<Box<dyn Stream>>);

impl Peer {
    fn of(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(SOON)).unwrap();
        Peer(BufReader::new(Box::new(stream)))
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; `Null` is the end.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Value::Null,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Value::Null,
            Ok(_) => serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")),
            Err(error) => panic!("nothing was said: {error}"),
        }
    }

    fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear()
    }

    /// The next event of this kind.
    fn event(&mut self, kind: &str) -> Value {
        loop {
            let heard = self.hear();
            assert_ne!(heard, Value::Null, "no {kind}");
            if heard["event"]["kind"] == kind {
                return heard["event"].clone();
            }
        }
    }
}

const LISTEN: &str = "listen = \"127.0.0.1:0\"";
const ALL: &[&str] = &["read", "rooms", "moderate"];

#[test]
fn commands_are_said_in_objects_or_words_and_answered_with_their_number() {
    let daemon = Daemon::start(&[("game", LISTEN, ALL, "game-*")]);
    let mut game = daemon.connect();
    let welcome = game.ask(&json!({ "auth": format!("{SECRET}-game"), "seq": 1 }).to_string());
    assert_eq!(
        (&welcome["reply"], &welcome["seq"], &welcome["rooms"], &welcome["line"]),
        (&json!("welcome"), &json!(1), &json!("game-*"), &json!("game"))
    );
    let held = game.ask(r#"{"command":"hold","room":"game-hall","reason":"act one","seq":"a"}"#);
    assert_eq!(
        (&held["reply"], &held["seq"], &held["room"]["name"]),
        (&json!("done"), &json!("a"), &json!("game-hall"))
    );
    let held = game.ask("hold game-crypt");
    assert_eq!((&held["reply"], held.get("seq")), (&json!("done"), None));
    let rooms = game.ask("rooms");
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(2), "{rooms:#}");
    let room = game.ask(r#"{"command":"room","room":"game-hall"}"#);
    assert_eq!(room["sources"][0]["source"], "line");
    assert_eq!(room["sources"][0]["who"], "line game");
    assert_eq!(game.ask("ping")["reply"], "pong");
    assert!(game.ask("help")["lines"].as_array().is_some_and(|lines| lines.len() > 5));
    assert_eq!(game.ask("release game-crypt")["reply"], "done");
    let refused = game.ask("kick game-hall ann");
    assert_eq!((&refused["reply"], &refused["error"]), (&json!("refused"), &json!("not-in-room")));
    for line in ["dance", "{\"command\":\"dance\"}", "{"] {
        assert_eq!(game.ask(line)["error"], "bad-request", "{line}");
    }
    let asked = game.ask("hold game-crypt\nrelease game-crypt\nquit");
    assert_eq!(asked["reply"], "done", "what was asked before the end is answered first");
    assert_eq!(game.hear()["reply"], "done");
    assert_eq!(game.hear()["reply"], "bye");
    assert_eq!(game.hear(), Value::Null);
    let log = daemon.log();
    assert!(log.contains("command carried out") && log.contains("line game"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn nothing_but_the_secret_is_listened_to_and_five_wrong_ones_shut_the_address_out() {
    let daemon = Daemon::start(&[("game", LISTEN, ALL, "*")]);
    for first in ["hold tavern", "GET / HTTP/1.1", "POST / HTTP/1.1", "", "{}", "ping"] {
        let mut peer = daemon.connect();
        assert_eq!(peer.ask(first), Value::Null, "{first}");
    }
    daemon.enter("game");
    for _ in 0..5 {
        let mut peer = daemon.connect();
        assert_eq!(peer.ask("auth correct-horse")["error"], "wrong-secret");
        assert_eq!(peer.hear(), Value::Null);
    }
    let mut peer = daemon.connect();
    assert_eq!(peer.ask(&format!("auth {SECRET}-game")), Value::Null, "the right one, too");
}

#[test]
fn a_user_who_guesses_at_a_unix_socket_shuts_no_other_user_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let socket = folder.path().join("line.sock");
    let daemon = Daemon::start(&[("game", &format!("listen = {:?}", format!("unix:{}", socket.display())), ALL, "*")]);
    daemon.listening();
    // In Perl, which every Debian has where every user can run it.
    let guess = "alarm 30; $SIG{PIPE} = 'IGNORE'; for (1..6) { my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; \
                 print $s qq(auth correct-horse\\n); $s->flush; my $l = <$s>; print defined $l ? $l : qq(closed\\n) }";
    let guesses = |mut command: Command| {
        command.args(["/usr/bin/perl", "-MIO::Socket::UNIX", "-e", guess]).arg(&socket);
        let output = command.output().expect("setpriv, of the package util-linux");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (said.matches("wrong-secret").count(), said.matches("closed").count())
    };
    let enters = || {
        let unix = UnixStream::connect(&socket).unwrap();
        unix.set_read_timeout(Some(SOON)).unwrap();
        let mut game = Peer(BufReader::new(Box::new(unix)));
        // It may be closed before all is said.
        let _ = game.0.get_mut().write_all(format!("auth {SECRET}-game\n").as_bytes());
        game.hear()["reply"] == "welcome"
    };
    if rustix::process::geteuid().is_root() {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        assert_eq!(guesses(other), (5, 1));
        assert!(enters(), "somebody else guessed");
    } else {
        let _ = writeln!(std::io::stderr(), "NOT TRIED: another user's guesses; run this test as root");
    }
    assert_eq!(guesses(Command::new("env")), (5, 1));
    assert!(!enters(), "this user guessed");
}

#[test]
fn a_line_over_tls_goes_both_ways_and_nothing_is_said_to_a_peer_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let client = Arc::new(client.unwrap().with_root_certificates(roots).with_no_client_auth());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let der = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], der).unwrap();

    let dialled = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dialled.local_addr().unwrap().port();
    let daemon = Daemon::start(&[
        ("game", &format!("{LISTEN}\ntls_cert = {cert:?}\ntls_key = {key:?}"), ALL, "*"),
        ("far", &format!("dial = \"tls://localhost:{port}\"\nca_file = {cert:?}"), ALL, "*"),
    ]);
    let stream = TcpStream::connect(daemon.listening()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let session = rustls::ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let mut game = Peer(BufReader::new(Box::new(rustls::StreamOwned::new(session, stream))));
    game.say(&format!("auth {SECRET}-game"));
    assert_eq!(game.hear()["reply"], "welcome");
    assert_eq!(game.ask("hold tavern")["reply"], "done");
    let mut plain = TcpStream::connect(daemon.listening()).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    plain.write_all(format!("auth {SECRET}-game\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Closed, or reset, after at most an alert of TLS.
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("welcome"));

    let (stream, _) = dialled.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let session = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    let mut far = Peer(BufReader::new(Box::new(rustls::StreamOwned::new(session, stream))));
    assert_eq!(far.hear()["hello"], "innkeeper");
    assert_eq!(far.ask(&format!("auth {SECRET}-far"))["line"], "far");
    assert_eq!(far.ask("rooms")["rooms"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_line_does_what_its_scopes_and_rooms_allow_and_nothing_else() {
    let daemon = Daemon::start(&[("reader", LISTEN, &["read"], "*"), ("game", LISTEN, ALL, "game-*")]);
    let mut reader = daemon.enter("reader");
    assert_eq!(reader.ask("rooms")["reply"], "rooms");
    let refused = reader.ask("hold game-hall");
    assert_eq!(refused["error"], "forbidden");
    assert!(refused["text"].as_str().is_some_and(|text| text.contains("line \"reader\"")), "{refused}");
    let mut game = daemon.enter("game");
    for line in ["hold tavern", "room tavern", "{\"command\":\"reload\",\"plan\":false}", "bans", "unban 1"] {
        assert_eq!(game.ask(line)["error"], "forbidden", "{line}");
    }
    assert_eq!(game.ask("rooms")["rooms"], json!([]), "nothing was changed");
}

#[test]
fn events_are_followed_and_taken_up_again_after_the_last_that_was_seen() {
    let daemon = Daemon::start(&[("game", LISTEN, ALL, "game-*"), ("all", LISTEN, ALL, "*")]);
    let (mut game, mut all) = (daemon.enter("game"), daemon.enter("all"));
    assert_eq!(game.ask("follow dance-*")["reply"], "following");
    assert_eq!(game.ask("follow * dance")["error"], "bad-request");
    assert_eq!(game.ask(r#"{"command":"follow","kind":"room.*","seq":5}"#)["seq"], 5);
    for room in ["tavern", "game-hall"] {
        assert_eq!(all.ask(&format!("hold {room}"))["reply"], "done");
        assert_eq!(all.ask(&format!("suspend {room}"))["reply"], "done");
    }
    let first = game.event("room.suspended");
    assert_eq!(first["room"], "game-hall", "the other is none of its rooms");
    drop(game);
    assert_eq!(all.ask("hold game-hall")["reply"], "done");
    assert_eq!(all.ask("suspend game-hall")["reply"], "done");
    let mut again = daemon.enter("game");
    again.ask(&json!({ "command": "follow", "kind": "room.suspended", "after": first["id"] }).to_string());
    let second = again.event("room.suspended");
    assert!(second["id"].as_u64() > first["id"].as_u64(), "{first} {second}");
    assert_eq!(again.ask("unfollow")["reply"], "unfollowed");
}

#[test]
fn an_authoritys_list_of_rooms_is_taken_once_in_order_and_for_its_own_rooms_alone() {
    let authority = |name: &str| {
        format!("[[authority]]\nname = \"{name}\"\nservice = \"meet\"\nrooms = \"{name}-*\"\nline = \"game\"\n")
    };
    let place = format!("{LISTEN}\n{}{}", authority("game"), authority("film"));
    let mut daemon = Daemon::start(&[("other", LISTEN, ALL, "*"), ("game", &place, ALL, "*")]);
    let (mut game, mut other) = (daemon.enter("game"), daemon.enter("other"));
    let mut desire = |authority: Value, revision: u64, rooms: &[&str]| {
        let said = json!({ "command": "desire", "authority": authority, "revision": revision, "rooms": rooms });
        let answer = game.ask(&said.to_string());
        let word = answer["error"].as_str().unwrap_or(answer["reply"].as_str().unwrap_or_default()).to_owned();
        (word, answer["text"].as_str().unwrap_or_default().to_owned())
    };
    let wanted = |peer: &mut Peer| -> Vec<String> {
        let rooms = peer.ask("rooms")["rooms"].clone();
        rooms.as_array().into_iter().flatten().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (word, text) = desire(json!("game"), 7, &["game-hall", "game-crypt"]);
    assert_eq!((&*word, text.ends_with("is in force: 2 rooms")), ("taken", true), "{text}");
    assert_eq!(other.ask("hold tavern")["reply"], "done");
    assert_eq!(wanted(&mut other), ["game-crypt", "game-hall", "tavern"]);

    let kept = || fs::metadata(daemon.path("state/state.json")).and_then(|file| file.modified()).unwrap();
    let before = kept();
    let (word, text) = desire(json!("game"), 7, &["game-crypt", "game-hall"]);
    assert_eq!((&*word, &*text), ("taken", "revision 7 is in force already"));
    assert_eq!(kept(), before, "the same list again writes nothing");
    for (authority, revision, rooms, expected) in [
        (json!("game"), 7, &["game-hall"][..], "old-revision"),
        (json!("game"), 6, &["game-hall"], "old-revision"),
        (json!("game"), 8, &[], "bad-request"),
        (json!("game"), 8, &["game-hall", "tavern"], "forbidden"),
        (json!("game"), 8, &["game hall"], "bad-request"),
        (json!("nobody"), 8, &["game-hall"], "unknown-authority"),
        (Value::Null, 8, &["game-hall"], "bad-request"),
    ] {
        let (word, text) = desire(authority.clone(), revision, rooms);
        assert_eq!(word, expected, "{authority} {revision} {rooms:?}: {text}");
    }
    assert_eq!(other.ask("desire 9 game-hall")["error"], "unknown-authority", "another line is not the authority's");
    assert_eq!(wanted(&mut other), ["game-crypt", "game-hall", "tavern"], "nothing was changed");

    assert_eq!(desire(json!("film"), 1, &["film-set"]).0, "taken");
    assert_eq!(desire(json!("game"), 8, &["game-crypt"]).0, "taken");
    assert_eq!(wanted(&mut other), ["film-set", "game-crypt", "tavern"], "each list replaces its own");
    let empty = r#"{"command":"desire","authority":"game","revision":9,"rooms":[],"really_empty":true}"#;
    assert_eq!(game.ask(empty)["reply"], "taken");
    assert_eq!(wanted(&mut other), ["film-set", "tavern"]);

    // The revision that was seen last outlives the process.
    daemon.restart();
    let mut game = daemon.enter("game");
    let old = json!({ "command": "desire", "authority": "game", "revision": 8, "rooms": ["game-crypt"] });
    assert_eq!(game.ask(&old.to_string())["error"], "old-revision");
    assert_eq!(wanted(&mut game), ["film-set"], "an authority sees its own rooms");
}

#[test]
fn who_speaks_for_an_authority_does_nothing_in_rooms_that_are_not_its_own() {
    let authority = "[[authority]]\nname = \"story\"\nservice = \"meet\"\nrooms = \"game-*\"\nline = \"game\"\n";
    let daemon = Daemon::start(&[("other", LISTEN, ALL, "*"), ("game", &format!("{LISTEN}\n{authority}"), ALL, "*")]);
    let (mut game, mut other) = (daemon.enter("game"), daemon.enter("other"));
    for room in ["tavern", "game-hall"] {
        assert_eq!(other.ask(&format!("hold {room}"))["reply"], "done");
    }
    let deeds = ["kick ROOM ann", "end ROOM", "grant ROOM ann@meet.jitsi", "release ROOM", "hold ROOM", "ban ROOM ann"];
    for deed in deeds {
        let refused = game.ask(&deed.replace("ROOM", "tavern"));
        assert_eq!(refused["error"], "forbidden", "{deed}: {refused}");
        let text = refused["text"].as_str().unwrap_or_default();
        assert!(text.ends_with("its rooms are meet/game-*, since it speaks for an authority over these"), "{text}");
        let own = game.ask(&deed.replace("ROOM", "game-hall"));
        assert_ne!(own["error"], "forbidden", "{deed}: {own}");
    }
    let refused = game.ask("bans");
    assert_eq!(refused["error"], "forbidden", "what is about all rooms is not its own either: {refused}");
    assert_eq!(other.ask("room tavern")["name"], "tavern", "it is wanted as before");
    let told = daemon.log().matches("command refused").count();
    assert_eq!(told, deeds.len(), "each refusal is told");
}

#[test]
fn what_is_too_long_or_no_text_ends_the_line_with_a_last_word() {
    let daemon = Daemon::start(&[("game", LISTEN, ALL, "*")]);
    for (bytes, part) in [(vec![b'x'; 70_000], "65536 bytes"), (b"hold \xff\n".to_vec(), "UTF-8")] {
        let mut game = daemon.enter("game");
        // It may be closed before all is sent.
        let _ = game.0.get_mut().write_all(&bytes);
        let last = game.hear();
        let told = last["text"].as_str().is_some_and(|text| text.contains(part));
        // What was not read is answered with a reset, which may overtake the word.
        assert!(last == Value::Null || told, "{last}");
        assert_eq!(daemon.enter("game").ask("rooms")["rooms"], json!([]));
    }
}

#[test]
fn a_reload_ends_lines_whose_secret_changed_and_opens_new_places() {
    let daemon = Daemon::start(&[("game", LISTEN, ALL, "*"), ("other", LISTEN, ALL, "*")]);
    let (mut game, mut other) = (daemon.enter("game"), daemon.enter("other"));
    let socket = format!("listen = {:?}", format!("unix:{}", daemon.path("line.sock").display()));
    write(daemon.folder.path(), &[("other", LISTEN, ALL, "*"), ("game", &socket, &["read"], "*")]);
    process::signal(&daemon.child, Signal::HUP);
    let last = game.hear();
    assert_eq!((&last["reply"], game.hear()), (&json!("dropped"), Value::Null), "{last}");
    assert_eq!(other.ask("ping")["reply"], "pong", "the other stays");
    let unix = process::until("the new place", SOON, || UnixStream::connect(daemon.path("line.sock")).ok());
    unix.set_read_timeout(Some(SOON)).unwrap();
    let mut game = Peer(BufReader::new(Box::new(unix)));
    game.say(&format!("auth {SECRET}-game"));
    assert_eq!(game.hear()["scopes"], json!(["read"]));
    assert_eq!(game.ask("rooms")["reply"], "rooms");
}

#[test]
fn a_game_server_is_dialled_again_and_again_and_proves_itself_before_it_commands() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let daemon = Daemon::start(&[("game", &format!("dial = \"{address}\""), ALL, "*")]);
    let accept = || {
        let (stream, _) = server.accept().unwrap();
        let mut peer = Peer::of(stream);
        assert_eq!(peer.hear()["hello"], "innkeeper");
        peer
    };
    assert_eq!(accept().ask("hold tavern"), Value::Null, "who shows no secret commands nothing");
    let mut game = accept();
    assert_eq!(game.ask(&format!("auth {SECRET}-game"))["reply"], "welcome");
    assert_eq!(game.ask("rooms")["rooms"], json!([]));
    assert_eq!(game.ask("hold tavern")["reply"], "done");
    drop(game);
    let mut game = accept();
    assert_eq!(game.ask(&format!("auth {SECRET}-game"))["reply"], "welcome");
    assert_eq!(game.ask("rooms")["rooms"].as_array().map(Vec::len), Some(1));
    drop(daemon);
}
