//! Who may ask what: the one place that judges, for every surface.
//!
//! A [`super::Gate`] looks at the scope ([`may`]) before anything happens. Which room a command is about is known only
//! after its name was looked up, so the supervisor hands that to [`room`].

use crate::command::{Command, Requester};
use crate::config::RoomKey;
use crate::rights::{Rights, Scope};

/// The scope that a command takes; `None`: everybody may ask.
#[must_use]
pub fn scope(command: &Command) -> Option<Scope> {
    match command {
        Command::Health => None,
        Command::Status
        | Command::Webhooks
        | Command::Rooms
        | Command::Room { .. }
        | Command::WhyRoom { .. }
        | Command::Abilities { .. }
        | Command::WhoCan { .. }
        | Command::WhyLobby { .. }
        | Command::WhyModerator { .. }
        | Command::WhyRemoved { .. }
        | Command::Bans
        | Command::Rules
        | Command::ExplainToken { .. }
        | Command::WhyBan { .. } => Some(Scope::Read),
        Command::Act { .. } | Command::Undo { .. } | Command::Recover { .. } | Command::Answer { .. } => {
            Some(Scope::Moderate)
        }
        Command::Ban { .. } | Command::Unban { .. } | Command::ImportBans { .. } | Command::Exempt { .. } => {
            Some(Scope::Moderate)
        }
        Command::Follow(_) | Command::Events(_) | Command::Attendance(_) | Command::Reload { plan: true } => {
            Some(Scope::Read)
        }
        Command::Hold { .. } | Command::Release { .. } | Command::Suspend { .. } | Command::Desire { .. } => {
            Some(Scope::Rooms)
        }
        Command::Reservation { .. } => Some(Scope::Read),
        Command::Reserve { .. } | Command::EndReservation { .. } => Some(Scope::Rooms),
        Command::Mint { moderator: false, .. } => Some(Scope::Moderate),
        Command::ImportEvents { .. }
        | Command::Reload { plan: false }
        | Command::Password { .. }
        | Command::Mint { moderator: true, .. }
        | Command::WebhookTest { .. }
        | Command::WebhookReplay { .. }
        | Command::WebhookSkip { .. } => Some(Scope::Admin),
    }
}

/// Whether the command is written down with who asked: all that change something, and who is told a secret. Those are the
/// ones that take more than reading.
#[must_use]
pub fn changes(command: &Command) -> bool {
    scope(command).is_some_and(|scope| scope != Scope::Read)
}

/// Whether a command that [`changes`] something stands in the audit, too, which is kept for ever. What programs say of
/// everybody who comes does not, or whoever comes and goes would fill the disk: what follows of it stands there.
#[must_use]
pub fn is_audited(command: &Command, refused: bool) -> bool {
    match command {
        Command::Reserve { .. } | Command::EndReservation { .. } => false,
        Command::Answer { .. } => refused,
        _ => changes(command),
    }
}

/// Whether a command concerns all rooms at once, so that who has only some may not ask it.
fn concerns_all(command: &Command) -> bool {
    match command {
        Command::Reload { .. }
        | Command::Webhooks
        | Command::WebhookTest { .. }
        | Command::WebhookReplay { .. }
        | Command::WebhookSkip { .. }
        | Command::Bans
        | Command::ExplainToken { .. }
        | Command::Unban { .. }
        | Command::ImportBans { .. }
        | Command::ImportEvents { .. }
        | Command::Exempt { .. } => true,
        Command::Ban { everywhere, rooms, .. } => *everywhere || rooms.is_some(),
        _ => false,
    }
}

/// Whether somebody may ask that, as far as can be told before a room was looked up.
///
/// # Errors
/// What to tell them.
pub fn may(requester: &Requester, command: &Command) -> Result<(), String> {
    let Some(scope) = scope(command) else { return Ok(()) };
    let Requester { who, rights, .. } = requester;
    if !rights.scopes.contains(&scope) {
        return Err(who.lacks(scope));
    }
    if concerns_all(command) && !rights.rooms.is_all() {
        let rooms = rights.rooms.explained();
        return Err(format!("{who} may ask about some rooms, and this is about all; its rooms are {rooms}"));
    }
    Ok(())
}

