//! Drives the short login in which the account fetches a session-id for a guest.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

use tokio::time::timeout_at;

use super::handshake::{close, next};
use super::session::{Connector, Leg, Request};
use super::transport::{Deadlines, Transport};
use crate::cause::{Cause, Word};
use crate::config::Secret;
use crate::jitsi::login::{AccountLogin, Wish, goodbye};
use crate::session::UrlRoom;
use crate::stream::{Frame, LastLogin};

/// Logs the account in, asks the focus, and closes the stream whatever came of it.
///
/// # Errors
/// Why there is no session-id: the connection, the login, or what the focus said.
pub async fn fetch(
    connector: Connector,
    last: Option<LastLogin>,
    room: Option<UrlRoom>,
    wish: Wish,
) -> Result<(Secret, LastLogin), Cause> {
    let (mut transport, bound) = connector(Request { leg: Leg::Account, room, last, resume: None }).await?;
    let outcome = ask(&mut transport, wish).await;
    transport.send(&goodbye());
    close(transport, &Deadlines::default()).await;
    outcome.map(|id| (id, bound.login))
}

async fn ask(transport: &mut Box<dyn Transport>, wish: Wish) -> Result<Secret, Cause> {
    let (login, request) = AccountLogin::new(wish, Instant::now());
    transport.send(&request);
    loop {
        let frame = match timeout_at(login.deadline().into(), next(transport)).await {
            Ok(frame) => frame?,
            Err(_) => return Err(login.timed_out()),
        };
        match frame {
            Frame::Element(element) => {
                if let Some(outcome) = login.handle(&element) {
                    return outcome;
                }
            }
            Frame::Close => {
                let text = "the server closed the stream of our account while the focus was asked for a session-id";
                return Err(Cause::new(Word::Disconnected, text));
            }
            Frame::Open | Frame::Bad(_) => {}
        }
    }
}
