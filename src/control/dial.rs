//! Going to somebody who listens, again and again until they answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::backoff::Ladder;
use crate::config::Dial;
use crate::runtime::transport::{Io, Tls, bytes};

/// How long a Unix socket may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait before the next try.
const FIRST: Duration = Duration::from_millis(500);
/// The longest.
const LAST: Duration = Duration::from_secs(30);

/// A place that is dialled.
pub(super) struct Dialler {
    dial: Dial,
    tls: Option<Arc<Tls>>,
    ladder: Ladder,
    rng: fastrand::Rng,
    /// Whether this is not the first try.
    tried: bool,
    /// Whether it was said that nobody answers.
    said: bool,
}

impl Dialler {
    pub(super) fn new(dial: Dial) -> Self {
        let tls = if let Dial::Tls { ca_file, .. } = &dial { Some(Arc::new(Tls::new(ca_file.clone()))) } else { None };
        let rng = fastrand::Rng::with_seed(crate::runtime::random_u64());
        Dialler { dial, tls, ladder: Ladder::default(), rng, tried: false, said: false }
    }

    /// The next connection, however long that takes. The first try is made at once.
    pub(super) async fn next(&mut self) -> Box<dyn Io> {
        loop {
            if self.tried {
                sleep(self.ladder.next(FIRST, LAST, &mut self.rng)).await;
            }
            self.tried = true;
            match self.connect().await {
                Ok(io) => {
                    self.said = false;
                    return io;
                }
                // Said once, and then no more until it has worked again.
                Err(why) if self.said => debug!(dial = %self.dial, why, "nobody answers"),
                Err(why) => {
                    self.said = true;
                    warn!(dial = %self.dial, why, "nobody answers; it is dialled until somebody does");
                }
            }
        }
    }

    /// The last connection was of use: the next one need not wait long.
    pub(super) fn worked(&mut self) {
        self.ladder.reset();
    }

    async fn connect(&self) -> Result<Box<dyn Io>, String> {
        match &self.dial {
            Dial::Tcp(to) | Dial::Tls { to, .. } => {
                bytes(to, self.tls.as_ref()).await.map_err(|cause| cause.text.to_string())
            }
            Dial::Unix(path) => match timeout(PATIENCE, UnixStream::connect(path)).await {
                Ok(connected) => Ok(Box::new(connected.map_err(|error| error.to_string())?)),
                Err(_) => Err("nobody accepts the connection".to_owned()),
            },
        }
    }
}
