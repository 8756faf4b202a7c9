//! What the wire can say: lenient views over elements, exact writers. Pure, without state.

pub mod caps;
pub mod disco;
pub mod jid;
pub mod jitsi;
pub mod message;
pub mod moderate;
pub mod muc;
pub mod ns;
pub mod ping;
pub mod pubsub;
pub mod room_form;
pub mod room_info;
pub mod stanza;

mod build;

pub use build::{Build, element};
