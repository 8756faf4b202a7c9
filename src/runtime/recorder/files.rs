//! Recordings on the disk: a folder that is ours alone, files that grow by rows and are whole after each.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Label;
use crate::capture::har_writer::TAIL;

/// Largest file; a connection goes on in another one.
pub(super) const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most files of one service; the oldest go.
pub(super) const FILES: usize = 40;
/// So many files of one name and millisecond are tried.
const TWINS: usize = 100;

/// A folder for recordings.
pub(super) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

impl Folder {
    /// Opens the folder, and makes it where there is none.
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let handle = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        if writable_by_others(rustix::fs::fstat(&handle)?.st_mode) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, OTHERS_WRITE));
        }
        Ok(Folder { path: path.to_owned(), handle })
    }

    /// See [`super::look_at`].
    pub(super) fn look_at(path: &Path) -> Result<Option<String>, String> {
        let shown = path.display();
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{shown}: {error}")),
            Ok(meta) if !meta.is_dir() => Err(format!("{shown} is no folder")),
            Ok(meta) if writable_by_others(meta.permissions().mode()) => Err(format!("{shown}: {OTHERS_WRITE}")),
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                Ok(Some(format!("others may see the names of recordings in {shown}; chmod 0700 it")))
            }
            Ok(_) => Ok(None),
        }
    }

    /// A new file, which nobody else may read, under a name that nobody has prepared.
    pub(super) fn create(&self, label: &Label, at: Timestamp) -> io::Result<(File, String)> {
        for twin in 0..TWINS {
            let name = name(label, at, twin);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            match rustix::fs::openat(&self.handle, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((File::from(file), name)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "a hundred files of that name are there"))
    }

    /// Removes the oldest files of a service beyond [`FILES`], but none that is still written.
    pub(super) fn prune(&self, service: &str, open: &[String]) -> io::Result<()> {
        let mut ours: Vec<(String, String)> = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if let Some(time) = time_of(&name, service) {
                ours.push((time.to_owned(), name));
            }
        }
        ours.sort();
        let many = ours.len().saturating_sub(FILES);
        for (_, name) in ours.iter().filter(|(_, name)| !open.contains(name)).take(many) {
            rustix::fs::unlinkat(&self.handle, name, rustix::fs::AtFlags::empty())?;
        }
        Ok(())
    }
}

const OTHERS_WRITE: &str = "others may write into the folder; chmod 0700 it or name another one";

fn writable_by_others(mode: u32) -> bool {
    mode & 0o022 != 0
}

/// `meet-s0-20261121T091500.123Z.har`
fn name(label: &Label, at: Timestamp, twin: usize) -> String {
    let time = at.strftime("%Y%m%dT%H%M%S.%3fZ");
    let account = if label.account { "account-" } else { "" };
    let twin = if twin == 0 { String::new() } else { format!("-{}", twin + 1) };
    format!("{}-s{}-{account}{time}{twin}.har", plain(&label.service), label.slot)
}

/// A service's name as part of a file's.
fn plain(service: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    service.chars().map(safe).collect()
}

