//! The test focus: a conference focus after Jicofo's rules (jitsi-protocol.md §3-5, §13).
//!
//! It answers conference requests as the component `focus.meet.jitsi` (XEP-0114) and sits in rooms as
//! `focus@auth.meet.jitsi` with the nick `focus`, on an ordinary client connection without stream management: when
//! it ends, its occupant vanishes from every room at once. It enforces and never assumes:
//!
//! | rule | section |
//! |---|---|
//! | `room` is required; auth sessions by login domain and machine-uid; else `not-authorized` for a new room | §3.2, §4.1 |
//! | a new auth session for each request without session-id; session-id is bound to machine-uid and the last full JID | §4.1 |
//! | `ready='false'` to whoever asks while the room is being made; no answer at all for a wrong MUC domain | §3.1, §3.2 |
//! | start timeout: leaves when no member has answered disco#info in time | §5.7, §13.3 |
//! | asks disco#info of each new member (also with the node of its caps) | §5.2 |
//! | recognises by full JID, grants owner to the bare JID: at the join and when the JID is authenticated later | §4.3 |
//! | invites everybody at two members by Jingle session-initiate | §5.3 |
//! | mutes for a moderator whom, like the target, it has invited and who did not answer with an error | §5.4, §6.4 |
//! | mutes all but the actor when moderation of audio or video is turned on | §6.6 |
//! | leaves when nobody is left | §5.7 |
//!
//! The thread that runs it writes down everything it sees; tests ask [`Focus`] and never the program under test.

mod auth;
mod brain;
mod links;
mod media;
mod requests;
mod rooms;
mod seen;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::process::{patience, wait_for};
use super::prosody::{DOMAIN, MUC, Prosody};
use super::xml::bare;
use links::run;
use seen::Notes;
pub use seen::{MemberSeen, Observation, RoomSeen, Seen, Why};

/// How this focus behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where clients connect.
    pub c2s: SocketAddr,
    /// Where components connect.
    pub component: SocketAddr,
    /// Authentication is on: only sessions of [`Options::login_domain`] open rooms. Off: anyone does, and the first
    /// member becomes owner (§4.3 auto-owner).
    pub auth: bool,
    /// Sessions come from tokens (§4.2): they live a minute, and end with the conference that they were made for.
    pub jwt: bool,
    /// How long an auth session lives without being used; `None`: 24 hours, with `jwt` one minute.
    pub session_lifetime: Option<Duration>,
    /// The domain whose accounts get auth sessions.
    pub login_domain: String,
    /// The only domain on which rooms start.
    pub muc: String,
    /// Leave when nobody has come by then.
    pub start_timeout: Duration,
    /// How long answers to IQs are waited for.
    pub reply_timeout: Duration,
    /// How long a crashed focus keeps requests before they bounce.
    pub crash_silence: Duration,
    /// How long after the server's port opens the focus logs in.
    pub reconnect_delay: Duration,
    /// Print what is seen.
    pub verbose: bool,
}

impl Options {
    /// The defaults of Jicofo, on a server of ours.
    pub fn of(prosody: &Prosody) -> Options {
        Options::at(prosody.c2s(), prosody.component())
    }

    /// The defaults of Jicofo.
    pub fn at(c2s: SocketAddr, component: SocketAddr) -> Options {
        Options {
            c2s,
            component,
            auth: true,
            jwt: false,
            session_lifetime: None,
            login_domain: DOMAIN.to_owned(),
            muc: MUC.to_owned(),
            start_timeout: Duration::from_secs(15),
            reply_timeout: Duration::from_secs(15),
            crash_silence: Duration::from_secs(16),
            reconnect_delay: Duration::ZERO,
            verbose: false,
        }
    }
}

/// A running focus. Dropping it ends it as a killed process ends.
pub struct Focus {
    options: Options,
    notes: Arc<Mutex<Notes>>,
    running: Option<(mpsc::UnboundedSender<Command>, JoinHandle<()>)>,
}

enum Command {
    Crash,
    ExpireSessions,
    Recording { room: String, status: String },
}

impl Focus {
    /// Starts a focus and waits until it is connected.
    ///
    /// # Panics
    /// It does not get in within ten seconds.
    #[track_caller]
    pub fn start(options: Options) -> Focus {
        let mut focus = Focus { options, notes: Arc::default(), running: None };
        focus.spawn();
        assert!(
            wait_for(patience(Duration::from_secs(10)), || focus.connected().then_some(())).is_some(),
            "the focus does not get into the server at {}",
            focus.options.component
        );
        focus
    }

