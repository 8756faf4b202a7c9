//! Who can do what in a room, and why things are as they are: read from what the session sees and what was done.

use jiff::Timestamp;

use super::board::{Clock, rfc3339};
use super::ledger::Done;
use super::session::{Lists, RoomView};
use crate::action::Verb;
use crate::command::{Explanation, HistoryRow, PowerRow, WhoCanReply};
use crate::config::{Login, RoomKey};
use crate::event::{Departure, Event, Machine, What};
use crate::room::recent::{Befell, Recent};
use crate::room::{LobbyOrigin, Occupant};
use crate::xmpp::jid;
use crate::xmpp::moderate::Listed;
use crate::xmpp::muc::{Affiliation, Role};

/// What is known beside the room itself.
pub struct About<'a> {
    /// The room.
    pub room: &'a RoomKey,
    /// How we log in there.
    pub login: Option<&'a Login>,
    /// What we did there lately, latest first.
    pub done: Vec<&'a Done>,
    /// Both clocks.
    pub clock: Clock,
}

fn rank(affiliation: Option<&Affiliation>) -> u8 {
    match affiliation {
        Some(Affiliation::Owner) => 3,
        Some(Affiliation::Admin) => 2,
        Some(Affiliation::Member) => 1,
        _ => 0,
    }
}

fn word(occupant: &Occupant) -> String {
    let affiliation = occupant.affiliation.as_ref().map_or("unknown", |known| known.as_str());
    let role = occupant.role.as_ref().map_or("unknown", |known| known.as_str());
    format!("{role}, affiliation {affiliation}")
}

/// Everybody who could put us out, and through what, as far as the room tells. XEP-0045 §5.1.2, §5.2.2 "Privileges".
#[must_use]
pub fn who_can(about: &About<'_>, view: &RoomView, lists: Option<&Lists>) -> WhoCanReply {
    let own = view.nick.as_deref().unwrap_or_default();
    let ours = view.occupants.iter().find(|(nick, ..)| nick == own).map(|(_, one, _)| one);
    let our_rank = rank(ours.and_then(|one| one.affiliation.as_ref()));
    let mut powers = Vec::new();
    for (nick, one, machine) in view.occupants.iter().filter(|(nick, ..)| nick != own) {
        let theirs = rank(one.affiliation.as_ref());
        let kicks = one.role == Some(Role::Moderator) && theirs >= our_rank;
        let (mut can, through) = match theirs {
            3 => (vec!["kick", "ban", "demote", "destroy"], "owner of the room: an owner may also act against owners"),
            2 if our_rank < 2 => (vec!["kick", "ban"], "admin of the room, and we are less"),
            _ if kicks => (vec!["kick"], "moderator, and our affiliation is no higher than theirs"),
            _ => continue,
        };
        if !kicks {
            can.retain(|verb| *verb != "kick");
        }
        let through = if *machine == Some(Machine::Focus) {
            "the conference focus: it owns every room".to_owned()
        } else {
            through.to_owned()
        };
        powers.push(PowerRow {
            nick: nick.clone(),
            display_name: one.display_name.as_deref().map(str::to_owned),
            real_jid: one.real_jid.as_deref().map(str::to_owned),
            can: can.into_iter().map(str::to_owned).collect(),
            through: format!("{through} ({})", word(one)),
        });
    }
    let mut hints = vec![
        "accounts in the server's `admins`, and in those of the group chat component, own every room without standing in \
         its lists, on Prosody 13 only with `component_admins_as_room_owners`; who they are cannot be known from outside, \
         only from the server's configuration"
            .to_owned(),
    ];
    for (affiliation, listed) in lists.into_iter().flatten() {
        match listed {
            Ok(listed) => powers.extend(from_outside(view, our_rank, affiliation, listed)),
            Err(why) => hints.push(format!(
                "the room does not show its list of those with affiliation {} ({why}): there may be more who are outside",
                affiliation.as_str()
            )),
        }
    }
    if lists.is_none() && ours.is_some() {
        hints
            .push("the room has not told its lists of owners and admins: there may be more who are outside".to_owned());
    }
    if ours.is_none() {
        hints.push("we are not inside, so only what holds everywhere is listed".to_owned());
    }
    match view.authentication {
        Some(false) => hints.push(
            "authentication is off at the focus: whoever opens a room first becomes its owner, and when no owner is \
             left the focus makes another (auto-owner)"
                .to_owned(),
        ),
        Some(true) => hints.push("whoever logs in where the focus asks for it is made owner by it".to_owned()),
        None => {}
    }
    if let Some(Login::Token { .. }) = about.login {
        hints.push(
            "the deployment takes tokens: one whose claims say moderator, and with docker's set-up every valid one, is \
             owner; rule `moderators` takes that back"
                .to_owned(),
        );
    }
    WhoCanReply { room: about.room.to_string(), powers, hints }
}

