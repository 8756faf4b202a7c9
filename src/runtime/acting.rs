//! Actions that people ask of the daemon, and what comes of those and of the rooms' own.

use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::board::Clock;
use super::explain::{self, About};
use super::ledger;
use super::session::{Abilities, RoomView};
use super::supervisor::Supervisor;
use crate::action::{Action, Actor, Progress, Request, Verb};
use crate::command::{AbilityRow, Command, Reply, Requester, RoomState, refused};
use crate::config::RoomKey;
use crate::event::{Deed, Event, Kind, Setting, What, Why};
use crate::room::{PasswordFrom, settings};
use crate::store::{Audit, Database, Filter, Order};

/// How long a session may take to say what can be done.
const VIEW_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Longest key of an action: it is remembered, and written to the record.
const KEY_BYTES: usize = 128;

/// So many of somebody's departures are told.
const DEPARTURES: usize = 8;

/// Who waits for what comes of an action.
pub struct Asking {
    action: Action,
    replies: Vec<oneshot::Sender<Reply>>,
}

impl Supervisor {
    /// Hands an action to the room's session; the answer is given when it is over.
    pub(super) fn act(
        &mut self,
        room: &RoomKey,
        action: Action,
        reason: Option<String>,
        key: Option<String>,
        requester: &Requester,
        reply: oneshot::Sender<Reply>,
    ) {
        if let Some(key) = &key
            && (key.len() > KEY_BYTES || key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let text = format!("a key is 1 to {KEY_BYTES} visible ASCII characters");
            let _ = reply.send(refused("bad-request", text));
            return;
        }
        let key = key.unwrap_or_else(|| format!("asked-{}", super::random_hex(8)));
        self.act_as(room, action, reason, key.into(), requester, reply);
    }

    /// As [`Supervisor::act`], under a key of our making.
    fn act_as(
        &mut self,
        room: &RoomKey,
        action: Action,
        reason: Option<String>,
        key: Box<str>,
        requester: &Requester,
        reply: oneshot::Sender<Reply>,
    ) {
        self.asking.retain(|_, asking| asking.replies.iter().any(|reply| !reply.is_closed()));
        if let Some(asking) = self.asking.get(&(room.clone(), key.clone()))
            && asking.action != action
        {
            let text = format!("the key {key} is on its way with another action; give each its own");
            let _ = reply.send(refused("action-refused", text));
            return;
        }
        if let Some(text) = self.cut_off(room, action.verb()) {
            let _ = reply.send(refused("not-in-room", text));
            return;
        }
        let request = Request {
            key: key.clone(),
            actor: requester.who.actor(),
            action: action.clone(),
            real_jid: None,
            reason: reason.unwrap_or_default().into(),
        };
        let asked = self.services.get(&room.service).is_some_and(|running| running.act(room, request));
        if asked {
            let asking = Asking { action, replies: Vec::new() };
            self.asking.entry((room.clone(), key)).or_insert(asking).replies.push(reply);
        } else {
            let text = format!("{room} is not held now; `innkeeper why room {room}` says why");
            let _ = reply.send(refused("not-in-room", text));
        }
    }

    /// Why nothing can be done in a room just now, where its connection is lost: what waits for that to be resumed would be
    /// done when nobody thinks of it any more, or never.
    fn cut_off(&self, room: &RoomKey, verb: Verb) -> Option<String> {
        let machine = &self.services.get(&room.service)?.machine;
        let slot = machine.session_of(room)?;
        let shown = self.rooms.get(room)?.entry.snapshot();
        (!machine.is_online(slot)).then(|| format!("{verb} was not sent to {room}: {}", shown.cause.text))
    }

    /// Answers whoever waits for actions in rooms whose session is gone: nobody will say what came of them.
    pub(super) fn give_up_actions(&mut self, why: &str, gone: impl Fn(&RoomKey) -> bool) {
        for ((room, _), asking) in self.asking.extract_if(|(room, _), _| gone(room)) {
            let text = format!(
                "{why} while {} was on its way in {room}: whether it was done is not known",
                asking.action.verb()
            );
            for reply in asking.replies {
                // Whoever asked may be gone; then nobody misses the answer.
                let _ = reply.send(refused("action-timed-out", text.clone()));
            }
        }
    }

