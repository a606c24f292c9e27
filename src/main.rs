//! The router daemon: command line, start, signals, end.

mod cli;
mod crash;
mod daemon;
mod launch;
mod manager;
mod server;
mod site;

use adaptors::runtime::Io;
use cli::{Command, Options, UsageError};
use daemon::Stage;
use management::RouterError;
use management::config::Reloader;
use management::config::audit::audit;
use router_engine::log::{Level, LogModule};
use server::Ending;
use std::io::Write;
use std::process::ExitCode;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).peekable();
    let program = arguments.next().unwrap_or_else(|| "skrouterd".to_owned());
    let stage = if arguments.peek().is_some_and(|a| a == daemon::STAGE) {
        arguments.nth(1).and_then(|name| Stage::parse(&name))
    } else {
        None
    };
    match stage {
        Some(Stage::Session) => return daemon::lead_session(),
        Some(Stage::Interrupt) => return daemon::interrupted(),
        Some(Stage::Daemon) | None => {}
    }
    let is_launcher = std::path::Path::new(&program).file_name().is_some_and(|name| name == launch::NAME);
    if is_launcher || arguments.peek().is_some_and(|word| word == launch::WORD) {
        return launch::launch();
    }
    if arguments.peek().is_some_and(|word| word == site::WORD) {
        return site::main(&program, arguments.skip(1));
    }
    match cli::parse(&program, arguments) {
        Ok(Command::Run(options)) if options.daemon && stage.is_none() => daemon::start(),
        Ok(Command::Run(options)) => run(&program, options, stage.is_some()),
        Ok(Command::Check(config)) => check(&config),
        Ok(Command::Version) => print(router_engine::VERSION),
        Ok(Command::Help) => print(cli::usage(&program).trim_end()),
        Err(UsageError(complaint)) => {
            let _ = writeln!(std::io::stderr(), "{complaint}");
            print(cli::usage(&program).trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Success only if a router could be started with the file. Nothing is logged.
fn check(config: &str) -> ExitCode {
    let report = audit(config);
    let told = write!(std::io::stdout(), "{report}");
    if report.is_clean() && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn run(program: &str, mut options: Options, is_daemon: bool) -> ExitCode {
    let _last_lines = LastLines;
    prepare(program);
    if is_daemon && daemon::settle(&mut options).is_err() {
        // Nothing is said, by agreement with start scripts; no report makes the starter fail.
        return ExitCode::FAILURE;
    }
    let on_start = |_: &Io, _: &Reloader| {
        if is_daemon {
            daemon::report(None);
        }
    };
    let ended = check_library(&options).and_then(|()| server::run(&options, on_start));
    conclude(program, ended, is_daemon)
}

/// What comes before a router can start.
fn prepare(program: &str) {
    management::log::logger();
    crash::report_crashes(program);
}

/// Tells how a router ended.
fn conclude(program: &str, ended: Result<Ending, StartError>, is_daemon: bool) -> ExitCode {
    match ended {
        Ok(Ending::Stopped) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => {
            management::log::logger().flush();
            daemon::die_of_interrupt()
        }
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Err(failure) => {
            router_engine::log!(LogModule::Router, Level::Critical, "Router start-up failed: {failure}");
            let text = format!("{program}: {failure}");
            if is_daemon {
                daemon::report(Some(&text));
            } else {
                management::log::to_stderr(&text);
            }
            ExitCode::FAILURE
        }
    }
}

/// However the router ends, what it logged is written first.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        management::log::logger().flush();
    }
}

/// Nothing is read from the library, but scripts rely on complaints when it is not there.
fn check_library(options: &Options) -> Result<(), StartError> {
    let Some(path) = &options.library else { return Ok(()) };
    let text = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => format!("Run Time: Python library path '{path}' not a directory"),
        Err(error) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("Cannot find Python library path '{path}': {text}")
        }
    };
    router_engine::log!(LogModule::Error, Level::Error, "{text}");
    Err(StartError(text))
}

/// Why the router did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartError(String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RouterError> for StartError {
    fn from(error: RouterError) -> Self {
        Self(error.to_string())
    }
}
