//! Our tokens under somebody else's eyes: Python's `hmac` and openssl check what we sign.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use innkeeper::config::Secret;
use innkeeper::token::{Claims, Key, Signing, User, mint};

const SECRET: &str = "a shared secret with ümlauts";

fn claims() -> Claims {
    Claims {
        audience: "jitsi".to_owned(),
        issuer: "app".to_owned(),
        subject: "meet.jitsi".to_owned(),
        room: "tavern".to_owned(),
        life: Duration::from_secs(300),
        user: User {
            id: "innkeeper".to_owned(),
            name: "Innkeeper".to_owned(),
            moderator: true,
            email: None,
            avatar: None,
        },
    }
}

fn header(token: &str) -> serde_json::Value {
    let header = BASE64.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// Runs a program that must be there, and says whether it was content.
fn content(command: &mut Command) -> bool {
    let program = command.get_program().to_owned();
    let ran = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; apt-get install python3 openssl", program.display());
    });
    ran.status.success()
}

/// Python's own HMAC over the first two parts equals the third.
fn python_agrees(token: &str, hash: &str, secret: &str) -> bool {
    let script = "import base64, hashlib, hmac, sys\n\
        token, name, secret = sys.argv[1:]\n\
        head, _, signature = token.rpartition('.')\n\
        made = hmac.new(secret.encode(), head.encode(), getattr(hashlib, name)).digest()\n\
        sys.exit(base64.urlsafe_b64encode(made).rstrip(b'=').decode() != signature)";
    content(Command::new("python3").args(["-c", script, token, hash, secret]))
}

#[test]
fn tokens_of_a_shared_secret_verify_in_python() {
    for (signing, name, hash) in
        [(Signing::Hs256, "HS256", "sha256"), (Signing::Hs384, "HS384", "sha384"), (Signing::Hs512, "HS512", "sha512")]
    {
        let key = Key::shared(signing, Secret::new(SECRET));
        let token = mint(&key, &claims(), Duration::from_secs(1_800_000_000)).unwrap();
        assert!(python_agrees(token.expose(), hash, SECRET), "{name}");
        assert!(!python_agrees(token.expose(), hash, &format!("{SECRET}\n")), "{name}: a line end is another secret");
        assert_eq!((&header(token.expose())["alg"], &header(token.expose())["typ"]), (&name.into(), &"JWT".into()));
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    content(Command::new("openssl").current_dir(folder).args(arguments))
}

#[test]
fn tokens_of_a_key_pair_verify_in_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(openssl(folder, &["genrsa", "-out", "pkcs8.pem", "2048"]));
    assert!(openssl(folder, &["rsa", "-in", "pkcs8.pem", "-traditional", "-out", "pkcs1.pem"]));
    assert!(openssl(folder, &["rsa", "-in", "pkcs8.pem", "-pubout", "-out", "public.pem"]));
    for file in ["pkcs8.pem", "pkcs1.pem"] {
        let pem = std::fs::read_to_string(folder.join(file)).unwrap();
        let key = Key::rsa(Secret::new(pem), Some("inn/2026".to_owned())).unwrap();
        let token = mint(&key, &claims(), Duration::from_secs(1_800_000_000)).unwrap();
        assert_eq!(
            (&header(token.expose())["alg"], &header(token.expose())["kid"]),
            (&"RS256".into(), &"inn/2026".into())
        );
        let (signed, signature) = token.expose().rsplit_once('.').unwrap();
        std::fs::write(folder.join("signature"), BASE64.decode(signature).unwrap()).unwrap();
        let verifies = |signed: &str| {
            std::fs::write(folder.join("signed"), signed).unwrap();
            openssl(folder, &["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"])
        };
        assert!(verifies(signed), "{file}");
        assert!(!verifies(&format!("{signed}x")), "{file}: another text");
    }
    assert!(openssl(folder, &["genrsa", "-out", "short.pem", "1024"]));
    let short = std::fs::read_to_string(folder.join("short.pem")).unwrap();
    assert!(Key::rsa(Secret::new(short), None).is_err(), "a key that is too short to be safe");
}
