//! Authorities: their questions on the way out, their answers on the way in, and their lists of rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::questions::Questions;
use super::supervisor::Supervisor;
use crate::action::{Action, Actor, Request, Standing};
use crate::authority::{Answer, Authority, Input, Output, Place, Question, Verdict};
use crate::command::{Reply, Requester, Who, refused};
use crate::config::{self, Asked, Gate, RoomKey, Secret};
use crate::control::auth;
use crate::desired::List;
use crate::event::{Departure, Person, What};
use crate::policy::identity::Facts;
use crate::policy::{Identity, OccupantKey, Trust};
use crate::session::Input as SessionInput;
use crate::sinks::webhook::client::Client;
use crate::sinks::webhook::sign;
use crate::xmpp::jitsi::mute::Medium;

/// What came back for a question: the authority's name, the question's number, and the answer or why there is none.
pub type Answered = (Arc<str>, u64, Result<Answer, String>);

/// Everybody who decides about people in rooms.
pub struct Deciding {
    authorities: BTreeMap<Arc<str>, Decider>,
    questions: Arc<Questions>,
    answers: mpsc::UnboundedSender<Answered>,
}

/// One of them.
struct Decider {
    config: config::Authority,
    machine: Authority,
    /// For callbacks.
    client: Option<Client>,
}

impl Deciding {
    /// Those of the configuration. Questions for lines go to `questions`, answers of callbacks to `answers`.
    #[must_use]
    pub fn new(
        config: &[config::Authority],
        questions: Arc<Questions>,
        answers: mpsc::UnboundedSender<Answered>,
    ) -> Self {
        let mut deciding = Deciding { authorities: BTreeMap::new(), questions, answers };
        deciding.take(config);
        deciding
    }

    /// Takes a configuration that was read again. What those who stay have said still holds.
    pub fn take(&mut self, config: &[config::Authority]) {
        self.authorities.retain(|name, _| config.iter().any(|known| *known.name == **name));
        for config in config {
            let client = match &config.asked {
                Asked::Line(_) => None,
                // The deadline of the machine comes first; this one only ends the connection.
                Asked::Http { ca_file, allow_private, url, .. } => {
                    let here = url.scheme() == "http";
                    Some(Client::new(ca_file.clone(), *allow_private || here, config.limits.time))
                }
            };
            match self.authorities.get_mut(config.name.as_str()) {
                Some(known) => {
                    known.machine.adjust(config.limits.clone());
                    known.config.clone_from(config);
                    known.client = client;
                }
                None => {
                    let machine = Authority::new(&config.name, config.limits.clone());
                    let decider = Decider { config: config.clone(), machine, client };
                    self.authorities.insert(config.name.as_str().into(), decider);
                }
            }
        }
    }

    /// When the next answer is late.
    pub fn deadline(&self) -> Option<Instant> {
        self.authorities.values().filter_map(|decider| decider.machine.deadline()).min()
    }

    /// Whom that requester speaks for.
    fn spoken_for(&self, who: &Who, named: Option<&str>) -> Result<Arc<str>, Box<Reply>> {
        let theirs = |(name, decider): &(&Arc<str>, &Decider)| {
            let may = match who {
                Who::Line { name } => matches!(&decider.config.asked, Asked::Line(line) if **line == **name),
                Who::Token { name } => decider.config.token.as_deref() == Some(name),
                Who::Unix { .. } => true,
                Who::AvChat { .. } | Who::Server { .. } | Who::Nobody => false,
            };
            may && named.is_none_or(|named| *named == ***name)
        };
        let mut found = self.authorities.iter().filter(theirs).map(|(name, _)| name.clone());
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                let text = format!("{who} may speak for several authorities: say which, as \"authority\"");
                Err(Box::new(refused("bad-request", text)))
            }
            (None, _) => {
                let which = named.map_or_else(String::new, |named| format!(" called {named:?}"));
                let text = format!("{who} speaks for no authority{which} of the configuration");
                Err(Box::new(refused("unknown-authority", text)))
            }
        }
    }
}

