//! SHELL. Starts tasks, reads the clock, holds the connections.
#![allow(clippy::disallowed_methods)]

pub mod account;
mod acting;
mod answers;
mod banned;
mod banning;
pub mod board;
pub mod bus;
pub mod connect;
mod deciding;
mod errand;
mod explain;
mod explain_token;
pub mod files;
mod following;
pub mod handshake;
mod herald;
mod ledger;
mod minting;
pub mod questions;
mod recorded;
pub mod recorder;
mod recover;
pub mod replay;
mod reserving;
pub mod running;
pub mod session;
pub mod supervisor;
pub mod transport;
mod writes;

use crate::hex::hex;

/// A seed that nobody can guess. Without randomness from the kernel nothing here is safe, so its failure is fatal.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// `bytes` random bytes in hexadecimal.
fn random_hex(bytes: usize) -> String {
    let mut random_bytes = vec![0; bytes];
    random(&mut random_bytes);
    hex(&random_bytes)
}

fn random(bytes: &mut [u8]) {
    // getrandom(2) fails only on kernels older than 3.17 or under a filter that forbids it.
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}
