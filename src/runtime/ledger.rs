//! What was lately done in rooms, by whom and why, and what takes it back: the last ones, in memory and in the store.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::action::{Action, Request, Verb};
use crate::config::RoomKey;
use crate::control::auth;
use crate::rights::Rights;
use crate::store::Database;
use crate::xmpp::room_form::ROOM_SECRET;

/// So many actions of all rooms are remembered, over restarts.
pub const MOST: usize = 1024;

/// An action that was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// In which room; the store has it beside.
    #[serde(skip, default = "nowhere")]
    pub room: RoomKey,
    /// Its id: the request's key.
    pub key: Box<str>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub verb: Verb,
    /// About whom or what.
    pub target: Box<str>,
    /// The real JID of whom it was about, where that was known.
    pub real_jid: Option<Box<str>>,
    /// Who asked, as it is printed.
    pub actor: String,
    /// The reason given.
    pub reason: Box<str>,
    /// What takes it back.
    pub undo: Option<Action>,
    /// What takes it back sets a password, which is not stored: a restart came between.
    #[serde(default)]
    pub forgot_password: bool,
}

fn nowhere() -> RoomKey {
    RoomKey::new("", "")
}

impl Done {
    /// As it is stored: without a password.
    #[must_use]
    pub fn stored(&self) -> Self {
        let secret = match &self.undo {
            Some(Action::Lock { password }) => password.is_some(),
            Some(Action::Configure { fields }) => fields.iter().any(|(field, _)| **field == *ROOM_SECRET),
            _ => false,
        };
        Done { undo: self.undo.clone().filter(|_| !secret), forgot_password: secret, ..self.clone() }
    }

    /// Why it can not be taken back.
    #[must_use]
    pub fn for_good(&self) -> &'static str {
        if self.forgot_password {
            return "the password before is not kept over a restart; set one with lock";
        }
        for_good(self.verb)
    }
}

/// The actions that were done, oldest first.
#[derive(Debug, Default)]
pub struct Ledger {
    done: VecDeque<Done>,
    /// What takes back an action that is just being reported as done.
    undo: Option<(RoomKey, Box<str>, Action)>,
}

impl Ledger {
    /// The next action that is reported as done can be taken back by this one.
    pub fn can_undo(&mut self, room: RoomKey, key: Box<str>, action: Action) {
        self.undo = Some((room, key, action));
    }

    /// What is stored. What can not be read is said, and forgotten.
    pub async fn load(database: &Database) -> Self {
        let stored = database.deeds().await.unwrap_or_else(|error| {
            error!("what was done before can not be read and taken back: {:#}", anyhow::Error::new(error));
            Vec::new()
        });
        let read = |(room, deed): (RoomKey, Box<str>)| match serde_json::from_str::<Done>(&deed) {
            Ok(done) => Some(Done { room, ..done }),
            Err(error) => {
                error!(%room, %error, "an action that was done can not be read and taken back");
                None
            }
        };
        Ledger { done: stored.into_iter().filter_map(read).collect(), undo: None }
    }

    /// An action was done; answers what is new to be stored.
    pub fn done(&mut self, room: &RoomKey, request: &Request) -> Option<&Done> {
        let undo = self.undo.take().filter(|(where_, key, _)| where_ == room && *key == request.key);
        let undo = undo.map(|(.., action)| action);
        // A key that is asked for again was not carried out again.
        if self.done.iter().any(|done| done.key == request.key && done.room == *room) {
            return None;
        }
        if self.done.len() >= MOST {
            self.done.pop_front();
        }
        self.done.push_back(Done {
            room: room.clone(),
            key: request.key.clone(),
            at: Timestamp::now(),
            verb: request.action.verb(),
            target: request.action.target().into(),
            real_jid: request.real_jid.clone(),
            actor: request.actor.to_string(),
            reason: request.reason.clone(),
            undo,
            forgot_password: false,
        });
        self.done.back()
    }

    /// The action with that id, in a room that somebody may ask about: others may have given theirs the same.
    #[must_use]
    pub fn find(&self, key: &str, rights: &Rights) -> Option<&Done> {
        self.done.iter().rev().find(|done| *done.key == *key && auth::room(rights, &done.room))
    }

    /// What was done in a room, latest first.
    pub fn of<'a>(&'a self, room: &'a RoomKey) -> impl Iterator<Item = &'a Done> {
        self.done.iter().rev().filter(move |done| done.room == *room)
    }
}

/// Why an action of this kind can not be taken back.
fn for_good(verb: Verb) -> &'static str {
    match verb {
        Verb::Kick | Verb::Deny => "whoever was sent away may come back by themselves",
        Verb::Admit => "whoever was let in is a member now; kick them, or take the membership with revoke",
        Verb::Mute => "nobody can be unmuted by others; they unmute themselves",
        Verb::Say => "what was said was heard; where the room offers it, retract takes a message off the screens",
        Verb::End | Verb::Destroy => "a room that was ended is opened by a new meeting, not brought back",
        Verb::Retract => "a retracted message is not brought back",
        _ => "it changed nothing, or how it was before is not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Actor;
    use crate::rights::RoomPattern;

    #[test]
    fn an_id_that_somebody_else_gave_in_another_room_hides_nobodys() {
        let mut ledger = Ledger::default();
        for room in ["tavern", "game-1"] {
            let request = Request {
                key: "retry-1".into(),
                actor: Actor::Bans,
                action: Action::Lobby { on: true },
                real_jid: None,
                reason: "".into(),
            };
            assert!(ledger.done(&RoomKey::new("meet", room), &request).is_some());
        }
        let of = |pattern| Rights { rooms: RoomPattern::new(pattern), ..Rights::all() };
        let found = |pattern| ledger.find("retry-1", &of(pattern)).map(|done| done.room.name.to_string());
        assert_eq!(found("tav*").as_deref(), Some("tavern"));
        assert_eq!(found("game-*").as_deref(), Some("game-1"));
        assert_eq!(found("crypt"), None);
    }
}
