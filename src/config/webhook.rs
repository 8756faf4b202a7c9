//! `[[webhook]]`: who is told by HTTP what happens. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::Secret;
use super::check::{Checker, View, quoted};
use super::endpoint::is_loopback;
use super::login::Sources;
use super::raw::Section;
use crate::event::{Event, Kind};
use crate::pattern::Pattern;
use crate::rights::RoomPattern;
use crate::sinks::webhook::address::is_public;
use crate::sinks::webhook::sign;

/// What is posted, and how it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Our own events, signed as Standard Webhooks has it.
    Innkeeper,
    /// As Reflector wants to hear of its meetings.
    Reflector,
    /// As Prosody's module `event_sync` tells.
    EventSync,
}

impl Dialect {
    /// As it is written.
    pub const NAMES: [(&'static str, Dialect); 3] =
        [("innkeeper", Dialect::Innkeeper), ("reflector", Dialect::Reflector), ("event_sync", Dialect::EventSync)];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Innkeeper => "innkeeper",
            Dialect::Reflector => "reflector",
            Dialect::EventSync => "event_sync",
        }
    }
}

/// What to do when nobody knows whether the receiver took something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// Send it again: it may arrive twice, under the same key.
    Retry,
    /// Go on with the next: it may be missing. For receivers who add and subtract and know no keys.
    Skip,
}

/// One receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// How status, log and commands call it; its place in the record goes by it.
    pub name: String,
    /// Where to post.
    pub url: Url,
    /// What, and how it is signed.
    pub dialect: Dialect,
    /// What it is signed with; `None`: not at all. Empty where it was not looked at because the check was offline.
    pub secret: Option<Secret>,
    /// Of which rooms.
    pub rooms: RoomPattern,
    /// Of which kinds; all that the dialect knows when empty.
    pub kinds: Vec<Pattern>,
    /// Whether it may be at an address that is not public.
    pub allow_private: bool,
    /// What to do when its answer is not known.
    pub on_unknown: OnUnknown,
    /// How long it may take.
    pub timeout: Duration,
    /// A further trust root, a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl Webhook {
    /// Whether it is to hear of an event, as far as the configuration says. Sessions are told of only where all rooms are.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let room = match &event.room {
            Some(room) => self.rooms.matches(&event.service, room),
            None => self.rooms.is_all(),
        };
        let kind = event.what.kind().as_str();
        room && (self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.matches(kind)))
    }
}

const SECRET: Sources = Sources {
    variable: "",
    file: "file",
    credential: "credential",
    missing: "nothing to sign with, so that anybody could post the same",
};

const URL: &str = "\"https://…\", or \"http://…\" to this machine";

