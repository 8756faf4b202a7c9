//! `[[policy]]` tables: which rules hold in which rooms. Pure.
//!
//! Rules read their own options with `serde`, so that a rule is one file; here their errors get a place, one for each
//! option that is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::check::{Checker, absolute, quoted};
use super::raw::{Place, Raw};
use super::{Login, Room, RoomKey, Service, nearest, value};
use crate::pattern::Pattern;
use crate::policy::exempt::ENTRIES;
use crate::policy::rules::{self, Given, KINDS, Wrong};
use crate::policy::{AllowList, Attached, Measure, Mode, Policies, RuleKind, Steps, Table, Trust};

/// Keys of `[[policy]]`, with what they take.
pub(super) const HEADER: &[(&str, &str)] = &[
    ("service", "a service's name"),
    ("rooms", "a room's name or a pattern such as \"class-*\", or a list of them"),
    ("mode", MODES),
    ("exempt", ENTRIES),
    ("guest_domains", "a list of domains such as [\"guest.meet.jitsi\"]"),
    ("recorder_domains", "a list of domains such as [\"recorder.meet.jitsi\"]"),
    ("verified_tokens", "true or false"),
];
/// Keys of `[policy.strikes]`, with what they take.
pub(super) const STRIKES: &[(&str, &str)] =
    &[("steps", "a list such as [\"warn\", \"mute\", \"kick\", \"ban 1h\"]"), ("forget", "a duration such as \"1h\"")];
/// Keys that every rule has, with what they take.
pub(super) const COMMON: &[(&str, &str)] = &[("mode", MODES), ("action", ACTIONS)];

const MODES: &str = "\"dry-run\" or \"enforce\"";
const ACTIONS: &str = "\"strike\", \"note\", \"warn\", \"mute\", \"demote\", \"kick\", \"ban\" or \"ban 1h\"";

/// Every key that may stand in or under `[[policy]]`.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let fixed = [HEADER, STRIKES, COMMON].into_iter().flatten().map(|(key, _)| *key);
    fixed.chain(KINDS.iter().flat_map(|kind| kind.options.iter().map(|option| option.name)))
}

/// What stands in a `[[policy]]` itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    service: Option<String>,
    rooms: Option<Rooms>,
    mode: Option<Mode>,
    exempt: Vec<String>,
    guest_domains: Vec<String>,
    recorder_domains: Vec<String>,
    verified_tokens: bool,
}

/// One pattern or several.
#[derive(Debug)]
struct Rooms(Vec<String>);

