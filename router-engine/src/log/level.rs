//! How severe events are.

use tracing::Level as Severity;

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

    /// What `tracing` knows it as.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Debug => Severity::DEBUG,
            Self::Info => Severity::INFO,
            Self::Warning => Severity::WARN,
            Self::Error | Self::Critical => Severity::ERROR,
        }
    }

    /// The level with that severity; the lesser of two.
    pub(super) fn of(severity: Severity) -> Self {
        Self::ALL.into_iter().find(|level| level.severity() == severity).unwrap_or(Self::Debug)
    }

    pub(super) const fn index(self) -> usize {
        self.bit().trailing_zeros() as usize
    }
}
