//! A real Prosody as a child process: own configuration, own data, free loopback ports.
//!
//! Laid out as docker-jitsi-meet does it (jitsi-protocol.md §1.1-1.3), on Debian's Prosody. What stock Prosody lacks
//! comes from `tests/prosody/modules`, and can be left out.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::process::{kill, tail, terminate, wait_for};

/// The account that innkeeper uses in tests, on [`DOMAIN`].
pub const ACCOUNT: &str = "skotosadmin";
/// Its password.
pub const PASSWORD: &str = "correct horse battery staple";
/// The main domain.
pub const DOMAIN: &str = "meet.jitsi";
/// The anonymous domain.
pub const GUESTS: &str = "guest.meet.jitsi";
/// The domain of the focus's account.
pub const AUTH: &str = "auth.meet.jitsi";
/// The domain whose accounts web clients do not show.
pub const HIDDEN: &str = "hidden.meet.jitsi";
/// Where only the focus may open rooms.
pub const MUC: &str = "muc.meet.jitsi";
/// Where anyone may open rooms, for `focus = false`.
pub const ROOMS: &str = "rooms.meet.jitsi";
/// Where who waits at a room's lobby is.
pub const LOBBY: &str = "lobby.meet.jitsi";
/// The component that ends conferences.
pub const END_CONFERENCE: &str = "endconference.meet.jitsi";
/// The component of audio and video moderation.
pub const AV_MODERATION: &str = "avmoderation.meet.jitsi";
/// The component of room metadata.
pub const METADATA: &str = "metadata.meet.jitsi";
/// Where block lists are published, by `moderator@meet.jitsi`.
pub const LISTS: &str = "lists.meet.jitsi";
/// The focus's component.
pub const FOCUS: &str = "focus.meet.jitsi";
/// Password of `focus@auth.meet.jitsi` and secret of the component.
pub const FOCUS_SECRET: &str = "focus-secret";

/// Names another program than the `prosody` that is installed.
const PROGRAM: &str = "INNKEEPER_PROSODY";
/// Said when there is no Prosody; a test that needs it fails and does not pass silently.
const MISSING: &str = "no prosody here: run `make install-deps`, or `apt-get install prosody`";

/// How the server shows itself over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Signed by [`Prosody::ca_file`], for all our domains and `localhost`.
    Good,
    /// Signed by itself.
    SelfSigned,
    /// Signed by the CA, valid until 2020.
    Expired,
    /// Signed by the CA, for `elsewhere.example`.
    OtherName,
}

/// How one logs in on the main domain.
#[derive(Debug, Clone)]
pub enum Login {
    /// By account and password.
    Accounts,
    /// Anonymously, with a token in the URL.
    Token(Tokens),
    /// Anonymously: authentication is off.
    Anonymous,
}

/// Which tokens are good (jitsi-protocol.md §10).
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `HS256`, `HS384`, `HS512` or `RS256`.
    pub algorithm: &'static str,
    /// What they are signed with; for `RS256` the modulus of the public key, in hexadecimal.
    pub secret: String,
    /// The `iss` taken.
    pub issuer: &'static str,
    /// The `aud` taken; `*` for any.
    pub audience: &'static str,
    /// Whether one may come without a token.
    pub allow_empty: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens {
            algorithm: "HS256",
            secret: "open barley".to_owned(),
            issuer: "innkeeper",
            audience: "*",
            allow_empty: false,
        }
    }
}

/// What kind of server is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// How one logs in on the main domain.
    pub login: Login,
    /// Anonymous sessions keep their name for the `previd` in the URL, so that they can be resumed; stock Prosody's
    /// cannot.
    pub guests_resume: bool,
    /// Rooms can have a lobby.
    pub lobby: bool,
    /// Rooms have a lobby until a host comes; needs `lobby`.
    pub wait_for_host: bool,
    /// `room@muc.TENANT.meet.jitsi` are rooms, too.
    pub tenants: bool,
    /// There are [`END_CONFERENCE`], [`AV_MODERATION`] and [`METADATA`].
    pub components: bool,
    /// There is [`LISTS`].
    pub lists: bool,
    /// How many may be in a room.
    pub max_occupants: Option<u32>,
    /// The URL of a reservation service that is asked for each new room (§8.3); `SPARE` in it is [`Ports::spare`].
    pub reservations: Option<String>,
    /// For how many seconds a session is slowed down that sends too many stanzas (§2.6).
    pub rate_limit: Option<u32>,
    /// 10 kB/s for each client connection but the focus's, docker-jitsi-meet's default.
    pub limit: bool,
    /// Load our modules that do what Jitsi's do: nick rule, kick drops affiliation, focus lock, hidden rooms, and
    /// `service-unavailable` for an absent focus.
    pub jitsi_modules: bool,
    /// Refuse logins on the main domain without TLS.
    pub require_tls: bool,
    /// Stream management on the main and the guest domain.
    pub smacks: bool,
    /// Seconds that a lost session is kept.
    pub hibernation: u32,
    /// `SHA-1` (Prosody's default) or `SHA-256`.
    pub password_hash: &'static str,
    /// The certificate shown.
    pub certificate: Certificate,
    /// Log level: `debug`, `info`, `warn`.
    pub log: &'static str,
    /// Further lines of the global section.
    pub more: String,
    /// Further lines of the main virtual host.
    pub more_host: String,
    /// Further modules of the group chat component for Jitsi rooms.
    pub muc_modules: Vec<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            login: Login::Accounts,
            guests_resume: true,
            lobby: false,
            wait_for_host: false,
            tenants: false,
            components: false,
            lists: false,
            max_occupants: None,
            reservations: None,
            rate_limit: None,
            limit: false,
            jitsi_modules: true,
            require_tls: false,
            smacks: true,
            hibernation: 60,
            password_hash: "SHA-1",
            certificate: Certificate::Good,
            log: "info",
            more: String::new(),
            more_host: String::new(),
            muc_modules: Vec::new(),
        }
    }
}

