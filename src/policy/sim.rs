//! Random days in a room with eleven rules on: nobody exempt is ever judged, nothing is said twice of somebody on the
//! way out, and strikes are those of a model that knows nothing of the rules' insides.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::bench::{Bench, plans};
use super::*;

pub(crate) const RULES: &str = r#"
[capacity]
people = 5
[caps_lock]
action = "note"
[duplicate_name]
action = "warn"
[flood]
messages = 4
presences = 6
per = "10s"
action = "kick"
[frozen_name]
grace = "5s"
action = "note"
[impersonation]
names = ["Admin"]
[moderators]
allow = ["p0@meet.jitsi"]
[name_pattern]
must_not = ["^x"]
action = "mute"
[rejoin]
out = "20s"
[repeat]
times = 2
action = "note"
[words]
words = ["darn"]
names = false
"#;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Keeper,
    Focus,
    Recorder,
    Listed,
    Owner,
    Person,
}

#[derive(Debug, Clone)]
struct Known {
    kind: Kind,
    /// A kick or ban was said and is not seen yet.
    out_until: Option<Instant>,
}

struct Model {
    room: Bench,
    inside: HashMap<String, Known>,
    strikes: HashMap<OccupantKey, Vec<Instant>>,
    serial: usize,
    verdicts: usize,
    most_strikes: usize,
}

impl Model {
    fn check(&mut self, seed: u64, out: &Verdicts) {
        self.verdicts += out.people.len();
        for verdict in &out.people {
            let known = self.inside.get_mut(&*verdict.nick).unwrap_or_else(|| panic!("{seed}: {verdict:?} is gone"));
            let fair = known.kind == Kind::Person || (known.kind == Kind::Owner && verdict.rule == "moderators");
            assert!(fair, "{seed}: {verdict:?} against {known:?}");
            let leaves = known.out_until.is_some_and(|until| self.room.now.at < until);
            assert!(!leaves, "{seed}: {verdict:?} against somebody on the way out");
            if verdict.sanction.removes() {
                known.out_until = Some(self.room.now.at + Duration::from_secs(30));
            }
        }
        let now = self.room.now.at;
        for (who, strikes) in &mut self.strikes {
            strikes.retain(|at| now.duration_since(*at) < Duration::from_secs(3600));
            // More than there are steps make no difference.
            let expected = strikes.len().min(4);
            self.most_strikes = self.most_strikes.max(expected);
            assert_eq!(self.room.policy.strikes(now, who), expected, "{seed}: {who}");
        }
    }

    fn input(&mut self, seed: u64, input: Input<'_>) -> Verdicts {
        let mut out = Verdicts::default();
        self.room.policy.handle(self.room.now, input, &mut out);
        out.people.iter().for_each(|verdict| assert_ne!(verdict.reason, "", "{seed}"));
        out
    }

    fn see(&mut self, seed: u64, nick: &str, kind: Kind, name: &str, account: usize) {
        self.inside.entry(nick.to_owned()).or_insert(Known { kind, out_until: None }).kind = kind;
        let real = match kind {
            Kind::Recorder => "jibri@recorder.meet.jitsi/x".to_owned(),
            Kind::Listed => "listed@meet.jitsi/x".to_owned(),
            _ => format!("p{account}@meet.jitsi/{}", self.serial),
        };
        let power = matches!(kind, Kind::Keeper | Kind::Focus | Kind::Owner);
        let out = self.input(
            seed,
            Input::Present(Presence {
                nick,
                display_name: (!name.is_empty()).then_some(name),
                real_jid: Some(&real),
                role: Some(if power { &Role::Moderator } else { &Role::Participant }),
                affiliation: Some(if power { &Affiliation::Owner } else { &Affiliation::None }),
                own: kind == Kind::Keeper,
                focus: kind == Kind::Focus,
                recorder: kind == Kind::Recorder,
                ..Presence::default()
            }),
        );
        self.check(seed, &out);
    }

    fn leave(&mut self, seed: u64, nick: &str, how: Departure) {
        self.inside.remove(nick);
        let out = self.input(seed, Input::Left { nick, how });
        self.check(seed, &out);
    }

