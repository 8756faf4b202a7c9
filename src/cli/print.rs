//! Tables, times and colours for people.

use std::io::Write;

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use crate::command::RoomState;
use crate::telemetry::text::{colour, printable};

/// Prints; a reader that goes away (`| head`) is no error.
pub(super) fn out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says on standard error what is wrong.
pub(super) fn err(text: &str) {
    eprintln!("{text}");
}

/// Paints for standard output, or does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn of_stdout() -> Self {
        Paint(colour(&std::io::stdout()))
    }

    #[cfg(test)]
    pub(super) fn off() -> Self {
        Paint(false)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }
}

/// The colour of a state's word.
fn code(word: &str) -> &'static str {
    match word {
        "held" | "online" | "present" | "same" => "32",
        "joined" | "joining" | "waiting" | "connecting" | "held-back" => "33",
        "blocked" | "unreachable" | "absent" | "different" => "31",
        "suspended" | "released" | "idle" | "none" => "2",
        _ => "",
    }
}

/// A table, aligned as a terminal shows it: characters of East Asian scripts and emoji are two columns wide (UAX #11
/// "East Asian Width"). Cells are made harmless here; a cell that is a state's word is painted.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], paint: Paint) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row.get(column).map_or(0, |cell| cell.width()));
        cells.max().unwrap_or(0).max(head[column].width())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: Vec<(String, String)>| {
        let mut line = String::new();
        for (column, (plain, painted)) in cells.into_iter().enumerate() {
            line.push_str(&painted);
            if column + 1 < widths.len() {
                line.push_str(&" ".repeat(widths[column].saturating_sub(plain.width()) + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(head.iter().map(|cell| ((*cell).to_owned(), paint.bold(cell))).collect());
    for row in rows {
        line(row.into_iter().map(|cell| (cell.clone(), paint.with(code(&cell), &cell))).collect());
    }
    text
}

/// `label: value` lines, aligned; empty values are left out.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 1;
    let mut text = String::new();
    for (label, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{:width$}  {}\n", format!("{label}:"), printable(value)));
    }
    text
}

/// How long a state lasts: `held 3 min`.
pub(super) fn state_since(state: RoomState, since: &str, now: Timestamp) -> String {
    let ago = span(since, now);
    if ago.is_empty() { state.to_string() } else { format!("{state} {ago}") }
}

/// From a time until now, or from now until it, in one unit: `3 min`.
pub(super) fn span(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return String::new() };
    let seconds = now.duration_since(time).as_secs().unsigned_abs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `3 min ago`, or `in 3 min`.
pub(super) fn when(time: &str, now: Timestamp) -> String {
    let Ok(at) = time.parse::<Timestamp>() else { return String::new() };
    if at > now { format!("in {}", span(time, now)) } else { format!("{} ago", span(time, now)) }
}

/// What happens next, and when.
pub(super) fn next(what: &str, at: Option<&str>, now: Timestamp) -> String {
    match at.map(|at| if at.parse::<Timestamp>().is_ok_and(|at| at <= now) { "now".into() } else { when(at, now) }) {
        Some(time) if what.is_empty() => time,
        Some(time) => format!("{what} {time}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns_and_combining_ones_none() {
        let row = |name: &str| vec![name.to_owned(), "held".to_owned()];
        let text = table(&["ROOM", "STATE"], &[row("田中さん"), row("e\u{301}te\u{301}"), row("chapel")], Paint::off());
        assert_eq!(text, "ROOM      STATE\n田中さん  held\ne\u{301}te\u{301}       held\nchapel    held\n");
    }

    #[test]
    fn columns_are_aligned_and_strangers_can_not_paint() {
        let rows = vec![vec!["tavern".into(), "held".into()], vec!["a\u{1b}[31m".into(), "blocked".into()]];
        let text = table(&["ROOM", "STATE"], &rows, Paint::off());
        assert_eq!(
            text,
            "ROOM       STATE\ntavern     held\na\\u{1b}[31m  blocked\n"
                .replace("ROOM       ", "ROOM         ")
                .replace("tavern     ", "tavern       ")
        );
    }

    #[test]
    fn times_are_relative() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(when("2026-01-01T11:57:00Z", now), "3 min ago");
        assert_eq!(when("2026-01-01T12:00:12Z", now), "in 12 s");
        assert_eq!(state_since(RoomState::Held, "2026-01-01T09:00:00Z", now), "held 3 h");
        assert_eq!(next("joins again", Some("2026-01-01T12:00:05Z"), now), "joins again in 5 s");
        assert_eq!(next("joins again", Some("2026-01-01T11:00:05Z"), now), "joins again now");
        assert_eq!(span("nonsense", now), "");
    }
}
