//! What is wanted of a room beyond being held, as it was written and as it is meant. Pure.

use std::sync::Arc;

use super::check::{Checker, View};
use super::{Defaults, Secret, problem, value};
use crate::room::Moderated;
use crate::room::settings::{Locked, OnDrift};
use crate::xmpp::jitsi::mute::Medium;
use crate::xmpp::room_form;

/// What one section says; in a room it beats the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    locked: Locked,
    on_drift: Option<OnDrift>,
    chat_commands: Option<bool>,
    chat_accounts: Option<Vec<Box<str>>>,
    store_text: Option<bool>,
}

impl Checker<'_> {
    /// Reads the keys of one section.
    pub(super) fn moderated(&mut self, view: View<'_>) -> Written {
        let lobby = self.flag(view, "lobby");
        let members_only = self.flag(view, "members_only");
        if let (Some(a), Some(b)) = (lobby, members_only)
            && a != b
            && let Some(entry) = view.entry("members_only")
        {
            // On Jitsi a members-only room has a lobby: it is one field of the form.
            self.wrong(
                view,
                "members_only",
                &entry.at,
                "not the same as lobby",
                "one of the two, for they are one setting",
            );
        }
        let max_occupants = self.number(view, "max_occupants", 1, 100_000).and_then(|most| u32::try_from(most).ok());
        let start_muted = self.media(view, "start_muted", &Medium::ALL[..2]);
        let locked = Locked {
            subject: self.parsed(view, "subject", "one line of text", value::line).map(Into::into),
            password: None,
            lobby: lobby.or(members_only),
            moderated: self.flag(view, "moderated"),
            persistent: self.flag(view, "persistent"),
            max_occupants,
            av_moderation: self
                .media(view, "av_moderation", &Medium::ALL)
                .map(|media| Medium::ALL.into_iter().map(|medium| (medium, media.contains(&medium))).collect())
                .unwrap_or_default(),
            start_muted: start_muted.map(|media| (media.contains(&Medium::Audio), media.contains(&Medium::Video))),
            fields: self.fields(view),
            on_drift: OnDrift::Restore,
        };
        let choices = [("restore", OnDrift::Restore), ("report", OnDrift::Report), ("ignore", OnDrift::Ignore)];
        Written {
            locked,
            on_drift: self.choice(view, "on_drift", &choices),
            chat_commands: self.flag(view, "chat_commands"),
            store_text: self.flag(view, "store_text"),
            chat_accounts: self.list(view, "chat_accounts", "a bare JID such as \"ann@meet.jitsi\"", &[], |text| {
                let whole = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
                if whole && !text.contains(['/', ' ']) { Ok(text.into()) } else { Err("no bare JID") }
            }),
        }
    }

    fn media(&mut self, view: View<'_>, key: &str, media: &[Medium]) -> Option<Vec<Medium>> {
        let names: Vec<_> = media.iter().map(|medium| medium.as_str()).collect();
        self.list(view, key, &problem::choices(names.iter().copied()), &names, |text| {
            media.iter().find(|medium| medium.as_str() == text).copied().ok_or("unknown")
        })
    }

    /// Further fields of the form: `form = ["muc#roomconfig_roomname=The Prancing Pony"]`.
    fn fields(&mut self, view: View<'_>) -> std::collections::BTreeMap<Box<str>, Box<str>> {
        let expected = "a field and its value such as \"muc#roomconfig_roomname=The Prancing Pony\"";
        let own = [
            room_form::MEMBERS_ONLY,
            room_form::ROOM_SECRET,
            room_form::PASSWORD_PROTECTED,
            room_form::MODERATED,
            room_form::PERSISTENT,
            room_form::MAX_USERS,
        ];
        // a field that is one server's own carries its namespace: `{xmpp:prosody.im}muc#allow_modpm`
        let is_field = |var: &str| var.starts_with("muc#roomconfig_") || var.starts_with('{') && var.contains('}');
        let fields = self.list(view, "form", expected, &[], |text| match text.split_once('=') {
            Some((var, _)) if own.contains(&var) => Err("a field with a key of its own"),
            Some((var, value)) if is_field(var) => Ok((Box::from(var), Box::from(value))),
            _ => Err("no field of the room's form"),
        });
        fields.unwrap_or_default().into_iter().collect()
    }
}

impl Defaults {
    /// What holds for a room that says nothing itself but perhaps its subject.
    #[must_use]
    pub fn moderated(&self, subject: Option<Box<str>>) -> Option<Arc<Moderated>> {
        let written = Written { locked: Locked { subject, ..Locked::default() }, ..Written::default() };
        written.over(&self.moderated, self.password.as_ref())
    }
}

impl Written {
    /// What holds for a room: what was written for it, else the default; the room's password is locked, too.
    pub(super) fn over(self, defaults: &Written, password: Option<&Secret>) -> Option<Arc<Moderated>> {
        let Locked { subject, lobby, moderated, persistent, max_occupants, av_moderation, start_muted, fields, .. } =
            self.locked;
        let before = &defaults.locked;
        let mut moderation = before.av_moderation.clone();
        if !av_moderation.is_empty() {
            moderation = av_moderation;
        }
        let mut form = before.fields.clone();
        form.extend(fields);
        let locked = Locked {
            subject: subject.or_else(|| before.subject.clone()),
            password: password.cloned(),
            lobby: lobby.or(before.lobby),
            moderated: moderated.or(before.moderated),
            persistent: persistent.or(before.persistent),
            max_occupants: max_occupants.or(before.max_occupants),
            av_moderation: moderation,
            start_muted: start_muted.or(before.start_muted),
            fields: form,
            on_drift: self.on_drift.or(defaults.on_drift).unwrap_or_default(),
        };
        let chat = crate::room::chat::Settings {
            moderators: self.chat_commands.or(defaults.chat_commands).unwrap_or_default(),
            accounts: self.chat_accounts.or_else(|| defaults.chat_accounts.clone()).unwrap_or_default(),
            anonymous_domains: Vec::new(),
        };
        let store_text = self.store_text.or(defaults.store_text).unwrap_or_default();
        Moderated { locked, chat, store_text }.shared()
    }
}
