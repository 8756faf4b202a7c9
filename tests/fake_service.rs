//! The driver of a session against a scripted server: real XML through a pipe in memory, on a paused clock.
//!
//! The hostile rows are those of a study of what other libraries do with them: one bad stanza makes its sender
//! invisible, disconnects for ever, or aborts the process. Here the session stays online where it should, whoever sent
//! the bad stanza stays listed, and what comes behind it is answered.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use innkeeper::cause::{Cause, Word};
use innkeeper::command::RoomState;
use innkeeper::config::{Mechanism, RoomKey};
use innkeeper::room::Settings;
use innkeeper::runtime::session::{Connector, Driver, News, Order, Request, RoomView, run};
use innkeeper::runtime::transport::memory;
use innkeeper::service::{Logins, Service};
use innkeeper::session::{Bucket, Input, Profile, Report, Session};
use innkeeper::stream::{Bound, LastLogin, Management, Resume};
use innkeeper::xml::{self, Element, Limits, Piece, Splitter};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const ROOM: &str = "tavern@muc.meet.jitsi";
const NICK: &str = "0keeper";
const MALLORY: &str = "tavern@muc.meet.jitsi/mallory";
const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// In simulated time; a real minute would be over long before.
const SOON: Duration = Duration::from_secs(5);

/// A driver with one plain room, and the server's end of its connection.
struct Stage {
    orders: mpsc::UnboundedSender<Order>,
    news: mpsc::Receiver<((), News)>,
    pipes: mpsc::UnboundedReceiver<(DuplexStream, Option<Resume>)>,
    pipe: DuplexStream,
    splitter: Splitter,
    heard: VecDeque<Element>,
    /// The session closed its stream.
    closed: bool,
    asked: u32,
    /// What the session asked to resume when it connected last.
    resume: Option<Resume>,
}

fn key() -> RoomKey {
    RoomKey { service: "s".into(), name: "tavern".into() }
}

fn settings() -> Settings {
    Settings {
        key: key(),
        jid: ROOM.into(),
        nick: NICK.into(),
        display_name: "Keeper".into(),
        password: None,
        focus: false,
        moderated: None,
        plans: None,
    }
}

fn connector(pipes: mpsc::UnboundedSender<(DuplexStream, Option<Resume>)>) -> Connector {
    Arc::new(move |request: Request| {
        let pipes = pipes.clone();
        Box::pin(async move {
            let (transport, theirs) = memory(Limits::default());
            let bound = Bound {
                jid: "keeper@meet.jitsi/x".to_owned(),
                login: LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None },
                management: Some(Management { id: Some("sm-1".to_owned()), max: None }),
                resumed: None,
                early: Vec::new(),
            };
            pipes.send((theirs, request.resume)).map_err(|_| Cause::new(Word::Unreachable, "the test is over"))?;
            Ok((transport, bound))
        })
    })
}

impl Stage {
    /// Connected, the room held.
    async fn held() -> Self {
        let mut stage = Stage::connected().await;
        stage.enter("").await;
        stage
    }

    async fn connected() -> Self {
        let (orders, to_driver) = mpsc::unbounded_channel();
        let (news, from_driver) = mpsc::channel(1024);
        let (pipes, mut their_pipes) = mpsc::unbounded_channel();
        let profile = Profile { muc: Some("muc.meet.jitsi".into()), ..Profile::plain("meet.jitsi", "uid", 7) };
        let now = tokio::time::Instant::now().into_std();
        let driver = Driver {
            session: Session::new(profile, now),
            connector: connector(pipes),
            orders: to_driver,
            news,
            name: (),
            joins: Arc::new(Mutex::new(Bucket::per_second(1000, now))),
            listing: Vec::new(),
        };
        tokio::spawn(run(driver));
        orders.send(Order::Input(Input::Hold(Arc::new(settings())))).expect("the driver runs");
        orders.send(Order::Connect(None)).expect("the driver runs");
        let (pipe, resume) = timeout(SOON, their_pipes.recv()).await.expect("it connects").expect("a pipe");
        let mut stage = Stage {
            orders,
            news: from_driver,
            pipes: their_pipes,
            pipe,
            splitter: Splitter::new(Limits::default()),
            heard: VecDeque::new(),
            closed: false,
            asked: 0,
            resume,
        };
        stage.begin().await;
        stage
    }

