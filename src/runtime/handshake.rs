//! Drives a [`Negotiation`] over a transport, with a deadline for every wait.
#![allow(clippy::disallowed_methods)]

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::transport::{Deadlines, Transport};
use crate::cause::{Cause, Word};
use crate::stream::{Bound, Derive, Frame, Input, Negotiation, Output, Plan};

/// Keys that were derived from passwords, so that the sessions of one account derive once.
///
/// Bounded: a server that gives a new salt each time only pushes out the oldest.
#[derive(Debug, Default)]
pub struct KeyCache {
    entries: Mutex<Vec<(Derive, Cell)>>,
}

type Cell = Arc<OnceCell<Vec<u8>>>;

impl KeyCache {
    /// Most keys that are kept.
    const ENTRIES: usize = 32;

    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The key, computed on a thread for slow work unless it is known; who asks meanwhile waits for the same one.
    ///
    /// # Errors
    /// The work was cancelled: the runtime is shutting down.
    pub async fn derive(&self, derive: Derive) -> Result<Vec<u8>, Cause> {
        let cell = self.cell(&derive);
        let key = cell
            .get_or_try_init(|| async move { tokio::task::spawn_blocking(move || derive.run()).await })
            .await
            .map_err(|_| Cause::new(Word::Stopping, "the key derivation was cancelled"))?;
        Ok(key.clone())
    }

    fn cell(&self, derive: &Derive) -> Cell {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.iter().position(|(known, _)| known == derive) {
            Some(at) => entries[at].1.clone(),
            None => {
                if entries.len() >= Self::ENTRIES {
                    entries.remove(0);
                }
                let cell = Cell::default();
                entries.push((derive.clone(), cell.clone()));
                cell
            }
        }
    }
}

/// Logs in over a fresh connection and gives it back ready for stanzas.
///
/// # Errors
/// Why it could not be; the connection was closed politely then.
pub async fn login(
    transport: Box<dyn Transport>,
    plan: &Plan,
    keys: &KeyCache,
    deadlines: &Deadlines,
) -> Result<(Box<dyn Transport>, Bound), Cause> {
    // Freed once logged in: what lives as long as the session should be small.
    Box::pin(login_and_close(transport, plan, keys, deadlines)).await
}

async fn login_and_close(
    transport: Box<dyn Transport>,
    plan: &Plan,
    keys: &KeyCache,
    deadlines: &Deadlines,
) -> Result<(Box<dyn Transport>, Bound), Cause> {
    let mut place = Some(transport);
    let outcome = match timeout(deadlines.login, drive(&mut place, plan, keys, deadlines)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Cause::new(Word::TimedOut, format!("the login was not finished within {:?}", deadlines.login))),
    };
    match (outcome, place) {
        (Ok(bound), Some(transport)) => Ok((transport, bound)),
        (Err(cause), Some(transport)) => {
            close(transport, deadlines).await;
            Err(cause)
        }
        (Ok(_), None) => Err(Cause::new(Word::ProtocolError, "the connection was lost in the upgrade to TLS")),
        (Err(cause), None) => Err(cause),
    }
}

async fn drive(
    place: &mut Option<Box<dyn Transport>>,
    plan: &Plan,
    keys: &KeyCache,
    deadlines: &Deadlines,
) -> Result<Bound, Cause> {
    let gone = || Cause::new(Word::TlsFailed, "the connection was lost in the upgrade to TLS");
    let mut out = Vec::new();
    let mut negotiation = {
        let transport = place.as_ref().ok_or_else(gone)?;
        Negotiation::new(plan.clone(), transport.security(), transport.needs_starttls(), &mut out)
    };
    loop {
        for output in std::mem::take(&mut out) {
            let transport = place.as_mut().ok_or_else(gone)?;
            match output {
                Output::Open => transport.open(&plan.domain),
                Output::Send(element) => transport.send(&element),
                Output::StartTls => {
                    let upgrade = place.take().ok_or_else(gone)?.starttls();
                    let secured = upgrade.await?;
                    let security = secured.security();
                    *place = Some(secured);
                    negotiation.handle(Input::Secured(security), &mut out);
                }
                Output::Derive(derive) => {
                    let key = keys.derive(derive).await?;
                    negotiation.handle(Input::Derived(key), &mut out);
                }
                Output::Ready(bound) => return Ok(*bound),
                Output::Failed(cause) => return Err(cause),
            }
        }
        if !out.is_empty() {
            continue;
        }
        let transport = place.as_mut().ok_or_else(gone)?;
        let waiting_for = negotiation.waiting_for();
        let frame = match timeout(deadlines.step, next(transport)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(cause)) if cause.word == Word::Disconnected => {
                return Err(Cause::new(cause.word, format!("{} while we waited for {waiting_for}", cause.text)));
            }
            Ok(Err(cause)) => return Err(cause),
            Err(_) => {
                let text = format!("the server did not send {waiting_for} within {:?}", deadlines.step);
                return Err(Cause::new(Word::TimedOut, text));
            }
        };
        negotiation.handle(Input::Frame(frame), &mut out);
    }
}

/// The next frame, while what is queued goes out.
pub(super) async fn next(transport: &mut Box<dyn Transport>) -> Result<Frame, Cause> {
    poll_fn(|cx| {
        let flushed = transport.poll_flush(cx);
        // What the server said before it hung up tells more than the broken pipe.
        match (transport.poll_next(cx), flushed) {
            (Poll::Ready(next), _) => Poll::Ready(next),
            (Poll::Pending, Poll::Ready(Err(cause))) => Poll::Ready(Err(cause)),
            (Poll::Pending, _) => Poll::Pending,
        }
    })
    .await
}

/// Closes the stream and waits shortly until that is written.
pub async fn close(mut transport: Box<dyn Transport>, deadlines: &Deadlines) {
    transport.close();
    let _ = timeout(deadlines.close, poll_fn(|cx| transport.poll_flush(cx))).await;
}
