//! The rules of a configuration without the rest of it, for trying them out where no daemon runs. Pure.
//!
//! A whole configuration will do, and so will a file that holds nothing but a `[[policy]]`: what a service needs to be
//! reached is not looked at, and no room has to be held.

use std::collections::BTreeMap;

use super::check::Checker;
use super::raw::{self, Reporter, Section, Value};
use super::{Input, Problem};
use crate::policy::{Plans, Policies};
use crate::xmpp::jid;

/// Which rules hold where.
#[derive(Debug, Clone)]
pub struct Rulebook {
    /// The rules.
    pub policies: Policies,
    services: Vec<Service>,
}

/// What tells a service's rooms from those of others.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    domain: Option<String>,
    muc: Option<String>,
}

/// Reads the `[[policy]]` tables.
///
/// # Errors
/// Everything that is wrong with them, and every key that nobody knows; or that there are none.
pub fn rulebook(input: &Input<'_>) -> Result<Rulebook, Vec<Problem>> {
    let mut reporter = Reporter::new(&input.files);
    let raw = raw::read(input, &mut reporter);
    let text = |section: &Section, key: &str| match section.entries.get(key).map(|entry| &entry.value) {
        Some(Value::String(text)) => Some(text.to_lowercase()),
        _ => None,
    };
    let service = |(name, section): (&String, &Section)| Service {
        name: name.clone(),
        domain: text(section, "domain"),
        muc: text(section, "muc"),
    };
    let services: Vec<Service> = raw.services.iter().map(service).collect();
    // What is missing may stand in another file.
    let mut checker = Checker { input, reporter, warnings: Vec::new(), listening: Vec::new(), incomplete: true };
    let mut policies = checker.policies(&raw, &BTreeMap::new(), std::iter::empty());
    let guests = raw.services.values().filter_map(|section| text(section, "guest_domain"));
    policies.guest_domains.extend(guests.map(Into::into));
    if !checker.reporter.is_empty() {
        return Err(checker.reporter.finish());
    }
    if policies.tables.is_empty() {
        let name = input.files.first().map_or("the configuration", |file| &file.name);
        let mut problem = Problem::of_file(name, "no rules");
        problem.expected = "a [[policy]] in this file (rooms.d beside it is not read); `innkeeper rules` lists what may stand under it".to_owned();
        return Err(vec![problem]);
    }
    Ok(Rulebook { policies, services })
}

impl Rulebook {
    /// What holds in a room of which only its JID is known. Without any service in the file a table's `service` is
    /// not looked at. `None` where no table covers the room.
    #[must_use]
    pub fn plans_of(&self, room: &str) -> Option<Plans> {
        let (mut name, domain) = (jid::local(room)?.to_lowercase(), jid::domain(room).to_lowercase());
        let within = |wide: &str| domain == wide || domain.strip_suffix(wide).is_some_and(|left| left.ends_with('.'));
        let wide = |service: &Service| service.muc.clone().or_else(|| service.domain.clone());
        let is_here = |service: &&Service| wide(service).is_some_and(|wide| within(&wide));
        if self.services.is_empty() {
            let mut anywhere = self.policies.clone();
            anywhere.tables.iter_mut().for_each(|table| table.service = None);
            return anywhere.plans("", &name);
        }
        let service = self.services.iter().find(is_here)?;
        if let Some(tenant) = service.muc.as_deref().and_then(|muc| jid::tenant(muc, &domain)) {
            name = format!("[{tenant}]{name}");
        }
        self.policies.plans(&service.name, &name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Content, File, Files};

    struct NoFiles;

    impl Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> Result<Content, String> {
            Err("not there".to_owned())
        }
    }

    fn read(text: &str) -> Result<Rulebook, Vec<String>> {
        let files = vec![File { name: "rules.toml".to_owned(), text: text.to_owned() }];
        let input = Input { files, env: Vec::new(), base: "/".into(), offline: true, secrets: &NoFiles };
        rulebook(&input).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_policy_alone_will_do_and_holds_in_rooms_of_any_service() {
        let book = read("[[policy]]\nservice = \"meet\"\nrooms = \"tav*\"\n[policy.flood]\n").expect("rules");
        assert!(book.plans_of("Tavern@muc.meet.jitsi").is_some_and(|plans| plans.rules.contains_key("flood")));
        assert!(book.plans_of("hall@muc.meet.jitsi").is_none());
    }

    #[test]
    fn in_a_whole_configuration_a_room_belongs_to_the_service_of_its_domain() {
        let whole = "[service.a]\ndomain = \"a.org\"\npassword_file = \"/none\"\naccount = \"k\"\n[service.b]\n\
                     domain = \"b.org\"\nmuc = \"rooms.b.org\"\nguest_domain = \"guest.b.org\"\n\
                     [[policy]]\nservice = \"a\"\nrooms = \"*\"\n[policy.flood]\n\
                     [[policy]]\nservice = \"b\"\nrooms = \"*\"\n[policy.words]\nwords = [\"spam\"]\n";
        let book = read(whole).expect("rules");
        let rules = |room: &str| book.plans_of(room).map(|plans| plans.rules.into_keys().collect::<Vec<_>>());
        assert_eq!(rules("x@muc.a.org"), Some(vec!["flood"]));
        assert_eq!(rules("x@rooms.b.org"), Some(vec!["words"]));
        assert_eq!(rules("x@tenant.rooms.b.org"), Some(vec!["words"]));
        assert_eq!(rules("x@muc.b.org"), None);
        assert_eq!(rules("x@nota.org"), None);
        assert_eq!(book.policies.guest_domains, ["guest.b.org".into()]);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_and_key() {
        let problems = read("[[policy]]\nrooms = \"a\"\n[policy.flood]\nmessages = 0\nspeed = 3\n").expect_err("wrong");
        assert!(problems.iter().any(|said| said.starts_with("rules.toml:4: policy.flood.messages")), "{problems:?}");
        assert!(problems.iter().any(|said| said.starts_with("rules.toml:5: policy.flood.speed")), "{problems:?}");
        let none = read("[[room]]\nname = \"a\"\n").expect_err("no rules");
        assert!(none[0].starts_with("rules.toml: no rules"), "{none:?}");
        assert!(read("[[policy]\n").is_err());
    }
}
