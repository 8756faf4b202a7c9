//! What is done in rooms, and what is locked there, on a real Prosody with modules that do what Jitsi's do.
//!
//! What is asserted is what others in the room saw, never innkeeper's own word alone.
#![allow(clippy::disallowed_methods)]

mod support;

use std::time::{Duration, Instant};

use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::Focus;
use support::live::{
    BARE, NICK, done, field, guest, pushed, recorded, refused, row, says, seconds, sets_subject, take_part, world,
};
use support::process::{until, wait_for};
use support::prosody::{AV_MODERATION, METADATA, Options, Prosody};
use support::xml::Node;

const LOBBY: &str = "lobby.meet.jitsi";
const BOB: &str = "b0b00000";
const MEMBERS_ONLY: &str = "muc#roomconfig_membersonly";
const SECRET: &str = "muc#roomconfig_roomsecret";

/// A server with everything, a keeper that holds the rooms, and alice, another owner, in the first.
struct Scene {
    prosody: Prosody,
    focus: Focus,
    daemon: Daemon,
    room: String,
    alice: Client,
}

fn everything() -> Options {
    Options { lobby: true, components: true, ..Options::default() }
}

fn scene(setup: impl FnOnce(&Prosody) -> Setup) -> Scene {
    let (prosody, focus) = world(everything());
    let setup = setup(&prosody);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    daemon.wait_all_held(seconds(5));
    let room = jids[0].clone();
    let mut alice = owner(&prosody, &room);
    let invited = |node: &Node| node.name == "iq" && node.child("jingle").is_some();
    let invited = alice.expect("the focus invites", seconds(10), invited);
    alice.send(&format!("<iq type='result' to='{}' id='{}'/>", invited.attr("from"), invited.attr("id")));
    Scene { prosody, focus, daemon, room, alice }
}

/// Alice as another owner of `room`, whose password she knows where it has one.
fn owner(prosody: &Prosody, room: &str) -> Client {
    let mut alice = Client::account(prosody.c2s(), "alice", "wonderland");
    alice.conference("focus.meet.jitsi", room, "alices-machine", "");
    // A lobby that comes on before the password keeps her out for so long.
    let own = until("alice is let in", seconds(20), || {
        alice.send(&format!(
            "<presence to='{room}/a11ce000'><x xmlns='http://jabber.org/protocol/muc'><password>sesame</password></x></presence>"
        ));
        let own = alice.own_presence(room, "a11ce000");
        (own.attr("type") != "error").then_some(own)
    });
    alice.answer_disco(room);
    let moderator = own.muc().is_some_and(|muc| muc.role == "moderator");
    assert!(moderator || alice.becomes_moderator(room, "a11ce000", seconds(30)), "alice is no moderator of {room}");
    alice
}

impl Scene {
    fn keeper(&self) -> String {
        format!("{}/{NICK}", self.room)
    }

    fn subject(&mut self, text: &str) {
        self.alice.send(&format!("<message type='groupchat' to='{}'><subject>{text}</subject></message>", self.room));
        self.alice.expect("the subject", seconds(5), |node| sets_subject(node, text));
    }

    /// Waits until a field of the form is as wanted, as alice reads it; returns how long it took.
    fn wait_field(&mut self, var: &str, value: &str, limit: Duration) -> Duration {
        let since = Instant::now();
        let Scene { alice, room, .. } = self;
        until(&format!("{var} is {value}"), limit, || (field(alice, room, var) == value).then_some(()));
        since.elapsed()
    }
}

fn left(room: &str, nick: &str, status: u16) -> impl Fn(&Node) -> bool {
    let from = format!("{room}/{nick}");
    move |node| {
        node.name == "presence"
            && node.attr("from") == from
            && node.attr("type") == "unavailable"
            && node.muc().is_some_and(|muc| muc.status.contains(&status))
    }
}

fn shown(room: &str, nick: &str, role: &'static str, affiliation: &'static str) -> impl Fn(&Node) -> bool {
    let from = format!("{room}/{nick}");
    move |node| {
        node.name == "presence"
            && node.attr("from") == from
            && node.muc().is_some_and(|muc| muc.role == role && muc.affiliation == affiliation)
    }
}

// ── actions

