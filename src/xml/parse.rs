//! One frame to an [`Element`], bounded. Pure; never recurses.
//!
//! The work is linear in the frame's length whatever it holds: namespaces are looked up here and not by `rxml`'s own
//! resolver, which walks all open elements for each one and is quadratic in the depth.
//! Source: RFC 6120 §11 "XML Usage", RFC 7395 §3.3 "XMPP Framing", Namespaces in XML 1.0 §3 and §6.

use rxml::error::EndOrError;
use rxml::parser::{CommentMode, RawEvent, RawQName};
use rxml::{NcName, Options, Parse, RawParser, WithOptions};

use super::{Bad, Element, Head, Limits, Why};

/// The default namespace of a client stream (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// What the prefix `stream` stands for (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Namespace of `<open/>` and `<close/>` (RFC 7395 §3.3.1).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// What a room says of an occupant (XEP-0045); such a child is never pruned while it is small.
pub(super) const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// Nodes that [`MUC_USER`] children may have beyond [`Limits::nodes`].
const RESERVED_NODES: usize = 512;
/// Namespace declarations that one element may have.
const DECLARATIONS: usize = 32;

/// Parses one element, in the namespaces of a client stream.
///
/// # Errors
/// [`Bad`] when it is not well-formed or over a limit; in the second case with what is left after pruning.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Element, Box<Bad>> {
    if bytes.len() > limits.stanza_bytes {
        return Err(super::splitter::too_long(bytes, *limits));
    }
    parse_any_length(bytes, limits)
}

/// [`parse`] without the limit on the whole.
pub(super) fn parse_any_length(bytes: &[u8], limits: &Limits) -> Result<Element, Box<Bad>> {
    let mut tree = Tree::new(limits);
    let outcome = tree.read(bytes);
    let bad = |why, rest| Box::new(Bad { why, head: Head::read(bytes), rest });
    match (outcome, tree.root, tree.why) {
        (Err(what), _, _) => Err(bad(Why::Malformed(what), None)),
        (Ok(()), Some(root), None) => Ok(root),
        (Ok(()), rest, Some(why)) => Err(bad(why, rest)),
        (Ok(()), None, None) => Err(bad(Why::Malformed("no element".to_owned()), None)),
    }
}

/// What one WebSocket message holds.
#[derive(Debug)]
pub enum Message {
    /// `<open/>`.
    Open,
    /// `<close/>`.
    Close,
    /// Any other element.
    Element(Element),
}

/// Parses one WebSocket message (RFC 7395 §3.3).
///
/// # Errors
/// As [`parse`].
pub fn parse_message(text: &str, limits: &Limits) -> Result<Message, Box<Bad>> {
    let element = parse(text.trim_ascii().as_bytes(), limits)?;
    Ok(if element.is("open", FRAMING) {
        Message::Open
    } else if element.is("close", FRAMING) {
        Message::Close
    } else {
        Message::Element(element)
    })
}

/// A start tag that is being read.
struct Tag {
    name: RawQName,
    attributes: Vec<(RawQName, String)>,
    declarations: usize,
    /// Whether a declaration was left out, so that its namespace may not be the one it seems to be.
    doubtful: bool,
}

/// The tree that is being built, and what was left out of it.
struct Tree<'a> {
    limits: &'a Limits,
    /// The first limit that was passed.
    why: Option<Why>,
    root: Option<Element>,
    /// Open elements that are kept.
    open: Vec<Element>,
    /// Namespace declarations in scope, with the number of open elements where they were made.
    scope: Vec<(usize, Option<NcName>, String)>,
    tag: Option<Tag>,
    /// Open elements inside one that was left out, itself included.
    skipped: usize,
    nodes: usize,
    /// The number of open elements inside which everything is kept on the reserve.
    reserve: Option<usize>,
    reserved: usize,
}

