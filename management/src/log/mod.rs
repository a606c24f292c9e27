//! The log: where events of [`mod@router_engine::log`] go, how lines look, and the recent ones.
//!
//! ```text
//!  log! --> tracing --> destination of --+--> text or JSON --> Output (queue) --> writer's thread --> file, syslog, stderr
//!  (event)              the module       '--> Recent (GET-LOG)
//! ```
//!
//! An event becomes a line of the format that the output of its module has. Events that libraries give to `tracing`
//! are ignored.

mod enable;
mod format;
mod json;
mod layer;
mod output;
mod recent;
mod text;
mod time;
mod writer;

pub use enable::Enable;
pub use format::Format;
pub use recent::Entry;
pub use time::TimeFormat;

pub use crate::entity::log::LogParams;
use crate::error::RouterError;
use output::{Output, Queue};
use parking_lot::{Mutex, RwLock};
use recent::Recent;
use router_engine::log::{self as facade, Level, LogModule, MODULES};
use router_engine::vanflow::Registry;
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Longest text of a line, octets.
const MAX_TEXT: usize = 2047;

/// How long the end of the process waits for outputs that take their lines slowly or not at all.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the enable mask of the default module starts as.
const DEFAULT_MASK: u8 = Level::Info.and_above();

/// The log of the process.
pub struct Logger {
    modules: RwLock<[Module; MODULES]>,
    time: Mutex<TimeFormat>,
    recent: Recent,
    /// What no module writes to any more, as long as lines wait there.
    replaced: Mutex<Vec<Weak<Queue>>>,
    /// Where grave events are recorded, too.
    records: OnceLock<Arc<Registry>>,
}

/// Settings of a module; what is not set follows the default module.
#[derive(Clone, Default)]
struct Module {
    enable: Enable,
    timestamp: Option<bool>,
    source: Option<bool>,
    format: Option<Format>,
    output: Option<Arc<Output>>,
}

/// Where lines of a module go, and what they have.
struct Destination {
    output: Arc<Output>,
    format: Format,
    timestamp: bool,
    source: bool,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// The log of the process, installed on first use: `info` and above to stderr.
pub fn logger() -> &'static Logger {
    static INSTALLED: Once = Once::new();
    let logger = LOGGER.get_or_init(Logger::new);
    INSTALLED.call_once(|| install(logger));
    logger
}

fn install(logger: &'static Logger) {
    if tracing::subscriber::set_global_default(layer::all(logger)).is_err() {
        return;
    }
    logger.publish_masks();
    for word in &format::formats().refused {
        let name = format::VARIABLE;
        router_engine::log!(
            LogModule::Router,
            Level::Warning,
            "{name}: '{word}' is ignored; formats are text and json"
        );
    }
}

/// Writes a line to stderr, behind what was logged there before. Never waits.
pub fn to_stderr(text: &str) {
    Output::stderr().notice(Level::Critical, text);
}

/// What of a text is written.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

// === impl Logger ===

impl Logger {
    fn new() -> Self {
        let mut modules: [Module; MODULES] = std::array::from_fn(|_| Module::default());
        modules[LogModule::Default as usize] = Module {
            enable: Enable::Mask(DEFAULT_MASK),
            timestamp: Some(true),
            source: Some(false),
            format: None,
            output: Some(Output::stderr()),
        };
        Self {
            modules: RwLock::new(modules),
            time: Mutex::new(TimeFormat::default()),
            recent: Recent::default(),
            replaced: Mutex::default(),
            records: OnceLock::new(),
        }
    }

    /// From now on grave events are recorded there too.
    pub fn record(&self, records: Arc<Registry>) {
        let _ = self.records.set(records);
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
        self.set(params.module, Module { enable, timestamp, source, format: params.format, output });
        self.publish_masks();
        Ok(())
    }

    fn set(&self, module: LogModule, settings: Module) {
        let old = std::mem::replace(&mut self.modules.write()[module as usize], settings);
        let Some(output) = old.output else { return };
        let (queue, mut replaced) = (Arc::downgrade(output.queue()), self.replaced.lock());
        replaced.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&queue));
        replaced.push(queue);
    }

    /// Has files opened anew, as they may have been renamed.
    pub fn reopen(&self) {
        self.modules.read().iter().filter_map(|module| module.output.as_ref()).for_each(|output| output.reopen());
    }

    /// Sets how time stamps look.
    pub fn set_time(&self, format: TimeFormat) {
        *self.time.lock() = format;
    }

    /// The newest `limit` emitted events, oldest first; all that are kept when `limit` is zero.
    #[must_use]
    pub fn recent(&self, limit: usize) -> Vec<Entry> {
        self.recent.newest(limit)
    }

    /// The output of that name, if a module uses it already.
    fn open_output(&self, name: &str) -> Option<Arc<Output>> {
        self.modules.read().iter().filter_map(|m| m.output.clone()).find(|o| o.name() == name)
    }

    /// Waits until what was logged before is written, for a second at most: for the end of the process.
    pub fn flush(&self) {
        let until = Instant::now() + LAST_LINES;
        // Their writers keep them for as long as there is something to write.
        let replaced: Vec<_> = self.replaced.lock().iter().filter_map(Weak::upgrade).collect();
        replaced.iter().for_each(|queue| queue.flush(until));
        self.flush_until(until);
    }

    /// Waits until what was logged before is written to the outputs that there are, for `limit` at most.
    pub fn flush_within(&self, limit: Duration) {
        self.flush_until(Instant::now() + limit);
    }

    fn flush_until(&self, until: Instant) {
        let outputs: Vec<Arc<Output>> = self.modules.read().iter().filter_map(|m| m.output.clone()).collect();
        for output in outputs.into_iter().chain([Output::stderr()]) {
            output.queue().flush(until);
        }
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

    fn destination(&self, module: LogModule) -> Destination {
        let modules = self.modules.read();
        let (own, default) = (&modules[module as usize], &modules[LogModule::Default as usize]);
        let output = own.output.as_ref().or(default.output.as_ref()).map_or_else(Output::stderr, Arc::clone);
        let timestamp = !output.has_own_time() && own.timestamp.or(default.timestamp).unwrap_or(true);
        let format = own.format.or(default.format).unwrap_or_else(|| output.format());
        Destination { output, format, timestamp, source: own.source.or(default.source).unwrap_or(false) }
    }
}

#[cfg(test)]
mod tests;
