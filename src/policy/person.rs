//! Who is in the room, as rules see them. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::exempt::{AllowList, Exempt, exempt};
use super::identity::{Facts, Identity, OccupantKey, Rung, Trust};
use super::{Measure, Mode, Presence, Sanction, text};
use crate::xmpp::muc::{Affiliation, Role};

/// One occupant, with everything a rule may ask.
#[derive(Debug, Clone)]
pub struct Person {
    /// The nick as the room writes it.
    pub nick: Box<str>,
    /// The display name as it was sent, shortened.
    pub display_name: Option<Box<str>>,
    /// The real JID, where the room shows it.
    pub real_jid: Option<Box<str>>,
    /// The role, as the room said last.
    pub role: Option<Role>,
    /// The affiliation, as the room said last.
    pub affiliation: Option<Affiliation>,
    /// By what they are known again.
    pub identity: Identity,
    /// By what they are remembered while they stay.
    stay: Option<OccupantKey>,
    /// Why they are not judged, if they are not.
    pub exempt: Option<Exempt>,
    /// When we first saw them under any nick.
    pub since: Instant,
    /// Whether they came while we held the room; who was there before us did not "join".
    pub live: bool,
    /// Somebody else inside says that they are of the same browser: one of the two made it up, or it is one person.
    pub shares_hint: bool,
    /// The shown name as [`text::likeness`] makes it.
    pub likeness: Box<str>,
    /// What was last said of them, by mode, and until when it is to be waited for.
    pending: [Option<Pending>; 2],
    /// Which rules have told them what they may not be, and until when that is enough.
    told: Vec<(&'static str, Mode, Instant)>,
}

/// A sanction whose effect is not seen yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    sanction: Sanction,
    until: Instant,
}

/// How long a kick or a ban may take to show.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(30);
/// How long a mute or a loss of role may take to show, and how long a refused action is not tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one word is enough about what somebody is.
const TOLD_FOR: Duration = Duration::from_secs(3600);
/// How long they have to change it before it is another strike.
const STRIKE_EVERY: Duration = Duration::from_secs(60);

impl Person {
    /// Somebody as a single presence shows them, for whoever keeps no list of people.
    #[must_use]
    pub fn look(now: Instant, presence: &Presence<'_>, list: &AllowList, trust: &Trust) -> Self {
        Person::new(now, true, presence, list, trust)
    }

    fn new(now: Instant, live: bool, presence: &Presence<'_>, list: &AllowList, trust: &Trust) -> Self {
        let identity = Identity::new(&Facts { name: presence.nick, ..Facts::default() }, trust);
        let mut person = Person {
            nick: presence.nick.into(),
            display_name: None,
            real_jid: None,
            role: None,
            affiliation: None,
            identity,
            stay: None,
            exempt: None,
            since: now,
            live,
            shares_hint: false,
            likeness: "".into(),
            pending: [None; 2],
            told: Vec::new(),
        };
        person.read(presence, list, trust);
        person
    }

    /// Takes in a presence. What the server makes stays when it is left out; what the occupant says is replaced.
    fn read(&mut self, presence: &Presence<'_>, list: &AllowList, trust: &Trust) {
        if let Some(real) = presence.real_jid {
            self.real_jid = Some(real.into());
        }
        if let Some(role) = presence.role {
            self.role = Some(role.clone());
        }
        if let Some(affiliation) = presence.affiliation {
            self.affiliation = Some(affiliation.clone());
        }
        let before = self.shown_name().to_owned();
        self.display_name =
            presence.display_name.map(|name| name.chars().take(256).collect::<String>().into_boxed_str());
        if self.likeness.is_empty() || before != self.shown_name() {
            self.likeness = text::likeness(self.shown_name()).into();
        }
        self.identity = Identity::new(
            &Facts {
                token_user: presence.token_user,
                real_jid: self.real_jid.as_deref(),
                occupant_id: presence.occupant_id,
                stats_id: presence.stats_id,
                address: presence.address,
                name: self.shown_name(),
            },
            trust,
        );
        // Whoever makes up by what they are known is known by the first of it, and begins no new count with the next.
        let strongest = self.identity.key();
        let stays = |stay: &OccupantKey| strongest.rung.forgeable() && stay.rung <= strongest.rung;
        if !self.stay.as_ref().is_some_and(stays) {
            self.stay = Some(strongest.clone());
        }
        self.exempt = exempt(self, presence, list, trust);
    }

