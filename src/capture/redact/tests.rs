use super::*;
use crate::xml::{CLIENT, Limits, parse};

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb29tIjoiKiJ9.c2lnbmF0dXJl_-x";

fn element(text: &str) -> Element {
    parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|bad| panic!("{bad:?}: {text}"))
}

fn shown(redactor: &mut Redactor, text: &str) -> String {
    xml::to_string(&redactor.element(&element(text)), Some(CLIENT))
}

fn once(text: &str) -> String {
    shown(&mut Redactor::recording(false), text)
}

#[test]
fn a_login_shows_its_mechanism_and_its_end_only() {
    for (said, kept) in [
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
            "mechanism='PLAIN'>[masked]<",
        ),
        ("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1h</challenge>", ">[masked]<"),
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1i</response>", ">[masked]<"),
        ("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1h</success>", ">[masked]<"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>", "mechanism='ANONYMOUS'/>"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X'>=</auth>", ">=<"),
        (
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-allowed/><text>Invalid signature</text></failure>",
            "<not-allowed/><text>Invalid signature</text>",
        ),
    ] {
        assert!(once(said).contains(kept), "{}", once(said));
    }
}

#[test]
fn one_secret_keeps_one_pseudonym_and_the_flow_can_still_be_followed() {
    let mut redactor = Redactor::recording(false);
    let ask = "<iq to='focus.h' type='set' id='c1'><conference xmlns='http://jitsi.org/protocol/focus' room='r@muc.h' \
               machine-uid='0123456789abcdef' session-id='c743d660-216a'/></iq>";
    assert_eq!(
        shown(&mut redactor, ask),
        "<iq id='c1' to='focus.h' type='set'><conference xmlns='http://jitsi.org/protocol/focus' machine-uid='uid-1' \
         room='r@muc.h' session-id='sid-1'/></iq>"
    );
    assert!(shown(&mut redactor, &ask.replace("c743", "d843")).contains("session-id='sid-2'"));
    assert!(shown(&mut redactor, ask).contains("machine-uid='uid-1' room='r@muc.h' session-id='sid-1'"));
    let enabled =
        shown(&mut redactor, "<enabled xmlns='urn:xmpp:sm:3' id='XriU4kgCmKh6' resume='true' location='h:1'/>");
    assert_eq!(enabled, "<enabled xmlns='urn:xmpp:sm:3' id='sm-1' location='[masked]' resume='true'/>");
    assert_eq!(
        shown(&mut redactor, "<resume xmlns='urn:xmpp:sm:3' previd='XriU4kgCmKh6' h='4'/>"),
        "<resume xmlns='urn:xmpp:sm:3' h='4' previd='sm-1'/>"
    );
    assert_eq!(redactor.url("wss://h/x?room=r&previd=XriU4kgCmKh6"), "wss://h/x?room=r&previd=sm-1");
}

#[test]
fn a_secret_that_is_known_is_found_where_nobody_expects_it() {
    let mut redactor = Redactor::recording(true);
    let _ = shown(&mut redactor, "<x xmlns='http://jabber.org/protocol/muc'><password>open sesame</password></x>");
    let chat = "<message from='r@muc.h/a' type='groupchat'><body>it is open sesame!</body></message>";
    assert!(shown(&mut redactor, chat).contains("<body>it is password-1!</body>"));
    let id = "<iq from='r@muc.h/open sesame' id='open sesame' type='get'><ping xmlns='urn:xmpp:ping'/></iq>";
    assert!(!shown(&mut redactor, id).contains("sesame"));
}

