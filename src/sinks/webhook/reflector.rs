//! What Reflector wants to hear of its meetings: who comes and goes, and when a recording begins and ends. Pure.
//!
//! It counts by adding and subtracting one for each event and knows no keys, so machines are never told of, and what may
//! have arrived is not sent again unless the configuration says so. `X-Jitsi-Signature` is an HMAC-SHA256 over the body.
//! Its guide shows `data` in two ways; it gets both.

use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;

use super::{Letter, Speech, header, sign};
use crate::config::Secret;
use crate::event::{Event, Person, Recording, What};

/// Where it listens, where the configuration gives only its host.
pub(super) const PATH: &str = "/v1/jitsi/events";
/// Where it says how it is.
pub(super) const HEALTH: &str = "/v1/jitsi/health";

/// Says who comes and goes, and what is recorded.
#[derive(Debug)]
pub(super) struct Reflector;

#[derive(Debug, Serialize)]
struct Body<'a> {
    event: &'static str,
    room: &'a str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Occupant {
        occupant_id: &'a str,
        nick: &'a str,
        role: Option<&'a str>,
        affiliation: Option<&'a str>,
        user_id: Option<&'a str>,
        display_name: Option<&'a str>,
    },
    Recording {
        session_id: Option<&'a str>,
        recording_mode: Option<&'a str>,
        initiator: Option<&'a str>,
    },
}

fn occupant(person: &Person) -> Data<'_> {
    Data::Occupant {
        occupant_id: person.occupant_id.as_deref().or(person.real_jid.as_deref()).unwrap_or(&person.nick),
        nick: &person.nick,
        role: person.role.as_deref(),
        affiliation: person.affiliation.as_deref(),
        user_id: person.account(),
        display_name: person.display_name.as_deref(),
    }
}

fn recording(recording: &Recording) -> Data<'_> {
    Data::Recording {
        session_id: recording.session.as_deref(),
        recording_mode: recording.mode.as_deref(),
        initiator: recording.by.as_deref(),
    }
}

impl Speech for Reflector {
    fn letters(&mut self, event: &Event, _: &str) -> Vec<Letter> {
        let (name, data) = match &event.what {
            What::OccupantJoined { person, .. } if person.machine.is_none() => {
                ("muc-occupant-joined", occupant(person))
            }
            What::OccupantLeft { person, .. } if person.machine.is_none() => ("muc-occupant-left", occupant(person)),
            What::RecordingStarted(what) => ("jibri-recording-on", recording(what)),
            What::RecordingStopped(what) => ("jibri-recording-off", recording(what)),
            _ => return Vec::new(),
        };
        let Some(room) = event.room.as_deref() else { return Vec::new() };
        // Our own types are always JSON.
        let body = serde_json::to_vec(&Body { event: name, room, timestamp: event.time, data }).unwrap_or_default();
        vec![Letter { key: event.id.to_string(), path: PATH, name, body }]
    }

    fn headers(&self, secret: Option<&Secret>, letter: &Letter, _: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        header(&mut headers, "webhook-id", &letter.key);
        if let Some(secret) = secret {
            header(&mut headers, "x-jitsi-signature", &sign::hexadecimal(secret, &letter.body));
        }
        headers
    }
}
