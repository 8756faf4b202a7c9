//! The test focus as a program: `focus C2S_ADDRESS COMPONENT_ADDRESS`, both on loopback. Prints what it sees and runs
//! until its standard input ends.

#![allow(clippy::disallowed_methods)]

#[path = "mod.rs"]
mod support;

use std::io::Read;

use support::focus::{Focus, Options};

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse());
    let (Some(Ok(c2s)), Some(Ok(component))) = (args.next(), args.next()) else {
        eprintln!("usage: focus C2S_ADDRESS COMPONENT_ADDRESS");
        std::process::exit(64);
    };
    let _focus = Focus::start(Options { verbose: true, ..Options::at(c2s, component) });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
