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

/// The tenant whose rooms are on `domain`: `acme` of `muc.acme.meet.jitsi`, where the service is `muc.meet.jitsi`.
///
/// Source: jitsi-meet's `mod_muc_domain_mapper.lua`.
#[must_use]
pub fn tenant<'d>(muc: &str, domain: &'d str) -> Option<&'d str> {
    let (service, base) = muc.split_once('.')?;
    let tenant = domain.strip_prefix(service)?.strip_prefix('.')?.strip_suffix(base)?.strip_suffix('.')?;
    (!tenant.is_empty() && !tenant.contains('.')).then_some(tenant)
}

/// A tenant's room by its name: `("acme", "tavern")` of `[acme]tavern`.
#[must_use]
pub fn tenant_room(name: &str) -> Option<(&str, &str)> {
    let (tenant, room) = name.strip_prefix('[')?.split_once(']')?;
    (!tenant.is_empty() && !room.is_empty()).then_some((tenant, room))
}

/// The JID of the room called `name` on the service `muc`; a tenant's is on a domain of its own, as clients see it.
#[must_use]
pub fn of_room(name: &str, muc: &str) -> String {
    match (tenant_room(name), muc.split_once('.')) {
        (Some((tenant, room)), Some((service, base))) => format!("{room}@{service}.{tenant}.{base}"),
        _ => format!("{name}@{muc}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_room_has_one_name_and_one_jid() {
        assert_eq!(of_room("[acme]tavern", "muc.meet.jitsi"), "tavern@muc.acme.meet.jitsi");
        assert_eq!(of_room("tavern", "muc.meet.jitsi"), "tavern@muc.meet.jitsi");
        assert_eq!(of_room("[acme]", "muc.meet.jitsi"), "[acme]@muc.meet.jitsi");
        assert_eq!(tenant("muc.meet.jitsi", "muc.acme.meet.jitsi"), Some("acme"));
        for other in
            ["muc.meet.jitsi", "muc..meet.jitsi", "muc.a.b.meet.jitsi", "conference.acme.meet.jitsi", "muc.acme.x"]
        {
            assert_eq!(tenant("muc.meet.jitsi", other), None, "{other}");
        }
    }

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
