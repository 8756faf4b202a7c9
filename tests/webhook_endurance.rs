//! Nothing is lost and nothing comes twice but by its key, although the daemon and the receivers are killed again and again.
//!
//! Fifty rooms on a real Prosody, people who come and go by a script, three receivers: one that is not there until the
//! end, one that is slow, one that fails one time in three. Every ten seconds the daemon and the program of the receivers
//! are killed (SIGKILL). What arrived is compared with what the people did, not with our record. Some seconds long;
//! `INNKEEPER_ENDURANCE=120` (seconds) is the full run, `make endurance`.
#![allow(clippy::disallowed_methods)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::client::{Client, disco_answer};
use support::daemon::{Daemon, Setup};
use support::live::{keeper, seconds, world};
use support::process::{kill, wait_for};
use support::prosody::Options;
use support::receiver::{Answer, Receiver, Request};

const ROOMS: usize = 50;
/// Connections of people; each has its own share of the rooms.
const ACTORS: usize = 5;
/// Between two things that one of them does.
const PACE: Duration = Duration::from_millis(120);
/// How long we have to have been inside with somebody for it to count: a kill may come before a line is on the disk.
const SURELY: Duration = Duration::from_millis(2_000);
/// Who else runs on 127.0.0.1 does not take these ports while a receiver is away.
const HOST: [u8; 4] = [127, 0, 0, 77];
/// Tells this program to be the receivers: the folder for what they were sent, and where they listen.
const AS_RECEIVERS: &str = "INNKEEPER_TEST_RECEIVERS";

// ── the receivers: a process of their own

/// Appends a request to a file before it is answered, as a receiver has to that must not lose any.
fn note(folder: &Path, name: &str, request: &Request) {
    let line = format!("{}\t{}\n", request.key(), String::from_utf8_lossy(&request.body));
    let file = fs::File::options().create(true).append(true).open(folder.join(name));
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the receiver's file");
}

fn receivers(text: &str) -> ! {
    let mut words = text.split(' ');
    let folder = PathBuf::from(words.next().expect("a folder"));
    let place = |word: Option<&str>| word.and_then(|word| word.parse::<SocketAddr>().ok()).expect("an address");
    let (slow, failing) = (place(words.next()), place(words.next()));
    let at = folder.clone();
    let _slow = Receiver::at(slow, move |request, before| {
        note(&at, "slow", request);
        // Now and then longer than anybody waits.
        Answer::status(204).after(if before % 50 == 49 { seconds(3) } else { Duration::from_millis(60) })
    });
    let _failing = Receiver::at(failing, move |request, before| match before % 6 {
        // It fails with and without having taken it.
        0 => Answer::status(500),
        3 => {
            note(&folder, "failing", request);
            Answer::status(502)
        }
        _ => {
            note(&folder, "failing", request);
            Answer::status(204)
        }
    });
    loop {
        std::thread::park();
    }
}

/// Not a test of anything: the program that the other one starts and kills.
#[test]
fn this_program_is_also_the_receivers_that_are_killed() {
    if let Ok(text) = std::env::var(AS_RECEIVERS) {
        receivers(&text);
    }
}

fn start_receivers(text: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "this_program_is_also_the_receivers_that_are_killed"]).env(AS_RECEIVERS, text);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("this program again")
}

/// What a receiver has kept: each key once, by room and in the order in which it came first; and how many came again.
fn kept(folder: &Path, name: &str) -> (BTreeMap<String, Vec<Value>>, usize) {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (mut rooms, mut bodies, mut again) = (BTreeMap::<String, Vec<Value>>::new(), HashMap::new(), 0);
    // A line without its end was cut by a kill, and was not answered.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let Some((key, body)) = line.trim_end().split_once('\t') else { continue };
        if let Some(known) = bodies.insert(key, body) {
            assert_eq!(known, body, "{name}: one key, two events");
            again += 1;
            continue;
        }
        let Ok(event) = serde_json::from_str::<Value>(body) else { panic!("{name}: {body}") };
        rooms.entry(event["room"].to_string()).or_default().push(event);
    }
    (rooms, again)
}

// ── the people

/// Somebody's stay in a room, as the script had it: under a nick that nobody else ever has.
#[derive(Debug, Clone)]
struct Stay {
    nick: String,
    room: usize,
    /// The server let them in.
    from: Instant,
    /// They said that they go.
    to: Option<Instant>,
}

/// People on one connection, who come to and go from every `ACTORS`th room until `end`.
struct Actor {
    client: Client,
    inside: HashMap<usize, Stay>,
    done: Vec<Stay>,
    rooms: Vec<usize>,
}

