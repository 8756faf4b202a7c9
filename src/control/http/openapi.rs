//! `/v1/openapi.json`: the description of everything here (OpenAPI 3.1), made from the code.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::header;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response};
use utoipa::{OpenApi, ToSchema};

use super::access::Anybody;
use super::problem::Problem;
use super::{Ctx, RESOURCES, Shared};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/openapi.json", get(serve))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "innkeeper",
        description = "Holds rooms open on Jitsi Meet and other XMPP servers. Refusals are RFC 9457 problems whose \
                       `cause` is the word that every other surface of innkeeper uses.",
    ),
    paths(serve),
    components(schemas(Problem))
)]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// This description; needs no token.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "daemon", security(()),
    responses((status = 200, body = Object, content_type = "application/json")))]
async fn serve(
    State(shared): Ctx,
    Anybody(asker): Anybody,
) -> Result<([(header::HeaderName, &'static str); 1], String), Problem> {
    shared.pace(&asker)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document()))
}

/// The whole description, as it is served and as it lies in the tree.
#[must_use]
pub fn document() -> String {
    let mut whole = describe();
    for resource in RESOURCES {
        whole.merge((resource.describe)());
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("a token of the configuration"));
    let components = whole.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    // Whatever is asked may be refused, and every refusal looks the same.
    for item in whole.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut);
        for operation in operations {
            let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name(Problem::name()))));
            let mut refusal = Response::new("refused; `cause` says why");
            refusal.content.insert("application/problem+json".to_owned(), RefOr::T(content));
            operation.responses.responses.insert("4XX".to_owned(), RefOr::T(refusal.clone()));
            operation.responses.responses.entry("503".to_owned()).or_insert(RefOr::T(refusal));
        }
    }
    let mut text = whole.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
