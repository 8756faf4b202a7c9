//! Judgement: what a room sees comes in, verdicts go out. Pure.
//!
//! A [`Policy`] is the rules of one room. It is told everything the room sees ([`Input`]) and says what should be done
//! and why ([`Verdicts`]); doing it, and finding out whether it worked, is the room's business. Three things hold for
//! every rule, because they are seen to here and not in the rules:
//!
//! - nobody who is exempt is ever the subject of a verdict ([`exempt`]);
//! - history is never judged, nor anything while we do not hold the room;
//! - nothing is said twice of somebody on whom it is just being carried out.
//!
//! A rule in [`Mode::DryRun`] says the same as in [`Mode::Enforce`]; its strikes are counted apart, so that trying a
//! rule out brings nobody nearer to a real kick.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use exempt::{AllowList, Exempt};
pub use identity::{Identity, OccupantKey, Rung, Strength, Trust};
pub use options::{Measure, Span};
pub use person::{People, Person};
pub use strikes::{Steps, Strikes};
pub use table::{Policies, Table};

use crate::config::Secret;
use crate::xmpp::muc::{Affiliation, Role};
use text::Text;

pub mod bans;
pub mod exempt;
pub mod identity;
pub mod options;
pub mod person;
pub mod rules;
pub mod strikes;
pub mod table;
pub mod text;

#[cfg(test)]
pub(crate) mod bench;
#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The monotonic clock, for everything that lasts.
    pub at: Instant,
    /// The wall clock, for opening hours and for what is stored.
    pub clock: Timestamp,
}

impl Now {
    /// What the wall clock will show at an instant.
    #[must_use]
    pub fn clock_at(self, at: Instant) -> Timestamp {
        let ahead = at.saturating_duration_since(self.at);
        SignedDuration::try_from(ahead)
            .ok()
            .and_then(|ahead| self.clock.checked_add(ahead).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// The instant of a time that is still to come.
    #[must_use]
    pub fn instant_of(self, clock: Timestamp) -> Option<Instant> {
        let ahead = Duration::try_from(clock.duration_since(self.clock)).ok().filter(|ahead| !ahead.is_zero())?;
        self.at.checked_add(ahead)
    }
}

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are told, and nothing happens.
    DryRun,
    /// They are carried out.
    Enforce,
}

/// What is done about somebody, from the mildest to the harshest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanction {
    /// It is written down.
    Note,
    /// They are told, in private.
    Warn,
    /// Their microphone is turned off; chat can not be.
    Mute,
    /// They are moderator no more.
    Demote,
    /// They are thrown out, and may come back.
    Kick,
    /// They are thrown out and stay out, for a time or for good.
    Ban {
        /// For how long; `None`: for good.
        lasts: Option<Duration>,
    },
}

impl Sanction {
    /// Its place in the order of harshness.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Sanction::Note => 0,
            Sanction::Warn => 1,
            Sanction::Mute => 2,
            Sanction::Demote => 3,
            Sanction::Kick => 4,
            Sanction::Ban { .. } => 5,
        }
    }

    /// Whether they are out after it.
    #[must_use]
    pub fn removes(self) -> bool {
        matches!(self, Sanction::Kick | Sanction::Ban { .. })
    }
}

impl fmt::Display for Sanction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sanction::Note => f.write_str("note"),
            Sanction::Warn => f.write_str("warn"),
            Sanction::Mute => f.write_str("mute"),
            Sanction::Demote => f.write_str("demote"),
            Sanction::Kick => f.write_str("kick"),
            Sanction::Ban { lasts: None } => f.write_str("ban"),
            Sanction::Ban { lasts: Some(lasts) } => write!(f, "ban {}", humantime::format_duration(*lasts)),
        }
    }
}

/// What an available presence says of an occupant. The room fills it in; only `own`, `focus`, the real JID, role,
/// affiliation and occupant id are the server's word.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presence<'a> {
    /// The nick as the room writes it.
    pub nick: &'a str,
    /// The display name (XEP-0172).
    pub display_name: Option<&'a str>,
    /// The real JID.
    pub real_jid: Option<&'a str>,
    /// XEP-0421.
    pub occupant_id: Option<&'a str>,
    /// `<stats-id/>`.
    pub stats_id: Option<&'a str>,
    /// The user id in `<identity/>`.
    pub token_user: Option<&'a str>,
    /// The network address, where a module of the server tells it.
    pub address: Option<&'a str>,
    /// The role.
    pub role: Option<&'a Role>,
    /// The affiliation.
    pub affiliation: Option<&'a Affiliation>,
    /// It is we, or another session of our account.
    pub own: bool,
    /// It is the focus, by its account and affiliation, not by its nick.
    pub focus: bool,
    /// Its features are a recorder's, a telephone gateway's or a transcriber's.
    pub recorder: bool,
}

