//! What may be done in a room, by whom it was asked, and what came of it. Words without behaviour.
//!
//! An action lives: requested → sent → answered → seen, or refused with a cause, or timed out. Its life is kept by
//! [`crate::room`]; whoever asked hears the outcome.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cause::Cause;
use crate::config::Secret;
use crate::xmpp::jitsi::mute::Medium;

/// Something to be done in a room.
///
/// Its JSON is for the control socket alone: it holds passwords in clear. Records and logs take [`Action::verb`] and
/// [`Action::target`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Removes an occupant; they may come straight back. XEP-0045 §8.2 "Kicking an Occupant".
    Kick {
        /// Their nick.
        nick: Box<str>,
    },
    /// Sets an affiliation: `outcast` bans, `owner` makes a moderator on Jitsi, `none` takes everything away.
    /// XEP-0045 §9 "Admin Use Cases".
    Affiliate {
        /// A bare JID, or a domain for all its accounts.
        jid: Box<str>,
        /// What they get.
        to: Standing,
    },
    /// Grants (`true`) or takes away the right to speak in a moderated room. XEP-0045 §8.3, §8.4.
    Voice {
        /// Their nick.
        nick: Box<str>,
        /// Whether they may speak.
        on: bool,
    },
    /// Ends the room for everybody. XEP-0045 §10.9 "Destroying a Room".
    Destroy,
    /// Ends the meeting as Jitsi's "end meeting for all" does.
    End,
    /// Sets a password, or takes it away.
    Lock {
        /// The password; `None` opens the room.
        #[serde(default, with = "exposed")]
        #[schema(value_type = Option<String>, format = Password)]
        password: Option<Secret>,
    },
    /// Sets the subject; empty takes it away. XEP-0045 §8.1 "Modifying the Room Subject".
    Subject {
        /// The text.
        text: Box<str>,
    },
    /// Says something to everybody, or to one.
    Say {
        /// The nick of the one; `None` for everybody.
        nick: Option<Box<str>>,
        /// The text.
        text: Box<str>,
    },
    /// Switches the lobby (members-only on plain XMPP) on or off.
    Lobby {
        /// Whether newcomers wait for admission.
        on: bool,
    },
    /// Lets somebody in who waits in the lobby.
    Admit {
        /// Their nick in the lobby.
        nick: Box<str>,
    },
    /// Sends somebody away who waits in the lobby.
    Deny {
        /// Their nick in the lobby.
        nick: Box<str>,
    },
    /// Has the focus mute somebody, or everybody; they may unmute themselves.
    Mute {
        /// Their nick; `None` for everybody else.
        nick: Option<Box<str>>,
        /// What.
        medium: Medium,
    },
    /// Switches AV moderation on or off: while it is on only those approved may unmute themselves.
    AvModeration {
        /// For what.
        medium: Medium,
        /// Whether it is on.
        on: bool,
    },
    /// Lets somebody unmute themselves while AV moderation is on, or takes that back.
    Approve {
        /// Their nick.
        nick: Box<str>,
        /// For what.
        medium: Medium,
        /// Whether they may.
        on: bool,
    },
    /// Has newcomers begin muted.
    StartMuted {
        /// Their microphones.
        audio: bool,
        /// Their cameras.
        video: bool,
    },
    /// Retracts a message, where the room offers it. XEP-0425.
    Retract {
        /// The id that the room gave the message.
        stanza_id: Box<str>,
    },
    /// Sets fields of the room's configuration form.
    Configure {
        /// `muc#roomconfig_…` with its values.
        fields: Vec<(Box<str>, Vec<Box<str>>)>,
    },
}

/// What an affiliation is set to. XEP-0045 §5.2 "Affiliations".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// `owner`: on Jitsi, a moderator.
    Owner,
    /// `admin`
    Admin,
    /// `member`
    Member,
    /// `none`
    None,
    /// `outcast`: banned.
    Outcast,
}

impl Standing {
    /// As the wire writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Owner => "owner",
            Standing::Admin => "admin",
            Standing::Member => "member",
            Standing::None => "none",
            Standing::Outcast => "outcast",
        }
    }
}

