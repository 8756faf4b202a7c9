//! The thread that redacts and writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use super::files::{Folder, Growing};
use super::{Item, Label, Settings, What};
use crate::capture::har_writer::{Row, head, row};
use crate::capture::redact::{self, Redactor};
use crate::xml::{self, Limits};

/// How long a disk that refused a row is left alone.
const RETRY: Duration = Duration::from_secs(10);

/// Runs until every tape and the recorder are gone.
pub(super) fn run(items: &Receiver<Item>, queued: &AtomicUsize) {
    let mut writer = Writer::default();
    while let Ok(item) = items.recv() {
        let bytes = item.what.bytes();
        writer.take(item, Instant::now());
        queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Writer {
    /// By service, so that a secret has one name in all recordings of it. A change of what is kept begins anew.
    redactors: HashMap<(Arc<str>, bool), Redactor>,
    reels: HashMap<u64, Reel>,
    /// Services whose trouble was said.
    troubled: HashMap<Arc<str>, String>,
}

/// One connection's recording.
struct Reel {
    label: Label,
    settings: Settings,
    /// Redacted.
    url: String,
    file: Option<Growing>,
    /// The file before, which is full.
    before: Option<String>,
    /// Rows that were left out since the last one.
    missed: u64,
    /// Since when the disk refuses.
    refused: Option<Instant>,
}

impl Writer {
    fn take(&mut self, item: Item, now: Instant) {
        let Item { tape, at, missed, what } = item;
        let Some(mut reel) = self.reels.remove(&tape).or_else(|| self.reel(&what)) else {
            if let What::Flush(done) = what {
                // Who waited may have stopped waiting.
                let _ = done.try_send(());
            }
            return;
        };
        if missed > 0 && reel.missed == 0 {
            warn!(service = %reel.label.service, session = reel.label.slot, missed, "the recording lags behind; messages are left out");
        }
        reel.missed += missed;
        match what {
            What::Said(direction, text) => {
                let redactor = self.redactor(&reel.label, &reel.settings);
                let text = match xml::parse(text.as_bytes(), &unbounded()) {
                    Ok(element) => redact::to_string(redactor, &element),
                    Err(_) => redactor.broken(&text),
                };
                self.write(&mut reel, Row::Message(direction, &text), at, now);
            }
            What::Event(text) => {
                let text = self.redactor(&reel.label, &reel.settings).text(&text);
                self.write(&mut reel, Row::Event(&text), at, now);
            }
            What::End if reel.missed > 0 => {
                self.write(&mut reel, Row::Event("the recording ends"), at, now);
                return;
            }
            What::End => return,
            What::Begin { .. } | What::Flush(_) => {}
        }
        self.reels.insert(tape, reel);
    }

    fn reel(&mut self, what: &What) -> Option<Reel> {
        let What::Begin { label, settings, url } = what else { return None };
        let url = self.redactor(label, settings).url(url);
        let (label, settings) = (label.clone(), settings.clone());
        Some(Reel { label, settings, url, file: None, before: None, missed: 0, refused: None })
    }

    fn redactor(&mut self, label: &Label, settings: &Settings) -> &mut Redactor {
        let key = (label.service.clone(), settings.content);
        self.redactors.entry(key).or_insert_with(|| Redactor::recording(settings.content))
    }

    fn write(&mut self, reel: &mut Reel, what: Row<'_>, at: Timestamp, now: Instant) {
        if reel.refused.is_some_and(|since| now < since + RETRY) {
            reel.missed += 1;
            return;
        }
        match self.try_write(reel, what, at) {
            Ok(()) => {
                reel.refused = None;
                if self.troubled.remove(&reel.label.service).is_some() {
                    info!(service = %reel.label.service, folder = %reel.settings.folder.display(), "recording again");
                }
            }
            Err(error) => {
                reel.missed += 1;
                reel.refused = Some(now);
                let error = error.to_string();
                if self.troubled.insert(reel.label.service.clone(), error.clone()).is_none() {
                    let folder = reel.settings.folder.display();
                    warn!(service = %reel.label.service, %folder, error, "not recording; rooms are held all the same");
                }
            }
        }
    }

    fn try_write(&mut self, reel: &mut Reel, what: Row<'_>, at: Timestamp) -> std::io::Result<()> {
        if reel.file.as_ref().is_some_and(Growing::is_gone) {
            warn!(
                service = %reel.label.service, folder = %reel.settings.folder.display(),
                "a recording was removed while it was written; it goes on in a new file"
            );
            reel.file = None;
        }
        let line = row(what, at, false);
        if let Some(full) = reel.file.take_if(|file| file.rows > 0 && !file.has_room(line.len())) {
            reel.before = Some(full.name);
        }
        if reel.file.is_none() {
            reel.file = Some(self.begin(reel, at)?);
        }
        let Some(file) = &mut reel.file else { return Ok(()) };
        if reel.missed > 0 {
            let gap = format!("{} messages are missing here: they could not be written in time", reel.missed);
            file.append(&row(Row::Event(&gap), at, file.rows == 0))?;
            reel.missed = 0;
        }
        file.append(&row(what, at, file.rows == 0))
    }

    fn begin(&self, reel: &Reel, at: Timestamp) -> std::io::Result<Growing> {
        let Label { service, slot, account } = &reel.label;
        let folder = Folder::open(&reel.settings.folder)?;
        let (file, name) = folder.create(&reel.label, at)?;
        let who = if *account { ", the account's login" } else { "" };
        let continues = reel.before.as_ref().map(|before| format!("; continues {before}")).unwrap_or_default();
        let comment = format!("service {service}, session {slot}{who}; redacted{continues}");
        let growing = Growing::begin(file, name, &head(&reel.url, at, &comment))?;
        let written = |reel: &Reel| reel.file.as_ref().map(|file| file.name.clone());
        let mut open: Vec<String> = self.reels.values().filter_map(written).collect();
        open.push(growing.name.clone());
        folder.prune(service, &open)?;
        Ok(growing)
    }
}

/// What the transport took once is taken again.
fn unbounded() -> Limits {
    Limits { stanza_bytes: usize::MAX, token_bytes: usize::MAX, nodes: usize::MAX, ..Limits::default() }
}
