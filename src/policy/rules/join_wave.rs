//! `join_wave`: many people at once are a raid; the door is shut until they are gone.

use std::collections::VecDeque;

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "join_wave",
    help: "turn lobby or lock on when many join at once, and off again when it is over",
    options: &[
        OptionHelp { name: "joins", default: Some("10"), help: "how many joins in that time are well, from 1 to 1000" },
        OptionHelp {
            name: "per",
            default: Some("\"10s\""),
            help: "the time in which they are counted, such as \"10s\"",
        },
        OptionHelp { name: "with", default: Some("\"lobby\""), help: "\"lobby\", \"lock\" or \"both\"" },
        OptionHelp {
            name: "calm",
            default: Some("\"5m\""),
            help: "how long after the last wave it ends, such as \"5m\"",
        },
    ],
    example: "[policy.join_wave]\njoins = 10\nper = \"10s\"\nwith = \"lobby\"\ncalm = \"5m\"\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if !(1..=1_000).contains(&options.joins) {
            return Err(Wrong::senseless("joins", options.joins.to_string()));
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum With {
    Lobby,
    Lock,
    Both,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    joins: u32,
    per: Span,
    with: With,
    calm: Span,
}

impl Default for Options {
    fn default() -> Self {
        Options { joins: 10, per: Span::seconds(10), with: With::Lobby, calm: Span::seconds(300) }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(JoinWave { options: self, joins: VecDeque::new(), armed_until: None })
    }
}

#[derive(Debug)]
struct JoinWave {
    options: Arc<Options>,
    /// The last joins, the oldest first.
    joins: VecDeque<Instant>,
    /// The door is shut until then.
    armed_until: Option<Instant>,
}

impl JoinWave {
    fn door(&self, shut: bool, note: &str, out: &mut Opinions) {
        if self.options.with != With::Lock {
            out.wish(Wish::Lobby(shut), note);
        }
        if self.options.with != With::Lobby {
            out.wish(Wish::Lock(shut), note);
        }
    }
}

impl Rule for JoinWave {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now.at;
        match seen {
            Seen::Joined(who) if who.live && who.exempt.is_none() => {
                while self.joins.front().is_some_and(|first| now.duration_since(*first) >= self.options.per.0) {
                    self.joins.pop_front();
                }
                self.joins.push_back(now);
                if self.joins.len() > self.options.joins as usize {
                    self.joins.clear();
                    let before = self.armed_until.replace(now + self.options.calm.0);
                    if before.is_none() {
                        let note = format!("more than {} joins in {}", self.options.joins, self.options.per);
                        self.door(true, &note, out);
                    }
                }
            }
            // A new life has no lobby and no lock of ours.
            Seen::Opened { new_life: true, .. } => self.armed_until = None,
            Seen::Timeout if self.armed_until.is_some_and(|until| until <= now) => {
                self.armed_until = None;
                self.door(false, &format!("no wave for {}", self.options.calm), out);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.armed_until
    }

    fn keeps_door_shut(&self) -> bool {
        self.armed_until.is_some()
    }

    fn export(&self, now: Now) -> Option<Value> {
        serde_json::to_value(now.clock_at(self.armed_until?)).ok()
    }

    /// A door that we shut is opened by us, also after a restart.
    fn import(&mut self, now: Now, state: Value) {
        let until: Option<Timestamp> = serde_json::from_value(state).ok();
        let longest = now.at + self.options.calm.0;
        self.armed_until = until.map(|until| now.instant_of(until).unwrap_or(now.at).min(longest));
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Input;
    use crate::policy::bench::Bench;

    const OPTIONS: &str = "[join_wave]\njoins = 3\nper = \"10s\"\nwith = \"both\"\ncalm = \"1m\"";

    fn wave(room: &mut Bench, from: usize) -> Vec<String> {
        (from..from + 4).flat_map(|n| room.join(&format!("g{n}"))).collect()
    }

    #[test]
    fn a_wave_shuts_the_door_once_and_calm_opens_it() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        assert_eq!(wave(&mut room, 0), ["join_wave lobby on", "join_wave lock on"]);
        room.wait(30);
        assert!(wave(&mut room, 10).is_empty(), "it is shut");
        assert!(room.wait(59).is_empty());
        assert_eq!(room.wait(1), ["join_wave lobby off", "join_wave lock off"]);
    }

    #[test]
    fn who_was_there_before_us_is_no_wave() {
        let mut room = Bench::new(OPTIONS);
        wave(&mut room, 0);
        assert!(room.hold().is_empty());
    }

    #[test]
    fn who_came_before_the_stream_was_lost_comes_in_no_wave_when_it_is_resumed() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        for n in 0..9 {
            assert!(room.join(&format!("slow{n}")).is_empty());
            room.wait(30);
        }
        room.input(Input::Lost);
        assert!(room.hold().is_empty());
        assert_eq!(wave(&mut room, 0).len(), 2, "who comes now does");
    }

    #[test]
    fn a_restart_does_not_forget_to_open_the_door() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        wave(&mut room, 0);
        room.restart();
        room.hold();
        assert_eq!(room.wait(61), ["join_wave lobby off", "join_wave lock off"]);
    }
}
