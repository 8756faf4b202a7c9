//! Knocking at a room's lobby, and being let in. Pure.
//!
//! Source: jitsi-meet's `mod_muc_lobby_rooms.lua`; XEP-0045 §7.8.2 "Mediated Invitation", §8.2 "Kicking an Occupant",
//! §10.9 "Destroying a Room".

use super::*;

/// How long a knock may go unheard before the room itself is tried again: the lobby may be gone without a word.
const UNHEARD: Duration = Duration::from_secs(600);

/// Waiting in the lobby.
#[derive(Debug)]
pub(super) struct Knocking {
    lobby: Box<str>,
    nick: Box<str>,
    cause: Cause,
    pub(super) again_at: Instant,
    /// The stream is lost and may be resumed; the lobby still knows us then.
    lost: Option<Cause>,
}

impl Knocking {
    pub(super) fn shown(&self) -> Cause {
        match &self.lost {
            Some(lost) => {
                Cause::new(lost.word, format!("the connection is lost while we wait in the lobby: {}", lost.text))
            }
            None => self.cause.clone(),
        }
    }
}

/// The lobby that a refusal names, where it can be this room's: the same local part on another domain. Whoever may
/// write the refusal does not send us anywhere else.
fn lobby_of<'e>(error: &'e StanzaError, room: &str) -> Option<&'e str> {
    super::lobby::of_room(error.lobby.as_deref()?, room)
}

impl Room {
    /// Knocks, where the refusal of the join says where.
    pub(super) fn knock(&mut self, error: &StanzaError, cause: &Cause, cx: &mut Context<'_>) -> bool {
        let (State::Joining(joining), Some(lobby)) = (&self.state, lobby_of(error, &self.settings.jid)) else {
            return false;
        };
        let (lobby, nick) = (Box::<str>::from(lobby), joining.nick.clone());
        cx.effects.push(Effect::Knock { lobby: lobby.clone(), nick: nick.clone() });
        let again_at = cx.now + jitter(UNHEARD, cx.rng);
        self.state = State::Knocking(Box::new(Knocking { lobby, nick, cause: cause.clone(), again_at, lost: None }));
        true
    }

    /// A presence out of the lobby.
    pub(super) fn lobby_presence(&mut self, nick: &str, read: &RoomPresence, cx: &mut Context<'_>) {
        let State::Knocking(knocking) = &self.state else { return };
        let own = read.has(Status::SELF) || nick == &*knocking.nick;
        if !own || read.type_.as_deref() != Some("unavailable") || read.has(Status::RENAMED) {
            return;
        }
        cx.effects.push(Effect::LobbyLeft { lobby: knocking.lobby.clone() });
        let room = &self.settings.jid;
        if read.destroyed.is_some() {
            let cause = Cause::new(Word::Lobby, format!("the lobby of {room} was closed; the room is joined again"));
            self.in_turn_once(cause, cx);
        } else if read.has(Status::KICKED) && !read.has(Status::ERROR) {
            let who = read.actor.as_deref().filter(|actor| !actor.is_empty());
            let who = who.map_or_else(|| "a moderator".to_owned(), str::to_owned);
            let why = read.reason.as_deref().filter(|why| !why.is_empty());
            let why = why.map_or_else(String::new, |why| format!(" (\"{why}\")"));
            let text = format!("{who} did not let us into {room}{why}: have them let {} in next time", knocking.nick);
            self.outside(Cause::new(Word::LobbyDenied, text), Retry::Slow, cx);
        } else {
            let text = format!("the lobby of {room} put us out; the room is tried again");
            self.outside(Cause::new(Word::Lobby, text), Retry::Ladder, cx);
        }
    }

    /// The lobby did not take our knock.
    pub(super) fn lobby_refused(&mut self, error: &StanzaError, cx: &mut Context<'_>) {
        let State::Knocking(knocking) = &self.state else { return };
        cx.effects.push(Effect::LobbyLeft { lobby: knocking.lobby.clone() });
        let retry = if error.condition == "conflict" { Retry::OtherNick } else { Retry::Ladder };
        let text = format!("the lobby of {} does not take our knock: {}", self.settings.jid, error.describe());
        self.outside(Cause::new(Word::Lobby, text), retry, cx);
    }

    /// The room itself invites us: a moderator let us in.
    pub(super) fn invited(&mut self, cx: &mut Context<'_>) {
        if let State::Knocking(_) = self.state {
            self.leave_lobby(cx);
            self.in_turn_once(Cause::new(Word::Lobby, "a moderator let us in; the room is joined"), cx);
        }
    }

    /// Leaves the lobby, if we are in one.
    pub(super) fn leave_lobby(&mut self, cx: &mut Context<'_>) {
        if let State::Knocking(knocking) = &self.state {
            let (lobby, nick) = (knocking.lobby.clone(), knocking.nick.clone());
            cx.effects.push(Effect::LeaveLobby { lobby, nick });
        }
    }

    /// What becomes of a knock when the stream is lost, or is there again.
    pub(super) fn knock_offline(&mut self, cause: &Cause, resumable: bool, cx: &mut Context<'_>) {
        let State::Knocking(knocking) = &mut self.state else { return };
        if resumable {
            knocking.lost = Some(cause.clone());
        } else {
            cx.effects.push(Effect::LobbyLeft { lobby: knocking.lobby.clone() });
            self.in_turn(cause.clone(), cx);
        }
    }

    pub(super) fn knock_resumed(&mut self) {
        if let State::Knocking(knocking) = &mut self.state {
            knocking.lost = None;
        }
    }

    /// Nobody has heard us for long.
    pub(super) fn unheard(&mut self, cx: &mut Context<'_>) {
        self.leave_lobby(cx);
        self.in_turn(Cause::new(Word::Lobby, "nobody has let us in for long; the room itself is tried again"), cx);
    }
}
