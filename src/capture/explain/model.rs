//! What the facts come to: the authentication model, how connections belong together, and a configuration. Pure.

use super::{Leg, Model, Request, Stay};
use crate::xmpp::jid;

impl Request {
    fn ready(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.outcome == "ready")
    }

    fn refused_guest(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.outcome.starts_with("not-authorized"))
    }

    fn identity(&self) -> Option<&str> {
        self.answer.as_ref().and_then(|answer| answer.identity.as_deref())
    }
}

fn requests(legs: &[Leg]) -> impl Iterator<Item = (&Leg, &Request)> {
    legs.iter().flat_map(|leg| leg.requests.iter().map(move |request| (leg, request)))
}

fn stays(legs: &[Leg]) -> impl Iterator<Item = (&Leg, &Stay)> {
    legs.iter().flat_map(|leg| leg.stays.iter().map(move |stay| (leg, stay)))
}

/// How the deployment lets people in.
pub(super) fn of(legs: &[Leg]) -> Model {
    let ready = || requests(legs).filter(|(_, request)| request.ready());
    let anonymous = |leg: &Leg| leg.anonymous == Some(true);
    if legs.iter().any(|leg| leg.token_in_url) {
        return Model::Token;
    }
    let by_session = |(leg, request): (&Leg, &Request)| anonymous(leg) && request.session_id.is_some();
    if ready().any(by_session) {
        return Model::GuestAndAccount;
    }
    // Where the login is not recorded, a session-id for nothing shows that the domain is one of accounts.
    let given = |(leg, request): (&Leg, &Request)| {
        let session = request.answer.as_ref().is_some_and(|answer| answer.session_id.is_some());
        leg.anonymous == Some(false) || (leg.anonymous.is_none() && (session || request.identity().is_some()))
    };
    if ready().any(given) {
        return Model::DirectAccount;
    }
    let authentication = |on: bool| {
        ready().any(|(_, request)| request.answer.as_ref().is_some_and(|answer| answer.authentication == Some(on)))
    };
    if authentication(true) {
        return Model::GuestInOpenRoom;
    }
    if ready().next().is_some() {
        return Model::Open;
    }
    if requests(legs).any(|(_, request)| request.refused_guest()) {
        return Model::GuestRefused;
    }
    if requests(legs).next().is_none() && stays(legs).next().is_some() {
        return Model::PlainXmpp;
    }
    if legs.iter().any(|leg| leg.login_refused.is_some()) { Model::LoginRefused } else { Model::Unknown }
}

/// Says of refusals why they do not matter, where what came later shows it.
pub(super) fn excuse(model: Model, legs: &mut [Leg]) {
    for leg in legs {
        let ready: Vec<(f64, String)> =
            leg.requests.iter().filter(|request| request.ready()).map(|one| (one.at, one.room.clone())).collect();
        let joined: Vec<(f64, String)> =
            leg.stays.iter().filter_map(|stay| Some((stay.joined?, stay.room.clone()))).collect();
        for refusal in leg.refusals.iter_mut().filter(|refusal| refusal.harmless.is_none()) {
            let later =
                |all: &[(f64, String)], room: &str| all.iter().any(|(at, one)| *at >= refusal.at && one == room);
            let request = refusal.what.strip_prefix("conference request for ");
            let overcome = if request.is_some_and(|room| later(&ready, room)) {
                Some(match model {
                    Model::GuestAndAccount if refusal.condition.starts_with("not-authorized") => {
                        "this is how a guest is sent to log in; asked again with the session-id, the focus was ready"
                    }
                    _ => "asked again, the focus was ready",
                })
            } else if refusal.what == "join" && later(&joined, &refusal.of) {
                Some("a later join was let in")
            } else {
                None
            };
            refusal.harmless = overcome.map(str::to_owned);
        }
    }
}

