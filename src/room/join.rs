//! Why a join was refused or a stay ended, and what that means for the next try. Pure.

use std::time::Duration;

use crate::cause::{Cause, Word};
use crate::xmpp::muc::{RoomPresence, Status};
use crate::xmpp::stanza::StanzaError;

/// The slow end of the ladder: how often something is retried that only a person can mend.
pub const SLOW: Duration = Duration::from_secs(300);
/// The first wait of the ladder.
pub const FIRST: Duration = Duration::from_secs(1);

/// How to go on after a refusal or a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Ask again at once, a few times; then the ladder.
    Soon,
    /// The ladder from one second to five minutes.
    Ladder,
    /// The same, from a longer first wait: a person threw us out.
    AfterKick,
    /// The slow end: a person should act.
    Slow,
    /// Try another nick at once.
    OtherNick,
}

/// What a refused join means. Source: XEP-0045 §7.2 "Entering a Room" and Jitsi's plugins.
#[must_use]
pub fn refused(error: &StanzaError, room: &str, nick: &str) -> (Cause, Retry) {
    let said = error.describe();
    let text = error.text.as_deref().unwrap_or_default();
    let (word, sentence, retry) = match error.condition.as_str() {
        "not-authorized" => (
            Word::WrongPassword,
            format!("the room {room} has a password and ours is missing or wrong: set password_file for this room"),
            Retry::Slow,
        ),
        "registration-required" if error.has("waiting-for-host") => (
            Word::WaitingForHost,
            format!(
                "{room} waits for a host, and our login does not count as one: an account in Prosody's `admins` does \
                 not, nor does a guest; use an account of the login domain that is in no such list"
            ),
            Retry::Ladder,
        ),
        "registration-required" if error.lobby.is_some() || error.has("lobbyroom") => (
            Word::Lobby,
            format!(
                "the room {room} has a lobby and we are not its owner: let {nick} in, or make its account a member"
            ),
            Retry::Ladder,
        ),
        "registration-required" => (
            Word::MembersOnly,
            format!("the room {room} takes members only: make our account a member or owner"),
            Retry::Slow,
        ),
        "forbidden" if text.is_empty() => {
            (Word::Banned, format!("our account is banned from {room}: an owner must lift the ban"), Retry::Slow)
        }
        // Prosody's mod_muc_rtbl, for one, whose list no owner can change
        "forbidden" => (
            Word::Banned,
            format!("our account is banned from {room} ({said}): an owner or the server's admin must lift the ban"),
            Retry::Slow,
        ),
        // RFC 6120 §8.3.3.5; so Prosody remembers rooms that were persistent
        "gone" => (
            Word::Destroyed,
            format!(
                "the room {room} was destroyed and may not be opened again ({said}): on Prosody one of the server's \
                 admins may enter it, else it stays so for `muc_tombstone_expiry`, a month"
            ),
            Retry::Slow,
        ),
        "conflict" => (Word::NickConflict, format!("somebody else in {room} is called {nick}"), Retry::OtherNick),
        "service-unavailable" => (
            Word::RoomFull,
            format!("the room {room} has its maximum of occupants: raise it, or exempt our account"),
            Retry::Ladder,
        ),
        "not-allowed" if text.contains("Invalid resource") || text.contains("Invalid anonymous user") => (
            Word::NickRefused,
            format!("the server does not accept the nick {nick} ({said}): set another nick for this room"),
            Retry::Slow,
        ),
        "jid-malformed" => (
            Word::NickRefused,
            format!("the server does not accept {room}/{nick} as an address: set another nick"),
            Retry::Slow,
        ),
        "not-allowed" if text.contains("remote domains") => (Word::WrongMucDomain, wrong_domain(room), Retry::Slow),
        "remote-server-not-found" => (Word::WrongMucDomain, wrong_domain(room), Retry::Slow),
        "not-allowed" if text.contains("creation is restricted") || error.has("room-does-not-exist") => (
            Word::CreationRestricted,
            format!(
                "the room {room} does not exist, and its service leaves it to the focus and to admins to create one \
                 (`restrict_room_creation`); it is tried again"
            ),
            Retry::Soon,
        ),
        "not-allowed"
            if ["room-mismatch", "room-name-does-not-match"].iter().any(|reason| error.has(reason))
                || text.contains("Room and token mismatched") =>
        {
            let sentence = format!(
                "the token that we logged in with is not for {room} ({said}): its claim `room` must be \"*\" or this \
                 room's name (token_room), and its `sub` this domain or tenant where the server verifies that"
            );
            (Word::TokenMismatch, sentence, Retry::Slow)
        }
        "not-allowed" if error.has("authentication-required") => (
            Word::NotAuthorized,
            format!("{room} takes nobody without a token ({said}): use login = \"token\" for the service"),
            Retry::Slow,
        ),
        _ => (Word::JoinRefused, format!("the room {room} refused the join: {said}"), Retry::Ladder),
    };
    (Cause::new(word, sentence), retry)
}

fn wrong_domain(room: &str) -> String {
    let domain = crate::xmpp::jid::domain(room);
    format!(
        "{domain} is not a group chat service of this server: correct `muc` (often muc.DOMAIN or conference.DOMAIN)"
    )
}

