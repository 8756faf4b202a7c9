//! A room's configuration form and its end: what only owners may ask. Pure.
//!
//! A service changes only those fields that a submitted form holds (Prosody does), and a form that leaves out
//! `muc#roomconfig_membersonly` destroys a Jitsi lobby: whoever submits one says what that field is to be.
//! Source: XEP-0045 §10 "Owner Use Cases", XEP-0004 "Data Forms".

use std::collections::BTreeMap;

use minidom::Element;

use super::muc::clip;
use super::stanza;
use super::{element, ns};

/// Whether only members may enter; on Jitsi, whether there is a lobby.
pub const MEMBERS_ONLY: &str = "muc#roomconfig_membersonly";
/// Whether a password is needed.
pub const PASSWORD_PROTECTED: &str = "muc#roomconfig_passwordprotectedroom";
/// The password; a secret.
pub const ROOM_SECRET: &str = "muc#roomconfig_roomsecret";
/// Whether newcomers are visitors without a voice.
pub const MODERATED: &str = "muc#roomconfig_moderatedroom";
/// Whether the room outlives its last occupant.
pub const PERSISTENT: &str = "muc#roomconfig_persistentroom";
/// How many may be inside.
pub const MAX_USERS: &str = "muc#roomconfig_maxusers";
/// Who sees real JIDs.
pub const WHOIS: &str = "muc#roomconfig_whois";

/// Longest value that is kept, in bytes.
const VALUE_BYTES: usize = 4096;
/// Most fields that are read.
const FIELDS: usize = 256;

/// A field as the room offers it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// `boolean`, `text-single`, `list-single`, …
    pub kind: String,
    /// What it is now.
    pub values: Vec<String>,
    /// What it may be, for a list.
    pub options: Vec<String>,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Any owner may read a room's password from its form.
        f.debug_struct("Field").field("kind", &self.kind).field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Field {
    /// The one value; empty when there is none.
    #[must_use]
    pub fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// The value as a boolean: `1` or `true`. Source: XEP-0004 §3.3 "Field Types".
    #[must_use]
    pub fn is_true(&self) -> bool {
        matches!(self.value(), "1" | "true")
    }
}

/// A room's form by field name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomForm {
    /// All fields with a name, `FORM_TYPE` left out.
    pub fields: BTreeMap<String, Field>,
}

impl RoomForm {
    /// Reads the answer to [`super::muc::form_request`]; no form is an empty one.
    #[must_use]
    pub fn read(answer: &Element) -> Self {
        let form = answer.get_child("query", ns::MUC_OWNER).and_then(|query| query.get_child("x", ns::DATA));
        let mut fields = BTreeMap::new();
        for field in form.into_iter().flat_map(Element::children).filter(|child| child.name() == "field").take(FIELDS) {
            let Some(var) = field.attr("var").filter(|var| *var != "FORM_TYPE") else { continue };
            let mut read = Field { kind: clip(field.attr("type").unwrap_or_default()).to_owned(), ..Field::default() };
            for child in field.children() {
                match child.name() {
                    "value" => read.values.push(cut(child.text())),
                    "option" => read.options.extend(child.children().map(|value| cut(value.text()))),
                    _ => {}
                }
            }
            fields.insert(clip(var).to_owned(), read);
        }
        RoomForm { fields }
    }

    /// The field of that name, if the room offers it.
    #[must_use]
    pub fn field(&self, var: &str) -> Option<&Field> {
        self.fields.get(var)
    }

    /// Whether only members may enter; `None` where the room does not say.
    #[must_use]
    pub fn members_only(&self) -> Option<bool> {
        self.field(MEMBERS_ONLY).map(Field::is_true)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > VALUE_BYTES {
        let end = (0..=VALUE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

/// Submits fields, each with its values, and no others.
///
/// `members_only` always goes along: without it a Jitsi lobby is destroyed. Source: XEP-0045 §10.2 "Subsequent Room
/// Configuration"; jitsi-meet's `mod_muc_lobby_rooms`.
#[must_use]
pub fn submit(room: &str, id: &str, members_only: bool, fields: &[(&str, &[&str])]) -> Element {
    let field = |var: &str, values: &[&str]| {
        let mut field = element("field", ns::DATA).attr("var", var);
        for value in values {
            field = field.child(element("value", ns::DATA).text(value));
        }
        field
    };
    let mut x = element("x", ns::DATA).attr("type", "submit").child(field("FORM_TYPE", &[ns::MUC_ROOMCONFIG]));
    for (var, values) in fields.iter().filter(|(var, _)| *var != MEMBERS_ONLY) {
        x = x.child(field(var, values));
    }
    x = x.child(field(MEMBERS_ONLY, &[if members_only { "true" } else { "false" }]));
    stanza::iq("set", Some(room), id).child(element("query", ns::MUC_OWNER).child(x)).into()
}

/// Ends the room for everybody. `venue` is where people should go instead.
///
/// Source: XEP-0045 §10.9 "Destroying a Room".
#[must_use]
pub fn destroy(room: &str, id: &str, venue: Option<&str>, reason: &str) -> Element {
    let mut destroy = element("destroy", ns::MUC_OWNER).maybe_attr("jid", venue);
    if !reason.is_empty() {
        destroy = destroy.child(element("reason", ns::MUC_OWNER).text(reason));
    }
    stanza::iq("set", Some(room), id).child(element("query", ns::MUC_OWNER).child(destroy)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    fn answer() -> Element {
        "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='form'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
         <field var='muc#roomconfig_membersonly' type='boolean'><value>1</value></field>\
         <field var='muc#roomconfig_roomsecret' type='text-private'><value>sesame</value></field>\
         <field var='muc#roomconfig_whois' type='list-single'><option><value>anyone</value></option>\
         <option><value>moderators</value></option><value>anyone</value></field></x></query></iq>"
            .parse()
            .expect("the test's own text")
    }

    #[test]
    fn a_form_is_read_field_by_field_and_its_password_is_not_printed() {
        let form = RoomForm::read(&answer());
        assert_eq!(form.members_only(), Some(true));
        assert_eq!(form.field(WHOIS).map(|field| field.options.clone()).unwrap_or_default(), ["anyone", "moderators"]);
        assert_eq!(form.field(WHOIS).map(Field::value), Some("anyone"));
        assert_eq!(form.field(ROOM_SECRET).map(Field::value), Some("sesame"));
        assert_eq!(form.field(MAX_USERS), None);
        assert!(!format!("{form:?}").contains("sesame"));
    }

    #[test]
    fn whatever_is_submitted_says_whether_only_members_may_enter() {
        let submitted = submit("r@c", "1", true, &[(ROOM_SECRET, &["s"]), (MEMBERS_ONLY, &["false"])]);
        assert_eq!(
            xml::to_string(&submitted, Some(ns::CLIENT)),
            "<iq id='1' to='r@c' type='set'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
             <field var='muc#roomconfig_roomsecret'><value>s</value></field>\
             <field var='muc#roomconfig_membersonly'><value>true</value></field></x></query></iq>"
        );
    }

    #[test]
    fn a_room_is_destroyed_with_its_reason() {
        assert_eq!(
            xml::to_string(&destroy("r@c", "1", Some("s@c"), "over"), Some(ns::CLIENT)),
            "<iq id='1' to='r@c' type='set'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <destroy jid='s@c'><reason>over</reason></destroy></query></iq>"
        );
    }
}
