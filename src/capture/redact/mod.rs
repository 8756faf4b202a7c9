//! Takes the secrets out of what goes over a stream. Pure.
//!
//! What is known to be harmless is kept and everything else is masked, so that what nobody has thought of does not come
//! out. One secret becomes the same pseudonym (`sid-1`) wherever a [`Redactor`] meets it, so that a redacted exchange
//! still shows, and replays, who repeated what to whom.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write;

use minidom::Node;
use rxml::{Namespace, NcName};
use url::Url;

use crate::xml::{self, Element};
use crate::xmpp::ns;

mod json;
mod known;
mod shape;

/// What stands for a value that may not be seen.
pub const MASKED: &str = "[masked]";

/// Most secrets that are told apart; further ones are only masked.
const SECRETS: usize = 20_000;
/// Longest secret that is told apart, and most bytes of all of them: strangers make secrets up, too.
const SECRET_BYTES: usize = 8 * 1024;
const SECRETS_BYTES: usize = 4 * 1024 * 1024;
/// Most secrets that are looked for inside of other texts, and their least length: shorter ones are words.
const SOUGHT: usize = 500;
const SOUGHT_BYTES: usize = 8;

/// Kinds of secrets that get pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The focus's `session-id`.
    SessionId,
    /// The focus's `machine-uid`.
    MachineUid,
    /// A JSON web token.
    Token,
    /// An id by which a stream is resumed (XEP-0198, `previd`) or continued (BOSH's `sid`).
    Stream,
    /// A room's password.
    Password,
    /// User name or password of a TURN server.
    Turn,
    /// Any other: a cookie, a header.
    Secret,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::SessionId => "sid",
            Kind::MachineUid => "uid",
            Kind::Token => "token",
            Kind::Stream => "sm",
            Kind::Password => "password",
            Kind::Turn => "turn",
            Kind::Secret => "secret",
        }
    }

    /// Whether the secret is looked for inside of other texts, too. TURN's change with every room and would only make
    /// that slow.
    fn is_sought(self) -> bool {
        self != Kind::Turn
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Harmless, but for secrets that stand inside.
    Keep,
    /// What people say and are called; kept on request.
    Content,
    /// A secret.
    Secret(Kind),
    /// What a login mechanism says (RFC 4422 §3).
    Payload,
    /// JSON, masked by its keys.
    Json,
    /// Unknown.
    Mask,
}

/// Takes secrets out, and remembers which pseudonym each got.
pub struct Redactor {
    /// Whether bodies, display names, addresses and statistics are kept.
    content: bool,
    /// Whether what is redacted may have been redacted before, so that a pseudonym stays what it is.
    again: bool,
    /// Pseudonyms by secret.
    pseudonyms: HashMap<String, String>,
    /// How many bytes these secrets have.
    bytes: usize,
    /// Secrets that are looked for inside of texts.
    sought: Vec<String>,
    /// How many pseudonyms of each kind there are.
    counts: HashMap<Kind, u32>,
}

/// Holds secrets, so it says only how many.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("content", &self.content).field("secrets", &self.pseudonyms.len()).finish()
    }
}

/// Where an element stands, as far as that decides what its text is.
#[derive(Clone, Copy)]
struct Around {
    /// What `<value/>` is in the form field around it.
    field: Value,
    /// What the text of an error is.
    error_text: Value,
}

impl Redactor {
    /// For a recording. `content`: bodies, display names, e-mail addresses, avatars and statistics are kept.
    #[must_use]
    pub fn recording(content: bool) -> Self {
        Redactor {
            content,
            again: false,
            pseudonyms: HashMap::new(),
            bytes: 0,
            sought: Vec::new(),
            counts: HashMap::new(),
        }
    }

    /// For a capture that is shown, redacted before or not. `content` as in [`Redactor::recording`].
    #[must_use]
    pub fn showing(content: bool) -> Self {
        Redactor { again: true, ..Redactor::recording(content) }
    }

    /// The element without secrets. Names of elements and attributes stay, as does the order of everything.
    #[must_use]
    pub fn element(&mut self, element: &Element) -> Element {
        let error_text = if self.is_of_a_service(element) { Value::Keep } else { Value::Content };
        self.walk(element, Around { field: Value::Mask, error_text })
    }

    /// Whether what an error says is the words of a server or of a room, not of somebody inside.
    fn is_of_a_service(&self, element: &Element) -> bool {
        // A room refuses a presence in the name of the occupant who would have been (XEP-0045 §7.2.5).
        let answer = element.name() == "presence" && element.attr("type") == Some("error");
        answer || element.attr("from").is_none_or(|from| !from.contains('/'))
    }

