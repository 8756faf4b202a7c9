//! An [`Element`] to text, exactly. Pure; never recurses.
//!
//! `minidom` has a writer of its own, which leaves `xmlns=''` off a root in no namespace, so that inside a stream it
//! becomes `jabber:client`.
//! Source: XML 1.0 §2.4 and §3.3.3, Namespaces in XML 1.0 §6.

use minidom::Node;

use super::Element;

/// Writes one element behind `out`.
///
/// `default_ns` is the default namespace in force where the text will stand: `jabber:client` inside a TCP stream;
/// `None` where there is none, as in a WebSocket message.
pub fn write(element: &Element, default_ns: Option<&str>, out: &mut String) {
    let mut open = vec![];
    let mut namespaces = vec![default_ns.unwrap_or_default().to_owned()];
    start(element, &mut namespaces, out);
    open.push((element, element.nodes()));
    while let Some((element, nodes)) = open.last_mut() {
        match nodes.next() {
            Some(Node::Text(text)) => escape(text, false, out),
            Some(Node::Element(child)) => {
                start(child, &mut namespaces, out);
                open.push((child, child.nodes()));
            }
            None => {
                // `start` left the tag open when nothing follows.
                if element.nodes().next().is_none() {
                    out.push_str("/>");
                } else {
                    out.push_str("</");
                    name(element, out);
                    out.push('>');
                }
                namespaces.pop();
                open.pop();
            }
        }
    }
}

/// The text of one element, see [`write()`].
#[must_use]
pub fn to_string(element: &Element, default_ns: Option<&str>) -> String {
    let mut out = String::new();
    write(element, default_ns, &mut out);
    out
}

fn name(element: &Element, out: &mut String) {
    // The one namespace that may not be a default one (Namespaces in XML 1.0 §3).
    if element.has_ns(rxml::XMLNS_XML) {
        out.push_str("xml:");
    }
    out.push_str(element.name());
}

fn start(element: &Element, namespaces: &mut Vec<String>, out: &mut String) {
    out.push('<');
    name(element, out);
    let around = namespaces.last().map_or("", String::as_str);
    if element.has_ns(around) || element.has_ns(rxml::XMLNS_XML) {
        namespaces.push(around.to_owned());
    } else {
        let namespace = element.ns();
        out.push_str(" xmlns='");
        escape(&namespace, true, out);
        out.push('\'');
        namespaces.push(namespace);
    }
    let mut prefixes = 0;
    for ((namespace, name), value) in element.attrs().iter() {
        out.push(' ');
        if namespace == rxml::Namespace::xml() {
            out.push_str("xml:");
        } else if namespace.is_some() {
            out.push_str(&format!("xmlns:a{prefixes}='"));
            escape(namespace, true, out);
            out.push_str(&format!("' a{prefixes}:"));
            prefixes += 1;
        }
        out.push_str(name);
        out.push_str("='");
        escape(value, true, out);
        out.push('\'');
    }
    if element.nodes().next().is_some() {
        out.push('>');
    }
}

/// Writes text so that a parser gives it back; a character that XML can not carry becomes U+FFFD.
fn escape(text: &str, in_attribute: bool, out: &mut String) {
    let mut plain = 0;
    for (at, char) in text.char_indices() {
        let reference = match char {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\'' if in_attribute => "&apos;",
            '"' if in_attribute => "&quot;",
            // A parser would make spaces of these (XML 1.0 §3.3.3) …
            '\t' if in_attribute => "&#9;",
            '\n' if in_attribute => "&#10;",
            // … and a line feed of this everywhere (§2.11).
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(reference);
        plain = at + char.len_utf8();
    }
    out.push_str(&text[plain..]);
}

#[cfg(test)]
mod tests {
    use super::super::{CLIENT, Limits, parse};
    use super::*;

    fn round(text: &str) -> String {
        let element = parse(text.as_bytes(), &Limits::default()).unwrap();
        let written = to_string(&element, Some(CLIENT));
        let again = parse(written.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(element, again, "{written}");
        written
    }

    #[test]
    fn a_namespace_is_declared_only_where_it_changes() {
        assert_eq!(
            round("<iq xmlns='jabber:client'><query xmlns='q'><item/></query><x xmlns=''/></iq>"),
            "<iq><query xmlns='q'><item/></query><x xmlns=''/></iq>"
        );
    }

    #[test]
    fn an_element_in_no_namespace_stays_there() {
        assert_eq!(round("<a xmlns=''><b xmlns='jabber:client'/></a>"), "<a xmlns=''><b xmlns='jabber:client'/></a>");
        let bare = Element::bare("a", "");
        assert_eq!(to_string(&bare, None), "<a/>");
        assert_eq!(to_string(&bare, Some(CLIENT)), "<a xmlns=''/>");
    }

    #[test]
    fn a_websocket_message_declares_its_own_namespace() {
        assert_eq!(to_string(&Element::bare("presence", CLIENT), None), "<presence xmlns='jabber:client'/>");
    }

    #[test]
    fn prefixed_attributes_survive() {
        assert_eq!(round("<a xml:lang='de'/>"), "<a xml:lang='de'/>");
        assert_eq!(
            round("<a xmlns:p='u' xmlns:q='v' p:x='1' q:x='2' x='3'/>"),
            "<a x='3' xmlns:a0='u' a0:x='1' xmlns:a1='v' a1:x='2'/>"
        );
        round("<xml:a/>");
        round("<stream:features><xml:b>c</xml:b></stream:features>");
    }

    #[test]
    fn everything_is_escaped_that_a_parser_would_change() {
        let element = Element::builder("a", CLIENT)
            .attr(rxml::xml_ncname!("b").to_owned(), "\t\n\r<>&'\"]]>")
            .append("\t\n\r<>&'\"]]>")
            .build();
        let written = to_string(&element, Some(CLIENT));
        assert_eq!(parse(written.as_bytes(), &Limits::default()).unwrap(), element, "{written}");
    }

    #[test]
    fn characters_that_xml_can_not_carry_do_not_break_the_stream() {
        for code in (0..0x20).chain([0x7f, 0xfffe, 0xffff]) {
            let char = char::from_u32(code).unwrap();
            let element = Element::builder("a", CLIENT)
                .attr(rxml::xml_ncname!("b").to_owned(), char.to_string())
                .append(char.to_string())
                .build();
            let written = to_string(&element, Some(CLIENT));
            assert!(parse(written.as_bytes(), &Limits::default()).is_ok(), "U+{code:04X}: {written}");
        }
    }
}
