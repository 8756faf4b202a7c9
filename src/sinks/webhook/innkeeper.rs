//! Our own events as they are public, signed as Standard Webhooks has it. Pure.
//!
//! `webhook-id` is the event's id, the same at each try: the key by which a receiver knows what it has already.
//! `webhook-timestamp` is when it is sent. Source: Standard Webhooks 1.0.0 "Webhook metadata", "Signature scheme".

use http::HeaderMap;
use jiff::Timestamp;

use super::{Letter, Speech, header, sign};
use crate::config::Secret;
use crate::event::Event;

/// Says all.
#[derive(Debug)]
pub(super) struct Innkeeper;

impl Speech for Innkeeper {
    fn letters(&mut self, event: &Event, _: &str) -> Vec<Letter> {
        // Our own types are always JSON.
        let body = serde_json::to_vec(event).unwrap_or_default();
        vec![Letter { key: event.id.to_string(), path: "", name: event.what.kind().as_str(), body }]
    }

    fn headers(&self, secret: Option<&Secret>, letter: &Letter, now: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        header(&mut headers, "webhook-id", &letter.key);
        header(&mut headers, "webhook-timestamp", &now.as_second().to_string());
        if let Some(secret) = secret {
            let signature = sign::standard(secret, &letter.key, now.as_second(), &letter.body);
            header(&mut headers, "webhook-signature", &signature);
        }
        headers
    }

    fn signed(&self, letter: &Letter, now: Timestamp) -> String {
        sign::prefix(&letter.key, now.as_second()) + &String::from_utf8_lossy(&letter.body)
    }
}
