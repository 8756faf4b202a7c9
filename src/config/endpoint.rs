//! Where a service is reached. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use url::Url;

use super::{Endpoint, HostPort};

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::WebSocket(url) => {
                let mut shown = url.clone();
                let hidden = if url.query().is_some() { "?…" } else { "" };
                shown.set_query(None);
                write!(f, "{shown}{hidden}")
            }
            Endpoint::DirectTls(Some(place)) => write!(f, "xmpps://{place}"),
            Endpoint::DirectTls(None) => f.write_str("xmpps: (SRV)"),
            Endpoint::StartTls(Some(place)) => write!(f, "xmpp://{place}"),
            Endpoint::StartTls(None) => f.write_str("xmpp: (SRV)"),
            Endpoint::Srv => f.write_str("the domain's SRV records"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// What a URL may be.
pub(super) const EXPECTED: &str = "wss://…, xmpps://…, xmpp://…, or ws://… to this machine";

/// Reads a URL. The error says what is wrong and what would be right; it quotes nothing of the URL but its scheme and
/// host, since a query may carry a token.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, (String, String)> {
    let wrong = |what: &str| Err((what.to_owned(), EXPECTED.to_owned()));
    let Some((scheme, rest)) = text.split_once(':') else { return wrong("no scheme") };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" | "wss" => {}
        "xmpp" | "xmpps" => {
            return host_port(scheme, rest).map_err(|what| (what, format!("{scheme}://host or {scheme}://host:port")));
        }
        "http" | "https" => {
            let expected = "wss://… (WebSocket) or xmpp://… instead".to_owned();
            return Err(("BOSH (http, https) is not there yet".to_owned(), expected));
        }
        _ => return wrong(&format!("unknown scheme \"{}\"", scheme.chars().take(16).collect::<String>())),
    }
    let Ok(url) = Url::parse(text) else { return wrong("not a URL") };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("a user or password in the URL".to_owned(), "account and password_file for these".to_owned()));
    }
    if url.fragment().is_some() {
        return Err(("a fragment (#…) in the URL".to_owned(), "none".to_owned()));
    }
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "ws" && !is_loopback(host) {
        let what = format!("ws: without TLS goes only to this machine itself, and \"{host}\" is another");
        return Err((what, "wss://…".to_owned()));
    }
    Ok(Endpoint::WebSocket(url))
}

/// `//host:port` after `xmpp:` or `xmpps:`; nothing means SRV.
fn host_port(scheme: &str, rest: &str) -> Result<Endpoint, String> {
    let direct = scheme.eq_ignore_ascii_case("xmpps");
    let make = |place| if direct { Endpoint::DirectTls(place) } else { Endpoint::StartTls(place) };
    let Some(authority) = rest.strip_prefix("//") else {
        return if rest.is_empty() { Ok(make(None)) } else { Err("no // after the scheme".to_owned()) };
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.is_empty() {
        return Ok(make(None));
    }
    if authority.contains('@') {
        return Err("a user or password in the URL".to_owned());
    }
    if authority.contains(['/', '?', '#']) {
        return Err("a path or query, which this scheme does not have".to_owned());
    }
    let default = if direct { 5223 } else { 5222 };
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("an unclosed [")?;
        let host: IpAddr = host.parse().map_err(|_| "not an IPv6 address between [ ]")?;
        (host.to_string(), port.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (authority.to_owned(), None),
        }
    };
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("not a port from 1 to 65535")?,
    };
    let named = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._:".contains(c));
    if named { Ok(make(Some(HostPort { host, port }))) } else { Err("not a host name".to_owned()) }
}

/// Whether a host is this machine, by its name or address alone.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => {
                address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4: Ipv4Addr| v4.is_loopback())
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_hosts_are_filled_in() {
        let at = |host: &str, port| Some(HostPort { host: host.into(), port });
        assert_eq!(endpoint("xmpp://meet.example"), Ok(Endpoint::StartTls(at("meet.example", 5222))));
        assert_eq!(endpoint("xmpps://meet.example/"), Ok(Endpoint::DirectTls(at("meet.example", 5223))));
        assert_eq!(endpoint("xmpp://[::1]:5269"), Ok(Endpoint::StartTls(at("::1", 5269))));
        assert_eq!(endpoint("xmpp:"), Ok(Endpoint::StartTls(None)));
        assert_eq!(endpoint("xmpps://"), Ok(Endpoint::DirectTls(None)));
        for bad in ["xmpp:meet.example", "xmpp://a:0", "xmpp://a:b", "xmpp://a/b", "xmpp://u@a", "xmpp://a b", "meet"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_websockets_go_to_loopback_only() {
        for good in ["ws://localhost:5280/x", "ws://127.8.9.1/x", "ws://[::1]:5280/x", "wss://meet.example/x?room=a"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["ws://meet.example/x", "ws://192.0.2.1/x", "ws://localhost.example/x", "ws://[::2]/x"] {
            let (what, expected) = endpoint(bad).unwrap_err();
            assert!(what.starts_with("ws: without TLS") && expected == "wss://…", "{bad}: {what}");
        }
    }

    #[test]
    fn a_token_in_a_url_is_not_quoted() {
        for bad in ["https://h/?token=hunter2", "ws://h/?token=hunter2", "wss://u:hunter2@h/", "wss://h:x/?t=hunter2"] {
            let (what, expected) = endpoint(bad).unwrap_err();
            assert!(!what.contains("hunter2") && !expected.contains("hunter2"), "{bad}");
        }
        let shown = format!("{:?}", endpoint("wss://h/x?token=hunter2").unwrap());
        assert_eq!(shown, "Endpoint(wss://h/x?…)");
    }
}
