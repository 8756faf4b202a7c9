//! Rules and bans of the daemon in rooms of a real Prosody. What is asserted is what the people inside see.
#![allow(clippy::disallowed_methods)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{
    BARE, NICK, block, browser, is_told, put_out, recorded, says, seconds, wait_state, wait_stored, walk_in, world,
};
use support::process::until;
use support::prosody::{DOMAIN, GUESTS, HIDDEN, LISTS, Options, PASSWORD, Prosody};

const SOON: Duration = Duration::from_secs(5);

/// A world with a held room `tavern` under these rules.
fn under(rules: &str) -> (Prosody, Focus, Daemon, String) {
    let (prosody, focus) = world(Options::default());
    let mut setup = Setup::websocket(&prosody).rooms(["tavern"]);
    setup.more = format!("[[policy]]\nrooms = \"tavern\"\nguest_domains = [\"{GUESTS}\"]\n{rules}");
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    let room = jids[0].clone();
    (prosody, focus, daemon, room)
}

/// Waits until the daemon knows of somebody: the room tells them of themselves first.
fn known(daemon: &Daemon, nick: &str) {
    until(&format!("the daemon sees {nick}"), SOON, || {
        let row = daemon.try_json(&["room", "tavern"])?;
        row["occupants"].as_array()?.iter().any(|one| one["nick"] == nick).then_some(())
    });
}

#[test]
fn bad_words_are_only_told_of_in_a_dry_run_and_kick_when_enforced() {
    let words = "[policy.words]\nwords = [\"spam\"]\naction = \"kick\"\n";
    let (prosody, _focus, daemon, room) = under(words);
    let mut mallory = browser(&prosody, &room, "mallory1", "Mal-1");
    mallory.say(&room, "buy SPAM now");
    until("the dry run is recorded", SOON, || (recorded(&daemon, "rule.matched", "words") == 1).then_some(()));
    assert_eq!(recorded(&daemon, "action.requested", "kick"), 0);
    drop((daemon, mallory));

    let (prosody, _focus, daemon, room) = under(&format!("mode = \"enforce\"\n{words}"));
    let mut mallory = browser(&prosody, &room, "mallory1", "Mal-1");
    mallory.say(&room, "a spammer is no spam");
    assert!(put_out(&mut mallory, &room, "mallory1", SOON).contains(&307));
    until("the kick is recorded", SOON, || (recorded(&daemon, "action.taken", "kick") == 1).then_some(()));
}

#[test]
fn the_rules_about_who_is_inside_hold_on_a_real_server() {
    let (prosody, _focus, daemon, room) = under(
        "mode = \"enforce\"\n[policy.capacity]\npeople = 2\n[policy.name_pattern]\nmust_not = [\"^bad\"]\n\
         action = \"kick\"\n[policy.impersonation]\nnames = [\"Teacher\"]\naction = \"kick\"\n[policy.welcome]\n\
         text = \"Welcome, {name}.\"\n[policy.caps_lock]\naction = \"warn\"\n[policy.rejoin]\nout = \"5m\"\n",
    );
    let mut ann = browser(&prosody, &room, "ann00001", "Ann-1");
    is_told(&mut ann, &room, "Welcome, ann00001.", SOON);
    ann.say(&room, "WHY ARE YOU ALL SHOUTING AT ME HERE");
    is_told(&mut ann, &room, "do not shout", SOON);
    let mut bad = browser(&prosody, &room, "badname1", "Bad-1");
    put_out(&mut bad, &room, "badname1", SOON);
    // The same browser under another name and JID.
    let mut again = browser(&prosody, &room, "goodnam1", "Bad-1");
    put_out(&mut again, &room, "goodnam1", SOON);
    let mut teacher = browser(&prosody, &room, "TEACHER", "Tea-1");
    put_out(&mut teacher, &room, "TEACHER", SOON);
    let _bob = browser(&prosody, &room, "bob00001", "Bob-1");
    let mut third = browser(&prosody, &room, "third001", "Thi-1");
    put_out(&mut third, &room, "third001", SOON);
    assert_eq!(recorded(&daemon, "action.refused", "kick"), 0);
}

