//! The databases of the state folder, on a real disk, in real processes that are killed.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use innkeeper::config::RoomKey;
use innkeeper::event::{Departure, Event, EventId, Kind, Machine, Person, What, Why};
use innkeeper::pattern::Pattern;
use innkeeper::policy::State;
use innkeeper::policy::bans::{Ban, Target};
use innkeeper::policy::identity::OccupantKey;
use innkeeper::policy::strikes::Stored;
use innkeeper::store::{
    Audit, BanId, Database, DatabaseError, Exempted, Filter, Limits, ListEntry, Order, Retention, Store,
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

/// Set for a child process: what it is to do, and where.
const CHILD: &str = "INNKEEPER_STORE_TEST_CHILD";

fn open(folder: &Path, limits: Limits) -> (Database, Vec<String>) {
    let (store, ..) = Store::open(folder).expect("the state folder");
    Database::open(&store, limits).expect("the databases")
}

/// A folder with its databases open, and nothing wrong with them.
fn fresh() -> (TempDir, Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, warnings) = open(folder.path(), Limits::default());
    assert_eq!(warnings, Vec::<String>::new());
    (folder, database)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn key(who: &str) -> OccupantKey {
    OccupantKey::read(who).expect("a key")
}

async fn add_bans(database: &Database, bans: Vec<Ban>) -> Result<Vec<BanId>, DatabaseError> {
    database.keep_bans(bans.into_iter().map(|ban| (None, ban)).collect(), Vec::new()).await
}

fn ban(who: &str, until: Option<Timestamp>) -> Ban {
    Ban {
        target: Target::Key(key(who)),
        service: Some("meet".into()),
        rooms: Some(Pattern::new("tav*")),
        until,
        reason: "spam".into(),
        note: "third time".into(),
        by: "uid 1000".into(),
        known_as: String::new(),
        at: at("2026-03-01T09:00:00Z"),
    }
}

fn audit(what: &str, room: Option<&RoomKey>) -> Audit {
    Audit {
        time: at("2026-03-01T10:00:00Z"),
        who: "uid 1000".into(),
        service: room.map(|room| (*room.service).into()),
        room: room.map(|room| (*room.name).into()),
        action: Some(format!("key {what}").into()),
        what: what.into(),
        target: "ada".into(),
        reason: "too loud".into(),
        outcome: "done".into(),
    }
}

fn person(nick: &str) -> Person {
    Person { nick: nick.into(), ..Person::default() }
}

/// Makes events, one millisecond apart.
struct Maker {
    last: EventId,
    time: Timestamp,
}

impl Maker {
    fn new(start: &str) -> Self {
        Maker { last: EventId::default(), time: at(start) }
    }

    fn event(&mut self, room: &str, what: What) -> Event {
        self.time += SignedDuration::from_millis(1);
        self.last = self.last.next(self.time);
        Event::new(self.last, self.time, "meet", Some(room), Some("life-1"), what)
    }

    fn joined(&mut self, room: &str, person: Person) -> Event {
        self.event(room, What::OccupantJoined { person, already_inside: false })
    }
}

/// Everything logged by this process so far.
fn log() -> String {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static SINK: OnceLock<Sink> = OnceLock::new();
    let sink = SINK.get_or_init(|| {
        let sink = Sink::default();
        let writer = sink.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        sink
    });
    String::from_utf8(sink.0.lock().expect("no panic").clone()).expect("text")
}

fn integrity(path: &Path) -> String {
    let connection = Connection::open(path).expect("the file opens");
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check")
}

// ── opening

#[tokio::test]
async fn bans_wait_for_the_disk_and_events_do_not() {
    let (_folder, database) = fresh();
    assert_eq!(database.synchronous().await.expect("both pragmas"), (1, 2), "1 is NORMAL, 2 is FULL");
}

#[tokio::test]
async fn every_file_is_the_owners_alone() {
    let (folder, database) = fresh();
    add_bans(&database, vec![ban("account:eve@x", None)]).await.expect("stored");
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("metadata").permissions().mode() & 0o777, 0o600, "{entry:?}");
        seen.push(entry.file_name().into_string().expect("text"));
    }
    for file in ["events.db", "events.db-wal", "policy.db", "policy.db-shm", "policy.db-wal"] {
        assert!(seen.iter().any(|name| name == file), "{file} in {seen:?}");
    }
    database.close().await;
    assert!(!folder.path().join("policy.db-wal").exists(), "a proper end leaves one file each");
}

