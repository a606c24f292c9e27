//! Router annotations as the core carries them with a delivery.

pub use amqp_core::message::{RouterAnnotations as Annotations, Trace};

/// Flag bits of the annotations (spec `inter-router-protocol.md` section 4.1).
pub mod flags {
    /// Forward at once.
    pub const STREAMING: u32 = 0x01;
    /// Try another destination when a consumer releases.
    pub const RESEND_RELEASED: u32 = 0x02;
    /// No per-message receive back-pressure.
    pub const DISABLE_Q2: u32 = 0x04;
}