/// The time in a name that [`name`] made for that service.
fn time_of<'a>(name: &'a str, service: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(&plain(service))?.strip_prefix("-s")?.strip_suffix(".har")?;
    let (slot, rest) = rest.split_once('-')?;
    let rest = rest.strip_prefix("account-").unwrap_or(rest);
    let (time, twin) = rest.split_once('-').unwrap_or((rest, "1"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shape = time.len() == 20
        && time.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'.',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    (digits(slot) && digits(twin) && shape).then_some(time)
}

/// A file that grows.
pub(super) struct Growing {
    file: File,
    /// The file's name in its folder.
    pub(super) name: String,
    /// Where the tail stands.
    end: u64,
    /// How many rows it has.
    pub(super) rows: usize,
}

impl Growing {
    /// Begins a file with its head.
    pub(super) fn begin(file: File, name: String, head: &str) -> io::Result<Growing> {
        let mut growing = Growing { file, name, end: 0, rows: 0 };
        growing.put(head)?;
        Ok(growing)
    }

    /// Whether another row of this length fits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end + bytes as u64 + TAIL.len() as u64 <= FILE_BYTES
    }

    /// Whether somebody removed the file.
    pub(super) fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// Appends a row. When that fails, the file is as it was before.
    pub(super) fn append(&mut self, row: &str) -> io::Result<()> {
        self.put(row)?;
        self.rows += 1;
        Ok(())
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        // In one call, so that a crash finds the file whole before or after it.
        let written = self.file.write_all_at(format!("{text}{TAIL}").as_bytes(), self.end);
        match written {
            Ok(()) => self.end += text.len() as u64,
            Err(_) => {
                // What was begun is taken back. Where even that fails, a reader stops at what is torn.
                let _ = self.file.set_len(self.end);
                let _ = self.file.write_all_at(TAIL.as_bytes(), self.end);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(service: &str, account: bool) -> Label {
        Label { service: service.into(), slot: 3, account }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_252_500 + second).unwrap()
    }

    #[test]
    fn a_name_tells_service_slot_and_time_and_nothing_leaves_the_folder() {
        assert_eq!(name(&label("meet", false), at(0), 0), "meet-s3-20261121T091500.000Z.har");
        assert_eq!(name(&label("../a b", true), at(0), 1), "___a_b-s3-account-20261121T091500.000Z-2.har");
        for (name, service, time) in [
            ("meet-s3-20261121T091500.000Z.har", "meet", Some("20261121T091500.000Z")),
            ("meet-s3-account-20261121T091500.000Z-2.har", "meet", Some("20261121T091500.000Z")),
            ("meet-s3-s1-20261121T091500.000Z.har", "meet", None),
            ("meet-s3-20261121T091500.000Z.har", "other", None),
            ("meet-s3-mine.har", "meet", None),
        ] {
            assert_eq!(time_of(name, service), time, "{name}");
        }
    }

    #[test]
    fn a_folder_is_ours_alone_and_files_are_new() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        // A name that somebody prepared is not followed.
        let planted = path.join(name(&label("meet", false), at(0), 0));
        std::os::unix::fs::symlink(parent.path().join("elsewhere"), &planted).unwrap();
        let (file, name) = folder.create(&label("meet", false), at(0)).unwrap();
        assert_eq!(name, "meet-s3-20261121T091500.000Z-2.har");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!parent.path().join("elsewhere").exists());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Folder::open(&path).is_err());
        assert!(Folder::look_at(&path).unwrap_err().contains("others may write"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Folder::look_at(&path).unwrap().unwrap().contains("chmod 0700"));
    }

    #[test]
    fn the_oldest_files_go_and_neither_open_nor_foreign_ones() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let mut names = Vec::new();
        for second in 0..FILES + 3 {
            let (_, name) = folder.create(&label("meet", false), at(i64::try_from(second).unwrap())).unwrap();
            names.push(name);
        }
        fs::write(parent.path().join("a.har"), "").unwrap();
        folder.prune("meet", &names[..1]).unwrap();
        let there = |name: &str| parent.path().join(name).exists();
        assert!(there(&names[0]) && !there(&names[1]) && !there(&names[3]) && there(&names[4]) && there("a.har"));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), FILES + 1);
    }

    #[test]
    fn a_row_that_can_not_be_written_leaves_the_file_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("f");
        fs::write(&path, "").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut growing = Growing::begin(file, "f".to_owned(), "head").unwrap();
        growing.append("row").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("headrow{TAIL}"));
        growing.file = File::open(&path).unwrap();
        assert!(growing.append("more").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("headrow{TAIL}"));
        assert_eq!(growing.rows, 1);
        assert!(!growing.is_gone());
        fs::remove_file(&path).unwrap();
        assert!(growing.is_gone());
    }
}
