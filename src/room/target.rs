//! Who is meant by a name that a person wrote. Pure.

use super::{Occupant, Occupants};
use crate::xmpp::muc::clip;

/// The exact nick, else the only one with that display name, as the room writes it.
///
/// # Errors
/// Nobody has it, or several have; the text names them and the places to choose between.
pub fn target<'a>(name: &str, here: &'a Occupants, place: &str) -> Result<(&'a str, &'a Occupant), String> {
    if let Some(exact) = here.iter().find(|(nick, _)| *nick == name) {
        return Ok(exact);
    }
    let named: Vec<_> = here.iter().filter(|(_, occupant)| occupant.display_name.as_deref() == Some(name)).collect();
    match named.as_slice() {
        [] => Err(format!("nobody {place} is called {}", clip(name))),
        [one] => Ok(*one),
        several => {
            let nicks: Vec<&str> = several.iter().map(|(nick, _)| clip(nick)).take(8).collect();
            Err(format!("{} {place} are called {}: say one of {}", several.len(), clip(name), nicks.join(", ")))
        }
    }
}
