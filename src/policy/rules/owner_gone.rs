//! `owner_gone`: what happens when the last moderator among the people leaves.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "owner_gone",
    help: "end a meeting when its last moderator has left, at once or after a while",
    options: &[
        OptionHelp {
            name: "then",
            default: Some("\"wait\""),
            help: "\"keep\", \"close\", or \"wait\" for one to come back",
        },
        OptionHelp { name: "wait", default: Some("\"10m\""), help: "for how long, such as \"10m\"" },
    ],
    example: "[policy.owner_gone]\nthen = \"wait\"\nwait = \"10m\"\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Then {
    Keep,
    Close,
    Wait,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    then: Then,
    wait: Span,
}

impl Default for Options {
    fn default() -> Self {
        Options { then: Then::Wait, wait: Span::seconds(600) }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(OwnerGone { options: self, had_one: false, close_at: None })
    }
}

#[derive(Debug)]
struct OwnerGone {
    options: Arc<Options>,
    /// There was a moderator in this life of the room.
    had_one: bool,
    close_at: Option<Instant>,
}

impl Rule for OwnerGone {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now.at;
        match seen {
            Seen::Opened { new_life, .. } => {
                if *new_life {
                    (self.had_one, self.close_at) = (false, None);
                }
                // Whoever is inside is shown next; nobody has gone yet.
                return;
            }
            Seen::Message { .. } | Seen::Wordless(_) | Seen::Unreadable(_) | Seen::Renamed { .. } => return,
            Seen::Joined(_) | Seen::Updated { .. } | Seen::Left { .. } | Seen::Timeout => {}
        }
        if cx.people.iter().any(|person| person.is_person() && person.is_moderator()) {
            (self.had_one, self.close_at) = (true, None);
        } else if self.had_one && self.options.then != Then::Keep {
            let patience =
                if self.options.then == Then::Wait { self.options.wait.0 } else { std::time::Duration::ZERO };
            if *self.close_at.get_or_insert(now + patience) <= now {
                (self.had_one, self.close_at) = (false, None);
                out.wish(Wish::Close { why: Closing::Schedule, until: None }, "the last moderator has left");
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.close_at
    }

    fn export(&self, _: Now) -> Option<Value> {
        self.had_one.then_some(Value::Bool(true))
    }

    fn import(&mut self, _: Now, state: Value) {
        self.had_one = state == Value::Bool(true);
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn the_room_is_closed_when_no_moderator_comes_back() {
        let mut room = Bench::new("[owner_gone]\nwait = \"10m\"");
        room.hold();
        room.keeper("00_innkeeper");
        room.join("a");
        assert!(room.wait(3600).is_empty(), "there never was one");
        room.join_owner("boss");
        room.leave("boss");
        room.wait(500);
        room.join_owner("boss");
        room.leave("boss");
        assert!(room.wait(599).is_empty());
        assert_eq!(room.wait(1), ["owner_gone close schedule"]);
    }

    #[test]
    fn at_once_or_not_at_all_where_that_is_wanted() {
        let mut room = Bench::new("[owner_gone]\nthen = \"close\"");
        room.hold();
        room.join_owner("boss");
        assert_eq!(room.leave("boss"), ["owner_gone close schedule"]);
        let mut room = Bench::new("[owner_gone]\nthen = \"keep\"");
        room.hold();
        room.join_owner("boss");
        assert!(room.leave("boss").is_empty() && room.wait(86_400).is_empty());
    }

    #[test]
    fn who_left_while_we_restarted_is_missed() {
        let mut room = Bench::new("[owner_gone]\nwait = \"10m\"");
        room.hold();
        room.join_owner("boss");
        room.join("a");
        room.restart();
        room.join("a");
        room.hold();
        assert_eq!(room.wait(600), ["owner_gone close schedule"]);
    }
}