/// How connections belong together.
pub(super) fn relations(legs: &[Leg]) -> Vec<String> {
    let mut told = Vec::new();
    let carried = |leg: &Leg, id: &str| leg.requests.iter().any(|request| request.session_id.as_deref() == Some(id));
    let mut ids: Vec<&str> = Vec::new();
    for (_, request) in requests(legs) {
        let answered = request.answer.as_ref().and_then(|answer| answer.session_id.as_deref());
        for id in request.session_id.as_deref().into_iter().chain(answered) {
            if !ids.contains(&id) && ids.len() < 100 {
                ids.push(id);
            }
        }
    }
    for id in ids {
        let giver = legs.iter().position(|leg| {
            leg.requests.iter().any(|request| {
                request.session_id.is_none()
                    && request.answer.as_ref().is_some_and(|answer| answer.session_id.as_deref() == Some(id))
            })
        });
        let users: Vec<usize> = (0..legs.len()).filter(|n| Some(*n) != giver && carried(&legs[*n], id)).collect();
        let list = users.iter().map(|n| (n + 1).to_string()).collect::<Vec<_>>().join(" and ");
        match (giver, users.len()) {
            (_, 0) => {}
            (Some(giver), many) => {
                let whose = legs[giver].requests.iter().find_map(Request::identity).unwrap_or("the account");
                let used = if many == 1 { "used it" } else { "used it, one after the other" };
                told.push(format!(
                    "connection {} logged in {whose} and got session-id {id} from the focus; connection {list} {used}",
                    giver + 1
                ));
            }
            (None, many) => {
                let they = if many == 1 { format!("connection {list}") } else { format!("connections {list}") };
                told.push(format!(
                    "{they} carried session-id {id}, which was fetched outside this recording, before it or in \
                     another file (a browser keeps it, with its machine-uid, in local storage)"
                ));
            }
        }
    }
    told
}

/// What follows, in a sentence or two.
pub(super) fn verdict(model: Model, legs: &[Leg]) -> String {
    let identity = requests(legs).find_map(|(_, request)| request.identity()).unwrap_or("the account");
    let moderator = stays(legs).any(|(_, stay)| stay.roles.iter().any(|role| role.role == "moderator"));
    let end = if moderator { "became moderator" } else { "did not become moderator" };
    let matters = legs.iter().enumerate().find_map(|(n, leg)| {
        let first = leg.refusals.iter().find(|refusal| refusal.harmless.is_none())?;
        Some(format!(
            "; the first refusal that matters: {} at {}, on connection {}: {}",
            first.what,
            first.of,
            n + 1,
            first.condition
        ))
    });
    let matters = matters.unwrap_or_else(|| "; no refusal matters".to_owned());
    let what = match model {
        Model::GuestAndAccount => format!(
            "guest + account, secure domain: an anonymous guest carried a session-id of {identity} to the focus and {end}"
        ),
        Model::DirectAccount => {
            format!("direct account: {} logged in itself and {end}", account(legs).unwrap_or(identity))
        }
        Model::Token => format!("JWT: a token in the URL let the client in, and it {end}"),
        Model::Open => format!("open: no login is needed, whoever is first opens the room; the client {end}"),
        Model::GuestRefused => {
            "guest only, refused: a guest may not open a room here, and no account logged in".to_owned()
        }
        Model::GuestInOpenRoom => {
            format!("guest only, in a room that somebody with an account had opened; the client {end}")
        }
        Model::PlainXmpp => format!("plain XMPP rooms, without a conference focus; the client {end}"),
        Model::LoginRefused => "the login was refused, so that nothing else happened".to_owned(),
        Model::Unknown => "the recording shows neither a conference request nor a join".to_owned(),
    };
    what + &matters
}

/// The account that held a room, as a bare JID.
fn account(legs: &[Leg]) -> Option<&str> {
    let identity = requests(legs).find_map(|(_, request)| request.identity());
    let jid = || legs.iter().filter(|leg| leg.anonymous != Some(true)).find_map(|leg| leg.jid.as_deref());
    identity.or_else(jid).map(jid::bare)
}

/// A line of TOML, whatever stands in the value.
fn entry(out: &mut String, key: &str, value: &str) {
    // A string of JSON is one of TOML, but for DEL (TOML 1.0 "String").
    let value = serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f");
    out.push_str(&format!("{key} = {value}\n"));
}

