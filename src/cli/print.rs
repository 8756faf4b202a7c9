//! Tables, times and colours for people.

use std::io::{IsTerminal as _, Write};

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::table::{GAP, INDENT, Layout, wrapped};
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

/// What standard output is: whether it takes colours, and how wide it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colours: bool,
    /// In columns; none where it is no screen, and a program may read each row as a line.
    screen: Option<usize>,
}

/// What a terminal is taken for that does not say how wide it is.
const SCREEN: usize = 120;

impl Paint {
    pub(super) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let columns = || rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(|width| *width > 0);
        let screen = stdout.is_terminal().then(|| columns().map_or(SCREEN, usize::from));
        Paint { colours: colour(&stdout), screen }
    }

    #[cfg(test)]
    pub(super) fn off() -> Self {
        Paint { colours: false, screen: None }
    }

    /// On a screen so wide, without colours.
    #[cfg(test)]
    pub(super) fn on_screen(columns: usize) -> Self {
        Paint { colours: false, screen: Some(columns) }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colours && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
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
/// "East Asian Width"). It fits the screen, where there is one. Cells are made harmless here; a cell that is a state's word
/// is painted.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], paint: Paint) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect()).collect();
    let layout = Layout::fit(head, &rows, paint.screen);
    let heads: Vec<(&str, &str)> = head.iter().map(|cell| (*cell, "1")).collect();
    let mut text = aligned(&heads, &layout, paint);
    for row in &rows {
        let cells: Vec<(&str, &str)> = row.iter().map(|cell| (cell.as_str(), code(cell))).collect();
        text.push_str(&aligned(&cells, &layout, paint));
        for ((label, cell), _) in
            head.iter().zip(row).zip(&layout.below).filter(|((_, cell), below)| **below && !cell.is_empty())
        {
            let indent = INDENT + label.width() + GAP;
            let room = paint.screen.unwrap_or(usize::MAX).saturating_sub(indent);
            let lines = wrapped(cell, room).join(&format!("\n{:indent$}", ""));
            text.push_str(&format!("{:INDENT$}{}{:GAP$}{lines}\n", "", paint.bold(label), ""));
        }
    }
    text
}

/// A row of cells, each with its colour: as many lines as its highest cell has.
fn aligned(cells: &[(&str, &str)], layout: &Layout, paint: Paint) -> String {
    let shown = cells.iter().zip(&layout.widths).zip(&layout.below).filter(|(_, below)| !**below);
    let shown: Vec<_> = shown.map(|(((cell, code), width), _)| (wrapped(cell, *width), *code, *width)).collect();
    let mut text = String::new();
    for at in 0..shown.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0) {
        // Blanks only before what comes behind them.
        let mut blanks = 0;
        for (lines, code, width) in &shown {
            let plain = lines.get(at).map_or("", String::as_str);
            if !plain.is_empty() {
                text.push_str(&" ".repeat(std::mem::take(&mut blanks)));
                text.push_str(&paint.with(code, plain));
            }
            blanks += width.saturating_sub(plain.width()) + GAP;
        }
        text.push('\n');
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
    fn on_a_narrow_screen_texts_are_broken_and_addresses_stand_below() {
        let jid = "679e3269-7f88-4e89-9418-86c93f31719c@guest.meet.jitsi/uJ4NVBuCAZ0L";
        let rows = [
            vec!["ada".into(), jid.into(), "asks again when the focus is there".into()],
            vec!["bob".into(), String::new(), "held".into()],
        ];
        assert_eq!(
            table(&["NICK", "REAL JID", "NEXT"], &rows, Paint::on_screen(32)),
            "NICK  NEXT\n\
             ada   asks again when the focus\n      is there\n    REAL JID  679e3269-7f88-4e89-9418-86c93f31719c@guest.meet.jitsi/uJ4NVBuCAZ0L\n\
             bob   held\n"
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
