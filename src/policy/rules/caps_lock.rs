//! `caps_lock`: messages that are mostly capital letters.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "caps_lock",
    help: "strike messages that are mostly capital letters",
    options: &[
        OptionHelp { name: "percent", default: Some("80"), help: "share of capitals among the letters, from 1 to 100" },
        OptionHelp { name: "letters", default: Some("12"), help: "messages with fewer letters are let be" },
    ],
    example: "[policy.caps_lock]\npercent = 80\nletters = 12\n",
    measure: Some(Measure::Strike),
    judges_owners: false,
    reads_text: true,
    load: |given| {
        let options: Options = given.options()?;
        if !(1..=100).contains(&options.percent) {
            return Err(Wrong::senseless("percent", options.percent.to_string()));
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    percent: u8,
    letters: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { percent: 80, letters: 12 }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(CapsLock(self))
    }
}

#[derive(Debug)]
struct CapsLock(Arc<Options>);

impl Rule for CapsLock {
    fn judge(&mut self, _: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let Seen::Message { who, text, .. } = seen else { return };
        let (letters, capitals) = text.letters();
        if letters >= self.0.letters as usize && letters > 0 && capitals * 100 >= letters * usize::from(self.0.percent)
        {
            out.offence(who, "Please do not shout.", format!("{capitals} of {letters} letters are capitals"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn shouting_is_struck_and_a_short_word_is_not() {
        let mut room = Bench::new("[caps_lock]");
        room.hold();
        room.join("a");
        assert!(room.say("a", "OK").is_empty());
        assert!(room.say("a", "The NASA and the ESA said so").is_empty());
        assert_eq!(room.say("a", "WHY DOES NOBODY ANSWER ME"), ["caps_lock warn a"]);
        assert_eq!(room.say("a", "ＷＨＹ ДОЕС NOBODY ANSWER"), ["caps_lock mute a"]);
    }

    #[test]
    fn scripts_without_capitals_are_no_shouting() {
        let mut room = Bench::new("[caps_lock]");
        room.hold();
        room.join("a");
        assert!(room.say("a", "なぜ誰も答えてくれないのですか").is_empty());
    }
}