impl<'de> Deserialize<'de> for Rooms {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> serde::de::Visitor<'de> for OneOrMany {
            type Value = Rooms;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<Rooms, E> {
                Ok(Rooms(vec![one.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Rooms, A::Error> {
                let mut rooms = Vec::new();
                while let Some(room) = list.next_element()? {
                    rooms.push(room);
                }
                Ok(Rooms(rooms))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// What is common to all rules.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Common {
    mode: Option<Mode>,
    action: Option<Measure>,
}

/// A table on its way, with what its errors are called.
struct Part<'p, 't> {
    file: usize,
    path: &'p str,
    at: Place,
    span: std::ops::Range<usize>,
    table: DeTable<'t>,
}

impl<'t> Part<'_, 't> {
    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place::File { file: self.file, span }
    }

    fn value(&self) -> Spanned<DeValue<'t>> {
        Spanned::new(self.span.clone(), DeValue::Table(self.table.clone()))
    }

    /// Takes the given keys out, into a part of their own.
    fn take(&mut self, keys: &[(&str, &str)]) -> Self {
        let (taken, left) = std::mem::take(&mut self.table)
            .into_iter()
            .partition(|(key, _)| keys.iter().any(|(known, _)| *known == key.get_ref()));
        self.table = left;
        Part { file: self.file, path: self.path, at: self.at.clone(), span: self.span.clone(), table: taken }
    }
}

/// What `serde` says of a value, as the other tables say it.
fn in_our_words(said: &str) -> String {
    let said = said.split(", expected").next().unwrap_or_default();
    let (kind, value) = said.split_once(": ").unwrap_or((said, ""));
    match kind {
        "invalid type" => match value.split([' ', '`']).next().unwrap_or_default() {
            "boolean" => "true or false",
            "integer" => "a number",
            "floating" => "a fraction",
            "string" => "a string",
            "sequence" => "a list",
            "map" => "a table",
            _ => said,
        }
        .to_owned(),
        "invalid value" => value.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == ' ').replace('`', ""),
        _ => match said.strip_prefix("unknown variant ") {
            Some(variant) => format!("{} is unknown", quoted(variant.trim_matches('`'))),
            None if said.starts_with("wanted string") => "no string".to_owned(),
            None => said.replace('`', ""),
        },
    }
}

impl Checker<'_> {
    /// Reads all policies, and says which of them no room has.
    pub(super) fn policies<'r>(
        &mut self,
        raw: &Raw<'_>,
        services: &BTreeMap<String, Service>,
        rooms: impl Iterator<Item = (&'r RoomKey, &'r Room)> + Clone,
    ) -> Policies {
        let mut policies = Policies::default();
        for (file, value) in &raw.policies {
            let at = Place::File { file: *file, span: value.span() };
            let DeValue::Table(table) = value.get_ref() else {
                self.reporter.report(&at, "policy", "not a table", "[[policy]]");
                continue;
            };
            let part = Part { file: *file, path: "policy", at, span: value.span(), table: table.clone() };
            let Some(table) = self.policy(part, services) else { continue };
            if !rooms.clone().any(|(key, _)| table.covers(&key.service, &key.name)) && !self.incomplete {
                let patterns: Vec<_> = table.rooms.iter().map(|rooms| quoted(rooms.as_str())).collect();
                self.warnings.push(format!("{}: no room is called {}", table.origin, patterns.join(" or ")));
            }
            policies.tables.push(table);
        }
        for service in services.values() {
            if let Login::Guest { domain, .. } = &service.login {
                policies.guest_domains.push(domain.as_str().into());
            }
        }
        policies
    }

    fn policy(&mut self, mut part: Part<'_, '_>, services: &BTreeMap<String, Service>) -> Option<Table> {
        let header = part.take(HEADER);
        let strikes = part.take(&[("strikes", "")]);
        let places: BTreeMap<String, Place> =
            header.table.iter().map(|(key, value)| (key.get_ref().to_string(), header.place(value.span()))).collect();
        let at = |key: &str| places.get(key).unwrap_or(&part.at);
        let header: Option<Header> = self.read(header, HEADER, |value| {
            Header::deserialize(ValueDeserializer::from(value)).map_err(Wrong::Unreadable)
        });
        let header = header.unwrap_or_default();
        if let Some(service) = header.service.as_deref().filter(|name| !services.contains_key(*name))
            && !self.incomplete
        {
            let expected = match nearest(service, services.keys().map(String::as_str)) {
                Some(near) => format!("\"{near}\" (did you mean that?)"),
                None => "the name of a [service.NAME]".to_owned(),
            };
            let what = format!("no service is called {}", quoted(service));
            self.reporter.report(at("service"), "policy.service", what, expected);
        }
        let given = header.rooms.is_some();
        let rooms = header.rooms.map(|Rooms(rooms)| rooms).unwrap_or_default();
        // One that could not be read has been reported.
        if rooms.is_empty() && (given || !places.contains_key("rooms")) {
            let what = if given { "empty" } else { "missing" };
            self.reporter.report(at("rooms"), "policy.rooms", what, HEADER[1].1);
        }
        if let Some(wrong) = rooms.iter().find(|room| room.trim().is_empty() || room.contains(['@', '/', ' '])) {
            let what = format!("{} is no room's name", quoted(wrong));
            self.reporter.report(at("rooms"), "policy.rooms", what, HEADER[1].1);
        }
        let exempt = AllowList::read(header.exempt.iter().map(String::as_str)).unwrap_or_else(|what| {
            self.reporter.report(at("exempt"), "policy.exempt", what, ENTRIES);
            AllowList::default()
        });
        let mut domains = |key: &str, list: &[String]| -> Vec<Box<str>> {
            let read = |text: &String| value::domain(text).map(Into::into).map_err(|_| text.clone());
            list.iter().map(read).collect::<Result<_, String>>().unwrap_or_else(|wrong| {
                let what = format!("{} is no domain", quoted(&wrong));
                self.reporter.report(at(key), &format!("policy.{key}"), what, "domains");
                Vec::new()
            })
        };
        let trust = Trust {
            verified_tokens: header.verified_tokens,
            guest_domains: domains("guest_domains", &header.guest_domains),
            recorder_domains: domains("recorder_domains", &header.recorder_domains),
        };
        let steps = self.strikes(strikes);
        let mode = header.mode.unwrap_or(Mode::DryRun);
        let rules = self.rules(&mut part, mode);
        Some(Table {
            service: header.service.map(Into::into),
            rooms: rooms.iter().map(|room| Pattern::new(room)).collect(),
            rules,
            exempt,
            trust,
            steps,
            origin: self.reporter.place(&part.at).into(),
        })
    }

    fn strikes(&mut self, part: Part<'_, '_>) -> Option<Steps> {
        let (_, value) = part.table.iter().next()?;
        let at = part.place(value.span());
        let DeValue::Table(table) = value.get_ref() else {
            self.reporter.report(&at, "policy.strikes", "not a table", "[policy.strikes]");
            return None;
        };
        let part = Part { file: part.file, path: "policy.strikes", at, span: value.span(), table: table.clone() };
        self.read(part, STRIKES, |value| {
            let steps = Steps::deserialize(ValueDeserializer::from(value)).map_err(Wrong::Unreadable)?;
            if steps.steps.is_empty() { Err(Wrong::senseless("steps", "empty")) } else { Ok(steps) }
        })
    }

    fn rules(&mut self, part: &mut Part<'_, '_>, mode: Mode) -> BTreeMap<&'static str, Attached> {
        let mut attached = BTreeMap::new();
        for (key, value) in std::mem::take(&mut part.table) {
            let name: &str = key.get_ref();
            let Some(kind) = rules::kind(name) else {
                let known = KINDS.iter().map(|kind| kind.name).chain(HEADER.iter().map(|(key, _)| *key));
                let expected = match nearest(name, known.chain(["strikes"])) {
                    Some(near) => format!("{near} (did you mean that?)"),
                    None => "a rule; `innkeeper rules` lists them".to_owned(),
                };
                self.reporter.report(&part.place(key.span()), &format!("policy.{name}"), "unknown key", expected);
                continue;
            };
            let path = format!("policy.{name}");
            let span = value.span();
            let at = part.place(span.clone());
            let DeValue::Table(table) = value.into_inner() else {
                self.reporter.report(&at, &path, "not a table", format!("[{path}]"));
                continue;
            };
            let rule = Part { file: part.file, path: &path, at, span, table };
            attached.extend(self.rule(kind, rule, mode).map(|rule| (kind.name, rule)));
        }
        attached
    }

    fn rule(&mut self, kind: &'static RuleKind, mut part: Part<'_, '_>, mode: Mode) -> Option<Attached> {
        let shared = if kind.measure.is_some() { COMMON } else { &COMMON[..1] };
        let common = part.take(shared);
        let common = self.read(common, COMMON, |value| {
            Common::deserialize(ValueDeserializer::from(value)).map_err(Wrong::Unreadable)
        });
        let options = kind.options.iter().map(|option| (option.name, option.help));
        let options: Vec<(&str, &str)> = options.chain(shared.iter().copied()).collect();
        // Two rules are the same if their options are, and what the files hold that these name.
        let mut written = toml::Table::deserialize(ValueDeserializer::from(part.value()))
            .map(|table| table.to_string())
            .unwrap_or_default();
        let (files, base) = (self.input.secrets, &self.input.base);
        let mut contents = DefaultHasher::new();
        let plan = self.read(part, &options, |table| {
            let mut read = |file: &str| {
                let bytes = files.read(&absolute(base, file))?.bytes;
                bytes.hash(&mut contents);
                String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())
            };
            (kind.load)(Given { table, read: &mut read })
        });
        // Writing to a String can not go wrong.
        let _ = write!(written, "{:x}", contents.finish());
        let (common, plan) = (common?, plan?);
        let measure = common.action.or(kind.measure).unwrap_or(Measure::Strike);
        Some(Attached { kind, mode: common.mode.unwrap_or(mode), measure, plan, written: written.into() })
    }

    /// Makes something of a table, and reports every key that is in the way. What is made without those is of no use but
    /// for finding further mistakes: a configuration with a problem is refused.
    fn read<'t, T>(
        &mut self,
        mut part: Part<'_, 't>,
        known: &[(&str, &str)],
        mut make: impl FnMut(Spanned<DeValue<'t>>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let unknown = |key: &str| !names.contains(&key);
        let strangers: Vec<_> = part.table.keys().filter(|key| unknown(key.get_ref())).cloned().collect();
        for key in strangers {
            let expected = match nearest(key.get_ref(), names.iter().copied()) {
                Some(near) => format!("{near} (did you mean that?)"),
                None if names.is_empty() => "no key here".to_owned(),
                None => format!("one of {}", names.join(", ")),
            };
            let name = format!("{}.{}", part.path, key.get_ref());
            self.reporter.report(&part.place(key.span()), &name, "unknown key", expected);
            part.table.remove(&key);
        }
        let mut reported = false;
        loop {
            let (key, at, what) = match make(part.value()) {
                Ok(made) => return Some(made),
                // It may be missing only because it could not be read.
                Err(Wrong::Senseless { key, .. }) if reported && !part.table.contains_key(key) => return None,
                Err(Wrong::Senseless { key, what }) => {
                    let at = part.table.get(key).map_or_else(|| part.at.clone(), |value| part.place(value.span()));
                    (Some((key.to_owned(), true)), at, what)
                }
                Err(Wrong::Unreadable(error)) => {
                    let what = in_our_words(error.message());
                    let span = error.span().unwrap_or_default();
                    let within = |value: &std::ops::Range<usize>| value.start <= span.start && span.end <= value.end;
                    let found = part.table.iter().find(|(_, value)| within(&value.span()));
                    let key = found.map(|(key, _)| (key.get_ref().to_string(), false));
                    (key, part.place(span.clone()), what)
                }
            };
            let Some((key, last)) = key else {
                self.reporter.report(&part.at, part.path, what, "");
                return None;
            };
            let expected = known.iter().find(|(name, _)| *name == key).map_or("", |(_, takes)| *takes);
            self.reporter.report(&at, &format!("{}.{key}", part.path), what, expected);
            reported = true;
            // The others are looked at without it; what makes no sense may be all there is.
            part.table.remove(key.as_str());
            if last {
                return None;
            }
        }
    }
}
