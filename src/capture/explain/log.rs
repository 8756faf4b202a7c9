//! A line of a browser's log that people take for the cause: the refused question for STUN and TURN servers. Pure.

use serde::Serialize;

use crate::xmpp::jid;

/// What such a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// `urn:xmpp:extdisco:2`.
    pub operation: String,
    /// Who was asked.
    pub host: Option<String>,
    /// Where the user had logged in.
    pub login_domain: Option<String>,
    /// The condition of the refusal.
    pub condition: Option<String>,
}

/// Most text that is searched.
const MOST: usize = 1024 * 1024;

/// Finds the refused question in a log, as the browser's console or Strophe's log prints it.
#[must_use]
pub fn log_line(text: &str) -> Option<LogLine> {
    let end = (0..=MOST.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
    // What was copied out of a page or of JSON is escaped.
    let text = text[..end].replace("\\\"", "\"").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    let at = text.find("extdisco:")?;
    let version: String = text[at + "extdisco:".len()..].chars().take_while(char::is_ascii_digit).collect();
    if version.is_empty() {
        return None;
    }
    // The stanza around the words, else the first behind them, else the last before.
    let before = text[..at].rfind("<iq");
    let around = before.filter(|start| !text[*start..at].contains("</iq"));
    let behind = || text[at..].find("<iq").map(|behind| at + behind);
    let iq = around.or_else(behind).or(before).map(|start| &text[start..]);
    let tag = iq.map(|iq| iq.split('>').next().unwrap_or(iq));
    let (from, to) = (tag.and_then(|tag| value(tag, "from")), tag.and_then(|tag| value(tag, "to")));
    // A refusal comes from who was asked and goes to who had asked; a question is the other way about.
    let refusal = tag.and_then(|tag| value(tag, "type")).is_some_and(|kind| kind == "error");
    let (host, user) = if refusal { (from, to) } else { (to, from) };
    let conditions = ["service-unavailable", "feature-not-implemented", "item-not-found", "remote-server-timeout"];
    let conditions = conditions.iter().chain(&["not-allowed", "forbidden", "not-authorized"]);
    Some(LogLine {
        operation: format!("urn:xmpp:extdisco:{version}"),
        host,
        login_domain: user.map(|user| jid::domain(&user).to_owned()),
        condition: conditions.into_iter().find(|condition| text.contains(**condition)).map(|one| (*one).to_owned()),
    })
}

/// The value of an attribute in a tag.
fn value(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = ["\"", "'"].iter().find_map(|quote| tag.split_once(&format!(" {name}={quote}")))?;
    Some(rest.split(['"', '\'']).next().unwrap_or_default().to_owned()).filter(|value| !value.is_empty())
}

impl LogLine {
    /// What it means, in sentences.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let host = self.host.as_deref().unwrap_or("a host that the line does not name");
        let how = self.condition.as_deref().map(|condition| format!(": {condition}")).unwrap_or_default();
        let login = match &self.login_domain {
            Some(domain) => format!("the user had logged in at {domain}"),
            None => "the line does not say where the user had logged in".to_owned(),
        };
        vec![
            format!("extdisco ({}): the browser asked {host} for STUN and TURN servers, and was refused{how}", self.operation),
            login,
            "no TURN credentials are offered; signalling and holding are unaffected, users behind strict NAT may have \
             no media"
                .to_owned(),
            "this is not why a join failed: look at the conference request and at the join, with capture explain on a HAR"
                .to_owned(),
        ]
    }
}
