//! AVChat, the wire that SkotOS speaks: tokens for players, asked for by the game.
//!
//! We dial the port that the game opens for its chat admin server (its port base and 91), and are asked for tokens in
//! JSON objects, each ended by a NUL:
//!
//! ```json
//! {"cmd":"jwt_token","displayName":"Ann","channel":"jitsi_chat_default","moderator":false,"validFor":600,"seq":7}
//! ```
//!
//! The answer is an object without blanks, for the game reads it by pattern, with `seq` as it came, and a line end before
//! its NUL. `skoot` in it is what the game's client is sent, ready made. The game uses its first connection and gives
//! up after 60 s; so there is one connection, and an answer of some kind within [`super::PATIENCE`]. Each token is one
//! [`Command::Mint`], judged and recorded as everybody's commands are: for one room, and never longer than was asked.
//!
//! Source: ChatTheatre's `chat_admin_server` (README, "Protocol") and SkotOS's `avchat.c`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{info, warn};

use super::dial::Dialler;
use super::seldom::Seldom;
use super::{Gate, REQUEST_BYTES};
use crate::command::{Command, Player, Reply, Requester, Who};
use crate::config::AvChat;
use crate::rights::{Rights, RoomPattern, Scope};
use crate::runtime::transport::Io;
use crate::xmpp::muc::clip;

/// How long the game may take nothing of an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Tokens in a second, over some seconds.
const PER_SECOND: u32 = 50;

/// What the game asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    cmd: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    avatar: Option<String>,
    channel: Option<String>,
    #[serde(default)]
    moderator: bool,
    /// Seconds; a number, or digits.
    valid_for: Option<Value>,
    /// Seconds since 1970.
    valid_until: Option<Value>,
    #[serde(default)]
    seq: Value,
}

/// What it is answered, in this order: the game's patterns look for `"seq":` behind the rest.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    success: bool,
    message: &'a str,
    token: &'a str,
    time: u64,
    seq: &'a Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    skoot: &'a str,
}

/// Talks with all games until dropped. They come and go with a reload.
pub async fn serve(mut games: watch::Receiver<Arc<[AvChat]>>, gate: Arc<Gate>) {
    let mut tasks = JoinSet::new();
    let mut open: Vec<(AvChat, AbortHandle)> = Vec::new();
    loop {
        let wanted = games.borrow_and_update().clone();
        open.retain(|(game, task)| {
            let stays = wanted.contains(game);
            if !stays {
                task.abort();
            }
            stays
        });
        for game in wanted.iter() {
            if !open.iter().any(|(known, _)| known == game) {
                open.push((game.clone(), tasks.spawn(keep(game.clone(), gate.clone()))));
            }
        }
        while tasks.try_join_next().is_some() {}
        if games.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps one connection to a game.
async fn keep(game: AvChat, gate: Arc<Gate>) {
    let mut dialler = Dialler::new(game.dial.clone());
    let mut refusals = Seldom::default();
    loop {
        let io = dialler.next().await;
        info!(avchat = %game.name, dial = %game.dial, "connected to the game");
        let mut answered = 0_u64;
        let ended = converse(io, &game, &gate, &mut refusals, &mut answered).await;
        if answered > 0 {
            dialler.worked();
        }
        match ended {
            Ok(why) => {
                warn!(avchat = %game.name, answered, why, "the connection to the game ended; it is dialled again")
            }
            Err(error) => {
                warn!(avchat = %game.name, answered, %error, "the connection to the game broke; it is dialled again")
            }
        }
    }
}

async fn converse(
    io: Box<dyn Io>,
    game: &AvChat,
    gate: &Gate,
    refusals: &mut Seldom,
    answered: &mut u64,
) -> std::io::Result<&'static str> {
    let (reader, mut writer) = tokio::io::split(io);
    let mut reader = BufReader::with_capacity(4096, reader);
    let mut message = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok("the game closed it");
        }
        // Line ends are as good: a game may be line-oriented.
        let end = chunk.iter().position(|byte| matches!(byte, 0 | b'\n'));
        message.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        let taken = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(taken);
        if message.len() > REQUEST_BYTES {
            return Ok("a request of more than 65536 bytes");
        }
        if end.is_none() || message.trim_ascii().is_empty() {
            continue;
        }
        let mut answer = match answer(&message, game, gate).await {
            Ok(answer) => answer,
            Err(refusal) => {
                if let Some(times) = refusals.happened(Instant::now()) {
                    warn!(avchat = %game.name, times, why = clip(&refusal.text), "no token for a game");
                }
                refusal.write()
            }
        };
        answer.extend_from_slice(b"\n\0");
        message.clear();
        let write = async {
            writer.write_all(&answer).await?;
            writer.flush().await
        };
        timeout(WRITE_PATIENCE, write).await.map_err(|_| std::io::ErrorKind::TimedOut)??;
        *answered += 1;
    }
}

/// No token, and why.
struct Refusal {
    text: String,
    time: u64,
    seq: Value,
}

impl Refusal {
    fn write(&self) -> Vec<u8> {
        let Refusal { text, time, seq } = self;
        write(&Answer { success: false, message: text, token: "", time: *time, seq, skoot: "" })
    }
}