/// Where a lobby comes from that was on when we came in, as exactly as what we saw allows.
fn from_before(people: bool, previous: Option<bool>) -> (&'static str, &'static str) {
    match (people, previous) {
        (false, Some(false)) => (
            "autostart",
            "the deployment begins rooms with a lobby (autostart): it was on when we came in, nobody was inside, and the \
             meeting before ended without one; but for somebody who came and went before us nobody else can have done it",
        ),
        (false, Some(true)) => (
            "deployment",
            "the deployment switched it on, or somebody who came and went before us: it was on when we came in, nobody \
             was inside, and the meeting before ended with one; whether every room begins with one (autostart) or that \
             one was kept (persistent lobby) cannot be told from outside",
        ),
        (false, None) => (
            "deployment",
            "it was on when we came in, and no person was inside: the deployment begins rooms with one (autostart), kept \
             one over meetings (persistent lobby), or somebody who has gone switched it on; which of these cannot be told \
             from outside",
        ),
        (true, _) => (
            "from-before",
            "it was on when we came in, and people were inside: one of them switched it on, or the deployment did \
             (autostart, persistent lobby); which of these cannot be told from outside",
        ),
    }
}

/// Those of a list who are not inside. An affiliation acts from outside, too: only a kick takes a role.
fn from_outside<'a>(
    view: &'a RoomView,
    our_rank: u8,
    affiliation: &'a Affiliation,
    listed: &'a [Listed],
) -> impl Iterator<Item = PowerRow> + 'a {
    let theirs = rank(Some(affiliation));
    let (can, through): (&[&str], _) = match theirs {
        3 => (&["ban", "demote", "destroy"], "owner of the room"),
        _ if our_rank < 2 => (&["ban"], "admin of the room, and we are less"),
        _ => (&[], ""),
    };
    let own = view.jid.as_deref().map(jid::bare);
    let here = |one: &Occupant, listed: &str| one.real_jid.as_deref().is_some_and(|real| jid::bare(real) == listed);
    let outside = move |one: &&Listed| {
        !can.is_empty() && Some(&*one.jid) != own && !view.occupants.iter().any(|(_, known, _)| here(known, &one.jid))
    };
    listed.iter().filter(outside).map(move |one| {
        let all = if one.jid.contains('@') { "" } else { ", as are all accounts of that domain" };
        PowerRow {
            nick: String::new(),
            display_name: None,
            real_jid: Some(one.jid.clone()),
            can: can.iter().map(|verb| (*verb).to_owned()).collect(),
            through: format!("{through}{all}; outside, and to kick they would have to come in"),
        }
    })
}

