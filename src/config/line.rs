//! `[[line]]`: who speaks the line protocol, and where. As it was written and as it is meant. Pure.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::check::{Checker, View, absolute, quoted};
use super::listen::{LINE, Listen, listen};
use super::login::Sources;
use super::raw::Section;
use super::{HostPort, HttpToken, Secret};
use crate::rights::Rights;

const SECRET: Sources =
    Sources { variable: "", file: "file", credential: "credential", missing: "the line has no secret" };

/// Somebody who speaks the line protocol, such as a game server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How the log and the audit call them.
    pub name: String,
    /// Where we meet.
    pub place: Place,
    /// What they show; empty where it was not looked at because the check was offline.
    pub secret: Secret,
    /// What they may do.
    pub rights: Rights,
}

/// Where we meet somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// They come to us. Several lines may share an address; the secret says who it is.
    Listen {
        /// Where.
        listen: Listen,
        /// Certificates and key, PEM files; `None`: no TLS.
        tls: Option<(PathBuf, PathBuf)>,
    },
    /// We go to them.
    Dial(Dial),
}

/// Where we go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dial {
    /// A port of this machine.
    Tcp(HostPort),
    /// A Unix socket.
    Unix(PathBuf),
    /// A port with TLS.
    Tls {
        /// Where, and what the certificate must be for.
        to: HostPort,
        /// A further trust root, a PEM file.
        ca_file: Option<PathBuf>,
    },
}

impl std::fmt::Display for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dial::Tcp(to) => write!(f, "{}:{}", to.host, to.port),
            Dial::Unix(path) => write!(f, "unix:{}", path.display()),
            Dial::Tls { to, .. } => write!(f, "tls://{}:{}", to.host, to.port),
        }
    }
}

impl Checker<'_> {
    /// Every `[[line]]`.
    pub(super) fn lines(&mut self, sections: &[Section]) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for section in sections {
            let view = View::new("line", section);
            let place = self.place(view);
            let bearer = self.bearer(view, &SECRET);
            let (Some(place), Some(HttpToken { name, secret, rights })) = (place, bearer) else { continue };
            if lines.iter().any(|other| other.name == name) {
                let at = view.entry("name").map_or(&section.at, |entry| &entry.at);
                let what = format!("another line is called {} already", quoted(&name));
                self.wrong(view, "name", at, what, "each name once");
            }
            let (at, known) = (&section.at, !secret.expose().is_empty());
            if lines.iter().any(|other| known && other.secret == secret) {
                self.wrong(view, "file", at, "another line has the same secret", "a secret of its own for each name");
            }
            if let Some(other) = lines.iter().find(|other| contradicts(&other.place, &place)) {
                let what = format!("line {} listens at the same place with another certificate", quoted(&other.name));
                self.wrong(view, "listen", at, what, "the same tls_cert and tls_key in both");
            }
            lines.push(Line { name, place, secret, rights });
        }
        lines
    }

    fn place(&mut self, view: View<'_>) -> Option<Place> {
        let base = self.input.base.clone();
        match (view.entry("listen"), view.entry("dial")) {
            (Some(_), Some(entry)) => {
                self.wrong(view, "dial", &entry.at, "both listen and dial", "one of them");
                None
            }
            (None, None) => {
                let expected = "listen = \"127.0.0.1:8310\", or dial = \"127.0.0.1:8311\"";
                self.wrong(view, "listen", &view.section.at, "neither listen nor dial", expected);
                None
            }
            (Some(entry), None) => {
                let expected = "\"ADDRESS:PORT\" or \"unix:PATH\"";
                let listen = self.parsed(view, "listen", expected, |text| listen(text, &base))?;
                self.listens(view, &listen, LINE);
                let tls = self.tls(view);
                self.of_no_use(view, &["ca_file"], "listen");
                if let (Listen::Tcp(address), None) = (&listen, &tls)
                    && !address.ip().is_loopback()
                {
                    let what = format!("{address} is open to other machines, and the secret would travel unencrypted");
                    self.wrong(view, "listen", &entry.at, what, "tls_cert and tls_key, or an address of loopback");
                }
                Some(Place::Listen { listen, tls })
            }
            (None, Some(_)) => {
                self.of_no_use(view, &["tls_cert", "tls_key"], "dial");
                let ca_file = self.pem(view, "ca_file", "-----BEGIN CERTIFICATE-----", "certificate");
                let expected = "\"127.0.0.1:PORT\", \"unix:PATH\" or \"tls://HOST:PORT\"";
                self.parsed(view, "dial", expected, |text| dial(text, &base, ca_file)).map(Place::Dial)
            }
        }
    }

    fn of_no_use(&mut self, view: View<'_>, keys: &[&str], with: &str) {
        for key in keys {
            if let Some(entry) = view.entry(key) {
                self.wrong(view, key, &entry.at, format!("of no use with {with}"), "it to be left out");
            }
        }
    }
}

/// Whether both want one address, each in its own way.
fn contradicts(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Listen { listen: a, tls: x }, Place::Listen { listen: b, tls: y }) => a == b && x != y,
        _ => false,
    }
}

/// `127.0.0.1:8311`, `unix:PATH`, `tls://game.example:8311`.
pub(super) fn dial(text: &str, base: &Path, ca_file: Option<PathBuf>) -> Result<Dial, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() { Err("no path".to_owned()) } else { Ok(Dial::Unix(absolute(base, path))) };
    }
    let (rest, tls) = text.strip_prefix("tls://").map_or((text, false), |rest| (rest, true));
    let (host, port) = rest.rsplit_once(':').ok_or("no address with a port")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.parse().ok().filter(|port| *port > 0).ok_or("no address with a port")?;
    if host.is_empty() {
        return Err("no address with a port".to_owned());
    }
    let to = HostPort { host, port };
    if tls {
        return Ok(Dial::Tls { to, ca_file });
    }
    let here = to.host == "localhost" || to.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if here { Ok(Dial::Tcp(to)) } else { Err("on another machine, and without TLS".to_owned()) }
}
