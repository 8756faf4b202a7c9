//! Whether what one client says is equivalent to what a recorded client said. Pure.
//!
//! A browser says much that a keeper has no use for, and a keeper says some things that a browser does not. Both stand
//! in tables here, each with its reason: [`OMITTED`], [`ADDED`] and, for parts of a stanza, [`PARTS`]. What is in none
//! of them must be the same: kind, target and payload. The order counts for the stream's set-up, the conference request,
//! the join and the leave, and for what the server must have said before: that the login is accepted, the conference
//! ready, the room entered, the role risen.
//!
//! Free are ids, nicks, resources, times, random user parts, the values of machine-uid, session-id and tokens (not
//! whether they are there), and what SASL carries.

use std::collections::HashMap;

use super::{Connection, Content, Dialogue, Direction};
use crate::xml::Element;

pub use side::What;
use side::{Heard, Said, Side};
pub use tables::{ADDED, OMITTED, PARTS, Row};

mod side;
mod tables;
#[cfg(test)]
mod tests;

/// How one stanza compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both said it; with the parts that only one said, by design.
    Same(Vec<Difference>),
    /// The recorded client said it, and it may be left out.
    Omitted(&'static Row),
    /// Only ours said it, and it may.
    Added(&'static Row),
    /// It is not the same; why.
    Different(String),
}

/// A part of a stanza that only one side said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whether ours said it.
    pub ours: bool,
    /// Which, and why that is right.
    pub row: &'static Row,
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where in the recording; `None` for what only ours said.
    pub place: Option<String>,
    /// Which stanza: `conference request to focus.meet.jitsi`.
    pub what: String,
    /// How it compares.
    pub verdict: Verdict,
}

/// How two clients compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One line for each stanza: the recorded ones in their order, each followed by what only ours said.
    pub lines: Vec<Line>,
}

impl Report {
    /// Whether anything is [`Verdict::Different`].
    #[must_use]
    pub fn differs(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.verdict, Verdict::Different(_)))
    }
}

/// One step of the recorded dialogue.
#[derive(Debug)]
struct Step {
    /// The message's number in its connection.
    message: usize,
    place: String,
    kind: StepKind,
    verdict: Option<Verdict>,
    /// What only ours said or heard behind this step.
    behind: Vec<Line>,
}

#[derive(Debug)]
enum StepKind {
    Said { said: Said, id: Option<String> },
    Heard(Heard),
}

impl Step {
    fn describe(&self) -> String {
        match &self.kind {
            StepKind::Said { said, .. } => said.describe(),
            StepKind::Heard(heard) => heard.words.clone(),
        }
    }

    fn omitted(&self) -> Option<&'static Row> {
        match &self.kind {
            StepKind::Said { said, .. } => said.what.omitted(),
            StepKind::Heard(heard) => heard.optional.and_then(What::omitted),
        }
    }

    fn ordered(&self) -> bool {
        match &self.kind {
            StepKind::Said { said, .. } => said.what.ordered(),
            StepKind::Heard(_) => true,
        }
    }

    /// Whether it must come and has not.
    fn pending(&self) -> bool {
        self.verdict.is_none() && self.omitted().is_none()
    }
}

/// Compares what is said on one connection with a recorded one, stanza by stanza.
#[derive(Debug)]
pub struct Comparison {
    steps: Vec<Step>,
    ours: Side,
    /// The last step that was matched: what is more goes behind it.
    last: Option<usize>,
    /// The last step that was matched and whose order counts.
    last_ordered: Option<usize>,
    /// What came before any step was matched.
    before: Vec<Line>,
    /// Recorded ids of questions, and ours.
    ids: HashMap<String, String>,
}

