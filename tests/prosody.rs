//! The daemon against a real Prosody and a focus that keeps Jicofo's rules.
//!
//! What is asserted is what the focus or an independent client saw, never innkeeper's own word alone.
#![allow(clippy::disallowed_methods)]

mod support;

use std::time::{Duration, Instant};

use support::daemon::{Daemon, Setup};
use support::focus::{Focus, Options as FocusOptions};
use support::prosody::{Options, Prosody};

const BARE: &str = "skotosadmin@meet.jitsi";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn three_rooms_are_held_over_websocket() {
    let prosody = Prosody::start(Options::default());
    let focus = Focus::start(FocusOptions::of(&prosody));
    let setup = Setup::websocket(&prosody).rooms(["tavern", "market", "harbour"]);
    let jids = setup.jids();
    let started = Instant::now();
    let daemon = Daemon::start(setup);
    let held = focus.wait_held(&jids, BARE, seconds(10));
    println!("held after {:?}", held - started);
    daemon.wait_all_held(seconds(5));
    println!("{}", daemon.cli(["rooms"]).stdout);
    println!("{}", daemon.cli(["status"]).stdout);
    println!("{}", daemon.cli(["room", "tavern"]).stdout);
    println!("{}", daemon.cli(["why", "room", "tavern"]).stdout);
    println!("{}", daemon.log());
}
