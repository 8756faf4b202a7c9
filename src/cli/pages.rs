//! `completions` and `man`: what shells and people read of the command line, made from it. Both work without a daemon.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::print;
use super::{Cli, Exit};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each command into this folder; else the first page goes to standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Completions {
    pub(super) fn go(self) -> Exit {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "innkeeper", &mut text);
        print::out(&String::from_utf8_lossy(&text));
        Exit::Done
    }
}

impl Man {
    pub(super) fn go(self) -> Exit {
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            // As it is done for a folder: help has no page of its own.
            let mut command = Cli::command().disable_help_subcommand(true);
            command.build();
            // Writing into memory does not fail.
            let _ = clap_mangen::Man::new(command).render(&mut page);
            print::out(&String::from_utf8_lossy(&page));
            return Exit::Done;
        };
        let written = std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(Cli::command(), &folder));
        match written {
            Ok(()) => Exit::Done,
            Err(error) => {
                print::err(&format!("innkeeper: {}: {error}", folder.display()));
                Exit::Failed
            }
        }
    }
}
