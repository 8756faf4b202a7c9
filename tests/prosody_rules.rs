//! Every rule in rooms of a real Prosody, tried out and enforced. What is asserted is what the people inside see.
//!
//! A row of the table is one rule, its options and what somebody does. It is played twice: in a room where the rule is
//! only tried out, which must be told of and leave everybody alone, and in one where it is enforced.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::{Focus, Options as FocusOptions};
use support::live::{BARE, NICK, field, is_told, put_out, seconds, take_part, wait_state, world};
use support::process::until;
use support::prosody::{GUESTS, Login, Options, Prosody};
use support::xml::{Node, escape};

/// For what must happen soon.
const SOON: Duration = Duration::from_secs(30);
/// The nick of whoever a row is about.
const EVE: &str = "e0e00000";
/// Somebody else's.
const ANN: &str = "a0a00000";

/// One rule, played.
struct Row {
    /// The room's name, behind `dry-` or `enf-`; the rule's where that has one row only.
    name: &'static str,
    /// What stands under `[[policy]]`.
    policy: &'static str,
    play: fn(&Stage<'_>),
}

/// A server with rooms under rules.
struct Scene {
    prosody: Prosody,
    focus: Focus,
    daemon: Daemon,
}

/// Where one row is played.
struct Stage<'s> {
    scene: &'s Scene,
    rule: &'static str,
    room: String,
    name: String,
    dry: bool,
}

/// Opens the two rooms of each row.
fn scene(rows: &[Row], more: impl FnOnce(&mut Setup)) -> Scene {
    let (prosody, focus) = world(Options { lobby: true, components: true, ..Options::default() });
    for user in ["mallory", "carol"] {
        prosody.add_account(user, "meet.jitsi", "wonderland");
    }
    let names = rows.iter().flat_map(|row| [format!("dry-{}", row.name), format!("enf-{}", row.name)]);
    let mut setup = Setup::websocket(&prosody).rooms(names);
    for row in rows {
        for (room, mode) in [("dry", "dry-run"), ("enf", "enforce")] {
            let (name, policy) = (row.name, row.policy);
            let _ = writeln!(
                setup.more,
                "[[policy]]\nrooms = \"{room}-{name}\"\nmode = \"{mode}\"\nguest_domains = [\"{GUESTS}\"]\n{policy}"
            );
        }
    }
    more(&mut setup);
    let daemon = Daemon::prepare(setup);
    Scene { prosody, focus, daemon }
}

