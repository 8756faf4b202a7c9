//! `capture`: recorded dialogues, without a daemon.

use std::fs::File;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Exit;
use super::ask::json as pretty;
use super::print::{self, Paint};
use crate::capture::equiv::{self, Report, Verdict};
use crate::capture::explain;
use crate::capture::show::{self, Block, BlockKind};
use crate::capture::{self, Content, Dialogue, Direction, MOST_BYTES, Unreadable};
use crate::runtime::files::in_words;
use crate::runtime::replay;
use crate::telemetry::text::printable;
use crate::xml;

#[derive(Debug, Subcommand)]
pub(super) enum Capture {
    /// Show what was said, stanza by stanza, without secrets
    Show(Show),
    /// Say what happened in a recording, which refusals matter, and what configuration does the same
    Explain(Explain),
    /// Compare what two clients said; exit code 1 where they differ
    Diff(Diff),
    /// Play the server of a capture to this program's own client; exit code 1 where it says something else
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// A HAR file, a list of its messages, or lines; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what people say and are called, too
    #[arg(long)]
    content: bool,
    /// Show secrets as well, passwords and tokens included: on a terminal only, and after a question
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A HAR file, a list of its messages, or lines; - for standard input, where a line of a browser's log may stand, too
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// What was recorded
    #[arg(value_name = "RECORDED")]
    recorded: PathBuf,
    /// What is compared with it
    #[arg(value_name = "OURS")]
    ours: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// What was recorded
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Capture {
    pub(super) fn go(self) -> Exit {
        let done = match self {
            Capture::Show(verb) => verb.go(),
            Capture::Explain(verb) => verb.go(),
            Capture::Diff(verb) => verb.go(),
            Capture::Replay(verb) => verb.go(),
        };
        done.unwrap_or_else(|complaint| {
            eprintln!("innkeeper: {}", printable(&complaint));
            Exit::Failed
        })
    }
}

/// Reads a capture; the error names the file.
pub(super) fn read(path: &Path) -> Result<Dialogue, String> {
    let name = named(path);
    let bytes = bytes(path).map_err(|error| format!("{name}: {error}"))?;
    capture::read(&bytes).map_err(|error| format!("{name}: {error}"))
}

/// The file's bytes; no more than are looked at.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let most = MOST_BYTES as u64;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        let file = File::open(path).map_err(|error| in_words(&error))?;
        let length = file.metadata().map_err(|error| in_words(&error))?.len();
        if length > most {
            return Err(Unreadable::TooLarge(length).to_string());
        }
        file.take(most + 1).read_to_end(&mut bytes)
    };
    read.map_err(|error| in_words(&error))?;
    Ok(bytes)
}

impl Show {
    fn go(self) -> Result<Exit, String> {
        if self.raw && !consent()? {
            return Ok(Exit::Failed);
        }
        let dialogue = read(&self.file)?;
        let dialogue = if self.raw { dialogue } else { show::redacted(&dialogue, self.content) };
        if self.json {
            print::out(&pretty(&as_json(&dialogue)));
        } else {
            print::out(&page(&show::blocks(&dialogue), Paint::of_stdout()));
        }
        Ok(Exit::Done)
    }
}

