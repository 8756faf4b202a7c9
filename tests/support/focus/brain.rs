//! What a focus keeps in mind, what it waits for, and when it stops waiting.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::Options;
use super::auth::Auth;
use super::links::OCCUPANTS_STAY;
use super::seen::{MemberSeen, Notes, Observation, Seen, Why};
use crate::support::xml::{Node, bare, escape};

#[derive(Default)]
pub(super) struct Conference {
    pub(super) joined: bool,
    /// Who asked first, and the id of the request, while the room is being made.
    pub(super) asker: Option<(String, String)>,
    /// When the start timeout fires; `None` once a member has answered.
    pub(super) start_due: Option<Instant>,
    pub(super) started: bool,
    pub(super) members: BTreeMap<String, Member>,
}

#[derive(Default)]
pub(super) struct Member {
    pub(super) jid: String,
    pub(super) affiliation: String,
    pub(super) role: String,
    pub(super) caps: Option<String>,
    /// Owner was granted and the room has not yet said so. Each request authenticates its sender anew, and granting
    /// anew each time would make the room say so to everybody once for every request under way.
    pub(super) granting: bool,
    /// Its features are known or assumed.
    pub(super) known: bool,
    /// It is in Jicofo's `participants`.
    pub(super) participant: bool,
    /// The session that it was invited to.
    pub(super) sid: String,
}

#[derive(PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) at: Instant,
    pub(super) what: Due,
}

#[derive(PartialEq, Eq)]
pub(super) enum Due {
    Start(String),
    Iq(String),
    Bounce { to: String, id: String },
    Vanish,
    Single(String),
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at) // the heap's greatest is the earliest
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) enum Question {
    Disco { room: String, nick: String },
    Invite { room: String, nick: String },
    Grant { room: String, jid: String },
    Other,
}

pub(super) struct Brain {
    pub(super) options: Options,
    pub(super) notes: Arc<Mutex<Notes>>,
    pub(super) own_jid: String,
    pub(super) auth: Auth,
    pub(super) conferences: HashMap<String, Conference>,
    /// In which rooms a full JID is.
    pub(super) present: HashMap<String, HashSet<String>>,
    /// Rooms that we left, why, and whose last word has not come.
    pub(super) leaving: HashMap<String, VecDeque<Why>>,
    pub(super) questions: HashMap<String, Question>,
    pub(super) timers: BinaryHeap<Timer>,
    pub(super) to_component: String,
    pub(super) to_client: String,
    pub(super) ids: u64,
    pub(super) crashed: Option<Instant>,
    pub(super) vanished: bool,
}

impl Brain {
    pub(super) fn new(options: Options, notes: Arc<Mutex<Notes>>, auth: Auth) -> Brain {
        Brain {
            options,
            notes,
            own_jid: String::new(),
            auth,
            conferences: HashMap::new(),
            present: HashMap::new(),
            leaving: HashMap::new(),
            questions: HashMap::new(),
            timers: BinaryHeap::new(),
            to_component: String::new(),
            to_client: String::new(),
            ids: 0,
            crashed: None,
            vanished: false,
        }
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic")
    }

    pub(super) fn note(&self, room: &str, what: Seen) {
        if self.options.verbose {
            println!("focus: {room} {what:?}");
        }
        self.notes().log.push(Observation { at: Instant::now(), room: room.to_owned(), what });
    }