/// Why newcomers have to wait: the reasons that apply, most certain first.
#[must_use]
pub fn lobby(about: &About<'_>, view: &RoomView, outside: Option<(&str, &str)>) -> Explanation {
    let room = about.room.to_string();
    let because =
        |kind: &str, text: String| HistoryRow { time: rfc3339(about.clock.now()), kind: kind.to_owned(), text };
    if let Some((word, text)) = outside {
        let kind = match word {
            "waiting-for-host" => "waiting-for-host",
            "lobby" | "lobby-denied" => "lobby",
            "members-only" => "members-only",
            _ => {
                let text = format!("we are not inside {room} ({word}: {text}), and see no lobby from here");
                return Explanation { room, text, because: Vec::new() };
            }
        };
        let more = match kind {
            "waiting-for-host" => {
                "the deployment keeps rooms shut until a host comes (wait-for-host), and none is there"
            }
            "members-only" => "the room takes members only and has no lobby to wait in",
            _ => "the room has a lobby, and nobody inside has let us in",
        };
        return Explanation { room, text: more.to_owned(), because: vec![because(kind, text.to_owned())] };
    }
    let Some(info) = &view.info else {
        let text =
            "the room was not asked for its configuration yet; nothing has said that there is a lobby".to_owned();
        return Explanation { room, text, because: Vec::new() };
    };
    if info.lobby.is_none() && !info.members_only {
        let text = "the room has no lobby: whoever comes gets in".to_owned();
        return Explanation { room, text, because: Vec::new() };
    }
    let mut rows = Vec::new();
    if view.locked_lobby == Some(true) {
        rows.push(because(
            "locked",
            "our configuration locks it: `lobby = true` for this room, or an authority with `gate = \"lobby\"`"
                .to_owned(),
        ));
    }
    let own = view.nick.as_deref();
    for done in about.done.iter().filter(|done| done.verb == Verb::Lobby).take(1) {
        let text = format!("we switched it ourselves: {} asked for it (action {})", done.actor, done.key);
        rows.push(HistoryRow { time: rfc3339(done.at), kind: "ours".to_owned(), text });
    }
    match &view.origin {
        Some(LobbyOrigin::By(nick)) if Some(&**nick) != own => {
            rows.push(because("switched-on", format!("{nick} switched it on while we were inside")));
        }
        Some(LobbyOrigin::Before { people, previous }) if rows.is_empty() => {
            let (kind, text) = from_before(*people, *previous);
            rows.push(because(kind, text.to_owned()));
        }
        Some(LobbyOrigin::Unsaid) if rows.is_empty() => {
            let text = "somebody switched it on since we first came in; who did was not said";
            rows.push(because("switched-on", text.to_owned()));
        }
        _ => {}
    }
    if info.lobby.is_none() {
        rows.push(because("members-only", "the room is for members only, without a lobby".to_owned()));
    }
    let text = match &info.lobby {
        Some(lobby) => format!("who is no member waits in {lobby}; {} there now", view.waiting.len()),
        None => "who is no member is turned away".to_owned(),
    };
    Explanation { room, text, because: rows }
}

fn meant(one: &Recent, who: &str) -> bool {
    *one.nick == *who || one.name.as_deref() == Some(who) || one.jid.as_deref() == Some(jid::bare(who))
}

fn told(one: &Recent, clock: Clock) -> HistoryRow {
    let by = one.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = one.reason.as_deref().map(|reason| format!(": {reason:?}")).unwrap_or_default();
    let (kind, text) = match &one.what {
        Befell::Removed(removal) => ("removed", format!("{} {}{by}{reason}", one.nick, removal.as_str())),
        Befell::Left => ("left", format!("{} left{reason}", one.nick)),
        Befell::Changed { from, to } => ("changed", format!("{} went from {from} to {to}{by}{reason}", one.nick)),
    };
    HistoryRow { time: rfc3339(clock.wall(one.at)), kind: kind.to_owned(), text }
}

fn ours(done: &Done) -> HistoryRow {
    let reason = if done.reason.is_empty() { String::new() } else { format!(": {:?}", done.reason) };
    let text = format!("we did it: {} of {} for {}{reason} (action {})", done.verb, done.target, done.actor, done.key);
    HistoryRow { time: rfc3339(done.at), kind: "action".to_owned(), text }
}

