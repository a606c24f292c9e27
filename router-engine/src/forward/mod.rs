//! Choosing where a delivery goes: pure functions of candidates.

pub(crate) mod choose;

/// How deliveries to an address are distributed (spec `amqp-endpoint.md` section 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Treatment {
    /// To every consumer; for routing protocol messages, without looking at valid origins.
    Flood,
    /// To every consumer once.
    Multicast,
    /// To the nearest consumer.
    Closest,
    /// To the least loaded consumer.
    #[default]
    Balanced,
    /// Refused.
    Unavailable,
}

// === impl Treatment ===

impl Treatment {
    /// The code in mobile address updates (spec `inter-router-protocol.md` section 1).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Flood => 0,
            Self::Multicast => 1,
            Self::Closest => 2,
            Self::Balanced => 3,
            Self::Unavailable => 4,
        }
    }

    /// The treatment with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Flood,
            1 => Self::Multicast,
            2 => Self::Closest,
            3 => Self::Balanced,
            4 => Self::Unavailable,
            _ => return None,
        })
    }

    /// The word in configuration and management.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Multicast => "multicast",
            Self::Closest => "closest",
            Self::Balanced => "balanced",
            Self::Unavailable => "unavailable",
        }
    }

    /// Every consumer gets a copy.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        matches!(self, Self::Flood | Self::Multicast)
    }
}
