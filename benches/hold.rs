//! What holding rooms costs: `make bench`, or `cargo bench --bench hold -- [SECTION…]`.
//!
//! A real Prosody, the test focus and the real release binary, all on this machine. Times are taken by the focus
//! (account inside, moderator, disco#info answered) and never by innkeeper's own word. The *floor* is what the server
//! itself needs: the same stanzas, written ready-made over a bare socket as fast as it answers, without parsing.
//!
//! Sections: `floor`, `rooms`, `idle`, `sessions`, `limit`, `kick`, `rules`, `outages`; all of them when none is named. Ends with
//! exit code 1 when a bar is missed, after everything was measured and printed.

#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "hold/kick.rs"]
mod kick;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::client::{Wire, conference_request};
use support::daemon::{Daemon, Setup};
use support::focus::{self, Focus};
use support::process::{cpu_of_threads, cpu_seconds, rss_kib, until};
use support::prosody::{ACCOUNT, DOMAIN, FOCUS, MUC, Options, PASSWORD, Prosody};

/// Long enough for anything that still makes sense to measure.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often what is compared is measured; the best counts on both sides, as only the machine's other work adds to it.
const RUNS: usize = 3;
/// Faster than any server, so that only the server paces.
const UNPACED: &str = "joins_per_second = 100000";

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let has = |section: &str| wanted.is_empty() || wanted.iter().any(|name| name == section);
    raise_file_limit();
    println!("machine: {}", machine());
    let mut bench = Bench::default();
    if has("floor") || has("rooms") {
        bench.rooms(has("rooms"));
    }
    if has("idle") {
        bench.idle();
    }
    if has("sessions") {
        bench.sessions();
    }
    if has("limit") {
        bench.limit();
    }
    if has("kick") {
        bench.kick();
    }
    if has("rules") {
        bench.rules();
    }
    if has("outages") {
        bench.outages();
    }
    println!("\n{}", bench.table);
    match bench.missed.as_slice() {
        [] => println!("bench result: ok. every bar that was measured is met"),
        missed => {
            println!("bench result: FAILED. bars missed:\n  {}", missed.join("\n  "));
            std::process::exit(1);
        }
    }
}

/// What was measured.
#[derive(Default)]
struct Bench {
    table: String,
    missed: Vec<String>,
}

/// One run to all held.
struct Held {
    seconds: f64,
    cpu: f64,
    rss: u64,
}

impl Bench {
    fn row(&mut self, what: &str, value: &str) {
        println!("  {what}: {value}");
        let _ = writeln!(self.table, "| {what} | {value} |");
    }

    fn bar(&mut self, what: &str, value: f64, most: f64, unit: &str) {
        let verdict = if value <= most { "met" } else { "MISSED" };
        self.row(what, &format!("{value:.3} {unit} (bar {most:.2}: {verdict})"));
        if value > most {
            self.missed.push(format!("{what}: {value:.3} {unit}, bar {most:.2}"));
        }
    }

    /// N = 10, 100, 1000 on one session and on a pool, and the floor for each.
    fn rooms(&mut self, with_innkeeper: bool) {
        let (prosody, focus) = world(false);
        if with_innkeeper {
            self.row("RSS without rooms", &format!("{} KiB", rss_without_rooms(&prosody)));
        }
        for rooms in [10, 100, 1000] {
            let mut floors = Vec::new();
            let mut managed = Vec::new();
            let mut ones = Vec::new();
            // taken in turns, so that both see the same weather
            for _ in 0..RUNS {
                floors.push(floor(&prosody, &focus, rooms, false));
                managed.push(floor(&prosody, &focus, rooms, true));
                if with_innkeeper {
                    let setup = Setup::tcp(&prosody).many(rooms).with(UNPACED).with("rooms_per_session = 100000");
                    ones.push(hold(&focus, setup));
                }
            }
            let floor = best(&floors);
            let managed = best(&managed);
            self.row(&format!("{rooms} rooms, floor"), &format!("{floor:.2} s"));
            self.row(&format!("{rooms} rooms, floor with stream management"), &format!("{managed:.2} s"));
            if !with_innkeeper {
                continue;
            }
            let seconds: Vec<f64> = ones.iter().map(|one| one.seconds).collect();
            let one = ones.pop().expect("measured above");
            let seconds = best(&seconds);
            if rooms == 1000 {
                // The same stanzas are those with acknowledgements; a keeper without resumption would be no keeper.
                self.bar("1000 rooms on one session, of the floor with stream management", seconds / managed, 1.1, "×");
                let ratio = format!("{:.3} ×", seconds / floor);
                self.row("1000 rooms on one session, of the floor without", &ratio);
            }
            self.row(&format!("{rooms} rooms on one session"), &one.say(seconds));
            let setup = Setup::websocket(&prosody).many(rooms).with(UNPACED);
            let pool = hold(&focus, setup);
            self.row(&format!("{rooms} rooms on a pool over WebSocket"), &pool.say(pool.seconds));
        }
    }

