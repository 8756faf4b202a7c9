//! What the configuration says to an admin: every example loads, every mistake is named with file, line and key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use innkeeper::app;
use innkeeper::authority::{Fallback, Limits};
use innkeeper::config::{
    self, Asked, Config, Content, Endpoint, File, Files, Gate, HostPort, Input, Listen, Login, Mechanism, Media,
    OnUnknown, PaceKind, Place, RoomKey, Token,
};
use innkeeper::rights::{RoomPattern, Scope};
use innkeeper::token::Signing;

/// Secret files out of memory.
struct Memory(BTreeMap<PathBuf, &'static [u8]>);

impl Files for Memory {
    fn read(&self, path: &Path) -> Result<Content, String> {
        let bytes = self.0.get(path).ok_or("no such file")?.to_vec();
        Ok(Content { bytes, others_may_read: path.ends_with("open") })
    }
}

fn memory() -> Memory {
    let files: [(&str, &'static [u8]); 14] = [
        ("/etc/innkeeper/pw", b"hunter2\n"),
        ("/etc/innkeeper/bare", b"hunter2"),
        ("/etc/innkeeper/open", b"hunter2"),
        ("/etc/innkeeper/empty", b"\n"),
        ("/etc/innkeeper/two", b"hunter2\nhunter3\n"),
        ("/etc/innkeeper/words.txt", b"# not here\ndarn\n"),
        ("/run/credentials/meet", b"hunter2"),
        ("/etc/innkeeper/ca.pem", b"-----BEGIN CERTIFICATE-----\n"),
        ("/etc/innkeeper/key.pem", b"-----BEGIN PRIVATE KEY-----\n"),
        ("/etc/innkeeper/one-room.token", b"e30.eyJyb29tIjoiVGF2ZXJuIn0.c2ln"),
        ("/etc/innkeeper/games.token", b"correct-horse-battery-staple"),
        ("/etc/innkeeper/game.secret", b"battery-staple-correct-horse"),
        ("/etc/innkeeper/webhook.secret", b"horse-battery-staple-correct"),
        ("/etc/innkeeper/odd.secret", b"whsec_horse-battery-staple"),
    ];
    Memory(files.map(|(path, bytes)| (PathBuf::from(path), bytes)).into())
}

fn read(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let files = files.iter().map(|(name, text)| File { name: (*name).into(), text: (*text).into() }).collect();
    let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let input = Input { files, env, base: "/etc/innkeeper".into(), offline: false, secrets: &memory() };
    config::check(&input).map_err(|problems| {
        for problem in &problems {
            let shown = problem.with_source() + &format!("{problem:?}") + &serde_json::to_string(problem).unwrap();
            assert!(!shown.contains("hunter2"), "a secret in {shown}");
        }
        problems.iter().map(ToString::to_string).collect()
    })
}

/// Problems of one main file.
fn problems(text: &str) -> Vec<String> {
    match read(&[("innkeeper.toml", text)], &[]) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => problems,
    }
}

/// The main file with a service that is right, and further lines of it.
fn service(more: &str) -> String {
    format!("[service.meet]\ndomain = \"meet.jitsi\"\naccount = \"a\"\npassword_file = \"bare\"\n{more}\n")
}

fn accepted(text: &str) -> Config {
    read(&[("innkeeper.toml", text)], &[]).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 3, "{files:?}");
    files
}

#[test]
fn every_file_in_config_loads() {
    for path in examples() {
        let config = app::load(&path, true).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(config.rooms.contains_key(&RoomKey::new("meet", "tavern")), "{}", path.display());
    }
    let demo = app::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml"), true).unwrap();
    assert_eq!(demo.rooms.len(), 3);
}

/// The example with its commented lines made active, but for those that exclude each other.
fn whole_example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/example.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let known: Vec<_> = config::known_keys().into_iter().map(|(_, key)| key).collect();
    let active = |line: &str| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if bare.starts_with('[') && bare.ends_with(']') {
            return bare.to_owned();
        }
        let key = bare.split(" = ").next().unwrap_or_default();
        if known.contains(&key) && bare.contains(" = ") { bare.to_owned() } else { line.to_owned() }
    };
    text.lines().map(|line| active(line) + "\n").collect()
}

#[test]
fn every_known_key_has_a_line_in_the_example() {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in whole_example().lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).split('.').next().unwrap_or_default().to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((table.clone(), key.to_owned()));
        }
    }
    for (table, key) in config::known_keys() {
        assert!(found.contains(&(table.to_owned(), key.to_owned())), "[{table}] {key} is not in config/example.toml");
    }
}

#[test]
fn the_example_is_right_and_shows_the_defaults_where_it_is_commented_out() {
    let apart = [
        "credential",
        "guest_",
        "token_",
        // It would keep its bearer to the authority's rooms.
        "token = ",
        "app_id",
        "secret_",
        "key_file",
        "kid",
        "ca_file",
        "nameserver",
        "record =",
        "subject",
        "tls_",
        "dial",
        "url = \"https://game",
        "file = \"story.secret\"",
        "allow_private",
        "lobby",
        "members_only",
        "moderated",
        "persistent",
        "max_occupants",
        "av_moderation",
        "start_muted",
        "form",
        "on_drift",
        "chat_",
        "store_text",
    ];
    let mut table = String::new();
    let text: String = whole_example()
        .lines()
        // Its service makes tokens, and the example's has a password.
        .filter(|line| {
            if line.starts_with('[') {
                table = (*line).to_owned();
            }
            table != "[[avchat]]"
        })
        .filter(|line| !apart.iter().any(|key| line.starts_with(key) && line.contains(" = ")))
        .map(|line| {
            if line.starts_with("password_file") { "password_file = \"bare\"\n".into() } else { line.to_owned() + "\n" }
        })
        .collect();
    let whole = accepted(&text);
    let short = accepted(
        "[service.meet]\nurl = \"wss://meet.example.org/xmpp-websocket\"\ndomain = \"meet.jitsi\"\naccount = \"innkeeper\"\npassword_file = \"bare\"\n[defaults]\npassword_file = \"bare\"\n[[room]]\nservice = \"meet\"\nname = \"library\"",
    );
    let (mut a, b) = (whole.services["meet"].clone(), &short.services["meet"]);
    // These two lines are examples, not defaults.
    assert_eq!(
        (a.muc.take().as_deref(), a.mechanisms.take().map(|list| list.len())),
        (Some("muc.meet.jitsi"), Some(4))
    );
    assert_eq!(&a, b);
    assert_eq!(whole.defaults, short.defaults);
    assert_eq!(whole.policies.tables[0].rules.len(), innkeeper::policy::rules::KINDS.len());
    assert_eq!((whole.control_socket, whole.state_dir), (short.control_socket, short.state_dir));
    let (mut http, default) = (whole.http.unwrap(), accepted("[http]").http.unwrap());
    assert_eq!(http.tokens.pop().unwrap().rights.rooms, RoomPattern::all());
    assert_eq!((http, short.http), (default, None));
}

