//! Makes the connectors of a service from its configuration: connect, log in, hand over.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::files::Disk;
use super::handshake::{KeyCache, login};
use super::recorder::{Framing, Label, Recorder, tap};
use super::session::{Connector, Connectors, Leg, Request};
use super::transport::{Deadlines, Target, Tls, connect};
use crate::cause::{Cause, Word};
use crate::config::{self, Endpoint, Files, HostPort, Login, Secret, Service, Token};
use crate::stream::{Plan, TokenLogin};
use crate::token;
use crate::xml::Limits;

/// The connectors, the host whose logins are counted, and whether that is this machine.
#[must_use]
pub fn connectors(service: &Service, recorder: &Recorder) -> (Connectors, (String, bool)) {
    let tls = Arc::new(Tls::new(service.ca_file.clone()));
    let keys = Arc::new(KeyCache::new());
    let service = Arc::new(service.clone());
    let host = host(&service);
    let recorder = recorder.clone();
    let connectors: Connectors =
        Arc::new(move |slot| connector(service.clone(), tls.clone(), keys.clone(), recorder.clone(), slot));
    (connectors, host)
}

fn connector(service: Arc<Service>, tls: Arc<Tls>, keys: Arc<KeyCache>, recorder: Recorder, slot: usize) -> Connector {
    Arc::new(move |request: Request| {
        let (service, tls, keys, recorder) = (service.clone(), tls.clone(), keys.clone(), recorder.clone());
        Box::pin(async move {
            let deadlines = Deadlines::default();
            let plan = plan(&service, &request);
            let token = match &service.login {
                Login::Token(token) => Some(fresh(token, request.room.as_ref().map(|room| &*room.name)).await?),
                _ => None,
            };
            let target = Target {
                endpoint: service.endpoint.clone(),
                domain: plan.domain.clone(),
                tls,
                nameserver: service.nameserver,
                limits: limits(&service),
                room: request.room,
                previd: request.resume.map(|resume| Secret::new(resume.id)),
                token,
                seed: super::random_u64(),
                deadlines,
            };
            let transport = connect(&target).await?;
            let label = Label { service: service.name.as_str().into(), slot, account: request.leg == Leg::Account };
            let tape = recorder.tape(label.clone(), target.url());
            let framing = match target.endpoint {
                Endpoint::WebSocket(_) => Framing::Elements,
                _ => Framing::Stream,
            };
            let transport = tap(transport, &label, framing, tape);
            login(transport, &plan, &keys, &deadlines).await
        })
    })
}

fn plan(service: &Service, request: &Request) -> Plan {
    let (domain, account) = match (&service.login, request.leg) {
        (Login::Direct { account, password } | Login::Guest { account, password, .. }, Leg::Account)
        | (Login::Direct { account, password }, Leg::Holder) => {
            (&service.domain, Some((account.clone(), password.clone())))
        }
        (Login::Guest { domain, guest, .. }, Leg::Holder) => (domain, guest.clone()),
        (Login::Anonymous | Login::Token(_), _) => (&service.domain, None),
    };
    let token = match &service.login {
        Login::Token(token) => {
            let life = if let Token::Minted { claims, .. } = &**token { Some(claims.life) } else { None };
            Some(TokenLogin { life })
        }
        _ => None,
    };
    // What the admin agrees to is for accounts; a guest is anonymous by its kind.
    let anonymous_guest = account.is_none() && matches!(service.login, Login::Guest { .. });
    Plan {
        domain: domain.clone(),
        account,
        token,
        mechanisms: service.mechanisms.clone().filter(|_| !anonymous_guest),
        last: request.last.clone(),
        // Random, so that it never evicts our own session that the server still keeps: with that one the rooms live
        // until we are back in them.
        resource: format!("innkeeper-{}", super::random_hex(6)),
        resume: request.resume.clone(),
        client_nonce: super::random_hex(18),
    }
}

/// How long the file of a token may take to be read: one on a dead network file system takes for ever.
const TOKEN_READ: std::time::Duration = std::time::Duration::from_secs(10);

/// A token for this connection alone. It is nowhere kept: the next connection, a resumption included, gets another.
async fn fresh(token: &Token, room: Option<&str>) -> Result<Secret, Cause> {
    let no_token = |text: String| Cause::new(Word::NoToken, text);
    match token {
        Token::File { path, .. } => {
            let path = path.clone();
            let shown = path.display().to_string();
            let read = tokio::task::spawn_blocking(move || Disk.read(&path).and_then(config::token));
            let read = match tokio::time::timeout(TOKEN_READ, read).await {
                Ok(read) => read.unwrap_or_else(|_| Err("the read was cancelled".to_owned())),
                Err(_) => Err(format!("it could not be read within {} s", TOKEN_READ.as_secs())),
            };
            read.map_err(|what| no_token(format!("there is no token to log in with: {shown}: {what}")))
        }
        Token::Minted { key, claims, one_room } => {
            let mut claims = claims.clone();
            if let (true, Some(room)) = (one_room, room) {
                room.clone_into(&mut claims.room);
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            token::mint(key, &claims, now).map_err(|error| no_token(format!("no token could be made: {error}")))
        }
    }
}

fn limits(service: &Service) -> Limits {
    Limits { stanza_bytes: service.stanza_bytes, token_bytes: service.stanza_bytes, ..Limits::default() }
}

fn host(service: &Service) -> (String, bool) {
    let host = match &service.endpoint {
        Endpoint::WebSocket(url) => url.host_str().unwrap_or_default().to_owned(),
        Endpoint::DirectTls(Some(HostPort { host, .. })) | Endpoint::StartTls(Some(HostPort { host, .. })) => {
            host.clone()
        }
        Endpoint::DirectTls(None) | Endpoint::StartTls(None) | Endpoint::Srv => service.domain.clone(),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = bare.parse().ok();
    let loopback = bare == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback());
    (host, loopback)
}
