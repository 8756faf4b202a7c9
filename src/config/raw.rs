//! The text, key for key, each value with its place. Pure.
//!
//! Files are read by `toml` itself, which keeps the span of every key and value; the environment goes through
//! `config`'s own source, so that its rules of prefix and separator hold. Later layers replace single keys.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use config::Source;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, nearest};
use super::{File, Input};

/// Keys at the top, scalars.
pub(super) const TOP: &[&str] = &["control_socket", "state_dir", "keep_events", "keep_events_size"];
/// Tables at the top.
const TABLES: &[&str] = &["service", "defaults", "room", "policy", "http"];
/// Keys of `[service.NAME]`.
pub(super) const SERVICE: &[&str] = &[
    "url",
    "domain",
    "muc",
    "focus",
    "login",
    "account",
    "password_file",
    "credential",
    "guest_domain",
    "guest_account",
    "guest_password_file",
    "guest_credential",
    "token_file",
    "token_credential",
    "app_id",
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
    "ca_file",
    "mechanisms",
    "nameserver",
    "rooms_per_session",
    "joins_per_second",
    "pace",
    "self_ping",
    "after_kick",
    "media",
    "stanza_limit",
    "record",
    "record_content",
];
/// Keys of `[service.NAME]` that only the environment may hold: no secret stands in a file of the configuration.
const SECRET_VARIABLES: &[&str] = &["password", "guest_password", "secret"];
/// Keys of `[[room]]`; first those that tell it from the others.
pub(super) const ROOM: &[&str] = &[
    "service",
    "name",
    "nick",
    "display_name",
    "password_file",
    "subject",
    "lobby",
    "members_only",
    "moderated",
    "persistent",
    "max_occupants",
    "av_moderation",
    "start_muted",
    "form",
    "on_drift",
    "chat_commands",
    "chat_accounts",
    "store_text",
];
/// Keys of `[defaults]`: those of a room but for what tells it from the others.
pub(super) const DEFAULTS: &[&str] = ROOM.split_at(2).1;

/// Keys of `[http]`, but for its tokens.
pub(super) const HTTP: &[&str] =
    &["listen", "tls_cert", "tls_key", "behind_proxy", "requests_per_second", "connections"];
/// Keys of `[[http.token]]`.
pub(super) const HTTP_TOKEN: &[&str] = &["name", "file", "credential", "scopes", "rooms"];

/// Keys of `[[webhook]]`.
pub(super) const WEBHOOK: &[&str] = &[
    "name",
    "url",
    "dialect",
    "file",
    "credential",
    "rooms",
    "kinds",
    "allow_private",
    "on_unknown",
    "timeout",
    "ca_file",
];
/// Keys of `[[line]]`.
pub(super) const LINE: &[&str] =
    &["name", "listen", "dial", "file", "credential", "scopes", "rooms", "tls_cert", "tls_key", "ca_file"];

/// Keys of `[[authority]]`.
pub(super) const AUTHORITY: &[&str] = &[
    "name",
    "service",
    "rooms",
    "gate",
    "line",
    "url",
    "file",
    "credential",
    "ca_file",
    "allow_private",
    "token",
    "time_limit",
    "on_failure",
    "cache",
    "may_grant",
];

/// Keys of `[[rtbl]]`.
const RTBL: &[&str] = &["service", "jid", "node"];

/// Keys of `[[avchat]]`.
pub(super) const AVCHAT: &[&str] =
    &["name", "service", "dial", "rooms", "default_room", "token_life", "may_grant", "accept_owner"];

/// Keys of `[[reservations]]`.
const RESERVATIONS: &[&str] = &["service", "listen", "allow", "reveal_password"];

/// Tables that may stand any number of times and have nothing below them, each with its keys.
const LISTS: &[(&str, &[&str])] = &[
    ("authority", AUTHORITY),
    ("avchat", AVCHAT),
    ("line", LINE),
    ("reservations", RESERVATIONS),
    ("rtbl", RTBL),
    ("webhook", WEBHOOK),
];