/// How somebody went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// By themselves, or their connection broke.
    Left,
    /// Status 307: thrown out, by us or by somebody else.
    Kicked {
        /// We did it.
        by_us: bool,
    },
    /// Status 301.
    Banned,
}

/// What a room sees.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// We ask to be let in: the list of occupants starts anew.
    Entering,
    /// We hold the room: inside, and moderator. Everybody who is there is looked at.
    Holding {
        /// What tells this life of the room from the one before, such as its meeting id.
        life: &'a str,
        /// When this life began, where it is known.
        since: Option<Timestamp>,
    },
    /// We are outside, or no moderator any more.
    Lost,
    /// An available presence of an occupant, the first or a later one.
    Present(Presence<'a>),
    /// A change of nick; a presence under the new nick may follow.
    Renamed {
        /// The nick before.
        from: &'a str,
        /// The nick now.
        to: &'a str,
    },
    /// Somebody went.
    Left {
        /// Their nick.
        nick: &'a str,
        /// How.
        how: Departure,
    },
    /// Something that somebody wrote.
    Message {
        /// Their nick.
        nick: &'a str,
        /// What they wrote.
        body: &'a str,
        /// The stanza's id, by which it could be retracted.
        id: Option<&'a str>,
        /// To us alone.
        private: bool,
        /// While our connection was lost: what was said in that time comes all at once, so how fast is not known.
        belated: bool,
    },
    /// A message without words: a reaction, or a word between clients. It counts, whatever it was.
    Wordless {
        /// Their nick.
        nick: &'a str,
    },
    /// A stanza of an occupant that can not be read: it counts, whatever it was.
    Unreadable {
        /// Their nick.
        nick: &'a str,
    },
    /// The room did not carry out what was asked of it about somebody.
    Refused {
        /// Their nick.
        nick: &'a str,
    },
    /// [`Policy::deadline`] has come.
    Timeout,
}

/// What a rule is shown. Whoever it is about is in the list of people, but for those who left.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Somebody is here whom we did not see before; see [`Person::live`].
    Joined(&'a Person),
    /// A further presence.
    Updated {
        /// As they are.
        who: &'a Person,
        /// As they were.
        before: &'a Person,
    },
    /// A change of nick.
    Renamed {
        /// As they are.
        who: &'a Person,
        /// The name that was shown before.
        before: &'a str,
    },
    /// Somebody went.
    Left {
        /// As they were.
        who: &'a Person,
        /// How.
        how: Departure,
    },
    /// Somebody wrote something just now.
    Message {
        /// Who.
        who: &'a Person,
        /// What; empty where no rule reads it.
        text: &'a Text,
        /// How fast it came is not known.
        belated: bool,
    },
    /// Somebody sent a message without words.
    Wordless(&'a Person),
    /// Somebody sent what can not be read.
    Unreadable(&'a Person),
    /// We hold the room.
    Opened {
        /// It is another life than the last one we know of.
        new_life: bool,
        /// When it began.
        since: Timestamp,
    },
    /// A rule's deadline has come; rules look at the time themselves.
    Timeout,
}

/// What a rule may ask about the room.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time.
    pub now: Now,
    /// The room's name.
    pub room: &'a str,
    /// Everybody inside.
    pub people: &'a People,
    /// What was declared about the deployment.
    pub trust: &'a Trust,
}

/// Why a rule wants the room closed; each is a cause of the room's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It is outside its hours, or its time is over: `closed-by-schedule`.
    Schedule,
    /// Nobody uses it: `closed-idle`.
    Idle,
}

/// What a rule wants for the whole room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The lobby on or off.
    Lobby(bool),
    /// A password on, or off again.
    Lock(bool),
    /// End the meeting and stay out.
    Close {
        /// Why.
        why: Closing,
        /// When it opens again, where that is known.
        until: Option<Timestamp>,
    },
    /// Say something to everybody.
    Say(String),
    /// Say something to one person.
    Whisper {
        /// Their nick.
        nick: Box<str>,
        /// What.
        text: String,
    },
}

