//! What is done in rooms: `/v1/rooms/{room}/actions`, `…/abilities`, `…/password`, `…/recover`, and `/v1/actions/{id}/undo`.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use super::access::Asker;
use super::input::{Body, IdempotencyKey, Segment, Whole};
use super::problem::Problem;
use super::{Ctx, Shared};
use crate::action::Action;
use crate::command::{AbilityRow, Command, Reply, StepRow};
use crate::config::Secret;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/rooms/{room}/actions", post(act))
        .route("/v1/rooms/{room}/abilities", get(abilities))
        .route("/v1/rooms/{room}/password", get(password))
        .route("/v1/rooms/{room}/recover", post(recover))
        .route("/v1/actions/{id}/undo", post(undo))
}

#[derive(OpenApi)]
#[openapi(paths(act, abilities, password, recover, undo))]
struct Api;

pub(super) fn describe() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// An action with its reason.
#[derive(Debug)]
struct Act {
    action: Action,
    reason: Option<String>,
}

/// A field that an action does not have is an error, never left out: without its nick, a mute is one of everybody.
impl<'de> Deserialize<'de> for Act {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut fields = Map::<String, Value>::deserialize(from)?;
        let reason = fields.remove("reason").map_or(Ok(None), Option::<String>::deserialize);
        let reason = reason.map_err(|error| D::Error::custom(format!("reason: {error}")))?;
        let said = fields.len();
        let action = Action::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
        // Of kinds without fields serde looks at none.
        if matches!(action, Action::End | Action::Destroy) && said > 1 {
            return Err(D::Error::custom(format!("{} takes nothing but a reason", action.verb())));
        }
        Ok(Act { action, reason })
    }
}

/// As [`Action`] is described, with a reason in each of its kinds and nothing else.
impl PartialSchema for Act {
    fn schema() -> RefOr<Schema> {
        let text = [Type::String, Type::Null].into_iter().collect::<Vec<_>>();
        let reason = ObjectBuilder::new()
            .schema_type(SchemaType::Array(text))
            .description(Some("Why: shown to those concerned, and kept."))
            .build();
        let mut schema = Action::schema();
        if let RefOr::T(Schema::OneOf(kinds)) = &mut schema {
            for kind in &mut kinds.items {
                if let RefOr::T(Schema::Object(kind)) = kind {
                    kind.properties.insert("reason".to_owned(), reason.clone().into());
                    kind.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
                }
            }
        }
        schema
    }
}

impl ToSchema for Act {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Action::schemas(schemas);
    }
}

/// What came of an action.
#[derive(Debug, Serialize, ToSchema)]
struct Acted {
    /// The room: `service/name`.
    room: String,
    /// The action's id: its idempotency key.
    id: String,
    /// `sent`, `answered` or `seen`.
    progress: String,
    /// What was done, in one sentence.
    text: String,
    /// Whether `/v1/actions/{id}/undo` takes it back.
    undoable: bool,
}

/// What can be done in a room now, and what not.
#[derive(Debug, Serialize, ToSchema)]
struct Abilities {
    /// One row for each verb.
    abilities: Vec<AbilityRow>,
}

/// How a room is got back in hand.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Recover {
    /// Who stays moderator: nicks, display names or JIDs.
    #[serde(default)]
    keep: Vec<String>,
    /// Who is thrown out: nicks or display names.
    #[serde(default)]
    out: Vec<String>,
    /// The password that is set; one is made up where there is none, unless the configuration has one.
    #[serde(default, with = "crate::action::exposed")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// Why: shown to those concerned, and kept.
    reason: Option<String>,
}

/// What was done, and what was not.
#[derive(Debug, Serialize, ToSchema)]
struct Recovered {
    /// The room: `service/name`.
    room: String,
    /// One by one.
    steps: Vec<StepRow>,
    /// The password that was made up for the room.
    #[serde(with = "crate::action::exposed")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
}

/// The password of a room.
#[derive(Debug, Serialize, ToSchema)]
struct Password {
    /// The room: `service/name`.
    room: String,
    /// The password; none where it has none that we know of.
    #[serde(with = "crate::action::exposed")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// Where we know it from, in one sentence.
    text: String,
}

/// Why, for the record.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Undo {
    /// Why, for the record.
    reason: Option<String>,
}

/// Does something in a room: kick, mute, lock, subject, …; answers when the room shows it, or says why not.
#[utoipa::path(post, path = "/v1/rooms/{room}/actions", tag = "moderation", security(("token" = ["moderate"])),
    params(
        ("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 128, pattern = "^[!-~]+$",
            description = "asking twice with one key does it once, and the second answer is the first one's"),
    ),
    request_body(content = inline(Act), description = "what, and why"),
    responses((status = 200, body = Acted)))]
