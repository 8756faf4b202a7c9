//! `name_pattern`: what a name must or must not look like.

use regex::RegexSet;

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "name_pattern",
    help: "send away whoever has a name that fits, or does not fit, regular expressions",
    options: &[
        OptionHelp {
            name: "must",
            default: None,
            help: "a list of regular expressions (no look-around) of which a name must fit one; case does not matter",
        },
        OptionHelp {
            name: "must_not",
            default: None,
            help: "a list of regular expressions of which a name must fit none",
        },
    ],
    example: "[policy.name_pattern]\nmust = ['^\\p{L}+ \\p{L}+$']\nmust_not = ['[0-9]{4}']\n",
    measure: Some(Measure::At(Sanction::Kick)),
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if options.must.is_empty() && options.must_not.is_empty() {
            return Err(Wrong::senseless("must", "neither must nor must_not"));
        }
        let set = |key, patterns: &[String]| options::expressions(patterns).map_err(|what| Wrong::senseless(key, what));
        Ok(plan(Names { must: set("must", &options.must)?, must_not: set("must_not", &options.must_not)? }))
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    must: Vec<String>,
    must_not: Vec<String>,
}

#[derive(Debug)]
struct Names {
    must: RegexSet,
    must_not: RegexSet,
}

impl Plan for Names {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(NamePattern(self))
    }
}

#[derive(Debug)]
struct NamePattern(Arc<Names>);

impl Rule for NamePattern {
    fn judge(&mut self, _: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let Some(who) = newly_named(seen) else { return };
        let name = text::Text::new(who.shown_name());
        let plain = name.plain().trim();
        let wrong = if !self.0.must.is_empty() && !self.0.must.is_match(plain) {
            "fits no pattern"
        } else if self.0.must_not.is_match(plain) || self.0.must_not.is_match(name.folded().trim()) {
            "fits a pattern that is not allowed"
        } else {
            return;
        };
        let reason = "Your name is not one that this room allows. Please come back under another.";
        out.offence(who, reason, format!("{:?} {wrong}", who.shown_name()));
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn a_name_must_fit() {
        let mut room = Bench::new("[name_pattern]\nmust = ['^\\p{L}+ \\p{L}+$']");
        room.hold();
        assert!(room.join_named("a", "Ada Lovelace").is_empty());
        assert_eq!(room.join_named("b", "xx"), ["name_pattern kick b"]);
        assert_eq!(room.join("c"), ["name_pattern kick c"], "without a nick element");
        assert_eq!(room.join_named("d", "\u{200b}\u{2060}"), ["name_pattern kick d"], "nothing to be seen");
    }

    #[test]
    fn a_name_must_not_fit_in_whatever_letters() {
        let mut room = Bench::new("[name_pattern]\nmust_not = ['b[o]ss']");
        room.hold();
        assert_eq!(room.join_named("a", "The ВОЅЅ"), ["name_pattern kick a"]);
        assert!(room.join_named("b", "Bo").is_empty());
        assert_eq!(room.call("b", "b\u{ad}oss"), ["name_pattern kick b"]);
    }
}
