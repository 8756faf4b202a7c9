//! What is wrong with a configuration, with its place. Pure.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as the admin knows it, `rooms.d/tavern.toml`, or `environment`.
    pub file: String,
    /// The line, from 1; none for the environment and for a file that can not be read.
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    pub column: Option<usize>,
    /// The key, `service.meet.url`, or the variable; empty when the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub expected: String,
    /// The source line. What may be a secret is left out.
    pub source: Option<String>,
    /// How many characters of the line are meant.
    #[serde(skip)]
    pub width: usize,
}

impl Problem {
    /// A problem without a place in a text.
    #[must_use]
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            what: what.into(),
            expected: String::new(),
            source: None,
            width: 0,
        }
    }

    /// The problem with the source line under it, as a compiler shows it.
    #[must_use]
    pub fn with_source(&self) -> String {
        let mut text = self.to_string();
        if let (Some(line), Some(source)) = (self.line, &self.source) {
            let number = line.to_string();
            let gap = " ".repeat(number.len());
            text.push_str(&format!("\n {gap} |\n {number} | {source}"));
            if let Some(column) = self.column.filter(|column| *column <= source.chars().count()) {
                let most = source.chars().count() + 1 - column;
                let marks = "^".repeat(self.width.clamp(1, most.max(1)));
                text.push_str(&format!("\n {gap} | {}{marks}", " ".repeat(column - 1)));
            }
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

/// The known word that is most like `word`, if one is like it at all.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let most = (lower.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What is expected instead of `word`: the known one that is most like it, else `otherwise`.
pub(super) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("\"{near}\" (did you mean that?)"))
}

/// Choices as a sentence names them: `"a", "b" or "c"`.
pub(super) fn choices<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.pop() {
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} or {last}", quoted.join(", ")),
        None => String::new(),
    }
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_key_and_a_stranger_finds_none() {
        assert_eq!(nearest("pasword_file", ["password_file", "account"]), Some("password_file"));
        assert_eq!(nearest("ulr", ["url", "muc"]), Some("url"));
        assert_eq!(nearest("colour", ["url", "muc"]), None);
    }

    #[test]
    fn the_mark_stands_under_the_value() {
        let problem = Problem {
            file: "rooms.d/tavern.toml".into(),
            line: Some(12),
            column: Some(11),
            key: "service".into(),
            what: "no service is called \"meat\"".into(),
            expected: "\"meet\"".into(),
            source: Some("service = \"meat\"".into()),
            width: 6,
        };
        assert_eq!(
            problem.with_source(),
            "rooms.d/tavern.toml:12: service: no service is called \"meat\"; expected \"meet\"\n    |\n 12 | service = \"meat\"\n    |           ^^^^^^"
        );
    }
}
