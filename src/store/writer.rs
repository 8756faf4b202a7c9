//! The thread that writes what must not be lost: one transaction for what has queued, answers after the commit.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::DatabaseError;

/// Most writes that wait; a writer who finds the queue full waits too.
pub(super) const QUEUE: usize = 256;
/// Most writes in one transaction.
const BATCH: usize = 128;

/// Something to be written, with somebody who waits for it.
pub(super) trait Work: Send {
    /// Writes; the transaction is not yet committed.
    fn write(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()>;
    /// Whether nothing is to be taken after it.
    fn is_last(&self) -> bool {
        false
    }
    /// Tells who waits. Nobody waits any more if they were cancelled; the write stands all the same.
    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>);
}

/// One write.
pub(super) struct Write<F, T> {
    write: F,
    made: Option<T>,
    done: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<F, T> Write<F, T>
where
    F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    pub(super) fn new(write: F, done: oneshot::Sender<Result<T, DatabaseError>>) -> Self {
        Write { write, made: None, done }
    }
}

impl<F, T> Work for Write<F, T>
where
    F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn write(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.made = Some((self.write)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let Write { made, done, .. } = *self;
        // What was committed was made.
        let _ = done.send(committed.and_then(|()| made.ok_or(DatabaseError::Closed)));
    }
}

/// Ends the writer, after everything that was asked before.
pub(super) struct Last(pub oneshot::Sender<()>);

impl Work for Last {
    fn write(&mut self, _: &Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn is_last(&self) -> bool {
        true
    }

    fn answer(self: Box<Self>, _: Result<(), DatabaseError>) {
        let _ = self.0.send(());
    }
}

/// Writes until [`Last`], or until nobody can ask any more.
pub(super) fn run(mut connection: Connection, path: PathBuf, mut queue: mpsc::Receiver<Box<dyn Work>>) {
    let mut batch = Vec::new();
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        if batch.iter().any(|work| work.is_last()) {
            queue.close();
        }
        write(&mut connection, &path, std::mem::take(&mut batch));
    }
}

/// Writes all in one transaction. One that can not be written is refused alone: the others are tried again without it,
/// since an error may have rolled everything back.
fn write(connection: &mut Connection, path: &std::path::Path, mut batch: Vec<Box<dyn Work>>) {
    let not_stored =
        |source: Arc<rusqlite::Error>| DatabaseError::Sqlite { path: path.to_owned(), what: "not stored", source };
    while !batch.is_empty() {
        let mut refused = None;
        let committed = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            for (at, work) in batch.iter_mut().enumerate() {
                if let Err(error) = work.write(&transaction) {
                    refused = Some((at, error));
                    return transaction.rollback();
                }
            }
            transaction.commit()
        });
        if let Some((at, error)) = refused {
            batch.remove(at).answer(Err(not_stored(error.into())));
            continue;
        }
        let committed = committed.map_err(Arc::new);
        for work in batch.drain(..) {
            work.answer(committed.clone().map_err(not_stored));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(number: i64) -> (Box<dyn Work>, oneshot::Receiver<Result<usize, DatabaseError>>) {
        let (done, answer) = oneshot::channel();
        let write = move |transaction: &Transaction<'_>| transaction.execute("INSERT INTO t VALUES (?1)", [number]);
        (Box::new(Write::new(write, done)), answer)
    }

    #[test]
    fn one_write_that_is_refused_takes_no_other_with_it_and_all_hear_what_came_of_theirs() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").expect("plain SQL");
        let (sender, queue) = mpsc::channel(8);
        let mut answers = Vec::new();
        for number in [1, 2, 2, 3] {
            let (work, answer) = insert(number);
            assert!(sender.try_send(work).is_ok());
            answers.push(answer);
        }
        let (last, closed) = oneshot::channel();
        assert!(sender.try_send(Box::new(Last(last))).is_ok());
        run(connection, PathBuf::from("t.db"), queue);
        let came: Vec<_> = answers.iter_mut().map(|answer| answer.try_recv().expect("answered").is_ok()).collect();
        assert_eq!(came, [true, true, false, true]);
        assert!(sender.try_send(insert(4).0).is_err(), "closed after the last one");
        assert!(closed.blocking_recv().is_ok());
    }

    #[test]
    fn nobody_hears_yes_when_the_commit_did_not_happen() {
        let mut connection = Connection::open_in_memory().expect("memory");
        connection
            .execute_batch(
                "CREATE TABLE t (n INTEGER PRIMARY KEY REFERENCES other DEFERRABLE INITIALLY DEFERRED);
                 CREATE TABLE other (n INTEGER PRIMARY KEY); PRAGMA foreign_keys=ON;",
            )
            .expect("plain SQL");
        let ((one, first), (two, second)) = (insert(1), insert(2));
        write(&mut connection, std::path::Path::new("t.db"), vec![one, two]);
        for answer in [first, second] {
            let error = answer.blocking_recv().expect("answered").expect_err("the commit is refused");
            assert_eq!(error.to_string(), "t.db: not stored");
        }
    }
}
