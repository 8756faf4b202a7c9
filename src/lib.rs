//! innkeeper holds rooms open on XMPP servers, Jitsi Meet's first.
//!
//! ```text
//!            bytes          elements                    reports
//!  server ⇄ transport ⇄ runtime::session ⇄ [ stream → session → jitsi → room ] → supervisor → status, log, systemd
//!                                                ▲ time comes in as `now`            ▲
//!  config file ─ raw ─ checked ─┐                                                    │
//!  control socket ─ overrides ──┴─ desired ─ reconcile(desired, observed) ───────────┘ commands
//! ```
//!
//! The bracket is the *pure core*: no clock, no sockets, no tasks, no randomness that was not handed in.
//! Around it is the *shell*. The XML stream is already serial per account, so one task owns one session
//! and all its rooms, without locks.
//!
//! | layer | modules |
//! |---|---|
//! | words | [`xml`], [`xmpp`], [`cause`], [`action`], [`command`], [`event`], [`rights`], [`pattern`] |
//! | core  | [`stream`], [`room`], [`jitsi`], [`policy`], [`authority`], [`session`], [`service`], [`desired`], [`config`], [`token`], [`capture`], [`trial`] |
//! | shell | [`runtime`], [`control`], [`sinks`], [`store`], [`telemetry`], [`cli`], [`app`] |
//!
//! `clippy.toml` forbids clocks, tasks and randomness in the core; the shell carries a one-line `allow`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod action;
pub mod app;
pub mod attendance;
pub mod authority;
pub mod backoff;
pub mod booking;
pub mod capture;
pub mod cause;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod desired;
pub mod event;
pub mod hex;
pub mod jitsi;
pub mod pattern;
pub mod policy;
pub mod rights;
pub mod room;
pub mod runtime;
pub mod service;
pub mod session;
pub mod sinks;
pub mod store;
pub mod stream;
pub mod telemetry;
pub mod token;
pub mod trial;
pub mod xml;
pub mod xmpp;
