//! `moderators`: who may be one.

use super::*;
use crate::xmpp::muc::Affiliation;

pub(super) const KIND: RuleKind = RuleKind {
    name: "moderators",
    help: "let only those on a list be moderator; everybody else is demoted, the first to come as well",
    options: &[OptionHelp {
        name: "allow",
        default: None,
        help: "a list of bare JIDs such as \"alice@meet.jitsi\", patterns such as \"*@staff.example\", or \"token:USER\"; left out: nobody but the keeper",
    }],
    example: "[policy.moderators]\nallow = [\"alice@meet.jitsi\", \"*@staff.example\"]\n",
    measure: Some(Measure::At(Sanction::Demote)),
    judges_owners: true,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        let allow = AllowList::read(options.allow.iter().map(String::as_str));
        allow.map(|allow| plan(Allowed(allow))).map_err(|what| Wrong::senseless("allow", what))
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    allow: Vec<String>,
}

#[derive(Debug)]
struct Allowed(AllowList);

impl Plan for Allowed {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Moderators(self))
    }
}

#[derive(Debug)]
struct Moderators(Arc<Allowed>);

impl Rule for Moderators {
    fn judge(&mut self, _: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let (Seen::Joined(who) | Seen::Updated { who, .. }) = seen else { return };
        // An admin of the room is one by the service's own configuration, which nobody inside can change.
        if who.is_moderator() && who.affiliation != Some(Affiliation::Admin) && !self.0.0.holds(who) {
            out.standing(who, "You are not on this room's list of moderators.", "moderator and not on the list");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    const OPTIONS: &str = "[moderators]\nallow = [\"alice@meet.jitsi\", \"*@staff.example\"]";

    #[test]
    fn who_is_not_on_the_list_is_demoted_also_as_owner_and_also_as_the_first() {
        let mut room = Bench::new(OPTIONS);
        room.join_owner("first");
        assert_eq!(room.hold(), ["moderators demote first"]);
        room.join("b");
        assert_eq!(room.promote("b"), ["moderators demote b"]);
    }

    #[test]
    fn who_is_on_the_list_stays_moderator() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        room.join_as("a", "Alice", "Alice@meet.jitsi/x");
        room.join_as("s", "Sam", "sam@staff.example/x");
        assert!(room.promote("a").is_empty() && room.promote("s").is_empty());
        assert_eq!(room.join_named("x", "alice@meet.jitsi"), Vec::<String>::new());
        assert_eq!(room.promote("x"), ["moderators demote x"], "a name is no account");
    }

    #[test]
    fn the_keeper_and_the_focus_are_not_judged() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        assert!(room.keeper("00_innkeeper").is_empty());
        assert!(room.focus().is_empty());
    }

    #[test]
    fn a_demotion_that_does_not_come_is_asked_for_again_later() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        room.join("b");
        assert_eq!(room.promote("b"), ["moderators demote b"]);
        assert!(room.call("b", "other").is_empty(), "it is under way");
        room.wait(11);
        assert_eq!(room.call("b", "another"), ["moderators demote b"]);
    }
}
