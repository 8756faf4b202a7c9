//! What people ask about bans, and what they are told.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::banning::{Stored, Then, later, strongest};
use super::board::rfc3339;
use super::supervisor::Supervisor;
use crate::command::{BanRow, Command, Reply, Requester, Who, refused};
use crate::config::RoomKey;
use crate::control::auth;
use crate::pattern::Pattern;
use crate::policy::bans::{self, Ban, Target, targets_of};
use crate::policy::{AllowList, Exempt, Person, Presence, Rung};
use crate::session::Found;
use crate::store::{Audit, BanId, Exempted};

/// How long a session may take to say who somebody is.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// Why somebody who is inside is not to be banned, and what would have to be done first.
fn spared(exempt: Exempt) -> &'static str {
    match exempt {
        Exempt::Keeper => "that is innkeeper itself",
        Exempt::Focus => "that is the conference focus",
        Exempt::Recorder => "that is a recorder of the deployment",
        Exempt::Owner => "they own the room; `innkeeper revoke` takes that away",
        Exempt::Listed => "they are exempt; `exempt` of the policies and `innkeeper exempt list` say who is",
    }
}

/// What an answer to "who is that" leaves to be done.
type Told = oneshot::Receiver<Found>;

impl Supervisor {
    /// Bans somebody: of whoever is inside everything that could tell them again, else what was written.
    pub(super) fn ban(&mut self, command: Command, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let asked = command.record();
        let Command::Ban { room, who, for_seconds, reason, note, everywhere, rooms } = command else { return };
        let key = match self.resolve(&room, false, requester) {
            Ok(address) => address.key,
            Err(refusal) => {
                if let Reply::Refused { error, text } = &*refusal {
                    warn!(who = %requester.who, %asked, %error, why = %text, "command refused");
                }
                self.audit_command(&asked, &requester.who, &refusal);
                let _ = reply.send(*refusal);
                return;
            }
        };
        let now = Timestamp::now();
        let (service, rooms) = match (everywhere, rooms) {
            (true, _) => (None, None),
            (false, Some(pattern)) => (Some((&*key.service).into()), Some(Pattern::new(&pattern))),
            (false, None) => (Some((&*key.service).into()), Some(Pattern::new(&key.name))),
        };
        let draft = Ban {
            target: Target::Names(Pattern::new("")),
            service,
            rooms,
            until: for_seconds.map(|seconds| later(now, Duration::from_secs(seconds))),
            reason: reason.unwrap_or_default(),
            note: note.unwrap_or_default(),
            by: requester.who.to_string(),
            known_as: String::new(),
            at: now,
        };
        let here = self.ask_person(&key, &who);
        let (wanted, told) = (Wanted { room: key, who, asker: requester.who.clone(), asked, draft }, self.told.clone());
        tokio::spawn(async move {
            let found = answered(here).await;
            // The supervisor ends after us, or nobody waits any more.
            let _ = told.send(Stored::Ban(Box::new(wanted), found, reply));
        });
    }

    fn ask_person(&self, room: &RoomKey, who: &str) -> Option<Told> {
        self.services.get(&room.service).and_then(|running| running.ask_person(room, who))
    }