#[tokio::test]
async fn the_record_of_an_earlier_program_goes_on_and_is_not_emptied_for_having_been_away() {
    let (folder, database) = fresh();
    database.close().await;
    drop(database);
    // What the second version of the schema had not.
    let old = Connection::open(folder.path().join("events.db")).expect("the file");
    let back = "DROP TABLE marks; ALTER TABLE events DROP COLUMN imported; PRAGMA user_version = 2;";
    old.execute_batch(back).expect("the old schema");
    let begun = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * 200)).expect("near");
    let mut maker = Maker { last: EventId::default(), time: begun };
    let told: Vec<Event> = ["ada", "bob"].map(|nick| maker.joined("tavern", person(nick))).into();
    for (at, event) in told.iter().enumerate() {
        let nick = &*event.what.person().expect("a person").nick;
        old.execute("INSERT INTO people VALUES (?1, ?2, '', '', '')", (at, nick)).expect("a person");
        let what = serde_json::to_string(&event.what).expect("plain data");
        let values = (event.id.number(), event.time.as_millisecond(), at, what);
        let insert = "INSERT INTO events VALUES (?1, ?2, 'meet', 'tavern', 'life-1', 'occupant.joined', ?3, ?4)";
        old.execute(insert, values).expect("an event");
    }
    drop(old);
    let keep = Retention { age: Some(Duration::from_secs(90 * 86_400)), bytes: None };
    let (database, warnings) = open(folder.path(), Limits { keep, ..Limits::default() });
    assert_eq!((warnings, database.last_event()), (Vec::new(), maker.last));
    // Whoever writes looks for old events before it takes anything.
    maker.time = Timestamp::now();
    let new = maker.joined("tavern", person("cid"));
    database.record(&new);
    database.flush().await.expect("open");
    let found = database.events(Filter { own: true, after: Some(EventId::default()), ..Filter::default() }).await;
    let found: Vec<Event> = found.expect("open").iter().map(|record| record.event().expect("readable")).collect();
    assert_eq!(found, [told, vec![new]].concat(), "nothing is too old on the first day");
    database.close().await;
}

// ── attendance

/// So many came and went before anybody whom a test is about.
fn a_crowd_came_and_went(folder: &Path, many: u64, begun: Timestamp) {
    let connection = Connection::open(folder.join("events.db")).expect("the file");
    let rows = "
        CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) SELECT n FROM n;
        INSERT INTO people SELECT 1000 + n, 'g' || n, '', 'g' || n || '@guest', '' FROM n;
        INSERT INTO events SELECT ?2 + 2 * n, ?3 + n, 'meet', 'tavern', 'life-1', 'occupant.joined', 1000 + n,
            '{\"kind\":\"occupant.joined\",\"person\":{\"nick\":\"g' || n || '\",\"real_jid\":\"g' || n || '@guest/1\"}}', 0 FROM n;
        INSERT INTO events SELECT ?2 + 2 * n + 1, ?3 + n, 'meet', 'tavern', 'life-1', 'occupant.left', 1000 + n,
            '{\"kind\":\"occupant.left\",\"person\":{\"nick\":\"g' || n || '\",\"real_jid\":\"g' || n
            || '@guest/1\"},\"how\":\"left\"}', 0 FROM n;";
    let first = EventId::default().next(begun).number();
    let rows = rows.replace("?1", &many.to_string()).replace("?2", &first.to_string());
    let rows = rows.replace("?3", &begun.as_millisecond().to_string());
    connection.execute_batch(&format!("BEGIN; {rows} COMMIT;")).expect("they are recorded");
}

