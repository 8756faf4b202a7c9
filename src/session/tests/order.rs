//! Random days in two rooms under eleven rules and a list of bans, through the real session, its rooms and their rules.
//!
//! The server is a model: it carries out what it is asked after a while, or refuses, or says nothing; connections break
//! and are resumed or not. What the keeper was shown is kept beside it, and against that everything it sends is held:
//! nobody exempt is ever touched, nothing is sent twice while it is on its way, nobody is spoken to who is gone. Strikes
//! are those of a model that knows nothing of the rules' insides. `ORDER_SEED=7` plays one day alone and tells it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::action::{Actor, Standing};
use crate::pattern::Pattern;
use crate::policy::bans::{Ban, Target as Banned};
use crate::policy::bench::plans;
use crate::policy::sim::RULES;
use crate::policy::{AllowList, Mode, OccupantKey, Rung, Sanction};

const ROOMS: [&str; 2] = ["tavern", "hall"];
/// Where guests have their accounts: a domain of which nobody is exempt.
const GUESTS: &str = "guest.meet.jitsi";
const HOUR: Duration = Duration::from_secs(3600);
/// How long a removal may take to show, and how long it is let be where it was refused, as the rules' users are told.
const REMOVAL: Duration = Duration::from_secs(30);
const REFUSED: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Person,
    Guest,
    Owner,
    Listed,
    Recorder,
}

/// Somebody in a room, as the server knows them.
#[derive(Debug, Clone)]
struct Guest {
    stay: u64,
    kind: Kind,
    real: String,
    occupant_id: String,
    name: &'static str,
}

/// Somebody as the keeper was shown them, with what it has said of them.
#[derive(Debug, Clone)]
struct Shown {
    who: Guest,
    /// A removal is on its way until the server has said no or nothing.
    removal: Option<Instant>,
    /// The rules wait for it.
    patience: Option<Instant>,
    /// When they were last muted or demoted.
    mild: BTreeMap<&'static str, Instant>,
}

/// What the server says.
#[derive(Debug, Clone)]
enum Down {
    Here(usize, String, Guest),
    Own(usize),
    Gone(usize, String, Option<u16>),
    Renamed(usize, String, String),
    Said(usize, String, &'static str, bool),
    Garbage(usize, String),
    Other(String),
    /// An answer to a question about that room and its name, or about somebody in it.
    Info(usize, String),
    /// An answer to the casting out of an account or a domain.
    Cast(usize, String, String),
    Refused(String, String),
}

#[derive(Debug, Default)]
struct Room {
    guests: BTreeMap<String, Guest>,
    outcasts: BTreeSet<String>,
    keeper: bool,
    // what the keeper was shown
    shown: BTreeMap<String, Shown>,
    entered: Option<Instant>,
    holding: bool,
    strikes: BTreeMap<OccupantKey, Vec<Instant>>,
    state: Option<Box<policy::State>>,
}

/// What was seen in a day, so that days on which nothing happens prove nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    verdicts: usize,
    kicks: usize,
    outcasts: usize,
    demotions: usize,
    warnings: usize,
    mutes: usize,
    refused: usize,
    domains: usize,
    resets: usize,
    most_strikes: usize,
    compared: usize,
}

struct Day {
    seed: u64,
    loud: bool,
    rng: fastrand::Rng,
    session: Session,
    now: Instant,
    start: Instant,
    joins: Bucket,
    settings: Vec<Arc<Settings>>,
    rooms: Vec<Room>,
    /// What is on its way to the server.
    up: VecDeque<(Instant, Element)>,
    handled: u32,
    online: bool,
    /// What the server keeps for a lost session.
    kept: VecDeque<Down>,
    serial: u64,
    bans: Bans,
    ids: BTreeSet<String>,
    /// Whose stays a removal on its way is about, by question.
    asked: BTreeMap<String, (usize, Vec<u64>)>,
    /// Until when the server may say something to an account's or a domain's being cast out of a room: whoever comes
    /// meanwhile and is banned goes with the others.
    casting: [BTreeMap<String, Instant>; ROOMS.len()],
    /// Who was last asked to be kicked under a nick.
    kicked: BTreeMap<(usize, String), u64>,
    /// What rules remembered, and when, that was not compared yet: a strike is the model's only behind its message.
    remembered: Vec<(Instant, usize, Box<policy::State>)>,
    tally: Tally,
}

fn named(room: usize) -> String {
    format!("{}@{MUC}", ROOMS[room])
}

fn of_name(room: &str) -> Option<usize> {
    ROOMS.iter().position(|name| jid::local(room) == Some(name))
}

impl Guest {
    fn key(&self) -> OccupantKey {
        match self.kind {
            Kind::Guest => OccupantKey::new(Rung::OccupantId, &self.occupant_id),
            _ => OccupantKey::new(Rung::Account, &self.real),
        }
    }

