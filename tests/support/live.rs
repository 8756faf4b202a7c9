//! What the live tests have in common: a world, a human in it, and questions to the daemon.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::daemon::Daemon;
use super::focus::{Focus, MemberSeen, Options as FocusOptions, Seen};
use super::process::{patience, wait_for};
use super::prosody::{DOMAIN, LISTS, Options, Prosody};

/// The bare JID of the account that innkeeper uses.
pub const BARE: &str = "skotosadmin@meet.jitsi";
/// The nick that it uses by default.
pub const NICK: &str = "00000000_innkeeper";

/// That many seconds.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server, a focus, and a human who can become moderator.
pub fn world(options: Options) -> (Prosody, Focus) {
    let prosody = Prosody::start(options);
    prosody.add_account("alice", DOMAIN, "wonderland");
    let focus = Focus::start(FocusOptions::of(&prosody));
    focus.wait_connected(seconds(10));
    (prosody, focus)
}

/// A human moderator in `room`.
#[track_caller]
pub fn alice(prosody: &Prosody, room: &str) -> Client {
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    alice.conference("focus.meet.jitsi", room, "alices-machine", "");
    alice.enter(room, "a11ce000");
    alice.answer_disco(room);
    assert!(alice.becomes_moderator(room, "a11ce000", seconds(30)), "alice is no moderator of {room}");
    alice
}

/// Whether our keeper left `room` since `mark`, as the focus saw it.
pub fn gone(focus: &Focus, room: &str, mark: usize) -> bool {
    focus.seen_in(room, mark).iter().any(|seen| matches!(seen, Seen::Gone { nick, .. } if nick == NICK))
}

/// The keeper in `room`, if it is moderator there now and answered the focus, as the focus saw it; whatever its JID.
pub fn keeper(focus: &Focus, room: &str) -> Option<MemberSeen> {
    let seen = focus.rooms().remove(room)?;
    seen.members
        .into_iter()
        .find(|(nick, member)| nick.contains("innkeeper") && member.holds_since.is_some())
        .map(|(_, member)| member)
}

/// Waits until the keeper holds all of `rooms`, whatever its JID; returns what it is in the first.
#[track_caller]
pub fn wait_keeper(focus: &Focus, daemon: &Daemon, rooms: &[String], limit: Duration) -> MemberSeen {
    let all = || rooms.iter().map(|room| keeper(focus, room)).collect::<Option<Vec<_>>>();
    let limit = patience(limit);
    let held = wait_for(limit, all).unwrap_or_else(|| {
        let (seen, last) = (focus.rooms(), focus.log());
        let last: Vec<_> = last.iter().rev().take(12).map(|seen| (&seen.room, &seen.what)).collect();
        panic!("not held within {limit:?}: {seen:#?}; last seen: {last:#?}; log:\n{}", daemon.log_tail())
    });
    held.into_iter().next().expect("at least one room")
}

/// `innkeeper room NAME --json`.
#[track_caller]
pub fn row(daemon: &Daemon, name: &str) -> Value {
    daemon.json(&["room", name])
}

/// Waits until the command line says of a room that it is in this state for this cause; any cause when empty.
#[track_caller]
pub fn wait_state(daemon: &Daemon, name: &str, state: &str, cause: &str, limit: Duration) -> Value {
    let look = || {
        let row = daemon.try_json(&["room", name])?;
        (row["state"] == state && (cause.is_empty() || row["cause"] == cause)).then_some(row)
    };
    let limit = patience(limit);
    wait_for(limit, look).unwrap_or_else(|| {
        panic!("not {state}/{cause} within {limit:?}, but {:#}; log:\n{}", row(daemon, name), daemon.log_tail())
    })
}

/// Waits until `policy.db` answers a question with that number: an action is over before its deed is on the disk.
#[track_caller]
pub fn wait_stored(daemon: &Daemon, question: &str, number: i64) {
    super::until(&format!("{question} is {number}"), seconds(20), || {
        let file = rusqlite::Connection::open(daemon.dir().join("state/policy.db")).ok()?;
        (file.query_row(question, [], |row| row.get::<_, i64>(0)).ok()? == number).then_some(())
    });
}

/// A guest in `room`, whom the focus has taken into the conference.
#[track_caller]
pub fn guest(prosody: &Prosody, room: &str, nick: &str) -> Client {
    let mut guest = Client::guest(prosody.c2s());
    let own = guest.join(room, nick);
    assert_eq!(own.attr("type"), "", "{nick} does not get into {room}: {own:#?}");
    take_part(&mut guest, room);
    guest
}

/// Answers what the focus asks of a newcomer.
#[track_caller]
pub fn take_part(client: &mut Client, room: &str) {
    client.answer_disco(room);
    let invited = client.expect("the focus invites", seconds(10), |node| {
        node.name == "iq" && node.child("jingle").is_some_and(|jingle| jingle.attr("action") == "session-initiate")
    });
    client.send(&format!("<iq type='result' to='{}' id='{}'/>", invited.attr("from"), invited.attr("id")));
}

