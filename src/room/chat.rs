//! A moderator's word in chat: `!kick nick reason`. Pure.
//!
//! Whoever may say it is decided by what the server says of them, never by what they say of themselves: a role of
//! moderator, or a real account on the room's list. What cannot be taken back is not to be had this way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Occupant, Occupants};
use crate::action::Action;
use crate::config::Secret;
use crate::xmpp::jid;
use crate::xmpp::jitsi::mute::Medium;
use crate::xmpp::muc::{Role, clip};

/// Words that a room obeys in a minute.
const A_MINUTE: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The longest ban that can be said in chat, and the one meant when none is said.
const LONGEST_BAN: Duration = Duration::from_secs(3600);
/// So many words are tried as somebody's name.
const NAME_WORDS: usize = 8;
/// Longer messages are no commands.
const LONGEST: usize = 2048;

/// Who may give commands in a room's chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Every moderator may.
    pub moderators: bool,
    /// These bare JIDs may, whatever their role.
    pub accounts: Vec<Box<str>>,
    /// Domains where anybody gets an account for the asking: a JID there proves nothing.
    pub anonymous_domains: Vec<Box<str>>,
}

impl Settings {
    /// Whether there is anybody who may.
    fn anybody(&self) -> bool {
        self.moderators || !self.accounts.is_empty()
    }
}

/// What was said, and where.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The sender's nick.
    pub nick: &'a str,
    /// The text.
    pub text: &'a str,
    /// To us alone.
    pub private: bool,
}

/// What a line comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Do this.
    Do {
        /// What.
        action: Action,
        /// The real JID of the occupant who is meant.
        real_jid: Option<Box<str>>,
        /// Why, as the moderator gave it.
        reason: Box<str>,
    },
    /// Ban an occupant for a while.
    Ban {
        /// Their nick.
        nick: Box<str>,
        /// For how long.
        period: Duration,
        /// Why, as the moderator gave it.
        reason: Box<str>,
    },
    /// Answer this, to the sender alone.
    Answer(Box<str>),
}

/// The commands of one room.
#[derive(Debug, Default)]
pub struct Chat {
    obeyed: VecDeque<Instant>,
    refused: Option<Instant>,
    /// When somebody was told that it is not for them to say.
    turned_away: VecDeque<Instant>,
}

impl Chat {
    /// Reads a live line of somebody present; nothing when it is no command, or not theirs to give.
    pub fn hear(&mut self, now: Instant, line: Line<'_>, here: &Occupants, who: &Settings) -> Option<Outcome> {
        let words = line.text.strip_prefix('!').filter(|words| words.len() <= LONGEST)?;
        let (verb, rest) = split(words);
        // Somebody who only shouts gets no answer.
        let known = VERBS.iter().any(|(known, ..)| *known == verb);
        let sender = here.by_nick(line.nick)?;
        if !known || !who.anybody() {
            return None;
        }
        if !may(sender, who) {
            // Nor is the keeper to be made to talk.
            let whose = if who.moderators { "its moderators" } else { "those on its list" };
            let text = format!("not done: in this room only {whose} may say that");
            return a_place(&mut self.turned_away, now).then(|| Outcome::Answer(text.into()));
        }
        if !a_place(&mut self.obeyed, now) {
            let said = self.refused.is_some_and(|at| at + MINUTE > now);
            if !said {
                self.refused = Some(now);
            }
            let text = format!("not done: {A_MINUTE} commands a minute are obeyed in this room");
            return (!said).then(|| Outcome::Answer(text.into()));
        }
        Some(read(verb, rest, line, here).unwrap_or_else(|refusal| Outcome::Answer(refusal.into())))
    }
}

/// Takes one of the places of this minute, where one is left.
fn a_place(taken: &mut VecDeque<Instant>, now: Instant) -> bool {
    while taken.front().is_some_and(|at| *at + MINUTE <= now) {
        taken.pop_front();
    }
    let free = taken.len() < A_MINUTE;
    if free {
        taken.push_back(now);
    }
    free
}

/// Whether the sender may give commands.
fn may(sender: &Occupant, who: &Settings) -> bool {
    if who.moderators && sender.role == Some(Role::Moderator) {
        return true;
    }
    listed(sender, who)
}