/// The authorities that are asked about knocks and were not, or were otherwise, before a reload. One whose line ends with
/// that reload, since its rights change, is left out: it can not be asked before it is back.
pub(super) fn newly_at_the_door(before: &config::Config, after: &config::Config) -> Vec<String> {
    let stays = |name: &str| {
        let line = |config: &config::Config| config.lines.iter().find(|line| line.name == name).cloned();
        line(before) == line(after)
    };
    let can_be_asked = |authority: &config::Authority| match &authority.asked {
        Asked::Line(name) => stays(name),
        Asked::Http { .. } => true,
    };
    let new = |authority: &&config::Authority| {
        authority.gate == Gate::Lobby && !before.authorities.contains(authority) && can_be_asked(authority)
    };
    after.authorities.iter().filter(new).map(|authority| authority.name.clone()).collect()
}

impl Supervisor {
    /// Has those authorities asked, of these, about everybody who waits in a lobby.
    pub(super) fn ask_who_waits(&self, these: impl Fn(&config::Authority) -> bool) {
        let asked: Vec<&config::Authority> = (self.config.authorities.iter())
            .filter(|authority| authority.gate == Gate::Lobby && these(authority))
            .collect();
        for key in self.rooms.keys() {
            if asked.iter().any(|authority| authority.rules(&key.service, &key.name))
                && let Some(running) = self.services.get(&key.service)
            {
                running.tell(key, SessionInput::Waiting(key.clone()));
            }
        }
    }

    /// Somebody who speaks a line has come: whoever waits may have come while nobody could be asked.
    pub(super) fn line_came(&self) {
        self.ask_who_waits(|authority| matches!(authority.asked, Asked::Line(_)));
    }

    /// A room says who waits in its lobby.
    pub(super) fn wait_at_door(&mut self, room: &RoomKey, people: Vec<Person>) {
        for person in people {
            self.tell_authorities(room, &What::LobbyKnocked { person, banned: false });
        }
    }

    /// Tells those who decide about the room what happened there.
    pub(super) fn tell_authorities(&mut self, room: &RoomKey, what: &What) {
        let (person, place, left) = match what {
            What::OccupantJoined { person, .. } => (person, Place::Inside, None),
            What::OccupantLeft { person, how, .. } => (person, Place::Inside, Some(*how)),
            // Bans come first, and nobody is asked whether they hold.
            What::LobbyKnocked { person, banned: false } => (person, Place::Lobby, None),
            What::LobbyLeft { person, how, .. } => (person, Place::Lobby, Some(*how)),
            _ => return,
        };
        let ruling: Vec<Arc<str>> = self
            .deciding
            .authorities
            .iter()
            .filter(|(_, decider)| decider.config.rules(&room.service, &room.name))
            .filter(|(_, decider)| place == Place::Inside || decider.config.gate == Gate::Lobby)
            .map(|(name, _)| name.clone())
            .collect();
        if ruling.is_empty() {
            return;
        }
        let nothing = Trust::default();
        let trust = self.plans.get(room).map_or(&nothing, |plans| &plans.trust);
        let identity = identity(person, trust);
        let (room, person) = (room.clone(), person.clone());
        let input = match left {
            None => Input::Came { room, place, person, identity },
            Some(how) => {
                let put_out = matches!(how, Departure::Kicked | Departure::Banned);
                Input::Left { room, place, person, identity, put_out }
            }
        };
        for name in ruling {
            self.decide(&name, input.clone());
        }
    }

    /// Answers that are late are given up.
    pub(super) fn poll_authorities(&mut self, now: Instant) {
        let late = |decider: &Decider| decider.machine.deadline().is_some_and(|at| at <= now);
        let late: Vec<Arc<str>> = self
            .deciding
            .authorities
            .iter()
            .filter(|(_, decider)| late(decider))
            .map(|(name, _)| name.clone())
            .collect();
        for name in late {
            self.decide(&name, Input::Timeout);
        }
    }

    /// A callback came back.
    pub(super) fn answered(&mut self, (name, id, answer): Answered) {
        let input = match answer {
            Ok(answer) => Input::Answered { id, answer },
            Err(why) => Input::Failed { id, why: why.into() },
        };
        self.decide(&name, input);
    }