/// Plays every row in both modes at once, and fails with those that did not come out.
fn play(rows: &[Row], scene: &Scene) {
    let failed: Vec<String> = std::thread::scope(|threads| {
        let playing: Vec<_> = rows
            .iter()
            .flat_map(|row| [(row, true), (row, false)])
            .map(|(row, dry)| {
                let name = format!("{}-{}", if dry { "dry" } else { "enf" }, row.name);
                let rule = row.name.split('-').next().unwrap_or(row.name);
                let stage = Stage { scene, rule, room: format!("{name}@muc.meet.jitsi"), name: name.clone(), dry };
                let play = row.play;
                let spawned =
                    std::thread::Builder::new().name(name.clone()).spawn_scoped(threads, move || play(&stage));
                (name, spawned.expect("a thread"))
            })
            .collect();
        playing.into_iter().filter_map(|(name, played)| played.join().is_err().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "these rows failed, each says above why: {failed:?}");
}

impl Scene {
    /// Starts the daemon and waits until every room is held, but those that a rule may already have closed.
    fn open(&mut self) {
        self.daemon.run();
        let rooms: Vec<String> = self.daemon.setup.jids().into_iter().filter(|jid| !jid.contains("closed")).collect();
        // After a restart the focus may still see those who were there before.
        self.daemon.wait_rooms("held", seconds(30), |row| row.state == "held" || row.name.contains("closed"));
        self.focus.wait_held(&rooms, BARE, seconds(30));
    }
}

impl Stage<'_> {
    fn daemon(&self) -> &Daemon {
        &self.scene.daemon
    }

    /// Somebody comes in under a nick and a name; their browser says the nick, too.
    fn comes(&self, nick: &str, name: &str) -> Client {
        let mut client = Client::guest(self.scene.prosody.c2s());
        self.walks_in(&mut client, nick, name);
        client
    }

    fn walks_in(&self, client: &mut Client, nick: &str, name: &str) {
        self.shows(client, nick, name, "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>");
        let own = client.own_presence(&self.room, nick);
        assert_ne!(own.attr("type"), "error", "{own:#?}");
    }

    /// Sends a presence with this name.
    fn shows(&self, client: &mut Client, nick: &str, name: &str, more: &str) {
        client.send(&format!(
            "<presence to='{}/{nick}'>{more}<stats-id>{nick}</stats-id>\
             <nick xmlns='http://jabber.org/protocol/nick'>{}</nick></presence>",
            self.room,
            escape(name)
        ));
    }

    /// What the rule has said here so far.
    fn matched(&self) -> Vec<Value> {
        let said = self.daemon().try_json(&["events", &self.name, "--kind", "rule.matched"]).unwrap_or_default();
        let rows = said.as_array().cloned().or_else(|| said["events"].as_array().cloned()).unwrap_or_default();
        rows.into_iter().filter(|event| event["rule"] == self.rule).collect()
    }

    /// Waits until it is written down, with the right mode, that the rule wants this of whoever has that nick, or of the room.
    fn is_matched(&self, verdict: &str, nick: &str) {
        let found = support::process::wait_for(SOON, || {
            let wanted = |event: &Value| {
                event["verdict"] == verdict
                    && event["dry_run"] == self.dry
                    && event["person"]["nick"].as_str().unwrap_or_default() == nick
            };
            self.matched().iter().any(wanted).then_some(())
        });
        assert!(found.is_some(), "{}: no {verdict:?} of {nick:?}, but {:#?}", self.name, self.matched());
    }

    /// Nothing was asked of the room, and `client` hears what it says itself, and no word of the keeper's before.
    fn is_let_be(&self, client: &mut Client, nick: &str) {
        assert!(self.dry);
        client.say(&self.room, "still here");
        let own = format!("{}/{nick}", self.room);
        let keeper = format!("{}/{NICK}", self.room);
        let heard = client.expect("what one says oneself", SOON, |node| {
            let out = node.name == "presence" && node.attr("from") == own && node.attr("type") == "unavailable";
            let told = node.name == "message" && node.attr("from") == keeper && node.child("body").is_some();
            out || told || support::live::says(node, &own, "still here")
        });
        assert!(support::live::says(&heard, &own, "still here"), "{heard:#?}");
        self.nothing_was_done();
    }

    fn nothing_was_done(&self) {
        let events = self.daemon().json(&["events", &self.name, "--kind", "action.requested,action.taken"]);
        let rule = |event: &&Value| event["actor"].to_string().contains("rule");
        let rows = events.as_array().or_else(|| events["events"].as_array());
        let done: Vec<_> = rows.into_iter().flatten().filter(rule).collect();
        assert!(done.is_empty(), "{}: {done:#?}", self.name);
    }

    /// The rule wants `client` out: they are, where it is enforced.
    fn is_kicked(&self, client: &mut Client, nick: &str) {
        self.is_matched("kick", nick);
        if self.dry {
            return self.is_let_be(client, nick);
        }
        assert!(put_out(client, &self.room, nick, SOON).contains(&307));
    }

    /// The rule has a word for `client`: they are told, where it is enforced.
    fn is_warned(&self, client: &mut Client, nick: &str, part: &str) {
        self.is_matched("warn", nick);
        if self.dry {
            return self.is_let_be(client, nick);
        }
        is_told(client, &self.room, part, SOON);
    }

    /// The rule wants the room closed: it is, where it is enforced, and says why.
    fn is_closed(&self, client: Option<&mut Client>, cause: &str) {
        until(&format!("{}: closing is written down", self.name), seconds(60), || {
            self.matched().iter().any(|event| event["verdict"] == "close" && event["dry_run"] == self.dry).then_some(())
        });
        if self.dry {
            self.nothing_was_done();
            assert_eq!(self.daemon().json(&["room", &self.name])["state"], "held");
            return;
        }
        if let Some(client) = client {
            client.expect("the meeting ends", SOON, |node| node.muc().is_some_and(|muc| muc.destroyed));
        }
        wait_state(self.daemon(), &self.name, "waiting", cause, SOON);
    }

    /// A moderator whom the focus made owner.
    fn alice(&self) -> Client {
        let mut alice = Client::account(self.scene.prosody.c2s(), "alice", "wonderland");
        alice.conference("focus.meet.jitsi", &self.room, "alices-machine", "");
        self.becomes_owner(&mut alice, "a11ce000", "Alice");
        alice
    }

    /// An account that has asked the focus comes in, and is made owner by it.
    fn becomes_owner(&self, client: &mut Client, nick: &str, name: &str) {
        self.walks_in(client, nick, name);
        client.answer_disco(&self.room);
        assert!(client.becomes_moderator(&self.room, nick, SOON), "{nick} is no moderator of {}", self.room);
    }

    /// How a newcomer is refused; empty where they come in.
    fn refusal(&self, nick: &str) -> String {
        let mut client = Client::guest(self.scene.prosody.c2s());
        let own = client.join(&self.room, nick);
        if own.attr("type") == "error" { own.condition().to_owned() } else { String::new() }
    }

    /// Waits until newcomers are refused so, or come in where that is empty.
    fn wait_door(&self, refusal: &str) {
        let mut last = String::new();
        let found = support::process::wait_for(SOON, || {
            last = self.refusal("d00d0000");
            (last == refusal).then_some(())
        });
        assert!(found.is_some(), "{}: a newcomer is met with {last:?}, not {refusal:?}", self.name);
    }
}

// ── people

const PEOPLE: &[Row] = &[
    Row {
        name: "capacity",
        policy: "[policy.capacity]\npeople = 1\n",
        play: |stage| {
            let mut ann = stage.comes(ANN, "Ann");
            let mut eve = stage.comes(EVE, "Eve");
            stage.is_kicked(&mut eve, EVE);
            // Whoever has a place keeps it, and a place that is left is free.
            ann.say(&stage.room, "mine");
            ann.expect("ann is inside", SOON, |node| {
                support::live::says(node, &format!("{}/{ANN}", stage.room), "mine")
            });
        },
    },
    Row {
        name: "duplicate_name",
        policy: "[policy.duplicate_name]\n",
        play: |stage| {
            let _ann = stage.comes(ANN, "Ann");
            let mut eve = stage.comes(EVE, "Аnn\u{200b}");
            stage.is_kicked(&mut eve, EVE);
        },
    },
    Row {
        name: "frozen_name",
        policy: "[policy.frozen_name]\ngrace = \"1ms\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            until("she is seen", SOON, || {
                let row = stage.daemon().try_json(&["room", &stage.name])?;
                row["occupants"].as_array()?.iter().any(|one| one["nick"] == EVE).then_some(())
            });
            // The same name, written otherwise, is none.
            stage.shows(&mut eve, EVE, " EVE ", "");
            stage.shows(&mut eve, EVE, "Somebody", "");
            stage.is_kicked(&mut eve, EVE);
            assert_eq!(stage.matched().len(), 1, "{:#?}", stage.matched());
        },
    },
    Row {
        name: "impersonation",
        policy: "[policy.impersonation]\nnames = [\"Teacher\"]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "T\u{435}acher");
            stage.is_kicked(&mut eve, EVE);
            // The keeper's own name, and that of a moderator inside.
            let mut false_keeper = stage.comes(ANN, "lnnkeeper");
            stage.is_kicked(&mut false_keeper, ANN);
            let _alice = stage.alice();
            let mut false_alice = stage.comes("fa15e000", "AIice");
            stage.is_kicked(&mut false_alice, "fa15e000");
        },
    },
    Row {
        name: "name_pattern",
        policy: "[policy.name_pattern]\nmust_not = [\"^bad\"]\n",
        play: |stage| {
            let mut ann = stage.comes(ANN, "Good");
            let mut eve = stage.comes(EVE, "B\u{430}d");
            stage.is_kicked(&mut eve, EVE);
            stage.shows(&mut ann, ANN, "bad now", "");
            stage.is_kicked(&mut ann, ANN);
        },
    },
    Row {
        name: "no_guests",
        policy: "[policy.no_guests]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.is_kicked(&mut eve, EVE);
            let mut carol = Client::account(stage.scene.prosody.c2s(), "carol", "wonderland");
            stage.walks_in(&mut carol, "ca401000", "Carol");
            carol.say(&stage.room, "I have an account");
            carol.expect("carol is let be", SOON, |node| {
                support::live::says(node, &format!("{}/ca401000", stage.room), "I have an account")
            });
            assert_eq!(stage.matched().len(), 1, "{:#?}", stage.matched());
        },
    },
    Row {
        name: "rejoin",
        policy: "[policy.rejoin]\nout = \"5m\"\n",
        play: |stage| {
            let mut alice = stage.alice();
            let mut eve = stage.comes(EVE, "Eve");
            assert_eq!(alice.kick(&stage.room, EVE, "enough").attr("type"), "result");
            put_out(&mut eve, &stage.room, EVE, SOON);
            // The same browser, with another connection and name.
            let mut again = stage.comes(EVE, "Somebody");
            stage.is_kicked(&mut again, EVE);
        },
    },
    Row {
        name: "moderators",
        policy: "[policy.moderators]\nallow = [\"carol@meet.jitsi\"]\n",
        play: |stage| {
            let mut alice = stage.alice();
            let demoted = |node: &Node| {
                node.name == "presence"
                    && node.attr("from") == format!("{}/a11ce000", stage.room)
                    && node.muc().is_some_and(|muc| muc.role == "participant" && muc.affiliation == "none")
            };
            stage.is_matched("demote", "a11ce000");
            if stage.dry {
                stage.is_let_be(&mut alice, "a11ce000");
                assert!(alice.find(seconds(0), demoted).expect("a live stream").is_none());
            } else {
                alice.expect("she is participant", SOON, demoted);
            }
            // Whoever is on the list stays what the focus made them.
            let mut carol = Client::account(stage.scene.prosody.c2s(), "carol", "wonderland");
            carol.conference("focus.meet.jitsi", &stage.room, "carols-machine", "");
            stage.becomes_owner(&mut carol, "ca401000", "Carol");
            let own = format!("{}/ca401000", stage.room);
            let less =
                |node: &Node| node.attr("from") == own && node.muc().is_some_and(|muc| muc.role == "participant");
            assert!(carol.find(Duration::from_millis(300), less).expect("a live stream").is_none());
        },
    },
];

