//! Choice of a login mechanism, and SCRAM. Pure: the slow part is handed out as [`Derive`].
//!
//! SCRAM is ours over the `sasl` crate's primitives, since that crate compares neither nonce nor server signature and
//! knows no bound on iterations.
//! Source: RFC 6120 §6 "SASL Negotiation", RFC 5802, RFC 7677, RFC 9266 "Channel Bindings for TLS 1.3", RFC 4616,
//! XEP-0440.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sasl::common::Password;
use sasl::common::scram::{ScramProvider, Sha1, Sha256};
use subtle::ConstantTimeEq;

use crate::cause::{Cause, Word};
use crate::config::{Mechanism, Secret};
use crate::hex::hex;
use crate::stream::{Plan, Security};

/// Most PBKDF2 iterations that a server may ask for. Servers use 4,096 to 600,000; a million takes about a second, and
/// without a bound a server could keep a thread busy for minutes.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// A hash function of SCRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
}

impl Hash {
    fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::hash(data),
            Hash::Sha256 => Sha256::hash(data),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        // HMAC takes a key of any length (RFC 2104 §2), so the error can not occur.
        match self {
            Hash::Sha1 => Sha1::hmac(data, key),
            Hash::Sha256 => Sha256::hmac(data, key),
        }
        .unwrap_or_default()
    }
}

/// What to compute from a password, slowly: `Hi()` of RFC 5802 §2.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derive {
    /// The hash function.
    pub hash: Hash,
    /// The password, already prepared by SASLprep.
    pub password: Secret,
    /// The server's salt.
    pub salt: Vec<u8>,
    /// How often; at most [`MAX_ITERATIONS`].
    pub iterations: u32,
}

impl Derive {
    /// Computes the salted password. Up to a second of work: not for a thread that serves others.
    #[must_use]
    pub fn run(&self) -> Vec<u8> {
        let password = Password::Plain(self.password.expose().to_owned());
        // It only fails for passwords that are keys already.
        match self.hash {
            Hash::Sha1 => Sha1::derive(&password, &self.salt, self.iterations),
            Hash::Sha256 => Sha256::derive(&password, &self.salt, self.iterations),
        }
        .unwrap_or_default()
    }
}

impl Mechanism {
    /// The name as SASL knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    pub(super) fn hash(self) -> Option<Hash> {
        match self {
            Mechanism::Anonymous | Mechanism::Plain => None,
            Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => Some(Hash::Sha1),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => Some(Hash::Sha256),
        }
    }

    /// Whether it binds the login to the TLS that it goes over.
    pub(super) fn is_plus(self) -> bool {
        matches!(self, Mechanism::ScramSha1Plus | Mechanism::ScramSha256Plus)
    }

    /// Without channel binding, the higher the stronger.
    fn strength(self) -> u8 {
        match self.hash() {
            None => 0,
            Some(Hash::Sha1) => 1,
            Some(Hash::Sha256) => 2,
        }
    }
}

/// What a server says about logging in, in its stream features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Names of mechanisms.
    pub mechanisms: Vec<String>,
    /// Types of channel binding (XEP-0440); `None` when the server does not say.
    pub bindings: Option<Vec<String>>,
}

impl Offer {
    fn lists(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.iter().any(|name| name == mechanism.name())
    }
}

/// What SCRAM says about channel binding in its first message (RFC 5802 §6 "Channel Binding").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// `n`: we do not bind.
    No,
    /// `y`: we would, and the server does not offer it.
    NotOffered,
    /// `p=tls-exporter`, with the exported key.
    Exporter([u8; 32]),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Binding::No => "n,,",
            Binding::NotOffered => "y,,",
            Binding::Exporter(_) => "p=tls-exporter,,",
        }
    }
}

