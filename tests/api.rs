//! schemathesis, a foreign program, makes up requests from the description of the HTTP interface, good and bad ones, and
//! compares what comes back with it. The daemon holds rooms on a real Prosody meanwhile. `make test-api` runs this.
#![allow(clippy::disallowed_methods)]

mod support;

use std::process::Command;

use support::daemon::{Daemon, Setup};
use support::live::{BARE, guest, seconds, world};
use support::process::until;
use support::prosody::Options;

const TOKEN: &str = "everything-0123456789abcdef";

#[test]
#[ignore = "needs schemathesis: make test-api"]
fn the_interface_is_as_its_description_says_and_never_breaks() {
    let program = std::env::var("SCHEMATHESIS").expect("make test-api says where schemathesis is");
    let examples = std::env::var("EXAMPLES").unwrap_or_else(|_| "20".to_owned());
    let (prosody, focus) = world(Options { lobby: true, components: true, ..Options::default() });
    let http = "[http]\nlisten = \"127.0.0.1:0\"\nrequests_per_second = 10000\n[[http.token]]\nname = \"all\"\n\
                file = \"all.token\"\nscopes = [\"read\", \"rooms\", \"moderate\", \"admin\"]\n";
    let mut setup = Setup::websocket(&prosody).rooms(["tavern", "chapel"]).with_secret("all.token", TOKEN);
    setup.more.push_str(http);
    let jids = setup.jids();
    let mut daemon = Daemon::start(setup);
    focus.wait_held(&jids, BARE, seconds(15));
    let _bob = guest(&prosody, &jids[0], "b0b00000");
    let listen = until("an HTTP interface", seconds(10), || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("HTTP interface open"))?;
        Some(line.split("listen=").nth(1)?.split_whitespace().next()?.trim_matches('"').to_owned())
    });
    // It finds its files where it runs, and leaves its own there.
    let folder = tempfile::tempdir().unwrap();
    for name in ["schemathesis.toml", "hooks.py"] {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/");
        std::fs::copy(format!("{ours}{name}"), folder.path().join(name)).unwrap();
    }
    let ran = Command::new(program)
        .arg("run")
        .args(["-H", &format!("Authorization: Bearer {TOKEN}"), "--max-examples", &examples, "--seed", "1"])
        .args(["--workers", "2", "--continue-on-failure", &format!("http://{listen}/v1/openapi.json")])
        .current_dir(folder.path())
        .status()
        .expect("schemathesis starts");
    assert!(ran.success(), "{ran}; log:\n{}", daemon.log_tail());
    assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0), "it goes on, and ends politely");
    let log = daemon.log();
    assert!(!log.contains("panicked") && !log.contains(TOKEN), "{log}");
}