    /// Who was meant is known now.
    pub(super) fn ban_found(&mut self, wanted: Wanted, found: Option<Found>, reply: oneshot::Sender<Reply>) {
        let Wanted { room, who, asker, asked, draft } = wanted;
        let Some(found) = found else {
            let answer = silent(&room);
            self.audit_command(&asked, &asker, &answer);
            let _ = reply.send(answer);
            return;
        };
        let known_as = match &found {
            Found::Here(person) => bans::known_as(person),
            Found::Several(_) | Found::Nobody => String::new(),
        };
        let draft = Ban { known_as, ..draft };
        let targets = match self.targets(&room, &who, found) {
            Ok(targets) => targets,
            Err(answer) => {
                self.audit_command(&asked, &asker, &answer);
                let _ = reply.send(*answer);
                return;
            }
        };
        let bans: Vec<Ban> = targets.into_iter().map(|target| Ban { target, ..draft.clone() }).collect();
        let where_ = match (&draft.service, &draft.rooms) {
            (None, _) => "everywhere".to_owned(),
            (Some(service), Some(rooms)) => format!("{service}/{}", rooms.as_str()),
            (Some(service), None) => format!("all of {service}"),
        };
        let until = draft.until.map_or_else(|| "for good".to_owned(), |until| format!("until {}", rfc3339(until)));
        let named = |ban: &Ban| match ban.target.domain() {
            Some(domain) => format!("every account of {domain}"),
            None => ban.target.to_string(),
        };
        let by: Vec<String> = bans.iter().map(named).collect();
        let text = format!("{who} is banned from {where_} {until}, by {}: {}", by.join(" and "), strongest(&bans));
        let answer = Reply::Banned { text, bans: bans.iter().map(|ban| row(None, ban)).collect() };
        self.audit_command(&asked, &asker, &answer);
        info!(who = %asker, %asked, "command carried out");
        self.store_bans(bans, Then::Reply(reply, Box::new(answer)));
    }

    fn targets(&self, room: &RoomKey, who: &str, found: Found) -> Result<Vec<Target>, Box<Reply>> {
        let no = |word: &str, text: String| Err(Box::new(refused(word, text)));
        let exempt = || no("exempt", format!("{who} is exempt; `innkeeper exempt list` shows who is"));
        match found {
            Found::Here(person) => match person.exempt {
                Some(exempt) => no("exempt", format!("{who} is not to be banned from {room}: {}", spared(exempt))),
                None if self.kept.allow_list().holds(&person) => exempt(),
                None => Ok(targets_of(&person.identity_alone())),
            },
            Found::Several(nicks) => {
                no("ambiguous", format!("{} in {room} are called {who}: say one of {}", nicks.len(), nicks.join(", ")))
            }
            Found::Nobody => match Target::read(who) {
                Some(Target::Key(key)) if key.rung == Rung::Account && self.kept.bans.trust.is_guest(&key.value) => {
                    let text = format!(
                        "{who} is a guest's JID, which is new with each connection and keeps nobody out: ban them by \
                         nick while they are inside, or by name:NAME"
                    );
                    no("bad-request", text)
                }
                Some(Target::Key(key)) if self.kept.allow_list().names(&key) => exempt(),
                Some(target) => Ok(vec![target]),
                None => no(
                    "occupant-gone",
                    format!("nobody in {room} is called {who}; a JID, a domain or name:NAME can be banned as well"),
                ),
            },
        }
    }

    /// Takes bans back, by number or by whom they match.
    pub(super) fn unban(&mut self, who: &str, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let target = Target::read(who);
        let number = who.trim_start_matches('#').parse().ok().map(BanId);
        let meant = |(id, ban): &(&BanId, &Ban)| Some(**id) == number || target.as_ref() == Some(&ban.target);
        let gone: Vec<(BanId, Ban)> =
            self.kept.by_id.iter().filter(meant).map(|(id, ban)| (*id, ban.clone())).collect();
        let asked = format!("unban {who}");
        if gone.is_empty() {
            let answer = refused("unknown-ban", format!("no ban is {who}; `innkeeper bans` lists them"));
            self.audit_command(&asked, &requester.who, &answer);
            let _ = reply.send(answer);
            return;
        }
        let names: Vec<String> = gone.iter().map(|(_, ban)| ban.target.to_string()).collect();
        let rows = gone.iter().map(|(id, ban)| row(Some(*id), ban)).collect();
        let answer = Reply::Banned { text: format!("no longer banned: {}", names.join(", ")), bans: rows };
        self.audit_command(&asked, &requester.who, &answer);
        info!(who = %requester.who, %asked, "command carried out");
        let (database, told) = (self.database.clone(), self.told.clone());
        let ids: Vec<BanId> = gone.into_iter().map(|(id, _)| id).collect();
        self.kept.storing += 1;
        self.writes.run(async move {
            let result = database.keep_bans(Vec::new(), ids.clone()).await.map(|_| Vec::new());
            let _ = told.send(Stored::Bans { gone: ids, result, then: Then::Reply(reply, Box::new(answer)) });
        });
    }

