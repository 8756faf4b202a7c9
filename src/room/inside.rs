//! Being inside: what we are there, whether the focus is, and what that shows. Pure.

use super::*;

impl Inside {
    /// Looks again at what we are and whether the focus is there, and plans to ask it where that helps.
    pub(super) fn judge(&mut self, settings: &Settings, cx: &mut Context<'_>) {
        let own = self.occupants.by_nick(&self.nick);
        self.moderator = own.is_some_and(|occupant| occupant.role == Some(Role::Moderator));
        if !settings.focus {
            return;
        }
        let focus = focus_in(&self.occupants, cx.focus);
        if focus && self.moderator {
            self.ask = Ask::Idle;
            self.ask_ladder.reset();
            self.refusal = None;
        } else if self.ask == Ask::Idle {
            if focus {
                // The grant comes in a second presence, tens of milliseconds later; ask again only if it does not.
                self.ask_later(GRANT_PATIENCE, cx);
            } else {
                self.ask = Ask::Queued;
                cx.effects.push(Effect::Enqueue);
            }
        } else if !focus && matches!(self.ask, Ask::Due(_)) {
            self.ask = Ask::Queued;
            cx.effects.push(Effect::Enqueue);
        }
    }

    /// Sends our presence again where it was made from other settings than are wanted now.
    pub(super) fn introduce(&mut self, settings: &Arc<Settings>, cx: &mut Context<'_>) {
        let renamed = self.said.nick != settings.nick;
        if renamed || self.said.display_name != settings.display_name {
            let nick = if renamed { Box::from(&*settings.nick) } else { self.nick.clone() };
            cx.effects.push(Effect::Update { nick });
        }
        self.said = settings.clone();
    }

    pub(super) fn ask_later(&mut self, first: Duration, cx: &mut Context<'_>) {
        self.ask = Ask::Due(cx.now + self.ask_ladder.next(first, SLOW, cx.rng));
    }

    /// Asks as soon as there is a place.
    pub(super) fn ask_now(&mut self, cx: &mut Context<'_>) {
        self.ask = Ask::Queued;
        cx.effects.push(Effect::Enqueue);
    }

    /// The focus answered while we are inside.
    pub(super) fn asked(&mut self, answer: &Answer, settings: &Settings, cx: &mut Context<'_>) {
        if self.moderator && focus_in(&self.occupants, cx.focus) {
            self.ask = Ask::Idle;
            return;
        }
        match answer {
            Answer::Absent(_) => {
                self.ask = Ask::Queued;
                cx.effects.push(Effect::Enqueue);
            }
            Answer::SessionInvalid if self.ask_ladder.tries() < SOON_TRIES => {
                self.ask_later(Duration::from_millis(200), cx);
            }
            Answer::NotReady(_) => self.ask_later(FIRST, cx),
            // The focus's presence and the grant follow; ask again only if they do not.
            _ => self.ask_later(GRANT_PATIENCE, cx),
        }
        self.refusal = match answer {
            Answer::NotAuthorized(_) | Answer::Reservation(_) | Answer::Refused(_) => {
                Some(focus_cause(answer, &settings.jid))
            }
            _ => None,
        };
    }

