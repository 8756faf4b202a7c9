//! What a command reads from a file or from standard input.

use std::io::Read;
use std::path::Path;

use crate::runtime::files::in_words;

/// A text, of which at most so many bytes are read: in the file, or on standard input where there is none or it is `-`.
///
/// # Errors
/// Why it can not be read, with the place.
pub(super) fn text(file: Option<&Path>, most: u64) -> Result<String, String> {
    let mut text = String::new();
    let read = match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)),
        None => std::io::stdin().lock().take(most).read_to_string(&mut text),
    };
    read.map_err(|error| format!("{}: {}", place(file), in_words(&error)))?;
    Ok(text)
}

/// Where a text came from, in words.
pub(super) fn place(file: Option<&Path>) -> String {
    file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string())
}