/// What rules think of one input.
#[derive(Debug, Default)]
pub struct Opinions {
    offences: Vec<Offence>,
    wishes: Vec<(Wish, String)>,
}

/// What somebody did, in a rule's eyes.
#[derive(Debug)]
struct Offence {
    nick: Box<str>,
    reason: String,
    note: String,
    /// It is what they are, not what they did: it goes on being so with each presence.
    standing: bool,
}

impl Opinions {
    /// Somebody has offended. `reason` is shown to them, `note` is for the log.
    pub fn offence(&mut self, who: &Person, reason: impl Into<String>, note: impl Into<String>) {
        let nick = who.nick.clone();
        self.offences.push(Offence { nick, reason: reason.into(), note: note.into(), standing: false });
    }

    /// Somebody is here as they may not be, and has been told or not: it is said again only where that helps.
    pub fn standing(&mut self, who: &Person, reason: impl Into<String>, note: impl Into<String>) {
        let nick = who.nick.clone();
        self.offences.push(Offence { nick, reason: reason.into(), note: note.into(), standing: true });
    }

    /// Something should be done with the room.
    pub fn wish(&mut self, wish: Wish, note: impl Into<String>) {
        self.wishes.push((wish, note.into()));
    }
}

/// One thing to be done about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rule that says so.
    pub rule: &'static str,
    /// Whether it is to be carried out.
    pub mode: Mode,
    /// By what they are remembered.
    pub who: OccupantKey,
    /// Under which nick they are here.
    pub nick: Box<str>,
    /// What is to be done.
    pub sanction: Sanction,
    /// For the person, and whoever else the room shows it.
    pub reason: String,
    /// For the log: what was seen.
    pub note: String,
}

/// One thing to be done with the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomVerdict {
    /// The rule that says so.
    pub rule: &'static str,
    /// Whether it is to be carried out.
    pub mode: Mode,
    /// What is to be done.
    pub wish: Wish,
    /// For the log: what was seen.
    pub note: String,
}

/// What comes of inputs.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// About people.
    pub people: Vec<Verdict>,
    /// About the room.
    pub room: Vec<RoomVerdict>,
    /// Somebody got a strike, also where nothing is said of it since the same is just being done to them.
    pub struck: bool,
}

/// A rule at work in one room.
pub trait Rule: Send + Sync + fmt::Debug {
    /// Looks at what was seen.
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions);

    /// When [`Seen::Timeout`] is next due.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether it keeps the door shut just now.
    fn keeps_door_shut(&self) -> bool {
        false
    }

    /// What has to outlive a restart.
    fn export(&self, now: Now) -> Option<Value> {
        let _ = now;
        None
    }

    /// Takes in what [`Rule::export`] gave; what can not be read is left out.
    fn import(&mut self, now: Now, state: Value) {
        let _ = (now, state);
    }
}

/// A rule as it is configured, shared by all its rooms.
pub trait Plan: Send + Sync + fmt::Debug {
    /// Starts it for one room.
    fn start(self: Arc<Self>) -> Box<dyn Rule>;

    /// Until when a room under this rule is to stay closed, if it is closed now.
    fn closed_until(&self, clock: Timestamp) -> Option<Timestamp> {
        let _ = clock;
        None
    }

    /// Until when a room under this rule may stay open that is opened now; `None`: it sets no end.
    fn open_until(&self, clock: Timestamp) -> Option<Timestamp> {
        let _ = clock;
        None
    }
}

/// What one option of a rule is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OptionHelp {
    /// Its key.
    pub name: &'static str,
    /// What it is when it is left out, as it would be written; `None`: it must be given, or stands for nothing.
    pub default: Option<&'static str>,
    /// What it takes and means.
    pub help: &'static str,
}

/// A rule that there is.
#[derive(Debug)]
pub struct RuleKind {
    /// Its name: its table is `[policy.NAME]`.
    pub name: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
    /// Its own options; `mode` and, for rules about people, `action` come on top.
    pub options: &'static [OptionHelp],
    /// A table to start from.
    pub example: &'static str,
    /// What it does about offenders when nothing else is said; `None`: it is about the room.
    pub measure: Option<Measure>,
    /// It looks at owners too.
    pub judges_owners: bool,
    /// It reads what people write.
    pub reads_text: bool,
    /// Makes it out of its options.
    pub load: for<'a> fn(rules::Given<'a>) -> Result<Arc<dyn Plan>, rules::Wrong>,
}