/// Every key that a file may hold, with its table: `service.url`, `room.name`, `state_dir`.
#[must_use]
pub fn known_keys() -> Vec<(&'static str, &'static str)> {
    let tables =
        [("", TOP), ("service", SERVICE), ("defaults", DEFAULTS), ("room", ROOM), ("http", HTTP), ("http", HTTP_TOKEN)];
    let fixed = tables.iter().chain(LISTS).flat_map(|(table, keys)| keys.iter().map(|key| (*table, *key)));
    fixed.chain(super::policy::keys().map(|key| ("policy", key))).collect()
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file, by its number.
    File { file: usize, span: Range<usize> },
    /// In a variable of the environment.
    Variable(String),
}

/// A value as it was written. No `Debug`: it may be a password.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Bool(bool),
    List(Vec<Entry>),
    /// What no key takes; its type's name.
    Other(&'static str),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::List(_) => "a list",
            Value::Other(kind) => kind,
        }
    }
}

/// A value with its place.
#[derive(Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) at: Place,
}

impl Entry {
    /// Whether it is a list with nothing in it, or a variable without a text.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::List(items) => items.is_empty(),
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        }
    }
}

/// A table: its own place and its entries by key.
#[derive(Clone)]
pub(super) struct Section {
    pub(super) at: Place,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// Everything that was written.
pub(super) struct Raw<'t> {
    pub(super) top: Section,
    pub(super) defaults: Section,
    pub(super) services: BTreeMap<String, Section>,
    pub(super) rooms: Vec<Section>,
    /// Only where some layer has it.
    pub(super) http: Option<Section>,
    pub(super) http_tokens: Vec<Section>,
    /// Those of [`LISTS`], by name.
    lists: BTreeMap<&'static str, Vec<Section>>,
    /// Each `[[policy]]` with the number of its file: rules read their own options.
    pub(super) policies: Vec<(usize, Spanned<DeValue<'t>>)>,
    /// Whether a file is no TOML, so that references may lead into what is missing.
    pub(super) incomplete: bool,
}

impl Raw<'_> {
    /// All tables of that name, as `[[line]]`.
    pub(super) fn list(&self, name: &str) -> &[Section] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Makes problems out of places.
pub(super) struct Reporter<'a> {
    files: &'a [File],
    found: Vec<(usize, usize, Problem)>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(files: &'a [File]) -> Self {
        Reporter { files, found: Vec::new() }
    }

    /// Keeps a problem.
    pub(super) fn report(&mut self, at: &Place, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        let mut problem = Problem::of_file("environment", what);
        problem.expected = expected.into();
        key.clone_into(&mut problem.key);
        let order = match at {
            Place::Variable(variable) => {
                problem.key.clone_from(variable);
                (usize::MAX, 0)
            }
            Place::File { file, span } => {
                let text = &self.files[*file].text;
                let (line, column, source) = line_of(text, span.start);
                problem.file.clone_from(&self.files[*file].name);
                problem.line = Some(line);
                problem.column = Some(column);
                problem.width = text.get(span.clone()).map_or(1, |meant| meant.chars().count());
                problem.source = Some(without_secret(source));
                (*file, span.start)
            }
        };
        self.found.push((order.0, order.1, problem));
    }

    /// A place in words: `rooms.d/tavern.toml:3`.
    pub(super) fn place(&self, at: &Place) -> String {
        match at {
            Place::Variable(variable) => variable.clone(),
            Place::File { file, span } => {
                format!("{}:{}", self.files[*file].name, line_of(&self.files[*file].text, span.start).0)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems, in the order of the files and lines.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(file, start, _)| (*file, *start));
        self.found.into_iter().map(|(_, _, problem)| problem).collect()
    }
}

/// Line and column from 1, and the line itself.
fn line_of(text: &str, at: usize) -> (usize, usize, &str) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    (before.matches('\n').count() + 1, text[start..at].chars().count() + 1, text[start..end].trim_end_matches('\r'))
}

