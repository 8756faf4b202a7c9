//! What shells and `man` are given, in their own eyes.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::process::{Command, Stdio};

fn innkeeper(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_innkeeper")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn bash_completes_verbs_and_options() {
    let (code, script, _) = innkeeper(&["completions", "bash"]);
    assert_eq!(code, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("innkeeper.bash");
    fs::write(&path, script).unwrap();
    // As bash calls it: the word before the cursor, the command, the word before that.
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let ask = format!(
            "source {path:?}; COMP_WORDS=({}); COMP_CWORD={last}; _innkeeper innkeeper {:?} {:?}; echo ${{COMPREPLY[@]}}",
            words.iter().map(|word| format!("{word:?} ")).collect::<String>(),
            words[last],
            words[last - 1],
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).stderr(Stdio::inherit()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete(&["innkeeper", "relo"]).trim(), "reload");
    assert!(complete(&["innkeeper", "reload", "--"]).contains("--plan"));
    assert!(complete(&["innkeeper", "why", "l"]).contains("lobby"));
}

#[test]
fn every_shell_gets_a_script_that_knows_all_verbs_and_another_is_a_usage_error() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = innkeeper(&["completions", shell]);
        assert_eq!(code, Some(0));
        for verb in innkeeper::cli::verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
    }
    assert_eq!(innkeeper(&["completions", "cmd"]).0, Some(64));
}

#[test]
fn every_verb_has_a_manual_page_and_the_first_names_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(innkeeper(&["man", pages.to_str().unwrap()]).0, Some(0));
    let first = fs::read_to_string(pages.join("innkeeper.1")).unwrap();
    assert_eq!(innkeeper(&["man"]).1, first);
    assert!(first.contains(".TH innkeeper 1"), "{first}");
    for verb in innkeeper::cli::verbs().iter().filter(|verb| *verb != "help") {
        assert!(pages.join(format!("innkeeper-{verb}.1")).exists(), "{verb}");
        assert!(first.contains(&format!("innkeeper\\-{}(1)", verb.replace('-', "\\-"))), "{verb}: {first}");
    }
    fs::write(folder.path().join("file"), "").unwrap();
    let (code, _, error) = innkeeper(&["man", folder.path().join("file/x").to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with("innkeeper: "), "{error}");
}
