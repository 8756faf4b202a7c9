//! `rules`: what rules there are, with their options and an example of each; and what they would have done.

use clap::Args;

use super::ask::json;
use super::print::{self, Paint, table};
use super::trial::Trial;
use super::{Exit, Outcome};
use crate::command::RuleRow;
use crate::policy::RuleKind;
use crate::policy::rules::{KINDS, kind};
use crate::telemetry::text::printable;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Rules {
    #[command(subcommand)]
    trial: Option<Trial>,
    /// Show one rule with its options and an example
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub(super) fn go(self) -> Outcome {
        match self.trial {
            Some(trial) => trial.go(),
            None => Ok(self.list()),
        }
    }

    fn list(self) -> Exit {
        let shown: Vec<&RuleKind> = match &self.rule {
            None => KINDS.to_vec(),
            Some(name) => match kind(name) {
                Some(kind) => vec![kind],
                None => {
                    let near = crate::config::nearest(name, KINDS.iter().map(|kind| kind.name));
                    let hint = near.map_or_else(
                        || "`innkeeper rules` lists them".to_owned(),
                        |near| format!("did you mean {near}?"),
                    );
                    eprintln!("innkeeper: no rule is called {}; {hint}", printable(name));
                    return Exit::Failed;
                }
            },
        };
        let paint = Paint::of_stdout();
        print::out(&if self.json {
            json(&shown.iter().map(|kind| RuleRow::from(*kind)).collect::<Vec<_>>())
        } else if self.rule.is_some() {
            shown.iter().map(|kind| show(kind, paint)).collect()
        } else {
            list(&shown, paint)
        });
        Exit::Done
    }
}

fn list(kinds: &[&RuleKind], paint: Paint) -> String {
    let rows: Vec<Vec<String>> = kinds
        .iter()
        .map(|kind| RuleRow::from(*kind))
        .map(|row| vec![row.name, row.action.unwrap_or_default(), row.help])
        .collect();
    let mut text = table(&["RULE", "ACTION", "WHAT IT IS FOR"], &rows, paint);
    text.push_str("\n`innkeeper rules RULE` shows its options and an example.\n");
    text
}

fn show(kind: &RuleKind, paint: Paint) -> String {
    let mut text = format!("{}: {}\n\n", paint.bold(kind.name), kind.help);
    let row = |name: &str, default: &str, help: &str| vec![format!("  {name}"), default.to_owned(), help.to_owned()];
    let mut rows: Vec<_> =
        kind.options.iter().map(|option| row(option.name, option.default.unwrap_or(""), option.help)).collect();
    if let Some(action) = RuleRow::from(kind).action {
        let help = "what is done about it: strike, note, warn, mute, demote, kick, ban or \"ban 1h\"";
        rows.push(row("action", &format!("\"{action}\""), help));
    }
    rows.push(row("mode", "the policy's", "\"dry-run\" says what would be done, \"enforce\" does it"));
    text.push_str(&table(&["  OPTION", "DEFAULT", "WHAT IT TAKES"], &rows, paint));
    text.push_str("\nFor example:\n\n  [[policy]]\n  rooms = \"tavern\"\n  mode = \"dry-run\"\n\n");
    for line in kind.example.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_listed_and_shows_all_its_options() {
        let listed = list(KINDS, Paint::off());
        for kind in KINDS {
            assert!(listed.contains(kind.name), "{listed}");
            let shown = show(kind, Paint::off());
            for option in kind.options {
                assert!(shown.contains(option.name) && shown.contains(option.help), "{shown}");
            }
            assert!(shown.contains(&format!("  [policy.{}]\n", kind.name)), "{shown}");
        }
    }
}