    /// Starts a focus that was stopped; it remembers nothing of what it was. Does not wait.
    pub fn spawn(&mut self) {
        if self.running.is_some() {
            return;
        }
        let (commands, inbox) = mpsc::unbounded_channel();
        let (options, notes) = (self.options.clone(), Arc::clone(&self.notes));
        let thread = std::thread::Builder::new().name("focus".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(options, notes, inbox));
        });
        self.running = Some((commands, thread.expect("a thread")));
    }

    /// Ends the focus as a killed process ends: both connections close, its occupants vanish, all is forgotten.
    pub fn stop(&mut self) {
        if let Some((commands, thread)) = self.running.take() {
            drop(commands);
            thread.join().expect("the focus panicked");
        }
        self.notes().connected = false;
    }

    /// Stops, and starts again with other options.
    pub fn restart(&mut self, change: impl FnOnce(&mut Options)) {
        self.stop();
        change(&mut self.options);
        self.spawn();
    }

    /// Crashes as Jicofo does under stream management (§13.5): requests meet silence for
    /// [`Options::crash_silence`], then `recipient-unavailable`; its occupants stay for 15 s. Only [`Focus::stop`]
    /// and [`Focus::spawn`] mend it.
    pub fn crash(&self) {
        if self.running.is_some() {
            self.tell(Command::Crash);
            super::until("the focus to crash", Duration::from_secs(5), || (!self.connected()).then_some(()));
        }
    }

    /// Forgets all auth sessions, as when their time is over (§4.1). Members stay what they are.
    pub fn expire_sessions(&self) {
        self.tell(Command::ExpireSessions);
        super::until("the sessions to expire", Duration::from_secs(5), || (self.auth_sessions() == 0).then_some(()));
    }

    /// Says in `room` that a recording is `on`, `off` or `pending` (§6.13).
    pub fn recording(&self, room: &str, status: &str) {
        self.tell(Command::Recording { room: room.to_owned(), status: status.to_owned() });
    }

    fn tell(&self, command: Command) {
        if let Some((commands, _)) = &self.running {
            // a focus that has ended needs no command
            let _ = commands.send(command);
        }
    }

    /// Whether both connections are up.
    pub fn connected(&self) -> bool {
        self.notes().connected
    }

    /// Waits until both connections are up; returns since when, as last logged.
    #[track_caller]
    pub fn wait_connected(&self, limit: Duration) -> Instant {
        super::until("the focus to be connected", limit, || {
            let notes = self.notes();
            let last = notes.log.iter().rev().find(|seen| seen.what == Seen::Connected);
            last.filter(|_| notes.connected).map(|seen| seen.at)
        })
    }

    /// Everything seen so far, in order.
    pub fn log(&self) -> Vec<Observation> {
        self.notes().log.clone()
    }

    /// How many observations there are; a mark for [`Focus::since`].
    pub fn mark(&self) -> usize {
        self.notes().log.len()
    }

    /// What was seen since a mark, in order.
    pub fn since(&self, mark: usize) -> Vec<Observation> {
        self.notes().log.iter().skip(mark).cloned().collect()
    }

    /// What was seen of one room since a mark, in order.
    pub fn seen_in(&self, room: &str, mark: usize) -> Vec<Seen> {
        let notes = self.notes();
        notes.log.iter().skip(mark).filter(|seen| seen.room == room).map(|seen| seen.what.clone()).collect()
    }

    /// Waits until something is seen after a mark; returns the first of it.
    ///
    /// # Panics
    /// It is not seen within `limit`; says what was seen.
    #[track_caller]
    pub fn wait_seen(
        &self,
        what: &str,
        mark: usize,
        limit: Duration,
        wanted: impl Fn(&Observation) -> bool,
    ) -> Observation {
        let limit = patience(limit);
        let found = wait_for(limit, || self.notes().log.iter().skip(mark).find(|seen| wanted(seen)).cloned());
        found.unwrap_or_else(|| {
            let seen: Vec<_> = self.since(mark).into_iter().map(|seen| (seen.room, seen.what)).collect();
            panic!("the focus did not see within {limit:?}: {what}; it saw {seen:#?}")
        })
    }

    /// The rooms that the focus is in, now.
    pub fn rooms(&self) -> HashMap<String, RoomSeen> {
        self.notes().rooms.clone()
    }

    /// How many auth sessions there are (§4.1: one more for each request without session-id).
    pub fn auth_sessions(&self) -> usize {
        self.notes().auth_sessions
    }

    /// Whether the account `jid` (bare) holds `room` now: focus and account inside, the account moderator, its
    /// disco#info answered; and since when.
    pub fn held_since(&self, room: &str, jid: &str) -> Option<Instant> {
        holder(&self.notes(), room, jid)
    }

    /// How many of `rooms` the account holds now.
    pub fn count_held(&self, rooms: &[impl AsRef<str>], jid: &str) -> usize {
        let notes = self.notes();
        rooms.iter().filter(|room| holder(&notes, room.as_ref(), jid).is_some()).count()
    }

    /// Waits until the account `jid` (bare) holds all `rooms` at one moment; returns when the last of them was held.
    ///
    /// # Panics
    /// Not within `limit`; says which rooms are missing.
    #[track_caller]
    pub fn wait_held(&self, rooms: &[impl AsRef<str>], jid: &str, limit: Duration) -> Instant {
        let all = || {
            let notes = self.notes();
            rooms.iter().map(|room| holder(&notes, room.as_ref(), jid)).try_fold(
                None,
                |last: Option<Instant>, since| {
                    let since = since?;
                    Some(Some(last.map_or(since, |last| last.max(since))))
                },
            )
        };
        let limit = patience(limit);
        match wait_for(limit, all) {
            Some(last) => last.unwrap_or_else(Instant::now),
            None => {
                let notes = self.notes();
                let missing: Vec<&str> =
                    rooms.iter().map(AsRef::as_ref).filter(|room| holder(&notes, room, jid).is_none()).collect();
                let sample: Vec<_> = missing.iter().take(3).map(|room| (room, notes.rooms.get(*room))).collect();
                let last: Vec<_> = notes.log.iter().rev().take(10).map(|seen| (&seen.room, &seen.what)).collect();
                panic!(
                    "{jid} holds {} of {} rooms after {limit:?}; missing, among others: {sample:#?}; last seen: {last:#?}",
                    rooms.len() - missing.len(),
                    rooms.len()
                )
            }
        }
    }

    /// Forgets the log, for long runs.
    pub fn clear_log(&self) {
        self.notes().log.clear();
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("the focus panicked")
    }
}

impl Drop for Focus {
    fn drop(&mut self) {
        if let Some((commands, thread)) = self.running.take() {
            drop(commands);
            let _ = thread.join();
        }
    }
}

fn holder(notes: &Notes, room: &str, jid: &str) -> Option<Instant> {
    let members = &notes.rooms.get(room)?.members;
    members.values().filter(|member| bare(&member.jid) == jid).find_map(|member| member.holds_since)
}