/// Runs a verb that must succeed; returns its JSON.
#[track_caller]
pub fn done(daemon: &Daemon, args: &[&str]) -> Value {
    daemon.json(args)
}

/// Runs a verb that must be refused; returns what it says.
#[track_caller]
pub fn refused(daemon: &Daemon, args: &[&str]) -> String {
    let ran = daemon.cli(args.iter().copied());
    assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
    ran.stderr
}

/// Whether a stanza is a message with this text from this occupant.
pub fn says(node: &super::xml::Node, from: &str, text: &str) -> bool {
    node.name == "message" && node.attr("from") == from && node.child("body").is_some_and(|body| body.text == text)
}

/// Whether a stanza sets this subject.
pub fn sets_subject(node: &super::xml::Node, text: &str) -> bool {
    node.name == "message" && node.child("body").is_none() && node.child("subject").is_some_and(|one| one.text == text)
}

/// The JSON that a component says in a stanza.
pub fn pushed(node: &super::xml::Node, from: &str) -> Option<Value> {
    let json = node.child("json-message").filter(|_| node.attr("from") == from)?;
    serde_json::from_str(&json.text).ok()
}

/// The value of a field of a room's form, as an owner reads it.
#[track_caller]
pub fn field(owner: &mut Client, room: &str, var: &str) -> String {
    let form = owner.iq("get", room, "<query xmlns='http://jabber.org/protocol/muc#owner'/>");
    let x = form.child("query").and_then(|query| query.child("x")).unwrap_or_else(|| panic!("no form: {form:#?}"));
    let field = x.children.iter().find(|field| field.name == "field" && field.attr("var") == var);
    field.and_then(|field| field.child("value")).map(|value| value.text.clone()).unwrap_or_default()
}

// ── order

/// A guest in `room` under this nick and display name, whose browser says this `stats-id`.
#[track_caller]
pub fn browser(prosody: &Prosody, room: &str, nick: &str, stats_id: &str) -> Client {
    let mut guest = Client::guest(prosody.c2s());
    walk_in(&mut guest, room, nick, stats_id);
    guest
}

/// Goes into `room` as a browser does that says this `stats-id`, and waits until it is in.
#[track_caller]
pub fn walk_in(client: &mut Client, room: &str, nick: &str, stats_id: &str) {
    client.send(&format!(
        "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>\
         <stats-id>{stats_id}</stats-id><nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick></presence>"
    ));
    let own = client.own_presence(room, nick);
    assert_ne!(own.attr("type"), "error", "{own:#?}");
}

/// Waits until the room puts the client out; returns the status codes.
#[track_caller]
pub fn put_out(client: &mut Client, room: &str, nick: &str, limit: Duration) -> Vec<u16> {
    let own = format!("{room}/{nick}");
    let gone = client.expect(&format!("{nick} is put out of {room}"), limit, |node| {
        node.name == "presence" && node.attr("from") == own && node.attr("type") == "unavailable"
    });
    gone.muc().map(|muc| muc.status.clone()).unwrap_or_default()
}

/// Waits for a private word of the keeper's that contains `part`.
#[track_caller]
pub fn is_told(client: &mut Client, room: &str, part: &str, limit: Duration) -> String {
    let from = format!("{room}/{NICK}");
    let told = client.expect(&format!("the keeper says {part:?}"), limit, |node| {
        node.name == "message"
            && node.attr("from") == from
            && node.child("body").is_some_and(|body| body.text.contains(part))
    });
    told.child("body").map(|body| body.text.clone()).unwrap_or_default()
}

/// How many events of this kind the daemon has recorded that contain `part`.
pub fn recorded(daemon: &Daemon, kind: &str, part: &str) -> usize {
    let events = daemon.try_json(&["events", "--kind", kind]).unwrap_or_default();
    let rows = events.as_array().cloned().or_else(|| events["events"].as_array().cloned()).unwrap_or_default();
    rows.iter().filter(|event| event.to_string().contains(part)).count()
}

/// Publishes, or takes back, the entry of a block list for an address; `publisher` is an account that may.
#[track_caller]
pub fn block(publisher: &mut Client, node: &str, address: &str, reason: Option<&str>) {
    let id = innkeeper::policy::bans::sha256(address);
    let what = match reason {
        Some(reason) => format!(
            "<publish node='{node}'><item id='{id}'><report xmlns='urn:xmpp:reporting:1' \
             reason='urn:xmpp:reporting:abuse'><text>{reason}</text></report></item></publish>"
        ),
        None => format!("<retract node='{node}' notify='true'><item id='{id}'/></retract>"),
    };
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{what}</pubsub>");
    let answer = publisher.iq("set", LISTS, &pubsub);
    assert_eq!(answer.attr("type"), "result", "{answer:#?}");
}
