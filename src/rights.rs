//! What somebody who asks may ask: scopes, and a pattern of rooms. Pure words.
//!
//! Scopes are independent: none implies another. Who judges by them is [`crate::control::auth`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// One kind of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Facts: rooms, occupants, events, status.
    Read,
    /// Which rooms are held: hold, release, suspend.
    Rooms,
    /// What is done in rooms, and bans.
    Moderate,
    /// The daemon itself: reload.
    Admin,
}

impl Scope {
    /// All of them, in the order of their names' first mention everywhere.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Rooms, Scope::Moderate, Scope::Admin];

    /// As it is written: `read`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Rooms => "rooms",
            Scope::Moderate => "moderate",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which rooms somebody may ask about.
///
/// A pattern with a slash is compared with `service/name`, one without with the room's name on every service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPattern {
    service: Pattern,
    name: Pattern,
    /// Of those only the ones that fit one of these; empty: all of them.
    only: Box<[RoomPattern]>,
}

impl RoomPattern {
    /// A pattern of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (service, name) = text.split_once('/').unwrap_or(("*", text));
        RoomPattern { service: Pattern::new(service), name: Pattern::new(name), only: Box::default() }
    }

    /// Of these rooms the ones that fit one of `only`, which are an authority's.
    #[must_use]
    pub fn confined(self, only: impl IntoIterator<Item = RoomPattern>) -> Self {
        RoomPattern { only: only.into_iter().collect(), ..self }
    }

    /// Every room there is or will be.
    #[must_use]
    pub fn all() -> Self {
        RoomPattern::new("*")
    }

    /// Whether no room is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.only.is_empty() && self.is_wide()
    }

    /// Whether it names every room, whatever it is confined to.
    fn is_wide(&self) -> bool {
        self.service.as_str() == "*" && self.name.as_str() == "*"
    }

    /// Whether the room fits.
    #[must_use]
    pub fn matches(&self, service: &str, name: &str) -> bool {
        self.service.matches(service)
            && self.name.matches(name)
            && (self.only.is_empty() || self.only.iter().any(|one| one.matches(service, name)))
    }

    /// For somebody who asked about another room: which are theirs, and why no more than these.
    #[must_use]
    pub fn explained(&self) -> String {
        let why = if self.only.is_empty() { "" } else { ", since it speaks for an authority over these" };
        format!("{self}{why}")
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.only.is_empty() {
            let only: Vec<String> = self.only.iter().map(ToString::to_string).collect();
            f.write_str(&only.join(", "))?;
            let same = |one: &RoomPattern| self.service.as_str() == "*" && one.name == self.name;
            if self.is_wide() || self.only.iter().all(same) {
                return Ok(());
            }
            f.write_str(" as far as they fit ")?;
        }
        match self.service.as_str() {
            "*" => f.write_str(self.name.as_str()),
            service => write!(f, "{service}/{}", self.name.as_str()),
        }
    }
}

/// What somebody may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The kinds of asking, sorted, each once.
    pub scopes: Vec<Scope>,
    /// About which rooms.
    pub rooms: RoomPattern,
}

impl Rights {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Rights { scopes: Scope::ALL.to_vec(), rooms: RoomPattern::all() }
    }

    /// All facts and no change.
    #[must_use]
    pub fn facts() -> Self {
        Rights { scopes: vec![Scope::Read], rooms: RoomPattern::all() }
    }

    /// Nothing that is not open to everybody.
    #[must_use]
    pub fn none() -> Self {
        Rights { scopes: Vec::new(), rooms: RoomPattern::all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_without_a_slash_is_about_the_name_and_one_with_it_about_both() {
        for (pattern, service, name, fits) in [
            ("*", "meet", "tavern", true),
            ("tav*", "meet", "tavern", true),
            ("TAV*", "meet", "Tavern", true),
            ("tav?rn", "x", "tavern", true),
            ("tav?n", "x", "tavern", false),
            ("*er*", "x", "tavern", true),
            ("*a*a*", "x", "tavern", false),
            ("meet/*", "meet", "tavern", true),
            ("meet/*", "other", "tavern", false),
            ("m*/t*n", "meet", "tavern", true),
            ("tavern", "meet", "tavern2", false),
            ("", "meet", "tavern", false),
        ] {
            assert_eq!(RoomPattern::new(pattern).matches(service, name), fits, "{pattern} {service}/{name}");
        }
        assert!(RoomPattern::all().is_all() && !RoomPattern::new("meet/*").is_all());
    }

    #[test]
    fn a_confined_pattern_fits_what_both_sides_fit() {
        let authorities = || [RoomPattern::new("meet/game-*"), RoomPattern::new("film/set-*")];
        for (pattern, service, name, fits) in [
            ("*", "meet", "game-hall", true),
            ("*", "film", "set-1", true),
            ("*", "film", "game-hall", false),
            ("*", "meet", "tavern", false),
            ("game-h*", "meet", "game-hall", true),
            ("game-h*", "meet", "game-crypt", false),
            ("game-h*", "film", "set-1", false),
        ] {
            let confined = RoomPattern::new(pattern).confined(authorities());
            assert_eq!(confined.matches(service, name), fits, "{pattern} {service}/{name}");
            assert!(!confined.is_all(), "{pattern}");
        }
        let shown = |pattern: &str| RoomPattern::new(pattern).confined([RoomPattern::new("meet/game-*")]).to_string();
        assert_eq!(shown("*"), "meet/game-*");
        assert_eq!(shown("game-*"), "meet/game-*");
        assert_eq!(shown("*-hall"), "meet/game-* as far as they fit *-hall");
        assert_eq!(RoomPattern::all().confined([]), RoomPattern::all());
    }
}
