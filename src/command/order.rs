//! Rules and bans, as they are listed. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policy::{Measure, OptionHelp, RuleKind};

/// One rule of order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleRow {
    /// Its name, the table's in a `[[policy]]`.
    pub name: String,
    /// What it is for.
    pub help: String,
    /// What is done about offenders when nothing else is said; none where nobody offends.
    pub action: Option<String>,
    /// What can be said of it.
    pub options: Vec<OptionRow>,
    /// As it stands in a configuration.
    pub example: String,
}

impl From<&RuleKind> for RuleRow {
    fn from(kind: &RuleKind) -> Self {
        let action = kind.measure.map(|measure| match measure {
            Measure::Strike => "strike".to_owned(),
            Measure::At(sanction) => sanction.to_string(),
        });
        let option = |option: &OptionHelp| OptionRow {
            name: option.name.to_owned(),
            default: option.default.map(str::to_owned),
            help: option.help.to_owned(),
        };
        RuleRow {
            name: kind.name.to_owned(),
            help: kind.help.to_owned(),
            action,
            options: kind.options.iter().map(option).collect(),
            example: kind.example.to_owned(),
        }
    }
}

/// One option of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OptionRow {
    /// Its name.
    pub name: String,
    /// What holds when it is left out, as TOML; none where it must be given or nothing then holds.
    pub default: Option<String>,
    /// What it takes.
    pub help: String,
}

/// One ban in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanRow {
    /// Its number, which `unban` takes; none of an entry of somebody else's list.
    pub id: Option<i64>,
    /// Whom it matches: `account:ann@meet.jitsi`, `accounts:*@spam.example`, `sha256:…`.
    pub who: String,
    /// How long that holds: `survives reconnect`, `until they reload`, `name only`.
    pub strength: String,
    /// The ban itself, as `bans export` writes it.
    #[schema(value_type = Object)]
    pub ban: crate::policy::bans::Ban,
}

impl BanRow {
    /// Our own of these bans, one JSON object a line.
    #[must_use]
    pub fn export(bans: &[BanRow]) -> String {
        let own = bans.iter().filter(|row| row.id.is_some());
        own.filter_map(|row| serde_json::to_string(&row.ban).ok()).map(|line| line + "\n").collect()
    }
}
