//! The wire against a scripted server on loopback: one row for each way a connection or a login can fail, and what
//! works. Source: RFC 6120, RFC 7395, XEP-0198, RFC 5802.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use innkeeper::cause::{Cause, Word};
use innkeeper::config::{Endpoint, HostPort, Mechanism, Secret};
use innkeeper::runtime::handshake::{KeyCache, close, login};
use innkeeper::runtime::transport::{Deadlines, Target, Tls, Transport, connect, memory};
use innkeeper::session::UrlRoom;
use innkeeper::stream::{Bound, Derive, Frame, Hash, LastLogin, Plan, Resume, Security, TokenLogin};
use innkeeper::xml::{self, CLIENT, Element, Limits, Piece, Splitter};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sasl::common::scram::{ScramProvider, Sha1, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

// ── certificates

/// A certificate authority of our own, and the file that makes a client trust it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    fn tls(&self) -> Arc<Tls> {
        Arc::new(Tls::new(Some(self.folder.path().join("ca.pem"))))
    }

    /// A server with a certificate for `names`, signed by this authority after `change`.
    fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Server {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Server::new(certificate.der().clone(), &key, &[&rustls::version::TLS13])
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The TLS half of a server.
#[derive(Clone)]
struct Server(TlsAcceptor);

impl Server {
    fn new(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        // A server that talks something else must not be taken for ours.
        config.alpn_protocols = vec![b"xmpp-client".to_vec(), b"http/1.1".to_vec()];
        Server(TlsAcceptor::from(Arc::new(config)))
    }

    async fn accept<T: Io + 'static>(&self, io: T) -> (Box<dyn Io>, Option<[u8; 32]>) {
        let stream = self.0.accept(io).await.unwrap();
        let (_, connection) = stream.get_ref();
        let exporter = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok();
        (Box::new(stream), exporter)
    }
}

// ── a scripted server

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Listens on a free port and runs `script` for each connection.
async fn serve<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    address
}

/// What a client says.
enum Heard {
    Open,
    Element(Element),
    Close,
}

/// The server's end of a stream, over bytes or over messages.
enum Peer {
    Bytes { io: Box<dyn Io>, splitter: Splitter, heard: VecDeque<Heard> },
    Messages(Box<tokio_tungstenite::WebSocketStream<Box<dyn Io>>>),
}

impl Peer {
    fn bytes(io: Box<dyn Io>) -> Self {
        Peer::Bytes { io, splitter: Splitter::new(Limits::default()), heard: VecDeque::new() }
    }

    /// `None`: the client is gone.
    async fn hear(&mut self) -> Option<Heard> {
        match self {
            Peer::Messages(socket) => loop {
                match socket.next().await?.ok()? {
                    Message::Text(text) => {
                        let wide = Limits { stanza_bytes: usize::MAX, token_bytes: usize::MAX, ..Limits::default() };
                        return Some(match xml::parse_message(&text, &wide).unwrap() {
                            xml::Message::Open => Heard::Open,
                            xml::Message::Close => Heard::Close,
                            xml::Message::Element(element) => Heard::Element(element),
                        });
                    }
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
            Peer::Bytes { io, splitter, heard } => loop {
                if let Some(heard) = heard.pop_front() {
                    return Some(heard);
                }
                let mut bytes = [0; 4096];
                let n = io.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
                splitter
                    .push(&bytes[..n], |piece| {
                        heard.push_back(match piece {
                            Piece::Open => Heard::Open,
                            Piece::Close => Heard::Close,
                            Piece::Stanza(bytes) => Heard::Element(xml::parse(bytes, &Limits::default()).unwrap()),
                            Piece::TooLong(bad) => panic!("{bad:?}"),
                        });
                    })
                    .unwrap();
            },
        }
    }

    async fn element(&mut self) -> Option<Element> {
        match self.hear().await? {
            Heard::Element(element) => Some(element),
            _ => None,
        }
    }

    async fn say(&mut self, text: &str) {
        match self {
            Peer::Bytes { io, .. } => {
                let _ = io.write_all(text.as_bytes()).await;
                let _ = io.flush().await;
            }
            Peer::Messages(socket) => {
                let _ = socket.send(Message::text(text)).await;
            }
        }
    }

    /// Answers the opening of a stream with features.
    async fn open(&mut self, features: &str) -> Option<()> {
        if let Peer::Bytes { splitter, .. } = self {
            splitter.restart();
        }
        let Heard::Open = self.hear().await? else { return None };
        let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
        match self {
            Peer::Bytes { .. } => {
                self.say(&format!(
                    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' {streams} id='1' version='1.0'>\
                     <stream:features>{features}</stream:features>"
                ))
                .await;
            }
            Peer::Messages(_) => {
                self.say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='1' version='1.0'/>").await;
                self.say(&format!("<stream:features {streams}>{features}</stream:features>")).await;
            }
        }
        Some(())
    }
}

/// How the server behaves.
#[derive(Clone)]
struct Script {
    mechanisms: &'static str,
    /// What the server has in its database.
    password: &'static str,
    iterations: u32,
    /// What it makes of the client's nonce.
    nonce: fn(&str) -> String,
    /// What it makes of its own final message.
    signature: fn(String) -> String,
    /// Sent instead of the answer to `<auth/>`.
    failure: Option<&'static str>,
    /// Sent instead of the first features.
    instead: Option<&'static str>,
    /// The answer to `<resume/>`.
    resume: &'static str,
    starttls: Option<Server>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            mechanisms: "SCRAM-SHA-1",
            password: "pencil",
            iterations: 4096,
            nonce: |nonce| format!("{nonce}server"),
            signature: |signature| signature,
            failure: None,
            instead: None,
            resume: "",
            starttls: None,
        }
    }
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

impl Script {
    /// Plays the server's part until the client is gone. Gives `None` when it is.
    async fn play(self, io: Box<dyn Io>, exporter: Option<[u8; 32]>) -> Option<()> {
        self.talk(Peer::bytes(io), exporter).await
    }

