//! The control socket as its peers see it: real processes, real other users, the real binary.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use innkeeper::command::{self, Reply, Requester, RoomRow, RoomState, Who, refused};
use innkeeper::control::{self, BindError, Groups, Listener};
use innkeeper::event::{EventId, What};
use innkeeper::runtime::bus::Bus;
use innkeeper::store::Store;
use tempfile::TempDir;

/// Numbers that no account of the machine has; the kernel does not ask for names.
const ADMIN: u32 = 61_001;
const READ: u32 = 61_002;
const SOMEBODY: u32 = 61_003;

/// The sockets, served on a thread by a daemon that agrees to everything.
struct Daemon {
    folder: TempDir,
    asked: Arc<Mutex<Vec<(command::Command, Requester)>>>,
    bus: Arc<Bus>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Daemon {
    fn start(groups: Groups) -> (Daemon, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        // So that others come as far as the socket.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (store, ..) = Store::open(&folder.path().join("state")).unwrap();
        let path = folder.path().join("control.sock");
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let bus = Bus::new(EventId::default(), None);
        let told = bus.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (listener, warnings) = Listener::bind(&path, groups, &store).unwrap();
                ready.send(warnings).unwrap();
                let (sender, mut commands) = tokio::sync::mpsc::channel::<control::Asked>(8);
                let answer = async move {
                    while let Some((command, requester, reply)) = commands.recv().await {
                        let answer = answer(&command);
                        kept.lock().unwrap().push((command, requester));
                        let _ = reply.send(answer);
                    }
                };
                tokio::select! { () = control::serve(listener, Arc::new(control::Gate::new(sender)), told) => {} () = answer => {} _ = stopped => {} }
            });
        });
        let warnings = started.recv().unwrap();
        (Daemon { folder, asked, bus, _stop: stop }, warnings)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

fn row() -> RoomRow {
    RoomRow {
        service: "meet".into(),
        name: "tavern".into(),
        jid: "tavern@muc.meet.jitsi".into(),
        state: RoomState::Held,
        since: "2026-01-01T00:00:00Z".into(),
        cause: "holding".into(),
        text: "inside and moderator".into(),
        next: String::new(),
        next_at: None,
        last_trouble: None,
        people: 0,
    }
}

fn answer(command: &command::Command) -> Reply {
    match command {
        command::Command::Events(_) => {
            let events = vec![serde_json::json!({ "recorded": true })];
            Reply::Events(command::EventsReply { events, next: Some(1) })
        }
        command::Command::Rooms => Reply::Rooms { rooms: vec![row()] },
        command::Command::Reload { .. } => Reply::Reload(command::Plan::default()),
        command::Command::Hold { room, .. } if room == "nowhere" => refused("unknown-room", "no room \u{1b}[31m"),
        _ => Reply::Done { text: "done".into(), room: row() },
    }
}

fn line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says past the test runner's capture that something was not tried.
fn not_tried(what: &str) {
    let _ = writeln!(std::io::stderr(), "NOT TRIED: {what}: only root can become another user; run this test as root");
}

/// Runs the command line as another user. The answer is its exit code, standard output and error.
fn as_user(daemon: &Daemon, uid: u32, gid: u32, groups: &[u32], args: &[&str]) -> (Option<i32>, String, String) {
    // The build's folder may be closed to others.
    let binary = daemon.folder.path().join("innkeeper");
    if !binary.exists() {
        fs::copy(env!("CARGO_BIN_EXE_innkeeper"), &binary).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
    match groups.as_slice() {
        [] => command.arg("--clear-groups"),
        some => command.arg(format!("--groups={}", some.join(","))),
    };
    command.arg(&binary).args(args).arg("--socket").arg(daemon.socket());
    let output = command.output().expect("setpriv, of the package util-linux");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn both_sockets_have_mode_0660_and_their_groups() {
    if !is_root() {
        return not_tried("groups of the control sockets");
    }
    let (daemon, warnings) = Daemon::start(Groups { admin: Some(ADMIN), read: Some(READ) });
    assert_eq!(warnings, [""; 0]);
    for (path, group) in [(daemon.socket(), ADMIN), (control::read_socket(&daemon.socket()), READ)] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.gid()), (0o660, group));
    }
}