    fn walk(&mut self, element: &Element, around: Around) -> Element {
        let (namespace, name) = (element.ns(), element.name());
        let known = known::element(&namespace, name);
        let mut redacted = Element::bare(self.name(name), self.text(&namespace));
        for ((attribute_namespace, attribute), value) in element.attrs().iter() {
            let kind = if *attribute_namespace == Namespace::NONE {
                let listed =
                    known.and_then(|known| known.attributes.iter().find(|(name, _)| *name == attribute.as_str()));
                match (listed, known::secret(attribute)) {
                    (Some((_, kind)), _) => *kind,
                    (None, Some(kind)) => Value::Secret(kind),
                    (None, None)
                        if namespace == ns::JITSI_FOCUS && name == "property" && attribute.as_str() == "value" =>
                    {
                        known::property(element.attr("name").or_else(|| element.attr("key")).unwrap_or_default())
                    }
                    (None, None) => Value::Mask,
                }
            } else if is_language(attribute_namespace, attribute, value) {
                Value::Keep
            } else {
                Value::Mask
            };
            let value = self.value(value, kind);
            match NcName::try_from(self.name(attribute)) {
                Ok(name) => redacted.set_attr(Namespace::from(self.text(attribute_namespace.as_str())), name, value),
                // The name itself was a secret that can not be written; the value goes with it.
                Err(_) => continue,
            }
        }
        let text = match (known::secret(name), known) {
            _ if namespace == ns::DATA && name == "value" => around.field,
            _ if namespace == ns::STANZAS && name == "text" => around.error_text,
            (Some(kind), None) => Value::Secret(kind),
            (Some(kind), Some(known)) if known.text != Value::Json => Value::Secret(kind),
            (_, Some(known)) => known.text,
            (None, None) => Value::Mask,
        };
        let field = if namespace == ns::DATA && name == "field" {
            known::field(element.attr("var").unwrap_or_default(), element.attr("type") == Some("boolean"))
        } else {
            around.field
        };
        // Runs of text are one text: a secret may be cut by an element.
        let mut said = false;
        for node in element.nodes() {
            match node {
                Node::Element(child) => {
                    redacted.append_node(Node::Element(self.walk(child, Around { field, ..around })))
                }
                Node::Text(_) if said => {}
                Node::Text(_) => {
                    said = true;
                    let all = element.text();
                    let text = if all.trim().is_empty() { all } else { self.value(&all, text) };
                    redacted.append_node(Node::Text(text));
                }
            }
        }
        redacted
    }

    fn value(&mut self, value: &str, kind: Value) -> String {
        match kind {
            Value::Content if self.content => self.text(value),
            // What is empty says nothing but that: a subject that was taken away, an empty reason.
            Value::Content | Value::Mask | Value::Payload if value.is_empty() => String::new(),
            // RFC 6120 §6.4.2: an empty initial response.
            Value::Payload if value == "=" => value.to_owned(),
            Value::Content | Value::Mask | Value::Payload => MASKED.to_owned(),
            Value::Keep => self.text(value),
            Value::Secret(kind) => self.pseudonym(value, kind),
            Value::Json => self.json(value),
        }
    }

    /// A name of an element or attribute, which is structure unless somebody put a secret there.
    fn name(&mut self, name: &str) -> String {
        if self.text(name) == name { name.to_owned() } else { "masked".to_owned() }
    }

