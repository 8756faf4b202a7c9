//! The world around innkeeper, for tests, benches and the demo: a real server, a focus, foreign clients.
//!
//! ```text
//!  World = Prosody (a child process) + Focus (a thread with a component and a client connection)
//!  Client   a human or a hostile occupant: raw bytes over TCP
//!  Observer an independent client built on tokio-xmpp: who is moderator there?
//!  Receiver a program that listens to webhooks, and answers what a test wants
//!  Daemon   the real innkeeper binary with a configuration, a state folder and a socket of its own
//! ```
//!
//! Nothing here shares a parser or a state machine with the program under test. Everything is blocking and listens
//! on loopback only; what is started is stopped by process id when it goes out of scope. A wait is a bounded loop
//! over a condition, and says what was missing.
//!
//! Use from a test: `mod support;`, from elsewhere: `#[path = "../tests/support/mod.rs"] mod support;`.

// every test binary takes what it needs of this
#![allow(dead_code, unused_imports, clippy::disallowed_methods)]

pub mod client;
pub mod daemon;
pub mod focus;
pub mod live;
pub mod observer;
pub mod process;
pub mod prosody;
mod prosody_config;
pub mod proxy;
pub mod receiver;
pub mod websocket;
pub mod xml;

pub use client::Client;
pub use daemon::{Daemon, Setup};
pub use focus::Focus;
pub use observer::Observer;
pub use process::until;
pub use prosody::Prosody;
pub use proxy::Proxy;
pub use receiver::Receiver;