/// The name of an action, the same on every surface: what a room can do is listed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// [`Action::Kick`]
    Kick,
    /// [`Action::Affiliate`] to outcast.
    Ban,
    /// [`Action::Affiliate`] to anything else but none.
    Grant,
    /// [`Action::Affiliate`] to none.
    Revoke,
    /// [`Action::Voice`]
    Voice,
    /// [`Action::Destroy`]
    Destroy,
    /// [`Action::End`]
    End,
    /// [`Action::Lock`] with a password.
    Lock,
    /// [`Action::Lock`] without one.
    Unlock,
    /// [`Action::Subject`]
    Subject,
    /// [`Action::Say`]
    Say,
    /// [`Action::Lobby`]
    Lobby,
    /// [`Action::Admit`]
    Admit,
    /// [`Action::Deny`]
    Deny,
    /// [`Action::Mute`]
    Mute,
    /// [`Action::AvModeration`] and [`Action::Approve`].
    Avmod,
    /// [`Action::StartMuted`]
    StartMuted,
    /// [`Action::Retract`]
    Retract,
    /// [`Action::Configure`]
    Configure,
}

impl Verb {
    /// All of them, in the order in which people read them.
    pub const ALL: [Verb; 19] = [
        Verb::Kick,
        Verb::Ban,
        Verb::Grant,
        Verb::Revoke,
        Verb::Voice,
        Verb::Mute,
        Verb::Avmod,
        Verb::StartMuted,
        Verb::Say,
        Verb::Subject,
        Verb::Retract,
        Verb::Lock,
        Verb::Unlock,
        Verb::Lobby,
        Verb::Admit,
        Verb::Deny,
        Verb::Configure,
        Verb::End,
        Verb::Destroy,
    ];

    /// The name: `start-muted`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Kick => "kick",
            Verb::Ban => "ban",
            Verb::Grant => "grant",
            Verb::Revoke => "revoke",
            Verb::Voice => "voice",
            Verb::Destroy => "destroy",
            Verb::End => "end",
            Verb::Lock => "lock",
            Verb::Unlock => "unlock",
            Verb::Subject => "subject",
            Verb::Say => "say",
            Verb::Lobby => "lobby",
            Verb::Admit => "admit",
            Verb::Deny => "deny",
            Verb::Mute => "mute",
            Verb::Avmod => "avmod",
            Verb::StartMuted => "start-muted",
            Verb::Retract => "retract",
            Verb::Configure => "configure",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Action {
    /// Its name.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Action::Kick { .. } => Verb::Kick,
            Action::Affiliate { to: Standing::Outcast, .. } => Verb::Ban,
            Action::Affiliate { to: Standing::None, .. } => Verb::Revoke,
            Action::Affiliate { .. } => Verb::Grant,
            Action::Voice { .. } => Verb::Voice,
            Action::Destroy => Verb::Destroy,
            Action::End => Verb::End,
            Action::Lock { password: Some(_) } => Verb::Lock,
            Action::Lock { password: None } => Verb::Unlock,
            Action::Subject { .. } => Verb::Subject,
            Action::Say { .. } => Verb::Say,
            Action::Lobby { .. } => Verb::Lobby,
            Action::Admit { .. } => Verb::Admit,
            Action::Deny { .. } => Verb::Deny,
            Action::Mute { .. } => Verb::Mute,
            Action::AvModeration { .. } | Action::Approve { .. } => Verb::Avmod,
            Action::StartMuted { .. } => Verb::StartMuted,
            Action::Retract { .. } => Verb::Retract,
            Action::Configure { .. } => Verb::Configure,
        }
    }

    /// Whom or what it is about, for the record; empty when it is the room itself.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Action::Kick { nick }
            | Action::Voice { nick, .. }
            | Action::Admit { nick }
            | Action::Deny { nick }
            | Action::Approve { nick, .. } => nick,
            Action::Affiliate { jid, .. } => jid,
            Action::Say { nick, .. } | Action::Mute { nick, .. } => nick.as_deref().unwrap_or_default(),
            Action::Retract { stanza_id } => stanza_id,
            _ => "",
        }
    }

    /// The nick of the person whom it is about, in the room or in its lobby, where it is about one.
    pub fn nick_mut(&mut self) -> Option<&mut Box<str>> {
        match self {
            Action::Kick { nick }
            | Action::Voice { nick, .. }
            | Action::Approve { nick, .. }
            | Action::Admit { nick }
            | Action::Deny { nick } => Some(nick),
            Action::Say { nick, .. } | Action::Mute { nick, .. } => nick.as_mut(),
            _ => None,
        }
    }

    /// The occupant of the room who must still be there for it to be sent.
    #[must_use]
    pub fn occupant(&self) -> Option<&str> {
        match self {
            Action::Kick { nick } | Action::Voice { nick, .. } | Action::Approve { nick, .. } => Some(nick),
            Action::Say { nick, .. } | Action::Mute { nick, .. } => nick.as_deref(),
            _ => None,
        }
    }
}