#[test]
fn each_rule_about_people_is_told_of_in_a_dry_run_and_carried_out_when_enforced() {
    let mut scene = scene(PEOPLE, |_| {});
    scene.open();
    play(PEOPLE, &scene);
}

// ── what people write

const TEXTS: &[Row] = &[
    Row {
        name: "caps_lock",
        policy: "[policy.caps_lock]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            eve.say(&stage.room, "WHY ARE YOU ALL SHOUTING AT ME");
            drain_own(&mut eve, stage, EVE);
            stage.is_warned(&mut eve, EVE, "do not shout");
        },
    },
    Row {
        name: "flood",
        policy: "[policy.flood]\nmessages = 3\nper = \"60s\"\naction = \"kick\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            for n in 0..4 {
                eve.say(&stage.room, &format!("number {n}"));
            }
            stage.is_kicked(&mut eve, EVE);
        },
    },
    Row {
        name: "flood-presences",
        policy: "[policy.flood]\npresences = 5\nper = \"60s\"\naction = \"kick\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            for n in 0..20 {
                if !eve.try_send(&format!(
                    "<presence to='{}/{EVE}'><show>bogus</show><status>{n}</status></presence>",
                    stage.room
                )) {
                    break;
                }
            }
            stage.is_kicked(&mut eve, EVE);
        },
    },
    Row {
        name: "links",
        policy: "[policy.links]\nallow = [\"example.org\"]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            eve.say(&stage.room, "see https://docs.example.org/x");
            eve.say(&stage.room, "see https://evil.example/x");
            stage.is_warned(&mut eve, EVE, "Links are not allowed");
            assert_eq!(stage.matched().len(), 1, "{:#?}", stage.matched());
        },
    },
    Row {
        name: "repeat",
        policy: "[policy.repeat]\ntimes = 2\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            for text in ["hello all", "Hello, all!", "HELLO   ALL"] {
                eve.say(&stage.room, text);
            }
            stage.is_warned(&mut eve, EVE, "do not repeat");
        },
    },
    Row {
        name: "words",
        policy: "[policy.words]\nwords = [\"spam\"]\naction = \"kick\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            eve.say(&stage.room, "a spammer is none");
            eve.say(&stage.room, "s\u{200b}p\u{430}m");
            stage.is_kicked(&mut eve, EVE);
            let mut called = stage.comes(ANN, "Spam");
            stage.is_kicked(&mut called, ANN);
        },
    },
    Row {
        name: "welcome",
        policy: "[policy.welcome]\ntext = \"Welcome to {room}, {name}.\"\n",
        play: |stage| {
            let mut carol = Client::account(stage.scene.prosody.c2s(), "carol", "wonderland");
            stage.walks_in(&mut carol, "ca401000", "Carol");
            until("it is written down", SOON, || (stage.matched().len() == 1).then_some(()));
            let event = &stage.matched()[0];
            assert_eq!((&event["verdict"], &event["dry_run"]), (&"whisper".into(), &stage.dry.into()));
            if stage.dry {
                stage.is_let_be(&mut carol, "ca401000");
            } else {
                is_told(&mut carol, &stage.room, "Carol.", SOON);
            }
        },
    },
];

