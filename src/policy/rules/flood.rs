//! `flood`: too many messages, or too many presences, in a short time.

use super::recent::Recent;
use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "flood",
    help: "strike whoever sends too many messages, or changes presence or name too often",
    options: &[
        OptionHelp { name: "messages", default: Some("8"), help: "how many messages in that time are well, from 1" },
        OptionHelp {
            name: "presences",
            default: Some("40"),
            help: "how many presences, new nicks and messages without words, from 1",
        },
        OptionHelp {
            name: "per",
            default: Some("\"10s\""),
            help: "the time in which they are counted, such as \"10s\"",
        },
    ],
    example: "[policy.flood]\nmessages = 8\npresences = 40\nper = \"10s\"\n",
    measure: Some(Measure::Strike),
    judges_owners: false,
    reads_text: true,
    load: |given| {
        let options: Options = given.options()?;
        for (key, number) in [("messages", options.messages), ("presences", options.presences)] {
            if !(1..=MOST).contains(&number) {
                return Err(Wrong::senseless(key, format!("{number} is not from 1 to {MOST}")));
            }
        }
        Ok(plan(options))
    },
};

/// Each is remembered for its time, so there must be an end.
const MOST: u32 = 1_000;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    messages: u32,
    presences: u32,
    per: Span,
}

impl Default for Options {
    fn default() -> Self {
        Options { messages: 8, presences: 40, per: Span::seconds(10) }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        let messages = Recent::new(self.messages, self.per.0);
        let presences = Recent::new(self.presences, self.per.0);
        Box::new(Flood { options: self, messages, presences })
    }
}

#[derive(Debug)]
struct Flood {
    options: Arc<Options>,
    /// By person, so that neither a new nick nor coming back begins a new count.
    messages: Recent<OccupantKey>,
    presences: Recent<OccupantKey>,
}

impl Rule for Flood {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now.at;
        let (who, limit, what) = match seen {
            Seen::Message { belated: true, .. } => return,
            Seen::Message { who, .. } | Seen::Unreadable(who) => (who, self.options.messages, "messages"),
            Seen::Updated { who, .. } | Seen::Renamed { who, .. } => (who, self.options.presences, "presences"),
            Seen::Wordless(who) => (who, self.options.presences, "messages without words"),
            Seen::Joined(who) if who.live => (who, self.options.presences, "presences"),
            _ => return,
        };
        let recent = if what == "messages" { &mut self.messages } else { &mut self.presences };
        if who.exempt.is_none() && recent.hit(now, who.key().clone()) {
            let note = format!("more than {limit} {what} in {}", self.options.per);
            out.offence(who, "Too much at once. Please slow down.", note);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn one_message_too_many_is_a_strike_and_a_slow_talker_is_none() {
        let mut room = Bench::new("[flood]\nmessages = 3\nper = \"10s\"");
        room.hold();
        room.join("a");
        for _ in 0..3 {
            assert!(room.say("a", "x").is_empty());
        }
        assert_eq!(room.say("a", "x"), ["flood warn a"]);
        room.join("b");
        for _ in 0..30 {
            assert!(room.say("b", "x").is_empty());
            room.wait(4);
        }
    }

    #[test]
    fn fifty_new_nicks_a_second_are_one_flood() {
        let mut room = Bench::new("[flood]\npresences = 10\nper = \"10s\"");
        room.hold();
        room.join_as("n0", "n", "mallory@meet.jitsi/x");
        let mut said = Vec::new();
        for n in 0..50 {
            said.extend(room.rename(&format!("n{n}"), &format!("n{}", n + 1)));
            room.wait_ms(20);
        }
        assert!(said[0].starts_with("flood warn") && said[2].starts_with("flood kick"), "{said:?}");
        assert_eq!(said.len(), 3, "a kick is waited for: {said:?}");
    }

    #[test]
    fn messages_without_words_are_a_flood_as_well() {
        let mut room = Bench::new("[flood]\npresences = 3\nper = \"10s\"");
        room.hold();
        room.join_as("a", "A", "a@meet.jitsi/1");
        let mut wordless = || room.input(crate::policy::Input::Wordless { nick: "a" });
        (0..2).for_each(|_| assert!(wordless().is_empty()));
        assert_eq!(wordless(), ["flood warn a"], "the join counts, too");
    }

    #[test]
    fn whoever_is_known_only_by_what_they_say_begins_no_new_count_by_saying_something_else() {
        let mut room = Bench::new("[flood]\npresences = 10\nper = \"10s\"");
        room.hold();
        room.join("a");
        let said: Vec<String> = (0..30).flat_map(|n| room.call("a", &format!("name {n}"))).collect();
        assert_eq!(said, ["flood warn a", "flood mute a"], "one name after another");
    }

    #[test]
    fn coming_back_begins_no_new_count() {
        let mut room = Bench::new("[flood]\nmessages = 3\nper = \"10s\"");
        room.hold();
        room.join_as("a", "A", "a@meet.jitsi/1");
        (0..3).for_each(|_| assert!(room.say("a", "x").is_empty()));
        room.leave("a");
        room.join_as("b", "B", "a@meet.jitsi/2");
        assert_eq!(room.say("b", "x"), ["flood warn b"]);
    }

    #[test]
    fn what_can_not_be_read_counts_as_well() {
        let mut room = Bench::new("[flood]\nmessages = 3\nper = \"10s\"");
        room.hold();
        room.join("a");
        (0..3).for_each(|_| assert!(room.garbage("a").is_empty()));
        assert_eq!(room.garbage("a"), ["flood warn a"]);
    }
}
