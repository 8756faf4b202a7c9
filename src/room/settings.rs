//! Locked settings: what the room should be like, compared with what it is, and what to do about a difference. Pure.
//!
//! A setting is locked when somebody wrote it down for the room; what a human moderator changes in anything else stays.
//! Two who fight over one setting are not helped by speed, so a setting that drifts again and again is restored ever
//! later.
//! Source: XEP-0045 §10.2 "Subsequent Room Configuration" (status 104), §8.1 "Modifying the Room Subject"; Jitsi's room
//! metadata.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::config::Secret;
use crate::xmpp::jitsi::mute::Medium;
use crate::xmpp::room_form::{self, RoomForm};

/// What to do when a locked setting is no longer as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Set it again.
    #[default]
    Restore,
    /// Say so and leave it.
    Report,
    /// Leave it; it is set when the room is made, and never looked at again.
    Ignore,
}

/// The settings that are locked for a room; what is `None` is nobody's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locked {
    /// The subject.
    pub subject: Option<Box<str>>,
    /// The password. `Some(None)` would be "no password", which nobody can write down: left out means not locked.
    pub password: Option<Secret>,
    /// Whether newcomers wait in a lobby; `members_only` on plain XMPP is the same field.
    pub lobby: Option<bool>,
    /// Whether newcomers have no voice.
    pub moderated: Option<bool>,
    /// Whether the room outlives its last occupant.
    pub persistent: Option<bool>,
    /// How many may be inside.
    pub max_occupants: Option<u32>,
    /// For which media AV moderation is on.
    pub av_moderation: BTreeMap<Medium, bool>,
    /// Whether newcomers begin muted: microphone and camera.
    pub start_muted: Option<(bool, bool)>,
    /// Further fields of the form.
    pub fields: BTreeMap<Box<str>, Box<str>>,
    /// What to do about a difference.
    pub on_drift: OnDrift,
}

impl Locked {
    /// Whether nothing is locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Locked { on_drift: self.on_drift, ..Locked::default() }
    }

    /// Whether the form has to be looked at.
    fn in_form(&self) -> bool {
        self.password.is_some()
            || self.lobby.is_some()
            || self.moderated.is_some()
            || self.persistent.is_some()
            || self.max_occupants.is_some()
            || !self.fields.is_empty()
    }

    /// What the form's fields should be, but for `membersonly`.
    fn fields(&self) -> Vec<(Setting, String)> {
        let boolean = |on: bool| if on { "1" } else { "0" }.to_owned();
        let mut fields = Vec::new();
        let mut field = |var: &str, value: Option<String>| {
            if let Some(value) = value {
                fields.push((Setting::Field(var.into()), value));
            }
        };
        field(room_form::ROOM_SECRET, self.password.as_ref().map(|password| password.expose().to_owned()));
        field(room_form::MODERATED, self.moderated.map(boolean));
        field(room_form::PERSISTENT, self.persistent.map(boolean));
        field(room_form::MAX_USERS, self.max_occupants.map(|most| most.to_string()));
        for (var, value) in &self.fields {
            field(var, Some(value.to_string()));
        }
        fields
    }
}

impl Locked {
    /// What sets a setting as it should be; nothing for one that is not locked.
    fn action(&self, setting: &Setting) -> Option<Action> {
        match setting {
            Setting::Subject => self.subject.clone().map(|text| Action::Subject { text }),
            Setting::Lobby => self.lobby.map(|on| Action::Lobby { on }),
            Setting::AvModeration(medium) => {
                self.av_moderation.get(medium).map(|on| Action::AvModeration { medium: *medium, on: *on })
            }
            Setting::StartMuted => self.start_muted.map(|(audio, video)| Action::StartMuted { audio, video }),
            Setting::Field(var) if &**var == room_form::ROOM_SECRET => {
                self.password.clone().map(|password| Action::Lock { password: Some(password) })
            }
            Setting::Field(var) => {
                let should = self.fields().into_iter().find(|(known, _)| known == setting);
                should.map(|(_, value)| Action::Configure { fields: vec![(var.clone(), vec![value.into()])] })
            }
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The subject.
    Subject,
    /// Whether only members, or who was let in from the lobby, may enter.
    Lobby,
    /// A field of the form.
    Field(Box<str>),
    /// AV moderation of one medium.
    AvModeration(Medium),
    /// Who begins muted.
    StartMuted,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Subject => f.write_str("subject"),
            Setting::Lobby => f.write_str("lobby"),
            Setting::Field(var) => match &**var {
                room_form::ROOM_SECRET => f.write_str("password"),
                room_form::MODERATED => f.write_str("moderated"),
                room_form::PERSISTENT => f.write_str("persistent"),
                room_form::MAX_USERS => f.write_str("max_occupants"),
                other => f.write_str(other),
            },
            Setting::AvModeration(medium) => write!(f, "av_moderation {}", medium.as_str()),
            Setting::StartMuted => f.write_str("start_muted"),
        }
    }
}

