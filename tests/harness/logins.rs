//! The ways in: names kept for a resumption, tokens, rooms a token is for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sasl::common::scram::{ScramProvider, Sha256};
use serde_json::{Value, json};

use super::support::prosody::{DOMAIN, GUESTS, HIDDEN, Login, Tokens};
use super::*;

const SM: &str = "urn:xmpp:sm:3";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token signed with HS256.
fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let text = unsigned(header, claims);
    let signature = Sha256::hmac(text.as_bytes(), secret.as_bytes()).expect("a key of any length");
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn claims() -> Value {
    json!({
        "iss": "innkeeper", "aud": "jitsi", "sub": DOMAIN, "room": "*", "exp": now() + 60, "nbf": now() - 30,
        "context": {"user": {"id": "keeper", "name": "Keeper"}}
    })
}

fn good() -> String {
    signed(&json!({"typ": "JWT", "alg": "HS256"}), &claims(), &Tokens::default().secret)
}

/// Turns stream management on and returns the resumption id.
fn resumable(client: &mut Client) -> String {
    client.send(&format!("<enable xmlns='{SM}' resume='true'/>"));
    client.expect("stream management", SOON, |node| node.name == "enabled").attr("id").to_owned()
}

/// What a resumption with `id` in URL and stanza comes to.
fn resume(prosody: &Prosody, domain: &str, query: &str, id: &str) -> Node {
    let mut wire = support::client::Wire::websocket(prosody.http(), query).expect("a WebSocket");
    wire.open(domain, "jabber:client").expect("a stream");
    wire.element().expect("features");
    wire.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>").expect("a live stream");
    let answer = wire.element().expect("an answer");
    if answer.name != "success" {
        return answer;
    }
    wire.open(domain, "jabber:client").expect("a stream");
    wire.element().expect("features");
    wire.send(&format!("<resume xmlns='{SM}' previd='{id}' h='0'/>")).expect("a live stream");
    wire.element().expect("an answer")
}

#[test]
fn an_anonymous_session_is_resumed_by_the_previd_in_its_url_and_stock_prosody_cannot() {
    for (guests_resume, wanted) in [(true, "resumed"), (false, "failed")] {
        let prosody = Prosody::start(Options { guests_resume, ..Options::default() });
        let mut guest = Client::anonymous(prosody.http(), "?room=tavern", GUESTS).expect("a login");
        let id = resumable(&mut guest);
        if guests_resume {
            assert_eq!(
                resume(&prosody, GUESTS, "?room=tavern", &id).name,
                "failed",
                "the name is new without `previd`"
            );
        }
        let answer = resume(&prosody, GUESTS, &format!("?room=tavern&previd={id}"), &id);
        assert_eq!(answer.name, wanted, "{answer:?}");
        let stranger = Client::anonymous(prosody.http(), "?previd=no-such-id", GUESTS).expect("a login");
        assert_ne!(stranger.bare(), guest.bare());
    }
}

#[test]
fn an_account_of_the_hidden_domain_logs_in() {
    let prosody = Prosody::start(Options::default());
    prosody.add_account("recorder", HIDDEN, PASSWORD);
    let hidden = Client::web_account(prosody.http(), "", "recorder", HIDDEN, PASSWORD);
    assert_eq!(hidden.bare(), format!("recorder@{HIDDEN}"));
}

/// The condition and the text of a refused login.
fn refusal(prosody: &Prosody, query: &str) -> (String, String) {
    let mut wire = support::client::Wire::websocket(prosody.http(), query).expect("a WebSocket");
    wire.open(DOMAIN, "jabber:client").expect("a stream");
    wire.element().expect("features");
    wire.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>").expect("a live stream");
    let failure = wire.element().expect("an answer");
    assert_eq!(failure.name, "failure", "{query}: {failure:?}");
    (failure.children[0].name.clone(), failure.child("text").map(|text| text.text.clone()).unwrap_or_default())
}

#[test]
fn tokens_are_refused_in_the_order_and_with_the_words_of_jitsi() {
    let prosody = Prosody::start(Options {
        login: Login::Token(Tokens { audience: "jitsi", ..Tokens::default() }),
        ..Options::default()
    });
    let header = json!({"typ": "JWT", "alg": "HS256"});
    let secret = Tokens::default().secret;
    let with = |key: &str, value: Value| {
        let mut changed = claims();
        changed[key] = value;
        signed(&header, &changed, &secret)
    };
    let without = |key: &str| {
        let mut changed = claims();
        changed.as_object_mut().expect("an object").remove(key);
        signed(&header, &changed, &secret)
    };
    assert_eq!(refusal(&prosody, ""), ("not-allowed".into(), "token required".into()));
    for (token, text) in [
        ("no-token".to_owned(), "bad token format"),
        ("!.!.!".to_owned(), "Invalid header"),
        (signed(&header, &json!("text"), &secret), "Invalid body"),
        (signed(&json!({"typ": "JOSE", "alg": "none"}), &claims(), "wrong"), "Invalid typ"),
        (signed(&json!({"typ": "JWT", "alg": "HS512"}), &claims(), "wrong"), "Invalid or incorrect alg"),
        (signed(&json!({"typ": "JWT", "alg": "none"}), &claims(), &secret), "Invalid or incorrect alg"),
        (signed(&header, &json!({"exp": 1}), &format!("{secret}\n")), "Invalid signature"),
        (with("exp", json!("soon")), "exp must be number"),
        (with("nbf", json!("soon")), "nbf must be number"),
        (with("nbf", json!(now() + 600)), "Not acceptable by nbf"),
        (without("iss"), "'iss' claim is missing"),
        (with("iss", json!("somebody")), "invalid 'iss' claim"),
        (without("aud"), "'aud' claim is missing"),
        (with("aud", json!("somebody")), "invalid 'aud' claim"),
    ] {
        assert_eq!(refusal(&prosody, &format!("?token={token}")), ("not-allowed".into(), text.into()), "{token}");
    }
    let (_, text) = refusal(&prosody, &format!("?token={}", with("exp", json!(now() - 7))));
    assert!(text.starts_with("Not acceptable by exp (") && text.ends_with(" sec since expired)"), "{text}");
    for (claim, text) in [("room", "room claim is missing"), ("sub", "sub claim is missing")] {
        let refused = refusal(&prosody, &format!("?token={}", without(claim)));
        assert_eq!(refused, ("not-authorized".into(), text.into()));
    }
}

