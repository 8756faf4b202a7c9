//! `make demo`: three Jitsi-style rooms, held on a real Prosody that is killed and comes back.
//!
//! Everything listens on loopback and is stopped by process id at the end. On a terminal the rooms are held until
//! Ctrl-C; otherwise the demo ends after the last step, with exit code 1 when a step did not come about.

#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, Setup, binary};
use support::focus::{self, Focus};
use support::process::wait_for;
use support::prosody::{Options, Prosody};

const ROOMS: [&str; 3] = ["tavern", "market", "chapel"];
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if !binary().exists() {
        eprintln!("{} is missing: run `make demo`, which builds it", binary().display());
        return ExitCode::FAILURE;
    }
    // Ctrl-C ends the demo and not the children under it, which the demo stops itself
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let _ = tokio::signal::ctrl_c().await;
        });
        let _ = ended.send(());
    });
    let interrupted = || !matches!(end.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));

    say("starting Prosody on loopback, laid out as docker-jitsi-meet does it");
    let mut prosody = Prosody::start(Options::default());
    println!("    {} and {}", prosody.ws_url(), prosody.tcp_url());
    say("starting a test focus, which keeps Jicofo's rules");
    let focus = Focus::start(focus::Options::of(&prosody));
    say("starting innkeeper with three rooms");
    let setup = Setup::websocket(&prosody).rooms(ROOMS);
    let (jids, jid) = (setup.jids(), setup.jid());
    let mut daemon = Daemon::start(setup);
    println!("    {}", daemon.config_file().display());

    let mut good = true;
    let mut step = |what: &str, reached: &dyn Fn() -> bool| {
        say(what);
        let start = Instant::now();
        let found = wait_for(PATIENCE, || (interrupted() || reached()).then(interrupted));
        print!("{}", daemon.cli(["rooms"]).stdout);
        match found {
            Some(true) => return false,
            Some(false) => println!("    after {:.1} s", start.elapsed().as_secs_f64()),
            None => {
                println!("    NOT within {PATIENCE:?}; innkeeper's log:\n{}", daemon.log_tail());
                good = false;
            }
        }
        found.is_some()
    };
    let says = |wanted: &dyn Fn(&str) -> bool| {
        let rows = daemon.rooms();
        rows.len() == ROOMS.len() && rows.iter().all(|row| wanted(&row.state))
    };
    let held = || says(&|state| state == "held") && focus.count_held(&jids, &jid) == jids.len();
    // `joined` while the session may yet be resumed, then `waiting`
    let lost = || says(&|state| state != "held");

    let mut going = step("innkeeper rooms, until all are held (and the focus agrees):", &held);
    if going {
        prosody.kill9();
        going = step("Prosody was killed (SIGKILL); innkeeper rooms, until none is held any more:", &lost);
    }
    if going {
        prosody.run();
        going = step("Prosody was started again; innkeeper rooms, until all are back:", &held);
    }
    if going && good && std::io::stdout().is_terminal() {
        say("the rooms stay held until Ctrl-C; in another terminal:");
        println!("    export INNKEEPER_SOCKET={}", daemon.socket().display());
        println!("    {} rooms", binary().display());
        let _ = end.recv();
    }
    say("stopping innkeeper, the focus and Prosody");
    daemon.stop();
    drop(focus);
    prosody.stop();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(what: &str) {
    println!("==> {what}");
}
