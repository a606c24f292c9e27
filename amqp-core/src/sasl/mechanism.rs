//! The mechanisms that are known.

/// A mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// The layer below knows who the peer is (RFC 4422, appendix A).
    External,
    /// A password that both sides prove to know (RFC 5802), with SHA-512.
    ScramSha512,
    /// The same with SHA-256 (RFC 7677).
    ScramSha256,
    /// The same with SHA-1 (RFC 5802).
    ScramSha1,
    /// A password as it is (RFC 4616).
    Plain,
    /// Nobody in particular (RFC 4505).
    Anonymous,
}

// === impl Mechanism ===

impl Mechanism {
    /// All of them, the strongest first.
    pub const ALL: [Self; 6] =
        [Self::External, Self::ScramSha512, Self::ScramSha256, Self::ScramSha1, Self::Plain, Self::Anonymous];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
            Self::Anonymous => "ANONYMOUS",
        }
    }

    /// The mechanism with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// One of the SCRAM family: several messages each way, which the caller of the engine makes.
    #[must_use]
    pub const fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha512 | Self::ScramSha256 | Self::ScramSha1)
    }
}