/// Whether the sender's account is on the room's list.
pub(super) fn listed(sender: &Occupant, who: &Settings) -> bool {
    let Some(real) = sender.real_jid.as_deref().map(jid::bare) else { return false };
    let anonymous = who.anonymous_domains.iter().any(|domain| **domain == *jid::domain(real));
    !anonymous && who.accounts.iter().any(|account| **account == *real)
}

/// The verbs with what they take, for `!help`.
const VERBS: &[(&str, &str)] = &[
    ("help", ""),
    ("kick", "NICK [REASON]"),
    ("ban", "NICK [10m] [REASON]"),
    ("mute", "NICK|all [audio|video|desktop]"),
    ("voice", "NICK"),
    ("unvoice", "NICK"),
    ("subject", "[TEXT]"),
    ("lobby", "on|off"),
    ("admit", "NICK"),
    ("deny", "NICK"),
    ("lock", "PASSWORD"),
    ("unlock", ""),
    ("avmod", "on|off [audio|video|desktop]"),
];

fn read(verb: &str, rest: &str, line: Line<'_>, here: &Occupants) -> Result<Outcome, String> {
    let plain = |action| Ok(Outcome::Do { action, real_jid: None, reason: "".into() });
    match verb {
        "help" => {
            let verbs: Vec<String> = VERBS.iter().map(|(verb, takes)| format!("!{verb} {takes}")).collect();
            Ok(Outcome::Answer(verbs.join("\n").replace(" \n", "\n").trim_end().into()))
        }
        "subject" => plain(Action::Subject { text: rest.into() }),
        "lobby" => plain(Action::Lobby { on: on_off(rest, "lobby")? }),
        "lock" if !line.private => {
            Err("not done: everybody has read that password; say it to me alone, and another one".to_owned())
        }
        "lock" if rest.is_empty() => Err("not done: !lock PASSWORD".to_owned()),
        "lock" => plain(Action::Lock { password: Some(Secret::new(rest)) }),
        "unlock" => plain(Action::Lock { password: None }),
        "avmod" => {
            let (on, which) = split(rest);
            plain(Action::AvModeration { medium: medium(which)?, on: on_off(on, "avmod")? })
        }
        "mute" => {
            let (name, which) = person(rest, here)?;
            let medium = medium(which)?;
            if name == "all" && here.by_nick("all").is_none() {
                return plain(Action::Mute { nick: None, medium });
            }
            with_target(&name, here, "", |nick| Action::Mute { nick: Some(nick), medium })
        }
        "voice" | "unvoice" => {
            let (name, reason) = person(rest, here)?;
            with_target(&name, here, reason, |nick| Action::Voice { nick, on: verb == "voice" })
        }
        "kick" => {
            let (name, reason) = person(rest, here)?;
            with_target(&name, here, reason, |nick| Action::Kick { nick })
        }
        // Whoever waits is not in the room: the lobby's own list finds them. Nothing follows their name.
        "admit" => plain(Action::Admit { nick: whole(rest)?.into() }),
        "deny" => plain(Action::Deny { nick: whole(rest)?.into() }),
        _ => {
            let (name, rest) = person(rest, here)?;
            let (nick, _) = target(&name, here)?;
            let (first, others) = split(rest);
            let (period, reason) = match humantime::parse_duration(first) {
                Ok(period) => (period, others),
                Err(_) => (LONGEST_BAN, rest),
            };
            if period > LONGEST_BAN {
                return Err("not done: in chat a ban lasts an hour at most; ask an admin for more".to_owned());
            }
            Ok(Outcome::Ban { nick, period, reason: clip(reason).into() })
        }
    }
}

fn with_target(
    name: &str,
    here: &Occupants,
    reason: &str,
    action: impl FnOnce(Box<str>) -> Action,
) -> Result<Outcome, String> {
    let (nick, real_jid) = target(name, here)?;
    Ok(Outcome::Do { action: action(nick), real_jid, reason: clip(reason).into() })
}

fn target(name: &str, here: &Occupants) -> Result<(Box<str>, Option<Box<str>>), String> {
    let (nick, occupant) = super::target::target(name, here, "here").map_err(|text| format!("not done: {text}"))?;
    Ok((nick.into(), occupant.real_jid.clone()))
}