    async fn begin(&mut self) {
        self.splitter = Splitter::new(Limits::default());
        self.heard.clear();
        self.splitter.push(HEADER.as_bytes(), |_| {}).expect("a header");
        self.say(HEADER).await;
    }

    /// Connects again, as the supervisor would tell it to.
    async fn reconnect(&mut self) {
        self.orders.send(Order::Connect(None)).expect("the driver runs");
        let (pipe, resume) = timeout(SOON, self.pipes.recv()).await.expect("it connects").expect("a pipe");
        (self.pipe, self.resume) = (pipe, resume);
        self.begin().await;
    }

    /// Answers the join with a list: `others`, then ourselves.
    async fn enter(&mut self, others: &str) {
        let join = self.hears(|element| element.name() == "presence").await;
        assert_eq!(join.attr("to"), Some("tavern@muc.meet.jitsi/0keeper"));
        self.say(others).await;
        self.say(&format!(
            "<presence from='{ROOM}/{NICK}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='owner' role='moderator' jid='keeper@meet.jitsi/x'/><status code='110'/></x></presence>"
        ))
        .await;
        loop {
            match self.tells().await {
                News::Report(Report::Room(_, shown)) if shown.state == RoomState::Held => return,
                News::Lost(cause) => panic!("lost: {cause}"),
                _ => {}
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.write(text.as_bytes()).await;
    }

    /// Writes while it reads nothing, up to what fits the pipe; the driver reads always.
    async fn write(&mut self, bytes: &[u8]) {
        // The driver may give the stream up in the middle of it.
        let _ = timeout(Duration::from_secs(60), self.pipe.write_all(bytes)).await.expect("the driver reads");
    }

    async fn tells(&mut self) -> News {
        timeout(Duration::from_secs(60), self.news.recv()).await.expect("it tells something").expect("it runs").1
    }

    /// What is said until it is what is looked for.
    async fn hears(&mut self, wanted: impl Fn(&Element) -> bool) -> Element {
        let search = async {
            loop {
                while let Some(element) = self.heard.pop_front() {
                    if wanted(&element) {
                        return element;
                    }
                }
                let mut bytes = [0; 4096];
                let n = self.pipe.read(&mut bytes).await.expect("a pipe");
                assert!(n > 0, "the session hung up");
                let (heard, closed) = (&mut self.heard, &mut self.closed);
                let pushed = self.splitter.push(&bytes[..n], |piece| match piece {
                    Piece::Stanza(text) => {
                        heard.push_back(xml::parse(text, &Limits::default()).expect("what we write is XML"));
                    }
                    Piece::Close => *closed = true,
                    other => panic!("what we write is {other:?}"),
                });
                pushed.expect("what we write is a stream");
            }
        };
        timeout(SOON, search).await.expect("it says what is waited for")
    }

    /// A question behind everything that was said is answered, once.
    async fn answers(&mut self, row: &str) {
        self.asked += 1;
        let id = format!("still-there-{}", self.asked);
        self.say(&format!("<iq type='get' from='{ROOM}/guest' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
        let answer = self
            .hears(|element| {
                assert!(
                    element.name() == "iq" || element.name() == "r" || element.name() == "a",
                    "{row}: we sent {element:?}"
                );
                element.attr("id") == Some(&*id)
            })
            .await;
        assert_eq!(answer.attr("type"), Some("result"), "{row}");
        while let Ok((_, news)) = self.news.try_recv() {
            assert!(!matches!(news, News::Lost(_) | News::Failed(_)), "{row}: {news:?}");
        }
    }

    async fn view(&self) -> RoomView {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Room(key(), reply)).expect("the driver runs");
        timeout(SOON, answer).await.expect("an answer").expect("the driver runs").expect("the room is held")
    }

    /// Real JID, role and affiliation of an occupant.
    async fn listed(&self, row: &str, nick: &str) -> (Option<String>, String, String) {
        let view = self.view().await;
        let (_, one, _) = view
            .occupants
            .iter()
            .find(|(listed, _, _)| listed == nick)
            .unwrap_or_else(|| panic!("{row}: {nick:?} is not listed among {:?}", view.occupants));
        (
            one.real_jid.as_deref().map(str::to_owned),
            one.role.as_ref().map_or("unknown", |role| role.as_str()).to_owned(),
            one.affiliation.as_ref().map_or("unknown", |affiliation| affiliation.as_str()).to_owned(),
        )
    }

    /// Why the stream is lost.
    async fn lost(&mut self) -> Cause {
        loop {
            if let News::Lost(cause) = self.tells().await {
                return cause;
            }
        }
    }
}

fn x(item: &str) -> String {
    format!("<x xmlns='http://jabber.org/protocol/muc#user'><item {item}/></x>")
}

const ITEM: &str = "affiliation='none' role='participant' jid='m@guest.meet.jitsi/1'";

fn presence(inside: &str) -> String {
    format!("<presence from='{MALLORY}'>{inside}{}</presence>", x(ITEM))
}

fn nested(levels: usize) -> String {
    format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels))
}

/// How long the service waits before it connects again after that loss.
fn backoff(cause: &Cause) -> Duration {
    let mut service = Service::new(false, 50, 3);
    let (mut logins, mut out, now) = (Logins::new(8), Vec::new(), Instant::now());
    service.place(&key(), &mut out);
    service.poll(now, &mut logins, &mut out);
    service.online(now, 0, &mut logins, &mut out);
    service.lost(now, 0, cause);
    service.deadline().expect("another attempt is due") - now
}

// ── getting in

#[tokio::test(start_paused = true)]
async fn the_driver_joins_although_a_show_is_nonsense() {
    let mut stage = Stage::connected().await;
    stage.enter(&presence("<show>bogus</show><priority>300</priority>")).await;
    assert_eq!(
        stage.listed("show", "mallory").await,
        (Some("m@guest.meet.jitsi/1".into()), "participant".into(), "none".into())
    );
    stage.answers("show").await;
}

#[tokio::test(start_paused = true)]
async fn the_driver_joins_although_a_presence_in_the_list_is_no_xml() {
    let mut stage = Stage::connected().await;
    stage.enter(&format!("<presence from='{MALLORY}'>&undefined;</presence>{}", nested(0))).await;
    assert_eq!(stage.listed("entity", "mallory").await, (None, "unknown".into(), "unknown".into()));
    // The next readable one says the rest.
    stage.say(&presence("")).await;
    stage.answers("entity").await;
    assert_eq!(stage.listed("entity", "mallory").await.1, "participant");
}

// ── presence of hostile occupants

#[tokio::test(start_paused = true)]
async fn whoever_sends_an_odd_presence_is_listed_with_what_the_room_says_of_them() {
    let mut stage = Stage::held().await;
    let long = "x".repeat(9_000);
    let rows: Vec<(&str, String)> = vec![
        ("show bogus", presence("<show>bogus</show>")),
        ("show twice", presence("<show>away</show><show>xa</show>")),
        ("priority 300", presence("<priority>300</priority>")),
        ("priority empty", presence("<priority/>")),
        ("priority twice", presence("<priority>1</priority><priority>2</priority>")),
        ("text", presence("hello there")),
        ("text of nothing but references", presence("&#x41;&amp;&lt;")),
        ("cdata", presence("<status><![CDATA[<a><b>&]]></status>")),
        ("no namespace", presence("<a xmlns=''/>")),
        ("other namespaces", presence("<a xmlns='x:y'><b xmlns='z'/></a>")),
        ("attribute of 9 KB", presence(&format!("<a b='{long}'/>"))),
        ("attribute name of 9 KB", presence(&format!("<a {long}='b'/>"))),
        ("element name of 9 KB", presence(&format!("<{long}/>"))),
        ("text of 200 KB", presence(&format!("<status>{}</status>", "y".repeat(200_000)))),
        ("200 KiB of children", presence(&"<a/>".repeat(51_200))),
        ("400 KiB of children", presence(&"<a/>".repeat(102_400))),
        ("nested 500", presence(&nested(500))),
        ("nested 5,000", presence(&nested(5_000))),
        ("nested 36,000", presence(&nested(36_000))),
        ("an x of their own", presence(&x("affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'"))),
        ("comment", presence("<!-- a comment -->")),
        ("unknown type", format!("<presence type='foo' from='{MALLORY}'>{}</presence>", x(ITEM))),
        ("address for nobody", format!("<presence to='@@//' from='{MALLORY}'>{}</presence>", x(ITEM))),
    ];
    for (row, text) in rows {
        stage.say(&format!("<presence type='unavailable' from='{MALLORY}'/>")).await;
        stage.say(&text).await;
        stage.answers(row).await;
        let (real, role, affiliation) = stage.listed(row, "mallory").await;
        assert_eq!(role, "participant", "{row}");
        assert_eq!(affiliation, "none", "{row}");
        assert_eq!(real.as_deref(), Some("m@guest.meet.jitsi/1"), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_roles_affiliations_and_status_codes_are_shown_as_the_room_wrote_them() {
    let mut stage = Stage::held().await;
    stage
        .say(&format!(
            "<presence from='{MALLORY}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='king' role='jester' jid='not a jid'/><status code='999'/><status code='70000'/>\
             <status code='-1'/><status code='x'/><status/><what/></x></presence>"
        ))
        .await;
    stage.answers("unknown").await;
    let listed = stage.listed("unknown", "mallory").await;
    assert_eq!(listed, (Some("not a jid".into()), "jester".into(), "king".into()));
    // And somebody of whom the room says nothing at all.
    stage.say(&format!("<presence from='{ROOM}/nobody'/>")).await;
    stage.answers("nothing").await;
    assert_eq!(stage.listed("nothing", "nobody").await, (None, "unknown".into(), "unknown".into()));
}

#[tokio::test(start_paused = true)]
async fn a_presence_that_is_no_xml_keeps_what_was_known_of_its_sender() {
    let mut stage = Stage::held().await;
    let from = format!("<presence from='{MALLORY}'>");
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("undefined entity", format!("{from}&bogus;</presence>").into()),
        ("reference to nothing", format!("{from}&#0;</presence>").into()),
        ("reference to no character", format!("{from}&#xFFFF;</presence>").into()),
        ("unbound prefix", format!("{from}<q:a/></presence>").into()),
        ("unbound prefix of an attribute", format!("{from}<a q:b='c'/></presence>").into()),
        ("the same attribute twice", format!("{from}<a b='1' b='2'/></presence>").into()),
        ("wrong end tag", format!("{from}<a></b></presence>").into()),
        ("invalid UTF-8", [from.as_bytes(), b"\xff\xfe</presence>"].concat()),
        ("overlong UTF-8", [from.as_bytes(), b"\xc0\xaf</presence>"].concat()),
        ("a surrogate", [from.as_bytes(), b"\xed\xa0\x80</presence>"].concat()),
        ("a null byte", [from.as_bytes(), b"\0</presence>"].concat()),
        ("attribute without quotes", format!("{from}<a b=c/></presence>").into()),
        ("processing instruction", format!("{from}<?php?></presence>").into()),
    ];
    for (row, bytes) in rows {
        stage.say(&presence("")).await;
        stage.write(&bytes).await;
        stage.answers(row).await;
        let listed = stage.listed(row, "mallory").await;
        assert_eq!(listed, (Some("m@guest.meet.jitsi/1".into()), "participant".into(), "none".into()), "{row}");
    }
    // Gone is gone, however badly it is said.
    stage.say(&format!("<presence type='unavailable' from='{MALLORY}'>&bogus;</presence>")).await;
    stage.answers("gone").await;
    assert!(!stage.view().await.occupants.iter().any(|(nick, _, _)| nick == "mallory"));
}

#[tokio::test(start_paused = true)]
async fn no_nick_makes_its_owner_invisible() {
    let mut stage = Stage::held().await;
    let nicks = [
        "🍺🏰".to_owned(),
        "\u{378}\u{379}".to_owned(),
        "\u{202e}gnp.exe".to_owned(),
        "\u{e000}\u{f8ff}".to_owned(),
        "אבג abc".to_owned(),
        "a\u{200d}b".to_owned(),
        " ".to_owned(),
        "a/b@c".to_owned(),
        "n".repeat(1_024),
        "é".repeat(3_000),
    ];
    for nick in nicks {
        stage.say(&format!("<presence from='{ROOM}/{nick}'>{}</presence>", x(ITEM))).await;
        stage.answers(&nick).await;
        stage.listed("nick", &nick).await;
        stage.say(&format!("<presence type='unavailable' from='{ROOM}/{nick}'/>")).await;
    }
    stage.answers("all gone").await;
    assert_eq!(stage.view().await.occupants.len(), 1);
}

// ── messages and IQs of hostile occupants

#[tokio::test(start_paused = true)]
async fn no_message_ends_the_session_and_none_is_answered() {
    let mut stage = Stage::held().await;
    let message = |inside: &str| format!("<message type='groupchat' from='{MALLORY}'>{inside}</message>");
    let mut rows: Vec<(String, Vec<u8>)> = [
        ("type foo", format!("<message type='foo' from='{MALLORY}'/>")),
        ("two threads", message("<thread>a</thread><thread>b</thread>")),
        ("nested 3,000", message(&nested(3_000))),
        ("nested 5,000 in 35 KB", message(&nested(5_000))),
        ("nested 36,000", message(&nested(36_000))),
        ("nested 200,000", message(&nested(200_000))),
        ("attribute of 9 KB", message(&format!("<a b='{}'/>", "x".repeat(9_000)))),
        ("body of 5 MB", message(&format!("<body>{}</body>", "b".repeat(5 << 20)))),
        ("5 MB of children", message(&"<a/>".repeat(5 << 18))),
        ("5 MB of attributes", {
            let attributes: Vec<String> = (0..400_000).map(|n| format!("a{n}='b'")).collect();
            message(&format!("<a {}/>", attributes.join(" ")))
        }),
        ("2 MB of white space between stanzas", " ".repeat(2 << 20)),
        ("comment between stanzas", "<!-- a comment -->".to_owned()),
        ("comment that looks like a stanza", "<!-- <message> -->".to_owned()),
        ("processing instruction between stanzas", "<?php echo 1 ?>".to_owned()),
        ("unknown top-level element", "<unknown xmlns='x:y'><a/></unknown>".to_owned()),
        ("stanza of another namespace", "<message xmlns='jabber:server'/>".to_owned()),
        ("stanza of no namespace", "<message xmlns=''/>".to_owned()),
        ("unreadable count", "<a xmlns='urn:xmpp:sm:3' h='bogus'/>".to_owned()),
        ("no count", "<a xmlns='urn:xmpp:sm:3'/>".to_owned()),
        ("too large a count", "<a xmlns='urn:xmpp:sm:3' h='99999999999'/>".to_owned()),
        ("request for acknowledgement", "<r xmlns='urn:xmpp:sm:3'/>".to_owned()),
        ("presence without from", "<presence/>".to_owned()),
        ("presence from nowhere", "<presence from='@'/><presence from='/'/><presence from=''/>".to_owned()),
    ]
    .into_iter()
    .map(|(row, text)| (row.to_owned(), text.into_bytes()))
    .collect();
    for control in (0..32).chain([127]) {
        let raw = [
            b"<message type='groupchat' from='".as_slice(),
            MALLORY.as_bytes(),
            b"'><body>",
            &[control],
            b"</body></message>",
        ];
        rows.push((format!("control character {control}"), raw.concat()));
        rows.push((
            format!("reference to control character {control}"),
            message(&format!("<body>&#{control};</body>")).into(),
        ));
        rows.push((
            format!("attribute with control character {control}"),
            message(&format!("<a b='&#x{control:x};'/>")).into(),
        ));
    }
    for (row, bytes) in rows {
        stage.write(&bytes).await;
        // It asserts that nothing but IQs, `<r/>` and `<a/>` was sent meanwhile.
        stage.answers(&row).await;
    }
    assert_eq!(stage.view().await.occupants.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_odd_question_is_answered_exactly_once_and_no_answer_is() {
    let mut stage = Stage::held().await;
    let question = |id: &str, inside: &str| format!("<iq type='get' from='{MALLORY}' id='{id}'>{inside}</iq>");
    for (id, text, answers) in [
        ("q1", question("q1", ""), 1),
        ("q2", question("q2", "<a xmlns='x:y'/>"), 1),
        ("q3", question("q3", &nested(5_000)), 1),
        ("q4", question("q4", "&bogus;"), 1),
        ("q5", question("q5", &"<a/>".repeat(100_000)), 1),
        ("q6", question("q6", "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>"), 1),
        ("q7", format!("<iq type='foo' from='{MALLORY}' id='q7'><a xmlns='x:y'/></iq>"), 0),
        ("q8", format!("<iq from='{MALLORY}' id='q8'/>"), 0),
        ("q9", format!("<iq type='result' from='{MALLORY}' id='q9'>&bogus;</iq>"), 0),
        ("q10", format!("<iq type='error' from='{MALLORY}' id='q10'><error/></iq>"), 0),
        ("q11", format!("<iq type='error' from='{MALLORY}' id='q11'>{}</iq>", nested(5_000)), 0),
    ] {
        stage.say(&text).await;
        stage.asked += 1;
        let end = format!("end-{}", stage.asked);
        stage.say(&question(&end, "<ping xmlns='urn:xmpp:ping'/>")).await;
        let mut seen = 0;
        loop {
            let iq = stage.hears(|element| element.name() == "iq").await;
            assert_eq!(iq.attr("to"), Some(MALLORY), "{id}");
            if iq.attr("id") == Some(&*end) {
                break;
            }
            assert_eq!(iq.attr("id"), Some(id));
            seen += 1;
        }
        assert_eq!(seen, answers, "{id}");
    }
}

// ── what does end the stream

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_at_all_is_given_up_with_a_pause_and_not_resumed() {
    for (row, text) in [
        ("text between stanzas", "hello"),
        ("a document type", "<!DOCTYPE a [<!ENTITY b 'c'>]>"),
        ("a count beyond what was sent", "<a xmlns='urn:xmpp:sm:3' h='999'/>"),
    ] {
        let mut stage = Stage::held().await;
        stage.say(text).await;
        let cause = stage.lost().await;
        assert_eq!(cause.word, Word::ProtocolError, "{row}: {cause}");
        assert!(stage.pipes.try_recv().is_err(), "{row}: it connects again by itself");
        assert!(backoff(&cause) > Duration::ZERO);
        stage.reconnect().await;
        assert_eq!(stage.resume, None, "{row}");
        stage.enter("").await;
        stage.answers(row).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_not_followed_by_an_immediate_reconnect() {
    let mut stage = Stage::held().await;
    stage
        .say(
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Replaced by new connection</text></stream:error></stream:stream>",
        )
        .await;
    let cause = stage.lost().await;
    assert_eq!(cause.word, Word::Conflict);
    assert!(backoff(&cause) >= Duration::from_secs(24), "{:?}", backoff(&cause));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(stage.pipes.try_recv().is_err());
    stage.reconnect().await;
    assert_eq!(stage.resume, None);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_stream_error_and_a_polite_close_are_losses_like_any() {
    for text in ["<stream:error><gone-fishing xmlns='x:y'/></stream:error>", "<stream:error/>", "</stream:stream>"] {
        let mut stage = Stage::held().await;
        stage.say(text).await;
        let cause = stage.lost().await;
        assert!(matches!(cause.word, Word::StreamError | Word::Disconnected), "{cause}");
        assert!(backoff(&cause) < Duration::from_secs(2));
        stage.reconnect().await;
        stage.enter("").await;
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_stanza_and_then_silence_is_a_dead_link_within_35_seconds() {
    let mut stage = Stage::held().await;
    let since = tokio::time::Instant::now();
    stage.say(&format!("<message from='{MALLORY}'><body>I was just about to")).await;
    let cause = stage.lost().await;
    assert_eq!(cause.word, Word::Disconnected);
    assert!(since.elapsed() <= Duration::from_secs(35), "{:?}", since.elapsed());
    // The room is kept until the server's patience is over.
    stage.reconnect().await;
    assert!(stage.resume.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_keeps_the_link_for_hours() {
    let mut stage = Stage::held().await;
    let since = tokio::time::Instant::now();
    while since.elapsed() < Duration::from_secs(3_600) {
        let ping = timeout(Duration::from_secs(25), async {
            loop {
                let mut bytes = [0; 4096];
                let n = stage.pipe.read(&mut bytes).await.expect("a pipe");
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                if let Some(at) = text.find("id='") {
                    return text[at + 4..].split('\'').next().unwrap_or_default().to_owned();
                }
            }
        });
        let id = ping.await.expect("something every 25 seconds");
        stage.say(&format!("<iq type='result' from='meet.jitsi' id='{id}'/>")).await;
        stage.say(&format!("<iq type='result' from='{ROOM}/{NICK}' id='{id}'/>")).await;
    }
    while let Ok((_, news)) = stage.news.try_recv() {
        assert!(!matches!(news, News::Lost(_)), "{news:?}");
    }
    assert_eq!(stage.view().await.occupants.len(), 1);
}

// ── the driver's own

#[tokio::test(start_paused = true)]
async fn it_reads_while_the_server_does_not() {
    let mut stage = Stage::held().await;
    let mut questions = String::new();
    for n in 0..4_000 {
        questions
            .push_str(&format!("<iq type='get' from='meet.jitsi' id='many-{n}'><ping xmlns='urn:xmpp:ping'/></iq>"));
    }
    // Its answers, to a server that may ask as much as it likes, are several times what the pipe holds.
    stage.say(&questions).await;
    for n in 0..4_000 {
        let id = format!("many-{n}");
        stage.hears(|element| element.attr("id") == Some(&*id)).await;
    }
    stage.answers("many").await;
}

#[tokio::test(start_paused = true)]
async fn word_that_the_server_is_away_does_not_reach_a_session_that_has_just_come_through() {
    let mut stage = Stage::held().await;
    let away = Cause::new(Word::Unreachable, "refused");
    stage.orders.send(Order::Input(Input::Offline(away))).expect("the driver runs");
    stage.answers("away").await;
    assert_eq!(stage.view().await.jid.as_deref(), Some("keeper@meet.jitsi/x"));
    assert_eq!(stage.view().await.occupants.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_orders_leaves_the_room_and_closes_the_stream() {
    let mut stage = Stage::held().await;
    let (orders, _) = mpsc::unbounded_channel();
    stage.orders = orders;
    let leave = stage.hears(|element| element.name() == "presence").await;
    assert_eq!(leave.attr("type"), Some("unavailable"));
    let mut rest = String::new();
    assert!(stage.closed, "the stream is closed in the same breath");
    // The server never closes its side; the driver does not wait for that for ever.
    timeout(Duration::from_secs(6), stage.pipe.read_to_string(&mut rest)).await.expect("it ends").expect("a pipe");
    assert_eq!(rest, "", "nothing is said behind the end");
}
