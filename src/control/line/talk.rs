//! One connection: the secret, then commands and their answers, and events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::words::{self, HELP, Said, Unclear, What};
use super::{Lines, Shared};
use crate::authority::Question;
use crate::command::{Command, Reply, Requester, Who, refused};
use crate::config::{Line, Place};
use crate::control::REQUEST_BYTES;
use crate::control::watch::{Told, Watch};
use crate::runtime::transport::Io;

/// How long the secret may take.
const SECRET_PATIENCE: Duration = Duration::from_secs(5);
/// How long a line may take from its first byte to its end: people type.
const LINE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a peer may take nothing of what is said to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long the last answers of a peer that goes may take; an action waits for what the room shows.
const LAST_ANSWERS: Duration = Duration::from_secs(15);
/// Commands in a second, over some seconds: a game with hundreds of players.
const PER_SECOND: u32 = 100;
/// Commands on their way at a time; the next is read when one of them is answered.
const IN_FLIGHT: usize = 16;

/// Talks with a peer until one of the two goes. `true`: it showed its secret.
pub(super) async fn talk(io: Box<dyn Io>, place: &Place, address: &str, shared: &Arc<Shared>) -> bool {
    let (reader, writer) = tokio::io::split(io);
    let mut mouth = Mouth(writer);
    let mut ear = Ear { reader: BufReader::with_capacity(4096, reader), line: Vec::new(), begun: None };
    let mut lines = shared.lines.clone();
    let line = match greet(&mut ear, &mut mouth, place, address, shared, &mut lines).await {
        Ok(Some(line)) => line,
        Ok(None) => return false,
        Err(error) => {
            // Anybody can have that said as often as they like.
            debug!(address, %error, "a peer of the line protocol went before it showed its secret");
            return false;
        }
    };
    let name = line.name.clone();
    info!(line = %name, address, "line open");
    let requester = Requester {
        who: Who::Line { name: name.as_str().into() },
        rights: line.rights.clone(),
        per_second: PER_SECOND,
    };
    let (questions, pending) = (shared.questions.hear(&name), FuturesUnordered::new());
    let mut talk = Talk { ear, mouth, shared, requester, line, lines, questions, watch: None, pending };
    match talk.go().await {
        Ok(why) => info!(line = %name, address, why, "line closed"),
        Err(error) => warn!(line = %name, address, %error, "line lost"),
    }
    true
}

/// The line whose secret the peer shows; nothing but that is listened to.
async fn greet(
    ear: &mut Ear,
    mouth: &mut Mouth,
    place: &Place,
    address: &str,
    shared: &Shared,
    lines: &mut Lines,
) -> io::Result<Option<Line>> {
    let blocked = |now: Instant| shared.guesses.are_many(now.into_std(), address);
    if blocked(Instant::now()) {
        return Ok(None);
    }
    if let Place::Dial(_) = place {
        mouth.say(&json!({ "hello": "innkeeper", "version": env!("CARGO_PKG_VERSION") })).await?;
    }
    let said = match timeout(SECRET_PATIENCE, ear.next()).await {
        Ok(Heard::Line(line)) => words::read(&line),
        Ok(Heard::Lost(error)) => return Err(error),
        Ok(Heard::End | Heard::Unreadable(_)) | Err(_) => return Ok(None),
    };
    // Any other first line may be meant for another protocol: an answer would only help whoever smuggles it in.
    let Ok(Said { what: What::Auth(secret), seq }) = said else { return Ok(None) };
    let known = lines.borrow_and_update().clone();
    // Every secret is compared in full, so that time tells nothing.
    let mut found = None;
    for line in known.iter().filter(|line| line.place == *place) {
        if !line.secret.expose().is_empty() && line.secret == secret {
            found = Some(line);
        }
    }
    let Some(line) = found else {
        shared.guesses.count(Instant::now().into_std(), address.into());
        warn!(address, blocked = blocked(Instant::now()), "a wrong secret on the line protocol");
        mouth.answer(seq, &refused("wrong-secret", "no line of the configuration has this secret")).await?;
        return Ok(None);
    };
    let scopes = &line.rights.scopes;
    let welcome = json!({
        "reply": "welcome", "line": line.name, "version": env!("CARGO_PKG_VERSION"),
        "scopes": scopes, "rooms": line.rights.rooms.to_string(),
    });
    mouth.with_seq(seq, welcome).await?;
    Ok(Some(line.clone()))
}

type Answer = (Option<Value>, Reply);

struct Talk<'s> {
    ear: Ear,
    mouth: Mouth,
    shared: &'s Arc<Shared>,
    requester: Requester,
    line: Line,
    lines: Lines,
    questions: mpsc::Receiver<Box<Question>>,
    watch: Option<Watch>,
    pending: FuturesUnordered<BoxFuture<'static, Answer>>,
}

