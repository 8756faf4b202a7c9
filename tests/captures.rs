//! What `innkeeper capture` prints, file by file.
//!
//! The expected text lies in `tests/expected/`. `INNKEEPER_EXPECT=write` writes it anew: look at what changed before
//! you commit it. `make test-captures DIR=…` does the same for captures that are not part of the project; their expected
//! text is found by the SHA-256 of the file.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};

const WRITE: &str = "INNKEEPER_EXPECT";
/// The folder of captures that are not part of the project.
const FOREIGN: &str = "INNKEEPER_CAPTURES";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn capture(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
    command.arg("capture").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("innkeeper starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that does not read its input closes it.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("innkeeper ends")
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Compares, or writes; says what differs.
fn expect(path: &Path, text: &str) -> Result<(), String> {
    if std::env::var(WRITE).is_ok_and(|value| value == "write") {
        fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("writing");
        return Ok(());
    }
    let name = path.strip_prefix(root()).unwrap_or(path).display();
    let expected = fs::read_to_string(path).map_err(|error| format!("{name}: {error}; {WRITE}=write writes it"))?;
    let mut lines = expected.lines().zip(text.lines()).enumerate();
    match lines.find(|(_, (expected, printed))| expected != printed) {
        Some((n, (expected, printed))) => Err(format!("{name}:{}\n  expected {expected}\n  printed  {printed}", n + 1)),
        None if expected != text => Err(format!("{name}: one of the texts goes on where the other ends")),
        None => Ok(()),
    }
}

/// The captures in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.is_file() && file.file_name().is_some_and(|name| name != "README.md"));
    files.sort();
    files
}

fn fail_with(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_capture_is_shown_and_explained_as_expected() {
    let mut problems = Vec::new();
    let mut wanted = BTreeSet::new();
    for file in files(&root().join("packet_captures")) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        for verb in ["show", "explain"] {
            let output = capture(&[verb, &file.to_string_lossy()], b"");
            assert!(output.status.success(), "{verb} {name}: {}", complaint(&output));
            let expected = format!("{name}.{verb}");
            problems.extend(expect(&root().join("tests/expected").join(&expected), &printed(&output)).err());
            wanted.insert(expected);
        }
    }
    assert!(wanted.len() >= 14, "{wanted:?}");
    for file in files(&root().join("tests/expected")) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        if !wanted.contains(&name) {
            problems.push(format!("{name}: of no capture in packet_captures/"));
        }
    }
    fail_with(&problems);
}

#[test]
#[ignore = "wants a folder of captures: make test-captures DIR=…"]
fn foreign_captures_are_explained_as_expected() {
    let folder = std::env::var_os(FOREIGN).filter(|folder| !folder.is_empty());
    let folder = PathBuf::from(folder.unwrap_or_else(|| panic!("no folder named: make test-captures DIR=…")));
    assert!(folder.is_dir(), "{} is no folder: make test-captures DIR=…", folder.display());
    let files = files(&folder);
    assert!(!files.is_empty(), "{} holds no capture", folder.display());
    let expected = root().join("tests/expected/foreign");
    let mut problems = Vec::new();
    for file in &files {
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let output = capture(&["explain", "-"], &bytes);
        let text = printed(&output) + &complaint(&output);
        problems.extend(
            expect(&expected.join(format!("{hash}.explain")), &text)
                .err()
                .map(|why| format!("{}: {why}", file.display())),
        );
        // What innkeeper says to the same server, where somebody wrote that down.
        let ours = expected.join(format!("{hash}.ours"));
        if ours.is_file() {
            let output = capture(&["diff", &file.to_string_lossy(), &ours.to_string_lossy()], b"");
            let text = printed(&output) + &complaint(&output);
            problems.extend(expect(&expected.join(format!("{hash}.diff")), &text).err());
            assert!(output.status.success(), "{} is not equivalent:\n{text}", file.display());
        }
        println!("{}: as expected", file.display());
    }
    fail_with(&problems);
}

#[test]
fn what_is_no_capture_fails_with_a_clear_sentence() {
    for (input, says) in [
        (&b""[..], "innkeeper: standard input: the file is empty: it holds 0 bytes\n"),
        (
            b"<!DOCTYPE html><html></html>",
            "innkeeper: standard input: this is an HTML page, no capture; a capture is a HAR",
        ),
        (b"{\"name\":\"x\"}", "innkeeper: standard input: this is JSON, but no HAR and no list of WebSocket messages"),
        (b"{\"log\":{\"entries\":[]}}", "innkeeper: standard input: this HAR holds no XMPP: 0 entries"),
    ] {
        for verb in ["show", "explain"] {
            let output = capture(&[verb, "-"], input);
            assert_eq!(output.status.code(), Some(1));
            assert!(complaint(&output).starts_with(says), "{}", complaint(&output));
            assert_eq!(printed(&output), "");
        }
    }
}

const LOGIN: &[u8] = b"\
== websocket wss://meet.example/xmpp-websocket?room=a&token=eyJhbGciOiJub25lIn0.eyJyb29tIjoiKiJ9.c2VjcmV0
> 0 <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAaHVudGVyMg==</auth>
< 1 <message from='a@b/c' type='groupchat'><body>\xe2\x80\xaegood evening</body></message>
";

#[test]
fn secrets_are_shown_on_a_terminal_alone() {
    let output = capture(&["show", "--raw", "-"], LOGIN);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("only on a terminal"), "{}", complaint(&output));
    assert_eq!(printed(&output), "");
    for arguments in [["show", "-"], ["explain", "-"]] {
        for json in [&[][..], &["--json"]] {
            let output = capture(&[&arguments[..], json].concat(), LOGIN);
            let text = printed(&output);
            assert!(output.status.success(), "{}", complaint(&output));
            for secret in ["AGEAaHVudGVyMg", "eyJ", "c2VjcmV0", "good evening", "\u{202e}", "\u{1b}"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
    let output = capture(&["show", "--content", "-"], LOGIN);
    assert!(printed(&output).contains("\\u{202e}good evening"), "{}", printed(&output));
}

#[test]
fn a_pasted_log_line_about_extdisco_is_explained() {
    let line = b"[modules/xmpp] getting turn credentials (extdisco:2) failed <iq from=\"meet.jitsi\" \
        to=\"x@guest.meet.jitsi/y\" type=\"error\"><error><service-unavailable/></error></iq>\n";
    let text = printed(&capture(&["explain", "-"], line));
    for says in ["asked meet.jitsi", "logged in at guest.meet.jitsi", "service-unavailable", "not why a join failed"] {
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_difference_is_the_exit_code() {
    let file = root().join("packet_captures/jitsi-direct-login.txt");
    let text = fs::read_to_string(&file).expect("a dialogue");
    let file = file.to_string_lossy();
    let output = capture(&["diff", &file, "-"], text.as_bytes());
    assert_eq!((output.status.code(), printed(&output).lines().last()), (Some(0), Some("equivalent")));
    let output = capture(&["diff", &file, "-"], text.replace("to='focus.meet.jitsi'", "to='focus.example'").as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("to \"focus.example\" instead of \"focus.meet.jitsi\""), "{}", printed(&output));
}
