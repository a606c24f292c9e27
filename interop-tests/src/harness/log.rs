//! The log of a router process, as it is written.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::patience;
use super::run::register;

/// Lines kept. A hostile peer makes a router talkative, and tests look at recent lines only.
const KEPT: usize = 200_000;

/// Severity of a log line that asks for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything below a warning, and output that is no log line.
    Info,
    /// `(warning)`.
    Warning,
    /// `(error)`.
    Error,
    /// `(critical)`.
    Critical,
}

/// A point in a log: lines before it are older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

/// Collected output of one router, over all its restarts.
#[derive(Debug, Default)]
pub struct Log {
    name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Number of lines dropped from the front, so `first + lines.len()` counts all lines ever written.
    first: usize,
    /// Pipes that may still deliver lines.
    open: usize,
}

// === impl Level ===

impl Level {
    /// Level of one line of output: the first known `(level)` in it, or a crash report.
    pub fn of(line: &str) -> Self {
        // The level is the second word after the time stamp, and texts may quote other levels: take the earliest.
        let levels = [
            (Self::Warning, "(warning)"),
            (Self::Error, "(error)"),
            (Self::Critical, "(critical)"),
            (Self::Critical, "panicked at"),
            (Self::Critical, "FATAL ERROR"),
        ];
        let found = levels.iter().filter_map(|(level, tag)| line.find(tag).map(|at| (at, *level)));
        found.min_by_key(|(at, _)| *at).map_or(Self::Info, |(_, level)| level)
    }
}

// === impl Log ===

impl Log {
    /// An empty log, which is shown if the test fails.
    pub fn new(name: &str) -> Arc<Self> {
        let log = Arc::new(Self { name: name.to_owned(), ..Self::default() });
        register(&log);
        log
    }

    /// Collects what a process writes.
    pub fn follow_process(self: &Arc<Self>, child: &mut Child) {
        if let Some(pipe) = child.stdout.take() {
            self.follow(pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            self.follow(pipe);
        }
    }

    /// Collects `pipe` until its end, in a thread of its own.
    fn follow(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        self.lock().open += 1;
        let log = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                log.push(String::from_utf8_lossy(&line).into_owned());
            }
            log.lock().open -= 1;
            log.changed.notify_all();
        });
    }

    fn push(&self, line: String) {
        let mut state = self.lock();
        state.lines.push_back(line);
        if state.lines.len() > KEPT {
            state.lines.pop_front();
            state.first += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The present end of the log.
    pub fn mark(&self) -> Mark {
        let state = self.lock();
        Mark(state.first + state.lines.len())
    }

    /// Waits for a line after `since` that contains `text`.
    pub fn wait_for(&self, since: Mark, text: &str) -> Result<String> {
        let deadline = Instant::now() + patience();
        let mut state = self.lock();
        let mut next = since.0;
        loop {
            let from = next.saturating_sub(state.first);
            if let Some(line) = state.lines.iter().skip(from).find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            next = state.first + state.lines.len();
            if state.open == 0 {
                bail!("router {} ended without logging {text:?}", self.name);
            }
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.with_context(|| format!("router {} did not log {text:?} in time", self.name))?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lines after `since` of at least `level`.
    pub fn lines(&self, since: Mark, level: Level) -> Vec<String> {
        let state = self.lock();
        let lines = state.lines.iter().skip(since.0.saturating_sub(state.first));
        lines.filter(|line| Level::of(line) >= level).cloned().collect()
    }

    /// Fails if there is an `(error)` or `(critical)` line after `since` that contains none of `explained`.
    pub fn expect_no_errors(&self, since: Mark, explained: &[String]) -> Result<()> {
        let mut lines = self.lines(since, Level::Error);
        lines.retain(|line| !explained.iter().any(|text| line.contains(text.as_str())));
        if lines.is_empty() {
            return Ok(());
        }
        bail!("router {} logged unexplained errors:\n  {}", self.name, lines.join("\n  "))
    }

    /// Prints the newest lines, for a failed test.
    pub(crate) fn dump(&self, newest: usize) {
        let state = self.lock();
        let skipped = state.lines.len().saturating_sub(newest);
        eprintln!("--- log of router {} ({} earlier lines left out)", self.name, state.first + skipped);
        for line in state.lines.iter().skip(skipped) {
            eprintln!("{line}");
        }
        eprintln!("--- end of log of router {}", self.name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panicking test thread leaves nothing half-done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_the_first_one_named() {
        assert_eq!(Level::of("10:00:00.000000 +0000 SERVER (info) text"), Level::Info);
        assert_eq!(Level::of("SERVER (warning) then (critical)"), Level::Warning);
        assert_eq!(Level::of("thread 'main' panicked at src/main.rs"), Level::Critical);
    }

    #[test]
    fn lines_after_a_mark() -> Result<()> {
        let log = Log::new("x");
        log.push("A (error) one".into());
        let mark = log.mark();
        log.push("A (info) two".into());
        log.expect_no_errors(mark, &[])?;
        assert!(log.expect_no_errors(Mark::default(), &[]).is_err());
        log.expect_no_errors(Mark::default(), &["one".to_owned()])
    }
}