impl Actor {
    /// Reads what comes and does what members without media do.
    fn read(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(Some(node)) = self.client.try_next(left) else { return };
            if node.name == "iq" && node.attr("type") == "get" {
                self.client.send(&disco_answer(&node));
            } else if node.name == "iq" && node.attr("type") == "set" {
                self.client.send(&format!("<iq type='result' to='{}' id='{}'/>", node.attr("from"), node.attr("id")));
            }
        }
    }

    fn come(&mut self, jids: &[String], room: usize, nick: String) {
        let jid = &jids[room];
        self.client.enter(jid, &nick);
        let own = self.client.own_presence(jid, &nick);
        if own.attr("type") == "error" {
            // Without us there is no room, and no guest may open one.
            return;
        }
        self.inside.insert(room, Stay { nick, room, from: Instant::now(), to: None });
    }

    fn go(&mut self, jids: &[String], room: usize) {
        let Some(mut stay) = self.inside.remove(&room) else { return };
        stay.to = Some(Instant::now());
        self.client.leave(&jids[room], &stay.nick);
        let own = format!("{}/{}", jids[room], stay.nick);
        let gone = |node: &support::xml::Node| node.attr("from") == own && node.attr("type") == "unavailable";
        self.client.expect("own leaving", seconds(30), gone);
        self.done.push(stay);
    }

    fn play(mut self, jids: &[String], seed: u64, end: &AtomicBool, nicks: &AtomicU64) -> Vec<Stay> {
        let mut rng = fastrand::Rng::with_seed(seed);
        while !end.load(Ordering::SeqCst) {
            let room = self.rooms[rng.usize(..self.rooms.len())];
            // A few rooms of each have somebody who stays for good.
            let for_good = room / ACTORS == 0;
            if !self.inside.contains_key(&room) {
                let nick = format!("p{:07}", nicks.fetch_add(1, Ordering::SeqCst));
                self.come(jids, room, nick);
            } else if !for_good {
                self.go(jids, room);
            }
            self.read(Instant::now() + PACE);
        }
        for room in self.rooms.clone() {
            self.go(jids, room);
        }
        self.read(Instant::now() + PACE);
        self.done
    }
}

// ── the run

/// One life of the daemon: since when the focus saw us hold each room, and when it was killed.
#[derive(Debug, Clone)]
struct Life {
    held: Vec<Option<Instant>>,
    killed: Instant,
}

/// Whether a stay overlapped a moment of ours inside for so long that it must have been seen.
fn must(stay: &Stay, lives: &[Life]) -> bool {
    let to = stay.to.unwrap_or(stay.from);
    lives.iter().any(|life| {
        let Some(held) = life.held[stay.room] else { return false };
        let (from, to) = (stay.from.max(held), to.min(life.killed));
        // Somebody who is still there when we are killed has to have been there a while before.
        to > from && (life.killed - from >= SURELY)
    })
}

