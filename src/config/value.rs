//! Single values: durations, sizes, names. Pure.
//!
//! Each function answers the value, or in a few words what is wrong with the text.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xmpp_parsers::jid::{DomainPart, NodePart, ResourcePart};

use super::{Content, Mechanism};

/// Longest password that is accepted, bytes.
pub(super) const PASSWORD_BYTES: usize = 1024;
/// Longest token that is accepted, bytes: it has to fit a URL.
pub(super) const TOKEN_BYTES: usize = 7 * 1024;

/// `30s`, `5m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|error| match error {
        humantime::DurationError::NumberExpected(_) | humantime::DurationError::Empty => "no number".to_owned(),
        humantime::DurationError::UnknownUnit { .. } => "no known unit of time".to_owned(),
        error => error.to_string(),
    })
}

/// `256KiB`, `1 MiB`, `65536`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| "no number".to_owned())?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err("no known unit of size".to_owned()),
    };
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

/// An XMPP domain, as it is compared: `Meet.Jitsi` becomes `meet.jitsi`.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && !text.contains(['@', '/', ':', ' ', '"', '<', '>']) && !text.starts_with('.');
    match DomainPart::new(text) {
        Ok(domain) if fits => Ok(domain.as_str().to_lowercase()),
        _ => Err("not an XMPP domain".to_owned()),
    }
}

/// A local part, as it is compared, without capital letters.
pub(super) fn local(text: &str) -> Result<String, String> {
    match NodePart::new(text) {
        Ok(node) if !text.contains(['@', '/']) => Ok(node.as_str().to_lowercase()),
        _ => Err("not the local part of a JID".to_owned()),
    }
}

/// An address without a local part is a domain; with one, a bare JID.
pub(super) fn address(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        None => domain(text),
        Some((node, rest)) => Ok(format!("{}@{}", local(node)?, domain(rest)?)),
    }
}

/// A room: its local part and, from a full JID, its domain. As it stands in a browser's address, too: `caf%C3%A9`.
pub(super) fn room(text: &str) -> Result<(String, Option<String>), String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let text = &*decoded.map_err(|_| "no UTF-8 where it is percent-encoded".to_owned())?;
    match text.split_once('@') {
        None => Ok((local(text)?, None)),
        Some((_, rest)) if rest.contains('/') => Err("a JID with a resource".to_owned()),
        Some((node, rest)) => Ok((local(node)?, Some(domain(rest)?))),
    }
}

/// What a nick must be where a focus rules the room.
pub(super) const FOCUS_NICK: &str = "letters, digits and underscores, beginning with a letter or digit";

/// Whether a nick is one that a room with a focus takes: `^[a-zA-Z0-9][a-zA-Z0-9_]*$`.
pub(super) fn fits_focus(nick: &str) -> bool {
    nick.starts_with(|c: char| c.is_ascii_alphanumeric()) && nick.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A nick that any XMPP room takes.
pub(super) fn nick(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("empty".to_owned());
    }
    ResourcePart::new(text).map(|nick| nick.as_str().to_owned()).map_err(|_| "not a valid nick".to_owned())
}

/// A line of text that others see.
pub(super) fn line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("text with control characters".to_owned());
    }
    if text.len() > 1024 { Err("text of more than 1024 bytes".to_owned()) } else { Ok(text.to_owned()) }
}

/// `192.0.2.1` or `192.0.2.1:5353`.
pub(super) fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    bare.or_else(|_| text.parse()).map_err(|_| "not an address".to_owned())
}

/// The name of a mechanism as servers say it.
pub(super) fn mechanism(text: &str) -> Option<Mechanism> {
    MECHANISMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, mechanism)| *mechanism)
}

/// Mechanisms by name.
pub(super) const MECHANISMS: &[(&str, Mechanism)] = &[
    ("SCRAM-SHA-256-PLUS", Mechanism::ScramSha256Plus),
    ("SCRAM-SHA-256", Mechanism::ScramSha256),
    ("SCRAM-SHA-1-PLUS", Mechanism::ScramSha1Plus),
    ("SCRAM-SHA-1", Mechanism::ScramSha1),
    ("PLAIN", Mechanism::Plain),
    ("ANONYMOUS", Mechanism::Anonymous),
];

/// A secret out of a file: the line end is taken off, and whether one was there is told.
pub(super) fn secret(content: Content, most: usize) -> Result<(String, bool), String> {
    let text = String::from_utf8(content.bytes).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    let bare = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if bare.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bare.contains('\n') {
        return Err("the file has more than one line".to_owned());
    }
    if bare.chars().any(char::is_control) {
        return Err("the file holds control characters".to_owned());
    }
    if bare.len() > most {
        return Err(format!("the file holds more than {most} bytes"));
    }
    Ok((bare.to_owned(), bare.len() != text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("256KiB"), Ok(262_144));
        assert_eq!(size("1 MiB"), Ok(1_048_576));
        assert_eq!(size("2GiB"), Ok(2_147_483_648));
        assert_eq!(size("65536"), Ok(65_536));
        assert!(size("1 stone").is_err() && size("KiB").is_err() && size("99999999999999999MiB").is_err());
    }

    #[test]
    fn a_room_is_a_local_part_or_a_full_jid() {
        assert_eq!(room("Tavern"), Ok(("tavern".into(), None)));
        assert_eq!(room("tavern@Muc.Meet.Jitsi"), Ok(("tavern".into(), Some("muc.meet.jitsi".into()))));
        assert_eq!(room("%5BAcme%5Dtavern"), Ok(("[acme]tavern".into(), None)));
        assert_eq!(room("Caf%C3%A9"), Ok(("café".into(), None)));
        assert_eq!(room("CAFÉ"), Ok(("café".into(), None)));
        assert!(room("caf%E9").is_err() && room("a%2Fb").is_err() && room("a%20b").is_err());
        assert!(room("tavern@muc/nick").is_err() && room("a b").is_err() && room("").is_err() && room("@muc").is_err());
    }

    #[test]
    fn one_line_end_is_stripped_and_told() {
        let of =
            |text: &str| secret(Content { bytes: text.as_bytes().to_vec(), others_may_read: false }, PASSWORD_BYTES);
        assert_eq!(of("pw\n"), Ok(("pw".into(), true)));
        assert_eq!(of("pw\r\n"), Ok(("pw".into(), true)));
        assert_eq!(of(" pw "), Ok((" pw ".into(), false)));
        assert!(of("\n").is_err() && of("").is_err() && of("a\nb").is_err() && of("a\0b").is_err());
    }
}