#[test]
fn each_action_is_seen_by_others_in_the_room() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]).with_secret("new", "sesame\n"));
    let (room, keeper) = (scene.room.clone(), scene.keeper());
    let mut bob = guest(&scene.prosody, &room, BOB);

    done(&scene.daemon, &["say", "tavern", "last orders"]);
    scene.alice.expect("it is said", seconds(5), |node| says(node, &keeper, "last orders"));
    done(&scene.daemon, &["say", "tavern", "psst", "--to", BOB]);
    bob.expect("it is said to bob", seconds(5), |node| says(node, &keeper, "psst") && node.attr("type") == "chat");

    scene.subject("before");
    let set = done(&scene.daemon, &["subject", "tavern", "after"]);
    scene.alice.expect("the subject", seconds(5), |node| sets_subject(node, "after"));
    assert_eq!((&set["progress"], &set["undoable"]), (&"seen".into(), &true.into()), "{set:#}");
    done(&scene.daemon, &["undo", set["id"].as_str().expect("an id")]);
    scene.alice.expect("the old subject", seconds(5), |node| sets_subject(node, "before"));

    done(&scene.daemon, &["voice", "tavern", BOB, "--off"]);
    bob.expect("no voice", seconds(5), shown(&room, BOB, "visitor", "none"));
    done(&scene.daemon, &["voice", "tavern", BOB]);
    bob.expect("a voice", seconds(5), shown(&room, BOB, "participant", "none"));
    let granted = done(&scene.daemon, &["grant", "tavern", BOB, "moderator"]);
    bob.expect("a moderator", seconds(5), shown(&room, BOB, "moderator", "owner"));
    done(&scene.daemon, &["undo", granted["id"].as_str().expect("an id")]);
    bob.expect("none any more", seconds(5), shown(&room, BOB, "participant", "none"));
    let why = done(&scene.daemon, &["why", "moderator", "tavern", BOB]);
    assert!(why["text"].as_str().is_some_and(|text| text.contains("is not moderator")), "{why:#}");
    assert!(why["because"].as_array().is_some_and(|rows| rows.len() >= 3), "{why:#}");

    let muted = |medium: &'static str| {
        let from = format!("{room}/focus");
        move |node: &Node| {
            let ns = format!("http://jitsi.org/jitmeet/{medium}");
            node.attr("from") == from && node.child_ns("mute", &ns).is_some()
        }
    };
    done(&scene.daemon, &["mute", "tavern", BOB, "--video"]);
    bob.expect("the camera is muted", seconds(5), muted("video"));
    done(&scene.daemon, &["mute", "tavern", "--all"]);
    bob.expect("the microphone is muted", seconds(5), muted("audio"));
    scene.alice.expect("and alice's", seconds(5), muted("audio"));

    done(&scene.daemon, &["start-muted", "tavern", "--audio"]);
    scene.alice.expect("newcomers begin muted", seconds(5), |node| {
        pushed(node, METADATA).is_some_and(|said| said["metadata"]["startMuted"]["audio"] == true)
    });

    let file = scene.daemon.dir().join("new");
    let locked = done(&scene.daemon, &["lock", "tavern", "--file", file.to_str().expect("a path")]);
    assert_eq!(field(&mut scene.alice, &room, SECRET), "sesame");
    let mut carl = Client::guest(scene.prosody.c2s());
    assert_eq!(carl.join(&room, "ca410000").condition(), "not-authorized");
    done(&scene.daemon, &["undo", locked["id"].as_str().expect("an id")]);
    assert_eq!(field(&mut scene.alice, &room, SECRET), "");
    assert_eq!(carl.join(&room, "ca410000").attr("type"), "");

    done(&scene.daemon, &["kick", "tavern", BOB, "--reason", "closing time"]);
    let kicked = bob.expect("bob is kicked", seconds(5), left(&room, BOB, 307));
    assert!(format!("{kicked:?}").contains("closing time"), "{kicked:#?}");
    let why = done(&scene.daemon, &["why", "removed", "tavern", BOB]);
    assert!(
        why["text"].as_str().is_some_and(|text| text.contains("was kicked") && text.contains("closing time")),
        "{why:#}"
    );
    assert!(refused(&scene.daemon, &["kick", "tavern", BOB]).contains("nobody inside is called"));
    assert!(refused(&scene.daemon, &["retract", "tavern", "x"]).contains("XEP-0425"));
    assert!(refused(&scene.daemon, &["undo", "nonsense"]).contains("no action"));
    let here = row(&scene.daemon, "tavern");
    let can = |verb: &str| {
        here["abilities"].as_array().into_iter().flatten().any(|one| one["verb"] == verb && one["possible"] == true)
    };
    assert!(can("kick") && can("mute") && !can("retract") && !can("admit"), "{here:#}");

    done(&scene.daemon, &["destroy", "tavern", "--reason", "closed"]);
    scene.alice.expect("the room is destroyed", seconds(5), |node| node.muc().is_some_and(|muc| muc.destroyed));
}