/// Reads until the client heard what it said itself.
fn drain_own(client: &mut Client, stage: &Stage<'_>, nick: &str) {
    let own = format!("{}/{nick}", stage.room);
    client.expect("the own message", SOON, |node| {
        node.name == "message" && node.attr("from") == own && node.child("body").is_some()
    });
}

#[test]
fn each_rule_about_texts_is_told_of_in_a_dry_run_and_carried_out_when_enforced() {
    let mut scene = scene(TEXTS, |_| {});
    scene.open();
    play(TEXTS, &scene);
    // Nobody is welcomed twice in a life of the room, whoever was restarted between.
    let stage = |dry: bool| {
        let name = if dry { "dry-welcome" } else { "enf-welcome" };
        Stage { scene: &scene, rule: "welcome", room: format!("{name}@muc.meet.jitsi"), name: name.to_owned(), dry }
    };
    // The life goes on only while somebody is inside.
    let _ann = stage(false).comes(ANN, "Ann");
    until("ann is welcomed", SOON, || (stage(false).matched().len() == 2).then_some(()));
    scene.daemon.stop();
    scene.open();
    let stage = Stage {
        scene: &scene,
        rule: "welcome",
        room: "enf-welcome@muc.meet.jitsi".to_owned(),
        name: "enf-welcome".to_owned(),
        dry: false,
    };
    let mut carol = Client::account(scene.prosody.c2s(), "carol", "wonderland");
    stage.walks_in(&mut carol, "ca401000", "Carol");
    let mut dan = stage.comes("da400000", "Dan");
    is_told(&mut dan, &stage.room, "Dan.", SOON);
    let keeper = format!("{}/{NICK}", stage.room);
    let again = carol.find(Duration::from_millis(300), |node| node.name == "message" && node.attr("from") == keeper);
    assert!(again.expect("a live stream").is_none(), "carol is welcomed twice in one life");
}

// ── the room