    /// The name that others see: the display name, or the nick when there is none or nothing to be seen of it.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        match self.display_name.as_deref() {
            Some(name) if !text::name(name).is_empty() => name,
            _ => &self.nick,
        }
    }

    /// By what they are remembered.
    #[must_use]
    pub fn key(&self) -> &OccupantKey {
        self.stay.as_ref().unwrap_or_else(|| self.identity.key())
    }

    /// Whether another occupant is the same person, on a second device or back before their old connection is given up,
    /// by what nobody can make up.
    #[must_use]
    pub fn is_same_as(&self, other: &Person) -> bool {
        other.key().rung <= Rung::OccupantId && other.key() == self.key()
    }

    /// By what they alone are known again: not by a hint that they may have copied from somebody else inside.
    #[must_use]
    pub fn identity_alone(&self) -> Cow<'_, Identity> {
        if self.shares_hint { Cow::Owned(self.identity.without(Rung::Hint)) } else { Cow::Borrowed(&self.identity) }
    }

    /// Whether this is somebody, not a part of the machinery.
    #[must_use]
    pub fn is_person(&self) -> bool {
        !self.exempt.is_some_and(Exempt::is_machinery)
    }

    /// Whether they may throw others out: moderator by role, or owner or admin.
    #[must_use]
    pub fn is_moderator(&self) -> bool {
        self.role == Some(Role::Moderator) || matches!(self.affiliation, Some(Affiliation::Owner | Affiliation::Admin))
    }

    /// Whether they are on their way out, or the same is being done to them already.
    pub(super) fn awaits(&self, now: Instant, mode: Mode, sanction: Option<Sanction>) -> bool {
        self.pending[mode as usize].is_some_and(|pending| {
            now < pending.until
                && (pending.sanction.removes()
                    || sanction.is_some_and(|sanction| pending.sanction.rank() == sanction.rank()))
        })
    }

    /// Whether they are just being put out.
    #[must_use]
    pub fn leaves(&self, now: Instant) -> bool {
        self.awaits(now, Mode::Enforce, None)
    }

    /// Whether a rule has told them of late what they may not be; it has now. What is done to them has its own patience.
    pub(super) fn was_told(&mut self, now: Instant, rule: &'static str, mode: Mode, measure: Measure) -> bool {
        let patience = match measure {
            Measure::Strike => STRIKE_EVERY,
            Measure::At(Sanction::Note | Sanction::Warn) => TOLD_FOR,
            Measure::At(_) => return false,
        };
        if self.told.iter().any(|(by, within, until)| (*by, *within) == (rule, mode) && now < *until) {
            return true;
        }
        self.told.retain(|(by, within, _)| (*by, *within) != (rule, mode));
        self.told.push((rule, mode, now + patience));
        false
    }

    pub(super) fn await_effect(&mut self, now: Instant, mode: Mode, sanction: Sanction) {
        let patience = match sanction {
            Sanction::Note | Sanction::Warn => return,
            Sanction::Mute | Sanction::Demote => PATIENCE,
            Sanction::Kick | Sanction::Ban { .. } => REMOVAL_PATIENCE,
        };
        self.pending[mode as usize] = Some(Pending { sanction, until: now + patience });
    }

    /// The room refused what was to be done: it may be tried again, not at once.
    pub(super) fn refused(&mut self, now: Instant) {
        if let Some(pending) = &mut self.pending[Mode::Enforce as usize] {
            pending.until = pending.until.min(now + PATIENCE);
        }
    }
}

/// Everybody in the room, by nick.
#[derive(Debug, Default)]
pub struct People {
    /// In boxes: most rooms hold two of them, and a map has places for four.
    by_nick: HashMap<Box<str>, Box<Person>>,
}

impl People {
    /// Takes in a presence. Answers the occupant as they were before, if they were there.
    pub(super) fn see(
        &mut self,
        now: Instant,
        live: bool,
        presence: &Presence<'_>,
        list: &AllowList,
        trust: &Trust,
    ) -> Option<Person> {
        if let Some(person) = self.by_nick.get_mut(presence.nick) {
            let before = Person::clone(person);
            person.read(presence, list, trust);
            return Some(before);
        }
        let person = Person::new(now, live, presence, list, trust);
        self.by_nick.insert(presence.nick.into(), Box::new(person));
        None
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(mut person) = self.by_nick.remove(from) else { return false };
        person.nick = to.into();
        person.likeness = text::likeness(person.shown_name()).into();
        self.by_nick.insert(to.into(), person);
        true
    }

    pub(super) fn remove(&mut self, nick: &str) -> Option<Person> {
        self.by_nick.remove(nick).map(|person| *person)
    }

    pub(super) fn get_mut(&mut self, nick: &str) -> Option<&mut Person> {
        self.by_nick.get_mut(nick).map(|person| &mut **person)
    }

    /// Nobody came just now: when the room is held again, who is here was here before.
    pub(super) fn settle(&mut self) {
        self.by_nick.values_mut().for_each(|person| person.live = false);
    }

    pub(super) fn clear(&mut self) {
        self.by_nick = HashMap::new();
    }

    /// The occupant under that nick.
    #[must_use]
    pub fn by_nick(&self, nick: &str) -> Option<&Person> {
        self.by_nick.get(nick).map(|person| &**person)
    }

    /// All occupants, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        self.by_nick.values().map(|person| &**person)
    }

    /// How many people, not counting the keeper, the focus and recorders.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().filter(|person| person.is_person()).count()
    }
}
