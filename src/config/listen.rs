//! Where we listen, and that no two of our ends want one place. Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::check::{Checker, View, absolute};

/// Where one of our ends listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket, made with mode 0660.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether the system refuses the second of both. Port 0 is another one each time.
    fn meets(&self, other: &Listen) -> bool {
        let any = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
        match (self, other) {
            (Listen::Unix(one), Listen::Unix(other)) => one == other,
            (Listen::Tcp(one), Listen::Tcp(other)) if one.port() == other.port() && one.port() != 0 => {
                one.ip() == other.ip() || any(one.ip(), other.ip()) || any(other.ip(), one.ip())
            }
            _ => false,
        }
    }
}

impl Checker<'_> {
    /// Notes that `who` listens there; a mistake where another end does already. Lines may share one.
    pub(super) fn listens(&mut self, view: View<'_>, listen: &Listen, who: &'static str) {
        let shared = |at: &Listen, other: &str| at == listen && other == who && who == LINE;
        if let Some((_, other)) = self.listening.iter().find(|(at, other)| at.meets(listen) && !shared(at, other)) {
            let at = view.entry("listen").map_or(&view.section.at, |entry| &entry.at);
            let what = if *other == who { format!("another {who}") } else { (*other).to_owned() };
            self.wrong(view, "listen", at, format!("{what} listens there"), "an address for each");
        }
        self.listening.push((listen.clone(), who));
    }
}

/// Lines, as a mistake calls them.
pub(super) const LINE: &str = "[[line]]";

/// `ADDRESS:PORT` or `unix:PATH`.
pub(super) fn listen(text: &str, base: &Path) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() { Err("no path".to_owned()) } else { Ok(Listen::Unix(absolute(base, path))) };
    }
    text.parse().map(Listen::Tcp).map_err(|_| "no address with a port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_meet_where_the_system_lets_only_one_of_them_listen() {
        let meet = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| listen(text, Path::new("/etc")).expect("a place"));
            assert_eq!(one.meets(&other), other.meets(&one));
            one.meets(&other)
        };
        for other in ["127.0.0.1:8300", "0.0.0.0:8300", "[::]:8300"] {
            assert!(meet("127.0.0.1:8300", other), "{other}");
        }
        for other in ["127.0.0.1:8301", "127.0.0.2:8300", "[::1]:8300", "unix:8300"] {
            assert!(!meet("127.0.0.1:8300", other), "{other}");
        }
        assert!(meet("unix:a", "unix:/etc/a") && !meet("unix:a", "unix:b"));
        assert!(!meet("127.0.0.1:0", "127.0.0.1:0") && !meet("0.0.0.0:8300", "[::1]:8300"));
    }
}
