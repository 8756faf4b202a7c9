//! `duplicate_name`: one name, one person.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "duplicate_name",
    help: "send away whoever takes a name that somebody inside has; confusable letters do not help",
    options: &[],
    example: "[policy.duplicate_name]\naction = \"warn\"\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(DuplicateName)
    }
}

#[derive(Debug)]
struct DuplicateName;

impl Rule for DuplicateName {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        // Who was inside with it before us has it as good as the other.
        let Some(who) = newly_named(seen).filter(|who| who.live || !matches!(seen, Seen::Joined(_))) else { return };
        let has = |other: &&Person| other.nick != who.nick && other.is_person() && other.likeness == who.likeness;
        if let Some(other) = cx.people.iter().filter(has).find(|other| !who.is_same_as(other)) {
            let note = format!("{:?} is the name of {}", who.shown_name(), other.nick);
            out.offence(who, "Somebody here has that name. Please take another.", note);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn the_second_of_a_name_is_sent_away_also_with_letters_that_look_alike() {
        let mut room = Bench::new("[duplicate_name]");
        room.hold();
        room.join_named("a", "Alice");
        assert_eq!(room.join_named("b", "АLІСЕ"), ["duplicate_name kick b"]);
        room.leave("b");
        assert!(room.join_named("c", "Carol").is_empty());
        assert_eq!(room.call("c", "alice"), ["duplicate_name kick c"]);
    }

    #[test]
    fn a_second_device_of_the_same_account_is_no_duplicate() {
        let mut room = Bench::new("[duplicate_name]");
        room.hold();
        room.join_as("a", "Alice", "alice@meet.jitsi/1");
        assert!(room.join_as("b", "Alice", "alice@meet.jitsi/2").is_empty());
        assert_eq!(room.join_as("c", "Alice", "mallory@meet.jitsi/1"), ["duplicate_name kick c"]);
    }
}
