//! Guests: sessions with made-up JIDs whose session-id the account fetches, and what must hold of that at any time.

use super::*;
use innkeeper::config::Secret;
use innkeeper::jitsi::CONFERENCE_TIMEOUT;
use innkeeper::jitsi::login::{AccountLogin, Wish};

/// The shortest hold-back after a refused password: five minutes, a fifth less.
const HOLD_BACK: Duration = Duration::from_secs(240);

/// The account's logins, and what each slot was told.
#[derive(Default)]
pub struct Account {
    /// Which login is on its way for each slot.
    logins: BTreeMap<usize, u64>,
    /// The room that each slot wants to open.
    wishes: BTreeMap<usize, Box<str>>,
    /// What is kept over a restart.
    kept: BTreeMap<usize, Secret>,
    /// The session-id that each slot uses; none: it is nobody.
    current: BTreeMap<usize, String>,
    /// The request without a session-id that each slot waits for, and since when.
    as_nobody: BTreeMap<usize, (String, Instant)>,
    /// The slots that the focus took for nobody and that got no session-id since.
    refused: BTreeSet<usize>,
    /// The password is wrong.
    wrong: bool,
    /// No login before this.
    not_before: Option<Instant>,
    /// How many logins there were.
    count: u64,
}

/// What a login came to.
pub enum Step {
    /// It is connected, or is not.
    Online,
    /// The focus answered.
    Answered(AccountLogin, Element),
    /// It is over for this cause.
    Failed(Cause),
}

/// What an input must not change, as it is before it.
pub struct Before {
    inside: Option<Vec<RoomKey>>,
}

impl World {
    pub fn kept_session_id(&self, slot: usize) -> Option<Secret> {
        self.account.kept.get(&slot).cloned().filter(|_| self.guests)
    }

    pub fn wants_session_id(&mut self, slot: usize, room: Box<str>) {
        self.account.wishes.insert(slot, room);
        self.service.wants_session_id(self.now, slot);
        if let Some((until, cause)) = self.service.fetches_again().cloned()
            && until > self.now
        {
            self.put(slot, Input::SessionId(Err(cause)));
        }
    }

    pub fn keep_session_id(&mut self, slot: usize, id: Option<Secret>) {
        match id {
            Some(id) => drop(self.account.kept.insert(slot, id)),
            None => drop(self.account.kept.remove(&slot)),
        }
    }

    /// The slot's session is closed.
    pub fn stopped(&mut self, slot: usize) {
        self.account.logins.remove(&slot);
        self.account.as_nobody.remove(&slot);
        self.account.refused.remove(&slot);
    }

    // ── the account's logins

    pub fn fetch(&mut self, slot: usize) {
        let (seed, now) = (self.seed, self.now);
        let held_back = self.account.not_before.is_some_and(|at| at > now);
        assert!(!held_back, "seed {seed}: a login within the hold-back after a refused password");
        let number = self.serial();
        let other = self.account.logins.insert(slot, number);
        assert_eq!(other, None, "seed {seed}: two logins at a time for slot {slot}");
        self.account.count += 1;
        let wait = ms(self.rng.u64(50..2_000));
        self.later(wait, Event::Account { slot, number, step: Step::Online });
    }

    pub fn account(&mut self, slot: usize, number: u64, step: Step) {
        if self.account.logins.get(&slot) != Some(&number) {
            return;
        }
        let outcome = match step {
            Step::Online if !self.up || self.chance(10) => Err(Cause::new(Word::Unreachable, "no luck")),
            Step::Online if self.account.wrong => Err(Cause::new(Word::BadCredentials, "refused")),
            Step::Online => return self.account_asks(slot, number),
            Step::Answered(login, element) => login.handle(&element).expect("an answer to its one question"),
            Step::Failed(cause) => Err(cause),
        };
        self.account.logins.remove(&slot);
        self.fetched(slot, outcome);
    }

    fn account_asks(&mut self, slot: usize, number: u64) {
        let room = self.account.wishes[&slot].clone();
        let wish = Wish { focus: FOCUS.into(), room, machine_uid: Secret::new(format!("uid-{slot}")) };
        let (login, request) = AccountLogin::new(wish, self.now);
        let answer = self.focus_answers(&format!("keeper@{DOMAIN}/a{number}"), &request);
        let lost = self.chance(5);
        match answer {
            Some((wait, element)) if !lost && self.now + wait < login.deadline() => {
                self.later(wait, Event::Account { slot, number, step: Step::Answered(login, element) });
            }
            _ => {
                let (at, cause) = (login.deadline(), login.timed_out());
                self.at(at, Event::Account { slot, number, step: Step::Failed(cause) });
            }
        }
    }