    pub(super) fn snapshot(&self, now: Instant, settings: &Settings, rules: &Rules, focus: &FocusFacts) -> Snapshot {
        let room = &settings.jid;
        let ask_next = match self.ask {
            Ask::Due(at) => Next::AskFocus(at),
            Ask::Sent(at) => Next::Answer(at),
            Ask::Queued => Next::Turn,
            Ask::Idle => Next::Nothing,
        };
        let joined =
            |word, text: String, next| Snapshot { state: RoomState::Joined, cause: Cause::new(word, text), next };
        if let Some(cause) = &self.lost {
            return joined(
                cause.word,
                format!("the connection is lost and may yet be resumed: {}", cause.text),
                Next::Turn,
            );
        }
        if settings.focus && !focus_in(&self.occupants, focus) {
            if let Some(held_up) = &focus.held_up {
                let text = format!("the focus is not in {room}, so people who come get no media: {}", held_up.text);
                return joined(held_up.word, text, ask_next);
            }
            let text =
                format!("we are inside {room} and the focus is not: people who come get no media until it is back");
            return joined(Word::FocusAbsent, text, ask_next);
        }
        if !self.moderator {
            return if !settings.focus {
                let text =
                    format!("we are inside {room} and somebody else owns it: have an owner make us owner or admin");
                joined(Word::NotOwner, text, Next::Nothing)
            } else if let Some(held_up) = &focus.held_up {
                Snapshot { state: RoomState::Joined, cause: held_up.clone(), next: ask_next }
            } else if let Some(refusal) = &self.refusal {
                Snapshot { state: RoomState::Joined, cause: refusal.clone(), next: ask_next }
            } else if focus.authentication == Some(false) {
                let text = format!(
                    "the focus has authentication off and somebody else was first in {room}: \
                     have them make us moderator"
                );
                joined(Word::AuthOffOtherOwner, text, ask_next)
            } else if focus.authentication == Some(true) && !focus.has_session {
                let text = format!(
                    "the focus gives our account no session, so it does not make us moderator of {room}: \
                     is `domain` the deployment's login domain?"
                );
                joined(Word::NoSessionId, text, ask_next)
            } else {
                let text = format!("we are inside {room} and wait for the focus to make us moderator");
                joined(Word::AwaitingGrant, text, ask_next)
            };
        }
        if let Form::Failed { why, retry_at } = &self.form {
            let text = format!("{room} did not take its configuration form ({why}); it may be locked for others");
            return joined(Word::Configuring, text, Next::Retry(*retry_at));
        }
        if self.form == Form::Sent {
            let text = format!("{room} is new and its configuration form is being confirmed");
            return joined(Word::Configuring, text, Next::Nothing);
        }
        let next = match self.ping {
            Ping::Due(at) => Next::SelfPing(at),
            Ping::Sent(at) => Next::Answer(at + PING_TIMEOUT),
        };
        if now > self.confirmed + 2 * rules.self_ping + PING_TIMEOUT {
            let text = format!("{room} has not answered our self-pings lately; the list of occupants may be stale");
            return joined(Word::Unconfirmed, text, next);
        }
        Snapshot { state: RoomState::Held, cause: Cause::new(Word::Holding, "we are inside and moderator"), next }
    }
}

/// Whether the focus is among them.
pub(super) fn focus_in(occupants: &Occupants, focus: &FocusFacts) -> bool {
    occupants.by_nick("focus").is_some_and(|occupant| occupant.is_focus(focus.jid.as_deref()))
}

/// What an answer of the focus other than "ready" means.
pub(super) fn focus_cause(answer: &Answer, room: &str) -> Cause {
    match answer {
        Answer::Ready(_) => Cause::new(Word::AskingFocus, "the focus is ready"),
        Answer::NotReady(Granted { visitor: true, .. }) => Cause::new(
            Word::Visitor,
            format!("the focus would take us into {room} as a visitor only: a moderator must open the main room first"),
        ),
        Answer::NotReady(_) => {
            Cause::new(Word::FocusNotReady, format!("somebody else is just opening {room}; the focus is asked again"))
        }
        Answer::SessionInvalid => {
            Cause::new(Word::FocusRefused, "the focus does not know our session any more; it is asked again without it")
        }
        Answer::NotAuthorized(error) => Cause::new(
            Word::NotAuthorized,
            format!(
                "the focus does not let our account open {room} ({}): log in on the deployment's main domain",
                error.describe()
            ),
        ),
        Answer::Reservation(error) => Cause::new(
            Word::ReservationRefused,
            format!(
                "the reservation system refuses {room}: {} (code {})",
                error.describe(),
                error.reservation.as_deref().unwrap_or("none")
            ),
        ),
        Answer::Absent(error) => Cause::new(
            Word::FocusAbsent,
            format!("nobody is behind the focus address ({}): is Jicofo running and connected?", error.describe()),
        ),
        Answer::Refused(error) => {
            Cause::new(Word::FocusRefused, format!("the focus refused {room}: {}", error.describe()))
        }
    }
}
