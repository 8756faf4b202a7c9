//! What holds for every rule, and what an occupant may try in order not to be judged.

use super::bench::{Bench, lines, plans};
use super::*;
use crate::policy::rules::KINDS;
use crate::xmpp::muc::RoomPresence;

/// Every rule that judges people, at its strictest.
const STRICT: &str = r#"
[capacity]
people = 1
[caps_lock]
letters = 1
[duplicate_name]
[flood]
messages = 1
presences = 1
per = "1h"
[frozen_name]
grace = "1s"
[impersonation]
names = ["Admin"]
[links]
[name_pattern]
must = ["^nobody is called like this$"]
[no_guests]
[rejoin]
[repeat]
times = 1
per = "1h"
[words]
words = ["darn"]
"#;

#[test]
fn the_table_of_rules_is_in_order_and_every_example_can_be_loaded() {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 19);
    for kind in KINDS {
        let example = kind.example.replace("[policy.", "[");
        assert_eq!(plans(&example, Mode::DryRun).rules.len(), 1, "{}", kind.name);
    }
}

#[test]
fn every_default_is_what_a_rule_takes() {
    // What a rule can not do without, where there is something.
    let needs = |name: &str| match name {
        "hours" => "open = [\"daily 08:00-18:00\"]\n",
        "name_pattern" => "must = ['x']\n",
        "words" => "words = [\"x\"]\n",
        _ => "",
    };
    for kind in KINDS {
        let mut text = format!("[{}]\n{}", kind.name, needs(kind.name));
        for option in kind.options {
            if let Some(default) = option.default {
                text.push_str(&format!("{} = {default}\n", option.name));
            }
        }
        plans(&text, Mode::DryRun);
    }
}

/// Does everything that a strict room forbids.
fn misbehave(room: &mut Bench, nick: &str) -> Vec<String> {
    let mut said = Vec::new();
    for body in ["DARN", "DARN", "DARN https://evil.example/x", &"x".repeat(20_000)] {
        said.extend(room.say(nick, body));
    }
    for name in ["Admin", "Darn", "other", "Admin"] {
        room.wait(2);
        said.extend(room.call(nick, name));
    }
    said.extend(room.garbage(nick));
    said.extend(room.garbage(nick));
    said
}

#[test]
fn whoever_is_exempt_may_do_anything() {
    let mut strict = plans(STRICT, Mode::Enforce);
    strict.exempt = AllowList::read(["listed@meet.jitsi"]).expect("a JID");
    strict.trust.recorder_domains.push("recorder.meet.jitsi".into());
    let mut room = Bench::of(strict);
    room.hold();
    room.keeper("00_innkeeper");
    room.focus();
    room.join_recorder("rec", "jibri@recorder.meet.jitsi/x");
    room.join_as("listed", "Listed", "listed@meet.jitsi/x");
    room.join_owner("owner");
    for nick in ["00_innkeeper", "rec", "listed", "owner"] {
        // Being seen again must not change who they are; `misbehave` shows them again under other names.
        assert_eq!(misbehave(&mut room, nick), Vec::<String>::new(), "{nick}");
        room.kicked(nick);
    }
    assert!(room.join_owner("owner").is_empty());
}

#[test]
fn whoever_is_not_exempt_may_not() {
    let mut strict = plans(STRICT, Mode::Enforce);
    strict.trust.recorder_domains.push("recorder.meet.jitsi".into());
    for rule in strict.rules.values_mut() {
        rule.measure = Measure::At(Sanction::Note);
    }
    let mut room = Bench::of(strict);
    room.hold();
    let mut said = room.join("first");
    // Features are one's own word; the domain is the server's.
    said.extend(room.join_recorder("fake", "jibri@elsewhere.example/x"));
    said.extend(misbehave(&mut room, "fake"));
    room.kicked("fake");
    said.extend(room.join_recorder("fake", "jibri@elsewhere.example/x"));
    room.call("first", "Twin");
    said.extend(room.call("fake", "Twin"));
    for rule in STRICT.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')) {
        assert!(said.iter().any(|line| line.starts_with(rule)), "{rule} said nothing: {said:#?}");
    }
    assert!(said.iter().any(|line| line.starts_with(OVERLONG)), "{said:#?}");
}

#[test]
fn what_was_said_while_the_stream_was_lost_is_judged_by_what_it_says_and_not_by_how_fast_it_came() {
    let mut room = Bench::new("[flood]\nmessages = 1\n[repeat]\ntimes = 1\n[words]\nwords = [\"darn\"]");
    room.hold();
    room.join("a");
    let mut say = |body| {
        let mut out = Verdicts::default();
        let input = Input::Message { nick: "a", body, id: None, private: false, belated: true };
        room.policy.handle(room.now, input, &mut out);
        lines(&out)
    };
    assert!((0..9).all(|_| say("hello there").is_empty()));
    assert_eq!(say("darn"), ["words warn a"]);
}