    async fn talk(self, mut peer: Peer, mut exporter: Option<[u8; 32]>) -> Option<()> {
        if let Some(text) = self.instead {
            let Heard::Open = peer.hear().await? else { return None };
            peer.say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>").await;
            peer.say(text).await;
            return None;
        }
        if let Some(server) = &self.starttls {
            peer.open("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>").await?;
            assert_eq!(peer.element().await?.name(), "starttls");
            peer.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
            let Peer::Bytes { io, .. } = peer else { return None };
            let (io, key) = server.accept(io).await;
            exporter = key;
            peer = Peer::bytes(io);
        }
        let list: String =
            self.mechanisms.split_whitespace().map(|name| format!("<mechanism>{name}</mechanism>")).collect();
        peer.open(&format!("<mechanisms xmlns='{SASL}'>{list}</mechanisms>")).await?;
        let auth = peer.element().await?;
        let mechanism = auth.attr("mechanism")?.to_owned();
        assert!(self.mechanisms.split_whitespace().any(|name| name == mechanism), "{mechanism}");
        if let Some(failure) = self.failure {
            peer.say(&format!("<failure xmlns='{SASL}'>{failure}</failure>")).await;
        } else if mechanism.starts_with("SCRAM-") {
            self.scram(&mechanism, &auth.text(), exporter, &mut peer).await?;
        } else {
            if mechanism == "PLAIN" {
                assert_eq!(BASE64.decode(auth.text()).unwrap(), format!("\0keeper\0{}", self.password).into_bytes());
            }
            peer.say(&format!("<success xmlns='{SASL}'/>")).await;
        }
        peer.open("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/>").await?;
        while let Some(heard) = peer.hear().await {
            let Heard::Element(element) = heard else { break };
            match element.name() {
                "resume" => peer.say(self.resume).await,
                "iq" if element.attr("id") == Some("bind") => {
                    peer.say(
                        "<iq xmlns='jabber:client' type='result' id='bind'>\
                         <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>keeper@meet.test/r</jid></bind></iq>",
                    )
                    .await;
                }
                "enable" => peer.say("<enabled xmlns='urn:xmpp:sm:3' id='sm' resume='true' max='60'/>").await,
                // Anything else comes back as it was.
                _ => peer.say(&xml::to_string(&element, None)).await,
            }
        }
        None
    }

    /// RFC 5802 from the server's side, or what `self` makes of it.
    async fn scram(&self, mechanism: &str, initial: &str, exporter: Option<[u8; 32]>, peer: &mut Peer) -> Option<()> {
        type Hmac = fn(&[u8], &[u8]) -> Vec<u8>;
        let (hash, hmac): (Hash, Hmac) = if mechanism.contains("256") {
            (Hash::Sha256, |key, data| Sha256::hmac(data, key).unwrap())
        } else {
            (Hash::Sha1, |key, data| Sha1::hmac(data, key).unwrap())
        };
        let decode = |text: &str| String::from_utf8(BASE64.decode(text).unwrap()).unwrap();
        let first = decode(initial);
        let bare = &first[first.find("n=").unwrap()..];
        let gs2 = &first[..first.len() - bare.len()];
        let mut bound = gs2.as_bytes().to_vec();
        if mechanism.ends_with("-PLUS") {
            assert_eq!(gs2, "p=tls-exporter,,");
            bound.extend_from_slice(&exporter.unwrap());
        }
        let nonce = (self.nonce)(bare.split_once(",r=").unwrap().1);
        let salt = b"saltsaltsalt".to_vec();
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&salt), self.iterations);
        peer.say(&format!("<challenge xmlns='{SASL}'>{}</challenge>", BASE64.encode(&server_first))).await;
        let last = decode(&peer.element().await?.text());
        let (without_proof, proof) = last.split_once(",p=").unwrap();
        let message = format!("{bare},{server_first},{without_proof}");
        let key = Derive { hash, password: Secret::new(self.password), salt, iterations: self.iterations }.run();
        let client_key = hmac(&key, b"Client Key");
        let stored = if hash == Hash::Sha256 { Sha256::hash(&client_key) } else { Sha1::hash(&client_key) };
        let expected: Vec<u8> = client_key.iter().zip(hmac(&stored, message.as_bytes())).map(|(a, b)| a ^ b).collect();
        if without_proof != format!("c={},r={nonce}", BASE64.encode(&bound))
            || BASE64.decode(proof).unwrap() != expected
        {
            peer.say(&format!("<failure xmlns='{SASL}'><not-authorized/><text>no way</text></failure>")).await;
            return None;
        }
        let signature = hmac(&hmac(&key, b"Server Key"), message.as_bytes());
        let text = (self.signature)(format!("v={}", BASE64.encode(signature)));
        peer.say(&format!("<success xmlns='{SASL}'>{}</success>", BASE64.encode(text))).await;
        Some(())
    }

    /// Serves it over plain TCP.
    async fn tcp(self) -> SocketAddr {
        serve(move |stream| {
            let script = self.clone();
            async move {
                script.play(Box::new(stream), None).await;
            }
        })
        .await
    }

    /// Serves it over direct TLS.
    async fn tls(self, server: Server) -> SocketAddr {
        serve(move |stream| {
            let (script, server) = (self.clone(), server.clone());
            async move {
                if let Ok(stream) = server.0.accept(stream).await {
                    let exporter =
                        stream.get_ref().1.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok();
                    script.play(Box::new(stream), exporter).await;
                }
            }
        })
        .await
    }

    /// Serves it over WebSocket and notes the paths that were asked for.
    async fn websocket(self, server: Option<Server>) -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let paths = asked.clone();
        let address = serve(move |stream| {
            let (script, server, paths) = (self.clone(), server.clone(), paths.clone());
            async move {
                let (io, exporter) = match server {
                    Some(server) => server.accept(stream).await,
                    None => (Box::new(stream) as Box<dyn Io>, None),
                };
                #[allow(clippy::result_large_err)]
                let note = |request: &Request, mut response: Response| {
                    assert_eq!(request.headers()["sec-websocket-protocol"], "xmpp");
                    paths.lock().unwrap().push(request.uri().to_string());
                    response.headers_mut().insert("sec-websocket-protocol", "xmpp".parse().unwrap());
                    Ok(response)
                };
                if let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(io, note).await {
                    let _ = socket.send(Message::Ping("are you there".into())).await;
                    script.talk(Peer::Messages(Box::new(socket)), exporter).await;
                }
            }
        })
        .await;
        (address, asked)
    }
}

