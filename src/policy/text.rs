//! The one normalised text of a message or name that every rule reads. Pure.
//!
//! What looks the same to a reader is the same here: compatibility forms are one (UAX #15 "Unicode Normalization
//! Forms", NFKC), letters have no case, characters without a shape are gone, combining marks that only decorate Latin,
//! Greek and Cyrillic letters are gone, and letters that are drawn alike are one (UTS #39 §4 "Confusable Detection").
//! Digits that stand for letters are not guessed at.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// Most of a text that rules read, bytes after normalisation; longer is itself a verdict.
pub const READ_BYTES: usize = 16 * 1024;

/// Most of a text that is looked at at all, bytes as sent: characters without a shape are not free.
const SENT_BYTES: usize = 64 * 1024;

/// A text as rules read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// Compatibility forms, case and invisible characters folded.
    plain: String,
    /// With decoration and confusable letters folded too, where that makes a difference.
    folded: Option<String>,
    /// It was longer than rules read.
    overlong: bool,
    /// Letters and capital letters as they were sent, of the part that was read.
    letters: (usize, usize),
}

impl Text {
    /// Normalises a text.
    #[must_use]
    pub fn new(sent: &str) -> Self {
        let mut letters = (0, 0);
        let mut overlong = false;
        let plain = if sent.is_ascii() {
            let read = clip(sent, READ_BYTES);
            overlong = read.len() < sent.len();
            for byte in read.bytes() {
                letters.0 += usize::from(byte.is_ascii_alphabetic());
                letters.1 += usize::from(byte.is_ascii_uppercase());
            }
            read.chars().filter(|c| !invisible(*c)).map(|c| c.to_ascii_lowercase()).collect()
        } else {
            let read = clip(sent, SENT_BYTES);
            overlong |= read.len() < sent.len();
            let mut plain = String::with_capacity(read.len().min(READ_BYTES));
            // Runs of thousands of combining marks are broken up before they are sorted (UAX #15, stream-safe text).
            for c in read.chars().filter(|c| !invisible(*c)).stream_safe().nfkc().filter(|c| !invisible(*c)) {
                letters.0 += usize::from(c.is_alphabetic());
                letters.1 += usize::from(c.is_uppercase());
                fold_case(c, &mut plain);
                if plain.len() > READ_BYTES {
                    overlong = true;
                    plain.truncate(clip(&plain, READ_BYTES).len());
                    break;
                }
            }
            plain
        };
        let folded = (!plain.is_ascii()).then(|| fold(&plain)).filter(|folded| *folded != plain);
        Text { plain, folded, overlong, letters }
    }

    /// Without case, compatibility forms and invisible characters; letters are still their own.
    #[must_use]
    pub fn plain(&self) -> &str {
        &self.plain
    }

    /// As a reader sees it: what is drawn alike is alike.
    #[must_use]
    pub fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.plain)
    }

    /// Whether the text was longer than [`READ_BYTES`], so that rules read only its beginning.
    #[must_use]
    pub fn is_overlong(&self) -> bool {
        self.overlong
    }

    /// How many letters were sent, and how many of them capitals.
    #[must_use]
    pub fn letters(&self) -> (usize, usize) {
        self.letters
    }
}

/// A display name as it is compared: folded, with single spaces and none at the ends.
#[must_use]
pub fn name(sent: &str) -> String {
    let text = Text::new(clip(sent, 1024));
    let mut words = text.folded().split_whitespace();
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        name.push(' ');
        name.push_str(word);
    }
    name.truncate(clip(&name, 256).len());
    name
}

/// A display name as one that must not be imitated: as [`name`], and letters that stand side by side like one (`rn`,
/// `vv`), digits drawn as letters, spaces and signs make no difference either.
#[must_use]
pub fn likeness(sent: &str) -> String {
    let name = name(sent);
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let drawn: String =
        skeleton(if letters.is_empty() { &name } else { &letters }).flat_map(char::to_lowercase).collect();
    // `i` and `l` are told apart by a reader of small letters, but a capital I is drawn as a small l.
    drawn.replace('i', "l").replace("vv", "w")
}

