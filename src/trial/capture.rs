//! A recorded dialogue under rules: each room that was entered gets a session of its own, which reads what the server
//! said as it would have read it live. Pure.
//!
//! Whoever recorded the dialogue is taken for the keeper and for a moderator, whatever they were: a room is judged only
//! while it is held. What the session asks is answered at once, so that the recording alone says what happens.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{BAN, Hit, bans, tried};
use crate::action::{Actor, Progress};
use crate::capture::redact::MASKED;
use crate::capture::{Content, Dialogue, Direction, Message};
use crate::config::{Mechanism, RoomKey, Rulebook};
use crate::event::{self, What};
use crate::policy::bans::Bans;
use crate::policy::{Sanction, State};
use crate::room::Settings;
use crate::session::{Bucket, Found, Input, Outbox, Profile, Report, Session};
use crate::stream::{Bound, LastLogin};
use crate::xml::{self, Bad, Element, Limits};
use crate::xmpp::{element, jid, ns};

/// What a capture shows under rules.
#[derive(Debug, Default)]
pub struct Trial {
    /// When it begins; nothing where the file does not say.
    pub begins: Option<Timestamp>,
    /// What rules would have done, in the order of time.
    pub hits: Vec<Hit>,
    /// The rooms that were entered, by JID.
    pub rooms: BTreeMap<String, Seen>,
    /// Messages whose text is masked.
    pub masked: usize,
}

/// A room of a capture.
#[derive(Debug, Default)]
pub struct Seen {
    /// The nick of whoever recorded it, who is taken for the keeper; empty where they did not get in.
    pub keeper: String,
    /// The rules that hold there; nothing where no policy covers it, and then nobody was looked at.
    pub rules: Option<Vec<&'static str>>,
    /// How many people came, or were there.
    pub people: usize,
    /// How many messages were written.
    pub messages: usize,
}

const KEEPER: &str = "keeper@trial/recorder";
const SERVICE: &str = "capture";
/// How often the session may wake between two messages: deadlines that do not go away would be a fault of ours.
const WAKES: usize = 1_000_000;

/// Goes through a dialogue. `now` is any moment; what happens is told in the time of the recording.
#[must_use]
pub fn run(dialogue: &Dialogue, book: &Rulebook, now: Instant) -> Trial {
    let begins = dialogue.connections.iter().find_map(|connection| {
        let first = SignedDuration::try_from(connection.messages.first()?.at).ok()?;
        connection.opened?.checked_sub(first).ok()
    });
    let mut messages: Vec<(usize, &Message)> = Vec::new();
    for (number, connection) in dialogue.connections.iter().enumerate() {
        messages.extend(connection.messages.iter().map(|message| (number, message)));
    }
    messages.sort_by_key(|(_, message)| message.at);
    let ends = dialogue.connections.iter().map(|connection| connection.messages.last().map(|last| now + last.at));
    let mut player = Player {
        begin: (now, begins.unwrap_or(Timestamp::UNIX_EPOCH)),
        ends: ends.collect(),
        focus: focus_of(dialogue),
        book,
        stays: HashMap::new(),
        trial: Trial::default(),
    };
    for (connection, message) in messages {
        let at = now + message.at;
        match (&message.content, message.direction) {
            (Content::Element(element), Direction::Sent) => player.sent(at, connection, element),
            (Content::Element(element), Direction::Received) => player.received(at, connection, element),
            (Content::Text { text, .. }, Direction::Received) => {
                if let Err(bad) = xml::parse(text.trim_ascii().as_bytes(), &Limits::default()) {
                    player.bad(at, connection, bad);
                }
            }
            _ => {}
        }
    }
    let Player { mut trial, .. } = player;
    trial.begins = begins;
    trial
}

/// The real JID of the conference focus, by its own answer or by the room's word.
fn focus_of(dialogue: &Dialogue) -> Option<String> {
    let mut elements = dialogue.connections.iter().flat_map(|connection| connection.elements());
    elements.find_map(|(message, element)| {
        let conference = element.get_child("conference", ns::JITSI_FOCUS);
        let asked = conference.filter(|_| message.direction == Direction::Received);
        asked.and_then(|conference| conference.attr("focusjid")).map(str::to_owned)
    })
}

struct Player<'a> {
    /// The beginning on both clocks.
    begin: (Instant, Timestamp),
    /// When the last message of each connection went.
    ends: Vec<Option<Instant>>,
    focus: Option<String>,
    book: &'a Rulebook,
    /// By the room's JID.
    stays: HashMap<String, Stay>,
    trial: Trial,
}

