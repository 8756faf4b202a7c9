//! What a request says, read with bounds: the room in its path, the questions in its query, the JSON in its body.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::request::Parts;
use http::{StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Shared;
use super::problem::Problem;
use crate::control::REQUEST_BYTES;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The one part of the path that is not the route's: a room (`NAME`, `SERVICE%2FNAME` or its JID), an id, a person.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<Arc<Shared>> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, shared).await;
        path.map(|Path(segment)| Segment(segment)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The header `Idempotency-Key`, where there is one.
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl FromRequestParts<Arc<Shared>> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let key = keys.next().map(|key| key.to_str().map(str::to_owned)).transpose();
        match (key, keys.next()) {
            (Ok(key), None) => Ok(IdempotencyKey(key)),
            (Err(_), _) => Err(Problem::bad_request("Idempotency-Key is no text of ASCII characters")),
            (_, Some(_)) => Err(Problem::bad_request("more than one Idempotency-Key")),
        }
    }
}

/// The query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Shared>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, shared).await;
        // Beneath what the framework says lies what is wrong with which parameter.
        let why = |error: QueryRejection| error.source().map_or_else(|| error.body_text(), ToString::to_string);
        query
            .map(|Query(params)| Params(params))
            .map_err(|error| Problem::bad_request(format!("the query: {}", why(error))))
    }
}

/// The body: JSON, or nothing where nothing need be said, or `null`, which says as much.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, Problem> {
        let text = text(request, "application/json").await?.filter(|text| text.trim() != "null");
        text.map_or_else(|| Ok(T::default()), |text| json(&text)).map(Body)
    }
}

/// The body: JSON, and not nothing.
pub(super) struct Whole<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Whole<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, Problem> {
        match text(request, "application/json").await? {
            Some(text) => json(&text).map(Whole),
            None => Err(Problem::bad_request("a body of JSON says what is to be done; there is none")),
        }
    }
}

/// The body: a JSON object on each line.
pub(super) struct Lines(pub(super) String);

impl FromRequest<Arc<Shared>> for Lines {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, Problem> {
        match text(request, "application/x-ndjson").await? {
            Some(text) => Ok(Lines(text)),
            None => Err(Problem::bad_request("a body of lines is expected; there is none")),
        }
    }
}

/// The body as it came, which must say that it is of that kind; `None` where there is none.
async fn text(request: Request, kind: &str) -> Result<Option<String>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = match timeout(PATIENCE, Limited::new(body, REQUEST_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Problem::too_large()),
        Ok(Err(_)) => return Err(Problem::bad_request("the body ended too early")),
        Err(_) => {
            let text = "the body did not come within 10 seconds";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timed-out", text));
        }
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let said = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(kind) {
        let text = format!("a body here is of another kind, and says so: Content-Type: {kind}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-content-type", text));
    }
    match String::from_utf8(bytes.into()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Problem::bad_request("the body is not UTF-8 text")),
    }
}

/// The longest time that may be asked for, in seconds: almost 100 years.
pub(super) const LONGEST: u64 = 3_155_759_999;

/// For how long something is asked for, at most `longest`.
pub(super) fn seconds(asked: Option<u64>, longest: u64) -> Result<Option<u64>, Problem> {
    if asked.is_none_or(|asked| (1..=longest).contains(&asked)) {
        return Ok(asked);
    }
    Err(Problem::bad_request(format!("for_seconds is from 1 to {longest}")))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    // Serde would take a list of the values, in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::bad_request("the body is a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}