#[test]
fn tokens_are_found_by_their_shape() {
    let json = format!("{{&quot;a&quot;:{{&quot;type&quot;:&quot;{TOKEN}&quot;,&quot;{TOKEN}&quot;:1}}}}");
    for said in [
        format!("<iq from='r@muc.h/{TOKEN}' id='{TOKEN}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
        format!("<message><json-message xmlns='http://jitsi.org/jitmeet'>{json}</json-message></message>"),
        format!("<message><body>see https://h/r?jwt={TOKEN}</body><{TOKEN} {TOKEN}='x' xmlns='{TOKEN}'/></message>"),
        format!("<presence><show>{TOKEN}</show></presence>"),
    ] {
        for content in [false, true] {
            let shown = shown(&mut Redactor::recording(content), &said);
            assert!(!shown.contains("eyJ"), "{shown}");
        }
    }
    let mut redactor = Redactor::recording(false);
    assert_eq!(redactor.url(&format!("wss://h/x?token={TOKEN}&room=r")), "wss://h/x?token=token-1&room=r");
    assert_eq!(redactor.text(&format!("Authorization: Bearer {TOKEN}")), "Authorization: Bearer token-1");
}

#[test]
fn a_url_keeps_the_room_and_nothing_personal() {
    let mut redactor = Redactor::recording(false);
    assert_eq!(
        redactor
            .url("wss://me:pw@h.example:8443/tenant/xmpp-websocket?room=caf%C3%A9&prefix=t&customusername=me#jwt=x"),
        "wss://h.example:8443/tenant/xmpp-websocket?room=caf%C3%A9&prefix=t&customusername=[masked]"
    );
    assert_eq!(redactor.url("xmpp://h:5222"), "xmpp://h:5222");
    assert_eq!(redactor.url("no url, token=abcdef"), "no url, token=token-1");
}

#[test]
fn people_are_kept_on_request_only() {
    let said = "<presence from='r@muc.h/a'><nick xmlns='http://jabber.org/protocol/nick'>Zoë</nick><email>z@h</email>\
                <avatar-url>https://h/z.png</avatar-url><stats-id>Zoe-1</stats-id><status>away</status></presence>";
    let without = once(said);
    for word in ["Zoë", "z@h", "z.png", "Zoe-1", "away"] {
        assert!(!without.contains(word), "{without}");
    }
    assert_eq!(shown(&mut Redactor::recording(true), said), shown(&mut Redactor::showing(true), said));
    assert!(shown(&mut Redactor::recording(true), said).contains("Zoë"));
    let chat = "<message from='r@muc.h/a'><subject/><body>hello</body></message>";
    assert_eq!(once(chat), "<message from='r@muc.h/a'><subject/><body>[masked]</body></message>");
}

#[test]
fn what_is_unknown_is_masked_and_its_structure_stays() {
    assert_eq!(
        once(
            "<message from='a@h'><thing xmlns='urn:x' a='1' b=''><inner c='2'>text</inner> <inner/></thing></message>"
        ),
        "<message from='a@h'><thing xmlns='urn:x' a='[masked]' b=''><inner c='[masked]'>[masked]</inner> <inner/>\
         </thing></message>"
    );
    assert_eq!(once("<iq new='x' type='get' xml:lang='en'/>"), "<iq new='[masked]' type='get' xml:lang='en'/>");
    assert!(!once("<a xmlns:p='u' p:x='secret' xml:lang='it is a secret'/>").contains("secret"));
}

#[test]
fn turn_credentials_go_from_both_places() {
    let disco = "<iq type='result'><services xmlns='urn:xmpp:extdisco:2'><service type='turn' host='t.h' port='443' \
                 transport='udp' username='17951' password='hmac' expires='2026-01-01T00:00:00Z'/></services></iq>";
    let shown = once(disco);
    assert!(shown.contains("host='t.h'") && shown.contains("username='turn-"), "{shown}");
    assert!(!shown.contains("hmac") && !shown.contains("17951"), "{shown}");
    let pushed = "<message from='metadata.h'><json-message xmlns='http://jitsi.org/jitmeet' room='r@muc.h'>\
        {\"type\":\"room_metadata\",\"metadata\":{\"services\":[{\"type\":\"turns\",\"host\":\"t.h\",\"port\":443,\
        \"username\":\"17951\",\"password\":\"hmac\"}],\"lobbyEnabled\":true,\"note\":\"hush\",\"n\":5}}\
        </json-message></message>";
    let shown = once(pushed);
    let text = element(&shown.replace("<message", "<message xmlns='jabber:client'")).children().next().unwrap().text();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        json["metadata"],
        serde_json::json!({
            "services": [{"type": "turns", "host": "t.h", "port": 443, "username": "turn-1", "password": "password-1"}],
            "lobbyEnabled": true, "note": "[masked]", "n": "[masked]",
        })
    );
    assert_eq!(json["type"], "room_metadata");
    let torn = "<message><json-message xmlns='http://jitsi.org/jitmeet'>{\"password\":\"hm</json-message></message>";
    assert!(!once(torn).contains("hm<"));
}

