//! Where lines go.

use parking_lot::Mutex;
use router_engine::log::Level;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// Facility `daemon` of syslog, in its place in a priority.
const FACILITY: u8 = 3 << 3;

/// A file, a standard stream, or syslog. Every line is written at once.
pub(super) struct Output {
    name: String,
    kind: Kind,
}

enum Kind {
    Stdout,
    Stderr,
    Syslog(UnixDatagram),
    File(Mutex<File>),
}

impl Output {
    pub(super) fn stderr() -> Arc<Self> {
        Arc::new(Self { name: "stderr".to_owned(), kind: Kind::Stderr })
    }

    pub(super) fn open(name: &str) -> io::Result<Self> {
        let kind = match name {
            "stdout" => Kind::Stdout,
            "stderr" => Kind::Stderr,
            "syslog" => {
                let socket = UnixDatagram::unbound()?;
                // Without a syslog daemon events go nowhere, as with the C library.
                let _ = socket.connect("/dev/log");
                Kind::Syslog(socket)
            }
            path => Kind::File(Mutex::new(OpenOptions::new().append(true).create(true).open(path)?)),
        };
        Ok(Self { name: name.to_owned(), kind })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether whoever takes the lines adds the time.
    pub(super) fn has_own_time(&self) -> bool {
        matches!(self.kind, Kind::Syslog(_))
    }

    /// Writes a line. A file that cannot be written ends the process: an operator who asked for a
    /// log must not run without one unawares.
    pub(super) fn write(&self, level: Level, line: &str) {
        match &self.kind {
            Kind::Stdout => {
                let mut out = io::stdout().lock();
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }
            Kind::Stderr => {
                let _ = io::stderr().lock().write_all(line.as_bytes());
            }
            Kind::Syslog(socket) => {
                let message = format!("<{}>skrouterd[{}]: {}", priority(level), std::process::id(), line.trim_end());
                let _ = socket.send(message.as_bytes());
            }
            Kind::File(file) => {
                if let Err(error) = file.lock().write_all(line.as_bytes()) {
                    let _ = writeln!(io::stderr(), "Cannot write to log file '{}': {error}", self.name);
                    std::process::exit(1);
                }
            }
        }
    }
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
