//! Who is meant by a name that a person wrote. Pure.

use super::{Occupant, Occupants};
use crate::policy::text;
use crate::xmpp::muc::clip;

/// Whom a name may mean.
#[derive(Debug)]
pub enum Meant<'a> {
    /// This one, as the room writes their nick.
    One(&'a str, &'a Occupant),
    /// Nobody has it.
    Nobody,
    /// Several have it, or one that nobody can tell from it: their nicks.
    Several(Vec<&'a str>),
}

/// The exact nick, else the only one with a display name that looks like that: whoever takes somebody's name in other
/// letters must not have them thrown out in their place, nor be out of reach by letters that nobody sees.
#[must_use]
pub fn meant<'a>(name: &str, here: &'a Occupants) -> Meant<'a> {
    if let Some((nick, one)) = here.iter().find(|(nick, _)| *nick == name) {
        return Meant::One(nick, one);
    }
    let likeness = text::likeness(name);
    let shows = |one: &Occupant| {
        let shown = one.display_name.as_deref();
        shown.is_some_and(|shown| shown == name || !likeness.is_empty() && text::likeness(shown) == likeness)
    };
    let named: Vec<_> = here.iter().filter(|(_, one)| shows(one)).collect();
    match named.as_slice() {
        [] => Meant::Nobody,
        [(nick, one)] => Meant::One(nick, one),
        several => Meant::Several(several.iter().map(|(nick, _)| *nick).collect()),
    }
}

/// The same, where only one will do.
///
/// # Errors
/// Nobody has it, or several have; the text names them and the places to choose between.
pub fn target<'a>(name: &str, here: &'a Occupants, place: &str) -> Result<(&'a str, &'a Occupant), String> {
    match meant(name, here) {
        Meant::One(nick, one) => Ok((nick, one)),
        Meant::Nobody => Err(format!("nobody {place} is called {}", clip(name))),
        Meant::Several(nicks) => {
            let count = nicks.len();
            let nicks: Vec<&str> = nicks.into_iter().map(clip).take(8).collect();
            Err(format!("{count} {place} are called {}: say one of {}", clip(name), nicks.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;
    use crate::xmpp::muc::RoomPresence;

    #[test]
    fn a_name_in_other_letters_is_neither_out_of_reach_nor_taken_for_somebody_elses() {
        let mut here = Occupants::default();
        for (nick, name) in [("a1", "Ann"), ("m1", "Mal\u{200b}lory"), ("b1", "Bob"), ("b2", "B\u{43e}b"), ("s1", "?!")]
        {
            let presence = RoomPresence { display_name: Some(name.to_owned()), ..RoomPresence::default() };
            here.enter(std::time::Instant::now(), nick, &presence);
        }
        let nick = |name: &str| target(name, &here, "here").map(|(nick, _)| nick.to_owned());
        assert_eq!(nick("Mallory").as_deref(), Ok("m1"));
        assert_eq!(nick("ann").as_deref(), Ok("a1"));
        assert_eq!(nick("?!").as_deref(), Ok("s1"));
        assert_eq!(nick("Bob"), Err("2 here are called Bob: say one of b1, b2".to_owned()));
        assert_eq!(nick("b1").as_deref(), Ok("b1"));
        assert!(nick("").is_err() && nick("..").is_err());
    }
}
