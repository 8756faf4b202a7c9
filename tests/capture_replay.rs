//! The server's side of captures, played to innkeeper's real client: what it says is the same, and what is not is seen.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use innkeeper::capture::equiv::{Report, Verdict};
use innkeeper::capture::{self, Dialogue};
use innkeeper::runtime::replay;

/// A browser's direct login, as short as it can be. The answers stand where the recording has them.
const BROWSER: &str = "\
== websocket wss://meet.example/xmpp-websocket?room=tavern 2026-01-01T12:00:00Z
> 0.00 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>
< 0.01 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='meet.jitsi' id='s1' version='1.0'/>
< 0.01 <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
    <mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>
> 0.02 <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>[masked]</auth>
< 0.03 <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[masked]</challenge>
> 0.04 <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[masked]</response>
< 0.05 <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[masked]</success>
> 0.06 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>
< 0.07 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='meet.jitsi' id='s2' version='1.0'/>
< 0.07 <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>
> 0.08 <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
< 0.09 <iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>host@meet.jitsi/r1</jid></bind></iq>
> 0.10 <iq type='get' to='meet.jitsi' id='x'><services xmlns='urn:xmpp:extdisco:2'/></iq>
> 0.11 <iq type='set' to='focus.meet.jitsi' id='c'><conference xmlns='http://jitsi.org/protocol/focus' room='tavern@muc.meet.jitsi' machine-uid='uid-1'/></iq>
< 0.12 <iq type='error' from='meet.jitsi' id='x'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
< 0.13 <iq type='result' from='focus.meet.jitsi' id='c'><conference xmlns='http://jitsi.org/protocol/focus' room='tavern@muc.meet.jitsi'
    ready='true' focusjid='focus@auth.meet.jitsi' session-id='sid-1' identity='host@meet.jitsi'/></iq>
> 0.14 <presence to='tavern@muc.meet.jitsi/abcd1234'><x xmlns='http://jabber.org/protocol/muc'/></presence>
< 0.15 <presence from='tavern@muc.meet.jitsi/focus'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/focus'/></x></presence>
< 0.16 <presence from='tavern@muc.meet.jitsi/abcd1234'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/>
    <item affiliation='none' role='participant' jid='host@meet.jitsi/r1'/></x></presence>
< 0.17 <iq type='get' from='tavern@muc.meet.jitsi/focus' to='host@meet.jitsi/r1' id='q'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
> 0.18 <iq type='result' to='tavern@muc.meet.jitsi/focus' id='q'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
< 0.19 <presence from='tavern@muc.meet.jitsi/abcd1234'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/>
    <item affiliation='owner' role='moderator' jid='host@meet.jitsi/r1'/></x></presence>
> 9.00 <presence type='unavailable'/>
> 9.00 <close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>
";

fn played(dialogue: &Dialogue) -> Vec<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(replay::replay(dialogue)).expect("it can be played")
}

fn play(text: &str) -> Vec<Report> {
    played(&capture::read(text.as_bytes()).expect("a capture"))
}

