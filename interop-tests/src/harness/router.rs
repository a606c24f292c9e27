//! One router process: start, stop, kill, start again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Binary, Log, Mark, RouterConfig, eventually};

/// Logged at the end of the start, about the time at which the listeners open.
const OPERATIONAL: &str = "Operational, ";

/// A router process. Dropping it kills the process.
#[derive(Debug)]
pub struct Router {
    id: String,
    binary: Binary,
    config: PathBuf,
    listeners: Vec<String>,
    log: Arc<Log>,
    child: Option<Child>,
}

// === impl Router ===

impl Router {
    /// Starts `binary` with `config` in `folder` and waits until its AMQP listeners are open.
    pub fn start(binary: &Binary, config: &RouterConfig, folder: &Path) -> Result<Self> {
        let path = folder.join(format!("{}.conf", config.id()));
        fs::write(&path, config.text()).with_context(|| format!("writing {}", path.display()))?;
        let log = Log::new(&format!("{} ({})", config.id(), binary.name()));
        let mut router = Self {
            id: config.id().to_owned(),
            binary: binary.clone(),
            config: path,
            listeners: config.listeners().to_vec(),
            log,
            child: None,
        };
        router.launch()?;
        Ok(router)
    }

    /// Starts the process again, after [`Self::kill`] or [`Self::terminate`], and waits until its AMQP listeners are open.
    pub fn launch(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("router {} runs already", self.id);
        }
        let mark = self.log.mark();
        let mut command = self.binary.command();
        command.arg("-c").arg(&self.config).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", self.binary.program().display()))?;
        self.log.follow_process(&mut child);
        self.child = Some(child);
        self.log.wait_for(mark, OPERATIONAL)?;
        for listener in &self.listeners {
            self.log.wait_for(mark, &format!("Listening on {listener}"))?;
        }
        Ok(())
    }

    /// Ends the process without any chance to clean up.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("killing the router")?;
            child.wait().context("reaping the router")?;
        }
        Ok(())
    }

    /// Asks the process to end.
    pub fn ask_to_end(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::TERM).context("signalling the router")
    }

    /// Asks the process to end and waits for it.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.ask_to_end()?;
        self.wait_for_end()
    }

    /// Waits for a process that was asked to end.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("router is not running")?;
        let ended = eventually(&format!("router {} ends", self.id), || child.try_wait()?.context("still running"));
        if ended.is_err() {
            child.kill().context("killing a router that ignores SIGTERM")?;
            child.wait().context("reaping the router")?;
        }
        ended
    }

    /// Lets the process do nothing until [`Self::thaw`].
    pub fn freeze(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::STOP).context("stopping the router")
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::CONT).context("continuing the router")
    }

    /// Fails if the process has ended by itself.
    pub fn expect_alive(&mut self) -> Result<()> {
        let child = self.child.as_mut().context("router is not running")?;
        match child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("router {} ended: {status}", self.id),
        }
    }

    /// Resident memory of the process in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?.as_raw_nonzero()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    }

    fn pid(&self) -> Result<Pid> {
        let child = self.child.as_ref().context("router is not running")?;
        let raw = i32::try_from(child.id())?;
        Pid::from_raw(raw).context("process id 0")
    }

    /// The router's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is the router under test.
    pub fn is_ours(&self) -> bool {
        self.binary.name() == "ours"
    }

    /// What the process has written, over all restarts.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Fails if the router logged an error, ever, that none of `explained` explains.
    pub fn expect_no_errors(&self, explained: &[String]) -> Result<()> {
        self.log.expect_no_errors(Mark::default(), explained)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Best effort: the test's verdict is out by now.
        let _ = self.kill();
    }
}