/// A room that somebody is in, with a session that holds it.
struct Stay {
    /// The connection that shows it.
    connection: usize,
    key: RoomKey,
    room: String,
    /// The recorder's nick.
    own: String,
    session: Session,
    joins: Bucket,
    focus: Option<String>,
    /// Who would be out.
    out: HashSet<String>,
    bans: Bans,
    /// What the rules remember, for the next session.
    state: Option<Box<State>>,
    /// The beginning on both clocks.
    begin: (Instant, Timestamp),
}

fn profile(focus: Option<&str>) -> Profile {
    Profile {
        muc: Some("trial".into()),
        focus: focus.map(|_| "focus.trial".into()),
        ..Profile::plain("trial", "trial", 0)
    }
}

fn bound() -> Bound {
    Bound {
        jid: KEEPER.to_owned(),
        login: LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None },
        management: None,
        resumed: None,
        early: Vec::new(),
    }
}

impl Player<'_> {
    fn sent(&mut self, at: Instant, connection: usize, sent: &Element) {
        let to = sent.attr("to").unwrap_or_default();
        if !sent.is("presence", ns::CLIENT) || sent.attr("type").is_some() || !sent.has_child("x", ns::MUC) {
            return;
        }
        // Whoever knocks at a lobby is not in a room yet; Jitsi's are on a component of this name.
        let lobby = jid::domain(to).starts_with("lobby.");
        if let Some(nick) = jid::resource(to).filter(|_| !lobby) {
            self.enter(at, connection, jid::bare(to), nick);
        }
    }

    /// The recorder asks to be let in: a session that holds the room, with what the one before it remembers.
    fn enter(&mut self, at: Instant, connection: usize, room: &str, nick: &str) {
        let lives = |stay: &Stay| stay.connection == connection || self.ends[stay.connection] > Some(at);
        if self.stays.get(room).is_some_and(|stay| stay.is_inside() && lives(stay)) {
            return;
        }
        let Some(plans) = self.book.plans_of(room) else {
            self.trial.rooms.entry(room.to_owned()).or_default();
            return;
        };
        let rules = plans.rules.keys().copied().collect();
        let key = RoomKey::new(SERVICE, jid::local(room).unwrap_or_default());
        let settings = Settings {
            key: key.clone(),
            jid: room.into(),
            nick: nick.into(),
            display_name: nick.into(),
            password: None,
            focus: self.focus.is_some(),
            moderated: None,
            plans: Some(tried(plans)),
        };
        let before = self.stays.remove(room);
        let (state, bans) = before.map(|stay| (stay.state, stay.bans)).unwrap_or_default();
        let mut stay = Stay {
            connection,
            key: key.clone(),
            room: room.to_owned(),
            own: nick.to_owned(),
            session: Session::new(profile(self.focus.as_deref()), at),
            joins: Bucket::per_second(1_000, at),
            focus: self.focus.clone(),
            out: HashSet::new(),
            bans,
            state: None,
            begin: self.begin,
        };
        let seen = self.trial.rooms.entry(room.to_owned()).or_default();
        seen.rules = Some(rules);
        let bans = Arc::new(stay.bans.clone());
        let first = [Input::Clock(stay.clock(at)), Input::Bans(bans), Input::Hold(Arc::new(settings))];
        let recalled = state.map(|state| Input::Recall(key, state));
        for input in first.into_iter().chain(recalled).chain([Input::Online(bound())]) {
            stay.put(at, input, &mut self.trial);
        }
        self.stays.insert(room.to_owned(), stay);
    }

    fn received(&mut self, at: Instant, connection: usize, received: &Element) {
        let from = received.attr("from").unwrap_or_default();
        let stay = self.stays.get_mut(jid::bare(from)).filter(|stay| stay.connection == connection);
        if let Some(stay) = stay.filter(|_| matches!(received.name(), "presence" | "message")) {
            stay.hear(at, received.clone(), &mut self.trial);
        }
    }

    fn bad(&mut self, at: Instant, connection: usize, bad: Box<Bad>) {
        let from = bad.head.from.clone().unwrap_or_default();
        let stay = self.stays.get_mut(jid::bare(&from)).filter(|stay| stay.connection == connection);
        let Some(stay) = stay else { return };
        stay.pass(at, &mut self.trial);
        if jid::resource(&from).is_some_and(|nick| !stay.out.contains(nick)) {
            stay.put(at, Input::Bad(bad), &mut self.trial);
        }
    }
}

impl Stay {
    fn clock(&self, at: Instant) -> Timestamp {
        let since = SignedDuration::try_from(at.saturating_duration_since(self.begin.0)).unwrap_or_default();
        self.begin.1.checked_add(since).unwrap_or(Timestamp::MAX)
    }