fn differences(reports: &[Report]) -> Vec<String> {
    let lines = reports.iter().flat_map(|report| &report.lines);
    lines
        .filter_map(|line| match &line.verdict {
            Verdict::Different(why) => Some(format!("{}: {why}", line.what)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_browsers_direct_login_is_what_innkeeper_does() {
    let reports = play(BROWSER);
    assert_eq!(differences(&reports), Vec::<String>::new());
    let same = |part: &str| {
        reports[0].lines.iter().any(|line| line.what.contains(part) && matches!(line.verdict, Verdict::Same(_)))
    };
    for part in ["login (SCRAM-SHA-1)", "the login is accepted", "conference request", "join to", "we are moderator"] {
        assert!(same(part), "{part}: {reports:#?}");
    }
}

#[test]
fn channel_binding_of_the_recording_is_no_difference_on_loopback() {
    let bound = BROWSER.replace("'SCRAM-SHA-1'>", "'SCRAM-SHA-1-PLUS'>").replace(">SCRAM-SHA-1<", ">SCRAM-SHA-1-PLUS<");
    assert_eq!(differences(&play(&bound)), Vec::<String>::new());
}

#[test]
fn a_client_that_did_otherwise_is_different() {
    // It joined before it asked the focus.
    let lines: Vec<&str> = BROWSER.lines().collect();
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).expect("the line");
    let join = at("<presence to='tavern");
    let mut early = lines.clone();
    let line = early.remove(join);
    early.insert(at("<iq type='set' to='focus"), line);
    let early = early.join("\n").replace("> 0.14", "> 0.10");
    assert!(!differences(&play(&early)).is_empty());
    // It said something that a keeper does not say.
    let ban = "> 0.20 <iq type='set' to='tavern@muc.meet.jitsi' id='k'><query xmlns='http://jabber.org/protocol/muc#admin'>\
               <item nick='x' role='none'/></query></iq>\n> 9.00 <presence type='unavailable'/>";
    let kicked = BROWSER.replace("> 9.00 <presence type='unavailable'/>", ban);
    let found = differences(&play(&kicked));
    assert!(found.len() == 1 && found[0].contains("ours does not say it"), "{found:?}");
}

#[test]
fn the_command_says_step_by_step_and_fails_only_where_something_is_different() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = |text: &str, arguments: &[&str]| {
        let path = folder.path().join("capture");
        fs::write(&path, text).expect("a capture");
        let mut command = Command::new(support::daemon::binary());
        let output = command.args(["capture", "replay"]).arg(&path).args(arguments).output().expect("it runs");
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("text"),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    let (code, page, _) = ran(BROWSER, &[]);
    assert_eq!(code, Some(0), "{page}");
    assert!(page.contains("omitted-by-design") && page.ends_with("equivalent\n"), "{page}");
    let other = BROWSER.replace("<services xmlns='urn:xmpp:extdisco:2'/>", "<thing xmlns='urn:x'/>");
    let (code, json, _) = ran(&other, &["--json"]);
    assert_eq!(code, Some(1), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["different"], true);
    let (code, _, error) = ran("> 0 <iq type='get' id='1'/>\n", &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("shows no client that opens a stream"), "{error}");
}

#[test]
fn every_recording_of_ours_is_what_innkeeper_says_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures");
    for entry in fs::read_dir(folder).expect("packet_captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "har") {
            continue;
        }
        let dialogue = capture::read(&fs::read(&path).expect("a capture")).expect("a dialogue");
        assert_eq!(differences(&played(&dialogue)), Vec::<String>::new(), "{}", path.display());
    }
}

/// A dialogue that begins when the stream is ready, as the whole connections that it takes: each with a login before it.
///
/// What happens to the stream becomes what is said then: a loss ends the connection, and the next one begins with a
/// resumption that succeeds or fails. A release is nobody's word on the wire; the dialogue ends there.
fn with_logins(text: &str) -> String {
    let begin = |line: &str| BROWSER.find(line).expect("a line of the login");
    // Behind the header, up to the binding; the stream can be managed.
    let open = &BROWSER[begin("> 0.00")..begin("> 0.08")];
    let open = open.replace("<bind xmlns", "<sm xmlns='urn:xmpp:sm:3'/><bind xmlns");
    let bind = BROWSER[begin("> 0.08")..begin("> 0.10")].replace("host@meet.jitsi/r1", "keeper@meet.jitsi/x");
    let enable = "> 0.10 <enable xmlns='urn:xmpp:sm:3' resume='true'/>\n\
                  < 0.11 <enabled xmlns='urn:xmpp:sm:3' id='sm-1' resume='true'/>\n";
    let resume = "> 0.08 <resume xmlns='urn:xmpp:sm:3' previd='sm-1' h='0'/>\n";
    let header = "== websocket wss://meet.jitsi/xmpp-websocket\n";
    let mut out = format!("{header}{open}{bind}{enable}");
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["!", _, "release"] => break,
            ["!", at, "lost"] => out += &format!("! {} lost\n{header}{open}{resume}", later(at)),
            ["!", _, "online"] => {
                out += "< 0.08 <failed xmlns='urn:xmpp:sm:3'/>\n";
                out += &format!("{bind}{enable}");
            }
            ["!", _, resumed] => {
                let count = resumed.strip_prefix("resumed ").expect("something that happens");
                out += &format!("< 0.09 <resumed xmlns='urn:xmpp:sm:3' previd='sm-1' h='{count}'/>\n");
            }
            [mark @ (">" | "<"), at, rest] => out += &format!("{mark} {} {rest}\n", later(at)),
            _ => out += &format!("{line}\n"),
        }
    }
    out
}

/// A time of a dialogue, behind the login.
fn later(at: &str) -> f64 {
    at.parse::<f64>().expect("a time") + 1.0
}

#[test]
fn every_dialogue_written_by_hand_is_what_innkeeper_says_over_a_socket() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures");
    let mut played_ones = 0;
    for entry in fs::read_dir(folder).expect("packet_captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = with_logins(&fs::read_to_string(&path).expect("a dialogue"));
        let dialogue = capture::read(text.as_bytes()).expect("a dialogue");
        assert!(dialogue.remarks.is_empty(), "{}: {:?}", path.display(), dialogue.remarks);
        assert_eq!(differences(&played(&dialogue)), Vec::<String>::new(), "{}", path.display());
        played_ones += 1;
    }
    assert!(played_ones >= 7, "{played_ones} dialogues");
}
