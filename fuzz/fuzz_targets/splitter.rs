//! What a splitter hands on does not depend on how the bytes arrive, and it holds nothing between two stanzas.
#![no_main]

use innkeeper::xml::{Limits, Piece, Splitter};
use libfuzzer_sys::fuzz_target;

const OPEN: &[u8] = b"<stream:stream xmlns='jabber:client'>";

/// What comes out, in words. The text of an error quotes the piece it was found in, so only its kind counts.
fn split<'a>(limits: Limits, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut splitter = Splitter::new(limits);
    let mut out = Vec::new();
    for chunk in chunks {
        let pushed = splitter.push(chunk, |piece| {
            out.push(match piece {
                Piece::Stanza(bytes) => format!("Stanza {bytes:?}"),
                other => format!("{other:?}"),
            });
        });
        if let Err(broken) = pushed {
            out.push(format!("{:?}", std::mem::discriminant(&broken)));
            break;
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    // Three bytes choose how to cut, how long a stanza may be, and whether the stream is open already.
    let [cut, limit, opened, data @ ..] = data else { return };
    let limits = Limits { stanza_bytes: 64 + usize::from(*limit) * 4, ..Limits::default() };
    let mut stream = if opened & 1 == 1 { OPEN.to_vec() } else { Vec::new() };
    stream.extend_from_slice(data);
    let whole = split(limits, std::iter::once(&stream[..]));
    let cut = usize::from(*cut) % 32 + 1;
    assert_eq!(whole, split(limits, stream.chunks(cut)), "in pieces of {cut}");
    assert_eq!(whole, split(limits, stream.chunks(1)), "byte by byte");
});