#[test]
fn a_token_names_its_room_and_a_resumption_needs_a_good_one() {
    let prosody = Prosody::start(Options { login: Login::Token(Tokens::default()), ..Options::default() });
    let focus = Focus::start(focus::Options::of(&prosody));
    let mut mine = claims();
    mine["room"] = json!("Tavern");
    mine["exp"] = json!(now() + 2);
    let token = signed(&json!({"typ": "JWT", "alg": "HS256"}), &mine, &Tokens::default().secret);
    let mut keeper = Client::anonymous(prosody.http(), &format!("?token={token}"), DOMAIN).expect("a login");
    let (own, other) = (room("tavern"), room("cellar"));
    let refused = keeper.join(&own, "keeper");
    let reason = |node: &Node, name: &str| {
        assert_eq!(node.condition(), "not-allowed", "{node:?}");
        node.child("error").is_some_and(|error| error.child_ns(name, "http://jitsi.org/jitmeet").is_some())
    };
    assert!(reason(&refused, "room-does-not-exist"), "{refused:?}");
    keeper.conference(FOCUS, &own, "machine-1", "");
    keeper.conference(FOCUS, &other, "machine-1", "");
    let refused = keeper.join(&other, "keeper");
    assert!(reason(&refused, "room-mismatch"), "{refused:?}");
    assert_eq!(keeper.join(&own, "keeper").attr("type"), "");
    keeper.answer_disco(&own);
    focus.wait_held(&[&own], keeper.bare(), SOON);
    // a guest has no claim, and may
    let mut guest = Client::anonymous(prosody.http(), "", GUESTS).expect("a login");
    assert_eq!(guest.join(&own, "guest").attr("type"), "");
    // the session outlives its token; the resumption does not
    let id = resumable(&mut keeper);
    let expired = || (now() > mine["exp"].as_u64()? + 1).then_some(());
    support::until("the token expires", SOON, expired);
    assert_eq!(keeper.iq("get", DOMAIN, "<ping xmlns='urn:xmpp:ping'/>").attr("type"), "result");
    assert_eq!(resume(&prosody, DOMAIN, &format!("?token={token}&previd={id}"), &id).name, "failure");
    assert_eq!(resume(&prosody, DOMAIN, &format!("?token={}&previd={id}", good()), &id).name, "resumed");
}

#[test]
fn tokens_of_other_algorithms_and_no_token_at_all_are_taken_where_the_server_says_so() {
    let tokens = Tokens { algorithm: "HS384", allow_empty: true, ..Tokens::default() };
    let prosody = Prosody::start(Options { login: Login::Token(tokens), ..Options::default() });
    assert!(Client::anonymous(prosody.http(), "", DOMAIN).is_ok(), "no token");
    let text = unsigned(&json!({"typ": "JWT", "alg": "HS384"}), &claims());
    let mut command = std::process::Command::new("openssl");
    command.args(["dgst", "-sha384", "-binary", "-hmac", &Tokens::default().secret]);
    let signature = piped(command, text.as_bytes());
    let token = format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
    assert!(Client::anonymous(prosody.http(), &format!("?token={token}"), DOMAIN).is_ok(), "HS384");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = dir.path().join("key.pem");
    let mut command = std::process::Command::new("openssl");
    std::fs::write(
        &key,
        piped(
            {
                command.args(["genrsa", "2048"]);
                command
            },
            b"",
        ),
    )
    .expect("the key");
    let mut command = std::process::Command::new("openssl");
    let modulus = piped(
        {
            command.args(["rsa", "-noout", "-modulus", "-in"]).arg(&key);
            command
        },
        b"",
    );
    let modulus = String::from_utf8(modulus).expect("hexadecimal").trim().trim_start_matches("Modulus=").to_owned();
    let tokens = Tokens { algorithm: "RS256", secret: modulus, ..Tokens::default() };
    let prosody = Prosody::start(Options { login: Login::Token(tokens), ..Options::default() });
    let text = unsigned(&json!({"typ": "JWT", "alg": "RS256", "kid": "k1"}), &claims());
    let mut command = std::process::Command::new("openssl");
    let signature = piped(
        {
            command.args(["dgst", "-sha256", "-binary", "-sign"]).arg(&key);
            command
        },
        text.as_bytes(),
    );
    let token = format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(&signature));
    assert!(Client::anonymous(prosody.http(), &format!("?token={token}"), DOMAIN).is_ok(), "RS256");
    let mut forged = signature;
    forged[7] ^= 1;
    let forged = format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(forged));
    assert_eq!(refusal(&prosody, &format!("?token={forged}")).1, "Invalid signature");
}

/// What a program prints when it reads `input`.
fn piped(mut command: std::process::Command, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::Stdio;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl is there");
    child.stdin.take().expect("asked for").write_all(input).expect("it reads");
    child.wait_with_output().expect("it ends").stdout
}