    fn is_inside(&self) -> bool {
        self.session.room(&self.key).is_some_and(|room| room.inside().is_some())
    }

    /// Lets time pass, with every deadline in it.
    fn pass(&mut self, to: Instant, trial: &mut Trial) {
        for _ in 0..WAKES {
            let Some(due) = self.session.deadline().filter(|due| *due <= to) else { return };
            self.put(due, Input::Timeout, trial);
        }
    }

    fn hear(&mut self, at: Instant, mut heard: Element, trial: &mut Trial) {
        self.pass(at, trial);
        let Some(nick) = heard.attr("from").and_then(jid::resource).map(str::to_owned) else {
            self.put(at, Input::Element(heard), trial);
            return;
        };
        let gone = heard.attr("type") == Some("unavailable");
        let renamed = gone.then(|| item(&heard).and_then(|item| item.attr("nick")).map(str::to_owned)).flatten();
        if self.is_own(&heard, &nick) {
            match renamed {
                Some(new) => self.own = new,
                None if !gone => {
                    nick.clone_into(&mut self.own);
                    self.seen(trial).keeper.clone_from(&nick);
                    heard = as_moderator(heard);
                }
                None => {}
            }
        } else if self.out.contains(&nick) {
            // They were put out, which the recording does not know.
            if gone {
                self.out.remove(&nick);
                self.out.extend(renamed);
            }
            return;
        }
        if unmask(&mut heard) {
            trial.masked += 1;
        }
        self.put(at, Input::Element(heard), trial);
    }

    fn is_own(&self, presence: &Element, nick: &str) -> bool {
        let own = |x: &Element| x.children().any(|child| child.name() == "status" && child.attr("code") == Some("110"));
        presence.name() == "presence" && (nick == self.own || presence.get_child("x", ns::MUC_USER).is_some_and(own))
    }

    /// Hands something to the session, answers what it asks, and takes down what its rules say.
    fn put(&mut self, at: Instant, input: Input, trial: &mut Trial) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Outbox::default();
            self.session.handle(at, input, &mut self.joins, &mut out);
            inputs.extend(out.send.iter().filter_map(|asked| self.answer(asked)).map(Input::Element));
            for report in out.reports {
                self.report(at, report, trial, &mut inputs);
            }
        }
    }

    fn report(&mut self, at: Instant, report: Report, trial: &mut Trial, inputs: &mut VecDeque<Input>) {
        let time = self.clock(at);
        let mut hit = Hit {
            time,
            room: self.room.as_str().into(),
            rule: BAN.into(),
            person: None,
            verdict: "".into(),
            reason: "".into(),
            note: "".into(),
        };
        match report {
            Report::Remember(_, state) => self.state = Some(state),
            Report::Happened { what, .. } => match *what {
                What::OccupantJoined { person, .. } if person.machine.is_none() => self.seen(trial).people += 1,
                What::MessagePosted { .. } => self.seen(trial).messages += 1,
                What::RuleMatched { rule, person, verdict, reason, note, .. } => {
                    let sanction = Sanction::read(&verdict).ok().filter(|sanction| sanction.removes());
                    if let (Some(sanction), Some(person)) = (sanction, &person) {
                        self.put_out(at, &person.nick, Some(sanction), inputs);
                    }
                    hit = Hit { rule, person, verdict, reason, note, ..hit };
                    trial.hits.push(hit);
                }
                _ => {}
            },
            Report::Progress { request, progress: Progress::Requested, .. } if request.actor == Actor::Bans => {
                // An account is banned by its JID, whoever else by nick.
                let inside = self.session.room(&self.key).and_then(crate::room::Room::inside);
                let nick = inside.and_then(|(_, here)| {
                    let wanted = request.real_jid.as_deref();
                    let is = |one: &crate::room::Occupant| wanted.is_some() && one.real_jid.as_deref() == wanted;
                    let by_jid = here.iter().find(|(_, one)| is(one)).map(|(nick, _)| nick.to_owned());
                    request.action.occupant().map(str::to_owned).or(by_jid)
                });
                let Some(nick) = nick else { return };
                let person =
                    event::Person { nick: nick.as_str().into(), real_jid: request.real_jid, ..Default::default() };
                self.put_out(at, &nick, None, inputs);
                hit =
                    Hit { person: Some(person), verdict: "kick".into(), note: "came back while banned".into(), ..hit };
                trial.hits.push(hit);
            }
            _ => {}
        }
    }

    fn seen<'t>(&self, trial: &'t mut Trial) -> &'t mut Seen {
        trial.rooms.entry(self.room.clone()).or_default()
    }

    /// Shows the session what the room would have shown.
    fn put_out(&mut self, at: Instant, nick: &str, sanction: Option<Sanction>, inputs: &mut VecDeque<Input>) {
        if !self.out.insert(nick.to_owned()) {
            return;
        }
        let item = element("item", ns::MUC_USER)
            .attr("affiliation", "none")
            .attr("role", "none")
            .child(element("actor", ns::MUC_USER).attr("nick", &self.own));
        let x = element("x", ns::MUC_USER).child(item).child(element("status", ns::MUC_USER).attr("code", "307"));
        let from = format!("{}/{nick}", self.room);
        let left = element("presence", ns::CLIENT).attr("from", &from).attr("type", "unavailable").child(x);
        inputs.push_back(Input::Element(left.into()));
        if let (Some(sanction), Found::Here(person)) = (sanction, self.session.person(at, &self.key, nick)) {
            let more = bans(sanction, &person.identity, SERVICE, &self.key.name, self.clock(at));
            if !more.is_empty() {
                more.into_iter().for_each(|ban| self.bans.add(ban));
                inputs.push_back(Input::Bans(Arc::new(self.bans.clone())));
            }
        }
    }

    /// What a server that has nothing against it answers to a question.
    fn answer(&self, asked: &Element) -> Option<Element> {
        if !asked.is("iq", ns::CLIENT) || !matches!(asked.attr("type"), Some("get" | "set")) {
            return None;
        }
        let answer = element("iq", ns::CLIENT)
            .attr("type", "result")
            .maybe_attr("from", asked.attr("to"))
            .maybe_attr("id", asked.attr("id"));
        let answer = if let Some(conference) = asked.get_child("conference", ns::JITSI_FOCUS) {
            let ready = element("conference", ns::JITSI_FOCUS)
                .maybe_attr("room", conference.attr("room"))
                .maybe_attr("focusjid", self.focus.as_deref())
                .attr("ready", "true");
            answer.child(ready)
        } else if asked.has_child("query", ns::DISCO_INFO) {
            let identity = element("identity", ns::DISCO_INFO).attr("category", "conference").attr("type", "text");
            answer.child(element("query", ns::DISCO_INFO).child(identity))
        } else {
            answer
        };
        Some(answer.into())
    }
}