#[test]
fn every_receiver_ends_with_every_event_in_order_although_all_are_killed_again_and_again() {
    if std::env::var_os(AS_RECEIVERS).is_some() {
        return;
    }
    let length = std::env::var("INNKEEPER_ENDURANCE").ok().map(|text| text.parse().expect("seconds"));
    // The short run goes by what is reached, for machines that are busy with other things; the full one by the clock.
    let by_clock = length.is_some();
    let (length, between) = length.map_or((seconds(20), seconds(7)), |length| (seconds(length), seconds(10)));
    let folder = tempfile::tempdir().expect("a folder");
    let free = || Receiver::at((HOST, 0).into(), |_, _| Answer::status(500)).address;
    let (slow, failing, dead) = (free(), free(), free());
    let as_receivers = format!("{} {slow} {failing}", folder.path().display());

    // Without XEP-0198 the room sees at once that we are dead, so that the focus can tell one life of ours from the next.
    let (prosody, focus) = world(Options { smacks: false, ..Options::default() });
    let mut setup = Setup::websocket(&prosody).many(ROOMS).with_secret("hook.secret", "correct-horse-battery");
    for (name, address) in [("slow", slow), ("failing", failing), ("dead", dead)] {
        setup.more += &format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://{address}\"\nfile = \"hook.secret\"\nallow_private = true\n\
             kinds = [\"occupant.*\"]\ntimeout = \"2s\"\n"
        );
    }
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    let mut process = start_receivers(&as_receivers);
    focus.wait_held(&jids, support::live::BARE, seconds(60));
    daemon.wait_all_held(seconds(30));

    let end = Arc::<AtomicBool>::default();
    let nicks = Arc::new(AtomicU64::new(1));
    let lives = Arc::new(Mutex::new(Vec::<Life>::new()));
    let actors: Vec<_> = (0..ACTORS)
        .map(|actor| {
            let rooms = (0..ROOMS).filter(|room| room % ACTORS == actor).collect();
            let client = Client::guest(prosody.c2s());
            let actor_of = Actor { client, inside: HashMap::new(), done: Vec::new(), rooms };
            let (jids, end, nicks) = (jids.clone(), end.clone(), nicks.clone());
            std::thread::spawn(move || actor_of.play(&jids, actor as u64, &end, &nicks))
        })
        .collect();

    // Which rooms we hold in this life, as the focus sees it.
    let begun = Instant::now();
    let mut held: Vec<Option<Instant>> = vec![Some(begun); ROOMS];
    let (mut kills, mut next) = (0, begun + between);
    let mut life_began = begun;
    let look = |held: &mut Vec<Option<Instant>>, since: Instant| {
        for (room, jid) in jids.iter().enumerate().filter(|(room, _)| held[*room].is_none()).collect::<Vec<_>>() {
            let here = keeper(&focus, jid).and_then(|seen| seen.holds_since).filter(|at| *at >= since);
            held[room] = here.map(|_| Instant::now());
        }
    };
    while begun.elapsed() < length {
        look(&mut held, life_began);
        std::thread::sleep(Duration::from_millis(20));
        if Instant::now() < next || !by_clock && held.iter().any(Option::is_none) {
            continue;
        }
        next = if by_clock { next } else { Instant::now() } + between;
        kills += 1;
        // One after the other, now the one first and now the other.
        if kills % 2 == 0 {
            kill(&mut process);
        }
        let killed = Instant::now();
        daemon.kill9();
        let held = std::mem::replace(&mut held, vec![None; ROOMS]);
        lives.lock().expect("no panic").push(Life { held, killed });
        if kills % 2 == 1 {
            kill(&mut process);
        }
        std::thread::sleep(Duration::from_millis(700));
        life_began = Instant::now();
        daemon.run();
        process = start_receivers(&as_receivers);
    }
    let all_held = wait_for(seconds(60), || {
        look(&mut held, life_began);
        held.iter().all(Option::is_some).then_some(())
    });
    assert!(all_held.is_some(), "rooms are not held: {}", daemon.log_tail());
    // All of them are inside with us for a while, and then go.
    std::thread::sleep(SURELY);
    end.store(true, Ordering::SeqCst);
    let stays: Vec<Stay> = actors.into_iter().flat_map(|actor| actor.join().expect("an actor")).collect();
    lives.lock().expect("no panic").push(Life { held, killed: Instant::now() + seconds(3_600) });

    // The one that was not there comes, and all are told all.
    let at = folder.path().to_owned();
    let _dead = Receiver::at(dead, move |request, _| {
        note(&at, "dead", request);
        Answer::status(204)
    });
    daemon.json(&["webhook", "replay", "dead"]);
    let told = wait_for(seconds(180), || {
        let rows = daemon.try_json(&["webhook", "status"])?;
        let rows = rows.as_array()?;
        let done = |row: &Value| row["behind_seconds"] == 0 && row["state"] == "up";
        (rows.len() == 3 && rows.iter().all(done) && last_left(&stays, folder.path())).then_some(())
    });
    assert!(told.is_some(), "{:#}\n{}", daemon.json(&["webhook", "status"]), daemon.log_tail());
    kill(&mut process);

    // What arrived against what the people did.
    let lives = lives.lock().expect("no panic").clone();
    let mut sets = Vec::new();
    for name in ["slow", "failing", "dead"] {
        let (rooms, again) = kept(folder.path(), name);
        let mut came = HashMap::<(String, String), Vec<String>>::new();
        let mut ids = HashSet::new();
        for (room, events) in &rooms {
            let order: Vec<_> = events.iter().map(|event| event["id"].as_u64().expect("an id")).collect();
            assert!(order.is_sorted(), "{name}: out of order in {room}: {order:?}");
            ids.extend(order);
            for event in events.iter().filter(|event| event["person"]["machine"].is_null()) {
                let nick = event["person"]["nick"].as_str().expect("a nick").to_owned();
                let kind = event["kind"].as_str().expect("a kind").to_owned();
                came.entry((room.trim_matches('"').to_owned(), nick)).or_default().push(kind);
            }
        }
        let (mut sure, mut seen, mut unseen) = (0, 0, 0);
        for stay in &stays {
            let told = came.remove(&(format!("r{}", stay.room), stay.nick.clone())).unwrap_or_default();
            let once = told == ["occupant.joined", "occupant.left"];
            if must(stay, &lives) {
                sure += 1;
                assert!(once, "{name}: {stay:?} was inside with us, and this came: {told:?}; {lives:#?}");
            } else {
                assert!(once || told.is_empty(), "{name}: {stay:?}: {told:?}");
                if once { seen += 1 } else { unseen += 1 }
            }
        }
        assert!(came.is_empty(), "{name}: nobody did that: {came:?}");
        println!(
            "{name}: {} events, {again} requests more under keys known already; of {} stays {sure} were with us and came \
             exactly once each, {seen} more were seen, {unseen} fell between two lives",
            ids.len(),
            stays.len()
        );
        assert!(sure * 4 > stays.len(), "the run shows too little: {sure} of {}", stays.len());
        sets.push(ids);
    }
    assert!(sets.iter().all(|set| *set == sets[0]), "not all were told the same");
    println!("{kills} kills in {:?}", begun.elapsed());
}

/// Whether every receiver has been told that the last of them is gone.
fn last_left(stays: &[Stay], folder: &Path) -> bool {
    let Some(last) = stays.iter().max_by_key(|stay| stay.to) else { return true };
    ["slow", "failing", "dead"].iter().all(|name| {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().any(|line| line.contains("occupant.left") && line.contains(&last.nick))
    })
}