    /// CPU of a minute in which nothing happens.
    fn idle(&mut self) {
        let (prosody, focus) = world(false);
        let setup = Setup::tcp(&prosody).many(1000).with(UNPACED).with("rooms_per_session = 100000");
        let (rooms, jid) = (setup.jids(), setup.jid());
        let daemon = Daemon::start(setup);
        focus.wait_held(&rooms, &jid, PATIENCE);
        let before = cpu_of_threads(daemon.pid());
        // the minute is what is measured
        std::thread::sleep(Duration::from_secs(60));
        self.bar("1000 rooms, CPU in an idle minute", cpu_of_threads(daemon.pid()) - before, 0.05, "s");
        assert_eq!(focus.count_held(&rooms, &jid), rooms.len(), "all rooms are still held");
    }

    /// Memory of a SCRAM session: 1000 rooms on 1000 sessions against 1000 rooms on one.
    fn sessions(&mut self) {
        let (prosody, focus) = world(false);
        let many = |setup: Setup| setup.many(1000).with(UNPACED);
        let one = hold(&focus, many(Setup::tcp(&prosody)).with("rooms_per_session = 100000"));
        for (name, setup, most) in
            [("TCP", Setup::tcp(&prosody), 16.0), ("WebSocket", Setup::websocket(&prosody), 24.0)]
        {
            let thousand = hold(&focus, many(setup).with("rooms_per_session = 1"));
            self.row(&format!("1000 rooms on 1000 {name} sessions"), &thousand.say(thousand.seconds));
            let each = thousand.rss.saturating_sub(one.rss) as f64 / 999.0;
            self.bar(&format!("RSS for each SCRAM session over {name}"), each, most, "KiB");
        }
    }

    /// Under docker-jitsi-meet's 10 kB/s for each connection.
    fn limit(&mut self) {
        let (mut prosody, focus) = world(true);
        let setup = Setup::websocket(&prosody).many(200);
        let (rooms, jid) = (setup.jids(), setup.jid());
        let start = Instant::now();
        let daemon = Daemon::start(setup);
        let last = focus.wait_held(&rooms, &jid, PATIENCE);
        self.bar("200 rooms under 10 kB/s", last.duration_since(start).as_secs_f64(), 8.0, "s");
        prosody.kill9();
        until("the focus to notice", PATIENCE, || (!focus.connected()).then_some(()));
        prosody.spawn();
        let open = prosody.wait_until_listening();
        let back = focus.wait_held(&rooms, &jid, PATIENCE);
        let seconds = back.saturating_duration_since(open).as_secs_f64();
        self.bar("200 rooms under 10 kB/s, back after SIGKILL of the server", seconds, 10.0, "s");
        drop(daemon);
        until("the rooms to be left", PATIENCE, || focus.rooms().is_empty().then_some(()));
        let pool = hold(&focus, Setup::websocket(&prosody).many(1000).with(UNPACED));
        self.bar("1000 rooms under 10 kB/s on a pool", pool.seconds, 10.0, "s");
    }
}

/// Ten rules, for what they cost in memory.
const RULES: &str = "[[policy]]\nrooms = \"*\"\nmode = \"enforce\"\n[policy.capacity]\npeople = 100\n[policy.caps_lock]\n\
    [policy.duplicate_name]\n[policy.flood]\n[policy.frozen_name]\n[policy.impersonation]\nnames = [\"Admin\"]\n\
    [policy.join_wave]\n[policy.links]\n[policy.repeat]\n[policy.words]\nwords = [\"spam\"]\n";

