//! What lets people into rooms: reservations and tokens. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Secret;

/// A room that may be opened: what Jitsi's reservations are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Names it to the server; cannot be guessed.
    pub id: String,
    /// The room's name.
    pub name: String,
    /// Who opened it.
    pub mail_owner: String,
    /// When it begins, RFC 3339 UTC.
    pub start_time: String,
    /// Seconds from then on.
    pub duration: u64,
    /// How many may be inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_occupants: Option<u32>,
    /// Whether newcomers wait in a lobby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<bool>,
    /// The password that the server sets; told to whoever has the scope `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::action::exposed")]
    pub password: Option<Secret>,
}

/// Whom a token is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Player {
    /// By what they are known again; their name when left out.
    #[serde(default)]
    pub id: Option<String>,
    /// What others see.
    pub name: String,
    /// Their e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The address of their picture.
    #[serde(default)]
    pub avatar: Option<String>,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MintedReply {
    /// The room: `service/name`.
    pub room: String,
    /// The token itself.
    #[serde(with = "bare_token")]
    #[schema(value_type = String)]
    pub token: Secret,
    /// When it ends, seconds since 1970.
    pub expires: u64,
    /// What its bearer will be inside: `owner`, `moderator` or `participant`.
    pub effective_role: String,
    /// Why, in one sentence.
    pub why: String,
}

/// What a token says, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenExplanation {
    /// The service of ours whose key it was signed with.
    pub service: Option<String>,
    /// How it is signed: `HS256`, `RS256`, …
    pub algorithm: Option<String>,
    /// With which key, where it names one: `kid`.
    pub key: Option<String>,
    /// Whom it is for: `aud`, with commas between several.
    pub audience: Option<String>,
    /// Who made it, by its own word: `iss`.
    pub issuer: Option<String>,
    /// The domain or tenant: `sub`.
    pub subject: Option<String>,
    /// The room, or `*`.
    pub room: Option<String>,
    /// The player's id.
    pub id: Option<String>,
    /// The player's name.
    pub name: Option<String>,
    /// Whether it says that they are a moderator, in any of the ways there are.
    pub moderator: bool,
    /// From when it is good, RFC 3339 UTC.
    pub not_before: Option<String>,
    /// When it ends, RFC 3339 UTC.
    pub expires: Option<String>,
    /// What its bearer would be inside: `owner`, `participant`, `nobody` where it would be refused, or `unknown`.
    pub effective_role: String,
    /// Why, in one sentence.
    pub why: String,
    /// What is odd about it, in sentences.
    pub remarks: Vec<String>,
}

/// A token on its way to or from whoever has it.
pub(super) mod bare_token {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::config::Secret;

    pub(in crate::command) fn serialize<S: Serializer>(token: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(token.expose())
    }

    pub(in crate::command) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        Ok(Secret::new(String::deserialize(from)?))
    }
}
