//! The thread that writes the lines of an output.

use super::output::{Batch, Output, Queue};
use router_engine::log::{Level, LogModule};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The output that is no stream of octets.
pub(super) const SYSLOG: &str = "syslog";

/// Facility `daemon` of syslog, in its place in a priority.
const FACILITY: u8 = 3 << 3;

/// Octets written at once: what a pipe takes whole (PIPE_BUF), so that lines of several writers do not mix.
const BATCH: usize = 4096;

/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// From the refusal of an output that does not block to the next attempt.
const BUSY: Duration = Duration::from_millis(20);

/// How often it is looked whether a file is still where it was.
const FOLLOW: Duration = Duration::from_secs(1);

/// What is written to.
pub(super) enum Target {
    Syslog(UnixDatagram),
    Stream(File),
}

/// Why nothing is written.
enum Failure {
    Open(io::Error),
    Write(io::Error),
}

/// Starts the writer of `queue`.
///
/// # Errors
/// When there can be no more threads.
pub(super) fn spawn(name: &str, target: Option<Target>, queue: Arc<Queue>) -> io::Result<()> {
    let name = name.to_owned();
    thread::Builder::new().name("log".to_owned()).spawn(move || run(&name, target, &queue))?;
    Ok(())
}

/// Whether opening the output may take until somebody reads it.
pub(super) fn waits_to_open(name: &str) -> bool {
    std::fs::metadata(name).is_ok_and(|found| found.file_type().is_fifo())
}

fn run(name: &str, mut target: Option<Target>, queue: &Queue) {
    let limit = if name == SYSLOG { 0 } else { BATCH };
    let mut followed = Instant::now();
    while let Some(mut batch) = queue.next(limit) {
        let is_due = followed.elapsed() >= FOLLOW;
        if is_due {
            followed = Instant::now();
        }
        if queue.is_stale() || is_due && target.as_ref().is_some_and(|target| target.has_moved(name)) {
            target = None;
        }
        while let Err(failure) = attempt(name, &mut target, &mut batch) {
            let pause = if failure.is_busy() {
                BUSY
            } else {
                if queue.failed() {
                    complain(name, &failure);
                }
                RETRY
            };
            if !queue.pause(pause) {
                return;
            }
        }
        if let Some(dropped) = queue.written() {
            let text = "takes lines again";
            router_engine::log!(LogModule::Router, Level::Warning, "Log output '{name}' {text}; {dropped} were lost");
        }
    }
}

/// Writes what is left of the batch, opening the output when it is not.
fn attempt(name: &str, target: &mut Option<Target>, batch: &mut Batch) -> Result<(), Failure> {
    let open = match target {
        Some(open) => open,
        None => target.insert(Target::open(name).map_err(Failure::Open)?),
    };
    open.write(batch).map_err(|error| {
        // It may be another file or socket by now.
        if error.kind() != io::ErrorKind::WouldBlock {
            *target = None;
        }
        Failure::Write(error)
    })
}

/// Tells stderr, unless it is stderr that fails.
fn complain(name: &str, failure: &Failure) {
    let stderr = Output::stderr();
    if name == stderr.name() {
        return;
    }
    let (what, error) = match failure {
        Failure::Open(error) => ("Failed to open log file", error),
        Failure::Write(error) => ("Cannot write log output to", error),
    };
    stderr.notice(Level::Error, &format!("{what} '{name}': {error}; the router goes on and tries again"));
}

// === impl Failure ===

impl Failure {
    /// The output works, and takes nothing just now.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

// === impl Target ===

impl Target {
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let duplicate = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(File::from);
        Ok(match name {
            "stdout" => Self::Stream(duplicate(&io::stdout())?),
            "stderr" => Self::Stream(duplicate(&io::stderr())?),
            SYSLOG => {
                let socket = UnixDatagram::unbound()?;
                socket.connect("/dev/log")?;
                Self::Syslog(socket)
            }
            path => Self::Stream(OpenOptions::new().append(true).create(true).open(path)?),
        })
    }

    /// Whether its file was renamed or removed, as it is where logs rotate by size.
    fn has_moved(&self, name: &str) -> bool {
        let Self::Stream(file) = self else { return false };
        let Ok(open) = file.metadata() else { return false };
        let is_it = |found: std::fs::Metadata| (found.dev(), found.ino()) == (open.dev(), open.ino());
        open.is_file() && !matches!(name, "stdout" | "stderr") && !std::fs::metadata(name).is_ok_and(is_it)
    }

    fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        match self {
            Self::Syslog(socket) => {
                let (priority, process) = (priority(batch.level), std::process::id());
                let message = format!("<{priority}>skrouterd[{process}]: {}", batch.text.trim_end());
                socket.send(message.as_bytes()).map(|_| ())
            }
            Self::Stream(file) => write_rest(file, batch),
        }
    }
}

/// Remembers how far it came, so that no octet is written twice.
fn write_rest(file: &mut File, batch: &mut Batch) -> io::Result<()> {
    while batch.written < batch.text.len() {
        match file.write(&batch.text.as_bytes()[batch.written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => batch.written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn priority(level: Level) -> u8 {
    FACILITY
        | match level {
            Level::Critical => 2,
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
            Level::Debug => 7,
        }
}
