//! `[[avchat]]`: games that ask for tokens as SkotOS does. As it was written and as it is meant. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Checker, View, quoted};
use super::line::{Dial, dial};
use super::raw::Section;
use super::{Login, Service, Token, room_name};
use crate::pattern::Pattern;
use crate::token::LONGEST;

/// The room that the game means when it names none.
const DEFAULT_ROOM: &str = "jitsi_chat_default";

/// A game that asks for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvChat {
    /// How the log and the audit call it.
    pub name: String,
    /// For which service's rooms; tokens are signed as that service's own are.
    pub service: String,
    /// The port that the game opens.
    pub dial: Dial,
    /// For which of its rooms, by name.
    pub rooms: Pattern,
    /// The room when the game names none.
    pub default_room: String,
    /// The longest life of a token, and that of one for which none is said.
    pub token_life: Duration,
    /// Whether it may ask for moderators.
    pub may_grant: bool,
    /// Whether tokens are made although the deployment may make their bearers owners.
    pub accept_owner: bool,
}

impl Checker<'_> {
    /// Every `[[avchat]]`.
    pub(super) fn avchats(&mut self, sections: &[Section], services: &BTreeMap<String, Service>) -> Vec<AvChat> {
        let mut games: Vec<AvChat> = Vec::new();
        for section in sections {
            let view = View::new("avchat", section);
            let name = self.name(view);
            let service = self.one_of(view, "service", &services.keys().map(String::as_str).collect::<Vec<_>>());
            if let (Some(service), Some(entry)) = (&service, view.entry("service"))
                && let Some(Service { login, .. }) = services.get(service)
                && !matches!(login, Login::Token(token) if matches!(**token, Token::Minted { .. }))
            {
                let expected = "a service with login = \"token\", app_id and secret_file or key_file";
                self.wrong(view, "service", &entry.at, "it has nothing to sign tokens with", expected);
            }
            for key in ["dial", "rooms"] {
                if view.entry(key).is_none() {
                    self.wrong(view, key, &section.at, "missing", format!("{key} = \"…\" in this [[avchat]]"));
                }
            }
            let base = self.input.base.clone();
            let expected = "\"127.0.0.1:PORT\", \"unix:PATH\" or \"tls://HOST:PORT\"";
            let dial = self.parsed(view, "dial", expected, |text| dial(text, &base, None));
            let rooms = self.parsed(view, "rooms", "a pattern such as \"jitsi_*\"", |text| match text {
                "" | "*" => Err("every room there is, and a token is never for all".to_owned()),
                text if text.contains('/') => Err("with a slash, and service says which service".to_owned()),
                text => Ok(Pattern::new(text)),
            });
            let default_room = self.parsed(view, "default_room", "a room's name", |text| match room_name(text) {
                Ok((room, None)) => Ok(room),
                _ => Err("no room's name".to_owned()),
            });
            if let (Some(rooms), Some(room), Some(entry)) = (&rooms, &default_room, view.entry("default_room"))
                && !rooms.matches(room)
            {
                let what = format!("{} is none of its rooms", quoted(room));
                self.wrong(
                    view,
                    "default_room",
                    &entry.at,
                    what,
                    format!("one that fits rooms, \"{}\"", rooms.as_str()),
                );
            }
            let second = Duration::from_secs(1);
            let token_life = self.duration(view, "token_life", second * 30, LONGEST);
            let may_grant = self.flag(view, "may_grant").unwrap_or(false);
            let accept_owner = self.flag(view, "accept_owner").unwrap_or(false);
            let (Some(name), Some(service), Some(dial), Some(rooms)) = (name, service, dial, rooms) else { continue };
            if games.iter().any(|other| other.name == name) {
                let at = view.entry("name").map_or(&section.at, |entry| &entry.at);
                let what = format!("another avchat is called {} already", quoted(&name));
                self.wrong(view, "name", at, what, "each name once");
            }
            let default_room = default_room.unwrap_or_else(|| DEFAULT_ROOM.to_owned());
            let token_life = token_life.unwrap_or(second * 3600);
            games.push(AvChat { name, service, dial, rooms, default_room, token_life, may_grant, accept_owner });
        }
        games
    }
}
