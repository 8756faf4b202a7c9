//! Tokens as Jitsi's token login takes them: what they claim, and their making. Pure; the time is an input.
//!
//! Source: RFC 7519 "JSON Web Token (JWT)", RFC 7518 "JSON Web Algorithms"; jitsi-meet's `luajwtjitsi.lib.lua` and
//! `token/util.lib.lua`.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::config::Secret;

pub use reading::{Reading, room_of};
pub use refusal::explain;

mod provider;
mod reading;
mod refusal;

/// So long before its making a token is good already: servers' clocks go slow.
const BEFORE: Duration = Duration::from_secs(30);
/// The longest life that a token may have.
pub const LONGEST: Duration = Duration::from_secs(8 * 3600);
/// What a moderator may do, by the names that Jitsi's plugins look for in `context.features`.
const FEATURES: &[&str] = &[
    "recording",
    "livestreaming",
    "transcription",
    "outbound-call",
    "file-upload",
    "create-polls",
    "send-groupchat",
    "list-visitors",
];

/// How a token is signed. Prosody takes one of these, as its `signature_algorithm` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// HMAC with SHA-256, Prosody's default with a shared secret.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS #1 v1.5 with SHA-256, Prosody's default with a key server.
    Rs256,
}

impl Signing {
    /// Whether it takes a shared secret, and not a key pair.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self != Signing::Rs256
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Signing::Hs256 => Algorithm::HS256,
            Signing::Hs384 => Algorithm::HS384,
            Signing::Hs512 => Algorithm::HS512,
            Signing::Rs256 => Algorithm::RS256,
        }
    }
}

/// What tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    signing: Signing,
    /// The shared secret, or the private key as PEM.
    secret: Secret,
    /// Which key it is, where the server has several: it fetches the public one by this name.
    kid: Option<String>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("signing", &self.signing).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Why a token can not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The file holds no private key.
    #[error("no private RSA key in PEM (PKCS #1 or PKCS #8)")]
    NoKey,
    /// Signing refuses the key, for it has fewer than 2048 bits or is none of RSA's.
    #[error("not an RSA key of 2048 to 4096 bits")]
    BadKey,
    /// The time is beyond what a token can say.
    #[error("the clock is out of bounds")]
    Clock,
}

impl Key {
    /// A shared secret. `signing` must be one that takes one.
    #[must_use]
    pub fn shared(signing: Signing, secret: Secret) -> Self {
        Key { signing, secret, kid: None }
    }

    /// A private RSA key in PEM, for [`Signing::Rs256`].
    ///
    /// # Errors
    /// [`TokenError::NoKey`] and [`TokenError::BadKey`]: it is tried at once.
    pub fn rsa(pem: Secret, kid: Option<String>) -> Result<Self, TokenError> {
        let key = Key { signing: Signing::Rs256, secret: pem, kid };
        let der = key.encoding()?;
        if provider::is_rsa_key(der.as_bytes()) { Ok(key) } else { Err(TokenError::BadKey) }
    }

    /// How it signs.
    #[must_use]
    pub fn signing(&self) -> Signing {
        self.signing
    }

    /// Whether the token was signed with this key.
    #[must_use]
    pub fn signed(&self, token: &str) -> bool {
        let Some((said, signature)) = token.rsplit_once('.') else { return false };
        provider::install();
        // Both ways of signing make the same of the same.
        let again = self
            .encoding()
            .ok()
            .and_then(|key| jsonwebtoken::crypto::sign(said.as_bytes(), &key, self.signing.algorithm()).ok());
        again.is_some_and(|again| bool::from(again.as_bytes().ct_eq(signature.as_bytes())))
    }

    fn encoding(&self) -> Result<EncodingKey, TokenError> {
        if self.signing.is_shared() {
            return Ok(EncodingKey::from_secret(self.secret.expose().as_bytes()));
        }
        match PrivateKeyDer::from_pem_slice(self.secret.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => Ok(EncodingKey::from_rsa_der(der.secret_pkcs1_der())),
            Ok(PrivateKeyDer::Pkcs8(der)) => Ok(EncodingKey::from_rsa_der(der.secret_pkcs8_der())),
            _ => Err(TokenError::NoKey),
        }
    }
}

/// Whom a token is for, in `context.user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `id`.
    pub id: String,
    /// `name`: what others see where the deployment takes it from here.
    pub name: String,
    /// Whether `moderator` is true and `affiliation` is `owner`: one style each for the plugins that look at them.
    /// The claim `moderator` beside them is what jitsi-token-moderation-plugin looks at.
    /// docker-jitsi-meet's focus looks at none and makes everybody with a token an owner.
    pub moderator: bool,
    /// `email`.
    pub email: Option<String>,
    /// `avatar`: an address.
    pub avatar: Option<String>,
}

