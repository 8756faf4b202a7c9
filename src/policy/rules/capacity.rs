//! `capacity`: not more than so many people, not counting the keeper, the focus and recorders.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "capacity",
    help: "keep a room to a number of people; the keeper, the focus and recorders do not count",
    options: &[OptionHelp { name: "people", default: Some("50"), help: "how many may be inside, from 1" }],
    example: "[policy.capacity]\npeople = 25\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if options.people == 0 {
            return Err(Wrong::senseless("people", "0"));
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    people: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { people: 50 }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Capacity(self))
    }
}

#[derive(Debug)]
struct Capacity(Arc<Options>);

impl Rule for Capacity {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        // Who was inside before us has their place.
        let Seen::Joined(who) = seen else { return };
        // Nor does anybody's who is on the way out.
        let stays = |person: &&Person| person.is_person() && !person.leaves(cx.now.at);
        let inside = cx.people.iter().filter(stays).count();
        if who.live && who.is_person() && inside > self.0.people as usize {
            let most = self.0.people;
            out.offence(who, format!("The room is full: {most} people at most."), format!("{inside} of {most} people"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn one_too_many_is_sent_away_and_the_machinery_does_not_count() {
        let mut room = Bench::new("[capacity]\npeople = 2");
        room.hold();
        room.keeper("00_innkeeper");
        room.join("a");
        room.join("b");
        assert_eq!(room.join("c"), ["capacity kick c"]);
        room.leave("a");
        room.leave("c");
        assert!(room.join("d").is_empty());
    }

    #[test]
    fn whoever_is_on_the_way_out_takes_nobodys_place() {
        let mut room = Bench::new("[capacity]\npeople = 2");
        room.hold();
        room.join("a");
        room.join("b");
        assert_eq!(room.join("c"), ["capacity kick c"]);
        room.leave("b");
        assert!(room.join("d").is_empty(), "c is still there and goes");
        assert_eq!(room.join("e"), ["capacity kick e"]);
    }

    #[test]
    fn who_was_there_before_us_stays() {
        let mut room = Bench::new("[capacity]\npeople = 1");
        room.join("a");
        room.join("b");
        assert!(room.hold().is_empty());
        assert_eq!(room.join("c"), ["capacity kick c"]);
    }

    #[test]
    fn an_owner_counts_and_is_not_sent_away() {
        let mut room = Bench::new("[capacity]\npeople = 1");
        room.hold();
        room.join("a");
        assert!(room.join_owner("boss").is_empty());
        assert_eq!(room.join("b"), ["capacity kick b"]);
    }
}