#[test]
fn a_service_has_the_values_that_were_written() {
    let config = accepted(&service(
        "url = \"xmpp://host.example\"\nmuc = \"MUC.meet.jitsi\"\nfocus = false\nca_file = \"ca.pem\"\nmechanisms = [\"PLAIN\"]\nnameserver = \"127.0.0.1:5353\"\nrooms_per_session = 7\njoins_per_second = 8\npace = \"rate-limited\"\nself_ping = \"90s\"\nafter_kick = \"1h\"\nmedia = \"refuse\"\nstanza_limit = \"64KiB\"\nrecord = \"rec\"\nrecord_content = true",
    ));
    let meet = &config.services["meet"];
    assert_eq!(meet.endpoint, Endpoint::StartTls(Some(HostPort { host: "host.example".into(), port: 5222 })));
    assert_eq!((meet.muc.as_deref(), meet.focus.as_deref()), (Some("muc.meet.jitsi"), None));
    assert_eq!(meet.ca_file.as_deref(), Some(Path::new("/etc/innkeeper/ca.pem")));
    assert_eq!(meet.mechanisms.as_deref(), Some(&[Mechanism::Plain][..]));
    assert_eq!(meet.nameserver, Some("127.0.0.1:5353".parse().unwrap()));
    assert_eq!((meet.rooms_per_session, meet.joins_per_second, meet.stanza_bytes), (7, 8, 65_536));
    assert_eq!((meet.pace, meet.media), (PaceKind::RateLimited, Media::Refuse));
    assert_eq!((meet.self_ping, meet.after_kick), (Duration::from_secs(90), Duration::from_secs(3600)));
    let Login::Direct { account, password } = &meet.login else { panic!() };
    assert_eq!((account.as_str(), password.expose()), ("a", "hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn rooms_take_defaults_and_override_them() {
    let text = "[defaults]\nnick = \"00_host\"\nsubject = \"Inn\"\npassword_file = \"bare\"\n".to_owned()
        + &service("muc = \"muc.meet.jitsi\"")
        + "[[room]]\nservice = \"meet\"\nname = \"Tavern\"\n[[room]]\nservice = \"meet\"\nname = \"hall@muc.meet.jitsi\"\nnick = \"x\"\ndisplay_name = \"Butler\"\nsubject = \"Hall\"\n[[room]]\nservice = \"meet\"\nname = \"far@other.example\"";
    let config = accepted(&text);
    let room = |name| &config.rooms[&RoomKey::new("meet", name)];
    let subject = |name| room(name).moderated.as_ref().and_then(|moderated| moderated.locked.subject.clone());
    assert_eq!((room("tavern").nick.as_ref(), subject("tavern")), ("00_host", Some("Inn".into())));
    assert_eq!(room("tavern").password.as_ref().unwrap().expose(), "hunter2");
    assert_eq!((room("hall").nick.as_ref(), room("hall").display_name.as_ref()), ("x", "Butler"));
    assert_eq!((room("hall").muc.as_deref(), room("far").muc.as_deref()), (None, Some("other.example")));
    assert_eq!(&*room("tavern").origin, "innkeeper.toml:10");
}

#[test]
fn every_single_mistake_has_its_line_key_and_words() {
    let keys = "url, domain, muc, focus, login, account, password_file, credential, guest_domain, guest_account, guest_password_file, guest_credential, token_file, token_credential, app_id, secret_file, secret_credential, key_file, kid, token_algorithm, token_audience, token_issuer, token_subject, token_room, token_life, ca_file, mechanisms, nameserver, rooms_per_session, joins_per_second, pace, self_ping, after_kick, media, stanza_limit, record, record_content";
    let bosh = "innkeeper.toml:5: service.meet.url: BOSH (http, https) is not there yet; expected wss://… (WebSocket) or xmpp://… instead";
    let table: &[(&str, &str)] = &[
        ("colour = 1", &format!("innkeeper.toml:5: service.meet.colour: unknown key; expected one of {keys}")),
        (
            "self_pnig = 1",
            "innkeeper.toml:5: service.meet.self_pnig: unknown key; expected self_ping (did you mean that?)",
        ),
        (
            "password = \"hunter2\"",
            "innkeeper.toml:5: service.meet.password: unknown key; expected password_file or credential: a password does not stand in the configuration",
        ),
        (
            "pasword = \"hunter2\"",
            "innkeeper.toml:5: service.meet.pasword: unknown key; expected password_file or credential: a password does not stand in the configuration",
        ),
        ("url = \"https://m.example/x\"", bosh),
        ("url = \"http://localhost/x\"", bosh),
        (
            "url = \"ws://m.example/x?token=hunter2\"",
            "innkeeper.toml:5: service.meet.url: ws: without TLS goes only to this machine itself, and \"m.example\" is another; expected wss://…",
        ),
        (
            "url = \"wss://me:hunter2@m.example/x\"",
            "innkeeper.toml:5: service.meet.url: a user or password in the URL; expected account and password_file for these",
        ),
        (
            "url = \"m.example\"",
            "innkeeper.toml:5: service.meet.url: no scheme; expected wss://…, xmpps://…, xmpp://…, or ws://… to this machine",
        ),
        (
            "url = \"xmpp:m.example\"",
            "innkeeper.toml:5: service.meet.url: no // after the scheme; expected xmpp://host or xmpp://host:port",
        ),
        (
            "url = 5",
            "innkeeper.toml:5: service.meet.url: a number instead of a string; expected a string between quotes",
        ),
        (
            "muc = \"a@b\"",
            "innkeeper.toml:5: service.meet.muc: \"a@b\" is not an XMPP domain; expected a domain such as \"muc.meet.jitsi\"",
        ),
        (
            "focus = true",
            "innkeeper.toml:5: service.meet.focus: true; expected an address such as \"focus.meet.jitsi\", or false for rooms without a focus",
        ),
        (
            "login = \"guest\"",
            "innkeeper.toml:1: service.meet.guest_domain: missing; expected the domain where guests log in, such as \"guest.meet.jitsi\"",
        ),
        (
            "login = \"tocken\"",
            "innkeeper.toml:5: service.meet.login: \"tocken\" is unknown; expected \"direct\", \"guest\", \"token\" or \"anonymous\"",
        ),
        (
            "guest_domain = \"g\"",
            "innkeeper.toml:5: service.meet.guest_domain: of no use with login = \"direct\"; expected login = \"guest\", or it to be left out",
        ),
        (
            "credential = \"meet\"",
            "innkeeper.toml:5: service.meet.credential: both password_file and credential; expected one of them",
        ),
        (
            "ca_file = \"nope.pem\"",
            "innkeeper.toml:5: service.meet.ca_file: /etc/innkeeper/nope.pem: no such file; expected a readable PEM file",
        ),
        (
            "ca_file = \"pw\"",
            "innkeeper.toml:5: service.meet.ca_file: /etc/innkeeper/pw: no certificate in it; expected a PEM file",
        ),
        (
            "mechanisms = [\"SCRAM-SHA-1\", \"MD5\"]",
            "innkeeper.toml:5: service.meet.mechanisms: \"MD5\" is unknown; expected \"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"SCRAM-SHA-1-PLUS\", \"SCRAM-SHA-1\", \"PLAIN\" or \"ANONYMOUS\"",
        ),
        (
            "mechanisms = [\"SCRAM-SHA1\"]",
            "innkeeper.toml:5: service.meet.mechanisms: \"SCRAM-SHA1\" is unknown; expected \"SCRAM-SHA-1\" (did you mean that?)",
        ),
        (
            "mechanisms = []",
            "innkeeper.toml:5: service.meet.mechanisms: empty; expected \"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"SCRAM-SHA-1-PLUS\", \"SCRAM-SHA-1\", \"PLAIN\" or \"ANONYMOUS\"",
        ),
        (
            "keep_events = \"30d\"",
            "innkeeper.toml:5: service.meet.keep_events: unknown key; expected it at the top of the file, before the first [table]",
        ),
        (
            "nameserver = \"dns\"",
            "innkeeper.toml:5: service.meet.nameserver: \"dns\" is not an address; expected an address such as \"192.0.2.53\"",
        ),
        (
            "rooms_per_session = 0",
            "innkeeper.toml:5: service.meet.rooms_per_session: 0; expected a number from 1 to 100000",
        ),
        (
            "joins_per_second = \"many\"",
            "innkeeper.toml:5: service.meet.joins_per_second: a string; expected a number from 1 to 100000",
        ),
        (
            "pace = \"slow\"",
            "innkeeper.toml:5: service.meet.pace: \"slow\" is unknown; expected \"adaptive\" or \"rate-limited\"",
        ),
        (
            "self_ping = \"5 moons\"",
            "innkeeper.toml:5: service.meet.self_ping: \"5 moons\" is no duration (no known unit of time); expected a duration such as \"30s\", \"5m\" or \"8h\", from 1s to 1day",
        ),
        (
            "after_kick = 5",
            "innkeeper.toml:5: service.meet.after_kick: a number instead of a string; expected a duration such as \"30s\", \"5m\" or \"8h\", from 1s to 1day",
        ),
        (
            "after_kick = \"0s\"",
            "innkeeper.toml:5: service.meet.after_kick: \"0s\" is out of bounds; expected a duration such as \"30s\", \"5m\" or \"8h\", from 1s to 1day",
        ),
        (
            "media = \"on\"",
            "innkeeper.toml:5: service.meet.media: \"on\" is unknown; expected \"pending\" or \"refuse\"",
        ),
        (
            "stanza_limit = \"1 stone\"",
            "innkeeper.toml:5: service.meet.stanza_limit: \"1 stone\" is no size (no known unit of size); expected a size such as \"256KiB\", from 16KiB to 16MiB",
        ),
        ("[[rtbl]]\nservice = \"meet\"", "innkeeper.toml:5: rtbl.jid: missing; expected jid = \"…\" in this [[rtbl]]"),
        (
            "[[rtbl]]\nservice = \"meat\"\njid = \"rtbl.example\"",
            "innkeeper.toml:6: rtbl.service: no service is called \"meat\"; expected \"meet\" (did you mean that?)",
        ),
        (
            "[[rtbl]]\nservice = \"meet\"\njid = \"a/b\"",
            "innkeeper.toml:7: rtbl.jid: \"a/b\" is not an XMPP domain; expected an address such as \"rtbl.example\"",
        ),
        ("[rtbl]\njid = \"a\"", "innkeeper.toml:5: rtbl: a single [rtbl]; expected [[rtbl]], with two brackets"),
        ("[room]\nname = \"a\"", "innkeeper.toml:5: room: a single [room]; expected [[room]], with two brackets"),
        ("[rooms]", "innkeeper.toml:5: rooms: unknown key; expected room (did you mean that?)"),
        (
            "[service]\nurl = \"wss://a\"",
            "innkeeper.toml:6: service.url: a key outside a service; expected it under [service.NAME]",
        ),
        (
            "[defaults]\nnick = \"-\"",
            "innkeeper.toml:6: defaults.nick: \"-\" is no nick for service meet, which has a focus; expected letters, digits and underscores, beginning with a letter or digit",
        ),
        (
            "[defaults]\nservice = \"meet\"",
            "innkeeper.toml:6: defaults.service: unknown key; expected one of nick, display_name, password_file, subject, lobby, members_only, moderated, persistent, max_occupants, av_moderation, start_muted, form, on_drift, chat_commands, chat_accounts, store_text",
        ),
        ("[[room]]\nservice = \"meet\"", "innkeeper.toml:5: name: missing; expected name = \"…\" in this [[room]]"),
        ("[[room]]\nname = \"a\"", "innkeeper.toml:5: service: missing; expected service = \"…\" in this [[room]]"),
        (
            "[[room]]\nname = \"a\"\nservice = \"meat\"",
            "innkeeper.toml:7: service: no service is called \"meat\"; expected \"meet\" (did you mean that?)",
        ),
        (
            "[[room]]\nname = \"a b\"\nservice = \"meet\"",
            "innkeeper.toml:6: name: \"a b\" is not the local part of a JID; expected a room's name or room JID",
        ),
        (
            "[[room]]\nname = \"a@b/c\"\nservice = \"meet\"",
            "innkeeper.toml:6: name: \"a@b/c\" is a JID with a resource; expected a room's name or room JID",
        ),
        (
            "[[room]]\nname = \"a\"\nservice = \"meet\"\nnick = \"Host!\"",
            "innkeeper.toml:8: nick: \"Host!\" is no nick for service meet, which has a focus; expected letters, digits and underscores, beginning with a letter or digit",
        ),
        (
            "[[room]]\nname = \"a\"\nservice = \"meet\"\npassword_file = \"nope\"",
            "innkeeper.toml:8: password_file: /etc/innkeeper/nope: no such file; expected a readable file",
        ),
        (
            "[[room]]\nname = \"a\"\nservice = \"meet\"\nsubject = \"a\\nb\"",
            "innkeeper.toml:8: subject: \"a\\nb\" is text with control characters; expected one line of text",
        ),
    ];
    for (more, wanted) in table {
        // A table behind the service begins on the service's fifth line as well.
        assert_eq!(problems(&service(more)), [*wanted], "{more}");
    }
}

#[test]
fn an_account_needs_one_good_password_and_anonymous_none() {
    let with = |more: &str| format!("[service.meet]\ndomain = \"meet.jitsi\"\naccount = \"a\"\n{more}\n");
    let table: &[(&str, &str)] = &[
        (
            "",
            "innkeeper.toml:1: service.meet.password_file: the account has no password; expected password_file or credential",
        ),
        (
            "password_file = \"nope\"",
            "innkeeper.toml:4: service.meet.password_file: /etc/innkeeper/nope: no such file; expected a readable file",
        ),
        (
            "password_file = \"empty\"",
            "innkeeper.toml:4: service.meet.password_file: /etc/innkeeper/empty: the file is empty; expected one line with the password",
        ),
        (
            "password_file = \"two\"",
            "innkeeper.toml:4: service.meet.password_file: /etc/innkeeper/two: the file has more than one line; expected one line with the password",
        ),
        (
            "credential = \"meet\"",
            "innkeeper.toml:4: service.meet.credential: no credential \"meet\" because $CREDENTIALS_DIRECTORY is not set; expected a start by systemd with LoadCredential=, or password_file",
        ),
        (
            "credential = \"../x\"",
            "innkeeper.toml:4: service.meet.credential: \"../x\" is no credential; expected the ID of LoadCredential=",
        ),
        (
            "login = \"anonymous\"",
            "innkeeper.toml:3: service.meet.account: of no use with login = \"anonymous\"; expected login = \"direct\" or login = \"guest\", or it to be left out",
        ),
    ];
    for (more, wanted) in table {
        assert_eq!(problems(&with(more)), [*wanted], "{more}");
    }
    let config = accepted(&with("password_file = \"pw\""));
    assert_eq!(config.warnings, ["innkeeper.toml:4: the line end in /etc/innkeeper/pw is not part of the password"]);
    let config = accepted(&with("password_file = \"open\""));
    assert_eq!(config.warnings, ["innkeeper.toml:4: everybody on this machine may read /etc/innkeeper/open"]);
    let credentials = [("CREDENTIALS_DIRECTORY", "/run/credentials")];
    let config = read(&[("innkeeper.toml", &with("credential = \"meet\""))], &credentials).unwrap();
    let Login::Direct { password, .. } = &config.services["meet"].login else { panic!() };
    assert_eq!(password.expose(), "hunter2");
    accepted("[service.meet]\ndomain = \"meet.jitsi\"\nlogin = \"anonymous\"");
    let config = accepted(&service("").replace("\"a\"", "\"a@meet.jitsi\""));
    assert!(matches!(&config.services["meet"].login, Login::Direct { account, .. } if account == "a"));
}

#[test]
fn a_guest_has_an_account_and_a_domain_of_its_own() {
    let with = |more: &str| service(&format!("login = \"guest\"\n{more}"));
    let config = accepted(&with("guest_domain = \"Guest.meet.jitsi\""));
    let Login::Guest { domain, account, guest: None, .. } = &config.services["meet"].login else { panic!() };
    assert_eq!((domain.as_str(), account.as_str()), ("guest.meet.jitsi", "a"));
    assert_eq!(config.services["meet"].stream_domain(), "guest.meet.jitsi");
    let hidden = "guest_domain = \"hidden.meet.jitsi\"\nguest_account = \"keeper\"\nguest_password_file = \"bare\"";
    let config = accepted(&with(hidden));
    let Login::Guest { guest: Some((name, password)), .. } = &config.services["meet"].login else { panic!() };
    assert_eq!((name.as_str(), password.expose()), ("keeper", "hunter2"));
    for (more, wanted) in [
        (
            "guest_domain = \"meet.jitsi\"",
            "innkeeper.toml:6: service.meet.guest_domain: the same as domain; expected the domain of guests, or login = \"direct\"",
        ),
        (
            "guest_domain = \"g\"\nguest_account = \"keeper\"",
            "innkeeper.toml:1: service.meet.guest_password_file: the guest account has no password; expected guest_password_file or guest_credential",
        ),
        (
            "guest_domain = \"g\"\nguest_password_file = \"bare\"",
            "innkeeper.toml:7: service.meet.guest_password_file: a password without an account; expected guest_account beside it",
        ),
        (
            "guest_domain = \"g\"\nfocus = false",
            "innkeeper.toml:5: service.meet.login: a guest is made moderator by the focus, and there is none; expected \"direct\" or \"anonymous\", or a focus",
        ),
    ] {
        assert_eq!(problems(&with(more)), [wanted], "{more}");
    }
}

#[test]
fn a_token_is_given_or_made_and_travels_in_a_websockets_url() {
    let with = |more: &str| {
        format!(
            "[service.meet]\nurl = \"wss://m.example/xmpp-websocket\"\ndomain = \"meet.jitsi\"\nlogin = \"token\"\n{more}\n"
        )
    };
    let config = accepted(&with("app_id = \"app\"\nsecret_file = \"pw\""));
    assert_eq!(config.warnings, ["innkeeper.toml:6: the line end in /etc/innkeeper/pw is not part of the secret"]);
    let Login::Token(token) = &config.services["meet"].login else { panic!() };
    let Token::Minted { key, claims, one_room: false } = &**token else { panic!() };
    assert_eq!(key.signing(), Signing::Hs256);
    assert_eq!(
        (&*claims.audience, &*claims.issuer, &*claims.subject, &*claims.room, claims.life.as_secs()),
        ("jitsi", "app", "meet.jitsi", "*", 300)
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = accepted(&with("token_file = \"one-room.token\""));
    assert_eq!(config.services["meet"].rooms_per_session, 1, "its claim says so");
    let warning = "innkeeper.toml:5: the token in /etc/innkeeper/one-room.token is for the room \"tavern\" alone: \
                   other rooms of this service will refuse it";
    assert_eq!(config.warnings, [warning]);
    let one = "muc = \"muc.meet.jitsi\"\ntoken_room = \"room\"\ntoken_algorithm = \"HS512\"\ntoken_life = \"8h\"";
    let config = accepted(&with(&format!("app_id = \"app\"\nsecret_file = \"bare\"\n{one}")));
    assert_eq!(config.services["meet"].rooms_per_session, 1);
    let made = "app_id = \"app\"\nsecret_file = \"bare\"\n";
    for (more, wanted) in [
        (
            String::new(),
            "innkeeper.toml:1: service.meet.app_id: no token and nothing to make one from; expected token_file, or app_id with secret_file or key_file",
        ),
        (
            "app_id = \"app\"".to_owned(),
            "innkeeper.toml:1: service.meet.secret_file: no secret to sign tokens with; expected secret_file or secret_credential",
        ),
        (
            "token_file = \"bare\"".to_owned(),
            "innkeeper.toml:5: service.meet.token_file: /etc/innkeeper/bare: no token in it; expected a JSON web token: three parts with dots between",
        ),
        (
            format!("{made}account = \"a\""),
            "innkeeper.toml:7: service.meet.account: of no use with login = \"token\"; expected login = \"direct\" or login = \"guest\", or it to be left out",
        ),
        (
            format!("{made}token_room = \"room\""),
            "innkeeper.toml:7: service.meet.token_room: \"room\" needs the rooms' domain before it can log in; expected muc = \"…\" beside it, or \"*\"",
        ),
        (
            format!("{made}muc = \"m\"\ntoken_room = \"room\"\nrooms_per_session = 2"),
            "innkeeper.toml:9: service.meet.rooms_per_session: a token for one room can hold one; expected 1, or it to be left out, or token_room = \"*\"",
        ),
        (
            "token_file = \"one-room.token\"\nrooms_per_session = 2".to_owned(),
            "innkeeper.toml:6: service.meet.rooms_per_session: a token for one room can hold one; expected 1, or it to be left out, or a token whose claim `room` is \"*\"",
        ),
        (
            format!("{made}token_algorithm = \"RS256\""),
            "innkeeper.toml:7: service.meet.token_algorithm: RS256 takes a key pair; expected key_file instead of a secret",
        ),
        (
            format!("{made}token_life = \"9h\""),
            "innkeeper.toml:7: service.meet.token_life: \"9h\" is out of bounds; expected a duration such as \"30s\", \"5m\" or \"8h\", from 30s to 8h",
        ),
        (
            "app_id = \"app\"\nkey_file = \"bare\"\nkid = \"k\"".to_owned(),
            "innkeeper.toml:6: service.meet.key_file: /etc/innkeeper/bare: no private RSA key in PEM (PKCS #1 or PKCS #8); expected a PEM file with a private RSA key",
        ),
    ] {
        assert_eq!(problems(&with(&more)), [wanted], "{more}");
    }
    assert_eq!(
        problems(&with(made).replace("wss://m.example/xmpp-websocket", "xmpp://m.example")),
        [
            "innkeeper.toml:4: service.meet.login: a token travels in the URL of a WebSocket, and the service has none; expected url = \"wss://…/xmpp-websocket\""
        ]
    );
    let shown = problems(&with(made).replace("xmpp-websocket", "x?token=hunter2")).concat();
    assert!(shown.contains("a token in the URL") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_default_nick_sorts_before_every_browsers_so_that_none_offers_a_direct_connection() {
    let config = accepted(&(service("muc = \"muc.meet.jitsi\"") + "[[room]]\nservice = \"meet\"\nname = \"tavern\"\n"));
    let nick = &config.rooms[&RoomKey::new("meet", "tavern")].nick;
    // A browser's is eight hexadecimal digits at random, and of two the one that sorts first offers. All zeros sorts
    // before ours; its offer is declined, as the session's tests show.
    for browser in ["00000001", "0000abcd", "ffffffff"] {
        assert!(**nick < *browser, "{nick} {browser}");
    }
}

#[test]
fn a_tenants_room_is_one_room_whichever_way_it_is_written() {
    let room = |name: &str| format!("[[room]]\nservice = \"meet\"\nname = \"{name}\"\n");
    let with = |rooms: &str| service("muc = \"muc.meet.jitsi\"") + rooms;
    for name in ["[Acme]Tavern", "%5Bacme%5Dtavern", "tavern@muc.ACME.meet.jitsi", "[acme]tavern@muc.meet.jitsi"] {
        let config = accepted(&with(&room(name)));
        let found = &config.rooms[&RoomKey::new("meet", "[acme]tavern")];
        assert_eq!(found.muc, None, "{name}");
        let twice = problems(&with(&(room("[acme]tavern") + &room(name))));
        assert!(twice.len() == 1 && twice[0].contains("is already in"), "{name}: {twice:?}");
    }
}

#[test]
fn all_problems_of_all_files_come_at_once_and_in_order() {
    let main = "statedir = \"x\"\n".to_owned() + &service("paces = 1");
    let files = [
        ("innkeeper.toml", main.as_str()),
        ("rooms.d/a.toml", "[[room]]\nservice = \"meet\"\nname = \"tavern\"\n"),
        ("rooms.d/b.toml", "[[room]]\nservice = \"meet\"\nname = \"Tavern\"\ncolor = 1\n"),
    ];
    let problems = read(&files, &[("INNKEEPER__SERVICE__MEET__SELF_PING", "never")]).unwrap_err();
    assert_eq!(
        problems,
        [
            "innkeeper.toml:1: statedir: unknown key; expected state_dir (did you mean that?)",
            "innkeeper.toml:6: service.meet.paces: unknown key; expected pace (did you mean that?)",
            "rooms.d/b.toml:3: name: room \"tavern\" of service meet is already in rooms.d/a.toml:1; expected each room once",
            "rooms.d/b.toml:4: color: unknown key; expected one of service, name, nick, display_name, password_file, subject, lobby, members_only, moderated, persistent, max_occupants, av_moderation, start_muted, form, on_drift, chat_commands, chat_accounts, store_text",
            "environment: INNKEEPER__SERVICE__MEET__SELF_PING: \"never\" is no duration (no number); expected a duration such as \"30s\", \"5m\" or \"8h\", from 1s to 1day",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_does_not_hide_the_others_and_blames_nobody_for_what_it_holds() {
    let files = [
        ("innkeeper.toml", "[service.meet\ndomain = \"hunter2\n"),
        ("rooms.d/a.toml", "[[room]]\nservice = \"meet\"\nname = \"tavern\"\ncolor = 1\n"),
    ];
    let problems = read(&files, &[]).unwrap_err();
    assert!(problems.iter().any(|problem| problem.starts_with("innkeeper.toml:1: ")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("rooms.d/a.toml:4: color: unknown key")), "{problems:?}");
    assert!(!problems.iter().any(|problem| problem.contains("no service is called")), "{problems:?}");
}

#[test]
fn later_files_and_the_environment_replace_single_keys() {
    let main = service("self_ping = \"1m\"\nafter_kick = \"1m\"\nmedia = \"refuse\"");
    let files = [
        ("innkeeper.toml", main.as_str()),
        ("rooms.d/a.toml", "[service.meet]\nself_ping = \"2m\"\nafter_kick = \"2m\"\n"),
    ];
    let env = [
        ("INNKEEPER__SERVICE__MEET__AFTER_KICK", "3m"),
        ("innkeeper__service__Meet__Rooms_Per_Session", "9"),
        ("INNKEEPER__SERVICE__MEET__FOCUS", "false"),
        ("INNKEEPER__SERVICE__MEET__PASSWORD", "hunter3\n"),
        ("INNKEEPER__DEFAULTS__DISPLAY_NAME", "Butler"),
        ("INNKEEPER__STATE_DIR", "/srv/state"),
        ("RUNTIME_DIRECTORY", "/run/other"),
        ("INNKEEPER_LOG", "debug"),
    ];
    let config = read(&files, &env).unwrap();
    let meet = &config.services["meet"];
    let minutes = |duration: Duration| duration.as_secs() / 60;
    assert_eq!((minutes(meet.self_ping), minutes(meet.after_kick), meet.media), (2, 3, Media::Refuse));
    assert_eq!((meet.rooms_per_session, meet.focus.as_deref()), (9, None));
    let Login::Direct { password, .. } = &meet.login else { panic!() };
    assert_eq!(password.expose(), "hunter3");
    assert_eq!(config.warnings, ["INNKEEPER__SERVICE__MEET__PASSWORD: the line end is not part of the password"]);
    assert_eq!(&*config.defaults.display_name, "Butler");
    assert_eq!(config.control_socket, Path::new("/run/other/control.sock"));
    assert_eq!(config.state_dir, Path::new("/srv/state"));
}

#[test]
fn the_environment_is_checked_like_a_file() {
    let main = service("");
    let wrong = |name: &str, value: &str| read(&[("innkeeper.toml", &main)], &[(name, value)]).unwrap_err();
    assert_eq!(
        wrong("INNKEEPER__SERVICE__MEET__PACES", "x"),
        ["environment: INNKEEPER__SERVICE__MEET__PACES: unknown key; expected …__PACE (did you mean that?)"]
    );
    assert_eq!(
        wrong("INNKEEPER__SERVICE__MEAT__URL", "x"),
        ["environment: INNKEEPER__SERVICE__MEAT__URL: no file has a service called \"meat\"; expected one of meet"]
    );
    assert_eq!(
        wrong("INNKEEPER__ROOM__TAVERN", "x"),
        ["environment: INNKEEPER__ROOM__TAVERN: rooms can not be set by the environment; expected a file in rooms.d"]
    );
    assert_eq!(
        wrong("INNKEEPER__SERVICE__MEET__PASSWORD", "hunter2\nhunter2"),
        [
            "environment: INNKEEPER__SERVICE__MEET__PASSWORD: the variable has more than one line; expected one line with the password"
        ]
    );
}

#[test]
fn check_says_in_one_line_what_will_happen_on_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("innkeeper.toml");
    std::fs::write(folder.path().join("pw"), "hunter2").unwrap();
    let base =
        "[service.meet]\nurl = \"wss://m.example/xmpp-websocket\"\ndomain = \"meet.jitsi\"\nmuc = \"muc.meet.jitsi\"\n";
    let account = "account = \"host\"\npassword_file = \"pw\"\n";
    for (more, wanted) in [
        (
            account.to_owned(),
            "WebSocket over TLS; host@meet.jitsi by SCRAM; asks focus.meet.jitsi, which gives the login its session-id; joins rooms at muc.meet.jitsi; up to 50 rooms a session",
        ),
        (
            format!("{account}login = \"guest\"\nguest_domain = \"guest.meet.jitsi\"\nrooms_per_session = 1"),
            "WebSocket over TLS; ANONYMOUS on guest.meet.jitsi, made moderator by a session-id that host@meet.jitsi fetches by SCRAM; asks focus.meet.jitsi; joins rooms at muc.meet.jitsi; one room a session, named in its URL",
        ),
        (
            "login = \"token\"\napp_id = \"a\"\nsecret_file = \"pw\"".to_owned(),
            "WebSocket over TLS; ANONYMOUS on meet.jitsi with a fresh token in the URL each time; asks focus.meet.jitsi, which gives the login its session-id; joins rooms at muc.meet.jitsi; up to 50 rooms a session",
        ),
        (
            "login = \"anonymous\"\nfocus = false".to_owned(),
            "WebSocket over TLS; ANONYMOUS on meet.jitsi; no focus; joins rooms at muc.meet.jitsi; up to 50 rooms a session",
        ),
    ] {
        std::fs::write(&file, format!("{base}{more}\n")).unwrap();
        let check = |json: &[&str]| {
            let ran = std::process::Command::new(env!("CARGO_BIN_EXE_innkeeper"))
                .args(["check", "--config"])
                .arg(&file)
                .args(json)
                .output()
                .unwrap();
            String::from_utf8(ran.stdout).unwrap()
        };
        let shown = check(&[]);
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(wanted), "{shown}");
        let json: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
        assert_eq!(json["services"][0]["flow"], wanted);
        assert!(!shown.contains("hunter2"));
    }
}

#[test]
fn check_shows_problems_like_a_compiler_and_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rooms.d")).unwrap();
    std::fs::write(folder.path().join("pw"), "hunter2").unwrap();
    std::fs::write(folder.path().join("innkeeper.toml"), service("").replace("bare", "pw")).unwrap();
    let room = folder.path().join("rooms.d/tavern.toml");
    std::fs::write(&room, "[[room]]\nname = \"tavern\"\nservice = \"meat\"\n").unwrap();
    let check = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        command.arg("check").arg("--config").arg(folder.path().join("innkeeper.toml")).args(more).output().unwrap()
    };
    let output = check(&[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    let wanted = "rooms.d/tavern.toml:3: service: no service is called \"meat\"; expected \"meet\" (did you mean that?)\n   |\n 3 | service = \"meat\"\n   |           ^^^^^^\n";
    assert!(text.starts_with(wanted), "{text}");
    let output = check(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["problems"][0]["line"].as_u64(), json["problems"][0]["key"].as_str()), (Some(3), Some("service")));

    std::fs::write(&room, "[[room]]\nname = \"tavern\"\nservice = \"meet\"\n").unwrap();
    let output = check(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("tavern") && text.contains("rooms.d/tavern.toml:1") && !text.contains("hunter2"), "{text}");
    assert!(!String::from_utf8(check(&["--json"]).stdout).unwrap().contains("hunter2"));
}

#[test]
fn a_wrong_configuration_opens_nothing_and_a_wrong_command_line_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_innkeeper")).args(args).output().unwrap();
    let path = folder.path().join("innkeeper.toml");
    let state = folder.path().join("state");
    std::fs::write(&path, format!("state_dir = {state:?}\ncolour = 1\n")).unwrap();
    assert_eq!(run(&["run", "--config", path.to_str().unwrap()]).status.code(), Some(78));
    assert!(!state.exists());
    assert_eq!(run(&["run", "--config", "/nonexistent/innkeeper.toml"]).status.code(), Some(78));
    assert_eq!(run(&["dance"]).status.code(), Some(64));
    assert_eq!(run(&[]).status.code(), Some(64));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    let absent = run(&["rooms", "--socket", "/nonexistent/control.sock"]);
    assert_eq!(absent.status.code(), Some(69));
    let text = String::from_utf8(absent.stderr).unwrap();
    assert_eq!(
        text,
        "innkeeper: no innkeeper is listening on /nonexistent/control.sock; is it running? `systemctl status innkeeper` tells\n"
    );
}

#[test]
fn http_is_off_unless_it_is_asked_for_and_on_loopback_unless_that_is_asked_for() {
    assert_eq!(accepted("").http, None);
    let http = accepted("[http]").http.unwrap();
    assert_eq!(
        (http.listen, http.tls, http.behind_proxy),
        (Listen::Tcp("127.0.0.1:8300".parse().unwrap()), None, false)
    );
    let http = accepted("[http]\nlisten = \"unix:http.sock\"").http.unwrap();
    assert_eq!(http.listen, Listen::Unix("/etc/innkeeper/http.sock".into()));
    let public = "[http]\nlisten = \"[::]:443\"\n";
    let found = problems(public);
    assert!(found[0].contains("innkeeper.toml:2") && found[0].contains("http.listen"), "{found:?}");
    assert!(found[0].contains("unencrypted") && found[0].contains("behind_proxy = true"), "{found:?}");
    assert!(accepted(&format!("{public}behind_proxy = true")).http.is_some_and(|http| http.behind_proxy));
    let tls = accepted(&format!("{public}tls_cert = \"ca.pem\"\ntls_key = \"key.pem\"")).http.unwrap().tls;
    assert_eq!(tls, Some(("/etc/innkeeper/ca.pem".into(), "/etc/innkeeper/key.pem".into())));
    let found = problems("[http]\ntls_cert = \"ca.pem\"");
    assert!(found[0].contains("tls_cert without tls_key"), "{found:?}");
    let credential = "[http]\ntls_cert = \"ca.pem\"\ntls_key = \"/run/credentials/innkeeper.service/http-key\"";
    assert!(problems(credential)[0].contains("no such file"), "the daemon has no key");
    let file = File { name: "innkeeper.toml".into(), text: credential.into() };
    let input =
        Input { files: vec![file], env: Vec::new(), base: "/etc/innkeeper".into(), offline: true, secrets: &memory() };
    let checked = config::check(&input).expect("as good as can be seen from outside the service");
    assert!(checked.warnings.iter().any(|one| one.contains("http-key was not looked at")), "{:?}", checked.warnings);
    let found = problems("[http]\ntls_cert = \"key.pem\"\ntls_key = \"nowhere\"");
    assert!(found[0].contains("no certificate in it") && found[1].contains("no such file"), "{found:?}");
}

#[test]
fn a_token_of_http_has_a_name_a_secret_scopes_and_rooms() {
    let token = |more: &str| format!("[http]\n[[http.token]]\n{more}\n");
    let good = "name = \"games\"\nfile = \"games.token\"\nscopes = [\"rooms\", \"read\", \"read\"]\nrooms = \"Game-*\"";
    let http = accepted(&token(good)).http.unwrap();
    let games = &http.tokens[0];
    assert_eq!((games.name.as_str(), games.secret.expose()), ("games", "correct-horse-battery-staple"));
    assert_eq!(games.rights.scopes, [Scope::Read, Scope::Rooms]);
    assert!(games.rights.rooms.matches("meet", "game-1") && !games.rights.rooms.matches("meet", "tavern"));
    for (text, expected) in [
        (token(""), "http.token.name: missing"),
        (token(&good.replace("games.token", "bare")), "a token that can be guessed"),
        (token(&good.replace("rooms\",", "room\",")), "\"rooms\" (did you mean that?)"),
        (token(&good.replace("[\"rooms\", \"read\", \"read\"]", "[]")), "http.token.scopes: empty"),
        (token(&good.replace("file = \"games.token\"", "")), "the token has no secret"),
        (token(&good.replace("file", "token")), "http.token.token: unknown key"),
        (token(good) + "[[http.token]]\n" + good, "another token is called \"games\""),
        (token(good) + "[[http.token]]\n" + &good.replace("\"games\"", "\"g2\""), "another token is the same"),
        (format!("[[http.token]]\n{good}\n[http]\nlisten = \"here\""), "no address with a port"),
        (format!("[http]\n[http.token]\n{good}"), "with two brackets"),
        ("[http]\nlissten = \"x\"".to_owned(), "listen (did you mean that?)"),
        (
            "[http]\n[[http.tokn]]\nname = \"x\"".to_owned(),
            "http.tokn: unknown key; expected token (did you mean that?)",
        ),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn a_line_meets_a_game_server_on_this_machine_or_with_tls() {
    let line =
        |more: &str| format!("[[line]]\nname = \"game\"\nfile = \"games.token\"\nscopes = [\"rooms\"]\n{more}\n");
    let read = |more: &str| accepted(&line(more)).lines.remove(0);
    let listen = read("listen = \"127.0.0.1:8310\"\nrooms = \"game-*\"");
    assert_eq!(listen.place, Place::Listen { listen: Listen::Tcp("127.0.0.1:8310".parse().unwrap()), tls: None });
    assert!(listen.rights.rooms.matches("meet", "game-1") && !listen.rights.rooms.matches("meet", "tavern"));
    assert!(!format!("{listen:?}").contains("correct-horse"), "{listen:?}");
    for (text, shown) in [
        ("127.0.0.1:8311", "127.0.0.1:8311"),
        ("localhost:8311", "localhost:8311"),
        ("unix:game.sock", "unix:/etc/innkeeper/game.sock"),
        ("tls://game.example:8311", "tls://game.example:8311"),
    ] {
        let Place::Dial(dial) = read(&format!("dial = {text:?}")).place else { panic!("{text}") };
        assert_eq!(dial.to_string(), shown);
    }
    let tls = "listen = \"0.0.0.0:8310\"\ntls_cert = \"ca.pem\"\ntls_key = \"key.pem\"";
    assert!(matches!(read(tls).place, Place::Listen { tls: Some(_), .. }));
    let second = "[[line]]\nname = \"two\"\nfile = \"bare\"\nscopes = [\"rooms\"]\nlisten = \"127.0.0.1:1\"\n";
    for (text, expected) in [
        (line(""), "line.listen: neither listen nor dial"),
        (line("listen = \"127.0.0.1:1\"\ndial = \"127.0.0.1:2\""), "line.dial: both listen and dial"),
        (line("listen = \"0.0.0.0:8310\""), "the secret would travel unencrypted"),
        (line("dial = \"game.example:8311\""), "on another machine, and without TLS"),
        (line("dial = \"127.0.0.1\""), "no address with a port"),
        (line("dial = \"127.0.0.1:1\"\ntls_key = \"key.pem\""), "of no use with dial"),
        (line("listen = \"127.0.0.1:1\"\nca_file = \"ca.pem\""), "of no use with listen"),
        (line("listen = \"127.0.0.1:1\"").replace("games.token", "bare"), "a token that can be guessed"),
        (line("listen = \"127.0.0.1:1\"\nport = 1"), "line.port: unknown key"),
        (line("listen = \"127.0.0.1:1\"").repeat(2), "another line is called \"game\" already"),
        (line("listen = \"127.0.0.1:1\"") + &second.replace("bare", "games.token"), "has the same secret"),
        ("[line]\nname = \"game\"".to_owned(), "[[line]], with two brackets"),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn an_authority_decides_about_certain_rooms_and_is_asked_by_a_line_or_a_callback() {
    let line = "[[line]]\nname = \"game\"\nfile = \"games.token\"\nscopes = [\"rooms\"]\nlisten = \"127.0.0.1:1\"\n";
    let of = |more: &str| {
        service("") + line + "[[authority]]\nname = \"story\"\nservice = \"meet\"\nrooms = \"game-*\"\n" + more + "\n"
    };
    let story = accepted(&of("line = \"game\"")).authorities.remove(0);
    assert_eq!((&story.asked, &story.limits), (&Asked::Line("game".into()), &Limits::default()));
    assert!(story.rules("meet", "game-hall") && !story.rules("meet", "tavern") && !story.rules("x", "game-hall"));
    let callback = "url = \"https://game.example/who\"\nfile = \"games.token\"\nallow_private = true";
    let limits = "time_limit = \"1s\"\non_failure = \"open\"\ncache = \"0s\"\nmay_grant = true";
    let story = accepted(&of(&format!("{callback}\n{limits}"))).authorities.remove(0);
    assert!(matches!(story.asked, Asked::Http { allow_private: true, .. }) && !format!("{story:?}").contains("horse"));
    assert_eq!(
        (story.limits.fallback, story.limits.cache, story.limits.may_grant),
        (Fallback::Open, Duration::ZERO, true)
    );
    let token = "[http]\n[[http.token]]\nname = \"games\"\nfile = \"game.secret\"\nscopes = [\"rooms\"]\n";
    let config = accepted(&(of("line = \"game\"\ntoken = \"games\"") + token));
    let bearer = &config.http.as_ref().expect("configured").tokens[0];
    for (who, rights) in [("the line", &config.lines[0].rights), ("the bearer of its token", &bearer.rights)] {
        let may = |name: &str| rights.rooms.matches("meet", name);
        assert!(may("game-hall") && !may("tavern"), "{who} acts in the authority's rooms only");
    }
    for (text, expected) in [
        (of(""), "authority.url: neither url nor line"),
        (of("line = \"gmae\""), "\"gmae\" is unknown; expected \"game\""),
        (of("line = \"game\"\nfile = \"bare\""), "of no use with line"),
        (of("line = \"game\"\nurl = \"https://x/\""), "both url and line"),
        (of("url = \"https://x/\""), "no secret to sign questions with"),
        (of("url = \"http://game.example/\"\nfile = \"bare\""), "without TLS, and on another machine"),
        (of("url = \"https://me:pw@x/\"\nfile = \"bare\""), "a URL with a user"),
        (of("line = \"game\"\ntoken = \"games\""), "\"games\" is unknown; expected one that is configured"),
        (of("line = \"game\"\non_failure = \"maybe\""), "\"last\", \"closed\" or \"open\""),
        (of("line = \"game\"\ntime_limit = \"1h\""), "authority.time_limit"),
        (of("line = \"game\"").replace("rooms = \"game-*\"", ""), "authority.rooms: missing"),
        (of("line = \"game\"").replace("\"game-*\"", "\"meet/game-*\""), "with a slash"),
        (
            of("line = \"game\"").replace("service = \"meet\"\nrooms", "service = \"meat\"\nrooms"),
            "\"meat\" is unknown",
        ),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn an_authority_at_the_lobby_has_its_rooms_keep_one_and_says_where_there_can_be_none() {
    let line = "[[line]]\nname = \"game\"\nfile = \"games.token\"\nscopes = [\"rooms\"]\nlisten = \"127.0.0.1:1\"\n";
    let of = |service: &str, gate: &str, more: &str| {
        let authority = "[[authority]]\nname = \"story\"\nservice = \"meet\"\nrooms = \"game-*\"\nline = \"game\"";
        format!("{}{line}{authority}\ngate = {gate:?}\n{more}", self::service(service))
    };
    let room = |name: &str, more: &str| format!("[[room]]\nservice = \"meet\"\nname = {name:?}\n{more}\n");
    let both = room("game-hall", "") + &room("tavern", "");
    let config = accepted(&of("", "lobby", &both));
    assert_eq!(config.authorities[0].gate, Gate::Lobby);
    let lobby = |key: &RoomKey| {
        let written = config.rooms.get(key).and_then(|room| room.moderated.clone());
        config.moderated(key, written).and_then(|moderated| moderated.locked.lobby)
    };
    let key = |name: &str| RoomKey::new("meet", name);
    assert_eq!(
        (lobby(&key("game-hall")), lobby(&key("tavern")), lobby(&key("game-late"))),
        (Some(true), None, Some(true))
    );
    assert_eq!(config.rooms[&key("game-hall")].moderated.as_ref().and_then(|one| one.locked.lobby), Some(true));
    let after = accepted(&of("", "after", &both));
    assert_eq!((after.authorities[0].gate, &after.rooms[&key("game-hall")].moderated), (Gate::After, &None));
    for (text, expected) in [
        (
            of("focus = false", "lobby", ""),
            "service meet is plain XMPP, without a focus, so that its rooms have no lobby",
        ),
        (of("", "lobby", &room("game-hall", "lobby = false")), "room \"game-hall\" in innkeeper.toml"),
        (of("", "lobby", "[defaults]\nlobby = false"), "[defaults] says lobby = false"),
        (of("", "door", ""), "\"after\" or \"lobby\""),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn an_avchat_dials_a_game_and_makes_tokens_of_a_service_that_signs_them() {
    let service = "[service.meet]\nurl = \"wss://m.example/xmpp-websocket\"\ndomain = \"meet.jitsi\"\nlogin = \"token\"\napp_id = \"a\"\nsecret_file = \"bare\"\n";
    let of = |more: &str| format!("{service}[[avchat]]\nname = \"skotos\"\nservice = \"meet\"\n{more}\n");
    let good = "dial = \"127.0.0.1:10091\"\nrooms = \"jitsi_*\"";
    let game = accepted(&of(good)).avchats.remove(0);
    assert_eq!((game.default_room.as_str(), game.token_life), ("jitsi_chat_default", Duration::from_secs(3600)));
    assert!(!game.may_grant && !game.accept_owner);
    let direct = "[service.meet]\ndomain = \"meet.jitsi\"\naccount = \"a\"\npassword_file = \"bare\"\n";
    for (text, expected) in [
        (of(""), "avchat.dial: missing"),
        (of(&good.replace("jitsi_*", "*")), "a token is never for all"),
        (of(&good.replace("127.0.0.1", "game.example")), "on another machine, and without TLS"),
        (of(&format!("{good}\ntoken_life = \"9h\"")), "avchat.token_life"),
        (of(&format!("{good}\ndefault_room = \"a b\"")), "no room's name"),
        (of(&format!("{good}\ndefault_room = \"hall\"")), "avchat.default_room: \"hall\" is none of its rooms"),
        (of(good).replace(service, direct), "it has nothing to sign tokens with"),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn the_first_attempts_configuration_becomes_ours_and_is_told_what_was_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("config.json");
    let text = r#"{"service":"wss://meet.example.org/xmpp-websocket","domain":"meet.jitsi","connectUser":"skotosadmin","connectPassword":"S00per \"S3krit","colour":1}"#;
    std::fs::write(&old, text).unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        let output =
            command.args(["migrate", "skotos-jitsi-admin"]).arg(&old).arg("--out").arg(folder.path().join("new"));
        let output = output.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, wrong) = run();
    assert_eq!((code, wrong.as_str()), (Some(0), ""), "{told}");
    assert!(told.contains("connectUser and connectPassword were never used before"), "{told}");
    assert!(told.contains("\"colour\" was never read") && !told.contains("S3krit"), "{told}");
    let config = app::load(&folder.path().join("new/innkeeper.toml"), false).unwrap();
    let meet = &config.services["meet"];
    assert!(
        matches!(&meet.login, Login::Direct { account, password } if account == "skotosadmin" && password.expose() == "S00per \"S3krit")
    );
    assert_eq!((meet.domain.as_str(), meet.muc.as_deref()), ("meet.jitsi", None));
    let (code, _, wrong) = run();
    assert!(code == Some(1) && wrong.contains("is there already"), "{wrong}");
    std::fs::write(&old, "{\"connectPassword\": S00per}").unwrap();
    let (code, _, wrong) = run();
    assert!(code == Some(1) && wrong.contains("not a JSON object") && !wrong.contains("S00per"), "{wrong}");
}

/// A service, a room and what is given.
fn with_room(rest: &str) -> String {
    service("") + "[[room]]\nservice = \"meet\"\nname = \"library\"\n" + rest
}

#[test]
fn a_room_has_the_rules_of_all_its_policies_and_the_later_one_wins() {
    use innkeeper::policy::{Measure, Mode, Sanction};
    let config = accepted(&with_room(
        "[[policy]]\nrooms = \"*\"\nexempt = [\"a@b.example\"]\n[policy.flood]\n[policy.words]\nfile = \"words.txt\"\n[[policy]]\nservice = \"meet\"\nrooms = [\"lib*\"]\nmode = \"enforce\"\nexempt = [\"c@d.example\"]\n[policy.words]\nwords = [\"x\"]\naction = \"kick\"\n[policy.welcome]\nmode = \"dry-run\"\n[policy.strikes]\nsteps = [\"kick\"]\n",
    ));
    let plans = config.policies.plans("meet", "library").unwrap();
    let modes: Vec<_> = plans.rules.values().map(|rule| (rule.kind.name, rule.mode)).collect();
    assert_eq!(modes, [("flood", Mode::DryRun), ("welcome", Mode::DryRun), ("words", Mode::Enforce)]);
    assert_eq!(plans.rules["words"].measure, Measure::At(Sanction::Kick));
    assert_eq!(plans.steps.steps, [Sanction::Kick]);
    assert_eq!(plans.exempt.accounts.len(), 2);
    assert_eq!(config.policies.plans("meet", "tavern").unwrap().rules.len(), 2);
    let rooms = [(1, "meet", "library"), (2, "meet", "tavern"), (3, "meet", "liberty")];
    let shared = config.policies.share(rooms);
    assert!(std::sync::Arc::ptr_eq(&shared[0].1, &shared[2].1) && !std::sync::Arc::ptr_eq(&shared[0].1, &shared[1].1));
}

#[test]
fn a_policy_is_the_same_after_a_reload_and_another_when_it_changed() {
    let text =
        |messages: u32| with_room(&format!("[[policy]]\nrooms = \"library\"\n[policy.flood]\nmessages = {messages}\n"));
    assert_eq!(accepted(&text(3)), accepted(&text(3)));
    assert_ne!(accepted(&text(3)).policies, accepted(&text(4)).policies);
}

#[test]
fn a_policy_that_no_room_has_is_a_warning() {
    let config = accepted(&with_room("[[policy]]\nrooms = [\"class-*\", \"x\"]\n[policy.flood]\n"));
    let expected = "innkeeper.toml:9: no room is called \"class-*\" or \"x\"";
    assert!(config.warnings.iter().any(|warning| warning == expected), "{:?}", config.warnings);
}

#[test]
fn every_mistake_in_a_policy_has_its_line_key_and_words() {
    let all = problems(&with_room(
        "[[policy]]\nrooms = \"library\"\nmode = \"strict\"\nverified_tokens = 1\n[policy.flod]\n[policy.flood]\nmesages = 3\npresences = \"many\"\nper = \"soon\"\nmode = \"hard\"\naction = \"hang\"\n[policy.strikes]\nsteps = [\"warn\", \"hang\"]\n[policy.words]\nfile = \"none.txt\"\n[policy.name_pattern]\nmust = ['(a']\n[policy.hours]\nopen = [\"never\"]\n[policy.moderators]\nallow = [\"alice\"]\n[policy.welcome]\naction = \"kick\"\ntext = \"Hello {nick}\"\n[[policy]]\nservice = \"meat\"\nexempt = [\"x\"]\nguest_domains = [\"a b\"]\n",
    ));
    let shown = all.join("\n");
    for expected in [
        "innkeeper.toml:11: policy.mode: \"strict\" is unknown; expected \"dry-run\" or \"enforce\"",
        "innkeeper.toml:12: policy.verified_tokens: a number; expected true or false",
        "innkeeper.toml:13: policy.flod: unknown key; expected flood (did you mean that?)",
        "innkeeper.toml:15: policy.flood.mesages: unknown key; expected messages (did you mean that?)",
        "innkeeper.toml:16: policy.flood.presences: a string; expected how many presences",
        "innkeeper.toml:17: policy.flood.per: \"soon\" is no duration; expected",
        "innkeeper.toml:18: policy.flood.mode: \"hard\" is unknown; expected",
        "innkeeper.toml:19: policy.flood.action: \"hang\" is nothing that can be done to somebody; expected \"strike\"",
        "innkeeper.toml:21: policy.strikes.steps: \"hang\" is nothing",
        "innkeeper.toml:23: policy.words.file: none.txt: no such file; expected a file",
        "innkeeper.toml:25: policy.name_pattern.must: '(a' is no regular expression: unclosed group",
        "innkeeper.toml:27: policy.hours.open: \"never\" is no time of a week; expected",
        "innkeeper.toml:29: policy.moderators.allow: \"alice\" is no account; expected",
        "innkeeper.toml:31: policy.welcome.action: unknown key; expected one of text, private, mode",
        "innkeeper.toml:32: policy.welcome.text: {nick} stands for nothing; expected what is said",
        "innkeeper.toml:34: policy.service: no service is called \"meat\"; expected \"meet\" (did you mean that?)",
        "policy.rooms: missing; expected a room's name",
        "innkeeper.toml:35: policy.exempt: \"x\" is no account; expected a bare JID",
        "innkeeper.toml:36: policy.guest_domains: \"a b\" is no domain; expected domains",
    ] {
        assert!(
            all.iter().any(|problem| problem.starts_with(expected) || problem.contains(expected)),
            "{expected}\n in\n{shown}"
        );
    }
    assert_eq!(all.len(), 19, "{shown}");
}

#[test]
fn what_can_not_be_read_is_not_said_to_be_missing_as_well() {
    let found = problems(&with_room("[[policy]]\nrooms = \"library\"\n[policy.name_pattern]\nmust = \"a\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("innkeeper.toml:12: policy.name_pattern.must: a string; expected a list"),
        "{found:?}"
    );
}

#[test]
fn settings_that_are_to_stay_are_read_for_a_room_and_by_default() {
    use innkeeper::room::settings::OnDrift;
    use innkeeper::xmpp::jitsi::mute::Medium;

    let text = "[defaults]\nlobby = true\nchat_commands = true\non_drift = \"report\"\n".to_owned()
        + &service("")
        + "[[room]]\nservice = \"meet\"\nname = \"a\"\nlobby = false\nav_moderation = [\"audio\"]\n\
           start_muted = [\"video\"]\nmax_occupants = 5\nform = [\"muc#roomconfig_roomname=A = B\", \
           \"{xmpp:prosody.im}muc#allow_modpm=1\"]\n\
           chat_accounts = [\"ann@meet.jitsi\"]\non_drift = \"restore\"\n[[room]]\nservice = \"meet\"\nname = \"b\"";
    let config = accepted(&text);
    let moderated = |name| config.rooms[&RoomKey::new("meet", name)].moderated.clone().expect("something is wanted");
    let a = moderated("a");
    assert_eq!(
        (a.locked.lobby, a.locked.max_occupants, a.locked.start_muted),
        (Some(false), Some(5), Some((false, true)))
    );
    assert_eq!(a.locked.av_moderation.get(&Medium::Audio), Some(&true));
    assert_eq!(a.locked.av_moderation.get(&Medium::Video), Some(&false));
    assert_eq!(a.locked.fields.get("muc#roomconfig_roomname").map(AsRef::as_ref), Some("A = B"));
    assert_eq!(a.locked.fields.get("{xmpp:prosody.im}muc#allow_modpm").map(AsRef::as_ref), Some("1"));
    assert_eq!((a.locked.on_drift, a.chat.moderators, a.chat.accounts.len()), (OnDrift::Restore, true, 1));
    let b = moderated("b");
    assert_eq!((b.locked.lobby, b.locked.on_drift), (Some(true), OnDrift::Report));
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_with_its_place() {
    let room = |line: &str| service("") + &format!("[[room]]\nservice = \"meet\"\nname = \"a\"\n{line}\n");
    for (line, what) in [
        ("lobby = \"on\"", "true or false"),
        ("lobby = true\nmembers_only = false", "one setting"),
        ("av_moderation = [\"sound\"]", "\"audio\", \"video\" or \"desktop\""),
        ("start_muted = true", "a list"),
        ("max_occupants = 0", "from 1 to 100000"),
        ("form = [\"muc#roomconfig_roomsecret=x\"]", "a key of its own"),
        ("form = [\"roomname\"]", "no field"),
        ("chat_accounts = [\"ann\"]", "bare JID"),
        ("on_drift = \"lock\"", "\"restore\", \"report\" or \"ignore\""),
    ] {
        let problems = problems(&room(line));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert!(problems[0].contains(what) && problems[0].contains("innkeeper.toml:"), "{line}: {problems:?}");
    }
}

#[test]
fn reservations_are_answered_on_this_machine_unless_networks_are_named() {
    let of = |more: &str| service("") + "[[reservations]]\nservice = \"meet\"\n" + more + "\n";
    let local = accepted(&of("listen = \"127.0.0.1:8320\"")).reservations.remove(0);
    assert_eq!((local.allow.len(), local.reveal_password), (0, false));
    let wide = "listen = \"0.0.0.0:8320\"\nallow = [\"172.18.0.0/16\"]\nreveal_password = true";
    let wide = accepted(&of(wide)).reservations.remove(0);
    assert!(wide.reveal_password && wide.allow[0].contains("172.18.3.4".parse().unwrap()));
    assert_eq!(accepted(&service("")).reservations, []);
    for (text, expected) in [
        (of(""), "reservations.listen: missing"),
        (of("listen = \"0.0.0.0:8320\""), "nobody has to prove who they are"),
        (of("listen = \"[::]:8320\"\nallow = []"), "nobody has to prove who they are"),
        (of("listen = \"127.0.0.1:8320\"\nallow = [\"10.0.0.0/33\"]"), "is no network"),
        (of("listen = \"127.0.0.1:8320\"\nallow = \"10.0.0.0/8\""), "expected a list"),
        (of("listen = \"127.0.0.1:8320\"").replace("service = \"meet\"", "service = \"other\""), "expected \"meet\""),
        (
            of("listen = \"127.0.0.1:8320\"\n[[reservations]]\nservice = \"meet\"\nlisten = \"127.0.0.1:8320\""),
            "another [[reservations]] listens there",
        ),
        (of("listen = \"127.0.0.1:8300\"\n[http]"), "reservations.listen: [http] listens there"),
        (
            of(
                "listen = \"[::]:8310\"\nallow = [\"::/0\"]\n[[line]]\nname = \"l\"\nlisten = \"127.0.0.1:8310\"\nfile = \"line\"",
            ),
            "[[line]] listens there; expected an address for each",
        ),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}: {found}\n{text}");
    }
}

#[test]
fn a_webhook_says_where_it_is_and_with_what_it_is_signed() {
    let config = accepted(
        "[[webhook]]\nname = \"crm\"\nurl = \"https://crm.example.org/hooks\"\nfile = \"webhook.secret\"\n\
         [[webhook]]\nname = \"count\"\nurl = \"http://127.0.0.1:8080\"\ndialect = \"reflector\"\nfile = \"odd.secret\"\nallow_private = true\n\
         [[webhook]]\nname = \"old\"\nurl = \"https://old.example.org\"\ndialect = \"event_sync\"\nkinds = [\"occupant.*\"]\n",
    );
    let modes: Vec<_> = config.webhooks.values().map(|webhook| (webhook.name.as_str(), webhook.on_unknown)).collect();
    assert_eq!(modes, [("count", OnUnknown::Skip), ("crm", OnUnknown::Retry), ("old", OnUnknown::Retry)]);
    assert!(config.webhooks["old"].secret.is_none() && !format!("{config:?}").contains("horse-battery"));

    let webhook = |lines: &str| problems(&format!("[[webhook]]\nname = \"a\"\n{lines}\n")).join("\n");
    let signed = |lines: &str| webhook(&format!("file = \"webhook.secret\"\n{lines}"));
    for (wrong, says) in [
        (signed(""), "innkeeper.toml:1: webhook.url: missing"),
        (signed("url = \"http://crm.example.org\""), "innkeeper.toml:4: webhook.url: http: without TLS"),
        (signed("url = \"https://10.0.0.1/x\""), "webhook.url: 10.0.0.1 is a private address; expected allow_private"),
        (signed("url = \"https://[::1]/x\""), "webhook.url: [::1] is a private address"),
        (signed("url = \"https://u:p@crm.example.org\""), "webhook.url: a user or password in the address"),
        (signed("url = \"ftp://crm.example.org\""), "webhook.url: no address of the web"),
        (signed("url = \"https://a.example\"\ndialect = \"xml\""), "webhook.dialect: \"xml\" is unknown"),
        (
            signed("url = \"https://a.example\"\nkinds = [\"occupant.join\"]"),
            "\"occupant.joined\" (did you mean that?)",
        ),
        (signed("url = \"https://a.example\"\ntimeout = \"1h\""), "webhook.timeout: \"1h\" is out of bounds"),
        (webhook("url = \"https://a.example\""), "webhook.file: nothing to sign with"),
        (webhook("url = \"https://a.example\"\nfile = \"nowhere\""), "webhook.file: /etc/innkeeper/nowhere"),
        (webhook("url = \"https://a.example\"\nsecret = \"x\""), "webhook.secret: unknown key"),
        (
            webhook("url = \"https://a.example\"\nfile = \"odd.secret\""),
            "webhook.file: a secret that is not what its beginning says; expected Base64 behind whsec_",
        ),
    ] {
        assert!(wrong.contains(says), "{says}: {wrong}");
    }
    let twice = "[[webhook]]\nname = \"a\"\nurl = \"https://a.example\"\nfile = \"webhook.secret\"\n".repeat(2);
    assert!(problems(&twice).join("").contains("webhook.name: another webhook is called \"a\" already"));
}
