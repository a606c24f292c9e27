//! The last events, for GET-LOG.

use super::bounded;
use parking_lot::Mutex;
use router_engine::log::{Level, LogModule, Record};
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::SystemTime;

/// How many events are kept.
const KEPT: usize = 1000;

/// An event that was emitted.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The module.
    pub module: LogModule,
    /// The level.
    pub level: Level,
    /// The text.
    pub text: String,
    /// Source file.
    pub file: &'static str,
    /// Source line.
    pub line: u32,
    /// Seconds since the Unix epoch.
    pub seconds: i64,
}

/// The entries that are kept, oldest first.
pub(super) struct Recent(Mutex<VecDeque<Entry>>);

// === impl Entry ===

impl Entry {
    pub(super) fn new(record: &Record, at: SystemTime) -> Self {
        let mut text = String::with_capacity(record.message.len() + 16);
        let _ = write!(text, "{}", record.text());
        text.truncate(bounded(&text).len());
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            module: record.module,
            level: record.level,
            text,
            file: record.file,
            line: record.line,
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        }
    }
}

// === impl Recent ===

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(KEPT)))
    }
}

impl Recent {
    /// The newest `limit` entries; all when that is zero.
    pub(super) fn newest(&self, limit: usize) -> Vec<Entry> {
        let entries = self.0.lock();
        let skip = if limit == 0 { 0 } else { entries.len().saturating_sub(limit) };
        entries.iter().skip(skip).cloned().collect()
    }

    pub(super) fn push(&self, entry: Entry) {
        let mut entries = self.0.lock();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}
