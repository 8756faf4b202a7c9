//! `[[authority]]`: who is asked about people in rooms, and says which rooms there are. As it was written and as it is
//! meant. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::check::{Checker, View, quoted};
use super::line::Line;
use super::login::Sources;
use super::raw::Section;
use super::{Defaults, Http, HttpToken, Room, RoomKey, Secret, Service, problem};
use crate::authority::{Fallback, Limits};
use crate::pattern::Pattern;
use crate::rights::RoomPattern;
use crate::room::Moderated;

const SECRET: Sources = Sources {
    variable: "",
    file: "file",
    credential: "credential",
    missing: "the authority has no secret to sign questions with",
};

/// Somebody outside who decides who may be in certain rooms of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// How the log, the audit and events call it.
    pub name: String,
    /// Of which service's rooms.
    pub service: String,
    /// Of which of its rooms, by name.
    pub rooms: Pattern,
    /// When it is asked.
    pub gate: Gate,
    /// How it is asked.
    pub asked: Asked,
    /// The bearer of this token of `[http]` speaks for it, beside the line that is asked. Neither may speak about others
    /// than its rooms.
    pub token: Option<String>,
    /// What is done about time, failures and the verdict `moderator`.
    pub limits: Limits,
}

/// When an authority is asked about somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// Once they are inside; who may not be there is kicked.
    #[default]
    After,
    /// When they knock at the room's lobby, which is kept on; who is inside without having knocked, then.
    Lobby,
}

/// How an authority is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// By a callback.
    Http {
        /// Where.
        url: Url,
        /// What questions are signed with.
        secret: Secret,
        /// A further trust root, a PEM file.
        ca_file: Option<PathBuf>,
        /// Whether it may be in a private network.
        allow_private: bool,
    },
    /// Over the line protocol.
    Line(String),
}

impl Authority {
    /// Whether it decides about that room.
    #[must_use]
    pub fn rules(&self, service: &str, room: &str) -> bool {
        self.service == service && self.rooms.matches(room)
    }
}

/// Whoever speaks for authorities speaks about their rooms and no others, whatever the line or the token names.
pub(super) fn confine(authorities: &[Authority], lines: &mut [Line], http: Option<&mut Http>) {
    let rooms_of = |speaks: &dyn Fn(&Authority) -> bool| -> Vec<RoomPattern> {
        let theirs = authorities.iter().filter(|authority| speaks(authority));
        theirs
            .map(|authority| RoomPattern::new(&format!("{}/{}", authority.service, authority.rooms.as_str())))
            .collect()
    };
    for Line { name, rights, .. } in lines {
        let rooms = rooms_of(&|authority| matches!(&authority.asked, Asked::Line(line) if line == name));
        rights.rooms = rights.rooms.clone().confined(rooms);
    }
    for HttpToken { name, rights, .. } in http.map_or(&mut [][..], |http| &mut http.tokens) {
        let rooms = rooms_of(&|authority| authority.token.as_ref() == Some(name));
        rights.rooms = rights.rooms.clone().confined(rooms);
    }
}

