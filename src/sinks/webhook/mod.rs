//! Webhooks: what happens, told to other programs by HTTP.
//!
//! Sources: Standard Webhooks 1.0.0, <https://www.standardwebhooks.com>; RFC 9110.

pub mod address;
pub mod answer;
pub mod client;
pub mod sign;
