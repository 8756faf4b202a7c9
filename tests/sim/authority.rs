//! The focus's authentication sessions, as Jicofo's `XMPPDomainAuthAuthority` and `AbstractAuthAuthority` keep them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a session lasts that no request uses.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
struct Auth {
    machine_uid: String,
    /// Who used it last: the one full JID that it makes somebody.
    full: String,
    used: Instant,
    /// Whether its id reached us; an answer that is lost leaves a session that nobody uses.
    told: bool,
}

/// What a request is worth.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is somebody's, by this session-id.
    Somebody(String),
    /// It is nobody's.
    Nobody,
    /// Its session-id is not known, or not any more.
    Invalid,
}

#[derive(Debug, Default)]
pub struct Authority {
    sessions: BTreeMap<String, Auth>,
    made: u64,
}

impl Authority {
    /// Judges a request. `logs_in`: its sender is of the login domain and gets a session with each request without one.
    pub fn judge(
        &mut self,
        now: Instant,
        full: &str,
        machine_uid: &str,
        session_id: Option<&str>,
        logs_in: bool,
    ) -> Verdict {
        self.sessions.retain(|_, auth| auth.used + LIFETIME > now);
        let id = match session_id {
            Some(id) => id.to_owned(),
            None if logs_in => {
                self.made += 1;
                let auth = Auth { machine_uid: machine_uid.into(), full: full.into(), used: now, told: false };
                let id = format!("sid-{}", self.made);
                self.sessions.insert(id.clone(), auth);
                id
            }
            None => return Verdict::Nobody,
        };
        let Some(auth) = self.sessions.get_mut(&id) else { return Verdict::Invalid };
        assert_eq!(auth.machine_uid, machine_uid, "a session-id is bound to its machine-uid");
        full.clone_into(&mut auth.full);
        auth.used = now;
        Verdict::Somebody(id)
    }

    /// Whether the focus takes that full JID for somebody.
    pub fn knows(&self, full: &str) -> bool {
        self.sessions.values().any(|auth| auth.full == full)
    }

    /// Our session-id that came of a login.
    pub fn told(&mut self, id: &str) {
        if let Some(auth) = self.sessions.get_mut(id) {
            auth.told = true;
        }
    }

    /// The session-ids that the focus still takes from that machine-uid and that reached us.
    pub fn live(&self, now: Instant, machine_uid: &str) -> Vec<&str> {
        let live = |auth: &Auth| auth.told && auth.machine_uid == machine_uid && auth.used + LIFETIME > now;
        self.sessions.iter().filter(|(_, auth)| live(auth)).map(|(id, _)| &**id).collect()
    }

    /// How many it ever made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// It restarts and knows nobody any more.
    pub fn forget_all(&mut self) {
        self.sessions.clear();
    }

    /// It forgets the session that stands at `place`, counted round and round.
    pub fn forget_one(&mut self, place: usize) {
        let ids: Vec<&String> = self.sessions.keys().collect();
        if let Some(id) = ids.get(place % ids.len().max(1)).map(|id| (*id).clone()) {
            self.sessions.remove(&id);
        }
    }
}
