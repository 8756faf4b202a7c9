//! `migrate`: from another program's configuration to ours.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{Exit, input, print};
use crate::app;
use crate::telemetry::text::printable;

#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// From the config.json of SkotOS-jitsi-admin
    SkotosJitsiAdmin(SkotosJitsiAdmin),
}

#[derive(Debug, Args)]
pub(super) struct SkotosJitsiAdmin {
    /// Its config.json
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where innkeeper.toml and the password's file are written; neither may be there already
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// The keys that SkotOS-jitsi-admin documents.
const KEYS: [&str; 4] = ["service", "domain", "connectUser", "connectPassword"];
const PASSWORD: &str = "meet.password";

impl Migrate {
    pub(super) fn go(self) -> Exit {
        let Migrate::SkotosJitsiAdmin(SkotosJitsiAdmin { file, out }) = self;
        let done = read(&file).and_then(|old| {
            let (text, notes) = configuration(&old)?;
            write(&out, &text, old.get("connectPassword").and_then(Value::as_str).unwrap_or_default())?;
            Ok(notes)
        });
        let notes = match done {
            Ok(notes) => notes,
            Err(why) => {
                eprintln!("innkeeper: {}", printable(&why));
                return Exit::Failed;
            }
        };
        let written = out.join("innkeeper.toml");
        let mut text = format!("written: {} and {}\n", written.display(), out.join(PASSWORD).display());
        for note in notes {
            text.push_str(&format!("- {note}\n"));
        }
        print::out(&text);
        match app::load(&written, true) {
            Ok(_) => Exit::Done,
            Err(problems) => {
                for problem in &problems.problems {
                    eprintln!("innkeeper: {}", printable(&problem.to_string()));
                }
                Exit::Configuration
            }
        }
    }
}

fn read(file: &Path) -> Result<Map<String, Value>, String> {
    let text = input::text(Some(file), u64::MAX)?;
    // The parser's words may quote the text, which holds a password; line and column say enough.
    let place =
        |error: serde_json::Error| format!("{}:{}:{}: not a JSON object", file.display(), error.line(), error.column());
    serde_json::from_str(&text).map_err(place)
}

/// Our configuration, and what is worth saying about it.
fn configuration(old: &Map<String, Value>) -> Result<(String, Vec<String>), String> {
    let text = |key: &str| match old.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim()),
        Some(_) => Err(format!("{key}: a text is expected")),
        None => Err(format!("{key} is missing: config.json has {}", KEYS.join(", "))),
    };
    let (service, domain, user) = (text("service")?, text("domain")?, text("connectUser")?);
    text("connectPassword")?;
    let (account, own_domain) = user.split_once('@').unwrap_or((user, domain));
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let url = service.split_once('?').map_or(service, |(url, _)| url);
    let mut notes = vec![
        "connectUser and connectPassword were never used before: that program came in as a guest and was moderator \
         of nothing. Now the account logs in; it must exist on the main domain (prosodyctl register)"
            .to_owned(),
        format!(
            "the rooms were looked for at conference.{domain}, which Jitsi's Docker images do not have; left out here, \
             the right address is found after the login"
        ),
        "rooms had random names and ended with the program: write those that you want, as the last lines of \
         innkeeper.toml show"
            .to_owned(),
        format!("the password is in {PASSWORD}, readable by its owner alone; the daemon's user must own it"),
    ];
    if own_domain != domain {
        notes.push(format!("connectUser is of {own_domain} and domain says {domain}: the account's own domain counts"));
    }
    if url != service {
        notes.push("what stood behind ? in service is left out: the room is put there by itself".to_owned());
    }
    for key in old.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        notes.push(format!("{key:?} was never read by that program either, and is left out"));
    }
    let lines = format!(
        "# From SkotOS-jitsi-admin's config.json; `innkeeper check` says what will happen.\n\n\
         [service.meet]\nurl = {}\ndomain = {}\naccount = {}\npassword_file = {}\n\n\
         # One for each room that is always to be open.\n# [[room]]\n# service = \"meet\"\n# name = \"jitsi_chat_default\"\n",
        quoted(url),
        quoted(own_domain),
        quoted(account),
        quoted(PASSWORD),
    );
    Ok((lines, notes))
}

/// Writes both files, the password's for its owner alone. What is there already is never replaced.
fn write(folder: &Path, text: &str, password: &str) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, text, mode) in [(PASSWORD, password, 0o600), ("innkeeper.toml", text, 0o644)] {
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{} is there already; --out names another folder", path.display()),
            _ => format!("{}: {error}", path.display()),
        })?;
    }
    Ok(())
}
