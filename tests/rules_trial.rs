//! `innkeeper rules test` and `rules simulate`: what rules would have done, in captures and in the record of a daemon.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::daemon::{Daemon, Setup};
use support::live::{browser, recorded, seconds, wait_keeper, world};
use support::process::until;
use support::prosody::Options;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packet_captures").join(name)
}

/// A file with rules, in a folder of its own.
fn rules(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.toml");
    fs::write(&path, text).expect("written");
    (folder, path)
}

fn test(capture: &Path, rules: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    command.args(["rules", "test", "--capture"]).arg(capture).arg("--room-config").arg(rules).args(more);
    command.output().expect("innkeeper runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn hits(value: &Value) -> Vec<String> {
    let word = |hit: &Value, key: &str| hit[key].as_str().unwrap_or_default().to_owned();
    let rows = value["hits"].as_array().expect("a list").iter();
    rows.map(|hit| {
        let nick = hit["person"]["nick"].as_str().unwrap_or_default();
        format!("{} {} {nick}", word(hit, "rule"), word(hit, "verdict"))
    })
    .collect()
}

const FLOOD: &str = "[[policy]]\nrooms = \"tav*\"\n[policy.strikes]\nsteps = [\"warn\", \"kick\"]\n[policy.flood]\n\
                     messages = 5\nper = \"10s\"\n[policy.words]\nwords = [\"spam\"]\n";

#[test]
fn a_recorded_flood_would_have_cost_the_offender_the_room_and_nobody_else_anything() {
    let (_folder, rules) = rules(FLOOD);
    let output = test(&capture("flood.har"), &rules, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json(&output);
    // The sixth message is a warning; counted anew, the sixth after that is the end.
    assert_eq!(hits(&found), ["flood warn mallory1", "flood kick mallory1"]);
    assert!(found["hits"][0]["time"].as_str().is_some_and(|time| time.starts_with("20")), "{found:#}");
    assert_eq!(found["hits"][0]["reason"], "Too much at once. Please slow down.");
    let room = &found["rooms"][0];
    assert_eq!((&room["room"], &room["people"]), (&"tavern@muc.meet.jitsi".into(), &2.into()));
    // For people: the same in a table.
    let shown = String::from_utf8(test(&capture("flood.har"), &rules, &[]).stdout).expect("text");
    for part in ["WHEN", "mallory1", "flood", "kick", "more than 5 messages in 10s", "taken for the keeper"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("ann00001"), "{shown}");
}

#[test]
fn every_capture_of_the_project_can_be_tried_and_none_has_anything_against_the_keeper() {
    let strict = "[[policy]]\nrooms = \"*\"\n[policy.flood]\nmessages = 1\npresences = 1\naction = \"kick\"\n\
                  [policy.capacity]\npeople = 1\n[policy.moderators]\n[policy.no_guests]\n";
    let (_folder, rules) = rules(strict);
    let mut tried = 0;
    for entry in fs::read_dir(capture("")).expect("captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|kind| kind != "har" && kind != "txt") {
            continue;
        }
        let output = test(&path, &rules, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{}: {output:?}", path.display());
        let found = json(&output);
        let keepers: Vec<&str> =
            found["rooms"].as_array().expect("rooms").iter().filter_map(|room| room["keeper"].as_str()).collect();
        assert!(!keepers.is_empty(), "{}: nobody gets in", path.display());
        for hit in found["hits"].as_array().expect("hits") {
            let nick = hit["person"]["nick"].as_str().unwrap_or_default();
            assert!(!keepers.contains(&nick) && nick != "focus", "{}: {hit:#}", path.display());
        }
        tried += 1;
    }
    assert!(tried >= 15, "{tried} captures");
}

#[test]
fn what_is_wrong_with_the_rules_is_said_with_file_line_and_key() {
    let (_folder, rules) = rules("[[policy]]\nrooms = \"*\"\n[policy.flood]\nmesages = 5\nper = \"soon\"\n");
    let output = test(&capture("flood.har"), &rules, &[]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("rules.toml:4: policy.flood.mesages: unknown key"), "{said}");
    assert!(said.contains("rules.toml:5: policy.flood.per"), "{said}");
    let as_json = test(&capture("flood.har"), &rules, &["--json"]);
    assert_eq!(json(&as_json)["problems"][0]["line"], 4);
    // Neither file is there.
    let gone = test(&capture("flood.har"), Path::new("/nowhere/rules.toml"), &[]);
    assert_eq!(gone.status.code(), Some(78), "{gone:?}");
    let (_folder, rules) = self::rules(FLOOD);
    let gone = test(Path::new("/nowhere.har"), &rules, &[]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[test]
fn stored_events_are_gone_through_and_what_they_do_not_hold_is_said() {
    let (prosody, focus) = world(Options::default());
    let setup = Setup::websocket(&prosody).rooms(["tavern", "parlour"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
    daemon.wait_all_held(seconds(10));
    let mut mallory = browser(&prosody, &jids[0], "mallory1", "Mal-1");
    let mut ann = browser(&prosody, &jids[1], "ann00001", "Ann-1");
    for number in 0..12 {
        mallory.say(&jids[0], &format!("spam number {number}"));
    }
    ann.say(&jids[1], "hello");
    until("all messages are recorded", seconds(10), || (recorded(&daemon, "message.posted", "") == 13).then_some(()));
    let (_folder, rules) = rules(FLOOD);
    let path = rules.display().to_string();
    let found = daemon.json(&["rules", "simulate", "--since", "1h", "--room-config", &path]);
    assert_eq!(hits(&found), ["flood warn mallory1", "flood kick mallory1"], "{found:#}");
    let of = |name: &str| found["rules"].as_array().expect("rules").iter().find(|rule| rule["rule"] == name).cloned();
    let words = of("words").expect("words is tried");
    assert_eq!(words["without_text"], 12, "{words:#}");
    assert!(words["gap"].as_str().is_some_and(|gap| gap.contains("not stored")), "{words:#}");
    assert_eq!(of("flood").expect("flood is tried")["without_text"], 0);
    assert!(found["uncovered"].as_u64().is_some_and(|events| events > 0), "ann's room is covered by no policy");
    let shown = daemon.cli(["rules", "simulate", "--since", "1h", "--room-config", &path]);
    for part in ["WITHOUT TEXT", "the text of 12 messages is not stored", "store_text", "no [[policy]] covers"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    // Nothing was done to anybody.
    assert_eq!(recorded(&daemon, "rule.matched", ""), 0);
}
