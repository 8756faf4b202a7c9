//! `repeat`: the same again and again.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::recent::Recent;
use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "repeat",
    help: "strike whoever writes the same again and again; case, signs and spaces make no difference",
    options: &[
        OptionHelp { name: "times", default: Some("3"), help: "how many times in that time are well, from 1 to 1000" },
        OptionHelp { name: "per", default: Some("\"1m\""), help: "the time in which they are counted, such as \"1m\"" },
        OptionHelp { name: "letters", default: Some("4"), help: "messages with fewer letters and digits are let be" },
    ],
    example: "[policy.repeat]\ntimes = 3\nper = \"1m\"\n",
    measure: Some(Measure::Strike),
    judges_owners: false,
    reads_text: true,
    load: |given| {
        let options: Options = given.options()?;
        if !(1..=1_000).contains(&options.times) {
            return Err(Wrong::senseless("times", options.times.to_string()));
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    times: u32,
    per: Span,
    letters: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { times: 3, per: Span::seconds(60), letters: 4 }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        let recent = Recent::new(self.times, self.per.0);
        Box::new(Repeat { options: self, recent })
    }
}

#[derive(Debug)]
struct Repeat {
    options: Arc<Options>,
    /// By person and a hash of what they wrote: the text itself is not kept.
    recent: Recent<(OccupantKey, u64)>,
}

impl Rule for Repeat {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let Seen::Message { who, text, belated: false } = seen else { return };
        if who.exempt.is_some() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        let mut letters = 0u32;
        for c in text.folded().chars().filter(|c| c.is_alphanumeric()) {
            c.hash(&mut hasher);
            letters = letters.saturating_add(1);
        }
        if letters >= self.options.letters && self.recent.hit(cx.now.at, (who.key().clone(), hasher.finish())) {
            let note = format!("the same more than {} times in {}", self.options.times, self.options.per);
            out.offence(who, "Please do not repeat yourself.", note);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn the_same_in_other_signs_is_the_same() {
        let mut room = Bench::new("[repeat]\ntimes = 2\nper = \"1m\"");
        room.hold();
        room.join("a");
        assert!(room.say("a", "buy this now").is_empty());
        assert!(room.say("a", "BUY   this, now!!").is_empty());
        assert_eq!(room.say("a", "b\u{200b}uy thіs n.o.w"), ["repeat warn a"]);
    }

    #[test]
    fn short_words_and_other_people_and_other_times_are_let_be() {
        let mut room = Bench::new("[repeat]\ntimes = 1\nper = \"1m\"");
        room.hold();
        room.join("a");
        room.join("b");
        for _ in 0..5 {
            assert!(room.say("a", "ok").is_empty());
        }
        assert!(room.say("a", "good morning").is_empty());
        assert!(room.say("b", "good morning").is_empty());
        room.wait(60);
        assert!(room.say("a", "good morning").is_empty());
    }
}
