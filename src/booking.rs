//! Bookings: a hold that begins, ends, and may have a title. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How much earlier than it begins a booked room opens when nothing is said, in seconds.
const EARLY: u32 = 600;
/// Opening earlier than this is another booking, in seconds.
const MOST_EARLY: u64 = 24 * 3600;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 256;

/// What a hold says of a time; where it says nothing, it is one without an end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// When the meeting begins; now when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it is ended for everybody and the room released; never when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many seconds before `from` the room opens; ten minutes when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_seconds: Option<u64>,
    /// The room's subject, locked while it is booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Times {
    /// The booking that is meant, if one is.
    ///
    /// # Errors
    /// What is wrong, in one sentence that names the field.
    pub fn booking(self, now: Timestamp) -> Result<Option<Booking>, String> {
        let Times { from, until, early_seconds, title } = self;
        if from.is_none() && until.is_none() {
            return match (early_seconds, title) {
                (None, None) => Ok(None),
                (Some(_), _) => Err("early_seconds is for a booking: say from, too".to_owned()),
                (None, Some(_)) => Err("title is for a booking: say from or until, too".to_owned()),
            };
        }
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(format!("until is in the past: it is {}, and now is {}", shown(until), shown(now)));
        }
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            return Err(format!("until ({}) is not later than from ({})", shown(until), shown(from)));
        }
        let early_seconds = match (from, early_seconds) {
            (None, Some(_)) => return Err("early_seconds is how much earlier than from: say from, too".to_owned()),
            (_, Some(early)) if early > MOST_EARLY => {
                return Err(format!("early_seconds is at most {MOST_EARLY}, a day"));
            }
            (_, early) => early.and_then(|early| u32::try_from(early).ok()).unwrap_or(EARLY),
        };
        let title = title.map(|title| {
            if title.trim().is_empty() {
                return Err("title is empty: leave it out".to_owned());
            }
            let length = title.chars().count();
            if length > LONGEST_TITLE {
                return Err(format!(
                    "title is too long: it has {length} characters, at most {LONGEST_TITLE} are taken"
                ));
            }
            if title.chars().any(char::is_control) {
                return Err("title has control characters: it is one line of text".to_owned());
            }
            Ok(title.into_boxed_str())
        });
        Ok(Some(Booking { from, until, early_seconds, title: title.transpose()? }))
    }
}

/// A room is wanted for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// When the meeting begins; `None`: it has begun.
    pub from: Option<Timestamp>,
    /// When it ends; `None`: not by itself.
    pub until: Option<Timestamp>,
    /// How many seconds before it begins the room opens.
    pub early_seconds: u32,
    /// The room's locked subject.
    pub title: Option<Box<str>>,
}

/// Where a booking is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is still to come.
    Before {
        /// When the meeting begins.
        from: Timestamp,
        /// When the room opens, a little earlier.
        opens: Timestamp,
    },
    /// The room is open.
    Open,
    /// It has ended.
    Over {
        /// When.
        ended: Timestamp,
    },
}

impl Booking {
    /// When the room opens.
    #[must_use]
    pub fn opens(&self) -> Option<Timestamp> {
        let early = SignedDuration::from_secs(i64::from(self.early_seconds));
        self.from.map(|from| from.checked_sub(early).unwrap_or(Timestamp::MIN))
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        match (self.from, self.opens(), self.until) {
            (_, _, Some(ended)) if ended <= now => Phase::Over { ended },
            (Some(from), Some(opens), _) if now < opens => Phase::Before { from, opens },
            _ => Phase::Open,
        }
    }
}

impl fmt::Display for Booking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.opens()) {
            (Some(from), Some(opens)) if opens < from => {
                write!(f, "from {}, open from {}", shown(from), shown(opens))?;
            }
            (Some(from), _) => write!(f, "from {}", shown(from))?,
            (None, _) => f.write_str("from now on")?,
        }
        match self.until {
            Some(until) => write!(f, ", until {}", shown(until)),
            None => Ok(()),
        }
    }
}

/// A time in a sentence: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn times(from: Option<i64>, until: Option<i64>) -> Times {
        Times { from: from.map(at), until: until.map(at), ..Times::default() }
    }

    #[test]
    fn a_hold_without_times_is_no_booking() {
        assert_eq!(Times::default().booking(at(0)), Ok(None));
    }

    #[test]
    fn a_room_opens_ten_minutes_early_and_is_over_at_its_end() {
        let booking = times(Some(1000), Some(2000)).booking(at(0)).expect("right").expect("a booking");
        assert_eq!(booking.phase(at(399)), Phase::Before { from: at(1000), opens: at(400) });
        assert_eq!(booking.phase(at(400)), Phase::Open);
        assert_eq!(booking.phase(at(1999)), Phase::Open);
        assert_eq!(booking.phase(at(2000)), Phase::Over { ended: at(2000) });
        assert_eq!(
            booking.to_string(),
            "from 1970-01-01T00:16:40Z, open from 1970-01-01T00:06:40Z, until 1970-01-01T00:33:20Z"
        );
    }

    #[test]
    fn a_booking_may_begin_at_once_or_have_no_end() {
        let begun = times(None, Some(2000)).booking(at(0)).expect("right").expect("a booking");
        assert_eq!((begun.phase(at(0)), begun.opens()), (Phase::Open, None));
        let endless = times(Some(1000), None).booking(at(0)).expect("right").expect("a booking");
        assert_eq!(endless.phase(at(1_000_000)), Phase::Open);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let early = |early, times: Times| Times { early_seconds: Some(early), ..times };
        let titled = |title: &str, times: Times| Times { title: Some(title.to_owned()), ..times };
        let right = || times(Some(1000), Some(2000));
        for (asked, part) in [
            (times(None, Some(10)), "until is in the past"),
            (times(Some(2000), Some(2000)), "is not later than from"),
            (early(1, Times::default()), "early_seconds is for a booking"),
            (early(1, times(None, Some(2000))), "early_seconds is how much earlier than from"),
            (early(86_401, right()), "early_seconds is at most 86400"),
            (titled("Party", Times::default()), "title is for a booking"),
            (titled(" ", right()), "title is empty"),
            (titled(&"x".repeat(LONGEST_TITLE + 1), right()), "title is too long: it has 257 characters"),
            (titled("a\nb", right()), "title has control characters"),
        ] {
            let refused = asked.clone().booking(at(10)).expect_err("senseless");
            assert!(refused.contains(part), "{asked:?}: {refused}");
        }
    }
}
