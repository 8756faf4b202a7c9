//! A stream from its opening to the first stanza. Pure.
//!
//! The order is fixed: features, STARTTLS where the connection is not protected, SASL, a new stream, then resumption
//! or a bound resource with stream management.
//! Source: RFC 6120 §4.3 "Stream Negotiation", §5 "STARTTLS Negotiation", §6 "SASL Negotiation", §7 "Resource
//! Binding"; RFC 3921 §3; XEP-0198 §3 and §5.

use std::time::Duration;

use super::sasl::{self, Binding, Derive, Offer, Scram};
use super::{Bound, Frame, LastLogin, Management, Plan, Security, stream_error};
use crate::cause::{Cause, Word};
use crate::config::Mechanism;
use crate::hex::hex;
use crate::xml::Element;
use crate::xmpp::stanza::StanzaError;
use crate::xmpp::{element, ns, stanza};

/// Namespace of STARTTLS (RFC 6120 §5.1).
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// Namespace of SASL (RFC 6120 §6.1).
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Namespace of the list of channel bindings (XEP-0440).
const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
/// Namespace of resource binding (RFC 6120 §7.1).
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Namespace of session establishment (RFC 3921 §3), which RFC 6121 made a formality.
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Most stanzas that are kept when they come before the login is finished.
const EARLY: usize = 64;
/// Longest time for which we believe that a server keeps a lost session; a clock cannot hold what some could say.
const KEPT_AT_MOST: Duration = Duration::from_secs(86_400);

/// What drives a [`Negotiation`].
#[derive(Debug)]
pub enum Input {
    /// The server sent this.
    Frame(Frame),
    /// The connection was upgraded to TLS, as [`Output::StartTls`] asked.
    Secured(Security),
    /// The key that [`Output::Derive`] asked for.
    Derived(Vec<u8>),
}

/// What a [`Negotiation`] asks of its driver.
#[derive(Debug)]
pub enum Output {
    /// Open a stream, also when one is open already.
    Open,
    /// Send this. It may hold a password.
    Send(Element),
    /// Upgrade the connection, then give [`Input::Secured`].
    StartTls,
    /// Compute this elsewhere, then give [`Input::Derived`].
    Derive(Derive),
    /// The stream is ready for stanzas. The last output.
    Ready(Box<Bound>),
    /// It can not be. The last output.
    Failed(Cause),
}

/// A login in progress.
#[derive(Debug)]
pub struct Negotiation {
    plan: Plan,
    security: Security,
    needs_starttls: bool,
    state: State,
    login: Option<LastLogin>,
    /// What the server offers after the login.
    session: bool,
    management: bool,
    early: Vec<Element>,
}

#[derive(Debug)]
enum State {
    /// Waiting for the first stream features.
    Features,
    /// `<starttls/>` is out.
    Proceed,
    /// The connection is being upgraded.
    Securing,
    /// `<auth/>` is out.
    Sasl(Mechanism, Option<Box<Scram>>),
    /// The key is being derived.
    Deriving(Mechanism, Box<Scram>),
    /// Logged in, waiting for the features of the new stream.
    LoggedIn,
    /// `<resume/>` is out.
    Resuming { id: String },
    /// The bind request is out.
    Binding,
    /// The session request is out.
    Session { jid: String },
    /// `<enable/>` is out.
    Enabling { jid: String },
    /// Nothing more will come of it.
    Done,
}

impl Negotiation {
    /// Begins; the connection stands and nothing was said on it yet.
    #[must_use]
    pub fn new(plan: Plan, security: Security, needs_starttls: bool, out: &mut Vec<Output>) -> Self {
        out.push(Output::Open);
        Negotiation {
            plan,
            security,
            needs_starttls,
            state: State::Features,
            login: None,
            session: false,
            management: false,
            early: Vec::new(),
        }
    }

