//! What a receiver's answer means for what was sent. Pure.
//!
//! Source: RFC 9110 §15 "Status Codes", §10.2.3 "Retry-After".

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Longest wait that a receiver may ask for.
const MOST: Duration = Duration::from_secs(3600);

/// What came of sending something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Accepted,
    /// Not a byte of it was sent.
    Unsent(String),
    /// It was sent, and nobody knows what came of it.
    Unknown(String),
    /// The receiver wants to be left alone for a while, so long if it says so.
    Busy(Option<Duration>, String),
    /// The receiver failed.
    Failed(String),
    /// The receiver does not know us.
    Forbidden(String),
    /// The receiver does not know the room.
    Gone(String),
    /// The receiver does not like what it got.
    Rejected(String),
}

impl Outcome {
    /// What is told of it.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Unsent(why)
            | Outcome::Unknown(why)
            | Outcome::Busy(_, why)
            | Outcome::Failed(why)
            | Outcome::Forbidden(why)
            | Outcome::Gone(why)
            | Outcome::Rejected(why) => why,
        }
    }
}

/// What an answer means. `retry_after` is that header as it was sent, `now` what it is counted from.
#[must_use]
pub fn read(status: StatusCode, retry_after: Option<&str>, now: Timestamp) -> Outcome {
    let wait = retry_after.and_then(|text| wait(text, now));
    let says = |text: &str| match status.canonical_reason() {
        Some(reason) => format!("it answers {} {reason}{text}", status.as_u16()),
        None => format!("it answers {}{text}", status.as_u16()),
    };
    match status.as_u16() {
        200..300 => Outcome::Accepted,
        // A place that moved is the admin's to write down: what is signed for one receiver is not carried to another.
        300..400 => Outcome::Failed(says(", and redirects are not followed; put the right address into url")),
        401 | 403 => Outcome::Forbidden(says("; do both sides have the same secret?")),
        404 | 410 => Outcome::Gone(says("")),
        408 => Outcome::Failed(says("")),
        429 => Outcome::Busy(wait, says("")),
        503 if wait.is_some() => Outcome::Busy(wait, says("")),
        400..500 => Outcome::Rejected(says("")),
        _ => Outcome::Failed(says("")),
    }
}

/// Seconds, or a moment.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(MOST));
    }
    let moment = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(moment.duration_since(now)).unwrap_or_default().min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, retry_after: Option<&str>) -> Outcome {
        let now = "2026-03-01T10:00:00Z".parse().expect("a time");
        read(StatusCode::from_u16(status).expect("a status"), retry_after, now)
    }

    #[test]
    fn each_class_of_answers_means_what_the_sender_has_to_do() {
        assert_eq!(outcome(204, None), Outcome::Accepted);
        assert!(matches!(outcome(302, None), Outcome::Failed(why) if why.contains("redirects are not followed")));
        assert!(
            matches!(outcome(401, None), Outcome::Forbidden(_)) && matches!(outcome(403, None), Outcome::Forbidden(_))
        );
        assert!(matches!(outcome(404, None), Outcome::Gone(_)) && matches!(outcome(410, None), Outcome::Gone(_)));
        assert!(matches!(outcome(400, None), Outcome::Rejected(why) if why == "it answers 400 Bad Request"));
        assert!(matches!(outcome(500, None), Outcome::Failed(_)) && matches!(outcome(503, None), Outcome::Failed(_)));
        assert!(matches!(outcome(599, None), Outcome::Failed(why) if why == "it answers 599"));
    }

    #[test]
    fn a_receiver_says_how_long_to_wait_in_seconds_or_until_when_and_not_for_ever() {
        let wait = |text| match outcome(429, Some(text)) {
            Outcome::Busy(wait, _) => wait.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 01 Mar 2026 10:00:30 GMT"), Some(30));
        assert_eq!(wait("Sun, 01 Mar 2026 09:00:00 GMT"), Some(0));
        assert_eq!(wait("99999999"), Some(3600));
        assert_eq!(wait("soon"), None);
        assert!(matches!(outcome(503, Some("7")), Outcome::Busy(Some(wait), _) if wait.as_secs() == 7));
    }
}
