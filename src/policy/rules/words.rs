//! `words`: words that are not said here.

use aho_corasick::AhoCorasick;
use regex::RegexSet;

use super::*;
use text::Text;

pub(super) const KIND: RuleKind = RuleKind {
    name: "words",
    help: "strike messages, and names, with words of a list or that fit regular expressions",
    options: &[
        OptionHelp {
            name: "file",
            default: None,
            help: "a file with a word or phrase on each line; # begins a comment line",
        },
        OptionHelp { name: "words", default: None, help: "a list of further words" },
        OptionHelp {
            name: "patterns",
            default: None,
            help: "a list of at most 200 regular expressions (no look-around); case does not matter",
        },
        OptionHelp { name: "whole_words", default: Some("true"), help: "whether \"ass\" is let be within \"class\"" },
        OptionHelp { name: "names", default: Some("true"), help: "whether names are read too" },
    ],
    example: "[policy.words]\nfile = \"words.txt\"\nwords = [\"spoiler\"]\npatterns = ['free +crypto']\n",
    measure: Some(Measure::Strike),
    judges_owners: false,
    reads_text: true,
    load: |given| {
        let options: Options = given.options()?;
        let mut words: Vec<String> = options.words;
        if let Some(file) = &options.file {
            let text = (given.read)(file).map_err(|what| Wrong::senseless("file", format!("{file}: {what}")))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            words.extend(lines.map(str::to_owned));
        }
        let mut words: Vec<String> = words.iter().map(|word| normal(word)).filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() && options.patterns.is_empty() {
            return Err(Wrong::senseless("words", "no word and no pattern"));
        }
        let list = AhoCorasick::new(&words).map_err(|error| Wrong::senseless("words", error.to_string()))?;
        let patterns = options::expressions(&options.patterns).map_err(|what| Wrong::senseless("patterns", what))?;
        Ok(plan(List { words, list, patterns, whole: options.whole_words, names: options.names }))
    },
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    file: Option<String>,
    words: Vec<String>,
    patterns: Vec<String>,
    whole_words: bool,
    names: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { file: None, words: Vec::new(), patterns: Vec::new(), whole_words: true, names: true }
    }
}

/// A word as texts are compared with it.
fn normal(word: &str) -> String {
    Text::new(word).folded().trim().to_owned()
}

struct List {
    words: Vec<String>,
    /// All words in one automaton, so that a text is read once however long the list is.
    list: AhoCorasick,
    patterns: RegexSet,
    whole: bool,
    names: bool,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("words", &self.words.len()).field("patterns", &self.patterns.len()).finish()
    }
}

impl List {
    /// What of the list is in a text.
    fn find(&self, text: &Text) -> Option<String> {
        let folded = text.folded();
        let stands_alone = |from: usize, to: usize| {
            let before = folded[..from].chars().next_back();
            let behind = folded[to..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
        };
        // Overlapping ones too: a word may begin within another that does not stand alone.
        let found = self
            .list
            .find_overlapping_iter(folded)
            .find(|found| !self.whole || stands_alone(found.start(), found.end()))
            .map(|found| format!("the word {:?}", self.words[found.pattern().as_usize()]));
        found.or_else(|| {
            let pattern = |text: &str| self.patterns.matches(text).iter().next();
            let found = pattern(text.plain()).or_else(|| pattern(folded))?;
            Some(format!("the pattern {:?}", self.patterns.patterns()[found]))
        })
    }
}

impl Plan for List {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Words(self))
    }
}

#[derive(Debug)]
struct Words(Arc<List>);

impl Rule for Words {
    fn judge(&mut self, _: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        if let Seen::Message { who, text, .. } = seen {
            if let Some(found) = self.0.find(text) {
                out.offence(who, "Please mind your language.", found);
            }
        } else if let Some(who) = newly_named(seen).filter(|_| self.0.names)
            && let Some(found) = self.0.find(&Text::new(who.shown_name()))
        {
            out.offence(who, "Your name is not welcome here. Please take another.", format!("{found} in the name"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    const OPTIONS: &str = "[words]\nwords = [\"darn\", \"hell fire\", \"Scheiße\"]\npatterns = ['free +crypto']";

    fn room() -> Bench {
        let mut room = Bench::new(&format!("{OPTIONS}\naction = \"warn\""));
        room.hold();
        room.join_as("a", "A", "a@meet.jitsi/1");
        room
    }

    #[test]
    fn a_word_is_found_in_all_that_looks_like_it() {
        for text in [
            "DARN it",
            "d\u{200b}arn",
            "ｄａｒｎ",
            "dаrn",
            "d\u{336}arn",
            "\u{202e}darn",
            "(darn)",
            "scheisse",
            "SCHEIẞE",
            "hell fire",
            "FREE   CRYPTO",
        ] {
            assert_eq!(room().say("a", text), ["words warn a"], "{text:?}");
        }
    }

    #[test]
    fn a_word_within_another_is_let_be_or_not() {
        assert!(room().say("a", "darned hell fires").is_empty());
        let mut loose = Bench::new("[words]\nwords = [\"darn\"]\nwhole_words = false\naction = \"warn\"");
        loose.hold();
        loose.join("a");
        assert_eq!(loose.say("a", "gosh-darned"), ["words warn a"]);
    }

    #[test]
    fn a_word_that_begins_within_another_is_found() {
        let mut room = Bench::new("[words]\nwords = [\"foo bar\", \"bar\"]\naction = \"warn\"");
        room.hold();
        room.join("a");
        assert_eq!(room.say("a", "xfoo bar"), ["words warn a"]);
    }

    #[test]
    fn names_are_read_too() {
        assert_eq!(room().call("a", "Mr Darn"), ["words warn a"]);
    }

    #[test]
    fn a_list_lies_in_a_file() {
        let mut room = Bench::new("[words]\nfile = \"words.txt\"\naction = \"warn\"");
        room.hold();
        room.join("a");
        assert_eq!(room.say("a", "a listed word"), ["words warn a"]);
        assert!(room.say("a", "# a comment").is_empty());
    }
}
