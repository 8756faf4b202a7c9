//! Secrets by their shape in any text: JSON web tokens, and what stands behind a name that says so.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The places of all JSON web tokens (RFC 7519 §3, RFC 7515 §7.1), in order and apart: runs of base64url in segments
/// separated by dots, the first of which is a JSON object. A token that is cut off, or whose dots are percent-encoded,
/// is one, too; so is its header alone where it is as long as one.
pub(super) fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at + 2 < bytes.len() {
        // `{"`, `{ `, `{\n`, `{\r`, `{\t` in base64.
        if bytes[at] == b'e' && matches!(&bytes[at + 1..at + 3], b"yJ" | b"yA" | b"wo" | b"w0" | b"wk") {
            let end = token_end(bytes, at);
            if end > at {
                found.push(at..end);
                at = end;
                continue;
            }
        }
        at += 1;
    }
    found
}

/// Whether a text is base64 of something with a token in it: Prosody packs the id of an occupant's question into the id
/// that we see.
pub(super) fn packs_token(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    text.len() >= 32
        && text.bytes().all(is_base64)
        && STANDARD.decode(text).is_ok_and(|inside| !tokens(&String::from_utf8_lossy(&inside)).is_empty())
}

/// Where the token that begins at `start` ends; `start` where there is none.
fn token_end(bytes: &[u8], start: usize) -> usize {
    let segment = |from: usize| {
        let run = bytes[from..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        from + run.count()
    };
    let dot = |at: usize| match &bytes[at..] {
        [b'.', ..] => Some(at + 1),
        [b'%', b'2', b'E' | b'e', ..] => Some(at + 3),
        _ => None,
    };
    let header_end = segment(start);
    let mut end = header_end;
    let mut segments = 1;
    while let Some(next) = dot(end) {
        end = segment(next);
        segments += 1;
        if segments == 5 {
            break;
        }
    }
    let header = &bytes[start..header_end];
    if segments >= 3 && header.len() >= 8 {
        return end;
    }
    if header.len() >= 12 && opens_header(header) { end } else { start }
}

/// Whether a segment decodes to the beginning of a token's header (RFC 7515 §4.1), whole or cut off.
fn opens_header(segment: &[u8]) -> bool {
    let whole = segment.len() / 4 * 4;
    // Four characters are three bytes; what stands behind them does not matter for the beginning.
    let Ok(decoded) = URL_SAFE_NO_PAD.decode(&segment[..whole]) else { return false };
    let text = String::from_utf8_lossy(&decoded);
    let inside = text.trim_start_matches('{').trim_start();
    ["\"alg\"", "\"typ\"", "\"kid\"", "\"enc\"", "\"cty\"", "\"x5t"].iter().any(|name| inside.contains(name))
        || (inside.starts_with('"') && decoded.len() >= 24)
}

/// The places of values that a name in front of them calls secret: `token=…`, `password: …`, `Bearer …`,
/// `"session-id":"…"`, `previd='…'`.
pub(super) fn named(text: &str) -> Vec<(std::ops::Range<usize>, super::Kind)> {
    let bytes = text.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_name(bytes[at]) {
            at += 1;
        }
        let name = &text[start..at];
        let scheme = name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic");
        let Some(kind) = (if scheme { Some(super::Kind::Secret) } else { super::known::secret(name) }) else {
            continue;
        };
        let Some((from, to)) = value(bytes, at, scheme) else { continue };
        // `Authorization: Bearer x`: the scheme is no secret, what follows it is.
        let value = &text[from..to];
        if value.eq_ignore_ascii_case("bearer") || value.eq_ignore_ascii_case("basic") {
            at = from;
            continue;
        }
        // A header's value goes to the end of its line.
        let to =
            if kind == super::Kind::Secret && !scheme && bytes.get(at) == Some(&b':') && quote(bytes, from).is_none() {
                text[from..].find(['\r', '\n']).map_or(text.len(), |end| from + end)
            } else {
                to
            };
        found.push((from..to, kind));
        at = to;
    }
    found
}

fn quote(bytes: &[u8], from: usize) -> Option<u8> {
    let before = bytes.get(from.checked_sub(1)?)?;
    matches!(before, b'"' | b'\'').then_some(*before)
}

/// The value behind a name that ends at `at`. `blank`: a blank is all that separates them.
fn value(bytes: &[u8], mut at: usize, blank: bool) -> Option<(usize, usize)> {
    let skip_blanks = |mut at: usize| {
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    };
    if matches!(bytes.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    let behind = skip_blanks(at);
    let from = match bytes.get(behind) {
        Some(b'=' | b':') => skip_blanks(behind + 1),
        Some(b'%') if bytes[behind..].starts_with(b"%3D") || bytes[behind..].starts_with(b"%3d") => behind + 3,
        Some(_) if blank && behind > at => behind,
        _ => return None,
    };
    let (from, end): (usize, &[u8]) = match bytes.get(from)? {
        b'"' => (from + 1, b"\""),
        b'\'' => (from + 1, b"'"),
        _ => (from, b" \t\r\n&;,<>\"'()[]{}#"),
    };
    let to = bytes[from..].iter().position(|byte| end.contains(byte)).map_or(bytes.len(), |length| from + length);
    (to > from).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb29tIjoiKiJ9.c2lnbmF0dXJl_-x";

    fn found(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        for (before, behind) in
            [("", ""), ("?token=", "&room=x"), ("{\"a\":\"", "\"}"), ("room-", "@muc"), ("ééy", " é")]
        {
            assert_eq!(found(&format!("{before}{TOKEN}{behind}")), [TOKEN], "{before}");
        }
        let encoded = TOKEN.replace('.', "%2E");
        assert_eq!(found(&encoded), [&encoded]);
        let cut = &TOKEN[..50];
        assert_eq!(found(cut), [cut]);
        let header = &TOKEN[..30];
        assert_eq!(found(header), [header]);
        let spaced = "eyAiYWxnIiA6ICJub25lIiB9.e30.";
        assert_eq!(found(spaced), [spaced]);
    }

    #[test]
    fn what_is_no_token_stays() {
        for text in
            ["eyebrow", "the.eyes.have.it", "e.yJ", "eyJ", "ZYz/Bk0YZmQuoeSFs25VOxJYXf4=", "eyjafjallajökull.a.b"]
        {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn a_token_in_a_packed_id_is_found() {
        let packed = |id: &str| STANDARD.encode(format!("keeper@h/r\0q-{id}\0\x1d\u{e9}"));
        assert!(packs_token(&packed(TOKEN)));
        assert!(!packs_token(&packed("1234567890-1234567890")));
        assert!(!packs_token("ZYz/Bk0YZmQuoeSFs25VOxJYXf4="));
    }

    #[test]
    fn a_name_tells_what_follows_it() {
        let values =
            |text: &'static str| -> Vec<&str> { named(text).into_iter().map(|(range, _)| &text[range]).collect() };
        assert_eq!(values("wss://h/x?room=a&token=abc&previd=d%20e"), ["abc", "d%20e"]);
        assert_eq!(values("Authorization: Bearer abc.def"), ["abc.def"]);
        assert_eq!(values("Cookie: a=b; c=d\r\nHost: x"), ["a=b; c=d"]);
        assert_eq!(values("{\"session-id\":\"a b\", \"x\":1}"), ["a b"]);
        assert_eq!(values("<conference machine-uid='ab' room='r'/>"), ["ab"]);
        assert_eq!(values("the password is not said; token bad"), Vec::<&str>::new());
    }
}