impl<'a> Tree<'a> {
    fn new(limits: &'a Limits) -> Self {
        Tree {
            limits,
            why: None,
            root: None,
            open: Vec::new(),
            scope: Vec::new(),
            tag: None,
            skipped: 0,
            nodes: 0,
            reserve: None,
            reserved: 0,
        }
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        // Tokens are measured here, so that a long one costs itself and not the stanza.
        let mut parser = RawParser::with_options(Options {
            max_token_length: bytes.len().max(64),
            comments: CommentMode::Discard,
            ..Options::default()
        });
        loop {
            match parser.parse(&mut bytes, true) {
                Ok(Some(event)) => self.event(event)?,
                Ok(None) => return Ok(()),
                Err(EndOrError::NeedMoreData) => return Err("it ends too early".to_owned()),
                Err(EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }

    fn event(&mut self, event: RawEvent) -> Result<(), String> {
        match event {
            RawEvent::XmlDeclaration(..) => {}
            RawEvent::ElementHeadOpen(_, name) => self.begin(name),
            RawEvent::Attribute(_, name, value) => self.attribute(name, value),
            RawEvent::ElementHeadClose(_) => match self.tag.take() {
                Some(tag) => self.enter(tag)?,
                None => self.skipped += 1,
            },
            RawEvent::ElementFoot(_) => self.leave(),
            RawEvent::Text(_, text) => self.text(&text),
        }
        Ok(())
    }

    fn refuse(&mut self, why: Why) {
        self.why.get_or_insert(why);
    }

    /// Counts one node and says whether it may be kept.
    fn afford(&mut self) -> bool {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes <= self.limits.nodes {
            return true;
        }
        self.refuse(Why::TooManyNodes);
        if self.reserve.is_some() && self.reserved < RESERVED_NODES {
            self.reserved += 1;
            return true;
        }
        false
    }

    fn begin(&mut self, name: RawQName) {
        if self.skipped > 0 {
            return;
        }
        if self.open.len() >= self.limits.depth {
            self.refuse(Why::TooDeep);
            return;
        }
        if name.1.len() > self.limits.token_bytes {
            self.refuse(Why::TokenTooLong);
            return;
        }
        // A child of the stanza itself is looked at even without nodes left: it may be one that must stay.
        if self.afford() || self.open.len() == 1 {
            self.tag = Some(Tag { name, attributes: Vec::new(), declarations: 0, doubtful: false });
        }
    }

    fn attribute(&mut self, name: RawQName, value: String) {
        let Some(mut tag) = self.tag.take() else { return };
        let declaration = is_declaration(&name);
        if name.1.len() > self.limits.token_bytes || value.len() > self.limits.token_bytes {
            self.refuse(Why::TokenTooLong);
            tag.doubtful |= declaration;
        } else if declaration && tag.declarations >= DECLARATIONS {
            self.refuse(Why::TooManyNodes);
            tag.doubtful = true;
        } else if self.afford() || declaration || tag.attributes.len() < 8 || self.is_address(&name) {
            tag.declarations += usize::from(declaration);
            tag.attributes.push((name, value));
        }
        self.tag = Some(tag);
    }

    /// Whether it is an attribute of the stanza itself that says whose and what it is.
    fn is_address(&self, name: &RawQName) -> bool {
        self.open.is_empty() && name.0.is_none() && matches!(name.1.as_str(), "from" | "to" | "type" | "id")
    }

    /// The namespace that a prefix stands for. `Ok(None)`: its declaration was left out.
    fn namespace(&self, prefix: Option<&NcName>) -> Result<Option<&str>, String> {
        if let Some((_, _, namespace)) = self.scope.iter().rev().find(|(_, p, _)| p.as_ref() == prefix) {
            return Ok(Some(namespace));
        }
        match prefix.map(|p| -> &str { p }) {
            None => Ok(Some(CLIENT)),
            Some("stream") => Ok(Some(STREAMS)),
            Some("xml") => Ok(Some(rxml::XMLNS_XML)),
            Some(_) if self.why.is_some() => Ok(None),
            Some(prefix) => Err(format!("undeclared prefix {prefix:.40}")),
        }
    }

    fn enter(&mut self, tag: Tag) -> Result<(), String> {
        let level = self.open.len() + 1;
        let (declarations, attributes): (Vec<_>, Vec<_>) =
            tag.attributes.into_iter().partition(|(name, _)| is_declaration(name));
        for ((prefix, local), namespace) in declarations {
            let prefix = prefix.is_some().then_some(local);
            if self.scope.iter().rev().take_while(|(at, _, _)| *at == level).any(|(_, p, _)| *p == prefix) {
                return Err("a namespace is declared twice".to_owned());
            }
            self.scope.push((level, prefix, namespace));
        }
        let namespace = self.namespace(tag.name.0.as_ref())?.map(str::to_owned);
        if level == 2 && namespace.as_deref() == Some(MUC_USER) {
            self.reserve = Some(level);
        }
        let over = self.nodes > self.limits.nodes;
        let affordable = !over || self.reserve.is_some() && self.reserved <= RESERVED_NODES;
        let keep = level == 1 || affordable && !tag.doubtful;
        let Some(namespace) = namespace.filter(|_| keep) else {
            self.forget_scope(level);
            self.skipped = 1;
            return Ok(());
        };
        let mut element = Element::bare(tag.name.1.as_str(), namespace);
        for ((prefix, local), value) in attributes {
            let namespace = match &prefix {
                None => rxml::Namespace::NONE,
                Some(_) => match self.namespace(prefix.as_ref())? {
                    Some(namespace) => namespace.to_owned().into(),
                    None => continue,
                },
            };
            if element.attrs().contains_key(&namespace, &local) {
                return Err("an attribute is given twice".to_owned());
            }
            element.attrs_mut().insert(namespace, local, value);
        }
        self.open.push(element);
        Ok(())
    }

    fn forget_scope(&mut self, level: usize) {
        while self.scope.last().is_some_and(|(at, _, _)| *at >= level) {
            self.scope.pop();
        }
    }

    fn leave(&mut self) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        let level = self.open.len();
        self.forget_scope(level);
        if self.reserve.is_some_and(|at| at >= level) {
            self.reserve = None;
        }
        if let Some(done) = self.open.pop() {
            match self.open.last_mut() {
                Some(parent) => {
                    parent.append_child(done);
                }
                None => self.root = Some(done),
            }
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipped > 0 {
            return;
        }
        let Some(top) = self.open.last() else { return };
        let before = top.nodes().next_back().and_then(minidom::Node::as_text).map(str::len);
        if before.is_none() && !self.afford() {
            return;
        }
        let run = before.unwrap_or(0);
        let room = self.limits.token_bytes.saturating_sub(run);
        let kept = &text[..char_boundary(text, room)];
        if kept.len() < text.len() {
            self.refuse(Why::TokenTooLong);
        }
        if let Some(top) = self.open.last_mut().filter(|_| !kept.is_empty()) {
            top.append_text(kept);
        }
    }
}

/// The last place at or before `at` where `text` may be cut.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn is_declaration(name: &RawQName) -> bool {
    match &name.0 {
        Some(prefix) => prefix == "xmlns",
        None => name.1 == "xmlns",
    }
}

impl Head {
    /// Longest value that is kept, bytes; a JID has at most 3,071 (RFC 7622 §3.1).
    const VALUE_BYTES: usize = 4096;

    /// Reads what it can of the first tag in `bytes`, which may be cut or not well-formed.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut head = Head::default();
        let mut rest = bytes.trim_ascii_start();
        if rest.starts_with(b"<?") {
            let end = rest.windows(2).position(|two| two == b"?>").map_or(rest.len(), |at| at + 2);
            rest = rest[end..].trim_ascii_start();
        }
        let Some(tag) = rest.strip_prefix(b"<") else { return head };
        let (name, mut rest) = take_until(tag, |b| b.is_ascii_whitespace() || b == b'/' || b == b'>');
        let local = name.rsplit(|&b| b == b':').next().unwrap_or(name);
        head.name = unescape(local);
        loop {
            rest = rest.trim_ascii_start();
            match rest.first() {
                None | Some(b'>') => return head,
                Some(b'/') => {
                    rest = &rest[1..];
                    continue;
                }
                Some(_) => {}
            }
            let (name, after) = take_until(rest, |b| b.is_ascii_whitespace() || matches!(b, b'=' | b'>' | b'/'));
            let Some(value) = after.trim_ascii_start().strip_prefix(b"=") else {
                // Not an attribute; at least one byte is left behind each time.
                rest = if after.len() < rest.len() { after } else { &rest[1..] };
                continue;
            };
            let value = value.trim_ascii_start();
            let Some((&quote, value)) = value.split_first().filter(|(q, _)| matches!(q, b'"' | b'\'')) else {
                rest = value;
                continue;
            };
            let (value, after) = take_until(value, |b| b == quote);
            rest = after.get(1..).unwrap_or_default();
            let place = match name {
                b"from" => &mut head.from,
                b"type" => &mut head.type_,
                b"id" => &mut head.id,
                _ => continue,
            };
            if place.is_none() {
                *place = Some(unescape(value));
            }
        }
    }
}

fn take_until(bytes: &[u8], end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|&b| end(b)).unwrap_or(bytes.len()))
}

