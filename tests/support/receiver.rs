//! A program that is told by HTTP what happens: it keeps what it was sent, and answers what a test wants.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::oneshot;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path, with the query.
    pub path: String,
    /// Its header fields, names in small letters.
    pub headers: Vec<(String, String)>,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
    /// When it was read to its end.
    pub at: Instant,
}

impl Request {
    /// A header field; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The key under which it was sent.
    pub fn key(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body.
    ///
    /// # Panics
    /// It is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What is answered, and how long after the request.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// A header field.
    pub header: Option<(&'static str, &'static str)>,
    /// Time that passes first.
    pub after: Duration,
}

impl Answer {
    /// At once.
    pub fn status(status: u16) -> Answer {
        Answer { status, header: None, after: Duration::ZERO }
    }

    /// With a header field.
    pub fn with(self, name: &'static str, value: &'static str) -> Answer {
        Answer { header: Some((name, value)), ..self }
    }

    /// After some time.
    pub fn after(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }
}

type Judge = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// Listens on loopback until it is dropped.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens at `at` and answers what `judge` says, which is told how many requests came before.
    ///
    /// # Panics
    /// Somebody else listens there.
    #[track_caller]
    pub fn at(at: SocketAddr, judge: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind(at).unwrap_or_else(|error| panic!("{at}: {error}"));
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a plain socket");
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (end, ended) = oneshot::channel();
        let (judge, kept): (Arc<Judge>, _) = (Arc::new(judge), seen.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, &kept, &judge) => {}
                    _ = ended => {}
                }
            });
        });
        Receiver { address, seen, end: Some(end), thread: Some(thread) }
    }

    /// Listens at a free port.
    #[track_caller]
    pub fn start(judge: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        Receiver::at(([127, 0, 0, 1], 0).into(), judge)
    }

    /// Takes everything.
    #[track_caller]
    pub fn willing() -> Receiver {
        Receiver::start(|_, _| Answer::status(204))
    }

    /// Its address as a configuration has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that it was sent so far.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }

    /// Waits until what it was sent is as it should be; returns what `look` found.
    ///
    /// # Panics
    /// Not within half a minute; says what came.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, look: impl Fn(&[Request]) -> Option<T>) -> T {
        let limit = Duration::from_secs(30);
        let found = super::process::wait_for(limit, || look(&lock(&self.seen)));
        found.unwrap_or_else(|| {
            let came: Vec<_> = self.seen().iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
            panic!("not within {limit:?}: {what}; came: {came:#?}")
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, seen: &Arc<Mutex<Vec<Request>>>, judge: &Arc<Judge>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (seen, judge) = (seen.clone(), judge.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, seen.clone(), judge.clone()));
            // Whoever goes before the answer is told nothing.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    seen: Arc<Mutex<Vec<Request>>>,
    judge: Arc<Judge>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let Ok(body) = body.collect().await else {
        return Ok(hyper::Response::builder().status(400).body(Full::default()).expect("a plain answer"));
    };
    let request = Request { path: head.uri.to_string(), headers, body: body.to_bytes().to_vec(), at: Instant::now() };
    let before = {
        let mut seen = lock(&seen);
        seen.push(request.clone());
        seen.len() - 1
    };
    let Answer { status, header, after } = judge(&request, before);
    if !after.is_zero() {
        tokio::time::sleep(after).await;
    }
    let mut response = hyper::Response::builder().status(status);
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    Ok(response.body(Full::default()).expect("a plain answer"))
}