/// Why somebody is moderator, or is not.
#[must_use]
pub fn moderator(about: &About<'_>, view: &RoomView, who: &str) -> Explanation {
    let room = about.room.to_string();
    let found = view.occupants.iter().find(|(nick, ..)| nick == who).or_else(|| {
        let same = |one: &Occupant| {
            one.display_name.as_deref() == Some(who) || one.real_jid.as_deref().map(jid::bare) == Some(jid::bare(who))
        };
        let mut all = view.occupants.iter().filter(|(_, one, _)| same(one));
        all.next().filter(|_| all.next().is_none())
    });
    let mut because: Vec<HistoryRow> = Vec::new();
    let Some((nick, one, machine)) = found else {
        because.extend(view.recent.iter().filter(|one| meant(one, who)).map(|one| told(one, about.clock)));
        let text = format!("nobody inside is called {who}, or several are");
        return Explanation { room, text, because };
    };
    let is = one.role == Some(Role::Moderator);
    let text = match (is, rank(one.affiliation.as_ref())) {
        _ if *machine == Some(Machine::Focus) => format!("{nick} is the conference focus, which owns every room"),
        (true, 3) => format!(
            "{nick} is moderator because their affiliation is owner: the focus or another owner gave it, or a token's claims"
        ),
        (true, 2) => format!("{nick} is moderator because their affiliation is admin"),
        (true, _) => {
            format!("{nick} is moderator for this visit only: somebody gave the role, and no affiliation keeps it")
        }
        (false, 2..) => {
            format!("{nick} is not moderator although their affiliation would make them one ({})", word(one))
        }
        (false, _) => format!(
            "{nick} is not moderator ({}): nobody gave it; on Jitsi the focus makes those owner who log in, or who were \
             first where authentication is off",
            word(one)
        ),
    };
    let bare = one.real_jid.as_deref().map(jid::bare);
    let same = |known: &Recent| *known.nick == **nick || known.jid.is_some() && known.jid.as_deref() == bare;
    let changes = view.recent.iter().filter(|known| matches!(known.what, Befell::Changed { .. }) && same(known));
    because.extend(changes.map(|known| told(known, about.clock)));
    let grants =
        about.done.iter().filter(|done| matches!(done.verb, Verb::Grant | Verb::Revoke) && Some(&*done.target) == bare);
    because.extend(grants.map(|done| ours(done)));
    Explanation { room, text, because }
}

fn same_account(done: &Done, jids: &[&str]) -> bool {
    done.real_jid.as_deref().is_some_and(|real| jids.contains(&jid::bare(real)))
}

/// Why somebody is no longer inside; `recorded` is what the record has from before the room's own memory.
#[must_use]
pub fn removed(about: &About<'_>, view: &RoomView, recorded: &[Event], who: &str) -> Explanation {
    let room = about.room.to_string();
    let seen: Vec<&Recent> = view.recent.iter().filter(|one| meant(one, who)).collect();
    let gone = seen.iter().rev().find(|one| !matches!(one.what, Befell::Changed { .. }));
    let mut because: Vec<HistoryRow> = recorded.iter().filter_map(left).collect();
    let last = because.last().map(|row| row.text.clone());
    because.extend(seen.iter().map(|one| told(one, about.clock)));
    let people = || recorded.iter().filter_map(|event| event.what.person());
    let nicks: Vec<&str> = seen.iter().map(|one| &*one.nick).chain(people().map(|person| &*person.nick)).collect();
    let jids = seen.iter().filter_map(|one| one.jid.as_deref()).chain(people().filter_map(|person| person.account()));
    let jids: Vec<&str> = jids.collect();
    let verbs = [Verb::Kick, Verb::Ban, Verb::Deny];
    let ours_too = about.done.iter().filter(|done| {
        let target = &*done.target;
        verbs.contains(&done.verb)
            && (target == who || nicks.contains(&target) || jids.contains(&target) || same_account(done, &jids))
    });
    because.extend(ours_too.map(|done| ours(done)));
    because.sort_by_key(|row| row.time.parse::<Timestamp>().ok());
    let text = match gone {
        Some(one) => told(one, about.clock).text,
        None if last.is_some() => last.unwrap_or_default(),
        None if because.is_empty() => {
            format!("nothing is recorded of anybody called {who} who left")
        }
        None => format!("{who} was not seen to leave"),
    };
    Explanation { room, text, because }
}

/// As [`told`], of a recorded departure.
fn left(event: &Event) -> Option<HistoryRow> {
    let What::OccupantLeft { person, how, by, reason } = &event.what else { return None };
    let (kind, word) = match how {
        Departure::Left => ("left", "left"),
        Departure::Kicked => ("removed", "was kicked"),
        Departure::Banned => ("removed", "was banned"),
        Departure::NotMember => ("removed", "was put out as no member"),
        Departure::Lost => ("left", "lost the connection"),
        Departure::RoomGone => ("left", "left as the room went"),
        Departure::Unseen => ("left", "was gone when we came back"),
    };
    let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = reason.as_deref().map(|reason| format!(": {reason:?}")).unwrap_or_default();
    let text = format!("{} {word}{by}{reason}", person.nick);
    Some(HistoryRow { time: rfc3339(event.time), kind: kind.to_owned(), text })
}