impl Checker<'_> {
    /// Every `[[authority]]`.
    pub(super) fn authorities(
        &mut self,
        sections: &[Section],
        services: &BTreeMap<String, Service>,
        lines: &[Line],
        http: Option<&Http>,
        defaults: &Defaults,
        rooms: &BTreeMap<RoomKey, Arc<Room>>,
    ) -> Vec<Authority> {
        let tokens = http.map_or(&[][..], |http| &http.tokens);
        let tokens: Vec<&str> = tokens.iter().map(|token| token.name.as_str()).collect();
        let mut authorities: Vec<Authority> = Vec::new();
        for section in sections {
            let view = View::new("authority", section);
            let name = self.name(view);
            let service = self.one_of(view, "service", &services.keys().map(String::as_str).collect::<Vec<_>>());
            if view.entry("rooms").is_none() {
                let expected = "rooms = \"game-*\": it is never asked about others, and may not speak about them";
                self.wrong(view, "rooms", &section.at, "missing", expected);
            }
            let ruled = self.parsed(view, "rooms", "a pattern such as \"game-*\"", |text| match text {
                "" => Err("empty".to_owned()),
                text if text.contains('/') => Err("with a slash, and service says which service".to_owned()),
                text => Ok(Pattern::new(text)),
            });
            let asked = self.asked(view, lines);
            let token = view.entry("token").and_then(|_| self.one_of(view, "token", &tokens));
            let limits = self.limits(view);
            let gate = self.choice(view, "gate", &[("after", Gate::After), ("lobby", Gate::Lobby)]).unwrap_or_default();
            let (Some(name), Some(service), Some(ruled), Some(asked)) = (name, service, ruled, asked) else { continue };
            if authorities.iter().any(|other| other.name == name) {
                let at = view.entry("name").map_or(&section.at, |entry| &entry.at);
                let what = format!("another authority is called {} already", quoted(&name));
                self.wrong(view, "name", at, what, "each name once");
            }
            let authority = Authority { name, service, rooms: ruled, gate, asked, token, limits };
            if gate == Gate::Lobby {
                self.lobbies(view, &authority, services, defaults, rooms);
            }
            authorities.push(authority);
        }
        authorities
    }

    /// Whether every room can have the lobby that an authority is asked at.
    fn lobbies(
        &mut self,
        view: View<'_>,
        authority: &Authority,
        services: &BTreeMap<String, Service>,
        defaults: &Defaults,
        rooms: &BTreeMap<RoomKey, Arc<Room>>,
    ) {
        let Some(entry) = view.entry("gate") else { return };
        if let Some(Service { name, focus: None, .. }) = services.get(&authority.service) {
            let what = format!("service {name} is plain XMPP, without a focus, so that its rooms have no lobby");
            self.wrong(view, "gate", &entry.at, what, "gate = \"after\", or another service");
        }
        let off = |moderated: Option<&Arc<Moderated>>| moderated.and_then(|one| one.locked.lobby) == Some(false);
        if off(defaults.moderated(None).as_ref()) {
            let expected = "lobby left out there, or gate = \"after\"";
            self.wrong(view, "gate", &entry.at, "[defaults] says lobby = false", expected);
            return;
        }
        let ruled = |key: &RoomKey| authority.rules(&key.service, &key.name);
        for (key, room) in rooms.iter().filter(|(key, room)| ruled(key) && off(room.moderated.as_ref())) {
            let what = format!("room {} in {} says lobby = false", quoted(&key.name), room.origin);
            self.wrong(view, "gate", &entry.at, what, "lobby left out there, or gate = \"after\"");
        }
    }

    /// A key that names one of these.
    pub(super) fn one_of(&mut self, view: View<'_>, key: &str, known: &[&str]) -> Option<String> {
        if view.entry(key).is_none() {
            self.wrong(view, key, &view.section.at, "missing", format!("{key} = \"…\" in this [[{}]]", view.path));
        }
        let all = problem::choices(known.iter().copied());
        let expected = if all.is_empty() { "one that is configured".to_owned() } else { all };
        self.parsed(view, key, &expected, |text| {
            if known.contains(&text) { Ok(text.to_owned()) } else { Err("unknown".to_owned()) }
        })
    }

    fn asked(&mut self, view: View<'_>, lines: &[Line]) -> Option<Asked> {
        match (view.entry("url"), view.entry("line")) {
            (Some(_), Some(entry)) => {
                self.wrong(view, "line", &entry.at, "both url and line", "one of them");
                None
            }
            (None, None) => {
                let expected = "url = \"https://…\", or line = \"…\" with the name of a [[line]]";
                self.wrong(view, "url", &view.section.at, "neither url nor line", expected);
                None
            }
            (None, Some(_)) => {
                for key in ["file", "credential", "ca_file", "allow_private"] {
                    if let Some(entry) = view.entry(key) {
                        self.wrong(view, key, &entry.at, "of no use with line", "it to be left out");
                    }
                }
                let known: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
                self.one_of(view, "line", &known).map(Asked::Line)
            }
            (Some(_), None) => {
                let allow_private = self.flag(view, "allow_private").unwrap_or(false);
                let ca_file = self.pem(view, "ca_file", "-----BEGIN CERTIFICATE-----", "certificate");
                let secret = self.password(view, &SECRET);
                let expected = "\"https://…\", or \"http://127.0.0.1:PORT/…\" on this machine";
                let url = self.parsed(view, "url", expected, callback);
                Some(Asked::Http { url: url?, secret: secret?, ca_file, allow_private })
            }
        }
    }

    fn limits(&mut self, view: View<'_>) -> Limits {
        let (moment, second, day) = (Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(86_400));
        let default = Limits::default();
        Limits {
            time: self.duration(view, "time_limit", moment, second * 30).unwrap_or(default.time),
            cache: self.duration(view, "cache", Duration::ZERO, day).unwrap_or(default.cache),
            fallback: self
                .choice(
                    view,
                    "on_failure",
                    &[("last", Fallback::Last), ("closed", Fallback::Closed), ("open", Fallback::Open)],
                )
                .unwrap_or(default.fallback),
            may_grant: self.flag(view, "may_grant").unwrap_or(default.may_grant),
        }
    }
}

/// Where callbacks go.
fn callback(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "no URL".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user".to_owned());
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(url::Host::Ipv4(address))) if address.is_loopback() => Ok(url),
        ("http", Some(url::Host::Ipv6(address))) if address.is_loopback() => Ok(url),
        ("http", Some(url::Host::Domain("localhost"))) => Ok(url),
        ("http", _) => Err("without TLS, and on another machine".to_owned()),
        _ => Err("no http or https URL".to_owned()),
    }
}
