//! The budget for what peers make the whole process hold, and how close it is.
//!
//! ```text
//!  read segments, copies --add/sub--> held      ceiling (set once)
//!                                       |          |
//!  resident memory of the process --- judge(now and then) --> level --> streams, links, listeners
//! ```
//!
//! The level rises with what is held, and falls only when that is well below again.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// What the process does about its memory. Each level includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// There is plenty.
    Calm,
    /// Streams and links stop their senders earlier.
    Slow,
    /// New connections are refused.
    Refuse,
    /// Connections that hold the most are closed.
    Shed,
}

/// The budget of a process.
#[derive(Debug, Default)]
pub struct Budget {
    /// Octets that the process may use; 0 is no bound.
    ceiling: AtomicUsize,
    /// Octets held for peers beside those in the segments of pools.
    copied: AtomicUsize,
    level: AtomicU8,
    refused: AtomicUsize,
}

/// The budget of this process.
pub static BUDGET: Budget = Budget::new();

/// Percent of the ceiling that what is counted reaches when a level begins. The rest is for the allocator and for what
/// is not counted.
const COUNTED: [(Level, usize); 3] = [(Level::Shed, 65), (Level::Refuse, 50), (Level::Slow, 30)];

/// The same for the resident memory of the process. Memory that was freed stays resident for a while, so that by itself
/// it closes no connection.
const RESIDENT: [(Level, usize); 2] = [(Level::Refuse, 85), (Level::Slow, 65)];

/// Percent of its threshold at which a level ends.
const RELEASE: usize = 80;

// === impl Level ===

impl Level {
    const fn from_u8(level: u8) -> Self {
        match level {
            0 => Self::Calm,
            1 => Self::Slow,
            2 => Self::Refuse,
            _ => Self::Shed,
        }
    }
}

// === impl Budget ===

impl Budget {
    /// No bound.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ceiling: AtomicUsize::new(0),
            copied: AtomicUsize::new(0),
            level: AtomicU8::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// Sets how many octets the process may use; 0 is no bound.
    pub fn set_ceiling(&self, octets: usize) {
        self.ceiling.store(octets, Ordering::Relaxed);
    }

    /// How many octets the process may use; 0 is no bound.
    #[must_use]
    pub fn ceiling(&self) -> usize {
        self.ceiling.load(Ordering::Relaxed)
    }

    /// Counts octets that were copied out of a segment. Returns how many there were before.
    pub fn add(&self, octets: usize) -> usize {
        self.copied.fetch_add(octets, Ordering::Relaxed)
    }

    /// Octets that were copied are gone.
    pub fn sub(&self, octets: usize) {
        self.copied.fetch_sub(octets, Ordering::Relaxed);
    }

    /// Octets that were copied and are still there.
    #[must_use]
    pub fn copied(&self) -> usize {
        self.copied.load(Ordering::Relaxed)
    }

    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_u8(self.level.load(Ordering::Relaxed))
    }

    /// Whether a new connection has to be refused. If so it is counted.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let refuses = self.level() >= Level::Refuse;
        if refuses {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        refuses
    }

    /// Connections refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Sets the level by what is counted and by the resident memory of the process, octets. Returns the level before
    /// and the level now.
    pub fn judge(&self, counted: usize, resident: usize) -> (Level, Level) {
        let before = self.level();
        let ceiling = self.ceiling();
        let now = if ceiling == 0 {
            Level::Calm
        } else {
            reached(&COUNTED, before, counted, ceiling).max(reached(&RESIDENT, before, resident, ceiling))
        };
        self.level.store(now as u8, Ordering::Relaxed);
        (before, now)
    }
}

/// The highest level whose threshold is reached, or that has begun and is not over yet.
fn reached(thresholds: &[(Level, usize)], before: Level, octets: usize, ceiling: usize) -> Level {
    let percent = |part: usize| ceiling / 100 * part;
    let holds = |&&(level, part): &&(Level, usize)| {
        let threshold = if before >= level { percent(part) / 100 * RELEASE } else { percent(part) };
        octets >= threshold
    };
    thresholds.iter().find(holds).map_or(Level::Calm, |&(level, _)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn budget() -> Budget {
        let budget = Budget::new();
        budget.set_ceiling(100 * MIB);
        budget
    }

    #[test]
    fn levels_rise_at_once_and_fall_late() {
        let budget = budget();
        let mut level = |counted: usize| budget.judge(counted * MIB, 0).1;
        assert_eq!(
            [0, 29, 31, 51, 66].map(&mut level),
            [Level::Calm, Level::Calm, Level::Slow, Level::Refuse, Level::Shed]
        );
        assert_eq!([60, 53].map(&mut level), [Level::Shed; 2]);
        assert_eq!([51, 45, 41].map(&mut level), [Level::Refuse; 3]);
        assert_eq!([39, 30, 25].map(&mut level), [Level::Slow; 3]);
        assert_eq!([23, 29].map(&mut level), [Level::Calm; 2]);
    }

    #[test]
    fn resident_memory_refuses_and_never_sheds() {
        let budget = budget();
        assert_eq!(budget.judge(0, 64 * MIB).1, Level::Calm);
        assert_eq!(budget.judge(0, 66 * MIB).1, Level::Slow);
        assert_eq!(budget.judge(0, 300 * MIB), (Level::Slow, Level::Refuse));
        assert_eq!(budget.judge(70 * MIB, 300 * MIB).1, Level::Shed);
    }

    #[test]
    fn without_a_ceiling_there_is_no_pressure() {
        assert_eq!(Budget::new().judge(usize::MAX, usize::MAX), (Level::Calm, Level::Calm));
    }
}
