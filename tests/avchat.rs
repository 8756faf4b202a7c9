//! AVChat on a real server: this test plays the game's side, as DGD does it.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use serde_json::{Value, json};

mod support;
use support::live::seconds;
use support::process::wait_for;
use support::prosody::{DOMAIN, Login, Options, Tokens};
use support::{Client, Daemon, Focus, Prosody, Setup};

/// The game: a port that waits for its chat admin server.
struct Dgd {
    listener: TcpListener,
    connection: Option<BufReader<TcpStream>>,
}

impl Dgd {
    fn open() -> Dgd {
        Dgd { listener: TcpListener::bind("127.0.0.1:0").expect("a port"), connection: None }
    }

    fn dial(&self) -> String {
        self.listener.local_addr().expect("bound").to_string()
    }

    fn accept(&mut self) {
        let (stream, _) = self.listener.accept().expect("somebody dials");
        stream.set_read_timeout(Some(seconds(60))).expect("a timeout");
        self.connection = Some(BufReader::new(stream));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.connection.as_mut().expect("connected").get_mut().write_all(bytes).expect("it listens");
    }

    /// One message up to its NUL, as it is.
    fn hear(&mut self) -> String {
        let mut message = Vec::new();
        self.connection.as_mut().expect("connected").read_until(0, &mut message).expect("an answer within 60 s");
        assert_eq!(message.pop(), Some(0), "ended by a NUL: {message:?}");
        String::from_utf8(message).expect("text")
    }

    /// A request as `avchat.c` sends it; the answer's text.
    fn asks(&mut self, name: &str, channel: &str, valid_for: u64, seq: u64) -> String {
        let request = format!(
            "{{ \"cmd\": \"jwt_token\", \"displayName\": \"{name}\", \"channel\": \"{channel}\", \"moderator\": false, \
             \"validFor\": {valid_for}, \"seq\": {seq} }}\0"
        );
        self.send(request.as_bytes());
        self.hear()
    }
}

/// `sscanf(line, "%*s\"seq\":%d", seq)`: what DGD finds.
fn scanned_seq(answer: &str) -> Option<u64> {
    let rest = answer.split_once("\"seq\":")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).expect("three parts");
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).expect("base64");
    serde_json::from_slice(&body).expect("JSON")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn started(dgd: &Dgd, more: &str) -> (Prosody, Focus, Daemon) {
    let prosody = Prosody::start(Options { login: Login::Token(Tokens::default()), ..Options::default() });
    let focus = Focus::start(support::focus::Options { jwt: true, ..support::focus::Options::of(&prosody) });
    let game = format!(
        "[[avchat]]\nname = \"skotos\"\nservice = \"meet\"\ndial = \"{}\"\nrooms = \"jitsi_*\"\n{more}\n",
        dgd.dial()
    );
    let setup = Setup { more: game, ..Setup::token(&prosody) }.rooms(["jitsi_chat_default"]);
    let daemon = Daemon::start(setup);
    (prosody, focus, daemon)
}

#[test]
fn dgd_gets_tokens_that_let_a_player_into_one_room_until_their_end() {
    let mut dgd = Dgd::open();
    let (prosody, _focus, daemon) = started(&dgd, "accept_owner = true");
    dgd.accept();
    let text = dgd.asks("Ann Lee", "jitsi_chat_default", 4, 0);
    assert!(text.ends_with('\n') && !text.contains("\": ") && !text.contains(", \""), "no blanks: {text:?}");
    assert_eq!(scanned_seq(&text), Some(0));
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&answer["success"], &answer["message"]), (&json!(true), &json!("OK")));
    assert!(answer["time"].as_u64().is_some_and(|time| time.abs_diff(now()) < 5), "{answer}");
    let token = answer["token"].as_str().expect("a token").to_owned();
    let ann = claims(&token);
    assert_eq!((&ann["room"], &ann["moderator"]), (&json!("jitsi_chat_default"), &json!(false)));
    assert_eq!(ann["context"]["user"]["moderator"], false);
    assert_eq!(
        (&ann["context"]["user"]["name"], &ann["context"]["user"]["id"]),
        (&json!("Ann Lee"), &json!("Ann Lee"))
    );
    assert_eq!(ann["exp"].as_u64().zip(ann["iat"].as_u64()).map(|(exp, iat)| exp - iat), Some(4), "validFor is real");
    let skoot: Value = serde_json::from_str(answer["skoot"].as_str().expect("a string")).expect("ready JSON");
    assert_eq!(skoot, json!({ "name": "Ann Lee", "room": "jitsi_chat_default", "jwt": token }));

    daemon.wait_all_held(seconds(20));
    let query = |token: &str| format!("?token={token}&room=jitsi_chat_default");
    let room = "jitsi_chat_default@muc.meet.jitsi";
    let mut player = Client::anonymous(prosody.http(), &query(&token), DOMAIN).expect("the server takes it");
    assert_eq!(player.join(room, "a11ce000").attr("type"), "");
    let elsewhere = player.join("jitsi_hall@muc.meet.jitsi", "a11ce000");
    assert_eq!(elsewhere.attr("type"), "error", "{elsewhere:#?}");

    // It ends: whoever is inside stays, a new connection takes a new token, which the game asks for as before.
    let refused = || Client::anonymous(prosody.http(), &query(&token), DOMAIN).is_err().then_some(());
    assert!(wait_for(seconds(20), refused).is_some(), "an expired token is still taken");
    let ping = player.iq("get", &format!("{room}/a11ce000"), "<ping xmlns='urn:xmpp:ping'/>");
    assert_ne!(ping.condition(), "not-acceptable", "the player is still inside: {ping:#?}");
    let again: Value = serde_json::from_str(&dgd.asks("Ann Lee", "JITSI_Chat_Default", 600, 1)).expect("JSON");
    assert_eq!(claims(again["token"].as_str().expect("a token"))["room"], "jitsi_chat_default", "without case");
    assert!(Client::anonymous(prosody.http(), &query(again["token"].as_str().expect("one")), DOMAIN).is_ok());
    assert!(!daemon.log().contains("eyJ"), "a token in the log");
    assert!(daemon.log().contains("avchat skotos"), "who asked is in the record");
}

