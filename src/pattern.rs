//! Patterns as people write them for rooms and accounts: `*` is anything, `?` one character. Pure.

use serde::{Deserialize, Serialize};

/// A pattern; compared without case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Pattern(text.to_lowercase().into())
    }

    /// As it was written, in small letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one text only.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Whether a text fits, in time proportional to both lengths multiplied.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        if self.is_literal() {
            return *self.0 == *text;
        }
        let mut pattern = self.0.chars();
        let mut text = text.chars();
        // Where the last `*` was, and how much of the text it stands for: only the last one needs to be tried again.
        let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            match (pattern.next(), text.clone().next()) {
                (Some('*'), _) => star = Some((pattern.clone(), text.clone())),
                (Some('?'), Some(_)) => {
                    text.next();
                }
                (Some(wanted), Some(found)) if wanted == found => {
                    text.next();
                }
                (None, None) => return true,
                _ => {
                    let Some((behind, from)) = &mut star else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    pattern = behind.clone();
                    text = from.clone();
                }
            }
        }
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Pattern::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        let fits = |pattern: &str, text: &str| Pattern::new(pattern).matches(text);
        assert!(fits("class-*", "class-7b") && fits("*", "") && fits("*@staff.example", "Ann@Staff.example"));
        assert!(fits("a*b*c", "a-b-b-c") && fits("room?", "room1") && fits("Tavern", "tavern"));
        assert!(!fits("class-*", "xclass-7") && !fits("room?", "room") && !fits("a*b", "abc") && !fits("", "a"));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!Pattern::new(&"a*".repeat(50)).matches(&format!("{}b", "a".repeat(5_000)).replace('b', "")[..40]));
        assert!(!Pattern::new(&format!("{}b", "*a".repeat(50))).matches(&"a".repeat(5_000)));
    }
}