/// Asks whether secrets may be shown. What is asked and answered by a program is refused.
fn consent() -> Result<bool, String> {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    if !input.is_terminal() || !output.is_terminal() {
        return Err("--raw shows passwords and tokens: only on a terminal, where a person is asked first".to_owned());
    }
    let mut error = std::io::stderr();
    let asked = error.write_all(b"This shows passwords, tokens and session-ids as they are. Type yes to go on: ");
    asked.and_then(|()| error.flush()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    input.lock().take(64).read_line(&mut answer).map_err(|error| error.to_string())?;
    Ok(answer.trim() == "yes")
}

fn page(blocks: &[Block], paint: Paint) -> String {
    let mut text = String::new();
    for (n, block) in blocks.iter().enumerate() {
        if block.kind == BlockKind::Connection && n > 0 {
            text.push('\n');
        }
        for line in &block.lines {
            let line = printable(line);
            text.push_str(&match block.kind {
                BlockKind::Connection => paint.bold(&line),
                BlockKind::Sent => paint.green(&line),
                BlockKind::Received => line.into_owned(),
                BlockKind::Event | BlockKind::Remark => paint.red(&line),
            });
            text.push('\n');
        }
        if block.kind == BlockKind::Connection {
            text.push('\n');
        }
    }
    text
}

fn as_json(dialogue: &Dialogue) -> Value {
    let connections = dialogue.connections.iter().map(|connection| {
        let messages = connection.messages.iter().map(|message| {
            let (key, value) = match &message.content {
                Content::Element(element) => ("xml", xml::to_string(element, None)),
                Content::Text { text, .. } => ("text", text.clone()),
                Content::Event(event) => ("event", event.clone()),
            };
            let direction = match message.direction {
                Direction::Sent => "sent",
                Direction::Received => "received",
            };
            json!({ "at": message.at.as_secs_f64(), "direction": direction, "place": message.place, key: value })
        });
        json!({
            "transport": show::carrier(connection.kind),
            "url": connection.url,
            "opened": connection.opened.map(|opened| opened.to_string()),
            "messages": messages.collect::<Vec<_>>(),
        })
    });
    let remarks = dialogue.remarks.iter().map(|remark| json!({ "place": remark.place, "text": remark.text }));
    json!({ "connections": connections.collect::<Vec<_>>(), "remarks": remarks.collect::<Vec<_>>() })
}

impl Explain {
    fn go(self) -> Result<Exit, String> {
        let name = named(&self.file);
        let bytes = bytes(&self.file).map_err(|error| format!("{name}: {error}"))?;
        let (facts, lines) = match capture::read(&bytes) {
            Ok(dialogue) => {
                let told = explain::explain(&dialogue);
                (serde_json::to_value(&told), told.sentences())
            }
            // What is no capture may be the line that people paste.
            Err(error) => match explain::log_line(&String::from_utf8_lossy(&bytes)) {
                Some(told) => (serde_json::to_value(&told), told.sentences()),
                None => return Err(format!("{name}: {error}")),
            },
        };
        if self.json {
            print::out(&pretty(&facts.map_err(|error| error.to_string())?));
            return Ok(Exit::Done);
        }
        let paint = Paint::of_stdout();
        let mut text = String::new();
        for line in lines {
            let line = printable(&line);
            let heading = line.starts_with("authentication: ") || line.starts_with("connection ");
            text.push_str(&if heading { paint.bold(&line) } else { line.into_owned() });
            text.push('\n');
        }
        print::out(&text);
        Ok(Exit::Done)
    }
}

impl Diff {
    fn go(self) -> Result<Exit, String> {
        let (recorded, ours) = (read(&self.recorded)?, read(&self.ours)?);
        let reports = equiv::diff(&recorded, &ours);
        if self.json {
            print::out(&pretty(&reports_json(&reports)));
        } else {
            print::out(&report_page(&reports, Paint::of_stdout()));
        }
        Ok(if reports.iter().any(Report::differs) { Exit::Failed } else { Exit::Done })
    }
}

impl Replay {
    fn go(self) -> Result<Exit, String> {
        let dialogue = read(&self.file)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
        let reports = runtime.block_on(replay::replay(&dialogue));
        let reports = reports.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
        if self.json {
            print::out(&pretty(&reports_json(&reports)));
        } else {
            print::out(&report_page(&reports, Paint::of_stdout()));
        }
        Ok(if reports.iter().any(Report::differs) { Exit::Failed } else { Exit::Done })
    }
}

/// A verdict in two cells: its word, and why.
fn verdict(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Same(notes) => {
            let notes = notes.iter().map(|note| {
                let side = if note.ours { "more" } else { "without" };
                format!("{side} {}: {}", note.row.name, note.row.reason)
            });
            ("same", notes.collect::<Vec<_>>().join("; "))
        }
        Verdict::Omitted(row) => ("omitted-by-design", row.reason.to_owned()),
        Verdict::Added(row) => ("added-by-design", row.reason.to_owned()),
        Verdict::Different(why) => ("different", why.clone()),
    }
}

/// How connections compare, as tables; what repeats itself is counted.
pub(super) fn report_page(reports: &[Report], paint: Paint) -> String {
    let mut text = String::new();
    let mut different = 0;
    for (number, report) in reports.iter().enumerate() {
        let mut rows: Vec<(Vec<String>, usize)> = Vec::new();
        for line in &report.lines {
            let (word, why) = verdict(&line.verdict);
            different += usize::from(word == "different");
            let row = vec![line.place.clone().unwrap_or_default(), line.what.clone(), word.to_owned(), why];
            match rows.last_mut() {
                Some((last, count)) if last[1..] == row[1..] => *count += 1,
                _ => rows.push((row, 1)),
            }
        }
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(mut row, count)| {
                if count > 1 {
                    row[1].push_str(&format!(" ×{count}"));
                }
                row
            })
            .collect();
        text.push_str(&paint.bold(&format!("connection {}", number + 1)));
        text.push('\n');
        text.push_str(&print::table(&["RECORDED AT", "WHAT", "VERDICT", "WHY"], &rows, paint));
        text.push('\n');
    }
    text.push_str(&match different {
        0 => "equivalent\n".to_owned(),
        1 => paint.red("different in 1 place") + "\n",
        many => paint.red(&format!("different in {many} places")) + "\n",
    });
    text
}

fn reports_json(reports: &[Report]) -> Value {
    let connections = reports.iter().map(|report| {
        let lines = report.lines.iter().map(|line| {
            let (word, why) = verdict(&line.verdict);
            json!({ "place": line.place, "what": line.what, "verdict": word, "why": why })
        });
        json!({ "different": report.differs(), "lines": lines.collect::<Vec<_>>() })
    });
    json!({ "different": reports.iter().any(Report::differs), "connections": connections.collect::<Vec<_>>() })
}
/// What a person calls a file.
fn named(path: &Path) -> std::borrow::Cow<'_, str> {
    if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() }
}