#[test]
fn what_dgd_may_not_have_is_refused_with_its_number_and_the_connection_stays() {
    let mut dgd = Dgd::open();
    let (_prosody, _focus, _daemon) = started(&dgd, "accept_owner = true\ntoken_life = \"10m\"");
    dgd.accept();
    for (channel, part) in [("*", "never for all"), ("tavern", "may ask about"), ("jitsi_*", "never for all")] {
        let text = dgd.asks("Ann", channel, 600, 7);
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&answer["success"], &answer["token"], scanned_seq(&text)), (&json!(false), &json!(""), Some(7)));
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(part)), "{channel}: {text}");
    }
    dgd.send(b"{\"displayName\":\"Ann\",\"moderator\":true,\"seq\":8}\0");
    let answer = dgd.hear();
    assert!(answer.contains("\"success\":false") && answer.contains("\"seq\":8"), "{answer}");
    assert!(answer.contains("may_grant"), "{answer}");
    dgd.send(b"{ displayName: \"Ann\" }\0");
    assert!(dgd.hear().contains("not understood"));
    let long: Value = serde_json::from_str(&dgd.asks("Ann", "jitsi_hall", 999_999, 9)).expect("JSON");
    let long = claims(long["token"].as_str().expect("a token"));
    assert_eq!(long["exp"].as_u64().zip(long["iat"].as_u64()).map(|(exp, iat)| exp - iat), Some(600));
    // Two at once, one in two pieces.
    dgd.send(b"{\"displayName\":\"A\",\"seq\":10}\0{\"displayName\":\"B\",");
    assert_eq!(scanned_seq(&dgd.hear()), Some(10));
    dgd.send(b"\"seq\":11}\0");
    assert_eq!(scanned_seq(&dgd.hear()), Some(11));
    // A game that restarts is dialled again, once.
    dgd.connection = None;
    dgd.accept();
    assert_eq!(scanned_seq(&dgd.asks("Ann", "jitsi_hall", 600, 12)), Some(12));
    dgd.listener.set_nonblocking(true).expect("a socket");
    assert!(dgd.listener.accept().is_err(), "a second connection");
}

#[test]
fn moderators_are_made_for_a_game_that_may_and_owners_only_where_that_is_accepted() {
    let mut dgd = Dgd::open();
    let (_prosody, _focus, _daemon) = started(&dgd, "may_grant = true");
    dgd.accept();
    let refused = dgd.asks("Ann", "jitsi_hall", 600, 1);
    assert!(refused.contains("\"success\":false") && refused.contains("accept_owner"), "{refused}");
    dgd.send(b"{\"displayName\":\"Wizard\",\"channel\":\"jitsi_hall\",\"moderator\":true,\"seq\":2}\0");
    let answer: Value = serde_json::from_str(&dgd.hear()).expect("JSON");
    let wizard = claims(answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")));
    let user = &wizard["context"]["user"];
    assert_eq!(
        (&wizard["moderator"], &user["moderator"], &user["affiliation"]),
        (&json!(true), &json!(true), &json!("owner")),
        "each style of the claim"
    );
}
