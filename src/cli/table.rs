//! How a table fits on a screen: long texts are broken between words, and what still has no place goes below its row.
//! Nothing is ever cut, for people copy JIDs and ids out of tables. Pure.

use unicode_width::UnicodeWidthStr as _;

/// Blanks between columns.
pub(super) const GAP: usize = 2;
/// How far what stands below a row is indented.
pub(super) const INDENT: usize = 4;
/// A column so wide or less stays as it is.
const NARROW: usize = 16;

/// Where each column goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How wide each column is.
    pub(super) widths: Vec<usize>,
    /// Which columns stand below their row, in a line of their own.
    pub(super) below: Vec<bool>,
}

impl Layout {
    /// Fits columns into `screen`; where there is none each gets the room that it wants.
    pub(super) fn fit(head: &[&str], rows: &[Vec<String>], screen: Option<usize>) -> Layout {
        let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
        let widest =
            |column: usize| cells(column).map(|cell| cell.width()).max().unwrap_or(0).max(head[column].width());
        let wanted: Vec<usize> = (0..head.len()).map(widest).collect();
        let mut below = vec![false; head.len()];
        let Some(screen) = screen else { return Layout { widths: wanted, below } };
        let word = |column: usize| cells(column).flat_map(|cell| cell.split(' ')).map(str::width).max().unwrap_or(0);
        let least: Vec<usize> = (0..head.len())
            .map(|column| word(column).max(head[column].width()).max(wanted[column].min(NARROW)))
            .collect();
        loop {
            // None is wider than the level, but for those that can not be narrower.
            let widths = |level: usize| -> Vec<usize> {
                wanted.iter().zip(&least).map(|(wanted, least)| (*wanted).min(level.max(*least))).collect()
            };
            let fits = |widths: &[usize]| total(widths, &below) <= screen;
            if let Some(widths) = (0..=screen).rev().map(widths).find(|widths| fits(widths)) {
                return Layout { widths, below };
            }
            // The first column says which row it is.
            match (1..head.len()).filter(|column| !below[*column]).max_by_key(|column| least[*column]) {
                Some(column) => below[column] = true,
                None => return Layout { widths: least, below },
            }
        }
    }
}

fn total(widths: &[usize], below: &[bool]) -> usize {
    let shown = widths.iter().zip(below).filter(|(_, below)| !**below);
    shown.map(|(width, _)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// A text in lines of at most that width, broken between words; a longer word stays whole. Always at least one line.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    const LONG: &str = "focus-absent: nobody is behind focus.meet.jitsi, and has not been for a while";

    #[test]
    fn what_has_room_stays_as_it_is() {
        let rows = rows(&[&["tavern", LONG]]);
        let as_wanted = Layout { widths: vec![6, LONG.len()], below: vec![false, false] };
        assert_eq!(Layout::fit(&["ROOM", "CAUSE"], &rows, None), as_wanted);
        assert_eq!(Layout::fit(&["ROOM", "CAUSE"], &rows, Some(8 + LONG.len())), as_wanted);
    }

    #[test]
    fn the_longest_text_gives_way_first() {
        let rows = rows(&[&["tavern", LONG, "asks again in 12 s"]]);
        let layout = Layout::fit(&["ROOM", "CAUSE", "NEXT"], &rows, Some(70));
        assert_eq!(layout, Layout { widths: vec![6, 42, 18], below: vec![false; 3] });
        for line in wrapped(LONG, 42) {
            assert!(line.width() <= 42, "{line}");
        }
        assert_eq!(wrapped(LONG, 42).join(" "), LONG);
    }

    #[test]
    fn an_address_is_never_broken_but_stands_below_its_row() {
        let jid = "679e3269-7f88-4e89-9418-86c93f31719c@guest.meet.jitsi/uJ4NVBuCAZ0L";
        let rows = rows(&[&["9ae57000", "participant", jid, "3 s"]]);
        let layout = Layout::fit(&["NICK", "ROLE", "REAL JID", "SINCE"], &rows, Some(80));
        assert_eq!(layout.below, [false, false, true, false]);
        assert_eq!(wrapped(jid, 20), [jid]);
        // Not even a screen of no width loses anything.
        assert_eq!(Layout::fit(&["NICK", "ROLE"], &rows, Some(0)).below, [false, true]);
    }
}
