//! `rooms`, `room`, `occupants`, `why room`: what is known of rooms.

use clap::Args;
use jiff::Timestamp;

use super::ask::json;
use super::print::{self, Paint, facts, next, state_since, table, when};
use super::{Ask, Outcome};
use crate::command::{AbilityRow, Command, HistoryRow, OccupantRow, Reply, RoomReply, RoomRow, SourceRow, WhyReply};

#[derive(Debug, Args)]
pub(super) struct Rooms {
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Room {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct Occupants {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Debug, Args)]
pub(super) struct WhyRoom {
    /// NAME, SERVICE/NAME or the room's JID
    #[arg(value_name = "ROOM")]
    room: String,
    #[command(flatten)]
    ask: Ask,
}

impl Rooms {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::Rooms, |reply, as_json| match reply {
            Reply::Rooms { rooms } if as_json => Some(json(&serde_json::json!({ "rooms": rooms }))),
            Reply::Rooms { rooms } => Some(list(rooms, Timestamp::now(), Paint::of_stdout())),
            _ => None,
        })
    }
}

impl Room {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::Room { room: self.room }, |reply, as_json| match reply {
            Reply::Room(room) if as_json => Some(json(room)),
            Reply::Room(room) => Some(one(room, Timestamp::now(), Paint::of_stdout())),
            _ => None,
        })
    }
}

impl Occupants {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::Room { room: self.room }, |reply, as_json| match reply {
            Reply::Room(room) if as_json => {
                Some(json(&serde_json::json!({ "occupants": room.occupants, "waiting": room.waiting })))
            }
            Reply::Room(room) if room.occupants.is_empty() => Some("nobody is known to be inside\n".to_owned()),
            Reply::Room(room) => Some(everybody(room, Timestamp::now(), Paint::of_stdout())),
            _ => None,
        })
    }
}

impl WhyRoom {
    pub(super) fn go(self) -> Outcome {
        self.ask.show(&Command::WhyRoom { room: self.room }, |reply, as_json| match reply {
            Reply::Why(why) if as_json => Some(json(why)),
            Reply::Why(why) => Some(explain(why, Timestamp::now(), Paint::of_stdout())),
            _ => None,
        })
    }
}

/// A row's cause as far as it is news: nobody needs to be told that a held room is held.
fn reason(row: &RoomRow, now: Timestamp) -> String {
    match &row.last_trouble {
        _ if row.cause != "holding" => format!("{}: {}", row.cause, row.text),
        Some(trouble) => format!("was {} {} ago", trouble.cause, print::span(&trouble.time, now)),
        None => String::new(),
    }
}

fn lately(row: &RoomRow, now: Timestamp) -> String {
    let Some(trouble) = &row.last_trouble else { return String::new() };
    format!("{} ago, {}: {}", print::span(&trouble.time, now), trouble.cause, trouble.text)
}

fn list(rooms: &[RoomRow], now: Timestamp, paint: Paint) -> String {
    if rooms.is_empty() {
        return "no rooms are wanted; `innkeeper hold NAME` or a file in rooms.d changes that\n".to_owned();
    }
    let several = rooms.iter().any(|row| row.service != rooms[0].service);
    let rows: Vec<Vec<String>> = rooms
        .iter()
        .map(|row| {
            vec![
                if several { format!("{}/{}", row.service, row.name) } else { row.name.clone() },
                row.state.to_string(),
                print::span(&row.since, now),
                row.people.to_string(),
                reason(row, now),
                next(&row.next, row.next_at.as_deref(), now),
            ]
        })
        .collect();
    table(&["ROOM", "STATE", "SINCE", "PEOPLE", "CAUSE", "NEXT"], &rows, paint)
}

fn heading(row: &RoomRow, more: &[(&str, String)], now: Timestamp) -> String {
    let mut rows = vec![
        ("room", format!("{}/{}", row.service, row.name)),
        ("jid", row.jid.clone()),
        ("state", state_since(row.state, &row.since, now)),
        ("cause", format!("{}: {}", row.cause, row.text)),
        ("lately", lately(row, now)),
        ("next", next(&row.next, row.next_at.as_deref(), now)),
    ];
    rows.extend_from_slice(more);
    facts(&rows)
}