/// A comment, on one line whatever stands in it.
fn comment(out: &mut String, text: &str) {
    out.push_str(&format!("# {}\n", text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")));
}

/// The configuration that does the same; `None` where nothing shows what it would be.
pub(super) fn service(model: Model, legs: &[Leg]) -> Option<String> {
    if matches!(model, Model::Unknown | Model::LoginRefused) {
        return None;
    }
    let guest = legs.iter().find(|leg| leg.anonymous == Some(true));
    let first = guest.or_else(|| legs.first())?;
    let guest_model = matches!(model, Model::GuestAndAccount | Model::GuestRefused | Model::GuestInOpenRoom);
    let account = account(legs);
    let login = first.domain.as_deref().or_else(|| first.jid.as_deref().map(jid::domain));
    let request = requests(legs).map(|(_, request)| request).next();
    let focus = request.map(|request| request.focus.as_str());
    let room = stays(legs).map(|(_, stay)| stay.room.as_str()).next().or(request.map(|request| request.room.as_str()));
    // A guest asks the main domain what it has, and pings it.
    let asked = || guest.and_then(|leg| leg.pings.first()).map(|pings| jid::domain(&pings.to));
    let of_focus = || focus.and_then(|focus| focus.strip_prefix("focus."));
    let domain = match (guest_model, account) {
        (true, Some(account)) if account.contains('@') => Some(jid::domain(account)),
        (true, _) => asked().or_else(of_focus),
        (false, account) => login.or(account.map(jid::domain)).or_else(of_focus),
    };
    // A plain server's rooms are at a domain below its own, as a rule.
    let above = || room.map(jid::domain).and_then(|muc| muc.split_once('.')).map(|(_, above)| above);
    let domain = domain.or_else(above)?;
    let mut out = String::from("[service.meet]\n");
    url(&mut out, first);
    entry(&mut out, "domain", domain);
    if let Some(room) = room.filter(|room| room.contains('@')) {
        entry(&mut out, "muc", jid::domain(room));
    }
    match focus {
        Some(focus) => entry(&mut out, "focus", focus),
        None => out.push_str("focus = false\n"),
    }
    logs_in(&mut out, model, guest_model, account, login.filter(|login| *login != domain));
    if let Some(name) = room.and_then(jid::local) {
        out.push_str("\n[[room]]\n");
        entry(&mut out, "service", "meet");
        entry(&mut out, "name", name);
    }
    Some(out)
}

fn logs_in(out: &mut String, model: Model, guest: bool, account: Option<&str>, guest_domain: Option<&str>) {
    match model {
        Model::Token => {
            entry(out, "login", "token");
            comment(out, "or let innkeeper sign its own: app_id and secret_file");
            entry(out, "token_file", "meet.token");
            return;
        }
        Model::Open => {
            entry(out, "login", "anonymous");
            return;
        }
        _ => {}
    }
    if guest && let Some(guest_domain) = guest_domain {
        comment(
            out,
            "login = \"direct\", without guest_domain, is simpler and does as well: the account itself may hold rooms",
        );
        entry(out, "login", "guest");
        entry(out, "guest_domain", guest_domain);
    }
    match account.and_then(jid::local).filter(|_| model != Model::GuestRefused) {
        Some(local) => entry(out, "account", local),
        None => {
            comment(out, "the recording shows no account: one that may log in on the domain above");
            entry(out, "account", "innkeeper");
        }
    }
    entry(out, "password_file", "meet.password");
}

/// The URL without its query, which may hold a token and names one room.
fn url(out: &mut String, leg: &Leg) {
    let bare = leg.url.as_deref().map(|url| url.split(['?', '#']).next().unwrap_or_default());
    let Some(url) = bare.filter(|url| !url.is_empty()) else {
        comment(out, "the recording does not say at which URL: the domain's SRV records, or for example");
        comment(out, "url = \"wss://meet.example.org/xmpp-websocket\"");
        return;
    };
    if leg.transport == "BOSH" {
        comment(
            out,
            &format!("recorded over BOSH at {url}, which innkeeper does not speak; the WebSocket is beside it"),
        );
        let path = url.strip_suffix("http-bind").map(|start| format!("{start}xmpp-websocket"));
        let path = path.unwrap_or_else(|| url.to_owned());
        let secure = path.strip_prefix("https:").map(|rest| format!("wss:{rest}"));
        entry(out, "url", &secure.unwrap_or_else(|| path.replacen("http:", "ws:", 1)));
    } else {
        entry(out, "url", url);
    }
    if url.starts_with("ws:") || url.starts_with("http:") {
        comment(out, "without encryption only to this machine");
    }
}