    /// As the supervisor does it.
    fn fetched(&mut self, slot: usize, outcome: Result<Secret, Cause>) {
        self.say(|| format!("the account's login for session {slot}: {outcome:?}"));
        let result = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        let mut out = Vec::new();
        self.service.fetched(self.now, slot, result.as_ref().copied(), &mut self.logins, &mut out);
        self.carry_out(out);
        match outcome {
            Ok(id) => {
                let uid = format!("uid-{slot}");
                let live = self.authority.live(self.now, &uid);
                assert!(live.is_empty(), "seed {}: {uid} fetched another although {live:?} was good", self.seed);
                self.authority.told(id.expose());
                self.account.kept.insert(slot, id.clone());
                self.account.current.insert(slot, id.expose().to_owned());
                self.account.refused.remove(&slot);
                self.put(slot, Input::SessionId(Ok(id)));
            }
            Err(cause) => {
                if cause.word == Word::BadCredentials {
                    self.account.not_before = Some(self.now + HOLD_BACK);
                }
                let cause = self.service.fetches_again().map_or(cause, |(_, held)| held.clone());
                for slot in self.service.waiting_for_session_id().collect::<Vec<_>>() {
                    self.put(slot, Input::SessionId(Err(cause.clone())));
                }
            }
        }
    }

    /// The server goes away under the account's logins.
    pub fn cut_account(&mut self) {
        for (slot, number) in self.account.logins.clone() {
            let step = Step::Failed(Cause::new(Word::Disconnected, "restart"));
            self.later(ms(1), Event::Account { slot, number, step });
        }
    }

    /// Something that happens to guests alone.
    pub fn guest_chaos(&mut self) {
        match self.rng.u8(0..3) {
            0 => {
                let place = self.rng.usize(..);
                self.say(|| "the focus forgets a session".to_owned());
                self.authority.forget_one(place);
            }
            1 => {
                self.account.wrong = !self.account.wrong;
                self.say(|| format!("the password is wrong: {}", self.account.wrong));
            }
            _ => {}
        }
    }

    /// The password is right from now on, or stays as wrong as it is.
    pub fn settle_account(&mut self) {
        self.account.wrong &= self.rng.bool();
    }

    // ── what must hold

    /// Looks at a session before an input.
    pub fn before(&mut self, slot: usize, input: &Input) -> Before {
        let nothing = Before { inside: None };
        let Some(client) = self.clients.get(&slot).filter(|_| self.guests) else { return nothing };
        let of_the_focus = match input {
            Input::SessionId(_) => true,
            Input::Element(element) => element.attr("from") == Some(FOCUS),
            _ => false,
        };
        let inside = client.session.rooms().filter(|room| room.inside().is_some());
        let inside = of_the_focus.then(|| inside.map(|room| room.settings().key.clone()).collect());
        match input {
            Input::Offline(_) | Input::Online(_) => drop(self.account.as_nobody.remove(&slot)),
            Input::Element(element) => self.answered_nobody(slot, element),
            _ => {}
        }
        Before { inside }
    }

    fn answered_nobody(&mut self, slot: usize, answer: &Element) {
        let Some((id, asked)) = self.account.as_nobody.get(&slot).cloned() else { return };
        if answer.attr("id") != Some(&id) || answer.attr("from") != Some(FOCUS) {
            return;
        }
        self.account.as_nobody.remove(&slot);
        if asked + CONFERENCE_TIMEOUT < self.now {
            return;
        }
        let conference = answer.get_child("conference", ns::JITSI_FOCUS);
        let refused =
            answer.get_child("error", ns::CLIENT).and_then(|error| error.get_child("not-authorized", ns::STANZAS));
        if refused.is_some() || conference.is_some_and(|granted| granted.attr("ready") == Some("true")) {
            self.account.refused.insert(slot);
        }
    }