/// Chooses the strongest mechanism that both sides may use.
///
/// # Errors
/// [`Word::NoCommonMechanism`]; [`Word::WeakerMechanism`] when the last login was stronger and nobody agreed to less.
pub fn choose(offer: &Offer, plan: &Plan, security: &Security) -> Result<(Mechanism, Binding), Cause> {
    use Mechanism::{Anonymous, Plain, ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus};
    let agreed = plan.mechanisms.as_deref();
    let plus_offered = offer.lists(ScramSha256Plus) || offer.lists(ScramSha1Plus);
    let exporter = security.exporter.filter(|_| {
        offer.bindings.as_ref().is_none_or(|bindings| bindings.iter().any(|binding| binding == "tls-exporter"))
    });
    let allowed = |mechanism: Mechanism| agreed.map_or(mechanism != Plain, |list| list.contains(&mechanism));
    let usable = |mechanism: Mechanism| match mechanism {
        Anonymous => plan.account.is_none(),
        // Only where nothing better is there, and never where a wire can be tapped.
        Plain => {
            plan.account.is_some()
                && security.tls
                && ![ScramSha256Plus, ScramSha256, ScramSha1Plus, ScramSha1]
                    .into_iter()
                    .any(|better| offer.lists(better))
        }
        ScramSha1Plus | ScramSha256Plus => plan.account.is_some() && exporter.is_some(),
        ScramSha1 | ScramSha256 => plan.account.is_some(),
    };
    let chosen = [ScramSha256Plus, ScramSha256, ScramSha1Plus, ScramSha1, Plain, Anonymous]
        .into_iter()
        .find(|&mechanism| offer.lists(mechanism) && usable(mechanism) && allowed(mechanism));
    let Some(chosen) = chosen else { return Err(no_common(offer, plan, security)) };

    if let Some(last) = plan.last.as_ref().filter(|_| plan.account.is_some()) {
        let same_key = last.key_hash == security.key_hash.map(|hash| hex(&hash));
        let weaker = chosen.strength() < last.mechanism.strength()
            || chosen.strength() == last.mechanism.strength()
                && last.mechanism.is_plus()
                && !chosen.is_plus()
                && same_key;
        if weaker && !agreed.is_some_and(|list| list.contains(&chosen)) {
            return Err(Cause::new(
                Word::WeakerMechanism,
                format!(
                    "the server offers only {}, the last login used {}; if that is meant, name {} in `mechanisms`",
                    chosen.name(),
                    last.mechanism.name(),
                    chosen.name()
                ),
            ));
        }
    }
    let binding = match exporter {
        Some(exporter) if chosen.is_plus() => Binding::Exporter(exporter),
        // `y` lets the server notice that somebody took its -PLUS off the list; where it is on the list, it is a lie.
        _ if security.exporter.is_some() && !plus_offered => Binding::NotOffered,
        _ => Binding::No,
    };
    Ok((chosen, binding))
}

fn no_common(offer: &Offer, plan: &Plan, security: &Security) -> Cause {
    let offered = if offer.mechanisms.is_empty() {
        "no login mechanism".to_owned()
    } else {
        let mut names: Vec<_> = offer.mechanisms.iter().take(12).map(|name| name.chars().take(30).collect()).collect();
        names.sort();
        <[String]>::join(&names, ", ")
    };
    let may = match (&plan.mechanisms, &plan.account) {
        (Some(list), _) => list.iter().map(|m| m.name()).collect::<Vec<_>>().join(", "),
        (None, None) => "ANONYMOUS".to_owned(),
        (None, Some(_)) => "SCRAM-SHA-256 and SCRAM-SHA-1, with and without -PLUS".to_owned(),
    };
    let allowed = |m| plan.mechanisms.as_ref().is_some_and(|list| list.contains(&m));
    let anonymous_only = offer.mechanisms.iter().all(|name| name == Mechanism::Anonymous.name());
    let hint = if plan.account.is_some() && anonymous_only && !offer.mechanisms.is_empty() {
        "; there are only anonymous logins on this domain: is it the guests', does it take tokens (login = \"token\"), or \
         is authentication off (login = \"anonymous\")?"
    } else if plan.account.is_none() && !offer.mechanisms.is_empty() {
        "; there are only accounts on this domain: is it the right one, or should login be \"direct\"?"
    } else if plan.account.is_none() || !offer.lists(Mechanism::Plain) {
        ""
    } else if !security.tls {
        "; PLAIN is never sent without TLS"
    } else if !allowed(Mechanism::Plain) {
        "; PLAIN must be named in `mechanisms`"
    } else {
        "; PLAIN is used only where nothing better is offered"
    };
    Cause::new(Word::NoCommonMechanism, format!("the server offers {offered}; we may use {may}{hint}"))
}