// ── the client's side

/// For what is waited for in vain.
const SHORT: Duration = Duration::from_millis(300);

/// What comes may take as long as a busy machine needs; only a goodbye is not answered by every peer here.
fn deadlines() -> Deadlines {
    let long = Duration::from_secs(30);
    Deadlines {
        dns: Duration::from_secs(3),
        connect: long,
        tls: long,
        upgrade: long,
        step: long,
        login: Duration::from_secs(60),
        close: SHORT,
    }
}

fn at(address: SocketAddr) -> Option<HostPort> {
    Some(HostPort { host: address.ip().to_string(), port: address.port() })
}

fn target(endpoint: Endpoint, tls: &Arc<Tls>) -> Target {
    Target {
        endpoint,
        domain: "meet.test".into(),
        tls: tls.clone(),
        nameserver: None,
        limits: Limits::default(),
        room: None,
        previd: None,
        token: None,
        seed: 1,
        deadlines: deadlines(),
    }
}

fn no_tls() -> Arc<Tls> {
    Arc::new(Tls::new(None))
}

fn plan() -> Plan {
    Plan {
        domain: "meet.test".into(),
        account: Some(("keeper".into(), Secret::new("pencil"))),
        token: None,
        mechanisms: None,
        last: None,
        resource: "r".into(),
        resume: None,
        client_nonce: "0123456789abcdefghijklmn".into(),
    }
}

async fn try_login(target: &Target, plan: &Plan) -> Result<(Box<dyn Transport>, Bound), Cause> {
    let transport = connect(target).await?;
    login(transport, plan, &KeyCache::new(), &target.deadlines).await
}

/// The cause of a failed login over plain TCP.
async fn cause_of(script: Script, plan: &Plan) -> Cause {
    let target = target(Endpoint::StartTls(at(script.tcp().await)), &no_tls());
    failed(&target, plan).await
}

async fn failed(target: &Target, plan: &Plan) -> Cause {
    match try_login(target, plan).await {
        Ok((_, bound)) => panic!("it logged in: {bound:?}"),
        Err(cause) => {
            assert!(!cause.text.contains("pencil"), "{cause}");
            cause
        }
    }
}

/// Connecting to `server` in direct TLS.
async fn tls_cause(authority: &Authority, server: Server) -> Cause {
    let address = Script::default().tls(server).await;
    failed(&target(Endpoint::DirectTls(at(address)), &authority.tls()), &plan()).await
}

fn says(cause: &Cause, word: Word, parts: &[&str]) {
    assert_eq!(cause.word, word, "{cause}");
    for part in parts {
        assert!(cause.text.contains(part), "{part:?} is not in: {cause}");
    }
}

async fn next(transport: &mut Box<dyn Transport>) -> Result<Frame, Cause> {
    std::future::poll_fn(|cx| {
        if transport.queued() > 0 {
            let _ = transport.poll_flush(cx);
        }
        transport.poll_next(cx)
    })
    .await
}

/// A transport that makes believe that its peer is far away.
struct FarAway(Box<dyn Transport>);

impl Transport for FarAway {
    fn open(&mut self, domain: &str) {
        self.0.open(domain);
    }
    fn send(&mut self, element: &Element) {
        self.0.send(element);
    }
    fn close(&mut self) {
        self.0.close();
    }
    fn queued(&self) -> usize {
        self.0.queued()
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.poll_flush(cx)
    }
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Cause>> {
        self.0.poll_next(cx)
    }
    fn security(&self) -> Security {
        Security { loopback: false, ..self.0.security() }
    }
    fn needs_starttls(&self) -> bool {
        self.0.needs_starttls()
    }
    fn starttls(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn Transport>, Cause>> {
        self.0.starttls()
    }
}

// ── what works

#[tokio::test]
async fn a_login_over_tcp_is_bound_and_carries_stanzas() {
    let target = target(Endpoint::StartTls(at(Script::default().tcp().await)), &no_tls());
    let (mut transport, bound) = try_login(&target, &plan()).await.unwrap();
    assert_eq!(bound.jid, "keeper@meet.test/r");
    assert_eq!(bound.login, LastLogin { mechanism: Mechanism::ScramSha1, key_hash: None });
    assert_eq!(bound.management.unwrap().id.as_deref(), Some("sm"));
    let stanza = xml::parse(b"<message><body>&lt;&amp;'\"</body></message>", &Limits::default()).unwrap();
    transport.send(&stanza);
    assert!(transport.queued() > 0);
    let Frame::Element(back) = next(&mut transport).await.unwrap() else { panic!("no element") };
    assert_eq!(back, stanza);
    assert_eq!(transport.queued(), 0);
    close(transport, &deadlines()).await;
}

#[tokio::test]
async fn a_login_in_memory_is_the_same() {
    let (transport, io) = memory(Limits::default());
    tokio::spawn(Script::default().play(Box::new(io), None));
    let (_, bound) = login(transport, &plan(), &KeyCache::new(), &deadlines()).await.unwrap();
    assert_eq!(bound.jid, "keeper@meet.test/r");
}

#[tokio::test]
async fn scram_plus_binds_to_tls_1_3() {
    let authority = Authority::new();
    for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"] {
        let script = Script {
            mechanisms: if mechanism.contains("256") {
                "SCRAM-SHA-1 SCRAM-SHA-256-PLUS SCRAM-SHA-256"
            } else {
                mechanism
            },
            ..Script::default()
        };
        let address = script.tls(authority.server(&["meet.test"], |_| {})).await;
        let target = target(Endpoint::DirectTls(at(address)), &authority.tls());
        let (transport, bound) = try_login(&target, &plan()).await.unwrap();
        assert_eq!(bound.login.mechanism.name(), mechanism);
        assert_eq!(bound.login.key_hash.unwrap().len(), 64);
        assert!(transport.security().tls);
    }
}

