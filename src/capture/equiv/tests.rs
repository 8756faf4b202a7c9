//! Two clients compared.

use super::*;
use crate::capture::text;

const RECORDED: &str = include_str!("../../../packet_captures/jitsi-direct-login.txt");

fn read(text: &str) -> Dialogue {
    text::read(text).expect("a dialogue")
}

fn report(recorded: &str, ours: &str) -> Report {
    let mut reports = diff(&read(recorded), &read(ours));
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// What is not simply the same, in words.
fn odd(report: &Report) -> Vec<String> {
    let lines = report.lines.iter().map(|line| match &line.verdict {
        Verdict::Same(notes) => {
            notes.iter().map(|note| format!("{}: {}", line.what, note.row.name)).collect::<Vec<_>>()
        }
        Verdict::Omitted(row) => vec![format!("{}: omitted: {}", line.what, row.name)],
        Verdict::Added(row) => vec![format!("{}: added: {}", line.what, row.name)],
        Verdict::Different(why) => vec![format!("{}: {why}", line.what)],
    });
    lines.flatten().collect()
}

#[test]
fn a_dialogue_is_equivalent_to_itself() {
    let report = report(RECORDED, RECORDED);
    assert_eq!(odd(&report), Vec::<String>::new());
    assert!(report.lines.len() > 10, "{report:#?}");
}

#[test]
fn ids_nicks_secrets_and_times_are_free() {
    let ours = RECORDED
        .replace("id='c1'", "id='other'")
        .replace("00000000_innkeeper", "keeper")
        .replace("machine-uid='m'", "machine-uid='n'")
        .replace("> 26.0", "> 25.0")
        .replace("ver='any'", "ver='other'");
    let report = report(RECORDED, &ours);
    assert!(!report.differs(), "{:#?}", odd(&report));
}

/// Each change alone makes it different, and the first line that differs says which.
#[test]
fn another_target_payload_or_order_is_different() {
    let request = "> 0.00 <iq type='set' to='focus.meet.jitsi' id='c1'>\n         \
            <conference xmlns='http://jitsi.org/protocol/focus' room='tavern@muc.meet.jitsi' machine-uid='m'/></iq>\n";
    let join_start = RECORDED.find("> 0.10 <presence").expect("a join");
    let join_end = RECORDED.find("< 0.13 <presence").expect("an answer");
    let join = &RECORDED[join_start..join_end];
    let role_start = RECORDED.find("< 0.17 <presence").expect("a grant");
    let role_end = RECORDED.find("\n# A guest comes").expect("a guest");
    let role = &RECORDED[role_start..role_end];
    let without = |what: &str| RECORDED.replacen(what, "", 1);
    let moved = |what: &str, before: &str| without(what).replacen(before, &format!("{what}{before}"), 1);
    for (name, ours, says) in [
            (
                "the request's target",
                RECORDED.replacen("to='focus.meet.jitsi'", "to='focus.example'", 1),
                "to \"focus.example\" instead of \"focus.meet.jitsi\"",
            ),
            (
                "the request's room",
                RECORDED.replacen("room='tavern@muc.meet.jitsi' m", "room='cellar@muc.meet.jitsi' m", 1),
                "conference@room is \"cellar@muc.meet.jitsi\"",
            ),
            ("the request's kind", RECORDED.replacen("'set' to='focus", "'get' to='focus", 1), "@type is \"get\""),
            (
                "the request's machine-uid",
                RECORDED.replacen(" machine-uid='m'", "", 1),
                "conference@machine-uid is missing",
            ),
            (
                "a session-id",
                RECORDED.replacen(" machine-uid='m'", " machine-uid='m' session-id='s'", 1),
                "conference@session-id is too much",
            ),
            ("no request", without(request), "conference request"),
            ("the request behind the join", without(request).replacen(join, &format!("{join}{}", request.replace("0.00", "0.11")), 1), "it comes before: "),
            (
                "the join's target",
                RECORDED.replacen("> 0.10 <presence to='tavern@", "> 0.10 <presence to='cellar@", 1),
                "to \"cellar@muc.meet.jitsi\"",
            ),
            (
                "the join's payload",
                RECORDED.replacen("<history maxstanzas='0'/>", "<password>hunter2</password>", 1),
                "x/password is too much",
            ),
            ("no join", without(join), "join to tavern@muc.meet.jitsi"),
            ("the join before the answer", moved(join, "< 0.10 <iq"), "it comes before: the conference request is answered"),
            ("the role of somebody else", RECORDED.replacen(role, &role.replace("/00000000_innkeeper", "/abcd1234").replace("<status code='110'/>", ""), 1), "we are moderator in tavern"),
            ("another role", RECORDED.replacen(role, &role.replace("moderator", "visitor"), 1), "we are moderator in tavern"),
            ("the role before the join", moved(role, join), "we are moderator in tavern"),
            ("no leave, and somebody kicks", RECORDED.replacen("! 30.0 release", "> 30.0 <iq type='set' to='tavern@muc.meet.jitsi' id='k'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='a' role='none'/></query></iq>", 1), "does not say it"),
        ] {
            assert_ne!(ours, RECORDED, "{name}: nothing changed");
            let report = report(RECORDED, &ours);
            assert!(report.differs(), "{name}: {:#?}", odd(&report));
            let odd = odd(&report);
            assert!(odd.iter().any(|line| line.contains(says)), "{name}: {odd:#?}");
            assert!(!odd.iter().any(|line| line.contains("hunter2")), "{odd:#?}");
        }
}

const BROWSER: &str = "\
> 0.0 <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
< 0.1 <iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>u@g.example/r</jid></bind></iq>
> 0.2 <iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
> 0.3 <iq type='get' to='meet.example' id='e'><services xmlns='urn:xmpp:extdisco:2'/></iq>
> 0.4 <iq type='set' to='focus.example' id='c'><conference xmlns='http://jitsi.org/protocol/focus' room='a@muc.example'
   machine-uid='m' session-id='s'><property name='visitors-version' value='1'/></conference></iq>
< 0.5 <iq type='result' from='focus.example' id='c'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'/></iq>
> 0.6 <iq type='set' to='focus.example' id='d'><conference xmlns='http://jitsi.org/protocol/focus' room='a@muc.example'
   machine-uid='m' session-id='s'><property name='visitors-version' value='1'/></conference></iq>
< 0.7 <iq type='result' from='focus.example' id='d'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'/></iq>
> 0.8 <presence to='a@muc.example/u'><x xmlns='http://jabber.org/protocol/muc'/><stats-id>X</stats-id>
   <jitsi_participant_codecList>vp8</jitsi_participant_codecList><SourceInfo>{}</SourceInfo></presence>
< 0.9 <presence from='a@muc.example/u'><x xmlns='http://jabber.org/protocol/muc#user'>
   <item affiliation='none' role='participant'/><status code='110'/></x></presence>
> 9.0 <iq type='get' to='meet.example' id='p'><ping xmlns='urn:xmpp:ping'/></iq>
> 9.5 <presence to='a@muc.example/u' type='unavailable'/>
> 9.6 <presence type='unavailable'/>
";

const KEEPER: &str = "\
> 0.0 <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>i</resource></bind></iq>
< 0.1 <iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>v@g.example/i</jid></bind></iq>
> 0.2 <enable xmlns='urn:xmpp:sm:3' resume='true'/>
> 0.4 <iq type='set' to='focus.example' id='1'><conference xmlns='http://jitsi.org/protocol/focus' room='a@muc.example'
   machine-uid='x' session-id='y'/></iq>
< 0.5 <iq type='result' from='focus.example' id='1'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'/></iq>
> 0.6 <presence to='a@muc.example/0keeper' id='j'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>
   <nick xmlns='http://jabber.org/protocol/nick'>Keeper</nick></presence>
< 0.9 <presence from='a@muc.example/0keeper'><x xmlns='http://jabber.org/protocol/muc#user'>
   <item affiliation='none' role='participant'/><status code='110'/></x></presence>
> 5.0 <iq type='get' to='a@muc.example/0keeper' id='2'><ping xmlns='urn:xmpp:ping'/></iq>
";

#[test]
fn what_a_keeper_leaves_out_and_adds_is_listed_with_its_reason() {
    let report = report(BROWSER, KEEPER);
    assert!(!report.differs(), "{:#?}", odd(&report));
    assert_eq!(
        odd(&report),
        [
            "stream management: added: stream management",
            "session: omitted: session",
            "extdisco to meet.example: omitted: extdisco",
            "conference request to focus.example (a@muc.example): visitors-version",
            "conference request to focus.example (a@muc.example): omitted: doubled conference request",
            "the conference request is answered: ready: omitted: doubled conference request",
            "join to a@muc.example: SourceInfo",
            "join to a@muc.example: codec list and properties",
            "join to a@muc.example: stats-id",
            "join to a@muc.example: display name",
            "join to a@muc.example: history",
            "self-ping to a@muc.example/us: added: self-ping",
            "ping to meet.example: omitted: ping",
            "end to a@muc.example/us: omitted: leaving",
            "end: omitted: leaving",
        ]
    );
}

#[test]
fn leaving_before_the_recorded_client_is_different() {
    let early = KEEPER.replace("> 5.0", "> 1.0 <presence to='a@muc.example/0keeper' type='unavailable'/>\n> 5.0");
    let more = "> 9.5 <iq type='set' to='focus.example' id='f'><conference xmlns='http://jitsi.org/protocol/focus' \
                    room='b@muc.example' machine-uid='m'/></iq>\n";
    assert!(!report(BROWSER, &early).differs());
    let stays = BROWSER.split("> 9.5").next().unwrap_or_default();
    assert!(odd(&report(&format!("{stays}{more}"), &early)).iter().any(|line| line.starts_with("leave to a@muc")));
}

#[test]
fn a_replaying_server_learns_what_it_must_wait_for_and_which_ids_to_use() {
    let (recorded, ours) = (read(BROWSER), read(KEEPER));
    let mut comparison = Comparison::new(&recorded.connections[0]);
    assert_eq!(comparison.expected(1), ["bind"]);
    let ours: Vec<&Element> = ours.connections[0].elements().map(|(_, element)| element).collect();
    assert_eq!(comparison.sent(ours[0]), Verdict::Same(Vec::new()));
    assert_eq!(comparison.expected(1), Vec::<String>::new());
    comparison.heard(ours[1]);
    assert_eq!(comparison.expected(5), ["conference request to focus.example (a@muc.example)"]);
    assert!(matches!(comparison.sent(ours[2]), Verdict::Added(_)));
    assert!(matches!(comparison.sent(ours[3]), Verdict::Same(_)));
    assert_eq!((comparison.id("c"), comparison.id("d")), (Some("1"), None));
    // A join before the answer was heard is too early.
    assert!(matches!(comparison.sent(ours[5]), Verdict::Different(why) if why.contains("is answered")));
}

#[test]
fn mechanism_and_result_of_a_login_are_compared_and_its_payload_is_not() {
    let login = |mechanism: &str, payload: &str, end: &str| {
        format!(
            "> 0 <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{payload}</auth>\n\
                 < 1 <{end}\n"
        )
    };
    let success = "success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    let failure = "failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    let recorded = login("SCRAM-SHA-1", "QQ==", success);
    assert!(!report(&recorded, &login("SCRAM-SHA-1", "Qg==", success)).differs());
    assert!(report(&recorded, &login("PLAIN", "QQ==", success)).differs());
    assert!(report(&recorded, &login("SCRAM-SHA-1", "QQ==", failure)).differs());
}

#[test]
fn a_connection_without_counterpart_is_different() {
    let two = "> 0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='g'/>\n\
                   == websocket\n> 0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='m'/>\n";
    let one = "> 0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='m'/>\n";
    let differs = |reports: Vec<Report>| reports.iter().map(Report::differs).collect::<Vec<_>>();
    assert_eq!(differs(diff(&read(two), &read(one))), [true, false]);
    assert_eq!(differs(diff(&read(one), &read(two))), [false, true]);
}
