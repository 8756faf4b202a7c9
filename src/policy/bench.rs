//! A room for the tests of rules: its verdicts come out as short lines.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rules::{self, Given};
use super::*;

/// A room under a policy, with its own clock.
pub(crate) struct Bench {
    pub(crate) policy: Policy,
    pub(crate) plans: Arc<Plans>,
    pub(crate) now: Now,
    life: u32,
    began: Option<Timestamp>,
    people: BTreeMap<String, Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    name: Option<String>,
    real: Option<String>,
    occupant_id: Option<String>,
    stats_id: Option<String>,
    role: Option<Role>,
    affiliation: Option<Affiliation>,
    own: bool,
    focus: bool,
    recorder: bool,
}

/// Rules as they stand in a file, without the `policy.` before their names.
pub(crate) fn plans(text: &str, mode: Mode) -> Plans {
    let table = DeTable::parse(text).expect("rules are TOML").into_inner();
    let mut plans = Plans::default();
    plans.trust.guest_domains.push("guest.meet.jitsi".into());
    for (name, value) in table {
        let kind = rules::kind(name.get_ref()).unwrap_or_else(|| panic!("no rule {}", name.get_ref()));
        let span = value.span();
        let DeValue::Table(mut options) = value.into_inner() else { panic!("no table") };
        let action = options.remove("action").map(|action| action.into_inner().as_str().expect("a text").to_owned());
        let action = action.map(|action| Measure::At(Sanction::read(&action).expect("an action")));
        let written = format!("{options:?}").into();
        let mut read = |file: &str| {
            assert_eq!(file, "words.txt");
            Ok("# a comment\nlisted\n\n".to_owned())
        };
        let given = Given { table: Spanned::new(span, DeValue::Table(options)), read: &mut read };
        let plan = (kind.load)(given).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", kind.name));
        let measure = action.or(kind.measure).unwrap_or(Measure::At(Sanction::Note));
        plans.rules.insert(kind.name, Attached { kind, mode, measure, plan, written });
    }
    plans
}

impl Bench {
    /// A room with enforced rules.
    pub(crate) fn new(text: &str) -> Self {
        Bench::of(plans(text, Mode::Enforce))
    }

    /// A room with rules that are tried out.
    pub(crate) fn dry(text: &str) -> Self {
        Bench::of(plans(text, Mode::DryRun))
    }

    pub(crate) fn of(plans: Plans) -> Self {
        let plans = Arc::new(plans);
        let clock = "2026-03-02T12:00:00Z".parse().expect("a time");
        let now = Now { at: Instant::now(), clock };
        Bench {
            policy: Policy::new("tavern", plans.clone()),
            plans,
            now,
            life: 1,
            began: None,
            people: BTreeMap::new(),
        }
    }

    pub(crate) fn set_clock(&mut self, clock: Timestamp) {
        self.now.clock = clock;
    }

