//! SHELL. Starts tasks, reads the clock, holds the connections.
#![allow(clippy::disallowed_methods)]

pub mod board;
pub mod handshake;
pub mod session;
pub mod supervisor;
pub mod transport;
