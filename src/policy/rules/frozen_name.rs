//! `frozen_name`: who came under a name keeps it.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "frozen_name",
    help: "send away whoever changes the name they came with",
    options: &[OptionHelp {
        name: "grace",
        default: Some("\"10s\""),
        help: "how long after joining a name may still be chosen, such as \"10s\"",
    }],
    example: "[policy.frozen_name]\ngrace = \"10s\"\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    grace: Span,
}

impl Default for Options {
    fn default() -> Self {
        Options { grace: Span::seconds(10) }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(FrozenName(self))
    }
}

#[derive(Debug)]
struct FrozenName(Arc<Options>);

impl Rule for FrozenName {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let (who, before) = match seen {
            Seen::Updated { who, before } => (who, before.shown_name()),
            Seen::Renamed { who, before } => (who, *before),
            _ => return,
        };
        let settled = cx.now.at.duration_since(who.since) >= self.0.grace.0;
        if settled && text::name(before) != text::name(who.shown_name()) {
            let note = format!("{before:?} became {:?}", who.shown_name());
            out.offence(who, "Names can not be changed here. Come back under the name you want to keep.", note);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn a_name_is_chosen_at_first_and_kept() {
        let mut room = Bench::new("[frozen_name]\ngrace = \"10s\"");
        room.hold();
        room.join_named("a", "Alice");
        assert!(room.call("a", "Alicia").is_empty());
        room.wait(11);
        assert!(room.call("a", "ALICIA ").is_empty(), "the same name");
        assert_eq!(room.call("a", "Bob"), ["frozen_name kick a"]);
    }

    #[test]
    fn leaving_the_name_out_is_a_change_too() {
        let mut room = Bench::new("[frozen_name]\ngrace = \"10s\"");
        room.hold();
        room.join_named("a", "Alice");
        room.wait(11);
        assert_eq!(room.unname("a"), ["frozen_name kick a"]);
    }

    #[test]
    fn a_new_nick_is_a_change_where_it_is_the_name() {
        let mut room = Bench::new("[frozen_name]\ngrace = \"10s\"");
        room.hold();
        room.join("a");
        room.wait(11);
        assert_eq!(room.rename("a", "b"), ["frozen_name kick b"]);
    }
}