/// A configured rule with what is common to all.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Which.
    pub kind: &'static RuleKind,
    /// Whether it is carried out.
    pub mode: Mode,
    /// What it does about offenders.
    pub measure: Measure,
    /// The rule.
    pub plan: Arc<dyn Plan>,
    /// Its options as they were written, and what files they name hold: two with the same are the same.
    pub written: Arc<str>,
}

impl Eq for Attached {}

impl PartialEq for Attached {
    fn eq(&self, other: &Self) -> bool {
        (self.kind.name, self.mode, self.measure, &self.written)
            == (other.kind.name, other.mode, other.measure, &other.written)
    }
}

/// All that holds for one room, shared by rooms for which the same holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plans {
    /// The rules, by name.
    pub rules: BTreeMap<&'static str, Attached>,
    /// Who is never judged.
    pub exempt: AllowList,
    /// What may be believed of occupants.
    pub trust: Trust,
    /// What strikes bring.
    pub steps: Steps,
}

impl Plans {
    /// Until when a rule that is enforced keeps the room closed, if one does.
    #[must_use]
    pub fn closed_until(&self, clock: Timestamp) -> Option<Timestamp> {
        let enforced = self.rules.values().filter(|rule| rule.mode == Mode::Enforce);
        enforced.filter_map(|rule| rule.plan.closed_until(clock)).max()
    }

    /// Until when the rules that are enforced let the room stay open that is opened at that time; `None`: for ever.
    #[must_use]
    pub fn open_until(&self, clock: Timestamp) -> Option<Timestamp> {
        let enforced = self.rules.values().filter(|rule| rule.mode == Mode::Enforce);
        enforced.filter_map(|rule| rule.plan.open_until(clock)).min()
    }
}

/// What a policy remembers over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The life of the room that it was in.
    pub life: Option<String>,
    /// When that began.
    pub since: Option<Timestamp>,
    /// Real strikes.
    pub strikes: Vec<strikes::Stored>,
    /// Strikes of dry runs.
    pub dry_strikes: Vec<strikes::Stored>,
    /// What rules remember, by name.
    pub rules: BTreeMap<String, Value>,
    /// The room's password, where we set it.
    #[serde(skip_serializing_if = "Lock::is_none")]
    pub lock: Lock,
    /// A rule switched the lobby on, which was off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lobby_by_rule: bool,
}

/// The password of a room as we set it on somebody's word. It stands in no configuration, so whoever comes in again
/// without it stays outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// The password; `None`: we set none.
    #[serde(with = "crate::action::exposed")]
    pub password: Option<Secret>,
    /// The one that the room had before, which it gets back when the rule lets go.
    #[serde(with = "crate::action::exposed")]
    pub before: Option<Secret>,
    /// A rule set it.
    pub by_rule: bool,
}

impl Lock {
    /// Whether we set no password.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.password.is_none()
    }
}

/// The rules of one room.
#[derive(Debug)]
pub struct Policy {
    room: Box<str>,
    plans: Arc<Plans>,
    /// In the order of the plans.
    rules: Box<[Box<dyn Rule>]>,
    people: People,
    /// Of dry runs, and real ones.
    strikes: [Strikes; 2],
    /// The life of the room and when it began, as last known.
    life: Option<(Box<str>, Timestamp)>,
    holding: bool,
}

/// The rule's name in verdicts about texts that are longer than rules read.
pub const OVERLONG: &str = "overlong";

impl Policy {
    /// The policy of a room.
    #[must_use]
    pub fn new(room: &str, plans: Arc<Plans>) -> Self {
        let rules = plans.rules.values().map(|rule| rule.plan.clone().start()).collect();
        Policy {
            room: room.into(),
            plans,
            rules,
            people: People::default(),
            strikes: [Strikes::default(), Strikes::default()],
            life: None,
            holding: false,
        }
    }

    /// Everybody inside, as rules see them.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The life of the room that it was last in.
    #[must_use]
    pub fn life(&self) -> Option<&str> {
        self.life.as_ref().map(|(life, _)| &**life)
    }

    /// Whether a rule that is enforced keeps the door shut just now.
    #[must_use]
    pub fn keeps_door_shut(&self) -> bool {
        let mut attached = self.plans.rules.values().zip(&self.rules);
        attached.any(|(attached, rule)| attached.mode == Mode::Enforce && rule.keeps_door_shut())
    }

