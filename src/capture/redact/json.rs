//! JSON inside of elements: components push it, occupants send it.

use serde_json::Value as Json;

use super::{MASKED, Redactor, Value, known};

impl Redactor {
    /// The text with everything masked but truth values and what stands under harmless keys; all of it when it is no
    /// JSON.
    pub(super) fn json(&mut self, text: &str) -> String {
        match serde_json::from_str(text) {
            Ok(json) => self.json_value("", json).to_string(),
            Err(_) => MASKED.to_owned(),
        }
    }

    fn json_value(&mut self, key: &str, json: Json) -> Json {
        let secret = known::secret(key).or((key == "username").then_some(super::Kind::Turn));
        match json {
            Json::Null | Json::Bool(_) => json,
            Json::Array(all) => Json::Array(all.into_iter().map(|one| self.json_value(key, one)).collect()),
            Json::Object(all) => {
                let all = all.into_iter().map(|(key, value)| (self.name(&key), self.json_value(&key, value)));
                Json::Object(all.collect())
            }
            Json::String(text) => Json::String(match secret {
                // What stands beside a TURN server's user name is its password.
                Some(kind) => self.pseudonym(&text, kind),
                None if known::json_key(key) => self.text(&text),
                None => self.value(&text, Value::Mask),
            }),
            Json::Number(number) => match secret {
                None if known::json_key(key) => Json::Number(number),
                _ => Json::String(MASKED.to_owned()),
            },
        }
    }
}
