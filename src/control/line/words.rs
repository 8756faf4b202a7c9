//! What a line says: a JSON object, or words as people type them. Pure.

use serde_json::{Map, Value};

use crate::action::{Action, Standing};
use crate::authority::Verdict;
use crate::booking::Times;
use crate::command::{Command, FollowQuery};
use crate::config::Secret;
use crate::xmpp::jitsi::mute::Medium;

/// Shown to whoever says `help`.
pub(super) const HELP: &[&str] = &[
    "hold ROOM [WHY] | release ROOM [WHY] | suspend ROOM [2h] [WHY]",
    "hold ROOM [WHY] [--from TIME] [--until TIME] [--early 10m] [--title TEXT]: a booking; 2026-03-01T18:00:00Z is a time",
    "rooms | room ROOM | why ROOM | status",
    "kick ROOM NICK [WHY] | ban ROOM NICK [WHY] | unban WHO | bans | mute ROOM NICK [audio|video|desktop]",
    "say ROOM TEXT | tell ROOM NICK TEXT | subject ROOM TEXT | lock ROOM PASSWORD | unlock ROOM",
    "lobby ROOM on|off | admit ROOM NICK | deny ROOM NICK [WHY] | voice ROOM NICK on|off",
    "grant ROOM WHO | revoke ROOM WHO | end ROOM [WHY]",
    "answer NUMBER allow|deny|moderator|mute [WHY] | desire REVISION ROOM …",
    "follow [ROOMS] [KINDS] | unfollow | ping | help | quit",
    "a name with blanks stands between quotes: kick tavern \"Ann Lee\" rude",
];

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Comes back with the answer, whatever it is.
    pub(super) seq: Option<Value>,
    /// What is asked.
    pub(super) what: What,
}

/// What a line asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Shows the secret.
    Auth(Secret),
    /// One of everybody's commands.
    Command(Box<Command>),
    /// Wants to hear of events from now on.
    Follow(FollowQuery),
    /// Wants to hear of no more events.
    Unfollow,
    /// Whether we are there.
    Ping,
    /// What may be said.
    Help,
    /// Goes.
    Quit,
}

/// Why a line can not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unclear {
    /// As in [`Said`], where that much could be read.
    pub(super) seq: Option<Value>,
    /// What is wrong, in one sentence.
    pub(super) text: String,
}

/// Reads a line without its end.
///
/// # Errors
/// See [`Unclear`].
pub(super) fn read(line: &str) -> Result<Said, Unclear> {
    let line = line.trim();
    if line.starts_with('{') {
        return object(line);
    }
    match words(line) {
        Ok(what) => Ok(Said { seq: None, what }),
        Err(text) => Err(Unclear { seq: None, text }),
    }
}

fn object(line: &str) -> Result<Said, Unclear> {
    let mut object: Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| Unclear { seq: None, text: format!("not a JSON object: {error}") })?;
    let seq = object.remove("seq");
    let unclear = |text: String| Unclear { seq: seq.clone(), text };
    if let Some(secret) = object.get("auth") {
        let secret = secret.as_str().ok_or_else(|| unclear("auth is the secret, a string".to_owned()))?;
        return Ok(Said { what: What::Auth(Secret::new(secret)), seq });
    }
    let what = match object.get("command").and_then(Value::as_str) {
        Some("follow") => {
            object.remove("command");
            let query = serde_json::from_value(Value::Object(object));
            What::Follow(query.map_err(|error| unclear(format!("not what can be followed: {error}")))?)
        }
        Some("unfollow") => What::Unfollow,
        Some("ping") => What::Ping,
        Some("help") => What::Help,
        Some("quit") => What::Quit,
        _ => {
            let command = serde_json::from_value(Value::Object(object));
            What::Command(Box::new(command.map_err(|error| unclear(format!("not a command: {error}")))?))
        }
    };
    Ok(Said { seq, what })
}

