//! Somebody's token, explained: what it claims, whether a key of ours signed it, what comes of it.

use jiff::Timestamp;

use super::supervisor::Supervisor;
use crate::command::{Reply, TokenExplanation, refused};
use crate::config::{Login, RoomKey, Secret, Token};
use crate::token::{Claims, LONGEST, Reading};

/// What a token comes to.
struct Outcome {
    role: &'static str,
    why: String,
}

impl Supervisor {
    /// Explains a token, which is nowhere kept.
    pub(super) fn explain_token(&self, token: &Secret) -> Reply {
        let token = token.expose().trim();
        let Some(read) = Reading::of(token) else {
            return refused("bad-request", "a JSON web token is expected: three parts with dots between");
        };
        let signer = self.config.services.values().find_map(|service| match &service.login {
            Login::Token(how) => match &**how {
                Token::Minted { key, claims, .. } if key.signed(token) => Some((service.name.as_str(), &**claims)),
                _ => None,
            },
            _ => None,
        });
        let now = Timestamp::now();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let Outcome { role, why } = self.outcome(&read, signer, seconds);
        let time = |seconds: Option<u64>| {
            let seconds = i64::try_from(seconds?).ok()?;
            Timestamp::from_second(seconds).ok().map(|time| time.to_string())
        };
        let remarks = remarks(&read, signer.map(|(_, claims)| claims), seconds);
        Reply::TokenExplained(Box::new(TokenExplanation {
            service: signer.map(|(service, _)| service.to_owned()),
            not_before: time(read.not_before),
            expires: time(read.expires),
            algorithm: read.algorithm,
            key: read.key,
            audience: Some(read.audience.join(", ")).filter(|audience| !audience.is_empty()),
            issuer: read.issuer,
            subject: read.subject,
            room: read.room,
            id: read.id,
            name: read.name,
            moderator: read.moderator,
            effective_role: role.to_owned(),
            why,
            remarks,
        }))
    }

    fn outcome(&self, read: &Reading, signer: Option<(&str, &Claims)>, now: u64) -> Outcome {
        if read.expires.is_some_and(|expires| expires <= now) {
            return Outcome { role: "nobody", why: "it has ended, and a server takes it no more".to_owned() };
        }
        if read.not_before.is_some_and(|from| from > now) {
            return Outcome { role: "nobody", why: "it is not good yet".to_owned() };
        }
        let Some((service, _)) = signer else {
            let why = "no service of ours makes tokens with its key, so that nobody here knows whether it is taken";
            return Outcome { role: "unknown", why: why.to_owned() };
        };
        let Some(room) = &read.room else {
            return Outcome { role: "nobody", why: "it is for no room".to_owned() };
        };
        let (role, why) = self.effective_role(&RoomKey::new(service, room), read.moderator);
        Outcome { role, why: why.to_owned() }
    }
}

/// What is odd about a token; compared with `ours`, what the service of its key puts into its own.
fn remarks(read: &Reading, ours: Option<&Claims>, now: u64) -> Vec<String> {
    let mut remarks = Vec::new();
    if read.room.as_deref() == Some("*") {
        remarks.push("it is good for every room, which a player's token should not be".to_owned());
    }
    match read.expires {
        None => remarks.push("it never ends".to_owned()),
        Some(expires) if expires > now.saturating_add(LONGEST.as_secs()) => {
            remarks.push("it is good for more than eight hours".to_owned());
        }
        Some(_) => {}
    }
    if let Some(ours) = ours {
        if read.issuer.as_ref() != Some(&ours.issuer) {
            remarks.push(format!("the service's own tokens have iss {:?}", ours.issuer));
        }
        if !read.audience.contains(&ours.audience) {
            remarks.push(format!("the service's own tokens have aud {:?}", ours.audience));
        }
        if read.subject.as_ref().is_none_or(|subject| *subject != ours.subject && subject != "*") {
            remarks.push(format!("the service's own tokens have sub {:?}", ours.subject));
        }
    }
    remarks
}
