//! Addresses as the wire writes them. Pure.
//!
//! What others send is never forced through a JID parser: that refuses emoji and drops zero-width characters, and
//! then two occupants are one. Routing is on the raw text, split at the first `/` and the first `@`.
//! Source: RFC 7622 §3 "JIDs in XMPP".

/// The part before the first `/`: `room@muc.example` of `room@muc.example/nick`.
#[must_use]
pub fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// The part behind the first `/`, which may itself hold slashes.
#[must_use]
pub fn resource(jid: &str) -> Option<&str> {
    jid.split_once('/').map(|(_, resource)| resource)
}

/// The part before the first `@` of the bare JID.
#[must_use]
pub fn local(jid: &str) -> Option<&str> {
    bare(jid).split_once('@').map(|(local, _)| local)
}

/// The domain.
#[must_use]
pub fn domain(jid: &str) -> &str {
    let bare = bare(jid);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_at_the_first_at_and_the_first_slash() {
        assert_eq!(bare("a@b/c/d@e"), "a@b");
        assert_eq!(resource("a@b/c/d@e"), Some("c/d@e"));
        assert_eq!(local("a@b/c"), Some("a"));
        assert_eq!(local("b/x@y"), None);
        assert_eq!(domain("b/x@y"), "b");
        assert_eq!(domain("a@b"), "b");
    }

    #[test]
    fn a_nick_keeps_its_zero_width_characters() {
        assert_eq!(resource("r@c/a\u{200d}b"), Some("a\u{200d}b"));
    }
}
