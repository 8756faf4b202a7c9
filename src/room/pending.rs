//! Actions on their way: each is sent once, ends in one outcome, and is never sent for somebody who is gone. Pure.
//!
//! ```text
//!  requested ──► (preparing: form asked, people made members) ──► sent ──► answered ──► seen
//!      └──────────────────────┴──────────────────────────────────┴────────────┴─► refused, timed out
//! ```
//! Two forms on their way at once would each carry the `membersonly` of before the other, so the second waits for the
//! first. Several steps of one action go one after the other: a Jitsi room throws out everybody who is no member when its lobby
//! is switched on, and a form that does not repeat `membersonly` destroys the lobby, so both are looked at first.
//! Source: XEP-0045 §8-10; jitsi-meet's `mod_muc_lobby_rooms`, Jicofo's `MuteIqHandler`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Occupants;
use super::settings::Keeper;
use crate::action::{Action, Actor, Progress, Request, Standing, Verb};
use crate::cause::{Cause, Word};
use crate::xmpp::jid;
use crate::xmpp::jitsi::mute::Medium;
use crate::xmpp::message::Retraction;
use crate::xmpp::muc::{Affiliation, Role, RoomPresence, Status};
use crate::xmpp::room_form::{self, RoomForm};
use crate::xmpp::stanza::StanzaError;

/// How long an effect may take to show after the answer.
const EFFECT: Duration = Duration::from_secs(10);
/// How long a message may take to come back, or a component to speak: nothing answers those.
const UNANSWERED: Duration = Duration::from_secs(20);
/// How long the focus may take to make a newcomer a part of the media session; until then it mutes nobody.
const NEWCOMER: Duration = Duration::from_secs(15);
/// How long to wait before it is asked to mute a newcomer again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many outcomes are remembered, so that a key asked for again is not carried out again.
const SETTLED: usize = 64;
/// Most actions on their way in one room; more is somebody's mistake.
const MOST: usize = 512;

/// What one step says on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Set a role in the room, or in its lobby.
    Role {
        /// Whether the lobby is meant.
        lobby: bool,
        /// Whose.
        nick: Box<str>,
        /// What they get.
        role: Role,
    },
    /// Set affiliations of bare JIDs, together where the service takes that.
    Affiliate {
        /// Whose.
        jids: Vec<Box<str>>,
        /// What they get.
        to: Affiliation,
    },
    /// Ask for the configuration form; [`Answer::Form`] is the answer.
    Form,
    /// Submit fields.
    Submit {
        /// What `membersonly` is to be; it always goes along.
        members_only: bool,
        /// The fields with their values.
        fields: Vec<(Box<str>, Vec<Box<str>>)>,
    },
    /// Destroy the room.
    Destroy,
    /// Set the subject.
    Subject(Box<str>),
    /// Say something to everybody.
    Groupchat(Box<str>),
    /// Say something to one.
    Private {
        /// Their nick.
        nick: Box<str>,
        /// What.
        text: Box<str>,
    },
    /// Invite a real JID through the room, which lets it in from the lobby.
    Invite(Box<str>),
    /// Ask the focus to mute somebody.
    Mute {
        /// Their nick.
        nick: Box<str>,
        /// What.
        medium: Medium,
    },
    /// Ask the room to retract a message.
    Retract {
        /// In which form.
        how: Retraction,
        /// Which.
        stanza_id: Box<str>,
    },
    /// Set one key of the room's metadata, as JSON.
    Metadata {
        /// Which key.
        key: &'static str,
        /// What it is to be.
        data: Box<str>,
    },
    /// Something that only a connection whose URL names this room may say.
    Bound(Bound),
}

/// What Jitsi's components take for the room of the connection's `?room=` and for no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Switch AV moderation.
    AvModeration(Medium, bool),
    /// Approve of an occupant, or take that back.
    Approve(Medium, Box<str>, bool),
    /// End the meeting.
    End,
}

/// What is known of a room when an action is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The room's bare JID.
    pub room: &'a str,
    /// Who is inside.
    pub occupants: &'a Occupants,
    /// Our nick.
    pub own: &'a str,
    /// Who waits in the lobby, where we are in it.
    pub lobby: Option<&'a Occupants>,
    /// What the room showed of its settings.
    pub shown: &'a Keeper,
    /// Whether the room has a focus and it is inside.
    pub focus: bool,
    /// Whether we answered the focus's media invitation with an error, so that it does not take mutes from us.
    pub media_refused: bool,
    /// Which of Jitsi's components there are.
    pub components: Components,
    /// How the room takes retractions.
    pub retraction: Option<Retraction>,
    /// Whether a connection whose URL names this room can speak as us: this one, or a short one beside it.
    pub bound: bool,
    /// Whether the connection's URL names any room: metadata needs that.
    pub has_url_room: bool,
    /// Whether the service takes several affiliations at once.
    pub many_affiliations: bool,
}

