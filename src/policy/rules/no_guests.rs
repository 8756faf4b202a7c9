//! `no_guests`: accounts only.

use super::*;
use crate::xmpp::muc::Affiliation;

pub(super) const KIND: RuleKind = RuleKind {
    name: "no_guests",
    help: "send away whoever has neither an account nor a membership of the room",
    options: &[],
    example: "[policy.no_guests]\n",
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
        Box::new(NoGuests)
    }
}

#[derive(Debug)]
struct NoGuests;

impl Rule for NoGuests {
    fn judge(&mut self, _: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let (Seen::Joined(who) | Seen::Updated { who, .. }) = seen else { return };
        let known = who.identity.is_account()
            || matches!(who.affiliation, Some(Affiliation::Owner | Affiliation::Admin | Affiliation::Member));
        if !known {
            out.standing(who, "This room is for people with an account. Please log in.", "no account");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn a_guest_is_sent_away_and_an_account_stays() {
        let mut room = Bench::new("[no_guests]");
        room.hold();
        assert!(room.join_as("a", "Alice", "alice@meet.jitsi/x").is_empty());
        assert_eq!(room.join_as("b", "Bob", "x1@guest.meet.jitsi/x"), ["no_guests kick b"]);
        let token = "8a6ee3b2-4e1f-4b0c-9f3e-1f0a2b3c4d5e@meet.jitsi/x";
        assert_eq!(room.join_as("c", "Carol", token), ["no_guests kick c"]);
        assert_eq!(room.join("d"), ["no_guests kick d"], "nothing shows an account");
    }

    #[test]
    fn a_member_of_the_room_is_no_guest() {
        let mut room = Bench::new("[no_guests]");
        room.hold();
        assert!(room.join_member("m").is_empty());
    }
}
