//! What the record of events costs: `cargo bench --bench record -- [ROWS]`, 10,000,000 when nothing is said.
//!
//! A file with so many rows is made in the system's temporary folder (some gigabytes; removed at the end). Then a room's
//! last day is asked for, and 1,000 events a second are recorded for a minute. Ends with exit code 1 when a bar is missed.
#![allow(clippy::disallowed_methods)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use innkeeper::event::{Event, EventId, Person, What};
use innkeeper::store::{Database, Filter, Limits, Order, Retention, Store};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

/// In so many rooms they happen, over thirty days.
const ROOMS: u64 = 200;
/// Bar of the question for one room's last day.
const LAST_DAY: Duration = Duration::from_millis(50);
/// Bar of what whoever records an event waits, at worst.
const RECORD: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let rows = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    // Without threads nothing can be measured.
    runtime.expect("a runtime").block_on(bench(rows))
}

async fn bench(rows: u64) -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, ..) = Store::open(folder.path()).expect("the state folder");
    let (database, _) = Database::open(&store, Limits::default()).expect("the databases");
    let (begun, now) = (Instant::now(), Timestamp::now());
    fill(&folder.path().join("events.db"), rows, now);
    let bytes = std::fs::metadata(folder.path().join("events.db")).map_or(0, |file| file.len());
    println!("{rows} events, {} MiB, made in {:.0?}", bytes >> 20, begun.elapsed());

    let mut last_day = Vec::new();
    for room in (0..ROOMS).step_by(10) {
        let filter = Filter {
            service: Some("meet".into()),
            room: Some(format!("room-{room}").into()),
            since: now.checked_sub(SignedDuration::from_hours(24)).ok(),
            order: Order::NewestFirst,
            ..Filter::default()
        };
        let begun = Instant::now();
        let found = database.events(filter).await.expect("readable");
        last_day.push((begun.elapsed(), found.len()));
    }
    let (worst, found) = last_day.iter().copied().max().unwrap_or_default();
    println!("a room's last day, {found} events: the slowest of {} rooms took {worst:.1?}", last_day.len());

    // What is too much goes meanwhile: the worst that the writer has to do.
    database.keep(Retention { age: None, bytes: Some(bytes / 2) });
    let mut id = EventId::from(u64::MAX >> 11);
    let (mut slices, mut slowest) = (tokio::time::interval(Duration::from_millis(10)), Duration::ZERO);
    for slice in 0..6_000_u64 {
        slices.tick().await;
        for n in 0..10 {
            let person = Person { nick: format!("nick-{n}").into(), ..Person::default() };
            id = EventId::from(id.number() + 1);
            let what = What::OccupantJoined { person, already_inside: false };
            let room = format!("room-{}", slice % ROOMS);
            let event = Event::new(id, Timestamp::now(), "meet", Some(&room), Some("life-1"), what);
            let begun = Instant::now();
            database.record(&event);
            slowest = slowest.max(begun.elapsed());
        }
    }
    let begun = Instant::now();
    database.flush().await.expect("open");
    let lost = database.losses().count;
    println!(
        "60,000 events in a minute while old ones are removed: the slowest call took {slowest:.1?}, {lost} were lost, \
         the last was written {:.0?} later",
        begun.elapsed()
    );
    database.close().await;
    let missed = worst > LAST_DAY || slowest > RECORD || lost > 0;
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Rows as the writer makes them, by plain SQL, with the indexes made at the end as that is quicker.
fn fill(path: &std::path::Path, rows: u64, now: Timestamp) {
    let file = Connection::open(path).expect("the file");
    let begin = now.as_millisecond() - 30 * 86_400_000;
    let indexes: Vec<(String, String)> = file
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .expect("the indexes");
    let (drops, makes): (Vec<_>, Vec<_>) =
        indexes.iter().map(|(name, sql)| (format!("DROP INDEX {name};"), format!("{sql};"))).unzip();
    file.execute_batch(&format!(
        "PRAGMA synchronous=OFF; PRAGMA cache_size=-262144; {drops}
         WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
         INSERT INTO people (nick, display_name, account, occupant_id) SELECT 'nick-' || i, 'Name ' || i, '', '' FROM n;
         WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {rows} - 1),
              at(i, time) AS (SELECT i, {begin} + i * 2592000000 / {rows} FROM n)
         INSERT INTO events (id, time, service, room, life, kind, person, what)
         SELECT time * 2048 + i % 2048, time, 'meet', 'room-' || (i % {ROOMS}), 'life-1', 'occupant.joined',
             1 + i % 1000, '{{\"kind\":\"occupant.joined\",\"person\":{{\"nick\":\"nick-' || (i % 1000) || '\"}}}}' FROM at;
         {makes} PRAGMA wal_checkpoint(TRUNCATE);",
        drops = drops.concat(),
        makes = makes.concat(),
    ))
    .expect("filled");
}
