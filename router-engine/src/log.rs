//! The logging facade: modules, levels, enable masks, counters, and a hook for the sink.
//!
//! Nothing here does input or output. A crate that logs writes
//! `log!(LogModule::Server, Level::Info, "Listening on {addr}")`; every use is counted, and text is
//! formatted only when the module has the level enabled. The daemon installs the one [`Sink`];
//! without it nothing is enabled and the macro costs two atomic operations.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A log module (spec `amqp-endpoint.md` 23.2), in the order of the `log` entity's enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LogModule {
    /// The router as a whole: start, stop, mode.
    Router,
    /// Routing core.
    RouterCore,
    /// Neighbour discovery.
    RouterHello,
    /// Link state.
    RouterLs,
    /// Mobile address synchronisation.
    RouterMa,
    /// Message contents (`messageLoggingComponents`).
    Message,
    /// Sockets and connections.
    Server,
    /// Management.
    Agent,
    /// AMQP container: sessions and links.
    Container,
    /// Internal errors as they arise.
    Error,
    /// Policy decisions.
    Policy,
    /// HTTP listeners.
    Http,
    /// Configuration of listeners, connectors, profiles, addresses.
    ConnMgr,
    /// Kept for compatibility of names.
    Python,
    /// AMQP frame trace.
    Protocol,
    /// TCP adaptor.
    TcpAdaptor,
    /// HTTP adaptor.
    HttpAdaptor,
    /// VanFlow records.
    FlowLog,
    /// Address watches.
    AddressWatch,
    /// HTTP/1 observer.
    Http1Observer,
    /// HTTP/2 observer.
    Http2Observer,
    /// HTTP/2 decoder.
    Http2Decoder,
    /// Settings for modules that have none of their own; nothing logs under it.
    Default,
}

/// How many modules there are.
pub const MODULES: usize = 23;

/// A severity; the discriminant is the bit in an enable mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Details for developers.
    Debug = 1,
    /// Normal events.
    Info = 2,
    /// Something may be wrong.
    Warning = 4,
    /// Something went wrong.
    Error = 8,
    /// The router cannot go on.
    Critical = 16,
}

/// How many levels there are.
pub const LEVELS: usize = 5;

/// One event on its way to the [`Sink`].
#[derive(Debug)]
pub struct Record<'a> {
    /// Under which module.
    pub module: LogModule,
    /// How severe.
    pub level: Level,
    /// The text.
    pub text: fmt::Arguments<'a>,
    /// Source file of the call.
    pub file: &'static str,
    /// Line of the call.
    pub line: u32,
}

/// Takes events that are enabled.
pub trait Sink: Send + Sync {
    /// Writes one event. Called by any thread, possibly while the caller holds locks: it must not call back.
    fn write(&self, record: &Record<'_>);
}

static MASKS: [AtomicU8; MODULES] = [const { AtomicU8::new(0) }; MODULES];
static COUNTS: [[AtomicU64; LEVELS]; MODULES] = [const { [const { AtomicU64::new(0) }; LEVELS] }; MODULES];
static PROTOCOL_EPOCH: AtomicU32 = AtomicU32::new(0);
static SINK: OnceLock<Box<dyn Sink>> = OnceLock::new();

// === impl LogModule ===

impl LogModule {
    /// All modules in order.
    pub const ALL: [Self; MODULES] = [
        Self::Router,
        Self::RouterCore,
        Self::RouterHello,
        Self::RouterLs,
        Self::RouterMa,
        Self::Message,
        Self::Server,
        Self::Agent,
        Self::Container,
        Self::Error,
        Self::Policy,
        Self::Http,
        Self::ConnMgr,
        Self::Python,
        Self::Protocol,
        Self::TcpAdaptor,
        Self::HttpAdaptor,
        Self::FlowLog,
        Self::AddressWatch,
        Self::Http1Observer,
        Self::Http2Observer,
        Self::Http2Decoder,
        Self::Default,
    ];

    /// The name in log lines and in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "ROUTER",
            Self::RouterCore => "ROUTER_CORE",
            Self::RouterHello => "ROUTER_HELLO",
            Self::RouterLs => "ROUTER_LS",
            Self::RouterMa => "ROUTER_MA",
            Self::Message => "MESSAGE",
            Self::Server => "SERVER",
            Self::Agent => "AGENT",
            Self::Container => "CONTAINER",
            Self::Error => "ERROR",
            Self::Policy => "POLICY",
            Self::Http => "HTTP",
            Self::ConnMgr => "CONN_MGR",
            Self::Python => "PYTHON",
            Self::Protocol => "PROTOCOL",
            Self::TcpAdaptor => "TCP_ADAPTOR",
            Self::HttpAdaptor => "HTTP_ADAPTOR",
            Self::FlowLog => "FLOW_LOG",
            Self::AddressWatch => "ADDRESS_WATCH",
            Self::Http1Observer => "HTTP1_OBSERVER",
            Self::Http2Observer => "HTTP2_OBSERVER",
            Self::Http2Decoder => "HTTP2_DECODER",
            Self::Default => "DEFAULT",
        }
    }

    /// The module of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}

// === impl Level ===