/// The initial response of PLAIN (RFC 4616 §2).
#[must_use]
pub fn plain(account: &str, password: &Secret) -> Secret {
    Secret::new(BASE64.encode(format!("\0{}\0{}", prepared(account), prepared(password.expose()))))
}

/// SASLprep (RFC 4013), or the text itself where SASLprep forbids it: then the server decides.
fn prepared(text: &str) -> String {
    stringprep::saslprep(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// One SCRAM exchange, seen from the client.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    binding: Binding,
    password: Secret,
    client_nonce: String,
    /// `client-first-message-bare`.
    first: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first message is out.
    First,
    /// The server's first message is in, the key is being derived.
    Deriving { server_first: String, nonce: String },
    /// The proof is out; this is the signature that the server must show.
    Final { signature: Vec<u8> },
    /// The server has shown that it knows the password.
    Verified,
}

impl Scram {
    /// Starts an exchange. `client_nonce` must be unguessable, printable and without a comma.
    #[must_use]
    pub fn new(hash: Hash, binding: Binding, account: &str, password: &Secret, client_nonce: &str) -> Self {
        // RFC 5802 §5.1 "SCRAM Attributes": in this order, or `,` would be escaped twice.
        let name = prepared(account).replace('=', "=3D").replace(',', "=2C");
        Scram {
            hash,
            binding,
            password: Secret::new(prepared(password.expose())),
            client_nonce: client_nonce.to_owned(),
            first: format!("n={name},r={client_nonce}"),
            state: State::First,
        }
    }

    /// Whether the server's next message must be its last.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Final { .. })
    }

    /// The client's first message, in base64.
    #[must_use]
    pub fn initial(&self) -> String {
        BASE64.encode(format!("{}{}", self.binding.header(), self.first))
    }

    /// Takes the server's first message and says what to derive.
    ///
    /// # Errors
    /// The message is not one, or asks for what we refuse.
    pub fn challenge(&mut self, base64: &str) -> Result<Derive, Cause> {
        let server_first = decode(base64)?;
        let refuse = |what: &str| Cause::new(Word::ServerNotAuthentic, format!("the server's SCRAM challenge {what}"));
        let attribute = |name: char| value(&server_first, name);
        if !matches!(self.state, State::First) {
            return Err(refuse("comes a second time"));
        }
        if server_first.starts_with("m=") {
            return Err(refuse("demands an extension that we do not know"));
        }
        let (Some(nonce), Some(salt), Some(iterations)) = (attribute('r'), attribute('s'), attribute('i')) else {
            return Err(refuse("has no nonce, salt or iteration count"));
        };
        if nonce.len() <= self.client_nonce.len() || !nonce.starts_with(&self.client_nonce) {
            return Err(refuse("does not carry on our nonce"));
        }
        let salt =
            BASE64.decode(salt).ok().filter(|salt| !salt.is_empty()).ok_or_else(|| refuse("has no valid salt"))?;
        let iterations = iterations.parse().ok().filter(|n| (1..=MAX_ITERATIONS).contains(n)).ok_or_else(|| {
            refuse(&format!("asks for {iterations:.20} iterations; at most {MAX_ITERATIONS} are done"))
        })?;
        let nonce = nonce.to_owned();
        self.state = State::Deriving { server_first, nonce };
        Ok(Derive { hash: self.hash, password: self.password.clone(), salt, iterations })
    }

    /// Takes the derived key and gives the client's final message, in base64.
    ///
    /// # Errors
    /// Nobody asked for a key.
    pub fn derived(&mut self, salted_password: &[u8]) -> Result<String, Cause> {
        let State::Deriving { server_first, nonce } = &self.state else {
            return Err(Cause::new(Word::ProtocolError, "a key was derived that nobody asked for"));
        };
        let mut binding = self.binding.header().as_bytes().to_vec();
        if let Binding::Exporter(key) = &self.binding {
            binding.extend_from_slice(key);
        }
        let without_proof = format!("c={},r={nonce}", BASE64.encode(binding));
        let message = format!("{},{server_first},{without_proof}", self.first);
        // RFC 5802 §3 "SCRAM Algorithm Overview".
        let client_key = self.hash.hmac(salted_password, b"Client Key");
        let stored_key = self.hash.hash(&client_key);
        let client_signature = self.hash.hmac(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&client_signature).map(|(a, b)| a ^ b).collect();
        let server_key = self.hash.hmac(salted_password, b"Server Key");
        let signature = self.hash.hmac(&server_key, message.as_bytes());
        self.state = State::Final { signature };
        Ok(BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof))))
    }

    /// Takes the server's final message, from a challenge or from `<success/>`.
    ///
    /// # Errors
    /// [`Word::ServerNotAuthentic`] unless it proves that the server knows the password.
    pub fn verify(&mut self, base64: &str) -> Result<(), Cause> {
        let refuse = |what: &str| Cause::new(Word::ServerNotAuthentic, format!("the server {what}"));
        match &self.state {
            // The signature came in a challenge already, and `<success/>` says nothing more.
            State::Verified if matches!(base64.trim(), "" | "=") => Ok(()),
            State::Final { signature } => {
                let message = decode(base64)?;
                if let Some(error) = value(&message, 'e') {
                    return Err(Cause::new(Word::BadCredentials, format!("the server refuses the login: {error:.60}")));
                }
                let shown = value(&message, 'v').and_then(|v| BASE64.decode(v).ok());
                match shown {
                    Some(shown) if bool::from(shown.ct_eq(signature)) => {
                        self.state = State::Verified;
                        Ok(())
                    }
                    Some(_) => Err(refuse("could not prove that it knows the password: its signature is wrong")),
                    None => Err(refuse("did not prove that it knows the password")),
                }
            }
            _ => Err(refuse("says that the login succeeded before it was finished")),
        }
    }
}