    /// All bans.
    pub(super) fn bans(&self) -> Reply {
        let own = self.kept.by_id.iter().map(|(id, ban)| row(Some(*id), ban));
        let others = self.kept.lists.values().flat_map(|list| list.values()).map(|ban| row(None, ban));
        let exempt = self.kept.exempt.iter().map(ToString::to_string).collect();
        Reply::Bans { bans: own.chain(others).collect(), exempt }
    }

    /// Adds bans of a file.
    pub(super) fn import_bans(&mut self, lines: &str, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let bans = match bans::import(lines) {
            Ok(bans) => bans,
            Err(wrong) => {
                let lines: Vec<String> = wrong.iter().map(|(at, what)| format!("line {at}: {what}")).collect();
                let _ = reply.send(refused("bad-request", lines.join("\n")));
                return;
            }
        };
        let text = format!("{} bans taken in", bans.len());
        let answer = Reply::Banned { text, bans: Vec::new() };
        self.audit_command("import bans", &requester.who, &answer);
        self.store_bans(bans, Then::Reply(reply, Box::new(answer)));
    }

    /// Exempts an account from bans and rules, or no more.
    pub(super) fn exempt(&mut self, who: &str, on: bool, requester: &Requester, reply: oneshot::Sender<Reply>) {
        if let Err(what) = AllowList::read([who]) {
            let _ = reply.send(refused("bad-request", format!("{what}: say {}", crate::policy::exempt::ENTRIES)));
            return;
        }
        let mut exempt = self.kept.exempt.clone();
        exempt.retain(|known| **known != *who);
        if on {
            exempt.push(who.into());
        }
        let text = if on { "is exempt from bans and rules" } else { "is judged like everybody" };
        let answer = Reply::Banned { text: format!("{who} {text}"), bans: Vec::new() };
        self.audit_command(&format!("exempt {who} {on}"), &requester.who, &answer);
        let entry = serde_json::json!({ "by": requester.who.to_string(), "at": Timestamp::now() }).to_string();
        let (database, told, who) = (self.database.clone(), self.told.clone(), Box::<str>::from(who));
        self.writes.run(async move {
            let stored = if on {
                database.exempt(Exempted { who, entry: entry.into() }).await
            } else {
                database.judge_again(&who).await.map(drop)
            };
            let _ = told.send(Stored::Exempt(stored.map(|()| exempt), Then::Reply(reply, Box::new(answer))));
        });
    }

