//! Which rules hold in which room: the `[[policy]]` tables. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::exempt::AllowList;
use super::identity::Trust;
use super::strikes::Steps;
use super::{Attached, Plans};
use crate::pattern::Pattern;

/// One `[[policy]]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Of which service its rooms are; `None`: of any.
    pub service: Option<Box<str>>,
    /// Names or patterns of rooms.
    pub rooms: Vec<Pattern>,
    /// The rules, by name.
    pub rules: BTreeMap<&'static str, Attached>,
    /// Who is never judged in these rooms.
    pub exempt: AllowList,
    /// What may be believed of occupants there.
    pub trust: Trust,
    /// What strikes bring there, where the table says so.
    pub steps: Option<Steps>,
    /// Where it was written: `innkeeper.toml:12`.
    pub origin: Box<str>,
}

impl Table {
    /// Whether it holds in a room.
    #[must_use]
    pub fn covers(&self, service: &str, room: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service) && self.rooms.iter().any(|rooms| rooms.matches(room))
    }
}

/// All tables, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    /// The tables.
    pub tables: Vec<Table>,
    /// Domains of services whose rooms are held as a guest: their accounts are guests everywhere.
    pub guest_domains: Vec<Box<str>>,
}

impl Policies {
    /// What holds in a room: the rules of all tables that cover it, of two with the same name the later one. Exempt
    /// people and what may be believed add up. `None` where no table covers it.
    #[must_use]
    pub fn plans(&self, service: &str, room: &str) -> Option<Plans> {
        self.combined(&self.covering(service, room))
    }

    /// The same for many rooms; those for which the same holds share it.
    pub fn share<'a, K>(&self, rooms: impl IntoIterator<Item = (K, &'a str, &'a str)>) -> Vec<(K, Arc<Plans>)> {
        let mut known: HashMap<Vec<usize>, Option<Arc<Plans>>> = HashMap::new();
        let mut shared = Vec::new();
        for (key, service, room) in rooms {
            let covering = self.covering(service, room);
            let plans = known.entry(covering);
            let plans = plans.or_insert_with_key(|covering| self.combined(covering).map(Arc::new));
            shared.extend(plans.clone().map(|plans| (key, plans)));
        }
        shared
    }

    fn covering(&self, service: &str, room: &str) -> Vec<usize> {
        let covers = |(at, table): (usize, &Table)| table.covers(service, room).then_some(at);
        self.tables.iter().enumerate().filter_map(covers).collect()
    }

    fn combined(&self, covering: &[usize]) -> Option<Plans> {
        if covering.is_empty() {
            return None;
        }
        let mut plans = Plans::default();
        plans.trust.guest_domains.clone_from(&self.guest_domains);
        for table in covering.iter().map(|at| &self.tables[*at]) {
            plans.rules.extend(table.rules.iter().map(|(name, rule)| (*name, rule.clone())));
            plans.exempt.extend(&table.exempt);
            plans.trust.extend(&table.trust);
            if let Some(steps) = &table.steps {
                plans.steps.clone_from(steps);
            }
        }
        Some(plans)
    }
}
