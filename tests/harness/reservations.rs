//! Rooms that a reservation service grants and ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use super::support::prosody::{DOMAIN, GUESTS};
use super::*;

/// What the service was asked: method, path and body, joined by blanks.
type Asked = Arc<Mutex<Vec<String>>>;

/// A reservation service that `answers` with a code and a body. Ends with the process.
fn service(answers: impl Fn(&str) -> (u16, String) + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = format!("http://{}/api", listener.local_addr().expect("a bound port"));
    let asked = Asked::default();
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let (mut first, mut length) = (String::new(), 0);
            let _ = reader.read_line(&mut first);
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                let lower = header.to_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap_or(0));
                header.clear();
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let words: Vec<&str> = first.split(' ').take(2).collect();
            let said = format!("{} {}", words.join(" "), String::from_utf8_lossy(&body));
            let (code, answer) = answers(said.trim());
            notes.lock().expect("no panic").push(said.trim().to_owned());
            let _ = write!(
                stream,
                "HTTP/1.1 {code} Said\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
        }
    });
    (url, asked)
}

/// A meeting of `name` that began `ago` seconds ago and lasts `duration`.
fn meeting(name: &str, ago: u64, duration: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", now - ago), "+%Y-%m-%dT%H:%M:%S.000Z"])
        .output()
        .expect("date is there");
    let start = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    serde_json::json!({
        "id": 7, "name": name, "mail_owner": "somebody@meet.jitsi", "start_time": start, "duration": duration,
        "password": "sesame"
    })
    .to_string()
}

#[test]
fn a_room_is_opened_as_the_reservation_service_says_and_ended_with_its_time() {
    let (url, asked) = service(|said| match said {
        said if said.starts_with("DELETE") => (200, String::new()),
        said if said.contains("name=tavern") => (200, meeting("tavern", 0, 4)),
        said if said.contains("name=taken") => (409, "{\"conflict_id\": 9}".into()),
        "GET /api/conference/9" => (200, meeting("taken", 0, 60)),
        said if said.contains("name=over") => (201, meeting("over", 60, 30)),
        said if said.contains("name=odd") => (200, "{\"id\": 1}".into()),
        said if said.contains("name=broken") => (503, "{\"message\": \"later\"}".into()),
        _ => (403, "{\"message\": \"not you\"}".into()),
    });
    let (prosody, _focus) = world(Options { reservations: Some(url), ..Options::default() });
    let mut keeper = Client::account(prosody.c2s(), ACCOUNT, PASSWORD);
    let mut refused = |name: &str| {
        let answer = keeper.conference(FOCUS, &room(name), "machine-1", "");
        assert_eq!(answer.condition(), "service-unavailable", "{name}: {answer:?}");
        let error = answer.child("error").expect("an error");
        let text = error.child("text").map(|text| text.text.clone()).unwrap_or_default();
        let code =
            error.child_ns("reservation-error", "http://jitsi.org/protocol/focus").expect("the reservation's error");
        (code.attr("error-code").to_owned(), text)
    };
    assert_eq!(refused("cellar"), ("403".into(), "not you".into()));
    let before = asked.lock().expect("no panic").len();
    assert_eq!(refused("cellar").0, "403");
    assert_eq!(asked.lock().expect("no panic").len(), before, "a refusal is remembered for a while");
    assert_eq!(refused("over"), ("419".into(), "Reservation expired".into()));
    assert_eq!(refused("odd").0, "500");
    assert_eq!(refused("broken"), ("503".into(), "later".into()));
    let broken = asked.lock().expect("no panic").iter().filter(|said| said.contains("name=broken")).count();
    assert_eq!(broken, 3, "tried three times");

    let taken = keeper.conference(FOCUS, &room("taken"), "machine-1", "");
    assert_eq!(conference(&taken).attr("ready"), "true", "a conflict that is the same meeting");
    let tavern = room("tavern");
    assert_eq!(conference(&keeper.conference(FOCUS, &tavern, "machine-1", "")).attr("ready"), "true");
    let posted = asked.lock().expect("no panic").iter().find(|said| said.contains("name=tavern")).cloned();
    let posted = posted.expect("a request");
    assert!(posted.starts_with("POST /api/conference ") && posted.contains("start_time=20"), "{posted}");
    assert!(posted.contains(&format!("mail_owner={ACCOUNT}%40{DOMAIN}")), "{posted}");
    assert_eq!(keeper.join(&tavern, "keeper").condition(), "not-authorized", "the reservation's password");
    keeper.send(&format!(
        "<presence to='{tavern}/keeper'><x xmlns='http://jabber.org/protocol/muc'><password>sesame</password></x></presence>"
    ));
    assert_eq!(keeper.own_presence(&tavern, "keeper").attr("type"), "");
    keeper.answer_disco(&tavern);
    // a room that exists is not asked for again, and a guest's domain never asks
    let count = asked.lock().expect("no panic").len();
    keeper.conference(FOCUS, &tavern, "machine-1", "");
    let mut guest = Client::anonymous(prosody.http(), "", GUESTS).expect("a login");
    assert_eq!(guest.conference(FOCUS, &room("cellar"), "machine-9", "").condition(), "not-authorized");
    assert_eq!(asked.lock().expect("no panic").len(), count);
    let end = keeper.expect("the end", Duration::from_secs(10), |node| node.muc().is_some_and(|muc| muc.destroyed));
    assert!(format!("{end:?}").contains("Scheduled conference duration exceeded."), "{end:?}");
    support::until("the reservation is given back", SOON, || {
        asked.lock().expect("no panic").iter().any(|said| said.starts_with("DELETE /api/conference/7")).then_some(())
    });
}
