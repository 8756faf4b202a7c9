//! Refusals as programs read them: RFC 9457 "Problem Details for HTTP APIs", with the words of every other surface.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command::Reply;
use crate::control::{REQUEST_BYTES, TOO_MANY};

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:innkeeper:` and the cause.
    #[serde(rename = "type")]
    kind: String,
    /// The cause in words; the same for every refusal of this type.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What is wrong this time and what to do, in one sentence.
    detail: String,
    /// A stable word: `unknown-room`, `forbidden`, `busy`, …
    cause: String,
    /// After how many seconds another try makes sense.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u32>,
}

impl Problem {
    /// A refusal.
    pub(super) fn new(status: StatusCode, cause: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("urn:innkeeper:{cause}"),
            title: cause.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            cause: cause.to_owned(),
            retry_after: None,
        }
    }

    /// The request can not be understood.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The body is larger than any we take.
    pub(super) fn too_large() -> Self {
        let detail = format!("a request has at most {REQUEST_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// Too much at once.
    pub(super) fn too_many(detail: impl Into<String>, retry_after: u32) -> Self {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY, detail);
        Problem { retry_after: Some(retry_after), ..problem }
    }

    /// The supervisor's answer belongs to another question.
    pub(super) fn strange() -> Self {
        let detail = "the answer inside innkeeper was not one to this question; please report this";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", detail)
    }

    /// A [`Reply::Refused`]; any other reply belongs to another question.
    pub(super) fn of_reply(reply: Reply) -> Self {
        match reply {
            Reply::Refused { error, text } => Problem::of_refusal(&error, text),
            _ => Problem::strange(),
        }
    }

    fn of_refusal(error: &str, text: String) -> Self {
        let status = match error {
            "bad-request" => StatusCode::BAD_REQUEST,
            "forbidden" => StatusCode::FORBIDDEN,
            "unknown-room" | "unknown-service" | "unknown-action" | "unknown-ban" | "unknown-webhook"
            | "unknown-authority" => StatusCode::NOT_FOUND,
            "ended" => StatusCode::GONE,
            "bad-configuration" => StatusCode::UNPROCESSABLE_ENTITY,
            TOO_MANY => StatusCode::TOO_MANY_REQUESTS,
            "busy" | "not-saved" | "not-readable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        let retry_after = (error == TOO_MANY).then_some(1);
        Problem { retry_after, ..Problem::new(status, error, text) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"innkeeper\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
