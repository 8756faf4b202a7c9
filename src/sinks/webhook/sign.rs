//! Signatures over the bytes of a request, and nothing but those bytes. Pure.
//!
//! Sources: Standard Webhooks 1.0.0 "Signature scheme", RFC 2104.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::config::Secret;
use crate::hex::hex;

/// What a secret begins with that is written as Standard Webhooks has it; the key is what stands behind it, in Base64.
const PREFIX: &str = "whsec_";

/// The header `webhook-signature` for a body sent under this id at this time, seconds since 1970: `v1,` and Base64 of an
/// HMAC-SHA256 over `ID.TIMESTAMP.BODY`.
#[must_use]
pub fn standard(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat();
    format!("v1,{}", STANDARD.encode(mac(secret, &signed)))
}

/// The bytes that [`standard`] signs, but for the body that ends them.
#[must_use]
pub fn prefix(id: &str, timestamp: i64) -> String {
    format!("{id}.{timestamp}.")
}

/// An HMAC-SHA256 over a body alone, in small hexadecimal digits: `X-Jitsi-Signature`. Its receiver knows nothing of
/// Standard Webhooks, so the secret is taken as it is written, whatever it begins with.
#[must_use]
pub fn hexadecimal(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hex(hmac::sign(&key, body).as_ref())
}

/// Whether a secret that says it is Base64 is: otherwise it is taken as it is written.
#[must_use]
pub fn is_sound(secret: &Secret) -> bool {
    secret.expose().strip_prefix(PREFIX).is_none_or(|rest| STANDARD.decode(rest).is_ok_and(|key| !key.is_empty()))
}

fn mac(secret: &Secret, bytes: &[u8]) -> hmac::Tag {
    let text = secret.expose();
    let decoded = text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(text.as_bytes()));
    hmac::sign(&key, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_own_example_verifies() {
        // Standard Webhooks, reference libraries' test vector.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = standard(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_rfcs_example_verifies_and_a_bare_secret_is_taken_as_it_is() {
        // RFC 4231 §4.3 "Test Case 2".
        let signature = hexadecimal(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        // printf body | openssl dgst -sha256 -hmac whsec_SmVmZQ==
        let signature = hexadecimal(&Secret::new("whsec_SmVmZQ=="), b"body");
        assert_eq!(signature, "b32a0a31c7b91cd60c6ec2ed5b370ac5d12417beafc05fd7b01be34222e9a689");
        assert!(is_sound(&Secret::new("Jefe")) && !is_sound(&Secret::new("whsec_no!")));
    }
}
