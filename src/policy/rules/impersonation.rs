//! `impersonation`: nobody looks like a moderator, the keeper or a reserved name.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "impersonation",
    help: "send away whoever takes the name of a moderator inside, of the keeper, or a reserved one",
    options: &[
        OptionHelp { name: "names", default: None, help: "a list of reserved names, such as [\"Admin\", \"Support\"]" },
        OptionHelp {
            name: "moderators",
            default: Some("true"),
            help: "whether names of moderators inside are reserved",
        },
    ],
    example: "[policy.impersonation]\nnames = [\"Admin\", \"Support\"]\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if let Some(empty) = options.names.iter().find(|name| text::likeness(name).is_empty()) {
            return Err(Wrong::senseless("names", format!("{empty:?} is no name")));
        }
        let reserved = options.names.iter().map(|name| text::likeness(name)).collect();
        Ok(plan(Reserved { reserved, moderators: options.moderators }))
    },
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    names: Vec<String>,
    moderators: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { names: Vec::new(), moderators: true }
    }
}

#[derive(Debug)]
struct Reserved {
    reserved: HashSet<String>,
    moderators: bool,
}

impl Plan for Reserved {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Impersonation(self))
    }
}

#[derive(Debug)]
struct Impersonation(Arc<Reserved>);

impl Rule for Impersonation {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let Some(who) = newly_named(seen) else { return };
        let owns = |other: &Person| !other.is_person() || (self.0.moderators && other.is_moderator());
        let like = |other: &Person| other.likeness == who.likeness && other.nick != who.nick && !who.is_same_as(other);
        if self.0.reserved.contains(&*who.likeness) {
            out.offence(
                who,
                "That name is reserved. Please take another.",
                format!("{:?} is reserved", who.shown_name()),
            );
        } else if !who.is_moderator()
            && let Some(other) = cx.people.iter().find(|other| owns(other) && like(other))
        {
            let note = format!("{:?} looks like {}", who.shown_name(), other.nick);
            out.offence(who, "That name is somebody else's. Please take another.", note);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn a_reserved_name_is_reserved_in_all_that_look_like_it() {
        for name in ["Admin", "аdmin", "ADM\u{200b}IN", "\u{202e}Admin", "Adrnin", "A.d.m.i.n"] {
            let mut room = Bench::new("[impersonation]\nnames = [\"Admin\"]");
            room.hold();
            assert_eq!(room.join_named("x", name), ["impersonation kick x"], "{name:?}");
        }
    }

    #[test]
    fn nobody_takes_the_name_of_a_moderator_or_the_keeper() {
        let mut room = Bench::new("[impersonation]");
        room.hold();
        room.keeper("Innkeeper");
        room.join_owner("Boss");
        assert_eq!(room.join_named("x", "lnnkeeper"), ["impersonation kick x"]);
        assert_eq!(room.join_named("y", "B0SS"), ["impersonation kick y"]);
        assert!(room.join_named("z", "Bossy").is_empty());
    }

    #[test]
    fn neither_a_copied_hint_nor_the_very_name_makes_somebody_the_moderator() {
        let mut room = Bench::new("[impersonation]");
        room.hold();
        room.join_guest("boss", "1@guest.meet.jitsi/1", "oid-1", "Boss-xyz");
        room.call("boss", "Boss");
        room.promote("boss");
        room.join_guest("m", "2@guest.meet.jitsi/2", "oid-2", "Boss-xyz");
        assert_eq!(room.call("m", "Boss"), ["impersonation kick m"]);

        let mut room = Bench::new("[impersonation]");
        room.hold();
        room.join_owner("x");
        room.call("x", "Boss");
        assert_eq!(room.join_named("y", "Boss"), ["impersonation kick y"], "only names are known");
    }

    #[test]
    fn a_name_is_looked_at_again_when_it_changes() {
        let mut room = Bench::new("[impersonation]\nnames = [\"Admin\"]");
        room.hold();
        assert!(room.join_named("x", "Eve").is_empty());
        assert_eq!(room.call("x", "Admin"), ["impersonation kick x"]);
    }
}
