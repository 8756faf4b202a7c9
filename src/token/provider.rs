//! The signatures of tokens, on `ring`: `jsonwebtoken` brings none of its own that we want. Pure.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use ring::{hmac, rsa};
use signature::Signer;

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// Makes these signatures those of `jsonwebtoken`, which asks the whole process for them.
pub(super) fn install() {
    // An error says that they are there already.
    let _ = PROVIDER.install_default();
}

/// Whether these bytes (PKCS #1 or PKCS #8) are a key that we can sign with.
pub(super) fn is_rsa_key(der: &[u8]) -> bool {
    key_pair(der).is_some()
}

fn key_pair(der: &[u8]) -> Option<rsa::KeyPair> {
    RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok()
}

fn refused(kind: ErrorKind) -> Error {
    kind.into()
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let shared = |with| -> Result<Box<dyn JwtSigner>> {
        Ok(Box::new(Shared { algorithm: *algorithm, key: hmac::Key::new(with, key.as_bytes()) }))
    };
    match algorithm {
        Algorithm::HS256 => shared(hmac::HMAC_SHA256),
        Algorithm::HS384 => shared(hmac::HMAC_SHA384),
        Algorithm::HS512 => shared(hmac::HMAC_SHA512),
        Algorithm::RS256 => match key_pair(key.as_bytes()) {
            Some(pair) => Ok(Box::new(Rsa(pair))),
            None => Err(refused(ErrorKind::InvalidKeyFormat)),
        },
        _ => Err(refused(ErrorKind::InvalidAlgorithm)),
    }
}

/// Nobody's tokens are checked here.
fn verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Err(refused(ErrorKind::InvalidAlgorithm))
}

/// A shared secret. Source: RFC 7518 §3.2 "HMAC with SHA-2 Functions".
struct Shared {
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Signer<Vec<u8>> for Shared {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

impl JwtSigner for Shared {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// A private key. Source: RFC 7518 §3.3 "Digital Signature with RSASSA-PKCS1-v1_5".
struct Rsa(rsa::KeyPair);

impl Signer<Vec<u8>> for Rsa {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        // PKCS #1 v1.5 signatures are deterministic; the randomness blinds the computation.
        match self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(signature::Error::new()),
        }
    }
}

impl JwtSigner for Rsa {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