/// Rooms that are not held at all where the rule is enforced have `closed` in their names.
const ROOMS: &[Row] = &[
    Row {
        name: "hours-closed",
        // Never on the day that it is, nor the one after.
        policy: "[policy.hours]\nopen = [\"DAY 08:00-18:00\"]\n",
        play: |stage| stage.is_kept_closed(),
    },
    Row {
        name: "hours-end",
        policy: "[policy.hours]\nopen = [\"daily 00:00-12:00\"]\ntime_zone = \"Test/Noon\"\nwarn = [\"5s\"]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.is_warned_of_the_end(&mut eve);
            stage.is_closed(Some(&mut eve), "closed-by-schedule");
            if !stage.dry {
                let next = stage.daemon().json(&["room", &stage.name]).to_string();
                assert!(next.contains("next"), "{next}");
            }
        },
    },
    Row {
        name: "max_duration",
        policy: "[policy.max_duration]\nlasts = \"24s\"\nwarn = [\"6s\"]\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.is_warned_of_the_end(&mut eve);
            stage.is_closed(Some(&mut eve), "closed-by-schedule");
            if !stage.dry {
                // A person's word opens it for another while.
                let held = stage.daemon().cli(["hold", &stage.name]);
                assert_eq!(held.code, Some(0), "{held:?}");
                wait_state(stage.daemon(), &stage.name, "held", "", SOON);
            }
        },
    },
    Row {
        name: "idle_close-empty",
        policy: "[policy.idle_close]\nempty = \"15s\"\n",
        play: |stage| {
            stage.comes(EVE, "Eve").leave(&stage.room, EVE);
            stage.is_closed(None, "closed-idle");
        },
    },
    Row {
        name: "idle_close-silent",
        policy: "[policy.idle_close]\nempty = \"1h\"\nsilent = \"15s\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.is_closed(Some(&mut eve), "closed-idle");
        },
    },
    Row {
        name: "owner_gone-wait",
        policy: "[policy.owner_gone]\nwait = \"2s\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.alice().leave(&stage.room, "a11ce000");
            stage.is_closed(Some(&mut eve), "closed-by-schedule");
        },
    },
    Row {
        name: "owner_gone-close",
        policy: "[policy.owner_gone]\nthen = \"close\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            let mut alice = stage.alice();
            let mut carol = Client::account(stage.scene.prosody.c2s(), "carol", "wonderland");
            carol.conference("focus.meet.jitsi", &stage.room, "carols-machine", "");
            stage.becomes_owner(&mut carol, "ca401000", "Carol");
            alice.leave(&stage.room, "a11ce000");
            eve.say(&stage.room, "one is left");
            drain_own(&mut eve, stage, EVE);
            assert!(stage.matched().is_empty(), "{:#?}", stage.matched());
            carol.leave(&stage.room, "ca401000");
            stage.is_closed(Some(&mut eve), "closed-by-schedule");
        },
    },
    Row {
        name: "owner_gone-keep",
        policy: "[policy.owner_gone]\nthen = \"keep\"\n",
        play: |stage| {
            let mut eve = stage.comes(EVE, "Eve");
            stage.alice().leave(&stage.room, "a11ce000");
            let own = format!("{}/a11ce000", stage.room);
            eve.expect("alice has gone", SOON, |node| node.attr("from") == own && node.attr("type") == "unavailable");
            eve.say(&stage.room, "we stay");
            drain_own(&mut eve, stage, EVE);
            assert!(stage.matched().is_empty(), "{:#?}", stage.matched());
        },
    },
    Row {
        name: "join_wave-lobby",
        policy: "[policy.join_wave]\njoins = 2\nper = \"30s\"\ncalm = \"12s\"\n",
        play: |stage| stage.shuts_the_door("lobby on", "registration-required", "lobby off"),
    },
    Row {
        name: "join_wave-lock",
        policy: "[policy.join_wave]\njoins = 2\nper = \"30s\"\ncalm = \"12s\"\nwith = \"lock\"\n",
        play: |stage| stage.shuts_the_door("lock", "not-authorized", "unlock"),
    },
    Row {
        name: "join_wave-both",
        policy: "[policy.join_wave]\njoins = 2\nper = \"30s\"\ncalm = \"12s\"\nwith = \"both\"\n",
        play: |stage| stage.shuts_the_door("lobby on", "registration-required", "unlock"),
    },
];

