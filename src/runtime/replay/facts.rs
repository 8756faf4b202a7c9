//! What a capture says about the deployment, as far as innkeeper must know it to do the same.

use std::path::{Path, PathBuf};

use url::Url;

use crate::capture::{Connection, Dialogue, Direction};
use crate::config::{self, Config, Content, File, Files, Input, Mechanism};
use crate::store::ServiceState;
use crate::stream::LastLogin;
use crate::xml::{Element, FRAMING};
use crate::xmpp::stanza::StanzaError;
use crate::xmpp::{jid, ns};

/// Name of the service that is replayed.
pub(super) const SERVICE: &str = "replay";
/// The server that is played does not look into a token; it only must look like one.
pub(super) const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.cmVwbGF5";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// One connection's facts.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The domain that the stream was opened to.
    pub(super) domain: String,
    /// The mechanism of the login, without channel binding: there is no TLS on loopback.
    mechanism: Option<String>,
    /// The full JID that was bound.
    jid: Option<String>,
    /// The occupant JIDs of the first join of each room.
    joins: Vec<String>,
    /// Rooms in which one waits to be let into another.
    lobbies: Vec<String>,
    /// The conference focus, and the rooms that it was asked for.
    focus: Option<String>,
    asked: Vec<String>,
    /// The first request's session-id, where it had one.
    session_id: Option<String>,
    machine_uid: Option<String>,
    /// Who the focus takes us for.
    identity: Option<String>,
    resumes: bool,
    url: Option<Url>,
}

impl Facts {
    fn of(connection: &Connection) -> Self {
        let url = connection.url.as_deref().and_then(|url| Url::parse(url).ok());
        let mut facts = Facts { url, ..Facts::default() };
        for (message, element) in connection.elements() {
            match message.direction {
                Direction::Sent => facts.sent(element),
                Direction::Received => facts.received(element),
            }
        }
        facts
    }

    fn sent(&mut self, element: &Element) {
        let to = element.attr("to").unwrap_or_default();
        if (element.is("open", FRAMING) || element.is("stream", ns::STREAM)) && self.domain.is_empty() {
            to.clone_into(&mut self.domain);
        } else if element.is("auth", SASL) && self.mechanism.is_none() {
            self.mechanism = element.attr("mechanism").map(|name| name.trim_end_matches("-PLUS").to_owned());
        } else if element.is("resume", ns::SM) {
            self.resumes = true;
        } else if element.has_child("x", ns::MUC) {
            let room = jid::bare(to);
            let known = self.joins.iter().any(|join| jid::bare(join) == room);
            if !known && !self.lobbies.iter().any(|lobby| lobby == room) {
                self.joins.push(to.to_owned());
            }
        } else if let Some(conference) = element.get_child("conference", ns::JITSI_FOCUS) {
            if self.asked.is_empty() {
                self.focus = Some(to.to_owned());
                self.session_id = conference.attr("session-id").map(str::to_owned);
                self.machine_uid = conference.attr("machine-uid").map(str::to_owned);
            }
            let room = conference.attr("room").unwrap_or_default();
            if !self.asked.iter().any(|asked| asked == room) {
                self.asked.push(room.to_owned());
            }
        }
    }

    fn received(&mut self, element: &Element) {
        if let Some(bound) = element.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)) {
            self.jid.get_or_insert(bound.text());
        }
        if let Some(conference) = element.get_child("conference", ns::JITSI_FOCUS)
            && let Some(identity) = conference.attr("identity")
        {
            self.identity.get_or_insert(identity.to_owned());
        }
        if element.attr("type") == Some("error") {
            self.lobbies.extend(StanzaError::of(element).lobby);
        }
    }

    fn is_anonymous(&self) -> bool {
        self.mechanism.as_deref().is_none_or(|name| name == "ANONYMOUS")
    }

    fn has_token(&self) -> bool {
        self.url.as_ref().is_some_and(|url| url.query_pairs().any(|(name, _)| name == "token"))
    }
}

/// Connections that one run of a client made: the one that holds rooms, its resumptions, the account's short logins.
#[derive(Debug)]
pub(super) struct Run {
    /// Their numbers in the dialogue.
    pub(super) connections: Vec<usize>,
    /// Their facts.
    pub(super) facts: Vec<Facts>,
}

/// The runs of a dialogue in their order. A page that was loaded again is another run.
pub(super) fn runs(dialogue: &Dialogue) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (number, connection) in dialogue.connections.iter().enumerate() {
        let facts = Facts::of(connection);
        if facts.domain.is_empty() {
            continue;
        }
        let belongs = runs.last().is_some_and(|run| {
            let holder = &run.facts[0];
            let leg = facts.joins.is_empty() && !facts.is_anonymous() && facts.domain != holder.domain;
            leg || (facts.resumes && facts.domain == holder.domain)
        });
        match runs.last_mut().filter(|_| belongs) {
            Some(run) => {
                run.connections.push(number);
                run.facts.push(facts);
            }
            None => runs.push(Run { connections: vec![number], facts: vec![facts] }),
        }
    }
    runs
}