/// A source line as it may be shown: with a value only behind a known key, none of which takes a secret, and without a
/// URL that carries a user or a query.
fn without_secret(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let Some((key, value)) = line.split_once('=') else {
        // The rest of a text over several lines may be anything.
        return if line.trim_start().starts_with(['[', '#']) { line } else { "[not shown]".to_owned() };
    };
    let word = key.rsplit(['.', '{', ',']).next().unwrap_or(key).trim().trim_matches(['"', '\'']);
    // The value of a key that nobody knows may be anything: a password under a mistyped name, most of all.
    let secret = !known_keys().iter().any(|(_, known)| *known == word);
    let several = value.contains('{') || value.matches('=').count() > usize::from(value.contains('?'));
    let url = value.contains('?') || (value.contains("://") && value.contains('@'));
    if secret || several || url { format!("{key}= [not shown]") } else { line }
}

/// Reads all layers.
pub(super) fn read<'t>(input: &'t Input<'_>, reporter: &mut Reporter<'_>) -> Raw<'t> {
    let nowhere = Place::File { file: 0, span: 0..0 };
    let empty = || Section { at: nowhere.clone(), entries: BTreeMap::new() };
    let mut raw = Raw {
        top: empty(),
        defaults: empty(),
        services: BTreeMap::new(),
        rooms: Vec::new(),
        http: None,
        http_tokens: Vec::new(),
        lists: BTreeMap::new(),
        policies: Vec::new(),
        incomplete: false,
    };
    for (number, file) in input.files.iter().enumerate() {
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        if errors.is_empty() {
            Layer { file: number, reporter, raw: &mut raw }.top(table.get_ref());
            continue;
        }
        raw.incomplete = true;
        for error in errors {
            let at = Place::File { file: number, span: error.span().unwrap_or(0..0) };
            reporter.report(&at, "", error.message().to_lowercase().replace('\n', ", "), "");
        }
    }
    environment(&input.env, &mut raw, reporter);
    raw
}

/// One file on its way into [`Raw`].
struct Layer<'r, 'f, 't> {
    file: usize,
    reporter: &'r mut Reporter<'f>,
    raw: &'r mut Raw<'t>,
}

impl<'t> Layer<'_, '_, 't> {
    fn at<T>(&self, spanned: &Spanned<T>) -> Place {
        Place::File { file: self.file, span: spanned.span() }
    }

    fn top(&mut self, table: &DeTable<'t>) {
        for (key, value) in table {
            let at = self.at(key);
            let name: &str = key.get_ref();
            match (name, value.get_ref()) {
                ("service", DeValue::Table(services)) => self.services(services),
                ("service", _) => {
                    self.reporter.report(&self.at(value), "service", "not a table", "[service.NAME]");
                }
                ("defaults", DeValue::Table(defaults)) => {
                    let entries = self.entries(defaults, "defaults", DEFAULTS);
                    self.raw.defaults.entries.extend(entries);
                }
                ("defaults", _) => self.reporter.report(&self.at(value), "defaults", "not a table", "[defaults]"),
                ("room", DeValue::Array(rooms)) => {
                    for room in rooms {
                        let at = self.at(room);
                        if let DeValue::Table(table) = room.get_ref() {
                            let entries = self.entries(table, "", ROOM);
                            self.raw.rooms.push(Section { at, entries });
                        } else {
                            self.reporter.report(&at, "room", "not a table", "[[room]]");
                        }
                    }
                }
                ("room", _) => {
                    self.reporter.report(&at, "room", "a single [room]", "[[room]], with two brackets");
                }
                ("http", DeValue::Table(http)) => self.http(at, http),
                ("http", _) => self.reporter.report(&self.at(value), "http", "not a table", "[http]"),
                ("policy", DeValue::Array(policies)) => {
                    self.raw.policies.extend(policies.iter().map(|policy| (self.file, policy.clone())));
                }
                ("policy", _) => {
                    self.reporter.report(&at, "policy", "a single [policy]", "[[policy]], with two brackets");
                }
                (name, _) if LISTS.iter().any(|(list, _)| *list == name) => self.list(&at, name, value),
                (name, value_) if TOP.contains(&name) => {
                    let entry = Entry { value: self.value(value_), at: self.at(value) };
                    self.raw.top.entries.insert(name.to_owned(), entry);
                }
                (name, _) => {
                    let lists: Vec<&str> = LISTS.iter().map(|(list, _)| *list).collect();
                    self.unknown(&at, "", name, &[TOP, TABLES, &lists].concat());
                }
            }
        }
    }

