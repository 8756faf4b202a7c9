//! The real innkeeper binary with a configuration, a state folder and a socket of its own.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{kill, patience, signal, tail, terminate, wait_for};
use super::prosody::{ACCOUNT, DOMAIN, FOCUS, GUESTS, MUC, PASSWORD, Prosody, ROOMS, Tokens};

/// What the daemon is configured with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `url` of the service `meet`.
    pub url: String,
    /// Where rooms are; left out of the configuration when empty.
    pub muc: String,
    /// The focus's address; `None`: `focus = false`.
    pub focus: Option<String>,
    /// The kind of login.
    pub login: &'static str,
    /// The account; empty where the login has none.
    pub account: String,
    /// Its password, written to a file.
    pub password: String,
    /// Further secrets, each written to a file of this name beside the configuration.
    pub secrets: Vec<(&'static str, String)>,
    /// Trust root.
    pub ca_file: Option<PathBuf>,
    /// Names of the rooms, written to `rooms.d/rooms.toml`.
    pub rooms: Vec<String>,
    /// Further lines of the service, as `rooms_per_session = 1000`.
    pub service: String,
    /// Further lines of every room, as `subject = "…"`.
    pub room: String,
    /// Further lines at the end of the main file, as a whole service.
    pub more: String,
    /// Arguments of `run` behind the configuration.
    pub args: Vec<String>,
    /// Environment of the daemon.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// Jitsi rooms over plain WebSocket.
    pub fn websocket(prosody: &Prosody) -> Setup {
        Setup {
            url: prosody.ws_url(),
            muc: MUC.to_owned(),
            focus: Some(FOCUS.to_owned()),
            login: "direct",
            account: ACCOUNT.to_owned(),
            password: PASSWORD.to_owned(),
            secrets: Vec::new(),
            ca_file: None,
            rooms: Vec::new(),
            service: String::new(),
            room: String::new(),
            more: String::new(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Jitsi rooms over plain WebSocket, held by guests.
    pub fn guest(prosody: &Prosody) -> Setup {
        Setup { login: "guest", ..Setup::websocket(prosody) }.with(&format!("guest_domain = \"{GUESTS}\""))
    }

    /// Jitsi rooms over plain WebSocket, without an account.
    pub fn anonymous(prosody: &Prosody) -> Setup {
        Setup { login: "anonymous", account: String::new(), ..Setup::websocket(prosody) }
    }

    /// Jitsi rooms over plain WebSocket, by tokens that are made from the secret of the server's default tokens.
    pub fn token(prosody: &Prosody) -> Setup {
        let Tokens { issuer, secret, .. } = Tokens::default();
        let lines = format!("app_id = {issuer:?}\nsecret_file = \"token-secret\"");
        Setup { login: "token", account: String::new(), ..Setup::websocket(prosody) }
            .with(&lines)
            .with_secret("token-secret", secret)
    }

    /// Jitsi rooms over plain TCP.
    pub fn tcp(prosody: &Prosody) -> Setup {
        Setup { url: prosody.tcp_url(), ..Setup::websocket(prosody) }
    }

    /// Jitsi rooms over direct TLS.
    pub fn tls(prosody: &Prosody) -> Setup {
        Setup { url: prosody.tls_url(), ca_file: Some(prosody.ca_file()), ..Setup::websocket(prosody) }
    }

    /// Plain XMPP rooms without a focus.
    pub fn plain_rooms(prosody: &Prosody) -> Setup {
        Setup { muc: ROOMS.to_owned(), focus: None, ..Setup::tcp(prosody) }
    }

    /// With these rooms.
    #[must_use]
    pub fn rooms<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Setup {
        self.rooms = names.into_iter().map(Into::into).collect();
        self
    }

    /// With this many rooms, `r0` and on.
    #[must_use]
    pub fn many(self, count: usize) -> Setup {
        self.rooms((0..count).map(|number| format!("r{number}")))
    }

    /// With further lines in the service.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Setup {
        self.service.push_str(lines);
        self.service.push('\n');
        self
    }

    /// With further lines in every room.
    #[must_use]
    pub fn each(mut self, lines: &str) -> Setup {
        self.room.push_str(lines);
        self.room.push('\n');
        self
    }

    /// With a secret in a file beside the configuration.
    #[must_use]
    pub fn with_secret(mut self, file: &'static str, secret: impl Into<String>) -> Setup {
        self.secrets.push((file, secret.into()));
        self
    }

    /// The JIDs of the rooms.
    pub fn jids(&self) -> Vec<String> {
        self.rooms.iter().map(|name| format!("{name}@{}", self.muc)).collect()
    }

    /// The bare JID of the account.
    pub fn jid(&self) -> String {
        format!("{}@{DOMAIN}", self.account)
    }
}

/// What a run of the command line came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A room's row of `innkeeper rooms --json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The room's name.
    pub name: String,
    /// Its state's word.
    pub state: String,
    /// Its cause's word, empty when there is none.
    pub cause: String,
}

/// A daemon; ended, and its folder removed, when dropped.
pub struct Daemon {
    /// What it was started with.
    pub setup: Setup,
    dir: TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// Writes the configuration and starts the daemon; does not wait for anything.
    #[track_caller]
    pub fn start(setup: Setup) -> Daemon {
        let mut daemon = Daemon::prepare(setup);
        daemon.run();
        daemon
    }

    /// Writes the configuration only.
    pub fn prepare(setup: Setup) -> Daemon {
        let dir = tempfile::Builder::new().prefix("innkeeper-").tempdir().expect("a temporary folder");
        let daemon = Daemon { setup, dir, child: None };
        fs::create_dir_all(daemon.path("rooms.d")).expect("rooms.d");
        fs::create_dir_all(daemon.path("state")).expect("the state folder");
        daemon.write_config();
        daemon
    }

    /// Starts the daemon if it does not run.
    #[track_caller]
    pub fn run(&mut self) {
        if self.child.is_some() {
            return;
        }
        let log = fs::File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        // A limit of the size of files is a full disk to tests, and no signal; what is ignored stays so over exec.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
        command.arg("run").arg("--config").arg(self.config_file()).args(&self.setup.args);
        command.envs(self.setup.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary().display())));
    }

    /// Writes the configuration again from [`Daemon::setup`]; a reload is up to the caller.
    pub fn write_config(&self) {
        let setup = &self.setup;
        let password = ("password", setup.password.clone());
        for (name, secret) in setup.secrets.iter().chain([&password]) {
            fs::write(self.path(name), secret).expect("the file of a secret");
            let own = fs::Permissions::from_mode(0o600);
            fs::set_permissions(self.path(name), own).expect("the mode of a secret's file");
        }
        let dir = self.dir.path().display();
        let focus = setup.focus.as_ref().map_or("false".to_owned(), |focus| format!("{focus:?}"));
        let muc = if setup.muc.is_empty() { String::new() } else { format!("muc = {:?}\n", setup.muc) };
        let ca = setup.ca_file.as_ref().map(|path| format!("ca_file = {path:?}\n")).unwrap_or_default();
        let account = match setup.account.as_str() {
            "" => String::new(),
            account => format!("account = {account:?}\npassword_file = \"{dir}/password\"\n"),
        };
        let text = format!(
            "control_socket = \"{dir}/innkeeper.sock\"\nstate_dir = \"{dir}/state\"\n\n\
             [service.meet]\nurl = {:?}\ndomain = \"{DOMAIN}\"\n{muc}focus = {focus}\nlogin = {:?}\n\
             {account}{ca}{}\n{}\n",
            setup.url, setup.login, setup.service, setup.more
        );
        fs::write(self.config_file(), text).expect("the configuration");
        let mut rooms = String::new();
        for room in &setup.rooms {
            let _ = writeln!(rooms, "[[room]]\nservice = \"meet\"\nname = {room:?}\n{}", setup.room);
        }
        fs::write(self.path("rooms.d/rooms.toml"), rooms).expect("the rooms");
    }

    /// Runs the command line against this daemon.
    pub fn cli<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        let mut command = Command::new(binary());
        command.args(args).env("INNKEEPER_SOCKET", self.socket());
        let output = command.stdin(Stdio::null()).output().expect("the binary runs");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a verb with `--json` and parses what it prints; `None` when it fails.
    pub fn try_json(&self, args: &[&str]) -> Option<Value> {
        let ran = self.cli(args.iter().copied().chain(["--json"]));
        (ran.code == Some(0)).then(|| serde_json::from_str(&ran.stdout).ok()).flatten()
    }

    /// Runs a verb with `--json` and parses what it prints.
    ///
    /// # Panics
    /// It fails, or prints no JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.cli(args.iter().copied().chain(["--json"]));
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {ran:?}"))
    }

    /// `innkeeper rooms --json`; empty while the daemon does not answer.
    pub fn rooms(&self) -> Vec<Row> {
        let reply = self.try_json(&["rooms"]).unwrap_or_default();
        let rows = reply["rooms"].as_array().cloned().unwrap_or_default();
        let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| Row { name: word(row, "name"), state: word(row, "state"), cause: word(row, "cause") };
        rows.iter().map(row).collect()
    }

    /// Waits until the command line says of every room what `wanted` wants; returns the rows.
    ///
    /// # Panics
    /// Not within `limit`; says what it last said.
    #[track_caller]
    pub fn wait_rooms(&self, what: &str, limit: Duration, wanted: impl Fn(&Row) -> bool) -> Vec<Row> {
        let all = || {
            let rows = self.rooms();
            (rows.len() >= self.setup.rooms.len() && rows.iter().all(&wanted)).then_some(rows)
        };
        let limit = patience(limit);
        wait_for(limit, all).unwrap_or_else(|| {
            let odd: Vec<_> = self.rooms().into_iter().filter(|row| !wanted(row)).take(5).collect();
            panic!("not within {limit:?}: {what}; otherwise: {odd:#?}; log:\n{}", self.log_tail())
        })
    }

    /// Waits until the command line says that every room is held. Timing bars are never measured by this.
    #[track_caller]
    pub fn wait_all_held(&self, limit: Duration) -> Vec<Row> {
        self.wait_rooms("all rooms held", limit, |row| row.state == "held")
    }

    /// Ends the daemon politely (SIGTERM); `None` when it did not run.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.child.take().and_then(|mut child| terminate(&mut child, patience(Duration::from_secs(10))))
    }

    /// Ends the daemon at once (SIGKILL).
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(&mut child);
        }
    }

    /// Sends a signal, as SIGHUP.
    pub fn signal(&self, which: Signal) {
        if let Some(child) = &self.child {
            signal(child, which);
        }
    }

    /// How the daemon ended, within `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let status = wait_for(patience(limit), || child.try_wait().ok().flatten());
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// The daemon's process id, while it was not stopped.
    ///
    /// # Panics
    /// It does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running daemon").id()
    }

    /// Everything the daemon has written to its standard streams.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// The end of it.
    pub fn log_tail(&self) -> String {
        tail(&self.log_file(), 40)
    }

    /// The folder that holds everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The main configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.path("innkeeper.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path("innkeeper.sock")
    }

    fn log_file(&self) -> PathBuf {
        self.path("innkeeper.log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(&mut child, Duration::from_secs(2));
        }
        if std::thread::panicking() {
            eprintln!("--- innkeeper's log ---\n{}", self.log_tail());
        }
    }
}

/// The innkeeper binary: what cargo built for this test or bench; beside an example, the one of the same profile.
pub fn binary() -> PathBuf {
    if let Some(path) = option_env!("CARGO_BIN_EXE_innkeeper") {
        return path.into();
    }
    let own = std::env::current_exe().expect("our own path");
    let profile = own.parent().and_then(Path::parent).expect("target/PROFILE/examples");
    profile.join("innkeeper")
}
