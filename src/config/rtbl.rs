//! `[[rtbl]]`: block lists that others keep. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::check::{Checker, View, quoted};
use super::raw::Section;
use super::value;

/// The node of a list when nothing else is said: what Prosody's `mod_muc_rtbl` takes.
const NODE: &str = "muc_bans_sha256";

/// A real-time block list: a publish-subscribe node whose items are named by SHA-256 of a bare JID or a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockList {
    /// The service whose session follows it, and in whose rooms it holds.
    pub service: Arc<str>,
    /// Who publishes it; nobody else is believed.
    pub jid: Box<str>,
    /// The node.
    pub node: Box<str>,
}

/// As it is stored and written on every surface: `meet/rtbl.example/muc_bans_sha256`.
impl fmt::Display for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.jid, self.node)
    }
}

impl Checker<'_> {
    pub(super) fn rtbl(&mut self, sections: &[Section], known: &BTreeSet<&str>) -> Vec<BlockList> {
        let mut lists = Vec::new();
        for section in sections {
            let view = View::new("rtbl", section);
            for key in ["service", "jid"] {
                if view.entry(key).is_none() {
                    self.wrong(view, key, &section.at, "missing", format!("{key} = \"…\" in this [[rtbl]]"));
                }
            }
            let service = self.service_named(view, known);
            let jid = self.parsed(view, "jid", "an address such as \"rtbl.example\"", value::address);
            let node = self.parsed(view, "node", "the name of a node", |text| {
                if text.trim().is_empty() { Err("empty".to_owned()) } else { value::line(text) }
            });
            let (Some(service), Some(jid)) = (service, jid) else { continue };
            let node = node.unwrap_or_else(|| NODE.to_owned());
            let list = BlockList { service: service.into(), jid: jid.into(), node: node.into() };
            if lists.contains(&list) {
                let what = format!("the list {} of {} is there already", quoted(&list.node), list.jid);
                self.wrong(view, "jid", &section.at, what, "each list once for a service");
                continue;
            }
            lists.push(list);
        }
        lists
    }
}