/// Whether somebody with these rights may ask about a room, or see it.
#[must_use]
pub fn room(rights: &Rights, key: &RoomKey) -> bool {
    rights.rooms.matches(&key.service, &key.name)
}

/// Whether somebody with these rights may hear of an event: of their rooms, and of sessions only where they have all.
#[must_use]
pub fn event(rights: &Rights, service: &str, room: Option<&str>) -> bool {
    match room {
        Some(room) => rights.rooms.matches(service, room),
        None => rights.rooms.is_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Who;
    use crate::rights::RoomPattern;

    #[test]
    fn a_command_takes_its_scope_and_no_other_stands_for_it() {
        let room = || "tavern".to_owned();
        for (command, scope) in [
            (Command::Status, Scope::Read),
            (Command::Follow(crate::command::FollowQuery::default()), Scope::Read),
            (Command::Events(crate::command::EventsQuery::default()), Scope::Read),
            (Command::Rooms, Scope::Read),
            (Command::Room { room: room() }, Scope::Read),
            (Command::WhyRoom { room: room() }, Scope::Read),
            (Command::Reload { plan: true }, Scope::Read),
            (Command::Reload { plan: false }, Scope::Admin),
            (Command::Password { room: room() }, Scope::Admin),
            (Command::Hold { room: room(), reason: None, times: crate::booking::Times::default() }, Scope::Rooms),
            (Command::Release { room: room(), reason: None }, Scope::Rooms),
            (Command::Suspend { room: room(), for_seconds: None, reason: None }, Scope::Rooms),
        ] {
            for scopes in Scope::ALL {
                let rights = Rights { scopes: vec![scopes], rooms: RoomPattern::all() };
                let requester = Requester { who: Who::Token { name: "t".into() }, rights, per_second: 50 };
                assert_eq!(may(&requester, &command).is_ok(), scopes == scope, "{command:?} {scopes}");
            }
            let requester = Requester { who: Who::Nobody, rights: Rights::none(), per_second: 50 };
            assert!(may(&requester, &command).is_err(), "{command:?}");
            assert_eq!(may(&requester, &Command::Health), Ok(()));
        }
    }

    #[test]
    fn the_audit_does_not_grow_with_everybody_who_comes() {
        let start = jiff::Timestamp::UNIX_EPOCH;
        let reserve = Command::Reserve { room: "tavern".to_owned(), start, owner: "ann@meet.jitsi".to_owned() };
        let answer = Command::Answer {
            authority: None,
            ask: 1,
            verdict: crate::authority::Verdict::Allow,
            reason: None,
            for_seconds: None,
        };
        let release = Command::Release { room: "tavern".to_owned(), reason: None };
        for (command, if_done, if_refused) in
            [(&reserve, false, false), (&answer, false, true), (&release, true, true), (&Command::Rooms, false, false)]
        {
            assert_eq!((is_audited(command, false), is_audited(command, true)), (if_done, if_refused), "{command:?}");
        }
    }

    #[test]
    fn who_has_only_some_rooms_may_not_ask_about_all() {
        let rights = Rights { rooms: RoomPattern::new("game-*"), ..Rights::all() };
        let requester = Requester { who: Who::Token { name: "t".into() }, rights, per_second: 50 };
        assert!(may(&requester, &Command::Reload { plan: true }).is_err_and(|text| text.contains("game-*")));
        assert_eq!(may(&requester, &Command::Rooms), Ok(()), "and sees its own");
        assert!(room(&requester.rights, &RoomKey::new("meet", "game-1")));
        assert!(!room(&requester.rights, &RoomKey::new("meet", "tavern")));
    }
}
