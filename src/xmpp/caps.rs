//! What we are, as others may ask it: identity, features and their hash. Pure.
//!
//! Source: XEP-0115 §5 "Verification String", XEP-0030 §3.

use minidom::Element;
use xmpp_parsers::caps::{Caps, compute_disco, hash_caps};
use xmpp_parsers::disco::{DiscoInfoResult, Identity};
use xmpp_parsers::hashes::Algo;

use super::ns;

/// The node that names the program in entity capabilities.
pub const NODE: &str = "urn:innkeeper";

/// What `disco#info` says of us, made once.
///
/// Neither audio, video nor data channels are offered: a member without media must not look as if it had some.
#[derive(Debug, Clone)]
pub struct Capabilities {
    info: DiscoInfoResult,
    caps: Element,
}

impl Capabilities {
    /// The identity and features of a member without media.
    #[must_use]
    pub fn new() -> Self {
        // Few, because a focus asks for them once for each room, and some servers read 10 kB a second.
        let features = [ns::CAPS, ns::DISCO_INFO, ns::PING];
        let info = DiscoInfoResult {
            node: None,
            identities: vec![Identity::new("client", "bot", "en", "innkeeper")],
            features: features.into_iter().map(str::to_owned).collect(),
            extensions: Vec::new(),
        };
        let caps = match hash_caps(&compute_disco(&info), Algo::Sha_1) {
            Ok(hash) => Caps::new(NODE, hash).into(),
            // SHA-1 is always known to the library; without it we merely advertise nothing.
            Err(_) => super::element("c", ns::CAPS).attr("node", NODE).into(),
        };
        Capabilities { info, caps }
    }

    /// The `<c/>` for presence.
    #[must_use]
    pub fn presence_child(&self) -> &Element {
        &self.caps
    }

    /// The `<query/>` of a `disco#info` result; `node` is echoed.
    #[must_use]
    pub fn query(&self, node: Option<&str>) -> Element {
        DiscoInfoResult { node: node.map(str::to_owned), ..self.info.clone() }.into()
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_answer_as_xep_0115_computes_it() {
        use base64::Engine;
        let expected = "client/bot/en/innkeeper<\
            http://jabber.org/protocol/caps<http://jabber.org/protocol/disco#info<urn:xmpp:ping<";
        let hash = hash_caps(expected.as_bytes(), Algo::Sha_1).expect("SHA-1 is known");
        let caps = Capabilities::new();
        let ver = base64::engine::general_purpose::STANDARD.encode(hash.hash);
        assert_eq!(caps.presence_child().attr("ver"), Some(ver.as_str()));
        assert_eq!(caps.presence_child().attr("node"), Some(NODE));
        assert_eq!(caps.query(Some("n#v")).attr("node"), Some("n#v"));
    }
}
