//! All rules, by name, and how one is made out of its options. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::identity::{OccupantKey, Rung};
use super::options::{self, Measure, Span};
use super::{
    AllowList, Closing, Context, Departure, Now, Opinions, OptionHelp, Person, Plan, Rule, RuleKind, Sanction, Seen,
    Wish, text,
};

pub mod booking;
mod capacity;
mod caps_lock;
mod countdown;
mod duplicate_name;
mod flood;
mod frozen_name;
mod hours;
mod idle_close;
mod impersonation;
mod join_wave;
mod links;
mod max_duration;
mod moderators;
mod name_pattern;
mod no_guests;
mod owner_gone;
mod recent;
mod rejoin;
mod repeat;
mod welcome;
mod words;

/// Every rule that there is, by name.
pub const KINDS: &[&RuleKind] = &[
    &capacity::KIND,
    &caps_lock::KIND,
    &duplicate_name::KIND,
    &flood::KIND,
    &frozen_name::KIND,
    &hours::KIND,
    &idle_close::KIND,
    &impersonation::KIND,
    &join_wave::KIND,
    &links::KIND,
    &max_duration::KIND,
    &moderators::KIND,
    &name_pattern::KIND,
    &no_guests::KIND,
    &owner_gone::KIND,
    &rejoin::KIND,
    &repeat::KIND,
    &welcome::KIND,
    &words::KIND,
];

/// The rule that shuts the door of a room.
pub const DOOR: &str = join_wave::KIND.name;

/// The rule of that name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static RuleKind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}

/// What a rule is made of.
pub struct Given<'a> {
    /// Its table, without the keys that are common to all rules.
    pub table: Spanned<DeValue<'a>>,
    /// Reads a text file that an option names.
    pub read: &'a mut dyn FnMut(&str) -> Result<String, String>,
}

/// What is wrong with a rule's options.
#[derive(Debug)]
pub enum Wrong {
    /// An option can not be read; `toml` says why.
    Unreadable(toml::de::Error),
    /// An option can be read and makes no sense, or one is missing.
    Senseless {
        /// Its key.
        key: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl Wrong {
    /// An option makes no sense, or is missing.
    pub(crate) fn senseless(key: &'static str, what: impl Into<String>) -> Self {
        Wrong::Senseless { key, what: what.into() }
    }
}

impl<'a> Given<'a> {
    /// Reads the options.
    fn options<O: Deserialize<'a>>(&self) -> Result<O, Wrong> {
        O::deserialize(ValueDeserializer::from(self.table.clone())).map_err(Wrong::Unreadable)
    }
}

/// Makes a plan of options.
fn plan(plan: impl Plan + 'static) -> Arc<dyn Plan> {
    Arc::new(plan)
}

/// Who is shown under a name that we have not judged yet.
fn newly_named<'a>(seen: &Seen<'a>) -> Option<&'a Person> {
    match *seen {
        Seen::Joined(who) | Seen::Renamed { who, .. } => Some(who),
        Seen::Updated { who, before } if who.shown_name() != before.shown_name() => Some(who),
        _ => None,
    }
}