impl Comparison {
    /// Begins with what was recorded.
    #[must_use]
    pub fn new(recorded: &Connection) -> Self {
        let mut side = Side::default();
        let mut steps = Vec::new();
        for (number, message) in recorded.messages.iter().enumerate() {
            let Content::Element(element) = &message.content else { continue };
            let kind = match message.direction {
                Direction::Sent => {
                    let id = element.attr("id").map(str::to_owned);
                    StepKind::Said { said: side.said(element), id }
                }
                Direction::Received => match side.heard(element) {
                    Some(heard) => StepKind::Heard(heard),
                    None => continue,
                },
            };
            let place = message.place.clone();
            steps.push(Step { message: number, place, kind, verdict: None, behind: Vec::new() });
        }
        // A leave behind which nothing but the end comes is part of the end.
        for step in steps.iter_mut().rev() {
            match &mut step.kind {
                StepKind::Said { said, .. } if said.what == What::Leave => said.what = What::End,
                StepKind::Said { said, .. } if said.what.ordered() || said.what == What::Other => break,
                StepKind::Said { .. } => {}
                StepKind::Heard(heard) if heard.words.starts_with("we are out of") => heard.optional = Some(What::End),
                StepKind::Heard(_) => break,
            }
        }
        Comparison {
            steps,
            ours: Side::default(),
            last: None,
            last_ordered: None,
            before: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Takes what ours sent, and says how it compares.
    pub fn sent(&mut self, element: &Element) -> Verdict {
        let mut said = self.ours.said(element);
        let mut at = self.find(&said);
        if said.what == What::Leave && at.is_none() {
            // Where the recording ends, ours may.
            let end = Said { what: What::End, ..said.clone() };
            at = self.find(&end);
            if at.is_some() || !self.steps.iter().any(Step::pending) {
                said = end;
            }
        }
        let Some(at) = at else {
            let verdict = match said.what.added() {
                Some(row) => Verdict::Added(row),
                None => Verdict::Different("the recorded client does not say it".to_owned()),
            };
            self.more(Line { place: None, what: said.describe(), verdict: verdict.clone() });
            return verdict;
        };
        let StepKind::Said { said: theirs, id } = &self.steps[at].kind else { return Verdict::Same(Vec::new()) };
        if let (Some(id), Some(ours)) = (id, element.attr("id")) {
            self.ids.insert(id.clone(), ours.to_owned());
        }
        let verdict = if said.what.ordered()
            && let Some(missing) = self.missing_before(at)
        {
            Verdict::Different(format!("it comes before: {missing}"))
        } else if said.what.ordered() && self.last_ordered.is_some_and(|last| at < last) {
            Verdict::Different("it comes too late".to_owned())
        } else {
            compare(theirs, &said)
        };
        self.matched(at, verdict.clone());
        verdict
    }

    /// Takes what ours heard: what the server plays, or what another recording has.
    pub fn heard(&mut self, element: &Element) {
        let Some(Heard { words, optional }) = self.ours.heard(element) else { return };
        let same = |step: &Step| match &step.kind {
            StepKind::Heard(theirs) => step.verdict.is_none() && theirs.words == words,
            StepKind::Said { .. } => false,
        };
        let Some(at) = self.steps.iter().position(same) else {
            let verdict = match optional.and_then(What::omitted) {
                Some(row) => Verdict::Added(row),
                None => Verdict::Different("the recorded client does not hear it".to_owned()),
            };
            self.more(Line { place: None, what: words, verdict });
            return;
        };
        let verdict = match self.missing_before(at) {
            Some(missing) => Verdict::Different(format!("it comes before: {missing}")),
            None => Verdict::Same(Vec::new()),
        };
        self.matched(at, verdict);
    }

    /// What must still be said before the recorded message of that number may be played, in words.
    #[must_use]
    pub fn expected(&self, message: usize) -> Vec<String> {
        let before = self.steps.iter().take_while(|step| step.message < message);
        before.filter(|step| step.pending() && matches!(step.kind, StepKind::Said { .. })).map(Step::describe).collect()
    }

    /// The id that ours gave to what the recorded client said under that id.
    #[must_use]
    pub fn id(&self, recorded: &str) -> Option<&str> {
        self.ids.get(recorded).map(String::as_str)
    }

    /// Ends it: what was not said is missing.
    #[must_use]
    pub fn finish(self) -> Report {
        let mut lines = self.before;
        for step in self.steps {
            let what = step.describe();
            let omitted = step.omitted();
            let verdict = step.verdict.unwrap_or_else(|| match (omitted, &step.kind) {
                (Some(row), _) => Verdict::Omitted(row),
                (None, StepKind::Said { .. }) => Verdict::Different("ours does not say it".to_owned()),
                (None, StepKind::Heard { .. }) => Verdict::Different("ours does not hear it".to_owned()),
            });
            lines.push(Line { place: Some(step.place), what, verdict });
            lines.extend(step.behind);
        }
        Report { lines }
    }

    /// The recorded stanza that is meant: the same one, else one to the same target, else one of the same kind whose
    /// order counts.
    fn find(&self, said: &Said) -> Option<usize> {
        let open = |wanted: &dyn Fn(&Said) -> bool| {
            self.steps.iter().position(|step| match &step.kind {
                StepKind::Said { said: theirs, .. } => {
                    step.verdict.is_none() && theirs.what == said.what && wanted(theirs)
                }
                StepKind::Heard(_) => false,
            })
        };
        let target = |theirs: &Said| theirs.target == said.target;
        open(&|theirs| target(theirs) && !matches!(compare(theirs, said), Verdict::Different(_)))
            .or_else(|| open(&target).filter(|_| said.what != What::Other))
            .or_else(|| open(&|_| true).filter(|_| said.what.ordered()))
    }

    /// The first step before that one whose order counts and that has not come.
    fn missing_before(&self, at: usize) -> Option<String> {
        self.steps[..at].iter().find(|step| step.ordered() && step.pending()).map(Step::describe)
    }

    fn matched(&mut self, at: usize, verdict: Verdict) {
        self.steps[at].verdict = Some(verdict);
        self.last = self.last.max(Some(at));
        if self.steps[at].ordered() {
            self.last_ordered = self.last_ordered.max(Some(at));
        }
    }

    fn more(&mut self, line: Line) {
        match self.last {
            Some(at) => self.steps[at].behind.push(line),
            None => self.before.push(line),
        }
    }
}

/// How two stanzas of one kind compare.
fn compare(theirs: &Said, ours: &Said) -> Verdict {
    if theirs.target != ours.target {
        return Verdict::Different(format!("to {:?} instead of {:?}", ours.target, theirs.target));
    }
    let mut left = ours.parts.clone();
    let mut notes = Vec::new();
    let mut missing = None;
    let mut note = |side: bool, path: &str| -> bool {
        let Some(row) = ours.what.part(path) else { return false };
        let note = Difference { ours: side, row };
        if !notes.contains(&note) {
            notes.push(note);
        }
        true
    };
    for (path, value) in &theirs.parts {
        match left.iter().position(|(one, ours)| one == path && ours == value) {
            Some(at) => {
                left.remove(at);
            }
            None if note(false, path) => {}
            None => missing = missing.or(Some((path, value))),
        }
    }
    let more: Vec<&(String, String)> = left.iter().filter(|(path, _)| !note(true, path)).collect();
    match (missing, more.first()) {
        (None, None) => Verdict::Same(notes),
        (Some((path, value)), _) => match more.iter().find(|(one, _)| one == path) {
            // Texts may be secrets, and may be anybody's.
            Some((_, ours)) if path.contains('@') => {
                Verdict::Different(format!("{path} is {ours:?} instead of {value:?}"))
            }
            Some(_) => Verdict::Different(format!("the contents of {path} are not the same")),
            None => Verdict::Different(format!("{path} is missing")),
        },
        (None, Some((path, _))) => Verdict::Different(format!("{path} is too much")),
    }
}

/// Compares two dialogues: what the client of `ours` said with what the client of `recorded` said.
///
/// Connections belong together that log in to the same domain, in their order.
#[must_use]
pub fn diff(recorded: &Dialogue, ours: &Dialogue) -> Vec<Report> {
    let mut left: Vec<&Connection> = ours.connections.iter().collect();
    let mut reports = Vec::new();
    for connection in &recorded.connections {
        let mut comparison = Comparison::new(connection);
        let at = left.iter().position(|one| domain(one) == domain(connection));
        if let Some(at) = at {
            for message in &left.remove(at).messages {
                match (&message.content, message.direction) {
                    (Content::Element(element), Direction::Sent) => {
                        comparison.sent(element);
                    }
                    (Content::Element(element), Direction::Received) => comparison.heard(element),
                    _ => {}
                }
            }
        }
        reports.push(comparison.finish());
    }
    for connection in left {
        let domain = domain(connection).unwrap_or_default();
        let line = Line {
            place: None,
            what: format!("connection to {domain}"),
            verdict: Verdict::Different("the recording has no such connection".to_owned()),
        };
        reports.push(Report { lines: vec![line] });
    }
    reports
}

/// The domain that the client names when it opens its stream.
fn domain(connection: &Connection) -> Option<&str> {
    let sent = connection.messages.iter().filter(|message| message.direction == Direction::Sent);
    sent.filter_map(|message| match &message.content {
        Content::Element(element) => Some(element),
        _ => None,
    })
    .find(|element| element.name() == "open" || element.name() == "stream" || element.name() == "body")
    .and_then(|element| element.attr("to"))
}
