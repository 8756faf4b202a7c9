//! From an offending stanza to the kick: the real transport, splitter, parser, session, rooms, rules and writer, in a
//! task as the daemon runs it, against a server that does nothing but answer.
//!
//! What is measured is more than the bar asks for: it begins when the server's write has returned and ends when its read
//! has the kick, so that the way over loopback and the scheduler are in it, twice.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use innkeeper::config::{self, Content, Endpoint, File, Files, HostPort, Mechanism, RoomKey};
use innkeeper::policy::Plans;
use innkeeper::room::Settings;
use innkeeper::runtime::session::{Connecting, Driver, Order, Request};
use innkeeper::runtime::transport::{self, Deadlines, Target, Tls};
use innkeeper::session::{Bucket, Input, Profile, Session};
use innkeeper::stream::{Bound, LastLogin};
use innkeeper::xml::{self, Element, Limits, Piece, Splitter};
use tokio::sync::mpsc;

/// Rooms in the session; one of them is offended in.
const ROOMS: usize = 200;
/// Kicks that are measured, and those before that warm up.
const KICKS: usize = 2_000;
const WARM_UP: usize = 100;

const RULES: &str = "[[policy]]\nrooms = \"*\"\nmode = \"enforce\"\nguest_domains = [\"guest.example\"]\n\
    [policy.capacity]\npeople = 100\n[policy.caps_lock]\n[policy.duplicate_name]\n[policy.flood]\n[policy.frozen_name]\n\
    [policy.impersonation]\nnames = [\"Admin\"]\n[policy.join_wave]\njoins = 1000\n[policy.links]\n[policy.name_pattern]\n\
    must_not = [\"^x{20}\"]\n[policy.repeat]\n[policy.words]\naction = \"kick\"\n";

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> Result<Content, String> {
        Err("the rules of the bench name no file".to_owned())
    }
}

/// Ten rules and one with a thousand words.
fn plans() -> Plans {
    let words: Vec<String> = (0..1_000).map(|number| format!("\"badword{number}\"")).collect();
    let text = format!("{RULES}words = [{}]\n", words.join(", "));
    let files = vec![File { name: "bench.toml".to_owned(), text }];
    let input = config::Input { files, env: Vec::new(), base: "/".into(), offline: true, secrets: &NoFiles };
    let book = config::rulebook(&input).unwrap_or_else(|problems| panic!("{problems:?}"));
    book.plans_of("r0@muc.example").expect("every room is covered")
}

/// From the last byte of an offence to the first of the kick: all times, the shortest first.
pub fn times() -> Vec<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || Server::serve(&listener));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(port));
    let mut times = server.join().expect("the server panicked");
    times.sort_unstable();
    times
}

/// Runs a session as the daemon does, until the server closes.
async fn run(port: u16) {
    let now = Instant::now();
    let profile = Profile { muc: Some("muc.example".into()), ..Profile::plain("example", "bench", 1) };
    let target = Target {
        endpoint: Endpoint::StartTls(Some(HostPort { host: "127.0.0.1".to_owned(), port })),
        domain: "example".to_owned(),
        tls: Arc::new(Tls::new(None)),
        nameserver: None,
        limits: Limits::default(),
        room: None,
        previd: None,
        token: None,
        seed: 1,
        deadlines: Deadlines::default(),
    };
    let connector = move |_: Request| -> Connecting {
        let target = target.clone();
        Box::pin(async move {
            let mut transport = transport::connect(&target).await?;
            transport.open("example");
            let bound = Bound {
                jid: "keeper@example/bench".to_owned(),
                login: LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None },
                management: None,
                resumed: None,
                early: Vec::new(),
            };
            Ok((transport, bound))
        })
    };
    let (orders, taken) = mpsc::unbounded_channel();
    let (news, mut heard) = mpsc::channel(1_024);
    let driver = Driver {
        session: Session::new(profile, now),
        connector: Arc::new(connector),
        orders: taken,
        news,
        name: (),
        joins: Arc::new(Mutex::new(Bucket::per_second(100_000, now))),
        listing: Vec::new(),
    };
    let plans = Arc::new(plans());
    for number in 0..ROOMS {
        let settings = Settings {
            key: RoomKey::new("bench", &format!("r{number}")),
            jid: format!("r{number}@muc.example").into(),
            nick: "keeper".into(),
            display_name: "Keeper".into(),
            password: None,
            focus: false,
            moderated: None,
            plans: Some(plans.clone()),
        };
        orders.send(Order::Input(Input::Hold(Arc::new(settings)))).expect("it listens");
    }
    orders.send(Order::Connect(None)).expect("it listens");
    let news = async {
        while let Some(((), news)) = heard.recv().await {
            if let innkeeper::runtime::session::News::Lost(_) = news {
                return;
            }
        }
    };
    tokio::select! {
        () = driver.run() => {}
        () = news => {}
    }
    drop(orders);
}

