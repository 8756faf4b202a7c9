//! Why a room or a session is in the state it is in: a stable word for machines and one sentence for people.
//!
//! Pure. Every surface (log, command line, status) prints the same word, so a word is public API: add, never rename.

use std::fmt;

use serde::Serialize;

/// The machine's half of a [`Cause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    // ── nothing wrong
    /// Inside, moderator, everything answered.
    Holding,
    /// Wanted since a moment ago; nothing was tried yet.
    Starting,
    /// The session is being connected or logged in.
    Connecting,
    /// Waiting for a free place in the paced queue of joins.
    Queued,
    /// The focus was asked for the conference and has not answered yet.
    AskingFocus,
    /// The join presence is out and the room has not answered yet.
    JoinSent,

    // ── the session
    /// The connection ended or was lost.
    Disconnected,
    /// Nothing listens at that address, or the network does not lead there.
    Unreachable,
    /// A step took longer than its deadline.
    TimedOut,
    /// The host name does not resolve.
    UnknownHost,
    /// The certificate is not signed by a trusted authority, a self-signed one included.
    CertificateUntrusted,
    /// The certificate is past its end or before its beginning.
    CertificateExpired,
    /// The certificate is for another host name.
    CertificateName,
    /// TLS failed in another way.
    TlsFailed,
    /// The server offers no STARTTLS although it is required.
    TlsNotOffered,
    /// The URL answers, but not as an XMPP WebSocket.
    NotWebsocket,
    /// The server does not serve this XMPP domain (`host-unknown`).
    WrongDomain,
    /// The server refused the account's name or password.
    BadCredentials,
    /// The server refused the token; the text says what to change.
    TokenRefused,
    /// There is no token to log in with: its file can not be read, or it can not be made.
    NoToken,
    /// The account exists and may not log in.
    AccountDisabled,
    /// The server offers no login mechanism that we may use.
    NoCommonMechanism,
    /// The server offers only mechanisms weaker than the one that last worked.
    WeakerMechanism,
    /// The server could not prove that it knows the password.
    ServerNotAuthentic,
    /// Login is refused for the moment.
    TemporaryAuthFailure,
    /// The server refused to bind a resource or to start the session.
    BindRefused,
    /// Another session took this session's full JID.
    Conflict,
    /// The server closed the stream because of a policy.
    PolicyViolation,
    /// The server is shutting down or restarting.
    SystemShutdown,
    /// Another stream error; the text names it.
    StreamError,
    /// What came is not the protocol that was expected.
    ProtocolError,

    // ── actions in a room
    /// We are not moderator there, or the action takes an owner.
    NotModerator,
    /// The occupant whom it is about is not there (any more).
    OccupantGone,
    /// The room, or the deployment, does not offer it.
    Unsupported,
    /// The room or the focus refused it.
    ActionRefused,
    /// It was neither answered nor seen to happen in time.
    ActionTimedOut,

    // ── the focus
    /// Nobody is behind the focus address, or the focus left the room.
    FocusAbsent,
    /// The focus did not answer the conference request in time.
    FocusSilent,
    /// The focus answered `ready='false'`: somebody else is just opening the room.
    FocusNotReady,
    /// The focus says that this account may not open the room.
    NotAuthorized,
    /// A reservation system refused the room.
    ReservationRefused,
    /// The focus redirected or queued us as a visitor.
    Visitor,
    /// The focus refused for another reason; the text names it.
    FocusRefused,

    // ── the room
    /// Inside, but not (yet) moderator.
    AwaitingGrant,
    /// Inside, and somebody else owns the room.
    NotOwner,
    /// Authentication is off at the focus and somebody else was first.
    AuthOffOtherOwner,
    /// The focus gave no session-id, so it will not make us moderator.
    NoSessionId,
    /// A guest waits for the session-id that its account fetches in a login of its own.
    AwaitingSession,
    /// The room is new and its configuration form is being submitted.
    Configuring,
    /// Inside, but nothing has confirmed it for longer than two self-ping intervals.
    Unconfirmed,
    /// A person threw us out (status 307).
    Kicked,
    /// We are banned from the room (status 301, or `forbidden` on joining).
    Banned,
    /// The server removed us because of an error (status 333).
    RemovedForError,
    /// The room was destroyed, "end meeting for all" included.
    Destroyed,
    /// The room takes members only and we are not one (`registration-required`).
    MembersOnly,
    /// The room became members-only, or our affiliation was taken, and we were put out (status 321, 322).
    MembershipLost,
    /// The room has a lobby and we are outside.
    Lobby,
    /// A moderator sent us away from the lobby.
    LobbyDenied,
    /// The room waits for a host, and our login does not count as one.
    WaitingForHost,
    /// The room's password is missing or wrong.
    WrongPassword,
    /// Somebody else has our nick.
    NickConflict,
    /// The server does not accept our nick.
    NickRefused,
    /// The room has its maximum of occupants.
    RoomFull,
    /// The room does not exist and we may not create it.
    CreationRestricted,
    /// A self-ping told us that we are not in the room any more.
    NotInRoom,
    /// The room did not answer the join in time.
    NoAnswer,
    /// The room's domain is not a group chat service of this server.
    WrongMucDomain,
    /// The room's domain is left to us to find and was not found.
    MucNotFound,
    /// The token that we logged in with is not for this room.
    TokenMismatch,
    /// The join was refused for another reason; the text names it.
    JoinRefused,

    // ── a rule or a person closed it
    /// It is outside its hours, or its time was over.
    ClosedBySchedule,
    /// Nobody used it.
    ClosedIdle,
    /// We ended it on a person's word.
    EndedByUs,
    /// It is booked, and opens later.
    Booked,
    /// Its booking has ended.
    Ended,

    // ── a person said so
    /// An admin suspended the room.
    Suspended,
    /// Nobody wants the room any more.
    Released,
    /// The daemon is stopping.
    Stopping,
}