impl Stage<'_> {
    /// The rule keeps the room closed from the start, until it opens or a person says otherwise.
    fn is_kept_closed(&self) {
        if self.dry {
            return self.is_closed(None, "");
        }
        let row = wait_state(self.daemon(), &self.name, "waiting", "closed-by-schedule", SOON);
        assert!(row["next"].is_object() || row["next"].is_string(), "{row:#}");
        let held = self.daemon().cli(["hold", &self.name]);
        assert_eq!(held.code, Some(0), "{held:?}");
    }

    fn is_warned_of_the_end(&self, client: &mut Client) {
        until(&format!("{}: a warning is written down", self.name), seconds(60), || {
            self.matched().iter().any(|event| event["verdict"] == "say").then_some(())
        });
        if self.dry {
            return self.is_let_be(client, EVE);
        }
        let keeper = format!("{}/{NICK}", self.room);
        client.expect("the end is announced", SOON, |node| {
            node.attr("type") == "groupchat"
                && node.attr("from") == keeper
                && node.child("body").is_some_and(|body| body.text.starts_with("This room closes in "))
        });
    }

    /// Three come at once, the door is shut with nobody thrown out, and opens again by itself.
    fn shuts_the_door(&self, shut: &str, refusal: &str, open: &str) {
        let mut inside: Vec<Client> = (0..3).map(|n| self.comes(&format!("{EVE}{n}"), &format!("Eve {n}"))).collect();
        self.is_matched(shut, "");
        if self.dry {
            for (n, client) in inside.iter_mut().enumerate() {
                self.is_let_be(client, &format!("{EVE}{n}"));
            }
            self.is_matched(open, "");
            return self.nothing_was_done();
        }
        self.wait_door(refusal);
        self.is_matched(open, "");
        self.wait_door("");
        for (n, client) in inside.iter_mut().enumerate() {
            let own = format!("{}/{EVE}{n}", self.room);
            let out = |node: &Node| node.attr("from") == own && node.attr("type") == "unavailable";
            assert!(client.find(seconds(0), out).expect("a live stream").is_none(), "{own} was thrown out");
        }
    }
}

/// A time zone of which noon comes after so long (RFC 8536: one type of local time, and no transition).
fn zone_where_noon_is_in(left: Duration) -> Vec<u8> {
    let now = jiff::Timestamp::now().as_second().rem_euclid(86_400);
    let shown = 43_200 - i64::try_from(left.as_secs()).expect("short");
    let offset = (shown - now + 43_200).rem_euclid(86_400) - 43_200;
    let mut file = Vec::new();
    // Once with times of 32 bits and once with times of 64, of which there are none.
    for _ in 0..2 {
        file.extend(b"TZif2");
        file.extend([0; 15]);
        for count in [0_u32, 0, 0, 0, 1, 4] {
            file.extend(count.to_be_bytes());
        }
        file.extend(i32::try_from(offset).expect("less than a day").to_be_bytes());
        file.extend([0, 0]);
        file.extend(b"TST\0");
    }
    file.extend(b"\n\n");
    file
}

#[test]
fn each_rule_about_the_room_is_told_of_in_a_dry_run_and_carried_out_when_enforced() {
    let zones = tempfile::tempdir().expect("a temporary folder");
    let mut scene = scene(ROOMS, |setup| {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday();
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let day = days[usize::try_from(today.wrapping_add(3).to_monday_zero_offset()).expect("a day")];
        setup.more = setup.more.replace("DAY", day);
        setup.env.push(("TZDIR".to_owned(), zones.path().display().to_string()));
    });
    std::fs::create_dir(zones.path().join("Test")).expect("a folder");
    std::fs::write(zones.path().join("Test/Noon"), zone_where_noon_is_in(seconds(28))).expect("a zone");
    scene.open();
    play(ROOMS, &scene);
}

#[test]
fn all_nineteen_rules_are_played() {
    let mut played: Vec<&str> = [PEOPLE, TEXTS, ROOMS]
        .into_iter()
        .flatten()
        .map(|row| row.name.split('-').next().unwrap_or(row.name))
        .collect();
    played.sort_unstable();
    played.dedup();
    let known: Vec<&str> = innkeeper::policy::rules::KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(played, known);
}

// ── strikes

#[test]
fn strikes_lead_from_a_warning_over_a_mute_and_a_kick_to_a_ban_that_ends() {
    const STRIKES: &[Row] = &[Row {
        name: "words-strikes",
        policy: "[policy.strikes]\nsteps = [\"warn\", \"mute\", \"kick\", \"ban 3s\"]\n[policy.words]\nwords = [\"spam\"]\n",
        play: |stage| {
            let account = || {
                let mut mallory = Client::account(stage.scene.prosody.c2s(), "mallory", "wonderland");
                stage.walks_in(&mut mallory, EVE, "Mallory");
                mallory
            };
            let mut mallory = account();
            // There is a conference to be muted in.
            take_part(&mut mallory, &stage.room);
            mallory.say(&stage.room, "spam");
            stage.is_matched("warn", EVE);
            mallory.say(&stage.room, "spam");
            stage.is_matched("mute", EVE);
            if stage.dry {
                mallory.say(&stage.room, "spam");
                stage.is_matched("kick", EVE);
                for _ in 0..3 {
                    drain_own(&mut mallory, stage, EVE);
                }
                let muted = |node: &Node| node.child("mute").is_some();
                stage.is_let_be(&mut mallory, EVE);
                assert!(mallory.find(seconds(0), muted).expect("a live stream").is_none());
                return;
            }
            is_told(&mut mallory, &stage.room, "mind your language", SOON);
            let focus = format!("{}/focus", stage.room);
            mallory.expect("the microphone is muted", SOON, |node| {
                node.attr("from") == focus && node.child_ns("mute", "http://jitsi.org/jitmeet/audio").is_some()
            });
            mallory.say(&stage.room, "spam");
            stage.is_matched("kick", EVE);
            assert!(put_out(&mut mallory, &stage.room, EVE, SOON).contains(&307));
            let mut mallory = account();
            mallory.say(&stage.room, "spam");
            stage.is_matched("ban 3s", EVE);
            assert!(put_out(&mut mallory, &stage.room, EVE, SOON).contains(&301));
            let mut again = Client::account(stage.scene.prosody.c2s(), "mallory", "wonderland");
            assert_eq!(again.join(&stage.room, EVE).condition(), "forbidden");
            until("the ban has ended", SOON, || (again.join(&stage.room, EVE).attr("type") != "error").then_some(()));
        },
    }];
    let mut scene = scene(STRIKES, |_| {});
    scene.open();
    play(STRIKES, &scene);
}