/// Which of Jitsi's components the deployment names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Components {
    /// AV moderation.
    pub av_moderation: bool,
    /// "End meeting for all".
    pub end_conference: bool,
    /// Room metadata.
    pub metadata: bool,
    /// The lobby.
    pub lobby: bool,
}

/// What came of a step.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// Yes.
    Done,
    /// The form.
    Form(&'a RoomForm),
    /// No.
    Refused(&'a StanzaError),
    /// Nothing within the time.
    Silence,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this; the number belongs to its answer.
    Send {
        /// Which action.
        number: u32,
        /// What.
        step: Step,
        /// Why, for those concerned.
        reason: Box<str>,
    },
    /// An action came this far.
    Progress {
        /// Which.
        request: Box<Request>,
        /// How far.
        progress: Progress,
        /// Whether nothing more will come of it.
        over: bool,
    },
    /// Something that was asked for many was refused for one, for this reason.
    Partly(Box<str>),
}

/// The actions of one room.
#[derive(Debug, Default)]
pub struct Pending {
    next: u32,
    /// Components are spoken to by this connection, which hears nothing of what they do; an errand reports back.
    pub direct: bool,
    items: Vec<Item>,
    settled: VecDeque<(Box<str>, Action, Progress)>,
}

#[derive(Debug)]
struct Item {
    number: u32,
    request: Box<Request>,
    stage: Stage,
    /// Steps before the one that does it.
    left: VecDeque<Step>,
    /// Answers of the last kind of step that are still to come.
    unanswered: usize,
    /// A step of that kind was obeyed.
    obeyed: bool,
    /// The room's configuration changed since it was sent.
    changed: bool,
    give_up_at: Option<Instant>,
    /// When the next step is said, where it has to wait.
    again_at: Option<Instant>,
}

impl Item {
    /// Whether each step is about another one of those inside.
    fn is_about_everybody(&self) -> bool {
        matches!(self.request.action, Action::Mute { nick: None, .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits until another action is done with the form.
    Queued,
    /// A step before the deciding one is on its way.
    Preparing,
    /// The deciding step is on its way.
    Sent,
    /// It was answered; the effect is waited for.
    Answered,
}

/// Whether an action can be done in a room, and if not, why.
///
/// # Errors
/// The cause, with what would have to change.
pub fn possible(verb: Verb, facts: &Facts<'_>) -> Result<(), Cause> {
    let room = facts.room;
    let own = facts.occupants.by_nick(facts.own);
    let moderator = own.is_some_and(|own| own.role == Some(Role::Moderator));
    let affiliation = own.and_then(|own| own.affiliation.as_ref());
    let owner = matches!(affiliation, Some(Affiliation::Owner));
    let admin = owner || matches!(affiliation, Some(Affiliation::Admin));
    let need = |yes: bool, what: &str| {
        let text = || format!("we are not {what} in {room}: see `innkeeper why room` for why");
        if yes { Ok(()) } else { Err(Cause::new(Word::NotModerator, text())) }
    };
    let offered = |yes: bool, what: &str| {
        if yes { Ok(()) } else { Err(Cause::new(Word::Unsupported, format!("{what} ({room})"))) }
    };
    match verb {
        Verb::Say => Ok(()),
        Verb::Kick | Verb::Voice | Verb::Subject => need(moderator, "moderator"),
        Verb::Ban => need(admin, "owner or admin"),
        Verb::Grant | Verb::Revoke | Verb::Lock | Verb::Unlock | Verb::Configure | Verb::Destroy => {
            need(owner, "owner")
        }
        Verb::Lobby => need(owner, "owner"),
        Verb::Admit | Verb::Deny => {
            need(moderator, "moderator")?;
            offered(facts.lobby.is_some(), "the room has no lobby, or we are not in it")
        }
        Verb::Mute => {
            need(moderator, "moderator")?;
            offered(facts.focus, "only a conference focus mutes people, and none is in the room")?;
            let text = "the focus takes mutes only from who did not decline its media: set media = \"pending\" \
                        for the service";
            offered(!facts.media_refused, text)
        }
        Verb::Avmod => {
            need(moderator, "moderator")?;
            offered(facts.components.av_moderation, "the deployment has no AV moderation component")?;
            offered(facts.bound, URL_BOUND)
        }
        Verb::StartMuted => {
            need(moderator, "moderator")?;
            offered(facts.components.metadata, "the deployment has no room metadata component")?;
            offered(facts.has_url_room || facts.bound, URL_BOUND)
        }
        Verb::End => need(owner, "owner"),
        Verb::Retract => {
            need(moderator, "moderator")?;
            offered(facts.retraction.is_some(), "the room does not offer the retraction of others' messages (XEP-0425)")
        }
    }
}

const URL_BOUND: &str = "the component acts on the room in the connection's URL, and no connection of ours that names \
                         this room can be made: set rooms_per_session = 1, or log in with an account";

impl Pending {
    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether an action was asked for under that key.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.items.iter().any(|item| *item.request.key == *key)
            || self.settled.iter().any(|(known, ..)| **known == *key)
    }

    /// Every action on its way.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.items.iter().map(|item| &*item.request)
    }

    /// When [`Pending::timeout`] is next due; monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.items.iter().flat_map(|item| item.give_up_at.into_iter().chain(item.again_at)).min()
    }

    /// Takes a request. One whose key is on its way or settled is not carried out again, and refused if it is another
    /// action than that was.
    pub fn request(&mut self, now: Instant, request: Request, facts: &Facts<'_>, out: &mut Vec<Output>) {
        let request = Box::new(request);
        if let Some((_, action, progress)) = self.settled.iter().find(|(key, ..)| *key == request.key) {
            let same = *action == request.action;
            let progress = if same { progress.clone() } else { Progress::Refused(other_action(&request, action)) };
            out.push(Output::Progress { request, progress, over: true });
            return;
        }
        if let Some(known) = self.items.iter().find(|item| item.request.key == request.key) {
            let progress = match known.stage {
                Stage::Queued | Stage::Preparing => Progress::Requested,
                Stage::Sent => Progress::Sent,
                Stage::Answered => Progress::Answered,
            };
            out.push(Output::Progress { request, progress, over: false });
            return;
        }
        if let Err(cause) = self.start(now, &request, facts, out) {
            self.settle(request, Progress::Refused(cause), out);
        }
    }

    fn start(
        &mut self,
        now: Instant,
        request: &Request,
        facts: &Facts<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        possible(request.action.verb(), facts)?;
        if self.items.len() >= MOST {
            let text = format!("{MOST} actions are already on their way in {}", facts.room);
            return Err(Cause::new(Word::ActionRefused, text));
        }
        if self.stays(&request.action, facts) {
            self.settle(Box::new(request.clone()), Progress::Seen, out);
            return Ok(());
        }
        let queued = by_form(&request.action) && self.form_busy();
        let left = if queued { VecDeque::new() } else { plan(request, facts)? };
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        out.push(on_the_way(request, Progress::Requested));
        self.items.push(Item {
            number,
            request: Box::new(request.clone()),
            stage: Stage::Queued,
            left,
            unanswered: 0,
            obeyed: false,
            changed: false,
            give_up_at: None,
            again_at: None,
        });
        if !queued {
            self.begin(now, self.items.len() - 1, out);
        }
        Ok(())
    }

    /// Whether an action asks for what is so already, where the service would say nothing: Prosody passes no subject on
    /// that the room has.
    fn stays(&self, action: &Action, facts: &Facts<'_>) -> bool {
        let Action::Subject { text } = action else { return false };
        let another = self.items.iter().any(|item| matches!(item.request.action, Action::Subject { .. }));
        !another && facts.shown.subject() == Some(&**text)
    }

    /// Whether an action is between asking for the form and having its own accepted.
    fn form_busy(&self) -> bool {
        let busy = |item: &Item| {
            by_form(&item.request.action) && matches!(item.stage, Stage::Queued | Stage::Preparing | Stage::Sent)
        };
        self.items.iter().any(busy)
    }

    /// Starts the action that has waited longest for the form, where the form is free.
    pub fn advance(&mut self, now: Instant, facts: &Facts<'_>, out: &mut Vec<Output>) {
        while let Some(at) = self.items.iter().position(|item| item.stage == Stage::Queued) {
            let busy =
                |item: &Item| by_form(&item.request.action) && matches!(item.stage, Stage::Preparing | Stage::Sent);
            if self.items.iter().any(busy) {
                return;
            }
            let ready = possible(self.items[at].request.action.verb(), facts);
            match ready.and_then(|()| plan(&self.items[at].request, facts)) {
                Ok(left) => {
                    self.items[at].left = left;
                    self.begin(now, at, out);
                }
                Err(cause) => self.finish(at, Progress::Refused(cause), out),
            }
        }
    }

    fn begin(&mut self, now: Instant, at: usize, out: &mut Vec<Output>) {
        self.items[at].stage = Stage::Preparing;
        if let Some(first) = self.items[at].left.pop_front() {
            self.send(now, at, first, out);
        }
    }

    /// The action whose form was asked for by that number and is not submitted yet.
    #[must_use]
    pub fn preparing(&self, number: u32) -> Option<&Request> {
        let item = self.items.iter().find(|item| item.number == number)?;
        (item.stage == Stage::Preparing).then_some(&*item.request)
    }

    /// Sends a step, and those of its kind with it: several mutes need not wait for each other.
    fn send(&mut self, now: Instant, at: usize, step: Step, out: &mut Vec<Output>) {
        let item = &mut self.items[at];
        let mut burst = vec![step];
        while let (Some(Step::Mute { .. }), Some(Step::Mute { .. })) = (burst.last(), item.left.front()) {
            burst.extend(item.left.pop_front());
        }
        let deciding = item.left.is_empty();
        (item.unanswered, item.obeyed) = (burst.len(), false);
        let message = !answers(&burst[0], self.direct);
        for step in burst {
            out.push(Output::Send { number: item.number, step, reason: item.request.reason.clone() });
        }
        if deciding {
            item.stage = Stage::Sent;
            if message && !shows(&item.request.action) {
                // Nothing ever answers it or shows it.
                self.finish(at, Progress::Sent, out);
                return;
            }
            out.push(on_the_way(&item.request, Progress::Sent));
            if message {
                item.give_up_at = Some(now + UNANSWERED);
            }
        } else if message {
            let next = item.left.pop_front();
            if let Some(next) = next {
                self.send(now, at, next, out);
            }
        }
    }

    /// A step was answered, or not in time.
    pub fn answered(
        &mut self,
        now: Instant,
        number: u32,
        answer: Answer<'_>,
        facts: &Facts<'_>,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.items.iter().position(|item| item.number == number) else { return };
        let item = &mut self.items[at];
        if item.stage == Stage::Answered {
            // Its form was accepted, and was looked at again.
            if let Answer::Form(form) = answer {
                let seen = in_form(&item.request.action, form);
                let what = match &item.request.action {
                    Action::Configure { fields } => fields.iter().map(|(var, _)| format!(" {var}")).collect(),
                    _ => String::new(),
                };
                let said = format!("{} said yes to {}{what}", facts.room, item.request.action.verb());
                let progress = match (seen, item.changed) {
                    (true, _) => Progress::Seen,
                    // Somebody else was quicker.
                    (false, true) => Progress::TimedOut(Cause::new(
                        Word::ActionTimedOut,
                        format!("{said} and its form shows something else"),
                    )),
                    // Jitsi takes some fields and leaves them as they are.
                    (false, false) => Progress::Refused(Cause::new(
                        Word::Unsupported,
                        format!("{said} and changed nothing: the server does not let that be changed"),
                    )),
                };
                self.finish(at, progress, out);
            }
            return;
        }
        match answer {
            Answer::Refused(error) if too_early(&item.request, error, now, facts) => {
                item.stage = Stage::Preparing;
                item.again_at = Some(now + AGAIN);
                return;
            }
            Answer::Refused(error) if asked_to_unmute(&item.request.action, error, facts) => {}
            // A recorder cannot be muted, and who has no part in the media session need not be.
            Answer::Refused(error) if item.is_about_everybody() && (item.obeyed || item.unanswered > 1) => {
                let text = format!("{}: not everybody is muted: {}", facts.room, error.describe());
                out.push(Output::Partly(text.into()));
            }
            Answer::Refused(error) => {
                let cause = refusal(&item.request.action, error, facts.room);
                self.finish(at, Progress::Refused(cause), out);
                return;
            }
            Answer::Silence => {
                let verb = item.request.action.verb();
                let text = format!("{} did not answer: whether {verb} was done is not known", facts.room);
                self.finish(at, Progress::TimedOut(Cause::new(Word::ActionTimedOut, text)), out);
                return;
            }
            Answer::Done | Answer::Form(_) => item.obeyed = true,
        }
        item.unanswered = item.unanswered.saturating_sub(1);
        if item.unanswered > 0 {
            return;
        }
        if item.stage == Stage::Preparing {
            let mut next = item.left.pop_front();
            if let (Some(Step::Submit { members_only, fields }), Answer::Form(form)) = (&mut next, answer) {
                match prepare(&item.request.action, form, fields, facts.room) {
                    Ok(now_members_only) => *members_only = now_members_only,
                    Err(cause) => {
                        self.finish(at, Progress::Refused(cause), out);
                        return;
                    }
                }
            }
            if let Some(next) = next {
                self.send(now, at, next, out);
            }
            return;
        }
        item.stage = Stage::Answered;
        if !shows(&item.request.action) {
            self.finish(at, Progress::Answered, out);
        } else if already(&item.request.action, facts) {
            self.finish(at, Progress::Seen, out);
        } else {
            item.give_up_at = Some(now + EFFECT);
            out.push(on_the_way(&item.request, Progress::Answered));
            if by_form(&item.request.action) {
                // A form that changes nothing is accepted without a word to the room.
                out.push(Output::Send { number: item.number, step: Step::Form, reason: "".into() });
            }
        }
    }

    /// A presence of an occupant came, and was taken into the list of occupants.
    pub fn presence(&mut self, nick: &str, read: &RoomPresence, left: bool, out: &mut Vec<Output>) {
        let came = read.real_jid.as_deref().filter(|_| !left);
        // Whoever was let in from the lobby comes under a nick of their own choice.
        while let Some(at) = self.items.iter().position(|item| {
            let admitted = matches!(item.request.action, Action::Admit { .. }) && item.stage != Stage::Preparing;
            admitted && came.is_some() && item.request.real_jid.as_deref() == came
        }) {
            self.finish(at, Progress::Seen, out);
        }
        self.seen(out, |action| match action {
            Action::Kick { nick: kicked } => left && **kicked == *nick && !read.has(Status::RENAMED),
            Action::Voice { nick: meant, on } => {
                let voice = matches!(read.role, Some(Role::Participant | Role::Moderator));
                **meant == *nick && !read.has(Status::RENAMED) && (left || voice == *on)
            }
            Action::Affiliate { jid: meant, to } => {
                let about = read.real_jid.as_deref().is_some_and(|real| jid::bare(real) == &**meant);
                about && read.affiliation.as_ref().is_some_and(|has| has.as_str() == to.as_str())
            }
            _ => false,
        });
        if left && !read.has(Status::RENAMED) {
            self.gone(nick, out);
        }
    }

    /// Whoever left needs nothing more done: what was on its way for them has come true or has no meaning any more.
    fn gone(&mut self, nick: &str, out: &mut Vec<Output>) {
        while let Some(at) = self.items.iter().position(|item| item.request.action.occupant() == Some(nick)) {
            let cause = Cause::new(Word::OccupantGone, format!("{nick} left before it was done"));
            self.finish(at, Progress::Refused(cause), out);
        }
    }

    /// The room has this subject now.
    pub fn subject(&mut self, text: &str, out: &mut Vec<Output>) {
        self.seen(out, |action| matches!(action, Action::Subject { text: wanted } if **wanted == *text));
    }

    /// A message of ours came back from the room.
    pub fn said(&mut self, body: &str, out: &mut Vec<Output>) {
        self.seen(out, |action| matches!(action, Action::Say { nick: None, text } if **text == *body));
    }

    /// The room said that its configuration changed.
    pub fn configured(&mut self) {
        let on_its_way = |item: &&mut Item| matches!(item.stage, Stage::Sent | Stage::Answered);
        self.items.iter_mut().filter(on_its_way).for_each(|item| item.changed = true);
    }

    /// The room's form shows this now.
    pub fn form(&mut self, form: &RoomForm, out: &mut Vec<Output>) {
        self.seen(out, |action| in_form(action, form));
    }

    /// AV moderation was switched.
    pub fn av_moderation(&mut self, medium: Medium, on: bool, out: &mut Vec<Output>) {
        let wanted = Action::AvModeration { medium, on };
        self.seen(out, |action| *action == wanted);
    }

    /// The metadata say who begins muted.
    pub fn start_muted(&mut self, audio: bool, video: bool, out: &mut Vec<Output>) {
        let wanted = Action::StartMuted { audio, video };
        self.seen(out, |action| *action == wanted);
    }

    /// Whoever waited in the lobby is no longer there.
    pub fn left_lobby(&mut self, nick: &str, out: &mut Vec<Output>) {
        self.seen(
            out,
            |action| matches!(action, Action::Admit { nick: meant } | Action::Deny { nick: meant } if **meant == *nick),
        );
    }

    /// The room is gone, or we are no longer inside: what was to end it has come true, the rest cannot any more.
    pub fn outside(&mut self, destroyed: bool, cause: &Cause, out: &mut Vec<Output>) {
        while let Some(item) = self.items.first() {
            let ended = destroyed && matches!(item.request.action, Action::Destroy | Action::End);
            self.finish(0, if ended { Progress::Seen } else { Progress::Refused(cause.clone()) }, out);
        }
    }

    /// The stream is lost and may be resumed. What was said comes to the server then, and its answer and effect to us; what
    /// takes several steps would go on from what the room was before.
    pub fn interrupted(&mut self, cause: &Cause, out: &mut Vec<Output>) {
        while let Some(at) = self.items.iter().position(|item| matches!(item.stage, Stage::Queued | Stage::Preparing)) {
            self.finish(at, Progress::Refused(cause.clone()), out);
        }
    }

    /// The stream is resumed: nothing could be heard meanwhile, so what is waited for may take its whole time again.
    pub fn resumed(&mut self, now: Instant) {
        for item in &mut self.items {
            let patience = if item.stage == Stage::Answered { EFFECT } else { UNANSWERED };
            item.give_up_at = item.give_up_at.map(|_| now + patience);
        }
    }

    /// A deadline passed.
    pub fn timeout(&mut self, now: Instant, facts: &Facts<'_>, out: &mut Vec<Output>) {
        let room = facts.room;
        while let Some(at) = self.items.iter().position(|item| item.again_at.is_some_and(|at| at <= now)) {
            self.items[at].again_at = None;
            // By now the nick may be another's.
            match plan(&self.items[at].request, facts) {
                Ok(left) => {
                    self.items[at].left = left;
                    self.begin(now, at, out);
                }
                Err(cause) => self.finish(at, Progress::Refused(cause), out),
            }
        }
        while let Some(at) = self.items.iter().position(|item| item.give_up_at.is_some_and(|at| at <= now)) {
            let item = &self.items[at];
            let verb = item.request.action.verb();
            let text = match item.stage {
                Stage::Answered => format!("{room} said yes to {verb} and does not show that it has happened"),
                _ => format!("{room} does not show that {verb} has happened"),
            };
            self.finish(at, Progress::TimedOut(Cause::new(Word::ActionTimedOut, text)), out);
        }
    }

    fn seen(&mut self, out: &mut Vec<Output>, happened: impl Fn(&Action) -> bool) {
        while let Some(at) = self
            .items
            .iter()
            .position(|item| matches!(item.stage, Stage::Sent | Stage::Answered) && happened(&item.request.action))
        {
            self.finish(at, Progress::Seen, out);
        }
    }

    fn finish(&mut self, at: usize, progress: Progress, out: &mut Vec<Output>) {
        let item = self.items.remove(at);
        self.settle(item.request, progress, out);
    }

    fn settle(&mut self, request: Box<Request>, progress: Progress, out: &mut Vec<Output>) {
        if self.settled.len() == SETTLED {
            self.settled.pop_front();
        }
        self.settled.push_back((request.key.clone(), request.action.clone(), progress.clone()));
        out.push(Output::Progress { request, progress, over: true });
    }
}

fn other_action(request: &Request, known: &Action) -> Cause {
    let text = format!("the key {} was given to another action ({}); give each its own", request.key, known.verb());
    Cause::new(Word::ActionRefused, text)
}

fn on_the_way(request: &Request, progress: Progress) -> Output {
    Output::Progress { request: Box::new(request.clone()), progress, over: false }
}

/// The occupant who is meant, or why there is none.
fn present(nick: &str, real_jid: Option<&str>, facts: &Facts<'_>) -> Result<(), Cause> {
    let room = facts.room;
    let gone = |text: String| Err(Cause::new(Word::OccupantGone, text));
    let Some(occupant) = facts.occupants.by_nick(nick) else {
        return gone(format!("nobody in {room} is called {nick}"));
    };
    match (real_jid, occupant.real_jid.as_deref()) {
        (Some(meant), Some(has)) if jid::bare(meant) != jid::bare(has) => {
            gone(format!("{nick} in {room} is somebody else by now"))
        }
        _ => Ok(()),
    }
}

/// What has to be said for a request whose room is as the facts say.
fn plan(request: &Request, facts: &Facts<'_>) -> Result<VecDeque<Step>, Cause> {
    if let Some(nick) = request.action.occupant() {
        present(nick, request.real_jid.as_deref(), facts)?;
    }
    let steps = steps(&request.action, request.real_jid.as_deref(), facts)?;
    if steps.is_empty() {
        return Err(Cause::new(Word::OccupantGone, format!("nobody else is in {}", facts.room)));
    }
    Ok(steps.into())
}

/// Whether an action is done by the configuration form.
fn by_form(action: &Action) -> bool {
    matches!(action, Action::Lock { .. } | Action::Lobby { .. } | Action::Configure { .. })
}

/// What has to be said for an action, in order; about whom, where that is known.
fn steps(action: &Action, real_jid: Option<&str>, facts: &Facts<'_>) -> Result<Vec<Step>, Cause> {
    let submit = |fields| vec![Step::Form, Step::Submit { members_only: false, fields }];
    Ok(match action {
        Action::Kick { nick } => vec![Step::Role { lobby: false, nick: nick.clone(), role: Role::None }],
        Action::Voice { nick, on } => {
            let role = if *on { Role::Participant } else { Role::Visitor };
            vec![Step::Role { lobby: false, nick: nick.clone(), role }]
        }
        Action::Affiliate { jid, to } => vec![Step::Affiliate { jids: vec![jid.clone()], to: affiliation(*to) }],
        Action::Destroy => vec![Step::Destroy],
        Action::End if facts.components.end_conference && facts.bound => vec![Step::Bound(Bound::End)],
        Action::End => vec![Step::Destroy],
        Action::Lock { password } => {
            let secret = password.as_ref().map_or("", |password| password.expose());
            let protected = if password.is_some() { "1" } else { "0" };
            submit(vec![
                (room_form::ROOM_SECRET.into(), vec![secret.into()]),
                (room_form::PASSWORD_PROTECTED.into(), vec![protected.into()]),
            ])
        }
        Action::Subject { text } => vec![Step::Subject(text.clone())],
        Action::Say { nick: None, text } => vec![Step::Groupchat(text.clone())],
        Action::Say { nick: Some(nick), text } => vec![Step::Private { nick: nick.clone(), text: text.clone() }],
        Action::Lobby { on } => {
            let mut steps = Vec::new();
            if *on {
                steps.extend(make_members(facts));
            }
            steps.extend(submit(Vec::new()));
            steps
        }
        Action::Admit { nick } => {
            let waiting = waiting(nick, real_jid, facts)?;
            vec![Step::Invite(waiting)]
        }
        Action::Deny { nick } => {
            waiting(nick, real_jid, facts)?;
            vec![Step::Role { lobby: true, nick: nick.clone(), role: Role::None }]
        }
        Action::Mute { nick: Some(nick), medium } => vec![Step::Mute { nick: nick.clone(), medium: *medium }],
        Action::Mute { nick: None, medium } => {
            let others = facts.occupants.iter().map(|(nick, _)| nick).filter(|nick| *nick != facts.own);
            let others = others.filter(|nick| *nick != "focus");
            others.map(|nick| Step::Mute { nick: nick.into(), medium: *medium }).collect()
        }
        Action::AvModeration { medium, on } => vec![Step::Bound(Bound::AvModeration(*medium, *on))],
        Action::Approve { nick, medium, on } => {
            let occupant = format!("{}/{nick}", facts.room);
            vec![Step::Bound(Bound::Approve(*medium, occupant.into(), *on))]
        }
        Action::StartMuted { audio, video } => {
            let data = serde_json::json!({ "audio": audio, "video": video }).to_string();
            vec![Step::Metadata { key: "startMuted", data: data.into() }]
        }
        Action::Retract { stanza_id } => match facts.retraction {
            Some(how) => vec![Step::Retract { how, stanza_id: stanza_id.clone() }],
            None => Vec::new(),
        },
        Action::Configure { fields } => submit(fields.clone()),
    })
}

fn affiliation(to: Standing) -> Affiliation {
    Affiliation::read(to.as_str())
}

/// The real JID of somebody who waits in the lobby, and is who was meant.
fn waiting(nick: &str, meant: Option<&str>, facts: &Facts<'_>) -> Result<Box<str>, Cause> {
    let gone = |text: String| Cause::new(Word::OccupantGone, text);
    let found = facts.lobby.and_then(|lobby| lobby.by_nick(nick)).and_then(|occupant| occupant.real_jid.clone());
    let has = found.ok_or_else(|| gone(format!("nobody called {nick} waits in the lobby of {}", facts.room)))?;
    if meant.is_some_and(|meant| jid::bare(meant) != jid::bare(&has)) {
        return Err(gone(format!("{nick} in the lobby of {} is somebody else by now", facts.room)));
    }
    Ok(has)
}

/// Everybody inside becomes a member first: whoever is none when the lobby comes on is thrown out.
fn make_members(facts: &Facts<'_>) -> Vec<Step> {
    let mut jids: Vec<Box<str>> = Vec::new();
    for (nick, occupant) in facts.occupants.iter() {
        let without = matches!(occupant.affiliation, Some(Affiliation::None) | None);
        if let (true, Some(real)) = (without && nick != facts.own, occupant.real_jid.as_deref()) {
            let bare = jid::bare(real);
            if !jids.iter().any(|known| **known == *bare) {
                jids.push(bare.into());
            }
        }
    }
    let step = |jids: &[Box<str>]| Step::Affiliate { jids: jids.to_vec(), to: Affiliation::Member };
    jids.chunks(if facts.many_affiliations { 50 } else { 1 }).map(step).collect()
}

/// Checks the fields against what the room offers; says what `membersonly` is to be.
fn prepare(
    action: &Action,
    form: &RoomForm,
    fields: &mut Vec<(Box<str>, Vec<Box<str>>)>,
    room: &str,
) -> Result<bool, Cause> {
    let current = form.members_only();
    let members_only = match action {
        Action::Lobby { on } => {
            if current.is_none() {
                return Err(Cause::new(Word::Unsupported, format!("the form of {room} has no members-only field")));
            }
            *on
        }
        _ => {
            let wanted = fields.iter().find(|(var, _)| **var == *room_form::MEMBERS_ONLY);
            let wanted = wanted.map(|(_, values)| values.first().is_some_and(|value| matches!(&**value, "1" | "true")));
            wanted.or(current).unwrap_or_default()
        }
    };
    // Prosody has no such field and needs none; where there is one it must agree.
    fields.retain(|(var, _)| **var != *room_form::PASSWORD_PROTECTED || form.field(var).is_some());
    if let Some((var, _)) = fields.iter().find(|(var, _)| form.field(var).is_none()) {
        return Err(Cause::new(Word::Unsupported, format!("the form of {room} has no field {var}")));
    }
    Ok(members_only)
}

/// Whether anything answers a step; messages are not answered, but an errand that says one comes back.
fn answers(step: &Step, direct: bool) -> bool {
    match step {
        Step::Subject(_) | Step::Groupchat(_) | Step::Private { .. } | Step::Invite(_) => false,
        Step::Metadata { .. } | Step::Bound(_) => !direct,
        _ => true,
    }
}

/// Whether the room shows an action's effect to us.
fn shows(action: &Action) -> bool {
    match action {
        Action::Say { nick, .. } => nick.is_none(),
        Action::Mute { .. } | Action::Approve { .. } | Action::Retract { .. } => false,
        _ => true,
    }
}

/// Whether the effect can be seen at once, or nobody is there to show it.
fn already(action: &Action, facts: &Facts<'_>) -> bool {
    match action {
        Action::Kick { nick } => facts.occupants.by_nick(nick).is_none(),
        Action::Affiliate { jid, to } => {
            let mut about = facts.occupants.iter().map(|(_, occupant)| occupant);
            // An outcast is gone from the list, and a domain's accounts are not looked for one by one.
            about.all(|occupant| {
                let real = occupant.real_jid.as_deref().unwrap_or_default();
                let has = occupant.affiliation.as_ref().map(Affiliation::as_str);
                jid::bare(real) != &**jid || has == Some(to.as_str())
            })
        }
        // Said only where it changes.
        Action::AvModeration { medium, on } => facts.shown.av_moderation(*medium) == *on,
        _ => false,
    }
}

fn in_form(action: &Action, form: &RoomForm) -> bool {
    let is = |var: &str, values: &[Box<str>]| {
        form.field(var).is_some_and(|field| {
            let same = field.values.iter().map(String::as_str).eq(values.iter().map(|value| &**value));
            let boolean = |text: &str| matches!(text, "1" | "true");
            same || field.kind == "boolean" && values.first().is_some_and(|value| boolean(value) == field.is_true())
                || values.iter().all(|value| value.is_empty()) && field.value().is_empty()
        })
    };
    match action {
        Action::Lobby { on } => form.members_only() == Some(*on),
        Action::Lock { password } => {
            let secret = password.as_ref().map_or("", |password| password.expose());
            form.field(room_form::ROOM_SECRET).is_some_and(|field| field.value() == secret)
        }
        Action::Configure { fields } => fields.iter().all(|(var, values)| is(var, values)),
        _ => false,
    }
}

/// Whether an authority's word about somebody who just came in is only too early for the focus.
fn too_early(request: &Request, error: &StanzaError, now: Instant, facts: &Facts<'_>) -> bool {
    let Request { actor: Actor::Authority { .. }, action: Action::Mute { nick: Some(nick), .. }, .. } = request else {
        return false;
    };
    let newcomer = facts.occupants.by_nick(nick).is_some_and(|one| now < one.since + NEWCOMER);
    newcomer && error.condition == "internal-server-error"
}

/// Whether that is how the component answers after it asked somebody to switch a medium on that is not moderated: it tells
/// them and then says that it did nothing.
///
/// Source: jitsi-meet's `mod_av_moderation_component`, `on_message`.
fn asked_to_unmute(action: &Action, error: &StanzaError, facts: &Facts<'_>) -> bool {
    let Action::Approve { medium, on: true, .. } = action else { return false };
    // An errand tells in words what it was answered.
    let said = |text: &str| text.contains("service-unavailable");
    !facts.shown.av_moderation(*medium) && (said(&error.condition) || error.text.as_deref().is_some_and(said))
}

/// What a refusal means for whoever asked.
fn refusal(action: &Action, error: &StanzaError, room: &str) -> Cause {
    let said = error.describe();
    let verb = action.verb();
    match (verb, error.condition.as_str()) {
        (Verb::Mute, "internal-server-error") => Cause::new(
            Word::ActionRefused,
            format!(
                "the focus does not mute in {room} ({said}): we or they have no part in its media session, \
                 because the invitation was declined or nobody else is there"
            ),
        ),
        (Verb::Mute, "not-allowed") => Cause::new(
            Word::ActionRefused,
            format!("the focus does not mute in {room} ({said}): we are not moderator, or they cannot be muted"),
        ),
        (Verb::Kick | Verb::Ban | Verb::Voice | Verb::Grant | Verb::Revoke, "not-allowed") => Cause::new(
            Word::ActionRefused,
            format!("{room} refuses {verb} of {} ({said}): they are as high as we are, or higher", action.target()),
        ),
        (_, "forbidden") => Cause::new(
            Word::NotModerator,
            format!("{room} refuses {verb} ({said}): we are no longer high enough there"),
        ),
        (Verb::Retract, "item-not-found") => Cause::new(
            Word::ActionRefused,
            format!("{room} does not know that message ({said}): its archive keeps it no longer, or the room has none"),
        ),
        (_, "item-not-found") => {
            Cause::new(Word::OccupantGone, format!("{room} does not know whom {verb} was about ({said})"))
        }
        _ => Cause::new(Word::ActionRefused, format!("{room} refuses {verb}: {said}")),
    }
}

#[cfg(test)]
mod tests;