impl Bench {
    /// From an offending stanza's last byte to the first of the kick.
    fn kick(&mut self) {
        let times = kick::times();
        let at = |part: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a short list")]
            let index = (times.len() as f64 * part) as usize;
            times[index.min(times.len() - 1)].as_secs_f64() * 1000.0
        };
        let what = format!("offence to kick, {} times among 200 rooms", times.len());
        self.bar(&format!("{what}, median"), at(0.5), 1.0, "ms");
        self.bar(&format!("{what}, 99th percentile"), at(0.99), 5.0, "ms");
    }

    /// Memory with HTTP and the databases on, and of rooms under rules, in which nobody is but us.
    fn rules(&mut self) {
        let (prosody, focus) = world(false);
        let many = |rooms: usize, rules: &str| {
            let setup = Setup::tcp(&prosody).many(rooms).with(UNPACED).with("rooms_per_session = 100000");
            hold(&focus, Setup { more: format!("{HTTP}{rules}"), ..setup }).rss
        };
        // The first rooms also fill what has a bound: the latest events, and the databases' pages.
        let [ten, thousand, more] = [10, 1000, 3000].map(|rooms| many(rooms, ""));
        let mib = |kib: u64| kib as f64 / 1024.0;
        let each = |more: u64, fewer: u64, rooms: f64| more.saturating_sub(fewer) as f64 / rooms;
        self.bar("1000 rooms, HTTP and databases on, total RSS", mib(thousand), 24.0, "MiB");
        let first = each(thousand, ten, 990.0);
        self.row("1000 rooms, HTTP and databases on, RSS for each", &format!("{first:.2} KiB"));
        self.bar("3000 rooms, HTTP and databases on, RSS for each further", each(more, thousand, 2000.0), 3.0, "KiB");
        let under = many(1000, RULES);
        self.row("1000 rooms under ten rules, total RSS", &format!("{:.1} MiB", mib(under)));
        let rules = each(under, thousand, 1000.0);
        self.row("1000 rooms under ten rules, RSS of the rules for each room", &format!("{rules:.2} KiB"));
    }
}

/// HTTP on, for nobody.
const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

/// Outages of the server and the focus together, after which the focus comes 5 s late.
const OUTAGES: [u64; 3] = [2, 60, 300];

impl Bench {
    /// 200 rooms through outages, and a start three minutes before the server's.
    fn outages(&mut self) {
        let (mut prosody, mut focus) = world(false);
        prosody.kill9();
        let setup = Setup::websocket(&prosody).many(200);
        let (rooms, jid) = (setup.jids(), setup.jid());
        let daemon = Daemon::start(setup);
        let pid = daemon.pid();
        // the wait is what is measured, here and below
        std::thread::sleep(Duration::from_secs(180));
        self.outage(&mut prosody, &focus, &rooms, &jid, "200 rooms, server started 3 min late");
        focus.restart(|options| options.reconnect_delay = Duration::from_secs(5));
        focus.wait_held(&rooms, &jid, PATIENCE);
        for outage in OUTAGES {
            prosody.kill9();
            until("the focus to notice", PATIENCE, || (!focus.connected()).then_some(()));
            std::thread::sleep(Duration::from_secs(outage));
            let what = format!("200 rooms, after an outage of {outage} s, focus 5 s late");
            self.outage(&mut prosody, &focus, &rooms, &jid, &what);
        }
        assert_eq!(daemon.pid(), pid, "the same process");
    }

    fn outage(&mut self, prosody: &mut Prosody, focus: &Focus, rooms: &[String], jid: &str, what: &str) {
        prosody.spawn();
        prosody.wait_until_listening();
        let there = focus.wait_connected(PATIENCE);
        let back = focus.wait_held(rooms, jid, PATIENCE);
        self.bar(what, back.saturating_duration_since(there).as_secs_f64(), 10.0, "s");
    }
}

impl Held {
    fn say(&self, seconds: f64) -> String {
        format!("{seconds:.2} s, {:.2} s CPU, RSS {} KiB", self.cpu, self.rss)
    }
}

fn world(limit: bool) -> (Prosody, Focus) {
    let prosody = Prosody::start(Options { limit, log: "warn", ..Options::default() });
    let focus = Focus::start(focus::Options::of(&prosody));
    (prosody, focus)
}

/// Starts innkeeper, waits until the focus sees every room held, stops it and waits until all is gone.
fn hold(focus: &Focus, setup: Setup) -> Held {
    let (rooms, jid) = (setup.jids(), setup.jid());
    let start = Instant::now();
    let mut daemon = Daemon::start(setup);
    let last = focus.wait_held(&rooms, &jid, PATIENCE);
    let held = Held {
        seconds: last.duration_since(start).as_secs_f64(),
        cpu: cpu_seconds(daemon.pid()),
        rss: rss_kib(daemon.pid()),
    };
    daemon.stop();
    until("the rooms to be left", PATIENCE, || focus.rooms().is_empty().then_some(()));
    focus.clear_log();
    held
}

fn rss_without_rooms(prosody: &Prosody) -> u64 {
    let daemon = Daemon::start(Setup::tcp(prosody));
    until("the daemon to answer", Duration::from_secs(10), || daemon.try_json(&["status"]));
    rss_kib(daemon.pid())
}

