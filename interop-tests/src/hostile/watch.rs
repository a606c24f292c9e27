//! What an attack costs a router: memory, lines in the log, and its other peers' time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::harness::{Level, Mark, Router};

/// Longest line of a log: whatever peers say, it is shortened.
const LINE_MAX: usize = 2000;

/// A router that is looked at while it is attacked.
#[derive(Debug)]
pub struct Watch<'a> {
    router: &'a Router,
    /// KiB.
    before: u64,
    highest: Cell<u64>,
    slowest: Cell<Duration>,
    mark: Mark,
    begun: Instant,
}

// === impl Watch ===

impl<'a> Watch<'a> {
    /// Begins to look at it.
    pub fn new(router: &'a Router) -> Result<Self> {
        let before = router.resident_kib()?;
        Ok(Self {
            router,
            before,
            highest: Cell::new(before),
            slowest: Cell::new(Duration::ZERO),
            mark: router.log().mark(),
            begun: Instant::now(),
        })
    }

    /// Where the log was when it began.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Has a decent peer do what it does, which may take so long, and looks at the memory.
    pub fn canary(&self, what: &str, limit: Duration, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        act().with_context(|| format!("{what}, after {:?}", start.elapsed()))?;
        let took = start.elapsed();
        self.slowest.set(self.slowest.get().max(took));
        ensure!(took < limit, "{what} took {took:?}");
        self.look()
    }

    /// Looks at the memory.
    pub fn look(&self) -> Result<()> {
        self.highest.set(self.highest.get().max(self.router.resident_kib()?));
        Ok(())
    }

    /// Fails if the router has needed more memory than it may, has logged something critical, or more lines than `burst`
    /// and so many a second.
    pub fn verdict(&self, growth_kib: u64, burst: u64, lines_a_second: u64) -> Result<()> {
        self.look()?;
        let (before, highest) = (self.before, self.highest.get());
        let (took, lines) = (self.begun.elapsed(), self.router.log().lines(self.mark, Level::Info));
        println!(
            "{}: {took:?}, slowest canary {:?}, {before} KiB before, {highest} KiB at most, {} lines in the log",
            self.router.id(),
            self.slowest.get(),
            lines.len()
        );
        ensure!(highest < before + growth_kib, "{before} KiB became {highest} KiB");
        let critical: Vec<_> = lines.iter().filter(|line| Level::of(line) == Level::Critical).collect();
        ensure!(critical.is_empty(), "{critical:?}");
        let allowed = burst + lines_a_second * (took.as_secs() + 1);
        ensure!(lines.len() as u64 <= allowed, "{} lines in the log, {allowed} allowed", lines.len());
        let longest = lines.iter().max_by_key(|line| line.len()).map_or("", String::as_str);
        ensure!(longest.len() <= LINE_MAX, "a line of {} octets: {longest}", longest.len());
        Ok(())
    }
}
