//! The ways in, against a real Prosody with the modules of `tests/prosody/modules` and a focus that keeps Jicofo's rules.
//!
//! What is asserted is what the focus, the server's log or an independent client saw, never innkeeper's own word alone.
#![allow(clippy::disallowed_methods)]

mod support;

#[path = "prosody_logins/anonymous.rs"]
mod anonymous;
#[path = "prosody_logins/guest.rs"]
mod guest;
#[path = "prosody_logins/lobby.rs"]
mod lobby;
#[path = "prosody_logins/tenants.rs"]
mod tenants;
#[path = "prosody_logins/token.rs"]
mod token;

use support::client::Client;
use support::daemon::{Daemon, Setup};
use support::focus::{Focus, Options as FocusOptions, Seen};
use support::live::{BARE, NICK, alice, gone, keeper, row, seconds, wait_keeper, wait_state, world};
use support::observer::Observer;
use support::process::{until, wait_for};
use support::prosody::{AV_MODERATION, DOMAIN, GUESTS, HIDDEN, Login, MUC, Options, Prosody};
use support::proxy::Proxy;
use support::xml::{bare, domain};

/// How often `jid` (bare) has logged in, as the server says.
fn logins(prosody: &Prosody, jid: &str) -> usize {
    // Prosody 13 adds the account's role: `[prosody:registered]`
    let who = |line: &str| line.split_once("Authenticated as ")?.1.split(' ').next().map(str::to_owned);
    prosody.log().lines().filter_map(who).filter(|who| who == jid).count()
}