/// The server's own limit: the stanzas of `rooms` rooms over a bare socket, each as soon as the server allows it.
fn floor(prosody: &Prosody, focus: &Focus, rooms: usize, stream_management: bool) -> f64 {
    let start = Instant::now();
    let mut wire = Wire::connect(prosody.c2s()).expect("the server's port");
    wire.plain(ACCOUNT, DOMAIN, PASSWORD, RESOURCE).expect("a login");
    let jids: Vec<String> = (0..rooms).map(|number| format!("r{number}@{MUC}")).collect();
    let mut requests = String::new();
    if stream_management {
        requests.push_str("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    }
    for (number, jid) in jids.iter().enumerate() {
        let request = conference_request(jid, "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0", "");
        let _ = write!(requests, "<iq type='set' to='{FOCUS}' id='c{number}'>{request}</iq>");
    }
    let (mut tcp, ..) = wire.into_socket();
    let handle = tcp.try_clone().expect("a second handle");
    let pump = std::thread::spawn(move || {
        let mut scan = Scan::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut out = requests.into_bytes();
        while tcp.write_all(&out).is_ok() {
            out.clear();
            match tcp.read(&mut buffer) {
                Ok(length @ 1..) => scan.feed(&buffer[..length], &mut out),
                _ => return,
            }
        }
    });
    let last = focus.wait_held(&jids, &format!("{ACCOUNT}@{DOMAIN}"), PATIENCE);
    let seconds = last.duration_since(start).as_secs_f64();
    handle.shutdown(std::net::Shutdown::Both).expect("a live connection");
    pump.join().expect("the pump panicked");
    // under stream management the server keeps a lost session; it is bound again and ended politely
    if stream_management {
        let mut wire = Wire::connect(prosody.c2s()).expect("the server's port");
        wire.plain(ACCOUNT, DOMAIN, PASSWORD, RESOURCE).expect("a login");
        wire.send("</stream:stream>").expect("a live connection");
    }
    until("the rooms to be left", PATIENCE, || focus.rooms().is_empty().then_some(()));
    focus.clear_log();
    seconds
}

/// Finds the start tags that ask for something; looks at nothing else.
#[derive(Default)]
struct Scan {
    rest: Vec<u8>,
    stanzas: u32,
}

impl Scan {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(open) = self.rest[at..].iter().position(|&byte| byte == b'<').map(|found| at + found) {
            let Some(close) = self.rest[open..].iter().position(|&byte| byte == b'>').map(|found| open + found) else {
                at = open;
                break;
            };
            at = close + 1;
            let tag = &self.rest[open..at];
            if tag.starts_with(b"<message") || tag.starts_with(b"<presence") {
                self.stanzas += 1;
            } else if tag.starts_with(b"<r ") {
                let _ = write!(out, "<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.stanzas);
            } else if tag.starts_with(b"<iq") {
                self.stanzas += 1;
                let (id, from) = (attribute(tag, b" id='"), attribute(tag, b" from='"));
                if tag.windows(10).any(|window| window == b"type='get'") {
                    let _ = out.write_all(DISCO[0]);
                    let _ = out.write_all(from);
                    let _ = out.write_all(DISCO[1]);
                    let _ = out.write_all(id);
                    let _ = out.write_all(DISCO[2]);
                } else if let Some(number) = id.strip_prefix(b"c") {
                    let _ = out.write_all(b"<presence to='r");
                    let _ = out.write_all(number);
                    let _ = write!(out, "@{MUC}/00000000_innkeeper'>{JOIN}</presence>");
                }
            }
        }
        self.rest.drain(..at);
    }
}

/// What a joining member says beside its address.
const JOIN: &str = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>\
    <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://example.org/innkeeper' \
    ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/><nick xmlns='http://jabber.org/protocol/nick'>Innkeeper</nick>\
    <SourceInfo>{}</SourceInfo>";

/// An answer to disco#info, around the address and the id.
const DISCO: [&[u8]; 3] = [
    b"<iq type='result' to='",
    b"' id='",
    b"'><query xmlns='http://jabber.org/protocol/disco#info' \
      node='https://example.org/innkeeper#q07IKJEyjvHSyhy//CH0CxmKi8w='>\
      <identity category='client' type='bot' name='innkeeper'/><feature var='http://jabber.org/protocol/caps'/>\
      <feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:ping'/></query></iq>",
];

/// The resource of the floor's sessions.
const RESOURCE: &str = "floor";

fn attribute<'a>(tag: &'a [u8], name: &[u8]) -> &'a [u8] {
    let start = tag.windows(name.len()).position(|window| window == name).map(|found| found + name.len());
    let Some(start) = start else { return b"" };
    let length = tag[start..].iter().position(|&byte| byte == b'\'').unwrap_or(0);
    &tag[start..start + length]
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A thousand sessions need more open files than a shell allows; children inherit this.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("own limit");
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