impl Run {
    /// The configuration that makes innkeeper do the same at that port.
    ///
    /// # Errors
    /// What the capture lacks, or holds that no configuration takes.
    pub(super) fn config(&self, port: u16, state: &Path, password: &str) -> Result<Config, String> {
        let holder = &self.facts[0];
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        // Other schemes' paths need not begin with a slash, and would then be read as a part of the host.
        let websocket = holder.url.as_ref().filter(|url| matches!(url.scheme(), "ws" | "wss"));
        let path = websocket.map_or("/xmpp-websocket", Url::path);
        let mut service = format!("url = {}\n", text(&format!("ws://127.0.0.1:{port}{path}")));
        let account = |jid: Option<&str>| text(jid.and_then(jid::local).unwrap_or("account"));
        let leg = self.facts.iter().find(|facts| facts.domain != holder.domain);
        let identity = leg.and_then(|leg| leg.jid.as_deref()).or(holder.identity.as_deref());
        if holder.has_token() {
            let file = state.join("token");
            service += &format!(
                "login = \"token\"\ntoken_file = {}\ndomain = {}\n",
                text(&file.to_string_lossy()),
                text(&holder.domain)
            );
        } else if holder.is_anonymous() && (leg.is_some() || holder.session_id.is_some()) {
            let domain = leg.map(|leg| leg.domain.as_str()).or(identity.map(jid::domain)).unwrap_or_default();
            service += &format!(
                "login = \"guest\"\ndomain = {}\nguest_domain = {}\naccount = {}\npassword_file = \"password\"\n",
                text(domain),
                text(&holder.domain),
                account(identity)
            );
        } else if holder.is_anonymous() {
            service += &format!("login = \"anonymous\"\ndomain = {}\n", text(&holder.domain));
        } else {
            service += &format!(
                "login = \"direct\"\ndomain = {}\naccount = {}\npassword_file = \"password\"\n",
                text(&holder.domain),
                account(holder.jid.as_deref())
            );
        }
        let mechanism =
            self.facts.iter().filter_map(|facts| facts.mechanism.as_deref()).find(|name| *name != "ANONYMOUS");
        if let Some(mechanism) = mechanism {
            service += &format!("mechanisms = [{}]\n", text(mechanism));
        }
        let rooms = if holder.joins.is_empty() { &holder.asked } else { &holder.joins };
        let Some(room) = rooms.first() else {
            return Err("the capture has no join and no conference request".to_owned());
        };
        service += &format!(
            "muc = {}\nafter_kick = \"1s\"\nrooms_per_session = {}\n",
            text(jid::domain(jid::bare(room))),
            rooms.len()
        );
        service += &match &holder.focus {
            Some(focus) => format!("focus = {}\n", text(focus)),
            None => "focus = false\n".to_owned(),
        };
        let head = format!(
            "state_dir = {}\ncontrol_socket = \"/nonexistent\"\n[service.{SERVICE}]\n{service}",
            text(&state.to_string_lossy())
        );
        let mut tables = String::new();
        let mut plain = String::new();
        for room in rooms {
            let table = format!("[[room]]\nservice = \"{SERVICE}\"\nname = {}\n", text(jid::bare(room)));
            plain += &table;
            // With the recorded nick nothing needs to be translated.
            tables += &table;
            if let Some(nick) = jid::resource(room) {
                tables += &format!("nick = {}\n", text(nick));
            }
        }
        // A nick that no configuration takes is one that the server would not have taken, either; ours will do.
        check(head.clone() + &tables, password).or_else(|_| check(head + &plain, password))
    }

    /// What innkeeper kept from before, as a browser keeps it.
    pub(super) fn kept(&self) -> ServiceState {
        let holder = &self.facts[0];
        let mut kept = ServiceState::default();
        kept.machine_uids.extend(holder.machine_uid.clone().map(|uid| (0, uid)));
        kept.session_ids.extend(holder.session_id.clone().map(|id| (0, id)));
        if holder.is_anonymous() {
            kept.last_login = Some(LastLogin { mechanism: Mechanism::Anonymous, key_hash: None });
        }
        kept
    }
}

fn check(text: String, password: &str) -> Result<Config, String> {
    let input = Input {
        files: vec![File { name: "the replayed service".to_owned(), text }],
        env: Vec::new(),
        base: PathBuf::from("/"),
        offline: false,
        secrets: &Given(password),
    };
    config::check(&input).map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("no service can be made of the capture: {}", texts.join("; "))
    })
}

/// Every secret file holds what the replay made up.
struct Given<'a>(&'a str);

impl Files for Given<'_> {
    fn read(&self, path: &Path) -> Result<Content, String> {
        let text = if path.ends_with("token") { TOKEN } else { self.0 };
        Ok(Content { bytes: text.as_bytes().to_vec(), others_may_read: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;

    #[test]
    fn a_capture_does_not_say_where_its_replay_connects() {
        for url in
            ["wsx:@evil.example/x", "wss:@evil.example/x", "wss://evil.example//evil.example/@x", "wsx:9/x", "ws"]
        {
            let text = format!(
                "== websocket {url}\n\
                 > 0.0 <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='evil.example'/>\n\
                 > 1.0 <presence to='r@muc.evil.example/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>\n"
            );
            let dialogue = crate::capture::read(text.as_bytes()).expect("a dialogue");
            let runs = runs(&dialogue);
            let config =
                runs[0].config(1234, Path::new("/nonexistent"), "pw").unwrap_or_else(|why| panic!("{url}: {why}"));
            let service = &config.services[SERVICE];
            let Endpoint::WebSocket(to) = &service.endpoint else { panic!("{url}: {:?}", service.endpoint) };
            assert_eq!((to.host_str(), to.port()), (Some("127.0.0.1"), Some(1234)), "{url}");
        }
    }
}
