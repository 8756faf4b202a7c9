//! What is parsed and written again is the same, in a stream and in a message; nothing panics; limits hold.
#![no_main]

use innkeeper::xml::{self, CLIENT, Element, Limits};
use libfuzzer_sys::fuzz_target;

fn measure(element: &Element) -> (usize, usize) {
    let (mut nodes, mut depth) = (0, 0);
    let mut open = vec![(element, 1)];
    while let Some((element, level)) = open.pop() {
        nodes += 1 + element.attrs().len() + element.texts().count();
        depth = depth.max(level);
        open.extend(element.children().map(|child| (child, level + 1)));
    }
    (nodes, depth)
}

fn same(element: &Element) {
    let unlimited = Limits { stanza_bytes: usize::MAX, depth: usize::MAX, nodes: usize::MAX, token_bytes: usize::MAX };
    let text = xml::to_string(element, Some(CLIENT));
    let again = xml::parse(text.as_bytes(), &unlimited).unwrap_or_else(|bad| panic!("{text:?}: {bad:?}"));
    assert_eq!(*element, again, "{text:?}");
    assert_eq!(text, xml::to_string(&again, Some(CLIENT)));
    // A message stands alone: whatever is around it, it means the same.
    let text = xml::to_string(element, None);
    if !element.has_ns("") {
        let again = xml::parse(text.as_bytes(), &unlimited).unwrap_or_else(|bad| panic!("{text:?}: {bad:?}"));
        assert_eq!(*element, again, "{text:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let tight = Limits { stanza_bytes: 4096, depth: 4, nodes: 24, token_bytes: 64 };
    match xml::parse(data, &Limits::default()) {
        Ok(element) => same(&element),
        Err(bad) => {
            let _ = bad.rest.as_ref().map(same);
        }
    }
    match xml::parse(data, &tight) {
        Ok(element) => {
            let (nodes, depth) = measure(&element);
            assert!(nodes <= tight.nodes && depth <= tight.depth, "{nodes} nodes, {depth} levels");
        }
        Err(bad) => {
            if let Some(rest) = &bad.rest {
                // Some nodes are kept on a reserve.
                let (nodes, depth) = measure(rest);
                assert!(nodes <= tight.nodes + 1024 && depth <= tight.depth, "{nodes} nodes, {depth} levels");
                same(rest);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = xml::parse_message(text, &tight);
    }
});
