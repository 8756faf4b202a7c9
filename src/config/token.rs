//! Where tokens come from and what they claim, as it was written and as it is meant. Pure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{Checker, View, absolute, quoted};
use super::login::Sources;
use super::raw::Entry;
use super::{Endpoint, Secret, Token, value};
use crate::token::{self, Claims, Key, LONGEST, Signing, User};

/// Their names, as Prosody's `signature_algorithm` writes them.
const ALGORITHMS: &[(&str, Signing)] =
    &[("HS256", Signing::Hs256), ("HS384", Signing::Hs384), ("HS512", Signing::Hs512), ("RS256", Signing::Rs256)];

const SECRET: Sources = Sources {
    variable: "secret",
    file: "secret_file",
    credential: "secret_credential",
    missing: "no secret to sign tokens with",
};

/// How long a token lives that says nothing else.
const LIFE: Duration = Duration::from_secs(300);
/// Shorter ones would end on the way.
const SHORTEST: Duration = Duration::from_secs(30);

/// What is of use only where we make the tokens.
const OF_MINTING: &[&str] = &[
    "app_id",
    "secret",
    "secret_file",
    "secret_credential",
    "key_file",
    "kid",
    "token_algorithm",
    "token_audience",
    "token_issuer",
    "token_subject",
    "token_room",
    "token_life",
];

