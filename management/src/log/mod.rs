//! The log: where events of [`mod@router_engine::log`] go, how lines look, and the recent ones.

mod enable;
mod output;
mod time;
mod writer;

pub use enable::Enable;
pub use time::TimeFormat;

use crate::entity::log::LogParams;
use crate::error::RouterError;
use output::Output;
use parking_lot::{Mutex, RwLock};
use router_engine::log::{self as facade, Level, LogModule, MODULES, Record, Sink};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// How many emitted events are kept for GET-LOG.
const RECENT: usize = 1000;

/// Longest text of a line, octets.
const MAX_TEXT: usize = 2047;

/// How long the end of the process waits for outputs that take their lines slowly or not at all.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the enable mask of the default module starts as.
const DEFAULT_MASK: u8 = Level::Info.and_above();

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

/// The log of the process.
pub struct Logger {
    modules: RwLock<[Module; MODULES]>,
    time: Mutex<TimeFormat>,
    recent: Mutex<VecDeque<Entry>>,
}

/// Settings of a module; what is not set follows the default module.
#[derive(Clone, Default)]
struct Module {
    enable: Enable,
    timestamp: Option<bool>,
    source: Option<bool>,
    output: Option<Arc<Output>>,
}

/// The sink that lower crates write to.
struct Handle(&'static Logger);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// The log of the process, installed on first use: `info` and above to stderr.
pub fn logger() -> &'static Logger {
    let logger = LOGGER.get_or_init(Logger::new);
    if facade::set_sink(Box::new(Handle(logger))) {
        logger.publish_masks();
    }
    logger
}

/// Writes a line to stderr, behind what was logged there before. Never waits.
pub fn to_stderr(text: &str) {
    Output::stderr().write(Level::Critical, format!("{text}\n"));
}

// === impl Logger ===

impl Logger {
    fn new() -> Self {
        let mut modules: [Module; MODULES] = std::array::from_fn(|_| Module::default());
        modules[LogModule::Default as usize] = Module {
            enable: Enable::Mask(DEFAULT_MASK),
            timestamp: Some(true),
            source: Some(false),
            output: Some(Output::stderr()),
        };
        Self {
            modules: RwLock::new(modules),
            time: Mutex::new(TimeFormat::default()),
            recent: Mutex::new(VecDeque::with_capacity(RECENT)),
        }
    }

    /// Applies the settings of a module; it takes effect with the next event. What is not given
    /// goes back to what it started as.
    ///
    /// # Errors
    /// When the levels make no sense or the file cannot be opened. Then nothing changes.
    pub fn configure(&self, params: &LogParams) -> Result<(), RouterError> {
        self.apply(params, |name| {
            Output::open(name).map_err(|_| RouterError::configuration(format!("Failed to open log file '{name}'")))
        })
    }

    /// The same at the start of the router, which does not depend on its log: a file that cannot be opened is
    /// tried again later.
    ///
    /// # Errors
    /// When the levels make no sense.
    pub fn configure_at_start(&self, params: &LogParams) -> Result<(), RouterError> {
        self.apply(params, |name| Ok(Output::lazy(name)))
    }

    fn apply(
        &self,
        params: &LogParams,
        open: impl Fn(&str) -> Result<Arc<Output>, RouterError>,
    ) -> Result<(), RouterError> {
        let is_default = params.module == LogModule::Default;
        let enable = match &params.enable {
            Some(text) => Enable::parse(text)?,
            None if is_default => Enable::Mask(DEFAULT_MASK),
            None => Enable::Default,
        };
        let output = match &params.output_file {
            Some(name) => Some(self.open_output(name).map_or_else(|| open(name), Ok)?),
            None => is_default.then(Output::stderr),
        };
        let mut timestamp = params.include_timestamp.or(is_default.then_some(true));
        if output.as_ref().is_some_and(|o| o.has_own_time()) {
            timestamp = Some(false);
        }
        let source = params.include_source.or(is_default.then_some(false));
        self.modules.write()[params.module as usize] = Module { enable, timestamp, source, output };
        self.publish_masks();
        Ok(())
    }

    /// Sets how time stamps look.
    pub fn set_time(&self, format: TimeFormat) {
        *self.time.lock() = format;
    }

    /// The newest `limit` emitted events, oldest first; all that are kept when `limit` is zero.
    #[must_use]
    pub fn recent(&self, limit: usize) -> Vec<Entry> {
        let recent = self.recent.lock();
        let skip = if limit == 0 { 0 } else { recent.len().saturating_sub(limit) };
        recent.iter().skip(skip).cloned().collect()
    }

    /// The output of that name, if a module uses it already.
    fn open_output(&self, name: &str) -> Option<Arc<Output>> {
        self.modules.read().iter().filter_map(|m| m.output.clone()).find(|o| o.name() == name)
    }

    /// Waits until what was logged before is written, for a second at most: for the end of the process.
    pub fn flush(&self) {
        self.flush_within(LAST_LINES);
    }

    /// Waits until what was logged before is written, for `limit` at most.
    pub fn flush_within(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let outputs: Vec<Arc<Output>> = self.modules.read().iter().filter_map(|m| m.output.clone()).collect();
        for output in outputs {
            output.flush(until);
        }
        Output::stderr().flush(until);
    }

    fn publish_masks(&self) {
        let modules = self.modules.read();
        let default = match modules[LogModule::Default as usize].enable {
            Enable::Mask(mask) => mask,
            Enable::Default => DEFAULT_MASK,
        };
        for module in LogModule::ALL {
            let mask = match modules[module as usize].enable {
                Enable::Mask(mask) => mask,
                Enable::Default => default,
            };
            facade::set_mask(module, mask);
        }
    }

    fn emit(&self, record: &Record<'_>) {
        let mut text = record.text.to_string();
        if text.len() > MAX_TEXT {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        let now = SystemTime::now();
        let (timestamp, source, output) = {
            let modules = self.modules.read();
            let (own, default) = (&modules[record.module as usize], &modules[LogModule::Default as usize]);
            let output = own.output.as_ref().or(default.output.as_ref()).map(Arc::clone);
            let own_time = output.as_ref().is_some_and(|o| o.has_own_time());
            let timestamp = !own_time && own.timestamp.or(default.timestamp).unwrap_or(true);
            (timestamp, own.source.or(default.source).unwrap_or(false), output)
        };
        let mut line = String::with_capacity(text.len() + 64);
        if timestamp {
            self.time.lock().format(now, &mut line);
            line.push(' ');
        }
        line.extend([record.module.name(), " (", record.level.name(), ") ", text.as_str()]);
        if source {
            line.push_str(&format!(" ({}:{})", record.file, record.line));
        }
        line.push('\n');
        if let Some(output) = output {
            output.write(record.level, line);
        }
        self.remember(record, text, now);
    }

    fn remember(&self, record: &Record<'_>, text: String, now: SystemTime) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut recent = self.recent.lock();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Entry {
            module: record.module,
            level: record.level,
            text,
            file: record.file,
            line: record.line,
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        });
    }
}

impl Sink for Handle {
    fn write(&self, record: &Record<'_>) {
        self.0.emit(record);
    }
}

#[cfg(test)]
mod tests;