    /// Asks the room's session what can be done there.
    pub(super) fn abilities(&self, room: &RoomKey, reply: oneshot::Sender<Reply>) {
        let asked = self.services.get(&room.service).and_then(|running| running.ask_abilities(room));
        let room = room.clone();
        tokio::spawn(async move {
            let answer = match asked {
                Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            let answer = match answer {
                Some(abilities) => Reply::Abilities { abilities: rows(abilities) },
                None => refused("not-in-room", format!("{room} is not held now")),
            };
            let _ = reply.send(answer);
        });
    }

    /// Tells a room's password, and writes down to whom.
    pub(super) fn password(&self, room: &RoomKey, requester: &Requester, reply: oneshot::Sender<Reply>) {
        info!(who = %requester.who, %room, "a room's password is told");
        self.audit(Audit {
            time: Timestamp::now(),
            who: requester.who.to_string().into(),
            service: Some((&*room.service).into()),
            room: Some((&*room.name).into()),
            action: None,
            what: "password".into(),
            target: "".into(),
            reason: "".into(),
            outcome: "told".into(),
        });
        let asked = self.services.get(&room.service).and_then(|running| running.ask_room(room));
        let room = room.clone();
        tokio::spawn(async move {
            let view = match asked {
                Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok).flatten(),
                None => None,
            };
            let answer = match view {
                Some(view) => {
                    let text = match view.password {
                        Some((_, PasswordFrom::Form)) => "as the room's settings last showed it",
                        Some((_, PasswordFrom::Us)) => "as we set it",
                        Some((_, PasswordFrom::Configuration)) => "as the configuration has it",
                        None => "the room has no password that we know of",
                    };
                    let password = view.password.map(|(password, _)| password);
                    Reply::Password { room: room.to_string(), password, text: text.to_owned() }
                }
                None => refused("not-in-room", format!("no session looks after {room} now")),
            };
            // Whoever asked may be gone; then nobody misses the answer.
            let _ = reply.send(answer);
        });
    }

    /// Answers a question about a room from what its session sees and what was done there.
    pub(super) fn explain(&self, room: &RoomKey, question: Command, reply: oneshot::Sender<Reply>) {
        let running = self.services.get(&room.service);
        let asked = running.and_then(|running| running.ask_room(room));
        let lists = running.filter(|_| matches!(question, Command::WhoCan { .. }));
        let lists = lists.and_then(|running| running.ask_lists(room));
        let clock = Clock::read();
        let shown = self.rooms.get(room).map(|seat| seat.entry.snapshot());
        let outside = shown.filter(|shown| !matches!(shown.state, RoomState::Held | RoomState::Joined));
        let outside = outside.map(|shown| (shown.cause.word.as_str(), shown.cause.text.to_string()));
        let login = running.map(|running| running.config.login.clone());
        let done: Vec<ledger::Done> = self.ledger.of(room).cloned().collect();
        let (room, database) = (room.clone(), self.database.clone());
        tokio::spawn(async move {
            let view = match asked {
                Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok).flatten(),
                None => None,
            };
            let view = view.unwrap_or_default();
            let lists = match lists {
                Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            let about = About { room: &room, login: login.as_ref(), done: done.iter().collect(), clock };
            let outside = outside.as_ref().map(|(word, text)| (word.as_str(), text.as_str()));
            let answer = match &question {
                Command::WhoCan { .. } => Reply::WhoCan(Box::new(explain::who_can(&about, &view, lists.as_ref()))),
                Command::WhyModerator { who, .. } => Reply::Explained(Box::new(explain::moderator(&about, &view, who))),
                Command::WhyRemoved { who, .. } => {
                    let recorded = departures(&database, &about, &view, who).await;
                    Reply::Explained(Box::new(explain::removed(&about, &view, &recorded, who)))
                }
                _ => Reply::Explained(Box::new(explain::lobby(&about, &view, outside))),
            };
            // Whoever asked may be gone; then nobody misses the answer.
            let _ = reply.send(answer);
        });
    }

