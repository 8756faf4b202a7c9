//! Both readers of captures and everything that is said of a dialogue take anything; what is written is read again.
#![no_main]

use innkeeper::capture::{self, Content, equiv, explain, show, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(dialogue) = capture::read(data) else {
        // What is no capture is looked through as a log.
        if let Some(told) = explain::log_line(&String::from_utf8_lossy(data)) {
            drop(told.sentences());
        }
        return;
    };
    let told = explain::explain(&dialogue);
    drop(told.sentences());
    if let Some(service) = &told.service {
        assert!(service.parse::<toml::Table>().is_ok(), "{service}");
    }
    drop(show::blocks(&show::redacted(&dialogue, false)));
    for report in equiv::diff(&dialogue, &dialogue) {
        assert!(!report.differs(), "not what it is itself: {report:#?}");
    }

    let written = text::write(&dialogue);
    let again = text::read(&written).expect("what was written");
    let count = |dialogue: &capture::Dialogue| dialogue.connections.iter().map(|one| one.messages.len()).sum::<usize>();
    assert_eq!(count(&dialogue), count(&again), "{written}");
    let elements = |dialogue: &capture::Dialogue| {
        let messages = dialogue.connections.iter().flat_map(|connection| &connection.messages);
        let elements = messages.filter_map(|message| match &message.content {
            Content::Element(element) => Some(element.clone()),
            _ => None,
        });
        elements.collect::<Vec<_>>()
    };
    // Line ends in what is no element are written as spaces, and it may be one then.
    let mut all = dialogue.connections.iter().flat_map(|one| &one.messages);
    if !all.any(|message| matches!(&message.content, Content::Text { text, .. } if text.contains(['\n', '\r']))) {
        assert_eq!(elements(&dialogue), elements(&again), "{written}");
    }
});
