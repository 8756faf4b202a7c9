//! `[[reservations]]`: where Jitsi's reservation requests are answered. As it was written and as it is meant. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Service;
use super::check::{Checker, View};
use super::listen::{Listen, listen};
use super::raw::Section;

/// A listener for Jitsi's reservation requests about the rooms of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservations {
    /// Whose rooms.
    pub service: String,
    /// Where it listens.
    pub listen: Listen,
    /// Who may ask beside this machine.
    pub allow: Vec<Network>,
    /// Whether rooms' passwords are told, so that the server sets them.
    pub reveal_password: bool,
}

/// A block of addresses (RFC 4632 §3.1 "Basic Concept and Prefix Notation").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or `fd00::/8`; an address alone is itself.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
        Some(Network { address, bits })
    }

    /// Whether an address is in it; an IPv4 address in IPv6's disguise is what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |address: u32| u64::from(address) >> shift;
                cut(ours.to_bits()) == cut(theirs.to_bits())
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let cut = |address: u128| address.checked_shr(128 - u32::from(self.bits)).unwrap_or(0);
                cut(ours.to_bits()) == cut(theirs.to_bits())
            }
            _ => false,
        }
    }
}

impl Checker<'_> {
    /// Every `[[reservations]]`.
    pub(super) fn reservations(
        &mut self,
        sections: &[Section],
        services: &BTreeMap<String, Service>,
    ) -> Vec<Reservations> {
        let mut all: Vec<Reservations> = Vec::new();
        for section in sections {
            let view = View::new("reservations", section);
            let service = self.one_of(view, "service", &services.keys().map(String::as_str).collect::<Vec<_>>());
            if view.entry("listen").is_none() {
                self.wrong(view, "listen", &section.at, "missing", "listen = \"127.0.0.1:8320\"");
            }
            let base = self.input.base.clone();
            let listen = self.parsed(view, "listen", "\"ADDRESS:PORT\" or \"unix:PATH\"", |text| listen(text, &base));
            let allow = self.list(view, "allow", "a network such as \"192.0.2.7/32\"", &[], |text| {
                Network::read(text).ok_or("no network")
            });
            let allow = allow.unwrap_or_default();
            if let (Some(Listen::Tcp(address)), Some(entry)) = (&listen, view.entry("listen"))
                && !address.ip().is_loopback()
                && allow.is_empty()
            {
                let what = format!("{address} is open to other machines, and nobody has to prove who they are");
                self.wrong(view, "listen", &entry.at, what, "allow = [\"…/32\"] beside it, or an address of loopback");
            }
            let reveal_password = self.flag(view, "reveal_password").unwrap_or(false);
            let (Some(service), Some(listen)) = (service, listen) else { continue };
            self.listens(view, &listen, "[[reservations]]");
            all.push(Reservations { service, listen, allow, reveal_password });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_its_bits_say() {
        let within = |network: &str, address: &str| {
            Network::read(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(within("10.0.0.0/8", "10.9.8.7") && within("192.0.2.7", "192.0.2.7") && within("0.0.0.0/0", "1.2.3.4"));
        assert!(within("fd00::/8", "fd12::1") && within("::/0", "fe80::1") && within("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(
            !within("10.0.0.0/8", "11.0.0.1") && !within("192.0.2.7/32", "192.0.2.8") && !within("::/0", "1.2.3.4")
        );
        for text in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x"] {
            assert_eq!(Network::read(text), None, "{text}");
        }
    }
}