#[test]
fn two_of_one_name_are_not_guessed_between() {
    let scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]));
    let mut twins: Vec<Client> = (0..2).map(|_| Client::guest(scene.prosody.c2s())).collect();
    for (n, twin) in twins.iter_mut().enumerate() {
        twin.send(&format!(
            "<presence to='{}/f00000{n}'><x xmlns='http://jabber.org/protocol/muc'/>\
             <nick xmlns='http://jabber.org/protocol/nick'>Ann</nick></presence>",
            scene.room
        ));
        twin.own_presence(&scene.room, &format!("f00000{n}"));
    }
    let shown = || {
        let occupants = scene.daemon.cli(["occupants", "tavern"]).stdout;
        ["f000000", "f000001"].iter().all(|nick| occupants.contains(nick)).then_some(())
    };
    until("both are known", seconds(20), shown);
    let said = refused(&scene.daemon, &["kick", "tavern", "Ann"]);
    assert!(said.contains("f000000, f000001"), "{said}");
    twins.remove(1).close();
    until("one is left", seconds(10), || scene.daemon.try_json(&["kick", "tavern", "Ann"]));
    twins[0].expect("she is kicked", seconds(5), left(&scene.room, "f000000", 307));
}

#[test]
fn a_mute_that_the_focus_does_not_take_from_us_is_explained_and_not_sent() {
    let scene = scene(|prosody| Setup::websocket(prosody).with("media = \"refuse\"").rooms(["tavern"]));
    let _bob = guest(&scene.prosody, &scene.room, BOB);
    assert!(refused(&scene.daemon, &["mute", "tavern", BOB]).contains("media = \"pending\""));
}

#[test]
fn whoever_waits_for_an_action_hears_at_once_that_its_service_is_gone() {
    let scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]));
    let _bob = guest(&scene.prosody, &scene.room, BOB);
    let shown = || scene.daemon.cli(["occupants", "tavern"]).stdout.contains(BOB).then_some(());
    until("bob is known", seconds(20), shown);
    // Nobody answers any more.
    scene.prosody.freeze();
    let (ran, waited) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| scene.daemon.cli(["kick", "tavern", BOB]));
        let requested = || (recorded(&scene.daemon, "action.requested", "kick") > 0).then_some(());
        until("it is asked for", seconds(20), requested);
        let file = scene.daemon.config_file();
        let text = std::fs::read_to_string(&file).expect("the configuration").replace("service.meet", "service.other");
        std::fs::write(file, text).expect("written");
        std::fs::write(scene.daemon.dir().join("rooms.d/rooms.toml"), "").expect("written");
        let since = Instant::now();
        let reloaded = scene.daemon.cli(["reload"]);
        assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
        (asked.join().expect("it is answered"), since.elapsed())
    });
    scene.prosody.thaw();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("no longer in the configuration while kick"), "{ran:?}");
    assert!(waited < seconds(30), "{waited:?}: as long as the command line waits at most");
}

