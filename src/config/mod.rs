//! What the admin wrote, checked. Pure: [`crate::app`] reads the files and hands in their text.
//!
//! The text goes through two rooms: `raw` keeps every key and value with its place, from the files and from
//! the environment; `check` makes typed values of them. Every problem is kept, none ends the reading, so that an admin
//! sees all of them at once. A secret is never part of a [`Problem`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::policy::Policies;
use crate::room::Moderated;
use crate::token::{Claims, Key};

pub use authority::{Asked, Authority, Gate};
pub use avchat::AvChat;
pub use check::check;
pub use http::{Http, HttpToken};
pub use line::{Dial, Line, Place};
pub use listen::Listen;
pub use problem::{Problem, nearest};
pub use raw::known_keys;
pub use reservations::{Network, Reservations};
pub use rtbl::BlockList;
pub use rulebook::{Rulebook, rulebook};
pub use webhook::{Dialect, OnUnknown, Webhook};

mod authority;
mod avchat;
mod check;
mod endpoint;
mod http;
mod line;
mod listen;
mod login;
mod moderated;
mod policy;
mod problem;
mod raw;
mod reservations;
mod rtbl;
mod rulebook;
mod token;
mod value;
mod webhook;

/// One configuration file.
#[derive(Debug, Clone)]
pub struct File {
    /// How problems name it: `innkeeper.toml`, `rooms.d/tavern.toml`.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// All that a configuration is made of.
pub struct Input<'a> {
    /// The main file, then the drop-ins in name order; a later file's keys win over an earlier one's.
    pub files: Vec<File>,
    /// The environment; only `INNKEEPER__…` and systemd's directories are looked at.
    pub env: Vec<(String, String)>,
    /// The folder of the main file; relative paths start there.
    pub base: PathBuf,
    /// Whether a credential may be missing because systemd did not start this process (`innkeeper check`).
    pub offline: bool,
    /// Answers what secret files hold.
    pub secrets: &'a dyn Files,
}

/// Reads the files that a configuration points to.
pub trait Files {
    /// What is in the file; the error is a few words for the admin.
    ///
    /// # Errors
    /// The file is missing, unreadable or far too large for a secret or a certificate list.
    fn read(&self, path: &Path) -> Result<Content, String>;
}

/// What a secret file holds.
pub struct Content {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether its mode lets everybody on the machine read it.
    pub others_may_read: bool,
}

/// The token in a file that is read for each connection; a line end behind it does not belong to it.
///
/// # Errors
/// What is wrong with the file, in a few words that quote nothing of it.
pub fn token(content: Content) -> Result<Secret, String> {
    value::secret(content, value::TOKEN_BYTES).map(|(token, _)| Secret::new(token))
}

/// A checked configuration: every value is valid, every reference leads somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Rooms by service and name, each once.
    pub rooms: BTreeMap<RoomKey, Arc<Room>>,
    /// Which rules hold in which rooms.
    pub policies: Policies,
    /// Whose block lists are followed.
    pub rtbl: Vec<BlockList>,
    /// Where the control socket lies.
    pub control_socket: PathBuf,
    /// Where state is kept over a restart.
    pub state_dir: PathBuf,
    /// How long events are kept.
    pub keep_events: Duration,
    /// How large their file may become, bytes.
    pub keep_events_size: u64,
    /// What a room gets that says nothing else, one held by command included.
    pub defaults: Defaults,
    /// The HTTP interface; `None`: off.
    pub http: Option<Http>,
    /// Who speaks the line protocol, by the order of the files.
    pub lines: Vec<Line>,
    /// Who decides about people in rooms, by the order of the files.
    pub authorities: Vec<Authority>,
    /// Which games ask for tokens as SkotOS does, by the order of the files.
    pub avchats: Vec<AvChat>,
    /// Where Jitsi's reservation requests are answered, by the order of the files.
    pub reservations: Vec<Reservations>,
    /// Who is told what happens, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Things worth saying that are no error, such as a stripped newline.
    pub warnings: Vec<String>,
}

impl Config {
    /// What is wanted of a room beyond holding it, where `written` is what its own section or the defaults say: an
    /// authority that is asked at the lobby needs one.
    #[must_use]
    pub fn moderated(&self, room: &RoomKey, written: Option<Arc<Moderated>>) -> Option<Arc<Moderated>> {
        let at_lobby =
            |authority: &Authority| authority.gate == Gate::Lobby && authority.rules(&room.service, &room.name);
        if !self.authorities.iter().any(at_lobby) {
            return written;
        }
        let mut moderated = written.map(Arc::unwrap_or_clone).unwrap_or_default();
        moderated.locked.lobby = Some(true);
        Some(Arc::new(moderated))
    }
}

/// `[defaults]`: for every room; a room overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Our nick inside.
    pub nick: Arc<str>,
    /// Our display name inside.
    pub display_name: Arc<str>,
    /// The rooms' password.
    pub password: Option<Secret>,
    /// What is wanted of rooms beyond holding them.
    moderated: moderated::Written,
}

/// A room as people name it: its local part and, from a full JID, its domain, both as they are compared.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub fn room_name(text: &str) -> Result<(String, Option<String>), String> {
    value::room(text)
}

impl RoomKey {
    /// Names a room. `name` is lower-cased here.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>, name: &str) -> Self {
        RoomKey { service: service.into(), name: name.to_lowercase().into() }
    }
}

/// As it is written on every surface: `meet/tavern`.
impl std::fmt::Display for RoomKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