async fn act(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    IdempotencyKey(key): IdempotencyKey,
    Whole(Act { action, reason }): Whole<Act>,
) -> Result<Json<Acted>, Problem> {
    acted(shared.ask(asker, Command::Act { room, action, reason, key }).await?)
}

/// What can be done in a room now, and of the rest why not.
#[utoipa::path(get, path = "/v1/rooms/{room}/abilities", tag = "moderation", security(("token" = ["read"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = Abilities)))]
async fn abilities(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
) -> Result<Json<Abilities>, Problem> {
    match shared.ask(asker, Command::Abilities { room }).await? {
        Reply::Abilities { abilities } => Ok(Json(Abilities { abilities })),
        _ => Err(Problem::strange()),
    }
}

/// Gets a room back in hand: everybody but a list is demoted, password and lobby come on, a list is thrown out.
#[utoipa::path(post, path = "/v1/rooms/{room}/recover", tag = "moderation", security(("token" = ["moderate"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    request_body(content = Option<Recover>),
    responses((status = 200, body = Recovered, description = "each step with what came of it; some may have failed")))]
async fn recover(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(room): Segment,
    Body(Recover { keep, out, password, reason }): Body<Recover>,
) -> Result<Json<Recovered>, Problem> {
    match shared.ask(asker, Command::Recover { room, keep, out, password, reason }).await? {
        Reply::Recovered { room, steps, password } => Ok(Json(Recovered { room, steps, password })),
        _ => Err(Problem::strange()),
    }
}

/// The password of a room, as far as we know it. Asking for it is recorded.
#[utoipa::path(get, path = "/v1/rooms/{room}/password", tag = "moderation", security(("token" = ["admin"])),
    params(("room" = String, Path, description = "NAME where that is unique, SERVICE%2FNAME, or the room's JID")),
    responses((status = 200, body = Password)))]
async fn password(State(shared): Ctx, Asker(asker): Asker, Segment(room): Segment) -> Result<Json<Password>, Problem> {
    match shared.ask(asker, Command::Password { room }).await? {
        Reply::Password { room, password, text } => Ok(Json(Password { room, password, text })),
        _ => Err(Problem::strange()),
    }
}

/// Takes an action back, where that has a meaning.
#[utoipa::path(post, path = "/v1/actions/{id}/undo", tag = "moderation", security(("token" = ["moderate"])),
    params(("id" = String, Path, description = "the id that the action's answer, the log and `why` name")),
    request_body(content = Option<Undo>),
    responses((status = 200, body = Acted)))]
async fn undo(
    State(shared): Ctx,
    Asker(asker): Asker,
    Segment(id): Segment,
    Body(Undo { reason }): Body<Undo>,
) -> Result<Json<Acted>, Problem> {
    acted(shared.ask(asker, Command::Undo { id, reason }).await?)
}

fn acted(reply: Reply) -> Result<Json<Acted>, Problem> {
    match reply {
        Reply::Acted { room, key: id, progress, text, undoable } => {
            Ok(Json(Acted { room, id, progress, text, undoable }))
        }
        _ => Err(Problem::strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Action, String> {
        serde_json::from_str::<Act>(text).map(|act| act.action).map_err(|error| error.to_string())
    }

    #[test]
    fn an_action_with_a_field_it_does_not_have_is_none() {
        let kick = read("{\"action\":\"kick\",\"nick\":\"tom\",\"reason\":\"spam\"}");
        assert_eq!(kick, Ok(Action::Kick { nick: "tom".into() }));
        let mute = read("{\"action\":\"mute\",\"nik\":\"tom\",\"medium\":\"audio\"}");
        assert!(mute.is_err_and(|error| error.contains("nik")), "would mute everybody");
        assert!(read("{\"action\":\"end\",\"room\":\"x\"}").is_err());
        assert!(read("{\"action\":\"kick\",\"nick\":\"tom\",\"reason\":1}").is_err());
    }

    #[test]
    fn every_kind_of_action_is_described_with_a_reason_and_nothing_more() {
        let RefOr::T(Schema::OneOf(kinds)) = Act::schema() else { panic!("one of several") };
        for kind in &kinds.items {
            let RefOr::T(Schema::Object(kind)) = kind else { panic!("an object") };
            assert!(kind.properties.contains_key("reason") && kind.properties.contains_key("action"));
            assert!(kind.additional_properties.is_some());
        }
    }
}