impl Talk<'_> {
    /// Until the end; says why that came.
    async fn go(&mut self) -> io::Result<&'static str> {
        loop {
            let free = self.pending.len() < IN_FLIGHT;
            let heard = tokio::select! {
                heard = self.ear.next(), if free => heard,
                Some((seq, reply)) = self.pending.next(), if !self.pending.is_empty() => {
                    self.mouth.answer(seq, &reply).await?;
                    continue;
                }
                Some(question) = self.questions.recv() => {
                    let question = serde_json::to_value(question).map_err(io::Error::other)?;
                    self.mouth.say(&question).await?;
                    continue;
                }
                told = next(&mut self.watch) => {
                    if let Some(end) = self.tell(told).await? {
                        return Ok(end);
                    }
                    continue;
                }
                changed = self.lines.changed() => {
                    if changed.is_err() {
                        return Ok("the daemon stops");
                    }
                    if !self.lines.borrow_and_update().contains(&self.line) {
                        self.mouth.last_word("the configuration of this line was changed").await?;
                        return Ok("its configuration was changed");
                    }
                    continue;
                }
            };
            match heard {
                Heard::Line(line) => {
                    if let Some(end) = self.hear(&line).await? {
                        return Ok(end);
                    }
                }
                Heard::End => {
                    // It may yet listen, as at the end of a script; a peer that is wholly gone wants no answer.
                    let _ = self.last_answers().await;
                    return Ok("the peer went");
                }
                Heard::Lost(error) => return Err(error),
                Heard::Unreadable(why) => {
                    self.mouth.last_word(why).await?;
                    return Ok(why);
                }
            }
        }
    }

    /// Says what is still to be answered, and waits for it for a while.
    async fn last_answers(&mut self) -> io::Result<()> {
        let late = sleep(LAST_ANSWERS);
        tokio::pin!(late);
        loop {
            tokio::select! {
                answer = self.pending.next() => match answer {
                    Some((seq, reply)) => self.mouth.answer(seq, &reply).await?,
                    None => return Ok(()),
                },
                () = &mut late => return Ok(()),
            }
        }
    }

    async fn tell(&mut self, told: Option<Told>) -> io::Result<Option<&'static str>> {
        match told {
            Some(Told::Event(event)) => self.mouth.say(&json!({ "event": &*event })).await?,
            Some(Told::Gap) => {
                self.mouth.say(&json!({ "reply": "gap", "text": Told::GAP })).await?;
            }
            Some(Told::TooSlow) => {
                self.mouth.last_word(Told::TOO_SLOW).await?;
                return Ok(Some("the peer read too slowly"));
            }
            None => self.watch = None,
        }
        Ok(None)
    }

    async fn hear(&mut self, line: &str) -> io::Result<Option<&'static str>> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let Said { seq, what } = match words::read(line) {
            Ok(said) => said,
            Err(Unclear { seq, text }) => {
                self.mouth.answer(seq, &refused("bad-request", text)).await?;
                return Ok(None);
            }
        };
        let reply = match what {
            What::Auth(_) => return self.refuse(seq, "bad-request", "you have shown your secret already").await,
            What::Command(command) => return self.ask(seq, *command).await,
            What::Follow(query) => {
                match Watch::begin(&self.shared.gate, &self.shared.bus, &self.requester, &query) {
                    Ok(watch) => self.watch = Some(watch),
                    Err(refusal) => {
                        self.mouth.answer(seq, &refusal).await?;
                        return Ok(None);
                    }
                }
                json!({ "reply": "following" })
            }
            What::Unfollow => {
                self.watch = None;
                json!({ "reply": "unfollowed" })
            }
            What::Ping => json!({ "reply": "pong" }),
            What::Help => json!({ "reply": "help", "lines": HELP }),
            What::Quit => {
                self.last_answers().await?;
                self.mouth.with_seq(seq, json!({ "reply": "bye" })).await?;
                return Ok(Some("the peer said quit"));
            }
        };
        self.mouth.with_seq(seq, reply).await?;
        Ok(None)
    }

    async fn refuse(
        &mut self,
        seq: Option<Value>,
        error: &str,
        text: impl Into<String>,
    ) -> io::Result<Option<&'static str>> {
        self.mouth.answer(seq, &refused(error, text)).await?;
        Ok(None)
    }

    async fn ask(&mut self, seq: Option<Value>, command: Command) -> io::Result<Option<&'static str>> {
        let (gate, requester) = (self.shared.gate.clone(), self.requester.clone());
        let mut answer: BoxFuture<'static, Answer> = Box::pin(async move { (seq, gate.ask(requester, command).await) });
        // Begun at once, so that commands reach the supervisor in the order of their lines.
        match futures_util::poll!(&mut answer) {
            std::task::Poll::Ready((seq, reply)) => self.mouth.answer(seq, &reply).await?,
            std::task::Poll::Pending => self.pending.push(answer),
        }
        Ok(None)
    }
}