/// AV moderation and the end of a meeting, where the keeper's connection serves two rooms or one.
fn components_of_one_room(setup: impl FnOnce(&Prosody) -> Setup) {
    let mut scene = scene(|prosody| setup(prosody).rooms(["tavern", "market"]));
    let (room, market) = (scene.room.clone(), scene.room.replace("tavern", "market"));
    let mut bob = guest(&scene.prosody, &room, BOB);
    let mut eve = guest(&scene.prosody, &market, "e0e00000");
    let switched = |room: &str, on: bool| {
        let room = room.to_owned();
        move |node: &Node| pushed(node, AV_MODERATION).is_some_and(|said| said["enabled"] == on && said["room"] == room)
    };
    let on = done(&scene.daemon, &["avmod", "tavern", "on"]);
    bob.expect("moderation is on", seconds(10), switched(&room, true));
    done(&scene.daemon, &["avmod", "tavern", "approve", BOB]);
    bob.expect("bob may speak", seconds(5), |node| {
        pushed(node, AV_MODERATION).is_some_and(|said| said["approved"] == true)
    });
    done(&scene.daemon, &["undo", on["id"].as_str().expect("an id")]);
    bob.expect("moderation is off", seconds(10), switched(&room, false));
    // nobody saw the keeper come or go, and the other room heard of nothing
    let moved = |node: &Node| {
        node.name == "presence" && node.attr("from") == format!("{room}/{NICK}") && node.attr("type") == "unavailable"
    };
    assert!(bob.find(seconds(0), moved).expect("a live stream").is_none(), "the keeper was seen to leave");
    assert!(eve.find(seconds(1), |node| pushed(node, AV_MODERATION).is_some()).expect("a live stream").is_none());
    let mark = scene.focus.mark();
    done(&scene.daemon, &["end", "tavern"]);
    bob.expect("the meeting is over", seconds(10), |node| node.muc().is_some_and(|muc| muc.destroyed));
    let market_touched = eve.find(seconds(1), |node| node.name == "presence" && node.attr("type") == "unavailable");
    assert!(market_touched.expect("a live stream").is_none(), "the other room was touched");
    assert!(!support::live::gone(&scene.focus, &market, mark));
    scene.alice.expect("for alice, too", seconds(5), |node| node.muc().is_some_and(|muc| muc.destroyed));
}

#[test]
fn components_act_on_the_room_that_is_meant_through_a_connection_of_its_own() {
    components_of_one_room(Setup::websocket);
}

#[test]
fn components_act_on_the_room_that_is_meant_where_each_room_has_its_connection() {
    components_of_one_room(|prosody| Setup::websocket(prosody).with("rooms_per_session = 1"));
}

// ── locks

/// Every setting was back within a second; the machine may have stood still during one of them.
fn within_a_second(mut took: Vec<Duration>) {
    took.sort();
    eprintln!("restored after {took:?}");
    took.pop();
    assert!(!took.is_empty() && took.iter().all(|took| *took < seconds(1)), "{took:?}");
}

#[test]
fn what_a_second_owner_changes_is_restored_within_a_second() {
    let mut scene = scene(|prosody| {
        Setup::websocket(prosody)
            .rooms(["tavern"])
            .with_secret("room", "sesame")
            .each("subject = \"Welcome\"\npassword_file = \"room\"\nmoderated = true\nav_moderation = [\"audio\"]")
    });
    let room = scene.room.clone();
    scene.wait_field(SECRET, "sesame", seconds(5));
    scene.wait_field("muc#roomconfig_moderatedroom", "1", seconds(5));
    while scene.alice.try_next(Duration::from_millis(100)).is_ok_and(|node| node.is_some()) {}
    scene.subject("mine");
    let since = Instant::now();
    scene.alice.expect("the subject is restored", seconds(5), |node| sets_subject(node, "Welcome"));
    let mut took = vec![since.elapsed()];
    let said = |what: &str| {
        scene.daemon.log().matches(&format!("settings {what} service=meet room=tavern setting=subject")).count()
    };
    until("it is said to be restored", seconds(2), || (said("restored") == 1).then_some(()));
    assert_eq!(said("drifted"), 1, "it drifted once:\n{}", scene.daemon.log());
    for (var, value, should) in
        [(SECRET, "mine", "sesame"), (SECRET, "", "sesame"), ("muc#roomconfig_moderatedroom", "0", "1")]
    {
        assert_eq!(scene.alice.configure(&room, &[(var, value)]).attr("type"), "result");
        took.push(scene.wait_field(var, should, seconds(5)));
    }
    within_a_second(took);
    let said = refused(&scene.daemon, &["subject", "tavern", "other"]);
    assert!(said.contains("locked"), "{said}");
    // a setting that nobody locked stays as a person made it
    let name = "muc#roomconfig_roomdesc";
    assert_eq!(scene.alice.configure(&room, &[(name, "alice's")]).attr("type"), "result");
    scene.wait_field(SECRET, "sesame", seconds(5));
    assert_eq!(field(&mut scene.alice, &room, name), "alice's");
}