#[test]
fn root_and_the_admin_group_may_do_all_the_read_group_facts_and_others_nothing() {
    if !is_root() {
        return not_tried("what other users may do on the control socket");
    }
    let (daemon, _) = Daemon::start(Groups { admin: Some(ADMIN), read: Some(READ) });
    let facts: &[&str] = &["rooms"];
    let plan: &[&str] = &["reload", "--plan"];
    let changes: [&[&str]; 3] = [&["hold", "tavern"], &["release", "tavern"], &["reload"]];
    let run = |gid, groups: &[u32], args: &[&str]| as_user(&daemon, SOMEBODY, gid, groups, args);

    // Supplementary or primary: both are membership.
    for (gid, groups) in [(SOMEBODY, &[ADMIN][..]), (ADMIN, &[]), (SOMEBODY, &[READ, ADMIN])] {
        for args in [facts, plan, changes[0], changes[1], changes[2]] {
            let (code, out, error) = run(gid, groups, args);
            assert_eq!(code, Some(0), "{args:?} in {groups:?}: {out}{error}");
        }
    }
    for (gid, groups) in [(SOMEBODY, &[READ][..]), (READ, &[])] {
        for args in [facts, plan] {
            let (code, out, error) = run(gid, groups, args);
            assert_eq!(code, Some(0), "{args:?}: {out}{error}");
        }
        for args in changes {
            let (code, _, error) = run(gid, groups, args);
            assert_eq!(code, Some(1), "{args:?}: {error}");
            assert!(error.contains("user 61003 may ask for facts only"), "{error}");
        }
    }
    for args in [facts, plan, changes[0]] {
        let (code, _, error) = run(SOMEBODY, &[], args);
        assert_eq!(code, Some(1), "{args:?}: {error}");
        assert!(error.contains("you may not use"), "{error}");
    }
    assert_eq!(as_user(&daemon, 0, 0, &[], changes[0]).0, Some(0));

    let asked = daemon.asked.lock().unwrap();
    let known = |who: &Who| matches!(who, Who::Unix { uid: 0 | SOMEBODY, pid: Some(_) });
    assert!(asked.iter().all(|(_, requester)| known(&requester.who)));
    let changed = asked.iter().filter(|(command, _)| control::auth::changes(command)).count();
    assert_eq!(changed, 3 * 3 + 1, "only the admin group's and root's");
}

