//! What the README says is true.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;

use innkeeper::config::{Content, File, Files, Input, check};

const README: &str = include_str!("../README.md");

/// The first column of the README's table of commands.
fn commands_of_the_readme() -> Vec<String> {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `innkeeper "));
    let mut verbs: Vec<String> = rows.filter_map(|row| row.split(['`', ' ']).next().map(str::to_owned)).collect();
    verbs.sort();
    verbs.dedup();
    verbs
}

#[test]
fn every_verb_is_in_the_readme_and_no_other() {
    let mut verbs = innkeeper::cli::verbs();
    verbs.retain(|verb| verb != "help");
    verbs.sort();
    assert_eq!(commands_of_the_readme(), verbs);
}

struct Password;

impl Files for Password {
    fn read(&self, _: &std::path::Path) -> Result<Content, String> {
        Ok(Content { bytes: b"correct-horse-battery".to_vec(), others_may_read: false })
    }
}

#[test]
fn the_configuration_in_the_readme_is_a_configuration() {
    let blocks: Vec<String> = README
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|block| block.lines().map(str::trim_start).collect::<Vec<_>>().join("\n"))
        .collect();
    assert_eq!(blocks.len(), 4, "the main file, a room, the HTTP interface and a policy");
    let files = blocks.into_iter().enumerate().map(|(n, text)| File { name: format!("block {n}"), text }).collect();
    let env = vec![("CREDENTIALS_DIRECTORY".to_owned(), "/run/credentials/innkeeper.service".to_owned())];
    let base = PathBuf::from("/etc/innkeeper");
    let config = check(&Input { files, env, base, offline: false, secrets: &Password });
    let config = config.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((config.services.len(), config.rooms.len()), (1, 1));
}