    /// Whether an affiliation is theirs, by their account or its domain.
    fn is_of(&self, jid: &str) -> bool {
        [jid::bare(&self.real), jid::domain(&self.real)].contains(&jid)
    }

    fn presence(&self, room: usize, nick: &str) -> String {
        let (role, affiliation) =
            if self.kind == Kind::Owner { ("moderator", "owner") } else { ("participant", "none") };
        let name = if self.name.is_empty() {
            String::new()
        } else {
            format!("<nick xmlns='http://jabber.org/protocol/nick'>{}</nick>", self.name)
        };
        let features = if self.kind == Kind::Recorder {
            "<features><feature var='http://jitsi.org/protocol/jibri'/></features>"
        } else {
            ""
        };
        format!(
            "<presence xmlns='jabber:client' from='{}/{nick}'>{name}{features}\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='{affiliation}' role='{role}' jid='{}'/></x>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='{}'/></presence>",
            named(room),
            self.real,
            self.occupant_id
        )
    }
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut all = plans(RULES, Mode::Enforce);
        all.exempt = AllowList::read(["listed@meet.jitsi"]).expect("a JID");
        all.trust.recorder_domains.push("recorder.meet.jitsi".into());
        let plans = Arc::new(all);
        let settings = ROOMS
            .iter()
            .map(|name| Arc::new(Settings { plans: Some(plans.clone()), ..settings(name, true) }))
            .collect();
        let now = Instant::now();
        let profile = Profile { seed, ..profile() };
        let mut day = Day {
            seed,
            loud: std::env::var_os("ORDER_SEED").is_some(),
            rng: fastrand::Rng::with_seed(seed),
            session: Session::new(profile, now),
            now,
            start: now,
            joins: Bucket::per_second(1000, now),
            settings,
            rooms: (0..ROOMS.len()).map(|_| Room::default()).collect(),
            up: VecDeque::new(),
            handled: 0,
            online: false,
            kept: VecDeque::new(),
            serial: 0,
            bans: Bans::default(),
            ids: BTreeSet::new(),
            asked: BTreeMap::new(),
            casting: Default::default(),
            kicked: BTreeMap::new(),
            remembered: Vec::new(),
            tally: Tally::default(),
        };
        day.bans.trust.guest_domains.push(GUESTS.into());
        day.begin();
        day
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{:9.3} {}", (self.now - self.start).as_secs_f64(), what());
        }
    }

    /// A process begins: with what the one before it remembered.
    fn begin(&mut self) {
        let clock = "2026-03-02T12:00:00Z".parse::<Timestamp>().expect("a time") + (self.now - self.start);
        self.put(Input::Clock(clock));
        self.put(Input::Bans(Arc::new(self.bans.clone())));
        for room in 0..ROOMS.len() {
            self.put(Input::Hold(self.settings[room].clone()));
            if let Some(state) = self.rooms[room].state.clone() {
                self.put(Input::Recall(self.settings[room].key.clone(), state));
            }
        }
        self.online(None);
    }

    fn online(&mut self, resumed: Option<u32>) {
        self.online = true;
        if resumed.is_none() {
            self.handled = 0;
            self.up.clear();
            self.kept.clear();
            self.asked.clear();
            self.kicked.clear();
            self.casting = Default::default();
            self.rooms.iter_mut().for_each(Room::forget);
        } else {
            self.wait_until(self.now + IQ_TIMEOUT);
        }
        self.say(|| format!("online, resumed: {resumed:?}"));
        self.put(Input::Online(Bound { resumed, ..bound(true) }));
        while let (true, Some(down)) = (self.online, self.kept.pop_front()) {
            self.deliver(down);
        }
    }

    /// Hands the session something, and looks at all that comes of it. Answers what rules said: nick, rule, verdict.
    fn put(&mut self, input: Input) -> Vec<(usize, String, String, String)> {
        for (then, room, state) in std::mem::take(&mut self.remembered) {
            self.compare(then, room, &state);
        }
        self.put_also(input)
    }

    fn put_also(&mut self, input: Input) -> Vec<(usize, String, String, String)> {
        let bans = matches!(input, Input::Bans(_));
        let resumes = matches!(input, Input::Online(Bound { resumed: Some(_), .. }));
        let mut out = Outbox::default();
        self.session.handle(self.now, input, &mut self.joins, &mut out);
        assert_eq!(out.disconnect, None, "{}", self.seed);
        let mut said = Vec::new();
        let mut banned = Vec::new();
        for report in out.reports {
            self.report(report, &mut said, &mut banned);
        }
        let warnings = said.iter().filter(|(.., verdict)| verdict == "warn").count();
        let mut spoken = 0;
        for element in out.send {
            let known = !self.ids.insert(element.attr("id").unwrap_or_default().to_owned());
            // What a resumption sends again the server has not seen.
            if stanza::kind(&element).is_some() && element.name() != "presence" && !(known && resumes) {
                assert!(!known || element.attr("type") == Some("result"), "{}: twice: {element:?}", self.seed);
                spoken += usize::from(element.name() == "message");
                self.judge(&element);
            }
            // In order, after a while.
            let last = self.up.back().map_or(self.now, |(at, _)| *at);
            let due = last.max(self.now + Duration::from_millis(self.rng.u64(0..800)));
            self.up.push_back((due, element));
        }
        assert_eq!(spoken, warnings, "{}: warnings said and sent", self.seed);
        if bans {
            self.cast_out();
        }
        for ban in banned {
            self.bans.add(ban);
            said.extend(self.put_also(Input::Bans(Arc::new(self.bans.clone()))));
        }
        let (now, online) = (self.now, self.online);
        for (room, state) in self.rooms.iter_mut().enumerate() {
            let here = self.session.room(&key(ROOMS[room])).is_some_and(|room| room.inside().is_some());
            assert!(here || state.entered.is_none() || !online, "{}: out of {}", self.seed, ROOMS[room]);
            // A room that does not say which life it is in is given one.
            if state.entered.is_some_and(|at| now >= at + Duration::from_secs(5)) && online {
                state.holding = true;
            }
        }
        said
    }

    fn report(&mut self, report: Report, said: &mut Vec<(usize, String, String, String)>, banned: &mut Vec<Ban>) {
        match report {
            Report::Happened { room, what, .. } => {
                let What::RuleMatched { rule, person: Some(person), verdict, reason, dry_run: false, .. } = *what
                else {
                    return;
                };
                let at = of_name(&format!("{}@x", room.name)).expect("one of ours");
                self.say(|| format!("{rule} says {verdict} of {} in {room}", person.nick));
                self.tally.verdicts += 1;
                assert_ne!(&*reason, "", "{}", self.seed);
                let known = self.rooms[at].shown.get_mut(&*person.nick);
                let known = known.unwrap_or_else(|| panic!("{}: {rule} {verdict}: {} is gone", self.seed, person.nick));
                let fair = matches!(known.who.kind, Kind::Person | Kind::Guest)
                    || known.who.kind == Kind::Owner && &*rule == "moderators";
                assert!(fair, "{}: {rule} says {verdict} of {known:?}", self.seed);
                assert!(known.patience.is_none_or(|at| at <= self.now), "{}: {rule} {verdict}: {known:?}", self.seed);
                if Sanction::read(&verdict).expect("a sanction").removes() {
                    known.patience = Some(self.now + REMOVAL);
                }
                said.push((at, person.nick.to_string(), rule.to_string(), verdict.to_string()));
            }
            Report::Progress { room, request, progress, over: true } if progress.cause().is_some() => {
                let at = of_name(&format!("{}@x", room.name)).expect("one of ours");
                self.say(|| format!("{:?} failed: {progress:?}", request.action));
                self.tally.refused += 1;
                let now = self.now;
                if let Action::Affiliate { jid: account, to: Standing::Outcast } = &request.action {
                    let shown = self.rooms[at].shown.values_mut();
                    shown.filter(|one| one.who.is_of(account)).for_each(|one| one.removal = None);
                    self.casting[at].remove(&**account);
                }
                if let (Action::Kick { nick }, Actor::Rule { .. } | Actor::Bans) = (&request.action, &request.actor) {
                    let stay = self.kicked.get(&(at, nick.to_string())).copied();
                    // What a lost session asked for is nobody's any more.
                    let Some(stay) = stay else { return };
                    // Whoever has another nick by now is asked for under that.
                    let mut shown = self.rooms[at].shown.iter_mut();
                    if let Some((by_now, known)) = shown.find(|(_, known)| known.who.stay == stay) {
                        known.removal = None;
                        if *by_now == **nick {
                            known.patience = known.patience.map(|until| until.min(now + REFUSED));
                        }
                    }
                }
            }
            Report::Ban(_, wish) => {
                let BanWish { targets, period, reason, .. } = *wish;
                let now = self.session.clock.clock_at(self.now);
                let until = period.map(|period| now + period);
                let ban = |target| Ban {
                    target,
                    service: None,
                    rooms: None,
                    until,
                    reason: reason.to_string(),
                    note: String::new(),
                    by: String::new(),
                    known_as: String::new(),
                    at: now,
                };
                banned.extend(targets.into_iter().map(ban));
            }
            Report::Remember(room, state) => {
                let at = of_name(&format!("{}@x", room.name)).expect("one of ours");
                self.rooms[at].state = Some(state.clone());
                self.remembered.push((self.now, at, state));
            }
            _ => {}
        }
    }

    /// Strikes are the model's.
    fn compare(&mut self, then: Instant, at: usize, state: &policy::State) {
        let room = &mut self.rooms[at];
        room.strikes.values_mut().for_each(|strikes| strikes.retain(|at| then < *at + HOUR));
        room.strikes.retain(|_, strikes| !strikes.is_empty());
        let counts: BTreeMap<_, _> = room.strikes.iter().map(|(who, strikes)| (who.clone(), strikes.len())).collect();
        let found: BTreeMap<_, _> = state.strikes.iter().map(|one| (one.who.clone(), one.until.len())).collect();
        assert_eq!(found, counts, "{}: strikes in {}", self.seed, ROOMS[at]);
        self.tally.most_strikes = self.tally.most_strikes.max(counts.values().copied().max().unwrap_or(0));
        self.tally.compared += 1;
    }

    /// Holds what the keeper says against what it was shown.
    fn judge(&mut self, sent: &Element) {
        let to = sent.attr("to").unwrap_or_default();
        let Some(room) = of_name(to) else { return };
        let (seed, now) = (self.seed, self.now);
        let shown = &mut self.rooms[room].shown;
        let mut mild = |nick: &str, what: &'static str, fair: &dyn Fn(Kind) -> bool| {
            let known = shown.get_mut(nick).unwrap_or_else(|| panic!("{seed}: {what} of {nick}, who is gone"));
            assert!(fair(known.who.kind), "{seed}: {what} of {known:?}");
            let last = known.mild.insert(what, now);
            assert!(last.is_none_or(|last| last + REFUSED <= now), "{seed}: {what} again of {known:?}");
        };
        let person = |kind| matches!(kind, Kind::Person | Kind::Guest);
        if sent.name() == "message" {
            let nick = jid::resource(to).expect("warnings are private");
            let known = shown.get(nick).unwrap_or_else(|| panic!("{seed}: {nick} is gone"));
            assert!(person(known.who.kind), "{seed}: a warning to {known:?}");
            self.tally.warnings += 1;
            return;
        }
        if let Some(mute) = sent.get_child("mute", ns::JITMEET_AUDIO) {
            mild(jid::resource(mute.attr("jid").expect("a jid")).expect("a nick"), "mute", &person);
            self.tally.mutes += 1;
        }
        let Some(item) = sent.get_child("query", ns::MUC_ADMIN).and_then(|query| query.children().next()) else {
            return;
        };
        self.say_item(room, item);
        let shown = &mut self.rooms[room].shown;
        match (item.attr("role"), item.attr("affiliation")) {
            (Some("none"), _) => {
                let nick = item.attr("nick").expect("a kick has a nick");
                let known = shown.get_mut(nick).unwrap_or_else(|| panic!("{seed}: a kick of {nick}, who is gone"));
                assert!(person(known.who.kind), "{seed}: a kick of {known:?}");
                assert!(known.removal.is_none_or(|until| until <= now), "{seed}: a second kick of {known:?}");
                known.removal = Some(now + IQ_TIMEOUT);
                let stay = known.who.stay;
                self.kicked.insert((room, nick.to_owned()), stay);
                self.asked.insert(sent.attr("id").expect("an id").to_owned(), (room, vec![stay]));
                self.tally.kicks += 1;
            }
            (_, Some("outcast")) => {
                let account = item.attr("jid").expect("an outcast has an account, or a domain");
                assert!(account.contains('@') || account == GUESTS, "{seed}: {account} is more than guests");
                let last = self.casting[room].insert(account.to_owned(), now + IQ_TIMEOUT);
                if account == GUESTS {
                    assert!(last.is_none_or(|until| until <= now), "{seed}: {account} is cast out twice");
                    self.tally.domains += 1;
                }
                let mut meant: Vec<_> =
                    shown.iter_mut().filter(|(_, one)| one.who.is_of(account)).map(|(_, one)| one).collect();
                assert!(!meant.is_empty(), "{seed}: {account} is gone");
                assert!(meant.iter().any(|one| person(one.who.kind)), "{seed}: an outcast of {meant:?}");
                // One of them may be on the way out for something else.
                meant.retain(|one| one.removal.is_none_or(|until| until <= now));
                assert!(!meant.is_empty(), "{seed}: a second removal of {account}");
                for one in &mut meant {
                    one.removal = Some(now + IQ_TIMEOUT);
                }
                let stays = meant.iter().map(|one| one.who.stay).collect();
                self.asked.insert(sent.attr("id").expect("an id").to_owned(), (room, stays));
                self.tally.outcasts += 1;
            }
            (_, Some("none" | "member")) => {
                let account = item.attr("jid").expect("an account");
                let owner =
                    shown.values().find(|one| jid::bare(&one.who.real) == account && one.who.kind == Kind::Owner);
                assert!(owner.is_some(), "{seed}: {account} is no owner");
                self.tally.demotions += 1;
            }
            other => panic!("{seed}: {other:?}: {sent:?}"),
        }
    }

    fn say_item(&self, room: usize, item: &Element) {
        self.say(|| format!("asks in {}: {}", ROOMS[room], crate::xml::to_string(item, None)));
    }

    // ── the server

    fn tell(&mut self, down: Down) {
        if self.online { self.deliver(down) } else { self.kept.push_back(down) }
    }

    fn deliver(&mut self, down: Down) {
        self.say(|| format!("hears {down:?}"));
        match down {
            Down::Here(room, nick, guest) => {
                let text = guest.presence(room, &nick);
                match self.rooms[room].shown.get_mut(&nick) {
                    Some(known) => known.who = guest,
                    None => {
                        let shown = Shown { who: guest, removal: None, patience: None, mild: BTreeMap::new() };
                        self.rooms[room].shown.insert(nick, shown);
                    }
                }
                self.hear(&text);
                self.cast_out();
            }
            Down::Own(room) => {
                let from = format!("{}/", named(room));
                self.hear(&format!(
                    "<presence xmlns='jabber:client' from='{from}focus'><x xmlns='http://jabber.org/protocol/muc#user'>\
                     <item affiliation='owner' role='moderator' jid='focus@auth.meet.jitsi/f'/></x></presence>"
                ));
                self.hear(&format!(
                    "<presence xmlns='jabber:client' from='{from}{NICK}'><x xmlns='http://jabber.org/protocol/muc#user'>\
                     <item affiliation='owner' role='moderator' jid='{OWN}'/><status code='110'/></x></presence>"
                ));
                // An answer to a join that was given up meanwhile is none.
                if self.session.room(&key(ROOMS[room])).is_some_and(|room| room.inside().is_some()) {
                    self.rooms[room].entered.get_or_insert(self.now);
                }
            }
            Down::Gone(room, nick, code) => {
                self.rooms[room].shown.remove(&nick);
                let (affiliation, status) = match code {
                    Some(code) => ("none", format!("<status code='{code}'/>")),
                    None => ("none", String::new()),
                };
                let actor = if code.is_some() { format!("<actor nick='{NICK}'/>") } else { String::new() };
                self.hear(&format!(
                    "<presence xmlns='jabber:client' type='unavailable' from='{}/{nick}'>\
                     <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='{affiliation}' role='none'>{actor}\
                     </item>{status}</x></presence>",
                    named(room)
                ));
            }
            Down::Renamed(room, from, to) => {
                let known = self.rooms[room].shown.remove(&from).expect("is shown");
                self.rooms[room].shown.insert(to.clone(), known);
                self.hear(&format!(
                    "<presence xmlns='jabber:client' type='unavailable' from='{}/{from}'>\
                     <x xmlns='http://jabber.org/protocol/muc#user'><item nick='{to}' role='participant'/>\
                     <status code='303'/></x></presence>",
                    named(room)
                ));
            }
            Down::Said(room, nick, body, delayed) => self.hear_said(room, &nick, body, delayed),
            Down::Garbage(room, nick) => {
                let text =
                    format!("<message xmlns='jabber:client' from='{}/{nick}'><body>&#1;</body></message>", named(room));
                let bad = crate::xml::parse(text.as_bytes(), &crate::xml::Limits::default()).expect_err("no XML");
                self.put(Input::Bad(bad));
            }
            Down::Other(text) => {
                self.hear(&text);
            }
            Down::Info(room, text) => {
                if self.rooms[room].entered.is_some() {
                    self.rooms[room].holding = true;
                }
                self.hear(&text);
            }
            Down::Cast(room, account, text) => {
                self.hear(&text);
                self.casting[room].remove(&account);
            }
            Down::Refused(id, text) => {
                if let Some((room, stays)) = self.asked.remove(&id) {
                    let shown = self.rooms[room].shown.values_mut();
                    shown.filter(|one| stays.contains(&one.who.stay)).for_each(|one| one.removal = None);
                }
                self.hear(&text);
            }
        }
    }

    /// Whoever is banned and of an account or a domain that the room is just asked to cast out is on the way out, too.
    fn cast_out(&mut self) {
        let clock = self.session.clock.clock_at(self.now);
        let now = policy::Now { at: self.now, clock };
        for (room, state) in self.rooms.iter_mut().enumerate().filter(|(_, state)| state.entered.is_some()) {
            let key = &self.settings[room].key;
            let banned = |jid: &str| self.bans.casts_out(jid, now, &key.service, &key.name);
            for (jid, until) in self.casting[room].iter().filter(|(jid, until)| **until > now.at && banned(jid)) {
                let theirs = state.shown.values_mut().filter(|one| one.who.is_of(jid));
                theirs
                    .filter(|one| one.removal.is_none_or(|at| at <= now.at))
                    .for_each(|one| one.removal = Some(*until));
            }
        }
    }

    /// What was asked and is not answered is waited for until then.
    fn wait_until(&mut self, then: Instant) {
        let now = self.now;
        let removals =
            self.rooms.iter_mut().flat_map(|room| room.shown.values_mut()).filter_map(|one| one.removal.as_mut());
        let casting = self.casting.iter_mut().flat_map(BTreeMap::values_mut);
        removals.chain(casting).filter(|until| **until > now).for_each(|until| *until = then);
    }

    fn hear(&mut self, text: &str) -> Vec<(usize, String, String, String)> {
        self.put(Input::Element(xml(text)))
    }

    fn hear_said(&mut self, room: usize, nick: &str, body: &'static str, delayed: bool) {
        let known = self.rooms[room].shown[nick].clone();
        let delay = if delayed { "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>" } else { "" };
        self.serial += 1;
        let said = self.hear(&format!(
            "<message xmlns='jabber:client' type='groupchat' id='m{}' from='{}/{nick}'><body>{body}</body>{delay}</message>",
            self.serial,
            named(room)
        ));
        let judged = self.rooms[room].holding
            && matches!(known.who.kind, Kind::Person | Kind::Guest)
            && !delayed
            && known.patience.is_none_or(|until| until <= self.now)
            && known.removal.is_none_or(|until| until <= self.now);
        let out = said.iter().any(|(at, who, rule, verdict)| {
            *at == room && who == nick && rule != "words" && Sanction::read(verdict).is_ok_and(Sanction::removes)
        });
        if judged && body.contains("darn") && !out {
            let now = self.now;
            let strikes = self.rooms[room].strikes.entry(known.who.key()).or_default();
            strikes.retain(|at| now < *at + HOUR);
            // More than there are steps make no difference.
            if strikes.len() == 4 {
                strikes.remove(0);
            }
            strikes.push(now);
        }
    }

    /// Something of the keeper's arrives.
    fn arrive(&mut self, element: &Element) {
        if element.is("r", ns::SM) {
            let handled = self.handled;
            return self.tell(Down::Other(format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>")));
        }
        if stanza::kind(element).is_none() {
            return;
        }
        self.handled += 1;
        let (to, id) =
            (element.attr("to").unwrap_or_default().to_owned(), element.attr("id").unwrap_or_default().to_owned());
        let room = of_name(&to).filter(|_| to.contains(MUC));
        if element.name() == "presence" {
            if let (Some(room), true) = (room, element.has_child("x", ns::MUC)) {
                self.rooms[room].keeper = true;
                for (nick, guest) in self.rooms[room].guests.clone() {
                    self.tell(Down::Here(room, nick, guest));
                }
                self.tell(Down::Own(room));
            }
            return;
        }
        if element.name() != "iq" || !matches!(element.attr("type"), Some("get" | "set")) {
            return;
        }
        let result =
            |inner: &str| format!("<iq xmlns='jabber:client' type='result' from='{to}' id='{id}'>{inner}</iq>");
        if let Some(conference) = element.get_child("conference", ns::JITSI_FOCUS) {
            let room = conference.attr("room").expect("a room");
            return self.tell(Down::Other(result(&format!(
                "<conference xmlns='http://jitsi.org/protocol/focus' room='{room}' ready='true' \
                 focusjid='focus@auth.meet.jitsi' session-id='sid'><property name='authentication' value='true'/></conference>"
            ))));
        }
        if element.has_child("query", ns::DISCO_INFO) {
            let info = result(
                "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/></query>",
            );
            let whole = room.filter(|_| jid::resource(&to).is_none());
            return self.tell(whole.map_or(Down::Other(info.clone()), |room| Down::Info(room, info.clone())));
        }
        let item = element.get_child("query", ns::MUC_ADMIN).and_then(|query| query.children().next()).cloned();
        let refusal = |condition: &str| {
            format!(
                "<iq xmlns='jabber:client' type='error' from='{to}' id='{id}'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )
        };
        if let (Some(item), Some(room)) = (item, room) {
            let missed = item.attr("nick").is_some_and(|nick| !self.rooms[room].guests.contains_key(nick));
            match self.rng.u8(0..20) {
                0 => return,
                1 | 2 => {
                    let refusal = refusal("not-allowed");
                    return self.tell(Down::Refused(id, refusal));
                }
                _ if missed => {
                    let refusal = refusal("item-not-found");
                    return self.tell(Down::Refused(id, refusal));
                }
                _ => self.administer(room, &item),
            }
            if let (Some(account), Some("outcast")) = (item.attr("jid"), item.attr("affiliation")) {
                return self.tell(Down::Cast(room, account.to_owned(), result("")));
            }
        }
        self.tell(Down::Other(result("")));
    }

    fn administer(&mut self, room: usize, item: &Element) {
        if let Some(nick) = item.attr("nick") {
            if self.rooms[room].guests.remove(nick).is_some() {
                self.tell(Down::Gone(room, nick.to_owned(), Some(307)));
            }
            return;
        }
        let account = item.attr("jid").expect("an account").to_owned();
        let nicks: Vec<String> = self.rooms[room]
            .guests
            .iter()
            .filter(|(_, guest)| guest.is_of(&account))
            .map(|(nick, _)| nick.clone())
            .collect();
        let outcast = item.attr("affiliation") == Some("outcast");
        for nick in nicks {
            if outcast {
                self.rooms[room].guests.remove(&nick);
                self.tell(Down::Gone(room, nick, Some(301)));
            } else if let Some(guest) = self.rooms[room].guests.get_mut(&nick) {
                if guest.kind == Kind::Owner {
                    guest.kind = if guest.real.contains("guest") { Kind::Guest } else { Kind::Person };
                }
                let guest = guest.clone();
                self.tell(Down::Here(room, nick, guest));
            }
        }
        if outcast {
            self.rooms[room].outcasts.insert(account);
        }
    }

    // ── time

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..100_000 {
            let arrives = self.up.front().filter(|_| self.online).map(|(at, _)| *at);
            let due = arrives.into_iter().chain(self.session.deadline()).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            if arrives.is_some_and(|at| at <= self.now) {
                let (_, element) = self.up.pop_front().expect("it arrives");
                self.arrive(&element);
            } else {
                self.put(Input::Timeout);
            }
        }
        panic!("{}: a deadline does not go away", self.seed);
    }

    // ── what happens

    fn enter(&mut self, room: usize) {
        self.serial += 1;
        let kinds = [
            Kind::Person,
            Kind::Person,
            Kind::Person,
            Kind::Guest,
            Kind::Guest,
            Kind::Owner,
            Kind::Listed,
            Kind::Recorder,
        ];
        let kind = *self.rng.choice(&kinds).expect("some");
        let account = self.rng.u8(1..7);
        let real = match kind {
            Kind::Recorder => format!("jibri@recorder.meet.jitsi/{}", self.serial),
            Kind::Listed => format!("listed@meet.jitsi/{}", self.serial),
            Kind::Guest => format!("g{account}@{GUESTS}/{}", self.serial),
            // An owner is one by affiliation: nobody else is there on the same account.
            Kind::Owner => format!("o{}@meet.jitsi/x", self.serial),
            Kind::Person => format!("p{account}@meet.jitsi/{}", self.serial),
        };
        let outcasts = &self.rooms[room].outcasts;
        if outcasts.contains(jid::bare(&real)) || outcasts.contains(jid::domain(&real)) {
            return;
        }
        let name = self.name();
        let occupant_id = format!("oid-{}", jid::local(&real).expect("an account"));
        let guest = Guest { stay: self.serial, kind, real, occupant_id, name };
        let nick = format!("n{}", guest.stay);
        self.rooms[room].guests.insert(nick.clone(), guest.clone());
        self.show(room, Down::Here(room, nick, guest));
    }

    fn name(&mut self) -> &'static str {
        let names = ["", "Ann", "Аnn", "Admin", "xx", "Bob", "\u{200b}", "listed@meet.jitsi"];
        names[self.rng.usize(0..names.len())]
    }

    /// Tells the keeper, where it is in the room.
    fn show(&mut self, room: usize, down: Down) {
        if self.rooms[room].keeper {
            self.tell(down);
        }
    }

    fn act(&mut self) {
        let room = self.rng.usize(0..ROOMS.len());
        let nicks: Vec<String> = self.rooms[room].guests.keys().cloned().collect();
        let nick = self.rng.choice(&nicks).cloned();
        match (self.rng.u8(0..40), nick) {
            (0..=7, _) | (_, None) => self.enter(room),
            (8..=10, Some(nick)) => {
                self.rooms[room].guests.remove(&nick);
                self.show(room, Down::Gone(room, nick, None));
            }
            (11..=12, Some(nick)) => {
                self.serial += 1;
                let to = format!("n{}", self.serial);
                let guest = self.rooms[room].guests.remove(&nick).expect("is inside");
                self.rooms[room].guests.insert(to.clone(), guest.clone());
                self.show(room, Down::Renamed(room, nick, to.clone()));
                self.show(room, Down::Here(room, to, guest));
            }
            (13..=15, Some(nick)) => {
                let name = self.name();
                let guest = self.rooms[room].guests.get_mut(&nick).expect("is inside");
                guest.name = name;
                let guest = guest.clone();
                self.show(room, Down::Here(room, nick, guest));
            }
            (16, Some(nick)) => self.show(room, Down::Garbage(room, nick)),
            (17, _) => {
                let pause = Duration::from_secs(self.rng.u64(1..1500));
                self.pass(pause);
            }
            (18, _) => self.ban(),
            (19, _) => self.reset(),
            (20, _) => self.restart(),
            (_, Some(nick)) => {
                // Before the keeper holds the room nobody says anything that would be heard later.
                if !self.rooms[room].holding {
                    return;
                }
                let bodies = [
                    "darn",
                    "d\u{200b}arn darn",
                    "HELLO EVERYBODY HERE",
                    "hello",
                    "hello there all",
                    "https://x.example",
                ];
                let (body, delayed) = (bodies[self.rng.usize(0..bodies.len())], self.rng.u8(0..10) == 0);
                for _ in 0..self.rng.usize(1..4) {
                    if self.rooms[room].guests.contains_key(&nick) {
                        self.show(room, Down::Said(room, nick.clone(), body, delayed));
                    }
                }
            }
        }
    }

    fn ban(&mut self) {
        let (account, now) = (self.rng.u8(1..7), self.session.clock.clock_at(self.now));
        // Or else no guest would come again in the whole day.
        self.rooms.iter_mut().for_each(|room| room.outcasts.retain(|one| one != GUESTS));
        let target = match self.rng.u8(0..4) {
            0 => Banned::Key(OccupantKey::new(Rung::Account, &format!("p{account}@meet.jitsi"))),
            1 => Banned::Key(OccupantKey::new(Rung::OccupantId, &format!("oid-g{account}"))),
            2 => Banned::Accounts(Pattern::new(&format!("*@{GUESTS}"))),
            _ => Banned::Key(OccupantKey::new(Rung::Account, "listed@meet.jitsi")),
        };
        let until = Some(now + Duration::from_secs(self.rng.u64(1..600)));
        let text = String::new;
        let ban = Ban {
            target,
            service: None,
            rooms: None,
            until,
            reason: text(),
            note: text(),
            by: text(),
            known_as: text(),
            at: now,
        };
        self.say(|| format!("bans {}", ban.target));
        self.bans.add(ban);
        self.put(Input::Bans(Arc::new(self.bans.clone())));
    }

    /// The connection breaks, and is resumed or not.
    fn reset(&mut self) {
        self.tally.resets += 1;
        self.lose();
        for _ in 0..self.rng.usize(0..6) {
            self.act_offline();
        }
        let pause = Duration::from_millis(self.rng.u64(0..20_000));
        self.pass(pause);
        let resume = self.session.resumable(self.now).is_some() && self.rng.bool();
        if resume {
            let handled = self.handled;
            self.online(Some(handled));
        } else {
            self.rooms.iter_mut().for_each(|room| room.keeper = false);
            self.online(None);
        }
    }

    fn lose(&mut self) {
        self.online = false;
        self.up.clear();
        // An answer comes with the resumption, or never.
        self.wait_until(self.now + HOUR);
        self.put(Input::Offline(Cause::new(Word::Disconnected, "it broke")));
    }

    /// What the people do while nobody looks.
    fn act_offline(&mut self) {
        let room = self.rng.usize(0..ROOMS.len());
        let nicks: Vec<String> = self.rooms[room].guests.keys().cloned().collect();
        match (self.rng.bool(), self.rng.choice(&nicks).cloned()) {
            (true, Some(nick)) if self.rooms[room].holding => self.show(room, Down::Said(room, nick, "darn", false)),
            (false, Some(nick)) => {
                self.rooms[room].guests.remove(&nick);
                self.show(room, Down::Gone(room, nick, None));
            }
            _ => self.enter(room),
        }
    }

    /// The process ends, and another goes on with what it remembered.
    fn restart(&mut self) {
        // What rules remember is kept within a second.
        self.pass(Duration::from_millis(1_100));
        self.lose();
        self.session = Session::new(Profile { seed: self.rng.u64(..), ..profile() }, self.now);
        self.ids.clear();
        self.rooms.iter_mut().for_each(|room| room.keeper = false);
        self.begin();
    }
}