// ── who is boss

#[test]
fn whoever_is_first_in_a_room_without_authentication_is_no_moderator_for_long() {
    let prosody = Prosody::start(Options { login: Login::Anonymous, ..Options::default() });
    let focus = Focus::start(FocusOptions { auth: false, ..FocusOptions::of(&prosody) });
    focus.wait_connected(seconds(10));
    let mut setup = Setup::anonymous(&prosody).rooms(["tavern"]);
    setup.more = "[[policy]]\nrooms = \"tavern\"\nmode = \"enforce\"\n[policy.moderators]\n".to_owned();
    let room = setup.jids()[0].clone();
    let comes = |nick: &str| {
        let mut client = Client::anonymous(prosody.http(), "?room=tavern", "meet.jitsi").expect("a login");
        client.conference("focus.meet.jitsi", &room, nick, "");
        assert_eq!(client.join(&room, nick).attr("type"), "");
        client.answer_disco(&room);
        client
    };
    let is = |role: &'static str, affiliation: &'static str| {
        let own = format!("{room}/{EVE}");
        move |node: &Node| {
            let muc = node.muc().filter(|_| node.name == "presence" && node.attr("from") == own);
            muc.is_some_and(|muc| muc.role == role && muc.affiliation == affiliation)
        }
    };
    let mut eve = comes(EVE);
    eve.expect("the focus makes her owner: she was first", SOON, is("moderator", "owner"));
    let daemon = Daemon::start(setup);
    wait_state(&daemon, "tavern", "joined", "auth-off-other-owner", seconds(15));
    // The focus makes another one owner in her place, and the keeper is the only one.
    eve.leave(&room, EVE);
    wait_state(&daemon, "tavern", "held", "", SOON);
    let mut eve = comes(EVE);
    eve.say(&room, "back again");
    eve.expect("her word", SOON, |node| support::live::says(node, &format!("{room}/{EVE}"), "back again"));
    assert!(eve.find(seconds(0), is("moderator", "owner")).expect("a live stream").is_none());
    // Whoever makes her one: it does not last.
    assert_eq!(daemon.cli(["grant", "tavern", EVE, "moderator"]).code, Some(0));
    eve.expect("she is moderator", SOON, is("moderator", "owner"));
    eve.expect("she is none any more", SOON, is("participant", "none"));
    until("it is written down as what it is", SOON, || {
        (support::live::recorded(&daemon, "action.taken", "\"revoke\"") == 1).then_some(())
    });
}

// ── words in chat

#[test]
fn moderators_and_listed_accounts_are_obeyed_in_chat_and_others_are_refused_in_private() {
    const CHAT: &[Row] = &[Row { name: "welcome-chat", policy: "[policy.rejoin]\n", play: |_| {} }];
    let mut scene = scene(CHAT, |setup| {
        setup.room = "chat_commands = true\nchat_accounts = [\"carol@meet.jitsi\"]\n".to_owned();
    });
    scene.open();
    let name = "dry-welcome-chat".to_owned();
    let room = format!("{name}@muc.meet.jitsi");
    let stage = Stage { scene: &scene, rule: "rejoin", room: room.clone(), name, dry: true };
    let mut alice = stage.alice();
    let mut carol = Client::account(scene.prosody.c2s(), "carol", "wonderland");
    stage.walks_in(&mut carol, "ca401000", "Carol");
    let mut ann = stage.comes(ANN, "Ann");
    let mut eve = stage.comes(EVE, "Eve");

    ann.say(&room, "!kick Eve");
    let said = is_told(&mut ann, &room, "not done", SOON);
    assert!(said.contains("only its moderators"), "{said}");
    // By the list, whatever her role.
    carol.say(&room, "!kick Eve now");
    assert!(put_out(&mut eve, &room, EVE, SOON).contains(&307));
    // By her affiliation.
    alice.say(&room, "!ban Ann 2s \"enough\"");
    put_out(&mut ann, &room, ANN, SOON);
    let said = is_told(&mut alice, &room, "is banned", SOON);
    assert!(said.contains("until they reload"), "{said}");
    // A guest is let in by the room and put out by us, while the ban lasts.
    let stays = || {
        let mut again = Client::guest(scene.prosody.c2s());
        stage.walks_in(&mut again, ANN, "Somebody");
        let own = format!("{room}/{ANN}");
        let out = again
            .find(Duration::from_millis(500), |node| node.attr("from") == own && node.attr("type") == "unavailable");
        out.expect("a live stream").is_none().then_some(())
    };
    until("the ban has ended", SOON, stays);
    let secret = |client: &mut Client| {
        let keeper = format!("{room}/{NICK}");
        client.find(seconds(0), |node| {
            node.attr("from") == keeper && node.attr("type") == "groupchat" && node.child("body").is_some()
        })
    };
    assert!(secret(&mut carol).expect("a live stream").is_none(), "an answer was not private");
}

