//! Block lists of others: which session follows them, and what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::supervisor::Supervisor;
use crate::config::BlockList;
use crate::policy::bans::{self, Ban};
use crate::session::Told;
use crate::store::ListEntry;
use crate::xmpp::pubsub::{Change, Item};

/// A list's entries as bans, by their ids.
pub type Entries = BTreeMap<Box<str>, Ban>;

/// What is stored of a list's entry, as a ban; none where its id is no hash.
pub fn ban(list: &BlockList, entry: &ListEntry) -> Option<Ban> {
    bans::from_block_list(&entry.item, &list.service, &format!("block list {list}"), &entry.reason, entry.time)
}

impl Supervisor {
    /// Has one session of a service follow its lists: the one that does, while it is online.
    pub(super) fn follow_lists(&mut self, service: &Arc<str>) {
        let wanted = self.config.rtbl.iter().filter(|list| list.service == *service).cloned().collect();
        if let Some(running) = self.services.get_mut(service) {
            running.follow(wanted);
        }
    }

    /// Forgets lists that the configuration does not name any more, and has the others followed.
    pub(super) fn follow_configured(&mut self) {
        let named: Vec<String> = self.config.rtbl.iter().map(ToString::to_string).collect();
        let gone: Vec<Box<str>> =
            self.kept.lists.keys().filter(|source| !named.iter().any(|name| **name == ***source)).cloned().collect();
        for source in gone {
            info!(list = %source, "the block list is followed no more, and its entries count no more");
            self.kept.lists.remove(&source);
            self.replace_stored(source, Vec::new());
        }
        let services: Vec<Arc<str>> = self.services.keys().cloned().collect();
        services.iter().for_each(|service| self.follow_lists(service));
    }

    /// A block list says something. It counts at once; the disk keeps it for the next start.
    pub(super) fn list_told(&mut self, list: &BlockList, told: Told) {
        if !self.config.rtbl.contains(list) {
            return;
        }
        let (source, now) = (Box::<str>::from(list.to_string()), Timestamp::now());
        let known = self.kept.lists.entry(source.clone()).or_default();
        match told {
            Told::Lost(why) => {
                warn!(%list, why, entries = known.len(), "a block list can not be followed; what is known of it counts");
                return;
            }
            Told::All(all) => {
                let entry = |(item, reason): (Box<str>, Box<str>)| {
                    // Since when we know of it does not change by its being read again.
                    let time = known.get(&item).map_or(now, |known| known.at);
                    ListEntry { item, reason, time }
                };
                let entries: Vec<ListEntry> = all.into_iter().map(entry).collect();
                let fresh = as_bans(list, &entries);
                let unreadable = entries.len() - fresh.len();
                let same = fresh.len() == known.len()
                    && fresh.iter().all(|(item, ban)| known.get(item).is_some_and(|known| known.reason == ban.reason));
                if same {
                    debug!(%list, entries = fresh.len(), "the block list is as it was");
                    return;
                }
                info!(%list, entries = fresh.len(), unreadable, "the block list was read");
                *known = fresh;
                self.replace_stored(source, entries);
            }
            Told::Changed(Change::Published(Item { id, reason })) => {
                let entry = ListEntry { item: id, reason, time: now };
                let Some(ban) = ban(list, &entry) else {
                    warn!(%list, entry = %entry.item, "an entry of the block list is no SHA-256 and keeps nobody out");
                    return;
                };
                info!(%list, entry = %entry.item, reason = %entry.reason, "the block list has an entry more");
                known.insert(entry.item.clone(), ban);
                let database = self.database.clone();
                self.writes.write("an entry of a block list", async move { database.list(&source, entry).await });
            }
            Told::Changed(Change::Retracted(id)) => {
                if known.remove(&id).is_none() {
                    return;
                }
                info!(%list, entry = %id, "the block list has an entry less");
                let database = self.database.clone();
                let forget = async move { database.unlist(&source, &id).await.map(drop) };
                self.writes.write("the end of an entry of a block list", forget);
            }
            Told::Changed(Change::Emptied) => {
                warn!(%list, entries = known.len(), "the block list was emptied by its owner");
                known.clear();
                self.replace_stored(source, Vec::new());
            }
        }
        self.bans_changed = true;
    }

    fn replace_stored(&self, source: Box<str>, entries: Vec<ListEntry>) {
        let database = self.database.clone();
        self.writes.write("a block list", async move { database.replace_list(&source, entries).await });
    }
}

fn as_bans(list: &BlockList, entries: &[ListEntry]) -> Entries {
    entries.iter().filter_map(|entry| Some((entry.item.clone(), ban(list, entry)?))).collect()
}