impl Word {
    /// Whether this will not get better by itself, or only slowly, so that a person should act.
    ///
    /// It is still retried, at the slow end of the ladder.
    #[must_use]
    pub fn needs_person(self) -> bool {
        use Word::{
            AccountDisabled, BadCredentials, Banned, CertificateExpired, CertificateName, CertificateUntrusted,
            MembersOnly, MucNotFound, NickRefused, NoCommonMechanism, NoToken, NotAuthorized, NotWebsocket,
            ReservationRefused, ServerNotAuthentic, TlsNotOffered, TokenMismatch, TokenRefused, WeakerMechanism,
            WrongDomain, WrongMucDomain, WrongPassword,
        };
        matches!(
            self,
            AccountDisabled
                | BadCredentials
                | Banned
                | CertificateExpired
                | CertificateName
                | CertificateUntrusted
                | MembersOnly
                | MucNotFound
                | NickRefused
                | NoCommonMechanism
                | NoToken
                | NotAuthorized
                | NotWebsocket
                | ReservationRefused
                | ServerNotAuthentic
                | TlsNotOffered
                | TokenMismatch
                | TokenRefused
                | WeakerMechanism
                | WrongDomain
                | WrongMucDomain
                | WrongPassword
        )
    }

    /// Whether this befalls a whole service, so that it is said once and not for each room.
    #[must_use]
    pub fn concerns_service(self) -> bool {
        use Word::{
            AccountDisabled, BadCredentials, BindRefused, CertificateExpired, CertificateName, CertificateUntrusted,
            Conflict, Connecting, Disconnected, FocusAbsent, MucNotFound, NoCommonMechanism, NoToken, NotWebsocket,
            PolicyViolation, ProtocolError, ServerNotAuthentic, StreamError, SystemShutdown, TemporaryAuthFailure,
            TimedOut, TlsFailed, TlsNotOffered, TokenRefused, UnknownHost, Unreachable, WeakerMechanism, WrongDomain,
        };
        matches!(
            self,
            AccountDisabled
                | BadCredentials
                | BindRefused
                | CertificateExpired
                | CertificateName
                | CertificateUntrusted
                | Conflict
                | Connecting
                | Disconnected
                | FocusAbsent
                | MucNotFound
                | NoCommonMechanism
                | NoToken
                | NotWebsocket
                | PolicyViolation
                | ProtocolError
                | ServerNotAuthentic
                | StreamError
                | SystemShutdown
                | TemporaryAuthFailure
                | TimedOut
                | TlsFailed
                | TlsNotOffered
                | TokenRefused
                | UnknownHost
                | Unreachable
                | WeakerMechanism
                | WrongDomain
        )
    }

    /// The word as it is printed: `focus-absent`.
    #[must_use]
    pub fn as_str(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str())
    }
}

/// Why something is in the state it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Stable, for machines.
    pub word: Word,
    /// One sentence that a person can act on. It may quote a server, shortened; it never holds a secret.
    pub text: Box<str>,
}

impl Cause {
    /// Longest text kept, in bytes; what servers and occupants say is cut there.
    pub const TEXT_BYTES: usize = 400;

    /// Makes a cause, cutting `text` at [`Cause::TEXT_BYTES`] and replacing control characters.
    #[must_use]
    pub fn new(word: Word, text: impl AsRef<str>) -> Self {
        let mut kept = String::new();
        for c in text.as_ref().chars() {
            if kept.len() + c.len_utf8() > Self::TEXT_BYTES {
                kept.push('…');
                break;
            }
            kept.push(if c.is_control() { ' ' } else { c });
        }
        Cause { word, text: kept.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_prints_in_kebab_case() {
        assert_eq!(Word::WrongMucDomain.to_string(), "wrong-muc-domain");
    }

    #[test]
    fn a_long_hostile_text_is_cut_and_has_no_control_characters() {
        let cause = Cause::new(Word::JoinRefused, "é\u{1b}[31m".repeat(400));
        assert!(cause.text.len() <= Cause::TEXT_BYTES + '…'.len_utf8());
        assert!(!cause.text.chars().any(char::is_control));
    }
}