#[tokio::test]
async fn a_binding_to_another_connection_is_refused_by_the_server() {
    let authority = Authority::new();
    let server = authority.server(&["meet.test"], |_| {});
    let script = Script { mechanisms: "SCRAM-SHA-256-PLUS", ..Script::default() };
    let address = serve(move |stream| {
        let (script, server) = (script.clone(), server.clone());
        async move {
            let (io, _) = server.accept(stream).await;
            script.play(io, Some([0; 32])).await;
        }
    })
    .await;
    let cause = failed(&target(Endpoint::DirectTls(at(address)), &authority.tls()), &plan()).await;
    says(&cause, Word::BadCredentials, &["SCRAM-SHA-256-PLUS"]);
}

#[tokio::test]
async fn tls_1_2_logs_in_without_a_binding() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let certificate = params(&["meet.test"]).signed_by(&key, &authority.issuer).unwrap();
    let server = Server::new(certificate.der().clone(), &key, &[&rustls::version::TLS12]);
    let script = Script { mechanisms: "SCRAM-SHA-256-PLUS SCRAM-SHA-256", ..Script::default() };
    let target = target(Endpoint::DirectTls(at(script.tls(server).await)), &authority.tls());
    let (_, bound) = try_login(&target, &plan()).await.unwrap();
    assert_eq!(bound.login.mechanism, Mechanism::ScramSha256);
}

#[tokio::test]
async fn starttls_upgrades_and_binds() {
    let authority = Authority::new();
    let starttls = Some(authority.server(&["meet.test"], |_| {}));
    let script = Script { starttls, mechanisms: "SCRAM-SHA-256-PLUS", ..Script::default() };
    let target = target(Endpoint::StartTls(at(script.tcp().await)), &authority.tls());
    let (transport, bound) = try_login(&target, &plan()).await.unwrap();
    assert_eq!(bound.login.mechanism, Mechanism::ScramSha256Plus);
    assert!(transport.security().tls);
}

#[tokio::test]
async fn plain_is_sent_inside_tls_where_the_admin_agrees() {
    let authority = Authority::new();
    let script = Script { mechanisms: "PLAIN", ..Script::default() };
    let address = script.tls(authority.server(&["meet.test"], |_| {})).await;
    let target = target(Endpoint::DirectTls(at(address)), &authority.tls());
    let agreed = Plan { mechanisms: Some(vec![Mechanism::ScramSha1, Mechanism::Plain]), ..plan() };
    let (_, bound) = try_login(&target, &agreed).await.unwrap();
    assert_eq!(bound.login.mechanism, Mechanism::Plain);
    says(&failed(&target, &plan()).await, Word::NoCommonMechanism, &["PLAIN must be named"]);
}

#[tokio::test]
async fn a_login_over_websocket_keeps_the_query_and_adds_previd() {
    let authority = Authority::new();
    for secure in [false, true] {
        let server = secure.then(|| authority.server(&["localhost"], |_| {}));
        let (address, asked) = Script::default().websocket(server).await;
        let scheme = if secure { "wss" } else { "ws" };
        let url = format!("{scheme}://localhost:{}/xmpp-websocket?room=tavern&token=abc", address.port());
        let mut target = target(Endpoint::WebSocket(url.parse().unwrap()), &authority.tls());
        target.previd = Some(Secret::new("old id"));
        let (mut transport, bound) = try_login(&target, &plan()).await.unwrap();
        assert_eq!(bound.jid, "keeper@meet.test/r");
        assert_eq!(asked.lock().unwrap()[0], "/xmpp-websocket?room=tavern&token=abc&previd=old+id");
        // One stanza over our limit is one bad stanza, and the next one is well.
        let long = format!("<message from='r@s/n'><body>{}</body></message>", "x".repeat(300_000));
        let wide = Limits { stanza_bytes: usize::MAX, token_bytes: usize::MAX, ..Limits::default() };
        transport.send(&xml::parse(long.as_bytes(), &wide).unwrap());
        transport.send(&xml::parse(b"<message/>", &wide).unwrap());
        let Frame::Bad(bad) = next(&mut transport).await.unwrap() else { panic!("it was not refused") };
        assert_eq!(bad.head.from.as_deref(), Some("r@s/n"));
        assert!(matches!(next(&mut transport).await, Ok(Frame::Element(_))));
        close(transport, &deadlines()).await;
    }
}