    fn decide(&mut self, name: &Arc<str>, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(decider) = self.deciding.authorities.get_mut(name) else { return };
            let mut out = Vec::new();
            decider.machine.handle(Instant::now(), input, &mut out);
            for output in out {
                match output {
                    Output::Ask(question) => {
                        let id = question.id;
                        if let Err(why) = self.deciding.ask(name, question) {
                            inputs.push(Input::Failed { id, why: why.into() });
                        }
                    }
                    Output::Do { room, place, person, verdict, reason } => {
                        self.carry(name, &room, (place, &person), verdict, &reason);
                    }
                    Output::Missed { room, identity, why, verdict } => {
                        let (service, room) = (&room.service, &room.name);
                        warn!(authority = %name, %service, %room, who = %identity, %why, ?verdict, "no answer of an authority");
                    }
                }
            }
        }
    }

    fn carry(&self, name: &str, room: &RoomKey, (place, person): (Place, &Person), verdict: Verdict, reason: &str) {
        let nick = person.nick.clone();
        let actions = match (place, verdict) {
            (Place::Lobby, Verdict::Deny) => vec![Action::Deny { nick: nick.clone() }],
            (Place::Lobby, _) => vec![Action::Admit { nick: nick.clone() }],
            (Place::Inside, Verdict::Allow) => return,
            (Place::Inside, Verdict::Deny) => vec![Action::Kick { nick: nick.clone() }],
            (Place::Inside, Verdict::Mute) => {
                [Medium::Audio, Medium::Video].map(|medium| Action::Mute { nick: Some(nick.clone()), medium }).into()
            }
            (Place::Inside, Verdict::Moderator) => match person.account() {
                Some(account) => vec![Action::Affiliate { jid: account.into(), to: Standing::Owner }],
                None => {
                    let (service, room) = (&room.service, &room.name);
                    warn!(authority = name, %service, %room, %nick, "no moderator: the room does not show who they are");
                    return;
                }
            },
        };
        info!(authority = name, service = %room.service, room = %room.name, %nick, ?verdict, reason, "an authority decided");
        let Some(running) = self.services.get(&room.service) else { return };
        for action in actions {
            let key = format!("authority-{}", super::random_hex(8)).into();
            let actor = Actor::Authority { name: name.to_owned() };
            let request = Request { key, actor, action, real_jid: person.real_jid.clone(), reason: reason.into() };
            if !running.act(room, request) {
                warn!(authority = name, %room, %nick, "the room is not held any more, so nothing was done");
            }
        }
    }

    /// Takes an answer that came as a command.
    pub(super) fn answer(&mut self, authority: Option<&str>, id: u64, answer: Answer, requester: &Requester) -> Reply {
        match self.deciding.spoken_for(&requester.who, authority) {
            Ok(name) if !self.deciding.authorities.get(&name).is_some_and(|decider| decider.machine.awaits(id)) => {
                refused(
                    "unknown-question",
                    format!("question {id} is not open: it was answered, or given up, or never asked"),
                )
            }
            Ok(name) => {
                self.decide(&name, Input::Answered { id, answer });
                Reply::Taken { text: format!("answer {id} is taken") }
            }
            Err(refusal) => *refusal,
        }
    }

    /// Takes the list of rooms that an authority wants.
    pub(super) async fn desire(
        &mut self,
        authority: Option<&str>,
        revision: u64,
        rooms: &[String],
        really_empty: bool,
        requester: &Requester,
    ) -> Reply {
        let list = match self.list(authority, revision, rooms, really_empty, requester) {
            Ok(Some((name, list))) => (name, list),
            Ok(None) => return Reply::Taken { text: format!("revision {revision} is in force already") },
            Err(refusal) => return *refusal,
        };
        let (name, list) = list;
        let (before, count) = (self.state.clone(), list.rooms.len());
        self.state.overrides.set_list(&name, list);
        if !self.save().await {
            self.state.overrides = before.overrides;
            return refused("not-saved", "the state folder cannot be written, so nothing was changed; see the log");
        }
        self.apply();
        Reply::Taken { text: format!("revision {revision} of authority {name} is in force: {count} rooms") }
    }

    fn list(
        &self,
        authority: Option<&str>,
        revision: u64,
        rooms: &[String],
        really_empty: bool,
        requester: &Requester,
    ) -> Result<Option<(Arc<str>, List)>, Box<Reply>> {
        let refuse = |error: &str, text: String| Box::new(refused(error, text));
        let name = self.deciding.spoken_for(&requester.who, authority)?;
        let Some(decider) = self.deciding.authorities.get(&name) else { return Ok(None) };
        let config = &decider.config;
        let mut keys = BTreeSet::new();
        for room in rooms {
            let bare = room.strip_prefix(&format!("{}/", config.service)).unwrap_or(room);
            let Ok((local, None)) = config::room_name(bare) else {
                return Err(refuse("bad-request", format!("{room:?} is no room name")));
            };
            let key = RoomKey::new(config.service.as_str(), &local);
            if !config.rules(&key.service, &key.name) || !auth::room(&requester.rights, &key) {
                let text = format!("{room:?} is none of the rooms {} of authority {name}", config.rooms.as_str());
                return Err(refuse("forbidden", text));
            }
            keys.insert(key);
        }
        if keys.is_empty() && !really_empty {
            let text = "the list is empty: say \"really_empty\": true if all rooms are to be released";
            return Err(refuse("bad-request", text.to_owned()));
        }
        match self.state.overrides.list(&name) {
            Some(known) if revision < known.revision => {
                let text = format!("revision {revision} is older than {}, which is in force", known.revision);
                Err(refuse("old-revision", text))
            }
            Some(known) if revision == known.revision && known.rooms == keys => Ok(None),
            Some(known) if revision == known.revision => {
                Err(refuse("old-revision", format!("revision {revision} had other rooms: count on")))
            }
            _ => {
                let (who, when) = (requester.who.to_string(), Timestamp::now());
                Ok(Some((name, List { revision, rooms: keys, who, when })))
            }
        }
    }

    /// Takes authorities that were read again.
    pub(super) fn take_authorities(&mut self) {
        self.deciding.take(&self.config.authorities);
    }
}

