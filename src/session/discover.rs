//! Finding and verifying the group chat service. Pure.
//!
//! Jitsi names it by convention only (`muc.` in docker, `conference.` in Debian's packages), and a focus that is asked
//! for a room on a domain that does not exist never answers. Source: XEP-0030; XEP-0045 §6.1 "Discovering a MUC Service".

use std::time::{Duration, Instant};

use super::{About, IQ_TIMEOUT, Outbox, Report, Session};
use crate::cause::{Cause, Word};
use crate::xml::Element;
use crate::xmpp::stanza::StanzaError;
use crate::xmpp::{disco, jid};

/// How long after a search in vain the next begins.
pub const AGAIN: Duration = Duration::from_secs(300);
/// Most services that are asked what they are.
const MOST: usize = 32;

/// How far the search is.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    open: usize,
    found: Option<Box<str>>,
    /// When to search again.
    pub(super) again_at: Option<Instant>,
}

impl Discovery {
    /// Whether rooms cannot be addressed yet. Those that were held after a search in vain have a domain of their own.
    pub(super) fn unknown(&self, configured: bool) -> bool {
        !configured && self.found.is_none() && self.open > 0
    }
}

/// A question of the search.
#[derive(Debug)]
pub(super) enum Step {
    /// Is the configured domain a group chat service?
    Verify,
    /// Is this one?
    Candidate(Box<str>),
    /// What services are there?
    Items,
}

impl Session {
    /// Verifies the configured service, or searches for one.
    pub(super) fn discover(&mut self, now: Instant, out: &mut Outbox) {
        self.muc_trouble = None;
        if let Some(muc) = self.profile.muc.clone() {
            let id = self.questions.ask(&muc, About::Discovery(Step::Verify), now, IQ_TIMEOUT);
            out.send.push(disco::info_request(&muc, &id));
            return;
        }
        self.search(now, out);
    }

    /// Asks what the usual names are, and what else there is.
    fn search(&mut self, now: Instant, out: &mut Outbox) {
        self.discovery.open = 0;
        self.discovery.again_at = None;
        let domain = self.profile.domain.clone();
        for prefix in ["muc", "conference"] {
            let candidate = format!("{prefix}.{domain}");
            if self.profile.muc.as_deref() != Some(&*candidate) {
                self.ask_candidate(now, candidate.into(), out);
            }
        }
        self.discovery.open += 1;
        let id = self.questions.ask(&domain, About::Discovery(Step::Items), now, IQ_TIMEOUT);
        out.send.push(disco::items_request(&domain, &id));
    }

    fn ask_candidate(&mut self, now: Instant, candidate: Box<str>, out: &mut Outbox) {
        self.discovery.open += 1;
        let step = Step::Candidate(candidate.clone());
        let id = self.questions.ask(&candidate, About::Discovery(step), now, IQ_TIMEOUT);
        out.send.push(disco::info_request(&candidate, &id));
    }

    /// A question was answered, or not.
    pub(super) fn discovered(&mut self, now: Instant, step: Step, answer: Option<&Element>, out: &mut Outbox) {
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        match step {
            Step::Verify => {
                if result.is_some_and(disco::is_group_chat) {
                    return;
                }
                let said = match answer {
                    None => "no answer".to_owned(),
                    Some(_) if result.is_some() => "it is another kind of service".to_owned(),
                    Some(iq) => StanzaError::of(iq).describe(),
                };
                let muc = self.profile.muc.as_deref().unwrap_or_default();
                let cause = Cause::new(
                    Word::WrongMucDomain,
                    format!("{muc} does not look like a group chat service ({said}): check `muc`"),
                );
                out.reports.push(Report::Odd(cause.text.to_string()));
                self.muc_trouble = Some(cause);
                self.discovery.found = None;
                self.search(now, out);
                return;
            }
            Step::Candidate(candidate) => {
                if self.discovery.found.is_none() && result.is_some_and(disco::is_group_chat) {
                    if let Some(trouble) = &mut self.muc_trouble {
                        *trouble = Cause::new(trouble.word, format!("{}; {candidate} is one", trouble.text));
                        out.reports.push(Report::Odd(trouble.text.to_string()));
                        self.discovery.found = Some(candidate);
                        self.discovery.open -= 1;
                        return;
                    }
                    out.reports.push(Report::MucFound(candidate.to_string()));
                    self.discovery.found = Some(candidate);
                }
            }
            Step::Items => {
                let guessed = [format!("muc.{}", self.profile.domain), format!("conference.{}", self.profile.domain)];
                let items = result.map(|result| disco::items(result, MOST)).unwrap_or_default();
                for item in items {
                    if self.discovery.found.is_none() && !guessed.contains(&item) {
                        self.ask_candidate(now, item.into(), out);
                    }
                }
            }
        }
        self.discovery.open -= 1;
        if self.discovery.open == 0 && self.discovery.found.is_none() {
            // Of a configured one that is none, there is nothing to say but that.
            if self.muc_trouble.is_some() {
                return;
            }
            self.discovery.again_at = Some(now + AGAIN);
            out.reports.push(Report::MucNotFound(Cause::new(
                Word::MucNotFound,
                format!(
                    "{} has no group chat service that can be found: set `muc` for this service",
                    self.profile.domain
                ),
            )));
        }
    }

    /// Why the room can not be where it is wanted, as far as the service said so. `alone`: the focus answers nobody.
    pub(super) fn trouble_with(&self, room: u32, alone: bool) -> Option<Cause> {
        let domain = jid::domain(&self.rooms.get(&room)?.room.settings().jid);
        let muc = self.profile.muc.as_deref()?;
        if domain == muc {
            return self.muc_trouble.clone();
        }
        // A tenant's rooms are on a domain that the server makes up.
        let tenant = jid::tenant(muc, domain).is_some();
        if tenant || alone || self.muc_trouble.is_some() {
            return None;
        }
        let text =
            format!("{domain} is not the group chat service of this deployment, {muc} is: correct the room's JID");
        Some(Cause::new(Word::WrongMucDomain, text))
    }
}