/// The words of a line, one after the other; the rest of it, where a text is wanted.
struct Words<'l>(&'l str);

impl Words<'_> {
    /// The next word; one between quotes may hold blanks.
    fn next(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        if let Some(quoted) = rest.strip_prefix('"')
            && let Some((word, rest)) = quoted.split_once('"')
        {
            self.0 = rest;
            return Some(word.to_owned());
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn need(&mut self, what: &str) -> Result<String, String> {
        self.next().ok_or_else(|| format!("{what} is missing; say help"))
    }

    /// The next word as it stands there, quotes and all.
    fn raw(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        self.next()?;
        Some(rest[..rest.len() - self.0.len()].to_owned())
    }

    /// All that is left.
    fn rest(&self) -> Option<String> {
        let rest = self.0.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn text(&self) -> Result<Box<str>, String> {
        self.rest().map(Into::into).ok_or_else(|| "the text is missing; say help".to_owned())
    }

    fn switch(&mut self) -> Result<bool, String> {
        match self.next().as_deref() {
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            _ => Err("on or off is missing; say help".to_owned()),
        }
    }
}

fn words(line: &str) -> Result<What, String> {
    let mut words = Words(line);
    let verb = words.next().unwrap_or_default().to_lowercase();
    let what = match verb.as_str() {
        "auth" => What::Auth(Secret::new(words.rest().unwrap_or_default())),
        "follow" => {
            let (room, kind) = (words.next(), words.next());
            What::Follow(FollowQuery { room, kind, ..FollowQuery::default() })
        }
        "unfollow" => What::Unfollow,
        "ping" => What::Ping,
        "help" => What::Help,
        "quit" | "bye" => What::Quit,
        verb => What::Command(Box::new(command(verb, &mut words)?)),
    };
    Ok(what)
}

fn command(verb: &str, words: &mut Words<'_>) -> Result<Command, String> {
    match verb {
        "rooms" => return Ok(Command::Rooms),
        "status" => return Ok(Command::Status),
        "health" => return Ok(Command::Health),
        "bans" => return Ok(Command::Bans),
        "answer" => {
            let ask = words.need("the question's number")?.parse().map_err(|_| "the question's number is none")?;
            let verdict = match words.next().as_deref() {
                Some("allow") => Verdict::Allow,
                Some("deny") => Verdict::Deny,
                Some("moderator") => Verdict::Moderator,
                Some("mute") => Verdict::Mute,
                _ => return Err("allow, deny, moderator or mute is missing; say help".to_owned()),
            };
            let (authority, reason, for_seconds) = (None, words.rest(), None);
            return Ok(Command::Answer { authority, ask, verdict, reason, for_seconds });
        }
        "desire" => {
            let revision = words.need("the revision")?.parse().map_err(|_| "the revision is no number")?;
            let rooms = std::iter::from_fn(|| words.next()).collect();
            return Ok(Command::Desire { authority: None, revision, rooms, really_empty: false });
        }
        "unban" => return Ok(Command::Unban { who: words.need("whom")? }),
        _ => {}
    }
    let known = [
        "hold", "release", "suspend", "room", "why", "kick", "ban", "mute", "say", "tell", "subject", "lock", "unlock",
        "lobby", "admit", "deny", "voice", "grant", "revoke", "end",
    ];
    if !known.contains(&verb) {
        return Err(format!("{:?} is no command; say help", crate::xmpp::muc::clip(verb)));
    }
    let room = words.need("the room")?;
    let mut nick = || words.need("the nick").map(String::into_boxed_str);
    let action = match verb {
        "hold" => return hold(room, words),
        "release" => return Ok(Command::Release { room, reason: words.rest() }),
        "suspend" => {
            let rest = words.rest().unwrap_or_default();
            let (first, reason) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
            return Ok(match humantime::parse_duration(first) {
                Ok(time) => {
                    let reason = (!reason.trim().is_empty()).then(|| reason.trim().to_owned());
                    Command::Suspend { room, for_seconds: Some(time.as_secs()), reason }
                }
                // Whoever meant a time does not mean for good.
                Err(_) if first.starts_with(|c: char| c.is_ascii_digit()) => {
                    return Err(format!("{:?} is no duration such as 30m or 2h", crate::xmpp::muc::clip(first)));
                }
                Err(_) => Command::Suspend { room, for_seconds: None, reason: words.rest() },
            });
        }
        "room" => return Ok(Command::Room { room }),
        "why" => return Ok(Command::WhyRoom { room }),
        "ban" => {
            let who = words.need("whom")?;
            let (reason, note, rooms) = (words.rest(), None, None);
            return Ok(Command::Ban { room, who, for_seconds: None, reason, note, everywhere: false, rooms });
        }
        "kick" => Action::Kick { nick: nick()? },
        "admit" => Action::Admit { nick: nick()? },
        "deny" => Action::Deny { nick: nick()? },
        "voice" => Action::Voice { nick: nick()?, on: words.switch()? },
        "mute" => {
            let nick = nick()?;
            let medium = match words.next().as_deref() {
                None | Some("audio") => Medium::Audio,
                Some("video") => Medium::Video,
                Some("desktop") => Medium::Desktop,
                Some(_) => return Err("audio, video or desktop is expected".to_owned()),
            };
            Action::Mute { nick: (*nick != *"*").then_some(nick), medium }
        }
        "say" => Action::Say { nick: None, text: words.text()? },
        "tell" => Action::Say { nick: Some(nick()?), text: words.text()? },
        "subject" => Action::Subject { text: words.rest().unwrap_or_default().into() },
        "lock" => Action::Lock { password: Some(Secret::new(words.text()?)) },
        "unlock" => Action::Lock { password: None },
        "lobby" => Action::Lobby { on: words.switch()? },
        "grant" => Action::Affiliate { jid: nick()?, to: Standing::Owner },
        "revoke" => Action::Affiliate { jid: nick()?, to: Standing::None },
        // The list above holds no other word.
        _ => Action::End,
    };
    let reason = match action {
        Action::Kick { .. } | Action::Deny { .. } | Action::Affiliate { .. } | Action::End => words.rest(),
        _ => None,
    };
    Ok(Command::Act { room, action, reason, key: None })
}

/// Why a room is held, and for which time: the options of `innkeeper hold`, before, between or after the other words.
fn hold(room: String, words: &mut Words<'_>) -> Result<Command, String> {
    let (mut times, mut why) = (Times::default(), Vec::new());
    while let Some(word) = words.raw() {
        if !word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic())) {
            why.push(word);
            continue;
        }
        let value = words.need(&format!("what follows {word}"))?;
        let time = || {
            let expected = "a time with its zone is expected, such as 2026-03-01T18:00:00Z";
            value.parse().map(Some).map_err(|_| format!("{word}: {expected}"))
        };
        match word.as_str() {
            "--from" => times.from = time()?,
            "--until" => times.until = time()?,
            "--early" => {
                let early = humantime::parse_duration(&value);
                let early = early.map_err(|_| format!("{word}: a duration such as 10m is expected"))?;
                times.early_seconds = Some(early.as_secs());
            }
            "--title" => times.title = Some(value),
            "--reason" => why.push(value),
            _ => return Err(format!("{:?} is no option of hold; say help", crate::xmpp::muc::clip(&word))),
        }
    }
    let reason = (!why.is_empty()).then(|| why.join(" "));
    Ok(Command::Hold { room, reason, times })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn command(line: &str) -> Command {
        match read(line) {
            Ok(Said { what: What::Command(command), .. }) => *command,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn act(action: Action, reason: Option<&str>) -> Command {
        Command::Act { room: "tavern".into(), action, reason: reason.map(Into::into), key: None }
    }

    #[test]
    fn words_say_the_same_as_objects() {
        for (words, object) in [
            ("hold tavern", r#"{"command":"hold","room":"tavern"}"#),
            ("HOLD tavern  a party ", r#"{"command":"hold","room":"tavern","reason":"a party"}"#),
            (
                "suspend tavern 2h cleaning",
                r#"{"command":"suspend","room":"tavern","for_seconds":7200,"reason":"cleaning"}"#,
            ),
            ("suspend tavern cleaning now", r#"{"command":"suspend","room":"tavern","reason":"cleaning now"}"#),
            ("rooms", r#"{"command":"rooms"}"#),
            ("why tavern", r#"{"command":"why-room","room":"tavern"}"#),
            (
                "kick tavern \"Ann Lee\" rude",
                r#"{"command":"act","room":"tavern","action":"kick","nick":"Ann Lee","reason":"rude"}"#,
            ),
            ("ban tavern bob", r#"{"command":"ban","room":"tavern","who":"bob"}"#),
            (
                "answer 7 deny not in the story",
                r#"{"command":"answer","ask":7,"verdict":"deny","reason":"not in the story"}"#,
            ),
            (
                "desire 3 game-hall game-crypt",
                r#"{"command":"desire","revision":3,"rooms":["game-hall","game-crypt"]}"#,
            ),
            ("end tavern", r#"{"command":"act","room":"tavern","action":"end"}"#),
        ] {
            assert_eq!(command(words), command(object), "{words}");
        }
    }

    #[test]
    fn an_object_can_book_a_room() {
        let line =
            r#"{"command":"hold","room":"hall","until":"2026-03-01T20:00:00Z","early_seconds":0,"title":"Council"}"#;
        let until = "2026-03-01T20:00:00Z".parse().ok();
        let times = Times { from: None, until, early_seconds: Some(0), title: Some("Council".into()) };
        let hold = Command::Hold { room: "hall".into(), reason: None, times };
        assert_eq!(command(line), hold);
        assert_eq!(command(&hold.record()), hold, "as the record keeps it");
    }

    #[test]
    fn a_room_is_booked_in_words_with_the_options_of_the_command_line() {
        let times = r#""from":"2026-12-01T18:00:00Z","until":"2026-12-01T20:00:00Z","early_seconds":300"#;
        for (words, object) in [
            (
                "hold tavern --until 2026-12-01T10:00:00+01:00 --title \"Council of Elrond\"",
                r#"{"command":"hold","room":"tavern","until":"2026-12-01T09:00:00Z","title":"Council of Elrond"}"#
                    .into(),
            ),
            (
                "hold tavern --from 2026-12-01T18:00:00Z --until 2026-12-01T20:00:00Z --early 5m",
                format!(r#"{{"command":"hold","room":"tavern",{times}}}"#),
            ),
            (
                "hold tavern the \"big\" -- party --from 2026-12-01T18:00:00Z --until 2026-12-01T20:00:00Z --early 5m at Ann's",
                format!(r#"{{"command":"hold","room":"tavern",{times},"reason":"the \"big\" -- party at Ann's"}}"#),
            ),
            (
                "hold tavern --reason \"no end\" --from 2026-12-01T18:00:00Z",
                r#"{"command":"hold","room":"tavern","from":"2026-12-01T18:00:00Z","reason":"no end"}"#.into(),
            ),
        ] {
            assert_eq!(command(words), command(&object), "{words}");
        }
        for (line, part) in [
            ("hold tavern --until", "what follows --until is missing"),
            ("hold tavern --until 2026-12-01T10:00", "--until: a time with its zone is expected"),
            ("hold tavern --until tomorrow", "such as 2026-03-01T18:00:00Z"),
            ("hold tavern --early soon --from 2026-12-01T18:00:00Z", "--early: a duration such as 10m"),
            ("hold tavern --late 5m", "\"--late\" is no option of hold"),
        ] {
            let unclear = read(line).expect_err(line);
            assert!(unclear.text.contains(part), "{line}: {}", unclear.text);
        }
    }

    #[test]
    fn what_is_done_in_rooms_can_be_said_in_words() {
        let bob = || Box::<str>::from("bob");
        for (line, expected) in [
            ("mute tavern bob", act(Action::Mute { nick: Some(bob()), medium: Medium::Audio }, None)),
            ("mute tavern * video", act(Action::Mute { nick: None, medium: Medium::Video }, None)),
            ("say tavern last orders", act(Action::Say { nick: None, text: "last orders".into() }, None)),
            ("tell tavern bob go home", act(Action::Say { nick: Some(bob()), text: "go home".into() }, None)),
            ("voice tavern bob off", act(Action::Voice { nick: bob(), on: false }, None)),
            ("lobby tavern on", act(Action::Lobby { on: true }, None)),
            ("subject tavern", act(Action::Subject { text: "".into() }, None)),
            ("unlock tavern", act(Action::Lock { password: None }, None)),
            ("deny tavern bob not yet", act(Action::Deny { nick: bob() }, Some("not yet"))),
            (
                "grant tavern bob@meet.jitsi",
                act(Action::Affiliate { jid: "bob@meet.jitsi".into(), to: Standing::Owner }, None),
            ),
        ] {
            assert_eq!(command(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_number_and_what_is_missing() {
        for (line, part) in [
            ("", "\"\" is no command"),
            ("dance tavern", "\"dance\" is no command; say help"),
            ("kick", "the room is missing"),
            ("kick tavern", "the nick is missing"),
            ("lobby tavern maybe", "on or off"),
            ("mute tavern bob smell", "audio, video or desktop"),
            ("say tavern", "the text is missing"),
            ("suspend tavern 2x", "\"2x\" is no duration"),
            ("{\"command\":\"dance\"}", "not a command: unknown variant `dance`"),
            ("{\"command\":\"hold\"}", "missing field `room`"),
            ("{broken", "not a JSON object"),
            ("{\"command\":\"follow\",\"after\":\"x\"}", "expected u64"),
            ("{\"command\":\"follow\",\"rooms\":\"x\"}", "unknown field"),
        ] {
            let unclear = read(line).expect_err(line);
            assert!(unclear.text.contains(part), "{line}: {}", unclear.text);
        }
        let unclear = read(r#"{"command":"dance","seq":"a7"}"#).expect_err("no such command");
        assert_eq!(unclear.seq, Some(json!("a7")));
    }

    #[test]
    fn the_number_of_a_request_comes_back_and_is_no_part_of_it() {
        let said = read(r#"{"command":"rooms","seq":7}"#).expect("a command");
        assert_eq!((said.seq, said.what), (Some(json!(7)), What::Command(Box::new(Command::Rooms))));
        let query =
            FollowQuery { room: Some("game-*".into()), kind: Some("room.held".into()), ..FollowQuery::default() };
        assert_eq!(read("follow game-* room.held").map(|said| said.what), Ok(What::Follow(query.clone())));
        let follow = r#"{"command":"follow","room":"game-*","kind":"room.held","who":"Ann","after":12,"seq":8}"#;
        let follow = read(follow).expect("follow");
        let query = FollowQuery { who: Some("Ann".into()), after: Some(12), ..query };
        assert_eq!((follow.seq, follow.what), (Some(json!(8)), What::Follow(query)));
    }

    #[test]
    fn a_secret_is_said_in_words_or_in_an_object_and_does_not_show_itself() {
        for line in ["auth correct horse ", r#"{"auth":"correct horse"}"#] {
            let said = read(line).expect("a secret");
            assert_eq!(said.what, What::Auth(Secret::new("correct horse")), "{line}");
            assert!(!format!("{said:?}").contains("horse"));
        }
    }
}
