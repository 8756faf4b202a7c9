//! The end of a booked room. No table of the configuration makes this rule: a booking brings it along.

use super::countdown::{Countdown, Tick, closes_in};
use super::*;
use crate::policy::{Attached, Mode};

static KIND: RuleKind = RuleKind {
    name: "booking",
    help: "end the meeting when the room's booking ends, and say so before",
    options: &[],
    example: "",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |_| Err(Wrong::senseless("until", "a room is booked by a hold, not by the configuration")),
};

/// How long before the end it is said.
const WARN: [Span; 2] = [Span::seconds(600), Span::seconds(60)];

/// The rule of a room that is booked until then.
#[must_use]
pub fn booked(until: Timestamp) -> Attached {
    Attached {
        kind: &KIND,
        mode: Mode::Enforce,
        measure: Measure::At(Sanction::Note),
        plan: plan(Booked { until }),
        written: until.to_string().into(),
    }
}

#[derive(Debug)]
struct Booked {
    until: Timestamp,
}

impl Plan for Booked {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Ending { until: self.until, countdown: None, look_at: None })
    }

    fn open_until(&self, clock: Timestamp) -> Option<Timestamp> {
        Some(self.until).filter(|until| *until > clock)
    }
}

#[derive(Debug)]
struct Ending {
    until: Timestamp,
    countdown: Option<Countdown>,
    look_at: Option<Instant>,
}

impl Rule for Ending {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now;
        match seen {
            // Whoever began to meet when the time was over does so without a booking.
            Seen::Opened { new_life: true, since } if *since > self.until => self.countdown = None,
            Seen::Opened { .. } => self.countdown = Some(Countdown::new(now.clock, self.until, &WARN)),
            Seen::Timeout if self.look_at.is_some_and(|at| at <= now.at) => {}
            _ => return,
        }
        let Some(countdown) = &mut self.countdown else { return };
        match countdown.tick(now.clock) {
            Tick::Nothing => {}
            Tick::Warn(left) => out.wish(closes_in(left), "before the end of the booking"),
            Tick::Ended => {
                (self.countdown, self.look_at) = (None, None);
                let why = Wish::Close { why: Closing::Schedule, until: None };
                return out.wish(why, "the room's booking has ended");
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
    use super::*;
    use crate::policy::Plans;
    use crate::policy::bench::Bench;

    fn room(until: &str) -> Bench {
        let mut plans = Plans::default();
        let rule = booked(until.parse().expect("a time"));
        plans.rules.insert(rule.kind.name, rule);
        let mut room = Bench::of(plans);
        room.set_clock("2026-03-02T12:00:00Z".parse().expect("a time"));
        room
    }

    #[test]
    fn a_booked_room_is_warned_twice_and_closed_at_its_end() {
        let mut room = room("2026-03-02T12:30:00Z");
        assert!(room.hold().is_empty());
        assert!(room.wait(20 * 60 - 1).is_empty());
        assert_eq!(room.wait(1), ["booking say This room closes in 10m."]);
        assert_eq!(room.wait(9 * 60), ["booking say This room closes in 1m."]);
        assert_eq!(room.wait(60), ["booking close schedule"]);
        assert!(room.wait(7200).is_empty());
    }

    #[test]
    fn a_room_that_comes_up_after_its_end_is_closed_at_once_and_a_new_life_wins_no_time() {
        let mut late = room("2026-03-02T11:59:00Z");
        late.set_began("2026-03-02T11:58:59Z".parse().expect("a time"));
        assert_eq!(late.hold(), ["booking close schedule"]);
        let mut again = room("2026-03-02T12:00:30Z");
        again.hold();
        again.wait(20);
        again.new_life();
        assert_eq!(again.wait(10), ["booking close schedule"]);
    }

    #[test]
    fn a_meeting_that_began_when_the_time_was_over_is_somebody_elses() {
        let mut late = room("2026-03-02T11:30:00Z");
        late.set_began("2026-03-02T11:30:01Z".parse().expect("a time"));
        assert!(late.hold().is_empty());
        assert!(late.wait(7200).is_empty());
    }

    #[test]
    fn an_outsider_can_ask_until_when_it_is_open() {
        let end: Timestamp = "2026-03-02T12:30:00Z".parse().expect("a time");
        let plan = booked(end).plan;
        assert_eq!(plan.open_until("2026-03-02T12:00:00Z".parse().expect("a time")), Some(end));
        assert_eq!(plan.open_until(end), None);
    }
}
