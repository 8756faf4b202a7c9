//! Lobbies, waiting for the host, tenants.

use super::support::prosody::{DOMAIN, GUESTS, HIDDEN, LOBBY};
use super::*;

const JITSI: &str = "http://jitsi.org/jitmeet";

/// A moderator who answers the focus.
fn host(prosody: &Prosody, room: &str) -> Client {
    let mut host = Client::account(prosody.c2s(), "moderator", PASSWORD);
    host.conference(FOCUS, room, "machine-2", "");
    host.join(room, "host");
    host.answer_disco(room);
    assert!(host.becomes_moderator(room, "host", SOON));
    host
}

fn lobby(name: &str) -> String {
    format!("{name}@{LOBBY}")
}

/// The lobby that a refused join names.
#[track_caller]
fn lobby_of(refused: &Node) -> String {
    assert_eq!(refused.condition(), "registration-required", "{refused:?}");
    let error = refused.child("error").expect("an error");
    assert_eq!(error.attr("code"), "407");
    error.child_ns("lobbyroom", JITSI).map(|address| address.text.clone()).unwrap_or_default()
}

fn approve(host: &mut Client, room: &str, jids: &[&str]) {
    let invites: String = jids.iter().map(|jid| format!("<invite to='{jid}'/>")).collect();
    host.send(&format!("<message to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'>{invites}</x></message>"));
}

fn is_gone(node: &Node, from: &str) -> bool {
    node.name == "presence" && node.attr("from") == from && node.attr("type") == "unavailable"
}