#[test]
fn guests_are_put_out_where_only_accounts_may_be_and_only_listed_people_stay_moderators() {
    let (prosody, _focus, _daemon, room) =
        under("mode = \"enforce\"\n[policy.no_guests]\n[policy.moderators]\nallow = [\"moderator@meet.jitsi\"]\n");
    let mut anonymous = browser(&prosody, &room, "guest001", "Gue-1");
    put_out(&mut anonymous, &room, "guest001", SOON);
    // The focus makes everybody who is logged in an owner.
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    alice.conference("focus.meet.jitsi", &room, "alices-machine", "");
    walk_in(&mut alice, &room, "a11ce000", "Ali-1");
    alice.answer_disco(&room);
    assert!(alice.becomes_moderator(&room, "a11ce000", seconds(30)), "the focus made her moderator");
    let own = format!("{room}/a11ce000");
    alice.expect("alice is participant again", SOON, |node| {
        node.name == "presence" && node.attr("from") == own && node.muc().is_some_and(|muc| muc.role == "participant")
    });
}

#[test]
fn a_flood_escalates_from_a_warning_to_a_ban_that_survives_a_restart() {
    let rules = "mode = \"enforce\"\n[policy.strikes]\nsteps = [\"warn\", \"kick\", \"ban 1h\"]\n[policy.words]\n\
                 words = [\"spam\"]\naction = \"strike\"\n[policy.welcome]\ntext = \"Welcome, {name}.\"\n";
    let (prosody, focus, mut daemon, room) = under(rules);
    let mut mallory = browser(&prosody, &room, "mallory1", "Mal-1");
    is_told(&mut mallory, &room, "Welcome", SOON);
    let mut ann = browser(&prosody, &room, "ann00001", "Ann-1");
    is_told(&mut ann, &room, "Welcome", SOON);
    mallory.say(&room, "spam");
    until("the warning is taken", SOON, || (recorded(&daemon, "rule.matched", "warn") == 1).then_some(()));
    daemon.stop();
    daemon.run();
    focus.wait_held(std::slice::from_ref(&room), BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    // The second strike: the first was not forgotten. Nobody is welcomed again.
    mallory.say(&room, "spam");
    put_out(&mut mallory, &room, "mallory1", SOON);
    let welcomed =
        ann.find(Duration::from_millis(300), |node| node.name == "message" && node.attr("from").ends_with(NICK));
    assert!(matches!(welcomed, Ok(None)), "{welcomed:?}");
}

#[test]
fn bans_hold_on_each_rung_for_as_long_as_they_say() {
    let (prosody, _focus, mut daemon, room) = under("");
    // An account: the room itself keeps it out.
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    walk_in(&mut alice, &room, "a11ce000", "Ali-1");
    known(&daemon, "a11ce000");
    let ran = daemon.cli(["ban", "tavern", "a11ce000", "--reason", "enough"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("survives reconnect"), "{ran:?}");
    assert!(put_out(&mut alice, &room, "a11ce000", SOON).contains(&301));
    alice.enter(&room, "a11ce000");
    assert_eq!(alice.own_presence(&room, "a11ce000").attr("type"), "error");
    // A guest: a kick, and again under a new JID with the same browser.
    let mut mallory = browser(&prosody, &room, "mallory1", "Mal-1");
    known(&daemon, "mallory1");
    let ran = daemon.cli(["ban", "tavern", "mallory1"]);
    assert!(ran.stdout.contains("until they reload"), "{ran:?}");
    put_out(&mut mallory, &room, "mallory1", SOON);
    let mut again = browser(&prosody, &room, "someone1", "Mal-1");
    put_out(&mut again, &room, "someone1", SOON);
    // By the name that she had then, too, though the ban does not match it.
    let why = daemon.cli(["why", "ban", "tavern", "mallory1"]);
    assert!(why.stdout.contains("as they were called then") && why.stdout.contains("hint:Mal-1"), "{why:?}");
    // A name, after a restart too.
    let ran = daemon.cli(["ban", "tavern", "name:Nobody"]);
    assert!(ran.stdout.contains("name only"), "{ran:?}");
    // The list says whom a guest's ban means, and numbers that people wrote down stay.
    let listed = || {
        let bans = daemon.json(&["bans"]);
        let row = |row: &Value| (row["id"].as_i64(), row["who"].to_string(), row["ban"]["known_as"].to_string());
        bans["bans"].as_array().expect("a list").iter().map(row).collect::<Vec<_>>()
    };
    let before = listed();
    let hint = before.iter().find(|(_, who, _)| who.contains("hint:Mal-1"));
    assert!(hint.is_some_and(|(_, _, known_as)| known_as.contains("mallory1 (")), "{before:?}");
    let file = daemon.dir().join("bans.jsonl");
    std::fs::write(&file, daemon.cli(["bans", "export"]).stdout).expect("written");
    let ran = daemon.cli(["bans", "import", &file.display().to_string()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(listed(), before);
    daemon.stop();
    daemon.run();
    wait_state(&daemon, "tavern", "held", "holding", seconds(15));
    let mut nobody = browser(&prosody, &room, "nobody", "Nob-1");
    put_out(&mut nobody, &room, "nobody", SOON);
    let why = daemon.cli(["why", "ban", "tavern", "alice@meet.jitsi"]);
    assert!(why.stdout.contains("enough"), "{why:?}");
    // Taken back, the account comes in again.
    let ran = daemon.cli(["unban", "account:alice@meet.jitsi"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    until("alice may come in again", seconds(10), || {
        let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
        (alice.join(&room, "a11ce000").attr("type") != "error").then_some(())
    });
    // Who is exempt is not banned, here or not, and the list says who that is.
    assert_eq!(daemon.cli(["exempt", "add", "bob@meet.jitsi"]).code, Some(0));
    let ran = daemon.cli(["ban", "tavern", "bob@meet.jitsi"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("exempt list"), "{ran:?}");
    assert_eq!(daemon.cli(["exempt", "list"]).stdout, "bob@meet.jitsi\n");
    assert_eq!(daemon.cli(["exempt", "remove", "bob@meet.jitsi"]).code, Some(0));
    let ran = daemon.cli(["ban", "tavern", "bob@meet.jitsi"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_flood_by_twenty_guests_costs_them_the_room_and_no_other_room_its_hold() {
    flood(Options::default());
}

#[test]
fn a_flood_has_the_same_end_where_the_server_reads_ten_kilobytes_a_second() {
    flood(Options { limit: true, ..Options::default() });
}

/// 2,000 messages at once by twenty guests in one of two hundred rooms.
///
/// Prosody has Lua collect garbage all the time, which is most of what a flood costs it: so much on version 13 that it may
/// answer nobody for longer than a keeper waits. Here it collects as Lua does by default.
fn flood(options: Options) {
    let gc = "gc = { mode = \"incremental\"; threshold = 200; speed = 100 }".to_owned();
    let (prosody, focus) = world(Options { more: gc, ..options });
    let mut setup = Setup::websocket(&prosody).many(200);
    setup.more = format!(
        "[[policy]]\nrooms = \"r0\"\nmode = \"enforce\"\nguest_domains = [\"{GUESTS}\"]\n[policy.flood]\nmessages = 8\n\
         per = \"10s\"\naction = \"kick\"\n"
    );
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(60));
    daemon.wait_all_held(seconds(10));
    let room = jids[0].clone();
    let mut guests: Vec<(String, Client)> = (0..20)
        .map(|number| {
            let nick = format!("flood{number:03}");
            let client = browser(&prosody, &room, &nick, &format!("Flo-{number}"));
            (nick, client)
        })
        .collect();
    let rss = || daemon.json(&["status"])["rss_bytes"].as_u64().expect("a number");
    let (before, mark) = (rss(), focus.log().len());
    for round in 0..100 {
        for (_, client) in &mut guests {
            client.try_send(&format!(
                "<message type='groupchat' to='{room}'><body>flood number {round}</body></message>"
            ));
        }
    }
    // The server has 42,000 copies to write, on whatever processor time it gets.
    for (nick, client) in &mut guests {
        assert!(put_out(client, &room, nick, seconds(240)).contains(&307));
    }
    let after = rss();
    assert!(after < before + 8 * 1024 * 1024, "{before} -> {after}");
    for room in &jids {
        assert!(!support::live::gone(&focus, room, mark), "{room} lost its hold");
    }
    daemon.wait_all_held(seconds(5));
}

const NODE: &str = "muc_bans_sha256";

#[test]
fn a_block_list_of_others_puts_out_whom_it_names_and_lets_in_whom_it_names_no_more() {
    let (mut prosody, focus) = world(Options { lists: true, ..Options::default() });
    prosody.add_account("bob", DOMAIN, "builder");
    let mut moderator = Client::account(prosody.c2s(), "moderator", PASSWORD);
    block(&mut moderator, NODE, "early@meet.jitsi", Some("known before"));
    prosody.add_account("early", DOMAIN, "bird");
    let mut setup = Setup::websocket(&prosody).rooms(["tavern"]);
    setup.more = format!("[[rtbl]]\nservice = \"meet\"\njid = \"{LISTS}\"\n");
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    let room = jids[0].clone();
    until("the list is read", SOON, || daemon.log().contains("the block list was read").then_some(()));
    // Who was on it before we looked.
    let mut early = Client::account(prosody.c2s(), "early", "bird");
    walk_in(&mut early, &room, "ear1y000", "Ear-1");
    assert!(put_out(&mut early, &room, "ear1y000", SOON).contains(&301));
    // Who gets on it while inside, with the list's reason.
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    walk_in(&mut alice, &room, "a11ce000", "Ali-1");
    block(&mut moderator, NODE, "alice@meet.jitsi", Some("sells hats"));
    assert!(put_out(&mut alice, &room, "a11ce000", SOON).contains(&301));
    let why = daemon.cli(["why", "ban", "tavern", "alice@meet.jitsi"]);
    assert!(why.stdout.contains("sells hats") && why.stdout.contains(LISTS), "{why:?}");
    // Nobody else is believed, whatever their words.
    let mut bob = Client::account(prosody.c2s(), "bob", "builder");
    walk_in(&mut bob, &room, "b0b00000", "Bob-1");
    let keeper = support::live::keeper(&focus, &room).expect("it holds the room").jid;
    bob.send(&format!(
        "<message to='{keeper}' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <items node='{NODE}'><item id='{}'/></items></event></message>",
        innkeeper::policy::bans::sha256("bob@meet.jitsi")
    ));
    // After a restart of the daemon the list still counts, and is followed again.
    wait_stored(&daemon, "SELECT count(*) FROM outcasts WHERE jid = 'alice@meet.jitsi'", 1);
    daemon.kill9();
    daemon.run();
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    block(&mut moderator, NODE, "alice@meet.jitsi", None);
    until("alice may come in again", seconds(10), || {
        let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
        (alice.join(&room, "a11ce000").attr("type") != "error").then_some(())
    });
    let here = daemon.json(&["room", "tavern"]).to_string();
    assert!(here.contains("b0b00000"), "{here}");
    // After a restart of the server, too: it kept a subscription of a session that is gone.
    drop((bob, moderator));
    prosody.restart();
    focus.wait_held(&jids, BARE, seconds(20));
    daemon.wait_all_held(seconds(5));
    let mut moderator = Client::account(prosody.c2s(), "moderator", PASSWORD);
    let mut bob = Client::account(prosody.c2s(), "bob", "builder");
    walk_in(&mut bob, &room, "b0b00000", "Bob-1");
    block(&mut moderator, NODE, "meet.jitsi", Some("the whole domain"));
    put_out(&mut bob, &room, "b0b00000", SOON);
    daemon.wait_all_held(seconds(5));
}

#[test]
fn a_banned_domain_is_cast_out_as_a_whole_and_may_come_again_when_the_ban_is_lifted() {
    let (prosody, _focus, daemon, room) = under("");
    for name in ["harry", "sally", "boris"] {
        prosody.add_account(name, HIDDEN, "hush");
    }
    let hidden = |name: &str| Client::web_account(prosody.http(), "", name, HIDDEN, "hush");
    let (mut harry, mut sally) = (hidden("harry"), hidden("sally"));
    walk_in(&mut harry, &room, "harry000", "Har-1");
    walk_in(&mut sally, &room, "sally000", "Sal-1");
    let _ann = browser(&prosody, &room, "ann00001", "Ann-1");
    known(&daemon, "ann00001");
    let ran = daemon.cli(["ban", "tavern", HIDDEN, "--reason", "no hidden people"]);
    assert!(ran.stdout.contains("every account of hidden.meet.jitsi: survives reconnect"), "{ran:?}");
    // Both at once, by one outcast: the room itself keeps out whoever comes later.
    assert!(put_out(&mut harry, &room, "harry000", SOON).contains(&301));
    assert!(put_out(&mut sally, &room, "sally000", SOON).contains(&301));
    let mut boris = hidden("boris");
    boris.enter(&room, "boris000");
    assert_eq!(boris.own_presence(&room, "boris000").attr("type"), "error");
    until("the outcast is recorded", SOON, || (recorded(&daemon, "action.taken", HIDDEN) == 1).then_some(()));
    assert_eq!(recorded(&daemon, "action.taken", "ban"), 1, "one for the whole domain");
    assert_eq!(recorded(&daemon, "action.refused", "ban"), 0);
    assert_eq!(daemon.cli(["unban", HIDDEN]).code, Some(0));
    until("boris may come in", seconds(10), || {
        let mut boris = hidden("boris");
        (boris.join(&room, "boris000").attr("type") != "error").then_some(())
    });
}

#[test]
fn a_domain_of_which_somebody_is_exempt_is_put_out_one_by_one() {
    let (prosody, _focus, daemon, room) = under("exempt = [\"sally@hidden.meet.jitsi\"]\n");
    for name in ["harry", "sally"] {
        prosody.add_account(name, HIDDEN, "hush");
    }
    let hidden = |name: &str| Client::web_account(prosody.http(), "", name, HIDDEN, "hush");
    assert_eq!(daemon.cli(["ban", "tavern", HIDDEN]).code, Some(0));
    let mut sally = hidden("sally");
    walk_in(&mut sally, &room, "sally000", "Sal-1");
    let mut harry = hidden("harry");
    walk_in(&mut harry, &room, "harry000", "Har-1");
    assert!(put_out(&mut harry, &room, "harry000", SOON).contains(&301));
    sally.say(&room, "still here");
    sally.expect("sally is inside", SOON, |node| says(node, &format!("{room}/sally000"), "still here"));
}

#[test]
fn a_ban_on_a_tokens_user_outlives_the_guests_jid_and_one_on_an_occupant_id_does_not() {
    let (prosody, _focus, daemon, room) = under("verified_tokens = true\n");
    let come = |nick: &str, user: &str| {
        let mut guest = Client::guest(prosody.c2s());
        guest.send(&format!(
            "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/><identity><user><id>{user}</id>\
             </user></identity></presence>"
        ));
        let own = guest.own_presence(&room, nick);
        assert_ne!(own.attr("type"), "error", "{own:#?}");
        let id = own.child("occupant-id").map(|id| id.attr("id").to_owned()).unwrap_or_default();
        (guest, id)
    };
    let (mut mallory, _) = come("mallory1", "u-17");
    known(&daemon, "mallory1");
    let ran = daemon.cli(["ban", "tavern", "mallory1"]);
    assert!(ran.stdout.contains("by token:u-17: survives reconnect"), "{ran:?}");
    put_out(&mut mallory, &room, "mallory1", SOON);
    let (mut again, _) = come("someone1", "u-17");
    put_out(&mut again, &room, "someone1", SOON);
    let (mut carol, id) = come("car00001", "u-18");
    assert!(!id.is_empty(), "the room gives occupant ids");
    let ran = daemon.cli(["ban", "tavern", &format!("occupant-id:{id}")]);
    assert!(ran.stdout.contains("until they reload"), "{ran:?}");
    put_out(&mut carol, &room, "car00001", SOON);
    let (mut carol, _) = come("car00001", "u-18");
    carol.say(&room, "reloaded");
    carol.expect("carol is inside", SOON, |node| says(node, &format!("{room}/car00001"), "reloaded"));
    let ran = daemon.cli(["ban", "tavern", "hint:Dav-1"]);
    assert!(ran.stdout.contains("until they reload"), "{ran:?}");
    let mut dave = browser(&prosody, &room, "dav00001", "Dav-1");
    put_out(&mut dave, &room, "dav00001", SOON);
}
