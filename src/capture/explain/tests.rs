//! What is said of dialogues.

use std::path::PathBuf;

use super::*;
use crate::capture::text;
use crate::config::{self, Content, File, Files, Input};

/// Every file that a configuration names holds a secret.
struct Secrets;

impl Files for Secrets {
    fn read(&self, _: &std::path::Path) -> Result<Content, String> {
        Ok(Content { bytes: b"secret".to_vec(), others_may_read: false })
    }
}

/// Whether our own reader takes the configuration.
fn check(service: &str) {
    let files = vec![File { name: "explained.toml".to_owned(), text: service.to_owned() }];
    let input =
        Input { files, env: Vec::new(), base: PathBuf::from("/etc/innkeeper"), offline: true, secrets: &Secrets };
    if let Err(problems) = config::check(&input) {
        panic!("{problems:#?}\n{service}");
    }
}

fn read(text: &str) -> Explanation {
    explain(&text::read(text).expect("a dialogue"))
}

const HEAD: &str = "\
== websocket wss://meet.example/xmpp-websocket?room=tavern 2026-01-01T12:00:00Z
> 0.0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='guest.meet.jitsi' version='1.0'/>
< 0.1 <features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms></features>
> 0.2 <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>
< 0.3 <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
> 0.4 <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
< 0.5 <iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>u@guest.meet.jitsi/r</jid></bind></iq>
> 0.6 <iq type='get' to='meet.jitsi' id='e'><services xmlns='urn:xmpp:extdisco:2'/></iq>
< 0.7 <iq type='error' from='meet.jitsi' id='e'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
";

fn request(at: f64, id: &str, more: &str, answer: &str) -> String {
    format!(
        "> {at} <iq type='set' to='focus.meet.jitsi' id='{id}'><conference xmlns='http://jitsi.org/protocol/focus' \
         room='tavern@muc.meet.jitsi' machine-uid='0123456789abcdef'{more}/></iq>\n\
         < {} <iq type='{answer}</iq>\n",
        at + 0.05
    )
}

fn ready(id: &str, more: &str, authentication: bool) -> String {
    format!(
        "result' from='focus.meet.jitsi' id='{id}'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'{more}>\
         <property name='authentication' value='{authentication}'/></conference>"
    )
}

