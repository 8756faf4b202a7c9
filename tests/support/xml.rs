//! A small streaming XML reader for the focus and the raw clients.
//!
//! On purpose not the program's own: what the world says must not be read by the code under test.

use rxml::error::EndOrError;
use rxml::parser::WithOptions;
use rxml::{Event, Options, Parse, Parser};

/// Children below this depth are dropped, so that a hostile stanza costs no stack.
const DEPTH: usize = 200;

/// An element of a stanza.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Local name.
    pub name: String,
    /// Namespace.
    pub ns: String,
    /// Attributes by local name.
    pub attrs: Vec<(String, String)>,
    /// Child elements.
    pub children: Vec<Node>,
    /// Text, all pieces joined.
    pub text: String,
}

impl Node {
    /// An attribute, empty when absent.
    pub fn attr(&self, name: &str) -> &str {
        self.maybe(name).unwrap_or_default()
    }

    /// An attribute.
    pub fn maybe(&self, name: &str) -> Option<&str> {
        self.attrs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first child of this name, in any namespace.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of this name and namespace.
    pub fn child_ns(&self, name: &str, ns: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name && child.ns == ns)
    }

    /// The `<item/>` and the status codes of a room's presence.
    pub fn muc(&self) -> Option<Muc> {
        let x = self.child_ns("x", "http://jabber.org/protocol/muc#user")?;
        let item = x.child("item");
        let of = |name| item.map(|item| item.attr(name).to_owned()).unwrap_or_default();
        let codes = x.children.iter().filter(|child| child.name == "status");
        Some(Muc {
            jid: of("jid"),
            role: of("role"),
            affiliation: of("affiliation"),
            status: codes.filter_map(|child| child.attr("code").parse().ok()).collect(),
            destroyed: x.child("destroy").is_some(),
        })
    }

    /// The name of the defined condition of an error stanza, empty when it is none.
    pub fn condition(&self) -> &str {
        let error = self.child("error");
        let condition = error.and_then(|error| {
            let is = |child: &&Node| child.ns == "urn:ietf:params:xml:ns:xmpp-stanzas" && child.name != "text";
            error.children.iter().find(is)
        });
        condition.map(|condition| condition.name.as_str()).unwrap_or_default()
    }
}

/// What a room says about an occupant in its presence.
#[derive(Debug, Clone, Default)]
pub struct Muc {
    /// The real JID, where it is shown.
    pub jid: String,
    /// The role while present.
    pub role: String,
    /// The affiliation.
    pub affiliation: String,
    /// The status codes.
    pub status: Vec<u16>,
    /// The room was destroyed.
    pub destroyed: bool,
}

/// What a stream is made of.
#[derive(Debug)]
pub enum Item {
    /// The stream's header.
    Open(Node),
    /// A whole element of the stream.
    Element(Node),
    /// The stream's end.
    Close,
}

/// Reads a stream piece by piece.
pub struct Reader {
    parser: Parser,
    stack: Vec<Node>,
    depth: usize,
}

impl Reader {
    /// A reader that waits for a stream's header.
    pub fn new() -> Self {
        let options = Options { max_token_length: 1 << 20, ..Options::default() };
        Reader { parser: Parser::with_options(options), stack: Vec::new(), depth: 0 }
    }

    /// Takes the next bytes and adds what they complete to `out`.
    ///
    /// # Errors
    /// The bytes are no XML.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut impl Extend<Item>) -> Result<(), String> {
        loop {
            match self.parser.parse(&mut bytes, false) {
                Ok(Some(Event::StartElement(_, (ns, name), attrs))) => {
                    self.depth += 1;
                    let attrs = attrs.iter().map(|((_, name), value)| (name.to_string(), value.clone())).collect();
                    let node = Node { name: name.to_string(), ns: ns.to_string(), attrs, ..Node::default() };
                    if self.depth == 1 {
                        out.extend([Item::Open(node)]);
                    } else if self.depth < DEPTH {
                        self.stack.push(node);
                    }
                }
                Ok(Some(Event::Text(_, text))) => {
                    if let Some(top) = self.stack.last_mut().filter(|_| self.depth < DEPTH) {
                        top.text.push_str(&text);
                    }
                }
                Ok(Some(Event::EndElement(_))) => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        out.extend([Item::Close]);
                    } else if self.depth + 1 < DEPTH
                        && let Some(done) = self.stack.pop()
                    {
                        match self.stack.last_mut() {
                            Some(parent) => parent.children.push(done),
                            None => out.extend([Item::Element(done)]),
                        }
                    }
                }
                Ok(Some(_)) => (),
                Ok(None) => return Ok(()),
                Err(EndOrError::NeedMoreData) => return Ok(()),
                Err(EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }
}

/// Text made safe for an attribute or a text node.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;").replace('"', "&quot;")
}

/// The part of a JID before the resource.
pub fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or_default()
}

/// The resource of a JID, or the nick of an occupant JID.
pub fn resource(jid: &str) -> &str {
    jid.split_once('/').map(|(_, resource)| resource).unwrap_or_default()
}

/// The domain of a JID.
pub fn domain(jid: &str) -> &str {
    bare(jid).rsplit('@').next().unwrap_or_default()
}