/// What happens that may concern settings.
#[derive(Debug)]
pub enum Input<'a> {
    /// We became moderator of the room; `new` when this life of the room has not been looked at yet.
    Moderator {
        /// Whether the room may have lost everything.
        new: bool,
    },
    /// What components said of the room counts no more: it may have changed without our hearing of it.
    Unheard,
    /// The room said that its configuration changed, or a form is wanted for another reason.
    Changed,
    /// The form came.
    Form(&'a RoomForm),
    /// The form could not be had.
    NoForm,
    /// The stream was lost and is resumed: questions on their way were lost with it.
    Resumed,
    /// The subject is this now.
    Subject {
        /// The text.
        text: &'a str,
        /// Who set it; `None` when the room told it at the join.
        by: Option<&'a str>,
    },
    /// AV moderation was switched.
    AvModeration(Medium, bool),
    /// The metadata say who begins muted.
    StartMuted(bool, bool),
    /// An action of ours for a setting is over.
    Acted {
        /// Which.
        setting: &'a Setting,
        /// The room does not offer it, for this reason; trying again does not help.
        unsupported: Option<&'a str>,
    },
    /// Other settings are locked from now on.
    Lock,
    /// We are outside.
    Outside,
    /// A deadline passed.
    Timeout,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask for the form.
    AskForm,
    /// Do this, for this setting; [`Input::Acted`] is the answer.
    Do(Setting, Action),
    /// A locked setting is not as it should be. The password's value is never said.
    Drifted {
        /// Which.
        setting: Setting,
        /// What it is.
        is: Box<str>,
        /// What it should be.
        should: Box<str>,
        /// Who changed it, where that is known.
        by: Option<Box<str>>,
        /// When it is set again; `None` when it is left.
        restored_at: Option<Instant>,
    },
    /// It is as it should be again.
    Restored(Setting),
    /// The room does not offer it; said once.
    Unsupported(Setting, Box<str>),
}

/// How long a restored setting must stay before its next drift counts as the first again.
const CALM: Duration = Duration::from_secs(120);
/// So many times a setting is restored at once; then ever later.
const AT_ONCE: u32 = 3;
/// The first wait after that, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// A form that could not be had is asked for again after this.
const FORM_AGAIN: Duration = Duration::from_secs(60);

/// The settings of one room, while we are its moderator.
#[derive(Debug, Default)]
pub struct Keeper {
    moderator: bool,
    /// The form is on its way; `true` when it must be asked for once more after that.
    asked: Option<bool>,
    form_at: Option<Instant>,
    slots: BTreeMap<Setting, Slot>,
    subject: Option<Box<str>>,
    av_moderation: BTreeMap<Medium, bool>,
    start_muted: Option<(bool, bool)>,
}

/// What is known of one setting.
#[derive(Debug, Clone, Default)]
struct Slot {
    state: State,
    /// It was as it should be once in this life of the room; only after that a difference is a drift.
    applied: bool,
    /// How often it drifted without a calm between.
    times: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// As it should be.
    Fine { since: Instant },
    /// It differs and is set again at that time.
    Waiting { at: Instant },
    /// It differs and an action of ours is on its way.
    Acting,
    /// That action is over; what is seen next tells what came of it.
    Acted,
    /// It differs and is left so.
    Left,
    /// The room does not offer it.
    Unsupported,
}

/// What a setting is and should be, as it may be shown.
struct Compared<'a> {
    same: bool,
    is: &'a str,
    should: &'a str,
    by: Option<&'a str>,
}

