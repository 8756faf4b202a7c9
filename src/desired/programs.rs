//! What a new configuration changes for the programs that ask, decide and are told. Pure.

use crate::config::Config;

/// Each program for which something changes, with what becomes of it: `line game: new`.
pub(super) fn changes(before: &Config, after: &Config) -> Vec<String> {
    let bearers = |config: &Config| config.http.iter().flat_map(|http| &http.tokens).cloned().collect::<Vec<_>>();
    [
        compare("http.token", &bearers(before), &bearers(after), |token| token.name.clone()),
        compare("line", &before.lines, &after.lines, |line| line.name.clone()),
        compare("authority", &before.authorities, &after.authorities, |authority| authority.name.clone()),
        compare("avchat", &before.avchats, &after.avchats, |avchat| avchat.name.clone()),
        compare("reservations", &before.reservations, &after.reservations, |desk| desk.listen.to_string()),
        compare("webhook", before.webhooks.values(), after.webhooks.values(), |webhook| webhook.name.clone()),
        compare("rtbl", &before.rtbl, &after.rtbl, ToString::to_string),
    ]
    .concat()
}

fn compare<'c, T: PartialEq + 'c>(
    kind: &str,
    before: impl IntoIterator<Item = &'c T>,
    after: impl IntoIterator<Item = &'c T>,
    name: impl Fn(&T) -> String,
) -> Vec<String> {
    let mut old: Vec<&T> = before.into_iter().collect();
    let mut changes = Vec::new();
    for new in after {
        match old.iter().position(|old| name(old) == name(new)) {
            None => changes.push(format!("{kind} {}: new", name(new))),
            Some(at) if old[at] == new => drop(old.remove(at)),
            Some(at) => {
                old.remove(at);
                changes.push(format!("{kind} {}: settings", name(new)));
            }
        }
    }
    changes.extend(old.iter().map(|gone| format!("{kind} {}: gone", name(gone))));
    changes
}
