//! The two connections of a focus, and the loop that serves them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sasl::common::scram::{ScramProvider, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::auth::Auth;
use super::brain::Brain;
use super::seen::{Notes, Seen};
use super::{Command, Options};
use crate::support::client::Wire;
use crate::support::prosody::{AUTH, FOCUS, FOCUS_SECRET};
use crate::support::xml::{Item, Reader};

/// Connects again and again until the handle is dropped.
pub(super) async fn run(options: Options, notes: Arc<Mutex<Notes>>, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let mut auth = Auth::default();
    let mut wait = Duration::ZERO;
    notes.lock().expect("no panic").rooms.clear();
    loop {
        let command = tokio::time::timeout(wait, inbox.recv()).await;
        if let Ok(None) = command {
            return;
        }
        wait = Duration::from_millis(20);
        // the port first, so that the delay counts from when it opens
        if std::net::TcpStream::connect(options.c2s).is_err() {
            continue;
        }
        if !options.reconnect_delay.is_zero()
            && let Ok(None) = tokio::time::timeout(options.reconnect_delay, inbox.recv()).await
        {
            return;
        }
        let Ok(links) = Links::open(&options) else { continue };
        let mut brain = Brain::new(options.clone(), Arc::clone(&notes), auth);
        brain.note("", Seen::Connected);
        brain.notes().connected = true;
        let ended = drive(&mut brain, links, &mut inbox).await;
        brain.disconnected();
        auth = brain.auth;
        if ended {
            return;
        }
    }
}

/// A connection, and what was said on it before the event loop began.
type Link = (tokio::net::TcpStream, Reader, Vec<Item>);

struct Links {
    component: Link,
    client: Link,
    jid: String,
}

impl Links {
    fn open(options: &Options) -> Result<Links, String> {
        let mut component = Wire::connect(options.component)?;
        let header = component.open(FOCUS, "jabber:component:accept")?;
        let digest = Sha1::hash(format!("{}{FOCUS_SECRET}", header.attr("id")).as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        component.send(&format!("<handshake>{hex}</handshake>"))?;
        let answer = component.element()?;
        if answer.name != "handshake" {
            return Err(format!("the component was refused: {answer:?}"));
        }
        let mut client = Wire::connect(options.c2s)?;
        let jid = client.plain("focus", AUTH, FOCUS_SECRET, "focus")?;
        let asynchronous = |wire: Wire| {
            let (tcp, reader, early) = wire.into_socket();
            tcp.set_nonblocking(true)
                .and_then(|()| tokio::net::TcpStream::from_std(tcp))
                .map(|tcp| (tcp, reader, early))
        };
        let component = asynchronous(component).map_err(|error| error.to_string())?;
        let client = asynchronous(client).map_err(|error| error.to_string())?;
        Ok(Links { component, client, jid })
    }
}

/// Reads and writes until a connection ends (`false`) or the handle is dropped (`true`).
async fn drive(brain: &mut Brain, links: Links, inbox: &mut mpsc::UnboundedReceiver<Command>) -> bool {
    let (mut component, mut component_reader, early_component) = links.component;
    let (mut client, mut client_reader, early_client) = links.client;
    brain.own_jid = links.jid;
    for item in early_component {
        let Item::Element(node) = item else { return false };
        brain.on_component(&node);
    }
    for item in early_client {
        let Item::Element(node) = item else { return false };
        brain.on_client(&node);
    }
    let mut from_component = vec![0; 64 * 1024];
    let mut from_client = vec![0; 64 * 1024];
    let mut items: Vec<Item> = Vec::new();
    loop {
        let (to_component, to_client) = (std::mem::take(&mut brain.to_component), std::mem::take(&mut brain.to_client));
        if component.write_all(to_component.as_bytes()).await.is_err()
            || (!brain.vanished && client.write_all(to_client.as_bytes()).await.is_err())
        {
            return false;
        }
        let due = brain.timers.peek().map(|timer| timer.at);
        let sleep = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Crash) => brain.crash(),
                Some(Command::ExpireSessions) => brain.expire_sessions(|_| true),
                Some(Command::Recording { room, status }) => brain.show_recording(&room, &status),
                None => {
                    // the component first, and seen to be gone: who hears that the occupant vanished and asks at once
                    // must not be answered by silence
                    let _ = component.shutdown().await;
                    let gone = async { while let Ok(1..) = component.read(&mut from_component).await {} };
                    let _ = tokio::time::timeout(Duration::from_secs(1), gone).await;
                    return true;
                }
            },
            read = component.read(&mut from_component) => {
                let Ok(length @ 1..) = read else { return false };
                if component_reader.push(&from_component[..length], &mut items).is_err() { return false }
                for item in items.drain(..) {
                    let Item::Element(node) = item else { return false };
                    brain.on_component(&node);
                }
            }
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return false };
                if client_reader.push(&from_client[..length], &mut items).is_err() { return false }
                for item in items.drain(..) {
                    let Item::Element(node) = item else { return false };
                    brain.on_client(&node);
                }
            }
            () = sleep => brain.on_time(),
        }
        if brain.crashed.is_some_and(|at| at.elapsed() >= OCCUPANTS_STAY) && !brain.vanished {
            brain.vanished = true;
            let _ = client.shutdown().await;
        }
    }
}

/// How long the server keeps the occupants of a crashed focus (§2.7, hibernation on the auth domain).
pub(super) const OCCUPANTS_STAY: Duration = Duration::from_secs(15);
