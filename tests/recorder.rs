//! Recordings of the real daemon on a real server: they are whole at any moment, and no secret is in them.
#![allow(clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use innkeeper::capture::{self, Content, Direction};
use support::prosody::{MUC, Options, PASSWORD};
use support::{Client, Daemon, Focus, Prosody, Proxy, Setup, focus, until};

const BARE: &str = "skotosadmin@meet.jitsi";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb29tIjoiKiIsIm4iOiJwbGFudGVkIn0.cGxhbnRlZHNpZ25hdHVyZQ";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn world() -> (Prosody, Focus) {
    let prosody = Prosody::start(Options::default());
    let focus = Focus::start(focus::Options::of(&prosody));
    focus.wait_connected(seconds(10));
    (prosody, focus)
}

/// The recordings of a folder by name, each of them whole and readable by nobody else.
///
/// Whoever reads while a row is written may see half of it: the old tail and the new row share bytes, and reading is not
/// one step. A file that nobody writes any longer stays torn if it is.
fn recordings(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder of recordings") {
        let path = entry.expect("an entry").path();
        assert_eq!(fs::metadata(&path).expect("its mode").permissions().mode() & 0o777, 0o600);
        let whole = || {
            let text = fs::read_to_string(&path).ok()?;
            serde_json::from_str::<serde_json::Value>(&text).is_ok().then_some(text)
        };
        let text = until(&format!("a whole HAR in {}", path.display()), seconds(5), whole);
        found.insert(path.file_name().expect("its name").to_string_lossy().into_owned(), text);
    }
    found
}

fn recording(setup: Setup, folder: &str) -> Daemon {
    let mut daemon = Daemon::prepare(setup);
    let folder = daemon.dir().join(folder);
    daemon.setup.args.extend(["--record".to_owned(), folder.display().to_string()]);
    daemon.run();
    daemon
}

#[test]
fn a_daemon_that_is_killed_leaves_whole_recordings_of_every_transport() {
    let (prosody, focus) = world();
    for setup in [Setup::websocket(&prosody), Setup::tls(&prosody)] {
        let setup = setup.rooms(["tavern"]);
        let (jids, url) = (setup.jids(), setup.url.clone());
        let mut daemon = recording(setup, "recordings");
        focus.wait_held(&jids, BARE, seconds(15));
        daemon.wait_all_held(seconds(5));
        let folder = daemon.dir().join("recordings");
        assert_eq!(fs::metadata(&folder).expect("the folder").permissions().mode() & 0o777, 0o700);
        // The disk is behind what is heard, and the room seems held while a killed daemon's session is waited for.
        let written = || recordings(&folder).values().any(|text| text.contains("role='moderator'")).then_some(());
        until("the hold is written down", seconds(10), written);
        daemon.kill9();
        let found = recordings(&folder);
        assert_eq!(found.len(), 1, "{:?}", found.keys());
        let (name, text) = found.first_key_value().expect("one recording");
        assert!(name.starts_with("meet-s0-20") && name.ends_with("Z.har"), "{name}");
        let dialogue = capture::read(text.as_bytes()).expect("our own reader reads it");
        let connection = &dialogue.connections[0];
        assert_eq!(connection.url.as_deref(), Some(url.as_str()));
        let said = |direction, part: &str| {
            connection.messages.iter().any(|message| {
                message.direction == direction
                    && matches!(&message.content, Content::Element(element) if innkeeper::xml::to_string(element, None).contains(part))
            })
        };
        // Prosody 13 binds the login to the channel, where that is TLS 1.3
        let binds = said(Direction::Received, "<channel-binding type='tls-exporter'/>");
        let mechanism = if binds { "SCRAM-SHA-1-PLUS" } else { "SCRAM-SHA-1" };
        assert!(said(Direction::Sent, &format!("mechanism='{mechanism}'>[masked]<")), "{text}");
        assert!(said(Direction::Received, ">[masked]</success>"), "{text}");
        assert!(said(Direction::Sent, "machine-uid='uid-1'"), "{text}");
        assert!(said(Direction::Received, "session-id='sid-1'"), "{text}");
        assert!(said(Direction::Received, "role='moderator'"), "{text}");
        assert!(said(Direction::Received, "id='sm-1'"), "{text}");
        focus.clear_log();
    }
}