    /// What the room says of when its life began.
    pub(crate) fn set_began(&mut self, began: Timestamp) {
        self.began = Some(began);
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<String> {
        let mut out = Verdicts::default();
        self.policy.handle(self.now, input, &mut out);
        lines(&out)
    }

    pub(crate) fn hold(&mut self) -> Vec<String> {
        let life = format!("life-{}", self.life);
        self.input(Input::Holding { life: &life, since: self.began })
    }

    /// The room was gone and is there again; those inside come back.
    pub(crate) fn new_life(&mut self) -> Vec<String> {
        self.life += 1;
        self.people.clear();
        self.input(Input::Entering);
        self.hold()
    }

    /// The process ends and another begins where it left off; the room lives on.
    pub(crate) fn restart(&mut self) {
        let state = serde_json::to_string(&self.policy.export(self.now)).expect("plain data");
        self.policy = Policy::new("tavern", self.plans.clone());
        // Another process has another monotonic clock.
        self.now.at += Duration::from_secs(12_345);
        self.policy.import(self.now, serde_json::from_str(&state).expect("what was just written"));
        self.people.clear();
    }

    fn see(&mut self, nick: &str, known: Known) -> Vec<String> {
        self.people.insert(nick.to_owned(), known.clone());
        self.input(Input::Present(Presence {
            nick,
            display_name: known.name.as_deref(),
            real_jid: known.real.as_deref(),
            occupant_id: known.occupant_id.as_deref(),
            stats_id: known.stats_id.as_deref(),
            token_user: None,
            address: None,
            role: known.role.as_ref(),
            affiliation: known.affiliation.as_ref(),
            own: known.own,
            focus: known.focus,
            recorder: known.recorder,
        }))
    }

    fn again(&mut self, nick: &str, change: impl FnOnce(&mut Known)) -> Vec<String> {
        let mut known = self.people.get(nick).cloned().unwrap_or_else(|| panic!("{nick} is not here"));
        change(&mut known);
        self.see(nick, known)
    }

    pub(crate) fn join(&mut self, nick: &str) -> Vec<String> {
        self.see(nick, Known { role: Some(Role::Participant), ..Known::default() })
    }

    pub(crate) fn join_named(&mut self, nick: &str, name: &str) -> Vec<String> {
        self.see(nick, Known { name: Some(name.into()), role: Some(Role::Participant), ..Known::default() })
    }

    pub(crate) fn join_as(&mut self, nick: &str, name: &str, real: &str) -> Vec<String> {
        self.see(nick, Known { name: Some(name.into()), real: Some(real.into()), ..Known::default() })
    }

    pub(crate) fn join_guest(&mut self, nick: &str, real: &str, occupant_id: &str, stats_id: &str) -> Vec<String> {
        let (real, occupant_id) = (Some(real.into()), Some(occupant_id.into()));
        self.see(nick, Known { real, occupant_id, stats_id: Some(stats_id.into()), ..Known::default() })
    }

    pub(crate) fn join_owner(&mut self, nick: &str) -> Vec<String> {
        let (role, affiliation) = (Some(Role::Moderator), Some(Affiliation::Owner));
        self.see(nick, Known { role, affiliation, ..Known::default() })
    }

    pub(crate) fn join_member(&mut self, nick: &str) -> Vec<String> {
        self.see(nick, Known { affiliation: Some(Affiliation::Member), ..Known::default() })
    }

    pub(crate) fn join_recorder(&mut self, nick: &str, real: &str) -> Vec<String> {
        self.see(nick, Known { real: Some(real.into()), recorder: true, ..Known::default() })
    }

    pub(crate) fn keeper(&mut self, nick: &str) -> Vec<String> {
        let (role, affiliation) = (Some(Role::Moderator), Some(Affiliation::Owner));
        self.see(nick, Known { role, affiliation, own: true, ..Known::default() })
    }

    pub(crate) fn focus(&mut self) -> Vec<String> {
        let (role, affiliation) = (Some(Role::Moderator), Some(Affiliation::Owner));
        self.see("focus", Known { role, affiliation, focus: true, ..Known::default() })
    }

    pub(crate) fn promote(&mut self, nick: &str) -> Vec<String> {
        self.again(nick, |known| {
            (known.role, known.affiliation) = (Some(Role::Moderator), Some(Affiliation::Owner));
        })
    }

    pub(crate) fn call(&mut self, nick: &str, name: &str) -> Vec<String> {
        self.again(nick, |known| known.name = Some(name.into()))
    }

    pub(crate) fn unname(&mut self, nick: &str) -> Vec<String> {
        self.again(nick, |known| known.name = None)
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Vec<String> {
        let known = self.people.remove(from).unwrap_or_else(|| panic!("{from} is not here"));
        self.people.insert(to.to_owned(), known);
        self.input(Input::Renamed { from, to })
    }

    pub(crate) fn say(&mut self, nick: &str, body: &str) -> Vec<String> {
        self.input(Input::Message { nick, body, id: None, private: false, belated: false })
    }

    pub(crate) fn garbage(&mut self, nick: &str) -> Vec<String> {
        self.input(Input::Unreadable { nick })
    }

    fn go(&mut self, nick: &str, how: Departure) -> Vec<String> {
        self.people.remove(nick);
        self.input(Input::Left { nick, how })
    }

    pub(crate) fn leave(&mut self, nick: &str) -> Vec<String> {
        self.go(nick, Departure::Left)
    }

    pub(crate) fn kicked(&mut self, nick: &str) -> Vec<String> {
        self.go(nick, Departure::Kicked { by_us: true })
    }

    pub(crate) fn wait(&mut self, seconds: u64) -> Vec<String> {
        self.wait_ms(seconds * 1000)
    }

    /// Lets time pass, with every deadline in it.
    pub(crate) fn wait_ms(&mut self, ms: u64) -> Vec<String> {
        let end = self.now.at + Duration::from_millis(ms);
        let mut said = Vec::new();
        let mut passed = 0;
        while let Some(due) = self.policy.deadline().filter(|due| *due <= end) {
            passed += 1;
            assert!(passed < 10_000, "a deadline does not go away");
            self.pass(due.max(self.now.at));
            said.extend(self.input(Input::Timeout));
        }
        self.pass(end);
        said
    }

    fn pass(&mut self, to: Instant) {
        let passed = to.duration_since(self.now.at);
        self.now = Now { at: to, clock: self.now.clock + passed };
    }
}

/// Verdicts in words: `flood warn nick`, `dry hours close schedule`.
pub(crate) fn lines(out: &Verdicts) -> Vec<String> {
    let dry = |mode| if mode == Mode::DryRun { "dry " } else { "" };
    let people = out.people.iter().map(|v| format!("{}{} {} {}", dry(v.mode), v.rule, v.sanction, v.nick));
    let room = out.room.iter().map(|v| {
        let on = |on: bool| if on { "on" } else { "off" };
        let wish = match &v.wish {
            Wish::Lobby(set) => format!("lobby {}", on(*set)),
            Wish::Lock(set) => format!("lock {}", on(*set)),
            Wish::Close { why: Closing::Idle, .. } => "close idle".to_owned(),
            Wish::Close { until: None, .. } => "close schedule".to_owned(),
            Wish::Close { until: Some(until), .. } => format!("close schedule until {until}"),
            Wish::Say(text) => format!("say {text}"),
            Wish::Whisper { nick, text } => format!("whisper {nick}: {text}"),
        };
        format!("{}{} {wish}", dry(v.mode), v.rule)
    });
    people.chain(room).collect()
}
