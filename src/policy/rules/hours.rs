//! `hours`: a room is open at certain hours of the week.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use super::countdown::{Countdown, Tick, closes_in};
use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "hours",
    help: "open a room at certain hours of the week, and say so before it closes",
    options: &[
        OptionHelp {
            name: "open",
            default: None,
            help: "a list such as [\"mon-fri 08:00-18:00\", \"sat 22:00-02:00\"]; \"daily\" stands for all days",
        },
        OptionHelp { name: "time_zone", default: Some("\"UTC\""), help: "a time zone such as \"Europe/Berlin\"" },
        OptionHelp {
            name: "warn",
            default: Some("[\"10m\", \"1m\"]"),
            help: "how long before closing it is said, a list such as [\"10m\", \"1m\"]",
        },
    ],
    example: "[policy.hours]\nopen = [\"mon-fri 08:00-18:00\"]\ntime_zone = \"Europe/Berlin\"\nwarn = [\"10m\", \"1m\"]\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if options.open.is_empty() {
            return Err(Wrong::senseless("open", "no opening hours"));
        }
        let mut windows = Vec::new();
        for text in &options.open {
            windows.extend(
                windows_of(text).ok_or_else(|| Wrong::senseless("open", format!("{text:?} is no time of a week")))?,
            );
        }
        let zone = TimeZone::get(&options.time_zone).map_err(|_| {
            Wrong::senseless(
                "time_zone",
                format!("{:?} is not in this machine's time zones (package tzdata)", options.time_zone),
            )
        })?;
        Ok(plan(Week { windows, zone, warn: options.warn }))
    },
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    open: Vec<String>,
    time_zone: String,
    warn: Vec<Span>,
}

impl Default for Options {
    fn default() -> Self {
        Options { open: Vec::new(), time_zone: "UTC".to_owned(), warn: vec![Span::seconds(600), Span::seconds(60)] }
    }
}

/// Open on that day from a time to another; past midnight where the second is not later.
type Window = (Weekday, Time, Time);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads `mon-fri 08:00-18:00`.
fn windows_of(text: &str) -> Option<Vec<Window>> {
    let lower = text.trim().to_lowercase();
    let (days, times) = lower.split_once(char::is_whitespace)?;
    let (from, to) = times.trim().split_once('-')?;
    let time = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        if hour.len() > 2 || minute.len() != 2 {
            return None;
        }
        let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
        // The end of a day is the beginning of the next.
        if (hour, minute) == (24, 0) { Some(Time::midnight()) } else { Time::new(hour, minute, 0, 0).ok() }
    };
    let (from, to) = (time(from)?, time(to)?);
    let day = |name: &str| DAYS.iter().position(|(known, _)| *known == name);
    let days: Vec<usize> = if days == "daily" {
        (0..7).collect()
    } else if let Some((first, last)) = days.split_once('-') {
        let (first, last) = (day(first)?, day(last)?);
        (0..7).map(|step| (first + step) % 7).take((last + 7 - first) % 7 + 1).collect()
    } else {
        vec![day(days)?]
    };
    Some(days.into_iter().map(|day| (DAYS[day].1, from, to)).collect())
}

#[derive(Debug)]
struct Week {
    windows: Vec<Window>,
    zone: TimeZone,
    warn: Vec<Span>,
}

impl Week {
    /// Whether the room is open, and until when that stays so; `None`: for ever.
    fn at(&self, clock: Timestamp) -> (bool, Option<Timestamp>) {
        let today = clock.to_zoned(self.zone.clone()).date();
        let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
        for ahead in -1..=8 {
            let Ok(date) = today.checked_add(ahead.days()) else { continue };
            let open = self.windows.iter().filter(|(day, _, _)| *day == date.weekday());
            for (_, from, to) in open {
                let end = if to > from { Ok(date) } else { date.tomorrow() };
                let instant = |date: jiff::civil::Date, time: &Time| {
                    date.to_datetime(*time).to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp())
                };
                let end = end.ok().and_then(|date| instant(date, to));
                spans.extend(instant(date, from).zip(end).filter(|(from, to)| from < to));
            }
        }
        spans.sort_unstable();
        if !spans.iter().any(|(from, to)| (*from..*to).contains(&clock)) {
            return (false, spans.iter().map(|(from, _)| *from).find(|from| *from > clock));
        }
        let mut until = clock;
        for (from, to) in spans {
            if from <= until && to > until {
                until = to;
            }
        }
        // Open for a whole week is open for ever.
        let ever = until.duration_since(clock) > SignedDuration::from_hours(7 * 24);
        (true, (!ever).then_some(until))
    }
}

impl Plan for Week {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Hours { week: self, countdown: None, look_at: None })
    }

    fn closed_until(&self, clock: Timestamp) -> Option<Timestamp> {
        match self.at(clock) {
            (true, _) => None,
            (false, until) => until,
        }
    }

    fn open_until(&self, clock: Timestamp) -> Option<Timestamp> {
        match self.at(clock) {
            (true, until) => until,
            (false, _) => None,
        }
    }
}

