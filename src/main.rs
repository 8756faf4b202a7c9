//! The process: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    innkeeper::cli::main(std::env::args_os())
}