#[test]
fn nothing_is_judged_before_the_room_is_held_and_everybody_is_when_it_is() {
    let mut room = Bench::new("[no_guests]\n[words]\nwords = [\"darn\"]");
    assert!(room.join("a").is_empty());
    assert!(room.say("a", "darn").is_empty());
    assert_eq!(room.hold(), ["no_guests kick a"]);
    room.input(Input::Lost);
    assert!(room.join("b").is_empty());
}

#[test]
fn a_dry_run_says_the_same_and_brings_nobody_nearer_to_a_kick() {
    let mut both = plans("[words]\nwords = [\"darn\"]\n[caps_lock]\nletters = 1", Mode::DryRun);
    both.rules.get_mut("caps_lock").expect("is there").mode = Mode::Enforce;
    let mut room = Bench::of(both);
    room.hold();
    room.join("a");
    assert_eq!(room.say("a", "darn"), ["dry words warn a"]);
    assert_eq!(room.say("a", "darn"), ["dry words mute a"]);
    assert_eq!(room.say("a", "DARN"), ["caps_lock warn a", "dry words kick a"]);
    let who = room.policy.people().by_nick("a").expect("is here").key().clone();
    assert_eq!(room.policy.strikes(room.now.at, &who), 1);
}

#[test]
fn one_message_is_one_strike_however_many_rules_it_breaks() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]\n[caps_lock]\nletters = 1\n[links]");
    room.hold();
    room.join("a");
    assert_eq!(room.say("a", "DARN HTTPS://EVIL.EXAMPLE"), ["caps_lock warn a"]);
}

#[test]
fn strikes_lead_out_and_a_kick_is_not_said_twice() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]");
    room.hold();
    room.join_as("a", "A", "a@meet.jitsi/1");
    let said: Vec<_> = (0..10).flat_map(|_| room.say("a", "darn")).collect();
    assert_eq!(said, ["words warn a", "words mute a", "words kick a"]);
    room.kicked("a");
    room.join_as("b", "B", "a@meet.jitsi/2");
    assert_eq!(room.say("b", "darn"), ["words ban 1h b"], "the account is the same");
}

#[test]
fn what_the_room_refused_is_tried_again_later_and_not_at_once() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]\naction = \"kick\"");
    room.hold();
    room.join("a");
    assert_eq!(room.say("a", "darn"), ["words kick a"]);
    room.input(Input::Refused { nick: "a" });
    assert!(room.say("a", "darn").is_empty());
    room.wait(10);
    assert_eq!(room.say("a", "darn"), ["words kick a"]);
}

#[test]
fn a_restart_forgets_no_strike() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]");
    room.hold();
    room.join_as("a", "A", "a@meet.jitsi/1");
    room.say("a", "darn");
    room.say("a", "darn");
    room.restart();
    room.hold();
    room.join_as("a", "A", "a@meet.jitsi/1");
    assert_eq!(room.say("a", "darn"), ["words kick a"]);
}

