//! `links`: addresses of other places.

use std::sync::LazyLock;

use regex::Regex;

use super::*;

pub(super) const KIND: RuleKind = RuleKind {
    name: "links",
    help: "strike messages with links, but to the sites that are allowed",
    options: &[
        OptionHelp {
            name: "allow",
            default: None,
            help: "a list of domains, such as [\"example.org\"]; their subdomains too",
        },
        OptionHelp {
            name: "newcomers",
            default: None,
            help: "only those who have been inside for less than this, such as \"10m\"; left out: everybody",
        },
    ],
    example: "[policy.links]\nallow = [\"example.org\"]\nnewcomers = \"10m\"\n",
    measure: Some(Measure::Strike),
    judges_owners: false,
    reads_text: true,
    load: |given| {
        let mut options: Options = given.options()?;
        for domain in &mut options.allow {
            let plain = text::Text::new(domain).plain().trim_matches('.').to_owned();
            if plain.is_empty() || plain.contains(['/', ':', ' ', '@', '*']) {
                return Err(Wrong::senseless("allow", format!("{domain:?} is no domain")));
            }
            *domain = plain;
        }
        Ok(plan(options))
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    allow: Vec<String>,
    newcomers: Option<Span>,
}

impl Plan for Options {
    fn start(self: Arc<Self>) -> Box<dyn Rule> {
        Box::new(Links(self))
    }
}

/// What clients make a link of: a scheme or `www.` before a host, a host with a path, query or fragment behind it, and a
/// bare host under one of the top-level domains that are no word, no abbreviation and no file's ending. Dots of other
/// scripts are dots. A backslash ends a host, as browsers read it.
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = concat!(
        r"[a-z][a-z0-9+.-]*://(?:[^\s\\/?#@]*@)?(?<a>[^\s\\/?#:]+)",
        r"|\b(?<b>www[.。][^\s\\/?#:]+)",
        r"|(?<c>\b[\w-]+(?:[.。][\w-]+)*[.。](?:xn--[a-z0-9-]+|\p{L}{2,24}))(?::\d+)?[/?#]\S",
        r"|(?:^|[^\w@.-])(?<d>[\w-]+(?:[.。][\w-]+)*[.。](?:com|net|org|info|biz|xyz|online|site|shop|club|xn--[a-z0-9-]+))\b",
    );
    // The pattern is a constant that a test compiles.
    Regex::new(pattern).expect("a constant pattern")
});

/// Hosts of the links in a text.
fn hosts(text: &str) -> impl Iterator<Item = String> {
    LINK.captures_iter(text).filter_map(|link| {
        let host = link.name("a").or_else(|| link.name("b")).or_else(|| link.name("c")).or_else(|| link.name("d"))?;
        Some(host.as_str().replace('。', ".").trim_matches('.').to_owned())
    })
}

#[derive(Debug)]
struct Links(Arc<Options>);

impl Rule for Links {
    fn judge(&mut self, cx: &Context<'_>, seen: &Seen<'_>, out: &mut Opinions) {
        let Seen::Message { who, text, .. } = seen else { return };
        let settled = |newcomers: Span| cx.now.at.duration_since(who.since) >= newcomers.0;
        if self.0.newcomers.is_some_and(settled) || !text.plain().contains(['/', '.', '。']) {
            return;
        }
        let allowed = |host: &str| {
            self.0
                .allow
                .iter()
                .any(|domain| host.strip_suffix(&**domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.')))
        };
        if let Some(host) = hosts(text.plain()).find(|host| !allowed(host)) {
            let host: String = host.chars().take(80).collect();
            out.offence(who, "Links are not allowed here.", format!("a link to {host:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bench::Bench;

    #[test]
    fn a_link_is_found_however_it_is_written() {
        for (text, host) in [
            ("see https://evil.example/x", "evil.example"),
            ("HTTP://EVIL.example", "evil.example"),
            ("www.evil.example", "www.evil.example"),
            ("evil.example/join", "evil.example"),
            ("h\u{200b}ttps://ev\u{ad}il.example", "evil.example"),
            ("ｈｔｔｐｓ：／／ｅｖｉｌ．ｅｘａｍｐｌｅ", "evil.example"),
            ("https://good.example@evil.example/", "evil.example"),
            ("evil。example/x", "evil.example"),
            ("https://evil.example\\@good.example/", "evil.example"),
            ("evil.example?join=1", "evil.example"),
            ("evil.example:8080#x", "evil.example"),
            ("evil.xn--p1ai/x", "evil.xn--p1ai"),
            ("зло.рф/x", "зло.рф"),
            ("come to evil.com now", "evil.com"),
            ("evil.com.", "evil.com"),
        ] {
            let found: Vec<_> = hosts(text::Text::new(text).plain()).collect();
            assert_eq!(found, [host], "{text:?}");
        }
        for text in
            ["no link. And/or so", "3.5/4", "e.g. this", "a.b", "main.rs", "so.what", "end.Come on", "ann@evil.com"]
        {
            assert_eq!(hosts(text).next(), None, "{text:?}");
        }
    }

    #[test]
    fn allowed_sites_are_allowed_and_not_those_that_end_alike() {
        let mut room = Bench::new("[links]\nallow = [\"Example.org\"]");
        room.hold();
        room.join("a");
        assert!(room.say("a", "https://example.org/x and http://wiki.example.org").is_empty());
        assert_eq!(room.say("a", "https://notexample.org"), ["links warn a"]);
        assert_eq!(room.say("a", "https://example.org.evil.example"), ["links mute a"]);
    }

    #[test]
    fn who_has_been_there_for_a_while_may_link() {
        let mut room = Bench::new("[links]\nnewcomers = \"10m\"");
        room.hold();
        room.join("a");
        assert_eq!(room.say("a", "https://x.example"), ["links warn a"]);
        room.wait(600);
        assert!(room.say("a", "https://x.example").is_empty());
    }
}
