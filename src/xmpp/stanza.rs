//! The header of any stanza, and stanza errors, read leniently. Pure.
//!
//! Source: RFC 6120 §8 "XML Stanzas".

use minidom::Element;

use super::build::{Build, element};
use super::ns;

/// Which stanza an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

/// Which stanza `element` is, if any.
#[must_use]
pub fn kind(element: &Element) -> Option<Kind> {
    if !element.has_ns(ns::CLIENT) {
        return None;
    }
    match element.name() {
        "message" => Some(Kind::Message),
        "presence" => Some(Kind::Presence),
        "iq" => Some(Kind::Iq),
        _ => None,
    }
}

/// Whether an element of that name counts as a stanza for XEP-0198, also when it could not be read.
#[must_use]
pub fn counts(name: &str) -> bool {
    matches!(name, "message" | "presence" | "iq")
}

/// A stanza error, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StanzaError {
    /// The defined condition, `item-not-found`; empty when there is none.
    pub condition: String,
    /// The text, as the sender wrote it. Not to be trusted.
    pub text: Option<String>,
    /// Names and namespaces of application-specific conditions.
    pub application: Vec<(String, String)>,
    /// Text of `<lobbyroom/>`, where Jitsi names the lobby.
    pub lobby: Option<String>,
    /// The attribute `error-code` of `<reservation-error/>`.
    pub reservation: Option<String>,
}

impl StanzaError {
    /// Reads the `<error/>` of a stanza; an empty error when there is none. Source: RFC 6120 §8.3.2 "Syntax".
    #[must_use]
    pub fn of(stanza: &Element) -> Self {
        let mut read = StanzaError::default();
        let Some(error) = stanza.children().find(|child| child.name() == "error") else { return read };
        for child in error.children() {
            let (name, namespace) = (child.name(), child.ns());
            match (name, namespace.as_str()) {
                ("text", ns::STANZAS) => {
                    read.text.get_or_insert(child.text());
                }
                (_, ns::STANZAS) => {
                    if read.condition.is_empty() {
                        name.clone_into(&mut read.condition);
                    }
                }
                _ => {
                    if name == "lobbyroom" {
                        read.lobby.get_or_insert(child.text());
                    }
                    if name == "reservation-error" {
                        read.reservation = Some(child.attr("error-code").unwrap_or_default().to_owned());
                    }
                    read.application.push((name.to_owned(), namespace));
                }
            }
        }
        read
    }

    /// Whether an application-specific condition of that name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.application.iter().any(|(condition, _)| condition == name)
    }

    /// The condition with its text, for a sentence: `not-allowed ("Room creation is restricted")`; where there is none,
    /// with what the application says instead: `not-allowed (no-main-participants)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let condition = if self.condition.is_empty() { "an error without a condition" } else { &self.condition };
        // Where the lobby is, is no condition.
        let said = self.application.iter().find(|(name, _)| name != "lobbyroom");
        match (&self.text, said) {
            (Some(text), _) if !text.is_empty() => format!("{condition} (\"{text}\")"),
            (_, Some((name, _))) => format!("{condition} ({})", super::muc::clip(name)),
            (_, None) => condition.to_owned(),
        }
    }
}

/// Starts an IQ of ours.
#[must_use]
pub fn iq(kind: &str, to: Option<&str>, id: &str) -> Build {
    element("iq", ns::CLIENT).attr("type", kind).maybe_attr("to", to).attr("id", id)
}

/// Starts the result to somebody's get or set: their address, their id. Source: RFC 6120 §8.2.3 "IQ Semantics".
#[must_use]
pub fn result_to(request: &Element) -> Build {
    element("iq", ns::CLIENT)
        .attr("type", "result")
        .maybe_attr("to", request.attr("from"))
        .attr("id", request.attr("id").unwrap_or_default())
}

/// The error answer to a get or set, from what could be read of it.
#[must_use]
pub fn error_to(from: Option<&str>, id: &str, error_type: &str, condition: &str) -> Element {
    element("iq", ns::CLIENT)
        .attr("type", "error")
        .maybe_attr("to", from)
        .attr("id", id)
        .child(element("error", ns::CLIENT).attr("type", error_type).child(element(condition, ns::STANZAS)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_known_condition_is_still_read() {
        let stanza: Element = "<iq xmlns='jabber:client' type='error'><error><gone-fishing xmlns='x:y'/></error></iq>"
            .parse()
            .expect("the test's own text");
        let error = StanzaError::of(&stanza);
        assert_eq!(error.condition, "");
        assert!(error.has("gone-fishing"));
        assert_eq!(error.describe(), "an error without a condition (gone-fishing)");
        assert_eq!(StanzaError::default().describe(), "an error without a condition");
    }

    #[test]
    fn the_lobby_of_a_refused_join_is_read_in_both_copies() {
        let stanza: Element = "<presence xmlns='jabber:client' type='error'><error type='auth'>\
            <registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
            <lobbyroom xmlns='http://jitsi.org/jitmeet'>r@lobby.meet.jitsi</lobbyroom></error></presence>"
            .parse()
            .expect("the test's own text");
        let error = StanzaError::of(&stanza);
        assert_eq!(error.condition, "registration-required");
        assert_eq!(error.lobby.as_deref(), Some("r@lobby.meet.jitsi"));
    }
}