    fn say(&mut self, seed: u64, nick: &str, body: &str, belated: bool) {
        let now = self.room.now.at;
        let known = &self.inside[nick];
        let judged = known.kind == Kind::Person && known.out_until.is_none_or(|until| until <= now);
        let who = self.room.policy.people().by_nick(nick).expect("is inside").key().clone();
        let out = self.input(seed, Input::Message { nick, body, id: None, private: false, belated });
        let thrown_out = out.people.iter().any(|verdict| verdict.rule != "words" && verdict.sanction.removes());
        if judged && body.contains("darn") && !thrown_out {
            let strikes = self.strikes.entry(who).or_default();
            strikes.retain(|at| now.duration_since(*at) < Duration::from_secs(3600));
            if strikes.len() == 4 {
                strikes.remove(0);
            }
            strikes.push(now);
        }
        self.check(seed, &out);
    }
}

/// Answers how many verdicts there were, and the most strikes that somebody had.
fn day(seed: u64) -> (usize, usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all = plans(RULES, Mode::Enforce);
    all.exempt = AllowList::read(["listed@meet.jitsi"]).expect("a JID");
    all.trust.recorder_domains.push("recorder.meet.jitsi".into());
    let room = Bench::of(all);
    let mut model =
        Model { room, inside: HashMap::new(), strikes: HashMap::new(), serial: 0, verdicts: 0, most_strikes: 0 };
    model.room.hold();
    let names = ["", "Ann", "Аnn", "Admin", "xx", "Bob", "\u{200b}", "listed@meet.jitsi"];
    let bodies = ["darn", "d\u{200b}arn darn", "HELLO EVERYBODY HERE", "hello", "hello there all", "https://x.example"];
    let kinds = [
        Kind::Keeper,
        Kind::Focus,
        Kind::Recorder,
        Kind::Listed,
        Kind::Owner,
        Kind::Person,
        Kind::Person,
        Kind::Person,
    ];
    for _ in 0..400 {
        let mut nicks: Vec<String> = model.inside.keys().cloned().collect();
        nicks.sort_unstable();
        let nick = rng.choice(&nicks).cloned();
        let account = rng.usize(1..6);
        match (rng.u8(0..12), nick) {
            (0..=2, _) | (_, None) => {
                model.serial += 1;
                let (nick, kind) = (format!("n{}", model.serial), *rng.choice(&kinds).expect("some"));
                model.see(seed, &nick, kind, names[rng.usize(0..names.len())], account);
            }
            (3, Some(nick)) => model.leave(seed, &nick, Departure::Left),
            // What was said is carried out.
            (4 | 5, Some(nick)) if model.inside[&nick].out_until.is_some() => {
                model.leave(seed, &nick, Departure::Kicked { by_us: true });
            }
            (6, Some(nick)) => {
                model.serial += 1;
                let to = format!("n{}", model.serial);
                let known = model.inside.remove(&nick).expect("is inside");
                model.inside.insert(to.clone(), known);
                let out = model.input(seed, Input::Renamed { from: &nick, to: &to });
                model.check(seed, &out);
            }
            (7, Some(nick)) => {
                let kind = model.inside[&nick].kind;
                // A person may become an owner and be one no more.
                let kind = if matches!(kind, Kind::Person | Kind::Owner) {
                    *rng.choice(&[Kind::Person, Kind::Owner]).expect("two")
                } else {
                    kind
                };
                model.see(seed, &nick, kind, names[rng.usize(0..names.len())], account);
            }
            (8, _) => {
                let pause = Duration::from_secs(rng.u64(1..1500));
                model.room.now = Now { at: model.room.now.at + pause, clock: model.room.now.clock + pause };
                let out = model.input(seed, Input::Timeout);
                model.check(seed, &out);
            }
            (9, _) if rng.u8(0..8) == 0 => {
                model.room.restart();
                // The bench's other monotonic clock.
                for at in model.strikes.values_mut().flatten() {
                    *at += Duration::from_secs(12_345);
                }
                model.inside.clear();
                model.room.hold();
            }
            (_, Some(nick)) => {
                let pause = Duration::from_millis(rng.u64(0..3000));
                model.room.now = Now { at: model.room.now.at + pause, clock: model.room.now.clock + pause };
                model.say(seed, &nick, bodies[rng.usize(0..bodies.len())], rng.u8(0..10) == 0);
            }
        }
    }
    (model.verdicts, model.most_strikes)
}

#[test]
fn nobody_exempt_is_judged_and_strikes_are_the_models() {
    let days: Vec<_> = (0..100).map(day).collect();
    // Days on which nothing happens would prove nothing.
    assert!(days.iter().map(|(verdicts, _)| verdicts).sum::<usize>() > 2_000, "{days:?}");
    assert!(days.iter().any(|(_, strikes)| *strikes == 4), "{days:?}");
}