    fn pseudonym(&mut self, secret: &str, kind: Kind) -> String {
        if secret.is_empty() || secret == MASKED || (self.again && is_pseudonym(secret)) {
            return secret.to_owned();
        }
        if let Some(known) = self.pseudonyms.get(secret) {
            return known.clone();
        }
        let full = self.pseudonyms.len() >= SECRETS || self.bytes + secret.len() > SECRETS_BYTES;
        if full || secret.len() > SECRET_BYTES {
            return MASKED.to_owned();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let pseudonym = format!("{}-{count}", kind.word());
        self.pseudonyms.insert(secret.to_owned(), pseudonym.clone());
        self.bytes += secret.len();
        if kind.is_sought() && secret.len() >= SOUGHT_BYTES && self.sought.len() < SOUGHT {
            self.sought.push(secret.to_owned());
            // A secret that holds another one goes first.
            self.sought.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
        pseudonym
    }

    /// A text with the secrets inside it replaced: those met before, tokens by their shape, and what is named one.
    ///
    /// For what is harmless otherwise, such as an address or a line of a log.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        if shape::packs_token(text) {
            return self.pseudonym(text, Kind::Secret);
        }
        let mut cuts: Vec<(std::ops::Range<usize>, Kind)> = Vec::new();
        let apart = |cuts: &[(std::ops::Range<usize>, Kind)], range: &std::ops::Range<usize>| {
            cuts.iter().all(|(taken, _)| range.end <= taken.start || taken.end <= range.start)
        };
        for range in shape::tokens(text) {
            cuts.push((range, Kind::Token));
        }
        for secret in &self.sought {
            for (at, _) in text.match_indices(secret.as_str()) {
                let range = at..at + secret.len();
                if apart(&cuts, &range) {
                    cuts.push((range, Kind::Secret));
                }
            }
        }
        for (range, kind) in shape::named(text) {
            if apart(&cuts, &range) {
                cuts.push((range, kind));
            }
        }
        if cuts.is_empty() {
            return text.to_owned();
        }
        cuts.sort_by_key(|(range, _)| range.start);
        let mut clean = String::with_capacity(text.len());
        let mut at = 0;
        for (range, kind) in cuts {
            clean.push_str(&text[at..range.start]);
            clean.push_str(&self.pseudonym(&text[range.clone()], kind));
            at = range.end;
        }
        clean.push_str(&text[at..]);
        clean
    }

    /// A URL with only those parts of its query that name a room, and without user and fragment.
    #[must_use]
    pub fn url(&mut self, url: &str) -> String {
        let Ok(parsed) = Url::parse(url) else { return self.text(url) };
        let mut shown = format!("{}:", parsed.scheme());
        if let Some(host) = parsed.host_str() {
            shown.push_str("//");
            shown.push_str(&self.text(host));
            if let Some(port) = parsed.port() {
                // Writing to a string can not fail.
                let _ = write!(shown, ":{port}");
            }
        }
        shown.push_str(&self.text(parsed.path()));
        for (n, (name, value)) in parsed.query_pairs().enumerate() {
            shown.push(if n == 0 { '?' } else { '&' });
            let value = match (known::secret(&name), &*name) {
                (Some(kind), _) => self.pseudonym(&value, kind),
                (None, "room" | "prefix") => {
                    let clean = self.text(&value);
                    url::form_urlencoded::byte_serialize(clean.as_bytes()).collect()
                }
                (None, _) => MASKED.to_owned(),
            };
            let _ = write!(shown, "{}={value}", self.name(&name));
        }
        shown
    }

    /// What was meant to be an element and could not be read as one: its tags, with everything else masked.
    #[must_use]
    pub fn broken(&mut self, text: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            self.between(&rest[..start], &mut shown);
            let tag = &rest[start + 1..];
            let end = tag.find(|c: char| !(c.is_alphanumeric() || "/:-_.?!".contains(c))).unwrap_or(tag.len());
            let name = self.text(&tag[..end]);
            shown.push('<');
            shown.push_str(&name);
            rest = &tag[end..];
            let Some(close) = rest.find('>') else {
                self.between(rest, &mut shown);
                return shown;
            };
            self.between(rest[..close].trim_end_matches('/'), &mut shown);
            shown.push_str(if rest[..close].ends_with('/') { "/>" } else { ">" });
            rest = &rest[close + 1..];
        }
        self.between(rest, &mut shown);
        shown
    }

    fn between(&mut self, text: &str, shown: &mut String) {
        if text.trim().is_empty() {
            shown.push_str(text);
        } else {
            let blank = if text.starts_with(char::is_whitespace) { " " } else { "" };
            shown.push_str(blank);
            shown.push_str(MASKED);
        }
    }
}

/// `xml:lang` with a language tag (RFC 5646 §2.1).
fn is_language(namespace: &Namespace, name: &NcName, value: &str) -> bool {
    *namespace == *Namespace::xml()
        && name.as_str() == "lang"
        && value.len() <= 35
        && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// `sid-1` and its like.
fn is_pseudonym(text: &str) -> bool {
    let Some((word, number)) = text.split_once('-') else { return false };
    ["sid", "uid", "token", "sm", "password", "turn", "secret"].contains(&word)
        && !number.is_empty()
        && number.len() <= 6
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text of one element without secrets, as a WebSocket message holds it.
#[must_use]
pub fn to_string(redactor: &mut Redactor, element: &Element) -> String {
    xml::to_string(&redactor.element(element), None)
}

#[cfg(test)]
mod tests;
