//! Tries a receiver with a signed sample of each kind, and shows what was sent and what it said.

use std::time::Duration;

use http::header::HeaderMap;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::client::{Answer, Client, Unanswered};
use super::{address, office, reflector, sample, speech};
use crate::command::{WebhookTrial, WebhookTrialRow};
use crate::config::{Dialect, Webhook};
use crate::telemetry::text::printable;

/// For all of it: whoever asked waits.
const PATIENCE: Duration = Duration::from_secs(8);
/// Most that is shown of an answer, characters.
const SHOWN: usize = 300;

/// Tries the receiver.
pub(super) async fn run(webhook: &Webhook) -> WebhookTrial {
    let until = Instant::now() + PATIENCE;
    let each = webhook.timeout.min(Duration::from_secs(3));
    let client = Client::new(webhook.ca_file.clone(), webhook.allow_private, each);
    let mut trial = WebhookTrial { target: webhook.name.clone(), rows: Vec::new(), remarks: Vec::new() };
    if webhook.dialect == Dialect::Reflector {
        trial.remarks.extend(timeout_at(until, health(&client, webhook)).await.unwrap_or_default());
    }
    let mut speech = speech(webhook.dialect);
    let now = Timestamp::now();
    let room = format!("{}@innkeeper.invalid", sample::ROOM);
    for event in sample::events(now) {
        let kinds = &webhook.kinds;
        if !kinds.is_empty() && !kinds.iter().any(|pattern| pattern.matches(event.what.kind().as_str())) {
            continue;
        }
        for mut letter in speech.letters(&event, &room) {
            // Whoever keeps keys does not take the place of a real event's for it.
            letter.key = format!("test-{}", letter.key);
            let (url, sent) = (address(webhook, &letter), Timestamp::now());
            let headers = speech.headers(webhook.secret.as_ref(), &letter, sent);
            let shown = shown(&headers);
            let answer = match timeout_at(until, client.post(&url, headers, letter.body.clone())).await {
                Ok(answer) => answer,
                Err(_) => {
                    Err(Unanswered::Unknown(format!("no time is left after {}", humantime::format_duration(PATIENCE))))
                }
            };
            let (status, text) = said(answer);
            trial.rows.push(WebhookTrialRow {
                kind: letter.name.to_owned(),
                url: office::shown(&url),
                headers: shown,
                body: String::from_utf8_lossy(&letter.body).into_owned(),
                signed: speech.signed(&letter, sent),
                status,
                answer: text,
            });
        }
    }
    trial
}

/// The header fields, without what proves who we are to a receiver that takes a bearer token.
fn shown(headers: &HeaderMap) -> Vec<String> {
    let value = |value: &http::HeaderValue| {
        if value.is_sensitive() {
            "[secret]".to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        }
    };
    headers.iter().map(|(name, field)| format!("{name}: {}", value(field))).collect()
}

fn said(answer: Result<Answer, Unanswered>) -> (Option<u16>, String) {
    match answer {
        Ok(answer) => {
            let body = answer.body.unwrap_or_default();
            let text: String = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
            (Some(answer.status.as_u16()), printable(&text).into_owned())
        }
        Err(why) => (None, why.to_string()),
    }
}

/// What the receiver says of itself: whether it has a secret. That it says nothing, or fails, is no trouble.
async fn health(client: &Client, webhook: &Webhook) -> Vec<String> {
    let mut url = webhook.url.clone();
    // It stands beside the place where it listens, which may lie behind a proxy's path.
    let beside = url.path().strip_suffix("/events").map(|place| format!("{place}/health"));
    url.set_path(beside.as_deref().unwrap_or(reflector::HEALTH));
    url.set_query(None);
    let Ok(answer) = client.get(&url).await else { return Vec::new() };
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return vec![format!("its health page answers {status}, which says nothing of its webhooks")];
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body.unwrap_or_default()).unwrap_or_default();
    match body["webhook_secret_configured"].as_bool() {
        Some(false) => vec!["it says that it has no webhook secret, so that it can not know us".to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnUnknown;
    use crate::rights::RoomPattern;

    #[tokio::test]
    async fn a_token_in_the_receivers_address_is_not_shown() {
        let webhook = Webhook {
            name: "story".into(),
            url: "http://127.0.0.1:1/hook?token=sesame".parse().expect("a URL"),
            dialect: Dialect::EventSync,
            secret: None,
            rooms: RoomPattern::all(),
            kinds: Vec::new(),
            allow_private: true,
            on_unknown: OnUnknown::Retry,
            timeout: Duration::from_secs(1),
            ca_file: None,
        };
        let trial = run(&webhook).await;
        assert!(trial.rows.iter().all(|row| row.url.contains("/hook") && row.url.ends_with("?…")), "{trial:?}");
        assert!(!trial.rows.is_empty() && !format!("{trial:?}").contains("sesame"), "{trial:?}");
    }
}
