//! `run`: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CONFIG, Exit};
use crate::app;
use crate::telemetry::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration file; `rooms.d` lies beside it
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Record what goes over every connection, without secrets, as HAR files in this folder
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a list of directives
    #[arg(long, value_name = "LEVEL", env = "INNKEEPER_LOG", default_value = "info")]
    log_level: String,
}

impl Run {
    pub(super) fn go(self) -> ExitCode {
        if let Err(error) = telemetry::init(self.log_format, &self.log_level) {
            eprintln!("innkeeper: {error}");
            return Exit::Usage.into();
        }
        // One thread: a session is serial anyway, and hundreds of them cost less here than on a pool.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(app::run(&self.config, self.record)),
            Err(error) => {
                tracing::error!(%error, "no event loop");
                Exit::Failed.into()
            }
        }
    }
}
