//! The server's side of SCRAM, for one account whose password the replay made up.
//!
//! Source: RFC 5802 §3 "SCRAM Algorithm Overview", RFC 7677.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::common::scram::{ScramProvider, Sha1, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::stream::{Derive, Hash};

/// Few: nobody attacks this password.
const ITERATIONS: u32 = 4096;
const SALT: &[u8] = b"innkeeper replay";

/// A login that was challenged.
pub(super) struct Scram {
    hash: Hash,
    password: Secret,
    /// The client's first message without its header, and that header.
    first: String,
    header: String,
    nonce: String,
    challenge: String,
}

impl Scram {
    /// Takes the client's first message, in base64; `None` when it is none of a mechanism without channel binding.
    pub(super) fn begin(mechanism: &str, initial: &str, password: &Secret, nonce: &str) -> Option<Self> {
        let hash = match mechanism {
            "SCRAM-SHA-1" => Hash::Sha1,
            "SCRAM-SHA-256" => Hash::Sha256,
            _ => return None,
        };
        let whole = decode(initial)?;
        let (header, first) = whole.split_at(whole.find("n=")?);
        let nonce = format!("{}{nonce}", first.split_once(",r=")?.1);
        let challenge = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(SALT));
        Some(Scram { hash, password: password.clone(), first: first.into(), header: header.into(), nonce, challenge })
    }

    /// What the server says first, in base64.
    pub(super) fn challenge(&self) -> String {
        STANDARD.encode(&self.challenge)
    }

    /// Takes the client's last message, in base64, and gives what proves the server; `None` when the client has not
    /// proved that it knows the password.
    pub(super) fn finish(&self, response: &str) -> Option<String> {
        let last = decode(response)?;
        let (without_proof, proof) = last.split_once(",p=")?;
        let message = format!("{},{},{without_proof}", self.first, self.challenge);
        let derive =
            Derive { hash: self.hash, password: self.password.clone(), salt: SALT.to_vec(), iterations: ITERATIONS };
        let key = derive.run();
        let client = self.hmac(&key, b"Client Key")?;
        let stored = match self.hash {
            Hash::Sha1 => Sha1::hash(&client),
            Hash::Sha256 => Sha256::hash(&client),
        };
        let signature = self.hmac(&stored, message.as_bytes())?;
        let expected: Vec<u8> = client.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let proof = STANDARD.decode(proof).ok()?;
        let bound = format!("c={},r={}", STANDARD.encode(&self.header), self.nonce);
        if without_proof != bound || !bool::from(proof.ct_eq(&expected)) {
            return None;
        }
        let server = self.hmac(&self.hmac(&key, b"Server Key")?, message.as_bytes())?;
        Some(STANDARD.encode(format!("v={}", STANDARD.encode(server))))
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        // The library takes what is signed first.
        match self.hash {
            Hash::Sha1 => Sha1::hmac(data, key).ok(),
            Hash::Sha256 => Sha256::hmac(data, key).ok(),
        }
    }
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
