//! The facts in plain sentences. Pure.

use super::{Explanation, Leg, Model, Request, Stay};

impl Model {
    /// What the model is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Model::GuestAndAccount => "guest + account, secure domain",
            Model::DirectAccount => "direct account",
            Model::Token => "JWT",
            Model::Open => "open",
            Model::GuestRefused => "guest only, refused",
            Model::GuestInOpenRoom => "guest only, in somebody's room",
            Model::PlainXmpp => "plain XMPP rooms",
            Model::LoginRefused => "login refused",
            Model::Unknown => "unknown",
        }
    }
}

impl Explanation {
    /// The explanation as lines; they may hold anything that a stranger wrote, control characters included.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut lines = vec![format!("authentication: {}", self.model.name()), self.verdict.clone(), String::new()];
        for (number, leg) in self.connections.iter().enumerate() {
            lines.push(heading(number + 1, leg));
            lines.extend(sentences(leg).into_iter().map(|line| format!("  {line}")));
            lines.push(String::new());
        }
        lines.extend(self.relations.iter().cloned());
        if !self.relations.is_empty() {
            lines.push(String::new());
        }
        if let Some(service) = &self.service {
            lines.push("this makes innkeeper do the same:".to_owned());
            lines.push(String::new());
            lines.extend(service.lines().map(|line| format!("    {line}").trim_end().to_owned()));
            lines.push(String::new());
        }
        lines.extend(self.remarks.iter().map(|(place, text)| format!("{place}: {text}")));
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

fn heading(number: usize, leg: &Leg) -> String {
    let url = leg.url.as_deref().map(|url| format!(" {url}")).unwrap_or_default();
    let opened = leg.opened.as_deref().map(|opened| format!(", {opened}")).unwrap_or_default();
    let plural = if leg.messages == 1 { "" } else { "s" };
    format!("connection {number}: {}{url}{opened}, {} message{plural}", leg.transport, leg.messages)
}

fn sentences(leg: &Leg) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(login(leg));
    match leg.resumable {
        Some(true) => lines.push("stream management is on, and a lost connection could be resumed".to_owned()),
        Some(false) => lines.push("stream management is on, without resumption".to_owned()),
        None => {}
    }
    if !leg.components.is_empty() {
        let all: Vec<String> = leg.components.iter().map(|(kind, address)| format!("{kind} at {address}")).collect();
        lines.push(format!("found by disco: {}", all.join(", ")));
    }
    lines.extend(leg.requests.iter().map(request));
    lines.extend(leg.stays.iter().flat_map(stay));
    for pings in &leg.pings {
        let every = pings.every.map(|every| format!(", every {every:.0} s")).unwrap_or_default();
        let answered = if pings.answered == pings.count { "all".to_owned() } else { pings.answered.to_string() };
        lines.push(format!("{} × ping to {}{every}, {answered} answered", pings.count, pings.to));
    }
    for refusal in &leg.refusals {
        let what = format!("{} refused by {} at {:.3} s: {}", refusal.what, refusal.of, refusal.at, refusal.condition);
        lines.push(match &refusal.harmless {
            Some(why) => format!("{what}; harmless: {why}"),
            None => format!("{what}; this matters"),
        });
    }
    lines.push(format!("end: {}", leg.end));
    lines
}

fn login(leg: &Leg) -> Option<String> {
    let at = leg.domain.as_deref().map(|domain| format!(" at {domain}")).unwrap_or_default();
    let with = leg.mechanism.as_deref().map(|mechanism| format!(" with {mechanism}")).unwrap_or_default();
    let offered = leg.offered.join(", ");
    let offered = if offered.is_empty() { offered } else { format!(" (offered: {offered})") };
    if let Some(condition) = &leg.login_refused {
        return Some(format!("login{at}{with}{offered} refused: {condition}"));
    }
    let who = leg.jid.as_deref().map(|jid| format!(" as {jid}")).unwrap_or_default();
    let token = if leg.token_in_url { ", with a token in the URL" } else { "" };
    match leg.anonymous {
        Some(true) => Some(format!("anonymous login{at}{with}{offered}{who}{token}")),
        Some(false) => Some(format!("account login{at}{with}{offered}{who}{token}")),
        None if leg.jid.is_some() || leg.domain.is_some() => {
            Some(format!("the login{at} is not recorded; the server speaks{}", who.replacen(" as ", " to ", 1)))
        }
        None => None,
    }
}

/// Seconds between two times, in milliseconds.
fn after(begin: f64, end: f64) -> String {
    format!("{:.0} ms", (end - begin) * 1000.0)
}

fn request(request: &Request) -> String {
    let mut text = format!("conference request at {:.3} s to {} for {}", request.at, request.focus, request.room);
    match &request.session_id {
        Some(id) => text.push_str(&format!(" with session-id {id}")),
        None => text.push_str(" without a session-id"),
    }
    let Some(answer) = &request.answer else { return text + ": no answer" };
    text.push_str(&format!(": {} after {}", answer.outcome, after(request.at, answer.at)));
    if let Some(identity) = &answer.identity {
        text.push_str(&format!(", as {identity}"));
    }
    if let Some(id) = answer.session_id.as_ref().filter(|id| Some(*id) != request.session_id.as_ref()) {
        text.push_str(&format!(", gets session-id {id}"));
    }
    match answer.authentication {
        Some(true) => text.push_str(", authentication is on"),
        Some(false) => text.push_str(", authentication is off"),
        None => {}
    }
    text
}

fn stay(stay: &Stay) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(joined) = stay.joined else {
        let how = match &stay.refused {
            Some(condition) => format!("refused: {condition}"),
            None => "never answered".to_owned(),
        };
        return vec![format!("join of {} as {} at {:.3} s: {how}", stay.room, stay.nick, stay.asked)];
    };
    let first = stay.roles.first();
    let role = first.map(|role| format!(" as {}, affiliation {}", role.role, role.affiliation)).unwrap_or_default();
    let asked = after(stay.asked, joined);
    lines.push(format!("joined {} at {joined:.3} s, {asked} after asking, nick {}{role}", stay.room, stay.nick));
    for change in stay.roles.iter().skip(1) {
        let by = change.by.as_deref().filter(|by| !by.is_empty()).map(|by| format!(", by {by}")).unwrap_or_default();
        let since = after(joined, change.at);
        lines.push(format!("{} {since} after joining, affiliation {}{by}", change.role, change.affiliation));
    }
    lines.extend(stay.nicks.iter().map(|(at, nick)| format!("nick {nick} since {at:.3} s")));
    if let Some((at, how)) = &stay.left {
        lines.push(format!("out of {} at {at:.3} s: {how}", stay.room));
    }
    lines
}