#[tokio::test]
async fn attendance_since_a_time_reads_nothing_of_those_who_were_gone_by_then() {
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T07:00:00Z");
    let ann = Person { real_jid: Some("ann@guest/1".into()), ..person("ann") };
    let named = |nick: &str, name: &str| Person { display_name: Some(name.into()), ..person(nick) };
    let renamed = |person: Person, old_nick: Option<&str>, old_name: Option<&str>| What::OccupantRenamed {
        person,
        old_nick: old_nick.map(Into::into),
        old_display_name: old_name.map(Into::into),
    };
    let left = |person: Person| What::OccupantLeft { person, how: Departure::Left, by: None, reason: None };
    let focus = Person { machine: Some(Machine::Recorder), ..person("recorder") };
    // ann is inside all the time, bob under three names, cid goes later and dan comes later; eve was there before us.
    let early = [
        maker.joined("tavern", ann.clone()),
        maker.joined("tavern", focus),
        maker.joined("tavern", named("bob", "Bob")),
        maker.event("tavern", renamed(named("bob", "Bobby"), None, Some("Bob"))),
        maker.event("tavern", renamed(named("bobby", "Bobby"), Some("bob"), None)),
        maker.joined("tavern", person("cid")),
        maker.event("tavern", What::OccupantJoined { person: person("eve"), already_inside: true }),
        maker.joined("tavern", person("gone")),
        maker.event("tavern", left(person("gone"))),
        maker.joined("hall", person("elsewhere")),
    ];
    for event in &early {
        database.record(event);
    }
    database.flush().await.expect("open");
    maker.time = at("2026-03-02T07:00:00Z");
    let late = [
        maker.event("tavern", left(person("cid"))),
        maker.joined("tavern", person("dan")),
        maker.event("tavern", renamed(named("rob", "Bobby"), Some("bobby"), None)),
        // Of whom the record does not say when they came.
        maker.event("tavern", left(person("fay"))),
    ];
    for event in &late {
        database.record(event);
    }
    database.flush().await.expect("open");

    let (since, now) = (at("2026-03-02T06:00:00Z"), at("2026-03-02T08:00:00Z"));
    let asked = async |life: Option<&str>, since, most| {
        let begun = Instant::now();
        let room = RoomKey::new("meet", "tavern");
        let all = database.attendance(room, life.map(Into::into), since, now, most).await.expect("in time");
        println!("{life:?} since {since:?}: {} in {:?}", all.len(), begun.elapsed());
        all
    };
    let rows = |all: &[innkeeper::attendance::Attended]| -> Vec<String> {
        let row = |one: &innkeeper::attendance::Attended| {
            let earlier = if one.came_earlier { " or before" } else { "" };
            format!("{} {}{earlier} {:?}", one.person.nick, one.came.strftime("%d %H:%M"), one.how)
        };
        all.iter().map(row).collect()
    };
    let expected = [
        "ann 01 07:00 None",
        "rob 01 07:00 None",
        "cid 01 07:00 Some(Left)",
        "eve 01 07:00 or before None",
        "dan 02 07:00 None",
        "fay 02 07:00 or before Some(Left)",
    ];
    let after = |one: &innkeeper::attendance::Attended| one.went.is_none_or(|went| went >= since);
    let whole = asked(None, Some(at("2026-03-01T06:00:00Z")), 100).await;
    assert_eq!(
        (whole.len(), rows(&whole.into_iter().filter(after).collect::<Vec<_>>())),
        (7, expected.map(str::to_owned).into())
    );
    a_crowd_came_and_went(folder.path(), 100_000, at("2026-03-01T08:00:00Z"));
    for life in [None, Some("life-1")] {
        assert_eq!(rows(&asked(life, Some(since), 100).await), expected, "{life:?}");
    }
    assert!(asked(Some("life-2"), Some(since), 100).await.is_empty());
    database.close().await;
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_and_left_as_it_is() {
    for (file, newest) in [("policy.db", 5), ("events.db", 4)] {
        let (folder, database) = fresh();
        database.close().await;
        drop(database);
        let path = folder.path().join(file);
        Connection::open(&path).and_then(|file| file.pragma_update(None, "user_version", 99)).expect("the pragma");
        let before = fs::read(&path).expect("the file");
        let (store, ..) = Store::open(folder.path()).expect("the folder");
        let error = Database::open(&store, Limits::default()).expect_err("too new");
        assert!(matches!(error, DatabaseError::Newer { version: 99, known, .. } if known == newest), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(file) && text.contains("newer innkeeper") && text.contains("move the file away"),
            "{text}"
        );
        assert!(fs::read(&path).expect("the file") == before, "{file} was touched");
    }
}

#[tokio::test]
async fn a_broken_file_is_kept_aside_and_said_and_the_start_goes_on() {
    for (file, harm) in [("policy.db", "head"), ("events.db", "head"), ("policy.db", "middle")] {
        let (folder, database) = fresh();
        add_bans(&database, vec![ban("account:eve@x", None)]).await.expect("stored");
        database.close().await;
        drop(database);
        let path = folder.path().join(file);
        let mut bytes = fs::read(&path).expect("the file");
        match harm {
            "head" => bytes[..100].fill(b'x'),
            _ => bytes[4096..].fill(0x5a),
        }
        fs::write(&path, &bytes).expect("written");
        let (database, warnings) = open(folder.path(), Limits::default());
        assert!(warnings.len() == 1 && warnings[0].contains("is broken"), "{file} {harm}: {warnings:?}");
        let aside = fs::read_dir(folder.path()).expect("a folder").filter_map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            name.starts_with(&format!("{file}.broken-")).then_some(name)
        });
        let aside: Vec<String> = aside.collect();
        assert_eq!(aside.len(), 1, "{aside:?}");
        assert!(warnings[0].contains(&aside[0]), "{warnings:?}");
        assert!(fs::read(folder.path().join(&aside[0])).expect("kept") == bytes, "kept as it was");
        let left = database.bans(Timestamp::now()).await.expect("a new file").len();
        assert_eq!(left, usize::from(file == "events.db"), "only what broke is lost");
        add_bans(&database, vec![ban("account:eve@x", None)]).await.expect("stored");
    }
}

#[tokio::test]
async fn a_record_that_breaks_in_use_is_kept_aside_and_recording_goes_on() {
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    for _ in 0..500 {
        database.record(&maker.joined("tavern", person("ada")));
    }
    database.flush().await.expect("open");
    let path = folder.path().join("events.db");
    {
        // A change by somebody else makes the writer read its pages again.
        let other = Connection::open(&path).expect("the file");
        other.execute("DELETE FROM events WHERE id = (SELECT min(id) FROM events)", []).expect("deleted");
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("taken over");
    }
    let mut bytes = fs::read(&path).expect("the file");
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).expect("written");
    database.record(&maker.joined("tavern", person("bob")));
    database.flush().await.expect("open");
    let found = database.events(Filter::default()).await.expect("a new file");
    assert_eq!((found.len(), database.losses().count), (1, 0));
    database.close().await;
    assert_eq!(integrity(&path), "ok");
}

#[tokio::test]
async fn the_folder_stays_ours_while_the_databases_are_open_and_nothing_is_taken_after_the_end() {
    let (folder, database) = fresh();
    assert!(Store::open(folder.path()).is_err());
    let other = database.clone();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    database.record(&maker.joined("tavern", person("ada")));
    database.close().await;
    other.record(&maker.joined("tavern", person("bob")));
    assert_eq!(other.losses().count, 1);
    let refused = add_bans(&other, vec![ban("account:eve@x", None)]).await;
    assert!(matches!(refused, Err(DatabaseError::Closed)), "{refused:?}");
    other.close().await;
    drop((database, other));
    let (database, _) = open(folder.path(), Limits::default());
    assert_eq!(database.events(Filter::default()).await.expect("readable").len(), 1, "what had queued was written");
}

// ── policy

