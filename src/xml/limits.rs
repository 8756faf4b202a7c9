//! What one stanza may cost.

/// Bounds on one stanza. Beyond them it is refused, counted, and the stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole stanza.
    pub stanza_bytes: usize,
    /// Levels of elements, the stanza itself being the first.
    pub depth: usize,
    /// Elements, attributes and runs of text together.
    pub nodes: usize,
    /// Bytes of one name, attribute value or run of text.
    pub token_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // 256 KiB is Prosody's own limit on what a client may send (`c2s_stanza_size_limit`).
        Limits { stanza_bytes: 256 * 1024, depth: 64, nodes: 20_000, token_bytes: 256 * 1024 }
    }
}
