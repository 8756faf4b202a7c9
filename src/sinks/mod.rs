//! SHELL. Where events go beside the record and those who listen live: other programs' webhooks.
#![allow(clippy::disallowed_methods)]

pub mod webhook;