/// Resolves the references that XML knows; leaves every other as it stands. Cut at [`Head::VALUE_BYTES`].
fn unescape(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(6 * Head::VALUE_BYTES)]);
    let mut plain = String::new();
    let mut rest = &*text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.as_bytes().iter().take(12).position(|&b| b == b';').map(|end| &rest[1..end]);
        let char = reference.and_then(|name| match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?).filter(|c| !c.is_control())
            }
        });
        match (char, reference) {
            (Some(char), Some(name)) => {
                plain.push(char);
                rest = &rest[name.len() + 2..];
            }
            _ => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain.truncate(char_boundary(&plain, Head::VALUE_BYTES));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='a@b/c'>\
                       <reason>r</reason></item><status code='110'/></x>";

    fn limits() -> Limits {
        Limits::default()
    }

    fn bad(text: &str) -> Box<Bad> {
        parse(text.as_bytes(), &limits()).unwrap_err()
    }

    /// The role in what is left of a refused presence.
    fn role(bad: &Bad) -> Option<&str> {
        bad.rest.as_ref()?.get_child("x", MUC_USER)?.get_child("item", MUC_USER)?.attr("role")
    }

    #[test]
    fn a_stanza_is_in_the_namespaces_of_a_client_stream() {
        let element = parse(b"<stream:features><bind xmlns='b'/></stream:features>", &limits()).unwrap();
        assert!(element.is("features", STREAMS));
        assert!(parse(b"<iq/>", &limits()).unwrap().is("iq", CLIENT));
    }

    #[test]
    fn deep_nesting_is_pruned_and_who_it_was_stays() {
        for levels in [65, 5_000, 20_000] {
            let deep = format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
            let bad = bad(&format!("<presence from='r@s/n' id='1'>{deep}{WHO}</presence>"));
            assert_eq!(bad.why, Why::TooDeep);
            assert_eq!(bad.head.from.as_deref(), Some("r@s/n"));
            assert_eq!(role(&bad), Some("moderator"));
            assert_eq!(bad.rest.unwrap().attr("id"), Some("1"));
        }
    }

    #[test]
    fn the_deepest_allowed_stanza_is_whole() {
        let text = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
        assert!(parse(text.as_bytes(), &limits()).is_ok());
    }

    #[test]
    fn junk_children_before_and_after_do_not_hide_an_occupant() {
        let junk = "<a/>".repeat(25_000);
        for text in [format!("{junk}{WHO}"), format!("{WHO}{junk}"), format!("<b>{junk}</b>{WHO}")] {
            let bad = bad(&format!("<presence from='r@s/n'>{text}</presence>"));
            assert_eq!(bad.why, Why::TooManyNodes);
            assert_eq!(role(&bad), Some("moderator"));
        }
    }

    #[test]
    fn the_last_node_of_the_budget_does_not_cut_an_occupant_in_two() {
        for junk in 19_985..20_002 {
            let text = format!("<presence from='r@s/n'>{}{WHO}</presence>", "<a/>".repeat(junk));
            match parse(text.as_bytes(), &limits()) {
                Ok(whole) => assert!(whole.has_child("x", MUC_USER)),
                Err(bad) => {
                    assert_eq!(role(&bad), Some("moderator"), "{junk}");
                    let item = bad.rest.unwrap();
                    let x = item.get_child("x", MUC_USER).unwrap();
                    assert_eq!(
                        x.get_child("item", MUC_USER).unwrap().get_child("reason", MUC_USER).unwrap().text(),
                        "r",
                        "{junk}"
                    );
                    assert_eq!(x.get_child("status", MUC_USER).unwrap().attr("code"), Some("110"));
                }
            }
        }
    }

    #[test]
    fn a_stanza_longer_than_the_limit_still_says_who_it_was() {
        let text = format!("<presence from='r@s/n'><a>{}</a>{WHO}<b/></presence>", "&apos;".repeat(80_000));
        let bad = bad(&text);
        assert_eq!(bad.why, Why::TooLong);
        assert_eq!(role(&bad), Some("moderator"));
        assert_eq!(bad.rest.unwrap().children().count(), 1);
    }

    #[test]
    fn many_attributes_and_declarations_are_refused_in_linear_time() {
        let attributes: String = (0..15_000).map(|n| format!(" a{n}=''")).collect();
        assert!(parse(format!("<p{attributes}/>").as_bytes(), &limits()).is_ok());
        let attributes: String = (0..21_000).map(|n| format!(" b{n}=''")).collect();
        assert_eq!(bad(&format!("<p from='f'>{WHO}<q{attributes}/></p>")).why, Why::TooManyNodes);
        let hidden = bad(&format!("<p{attributes} from='f'>{WHO}</p>"));
        assert_eq!(hidden.rest.as_ref().and_then(|rest| rest.attr("from")), Some("f"));
        assert_eq!(role(&hidden), Some("moderator"));
        let declarations: String = (0..10_000).map(|n| format!(" xmlns:n{n}='u'")).collect();
        let text = format!("<p><q{declarations}>{}</q>{WHO}</p>", "<n9999:a/>".repeat(2_000));
        let bad = bad(&text);
        assert_eq!(role(&bad), Some("moderator"));
    }

    #[test]
    fn an_attribute_of_nine_thousand_bytes_is_nothing_special() {
        let value = "x".repeat(9_000);
        let element = parse(format!("<message id='{value}'/>").as_bytes(), &limits()).unwrap();
        assert_eq!(element.attr("id"), Some(&*value));
    }

    #[test]
    fn a_long_token_costs_itself_only() {
        let tight = Limits { token_bytes: 100, ..limits() };
        let long = "é".repeat(100);
        let text = format!("<m from='f' id='{long}'><b>{long}</b><c>ok</c></m>");
        let bad = parse(text.as_bytes(), &tight).unwrap_err();
        assert_eq!(bad.why, Why::TokenTooLong);
        let rest = bad.rest.unwrap();
        assert_eq!(rest.attr("id"), None);
        assert_eq!(rest.get_child("b", CLIENT).unwrap().text(), "é".repeat(50));
        assert_eq!(rest.get_child("c", CLIENT).unwrap().text(), "ok");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_head() {
        for text in [
            "<m from='a&amp;b' id='7' type='x'><b></m>",
            "<m from='a&amp;b' id='7' type='x'>&nosuch;</m>",
            "<m from='a&amp;b' id='7' type='x'>&#0;</m>",
            "<m from='a&amp;b' id='7' type='x'>&#xFFFF;</m>",
            "<m from='a&amp;b' id='7' type='x'><n:b/></m>",
            "<m from='a&amp;b' id='7' type='x' a='1' a='2'/>",
            "<m from='a&amp;b' id='7' type='x' xmlns='a' xmlns='b'/>",
            "<m from='a&amp;b' id='7' type='x'><?pi?></m>",
            "<m from='a&amp;b' id='7' type='x'/>text",
            "<m from='a&amp;b' id='7' type='x'",
        ] {
            let bad = bad(text);
            assert!(matches!(bad.why, Why::Malformed(_)), "{text}");
            assert!(bad.rest.is_none());
            let head =
                Head { name: "m".into(), from: Some("a&b".into()), type_: Some("x".into()), id: Some("7".into()) };
            assert_eq!(bad.head, head, "{text}");
        }
    }

    #[test]
    fn control_characters_are_refused_and_the_three_that_xml_knows_are_not() {
        for code in 0..0x20u8 {
            let text = [b"<m from='f'>".as_slice(), &[code], b"</m>"].concat();
            assert_eq!(parse(&text, &limits()).is_ok(), matches!(code, 9 | 10 | 13), "U+{code:04X}");
        }
    }

    #[test]
    fn broken_utf8_is_refused() {
        for bytes in [&b"<m>\xff</m>"[..], b"<m>\xc0\x80</m>", b"<m a='\xed\xa0\x80'/>"] {
            assert!(parse(bytes, &limits()).is_err());
        }
    }

    #[test]
    fn websocket_framing_is_told_from_stanzas() {
        let message = |text| parse_message(text, &limits()).unwrap();
        assert!(matches!(message("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='a'/>"), Message::Open));
        assert!(matches!(message("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"), Message::Close));
        assert!(matches!(message("<?xml version='1.0'?>\n<open/> "), Message::Element(_)));
        assert!(parse_message("", &limits()).is_err());
        assert!(parse_message("<a/><b/>", &limits()).is_err());
    }

    #[test]
    fn a_head_is_read_from_anything() {
        for bytes in
            [&b""[..], b"<", b"</", b"<a b", b"<a b=", b"<a b=c d", b"<a b='", b"<a from='&", b"<a = = '", b"<?x"]
        {
            let _ = Head::read(bytes);
        }
        let head = Head::read(b"<stream:error id = \"&#x41;&lt;&bogus;\" from>");
        assert_eq!((head.name.as_str(), head.id.as_deref()), ("error", Some("A<&bogus;")));
    }
}