/// A server that lets the session in everywhere and does what it asks.
struct Server {
    socket: TcpStream,
    splitter: Splitter,
    asked: Vec<Element>,
    out: String,
    /// Rooms that were told what they are.
    told: usize,
}

impl Server {
    fn serve(listener: &TcpListener) -> Vec<Duration> {
        let (socket, _) = listener.accept().expect("the session connects");
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let splitter = Splitter::new(Limits::default());
        let mut server = Server { socket, splitter, asked: Vec::new(), out: String::new(), told: 0 };
        server.out.push_str(
            "<?xml version='1.0'?><stream:stream from='example' id='b' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
        );
        while server.told < ROOMS {
            server.answer();
            server.flush();
            server.read();
        }
        server.answer();
        server.flush();
        (0..WARM_UP + KICKS).map(|number| server.offend(number)).skip(WARM_UP).collect()
    }

    /// Somebody comes, says something and offends; answers how long it took until the kick came.
    fn offend(&mut self, number: usize) -> Duration {
        let nick = format!("guest{number}");
        let from = format!("r{}@muc.example/{nick}", number % ROOMS);
        let text = format!(
            "<presence from='{from}'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' \
             role='participant' jid='g{number}@guest.example/x'/></x></presence>\
             <message from='{from}' type='groupchat'><body>good evening to everybody here</body></message>"
        );
        self.out.push_str(&text);
        self.flush();
        let offence = format!(
            "<message from='{from}' type='groupchat' id='m{number}'><body>what a badword{} that is</body></message>",
            number % 1_000
        );
        self.socket.write_all(offence.as_bytes()).expect("the session lives");
        let start = Instant::now();
        loop {
            self.read();
            let took = start.elapsed();
            let is_kick = |asked: &Element| {
                let item = asked.children().next().and_then(|query| query.children().next());
                item.is_some_and(|item| item.attr("role") == Some("none") && item.attr("nick") == Some(&nick))
            };
            if self.asked.iter().any(is_kick) {
                self.answer();
                self.out.push_str(&format!(
                    "<presence type='unavailable' from='{from}'><x xmlns='http://jabber.org/protocol/muc#user'>\
                     <item affiliation='none' role='none'><actor nick='keeper'/></item><status code='307'/></x></presence>"
                ));
                self.flush();
                return took;
            }
            self.answer();
            self.flush();
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 64 * 1024];
        let length = self.socket.read(&mut buffer).expect("the session says something");
        assert_ne!(length, 0, "the session went away");
        let asked = &mut self.asked;
        let split = self.splitter.push(&buffer[..length], |piece| {
            if let Piece::Stanza(bytes) = piece {
                asked.push(xml::parse(bytes, &Limits::default()).expect("our own XML"));
            }
        });
        split.expect("our own XML");
    }

    fn answer(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            let (to, id) = (asked.attr("to").unwrap_or_default(), asked.attr("id").unwrap_or_default());
            if asked.name() == "presence" {
                self.out.push_str(&format!(
                    "<presence from='{to}'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' \
                     role='moderator' jid='keeper@example/bench'/><status code='110'/></x></presence>"
                ));
            } else if asked.name() == "iq" && matches!(asked.attr("type"), Some("get" | "set")) {
                let disco = asked.children().any(|child| child.ns() == "http://jabber.org/protocol/disco#info");
                self.told += usize::from(disco && to.contains('@'));
                let inner = if disco {
                    "<query xmlns='http://jabber.org/protocol/disco#info'>\
                     <identity category='conference' type='text'/></query>"
                } else {
                    ""
                };
                self.out.push_str(&format!("<iq type='result' from='{to}' id='{id}'>{inner}</iq>"));
            }
        }
    }

    fn flush(&mut self) {
        self.socket.write_all(std::mem::take(&mut self.out).as_bytes()).expect("the session lives");
    }
}