    /// What is being waited for, for an error that says so.
    #[must_use]
    pub fn waiting_for(&self) -> &'static str {
        match self.state {
            State::Features => "the stream features",
            State::Proceed => "the answer to STARTTLS",
            State::Securing => "the TLS handshake",
            State::Sasl(..) => "the answer to the login",
            State::Deriving(..) => "the key derivation",
            State::LoggedIn => "the stream features after the login",
            State::Resuming { .. } => "the answer to the resumption",
            State::Binding => "the answer to the resource binding",
            State::Session { .. } => "the answer to the session request",
            State::Enabling { .. } => "the answer to the request for stream management",
            State::Done => "nothing",
        }
    }

    /// Advances by one input.
    pub fn handle(&mut self, input: Input, out: &mut Vec<Output>) {
        if matches!(self.state, State::Done) {
            return;
        }
        if let Err(cause) = self.advance(input, out) {
            self.state = State::Done;
            out.push(Output::Failed(cause));
        }
    }

    fn advance(&mut self, input: Input, out: &mut Vec<Output>) -> Result<(), Cause> {
        match input {
            Input::Frame(Frame::Open) => Ok(()),
            Input::Frame(Frame::Close) => Err(Cause::new(
                Word::Disconnected,
                format!("the server closed the stream while we waited for {}", self.waiting_for()),
            )),
            Input::Frame(Frame::Bad(bad)) => Err(Cause::new(
                Word::ProtocolError,
                format!("<{}> came during the login and is {}", bad.head.name, bad.why),
            )),
            Input::Frame(Frame::Element(element)) => self.element(element, out),
            Input::Secured(security) => {
                self.security = security;
                self.needs_starttls = false;
                self.state = State::Features;
                out.push(Output::Open);
                Ok(())
            }
            Input::Derived(key) => {
                let State::Deriving(mechanism, scram) = &mut self.state else { return Ok(()) };
                let text = scram.derived(&key)?;
                let mechanism = *mechanism;
                out.push(Output::Send(element("response", SASL).text(&text).into()));
                if let State::Deriving(_, scram) = std::mem::replace(&mut self.state, State::Done) {
                    self.state = State::Sasl(mechanism, Some(scram));
                }
                Ok(())
            }
        }
    }

    fn element(&mut self, element: Element, out: &mut Vec<Output>) -> Result<(), Cause> {
        if element.is("error", ns::STREAM) {
            let cause = stream_error(&element);
            return Err(match cause.word {
                Word::WrongDomain => Cause::new(
                    cause.word,
                    format!(
                        "{} is no domain of this server, check the service's domains: {}",
                        self.plan.domain, cause.text
                    ),
                ),
                _ => cause,
            });
        }
        if element.is("features", ns::STREAM) {
            return self.features(&element, out);
        }
        match &mut self.state {
            State::Proceed if element.is("proceed", TLS) => {
                self.state = State::Securing;
                out.push(Output::StartTls);
                Ok(())
            }
            State::Proceed if element.is("failure", TLS) => {
                Err(Cause::new(Word::TlsFailed, "the server offers STARTTLS and then refuses it"))
            }
            State::Sasl(..) if element.has_ns(SASL) => self.sasl(&element, out),
            State::Resuming { id } if element.is("resumed", ns::SM) => {
                let Some(handled) = element.attr("h").and_then(|h| h.trim().parse().ok()) else {
                    return Err(Cause::new(Word::ProtocolError, "the server resumed the session without a count"));
                };
                let id = std::mem::take(id);
                self.ready(String::new(), Some(Management { id: Some(id), max: None }), Some(handled), out);
                Ok(())
            }
            // With or without a count: the session is gone (XEP-0198 §5).
            State::Resuming { .. } if element.is("failed", ns::SM) => {
                self.bind(out);
                Ok(())
            }
            State::Binding if is_answer(&element, "bind") => {
                let jid =
                    element.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)).map(Element::text);
                match jid.filter(|jid| !jid.is_empty() && element.attr("type") == Some("result")) {
                    Some(jid) => {
                        self.after_bind(jid, out);
                        Ok(())
                    }
                    None => Err(refused("bind a resource", &element)),
                }
            }
            State::Session { jid } if is_answer(&element, "session") => {
                if element.attr("type") != Some("result") {
                    return Err(refused("start the session", &element));
                }
                let jid = std::mem::take(jid);
                self.after_session(jid, out);
                Ok(())
            }
            State::Enabling { jid } if element.has_ns(ns::SM) && matches!(element.name(), "enabled" | "failed") => {
                let jid = std::mem::take(jid);
                let management = (element.name() == "enabled").then(|| Management {
                    id: element
                        .attr("id")
                        .filter(|id| !id.is_empty() && matches!(element.attr("resume"), Some("true" | "1")))
                        .map(str::to_owned),
                    max: element
                        .attr("max")
                        .and_then(|max| max.trim().parse().ok())
                        .map(|max| Duration::from_secs(max).min(KEPT_AT_MOST)),
                });
                self.ready(jid, management, None, out);
                Ok(())
            }
            State::Session { .. } | State::Enabling { .. } if stanza::kind(&element).is_some() => {
                if self.early.len() < EARLY {
                    self.early.push(element);
                }
                Ok(())
            }
            // Read leniently: what is neither awaited nor an error is none of our business.
            _ => Ok(()),
        }
    }

    fn features(&mut self, features: &Element, out: &mut Vec<Output>) -> Result<(), Cause> {
        match self.state {
            State::Features => {
                let offer = offer(features);
                let chosen = sasl::choose(&offer, &self.plan, &self.security);
                if self.needs_starttls {
                    let starttls = features.get_child("starttls", TLS);
                    // Nobody taps loopback: there it is used only where the server insists, so that a certificate
                    // for no name at all does not lock a keeper out of the server beside it.
                    let needed = !self.security.loopback
                        || chosen.is_err()
                        || starttls.is_some_and(|starttls| starttls.has_child("required", TLS));
                    if starttls.is_some() && needed {
                        self.state = State::Proceed;
                        out.push(Output::Send(element("starttls", TLS).into()));
                        return Ok(());
                    }
                    if !self.security.loopback {
                        return Err(Cause::new(
                            Word::TlsNotOffered,
                            "the server offers no STARTTLS, and nothing is sent in the clear over a network",
                        ));
                    }
                }
                let (mechanism, binding) = chosen?;
                self.auth(mechanism, binding, out);
                Ok(())
            }
            State::LoggedIn => {
                self.management = features.has_child("sm", ns::SM);
                self.session = features
                    .get_child("session", SESSION)
                    .is_some_and(|session| !session.has_child("optional", SESSION));
                match self.plan.resume.take().filter(|_| self.management) {
                    Some(resume) => {
                        let request =
                            element("resume", ns::SM).attr("previd", &resume.id).attr("h", &resume.handled.to_string());
                        out.push(Output::Send(request.into()));
                        self.state = State::Resuming { id: resume.id };
                    }
                    None => self.bind(out),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn auth(&mut self, mechanism: Mechanism, binding: Binding, out: &mut Vec<Output>) {
        let auth = element("auth", SASL).attr("mechanism", mechanism.name());
        let (auth, scram) = match (&self.plan.account, mechanism.hash()) {
            (Some((account, password)), Some(hash)) => {
                let scram = Scram::new(hash, binding, account, password, &self.plan.client_nonce);
                (auth.text(&scram.initial()), Some(Box::new(scram)))
            }
            (Some((account, password)), None) => (auth.text(sasl::plain(account, password).expose()), None),
            // ANONYMOUS: no trace information (RFC 4505 §2).
            (None, _) => (auth, None),
        };
        out.push(Output::Send(auth.into()));
        self.state = State::Sasl(mechanism, scram);
    }

    fn sasl(&mut self, answer: &Element, out: &mut Vec<Output>) -> Result<(), Cause> {
        let State::Sasl(mechanism, mut scram) = std::mem::replace(&mut self.state, State::Done) else {
            return Ok(());
        };
        match (answer.name(), &mut scram) {
            ("challenge", Some(exchange)) => {
                let text = answer.text();
                // Some servers send their final message as one more challenge (RFC 6120 §6.4.3 allows it).
                if exchange.is_final() {
                    exchange.verify(&text)?;
                    out.push(Output::Send(element("response", SASL).into()));
                    self.state = State::Sasl(mechanism, scram);
                } else if let Some(exchange) = scram {
                    let mut exchange = exchange;
                    out.push(Output::Derive(exchange.challenge(&text)?));
                    self.state = State::Deriving(mechanism, exchange);
                }
                Ok(())
            }
            // Only mechanisms without a first message of ours are asked for one; ours say everything at once.
            ("challenge", None) => {
                out.push(Output::Send(element("response", SASL).into()));
                self.state = State::Sasl(mechanism, None);
                Ok(())
            }
            ("success", _) => {
                if let Some(exchange) = &mut scram {
                    exchange.verify(&answer.text())?;
                }
                self.login = Some(LastLogin { mechanism, key_hash: self.security.key_hash.map(|hash| hex(&hash)) });
                self.state = State::LoggedIn;
                out.push(Output::Open);
                Ok(())
            }
            ("failure", _) => Err(self.login_failure(answer, mechanism)),
            _ => {
                self.state = State::Sasl(mechanism, scram);
                Ok(())
            }
        }
    }

    /// Source: RFC 6120 §6.5 "SASL Errors".
    fn login_failure(&self, failure: &Element, mechanism: Mechanism) -> Cause {
        let condition = failure.children().find(|child| child.has_ns(SASL) && child.name() != "text");
        let condition = condition.map_or("no reason", Element::name);
        let said = quoted(failure.get_child("text", SASL));
        if let (Some(token), "not-allowed" | "not-authorized") = (&self.plan.token, condition) {
            let text = failure.get_child("text", SASL).map(Element::text).unwrap_or_default();
            let advice = crate::token::explain(text.trim(), token.life);
            let text = format!("the server refuses our token on {}{said}: {advice}", self.plan.domain);
            return Cause::new(Word::TokenRefused, text);
        }
        let who = match &self.plan.account {
            Some((account, _)) => format!("{account}@{}", self.plan.domain),
            None => format!("an anonymous login on {}", self.plan.domain),
        };
        let (word, what) = match condition {
            "not-authorized" | "credentials-expired" | "not-allowed" if self.plan.account.is_some() => {
                (Word::BadCredentials, "refuses the name or password of")
            }
            "account-disabled" => (Word::AccountDisabled, "has disabled"),
            "temporary-auth-failure" => (Word::TemporaryAuthFailure, "can not check for the moment"),
            "invalid-mechanism" | "mechanism-too-weak" => (Word::NoCommonMechanism, "refuses the login mechanism for"),
            "encryption-required" => (Word::TlsNotOffered, "wants TLS for"),
            "aborted" | "incorrect-encoding" | "invalid-authzid" | "malformed-request" => {
                (Word::ProtocolError, "does not understand the login of")
            }
            _ => (Word::BadCredentials, "refuses"),
        };
        let advice = match (&self.plan.account, &self.plan.token, word) {
            (None, None, Word::BadCredentials) => "; it may want a token (login = \"token\") or an account".to_owned(),
            // what Prosody 13 says when somebody between us and it ends our TLS and begins another
            (Some(_), _, Word::ProtocolError) if mechanism.is_plus() && condition == "malformed-request" => format!(
                "; if a proxy before the server ends TLS, no login can be bound to it (-PLUS): name {} in `mechanisms`",
                mechanism.name().trim_end_matches("-PLUS")
            ),
            _ => String::new(),
        };
        Cause::new(word, format!("the server {what} {who} ({condition}, {}){said}{advice}", mechanism.name()))
    }

    fn bind(&mut self, out: &mut Vec<Output>) {
        let resource = element("resource", BIND).text(&self.plan.resource);
        out.push(Output::Send(stanza::iq("set", None, "bind").child(element("bind", BIND).child(resource)).into()));
        self.state = State::Binding;
    }

    fn after_bind(&mut self, jid: String, out: &mut Vec<Output>) {
        if self.session {
            out.push(Output::Send(stanza::iq("set", None, "session").child(element("session", SESSION)).into()));
            self.state = State::Session { jid };
        } else {
            self.after_session(jid, out);
        }
    }

    fn after_session(&mut self, jid: String, out: &mut Vec<Output>) {
        if self.management {
            out.push(Output::Send(element("enable", ns::SM).attr("resume", "true").into()));
            self.state = State::Enabling { jid };
        } else {
            self.ready(jid, None, None, out);
        }
    }

    fn ready(&mut self, jid: String, management: Option<Management>, resumed: Option<u32>, out: &mut Vec<Output>) {
        self.state = State::Done;
        // `login` was set before any state that leads here.
        let Some(login) = self.login.take() else { return };
        let early = std::mem::take(&mut self.early);
        out.push(Output::Ready(Box::new(Bound { jid, login, management, resumed, early })));
    }
}

fn offer(features: &Element) -> Offer {
    let texts = |parent: &Element, child: &str, namespace: &str| -> Vec<String> {
        parent.children().filter(|c| c.is(child, namespace)).map(|c| c.text().trim().to_owned()).collect()
    };
    Offer {
        mechanisms: features
            .get_child("mechanisms", SASL)
            .map(|mechanisms| texts(mechanisms, "mechanism", SASL))
            .unwrap_or_default(),
        bindings: features
            .get_child("sasl-channel-binding", SASL_CB)
            .map(|list| list.children().filter_map(|binding| binding.attr("type")).map(str::to_owned).collect()),
    }
}

fn is_answer(element: &Element, id: &str) -> bool {
    element.is("iq", ns::CLIENT)
        && element.attr("id") == Some(id)
        && matches!(element.attr("type"), Some("result" | "error"))
}

fn refused(what: &str, answer: &Element) -> Cause {
    let error = StanzaError::of(answer);
    Cause::new(Word::BindRefused, format!("the server refused to {what}: {}", error.describe()))
}

/// What a server says in words, to be put behind ours.
pub(super) fn quoted(text: Option<&Element>) -> String {
    match text.map(|text| text.text().trim().to_owned()).filter(|text| !text.is_empty()) {
        Some(text) => format!(": \"{text}\""),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::stream::Resume;
    use crate::xml::{self, Limits};

    const SCRAM: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                         <mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>";
    const ONLY_STARTTLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
                                 </stream:features>";
    const BIND_ONLY: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
    const BIND_SM: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/>\
                           <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>";
    const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                         <jid>user@meet.jitsi/r</jid></bind></iq>";
    /// The server's half of RFC 5802 §5.
    const CHALLENGE: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    const SUCCESS: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

    fn plan() -> Plan {
        Plan {
            domain: "meet.jitsi".into(),
            account: Some(("user".into(), Secret::new("pencil"))),
            token: None,
            mechanisms: None,
            last: None,
            resource: "r".into(),
            resume: None,
            client_nonce: "fyko+d2lbbFgONRv9qkxdawL".into(),
        }
    }

    fn loopback() -> Security {
        Security { loopback: true, ..Security::default() }
    }

    fn sasl(name: &str, text: &str) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        format!("<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{text}</{name}>")
    }

    /// A negotiation and what it said, in words.
    struct Talk {
        negotiation: Negotiation,
        said: Vec<String>,
        bound: Option<Bound>,
        failed: Option<Cause>,
    }

    impl Talk {
        fn new(plan: Plan, security: Security, needs_starttls: bool) -> Self {
            let mut out = Vec::new();
            let negotiation = Negotiation::new(plan, security, needs_starttls, &mut out);
            let mut talk = Talk { negotiation, said: Vec::new(), bound: None, failed: None };
            talk.note(out);
            talk
        }

        fn note(&mut self, out: Vec<Output>) {
            for output in out {
                match output {
                    Output::Open => self.said.push("open".into()),
                    Output::StartTls => self.said.push("upgrade".into()),
                    Output::Send(element) => self.said.push(xml::to_string(&element, Some(ns::CLIENT))),
                    Output::Derive(derive) => self.input(Input::Derived(derive.run())),
                    Output::Ready(bound) => self.bound = Some(*bound),
                    Output::Failed(cause) => self.failed = Some(cause),
                }
            }
        }

        fn input(&mut self, input: Input) {
            let mut out = Vec::new();
            self.negotiation.handle(input, &mut out);
            self.note(out);
        }

        fn hears(&mut self, text: &str) -> &mut Self {
            let element = xml::parse(text.as_bytes(), &Limits::default()).unwrap();
            self.input(Input::Frame(Frame::Element(element)));
            self
        }

        fn logs_in(&mut self) -> &mut Self {
            self.hears(SCRAM).hears(&sasl("challenge", CHALLENGE)).hears(&sasl("success", SUCCESS))
        }

        fn last(&self) -> &str {
            self.said.last().map_or("", String::as_str)
        }

        fn word(&self) -> Word {
            self.failed.as_ref().expect("it did not fail").word
        }
    }

    #[test]
    fn a_login_binds_and_enables_stream_management() {
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.logs_in().hears(BIND_SM).hears(BOUND);
        assert_eq!(talk.last(), "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        talk.hears("<iq type='get' id='1' from='meet.jitsi'/>");
        talk.hears("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true' max='60'/>");
        let bound = talk.bound.unwrap();
        assert_eq!(bound.jid, "user@meet.jitsi/r");
        assert_eq!(bound.management, Some(Management { id: Some("x".into()), max: Some(Duration::from_secs(60)) }));
        assert_eq!(bound.login, LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None });
        assert_eq!(bound.early.len(), 1);
        assert_eq!(talk.said.iter().filter(|said| *said == "open").count(), 2);
    }

    #[test]
    fn a_server_that_would_keep_a_session_for_ever_is_believed_for_a_day() {
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.hears(SCRAM).hears(&sasl("challenge", CHALLENGE)).hears(&sasl("success", SUCCESS)).hears(BIND_SM);
        talk.hears(BOUND).hears("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true' max='18446744073709551615'/>");
        let management = talk.bound.and_then(|bound| bound.management);
        assert_eq!(management.and_then(|management| management.max), Some(KEPT_AT_MOST));
    }

    #[test]
    fn without_stream_management_the_bound_stream_is_ready() {
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.logs_in().hears(BIND_ONLY).hears(BOUND);
        assert_eq!(talk.bound.unwrap().management, None);
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.logs_in().hears(BIND_SM).hears(BOUND).hears("<failed xmlns='urn:xmpp:sm:3'/>");
        assert_eq!(talk.bound.unwrap().management, None);
    }

    #[test]
    fn a_session_is_started_where_it_is_not_optional() {
        let features = BIND_ONLY.replace("</stream", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></stream");
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.logs_in().hears(&features).hears(BOUND);
        assert!(talk.last().contains("id='session'"), "{}", talk.last());
        talk.hears("<iq type='result' id='session'/>");
        assert_eq!(talk.bound.unwrap().jid, "user@meet.jitsi/r");
    }

    #[test]
    fn a_session_is_resumed_or_else_begun_anew() {
        let resume = || {
            let resume = Some(Resume { id: "old'<id>".into(), handled: 7 });
            let mut talk = Talk::new(Plan { resume, ..plan() }, loopback(), true);
            talk.logs_in().hears(BIND_SM);
            assert_eq!(talk.last(), "<resume xmlns='urn:xmpp:sm:3' h='7' previd='old&apos;&lt;id&gt;'/>");
            talk
        };
        let mut talk = resume();
        talk.hears("<resumed xmlns='urn:xmpp:sm:3' previd='x' h='5'/>");
        let bound = talk.bound.unwrap();
        assert_eq!((bound.resumed, bound.management.unwrap().id.as_deref()), (Some(5), Some("old'<id>")));
        for failed in [
            "<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found xmlns='e'/></failed>",
            "<failed xmlns='urn:xmpp:sm:3'/>",
        ] {
            let mut talk = resume();
            talk.hears(failed);
            assert!(talk.last().contains("id='bind'"));
            talk.hears(BOUND).hears("<enabled xmlns='urn:xmpp:sm:3'/>");
            let bound = talk.bound.unwrap();
            assert_eq!((bound.resumed, bound.management), (None, Some(Management { id: None, max: None })));
        }
    }

    #[test]
    fn starttls_comes_first_and_is_required_over_a_network() {
        let mut talk = Talk::new(plan(), Security::default(), true);
        talk.hears(ONLY_STARTTLS).hears("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        assert_eq!(talk.said, ["open", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "upgrade"]);
        talk.input(Input::Secured(Security { tls: true, ..Security::default() }));
        talk.logs_in().hears(BIND_ONLY).hears(BOUND);
        assert!(talk.bound.is_some());

        let mut talk = Talk::new(plan(), Security::default(), true);
        talk.hears(SCRAM);
        assert_eq!(talk.word(), Word::TlsNotOffered);
        let mut talk = Talk::new(plan(), Security::default(), true);
        talk.hears(ONLY_STARTTLS).hears("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        assert_eq!(talk.word(), Word::TlsFailed);
    }

    #[test]
    fn on_loopback_tls_is_used_where_the_server_insists_or_offers_no_login_without_it() {
        for (offered, upgraded) in [("<required/>", true), ("", false)] {
            let offer =
                format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>{offered}</starttls></stream:features>");
            let mut talk = Talk::new(plan(), loopback(), true);
            talk.hears(&SCRAM.replace("</stream:features>", &offer));
            assert_eq!(talk.last().starts_with("<starttls"), upgraded);
        }
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.hears(&ONLY_STARTTLS.replace("<required/>", ""));
        assert!(talk.last().starts_with("<starttls"));
    }

    #[test]
    fn a_success_without_the_servers_proof_is_refused_wherever_the_proof_may_stand() {
        let begun = || {
            let mut talk = Talk::new(plan(), loopback(), true);
            talk.hears(SCRAM).hears(&sasl("challenge", CHALLENGE));
            talk
        };
        for bad in [sasl("success", ""), sasl("success", "v=AAAA"), sasl("challenge", "v=AAAA")] {
            let mut talk = begun();
            talk.hears(&bad);
            assert_eq!(talk.word(), Word::ServerNotAuthentic);
        }
        let mut talk = begun();
        talk.hears(&sasl("challenge", SUCCESS)).hears(&sasl("success", "")).hears(BIND_ONLY).hears(BOUND);
        assert!(talk.bound.is_some());
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.hears(SCRAM).hears(&sasl("success", SUCCESS));
        assert_eq!(talk.word(), Word::ServerNotAuthentic);
    }

    #[test]
    fn each_login_failure_has_its_word_and_names_the_account_and_no_secret() {
        for (condition, word) in [
            ("not-authorized", Word::BadCredentials),
            ("credentials-expired", Word::BadCredentials),
            ("account-disabled", Word::AccountDisabled),
            ("temporary-auth-failure", Word::TemporaryAuthFailure),
            ("mechanism-too-weak", Word::NoCommonMechanism),
            ("encryption-required", Word::TlsNotOffered),
            ("malformed-request", Word::ProtocolError),
            ("something-new", Word::BadCredentials),
        ] {
            let mut talk = Talk::new(plan(), loopback(), true);
            talk.hears(SCRAM).hears(&format!(
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><text>so sorry</text><{condition}/></failure>"
            ));
            let cause = talk.failed.unwrap();
            assert_eq!(cause.word, word, "{condition}");
            for part in ["user@meet.jitsi", condition, "so sorry"] {
                assert!(cause.text.contains(part), "{cause}");
            }
            assert!(!cause.text.contains("pencil"));
        }
    }

    #[test]
    fn a_login_that_cannot_be_bound_names_the_mechanism_that_can_do_without() {
        // Prosody 13.0.1 behind a proxy that ends TLS and begins it again, as recorded
        const FEATURES: &str = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
            <authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1</mechanism>\
            <mechanism>SCRAM-SHA-1-PLUS</mechanism><inline><bind xmlns='urn:xmpp:bind:0'/></inline></authentication>\
            <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism>\
            <mechanism>SCRAM-SHA-1-PLUS</mechanism></mechanisms>\
            <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>\
            <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>840</idle-seconds></limits>\
            </stream:features>";
        const FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><malformed-request/>\
            <text>Invalid channel binding value.</text></failure>";
        let bound = Security { tls: true, exporter: Some([7; 32]), ..Security::default() };
        let mut talk = Talk::new(plan(), bound.clone(), false);
        talk.hears(FEATURES);
        assert!(talk.last().contains("mechanism='SCRAM-SHA-1-PLUS'"), "{}", talk.last());
        talk.hears(FAILURE);
        let cause = talk.failed.unwrap();
        assert_eq!(cause.word, Word::ProtocolError);
        assert!(cause.text.ends_with("name SCRAM-SHA-1 in `mechanisms`"), "{cause}");

        let agreed = Plan { mechanisms: Some(vec![Mechanism::ScramSha1]), ..plan() };
        let mut talk = Talk::new(agreed, bound, false);
        talk.hears(FEATURES);
        assert!(talk.last().contains("mechanism='SCRAM-SHA-1'"), "{}", talk.last());
        talk.hears(FAILURE);
        assert!(!talk.failed.unwrap().text.contains("mechanisms"), "there was nothing to bind");
    }

    #[test]
    fn each_stream_error_has_its_word() {
        for (condition, word) in [
            ("conflict", Word::Conflict),
            ("host-unknown", Word::WrongDomain),
            ("policy-violation", Word::PolicyViolation),
            ("system-shutdown", Word::SystemShutdown),
            ("something-new", Word::StreamError),
        ] {
            let mut talk = Talk::new(plan(), loopback(), true);
            talk.hears(&format!(
                "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                 <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>This server does not serve X</text></stream:error>"
            ));
            let cause = talk.failed.unwrap();
            assert_eq!(cause.word, word);
            assert!(cause.text.contains(condition) && cause.text.contains("does not serve X"), "{cause}");
        }
    }

    #[test]
    fn a_refused_bind_and_a_closed_stream_say_what_was_waited_for() {
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.logs_in().hears(BIND_ONLY).hears("<iq type='error' id='bind'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
        assert_eq!(talk.word(), Word::BindRefused);
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.input(Input::Frame(Frame::Close));
        let cause = talk.failed.unwrap();
        assert!(cause.text.contains("stream features"), "{cause}");
    }

    #[test]
    fn surprises_during_a_login_are_passed_over() {
        let mut talk = Talk::new(plan(), loopback(), true);
        talk.hears("<message/>").hears("<r xmlns='urn:xmpp:sm:3'/>").hears("<nonsense xmlns='x'/>");
        talk.hears(SCRAM).hears(SCRAM).hears(BOUND).hears("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        talk.hears(&sasl("challenge", CHALLENGE))
            .hears("<iq type='result' id='bind'/>")
            .hears(&sasl("success", SUCCESS));
        talk.hears(BIND_ONLY).hears(BOUND).hears(BOUND);
        assert!(talk.bound.is_some());
    }
}
