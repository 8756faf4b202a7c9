use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::capture::{self, Content, Dialogue};

const WAIT: Duration = Duration::from_secs(10);

fn recorder(folder: &Path) -> Recorder {
    let recorder = Recorder::start(None).unwrap();
    let settings = Settings { folder: folder.to_owned(), content: false };
    recorder.shared.services.lock().unwrap().insert("meet".to_owned(), settings);
    recorder
}

fn label(account: bool) -> Label {
    Label { service: "meet".into(), slot: 0, account }
}

fn tape(recorder: &Recorder) -> Tape {
    recorder.tape(label(false), "wss://h/x?room=tavern&token=abcdefgh".to_owned()).unwrap()
}

/// What the folder holds, by file name.
fn files(folder: &Path) -> Vec<(String, Dialogue)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = fs::read(&path).unwrap();
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("a whole file");
            (path.file_name().unwrap().to_string_lossy().into_owned(), capture::read(&bytes).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn texts(dialogue: &Dialogue) -> Vec<String> {
    let text = |message: &capture::Message| match &message.content {
        Content::Element(element) => crate::xml::to_string(element, Some(crate::xml::CLIENT)),
        Content::Text { text, .. } => format!("text {text}"),
        Content::Event(what) => format!("event {what}"),
    };
    dialogue.connections[0].messages.iter().map(text).collect()
}

#[test]
fn a_connection_becomes_a_redacted_file_that_is_whole_while_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(&folder.path().join("rec"));
    let mut one = tape(&recorder);
    one.said(Direction::Sent, "<resume xmlns='urn:xmpp:sm:3' previd='abcdefgh' h='1'/>".to_owned());
    recorder.finish(WAIT);
    assert_eq!(files(&folder.path().join("rec")).len(), 1);
    one.said(Direction::Received, "<message xmlns='jabber:client'><body>hush</body></message>".to_owned());
    one.event("lost: token=abcdefgh".to_owned());
    drop(one);
    let mut other = recorder.tape(label(true), "wss://h/x".to_owned()).unwrap();
    other.said(Direction::Sent, "<resume xmlns='urn:xmpp:sm:3' previd='abcdefgh' h='2'/>".to_owned());
    recorder.finish(WAIT);
    let files = files(&folder.path().join("rec"));
    assert_eq!(files.len(), 2);
    let (name, first) = files.iter().find(|(name, _)| !name.contains("account")).unwrap();
    assert!(name.starts_with("meet-s0-2"), "{name}");
    assert_eq!(first.connections[0].url.as_deref(), Some("wss://h/x?room=tavern&token=token-1"));
    assert_eq!(
        texts(first),
        [
            "<resume xmlns='urn:xmpp:sm:3' h='1' previd='token-1'/>",
            "<message><body>[masked]</body></message>",
            "event lost: token=token-1",
        ]
    );
    // One secret has one name in all recordings of a service.
    let (_, second) = files.iter().find(|(name, _)| name.contains("account")).unwrap();
    assert_eq!(texts(second), ["<resume xmlns='urn:xmpp:sm:3' h='2' previd='token-1'/>"]);
}

#[test]
fn what_is_not_recorded_has_no_tape_and_what_says_nothing_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path());
    let other = Label { service: "other".into(), slot: 0, account: false };
    assert!(recorder.tape(other, String::new()).is_none());
    drop(tape(&recorder));
    recorder.finish(WAIT);
    assert_eq!(files(folder.path()).len(), 0);
}

#[test]
fn what_does_not_fit_into_the_queue_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path());
    let mut tape = tape(&recorder);
    tape.said(Direction::Sent, "<a/>".to_owned());
    recorder.finish(WAIT);
    // As if the disk had not taken anything for a while.
    recorder.shared.bytes.fetch_add(QUEUED_BYTES, Ordering::Relaxed);
    tape.said(Direction::Sent, "<b/>".to_owned());
    tape.said(Direction::Sent, "<c/>".to_owned());
    recorder.shared.bytes.fetch_sub(QUEUED_BYTES, Ordering::Relaxed);
    tape.said(Direction::Sent, "<d/>".to_owned());
    recorder.finish(WAIT);
    let gap = "event 2 messages are missing here: they could not be written in time";
    assert_eq!(texts(&files(folder.path())[0].1), ["<a/>", gap, "<d/>"]);
    assert_eq!(recorder.shared.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_full_file_goes_on_in_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path());
    let mut tape = tape(&recorder);
    let long = format!("<iq xmlns='jabber:client' id='{}'/>", "x".repeat(1024 * 1024));
    for _ in 0..10 {
        tape.said(Direction::Sent, long.clone());
        recorder.finish(WAIT);
    }
    drop(tape);
    recorder.finish(WAIT);
    let files = files(folder.path());
    assert_eq!(files.len(), 2);
    assert_eq!(files.iter().map(|(_, dialogue)| dialogue.connections[0].messages.len()).sum::<usize>(), 10);
    let size = fs::metadata(folder.path().join(&files[0].0)).unwrap().len();
    assert!(size <= super::files::FILE_BYTES, "{size}");
    let second = fs::read_to_string(folder.path().join(&files[1].0)).unwrap();
    assert!(second.contains(&format!("continues {}", files[0].0)));
}

#[test]
fn a_folder_that_vanishes_or_refuses_hurts_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("rec");
    let recorder = recorder(&folder);
    let mut one = tape(&recorder);
    one.said(Direction::Sent, "<a/>".to_owned());
    recorder.finish(WAIT);
    fs::remove_dir_all(&folder).unwrap();
    one.said(Direction::Sent, "<b/>".to_owned());
    recorder.finish(WAIT);
    assert_eq!(texts(&files(&folder)[0].1), ["<b/>"]);
    // A file in the place of the folder: nothing can be written, and nothing breaks.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    one.said(Direction::Sent, "<c/>".to_owned());
    recorder.finish(WAIT);
    fs::remove_file(&folder).unwrap();
    drop(one);
    let mut other = tape(&recorder);
    other.said(Direction::Sent, "<d/>".to_owned());
    recorder.finish(WAIT);
    let shown: Vec<_> = files(&folder).iter().map(|(_, dialogue)| texts(dialogue)).collect();
    assert!(shown.contains(&vec!["<d/>".to_owned()]), "{shown:?}");
}
