//! From what was written to what is meant. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::listen::Listen;
use super::raw::{Entry, Place, Raw, Reporter, Section, Value};
use super::value::{self, FOCUS_NICK};
use super::{
    Config, Defaults, Endpoint, Input, Login, Mechanism, Media, PaceKind, Problem, Room, RoomKey, Secret, Service,
    Token, endpoint, problem, raw,
};

/// Where systemd shows each service its credentials.
const CREDENTIALS: &str = "/run/credentials";
/// The nick that sorts before all others, so that a lone browser never offers us peer-to-peer media.
const NICK: &str = "00000000_innkeeper";

/// Checks everything that was written.
///
/// # Errors
/// All problems at once, in the order of the files.
pub fn check(input: &Input<'_>) -> Result<Config, Vec<Problem>> {
    let mut reporter = Reporter::new(&input.files);
    let raw = raw::read(input, &mut reporter);
    let mut checker =
        Checker { input, reporter, warnings: Vec::new(), listening: Vec::new(), incomplete: raw.incomplete };
    let config = checker.config(&raw);
    if checker.reporter.is_empty() { Ok(config) } else { Err(checker.reporter.finish()) }
}

pub(super) struct Checker<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) reporter: Reporter<'a>,
    pub(super) warnings: Vec<String>,
    /// Where our own ends listen, and how they are called.
    pub(super) listening: Vec<(Listen, &'static str)>,
    /// A file is no TOML: what is missing may stand in it.
    pub(super) incomplete: bool,
}

/// A section while it is read: problems name its keys with this path.
#[derive(Clone, Copy)]
pub(super) struct View<'s> {
    pub(super) path: &'s str,
    pub(super) section: &'s Section,
}

impl<'s> View<'s> {
    pub(super) fn new(path: &'s str, section: &'s Section) -> Self {
        View { path, section }
    }