impl Keeper {
    /// When [`Input::Timeout`] is next due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.slots.values().filter_map(|slot| match slot.state {
            State::Waiting { at } => Some(at),
            _ => None,
        });
        waiting.chain(self.form_at).min()
    }

    /// The subject, once the room has told it.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether AV moderation is on; a room where nobody switched it on says nothing.
    #[must_use]
    pub fn av_moderation(&self, medium: Medium) -> bool {
        self.av_moderation.get(&medium).copied().unwrap_or_default()
    }

    /// Who begins muted: microphone and camera.
    #[must_use]
    pub fn start_muted(&self) -> (bool, bool) {
        self.start_muted.unwrap_or_default()
    }

    /// The settings that are not as they should be, as far as is known.
    pub fn drifting(&self) -> impl Iterator<Item = &Setting> {
        let differs = |slot: &Slot| !matches!(slot.state, State::Fine { .. } | State::Unknown | State::Unsupported);
        self.slots.iter().filter(move |(_, slot)| differs(slot)).map(|(setting, _)| setting)
    }

    /// The settings that the room does not offer.
    pub fn unsupported(&self) -> impl Iterator<Item = &Setting> {
        self.slots.iter().filter(|(_, slot)| slot.state == State::Unsupported).map(|(setting, _)| setting)
    }

    /// Advances by one input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, locked: &Locked, out: &mut Vec<Output>) {
        match input {
            Input::Moderator { new } => {
                if new {
                    self.slots.clear();
                }
                if new || !self.moderator {
                    self.moderator = true;
                    self.check_all(now, locked, out);
                }
            }
            Input::Unheard => {
                self.av_moderation.clear();
                self.start_muted = None;
            }
            Input::Changed => self.ask_form(locked, out),
            Input::Form(form) => {
                let again = self.asked.take() == Some(true);
                self.form_at = None;
                self.check_form(now, form, locked, out);
                if again {
                    self.ask_form(locked, out);
                }
            }
            Input::NoForm => {
                self.asked = None;
                self.form_at = Some(now + FORM_AGAIN);
            }
            Input::Resumed => {
                self.asked = None;
                self.ask_form(locked, out);
            }
            Input::Subject { text, by } => {
                self.subject = Some(text.into());
                self.check_subject(now, by, locked, out);
            }
            Input::AvModeration(medium, on) => {
                self.av_moderation.insert(medium, on);
                self.check_av_moderation(now, locked, out);
            }
            Input::StartMuted(audio, video) => {
                self.start_muted = Some((audio, video));
                self.check_start_muted(now, locked, out);
            }
            Input::Acted { setting, unsupported } => self.acted(now, setting, unsupported, locked, out),
            Input::Lock => {
                self.slots.clear();
                if self.moderator {
                    self.check_all(now, locked, out);
                }
            }
            Input::Outside => {
                (self.moderator, self.asked, self.form_at, self.subject) = (false, None, None, None);
                for slot in self.slots.values_mut() {
                    if slot.state != State::Unsupported {
                        slot.state = State::Unknown;
                    }
                }
            }
            Input::Timeout => self.timeout(now, locked, out),
        }
    }

    fn check_all(&mut self, now: Instant, locked: &Locked, out: &mut Vec<Output>) {
        self.ask_form(locked, out);
        self.check_subject(now, None, locked, out);
        self.check_av_moderation(now, locked, out);
        self.check_start_muted(now, locked, out);
    }

    fn ask_form(&mut self, locked: &Locked, out: &mut Vec<Output>) {
        if !self.moderator || !locked.in_form() {
            return;
        }
        match &mut self.asked {
            // Whatever changed since the question may not be in its answer.
            Some(again) => *again = true,
            None => {
                self.asked = Some(false);
                out.push(Output::AskForm);
            }
        }
    }

    fn check_form(&mut self, now: Instant, form: &RoomForm, locked: &Locked, out: &mut Vec<Output>) {
        if let Some(lobby) = locked.lobby {
            match form.members_only() {
                None => self.lacks(&Setting::Lobby, "the room does not offer it to us", out),
                Some(is) => {
                    let compared = Compared { same: is == lobby, is: on_off(is), should: on_off(lobby), by: None };
                    self.compare(now, Setting::Lobby, &compared, locked, out);
                }
            }
        }
        for (setting, should) in locked.fields() {
            let Setting::Field(var) = &setting else { continue };
            let Some(field) = form.field(var) else {
                self.lacks(&setting, "the room does not offer it to us", out);
                continue;
            };
            // Prosody 13 says `participant` where XEP-0045 has `participants`, and takes both without an effect.
            if !field.options.is_empty() && !field.options.contains(&should) {
                let why = format!("the room takes no {should:?} for it, but {}", field.options.join(", "));
                self.lacks(&setting, &why, out);
                continue;
            }
            let truth = |text: &str| matches!(text, "1" | "true");
            // A list that holds more than the one value is another one.
            let same = field.values.len() < 2 && field.value() == should
                || field.kind == "boolean" && truth(&should) == field.is_true();
            let values = field.values.join(", ");
            let (is, should) = match &**var == room_form::ROOM_SECRET {
                true if field.value().is_empty() => ("none", "[secret]"),
                true => ("another", "[secret]"),
                false => (values.as_str(), should.as_str()),
            };
            self.compare(now, setting.clone(), &Compared { same, is, should, by: None }, locked, out);
        }
    }

    fn check_subject(&mut self, now: Instant, by: Option<&str>, locked: &Locked, out: &mut Vec<Output>) {
        // Nothing is known before the room has told its subject, which it does at the end of every join.
        let (Some(should), Some(is), true) = (&locked.subject, self.subject.clone(), self.moderator) else { return };
        self.compare(now, Setting::Subject, &Compared { same: is == *should, is: &is, should, by }, locked, out);
    }

    fn check_av_moderation(&mut self, now: Instant, locked: &Locked, out: &mut Vec<Output>) {
        if !self.moderator {
            return;
        }
        for (&medium, &should) in &locked.av_moderation {
            // A room where nobody switched it on says nothing.
            let is = self.av_moderation.get(&medium).copied().unwrap_or_default();
            let compared = Compared { same: is == should, is: on_off(is), should: on_off(should), by: None };
            self.compare(now, Setting::AvModeration(medium), &compared, locked, out);
        }
    }

    fn check_start_muted(&mut self, now: Instant, locked: &Locked, out: &mut Vec<Output>) {
        let (Some(should), true) = (locked.start_muted, self.moderator) else { return };
        let is = self.start_muted.unwrap_or_default();
        let word = |muted| match muted {
            (true, true) => "audio and video",
            (true, false) => "audio",
            (false, true) => "video",
            (false, false) => "nothing",
        };
        let compared = Compared { same: is == should, is: word(is), should: word(should), by: None };
        self.compare(now, Setting::StartMuted, &compared, locked, out);
    }

    fn lacks(&mut self, setting: &Setting, why: &str, out: &mut Vec<Output>) {
        let slot = self.slots.entry(setting.clone()).or_default();
        if std::mem::replace(&mut slot.state, State::Unsupported) != State::Unsupported {
            out.push(Output::Unsupported(setting.clone(), why.into()));
        }
    }

    /// Takes in what a setting is, and plans what follows from that.
    fn compare(&mut self, now: Instant, setting: Setting, it: &Compared<'_>, locked: &Locked, out: &mut Vec<Output>) {
        let slot = self.slots.entry(setting.clone()).or_default();
        if it.same {
            if let State::Acting | State::Acted = slot.state
                && slot.applied
            {
                out.push(Output::Restored(setting));
            }
            if !matches!(slot.state, State::Fine { .. } | State::Unsupported) {
                slot.state = State::Fine { since: now };
            }
            if !slot.applied {
                // Setting up a new room is no drift.
                (slot.applied, slot.times) = (true, 0);
            }
            return;
        }
        let drifted = match slot.state {
            State::Waiting { .. } | State::Acting | State::Left | State::Unsupported => return,
            State::Unknown | State::Acted => slot.applied,
            State::Fine { since } => {
                if since + CALM <= now {
                    slot.times = 0;
                }
                true
            }
        };
        let wait = match slot.times.checked_sub(AT_ONCE) {
            None => Duration::ZERO,
            Some(more) => FIRST_WAIT.saturating_mul(1 << more.min(7)).min(LONGEST_WAIT),
        };
        slot.times += 1;
        // Until it was as it should be once, it is being set and has not drifted.
        let restored = !drifted || locked.on_drift == OnDrift::Restore;
        if drifted && locked.on_drift != OnDrift::Ignore {
            out.push(Output::Drifted {
                setting: setting.clone(),
                is: it.is.into(),
                should: it.should.into(),
                by: it.by.map(Into::into),
                restored_at: restored.then_some(now + wait),
            });
        }
        slot.state = match (restored, wait.is_zero()) {
            (false, _) => State::Left,
            (true, false) => State::Waiting { at: now + wait },
            (true, true) => State::Acting,
        };
        if slot.state == State::Acting {
            out.extend(locked.action(&setting).map(|action| Output::Do(setting, action)));
        }
    }

    fn acted(
        &mut self,
        now: Instant,
        setting: &Setting,
        unsupported: Option<&str>,
        locked: &Locked,
        out: &mut Vec<Output>,
    ) {
        if let Some(why) = unsupported {
            self.lacks(setting, why, out);
            return;
        }
        match self.slots.get_mut(setting) {
            Some(slot) if slot.state == State::Acting => slot.state = State::Acted,
            _ => return,
        }
        match setting {
            Setting::Lobby | Setting::Field(_) => self.ask_form(locked, out),
            Setting::Subject => self.check_subject(now, None, locked, out),
            Setting::AvModeration(_) => self.check_av_moderation(now, locked, out),
            Setting::StartMuted => self.check_start_muted(now, locked, out),
        }
    }

    fn timeout(&mut self, now: Instant, locked: &Locked, out: &mut Vec<Output>) {
        for (setting, slot) in &mut self.slots {
            if let State::Waiting { at } = slot.state
                && at <= now
            {
                slot.state = State::Acting;
                out.extend(locked.action(setting).map(|action| Output::Do(setting.clone(), action)));
            }
        }
        if self.form_at.is_some_and(|at| at <= now) {
            self.form_at = None;
            self.ask_form(locked, out);
        }
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests;
