//! Getting a room back in hand by one command: what is done, in which order, and what came of each part.

use std::time::Duration;

use tokio::sync::oneshot;

use super::session::RoomView;
use super::supervisor::Supervisor;
use crate::action::{Action, Standing};
use crate::command::{Command, Reply, Requester, StepRow, refused};
use crate::config::{RoomKey, Secret};
use crate::event::Machine;
use crate::room::Occupant;
use crate::xmpp::jid;
use crate::xmpp::muc::{Affiliation, Role};

/// How long a session may take to say who is inside.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// How long all of it may take; whoever asked waits no longer.
const ALL_TIMEOUT: Duration = Duration::from_secs(8);
/// The step of the password.
const SET_PASSWORD: &str = "set the password";
/// How random a password is that is made up.
const PASSWORD_BYTES: usize = 8;

/// What is wanted.
pub struct Wish {
    /// Who stays moderator: nicks, display names or JIDs.
    pub keep: Vec<String>,
    /// Who is thrown out.
    pub out: Vec<String>,
    /// The password that is set; one is made up where there is none and the configuration has none either.
    pub password: Option<Secret>,
    /// Why.
    pub reason: Option<String>,
}

impl Supervisor {
    /// Demotes everybody but a list, switches password and lobby on, throws out by list, and tells what was done.
    pub(super) fn recover(&self, room: &RoomKey, wish: Wish, requester: &Requester, reply: oneshot::Sender<Reply>) {
        let asked = self.services.get(&room.service).and_then(|running| running.ask_room(room));
        let (own, requester, room) = (self.own.clone(), requester.clone(), room.clone());
        tokio::spawn(async move {
            let view = match asked {
                Some(answer) => tokio::time::timeout(VIEW_TIMEOUT, answer).await.ok().and_then(Result::ok).flatten(),
                None => None,
            };
            let Some(view) = view.filter(|view| view.nick.is_some()) else {
                let text =
                    format!("we are not inside {room}, so nothing was done; `innkeeper why room {room}` says why");
                let _ = reply.send(refused("not-in-room", text));
                return;
            };
            let mut wish = wish;
            let made_up = wish.password.is_none() && !view.locked_password;
            if made_up {
                wish.password = Some(Secret::new(super::random_hex(PASSWORD_BYTES)));
            }
            let (todo, mut steps) = plan(&view, &wish);
            let mut asked = Vec::new();
            for (what, action) in todo {
                let command = Command::Act { room: room.to_string(), action, reason: wish.reason.clone(), key: None };
                let (to, answer) = oneshot::channel();
                // Without the supervisor nobody is left to answer; the answers then say so.
                let _ = own.send((command, requester.clone(), to));
                asked.push((what, answer));
            }
            let until = tokio::time::Instant::now() + ALL_TIMEOUT;
            for (what, answer) in asked {
                let (done, text) = match tokio::time::timeout_at(until, answer).await {
                    Ok(Ok(Reply::Acted { text, .. })) => (true, text),
                    Ok(Ok(Reply::Refused { text, .. })) => (false, text),
                    Ok(_) => (false, "the daemon is stopping".to_owned()),
                    Err(_) => (false, "no answer yet; it goes on, and the log will say what came of it".to_owned()),
                };
                steps.push(StepRow { what, done, text });
            }
            let locked = steps.iter().any(|step| step.done && step.what == SET_PASSWORD);
            let password = wish.password.filter(|_| made_up && locked);
            let _ = reply.send(Reply::Recovered { room: room.to_string(), steps, password });
        });
    }
}

/// The nick of whom a word of the list means: a nick, an account, or the only one with that display name.
fn named<'v>(view: &'v RoomView, word: &str) -> Result<Option<&'v String>, String> {
    let account = |one: &Occupant| one.real_jid.as_deref().map(jid::bare) == Some(word);
    if let Some((nick, ..)) = view.occupants.iter().find(|(nick, one, _)| nick == word || account(one)) {
        return Ok(Some(nick));
    }
    let called: Vec<_> =
        view.occupants.iter().filter(|(_, one, _)| one.display_name.as_deref() == Some(word)).collect();
    match called.as_slice() {
        [] => Ok(None),
        [(nick, ..)] => Ok(Some(nick)),
        several => Err(format!("{} inside are called {word}: say a nick or an account", several.len())),
    }
}

