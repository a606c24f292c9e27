//! The logging facade: modules, levels, enable masks and counters in front of [`tracing`].
//!
//! Nothing here does input or output. A crate that logs writes
//!
//! ```
//! # use router_engine::log::{Level, LogModule};
//! # let (id, address) = (1_u32, "localhost");
//! router_engine::log!(LogModule::Server, Level::Info, conn = id, "Accepted connection to {address}");
//! ```
//!
//! Every use is counted. When the module has the level enabled, it becomes a `tracing` event with the target [`TARGET`],
//! the severity that `tracing` knows (critical ones are errors with the field `critical`), and the fields `module`,
//! `conn`, `link` and `delivery`; [`Record`] reads it back. What is not enabled ends before anything of `tracing` is
//! touched: two relaxed atomic operations, and no argument is evaluated.
//!
//! The daemon installs the subscriber, made of layers; [`observe`] installs a function.

#[cfg(test)]
pub(crate) mod capture;
mod level;
mod module;
mod observer;
mod record;
mod sparing;

pub use level::{LEVELS, Level};
pub use module::{LogModule, MODULES};
pub use observer::{Observer, observe};
pub use record::{Record, is_log};
pub use sparing::{Sparing, SparingByHost, SparingLately};
#[doc(hidden)]
pub use tracing;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The target of all events of [`log!`](crate::log!), which tells them from those of libraries.
pub const TARGET: &str = "skrouterd";

static MASKS: [AtomicU8; MODULES] = [const { AtomicU8::new(0) }; MODULES];
static COUNTS: [[AtomicU64; LEVELS]; MODULES] = [const { [const { AtomicU64::new(0) }; LEVELS] }; MODULES];
static PROTOCOL_EPOCH: AtomicU32 = AtomicU32::new(0);

/// Whether events of this level are written for the module.
#[inline]
#[must_use]
pub fn enabled(module: LogModule, level: Level) -> bool {
    MASKS[module as usize].load(Ordering::Relaxed) & level.bit() != 0
}

/// Sets the effective enable mask of a module (bits of [`Level::bit`]). For whoever installed the subscriber.
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

/// Calls `emit`, and keeps from whoever logs that a subscriber or a text panics: that costs the event, and nothing else.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn guarded(emit: impl FnOnce()) {
    // What is logged is only read.
    let _ = catch_unwind(AssertUnwindSafe(emit));
}

/// What the fields of an event can be.
#[doc(hidden)]
pub mod field {
    /// The connection that it is about.
    pub fn conn(number: impl Into<u64>) -> u64 {
        number.into()
    }

    /// The link that it is about.
    pub fn link(number: impl Into<u64>) -> u64 {
        number.into()
    }

    /// The delivery that it is about.
    pub fn delivery(number: impl Into<u64>) -> u64 {
        number.into()
    }

    /// That it is critical, if it is.
    pub fn critical(level: super::Level) -> Option<bool> {
        (level == super::Level::Critical).then_some(true)
    }

    /// What stands between `[C<conn>]` and the text in the known text format, where that is not a blank.
    pub const fn separator(text: &'static str) -> &'static str {
        text
    }
}

/// Logs under a module at a level: `log!(LogModule::Server, Level::Info, "text {}", arg)`. What the event is about comes
/// before the text, as far as it is known: `conn = id, link = id, delivery = id`; the known text format begins with it.
/// Counts always; evaluates the arguments only when the level is enabled.
#[macro_export]
macro_rules! log {
    ($module:expr, Level::$level:ident, $($event:tt)+) => {
        $crate::__log!($module, Level::$level, $($event)+)
    };
    // A level that is known at run time only: `tracing` has a callsite for each.
    ($module:expr, $level:expr, $($event:tt)+) => {
        match $level {
            $crate::log::Level::Debug => $crate::__log!($module, $crate::log::Level::Debug, $($event)+),
            $crate::log::Level::Info => $crate::__log!($module, $crate::log::Level::Info, $($event)+),
            $crate::log::Level::Warning => $crate::__log!($module, $crate::log::Level::Warning, $($event)+),
            $crate::log::Level::Error => $crate::__log!($module, $crate::log::Level::Error, $($event)+),
            $crate::log::Level::Critical => $crate::__log!($module, $crate::log::Level::Critical, $($event)+),
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($module:expr, $level:expr, $($event:tt)+) => {{
        let module = $module;
        $crate::log::count(module, $level);
        if $crate::log::enabled(module, $level) {
            $crate::emit!(module, $level, $($event)+);
        }
    }};
}

/// As [`log!`](crate::log!) of what is enabled: neither counts nor looks at the mask. The level is a constant.
#[macro_export]
macro_rules! emit {
    ($module:expr, $level:expr, $($field:ident = $value:expr,)* $text:literal $($args:tt)*) => {
        $crate::log::guarded(|| {
            $crate::log::tracing::event!(
                target: $crate::log::TARGET,
                $level.severity(),
                {
                    module = $module.name(),
                    critical = $crate::log::field::critical($level),
                    $($field = $crate::log::field::$field($value),)*
                },
                $text $($args)*
            );
        })
    };
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