#[test]
fn a_service_is_recorded_where_its_configuration_says_and_a_reload_changes_that_without_a_new_connection() {
    let (prosody, focus) = world();
    let setup = Setup::websocket(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    let folder = daemon.dir().join("own");
    daemon.setup.service.push_str(&format!("record = {folder:?}\nrecord_content = true\n"));
    daemon.write_config();
    let mark = focus.mark();
    assert_eq!(daemon.cli(["reload"]).code, Some(0));
    assert!(!folder.exists(), "the connection of before is not recorded");
    assert!(focus.since(mark).is_empty(), "and not closed: {:?}", focus.since(mark));
    daemon.stop();
    daemon.run();
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    daemon.stop();
    let found = recordings(&folder);
    let text = found.values().next().expect("a recording");
    assert!(text.contains(">Innkeeper</nick>"), "content is kept on request: {text}");
    assert!(text.contains("xmpp-framing'/>"), "to the very end: {text}");
    assert!(!text.contains(PASSWORD));
}

#[test]
fn no_secret_of_any_kind_comes_out_of_recordings_and_trace_log() {
    let (prosody, focus) = world();
    let room = format!("tavern@{MUC}");
    let ws = prosody.ws_url();
    let ws = ws.trim_start_matches("ws://").split('/').next().expect("host and port");
    let proxy = Proxy::to(ws.parse().expect("an address"));
    let url = format!("ws://{}/xmpp-websocket?room=tavern&token={TOKEN}", proxy.address());
    let setup = Setup { url, ..Setup::websocket(&prosody) }.rooms(["tavern"]);
    let mut daemon = Daemon::prepare(setup);
    let folder = daemon.dir().join("recordings");
    daemon.setup.args.extend(["--log-level".to_owned(), "trace".to_owned()]);
    // The most that is ever kept.
    daemon.setup.service.push_str(&format!("record = {folder:?}\nrecord_content = true\n"));
    daemon.write_config();
    let password_file = daemon.dir().join("room-password");
    fs::write(&password_file, "planted-room-password").expect("the room's password");
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600)).expect("its mode");
    let rooms = daemon.dir().join("rooms.d/rooms.toml");
    let mut text = fs::read_to_string(&rooms).expect("the rooms");
    text.push_str(&format!("password_file = {password_file:?}\n"));
    fs::write(&rooms, text).expect("the rooms");
    daemon.run();
    focus.wait_held(std::slice::from_ref(&room), BARE, seconds(15));
    daemon.wait_all_held(seconds(5));

    // Everything that an occupant can say, with a secret of each kind in each place.
    let mut guest = Client::guest(prosody.c2s());
    // The room is locked with the password from its file by now, or will be in a moment.
    guest.send(&format!(
        "<presence to='{room}/guest'><x xmlns='http://jabber.org/protocol/muc'><password>planted-room-password</password>\
         </x></presence>"
    ));
    let own = guest.own_presence(&room, "guest");
    assert_ne!(own.attr("type"), "error", "{own:#?}");
    let json = format!(
        "{{&quot;type&quot;:&quot;room_metadata&quot;,&quot;metadata&quot;:{{&quot;services&quot;:[{{&quot;type&quot;:&quot;turn&quot;,\
         &quot;host&quot;:&quot;t.example&quot;,&quot;username&quot;:&quot;planted-turn-user&quot;,&quot;password&quot;:&quot;planted-turn-password&quot;}}],\
         &quot;jwt&quot;:&quot;{TOKEN}&quot;,&quot;{TOKEN}&quot;:&quot;planted-under-a-token&quot;,&quot;note&quot;:&quot;planted-note&quot;}}}}"
    );
    guest.send(&format!(
        "<message to='{room}' type='groupchat' id='{TOKEN}'><body>my token is {TOKEN}, see https://h/r?jwt={TOKEN}&amp;token=planted-in-a-url \
         Authorization: Bearer planted-bearer Cookie: a=planted-cookie</body>\
         <json-message xmlns='http://jitsi.org/jitmeet'>{json}</json-message>\
         <thing xmlns='urn:x' token='planted-token' sessionId='planted-session' a='planted-unknown-value'>planted-unknown-text</thing>\
         <password>planted-password</password><x xmlns='http://jabber.org/protocol/muc#user'><password>planted-muc-password</password></x>\
         <services xmlns='urn:xmpp:extdisco:2'><service type='turn' host='t' username='planted-disco-user' password='planted-disco-password'/></services>\
         <conference xmlns='http://jitsi.org/protocol/focus' machine-uid='planted-machine' session-id='planted-sid' token='planted-conference-token' previd='planted-previd'/>\
         <x xmlns='jabber:x:data' type='form'><field var='muc#roomconfig_roomsecret'><value>planted-room-secret</value></field></x>\
         <enabled xmlns='urn:xmpp:sm:3' id='planted-sm-id'/><body xmlns='http://jabber.org/protocol/httpbind' sid='planted-bosh-sid' key='planted-bosh-key'/>\
         <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>planted-sasl</auth></message>"
    ));
    guest.send(&format!("<iq to='{room}/00000000_innkeeper' type='get' id='q-{TOKEN}'><query xmlns='urn:x:{TOKEN}' jwt='planted-jwt'/></iq>"));
    guest.send(&format!(
        "<presence to='{room}/guest'><status>{TOKEN}</status><show>{TOKEN}</show><{TOKEN} a='planted-named'/></presence>"
    ));
    // The name of an element that is behind all this in the stream.
    guest.say(&room, "the last word");
    let the_last_word = || recordings(&folder).values().any(|text| text.contains("the last word")).then_some(());
    until("the chat is recorded", seconds(10), the_last_word);

    // A lost connection is resumed with the id as a secret in URL and stanza.
    proxy.cut();
    let resumed = || recordings(&folder).values().any(|text| text.contains("<resumed")).then_some(());
    until("the session is resumed", seconds(20), resumed);
    daemon.stop();

    let state = fs::read_to_string(daemon.dir().join("state/state.json")).expect("the state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("its JSON");
    let uid = state["services"]["meet"]["machine_uids"]["0"].as_str().expect("a machine-uid").to_owned();
    let mut outputs = recordings(&folder);
    assert!(outputs.len() >= 2, "{:?}", outputs.keys());
    let together: String = outputs.values().cloned().collect();
    assert!(together.contains("previd=sm-1") && together.contains("previd='sm-1'"), "{together}");
    assert!(together.contains("token=token-1") && together.contains("<password>password-1</password>"), "{together}");
    let log = daemon.log();
    assert!(
        log.contains("> <auth")
            && log.contains("< <challenge")
            && log.contains("my token is") == log.contains("record_content"),
        "{log}"
    );
    outputs.insert("the log".to_owned(), log);
    for name in recordings(&folder).into_keys() {
        let file = folder.join(&name).display().to_string();
        for arguments in
            [&["show"][..], &["show", "--json"], &["show", "--content"], &["explain"], &["explain", "--json"]]
        {
            let ran = daemon.cli([&["capture"], arguments, &[&*file]].concat());
            assert_eq!(ran.code, Some(0), "{arguments:?} {name}: {}", ran.stderr);
            outputs.insert(format!("{arguments:?} of {name}"), ran.stdout);
        }
    }
    for (name, output) in &outputs {
        for secret in [PASSWORD, "planted", "eyJ", &uid, "biws", "Yz1iaXdz"] {
            if let Some(at) = output.find(secret) {
                let from = output[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
                panic!("{secret} in {name}: …{}", &output[from..(at + secret.len()).min(output.len())]);
            }
        }
    }
}
