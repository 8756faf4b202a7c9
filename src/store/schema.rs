//! How a database file is opened: made, brought up to this program's schema, refused or kept aside.
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::DatabaseError;

/// How long to wait for somebody who looks into the file with another program and locks it.
const BUSY: Duration = Duration::from_secs(5);
/// A log that grew larger than this is cut when it was taken over into the file, bytes.
const LOG_BYTES: u32 = 4 * 1024 * 1024;

/// A kind of database file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    /// The file's name in the state folder.
    pub file: &'static str,
    /// What brings a file of version n to n + 1, by n. Only ever added to.
    pub steps: &'static [&'static str],
    /// `FULL`: a commit is on the disk when it returns. `NORMAL`: a power cut may take the last ones, never the file.
    pub synchronous: &'static str,
    /// Most pages kept in memory, KiB; taken only when used.
    pub cache_kib: u32,
    /// Whether every page is looked at before the file is trusted: for files that are small and must be right.
    pub check: bool,
    /// What is lost when the file is broken, for the log.
    pub holds: &'static str,
}

/// Opens the file of `schema` for writing; makes it where there is none. The texts are warnings to be said loudly.
///
/// # Errors
/// [`DatabaseError::Newer`] if a newer program wrote it; others if it can not be made, read or kept aside.
pub(super) fn open(folder: &Path, schema: Schema) -> Result<(Connection, Vec<String>), DatabaseError> {
    let path = folder.join(schema.file);
    make(folder, &path).map_err(|source| DatabaseError::Io {
        path: path.clone(),
        what: "can not be made",
        source: source.into(),
    })?;
    match prepare(&path, schema) {
        Ok((connection, warning)) => Ok((connection, warning.into_iter().collect())),
        Err(Unusable::Refused(error)) => Err(error),
        Err(Unusable::Broken(what)) => replace(folder, schema, &what),
    }
}

/// Keeps aside a file that was found broken while it was in use, and makes a new one.
///
/// # Errors
/// As [`open`].
pub(super) fn begin_anew(folder: &Path, schema: Schema) -> Result<(Connection, Vec<String>), DatabaseError> {
    replace(folder, schema, "found while it was in use")
}

fn replace(folder: &Path, schema: Schema, what: &str) -> Result<(Connection, Vec<String>), DatabaseError> {
    let path = folder.join(schema.file);
    let fail = |what| {
        let path = path.clone();
        move |source: io::Error| DatabaseError::Io { path, what, source: source.into() }
    };
    let aside = keep_aside(&path).map_err(fail("broken, and it can not be kept aside"))?;
    let mut warnings = vec![format!(
        "{} is broken ({what}): {} are lost; it is kept as {}, where `sqlite3 FILE .recover` may find some of them",
        path.display(),
        schema.holds,
        aside.display()
    )];
    make(folder, &path).map_err(fail("can not be made"))?;
    match prepare(&path, schema) {
        Ok((connection, warning)) => {
            warnings.extend(warning);
            Ok((connection, warnings))
        }
        Err(Unusable::Refused(error)) => Err(error),
        Err(Unusable::Broken(what)) => Err(DatabaseError::Unusable { path, what }),
    }
}

/// Opens the file for one reader.
pub(super) fn read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;")?;
    Ok(connection)
}

/// Whether an error says that the file itself is not, or no longer, a database.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

enum Unusable {
    Refused(DatabaseError),
    Broken(String),
}

/// An empty file that is ours alone: `SQLite` gives its log the same mode.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    File::open(folder)?.sync_all()
}

fn prepare(path: &Path, schema: Schema) -> Result<(Connection, Option<String>), Unusable> {
    let fail = |what| {
        move |error: rusqlite::Error| {
            if is_broken(&error) {
                return Unusable::Broken(error.to_string());
            }
            Unusable::Refused(DatabaseError::Sqlite { path: path.to_owned(), what, source: error.into() })
        }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(fail("can not be opened"))?;
    connection.busy_timeout(BUSY).map_err(fail("can not be opened"))?;
    let version: usize = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail("its version can not be read"))?;
    // Before anything is written to it.
    if version > schema.steps.len() {
        let known = schema.steps.len();
        return Err(Unusable::Refused(DatabaseError::Newer { path: path.to_owned(), version, known }));
    }
    let Schema { synchronous, cache_kib, .. } = schema;
    if version == 0 {
        // Counts only before the first table: it lets a later version give space back step by step.
        connection.execute_batch("PRAGMA auto_vacuum=INCREMENTAL").map_err(fail("can not be set up"))?;
    }
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous={synchronous}; PRAGMA cache_size=-{cache_kib};
             PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
        ))
        .map_err(fail("can not be set up"))?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fail("can not be set up"))?;
    let warning = (mode != "wal").then(|| {
        format!(
            "{} can not have a write-ahead log on this file system: readers and the writer wait for one another",
            path.display()
        )
    });
    connection
        .query_row(&format!("PRAGMA journal_size_limit={LOG_BYTES}"), [], |_| Ok(()))
        .map_err(fail("can not be set up"))?;
    if schema.check {
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fail("can not be checked"))?;
        if found != "ok" {
            return Err(Unusable::Broken(found));
        }
    }
    for (at, step) in schema.steps.iter().enumerate().skip(version) {
        let migrate = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", at + 1)?;
            transaction.commit()
        };
        migrate(&mut connection).map_err(fail("can not be brought up to this version"))?;
    }
    Ok((connection, warning))
}

/// Renames the file and its log, so that what can be saved of both is.
fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().as_millisecond();
    let aside = |suffix: &str| PathBuf::from(format!("{}.broken-{stamp}{suffix}", path.display()));
    for suffix in ["-wal", "-shm"] {
        match fs::rename(format!("{}{suffix}", path.display()), aside(suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, aside(""))?;
    Ok(aside(""))
}
