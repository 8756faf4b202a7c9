//! Text of strangers, made harmless for logs and terminals. Pure, but for the look at a stream.

use std::borrow::Cow;
use std::io::IsTerminal;

/// Whether a character could move the cursor, change what is shown elsewhere, or hide.
fn is_trouble(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' // zero width, marks of direction
            | '\u{2028}'..='\u{202e}' // line ends, embeddings and overrides of direction
            | '\u{2060}'..='\u{206f}' // isolates of direction, invisible operators
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// The text with such characters written out: `\u{202e}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_trouble) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            c if is_trouble(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether colours are welcome: on a terminal that has them, unless `NO_COLOR` is set (no-color.org).
#[must_use]
pub fn colour(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_written_out_and_letters_stay() {
        assert_eq!(printable("Zoë 🍺"), "Zoë 🍺");
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\n");
    }
}
