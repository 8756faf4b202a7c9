//! Tokens for players: for one room, short, and told what will come of them.

use std::time::Duration;

use jiff::Timestamp;

use super::supervisor::Supervisor;
use crate::command::{MintedReply, Player, Reply, Requester, refused};
use crate::config::{Login, RoomKey, Token};
use crate::policy::Mode;
use crate::token::{self, LONGEST, User};

/// How long a token lives when nothing is said.
const LIFE: Duration = Duration::from_secs(300);
/// The longest name, id, or address in a token, bytes.
const TEXT: usize = 1024;

impl Supervisor {
    /// Makes a token for a player.
    pub(super) fn mint(
        &self,
        room: &str,
        player: Player,
        moderator: bool,
        for_seconds: Option<u64>,
        accept_owner: bool,
        requester: &Requester,
    ) -> Reply {
        if room.rsplit('/').next().is_some_and(|name| name.contains(['*', '?'])) {
            return refused("bad-request", "a token is for one room, never for all or some");
        }
        let key = match self.resolve(room, true, requester) {
            Ok(address) => address.key,
            Err(refusal) => return *refusal,
        };
        let Some(service) = self.config.services.get(&*key.service) else {
            return refused("unknown-service", format!("no service is called {:?}", key.service));
        };
        let Login::Token(how) = &service.login else { return nothing_to_sign_with(&key) };
        let Token::Minted { key: signing, claims, .. } = &**how else { return nothing_to_sign_with(&key) };
        let texts = [Some(&player.name), player.id.as_ref(), player.email.as_ref(), player.avatar.as_ref()];
        if player.name.trim().is_empty() || texts.into_iter().flatten().any(|text| text.len() > TEXT) {
            return refused("bad-request", format!("a player has a name, and no text of theirs is over {TEXT} bytes"));
        }
        let life = for_seconds.map_or(LIFE, Duration::from_secs).min(LONGEST);
        let now = Duration::from_secs(u64::try_from(Timestamp::now().as_second()).unwrap_or_default());
        let Some(life) = self.within_booking(&key, life, now) else {
            let text = format!("the booking of {key} has ended, and no token outlives it; hold it again first");
            return refused("ended", text);
        };
        if life.is_zero() {
            return refused("bad-request", "a token that is good for no time is of no use");
        }
        let (role, why) = self.effective_role(&key, moderator);
        if role == "owner" && !moderator && !accept_owner {
            let text =
                format!("no token: {why}; enforce rule moderators in {key}, or say accept_owner (--accept-owner)");
            return refused("would-be-owner", text);
        }
        let user = User {
            id: player.id.unwrap_or_else(|| player.name.clone()),
            name: player.name,
            moderator,
            email: player.email,
            avatar: player.avatar,
        };
        let claims = token::Claims { room: key.name.to_string(), life, user, ..(**claims).clone() };
        match token::mint(signing, &claims, now) {
            Ok(token) => Reply::Minted(Box::new(MintedReply {
                room: key.to_string(),
                token,
                expires: (now + life).as_secs(),
                effective_role: role.to_owned(),
                why: why.to_owned(),
            })),
            Err(error) => refused("cannot-sign", format!("no token could be made: {error}")),
        }
    }

    /// How much of a token's life the booking of its room allows; `None`: that has ended. `now` is seconds since 1970.
    fn within_booking(&self, room: &RoomKey, life: Duration, now: Duration) -> Option<Duration> {
        let overrides = &self.state.overrides;
        if overrides.ended(&self.config, room).is_some() {
            return None;
        }
        let Some(until) = overrides.booking(&self.config, room).and_then(|booking| booking.until) else {
            return Some(life);
        };
        let until = Duration::from_secs(u64::try_from(until.as_second()).unwrap_or_default());
        let left = until.checked_sub(now).filter(|left| !left.is_zero())?;
        Some(life.min(left))
    }

    /// What the bearer of a token will be inside, and why.
    pub(super) fn effective_role(&self, room: &RoomKey, moderator: bool) -> (&'static str, &'static str) {
        let plans = self.config.policies.plans(&room.service, &room.name);
        let enforced = plans
            .as_ref()
            .and_then(|plans| plans.rules.get("moderators"))
            .is_some_and(|attached| attached.mode == Mode::Enforce);
        if enforced {
            return ("participant", "rule moderators is enforced there and demotes whoever is not on its list");
        }
        if moderator {
            return ("owner", "it says so, and docker-jitsi-meet makes everybody with a valid token an owner");
        }
        ("owner", "docker-jitsi-meet makes everybody with a valid token an owner, whatever it says")
    }
}

fn nothing_to_sign_with(key: &RoomKey) -> Reply {
    let text = format!("service {} makes no tokens: that takes login = \"token\" with a secret or a key", key.service);
    refused("cannot-sign", text)
}