/// Somebody's name at the start of a text, and the rest: what stands between quotes, else as many words as somebody here
/// is called, for most are called by two, else the first word.
fn person<'t>(text: &'t str, here: &Occupants) -> Result<(String, &'t str), String> {
    let text = text.trim();
    let ends = text.match_indices(char::is_whitespace).map(|(at, _)| at).take(NAME_WORDS - 1);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    let spaced = || ends.iter().rev().map(|end| text.split_at(*end)).filter(|(name, _)| name.trim_end() == *name);
    let called = |name: &str| !matches!(super::target::meant(name, here), super::target::Meant::Nobody);
    match spaced().find(|(name, _)| !text.starts_with('"') && called(name)) {
        Some((name, rest)) => Ok((name.to_owned(), rest.trim_start())),
        None => name(text),
    }
}

/// A text that is nothing but a name, with or without quotes.
fn whole(text: &str) -> Result<String, String> {
    let (quoted, rest) = name(text)?;
    Ok(if rest.is_empty() { quoted } else { text.trim().to_owned() })
}

/// The first word, or what stands between quotes, and the rest.
fn name(text: &str) -> Result<(String, &str), String> {
    let (name, rest) = match text.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((name, rest)) => (name, rest.trim_start()),
        None => split(text),
    };
    if name.is_empty() { Err("not done: whom? !help says how".to_owned()) } else { Ok((name.to_owned(), rest)) }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(first, rest)| (first, rest.trim_start()))
}

fn on_off(word: &str, verb: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("not done: !{verb} on, or !{verb} off")),
    }
}