// ── a password that a rule set

/// A room that a wave has locked, with alice inside as another owner.
struct Locked {
    scene: Scene,
    alice: Client,
    /// The password that the rule made up.
    password: String,
    _inside: Vec<Client>,
}

const LOCKED: &[Row] = &[Row {
    name: "join_wave-restart",
    policy: "[policy.join_wave]\njoins = 3\nper = \"60s\"\ncalm = \"15s\"\nwith = \"lock\"\n",
    play: |_| {},
}];
const SECRET: &str = "muc#roomconfig_roomsecret";
const ROOM: &str = "enf-join_wave-restart";

fn stage_of(scene: &Scene) -> Stage<'_> {
    Stage { scene, rule: "join_wave", room: format!("{ROOM}@muc.meet.jitsi"), name: ROOM.to_owned(), dry: false }
}

/// `before` is the password that the room has when the wave comes; alice is part of it.
fn locked_by_a_wave(before: &str) -> Locked {
    let mut scene = scene(LOCKED, |_| {});
    scene.open();
    let stage = stage_of(&scene);
    let mut alice = stage.alice();
    let room = stage.room.clone();
    let inside: Vec<Client> = (0..2).map(|n| stage.comes(&format!("{EVE}{n}"), &format!("Eve {n}"))).collect();
    assert_eq!(alice.configure(&room, &[(SECRET, before)]).attr("type"), "result");
    let mut last = Client::guest(scene.prosody.c2s());
    last.send(&format!(
        "<presence to='{room}/{EVE}2'><x xmlns='http://jabber.org/protocol/muc'><password>{before}</password></x></presence>"
    ));
    assert_eq!(last.own_presence(&room, &format!("{EVE}2")).attr("type"), "");
    let password = until("the room is locked", SOON, || {
        Some(field(&mut alice, &room, SECRET)).filter(|password| password != before)
    });
    assert_eq!(password.len(), 12, "{password:?}");
    Locked { scene, alice, password, _inside: inside.into_iter().chain([last]).collect() }
}

#[test]
fn a_password_that_a_rule_set_is_told_to_an_admin_alone_and_outlives_a_restart() {
    let Locked { mut scene, mut alice, password, _inside } = locked_by_a_wave("");
    let room = stage_of(&scene).room;
    let told = |daemon: &Daemon| daemon.json(&["password", ROOM])["password"].clone();
    until("it is told", SOON, || (told(&scene.daemon) == password.as_str()).then_some(()));
    scene.daemon.stop();
    scene.open();
    assert_eq!(told(&scene.daemon), password.as_str());
    assert_eq!(field(&mut alice, &room, SECRET), password, "the room is still locked");
    stage_of(&scene).is_matched("unlock", "");
    until("the room is open again", SOON, || (field(&mut alice, &room, SECRET).is_empty()).then_some(()));
    until("nothing is told any more", SOON, || told(&scene.daemon).is_null().then_some(()));
    let events = scene.daemon.cli(["events", "--limit", "1000", "--json"]).stdout;
    assert!(events.contains("join_wave") && !events.contains(&password));
    assert!(!scene.daemon.log().contains(&password));
}

#[test]
fn a_room_gets_the_password_back_that_it_had_before_the_wave() {
    let Locked { scene, mut alice, password: _, _inside } = locked_by_a_wave("hers");
    let room = stage_of(&scene).room;
    until("her password is back", SOON, || (field(&mut alice, &room, SECRET) == "hers").then_some(()));
}

#[test]
fn what_a_person_set_after_the_wave_is_left_alone() {
    let Locked { scene, mut alice, password: _, _inside } = locked_by_a_wave("");
    let room = stage_of(&scene).room;
    assert_eq!(alice.configure(&room, &[(SECRET, "hers")]).attr("type"), "result");
    stage_of(&scene).is_matched("unlock", "");
    let done = |kind: &str| support::live::recorded(&scene.daemon, kind, "unlock");
    assert_eq!(field(&mut alice, &room, SECRET), "hers");
    assert_eq!((done("action.requested"), done("action.refused")), (0, 0));
    assert_eq!(scene.daemon.json(&["password", ROOM])["password"], "hers");
}