impl Level {
    /// All levels, least severe first.
    pub const ALL: [Self; LEVELS] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The name in log lines and in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The bit in an enable mask.
    #[must_use]
    pub const fn bit(self) -> u8 {
        self as u8
    }

    /// The mask of this level and every more severe one.
    #[must_use]
    pub const fn and_above(self) -> u8 {
        0x1f & !(self.bit() - 1)
    }

    const fn index(self) -> usize {
        self.bit().trailing_zeros() as usize
    }
}

/// Whether events of this level are written for the module.
#[inline]
#[must_use]
pub fn enabled(module: LogModule, level: Level) -> bool {
    MASKS[module as usize].load(Ordering::Relaxed) & level.bit() != 0
}

/// Sets the effective enable mask of a module (bits of [`Level::bit`]). For the sink's owner.
pub fn set_mask(module: LogModule, mask: u8) {
    let old = MASKS[module as usize].swap(mask, Ordering::Relaxed);
    if module == LogModule::Protocol && (old ^ mask) & Level::Debug.bit() != 0 {
        PROTOCOL_EPOCH.fetch_add(1, Ordering::Relaxed);
    }
}

/// Changes whenever the frame trace is switched on or off for the whole router. A connection with
/// a trace setting of its own forgets it when this changes (spec `amqp-endpoint.md` 23.5).
#[inline]
#[must_use]
pub fn protocol_epoch() -> u32 {
    PROTOCOL_EPOCH.load(Ordering::Relaxed)
}

/// Counts an event, enabled or not.
#[inline]
pub fn count(module: LogModule, level: Level) {
    COUNTS[module as usize][level.index()].fetch_add(1, Ordering::Relaxed);
}

/// Events of a module so far, enabled or not, in the order of [`Level::ALL`].
#[must_use]
pub fn counts(module: LogModule) -> [u64; LEVELS] {
    std::array::from_fn(|i| COUNTS[module as usize][i].load(Ordering::Relaxed))
}

/// Installs the sink. Returns false when there is one already.
pub fn set_sink(sink: Box<dyn Sink>) -> bool {
    SINK.set(sink).is_ok()
}

/// Hands an event to the sink whether or not it is enabled; use the [`log!`](crate::log!) macro.
pub fn write(record: &Record<'_>) {
    if let Some(sink) = SINK.get() {
        sink.write(record);
    }
}

/// Logs under a module at a level: `log!(LogModule::Server, Level::Info, "text {}", arg)`.
/// Counts always; evaluates the arguments only when the level is enabled.
#[macro_export]
macro_rules! log {
    ($module:expr, $level:expr, $($text:tt)+) => {{
        let (module, level) = ($module, $level);
        $crate::log::count(module, level);
        if $crate::log::enabled(module, level) {
            $crate::log::write(&$crate::log::Record {
                module,
                level,
                text: format_args!($($text)+),
                file: file!(),
                line: line!(),
            });
        }
    }};
}

/// What a test's thread logs.
#[cfg(test)]
pub(crate) mod capture {
    use super::{Level, LogModule, Record, Sink, set_mask, set_sink};
    use std::cell::RefCell;

    /// Module, level and text. The text lives as long as the test's process.
    pub(crate) type Line = (LogModule, Level, &'static str);

    thread_local! {
        static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    }

    struct Keeper;

    impl Sink for Keeper {
        fn write(&self, record: &Record<'_>) {
            let line = (record.module, record.level, &*record.text.to_string().leak());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    /// Forgets what the thread has logged so far, and keeps what it logs from now on.
    pub(crate) fn start() {
        set_sink(Box::new(Keeper));
        LogModule::ALL.into_iter().for_each(|module| set_mask(module, u8::MAX));
        LINES.take();
    }

    /// What the thread has logged since [`start`].
    pub(crate) fn lines() -> Vec<Line> {
        LINES.with_borrow(Clone::clone)
    }

    /// As [`lines`], without those of level debug.
    pub(crate) fn notable() -> Vec<Line> {
        lines().into_iter().filter(|(_, level, _)| *level > Level::Debug).collect()
    }

    /// Texts of what a module has logged since [`start`].
    pub(crate) fn texts(wanted: LogModule) -> Vec<&'static str> {
        lines().into_iter().filter(|(module, ..)| *module == wanted).map(|(.., text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_the_level_and_above() {
        assert_eq!(Level::Debug.and_above(), 0x1f);
        assert_eq!(Level::Info.and_above(), 0x1e);
        assert_eq!(Level::Critical.and_above(), 0x10);
    }

    #[test]
    fn names_round_trip() {
        for (index, module) in LogModule::ALL.into_iter().enumerate() {
            assert_eq!(module as usize, index);
            assert_eq!(LogModule::from_name(module.name()), Some(module));
        }
        assert_eq!(LogModule::from_name("router"), None);
    }

    #[test]
    fn counts_suppressed_events() {
        let before = counts(LogModule::Http2Decoder);
        crate::log!(LogModule::Http2Decoder, Level::Warning, "nobody sees {}", 1);
        let after = counts(LogModule::Http2Decoder);
        assert_eq!(after[2], before[2] + 1);
        assert_eq!(after[1], before[1]);
    }
}