#[test]
fn a_lobby_is_knocked_at_and_opened_by_invitation_or_refused_by_a_kick() {
    let (prosody, _focus) = world(Options { lobby: true, ..Options::default() });
    let (room, lobby) = (room("tavern"), lobby("tavern"));
    let mut host = host(&prosody, &room);
    let info = host.iq("get", DOMAIN, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(format!("{info:?}").contains(LOBBY), "{info:?}");
    assert_eq!(host.configure(&room, &[("muc#roomconfig_membersonly", "true")]).attr("type"), "result");
    let said = host.expect("the news", SOON, |node| node.child("json-message").is_some());
    assert!(said.child("json-message").is_some_and(|json| json.text.contains("LOBBY-ENABLED")), "{said:?}");

    let mut guests: Vec<Client> = (0..3).map(|_| Client::guest(prosody.c2s())).collect();
    guests[0].send(&format!("<presence to='{room}/g0'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
    let nameless = guests[0].own_presence(&room, "g0");
    assert_eq!(nameless.condition(), "not-acceptable");
    let error = nameless.child("error").expect("an error");
    assert_eq!(error.attr("code"), "406");
    assert!(error.child_ns("displayname-required", JITSI).is_some_and(|child| child.attr("lobby") == "true"));
    host.join(&lobby, "host");
    for (number, guest) in guests.iter_mut().enumerate() {
        let nick = format!("g{number}");
        assert_eq!(lobby_of(&guest.join(&room, &nick)), lobby);
        assert_eq!(guest.join(&lobby, &nick).attr("type"), "");
        // the moderator sees who waits, with the real JID
        let jid = guest.jid.clone();
        host.expect("somebody waits", SOON, |node| node.muc().is_some_and(|muc| muc.jid == jid));
    }
    // who waits does not see who else waits
    let other = |node: &Node| node.attr("from") == format!("{lobby}/g1");
    assert!(guests[2].find(Duration::from_millis(300), other).expect("a live stream").is_none());
    assert!(guests[2].find(SOON, |node| node.attr("from") == format!("{lobby}/host")).expect("a stream").is_some());

    let (first, second) = (guests[0].jid.clone(), guests[1].jid.clone());
    approve(&mut host, &room, &[&first, &second]);
    for (number, guest) in guests.iter_mut().take(2).enumerate() {
        let invited = guest.expect("an invitation", SOON, |node| node.name == "message" && node.attr("from") == room);
        assert!(invited.child("x").is_some_and(|x| x.child("invite").is_some()), "{invited:?}");
        assert_eq!(guest.join(&room, &format!("g{number}")).attr("type"), "");
    }
    assert_eq!(host.kick(&lobby, "g2", "no").attr("type"), "result");
    let kicked = guests[2].expect("the refusal", SOON, |node| is_gone(node, &format!("{lobby}/g2")));
    assert!(kicked.muc().is_some_and(|muc| muc.status.contains(&307)), "{kicked:?}");
    let denied = |node: &Node| node.child("json-message").is_some_and(|json| json.text.contains("LOBBY-ACCESS-DENIED"));
    host.expect("the news of it", SOON, denied);
}

#[test]
fn any_form_without_members_only_destroys_the_lobby_in_favour_of_the_room() {
    let (prosody, _focus) = world(Options { lobby: true, ..Options::default() });
    prosody.add_account("recorder", HIDDEN, PASSWORD);
    let (room, lobby) = (room("tavern"), lobby("tavern"));
    let mut host = host(&prosody, &room);
    for fields in [&[("muc#roomconfig_membersonly", "false")][..], &[("muc#roomconfig_whois", "anyone")]] {
        host.configure(&room, &[("muc#roomconfig_membersonly", "true"), ("muc#roomconfig_roomsecret", "sesame")]);
        let mut guest = Client::guest(prosody.c2s());
        lobby_of(&guest.join(&room, "guest"));
        guest.join(&lobby, "guest");
        host.configure(&room, fields);
        let end = guest.expect("the lobby's end", SOON, |node| is_gone(node, &format!("{lobby}/guest")));
        let destroyed = end.child("x").and_then(|x| x.child("destroy"));
        assert_eq!(destroyed.map(|destroy| destroy.attr("jid")), Some(room.as_str()), "{end:?}");
    }
    // members-only is still on, and there is no lobby: the trap of protocol §6.7
    let refused = Client::guest(prosody.c2s()).join(&room, "guest");
    assert_eq!(refused.condition(), "registration-required");
    assert!(refused.child("error").is_some_and(|error| error.child("lobbyroom").is_none()), "{refused:?}");
    // who passes: the hidden domain, and who knows the password
    host.configure(&room, &[("muc#roomconfig_membersonly", "true"), ("muc#roomconfig_roomsecret", "sesame")]);
    let mut guest = Client::guest(prosody.c2s());
    guest.send(&format!(
        "<presence to='{room}/guest'><x xmlns='http://jabber.org/protocol/muc'><password>sesame</password></x></presence>"
    ));
    assert_eq!(guest.own_presence(&room, "guest").attr("type"), "");
    host.configure(&room, &[("muc#roomconfig_membersonly", "true"), ("muc#roomconfig_roomsecret", "")]);
    let mut hidden = Client::web_account(prosody.http(), "", "recorder", HIDDEN, PASSWORD);
    assert_eq!(hidden.join(&room, "hidden").attr("type"), "");
    // the end of the room ends the lobby
    let mut late = Client::guest(prosody.c2s());
    assert_eq!(lobby_of(&late.join(&room, "late")), lobby);
    late.join(&lobby, "late");
    host.destroy(&room, "over");
    late.expect("the lobby's end", SOON, |node| is_gone(node, &format!("{lobby}/late")));
}

#[test]
fn guests_wait_for_a_host_and_an_administrator_is_none() {
    let more = "admins = { \"focus@auth.meet.jitsi\", \"skotosadmin@meet.jitsi\" }".to_owned();
    let (prosody, _focus) = world(Options { lobby: true, wait_for_host: true, more, ..Options::default() });
    let (room, lobby) = (room("tavern"), lobby("tavern"));
    let mut admin = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    admin.conference(FOCUS, &room, "machine-1", "");
    admin.join(&room, "admin");
    admin.answer_disco(&room);
    let mut guest = Client::guest(prosody.c2s());
    // no display name is asked for
    guest.send(&format!("<presence to='{room}/guest'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
    let refused = guest.own_presence(&room, "guest");
    assert_eq!(lobby_of(&refused), lobby);
    assert!(refused.child("error").is_some_and(|error| error.child_ns("waiting-for-host", JITSI).is_some()));
    guest.join(&lobby, "guest");
    host(&prosody, &room);
    let end = guest.expect("the lobby's end", SOON, |node| is_gone(node, &format!("{lobby}/guest")));
    assert_eq!(end.child("x").and_then(|x| x.child("destroy")).map(|end| end.attr("jid")), Some(room.as_str()));
    assert_eq!(guest.join(&room, "guest").attr("type"), "");
}

#[test]
fn a_tenants_room_has_two_names_and_clients_see_one_of_them() {
    let (prosody, focus) = world(Options { tenants: true, ..Options::default() });
    let (outside, inside) = ("tavern@muc.acme.meet.jitsi", room("[acme]tavern"));
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let answer = keeper.conference(FOCUS, outside, "machine-1", "");
    assert_eq!(conference(&answer).attr("room"), outside);
    keeper.join(outside, "keeper");
    keeper.answer_disco(outside);
    assert!(keeper.becomes_moderator(outside, "keeper", SOON));
    focus.wait_held(&[&inside], keeper.bare(), SOON);
    let mut guest = Client::anonymous(prosody.http(), "?room=tavern&prefix=acme", GUESTS).expect("a login");
    // said in the server's form, heard in the other
    guest.enter(&inside, "guest");
    let own = format!("{outside}/guest");
    guest.expect("own presence", SOON, |node| node.attr("from") == own);
    guest.say(&inside, "hello");
    keeper.expect("the message", SOON, |node| node.name == "message" && node.attr("from") == own);
    // without a tenant nothing changes
    assert_eq!(conference(&keeper.conference(FOCUS, &room("plain"), "machine-1", "")).attr("room"), room("plain"));
}
