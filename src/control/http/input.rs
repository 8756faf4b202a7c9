//! What a request says, read with bounds: the room in its path, the questions in its query, the JSON in its body.

use std::sync::Arc;
use std::time::Duration;

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

/// The room in the path: `NAME`, `SERVICE%2FNAME` or the room's JID.
pub(super) struct Room(pub(super) String);

impl FromRequestParts<Arc<Shared>> for Room {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, shared).await;
        path.map(|Path(room)| Room(room)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Shared>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, shared).await;
        query.map(|Query(params)| Params(params)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The body: JSON, or nothing where nothing need be said.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, Problem> {
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
            return Ok(Body(T::default()));
        }
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let text = "a body is JSON and says so: Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-content-type", text));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::bad_request("the body is not UTF-8 text"))?;
        serde_json::from_str(text).map(Body).map_err(|error| Problem::bad_request(format!("the body: {error}")))
    }
}