#[test]
fn a_rooms_form_keeps_its_settings_and_not_its_password() {
    let form = "<iq type='result'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'>\
        <title>Tavern</title>\
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
        <field var='muc#roomconfig_membersonly' type='boolean' label='x'><value>1</value></field>\
        <field var='muc#roomconfig_roomname'><value>Tavern</value></field>\
        <field var='muc#roomconfig_roomsecret' type='text-private'><value>hush</value></field>\
        <field var='{urn:x}other' type='boolean'><value>0</value></field>\
        <field var='urn:x#other'><value>hush</value></field></x></query></iq>";
    let shown = once(form);
    assert!(shown.contains("muc#roomconfig</value>") && shown.contains("<value>1</value>"), "{shown}");
    assert!(shown.contains("<value>0</value>") && shown.contains("<value>password-1</value>"), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains("Tavern"), "{shown}");
}

#[test]
fn a_servers_refusal_keeps_its_words_and_an_occupants_does_not() {
    let error = "<error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                 <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not authorized user domain</text></error>";
    assert!(once(&format!("<iq type='error' from='focus.h'>{error}</iq>")).contains(">not authorized user domain<"));
    assert!(once(&format!("<presence type='error' from='r@muc.h/me'>{error}</presence>")).contains("user domain"));
    let theirs = once(&format!("<iq type='error' from='r@muc.h/other'>{error}</iq>"));
    assert!(!theirs.contains("user domain") && theirs.contains("<not-authorized"), "{theirs}");
}

#[test]
fn text_that_an_element_cuts_in_two_is_one_text() {
    let (a, b) = TOKEN.split_at(30);
    let cut = format!("<message><body>{a}<i/>{b}</body></message>");
    assert!(!shown(&mut Redactor::recording(true), &cut).contains("eyJ"));
}

#[test]
fn what_is_redacted_again_stays_what_it_is() {
    let mut first = Redactor::recording(false);
    let said = "<iq><conference xmlns='http://jitsi.org/protocol/focus' session-id='abc' token='t'/><x>y</x></iq>";
    let redacted = first.element(&element(said));
    assert_eq!(Redactor::showing(false).element(&redacted), redacted);
    // What only looks like a pseudonym is a secret while it is recorded.
    let sly = "<x xmlns='http://jabber.org/protocol/muc'><password>password-77</password></x>";
    assert!(!once(sly).contains("77"));
}

#[test]
fn what_is_no_element_shows_its_tags() {
    let mut redactor = Redactor::recording(true);
    assert_eq!(
        redactor.broken("<iq id='x' type='set'><password>abc</password><unclosed a='secret'"),
        "<iq [masked]><password>[masked]</password><unclosed [masked]"
    );
    assert_eq!(redactor.broken("hello"), "[masked]");
    assert_eq!(redactor.broken("<a/>\n<b/>"), "<a/>\n<b/>");
}

#[test]
fn a_redactor_does_not_say_what_it_knows() {
    let mut redactor = Redactor::recording(false);
    let _ = redactor.text("token=abcdefghijkl");
    assert!(!format!("{redactor:?}").contains("abcdef"));
}

#[test]
fn secrets_that_a_stranger_makes_up_cost_little() {
    let mut redactor = Redactor::recording(false);
    assert_eq!(redactor.pseudonym(&"y".repeat(200_000), Kind::Token), MASKED);
    for n in 0..700 {
        let made_up = redactor.pseudonym(&format!("{n}{}", "y".repeat(8_000)), Kind::Token);
        assert!(!made_up.contains("yyy"));
    }
    let bytes: usize = redactor.pseudonyms.keys().map(String::len).sum();
    assert!(bytes <= SECRETS_BYTES && redactor.bytes == bytes, "{bytes} bytes");
    assert!(redactor.text("token=of-an-honest-length").starts_with("token=token-"));
}
