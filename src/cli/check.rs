//! `check`: the configuration, without a daemon.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::ask::json as pretty;
use super::print::{self, Paint, table};
use super::{CONFIG, Exit};
use crate::app::{self, Problems};
use crate::config::{Config, Endpoint, Login, Room, Service, Token};
use crate::telemetry::text::printable;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file; `rooms.d` lies beside it
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn go(self) -> Exit {
        match app::load(&self.config, true) {
            Ok(config) => {
                print::out(&if self.json { as_json(&config) } else { show(&config, Paint::of_stdout()) });
                Exit::Done
            }
            Err(problems) => {
                if self.json {
                    print::out(&pretty(&json!({ "ok": false, "problems": problems.problems })));
                } else {
                    eprint!("{}", complain(&problems, Paint::of_stdout()));
                }
                Exit::Configuration
            }
        }
    }
}

/// All problems as a compiler shows them.
pub(super) fn complain(problems: &Problems, paint: Paint) -> String {
    let mut text = String::new();
    for problem in &problems.problems {
        let shown = problem.with_source();
        let lines = shown.lines().map(printable).collect::<Vec<_>>().join("\n");
        text.push_str(&lines);
        text.push_str("\n\n");
    }
    let last = format!("{} in {}", count(problems.problems.len(), "problem"), problems.folder.display());
    text.push_str(&paint.red(&printable(&last)));
    text.push('\n');
    text
}

fn account(service: &Service) -> String {
    match &service.login {
        Login::Direct { account, .. } => format!("{account}@{}", service.domain),
        Login::Guest { account, domain, guest, .. } => {
            let who = guest.as_ref().map_or("anonymous".to_owned(), |(name, _)| name.clone());
            format!("{who}@{domain}, upgraded by a session-id of {account}@{}", service.domain)
        }
        Login::Token(token) => {
            let source = match &**token {
                Token::File { path, .. } => format!("from {}", path.display()),
                Token::Minted { claims, .. } => format!("made here as {}", claims.issuer),
            };
            format!("anonymous at {} with a token {source}", service.domain)
        }
        Login::Anonymous => format!("anonymous at {}", service.domain),
    }
}

/// What will happen on the wire, in one line.
fn flow(service: &Service) -> String {
    let transport = match &service.endpoint {
        Endpoint::WebSocket(url) if url.scheme() == "wss" => "WebSocket over TLS",
        Endpoint::WebSocket(_) => "WebSocket on this machine",
        Endpoint::DirectTls(_) => "direct TLS",
        Endpoint::StartTls(_) => "TCP with STARTTLS",
        Endpoint::Srv => "what the SRV records name",
    };
    let mechanisms = match &service.mechanisms {
        Some(list) => list.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or "),
        None => "SCRAM".to_owned(),
    };
    let domain = &service.domain;
    let login = match &service.login {
        Login::Direct { account, .. } => format!("{account}@{domain} by {mechanisms}"),
        Login::Guest { account, domain: guests, guest, .. } => {
            let holder = match guest {
                Some((name, _)) => format!("{name}@{guests} by {mechanisms}"),
                None => format!("ANONYMOUS on {guests}"),
            };
            format!("{holder}, made moderator by a session-id that {account}@{domain} fetches by {mechanisms}")
        }
        Login::Token(_) => format!("ANONYMOUS on {domain} with a fresh token in the URL each time"),
        Login::Anonymous => format!("ANONYMOUS on {domain}"),
    };
    let focus = match (&service.focus, &service.login) {
        (None, _) => "no focus".to_owned(),
        (Some(focus), Login::Guest { .. }) => format!("asks {focus}"),
        (Some(focus), Login::Anonymous) => format!("asks {focus}, where who comes first is moderator"),
        (Some(focus), _) => format!("asks {focus}, which gives the login its session-id"),
    };
    let muc = service.muc.as_deref().unwrap_or("the group chat service found by disco");
    let rooms = match service.rooms_per_session {
        1 if matches!(service.endpoint, Endpoint::WebSocket(_)) => "one room a session, named in its URL".to_owned(),
        1 => "one room a session".to_owned(),
        many => format!("up to {many} rooms a session"),
    };
    format!("{transport}; {login}; {focus}; joins rooms at {muc}; {rooms}")
}

fn show(config: &Config, paint: Paint) -> String {
    let mut text = String::new();
    for service in config.services.values() {
        let rooms: Vec<&Room> =
            config.rooms.values().map(AsRef::as_ref).filter(|room| *room.key.service == *service.name).collect();
        text.push_str(&paint.bold(&format!("service {}", service.name)));
        text.push('\n');
        text.push_str(&print::facts(&[
            ("  reached at", service.endpoint.to_string()),
            ("  account", account(service)),
            ("  rooms are at", service.muc.clone().unwrap_or_else(|| "found and verified at login".to_owned())),
            ("  focus", service.focus.clone().unwrap_or_else(|| "none, plain XMPP rooms".to_owned())),
            ("  on the wire", flow(service)),
            ("  holds", format!("{}, {} a session", count(rooms.len(), "room"), service.rooms_per_session)),
        ]));
        if !rooms.is_empty() {
            let rows: Vec<Vec<String>> = rooms
                .iter()
                .map(|room| {
                    let domain = room.muc.as_deref().map(|muc| format!("@{muc}")).unwrap_or_default();
                    vec![
                        format!("  {}{domain}", room.key.name),
                        room.nick.to_string(),
                        room.display_name.to_string(),
                        if room.password.is_some() { "yes".to_owned() } else { String::new() },
                        subject(room).unwrap_or_default().to_owned(),
                        room.origin.to_string(),
                    ]
                })
                .collect();
            let head = ["  ROOM", "NICK", "DISPLAY NAME", "PASSWORD", "SUBJECT", "WRITTEN IN"];
            text.push_str(&table(&head, &rows, paint));
        }
        text.push('\n');
    }
    for warning in &config.warnings {
        text.push_str(&format!("warning: {}\n", printable(warning)));
    }
    let (rooms, services) = (count(config.rooms.len(), "room"), count(config.services.len(), "service"));
    text.push_str(&format!("fine: {rooms} on {services}\n"));
    text
}

/// `1 room`, `2 rooms`.
fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn subject(room: &crate::config::Room) -> Option<&str> {
    room.moderated.as_ref()?.locked.subject.as_deref()
}

fn as_json(config: &Config) -> String {
    let services: Vec<_> = config
        .services
        .values()
        .map(|service| {
            json!({
                "name": service.name,
                "endpoint": service.endpoint.to_string(),
                "domain": service.domain,
                "flow": flow(service),
                "account": match &service.login {
                    Login::Direct { account, .. } | Login::Guest { account, .. } => Some(account),
                    Login::Anonymous | Login::Token(_) => None,
                },
                "muc": service.muc,
                "focus": service.focus,
                "rooms_per_session": service.rooms_per_session,
            })
        })
        .collect();
    let rooms: Vec<_> = config
        .rooms
        .values()
        .map(|room| {
            json!({
                "service": &*room.key.service,
                "name": &*room.key.name,
                "muc": room.muc,
                "nick": &*room.nick,
                "display_name": &*room.display_name,
                "has_password": room.password.is_some(),
                "subject": subject(room),
                "origin": room.origin,
            })
        })
        .collect();
    pretty(&json!({
        "ok": true,
        "services": services,
        "rooms": rooms,
        "control_socket": config.control_socket,
        "state_dir": config.state_dir,
        "warnings": config.warnings,
    }))
}
