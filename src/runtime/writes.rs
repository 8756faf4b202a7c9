//! Writes that must last and that nobody in the supervisor waits for, in the order in which they were asked for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::store::DatabaseError;

/// Most writes on their way together, so that they share a commit.
const TOGETHER: usize = 64;
/// How long the end may take.
const FINISH: Duration = Duration::from_secs(2);

/// The queue of writes.
#[derive(Debug)]
pub struct Writes {
    queue: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    task: JoinHandle<()>,
}

impl Writes {
    /// Starts the task that writes.
    #[must_use]
    pub fn start() -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        // Futures are first polled in order, and a write takes its place in the database's own queue then.
        let waiting = stream::unfold(waiting, |mut waiting| async {
            let next: BoxFuture<'static, ()> = waiting.recv().await?;
            Some((next, waiting))
        });
        let task = tokio::spawn(waiting.buffered(TOGETHER).for_each(|()| std::future::ready(())));
        Writes { queue, task }
    }

    /// Writes something; what can not be written is said in the log, as `what`.
    pub fn write(&self, what: &'static str, write: impl Future<Output = Result<(), DatabaseError>> + Send + 'static) {
        self.run(async move {
            if let Err(error) = write.await {
                let error = anyhow::Error::new(error);
                error!("{what} is not stored and would be lost by a restart: {error:#}");
            }
        });
    }

    /// Runs something in its turn.
    pub fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        // The task ends after us.
        let _ = self.queue.send(Box::pin(work));
    }

    /// Waits until everything is written.
    pub async fn finish(self) {
        drop(self.queue);
        if tokio::time::timeout(FINISH, self.task).await.is_err() {
            warn!("the disk is too slow: some of the last strikes, bans or audit entries may not be stored");
        }
    }
}
