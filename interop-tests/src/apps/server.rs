//! A server process.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::{Certificates, Port, eventually, eventually_within};

/// How long a server may take to end when it is told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where a server is at home.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// For its files. It is the server's alone, and lives longer.
    pub folder: &'a Path,
    /// Its identity, if it is to speak TLS.
    pub tls: Option<&'a Certificates>,
}

/// A server process with its children, ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: Port,
    farewell: Signal,
}

// === impl Server ===

impl Server {
    /// Starts a server, and waits until its port takes connections. What it says goes into `server.log` of the folder.
    pub fn start(port: Port, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = folder.join("server.log");
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A group of its own, so that its children end with it.
        let child = command.process_group(0).spawn().with_context(|| format!("starting {command:?}"))?;
        let mut server = Self { child, port, farewell: Signal::TERM };
        let listening = eventually("the server listens", || match server.child.try_wait()? {
            // What does not run any more will not listen either; waiting would only hide the reason.
            Some(status) => Ok(Some(status)),
            None => Ok(TcpStream::connect(server.port.address()).map(|_| None)?),
        });
        let said = || fs::read_to_string(&log).unwrap_or_default();
        match listening {
            Ok(None) => Ok(server),
            Ok(Some(status)) => bail!("{command:?} has ended, {status}: {}", said()),
            Err(error) => Err(error.context(format!("{command:?}: {}", said()))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Sets the signal that ends it.
    #[must_use]
    pub fn ended_by(mut self, signal: Signal) -> Self {
        self.farewell = signal;
        self
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(self.farewell);
        let ended = eventually_within(FAREWELL, "the server ends", || self.child.try_wait()?.context("still running"));
        if ended.is_err() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