    /// How many strikes somebody has that count.
    #[must_use]
    pub fn strikes(&self, now: Instant, who: &OccupantKey) -> usize {
        self.strikes[Mode::Enforce as usize].count(now, who)
    }

    /// Forgets somebody's strikes.
    pub fn pardon(&mut self, who: &OccupantKey) {
        self.strikes.iter_mut().for_each(|strikes| strikes.pardon(who));
    }

    /// When [`Input::Timeout`] is next due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if !self.holding {
            return None;
        }
        self.rules.iter().filter_map(|rule| rule.deadline()).min()
    }

    /// Judges one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Verdicts) {
        match input {
            Input::Entering => {
                self.people.clear();
                self.holding = false;
            }
            Input::Lost => {
                self.holding = false;
                self.people.settle();
            }
            Input::Holding { life, since } => self.opened(now, life, since, out),
            Input::Present(presence) => {
                let plans = &self.plans;
                let before = self.people.see(now.at, self.holding, &presence, &plans.exempt, &plans.trust);
                let Some(who) = self.person(presence.nick) else { return };
                match &before {
                    Some(before) => self.judge(now, &Seen::Updated { who: &who, before }, out),
                    None => self.judge(now, &Seen::Joined(&who), out),
                }
            }
            Input::Renamed { from, to } => {
                let Some(before) = self.person(from) else { return };
                self.people.rename(from, to);
                let Some(who) = self.person(to) else { return };
                self.judge(now, &Seen::Renamed { who: &who, before: before.shown_name() }, out);
            }
            Input::Left { nick, how } => {
                if let Some(who) = self.people.remove(nick) {
                    self.judge(now, &Seen::Left { who: &who, how }, out);
                }
            }
            Input::Message { nick, body, belated, .. } => self.message(now, nick, body, belated, out),
            Input::Wordless { nick } => {
                if let Some(who) = self.person(nick) {
                    self.judge(now, &Seen::Wordless(&who), out);
                }
            }
            Input::Unreadable { nick } => {
                if let Some(who) = self.person(nick) {
                    self.judge(now, &Seen::Unreadable(&who), out);
                }
            }
            Input::Refused { nick } => {
                if let Some(person) = self.people.get_mut(nick) {
                    person.refused(now.at);
                }
            }
            Input::Timeout => self.judge(now, &Seen::Timeout, out),
        }
    }

    fn opened(&mut self, now: Now, life: &str, since: Option<Timestamp>, out: &mut Verdicts) {
        if self.holding && self.life.as_ref().is_some_and(|(known, _)| **known == *life) {
            return;
        }
        let new_life = self.life.as_ref().is_none_or(|(known, _)| **known != *life);
        if new_life {
            self.life = Some((life.into(), since.unwrap_or(now.clock)));
        }
        self.holding = true;
        let since = self.life.as_ref().map_or(now.clock, |(_, since)| *since);
        self.judge(now, &Seen::Opened { new_life, since }, out);
        let mut nicks: Vec<Box<str>> = self.people.iter().map(|person| person.nick.clone()).collect();
        nicks.sort_unstable();
        for nick in nicks {
            if let Some(who) = self.person(&nick) {
                self.judge(now, &Seen::Joined(&who), out);
            }
        }
    }

    fn message(&mut self, now: Now, nick: &str, body: &str, belated: bool, out: &mut Verdicts) {
        if !self.holding {
            return;
        }
        let Some(who) = self.person(nick) else { return };
        let readers = self.plans.rules.values().filter(|rule| rule.kind.reads_text);
        let mode = readers.map(|rule| rule.mode).max_by_key(|mode| *mode as u8);
        let text = mode.map(|_| Text::new(body)).unwrap_or_default();
        self.judge(now, &Seen::Message { who: &who, text: &text, belated }, out);
        if let Some(mode) = mode.filter(|_| text.is_overlong()) {
            let note = format!("{} bytes, of which rules read the first {} KiB", body.len(), text::READ_BYTES / 1024);
            let voice = Voice { rule: OVERLONG, mode, measure: Measure::Strike, judges_owners: false };
            let offence =
                Offence { nick: nick.into(), reason: "Your message was too long.".to_owned(), note, standing: false };
            self.offence(now, voice, offence, &mut Vec::new(), out);
        }
    }

    /// Somebody who is inside, as rules are lent them while the list is looked at.
    fn person(&self, nick: &str) -> Option<Person> {
        self.people.by_nick(nick).cloned()
    }

    fn judge(&mut self, now: Now, seen: &Seen<'_>, out: &mut Verdicts) {
        if !self.holding {
            return;
        }
        let mut opinions = Opinions::default();
        // One input is one strike, however many rules it breaks.
        let mut struck = Vec::new();
        let plans = self.plans.clone();
        for (at, attached) in plans.rules.values().enumerate() {
            let cx = Context { now, room: &self.room, people: &self.people, trust: &plans.trust };
            self.rules[at].judge(&cx, seen, &mut opinions);
            if opinions.offences.is_empty() && opinions.wishes.is_empty() {
                continue;
            }
            let Attached { kind, mode, measure, .. } = *attached;
            let voice = Voice { rule: kind.name, mode, measure, judges_owners: kind.judges_owners };
            for (wish, note) in opinions.wishes.drain(..) {
                self.wish(now, RoomVerdict { rule: kind.name, mode, wish, note }, out);
            }
            for offence in opinions.offences.drain(..) {
                self.offence(now, voice, offence, &mut struck, out);
            }
        }
    }

    fn wish(&self, now: Now, verdict: RoomVerdict, out: &mut Verdicts) {
        if let Wish::Whisper { nick, .. } = &verdict.wish {
            // Whoever is being thrown out needs no welcome, and the machinery no word at all.
            let hears = |person: &Person| person.is_person() && !person.awaits(now.at, Mode::Enforce, None);
            if !self.people.by_nick(nick).is_some_and(hears) {
                return;
            }
        }
        out.room.push(verdict);
    }

    fn offence(
        &mut self,
        now: Now,
        voice: Voice,
        Offence { nick, reason, note, standing }: Offence,
        struck: &mut Vec<(Box<str>, Mode)>,
        out: &mut Verdicts,
    ) {
        let Voice { rule, mode, measure, judges_owners } = voice;
        let Some(person) = self.people.get_mut(&nick) else { return };
        if person.exempt.is_some_and(|exempt| exempt != Exempt::Owner || !judges_owners) {
            return;
        }
        if standing && person.was_told(now.at, rule, mode, measure) {
            return;
        }
        let sanction = match measure {
            Measure::At(sanction) => sanction,
            Measure::Strike => {
                let again = struck.iter().any(|(who, in_mode)| *who == nick && *in_mode == mode);
                if again || person.awaits(now.at, mode, None) {
                    return;
                }
                struck.push((nick.clone(), mode));
                out.struck = true;
                self.strikes[mode as usize].add(now.at, person.key(), &self.plans.steps)
            }
        };
        if person.awaits(now.at, mode, Some(sanction)) {
            return;
        }
        person.await_effect(now.at, mode, sanction);
        out.people.push(Verdict { rule, mode, who: person.key().clone(), nick, sanction, reason, note });
    }

    /// What has to outlive a restart.
    #[must_use]
    pub fn export(&self, now: Now) -> State {
        let attached = self.plans.rules.values().zip(&self.rules);
        let rules = attached
            .filter_map(|(attached, rule)| rule.export(now).map(|state| (attached.kind.name.to_owned(), state)));
        State {
            life: self.life.as_ref().map(|(life, _)| (**life).to_owned()),
            since: self.life.as_ref().map(|(_, since)| *since),
            strikes: self.strikes[Mode::Enforce as usize].export(now),
            dry_strikes: self.strikes[Mode::DryRun as usize].export(now),
            rules: rules.collect(),
            lock: Lock::default(),
            lobby_by_rule: false,
        }
    }

    /// Takes in what [`Policy::export`] gave, before the room is held. Of rules that are gone nothing is kept.
    pub fn import(&mut self, now: Now, mut state: State) {
        self.life = state.life.map(|life| (life.into(), state.since.unwrap_or(now.clock)));
        self.strikes[Mode::Enforce as usize].import(now, &state.strikes, &self.plans.steps);
        self.strikes[Mode::DryRun as usize].import(now, &state.dry_strikes, &self.plans.steps);
        for (attached, rule) in self.plans.rules.values().zip(&mut self.rules) {
            if let Some(state) = state.rules.remove(attached.kind.name) {
                rule.import(now, state);
            }
        }
    }
}

/// In whose name an offence is judged.
#[derive(Debug, Clone, Copy)]
struct Voice {
    rule: &'static str,
    mode: Mode,
    measure: Measure,
    judges_owners: bool,
}
