//! `rejoin`: who was thrown out stays out for a while.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "rejoin",
    help: "keep out for a while whoever was kicked; a kick alone lets them back at once",
    options: &[
        OptionHelp { name: "out", default: Some("\"5m\""), help: "for how long, such as \"5m\"" },
        OptionHelp {
            name: "kicked_by",
            default: Some("\"anybody\""),
            help: "whose kicks count: \"anybody\" or \"keeper\"",
        },
    ],
    example: "[policy.rejoin]\nout = \"5m\"\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KickedBy {
    Anybody,
    Keeper,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    out: Span,
    kicked_by: KickedBy,
}

impl Default for Options {
    fn default() -> Self {
        Options { out: Span::seconds(300), kicked_by: KickedBy::Anybody }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Rejoin { options: self, out: HashMap::new() })
    }
}

/// Most keys that are kept.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Rejoin {
    options: Arc<Options>,
    /// Until when somebody stays out, by every rung on which they could be known again.
    out: HashMap<OccupantKey, Instant>,
}

/// What tells somebody again for a few minutes: also a hint that could be forged, and a name where there is nothing
/// else.
fn telling(who: &Person) -> impl Iterator<Item = &OccupantKey> {
    let keys = who.identity.keys();
    keys.iter().filter(|key| key.rung != Rung::Name || keys.len() == 1)
}

impl Rule for Rejoin {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now.at;
        match seen {
            Seen::Left { who, how: Departure::Kicked { by_us } }
                if who.exempt.is_none() && (*by_us || self.options.kicked_by == KickedBy::Anybody) =>
            {
                self.out.retain(|_, until| *until > now);
                if self.out.len() < MOST {
                    // A browser's hint that somebody inside has as well may be theirs, and was copied.
                    let has = |key: &OccupantKey| cx.people.iter().any(|other| other.identity.keys().contains(key));
                    for key in telling(who).filter(|key| key.rung != Rung::Hint || !has(key)) {
                        // Being kept out does not begin the time anew.
                        self.out.entry(key.clone()).or_insert(now + self.options.out.0);
                    }
                }
            }
            Seen::Joined(who) => {
                let until = telling(who).filter_map(|key| self.out.get(key)).find(|until| **until > now);
                if let Some(until) = until {
                    let left = Span(std::time::Duration::from_secs(until.duration_since(now).as_secs() + 1));
                    out.offence(
                        who,
                        format!("You were removed. You may come back in {left}."),
                        "was kicked a moment ago",
                    );
                }
            }
            _ => {}
        }
    }

    fn export(&self, now: Now) -> Option<Value> {
        let out: HashMap<String, Timestamp> = self
            .out
            .iter()
            .filter(|(_, until)| **until > now.at)
            .map(|(key, until)| (key.to_string(), now.clock_at(*until)))
            .collect();
        (!out.is_empty()).then(|| serde_json::to_value(out).ok()).flatten()
    }

    fn import(&mut self, now: Now, state: Value) {
        let stored: HashMap<String, Timestamp> = serde_json::from_value(state).unwrap_or_default();
        // Where the clock was set meanwhile, nobody stays out for longer than who is kicked now.
        let longest = now.at + self.options.out.0;
        let read =
            |(key, until): (String, Timestamp)| Some((OccupantKey::read(&key)?, now.instant_of(until)?.min(longest)));
        self.out = stored.into_iter().filter_map(read).take(MOST).collect();
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn who_was_kicked_stays_out_for_a_while_under_any_name() {
        let mut room = Bench::new("[rejoin]\nout = \"5m\"");
        room.hold();
        room.join_as("a", "Alice", "alice@meet.jitsi/1");
        room.kicked("a");
        assert_eq!(room.join_as("b", "Somebody", "alice@meet.jitsi/2"), ["rejoin kick b"]);
        room.kicked("b");
        room.wait(299);
        assert_eq!(room.join_as("c", "Else", "alice@meet.jitsi/3"), ["rejoin kick c"]);
        room.kicked("c");
        room.wait(2);
        assert!(room.join_as("d", "Alice", "alice@meet.jitsi/4").is_empty(), "the time does not begin anew");
    }

    #[test]
    fn a_guest_under_a_new_jid_is_known_by_their_browser() {
        let mut room = Bench::new("[rejoin]");
        room.hold();
        room.join_guest("a", "one@guest.meet.jitsi/1", "oid-1", "Ada-xyz");
        room.kicked("a");
        assert_eq!(room.join_guest("b", "two@guest.meet.jitsi/1", "oid-2", "Ada-xyz"), ["rejoin kick b"]);
        assert!(room.join_guest("c", "three@guest.meet.jitsi/1", "oid-3", "Bob-abc").is_empty());
    }

    #[test]
    fn leaving_is_no_kick_and_a_restart_forgets_nothing() {
        let mut room = Bench::new("[rejoin]");
        room.hold();
        room.join_as("a", "A", "a@meet.jitsi/1");
        room.leave("a");
        assert!(room.join_as("a", "A", "a@meet.jitsi/1").is_empty());
        room.kicked("a");
        room.restart();
        room.hold();
        assert_eq!(room.join_as("a", "A", "a@meet.jitsi/1"), ["rejoin kick a"]);
    }
}