#[test]
fn what_is_remembered_of_a_lock_comes_back_and_is_not_printed() {
    let lock = Lock { password: Some(Secret::new("sesame")), before: None, by_rule: true };
    let state = State { lock: lock.clone(), ..State::default() };
    assert!(!format!("{state:?}").contains("sesame"));
    let stored = serde_json::to_string(&state).expect("plain data");
    assert_eq!(serde_json::from_str::<State>(&stored).ok().map(|state| state.lock), Some(lock));
    // As it was written before there were locks.
    assert_eq!(serde_json::from_str::<State>(r#"{"life":null}"#).ok(), Some(State::default()));
}

/// Prints what it takes; the bound is wide, for machines that do other things too.
#[test]
#[allow(clippy::disallowed_methods)]
fn ten_thousand_words_and_ten_rules_take_a_message_in_one_pass() {
    let words: Vec<String> = (0..10_000).map(|n| format!("\"forbidden{n}\"")).collect();
    let text = format!(
        "[words]\nwords = [{}]\npatterns = ['free +crypto']\n[capacity]\n[caps_lock]\n[duplicate_name]\n[flood]\nmessages = 1000\n[frozen_name]\n[impersonation]\n[links]\n[rejoin]\n[repeat]\ntimes = 1000",
        words.join(",")
    );
    let mut room = Bench::new(&text);
    room.hold();
    (0..20).for_each(|n| drop(room.join(&format!("g{n}"))));
    let mut times: Vec<_> = (0..500)
        .map(|n| {
            let body = format!("an ordinary line of some length, as people write them all day long, number {n}");
            let start = Instant::now();
            assert!(room.say("g7", &body).is_empty());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("a message: median {:?}, 99th of a hundred {:?}", times[250], times[495]);
    assert!(times[250] < Duration::from_millis(2), "{:?}", times[250]);
}

#[test]
fn what_somebody_is_and_not_does_is_said_once_and_struck_once_a_minute() {
    let mut warned = Bench::new("[no_guests]\naction = \"warn\"");
    warned.hold();
    assert_eq!(warned.join("a"), ["no_guests warn a"]);
    for n in 0..100 {
        warned.wait(7);
        assert!(warned.call("a", &format!("name {n}")).is_empty());
    }
    let mut struck = plans("[no_guests]", Mode::Enforce);
    struck.rules.get_mut("no_guests").expect("is there").measure = Measure::Strike;
    let mut struck = Bench::of(struck);
    struck.hold();
    assert_eq!(struck.join_guest("a", "x@guest.meet.jitsi/1", "oid", "sid"), ["no_guests warn a"]);
    assert!(struck.call("a", "other").is_empty());
    struck.wait(60);
    assert_eq!(struck.call("a", "another"), ["no_guests mute a"]);
}

// ── what an occupant may try

/// A presence as it stands on the wire, read as the room reads it.
fn from_the_wire(room: &mut Bench, xml: &str) -> Vec<String> {
    let element: minidom::Element = xml.parse().expect("XML");
    let presence = RoomPresence::read(&element);
    room.input(Input::Present(Presence {
        nick: crate::xmpp::jid::resource(element.attr("from").expect("from")).expect("a nick"),
        display_name: presence.display_name.as_deref(),
        real_jid: presence.real_jid.as_deref(),
        role: presence.role.as_ref(),
        affiliation: presence.affiliation.as_ref(),
        ..Presence::default()
    }))
}

const ITEM: &str = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>";

#[test]
fn an_unknown_show_hides_nobody() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]");
    room.hold();
    let nick = "<nick xmlns='http://jabber.org/protocol/nick'>Darn</nick>";
    let xml = format!(
        "<presence xmlns='jabber:client' from='r@m/a'><show>bogus</show><priority>x</priority>{nick}{ITEM}</presence>"
    );
    assert_eq!(from_the_wire(&mut room, &xml), ["words warn a"]);
    assert_eq!(room.say("a", "darn"), ["words mute a"]);
}

#[test]
fn without_a_nick_element_the_nick_is_the_name() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]\naction = \"kick\"");
    room.hold();
    let xml = format!("<presence xmlns='jabber:client' from='r@m/darn'>{ITEM}</presence>");
    assert_eq!(from_the_wire(&mut room, &xml), ["words kick darn"]);
}

#[test]
fn an_unknown_role_or_affiliation_hides_nobody() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]\naction = \"kick\"");
    room.hold();
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='emperor' role='ghost'/></x>";
    assert!(
        from_the_wire(&mut room, &format!("<presence xmlns='jabber:client' from='r@m/a'>{x}</presence>")).is_empty()
    );
    assert_eq!(room.say("a", "darn"), ["words kick a"]);
}

#[test]
fn invisible_characters_hide_no_word_and_no_name() {
    for text in ["d\u{200b}a\u{200d}r\u{2060}n", "da\u{ad}rn", "d\u{fe0f}arn", "d\u{e0020}arn", "d\u{3164}arn"] {
        let mut room = Bench::new("[words]\nwords = [\"darn\"]\naction = \"warn\"");
        room.hold();
        room.join("a");
        assert_eq!(room.say("a", text), ["words warn a"], "{text:?}");
        assert_eq!(room.call("a", text), ["words warn a"], "{text:?}");
    }
}

#[test]
fn direction_controls_hide_no_word() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]\naction = \"warn\"");
    room.hold();
    room.join("a");
    assert_eq!(room.say("a", "\u{202e}da\u{2066}rn\u{2069}\u{202c}"), ["words warn a"]);
}

#[test]
fn letters_of_other_scripts_hide_no_word() {
    let mut room = Bench::new("[words]\nwords = [\"cocaine\"]\naction = \"warn\"");
    room.hold();
    room.join("a");
    for text in ["сосаіnе", "СОСАІNЕ", "𝒸𝑜𝒸𝒶𝒾𝓃ℯ", "cοcaine"] {
        assert_eq!(room.say("a", text), ["words warn a"], "{text:?}");
    }
}

#[test]
fn fifty_nick_changes_a_second_hide_nobody_from_any_rule() {
    let mut room = Bench::new("[flood]\npresences = 1000\nmessages = 3\nper = \"10s\"");
    room.hold();
    room.join_as("n0", "n", "mallory@meet.jitsi/x");
    let mut said = Vec::new();
    for n in 1..=50 {
        assert!(room.rename(&format!("n{}", n - 1), &format!("n{n}")).is_empty());
        said.extend(room.say(&format!("n{n}"), &format!("message {n}")));
        room.wait_ms(20);
    }
    assert_eq!(said, ["flood warn n4", "flood mute n8", "flood kick n12"]);
}

#[test]
fn padding_before_a_word_is_an_offence_of_its_own() {
    let mut room = Bench::new("[words]\nwords = [\"darn\"]");
    room.hold();
    room.join("a");
    assert_eq!(room.say("a", &format!("{}darn", "x ".repeat(10_000))), ["overlong warn a"]);
    assert_eq!(room.say("a", &format!("{}darn", "\u{200b}".repeat(40_000))), ["overlong mute a"]);
}