impl Checker<'_> {
    /// All receivers.
    pub(super) fn webhooks(&mut self, sections: &[Section]) -> BTreeMap<String, Webhook> {
        let mut webhooks: BTreeMap<String, Webhook> = BTreeMap::new();
        for section in sections {
            let Some(webhook) = self.webhook(section) else { continue };
            if webhooks.contains_key(&webhook.name) {
                let view = View::new("webhook", section);
                let at = view.entry("name").map_or(&section.at, |entry| &entry.at);
                let what = format!("another webhook is called {} already", quoted(&webhook.name));
                self.wrong(view, "name", at, what, "each name once");
                continue;
            }
            webhooks.insert(webhook.name.clone(), webhook);
        }
        webhooks
    }

    fn webhook(&mut self, section: &Section) -> Option<Webhook> {
        let view = View::new("webhook", section);
        let name = self.parsed(view, "name", "a name for status and log", |text| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
                Ok(text.to_owned())
            } else {
                Err("no name: letters, digits, dashes and underscores, at most 64".to_owned())
            }
        });
        for key in ["name", "url"] {
            if view.entry(key).is_none() {
                self.wrong(view, key, &section.at, "missing", format!("{key} = \"…\" in this [[webhook]]"));
            }
        }
        let dialect = self.choice(view, "dialect", &Dialect::NAMES).unwrap_or(Dialect::Innkeeper);
        let allow_private = self.flag(view, "allow_private").unwrap_or(false);
        let url = self.webhook_url(view, allow_private);
        let secret = self.webhook_secret(view, dialect);
        let rooms = self.parsed(view, "rooms", "a pattern such as \"game-*\" or \"meet/*\"", |text| {
            if text.is_empty() { Err("empty".to_owned()) } else { Ok(RoomPattern::new(text)) }
        });
        let kinds = self.webhook_kinds(view);
        let on_unknown = self.choice(view, "on_unknown", &[("retry", OnUnknown::Retry), ("skip", OnUnknown::Skip)]);
        let timeout = self.duration(view, "timeout", Duration::from_secs(1), Duration::from_secs(60));
        let ca_file = self.pem(view, "ca_file", "-----BEGIN CERTIFICATE-----", "certificate");
        let usual = if dialect == Dialect::Reflector { OnUnknown::Skip } else { OnUnknown::Retry };
        Some(Webhook {
            name: name?,
            url: url?,
            dialect,
            secret,
            rooms: rooms.unwrap_or_else(RoomPattern::all),
            kinds,
            allow_private,
            on_unknown: on_unknown.unwrap_or(usual),
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            ca_file,
        })
    }

    fn webhook_url(&mut self, view: View<'_>, allow_private: bool) -> Option<Url> {
        let (text, at) = self.string(view, "url")?;
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => url,
            _ => {
                self.wrong(view, "url", at, "no address of the web", URL);
                return None;
            }
        };
        let host = url.host_str().unwrap_or_default();
        let problem = if !url.username().is_empty() || url.password().is_some() {
            Some(("a user or password in the address".to_owned(), "file for what proves who we are"))
        } else if url.scheme() == "http" && !is_loopback(host) {
            Some((
                format!("http: without TLS goes only to this machine itself, and \"{host}\" is another"),
                "https://…",
            ))
        } else {
            let private = match url.host() {
                Some(Host::Ipv4(address)) => !is_public(address.into()),
                Some(Host::Ipv6(address)) => !is_public(address.into()),
                _ => is_loopback(host),
            };
            (private && !allow_private)
                .then(|| (format!("{host} is a private address"), "allow_private = true beside it, if that is meant"))
        };
        if let Some((what, expected)) = problem {
            self.wrong(view, "url", at, what, expected);
            return None;
        }
        Some(url)
    }

    fn webhook_secret(&mut self, view: View<'_>, dialect: Dialect) -> Option<Secret> {
        let there = view.entry("file").or_else(|| view.entry("credential"));
        let Some(at) = there.map(|entry| &entry.at) else {
            // The module signs nothing, and asks for a header only where one is set.
            if dialect != Dialect::EventSync {
                self.wrong(view, "file", &view.section.at, SECRET.missing, "file = \"…\" with a secret in it");
            }
            return None;
        };
        let secret = self.password(view, &SECRET)?;
        // Reflector's is taken as it is written.
        if dialect == Dialect::Innkeeper && !sign::is_sound(&secret) {
            let expected = "Base64 behind whsec_, as `echo whsec_$(openssl rand -base64 32)` makes it";
            self.wrong(view, "file", at, "a secret that is not what its beginning says", expected);
        }
        Some(secret)
    }

    fn webhook_kinds(&mut self, view: View<'_>) -> Vec<Pattern> {
        let expected = "a kind or a pattern such as \"occupant.*\"";
        let kinds = self.list(view, "kinds", expected, &Kind::ALL.map(Kind::as_str), |text| {
            let pattern = Pattern::new(text);
            let some = Kind::ALL.iter().any(|kind| pattern.matches(kind.as_str()));
            if some { Ok(pattern) } else { Err("no kind of event") }
        });
        kinds.unwrap_or_default()
    }
}
