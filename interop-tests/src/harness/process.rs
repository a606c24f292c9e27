//! Foreign programs: clients that run to their end, and such that are talked with.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{eventually_within, patience};

/// Longer than the patience of the scripts, so that their own complaint comes first.
const LIMIT: Duration = Duration::from_secs(90);

/// Runs a program with that input until it succeeds, and returns its output.
///
/// # Errors
/// If it fails, with all that it said, or does not end in time.
pub fn output_of(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let output = finish(command, input, LIMIT)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let [said, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    bail!("{command:?}: {}\n{said}{complained}", output.status)
}

/// Runs a program with that input until it ends, however it does. It is killed at the limit.
///
/// # Errors
/// If it does not start, or not end in time.
pub fn finish(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = (stdout.map(collect), stderr.map(collect));
    let ended = thread::scope(|scope| {
        // A program that ends early does not read it all, and tells by its status whether that is right.
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
        let ended = eventually_within(limit, "it ends", || child.try_wait()?.context("still running"));
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        ended
    });
    let octets = |reader: Option<JoinHandle<Vec<u8>>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let (stdout, stderr) = (octets(stdout), octets(stderr));
    match ended {
        Ok(status) => Ok(Output { status, stdout, stderr }),
        Err(error) => {
            let [said, complained] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            bail!("{command:?}: {error:#}\n{said}{complained}")
        }
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = pipe.read_to_end(&mut octets);
        octets
    })
}

/// A program that reads and writes lines, killed when dropped.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

// === impl Dialogue ===

impl Dialogue {
    /// Starts the program.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        for pipe in [stdout, stderr].into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, lines, name })
    }

    /// Writes a line to it.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input has ended")?;
        writeln!(stdin, "{line}").with_context(|| format!("telling {}", self.name))
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line, of its output or its errors, that contains `text`. Earlier ones are forgotten.
    pub fn hear(&self, text: &str) -> Result<String> {
        let mut other = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(patience()) {
            if line.contains(text) {
                return Ok(line);
            }
            other.push(line);
        }
        bail!("{} did not say {text:?}, but: {}", self.name, other.join(" | "))
    }

    /// Interrupts it, as Ctrl-C does.
    pub fn interrupt(&self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("process id 0")?;
        Ok(kill_process(pid, Signal::INT)?)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
