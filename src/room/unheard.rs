//! What was said before it was known in which life of the room. Pure.

use crate::xmpp::message::Said;

/// How many messages wait; a flood is one before that many.
const MESSAGES: usize = 256;

/// How much text they may have together, bytes.
const BYTES: usize = 256 * 1024;

/// Messages that wait for the life of the room, oldest first. Those beyond the bounds are lost.
#[derive(Debug, Default)]
pub(super) struct Unheard(Vec<Message>);

/// Something said.
#[derive(Debug)]
pub(super) struct Message {
    pub nick: Box<str>,
    pub said: Said,
    /// The room was ours to keep order in.
    pub judged: bool,
}

impl Unheard {
    /// Keeps a message, within bounds.
    pub fn push(&mut self, nick: &str, said: &Said, judged: bool) {
        let size = |said: &Said| said.body.as_ref().map_or(0, String::len);
        let bytes: usize = self.0.iter().map(|message| size(&message.said)).sum();
        if self.0.len() < MESSAGES && bytes + size(said) <= BYTES {
            self.0.push(Message { nick: nick.into(), said: said.clone(), judged });
        }
    }

    /// Somebody goes by another nick.
    pub fn rename(&mut self, from: &str, to: &str) {
        for message in self.0.iter_mut().filter(|message| *message.nick == *from) {
            message.nick = to.into();
        }
    }

    /// Somebody is gone: whoever comes by that nick next did not say it.
    pub fn forget(&mut self, gone: &str) {
        self.0.retain(|message| *message.nick != *gone);
    }

    /// All of them.
    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.0)
    }
}