    fn services(&mut self, services: &DeTable<'_>) {
        for (key, value) in services {
            let at = self.at(key);
            let name: &str = key.get_ref();
            let DeValue::Table(table) = value.get_ref() else {
                let hint = if SERVICE.contains(&name) { "key" } else { "value" };
                let what = format!("a {hint} outside a service");
                self.reporter.report(&at, &format!("service.{name}"), what, "it under [service.NAME]");
                continue;
            };
            let entries = self.entries(table, &format!("service.{name}"), SERVICE);
            let section = self.raw.services.entry(name.to_owned());
            section.or_insert_with(|| Section { at, entries: BTreeMap::new() }).entries.extend(entries);
        }
    }

    fn list(&mut self, at: &Place, name: &str, value: &Spanned<DeValue<'_>>) {
        let Some((list, keys)) = LISTS.iter().find(|(list, _)| *list == name) else { return };
        let tables = value.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
        let Some(tables) = tables else {
            let (what, expected) = (format!("a single [{name}]"), format!("[[{name}]], with two brackets"));
            return self.reporter.report(at, name, what, expected);
        };
        for item in tables {
            let at = self.at(item);
            let Some(table) = item.get_ref().as_table() else { continue };
            let entries = self.entries(table, list, keys);
            self.raw.lists.entry(list).or_default().push(Section { at, entries });
        }
    }

    fn http(&mut self, at: Place, http: &DeTable<'_>) {
        let mut known = http.clone();
        if let Some((key, tokens)) = known.remove_entry("token") {
            match tokens.get_ref() {
                DeValue::Array(tokens) if tokens.iter().all(|token| token.get_ref().is_table()) => {
                    for token in tokens {
                        let at = self.at(token);
                        let Some(table) = token.get_ref().as_table() else { continue };
                        let entries = self.entries(table, "http.token", HTTP_TOKEN);
                        self.raw.http_tokens.push(Section { at, entries });
                    }
                }
                _ => self.reporter.report(
                    &self.at(&key),
                    "http.token",
                    "a single [http.token]",
                    "[[http.token]], with two brackets",
                ),
            }
        }
        let entries = self.entries(&known, "http", &[HTTP, &["token"]].concat());
        let section = self.raw.http.get_or_insert_with(|| Section { at, entries: BTreeMap::new() });
        section.entries.extend(entries);
    }

    fn entries(&mut self, table: &DeTable<'_>, path: &str, known: &[&str]) -> BTreeMap<String, Entry> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                let entry = Entry { value: self.value(value.get_ref()), at: self.at(value) };
                entries.insert(name.to_owned(), entry);
            } else {
                self.unknown(&self.at(key), path, name, known);
            }
        }
        entries
    }

    fn unknown(&mut self, at: &Place, path: &str, name: &str, known: &[&str]) {
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if nearest(name, known.iter().copied().chain(["password"])) == Some("password")
            && known.contains(&"password_file")
        {
            let expected = "password_file or credential: a password does not stand in the configuration";
            return self.reporter.report(at, &key, "unknown key", expected);
        }
        let expected = match nearest(name, known.iter().copied()) {
            Some(near) => format!("{near} (did you mean that?)"),
            None if TOP.contains(&name) => "it at the top of the file, before the first [table]".to_owned(),
            None => format!("one of {}", known.join(", ")),
        };
        self.reporter.report(at, &key, "unknown key", expected);
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other("a number beyond all bounds"),
            },
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Array(items) => Value::List(
                items.iter().map(|item| Entry { value: self.value(item.get_ref()), at: self.at(item) }).collect(),
            ),
            DeValue::Float(_) => Value::Other("a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Table(_) => Value::Other("a table"),
        }
    }
}