/// Who asked for an action; goes to the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Actor {
    /// A rule of the room's policy.
    Rule {
        /// Its name: `flood`.
        name: String,
    },
    /// The room's locked settings.
    Settings,
    /// The list of bans.
    Bans,
    /// Somebody at the command line.
    CommandLine {
        /// Their user id.
        uid: u32,
    },
    /// The bearer of a token of the HTTP interface.
    Token {
        /// The token's name in the configuration.
        name: String,
    },
    /// A game server, or somebody else who speaks the line protocol.
    Line {
        /// Its name in the configuration.
        name: String,
    },
    /// An authority that was asked about somebody.
    Authority {
        /// Its name in the configuration.
        name: String,
    },
    /// A moderator's word in chat.
    Chat {
        /// Their nick.
        nick: String,
        /// Their bare JID, where the room shows it.
        jid: Option<String>,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Rule { name } => write!(f, "rule {name}"),
            Actor::Settings => f.write_str("locked settings"),
            Actor::Bans => f.write_str("ban list"),
            Actor::CommandLine { uid } => write!(f, "uid {uid}"),
            Actor::Token { name } => write!(f, "token {name}"),
            Actor::Line { name } => write!(f, "line {name}"),
            Actor::Authority { name } => write!(f, "authority {name}"),
            Actor::Chat { nick, jid: Some(jid) } => write!(f, "{nick} ({jid}) in chat"),
            Actor::Chat { nick, jid: None } => write!(f, "{nick} in chat"),
        }
    }
}

/// An action that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Asking twice with one key does it once; the second asker hears the first one's outcome.
    pub key: Box<str>,
    /// By whom.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// The real JID of the occupant whom the asker means, where it saw one: whoever else has the nick by now is spared.
    pub real_jid: Option<Box<str>>,
    /// Why: shown to those concerned, and kept; may be empty.
    pub reason: Box<str>,
}

/// How far an action has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for its turn.
    Requested,
    /// It went out.
    Sent,
    /// The room, or the focus, said yes; the last word where nothing shows the effect.
    Answered,
    /// The room shows that it has happened.
    Seen,
    /// It was refused, or can not be done, for this cause.
    Refused(Cause),
    /// Neither an answer nor its effect was seen in time.
    TimedOut(Cause),
}

impl Progress {
    /// What went wrong, if anything did.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Progress::Refused(cause) | Progress::TimedOut(cause) => Some(cause),
            _ => None,
        }
    }

    /// The word as it is printed: `timed-out`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Progress::Requested => "requested",
            Progress::Sent => "sent",
            Progress::Answered => "answered",
            Progress::Seen => "seen",
            Progress::Refused(_) => "refused",
            Progress::TimedOut(_) => "timed-out",
        }
    }
}

/// A password on its way over the control socket.
pub(crate) mod exposed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::config::Secret;

    pub(crate) fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_listed_once_and_is_the_same_in_json() {
        for (at, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_value(verb).ok(), Some(verb.as_str().into()));
            assert_eq!(Verb::ALL.iter().position(|other| *other == verb), Some(at));
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let lock = Action::Lock { password: Some(Secret::new("sesame")) };
        assert!(!format!("{lock:?}").contains("sesame"));
    }
}
