//! Running as a SysV-style daemon.
//!
//! Forking a program that may have threads is not safe, so the program starts itself anew instead:
//!
//! ```text
//!  starter --stage 1--> session leader --stage 2--> daemon
//!     ^                  (setsid, ends)               |
//!     '------------- "ok" or an error text -----------'   (a pipe, its stdin until it has started)
//! ```
//!
//! Whatever else the daemon writes, such as a log that is configured to go to stdout, goes to `/dev/null`.

use crate::cli::Options;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{User, dup2_stdin, setsid, setuid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// An argument that only this program gives itself; the stage follows.
pub(crate) const STAGE: &str = "--daemon-stage";

/// The stages of the program beside the ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Leads the session that the daemon is in.
    Session,
    /// The daemon.
    Daemon,
    /// Dies of SIGINT, in the place of a router that did its work.
    Interrupt,
}

/// What the daemon tells the starter when it has started.
const STARTED: &[u8] = b"ok";

// === impl Stage ===

impl Stage {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Session, Self::Daemon, Self::Interrupt].into_iter().find(|stage| stage.name() == text)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Daemon => "daemon",
            Self::Interrupt => "interrupt",
        }
    }
}

/// This program, to be started in another stage with the arguments that it was given.
fn successor(stage: Stage) -> io::Result<Command> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.arg(STAGE).arg(stage.name());
    // Behind the name, a former stage is in the way.
    let mut rest = arguments.peekable();
    if rest.peek().is_some_and(|a| a == STAGE) {
        rest.nth(1);
    }
    command.args(rest);
    Ok(command)
}

/// Starts the daemon and waits until it tells how that went.
pub(crate) fn start() -> ExitCode {
    match run_session() {
        Ok(report) if report == STARTED => ExitCode::SUCCESS,
        Ok(report) => {
            let _ = io::stderr().write_all(&report);
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "skrouterd: cannot start the daemon: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_session() -> io::Result<Vec<u8>> {
    let mut command = successor(Stage::Session)?;
    let (mut pipe, daemons_end) = io::pipe()?;
    command.stdin(daemons_end).stdout(Stdio::null()).stderr(Stdio::null());
    let mut session = command.spawn()?;
    // The report ends when the last writer is gone, of which the command is one.
    drop(command);
    let mut report = Vec::new();
    pipe.read_to_end(&mut report)?;
    session.wait()?;
    Ok(report)
}

/// Begins a session, starts the daemon in it, and ends, so that the daemon never gets a terminal.
pub(crate) fn lead_session() -> ExitCode {
    let started = setsid().map_err(io::Error::from).and_then(|_| successor(Stage::Daemon)?.spawn());
    if started.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In the daemon, before it reads its configuration: leaves the starter's surroundings.
///
/// # Errors
/// When the process id cannot be written or there is no such user.
pub(crate) fn settle(options: &mut Options) -> io::Result<()> {
    umask(Mode::empty());
    options.config = std::path::absolute(&options.config)?.display().to_string();
    if let Some(library) = &mut options.library {
        *library = std::path::absolute(&*library)?.display().to_string();
    }
    let pidfile = options.pidfile.as_ref().map(std::path::absolute).transpose()?;
    std::env::set_current_dir("/")?;
    if let Some(file) = pidfile {
        write_pid(&file)?;
    }
    if let Some(name) = &options.user {
        let user = User::from_name(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        setuid(user.uid)?;
    }
    Ok(())
}

fn write_pid(file: &Path) -> io::Result<()> {
    writeln!(File::create(file)?, "{}", std::process::id())
}

/// In the daemon: tells the starter that all is well, or what is not, and lets go of it.
pub(crate) fn report(failure: Option<&str>) {
    if let Ok(pipe) = io::stdin().as_fd().try_clone_to_owned() {
        let mut pipe = File::from(pipe);
        let _ = match failure {
            None => pipe.write_all(STARTED),
            Some(text) => writeln!(pipe, "{text}"),
        };
    }
    if let Ok(null) = File::open("/dev/null") {
        let _ = dup2_stdin(&null);
    }
}

/// Ends the process as SIGINT would have: whoever waits for it can tell. The first process of a container cannot
/// die of a signal of its own; it just ends.
pub(crate) fn die_of_interrupt() -> ExitCode {
    if std::process::id() == 1 {
        return ExitCode::SUCCESS;
    }
    // A new program has no handlers, so that the signal does what it does by default.
    if let Ok(mut command) = successor(Stage::Interrupt) {
        let _ = command.exec();
    }
    ExitCode::from(130)
}

/// The stage that [`die_of_interrupt`] turns to.
pub(crate) fn interrupted() -> ExitCode {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT);
    ExitCode::from(130)
}