fn refused(id: &str) -> String {
    format!(
        "error' from='focus.meet.jitsi' id='{id}'><error type='auth'>\
         <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    )
}

const JOIN: &str = "\
> 5.0 <presence to='tavern@muc.meet.jitsi/u'><x xmlns='http://jabber.org/protocol/muc'/></presence>
< 5.1 <presence from='tavern@muc.meet.jitsi/u'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x></presence>
";
const GRANT: &str = "\
< 5.144 <presence from='tavern@muc.meet.jitsi/u'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'><actor nick='focus'/></item><status code='110'/></x></presence>
";

#[test]
fn two_browsers_who_both_end_their_own_media_are_no_refusal_that_matters() {
    let end = |to: &str| {
        format!(
            "> 6.0 <iq type='set' to='tavern@muc.meet.jitsi/{to}' id='j'><jingle xmlns='urn:xmpp:jingle:1' \
             action='session-terminate' sid='s'/></iq>\n\
             < 6.1 <iq type='error' from='tavern@muc.meet.jitsi/{to}' id='j'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>\n"
        )
    };
    let harmless = |to: &str| {
        let told = read(&(HEAD.to_owned() + &request(2.0, "d", "", &ready("d", "", true)) + JOIN + &end(to)));
        told.connections[0].refusals.last().map(|refusal| refusal.harmless.is_some())
    };
    assert_eq!(harmless("85928059"), Some(true));
    assert_eq!(harmless("focus"), Some(false));
}

#[test]
fn a_guest_with_a_session_id_is_told_from_one_that_is_refused() {
    let session = " session-id='c743d660-216a-43d8-b55c-7e5f7fc184fd'";
    let upgraded = HEAD.to_owned()
        + &request(1.0, "c", "", &refused("c"))
        + &request(2.0, "d", session, &ready("d", &format!("{session} identity='host@meet.jitsi'"), true))
        + JOIN
        + GRANT;
    let told = read(&upgraded);
    assert_eq!(told.model, Model::GuestAndAccount);
    let leg = &told.connections[0];
    assert_eq!(leg.domain.as_deref(), Some("guest.meet.jitsi"));
    assert_eq!(leg.requests[1].session_id.as_deref(), Some("sid-1"));
    assert!(leg.refusals.iter().all(|refusal| refusal.harmless.is_some()), "{:#?}", leg.refusals);
    let text = told.sentences().join("\n");
    assert!(text.contains("moderator 44 ms after joining, affiliation owner, by focus"), "{text}");
    assert!(!text.contains("c743d660") && !text.contains("0123456789abcdef"), "{text}");
    let service = told.service.expect("a service");
    for line in [
        "url = \"wss://meet.example/xmpp-websocket\"",
        "domain = \"meet.jitsi\"",
        "muc = \"muc.meet.jitsi\"",
        "focus = \"focus.meet.jitsi\"",
        "login = \"guest\"",
        "guest_domain = \"guest.meet.jitsi\"",
        "account = \"host\"",
        "name = \"tavern\"",
    ] {
        assert!(service.lines().any(|one| one == line), "{line} is not in\n{service}");
    }
    check(&service);

    let told = read(&(HEAD.to_owned() + &request(1.0, "c", "", &refused("c"))));
    assert_eq!(told.model, Model::GuestRefused);
    assert!(told.verdict.contains("the first refusal that matters: conference request for tavern@muc.meet.jitsi"));
    check(&told.service.expect("a service"));
}

#[test]
fn the_other_models_are_told_apart() {
    let open = read(&(HEAD.to_owned() + &request(1.0, "c", "", &ready("c", "", false)) + JOIN + GRANT));
    assert_eq!(open.model, Model::Open);
    check(&open.service.expect("a service"));

    let inside = read(&(HEAD.to_owned() + &request(1.0, "c", "", &ready("c", "", true)) + JOIN));
    assert_eq!(inside.model, Model::GuestInOpenRoom);

    let direct = HEAD.replace("ANONYMOUS", "SCRAM-SHA-1").replace("guest.meet.jitsi", "meet.jitsi");
    let direct = read(&(direct + &request(1.0, "c", "", &ready("c", " identity='u@meet.jitsi'", true)) + JOIN + GRANT));
    assert_eq!(direct.model, Model::DirectAccount);
    let service = direct.service.expect("a service");
    assert!(service.contains("account = \"u\"") && !service.contains("login"), "{service}");
    check(&service);

    let token = HEAD.replace("?room=tavern", "?room=tavern&token=a.b.c");
    let token = read(&(token + &request(1.0, "c", "", &ready("c", "", true)) + JOIN + GRANT));
    assert_eq!(token.model, Model::Token);

    let plain = read(JOIN);
    assert_eq!(plain.model, Model::PlainXmpp);
    check(&plain.service.expect("a service"));

    let failure = HEAD.replace(
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
    );
    assert_eq!(read(&failure).model, Model::LoginRefused);
    assert!(read(&failure).verdict.contains("login (ANONYMOUS) at guest.meet.jitsi, on connection 1: not-authorized"));
}

#[test]
fn a_name_full_of_quotes_does_not_leave_its_line() {
    let evil = JOIN.replace("tavern", "x&quot;&#10;account = &quot;root&quot;&#10;#");
    let service = read(&evil).service.expect("a service");
    assert!(!service.lines().any(|line| line.starts_with("account = \"root\"")), "{service}");
    assert!(service.parse::<toml::Table>().is_ok(), "{service}");
}

#[test]
fn the_log_line_of_a_refused_extdisco_is_explained() {
    for line in [
        r#"Strophe: <iq xmlns="jabber:client" from="meet.jitsi" to="033a2eb4@guest.meet.jitsi/leN0" type="error" id="x:sendIQ"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq> getting turn credentials (urn:xmpp:extdisco:2) failed"#,
        r#"2021-05-10 [modules/xmpp/xmpp.js] getting turn credentials (extdisco:2) failed <iq xmlns='jabber:client' from='meet.jitsi' to='033a2eb4@guest.meet.jitsi/leN0' type='error'><error type='cancel'><service-unavailable/></error></iq>"#,
        r#"{"error":"<iq from=\"033a2eb4@guest.meet.jitsi/leN0\" to=\"meet.jitsi\" type=\"get\"><services xmlns=\"urn:xmpp:extdisco:2\"/></iq> service-unavailable"}"#,
    ] {
        let told = log_line(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(told.operation, "urn:xmpp:extdisco:2", "{line}");
        assert_eq!(told.login_domain.as_deref(), Some("guest.meet.jitsi"), "{line}");
        assert_eq!(told.condition.as_deref(), Some("service-unavailable"), "{line}");
        assert!(told.sentences().join("\n").contains("this is not why a join failed"));
    }
    assert_eq!(log_line("extdisco:"), None);
    assert_eq!(log_line("nothing of the kind"), None);
}