fn item(presence: &Element) -> Option<&Element> {
    presence.get_child("x", ns::MUC_USER)?.get_child("item", ns::MUC_USER)
}

/// The recorder's own presence, as a keeper's.
fn as_moderator(mut presence: Element) -> Element {
    let x = presence.get_child_mut("x", ns::MUC_USER);
    if let Some(item) = x.and_then(|x| x.get_child_mut("item", ns::MUC_USER)) {
        *item = element("item", ns::MUC_USER)
            .maybe_attr("jid", item.attr("jid"))
            .attr("affiliation", "owner")
            .attr("role", "moderator")
            .into();
    }
    presence
}

/// Takes masked words out, which are not what anybody wrote or is called; says whether there was a masked text.
fn unmask(stanza: &mut Element) -> bool {
    let masked = |child: Option<&Element>| child.is_some_and(|child| child.text() == MASKED);
    if masked(stanza.get_child("nick", ns::NICK)) {
        stanza.remove_child("nick", ns::NICK);
    }
    if !masked(stanza.get_child("body", ns::CLIENT)) {
        return false;
    }
    stanza.remove_child("body", ns::CLIENT);
    stanza.append_child(element("body", ns::CLIENT).into());
    true
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::capture;
    use crate::config::{self, Content as Bytes, File, Files};

    struct NoFiles;

    impl Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> Result<Bytes, String> {
            Err("not there".to_owned())
        }
    }

    fn book(rules: &str) -> Rulebook {
        let text = format!("[[policy]]\nrooms = \"tavern\"\nguest_domains = [\"guest.h\"]\n{rules}");
        let files = vec![File { name: "rules.toml".to_owned(), text }];
        let input = config::Input { files, env: Vec::new(), base: "/".into(), offline: true, secrets: &NoFiles };
        config::rulebook(&input).expect("rules")
    }

    /// Somebody is in the room `tavern` and sees this; each line is a second later.
    fn trial(rules: &str, lines: &[String]) -> Trial {
        let mut text =
            String::from("> 0 <presence to='tavern@muc.h/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>\n");
        let first = [here("old", "old@guest.h/1", ""), here("me", "me@h/1", "<status code='110'/>")];
        for (at, line) in first.iter().chain(lines).enumerate() {
            text.push_str(&format!("< {} {line}\n", at + 1));
        }
        run(&capture::read(text.as_bytes()).expect("a capture"), &book(rules), Instant::now())
    }

    #[test]
    fn a_time_that_no_clock_reaches_ends_no_trial() {
        let mut text =
            String::from("> 0 <presence to='tavern@muc.h/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>\n");
        text.push_str(&format!("< 1 {}\n", here("me", "me@h/1", "<status code='110'/>")));
        text.push_str(&format!("< 1e19 {}\n", says("eve", "late")));
        let trial = run(&capture::read(text.as_bytes()).expect("a capture"), &book(SPAM), Instant::now());
        assert_eq!(trial.hits.len(), 0);
    }

    fn here(nick: &str, jid: &str, status: &str) -> String {
        format!(
            "<presence from='tavern@muc.h/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='none' role='participant' jid='{jid}'/>{status}</x></presence>"
        )
    }

    fn gone(nick: &str) -> String {
        here(nick, "x@h/1", "").replace("<presence ", "<presence type='unavailable' ")
    }

    fn says(nick: &str, text: &str) -> String {
        format!("<message type='groupchat' from='tavern@muc.h/{nick}'><body>{text}</body></message>")
    }

    fn lines(trial: &Trial) -> Vec<String> {
        let who = |hit: &Hit| hit.person.as_ref().map_or_else(String::new, |person| person.nick.to_string());
        trial
            .hits
            .iter()
            .map(|hit| format!("{} {} {} {}", hit.time.as_second(), hit.rule, hit.verdict, who(hit)))
            .collect()
    }

    const SPAM: &str = "[policy.words]\nwords = [\"spam\"]\naction = \"kick\"\n";

    #[test]
    fn whoever_was_kicked_says_nothing_more_until_they_come_again() {
        let seen = [
            here("eve", "eve@guest.h/1", ""),
            says("eve", "spam"),
            says("eve", "spam"),
            gone("eve"),
            here("eve", "eve@guest.h/2", ""),
            says("eve", "spam"),
            says("old", "hello"),
        ];
        let trial = trial(SPAM, &seen);
        assert_eq!(lines(&trial), ["4 words kick eve", "8 words kick eve"]);
        let room = &trial.rooms["tavern@muc.h"];
        assert_eq!((room.people, room.messages, room.keeper.as_str()), (3, 3, "me"));
        assert!(trial.begins.is_none());
    }

    #[test]
    fn a_ban_keeps_an_account_out_and_strikes_add_up_over_rules() {
        let rules = "[policy.strikes]\nsteps = [\"warn\", \"ban 1h\"]\n[policy.words]\nwords = [\"spam\"]\n\
                     [policy.links]\n";
        let seen = [
            here("eve", "eve@h/1", ""),
            says("eve", "spam"),
            says("eve", "see https://spam.example"),
            gone("eve"),
            here("eva", "eve@h/2", ""),
            says("eva", "hello spam"),
        ];
        assert_eq!(lines(&trial(rules, &seen)), ["4 words warn eve", "5 links ban 1h eve", "7 ban kick eva"]);
    }

    #[test]
    fn whoever_recorded_it_is_the_keeper_and_history_is_nobodys_offence() {
        let old =
            says("old", "spam").replace("<body>", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><body>");
        assert_eq!(lines(&trial(SPAM, &[says("me", "spam"), old])), Vec::<String>::new());
    }

    #[test]
    fn what_is_masked_is_counted_and_not_judged() {
        let rules = "[policy.repeat]\ntimes = 1\naction = \"warn\"\n[policy.flood]\nmessages = 2\naction = \"kick\"\n";
        let seen = [says("old", "[masked]"), says("old", "[masked]"), says("old", "[masked]")];
        let trial = trial(rules, &seen);
        assert_eq!((lines(&trial), trial.masked), (vec!["5 flood kick old".to_owned()], 3));
    }

    #[test]
    fn what_can_not_be_read_counts_as_it_does_live() {
        let rules = "[policy.flood]\nmessages = 1\naction = \"kick\"\n";
        let odd = "<message type='groupchat' from='tavern@muc.h/old'><body>&#1;</body></message>".to_owned();
        assert_eq!(lines(&trial(rules, &[odd.clone(), odd])), ["4 flood kick old"]);
    }

    #[test]
    fn a_room_that_no_policy_covers_is_named_and_not_judged() {
        let text = "> 0 <presence to='hall@muc.h/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>\n";
        let trial = run(&capture::read(text.as_bytes()).expect("a capture"), &book(SPAM), Instant::now());
        assert_eq!(trial.rooms["hall@muc.h"].rules, None);
    }
}
