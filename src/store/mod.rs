//! What lasts over a restart, in one folder that one daemon owns.
//!
//! | file | holds | written |
//! |---|---|---|
//! | `lock` | whose folder it is | at the start |
//! | `state.json` | what people said about rooms, what services need again | whole, by [`Store::save`] |
//! | `policy.db` | bans, exempt people, audit, what rules remember | acknowledged after the commit is on the disk |
//! | `events.db` | what happened, and by that who is inside | in batches, never waited for; what is lost is counted and said; the oldest goes, by [`Retention`] |
//!
//! Two databases, since their promises differ. `synchronous` belongs to a connection, but a file has one writer at a
//! time: in one file a ban would wait behind a thousand events, a full or broken event table would take the bans with
//! it, and an admin could not drop the record without dropping the bans. Schemas only go forward; a file of a newer
//! program is refused, a broken one is kept aside and said loudly.
//!
//! Sources: <https://sqlite.org/wal.html>, <https://sqlite.org/pragma.html>.

mod attended;
mod calendar;
mod database;
mod events;
mod policy;
mod retention;
mod schema;
mod search;
mod state;
mod webhooks;
mod writer;

pub use database::{Database, DatabaseError, Limits};
pub use events::{Imported, Losses};
pub use policy::{Audit, AuditId, BanId, Exempted, ListEntry, StoredBan};
pub use retention::Retention;
pub use search::{Filter, Order, Record};
pub use state::{ServiceState, State, Store, StoreError};
pub use webhooks::DeadLetter;