    /// Takes an action back.
    pub(super) fn undo(
        &mut self,
        id: &str,
        reason: Option<String>,
        requester: &Requester,
        reply: oneshot::Sender<Reply>,
    ) {
        let known = self.ledger.find(id, &requester.rights);
        let answer = match known {
            None => {
                let text = format!("no action {id:?} is remembered; the last {} are", ledger::MOST);
                refused("unknown-action", text)
            }
            Some(done) => match done.undo.clone() {
                Some(action) => {
                    let (room, key) = (done.room.clone(), format!("undo-{id}").into());
                    return self.act_as(&room, action, reason, key, requester, reply);
                }
                None => {
                    let text = format!("{} cannot be taken back: {}", done.verb, done.for_good());
                    refused("not-undoable", text)
                }
            },
        };
        let _ = reply.send(answer);
    }

    /// An action came this far.
    pub(super) fn progressed(&mut self, room: &RoomKey, request: &Request, progress: &Progress, over: bool) {
        let (service, name) = (&room.service, &room.name);
        let (action, target, actor) = (request.action.verb(), request.action.target(), &request.actor);
        let reason = &request.reason;
        match progress.cause() {
            Some(cause) => warn!(%service, room = %name, %action, target, %actor, %reason, %cause, "action failed"),
            None if over => {
                info!(%service, room = %name, %action, target, %actor, %reason, id = %request.key, "action taken");
            }
            None => debug!(%service, room = %name, %action, target, %actor, progress = progress.as_str(), "action"),
        }
        self.tell_action(room, request, progress, over);
        if !over {
            return;
        }
        let done = if progress.cause().is_none() { self.ledger.done(room, request) } else { None };
        let undoable = done.is_some_and(|done| done.undo.is_some());
        match done.map(|done| serde_json::to_string(&done.stored())).transpose() {
            Ok(None) => {}
            Ok(Some(deed)) => {
                let (database, room) = (self.database.clone(), room.clone());
                let keep = async move { database.keep_deed(&room, deed, ledger::MOST).await };
                self.writes.write("an action that was done", keep);
            }
            Err(error) => error!(%service, room = %name, %action, %error, "an action can not be remembered"),
        }
        if let (Action::Affiliate { jid, to }, None) = (&request.action, progress.cause())
            && matches!(request.actor, Actor::Bans | Actor::Rule { .. })
        {
            self.outcast_set(room, jid, *to);
        }
        let Some(asking) = self.asking.remove(&(room.clone(), request.key.clone())) else { return };
        for reply in asking.replies {
            let answer = match progress.cause() {
                Some(cause) => refused(&cause.word.as_str(), cause.text.to_string()),
                None => Reply::Acted {
                    room: room.to_string(),
                    key: request.key.to_string(),
                    progress: progress.as_str().to_owned(),
                    text: told(room, request, progress),
                    undoable,
                },
            };
            // Whoever asked may be gone; then nobody misses the answer.
            let _ = reply.send(answer);
        }
    }

    /// An action's life as events, and its end in the audit.
    fn tell_action(&mut self, room: &RoomKey, request: &Request, progress: &Progress, over: bool) {
        let now = Timestamp::now();
        let deed = || Deed {
            key: request.key.clone(),
            action: request.action.verb(),
            actor: request.actor.clone(),
            target: request.action.target().into(),
            person: None,
            reason: request.reason.clone(),
        };
        let what = match progress.cause() {
            Some(cause) => What::ActionRefused { deed: deed(), why: Why::from(cause) },
            None if over => What::ActionTaken(deed()),
            None if *progress == Progress::Requested => What::ActionRequested(deed()),
            None => return,
        };
        self.herald.room(now, room, None, what);
        if over {
            let outcome = match progress.cause() {
                Some(cause) => format!("{}: {}", progress.as_str(), cause.text),
                None => progress.as_str().to_owned(),
            };
            self.audit(Audit {
                time: now,
                who: request.actor.to_string().into(),
                service: Some((&*room.service).into()),
                room: Some((&*room.name).into()),
                action: Some(request.key.clone()),
                what: request.action.verb().as_str().into(),
                target: request.action.target().into(),
                reason: request.reason.clone(),
                outcome: outcome.into(),
            });
        }
    }