impl Room {
    /// A session that is new knows nobody.
    fn forget(&mut self) {
        self.shown.clear();
        self.entered = None;
        self.holding = false;
    }
}

fn day(seed: u64) -> Tally {
    let mut day = Day::new(seed);
    day.pass(Duration::from_secs(10));
    for _ in 0..250 {
        day.act();
        let pause = Duration::from_millis(day.rng.u64(0..2_500));
        day.pass(pause);
    }
    day.pass(Duration::from_secs(2));
    day.tally
}

#[test]
fn nobody_exempt_is_touched_nothing_is_sent_twice_and_strikes_are_the_models() {
    if let Some(seed) = std::env::var("ORDER_SEED").ok().and_then(|seed| seed.parse().ok()) {
        println!("{:?}", day(seed));
        return;
    }
    let days: Vec<Tally> = (0..50).map(day).collect();
    // Days on which nothing happens would prove nothing.
    let sum = |of: fn(&Tally) -> usize| days.iter().map(of).sum::<usize>();
    let sums = [
        sum(|day| day.verdicts),
        sum(|day| day.kicks),
        sum(|day| day.outcasts),
        sum(|day| day.demotions),
        sum(|day| day.warnings),
        sum(|day| day.mutes),
        sum(|day| day.refused),
        sum(|day| day.domains),
        sum(|day| day.resets),
        sum(|day| day.compared),
    ];
    println!("verdicts, kicks, outcasts, demotions, warnings, mutes, refused, domains, resets, compared: {sums:?}");
    assert!(sums.iter().all(|sum| *sum > 50), "{sums:?}");
    assert!(days.iter().any(|day| day.most_strikes == 4), "nobody had four strikes");
}