/// What a token claims, but for its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `aud`.
    pub audience: String,
    /// `iss`: the deployment's application id.
    pub issuer: String,
    /// `sub`: the XMPP domain, a tenant, or `*`.
    pub subject: String,
    /// `room`: a room's local part in lower case, or `*`.
    pub room: String,
    /// Between now and `exp`; at most [`LONGEST`].
    pub life: Duration,
    /// `context.user`.
    pub user: User,
}

#[derive(Serialize)]
struct Body<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    room: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    moderator: bool,
    context: Value,
}

/// Makes a token. `now` is the time since 1970-01-01T00:00:00Z.
///
/// # Errors
/// See [`TokenError`]; with a key that was accepted, none but [`TokenError::Clock`].
pub fn mint(key: &Key, claims: &Claims, now: Duration) -> Result<Secret, TokenError> {
    let iat = now.as_secs();
    let exp = iat.checked_add(claims.life.min(LONGEST).as_secs()).ok_or(TokenError::Clock)?;
    let body = Body {
        aud: &claims.audience,
        iss: &claims.issuer,
        sub: &claims.subject,
        room: &claims.room,
        iat,
        nbf: iat.saturating_sub(BEFORE.as_secs()),
        exp,
        moderator: claims.user.moderator,
        context: context(&claims.user),
    };
    provider::install();
    let header = Header { kid: key.kid.clone(), ..Header::new(key.signing.algorithm()) };
    let token = jsonwebtoken::encode(&header, &body, &key.encoding()?).map_err(|_| TokenError::BadKey)?;
    Ok(Secret::new(token))
}

fn context(user: &User) -> Value {
    let mut who = Map::new();
    who.insert("id".to_owned(), user.id.as_str().into());
    who.insert("name".to_owned(), user.name.as_str().into());
    who.insert("moderator".to_owned(), user.moderator.into());
    for (key, value) in [("email", &user.email), ("avatar", &user.avatar)] {
        if let Some(value) = value {
            who.insert(key.to_owned(), value.as_str().into());
        }
    }
    if user.moderator {
        who.insert("affiliation".to_owned(), "owner".into());
    }
    let mut context = Map::new();
    context.insert("user".to_owned(), who.into());
    if user.moderator {
        let features = FEATURES.iter().map(|name| ((*name).to_owned(), true.into()));
        context.insert("features".to_owned(), features.collect::<Map<_, _>>().into());
    }
    context.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn claims() -> Claims {
        Claims {
            audience: "jitsi".to_owned(),
            issuer: "app".to_owned(),
            subject: "meet.jitsi".to_owned(),
            room: "*".to_owned(),
            life: Duration::from_secs(300),
            user: User {
                id: "innkeeper".to_owned(),
                name: "Innkeeper".to_owned(),
                moderator: true,
                email: None,
                avatar: None,
            },
        }
    }

    fn body(token: &Secret) -> Value {
        use base64::Engine;
        let part = token.expose().split('.').nth(1).expect("a body");
        let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn the_claims_are_those_that_jitsi_looks_at() {
        let key = Key::shared(Signing::Hs256, Secret::new("secret"));
        let body = body(&mint(&key, &claims(), Duration::from_secs(1_000_000)).expect("a token"));
        for (claim, value) in [("aud", "jitsi"), ("iss", "app"), ("sub", "meet.jitsi"), ("room", "*")] {
            assert_eq!(body[claim], value);
        }
        assert_eq!((&body["iat"], &body["nbf"], &body["exp"]), (&1_000_000.into(), &999_970.into(), &1_000_300.into()));
        let user = &body["context"]["user"];
        assert_eq!((&user["moderator"], &user["affiliation"]), (&true.into(), &"owner".into()), "both styles");
        assert_eq!(body["moderator"], true, "and the third");
        assert_eq!(body["context"]["features"]["recording"], true);
    }

    #[test]
    fn a_player_is_no_moderator_in_either_style() {
        let key = Key::shared(Signing::Hs256, Secret::new("secret"));
        let user = User { id: "1".to_owned(), name: "P".to_owned(), moderator: false, email: None, avatar: None };
        let body = body(&mint(&key, &Claims { user, ..claims() }, Duration::from_secs(1)).expect("a token"));
        assert_eq!(body["context"]["user"]["moderator"], false);
        assert!(body["context"]["user"].get("affiliation").is_none() && body["context"].get("features").is_none());
        assert_eq!(body["nbf"], 0, "no time before 1970");
    }

    #[test]
    fn no_token_lives_longer_than_eight_hours() {
        let key = Key::shared(Signing::Hs512, Secret::new("secret"));
        let claims = Claims { life: LONGEST * 10, ..claims() };
        assert_eq!(body(&mint(&key, &claims, Duration::ZERO).expect("a token"))["exp"], LONGEST.as_secs());
        assert_eq!(mint(&key, &claims, Duration::MAX), Err(TokenError::Clock));
    }

    #[test]
    fn what_is_no_rsa_key_is_told_and_not_shown() {
        assert_eq!(Key::rsa(Secret::new("hunter2"), None), Err(TokenError::NoKey));
        let key = Key::shared(Signing::Hs256, Secret::new("hunter2"));
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