    /// Looks at it after.
    pub fn after(
        &mut self,
        slot: usize,
        before: &Before,
        sent: &[Element],
        resumes: bool,
        released: &BTreeSet<RoomKey>,
    ) {
        if !self.guests {
            return;
        }
        let (seed, now) = (self.seed, self.now);
        for key in before.inside.iter().flatten() {
            let room = self.clients[&slot].session.room(key);
            assert!(room.is_some_and(|room| room.inside().is_some()), "seed {seed}: {key} is left for a session-id");
        }
        // What a resumption sends again was looked at when it was said first.
        for element in sent.iter().filter(|_| !resumes) {
            let to = element.attr("to").unwrap_or_default();
            if let Some(key) = self.wanted.keys().find(|key| jid::bare(to) == format!("{}@{MUC}", key.name)) {
                let leaves = element.name() == "presence" && element.attr("type") == Some("unavailable");
                assert!(!leaves || released.contains(key), "seed {seed}: {key} is wanted and left");
            }
            let Some(conference) = element.get_child("conference", ns::JITSI_FOCUS) else { continue };
            if let Some(id) = conference.attr("session-id") {
                assert_eq!(
                    self.account.current.get(&slot).map(|id| &**id),
                    Some(id),
                    "seed {seed}: another's session-id"
                );
                continue;
            }
            assert!(!self.account.refused.contains(&slot), "seed {seed}: slot {slot} asks again as nobody");
            let asked = (element.attr("id").expect("an id").to_owned(), now);
            let other = self.account.as_nobody.insert(slot, asked);
            let over = other.as_ref().is_none_or(|(_, at)| *at + CONFERENCE_TIMEOUT <= now);
            assert!(over, "seed {seed}: slot {slot} asks twice as nobody: {other:?}");
        }
    }

    /// Every room that waits for a session-id says so when it is the password that it waits for.
    pub fn check_account(&self) {
        if self.account.not_before.is_none_or(|at| at <= self.now) {
            return;
        }
        for (slot, client) in &self.clients {
            let held_up = client.session.focus_facts().held_up;
            let named = held_up.as_ref().is_none_or(|cause| cause.word == Word::BadCredentials);
            assert!(named, "seed {}: the password was refused and session {slot} shows {held_up:?}", self.seed);
        }
    }

    /// Whether this is all that can be had while the password is wrong.
    pub fn names_the_password(&self, cause: &Cause) -> bool {
        self.account.wrong && cause.word == Word::BadCredentials
    }
}

// ── a day

impl World {
    /// Goes on until nothing is wrong any more.
    fn until_well(&mut self) {
        let end = self.now + PATIENCE;
        while let Some(trouble) = self.trouble() {
            assert!(self.step(end), "after {PATIENCE:?}: {trouble}");
        }
    }

    /// Goes on for so long.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Our nicks' sessions in each room: another session, or a room joined anew, is another.
    fn stays(&self) -> Vec<(String, String, String)> {
        let of = |(room, here): (&String, &Room)| {
            let ours = here.occupants.iter().filter(|(_, one)| one.session.is_some());
            ours.map(|(nick, one)| (room.clone(), nick.clone(), one.real.clone())).collect::<Vec<_>>()
        };
        self.rooms.iter().flat_map(of).collect()
    }
}

#[test]
fn after_a_day_of_silence_a_focus_restart_or_a_new_room_costs_a_guest_one_login_and_no_room() {
    for restart in [true, false] {
        let mut world = World::quiet(7, Way::Guest);
        for name in ["tavern", "inn"] {
            world.want(name);
        }
        world.until_well();
        assert_eq!((world.account.count, world.authority.made()), (1, 1), "one session, one login");
        let (before, joins) = (world.stays(), world.joined);
        let first = world.account.current[&0].clone();

        world.pass(authority::LIFETIME + secs(60));
        assert_eq!(world.authority.live(world.now, "uid-0"), [""; 0], "the focus has forgotten us");
        assert_eq!((world.stays(), world.trouble()), (before.clone(), None), "and nothing is lost by it");
        assert_eq!(world.account.count, 1, "nor anything asked");

        if restart {
            world.focus_down();
        } else {
            world.want("cellar");
        }
        world.pass(secs(1));
        world.until_well();
        assert_eq!((world.account.count, world.authority.made()), (2, 2), "one more login");
        assert_ne!(world.account.current[&0], first, "the session-id is another");
        assert_eq!(world.authority.live(world.now, "uid-0"), [&*world.account.current[&0]]);
        let stays = world.stays();
        assert!(before.iter().all(|stay| stays.contains(stay)), "{before:?} became {stays:?}");
        assert_eq!(world.joined - joins, u64::from(!restart), "nothing but the new room is joined");
    }
}
