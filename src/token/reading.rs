//! What somebody's token says, read without looking at its signature. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};

/// The claims of a token that Jitsi looks at, as far as they can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// `alg`.
    pub algorithm: Option<String>,
    /// `kid`.
    pub key: Option<String>,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `room`.
    pub room: Option<String>,
    /// `context.user.id`.
    pub id: Option<String>,
    /// `context.user.name`.
    pub name: Option<String>,
    /// Whether a moderator is claimed in any of the ways that [`super::User::moderator`] names.
    pub moderator: bool,
    /// `nbf`, seconds since 1970.
    pub not_before: Option<u64>,
    /// `exp`, seconds since 1970.
    pub expires: Option<u64>,
}

impl Reading {
    /// Reads a token; `None` where it is none.
    #[must_use]
    pub fn of(token: &str) -> Option<Reading> {
        let [head, body] = parts(token)?;
        let (head, body) = (object(head)?, object(body)?);
        let user = body.get("context").and_then(|context| context.get("user"));
        let of_user = |key: &str| user.and_then(|user| user.get(key));
        let yes = |value: Option<&Value>| value.is_some_and(|value| value == true || value == "true");
        let audience = match body.get("aud") {
            Some(Value::Array(several)) => several.iter().filter_map(|one| text(Some(one))).collect(),
            one => text(one).into_iter().collect(),
        };
        Some(Reading {
            algorithm: text(head.get("alg")),
            key: text(head.get("kid")),
            audience,
            issuer: text(body.get("iss")),
            subject: text(body.get("sub")),
            room: text(body.get("room")),
            id: text(of_user("id")),
            name: text(of_user("name")),
            moderator: yes(body.get("moderator"))
                || yes(of_user("moderator"))
                || of_user("affiliation").is_some_and(|affiliation| affiliation == "owner"),
            not_before: body.get("nbf").and_then(seconds),
            expires: body.get("exp").and_then(seconds),
        })
    }
}

/// What a token claims of its room.
///
/// `None`: it is no token at all. `Some(None)`: it claims nothing, or all rooms.
#[must_use]
pub fn room_of(token: &str) -> Option<Option<String>> {
    let [_, body] = parts(token)?;
    Some(text(object(body)?.get("room")).filter(|room| room != "*").map(|room| room.to_lowercase()))
}

/// Header and claims of a token of three parts.
fn parts(token: &str) -> Option<[&str; 2]> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(head), Some(body), Some(_), None) => Some([head, body]),
        _ => None,
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part.trim_end_matches('=')).ok()?).ok()
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(str::to_owned)
}

/// A time, which may have a fraction (RFC 7519 §2 "Terminology", `NumericDate`).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn seconds(value: &Value) -> Option<u64> {
    // A float becomes the nearest number that there is.
    value.as_u64().or_else(|| value.as_f64().map(|time| time as u64))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::claims;
    use super::super::{Claims, Key, Signing, User, mint};
    use super::*;
    use crate::config::Secret;

    fn key() -> Key {
        Key::shared(Signing::Hs256, Secret::new("s"))
    }

    #[test]
    fn a_given_tokens_room_is_read() {
        let of = |room: &str| {
            let claims = Claims { room: room.to_owned(), ..claims() };
            room_of(mint(&key(), &claims, Duration::ZERO).expect("a token").expose())
        };
        assert_eq!(of("*"), Some(None));
        assert_eq!(of("Tavern"), Some(Some("tavern".to_owned())));
        assert_eq!((room_of("hunter2"), room_of("a.b.c"), room_of("a.e30.c")), (None, None, Some(None)));
    }

    #[test]
    fn all_that_was_claimed_is_read_and_only_its_own_key_signed_it() {
        let token = mint(&key(), &claims(), Duration::from_secs(1000)).expect("a token");
        let read = Reading::of(token.expose()).expect("it is one");
        assert_eq!((read.algorithm.as_deref(), read.issuer.as_deref()), (Some("HS256"), Some("app")));
        assert_eq!((read.audience, read.subject.as_deref()), (vec!["jitsi".to_owned()], Some("meet.jitsi")));
        assert_eq!((read.room.as_deref(), read.name.as_deref()), (Some("*"), Some("Innkeeper")));
        assert_eq!((read.not_before, read.expires, read.moderator), (Some(970), Some(1300), true));
        let user = User { moderator: false, ..claims().user };
        let player = mint(&key(), &Claims { user, ..claims() }, Duration::ZERO).expect("a token");
        assert!(Reading::of(player.expose()).is_some_and(|read| !read.moderator));
        assert!(key().signed(token.expose()));
        assert!(!Key::shared(Signing::Hs256, Secret::new("t")).signed(token.expose()));
        assert!(!Key::shared(Signing::Hs512, Secret::new("s")).signed(token.expose()));
        let (head, rest) = token.expose().split_once('.').expect("three parts");
        let (_, signature) = rest.split_once('.').expect("three parts");
        assert!(!key().signed(&format!("{head}.e30.{signature}")), "other claims");
    }

    #[test]
    fn what_is_no_token_is_none_and_odd_claims_are_left_out() {
        for odd in ["", "a", "a.b", "a.b.c", "e30.W10.c", "e30.e30.c.d"] {
            assert_eq!(Reading::of(odd), None, "{odd:?}");
        }
        assert_eq!(Reading::of("e30.e30."), Some(Reading::default()));
        let body = BASE64.encode(r#"{"aud":["a",1,"b"],"exp":12.75,"nbf":"x","room":7,"moderator":"true"}"#);
        let read = Reading::of(&format!("e30.{body}.")).expect("one without a signature");
        assert_eq!((read.audience.join(","), read.expires, read.not_before), ("a,b".to_owned(), Some(12), None));
        assert_eq!((read.room, read.moderator), (None, true));
    }
}