impl Deciding {
    /// Sends a question on its way.
    fn ask(&self, name: &Arc<str>, question: Box<Question>) -> Result<(), String> {
        let Some(decider) = self.authorities.get(name) else { return Ok(()) };
        match (&decider.config.asked, &decider.client) {
            (Asked::Line(line), _) => self.questions.ask(line, question),
            (Asked::Http { url, secret, .. }, Some(client)) => {
                let (client, url, secret) = (client.clone(), url.clone(), secret.clone());
                let (answers, name) = (self.answers.clone(), name.clone());
                tokio::spawn(async move {
                    let id = question.id;
                    let answer = call(&client, &url, &secret, &question).await;
                    // Without the supervisor nobody waits for it any more.
                    let _ = answers.send((name, id, answer));
                });
                Ok(())
            }
            (Asked::Http { .. }, None) => Err("it has no way to be asked".to_owned()),
        }
    }
}

/// By what somebody is known again.
fn identity(person: &Person, trust: &Trust) -> OccupantKey {
    let facts = Facts {
        token_user: None,
        real_jid: person.real_jid.as_deref(),
        occupant_id: person.occupant_id.as_deref(),
        stats_id: None,
        address: None,
        name: person.display_name.as_deref().unwrap_or(&person.nick),
    };
    Identity::new(&facts, trust).key().clone()
}

/// Asks by a callback, signed as a webhook is.
async fn call(client: &Client, url: &url::Url, secret: &Secret, question: &Question) -> Result<Answer, String> {
    let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
    let (id, now) = (format!("ask_{}", super::random_hex(12)), Timestamp::now().as_second());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", id.clone()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", sign::standard(secret, &id, now, &body)),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|error| error.to_string())?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let answer = client.post(url, headers, body).await.map_err(|error| error.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("it answers {}", answer.status));
    }
    let body = answer.body.ok_or("its answer is too long, or broke off")?;
    serde_json::from_slice(&body).map_err(|error| format!("its answer is none: {error}"))
}
