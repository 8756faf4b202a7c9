//! `login = "token"`: tokens that are given or made.

use super::support::prosody::Tokens;
use super::*;

/// A server that wants tokens, and a focus that takes them for logins; sessions live as long as Jicofo lets them.
fn token_world(tokens: Tokens) -> (Prosody, Focus) {
    let prosody = Prosody::start(Options { login: Login::Token(tokens), ..Options::default() });
    let focus = Focus::start(FocusOptions { jwt: true, ..FocusOptions::of(&prosody) });
    (prosody, focus)
}

/// A token of the server's default kind with these claims, made by another program.
fn minted(change: &str) -> String {
    let Tokens { secret, issuer, .. } = Tokens::default();
    let program = format!(
        "import base64,hashlib,hmac,json,time\n\
         b=lambda x: base64.urlsafe_b64encode(x).rstrip(b'=')\n\
         now=int(time.time())\n\
         claims={{'iss':{issuer:?},'aud':'jitsi','sub':'meet.jitsi','room':'*','exp':now+60}}\n\
         {change}\n\
         text=b(json.dumps({{'typ':'JWT','alg':'HS256'}}).encode())+b'.'+b(json.dumps(claims).encode())\n\
         print((text+b'.'+b(hmac.new({secret:?}.encode(),text,hashlib.sha256).digest())).decode())"
    );
    let output = std::process::Command::new("python3").args(["-c", &program]).output().expect("python3 is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a token").trim().to_owned()
}

fn given(prosody: &Prosody, token: &str) -> Setup {
    Setup { login: "token", account: String::new(), ..Setup::websocket(prosody) }
        .with("token_file = \"token\"")
        .with_secret("token", token)
}

#[test]
fn a_minted_token_holds_rooms_and_each_connection_has_a_fresh_one() {
    let (prosody, focus) = token_world(Tokens { audience: "jitsi", ..Tokens::default() });
    let proxy = Proxy::to(prosody.http());
    let url = format!("ws://{}/xmpp-websocket", proxy.address());
    let setup = Setup { url, ..Setup::token(&prosody) }.with("token_life = \"30s\"").rooms(["tavern", "market"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    assert_eq!(domain(&before.jid), DOMAIN);
    daemon.wait_all_held(seconds(5));
    let mark = focus.mark();
    for _ in 0..2 {
        let connections = proxy.accepted();
        proxy.cut();
        until("a new connection", seconds(15), || (proxy.accepted() > connections).then_some(()));
        wait_state(&daemon, "tavern", "held", "", seconds(15));
    }
    let mut guest = Client::anonymous(prosody.http(), "", GUESTS).expect("a login");
    guest.join(&jids[0], "b0b00000");
    assert_eq!(guest.iq("get", &format!("{}/{NICK}", jids[0]), "<ping xmlns='urn:xmpp:ping'/>").attr("type"), "result");
    assert!(!gone(&focus, &jids[0], mark), "the keeper left for a moment");
    assert_eq!(keeper(&focus, &jids[0]).map(|keeper| keeper.jid), Some(before.jid));
    let state = std::fs::read_to_string(daemon.dir().join("state/state.json")).unwrap_or_default();
    assert!(!state.contains("auth-"), "a session-id of a minute was kept");
    assert!(!daemon.log().contains("eyJ"), "a token in the log");
}

#[test]
fn a_restarted_focus_and_a_restarted_server_see_the_token_session_again() {
    let (mut prosody, mut focus) = token_world(Tokens::default());
    let setup = Setup::token(&prosody).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let before = wait_keeper(&focus, &daemon, &jids, seconds(15));
    let mark = focus.mark();
    focus.restart(|_| ());
    focus.wait_connected(seconds(10));
    assert_eq!(wait_keeper(&focus, &daemon, &jids, seconds(20)).jid, before.jid);
    assert!(!gone(&focus, &jids[0], mark));
    prosody.kill9();
    daemon.wait_rooms("lost", seconds(10), |row| row.state != "held");
    prosody.run();
    let after = wait_keeper(&focus, &daemon, &jids, seconds(20));
    assert_ne!(after.jid, before.jid);
}

#[test]
fn a_given_token_for_one_room_holds_that_room() {
    let (prosody, focus) = token_world(Tokens::default());
    let setup = given(&prosody, &(minted("claims['room']='tavern'") + "\n")).rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
}

#[test]
fn a_room_that_the_token_is_not_for_says_so() {
    let (prosody, focus) = token_world(Tokens::default());
    let setup = given(&prosody, &minted("claims['room']='cellar'")).rooms(["tavern", "cellar"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    let shown = wait_state(&daemon, "tavern", "blocked", "token-mismatch", seconds(20));
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("token_room")), "{shown:#}");
    wait_keeper(&focus, &daemon, &jids[1..], seconds(10));
    let entered = |seen: &Seen| matches!(seen, Seen::Joined { nick, .. } if nick == NICK);
    assert!(!focus.seen_in(&jids[0], 0).iter().any(entered));
}

#[test]
fn a_bad_token_says_what_to_change() {
    let (prosody, focus) = token_world(Tokens { audience: "jitsi", ..Tokens::default() });
    for (change, word) in [
        ("claims['exp']=now-100", "fresh"),
        ("claims['nbf']=now+600", "clock"),
        ("claims['aud']='somebody'", "aud"),
        ("claims['iss']='somebody'", "iss"),
    ] {
        let daemon = Daemon::start(given(&prosody, &minted(change)).rooms(["tavern"]));
        let shown = wait_state(&daemon, "tavern", "blocked", "token-refused", seconds(10));
        assert!(shown["text"].as_str().is_some_and(|text| text.contains(word)), "{change}: {shown:#}");
    }
    let mut setup = Setup::token(&prosody).rooms(["tavern"]);
    setup.secrets = vec![("token-secret", "another".to_owned())];
    let daemon = Daemon::start(setup);
    let shown = wait_state(&daemon, "tavern", "blocked", "token-refused", seconds(10));
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("secret")), "{shown:#}");
    assert!(
        focus.log().iter().all(|seen| !matches!(seen.what, Seen::Requested { .. })),
        "refused, and asked all the same"
    );
}

#[test]
fn a_keeper_signs_with_a_private_key_where_the_server_wants_that() {
    use std::process::Command;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = dir.path().join("key.pem");
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-out"]).arg(&key).output();
    assert!(made.expect("openssl is there").status.success());
    let modulus = Command::new("openssl").args(["rsa", "-noout", "-modulus", "-in"]).arg(&key).output();
    let modulus = String::from_utf8(modulus.expect("openssl is there").stdout).expect("hexadecimal");
    let secret = modulus.trim().trim_start_matches("Modulus=").to_owned();
    let (prosody, focus) = token_world(Tokens { algorithm: "RS256", secret, ..Tokens::default() });
    let pem = std::fs::read_to_string(&key).expect("the key");
    let setup = Setup { login: "token", account: String::new(), ..Setup::websocket(&prosody) }
        .with("app_id = \"innkeeper\"\nkey_file = \"key.pem\"\nkid = \"k1\"\ntoken_algorithm = \"RS256\"")
        .with_secret("key.pem", pem)
        .rooms(["tavern"]);
    let jids = setup.jids();
    let daemon = Daemon::start(setup);
    wait_keeper(&focus, &daemon, &jids, seconds(15));
}