/// What our own unavailable presence means. Source: XEP-0045 §8.2 "Kicking an Occupant", §9.1 "Banning a User",
/// §9.4 "Revoking Membership", §10.9 "Destroying a Room".
#[must_use]
pub fn removed(presence: &RoomPresence, room: &str) -> (Cause, Retry) {
    let reason = match presence.reason.as_deref() {
        Some(reason) if !reason.is_empty() => format!(": \"{reason}\""),
        _ => String::new(),
    };
    let actor = match presence.actor.as_deref() {
        Some(actor) if !actor.is_empty() => format!(" by {actor}"),
        _ => String::new(),
    };
    let (word, sentence, retry) = if let Some(why) = &presence.destroyed {
        let why = if why.is_empty() { String::new() } else { format!(" (\"{why}\")") };
        (Word::Destroyed, format!("the room {room} was destroyed{why}; it is opened again"), Retry::Ladder)
    } else if presence.has(Status::BANNED) {
        (Word::Banned, format!("we were banned from {room}{actor}{reason}: an owner must lift the ban"), Retry::Slow)
    } else if presence.has(Status::ERROR) {
        let sentence = format!("the server removed us from {room} because of an error{reason}");
        (Word::RemovedForError, sentence, Retry::Ladder)
    } else if presence.has(Status::KICKED) {
        (Word::Kicked, format!("we were kicked from {room}{actor}{reason}; we stay out for a while"), Retry::AfterKick)
    } else if presence.has(Status::MEMBERS_ONLY) || presence.has(Status::AFFILIATION_LOST) {
        let sentence = format!("the room {room} became members-only and we were no member{actor}{reason}");
        (Word::MembershipLost, sentence, Retry::Ladder)
    } else if presence.has(Status::SHUTDOWN) {
        (Word::SystemShutdown, format!("the group chat service of {room} is shutting down"), Retry::Ladder)
    } else {
        (Word::NotInRoom, format!("the room {room} says that we left"), Retry::Ladder)
    };
    (Cause::new(word, sentence), retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(condition: &str, text: &str) -> StanzaError {
        StanzaError { condition: condition.to_owned(), text: Some(text.to_owned()), ..StanzaError::default() }
    }

    #[test]
    fn every_refusal_of_the_protocol_table_has_its_own_word() {
        for (error, word, retry) in [
            (error("not-authorized", ""), Word::WrongPassword, Retry::Slow),
            (error("registration-required", ""), Word::MembersOnly, Retry::Slow),
            (error("forbidden", ""), Word::Banned, Retry::Slow),
            (error("forbidden", "You are banned from this service"), Word::Banned, Retry::Slow),
            (error("gone", "done"), Word::Destroyed, Retry::Slow),
            (error("conflict", ""), Word::NickConflict, Retry::OtherNick),
            (error("service-unavailable", ""), Word::RoomFull, Retry::Ladder),
            (error("not-allowed", "Room creation is restricted"), Word::CreationRestricted, Retry::Soon),
            (error("not-allowed", "Invalid resource"), Word::NickRefused, Retry::Slow),
            (
                error("not-allowed", "Communication with remote domains is not enabled"),
                Word::WrongMucDomain,
                Retry::Slow,
            ),
            (error("not-allowed", "Room and token mismatched"), Word::TokenMismatch, Retry::Slow),
            (error("teapot", "x"), Word::JoinRefused, Retry::Ladder),
        ] {
            let (cause, how) = refused(&error, "r@muc.example", "n");
            assert_eq!((cause.word, how), (word, retry), "{error:?}");
        }
    }

    #[test]
    fn what_jitsi_says_beside_the_condition_is_said() {
        let with = |name: &str, namespace: &str| StanzaError {
            application: vec![(name.to_owned(), namespace.to_owned())],
            ..error("not-allowed", "")
        };
        let (cause, retry) = refused(&with("authentication-required", "http://jitsi.org/jitmeet"), "r@c", "n");
        assert_eq!((cause.word, retry), (Word::NotAuthorized, Retry::Slow));
        let (cause, _) = refused(&with("no-main-participants", "jitsi:visitors"), "r@c", "n");
        assert_eq!(&*cause.text, "the room r@c refused the join: not-allowed (no-main-participants)");
    }

    #[test]
    fn a_lobby_is_told_from_a_members_only_room() {
        let with_lobby = StanzaError { lobby: Some("r@lobby".into()), ..error("registration-required", "") };
        assert_eq!(refused(&with_lobby, "r@c", "n").0.word, Word::Lobby);
    }

    #[test]
    fn a_removal_for_error_is_not_taken_for_a_kick() {
        let presence = RoomPresence { statuses: vec![Status::KICKED, Status::ERROR], ..RoomPresence::default() };
        assert_eq!(removed(&presence, "r@c").0.word, Word::RemovedForError);
        let presence = RoomPresence { statuses: vec![Status::KICKED], ..RoomPresence::default() };
        assert_eq!(removed(&presence, "r@c").1, Retry::AfterKick);
    }
}