#[tokio::test]
async fn bans_are_added_found_lifted_and_end_and_an_id_is_never_given_twice() {
    let (folder, database) = fresh();
    let (now, later) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
    let given = vec![ban("account:eve@x", None), ban("name:mallory", Some(later)), ban("hint:x", None)];
    let ids = add_bans(&database, given.clone()).await.expect("stored");
    database.close().await;
    drop(database);
    let (database, _) = open(folder.path(), Limits::default());
    let stored = database.bans(now).await.expect("readable");
    assert_eq!(stored.iter().map(|stored| stored.id).collect::<Vec<_>>(), ids);
    assert_eq!(stored.into_iter().map(|stored| stored.ban).collect::<Vec<_>>(), given);
    assert_eq!(database.bans(later).await.expect("readable").len(), 2, "an ended ban is not in force");
    assert!(database.ban(ids[1]).await.expect("readable").is_some(), "and is still known");
    assert_eq!(database.forget_ended(later).await.expect("stored"), 1);
    assert_eq!(database.ban(ids[1]).await.expect("readable"), None);
    for _ in 0..2 {
        database.keep_bans(Vec::new(), vec![ids[2]]).await.expect("stored");
        assert_eq!(database.ban(ids[2]).await.expect("readable"), None);
    }
    let BanId(next) = add_bans(&database, vec![ban("hint:y", None)]).await.expect("stored")[0];
    assert!(next > ids[2].0, "{next}");
}

#[tokio::test]
async fn a_list_is_replaced_at_once_and_touches_no_other_source() {
    let (_folder, database) = fresh();
    let time = at("2026-03-01T10:00:00Z");
    let entry = |item: &str| ListEntry { item: item.into(), reason: "spam".into(), time };
    let entries = |items: &[&str]| items.iter().map(|item| entry(item)).collect::<Vec<_>>();
    database.replace_list("a", entries(&["1", "2"])).await.expect("stored");
    database.replace_list("b", entries(&["1"])).await.expect("stored");
    database.replace_list("a", entries(&["2", "3", "3"])).await.expect("stored");
    database.list("b", entry("9")).await.expect("stored");
    assert!(database.unlist("b", "1").await.expect("stored"));
    assert!(!database.unlist("b", "1").await.expect("stored"));
    let expected = [("a", "2"), ("a", "3"), ("b", "9")].map(|(source, item)| (source.into(), entry(item)));
    assert_eq!(database.lists().await.expect("readable"), expected);

    let exempted = |entry: &str| Exempted { who: "ada@x".into(), entry: entry.into() };
    database.exempt(exempted("{}")).await.expect("stored");
    database.exempt(exempted("{\"by\":\"uid 0\"}")).await.expect("stored");
    assert_eq!(database.exempted().await.expect("readable"), [exempted("{\"by\":\"uid 0\"}")]);
    assert!(database.judge_again("ada@x").await.expect("stored"));
    assert!(!database.judge_again("ada@x").await.expect("stored"));
}

#[tokio::test]
async fn a_ban_that_somebody_else_wrote_wrongly_takes_no_other_with_it() {
    let (folder, database) = fresh();
    let ids = add_bans(&database, vec![ban("name:eve", None), ban("name:mallory", None)]).await.expect("stored");
    let other = Connection::open(folder.path().join("policy.db")).expect("the file");
    other.execute("UPDATE bans SET ban = '{}' WHERE id = ?1", [ids[0].0]).expect("changed");
    let found = database.bans(Timestamp::now()).await.expect("readable");
    assert_eq!(found.iter().map(|stored| stored.id).collect::<Vec<_>>(), ids[1..]);
    database.keep_bans(Vec::new(), vec![ids[0]]).await.expect("stored");
    let found = other.query_row("SELECT count(*) FROM bans", [], |row| row.get::<_, i64>(0));
    assert_eq!(found.expect("readable"), 1, "it is lifted all the same");
}

#[tokio::test]
async fn a_ban_in_place_of_another_has_its_id_and_those_beside_it_go() {
    let (_folder, database) = fresh();
    let now = at("2026-03-01T10:00:00Z");
    let ids = add_bans(&database, vec![ban("name:eve", None), ban("name:eve", None), ban("name:bob", None)]).await;
    let ids = ids.expect("stored");
    let (eve, ann) = (Ban { reason: "worse".into(), ..ban("name:eve", None) }, ban("name:ann", None));
    let given = vec![(Some(ids[0]), eve.clone()), (None, ann.clone())];
    let kept = database.keep_bans(given, vec![ids[1]]).await.expect("stored");
    assert_eq!(kept[0], ids[0]);
    assert!(kept[1] > ids[2], "{kept:?}");
    let found: Vec<_> = database.bans(now).await.expect("readable").into_iter().map(|one| (one.id, one.ban)).collect();
    assert_eq!(found, [(ids[0], eve), (ids[2], ban("name:bob", None)), (kept[1], ann)]);
}

#[tokio::test]
async fn a_restart_knows_who_was_inside_by_what_was_recorded() {
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let left = |nick| What::OccupantLeft { person: person(nick), how: Departure::Left, by: None, reason: None };
    let machine = |machine, nick| Person { machine: Some(machine), ..person(nick) };
    for what in [
        What::OccupantJoined { person: person("ada"), already_inside: false },
        What::OccupantJoined { person: person("bob"), already_inside: true },
        What::OccupantJoined { person: person("eve"), already_inside: false },
        What::OccupantJoined { person: machine(Machine::Focus, "focus"), already_inside: true },
        What::OccupantJoined { person: machine(Machine::Recorder, "rec"), already_inside: true },
        What::OccupantRenamed { person: person("eva"), old_nick: Some("eve".into()), old_display_name: None },
        left("bob"),
    ] {
        database.record(&maker.event("tavern", what));
    }
    let first = maker.joined("cellar", person("ada"));
    database.record(&first);
    let other = maker.joined("cellar", person("ben"));
    database.record(&Event { life: Some("life-2".into()), ..other });
    // One event that comes twice brings nobody back.
    database.record(&first);
    database.close().await;
    drop(database);

    let (database, _) = open(folder.path(), Limits::default());
    let present = database.present().await.expect("readable");
    let of = |room: &str| {
        let present = &present[&RoomKey::new("meet", room)];
        (&*present.life, present.people.keys().map(|nick| &**nick).collect::<Vec<_>>())
    };
    assert_eq!(of("tavern"), ("life-1", vec!["ada", "eva", "rec"]));
    assert_eq!(of("cellar"), ("life-2", vec!["ben"]));
    assert_eq!(present.len(), 2);
}