/// Puts `INNKEEPER__…` variables over the files: scalars only, rooms not at all.
fn environment(env: &[(String, String)], raw: &mut Raw<'_>, reporter: &mut Reporter<'_>) {
    let ours = |name: &str| name.to_lowercase().starts_with("innkeeper__");
    let map: HashMap<String, String> = env.iter().filter(|(name, _)| ours(name)).cloned().collect();
    let source = config::Environment::with_prefix("INNKEEPER").prefix_separator("__").separator("__").source(Some(map));
    let Ok(layer) = source.collect() else { return };
    // `config` folds the names' case; errors must say the name as it was set.
    let written: HashMap<String, &str> = env
        .iter()
        .filter(|(name, _)| ours(name))
        .map(|(name, _)| (name.to_lowercase()["innkeeper__".len()..].replace("__", "."), name.as_str()))
        .collect();
    let mut keys: Vec<_> = layer.into_iter().collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, value) in keys {
        let variable = written.get(&key).map_or_else(|| key.clone(), |name| (*name).to_owned());
        let at = Place::Variable(variable);
        let Ok(text) = value.into_string() else { continue };
        let entry = Entry { value: Value::String(text), at: at.clone() };
        let unknown = |reporter: &mut Reporter<'_>, last: &str, known: &[&str]| {
            let expected = match nearest(last, known.iter().copied()) {
                Some(near) => format!("…__{} (did you mean that?)", near.to_uppercase()),
                None => format!("one of {}", known.join(", ")),
            };
            reporter.report(&at, "", "unknown key", expected);
        };
        match key.split_once('.') {
            None if TOP.contains(&key.as_str()) => {
                raw.top.entries.insert(key, entry);
            }
            None => unknown(reporter, &key, TOP),
            Some(("defaults", last)) if DEFAULTS.contains(&last) => {
                raw.defaults.entries.insert(last.to_owned(), entry);
            }
            Some(("defaults", last)) => unknown(reporter, last, DEFAULTS),
            Some(("http", last)) if HTTP.contains(&last) => match &mut raw.http {
                Some(http) => drop(http.entries.insert(last.to_owned(), entry)),
                None if raw.incomplete => {}
                None => reporter.report(&at, "", "no file has [http]", "[http] in the main file"),
            },
            Some(("http", last)) => unknown(reporter, last, HTTP),
            Some(("service", rest)) => {
                let (name, last) = rest.rsplit_once('.').unwrap_or((rest, ""));
                if !SERVICE.contains(&last) && !SECRET_VARIABLES.contains(&last) {
                    unknown(reporter, last, SERVICE);
                    continue;
                }
                // A shell's variable can not hold a dash.
                let folded = |name: &str| name.to_lowercase().replace('-', "_");
                let known = raw.services.iter_mut().find(|(known, _)| folded(known) == folded(name));
                if let Some((_, section)) = known {
                    section.entries.insert(last.to_owned(), entry);
                } else if !raw.incomplete {
                    let names: Vec<_> = raw.services.keys().map(String::as_str).collect();
                    let what = format!("no file has a service called \"{name}\"");
                    reporter.report(&at, "", what, format!("one of {}", names.join(", ")));
                }
            }
            Some(("room", _)) => {
                reporter.report(&at, "", "rooms can not be set by the environment", "a file in rooms.d");
            }
            Some((list, _)) if LISTS.iter().any(|(known, _)| *known == list) => {
                let what = format!("[[{list}]] can not be set by the environment");
                reporter.report(&at, "", what, "a table in one of the files");
            }
            Some(("policy", _)) => {
                reporter.report(&at, "", "policies can not be set by the environment", "a file in rooms.d");
            }
            Some((first, _)) => unknown(reporter, first, TABLES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_part_of_a_shown_line() {
        for line in [
            "pasword = \"hunter2\"",
            "password = \"hunter2\"",
            "  room_secret = 'hunter2'",
            "service.meet = { domain = \"a\", x = \"hunter2\" }",
            "service.meet.passwd = \"hunter2\"",
            "url = \"wss://host/x?token=hunter2\"",
            "url = \"wss://me:hunter2@host/x\"",
            "hunter2\"\"\"",
        ] {
            assert!(!without_secret(line).contains("hunter2"), "{line}");
        }
        assert_eq!(without_secret("service = \"meat\""), "service = \"meat\"");
        assert_eq!(without_secret("password_file = \"meet.password\""), "password_file = \"meet.password\"");
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        assert_eq!(line_of("a = 1\nß = 2\r\n", 9), (2, 3, "ß = 2"));
    }
}
