//! `max_duration`: a meeting lasts so long and no longer.

use super::countdown::{Countdown, Tick, closes_in};
use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "max_duration",
    help: "end a meeting that has lasted for too long, and say so before",
    options: &[
        OptionHelp {
            name: "lasts",
            default: Some("\"8h\""),
            help: "how long a life of the room lasts at most, such as \"8h\"",
        },
        OptionHelp {
            name: "warn",
            default: Some("[\"10m\", \"1m\"]"),
            help: "how long before the end it is said, a list such as [\"10m\", \"1m\"]",
        },
    ],
    example: "[policy.max_duration]\nlasts = \"8h\"\nwarn = [\"10m\", \"1m\"]\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    lasts: Span,
    warn: Vec<Span>,
}

impl Default for Options {
    fn default() -> Self {
        Options { lasts: Span::seconds(8 * 3600), warn: vec![Span::seconds(600), Span::seconds(60)] }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(MaxDuration { options: self, countdown: None, look_at: None })
    }

    fn open_until(&self, clock: Timestamp) -> Option<Timestamp> {
        clock.checked_add(self.lasts.0).ok()
    }
}

#[derive(Debug)]
struct MaxDuration {
    options: Arc<Options>,
    countdown: Option<Countdown>,
    look_at: Option<Instant>,
}

impl Rule for MaxDuration {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now;
        match seen {
            Seen::Opened { since, .. } => {
                let ends = since.checked_add(self.options.lasts.0).unwrap_or(Timestamp::MAX);
                self.countdown = Some(Countdown::new(now.clock, ends, &self.options.warn));
            }
            Seen::Timeout if self.look_at.is_some_and(|at| at <= now.at) => {}
            _ => return,
        }
        let Some(countdown) = &mut self.countdown else { return };
        match countdown.tick(now.clock) {
            Tick::Nothing => {}
            Tick::Warn(left) => out.wish(closes_in(left), "before the end of the room's time"),
            Tick::Ended => {
                (self.countdown, self.look_at) = (None, None);
                let note = format!("the room has lasted for {}", self.options.lasts);
                return out.wish(Wish::Close { why: Closing::Schedule, until: None }, note);
            }
        }
        self.look_at = Some(countdown.next(now));
    }

    fn deadline(&self) -> Option<Instant> {
        self.look_at
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    const OPTIONS: &str = "[max_duration]\nlasts = \"1h\"\nwarn = [\"10m\"]";

    #[test]
    fn a_meeting_ends_after_its_time_and_a_warning() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        assert!(room.wait(50 * 60 - 1).is_empty());
        assert_eq!(room.wait(1), ["max_duration say This room closes in 10m."]);
        assert_eq!(room.wait(600), ["max_duration close schedule"]);
        assert!(room.wait(7200).is_empty());
    }

    #[test]
    fn a_restart_does_not_make_the_meeting_longer() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        room.wait(55 * 60);
        room.restart();
        room.hold();
        assert_eq!(room.wait(5 * 60), ["max_duration close schedule"]);
    }

    #[test]
    fn a_new_life_has_its_own_time() {
        let mut room = Bench::new(OPTIONS);
        room.hold();
        room.wait(3590);
        room.new_life();
        assert!(room.wait(3000 - 1).is_empty());
        assert_eq!(room.wait(601), ["max_duration say This room closes in 10m.", "max_duration close schedule"]);
    }
}
