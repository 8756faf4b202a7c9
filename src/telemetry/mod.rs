//! What the daemon says of itself: log lines here, readiness in [`health`].
//!
//! On a terminal a line has a time and colours; in the journal, which keeps the time itself, a priority. Whatever comes
//! from a stranger is made harmless before it is written, so that a nick can neither forge a line nor paint a terminal.
#![allow(clippy::disallowed_methods)]

use std::fmt;
use std::io::IsTerminal;

use jiff::Timestamp;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

pub mod health;
pub mod text;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `journal` where the journal reads our standard error, else `human`.
    #[default]
    Auto,
    /// With time, and with colours on a terminal.
    Human,
    /// With the priority as the journal reads it, without time.
    Journal,
    /// One JSON object a line.
    Json,
}

/// Starts the log on standard error. `level` is a word (`debug`) or a list of directives (`innkeeper::room=trace,info`).
///
/// # Errors
/// The level is none, or a log is already there.
pub fn init(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(directives(level)).map_err(|error| format!("no log level {level:?}: {error}"))?;
    // What other crates say at trace are bytes of the wire, passwords included.
    let capped = filter_fn(|line| line.target().starts_with("innkeeper") || *line.level() <= Level::DEBUG)
        .with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(capped);
    let format = match format {
        LogFormat::Auto if is_journal() => LogFormat::Journal,
        LogFormat::Auto => LogFormat::Human,
        other => other,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = if format == LogFormat::Json {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        let journal = format == LogFormat::Journal;
        layer.event_format(Line { journal, colour: !journal && text::colour(&std::io::stderr()) }).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().map_err(|error| error.to_string())
}

/// A bare level is ours; the libraries stay at `info` until somebody asks for `trace`.
fn directives(level: &str) -> String {
    match level.trim().to_lowercase().as_str() {
        "" => "info".to_owned(),
        "debug" => "info,innkeeper=debug".to_owned(),
        "trace" => "debug,innkeeper=trace".to_owned(),
        _ => level.trim().to_owned(),
    }
}

/// Whether standard error is the journal's own stream: systemd.exec(5), `$JOURNAL_STREAM`.
fn is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|found| format!("{}:{}", found.st_dev, found.st_ino) == stream)
}

/// One line of the log.
struct Line {
    journal: bool,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let (priority, word, paint) = match *meta.level() {
            Level::ERROR => (3, "ERROR", "31"),
            Level::WARN => (4, "WARN ", "33"),
            Level::INFO => (6, "INFO ", "32"),
            Level::DEBUG => (7, "DEBUG", "34"),
            Level::TRACE => (7, "TRACE", "35"),
        };
        if self.journal {
            write!(writer, "<{priority}>")?;
        } else {
            let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
            if self.colour {
                write!(writer, "\x1b[2m{time}\x1b[0m \x1b[{paint}m{word}\x1b[0m ")?;
            } else {
                write!(writer, "{time} {word} ")?;
            }
        }
        let mut line = String::new();
        if !meta.target().starts_with("innkeeper") {
            line.push_str(meta.target());
            line.push_str(": ");
        }
        ctx.field_format().format_fields(format::Writer::new(&mut line), event)?;
        for span in ctx.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                line.push(' ');
                line.push_str(fields);
            }
        }
        writeln!(writer, "{}", text::printable(&line))
    }
}

/// Whether people look at this stream directly.
#[must_use]
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn journal(say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Line { journal: true, colour: false });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_journal_line_has_a_priority_and_no_time() {
        let text = journal(|| tracing::warn!(room = "tavern", "room lost"));
        assert_eq!(text, "<4>room lost room=\"tavern\"\n");
    }

    #[test]
    fn a_hostile_value_can_not_forge_a_line_or_paint_the_terminal() {
        let text = journal(|| tracing::info!(nick = %"a\n<0>forged\u{1b}[31m\u{202e}", "joined"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn levels_are_words_or_directives() {
        assert_eq!(directives("debug"), "info,innkeeper=debug");
        assert_eq!(directives("warn,innkeeper::room=trace"), "warn,innkeeper::room=trace");
    }
}