#[test]
fn a_locked_lobby_comes_on_and_back_without_throwing_anybody_out() {
    let mut scene = scene(|prosody| {
        Setup::websocket(prosody)
            .rooms(["tavern"])
            .with_secret("room", "sesame")
            .each("lobby = true\npassword_file = \"room\"")
    });
    let room = scene.room.clone();
    scene.wait_field(MEMBERS_ONLY, "1", seconds(5));
    scene.wait_field(SECRET, "sesame", seconds(5));
    assert_eq!(field(&mut scene.alice, &room, MEMBERS_ONLY), "1", "the password's form kept the lobby");
    let mark = scene.focus.mark();
    let took = (0..2).map(|_| {
        assert_eq!(scene.alice.configure(&room, &[(MEMBERS_ONLY, "0")]).attr("type"), "result");
        scene.wait_field(MEMBERS_ONLY, "1", seconds(5))
    });
    within_a_second(took.collect());
    assert!(
        scene
            .alice
            .find(seconds(0), |node| node.attr("type") == "unavailable" && node.attr("from").starts_with(&room))
            .expect("a live stream")
            .is_none()
    );
    assert!(!support::live::gone(&scene.focus, &room, mark));
    // The room's own word of its lobby comes to us after its form.
    until("the lock to be named", seconds(5), || {
        let why = done(&scene.daemon, &["why", "lobby", "tavern"]);
        (why["because"][0]["kind"] == "locked").then_some(())
    });
}

#[test]
fn a_drift_is_reported_or_ignored_where_that_is_wanted() {
    for (word, reported) in [("report", true), ("ignore", false)] {
        let mut scene = scene(|prosody| {
            Setup::websocket(prosody).rooms(["tavern"]).each(&format!("subject = \"Welcome\"\non_drift = \"{word}\""))
        });
        scene.alice.expect("it is set once", seconds(5), |node| sets_subject(node, "Welcome"));
        scene.subject("mine");
        let back = scene.alice.find(seconds(2), |node| sets_subject(node, "Welcome")).expect("a live stream");
        assert!(back.is_none(), "{word}: it was restored");
        assert_eq!(scene.daemon.log().contains("settings drifted and are left so"), reported, "{word}");
    }
}

#[test]
fn two_who_fight_over_a_setting_are_damped() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]).each("subject = \"Welcome\""));
    let mut restored = 0;
    let until = Instant::now() + seconds(4);
    while Instant::now() < until {
        scene.alice.send(&format!("<message type='groupchat' to='{}'><subject>mine</subject></message>", scene.room));
        while let Ok(Some(node)) = scene.alice.try_next(Duration::from_millis(100)) {
            restored += usize::from(sets_subject(&node, "Welcome"));
        }
    }
    assert!((2..=5).contains(&restored), "restored {restored} times in 4 s");
}

#[test]
fn everything_locked_is_back_after_the_server_was_restarted() {
    let mut scene = scene(|prosody| {
        Setup::websocket(prosody)
            .rooms(["tavern"])
            .with_secret("room", "sesame")
            .each("subject = \"Welcome\"\nlobby = true\npassword_file = \"room\"")
    });
    let room = scene.room.clone();
    scene.wait_field(MEMBERS_ONLY, "1", seconds(5));
    scene.prosody.stop();
    scene.prosody.run();
    scene.focus.wait_held(&[&room], BARE, seconds(30));
    let mut again = Client::guest(scene.prosody.c2s());
    // the room is made anew, and locked again at once
    let locked = wait_for(seconds(5), || {
        let own = again.join(&room, "a6a10000");
        (own.condition() == "registration-required").then_some(())
    });
    assert!(locked.is_some(), "the lobby is back");
    scene.alice = owner(&scene.prosody, &room);
    scene.alice.expect("the subject is back", seconds(5), |node| sets_subject(node, "Welcome"));
}

// ── the lobby