/// The beginning of a text of at most so many bytes.
fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a character has no shape of its own: joiners, variation selectors, direction controls, fillers, and controls
/// other than white space.
fn invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() && !c.is_ascii_whitespace();
    }
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Case folding of one character: by way of the capital, so that `ſ` is `s` and `ß` and `ẞ` are `ss`.
fn fold_case(c: char, into: &mut String) {
    if c.is_ascii() {
        into.push(c.to_ascii_lowercase());
    } else {
        into.extend(c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    }
}

/// Marks that decorate letters of alphabets which are read without them; those of other scripts are letters.
fn decorates(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
        && is_combining_mark(c)
}

/// Folds decoration and confusable letters. ASCII stays as it is: `rn` in an English word is no `m`.
fn fold(plain: &str) -> String {
    let mut folded = String::with_capacity(plain.len());
    let mut buffer = [0; 4];
    for c in plain.nfd().filter(|c| !decorates(*c)) {
        if c.is_ascii() || is_combining_mark(c) {
            folded.push(c);
            continue;
        }
        // A small letter may look like nothing while its capital does, and the other way round.
        let small = alike(c, &mut buffer);
        let drawn = small.or_else(|| {
            let mut capital = c.to_uppercase();
            capital.next().filter(|_| capital.next().is_none()).and_then(|capital| alike(capital, &mut buffer))
        });
        match drawn {
            Some(ascii) => folded.push_str(&ascii),
            None => folded.extend(skeleton(c.encode_utf8(&mut buffer)).flat_map(char::to_lowercase)),
        }
    }
    folded.truncate(clip(&folded, READ_BYTES).len());
    folded.nfc().collect()
}

/// What a character is drawn like, where that is ASCII.
fn alike(c: char, buffer: &mut [u8; 4]) -> Option<String> {
    let drawn: String = skeleton(c.encode_utf8(buffer)).filter(|c| !decorates(*c)).collect();
    (!drawn.is_empty() && drawn.is_ascii()).then(|| drawn.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_only_loses_its_case() {
        let text = Text::new("Hello THERE\tfriend");
        assert_eq!((text.plain(), text.folded()), ("hello there\tfriend", "hello there\tfriend"));
        assert_eq!(text.letters(), (16, 6));
    }

    #[test]
    fn compatibility_forms_are_one() {
        assert_eq!(Text::new("ｂａｄ 𝓫𝓪𝓭 ⓑⓐⓓ").plain(), "bad bad bad");
    }

    #[test]
    fn characters_without_a_shape_are_gone() {
        for odd in
            ["b\u{200b}ad", "b\u{ad}a\u{2060}d", "b\u{feff}a\u{fe0f}d", "\u{3164}bad", "b\u{0}ad", "ba\u{e0041}d"]
        {
            assert_eq!(Text::new(odd).folded(), "bad", "{odd:?}");
        }
    }

    #[test]
    fn direction_controls_are_gone() {
        assert_eq!(Text::new("\u{202e}b\u{2066}a\u{2069}d\u{202c}\u{200f}").plain(), "bad");
    }

    #[test]
    fn letters_that_are_drawn_alike_are_one() {
        // Cyrillic, Greek, and capitals whose small letters differ.
        for odd in ["bаd", "ваd", "ВАD", "BΑD"] {
            assert_eq!(Text::new(odd).folded(), "bad", "{odd:?}");
        }
        assert_eq!(Text::new("ѕсоре").folded(), "scope");
        assert_eq!(Text::new("ѕсоре").plain(), "ѕсоре");
    }

    #[test]
    fn decoration_is_gone_and_vowel_signs_stay() {
        assert_eq!(Text::new("b\u{336}a\u{335}d\u{338}").folded(), "bad");
        assert_eq!(Text::new("Résumé").folded(), "resume");
        let hindi = Text::new("हिन्दी");
        assert!(hindi.folded().chars().filter(|c| is_combining_mark(*c)).count() >= 2, "{hindi:?}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = Text::new(&"x".repeat(READ_BYTES + 1));
        assert!(text.is_overlong() && text.plain().len() == READ_BYTES);
        assert!(!Text::new(&"x".repeat(READ_BYTES)).is_overlong());
        // One character that becomes eighteen.
        let text = Text::new(&"\u{fdfa}".repeat(READ_BYTES / 18));
        assert!(text.is_overlong() && text.plain().len() <= READ_BYTES && text.folded().len() <= READ_BYTES);
        assert!(Text::new(&"\u{200b}".repeat(SENT_BYTES)).is_overlong());
        assert!(!Text::new(&format!("a{}", "\u{301}".repeat(5_000))).folded().contains('\u{301}'));
    }

    #[test]
    fn names_that_look_alike_are_like() {
        for imitation in
            ["Admin", "ADMIN", "Аdmin", "adm\u{131}n", "Ad\u{200b}min", "admln", "A d m i n", "Adrnin", "ad.min"]
        {
            assert_eq!(likeness(imitation), likeness("Admin"), "{imitation:?}");
        }
        assert_ne!(likeness("Adele"), likeness("Admin"));
        assert_eq!(name("  Jane   Doe\u{200b} "), "jane doe");
        assert_eq!(name("\u{200b}\u{2060}"), "");
        assert_ne!(likeness("☆☆"), "");
    }
}