fn medium(word: &str) -> Result<Medium, String> {
    if word.is_empty() {
        return Ok(Medium::Audio);
    }
    let found = Medium::ALL.into_iter().find(|medium| medium.as_str() == word);
    found.ok_or_else(|| format!("not done: {} is not audio, video or desktop", clip(word)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;
    use crate::xmpp::muc::{Affiliation, RoomPresence};

    fn here() -> Occupants {
        let mut here = Occupants::default();
        for (nick, role, name, real) in [
            ("boss", "moderator", "Boss", "boss@example/1"),
            ("a1", "participant", "Ann", "ann@guest.example/2"),
            ("a2", "participant", "Ann", "eve@guest.example/3"),
            ("two words", "participant", "Tom", "tom@example/4"),
            ("b1", "participant", "Bob", "bob@guest.example/5"),
            ("b2", "participant", "Bob Builder", "bob@guest.example/6"),
        ] {
            let presence = RoomPresence {
                role: Some(Role::read(role)),
                affiliation: Some(Affiliation::None),
                real_jid: Some(real.to_owned()),
                display_name: Some(name.to_owned()),
                ..RoomPresence::default()
            };
            here.enter(Instant::now(), nick, &presence);
        }
        here
    }

    fn hear(chat: &mut Chat, nick: &str, text: &str, who: &Settings) -> Option<Outcome> {
        chat.hear(Instant::now(), Line { nick, text, private: false }, &here(), who)
    }

    fn moderators() -> Settings {
        Settings { moderators: true, ..Settings::default() }
    }

    fn says(text: &str) -> Outcome {
        hear(&mut Chat::default(), "boss", text, &moderators()).expect("a moderator is answered")
    }

    fn answer(text: &str) -> String {
        match says(text) {
            Outcome::Answer(text) => text.into(),
            other => panic!("{text} is obeyed: {other:?}"),
        }
    }

    fn kick(nick: &str, real: &str, reason: &str) -> Outcome {
        Outcome::Do { action: Action::Kick { nick: nick.into() }, real_jid: Some(real.into()), reason: reason.into() }
    }

    #[test]
    fn a_moderator_kicks_by_nick_by_display_name_and_by_quoted_nick() {
        assert_eq!(says("!kick a1 be  nice"), kick("a1", "ann@guest.example/2", "be  nice"));
        assert_eq!(says("!kick Tom"), kick("two words", "tom@example/4", ""));
        assert_eq!(says("!kick \"two words\" now"), kick("two words", "tom@example/4", "now"));
    }

    #[test]
    fn a_name_of_several_words_needs_no_quotes_and_the_longest_is_meant() {
        assert_eq!(says("!kick Bob Builder be nice"), kick("b2", "bob@guest.example/6", "be nice"));
        assert_eq!(says("!kick bob builder"), kick("b2", "bob@guest.example/6", ""));
        assert_eq!(says("!kick Bob go away"), kick("b1", "bob@guest.example/5", "go away"));
        assert_eq!(says("!kick \"Bob\" Builder"), kick("b1", "bob@guest.example/5", "Builder"));
        assert_eq!(says("!kick two words"), kick("two words", "tom@example/4", ""));
        let ban = Outcome::Ban { nick: "b2".into(), period: Duration::from_secs(600), reason: "spam".into() };
        assert_eq!(says("!ban Bob Builder 10m spam"), ban);
        let Outcome::Do { action: Action::Mute { nick, medium }, .. } = says("!mute Bob Builder video") else {
            panic!()
        };
        assert_eq!((nick.as_deref(), medium), (Some("b2"), Medium::Video));
        assert!(answer("!kick Nobody Here").contains("is called Nobody"));
        let waits =
            |nick: &str| Outcome::Do { action: Action::Admit { nick: nick.into() }, real_jid: None, reason: "".into() };
        assert_eq!(says("!admit Carl Of Old"), waits("Carl Of Old"));
        assert_eq!(says("!admit \"Carl Of Old\""), waits("Carl Of Old"));
    }

    #[test]
    fn two_of_one_name_are_not_guessed_between() {
        let answer = answer("!kick Ann");
        assert!(answer.contains("a1, a2"), "{answer}");
    }

    #[test]
    fn only_the_servers_word_makes_a_moderator() {
        let mut chat = Chat::default();
        let refused = |heard: Option<Outcome>| matches!(heard, Some(Outcome::Answer(text)) if text.contains("only"));
        assert!(refused(hear(&mut chat, "a1", "!kick boss", &moderators())));
        assert_eq!(hear(&mut chat, "nobody", "!kick boss", &moderators()), None);
        assert_eq!(hear(&mut chat, "boss", "!help", &Settings::default()), None, "nobody asked for commands");
        let who = Settings {
            moderators: false,
            accounts: vec!["tom@example".into(), "ann@guest.example".into()],
            anonymous_domains: vec!["guest.example".into()],
        };
        assert!(refused(hear(&mut chat, "boss", "!help", &who)));
        assert!(hear(&mut chat, "two words", "!help", &who).is_some());
        assert!(refused(hear(&mut chat, "a1", "!help", &who)), "an account for the asking proves nothing");
    }

    #[test]
    fn whoever_may_not_is_told_so_ten_times_a_minute_and_takes_no_place_of_those_who_may() {
        let mut chat = Chat::default();
        let told = (0..50).filter(|_| hear(&mut chat, "a1", "!kick boss", &moderators()).is_some()).count();
        assert_eq!(told, 10);
        assert!(matches!(hear(&mut chat, "boss", "!kick a1", &moderators()), Some(Outcome::Do { .. })));
    }

    #[test]
    fn what_cannot_be_taken_back_is_not_to_be_had() {
        for text in ["!destroy", "!recover", "!grant a1", "!end", "!KICK a1", "kick a1", "! kick a1"] {
            let heard = hear(&mut Chat::default(), "boss", text, &moderators());
            assert!(!matches!(heard, Some(Outcome::Do { action: Action::Destroy | Action::End, .. })), "{text}");
        }
        assert_eq!(hear(&mut Chat::default(), "boss", "!destroy", &moderators()), None);
        assert!(answer("!ban a1 2h").contains("an hour"));
        let ban = Outcome::Ban { nick: "a1".into(), period: Duration::from_secs(600), reason: "spam".into() };
        assert_eq!(says("!ban a1 10m spam"), ban);
    }

    #[test]
    fn a_password_said_aloud_is_not_taken() {
        assert!(answer("!lock sesame").contains("everybody"));
        let line = Line { nick: "boss", text: "!lock sesame", private: true };
        let heard = Chat::default().hear(Instant::now(), line, &here(), &moderators());
        assert!(matches!(heard, Some(Outcome::Do { action: Action::Lock { password: Some(_) }, .. })), "{heard:?}");
    }

    #[test]
    fn ten_a_minute_are_obeyed_and_the_eleventh_is_answered_once() {
        let mut chat = Chat::default();
        let start = Instant::now();
        let mut hear = |after: u64| {
            let line = Line { nick: "boss", text: "!lobby on", private: false };
            chat.hear(start + Duration::from_secs(after), line, &here(), &moderators())
        };
        for _ in 0..10 {
            assert!(matches!(hear(0), Some(Outcome::Do { .. })));
        }
        assert!(matches!(hear(1), Some(Outcome::Answer(_))));
        assert_eq!(hear(2), None);
        assert!(matches!(hear(60), Some(Outcome::Do { .. })));
    }
}