/// What is to be done in order, and what of the lists could not be understood.
fn plan(view: &RoomView, wish: &Wish) -> (Vec<(String, Action)>, Vec<StepRow>) {
    let (mut todo, mut steps) = (Vec::new(), Vec::new());
    let mut find = |what: &str, words: &[String]| -> Vec<String> {
        let mut nicks = Vec::new();
        for word in words {
            match named(view, word) {
                Ok(Some(nick)) => nicks.push(nick.clone()),
                Ok(None) => {
                    let text = "nobody inside is meant by it".to_owned();
                    steps.push(StepRow { what: format!("{what} {word}"), done: false, text });
                }
                Err(text) => steps.push(StepRow { what: format!("{what} {word}"), done: false, text }),
            }
        }
        nicks
    };
    let keep = find("keep", &wish.keep);
    let out = find("throw out", &wish.out);
    let spared = |nick: &String, machine: Option<Machine>| {
        machine == Some(Machine::Focus) || view.nick.as_deref() == Some(nick) || view.ghosts.contains(nick)
    };
    for (nick, one, machine) in &view.occupants {
        let high = one.role == Some(Role::Moderator)
            || matches!(one.affiliation, Some(Affiliation::Owner | Affiliation::Admin));
        if !high || spared(nick, *machine) || keep.contains(nick) {
            continue;
        }
        let what = format!("demote {nick}");
        match one.real_jid.as_deref().map(jid::bare) {
            // None at all would be put out by the lobby that comes next.
            Some(account) => {
                let demote = Action::Affiliate { jid: account.into(), to: Standing::Member };
                if !todo.iter().any(|(_, known)| *known == demote) {
                    todo.push((what, demote));
                }
            }
            None => {
                let text = "the room does not show their account".to_owned();
                steps.push(StepRow { what, done: false, text });
            }
        }
    }
    if let Some(password) = &wish.password {
        todo.push((SET_PASSWORD.to_owned(), Action::Lock { password: Some(password.clone()) }));
    }
    todo.push(("switch the lobby on".to_owned(), Action::Lobby { on: true }));
    for (nick, _, machine) in view.occupants.iter().filter(|(nick, ..)| out.contains(nick)) {
        if !spared(nick, *machine) {
            todo.push((format!("throw out {nick}"), Action::Kick { nick: nick.as_str().into() }));
        }
    }
    (todo, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Occupants;
    use crate::xmpp::muc::RoomPresence;

    fn view(people: &[(&str, &str, &str)]) -> RoomView {
        let mut here = Occupants::default();
        for (nick, affiliation, name) in people {
            let role = if *affiliation == "owner" { Role::Moderator } else { Role::Participant };
            let read = RoomPresence {
                role: Some(role),
                affiliation: Some(Affiliation::read(affiliation)),
                real_jid: Some(format!("{nick}@example/x")),
                display_name: Some((*name).to_owned()),
                ..RoomPresence::default()
            };
            here.enter(std::time::Instant::now(), nick, &read);
        }
        let machine = |nick: &str| (nick == "focus").then_some(Machine::Focus);
        let occupants = here.iter().map(|(nick, one)| (nick.to_owned(), one.clone(), machine(nick))).collect();
        RoomView { nick: Some("keeper".to_owned()), occupants, ..RoomView::default() }
    }

    fn wish(keep: &[&str], out: &[&str]) -> Wish {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Wish { keep: owned(keep), out: owned(out), password: None, reason: None }
    }

    #[test]
    fn everybody_high_is_demoted_but_ourselves_the_focus_and_the_list() {
        let view = view(&[
            ("keeper", "owner", "Keeper"),
            ("focus", "owner", ""),
            ("ann", "owner", "Ann"),
            ("eve", "owner", "Eve"),
            ("tom", "none", "Tom"),
        ]);
        let (todo, steps) = plan(&view, &wish(&["ann@example"], &["Tom", "focus"]));
        let told: Vec<&str> = todo.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(told, ["demote eve", "switch the lobby on", "throw out tom"]);
        assert_eq!(todo[0].1, Action::Affiliate { jid: "eve@example".into(), to: Standing::Member });
        assert!(steps.is_empty(), "{steps:?}");
    }

    #[test]
    fn whoever_takes_the_name_of_somebody_kept_is_not_kept_by_it() {
        let view = view(&[("keeper", "owner", "Keeper"), ("ann", "owner", "Ann"), ("eve", "owner", "Ann")]);
        let (todo, steps) = plan(&view, &wish(&["Ann", "nobody"], &[]));
        assert_eq!(todo.len(), 3);
        assert!(steps.iter().all(|step| !step.done) && steps[0].text.contains("2 inside"), "{steps:?}");
    }
}