    /// Writes down who did what.
    pub(super) fn audit(&self, entry: Audit) {
        let database = self.database.clone();
        self.writes.write("an entry of the audit", async move { database.audit(entry).await.map(drop) });
    }

    /// Something is to be known about a locked setting.
    pub(super) fn setting(&mut self, room: &RoomKey, told: &settings::Output) {
        let (service, name) = (&room.service, &room.name);
        let what = match told {
            settings::Output::Drifted { setting, is, should, by, .. } => Some(What::SettingsDrifted(Setting {
                setting: setting.to_string().into(),
                wanted: shown(setting, should),
                found: shown(setting, is),
                by: by.as_deref().map(Into::into),
            })),
            settings::Output::Restored(setting) => Some(What::SettingsRestored(Setting {
                setting: setting.to_string().into(),
                wanted: None,
                found: None,
                by: None,
            })),
            _ => None,
        };
        if let Some(what) = what {
            self.herald.room(Timestamp::now(), room, None, what);
        }
        match told {
            settings::Output::Drifted { setting, is, should, by, restored_at } => {
                let by = by.as_deref().unwrap_or("somebody");
                let restored_in = restored_at.map(|at| at.saturating_duration_since(Instant::now()));
                match restored_in {
                    Some(wait) => {
                        warn!(%service, room = %name, %setting, %is, %should, by, restored_in = ?wait, "settings drifted");
                    }
                    None => {
                        warn!(%service, room = %name, %setting, %is, %should, by, "settings drifted and are left so")
                    }
                }
            }
            settings::Output::Restored(setting) => {
                info!(%service, room = %name, %setting, "settings restored");
            }
            settings::Output::Unsupported(setting, why) => {
                warn!(%service, room = %name, %setting, %why, "a locked setting cannot be set in this room");
            }
            settings::Output::AskForm | settings::Output::Do(..) => {}
        }
    }
}

/// What the record says of somebody's going, from before what the room itself remembers; oldest first.
async fn departures(database: &Database, about: &About<'_>, view: &RoomView, who: &str) -> Vec<Event> {
    let filter = Filter {
        service: Some((&*about.room.service).into()),
        room: Some((&*about.room.name).into()),
        kinds: vec![Kind::OccupantLeft],
        who: Some(who.into()),
        until: view.recent.first().map(|one| about.clock.wall(one.at)),
        order: Order::NewestFirst,
        limit: Some(DEPARTURES),
        ..Filter::default()
    };
    match database.events(filter).await {
        Ok(found) => found.iter().rev().filter_map(|record| record.event().ok()).collect(),
        Err(error) => {
            warn!("the record can not be asked who left: {:#}", anyhow::Error::new(error));
            Vec::new()
        }
    }
}

/// What can be done, as it is answered.
pub(super) fn rows(abilities: Abilities) -> Vec<AbilityRow> {
    let row = |(verb, result): (_, Result<(), crate::cause::Cause>)| match result {
        Ok(()) => AbilityRow { verb, possible: true, cause: String::new(), text: String::new() },
        Err(cause) => AbilityRow { verb, possible: false, cause: cause.word.as_str(), text: cause.text.to_string() },
    };
    abilities.into_iter().map(row).collect()
}

/// The value of a setting, where it is no secret.
fn shown(setting: &settings::Setting, value: &str) -> Option<Box<str>> {
    let secret = setting.to_string().contains("secret") || setting.to_string().contains("password");
    (!secret).then(|| value.into())
}

/// What was done, in one sentence.
fn told(room: &RoomKey, request: &Request, progress: &Progress) -> String {
    let verb = request.action.verb();
    let what = match (&request.action, request.action.target()) {
        // Who was moderator becomes a member where that is taken away.
        (Action::Affiliate { jid, to }, _) if verb == Verb::Grant => format!("grant of {} to {jid}", to.as_str()),
        (Action::Lobby { on }, _) => format!("{verb} {}", if *on { "on" } else { "off" }),
        (_, "") => verb.to_string(),
        (_, target) => format!("{verb} of {target}"),
    };
    match progress {
        Progress::Seen => format!("{what} in {room}: done, and seen to be"),
        Progress::Answered => format!("{what} in {room}: done, says the server"),
        _ => format!("{what} in {room}: sent; nothing answers it"),
    }
}