/// Which room: the service's name and the room's name (local part, lower case).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// The service's name in the configuration.
    pub service: Arc<str>,
    /// The local part of the room's JID, lower case.
    pub name: Arc<str>,
}

/// How a service is reached. Shows itself without a query, which may carry a token.
#[derive(Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `ws:` or `wss:` (RFC 7395); the URL with its path and query as written.
    WebSocket(url::Url),
    /// `xmpps:`, direct TLS (XEP-0368). Without a host: SRV `_xmpps-client._tcp`.
    DirectTls(Option<HostPort>),
    /// `xmpp:`, STARTTLS. Without a host: SRV `_xmpp-client._tcp`.
    StartTls(Option<HostPort>),
    /// No URL given: both SRV records, by priority (XEP-0368 §3).
    Srv,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port; the scheme's default is filled in.
    pub port: u16,
}

/// How the account gets in.
#[derive(Debug, Clone, PartialEq)]
pub enum Login {
    /// The account logs in on `domain`.
    Direct {
        /// Local part of the account.
        account: String,
        /// Its password.
        password: Secret,
    },
    /// Anonymous on a domain of its own, as a browser is, and made moderator by a session-id that the account fetches
    /// from the focus in a short login on `domain`.
    Guest {
        /// Where the sessions that hold rooms log in: `guest.meet.jitsi`.
        domain: String,
        /// Local part of the account on the service's `domain`.
        account: String,
        /// Its password.
        password: Secret,
        /// The account that holds the rooms on the guest domain; `None`: SASL ANONYMOUS.
        guest: Option<(String, Secret)>,
    },
    /// Anonymous, with a token in the WebSocket's URL. What comes of it lives for a minute at the focus and is never kept.
    Token(Box<Token>),
    /// SASL ANONYMOUS (RFC 4505).
    Anonymous,
}

/// Where tokens come from; there is a fresh one for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Somebody else puts one into this file, which is read for each connection.
    File {
        /// The file.
        path: PathBuf,
        /// Whether it was for one room alone when it was read with the configuration.
        one_room: bool,
    },
    /// We make them.
    Minted {
        /// What they are signed with.
        key: Key,
        /// What they claim; the room is set where each is for one room alone.
        claims: Box<Claims>,
        /// Whether each is for the one room of its connection.
        one_room: bool,
    },
}

pub use secret::Secret;
mod secret;

/// A login mechanism that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Mechanism {
    /// RFC 4505.
    #[serde(rename = "ANONYMOUS")]
    Anonymous,
    /// RFC 4616.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 5802.
    #[serde(rename = "SCRAM-SHA-1")]
    ScramSha1,
    /// RFC 5802 with channel binding.
    #[serde(rename = "SCRAM-SHA-1-PLUS")]
    ScramSha1Plus,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 7677 with channel binding.
    #[serde(rename = "SCRAM-SHA-256-PLUS")]
    ScramSha256Plus,
}

/// How fast joins and questions go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaceKind {
    /// As fast as the server answers.
    Adaptive,
    /// 2 joins and 10 IQs a second and session, what PROSODY_ENABLE_RATE_LIMITS allows.
    RateLimited,
}

/// What to do with the focus's media invitation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Media {
    /// Acknowledge and leave it pending.
    #[default]
    Pending,
    /// Answer `feature-not-implemented`; mutes through the focus then do not work.
    Refuse,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name in the configuration.
    pub name: String,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// The XMPP domain the account lives on.
    pub domain: String,
    /// The group chat service's domain; found when absent.
    pub muc: Option<String>,
    /// The conference focus's address; `None`: plain XMPP rooms.
    pub focus: Option<String>,
    /// How the account gets in.
    pub login: Login,
    /// Mechanisms the admin agreed to; `None`: any but PLAIN. Naming one that is weaker than the last used is
    /// the admin's agreement to it.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Further trust roots, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// DNS server for SRV look-ups; the system's when absent.
    pub nameserver: Option<std::net::SocketAddr>,
    /// How many rooms share a session.
    pub rooms_per_session: usize,
    /// Most joins in a second, over all sessions.
    pub joins_per_second: u32,
    /// How joins are paced.
    pub pace: PaceKind,
    /// Between two self-pings of one room (XEP-0410).
    pub self_ping: Duration,
    /// How long to stay out after a person's kick, at first.
    pub after_kick: Duration,
    /// What to do with media invitations.
    pub media: Media,
    /// Largest stanza that is read, bytes.
    pub stanza_bytes: usize,
    /// A folder in which what goes over its connections is recorded, redacted.
    pub record: Option<PathBuf>,
    /// Whether recordings keep what people say and are called.
    pub record_content: bool,
}

impl Service {
    /// The domain that the sessions which hold rooms log in on.
    #[must_use]
    pub fn stream_domain(&self) -> &str {
        match &self.login {
            Login::Guest { domain, .. } => domain,
            _ => &self.domain,
        }
    }
}

/// One wanted room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Which.
    pub key: RoomKey,
    /// The room's own domain, when it was given as a full JID of another domain than the service's.
    pub muc: Option<String>,
    /// Our nick inside.
    pub nick: Arc<str>,
    /// Our display name inside.
    pub display_name: Arc<str>,
    /// The room's password, where it has one.
    pub password: Option<Secret>,
    /// What is wanted beyond holding it, if anything is.
    pub moderated: Option<Arc<Moderated>>,
    /// Where it was written: `rooms.d/tavern.toml:1`.
    pub origin: Box<str>,
}