#[tokio::test]
async fn a_token_and_a_room_go_into_the_url_and_into_no_words() {
    let authority = Authority::new();
    let (address, asked) = Script::default().websocket(None).await;
    let url = format!("ws://localhost:{}/xmpp-websocket", address.port());
    let mut target = target(Endpoint::WebSocket(url.parse().unwrap()), &authority.tls());
    target.room = Some(UrlRoom { name: "café".into(), tenant: Some("acme".into()) });
    target.token = Some(Secret::new("a.b-c_d"));
    target.previd = Some(Secret::new("old"));
    try_login(&target, &plan()).await.unwrap();
    assert_eq!(asked.lock().unwrap()[0], "/xmpp-websocket?room=caf%C3%A9&prefix=acme&token=a.b-c_d&previd=old");
    assert!(!format!("{target:?}").contains("a.b-c_d") && !format!("{target:?}").contains("old"));
    // Nobody is there.
    target.endpoint = Endpoint::WebSocket("ws://localhost:1/xmpp-websocket".parse().unwrap());
    let cause = failed(&target, &plan()).await;
    assert!(!cause.to_string().contains("a.b-c_d"), "{cause}");
}

#[tokio::test]
async fn what_a_slow_server_does_not_take_at_once_goes_out_later() {
    let authority = Authority::new();
    let server = authority.server(&["localhost", "meet.test"], |_| {});
    let script = Script::default();
    let websocket = |address: SocketAddr, scheme| {
        let url = format!("{scheme}://localhost:{}/xmpp-websocket", address.port());
        Endpoint::WebSocket(url.parse().unwrap())
    };
    for endpoint in [
        Endpoint::StartTls(at(script.clone().tcp().await)),
        Endpoint::DirectTls(at(script.clone().tls(server.clone()).await)),
        websocket(script.clone().websocket(None).await.0, "ws"),
        websocket(script.clone().websocket(Some(server.clone())).await.0, "wss"),
    ] {
        let target = target(endpoint.clone(), &authority.tls());
        let (mut transport, _) = try_login(&target, &plan()).await.unwrap();
        // The server echoes one by one and is blocked in that until we read.
        let body = "x".repeat(100_000);
        let message = xml::parse(format!("<message><body>{body}</body></message>").as_bytes(), &target.limits).unwrap();
        for _ in 0..100 {
            transport.send(&message);
        }
        assert!(transport.queued() > 9_000_000);
        for n in 0..100 {
            let next = tokio::time::timeout(Duration::from_secs(20), next(&mut transport)).await;
            assert!(matches!(next, Ok(Ok(Frame::Element(_)))), "{n} over {endpoint:?}");
        }
        assert_eq!(transport.queued(), 0, "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_or_begun_anew() {
    for (answer, resumed) in [
        ("<resumed xmlns='urn:xmpp:sm:3' previd='old' h='5'/>", Some(5)),
        (
            "<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            None,
        ),
        ("<failed xmlns='urn:xmpp:sm:3'/>", None),
    ] {
        let script = Script { resume: answer, ..Script::default() };
        let target = target(Endpoint::StartTls(at(script.tcp().await)), &no_tls());
        let plan = Plan { resume: Some(Resume { id: "old".into(), handled: 9 }), ..plan() };
        let (_, bound) = try_login(&target, &plan).await.unwrap();
        assert_eq!(bound.resumed, resumed, "{answer}");
        assert_eq!(bound.jid.is_empty(), resumed.is_some());
    }
}

#[tokio::test]
async fn the_sessions_of_one_account_derive_one_key() {
    let script = Script { iterations: 300_000, ..Script::default() };
    let target = Arc::new(target(Endpoint::StartTls(at(script.clone().tcp().await)), &no_tls()));
    let keys = Arc::new(KeyCache::new());
    let derive = |password: &str| Derive {
        hash: Hash::Sha1,
        password: Secret::new(password),
        salt: b"saltsaltsalt".to_vec(),
        iterations: 300_000,
    };
    let begun = std::time::Instant::now();
    keys.derive(derive("pencil")).await.unwrap();
    let once = begun.elapsed();
    let begun = std::time::Instant::now();
    let all = (0..20).map(|_| {
        let keys = keys.clone();
        tokio::spawn(async move { keys.derive(Derive { ..derive("pencil") }).await.unwrap() })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    // twenty of them on two cores would take ten times as long
    assert!(begun.elapsed() < once * 5, "{:?} for twenty, {once:?} for one", begun.elapsed());
    let _ = target;
}

#[tokio::test]
async fn a_pinned_certificate_that_calls_itself_an_authority_is_taken() {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&["meet.test"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.pem");
    std::fs::write(&path, certificate.pem()).unwrap();
    let tls = Arc::new(Tls::new(Some(path)));
    let server = Server::new(certificate.der().clone(), &key, &[&rustls::version::TLS13]);
    let address = Script::default().tls(server).await;
    let mut target = target(Endpoint::DirectTls(at(address)), &tls);
    try_login(&target, &plan()).await.unwrap();
    target.domain = "other.test".into();
    says(&failed(&target, &plan()).await, Word::CertificateName, &["meet.test", "not for other.test"]);
}

// ── failures of the login, one row each

#[tokio::test]
async fn a_wrong_password_is_bad_credentials() {
    let cause = cause_of(Script { password: "other", ..Script::default() }, &plan()).await;
    says(&cause, Word::BadCredentials, &["keeper@meet.test", "not-authorized", "no way"]);
}

#[tokio::test]
async fn a_refused_token_says_what_to_change() {
    let script = |failure| Script { failure: Some(failure), mechanisms: "ANONYMOUS", ..Script::default() };
    let token = Some(TokenLogin { life: Some(Duration::from_secs(300)) });
    let plan = Plan { account: None, token, ..plan() };
    let cause = cause_of(script("<not-allowed/><text>Invalid signature</text>"), &plan).await;
    says(&cause, Word::TokenRefused, &["meet.test", "Invalid signature", "app_secret", "line end"]);
    let cause =
        cause_of(script("<not-allowed/><text>Not acceptable by exp (60 sec since expired)</text>"), &plan).await;
    says(&cause, Word::TokenRefused, &["clock is about 360 s ahead"]);
}

#[tokio::test]
async fn a_disabled_account_and_a_passing_failure_have_their_words() {
    let script = |failure| Script { failure: Some(failure), ..Script::default() };
    says(&cause_of(script("<account-disabled/>"), &plan()).await, Word::AccountDisabled, &["keeper@meet.test"]);
    says(&cause_of(script("<temporary-auth-failure/>"), &plan()).await, Word::TemporaryAuthFailure, &[]);
}

#[tokio::test]
async fn a_wrong_domain_is_named() {
    let instead = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                   <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>This server does not serve meet.test</text>\
                   </stream:error></stream:stream>";
    let cause = cause_of(Script { instead: Some(instead), ..Script::default() }, &plan()).await;
    says(&cause, Word::WrongDomain, &["meet.test", "host-unknown", "This server does not serve"]);
}

#[tokio::test]
async fn no_common_mechanism_names_both_sides() {
    let cause = cause_of(Script { mechanisms: "X-OAUTH2 EXTERNAL", ..Script::default() }, &plan()).await;
    says(&cause, Word::NoCommonMechanism, &["X-OAUTH2", "EXTERNAL", "SCRAM-SHA-256"]);
}

#[tokio::test]
async fn plain_is_never_sent_in_the_clear() {
    let agreed = Plan { mechanisms: Some(vec![Mechanism::Plain]), ..plan() };
    let cause = cause_of(Script { mechanisms: "PLAIN", ..Script::default() }, &agreed).await;
    says(&cause, Word::NoCommonMechanism, &["never sent without TLS"]);
}

#[tokio::test]
async fn anonymous_is_no_fallback_for_an_account() {
    let script = Script { mechanisms: "ANONYMOUS", ..Script::default() };
    says(&cause_of(script.clone(), &plan()).await, Word::NoCommonMechanism, &["ANONYMOUS"]);
    let target = target(Endpoint::StartTls(at(script.tcp().await)), &no_tls());
    let (_, bound) = try_login(&target, &Plan { account: None, ..plan() }).await.unwrap();
    assert_eq!(bound.login.mechanism, Mechanism::Anonymous);
}

#[tokio::test]
async fn a_downgrade_is_refused_until_the_admin_names_the_mechanism() {
    let last = Some(LastLogin { mechanism: Mechanism::ScramSha256, key_hash: None });
    let weaker = Plan { last, ..plan() };
    let cause = cause_of(Script::default(), &weaker).await;
    says(&cause, Word::WeakerMechanism, &["SCRAM-SHA-1", "SCRAM-SHA-256", "`mechanisms`"]);
    let agreed = Plan { mechanisms: Some(vec![Mechanism::ScramSha1]), ..weaker };
    let target = target(Endpoint::StartTls(at(Script::default().tcp().await)), &no_tls());
    try_login(&target, &agreed).await.unwrap();
}

#[tokio::test]
async fn a_server_without_the_password_is_found_out() {
    let wrong = |signature| Script { signature, ..Script::default() };
    let cause = cause_of(wrong(|_| "v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()), &plan()).await;
    says(&cause, Word::ServerNotAuthentic, &["could not prove"]);
    let cause = cause_of(wrong(|_| String::new()), &plan()).await;
    says(&cause, Word::ServerNotAuthentic, &["did not prove"]);
}

#[tokio::test]
async fn a_foreign_nonce_is_refused() {
    for nonce in [(|_| "foreign".to_owned()) as fn(&str) -> String, |nonce| nonce.to_owned()] {
        let cause = cause_of(Script { nonce, ..Script::default() }, &plan()).await;
        says(&cause, Word::ServerNotAuthentic, &["nonce"]);
    }
}

#[tokio::test]
async fn an_iteration_bomb_costs_nothing() {
    let begun = std::time::Instant::now();
    let cause = cause_of(Script { iterations: 4_000_000_000, ..Script::default() }, &plan()).await;
    says(&cause, Word::ServerNotAuthentic, &["4000000000 iterations"]);
    // four thousand million iterations take minutes
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_network_without_starttls_is_not_spoken_over() {
    let target = target(Endpoint::StartTls(at(Script::default().tcp().await)), &no_tls());
    let transport = Box::new(FarAway(connect(&target).await.unwrap()));
    let cause = login(transport, &plan(), &KeyCache::new(), &deadlines()).await.err().unwrap();
    says(&cause, Word::TlsNotOffered, &["STARTTLS"]);
}

#[tokio::test]
async fn text_behind_the_agreement_to_starttls_is_not_trusted() {
    let address = serve(|stream| async move {
        let mut peer = Peer::bytes(Box::new(stream));
        peer.open("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>").await;
        peer.element().await;
        peer.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><iq type='set' id='evil'/>").await;
        peer.hear().await;
    })
    .await;
    let cause = failed(&target(Endpoint::StartTls(at(address)), &no_tls()), &plan()).await;
    says(&cause, Word::TlsFailed, &["behind its agreement"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_or_hangs_up_is_told_apart() {
    let silent = serve(|stream| async move {
        let _open = stream;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let mut short = target(Endpoint::StartTls(at(silent)), &no_tls());
    short.deadlines.step = SHORT;
    says(&failed(&short, &plan()).await, Word::TimedOut, &["stream features"]);
    let gone = serve(|stream| async move { drop(stream) }).await;
    let cause = failed(&target(Endpoint::StartTls(at(gone)), &no_tls()), &plan()).await;
    says(&cause, Word::Disconnected, &["while we waited for the stream features"]);
}

#[tokio::test]
async fn a_web_server_on_the_port_is_named() {
    let web = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let cause = failed(&target(Endpoint::StartTls(at(web)), &no_tls()), &plan()).await;
    says(&cause, Word::ProtocolError, &["HTTP/1.1 400"]);
}

#[tokio::test]
async fn a_refused_bind_says_why() {
    let script = Script {
        instead: Some("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"),
        ..Script::default()
    };
    says(&cause_of(script, &plan()).await, Word::Conflict, &["conflict"]);
}

// ── failures of TLS, one row each

#[tokio::test]
async fn a_self_signed_certificate_is_called_that() {
    let authority = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["meet.test"]);
        params.is_ca = is_ca;
        let server = Server::new(params.self_signed(&key).unwrap().der().clone(), &key, &[&rustls::version::TLS13]);
        says(
            &tls_cause(&authority, server).await,
            Word::CertificateUntrusted,
            &["self-signed", "ca_file", "127.0.0.1:"],
        );
    }
}

#[tokio::test]
async fn an_unknown_authority_is_called_that() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let cause = tls_cause(
        &ours,
        theirs.server(&["meet.test"], |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "a server");
        }),
    )
    .await;
    says(&cause, Word::CertificateUntrusted, &["authority"]);
}

#[tokio::test]
async fn an_expired_certificate_is_called_that() {
    let authority = Authority::new();
    let cause =
        tls_cause(&authority, authority.server(&["meet.test"], |p| p.not_after = date_time_ymd(2020, 1, 2))).await;
    says(&cause, Word::CertificateExpired, &["expired on 2020-01-02"]);
    let cause =
        tls_cause(&authority, authority.server(&["meet.test"], |p| p.not_before = date_time_ymd(2090, 1, 2))).await;
    says(&cause, Word::CertificateExpired, &["2090-01-02", "clock"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_says_for_which() {
    let authority = Authority::new();
    let cause = tls_cause(&authority, authority.server(&["other.test"], |_| {})).await;
    says(&cause, Word::CertificateName, &["other.test", "not for meet.test"]);
}

#[tokio::test]
async fn a_plain_port_under_tls_is_called_that() {
    let authority = Authority::new();
    let plain = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"<?xml version='1.0'?><stream:stream>").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let cause = failed(&target(Endpoint::DirectTls(at(plain)), &authority.tls()), &plan()).await;
    says(&cause, Word::TlsFailed, &["does not speak TLS"]);
    let url = format!("wss://localhost:{}/xmpp-websocket?token=secret", plain.port());
    let cause = failed(&target(Endpoint::WebSocket(url.parse().unwrap()), &authority.tls()), &plan()).await;
    says(&cause, Word::TlsFailed, &["does not speak TLS", "localhost:"]);
}

#[tokio::test]
async fn a_tls_handshake_that_ends_or_does_not_end_is_told_apart() {
    let authority = Authority::new();
    let gone = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let cause = failed(&target(Endpoint::DirectTls(at(gone)), &authority.tls()), &plan()).await;
    says(&cause, Word::TlsFailed, &["closed the connection during the TLS handshake"]);
    let silent = serve(|stream| async move {
        let _open = stream;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let mut short = target(Endpoint::DirectTls(at(silent)), &authority.tls());
    short.deadlines.tls = SHORT;
    says(&failed(&short, &plan()).await, Word::TimedOut, &["TLS handshake"]);
}

#[tokio::test]
async fn a_ca_file_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let address = Script::default().tcp().await;
    let missing = target(Endpoint::DirectTls(at(address)), &Arc::new(Tls::new(Some(path.clone()))));
    says(&failed(&missing, &plan()).await, Word::TlsFailed, &["ca.pem", "No such file"]);
    std::fs::write(&path, "no certificate").unwrap();
    let empty = target(Endpoint::DirectTls(at(address)), &Arc::new(Tls::new(Some(path))));
    says(&failed(&empty, &plan()).await, Word::TlsFailed, &["ca.pem", "no certificate in it"]);
}

// ── failures of the WebSocket upgrade, one row each

/// A web server that says the same to everybody.
async fn web_cause(answer: &'static str) -> Cause {
    let address = serve(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let url = format!("ws://127.0.0.1:{}/xmpp-websocket?token=secret", address.port());
    let cause = failed(&target(Endpoint::WebSocket(url.parse().unwrap()), &no_tls()), &plan()).await;
    assert!(!cause.text.contains("secret"), "{cause}");
    cause
}

#[tokio::test]
async fn what_is_no_websocket_is_told_apart() {
    for (answer, word, parts) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt works!", Word::NotWebsocket, "drops the header"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nJitsi", Word::NotWebsocket, "web page"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", Word::NotWebsocket, "nothing at /xmpp-websocket"),
        ("HTTP/1.1 405 Method Not Allowed\r\n\r\n", Word::NotWebsocket, "not Prosody"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Word::NotWebsocket, "not open to us"),
        ("HTTP/1.1 501 Not Implemented\r\n\r\n", Word::NotWebsocket, "subprotocol"),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://b.example/x?token=secret\r\n\r\n",
            Word::NotWebsocket,
            "https://b.example/x ",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Word::Unreachable, "behind it"),
        ("SSH-2.0-OpenSSH_9.2\r\n", Word::NotWebsocket, "does not answer in HTTP"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}", Word::NotWebsocket, "use wss:"),
        ("", Word::NotWebsocket, "instead of answering"),
    ] {
        let cause = web_cause(answer).await;
        says(&cause, word, &[parts, "127.0.0.1:"]);
    }
}

#[tokio::test]
async fn a_websocket_that_is_not_for_xmpp_is_called_that() {
    let address = serve(|stream| async move {
        let _ = tokio_tungstenite::accept_async(stream).await;
    })
    .await;
    let url = format!("ws://127.0.0.1:{}/", address.port());
    let cause = failed(&target(Endpoint::WebSocket(url.parse().unwrap()), &no_tls()), &plan()).await;
    says(&cause, Word::NotWebsocket, &["subprotocol `xmpp`"]);
}

#[tokio::test]
async fn an_upgrade_that_is_not_answered_times_out() {
    let silent = serve(|stream| async move {
        let _open = stream;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let url = format!("ws://127.0.0.1:{}/", silent.port());
    let mut short = target(Endpoint::WebSocket(url.parse().unwrap()), &no_tls());
    short.deadlines.upgrade = SHORT;
    says(&failed(&short, &plan()).await, Word::TimedOut, &["WebSocket upgrade"]);
}

// ── failures before anything is said

#[tokio::test]
async fn a_refused_connection_names_the_port() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cause = failed(&target(Endpoint::StartTls(at(free)), &no_tls()), &plan()).await;
    says(&cause, Word::Unreachable, &["refused", &free.to_string()]);
}

#[tokio::test]
async fn a_connection_that_nobody_takes_times_out() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // Once its queue is full, the kernel drops what comes.
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let mut target = target(Endpoint::StartTls(at(address)), &no_tls());
    target.deadlines.connect = SHORT;
    says(&failed(&target, &plan()).await, Word::TimedOut, &["did not take the connection", &address.to_string()]);
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_named() {
    let nobody = Some(HostPort { host: "nobody.invalid".into(), port: 5222 });
    let cause = failed(&target(Endpoint::StartTls(nobody), &no_tls()), &plan()).await;
    // Where no DNS server answers at all, the wait ends by its deadline.
    assert!(matches!(cause.word, Word::UnknownHost | Word::TimedOut), "{cause}");
    assert!(cause.text.contains("nobody.invalid"), "{cause}");
}

// ── DNS

/// A DNS server that knows a few SRV records: name, priority, port and host.
async fn nameserver(records: &'static [(&'static str, u16, u16, &'static str)]) -> SocketAddr {
    use hickory_proto::op::{Message, MessageType, ResponseCode};
    use hickory_proto::rr::rdata::SRV;
    use hickory_proto::rr::{Name, RData, Record};
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 2048];
        while let Ok((n, from)) = socket.recv_from(&mut bytes).await {
            let mut message = Message::from_vec(&bytes[..n]).unwrap();
            let asked = message.queries[0].name().to_ascii();
            message.metadata.message_type = MessageType::Response;
            message.metadata.recursion_available = true;
            for (name, priority, port, host) in records.iter().filter(|record| asked == record.0) {
                let srv = SRV::new(*priority, 0, *port, Name::from_ascii(host).unwrap());
                message.add_answer(Record::from_rdata(Name::from_ascii(name).unwrap(), 60, RData::SRV(srv)));
            }
            if message.answers.is_empty() {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn srv_records_lead_to_the_server_past_one_that_is_down() {
    let address = Script::default().tcp().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let records: &'static [_] = Box::leak(Box::new([
        ("_xmpp-client._tcp.meet.test.", 20, address.port(), "localhost."),
        ("_xmpps-client._tcp.meet.test.", 10, free.port(), "localhost."),
    ]));
    let mut target = target(Endpoint::Srv, &no_tls());
    target.nameserver = Some(nameserver(records).await);
    let (_, bound) = try_login(&target, &plan()).await.unwrap();
    assert_eq!(bound.jid, "keeper@meet.test/r");
}

#[tokio::test]
async fn an_srv_target_of_a_dot_means_no_and_no_record_means_the_domain_itself() {
    let mut target = target(Endpoint::DirectTls(None), &no_tls());
    target.nameserver = Some(nameserver(&[("_xmpps-client._tcp.meet.test.", 0, 0, ".")]).await);
    says(&failed(&target, &plan()).await, Word::UnknownHost, &["offers no such service"]);
    // Nothing listens on 5223 here; the attempt shows where it went.
    target.domain = "localhost".into();
    says(&failed(&target, &plan()).await, Word::Unreachable, &["localhost:5223"]);
}

// ── hostile input on a stream that stands

#[tokio::test]
async fn hostile_stanzas_are_refused_one_by_one_and_the_stream_goes_on() {
    let address = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let mut all = format!("<stream:stream xmlns='{CLIENT}' xmlns:stream='http://etherx.jabber.org/streams'>");
        for hostile in hostile() {
            all.push_str(&hostile);
            all.push_str("<message id='good'/>");
        }
        let _ = stream.write_all(all.as_bytes()).await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let mut transport = connect(&target(Endpoint::StartTls(at(address)), &no_tls())).await.unwrap();
    transport.open("meet.test");
    assert!(matches!(next(&mut transport).await, Ok(Frame::Open)));
    for hostile in hostile() {
        let shown: String = hostile.chars().take(60).collect();
        match next(&mut transport).await {
            Ok(Frame::Bad(bad)) => assert_eq!(bad.head.from.as_deref(), Some("r@s/n"), "{shown}"),
            other => panic!("{shown}: {other:?}"),
        }
        match next(&mut transport).await {
            Ok(Frame::Element(element)) => assert_eq!(element.attr("id"), Some("good"), "{shown}"),
            other => panic!("behind {shown}: {other:?}"),
        }
    }
}

fn hostile() -> Vec<String> {
    let message = |inside: &str| format!("<message from='r@s/n'>{inside}</message>");
    let mut all = vec![
        message(&format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000))),
        message(&format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000))),
        message(&"<a/>".repeat(1_250_000)),
        message(&"x".repeat(5_000_000)),
        message(&"<a/>".repeat(30_000)),
        message("<a></b>"),
        message("&nosuch;"),
        message("<p:a/>"),
        message("<?pi?>"),
        "<message from='r@s/n' a='1' a='2'/>".to_owned(),
    ];
    all.extend(
        (0..0x20u8).filter(|code| !matches!(code, 9 | 10 | 13)).map(|code| message(&char::from(code).to_string())),
    );
    all
}