fn one(room: &RoomReply, now: Timestamp, paint: Paint) -> String {
    let inside = [
        ("nick", room.nick.clone().unwrap_or_default()),
        ("session", room.session.clone().unwrap_or_default()),
        ("people", room.row.people.to_string()),
    ];
    let mut text = heading(&room.row, &inside, now);
    if !room.occupants.is_empty() {
        text.push('\n');
        text.push_str(&everybody(room, now, paint));
    }
    text.push('\n');
    text.push_str(&abilities(&room.abilities, paint));
    text.push_str(&sources(&room.sources, now, paint));
    text
}

/// Who is inside, and who waits in the lobby.
fn everybody(room: &RoomReply, now: Timestamp, paint: Paint) -> String {
    let waits = |one: &OccupantRow| OccupantRow { kind: Some("waits in the lobby".to_owned()), ..one.clone() };
    let all: Vec<_> = room.occupants.iter().cloned().chain(room.waiting.iter().map(waits)).collect();
    occupants(&all, now, paint)
}

/// What can be done there in one line, and what not with the reason.
fn abilities(abilities: &[AbilityRow], paint: Paint) -> String {
    if abilities.is_empty() {
        return String::new();
    }
    let names: Vec<_> = abilities.iter().filter(|one| one.possible).map(|one| one.verb.as_str()).collect();
    let mut text = facts(&[("can", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })]);
    let rows: Vec<_> = abilities
        .iter()
        .filter(|one| !one.possible)
        .map(|one| vec![one.verb.to_string(), format!("{}: {}", one.cause, one.text)])
        .collect();
    if !rows.is_empty() {
        text.push_str(&table(&["CANNOT", "BECAUSE"], &rows, paint));
    }
    text.push('\n');
    text
}

fn occupants(occupants: &[OccupantRow], now: Timestamp, paint: Paint) -> String {
    let rows: Vec<Vec<String>> = occupants
        .iter()
        .map(|occupant| {
            vec![
                occupant.nick.clone(),
                occupant.display_name.clone().unwrap_or_default(),
                occupant.role.clone(),
                occupant.affiliation.clone(),
                occupant.real_jid.clone().unwrap_or_default(),
                print::span(&occupant.since, now),
                occupant.kind.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["NICK", "NAME", "ROLE", "AFFILIATION", "REAL JID", "SINCE", "KIND"], &rows, paint)
}

fn sources(sources: &[SourceRow], now: Timestamp, paint: Paint) -> String {
    if sources.is_empty() {
        return "nobody wants this room\n".to_owned();
    }
    let rows: Vec<Vec<String>> = sources
        .iter()
        .map(|source| {
            let until =
                source.until.as_deref().map(|until| format!(" for {}", print::span(until, now))).unwrap_or_default();
            vec![
                source.source.clone(),
                format!("{}{until}", source.says),
                source.who.clone(),
                when(&source.when, now),
                source.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["SOURCE", "SAYS", "WHO", "WHEN", "REASON"], &rows, paint)
}

fn explain(why: &WhyReply, now: Timestamp, paint: Paint) -> String {
    let mut text = heading(&why.row, &[], now);
    if !why.history.is_empty() {
        let rows: Vec<Vec<String>> = why
            .history
            .iter()
            .map(|HistoryRow { time, kind, text }| vec![when(time, now), kind.clone(), text.clone()])
            .collect();
        text.push('\n');
        text.push_str(&table(&["WHEN", "WHAT", "CAUSE"], &rows, paint));
    }
    text.push('\n');
    text.push_str(&sources(&why.sources, now, paint));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::RoomState;

    fn row(name: &str, state: RoomState, cause: &str) -> RoomRow {
        RoomRow {
            service: "meet".into(),
            name: name.into(),
            jid: format!("{name}@muc.meet.jitsi"),
            state,
            since: "2026-01-01T11:57:00Z".into(),
            cause: cause.into(),
            text: "nobody is behind focus.meet.jitsi".into(),
            next: "asks again".into(),
            next_at: Some("2026-01-01T12:00:12Z".into()),
            last_trouble: None,
            people: 2,
        }
    }

    #[test]
    fn a_list_says_state_since_cause_and_next() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let mut held = row("hall", RoomState::Held, "holding");
        (held.next, held.next_at) = (String::new(), None);
        let text = list(&[held, row("tavern", RoomState::Waiting, "focus-absent")], now, Paint::off());
        assert_eq!(
            text,
            "ROOM    STATE    SINCE  PEOPLE  CAUSE                                            NEXT\n\
             hall    held     3 min  2\n\
             tavern  waiting  3 min  2       focus-absent: nobody is behind focus.meet.jitsi  asks again in 12 s\n"
        );
    }
}