#[test]
fn the_keeper_lists_who_waits_lets_in_and_sends_away() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]));
    let (room, lobby) = (scene.room.clone(), format!("tavern@{LOBBY}"));
    let mut inside = guest(&scene.prosody, &room, BOB);
    done(&scene.daemon, &["lobby", "tavern", "on"]);
    assert_eq!(field(&mut scene.alice, &room, MEMBERS_ONLY), "1");
    assert!(inside.find(seconds(0), left(&room, BOB, 322)).expect("a live stream").is_none(), "bob was thrown out");
    let mut waits: Vec<Client> = Vec::new();
    for nick in ["ca410000", "da400000"] {
        let mut one = Client::guest(scene.prosody.c2s());
        assert_eq!(one.join(&room, nick).condition(), "registration-required");
        assert_eq!(one.join(&lobby, nick).attr("type"), "");
        waits.push(one);
    }
    let two = || {
        let shown = scene.daemon.try_json(&["occupants", "tavern"])?;
        (shown["waiting"].as_array()?.len() == 2).then_some(())
    };
    until("both are seen to wait", seconds(5), two);
    // another form keeps the lobby and who waits in it
    scene.prosody.log();
    assert!(refused(&scene.daemon, &["admit", "tavern", "nobody"]).contains("nobody waiting"));
    let (mut carl, mut dan) = (waits.remove(0), waits.remove(0));
    let daemon = &scene.daemon;
    std::thread::scope(|threads| {
        let admitted = threads.spawn(|| daemon.cli(["admit", "tavern", "ca410000"]));
        carl.expect("an invitation", seconds(5), |node| {
            node.name == "message" && node.child("x").is_some_and(|x| x.child("invite").is_some())
        });
        carl.leave(&lobby, "ca410000");
        assert_eq!(carl.join(&room, "ca410000").attr("type"), "");
        let ran = admitted.join().expect("no panic");
        assert_eq!(ran.code, Some(0), "{ran:?}");
    });
    take_part(&mut carl, &room);
    done(&scene.daemon, &["deny", "tavern", "da400000", "--reason", "full"]);
    dan.expect("dan is sent away", seconds(5), left(&lobby, "da400000", 307));
    let why = done(&scene.daemon, &["why", "lobby", "tavern"]);
    assert_eq!(why["because"][0]["kind"], "ours", "{why:#}");
    done(&scene.daemon, &["lobby", "tavern", "off"]);
    assert_eq!(dan.join(&room, "da400000").attr("type"), "", "the lobby is off");
    // a person switches it on, and the keeper says who
    assert_eq!(scene.alice.configure(&room, &[(MEMBERS_ONLY, "1")]).attr("type"), "result");
    let by_alice = || {
        let why = scene.daemon.try_json(&["why", "lobby", "tavern"])?;
        why["because"]
            .as_array()?
            .iter()
            .any(|one| one["text"].as_str().is_some_and(|text| text.contains("a11ce000")))
            .then_some(())
    };
    until("alice switched it on", seconds(5), by_alice);
}

#[test]
fn a_password_is_set_without_ending_the_lobby() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]).with_secret("new", "sesame"));
    let (room, lobby) = (scene.room.clone(), format!("tavern@{LOBBY}"));
    done(&scene.daemon, &["lobby", "tavern", "on"]);
    let mut carl = Client::guest(scene.prosody.c2s());
    assert_eq!(carl.join(&lobby, "ca410000").attr("type"), "");
    let file = scene.daemon.dir().join("new");
    done(&scene.daemon, &["lock", "tavern", "--file", file.to_str().expect("a path")]);
    done(&scene.daemon, &["unlock", "tavern"]);
    assert_eq!(field(&mut scene.alice, &room, MEMBERS_ONLY), "1");
    let ended = carl.find(seconds(1), |node| node.attr("type") == "unavailable").expect("a live stream");
    assert!(ended.is_none(), "who waited was put out: {ended:#?}");
}

#[test]
fn a_keeper_comes_back_after_a_crash_into_a_room_that_a_person_locked_meanwhile() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]));
    let room = scene.room.clone();
    assert_eq!(scene.alice.configure(&room, &[(SECRET, "barley")]).attr("type"), "result");
    let known = || (scene.daemon.try_json(&["password", "tavern"])?["password"] == "barley").then_some(());
    until("the keeper knows alice's password", seconds(20), known);
    scene.daemon.kill9();
    scene.daemon.run();
    scene.daemon.wait_all_held(seconds(30));
    assert_eq!(field(&mut scene.alice, &room, SECRET), "barley", "it is alice's to say");
    assert!(!scene.daemon.log().contains("barley"));
}

#[test]
fn what_is_asked_for_while_the_connection_is_lost_is_refused_at_once_and_not_done_later() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]));
    scene.prosody.kill9();
    until("the connection is lost", seconds(20), || (scene.daemon.rooms()[0].state != "held").then_some(()));
    let asked = Instant::now();
    let ran = scene.daemon.cli(["kick", "tavern", "a11ce000"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("kick was not sent to meet/tavern"), "{ran:?}");
    assert!(asked.elapsed() < seconds(20), "{:?}", asked.elapsed());
}