    pub(super) fn entry(self, key: &str) -> Option<&'s Entry> {
        self.section.entries.get(key)
    }

    fn key(self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Checker<'_> {
    fn config(&mut self, raw: &Raw<'_>) -> Config {
        let top = View { path: "", section: &raw.top };
        let control_socket = self.path(top, "control_socket").unwrap_or_else(|| {
            self.folder("RUNTIME_DIRECTORY").unwrap_or_else(|| "/run/innkeeper".into()).join("control.sock")
        });
        let state_dir = self
            .path(top, "state_dir")
            .unwrap_or_else(|| self.folder("STATE_DIRECTORY").unwrap_or_else(|| "/var/lib/innkeeper".into()));

        let day = Duration::from_secs(86_400);
        // As long as it is written and read back in years.
        let century = Duration::from_secs(100 * 31_557_600);
        let keep_events = self.duration(top, "keep_events", day, century).unwrap_or(day * 90);
        let keep_events_size =
            self.parsed(top, "keep_events_size", "a size such as \"1GiB\", at least 16MiB", |text| {
                let bytes = value::size(text).map_err(|what| format!("no size ({what})"))?;
                if bytes >= 16 * 1024 * 1024 { Ok(bytes as u64) } else { Err("too small".to_owned()) }
            });

        let mut services = BTreeMap::new();
        for (name, section) in &raw.services {
            if let Some(service) = self.service(name, section) {
                services.insert(name.clone(), service);
            }
        }
        let defaults = self.defaults(View { path: "defaults", section: &raw.defaults }, &services);
        let known: BTreeSet<&str> = raw.services.keys().map(String::as_str).collect();
        let rooms = self.rooms(&raw.rooms, &known, &services, &defaults);
        let policies = self.policies(raw, &services, rooms.iter().map(|(key, room)| (key, &**room)));
        if raw.services.is_empty() && !self.incomplete {
            self.warnings.push("no service is configured, so there is nothing to hold".to_owned());
        }
        let rtbl = self.rtbl(raw.list("rtbl"), &known);
        let mut http = self.http(raw);
        let mut lines = self.lines(raw.list("line"));
        let reservations = self.reservations(raw.list("reservations"), &services);
        let avchats = self.avchats(raw.list("avchat"), &services);
        let authorities = self.authorities(raw.list("authority"), &services, &lines, http.as_ref(), &defaults, &rooms);
        super::authority::confine(&authorities, &mut lines, http.as_mut());
        let webhooks = self.webhooks(raw.list("webhook"));
        let warnings = std::mem::take(&mut self.warnings);
        let mut config = Config {
            services,
            rooms,
            policies,
            rtbl,
            control_socket,
            state_dir,
            keep_events,
            keep_events_size: keep_events_size.unwrap_or(1024 * 1024 * 1024),
            defaults,
            http,
            lines,
            authorities,
            avchats,
            reservations,
            webhooks,
            warnings,
        };
        let mut rooms = std::mem::take(&mut config.rooms);
        for (key, room) in &mut rooms {
            let moderated = config.moderated(key, room.moderated.clone());
            if moderated != room.moderated {
                Arc::make_mut(room).moderated = moderated;
            }
        }
        Config { rooms, ..config }
    }

    /// The first folder that systemd names in a variable.
    fn folder(&self, variable: &str) -> Option<PathBuf> {
        let value = self.variable(variable)?;
        value.split(':').next().filter(|path| path.starts_with('/')).map(PathBuf::from)
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.input.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // ── values

    pub(super) fn wrong(
        &mut self,
        view: View<'_>,
        key: &str,
        at: &Place,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.reporter.report(at, &view.key(key), what, expected);
    }

    pub(super) fn string<'s>(&mut self, view: View<'s>, key: &str) -> Option<(&'s str, &'s Place)> {
        self.text(view, key, "a string between quotes")
    }

    fn text<'s>(&mut self, view: View<'s>, key: &str, expected: &str) -> Option<(&'s str, &'s Place)> {
        let entry = view.entry(key)?;
        if let Value::String(text) = &entry.value {
            return Some((text, &entry.at));
        }
        self.wrong(view, key, &entry.at, format!("{} instead of a string", entry.value.kind()), expected);
        None
    }

    pub(super) fn parsed<T>(
        &mut self,
        view: View<'_>,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, at) = self.text(view, key, expected)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.wrong(view, key, at, format!("{} is {what}", quoted(text)), expected);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, view: View<'_>, key: &str) -> Option<bool> {
        let entry = view.entry(key)?;
        match (&entry.value, &entry.at) {
            (Value::Bool(on), _) => return Some(*on),
            // The environment has only texts.
            (Value::String(text), Place::Variable(_)) if matches!(text.as_str(), "true" | "false") => {
                return Some(text == "true");
            }
            (value, _) => self.wrong(view, key, &entry.at, value.kind(), "true or false"),
        }
        None
    }

    pub(super) fn number(&mut self, view: View<'_>, key: &str, least: i64, most: i64) -> Option<i64> {
        let entry = view.entry(key)?;
        let number = match (&entry.value, &entry.at) {
            (Value::Integer(number), _) => Ok(*number),
            // The environment has only texts.
            (Value::String(text), Place::Variable(_)) => text.parse().map_err(|_| quoted(text)),
            (value, _) => Err(value.kind().to_owned()),
        };
        match number {
            Ok(number) if (least..=most).contains(&number) => return Some(number),
            Ok(number) => {
                self.wrong(view, key, &entry.at, number.to_string(), format!("a number from {least} to {most}"));
            }
            Err(what) => self.wrong(view, key, &entry.at, what, format!("a number from {least} to {most}")),
        }
        None
    }

    pub(super) fn duration(&mut self, view: View<'_>, key: &str, least: Duration, most: Duration) -> Option<Duration> {
        let expected = format!(
            "a duration such as \"30s\", \"5m\" or \"8h\", from {} to {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        );
        self.parsed(view, key, &expected, |text| {
            let duration = value::duration(text).map_err(|what| format!("no duration ({what})"))?;
            let fits = (least..=most).contains(&duration);
            if fits { Ok(duration) } else { Err("out of bounds".to_owned()) }
        })
    }

    pub(super) fn choice<T: Copy>(&mut self, view: View<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let expected = problem::choices(choices.iter().map(|(name, _)| *name));
        self.parsed(view, key, &expected, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value).ok_or_else(|| "unknown".to_owned())
        })
    }

    /// A list of strings, each as `read` takes it. The environment separates them by commas or blanks.
    ///
    /// Where `known` has names, one that is like the wrong one is proposed.
    pub(super) fn list<T>(
        &mut self,
        view: View<'_>,
        key: &str,
        expected: &str,
        known: &[&str],
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Vec<T>> {
        let entry = view.entry(key)?;
        let items: Vec<Entry> = match (&entry.value, &entry.at) {
            (Value::List(items), _) => items.clone(),
            (Value::String(text), at @ Place::Variable(_)) => {
                let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
                parts.map(|part| Entry { value: Value::String(part.to_owned()), at: at.clone() }).collect()
            }
            (value, at) => {
                let what = format!("{} instead of a list", value.kind());
                self.wrong(view, key, at, what, format!("a list, each {expected}"));
                return None;
            }
        };
        let mut list = Vec::new();
        for Entry { value, at } in &items {
            match value {
                Value::String(text) => match read(text) {
                    Ok(one) => list.push(one),
                    Err(what) => {
                        let expected = problem::meant(text, known.iter().copied(), expected);
                        self.wrong(view, key, at, format!("{} is {what}", quoted(text)), expected);
                    }
                },
                other => self.wrong(view, key, at, format!("{} instead of a string", other.kind()), expected),
            }
        }
        Some(list)
    }

    fn path(&mut self, view: View<'_>, key: &str) -> Option<PathBuf> {
        self.parsed(view, key, "a path", |text| {
            if text.is_empty() { Err("empty".to_owned()) } else { Ok(absolute(&self.input.base, text)) }
        })
    }

    // ── secrets

    /// Reads a secret file; what is wrong names the file, never what it holds.
    pub(super) fn secret(&mut self, view: View<'_>, key: &str, at: &Place, path: &Path) -> Option<Secret> {
        let content = match self.input.secrets.read(path) {
            Ok(content) => content,
            Err(what) => {
                self.wrong(view, key, at, format!("{}: {what}", path.display()), "a readable file");
                return None;
            }
        };
        let open = content.others_may_read;
        let (noun, most) = match key {
            "token_file" | "token_credential" => ("token", value::TOKEN_BYTES),
            "secret_file" | "secret_credential" => ("secret", value::PASSWORD_BYTES),
            _ => ("password", value::PASSWORD_BYTES),
        };
        match value::secret(content, most) {
            Ok((secret, stripped)) => {
                let name = self.reporter.place(at);
                // Where both sides are told the secret by a file, its line end is part of it for neither.
                let ours = ["http.token", "line", "authority", "webhook"].contains(&view.path);
                if stripped && !ours {
                    self.warnings.push(format!("{name}: the line end in {} is not part of the {noun}", path.display()));
                }
                if open {
                    self.warnings.push(format!("{name}: everybody on this machine may read {}", path.display()));
                }
                Some(Secret::new(secret))
            }
            Err(what) => {
                self.wrong(view, key, at, format!("{}: {what}", path.display()), format!("one line with the {noun}"));
                None
            }
        }
    }

    // ── services

    fn service(&mut self, name: &str, section: &Section) -> Option<Service> {
        let path = format!("service.{name}");
        let view = View { path: &path, section };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let what = format!("{} is no name for a service", quoted(name));
            self.reporter.report(&section.at, &path, what, "letters, digits, dashes and underscores");
        }
        let domain = self.parsed(view, "domain", "a domain such as \"meet.jitsi\"", value::domain);
        if domain.is_none() && view.entry("domain").is_none() && !self.incomplete {
            self.wrong(view, "domain", &section.at, "missing", "the XMPP domain that the account lives on");
        }
        let endpoint = match self.string(view, "url") {
            None => Endpoint::Srv,
            Some((text, at)) => match endpoint::endpoint(text) {
                Ok(endpoint) => endpoint,
                Err((what, expected)) => {
                    self.wrong(view, "url", at, what, expected);
                    Endpoint::Srv
                }
            },
        };
        let muc = self.parsed(view, "muc", "a domain such as \"muc.meet.jitsi\"", value::domain);
        let focus = self.focus(view, domain.as_deref());
        let login = self.login(view, domain.as_deref(), focus.is_some(), &endpoint);
        let mechanisms = self.mechanisms(view);
        let ca_file = self.pem(view, "ca_file", "-----BEGIN CERTIFICATE-----", "certificate");
        let nameserver = self.parsed(view, "nameserver", "an address such as \"192.0.2.53\"", value::nameserver);
        let second = Duration::from_secs(1);
        let service = Service {
            name: name.to_owned(),
            endpoint,
            domain: domain.clone().unwrap_or_default(),
            muc,
            focus,
            mechanisms,
            ca_file,
            nameserver,
            rooms_per_session: self.rooms_per_session(view, login.as_ref()),
            joins_per_second: u32::try_from(self.number(view, "joins_per_second", 1, 100_000).unwrap_or(200))
                .unwrap_or(200),
            pace: self
                .choice(view, "pace", &[("adaptive", PaceKind::Adaptive), ("rate-limited", PaceKind::RateLimited)])
                .unwrap_or(PaceKind::Adaptive),
            self_ping: self.duration(view, "self_ping", second, second * 86_400).unwrap_or(second * 300),
            after_kick: self.duration(view, "after_kick", second, second * 86_400).unwrap_or(second * 120),
            login: login.unwrap_or(Login::Anonymous),
            media: self
                .choice(view, "media", &[("pending", Media::Pending), ("refuse", Media::Refuse)])
                .unwrap_or(Media::Pending),
            stanza_bytes: self.stanza_limit(view).unwrap_or(256 * 1024),
            record: self.path(view, "record"),
            record_content: self.flag(view, "record_content").unwrap_or(false),
        };
        domain.map(|_| service)
    }

    /// How many rooms share a session: one, where each token is for one room.
    fn rooms_per_session(&mut self, view: View<'_>, login: Option<&Login>) -> usize {
        let number = self.number(view, "rooms_per_session", 1, 100_000);
        let token = if let Some(Login::Token(token)) = login { Some(&**token) } else { None };
        let Some(Token::File { one_room: true, .. } | Token::Minted { one_room: true, .. }) = token else {
            return number.and_then(|number| usize::try_from(number).ok()).unwrap_or(50);
        };
        if let (Some(2..), Some(entry)) = (number, view.entry("rooms_per_session")) {
            let expected = match token {
                Some(Token::Minted { .. }) => "1, or it to be left out, or token_room = \"*\"",
                _ => "1, or it to be left out, or a token whose claim `room` is \"*\"",
            };
            self.wrong(view, "rooms_per_session", &entry.at, "a token for one room can hold one", expected);
        }
        if let (None, Some(entry)) = (view.entry("muc"), view.entry("token_room")) {
            let what = "\"room\" needs the rooms' domain before it can log in";
            self.wrong(view, "token_room", &entry.at, what, "muc = \"…\" beside it, or \"*\"");
        }
        1
    }

    fn focus(&mut self, view: View<'_>, domain: Option<&str>) -> Option<String> {
        let default = || domain.map(|domain| format!("focus.{domain}"));
        let expected = "an address such as \"focus.meet.jitsi\", or false for rooms without a focus";
        let Some(entry) = view.entry("focus") else { return default() };
        match (&entry.value, &entry.at) {
            (Value::Bool(false), _) => None,
            (Value::String(text), Place::Variable(_)) if text == "false" => None,
            (Value::String(_), _) => self.parsed(view, "focus", expected, value::address).or_else(default),
            (value, _) => {
                let what = if let Value::Bool(_) = value { "true" } else { value.kind() };
                self.wrong(view, "focus", &entry.at, what, expected);
                default()
            }
        }
    }

    fn mechanisms(&mut self, view: View<'_>) -> Option<Vec<Mechanism>> {
        let names: Vec<_> = value::MECHANISMS.iter().map(|(name, _)| *name).collect();
        let expected = problem::choices(names.iter().copied());
        let list = self.list(view, "mechanisms", &expected, &names, |text| value::mechanism(text).ok_or("unknown"))?;
        if list.is_empty() && view.entry("mechanisms").is_some_and(Entry::is_empty) {
            self.wrong(view, "mechanisms", &view.entry("mechanisms")?.at, "empty", expected);
        }
        Some(list)
    }

    /// A PEM file that holds what `marker` announces.
    pub(super) fn pem(&mut self, view: View<'_>, key: &str, marker: &str, noun: &str) -> Option<PathBuf> {
        let path = self.path(view, key)?;
        let at = &view.entry(key)?.at;
        match self.input.secrets.read(&path) {
            Ok(content) if String::from_utf8_lossy(&content.bytes).contains(marker) => {}
            Ok(_) => self.wrong(view, key, at, format!("{}: no {noun} in it", path.display()), "a PEM file"),
            // Of a service that is not running, or another user's: as with a credential by its name.
            Err(_) if self.input.offline && path.starts_with(CREDENTIALS) => {
                let place = self.reporter.place(at);
                let why = "systemd gives it to the service only";
                self.warnings.push(format!("{place}: {} was not looked at: {why}", path.display()));
            }
            Err(what) => self.wrong(view, key, at, format!("{}: {what}", path.display()), "a readable PEM file"),
        }
        Some(path)
    }

    fn stanza_limit(&mut self, view: View<'_>) -> Option<usize> {
        let (least, most) = (16 * 1024, 16 * 1024 * 1024);
        if let Some(Entry { value: Value::Integer(_), .. }) = view.entry("stanza_limit") {
            return usize::try_from(self.number(view, "stanza_limit", 16 * 1024, 16 * 1024 * 1024)?).ok();
        }
        self.parsed(view, "stanza_limit", "a size such as \"256KiB\", from 16KiB to 16MiB", |text| {
            let size = value::size(text).map_err(|what| format!("no size ({what})"))?;
            if (least..=most).contains(&size) { Ok(size) } else { Err("out of bounds".to_owned()) }
        })
    }

    // ── rooms

    fn nick(&mut self, view: View<'_>) -> Option<String> {
        self.parsed(view, "nick", "a nick", value::nick)
    }

    fn display_name(&mut self, view: View<'_>) -> Option<String> {
        self.parsed(view, "display_name", "one line of text", |text| {
            let line = value::line(text)?;
            if line.trim().is_empty() { Err("empty".to_owned()) } else { Ok(line) }
        })
    }

    fn defaults(&mut self, view: View<'_>, services: &BTreeMap<String, Service>) -> Defaults {
        let nick = self.nick(view).unwrap_or_else(|| NICK.to_owned());
        let with_focus = services.values().find(|service| service.focus.is_some());
        if let (false, Some(service), Some(entry)) = (value::fits_focus(&nick), with_focus, view.entry("nick")) {
            let what = format!("{} is no nick for service {}, which has a focus", quoted(&nick), service.name);
            self.wrong(view, "nick", &entry.at, what, FOCUS_NICK);
        }
        Defaults {
            nick: nick.into(),
            display_name: self.display_name(view).map_or_else(|| "Innkeeper".into(), Into::into),
            password: self.secret_file(view, "password_file"),
            moderated: self.moderated(view),
        }
    }

    fn rooms(
        &mut self,
        sections: &[Section],
        known: &BTreeSet<&str>,
        services: &BTreeMap<String, Service>,
        defaults: &Defaults,
    ) -> BTreeMap<RoomKey, Arc<Room>> {
        let mut rooms: BTreeMap<RoomKey, Arc<Room>> = BTreeMap::new();
        // One name for a thousand rooms.
        let names: BTreeMap<&str, Arc<str>> = known.iter().map(|name| (*name, Arc::from(*name))).collect();
        for section in sections {
            let view = View { path: "", section };
            for key in ["service", "name"] {
                if view.entry(key).is_none() {
                    self.wrong(view, key, &section.at, "missing", format!("{key} = \"…\" in this [[room]]"));
                }
            }
            let service = self.service_named(view, known);
            let name = self.parsed(view, "name", "a room's name or room JID", value::room);
            let nick = self.nick(view);
            let settings = services.get(service.unwrap_or_default());
            if let (Some(nick), Some(Service { name, focus: Some(_), .. }), Some(entry)) =
                (&nick, settings, view.entry("nick"))
                && !value::fits_focus(nick)
            {
                let what = format!("{} is no nick for service {name}, which has a focus", quoted(nick));
                self.wrong(view, "nick", &entry.at, what, FOCUS_NICK);
            }
            let display_name = self.display_name(view);
            let moderated = self.moderated(view);
            let password = self.secret_file(view, "password_file");
            let (Some(service), Some((name, domain))) = (service, name) else { continue };
            let (name, domain) = canonical(name, domain, settings.and_then(|service| service.muc.as_deref()));
            let key = RoomKey::new(names.get(service).cloned().unwrap_or_else(|| service.into()), &name);
            if let Some(first) = rooms.get(&key) {
                let at = view.entry("name").map_or(&section.at, |entry| &entry.at);
                let what = format!("room {} of service {service} is already in {}", quoted(&name), first.origin);
                self.wrong(view, "name", at, what, "each room once");
                continue;
            }
            let muc = domain.filter(|domain| settings.and_then(|service| service.muc.as_ref()) != Some(domain));
            let origin = self.reporter.place(&section.at);
            let password = password.or_else(|| defaults.password.clone());
            let room = Room {
                key: key.clone(),
                muc,
                nick: nick.map_or_else(|| defaults.nick.clone(), Into::into),
                display_name: display_name.map_or_else(|| defaults.display_name.clone(), Into::into),
                moderated: moderated.over(&defaults.moderated, password.as_ref()),
                password,
                origin: origin.into(),
            };
            rooms.insert(key, Arc::new(room));
        }
        rooms
    }

    pub(super) fn service_named<'s>(&mut self, view: View<'s>, known: &BTreeSet<&str>) -> Option<&'s str> {
        let (name, at) = self.string(view, "service")?;
        if known.contains(name) {
            return Some(name);
        }
        if !self.incomplete {
            let otherwise = match problem::choices(known.iter().copied()) {
                none if none.is_empty() => "a [service.NAME] in one of the files".to_owned(),
                all => all,
            };
            let expected = problem::meant(name, known.iter().copied(), &otherwise);
            self.wrong(view, "service", at, format!("no service is called {}", quoted(name)), expected);
        }
        None
    }
}

/// A tenant's room under its one name, `[tenant]room`, also where it was given by its JID.
fn canonical(name: String, domain: Option<String>, muc: Option<&str>) -> (String, Option<String>) {
    match domain.as_deref().zip(muc).and_then(|(domain, muc)| crate::xmpp::jid::tenant(muc, domain)) {
        Some(tenant) => (format!("[{tenant}]{name}"), None),
        None => (name, domain),
    }
}

/// A path as it is opened: relative ones start at the main file's folder.
pub(super) fn absolute(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

/// A text in quotes, shortened, safe for a terminal.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().count() > 60 {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