    /// Copies what is seen of a room to where tests look.
    pub(super) fn show(&self, room: &str) {
        let mut notes = self.notes();
        let Some(conference) = self.conferences.get(room).filter(|conference| conference.joined) else {
            notes.rooms.remove(room);
            return;
        };
        let seen = notes.rooms.entry(room.to_owned()).or_default();
        seen.members.retain(|nick, _| conference.members.contains_key(nick));
        for (nick, member) in &conference.members {
            let before = seen.members.get(nick).filter(|before| before.jid == member.jid);
            let holds = member.role == "moderator" && member.known;
            let holds_since = holds.then(|| before.and_then(|before| before.holds_since).unwrap_or_else(Instant::now));
            let now = MemberSeen {
                jid: member.jid.clone(),
                role: member.role.clone(),
                affiliation: member.affiliation.clone(),
                answered: member.known,
                holds_since,
            };
            seen.members.insert(nick.clone(), now);
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.note("", Seen::Disconnected);
        let mut notes = self.notes();
        notes.connected = false;
        notes.rooms.clear();
    }

    pub(super) fn crash(&mut self) {
        let now = Instant::now();
        self.crashed = Some(now);
        self.timers.push(Timer { at: now + OCCUPANTS_STAY, what: Due::Vanish });
        self.notes().connected = false;
    }

    pub(super) fn ask(&mut self, to: &str, kind: &str, payload: &str, question: Question) {
        self.ids += 1;
        let id = format!("f{}", self.ids);
        let _ = write!(self.to_client, "<iq to='{}' id='{id}' type='{kind}'>{payload}</iq>", escape(to));
        self.timers.push(Timer { at: Instant::now() + self.options.reply_timeout, what: Due::Iq(id.clone()) });
        self.questions.insert(id, question);
    }

    /// `None`: the answer did not come in time.
    pub(super) fn on_answer(&mut self, question: Question, answer: Option<&Node>) {
        let error = answer.is_some_and(|answer| answer.attr("type") == "error");
        match question {
            Question::Disco { room, nick } => {
                let query = answer.and_then(|answer| answer.child("query"));
                let features = query.into_iter().flat_map(|query| &query.children);
                let features = features.filter(|child| child.name == "feature");
                let features = features.map(|feature| feature.attr("var").to_owned()).collect();
                let Some(conference) = self.conferences.get_mut(&room) else { return };
                let Some(member) = conference.members.get_mut(&nick) else { return };
                member.known = true;
                // the thread that waited for the features is what cancels the start timeout (§13.3)
                conference.start_due = None;
                conference.started = true;
                self.note(
                    &room,
                    match answer {
                        Some(_) => Seen::Disco { nick: nick.clone(), error, features },
                        None => Seen::NoDisco { nick: nick.clone() },
                    },
                );
                self.invite(&room, &nick);
                self.show(&room);
            }
            Question::Invite { room, nick } => {
                let how = match answer {
                    Some(answer) if error => answer.condition().to_owned(),
                    Some(_) => "result".to_owned(),
                    None => return self.note(&room, Seen::NoAnswer { nick }),
                };
                if error && let Some(conference) = self.conferences.get_mut(&room) {
                    // §5.4: no participant any more, and no retry
                    if let Some(member) = conference.members.get_mut(&nick) {
                        member.participant = false;
                    }
                }
                self.note(&room, Seen::Answered { nick, how });
            }
            Question::Grant { room, jid } => {
                let members = self.conferences.get_mut(&room).into_iter().flat_map(|found| found.members.values_mut());
                for member in members.filter(|member| bare(&member.jid) == jid) {
                    member.granting = false;
                }
                if error && self.options.verbose {
                    println!("focus: {room}: owner for {jid} refused");
                }
            }
            Question::Other => (),
        }
    }

    pub(super) fn on_time(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.timers.peek()
            && timer.at <= now
        {
            let Some(Timer { at, what }) = self.timers.pop() else { return };
            match what {
                Due::Bounce { to, id } => self.refuse("", &to, &id, "recipient-unavailable", "", ""),
                Due::Vanish => (),
                _ if self.crashed.is_some() => (),
                Due::Start(room) => {
                    if self.conferences.get(&room).is_some_and(|conference| conference.start_due == Some(at)) {
                        self.leave(&room, Why::StartTimeout);
                    }
                }
                Due::Iq(id) => {
                    if let Some(question) = self.questions.remove(&id) {
                        self.on_answer(question, None);
                    }
                }
                Due::Single(room) => self.expire_single(&room),
            }
        }
    }
}
