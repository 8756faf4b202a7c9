use super::*;
use crate::config::{Content, File, Files, Input, check};

struct NoFiles;
impl Files for NoFiles {
    fn read(&self, _: &std::path::Path) -> Result<Content, String> {
        Ok(Content { bytes: b"secret".to_vec(), others_may_read: false })
    }
}

fn config(text: &str) -> Config {
    let files = vec![File { name: "innkeeper.toml".into(), text: text.into() }];
    let input = Input { files, env: Vec::new(), base: "/etc".into(), offline: false, secrets: &NoFiles };
    check(&input).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn service(name: &str) -> String {
    format!("[service.{name}]\ndomain = \"{name}.example\"\nmuc = \"muc.{name}.example\"\nlogin = \"anonymous\"\n")
}

fn room(service: &str, name: &str) -> String {
    format!("[[room]]\nservice = \"{service}\"\nname = \"{name}\"\n")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn said(room: &str, says: Says, second: i64) -> Override {
    let (service, name) = room.split_once('/').unwrap();
    let room = RoomKey::new(service, name);
    Override { room, muc: None, says, booking: None, who: "uid 1000".into(), when: at(second), why: None }
}

fn intent(config: &Config, overrides: &Overrides, now: i64, room: &str) -> Option<Intent> {
    let (service, name) = room.split_once('/').unwrap();
    desired(config, overrides, at(now)).get(&RoomKey::new(service, name)).map(|wanted| wanted.intent)
}

#[test]
fn a_suspension_beats_everything_until_its_end_or_a_hold() {
    let config = config(&(service("meet") + &room("meet", "tavern")));
    let mut overrides = Overrides::default();
    let until = Some(at(100));
    overrides.apply(&config, said("meet/cellar", Says::Hold, 1));
    overrides.apply(&config, said("meet/cellar", Says::Suspend { until }, 2));
    overrides.apply(&config, said("meet/tavern", Says::Suspend { until: None }, 2));
    assert_eq!(intent(&config, &overrides, 50, "meet/cellar"), Some(Intent::Suspend { until }));
    assert_eq!(overrides.next_change(at(50)), until);
    assert_eq!(intent(&config, &overrides, 100, "meet/cellar"), Some(Intent::Hold), "its hold is still there");
    assert_eq!(intent(&config, &overrides, 100, "meet/tavern"), Some(Intent::Suspend { until: None }));
    overrides.apply(&config, said("meet/tavern", Says::Hold, 101));
    assert_eq!(intent(&config, &overrides, 102, "meet/tavern"), Some(Intent::Hold));
}

#[test]
fn a_release_beats_the_configuration_until_a_hold_or_until_the_configuration_drops_the_room() {
    let with = config(&(service("meet") + &room("meet", "tavern")));
    let without = config(&service("meet"));
    let mut overrides = Overrides::default();
    overrides.apply(&with, said("meet/tavern", Says::Release, 1));
    assert_eq!(intent(&with, &overrides, 2, "meet/tavern"), Some(Intent::Release));
    let mut held = overrides.clone();
    held.apply(&with, said("meet/tavern", Says::Hold, 3));
    assert_eq!(intent(&with, &held, 4, "meet/tavern"), Some(Intent::Hold));
    assert!(overrides.prune(&without, at(5)), "dropped with the room");
    assert_eq!(intent(&with, &overrides, 6, "meet/tavern"), Some(Intent::Hold), "the room came back");
}

#[test]
fn a_room_held_by_command_gets_the_defaults_and_its_release_leaves_nothing() {
    let config = config(&("[defaults]\nnick = \"00_host\"\n".to_owned() + &service("meet")));
    let mut overrides = Overrides::default();
    overrides.apply(&config, said("meet/Cellar", Says::Hold, 1));
    let wanted = desired(&config, &overrides, at(2));
    assert_eq!(wanted[&RoomKey::new("meet", "cellar")].room.nick.as_ref(), "00_host");
    overrides.apply(&config, said("meet/cellar", Says::Suspend { until: None }, 2));
    overrides.apply(&config, said("meet/cellar", Says::Release, 3));
    assert_eq!(overrides, Overrides::default());
}

#[test]
fn a_hold_on_a_service_that_is_gone_waits_for_its_return() {
    let with = config(&service("meet"));
    let mut overrides = Overrides::default();
    overrides.apply(&with, said("meet/cellar", Says::Hold, 1));
    assert_eq!(intent(&config(&service("other")), &overrides, 2, "meet/cellar"), None);
    assert_eq!(intent(&with, &overrides, 2, "meet/cellar"), Some(Intent::Hold));
}

#[test]
fn sources_name_file_and_person() {
    let config = config(&(service("meet") + &room("meet", "tavern")));
    let mut overrides = Overrides::default();
    overrides.apply(&config, said("meet/tavern", Says::Suspend { until: Some(at(60)) }, 1));
    let key = RoomKey::new("meet", "tavern");
    let rows = sources(&config, &overrides, at(2), &key);
    assert_eq!(rows.iter().map(|row| row.says.as_str()).collect::<Vec<_>>(), ["hold", "suspend"]);
    assert_eq!(rows[0].who, "innkeeper.toml:5");
    assert_eq!(rows[1].until.as_deref(), Some("1970-01-01T00:01:00Z"));
    assert_eq!(sources(&config, &overrides, at(60), &key).len(), 1, "an ended suspension says nothing");
}

#[test]
fn a_room_is_found_by_name_by_service_and_by_jid() {
    let config = config(
        &(service("meet") + &service("old") + &room("meet", "tavern") + &room("meet", "hall") + &room("old", "hall")),
    );
    let overrides = Overrides::default();
    let none = BTreeMap::new();
    let find = |text: &str, new| resolve(&config, &overrides, &none, text, new).map(|found| found.key.to_string());
    assert_eq!(find("Tavern", false).unwrap(), "meet/tavern");
    assert_eq!(find("old/hall", false).unwrap(), "old/hall");
    assert_eq!(find("hall@muc.old.example", false).unwrap(), "old/hall");
    let error = find("hall", false).unwrap_err();
    assert_eq!(
        (error.word(), error.to_string().as_str()),
        ("ambiguous-room", "\"hall\" is the name of several rooms: meet/hall, old/hall")
    );
    assert_eq!(
        find("tavren", false).unwrap_err().to_string(),
        "no room is called \"tavren\"; did you mean \"tavern\"?"
    );
    assert_eq!(find("inn/hall", false).unwrap_err().word(), "unknown-service");
    assert_eq!(find("a b", true).unwrap_err().word(), "bad-request");
    assert_eq!(
        find("cellar", true).unwrap_err().to_string(),
        "\"cellar\" is a new room; say on which service: meet/cellar, old/cellar"
    );
    assert_eq!(find("old/cellar", true).unwrap(), "old/cellar");
    assert_eq!(find("cellar@muc.meet.example", true).unwrap(), "meet/cellar");
}

#[test]
fn a_new_room_goes_to_the_only_service() {
    let config = config(&service("meet"));
    let overrides = Overrides::default();
    let found = resolve(&config, &overrides, &BTreeMap::new(), "cellar", true).unwrap();
    assert_eq!(found, Address { key: RoomKey::new("meet", "cellar"), muc: None });
    let found = resolve(&config, &overrides, &BTreeMap::new(), "cellar@other.example", true).unwrap();
    assert_eq!(found.muc.as_deref(), Some("other.example"));
}

#[test]
fn the_same_content_changes_nothing_wherever_it_is_written() {
    let before = config(&(service("meet") + &room("meet", "tavern") + &room("meet", "hall")));
    let after = config(&("# moved\n".to_owned() + &room("meet", "hall") + &room("meet", "tavern") + &service("meet")));
    let plan = reconcile(&before, &after, &Overrides::default(), at(0));
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.unchanged, 2);
}

#[test]
fn a_plan_says_what_is_held_changed_released_and_connected_again() {
    let before = config(
        &(service("meet") + &service("old") + &room("meet", "tavern") + &room("meet", "hall") + &room("old", "a")),
    );
    let after = config(
        &(service("meet")
            + "self_ping = \"1m\"\n"
            + &service("new")
            + &room("meet", "hall")
            + "nick = \"0\"\n"
            + &room("new", "b")
            + "[[policy]]\nrooms = \"cel*\"\n[policy.no_guests]\n[[rtbl]]\nservice = \"meet\"\njid = \"rtbl.example\"\n"),
    );
    let mut overrides = Overrides::default();
    overrides.apply(&before, said("meet/cellar", Says::Hold, 1));
    let plan = reconcile(&before, &after, &overrides, at(2)).reply(false, &[]);
    assert_eq!(plan.hold, ["new/b"]);
    let rtbl = "rtbl meet/rtbl.example/muc_bans_sha256: new";
    assert_eq!(plan.change, ["meet/cellar: rules", "meet/hall: nick", "service meet: self_ping", rtbl]);
    assert_eq!(plan.release, ["meet/tavern", "old/a"]);
    assert_eq!(plan.reconnect, ["new: new", "old: gone, logs out"]);
    assert_eq!((plan.unchanged, plan.applied), (0, false));
}

#[test]
fn an_authoritys_list_wants_its_rooms_until_another_list_and_a_person_may_still_say_no() {
    let authority = "[[line]]\nname = \"game\"\nlisten = \"127.0.0.1:1\"\nfile = \"x\"\nscopes = [\"rooms\"]\n\
                     [[authority]]\nname = \"story\"\nservice = \"meet\"\nrooms = \"game-*\"\nline = \"game\"\n";
    let files = [("innkeeper.toml", service("meet") + authority)];
    let files = files.map(|(name, text)| File { name: name.into(), text }).into();
    struct Long;
    impl Files for Long {
        fn read(&self, _: &std::path::Path) -> Result<Content, String> {
            Ok(Content { bytes: b"correct-horse-battery".to_vec(), others_may_read: false })
        }
    }
    let with =
        check(&Input { files, env: Vec::new(), base: "/etc".into(), offline: false, secrets: &Long }).expect("right");
    let without = config(&service("meet"));
    let list = |names: &[&str]| List {
        revision: 1,
        rooms: names.iter().map(|name| RoomKey::new("meet", name)).collect(),
        who: "line game".into(),
        when: at(1),
    };
    let mut overrides = Overrides::default();
    overrides.set_list("story", list(&["game-hall", "game-crypt", "tavern"]));
    assert_eq!(intent(&with, &overrides, 2, "meet/game-hall"), Some(Intent::Hold));
    assert_eq!(intent(&with, &overrides, 2, "meet/tavern"), None, "none of its rooms");
    assert_eq!(intent(&without, &overrides, 2, "meet/game-hall"), None, "nobody knows it any more");
    assert!(resolve(&with, &overrides, &BTreeMap::new(), "game-hall", false).is_ok());
    let row = &sources(&with, &overrides, at(2), &RoomKey::new("meet", "game-hall"))[0];
    assert_eq!((row.source.as_str(), row.who.as_str(), row.says.as_str()), ("authority", "story", "hold"));
    overrides.apply(&with, said("meet/game-hall", Says::Release, 3));
    assert_eq!(intent(&with, &overrides, 4, "meet/game-hall"), Some(Intent::Release), "a person's word");
    overrides.set_list("story", list(&["game-crypt"]));
    assert!(overrides.prune(&with, at(5)), "the release is moot");
    assert_eq!(intent(&with, &overrides, 6, "meet/game-hall"), None);
}

fn booked(room: &str, from: Option<i64>, until: Option<i64>, second: i64) -> Override {
    let booking =
        Booking { from: from.map(at), until: until.map(at), early_seconds: 100, title: Some("Council".into()) };
    Override { booking: Some(booking), ..said(room, Says::Hold, second) }
}

#[test]
fn a_booked_room_opens_early_is_released_after_its_end_and_told_of_for_a_day() {
    let config = config(&service("meet"));
    let key = RoomKey::new("meet", "cellar");
    let mut overrides = Overrides::default();
    overrides.apply(&config, booked("meet/cellar", Some(1000), Some(2000), 1));
    let soon = Intent::Booked { from: at(1000), opens: at(900) };
    assert_eq!(intent(&config, &overrides, 899, "meet/cellar"), Some(soon));
    assert_eq!(intent(&config, &overrides, 900, "meet/cellar"), Some(Intent::Hold));
    let wanted = desired(&config, &overrides, at(900));
    let subject = wanted[&key].room.moderated.as_ref().and_then(|moderated| moderated.locked.subject.clone());
    assert_eq!(subject.as_deref(), Some("Council"));
    assert_eq!(overrides.next_change(at(1)), Some(at(900)));
    assert_eq!(overrides.next_change(at(900)), Some(at(2010)), "its rule has ten seconds to close it");
    let row = &sources(&config, &overrides, at(2), &key)[0];
    assert_eq!(row.from.as_deref(), Some("1970-01-01T00:16:40Z"));
    assert_eq!(row.until.as_deref(), Some("1970-01-01T00:33:20Z"));

    assert!(!overrides.clone().end_booking(&key, at(1990)), "closed for another reason");
    assert!(overrides.clone().end_booking(&key, at(2000)), "closed for this one");
    assert!(!overrides.prune(&config, at(2009)));
    assert!(overrides.prune(&config, at(2010)));
    assert_eq!((overrides.next_change(at(2010)), overrides.booking(&config, &key)), (None, None));
    assert_eq!(overrides.ended(&config, &key), Some(at(2000)));
    for name in ["cellar", "meet/cellar", "Cellar@muc.meet.example"] {
        let error = resolve(&config, &overrides, &BTreeMap::new(), name, false).expect_err("it has ended");
        assert_eq!(error.word(), "ended", "{name}");
        assert!(error.to_string().contains("ended at 1970-01-01T00:33:20Z"), "{error}");
        assert!(resolve(&config, &overrides, &BTreeMap::new(), name, true).is_ok(), "{name} may be held again");
    }
    let mut again = overrides.clone();
    again.apply(&config, said("meet/cellar", Says::Hold, 3000));
    assert_eq!((again.ended(&config, &key), again.kept().count()), (None, 1));
    assert!(!overrides.prune(&config, at(2000 + 86_399)));
    assert!(overrides.prune(&config, at(2000 + 86_400)));
    assert_eq!(overrides, Overrides::default());
}

#[test]
fn a_booking_that_ends_while_we_are_outside_and_people_are_not_is_wanted_for_an_hour_or_until_its_meeting_is_ended() {
    let config = config(&service("meet"));
    let key = RoomKey::new("meet", "cellar");
    let mut overrides = Overrides::default();
    overrides.apply(&config, booked("meet/cellar", None, Some(2000), 1));
    assert!(!overrides.clone().end_late(&key, at(1999)), "it goes on");
    assert!(!overrides.clone().end_late(&key, at(2000 + 3600)), "that is too long ago: it may be another meeting");
    assert!(overrides.end_late(&key, at(2005)) && !overrides.end_late(&key, at(2006)));
    overrides.prune(&config, at(5599));
    assert_eq!(intent(&config, &overrides, 5599, "meet/cellar"), Some(Intent::Hold));
    assert_eq!(overrides.next_change(at(2010)), Some(at(5600)));
    let mut back = overrides.clone();
    back.back_inside(&key, at(3000));
    back.back_inside(&key, at(3005));
    assert_eq!(back.next_change(at(3005)), Some(at(3010)), "its rule has ten seconds to close it");
    assert!(back.end_booking(&key, at(3001)) && back.ended(&config, &key) == Some(at(2000)));
    let mut moved = overrides.clone();
    moved.apply(&config, booked("meet/cellar", None, Some(9000), 2500));
    assert_eq!(moved.next_change(at(2500)), Some(at(9010)), "somebody wants it longer");
    overrides.prune(&config, at(5600));
    assert_eq!(overrides.ended(&config, &key), Some(at(2000)));

    let mut suspended = Overrides::default();
    suspended.apply(&config, booked("meet/cellar", None, Some(2000), 1));
    suspended.apply(&config, said("meet/cellar", Says::Suspend { until: None }, 7));
    assert!(!suspended.end_late(&key, at(2005)), "a person wants us outside");
}

#[test]
fn a_suspension_goes_over_a_booking_and_its_end_brings_the_booking_back() {
    let config = config(&service("meet"));
    let mut overrides = Overrides::default();
    overrides.apply(&config, booked("meet/cellar", None, Some(2000), 1));
    let until = Some(at(500));
    overrides.apply(&config, said("meet/cellar", Says::Suspend { until }, 2));
    assert_eq!(intent(&config, &overrides, 3, "meet/cellar"), Some(Intent::Suspend { until }));
    overrides.apply(&config, said("meet/cellar", Says::Hold, 4));
    assert_eq!(overrides.bookings(&config).count(), 1, "it only ended the suspension");
    overrides.apply(&config, said("meet/cellar", Says::Hold, 5));
    assert_eq!(overrides.bookings(&config).count(), 0, "held for good");
    overrides.apply(&config, booked("meet/cellar", None, Some(2000), 6));
    overrides.apply(&config, said("meet/cellar", Says::Suspend { until: None }, 7));
    overrides.prune(&config, at(2010));
    assert_eq!(intent(&config, &overrides, 2011, "meet/cellar"), None, "the end comes all the same");
}

#[test]
fn what_the_configuration_wants_can_not_be_booked_and_ends_with_no_booking() {
    let with = config(&(service("meet") + &room("meet", "tavern")));
    let without = config(&service("meet"));
    let key = RoomKey::new("meet", "tavern");
    let mut overrides = Overrides::default();
    assert_eq!(overrides.wanted_by(&with, &key).as_deref(), Some("the configuration (innkeeper.toml:5)"));
    overrides.apply(&without, booked("meet/tavern", Some(1000), Some(2000), 1));
    assert_eq!(intent(&with, &overrides, 2, "meet/tavern"), Some(Intent::Hold), "it came into the configuration since");
    assert_eq!((overrides.booking(&with, &key), overrides.bookings(&with).count()), (None, 0));
    overrides.prune(&with, at(2010));
    assert_eq!(
        (intent(&with, &overrides, 2010, "meet/tavern"), overrides.ended(&with, &key)),
        (Some(Intent::Hold), None)
    );
}

#[test]
fn of_bookings_that_ended_the_latest_are_remembered() {
    let config = config(&service("meet"));
    let mut overrides = Overrides::default();
    for number in 0..i64::try_from(MOST_ENDED).unwrap() + 2 {
        overrides.apply(&config, booked(&format!("meet/r{number}"), None, Some(1000 + number), 1));
    }
    overrides.prune(&config, at(10_000));
    assert_eq!(overrides.kept().count(), MOST_ENDED);
    assert_eq!(overrides.ended(&config, &RoomKey::new("meet", "r1")), None);
    assert!(overrides.ended(&config, &RoomKey::new("meet", "r2")).is_some());
}