impl Checker<'_> {
    pub(super) fn token(&mut self, view: View<'_>, domain: Option<&str>, endpoint: &Endpoint) -> Option<Token> {
        match endpoint {
            Endpoint::WebSocket(url) => {
                let own = url.query_pairs().any(|(name, _)| name == "token");
                if let (true, Some(entry)) = (own, view.entry("url")) {
                    self.wrong(view, "url", &entry.at, "a token in the URL", "token_file, or app_id and a secret");
                }
            }
            _ => {
                // A wrong URL is told already.
                if let Some(entry) = view.entry("login")
                    && view.entry("url").is_none_or(
                        |url| matches!(&url.value, super::raw::Value::String(text) if text.starts_with("xmpp")),
                    )
                {
                    let what = "a token travels in the URL of a WebSocket, and the service has none";
                    self.wrong(view, "login", &entry.at, what, "url = \"wss://…/xmpp-websocket\"");
                }
            }
        }
        let given = ["token_file", "token_credential"].into_iter().filter_map(|key| Some((key, view.entry(key)?)));
        let given: Vec<(&str, &Entry)> = given.collect();
        match given.as_slice() {
            [] => self.minted(view, domain),
            [(key, _)] => self.given(view, key),
            [_, (key, entry), ..] => {
                self.wrong(view, key, &entry.at, "both token_file and token_credential", "one of them");
                None
            }
        }
    }

    fn given(&mut self, view: View<'_>, key: &str) -> Option<Token> {
        for other in OF_MINTING {
            if let Some(entry) = view.entry(other) {
                self.wrong(view, other, &entry.at, format!("of no use with {key}"), "one of the two to be left out");
            }
        }
        let (path, known) = match key {
            "token_credential" => match self.credential_path(view, key, "token_file")? {
                Some(path) => (path, true),
                None => (PathBuf::new(), false),
            },
            _ => (absolute(&self.input.base, self.string(view, key)?.0), true),
        };
        let mut one_room = false;
        if known {
            let at = &view.entry(key)?.at;
            let token = self.secret(view, key, at, &path)?;
            match token::room_of(token.expose()) {
                None => {
                    let what = format!("{}: no token in it", path.display());
                    self.wrong(view, key, at, what, "a JSON web token: three parts with dots between");
                    return None;
                }
                Some(Some(room)) => {
                    let place = self.reporter.place(at);
                    let what = format!("the token in {} is for the room {} alone", path.display(), quoted(&room));
                    self.warnings.push(format!("{place}: {what}: other rooms of this service will refuse it"));
                    one_room = true;
                }
                Some(None) => {}
            }
        }
        Some(Token::File { path, one_room })
    }

    fn minted(&mut self, view: View<'_>, domain: Option<&str>) -> Option<Token> {
        let app = self.parsed(view, "app_id", "the deployment's application id", claim);
        if view.entry("app_id").is_none() && !self.incomplete {
            let expected = "token_file, or app_id with secret_file or key_file";
            self.wrong(view, "app_id", &view.section.at, "no token and nothing to make one from", expected);
            return None;
        }
        let key = self.key(view);
        let audience = self.parsed(view, "token_audience", "an audience such as \"jitsi\"", claim);
        let issuer = self.parsed(view, "token_issuer", "an issuer such as the app_id", claim);
        let subject = self.parsed(view, "token_subject", "a domain, a tenant, or \"*\"", claim);
        let one_room = self.choice(view, "token_room", &[("*", false), ("room", true)]).unwrap_or(false);
        let life = self.duration(view, "token_life", SHORTEST, LONGEST).unwrap_or(LIFE);
        let app = app?;
        let claims = Claims {
            audience: audience.unwrap_or_else(|| "jitsi".to_owned()),
            issuer: issuer.unwrap_or(app),
            subject: subject.or_else(|| domain.map(str::to_owned))?,
            room: "*".to_owned(),
            life,
            user: User {
                id: "innkeeper".to_owned(),
                name: "Innkeeper".to_owned(),
                moderator: true,
                email: None,
                avatar: None,
            },
        };
        Some(Token::Minted { key: key?, claims: Box::new(claims), one_room })
    }

    fn key(&mut self, view: View<'_>) -> Option<Key> {
        let key_file = view.entry("key_file");
        let default = if key_file.is_some() { Signing::Rs256 } else { Signing::Hs256 };
        let signing = self.choice(view, "token_algorithm", ALGORITHMS).unwrap_or(default);
        if let Some(entry) = key_file {
            for key in ["secret", "secret_file", "secret_credential"] {
                if let Some(other) = view.entry(key) {
                    self.wrong(view, key, &other.at, format!("both key_file and {key}"), "one of them");
                }
            }
            if signing.is_shared() {
                let what = "a key pair signs with RS256 alone";
                self.wrong(view, "key_file", &entry.at, what, "token_algorithm = \"RS256\", or secret_file instead");
                return None;
            }
            let kid = self.parsed(view, "kid", "the name of the key", claim);
            if view.entry("kid").is_none() {
                let expected = "the name under which the server fetches the public key";
                self.wrong(view, "kid", &entry.at, "missing beside key_file", expected);
            }
            let path = absolute(&self.input.base, self.string(view, "key_file")?.0);
            return self.rsa(view, entry, &path, kid);
        }
        if let Some(entry) = view.entry("kid") {
            self.wrong(view, "kid", &entry.at, "of use only with key_file", "it to be left out");
        }
        if let (false, Some(entry)) = (signing.is_shared(), view.entry("token_algorithm")) {
            self.wrong(view, "token_algorithm", &entry.at, "RS256 takes a key pair", "key_file instead of a secret");
            return None;
        }
        let secret = self.password(view, &SECRET)?;
        Some(Key::shared(signing, secret))
    }

    fn rsa(&mut self, view: View<'_>, entry: &Entry, path: &Path, kid: Option<String>) -> Option<Key> {
        let read = self.input.secrets.read(path).and_then(|content| {
            let open = content.others_may_read;
            let text = String::from_utf8(content.bytes).map_err(|_| "not UTF-8 text".to_owned())?;
            let key = Key::rsa(Secret::new(text), kid).map_err(|error| error.to_string())?;
            Ok((key, open))
        });
        match read {
            Ok((key, open)) => {
                if open {
                    let place = self.reporter.place(&entry.at);
                    self.warnings.push(format!("{place}: everybody on this machine may read {}", path.display()));
                }
                Some(key)
            }
            Err(what) => {
                let what = format!("{}: {what}", path.display());
                self.wrong(view, "key_file", &entry.at, what, "a PEM file with a private RSA key");
                None
            }
        }
    }
}

/// A text that a claim may hold.
fn claim(text: &str) -> Result<String, String> {
    let line = value::line(text)?;
    if line.is_empty() { Err("empty".to_owned()) } else { Ok(line) }
}
