//! One HTTP request to somebody else's program: bounded in time and size, to an address that was looked at first.
//!
//! Each request has a connection of its own: on one that is kept, nobody could tell whether a request that failed was
//! ever read. Redirects are not followed. Source: RFC 9110, RFC 9112.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

use super::address::is_public;
use crate::runtime::transport::{Io, Tls, secure};

/// Most of an answer's body that is read, bytes.
pub const ANSWER_BYTES: usize = 16 * 1024;
/// Most header fields of an answer.
const FIELDS: usize = 64;
/// Largest head of an answer, bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Asks one receiver.
#[derive(Debug, Clone)]
pub struct Client {
    tls: Arc<Tls>,
    allow_private: bool,
    patience: Duration,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body; `None` when it was too long, or did not come to its end in time.
    pub body: Option<Bytes>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Not a byte of the request was sent.
    #[error("{0}")]
    Unsent(String),
    /// It was sent at least in part: what came of it is not known.
    #[error("{0}")]
    Unknown(String),
}

impl Client {
    /// `ca_file`: a further trust root; `allow_private`: also addresses that are not public; `patience`: for all of a
    /// request.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>, allow_private: bool, patience: Duration) -> Self {
        Client { tls: Arc::new(Tls::new(ca_file)), allow_private, patience }
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// [`Unanswered`]: nothing came back in time.
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Unanswered> {
        let mut headers = headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.send(Method::POST, url, headers, body).await
    }

    /// Gets a page.
    ///
    /// # Errors
    /// [`Unanswered`]: nothing came back in time.
    pub async fn get(&self, url: &Url) -> Result<Answer, Unanswered> {
        self.send(Method::GET, url, HeaderMap::new(), Vec::new()).await
    }

    async fn send(&self, method: Method, url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Unanswered> {
        let until = Instant::now() + self.patience;
        let late = |what: &str| format!("{} {what} within {}", at(url), humantime::format_duration(self.patience));
        let io = match timeout_at(until, self.connect(url)).await {
            Ok(io) => io.map_err(Unanswered::Unsent)?,
            Err(_) => return Err(Unanswered::Unsent(late("does not take the connection"))),
        };
        let request = request(method, url, headers, body).map_err(|error| Unanswered::Unsent(error.to_string()))?;
        match timeout_at(until, exchange(url, io, request, until)).await {
            Ok(answer) => answer,
            Err(_) => Err(Unanswered::Unknown(late("does not answer"))),
        }
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Io>, String> {
        let addresses = self.addresses(url).await?;
        let mut last = None;
        // Each address has its share of the time, so that one that is silent does not hide the next.
        let share = self.patience / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is one write; a failure here costs a little time and nothing else.
                    let _ = stream.set_nodelay(true);
                    let io: Box<dyn Io> = Box::new(stream);
                    if url.scheme() != "https" {
                        return Ok(io);
                    }
                    let name = url.host_str().unwrap_or_default();
                    let secured = secure(self.tls.clone(), name, &at(url), self.patience, io).await;
                    return secured.map_err(|cause| cause.text.to_string());
                }
                Ok(Err(error)) => last = Some(format!("{} can not be reached at {address}: {error}", at(url))),
                Err(_) => last = Some(format!("{} does not take the connection at {address}", at(url))),
            }
        }
        Err(last.unwrap_or_else(|| format!("{} has no address", at(url))))
    }

    /// Where to connect. The name is looked up here and nowhere else, so what was looked at is what is connected to.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, String> {
        let port = url.port_or_known_default().ok_or_else(|| format!("{} has no port", at(url)))?;
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => {
                let found = lookup_host((name, port)).await;
                found.map_err(|error| format!("{name} can not be found: {error}"))?.collect()
            }
            None => return Err("the address names no host".to_owned()),
        };
        let Some(first) = found.first().copied() else { return Err(format!("{} has no address", at(url))) };
        let allowed: Vec<_> =
            found.into_iter().filter(|address| self.allow_private || is_public(address.ip())).collect();
        if allowed.is_empty() {
            let address = first.ip();
            return Err(format!(
                "{} is at {address}, a private address; if that is meant, say allow_private = true for it",
                at(url)
            ));
        }
        Ok(allowed)
    }
}

/// Host and port, for people: a path or query may carry a token.
fn at(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

fn request(method: Method, url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body)))?;
    *request.headers_mut() = headers;
    let all = request.headers_mut();
    all.insert(header::HOST, HeaderValue::from_str(&at(url))?);
    all.insert(header::USER_AGENT, HeaderValue::from_static(concat!("innkeeper/", env!("CARGO_PKG_VERSION"))));
    all.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    all.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn exchange(
    url: &Url,
    io: Box<dyn Io>,
    request: Request<Full<Bytes>>,
    until: Instant,
) -> Result<Answer, Unanswered> {
    let mut builder = http1::Builder::new();
    builder.max_headers(FIELDS).max_buf_size(HEAD_BYTES);
    let unsent = |error: hyper::Error| Unanswered::Unsent(format!("{}: {error}", at(url)));
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(unsent)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| {
            let text = format!("{} broke off: {error}", at(url));
            if error.is_canceled() { Unanswered::Unsent(text) } else { Unanswered::Unknown(text) }
        })?;
        let (head, body) = response.into_parts();
        // The status is the answer; a body that is too long, too slow or broken changes nothing about it.
        let body = timeout_at(until, Limited::new(body, ANSWER_BYTES).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            // What was read before the end is there all the same.
            Ok(()) => answer.await,
            Err(error) => match futures_util::poll!(answer) {
                std::task::Poll::Ready(answer) => answer,
                std::task::Poll::Pending => Err(Unanswered::Unknown(format!("{} broke off: {error}", at(url)))),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    #[allow(clippy::disallowed_methods)] // nobody else decides when a listener is asked
    async fn a_name_that_leads_to_a_private_address_is_not_connected_to_unless_that_is_meant() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let url: Url = format!("http://localhost:{port}/secret").parse().expect("a URL");
        let ask = |allow_private| {
            let client = Client::new(None, allow_private, Duration::from_secs(20));
            let url = url.clone();
            tokio::spawn(
                async move { client.post(&url, HeaderMap::new(), Vec::new()).await.map(|answer| answer.status) },
            )
        };
        let refused = ask(false).await.expect("no panic").expect_err("a private address");
        assert!(matches!(&refused, Unanswered::Unsent(why) if why.contains("a private address")), "{refused:?}");
        let asked = ask(true);
        let (stream, _) = listener.accept().await.expect("the first to come is the one who may");
        drop(stream);
        assert!(matches!(asked.await.expect("no panic"), Err(Unanswered::Unknown(_) | Unanswered::Unsent(_))));
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods)] // nobody else decides when a listener is asked
    async fn a_status_is_an_answer_although_the_body_behind_it_never_ends() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let url: Url = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
        let client = Client::new(None, true, Duration::from_millis(300));
        let asked = tokio::spawn(async move { client.post(&url, HeaderMap::new(), b"{}".to_vec()).await });
        let (mut stream, _) = listener.accept().await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok").await.expect("it listens");
        let answer = asked.await.expect("no panic").expect("it was answered");
        assert_eq!((answer.status, answer.body), (StatusCode::OK, None));
        drop(stream);
    }
}