/// The ports of one server, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Clients, plain or by STARTTLS.
    pub c2s: u16,
    /// Clients, TLS from the first byte.
    pub direct_tls: u16,
    /// WebSocket and BOSH, plain.
    pub http: u16,
    /// WebSocket and BOSH over TLS.
    pub https: u16,
    /// XEP-0114 components.
    pub component: u16,
    /// Of no use to the server: for something that it shall reach.
    pub spare: u16,
}

/// A port range that is ours while the lock is held, outside of what the kernel hands to outgoing connections.
struct Claim {
    base: u16,
    _lock: fs::File,
}

impl Claim {
    fn new() -> Claim {
        let dir = std::env::temp_dir().join("innkeeper-test-ports");
        fs::create_dir_all(&dir).expect("a folder for port claims");
        let start = std::process::id() as u16;
        for step in 0..1_000_u16 {
            let base = 20_000 + start.wrapping_add(step).wrapping_mul(7) % 1_000 * 8;
            let Ok(lock) = fs::File::create(dir.join(base.to_string())) else { continue };
            let free = |offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok();
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && (0..6).all(free) {
                return Claim { base, _lock: lock };
            }
        }
        panic!("no free loopback ports between 20000 and 28000");
    }

    fn ports(&self) -> Ports {
        let port = |offset| self.base + offset;
        Ports { c2s: port(0), direct_tls: port(1), http: port(2), https: port(3), component: port(4), spare: port(5) }
    }
}

/// A running server; stopped, and its folder removed, when dropped.
pub struct Prosody {
    /// Where it listens.
    pub ports: Ports,
    options: Options,
    dir: TempDir,
    child: Option<Running>,
    _claim: Claim,
}

struct Running {
    child: Child,
    /// `mod_ends_with_parent` ends the server when this is closed.
    _stdin: ChildStdin,
}

impl Prosody {
    /// Starts a server and waits until it listens.
    pub fn start(options: Options) -> Prosody {
        let claim = Claim::new();
        let dir = tempfile::Builder::new().prefix("innkeeper-prosody-").tempdir().expect("a temporary folder");
        let ports = claim.ports();
        let mut prosody = Prosody { ports, options, dir, child: None, _claim: claim };
        fs::create_dir_all(prosody.dir.path().join("data")).expect("the data folder");
        prosody.write_certificates(prosody.options.certificate);
        prosody.write_config();
        prosody.add_account(ACCOUNT, DOMAIN, PASSWORD);
        prosody.add_account("moderator", DOMAIN, PASSWORD);
        prosody.add_account("focus", AUTH, FOCUS_SECRET);
        prosody.run();
        prosody
    }

    /// Starts the server again on the same ports and data, if it does not run, and waits until it listens.
    pub fn run(&mut self) {
        if self.child.is_none() {
            self.spawn();
            self.wait_until_listening();
        }
    }

