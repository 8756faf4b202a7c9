//! `idle_close`: a room that nobody uses is closed.

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "idle_close",
    help: "end a room in which nobody has been, or nothing has happened, for a while",
    options: &[
        OptionHelp { name: "empty", default: Some("\"30m\""), help: "how long nobody but the keeper is inside" },
        OptionHelp {
            name: "silent",
            default: None,
            help: "how long nobody comes, goes, writes or changes; left out: any time",
        },
    ],
    example: "[policy.idle_close]\nempty = \"30m\"\nsilent = \"8h\"\n",
    measure: None,
    judges_owners: false,
    reads_text: false,
    load: |given| Ok(plan(given.options::<Options>()?)),
};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    empty: Span,
    silent: Option<Span>,
}

impl Default for Options {
    fn default() -> Self {
        Options { empty: Span::seconds(1800), silent: None }
    }
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(IdleClose { options: self, empty_at: None, silent_at: None })
    }
}

#[derive(Debug)]
struct IdleClose {
    options: Arc<Options>,
    /// When it will have been empty for too long.
    empty_at: Option<Instant>,
    /// When it will have been silent for too long.
    silent_at: Option<Instant>,
}

impl Rule for IdleClose {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let now = cx.now.at;
        if let Seen::Timeout = seen {
            let what = if self.empty_at.is_some_and(|at| at <= now) {
                format!("nobody inside for {}", self.options.empty)
            } else if let (Some(silent), true) = (self.options.silent, self.silent_at.is_some_and(|at| at <= now)) {
                format!("nothing happened for {silent}")
            } else {
                return;
            };
            (self.empty_at, self.silent_at) = (None, None);
            return out.wish(Wish::Close { why: Closing::Idle, until: None }, what);
        }
        if cx.people.count() > 0 {
            self.empty_at = None;
        } else if self.empty_at.is_none() {
            self.empty_at = Some(now + self.options.empty.0);
        }
        let moves = match seen {
            Seen::Joined(who) | Seen::Updated { who, .. } | Seen::Left { who, .. } | Seen::Renamed { who, .. } => {
                who.is_person()
            }
            Seen::Message { .. } | Seen::Wordless(_) | Seen::Unreadable(_) | Seen::Opened { .. } => true,
            Seen::Timeout => false,
        };
        if moves {
            self.silent_at = self.options.silent.map(|silent| now + silent.0);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.empty_at.into_iter().chain(self.silent_at).min()
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::bench::Bench;

    #[test]
    fn a_room_is_closed_when_nobody_has_been_there_for_a_while() {
        let mut room = Bench::new("[idle_close]\nempty = \"10m\"");
        room.hold();
        room.keeper("00_innkeeper");
        assert!(room.wait(590).is_empty());
        room.join("a");
        assert!(room.wait(3600).is_empty(), "somebody is there");
        room.leave("a");
        assert!(room.wait(590).is_empty());
        assert_eq!(room.wait(10), ["idle_close close idle"]);
        assert!(room.wait(3600).is_empty(), "said once");
    }

    #[test]
    fn a_silent_room_is_closed_where_that_is_wanted() {
        let mut room = Bench::new("[idle_close]\nsilent = \"1h\"");
        room.hold();
        room.join("a");
        room.wait(3500);
        room.say("a", "still here");
        assert!(room.wait(3500).is_empty());
        assert_eq!(room.wait(100), ["idle_close close idle"]);
    }
}
