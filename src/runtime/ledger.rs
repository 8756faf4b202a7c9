//! What was lately done in rooms, by whom and why, and what takes it back. Kept in memory, bounded.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::action::{Action, Request, Verb};
use crate::config::RoomKey;

/// So many actions of all rooms are remembered.
const MOST: usize = 1024;

/// An action that was done.
#[derive(Debug, Clone)]
pub struct Done {
    /// In which room.
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

    /// An action was done; says whether it can be taken back.
    pub fn done(&mut self, room: &RoomKey, request: &Request) -> bool {
        let undo = self.undo.take().filter(|(where_, key, _)| where_ == room && *key == request.key);
        let undo = undo.map(|(.., action)| action);
        let undoable = undo.is_some();
        // A key that is asked for again was not carried out again.
        if self.done.iter().any(|done| done.key == request.key && done.room == *room) {
            return false;
        }
        if self.done.len() == MOST {
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
        });
        undoable
    }

    /// The action with that id.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Done> {
        self.done.iter().rev().find(|done| *done.key == *key)
    }

    /// What was done in a room, latest first.
    pub fn of<'a>(&'a self, room: &'a RoomKey) -> impl Iterator<Item = &'a Done> {
        self.done.iter().rev().filter(move |done| done.room == *room)
    }
}

/// Why an action of this kind can not be taken back.
#[must_use]
pub fn for_good(verb: Verb) -> &'static str {
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
