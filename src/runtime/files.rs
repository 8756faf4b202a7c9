//! The files that a configuration points to, as they lie on the disk.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::{Content, Files};

/// Largest configuration or secret file that is read, bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Why a file can not be read, without the system's numbers.
#[must_use]
pub fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// The files as they lie on the disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Content, String> {
        let file = fs::File::open(path).map_err(|error| in_words(&error))?;
        let meta = file.metadata().map_err(|error| in_words(&error))?;
        if meta.is_dir() {
            return Err("is a folder".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| in_words(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("larger than {} MiB", MOST_BYTES / 1024 / 1024));
        }
        Ok(Content { bytes, others_may_read: meta.permissions().mode() & 0o004 != 0 })
    }
}