async fn answer(message: &[u8], game: &AvChat, gate: &Gate) -> Result<Vec<u8>, Refusal> {
    let time = now();
    let request = serde_json::from_slice::<Request>(message).map_err(|error| Refusal {
        text: format!("not understood: {error}"),
        time,
        seq: Value::Null,
    })?;
    let refuse = |text: &str| Refusal { text: text.to_owned(), time, seq: request.seq.clone() };
    let command = command(&request, game, time).map_err(|text| refuse(&text))?;
    let name = request.display_name.as_deref().unwrap_or_default().trim();
    let mut scopes = vec![Scope::Moderate];
    if game.may_grant {
        scopes.push(Scope::Admin);
    }
    let rooms = RoomPattern::new(&format!("{}/{}", game.service, game.rooms.as_str()));
    let requester = Requester {
        who: Who::AvChat { name: game.name.as_str().into() },
        rights: Rights { scopes, rooms },
        per_second: PER_SECOND,
    };
    match gate.ask(requester, command).await {
        Reply::Minted(minted) => {
            let token = minted.token.expose();
            let room = minted.room.split_once('/').map_or(&*minted.room, |(_, room)| room);
            // The names that SkotOS's user.c gives them.
            let skoot = json!({ "name": name, "room": room, "jwt": token }).to_string();
            Ok(write(&Answer { success: true, message: "OK", token, time, seq: &request.seq, skoot: &skoot }))
        }
        Reply::Refused { text, .. } => Err(refuse(&text)),
        _ => Err(refuse("an answer to something else")),
    }
}

/// The token that is asked for.
fn command(request: &Request, game: &AvChat, now: u64) -> Result<Command, String> {
    if let Some(cmd) = request.cmd.as_deref().filter(|cmd| *cmd != "jwt_token") {
        return Err(format!("{:?} is no command", clip(cmd)));
    }
    let name = request.display_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or("displayName is missing")?;
    let room = request.channel.as_deref().map(str::trim).filter(|room| !room.is_empty());
    let room = room.unwrap_or(&game.default_room);
    if room.contains(['/', '@']) {
        return Err(format!("{:?} is no channel", clip(room)));
    }
    let seconds = match (&request.valid_until, &request.valid_for) {
        (Some(until), _) => {
            let until = number(until).ok_or("validUntil is no number")?;
            Some(until.checked_sub(now).filter(|left| *left > 0).ok_or("validUntil is over")?)
        }
        (None, Some(span)) => Some(number(span).filter(|span| *span > 0).ok_or("validFor is no number")?),
        (None, None) => None,
    };
    Ok(Command::Mint {
        room: format!("{}/{room}", game.service),
        player: Player {
            id: Some(name.to_owned()),
            name: name.to_owned(),
            email: request.email.clone(),
            avatar: request.avatar.clone(),
        },
        moderator: request.moderator,
        for_seconds: Some(seconds.unwrap_or(u64::MAX).min(game.token_life.as_secs())),
        accept_owner: game.accept_owner,
    })
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn write(answer: &Answer<'_>) -> Vec<u8> {
    // A struct of texts and numbers can always be written.
    serde_json::to_vec(answer).unwrap_or_default()
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Dial, HostPort};
    use crate::pattern::Pattern;

    fn game() -> AvChat {
        AvChat {
            name: "skotos".into(),
            service: "meet".into(),
            dial: Dial::Tcp(HostPort { host: "127.0.0.1".into(), port: 10091 }),
            rooms: Pattern::new("jitsi_*"),
            default_room: "jitsi_chat_default".into(),
            token_life: Duration::from_secs(3600),
            may_grant: false,
            accept_owner: true,
        }
    }

    fn asks(text: &str) -> Result<(String, u64, bool), String> {
        let request: Request = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match command(&request, &game(), 1_000)? {
            Command::Mint { room, for_seconds, moderator, .. } => {
                Ok((room, for_seconds.unwrap_or_default(), moderator))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_dgd_sends_is_a_token_for_one_room_and_one_time() {
        let dgd = r#"{ "cmd": "jwt_token", "displayName": "Ann", "channel": "jitsi_hall", "moderator": false, "validFor": 600, "seq": 0 }"#;
        assert_eq!(asks(dgd), Ok(("meet/jitsi_hall".into(), 600, false)));
        assert_eq!(asks(r#"{"displayName":"Ann"}"#), Ok(("meet/jitsi_chat_default".into(), 3600, false)));
        assert_eq!(asks(r#"{"displayName":"A","validFor":"90"}"#).map(|(_, life, _)| life), Ok(90));
        assert_eq!(asks(r#"{"displayName":"A","validUntil":1030,"validFor":9}"#).map(|(_, life, _)| life), Ok(30));
        assert_eq!(asks(r#"{"displayName":"A","validFor":999999}"#).map(|(_, life, _)| life), Ok(3600));
        for (text, part) in [
            ("{}", "displayName is missing"),
            (r#"{"displayName":"A","cmd":"reboot"}"#, "no command"),
            (r#"{"displayName":"A","validUntil":1000}"#, "is over"),
            (r#"{"displayName":"A","validFor":0}"#, "no number"),
            (r#"{"displayName":"A","channel":"other/room"}"#, "no channel"),
        ] {
            assert!(asks(text).is_err_and(|why| why.contains(part)), "{text}");
        }
    }

    #[test]
    fn an_answer_has_no_blanks_and_its_number_where_dgd_looks_for_it() {
        let seq = json!(7);
        let answer = Answer { success: true, message: "OK", token: "a.b.c", time: 5, seq: &seq, skoot: "{}" };
        let text = String::from_utf8(write(&answer)).expect("text");
        assert_eq!(text, r#"{"success":true,"message":"OK","token":"a.b.c","time":5,"seq":7,"skoot":"{}"}"#);
    }
}
