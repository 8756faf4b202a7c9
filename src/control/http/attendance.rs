//! `/v1/rooms/{room}/attendance`: who was inside, when and for how long, as JSON or as comma-separated values.
//!
//! Source: RFC 9110 §12.5.1 "Accept", RFC 4180 §3 "MIME Type Registration of text/csv".

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::access::Asker;
use super::input::{Params, Segment};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::attendance::{Attended, csv};
use crate::command::{AttendanceQuery, Command, Reply};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/rooms/{room}/attendance", get(list))
}

#[derive(OpenApi)]
#[openapi(paths(list))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Whose time, and how it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// In this life of the room, from its beginning to its end.
    life: Option<String>,
    /// Of those who were inside then or came later, RFC 3339. Left out, and without a life: a day ago.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// `json` or `csv`; left out: what `Accept` names first of `application/json` and `text/csv`.
    format: Option<Format>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

/// Who was in a room.
#[derive(Debug, Serialize, ToSchema)]
struct Attendance {
    /// The room: `service/name`.
    room: String,
    /// Everybody's time, by when they came; no more than the last 10,000.
    attended: Vec<Attended>,
}

/// Who was in a room, when and for how long.
///
/// Also of a room whose booking has ended, and as `SERVICE%2FNAME` of one that nobody wants any more.
#[utoipa::path(get, path = "/v1/rooms/{room}/attendance", tag = "events", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"), Asked),
    responses((status = 200, content((Attendance = "application/json"), (String = "text/csv")))))]
async fn list(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    headers: HeaderMap,
    Params(Asked { life, since, format }): Params<Asked>,
) -> Result<Response, Problem> {
    let query = AttendanceQuery { room, life, since };
    let Reply::Attendance { room, attended } = shared.ask(asker, Command::Attendance(query)).await? else {
        return Err(Problem::strange());
    };
    Ok(match format.unwrap_or_else(|| accepted(&headers)) {
        Format::Json => Json(Attendance { room, attended }).into_response(),
        Format::Csv => {
            let mut response = csv(&attended).into_response();
            let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    })
}

/// What is named first of what we write; JSON where nothing of it is.
fn accepted(headers: &HeaderMap) -> Format {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = lines.flat_map(|line| line.split(',')).map(|range| range.split(';').next().unwrap_or_default());
    let known = ranges.find_map(|range| match range.trim().to_ascii_lowercase().as_str() {
        "text/csv" => Some(Format::Csv),
        "application/json" | "application/*" | "*/*" => Some(Format::Json),
        _ => None,
    });
    known.unwrap_or(Format::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_first_of_what_we_write_is_written() {
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/html, text/csv;q=0.9, */*;q=0.1", Format::Csv),
            ("Text/CSV", Format::Csv),
            ("application/json, text/csv", Format::Json),
            ("image/png", Format::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(accepted(&headers), expected, "{accept:?}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Format::Json);
    }
}