    /// Starts the server without waiting for its ports.
    pub fn spawn(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("console.log")).expect("a log file");
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "prosody".into());
        let spawned = Command::new(program)
            .arg("--config")
            .arg(self.path("prosody.cfg.lua"))
            .arg("-F")
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let stdin = child.stdin.take().expect("stdin was asked for");
        self.child = Some(Running { child, _stdin: stdin });
    }

    /// Waits until every port answers; returns when the port for clients was first seen open.
    pub fn wait_until_listening(&mut self) -> Instant {
        let opened = |port: u16| {
            wait_for(Duration::from_secs(20), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
                .map(|_| Instant::now())
        };
        let ports = [self.ports.c2s, self.ports.http, self.ports.component, self.ports.direct_tls, self.ports.https];
        let times: Vec<_> = ports.into_iter().map(opened).collect();
        let ended = self.child.as_mut().and_then(|running| running.child.try_wait().ok().flatten());
        assert!(
            ended.is_none() && times.iter().all(Option::is_some),
            "prosody did not open its ports {:?} ({ended:?}):\n{}",
            self.ports,
            self.log_tail()
        );
        times[0].expect("checked above")
    }

    /// Ends the server politely (SIGTERM).
    pub fn stop(&mut self) {
        if let Some(mut running) = self.child.take() {
            terminate(&mut running.child, Duration::from_secs(5));
        }
    }

    /// Ends the server at once (SIGKILL).
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.child.take() {
            kill(&mut running.child);
        }
    }

    /// Stops and starts on the same ports and data.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Freezes the server (SIGSTOP), as a network that swallows everything; [`Prosody::thaw`] ends it.
    pub fn freeze(&self) {
        if let Some(running) = &self.child {
            super::process::signal(&running.child, rustix::process::Signal::STOP);
        }
    }

    /// Ends [`Prosody::freeze`].
    pub fn thaw(&self) {
        if let Some(running) = &self.child {
            super::process::signal(&running.child, rustix::process::Signal::CONT);
        }
    }

    /// The server's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(|running| running.child.id())
    }

    /// Makes an account, or changes its password; Prosody reads it at the next login and hashes it then.
    pub fn add_account(&self, user: &str, host: &str, password: &str) {
        let folder = self.path("data").join(store_name(host)).join("accounts");
        fs::create_dir_all(&folder).expect("the account folder");
        let text = format!("return {{\n\t[\"password\"] = {};\n}};\n", lua_string(password));
        fs::write(folder.join(format!("{}.dat", store_name(user))), text).expect("the account file");
    }

    /// Shows another certificate from the next start on.
    pub fn set_certificate(&mut self, certificate: Certificate) {
        self.write_certificates(certificate);
    }

    /// The CA that signed the certificate, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Where clients connect.
    pub fn c2s(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.c2s).into()
    }

    /// Where components connect.
    pub fn component(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.component).into()
    }

    /// Where HTTP and WebSocket clients connect.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    /// The plain WebSocket's URL.
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/xmpp-websocket", self.ports.http)
    }

    /// The WebSocket's URL over TLS.
    pub fn wss_url(&self) -> String {
        format!("wss://127.0.0.1:{}/xmpp-websocket", self.ports.https)
    }

    /// The URL for plain TCP, where STARTTLS is offered.
    pub fn tcp_url(&self) -> String {
        format!("xmpp://127.0.0.1:{}", self.ports.c2s)
    }

    /// The URL for direct TLS.
    pub fn tls_url(&self) -> String {
        format!("xmpps://localhost:{}", self.ports.direct_tls)
    }

    /// The first number of its version, as it greeted: 0 for 0.12, 13 for 13.0. It must log at `info` or `debug`.
    pub fn major(&self) -> u32 {
        let log = self.log();
        let version = log.split_once("Prosody version ").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
        version.and_then(|digits| digits.collect::<String>().parse().ok()).expect("the server greets with its version")
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        tail(&self.path("prosody.log"), 40) + "\n" + &tail(&self.path("console.log"), 10)
    }

    /// The whole of the server's log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("prosody.log")).unwrap_or_default()).into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_certificates(&self, certificate: Certificate) {
        let ca_key = match fs::read_to_string(self.path("ca.key")) {
            Ok(pem) => KeyPair::from_pem(&pem).expect("our own key"),
            Err(_) => {
                let key = KeyPair::generate().expect("a key");
                fs::write(self.path("ca.key"), key.serialize_pem()).expect("the CA's key");
                key
            }
        };
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "innkeeper test CA");
        if !self.ca_file().exists() {
            fs::write(self.ca_file(), ca.self_signed(&ca_key).expect("a CA").pem()).expect("the CA's file");
        }
        let issuer = Issuer::new(ca, ca_key);
        let names: &[&str] = match certificate {
            Certificate::OtherName => &["elsewhere.example"],
            _ => &[DOMAIN, GUESTS, AUTH, "localhost", "127.0.0.1"],
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &issuer),
        };
        fs::write(self.path("server.pem"), signed.expect("a certificate").pem()).expect("the certificate file");
        fs::write(self.path("server.key"), key.serialize_pem()).expect("the key file");
    }

    fn write_config(&self) {
        let text = super::prosody_config::text(&self.options, self.ports, self.dir.path());
        fs::write(self.path("prosody.cfg.lua"), text).expect("the configuration");
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        // nothing is worth saving; politeness takes five seconds while clients are connected
        if let Some(mut running) = self.child.take() {
            terminate(&mut running.child, Duration::from_millis(200));
        }
        if std::thread::panicking() {
            eprintln!("--- prosody's log ---\n{}", self.log_tail());
        }
    }
}

/// How Prosody writes a name into a path: everything but letters and digits as `%xx`.
fn store_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

pub(super) fn lua_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