// ── people's words

#[test]
fn a_moderator_is_obeyed_in_chat_and_nobody_else() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]).each("chat_commands = true"));
    let (room, keeper) = (scene.room.clone(), scene.keeper());
    let mut bob = guest(&scene.prosody, &room, BOB);
    bob.say(&room, "!subject bob's");
    done(&scene.daemon, &["say", "tavern", "!subject the keeper's own"]);
    scene.alice.say(&room, "!kick nobody");
    let answer = scene.alice.expect("a private answer", seconds(5), |node| {
        node.name == "message" && node.attr("from") == keeper && node.attr("type") == "chat"
    });
    assert!(format!("{answer:?}").contains("nobody here is called"), "{answer:#?}");
    scene.alice.say(&room, "!subject alice's");
    scene.alice.expect("alice is obeyed", seconds(5), |node| sets_subject(node, "alice's"));
    let others = |node: &Node| sets_subject(node, "bob's") || sets_subject(node, "the keeper's own");
    assert!(scene.alice.find(seconds(0), others).expect("a live stream").is_none());
    let told =
        bob.expect("bob is told alone", seconds(5), |node| node.attr("from") == keeper && node.attr("type") == "chat");
    assert!(format!("{told:?}").contains("only its moderators"), "{told:#?}");
    scene.alice.say(&room, &format!("!kick {BOB} enough"));
    bob.expect("bob is kicked", seconds(5), left(&room, BOB, 307));
}

#[test]
fn a_room_is_recovered_by_one_command_and_who_could_evict_the_keeper_is_listed() {
    let mut scene = scene(|prosody| Setup::websocket(prosody).rooms(["tavern"]).with_secret("new", "sesame"));
    let room = scene.room.clone();
    let mut bob = guest(&scene.prosody, &room, BOB);
    let mut carl = guest(&scene.prosody, &room, "ca410000");
    done(&scene.daemon, &["grant", "tavern", BOB]);
    // An owner who is outside may act on the room as well.
    assert_eq!(scene.alice.affiliate(&room, "outside@meet.jitsi", "owner").attr("type"), "result");
    let who = done(&scene.daemon, &["who-can", "tavern"]);
    let listed: Vec<_> = who["powers"].as_array().into_iter().flatten().map(|one| one["nick"].clone()).collect();
    assert_eq!(listed, ["a11ce000", BOB, "focus", ""], "{who:#}");
    let outside = &who["powers"][3];
    assert_eq!(outside["real_jid"], "outside@meet.jitsi");
    assert_eq!(outside["can"], serde_json::json!(["ban", "demote", "destroy"]));
    assert!(who["hints"].to_string().contains("cannot be known from outside"), "{who:#}");
    let file = scene.daemon.dir().join("new");
    let file = file.to_str().expect("a path");
    let told =
        done(&scene.daemon, &["recover", "tavern", "--keep", "alice@meet.jitsi", "--out", "ca410000", "--file", file]);
    bob.expect("bob is demoted", seconds(5), shown(&room, BOB, "participant", "member"));
    carl.expect("carl is out", seconds(5), left(&room, "ca410000", 307));
    assert_eq!(field(&mut scene.alice, &room, SECRET), "sesame");
    assert_eq!(field(&mut scene.alice, &room, MEMBERS_ONLY), "1");
    let steps = told["steps"].as_array().expect("steps");
    assert!(steps.len() == 4 && steps.iter().all(|step| step["done"] == true), "{told:#}");
    assert!(told["password"].is_null(), "whoever gave it knows it");
    assert!(bob.find(seconds(0), left(&room, BOB, 322)).expect("a live stream").is_none(), "bob was thrown out");
    // Again without a password: one is made up, and shown.
    let told = done(&scene.daemon, &["recover", "tavern", "--keep", "alice@meet.jitsi"]);
    let made_up = field(&mut scene.alice, &room, SECRET);
    assert!(made_up.len() >= 12 && told["password"] == made_up.as_str(), "{told:#}");
    assert_eq!(done(&scene.daemon, &["password", "tavern"])["password"], made_up.as_str());
    assert!(!scene.daemon.log().contains(&made_up));
}