#[tokio::test]
async fn the_audit_is_only_added_to() {
    let (folder, database) = fresh();
    let tavern = RoomKey::new("meet", "tavern");
    let first = database.audit(audit("kick", Some(&tavern))).await.expect("stored");
    let second = database.audit(audit("reload", None)).await.expect("stored");
    assert!(first < second);
    let all = database.audit_of(None, 10).await.expect("readable");
    assert_eq!(all, [(second, audit("reload", None)), (first, audit("kick", Some(&tavern)))]);
    assert_eq!(database.audit_of(None, 1).await.expect("readable").len(), 1);
    assert_eq!(database.audit_of(Some(&tavern), 10).await.expect("readable"), [all[1].clone()]);
    assert_eq!(database.audit_of_action("key kick").await.expect("readable"), [all[1].clone()]);
    let other = Connection::open(folder.path().join("policy.db")).expect("the file");
    for harm in ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"] {
        let error = other.execute(harm, []).expect_err("it stays").to_string();
        assert!(error.contains("only added to"), "{error}");
    }
}

// ── events

#[tokio::test]
async fn events_are_found_by_room_kind_person_time_and_place() {
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let ada = Person {
        display_name: Some("Ada L.".into()),
        real_jid: Some("ada@meet.example/web-1".into()),
        occupant_id: Some("oid-ada".into()),
        ..person("a1b2c3d4")
    };
    let mut events = vec![
        maker.joined("tavern", ada.clone()),
        maker.joined("cellar", person("bob")),
        maker.event("tavern", What::RoomLost(Why { cause: "kicked".into(), text: "x".into() })),
        maker.joined("tavern", person("bob")),
    ];
    events
        .push(maker.event("tavern", What::OccupantLeft { person: ada, how: Departure::Left, by: None, reason: None }));
    maker.time += SignedDuration::from_hours(25);
    events.push(maker.event("tavern", What::RoomHeld));
    for event in &events {
        database.record(event);
    }
    // One event that comes twice is one event.
    database.record(&events[0]);
    database.flush().await.expect("open");

    let text = |text: &str| Some(Box::<str>::from(text));
    let tavern = || Filter { service: text("meet"), room: text("tavern"), ..Filter::default() };
    let day = events[5].time - SignedDuration::from_hours(24);
    let who = |name: &str| Filter { who: text(name), ..Filter::default() };
    for (filter, expected) in [
        (Filter::default(), vec![0, 1, 2, 3, 4, 5]),
        (tavern(), vec![0, 2, 3, 4, 5]),
        (Filter { room: text("tavern"), ..Filter::default() }, vec![0, 2, 3, 4, 5]),
        (Filter { since: Some(day), ..tavern() }, vec![5]),
        (Filter { until: Some(day), ..tavern() }, vec![0, 2, 3, 4]),
        (Filter { since: Some(events[1].time), until: Some(events[3].time), ..Filter::default() }, vec![1, 2]),
        (Filter { kinds: vec![Kind::OccupantJoined], ..Filter::default() }, vec![0, 1, 3]),
        (Filter { kinds: vec![Kind::RoomLost, Kind::OccupantLeft], ..tavern() }, vec![2, 4]),
        (Filter { life: text("life-2"), ..tavern() }, vec![]),
        (who("a1b2c3d4"), vec![0, 4]),
        (who("Ada L."), vec![0, 4]),
        (who("ada@meet.example"), vec![0, 4]),
        (who("oid-ada"), vec![0, 4]),
        (who("bob"), vec![1, 3]),
        (who(""), vec![]),
        (Filter { who: text("bob"), ..tavern() }, vec![3]),
        (Filter { after: Some(events[2].id), ..Filter::default() }, vec![3, 4, 5]),
        (Filter { after: Some(events[2].id), ..tavern() }, vec![3, 4, 5]),
        (Filter { limit: Some(2), ..tavern() }, vec![0, 2]),
        (Filter { limit: Some(2), order: Order::NewestFirst, ..tavern() }, vec![5, 4]),
        (Filter { limit: Some(1), order: Order::NewestFirst, ..Filter::default() }, vec![5]),
    ] {
        let found = database.events(filter.clone()).await.expect("readable");
        let expected: Vec<&Event> = expected.into_iter().map(|at: usize| &events[at]).collect();
        let found: Vec<Event> = found.iter().map(|record| record.event().expect("our own")).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let record = &database.events(tavern()).await.expect("readable")[0];
    assert_eq!(record.json().expect("JSON"), serde_json::to_value(&events[0]).expect("JSON"));

    database.close().await;
    drop(database);
    let (database, _) = open(folder.path(), Limits::default());
    assert_eq!(database.last_event(), events[5].id, "ids go on from the last one");
}

#[tokio::test]
async fn whoever_records_never_waits_for_the_disk_and_what_finds_no_place_is_counted() {
    const ROUNDS: u64 = 5_000;
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits { queued_events: 4_000, ..Limits::default() };
    let (database, _) = open(folder.path(), limits);
    // While this lock is held nothing can be written.
    let other = Connection::open(folder.path().join("events.db")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        database.record(&maker.joined("tavern", person("ada")));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{ROUNDS} events took the sender {took:?}");
    other.execute_batch("ROLLBACK").expect("released");
    database.flush().await.expect("open");
    let lost = database.losses().count;
    let connection = Connection::open(folder.path().join("events.db")).expect("the file");
    let stored: u64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("a count");
    // A batch that is already in the writer's hands still takes its place.
    assert_eq!((stored, lost), (4_000, 1_000));
}

#[tokio::test]
async fn a_thousand_events_a_second_delay_nobody_and_are_all_stored() {
    const SECONDS: u64 = 3;
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let (mut spent, mut slices) = (Duration::ZERO, tokio::time::interval(Duration::from_millis(10)));
    for slice in 0..SECONDS * 100 {
        slices.tick().await;
        for n in 0..10 {
            let event = maker.joined(&format!("room-{}", slice % 200), person(&format!("nick-{n}")));
            let begun = Instant::now();
            database.record(&event);
            spent += begun.elapsed();
        }
    }
    database.flush().await.expect("open");
    assert_eq!(database.losses().count, 0);
    let each = spent / (u32::try_from(SECONDS).expect("small") * 1_000);
    assert!(each < Duration::from_millis(1), "{each:?} for each event");
    let connection = Connection::open(folder.path().join("events.db")).expect("the file");
    let stored: u64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("a count");
    assert_eq!(stored, SECONDS * 1_000);
}

/// What is in `events.db` by a question that has one number for an answer.
fn counts(folder: &Path, question: &str) -> u64 {
    let connection = Connection::open(folder.join("events.db")).expect("the file");
    connection.query_row(question, [], |row| row.get(0)).expect("a number")
}

async fn until_counted(folder: &Path, question: &str, fits: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    loop {
        let counted = counts(folder, question);
        if fits(counted) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{question}: {counted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn events_that_are_too_old_go_with_their_people_and_younger_ones_stay() {
    let (folder, database) = fresh();
    let mut old = Maker::new("2026-03-01T10:00:00Z");
    for n in 0..1_200 {
        database.record(&old.joined("tavern", person(&format!("old-{}", n % 40))));
    }
    let mut young = Maker { last: old.last, time: Timestamp::now() };
    for _ in 0..10 {
        database.record(&young.joined("tavern", person("ada")));
    }
    database.keep(Retention { age: Some(Duration::from_secs(3_600)), bytes: None });
    until_counted(folder.path(), "SELECT count(*) FROM events", |events| events == 10).await;
    until_counted(folder.path(), "SELECT count(*) FROM people", |people| people == 1).await;
    assert_eq!(database.losses().count, 0);
    database.close().await;
    assert_eq!(integrity(&folder.path().join("events.db")), "ok");
}

#[tokio::test]
async fn a_clock_that_is_suddenly_months_ahead_does_not_empty_the_record() {
    log();
    let (folder, database) = fresh();
    let begun = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * 200)).expect("near");
    let mut maker = Maker { last: EventId::default(), time: begun };
    for _ in 0..10 {
        database.record(&maker.joined("tavern", person("ada")));
    }
    database.flush().await.expect("open");
    database.close().await;
    drop(database);
    // As if it had been looked at last when all this happened.
    let file = Connection::open(folder.path().join("events.db")).expect("the file");
    let set = file.execute("UPDATE marks SET value = ?1 WHERE name = 'clock'", [begun.as_millisecond()]);
    assert_eq!(set.expect("a table"), 1, "the clock was looked at, and that was kept");
    let keep = Retention { age: Some(Duration::from_secs(3_600)), bytes: None };
    let (database, _) = open(folder.path(), Limits { keep, ..Limits::default() });
    // Whoever writes looks for old events before it takes anything.
    database.flush().await.expect("open");
    assert_eq!(counts(folder.path(), "SELECT count(*) FROM events"), 10);
    assert!(
        log().lines().any(|line| line.contains("no event is removed for that") && line.contains("days=200")),
        "{}",
        log()
    );
    database.close().await;
}

#[tokio::test]
async fn a_record_that_is_too_large_loses_its_oldest_events_and_the_file_gets_shorter() {
    const USED: &str = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, \
        pragma_freelist_count, pragma_page_size";
    const PAGES: &str = "SELECT page_count FROM pragma_page_count";
    let (folder, database) = fresh();
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    for n in 0..30_000 {
        let nick = format!("{}-{}", "n".repeat(400), n % 50);
        database.record(&maker.joined("tavern", person(&nick)));
        if n % 1_000 == 0 {
            database.flush().await.expect("open");
        }
    }
    database.flush().await.expect("open");
    let (first, before) = (counts(folder.path(), "SELECT min(id) FROM events"), counts(folder.path(), PAGES));
    assert!(counts(folder.path(), USED) > 10_000_000, "{before} pages");
    database.keep(Retention { age: None, bytes: Some(2_000_000) });
    let begun = Instant::now();
    database.record(&maker.joined("tavern", person("ada")));
    database.flush().await.expect("open");
    assert!(begun.elapsed() < Duration::from_secs(5), "an event waited for {:?}", begun.elapsed());
    until_counted(folder.path(), USED, |used| used <= 2_000_000).await;
    until_counted(folder.path(), PAGES, |pages| pages < before / 2).await;
    assert!(counts(folder.path(), "SELECT min(id) FROM events") > first, "the oldest went");
    assert_eq!(counts(folder.path(), "SELECT max(id) FROM events"), maker.last.number());
    assert_eq!(database.losses().count, 0);
}

#[tokio::test]
async fn when_the_record_is_full_bans_go_on_and_the_loss_is_said_once_in_its_time() {
    log();
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits { events_bytes: Some(200_000), ..Limits::default() };
    let (database, _) = open(folder.path(), limits);
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let mut rounds = 0;
    while database.losses().count < 500 {
        rounds += 1;
        assert!(rounds < 100, "200 kB never get full");
        for _ in 0..100 {
            database.record(&maker.joined("tavern", person("ada")));
        }
        database.flush().await.expect("open");
        add_bans(&database, vec![ban("account:eve@x", None)]).await.expect("bans have a file of their own");
    }
    let (_, why) = database.losses().last.expect("lost a moment ago");
    assert!(why.contains("full"), "{why}");
    let said = || log().lines().filter(|line| line.contains("not recorded") && line.contains(&*why)).count();
    // Many batches were refused, and smaller ones found a place between them.
    assert_eq!(said(), 1, "{}", log());
    assert_eq!(database.bans(Timestamp::now()).await.expect("readable").len(), rounds);
    database.close().await;
    assert_eq!(said(), 2, "the end says what was not said yet");
}

#[tokio::test]
async fn when_nothing_is_lost_any_more_that_is_said_too() {
    log();
    let folder = tempfile::tempdir().expect("a folder");
    let every = Duration::from_millis(50);
    let (database, _) = open(folder.path(), Limits { queued_events: 0, say_losses_every: every, ..Limits::default() });
    database.record(&Maker::new("2026-03-01T10:00:00Z").joined("tavern", person("ada")));
    // The writer learns of it with the next thing that it is asked.
    database.flush().await.expect("open");
    let begun = Instant::now();
    while !log().contains("events are recorded again") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// ── processes that are killed

/// Starts this binary again as a child that runs only [`child`].
fn start(work: &str, folder: &Path, wrapper: Option<&str>) -> Child {
    let exe: PathBuf = std::env::current_exe().expect("this binary");
    let mut command = match wrapper {
        None => Command::new(exe),
        Some(wrapper) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(wrapper).arg(exe);
            command
        }
    };
    command
        .args(["--exact", "child", "--nocapture", "--quiet"])
        .env(CHILD, format!("{work} {}", folder.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Not a test of its own: what the children of the tests below do.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (work, folder) = task.split_once(' ').expect("a task");
    let (database, warnings) = open(Path::new(folder), Limits::default());
    assert_eq!(warnings, Vec::<String>::new());
    match work {
        "write" => writes_until_killed(&database).await,
        "fill" => fills_the_disk(&database).await,
        other => panic!("no such work: {other}"),
    }
}

/// 1,000 writes of four kinds, eight at a time, each said on standard output once it is acknowledged.
async fn writes_until_killed(database: &Database) {
    let mut maker = Maker { last: database.last_event(), time: Timestamp::now() };
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_i64 {
        let database = database.clone();
        tasks.spawn(async move {
            for n in 0..125 {
                let number = match n % 4 {
                    0 => database.audit(audit(&format!("{task}-{n}"), None)).await.expect("stored").0,
                    1 => add_bans(&database, vec![ban("account:eve@x", None)]).await.expect("stored")[0].0,
                    // What rules remember: strikes and welcomes.
                    2 => {
                        let room = RoomKey::new("meet", &format!("room-{task}"));
                        let strikes = vec![Stored { who: key("account:eve@x"), until: vec![counted(n)] }];
                        let rules = [("welcome".to_owned(), n.into())].into();
                        let state = State { strikes, rules, ..State::default() };
                        database.keep_policy(&room, state).await.expect("stored");
                        task * 1_000 + n
                    }
                    _ => {
                        let item = format!("{task}-{n}");
                        let entry = ListEntry { item: item.into(), reason: "".into(), time: counted(n) };
                        database.list("rtbl", entry).await.expect("stored");
                        task * 1_000 + n
                    }
                };
                println!("acknowledged {} {number}", ["audit", "ban", "rules", "list"][n as usize % 4]);
            }
        });
    }
    for _ in 0..1_000 {
        database.record(&maker.joined("tavern", person("ada")));
    }
    while tasks.join_next().await.is_some() {}
    println!("done");
}

#[tokio::test]
async fn killed_a_hundred_times_in_the_middle_of_writes_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = BTreeSet::new();
    let mut interrupted = 0;
    for round in 0..100_usize {
        let mut child = start("write", folder.path(), None);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // Killed after another number of writes each time: 1 to 400, spread by a step that shares no factor.
        let last = 1 + round * 167 % 400;
        let mut seen = 0;
        let mut take = |line: String| {
            if let Some((_, id)) = line.split_once("acknowledged ") {
                acknowledged.insert((round, id.trim().to_owned()));
            }
            line.contains("done")
        };
        while seen < last {
            let line = lines.next().expect("the child writes on").expect("text");
            seen += usize::from(line.contains("acknowledged"));
            take(line);
        }
        child.kill().expect("SIGKILL");
        // What stood in the pipe was acknowledged too; the last line may be cut off.
        let done = lines.map_while(Result::ok).filter(|line| line.contains('\u{0}') || take(line.clone())).count();
        interrupted += usize::from(done == 0);
        child.wait().expect("ended");
    }
    assert!(interrupted >= 95, "only {interrupted} children were killed in the middle");
    for file in ["policy.db", "events.db"] {
        assert_eq!(integrity(&folder.path().join(file)), "ok", "{file}");
    }
    let (database, warnings) = open(folder.path(), Limits::default());
    assert_eq!(warnings, Vec::<String>::new());
    let audits = database.audit_of(None, 1_000_000).await.expect("readable").into_iter().map(|(id, _)| id.0);
    let bans = database.bans(Timestamp::now()).await.expect("readable").into_iter().map(|ban| ban.id.0);
    let lists = database.lists().await.expect("readable");
    let stored: BTreeSet<String> = audits
        .map(|id| format!("audit {id}"))
        .chain(bans.map(|id| format!("ban {id}")))
        .chain(lists.iter().map(|(_, entry)| format!("list {}", number(&entry.item))))
        .collect();
    let rules = database.policies().await.expect("readable");
    // Each later write of a room's rules stands in place of the earlier ones, so only the last round's count.
    let remembered = |task: i64, n: i64| {
        let room = RoomKey::new("meet", &format!("room-{task}"));
        let (_, state) = rules.iter().find(|(known, _)| *known == room)?;
        let last = state.rules.get("welcome")?.as_i64()?;
        (last >= n && state.strikes[0].until == [counted(last)]).then_some(())
    };
    let kept = |(round, one): &&(usize, String)| match one.strip_prefix("rules ").map(str::parse::<i64>) {
        Some(Ok(number)) => *round < 99 || remembered(number / 1_000, number % 1_000).is_some(),
        _ => stored.contains(one),
    };
    let lost: Vec<_> = acknowledged.iter().filter(|one| !kept(one)).collect();
    assert!(acknowledged.len() > 10_000 && lost.is_empty(), "{} acknowledged, lost: {lost:?}", acknowledged.len());
}

/// The number of a list's entry.
fn number(item: &str) -> i64 {
    let (task, n) = item.split_once('-').expect("our own");
    task.parse::<i64>().expect("a number") * 1_000 + n.parse::<i64>().expect("a number")
}

/// A time that tells the number of a write.
fn counted(n: i64) -> Timestamp {
    Timestamp::from_second(4_000_000_000 + n).expect("near")
}

/// Under a limit of file size writes fail as on a full disk; then the limit goes, and writing goes on.
async fn fills_the_disk(database: &Database) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = |bytes| setrlimit(Resource::Fsize, Rlimit { current: bytes, ..getrlimit(Resource::Fsize) });
    limit(Some(600_000)).expect("a limit");
    let mut maker = Maker::new("2026-03-01T10:00:00Z");
    let mut rounds = 0;
    while database.losses().count == 0 {
        rounds += 1;
        assert!(rounds < 200, "600 kB never get full");
        for _ in 0..100 {
            database.record(&maker.joined("tavern", person("ada")));
        }
        database.flush().await.expect("open");
    }
    add_bans(database, vec![ban("account:eve@x", None)]).await.expect("a ban is stored while events are lost");
    // A ban that can not be stored is said to whoever asked, and no more than that happens.
    limit(Some(1)).expect("a limit");
    let error = add_bans(database, vec![ban("account:eve@x", None)]).await.expect_err("no place");
    assert!(error.to_string().ends_with("policy.db: not stored"), "{error}");
    limit(None).expect("no limit");
    add_bans(database, vec![ban("account:eve@x", None)]).await.expect("stored again");
    let lost = database.losses().count;
    database.record(&maker.joined("tavern", person("bob")));
    database.flush().await.expect("open");
    assert_eq!(database.losses().count, lost, "recorded again");
    assert_eq!(database.bans(Timestamp::now()).await.expect("readable").len(), 2);
    println!("survived");
}

#[test]
fn when_the_disk_refuses_writes_the_daemon_goes_on_and_records_again_when_there_is_place() {
    let folder = tempfile::tempdir().expect("a folder");
    // 25 is SIGXFSZ; what is ignored stays ignored over exec.
    let child = start("fill", folder.path(), Some("trap '' 25; exec \"$0\" \"$@\""));
    let output = child.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("survived"), "{text}");
    for file in ["policy.db", "events.db"] {
        assert_eq!(integrity(&folder.path().join(file)), "ok", "{file}");
    }
}

#[tokio::test]
async fn what_rules_remember_and_whom_we_made_outcasts_is_kept() {
    let (folder, database) = fresh();
    let room = RoomKey::new("meet", "tavern");
    let state = State { life: Some("one".into()), ..State::default() };
    database.keep_policy(&room, State::default()).await.expect("stored");
    database.keep_policy(&room, state.clone()).await.expect("stored");
    database.keep_outcast(&room, "eve@x").await.expect("stored");
    database.keep_outcast(&room, "bob@x").await.expect("stored");
    database.forget_outcast(&room, "bob@x").await.expect("stored");
    database.close().await;
    drop(database);
    let (store, ..) = Store::open(folder.path()).expect("the folder");
    let (database, _) = Database::open(&store, Limits::default()).expect("the databases");
    assert_eq!(database.policies().await.expect("read"), [(room.clone(), state)]);
    assert_eq!(database.outcasts().await.expect("read"), [(room, Box::from("eve@x"))]);
}