#[derive(Debug)]
struct Hours {
    week: Arc<Week>,
    countdown: Option<Countdown>,
    look_at: Option<Instant>,
}

impl Rule for Hours {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now;
        let due = matches!(seen, Seen::Timeout) && self.look_at.is_some_and(|at| at <= now.at);
        if !due && !matches!(seen, Seen::Opened { .. }) {
            return;
        }
        let (open, until) = self.week.at(now.clock);
        let ended = self.countdown.as_mut().map(|countdown| countdown.tick(now.clock));
        if let Some(Tick::Warn(left)) = ended {
            out.wish(closes_in(left), "before closing time");
        }
        if !open {
            self.countdown = None;
            self.look_at = until.and_then(|until| now.instant_of(until));
            return out.wish(Wish::Close { why: Closing::Schedule, until }, "outside opening hours");
        }
        if self.countdown.as_ref().map(Countdown::ends) != until {
            self.countdown = until.map(|until| Countdown::new(now.clock, until, &self.week.warn));
        }
        self.look_at = self.countdown.as_ref().map(|countdown| countdown.next(now));
    }

    fn deadline(&self) -> Option<Instant> {
        self.look_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bench::Bench;

    const OPTIONS: &str =
        "[hours]\nopen = [\"mon-fri 08:00-18:00\"]\ntime_zone = \"Europe/Berlin\"\nwarn = [\"10m\", \"1m\"]";

    fn clock(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn week(open: &[&str], zone: &str) -> Week {
        let windows = open.iter().flat_map(|text| windows_of(text).expect("hours")).collect();
        Week { windows, zone: TimeZone::get(zone).expect("a zone"), warn: Vec::new() }
    }

    #[test]
    fn a_room_closes_on_time_after_two_warnings() {
        let mut room = Bench::new(OPTIONS);
        // A Monday in winter, 17:45 in Berlin.
        room.set_clock(clock("2026-03-02T16:45:00Z"));
        assert!(room.hold().is_empty());
        assert!(room.wait(5 * 60 - 1).is_empty());
        assert_eq!(room.wait(1), ["hours say This room closes in 10m."]);
        assert_eq!(room.wait(9 * 60), ["hours say This room closes in 1m."]);
        assert_eq!(room.wait(60), ["hours close schedule until 2026-03-03T07:00:00Z"]);
    }

    #[test]
    fn a_room_that_comes_up_outside_its_hours_is_closed_at_once() {
        let mut room = Bench::new(OPTIONS);
        // A Friday evening; it opens on Monday, when the clocks have gone forward.
        room.set_clock(clock("2026-03-27T18:00:00Z"));
        assert_eq!(room.hold(), ["hours close schedule until 2026-03-30T06:00:00Z"]);
    }

    #[test]
    fn hours_may_pass_midnight_and_join_each_other() {
        let night = week(&["sat 22:00-02:00"], "UTC");
        assert_eq!(night.at(clock("2026-03-08T01:00:00Z")), (true, Some(clock("2026-03-08T02:00:00Z"))));
        assert_eq!(night.at(clock("2026-03-08T02:00:00Z")), (false, Some(clock("2026-03-14T22:00:00Z"))));
        let joined = week(&["mon 08:00-24:00", "tue 00:00-04:00"], "UTC");
        assert_eq!(joined.at(clock("2026-03-02T09:00:00Z")), (true, Some(clock("2026-03-03T04:00:00Z"))));
        assert_eq!(week(&["daily 00:00-24:00"], "UTC").at(clock("2026-03-02T09:00:00Z")), (true, None));
        assert_eq!(windows_of("sat-mon 10:00-11:00").map(|windows| windows.len()), Some(3));
        for wrong in ["mon", "mon 8-18", "xyz 08:00-09:00", "mon 08:00-25:00", "mon 08:60-09:00", ""] {
            assert_eq!(windows_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_outsider_can_ask_until_when_a_room_stays_closed() {
        let plan = week(&["mon-fri 08:00-18:00"], "Europe/Berlin");
        assert_eq!(plan.closed_until(clock("2026-03-02T05:00:00Z")), Some(clock("2026-03-02T07:00:00Z")));
        assert_eq!(plan.closed_until(clock("2026-03-02T07:00:00Z")), None);
        assert_eq!(plan.open_until(clock("2026-03-02T05:00:00Z")), None);
        assert!(plan.open_until(clock("2026-03-02T07:00:00Z")) > Some(clock("2026-03-02T07:00:00Z")));
    }

    #[test]
    fn a_dry_run_goes_on_with_the_next_day() {
        let mut room = Bench::dry("[hours]\nopen = [\"daily 08:00-18:00\"]\nwarn = []");
        room.set_clock(clock("2026-03-02T17:00:00Z"));
        room.hold();
        assert_eq!(room.wait(3600), ["dry hours close schedule until 2026-03-03T08:00:00Z"]);
        assert!(room.wait(23 * 3600).is_empty());
        assert_eq!(room.wait(3600), ["dry hours close schedule until 2026-03-04T08:00:00Z"]);
    }
}
