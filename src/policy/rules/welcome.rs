//! `welcome`: a word to everybody who comes, once in a life of the room.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "welcome",
    help: "greet everybody who comes, once in a life of the room",
    options: &[
        OptionHelp {
            name: "text",
            default: Some("\"Welcome to {room}, {name}.\""),
            help: "what is said; {room} and {name} stand for the room's and the person's name",
        },
        OptionHelp { name: "private", default: Some("true"), help: "whether only they are told" },
    ],
    example: "[policy.welcome]\ntext = \"Welcome to {room}, {name}. Please stay muted.\"\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| {
        let options: Options = given.options()?;
        if options.text.trim().is_empty() || options.text.len() > 4096 {
            return Err(Wrong::senseless("text", "empty, or more than 4096 bytes"));
        }
        let names = options.text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        let mut words = names.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()));
        if let Some(name) = words.find(|name| !["room", "name"].contains(name)) {
            return Err(Wrong::senseless("text", format!("{{{name}}} stands for nothing")));
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    text: String,
    private: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { text: "Welcome to {room}, {name}.".to_owned(), private: true }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Welcome { options: self, welcomed: HashSet::new() })
    }
}

/// Most people who are remembered; after that nobody is greeted, rather than everybody again.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Welcome {
    options: Arc<Options>,
    welcomed: HashSet<OccupantKey>,
}

impl Rule for Welcome {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        match seen {
            Seen::Opened { new_life: true, .. } => self.welcomed.clear(),
            // Who was inside before us has been welcomed, or had nobody to do it.
            Seen::Joined(who)
                if who.is_person()
                    && self.welcomed.len() < MOST
                    && self.welcomed.insert(who.key().clone())
                    && who.live =>
            {
                let plain = |c: &char| !c.is_control();
                let name: String = who.shown_name().chars().filter(plain).take(60).collect();
                let text = self.options.text.replace("{room}", cx.room).replace("{name}", name.trim());
                let wish =
                    if self.options.private { Wish::Whisper { nick: who.nick.clone(), text } } else { Wish::Say(text) };
                out.wish(wish, "somebody came");
            }
            _ => {}
        }
    }

    fn export(&self, _: Now) -> Option<Value> {
        (!self.welcomed.is_empty()).then(|| serde_json::to_value(&self.welcomed).ok()).flatten()
    }

    fn import(&mut self, _: Now, state: Value) {
        self.welcomed = serde_json::from_value(state).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn everybody_is_greeted_once_in_a_life() {
        let mut room = Bench::new("[welcome]\ntext = \"Hello {name} in {room}\"");
        room.hold();
        room.keeper("00_innkeeper");
        assert_eq!(room.join_as("a", "Al", "a@meet.jitsi/1"), ["welcome whisper a: Hello Al in tavern"]);
        room.leave("a");
        assert!(room.join_as("a", "Al", "a@meet.jitsi/2").is_empty());
        room.new_life();
        assert_eq!(room.join_as("a", "Al", "a@meet.jitsi/2").len(), 1);
    }

    #[test]
    fn a_restart_does_not_greet_again_and_who_was_there_before_us_is_not_greeted() {
        let mut room = Bench::new("[welcome]");
        room.join_as("b", "B", "b@meet.jitsi/1");
        assert!(room.hold().is_empty());
        room.join_as("a", "A", "a@meet.jitsi/1");
        room.restart();
        room.hold();
        assert!(room.join_as("a", "A", "a@meet.jitsi/1").is_empty());
    }

    #[test]
    fn who_is_thrown_out_at_the_door_is_not_greeted() {
        let mut room = Bench::new("[welcome]\n[no_guests]");
        room.hold();
        assert_eq!(room.join("a"), ["no_guests kick a"]);
    }
}