#[test]
fn without_its_group_the_socket_serves_root_and_the_daemons_user_only() {
    if !is_root() {
        return not_tried("the control socket of a machine without the groups");
    }
    let (daemon, _) = Daemon::start(Groups::default());
    // A member of the daemon's own group comes through the mode, and no further.
    let (code, _, error) = as_user(&daemon, SOMEBODY, 0, &[], &["rooms"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("user 61003 may not ask here"), "{error}");
    assert_eq!(as_user(&daemon, SOMEBODY, SOMEBODY, &[], &["rooms"]).0, Some(1));
    assert_eq!(as_user(&daemon, 0, 0, &[], &["rooms"]).0, Some(0));
    assert!(!control::read_socket(&daemon.socket()).exists());
}

#[test]
fn the_daemons_own_user_may_do_everything_and_refusals_end_with_1() {
    let (daemon, _) = Daemon::start(Groups::default());
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        command.args(args).arg("--socket").arg(daemon.socket()).output().unwrap()
    };
    let output = run(&["rooms", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["rooms"][0]["state"], "held");
    assert_eq!(run(&["suspend", "tavern", "--for", "2h", "--reason", "party"]).status.code(), Some(0));
    let asked = daemon.asked.lock().unwrap().last().cloned().unwrap();
    let wanted =
        command::Command::Suspend { room: "tavern".into(), for_seconds: Some(7200), reason: Some("party".into()) };
    let own = rustix::process::geteuid().as_raw();
    assert_eq!((asked.0, asked.1.who.to_string()), (wanted, format!("uid {own}")));
    let output = run(&["hold", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "innkeeper: no room \\u{1b}[31m\n");
    let output = run(&["hold", "nowhere", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), json["error"].as_str()), (Some(1), Some("unknown-room")));
}

#[test]
fn a_request_is_one_line_of_at_most_64_kib_within_10_seconds() {
    let (daemon, _) = Daemon::start(Groups::default());
    let mut stream = daemon.connect();
    stream.write_all(b"{\"command\":\"rooms\"}\n").unwrap();
    assert!(line(&stream).contains("\"reply\":\"rooms\""));
    stream.write_all(b"{\"command\":\"dance\"}\n").unwrap();
    assert!(line(&stream).contains("\"error\":\"bad-request\""), "and the connection goes on");
    stream.write_all(b"{\"command\":\"rooms\"}\n").unwrap();
    assert!(line(&stream).contains("\"reply\":\"rooms\""));

    let mut stream = daemon.connect();
    let long = format!("{{\"command\":\"room\",\"room\":\"{}\"}}\n", "a".repeat(64 * 1024));
    let _ = stream.write_all(long.as_bytes());
    assert!(line(&stream).contains("a request has at most 65536 bytes"));

    let (mut slow, silent) = (daemon.connect(), daemon.connect());
    slow.write_all(b"{\"command\":").unwrap();
    let start = Instant::now();
    assert!(line(&slow).contains("no whole line came"));
    assert_eq!(line(&silent), "", "closed without a word");
    let took = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

#[test]
fn more_than_32_connections_are_told_so_and_places_come_back() {
    let (daemon, _) = Daemon::start(Groups::default());
    let mut open: Vec<UnixStream> = (0..32).map(|_| daemon.connect()).collect();
    let mut last = &open[31];
    last.write_all(b"{\"command\":\"rooms\"}\n").unwrap();
    assert!(line(last).contains("\"reply\":\"rooms\""));
    assert!(line(&daemon.connect()).contains("\"error\":\"busy\""));
    open.clear();
    let begun = Instant::now();
    // each of the 32 is noticed to be gone on its own
    loop {
        let mut stream = daemon.connect();
        // who is one too many may be sent away before that is written
        let _ = stream.write_all(b"{\"command\":\"rooms\"}\n");
        let said = line(&stream);
        if said.contains("\"reply\":\"rooms\"") {
            break;
        }
        assert!(said.contains("\"error\":\"busy\"") && begun.elapsed() < Duration::from_secs(30), "{said}");
    }
}

#[tokio::test]
async fn only_a_socket_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = Store::open(&folder.path().join("state")).unwrap();
    let path = folder.path().join("control.sock");
    let bind = || Listener::bind(&path, Groups::default(), &store);

    let live = UnixListener::bind(&path).unwrap();
    assert!(matches!(bind().unwrap_err(), BindError::InUse(_)));
    drop(live);
    let (listener, _) = bind().unwrap();
    drop(listener);
    assert!(!path.exists(), "removed with its daemon");

    fs::write(&path, "a letter").unwrap();
    assert!(matches!(bind().unwrap_err(), BindError::NotASocket(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
}

/// The real daemon, with nothing to hold.
fn run(folder: &Path) -> Child {
    let text = format!("control_socket = {:?}\nstate_dir = {:?}\n", folder.join("control.sock"), folder.join("state"));
    fs::write(folder.join("innkeeper.toml"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_innkeeper"))
        .args(["run", "--config"])
        .arg(folder.join("innkeeper.toml"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for_socket(folder: &Path) {
    let start = Instant::now();
    while UnixStream::connect(folder.join("control.sock")).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "no socket");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_start_is_refused_naming_the_first_and_a_killed_daemon_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = run(folder.path());
    wait_for_socket(folder.path());
    let mut second = run(folder.path());
    let code = second.wait().unwrap().code();
    let mut text = String::new();
    second.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("(process {})", first.id())), "{text}");

    first.kill().unwrap();
    first.wait().unwrap();
    assert!(folder.path().join("control.sock").exists(), "left behind");
    let mut third = run(folder.path());
    wait_for_socket(folder.path());
    third.kill().unwrap();
    third.wait().unwrap();
}

/// An event of that room; answers its id.
fn publish(daemon: &Daemon, room: &str) -> u64 {
    daemon.bus.publish(jiff::Timestamp::now(), "meet", Some(room), None, What::RoomHeld).id.number()
}

fn next(reader: &mut impl BufRead) -> Reply {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn who_follows_gets_a_line_for_each_event_from_the_one_they_saw_last() {
    let (daemon, _) = Daemon::start(Groups::default());
    let ids: Vec<u64> = ["tavern", "chapel", "tavern"].iter().map(|room| publish(&daemon, room)).collect();
    let mut stream = daemon.connect();
    let ask = |query: &str| format!("{{\"command\":\"follow\",{query}}}\n").into_bytes();
    stream.write_all(&ask(&format!("\"room\":\"tav*\",\"after\":{}", ids[0]))).unwrap();
    let mut reader = BufReader::new(stream);
    let id = |reply: Reply| match reply {
        Reply::Event { event } => event["id"].as_u64(),
        reply => panic!("{reply:?}"),
    };
    assert_eq!(id(next(&mut reader)), Some(ids[2]));
    publish(&daemon, "chapel");
    let last = publish(&daemon, "tavern");
    assert_eq!(id(next(&mut reader)), Some(last));
    let mut odd = daemon.connect();
    odd.write_all(&ask("\"kind\":\"room.eaten\"")).unwrap();
    assert!(matches!(next(&mut BufReader::new(odd)), Reply::Refused { error, .. } if error == "bad-request"));
}

#[test]
fn who_follows_and_does_not_read_is_dropped_with_a_last_word_while_others_go_on() {
    let (daemon, _) = Daemon::start(Groups::default());
    let follow = || {
        let mut stream = daemon.connect();
        stream.write_all(b"{\"command\":\"follow\",\"after\":0}\n").unwrap();
        stream
    };
    publish(&daemon, "tavern");
    let (slow, mut quick) = (follow(), BufReader::new(follow()));
    assert!(matches!(next(&mut quick), Reply::Event { .. }));
    let long = "x".repeat(1000);
    for _ in 0..3000 {
        publish(&daemon, &long);
        assert!(matches!(next(&mut quick), Reply::Event { .. }));
    }
    let mut reader = BufReader::new(slow);
    let last = std::iter::repeat_with(|| next(&mut reader)).find(|reply| !matches!(reply, Reply::Event { .. }));
    assert!(matches!(&last, Some(Reply::Refused { error, .. }) if error == "dropped"), "{last:?}");
}

#[test]
fn the_command_line_goes_on_with_what_happens_until_the_daemon_stops() {
    let (daemon, _) = Daemon::start(Groups::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    command.args(["events", "--follow", "--json", "tavern", "--socket"]).arg(daemon.socket());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(), "{\"recorded\":true}\n");
    publish(&daemon, "chapel");
    let id = publish(&daemon, "tavern");
    assert!(line().contains(&format!("\"id\":{id},")));
    drop(daemon);
    assert_eq!((line(), child.wait().unwrap().code()), (String::new(), Some(69)));
}
