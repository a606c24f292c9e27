//! What an attack costs a router: memory, lines in the log, and its other peers' time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::harness::{Level, Mark, Router};

/// What a router may need while it is attacked.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// More memory than before.
    pub growth_kib: u64,
    /// Lines in the log, however short the time.
    pub lines: u64,
    /// More of them for each second.
    pub lines_a_second: u64,
    /// Octets of the longest of them.
    pub longest: usize,
}

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

    /// Fails if the router still needs so much more memory than before.
    pub fn expect_growth(&self, at_most_kib: u64) -> Result<()> {
        let (before, now) = (self.before, self.router.resident_kib()?);
        ensure!(now < before + at_most_kib, "{before} KiB became {now} KiB for good");
        Ok(())
    }

    /// Fails if the router has needed more than it may, or has logged something critical that `explained` does not explain.
    pub fn verdict(&self, limits: Limits, explained: &str) -> Result<()> {
        let Limits { growth_kib, lines: burst, lines_a_second, longest: length } = limits;
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
        let critical = lines.iter().filter(|line| Level::of(line) == Level::Critical);
        let critical: Vec<_> = critical.filter(|line| explained.is_empty() || !line.contains(explained)).collect();
        ensure!(critical.is_empty(), "{critical:?}");
        let allowed = burst + lines_a_second * (took.as_secs() + 1);
        ensure!(lines.len() as u64 <= allowed, "{} lines in the log, {allowed} allowed", lines.len());
        let longest = lines.iter().max_by_key(|line| line.len()).map_or("", String::as_str);
        ensure!(longest.len() <= length, "a line of {} octets: {longest}", longest.len());
        Ok(())
    }
}