/// What is told next; never where nobody follows.
async fn next(watch: &mut Option<Watch>) -> Option<Told> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// What came from the peer.
enum Heard {
    Line(String),
    /// The peer closed.
    End,
    /// The connection broke.
    Lost(io::Error),
    /// What came is no line that we read, for this reason.
    Unreadable(&'static str),
}

struct Ear {
    reader: BufReader<ReadHalf<Box<dyn Io>>>,
    /// The beginning of a line.
    line: Vec<u8>,
    begun: Option<Instant>,
}

impl Ear {
    /// The next line. Nothing is lost when it is dropped before it is ready.
    async fn next(&mut self) -> Heard {
        loop {
            let until = self.begun.map(|begun| begun + LINE_PATIENCE);
            let filled = tokio::select! {
                filled = self.reader.fill_buf() => filled,
                () = async { sleep_until(until.unwrap_or_else(Instant::now)).await }, if until.is_some() => {
                    return Heard::Unreadable("no whole line came within a minute of its beginning");
                }
            };
            let chunk = match filled {
                Ok([]) => return Heard::End,
                Ok(chunk) => chunk,
                Err(error) => return Heard::Lost(error),
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            self.line.extend_from_slice(&chunk[..end.unwrap_or(taken)]);
            self.reader.consume(taken);
            if self.line.len() > REQUEST_BYTES {
                return Heard::Unreadable("a line has at most 65536 bytes");
            }
            if end.is_none() {
                self.begun.get_or_insert_with(Instant::now);
                continue;
            }
            self.begun = None;
            return match String::from_utf8(std::mem::take(&mut self.line)) {
                Ok(line) => Heard::Line(line),
                Err(_) => Heard::Unreadable("a line is UTF-8 text"),
            };
        }
    }
}

struct Mouth(WriteHalf<Box<dyn Io>>);

impl Mouth {
    async fn say(&mut self, value: &Value) -> io::Result<()> {
        let mut line = value.to_string();
        line.push('\n');
        let written = timeout(WRITE_PATIENCE, async {
            self.0.write_all(line.as_bytes()).await?;
            self.0.flush().await
        });
        written.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn with_seq(&mut self, seq: Option<Value>, mut value: Value) -> io::Result<()> {
        if let (Some(seq), Some(object)) = (seq, value.as_object_mut()) {
            object.insert("seq".to_owned(), seq);
        }
        self.say(&value).await
    }

    async fn answer(&mut self, seq: Option<Value>, reply: &Reply) -> io::Result<()> {
        self.with_seq(seq, serde_json::to_value(reply).map_err(io::Error::other)?).await
    }

    async fn last_word(&mut self, text: &str) -> io::Result<()> {
        self.say(&json!({ "reply": "dropped", "text": text })).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, Secret};
    use crate::event;
    use crate::event::EventId;
    use crate::rights::Rights;
    use crate::runtime::bus::Bus;

    fn place() -> Place {
        Place::Listen { listen: Listen::Unix("x".into()), tls: None }
    }

    fn shared(bus: &Arc<Bus>) -> Arc<Shared> {
        let line = Line { name: "game".into(), place: place(), secret: Secret::new("sesame"), rights: Rights::all() };
        let (asked, _) = tokio::sync::mpsc::channel(1);
        let (lines, told) = tokio::sync::watch::channel(Arc::from([line]));
        // For as long as the process lives: a closed channel is a daemon that stops.
        std::mem::forget(lines);
        Shared::new(Arc::new(crate::control::Gate::new(asked)), bus.clone(), Arc::default(), told)
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_what_it_follows_is_dropped_with_a_last_word() {
        let bus = Bus::new(EventId::default(), None);
        let shared = shared(&bus);
        let (ours, theirs) = tokio::io::duplex(256);
        let talking = tokio::spawn(async move { talk(Box::new(ours), &place(), "a", &shared).await });
        let (reader, mut writer) = tokio::io::split(theirs);
        writer.write_all(b"auth sesame\nfollow\n").await.expect("it listens");
        let mut lines = BufReader::new(reader).lines();
        let mut next = async || lines.next_line().await.ok().flatten().unwrap_or_default();
        assert!(next().await.contains("welcome") && next().await.contains("following"));
        let time = "2026-03-01T10:00:00Z".parse().expect("a time");
        for _ in 0..2000 {
            bus.publish(time, "meet", Some("hall"), None, event::What::RoomHeld);
            tokio::task::yield_now().await;
        }
        let mut last = String::new();
        loop {
            match next().await {
                line if line.is_empty() => break,
                line => last = line,
            }
        }
        assert!(last.contains("dropped") && last.contains("too slowly"), "{last}");
        assert!(talking.await.is_ok_and(|entered| entered));
    }

    #[tokio::test(start_paused = true)]
    async fn who_shows_no_secret_within_five_seconds_is_closed() {
        let shared = shared(&Bus::new(EventId::default(), None));
        let (ours, _theirs) = tokio::io::duplex(256);
        let start = Instant::now();
        assert!(!talk(Box::new(ours), &place(), "a", &shared).await);
        assert_eq!(start.elapsed(), SECRET_PATIENCE);
    }
}