fn decode(base64: &str) -> Result<String, Cause> {
    BASE64
        .decode(base64.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Cause::new(Word::ProtocolError, "a SCRAM message of the server is not base64 of text"))
}

/// The value of an attribute in a SCRAM message (RFC 5802 §5.1).
fn value(message: &str, name: char) -> Option<&str> {
    message.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::LastLogin;

    fn plan(mechanisms: Option<&[Mechanism]>) -> Plan {
        Plan {
            domain: "meet.jitsi".into(),
            account: Some(("keeper".into(), Secret::new("pencil"))),
            token: None,
            mechanisms: mechanisms.map(<[_]>::to_vec),
            last: None,
            resource: "r".into(),
            resume: None,
            client_nonce: "nonce".into(),
        }
    }

    fn offer(names: &str) -> Offer {
        Offer { mechanisms: names.split_whitespace().map(str::to_owned).collect(), bindings: None }
    }

    fn tls(exporter: bool) -> Security {
        Security { tls: true, loopback: false, exporter: exporter.then_some([7; 32]), key_hash: Some([1; 32]) }
    }

    fn plaintext() -> Security {
        Security { loopback: true, ..Security::default() }
    }

    const ALL: &str = "PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS ANONYMOUS X-OAUTH2";

    #[test]
    fn the_strongest_common_mechanism_is_chosen() {
        use Mechanism::{Anonymous, Plain, ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus};
        let exporter = || Binding::Exporter([7; 32]);
        let open = |names, security| choose(&offer(names), &plan(None), &security).unwrap();
        assert_eq!(open(ALL, tls(true)), (ScramSha256Plus, exporter()));
        assert_eq!(open("SCRAM-SHA-1 SCRAM-SHA-1-PLUS", tls(true)), (ScramSha1Plus, exporter()));
        assert_eq!(open("SCRAM-SHA-256 SCRAM-SHA-1-PLUS", tls(true)), (ScramSha256, Binding::No));
        // What we could do and the server does not list.
        assert_eq!(open("PLAIN SCRAM-SHA-1", tls(true)), (ScramSha1, Binding::NotOffered));
        // TLS 1.2 has no exporter that binds.
        assert_eq!(open(ALL, tls(false)), (ScramSha256, Binding::No));
        assert_eq!(open("SCRAM-SHA-256", plaintext()), (ScramSha256, Binding::No));
        let named = |names, list: &[Mechanism]| choose(&offer(names), &plan(Some(list)), &tls(true)).map(|(m, _)| m);
        assert_eq!(named(ALL, &[ScramSha1]), Ok(ScramSha1));
        assert_eq!(named("PLAIN X-OAUTH2", &[Plain]), Ok(Plain));
        assert_eq!(named(ALL, &[Plain]).unwrap_err().word, Word::NoCommonMechanism);
        let anonymous = Plan { account: None, ..plan(None) };
        assert_eq!(choose(&offer(ALL), &anonymous, &tls(true)).unwrap().0, Anonymous);
    }

    #[test]
    fn a_list_of_bindings_without_ours_means_no_plus() {
        let offer = Offer { bindings: Some(vec!["tls-unique".into()]), ..offer(ALL) };
        assert_eq!(choose(&offer, &plan(None), &tls(true)).unwrap(), (Mechanism::ScramSha256, Binding::No));
        let offer = Offer { bindings: Some(vec!["tls-exporter".into()]), ..offer };
        assert_eq!(choose(&offer, &plan(None), &tls(true)).unwrap().0, Mechanism::ScramSha256Plus);
    }

    #[test]
    fn plain_needs_tls_and_the_admins_word_and_anonymous_is_no_fallback() {
        let refused = |names, plan: &Plan, security| {
            let cause = choose(&offer(names), plan, &security).unwrap_err();
            assert_eq!(cause.word, Word::NoCommonMechanism);
            cause.text
        };
        let agreed = plan(Some(&[Mechanism::Plain]));
        assert!(refused("PLAIN", &plan(None), tls(true)).contains("must be named"));
        assert!(refused("PLAIN", &agreed, plaintext()).contains("never sent without TLS"));
        assert!(refused("PLAIN SCRAM-SHA-1", &agreed, tls(true)).contains("nothing better"));
        assert!(refused("ANONYMOUS EXTERNAL", &plan(None), tls(true)).contains("ANONYMOUS, EXTERNAL"));
        assert!(refused("", &plan(None), tls(true)).contains("no login mechanism"));
        refused("PLAIN", &Plan { account: None, ..plan(None) }, tls(true));
    }

    #[test]
    fn a_weaker_mechanism_than_last_time_is_refused_until_named() {
        use Mechanism::{ScramSha1, ScramSha256, ScramSha256Plus};
        let after = |mechanism, key_hash: &str, names, agreed: Option<&[Mechanism]>| {
            let last = Some(LastLogin { mechanism, key_hash: Some(key_hash.to_owned()) });
            choose(&offer(names), &Plan { last, ..plan(agreed) }, &tls(true)).map(|(m, _)| m).map_err(|c| c.word)
        };
        let same = hex(&[1; 32]);
        let refused = Err(Word::WeakerMechanism);
        assert_eq!(after(ScramSha256, &same, "SCRAM-SHA-1", None), refused);
        assert_eq!(after(ScramSha256, &same, "SCRAM-SHA-1", Some(&[ScramSha1])), Ok(ScramSha1));
        assert_eq!(after(ScramSha1, &same, "SCRAM-SHA-256", None), Ok(ScramSha256));
        assert_eq!(after(ScramSha256Plus, &same, "SCRAM-SHA-256", None), refused);
        // Another key: the server moved, or a proxy ends TLS before it now.
        assert_eq!(after(ScramSha256Plus, "00", "SCRAM-SHA-256", None), Ok(ScramSha256));
        assert_eq!(after(ScramSha256Plus, "00", "SCRAM-SHA-1", None), refused);
        assert_eq!(after(Mechanism::ScramSha1Plus, &same, "SCRAM-SHA-256", None), Ok(ScramSha256));
    }

    /// Runs an exchange; gives the client's final message and what comes of the server's.
    fn exchange(
        hash: Hash,
        binding: Binding,
        server: &[&str; 2],
        nonce: &str,
    ) -> Result<(String, Result<(), Cause>), Cause> {
        let mut scram = Scram::new(hash, binding, "user", &Secret::new("pencil"), nonce);
        let derive = scram.challenge(&BASE64.encode(server[0]))?;
        let last = decode(&scram.derived(&derive.run())?)?;
        Ok((last, scram.verify(&BASE64.encode(server[1]))))
    }

    const SHA_1: [&str; 2] =
        ["r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="];
    const SHA_256: [&str; 2] = [
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ];

    #[test]
    fn the_vectors_of_rfc_5802_and_rfc_7677_hold() {
        let (last, verified) = exchange(Hash::Sha1, Binding::No, &SHA_1, "fyko+d2lbbFgONRv9qkxdawL").unwrap();
        assert_eq!(last, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        verified.unwrap();
        let (last, verified) = exchange(Hash::Sha256, Binding::No, &SHA_256, "rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        verified.unwrap();
    }

    /// RFC 7677's exchange with the binding of RFC 9266 over the bytes 0 to 31, computed with Python's `hmac`.
    #[test]
    fn the_vector_with_a_channel_binding_holds() {
        let key: [u8; 32] = std::array::from_fn(|n| n as u8);
        let server = [SHA_256[0], "v=2GiAgapEppLVlUXbxUDksL3VgYHzuqiK5tR4mhJGgvs="];
        let (last, verified) = exchange(Hash::Sha256, Binding::Exporter(key), &server, "rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!(
            last,
            "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=QC6CS20quADQRb3mT99YUH+n3VJxUvzuK0K0E1Vrs2M="
        );
        verified.unwrap();
        let mut scram = Scram::new(Hash::Sha256, Binding::Exporter(key), "user", &Secret::new("p"), "n");
        assert_eq!(decode(&scram.initial()).unwrap(), "p=tls-exporter,,n=user,r=n");
        scram.binding = Binding::NotOffered;
        assert_eq!(decode(&scram.initial()).unwrap(), "y,,n=user,r=n");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let nonce = "fyko+d2lbbFgONRv9qkxdawL";
        for wrong in ["v=rmF9pqV8S7suAoZWja4dJRkFsKR=", "v=", "v=AAAA", "", "x=1"] {
            let (_, verified) = exchange(Hash::Sha1, Binding::No, &[SHA_1[0], wrong], nonce).unwrap();
            assert_eq!(verified.unwrap_err().word, Word::ServerNotAuthentic, "{wrong}");
        }
        let (_, verified) = exchange(Hash::Sha1, Binding::No, &[SHA_1[0], "e=invalid-proof"], nonce).unwrap();
        assert_eq!(verified.unwrap_err().word, Word::BadCredentials);
        let mut early = Scram::new(Hash::Sha1, Binding::No, "user", &Secret::new("pencil"), nonce);
        assert_eq!(early.verify("").unwrap_err().word, Word::ServerNotAuthentic);
    }

    #[test]
    fn challenges_that_we_must_not_answer_are_refused() {
        for wrong in [
            "r=other,s=QSXCR+Q6sek8bf92,i=4096",
            "r=nonce,s=QSXCR+Q6sek8bf92,i=4096",
            "r=nonce1,s=QSXCR+Q6sek8bf92,i=0",
            "r=nonce1,s=QSXCR+Q6sek8bf92,i=4000000000",
            "r=nonce1,s=QSXCR+Q6sek8bf92,i=-1",
            "r=nonce1,s=,i=4096",
            "r=nonce1,s=!!,i=4096",
            "m=x,r=nonce1,s=QSXCR+Q6sek8bf92,i=4096",
            "",
        ] {
            let mut scram = Scram::new(Hash::Sha1, Binding::No, "user", &Secret::new("pencil"), "nonce");
            assert_eq!(scram.challenge(&BASE64.encode(wrong)).unwrap_err().word, Word::ServerNotAuthentic, "{wrong}");
        }
        let mut scram = Scram::new(Hash::Sha1, Binding::No, "user", &Secret::new("pencil"), "nonce");
        assert!(scram.challenge("not base64").is_err());
    }

    #[test]
    fn names_are_escaped_and_prepared() {
        let scram = Scram::new(Hash::Sha1, Binding::No, "a=b,c\u{ad}", &Secret::new("x"), "r");
        assert_eq!(scram.first, "n=a=3Db=2Cc,r=r");
    }
}