    /// Says why somebody is banned.
    pub(super) fn why_ban(&self, room: &RoomKey, who: &str, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let (here, bans) = (self.ask_person(room, who), self.kept.bans.clone());
        let (room, who, requester) = (room.clone(), who.to_owned(), requester.clone());
        tokio::spawn(async move {
            let Some(found) = answered(here).await else {
                let _ = reply.send(silent(&room));
                return;
            };
            let is_here = matches!(found, Found::Here(_));
            let person = match found {
                Found::Here(person) => *person,
                Found::Several(nicks) => {
                    let text = format!("{} in {room} are called {who}: say one of {}", nicks.len(), nicks.join(", "));
                    let _ = reply.send(refused("ambiguous", text));
                    return;
                }
                Found::Nobody => {
                    let real_jid = who.contains('@').then_some(who.as_str());
                    let seen = Presence { nick: &who, real_jid, ..Presence::default() };
                    Person::look(std::time::Instant::now(), &seen, &AllowList::default(), &bans.trust)
                }
            };
            let now = Timestamp::now();
            let found = bans.find(&person, now, &room.service, &room.name);
            // Who is not here is perhaps known by the name that they had when they were banned.
            let then = || {
                let holds = |ban: &&Ban| ban.holds(now, &room.service, &room.name) && ban.was_said_of(&who);
                let ban = bans.list().iter().filter(|_| !is_here).filter(holds).max_by_key(|ban| ban.target.strength());
                ban.map(|ban| (ban, ban.target.strength(), ", as they were called then,"))
            };
            let answer = match found.map(|found| (found.ban, found.strength, "")).or_else(then) {
                Some((ban, strength, known)) => {
                    let ban = shown_to(&requester, ban);
                    let Ban { target, by, at, until, reason, note, .. } = &ban;
                    let mut text = format!("{who}{known} is banned from {room}: {target} by {by} at {}", rfc3339(*at));
                    text += &until.map_or_else(|| ", for good".to_owned(), |at| format!(", until {}", rfc3339(at)));
                    for (name, words) in [("reason", reason), ("note", note)] {
                        if !words.is_empty() {
                            text += &format!("; {name}: {words}");
                        }
                    }
                    Reply::WhyBan { text: format!("{text} ({strength})"), ban: Some(row(None, &ban)) }
                }
                None => {
                    let elsewhere = "; nobody inside is called so, nor was anybody who is banned: see `innkeeper bans`";
                    let elsewhere = if is_here { "" } else { elsewhere };
                    Reply::WhyBan { text: format!("{who} is not banned from {room}{elsewhere}"), ban: None }
                }
            };
            let _ = reply.send(answer);
        });
    }

    /// Writes down what somebody asked, and what came of it.
    pub(super) fn audit_command(&self, asked: &str, who: &Who, answer: &Reply) {
        let outcome = match answer {
            Reply::Refused { error, text } => format!("refused: {error}: {text}"),
            _ => "done".to_owned(),
        };
        let (what, target) = asked.split_once(' ').unwrap_or((asked, ""));
        self.audit(Audit {
            time: Timestamp::now(),
            who: who.to_string().into(),
            service: None,
            room: None,
            action: None,
            what: what.into(),
            target: target.into(),
            reason: "".into(),
            outcome: outcome.into(),
        });
    }
}

/// A ban that waits for its target to be known.
pub struct Wanted {
    room: RoomKey,
    who: String,
    asker: Who,
    asked: String,
    draft: Ban,
}

/// What the session says; nothing where it does not in time, which is not the same as that nobody is there.
async fn answered(asked: Option<Told>) -> Option<Found> {
    match asked {
        Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok),
        None => Some(Found::Nobody),
    }
}

fn silent(room: &RoomKey) -> Reply {
    refused("busy", format!("the session that holds {room} does not say who is inside; try again in a moment"))
}

/// A ban as somebody may see it: its note is for those who may list them all.
fn shown_to(requester: &Requester, ban: &Ban) -> Ban {
    let mut ban = ban.clone();
    if auth::may(requester, &Command::Bans).is_err() {
        ban.note.clear();
    }
    ban
}

fn row(id: Option<BanId>, ban: &Ban) -> BanRow {
    let (who, strength) = (ban.target.to_string(), ban.target.strength().to_string());
    BanRow { id: id.map(|id| id.0), who, strength, ban: ban.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::{Rights, RoomPattern};

    #[test]
    fn a_bans_note_is_for_those_who_may_list_bans() {
        let ban = Ban {
            target: Target::Key(crate::policy::OccupantKey::new(Rung::Name, "eve")),
            service: None,
            rooms: None,
            until: None,
            reason: "rude".to_owned(),
            note: "her lawyer wrote".to_owned(),
            by: "uid 0".to_owned(),
            known_as: String::new(),
            at: Timestamp::UNIX_EPOCH,
        };
        let shown = |rooms: &str| {
            let rights = Rights { rooms: RoomPattern::new(rooms), ..Rights::facts() };
            shown_to(&Requester { who: Who::Token { name: "t".into() }, rights, per_second: 50 }, &ban)
        };
        assert_eq!(shown("*"), ban);
        assert_eq!(shown("game-*"), Ban { note: String::new(), ..ban.clone() });
    }
}
