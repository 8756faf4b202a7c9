//! `[http]` and its tokens: as they were written and as they are meant. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::check::{Checker, View, quoted};
use super::listen::{Listen, listen};
use super::login::Sources;
use super::raw::{Raw, Section};
use super::{Secret, problem};
use crate::rights::{Rights, RoomPattern, Scope};

/// Where the interface listens when nothing else is said.
const LISTEN: &str = "127.0.0.1:8300";
/// Shortest token that is accepted, bytes: shorter ones can be guessed.
const TOKEN_BYTES: usize = 16;

const TOKEN: Sources =
    Sources { variable: "", file: "file", credential: "credential", missing: "the token has no secret" };

/// The HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: Listen,
    /// Certificates and key, PEM files; `None`: no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether a proxy on the way encrypts, and all peers have its address.
    pub behind_proxy: bool,
    /// Most requests of one token in a second, over some seconds.
    pub requests_per_second: u32,
    /// Most connections at a time.
    pub connections: usize,
    /// Who may ask.
    pub tokens: Vec<HttpToken>,
}

/// One bearer token (RFC 6750).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpToken {
    /// How the log and the audit call it.
    pub name: String,
    /// The token itself; empty where it was not looked at because the check was offline.
    pub secret: Secret,
    /// What its bearer may do.
    pub rights: Rights,
}

impl Checker<'_> {
    /// `[http]`; `None` where there is none.
    pub(super) fn http(&mut self, raw: &Raw) -> Option<Http> {
        let Some(section) = &raw.http else {
            if let Some(token) = raw.http_tokens.first() {
                self.reporter.report(&token.at, "http.token", "a token without [http]", "[http] before it");
            }
            return None;
        };
        let view = View::new("http", section);
        let listen = self
            .parsed(view, "listen", "\"ADDRESS:PORT\" or \"unix:PATH\"", |text| listen(text, &self.input.base.clone()))
            .unwrap_or_else(|| Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8300))));
        self.listens(view, &listen, "[http]");
        let tls = self.tls(view);
        let behind_proxy = self.flag(view, "behind_proxy").unwrap_or(false);
        if let (Listen::Tcp(address), None, false) = (&listen, &tls, behind_proxy)
            && !address.ip().is_loopback()
            && let Some(entry) = view.entry("listen")
        {
            let what = format!("{address} is open to other machines, and tokens would travel unencrypted");
            let expected =
                format!("tls_cert and tls_key, or behind_proxy = true where a proxy encrypts, or \"{LISTEN}\"");
            self.wrong(view, "listen", &entry.at, what, expected);
        }
        let requests_per_second = self.number(view, "requests_per_second", 1, 10_000).unwrap_or(50);
        let connections = self.number(view, "connections", 1, 10_000).unwrap_or(64);
        let tokens = self.tokens(&raw.http_tokens);
        if raw.http_tokens.is_empty() {
            let place = self.reporter.place(&section.at);
            self.warnings.push(format!("{place}: without an [[http.token]] nobody may ask for more than /v1/health"));
        }
        Some(Http {
            listen,
            tls,
            behind_proxy,
            requests_per_second: u32::try_from(requests_per_second).unwrap_or(50),
            connections: usize::try_from(connections).unwrap_or(64),
            tokens,
        })
    }

    /// Certificate and key of a listening end.
    pub(super) fn tls(&mut self, view: View<'_>) -> Option<(PathBuf, PathBuf)> {
        let cert = self.pem(view, "tls_cert", "-----BEGIN CERTIFICATE-----", "certificate");
        let key = self.pem(view, "tls_key", "PRIVATE KEY-----", "private key");
        for (there, missing) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
            if let (Some(entry), None) = (view.entry(there), view.entry(missing)) {
                self.wrong(view, there, &entry.at, format!("{there} without {missing}"), "both, or none");
            }
        }
        Some((cert?, key?))
    }

    fn tokens(&mut self, sections: &[Section]) -> Vec<HttpToken> {
        let mut tokens: Vec<HttpToken> = Vec::new();
        for section in sections {
            let view = View::new("http.token", section);
            let Some(HttpToken { name, secret, rights }) = self.bearer(view, &TOKEN) else { continue };
            let at = view.entry("file").or_else(|| view.entry("credential")).map_or(&section.at, |entry| &entry.at);
            if tokens.iter().any(|other| other.name == name) {
                let what = format!("another token is called {} already", quoted(&name));
                self.wrong(view, "name", &section.at, what, "each name once");
            }
            if tokens.iter().any(|other| !secret.expose().is_empty() && other.secret == secret) {
                self.wrong(view, "file", at, "another token is the same", "a token of its own for each name");
            }
            tokens.push(HttpToken { name, secret, rights });
        }
        tokens
    }

    /// A name for the log.
    pub(super) fn name(&mut self, view: View<'_>) -> Option<String> {
        if view.entry("name").is_none() {
            let expected = format!("name = \"…\" in this [[{}]]", view.path);
            self.wrong(view, "name", &view.section.at, "missing", expected);
        }
        self.parsed(view, "name", "a name for the log", |text| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
                Ok(text.to_owned())
            } else {
                Err("no name: letters, digits, dashes and underscores, at most 64".to_owned())
            }
        })
    }

    /// Somebody who shows a secret: its name, the secret, scopes and rooms.
    pub(super) fn bearer(&mut self, view: View<'_>, sources: &Sources) -> Option<HttpToken> {
        let name = self.name(view);
        let secret = self.password(view, sources);
        let scopes = self.scopes(view);
        let rooms = self.room_pattern(view);
        let (name, secret, scopes) = (name?, secret?, scopes?);
        let at = view.entry("file").or_else(|| view.entry("credential")).map_or(&view.section.at, |entry| &entry.at);
        if (1..TOKEN_BYTES).contains(&secret.expose().len()) {
            let expected = format!("at least {TOKEN_BYTES} characters; `openssl rand -hex 32` makes a good one");
            self.wrong(view, "file", at, "a token that can be guessed", expected);
        }
        Some(HttpToken { name, secret, rights: Rights { scopes, rooms: rooms.unwrap_or_else(RoomPattern::all) } })
    }

    /// Which rooms, by their names.
    pub(super) fn room_pattern(&mut self, view: View<'_>) -> Option<RoomPattern> {
        self.parsed(view, "rooms", "a pattern such as \"game-*\" or \"meet/*\"", |text| {
            if text.is_empty() { Err("empty".to_owned()) } else { Ok(RoomPattern::new(text)) }
        })
    }

    fn scopes(&mut self, view: View<'_>) -> Option<Vec<Scope>> {
        let names = Scope::ALL.map(Scope::as_str);
        let expected = problem::choices(names);
        let Some(entry) = view.entry("scopes") else {
            self.wrong(view, "scopes", &view.section.at, "missing", format!("a list, each {expected}"));
            return None;
        };
        let scope = |text: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or("unknown");
        let mut scopes = self.list(view, "scopes", &expected, &names, scope)?;
        if entry.is_empty() {
            self.wrong(view, "scopes", &entry.at, "empty", format!("a list, each {expected}"));
        }
        scopes.sort_unstable();
        scopes.dedup();
        Some(scopes)
    }
}
