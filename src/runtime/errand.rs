//! Runs an errand: a short connection whose URL names a room says something there, as us.
//!
//! Sessions of one account that go by one nick share an occupant, so nobody in the room sees anybody come or go.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::handshake::{close, next};
use super::session::{Connector, Leg, Request};
use super::transport::{Deadlines, Transport};
use crate::cause::{Cause, Word};
use crate::jitsi::login::goodbye;
use crate::session::{Errand, UrlRoom};
use crate::stream::{Frame, LastLogin};
use crate::xml::Element;
use crate::xmpp::muc::{self, RoomPresence, Status};
use crate::xmpp::stanza::StanzaError;
use crate::xmpp::{jid, ns};

/// How long the room may take to let us in beside ourselves.
const ENTRY: Duration = Duration::from_secs(10);
/// How long a refusal may take; components say nothing when they obey.
const REFUSAL: Duration = Duration::from_secs(1);

/// Logs in, enters, says it, hears whether it is refused, and leaves.
///
/// # Errors
/// Why it could not be said, or that it was refused.
pub async fn run(connector: Connector, last: Option<LastLogin>, errand: &Errand) -> Result<(), Cause> {
    let room = UrlRoom::of(&errand.key, &errand.room);
    let (mut transport, _) = connector(Request { leg: Leg::Holder, room, last, resume: None }).await?;
    let occupant = format!("{}/{}", errand.room, errand.nick);
    let outcome = say(&mut transport, errand, &occupant).await;
    transport.send(&muc::leave(&occupant));
    transport.send(&goodbye());
    close(transport, &Deadlines::default()).await;
    outcome
}

async fn say(transport: &mut Box<dyn Transport>, errand: &Errand, occupant: &str) -> Result<(), Cause> {
    transport.send(&errand.enter);
    let entered = heard(transport, ENTRY, |element| {
        if element.name() != "presence" || element.attr("from").map(jid::bare) != Some(&*errand.room) {
            return None;
        }
        if element.attr("type") == Some("error") {
            let said = StanzaError::of(element).describe();
            let text = format!("{} did not let a second connection of ours in: {said}", errand.room);
            return Some(Err(Cause::new(Word::ActionRefused, text)));
        }
        let own = RoomPresence::read(element).has(Status::SELF) || element.attr("from") == Some(occupant);
        own.then_some(Ok(()))
    });
    match entered.await? {
        Some(outcome) => outcome?,
        None => {
            let text = format!("{} did not answer a second connection of ours", errand.room);
            return Err(Cause::new(Word::ActionTimedOut, text));
        }
    }
    for element in &errand.say {
        transport.send(element);
    }
    let asked: Vec<&str> = errand.say.iter().filter_map(|element| element.attr("to")).collect();
    let refused = heard(transport, REFUSAL, |element| {
        let refusal = element.name() == "message"
            && element.attr("type") == Some("error")
            && element.attr("from").is_some_and(|from| asked.contains(&from));
        refusal.then(|| StanzaError::of(element).describe())
    });
    match refused.await? {
        Some(said) => {
            let text = format!("the component refused it for {}: {said}", errand.room);
            Err(Cause::new(Word::ActionRefused, text))
        }
        None => Ok(()),
    }
}

/// The first element within `patience` that means something.
async fn heard<T>(
    transport: &mut Box<dyn Transport>,
    patience: Duration,
    means: impl Fn(&Element) -> Option<T>,
) -> Result<Option<T>, Cause> {
    let until = Instant::now() + patience;
    loop {
        let frame = match timeout_at(until, next(transport)).await {
            Ok(frame) => frame?,
            Err(_) => return Ok(None),
        };
        match frame {
            Frame::Element(element) if element.is("error", ns::STREAM) => {
                return Err(crate::stream::stream_error(&element));
            }
            Frame::Element(element) => {
                if let Some(meaning) = means(&element) {
                    return Ok(Some(meaning));
                }
            }
            Frame::Close => {
                let text = "the server closed a second connection of ours";
                return Err(Cause::new(Word::Disconnected, text));
            }
            Frame::Open | Frame::Bad(_) => {}
        }
    }
}
