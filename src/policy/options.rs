//! Values that rules take, as an admin writes them: durations, actions, steps, patterns. Pure.

use std::fmt;
use std::time::Duration;

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Deserializer};

use super::Sanction;

/// `"10s"`, `"8h"`: more than nothing, at most a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Longest time that a rule takes.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    fn read(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text.trim()).map_err(|_| format!("{text:?} is no duration"))?;
        if duration.is_zero() || duration > YEAR {
            return Err(format!("{text:?} is out of bounds"));
        }
        Ok(Span(duration))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Span::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What is to be done about an offender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A strike: the steps of `[policy.strikes]` decide.
    Strike,
    /// This, at once.
    At(Sanction),
}

impl Measure {
    fn read(text: &str) -> Result<Self, String> {
        if text == "strike" { Ok(Measure::Strike) } else { Sanction::read(text).map(Measure::At) }
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Measure::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Sanction {
    /// `warn`, `mute`, `demote`, `kick`, `ban`, `ban 10m`, or `note`, which only writes it down.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<Self, String> {
        Ok(match text.trim() {
            "note" => Sanction::Note,
            "warn" => Sanction::Warn,
            "mute" => Sanction::Mute,
            "demote" => Sanction::Demote,
            "kick" => Sanction::Kick,
            "ban" => Sanction::Ban { lasts: None },
            other => match other.strip_prefix("ban ") {
                Some(lasts) => Sanction::Ban { lasts: Some(Span::read(lasts)?.0) },
                None => return Err(format!("{other:?} is nothing that can be done to somebody")),
            },
        })
    }
}

impl<'de> Deserialize<'de> for Sanction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Sanction::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Most regular expressions of one rule.
const PATTERNS: usize = 200;
/// Most memory that they take together when compiled, bytes.
const PATTERN_BYTES: usize = 1024 * 1024;

/// Compiles expressions that run in time proportional to the text.
///
/// # Errors
/// What is wrong, in a few words.
pub fn expressions(patterns: &[String]) -> Result<RegexSet, String> {
    if patterns.len() > PATTERNS {
        return Err(format!("{} patterns", patterns.len()));
    }
    RegexSetBuilder::new(patterns).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "together larger than 1 MiB when compiled".to_owned(),
            error => {
                // It is told over several lines, the last of which says what is wrong.
                let told = error.to_string();
                let why = told.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("not understood");
                let wrong = patterns.iter().find(|pattern| regex::Regex::new(pattern).is_err());
                format!("'{}' is no regular expression: {why}", wrong.map_or("", String::as_str))
            }
        }
    })
}

/// What fits the expressions, for the `expected` of an error.
pub const EXPRESSIONS: &str = "at most 200 regular expressions (no look-around, no back references)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(Sanction::read("ban 1h"), Ok(Sanction::Ban { lasts: hour }));
        for text in ["note", "warn", "mute", "demote", "kick", "ban", "ban 10m"] {
            assert_eq!(Sanction::read(text).map(|sanction| sanction.to_string()), Ok(text.to_owned()));
        }
        assert!(
            Sanction::read("hang").is_err() && Sanction::read("ban soon").is_err() && Sanction::read("ban 0s").is_err()
        );
    }

    #[test]
    fn expressions_are_bounded() {
        assert!(expressions(&["a".to_owned()]).is_ok());
        assert!(expressions(&vec!["a".to_owned(); 201]).is_err());
        assert!(expressions(&["(a".to_owned()]).is_err());
        assert!(expressions(&[r"\w{500}\w{500}\w{500}".to_owned()]).is_err_and(|what| what.contains("1 MiB")));
    }
}
